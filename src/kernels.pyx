"""The vector kernels for Cython: those for this processor, and what built them."""

from lbfgsb._core.platform cimport PLATFORM_COMPILER, PLATFORM_OPENMP, platform_processors

cdef extern from *:
    const long CYTHON_HEX_VERSION

cdef extern from "kernels.h" nogil:
    const Kernels *lbfgsb_kernels()
    const Kernels *const *lbfgsb_kernels_supported()


cdef const Kernels *kernels_in_use() noexcept nogil:
    """The kernels for this processor, or those that LBFGSB_CPU names."""
    return lbfgsb_kernels()


cdef int processors() noexcept nogil:
    """As many as OpenMP sees; 1 without OpenMP."""
    return platform_processors()


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
    return PLATFORM_COMPILER.decode()


def cython_version():
    """Return the version of Cython that built the core."""
    return (f'{CYTHON_HEX_VERSION >> 24}.{CYTHON_HEX_VERSION >> 16 & 0xff}'
            f'.{CYTHON_HEX_VERSION >> 8 & 0xff}')


def openmp():
    """Return whether the core can use more than one thread."""
    return bool(PLATFORM_OPENMP)


def max_threads():
    """Return the number of processors that OpenMP sees."""
    return platform_processors()
