"""The loops: objective in, iterations out. One for Python objectives, one for compiled ones.

With a Python objective one evaluation costs one call of `fun`, an array for x unless the last one
can be used again, and no other Python object. O(n) work runs without the GIL.

With a compiled objective (`drive`) nothing is allocated and nothing is Python. The loop pauses
where its caller wants to do something, and goes on when it is called again. It serves
`lbfgsb.cython_lbfgsb` and the compiled objectives that come from Python alike.

The point that `fun` gets is a copy: what it does to it, or keeps of it, harms nothing. The same
holds for the gradient it returns, which is read before the next call.
"""
from cpython.exc cimport PyErr_CheckSignals
from cpython.pyport cimport PY_SSIZE_T_MAX
from libc.math cimport INFINITY, NAN, isfinite

from lbfgsb._core.base_solver cimport NOBODY, BaseSolver
from lbfgsb._core.guard cimport guard_enter, guard_leave, guard_rest, guard_resume
from lbfgsb._core.objective cimport (CompiledObjective, as_gradient, as_value, is_fresh_vector,
                                     new_vector, precision_of, vector_data)
from lbfgsb._core.platform cimport platform_coarse_seconds
from lbfgsb._core.recorder cimport Recorder
from lbfgsb._core.solver cimport (DONE, ITERATE, NEW_ITERATE, NOTHING_NEW, START, STARTED, Event,
                                  SolverState, solver_advance, solver_point, solver_set_precision,
                                  solver_stop, solver_tell, solver_tell_value, solver_test)

import threading

# From this many variables on it pays to release the GIL around the solver's work.
cdef enum:
    WORTH_RELEASING = 1024

# How often a run without the GIL lets Python look for signals at least, in seconds, unless one
# evaluation takes longer.
cdef double LOOK_EVERY = 0.05


def run(BaseSolver solver, objective, on_start=None, redefine=None, on_iterate=None,
        tuple recorders=()):
    """Drive `solver` until it is done.

    Parameters
    ----------
    objective : Objective or CompiledObjective
    on_start : callable, optional
        ``on_start()`` after the first f and g.
    redefine : callable, optional
        ``redefine()`` there, and after each accepted step before it is tested.
    on_iterate : callable, optional
        ``on_iterate() -> bool`` after each accepted iterate; true ends the run.
    recorders : tuple of Recorder
        Each is given every accepted iterate, before `on_iterate`.

    Raises
    ------
    RuntimeError
        If the solver is in use: by another thread, or by the run that calls.
    """
    hold(solver)
    try:
        run_held(solver, objective, on_start, redefine, on_iterate, recorders, PY_SSIZE_T_MAX)
    finally:
        guard_leave(&solver.guard, False)


def run_iterations(BaseSolver solver, objective, Py_ssize_t iterations):
    """Drive `solver` until it is done or has accepted so many more iterates."""
    hold(solver)
    solver.asker = NOBODY    # a point that was asked for before is not the one of which to tell
    try:
        run_held(solver, objective, None, None, None, (),
                 solver.s.nit + min(iterations, PY_SSIZE_T_MAX - solver.s.nit))
    finally:
        try:
            solver.advance()
        finally:
            guard_leave(&solver.guard, False)


cdef int hold(BaseSolver solver) except -1:
    """Enter for a whole run; only one at a time."""
    if guard_enter(&solver.guard):
        guard_leave(&solver.guard, True)
        raise RuntimeError('the solver is in use: its callback must not run it')
    return 0


cdef int run_held(BaseSolver solver, objective, on_start, redefine, on_iterate,
                  tuple recorders, Py_ssize_t until) except -1:
    """Until it is done, or has `until` iterates."""
    if isinstance(objective, CompiledObjective):
        return run_compiled(solver, objective, on_start, redefine, on_iterate, recorders, until)
    return run_python(solver, objective, on_start, redefine, on_iterate, recorders, until)


cdef object call_back(BaseSolver solver, callback):
    """Give the word to a callback, which may change the solver."""
    guard_rest(&solver.guard, True)
    try:
        return callback()
    finally:
        guard_resume(&solver.guard)


# --- compiled objectives ------------------------------------------------------------------


cdef int run_compiled(BaseSolver solver, CompiledObjective objective, on_start, redefine,
                      on_iterate, tuple recorders, Py_ssize_t until) except -1:
    """`run` for a compiled objective: the GIL is held during pauses only."""
    cdef Recorder recorder
    cdef SolverState *s = &solver.s
    cdef Evaluator e
    cdef Pause pause
    cdef Py_ssize_t i
    x, g = new_vector(solver.n), new_vector(solver.n)
    e.fun, e.data = objective.fun, objective.data
    e.x, e.g = vector_data(x), vector_data(g)
    e.pauses_at_start = on_start is not None or redefine is not None
    e.pauses_from = until
    if on_iterate is not None or redefine is not None or len(recorders) > 0:
        e.pauses_from = 0
    look_later(&e)
    with nogil:
        for i in range(solver.n):
            e.g[i] = NAN    # a component that is never set shows at x0
        solver_test(s)
        pause = drive(s, &e)
    while pause != OVER:
        if s.options.check:
            solver._check()
        PyErr_CheckSignals()
        if pause == AT_START or pause == AT_ITERATE:
            if pause == AT_START and on_start is not None:
                call_back(solver, on_start)
            if redefine is not None:
                call_back(solver, redefine)
            solver_test(s)
            if pause == AT_ITERATE:
                for recorder in recorders:
                    recorder.record(solver)
                if on_iterate is not None and call_back(solver, on_iterate):
                    solver_stop(s)
                if s.nit >= until:
                    break
        elif s.options.check or in_main_thread():
            look_later(&e)
        else:
            e.look_at = INFINITY    # signals are for the main thread
        with nogil:
            pause = drive(s, &e)
    if s.options.check:
        solver._check()
    return 0


cdef Pause drive(SolverState *s, Evaluator *e) noexcept nogil:
    """Evaluate f and g and tell, until the run is over or the caller wants a pause.

    After AT_START and AT_ITERATE the caller has to call solver_test. Going on is calling again.
    """
    cdef Event event
    cdef double f
    while s.phase != DONE:
        next_point(s, e.x)
        if s.phase == DONE:
            break
        f = NAN    # a function that forgets to set it is not believed
        if e.fun(s.box.n, e.x, &f, e.g, e.data) != 0:
            s.nfev += 1
            s.njev += 1
            solver_stop(s)
            break
        event = solver_tell(s, f, e.g)
        if event == STARTED and e.pauses_at_start:
            return AT_START
        if event == NEW_ITERATE and s.nit >= e.pauses_from:
            return AT_ITERATE
        if event != NOTHING_NEW:
            solver_test(s)
        if e.look_at < INFINITY and (s.options.check or is_time_to_look(e)):
            return LOOK
    return OVER


cdef void next_point(SolverState *s, double *x) noexcept nogil:
    """x = where f and g are wanted next: x0, or a trial point."""
    if s.phase == ITERATE and solver_advance(s, x):
        return
    if s.phase != DONE:
        solver_point(s, x)


cdef bint is_time_to_look(Evaluator *e) noexcept nogil:
    """Would it be too late after one more evaluation that takes as long as the last one?"""
    cdef double now = platform_coarse_seconds()
    cdef bint due = now + (now - e.last) >= e.look_at
    e.last = now
    return due


cdef void look_later(Evaluator *e) noexcept nogil:
    e.last = platform_coarse_seconds()
    e.look_at = e.last + LOOK_EVERY


cdef bint in_main_thread() except -1:
    return threading.get_ident() == threading.main_thread().ident


# --- Python objectives --------------------------------------------------------------------


cdef class Objective:
    """f and g at a point: together, apart, or g by differences.

    Parameters
    ----------
    fun : callable
        ``fun(x) -> (f, g)`` if `jac` is True, else ``fun(x) -> f``.
    jac : True or callable
        ``jac(x) -> g``, or with `numerical` ``jac(x, f) -> (g, calls of fun)``.
    """

    cdef object fun
    cdef object jac
    cdef bint together
    cdef bint numerical
    cdef int calls_of_fun    # for the pair under way
    cdef int calls_of_jac

    def __init__(self, fun, jac, bint numerical=False):
        self.fun, self.jac, self.numerical = fun, jac, numerical
        self.together = jac is True

    cdef object pair(self, x, BaseSolver solver, double *f):
        """Set f at x and return g there as a contiguous array; None if f tells enough."""
        self.calls_of_fun = self.calls_of_jac = 0
        if self.together:
            self.calls_of_fun = self.calls_of_jac = 1
            pair = self.ask(solver, self.fun, x)
            if not isinstance(pair, (tuple, list)) or len(pair) != 2:
                raise TypeError('with jac=True, fun must return the pair (f, g); '
                                f'got {type(pair).__name__}')
            f[0] = as_value(pair[0])
            if solver.s.phase == START:
                solver_set_precision(&solver.s, max(precision_of(pair[0]),
                                                    precision_of(pair[1])))
            return as_gradient(pair[1], solver.n)
        if solver.s.phase == START and isfinite(solver.s.f):    # a target ended an earlier run
            value = solver.s.f
            solver.s.nfev -= 1
        else:
            self.calls_of_fun = 1
            value = self.ask(solver, self.fun, x)
        f[0] = as_value_alone(value)
        if solver.s.phase == START:
            solver_set_precision(&solver.s, precision_of(value))
            solver_tell_value(&solver.s, f[0])
            if solver.s.phase == DONE:
                return None
        if not isfinite(f[0]):
            return None
        # fun may have written on x; jac gets the point anew.
        x = new_vector(solver.n)
        solver_point(&solver.s, vector_data(x))
        self.calls_of_jac = 1
        if not self.numerical:
            g = self.ask(solver, self.jac, x)
            if solver.s.phase == START:
                solver_set_precision(&solver.s, max(solver.s.precision, precision_of(g)))
            return as_gradient(g, solver.n)
        before = self.jac.nfev
        guard_rest(&solver.guard, False)
        try:
            g, calls = self.jac(x, value)
        except BaseException:
            solver.s.nfev += self.jac.nfev - before
            raise
        finally:
            guard_resume(&solver.guard)
        solver.s.nfev += calls
        return g

    cdef object ask(self, BaseSolver solver, function, x):
        """function(x); meanwhile other threads may look at the solver."""
        guard_rest(&solver.guard, False)
        try:
            return function(x)
        finally:
            guard_resume(&solver.guard)


cdef double as_value_alone(object value) except? -1.0:
    """f as a double, where fun is not meant to return the gradient too."""
    if isinstance(value, (tuple, list)) and len(value) == 2:
        raise TypeError(f'fun must return a scalar; got a {type(value).__name__} of 2: did you '
                        'mean jac=True, by which fun returns the pair (f, g)?')
    return as_value(value)


cdef int run_python(BaseSolver solver, Objective objective, on_start, redefine, on_iterate,
                    tuple recorders, Py_ssize_t until) except -1:
    """`run` for a Python objective."""
    cdef SolverState *s = &solver.s
    cdef Recorder recorder
    cdef Event event
    cdef double f = 0
    solver_test(s)
    if s.phase == START:
        x = new_vector(solver.n)
        solver_point(s, vector_data(x))
        g = objective.pair(x, solver, &f)
        if s.phase == DONE:
            return 0
        tell(solver, f, g)
        if s.phase == DONE:
            return 0
        if on_start is not None:
            call_back(solver, on_start)
        if redefine is not None:
            call_back(solver, redefine)
        solver_test(s)
    x = g = None
    while s.phase != DONE:
        if x is None or not is_fresh_vector(x, solver.n):
            x = new_vector(solver.n)
        to_trial(solver, vector_data(x))
        if s.phase == DONE:
            break
        try:
            g = objective.pair(x, solver, &f)
        except StopIteration:
            s.nfev += objective.calls_of_fun
            s.njev += objective.calls_of_jac
            solver_stop(s)
            break
        event = tell(solver, f, g)
        g = None
        if event != NEW_ITERATE:
            continue
        if redefine is not None:
            call_back(solver, redefine)
        solver_test(s)
        for recorder in recorders:
            recorder.record(solver)
        if on_iterate is not None and call_back(solver, on_iterate):
            solver_stop(s)
        if s.nit >= until:
            break
    return 0


cdef int to_trial(BaseSolver solver, double *x) except -1:
    """Go on to the next trial, from an iterate or in its line search; x is that point."""
    if solver.n < WORTH_RELEASING:
        next_point(&solver.s, x)
    else:
        with nogil:
            next_point(&solver.s, x)
    if solver.s.options.check:
        solver._check()
    return 0


cdef Event tell(BaseSolver solver, double f, object g) except *:
    cdef const double *data = NULL if g is None else vector_data(g)
    cdef Event event
    if solver.n < WORTH_RELEASING:
        event = solver_tell(&solver.s, f, data)
    else:
        with nogil:
            event = solver_tell(&solver.s, f, data)
    if solver.s.options.check:
        solver._check()
    return event
