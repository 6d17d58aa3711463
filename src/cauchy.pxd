"""The generalised Cauchy point (floor 3)."""

from lbfgsb._core.box cimport Box
from lbfgsb._core.compact cimport Compact


ctypedef struct CauchyPoint:
    double t                 # x_cauchy = P(x - t g) for the variables with a later break point
    double t_fixed           # the last break point passed: variables up to it sit at their bounds
    Py_ssize_t passed        # how many break points were passed
    double *c                # (2m,) [S Y]ᵀ (x_cauchy - x), interleaved like p
    double *row              # (2m,) a row of [S Y]
    double *product          # (2m,) M times something


cdef void cauchy_place(CauchyPoint *cauchy, Py_ssize_t m, char **cursor) noexcept nogil
cdef void cauchy_search(CauchyPoint *cauchy, Compact *B, Box *box) noexcept nogil
