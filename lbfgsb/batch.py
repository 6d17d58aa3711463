"""`minimize_batch`: many problems of the same number of variables at once.

Each problem is solved as `minimize_lbfgsb` solves it alone, to the last bit. What is shared is the
calls of the objective, which gets the points of all problems that still run as the rows of one
array; or, with a compiled objective, the threads.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Never

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import OptimizeResult

from lbfgsb._bounds import as_bound_rows, as_scale, as_starts
from lbfgsb._core.batch import Lockstep, run_compiled, solve_compiled
from lbfgsb._core.objective import CompiledObjective, find_precision, quote
from lbfgsb._core.options import CheckedOptions
from lbfgsb._endings import (
    ENDS,
    LIMIT,
    NOT_FINITE,
    STOPPED,
    Limit,
    as_reason,
    what_is_not_finite,
    why_no_step,
)
from lbfgsb._lowlevel import as_compiled, check_fun, is_compiled
from lbfgsb._options import as_options, no_such_option, options_of
from lbfgsb._result import BatchResult
from lbfgsb._types import Vector
from lbfgsb._watch import WatchOfMany, as_call_of_many, as_callbacks, comes_last

if TYPE_CHECKING:
    from lbfgsb._checkpoint_file import Content

__all__ = ["minimize_batch"]

_Indices = NDArray[np.intp]

# What minimize_lbfgsb takes.
_NOT_HERE = {
    "jac": "fun returns the pair (F, G)",
}

_STATUS = np.array([status for status, _, _ in ENDS])
_SUCCESS = np.array([success for _, success, _ in ENDS])


def minimize_batch(
    fun: Any,
    x0: ArrayLike,
    *,
    bounds: Any = None,
    args: Sequence[Any] = (),
    maxcor: int | None = None,
    ftarget: float | None = None,
    ftol: float = 1e-5,
    gtol: float = 1e-5,
    maxiter: int = 50,
    maxfun: int = 15000,
    maxls: int = 20,
    max_steplength: float = 1e8,
    ftol_linesearch: float = 1e-3,
    gtol_linesearch: float = 0.9,
    xtol_linesearch: float = 0.1,
    eps_SY: float = 2.2e-16,
    callback: Callable[..., Any] | Iterable[Callable[..., Any]] | None = None,
    threads: int | Literal["auto"] = 1,
    x_scale: ArrayLike | None = None,
    fun_precision: float | None = None,
    secant: Literal["modified", "standard"] = "modified",
    pairs: Literal["float64", "float32"] = "float64",
    extra_updates: int | None = None,
    initial_scaling: Literal["diagonal", "scalar"] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    **unknown: Never,
) -> OptimizeResult:
    """Minimise many functions of n variables at once, each subject to its bounds.

    Parameters
    ----------
    fun : callable or scipy.LowLevelCallable
        ``fun(X, *args_rows) -> (F, G)``: the points of the k problems that still run, shape (k, n),
        their values, (k,), and their gradients, (k, n). X is an array of float64, C-contiguous,
        that is never written again while you hold it. F and G may be of any real type and layout,
        also anything with ``__array__`` or DLPack that lies in the memory of the CPU: tensors of
        PyTorch, arrays of JAX. A row that is not finite makes the step of that problem shorter and
        touches no other. ``StopIteration``, after the first call, ends all that run with status 3.

        A `scipy.LowLevelCallable` as `minimize_lbfgsb` takes it: each problem is run to its end
        without the GIL, and the problems are spread over `threads`.
    x0 : array_like, shape (B, n)
        The starts, a row for each problem; clipped into the bounds.
    bounds : array_like of shape (n, 2) or (B, n, 2), sequence of (min, max), or Bounds, optional
        For all problems, or for each. The sides of a `scipy.optimize.Bounds` may be scalars, (n,),
        or (B, n). None and ±inf mean no bound.
    args : sequence, optional
        Each entry has B rows; `fun` gets those of the running problems, ``entry[rows]``. With a
        LowLevelCallable one entry, whose rows are the data of the problems: an array of B
        addresses (integers of a pointer's size), or of float64, shape (B,) or (B, d), C-contiguous
        along the rows, of which each problem gets the address of its row.
    maxcor, ftarget, ftol, gtol, maxiter, maxfun, maxls, max_steplength, ftol_linesearch, \
    gtol_linesearch, xtol_linesearch, eps_SY, secant, pairs, extra_updates, initial_scaling
        For each problem, as in `minimize_lbfgsb` and with its defaults.
    callback : callable or iterable of callables, optional
        ``callback(intermediate_result)`` after each call of `fun`, with the fields of the result as
        they stand: x is the last accepted iterate, status −1 where a problem runs. The arrays are
        yours. Returning True, or raising ``StopIteration``, ends all that run with status 3; an
        array of bool, shape (B,), those of them that it says. Those of `lbfgsb.callbacks` see the
        batch as one run, that on the sum of the functions, with a round for an iterate. With a
        LowLevelCallable only a `~lbfgsb.callbacks.Checkpoint` without `every`.
    threads : int or 'auto', default 1
        Threads for the solvers' own work, from 512 problems each on, or for whole problems with a
        LowLevelCallable; 'auto' stands for the number of processors. The results do not depend on
        it.
    x_scale : float or array_like of shape (n,), optional
        The typical size of each variable, as in `minimize_lbfgsb`; the same for all problems.
    fun_precision : float, optional
        What f is off by, relative, as in `minimize_lbfgsb`; the same for all problems. By default
        the types of F and G at the first call say it.
    checkpoint : path, optional
        A str or `os.PathLike`: the file in which the batch is kept, as in `minimize_lbfgsb`. With
        the same `x0` it goes on from there, to the same bits, if the file exists. A problem that
        had come to its end stays there if the options are the same. With a LowLevelCallable too
        each problem has its own solver then.

    Returns
    -------
    OptimizeResult
        With

        - x (B, n), fun (B,), jac (B, n), projected_gradient and gradient_mismatch (B,): as
          `minimize_lbfgsb` gives them for each problem alone;
        - nit, nfev, njev, status (B,) of int, success (B,) of bool, message, a list of B strings;
        - nrounds: how many times `fun` was called.

        ``res[3]`` is the result of one problem, an `~scipy.optimize.OptimizeResult` with its own
        x, fun, …, for `diagnose`, say. As the `checkpoint` of `minimize_lbfgsb` it is a start from
        its x, f and gradient whose counts go on: a batch gives no pairs away. If a
        `~lbfgsb.callbacks.History` was among the callbacks, the attribute ``res.history`` is a copy
        of it.

    Raises
    ------
    TypeError, ValueError
        For bad input, with the name of the argument; nothing has been evaluated then. Also where
        `fun` returns something of another shape. An exception in `fun` or `callback` comes out as
        it is.
    OSError, CheckpointError
        If nothing can be written to `checkpoint`, or it can't be gone on from.
    MemoryError
        By default the solvers take some 4 kB a problem at n = 2, 12 kB at n = 10, 21 kB at n = 32,
        37 kB at n = 100; with a LowLevelCallable, a thread. A smaller `maxcor` takes less.

    See Also
    --------
    minimize_lbfgsb : one problem.

    Examples
    --------
    Ten thousand fits of y = a exp(−b t), each with noise of its own, a ≥ 0 and 0 ≤ b ≤ 5:

    >>> import numpy as np
    >>> from lbfgsb import minimize_batch
    >>> rng = np.random.default_rng(0)
    >>> t = np.linspace(0, 1, 20)
    >>> y = 2 * np.exp(-3 * t) + 0.01 * rng.standard_normal((10_000, 20))
    >>> def misfit(X, y):
    ...     a, b = X[:, :1], X[:, 1:]
    ...     decay = np.exp(-b * t)
    ...     r = a * decay - y
    ...     G = np.stack([(r * decay).sum(axis=1), (r * -a * t * decay).sum(axis=1)], axis=1)
    ...     return 0.5 * (r * r).sum(axis=1), G
    >>> res = minimize_batch(misfit, np.ones((10_000, 2)), args=(y,), bounds=[(0, None), (0, 5)],
    ...                      ftol=1e-12)
    >>> bool(res.success.all()), np.median(res.x, axis=0).round(2)
    (True, array([2., 3.]))
    """
    if unknown:
        raise no_such_option(next(iter(unknown)), options_of(minimize_batch), _NOT_HERE)
    starts = as_starts(x0, copy=is_compiled(fun))
    count, n = starts.shape
    lower, upper = as_bound_rows(bounds, count, n)
    options = as_options(
        maxcor=maxcor,
        ftarget=ftarget,
        ftol=ftol,
        gtol=gtol,
        maxiter=maxiter,
        maxfun=maxfun,
        maxls=maxls,
        max_steplength=max_steplength,
        ftol_linesearch=ftol_linesearch,
        gtol_linesearch=gtol_linesearch,
        xtol_linesearch=xtol_linesearch,
        eps_SY=eps_SY,
        threads=threads,
        fun_precision=fun_precision,
        secant=secant,
        pairs=pairs,
        extra_updates=extra_updates,
        initial_scaling=initial_scaling,
    )
    scale = as_scale(x_scale, n)
    callbacks = as_callbacks(callback)
    if is_compiled(fun):
        seconds = _between_checkpoints(callbacks)
        objective, data = as_compiled(fun), _addresses(args, count)
        if checkpoint is None and not callbacks:
            arrays = solve_compiled(objective, data, starts, lower, upper, options, scale)
            return _make_result(arrays, int(arrays["nfev"].sum()))
        run = partial(_run_compiled, objective=objective, data=data, most=seconds)
    else:
        check_fun(fun)
        run = partial(_run, fun=fun, rows=_Rows(args, count))
    found: Content | None = None
    if checkpoint is not None:
        from lbfgsb._keeper import keep_run  # what it imports is for those who want it

        found, callbacks = keep_run(checkpoint, callbacks, starts)
    solvers = Lockstep(starts, lower, upper, options, scale, is_compiled(fun))
    why = (
        {}
        if found is None or checkpoint is None
        else _go_on(os.fsdecode(checkpoint), found, starts, solvers, lower, upper, scale)
    )
    del starts, lower, upper, found  # the solvers have their own
    watch = _Watch(callbacks, solvers, why)
    with watch:
        run(solvers, watch)
    return watch.result()


def _go_on(
    path: str,
    found: Content,
    starts: Vector,
    solvers: Lockstep,
    lower: Vector | None,
    upper: Vector | None,
    scale: Vector | None,
) -> dict[int, str]:
    """Bring a new batch to the state of a checkpoint; returns why problems were ended."""
    from lbfgsb._checkpoint_file import wrong_kind
    from lbfgsb._keeper import check_start

    header, snapshots = found
    if header["kind"] != "batch":
        door = "multistart" if header["kind"] == "multistart" else "lbfgsb"
        wrong_kind(path, header["kind"], f"a batch; it is for minimize_{door}")
    x = np.stack([snapshot["x"] for snapshot in snapshots])
    check_start(path, found, starts, solvers.state()["x"], x)
    for i, snapshot in enumerate(snapshots):
        for name, side, none in (("lower", lower, -np.inf), ("upper", upper, np.inf)):
            row = none if side is None else side[min(i, len(side) - 1)]
            kept = none if snapshot[name] is None else snapshot[name]
            if not np.all(row == kept):
                raise ValueError(f"the bounds of problem {i} are not those of the batch in {path}")
        if not np.all(_or_one(scale) == _or_one(snapshot["scale"])):
            raise ValueError(f"x_scale is not that of the batch in {path}")
    return _restore(solvers, found)


def _or_one(scale: Vector | None) -> Any:
    return 1.0 if scale is None else scale


def _restore(solvers: Lockstep, found: Content, reopen: bool = True) -> dict[int, str]:
    """Bring a batch to the state of a checkpoint; returns why problems were ended.

    With `reopen` the ends of its problems are undone, but if the options are the same those alone
    that limits have made.
    """
    from lbfgsb._checkpoint_file import why_stopped

    header, snapshots = found
    why = {int(i): why_stopped(said) or "" for i, *said in header["stopped"]}
    same = {**snapshots[0]["options"], "threads": solvers.options["threads"]} == solvers.options
    ended = {
        i
        for i, snapshot in enumerate(snapshots)
        if not reopen
        or (same and _STATUS[snapshot["phase"][2]] != LIMIT and not isinstance(why.get(i), Limit))
    }
    solvers.restore(snapshots, header["rounds"], ended)
    return {i: said for i, said in why.items() if i in ended}


def _batch_of(found: Content) -> OptimizeResult:
    """Return the result that the checkpoint of a batch has, as it stood."""
    snapshots = found.snapshots
    x = np.stack([snapshot["x"] for snapshot in snapshots])
    lower, upper = _sides(snapshots, "lower", -np.inf), _sides(snapshots, "upper", np.inf)
    options = CheckedOptions(snapshots[0]["options"] | {"threads": 1})
    solvers = Lockstep(x, lower, upper, options, snapshots[0]["scale"])
    why = _restore(solvers, found, reopen=False)
    return _make_result(solvers.state(), solvers.rounds, why)


def _sides(snapshots: list[dict[str, Any]], name: str, none: float) -> Vector:
    """Return a side of the bounds of all problems, (B, n)."""
    return np.stack(
        [np.full(s["x"].shape, none) if s[name] is None else s[name] for s in snapshots]
    )


def _run(solvers: Lockstep, watch: _Watch, fun: Callable[..., Any], rows: _Rows) -> None:
    """Drive all problems to their ends."""
    while solvers.running:
        X = solvers.ask()
        if not solvers.running:
            return
        try:
            pair = fun(X, *rows.of(solvers))
            F, G = _as_values(pair, solvers.running, solvers.n)
        except StopIteration:
            if solvers.rounds == 0:
                raise  # nothing is known that could be returned
            solvers.stop_unanswered()
            return
        if solvers.rounds == 0:
            solvers.set_precision(max(map(find_precision, pair)))
        del pair, X  # the array is used again if nobody else holds it
        solvers.tell(F, G)
        del F, G  # they may be made of X
        watch.on_round()


def _between_checkpoints(callbacks: list[Callable[..., Any]]) -> float:
    """Return how often a batch with a compiled objective is to be written, in seconds.

    Raises
    ------
    ValueError
        If there are other callbacks, or one that counts rounds, of which there are none.
    """
    if not callbacks:
        return math.inf
    from lbfgsb._keeper import keeper_of

    seconds = [math.inf]
    for callback in callbacks:
        keeper = keeper_of(callback)
        if keeper is None or keeper.every is not None:
            raise ValueError(
                "callback can't be called where fun is a LowLevelCallable, but for a Checkpoint "
                "without every"
            )
        if keeper.seconds is not None:
            seconds.append(keeper.seconds)
    return min(seconds)


def _run_compiled(
    solvers: Lockstep,
    watch: _Watch,
    objective: CompiledObjective,
    data: _Indices | None,
    most: float,
) -> None:
    """Drive all problems to their ends, with pauses in which what they have come to is written.

    In a pause the threads wait for each other, so that pauses become rare as time goes on, but for
    one every `most` seconds.
    """
    begin = time.perf_counter()
    while solvers.running:
        seconds = max(0.05, 0.02 * (time.perf_counter() - begin))
        run_compiled(solvers, objective, data, min(seconds, max(most, 0.01)))
        watch.on_round()


class _Watch(WatchOfMany):
    """The callbacks of a batch; a context manager, in which it takes place.

    They meet what `lbfgsb._watch.Watch` does for one run: ``begin_run(state)`` before anything is
    evaluated, a call for each round, and ``end_run(state)``, however the batch ends.
    """

    def __init__(
        self, callbacks: list[Callable[..., Any]], solvers: Lockstep, why: dict[int, str]
    ) -> None:
        super().__init__(callbacks)
        self._solvers = solvers
        self._first = [(one, as_call_of_many(one)) for one in callbacks if not comes_last(one)]
        self._last = [one for one in callbacks if comes_last(one)]
        self._why = why  # what a callback has ended each problem for

    def on_round(self) -> None:
        """Tell all callbacks of the round, and end the problems that they want to end."""
        masks = []
        for callback, call in self._first:
            try:
                said = call(self._state_for(callback))
            except StopIteration as stop:
                said = True
                if stop.args:
                    for i in self._solvers.rows().tolist():
                        self._why.setdefault(i, as_reason(stop))
            masks.append(_as_mask(said, self._solvers.count))
        if masks:
            self._solvers.stop(np.bitwise_or.reduce(masks))
        if self._solvers.running:  # else the batch is over, and they are told of that
            for last in self._last:
                last(intermediate_result=self._state_for(last))

    def result(self) -> BatchResult:
        """Return the result as it stands."""
        result = _make_result(self._solvers.state(), self._solvers.rounds, self._why)
        self.attach_to(result)
        return result

    def _state_for(self, callback: Callable[..., Any]) -> OptimizeResult:
        """Return the state of the batch in arrays of its own, or as one run, or as solvers."""
        if comes_last(callback):
            state = OptimizeResult()
            state.__dict__["_solvers"] = self._solvers, self._why
            return state
        result = _make_result(self._solvers.state(), self._solvers.rounds, self._why)
        return result.as_one() if getattr(callback, "sees_batch_as_one", False) else result


def _as_mask(said: Any, count: int) -> NDArray[np.uint8]:
    """Return which problems a callback ends, as a mask (B,)."""
    mask = np.asarray(said is not None and said)
    if mask.ndim == 0:
        return np.full(count, bool(mask), dtype=np.uint8)
    if mask.shape != (count,) or mask.dtype != bool:
        raise ValueError(
            f"callback must return None, a bool, or an array of bool of shape ({count},); "
            f"got an array of {mask.dtype} of shape {mask.shape}"
        )
    return mask.astype(np.uint8)


class _Rows:
    """The rows of `args` that belong to the running problems, taken anew when those change."""

    def __init__(self, args: Sequence[Any], count: int) -> None:
        if not isinstance(args, (tuple, list)):
            raise TypeError(f"args must be a tuple of arrays of B rows; got {type(args).__name__}")
        self._entries = [_with_rows(entry) for entry in args]
        for i, entry in enumerate(self._entries):
            if len(entry.shape) == 0 or entry.shape[0] != count:
                raise ValueError(
                    f"args[{i}] must have a row for each of the {count} problems; its shape is "
                    f"{tuple(entry.shape)}"
                )
        self._count = count
        self._rows = self._entries

    def of(self, solvers: Lockstep) -> list[Any]:
        if self._entries and solvers.running != self._count:
            self._count = solvers.running
            running = solvers.rows()
            self._rows = [entry[running] for entry in self._entries]
        return self._rows


def _with_rows(entry: Any) -> Any:
    """Return an entry of `args` as something whose rows NumPy's indices choose."""
    if hasattr(entry, "shape") and not hasattr(entry, "iloc"):  # pandas looks for labels
        return entry
    return np.asarray(entry)


def _as_values(pair: Any, k: int, n: int) -> tuple[Vector, Vector]:
    """Return what `fun` returned as contiguous arrays of float64, (k,) and (k, n)."""
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise TypeError(f"fun must return the pair (F, G); got {type(pair).__name__}")
    F, G = (_as_floats(name, value) for name, value in zip("FG", pair, strict=True))
    if F.shape not in ((k,), (k, 1)):
        raise ValueError(f"fun must return F of shape ({k},) for X of {(k, n)}; got {F.shape}")
    if G.shape != (k, n):
        raise ValueError(f"fun must return G of the shape of X, {(k, n)}; got {G.shape}")
    return F.reshape(-1), G


def _as_floats(name: str, value: Any) -> Vector:
    if not hasattr(value, "__array__") and hasattr(value, "__dlpack__"):
        value = np.from_dlpack(value)
    try:
        array = np.asarray(value)
    except ValueError as error:  # rows of different lengths, say
        raise ValueError(f"fun must return {name} as an array of real numbers: {error}") from error
    # bfloat16 and its like are no kind of NumPy's, but it can make float64 of them.
    if array.dtype.kind not in "fiub" and not np.can_cast(array.dtype, np.float64):
        raise TypeError(f"fun must return real numbers in {name}; got {array.dtype}")
    return np.require(array, np.float64, ["C", "A"])


def _addresses(args: Sequence[Any], count: int) -> _Indices | None:
    """Return where each problem's data are, for a compiled objective."""
    if not isinstance(args, (tuple, list)) or len(args) > 1:
        raise ValueError(
            "with a LowLevelCallable, args must be empty or have one entry, the data of the "
            f"problems; got {quote(args)}"
        )
    if len(args) == 0:
        return None
    data = np.asarray(args[0])
    if data.ndim == 0 or data.shape[0] != count:
        raise ValueError(
            f"args[0] must have a row for each of the {count} problems; its shape is {data.shape}"
        )
    if data.dtype in (np.intp, np.uintp) and data.ndim == 1:
        return np.ascontiguousarray(data).view(np.intp)
    # Rows of a copy would be gone when this returns: it must be the user's own array.
    is_theirs = isinstance(args[0], np.ndarray) and data.dtype == np.float64 and data.flags.aligned
    if is_theirs and (data.ndim == 1 or (data.ndim == 2 and data[0].flags.c_contiguous)):
        return data.ctypes.data + data.strides[0] * np.arange(count)
    raise ValueError(
        "args[0] must be an array of addresses, shape (B,), or of float64, shape (B,) or (B, d) "
        f"with contiguous rows; got {type(args[0]).__name__}, {data.dtype} of shape {data.shape}, "
        f"strides {data.strides}"
    )


def _make_result(
    arrays: dict[str, Any], rounds: int, why: dict[int, str] | None = None
) -> BatchResult:
    reason = arrays.pop("reason")
    message = [ENDS[r][2] for r in reason.tolist()]
    for i in np.flatnonzero(reason == NOT_FINITE):
        message[i] += what_is_not_finite(arrays["fun"][i], arrays["jac"][i])
    for i, failure in arrays.pop("failures").items():
        message[i] += why_no_step(arrays["fun"][i], *failure)
    status, success = _STATUS[reason], _SUCCESS[reason] & ~np.isnan(arrays["fun"])
    for problem, said in (why or {}).items():
        if reason[problem] == STOPPED:
            message[problem] += f": {said}"
            if isinstance(said, Limit):
                status[problem], success[problem] = LIMIT, False
    return BatchResult(
        **arrays,
        status=status,
        success=success,
        message=message,
        nrounds=rounds,
    )
