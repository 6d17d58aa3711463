/* Few-variable kernels: the two-loop recursion and the BFGS matrix, with vectors in registers as far
 * as those go.
 *
 * Compiled once for each instruction set with LEVEL and VBYTES defined, for W in the tiles of the
 * panel kernels. Multiply-adds are fused as there.
 */
#include <string.h>

#include "kernels_vector.h"

/* The inner product of a column of W, at w, with v in registers. */
INLINE double column_dot(const double *w, ptrdiff_t ld, const vec *v, const int tiles)
{
    vec sum[PARTS];
    for (int part = 0; part < PARTS; part++) {
        sum[part] = load(w + part * VLEN) * v[part];
        for (int t = 1; t < tiles; t++)
            sum[part] = mul_add(load(w + t * ld + part * VLEN), v[t * PARTS + part], sum[part]);
    }
    return total(sum);
}

INLINE void load_column(const double *w, ptrdiff_t ld, vec *v, const int tiles)
{
    for (int t = 0; t < tiles; t++)
        for (int part = 0; part < PARTS; part++)
            v[t * PARTS + part] = load(w + t * ld + part * VLEN);
}

/* v += a times a column of W */
INLINE void add_column(double a, const double *w, ptrdiff_t ld, vec *v, const int tiles)
{
    for (int t = 0; t < tiles; t++)
        for (int part = 0; part < PARTS; part++)
            v[t * PARTS + part] =
                mul_add(fill(a), load(w + t * ld + part * VLEN), v[t * PARTS + part]);
}

static double product(const double *s, const double *y, ptrdiff_t ld, ptrdiff_t tiles)
{
    vec sum[PARTS] = {{0}};
    for (ptrdiff_t t = 0; t < tiles; t++)
        for (int part = 0; part < PARTS; part++)
            sum[part] = mul_add(load(s + t * ld + part * VLEN), load(y + t * ld + part * VLEN),
                                sum[part]);
    return total(sum);
}

/* s'y of updates i - 1 and i: it is known unless the second round begins with i. */
INLINE double cross_of(const double *W, ptrdiff_t ld, const ptrdiff_t *cols,
                       const ptrdiff_t *order, const double *cross, ptrdiff_t i, const int tiles)
{
    if (order[i] == order[i - 1] + 1)
        return cross[order[i]];
    return product(W + cols[2 * order[i - 1]], W + cols[2 * order[i] + 1], ld, tiles);
}

/* J. Nocedal, Updating quasi-Newton matrices with limited storage, Mathematics of Computation 35
 * (1980), 773-782: the two-loop recursion, with v in registers. With c y in the place of y its rho
 * and the alpha of its second loop are c times smaller, and all else is the same.
 *
 * An update is an inner product with v and a change of v, and the next one would wait for both. So
 * its inner product is taken before the change and then changed itself, by an inner product of the
 * two pairs: u'(v + a w) = u'v + a u'w. */
INLINE void two_loop_tiles(const double *W, ptrdiff_t ld, const ptrdiff_t *cols,
                           const ptrdiff_t *order, ptrdiff_t updates, const double *rho,
                           const double *cross, const double *secant, const double *first,
                           double *v, double *alpha, const int tiles)
{
    const ptrdiff_t last = updates - 1;
    double next;
    vec q[FEW_FREE / VLEN];
    load_column(v, LANES, q, tiles);
    next = column_dot(W + cols[2 * order[last]], ld, q, tiles);
    for (ptrdiff_t i = last; i >= 0; i--) {
        alpha[i] = rho[order[i]] * next;
        if (i > 0)
            next = mul_add_1(-alpha[i], cross_of(W, ld, cols, order, cross, i, tiles),
                             column_dot(W + cols[2 * order[i - 1]], ld, q, tiles));
        add_column(-alpha[i], W + cols[2 * order[i] + 1], ld, q, tiles);
    }
    for (int i = 0; i < tiles * PARTS; i++)
        q[i] *= load(first + i * VLEN);
    next = column_dot(W + cols[2 * order[0] + 1], ld, q, tiles);
    for (ptrdiff_t i = 0; i <= last; i++) {
        const double beta = alpha[i] / secant[order[i]] - rho[order[i]] * next;
        if (i < last)
            next = mul_add_1(beta, cross_of(W, ld, cols, order, cross, i + 1, tiles),
                             column_dot(W + cols[2 * order[i + 1] + 1], ld, q, tiles));
        add_column(beta, W + cols[2 * order[i]], ld, q, tiles);
    }
    for (int i = 0; i < tiles * PARTS; i++)
        store(v + i * VLEN, q[i]);
}

static void two_loop(const double *W, ptrdiff_t ld, const ptrdiff_t *cols,
                     const ptrdiff_t *order, ptrdiff_t updates, ptrdiff_t tiles,
                     const double *rho, const double *cross, const double *secant,
                     const double *first, double *v, double *alpha)
{
/* A constant count of tiles, as far as v is held in registers. */
#define TILES(count)                                                                             \
    case count:                                                                                  \
        two_loop_tiles(W, ld, cols, order, updates, rho, cross, secant, first, v, alpha, count); \
        return
    switch (tiles) {
        TILES(1);
        TILES(2);
        TILES(3);
        TILES(4);
#if VBYTES == 64
        TILES(5);
        TILES(6);
        TILES(7);
        TILES(8);
        TILES(9);
        TILES(10);
        TILES(11);
        TILES(12);
        TILES(13);
        TILES(14);
        TILES(15);
        TILES(16);
#endif
    }
#undef TILES
    const int count = (int)tiles;
    if (count > 0)    /* always; gcc warns without */
        two_loop_tiles(W, ld, cols, order, updates, rho, cross, secant, first, v, alpha, count);
}

/* J. C. Gilbert and C. Lemarechal, Some numerical experiments with variable-storage quasi-Newton
 * algorithms, Mathematical Programming 45 (1989), 407-435: the diagonal of the BFGS update, scaled
 * before and after. */
static void update_diagonal(const double *s, const double *y, ptrdiff_t ld, ptrdiff_t tiles,
                            double rho, double *D)
{
    vec before[PARTS] = {{0}}, length[PARTS] = {{0}}, after[PARTS] = {{0}};
    for (ptrdiff_t t = 0; t < tiles; t++)
        for (int part = 0; part < PARTS; part++) {
            const vec d = load(D + t * LANES + part * VLEN);
            const vec st = load(s + t * ld + part * VLEN), yt = load(y + t * ld + part * VLEN);
            before[part] = mul_add(d * yt, yt, before[part]);
            length[part] = mul_add(st / d, st, length[part]);
        }
    const vec scale = fill(rho * total(before)), share = fill(1 / total(length));
    for (ptrdiff_t t = 0; t < tiles; t++)
        for (int part = 0; part < PARTS; part++) {
            double *d = D + t * LANES + part * VLEN;
            const vec st = load(s + t * ld + part * VLEN), yt = load(y + t * ld + part * VLEN);
            const vec inverse = 1 / load(d), moved = inverse * st * st * share;
            const vec updated = 1 / mul_add(fill(rho) * yt, yt, scale * inverse * (1 - moved));
            after[part] = mul_add(updated * yt, yt, after[part]);
            store(d, updated);
        }
    const vec unit = fill(1 / (rho * total(after)));
    for (ptrdiff_t i = 0; i < tiles * LANES; i += VLEN)
        store(D + i, load(D + i) * unit);
}

/* Byrd, Nocedal and Schnabel (1994), (2.14): one update after the other, a row in registers. */
INLINE int bfgs_matrix_tiles(const double *W, ptrdiff_t ld, const ptrdiff_t *cols,
                             const ptrdiff_t *order, ptrdiff_t updates, ptrdiff_t n,
                             const double *rho, const double *secant, const double *first,
                             double *B, const int tiles)
{
    enum { REGISTERS = FEW / VLEN };
    const int count = tiles * PARTS, stride = tiles * LANES;
    memset(B, 0, (size_t)(n * stride) * sizeof(double));
    for (ptrdiff_t i = 0; i < n; i++)
        B[i * stride + i] = 1 / first[i];
    for (ptrdiff_t u = 0; u < updates; u++) {
        const ptrdiff_t p = order[u];
        const double *s = W + cols[2 * p], *y = W + cols[2 * p + 1];
        _Alignas(64) double entries[FEW] = {0};
        vec Bs[REGISTERS], yv[REGISTERS];
        load_column(y, ld, yv, tiles);
        for (int r = 0; r < count; r++)
            Bs[r] = (vec){0};
        for (ptrdiff_t i = 0; i < n; i++)
            for (int r = 0; r < count; r++)
                Bs[r] = mul_add(fill(s[i / LANES * ld + i % LANES]),
                                load(B + i * stride + r * VLEN), Bs[r]);
        double curvature = column_dot(s, ld, Bs, tiles);
        if (!(curvature > 0 && curvature < __builtin_inf()))
            return 0;
        for (int r = 0; r < count; r++)
            store(entries + r * VLEN, Bs[r]);
        const double weight = secant[p] * rho[p];
        for (ptrdiff_t i = 0; i < n; i++) {
            double a = y[i / LANES * ld + i % LANES] * weight, b = entries[i] / curvature;
            for (int r = 0; r < count; r++) {
                double *row = B + i * stride + r * VLEN;
                store(row, load(row) + mul_add(fill(a), yv[r], fill(-b) * Bs[r]));
            }
        }
    }
    return 1;
}

static int bfgs_matrix(const double *W, ptrdiff_t ld, const ptrdiff_t *cols,
                       const ptrdiff_t *order, ptrdiff_t updates, ptrdiff_t n, ptrdiff_t tiles,
                       const double *rho, const double *secant, const double *first,
                       double *B)
{
    if (tiles == 1)
        return bfgs_matrix_tiles(W, ld, cols, order, updates, n, rho, secant, first, B, 1);
    if (tiles == 2)
        return bfgs_matrix_tiles(W, ld, cols, order, updates, n, rho, secant, first, B, 2);
    if (tiles == 3)
        return bfgs_matrix_tiles(W, ld, cols, order, updates, n, rho, secant, first, B, 3);
    return bfgs_matrix_tiles(W, ld, cols, order, updates, n, rho, secant, first, B, FEW / LANES);
}

void NAMED(lbfgsb_fill_few)(Kernels *kernels)
{
    kernels->two_loop = two_loop;
    kernels->product = product;
    kernels->update_diagonal = update_diagonal;
    kernels->bfgs_matrix = bfgs_matrix;
}
