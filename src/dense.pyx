"""Cholesky factors of matrices of at most 2m x 2m, and triangular solves with them.

A = RᵀR with R upper triangular, stored with the reciprocals of its diagonal: in a triangular solve
every division would wait for the one before. Textbook algorithms (Golub and Van Loan, Matrix
Computations, sections 3.1 and 4.2), ordered so that the inner loop runs along a row.
"""
from libc.math cimport fabs, sqrt
from libc.string cimport memcpy

from lbfgsb._core.kernels cimport Kernels


cdef bint factor(const Kernels *simd, double *A, Py_ssize_t n, Py_ssize_t width, Py_ssize_t ld,
                 double *copy, double *error) noexcept nogil:
    """Overwrite [A X] (n, width) with [R R⁻ᵀX]; X begins in column padded(n).

    Unless `copy` (n, ld) is NULL, error[0] is raised to the backward error. Returns False, with A
    spoilt, if A is not positive definite to working precision.
    """
    if copy != NULL:
        memcpy(copy, A, n * ld * sizeof(double))
    if not simd.eliminate(A, n, width, ld):
        return False
    if copy != NULL:
        error[0] = max(error[0], factor_error(A, copy, n, ld))
    return True


cdef double factor_error(const double *R, const double *A, Py_ssize_t n,
                         Py_ssize_t ld) noexcept nogil:
    """max |A - RᵀR| over the upper triangle, entry (i, j) in units of √(Aᵢᵢ Aⱼⱼ).

    The backward error of a Cholesky factorisation is a small multiple of n times the rounding
    unit, however ill-conditioned A is (Higham, Accuracy and Stability, theorem 10.5).
    """
    cdef Py_ssize_t i, j, k
    cdef double s, worst = 0
    for i in range(n):
        for j in range(i, n):
            s = A[i * ld + j]
            for k in range(i):
                s -= R[k * ld + i] * R[k * ld + j]
            # The last product, R_ii R_ij; the diagonal holds reciprocals.
            if i < j:
                s -= R[i * ld + j] / R[i * ld + i]
            else:
                s -= 1 / R[i * ld + i] / R[i * ld + i]
            worst = max(worst, fabs(s) / sqrt(A[i * ld + i]) / sqrt(A[j * ld + j]))
    return worst


cdef void solve_upper(const double *R, Py_ssize_t n, Py_ssize_t ld, double *b) noexcept nogil:
    """b = R⁻¹ b."""
    cdef Py_ssize_t i, j
    cdef double s
    for i in range(n - 1, -1, -1):
        s = b[i]
        for j in range(i + 1, n):
            s -= R[i * ld + j] * b[j]
        b[i] = s * R[i * ld + i]


cdef void solve_upper_transposed(const double *R, Py_ssize_t n, Py_ssize_t ld,
                                 double *b) noexcept nogil:
    """b = R⁻ᵀ b."""
    cdef Py_ssize_t i, j
    cdef double bi
    for i in range(n):
        bi = b[i] * R[i * ld + i]
        b[i] = bi
        for j in range(i + 1, n):
            b[j] -= R[i * ld + j] * bi
