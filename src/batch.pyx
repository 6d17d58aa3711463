"""Many problems of the same number of variables: in lockstep, or each to its end.

With a Python objective (`Lockstep`) all problems that are not over wait for f and g at once: one
call for all of them, then each goes on to its next point. Each is a state machine of its own, so
that its bits are those of a run alone. What a state machine keeps from one evaluation to the next
has its own memory; work within a call is shared by the problems that one thread looks after, which
at n = 10 is 90 % of what a solver has.

With a compiled objective (`solve_compiled`) there is nothing to wait for: each thread takes one
problem after the other and runs it to its end, in one state machine. A batch that is kept on the
disk has a state machine for each problem here too, those of a `Lockstep`, and `run_compiled` brings
them forward for some time.
"""
from cpython.exc cimport PyErr_CheckSignals
from cpython.pyport cimport PY_SSIZE_T_MAX
from cython.parallel cimport prange
from libc.math cimport INFINITY, NAN
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from lbfgsb._core.base_solver cimport BaseSolver, failure_of
from lbfgsb._core.driver cimport LOOK, Evaluator, drive, is_time_to_look, look_later, next_point
from lbfgsb._core.objective cimport (CompiledObjective, is_fresh_matrix, new_matrix, vector_data)
from lbfgsb._core.options cimport CheckedOptions, Options
from lbfgsb._core.platform cimport (platform_add, platform_coarse_seconds, platform_free,
                                    platform_load, platform_sleep, platform_store)
from lbfgsb._core.solver cimport (ABNORMAL_LINE_SEARCH, DONE, NOTHING_NEW, SolverState,
                                  mismatch_of, solver_begin, solver_create, solver_destroy,
                                  solver_place, solver_point_at_team, solver_set_precision,
                                  solver_size, solver_stop, solver_tell, solver_test)
from lbfgsb._core.team cimport Room, aligned_block, allowed_threads, most_threads

import threading

import numpy as np

# Fewer problems in lockstep than this are not worth a thread of their own.
cdef enum:
    WORTH_A_PART = 512


# The starts and bounds of all problems: a row each, or one row of bounds for all.
ctypedef struct Problems:
    Py_ssize_t n
    const double *x0         # (count, n)
    const double *lower      # (count, n) or (1, n), or NULL
    const double *upper
    const double *scale      # (n,) for all, or NULL
    Py_ssize_t stride        # from one row of the bounds to the next: n or 0


cdef Problems problems_of(const double[:, ::1] x0, lower, upper, x_scale) except *:
    cdef Problems all
    cdef const double[:, ::1] low, high
    cdef const double[::1] scale
    all.n, all.x0 = x0.shape[1], &x0[0, 0]
    all.lower = all.upper = all.scale = NULL
    all.stride = 0
    if lower is not None:
        low, high = lower, upper
        all.lower, all.upper = &low[0, 0], &high[0, 0]
        all.stride = all.n if low.shape[0] > 1 else 0
    if x_scale is not None:
        scale = x_scale
        all.scale = &scale[0]
    return all


cdef bint is_bounded(const Problems *all, Py_ssize_t problem) noexcept nogil:
    """Has the problem a finite bound? Without one, it is solved as a problem without bounds."""
    cdef Py_ssize_t i, row = problem * all.stride
    if all.lower != NULL:
        for i in range(row, row + all.n):
            if all.lower[i] > -INFINITY or all.upper[i] < INFINITY:
                return True
    return False


cdef void begin(SolverState *s, const Problems *all, Py_ssize_t problem) noexcept nogil:
    """Start a problem, its buffers being in place."""
    cdef Py_ssize_t n = all.n
    memcpy(s.box.x, all.x0 + problem * n, n * sizeof(double))
    if s.box.bounded:
        memcpy(s.box.lower, all.lower + problem * all.stride, n * sizeof(double))
        memcpy(s.box.upper, all.upper + problem * all.stride, n * sizeof(double))
    if all.scale != NULL:
        memcpy(s.box.scale, all.scale, n * sizeof(double))
    solver_begin(s)
    solver_test(s)


# Where the results go, a row or an element for each problem.
ctypedef struct Results:
    double *x
    double *g
    double *f
    double *norm
    double *mismatch
    Py_ssize_t *nit
    Py_ssize_t *nfev
    Py_ssize_t *njev
    Py_ssize_t *reason


cdef Results results_in(dict arrays):
    cdef Results out
    cdef double[:, ::1] x = arrays['x'], g = arrays['jac']
    cdef double[::1] f = arrays['fun'], norm = arrays['projected_gradient']
    cdef double[::1] mismatch = arrays['gradient_mismatch']
    cdef Py_ssize_t[::1] nit = arrays['nit'], nfev = arrays['nfev'], njev = arrays['njev']
    cdef Py_ssize_t[::1] reason = arrays['reason']
    out.x, out.g, out.f, out.norm = &x[0, 0], &g[0, 0], &f[0], &norm[0]
    out.mismatch = &mismatch[0]
    out.nit, out.nfev, out.njev, out.reason = &nit[0], &nfev[0], &njev[0], &reason[0]
    return out


def new_results(Py_ssize_t count, Py_ssize_t n):
    """Return arrays for the results of `count` problems, by name.

    And a dict, `failures`: what is known of a search that found no step, by problem.
    """
    return {'x': np.empty((count, n)), 'fun': np.empty(count), 'jac': np.empty((count, n)),
            'projected_gradient': np.empty(count), 'gradient_mismatch': np.empty(count),
            'failures': {}, 'nit': np.empty(count, dtype=np.intp),
            'nfev': np.empty(count, dtype=np.intp), 'njev': np.empty(count, dtype=np.intp),
            'reason': np.empty(count, dtype=np.intp)}


cdef void write_result(const SolverState *s, Py_ssize_t problem, Results *out) noexcept nogil:
    cdef Py_ssize_t n = s.box.n
    memcpy(out.x + problem * n, s.box.x, n * sizeof(double))
    memcpy(out.g + problem * n, s.box.g, n * sizeof(double))
    out.f[problem], out.norm[problem] = s.f, s.box.norm
    out.nit[problem], out.nfev[problem], out.njev[problem] = s.nit, s.nfev, s.njev
    out.reason[problem], out.mismatch[problem] = s.reason, mismatch_of(s)


# --- in lockstep --------------------------------------------------------------------------


cdef class Lockstep:
    """Problems that get f and g together, by ask and tell.

    Parameters
    ----------
    x0 : ndarray of float64, shape (B, n), C-contiguous
        The starts; clipped into the bounds.
    lower, upper : ndarray of float64, shape (B, n) or (1, n), C-contiguous, or None
    options : CheckedOptions
        With ``threads`` the problems are shared out to threads; each has one.
    x_scale : ndarray of float64, shape (n,), C-contiguous, or None
    compiled : bool, default False
        It is for `run_compiled`, where one problem is worth a thread.
    """

    def __cinit__(self, const double[:, ::1] x0, lower, upper, CheckedOptions options, x_scale,
                  bint compiled=False):
        self.count, self.n = x0.shape[0], x0.shape[1]
        self.parts = max(1, min(<Py_ssize_t>most_threads(options.options.threads),
                                self.count // (1 if compiled else WORTH_A_PART)))
        self.states = <SolverState *>calloc(self.count, sizeof(SolverState))
        self.index = <Py_ssize_t *>calloc(self.count, sizeof(Py_ssize_t))
        self.first = <Py_ssize_t *>calloc(self.parts + 1, sizeof(Py_ssize_t))
        self.kept = <char **>calloc(self.count, sizeof(char *))
        if (self.states == NULL or self.index == NULL or self.first == NULL
                or self.kept == NULL):
            raise MemoryError(f'no memory for {self.count} problems')
        self.allocate(x0, lower, upper, options, x_scale)

    def __dealloc__(self):
        free(self.kept)
        free(self.first)
        free(self.index)
        free(self.states)
        platform_free(self.block)

    cdef int allocate(self, const double[:, ::1] x0, lower, upper, CheckedOptions options,
                      x_scale) except -1:
        """One block for all, and every problem at its start in it."""
        cdef Problems all = problems_of(x0, lower, upper, x_scale)
        cdef Py_ssize_t i, part, work = 0
        cdef double total = 0
        cdef char *at
        cdef Room room
        cdef Options o = options.options
        o.threads = 1
        for i in range(self.count):
            self.states[i].options = o
            room = solver_size(&self.states[i], self.n, is_bounded(&all, i), all.scale != NULL)
            if room.kept == NULL:
                raise MemoryError(f'no memory for n = {self.n}, '
                                  f'maxcor = {self.states[0].options.maxcor}')
            total += <double><size_t>room.kept
            work = max(work, <Py_ssize_t><size_t>room.work)
        total += <double>work * self.parts
        if total <= 1e18:
            self.block = aligned_block(<size_t>total)
        if self.block == NULL:
            raise MemoryError(f'no memory for {self.count} problems with n = {self.n}, '
                              f'maxcor = {self.states[0].options.maxcor}: {total / 1e9:.1f} GB')
        self.work = work
        at = self.block + work * self.parts
        for part in range(self.parts + 1):
            self.first[part] = part * self.count // self.parts
        with nogil:
            for part in range(self.parts):
                for i in range(self.first[part], self.first[part + 1]):
                    self.index[i] = i
                    room = solver_size(&self.states[i], self.n, is_bounded(&all, i),
                                       all.scale != NULL)
                    self.kept[i] = at
                    solver_place(&self.states[i], at, self.block + part * work)
                    at += <size_t>room.kept
                    begin(&self.states[i], &all, i)
            self.running = self.count
            self.drop_ended(NULL)
        return 0

    def ask(self):
        """Return the points where f and g are wanted, (running, n), in the order of `rows`.

        A problem may end on the way to its next point; then it is not among them. The array is
        used again if nobody else holds it.
        """
        cdef double *to
        cdef Py_ssize_t part
        points, self.points = self.points, None    # one reference is left if nobody holds it
        if points is None or not is_fresh_matrix(points, self.running, self.n):
            points = new_matrix(self.running, self.n)
        to = vector_data(points)
        with nogil:
            for part in prange(self.parts, num_threads=self.threads(), schedule='static'):
                self.advance(part, to)
            self.drop_ended(to)
        if len(points) != self.running:
            points = points[:self.running].copy()
        self.points = points
        return points

    def rows(self):
        """Return the problems that run, (running,)."""
        cdef Py_ssize_t[::1] out
        array = np.empty(self.running, dtype=np.intp)
        if self.running > 0:
            out = array
            memcpy(&out[0], self.index, self.running * sizeof(Py_ssize_t))
        return array

    def set_precision(self, double precision):
        """Set the relative precision of f in all problems, unless it was told as an option."""
        cdef Py_ssize_t r
        for r in range(self.running):
            solver_set_precision(&self.states[self.index[r]], precision)

    def tell(self, const double[::1] F, const double[:, ::1] G):
        """Take f (running,) and g (running, n) at the points that `ask` has returned."""
        cdef Py_ssize_t part
        self.rounds += 1
        with nogil:
            for part in prange(self.parts, num_threads=self.threads(), schedule='static'):
                self.take(part, &F[0], &G[0, 0])
            self.drop_ended(NULL)

    def stop(self, const unsigned char[::1] which):
        """End the running problems where `which` (B,) is not zero, on the user's word."""
        cdef Py_ssize_t r
        for r in range(self.running):
            if which[self.index[r]]:
                solver_stop(&self.states[self.index[r]])
        self.drop_ended(NULL)

    def stop_unanswered(self):
        """End all running problems on the word of an objective that gave no f and g."""
        cdef Py_ssize_t r
        cdef SolverState *s
        self.rounds += 1
        for r in range(self.running):
            s = &self.states[self.index[r]]
            s.nfev += 1
            s.njev += 1
            solver_stop(s)
        self.drop_ended(NULL)

    def state(self):
        """Return where every problem stands: arrays by name."""
        cdef Py_ssize_t i
        arrays = new_results(self.count, self.n)
        cdef Results out = results_in(arrays)
        with nogil:
            for i in range(self.count):
                write_result(&self.states[i], i, &out)
        for i in range(self.count):
            if self.states[i].reason == ABNORMAL_LINE_SEARCH:
                arrays['failures'][i] = failure_of(&self.states[i])
        return arrays

    @property
    def options(self):
        """The options of every problem, by name."""
        return <dict>self.states[0].options

    def snapshots(self):
        """Return a snapshot of every problem, as BaseSolver._snapshot makes it."""
        cdef Face face = Face(self)
        cdef Py_ssize_t i
        all = []
        for i in range(self.count):
            face.put_on(&self.states[i])
            try:
                all.append(face.solver.snapshot())
            finally:
                face.take_off(&self.states[i])
        return all

    def restore(self, list all, Py_ssize_t rounds, ended):
        """Take over the snapshots of all problems, made after so many rounds.

        The problems must be those that they were made of, with the same bounds. The end of each is
        undone, so that it is tested anew, but for those in `ended`.
        """
        cdef Face face = Face(self)
        cdef Py_ssize_t i, part
        for i in range(self.count):
            face.put_on(&self.states[i])
            try:
                face.solver._restore(all[i])
                if i not in ended:
                    face.solver._reopen()
            finally:
                face.take_off(&self.states[i])
            solver_test(&self.states[i])
        for i in range(self.count):
            self.index[i] = i
        for part in range(self.parts + 1):
            self.first[part] = part * self.count // self.parts
        self.running = self.count
        self.rounds = rounds
        self.drop_ended(NULL)

    cdef int threads(self) noexcept nogil:
        return allowed_threads(<int>min(self.parts, self.running // WORTH_A_PART))

    cdef void advance(self, Py_ssize_t part, double *points) noexcept nogil:
        """Each problem of a part to its next point."""
        cdef Py_ssize_t r
        for r in range(self.first[part], self.first[part + 1]):
            next_point(&self.states[self.index[r]], points + r * self.n)

    cdef void take(self, Py_ssize_t part, const double *F, const double *G) noexcept nogil:
        """Tell each problem of a part."""
        cdef Py_ssize_t r
        cdef SolverState *s
        for r in range(self.first[part], self.first[part + 1]):
            s = &self.states[self.index[r]]
            if solver_tell(s, F[r], G + r * self.n) != NOTHING_NEW:
                solver_test(s)

    cdef void drop_ended(self, double *points) noexcept nogil:
        """Close the gaps that ended problems leave in `index` and in `points`, if not NULL."""
        cdef Py_ssize_t part, r, begin, count = 0
        for part in range(self.parts):
            begin = count
            for r in range(self.first[part], self.first[part + 1]):
                if self.states[self.index[r]].phase == DONE:
                    continue
                if count != r:
                    self.index[count] = self.index[r]
                    if points != NULL:
                        memcpy(points + count * self.n, points + r * self.n,
                               self.n * sizeof(double))
                count += 1
            self.first[part] = begin
        self.first[self.parts] = self.running = count


cdef class Face:
    """A BaseSolver that one problem of a batch after the other is shown and changed through."""

    cdef BaseSolver solver
    cdef SolverState own

    def __cinit__(self, Lockstep batch):
        cdef CheckedOptions options = CheckedOptions.__new__(CheckedOptions)
        options.options = batch.states[0].options
        self.solver = BaseSolver(np.zeros(batch.n), None, None, options)

    cdef void put_on(self, const SolverState *s) noexcept:
        self.own = self.solver.s
        self.solver.s = s[0]
        solver_point_at_team(&self.solver.s)

    cdef void take_off(self, SolverState *s) noexcept:
        s[0] = self.solver.s
        solver_point_at_team(s)
        self.solver.s = self.own
        solver_point_at_team(&self.solver.s)


# --- each to its end, with a compiled objective ---------------------------------------------


# What one thread works with.
ctypedef struct Worker:
    SolverState with_bounds       # those of problems that are not kept
    SolverState without_bounds
    char *work                    # for those that are
    Evaluator e


cdef class Batch:
    """What the threads share."""

    cdef Lockstep kept                # None: each problem is begun in the thread's own memory
    cdef double until                 # with `kept`: when to pause, in seconds
    cdef Problems problems
    cdef const Py_ssize_t *address    # (count,) of the data of each problem; NULL: the same for all
    cdef Results results
    cdef dict failures
    cdef Py_ssize_t count
    cdef Py_ssize_t taken             # problems that a thread has taken
    cdef Py_ssize_t working           # threads that may have one in hand
    cdef Py_ssize_t stop              # `error` has come
    cdef object error                 # what a signal's handler has raised

    cdef void work(self, Worker *worker, bint looks) noexcept nogil:
        """Solve one problem after the other, until none is left, or it is time to pause.

        With `looks` the thread looks for signals, also while the others are still at work.
        """
        cdef Py_ssize_t problem
        platform_add(&self.working, 1)    # before it takes one: then none is overlooked below
        problem = platform_add(&self.taken, 1)
        while problem < self.count and not self.is_time_to_pause():
            if self.kept is None:
                self.solve(worker, problem, looks)
            else:
                self.go_on(worker, self.kept.index[problem], looks)
            problem = platform_add(&self.taken, 1)
        platform_add(&self.working, -1)
        while looks and platform_load(&self.working) > 0 and not platform_load(&self.stop):
            platform_sleep(1)
            if is_time_to_look(&worker.e):
                self.look(worker, looks)

    cdef bint is_time_to_pause(self) noexcept nogil:
        """Has a signal come, or, in a batch that is kept, the end of its time?"""
        return platform_load(&self.stop) or (self.kept is not None
                                             and platform_coarse_seconds() >= self.until)

    cdef void solve(self, Worker *worker, Py_ssize_t problem, bint looks) noexcept nogil:
        """Run one problem to its end, or until a signal has come."""
        cdef SolverState *s = &worker.without_bounds
        if is_bounded(&self.problems, problem):
            s = &worker.with_bounds
        begin(s, &self.problems, problem)
        self.run(worker, s, problem, looks)
        write_result(s, problem, &self.results)
        if s.reason == ABNORMAL_LINE_SEARCH:
            self.note_failure(s, problem)

    cdef void go_on(self, Worker *worker, Py_ssize_t problem, bint looks) noexcept nogil:
        """Run one problem that is kept from where it is, until its end or a pause."""
        cdef SolverState *s = &self.kept.states[problem]
        solver_place(s, self.kept.kept[problem], worker.work)
        self.run(worker, s, problem, looks)

    cdef void run(self, Worker *worker, SolverState *s, Py_ssize_t problem,
                  bint looks) noexcept nogil:
        cdef Py_ssize_t i
        if self.address != NULL:
            worker.e.data = <void *>self.address[problem]
        for i in range(s.box.n):
            worker.e.g[i] = NAN    # a component that is never set shows at x0
        while drive(s, &worker.e) == LOOK and not self.is_time_to_pause():
            self.look(worker, looks)
        if is_time_to_look(&worker.e):    # a run that the objective ends at once has no pause
            self.look(worker, looks)

    cdef void note_failure(self, const SolverState *s, Py_ssize_t problem) noexcept with gil:
        self.failures[problem] = failure_of(s)

    cdef void look(self, Worker *worker, bint looks) noexcept nogil:
        """Look for signals, if this is the thread that does."""
        if looks:
            self.handle_signals()
        look_later(&worker.e)

    cdef void handle_signals(self) noexcept with gil:
        try:
            PyErr_CheckSignals()
        except BaseException as error:
            self.error = error
            platform_store(&self.stop, 1)


def solve_compiled(CompiledObjective objective, data, const double[:, ::1] x0, lower, upper,
                   CheckedOptions options, x_scale):
    """Solve each problem with a compiled objective; return the results, arrays by name.

    Parameters
    ----------
    objective : CompiledObjective
    data : ndarray of intp, shape (B,), or None
        The address that the objective gets for each problem; None: its own for all.
    x0, lower, upper, options, x_scale
        As for `Lockstep`.
    """
    cdef Py_ssize_t count = x0.shape[0], n = x0.shape[1]
    cdef Batch batch = Batch()
    arrays = new_results(count, n)
    batch.problems = problems_of(x0, lower, upper, x_scale)
    batch.results, batch.failures = results_in(arrays), arrays['failures']
    batch.count = count
    solve_all(batch, objective, data, n,
              <int>min(<Py_ssize_t>most_threads(options.options.threads), count),
              options.options)
    return arrays


def run_compiled(Lockstep problems, CompiledObjective objective, data, double seconds):
    """Bring all problems that run forward, to their ends or for about so many seconds.

    What a signal's handler raises comes out; all problems are where they are then, and can go on.

    Parameters
    ----------
    problems : Lockstep
        Not one that has been asked.
    objective, data
        As for `solve_compiled`.
    seconds : float
    """
    cdef Batch batch = Batch()
    cdef Py_ssize_t i
    batch.kept, batch.count = problems, problems.running
    batch.until = platform_coarse_seconds() + seconds
    try:
        solve_all(batch, objective, data, problems.n,
                  <int>min(problems.parts, problems.running), problems.states[0].options)
    finally:
        problems.drop_ended(NULL)
        problems.rounds = 0
        for i in range(problems.count):
            problems.rounds += problems.states[i].nfev


cdef int solve_all(Batch batch, CompiledObjective objective, data, Py_ssize_t n, int threads,
                   Options options) except -1:
    """Share the problems out to threads, the first of which is the caller's."""
    cdef const Py_ssize_t[::1] addresses
    cdef int t
    # Signals are for the main thread.
    cdef bint can_look = threading.get_ident() == threading.main_thread().ident
    if data is not None:
        addresses = data
        batch.address = &addresses[0]
    threads = allowed_threads(threads)
    # x and g of each thread, two cache lines apart from those of the next.
    buffers = np.empty((threads, 2 * n + 16))
    cdef Worker *workers = <Worker *>calloc(threads, sizeof(Worker))
    if workers == NULL:
        raise MemoryError(f'no memory for {threads} threads')
    try:
        for t in range(threads):
            if batch.kept is None:
                hire(&workers[t], &batch.problems, options)
            else:
                workers[t].work = batch.kept.block + t * batch.kept.work
            workers[t].e.fun, workers[t].e.data = objective.fun, objective.data
            workers[t].e.pauses_from = PY_SSIZE_T_MAX
            workers[t].e.x = vector_data(buffers[t])
            workers[t].e.g = workers[t].e.x + n
            look_later(&workers[t].e)
        with nogil:
            for t in prange(threads, num_threads=threads, schedule='static', chunksize=1):
                batch.work(&workers[t], can_look and t == 0)
    finally:
        for t in range(threads):
            solver_destroy(&workers[t].with_bounds)
            solver_destroy(&workers[t].without_bounds)
        free(workers)
    if batch.error is not None:
        raise batch.error
    return 0


cdef int hire(Worker *worker, const Problems *all, Options options) except -1:
    """A state machine with bounds and one without."""
    cdef bint scaled = all.scale != NULL
    options.threads = 1
    worker.with_bounds.options = worker.without_bounds.options = options
    if not (solver_create(&worker.with_bounds, all.n, True, scaled)
            and solver_create(&worker.without_bounds, all.n, False, scaled)):
        raise MemoryError(f'no memory for n = {all.n}, maxcor = {options.maxcor}')
    return 0
