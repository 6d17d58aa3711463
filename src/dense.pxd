"""Cholesky factors of at most 2m x 2m, and solves with them."""

from lbfgsb._core.kernels cimport Kernels


cdef bint factor(const Kernels *simd, double *A, Py_ssize_t n, Py_ssize_t width, Py_ssize_t ld,
                 double *copy, double *error) noexcept nogil
cdef void solve_upper(const double *R, Py_ssize_t n, Py_ssize_t ld, double *b) noexcept nogil
cdef void solve_upper_transposed(const double *R, Py_ssize_t n, Py_ssize_t ld,
                                 double *b) noexcept nogil
