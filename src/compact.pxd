"""The compact limited-memory matrix B = theta I - W M Wᵀ."""

from lbfgsb._core.kernels cimport LANES, Kernels, Panel
from lbfgsb._core.team cimport Room, Team


ctypedef struct Compact:
    const Kernels *simd
    Team *team
    Py_ssize_t n             # variables
    Py_ssize_t tiles         # ceil(n / LANES)
    Py_ssize_t m             # pairs kept at most
    Py_ssize_t k             # pairs held
    Py_ssize_t extra         # of which so many of the newest, at most, update B twice: see
    #                          extra_updates
    Py_ssize_t updates       # hence so many updates of B
    Py_ssize_t *order        # (m + min(extra, m),) the pair of each, in the order of the updates
    double theta             # c yᵀy / sᵀy of the newest pair, 1 without pairs
    double *rho              # (m + 1,) 1 / sᵀy of each pair held, oldest first
    double *secant           # (m + 1,) its factor c: B s = c y
    const Panel *panel       # the kernels for the type of W's entries
    bint narrow              # which is float32, and each column has a unit of its own
    Py_ssize_t tile_length   # entries of a tile of W: 2 (m + 1) LANES
    char *W                  # tiles; columns s_0 y_0 s_1 y_1 ... in any order, see `columns`
    double *unit             # (2m + 2,) the power of 2 that s_i, y_i stand in W in multiples of
    Py_ssize_t *columns      # (2m + 2,) offset in a tile of s_i, y_i, oldest first, then of the
    #                          candidate pair's, which has the place after the pairs held
    Py_ssize_t ld            # leading dimension of the Gram matrices, 2m + 2
    # For few variables what follows has no place: see few_variables.pyx.
    double *gram             # (ld, ld) WᵀW, rows and columns s_0 y_0 s_1 y_1 ..., oldest first
    double *gram_free        # the same over the variables free at x_cauchy
    double *p                # (ld,) Wᵀ d for the projected steepest descent direction d
    # u is the largest number of updates.
    Py_ssize_t ld_m          # leading dimension of the next three, u rounded up to LANES
    double *J                # (u, ld_m) upper, JᵀJ = theta SᵀS + L C D⁻¹ Lᵀ
    double *root             # (u, ld_m) (C D⁻¹)^1/2 Lᵀ, strictly upper
    double *work             # (u + 1, ld_m)
    double *scale            # (u,) the diagonal of (C D⁻¹)^1/2
    double *v                # (2m,) Wᵀ times what the two-loop recursion has made of -g


# What is known of f along the step that makes a pair.
ctypedef struct Curvature:
    double least             # sᵀy must be greater for the pair to be taken
    double mean              # sᵀy by the slopes at the ends of the step
    double decrease          # of f, by the slope at the beginning of the step: -sᵀg
    double change            # what f adds to sᵀy at the end of the step; 0: nothing is known


cdef void compact_place(Compact *B, bint few, Room *room) noexcept nogil
cdef Py_ssize_t extra_updates(const double *secant, Py_ssize_t k, Py_ssize_t most) noexcept nogil
cdef Py_ssize_t most_updates(const Compact *B) noexcept nogil
cdef void compact_reset(Compact *B) noexcept nogil
cdef bint compact_take_candidate(Compact *B, const double *products, Py_ssize_t stride,
                                 bint restricted, const Curvature *curvature) noexcept nogil
cdef bint compact_take_candidate_alone(Compact *B, double s_y, double y_y,
                                       const Curvature *curvature) noexcept nogil
cdef bint compact_factor(Compact *B, bint check, double *error) noexcept nogil
cdef void compact_multiply_M(const Compact *B, double *v) noexcept nogil
cdef void compact_sum_updates(const Compact *B, const double *y, const double *s,
                              double *v) noexcept nogil
cdef void compact_newton_coefficients(const Compact *B, double *e) noexcept nogil
cdef void compact_row(const Compact *B, Py_ssize_t row, double *w) noexcept nogil
cdef void compact_correct_free(Compact *B, const signed char *status, Py_ssize_t fixed,
                               bint was_all_free, Py_ssize_t changed,
                               Py_ssize_t *rows) noexcept nogil
cdef void compact_set_pair(Compact *B, Py_ssize_t i, const double *s, const double *y,
                           const double *units, double secant) noexcept nogil
cdef void compact_apply_units(const Compact *B, double *products, const double *unit,
                              Py_ssize_t count, Py_ssize_t stride) noexcept nogil
cdef double power_of_two(double size) noexcept nogil
cdef void compact_get_column(const Compact *B, Py_ssize_t column, double *v) noexcept nogil


cdef inline char *tiles_from(const Compact *B, Py_ssize_t row) noexcept nogil:
    """The tiles of W from that of `row` on."""
    return B.W + row // LANES * B.tile_length * B.panel.entry_size


cdef inline void compact_store_pair(const Compact *B, char *W, Py_ssize_t i, Py_ssize_t tiles,
                                    double *s, double *y) noexcept nogil:
    """Store rows of pair i in these tiles of W; s and y become what they have been rounded to."""
    B.panel.store(W, B.tile_length, B.columns[2 * i], tiles, B.unit[2 * i], s)
    B.panel.store(W, B.tile_length, B.columns[2 * i + 1], tiles, B.unit[2 * i + 1], y)


# s_iᵀs_j, s_iᵀy_j and y_iᵀy_j in a Gram matrix of leading dimension ld.
cdef inline double ss(const double *gram, Py_ssize_t ld, Py_ssize_t i,
                      Py_ssize_t j) noexcept nogil:
    return gram[2 * i * ld + 2 * j]


cdef inline double sy(const double *gram, Py_ssize_t ld, Py_ssize_t i,
                      Py_ssize_t j) noexcept nogil:
    return gram[2 * i * ld + 2 * j + 1]


cdef inline double yy(const double *gram, Py_ssize_t ld, Py_ssize_t i,
                      Py_ssize_t j) noexcept nogil:
    return gram[(2 * i + 1) * ld + 2 * j + 1]
