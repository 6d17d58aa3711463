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
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

from lbfgsb._core.accept cimport PRODUCTS, accept_few, accept_nothing, accept_step
from lbfgsb._core.box cimport (box_clip, box_free_all, box_place, box_trial, box_trial_rows,
                               box_update_status)
from lbfgsb._core.cauchy cimport cauchy_before_break_points, cauchy_place, cauchy_search
from lbfgsb._core.compact cimport (compact_correct_free, compact_factor,
                                   compact_newton_coefficients, compact_place, compact_reset,
                                   compact_set_pairs)
from lbfgsb._core.few_variables cimport (few_cauchy_point, few_minimiser, few_place,
                                         few_take_all_pairs)
from lbfgsb._core.kernels cimport BLOCK, FEW, LANES, MAX_RHS, PACK, kernels_in_use
from lbfgsb._core.line_search cimport (ACCEPT_TRIAL, NO_STEP, TRY_NEXT, LineSearch,
                                       LineSearchVerdict, line_search_give_up,
                                       line_search_start, line_search_tell)
from lbfgsb._core.slope_monitor cimport (slope_monitor_begin, slope_monitor_mismatch,
                                         slope_monitor_search, slope_monitor_tell)
from lbfgsb._core.subspace cimport (subspace_coefficients, subspace_place, subspace_step,
                                    subspace_truncated_step)
from lbfgsb._core.team cimport (MAX, Room, aligned_block, carve, chunk_count, dot, padded,
                                run_chunks, team_place)

cdef extern from "float.h" nogil:
    const double DBL_EPSILON

# A step whose predicted decrease is less than this many rounding errors of f can't be seen in f.
cdef double INVISIBLE = 10 * DBL_EPSILON

# Values of f that differ by less, relative to f, may differ by rounding alone.
cdef double NOISE = 1e-12

# --- construction -------------------------------------------------------------------------


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
    next, if the memory is not from solver_create.
    """
    cdef Py_ssize_t m = s.options.maxcor, ld, pairs
    cdef int threads = <int>min(<Py_ssize_t>s.options.threads, chunk_count(n))
    cdef Room room = Room(NULL, NULL)
    # 64-bit sizes can overflow too: the largest buffers, in doubles, must stay well below 2⁶⁰.
    if 8.0 * (m + 1) * (n + LANES) + 32.0 * m * m * threads > 1e18:
        return room
    ld, pairs = 2 * m + 2, m * (2 * m + 1)
    s.block = NULL
    s.team.simd = s.B.simd = s.box.simd = kernels_in_use()
    s.B.n = s.box.n = n
    s.B.m = m
    s.box.bounded, s.box.scaled = bounded, scaled
    s.few.used = n <= FEW and not s.options.compact
    s.team.threads = threads
    s.team.width = PRODUCTS + max(MAX_RHS * ld, pairs)
    s.team.scratch_size = padded(max(MAX_RHS * (BLOCK + ld * LANES), ld * PACK + pairs * LANES)
                                 + 2 * LANES)
    place(s, &room)
    return room


cdef void solver_place(SolverState *s, char *kept, char *work) noexcept nogil:
    """Lay the buffers out in memory that begins on cache lines; see solver_size."""
    cdef Room room = Room(kept, work)
    place(s, &room)
    solver_point_at_team(s)


cdef void solver_point_at_team(SolverState *s) noexcept nogil:
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


cdef Event solver_tell(SolverState *s, double f, const double *g) noexcept nogil:
    """Take f and g (NULL: not evaluated since f is not finite) at solver_point.

    If there is something new, solver_test tells whether the run is over.
    """
    cdef LineSearchVerdict verdict
    cdef double slope
    s.nfev += 1
    s.njev += g != NULL
    if s.phase == START:
        return start(s, f, g)
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
        return NOTHING_NEW
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
    return NEW_ITERATE


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
        solver_test_limits(s)


cdef void solver_test_limits(SolverState *s) noexcept nogil:
    if s.nit >= s.options.maxiter:
        solver_finish(s, LIMIT_ITERATIONS)
    elif s.nfev >= s.options.maxfun:
        solver_finish(s, LIMIT_EVALUATIONS)


# --- a new iterate ------------------------------------------------------------------------


cdef void solver_set_pairs(SolverState *s, Py_ssize_t k, const double *S,
                           const double *Y) noexcept nogil:
    """Hold the k pairs in the rows of S and Y (k, n), oldest first."""
    compact_set_pairs(&s.B, k, S, Y)
    if s.few.used:
        few_take_all_pairs(&s.few, &s.B)


cdef void accept(SolverState *s, double alpha, const double *g) noexcept nogil:
    """Move to x + alpha d, where the gradient is g; measure there; take the new pair.

    The pair must have sᵀy > eps_SY |sᵀg|, g the old gradient: a test that neither the scale of f
    nor that of x changes, unlike one against yᵀy.
    """
    cdef double least_curvature = -s.options.eps_SY * alpha * s.search.slope0
    cdef bint taken
    if s.few.used:
        taken = accept_few(&s.team, &s.box, &s.B, &s.few, alpha, g, least_curvature)
    else:
        taken = accept_step(&s.team, &s.box, &s.B, alpha, g, least_curvature)
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


cdef double mismatch_of(const SolverState *s) noexcept nogil:
    return slope_monitor_mismatch(&s.monitor, rounding_of_x(s))
