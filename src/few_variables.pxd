"""The model of f for few variables."""

from lbfgsb._core.box cimport Box
from lbfgsb._core.cauchy cimport CauchyPoint
from lbfgsb._core.compact cimport Compact
from lbfgsb._core.team cimport Room


ctypedef struct FewVariables:
    bint used                # else the buffers are not there
    bint diagonal            # the first matrix is no multiple of I
    double *first            # (n,) the diagonal of the matrix that H is updated from; ones
    #                          up to whole tiles
    double *cross            # (m + 1,) sᵀy of each pair's y with the s of the pair before it
    double *alpha            # (updates of B,) work of the two-loop recursion
    double *step             # (n,) from x to the minimiser of the model; zeros up to whole tiles
    # Without bounds what follows has no place.
    double *t                # (n,) break points
    double *d                # (n,) direction of the path, zero for variables at their bounds
    double *z                # (n,) x_cauchy - x, on the way to x_cauchy
    double *product          # (n,) B times something
    Py_ssize_t ld            # leading dimension of B, n rounded up to whole tiles
    double *B                # (n, ld)
    Py_ssize_t ld_R          # leading dimension of R
    double *R                # (n, ld_R) upper factor of B over the free variables, and R⁻ᵀ times
    #                          the right hand side
    double *work             # (n, ld_R) B over the free variables, for the check
    Py_ssize_t *free         # (n,) the free variables


cdef void few_place(FewVariables *few, const Compact *B, bint bounded, Room *room) noexcept nogil
cdef void few_take_pair(FewVariables *few, const Compact *B, bint was_full) noexcept nogil
cdef void few_set_pair(FewVariables *few, const Compact *B) noexcept nogil
cdef bint few_cauchy_point(FewVariables *few, const Compact *B, const Box *box,
                           CauchyPoint *cauchy) noexcept nogil
cdef bint few_minimiser(FewVariables *few, const Compact *B, Box *box, CauchyPoint *cauchy,
                        bint check, double *error) noexcept nogil
