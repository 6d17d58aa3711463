"""What the tests see of the core: its pieces one at a time, with NumPy arrays in and out.

No other module imports this one, and it is built only with -Dtests=true.
"""
from libc.math cimport INFINITY

from lbfgsb._core.base_solver cimport BaseSolver
from lbfgsb._core.dense cimport solve_upper, solve_upper_transposed
from lbfgsb._core.kernels cimport Panel as Panels
from lbfgsb._core.kernels cimport (BLOCK, CHUNK, LANES, PACK, Kernels, kernels_in_use,
                                   kernels_named)
from lbfgsb._core.line_search cimport (ACCEPT_BEST, ACCEPT_TRIAL, TRY_NEXT, LineSearch,
                                       LineSearchVerdict, line_search_give_up, line_search_start,
                                       line_search_tell)
from lbfgsb._core.slope_monitor cimport (WINDOW, Check, SlopeMonitor, slope_monitor_alarms,
                                         slope_monitor_begin, slope_monitor_mismatch,
                                         slope_monitor_search, slope_monitor_set_precision,
                                         slope_monitor_tell,
                                         slope_monitor_window)
from lbfgsb._core.solver cimport SolverState, find_cauchy
from lbfgsb._core.team cimport (SUMS, Room, Team, dot, padded, team_end_iteration, team_end_pass,
                                team_place, team_set_threads)

import numpy as np


# --- kernels ------------------------------------------------------------------------------


def aligned(*shape):
    """Return zeros at a multiple of 64 bytes."""
    size = int(np.prod(shape))
    block = np.zeros(size + LANES)
    first = -block.ctypes.data // 8 % LANES
    return block[first:first + size].reshape(shape)


cdef class Panel:
    """Columns (ncols, n) in tiles, last one first, and what the kernels of one level make of
    them; in float32 if they are."""

    cdef const Kernels *simd
    cdef const Panels *panel
    cdef Py_ssize_t n, ncols, ld, tiles
    cdef double[::1] W    # memory, in which float32 takes the first half
    cdef Py_ssize_t[::1] cols

    def __init__(self, level, columns):
        cdef double[::1] v
        cdef Py_ssize_t c
        self.simd = kernels_named(level)
        self.panel = &self.simd.float64
        if columns.dtype == np.float32:
            self.panel = &self.simd.float32
        self.ncols, self.n = columns.shape
        self.ld, self.tiles = self.ncols * LANES, (self.n + LANES - 1) // LANES
        self.W = aligned(self.tiles * self.ld)
        self.cols = np.arange(self.ncols, dtype=np.intp)[::-1] * LANES
        for c in range(self.ncols):
            v = padded = aligned(self.tiles * LANES)
            padded[:self.n] = columns[c]
            self.panel.store(&self.W[0], self.ld, self.cols[c], self.tiles, 1, &v[0])

    cdef void *tiles_from(self, Py_ssize_t row):
        return <char *>&self.W[0] + row // LANES * self.ld * self.panel.entry_size

    def column(self, Py_ssize_t c):
        """Return column c, (n,)."""
        cdef double[::1] v = np.empty(self.n)
        self.panel.load(&self.W[0], self.ld, self.cols[c], self.n, &v[0])
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
            self.panel.tdot(self.tiles_from(first), self.ld, &self.cols[0], self.ncols,
                            (size + LANES - 1) // LANES, &V[0, 0], V.shape[0],
                            first % CHUNK == 0, &acc[0])
            if (first + size) % CHUNK == 0 or first + size == self.n:
                self.simd.lane_sum(&acc[0], entries, &total[0])
        return np.reshape(total, (self.ncols, -1))

    def combine(self, const double[::1] coef):
        """Return the sum of the columns times `coef`, (n,)."""
        cdef double[::1] out = aligned(self.tiles * LANES)
        self.panel.combine(&self.W[0], self.ld, &self.cols[0], &coef[0], self.ncols, self.tiles,
                           &out[0])
        return np.asarray(out[:self.n])

    def gram(self, const Py_ssize_t[::1] rows):
        """Return the inner products of the columns over `rows`: the lower triangle by rows."""
        cdef Py_ssize_t first, entries = self.ncols * (self.ncols + 1) // 2
        cdef double[::1] packed = aligned(self.ncols * PACK), acc = aligned(entries * LANES)
        cdef double[::1] total = np.zeros(entries)
        for first in range(0, rows.shape[0], PACK):
            self.panel.gather(&self.W[0], self.ld, &self.cols[0], self.ncols, &rows[first],
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
    team.simd, team.width, team.scratch_size = kernels_named(level), SUMS + 1, LANES
    team_set_threads(&team, threads, a.shape[0])
    team_place(&team, a.shape[0], &room)
    block = aligned(<size_t>room.work // sizeof(double))
    room.work = <char *>&block[0]
    team_place(&team, a.shape[0], &room)
    with nogil:
        result = dot(&team, a.shape[0], &a[0], &b[0])
    return result


def levels_of(Py_ssize_t count, seconds, Py_ssize_t passes=1):
    """Return the levels that threads='auto' chooses for the passes of `count` iterations.

    seconds(iteration, level) is the time that a pass takes.
    """
    cdef Team team
    team_set_threads(&team, 0, 1 << 40)
    team.pace.levels = 3    # whatever the processors of this machine
    levels = []
    for i in range(count):
        for _ in range(passes):
            levels.append(team.pace.level)
            team_end_pass(&team, seconds(i, team.pace.level), 1)
        team_end_iteration(&team)
    return levels


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


# --- dense --------------------------------------------------------------------------------


def cholesky_factor(A, X=None):
    """Return the upper R with A = RᵀR, and R⁻ᵀ X if there is an X.

    None if A is not positive definite.
    """
    cdef Py_ssize_t n = len(A), extra = 0 if X is None else X.shape[1]
    cdef Py_ssize_t width = padded(n) + padded(extra)
    cdef double[:, ::1] rows
    if n == 0:
        return np.zeros((0, 0))
    rows = block = aligned(n, width)
    block[:, :n] = np.triu(A)
    if extra:
        block[:, padded(n):padded(n) + extra] = X
    if not kernels_in_use().eliminate(&rows[0, 0], n, width, width):
        return None
    factor = np.triu(block[:, :n])
    np.fill_diagonal(factor, 1 / np.diagonal(factor))
    return factor if X is None else (factor, block[:, padded(n):padded(n) + extra])


def gram(C, U):
    """Return the upper triangle of C + UᵀU."""
    cdef Py_ssize_t n = U.shape[1], ld = padded(n)
    cdef double[:, ::1] sums = aligned(n, ld), rows = aligned(len(U), ld)
    np.asarray(sums)[:, :n], np.asarray(rows)[:, :n] = C, U
    kernels_in_use().add_gram(&rows[0, 0], len(U), n, ld, &sums[0, 0], ld)
    return np.triu(np.asarray(sums)[:, :n])


def triangular_solve(R, b, transposed=False):
    """Return R⁻¹ b, or R⁻ᵀ b, for an upper triangular R."""
    copy = np.array(R, dtype=np.float64, order='C')
    np.fill_diagonal(copy, 1 / np.diagonal(copy))
    cdef double[:, ::1] factor = copy
    cdef double[::1] x = np.array(b, dtype=np.float64)
    if transposed:
        solve_upper_transposed(&factor[0, 0], factor.shape[0], factor.shape[1], &x[0])
    else:
        solve_upper(&factor[0, 0], factor.shape[0], factor.shape[1], &x[0])
    return np.asarray(x)


# --- line_search --------------------------------------------------------------------------


def search(phi, double alpha, double alpha_max, double c1, double c2, double xtol, int maxls):
    """Search along ``phi(alpha) -> (f, slope)``; return the verdict, the step, the trials."""
    cdef LineSearch s
    cdef LineSearchVerdict verdict = TRY_NEXT
    cdef double f, slope, step = 0
    trials = []
    s.f_tol, s.g_tol, s.x_tol, s.most = c1, c2, xtol, INFINITY
    f, slope = phi(0.0)
    line_search_start(&s, f, slope, alpha, alpha_max)
    while verdict == TRY_NEXT:
        step = s.alpha
        trials.append(step)
        f, slope = phi(step)
        verdict = line_search_tell(&s, f, slope)
        if verdict == TRY_NEXT and s.trials >= maxls:
            verdict = line_search_give_up(&s)
    if verdict == ACCEPT_TRIAL:
        return 'ACCEPT_TRIAL', step, trials
    if verdict == ACCEPT_BEST:
        return 'ACCEPT_BEST', s.alpha_x, trials
    return 'NO_STEP', 0.0, trials


# --- slope_monitor ------------------------------------------------------------------------


def monitor(searches, double rounding=0, double precision=0):
    """Feed line searches, each a list of (length, f0, slope0, f1, slope1), the first from f0.

    Return the mismatch, the alarms in a row, and the window as (length, change, predicted,
    ratio), oldest first.
    """
    cdef SlopeMonitor m
    cdef Check window[WINDOW]
    cdef int i, count
    checks = []
    slope_monitor_begin(&m)
    slope_monitor_set_precision(&m, precision)
    for segments in searches:
        slope_monitor_search(&m, segments[0][1])
        for length, f0, slope0, f1, slope1 in segments:
            slope_monitor_tell(&m, length, f0, slope0, f1, slope1)
    count = slope_monitor_window(&m, window)
    for i in range(count):
        checks.append((window[i].length, window[i].change, window[i].predicted,
                       window[i].ratio))
    return slope_monitor_mismatch(&m, rounding), slope_monitor_alarms(&m), checks


# --- solver -------------------------------------------------------------------------------


def model_of(BaseSolver solver):
    """Return the pieces of the last direction: x_cauchy's t and t_fixed, c, p, d, the status of
    each variable, slope and largest step.

    For few variables c, p and e are empty and there are no Gram matrices; `whole` is the step to
    the minimiser.
    """
    cdef SolverState *s = &solver.s
    size = 0 if s.few.used else 2 * s.B.k
    if s.box.bounded and s.B.k > 0 and not s.cauchy.known:
        find_cauchy(s)
    return {
        't': s.cauchy.t, 't_fixed': s.cauchy.t_fixed, 'd': solver.vector(&s.box.d),
        'c': np.array([s.cauchy.c[i] for i in range(size)]),
        'p': np.array([s.B.p[i] for i in range(size)]),
        'e': np.array([s.subspace.e[i] for i in range(size)]),
        'theta': s.B.theta, 'slope': s.subspace.slope, 'limit': s.subspace.limit,
        'gram': None if s.few.used else solver._square(s.B.gram),
        'gram_free': None if s.few.used else solver._square(s.B.gram_free),
        'whole': solver.vector(&s.few.step) if s.few.used else None,
        'fixed': s.box.fixed, 'passed': s.cauchy.passed,
        'status': (np.asarray(<signed char[:solver.n]>s.box.status).copy()
                   if s.box.bounded else np.zeros(solver.n, dtype=np.int8)),
    }
