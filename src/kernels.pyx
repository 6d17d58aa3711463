# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, freethreading_compatible=True
"""Vector kernels, chunks of rows, and the order in which partial results are combined.

Everything that is O(n) runs over chunks of CHUNK rows. A chunk gives a partial result (one
maximum, one minimum, any number of sums); the partial results are combined in the order of the
chunks, whoever computed them. Hence the same bits for any number of threads.

No thread is started for ``threads=1``. OpenMP's pool does not survive a fork: a child of a
process that has used it works with one thread, which changes no result.
"""
from cython.parallel cimport prange, threadid
from libc.math cimport INFINITY
from libc.string cimport memset

cdef extern from "unistd.h" nogil:
    int getpid()

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

cdef extern from "kernels_simd.h" nogil:
    const Kernels *lbfgsb_kernels()
    const Kernels *const *lbfgsb_kernels_supported()

# Fewer elements than this a thread are not worth waking it for.
cdef enum:
    WORTH_A_THREAD = 1 << 16

# The process that started the OpenMP pool; 0 while there is none.
cdef int pool_owner = 0


cdef const Kernels *kernels_in_use() noexcept nogil:
    """The kernels for this processor, or those that LBFGSB_CPU names."""
    return lbfgsb_kernels()


cdef Py_ssize_t chunk_count(Py_ssize_t rows) noexcept nogil:
    return (rows + CHUNK - 1) // CHUNK


cdef void team_place(Team *team, Py_ssize_t rows, char **cursor) noexcept nogil:
    """Give the team its buffers; `threads`, `width` and `scratch_size` are set before."""
    cdef Py_ssize_t kept = chunk_count(rows) if team.threads > 1 else 1
    team.scratch = <double *>carve(cursor, team.threads * team.scratch_size, sizeof(double))
    team.partials = <double *>carve(cursor, kept * team.width, sizeof(double))
    team.total = <double *>carve(cursor, team.width, sizeof(double))


cdef int worthwhile_threads(Team *team, Py_ssize_t rows, Py_ssize_t columns) noexcept nogil:
    global pool_owner
    cdef Py_ssize_t most = min(chunk_count(rows), rows * columns // WORTH_A_THREAD)
    cdef int threads = <int>min(<Py_ssize_t>team.threads, most)
    if threads <= 1:
        return 1
    if pool_owner == 0:
        pool_owner = getpid()
    return threads if pool_owner == getpid() else 1


cdef void clear(double *partial, Py_ssize_t sums) noexcept nogil:
    memset(partial, 0, (SUMS + sums) * sizeof(double))
    partial[MIN] = INFINITY


cdef void fold(double *total, const double *partial, Py_ssize_t sums) noexcept nogil:
    cdef Py_ssize_t i
    total[MAX] = max(total[MAX], partial[MAX])
    total[MIN] = min(total[MIN], partial[MIN])
    for i in range(SUMS, SUMS + sums):
        total[i] += partial[i]


cdef void run_chunks(Team *team, ChunkTask task, void *context, Py_ssize_t rows,
                     Py_ssize_t columns, Py_ssize_t sums, double *total) noexcept nogil:
    """Run `task` on every chunk of `rows` rows and combine what they report.

    Parameters
    ----------
    columns : how many doubles of a row the task reads, about; decides on the threads
    sums : the number of sums the task reports, at most ``team.width - SUMS``
    total : OUT, (SUMS + sums,)
    """
    cdef Py_ssize_t chunk, chunks = chunk_count(rows)
    cdef int threads = worthwhile_threads(team, rows, columns)
    cdef double *partial
    if chunks == 1:
        clear(total, sums)
        task(context, 0, rows, total, team.scratch)
        return
    clear(total, sums)
    if threads == 1:
        for chunk in range(chunks):
            clear(team.partials, sums)
            task(context, chunk * CHUNK, min(<Py_ssize_t>CHUNK, rows - chunk * CHUNK),
                 team.partials, team.scratch)
            fold(total, team.partials, sums)
        return
    for chunk in prange(chunks, num_threads=threads, schedule='static'):
        partial = team.partials + chunk * team.width
        clear(partial, sums)
        task(context, chunk * CHUNK, min(<Py_ssize_t>CHUNK, rows - chunk * CHUNK),
             partial, team.scratch + threadid() * team.scratch_size)
    for chunk in range(chunks):
        fold(total, team.partials + chunk * team.width, sums)


ctypedef struct DotContext:
    const Kernels *simd
    const double *a
    const double *b


cdef void dot_chunk(void *context, Py_ssize_t first, Py_ssize_t rows, double *partial,
                    double *scratch) noexcept nogil:
    cdef DotContext *v = <DotContext *>context
    memset(scratch, 0, LANES * sizeof(double))
    v.simd.dot(rows, v.a + first, v.b + first, scratch)
    v.simd.lane_sum(scratch, 1, partial + SUMS)


cdef double dot(Team *team, Py_ssize_t n, const double *a, const double *b) noexcept nogil:
    cdef double[3] total
    cdef DotContext v
    v.simd, v.a, v.b = team.simd, a, b
    run_chunks(team, dot_chunk, &v, n, 2, 1, total)
    return total[SUMS]


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
