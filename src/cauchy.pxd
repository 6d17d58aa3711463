"""The generalised Cauchy point."""

from lbfgsb._core.box cimport Box
from lbfgsb._core.compact cimport Compact
from lbfgsb._core.team cimport Room


ctypedef struct CauchyPoint:
    bint known               # else no break point lies before it, and that is all that is known
    double t                 # x_cauchy = P(x - t g) for the variables with a later break point
    double t_fixed           # the last break point passed: variables up to it sit at their bounds
    Py_ssize_t passed        # how many break points were passed
    double *c                # (2m,) [S Y]ᵀ (x_cauchy - x), interleaved like p
    double *row              # (2m,) a row of [S Y]
    double *product          # (2m,) M times something


cdef void cauchy_place(CauchyPoint *cauchy, Py_ssize_t m, Room *room) noexcept nogil
cdef bint cauchy_before_break_points(CauchyPoint *cauchy, const Compact *B, const Box *box,
                                     double *e) noexcept nogil
cdef void cauchy_search(CauchyPoint *cauchy, Compact *B, Box *box) noexcept nogil
