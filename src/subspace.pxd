"""Subspace minimisation."""

from lbfgsb._core.box cimport Box
from lbfgsb._core.cauchy cimport CauchyPoint
from lbfgsb._core.compact cimport Compact
from lbfgsb._core.team cimport Room


ctypedef struct Subspace:
    double *e                # (2m,) the minimiser is x - g/theta + [S Y] e on the free variables
    const double *whole      # (n,) or NULL; the minimiser is x + whole there
    double *h                # (2m,) work
    # u is the largest number of updates of B.
    Py_ssize_t ld            # leading dimension of P, twice u rounded up to LANES
    double *P                # (u, ld) upper factor of D C⁻¹ + Y_Fᵀ Y_F / theta, then U = R_P⁻ᵀ Qᵀ
    double *C                # (u, ld_m) upper factor of T + Q P⁻¹ Qᵀ = T + UᵀU
    double *a                # (u,) work
    double *b                # (u,) work
    double *work             # (u, ld) a matrix before it is factored, for the check
    double slope             # gᵀd
    double squared           # dᵀd in scaled variables, if there are no pairs
    double limit             # the largest feasible multiple of d


cdef void subspace_place(Subspace *sub, Py_ssize_t m, Py_ssize_t updates, Room *room) noexcept nogil
cdef bint subspace_coefficients(Subspace *sub, Compact *B, const CauchyPoint *cauchy,
                                bint check, double *error) noexcept nogil
cdef void subspace_truncated_step(Subspace *sub, Compact *B, Box *box, const CauchyPoint *cauchy,
                                  double *out) noexcept nogil
cdef void subspace_step(Subspace *sub, Compact *B, Box *box, const CauchyPoint *cauchy,
                        double *out) noexcept nogil
