/* Panel kernels: products with W = [S Y] stored in tiles (see kernels.h).
 *
 * Compiled once for each instruction set with LEVEL and VBYTES (the register width in bytes)
 * defined. Why C: Cython has no vector type, and the loops must keep their partial sums in
 * registers over four tiles to run at the speed of the cache. One read of W, 20 columns, one
 * vector, in the cache of a 2024 x86-64 server core, in microseconds:
 *
 *                                   n = 10,000    100,000
 *   20 dot products with a BLAS             40
 *   baseline (SSE2)                         31        308
 *   AVX2                                    19        184
 *   AVX-512                                 14        155
 *
 * From memory, n = 1,000,000, on a server whose cores wait for it, AVX-512, in milliseconds
 * (medians of five runs in turn):
 *
 *   no prefetches                         13.8
 *   into the first-level cache            13.3
 *   into the second-level cache            9.3
 *
 * A core has few slots for lines on their way into the first level, and more for the second.
 *
 * Multiply-adds are fused on AVX2 and AVX-512, which agree to the bit, and not on the baseline.
 */
#include <string.h>

#include "kernels_vector.h"

enum { GROUP = 4 };           /* tiles held in registers */
enum { AHEAD = 96 * 1024 };   /* bytes of W that are on their way into the second-level cache */

/* How far ahead W is prefetched, in doubles: whole tiles, at least one group of them. */
INLINE ptrdiff_t distance(ptrdiff_t ld)
{
    ptrdiff_t tiles = AHEAD / (ptrdiff_t)sizeof(double) / ld;
    return (tiles > GROUP ? tiles : GROUP) * ld;
}

/* `count` tiles (a constant) of all columns times R vectors. One register of each vector and
 * tile is held while the columns stream past; a register is a part of a tile. */
INLINE void tdot_group(const double *W, ptrdiff_t ld, const ptrdiff_t *cols, ptrdiff_t ncols,
                       const double *V, double *acc, const int R, const int count,
                       ptrdiff_t ahead, int fresh)
{
    for (int part = 0; part < PARTS; part++) {
        vec v[MAX_RHS][GROUP];
        for (int r = 0; r < R; r++)
            for (int t = 0; t < count; t++)
                v[r][t] = load(V + r * BLOCK + t * LANES + part * VLEN);
        for (ptrdiff_t c = 0; c < ncols; c++) {
            const double *w = W + cols[c] + part * VLEN;
            double *a = acc + c * R * LANES + part * VLEN;
            vec sum[MAX_RHS];
            for (int r = 0; r < R; r++)
                sum[r] = fresh ? (vec){0} : load(a + r * LANES);
            for (int t = 0; t < count; t++) {
                vec wt = load(w + t * ld);
                if (part == 0 && ahead)
                    __builtin_prefetch(w + t * ld + ahead, 0, 2);
                for (int r = 0; r < R; r++)
                    sum[r] = mul_add(wt, v[r][t], sum[r]);
            }
            for (int r = 0; r < R; r++)
                store(a + r * LANES, sum[r]);
        }
    }
}

INLINE void tdot(const double *W, ptrdiff_t ld, const ptrdiff_t *cols, ptrdiff_t ncols,
                 ptrdiff_t tiles, const double *V, double *acc, const int R, int fresh)
{
    ptrdiff_t t = 0, ahead = distance(ld);
    for (; t + GROUP <= tiles; t += GROUP, fresh = 0)
        tdot_group(W + t * ld, ld, cols, ncols, V + t * LANES, acc, R, GROUP, ahead, fresh);
    for (; t < tiles; t++, fresh = 0)
        tdot_group(W + t * ld, ld, cols, ncols, V + t * LANES, acc, R, 1, 0, fresh);
}

static void panel_tdot(const double *W, ptrdiff_t ld, const ptrdiff_t *cols, ptrdiff_t ncols,
                       ptrdiff_t tiles, const double *V, int nrhs, int fresh, double *acc)
{
    switch (nrhs) {
    case 1: tdot(W, ld, cols, ncols, tiles, V, acc, 1, fresh); break;
    case 2: tdot(W, ld, cols, ncols, tiles, V, acc, 2, fresh); break;
    case 3: tdot(W, ld, cols, ncols, tiles, V, acc, 3, fresh); break;
    case 4: tdot(W, ld, cols, ncols, tiles, V, acc, 4, fresh); break;
    case 5: tdot(W, ld, cols, ncols, tiles, V, acc, 5, fresh); break;
    }
}

INLINE void combine_group(const double *W, ptrdiff_t ld, const ptrdiff_t *cols,
                          const double *coef, ptrdiff_t ncols, double *out, const int count,
                          ptrdiff_t ahead)
{
    for (int part = 0; part < PARTS; part++) {
        vec sum[GROUP] = {{0}};
        for (ptrdiff_t c = 0; c < ncols; c++) {
            const double *w = W + cols[c] + part * VLEN;
            vec e = fill(coef[c]);
            for (int t = 0; t < count; t++) {
                if (part == 0 && ahead)
                    __builtin_prefetch(w + t * ld + ahead, 0, 2);
                sum[t] = mul_add(load(w + t * ld), e, sum[t]);
            }
        }
        for (int t = 0; t < count; t++)
            store(out + t * LANES + part * VLEN, sum[t]);
    }
}

static void panel_combine(const double *W, ptrdiff_t ld, const ptrdiff_t *cols,
                          const double *coef, ptrdiff_t ncols, ptrdiff_t tiles, double *out)
{
    ptrdiff_t t = 0, ahead = distance(ld);
    for (; t + GROUP <= tiles; t += GROUP)
        combine_group(W + t * ld, ld, cols, coef, ncols, out + t * LANES, GROUP, ahead);
    for (; t < tiles; t++)
        combine_group(W + t * ld, ld, cols, coef, ncols, out + t * LANES, 1, 0);
}

static void panel_store(double *W, ptrdiff_t ld, ptrdiff_t col, ptrdiff_t tiles, const double *v)
{
    for (ptrdiff_t t = 0; t < tiles; t++)
        memcpy(W + t * ld + col, v + t * LANES, LANES * sizeof(double));
}

static void panel_load(const double *W, ptrdiff_t ld, ptrdiff_t col, ptrdiff_t rows, double *v)
{
    ptrdiff_t whole = rows / LANES;
    for (ptrdiff_t t = 0; t < whole; t++)
        memcpy(v + t * LANES, W + t * ld + col, LANES * sizeof(double));
    memcpy(v + whole * LANES, W + whole * ld + col,
           (size_t)(rows - whole * LANES) * sizeof(double));
}

static void panel_gather(const double *W, ptrdiff_t ld, const ptrdiff_t *cols, ptrdiff_t ncols,
                         const ptrdiff_t *rows, ptrdiff_t count, double *packed)
{
    for (ptrdiff_t j = 0; j < count; j++) {
        const double *w = W + rows[j] / LANES * ld + rows[j] % LANES;
        for (ptrdiff_t c = 0; c < ncols; c++)
            packed[c * PACK + j] = w[cols[c]];
    }
    for (ptrdiff_t c = 0; c < ncols; c++)
        for (ptrdiff_t j = count; j < PACK; j++)
            packed[c * PACK + j] = 0.0;
}

static void packed_gram(const double *packed, ptrdiff_t ncols, double *acc)
{
    for (ptrdiff_t a = 0; a < ncols; a++)
        for (ptrdiff_t b = 0; b <= a; b++, acc += LANES)
            for (int part = 0; part < PARTS; part++) {
                const double *p = packed + a * PACK + part * VLEN;
                const double *q = packed + b * PACK + part * VLEN;
                vec sum = load(acc + part * VLEN);
                for (int t = 0; t < PACK; t += LANES)
                    sum = mul_add(load(p + t), load(q + t), sum);
                store(acc + part * VLEN, sum);
            }
}

typedef double unaligned_pair __attribute__((vector_size(16), aligned(8)));

static void lane_sum(const double *acc, ptrdiff_t count, double *out)
{
    ptrdiff_t i = 0;
    for (; i + 2 <= count; i += 2) {
        pair s = quarter_sums(acc + i * LANES), t = quarter_sums(acc + (i + 1) * LANES);
        *(unaligned_pair *)(out + i) += (pair){s[0], t[0]} + (pair){s[1], t[1]};
    }
    for (; i < count; i++) {
        pair s = quarter_sums(acc + i * LANES);
        out[i] += s[0] + s[1];
    }
}

typedef double unaligned_vec __attribute__((vector_size(VBYTES), aligned(8)));

static void dot(ptrdiff_t n, const double *a, const double *b, double *acc)
{
    vec sum[PARTS];
    ptrdiff_t whole = n / LANES * LANES;
    for (int part = 0; part < PARTS; part++)
        sum[part] = load(acc + part * VLEN);
    for (ptrdiff_t i = 0; i < whole; i += LANES)
        for (int part = 0; part < PARTS; part++)
            sum[part] = mul_add(*(const unaligned_vec *)(a + i + part * VLEN),
                                *(const unaligned_vec *)(b + i + part * VLEN), sum[part]);
    for (int part = 0; part < PARTS; part++)
        store(acc + part * VLEN, sum[part]);
    for (ptrdiff_t i = whole; i < n; i++)
        acc[i - whole] = mul_add_1(a[i], b[i], acc[i - whole]);
}

void NAMED(lbfgsb_fill_panel)(Kernels *kernels)
{
    kernels->panel_tdot = panel_tdot;
    kernels->panel_combine = panel_combine;
    kernels->panel_store = panel_store;
    kernels->panel_load = panel_load;
    kernels->panel_gather = panel_gather;
    kernels->packed_gram = packed_gram;
    kernels->lane_sum = lane_sum;
    kernels->dot = dot;
}
