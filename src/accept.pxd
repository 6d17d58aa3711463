"""The pass over W that takes a step."""

from lbfgsb._core.box cimport Box
from lbfgsb._core.compact cimport Compact, Curvature
from lbfgsb._core.few_variables cimport FewVariables
from lbfgsb._core.team cimport SUMS, Team


cdef enum:
    # The vectors that a block of W is multiplied with, in the order in which they stand in scratch.
    G_FREE = 0               # the projected gradient, which is -d
    STEP = 1                 # s
    CHANGE = 2               # y
    STEP_FREE = 3            # s and y over the free variables
    CHANGE_FREE = 4
    ALL = 5

cdef enum:
    # What the pass reports: first these sums, then the products, all vectors of a column together.
    G_FREE_SQUARED = SUMS
    PINNED = SUMS + 1
    PRODUCTS = SUMS + 2


cdef bint accept_step(Team *team, Box *box, Compact *B, double alpha, const double *g,
                      const Curvature *curvature) noexcept nogil
cdef bint accept_few(Team *team, Box *box, Compact *B, FewVariables *few, double alpha,
                     const double *g, const Curvature *curvature) noexcept nogil
cdef void accept_nothing(Team *team, Box *box, Compact *B, bint keeps_products) noexcept nogil
