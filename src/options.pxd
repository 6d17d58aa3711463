"""Every option of the algorithm."""

cdef enum:
    FLOAT64 = 64
    FLOAT32 = 32
    SCALAR = 0
    DIAGONAL = 1


ctypedef struct Options:
    # For Python alone.
    bint check               # compare every factorisation with the matrix
    bint compact             # the compact form also for few variables
    # For every door: what lbfgsb_options of lbfgsb.h has too, in the same order, up to the end.
    Py_ssize_t maxcor        # pairs kept; 0: as default_maxcor says
    double ftol              # relative reduction of f
    double gtol              # inf-norm of the projected gradient
    double ftarget           # a value of f that is low enough; -inf: none
    Py_ssize_t maxiter       # accepted iterates
    Py_ssize_t maxfun        # evaluations
    Py_ssize_t maxls         # evaluations in a line search
    double max_steplength    # in multiples of the search direction
    double ftol_linesearch   # c1 of the sufficient decrease
    double gtol_linesearch   # c2 of the curvature condition
    double xtol_linesearch   # relative width of an interval that is not worth dividing
    double eps_SY            # curvature that a pair must have
    int threads              # for the solver's own work on large n, at most; 0: as many as pay
    double fun_precision     # relative, of f; 0: that of double, or of what f and g come as
    int secant               # 1: the modified secant equation, 0: the standard one
    int pairs                # bits of an entry of the pairs of long vectors: 64 or 32
    Py_ssize_t extra_updates  # of B, with the newest pairs; -1: as default_extra_updates says
    int initial_scaling      # SCALAR or, for few variables, DIAGONAL; -1: as
    #                          default_initial_scaling says


cdef Py_ssize_t default_maxcor(Py_ssize_t n) noexcept nogil
cdef Py_ssize_t default_extra_updates(Py_ssize_t n, bint secant) noexcept nogil
cdef int default_initial_scaling(Py_ssize_t n, bint secant) noexcept nogil
cdef void default_options(Options *o) noexcept nogil
cdef const char *wrong_option(const Options *o) noexcept nogil


cdef class CheckedOptions:
    cdef Options options
