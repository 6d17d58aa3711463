"""Factorisations and triangular solves of at most 2m x 2m (floor 1).

Matrices are row-major with leading dimension `ld`. A factor L holds the reciprocals of its
diagonal: in a triangular solve every division would wait for the one before.
"""

cdef bint cholesky(double *A, Py_ssize_t n, Py_ssize_t ld) noexcept nogil
cdef void solve_lower(const double *L, Py_ssize_t n, Py_ssize_t ld, double *b) noexcept nogil
cdef void solve_lower_transposed(const double *L, Py_ssize_t n, Py_ssize_t ld,
                                 double *b) noexcept nogil
cdef void solve_lower_rows(const double *L, Py_ssize_t n, Py_ssize_t ld, double *B,
                           Py_ssize_t rows, Py_ssize_t ldb) noexcept nogil
cdef double factor_error(const double *L, const double *A, Py_ssize_t n,
                         Py_ssize_t ld) noexcept nogil
