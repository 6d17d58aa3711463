/* The table of vector kernels, one instance for each instruction set.
 *
 * W = [s_0 y_0 s_1 y_1 ...] is stored in tiles of LANES rows: a tile holds LANES consecutive
 * entries of column 0, then of column 1, and so on, so that one read of W is one sequential
 * stream whatever the number of columns. `ld` is the length of a tile in entries; `cols[c]`
 * is the offset of column c inside a tile. Rows beyond n in the last tile are zero.
 *
 * Reductions keep LANES partial sums, one for each row position in a tile, and add tile after
 * tile; `lane_sum` folds the LANES sums in a fixed order. The result therefore depends on the
 * rows alone, never on how many of them a call was given at once or on the register width.
 */
#ifndef LBFGSB_KERNELS_H
#define LBFGSB_KERNELS_H

#include <stddef.h>

enum {
    LANES = 8,     /* rows of a tile: one cache line, one AVX-512 register */
    BLOCK = 512,   /* rows handled at once: five vectors of a block stay in L1 */
    CHUNK = 8192,  /* rows of one partial result, the unit that threads share out */
    PACK = 64,     /* rows gathered at once for a correction of the Gram matrix */
    FEW = 32,      /* rows of bfgs_matrix and update_diagonal, at most */
    FEW_FREE = 128,    /* rows of two_loop, at most: 16 registers of AVX-512 */
    MAX_RHS = 5    /* vectors that panel_tdot multiplies W' with in one read */
};

/* --- panels of W, one for each type of its entries (kernels_panel.c) --- */

typedef struct {
    ptrdiff_t entry_size;
    /* acc[c][r] = lanes of column c times V_r, r < nrhs, or += unless fresh; V_r starts at
       V + r*BLOCK */
    void (*tdot)(const void *W, ptrdiff_t ld, const ptrdiff_t *cols, ptrdiff_t ncols,
                 ptrdiff_t tiles, const double *V, int nrhs, int fresh, double *acc);
    /* out = sum over c of coef[c] * column c */
    void (*combine)(const void *W, ptrdiff_t ld, const ptrdiff_t *cols, const double *coef,
                    ptrdiff_t ncols, ptrdiff_t tiles, double *out);
    /* column `col` = v in this unit, a power of 2; v becomes what that has been rounded to */
    void (*store)(void *W, ptrdiff_t ld, ptrdiff_t col, ptrdiff_t tiles, double unit, double *v);
    /* v = column `col`, as it stands in W */
    void (*load)(const void *W, ptrdiff_t ld, ptrdiff_t col, ptrdiff_t rows, double *v);
    /* w = the columns of one row */
    void (*row)(const void *W, ptrdiff_t ld, const ptrdiff_t *cols, ptrdiff_t ncols,
                ptrdiff_t row, double *w);
    /* packed[c][j] = column c of row rows[j], j < count <= PACK; zero up to PACK */
    void (*gather)(const void *W, ptrdiff_t ld, const ptrdiff_t *cols, ptrdiff_t ncols,
                   const ptrdiff_t *rows, ptrdiff_t count, double *packed);
} Panel;

typedef struct {
    const char *name;
    Panel float64, float32;

    /* --- sums (kernels_sums.c) --- */

    /* acc[a(a+1)/2 + b] += lanes of packed[a] times packed[b], b <= a */
    void (*packed_gram)(const double *packed, ptrdiff_t ncols, double *acc);
    /* out[i] += the sum of the LANES partial sums acc[i] */
    void (*lane_sum)(const double *acc, ptrdiff_t count, double *out);
    /* acc += lanes of a times b; acc is one group of LANES sums */
    void (*dot)(ptrdiff_t n, const double *a, const double *b, double *acc);

    /* --- few variables (kernels_few.c) --- */

    /* the inner product of two columns */
    double (*product)(const double *a, const double *b, ptrdiff_t ld, ptrdiff_t tiles);
    /* v = H v for the inverse BFGS matrix H of `updates` with pairs, columns s_0 y_0 s_1 y_1 ...,
       at least one, in this order, from the diagonal `first` on; rho[i] = 1 / s_i'y_i, cross[i] =
       s_{i-1}'y_i, H (secant[i] y_i) = s_i; v (tiles, LANES) ends in zeros;
       `alpha` (updates,) is work */
    void (*two_loop)(const double *W, ptrdiff_t ld, const ptrdiff_t *cols,
                     const ptrdiff_t *order, ptrdiff_t updates, ptrdiff_t tiles,
                     const double *rho, const double *cross, const double *secant,
                     const double *first, double *v, double *alpha);
    /* D (tiles, LANES) = the inverse of the diagonal of the BFGS update of D^-1 with the columns s
       and y, scaled before and after so that rho y'Dy = 1 */
    void (*update_diagonal)(const double *s, const double *y, ptrdiff_t ld, ptrdiff_t tiles,
                            double rho, double *D);
    /* B (n, tiles * LANES) = the inverse of that H; 0 if rounding has made it indefinite */
    int (*bfgs_matrix)(const double *W, ptrdiff_t ld, const ptrdiff_t *cols,
                       const ptrdiff_t *order, ptrdiff_t updates, ptrdiff_t n, ptrdiff_t tiles,
                       const double *rho, const double *secant, const double *first,
                       double *B);

    /* --- small matrices (kernels_dense.c); rows start on 64 bytes, widths and ld are multiples of
       LANES --- */

    /* A (n, width): its first n columns hold a symmetric matrix R'R, which becomes R with
       reciprocals on the diagonal; the other columns X become R^-T X. 0 if the matrix is not
       positive definite to working precision */
    int (*eliminate)(double *A, ptrdiff_t n, ptrdiff_t width, ptrdiff_t ld);
    /* C (n, n) += U'U for U (rows, n), the upper triangle */
    void (*add_gram)(const double *U, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld, double *C,
                     ptrdiff_t ldc);

    /* alpha and beta (updates,) such that -H g = gamma (-g - sum of alpha[i] y) + sum of beta[i] s,
       s and y the pair order[i], H as for two_loop with gamma I for `first`; v = [s_0 y_0 ...]'(-g),
       overwritten; gram (2 pairs, ld) = [s_0 y_0 ...]'[s_0 y_0 ...]. v may be read and written, and
       a row read, up to a multiple of LANES */
    void (*two_loop_products)(const double *gram, ptrdiff_t ld, ptrdiff_t pairs,
                              const ptrdiff_t *order, ptrdiff_t updates, const double *rho,
                              const double *secant, double gamma, double *v, double *alpha,
                              double *beta);

    /* --- rows of vectors, with their bounds (kernels_rows.c); no reduction but min and max --- */

    /* out = the point at steplength alpha from x along d */
    void (*trial_free)(ptrdiff_t n, double alpha, const double *x, const double *d, double *out);
    void (*trial_box)(ptrdiff_t n, double alpha, const double *x, const double *d,
                      const double *l, const double *u, double *out);
    /* x, g = the point at alpha and its gradient; s, y = the changes; returns max |g| */
    double (*accept_free)(ptrdiff_t n, double alpha, double *x, const double *d, double *g,
                          const double *g_new, double *s, double *y);
    /* the same, and g_free = g where x may move along -g; *t_min = the least positive break point
       and *pinned grows by the number of variables that cannot move; returns
       max |projected gradient| */
    double (*accept_box)(ptrdiff_t n, double alpha, double *x, const double *d,
                         const double *l, const double *u, double *g, const double *g_new,
                         double *s, double *y, double *g_free, double *t_min,
                         double *pinned);
    /* out = v where the variable is free, else 0 */
    void (*mask)(ptrdiff_t n, const signed char *status, const double *v, double *out);
    /* d = we - g/theta */
    void (*step_free)(ptrdiff_t n, double inv_theta, const double *g, const double *we,
                      double *d);
    /* d = P(x - g/theta + we) - x for free variables (break point beyond t_fixed), bound - x for
       the others; returns the largest feasible multiple of d */
    double (*step_box)(ptrdiff_t n, double inv_theta, double t_fixed, const double *x,
                       const double *g, const double *l, const double *u, const double *we,
                       double *d);
    /* the same without projection: x_cauchy + alpha (x_hat - x_cauchy), x_cauchy at t_cauchy */
    double (*step_truncated)(ptrdiff_t n, double inv_theta, double t_fixed, double t_cauchy,
                             double alpha, const double *x, const double *g, const double *l,
                             const double *u, const double *we, double *d);
    /* the largest alpha <= 1 for which that is feasible */
    double (*subspace_limit)(ptrdiff_t n, double inv_theta, double t_fixed, double t_cauchy,
                             const double *x, const double *g, const double *l, const double *u,
                             const double *we);
    /* status = +1 or -1 for a variable that reaches its bound at t <= t_fixed, else 0; lists the
       rows whose status was zero and is not, or the other way round; returns their number */
    ptrdiff_t (*update_status)(ptrdiff_t n, ptrdiff_t first, double t_fixed, const double *x,
                               const double *g, const double *l, const double *u,
                               signed char *status, ptrdiff_t *changed);
    /* lists the break points in (t_low, t_high] and their rows; returns their number */
    ptrdiff_t (*break_points)(ptrdiff_t n, ptrdiff_t first, double t_low, double t_high,
                              const double *x, const double *g, const double *l,
                              const double *u, double *t, ptrdiff_t *row);
} Kernels;

/* Brings rows of a vector on their way into the second-level cache. A stream of W leaves the
 * processor's own prefetcher little room for the vectors beside it. */
static inline void lbfgsb_prefetch(const double *v, ptrdiff_t rows)
{
    for (ptrdiff_t i = 0; i < rows; i += LANES)
        __builtin_prefetch(v + i, 0, 2);
}

/* The instance in use: the best that the processor has, or what LBFGSB_CPU names. */
const Kernels *lbfgsb_kernels(void);
/* The instances that this build and this processor have, best first, ending in NULL. */
const Kernels *const *lbfgsb_kernels_supported(void);

#endif
