"""The state machine of L-BFGS-B (floor 4)."""

from lbfgsb._core.box cimport Box
from lbfgsb._core.cauchy cimport CauchyPoint
from lbfgsb._core.compact cimport Compact
from lbfgsb._core.few_variables cimport FewVariables
from lbfgsb._core.guard cimport Guard
from lbfgsb._core.line_search cimport LineSearch
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


ctypedef struct Options:
    Py_ssize_t maxcor
    double ftol
    double gtol
    double ftarget           # -inf: none
    Py_ssize_t maxiter
    Py_ssize_t maxfun
    Py_ssize_t maxls
    double max_steplength
    double ftol_linesearch
    double gtol_linesearch
    double xtol_linesearch
    double eps_SY
    int threads
    bint scaled              # there is an x_scale
    bint compact             # the compact form also for few variables
    bint check               # compare every factorisation with the matrix


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
    double factor_error      # largest backward error of a factorisation seen, if checked
    Py_ssize_t pinned        # variables that cannot move along -g
    Py_ssize_t nit
    Py_ssize_t nfev
    Py_ssize_t njev
    Py_ssize_t skipped       # pairs not taken for want of curvature
    Py_ssize_t restarts      # times the memory was dropped
    Phase phase
    Phase phase_at_end       # where a resumed run goes on
    Reason reason


cdef void default_options(Options *options) noexcept nogil
cdef bint solver_create(SolverState *s, Py_ssize_t n, bint bounded) noexcept nogil
cdef Room solver_size(SolverState *s, Py_ssize_t n, bint bounded) noexcept nogil
cdef void solver_place(SolverState *s, char *kept, char *work) noexcept nogil
cdef void solver_destroy(SolverState *s) noexcept nogil
cdef void solver_begin(SolverState *s) noexcept nogil
cdef void solver_point(SolverState *s, double *out) noexcept nogil
cdef bint solver_tell(SolverState *s, double f, const double *g) noexcept nogil
cdef void solver_tell_value(SolverState *s, double f) noexcept nogil
cdef void solver_test(SolverState *s) noexcept nogil
cdef bint solver_advance(SolverState *s, double *out) noexcept nogil
cdef void solver_finish(SolverState *s, Reason reason) noexcept nogil
cdef void solver_stop(SolverState *s) noexcept nogil
cdef bint find_cauchy(SolverState *s) noexcept nogil


cdef double mismatch_of(const SolverState *s) noexcept nogil
cdef object failure_of(const SolverState *s)


cdef class BaseSolver:
    cdef SolverState s
    cdef Guard guard
    cdef unsigned long asker           # the thread that waits for f and g; 0: none
    cdef readonly Py_ssize_t n
    cdef public object _stop_reason    # a str: why the user stopped it, if he said so
    cdef object __weakref__

    cdef object vector(self, double **v)
    cdef bint tell(self, double f, const double[::1] g) except -1
    cdef int advance(self) except -1
    cdef int set_maxcor(self, Py_ssize_t maxcor) except -1
    cdef dict snapshot(self)
    cdef object _square(self, const double *gram)
    cdef int _set_square(self, double *gram, values) except -1
    cdef int _set_vector(self, double *v, values) except -1
