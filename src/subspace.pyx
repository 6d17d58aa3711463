"""The minimiser of the model over the variables that are free at x_cauchy.

The direct primal method of Byrd, Lu, Nocedal and Zhu (1995), section 5.1, with the projection of
Morales and Nocedal, Remark on Algorithm 778, ACM Transactions on Mathematical Software 38 (2011).

With Z the columns of I that belong to the free variables F, W_F = Zᵀ W and r = -Zᵀ(g + theta
(x_cauchy - x) - W M c), the minimiser is x_cauchy + Z d, by the Sherman-Morrison-Woodbury formula

    d = r / theta + W_F K⁻¹ W_Fᵀ r / theta²,    K = M⁻¹ - W_Fᵀ W_F / theta.

K has the blocks (y first) [-P Qᵀ; Q T], P = D C⁻¹ + Y_FᵀY_F/theta positive definite, T = theta
S_AᵀS_A over the fixed variables A, Q = L - S_FᵀY_F; it is factored by two Cholesky
factorisations, of P and of T + Q P⁻¹ Qᵀ.

Neither r nor x_cauchy is formed. A free variable's path is x - t g, so r = (theta t - 1) g + W M c
there; W_Fᵀ g is what the search for the Cauchy point leaves in p, W_FᵀW_F is kept, and what
remains of the sum is x_cauchy + d = x - g/theta + W (M c + K⁻¹ W_Fᵀ r / theta) / theta: one pass.
With no variable fixed K⁻¹ is not needed either: the step is -H g.

Where pairs update B twice, E in the notation of compact.pyx, W E and E K⁻¹ Eᵀ are meant.
"""
from libc.math cimport INFINITY
from libc.string cimport memset

from lbfgsb._core.box cimport box_prefetch, box_trial_rows
from lbfgsb._core.compact cimport (compact_apply_units, compact_multiply_M, compact_sum_updates,
                                   ss, sy, tiles_from, yy)
from lbfgsb._core.dense cimport factor, solve_upper, solve_upper_transposed
from lbfgsb._core.kernels cimport BLOCK, LANES, prefetch
from lbfgsb._core.team cimport MIN, SUMS, carve, padded, run_chunks


# Stands for a multiple of the subspace step: the whole of it, projected on the box.
cdef enum:
    PROJECT = -1


cdef void subspace_place(Subspace *sub, Py_ssize_t m, Py_ssize_t updates,
                         Room *room) noexcept nogil:
    cdef Py_ssize_t ld = padded(updates)
    sub.e = <double *>carve(&room.work, 2 * m, sizeof(double))
    sub.h = <double *>carve(&room.work, 2 * m, sizeof(double))
    sub.ld = 2 * ld
    sub.P = <double *>carve(&room.work, updates * sub.ld, sizeof(double))
    sub.C = <double *>carve(&room.work, updates * ld, sizeof(double))
    sub.a = <double *>carve(&room.work, updates, sizeof(double))
    sub.b = <double *>carve(&room.work, updates, sizeof(double))
    sub.work = <double *>carve(&room.work, updates * sub.ld, sizeof(double))


# --- the coefficients e -------------------------------------------------------------------


cdef bint subspace_coefficients(Subspace *sub, Compact *B, const CauchyPoint *cauchy,
                                bint check, double *error) noexcept nogil:
    """Set e when some variable is fixed at x_cauchy; gram_free is up to date.

    B is factored if x_cauchy is known. If not, all variables that are fixed there are so at x: the
    minimiser is the same seen from x, with t = 0 and c = 0.

    Returns False if K is singular to working precision. With `check`, error[0] is raised to
    the backward error of the factorisations.
    """
    cdef Py_ssize_t i, j, k = B.k
    cdef double theta = B.theta, sum_s, sum_y, weight = 1 - theta * cauchy.t
    cdef double *q = sub.e
    cdef double *h = sub.h
    if not factor_K(sub, B, check, error):
        return False
    model_gradient(B, cauchy, q)
    # h = W_Fᵀ r = (1 - theta t) p + W_Fᵀ W_F M c
    for i in range(k):
        sum_s, sum_y = weight * B.p[2 * i], weight * B.p[2 * i + 1]
        for j in range(2 * k if cauchy.known else 0):
            sum_s += B.gram_free[2 * i * B.ld + j] * q[j]
            sum_y += B.gram_free[(2 * i + 1) * B.ld + j] * q[j]
        h[2 * i], h[2 * i + 1] = theta * sum_s, sum_y
    solve_K(sub, B, h)
    for i in range(k):
        q[2 * i] = (q[2 * i] + h[2 * i]) / theta
        q[2 * i + 1] = (q[2 * i + 1] + h[2 * i + 1] / theta) / theta
    return True


cdef void model_gradient(const Compact *B, const CauchyPoint *cauchy, double *q) noexcept nogil:
    """q with W M c = [S Y] q, c = [Y theta S]ᵀ (x_cauchy - x); 0 for x in the place of x_cauchy."""
    cdef Py_ssize_t i
    if not cauchy.known:
        for i in range(2 * B.k):
            q[i] = 0
        return
    for i in range(B.k):
        q[2 * i], q[2 * i + 1] = B.theta * cauchy.c[2 * i], cauchy.c[2 * i + 1]
    compact_multiply_M(B, q)
    for i in range(B.k):
        q[2 * i] *= B.theta


cdef bint factor_K(Subspace *sub, const Compact *B, bint check, double *error) noexcept nogil:
    """P = R_PᵀR_P with U = R_P⁻ᵀQᵀ beside it, and T + Q P⁻¹ Qᵀ = T + UᵀU."""
    cdef Py_ssize_t i, j, pair, u = B.updates, first = padded(u), ld = B.ld
    cdef const Py_ssize_t *order = B.order
    cdef double *row
    for i in range(u):
        pair = order[i]
        row = sub.P + i * sub.ld
        memset(row, 0, 2 * first * sizeof(double))
        for j in range(i, u):
            row[j] = yy(B.gram_free, ld, pair, order[j]) / B.theta
        row[i] += sy(B.gram, ld, pair, pair) / B.secant[pair]
        for j in range(u):
            row[first + j] = -sy(B.gram_free, ld, order[j], pair)
        for j in range(i + 1, u):
            row[first + j] += sy(B.gram, ld, order[j], pair)
    if not factor(B.simd, sub.P, u, 2 * first, sub.ld, sub.work if check else NULL, error):
        return False
    for i in range(u):
        row = sub.C + i * B.ld_m
        memset(row, 0, first * sizeof(double))
        for j in range(i, u):
            row[j] = B.theta * (ss(B.gram, ld, order[i], order[j])
                                - ss(B.gram_free, ld, order[i], order[j]))
    B.simd.add_gram(sub.P + first, u, u, sub.ld, sub.C, B.ld_m)
    return factor(B.simd, sub.C, u, first, B.ld_m, sub.work if check else NULL, error)


cdef void solve_K(Subspace *sub, const Compact *B, double *v) noexcept nogil:
    """v = E K⁻¹ Eᵀ v: b = C⁻¹ (v_s + Q P⁻¹ v_y), a = P⁻¹ (Qᵀ b - v_y), v = E (a, b).

    In terms of U and u = R_P⁻ᵀ v_y: b = C⁻¹ (v_s + Uᵀu), a = R_P⁻¹ (U b - u).
    """
    cdef Py_ssize_t i, j, u = B.updates
    cdef double *a = sub.a
    cdef double *b = sub.b
    cdef const double *U
    for i in range(u):
        a[i], b[i] = v[2 * B.order[i] + 1], v[2 * B.order[i]]
    solve_upper_transposed(sub.P, u, sub.ld, a)
    for i in range(u):
        U = sub.P + i * sub.ld + padded(u)
        for j in range(u):
            b[j] += U[j] * a[i]
    solve_upper_transposed(sub.C, u, B.ld_m, b)
    solve_upper(sub.C, u, B.ld_m, b)
    for i in range(u):
        U = sub.P + i * sub.ld + padded(u)
        a[i] = -a[i]
        for j in range(u):
            a[i] += U[j] * b[j]
    solve_upper(sub.P, u, sub.ld, a)
    compact_sum_updates(B, a, b, v)


# --- the step -----------------------------------------------------------------------------


ctypedef struct StepContext:
    const Subspace *sub
    const Compact *B
    const Box *box
    double t                 # of x_cauchy
    double t_fixed
    double inv_theta         # 0 with the whole step, which has that part in it
    double alpha             # multiple of d in the subspace
    double *out              # where x + d goes, or NULL


cdef const double *combine_block(const StepContext *v, Py_ssize_t start, Py_ssize_t size,
                                 double *we) noexcept nogil:
    """Rows of what is added to x - inv_theta g: [S Y] e in `we`, or the whole step."""
    cdef const Compact *B = v.B
    cdef Py_ssize_t i
    if v.sub.whole != NULL:
        return v.sub.whole + start
    B.panel.combine(tiles_from(B, start), B.tile_length, B.columns, v.sub.e, 2 * B.k,
                    (size + LANES - 1) // LANES, we)
    if v.box.scaled:
        for i in range(size):
            we[i] *= v.box.scale[start + i]
    return we


cdef void step_chunk(void *context, Py_ssize_t first, Py_ssize_t rows, double *partial,
                     double *scratch) noexcept nogil:
    """d, and as partial results its limit, gᵀd and, without pairs, dᵀd in scaled variables."""
    cdef StepContext *v = <StepContext *>context
    cdef const Box *box = v.box
    cdef double limit
    cdef Py_ssize_t block, i, size, ahead
    cdef double *sums = scratch
    cdef const double *we
    memset(sums, 0, 2 * LANES * sizeof(double))
    for block in range((rows + BLOCK - 1) // BLOCK):
        i = first + block * BLOCK
        size = min(<Py_ssize_t>BLOCK, first + rows - i)
        ahead = min(<Py_ssize_t>BLOCK, first + rows - i - size)
        if ahead > 0:
            box_prefetch(box, i + size, ahead)
            if v.out != NULL:
                prefetch(v.out + i + size, ahead)
        we = combine_block(v, i, size, scratch + 2 * LANES)
        limit = INFINITY
        if not box.bounded:
            box.simd.step_free(size, v.inv_theta, box.path + i, we, box.d + i)
        elif v.alpha == PROJECT:
            limit = box.simd.step_box(size, v.inv_theta, v.t_fixed, box.x + i, box.path + i,
                                      box.lower + i, box.upper + i, we, box.d + i)
        else:
            limit = box.simd.step_truncated(size, v.inv_theta, v.t_fixed, v.t, v.alpha,
                                            box.x + i, box.path + i, box.lower + i,
                                            box.upper + i, we, box.d + i)
        partial[MIN] = min(partial[MIN], limit)
        if v.out != NULL:
            box_trial_rows(box, 1, i, size, v.out + i)
        box.simd.dot(size, box.g + i, box.d + i, sums)
        if v.B.k == 0:
            add_square(box, i, size, scratch + 2 * LANES, sums + LANES)
    box.simd.lane_sum(sums, 2 if v.B.k == 0 else 1, partial + SUMS)


cdef void add_square(const Box *box, Py_ssize_t first, Py_ssize_t rows, double *work,
                     double *sums) noexcept nogil:
    """sums (LANES,) += (d / scale)ᵀ(d / scale) over these rows."""
    cdef Py_ssize_t i
    cdef const double *d = box.d + first
    if box.scaled:
        for i in range(rows):
            work[i] = d[i] / box.scale[first + i]
        d = work
    box.simd.dot(rows, d, d, sums)


cdef void limit_chunk(void *context, Py_ssize_t first, Py_ssize_t rows, double *partial,
                      double *scratch) noexcept nogil:
    """The largest multiple of the subspace step that stays in the box."""
    cdef StepContext *v = <StepContext *>context
    cdef const Box *box = v.box
    cdef Py_ssize_t block, i, size
    for block in range((rows + BLOCK - 1) // BLOCK):
        i = first + block * BLOCK
        size = min(<Py_ssize_t>BLOCK, first + rows - i)
        partial[MIN] = min(partial[MIN], box.simd.subspace_limit(
            size, v.inv_theta, v.t_fixed, v.t, box.x + i, box.path + i, box.lower + i,
            box.upper + i, combine_block(v, i, size, scratch)))


cdef StepContext context_of(Subspace *sub, Compact *B, Box *box, const CauchyPoint *cauchy,
                            double *out) noexcept nogil:
    cdef StepContext v
    v.sub, v.B, v.box, v.out = sub, B, box, out
    v.t, v.t_fixed = cauchy.t, cauchy.t_fixed
    v.inv_theta = 0 if sub.whole != NULL else 1 / B.theta
    v.alpha = PROJECT
    return v


cdef void take_step(Subspace *sub, StepContext *v) noexcept nogil:
    cdef double *total = v.box.team.total
    run_chunks(v.box.team, step_chunk, v, v.box.n, 2 * v.B.k + 6, 2, total, backward=True)
    sub.limit, sub.slope, sub.squared = total[MIN], total[SUMS], total[SUMS + 1]


cdef void subspace_step(Subspace *sub, Compact *B, Box *box, const CauchyPoint *cauchy,
                        double *out) noexcept nogil:
    """Set d, the step from x to the subspace minimiser projected on the box, from t_fixed and e or
    `whole`.

    Unless it is NULL, `out` (n,) becomes x + d.
    """
    cdef StepContext v = context_of(sub, B, box, cauchy, out)
    if sub.whole == NULL:
        compact_apply_units(B, sub.e, B.unit, 2 * B.k, 1)    # W has its columns in units
    take_step(sub, &v)


cdef void subspace_truncated_step(Subspace *sub, Compact *B, Box *box, const CauchyPoint *cauchy,
                                  double *out) noexcept nogil:
    """The same for a projected step that does not go down (Morales and Nocedal, 2011).

    It is replaced by the longest feasible part of the way from x_cauchy to the minimiser, as in
    the algorithm of 1995.
    """
    cdef StepContext v = context_of(sub, B, box, cauchy, out)
    run_chunks(box.team, limit_chunk, &v, box.n, 2 * B.k + 6, 0, box.team.total)
    v.alpha = box.team.total[MIN]
    take_step(sub, &v)
