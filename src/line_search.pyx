"""The line search of Moré and Thuente, as a state machine without callbacks.

J. J. Moré and D. J. Thuente, Line search algorithms with guaranteed sufficient decrease, ACM
Transactions on Mathematical Software 20 (1994), 286-307.

It looks for a step alpha with

    f(alpha) <= f(0) + c1 alpha f'(0)    and    |f'(alpha)| <= c2 |f'(0)|

by shrinking an interval whose ends are alpha_x, the best step so far, and alpha_y. Until a trial
satisfies psi(alpha) = f(alpha) - f(0) - c1 alpha f'(0) <= 0 with f'(alpha) >= 0 the interval is
updated with psi in the place of f wherever that tells more (section 3 of the paper).

Beyond the paper:

- A trial at which f or its slope is not finite is a step too long, and the next one lies closer to
  alpha_x.
- Where the reference, out of room, would evaluate the best step again, the caller is told to take
  it: it has kept its gradient.
- Of a trial far beyond the minimiser f and its slopes fit no cubic, and interpolation cuts by no
  more than three; from the eighth trial in a row on that is higher than f(0), cuts are by ten.
- Noise. The trapezoidal rule foretells the change of f from the slopes with an error of order
  alpha³; a wrong slope makes one of order alpha, noise in f one that does not shrink with alpha.
  So what a trial close to 0 is off by (`CLOSE`) is the size of the noise, if that is of the size of
  the decrease that is to be had (`line_search_promise`); the search is over then.
"""
from libc.math cimport INFINITY, copysign, fabs, isfinite, sqrt

# Extrapolation while the minimiser is not bracketed, and the least shrinking of the interval over
# two trials once it is (section 4 of the paper).
cdef enum:
    EXTRAPOLATE_MAX = 4
cdef double EXTRAPOLATE_MIN = 1.1
cdef double SHRINK = 0.66
# How far a trial without a finite value is drawn back to the best step, and one that is far beyond
# the minimiser.
cdef double DRAW_BACK = 0.1
# So many trials that are higher than f(0), and no other, are far beyond it.
cdef enum:
    FAR = 8
# A trial is close to 0 within this part of the way to the minimiser. A wrong slope that is off by
# the factor r moves f there by CLOSE r times the decrease that it promises, which must not pass for
# noise: HIDDEN CLOSE < 1/4.
cdef double CLOSE = 0.03
# Noise hides a promised decrease (twice what a parabola has to give) of up to so many times its
# size.
cdef double HIDDEN = 8


cdef void line_search_start(LineSearch *s, double f0, double slope0, double alpha,
                            double alpha_max) noexcept nogil:
    """Begin a search from f0, slope0 < 0; `alpha` is the first trial, at most alpha_max."""
    s.f0, s.slope0 = f0, slope0
    s.alpha, s.alpha_max = alpha, alpha_max
    s.alpha_x, s.f_x, s.slope_x = 0, f0, slope0
    s.alpha_y, s.f_y, s.slope_y = 0, f0, slope0
    s.low, s.high = 0, alpha * (1 + EXTRAPOLATE_MAX)
    s.width, s.width_before = alpha_max, 2 * alpha_max
    s.bracketed, s.stage, s.trials, s.improved = False, 1, 0, False
    s.first, s.turn, s.wall = alpha, INFINITY, INFINITY
    s.noise = s.coarse = s.slack = 0


cdef bint decreases(const LineSearch *s, double alpha, double f) noexcept nogil:
    """Sufficient decrease."""
    return f <= s.f0 + s.slack + s.f_tol * alpha * s.slope0


cdef LineSearchVerdict line_search_give_up(const LineSearch *s) noexcept nogil:
    """The verdict when no trial is left: the best step, if it decreases f enough.

    It must decrease f indeed: along an ascent direction, the shortest steps leave f as it is, and
    that would pass for a sufficient decrease.
    """
    if s.alpha_x > 0 and s.f_x < s.f0 and decreases(s, s.alpha_x, s.f_x):
        return ACCEPT_BEST
    return NO_STEP


cdef LineSearchVerdict line_search_end(const LineSearch *s) noexcept nogil:
    """The verdict when the interval holds no other trial: its best step, unless f is higher there.

    f does not tell any more; whether a step that leaves it as it is can be taken is up to the
    caller.
    """
    return ACCEPT_BEST if s.alpha_x > 0 and s.f_x <= s.f0 + s.slack else NO_STEP


cdef double line_search_promise(const LineSearch *s) noexcept nogil:
    """The decrease that the slopes promised: by the first at 0, to the minimiser or first trial."""
    return -s.slope0 * min(s.first, s.turn)


cdef void note(LineSearch *s, double f, double slope) noexcept nogil:
    """Learn from a trial that is not simply taken: where the slope turns, how f wavers."""
    cdef double off, turn
    if slope > 0:
        turn = secant_minimiser(0, s.slope0, s.alpha, slope)
        if turn < 0.5 * s.turn:
            s.noise = 0    # what was close to 0 may not be so any more
        s.turn = min(s.turn, turn)
    off = fabs((f - s.f0) - 0.5 * s.alpha * (s.slope0 + slope))
    if s.trials > 1 and off > s.most:
        return
    if f == s.f0:
        s.coarse = max(s.coarse, off)
    if s.alpha <= CLOSE * min(s.first, s.turn):
        s.noise = max(s.noise, off)


cdef LineSearchVerdict line_search_tell(LineSearch *s, double f, double slope) noexcept nogil:
    """Take f and slope at `alpha`; set the next `alpha` if the verdict is TRY_NEXT."""
    cdef bint enough
    s.trials += 1
    s.improved = False
    if not (isfinite(f) and isfinite(slope)):
        s.wall = s.alpha
        return draw_back(s)
    enough = decreases(s, s.alpha, f)
    if enough and fabs(slope) <= -s.g_tol * s.slope0:
        if not f < s.f0:
            note(s, f, slope)
        return ACCEPT_TRIAL
    if enough and f < s.f0 and s.alpha == s.alpha_max and slope <= s.f_tol * s.slope0:
        return ACCEPT_TRIAL    # still going down at the longest step allowed
    note(s, f, slope)
    if s.bracketed and not s.low < s.alpha < s.high:
        # Rounding has left no room between the ends.
        return ACCEPT_TRIAL if enough and f < s.f0 else line_search_end(s)
    if s.stage == 1 and enough and slope >= 0:
        s.stage = 2
    update_interval(s, f, slope, enough)
    if s.bracketed and (exhausted(s) or lost_in_noise(s)):
        return line_search_end(s)
    return TRY_NEXT


cdef LineSearchVerdict draw_back(LineSearch *s) noexcept nogil:
    cdef double alpha = s.alpha_x + DRAW_BACK * (s.alpha - s.alpha_x)
    if not s.bracketed:
        s.alpha_max = s.high = alpha
    if alpha == s.alpha_x or alpha == s.alpha:
        return line_search_give_up(s)
    s.alpha = alpha
    return TRY_NEXT


cdef bint lost_in_noise(const LineSearch *s) noexcept nogil:
    """Has a trial close to 0 shown that noise hides what is to be gained, and none gained more?"""
    return line_search_promise(s) <= HIDDEN * s.noise and not s.f_x < s.f0 - s.noise


cdef bint exhausted(const LineSearch *s) noexcept nogil:
    """Is the interval too narrow to hold another trial?"""
    return (not s.low < s.alpha < s.high
            or s.high - s.low <= s.x_tol * s.high)


cdef void update_interval(LineSearch *s, double f, double slope, bint enough) noexcept nogil:
    """The updating algorithm of section 2 and the choice of the next trial of section 4."""
    cdef double tilt = 0
    if s.stage == 1 and f <= s.f_x and not enough:
        tilt = s.f_tol * s.slope0    # work on psi, which tilts f by c1 f'(0)
    replace_end(s, f, slope, tilt)

    if s.bracketed:
        if fabs(s.alpha_y - s.alpha_x) >= SHRINK * s.width_before:
            s.alpha = s.alpha_x + 0.5 * (s.alpha_y - s.alpha_x)
        s.width_before = s.width
        s.width = fabs(s.alpha_y - s.alpha_x)
        s.low, s.high = min(s.alpha_x, s.alpha_y), max(s.alpha_x, s.alpha_y)
    else:
        s.low = s.alpha + EXTRAPOLATE_MIN * (s.alpha - s.alpha_x)
        s.high = s.alpha + EXTRAPOLATE_MAX * (s.alpha - s.alpha_x)
    s.alpha = max(0.0, min(s.alpha, s.alpha_max))


cdef double cubic_minimiser(double a, double fa, double ga, double b, double fb, double gb,
                            bint at_infinity) noexcept nogil:
    """The minimiser of the cubic with values and slopes at a and b, counted from a.

    With `at_infinity`, INFINITY if the cubic has none beyond a, seen from b.
    """
    cdef double theta = 3 * (fa - fb) / (b - a) + ga + gb
    cdef double scale = max(fabs(theta), fabs(ga), fabs(gb))
    cdef double square = (theta / scale) ** 2 - (ga / scale) * (gb / scale)
    cdef double gamma = copysign(scale * sqrt(max(0.0, square)), b - a)
    cdef double r = ((gamma - ga) + theta) / (((gamma - ga) + gamma) + gb)
    if at_infinity and not (r < 0 and gamma != 0):
        return INFINITY
    return a + r * (b - a)


cdef double secant_minimiser(double a, double ga, double b, double gb) noexcept nogil:
    """The zero of the line through slope ga at a and gb at b."""
    return a + ga / (ga - gb) * (b - a)


cdef void replace_end(LineSearch *s, double f, double slope, double tilt) noexcept nogil:
    """Choose the next trial from the four cases of section 4, then update the interval.

    The choice is made for f(alpha) - tilt alpha; what the ends keep is f and its slopes as told.
    """
    cdef double x = s.alpha_x, y = s.alpha_y, t = s.alpha, cubic, other, step
    cdef double fx = s.f_x - tilt * x, fy = s.f_y - tilt * y, ft = f - tilt * t
    cdef double gx = s.slope_x - tilt, gy = s.slope_y - tilt, gt = slope - tilt
    cdef double longest = s.high if t > x else s.low
    cdef bint higher = ft > fx
    cdef bint turned = (gt < 0) != (gx < 0)
    if higher:                                  # case 1: a minimiser lies before t
        cubic = cubic_minimiser(x, fx, gx, t, ft, gt, False)
        other = x + 0.5 * gx / ((fx - ft) / (t - x) + gx) * (t - x)
        step = cubic if fabs(cubic - x) < fabs(other - x) else cubic + 0.5 * (other - cubic)
        if x == 0 and s.trials >= FAR:          # far before it
            step = min(step, DRAW_BACK * t)
    elif turned:                                # case 2: lower, and the slope has changed sign
        cubic = cubic_minimiser(t, ft, gt, x, fx, gx, False)
        other = secant_minimiser(t, gt, x, gx)
        step = cubic if fabs(cubic - t) > fabs(other - t) else other
    elif fabs(gt) < fabs(gx):                   # case 3: lower and flatter
        cubic = cubic_minimiser(t, ft, gt, x, fx, gx, True)
        if cubic == INFINITY:
            cubic = longest
        other = secant_minimiser(t, gt, x, gx)
        if s.bracketed:
            step = cubic if fabs(cubic - t) < fabs(other - t) else other
            other = t + SHRINK * (y - t)
            step = min(step, other) if t > x else max(step, other)
        else:
            step = cubic if fabs(cubic - t) > fabs(other - t) else other
            step = max(s.low, min(step, s.high))
    elif s.bracketed:                           # case 4: lower and as steep
        step = cubic_minimiser(t, ft, gt, y, fy, gy, False)
    else:
        step = longest

    if higher:
        s.alpha_y, s.f_y, s.slope_y = t, f, slope
    else:
        if turned:
            s.alpha_y, s.f_y, s.slope_y = s.alpha_x, s.f_x, s.slope_x
        s.alpha_x, s.f_x, s.slope_x = t, f, slope
        s.improved = True
    s.bracketed = s.bracketed or higher or turned
    s.alpha = step
