"""How the callbacks of a run are told about it: its begin, each iterate, its end.

Every door that takes callbacks drives them with a `Watch`, so that they meet the same protocol
everywhere. A callback is a function in one of three conventions (`as_callbacks`). It may also have
a method ``begin_run(state)``, called before anything is evaluated, and a method
``end_run(state)``, called once the run is over, also where an exception has ended it.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from threading import get_ident
from types import TracebackType
from typing import Any, Self, TypeGuard

from scipy.optimize import OptimizeResult

from lbfgsb._core.base_solver import BaseSolver
from lbfgsb._core.objective import quote
from lbfgsb._endings import as_reason
from lbfgsb._history import History
from lbfgsb._log import Log
from lbfgsb._options import as_options
from lbfgsb._redefine import Redefinition
from lbfgsb._result import Result
from lbfgsb._state import State

_CHANGEABLE = ("ftol", "gtol", "maxiter", "maxfun", "maxcor")


def as_callbacks(callback: Any) -> list[Callable[..., Any]]:
    """Return what was given as `callback` as a list.

    Raises
    ------
    TypeError
        If it is neither callable nor an iterable of callables.
    """
    if callback is None:
        return []
    if callable(callback):
        _refuse_class(callback)
        return [callback]
    try:
        callbacks = list(callback)
    except TypeError:
        raise TypeError(
            f"callback must be callable or an iterable of callables; got {quote(callback)}"
        ) from None
    for one in callbacks:
        if not callable(one):
            raise TypeError(f"callback must be an iterable of callables; it has {quote(one)}")
        _refuse_class(one)
    return callbacks


def _refuse_class(callback: Any) -> None:
    """``callback=History`` would make a new history of each iterate, and watch nothing."""
    if isinstance(callback, type) and any("__call__" in vars(kind) for kind in callback.__mro__):
        name = callback.__name__
        raise TypeError(f"callback must be an instance: {name}(); got the class {name} itself")


class Callbacks:
    """Callbacks that are told of the begin and the end; a context manager, in which all between
    takes place. What they are told is up to the subclasses.

    Parameters
    ----------
    callbacks : list of callables
        From `as_callbacks`.
    """

    def __init__(self, callbacks: list[Callable[..., Any]]) -> None:
        self._callbacks = callbacks
        self._ends = ExitStack()

    def _begin_history(self, history: History) -> None:
        raise NotImplementedError

    def _tell_begin(self, callback: Callable[..., Any], begin: Callable[[Any], Any]) -> None:
        raise NotImplementedError

    def _tell_end(self, callback: Callable[..., Any], end: Callable[[Any], Any]) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        try:
            for callback in self._callbacks:
                if isinstance(callback, History):
                    self._begin_history(callback)
                begin, end = (getattr(callback, f"{name}_run", None) for name in ("begin", "end"))
                if begin is not None:
                    self._tell_begin(callback, begin)
                if end is not None:
                    self._ends.callback(self._tell_end, callback, end)
        except BaseException:
            self._ends.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ends.__exit__(kind, error, traceback)


class WatchOfMany(Callbacks):
    """The callbacks of many runs that are one to them: a batch, or a search from many starts."""

    def _state_for(self, callback: Callable[..., Any]) -> OptimizeResult:
        """Return the state of it all, as this callback sees it."""
        raise NotImplementedError

    def _begin_history(self, history: History) -> None:
        history._begin_anew()

    def _tell_begin(self, callback: Callable[..., Any], begin: Callable[[Any], Any]) -> None:
        begin(self._state_for(callback))

    def _tell_end(self, callback: Callable[..., Any], end: Callable[[Any], Any]) -> None:
        end(self._state_for(callback))

    def attach_to(self, result: OptimizeResult) -> None:
        """Give the result a copy of the first history: its attribute `history`, not an item."""
        for callback in self._callbacks:
            if isinstance(callback, History):
                result.__dict__["history"] = callback.copy()
                break


class Watch(Callbacks):
    """The callbacks of one run; a context manager, in which the run takes place.

    Parameters
    ----------
    callbacks : list of callables
        From `as_callbacks`.
    solver : BaseSolver
    redefine : Redefinition, optional
    log : Log, optional
        Told of each iterate after the callbacks.

    Attributes
    ----------
    recorders : tuple of Recorder
        The histories: the driver writes them, without a call from Python.
    on_iterate : callable or None
        ``on_iterate() -> bool`` for the driver: tells the other callbacks, returns whether to stop.
    """

    def __init__(
        self,
        callbacks: list[Callable[..., Any]],
        solver: BaseSolver,
        redefine: Redefinition | None = None,
        log: Log | None = None,
    ) -> None:
        super().__init__(callbacks)
        self._solver = solver
        self._redefine, self._log = redefine, log
        self._thread = get_ident()
        self.recorders = tuple(c for c in callbacks if is_history(c))
        others = [c for c in callbacks if not is_history(c)]
        self._calls = [_as_call(c) for c in others if not comes_last(c)]
        self._last_calls = [_as_call(c) for c in others if comes_last(c)]
        self.on_iterate = self._on_iterate if others or log is not None else None

    def _begin_history(self, history: History) -> None:
        history._begin(self._solver)

    def _tell_begin(self, callback: Callable[..., Any], begin: Callable[[Any], Any]) -> None:
        self._tell(begin, self._change)

    def _tell_end(self, callback: Callable[..., Any], end: Callable[[Any], Any]) -> None:
        self._tell(end, None)

    def _on_iterate(self) -> bool:
        stop = False
        for call in self._calls:
            try:
                stop = bool(self._tell(call, self._change)) or stop
            except StopIteration as why:
                if not stop and why.args:
                    self._solver._stop_reason = as_reason(why)
                stop = True
        if not stop:  # else the run is over, and they are told of that
            for call in self._last_calls:
                self._tell(call, self._change)
        if self._log is not None:
            self._log.iterate()
        return stop

    def _tell(self, call: Callable[[State], Any], change: Any) -> Any:
        redefine = self._redefine
        state = State(self._solver, change, None if redefine is None else redefine.extra)
        try:
            return call(state)
        finally:
            # Whoever has kept the state keeps this iterate's.
            held = weakref.ref(state)
            del state
            kept = held()
            if kept is not None:
                kept.settle()

    def _change(self, changes: dict[str, Any]) -> None:
        """What `State.update` does."""
        if get_ident() != self._thread:  # also where the run has just ended
            raise RuntimeError("the solver is in use by another thread")
        for name in changes:
            if name not in _CHANGEABLE:
                raise TypeError(
                    f"update changes {', '.join(_CHANGEABLE)}; got {name!r}, which is none of them"
                )
        solver = self._solver
        checked = as_options(**changes)
        new = {
            name: checked[name] if name in changes else solver._limits[name] for name in _CHANGEABLE
        }
        solver._set_maxcor(new.pop("maxcor"))
        if self._redefine is not None:
            self._redefine.set_maxcor(solver.maxcor)
        solver._set_limits(**new)

    def attach_to(self, result: Result) -> None:
        """Give the result a copy of the first history: its attribute `history`, not an item."""
        if self.recorders:
            result.__dict__["history"] = self.recorders[0].copy()


class _Nobody:
    """A `Watch` where there is nobody to be told: it costs many small problems next to nothing."""

    recorders: tuple[History, ...] = ()
    on_iterate = None

    def __enter__(self) -> _Nobody:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def attach_to(self, result: Result) -> None:
        """Nothing has been recorded."""


NOBODY = _Nobody()


def is_history(callback: Any) -> TypeGuard[History]:
    """Is it a history whose call does nothing else?"""
    return isinstance(callback, History) and type(callback).__call__ is History.__call__


def comes_last(callback: Any) -> bool:
    """Is it told of an iterate when all others have said whether that ends the run, and if not?"""
    return getattr(callback, "comes_last", False) is True


def parameters_of(
    callback: Callable[..., Any], numbers: tuple[int, ...], expected: str
) -> Mapping[str, inspect.Parameter]:
    """Return what a callback takes. Refuse, before the run, one that the run could not call.

    Parameters
    ----------
    callback : callable
    numbers : tuple of int
        With how many arguments it may be called, if not with `intermediate_result` alone.
    expected : str
        That in words.

    Returns
    -------
    mapping of str to inspect.Parameter
        Empty for builtins that do not tell.

    Raises
    ------
    TypeError
    """
    try:
        signature = inspect.signature(callback)
    except (TypeError, ValueError):
        return {}
    if asks_for_result(signature.parameters):
        return signature.parameters
    for number in numbers:
        try:
            signature.bind(*[None] * number)
        except TypeError:
            continue
        return signature.parameters
    name = getattr(callback, "__name__", type(callback).__name__)
    raise TypeError(f"callback must take {expected}; {name} takes {signature}")


def asks_for_result(parameters: Mapping[str, inspect.Parameter]) -> bool:
    """Return whether a callback takes the keyword `intermediate_result` alone, as SciPy has it."""
    return parameters.keys() == {"intermediate_result"}


def _as_call(callback: Callable[..., Any]) -> Callable[[State], Any]:
    """Return a function of the state that calls `callback` as its signature asks.

    It returns whether to stop. In SciPy's two conventions that is never: what such a callback
    returns is often no answer, as the number of characters that ``file.write`` has written.
    """

    def with_result(state: State) -> None:
        callback(intermediate_result=state)

    def with_point(state: State) -> None:
        callback(state.x)

    expected = "(xk), (xk, state), or the keyword intermediate_result alone"
    parameters = parameters_of(callback, (1, 2), expected)
    if asks_for_result(parameters):
        return with_result
    positional = 0
    for p in parameters.values():
        if p.kind is p.VAR_POSITIONAL:
            positional = 2
        elif p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and (
            p.default is p.empty or p.name == "state"
        ):
            positional += 1
    if positional >= 2:
        return lambda state: callback(state.x, state)
    return with_point


def as_call_of_many(callback: Callable[..., Any]) -> Callable[[OptimizeResult], Any]:
    """Return a function of the state that calls `callback` as its signature asks.

    The state is that of all problems of a batch, or of all starts.
    """
    if asks_for_result(parameters_of(callback, (1,), "one argument, the state of all problems")):
        return lambda state: callback(intermediate_result=state)
    return callback
