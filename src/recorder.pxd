"""What the iterates of a run were, kept as numbers."""

from lbfgsb._core.base_solver cimport BaseSolver


cdef class Table:
    cdef readonly object dtype
    cdef readonly Py_ssize_t width
    cdef readonly Py_ssize_t length     # rows there are
    cdef object array                   # (capacity, width)
    cdef Py_ssize_t capacity
    cdef Py_ssize_t row_size            # in bytes
    cdef char *data                     # of the array

    cdef char *new_row(self) except NULL


cdef class Recorder:
    cdef readonly Py_ssize_t x_every
    cdef readonly Py_ssize_t bounds_every
    cdef Table numbers                  # one row an iterate, see the enum in recorder.pyx
    cdef Table points                   # nit and x
    cdef Table status_nit, status       # nit; -1, 0, 1 or 2 for each variable
    cdef double since                   # the clock when `time` was 0

    cdef int record(self, BaseSolver solver) except -1
    cdef int _clear(self) except -1
    cdef int _set_width(self, Py_ssize_t n) except -1
