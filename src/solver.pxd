"""The state machine of L-BFGS-B."""

from lbfgsb._core.box cimport Box
from lbfgsb._core.cauchy cimport CauchyPoint
from lbfgsb._core.compact cimport Compact
from lbfgsb._core.few_variables cimport FewVariables
from lbfgsb._core.line_search cimport LineSearch
from lbfgsb._core.options cimport Options
from lbfgsb._core.slope_monitor cimport SlopeMonitor
from lbfgsb._core.subspace cimport Subspace
from lbfgsb._core.team cimport Room, Team


cdef enum Phase:
    START      # waits for f and g at x0
    TRIAL      # waits for f and g at a trial point of the line search
    ITERATE    # has a new iterate (or x0, measured) and no direction from it yet
    DONE


cdef enum Reason:
    RUNNING
    CONVERGED_GTOL
    CONVERGED_TARGET
    CONVERGED_FTOL
    LIMIT_ITERATIONS
    LIMIT_EVALUATIONS
    ABNORMAL_LINE_SEARCH
    ABNORMAL_START           # f or g not finite at x0
    STOPPED_BY_USER
    ABNORMAL_DIRECTION       # no direction goes down, not even -g


# What f and g have made of the run.
cdef enum Event:
    NOTHING_NEW    # the line search goes on, or the run has ended
    STARTED        # f and g at x0 are known; no test has been made
    NEW_ITERATE    # an iterate has been accepted; no test has been made


ctypedef struct SolverState:
    Options options
    Team team
    Compact B
    Box box
    CauchyPoint cauchy
    FewVariables few
    Subspace subspace
    LineSearch search
    SlopeMonitor monitor     # of f against its slopes; changes nothing
    char *block              # the one allocation; everything above points into it
    double *g_best           # (n,) gradient at search.alpha_x, if that is not 0; box.t if bounded
    double f                 # at box.x
    double f_old             # one iterate earlier; NaN at the first
    double first_alpha       # the first trial of the search under way
    double steplength        # of the last accepted step
    double precision         # of f, relative, as told or as what f and g came as
    double noise             # of f, absolute, as searches that it made fail have shown
    double f_low             # the lowest f of an iterate since f is known to be noisy
    double gain              # the decrease in the last step, by the slopes at its ends
    double factor_error      # largest backward error of a factorisation seen, if checked
    Py_ssize_t nit
    Py_ssize_t nfev
    Py_ssize_t njev
    Py_ssize_t skipped       # pairs not taken for want of curvature
    Py_ssize_t restarts      # times the memory was dropped
    Phase phase
    Phase phase_at_end       # where a resumed run goes on
    Reason reason


cdef bint solver_create(SolverState *s, Py_ssize_t n, bint bounded, bint scaled) noexcept nogil
cdef Room solver_size(SolverState *s, Py_ssize_t n, bint bounded, bint scaled) noexcept nogil
cdef bint solver_is_few(const Options *o, Py_ssize_t n, bint bounded) noexcept nogil
cdef void solver_place(SolverState *s, char *kept, char *work) noexcept nogil
cdef void solver_destroy(SolverState *s) noexcept nogil
cdef void solver_begin(SolverState *s) noexcept nogil
cdef void solver_point(SolverState *s, double *out) noexcept nogil
cdef Event solver_tell(SolverState *s, double f, const double *g) noexcept nogil
cdef void solver_set_precision(SolverState *s, double precision) noexcept nogil
cdef void solver_tell_value(SolverState *s, double f) noexcept nogil
cdef void solver_test(SolverState *s) noexcept nogil
cdef bint solver_advance(SolverState *s, double *out) noexcept nogil
cdef void solver_finish(SolverState *s, Reason reason) noexcept nogil
cdef void solver_stop(SolverState *s) noexcept nogil
cdef bint find_cauchy(SolverState *s) noexcept nogil
cdef void solver_measure(SolverState *s) noexcept nogil
cdef void solver_test_limits(SolverState *s) noexcept nogil
cdef void solver_set_pair(SolverState *state, Py_ssize_t i, const double *s, const double *y,
                          const double *units, double secant) noexcept nogil
cdef void solver_point_at_team(SolverState *s) noexcept nogil
cdef double mismatch_of(const SolverState *s) noexcept nogil
