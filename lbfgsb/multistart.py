"""`minimize_multistart`: runs from many starts, and the distinct minima that they have found."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack
from html import escape
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import Bounds, OptimizeResult

from lbfgsb._arguments import of_x_alone
from lbfgsb._bounds import as_bounds, as_starts
from lbfgsb._core.objective import describe, quote
from lbfgsb._endings import ABNORMAL, as_reason, ending
from lbfgsb._executors import Here, WorkerError, Workers, as_workers
from lbfgsb._gradient import FiniteDifference, make_gradient
from lbfgsb._lowlevel import check_fun, is_compiled
from lbfgsb._numbers import as_count, as_number
from lbfgsb._options import no_such_option, options_of
from lbfgsb._result import BatchResult
from lbfgsb._solver import Solver
from lbfgsb._spread import Evaluation, runs
from lbfgsb._types import Vector
from lbfgsb._watch import WatchOfMany, as_call_of_many, as_callbacks, comes_last
from lbfgsb.batch import minimize_batch

if TYPE_CHECKING:
    from lbfgsb._checkpoint_file import Content
    from lbfgsb._keeper import Keeper

__all__ = ["minimize_multistart"]

_SAMPLERS = ("sobol", "lhs", "uniform")

# Options that a Solver takes, and those that say how f and g come.
_OF_SOLVER = (
    *("maxcor", "ftarget", "ftol", "gtol", "maxiter", "maxfun", "maxls", "max_steplength"),
    *("ftol_linesearch", "gtol_linesearch", "xtol_linesearch", "eps_SY", "threads", "x_scale"),
    *("fun_precision", "secant", "pairs", "extra_updates", "initial_scaling"),
)
_OF_GRADIENT = ("eps", "finite_diff_rel_step")
_OF_FUN = ("args", "x_shape")

# Starts of a compiled `fun` that are run together: between them the others are told and written.
_AT_A_TIME = 64

_NOT_HERE = {
    "x0": "the starts are sampled; sampler=starts gives them",
    "workers": "the executor gets the evaluations of all runs",
    "update_fun_def": "each start would need its own; call minimize_lbfgsb for each",
    "seed": "its name is rng",
}


def minimize_multistart(
    fun: Any,
    bounds: Any,
    *,
    n_starts: int | None = None,
    jac: Any = None,
    sampler: str | ArrayLike = "sobol",
    rng: Any = None,
    executor: Any = None,
    batch: int | None = None,
    keep: int = 5,
    x_tol: float = 1e-3,
    stop_after: int | None = None,
    callback: Callable[..., Any] | Iterable[Callable[..., Any]] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    **options: Any,
) -> OptimizeResult:
    r"""Minimise from many starts, and return the best result and the distinct minima.

    Each start is run as `minimize_lbfgsb` runs it, to the last bit. What is found depends on the
    starts alone: neither on `executor`, nor on the order in which it answers, nor on `batch`.

    Parameters
    ----------
    fun : callable or scipy.LowLevelCallable
        The objective, as in `minimize_lbfgsb`; with `batch`, or compiled, as in `minimize_batch`.
    bounds : scipy.optimize.Bounds, sequence of (min, max), or ndarray of shape (n, 2)
        They say n, and where starts are sampled: all finite, unless `sampler` has the starts.
    n_starts : int, default 32, or as many as `sampler` has
        For 'sobol' powers of 2 are best.
    jac : callable, bool, {'2-point', '3-point', 'cs'}, or None
        The gradient, as in `minimize_lbfgsb`. Not with `batch` or a compiled `fun`.
    sampler : {'sobol', 'lhs', 'uniform'} or array_like of shape (N, n), default 'sobol'
        A scrambled Sobol' sequence [1]_ or a Latin hypercube of `scipy.stats.qmc`; independent
        points; or the starts themselves, of which the first `n_starts` are taken.
    rng : int, numpy.random.Generator or None
        For the sampler, as `numpy.random.default_rng` takes it.
    executor : int, concurrent.futures.Executor, map-like callable or None
        Evaluates f and gradients: so many processes (-1: as many as processors); an executor of
        threads, processes or a cluster (`distributed.Client.get_executor`, `mpi4py.futures`,
        loky); or ``executor(f, points)`` like `map`, which gets the points of all runs at a time.
        None: this thread. `fun` and `jac` must then be what the executor can send. An evaluation
        whose worker is lost is made again.
    batch : int, optional
        Run so many starts together through `minimize_batch`. Not with `executor`.
    keep : int, default 5
        How many of the minima to keep, those with the least f.
    x_tol : float, default 1e-3
        Two ends are the same minimum if no variable differs by more than `x_tol` of the width of
        its bounds, or of max(1, \|x\|) where it has not two. See Notes.
    stop_after : int, optional
        End when so many starts in a row, in the order of the starts, have found no minimum that
        those before them had not. The starts after those do not count.
    callback : callable or iterable of callables, optional
        ``callback(intermediate_result)``, called when a start is over, in the order in which they
        end. Its argument has the x, fun, jac and projected_gradient of the best so far; nit, nfev,
        njev, the sums so far; problems, running and converged, numbers of starts. A true return
        value or ``StopIteration`` ends the search. Those of `lbfgsb.callbacks` work,
        `~lbfgsb.callbacks.ProgressBar` among them.
    checkpoint : path, optional
        A str or `os.PathLike`: the file in which finished starts are kept, as in
        `minimize_lbfgsb`. If it exists those in it are not run again. The file keeps the starts
        themselves too, so that `rng` may be None.
    **options
        Those of `Solver`, also `x_scale`; and, but for `batch` and a compiled `fun`, ``eps,
        finite_diff_rel_step, args, x_shape``, as in `minimize_lbfgsb` and with its defaults.

    Returns
    -------
    OptimizeResult
        With

        - x, fun, jac, projected_gradient, status, success, message: of the start that ended at the
          least f, the first of them if several did;
        - minima: a list of at most `keep` `~scipy.optimize.OptimizeResult`, least f first, each
          with x, fun, jac, projected_gradient, message, and ``starts``, the numbers in `runs` of
          the starts that ended there, and ``count``, how many;
        - n_minima: how many distinct minima were found, also those not kept;
        - n_starts: how many starts count;
        - failed: a list of the numbers in `runs` of those that failed: by an exception, or
          abnormally. ``runs[i].message`` says why;
        - runs: the ends of all starts that count, in their order, in the form of the result of
          `minimize_batch`, with ``x0``, shape (N, n); ``runs[i]`` is that of one;
        - nit, nfev, njev: the sums over the starts that count;
        - stopped: None, or why not all starts were run.

    Raises
    ------
    TypeError, ValueError
        For bad input, with the name of the argument; nothing has been evaluated then.
    WorkerError
        If no worker is left: an executor of the user's that is broken or shut down.
        ``error.result`` has what is known, as does the file of `checkpoint`.
    OSError, CheckpointError
        If nothing can be written to `checkpoint`, or it can't be gone on from.

    See Also
    --------
    minimize_lbfgsb : one start.
    minimize_batch : many problems, and a vectorised objective.

    Notes
    -----
    An exception in `fun` is no error here, but the end of its run: with status 2, f and x where
    the run was, NaN if that is nowhere. Only ``StopIteration`` is what it is for `minimize_lbfgsb`.

    A minimum is an end with status 0 or 3. Ends are gone through by f, least first, and each
    belongs to the first minimum that is not further away than `x_tol`; that is represented by its
    first end. A run is as exact as its `ftol` and `gtol` ask for: with flat minima a smaller
    tolerance there goes with a smaller one here. Ends at `maxiter`, 50 by default, count as ends,
    not as minima.

    References
    ----------
    .. [1] A. B. Owen, Scrambling Sobol' and Niederreiter-Xing points, J. Complexity 14 (1998),
       466-489.

    Examples
    --------
    >>> import numpy as np
    >>> from lbfgsb import minimize_multistart
    >>> def himmelblau(x):
    ...     a, b = x[0] ** 2 + x[1] - 11, x[0] + x[1] ** 2 - 7
    ...     return a * a + b * b, np.array([4 * x[0] * a + 2 * b, 2 * a + 4 * x[1] * b])
    >>> res = minimize_multistart(himmelblau, [(-5, 5), (-5, 5)], jac=True, n_starts=16, rng=0,
    ...                           ftol=1e-12)
    >>> res.n_minima, [minimum.count for minimum in res.minima] == [
    ...     len(minimum.starts) for minimum in res.minima]
    (4, True)
    >>> np.array(sorted(minimum.x.round(3).tolist() for minimum in res.minima))
    array([[-3.779, -3.283],
           [-2.805,  3.131],
           [ 3.   ,  2.   ],
           [ 3.584, -1.848]])

    In two threads, with a limit to what the search may cost:

    >>> from concurrent.futures import ThreadPoolExecutor
    >>> with ThreadPoolExecutor(2) as executor:
    ...     again = minimize_multistart(himmelblau, [(-5, 5), (-5, 5)], jac=True, n_starts=16,
    ...                                 rng=0, ftol=1e-12, executor=executor)
    >>> bool((again.x == res.x).all()), again.nfev == res.nfev
    (True, True)
    """
    compiled = is_compiled(fun)
    together = compiled or batch is not None
    names = _OF_SOLVER if together else (*_OF_SOLVER, *_OF_GRADIENT, *_OF_FUN)
    for name in options:
        if name not in names:
            raise no_such_option(name, [*options_of(minimize_multistart), *names], _NOT_HERE)
    keep = as_count("keep", keep)
    x_tol = as_number("x_tol", x_tol)
    if stop_after is not None:
        stop_after = as_count("stop_after", stop_after)
    starts, lower, upper = _starts(bounds, n_starts, sampler, rng)
    callbacks = as_callbacks(callback)
    path = ""
    found: Content | None = None
    keepers: list[Keeper] = []
    if checkpoint is not None:
        # What it imports is for those who want it.
        from lbfgsb._keeper import keep_run, keepers_at

        path = os.fsdecode(checkpoint)
        found, callbacks = keep_run(checkpoint, callbacks, starts)
        keepers = keepers_at(checkpoint, callbacks)
        if found is not None:
            anew = rng is None and isinstance(sampler, str)
            starts = _starts_in(path, found, starts, anew, lower, upper)
    table = _Table(starts, lower, upper, keep, x_tol, stop_after, _told(options, jac))
    if found is not None:
        table.load(path, found)
        for keeper in keepers:
            keeper.on_disk = table.mark()  # a file of more starts stays if none of these is new
    if together:
        if executor is not None:
            raise ValueError(
                "executor must be None with batch or a compiled fun, which threads=k spreads"
            )
        if jac is not None and jac is not True:
            raise ValueError(f"jac must be None with batch or a compiled fun; got {quote(jac)}")
        size = _AT_A_TIME if batch is None else as_count("batch", batch)
        search = _in_batches(fun, table, size, bounds, options)
        workers = None
    else:
        check_fun(fun)
        evaluate, begin = _of_one(fun, jac, lower, upper, starts.shape[1], options)
        workers = as_workers("executor", executor)
        search = _one_by_one(workers or Here(), evaluate, begin, table)
    watch = _Watch(callbacks, table)
    with ExitStack() as stack:
        if workers is not None:
            stack.callback(workers.close)
        stack.enter_context(watch)
        try:
            while not table.is_enough() and next(search, None) is not None:
                if watch.on_end():
                    break
        except WorkerError as error:
            error.result = table.result("NO WORKER IS LEFT")
            raise
        finally:
            search.close()
    result = table.result(watch.why)
    watch.attach_to(result)
    return result


# --- starts -------------------------------------------------------------------------------


def _starts(
    bounds: Any, n_starts: int | None, sampler: Any, rng: Any
) -> tuple[Vector, Vector | None, Vector | None]:
    """Return the starts (N, n), in the bounds, and these."""
    if n_starts is not None:
        n_starts = as_count("n_starts", n_starts)
    if not isinstance(sampler, str):
        given = as_starts(sampler, name="sampler")
        if bounds is not None and _count_of(bounds) not in (1, given.shape[1]):
            raise ValueError(
                f"sampler has starts of {given.shape[1]} variables, and bounds are for "
                f"{_count_of(bounds)}"
            )
        lower, upper = as_bounds(bounds, given.shape[1])
        if n_starts is not None and n_starts > len(given):
            raise ValueError(f"n_starts is {n_starts}, and sampler has {len(given)} starts")
        starts = given[:n_starts]
        if lower is not None and upper is not None:
            starts = np.clip(starts, lower, upper)
        return np.ascontiguousarray(starts), lower, upper
    if sampler not in _SAMPLERS:
        raise ValueError(
            f"sampler must be one of {list(_SAMPLERS)} or an array of starts; got {quote(sampler)}"
        )
    n = _count_of(bounds)
    lower, upper = as_bounds(bounds, n)
    if lower is None or upper is None:
        raise ValueError("bounds must be finite for starts to be sampled in them; none is")
    bad = np.flatnonzero(~(np.isfinite(lower) & np.isfinite(upper)))
    if bad.size:
        i = bad[0]
        raise ValueError(
            f"bounds must be finite for starts to be sampled in them; bounds[{i}] is "
            f"({lower[i]}, {upper[i]}). Or give the starts: sampler=array"
        )
    return _sample(sampler, n_starts or 32, lower, upper, rng), lower, upper


def _count_of(bounds: Any) -> int:
    """Return the number of variables that bounds are for."""
    try:
        if isinstance(bounds, Bounds):
            return int(np.broadcast(bounds.lb, bounds.ub).size)
        return len(bounds)
    except (TypeError, ValueError):
        raise ValueError(
            "bounds must be a pair (min, max) for each variable, or scipy.optimize.Bounds; got "
            f"{describe(bounds)}"
        ) from None


def _sample(sampler: str, count: int, lower: Vector, upper: Vector, rng: Any) -> Vector:
    if isinstance(rng, np.random.RandomState):
        raise TypeError("rng must be an int, a numpy.random.Generator or None; got RandomState")
    try:
        generator = np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        raise type(error)(f"rng must be what numpy.random.default_rng takes: {error}") from error
    n = lower.size
    if sampler == "uniform":
        u = generator.random((count, n))
    else:
        from scipy.stats import qmc  # it takes longer than all the rest

        make: Any = qmc.Sobol if sampler == "sobol" else qmc.LatinHypercube
        name = "rng" if "rng" in inspect.signature(make).parameters else "seed"  # SciPy < 1.15
        engine = make(n, **{name: generator})
        if sampler == "sobol":  # a power of 2, else it warns; what is too much is cut off
            u = engine.random_base2((count - 1).bit_length())[:count]
        else:
            u = engine.random(count)
    # Not lower + u (upper - lower): the difference of large bounds overflows.
    return np.clip(lower * (1 - u) + upper * u, lower, upper)


# --- the two ways to run them -------------------------------------------------------------


def _of_one(
    fun: Any,
    jac: Any,
    lower: Vector | None,
    upper: Vector | None,
    n: int,
    options: dict[str, Any],
) -> tuple[Evaluation, Callable[[Vector], Solver]]:
    """Return what evaluates f and g, and what makes the solver for a start."""
    fun, jac = of_x_alone(fun, jac, options.get("args", ()), options.get("x_shape"), n)
    gradient = make_gradient(
        fun,
        jac,
        lower=lower,
        upper=upper,
        n=n,
        fun_precision=options.get("fun_precision"),
        **{name: options[name] for name in _OF_GRADIENT if name in options},
    )
    bounds = None if lower is None or upper is None else np.stack([lower, upper], axis=1)
    of_solver = {name: value for name, value in options.items() if name in _OF_SOLVER}

    def begin(start: Vector) -> Solver:
        solver = Solver(start, bounds, **of_solver)
        if isinstance(gradient, FiniteDifference):
            solver._differences = gradient.method
        return solver

    begin(np.zeros(n))  # the options are checked before anything is evaluated
    return Evaluation(fun, gradient), begin


def _one_by_one(
    workers: Workers, evaluate: Evaluation, begin: Callable[[Vector], Solver], table: _Table
) -> Generator[int]:
    """Run the starts that are not over; yields the number of each when it is."""
    solvers = ((i, begin(table.starts[i])) for i in table.waiting())
    for i, run in runs(workers, evaluate, solvers):
        solver = run.solver
        status, success, message = ending(solver)
        if run.error is not None:
            status, success, message = ABNORMAL, False, _why(run.error)
        table.put(
            i,
            x=solver.x,
            fun=solver.fun,
            jac=solver.jac,
            projected_gradient=solver.projected_gradient,
            gradient_mismatch=solver.gradient_mismatch,
            nit=solver.nit,
            nfev=solver.nfev,
            njev=solver.njev,
            status=status,
            success=success,
            message=message,
        )
        yield i


def _in_batches(
    fun: Any, table: _Table, size: int, bounds: Any, options: dict[str, Any]
) -> Generator[int]:
    """Run the starts that are not over, so many together; yields the number of each."""
    if not is_compiled(fun):
        check_fun(fun)
        fun = _Named(fun)
    waiting = table.waiting()
    for first in range(0, len(waiting), size):
        chunk = waiting[first : first + size]
        try:
            result: Any = minimize_batch(fun, table.starts[chunk], bounds=bounds, **options)
        except _Failure as failure:
            for i in chunk:
                table.put(i, status=ABNORMAL, success=False, message=_why(failure.cause))
        else:
            for row, i in enumerate(chunk):
                table.put(i, **{name: result[name][row] for name in _COLUMNS})
        yield from chunk


class _Failure(Exception):
    """Tells what `fun` has raised from what `minimize_batch` has to say."""

    def __init__(self, cause: Exception) -> None:
        self.cause = cause


class _Named:
    """`fun`, whose exceptions are `_Failure`, but for ``StopIteration``."""

    def __init__(self, fun: Callable[..., Any]) -> None:
        self.fun = fun

    def __call__(self, X: Vector) -> Any:
        try:
            return self.fun(X)
        except StopIteration:
            raise
        except Exception as error:
            raise _Failure(error) from error


def _why(error: BaseException) -> str:
    text = str(error).partition("\n")[0]
    return f"EXCEPTION: {type(error).__name__}{': ' if text else ''}{text}"[:300]


# --- the ends -----------------------------------------------------------------------------

# Of each end: x and jac are rows, message is in a list, the others are numbers.
_COLUMNS = (
    *("x", "jac", "fun", "projected_gradient", "gradient_mismatch"),
    *("nit", "nfev", "njev", "status", "success", "message"),
)
_FLOATS = ("fun", "projected_gradient", "gradient_mismatch")
_INTEGERS = ("nit", "nfev", "njev", "status", "success")


class _Table:
    """All starts, and the ends of those that are over; also what is written of them.

    Attributes
    ----------
    starts : ndarray of float64, shape (N, n)
    """

    def __init__(
        self,
        starts: Vector,
        lower: Vector | None,
        upper: Vector | None,
        keep: int,
        x_tol: float,
        stop_after: int | None,
        told: dict[str, Any],
    ) -> None:
        count, n = starts.shape
        self.starts = starts
        self._lower = np.full(n, -np.inf) if lower is None else lower
        self._upper = np.full(n, np.inf) if upper is None else upper
        self._keep, self._x_tol, self._told = keep, x_tol, told
        self._done = np.zeros(count, bool)
        self._rows = {"x": starts.copy(), "jac": np.full((count, n), np.nan)}
        self._numbers: dict[str, Any] = {name: np.full(count, np.nan) for name in _FLOATS}
        self._numbers |= {name: np.zeros(count, np.int64) for name in _INTEGERS}
        self._message = ["" for _ in range(count)]
        # Of the starts before `_next`, all of which are over: where the minima were found that were
        # new then, and how many of the last starts have found none.
        self._stop_after, self._next, self._in_a_row = stop_after, 0, 0
        self._known: list[int] = []

    def waiting(self) -> list[int]:
        """Return the numbers of the starts that are not over."""
        return [int(i) for i in np.flatnonzero(~self._done)]

    def put(self, i: int, **end: Any) -> None:
        """Take the end of a start; what is not given stays as it was at the start."""
        for name, value in end.items():
            if name == "message":
                self._message[i] = value
            else:
                (self._rows if name in self._rows else self._numbers)[name][i] = value
        self._done[i] = True

    # What a start that is over has found.

    def _is_minimum(self, i: int) -> bool:
        return bool(self._numbers["success"][i] and np.isfinite(self._numbers["fun"][i]))

    def _is_same(self, i: int, j: int) -> bool:
        x, y = self._rows["x"][i], self._rows["x"][j]
        with np.errstate(over="ignore", invalid="ignore"):
            width = self._upper - self._lower
            size = np.where(np.isfinite(width), width, np.maximum(1.0, np.abs(x)))
            return bool((np.abs(x - y) <= self._x_tol * size).all())

    def _groups(self, order: Iterable[int]) -> list[list[int]]:
        """Return the starts that ended at each minimum, both in the order of `order`."""
        groups: list[list[int]] = []
        for i in order:
            for group in groups:
                if self._is_same(group[0], i):
                    group.append(i)
                    break
            else:
                groups.append([i])
        return groups

    def _count(self) -> int:
        """Return how many starts count: up to where so many in a row have found nothing new.

        Only starts before which all are over are looked at, so that the answer is the same in
        whatever order they end.
        """
        if self._stop_after is None:
            return len(self.starts)
        while (
            self._next < len(self.starts)
            and self._done[self._next]
            and self._in_a_row < self._stop_after
        ):
            i, self._next = self._next, self._next + 1
            if self._is_minimum(i) and not any(self._is_same(j, i) for j in self._known):
                self._known.append(i)
                self._in_a_row = 0
            else:
                self._in_a_row += 1
        return self._next if self._in_a_row == self._stop_after else len(self.starts)

    def is_enough(self) -> bool:
        """Return whether the starts that are over are all that are to count."""
        return bool(self._done[: self._count()].all())

    def result(self, why: str | None) -> _MultistartResult:
        """Return the result of the starts that are over and count."""
        count = self._count()
        counted = np.flatnonzero(self._done[:count])
        runs = self._runs(counted)
        if why is None and count < len(self.starts):
            why = f"STOP: {self._stop_after} STARTS IN A ROW FOUND NO NEW MINIMUM"
        # By f, and in the order of the starts where f is the same.
        order = np.argsort(_or_infinite(runs["fun"]), kind="stable")
        ends = (int(counted[k]) for k in order)
        groups = self._groups(i for i in ends if self._is_minimum(i))
        place = {int(i): k for k, i in enumerate(counted)}
        minima = []
        for group in groups[: self._keep]:
            one = runs[place[group[0]]]
            minima.append(
                OptimizeResult(
                    {name: one[name] for name in ("x", "fun", "jac", "projected_gradient")},
                    message=one["message"],
                    count=len(group),
                    starts=sorted(place[i] for i in group),
                )
            )
        best: dict[str, Any] = {"x": self.starts[0].copy(), "fun": np.nan, "success": False}
        best |= {"jac": np.full(self.starts.shape[1], np.nan), "status": -1}
        best |= {"message": "NO START IS OVER", "projected_gradient": np.nan}
        if counted.size:
            one = runs[int(order[0])]
            best = {name: one[name] for name in best}
        return _MultistartResult(
            best,
            minima=minima,
            n_minima=len(groups),
            n_starts=int(counted.size),
            failed=[k for k, status in enumerate(runs["status"].tolist()) if status == ABNORMAL],
            nit=int(runs["nit"].sum()),
            nfev=int(runs["nfev"].sum()),
            njev=int(runs["njev"].sum()),
            stopped=why,
            runs=runs,
        )

    def _runs(self, counted: NDArray[np.intp]) -> BatchResult:
        """Return the ends of some starts as those of a batch, in arrays of their own."""
        numbers = {name: values[counted] for name, values in self._numbers.items()}
        numbers["success"] = numbers["success"] != 0
        return BatchResult(
            x0=self.starts[counted],
            **{name: rows[counted] for name, rows in self._rows.items()},
            **numbers,
            message=[self._message[i] for i in counted],
            nrounds=int(numbers["nfev"].sum()),
        )

    def state(self) -> OptimizeResult:
        """Return how the search stands as one run, for who watches it."""
        fun, status = self._numbers["fun"], self._numbers["status"]
        best = int(np.argmin(_or_infinite(fun)))
        running = int(np.count_nonzero(~self._done))
        return OptimizeResult(
            x=self._rows["x"][best].copy(),
            fun=float(fun[best]),
            jac=self._rows["jac"][best].copy(),
            projected_gradient=float(self._numbers["projected_gradient"][best]),
            **{name: int(self._numbers[name].sum()) for name in ("nit", "nfev", "njev")},
            status=-1 if running else 0,
            success=not running,
            message="RUNNING" if running else "ALL STARTS ARE OVER",
            running=running,
            converged=int(np.count_nonzero(self._done & (status == 0))),
            problems=len(self.starts),
        )

    # What is written, as `lbfgsb._keeper` asks for it.

    def size(self) -> int:
        return 24 * self.starts.size + 128 * len(self.starts) + (1 << 16)

    def x(self) -> Vector:
        return self.starts

    def evaluations(self) -> int:
        return int(np.count_nonzero(self._done))

    def mark(self) -> tuple[Any, ...]:
        return (int(np.count_nonzero(self._done)),)

    def is_whole(self) -> bool:
        return True

    def write(self, file: IO[bytes], **header: Any) -> None:
        from lbfgsb._checkpoint_file import write_starts

        arrays = {"starts": self.starts, "lower": self._lower, "upper": self._upper}
        arrays |= {"done": self._done, **self._rows, **self._numbers}
        told = {"keep": self._keep, "x_tol": self._x_tol, **header}
        write_starts(file, arrays, options=self._told, message=self._message, **told)

    def load(self, path: str, found: Content) -> None:
        """Take the ends that a file has, of a search with the same starts, bounds and options.

        Raises
        ------
        ValueError
            If it was another search.
        """
        header, (kept,) = found
        said, told = header["options"], self._told
        for name in sorted({*said, *told}):
            if said.get(name) != told.get(name):
                raise ValueError(
                    f"{path} is of a search with {name} = {said.get(name, 'its default')}, and it "
                    f"is {told.get(name, 'its default')} now; delete the file to begin anew"
                )
        for name, side in (("lower", self._lower), ("upper", self._upper)):
            if not np.array_equal(side, kept[name]):
                raise ValueError(f"the bounds are not those of the search in {path}")
        count = min(len(self.starts), len(kept["starts"]))
        if not np.array_equal(self.starts[:count], kept["starts"][:count]):
            raise ValueError(
                f"{path} is of a search from other starts: they depend on rng, sampler and "
                "n_starts; delete the file to begin anew"
            )
        self._done[:count] = kept["done"][:count]
        for columns in (self._rows, self._numbers):
            for name, values in columns.items():
                values[:count] = kept[name][:count]
        self._message[:count] = header["message"][:count]


def _starts_in(
    path: str, found: Content, starts: Vector, anew: bool, lower: Any, upper: Any
) -> Vector:
    """Return the starts to go on with: those of the file where they could not be sampled again."""
    from lbfgsb._checkpoint_file import wrong_kind

    header, snapshots = found
    if header["kind"] != "multistart":
        wrong_kind(path, header["kind"], "a minimize_multistart")
    kept: Vector = snapshots[0]["starts"]
    if kept.shape[1] != starts.shape[1]:
        raise ValueError(
            f"{path} is of a search with {kept.shape[1]} variables; now there are {starts.shape[1]}"
        )
    if not anew:
        return starts
    if len(kept) != len(starts):
        raise ValueError(
            f"{path} is of a search from {len(kept)} starts, and n_starts is {len(starts)} now"
        )
    return kept


def _search_in(found: Content) -> OptimizeResult:
    """Return the result that the file of a search has, as it stood."""
    header, (kept,) = found
    starts, lower, upper = (kept[name] for name in ("starts", "lower", "upper"))
    keep, x_tol, told = (header[name] for name in ("keep", "x_tol", "options"))
    table = _Table(starts, lower, upper, keep, x_tol, None, told)
    table.load("", found)
    return table.result(None if kept["done"].all() else "RUNNING")


def _or_infinite(fun: Vector) -> Vector:
    """Return values of f, those that are not finite after all others."""
    return np.where(np.isfinite(fun), fun, np.inf)


def _told(options: dict[str, Any], jac: Any) -> dict[str, Any]:
    """Return what the ends depend on beside fun, starts and bounds, as a file tells it."""
    told: dict[str, Any] = {"jac": jac if isinstance(jac, str) else None}
    for name, value in options.items():
        if name == "threads" or name in _OF_FUN or value is None:
            continue
        told[name] = str(value) if isinstance(value, str) else np.asarray(value).tolist()
    return told


class _Watch(WatchOfMany):
    """The callbacks of a search; a context manager, in which it takes place.

    Attributes
    ----------
    why : str or None
        What a callback has ended it for.
    """

    def __init__(self, callbacks: list[Callable[..., Any]], table: _Table) -> None:
        super().__init__(callbacks)
        self._table = table
        self._calls = [as_call_of_many(one) for one in callbacks if not comes_last(one)]
        self._last = [one for one in callbacks if comes_last(one)]
        self.why: str | None = None

    def on_end(self) -> bool:
        """Tell all callbacks that one more start is over; returns whether they end the search."""
        stop = False
        for call in self._calls:
            try:
                stop = bool(call(self._table.state())) or stop
            except StopIteration as error:
                stop = True
                if error.args and self.why is None:
                    self.why = f"STOP: USER CALLBACK: {as_reason(error)}"
        if stop and self.why is None:
            self.why = "STOP: USER CALLBACK"
        for last in self._last:
            last(intermediate_result=self._state_for(last))
        return stop

    def _state_for(self, callback: Callable[..., Any]) -> OptimizeResult:
        if not comes_last(callback):
            return self._table.state()
        state = OptimizeResult()
        state.__dict__["_source"] = self._table
        return state


class _MultistartResult(OptimizeResult):
    """What `minimize_multistart` has found; it prints in some thirty lines at most."""

    def __repr__(self) -> str:
        if not {"x", "minima", "runs"} <= self.keys():
            text: str = super().__repr__()
            return text
        failed = len(self["failed"])
        lines = [
            f"{'message':>18}: {self['message']}",
            f"{'success':>18}: {self['success']}",
            f"{'fun':>18}: {self['fun']:.12g}",
            f"{'x':>18}: {_short(self['x'])}",
            f"{'starts':>18}: {self['n_starts']}" + (f", of which {failed} failed" * (failed > 0)),
        ]
        if self["stopped"] is not None:
            lines.append(f"{'stopped':>18}: {self['stopped']}")
        lines.append(f"{'nit, nfev, njev':>18}: {self['nit']}, {self['nfev']}, {self['njev']}")
        kept = len(self["minima"])
        lines.append(
            f"{'minima':>18}: {self['n_minima']}" + (f", {kept} kept" * (kept < self["n_minima"]))
        )
        if kept:
            lines.append(f"{'':18}  {'count':>7} {'fun':>16}  x")
        for minimum in self["minima"][:_ROWS]:
            row = f"{minimum['count']:7} {minimum['fun']:16.9g}  {_short(minimum['x'])}"
            lines.append(f"{'':18}  {row}")
        if kept > _ROWS:
            lines.append(f"{'':18}  ... and {kept - _ROWS} more")
        lines.append(f"{'runs':>18}: runs[i] is the end of one start")
        if "history" in self.__dict__:
            lines.append(f"{'history':>18}: {self.__dict__['history']!r}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return f"<pre>{escape(repr(self))}</pre>"


_ROWS = 10


def _short(x: Vector) -> str:
    numbers = " ".join(f"{value:.6g}" for value in x[:4])
    return f"[{numbers}{' ...' if x.size > 4 else ''}]"
