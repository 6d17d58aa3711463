"""The solver for Cython, C and C++: checks what came, and drives the core.

The declarations are in lbfgsb/cython_lbfgsb.pxd, for C in lbfgsb/include/lbfgsb.h; both say what
each function does. In Python this module has nothing but the capsule through which C code finds
the functions.
"""
from cpython.pycapsule cimport PyCapsule_New
from cpython.pyport cimport PY_SSIZE_T_MAX
from libc.math cimport INFINITY, NAN, isfinite
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from lbfgsb._core.driver cimport AT_ITERATE, Evaluator, drive, next_point
from lbfgsb._core.options cimport Options, default_options, wrong_option
from lbfgsb._core.solver cimport (ABNORMAL_DIRECTION, ABNORMAL_LINE_SEARCH, ABNORMAL_START,
                                  CONVERGED_FTOL, CONVERGED_GTOL, CONVERGED_TARGET, DONE,
                                  LIMIT_EVALUATIONS, LIMIT_ITERATIONS, NEW_ITERATE, NOTHING_NEW,
                                  STOPPED_BY_USER, Event, SolverState, solver_begin,
                                  solver_create, solver_destroy, solver_stop, solver_tell,
                                  solver_test)

cdef extern from *:
    """
    #include <stddef.h>
    #include "lbfgsb.h"
    /* Where the options of the first release end: no caller has fewer. */
    #define LBFGSB_FIRST_SIZE (offsetof(lbfgsb_options, initial_scaling) + sizeof(int))
    /* From maxcor to the end the options are those of the core, in the same order. */
    #define LBFGSB_CORE struct __pyx_t_6lbfgsb_5_core_7options_Options
    #define LBFGSB_SHARED_SIZE (sizeof(lbfgsb_options) - offsetof(lbfgsb_options, maxcor))
    /* The header and the .pxd declare the same structs. */
    #define LBFGSB_MINE(name) struct __pyx_t_6lbfgsb_13cython_lbfgsb_##name
    #define LBFGSB_CHECK_SIZES() \\
        _Static_assert(sizeof(LBFGSB_MINE(lbfgsb_options)) == sizeof(lbfgsb_options) \\
                       && offsetof(LBFGSB_MINE(lbfgsb_options), initial_scaling) \\
                          == offsetof(lbfgsb_options, initial_scaling) \\
                       && sizeof(LBFGSB_MINE(lbfgsb_result)) == sizeof(lbfgsb_result) \\
                       && sizeof(LBFGSB_MINE(lbfgsb_solver)) == sizeof(lbfgsb_solver), \\
                       "lbfgsb.h and cython_lbfgsb.pxd differ"); \\
        _Static_assert(sizeof(LBFGSB_CORE) - LBFGSB_SHARED_SIZE == offsetof(LBFGSB_CORE, maxcor) \\
                       && sizeof(LBFGSB_CORE) - offsetof(LBFGSB_CORE, initial_scaling) \\
                          == sizeof(lbfgsb_options) - offsetof(lbfgsb_options, initial_scaling), \\
                       "lbfgsb.h and options.pxd differ")
    """
    void LBFGSB_CHECK_SIZES() noexcept
    const size_t LBFGSB_FIRST_SIZE
    const size_t LBFGSB_SHARED_SIZE
    const char *LBFGSB_CAPSULE
    ctypedef struct lbfgsb_table:
        size_t size
        void *set_default_options
        void *minimize
        void *message
        void *create
        void *ask
        void *tell
        void *get_result
        void *destroy


# One problem: the state, the buffers of the objective, and what the caller wants to hear.
ctypedef struct Run:
    lbfgsb_solver handle         # what lbfgsb_create returns
    SolverState s
    Evaluator e
    lbfgsb_callback callback
    void *callback_data
    const double *x_scale        # the caller's, while the problem is created
    bint asked


# --- options ------------------------------------------------------------------------------


cdef void lbfgsb_set_default_options(lbfgsb_options *options, size_t size) noexcept nogil:
    cdef lbfgsb_options full
    cdef Options o
    default_options(&o)
    memset(&full, 0, sizeof(full))
    full.size = size
    memcpy(&full.maxcor, &o.maxcor, LBFGSB_SHARED_SIZE)
    memset(options, 0, size)
    memcpy(options, &full, min(size, sizeof(full)))


cdef int take_options(Run *run, const lbfgsb_options *given) noexcept nogil:
    """Check the options and give them to the core. Returns 0 or a negative status."""
    cdef lbfgsb_options own
    lbfgsb_set_default_options(&own, sizeof(own))
    if given != NULL:
        if not LBFGSB_FIRST_SIZE <= given.size <= sizeof(own):
            return LBFGSB_BAD_SIZE
        memcpy(&own, given, given.size)
    default_options(&run.s.options)
    memcpy(&run.s.options.maxcor, &own.maxcor, LBFGSB_SHARED_SIZE)
    run.callback, run.callback_data = own.callback, own.callback_data
    run.x_scale = own.x_scale
    return LBFGSB_BAD_OPTION if wrong_option(&run.s.options) != NULL else 0


# --- a problem ----------------------------------------------------------------------------


cdef int check_point(Py_ssize_t n, const double *x) noexcept nogil:
    cdef Py_ssize_t i
    if n < 1:
        return LBFGSB_BAD_N
    if x == NULL:
        return LBFGSB_BAD_POINTER
    for i in range(n):
        if not isfinite(x[i]):
            return LBFGSB_BAD_X
    return 0


cdef bint is_scale(Py_ssize_t n, const double *x_scale) noexcept nogil:
    cdef Py_ssize_t i
    if x_scale != NULL:
        for i in range(n):
            if not 0 < x_scale[i] < INFINITY:
                return False
    return True


cdef int check_bounds(Py_ssize_t n, const double *lower, const double *upper,
                      bint *bounded) noexcept nogil:
    """Set bounded[0] if any bound is finite. Returns 0 or LBFGSB_BAD_BOUNDS."""
    cdef Py_ssize_t i
    cdef double low = -INFINITY, high = INFINITY
    if lower == NULL and upper == NULL:
        return 0
    for i in range(n):
        if lower != NULL:
            low = lower[i]
        if upper != NULL:
            high = upper[i]
        if not (low <= high and low < INFINITY and high > -INFINITY):
            return LBFGSB_BAD_BOUNDS
        bounded[0] = bounded[0] or low > -INFINITY or high < INFINITY
    return 0


cdef void fill(double *v, const double *given, double otherwise, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        v[i] = otherwise if given == NULL else given[i]


cdef int begin(Run *run, Py_ssize_t n, const double *x, const double *lower,
               const double *upper, const lbfgsb_options *options) noexcept nogil:
    """Check everything, allocate, start. Returns LBFGSB_RUNNING, else there is nothing to free."""
    cdef int status
    cdef bint bounded = False
    memset(run, 0, sizeof(Run))
    status = check_point(n, x)
    if status == 0:
        status = check_bounds(n, lower, upper, &bounded)
    if status == 0:
        status = take_options(run, options)
    if status != 0:
        return status
    if not is_scale(n, run.x_scale):
        return LBFGSB_BAD_OPTION
    if not solver_create(&run.s, n, bounded, run.x_scale != NULL):
        return LBFGSB_NO_MEMORY
    run.e.x = <double *>malloc(2 * <size_t>n * sizeof(double))
    if run.e.x == NULL:
        solver_destroy(&run.s)
        return LBFGSB_NO_MEMORY
    run.e.g = run.e.x + n
    run.e.look_at = INFINITY
    run.e.pauses_from = 0 if run.callback != NULL else PY_SSIZE_T_MAX
    fill(run.s.box.x, x, 0, n)
    if bounded:
        fill(run.s.box.lower, lower, -INFINITY, n)
        fill(run.s.box.upper, upper, INFINITY, n)
    if run.x_scale != NULL:
        fill(run.s.box.scale, run.x_scale, 1, n)
    solver_begin(&run.s)
    return LBFGSB_RUNNING


cdef void end(Run *run) noexcept nogil:
    free(run.e.x)
    solver_destroy(&run.s)


cdef int status_of(const SolverState *s) noexcept nogil:
    if s.reason in (CONVERGED_GTOL, CONVERGED_TARGET, CONVERGED_FTOL):
        return LBFGSB_CONVERGED
    if s.reason in (LIMIT_ITERATIONS, LIMIT_EVALUATIONS):
        return LBFGSB_LIMIT
    if s.reason in (ABNORMAL_LINE_SEARCH, ABNORMAL_START, ABNORMAL_DIRECTION):
        return LBFGSB_ABNORMAL
    return LBFGSB_STOPPED if s.reason == STOPPED_BY_USER else LBFGSB_RUNNING


cdef void write_result(const SolverState *s, lbfgsb_result *result) noexcept nogil:
    """The result as it stands. A field of a later release needs a look at the caller's size."""
    result.fun, result.projected_gradient = s.f, s.box.norm
    result.nit, result.nfev, result.status = s.nit, s.nfev, status_of(s)


cdef void tell_caller(Run *run) noexcept nogil:
    """Call the callback at a new iterate, which has been tested."""
    cdef lbfgsb_result now
    write_result(&run.s, &now)
    if run.callback(run.s.box.n, run.s.box.x, run.s.box.g, &now, run.callback_data) != 0:
        solver_stop(&run.s)


# --- the whole run ------------------------------------------------------------------------


cdef int lbfgsb_minimize(lbfgsb_objective fun, void *data, Py_ssize_t n, double *x,
                         const double *lower, const double *upper,
                         const lbfgsb_options *options, lbfgsb_result *result) noexcept nogil:
    cdef Run run
    cdef int status = LBFGSB_BAD_POINTER
    if fun != NULL:
        status = begin(&run, n, x, lower, upper, options)
    if status != LBFGSB_RUNNING:
        if result != NULL:
            result.fun = result.projected_gradient = NAN
            result.nit = result.nfev = 0
            result.status = status
        return status
    run.e.fun, run.e.data = fun, data
    fill(run.e.g, NULL, NAN, n)    # a component that is never set shows at x0
    while drive(&run.s, &run.e) == AT_ITERATE:
        solver_test(&run.s)
        tell_caller(&run)
    status = status_of(&run.s)
    memcpy(x, run.s.box.x, n * sizeof(double))
    if result != NULL:
        write_result(&run.s, result)
    end(&run)
    return status


# --- ask and tell -------------------------------------------------------------------------


cdef int lbfgsb_create(lbfgsb_solver **solver, Py_ssize_t n, const double *x,
                       const double *lower, const double *upper,
                       const lbfgsb_options *options) noexcept nogil:
    cdef Run *run
    cdef int status
    if solver == NULL:
        return LBFGSB_BAD_POINTER
    solver[0] = NULL
    run = <Run *>malloc(sizeof(Run))
    if run == NULL:
        return LBFGSB_NO_MEMORY
    status = begin(run, n, x, lower, upper, options)
    if status != LBFGSB_RUNNING:
        free(run)
        return status
    run.handle.state = run
    solver[0] = &run.handle
    return status


cdef const double *lbfgsb_ask(lbfgsb_solver *solver) noexcept nogil:
    cdef Run *run = <Run *>solver.state
    if not run.asked:
        next_point(&run.s, run.e.x)
        run.asked = run.s.phase != DONE
    return run.e.x if run.asked else NULL


cdef int lbfgsb_tell(lbfgsb_solver *solver, double f, const double *g) noexcept nogil:
    cdef Run *run = <Run *>solver.state
    cdef Event event
    if not run.asked:
        return LBFGSB_NOT_ASKED
    run.asked = False
    event = solver_tell(&run.s, f, g)
    if event != NOTHING_NEW:
        solver_test(&run.s)
    if event == NEW_ITERATE and run.callback != NULL:
        tell_caller(run)
    return event == NEW_ITERATE


cdef int lbfgsb_get_result(const lbfgsb_solver *solver, double *x, double *g,
                           lbfgsb_result *result) noexcept nogil:
    cdef const Run *run = <const Run *>solver.state
    if x != NULL:
        memcpy(x, run.s.box.x, run.s.box.n * sizeof(double))
    if g != NULL:
        memcpy(g, run.s.box.g, run.s.box.n * sizeof(double))
    if result != NULL:
        write_result(&run.s, result)
    return status_of(&run.s)


cdef void lbfgsb_destroy(lbfgsb_solver *solver) noexcept nogil:
    if solver != NULL:
        end(<Run *>solver.state)
        free(solver.state)


# --- words --------------------------------------------------------------------------------


cdef const char *lbfgsb_message(int status) noexcept nogil:
    if status == LBFGSB_CONVERGED:
        return "CONVERGENCE: A TOLERANCE OR THE TARGET IS MET"
    if status == LBFGSB_LIMIT:
        return "STOP: LIMIT OF ITERATIONS OR EVALUATIONS REACHED"
    if status == LBFGSB_ABNORMAL:
        return "ABNORMAL: NO STEP GOES DOWN, OR NOT FINITE AT THE START"
    if status == LBFGSB_STOPPED:
        return "STOP: USER OBJECTIVE OR CALLBACK"
    if status == LBFGSB_RUNNING:
        return "RUNNING"
    if status == LBFGSB_NO_MEMORY:
        return "ERROR: NO MEMORY"
    if status == LBFGSB_BAD_POINTER:
        return "ERROR: A POINTER IS NULL THAT MUST NOT BE"
    if status == LBFGSB_BAD_N:
        return "ERROR: N MUST BE AT LEAST 1"
    if status == LBFGSB_BAD_X:
        return "ERROR: THE START MUST BE FINITE"
    if status == LBFGSB_BAD_BOUNDS:
        return "ERROR: BOUNDS MUST SATISFY L <= U, L < INF, U > -INF"
    if status == LBFGSB_BAD_SIZE:
        return "ERROR: OPTIONS NOT FROM lbfgsb_default_options, OR OF A LATER RELEASE"
    if status == LBFGSB_BAD_OPTION:
        return "ERROR: AN OPTION IS OUT OF ITS RANGE"
    if status == LBFGSB_NOT_ASKED:
        return "ERROR: lbfgsb_tell WITHOUT A POINT FROM lbfgsb_ask"
    return "UNKNOWN STATUS"


# --- for C --------------------------------------------------------------------------------


LBFGSB_CHECK_SIZES()

cdef lbfgsb_table table
table.size = sizeof(table)
table.set_default_options = <void *>lbfgsb_set_default_options
table.minimize = <void *>lbfgsb_minimize
table.message = <void *>lbfgsb_message
table.create = <void *>lbfgsb_create
table.ask = <void *>lbfgsb_ask
table.tell = <void *>lbfgsb_tell
table.get_result = <void *>lbfgsb_get_result
table.destroy = <void *>lbfgsb_destroy

_c_table = PyCapsule_New(&table, LBFGSB_CAPSULE, NULL)
