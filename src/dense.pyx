# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, freethreading_compatible=True
"""Factorisations and triangular solves of at most 2m x 2m.

Textbook algorithms (Golub and Van Loan, Matrix Computations, sections 3.1 and 4.2), ordered so
that the inner loop runs along a row. Not LAPACK: at this size a call costs more than the work,
and a BLAS may wake a pool of threads.
"""
from libc.math cimport INFINITY, fabs, sqrt

import numpy as np


cdef bint cholesky(double *A, Py_ssize_t n, Py_ssize_t ld) noexcept nogil:
    """Overwrite the lower triangle of A with L, A = L Lᵀ, the diagonal with 1 / Lᵢᵢ.

    Returns False, with A spoilt, if A is not positive definite to working precision.
    """
    cdef Py_ssize_t i, j, k
    cdef double s, inverse
    for j in range(n):
        s = A[j * ld + j]
        for k in range(j):
            s -= A[j * ld + k] * A[j * ld + k]
        if not 0 < s < INFINITY:
            return False
        inverse = 1 / sqrt(s)
        A[j * ld + j] = inverse
        for i in range(j + 1, n):
            s = A[i * ld + j]
            for k in range(j):
                s -= A[i * ld + k] * A[j * ld + k]
            A[i * ld + j] = s * inverse
    return True


cdef void solve_lower(const double *L, Py_ssize_t n, Py_ssize_t ld, double *b) noexcept nogil:
    """b = L⁻¹ b."""
    cdef Py_ssize_t i, j
    cdef double s
    for i in range(n):
        s = b[i]
        for j in range(i):
            s -= L[i * ld + j] * b[j]
        b[i] = s * L[i * ld + i]


cdef void solve_lower_transposed(const double *L, Py_ssize_t n, Py_ssize_t ld,
                                 double *b) noexcept nogil:
    """b = L⁻ᵀ b."""
    cdef Py_ssize_t i, j
    cdef double bi
    for i in range(n - 1, -1, -1):
        bi = b[i] * L[i * ld + i]
        b[i] = bi
        for j in range(i):
            b[j] -= L[i * ld + j] * bi


cdef void solve_lower_rows(const double *L, Py_ssize_t n, Py_ssize_t ld, double *B,
                           Py_ssize_t rows, Py_ssize_t ldb) noexcept nogil:
    """Replace each of the first `rows` rows b of B by L⁻¹ b, all of them in step."""
    cdef Py_ssize_t i, j, r
    cdef double s
    cdef double *b
    for i in range(n):
        for r in range(rows):
            b = B + r * ldb
            s = b[i]
            for j in range(i):
                s -= L[i * ld + j] * b[j]
            b[i] = s * L[i * ld + i]


cdef double factor_error(const double *L, const double *A, Py_ssize_t n,
                         Py_ssize_t ld) noexcept nogil:
    """max |A - L Lᵀ| over the lower triangle, entry (i, j) in units of √(Aᵢᵢ Aⱼⱼ).

    The backward error of a Cholesky factorisation is a small multiple of n times the rounding
    unit, however ill-conditioned A is (Higham, Accuracy and Stability, theorem 10.5).
    """
    cdef Py_ssize_t i, j, k
    cdef double s, worst = 0
    for i in range(n):
        for j in range(i + 1):
            s = A[i * ld + j]
            for k in range(j):
                s -= L[i * ld + k] * L[j * ld + k]
            # The last product, L_ij L_jj; the diagonal holds reciprocals.
            if j < i:
                s -= L[i * ld + j] / L[j * ld + j]
            else:
                s -= 1 / L[i * ld + i] / L[i * ld + i]
            worst = max(worst, fabs(s) / sqrt(A[i * ld + i]) / sqrt(A[j * ld + j]))
    return worst


# --- for the tests ------------------------------------------------------------------------


def cholesky_factor(A):
    """Return L with A = L Lᵀ, or None if A is not positive definite (for the tests)."""
    cdef double[:, ::1] L = np.array(A, dtype=np.float64, order='C')
    if L.shape[0] and not cholesky(&L[0, 0], L.shape[0], L.shape[1]):
        return None
    factor = np.tril(L)
    np.fill_diagonal(factor, 1 / np.diagonal(factor))
    return factor


def triangular_solve(L, b, transposed=False):
    """Return L⁻¹ b, or L⁻ᵀ b (for the tests)."""
    copy = np.array(L, dtype=np.float64, order='C')
    np.fill_diagonal(copy, 1 / np.diagonal(copy))
    cdef double[:, ::1] factor = copy
    cdef double[::1] x = np.array(b, dtype=np.float64)
    if transposed:
        solve_lower_transposed(&factor[0, 0], factor.shape[0], factor.shape[1], &x[0])
    else:
        solve_lower(&factor[0, 0], factor.shape[0], factor.shape[1], &x[0])
    return np.asarray(x)
