"""What a run gives back: the result, and what it needs to go on later."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.optimize import LbfgsInvHessProduct, OptimizeResult

from lbfgsb._core.base_solver import BaseSolver, unscaled_pairs
from lbfgsb._endings import ending
from lbfgsb._hess_inv import InvHessProduct, LazyInvHessProduct, memory_behind
from lbfgsb._types import Vector


class Memory:
    """All that a run needs to go on to the same bits, kept as it is until it is wanted.

    Parameters
    ----------
    solver : BaseSolver, optional
        A solver that has ended and that nobody else holds.
    snapshot : dict, optional
        What ``solver._snapshot()`` returns; instead of `solver`.
    """

    def __init__(
        self, solver: BaseSolver | None = None, snapshot: dict[str, Any] | None = None
    ) -> None:
        self._solver = solver
        self._snapshot = snapshot
        self.extra: dict[str, Any] = {}

    def snapshot(self) -> dict[str, Any]:
        """Return the snapshot, in arrays of its own."""
        if self._snapshot is None:
            assert self._solver is not None
            self._snapshot = {**self._solver._snapshot(), **self.extra}
            self._solver = None
        return self._snapshot

    def pairs(self) -> tuple[Vector, Vector]:
        """Return S and Y, each (k, n), oldest first, in arrays of their own."""
        if self._snapshot is None:
            assert self._solver is not None
            return self._solver._pairs()
        S, Y = self._pairs_of_snapshot()
        return (S.copy(), Y.copy()) if S is self._snapshot["S"] else (S, Y)

    def holds(self, hess_inv: LbfgsInvHessProduct) -> bool:
        """Return whether the pairs of `hess_inv` are those of this memory."""
        if memory_behind(hess_inv) is self:  # nobody can have changed them
            return True
        self.snapshot()
        return all(map(np.array_equal, self._pairs_of_snapshot(), (hess_inv.sk, hess_inv.yk)))

    def _pairs_of_snapshot(self) -> tuple[Vector, Vector]:
        assert self._snapshot is not None
        S, Y, scale = (self._snapshot[name] for name in ("S", "Y", "scale"))
        return unscaled_pairs(S, Y, scale)

    def __reduce__(self) -> tuple[Any, ...]:
        return Memory, (None, self.snapshot())


class Result(OptimizeResult):
    """An `OptimizeResult` that a later run can go on from; what it needs is not an item."""


def make_result(solver: BaseSolver, memory: Memory) -> Result:
    """Return the result of a run as it stands."""
    status, success, message = ending(solver)
    result = Result(
        x=solver.x,
        fun=solver.fun,
        jac=solver.jac,
        nfev=solver.nfev,
        njev=solver.njev,
        nit=solver.nit,
        status=status,
        message=message,
        success=success,
        hess_inv=LazyInvHessProduct(memory, solver.n, solver._details["pairs"]),
        projected_gradient=solver.projected_gradient,
        gradient_mismatch=solver.gradient_mismatch,
    )
    result.__dict__["_memory"] = memory
    return result


def memory_of(result: object) -> Memory | None:
    """Return what a result of ours carries, None for anybody else's."""
    return getattr(result, "__dict__", {}).get("_memory")


class State(OptimizeResult):
    """The run as a callback sees it: each field is made when it is first looked at.

    A callback that keeps the state finds in it, for good, the iterate it was called for:
    `settle` makes the fields that are still missing before the run moves on.

    Parameters
    ----------
    solver : BaseSolver
    change : callable, optional
        Takes the options that `update` is given; None where there is no run to change.
    """

    def __init__(
        self, solver: BaseSolver, change: Callable[[dict[str, Any]], None] | None = None
    ) -> None:
        super().__init__()
        self.__dict__["_solver"] = solver
        self.__dict__["_change"] = change

    _FIELDS: ClassVar[dict[str, Callable[[BaseSolver], Any]]] = {
        "message": lambda s: ending(s)[2],
        "success": lambda s: ending(s)[1],
        "status": lambda s: ending(s)[0],
        "fun": lambda s: s.fun,
        "x": lambda s: s.x,
        "nit": lambda s: s.nit,
        "jac": lambda s: s.jac,
        "nfev": lambda s: s.nfev,
        "njev": lambda s: s.njev,
        "hess_inv": lambda s: InvHessProduct(*s._pairs()),
        "projected_gradient": lambda s: s.projected_gradient,
        "steplength": lambda s: s.steplength,
        "active_bounds": lambda s: s.active_bounds,
    }

    def __missing__(self, name: str) -> Any:
        solver = self.__dict__.get("_solver")
        if solver is None or name not in self._FIELDS:
            raise KeyError(name)
        value = self[name] = self._FIELDS[name](solver)
        return value

    def settle(self) -> None:
        """Make every field and let go of the solver."""
        self._make_all()
        self.__dict__["_options"] = self.options
        self.__dict__["_solver"] = self.__dict__["_change"] = None

    @property
    def solver(self) -> BaseSolver | None:
        """What the state is of; None once the run has moved on. Not an item."""
        return self.__dict__["_solver"]

    @property
    def options(self) -> dict[str, Any]:
        """The ftol, gtol, ftarget, maxiter, maxfun and maxcor in force; a dict, not an item."""
        solver = self.__dict__["_solver"]
        return dict(self.__dict__["_options"] if solver is None else solver._limits)

    def update(self, *args: Any, **changes: Any) -> None:
        """Change options of the run: any of ftol, gtol, maxiter, maxfun and maxcor.

        The iterate in hand has been tested already. If that has ended the run, the test is made
        again with the new values, so that a run goes on whose limit is raised or whose tolerance
        is lowered. Otherwise a new `maxiter` or `maxfun` holds at once, since it says whether there
        is a next iteration, and new tolerances are for the iterates from the next one on. With a
        smaller `maxcor` the newest pairs are kept.

        Raises
        ------
        TypeError, ValueError
            For another option or a bad value; then nothing has been changed.
        RuntimeError
            If the callback has returned and the run has moved on.
        """
        if args:
            raise TypeError("update takes options by name: ftol, gtol, maxiter, maxfun, maxcor")
        change = self.__dict__["_change"]
        if change is None:
            raise RuntimeError("update must be called by a callback while it has the state")
        change(changes)
        if changes:  # what has been looked at may have ended the run, or not any more
            for name in ("status", "success", "message"):
                self.pop(name, None)

    def get(self, name: str, default: Any = None) -> Any:
        try:
            return self[name]
        except KeyError:
            return default

    def __contains__(self, name: object) -> bool:
        return name in self._FIELDS or super().__contains__(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())

    def keys(self) -> Any:
        self._make_all()
        return super().keys()

    def values(self) -> Any:
        self._make_all()
        return super().values()

    def items(self) -> Any:
        self._make_all()
        return super().items()

    def _make_all(self) -> None:
        if self.__dict__.get("_solver") is not None:
            for name in self._FIELDS:
                self[name]

    def __reduce__(self) -> tuple[Any, ...]:
        return OptimizeResult, (dict(self.items()),)


@dataclass
class InternalState:
    """The state of a run that lbfgsb 1.1 exported; kept for those who build results with it."""

    nit: int = 0
    status: str = "IDLE."
    task_str: str = "START"
    is_success: bool = False
    warnflag: int = 2
