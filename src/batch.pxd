"""Many problems at once."""

from lbfgsb._core.options cimport CheckedOptions
from lbfgsb._core.solver cimport SolverState


cdef class Lockstep:
    cdef readonly Py_ssize_t count       # problems
    cdef readonly Py_ssize_t n           # variables of each
    cdef readonly Py_ssize_t running     # problems that are not over
    cdef readonly Py_ssize_t rounds      # times that f and g were told
    cdef Py_ssize_t parts                # of the batch; a thread works on one of them
    cdef SolverState *states             # (count,)
    cdef char *block                     # the one allocation; all buffers are in it
    cdef Py_ssize_t work                 # bytes for the work of a thread, which come first in it
    cdef char **kept                     # (count,) where that of each problem begins
    cdef Py_ssize_t *index               # (count,) the running problems, in their order
    cdef Py_ssize_t *first               # (parts + 1,) where each part begins in `index`
    cdef object points                   # (running, n) where f and g are wanted; None: none yet

    cdef int allocate(self, const double[:, ::1] x0, lower, upper, CheckedOptions options,
                      x_scale) except -1
    cdef int threads(self) noexcept nogil
    cdef void advance(self, Py_ssize_t part, double *points) noexcept nogil
    cdef void take(self, Py_ssize_t part, const double *F, const double *G) noexcept nogil
    cdef void drop_ended(self, double *points) noexcept nogil
