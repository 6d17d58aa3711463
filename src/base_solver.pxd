"""The state machine for Python."""

from lbfgsb._core.guard cimport Guard
from lbfgsb._core.solver cimport SolverState


cdef enum:
    NOBODY = 0    # no thread

cdef object failure_of(const SolverState *s)


cdef class BaseSolver:
    cdef SolverState s
    cdef Guard guard
    cdef unsigned long asker           # the thread that waits for f and g, or NOBODY
    cdef readonly Py_ssize_t n
    cdef public object _stop_reason    # a str: why the user stopped it, if he said so
    cdef public object _differences    # a str: by which differences the gradient comes, if so
    cdef object allocate               # makes `memory`; None: the core's own allocation
    cdef object memory                 # what the state is in, if not that
    cdef object __weakref__

    cdef bint create(self, bint bounded, bint scaled) except -1
    cdef object vector(self, double **v)
    cdef bint tell(self, double f, const double[::1] g) except -1
    cdef int advance(self) except -1
    cdef int set_maxcor(self, Py_ssize_t maxcor) except -1
    cdef object kept(self, double **v, bint copied)
    cdef dict kept_pairs(self, bint copied=*)
    cdef object columns(self, Py_ssize_t offset)
    cdef dict snapshot(self, bint copied=*)
    cdef object first_matrix(self)
    cdef int set_pairs(self, S, Y, const double[::1] secant,
                       const double[:, ::1] units) except -1
    cdef object _square(self, const double *gram)
    cdef int _set_square(self, double *gram, values) except -1
    cdef int _set_vector(self, double *v, values) except -1
