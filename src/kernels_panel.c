/* Panel kernels: products with W = [S Y] stored in tiles (see kernels.h).
 *
 * Compiled once for each instruction set, with LEVEL and VBYTES (the register width in bytes)
 * defined, and each type of W's entries, with ENTRY and its name TYPE. All arithmetic is in double:
 * entries are converted as they are loaded. Why C: Cython has no vector type, and the loops must
 * keep their partial sums in registers over four tiles to run at the speed of the cache. One read of
 * W in double, 20 columns, one vector, in the cache of a 2024 x86-64 server core, in microseconds:
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

typedef ENTRY entry;
typedef entry entries __attribute__((vector_size(VLEN * sizeof(entry))));

/* Entries of W as doubles, in a register. */
INLINE vec load_entries(const entry *w)
{
    return __builtin_convertvector(*(const entries *)w, vec);
}

enum { GROUP = 4 };           /* tiles held in registers */
enum { COLUMNS_OF_LINE = 8 / sizeof(entry) };    /* columns of a tile in a cache line */
enum { AHEAD = 96 * 1024 };   /* bytes of W that are on their way into the second-level cache */

/* How far ahead W is prefetched, in entries: whole tiles, at least one group of them. */
INLINE ptrdiff_t distance(ptrdiff_t ld)
{
    ptrdiff_t tiles = AHEAD / (ptrdiff_t)sizeof(entry) / ld;
    return (tiles > GROUP ? tiles : GROUP) * ld;
}

/* Neighbours in the list of columns share a line: s and y of a pair. */
INLINE int begins_line(ptrdiff_t c)
{
    return c % COLUMNS_OF_LINE == 0;
}

/* `count` tiles (a constant) of all columns times R vectors. One register of each vector and
 * tile is held while the columns stream past; a register is a part of a tile. */
INLINE void tdot_group(const entry *W, ptrdiff_t ld, const ptrdiff_t *cols, ptrdiff_t ncols,
                       const double *V, double *acc, const int R, const int count,
                       ptrdiff_t ahead, int fresh)
{
    for (int part = 0; part < PARTS; part++) {
        vec v[MAX_RHS][GROUP];
        for (int r = 0; r < R; r++)
            for (int t = 0; t < count; t++)
                v[r][t] = load(V + r * BLOCK + t * LANES + part * VLEN);
        for (ptrdiff_t c = 0; c < ncols; c++) {
            const entry *w = W + cols[c] + part * VLEN;
            double *a = acc + c * R * LANES + part * VLEN;
            vec sum[MAX_RHS];
            for (int r = 0; r < R; r++)
                sum[r] = fresh ? (vec){0} : load(a + r * LANES);
            for (int t = 0; t < count; t++) {
                vec wt = load_entries(w + t * ld);
                if (part == 0 && ahead && begins_line(c))
                    __builtin_prefetch(w + t * ld + ahead, 0, 2);
                for (int r = 0; r < R; r++)
                    sum[r] = mul_add(wt, v[r][t], sum[r]);
            }
            for (int r = 0; r < R; r++)
                store(a + r * LANES, sum[r]);
        }
    }
}

INLINE void tdot(const entry *W, ptrdiff_t ld, const ptrdiff_t *cols, ptrdiff_t ncols,
                 ptrdiff_t tiles, const double *V, double *acc, const int R, int fresh)
{
    ptrdiff_t t = 0, ahead = distance(ld);
    for (; t + GROUP <= tiles; t += GROUP, fresh = 0)
        tdot_group(W + t * ld, ld, cols, ncols, V + t * LANES, acc, R, GROUP, ahead, fresh);
    for (; t < tiles; t++, fresh = 0)
        tdot_group(W + t * ld, ld, cols, ncols, V + t * LANES, acc, R, 1, 0, fresh);
}

static void panel_tdot(const void *W, ptrdiff_t ld, const ptrdiff_t *cols, ptrdiff_t ncols,
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

INLINE void combine_group(const entry *W, ptrdiff_t ld, const ptrdiff_t *cols,
                          const double *coef, ptrdiff_t ncols, double *out, const int count,
                          ptrdiff_t ahead)
{
    for (int part = 0; part < PARTS; part++) {
        vec sum[GROUP] = {{0}};
        for (ptrdiff_t c = 0; c < ncols; c++) {
            const entry *w = W + cols[c] + part * VLEN;
            vec e = fill(coef[c]);
            for (int t = 0; t < count; t++) {
                if (part == 0 && ahead && begins_line(c))
                    __builtin_prefetch(w + t * ld + ahead, 0, 2);
                sum[t] = mul_add(load_entries(w + t * ld), e, sum[t]);
            }
        }
        for (int t = 0; t < count; t++)
            store(out + t * LANES + part * VLEN, sum[t]);
    }
}

static void panel_combine(const void *panel, ptrdiff_t ld, const ptrdiff_t *cols,
                          const double *coef, ptrdiff_t ncols, ptrdiff_t tiles, double *out)
{
    const entry *W = panel;
    ptrdiff_t t = 0, ahead = distance(ld);
    for (; t + GROUP <= tiles; t += GROUP)
        combine_group(W + t * ld, ld, cols, coef, ncols, out + t * LANES, GROUP, ahead);
    for (; t < tiles; t++)
        combine_group(W + t * ld, ld, cols, coef, ncols, out + t * LANES, 1, 0);
}

static void panel_store(void *panel, ptrdiff_t ld, ptrdiff_t col, ptrdiff_t tiles, double unit,
                        double *v)
{
    double inverse = 1 / unit;
    for (ptrdiff_t t = 0; t < tiles; t++) {
        entry *w = (entry *)panel + t * ld + col;
        if (sizeof(entry) == sizeof(double)) {    /* its unit is 1 */
            memcpy(w, v + t * LANES, LANES * sizeof(double));
            continue;
        }
        for (int i = 0; i < LANES; i++) {
            w[i] = (entry)(v[t * LANES + i] * inverse);
            v[t * LANES + i] = w[i] * unit;
        }
    }
}

static void panel_load(const void *panel, ptrdiff_t ld, ptrdiff_t col, ptrdiff_t rows, double *v)
{
    const entry *W = panel;
    for (ptrdiff_t i = 0; i < rows; i++)
        v[i] = W[i / LANES * ld + col + i % LANES];
}

static void panel_row(const void *panel, ptrdiff_t ld, const ptrdiff_t *cols, ptrdiff_t ncols,
                      ptrdiff_t row, double *w)
{
    const entry *first = (const entry *)panel + row / LANES * ld + row % LANES;
    for (ptrdiff_t c = 0; c < ncols; c++)
        w[c] = first[cols[c]];
}

static void panel_gather(const void *panel, ptrdiff_t ld, const ptrdiff_t *cols, ptrdiff_t ncols,
                         const ptrdiff_t *rows, ptrdiff_t count, double *packed)
{
    for (ptrdiff_t j = 0; j < count; j++) {
        const entry *w = (const entry *)panel + rows[j] / LANES * ld + rows[j] % LANES;
        for (ptrdiff_t c = 0; c < ncols; c++)
            packed[c * PACK + j] = w[cols[c]];
    }
    for (ptrdiff_t c = 0; c < ncols; c++)
        for (ptrdiff_t j = count; j < PACK; j++)
            packed[c * PACK + j] = 0.0;
}

void NAMED_FOR(lbfgsb_fill_panel, TYPE)(Kernels *kernels)
{
    kernels->TYPE = (Panel){sizeof(entry), panel_tdot, panel_combine, panel_store, panel_load,
                            panel_row, panel_gather};
}
