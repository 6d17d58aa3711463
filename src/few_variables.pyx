"""The model of f for few variables: B as an n x n matrix, and H by the two-loop recursion.

The same model, Cauchy point and subspace minimiser as in compact.pyx, cauchy.pyx and subspace.pyx,
from the same pairs. There the work is O(m³) and O(m² + n); for few variables an n x n matrix costs
less than 2m x 2m ones, and no inner products of pairs have to be kept. Without bounds H is all that
is wanted, and up to FEW_FREE variables the recursion costs less than to keep the inner products:

    H v                     J. Nocedal, Mathematics of Computation 35 (1980), 773-782
    B                       the BFGS updates with the pairs, oldest first, O(m n²)
                            (in both, c y in the place of y, and the newest pairs twice: see
                            compact.pyx)
    x_cauchy                algorithm CP of Byrd, Lu, Nocedal and Zhu (1995), with the derivatives
                            of the model computed anew on each piece of the path
    the minimiser over F    B_FF (x - x₀)_F = -g_F - B_FA z_A, F free and A at bounds at x_cauchy,
                            x₀ the iterate and z = x_cauchy - x₀

The last equation has no x_cauchy in its free part: the minimiser over F depends on A alone.

What the pairs update may be a diagonal matrix here in the place of theta I: it learns from each
pair how f is curved along each variable, so that variables of different sizes need no x_scale
(J. C. Gilbert and C. Lemaréchal, Some numerical experiments with variable-storage quasi-Newton
algorithms, Mathematical Programming 45 (1989), 407-435). It knows of pairs that have left, and is
kept beside those that are held. In the compact form all inner products would change with it.
"""
from libc.math cimport INFINITY, isfinite
from libc.string cimport memcpy, memmove, memset

from lbfgsb._core.box cimport box_free_all, break_point, scaled_change, scaled_gradient
from lbfgsb._core.compact cimport most_updates
from lbfgsb._core.dense cimport factor, solve_upper
from lbfgsb._core.kernels cimport LANES
from lbfgsb._core.team cimport carve, padded

cdef extern from "float.h" nogil:
    const double DBL_EPSILON


cdef void few_place(FewVariables *few, const Compact *B, bint bounded, Room *room) noexcept nogil:
    """Take the buffers; B has its sizes."""
    cdef Py_ssize_t n = B.n
    few.first = <double *>carve(&room.kept, padded(n), sizeof(double))
    few.cross = <double *>carve(&room.kept, B.m + 1, sizeof(double))
    few.alpha = <double *>carve(&room.work, most_updates(B), sizeof(double))
    few.step = <double *>carve(&room.work, padded(n), sizeof(double))
    if not bounded:
        return
    few.ld, few.ld_R = padded(n), padded(n) + LANES
    few.t = <double *>carve(&room.work, n, sizeof(double))
    few.d = <double *>carve(&room.work, n, sizeof(double))
    few.z = <double *>carve(&room.work, n, sizeof(double))
    few.product = <double *>carve(&room.work, n, sizeof(double))
    few.B = <double *>carve(&room.work, n * few.ld, sizeof(double))
    few.R = <double *>carve(&room.work, n * few.ld_R, sizeof(double))
    few.work = <double *>carve(&room.work, n * few.ld_R, sizeof(double))
    few.free = <Py_ssize_t *>carve(&room.work, n, sizeof(Py_ssize_t))


# --- the pairs ----------------------------------------------------------------------------


cdef void few_take_pair(FewVariables *few, const Compact *B, bint was_full) noexcept nogil:
    """B's newest pair is a new one; the oldest has left if B was full."""
    if was_full:
        memmove(few.cross, few.cross + 1, (B.k - 1) * sizeof(double))
    few_set_pair(few, B)


cdef void few_set_pair(FewVariables *few, const Compact *B) noexcept nogil:
    """B has got a newest pair."""
    cdef Py_ssize_t newest = B.k - 1
    if newest > 0 and B.n > 2:
        few.cross[newest] = B.simd.product(column(B, 2 * newest - 2), column(B, 2 * newest + 1),
                                           B.tile_length, B.tiles)
    if newest == 0 or not few.diagonal:
        begin_first(few, B)
    if few.diagonal and not update_first(few, B):
        begin_first(few, B)


cdef void begin_first(FewVariables *few, const Compact *B) noexcept nogil:
    cdef Py_ssize_t i
    cdef double gamma = 1 / B.theta
    for i in range(B.n):
        few.first[i] = gamma
    for i in range(B.n, B.tiles * LANES):
        few.first[i] = 1


cdef bint update_first(FewVariables *few, const Compact *B) noexcept nogil:
    """`first` learns from the newest pair (Gilbert and Lemaréchal, 1989), with c y for its y.

    It is scaled so that (c y)ᵀD (c y) = sᵀ(c y), as it is where D c y = s. Returns False, with
    `first` spoilt, if it is no positive number everywhere.
    """
    cdef Py_ssize_t i, newest = B.k - 1
    B.simd.update_diagonal(column(B, 2 * newest), column(B, 2 * newest + 1), B.tile_length,
                           B.tiles, B.rho[newest] * B.secant[newest], few.first)
    for i in range(B.n):
        if not (few.first[i] > 0 and isfinite(few.first[i])):
            return False
    for i in range(B.n, B.tiles * LANES):
        few.first[i] = 1
    return True


# The first tile of a column of W.
cdef inline const double *column(const Compact *B, Py_ssize_t i) noexcept nogil:
    return <const double *>B.W + B.columns[i]


cdef void apply_H(FewVariables *few, const Compact *B, double *v) noexcept nogil:
    """v (n,) = H v; zeros up to whole tiles."""
    if B.n <= 2:
        apply_H_in_plane(few, B, v)
    else:
        B.simd.two_loop(<const double *>B.W, B.tile_length, B.columns, B.order, B.updates,
                        B.tiles, B.rho, few.cross, B.secant, few.first, v, few.alpha)


cdef void apply_H_in_plane(const FewVariables *few, const Compact *B, double *v) noexcept nogil:
    """The same for one or two variables, where I - rho y sᵀ = rho (J s)(J y)ᵀ, J a right angle.

    So all that an update needs of the matrix before it is one number, `across` = (J s)ᵀH (J s):

        (I - rho s yᵀ) H (I - rho y sᵀ) + rho/c s sᵀ = rho² across (J y)(J y)ᵀ + rho/c s sᵀ
    """
    cdef Py_ssize_t i, pair = B.order[0]
    cdef const double *s = column(B, 2 * pair)
    cdef const double *y = column(B, 2 * pair + 1)
    cdef const double *s_next
    cdef double across = few.first[0] * s[1] * s[1] + few.first[1] * s[0] * s[0]
    cdef double rho = B.rho[pair], weight = rho / B.secant[pair], along, turn
    for i in range(1, B.updates):
        pair = B.order[i]
        s_next = column(B, 2 * pair)
        along = rho * (s_next[0] * y[0] + s_next[1] * y[1])
        turn = s_next[0] * s[1] - s_next[1] * s[0]
        across = along * along * across + weight * turn * turn
        s, y = s_next, column(B, 2 * pair + 1)
        rho = B.rho[pair]
        weight = rho / B.secant[pair]
    along = weight * (s[0] * v[0] + s[1] * v[1])
    turn = rho * across * (rho * (y[0] * v[1] - y[1] * v[0]))
    v[0] = along * s[0] - turn * y[1]
    v[1] = along * s[1] + turn * y[0]


cdef double inner(const double *u, const double *v, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef double total = 0
    for i in range(n):
        total += u[i] * v[i]
    return total


cdef void multiply_B(const FewVariables *few, const double *v, Py_ssize_t n,
                     double *out) noexcept nogil:
    """out = B v, four rows at a time: each sum waits for itself."""
    cdef Py_ssize_t i, j, ld = few.ld
    cdef double sum_0, sum_1, sum_2, sum_3
    cdef const double *row
    for i in range(0, n - 3, 4):
        row = few.B + i * ld
        sum_0 = sum_1 = sum_2 = sum_3 = 0
        for j in range(n):
            sum_0 += row[j] * v[j]
            sum_1 += row[ld + j] * v[j]
            sum_2 += row[2 * ld + j] * v[j]
            sum_3 += row[3 * ld + j] * v[j]
        out[i], out[i + 1], out[i + 2], out[i + 3] = sum_0, sum_1, sum_2, sum_3
    for i in range(n - n % 4, n):
        out[i] = inner(few.B + i * ld, v, n)


cdef bint form_B(FewVariables *few, const Compact *B) noexcept nogil:
    """The matrix B from the pairs; False if rounding has made it indefinite."""
    return B.simd.bfgs_matrix(<const double *>B.W, B.tile_length, B.columns, B.order, B.updates,
                              B.n, B.tiles, B.rho, B.secant, few.first, few.B)


# --- the generalised Cauchy point ---------------------------------------------------------


cdef void collect_break_points(FewVariables *few, const Box *box) noexcept nogil:
    """t, and d = -g for the variables that can move."""
    cdef Py_ssize_t i
    for i in range(box.n):
        few.t[i] = break_point(box.x[i], box.path[i], box.lower[i], box.upper[i])
        few.d[i] = -scaled_gradient(box, i) if few.t[i] > 0 else 0


cdef double distance_to_bound(const Box *box, Py_ssize_t i) noexcept nogil:
    """From x to the bound that variable i meets along the path."""
    return scaled_change(box, i, (box.lower[i] if box.g[i] > 0 else box.upper[i]) - box.x[i])


cdef void find_cauchy_point(FewVariables *few, const Compact *B, const Box *box,
                            CauchyPoint *cauchy) noexcept nogil:
    """Set `cauchy` to the first local minimiser of the model along P(x - t g); B is formed."""
    cdef Py_ssize_t i, n = box.n
    cdef double slope, curvature, dt, t_next
    cdef double least_curvature = DBL_EPSILON * B.theta * box.g_free_squared
    collect_break_points(few, box)
    memset(few.z, 0, n * sizeof(double))
    cauchy.known, cauchy.t, cauchy.t_fixed, cauchy.passed = True, 0, 0, 0
    while True:
        multiply_B(few, few.d, n, few.product)
        # dᵀg = -dᵀd: what still moves goes along -g
        slope = inner(few.z, few.product, n) - inner(few.d, few.d, n)
        curvature = max(inner(few.d, few.product, n), least_curvature)
        dt = -slope / curvature
        t_next = INFINITY
        for i in range(n):
            if few.t[i] > cauchy.t_fixed:
                t_next = min(t_next, few.t[i])
        if t_next == INFINITY or t_next > cauchy.t + dt:
            cauchy.t += max(dt, 0.0)
            return
        for i in range(n):
            few.z[i] += (t_next - cauchy.t) * few.d[i]
            if few.t[i] == t_next:
                few.z[i], few.d[i] = distance_to_bound(box, i), 0
                cauchy.passed += 1
        cauchy.t = cauchy.t_fixed = t_next


cdef bint few_cauchy_point(FewVariables *few, const Compact *B, const Box *box,
                           CauchyPoint *cauchy) noexcept nogil:
    """The same, of a B that is still to be formed; False if it can't be."""
    if not form_B(few, B):
        return False
    find_cauchy_point(few, B, box, cauchy)
    return True


# --- the minimiser ------------------------------------------------------------------------


cdef Py_ssize_t fix_variables(FewVariables *few, Box *box,
                              const CauchyPoint *cauchy) noexcept nogil:
    """List the variables that are free at x_cauchy; z for the others, 0 for them.

    Returns their number.
    """
    cdef Py_ssize_t i, count = 0
    for i in range(box.n):
        if break_point(box.x[i], box.path[i], box.lower[i], box.upper[i]) <= cauchy.t_fixed:
            few.z[i] = distance_to_bound(box, i)
            box.status[i] = -1 if box.g[i] > 0 else 1
        else:
            few.z[i], box.status[i] = 0, 0
            few.free[count] = i
            count += 1
    box.fixed = box.n - count
    return count


cdef bint minimise_free(FewVariables *few, const Compact *B, Box *box,
                        const CauchyPoint *cauchy, bint check, double *error) noexcept nogil:
    """Set `step` for the free variables; B is formed."""
    cdef Py_ssize_t i, j, n = box.n, count = fix_variables(few, box, cauchy)
    cdef Py_ssize_t last = padded(count)    # the right hand side is factored along
    cdef double *row
    multiply_B(few, few.z, n, few.product)
    for i in range(count):
        row = few.R + i * few.ld_R
        memset(row, 0, few.ld_R * sizeof(double))
        for j in range(i, count):
            row[j] = few.B[few.free[i] * few.ld + few.free[j]]
        row[last] = -scaled_gradient(box, few.free[i]) - few.product[few.free[i]]
    if not factor(B.simd, few.R, count, last + LANES, few.ld_R, few.work if check else NULL,
                  error):
        return False
    for i in range(count):
        few.product[i] = few.R[i * few.ld_R + last]
    solve_upper(few.R, count, few.ld_R, few.product)
    memset(few.step, 0, few.ld * sizeof(double))
    for i in range(count):
        few.step[few.free[i]] = few.product[i]
    return True


cdef bint minimise(FewVariables *few, const Compact *B, Box *box, CauchyPoint *cauchy,
                   bint check, double *error) noexcept nogil:
    """few_minimiser in scaled variables.

    x_cauchy itself is found where a break point may lie before it, see cauchy.pyx.
    """
    cdef Py_ssize_t i, n = box.n
    cdef double bound
    cauchy.known, cauchy.t, cauchy.t_fixed, cauchy.passed = False, 0, 0, 0
    memset(few.step, 0, padded(n) * sizeof(double))
    if not box.bounded:
        for i in range(n):
            few.step[i] = -scaled_gradient(box, i)
        apply_H(few, B, few.step)
        return True
    collect_break_points(few, box)
    memcpy(few.step, few.d, n * sizeof(double))
    apply_H(few, B, few.step)
    # ĝᵀHĝ / ĝᵀĝ, no less than the t of x_cauchy on the first piece
    bound = inner(few.d, few.step, n) / box.g_free_squared
    if 0 < bound < box.t_min:
        if box.pinned == 0:
            box_free_all(box)
            return True
        if not form_B(few, B):
            return False
    else:
        if not few_cauchy_point(few, B, box, cauchy):
            return False
        if box.pinned + cauchy.passed == 0:
            box_free_all(box)
            return True
    return minimise_free(few, B, box, cauchy, check, error)


cdef bint few_minimiser(FewVariables *few, const Compact *B, Box *box, CauchyPoint *cauchy,
                        bint check, double *error) noexcept nogil:
    """Set `step` to the way from x to the minimiser over the variables free at x_cauchy.

    Returns False if B is not positive definite to working
    precision.
    """
    cdef Py_ssize_t i
    if not minimise(few, B, box, cauchy, check, error):
        return False
    if box.scaled:
        for i in range(box.n):
            few.step[i] *= box.scale[i]
    return True
