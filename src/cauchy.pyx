"""The generalised Cauchy point: the first local minimiser of the model along P(x - t g).

Algorithm CP of Byrd, Lu, Nocedal and Zhu (1995), section 4, with (4.9) and (4.10) for the
derivatives of the model on the piece after a break point. On entry p = [S Y]ᵀ d for the first
piece's direction d comes with the gradient; on return p belongs to the last piece's direction, so
that -p = [S Y]ᵀ g over the variables that are free at x_cauchy: the subspace minimisation needs
it and gets it without another pass over W.

x_cauchy itself is not stored: t and t_fixed determine it.

Most iterations don't need it. On the first piece the minimiser is at t = ĝᵀĝ / ĝᵀBĝ, ĝ = -d, and
by the inequality of Cauchy and Schwarz (ĝᵀĝ)² <= ĝᵀBĝ ĝᵀHĝ; hence t <= ĝᵀHĝ / ĝᵀĝ, which costs
O(m²) where B would have to be factored. If that lies before the first break point, the variables
that can move from x are just those that are free at x_cauchy, and the minimiser over these does
not depend on x_cauchy.
"""
from lbfgsb._core.box cimport (box_collect_break_points, box_next_break_point,
                               scaled_change, scaled_gradient)
from lbfgsb._core.compact cimport (compact_multiply_M, compact_newton_coefficients,
                                   compact_row)
from lbfgsb._core.team cimport carve

cdef extern from "float.h" nogil:
    const double DBL_EPSILON
    const double DBL_MAX


cdef void cauchy_place(CauchyPoint *cauchy, Py_ssize_t m, Room *room) noexcept nogil:
    cauchy.c = <double *>carve(&room.work, 2 * m, sizeof(double))
    cauchy.row = <double *>carve(&room.work, 2 * m, sizeof(double))
    cauchy.product = <double *>carve(&room.work, 2 * m, sizeof(double))


cdef double form(const Compact *B, const double *u, const double *v) noexcept nogil:
    """uᵀ v for vectors of 2k entries."""
    cdef Py_ssize_t i
    cdef double total = 0
    for i in range(2 * B.k):
        total += u[i] * v[i]
    return total


cdef void multiply_WM(const Compact *B, const double *v, double *out) noexcept nogil:
    """out = diag(theta, 1, theta, 1, ...) M diag(theta, 1, ...) v: W M Wᵀ in terms of [S Y]."""
    cdef Py_ssize_t i
    for i in range(B.k):
        out[2 * i] = B.theta * v[2 * i]
        out[2 * i + 1] = v[2 * i + 1]
    compact_multiply_M(B, out)
    for i in range(B.k):
        out[2 * i] *= B.theta


cdef void advance_c(CauchyPoint *cauchy, const Compact *B, double dt) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(2 * B.k):
        cauchy.c[i] += dt * B.p[i]


cdef bint cauchy_before_break_points(CauchyPoint *cauchy, const Compact *B, const Box *box,
                                     double *e) noexcept nogil:
    """Is it certain that x_cauchy lies before the first break point?

    Sets e (2k,) to the coefficients of -H ĝ, and `known` to False if it is.
    """
    cdef double bound
    compact_newton_coefficients(B, e)
    bound = 1 / B.theta + form(B, B.p, e) / box.g_free_squared
    cauchy.known = not 0 < bound < box.t_min
    if not cauchy.known:
        cauchy.t = cauchy.t_fixed = 0
        cauchy.passed = 0
    return not cauchy.known


cdef void cauchy_search(CauchyPoint *cauchy, Compact *B, Box *box) noexcept nogil:
    """Set t, t_fixed and c; bring B.p to the last piece. B is factored.

    The model's slope and curvature along the current piece are slope and curvature; the piece's
    minimiser lies dt after its beginning.
    """
    cdef double slope, curvature, least_curvature, dt, t_next = 0, t_limit
    cdef double *product = cauchy.product
    cdef Py_ssize_t i, b
    cauchy.known = True
    cauchy.t = cauchy.t_fixed = 0
    cauchy.passed = 0
    for i in range(2 * B.k):
        cauchy.c[i] = 0

    slope = -box.g_free_squared
    curvature = -B.theta * slope
    least_curvature = DBL_EPSILON * curvature
    multiply_WM(B, B.p, product)
    curvature = max(curvature - form(B, B.p, product), least_curvature)
    dt = -slope / curvature

    if dt >= box.t_min:
        t_limit = dt
        box_collect_break_points(box, 0, t_limit)
        while True:
            b = next_break_point(box, cauchy.t, dt, &t_limit, &t_next)
            # Variables that reach their bounds at the same t are passed together: afterwards
            # "at most t_fixed" tells exactly which ones were.
            if b < 0 or (t_next > cauchy.t_fixed and t_next > cauchy.t + dt):
                break
            pass_break_point(cauchy, B, box, b, t_next, &slope, &curvature)
            curvature = max(curvature, least_curvature)
            dt = -slope / curvature

    dt = max(dt, 0.0)
    cauchy.t += dt
    advance_c(cauchy, B, dt)


cdef Py_ssize_t next_break_point(Box *box, double t, double dt, double *t_limit,
                                 double *t_next) noexcept nogil:
    """The next break point, if there is one up to t + dt; else -1.

    When the heap is empty and the minimiser lies beyond what it held, it is filled again.
    """
    cdef Py_ssize_t b = box_next_break_point(box, t_next)
    cdef double t_low
    while b < 0 and t + dt > t_limit[0]:
        t_low = t_limit[0]
        t_limit[0] = min(max(t + dt, 2 * t_low), DBL_MAX)
        if t_limit[0] == t_low:
            return -1
        box_collect_break_points(box, t_low, t_limit[0])
        b = box_next_break_point(box, t_next)
    return b


cdef void pass_break_point(CauchyPoint *cauchy, Compact *B, Box *box, Py_ssize_t b, double t,
                           double *slope, double *curvature) noexcept nogil:
    """Variable b stays at its bound from t on: (4.9), (4.10), with W's row in cauchy.row."""
    cdef double g = scaled_gradient(box, b), dt = t - cauchy.t
    cdef double z = scaled_change(box, b, (box.lower[b] if g > 0 else box.upper[b]) - box.x[b])
    cdef double *w = cauchy.row
    cdef double *Mw = cauchy.product
    cdef Py_ssize_t i
    advance_c(cauchy, B, dt)
    compact_row(B, b, w)
    multiply_WM(B, w, Mw)
    slope[0] += dt * curvature[0] + g * g + B.theta * g * z - g * form(B, Mw, cauchy.c)
    curvature[0] -= B.theta * g * g + 2 * g * form(B, Mw, B.p) + g * g * form(B, Mw, w)
    for i in range(2 * B.k):
        B.p[i] += g * w[i]
    cauchy.t = cauchy.t_fixed = t
    cauchy.passed += 1
