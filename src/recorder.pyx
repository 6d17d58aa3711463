"""What the iterates of a run were, kept as numbers.

The driver writes a row for each accepted iterate: eight numbers and, every so often, x and which
variables are at a bound. No Python object is made, but when a table is full and its room doubles;
at n = 10 a row costs less than 0.1 µs, most of it the reading of the clock.

A view of the rows that was handed out never changes: rows are only added, and where rows are
dropped the table gets new memory.
"""
from libc.string cimport memcpy

from lbfgsb._core.base_solver cimport BaseSolver
from lbfgsb._core.objective cimport vector_data
from lbfgsb._core.platform cimport platform_seconds
from lbfgsb._core.solver cimport SolverState

import copyreg

import numpy as np

# The columns of the numbers.
cdef enum:
    NIT
    NFEV
    NJEV
    F
    PROJECTED_GRADIENT
    STEPLENGTH
    ACTIVE_BOUNDS
    TIME
    COLUMNS

# The room that a table begins with: so many rows, but one where a row is longer than all of it.
cdef enum:
    FIRST_ROWS = 64
    FIRST_BYTES = 1 << 14

cdef object FLOAT = np.dtype(np.float64)
cdef object BYTE = np.dtype(np.int8)


cdef class Table:
    """Rows of one length that are only ever added; the room for them grows by doubling.

    Parameters
    ----------
    dtype : numpy.dtype
    width : int
        Elements of a row.
    rows : ndarray of that dtype, shape (k, width), optional
        The first rows. Not copied, and never written to.
    """

    def __init__(self, dtype, Py_ssize_t width, rows=None):
        self.dtype, self.width = dtype, width
        self.row_size = width * <Py_ssize_t>dtype.itemsize
        self.array = np.empty((0, width), dtype) if rows is None else rows
        self.length = self.capacity = len(self.array)
        self.data = <char *>vector_data(self.array)

    cdef char *new_row(self) except NULL:
        """Return where one more row is to be written."""
        cdef Py_ssize_t capacity
        if self.length == self.capacity:
            capacity = max(<Py_ssize_t>1, min(<Py_ssize_t>FIRST_ROWS, FIRST_BYTES // self.row_size),
                           2 * self.capacity)
            array = np.empty((capacity, self.width), self.dtype)
            memcpy(vector_data(array), self.data, self.length * self.row_size)
            self.array, self.capacity = array, capacity
            self.data = <char *>vector_data(array)
        self.length += 1
        return self.data + (self.length - 1) * self.row_size

    def rows(self):
        """Return the rows there are, (length, width), as a read-only view."""
        view = self.array[:self.length]
        view.flags.writeable = False
        return view

    def first(self, Py_ssize_t length):
        """Return a table of the first rows, which it shares until a row is added to it."""
        return Table(self.dtype, self.width, self.rows()[:length])

    def __reduce__(self):
        return Table, (self.dtype, self.width, np.array(self.rows()))


cdef class Recorder:
    """Keeps the numbers of each iterate; the driver writes them.

    Parameters
    ----------
    x_every : int
        Keep x too, where nit is a multiple of it; 0: never.
    bounds_every : int
        The same for which variables are at a bound.
    """

    def __init__(self, Py_ssize_t x_every=0, Py_ssize_t bounds_every=0):
        self.x_every, self.bounds_every = x_every, bounds_every
        self.since = platform_seconds()
        self._clear()

    cdef int _clear(self) except -1:
        self.numbers = Table(FLOAT, COLUMNS)
        # Until the number of variables is known and something is kept of each:
        self.points = self.status_nit = self.status = None
        return 0

    cdef int record(self, BaseSolver solver) except -1:
        """Add the iterate of `solver`."""
        cdef const SolverState *s = &solver.s
        cdef double *row = <double *>self.numbers.new_row()
        row[NIT], row[NFEV], row[NJEV] = s.nit, s.nfev, s.njev
        row[F], row[PROJECTED_GRADIENT], row[STEPLENGTH] = s.f, s.box.norm, s.steplength
        row[ACTIVE_BOUNDS] = s.box.pinned if s.box.bounded else 0
        row[TIME] = platform_seconds() - self.since
        if self.x_every > 0 and s.nit % self.x_every == 0:
            self._set_width(solver.n)
            row = <double *>self.points.new_row()
            row[0] = s.nit
            memcpy(row + 1, s.box.x, solver.n * sizeof(double))
        if self.bounds_every > 0 and s.nit % self.bounds_every == 0:
            self._set_width(solver.n)
            (<double *>self.status_nit.new_row())[0] = s.nit
            find_status(s, <signed char *>self.status.new_row())
        return 0

    def _record(self, BaseSolver solver):
        """Add the iterate of `solver`: the same for callers in Python."""
        self.record(solver)

    def _append(self, Py_ssize_t nit, double nfev, double njev, double f,
                double projected_gradient, double steplength, double active_bounds, x):
        """Add an iterate of another solver; NaN for what it does not tell."""
        cdef double *row = <double *>self.numbers.new_row()
        row[NIT], row[NFEV], row[NJEV] = nit, nfev, njev
        row[F], row[PROJECTED_GRADIENT], row[STEPLENGTH] = f, projected_gradient, steplength
        row[ACTIVE_BOUNDS], row[TIME] = active_bounds, platform_seconds() - self.since
        if self.x_every > 0 and nit % self.x_every == 0:
            x = np.ascontiguousarray(x, dtype=np.float64)
            self._set_width(x.size)
            row = <double *>self.points.new_row()
            row[0] = nit
            memcpy(row + 1, vector_data(x), x.size * sizeof(double))

    cdef int _set_width(self, Py_ssize_t n) except -1:
        if self.points is None:
            self.points = Table(FLOAT, n + 1)
            self.status_nit, self.status = Table(FLOAT, 1), Table(BYTE, n)
        elif self.status.width != n:
            raise ValueError(f'the history is of {self.status.width} variables; x has {n}')
        return 0

    def _begin(self, BaseSolver solver):
        """Start the clock; keep what leads to the iterate of `solver`, and no more.

        That is the rows up to the one with its nit and f, if there is one; else none.
        """
        cdef Py_ssize_t keep = self.numbers.length
        cdef double elapsed = 0
        cdef const double *row
        if self.status is not None and self.status.width != solver.n:
            keep = 0
        while keep > 0:
            row = <const double *>self.numbers.data + (keep - 1) * COLUMNS
            if row[NIT] == solver.s.nit and row[F] == solver.s.f:
                elapsed = row[TIME]
                break
            keep -= 1
        if keep == 0 < self.numbers.length:
            self._clear()
        elif keep < self.numbers.length:
            self._keep(keep, solver.s.nit)
        self.since = platform_seconds() - elapsed

    def _keep(self, Py_ssize_t length, Py_ssize_t nit):
        """Drop the rows beyond `length`, those of the iterates after `nit`."""
        self.numbers = self.numbers.first(length)
        if self.points is not None:
            self.points = self.points.first((self.points.rows()[:, 0] <= nit).sum())
            kept = (self.status_nit.rows()[:, 0] <= nit).sum()
            self.status_nit = self.status_nit.first(kept)
            self.status = self.status.first(kept)

    def _tables(self):
        """Return the numbers, (nit, x), the nit of the statuses, the statuses: read-only views;
        all but the first are None if no vector has been kept."""
        if self.points is None:
            return self.numbers.rows(), None, None, None
        return (self.numbers.rows(), self.points.rows(), self.status_nit.rows(),
                self.status.rows())

    def __len__(self):
        return self.numbers.length

    def __getstate__(self):
        return (self.x_every, self.bounds_every, self.numbers, self.points, self.status_nit,
                self.status, self.__dict__ if hasattr(self, '__dict__') else {})

    def __setstate__(self, state):
        (self.x_every, self.bounds_every, self.numbers, self.points, self.status_nit,
         self.status, attributes) = state
        if attributes:
            self.__dict__.update(attributes)
        self.since = platform_seconds()
        if self.numbers.length > 0:
            self.since -= self.numbers.rows()[self.numbers.length - 1, TIME]

    def __reduce__(self):
        return copyreg.__newobj__, (type(self),), self.__getstate__()

    def copy(self):
        """Return a copy, which shares the memory of the rows there are."""
        cdef Recorder other = type(self).__new__(type(self))
        other.x_every, other.bounds_every, other.since = self.x_every, self.bounds_every, self.since
        other.numbers = self.numbers.first(self.numbers.length)
        if self.points is not None:
            other.points = self.points.first(self.points.length)
            other.status_nit = self.status_nit.first(self.status_nit.length)
            other.status = self.status.first(self.status.length)
        return other


cdef void find_status(const SolverState *s, signed char *status) noexcept nogil:
    """status (n,) = -1 at the lower bound, 1 at the upper, 2 where they are equal, else 0."""
    cdef Py_ssize_t i
    cdef bint low, high
    for i in range(s.box.n):
        low = high = False
        if s.box.bounded:
            low, high = s.box.x[i] == s.box.lower[i], s.box.x[i] == s.box.upper[i]
        status[i] = 2 if low and high else <signed char>(high - low)
