"""The vector kernels for Cython: those for this processor, and what built them."""

cdef extern from *:
    """
    #ifdef _OPENMP
    #include <omp.h>
    #define LBFGSB_OPENMP 1
    #else
    #define LBFGSB_OPENMP 0
    static int omp_get_num_procs(void) { return 1; }
    #endif
    #if defined(__clang__)
    #define LBFGSB_COMPILER "clang " __clang_version__
    #else
    #define LBFGSB_COMPILER "gcc " __VERSION__
    #endif
    """
    const long CYTHON_HEX_VERSION
    const int LBFGSB_OPENMP
    const char *LBFGSB_COMPILER
    int omp_get_num_procs() nogil

cdef extern from "kernels.h" nogil:
    const Kernels *lbfgsb_kernels()
    const Kernels *const *lbfgsb_kernels_supported()


cdef const Kernels *kernels_in_use() noexcept nogil:
    """The kernels for this processor, or those that LBFGSB_CPU names."""
    return lbfgsb_kernels()


cdef int processors() noexcept nogil:
    """As many as OpenMP sees; 1 without OpenMP."""
    return omp_get_num_procs()


cdef const Kernels *kernels_named(level) except NULL:
    """The kernels of an instruction set: one of cpu_supported()."""
    cdef const Kernels *const *each = lbfgsb_kernels_supported()
    while each[0] != NULL:
        if each[0].name.decode() == level:
            return each[0]
        each += 1
    raise ValueError(f'this processor has no kernels {level!r}')


def cpu():
    """Return the instruction set in use: ``'avx512'``, ``'avx2'`` or ``'baseline'``."""
    return lbfgsb_kernels().name.decode()


def cpu_supported():
    """Return the instruction sets that this build and this processor have, best first."""
    cdef const Kernels *const *level = lbfgsb_kernels_supported()
    names = []
    while level[0] != NULL:
        names.append(level[0].name.decode())
        level += 1
    return names


def compiler():
    """Return the C compiler that built the core."""
    return LBFGSB_COMPILER.decode()


def cython_version():
    """Return the version of Cython that built the core."""
    return (f'{CYTHON_HEX_VERSION >> 24}.{CYTHON_HEX_VERSION >> 16 & 0xff}'
            f'.{CYTHON_HEX_VERSION >> 8 & 0xff}')


def openmp():
    """Return whether the core can use more than one thread."""
    return bool(LBFGSB_OPENMP)


def max_threads():
    """Return the number of processors that OpenMP sees."""
    return omp_get_num_procs()
