"""The pass over W that takes a step: new iterate, new pair, inner products.

One pass over blocks of rows moves x and g, stores the new pair and multiplies Wᵀ with the projected
gradient (-d of section 4 of BLNZ), with s and y, and again with s and y over the free variables; it
measures the projected gradient, its square, and the least break point on the way. The pass that
makes the next step is in subspace.pyx.
"""
from libc.math cimport INFINITY, fabs, sqrt
from libc.string cimport memcpy, memset

from lbfgsb._core.box cimport box_prefetch, box_rescale_rows
from lbfgsb._core.compact cimport (compact_apply_units, compact_store_pair, compact_take_candidate,
                                   compact_take_candidate_alone, power_of_two, tiles_from)
from lbfgsb._core.few_variables cimport few_take_pair
from lbfgsb._core.kernels cimport BLOCK, LANES, MAX_RHS, prefetch
from lbfgsb._core.team cimport MAX, MIN, SUMS, run_chunks


ctypedef struct AcceptContext:
    Box *box
    Compact *B
    double alpha
    const double *g          # at the new iterate
    bint moves               # else only measures, with alpha = 0
    const Py_ssize_t *columns    # of W to multiply with, their offsets in a tile
    Py_ssize_t count         # how many
    int first                # the first of the vectors to multiply with
    int vectors              # and how many of them


cdef bint accept_step(Team *team, Box *box, Compact *B, double alpha, const double *g,
                      const Curvature *curvature) noexcept nogil:
    """Move to x + alpha d, where the gradient is g, and measure there.

    Returns whether the new pair is taken.
    """
    cdef bint restricted = box.fixed > 0
    cdef AcceptContext v
    v.box, v.B, v.alpha, v.g, v.moves = box, B, alpha, g, True
    v.columns, v.count = B.columns, 2 * B.k + 2
    v.first, v.vectors = G_FREE, ALL if restricted else CHANGE + 1
    if B.narrow:
        choose_units(B, curvature)
    run(team, &v)
    compact_apply_units(B, team.total + PRODUCTS, B.unit, v.count, v.vectors)
    return compact_take_candidate(B, team.total + PRODUCTS, v.vectors, restricted,
                                  curvature)


cdef void choose_units(Compact *B, const Curvature *curvature) noexcept nogil:
    """Units for the candidate's s and y, of about their size, before either is known.

    dᵀB d = -gᵀd if nothing holds the step back, so |s| is about (-sᵀg / theta)^1/2. Where a float32
    overflows or vanishes is too far from there for n and the condition of B to matter.
    """
    cdef double s = sqrt(curvature.decrease / B.theta)
    B.unit[2 * B.k] = power_of_two(s)
    B.unit[2 * B.k + 1] = power_of_two(fabs(curvature.mean) / s)


cdef bint accept_few(Team *team, Box *box, Compact *B, FewVariables *few, double alpha,
                     const double *g, const Curvature *curvature) noexcept nogil:
    """The same for few variables, where no products are kept: only sᵀy and yᵀy are wanted."""
    cdef double *products = team.total + PRODUCTS
    cdef bint was_full = B.k == B.m
    cdef AcceptContext v
    v.box, v.B, v.alpha, v.g, v.moves = box, B, alpha, g, True
    v.columns, v.count = B.columns + 2 * B.k, 2
    v.first, v.vectors = CHANGE, 1
    run(team, &v)
    if not compact_take_candidate_alone(B, products[0], products[1], curvature):
        return False
    few_take_pair(few, B, was_full)
    return True


cdef void accept_nothing(Team *team, Box *box, Compact *B, bint keeps_products) noexcept nogil:
    """Measure at x and g as they are; p too if products are kept."""
    cdef AcceptContext v
    cdef Py_ssize_t i
    v.box, v.B, v.alpha, v.g, v.moves = box, B, 0, box.g, False
    v.columns, v.count = B.columns, 2 * B.k if keeps_products else 0
    v.first, v.vectors = G_FREE, 1
    run(team, &v)
    compact_apply_units(B, team.total + PRODUCTS, B.unit, v.count, 1)
    for i in range(v.count):
        B.p[i] = -team.total[PRODUCTS + i]


cdef void run(Team *team, AcceptContext *v) noexcept nogil:
    cdef double *total = team.total
    run_chunks(team, accept_chunk, v, v.box.n, v.count + 8,
               PRODUCTS - SUMS + v.count * v.vectors, total)
    v.box.norm, v.box.t_min = total[MAX], total[MIN]
    v.box.g_free_squared = total[G_FREE_SQUARED]
    v.box.pinned = <Py_ssize_t>total[PINNED]


cdef void accept_chunk(void *context, Py_ssize_t first, Py_ssize_t rows, double *partial,
                       double *scratch) noexcept nogil:
    """One pass over the vectors and W, block by block."""
    cdef AcceptContext *v = <AcceptContext *>context
    cdef Box *box = v.box
    cdef Compact *B = v.B
    cdef double *acc = scratch + MAX_RHS * BLOCK
    cdef double *g_free = scratch + G_FREE * BLOCK
    cdef double *s = scratch + STEP * BLOCK
    cdef double *y = scratch + CHANGE * BLOCK
    cdef double *squares = acc + v.count * v.vectors * LANES
    cdef char *W
    cdef double norm, unused = INFINITY
    cdef double *t_min = &unused if box.scaled else partial + MIN
    cdef Py_ssize_t block, i, j, size, tiles, ahead
    memset(squares, 0, LANES * sizeof(double))
    for block in range((rows + BLOCK - 1) // BLOCK):
        i = first + block * BLOCK
        size = min(<Py_ssize_t>BLOCK, first + rows - i)
        tiles = (size + LANES - 1) // LANES
        ahead = min(<Py_ssize_t>BLOCK, first + rows - i - size)
        if ahead > 0:
            box_prefetch(box, i + size, ahead)
            prefetch(v.g + i + size, ahead)
        if box.bounded:
            norm = box.simd.accept_box(size, v.alpha, box.x + i, box.d + i, box.lower + i,
                                       box.upper + i, box.g + i, v.g + i, s, y, g_free,
                                       t_min, partial + PINNED)
        else:
            norm = box.simd.accept_free(size, v.alpha, box.x + i, box.d + i, box.g + i,
                                        v.g + i, s, y)
            if v.first == G_FREE or box.scaled:
                memcpy(g_free, box.g + i, size * sizeof(double))
        if box.scaled:
            box_rescale_rows(box, i, size, s, y, g_free, partial + MIN)
        partial[MAX] = max(partial[MAX], norm)
        for j in range(v.first + v.vectors if tiles * LANES > size else 0):
            memset(scratch + j * BLOCK + size, 0, (tiles * LANES - size) * sizeof(double))
        W = tiles_from(B, i)
        if v.moves:
            compact_store_pair(B, W, B.k, tiles, s, y)
        if v.vectors == ALL:
            box.simd.mask(size, box.status + i, s, scratch + STEP_FREE * BLOCK)
            box.simd.mask(size, box.status + i, y, scratch + CHANGE_FREE * BLOCK)
        B.panel.tdot(W, B.tile_length, v.columns, v.count, tiles, scratch + v.first * BLOCK,
                     v.vectors, block == 0, acc)
        if box.bounded:
            B.simd.dot(size, g_free, g_free, squares)
    if box.bounded:
        B.simd.lane_sum(squares, 1, partial + G_FREE_SQUARED)
    B.simd.lane_sum(acc, v.count * v.vectors, partial + PRODUCTS)
