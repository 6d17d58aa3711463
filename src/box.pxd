"""The box, the point in it, and the way out of that point."""

from libc.math cimport INFINITY

from lbfgsb._core.kernels cimport Kernels
from lbfgsb._core.team cimport Room, Team


ctypedef struct Box:
    const Kernels *simd
    Team *team
    Py_ssize_t n
    bint bounded             # some bound is finite; else lower ... row are not there
    bint boxed               # every bound is finite
    bint scaled              # the algorithm works on x / scale; else scale is NULL
    double *scale            # (n,) typical sizes of the variables
    double *path             # (n,) scale² g: the path of x is x - t path; g itself if not scaled
    double *x                # (n,) the last accepted iterate
    double *g                # (n,) its gradient
    double *d                # (n,) the search direction
    double *lower            # (n,)
    double *upper            # (n,)
    double norm              # inf-norm of the projected gradient at x
    double g_free_squared    # (scale g)² summed over the variables that may move, if bounded
    double t_min             # the least positive break point
    Py_ssize_t pinned        # variables that cannot move along -g
    signed char *status      # (n,) at x_cauchy: 0 free, -1 at the lower bound, +1 at the upper
    Py_ssize_t fixed         # how many are not free there
    double *t                # (n,) break points, in the part of the heap that is in use
    Py_ssize_t *row          # (n,) the variables they belong to; a work list elsewhere
    Py_ssize_t heap_size
    Py_ssize_t *found        # (chunks,) how many rows each chunk has listed


cdef inline double break_point(double x, double g, double lower, double upper) noexcept nogil:
    """The t at which x - t g reaches a bound, to the bits of the vector kernels.

    g is the component of the path where variables are scaled.
    """
    return (x - lower if g > 0 else x - upper) / g if g != 0 else INFINITY


cdef inline double scaled_gradient(const Box *box, Py_ssize_t i) noexcept nogil:
    """The derivative of f with respect to x_i / scale_i."""
    return box.g[i] * box.scale[i] if box.scaled else box.g[i]


cdef inline double scaled_change(const Box *box, Py_ssize_t i, double change) noexcept nogil:
    """A change of x_i as one of x_i / scale_i."""
    return change / box.scale[i] if box.scaled else change


cdef void box_place(Box *box, Room *room) noexcept nogil
cdef void box_rescale_rows(Box *box, Py_ssize_t first, Py_ssize_t rows, double *s, double *y,
                           double *g_free, double *t_min) noexcept nogil
cdef void box_set_path(Box *box) noexcept nogil
cdef void box_clip(Box *box, double *x) noexcept nogil
cdef void box_trial_rows(const Box *box, double alpha, Py_ssize_t first, Py_ssize_t rows,
                         double *out) noexcept nogil
cdef void box_prefetch(const Box *box, Py_ssize_t first, Py_ssize_t rows) noexcept nogil
cdef void box_trial(Box *box, double alpha, double *out) noexcept nogil
cdef Py_ssize_t box_update_status(Box *box, double t_fixed) noexcept nogil
cdef void box_free_all(Box *box) noexcept nogil
cdef void box_collect_break_points(Box *box, double t_low, double t_high) noexcept nogil
cdef Py_ssize_t box_next_break_point(Box *box, double *t) noexcept nogil
