"""The compact limited-memory matrix B = theta I - W M Wᵀ and its inverse.

R. H. Byrd, J. Nocedal and R. B. Schnabel, Representations of quasi-Newton matrices and their use
in limited memory methods, Mathematical Programming 63 (1994), 129-156: (3.13) for the inverse H,
section 3.2 for B. R. H. Byrd, P. Lu, J. Nocedal and C. Zhu, A limited memory algorithm for bound
constrained optimization, SIAM J. Scientific Computing 16 (1995), 1190-1208 (BLNZ): (3.2)-(3.6).

With the pairs s, y as columns of S and Y, oldest first, SᵀY = L + D + R', L strictly lower, D
diagonal, and R = D + R' the upper triangle:

    W = [Y  theta S],    M⁻¹ = [ -D  Lᵀ       ]
                               [  L  theta SᵀS ]

    H = gamma I + [S  gamma Y] [ R⁻ᵀ (D + gamma YᵀY) R⁻¹  -R⁻ᵀ ] [ Sᵀ       ],  gamma = 1/theta.
                               [ -R⁻¹                       0   ] [ gamma Yᵀ ]

The secant equation is the modified one of J. Zhang, N. Y. Deng and L. H. Chen, New quasi-Newton
equation and related methods for unconstrained optimization, J. Optimization Theory and Applications
102 (1999), 147-167: B s = c y with a factor c for each pair (`secant_factor`), C their diagonal
matrix. Of W' = [C Y  theta S] the factors go into M: with W as it is,

    M⁻¹ = [ -D C⁻¹  Lᵀ       ]    and, in the middle of H,    D C⁻¹ + gamma YᵀY,
          [  L      theta SᵀS ]

while R, L, S and Y stay what they are; theta = c yᵀy / sᵀy of the newest pair. So the pairs that
are stored are plain differences, and no inner product of them has a factor.

B is not made by one update with each pair: after all of them, oldest first, the newest update it
once more. An update with the next pair takes B away from the secant equations of those before; the
second round brings it back near to them (M. Al-Baali, Improved Hessian approximations for the
limited memory BFGS method, Numerical Algorithms 22 (1999), 99-112). Of a quadratic they all hold;
where the curvature changes, those of before do not deserve it. c says where that was, and the
second round begins after it (`extra_updates`). In the formulas the pairs are then those of the
updates, `order`, some of them twice. That changes neither what is stored nor a pass over W: with E
the columns of I that repeat what is used again, W E takes the place of W, so what is kept of M is
E M Eᵀ.

Only inner products of pairs are kept besides S and Y. An entry is computed once, when its newer
pair comes, by the kernel that could compute it again to the same bits; when the oldest pair
leaves, the matrix moves up by one pair. Vectors of 2k entries are interleaved as W is stored
(s_0 y_0 s_1 y_1 ...), and in such a vector the factor theta of W is left to the caller.

W can be float32, half as long: s and y are rounded, in units that are powers of 2, before anything
is made of them. So B is the matrix of the rounded pairs, as exactly as ever.
"""
from libc.math cimport INFINITY, fabs, frexp, ldexp, sqrt
from libc.string cimport memcpy, memmove, memset

from lbfgsb._core.dense cimport factor, solve_upper, solve_upper_transposed
from lbfgsb._core.kernels cimport BLOCK, LANES, PACK
from lbfgsb._core.team cimport SUMS, Room, carve, padded, run_chunks

# The factors that are taken from f; beyond, a cubic is no model of it over the step.
cdef double LEAST_FACTOR = 1.0 / 3
cdef double LARGEST_FACTOR = 3
# A step along which f is a parabola, nearly, has a factor between this and its reciprocal.
cdef double PARABOLA = 1.25
# By which part of itself sᵀy may differ from what the slopes say: more, and rounding or a bent path
# has come between the two, so that f along d says nothing of s.
cdef double SAME = 0.01


cdef void compact_place(Compact *B, bint few, Room *room) noexcept nogil:
    """Take B's buffers; simd, panel, team, n, m and extra are set before. With `few` variables the
    pairs are all that is kept."""
    cdef Py_ssize_t most
    B.tiles = (B.n + LANES - 1) // LANES
    B.ld = 2 * B.m + 2
    most = most_updates(B)
    B.ld_m = padded(most)
    B.tile_length = B.ld * LANES
    B.columns = <Py_ssize_t *>carve(&room.kept, B.ld, sizeof(Py_ssize_t))
    B.order = <Py_ssize_t *>carve(&room.kept, most, sizeof(Py_ssize_t))
    B.rho = <double *>carve(&room.kept, B.m + 1, sizeof(double))
    B.secant = <double *>carve(&room.kept, B.m + 1, sizeof(double))
    B.unit = <double *>carve(&room.kept, B.ld, sizeof(double))
    B.W = <char *>carve(&room.kept, B.tiles * B.tile_length, B.panel.entry_size)
    B.gram = B.gram_free = B.p = NULL
    if few:
        return
    B.gram = <double *>carve(&room.kept, B.ld * B.ld, sizeof(double))
    B.gram_free = <double *>carve(&room.kept, B.ld * B.ld, sizeof(double))
    B.p = <double *>carve(&room.kept, B.ld, sizeof(double))
    B.J = <double *>carve(&room.work, most * B.ld_m, sizeof(double))
    B.root = <double *>carve(&room.work, most * B.ld_m, sizeof(double))
    B.work = <double *>carve(&room.work, (most + 1) * B.ld_m, sizeof(double))
    B.scale = <double *>carve(&room.work, most, sizeof(double))
    B.v = <double *>carve(&room.work, padded(2 * B.m), sizeof(double))


cdef Py_ssize_t most_updates(const Compact *B) noexcept nogil:
    return B.m + min(B.m, B.extra)


cdef Py_ssize_t extra_updates(const double *secant, Py_ssize_t k, Py_ssize_t most) noexcept nogil:
    """How many of the newest of k pairs with these factors are used twice: those since the last
    step that was far from a parabola, but `most` at most."""
    cdef Py_ssize_t count = 0
    while (count < min(k, most) and secant[k - 1 - count] * PARABOLA >= 1
            and secant[k - 1 - count] <= PARABOLA):
        count += 1
    return count


cdef void hold(Compact *B, Py_ssize_t k) noexcept nogil:
    """B has k pairs, whose factors are set: so they make these updates."""
    cdef Py_ssize_t i, again = extra_updates(B.secant, k, B.extra)
    B.k, B.updates = k, k + again
    for i in range(k):
        B.order[i] = i
    for i in range(again):
        B.order[k + i] = k - again + i


cdef void compact_reset(Compact *B) noexcept nogil:
    """Forget all pairs: B = I."""
    cdef Py_ssize_t i
    hold(B, 0)
    B.theta = 1
    for i in range(B.ld):
        B.columns[i], B.unit[i] = i * LANES, 1


# --- a new pair ---------------------------------------------------------------------------


cdef void set_gram(double *gram, Py_ssize_t ld, Py_ssize_t row, Py_ssize_t count,
                   const double *products, Py_ssize_t stride) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(count):
        gram[row * ld + i] = products[i * stride]
        gram[i * ld + row] = products[i * stride]


cdef bint is_curved(double s_y, double y_y, double least_curvature) noexcept nogil:
    return s_y > least_curvature and 0 < y_y / s_y < INFINITY


cdef double secant_factor(double s_y, const Curvature *curvature) noexcept nogil:
    """c: the curvature of f at the end of the step, by f and its slopes, beside sᵀy, its mean.

    The cubic through f and the slopes at both ends of the step has there the second derivative
    sᵀy + 6 (f₀ - f₁) + 3 sᵀ(g₀ + g₁).
    """
    if not fabs(s_y - curvature.mean) <= SAME * s_y:
        return 1
    return min(max(1 + curvature.change / s_y, LEAST_FACTOR), LARGEST_FACTOR)


cdef bint compact_take_candidate_alone(Compact *B, double s_y, double y_y,
                                       const Curvature *curvature) noexcept nogil:
    """Make the candidate pair the newest one if it is curved enough; keep no inner products."""
    cdef Py_ssize_t oldest_s, oldest_y
    if not is_curved(s_y, y_y, curvature.least):
        return False
    B.rho[B.k], B.secant[B.k] = 1 / s_y, secant_factor(s_y, curvature)
    B.theta = y_y / s_y * B.secant[B.k]
    if B.k < B.m:
        hold(B, B.k + 1)
        return True
    # The oldest pair leaves; its columns of W will hold the next candidate.
    memmove(B.rho, B.rho + 1, B.m * sizeof(double))
    memmove(B.secant, B.secant + 1, B.m * sizeof(double))
    hold(B, B.m)
    oldest_s, oldest_y = B.columns[0], B.columns[1]
    memmove(B.columns, B.columns + 2, 2 * B.m * sizeof(Py_ssize_t))
    if B.narrow:    # else all units are 1
        memmove(B.unit, B.unit + 2, 2 * B.m * sizeof(double))
    B.columns[2 * B.m], B.columns[2 * B.m + 1] = oldest_s, oldest_y
    return True


cdef bint compact_take_candidate(Compact *B, const double *products, Py_ssize_t stride,
                                 bint restricted, const Curvature *curvature) noexcept nogil:
    """Make the candidate pair the newest one if it is curved enough.

    Parameters
    ----------
    products : (2k + 2, stride) Wᵀ[-d, s, y] with the candidate's columns last, followed by
        Wᵀ[s, y] over the free variables if `restricted`
    """
    cdef Py_ssize_t pair = 2 * B.k, count = 2 * B.k + 2, i
    cdef bint full = B.k == B.m
    for i in range(count):
        B.p[i] = -products[i * stride]
    if not compact_take_candidate_alone(B, products[pair * stride + 2],
                                        products[(pair + 1) * stride + 2], curvature):
        return False
    set_gram(B.gram, B.ld, pair, count, products + 1, stride)
    set_gram(B.gram, B.ld, pair + 1, count, products + 2, stride)
    if restricted:
        set_gram(B.gram_free, B.ld, pair, count, products + 3, stride)
        set_gram(B.gram_free, B.ld, pair + 1, count, products + 4, stride)
    if full:
        # Everything moves up by two rows and columns, that is, by one constant distance in memory.
        i = (B.ld * B.ld - 2 * B.ld - 2) * sizeof(double)
        memmove(B.gram, B.gram + 2 * B.ld + 2, i)
        if restricted:
            memmove(B.gram_free, B.gram_free + 2 * B.ld + 2, i)
        memmove(B.p, B.p + 2, 2 * B.m * sizeof(double))
    return True


cdef double power_of_two(double size) noexcept nogil:
    """The power of 2 below a positive number, one that has a reciprocal; 1 for anything else."""
    cdef int exponent = 0
    if not 0 < size < INFINITY:
        return 1
    frexp(size, &exponent)
    return ldexp(1, min(max(exponent - 1, -1000), 1000))


cdef double largest(const double *v, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef double most = 0
    for i in range(n):
        most = max(most, fabs(v[i]))
    return most


cdef void compact_set_pair(Compact *B, Py_ssize_t i, const double *s, const double *y,
                           const double *units, double secant) noexcept nogil:
    """Hold s, y (n,) with this factor as pair i, the newest.

    Its inner products with all pairs, unless they are not kept, have the bits that they had when
    the pair came. So have its entries in W if they are float32, be it in the `units` (2,) that
    they had or, with NULL, in those of its largest.
    """
    cdef Py_ssize_t oldest = 0 if B.gram != NULL else i, count = 2 * (i - oldest) + 2
    cdef const double *products = B.team.total + SUMS
    cdef PairContext v
    v.B, v.s, v.y, v.pair, v.oldest = B, s, y, i, oldest
    B.secant[i] = secant
    hold(B, i + 1)
    if B.narrow:
        B.unit[2 * i] = power_of_two(largest(s, B.n)) if units == NULL else units[0]
        B.unit[2 * i + 1] = power_of_two(largest(y, B.n)) if units == NULL else units[1]
    run_chunks(B.team, pair_chunk, &v, B.n, count + 2, 2 * count, B.team.total)
    compact_apply_units(B, B.team.total + SUMS, B.unit + 2 * oldest, count, 2)
    if B.gram != NULL:
        set_gram(B.gram, B.ld, 2 * i, count, products, 2)
        set_gram(B.gram, B.ld, 2 * i + 1, count, products + 1, 2)
    B.rho[i] = 1 / products[2 * count - 3]
    B.theta = products[2 * count - 1] / products[2 * count - 3] * secant


ctypedef struct PairContext:
    Compact *B
    const double *s
    const double *y
    Py_ssize_t pair
    Py_ssize_t oldest        # the first pair that it is multiplied with


cdef void pair_chunk(void *context, Py_ssize_t first, Py_ssize_t rows, double *partial,
                     double *scratch) noexcept nogil:
    """Store rows of pair i in W; WᵀW between it and the pairs from `oldest` up to it."""
    cdef PairContext *v = <PairContext *>context
    cdef Compact *B = v.B
    cdef Py_ssize_t i = v.pair, count = 2 * (i - v.oldest) + 2, block, start, size, tiles
    cdef double *V = scratch
    cdef double *acc = scratch + 2 * BLOCK
    cdef char *W
    for block in range((rows + BLOCK - 1) // BLOCK):
        start = first + block * BLOCK
        size = min(<Py_ssize_t>BLOCK, first + rows - start)
        tiles = (size + LANES - 1) // LANES
        W = tiles_from(B, start)
        memset(V, 0, 2 * BLOCK * sizeof(double))
        memcpy(V, v.s + start, size * sizeof(double))
        memcpy(V + BLOCK, v.y + start, size * sizeof(double))
        compact_store_pair(B, W, i, tiles, V, V + BLOCK)
        B.panel.tdot(W, B.tile_length, B.columns + 2 * v.oldest, count, tiles, V, 2, block == 0,
                     acc)
    B.simd.lane_sum(acc, 2 * count, partial + SUMS)


cdef void compact_apply_units(const Compact *B, double *products, const double *unit,
                              Py_ssize_t count, Py_ssize_t stride) noexcept nogil:
    """products (count, stride) of columns of W as they stand there: now of the vectors in them.

    As the units are powers of 2, so are the products that vectors would have that are not rounded
    again: of s_i with y_j and of y_j with s_i the same bits.
    """
    cdef Py_ssize_t i, j
    if not B.narrow:
        return
    for i in range(count):
        for j in range(stride):
            products[i * stride + j] *= unit[i]


cdef void compact_get_column(const Compact *B, Py_ssize_t column, double *v) noexcept nogil:
    """v (n,) = column of W: 2i for s_i, 2i + 1 for y_i, in its unit."""
    B.panel.load(B.W, B.tile_length, B.columns[column], B.n, v)


cdef void compact_row(const Compact *B, Py_ssize_t row, double *w) noexcept nogil:
    """w (2k,) = row of [s_0 y_0 s_1 y_1 ...]."""
    B.panel.row(B.W, B.tile_length, B.columns, 2 * B.k, row, w)
    compact_apply_units(B, w, B.unit, 2 * B.k, 1)


# --- products with M and H ----------------------------------------------------------------


cdef bint compact_factor(Compact *B, bint check, double *error) noexcept nogil:
    """JᵀJ = theta SᵀS + L C D⁻¹ Lᵀ, the Schur complement of -D C⁻¹ in M⁻¹.

    Returns False if that is not positive definite to working precision. With `check`,
    error[0] is raised to the backward error of the factorisation.
    """
    cdef Py_ssize_t i, j, pair, u = B.updates, ld = B.ld_m
    cdef const Py_ssize_t *order = B.order
    cdef double *row
    for i in range(u):
        pair = order[i]
        B.scale[i] = sqrt(B.secant[pair]) / sqrt(sy(B.gram, B.ld, pair, pair))
        row = B.root + i * ld
        memset(row, 0, padded(u) * sizeof(double))
        for j in range(i + 1, u):
            row[j] = sy(B.gram, B.ld, order[j], pair) * B.scale[i]
        row = B.J + i * ld
        memset(row, 0, padded(u) * sizeof(double))
        for j in range(i, u):
            row[j] = B.theta * ss(B.gram, B.ld, pair, order[j])
    B.simd.add_gram(B.root, u, u, ld, B.J, ld)
    return factor(B.simd, B.J, u, padded(u), ld, B.work if check else NULL, error)


cdef void compact_multiply_M(const Compact *B, double *v) noexcept nogil:
    """v = E M Eᵀ v for v of length 2k, v[2i] belonging to theta s_i, v[2i+1] to y_i.

    By block elimination of M⁻¹: with Eᵀv = (v_y, v_s), b = (JᵀJ)⁻¹ (v_s + L C D⁻¹ v_y) and
    a = C D⁻¹ (Lᵀ b - v_y).
    """
    cdef Py_ssize_t i, j, u = B.updates
    cdef const double *row
    cdef double *b = B.work
    cdef double *a = B.work + B.ld_m
    for i in range(u):
        b[i] = v[2 * B.order[i]]
        a[i] = B.scale[i] * v[2 * B.order[i] + 1]
    for i in range(u):
        row = B.root + i * B.ld_m
        for j in range(i + 1, u):
            b[j] += row[j] * a[i]
    solve_upper_transposed(B.J, u, B.ld_m, b)
    solve_upper(B.J, u, B.ld_m, b)
    for i in range(u):
        row = B.root + i * B.ld_m
        a[i] = -a[i]
        for j in range(i + 1, u):
            a[i] += row[j] * b[j]
        a[i] *= B.scale[i]
    compact_sum_updates(B, a, b, v)


cdef void compact_sum_updates(const Compact *B, const double *y, const double *s,
                              double *v) noexcept nogil:
    """v (2k,) = E (y, s): what belongs to a pair, from y and s of its updates."""
    cdef Py_ssize_t i
    memset(v, 0, 2 * B.k * sizeof(double))
    for i in range(B.updates):
        v[2 * B.order[i]] += s[i]
        v[2 * B.order[i] + 1] += y[i]


cdef void compact_newton_coefficients(const Compact *B, double *e) noexcept nogil:
    """e (2k,) such that -H g = -g/theta + [s_0 y_0 ...] e, from p = -Wᵀg.

    By the two-loop recursion, which costs O(k) an update if a vector is known by its inner products
    with all s and y. It is (3.13) with R⁻¹ and R⁻ᵀ applied a column at a time.
    """
    cdef Py_ssize_t i
    cdef double gamma = 1 / B.theta
    cdef double *alpha = B.work
    cdef double *beta = B.work + B.ld_m
    memcpy(B.v, B.p, 2 * B.k * sizeof(double))
    B.simd.two_loop_products(B.gram, B.ld, B.k, B.order, B.updates, B.rho, B.secant, gamma, B.v,
                             alpha, beta)
    for i in range(B.updates):
        alpha[i] *= -gamma
    compact_sum_updates(B, alpha, beta, e)


# --- inner products over the free variables ----------------------------------------------


ctypedef struct RowsContext:
    const Compact *B
    const Py_ssize_t *rows


cdef void rows_chunk(void *context, Py_ssize_t first, Py_ssize_t count, double *partial,
                     double *scratch) noexcept nogil:
    """The lower triangle of WᵀW over rows[first : first + count]."""
    cdef RowsContext *v = <RowsContext *>context
    cdef const Compact *B = v.B
    cdef Py_ssize_t pairs = 2 * B.k, entries = B.k * (2 * B.k + 1), block, start
    cdef double *packed = scratch
    cdef double *acc = scratch + pairs * PACK
    memset(acc, 0, entries * LANES * sizeof(double))
    for block in range((count + PACK - 1) // PACK):
        start = first + block * PACK
        B.panel.gather(B.W, B.tile_length, B.columns, pairs, v.rows + start,
                       min(<Py_ssize_t>PACK, first + count - start), packed)
        B.simd.packed_gram(packed, pairs, acc)
    B.simd.lane_sum(acc, entries, partial + SUMS)


cdef void add_rows(Compact *B, const Py_ssize_t *rows, Py_ssize_t count,
                   double sign) noexcept nogil:
    """gram_free += sign * WᵀW over `rows`."""
    cdef Py_ssize_t a, b, entries = B.k * (2 * B.k + 1)
    cdef const double *entry = B.team.total + SUMS
    cdef RowsContext v
    if count == 0:
        return
    v.B, v.rows = B, rows
    run_chunks(B.team, rows_chunk, &v, count, entries, entries, B.team.total)
    for a in range(2 * B.k):
        for b in range(a + 1):
            B.gram_free[a * B.ld + b] += sign * (entry[0] * B.unit[a] * B.unit[b])
            B.gram_free[b * B.ld + a] = B.gram_free[a * B.ld + b]
            entry += 1


cdef void compact_correct_free(Compact *B, const signed char *status, Py_ssize_t fixed,
                               bint was_all_free, Py_ssize_t changed,
                               Py_ssize_t *rows) noexcept nogil:
    """Bring gram_free up to date with a new set of free variables.

    Takes the least work of three: to add and subtract the rows that changed sides; to sum over
    the free rows; to subtract the fixed rows from WᵀW.

    Parameters
    ----------
    status : (n,) zero for a free variable
    fixed : how many are not free, at least one
    was_all_free : gram_free was not kept since it equalled gram
    changed : how many changed sides
    rows : (n,) the `changed` rows first; overwritten
    """
    cdef Py_ssize_t i, row, entering, free = B.n - fixed
    if changed == 0:
        return
    if not was_all_free and changed <= min(fixed, free):
        entering = 0
        for i in range(changed):    # the entering rows to the front
            if status[rows[i]] == 0:
                row = rows[i]
                rows[i] = rows[entering]
                rows[entering] = row
                entering += 1
        add_rows(B, rows, entering, 1)
        add_rows(B, rows + entering, changed - entering, -1)
    elif free < fixed:
        memset(B.gram_free, 0, B.ld * B.ld * sizeof(double))
        list_rows(B.n, status, True, rows)
        add_rows(B, rows, free, 1)
    else:
        memcpy(B.gram_free, B.gram, B.ld * B.ld * sizeof(double))
        list_rows(B.n, status, False, rows)
        add_rows(B, rows, fixed, -1)


cdef void list_rows(Py_ssize_t n, const signed char *status, bint free,
                    Py_ssize_t *rows) noexcept nogil:
    cdef Py_ssize_t i, count = 0
    for i in range(n):
        if (status[i] == 0) == free:
            rows[count] = i
            count += 1
