"""When a run is written down, and where one goes on: the checkpoints of a run on the disk."""

from __future__ import annotations

import hashlib
import os
import time
import warnings
from typing import IO, TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from scipy.optimize import OptimizeResult

from lbfgsb import _durable
from lbfgsb._checkpoint_file import (
    CheckpointError,
    CheckpointWarning,
    Content,
    is_checkpoint,
    read,
    write_batch,
    write_run,
)
from lbfgsb._endings import Limit
from lbfgsb._numbers import as_count, as_number
from lbfgsb._state import State
from lbfgsb._types import Vector

if TYPE_CHECKING:
    from lbfgsb._core.batch import Lockstep

# By default all writing together takes at most this part of the run so far, but for the end.
SHARE = 0.02
# What a first checkpoint is expected to take: seconds, and bytes a second.
_FIRST, _SPEED = 0.02, 2e8


class Keeper:
    """Writes the checkpoints of one run after the other; in the form of a callback.

    Parameters
    ----------
    path, every, seconds, keep
        As `lbfgsb.callbacks.Checkpoint` documents them.
    """

    comes_last: ClassVar[bool] = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        every: int | None = None,
        seconds: float | None = None,
        keep: int = 2,
    ) -> None:
        if every is not None and seconds is not None:
            raise ValueError("a checkpoint is every so many iterates or every so many seconds")
        self.path = as_path("path", path)
        self.every = None if every is None else as_count("every", every)
        self.seconds = None if seconds is None else as_number("seconds", seconds)
        self.keep = as_count("keep", keep)
        # Of the run under way: `digest` of its x0, and `mark` of what the newest file has.
        self.start: str | None = None
        self.on_disk: tuple[Any, ...] | None = None
        self._begin = self._last = self._spent = 0.0

    def is_at(self, path: str) -> bool:
        """Return whether it writes that file."""
        return self.path == path

    def begin_run(self, state: OptimizeResult | None) -> None:
        """Find out what can be found out before anything is evaluated.

        Raises
        ------
        OSError
            If the file can't be there.
        CheckpointError
            If there is a file that is no checkpoint, which is not to be lost.
        """
        source = source_of(state)
        _durable.check_place(self.path, source.size())
        if os.path.exists(self.path) and not is_checkpoint(self.path):
            raise CheckpointError(
                f"{self.path} is no checkpoint of lbfgsb, and is not written over", "foreign"
            )
        _durable.remove_leftovers(self.path)
        if self.start is None:
            self.start = digest(source.x())
        self._begin = self._last = time.perf_counter()
        self._spent, self._one = 0.0, _FIRST + source.size() / _SPEED

    def __call__(self, *, intermediate_result: OptimizeResult) -> None:
        """Write the state if it is time to."""
        source = source_of(intermediate_result)
        now = time.perf_counter()
        if self.every is not None:
            due = source.mark()[0] % self.every == 0
        elif self.seconds is not None:
            due = now - self._last >= self.seconds
        else:
            due = self._spent + self._one <= SHARE * (now - self._begin)
        if due:
            self._save(source)

    def end_run(self, state: OptimizeResult | None) -> None:
        """Write the end, or where an exception has ended the run, unless it is written."""
        source = source_of(state)
        if source.mark() != self.on_disk and source.evaluations() > 0 and source.is_whole():
            self._save(source)
        self.start = self.on_disk = None

    def _save(self, source: Source) -> None:
        begin = time.perf_counter()
        try:
            _durable.replace(
                self.path, lambda file: source.write(file, start=self.start), self.keep
            )
            self.on_disk = source.mark()
        except OSError as error:
            warnings.warn(
                f"no checkpoint could be written ({error}); the run goes on, and "
                f"{self.path} is as it was",
                CheckpointWarning,
                stacklevel=2,
            )
        self._last = time.perf_counter()
        self._one = self._last - begin
        self._spent += self._one


# --- what is written ----------------------------------------------------------------------


class Source(Protocol):
    """What a checkpoint is written from."""

    def size(self) -> int:
        """Return the bytes that its file takes, at most and about."""
        ...

    def x(self) -> Vector:
        """Return the start."""
        ...

    def evaluations(self) -> int:
        """Return 0 if there is nothing to be written yet."""
        ...

    def mark(self) -> tuple[Any, ...]:
        """Return what tells this moment from others; first what is counted."""
        ...

    def is_whole(self) -> bool:
        """Return whether one can go on from here."""
        ...

    def write(self, file: IO[bytes], **header: Any) -> None:
        """Write the file."""
        ...


class _Run:
    """One run, as the state of its callbacks has it."""

    def __init__(self, state: State) -> None:
        assert state.solver is not None
        self._solver, self._state = state.solver, state

    def size(self) -> int:
        """Return the bytes that its file takes, at most and about."""
        solver = self._solver
        return 8 * solver.n * (2 * solver.maxcor + _VECTORS) + _SMALL

    def x(self) -> Vector:
        return self._solver.x

    def evaluations(self) -> int:
        return self._solver.nfev

    def mark(self) -> tuple[Any, ...]:
        """Return what tells this moment of the run from others; nit first."""
        s = self._solver
        return s.nit, s.nfev, s.njev, s._reason, s._limits

    def write(self, file: Any, **header: Any) -> None:
        extra = {"differences": self._solver._differences, **self._state._extra()}
        write_run(file, self._solver, extra, kind="run", **header)

    def is_whole(self) -> bool:
        """Return whether a run can go on from here: not if update_fun_def has failed."""
        iterates = self._state._extra().get("iterates")
        if iterates is None:
            return True
        return len(iterates[0]) > 0 and np.array_equal(iterates[0][-1], self._solver.x)


class _Batch:
    """All problems of a batch, as the state of its callbacks has them."""

    def __init__(self, solvers: Lockstep, why: dict[int, str]) -> None:
        self._solvers, self._why = solvers, why

    def size(self) -> int:
        solvers = self._solvers
        maxcor = int(solvers.options["maxcor"])
        return 8 * solvers.count * solvers.n * (2 * maxcor + _VECTORS) + _SMALL

    def x(self) -> Vector:
        x: Vector = self._solvers.state()["x"]
        return x

    def evaluations(self) -> int:
        return self._solvers.rounds

    def mark(self) -> tuple[Any, ...]:
        return self._solvers.rounds, self._solvers.running

    def is_whole(self) -> bool:
        return True

    def write(self, file: Any, **header: Any) -> None:
        why = [[i, said, isinstance(said, Limit)] for i, said in self._why.items()]
        write_batch(
            file, self._solvers.snapshots(), rounds=self._solvers.rounds, stopped=why, **header
        )


# x, g, d, g_best, lower, upper, scale, status; and what does not grow with n.
_VECTORS, _SMALL = 8, 1 << 16


def source_of(state: OptimizeResult | None) -> Source:
    """Return what a state's run can be written from.

    Raises
    ------
    TypeError
        If it is not of a run of lbfgsb.
    """
    if isinstance(state, State) and state.solver is not None:
        return _Run(state)
    kept = getattr(state, "__dict__", {})
    if "_source" in kept:  # of a multistart
        source: Source = kept["_source"]
        return source
    solvers = kept.get("_solvers")
    if solvers is None:
        raise TypeError("a Checkpoint is of a run of lbfgsb; this solver does not show its memory")
    return _Batch(*solvers)


# --- where a run goes on ------------------------------------------------------------------


def as_path(name: str, path: Any) -> str:
    """Return a path as a string, absolute and without links.

    So it means the same file when the process has gone to another folder, and it is the file that
    a link leads to that is replaced, not the link.

    Raises
    ------
    TypeError, ValueError
        With the name of the argument.
    """
    try:
        text = os.fspath(path)
    except TypeError:
        raise TypeError(f"{name} must be a str or os.PathLike; got {type(path).__name__}") from None
    text = os.fsdecode(text)
    if not text or "\0" in text:
        raise ValueError(f"{name} must be the path of a file; got {text!r}")
    place = os.path.realpath(text)
    return place if os.path.basename(text) else os.path.join(place, "")


def digest(x0: Vector) -> str:
    """Return what tells the start of a run from others."""
    return hashlib.sha256(np.ascontiguousarray(x0).data).hexdigest()


def find(path: str) -> Content | None:
    """Return the newest checkpoint at a path that can be read, None if there is none.

    Where the newest is damaged the one before takes its place, with a `CheckpointWarning`.

    Raises
    ------
    OSError
        If there is something that can't be read.
    CheckpointError
        If all that there are are damaged, or the newest is not one of this lbfgsb.
    """
    try:
        return read(path)
    except FileNotFoundError:
        return None
    except CheckpointError as error:
        if error.reason not in ("truncated", "altered"):
            raise
        damage = error
    age = 1
    while os.path.exists(before := _durable.earlier(path, age)):
        try:
            content = read(before)
        except CheckpointError:
            age += 1
            continue
        aside = f"{path}.damaged"
        _durable.give_second_name(path, aside)
        _durable.give_second_name(before, path)
        warnings.warn(
            f"{damage}; the run goes on from the one before it, {before}, and the damaged file is "
            f"now {aside}",
            CheckpointWarning,
            stacklevel=4,
        )
        return content
    raise damage


def keep_run(
    path: str | bytes | os.PathLike[Any], callbacks: list[Any], x0: Vector
) -> tuple[Content | None, list[Any]]:
    """Have a run written down at `path`, and find where it goes on.

    Parameters
    ----------
    path : path-like
    callbacks : list
        Of the run. A `lbfgsb.callbacks.Checkpoint` of the same path among them does the writing.
    x0 : ndarray
        The start that was given.

    Returns
    -------
    found : Content or None
        The checkpoint to go on from.
    callbacks : list
        With what writes.
    """
    name = as_path("checkpoint", path)
    found = find(name)
    keepers = [keeper for each in callbacks if (keeper := keeper_of(each)) is not None]
    if not any(keeper.is_at(name) for keeper in keepers):
        keepers.append(Keeper(name))
        callbacks = [*callbacks, keepers[-1]]
    for keeper in keepers:
        keeper.start = digest(x0) if found is None else found.header.get("start")
        if found is not None:
            keeper.on_disk = mark_of(found) if keeper.is_at(name) else None
    return found, callbacks


def keepers_at(path: str | os.PathLike[str], callbacks: list[Any]) -> list[Keeper]:
    """Return those among the callbacks that write this file."""
    name = as_path("checkpoint", path)
    keepers = [keeper_of(callback) for callback in callbacks]
    return [keeper for keeper in keepers if keeper is not None and keeper.is_at(name)]


def keeper_of(callback: Any) -> Keeper | None:
    """Return what does the writing for a `lbfgsb.callbacks.Checkpoint`, None for anything else."""
    if isinstance(callback, Keeper):
        return callback
    keeper = getattr(callback, "_keeper", None)
    return keeper if isinstance(keeper, Keeper) else None


def mark_of(content: Content) -> tuple[Any, ...]:
    """Return what `mark` of the run was when it was written."""
    header, snapshots = content
    if header["kind"] == "multistart":
        return (int(snapshots[0]["done"].sum()),)
    if header["kind"] == "batch":
        return header["rounds"], sum(snapshot["phase"][0] != _DONE for snapshot in snapshots)
    (snapshot,) = snapshots
    options = snapshot["options"]
    limits = {name: options[name] for name in _LIMITS}
    return *snapshot["counts"][1:4], snapshot["phase"][2], limits


_DONE = 3
_LIMITS = ("ftol", "gtol", "ftarget", "maxiter", "maxfun", "maxcor")


def is_over(content: Content, options: dict[str, Any]) -> bool:
    """Return whether the run of a checkpoint has come to its end and is to be left there.

    It is if nobody has changed the options, and no limit has ended it: neither `maxiter` or
    `maxfun`, nor that of a callback. Such a run, and one that had no time to end, goes on.
    """
    (snapshot,) = content.snapshots
    same = {**snapshot["options"], "threads": options["threads"]} == options
    return same and content.header["result"]["status"] in (0, 2, 3)


def check_start(path: str, content: Content, x0: Vector, clipped: Vector, x: Vector) -> None:
    """Raise ValueError if a checkpoint is not of the run that starts from x0.

    Parameters
    ----------
    path : str
    content : Content
    x0, clipped : ndarray
        The start that was given, and that point in the bounds, which a callback alone knows.
    x : ndarray
        The checkpoint's; from there is allowed too.
    """
    if x0.shape != x.shape:
        raise ValueError(f"{path} is of a run with x of shape {x.shape}; x0 has {x0.shape}")
    start = content.header.get("start")
    if start not in (None, digest(x0), digest(clipped)) and not np.array_equal(x0, x):
        raise ValueError(
            f"{path} is of a run that began at another x0; delete the file to begin a new one, or "
            "give its own x as x0 to go on"
        )
