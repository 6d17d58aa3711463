"""Chunks of rows, the threads that share them, and the order in which results are combined.

Everything that is O(n) runs over chunks of CHUNK rows. A chunk gives a partial result (one
maximum, one minimum, any number of sums); the partial results are combined in the order of the
chunks, whoever computed them. Hence the same bits for any number of threads.

Each thread has a run of neighbouring chunks of its own, the same in every pass, so that the memory
it reads is the memory it wrote. When it is done it takes from the others: one that has to share its
processor with another program, or with a BLAS that waits for work, holds up nobody.

No thread is started for ``threads=1``. OpenMP's pool does not survive a fork: a child of a
process that has used it works with one thread, which changes no result.
"""
from cython.parallel cimport parallel, threadid
from libc.limits cimport INT_MAX
from libc.math cimport INFINITY
from libc.string cimport memset

from lbfgsb._core.kernels cimport BLOCK, CHUNK, LANES, Kernels, prefetch, processors
from lbfgsb._core.platform cimport (PLATFORM_OPENMP, platform_add, platform_advise_huge_pages,
                                    platform_allocate, platform_load, platform_process,
                                    platform_seconds, platform_store, platform_try_threads)

cdef extern from *:
    """
    /* The threads of OpenMP's pool, this one among them: each thread that asks has a pool. */
    static _Thread_local int team_pool = 1;
    """
    int team_pool

# What a level must be faster by to be the best one, and how many iterations pass between two tries,
# at first and at most.
cdef double FASTER = 0.95
cdef enum:
    FIRST_PAUSE = 4
    LONGEST_PAUSE = 64

# The part of the time that tries may cost, and the seconds that the first one may: a thread whose
# processor another program holds is waited for until that program's turn is over, which is several
# short iterations.
cdef double PART_FOR_TRIES = 0.04
cdef double FIRST_TRY = 4e-3

# Fewer elements than this a thread are not worth waking it for.
cdef enum:
    WORTH_A_THREAD = 1 << 16

# As many threads as anyone may ask for, whatever the number of processors.
cdef enum:
    MOST_THREADS = 16

cdef enum:
    HUGE_PAGE = 1 << 21

# The process that started the OpenMP pool; 0 while there is none.
cdef Py_ssize_t pool_owner = 0

# As many threads as the system has let a pool have when it refused more.
cdef Py_ssize_t most_started = INT_MAX


cdef char *aligned_block(size_t size) noexcept nogil:
    """Memory on a cache line or, where it pays, on huge pages: W is one long stream. NULL: none.

    It is given back by `platform_free`.
    """
    cdef bint huge = size >= 4 * HUGE_PAGE
    cdef void *block = platform_allocate(size, HUGE_PAGE if huge else 64)
    if huge and block != NULL:
        platform_advise_huge_pages(block, size)
    return <char *>block


cdef Py_ssize_t chunk_count(Py_ssize_t rows) noexcept nogil:
    return (rows + CHUNK - 1) // CHUNK


cdef void team_place(Team *team, Py_ssize_t rows, Room *room) noexcept nogil:
    """Give the team its buffers; its threads, `width` and `scratch_size` are set before."""
    cdef Py_ssize_t kept = chunk_count(rows) if team.threads > 1 else 1
    team.next = <Py_ssize_t *>carve(&room.work, team.threads * LANES, sizeof(Py_ssize_t))
    team.scratch = <double *>carve(&room.work, team.threads * team.scratch_size, sizeof(double))
    team.partials = <double *>carve(&room.work, kept * team.width, sizeof(double))
    team.total = <double *>carve(&room.work, team.width, sizeof(double))


cdef int most_threads(int wanted) noexcept nogil:
    """As many threads as the option allows; 0 stands for all processors."""
    return wanted if wanted > 0 else min(processors(), <int>MOST_THREADS)


# --- how many threads pay -----------------------------------------------------------------


cdef void team_set_threads(Team *team, int threads, Py_ssize_t rows) noexcept nogil:
    """Allow so many threads; 0: begin with one and find out how many pay."""
    team.threads = <int>min(<Py_ssize_t>most_threads(threads), chunk_count(rows))
    memset(&team.pace, 0, sizeof(Pace))
    team.pace.up, team.pace.pause, team.pace.rest = 1, FIRST_PAUSE, 1
    team.pace.debt = FIRST_TRY
    while threads == 0 and team.pace.levels < LEVELS and 1 << team.pace.levels < 2 * team.threads:
        team.pace.levels += 1


cdef void team_end_pass(Team *team, double seconds, double work) noexcept nogil:
    """Count a pass over `work` doubles. A try that is much too slow ends with it."""
    cdef Pace *p = &team.pace
    p.seconds += seconds
    p.work += work
    if p.level != p.best and p.seconds > 2 * p.work * p.rate[p.best]:
        team_end_iteration(team)


cdef void team_end_iteration(Team *team) noexcept nogil:
    """Choose the threads of the next iteration by the time that the last one's passes took.

    The best level is kept; one beside it is tried for an iteration now and then, when the time
    since has paid for what the last try lost, and at once if it was faster when it was last seen.
    Nobody knows what else the processors are busy with: a BLAS keeps its threads spinning for a
    while, a neighbour comes and goes.
    """
    cdef Pace *p = &team.pace
    cdef double seconds = p.seconds, rate, lost
    if p.levels < 2 or p.work == 0:
        return
    rate, lost = seconds / p.work, seconds - p.work * p.rate[p.best]
    p.seconds = p.work = 0
    if p.level != p.best:    # this was a try
        p.rate[p.level] = rate
        if rate < FASTER * p.rate[p.best]:
            p.debt = -lost if p.level < p.best else 0    # what more threads than now lose
            p.best, p.pause, p.rest = p.level, FIRST_PAUSE, 1
        else:
            p.debt = lost
            p.level, p.up = p.best, -p.up
            p.rest = p.pause = min(2 * p.pause, <int>LONGEST_PAUSE)
        return
    p.rate[p.level] = rate if p.rate[p.level] == 0 else 0.5 * (p.rate[p.level] + rate)
    p.debt -= PART_FOR_TRIES * seconds
    p.rest -= 1
    if not 0 <= p.best + p.up < p.levels:
        p.up = -p.up
    if p.rest <= 0 and p.debt <= 0 or (0 < p.rate[p.best + p.up] < FASTER * p.rate[p.best]
                                       and p.rest <= p.pause - FIRST_PAUSE):
        p.level = p.best + p.up


# --- a pass -------------------------------------------------------------------------------


cdef int allowed_threads(int threads) noexcept nogil:
    """One in a process whose parent has used OpenMP's pool, else `threads`; at least one.

    Not many more than there are processors, and no more than the system lets start.
    """
    cdef Py_ssize_t process, owner
    if threads <= 1 or not PLATFORM_OPENMP:
        return 1
    threads = min(threads, max(processors(), <int>MOST_THREADS))
    process, owner = platform_process(), platform_load(&pool_owner)
    if owner == 0:
        platform_store(&pool_owner, process)
    return started_threads(threads) if owner == 0 or owner == process else 1


cdef int started_threads(int threads) noexcept nogil:
    """`threads`, or as many as the system lets this thread's pool have.

    OpenMP ends the process if it can't start a thread (limits of memory, of processes). So
    those that its pool lacks are started beforehand, for nothing, and one more: their stacks then
    are there to be used again, and the room of the one more is for what OpenMP keeps beside them.
    A pool has the threads of the last parallel region: those that it did not need have ended.

    A refusal holds for the rest of the process; to ask at each pass would cost more than it brings.
    """
    global team_pool
    cdef int lacking, could
    threads = <int>min(<Py_ssize_t>threads, platform_load(&most_started))
    lacking = threads - team_pool
    if lacking > 0:
        could = max(platform_try_threads(lacking + 1) - 1, 0)
        if could < lacking:
            threads = team_pool + could
            platform_store(&most_started, threads)
    if threads > 1:
        team_pool = threads
    return threads


cdef int worthwhile_threads(Team *team, Py_ssize_t rows, Py_ssize_t columns) noexcept nogil:
    cdef Py_ssize_t most = min(chunk_count(rows), rows * columns // WORTH_A_THREAD)
    if team.pace.levels > 0:
        most = min(most, 1 << team.pace.level)
    return allowed_threads(<int>min(<Py_ssize_t>team.threads, most))


cdef void clear(double *partial, Py_ssize_t sums) noexcept nogil:
    memset(partial, 0, (SUMS + sums) * sizeof(double))
    partial[MIN] = INFINITY


cdef void fold(double *total, const double *partial, Py_ssize_t sums) noexcept nogil:
    cdef Py_ssize_t i
    total[MAX] = max(total[MAX], partial[MAX])
    total[MIN] = min(total[MIN], partial[MIN])
    for i in range(SUMS, SUMS + sums):
        total[i] += partial[i]


ctypedef struct Pass:
    Team *team
    ChunkTask task
    void *context
    Py_ssize_t rows
    Py_ssize_t chunks
    Py_ssize_t sums
    bint backward
    int threads


cdef void run_chunk(const Pass *v, Py_ssize_t chunk, double *partial,
                    double *scratch) noexcept nogil:
    cdef Py_ssize_t first = (v.chunks - 1 - chunk if v.backward else chunk) * CHUNK
    clear(partial, v.sums)
    v.task(v.context, first, min(<Py_ssize_t>CHUNK, v.rows - first), partial, scratch)


cdef void run_alone(const Pass *v, double *total) noexcept nogil:
    cdef Py_ssize_t chunk
    for chunk in range(v.chunks):
        run_chunk(v, chunk, v.team.partials, v.team.scratch)
        fold(total, v.team.partials, v.sums)


cdef void run_together(const Pass *v, double *total) noexcept nogil:
    cdef Py_ssize_t chunk
    cdef int thread
    for thread in range(v.threads):
        v.team.next[thread * LANES] = first_chunk(v, thread)
    with parallel(num_threads=v.threads):
        take_chunks(v, threadid())
    for chunk in range(v.chunks):
        fold(total, v.team.partials + chunk * v.team.width, v.sums)


cdef inline Py_ssize_t first_chunk(const Pass *v, int thread) noexcept nogil:
    """Where a thread's own chunks begin; they end where the next one's begin."""
    return thread * v.chunks // v.threads


cdef void take_chunks(const Pass *v, int thread) noexcept nogil:
    """Work off a thread's own chunks, then those that others have not come to."""
    cdef double *scratch = v.team.scratch + thread * v.team.scratch_size
    cdef Py_ssize_t *next_
    cdef Py_ssize_t chunk, end
    cdef int i, owner
    for i in range(v.threads):
        owner = (thread + i) % v.threads
        next_, end = v.team.next + owner * LANES, first_chunk(v, owner + 1)
        chunk = platform_add(next_, 1)
        while chunk < end:
            run_chunk(v, chunk, v.team.partials + chunk * v.team.width, scratch)
            chunk = platform_add(next_, 1)


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
    cdef Pass v
    cdef double since = 0
    cdef bint timed = team.pace.levels > 1 and rows * columns >= 2 * <Py_ssize_t>WORTH_A_THREAD
    clear(total, sums)
    if rows <= CHUNK:
        task(context, 0, rows, total, team.scratch)
        return
    v.team, v.task, v.context = team, task, context
    v.rows, v.sums, v.backward = rows, sums, backward
    v.chunks, v.threads = chunk_count(rows), worthwhile_threads(team, rows, columns)
    if timed:
        since = platform_seconds()
    if v.threads == 1:
        run_alone(&v, total)
    else:
        run_together(&v, total)
    if timed:
        team_end_pass(team, platform_seconds() - since, <double>rows * columns)


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
