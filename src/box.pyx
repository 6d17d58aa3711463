"""The box l <= x <= u: projection, break points of the projected gradient path, free variables.

The path is x(t) = P(x - t g); variable i reaches its bound at its break point t_i, (4.1) of
Byrd, Lu, Nocedal and Zhu (1995). Break points are never sorted: those up to a limit, usually few,
are collected and kept in a heap, which costs O(log n) for each one that is taken.
"""
from libc.math cimport INFINITY, isfinite
from libc.string cimport memmove, memset

from lbfgsb._core.kernels cimport CHUNK, prefetch
from lbfgsb._core.team cimport carve, chunk_count, run_chunks


cdef void box_place(Box *box, Room *room) noexcept nogil:
    """Take the buffers; simd, team, n and bounded are set before. t is kept for its second use."""
    cdef Py_ssize_t n = box.n
    box.x = <double *>carve(&room.kept, n, sizeof(double))
    box.g = <double *>carve(&room.kept, n, sizeof(double))
    box.d = <double *>carve(&room.kept, n, sizeof(double))
    box.scale, box.path = NULL, box.g
    if box.scaled:
        box.scale = <double *>carve(&room.kept, n, sizeof(double))
        box.path = <double *>carve(&room.kept, n, sizeof(double))
    if not box.bounded:
        return
    box.lower = <double *>carve(&room.kept, n, sizeof(double))
    box.upper = <double *>carve(&room.kept, n, sizeof(double))
    box.t = <double *>carve(&room.kept, n, sizeof(double))
    box.row = <Py_ssize_t *>carve(&room.work, n, sizeof(Py_ssize_t))
    box.found = <Py_ssize_t *>carve(&room.work, chunk_count(n), sizeof(Py_ssize_t))
    box.status = <signed char *>carve(&room.kept, n, 1)


# --- scaled variables ---------------------------------------------------------------------


cdef void box_rescale_rows(Box *box, Py_ssize_t first, Py_ssize_t rows, double *s, double *y,
                           double *g_free, double *t_min) noexcept nogil:
    """Bring s, y and the gradient of the variables that move (rows,) to the scaled variables.

    Sets the path of these rows, and lowers t_min[0] to their least positive break point.
    """
    cdef Py_ssize_t i
    cdef double t
    cdef const double *scale = box.scale + first
    cdef double *path = box.path + first
    for i in range(rows):
        s[i] /= scale[i]
        y[i] *= scale[i]
        g_free[i] *= scale[i]
        path[i] = box.g[first + i] * scale[i] * scale[i]
    if box.bounded:
        for i in range(rows):
            t = break_point(box.x[first + i], path[i], box.lower[first + i], box.upper[first + i])
            t_min[0] = min(t_min[0], t if t > 0 else INFINITY)


cdef void box_set_path(Box *box) noexcept nogil:
    """The path at x and g, as the acceptance of a step sets it."""
    cdef Py_ssize_t i
    if box.scaled:
        for i in range(box.n):
            box.path[i] = box.g[i] * box.scale[i] * box.scale[i]


# --- points -------------------------------------------------------------------------------


cdef void box_clip(Box *box, double *x) noexcept nogil:
    """x = P(x)."""
    cdef Py_ssize_t i
    if box.bounded:
        for i in range(box.n):
            x[i] = min(max(x[i], box.lower[i]), box.upper[i])


cdef void box_trial_rows(const Box *box, double alpha, Py_ssize_t first, Py_ssize_t rows,
                         double *out) noexcept nogil:
    """out (rows,) = x + alpha d from row `first` on, feasible to the last bit."""
    if box.bounded:
        box.simd.trial_box(rows, alpha, box.x + first, box.d + first, box.lower + first,
                           box.upper + first, out)
    else:
        box.simd.trial_free(rows, alpha, box.x + first, box.d + first, out)


cdef void box_prefetch(const Box *box, Py_ssize_t first, Py_ssize_t rows) noexcept nogil:
    """Bring rows of x, g, d and the bounds on their way into the cache."""
    prefetch(box.x + first, rows)
    prefetch(box.g + first, rows)
    if box.scaled:
        prefetch(box.scale + first, rows)
        prefetch(box.path + first, rows)
    prefetch(box.d + first, rows)
    if box.bounded:
        prefetch(box.lower + first, rows)
        prefetch(box.upper + first, rows)


ctypedef struct TrialContext:
    const Box *box
    double alpha
    double *out


cdef void box_trial(Box *box, double alpha, double *out) noexcept nogil:
    """out (n,) = x + alpha d."""
    cdef TrialContext v
    v.box, v.alpha, v.out = box, alpha, out
    run_chunks(box.team, trial_chunk, &v, box.n, 5, 0, box.team.total)


cdef void trial_chunk(void *context, Py_ssize_t first, Py_ssize_t rows, double *partial,
                      double *scratch) noexcept nogil:
    cdef TrialContext *v = <TrialContext *>context
    box_trial_rows(v.box, v.alpha, first, rows, v.out + first)


# --- lists of variables that the chunks make, in the order of the variables ---------------


cdef Py_ssize_t gather_lists(Box *box) noexcept nogil:
    """Close the gaps between the chunks' lists; returns the total length."""
    cdef Py_ssize_t chunk, count = 0
    for chunk in range(chunk_count(box.n)):
        if count != chunk * CHUNK and box.found[chunk] > 0:
            memmove(box.row + count, box.row + chunk * CHUNK,
                    box.found[chunk] * sizeof(Py_ssize_t))
            memmove(box.t + count, box.t + chunk * CHUNK, box.found[chunk] * sizeof(double))
        count += box.found[chunk]
    return count


ctypedef struct ListContext:
    const Box *box
    double t_low
    double t_high


cdef void status_chunk(void *context, Py_ssize_t first, Py_ssize_t rows, double *partial,
                       double *scratch) noexcept nogil:
    cdef ListContext *v = <ListContext *>context
    cdef const Box *box = v.box
    box.found[first // CHUNK] = box.simd.update_status(
        rows, first, v.t_high, box.x + first, box.path + first, box.lower + first,
        box.upper + first, box.status + first, box.row + first)


cdef void break_point_chunk(void *context, Py_ssize_t first, Py_ssize_t rows, double *partial,
                            double *scratch) noexcept nogil:
    cdef ListContext *v = <ListContext *>context
    cdef const Box *box = v.box
    box.found[first // CHUNK] = box.simd.break_points(
        rows, first, v.t_low, v.t_high, box.x + first, box.path + first, box.lower + first,
        box.upper + first, box.t + first, box.row + first)


cdef Py_ssize_t box_update_status(Box *box, double t_fixed) noexcept nogil:
    """Fix the variables whose break point is at most t_fixed, free the others.

    Leaves those that changed sides in `row` and returns their number.
    """
    cdef ListContext v
    cdef Py_ssize_t i, changed
    v.box, v.t_high = box, t_fixed
    run_chunks(box.team, status_chunk, &v, box.n, 5, 0, box.team.total)
    changed = gather_lists(box)
    for i in range(changed):
        box.fixed += 1 if box.status[box.row[i]] != 0 else -1
    return changed


cdef void box_free_all(Box *box) noexcept nogil:
    if box.fixed > 0:
        memset(box.status, 0, box.n)
        box.fixed = 0


# --- the heap of break points -------------------------------------------------------------


cdef void sift_down(Box *box, Py_ssize_t hole) noexcept nogil:
    """Restore the heap below `hole`."""
    cdef double t = box.t[hole]
    cdef Py_ssize_t row = box.row[hole], child = 2 * hole + 1
    while child < box.heap_size:
        if child + 1 < box.heap_size and box.t[child + 1] < box.t[child]:
            child += 1
        if box.t[child] >= t:
            break
        box.t[hole], box.row[hole] = box.t[child], box.row[child]
        hole = child
        child = 2 * hole + 1
    box.t[hole], box.row[hole] = t, row


cdef void box_collect_break_points(Box *box, double t_low, double t_high) noexcept nogil:
    """Make a heap of the break points in (t_low, t_high]."""
    cdef ListContext v
    cdef Py_ssize_t i
    v.box, v.t_low, v.t_high = box, t_low, t_high
    run_chunks(box.team, break_point_chunk, &v, box.n, 4, 0, box.team.total)
    box.heap_size = gather_lists(box)
    for i in range(box.heap_size // 2 - 1, -1, -1):
        sift_down(box, i)


cdef Py_ssize_t box_next_break_point(Box *box, double *t) noexcept nogil:
    """Take the least break point out of the heap: its variable, or -1 if the heap is empty."""
    cdef Py_ssize_t row
    if box.heap_size == 0:
        return -1
    row, t[0] = box.row[0], box.t[0]
    box.heap_size -= 1
    if box.heap_size > 0:
        box.t[0], box.row[0] = box.t[box.heap_size], box.row[box.heap_size]
        sift_down(box, 0)
    return row


# --- checks of what the user gave ---------------------------------------------------------


def all_finite(const double[::1] x):
    """Return whether no element is NaN or infinite."""
    cdef bint finite = True
    cdef Py_ssize_t i
    with nogil:
        for i in range(x.shape[0]):
            finite = finite and isfinite(x[i])
    return finite


def kind_of_box(const double[::1] lower, const double[::1] upper):
    """Return 'bounded', 'unbounded' if no bound is finite, or 'invalid': l <= u fails, also for
    NaN, or l = inf, or u = -inf."""
    cdef bint valid = True, bounded = False
    cdef double low, high
    cdef Py_ssize_t i
    with nogil:
        for i in range(lower.shape[0]):
            low, high = lower[i], upper[i]
            valid = valid and low <= high and low < INFINITY and high > -INFINITY
            bounded = bounded or low > -INFINITY or high < INFINITY
    return ('bounded' if bounded else 'unbounded') if valid else 'invalid'
