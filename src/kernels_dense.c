/* Dense kernels: factorisations of matrices of at most 2m x 2m, row by row.
 *
 * Compiled once for each instruction set with LEVEL and VBYTES defined. Why C: a row of a factor
 * is a sum of earlier rows, and the sum must stay in registers. Not LAPACK: at this size a call
 * costs more than the work, and a BLAS may wake a pool of threads.
 *
 * Rows begin on a boundary of 64 bytes and are padded with zeros to a multiple of LANES; only
 * the upper triangle of a symmetric matrix is read, the rest may be overwritten. An entry is the
 * same chain of multiply-adds whatever the register width.
 */
#include "kernels_vector.h"

enum { WIDE = 4 };    /* registers of a row held at once */

INLINE ptrdiff_t register_of(ptrdiff_t column) { return column / VLEN * VLEN; }

/* `count` (a constant) registers of row += sign * sum over i < rows of A[i][pick] * A[i][...] */
INLINE void add_rows(const double *A, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t pick,
                     ptrdiff_t column, double *row, const double sign, const int count)
{
    vec sum[WIDE];
    for (int r = 0; r < count; r++)
        sum[r] = load(row + column + r * VLEN);
    for (ptrdiff_t i = 0; i < rows; i++) {
        vec factor = fill(sign * A[i * ld + pick]);
        for (int r = 0; r < count; r++)
            sum[r] = mul_add(factor, load(A + i * ld + column + r * VLEN), sum[r]);
    }
    for (int r = 0; r < count; r++)
        store(row + column + r * VLEN, sum[r]);
}

/* The same from the register of column `pick` to `width`. */
INLINE void add_multiples(const double *A, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t pick,
                          ptrdiff_t width, double *row, const double sign)
{
    ptrdiff_t c = register_of(pick);
    for (; c + WIDE * VLEN <= width; c += WIDE * VLEN)
        add_rows(A, ld, rows, pick, c, row, sign, WIDE);
    for (; c < width; c += VLEN)
        add_rows(A, ld, rows, pick, c, row, sign, 1);
}

static int eliminate(double *A, ptrdiff_t n, ptrdiff_t width, ptrdiff_t ld)
{
    for (ptrdiff_t j = 0; j < n; j++) {
        double *row = A + j * ld;
        add_multiples(A, ld, j, j, width, row, -1.0);
        double pivot = row[j];
        if (!(pivot > 0 && pivot < __builtin_inf()))
            return 0;
        double inverse = 1 / __builtin_sqrt(pivot);
        for (ptrdiff_t c = register_of(j); c < width; c += VLEN)
            store(row + c, load(row + c) * fill(inverse));
        row[j] = inverse;
    }
    return 1;
}

static void add_gram(const double *U, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld, double *C,
                     ptrdiff_t ldc)
{
    for (ptrdiff_t j = 0; j < n; j++)
        add_multiples(U, ld, rows, j, n, C + j * ldc, 1.0);
}

/* v += a times a row */
INLINE void add_row(ptrdiff_t count, double a, const double *row, double *v)
{
    for (ptrdiff_t j = 0; j < count; j += VLEN)
        store(v + j, mul_add(fill(a), *(const unaligned_vec *)(row + j), load(v + j)));
}

/* The two-loop recursion of kernels_few.c, with the vector known by its inner products alone: a
 * multiple of y_i or s_i is added to it by adding that of a row of the Gram matrix. An inner product
 * that is needed next is changed first. */
static void two_loop_products(const double *gram, ptrdiff_t ld, ptrdiff_t pairs,
                              const ptrdiff_t *order, ptrdiff_t updates, const double *rho,
                              const double *secant, double gamma, double *v, double *alpha,
                              double *beta)
{
    const ptrdiff_t last = updates - 1;
    double next = v[2 * order[last]];
    for (ptrdiff_t i = last; i >= 0; i--) {
        const double *row = gram + (2 * order[i] + 1) * ld;
        alpha[i] = rho[order[i]] * next;
        if (i > 0)
            next = mul_add_1(-alpha[i], row[2 * order[i - 1]], v[2 * order[i - 1]]);
        add_row(2 * pairs, -alpha[i], row, v);
    }
    for (ptrdiff_t j = 0; j < 2 * pairs; j += VLEN)
        store(v + j, gamma * load(v + j));
    next = v[2 * order[0] + 1];
    for (ptrdiff_t i = 0; i <= last; i++) {
        const double *row = gram + 2 * order[i] * ld;
        beta[i] = alpha[i] / secant[order[i]] - rho[order[i]] * next;
        if (i < last)
            next = mul_add_1(beta[i], row[2 * order[i + 1] + 1], v[2 * order[i + 1] + 1]);
        add_row(2 * pairs, beta[i], row, v);
    }
}

void NAMED(lbfgsb_fill_dense)(Kernels *kernels)
{
    kernels->eliminate = eliminate;
    kernels->add_gram = add_gram;
    kernels->two_loop_products = two_loop_products;
}
