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

void NAMED(lbfgsb_fill_dense)(Kernels *kernels)
{
    kernels->eliminate = eliminate;
    kernels->add_gram = add_gram;
}
