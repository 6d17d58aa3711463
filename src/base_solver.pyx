"""The state machine for Python: one evaluation at a time, and snapshots of everything.

What is known now is read through properties; what changes the state holds its guard.
"""
from cpython.pythread cimport PyThread_get_thread_ident
from libc.math cimport NAN
from libc.string cimport memcpy

from lbfgsb._core.box cimport box_free_all, box_set_path
from lbfgsb._core.compact cimport (Compact, compact_get_column, compact_reset, extra_updates,
                                   tiles_from)
from lbfgsb._core.guard cimport guard_end_read, guard_enter, guard_leave, guard_read
from lbfgsb._core.kernels cimport FEW, LANES
from lbfgsb._core.line_search cimport line_search_promise
from lbfgsb._core.objective cimport new_vector, vector_data
from lbfgsb._core.options cimport CheckedOptions, Options, default_maxcor
from lbfgsb._core.slope_monitor cimport (checks_of, slope_monitor_alarms, slope_monitor_begin,
                                         slope_monitor_load, slope_monitor_save)
from lbfgsb._core.solver cimport (ABNORMAL_LINE_SEARCH, DONE, ITERATE, NEW_ITERATE, NOTHING_NEW,
                                  RUNNING, START, TRIAL, Event, mismatch_of, solver_advance,
                                  solver_begin, solver_create, solver_destroy, solver_is_few,
                                  solver_measure, solver_place, solver_point,
                                  solver_point_at_team, solver_set_pair, solver_set_precision,
                                  solver_size, solver_stop, solver_tell, solver_test,
                                  solver_test_limits)
from lbfgsb._core.team cimport Room

import threading

import numpy as np

cdef extern from "float.h" nogil:
    const double DBL_EPSILON


cdef object failure_of(const SolverState *s):
    """Of a search that found no step: the decrease that its slopes promised; whether all trials
    that moved f were not finite; the mismatch and the checks behind it; the precision of f; and
    the trials that maxls allows, 0 if the search ended before them."""
    cdef bint finite = s.search.bracketed or s.search.f_x < s.search.f0
    cdef bint ran_out = s.search.trials >= s.options.maxls
    return (line_search_promise(&s.search), s.monitor.lost > 0 and not finite, mismatch_of(s),
            checks_of(&s.monitor), s.precision, s.options.maxls if ran_out else 0)


class FactorizationError(ArithmeticError):
    """A factorisation does not reproduce its matrix (``is_check_factorizations``)."""


def pairs_in(dict snapshot):
    """Return S and Y, (k, n) in the units of x, and factors (k,), of a snapshot: its own arrays if
    nothing is to be converted."""
    S, Y, scale = snapshot['S'], snapshot['Y'], snapshot['scale']
    if 'units' in snapshot:
        S, Y = S * snapshot['units'][:, :1], Y * snapshot['units'][:, 1:]
    if scale is not None:
        S, Y = S * scale, Y / scale
    return S, Y, factors_in(snapshot)


def updates_again(const double[::1] secant, Py_ssize_t most):
    """Return how many of the newest pairs with these factors (k,) are used twice, up to `most`."""
    return extra_updates(&secant[0] if len(secant) else NULL, len(secant), most)


cdef object factors_in(dict snapshot):
    """The factors of the secant equation (k,); a snapshot that knows of none has 1."""
    return snapshot['secant'] if 'secant' in snapshot else np.ones(len(snapshot['S']))


# Of at most so many variables a snapshot has neither Gram matrices nor pairs in single precision.
FEW_VARIABLES = FEW


def keeps_products(options, Py_ssize_t n, bint bounded):
    """Return whether a solver with these options has inner products of its pairs in a snapshot."""
    cdef Options o = options
    return not solver_is_few(&o, n, bounded)


# The backward error that is_check_factorizations lets pass, in rounding units a row.
cdef double FACTOR_TOLERANCE = 100 * DBL_EPSILON


# Who has asked for a point, where that is not one thread, nor NOBODY.
cdef unsigned long ANYBODY = <unsigned long>-1


cdef bint is_alive(unsigned long thread):
    return thread in [each.ident for each in threading.enumerate()]


cdef class BaseSolver:
    """The state machine for Python: one evaluation at a time, and snapshots of everything.

    Parameters
    ----------
    x0 : ndarray of float64, shape (n,), C-contiguous
        The start; clipped into the bounds.
    lower, upper : ndarray of float64, shape (n,), C-contiguous, or None
        The bounds, both or neither.
    options : CheckedOptions
    x_scale : ndarray of float64, shape (n,), C-contiguous, or None
        Typical sizes of the variables: the algorithm works on x / x_scale.
    allocate : callable or None
        ``allocate(size)`` makes the solver's memory, if not the core: a ndarray of uint8, at a
        multiple of 64 bytes.
    """

    def __cinit__(self, const double[::1] x0, const double[::1] lower, const double[::1] upper,
                  CheckedOptions options, const double[::1] x_scale=None, allocate=None):
        cdef size_t size = x0.shape[0] * sizeof(double)
        self.s.options = options.options
        self.n = x0.shape[0]
        self.allocate = allocate
        if not self.create(lower is not None, x_scale is not None):
            raise MemoryError(f'no memory for n = {self.n}, maxcor = {self.s.options.maxcor}')
        with nogil:
            memcpy(self.s.box.x, &x0[0], size)
            if self.s.box.bounded:
                memcpy(self.s.box.lower, &lower[0], size)
                memcpy(self.s.box.upper, &upper[0], size)
            if self.s.box.scaled:
                memcpy(self.s.box.scale, &x_scale[0], size)
            solver_begin(&self.s)

    cdef bint create(self, bint bounded, bint scaled) except -1:
        cdef Room room
        cdef unsigned char[::1] memory
        if self.allocate is None:
            return solver_create(&self.s, self.n, bounded, scaled)
        room = solver_size(&self.s, self.n, bounded, scaled)
        if room.kept == NULL:
            return False
        self.memory = memory = self.allocate(<size_t>room.kept + <size_t>room.work)
        solver_place(&self.s, <char *>&memory[0], <char *>&memory[0] + <size_t>room.kept)
        return True

    def __dealloc__(self):
        solver_destroy(&self.s)

    cdef object vector(self, double **v):
        """A copy of the vector (n,) at v[0]; None if there is none."""
        array = new_vector(self.n)
        cdef double *out = vector_data(array)
        cdef bint counted = guard_read(&self.guard)
        try:
            if v[0] == NULL:
                return None
            with nogil:
                memcpy(out, v[0], self.n * sizeof(double))
        finally:
            guard_end_read(&self.guard, counted)
        return array

    def _begin_read(self):
        """Keep the state as it is, until _end_read is given what this returns."""
        return guard_read(&self.guard)

    def _end_read(self, bint counted):
        guard_end_read(&self.guard, counted)

    def _point(self):
        """Return where f and g are wanted, a fresh array."""
        array = new_vector(self.n)
        cdef double *out = vector_data(array)
        cdef bint counted = guard_read(&self.guard)
        try:
            with nogil:
                solver_point(&self.s, out)
        finally:
            guard_end_read(&self.guard, counted)
        return array

    def _tell(self, double f, const double[::1] g):
        """Take f and g there; True if that makes a new iterate, already tested."""
        cdef bint new
        cdef bint nested = guard_enter(&self.guard)
        try:
            new = self.tell(f, g)
        finally:
            guard_leave(&self.guard, nested)
        return new

    cdef bint tell(self, double f, const double[::1] g) except -1:
        cdef Event event
        cdef const double *data = NULL
        if g is not None:
            data = &g[0]
        with nogil:
            event = solver_tell(&self.s, f, data)
            if event != NOTHING_NEW:
                solver_test(&self.s)
        self._check()
        return event == NEW_ITERATE

    def _advance(self):
        """From an iterate to the first trial point after it."""
        cdef bint nested = guard_enter(&self.guard)
        try:
            self.advance()
        finally:
            guard_leave(&self.guard, nested)

    cdef int advance(self) except -1:
        with nogil:
            if self.s.phase == ITERATE:
                solver_advance(&self.s, NULL)
        self._check()
        return 0

    def _ask(self):
        """Return where f and g are wanted, for this thread to evaluate.

        Two threads that evaluated the same point would both tell, the second one at a point that
        is not its own.
        """
        cdef unsigned long me = PyThread_get_thread_ident()
        cdef bint nested = guard_enter(&self.guard)
        try:
            if self.asker not in (NOBODY, ANYBODY, me) and is_alive(self.asker):
                raise RuntimeError('another thread has asked and not told yet; a solver that '
                                   'threads share needs a lock from ask to tell')
            self.asker = me
        finally:
            guard_leave(&self.guard, nested)
        return self._point()

    def _answer(self, double f, const double[::1] g, double precision=0):
        """Take f and g at the point that was asked for, and go on to the next; as _tell.

        At the start `precision` is that of f, unless it has been told as an option.
        """
        cdef bint new
        cdef bint nested = guard_enter(&self.guard)
        try:
            if self.asker == NOBODY:
                raise RuntimeError('tell needs a point from ask')
            self.asker = NOBODY
            if self.s.phase == START:
                solver_set_precision(&self.s, precision)
            new = self.tell(f, g)
            self.advance()
        finally:
            guard_leave(&self.guard, nested)
        return new

    @property
    def _asked(self):
        """Whether a point has been asked for and not been told about."""
        return self.asker != NOBODY

    @_asked.setter
    def _asked(self, bint asked):
        self.asker = ANYBODY if asked else NOBODY

    def _check(self):
        """Raise FactorizationError if a factorisation has been found wrong."""
        cdef double most = FACTOR_TOLERANCE * self.s.B.m
        if self.s.factor_error > most:
            raise FactorizationError(
                f'a Cholesky factorisation is off by {self.s.factor_error:.2e}, relative to '
                f'its matrix, where rounding explains {most:.2e}')

    def _test(self):
        """Finish the run if the iterate meets a test or a limit."""
        with nogil:
            solver_test(&self.s)

    def _stop(self):
        """End the run on the user's word."""
        solver_stop(&self.s)

    def _set_counts(self, Py_ssize_t nit, Py_ssize_t nfev, Py_ssize_t njev):
        """Go on from these counts."""
        self.s.nit, self.s.nfev, self.s.njev = nit, nfev, njev

    def _set_tolerances(self, double ftarget, double gtol):
        """Set what could only be known after the first f and g."""
        self.s.options.ftarget, self.s.options.gtol = ftarget, gtol

    def _set_limits(self, *, double ftol, double gtol, Py_ssize_t maxiter, Py_ssize_t maxfun):
        """Set tolerances and limits at an iterate that has been tested already.

        If the test has ended the run, it is made again. Else the limits hold at once, since they
        say whether there is a next iteration; the tolerances are for the iterates to come.
        """
        cdef SolverState *s = &self.s
        cdef bint nested = guard_enter(&self.guard)
        s.options.ftol, s.options.gtol = ftol, gtol
        s.options.maxiter, s.options.maxfun = maxiter, maxfun
        if s.phase == ITERATE:
            solver_test_limits(s)
        elif s.phase == DONE and s.phase_at_end == ITERATE:
            self._reopen()
            solver_test(s)
        guard_leave(&self.guard, nested)

    def _set_maxcor(self, Py_ssize_t maxcor):
        """Keep up to `maxcor` pairs from now on; of those held, the newest.

        The state is restored in memory of the new size, which then takes the place of the old;
        if there is no such memory, everything stays as it is. 0: as many as suit n.
        """
        cdef bint nested
        if maxcor == 0:
            maxcor = default_maxcor(self.n)
        if maxcor != self.s.options.maxcor:
            nested = guard_enter(&self.guard)
            try:
                self.set_maxcor(maxcor)
            finally:
                guard_leave(&self.guard, nested)

    cdef int set_maxcor(self, Py_ssize_t maxcor) except -1:
        cdef CheckedOptions options = CheckedOptions.__new__(CheckedOptions)
        cdef BaseSolver other
        cdef SolverState old
        options.options = self.s.options
        options.options.maxcor = maxcor
        snapshot = self.snapshot()
        other = BaseSolver(snapshot['x'], snapshot['lower'], snapshot['upper'], options,
                           snapshot['scale'], self.allocate)
        other._restore(snapshot)
        other.s.factor_error = self.s.factor_error
        old = self.s
        self.s, other.s = other.s, old
        self.memory, other.memory = other.memory, self.memory
        solver_point_at_team(&self.s)
        solver_point_at_team(&other.s)
        return 0

    def _redefine(self, double f, double f_old, const double[::1] g, S, Y, secant=None):
        """Replace f, g and the pairs (k, n) at the iterate: the objective has changed.

        Without factors of their own (k,), pairs that the solver holds already keep theirs.
        """
        cdef bint nested = guard_enter(&self.guard)
        try:
            self.s.f, self.s.f_old = f, f_old
            memcpy(self.s.box.g, &g[0], self.n * sizeof(double))
            self._give_pairs(S, Y, secant)
            with nogil:
                box_free_all(&self.s.box)
                solver_measure(&self.s)
            slope_monitor_begin(&self.s.monitor)    # the old f says nothing of the new one
            solver_set_precision(&self.s, self.s.precision)
        finally:
            guard_leave(&self.guard, nested)

    # --- what is known now ----------------------------------------------------------------

    @property
    def x(self):
        """The last accepted iterate, (n,); before the first evaluation, x0."""
        return self.vector(&self.s.box.x)

    @property
    def jac(self):
        """The gradient at `x`, (n,)."""
        return self.vector(&self.s.box.g)

    @property
    def fun(self):
        """f at `x`; NaN before the first evaluation."""
        return self.s.f

    @property
    def projected_gradient(self):
        """The inf-norm of the projected gradient at `x`."""
        return self.s.box.norm

    @property
    def nit(self):
        """Accepted iterates."""
        return self.s.nit

    @property
    def nfev(self):
        """Evaluations of f."""
        return self.s.nfev

    @property
    def njev(self):
        """Evaluations of the gradient."""
        return self.s.njev

    @property
    def done(self):
        """Whether the run is over."""
        return self.s.phase == DONE

    @property
    def steplength(self):
        """The multiple of the direction in the last accepted step."""
        return self.s.steplength

    @property
    def active_bounds(self):
        """How many variables are held by a bound at `x`."""
        return self.s.box.pinned if self.s.box.bounded else 0

    @property
    def gradient_mismatch(self):
        """How far f and its slopes along the last steps disagree: 0 fine, 1 hopeless."""
        cdef bint counted = guard_read(&self.guard)
        try:
            return mismatch_of(&self.s)
        finally:
            guard_end_read(&self.guard, counted)

    @property
    def _slope_checks(self):
        """The checks behind `gradient_mismatch`, oldest first: for each the change of f over
        a segment, what the slopes at its ends predict, and their disagreement in units of
        what curvature explains."""
        return checks_of(&self.s.monitor)

    @property
    def _mismatch_alarms(self):
        """After how many searches in a row nearly all of the latest checks were bad."""
        return slope_monitor_alarms(&self.s.monitor)

    @property
    def _failure(self):
        """What is known of a search that found no step; see failure_of."""
        cdef bint counted = guard_read(&self.guard)
        try:
            return failure_of(&self.s)
        finally:
            guard_end_read(&self.guard, counted)

    @property
    def _precision(self):
        """The relative precision of f."""
        return self.s.precision

    @property
    def _phase(self):
        return self.s.phase

    @property
    def maxcor(self):
        """The number of pairs kept at most, as chosen if it was not given."""
        return self.s.B.m

    @property
    def _chosen(self):
        """All options, those that were left open as chosen."""
        return <dict>self.s.options

    @property
    def _updates_again(self):
        """How many of the newest pairs update B twice."""
        return self.s.B.updates - self.s.B.k

    @property
    def _pair_count(self):
        """The number of pairs held."""
        return self.s.B.k

    @property
    def _size(self):
        """The bytes of the one allocation."""
        cdef SolverState s
        cdef Room room
        s.options = self.s.options
        room = solver_size(&s, self.n, self.s.box.bounded, self.s.box.scaled)
        return <size_t>room.kept + <size_t>room.work

    @property
    def _limits(self):
        """The options that may change during a run, and `ftarget`."""
        options = <dict>self.s.options
        return {name: options[name]
                for name in ('ftol', 'gtol', 'ftarget', 'maxiter', 'maxfun', 'maxcor')}

    @property
    def _bounds(self):
        """The lower and upper bounds, or None and None."""
        if not self.s.box.bounded:
            return None, None
        return self.vector(&self.s.box.lower), self.vector(&self.s.box.upper)

    @property
    def _scale(self):
        """The x_scale, or None."""
        return self.vector(&self.s.box.scale)

    @property
    def _f_old(self):
        return self.s.f_old

    @property
    def _reason(self):
        return self.s.reason

    @property
    def _details(self):
        """Counts and sizes for the log of every iteration."""
        return {'pairs': self.s.B.k, 'theta': self.s.B.theta, 'trials': self.s.search.trials,
                'passed': self.s.cauchy.passed if self.s.box.bounded else 0,
                'fixed': self.s.box.fixed, 'skipped': self.s.skipped,
                'restarts': self.s.restarts, 'slope': self.s.subspace.slope,
                'factor_error': self.s.factor_error}

    def _pairs(self):
        """Return S and Y, each (k, n), oldest first, and their factors (k,), as fresh arrays."""
        return pairs_in(self._kept_pairs())

    def _kept_pairs(self):
        """Return what a snapshot has of the pairs: changes of x / x_scale, and of the gradient
        there, (k, n), in the type in which they are kept; the units of float32; the factors."""
        cdef bint counted = guard_read(&self.guard)
        try:
            return self.kept_pairs()
        finally:
            guard_end_read(&self.guard, counted)

    cdef dict kept_pairs(self, bint copied=True):
        cdef Py_ssize_t k = self.s.B.k
        S, Y = (self.columns(0), self.columns(1)) if copied else (None, None)
        pairs = {'S': S, 'Y': Y,
                 'scale': self.kept(&self.s.box.scale, copied) if self.s.box.scaled else None,
                 'secant': np.array([self.s.B.secant[i] for i in range(k)])}
        if self.s.B.narrow:
            pairs['units'] = np.array([self.s.B.unit[i] for i in range(2 * k)]).reshape(k, 2)
        return pairs

    cdef object columns(self, Py_ssize_t offset):
        """S (offset 0) or Y (1), as W has it."""
        cdef Py_ssize_t i
        cdef double[::1] column = np.empty(self.n)
        out = np.empty((self.s.B.k, self.n), self._entry)
        for i in range(self.s.B.k):
            with nogil:
                compact_get_column(&self.s.B, 2 * i + offset, &column[0])
            out[i] = column
        return out

    @property
    def _entry(self):
        """The type of the entries of W."""
        return np.float32 if self.s.B.narrow else np.float64

    # --- snapshots ------------------------------------------------------------------------

    def _snapshot(self, bint copied=True):
        """Return everything that a run needs to go on to the same bits: a dict of arrays
        and numbers, with no reference to this solver.

        If not `copied`, its vectors are the solver's own memory, not to be looked at after
        _end_read, and S and Y are None: they come from _load_column.
        """
        cdef bint counted = guard_read(&self.guard)
        try:
            return self.snapshot(copied)
        finally:
            guard_end_read(&self.guard, counted)

    def _load_column(self, Py_ssize_t column, Py_ssize_t first, double[::1] out):
        """Copy len(out) rows of a column of W, as it stands there, from the row `first` on, a
        multiple of LANES: column 2i is s_i, 2i + 1 is y_i, oldest first.

        For those who write W down without a copy of it; between _begin_read and _end_read.
        """
        cdef Compact *B = &self.s.B
        cdef Py_ssize_t rows = out.shape[0]
        if not (0 <= column < 2 * B.k and first % LANES == 0 and 0 <= first
                and 0 < rows <= self.n - first):
            raise IndexError('no such part of W')
        with nogil:
            B.panel.load(tiles_from(B, first), B.tile_length, B.columns[column], rows, &out[0])

    cdef object kept(self, double **v, bint copied):
        """The vector at v[0] in a snapshot."""
        return self.vector(v) if copied else np.asarray(<double[:self.n]>v[0])

    cdef dict snapshot(self, bint copied=True):
        cdef SolverState *s = &self.s
        cdef bint searching = s.phase == TRIAL or (s.phase == DONE and (
            s.phase_at_end == TRIAL or s.reason == ABNORMAL_LINE_SEARCH))
        snapshot = {
            'version': 1, 'options': <dict>s.options,
            'x': self.kept(&s.box.x, copied), 'g': self.kept(&s.box.g, copied),
            **self.kept_pairs(copied),
            **({'diagonal': self.first_matrix()} if s.few.diagonal and s.B.k > 0 else {}),
            'lower': self.kept(&s.box.lower, copied) if s.box.bounded else None,
            'upper': self.kept(&s.box.upper, copied) if s.box.bounded else None,
            'theta': s.B.theta,
            'numbers': (s.f, s.f_old, s.first_alpha, s.steplength, s.box.norm,
                        s.box.g_free_squared, s.box.t_min, s.precision, s.noise, s.f_low,
                        s.gain),
            'counts': (s.box.pinned, s.nit, s.nfev, s.njev, s.skipped, s.restarts, s.box.fixed),
            'phase': (s.phase, s.phase_at_end, s.reason),
            'monitor': slope_monitor_save(&s.monitor),
        }
        if not s.few.used:
            snapshot['gram'] = self._square(s.B.gram)
            snapshot['p'] = np.array([s.B.p[i] for i in range(2 * s.B.k)])
        if s.box.fixed > 0 and not s.few.used:
            snapshot['gram_free'] = self._square(s.B.gram_free)
            snapshot['status'] = np.asarray(<signed char[:self.n]>s.box.status).copy()
        if searching:
            snapshot['d'] = self.kept(&s.box.d, copied)
            snapshot['search'] = s.search
            if s.search.alpha_x != 0:
                snapshot['g_best'] = self.kept(&s.g_best, copied)
        return snapshot

    def _restore(self, dict snapshot):
        """Take over a snapshot; the newest pairs of it if it has more than `maxcor`.

        The solver must have been made for the same n and the same bounds.
        """
        cdef SolverState *s = &self.s
        cdef Py_ssize_t drop, k, i
        cdef const double[::1] p
        cdef const signed char[::1] status
        drop = max(0, snapshot['S'].shape[0] - s.B.m)
        k = snapshot['S'].shape[0] - drop
        self._set_vector(s.box.x, snapshot['x'])
        self._set_vector(s.box.g, snapshot['g'])
        box_set_path(&s.box)
        self.set_pairs(snapshot['S'][drop:], snapshot['Y'][drop:], factors_in(snapshot)[drop:],
                       snapshot['units'][drop:] if 'units' in snapshot else None)
        same_kind = ('units' in snapshot) == s.B.narrow
        if not s.few.used and same_kind:
            self._set_square(s.B.gram, snapshot['gram'][2 * drop:, 2 * drop:])
            p = snapshot['p'][2 * drop:]
            for i in range(2 * k):
                s.B.p[i] = p[i]
        if s.few.diagonal and 'diagonal' in snapshot:
            self._set_vector(s.few.first, snapshot['diagonal'])
        s.B.theta = snapshot['theta']
        (s.f, s.f_old, s.first_alpha, s.steplength, s.box.norm, s.box.g_free_squared,
         s.box.t_min, precision, s.noise, s.f_low, s.gain) = snapshot['numbers']
        solver_set_precision(s, precision)
        (s.box.pinned, s.nit, s.nfev, s.njev, s.skipped, s.restarts,
         s.box.fixed) = snapshot['counts']
        s.phase, s.phase_at_end, s.reason = snapshot['phase']
        slope_monitor_load(&s.monitor, snapshot['monitor'])
        if not same_kind and not s.few.used:    # the products are those of pairs rounded otherwise
            box_free_all(&s.box)
            with nogil:
                solver_measure(s)
        elif s.box.fixed > 0 and not s.few.used:
            self._set_square(s.B.gram_free, snapshot['gram_free'][2 * drop:, 2 * drop:])
            status = snapshot['status']
            memcpy(s.box.status, &status[0], self.n)
        if 'd' in snapshot:
            s.search = snapshot['search']
            self._set_vector(s.box.d, snapshot['d'])
            if 'g_best' in snapshot:
                self._set_vector(s.g_best, snapshot['g_best'])

    def _reopen(self):
        """Undo the end of a run: a limit that was met is not there any more."""
        if self.s.phase == DONE:
            self.s.phase, self.s.reason = self.s.phase_at_end, RUNNING

    def _warm_start(self, double f, const double[::1] g, S, Y, secant=None):
        """Go on at x0 from known f, g, pairs (k, n) and factors (k,), with no other memory."""
        self._redefine(f, NAN, g, S, Y, secant)
        self.s.phase = ITERATE

    def _give_pairs(self, S, Y, secant=None):
        """Hold the pairs (k, n) with these factors (k,), and no others.

        None: a pair that is held now, to the bit, keeps its factor; others have 1.
        """
        if self.s.box.scaled:
            S, Y = S / self._scale, Y * self._scale
        kept = secant is None and self.s.few.diagonal and self._are_held(S, Y)
        diagonal = self.first_matrix() if kept else None
        self.set_pairs(S, Y, self._factors_kept(S, Y) if secant is None else secant, None)
        if kept:
            self._set_vector(self.s.few.first, diagonal)

    cdef int set_pairs(self, S, Y, const double[::1] secant, const double[:, ::1] units) except -1:
        """Hold these pairs, changes of x / x_scale and of the gradient there, of float64, or of
        float32 in units (k, 2)."""
        cdef Py_ssize_t i
        cdef const double[::1] s, y
        cdef const double *units_i = NULL
        compact_reset(&self.s.B)
        for i in range(len(S)):
            s = np.asarray(S[i], dtype=np.float64)
            y = np.asarray(Y[i], dtype=np.float64)
            if units is not None:
                s, y = np.multiply(s, units[i, 0]), np.multiply(y, units[i, 1])
                units_i = &units[i, 0]
            with nogil:
                solver_set_pair(&self.s, i, &s[0], &y[0], units_i, secant[i])
        return 0

    cdef object first_matrix(self):
        """The diagonal of the matrix that H is updated from, of few variables."""
        return np.array(<double[:self.n]>self.s.few.first)

    def _are_held(self, S, Y):
        """Return whether these, changes of x / x_scale and of the gradient there, are the pairs."""
        held_S, held_Y, _ = pairs_in(self._kept_pairs() | {'scale': None})
        return len(held_S) > 0 and np.array_equal(S, held_S) and np.array_equal(Y, held_Y)

    def _factors_kept(self, S, Y):
        """Return a factor (k,) for each pair: that which it has now, 1 if it is a new one."""
        kept = self._kept_pairs()
        held_S, held_Y, held = pairs_in(kept | {'scale': None})
        factors = np.ones(len(S))
        last = len(held)
        for i in reversed(range(len(S))):    # both are in the order of time
            for j in reversed(range(last)):
                if np.array_equal(S[i], held_S[j]):
                    if np.array_equal(Y[i], held_Y[j]):
                        factors[i] = held[j]
                    last = j
                    break
        return factors

    cdef object _square(self, const double *gram):
        cdef Py_ssize_t i, j, size = 2 * self.s.B.k, ld = self.s.B.ld
        array = np.empty((size, size))
        cdef double[:, ::1] out = array
        for i in range(size):
            for j in range(size):
                out[i, j] = gram[i * ld + j]
        return array

    cdef int _set_square(self, double *gram, values) except -1:
        cdef const double[:, :] square = values
        cdef Py_ssize_t i, j
        for i in range(square.shape[0]):
            for j in range(square.shape[1]):
                gram[i * self.s.B.ld + j] = square[i, j]
        return 0

    cdef int _set_vector(self, double *v, values) except -1:
        cdef const double[::1] data = values
        memcpy(v, &data[0], self.n * sizeof(double))
        return 0
