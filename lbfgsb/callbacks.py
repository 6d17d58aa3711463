"""Callbacks that watch a run, write it down, or end it.

Each takes the state of the run as the keyword argument ``intermediate_result``, so that it works
alone or in a list with every function of lbfgsb, and with `scipy.optimize.minimize`. SciPy's own
solvers tell x and f alone: what is not known is left out. A batch is to them one run, that on the
sum of the functions: f is the sum, the projected gradient the largest, an iterate a call of the
objective.

A run of lbfgsb also tells when it begins and ends (``begin_run(state)``, ``end_run(state)``). For
a solver that does not, a ``with`` statement does::

    with ProgressBar() as bar:
        scipy.optimize.minimize(fun, x0, method="BFGS", callback=bar)

What ends a run raises ``StopIteration`` with its reason, which the message of the result repeats:
``STOP: USER CALLBACK: the time limit of 10 s is over``. `TargetReached` and `EarlyStopping` are
criteria of their user's, and a run that they end is a success, with status 3; one that `TimeLimit`
or `StopOnSignal` cuts short has status 1 and is none. A run that has converged at that very iterate
keeps its own message.
"""

from __future__ import annotations

import inspect
import json
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from types import FrameType, TracebackType
from typing import IO, Any, ClassVar, Self

import numpy as np
from scipy.optimize import OptimizeResult

from lbfgsb._core.objective import quote
from lbfgsb._endings import Limit
from lbfgsb._history import NUMBERS, History
from lbfgsb._keeper import Keeper
from lbfgsb._log import HEADER, ROWS_A_HEADER
from lbfgsb._numbers import as_count, as_number
from lbfgsb._state import State
from lbfgsb._types import Vector
from lbfgsb.plotting import _check_x, _LiveFigure, _pyplot

__all__ = [
    "Checkpoint",
    "EarlyStopping",
    "History",
    "JSONLines",
    "LivePlot",
    "Print",
    "ProgressBar",
    "StopOnSignal",
    "TargetReached",
    "TensorBoard",
    "TimeLimit",
]


# What the state of a batch has in addition: how many problems.
_OF_BATCH = ("running", "converged")


class _Callback:
    """What the other classes share: a run that begins and ends, and numbers of its iterates."""

    # `lbfgsb.minimize_batch` gives it the batch as one run.
    sees_batch_as_one: ClassVar[bool] = True

    _iterates = 0

    def __call__(self, *, intermediate_result: OptimizeResult) -> None:
        """Take an iterate of the run."""
        raise NotImplementedError

    def begin_run(self, state: OptimizeResult | None) -> None:
        """Get ready; a run of lbfgsb calls this. The state is None from a ``with`` statement."""
        self._iterates = 0

    def end_run(self, state: OptimizeResult | None) -> None:
        """Put all in order; a run of lbfgsb calls this, however it ends."""

    def __enter__(self) -> Self:
        self.begin_run(None)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end_run(None)

    def __repr__(self) -> str:
        """As it was called: what differs from the defaults."""
        given: dict[str, Any] = {}
        for p in inspect.signature(type(self)).parameters.values():
            value = getattr(self, p.name, getattr(self, f"_{p.name}", p.default))
            if p.kind is p.VAR_KEYWORD:
                given |= value if isinstance(value, dict) else {}
            elif not isinstance(value, type(p.default)) or value != p.default:
                given[p.name] = value
        words = ", ".join(f"{name}={quote(value)}" for name, value in given.items())
        return f"{type(self).__name__}({words})"

    @staticmethod
    def _stop(state: OptimizeResult, why: str) -> None:
        """End the run, unless it has converged at this iterate: then that is how it ended."""
        if state.get("status") != 0:
            raise StopIteration(why)

    def _numbers(self, state: OptimizeResult) -> dict[str, float]:
        """Return what the state knows of `NUMBERS`; the iterates are counted if it does not."""
        self._iterates += 1
        numbers: dict[str, float] = {"nit": self._iterates}
        return numbers | {name: state[name] for name in (*NUMBERS, *_OF_BATCH) if name in state}


# --- what ends a run ----------------------------------------------------------------------


class TargetReached(_Callback):
    """Ends the run when a number of its state is small enough.

    Parameters
    ----------
    target : float
    monitor : str or callable, default 'fun'
        The name of a number in the state, or ``monitor(state) -> float``.

    Examples
    --------
    >>> from lbfgsb import minimize_lbfgsb
    >>> from lbfgsb.callbacks import TargetReached
    >>> res = minimize_lbfgsb(x0=[3.0, -1.0], fun=lambda x: (x @ x, 2 * x), jac=True,
    ...                       callback=TargetReached(5.0))
    >>> res.message
    'STOP: USER CALLBACK: fun = 4.67544 has reached the target 5'
    """

    def __init__(
        self, target: float, monitor: str | Callable[[OptimizeResult], float] = "fun"
    ) -> None:
        self.target: float = as_number("target", target, -math.inf)
        self.monitor = monitor
        self._monitor = _Monitor(monitor)

    def __call__(self, *, intermediate_result: OptimizeResult) -> None:
        """Compare."""
        value = self._monitor(intermediate_result)
        if value <= self.target:
            self._stop(
                intermediate_result,
                f"{self._monitor.name} = {value:g} has reached the target {self.target:g}",
            )


class EarlyStopping(_Callback):
    """Ends the run when a number of its state has not improved for a while.

    Parameters
    ----------
    patience : int, default 10
        How many iterates in a row may be without improvement.
    min_delta : float, default 0
        What is an improvement: the number is below the best so far by more than `min_delta`.
    monitor : str or callable, default 'fun'
        The name of a number in the state, or ``monitor(state) -> float``, say a loss on data that
        the objective does not use. NaN is no improvement.

    Attributes
    ----------
    best : float
        The least number seen in the run that counted as an improvement.
    best_x : ndarray of float64, shape (n,), or None
        The iterate there.

    Notes
    -----
    It starts anew with each run, also with one that goes on from a checkpoint.
    """

    def __init__(
        self,
        patience: int = 10,
        min_delta: float = 0.0,
        monitor: str | Callable[[OptimizeResult], float] = "fun",
    ) -> None:
        self.patience: int = as_count("patience", patience)
        self.min_delta: float = as_number("min_delta", min_delta)
        self.monitor = monitor
        self._monitor = _Monitor(monitor)
        self.begin_run(None)

    def begin_run(self, state: OptimizeResult | None) -> None:
        """Forget the best."""
        self.best: float = math.inf
        self.best_x: Vector | None = None
        self._without = 0

    def __call__(self, *, intermediate_result: OptimizeResult) -> None:
        """Compare with the best so far."""
        value = self._monitor(intermediate_result)
        if value < self.best - self.min_delta or (self.best_x is None and value < math.inf):
            self.best = value
            self.best_x = np.array(intermediate_result.x)
            self._without = 0
            return
        self._without += 1
        if self._without >= self.patience:
            self._stop(
                intermediate_result,
                f"{self._monitor.name} has not improved by more than {self.min_delta:g} "
                f"in {self.patience} iterations",
            )


class TimeLimit(_Callback):
    """Ends the run at the first iterate after a time, with status 1: it is no success.

    Parameters
    ----------
    seconds : float
        Wall time since the run began; from the first iterate on where the solver does not tell.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds: float = as_number("seconds", seconds)
        self._start: float | None = None

    def begin_run(self, state: OptimizeResult | None) -> None:
        """Start the clock."""
        self._start = time.perf_counter()

    def end_run(self, state: OptimizeResult | None) -> None:
        """Stop the clock."""
        self._start = None

    def __call__(self, *, intermediate_result: OptimizeResult) -> None:
        """Look at the clock."""
        now = time.perf_counter()
        if self._start is None:
            self._start = now
        if now - self._start >= self.seconds:
            self._stop(intermediate_result, Limit(f"the time limit of {self.seconds:g} s is over"))


class StopOnSignal(_Callback):
    """Ends the run at the next iterate when the process is sent a signal.

    The status is 1, no success; the result is valid, and a checkpoint. Without this, Ctrl-C raises
    `KeyboardInterrupt` out of the run, and SIGTERM, which batch systems send when the time is up,
    ends the process.

    Parameters
    ----------
    signals : int or iterable of int, default (SIGINT, SIGTERM)

    Attributes
    ----------
    received : signal.Signals or None
        The first one that came in this run.

    Raises
    ------
    RuntimeError
        When the run begins, if it is not in the main thread, the only one in which Python lets
        signals be handled, or if a handler was not set from Python and could not be restored.

    Notes
    -----
    The handlers are those of the run: what was there before is restored when it ends. A second
    signal goes to the handler that was there before, so that Ctrl-C twice interrupts an evaluation
    that takes too long.
    """

    def __init__(self, signals: int | Iterable[int] = (signal.SIGINT, signal.SIGTERM)) -> None:
        if isinstance(signals, int):
            signals = (signals,)
        self.signals: tuple[signal.Signals, ...] = tuple(signal.Signals(s) for s in signals)
        self.received: signal.Signals | None = None
        self._before: dict[int, Any] | None = None

    def begin_run(self, state: OptimizeResult | None) -> None:
        """Set the handlers."""
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError(
                "StopOnSignal works in the main thread only: Python handles signals nowhere else"
            )
        if self._before is not None:
            raise RuntimeError("this StopOnSignal is in use by another run already")
        before: dict[int, Any] = {number: signal.getsignal(number) for number in self.signals}
        for number, handler in before.items():
            if handler is None:
                raise RuntimeError(
                    f"{signal.Signals(number).name} has a handler that was not set from Python "
                    "and could not be restored"
                )
        self.received, self._before = None, before
        for number in self.signals:
            signal.signal(number, self._handle)

    def end_run(self, state: OptimizeResult | None) -> None:
        """Restore the handlers."""
        self._restore()

    def __call__(self, *, intermediate_result: OptimizeResult) -> None:
        """End the run if a signal has come."""
        if self._before is None and self.received is None:
            raise RuntimeError(
                "this solver does not tell when a run begins; call it in "
                "'with StopOnSignal() as stop: ...'"
            )
        if self.received is not None:
            self._stop(intermediate_result, Limit(f"{self.received.name} received"))

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number)
        self._restore()

    def _restore(self) -> None:
        before, self._before = self._before, None
        for number, handler in (before or {}).items():
            signal.signal(number, handler)


# --- what writes it down ------------------------------------------------------------------


class Print(_Callback):
    """Prints a row for every so many iterates, and how the run ended.

    Parameters
    ----------
    every : int, default 1
        A row for each iterate whose number is a multiple of it; the last one has a row anyway.
    file : text file, optional
        Where to; by default what `sys.stdout` is then.

    Examples
    --------
    >>> from lbfgsb import minimize_lbfgsb
    >>> from lbfgsb.callbacks import Print
    >>> res = minimize_lbfgsb(x0=[3.0, -1.0], fun=lambda x: x[0] ** 2 + 4 * (x[1] - 3) ** 2,
    ...                       jac=lambda x: [2 * x[0], 8 * (x[1] - 3)], maxiter=4,
    ...                       bounds=[(1, None), (None, None)], callback=Print(every=2))
       nit    nfev                f   |proj g|       step  at bounds
         2       3  4.239389578e+00  1.058e+00  1.000e+00          0
         4       5  1.000000003e+00  2.207e-04  1.000e+00          1
    STOP: TOTAL NO. of ITERATIONS REACHED LIMIT
    """

    # The columns of `HEADER`.
    _COLUMNS = (
        ("nit", "6d"),
        ("nfev", "7d"),
        ("fun", "16.9e"),
        ("projected_gradient", "10.3e"),
        ("steplength", "10.3e"),
        ("active_bounds", "10d"),
    )
    _HEADER_OF_BATCH = (
        f"{'round':>6} {'running':>9} {'converged':>9} {'sum of f':>16} {'|proj g|':>10}"
    )
    _COLUMNS_OF_BATCH = (
        ("nit", "6d"),
        ("running", "9d"),
        ("converged", "9d"),
        ("fun", "16.9e"),
        ("projected_gradient", "10.3e"),
    )

    def __init__(self, every: int = 1, file: IO[str] | None = None) -> None:
        self.every: int = as_count("every", every)
        self._file = file
        self._rows = 0
        self._missed: dict[str, float] | None = None

    def begin_run(self, state: OptimizeResult | None) -> None:
        """Forget what was printed."""
        super().begin_run(state)
        self._rows, self._missed = 0, None

    def __call__(self, *, intermediate_result: OptimizeResult) -> None:
        """Print the iterate if it is its turn."""
        self._missed = numbers = self._numbers(intermediate_result)
        if numbers["nit"] % self.every == 0:
            self._row(numbers)

    def end_run(self, state: OptimizeResult | None) -> None:
        """Print the last iterate, and how the run ended."""
        if self._missed is not None:
            self._row(self._missed)
        if state is not None:
            message = state.message if state.status >= 0 else "INTERRUPTED BY AN EXCEPTION"
            print(message, file=self._file, flush=True)

    def _row(self, numbers: dict[str, float]) -> None:
        header = HEADER
        columns: tuple[tuple[str, str], ...] = self._COLUMNS
        if "running" in numbers:
            header, columns = self._HEADER_OF_BATCH, self._COLUMNS_OF_BATCH
        if self._rows % ROWS_A_HEADER == 0:
            print(header, file=self._file)
        self._rows += 1
        self._missed = None
        cells = (
            format(numbers[name], spec)
            if name in numbers
            else " " * int(spec.split(".")[0].strip("d"))
            for name, spec in columns
        )
        print(" ".join(cells).rstrip(), file=self._file, flush=True)


class JSONLines(_Callback):
    """Writes a line of JSON for each iterate: nit, nfev, njev, fun, ….

    Parameters
    ----------
    path : str or os.PathLike
        The file. A run that goes on from a checkpoint adds to it, any other begins it anew.
    every : int, default 1
        A line for each iterate whose number is a multiple of it.
    append : bool, default False
        Add to what is there in any case.

    Notes
    -----
    A line has the keys nit, nfev, njev, fun, projected_gradient, steplength, active_bounds, as far
    as the solver tells them, and time, in seconds since the run began. A number that is not finite
    is null. Each line is on its way to the disk before the run goes on, so that the file can be
    followed (``tail -f``) and outlives the process; ``pandas.read_json(path, lines=True)`` reads
    it.
    """

    def __init__(self, path: str | os.PathLike[str], every: int = 1, append: bool = False) -> None:
        self.path: str = os.fspath(path)
        self.every: int = as_count("every", every)
        self.append: bool = append
        self._file: IO[str] | None = None
        self._start = 0.0

    def begin_run(self, state: OptimizeResult | None) -> None:
        """Open the file."""
        super().begin_run(state)
        self.end_run(None)
        goes_on = state is not None and state.nit > 0
        mode = "a" if self.append or goes_on else "w"
        self._file = open(self.path, mode, buffering=1, encoding="utf-8")  # noqa: SIM115
        self._start = time.perf_counter()

    def end_run(self, state: OptimizeResult | None) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __call__(self, *, intermediate_result: OptimizeResult) -> None:
        """Write a line if it is its turn."""
        if self._file is None:
            self.begin_run(None)
        numbers = self._numbers(intermediate_result)
        if numbers["nit"] % self.every == 0:
            numbers["time"] = time.perf_counter() - self._start
            line = {name: v if math.isfinite(v) else None for name, v in numbers.items()}
            assert self._file is not None
            self._file.write(json.dumps(line) + "\n")


class Checkpoint(_Callback):
    """Keeps the run in a file from which it goes on, bit for bit, if its process is ended.

    Parameters
    ----------
    path : str or os.PathLike
        The file, in a folder that exists. It is used as it is: no suffix is added.
    every : int, optional
        Write at each iterate whose number is a multiple of it.
    seconds : float, optional
        Write at the first iterate that comes so long after the last writing. By default (neither
        `every` nor `seconds`) it is written as often as that takes at most 2 % of the time of the
        run so far.
    keep : int, default 2
        So many files, all whole at any moment: the newest, ``path.1``, which is the one before it,
        and so on.

    Raises
    ------
    OSError
        When the run begins, before anything is evaluated: if the folder does not exist, may not
        be written in or has no room.
    CheckpointError
        Then, if there is a file of that name that is no checkpoint.
    TypeError
        With a solver that is not of lbfgsb, which shows nothing of its memory.

    See Also
    --------
    lbfgsb.load_checkpoint : reads the file.

    Notes
    -----
    ``minimize_lbfgsb(checkpoint=path)`` has one by itself and goes on from the file; give one of
    the same path as a callback to choose `every`, `seconds` or `keep`. The end of the run is
    written in any case, also where an exception ends it. If a file can't be written later on, a
    disk being full, say, there is a `~lbfgsb.CheckpointWarning`; the run goes on, and the files
    stay.

    A file is written beside the one before and brought to the disk before it takes that one's
    name. The pairs are not copied for it.

    Examples
    --------
    >>> import os, tempfile
    >>> from lbfgsb import minimize_lbfgsb
    >>> from lbfgsb.callbacks import Checkpoint
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "run.npz")
    >>> def fun(x):
    ...     return ((x - 3) ** 4).sum(), 4 * (x - 3) ** 3
    >>> res = minimize_lbfgsb(x0=[0.0, 1.0], fun=fun, jac=True, checkpoint=path,
    ...                       callback=Checkpoint(path, every=5, keep=3))
    >>> sorted(os.listdir(folder.name))
    ['run.npz', 'run.npz.1', 'run.npz.2']
    >>> folder.cleanup()
    """

    # It writes the problems of a batch, not their sum, and what all others have made of the run.
    sees_batch_as_one: ClassVar[bool] = False
    comes_last: ClassVar[bool] = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        every: int | None = None,
        seconds: float | None = None,
        keep: int = 2,
    ) -> None:
        self._keeper = Keeper(path, every, seconds, keep)
        self.path: str = os.fsdecode(path)
        self.every: int | None = self._keeper.every
        self.seconds: float | None = self._keeper.seconds
        self.keep: int = self._keeper.keep

    def begin_run(self, state: OptimizeResult | None) -> None:
        """Find out whether the file can be there."""
        self._keeper.begin_run(state)

    def __call__(self, *, intermediate_result: OptimizeResult) -> None:
        """Write the run if it is time to."""
        self._keeper(intermediate_result=intermediate_result)

    def end_run(self, state: OptimizeResult | None) -> None:
        """Write the end."""
        self._keeper.end_run(state)


class TensorBoard(_Callback):
    """Gives the numbers of each iterate to a TensorBoard writer.

    Parameters
    ----------
    writer : object
        Anything with ``add_scalar(tag, value, step)``: ``torch.utils.tensorboard.SummaryWriter``,
        ``tensorboardX.SummaryWriter``, …. It stays open; its ``flush()``, if it has one, is called
        when the run ends.
    every : int, default 1
        For each iterate whose number is a multiple of it.
    prefix : str, default 'lbfgsb/'
        Of the tags: ``lbfgsb/fun``, ``lbfgsb/projected_gradient``, ….
    """

    def __init__(self, writer: Any, every: int = 1, prefix: str = "lbfgsb/") -> None:
        if not callable(getattr(writer, "add_scalar", None)):
            raise TypeError(f"writer must have a method add_scalar; got {quote(writer)}")
        self.writer: Any = writer
        self.every: int = as_count("every", every)
        self.prefix: str = prefix

    def __call__(self, *, intermediate_result: OptimizeResult) -> None:
        """Write the numbers if it is their turn."""
        numbers = self._numbers(intermediate_result)
        nit = int(numbers.pop("nit"))
        if nit % self.every == 0:
            for name, value in numbers.items():
                self.writer.add_scalar(self.prefix + name, value, nit)

    def end_run(self, state: OptimizeResult | None) -> None:
        """Flush."""
        flush = getattr(self.writer, "flush", None)
        if flush is not None:
            flush()


# --- what shows it ------------------------------------------------------------------------


class ProgressBar(_Callback):
    """A `tqdm` bar, in a terminal or a notebook: how far the projected gradient is down to `gtol`.

    The bar is empty at the first projected gradient and full at `gtol`, on a logarithmic scale.
    Beside it are log10 of the projected gradient, f, the iterations, and evaluations of f a second.
    Where there is no `gtol`, or the solver does not tell the projected gradient, the numbers are
    shown alone. For a batch the bar is how many of its problems are over.

    Parameters
    ----------
    interval : float, default 0.1
        Seconds between two changes of the display, at least.
    **options
        For ``tqdm.auto.tqdm``: ``file``, ``leave``, ``position``, ``ncols``, ``disable``, ….

    Raises
    ------
    ImportError
        If tqdm is not installed (``pip install 'lbfgsb[progress]'``).
    """

    _WITH_BAR = "{percentage:3.0f}%|{bar}| {desc} [{elapsed}]"
    _WITHOUT_BAR = "{desc} [{elapsed}]"

    def __init__(self, interval: float = 0.1, **options: Any) -> None:
        try:
            from tqdm.auto import tqdm
        except ImportError as error:
            raise ImportError("ProgressBar needs tqdm: pip install 'lbfgsb[progress]'") from error
        self._tqdm = tqdm
        self._interval, self._options = as_number("interval", interval), options
        self._bar: Any = None

    def begin_run(self, state: OptimizeResult | None) -> None:
        """Open the bar."""
        super().begin_run(state)
        self.end_run(None)
        self._bar = self._tqdm(
            **{"total": 1.0, "dynamic_ncols": True, "bar_format": self._WITHOUT_BAR} | self._options
        )
        self._first = math.nan
        self._last: OptimizeResult | None = None
        self._begin = self._shown = time.perf_counter()
        self._first_nfev = 0 if state is None else state.nfev
        if state is not None:
            self._position(state)

    def __call__(self, *, intermediate_result: OptimizeResult) -> None:
        """Move the bar, if the last time is long enough ago."""
        if self._bar is None:
            self.begin_run(None)
        self._iterates += 1
        now = time.perf_counter()
        if math.isnan(self._first):
            self._position(intermediate_result)
        if not isinstance(intermediate_result, State):  # nobody will give the last one at the end
            self._last = intermediate_result
        if now - self._shown >= self._interval:
            self._shown = now
            self._show(intermediate_result, "")

    def end_run(self, state: OptimizeResult | None) -> None:
        """Leave a last line and close the bar."""
        if self._bar is None:
            return
        if state is not None:
            self._show(state, ": " + self._end_of(state))
        elif self._last is not None:
            self._show(self._last, "")
        self._bar.close()
        self._bar = None

    def _position(self, state: OptimizeResult) -> None:
        """Place the bar between the first projected gradient and gtol, if they are known."""
        if "running" in state:
            self._bar.bar_format = self._WITH_BAR
            self._bar.total = state.problems
            self._bar.n = state.problems - state.running
            return
        norm = state.get("projected_gradient", math.nan)
        gtol = state.options["gtol"] if isinstance(state, State) else 0.0
        if not (math.isfinite(norm) and norm > 0 and gtol > 0):
            return
        if math.isnan(self._first):
            self._first = norm
        way = max(math.log10(self._first / gtol), 1e-9)
        self._bar.bar_format = self._WITH_BAR
        self._bar.total = way
        self._bar.n = min(max(math.log10(self._first / norm), 0.0), way)

    def _show(self, state: OptimizeResult, end: str) -> None:
        self._position(state)
        words = []
        if "running" in state:
            words.append(f"{state.running} of {state.problems} running")
        norm = state.get("projected_gradient", math.nan)
        if math.isfinite(norm):
            words.append(f"log10 |proj g| {math.log10(norm):.1f}" if norm > 0 else "|proj g| 0")
            gtol = state.options["gtol"] if isinstance(state, State) else 0.0
            if gtol > 0:
                words[-1] += f" to {math.log10(gtol):.1f}"
        words.append(f"f = {state.fun:.6g}")
        words.append(f"{state.get('nit', self._iterates)} it")
        if "nfev" in state:
            seconds = max(time.perf_counter() - self._begin, 1e-9)
            words.append(f"{(state.nfev - self._first_nfev) / seconds:.3g} f/s")
        self._bar.set_description_str(", ".join(words) + end, refresh=False)
        self._bar.refresh()

    def _end_of(self, state: OptimizeResult) -> str:
        if state.status < 0:
            return "interrupted"
        if state.status == 0:
            if self._bar.bar_format == self._WITH_BAR:
                self._bar.n = self._bar.total
            return "converged"
        return "stopped"


class LivePlot(_Callback):
    """A picture of the convergence that is drawn while the run goes on.

    It is what `lbfgsb.plot_convergence` draws, in a window or in a notebook's output. A window
    stays open until the program ends; ``matplotlib.pyplot.show()`` waits until it is closed.

    Parameters
    ----------
    interval : float, default 0.2
        Seconds between two redraws, at least. They are rarer where a redraw takes long, so that no
        more than a fifth of the time goes into drawing.
    x : {'nit', 'nfev', 'time'}, default 'nit'
        The horizontal axis.

    Attributes
    ----------
    history : History
    figure : matplotlib.figure.Figure or None
        None before the first iterate.

    Raises
    ------
    ImportError
        If matplotlib is not installed (``pip install 'lbfgsb[plot]'``).
    """

    # The pause after a redraw, in multiples of the time that it took.
    _PAUSE = 4.0

    def __init__(self, interval: float = 0.2, x: str = "nit") -> None:
        _check_x(x)
        self._interval, self._x = as_number("interval", interval), x
        _pyplot()
        self.history: History = History()
        self._live: _LiveFigure | None = None
        self._next = -math.inf

    @property
    def figure(self) -> Any:
        """The figure of matplotlib; None until something is drawn."""
        return None if self._live is None else self._live.figure

    def begin_run(self, state: OptimizeResult | None) -> None:
        """Begin a new picture."""
        super().begin_run(state)
        solver = state.solver if isinstance(state, State) else None
        if solver is None:
            self.history = History()
        else:
            self.history._begin(solver)
        self._live, self._next = None, -math.inf

    def __call__(self, *, intermediate_result: OptimizeResult) -> None:
        """Redraw, if the last time is long enough ago."""
        self.history(intermediate_result=intermediate_result)
        begin = time.perf_counter()
        if begin >= self._next:
            self._draw()
            end = time.perf_counter()
            self._next = end + max(self._interval, self._PAUSE * (end - begin))

    def end_run(self, state: OptimizeResult | None) -> None:
        """Draw the whole run."""
        if len(self.history) > 0:
            self._draw()
        if self._live is not None:
            self._live.finish()

    def _draw(self) -> None:
        if self._live is None:
            self._live = _LiveFigure(self._x)
        self._live.draw(self.history)


# --- arguments ----------------------------------------------------------------------------


class _Monitor:
    """A number of the state, by its name or by a function of the state."""

    def __init__(self, monitor: str | Callable[[OptimizeResult], float]) -> None:
        if callable(monitor):
            self.name = getattr(monitor, "__name__", "monitor")
        elif monitor in NUMBERS:
            self.name = monitor
        else:
            raise ValueError(
                f"monitor must be callable or one of {', '.join(NUMBERS)}; got {quote(monitor)}"
            )
        self._monitor = monitor

    def __call__(self, state: OptimizeResult) -> float:
        if callable(self._monitor):
            return float(self._monitor(state))
        if self._monitor not in state:
            raise ValueError(f"the state of this solver has no {self._monitor!r} to monitor")
        return float(state[self._monitor])
