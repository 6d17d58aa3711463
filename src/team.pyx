"""Chunks of rows, the threads that share them, and the order in which results are combined.

Everything that is O(n) runs over chunks of CHUNK rows. A chunk gives a partial result (one
maximum, one minimum, any number of sums); the partial results are combined in the order of the
chunks, whoever computed them. Hence the same bits for any number of threads.

No thread is started for ``threads=1``. OpenMP's pool does not survive a fork: a child of a
process that has used it works with one thread, which changes no result.
"""
from cython.parallel cimport prange, threadid
from libc.math cimport INFINITY
from libc.string cimport memset

from lbfgsb._core.kernels cimport BLOCK, CHUNK, LANES, Kernels, prefetch, processors

cdef extern from "unistd.h" nogil:
    int getpid()

cdef extern from "stdlib.h" nogil:
    int posix_memalign(void **pointer, size_t alignment, size_t size)

cdef extern from *:
    """
    #ifdef __linux__
    #include <sys/mman.h>
    /* Advice: whether the kernel takes it or not changes nothing but the time. */
    #define advise_huge_pages(block, size) ((void)madvise(block, size, MADV_HUGEPAGE))
    #else
    #define advise_huge_pages(block, size) ((void)0)
    #endif
    """
    void advise_huge_pages(void *block, size_t size) nogil

# Fewer elements than this a thread are not worth waking it for.
cdef enum:
    WORTH_A_THREAD = 1 << 16

# As many threads as anyone may ask for, whatever the number of processors.
cdef enum:
    MOST_THREADS = 16

cdef enum:
    HUGE_PAGE = 1 << 21

# The process that started the OpenMP pool; 0 while there is none.
cdef int pool_owner = 0


cdef char *aligned_block(size_t size) noexcept nogil:
    """Memory on a cache line or, where it pays, on huge pages: W is one long stream. NULL: none.

    It is given back by `free`.
    """
    cdef void *block = NULL
    cdef bint huge = size >= 4 * HUGE_PAGE
    if posix_memalign(&block, HUGE_PAGE if huge else 64, size) != 0:
        return NULL
    if huge:
        advise_huge_pages(block, size)
    return <char *>block


cdef Py_ssize_t chunk_count(Py_ssize_t rows) noexcept nogil:
    return (rows + CHUNK - 1) // CHUNK


cdef void team_place(Team *team, Py_ssize_t rows, Room *room) noexcept nogil:
    """Give the team its buffers; `threads`, `width` and `scratch_size` are set before."""
    cdef Py_ssize_t kept = chunk_count(rows) if team.threads > 1 else 1
    team.scratch = <double *>carve(&room.work, team.threads * team.scratch_size, sizeof(double))
    team.partials = <double *>carve(&room.work, kept * team.width, sizeof(double))
    team.total = <double *>carve(&room.work, team.width, sizeof(double))


cdef int worthwhile_threads(Team *team, Py_ssize_t rows, Py_ssize_t columns) noexcept nogil:
    cdef Py_ssize_t most = min(chunk_count(rows), rows * columns // WORTH_A_THREAD)
    return allowed_threads(<int>min(<Py_ssize_t>team.threads, most))


cdef int allowed_threads(int threads) noexcept nogil:
    """One in a process whose parent has used OpenMP's pool, else `threads`; at least one.

    Not many more than there are processors: OpenMP ends the process if it can't start them.
    """
    global pool_owner
    if threads <= 1:
        return 1
    threads = min(threads, max(processors(), <int>MOST_THREADS))
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
                     Py_ssize_t columns, Py_ssize_t sums, double *total,
                     bint backward=False) noexcept nogil:
    """Run `task` on every chunk of `rows` rows and combine what they report.

    Parameters
    ----------
    columns : how many doubles of a row the task reads, about; decides on the threads
    sums : the number of sums the task reports, at most ``team.width - SUMS``
    total : OUT, (SUMS + sums,)
    backward : from the last chunk to the first, and combined in that order. The second of two
        passes that follow one another then begins with what the first has left in the cache.
    """
    cdef Py_ssize_t chunk, at, chunks
    cdef int threads
    cdef double *partial
    clear(total, sums)
    if rows <= CHUNK:
        task(context, 0, rows, total, team.scratch)
        return
    chunks, threads = chunk_count(rows), worthwhile_threads(team, rows, columns)
    if threads == 1:
        for chunk in range(chunks):
            at = chunks - 1 - chunk if backward else chunk
            clear(team.partials, sums)
            task(context, at * CHUNK, min(<Py_ssize_t>CHUNK, rows - at * CHUNK),
                 team.partials, team.scratch)
            fold(total, team.partials, sums)
        return
    for chunk in prange(chunks, num_threads=threads, schedule='static'):
        at = chunks - 1 - chunk if backward else chunk
        partial = team.partials + chunk * team.width
        clear(partial, sums)
        task(context, at * CHUNK, min(<Py_ssize_t>CHUNK, rows - at * CHUNK),
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
    cdef Py_ssize_t block, i, size, ahead
    memset(scratch, 0, LANES * sizeof(double))
    for block in range((rows + BLOCK - 1) // BLOCK):
        i = first + block * BLOCK
        size = min(<Py_ssize_t>BLOCK, first + rows - i)
        ahead = min(<Py_ssize_t>BLOCK, first + rows - i - size)
        prefetch(v.a + i + size, ahead)
        prefetch(v.b + i + size, ahead)
        v.simd.dot(size, v.a + i, v.b + i, scratch)
    v.simd.lane_sum(scratch, 1, partial + SUMS)


cdef double dot(Team *team, Py_ssize_t n, const double *a, const double *b) noexcept nogil:
    cdef double[3] total
    cdef DotContext v
    if n <= BLOCK:    # as one chunk would do it
        total[SUMS] = 0
        memset(team.scratch, 0, LANES * sizeof(double))
        team.simd.dot(n, a, b, team.scratch)
        team.simd.lane_sum(team.scratch, 1, total + SUMS)
        return total[SUMS]
    v.simd, v.a, v.b = team.simd, a, b
    run_chunks(team, dot_chunk, &v, n, 2, 1, total)
    return total[SUMS]
