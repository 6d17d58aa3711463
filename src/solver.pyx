"""The state machine of L-BFGS-B: what happens between two evaluations of f and g.

Byrd, Lu, Nocedal and Zhu (1995), algorithm L-BFGS-B; Zhu, Byrd, Lu and Nocedal, Algorithm 778, ACM
Transactions on Mathematical Software 23 (1997), 550-560; Morales and Nocedal (2011).

One iteration, in the words of the phases: ITERATE -- solver_test: is it over? -- solver_advance: a
Cauchy point, a subspace minimiser, hence a direction -- TRIAL -- solver_tell, once for each
trial of the line search -- ITERATE. Whoever drives it evaluates f and g at solver_point.
Nothing here allocates, calls Python or raises.

W is read twice in an iteration: by the pass that takes a step (accept.pyx), and by the one that
makes the next (subspace.pyx).

A limit is a pause: the state stays as it is, even in the middle of a line search, and a run
that goes on from there computes what it would have computed without the stop.
"""
from libc.math cimport INFINITY, NAN, fabs, isfinite, sqrt
from libc.string cimport memcpy, memset

from lbfgsb._core.accept cimport PRODUCTS, accept_few, accept_nothing, accept_step
from lbfgsb._core.box cimport (Box, box_clip, box_free_all, box_place, box_trial, box_trial_rows,
                               box_update_status, scaled_change, scaled_gradient)
from lbfgsb._core.cauchy cimport cauchy_before_break_points, cauchy_place, cauchy_search
from lbfgsb._core.compact cimport (compact_correct_free, compact_factor,
                                   compact_newton_coefficients, compact_place, compact_reset,
                                   compact_set_pair, Curvature, most_updates, tiles_from)
from lbfgsb._core.few_variables cimport (few_cauchy_point, few_minimiser, few_place,
                                         few_set_pair)
from lbfgsb._core.kernels cimport BLOCK, FEW, FEW_FREE, LANES, MAX_RHS, PACK, kernels_in_use
from lbfgsb._core.line_search cimport (ACCEPT_BEST, ACCEPT_TRIAL, NO_STEP, TRY_NEXT, LineSearch,
                                       LineSearchVerdict, line_search_end, line_search_give_up,
                                       line_search_promise, line_search_start,
                                       line_search_tell)
from lbfgsb._core.options cimport (DIAGONAL, FLOAT32, default_extra_updates,
                                   default_initial_scaling, default_maxcor)
from lbfgsb._core.platform cimport platform_free
from lbfgsb._core.slope_monitor cimport (slope_monitor_begin, slope_monitor_mismatch,
                                         slope_monitor_search, slope_monitor_set_precision,
                                         slope_monitor_tell)
from lbfgsb._core.subspace cimport (subspace_coefficients, subspace_place, subspace_step,
                                    subspace_truncated_step)
from lbfgsb._core.team cimport (MAX, Room, aligned_block, carve, dot, padded,
                                run_chunks, team_end_iteration, team_place, team_set_threads)

cdef extern from "float.h" nogil:
    const double DBL_EPSILON
    const double FLT_EPSILON

# A step whose predicted decrease is less than this many units of the precision of f can't be seen
# in f; nor can one of less than so many times its noise, as a search has found it.
cdef double INVISIBLE = 10
cdef double HIDDEN = 8
# A step that promises, or has made, less than this part of the noise of f is not worth taking.
cdef double DEEP = 0.1
# Noise is small beside f, or beside what the run has gained; else f jumps.
cdef double GROSS = 0.01
# The first trial of a search that is made again, in units of what it was or should have been.
cdef double ANEW = 0.9

# Values of f that differ by less, relative to f, may differ by rounding alone: that of a double f
# with many terms, or so many units of a precision that is less.
cdef double NOISE = 1e-12
cdef double UNITS = 10

# A best step that decreases f by less than so many units of its precision, or than this part of the
# promise, has not decreased it: among short enough steps along an ascent direction, or with noise
# in f, there is one of those.
cdef double LEAST = 4
cdef double TINY = 1e-6

# After so many trials without a decrease, f may be a double that was computed in single precision.
cdef enum:
    MANY = 4
# What is so many times higher is far above.
cdef double FAR_ABOVE = 1e3
# What is less than this part of what the run has gained is nothing beside it.
cdef double NOTHING = 1e-5
# A small f may be what is left of terms that cancel, of the size of this part of what it was, but
# no more than so many times f.
cdef double CANCELS = 1e-3
cdef double MOST_CANCELLED = 10

# The secant equation takes from f what rounding errors of so much, relative to f, or of a few units
# of a precision that is less, can't have moved by more than this part of sᵀy.
cdef double ROUNDED = 1.2e-13
cdef double FEW_UNITS = 4
cdef double SMALL_PART = 0.05

# What a slope may be off by in a segment, in units of the noise of f, before it says anything.
cdef double VISIBLE_NOISE = 30

# A step is cut short that is less than this part of the first trial.
cdef double CUT_SHORT = 0.01

# The first step, without pairs, has the length 1, or this part of the largest variable if that is
# longer. It is made that long where -g is shorter by the factor SHORT.
cdef double FIRST_STEP = 1e-4
cdef double SHORT = 1e-8

# --- construction -------------------------------------------------------------------------


cdef void place(SolverState *s, Room *room) noexcept nogil:
    team_place(&s.team, s.box.n, room)
    if s.few.used:
        few_place(&s.few, &s.B, s.box.bounded, room)
    else:
        s.few.step = NULL
        cauchy_place(&s.cauchy, s.B.m, room)
        subspace_place(&s.subspace, s.B.m, most_updates(&s.B), room)
    box_place(&s.box, room)
    # The break points have had their day when a line search begins.
    if s.box.bounded:
        s.g_best = s.box.t
    else:
        s.g_best = <double *>carve(&room.kept, s.box.n, sizeof(double))
    compact_place(&s.B, s.few.used, room)


cdef bint solver_create(SolverState *s, Py_ssize_t n, bint bounded, bint scaled) noexcept nogil:
    """Allocate for n variables, with the options already set. False: no memory.

    The caller then fills box.x and, if bounded, box.lower and box.upper, and if scaled, box.scale,
    and calls solver_begin.
    """
    cdef Room room = solver_size(s, n, bounded, scaled)
    if room.kept == NULL:
        return False
    s.block = aligned_block(<size_t>room.kept + <size_t>room.work)
    if s.block == NULL:
        return False
    solver_place(s, s.block, s.block + <size_t>room.kept)
    return True


cdef Room solver_size(SolverState *s, Py_ssize_t n, bint bounded, bint scaled) noexcept nogil:
    """The bytes that a solver of n variables needs, with the options already set.

    A `kept` of NULL says that there are more than a machine can have. Otherwise solver_place comes
    next, if the memory is not from solver_create. Chooses what the options leave open.
    """
    cdef Py_ssize_t m, updates, columns, pairs
    cdef Room room = Room(NULL, NULL)
    if s.options.maxcor == 0:
        s.options.maxcor = default_maxcor(n)
    if s.options.extra_updates < 0:
        s.options.extra_updates = default_extra_updates(n, s.options.secant)
    if s.options.initial_scaling < 0:
        s.options.initial_scaling = default_initial_scaling(n, s.options.secant)
    s.B.m = m = s.options.maxcor
    s.B.extra = s.options.extra_updates
    updates = most_updates(&s.B)
    team_set_threads(&s.team, s.options.threads, n)
    # 64-bit sizes can overflow too: the largest buffers, in doubles, must stay well below 2⁶⁰.
    if 8.0 * (m + 1) * (n + LANES) + 32.0 * updates * updates * s.team.threads > 1e18:
        return room
    s.block = NULL
    s.team.simd = s.B.simd = s.box.simd = kernels_in_use()
    s.B.n = s.box.n = n
    s.box.bounded, s.box.scaled = bounded, scaled
    s.few.used = solver_is_few(&s.options, n, bounded)
    s.few.diagonal = s.few.used and n <= FEW and s.options.initial_scaling == DIAGONAL
    s.B.narrow = s.options.pairs == FLOAT32 and not s.few.used
    s.B.panel = &s.B.simd.float32 if s.B.narrow else &s.B.simd.float64
    # What W is multiplied with at once: for few variables no more than the new pair.
    columns = 2 if s.few.used else 2 * m + 2
    pairs = 0 if s.few.used else m * (2 * m + 1)
    s.team.width = PRODUCTS + max(MAX_RHS * columns, pairs)
    s.team.scratch_size = padded(max(MAX_RHS * (BLOCK + columns * LANES),
                                     columns * PACK + pairs * LANES) + 2 * LANES)
    place(s, &room)
    return room


cdef bint solver_is_few(const Options *o, Py_ssize_t n, bint bounded) noexcept nogil:
    """Does few_variables.pyx make the steps? Without bounds, where it needs no n x n matrix, of
    more variables, but not with float32 pairs."""
    if o.compact:
        return False
    return n <= FEW or (n <= FEW_FREE and not bounded and o.pairs != FLOAT32)


cdef void solver_place(SolverState *s, char *kept, char *work) noexcept nogil:
    """Lay the buffers out in memory that begins on cache lines; see solver_size."""
    cdef Room room = Room(kept, work)
    place(s, &room)
    solver_point_at_team(s)


cdef void solver_point_at_team(SolverState *s) noexcept nogil:
    """The only pointers into the struct itself: to be set again where it has been copied."""
    s.B.team = s.box.team = &s.team


cdef void solver_destroy(SolverState *s) noexcept nogil:
    platform_free(s.block)
    s.block = NULL


cdef void solver_begin(SolverState *s) noexcept nogil:
    """Start a run from box.x, clipped into the bounds."""
    cdef Py_ssize_t i, n = s.box.n
    # Rows beyond n stay zero.
    memset(tiles_from(&s.B, n - 1), 0, s.B.tile_length * s.B.panel.entry_size)
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
    s.noise, s.gain, s.f_low = 0, 0, INFINITY
    s.box.norm = NAN
    s.nit = s.nfev = s.njev = s.skipped = s.restarts = 0
    s.phase, s.phase_at_end, s.reason = START, START, RUNNING
    slope_monitor_begin(&s.monitor)
    solver_set_precision(s, s.options.fun_precision)


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


cdef void solver_set_precision(SolverState *s, double precision) noexcept nogil:
    """Set the relative precision of f, unless it has been told as an option; double's at best."""
    if s.options.fun_precision > 0:
        precision = s.options.fun_precision
    s.precision = max(precision, DBL_EPSILON)
    slope_monitor_set_precision(&s.monitor, s.precision)


cdef void solver_tell_value(SolverState *s, double f) noexcept nogil:
    """Take f alone at x0. The run is over if that meets `ftarget`."""
    if isfinite(f) and f <= s.options.ftarget:
        s.f = f
        s.nfev += 1
        fill(s.box.g, s.box.n, NAN)
        solver_finish(s, CONVERGED_TARGET)


cdef Event solver_tell(SolverState *s, double f, const double *g) noexcept nogil:
    """Take f and g (NULL: not evaluated since f is not finite) at solver_point.

    If there is something new, solver_test tells whether the run is over.
    """
    cdef LineSearchVerdict verdict
    cdef double slope, tried
    s.nfev += 1
    s.njev += g != NULL
    if s.phase == START:
        return start(s, f, g)
    slope = dot(&s.team, s.box.n, g, s.box.d) if isfinite(f) and g != NULL else NAN
    monitor_trial(s, f, slope)
    tried = s.search.alpha
    if (fabs(f - s.f) <= max(NOISE, UNITS * s.precision) * fabs(s.f) and isfinite(slope)
            and trial_norm(s, tried, g, False) <= s.options.gtol):
        # f is at its rounding errors and can't tell any more whether this is a step in the right
        # direction; the gradient can.
        verdict = ACCEPT_TRIAL
    else:
        verdict = line_search_tell(&s.search, f, slope)
        if verdict != ACCEPT_TRIAL or not f < s.f:
            verdict = check_verdict(s, verdict, g, tried)
    if verdict == TRY_NEXT or verdict == NO_STEP:
        if verdict == NO_STEP:
            no_step(s)
        elif s.search.improved:
            memcpy(s.g_best, g, s.box.n * sizeof(double))
        if s.phase == TRIAL and s.nfev >= s.options.maxfun:
            solver_finish(s, LIMIT_EVALUATIONS)
        return NOTHING_NEW
    s.f_old = s.f
    if verdict == ACCEPT_TRIAL:
        s.f, s.steplength = f, s.search.alpha
    else:
        s.f, s.steplength, slope = s.search.f_x, s.search.alpha_x, s.search.slope_x
        if not s.search.improved:
            g = s.g_best
    if noise_of(s) > 0:
        s.gain = -0.5 * s.steplength * (s.search.slope0 + slope)
    accept(s, s.steplength, slope, g)
    s.nit += 1
    s.phase = ITERATE
    return NEW_ITERATE


cdef LineSearchVerdict check_verdict(SolverState *s, LineSearchVerdict verdict, const double *g,
                                     double tried) noexcept nogil:
    """The verdict on a trial that is no step with a lower f, by what the line search can't know."""
    if verdict == TRY_NEXT:
        s.search.most = GROSS * max(fabs(s.f), s.monitor.first - s.f)
        verdict = check_next(s, tried)
    if verdict == ACCEPT_TRIAL:
        return check_null_step(s, verdict, g)
    if (verdict == ACCEPT_BEST
            and not s.f - s.search.f_x > max(LEAST * s.precision * fabs(s.f),
                                             TINY * line_search_promise(&s.search))):
        return check_null_step(s, verdict, g)
    return verdict


cdef LineSearchVerdict check_next(SolverState *s, double tried) noexcept nogil:
    """Is there a next trial? It must be a point that has not been evaluated in this search.

    Points on the segment are in the order of their steps, equal ones side by side: it is enough to
    look at the neighbours.
    """
    cdef LineSearch *v = &s.search
    if v.trials >= s.options.maxls:
        return line_search_give_up(v)
    if v.trials >= MANY and seems_single(s):
        return line_search_end(v)
    if (differ(s, v.alpha, v.alpha_x) and (not v.bracketed or differ(s, v.alpha, v.alpha_y))
            and (v.wall != tried or differ(s, v.alpha, tried))):
        return TRY_NEXT
    return line_search_end(v)


cdef inline bint moves_surely(const Box *box, Py_ssize_t i, double alpha,
                              double other) noexcept nogil:
    """Are x_i + alpha d_i and x_i + other d_i too far apart to be rounded to the same number?"""
    return (fabs((alpha - other) * box.d[i])
            > 4 * DBL_EPSILON * (fabs(box.x[i]) + max(alpha, other) * fabs(box.d[i])))


cdef inline bint differ(const SolverState *s, double alpha, double other) noexcept nogil:
    """Are x + alpha d and x + other d different points? The first variable mostly tells."""
    return moves_surely(&s.box, 0, alpha, other) or any_moves(&s.box, alpha, other)


cdef bint any_moves(const Box *box, double alpha, double other) noexcept nogil:
    cdef double one[BLOCK]
    cdef double two[BLOCK]
    cdef Py_ssize_t i, first = 0, size
    for i in range(box.n):
        if moves_surely(box, i, alpha, other):
            return True
    while first < box.n:
        size = min(<Py_ssize_t>BLOCK, box.n - first)
        box_trial_rows(box, alpha, first, size, one)
        box_trial_rows(box, other, first, size, two)
        for i in range(size):
            if one[i] != two[i]:
                return True
        first += size
    return False


cdef LineSearchVerdict check_null_step(SolverState *s, LineSearchVerdict verdict,
                                       const double *g) noexcept nogil:
    """Can a step be taken that does not decrease f, or by so little that it may be luck?

    If f was not to be seen to decrease, and the projected gradient decreases. Where f is known to
    be noisy, it need not if the slopes say that the step is good.
    """
    cdef double alpha = s.search.alpha
    if verdict == ACCEPT_BEST:
        alpha = s.search.alpha_x
        if not s.search.improved:
            g = s.g_best
    if verdict == ACCEPT_TRIAL and line_search_promise(&s.search) <= HIDDEN * noise_of(s):
        return verdict
    if (nothing_to_see(s) and trial_norm(s, alpha, g, s.box.scaled)
            < trial_norm(s, 0, s.box.g, s.box.scaled)):
        return verdict
    return NO_STEP


cdef inline double noise_of(const SolverState *s) noexcept nogil:
    """What f is known to be off by at the iterate, if that is more than rounding errors."""
    if s.precision > 2 * DBL_EPSILON:
        return max(s.precision * fabs(s.f), s.noise)
    return s.noise


cdef bint nothing_to_see(SolverState *s) noexcept nogil:
    """Was the decrease that the search promised too small to be seen in f?

    So must be that of a step along the projected gradient: a direction from a bad memory promises
    little. If it was the noise of f that hid it, that is remembered.
    """
    cdef double promise = line_search_promise(&s.search), noise = s.search.noise
    cdef double seen = max(INVISIBLE * s.precision * fabs(s.f), rounding_of_x(s))
    if s.nit > 0:    # else f may be a constant, whose gradient is not 0
        noise = max(noise, s.search.coarse)
    if s.B.k > 0 and not steepest_promise(s) <= INVISIBLE * max(seen, HIDDEN * noise):
        return False
    if promise <= seen:
        # At the start all trials may lie far beyond the minimiser, where slopes foretell nothing.
        return s.nit > 0 or not s.search.f_y - s.f > FAR_ABOVE * max(seen, fabs(s.f))
    # Rounding errors of a double f: without the memory the gradient may yet get where it should.
    if promise <= HIDDEN * noise and (s.B.k == 0 or noise > NOISE * fabs(s.f)):
        s.noise = max(s.noise, noise)
        return True
    if s.B.k == 0 and seems_single(s):
        s.noise = max(s.noise, single_noise(s))
        return True
    return False


cdef bint seems_single(const SolverState *s) noexcept nogil:
    """Is f, which came as a double, likely to have been computed in single precision?

    The search promised less than that can show of f, and of all that the run has gained; no trial
    is lower, and those where f is higher come so close that the slope still is what it was. So
    there is no kink on the way, and with a wrong gradient the run would not have come this far.
    """
    cdef const LineSearch *v = &s.search
    return (v.f_x >= s.f and v.slope_y < 0.5 * v.slope0
            and line_search_promise(v) <= min(INVISIBLE * single_noise(s),
                                              NOTHING * (s.monitor.first - s.f)))


cdef double single_noise(const SolverState *s) noexcept nogil:
    """What single precision makes f uncertain by; a small f may be what terms that cancel leave."""
    cdef double f = fabs(s.f)
    return FLT_EPSILON * min(max(f, CANCELS * (s.monitor.first - s.f)), MOST_CANCELLED * f)


cdef double steepest_promise(SolverState *s) noexcept nogil:
    """The decrease that -g promises, with the curvature of the newest pair."""
    cdef double squared = s.box.g_free_squared
    cdef Py_ssize_t i
    if not s.box.bounded:
        squared = 0
        for i in range(s.box.n):
            squared += scaled_gradient(&s.box, i) ** 2
    return squared / s.B.theta


cdef void monitor_trial(SolverState *s, double f, double slope) noexcept nogil:
    """Compare f and slope at the trial with those at the nearer end of the interval."""
    cdef LineSearch *v = &s.search
    if fabs(v.alpha - v.alpha_y) < fabs(v.alpha - v.alpha_x):
        slope_monitor_tell(&s.monitor, v.alpha - v.alpha_y, v.f_y, v.slope_y, f, slope)
    else:
        slope_monitor_tell(&s.monitor, v.alpha - v.alpha_x, v.f_x, v.slope_x, f, slope)


ctypedef struct NormContext:
    const SolverState *s
    double alpha
    const double *g
    bint scaled


cdef double trial_norm(SolverState *s, double alpha, const double *g, bint scaled) noexcept nogil:
    """The inf-norm of the projected gradient at x + alpha d, where the gradient is g; on request
    with respect to the scaled variables."""
    cdef NormContext v
    v.s, v.alpha, v.g, v.scaled = s, alpha, g, scaled
    run_chunks(&s.team, norm_chunk, &v, s.box.n, 6, 0, s.team.total)
    return s.team.total[MAX]


cdef void norm_chunk(void *context, Py_ssize_t first, Py_ssize_t rows, double *partial,
                     double *scratch) noexcept nogil:
    cdef NormContext *v = <NormContext *>context
    cdef const Box *box = &v.s.box
    cdef double x, g, unit
    cdef Py_ssize_t block, i, start, size
    for block in range((rows + BLOCK - 1) // BLOCK):
        start = first + block * BLOCK
        size = min(<Py_ssize_t>BLOCK, first + rows - start)
        box_trial_rows(box, v.alpha, start, size, scratch)
        for i in range(start, start + size):
            x, g = scratch[i - start], v.g[i]
            unit = box.scale[i] if v.scaled else 1
            g *= unit
            if box.bounded:
                g = (min((x - box.lower[i]) / unit, g) if g > 0
                     else max((x - box.upper[i]) / unit, g))
            partial[MAX] = max(partial[MAX], fabs(g))


cdef Event start(SolverState *s, double f, const double *g) noexcept nogil:
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
        return NOTHING_NEW
    solver_measure(s)
    s.phase = ITERATE
    return STARTED


cdef void no_step(SolverState *s) noexcept nogil:
    """The line search found no decrease: forget the pairs once, then give up."""
    cdef bint knew = noise_of(s) > 0
    if nothing_to_see(s) and (knew or not search_again(s)):
        s.phase = ITERATE
        s.f_old = s.f    # no change of f is left to make
        solver_finish(s, CONVERGED_FTOL)
    elif s.phase == TRIAL and not knew and noise_of(s) > 0:
        pass
    elif start_again(s):
        solver_advance(s, NULL)
    else:
        s.phase = ITERATE
        solver_finish(s, ABNORMAL_LINE_SEARCH)


cdef bint search_again(SolverState *s) noexcept nogil:
    """Search along the same direction, now that f is known to be noisy, if it is worth it.

    Not from the same trial: what f was there is known, and the gradient has not been kept.
    """
    cdef double promise = line_search_promise(&s.search)
    cdef double alpha = ANEW * min(s.first_alpha, s.search.turn), most = s.search.most
    if s.noise == 0 or promise <= DEEP * s.noise:
        return False
    s.first_alpha = alpha
    line_search_start(&s.search, s.f, s.search.slope0, alpha, s.search.alpha_max)
    s.search.most, s.search.slack = most, slack_of(s)
    return True


cdef double slack_of(SolverState *s) noexcept nogil:
    """By how much f may rise in a step: twice its noise (Shi, Xie, Byrd and Nocedal 2022).

    But not time and again: by no more than twice that above the lowest f since the noise is known.
    """
    cdef double noise = noise_of(s)
    s.f_low = min(s.f_low, s.f)
    return max(0.0, min(2 * noise, s.f_low + 4 * noise - s.f))


cdef bint start_again(SolverState *s) noexcept nogil:
    """Forget the pairs or, without any, how far a first step in a box goes.

    False: there is nothing else to try.
    """
    if s.B.k > 0:
        compact_reset(&s.B)
        box_free_all(&s.box)
    elif s.box.boxed and s.B.theta == 1 and steepest_norm(s) > first_length(s):
        s.B.theta = steepest_norm(s) / first_length(s)
    else:
        return False
    s.restarts += 1
    return True


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
    elif decreased_little(s, o.ftol * max(fabs(s.f_old), fabs(s.f), 1.0)):
        if was_cut_short(s):
            start_again(s)
            solver_test_limits(s)
        else:
            solver_finish(s, CONVERGED_FTOL)
    else:
        solver_test_limits(s)


cdef bint was_cut_short(const SolverState *s) noexcept nogil:
    """Was the last step but a small part of its direction, which the memory had led astray?

    Then its decrease says little of what is to be gained. A step from no memory tells.
    """
    return s.B.k > 1 and s.steplength < CUT_SHORT * s.first_alpha


cdef bint decreased_little(const SolverState *s, double least) noexcept nogil:
    """Was the decrease of f in the last step at most `least`?

    Where noise hides it the slopes say what it was; that ends the run only if it is nothing beside
    the noise, or if `least` is not below the noise itself.
    """
    cdef double noise, decrease = s.f_old - s.f
    if not decrease <= least:    # NaN at the first iterate
        return False
    noise = noise_of(s)
    if noise > 0 and fabs(decrease) <= 2 * noise and s.gain > DEEP * noise:
        return noise <= least and s.gain <= least
    return True


cdef void solver_test_limits(SolverState *s) noexcept nogil:
    if s.nit >= s.options.maxiter:
        solver_finish(s, LIMIT_ITERATIONS)
    elif s.nfev >= s.options.maxfun:
        solver_finish(s, LIMIT_EVALUATIONS)


# --- a new iterate ------------------------------------------------------------------------


cdef void solver_set_pair(SolverState *state, Py_ssize_t i, const double *s, const double *y,
                          const double *units, double secant) noexcept nogil:
    """Hold s and y (n,) as pair i, the newest, with this factor; see compact_set_pair."""
    compact_set_pair(&state.B, i, s, y, units, secant)
    if state.few.used:
        few_set_pair(&state.few, &state.B)


cdef Curvature curvature_of(const SolverState *s, double alpha, double slope) noexcept nogil:
    """What f, now at x + alpha d with this slope, says of its curvature from the old iterate to x.

    The pair must have sᵀy > eps_SY |sᵀg|, g the old gradient: a test that neither the scale of f
    nor that of x changes, unlike one against yᵀy. Slopes along d do not depend on x_scale either,
    and the step is a part of d whatever path has led to d.
    """
    cdef double slope0 = s.search.slope0, noise, change
    cdef Curvature v
    v.least = -max(s.options.eps_SY, s.precision) * alpha * slope0
    v.mean, v.decrease, v.change = alpha * (slope - slope0), -alpha * slope0, 0
    if s.options.secant:
        noise = max(max(ROUNDED, FEW_UNITS * s.precision) * max(fabs(s.f_old), fabs(s.f)),
                    noise_of(s))
        change = 6 * (s.f_old - s.f) + 3 * alpha * (slope0 + slope)
        if 6 * noise <= SMALL_PART * v.mean and isfinite(change):
            v.change = change
    return v


cdef void accept(SolverState *s, double alpha, double slope, const double *g) noexcept nogil:
    """Move to x + alpha d, where the gradient is g; measure there; take the new pair."""
    cdef Curvature curvature = curvature_of(s, alpha, slope)
    cdef bint taken
    team_end_iteration(&s.team)
    if s.few.used:
        taken = accept_few(&s.team, &s.box, &s.B, &s.few, alpha, g, &curvature)
    else:
        taken = accept_step(&s.team, &s.box, &s.B, alpha, g, &curvature)
    s.skipped += not taken


cdef void solver_measure(SolverState *s) noexcept nogil:
    """Projected gradient, break points and p at x and g as they are."""
    accept_nothing(&s.team, &s.box, &s.B, not s.few.used)


# --- a new direction ----------------------------------------------------------------------


cdef bint solver_advance(SolverState *s, double *out) noexcept nogil:
    """From an iterate to the first trial of its line search.

    Returns True if `out` (n,), or NULL, has got that point already: the whole step is written
    while its rows are at hand. Else solver_point gives it.
    """
    while not (set_direction(s, out if s.options.max_steplength >= 1 else NULL)
               and begin_search(s)):
        if not start_again(s):
            s.phase = ITERATE
            solver_finish(s, ABNORMAL_DIRECTION)
            return False
    s.phase = TRIAL
    return out != NULL and s.search.alpha == 1 and s.options.max_steplength >= 1


cdef bint set_direction(SolverState *s, double *out) noexcept nogil:
    """Set box.d, and x + d in `out` unless that is NULL.

    Returns False if rounding leaves no direction that goes down.
    """
    cdef double *e = s.subspace.e
    s.subspace.whole = NULL
    if s.B.k == 0:    # B = theta I: the projected steepest descent direction
        lengthen(s)
        s.cauchy.t, s.cauchy.t_fixed = 1 / s.B.theta, 0
    elif s.box.bounded and not 0 < s.box.g_free_squared < INFINITY:
        return False    # g is so small or large that the model's derivatives are not numbers
    elif s.few.used:
        s.subspace.whole = s.few.step
        if not few_minimiser(&s.few, &s.B, &s.box, &s.cauchy, s.options.check, &s.factor_error):
            return False
    elif not s.box.bounded:
        compact_newton_coefficients(&s.B, e)
    else:
        if not (cauchy_before_break_points(&s.cauchy, &s.B, &s.box, e) or find_cauchy(s)):
            return False
        if s.box.pinned + s.cauchy.passed == 0:
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


cdef void lengthen(SolverState *s) noexcept nogil:
    """Scale B where -g is so short that it moves nothing, or its square is no number.

    Outside of boxes begin_search takes the part of that step that has the right length.
    """
    cdef double length = first_length(s), norm = steepest_norm(s)
    if s.B.theta == 1 and 0 < norm < INFINITY and not SHORT * length < norm < 1e100:
        s.B.theta = norm / (length if s.box.boxed else sqrt(<double>s.box.n) * length)


cdef double first_length(const SolverState *s) noexcept nogil:
    """The length of a step that is to be taken without pairs."""
    cdef double largest = 0
    cdef Py_ssize_t i
    for i in range(s.box.n):
        largest = max(largest, fabs(scaled_change(&s.box, i, s.box.x[i])))
    return max(1.0, FIRST_STEP * largest)


cdef double steepest_norm(const SolverState *s) noexcept nogil:
    """The inf-norm of the gradient over the variables, scaled ones, that can move along -g."""
    cdef const Box *box = &s.box
    cdef double norm = 0
    cdef Py_ssize_t i
    for i in range(box.n):
        if not box.bounded or (box.x[i] > box.lower[i] if box.g[i] > 0 else
                               box.x[i] < box.upper[i]):
            norm = max(norm, fabs(scaled_gradient(box, i)))
    return norm


cdef bint begin_search(SolverState *s) noexcept nogil:
    """The first trial; False if it is where x is.

    The whole step, but one of unit length without pairs: nothing is known of the size of B then.
    In a box the projection limits that step.
    """
    cdef Options *o = &s.options
    cdef double alpha_max = min(o.max_steplength, s.subspace.limit), alpha = 1
    if s.box.bounded and s.nit == 0:
        alpha_max = min(alpha_max, 1.0)
    if s.B.k == 0 and not s.box.boxed:
        alpha = first_length(s) / sqrt(s.subspace.squared)
    s.first_alpha = min(alpha, alpha_max)
    if not differ(s, s.first_alpha, 0):
        return False
    s.search.f_tol, s.search.g_tol = o.ftol_linesearch, o.gtol_linesearch
    s.search.x_tol = o.xtol_linesearch
    line_search_start(&s.search, s.f, s.subspace.slope, s.first_alpha, alpha_max)
    if noise_of(s) > 0:
        s.search.slack = slack_of(s)
    slope_monitor_search(&s.monitor, s.f)
    return True


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


cdef double mismatch_of(const SolverState *s) noexcept nogil:
    return slope_monitor_mismatch(&s.monitor, max(rounding_of_x(s), VISIBLE_NOISE * s.noise))
