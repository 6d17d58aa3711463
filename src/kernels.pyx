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

import time

import numpy as np

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

cdef extern from "kernels.h" nogil:
    const Kernels *lbfgsb_kernels()
    const Kernels *const *lbfgsb_kernels_supported()

# Fewer elements than this a thread are not worth waking it for.
cdef enum:
    WORTH_A_THREAD = 1 << 16

# As many threads as anyone may ask for, whatever the number of processors.
cdef enum:
    MOST_THREADS = 16

# The process that started the OpenMP pool; 0 while there is none.
cdef int pool_owner = 0


cdef const Kernels *kernels_in_use() noexcept nogil:
    """The kernels for this processor, or those that LBFGSB_CPU names."""
    return lbfgsb_kernels()


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
    threads = min(threads, max(omp_get_num_procs(), <int>MOST_THREADS))
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


# --- for the benchmark --------------------------------------------------------------------


ctypedef struct ReadContext:
    const Kernels *simd
    const double *W
    const Py_ssize_t *columns
    Py_ssize_t count


cdef void read_chunk(void *context, Py_ssize_t first, Py_ssize_t rows, double *partial,
                     double *scratch) noexcept nogil:
    cdef ReadContext *v = <ReadContext *>context
    cdef Py_ssize_t block, i, size
    cdef double *acc = scratch + BLOCK
    memset(scratch, 0, BLOCK * sizeof(double))
    for block in range((rows + BLOCK - 1) // BLOCK):
        i = first + block * BLOCK
        size = min(<Py_ssize_t>BLOCK, first + rows - i)
        v.simd.panel_tdot(v.W + i * v.count, v.count * LANES, v.columns, v.count,
                          (size + LANES - 1) // LANES, scratch, 1, block == 0, acc)


def read_seconds(Py_ssize_t n, Py_ssize_t columns, int threads=1, int repeats=7):
    """Return the least time in seconds of one read of W (n, columns): the memory's limit."""
    cdef Py_ssize_t rows = (n + LANES - 1) // LANES * LANES
    cdef ReadContext v
    cdef Team team
    cdef Room room = Room(NULL, NULL)
    cdef char[::1] buffers
    cdef double[::1] W
    cdef Py_ssize_t[::1] offsets = np.arange(columns, dtype=np.intp) * LANES
    team.simd, team.threads, team.width = lbfgsb_kernels(), threads, SUMS
    team.scratch_size = BLOCK + columns * LANES
    team_place(&team, rows, &room)
    memory = np.ones(rows * columns + LANES)    # written once: unwritten pages are not read
    W = memory[(-memory.ctypes.data // 8) % LANES:]
    space = np.zeros(<size_t>room.work + 64, dtype=np.int8)
    buffers = space[-space.ctypes.data % 64:]
    room.work = &buffers[0]
    team_place(&team, rows, &room)
    v.simd, v.W, v.columns, v.count = team.simd, &W[0], &offsets[0], columns
    best = float('inf')
    for _ in range(repeats):
        start = time.perf_counter()
        with nogil:
            run_chunks(&team, read_chunk, &v, rows, columns, 0, team.total)
        best = min(best, time.perf_counter() - start)
    return best


# --- for the tests ------------------------------------------------------------------------

cdef const Kernels *kernels_named(level) except NULL:
    cdef const Kernels *const *each = lbfgsb_kernels_supported()
    while each[0] != NULL:
        if each[0].name.decode() == level:
            return each[0]
        each += 1
    raise ValueError(f'this processor has no kernels {level!r}')


def aligned(*shape):
    """Return zeros at a multiple of 64 bytes."""
    size = int(np.prod(shape))
    block = np.zeros(size + LANES)
    first = -block.ctypes.data // 8 % LANES
    return block[first:first + size].reshape(shape)


cdef class Panel:
    """Columns (ncols, n) in tiles, last one first, and what the kernels of one level make of
    them."""

    cdef const Kernels *simd
    cdef Py_ssize_t n, ncols, ld, tiles
    cdef double[::1] W
    cdef Py_ssize_t[::1] cols

    def __init__(self, level, columns):
        cdef double[::1] v
        cdef Py_ssize_t c
        self.simd = kernels_named(level)
        self.ncols, self.n = columns.shape
        self.ld, self.tiles = self.ncols * LANES, (self.n + LANES - 1) // LANES
        self.W = aligned(self.tiles * self.ld)
        self.cols = np.arange(self.ncols, dtype=np.intp)[::-1] * LANES
        for c in range(self.ncols):
            v = padded = aligned(self.tiles * LANES)
            padded[:self.n] = columns[c]
            self.simd.panel_store(&self.W[0], self.ld, self.cols[c], self.tiles, &v[0])

    def column(self, Py_ssize_t c):
        """Return column c, (n,)."""
        cdef double[::1] v = np.empty(self.n)
        self.simd.panel_load(&self.W[0], self.ld, self.cols[c], self.n, &v[0])
        return np.asarray(v)

    def tdot(self, vectors):
        """Return the columns' inner products with up to MAX_RHS vectors, (ncols, nrhs)."""
        cdef Py_ssize_t first, size, entries = self.ncols * len(vectors)
        cdef double[:, ::1] V
        cdef double[::1] acc = aligned(entries * LANES), total = np.zeros(entries)
        for first in range(0, self.n, BLOCK):
            size = min(<Py_ssize_t>BLOCK, self.n - first)
            V = padded = aligned(len(vectors), BLOCK)
            padded[:, :size] = vectors[:, first:first + size]
            self.simd.panel_tdot(&self.W[first // LANES * self.ld], self.ld, &self.cols[0],
                                 self.ncols, (size + LANES - 1) // LANES, &V[0, 0],
                                 V.shape[0], first % CHUNK == 0, &acc[0])
            if (first + size) % CHUNK == 0 or first + size == self.n:
                self.simd.lane_sum(&acc[0], entries, &total[0])
        return np.reshape(total, (self.ncols, -1))

    def combine(self, const double[::1] coef):
        """Return the sum of the columns times `coef`, (n,)."""
        cdef double[::1] out = aligned(self.tiles * LANES)
        self.simd.panel_combine(&self.W[0], self.ld, &self.cols[0], &coef[0], self.ncols,
                                self.tiles, &out[0])
        return np.asarray(out[:self.n])

    def gram(self, const Py_ssize_t[::1] rows):
        """Return the inner products of the columns over `rows`: the lower triangle by rows."""
        cdef Py_ssize_t first, entries = self.ncols * (self.ncols + 1) // 2
        cdef double[::1] packed = aligned(self.ncols * PACK), acc = aligned(entries * LANES)
        cdef double[::1] total = np.zeros(entries)
        for first in range(0, rows.shape[0], PACK):
            self.simd.panel_gather(&self.W[0], self.ld, &self.cols[0], self.ncols, &rows[first],
                                   min(<Py_ssize_t>PACK, rows.shape[0] - first), &packed[0])
            self.simd.packed_gram(&packed[0], self.ncols, &acc[0])
        self.simd.lane_sum(&acc[0], entries, &total[0])
        return np.asarray(total)


def inner_product(level, const double[::1] a, const double[::1] b, int threads=1):
    """Return aᵀ b as the solver computes it."""
    cdef Team team
    cdef Room room = Room(NULL, NULL)
    cdef double[::1] block
    cdef double result
    team.simd, team.threads = kernels_named(level), threads
    team.width, team.scratch_size = SUMS + 1, LANES
    team_place(&team, a.shape[0], &room)
    block = aligned(<size_t>room.work // sizeof(double))
    room.work = <char *>&block[0]
    team_place(&team, a.shape[0], &room)
    with nogil:
        result = dot(&team, a.shape[0], &a[0], &b[0])
    return result


def trial_point(level, double alpha, const double[::1] x, const double[::1] d,
                const double[::1] lower=None, const double[::1] upper=None):
    """Return x + alpha d, in the box if there is one."""
    cdef double[::1] out = np.empty(x.shape[0])
    if lower is None:
        kernels_named(level).trial_free(x.shape[0], alpha, &x[0], &d[0], &out[0])
    else:
        kernels_named(level).trial_box(x.shape[0], alpha, &x[0], &d[0], &lower[0], &upper[0],
                                       &out[0])
    return np.asarray(out)


def accept_step(level, double alpha, x, const double[::1] d, g, const double[::1] g_new,
                const double[::1] lower=None, const double[::1] upper=None):
    """Return what a step changes and measures, by name; x and g themselves stay."""
    cdef Py_ssize_t n = d.shape[0]
    cdef double[::1] x_ = x.copy(), g_ = g.copy(), s = np.empty(n), y = np.empty(n)
    cdef double[::1] g_free = np.empty(n)
    cdef double norm, t_min = INFINITY, pinned = 0
    moved = {'x': np.asarray(x_), 'g': np.asarray(g_), 's': np.asarray(s), 'y': np.asarray(y)}
    if lower is None:
        norm = kernels_named(level).accept_free(n, alpha, &x_[0], &d[0], &g_[0], &g_new[0],
                                                &s[0], &y[0])
        return moved | {'norm': norm}
    norm = kernels_named(level).accept_box(n, alpha, &x_[0], &d[0], &lower[0], &upper[0], &g_[0],
                                           &g_new[0], &s[0], &y[0], &g_free[0], &t_min, &pinned)
    return moved | {'norm': norm, 'g_free': np.asarray(g_free), 't_min': t_min,
                    'pinned': pinned}


def masked(level, const signed char[::1] status, const double[::1] v):
    """Return v where status is zero, else 0."""
    cdef double[::1] out = np.empty(v.shape[0])
    kernels_named(level).mask(v.shape[0], &status[0], &v[0], &out[0])
    return np.asarray(out)


def model_step(level, double inv_theta, const double[::1] x, const double[::1] g,
               const double[::1] we, const double[::1] lower=None,
               const double[::1] upper=None, double t_fixed=0, t_cauchy=None, double alpha=1):
    """Return d and its largest feasible multiple; with `t_cauchy`, d is truncated at alpha."""
    cdef const Kernels *simd = kernels_named(level)
    cdef double[::1] d = np.empty(x.shape[0])
    cdef double limit = INFINITY
    if lower is None:
        simd.step_free(x.shape[0], inv_theta, &g[0], &we[0], &d[0])
    elif t_cauchy is None:
        limit = simd.step_box(x.shape[0], inv_theta, t_fixed, &x[0], &g[0], &lower[0],
                              &upper[0], &we[0], &d[0])
    else:
        limit = simd.step_truncated(x.shape[0], inv_theta, t_fixed, t_cauchy, alpha, &x[0],
                                    &g[0], &lower[0], &upper[0], &we[0], &d[0])
    return np.asarray(d), limit


def model_limit(level, double inv_theta, const double[::1] x, const double[::1] g,
                const double[::1] we, const double[::1] lower, const double[::1] upper,
                double t_fixed, double t_cauchy):
    """Return the largest alpha <= 1 for which the truncated step is feasible."""
    return kernels_named(level).subspace_limit(x.shape[0], inv_theta, t_fixed, t_cauchy, &x[0],
                                               &g[0], &lower[0], &upper[0], &we[0])


def status_at(level, double t_fixed, const double[::1] x, const double[::1] g,
              const double[::1] lower, const double[::1] upper, status, Py_ssize_t first=0):
    """Return the status of each variable at t_fixed, and the rows that changed sides."""
    cdef signed char[::1] now = status.copy()
    cdef Py_ssize_t[::1] changed = np.empty(x.shape[0], dtype=np.intp)
    cdef Py_ssize_t count = kernels_named(level).update_status(
        x.shape[0], first, t_fixed, &x[0], &g[0], &lower[0], &upper[0], &now[0], &changed[0])
    return np.asarray(now), np.asarray(changed[:count])


def break_points(level, double t_low, double t_high, const double[::1] x, const double[::1] g,
                 const double[::1] lower, const double[::1] upper, Py_ssize_t first=0):
    """Return the break points in (t_low, t_high] and their rows."""
    cdef double[::1] t = np.empty(x.shape[0])
    cdef Py_ssize_t[::1] row = np.empty(x.shape[0], dtype=np.intp)
    cdef Py_ssize_t count = kernels_named(level).break_points(
        x.shape[0], first, t_low, t_high, &x[0], &g[0], &lower[0], &upper[0], &t[0], &row[0])
    return np.asarray(t[:count]), np.asarray(row[:count])
