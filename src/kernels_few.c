/* Few-variable kernels: the two-loop recursion and the BFGS matrix, with vectors of at most FEW
 * elements in registers.
 *
 * Compiled once for each instruction set with LEVEL and VBYTES defined, for W in the tiles of the
 * panel kernels. Multiply-adds are fused as there.
 */
#include <string.h>

#include "kernels_vector.h"

/* The inner product of a column of W, at w, with v in registers. */
INLINE double column_dot(const double *w, ptrdiff_t ld, const vec *v, const int tiles)
{
    _Alignas(64) double lanes[LANES];
    for (int part = 0; part < PARTS; part++) {
        vec sum = load(w + part * VLEN) * v[part];
        for (int t = 1; t < tiles; t++)
            sum = mul_add(load(w + t * ld + part * VLEN), v[t * PARTS + part], sum);
        store(lanes + part * VLEN, sum);
    }
    pair s = quarter_sums(lanes);
    return s[0] + s[1];
}

/* v += a times a column of W */
INLINE void add_column(double a, const double *w, ptrdiff_t ld, vec *v, const int tiles)
{
    for (int t = 0; t < tiles; t++)
        for (int part = 0; part < PARTS; part++)
            v[t * PARTS + part] =
                mul_add(fill(a), load(w + t * ld + part * VLEN), v[t * PARTS + part]);
}

/* J. Nocedal, Updating quasi-Newton matrices with limited storage, Mathematics of Computation 35
 * (1980), 773-782: the two-loop recursion, with v in registers. With c y in the place of y its rho
 * and the alpha of its second loop are c times smaller, and all else is the same. */
INLINE void two_loop_tiles(const double *W, ptrdiff_t ld, const ptrdiff_t *cols,
                           const ptrdiff_t *order, ptrdiff_t updates, const double *rho,
                           const double *secant, const double *first, double *v,
                           double *alpha, const int tiles)
{
    vec q[FEW / VLEN];
    for (int i = 0; i < tiles * PARTS; i++)
        q[i] = load(v + i * VLEN);
    for (ptrdiff_t i = updates - 1; i >= 0; i--) {
        ptrdiff_t p = order[i];
        alpha[i] = rho[p] * column_dot(W + cols[2 * p], ld, q, tiles);
        add_column(-alpha[i], W + cols[2 * p + 1], ld, q, tiles);
    }
    for (int i = 0; i < tiles * PARTS; i++)
        q[i] *= load(first + i * VLEN);
    for (ptrdiff_t i = 0; i < updates; i++) {
        ptrdiff_t p = order[i];
        double beta = rho[p] * column_dot(W + cols[2 * p + 1], ld, q, tiles);
        add_column(alpha[i] / secant[p] - beta, W + cols[2 * p], ld, q, tiles);
    }
    for (int i = 0; i < tiles * PARTS; i++)
        store(v + i * VLEN, q[i]);
}

static void two_loop(const double *W, ptrdiff_t ld, const ptrdiff_t *cols,
                     const ptrdiff_t *order, ptrdiff_t updates, ptrdiff_t tiles,
                     const double *rho, const double *secant, const double *first,
                     double *v, double *alpha)
{
    if (tiles == 1)
        two_loop_tiles(W, ld, cols, order, updates, rho, secant, first, v, alpha, 1);
    else if (tiles == 2)
        two_loop_tiles(W, ld, cols, order, updates, rho, secant, first, v, alpha, 2);
    else if (tiles == 3)
        two_loop_tiles(W, ld, cols, order, updates, rho, secant, first, v, alpha, 3);
    else
        two_loop_tiles(W, ld, cols, order, updates, rho, secant, first, v, alpha, FEW / LANES);
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
        for (int r = 0; r < count; r++) {
            Bs[r] = (vec){0};
            yv[r] = load(y + r / PARTS * ld + r % PARTS * VLEN);
        }
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
    kernels->bfgs_matrix = bfgs_matrix;
}
