"""What evaluates in parallel: an executor, a map, or a number of processes, as one kind of object.

All of them take calls and give their outcomes back in any order (`Workers`). They differ in what
the loss of a worker means. A `concurrent.futures.ProcessPoolExecutor` is broken as a whole when one
of its processes dies, and a `multiprocessing.Pool` waits forever. The processes of a number,
`_Processes`, are therefore this module's own: each has a pipe, whose end tells of its death at
once; that costs the one call that it had, and another takes its place. Schedulers of clusters
replace workers themselves.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import operator
import os
import pickle
import re
import signal
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Future, wait
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for_connections
from typing import Any, NamedTuple, TypeAlias, cast

from lbfgsb._core.objective import describe

MapLike: TypeAlias = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]


class WorkerError(RuntimeError):
    """A worker was lost, and with it what it was evaluating.

    Attributes
    ----------
    solver : Solver or None
        Of a run of `minimize_lbfgsb`: where it was. It can go on: ``part = err.solver.result()``
        is a checkpoint, ``minimize_lbfgsb(x0=part.x, checkpoint=part, ...)`` goes on from it.
    result : OptimizeResult or None
        Of a `minimize_multistart`: what is known from the starts that are over.
    """

    solver: Any = None
    result: Any = None


class Outcome(NamedTuple):
    """What has become of a call: its value, or what it raised; or its worker was lost."""

    value: Any = None
    error: BaseException | None = None
    is_lost: bool = False


class Workers:
    """What takes calls of one argument, and gives their outcomes in the order in which they come.

    Attributes
    ----------
    width : int or None
        How many calls run at a time; None: not known.
    """

    width: int | None = None

    def submit(self, key: Any, fun: Callable[[Any], Any], item: Any) -> None:
        """Take the call ``fun(item)``, whose outcome will have that key.

        Raises
        ------
        WorkerError
            If there is nobody left to take it.
        """
        raise NotImplementedError

    def collect(self) -> list[tuple[Any, Outcome]]:
        """Wait until at least one call is over; returns those that are."""
        raise NotImplementedError

    def cancel(self) -> None:
        """Forget all calls; those under way may go on to their ends."""
        raise NotImplementedError

    def close(self) -> None:
        """Give back what is ours. What the user has opened stays open."""
        self.cancel()

    def map(self, fun: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        """Return the values of a function, in the order of the items.

        Raises
        ------
        WorkerError
            If a worker was lost. What the function raises comes out as it is.
        """
        count = 0
        for item in items:
            self.submit(count, fun, item)
            count += 1
        values: dict[int, Any] = {}
        try:
            while len(values) < count:
                for key, outcome in self.collect():
                    if outcome.is_lost:
                        raise lost(outcome.error)
                    if outcome.error is not None:
                        raise outcome.error
                    values[key] = outcome.value
        finally:
            self.cancel()
        return [values[i] for i in range(count)]


def lost(cause: BaseException | None) -> WorkerError:
    """Return the error for a lost worker."""
    why = "" if cause is None else f" ({type(cause).__name__}: {str(cause).partition(chr(10))[0]})"
    error = WorkerError(f"a worker was lost while it evaluated fun{why}")
    error.__cause__ = cause
    return error


# What the schedulers of clusters raise for a lost worker; not worth an import.
_LOSSES = {("distributed", "KilledWorker"), ("ray", "RayActorError"), ("ray", "WorkerCrashedError")}


def is_loss(error: BaseException | None) -> bool:
    """Return whether an error is of a worker, not of the function that it evaluated."""
    return isinstance(error, (BrokenExecutor, CancelledError)) or any(
        (kind.__module__.partition(".")[0], kind.__name__) in _LOSSES
        for kind in type(error).__mro__
    )


def as_workers(name: str, given: Any) -> Workers | None:
    """Return what evaluates, None for evaluations in this thread, one after the other.

    Parameters
    ----------
    name : str
        Of the argument.
    given : None, int, concurrent.futures.Executor, or map-like callable
        A number of processes, -1 for all processors; 1 stands for this thread.

    Raises
    ------
    TypeError, ValueError
        With the name of the argument.
    """
    if given is None:
        return None
    if isinstance(given, type) and hasattr(given, "submit"):
        raise TypeError(f"{name} must be an executor, not its class {given.__name__}")
    if callable(getattr(given, "submit", None)):
        if callable(getattr(given, "get_executor", None)):  # distributed.Client
            raise TypeError(f"{name} must be an executor: client.get_executor(), not the client")
        return _Executor(given)
    if callable(given):
        return _Map(cast(MapLike, given))
    try:
        count = operator.index(given)
    except TypeError:
        hint = "; did you mean pool.map?" if callable(getattr(given, "map", None)) else ""
        raise TypeError(
            f"{name} must be an int, an executor, a map-like callable or None; "
            f"got {describe(given)}{hint}."
        ) from None
    if count < 1 and count != -1:
        raise ValueError(
            f"{name} must be a positive number of processes, or -1 for all; got {count}."
        )
    if count == -1:
        count = available_processors()
    return None if count == 1 else _Processes(count)


def available_processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Here(Workers):
    """The thread that asks: each call when it is asked for."""

    width = 1

    def __init__(self) -> None:
        self._calls: deque[tuple[Any, Callable[[Any], Any], Any]] = deque()

    def submit(self, key: Any, fun: Callable[[Any], Any], item: Any) -> None:
        self._calls.append((key, fun, item))

    def collect(self) -> list[tuple[Any, Outcome]]:
        key, fun, item = self._calls.popleft()
        return [(key, _outcome(fun, item))]

    def cancel(self) -> None:
        self._calls.clear()


def _outcome(fun: Callable[[Any], Any], item: Any) -> Outcome:
    try:
        return Outcome(fun(item))
    except Exception as error:
        return Outcome(error=error)


class _Caught:
    """A function that returns what it raises, so that a map gives the other values too."""

    def __init__(self, fun: Callable[[Any], Any]) -> None:
        self.fun = fun

    def __call__(self, item: Any) -> Outcome:
        return _outcome(self.fun, item)


class _Map(Workers):
    """A map-like callable: all calls at once, ``mapping(fun, items)``."""

    def __init__(self, mapping: MapLike) -> None:
        self._mapping = mapping
        self._calls: list[tuple[Any, Callable[[Any], Any], Any]] = []

    def submit(self, key: Any, fun: Callable[[Any], Any], item: Any) -> None:
        self._calls.append((key, fun, item))

    def collect(self) -> list[tuple[Any, Outcome]]:
        calls, self._calls = self._calls, []
        fun = calls[0][1]
        assert all(each is fun for _, each, _ in calls)
        outcomes = self.map(_Caught(fun), [item for _, _, item in calls])
        if len(outcomes) != len(calls):
            raise ValueError(
                f"a map-like callable must return a value for each of the {len(calls)} points; "
                f"{self._mapping!r} returned {len(outcomes)}"
            )
        return [(key, outcome) for (key, _, _), outcome in zip(calls, outcomes, strict=True)]

    def cancel(self) -> None:
        self._calls.clear()

    def map(self, fun: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        try:
            values = self._mapping(fun, items)
            if not isinstance(values, Iterable):
                raise TypeError(
                    "a map-like callable must return the values of all points, as map does; "
                    f"{self._mapping!r} returned {describe(values)}"
                )
            return list(values)
        except Exception as error:
            if is_loss(error):
                raise lost(error) from error
            raise


class _Executor(Workers):
    """A `concurrent.futures.Executor`, or what has a `submit` like it."""

    def __init__(self, executor: Any) -> None:
        self._executor = executor
        # How many workers it has is not part of what an executor tells; these tell it.
        width = getattr(executor, "_max_workers", None) or getattr(executor, "num_workers", None)
        self.width = width if isinstance(width, int) else None
        self._keys: dict[Future[Any], Any] = {}
        self._portable = _Portable(_nothing)

    def submit(self, key: Any, fun: Callable[[Any], Any], item: Any) -> None:
        if self._portable.fun is not fun:
            self._portable = _Portable(fun)
        try:
            future = self._executor.submit(self._portable, item)
        except (BrokenExecutor, RuntimeError) as error:  # broken, or shut down
            self.cancel()
            raise lost(error) from error
        self._keys[future] = key

    def collect(self) -> list[tuple[Any, Outcome]]:
        done, _ = wait(self._keys, return_when=FIRST_COMPLETED)
        outcomes = [(self._keys.pop(future), _outcome_of(future)) for future in done]
        for _, outcome in outcomes:
            error = outcome.error
            if isinstance(error, _PICKLE) and _SAYS_SO.search(str(error)):
                _check_sendable(self._portable.fun)
            if error is not None and not isinstance(error, Exception):
                raise error  # Ctrl-C, say, that a process has heard first
        return outcomes

    def cancel(self) -> None:
        for future in self._keys:
            future.cancel()
        self._keys.clear()


def _outcome_of(future: Future[Any]) -> Outcome:
    try:
        error = future.exception()
    except CancelledError as cancelled:  # by the executor, whose end it is
        error = cancelled
    return Outcome(error=error, is_lost=is_loss(error)) if error is not None else Outcome(
        future.result()
    )


# What pickle raises: for what it does not know, and for a function that can't be imported.
_PICKLE = (pickle.PicklingError, AttributeError, TypeError)
# "Can't pickle ..."; Python 3.13: "Can't get local object 'f.<locals>.<lambda>'".
_SAYS_SO = re.compile("pickle|local object")


def _check_sendable(fun: Callable[[Any], Any]) -> bytes:
    """Return a function as bytes, for other processes.

    Raises
    ------
    TypeError
        If it is none that they can import. That ends everything, since no call can succeed.
    """
    try:
        return pickle.dumps(fun)
    except _PICKLE as error:
        raise TypeError(
            f"fun, jac and their args can't be sent to other processes: {error}. A function must "
            "be defined in a module, by def; threads, Dask, loky and Ray take any"
        ) from error


def _nothing(item: Any) -> None:
    """Return nothing."""


class _Portable:
    """A function whose exceptions can be sent back from another process.

    An exception that can't be made anew from its arguments would break a `ProcessPoolExecutor`.
    """

    def __init__(self, fun: Callable[[Any], Any]) -> None:
        self.fun, self.home = fun, os.getpid()

    def __call__(self, item: Any) -> Any:
        try:
            return self.fun(item)
        except Exception as error:
            if os.getpid() == self.home:
                raise
            try:
                pickle.loads(pickle.dumps(error))
            except Exception as reason:
                raise _not_sent(error, reason) from None
            raise


def _not_sent(what: Any, reason: Exception) -> TypeError:
    return TypeError(f"what fun gave can't be pickled ({reason}): {describe(what)}")


# --- processes of our own -----------------------------------------------------------------


class _Worker:
    """A process, the pipe to it, and the key of the call that it has."""

    def __init__(self) -> None:
        context = multiprocessing.get_context()
        self.connection, theirs = context.Pipe()
        # The child of a fork has all ends that are open here: it closes this one, else its pipe
        # would never end.
        inherited = self.connection if context.get_start_method() == "fork" else None
        self.process = context.Process(target=_serve, args=(theirs, inherited), daemon=True)
        self.process.start()
        theirs.close()
        self.key: Any = None
        self.knows: bytes | None = None

    def send(self, key: Any, fun: bytes, item: Any) -> None:
        # The function goes there once, not with each of its arguments.
        message = pickle.dumps((None if fun is self.knows else fun, item))
        self.key, self.knows = key, fun
        with contextlib.suppress(OSError):  # it is dead, as the end of the pipe will say
            self.connection.send_bytes(message)

    def end(self) -> None:
        self.connection.close()
        self.process.terminate()
        self.process.join()
        self.process.close()


class _Processes(Workers):
    """So many processes, that begin with the first calls and last until `close`."""

    def __init__(self, count: int) -> None:
        self.width = self._count = count
        self._calls: deque[tuple[Any, bytes, Any]] = deque()
        self._idle: list[_Worker] = []
        self._busy: dict[Connection, _Worker] = {}
        self._fun: tuple[Callable[[Any], Any], bytes] | None = None

    def submit(self, key: Any, fun: Callable[[Any], Any], item: Any) -> None:
        if self._fun is None or self._fun[0] is not fun:
            self._fun = fun, _check_sendable(fun)
        self._calls.append((key, self._fun[1], item))
        self._send()

    def _send(self) -> None:
        while self._calls and len(self._busy) < self._count:
            worker = self._idle.pop() if self._idle else _Worker()
            worker.send(*self._calls.popleft())
            self._busy[worker.connection] = worker

    def collect(self) -> list[tuple[Any, Outcome]]:
        outcomes = list(self._answers())
        self._send()
        return outcomes

    def _answers(self) -> Iterator[tuple[Any, Outcome]]:
        ready = wait_for_connections(list(self._busy))
        for worker in [worker for worker in self._busy.values() if worker.connection in ready]:
            del self._busy[worker.connection]
            try:
                outcome = Outcome(*pickle.loads(worker.connection.recv_bytes()))
            except (EOFError, OSError):
                worker.process.join()
                outcome = Outcome(error=_how_it_ended(worker.process.exitcode), is_lost=True)
                worker.end()
            else:
                self._idle.append(worker)
            yield worker.key, outcome

    def cancel(self) -> None:
        self._calls.clear()
        busy, self._busy = self._busy, {}
        for worker in busy.values():
            worker.end()

    def close(self) -> None:
        self.cancel()
        while self._idle:
            self._idle.pop().end()


def _how_it_ended(code: int | None) -> BrokenExecutor:
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            return BrokenExecutor(f"its process was ended by {signal.Signals(-code).name}")
    return BrokenExecutor(f"its process ended with code {code}")


def _serve(connection: Connection, inherited: Connection | None) -> None:
    """Answer the calls that come through a pipe until it ends: what a process does."""
    if inherited is not None:
        inherited.close()
    # Ctrl-C in a terminal goes to all processes; the one that waits for this one ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pickled, fun = b"", None
    answer: tuple[Any, Exception | None]
    while True:
        try:
            message = connection.recv_bytes()
        except (EOFError, OSError):
            return
        try:
            # Here, and not where the pipe is read: a function that can't be imported is an
            # exception like any other.
            sent, item = pickle.loads(message)
            if sent is not None:
                pickled, fun = sent, None
            if fun is None:
                fun = pickle.loads(pickled)
            answer = fun(item), None
        except Exception as error:
            error.add_note(f"In another process:\n{traceback.format_exc()}")
            answer = None, error
        connection.send_bytes(_pickled(answer))


def _pickled(answer: tuple[Any, Exception | None]) -> bytes:
    try:
        pickled = pickle.dumps(answer)
        pickle.loads(pickled)  # an exception may pickle, and not be made anew
        return pickled
    except Exception as error:
        what = answer[1] if answer[1] is not None else answer[0]
        return pickle.dumps((None, _not_sent(what, error)))
