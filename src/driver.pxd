"""The loop for compiled objectives."""

from lbfgsb._core.objective cimport CompiledFunction
from lbfgsb._core.solver cimport SolverState


cdef enum Pause:
    OVER        # the run is over
    AT_START    # f and g at x0 are known; no test has been made
    AT_ITERATE  # an iterate has been accepted; no test has been made
    LOOK        # it is time for the caller to look around


ctypedef struct Evaluator:
    CompiledFunction fun
    void *data
    double *x                # (n,) the point fun gets
    double *g                # (n,) where it writes the gradient
    bint pauses_at_start
    Py_ssize_t pauses_from   # the number of the first iterate at which, and at all later ones
    double look_at           # when to have paused next, in seconds; inf: never
    double last              # when it was last compared with the clock


cdef bint is_time_to_look(Evaluator *e) noexcept nogil
cdef void look_later(Evaluator *e) noexcept nogil
cdef Pause drive(SolverState *s, Evaluator *e) noexcept nogil
cdef void next_point(SolverState *s, double *x) noexcept nogil
