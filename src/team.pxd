"""Chunks of rows, the threads that share them, and the memory of a solver."""

from lbfgsb._core.kernels cimport LANES, Kernels


cdef enum:
    # What a chunk reports: one maximum, one minimum, then sums.
    MAX = 0
    MIN = 1
    SUMS = 2


cdef enum:
    LEVELS = 8


# How many threads pay, found out while they work.
ctypedef struct Pace:
    int levels               # that there are; 0 if the number of threads is the user's
    int level                # of this iteration: 2^level threads
    int best                 # the fastest level of late
    int up                   # 1 or -1: where the next one to be tried lies
    int pause                # iterations between two tries
    int rest                 # iterations until the next one
    double debt              # seconds that the last one lost, less what has been paid for them
    double seconds           # that the long passes of this iteration took
    double work              # doubles that they read
    double rate[LEVELS]      # seconds a double of each level, of late; 0: not known


ctypedef struct Team:
    const Kernels *simd      # the kernels in use
    int threads              # at most
    Pace pace
    Py_ssize_t width         # doubles of a partial result, at most
    Py_ssize_t scratch_size  # doubles of scratch a thread has
    Py_ssize_t *next         # (threads, LANES) the chunk to be taken next of each thread's own
    double *scratch          # (threads, scratch_size)
    double *partials         # (chunks, width), or one row if threads == 1
    double *total            # (width,) for the combined result


# Works on rows first .. first + rows - 1. `partial` comes initialised (0, inf, 0, 0, ...);
# `scratch` is the thread's own and 64-byte aligned.
ctypedef void (*ChunkTask)(void *context, Py_ssize_t first, Py_ssize_t rows, double *partial,
                           double *scratch) noexcept nogil

# Where buffers are taken from: what a solver keeps from one evaluation to the next, and what is
# work within a call, which the problems of a batch share.
ctypedef struct Room:
    char *kept
    char *work


cdef char *aligned_block(size_t size) noexcept nogil
cdef Py_ssize_t chunk_count(Py_ssize_t rows) noexcept nogil
cdef void team_place(Team *team, Py_ssize_t rows, Room *room) noexcept nogil
cdef int allowed_threads(int threads) noexcept nogil
cdef int most_threads(int wanted) noexcept nogil
cdef void team_set_threads(Team *team, int threads, Py_ssize_t rows) noexcept nogil
cdef void team_end_pass(Team *team, double seconds, double work) noexcept nogil
cdef void team_end_iteration(Team *team) noexcept nogil
cdef void run_chunks(Team *team, ChunkTask task, void *context, Py_ssize_t rows,
                     Py_ssize_t columns, Py_ssize_t sums, double *total,
                     bint backward=*) noexcept nogil
cdef double dot(Team *team, Py_ssize_t n, const double *a, const double *b) noexcept nogil


cdef inline Py_ssize_t padded(Py_ssize_t n) noexcept nogil:
    """n rounded up to a multiple of LANES."""
    return (n + LANES - 1) // LANES * LANES


cdef inline void *carve(char **cursor, Py_ssize_t count, Py_ssize_t itemsize) noexcept nogil:
    """Take `count` items from the block at `cursor`, on a boundary of 64 bytes.

    Run over a null cursor, the same calls measure the block that they need.
    """
    cdef char *start = cursor[0]
    cursor[0] += (count * itemsize + 63) // 64 * 64
    return start
