# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, freethreading_compatible=True
"""The state machine of L-BFGS-B: what happens between two evaluations of f and g.

Byrd, Lu, Nocedal and Zhu (1995), algorithm L-BFGS-B; Zhu, Byrd, Lu and Nocedal, Algorithm 778, ACM
Transactions on Mathematical Software 23 (1997), 550-560; Morales and Nocedal (2011).

One iteration, in the words of the phases: ITERATE -- solver_test: is it over? -- solver_advance: a
Cauchy point, a subspace minimiser, hence a direction -- TRIAL -- solver_tell, once for each
trial of the line search -- ITERATE. Whoever drives it evaluates f and g at solver_point.
Nothing here allocates, calls Python or raises.

W is read twice in an iteration. When a step is accepted, one pass over blocks of rows moves x
and g, stores the new pair and multiplies Wᵀ with -d (the projected gradient), s and y, and
again with s and y over the free variables; the other pass is the step (see subspace.pyx).

A limit is a pause: the state stays as it is, even in the middle of a line search, and a run
that goes on from there computes what it would have computed without the stop.
"""
from cpython.pythread cimport PyThread_get_thread_ident
from libc.math cimport INFINITY, NAN, fabs, isfinite, sqrt
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

from lbfgsb._core.box cimport (box_clip, box_free_all, box_place, box_prefetch,
                               box_rescale_rows, box_set_path, box_trial, box_trial_rows,
                               box_update_status)
from lbfgsb._core.cauchy cimport cauchy_before_break_points, cauchy_place, cauchy_search
from lbfgsb._core.compact cimport (compact_correct_free, compact_factor, compact_get_column,
                                   compact_newton_coefficients, compact_place, compact_reset,
                                   compact_set_pairs, compact_take_candidate,
                                   compact_take_candidate_alone)
from lbfgsb._core.few_variables cimport (few_cauchy_point, few_minimiser, few_place,
                                         few_take_all_pairs, few_take_pair)
from lbfgsb._core.guard cimport guard_end_read, guard_enter, guard_leave, guard_read
from lbfgsb._core.kernels cimport BLOCK, FEW, LANES, MAX_RHS, PACK, kernels_in_use, prefetch
from lbfgsb._core.line_search cimport (ACCEPT_TRIAL, NO_STEP, TRY_NEXT, LineSearch,
                                       LineSearchVerdict, line_search_give_up,
                                       line_search_start, line_search_tell)
from lbfgsb._core.slope_monitor cimport (WINDOW, Check, slope_monitor_alarms,
                                         slope_monitor_begin, slope_monitor_load,
                                         slope_monitor_mismatch, slope_monitor_save,
                                         slope_monitor_search, slope_monitor_tell,
                                         slope_monitor_window)
from lbfgsb._core.subspace cimport (subspace_coefficients, subspace_place, subspace_step,
                                    subspace_truncated_step)
from lbfgsb._core.team cimport (MAX, MIN, SUMS, Room, allocate, carve, chunk_count, dot, padded,
                                run_chunks, team_place)

import threading

import numpy as np

cdef extern from "float.h" nogil:
    const double DBL_EPSILON

# A step whose predicted decrease is less than this many rounding errors of f can't be seen in f.
cdef double INVISIBLE = 10 * DBL_EPSILON

# Values of f that differ by less, relative to f, may differ by rounding alone.
cdef double NOISE = 1e-12

# What the acceptance of a step reports besides products with W.
cdef enum:
    G_FREE_SQUARED = SUMS
    PINNED = SUMS + 1
    PRODUCTS = SUMS + 2


# --- construction -------------------------------------------------------------------------


cdef void default_options(Options *options) noexcept nogil:
    options.maxcor = 10
    options.ftol, options.gtol, options.ftarget = 1e-5, 1e-5, -INFINITY
    options.maxiter, options.maxfun, options.maxls = 50, 15000, 20
    options.max_steplength = 1e8
    options.ftol_linesearch, options.gtol_linesearch = 1e-3, 0.9
    options.xtol_linesearch = 0.1
    options.eps_SY = 2.2e-16
    options.threads, options.scaled = 1, False
    options.compact, options.check = False, False


cdef void place(SolverState *s, Room *room) noexcept nogil:
    team_place(&s.team, s.box.n, room)
    cauchy_place(&s.cauchy, s.B.m, room)
    subspace_place(&s.subspace, s.B.m, room)
    few_place(&s.few, s.box.n, s.B.m, room)
    box_place(&s.box, room)
    # The break points have had their day when a line search begins.
    if s.box.bounded:
        s.g_best = s.box.t
    else:
        s.g_best = <double *>carve(&room.kept, s.box.n, sizeof(double))
    compact_place(&s.B, not s.few.used, room)


cdef bint solver_create(SolverState *s, Py_ssize_t n, bint bounded) noexcept nogil:
    """Allocate for n variables, with the options already set. False: no memory.

    The caller then fills box.x and, if bounded, box.lower and box.upper, and if there is an
    x_scale, box.scale, and calls solver_begin.
    """
    cdef Room room = solver_size(s, n, bounded)
    if room.kept == NULL:
        return False
    s.block = allocate(<size_t>room.kept + <size_t>room.work)
    if s.block == NULL:
        return False
    solver_place(s, s.block, s.block + <size_t>room.kept)
    return True


cdef Room solver_size(SolverState *s, Py_ssize_t n, bint bounded) noexcept nogil:
    """The bytes that a solver of n variables needs, with the options already set.

    A `kept` of NULL says that there are more than a machine can have. Otherwise solver_place comes
    next, if the memory is not from solver_create.
    """
    cdef Py_ssize_t m = s.options.maxcor, ld, pairs
    cdef Room room = Room(NULL, NULL)
    # 64-bit sizes can overflow too: the largest buffers, in doubles, must stay well below 2⁶⁰.
    if 8.0 * (m + 1) * (n + LANES) + 32.0 * m * m * s.options.threads > 1e18:
        return room
    ld, pairs = 2 * m + 2, m * (2 * m + 1)
    s.block = NULL
    s.team.simd = s.B.simd = s.box.simd = kernels_in_use()
    s.B.n = s.box.n = n
    s.B.m = m
    s.box.bounded, s.box.scaled = bounded, s.options.scaled
    s.few.used = n <= FEW and not s.options.compact
    s.team.threads = <int>min(<Py_ssize_t>s.options.threads, chunk_count(n))
    s.team.width = PRODUCTS + max(MAX_RHS * ld, pairs)
    s.team.scratch_size = padded(max(MAX_RHS * (BLOCK + ld * LANES), ld * PACK + pairs * LANES)
                                 + 2 * LANES)
    place(s, &room)
    return room


cdef void solver_place(SolverState *s, char *kept, char *work) noexcept nogil:
    """Lay the buffers out in memory that begins on cache lines; see solver_size."""
    cdef Room room = Room(kept, work)
    place(s, &room)
    point_at_team(s)


cdef void point_at_team(SolverState *s) noexcept nogil:
    """The only pointers into the struct itself: to be set again where it has been copied."""
    s.B.team = s.box.team = &s.team


cdef void solver_destroy(SolverState *s) noexcept nogil:
    free(s.block)
    s.block = NULL


cdef void solver_begin(SolverState *s) noexcept nogil:
    """Start a run from box.x, clipped into the bounds."""
    cdef Py_ssize_t i, n = s.box.n
    cdef double *last_tile = s.B.W + (s.B.tiles - 1) * s.B.tile_length
    memset(last_tile, 0, s.B.tile_length * sizeof(double))    # rows beyond n stay zero
    memset(s.box.d, 0, n * sizeof(double))
    fill(s.box.g, n, NAN)
    compact_reset(&s.B)
    box_clip(&s.box, s.box.x)
    s.box.boxed = s.box.bounded
    s.box.fixed = 0
    for i in range(n):
        s.box.x[i] += 0.0    # -0.0 becomes 0.0, as it would in x + alpha d
        if s.box.bounded:
            s.box.status[i] = 0
            s.box.boxed = s.box.boxed and isfinite(s.box.lower[i]) and isfinite(s.box.upper[i])
    s.f, s.f_old, s.steplength, s.factor_error = NAN, NAN, 0, 0
    s.box.norm = NAN
    s.nit = s.nfev = s.njev = s.skipped = s.restarts = 0
    s.phase, s.phase_at_end, s.reason = START, START, RUNNING
    slope_monitor_begin(&s.monitor)


# --- between evaluations ------------------------------------------------------------------


cdef void solver_point(SolverState *s, double *out) noexcept nogil:
    """out (n,) = where f and g are wanted; the last accepted iterate if nowhere."""
    if s.phase == TRIAL:
        box_trial(&s.box, s.search.alpha, out)
    else:
        memcpy(out, s.box.x, s.box.n * sizeof(double))


cdef void solver_finish(SolverState *s, Reason reason) noexcept nogil:
    s.phase_at_end = s.phase
    s.phase = DONE
    s.reason = reason


cdef void solver_stop(SolverState *s) noexcept nogil:
    """End the run on the user's word, also where it has just ended by itself."""
    if s.phase == DONE:
        s.reason = STOPPED_BY_USER
    else:
        solver_finish(s, STOPPED_BY_USER)


cdef void solver_tell_value(SolverState *s, double f) noexcept nogil:
    """Take f alone at x0. The run is over if that meets `ftarget`."""
    if isfinite(f) and f <= s.options.ftarget:
        s.f = f
        s.nfev += 1
        fill(s.box.g, s.box.n, NAN)
        solver_finish(s, CONVERGED_TARGET)


cdef bint solver_tell(SolverState *s, double f, const double *g) noexcept nogil:
    """Take f and g (NULL: not evaluated since f is not finite) at solver_point.

    Returns True if that makes a new iterate; solver_test then tells whether it is the last.
    """
    cdef LineSearchVerdict verdict
    cdef double slope
    s.nfev += 1
    s.njev += g != NULL
    if s.phase == START:
        start(s, f, g)
        return False
    slope = dot(&s.team, s.box.n, g, s.box.d) if isfinite(f) and g != NULL else NAN
    monitor_trial(s, f, slope)
    if (fabs(f - s.f) <= NOISE * fabs(s.f) and isfinite(slope)
            and trial_norm(s, g) <= s.options.gtol):
        # f is at its rounding errors and can't tell any more whether this is a step in the right
        # direction; the gradient can.
        verdict = ACCEPT_TRIAL
    else:
        verdict = line_search_tell(&s.search, f, slope)
    if verdict == TRY_NEXT and s.search.trials >= s.options.maxls:
        verdict = line_search_give_up(&s.search)
    if verdict == TRY_NEXT or verdict == NO_STEP:
        if verdict == NO_STEP:
            no_step(s)
        elif s.search.improved:
            memcpy(s.g_best, g, s.box.n * sizeof(double))
        if s.phase == TRIAL and s.nfev >= s.options.maxfun:
            solver_finish(s, LIMIT_EVALUATIONS)
        return False
    s.f_old = s.f
    if verdict == ACCEPT_TRIAL:
        s.f, s.steplength = f, s.search.alpha
    else:
        s.f, s.steplength = s.search.f_x, s.search.alpha_x
        if not s.search.improved:
            g = s.g_best
    accept(s, s.steplength, g)
    s.nit += 1
    s.phase = ITERATE
    return True


cdef void monitor_trial(SolverState *s, double f, double slope) noexcept nogil:
    """Compare f and slope at the trial with those at the nearer end of the interval."""
    cdef LineSearch *v = &s.search
    if fabs(v.alpha - v.alpha_y) < fabs(v.alpha - v.alpha_x):
        slope_monitor_tell(&s.monitor, v.alpha - v.alpha_y, v.f_y, v.slope_y, f, slope)
    else:
        slope_monitor_tell(&s.monitor, v.alpha - v.alpha_x, v.f_x, v.slope_x, f, slope)


ctypedef struct NormContext:
    const SolverState *s
    const double *g


cdef double trial_norm(SolverState *s, const double *g) noexcept nogil:
    """The inf-norm of the projected gradient at the trial point, where the gradient is g."""
    cdef NormContext v
    v.s, v.g = s, g
    run_chunks(&s.team, norm_chunk, &v, s.box.n, 6, 0, s.team.total)
    return s.team.total[MAX]


cdef void norm_chunk(void *context, Py_ssize_t first, Py_ssize_t rows, double *partial,
                     double *scratch) noexcept nogil:
    cdef NormContext *v = <NormContext *>context
    cdef const Box *box = &v.s.box
    cdef double x, g
    cdef Py_ssize_t block, i, start, size
    for block in range((rows + BLOCK - 1) // BLOCK):
        start = first + block * BLOCK
        size = min(<Py_ssize_t>BLOCK, first + rows - start)
        box_trial_rows(box, v.s.search.alpha, start, size, scratch)
        for i in range(start, start + size):
            x, g = scratch[i - start], v.g[i]
            if box.bounded:
                g = min(x - box.lower[i], g) if g > 0 else max(x - box.upper[i], g)
            partial[MAX] = max(partial[MAX], fabs(g))


cdef void start(SolverState *s, double f, const double *g) noexcept nogil:
    cdef Py_ssize_t i
    cdef bint finite = isfinite(f) and g != NULL
    s.f = f
    if g == NULL:
        fill(s.box.g, s.box.n, NAN)
    else:
        for i in range(s.box.n):
            finite = finite and isfinite(g[i])
            s.box.g[i] = g[i]
    if not finite:
        solver_finish(s, ABNORMAL_START)
        return
    measure(s)
    s.phase = ITERATE


cdef void no_step(SolverState *s) noexcept nogil:
    """The line search found no decrease: forget the pairs once, then give up."""
    cdef double predicted = -s.search.slope0 * s.first_alpha
    if predicted <= INVISIBLE * max(fabs(s.f), 1.0):
        s.phase = ITERATE
        s.f_old = s.f    # no change of f is left to make
        solver_finish(s, CONVERGED_FTOL)
    elif s.B.k > 0:
        forget(s)
        solver_advance(s, NULL)
    else:
        s.phase = ITERATE
        solver_finish(s, ABNORMAL_LINE_SEARCH)


cdef void forget(SolverState *s) noexcept nogil:
    compact_reset(&s.B)
    box_free_all(&s.box)
    s.restarts += 1


cdef void solver_test(SolverState *s) noexcept nogil:
    """Finish the run if the iterate meets a stopping test or a limit."""
    cdef Options *o = &s.options
    if s.phase == DONE:
        return
    if s.phase == START:    # f may be known from an earlier run that stopped at its target
        if s.f <= o.ftarget:
            solver_finish(s, CONVERGED_TARGET)
    elif s.box.norm <= o.gtol:
        solver_finish(s, CONVERGED_GTOL)
    elif s.f <= o.ftarget:
        solver_finish(s, CONVERGED_TARGET)
    elif s.f_old - s.f <= o.ftol * max(fabs(s.f_old), fabs(s.f), 1.0):
        solver_finish(s, CONVERGED_FTOL)
    else:
        test_limits(s)


cdef void test_limits(SolverState *s) noexcept nogil:
    if s.nit >= s.options.maxiter:
        solver_finish(s, LIMIT_ITERATIONS)
    elif s.nfev >= s.options.maxfun:
        solver_finish(s, LIMIT_EVALUATIONS)


# --- a new iterate ------------------------------------------------------------------------


cdef void set_pairs(SolverState *s, Py_ssize_t k, const double *S,
                    const double *Y) noexcept nogil:
    """Hold the k pairs in the rows of S and Y (k, n), oldest first."""
    compact_set_pairs(&s.B, k, S, Y)
    if s.few.used:
        few_take_all_pairs(&s.few, &s.B)


ctypedef struct AcceptContext:
    SolverState *s
    double alpha
    const double *g
    bint moves               # else only measures, with alpha = 0
    const Py_ssize_t *columns    # of W to multiply with, their offsets in a tile
    Py_ssize_t count         # how many
    int first                # the first of the vectors to multiply with: the projected gradient, s,
    int vectors              # y, s and y over the free variables; and how many of them


cdef void accept(SolverState *s, double alpha, const double *g) noexcept nogil:
    """Move to x + alpha d, where the gradient is g; measure there; take the new pair.

    The pair must have sᵀy > eps_SY |sᵀg|, g the old gradient: a test that neither the scale of f
    nor that of x changes, unlike one against yᵀy.
    """
    cdef double least_curvature = -s.options.eps_SY * alpha * s.search.slope0
    cdef AcceptContext v
    cdef double *products = s.team.total + PRODUCTS
    cdef bint taken, was_full = s.B.k == s.B.m
    v.s, v.alpha, v.g, v.moves = s, alpha, g, True
    if s.few.used:
        v.columns, v.count = s.B.columns + 2 * s.B.k, 2
        v.first, v.vectors = 2, 1
        run_accept(s, &v)
        taken = compact_take_candidate_alone(&s.B, products[0], products[1], least_curvature)
        if taken:
            few_take_pair(&s.few, &s.B, products[0], was_full)
    else:
        v.columns, v.count = s.B.columns, 2 * s.B.k + 2
        v.first, v.vectors = 0, 5 if s.box.fixed > 0 else 3
        run_accept(s, &v)
        taken = compact_take_candidate(&s.B, products, v.vectors, v.vectors == 5,
                                       least_curvature)
    s.skipped += not taken


cdef void measure(SolverState *s) noexcept nogil:
    """Projected gradient, break points and p at x and g as they are."""
    cdef AcceptContext v
    cdef Py_ssize_t i
    v.s, v.alpha, v.g, v.moves = s, 0, s.box.g, False
    v.columns, v.count = s.B.columns, 0 if s.few.used else 2 * s.B.k
    v.first, v.vectors = 0, 1
    run_accept(s, &v)
    for i in range(v.count):
        s.B.p[i] = -s.team.total[PRODUCTS + i]


cdef void run_accept(SolverState *s, AcceptContext *v) noexcept nogil:
    cdef double *total = s.team.total
    run_chunks(&s.team, accept_chunk, v, s.box.n, v.count + 8,
               PRODUCTS - SUMS + v.count * v.vectors, total)
    s.box.norm, s.box.t_min = total[MAX], total[MIN]
    s.box.g_free_squared = total[G_FREE_SQUARED]
    s.pinned = <Py_ssize_t>total[PINNED]


cdef void accept_chunk(void *context, Py_ssize_t first, Py_ssize_t rows, double *partial,
                       double *scratch) noexcept nogil:
    """One pass over the vectors and W, block by block."""
    cdef AcceptContext *v = <AcceptContext *>context
    cdef Box *box = &v.s.box
    cdef Compact *B = &v.s.B
    cdef double *acc = scratch + MAX_RHS * BLOCK
    cdef double *g_free = scratch
    cdef double *s = scratch + BLOCK
    cdef double *y = scratch + 2 * BLOCK
    cdef double *squares = acc + v.count * v.vectors * LANES
    cdef double *W
    cdef double norm, unused = INFINITY
    cdef double *t_min = &unused if box.scaled else partial + MIN
    cdef Py_ssize_t block, i, j, size, tiles, ahead
    memset(squares, 0, LANES * sizeof(double))
    for block in range((rows + BLOCK - 1) // BLOCK):
        i = first + block * BLOCK
        size = min(<Py_ssize_t>BLOCK, first + rows - i)
        tiles = (size + LANES - 1) // LANES
        ahead = min(<Py_ssize_t>BLOCK, first + rows - i - size)
        if ahead > 0:
            box_prefetch(box, i + size, ahead)
            prefetch(v.g + i + size, ahead)
        if box.bounded:
            norm = box.simd.accept_box(size, v.alpha, box.x + i, box.d + i, box.lower + i,
                                       box.upper + i, box.g + i, v.g + i, s, y, g_free,
                                       t_min, partial + PINNED)
        else:
            norm = box.simd.accept_free(size, v.alpha, box.x + i, box.d + i, box.g + i,
                                        v.g + i, s, y)
            if v.first == 0 or box.scaled:
                memcpy(g_free, box.g + i, size * sizeof(double))
        if box.scaled:
            box_rescale_rows(box, i, size, s, y, g_free, partial + MIN)
        partial[MAX] = max(partial[MAX], norm)
        if v.vectors == 5:
            box.simd.mask(size, box.status + i, s, scratch + 3 * BLOCK)
            box.simd.mask(size, box.status + i, y, scratch + 4 * BLOCK)
        for j in range(v.first + v.vectors if tiles * LANES > size else 0):
            memset(scratch + j * BLOCK + size, 0, (tiles * LANES - size) * sizeof(double))
        W = B.W + i // LANES * B.tile_length
        if v.moves:
            B.simd.panel_store(W, B.tile_length, B.columns[2 * B.k], tiles, s)
            B.simd.panel_store(W, B.tile_length, B.columns[2 * B.k + 1], tiles, y)
        B.simd.panel_tdot(W, B.tile_length, v.columns, v.count, tiles,
                          scratch + v.first * BLOCK, v.vectors, block == 0, acc)
        if box.bounded:
            B.simd.dot(size, g_free, g_free, squares)
    if box.bounded:
        B.simd.lane_sum(squares, 1, partial + G_FREE_SQUARED)
    B.simd.lane_sum(acc, v.count * v.vectors, partial + PRODUCTS)


# --- a new direction ----------------------------------------------------------------------


cdef bint solver_advance(SolverState *s, double *out) noexcept nogil:
    """From an iterate to the first trial of its line search.

    Returns True if `out` (n,), or NULL, has got that point already: the whole step is written
    while its rows are at hand. Else solver_point gives it.
    """
    while not set_direction(s, out if s.options.max_steplength >= 1 else NULL):
        if s.B.k == 0:
            s.phase = ITERATE
            solver_finish(s, ABNORMAL_DIRECTION)
            return False
        forget(s)
    begin_search(s)
    s.phase = TRIAL
    return out != NULL and s.search.alpha == 1 and s.options.max_steplength >= 1


cdef bint set_direction(SolverState *s, double *out) noexcept nogil:
    """Set box.d, and x + d in `out` unless that is NULL.

    Returns False if rounding leaves no direction that goes down.
    """
    cdef double *e = s.subspace.e
    s.subspace.whole = NULL
    if s.B.k == 0:    # B = theta I: the projected steepest descent direction
        s.cauchy.t, s.cauchy.t_fixed = 1 / s.B.theta, 0
    elif s.box.bounded and not 0 < s.box.g_free_squared < INFINITY:
        return False    # g is so small or large that the model's derivatives are not numbers
    elif s.few.used:
        s.subspace.whole = s.few.step
        if not few_minimiser(&s.few, &s.B, &s.box, &s.cauchy, s.pinned, s.options.check,
                             &s.factor_error):
            return False
    elif not s.box.bounded:
        compact_newton_coefficients(&s.B, e)
    else:
        if not (cauchy_before_break_points(&s.cauchy, &s.B, &s.box, e) or find_cauchy(s)):
            return False
        if s.pinned + s.cauchy.passed == 0:
            box_free_all(&s.box)
            if s.cauchy.known:
                compact_newton_coefficients(&s.B, e)
        else:
            restrict(s)
            if not subspace_coefficients(&s.subspace, &s.B, &s.cauchy, s.options.check,
                                         &s.factor_error):
                return False
    subspace_step(&s.subspace, &s.B, &s.box, &s.cauchy, out)
    if s.box.bounded and s.B.k > 0 and not s.subspace.slope < 0:
        if not (s.cauchy.known or find_cauchy(s)):
            return False
        subspace_truncated_step(&s.subspace, &s.B, &s.box, &s.cauchy, out)
    return s.subspace.slope < 0 and isfinite(s.subspace.slope)


cdef bint find_cauchy(SolverState *s) noexcept nogil:
    """Find x_cauchy; False if B can't be factored."""
    if s.few.used:
        return few_cauchy_point(&s.few, &s.B, &s.box, &s.cauchy)
    if not compact_factor(&s.B, s.options.check, &s.factor_error):
        return False
    cauchy_search(&s.cauchy, &s.B, &s.box)
    return True


cdef void restrict(SolverState *s) noexcept nogil:
    """Bring the free set and the inner products over it to x_cauchy."""
    cdef bint was_all_free = s.box.fixed == 0
    cdef Py_ssize_t changed = box_update_status(&s.box, s.cauchy.t_fixed)
    compact_correct_free(&s.B, s.box.status, s.box.fixed, was_all_free, changed, s.box.row)


cdef void begin_search(SolverState *s) noexcept nogil:
    """The first trial.

    The whole step, but one of unit length at the start and where the memory was dropped: nothing
    is known of the size of B there.
    """
    cdef Options *o = &s.options
    cdef double alpha_max = min(o.max_steplength, s.subspace.limit), alpha = 1
    if s.box.bounded and s.nit == 0:
        alpha_max = min(alpha_max, 1.0)
    if s.B.k == 0 and not s.box.boxed and (s.nit == 0 or s.restarts > 0):
        alpha = 1 / sqrt(s.subspace.squared)
    s.first_alpha = min(alpha, alpha_max)
    s.search.f_tol, s.search.g_tol = o.ftol_linesearch, o.gtol_linesearch
    s.search.x_tol = o.xtol_linesearch
    line_search_start(&s.search, s.f, s.subspace.slope, s.first_alpha, alpha_max)
    slope_monitor_search(&s.monitor, s.f)


cdef void fill(double *v, Py_ssize_t n, double value) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        v[i] = value


cdef double rounding_of_x(const SolverState *s) noexcept nogil:
    """What f changes by at the iterate when every x_i is off by a few rounding errors."""
    cdef double total = 0
    cdef Py_ssize_t i
    for i in range(s.box.n):
        total += fabs(s.box.g[i] * s.box.x[i])
    return 4 * DBL_EPSILON * total


# --- for Python ---------------------------------------------------------------------------


cdef double mismatch_of(const SolverState *s) noexcept nogil:
    return slope_monitor_mismatch(&s.monitor, rounding_of_x(s))


cdef object checks_of(const SolverState *s):
    cdef Check window[WINDOW]
    cdef int i, count = slope_monitor_window(&s.monitor, window)
    return [(window[i].change, window[i].predicted, window[i].ratio) for i in range(count)]


cdef object failure_of(const SolverState *s):
    """Of a search that found no step: the decrease that its first trial was meant to make;
    whether all trials that moved f were not finite; the mismatch and the checks behind it."""
    cdef bint finite = s.search.bracketed or s.search.f_x < s.search.f0
    return (-s.search.slope0 * s.first_alpha, s.monitor.lost > 0 and not finite,
            mismatch_of(s), checks_of(s))


class FactorizationError(ArithmeticError):
    """A factorisation does not reproduce its matrix (``is_check_factorizations``)."""


def unscaled_pairs(S, Y, scale):
    """Return pairs in the units of x, from those kept in a snapshot, and the snapshot's scale."""
    return (S, Y) if scale is None else (S * scale, Y / scale)


# The backward error that is_check_factorizations lets pass, in rounding units a row.
cdef double FACTOR_TOLERANCE = 100 * DBL_EPSILON


# Who has asked for a point, where that is not one thread.
cdef unsigned long NOBODY = 0
cdef unsigned long ANYBODY = <unsigned long>-1


cdef bint is_alive(unsigned long thread):
    return thread in [each.ident for each in threading.enumerate()]


cdef class BaseSolver:
    """The state machine for Python: one evaluation at a time, and snapshots of everything.

    Parameters
    ----------
    x0 : ndarray of float64, shape (n,), C-contiguous
        The start; clipped into the bounds.
    lower, upper : ndarray of float64, shape (n,), C-contiguous, or None
        The bounds, both or neither.
    x_scale : ndarray of float64, shape (n,), C-contiguous, or None
        Typical sizes of the variables: the algorithm works on x / x_scale.
    maxcor, ftol, ..., check
        The options, checked by the caller.
    """

    def __cinit__(self, const double[::1] x0, const double[::1] lower, const double[::1] upper,
                  *, Py_ssize_t maxcor, double ftol, double gtol, double ftarget,
                  Py_ssize_t maxiter, Py_ssize_t maxfun, Py_ssize_t maxls,
                  double max_steplength, double ftol_linesearch, double gtol_linesearch,
                  double xtol_linesearch, double eps_SY, int threads, bint check,
                  const double[::1] x_scale=None, bint compact=False):
        cdef Options *o = &self.s.options
        cdef size_t size = x0.shape[0] * sizeof(double)
        o.maxcor, o.ftol, o.gtol, o.ftarget = maxcor, ftol, gtol, ftarget
        o.maxiter, o.maxfun, o.maxls, o.max_steplength = maxiter, maxfun, maxls, max_steplength
        o.ftol_linesearch, o.gtol_linesearch = ftol_linesearch, gtol_linesearch
        o.xtol_linesearch, o.eps_SY = xtol_linesearch, eps_SY
        o.threads, o.check, o.compact = threads, check, compact
        o.scaled = x_scale is not None
        self.n = x0.shape[0]
        if not solver_create(&self.s, self.n, lower is not None):
            raise MemoryError(f'no memory for n = {self.n}, maxcor = {maxcor}')
        with nogil:
            memcpy(self.s.box.x, &x0[0], size)
            if self.s.box.bounded:
                memcpy(self.s.box.lower, &lower[0], size)
                memcpy(self.s.box.upper, &upper[0], size)
            if o.scaled:
                memcpy(self.s.box.scale, &x_scale[0], size)
            solver_begin(&self.s)

    def __dealloc__(self):
        solver_destroy(&self.s)

    cdef object vector(self, double **v):
        """A copy of the vector (n,) at v[0]; None if there is none."""
        cdef double[::1] out
        array = np.empty(self.n)
        out = array
        cdef bint counted = guard_read(&self.guard)
        try:
            if v[0] == NULL:
                return None
            with nogil:
                memcpy(&out[0], v[0], self.n * sizeof(double))
        finally:
            guard_end_read(&self.guard, counted)
        return array

    def _begin_read(self):
        """Keep the state as it is, until _end_read is given what this returns."""
        return guard_read(&self.guard)

    def _end_read(self, bint counted):
        guard_end_read(&self.guard, counted)

    def _point(self):
        """Return where f and g are wanted, a fresh array."""
        cdef double[::1] out
        array = np.empty(self.n)
        out = array
        cdef bint counted = guard_read(&self.guard)
        try:
            with nogil:
                solver_point(&self.s, &out[0])
        finally:
            guard_end_read(&self.guard, counted)
        return array

    def _tell(self, double f, const double[::1] g):
        """Take f and g there; True if that makes a new iterate, already tested."""
        cdef bint new
        cdef bint nested = guard_enter(&self.guard)
        try:
            new = self.tell(f, g)
        finally:
            guard_leave(&self.guard, nested)
        return new

    cdef bint tell(self, double f, const double[::1] g) except -1:
        cdef bint new
        cdef const double *data = NULL
        if g is not None:
            data = &g[0]
        with nogil:
            new = solver_tell(&self.s, f, data)
            if new or self.s.phase == ITERATE:
                solver_test(&self.s)
        self._check()
        return new

    def _advance(self):
        """From an iterate to the first trial point after it."""
        cdef bint nested = guard_enter(&self.guard)
        try:
            self.advance()
        finally:
            guard_leave(&self.guard, nested)

    cdef int advance(self) except -1:
        with nogil:
            if self.s.phase == ITERATE:
                solver_advance(&self.s, NULL)
        self._check()
        return 0

    def _ask(self):
        """Return where f and g are wanted, for this thread to evaluate.

        Two threads that evaluated the same point would both tell, the second one at a point that
        is not its own.
        """
        cdef unsigned long me = PyThread_get_thread_ident()
        cdef bint nested = guard_enter(&self.guard)
        try:
            if self.asker not in (NOBODY, ANYBODY, me) and is_alive(self.asker):
                raise RuntimeError('another thread has asked and not told yet; a solver that '
                                   'threads share needs a lock from ask to tell')
            self.asker = me
        finally:
            guard_leave(&self.guard, nested)
        return self._point()

    def _answer(self, double f, const double[::1] g):
        """Take f and g at the point that was asked for, and go on to the next; as _tell."""
        cdef bint new
        cdef bint nested = guard_enter(&self.guard)
        try:
            if self.asker == NOBODY:
                raise RuntimeError('tell needs a point from ask')
            self.asker = NOBODY
            new = self.tell(f, g)
            self.advance()
        finally:
            guard_leave(&self.guard, nested)
        return new

    @property
    def _asked(self):
        """Whether a point has been asked for and not been told about."""
        return self.asker != NOBODY

    @_asked.setter
    def _asked(self, bint asked):
        self.asker = ANYBODY if asked else NOBODY

    def _check(self):
        """Raise FactorizationError if a factorisation has been found wrong."""
        cdef double most = FACTOR_TOLERANCE * self.s.B.m
        if self.s.factor_error > most:
            raise FactorizationError(
                f'a Cholesky factorisation is off by {self.s.factor_error:.2e}, relative to '
                f'its matrix, where rounding explains {most:.2e}')

    def _test(self):
        """Finish the run if the iterate meets a test or a limit."""
        with nogil:
            solver_test(&self.s)

    def _stop(self):
        """End the run on the user's word."""
        solver_stop(&self.s)

    def _set_counts(self, Py_ssize_t nit, Py_ssize_t nfev, Py_ssize_t njev):
        """Go on from these counts."""
        self.s.nit, self.s.nfev, self.s.njev = nit, nfev, njev

    def _set_tolerances(self, double ftarget, double gtol):
        """Set what could only be known after the first f and g."""
        self.s.options.ftarget, self.s.options.gtol = ftarget, gtol

    def _set_limits(self, *, double ftol, double gtol, Py_ssize_t maxiter, Py_ssize_t maxfun):
        """Set tolerances and limits at an iterate that has been tested already.

        If the test has ended the run, it is made again. Else the limits hold at once, since they
        say whether there is a next iteration; the tolerances are for the iterates to come.
        """
        cdef SolverState *s = &self.s
        cdef bint nested = guard_enter(&self.guard)
        s.options.ftol, s.options.gtol = ftol, gtol
        s.options.maxiter, s.options.maxfun = maxiter, maxfun
        if s.phase == ITERATE:
            test_limits(s)
        elif s.phase == DONE and s.phase_at_end == ITERATE:
            self._reopen()
            solver_test(s)
        guard_leave(&self.guard, nested)

    def _set_maxcor(self, Py_ssize_t maxcor):
        """Keep up to `maxcor` pairs from now on; of those held, the newest.

        The state is restored in memory of the new size, which then takes the place of the old;
        if there is no such memory, everything stays as it is.
        """
        cdef bint nested
        if maxcor != self.s.options.maxcor:
            nested = guard_enter(&self.guard)
            try:
                self.set_maxcor(maxcor)
            finally:
                guard_leave(&self.guard, nested)

    cdef int set_maxcor(self, Py_ssize_t maxcor) except -1:
        cdef Options *o = &self.s.options
        cdef BaseSolver other
        cdef SolverState old
        snapshot = self.snapshot()
        other = BaseSolver(
            snapshot['x'], snapshot['lower'], snapshot['upper'], maxcor=maxcor, ftol=o.ftol,
            gtol=o.gtol, ftarget=o.ftarget, maxiter=o.maxiter, maxfun=o.maxfun, maxls=o.maxls,
            max_steplength=o.max_steplength, ftol_linesearch=o.ftol_linesearch,
            gtol_linesearch=o.gtol_linesearch, xtol_linesearch=o.xtol_linesearch,
            eps_SY=o.eps_SY, threads=o.threads, check=o.check, x_scale=snapshot['scale'],
            compact=o.compact)
        other._restore(snapshot)
        other.s.factor_error = self.s.factor_error
        old = self.s
        self.s, other.s = other.s, old
        point_at_team(&self.s)
        point_at_team(&other.s)
        return 0

    def _redefine(self, double f, double f_old, const double[::1] g, S, Y):
        """Replace f, g and the pairs (k, n) at the iterate: the objective has changed."""
        cdef bint nested = guard_enter(&self.guard)
        try:
            self.s.f, self.s.f_old = f, f_old
            memcpy(self.s.box.g, &g[0], self.n * sizeof(double))
            self._give_pairs(S, Y)
            with nogil:
                box_free_all(&self.s.box)
                measure(&self.s)
            slope_monitor_begin(&self.s.monitor)    # the old f says nothing of the new one
        finally:
            guard_leave(&self.guard, nested)

    # --- what is known now ----------------------------------------------------------------

    @property
    def x(self):
        """The last accepted iterate, (n,); before the first evaluation, x0."""
        return self.vector(&self.s.box.x)

    @property
    def jac(self):
        """The gradient at `x`, (n,)."""
        return self.vector(&self.s.box.g)

    @property
    def fun(self):
        """f at `x`; NaN before the first evaluation."""
        return self.s.f

    @property
    def projected_gradient(self):
        """The inf-norm of the projected gradient at `x`."""
        return self.s.box.norm

    @property
    def nit(self):
        """Accepted iterates."""
        return self.s.nit

    @property
    def nfev(self):
        """Evaluations of f."""
        return self.s.nfev

    @property
    def njev(self):
        """Evaluations of the gradient."""
        return self.s.njev

    @property
    def done(self):
        """Whether the run is over."""
        return self.s.phase == DONE

    @property
    def steplength(self):
        """The multiple of the direction in the last accepted step."""
        return self.s.steplength

    @property
    def active_bounds(self):
        """How many variables are held by a bound at `x`."""
        return self.s.pinned if self.s.box.bounded else 0

    @property
    def gradient_mismatch(self):
        """How far f and its slopes along the last steps disagree: 0 fine, 1 hopeless."""
        cdef bint counted = guard_read(&self.guard)
        try:
            return mismatch_of(&self.s)
        finally:
            guard_end_read(&self.guard, counted)

    @property
    def _slope_checks(self):
        """The checks behind `gradient_mismatch`, oldest first: for each the change of f over
        a segment, what the slopes at its ends predict, and their disagreement in units of
        what curvature explains."""
        return checks_of(&self.s)

    @property
    def _mismatch_alarms(self):
        """After how many searches in a row nearly all of the latest checks were bad."""
        return slope_monitor_alarms(&self.s.monitor)

    @property
    def _failure(self):
        """What is known of a search that found no step; see failure_of."""
        cdef bint counted = guard_read(&self.guard)
        try:
            return failure_of(&self.s)
        finally:
            guard_end_read(&self.guard, counted)

    @property
    def _phase(self):
        return self.s.phase

    @property
    def _maxcor(self):
        return self.s.B.m

    @property
    def _limits(self):
        """The options that may change during a run, and `ftarget`."""
        cdef Options *o = &self.s.options
        return {'ftol': o.ftol, 'gtol': o.gtol, 'ftarget': o.ftarget, 'maxiter': o.maxiter,
                'maxfun': o.maxfun, 'maxcor': o.maxcor}

    @property
    def _bounds(self):
        """The lower and upper bounds, or None and None."""
        if not self.s.box.bounded:
            return None, None
        return self.vector(&self.s.box.lower), self.vector(&self.s.box.upper)

    @property
    def _scale(self):
        """The x_scale, or None."""
        return self.vector(&self.s.box.scale)

    @property
    def _f_old(self):
        return self.s.f_old

    @property
    def _reason(self):
        return self.s.reason

    @property
    def _details(self):
        """Counts and sizes for the log of every iteration."""
        return {'pairs': self.s.B.k, 'theta': self.s.B.theta, 'trials': self.s.search.trials,
                'passed': self.s.cauchy.passed if self.s.box.bounded else 0,
                'fixed': self.s.box.fixed, 'skipped': self.s.skipped,
                'restarts': self.s.restarts, 'slope': self.s.subspace.slope,
                'factor_error': self.s.factor_error}

    def _pairs(self):
        """Return S and Y, each (k, n), oldest first, as fresh arrays."""
        return unscaled_pairs(*self._scaled_pairs(), self._scale)

    def _scaled_pairs(self):
        """Return the pairs as they are kept: changes of x / x_scale, and of the gradient there."""
        cdef Py_ssize_t i, k
        cdef double[:, ::1] S, Y
        cdef bint counted = guard_read(&self.guard)
        try:
            k = self.s.B.k
            s_array, y_array = np.empty((k, self.n)), np.empty((k, self.n))
            S, Y = s_array, y_array
            with nogil:
                for i in range(k):
                    compact_get_column(&self.s.B, 2 * i, &S[i, 0])
                    compact_get_column(&self.s.B, 2 * i + 1, &Y[i, 0])
        finally:
            guard_end_read(&self.guard, counted)
        return s_array, y_array

    # --- snapshots ------------------------------------------------------------------------

    def _snapshot(self):
        """Return everything that a run needs to go on to the same bits: a dict of arrays
        and numbers, with no reference to this solver."""
        cdef bint counted = guard_read(&self.guard)
        try:
            return self.snapshot()
        finally:
            guard_end_read(&self.guard, counted)

    cdef dict snapshot(self):
        cdef SolverState *s = &self.s
        cdef bint searching = s.phase == TRIAL or (s.phase == DONE and (
            s.phase_at_end == TRIAL or s.reason == ABNORMAL_LINE_SEARCH))
        S, Y = self._scaled_pairs()
        snapshot = {
            'version': 1, 'x': self.x, 'g': self.jac, 'S': S, 'Y': Y,
            'lower': self.vector(&s.box.lower) if s.box.bounded else None,
            'upper': self.vector(&s.box.upper) if s.box.bounded else None,
            'scale': self._scale, 'theta': s.B.theta,
            'numbers': (s.f, s.f_old, s.first_alpha, s.steplength, s.box.norm,
                        s.box.g_free_squared, s.box.t_min),
            'counts': (s.pinned, s.nit, s.nfev, s.njev, s.skipped, s.restarts, s.box.fixed),
            'phase': (s.phase, s.phase_at_end, s.reason),
            'monitor': slope_monitor_save(&s.monitor),
        }
        if not s.few.used:
            snapshot['gram'] = self._square(s.B.gram)
            snapshot['p'] = np.array([s.B.p[i] for i in range(2 * s.B.k)])
        if s.box.fixed > 0 and not s.few.used:
            snapshot['gram_free'] = self._square(s.B.gram_free)
            snapshot['status'] = np.asarray(<signed char[:self.n]>s.box.status).copy()
        if searching:
            snapshot['d'] = self.vector(&s.box.d)
            snapshot['search'] = s.search
            if s.search.alpha_x != 0:
                snapshot['g_best'] = self.vector(&s.g_best)
        return snapshot

    def _restore(self, dict snapshot):
        """Take over a snapshot; the newest pairs of it if it has more than `maxcor`.

        The solver must have been made for the same n and the same bounds.
        """
        cdef SolverState *s = &self.s
        cdef Py_ssize_t drop, k, i
        cdef const double[:, ::1] S, Y
        cdef const double[::1] p
        cdef const signed char[::1] status
        drop = max(0, snapshot['S'].shape[0] - s.B.m)
        S, Y = snapshot['S'][drop:], snapshot['Y'][drop:]
        k = S.shape[0]
        self._set_vector(s.box.x, snapshot['x'])
        self._set_vector(s.box.g, snapshot['g'])
        box_set_path(&s.box)
        compact_reset(&s.B)
        if k > 0:
            with nogil:
                set_pairs(s, k, &S[0, 0], &Y[0, 0])
        if not s.few.used:
            self._set_square(s.B.gram, snapshot['gram'][2 * drop:, 2 * drop:])
            p = snapshot['p'][2 * drop:]
            for i in range(2 * k):
                s.B.p[i] = p[i]
        s.B.theta = snapshot['theta']
        (s.f, s.f_old, s.first_alpha, s.steplength, s.box.norm, s.box.g_free_squared,
         s.box.t_min) = snapshot['numbers']
        (s.pinned, s.nit, s.nfev, s.njev, s.skipped, s.restarts,
         s.box.fixed) = snapshot['counts']
        s.phase, s.phase_at_end, s.reason = snapshot['phase']
        slope_monitor_load(&s.monitor, snapshot['monitor'])
        if s.box.fixed > 0 and not s.few.used:
            self._set_square(s.B.gram_free, snapshot['gram_free'][2 * drop:, 2 * drop:])
            status = snapshot['status']
            memcpy(s.box.status, &status[0], self.n)
        if 'd' in snapshot:
            s.search = snapshot['search']
            self._set_vector(s.box.d, snapshot['d'])
            if 'g_best' in snapshot:
                self._set_vector(s.g_best, snapshot['g_best'])

    def _reopen(self):
        """Undo the end of a run: a limit that was met is not there any more."""
        if self.s.phase == DONE:
            self.s.phase, self.s.reason = self.s.phase_at_end, RUNNING

    def _warm_start(self, double f, const double[::1] g, S, Y):
        """Go on at x0 from known f, g and pairs (k, n), with no other memory."""
        self._redefine(f, NAN, g, S, Y)
        self.s.phase = ITERATE

    def _give_pairs(self, S, Y):
        """Hold the pairs (k, n) and no others."""
        cdef const double[:, ::1] s, y
        cdef Py_ssize_t k = len(S)
        if self.s.box.scaled:
            S, Y = S / self._scale, Y * self._scale
        s, y = S, Y
        with nogil:
            set_pairs(&self.s, k, &s[0, 0] if k > 0 else NULL, &y[0, 0] if k > 0 else NULL)

    cdef object _square(self, const double *gram):
        cdef Py_ssize_t i, j, size = 2 * self.s.B.k, ld = self.s.B.ld
        array = np.empty((size, size))
        cdef double[:, ::1] out = array
        for i in range(size):
            for j in range(size):
                out[i, j] = gram[i * ld + j]
        return array

    cdef int _set_square(self, double *gram, values) except -1:
        cdef const double[:, :] square = values
        cdef Py_ssize_t i, j
        for i in range(square.shape[0]):
            for j in range(square.shape[1]):
                gram[i * self.s.B.ld + j] = square[i, j]
        return 0

    cdef int _set_vector(self, double *v, values) except -1:
        cdef const double[::1] data = values
        memcpy(v, &data[0], self.n * sizeof(double))
        return 0
