"""The line search of Moré and Thuente (1994), one evaluation at a time."""

cdef enum LineSearchVerdict:
    TRY_NEXT         # evaluate at `alpha`
    ACCEPT_TRIAL     # the trial just evaluated is the step
    ACCEPT_BEST      # the step is `alpha_x`, the best of the earlier trials
    NO_STEP          # no step that decreases f enough was found


ctypedef struct LineSearch:
    double f0, slope0        # f and its slope at 0
    double f_tol             # c1 of the sufficient decrease f <= f0 + c1 alpha slope0
    double g_tol             # c2 of the curvature condition |slope| <= c2 |slope0|
    double x_tol             # relative width of an interval that is not worth dividing
    double alpha             # the trial step
    double alpha_max         # no step is longer
    double alpha_x, f_x, slope_x    # best step so far: least f, an end of the interval
    double alpha_y, f_y, slope_y    # the other end of the interval
    double low, high         # the next trial lies between these
    double width, width_before      # of the interval, after the last two trials
    int bracketed            # the interval contains a minimiser
    int stage                # 1 until a trial has psi <= 0 and slope >= 0, then 2
    int trials               # evaluations so far
    int improved             # the last trial has become the best step
    double first             # the first trial
    double turn              # the minimiser by the slopes: the least zero of a secant through 0
    double wall              # the last trial without a finite value; INFINITY if there is none
    double noise             # what f seems to be off by, from trials close to 0
    double coarse            # the same, from trials at which f was f0 to the bit
    double most              # what is off by more is a jump, not noise; set after the first trial
    double slack             # a rise of f that may be noise, allowed in a sufficient decrease


cdef void line_search_start(LineSearch *s, double f0, double slope0, double alpha,
                            double alpha_max) noexcept nogil
cdef LineSearchVerdict line_search_tell(LineSearch *s, double f, double slope) noexcept nogil
cdef LineSearchVerdict line_search_give_up(const LineSearch *s) noexcept nogil
cdef LineSearchVerdict line_search_end(const LineSearch *s) noexcept nogil
cdef double line_search_promise(const LineSearch *s) noexcept nogil
