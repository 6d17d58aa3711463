# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, freethreading_compatible=True
"""The loop: objective in, iterations out.

One evaluation costs one call of `fun`, an array for x unless the last one can be used again, and
no other Python object. O(n) work runs without the GIL.

The point that `fun` gets is a copy: what it does to it, or keeps of it, harms nothing. The same
holds for the gradient it returns, which is read before the next call.
"""
from libc.math cimport isfinite

from lbfgsb._core.objective cimport (as_gradient, as_value, is_ours_alone, new_vector,
                                     vector_data)
from lbfgsb._core.recorder cimport Recorder
from lbfgsb._core.solver cimport (DONE, ITERATE, START, TRIAL, BaseSolver, SolverState,
                                  solver_advance, solver_point, solver_tell, solver_tell_value,
                                  solver_test)

# From this many variables on it pays to release the GIL around the solver's work.
cdef enum:
    WORTH_RELEASING = 1024


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
            pair = self.fun(x)
            if not isinstance(pair, (tuple, list)) or len(pair) != 2:
                raise TypeError('with jac=True, fun must return the pair (f, g); '
                                f'got {type(pair).__name__}')
            f[0] = as_value(pair[0])
            return as_gradient(pair[1], solver.n)
        if solver.s.phase == START and isfinite(solver.s.f):    # a target ended an earlier run
            value = solver.s.f
            solver.s.nfev -= 1
        else:
            self.calls_of_fun = 1
            value = self.fun(x)
        f[0] = as_value(value)
        if solver.s.phase == START:
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
            return as_gradient(self.jac(x), solver.n)
        before = self.jac.nfev
        try:
            g, calls = self.jac(x, value)
        except BaseException:
            solver.s.nfev += self.jac.nfev - before
            raise
        solver.s.nfev += calls
        return g


def run(BaseSolver solver, Objective objective, on_start=None, redefine=None, on_iterate=None,
        tuple recorders=()):
    """Drive `solver` until it is done.

    Parameters
    ----------
    on_start : callable, optional
        ``on_start()`` after the first f and g.
    redefine : callable, optional
        ``redefine()`` there, and after each accepted step before it is tested.
    on_iterate : callable, optional
        ``on_iterate() -> bool`` after each accepted iterate; true ends the run.
    recorders : tuple of Recorder
        Each is given every accepted iterate, before `on_iterate`.
    """
    cdef SolverState *s = &solver.s
    cdef Recorder recorder
    cdef bint new
    cdef double f = 0
    solver_test(s)
    if s.phase == START:
        x = new_vector(solver.n)
        solver_point(s, vector_data(x))
        g = objective.pair(x, solver, &f)
        if s.phase == DONE:
            return
        tell(solver, f, g)
        if s.phase == DONE:
            return
        if on_start is not None:
            on_start()
        if redefine is not None:
            redefine()
        solver_test(s)
    x = g = None
    while s.phase != DONE:
        if x is None or not is_ours_alone(x):
            x = new_vector(solver.n)
        to_trial(solver, vector_data(x))
        if s.phase == DONE:
            break
        try:
            g = objective.pair(x, solver, &f)
        except StopIteration:
            s.nfev += objective.calls_of_fun
            s.njev += objective.calls_of_jac
            solver._stop()
            break
        new = tell(solver, f, g)
        g = None
        if not new:
            continue
        if redefine is not None:
            redefine()
        solver_test(s)
        for recorder in recorders:
            recorder.record(solver)
        if on_iterate is not None and on_iterate():
            solver._stop()


cdef int to_trial(BaseSolver solver, double *x) except -1:
    """Go on to the next trial, from an iterate or in its line search; x is that point."""
    if solver.n < WORTH_RELEASING:
        next_trial(&solver.s, x)
    else:
        with nogil:
            next_trial(&solver.s, x)
    if solver.s.options.check:
        solver._check()
    return 0


cdef void next_trial(SolverState *s, double *x) noexcept nogil:
    if s.phase == ITERATE and solver_advance(s, x):
        return
    if s.phase == TRIAL:
        solver_point(s, x)


cdef bint tell(BaseSolver solver, double f, object g) except -1:
    cdef const double *data = NULL if g is None else vector_data(g)
    cdef bint new
    if solver.n < WORTH_RELEASING:
        new = solver_tell(&solver.s, f, data)
    else:
        with nogil:
            new = solver_tell(&solver.s, f, data)
    if solver.s.options.check:
        solver._check()
    return new
