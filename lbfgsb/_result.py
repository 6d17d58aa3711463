"""What a run gives back: the result, and what it needs to go on later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import LbfgsInvHessProduct, OptimizeResult

from lbfgsb._core.base_solver import BaseSolver, unscaled_pairs
from lbfgsb._endings import ending
from lbfgsb._hess_inv import LazyInvHessProduct, memory_behind
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
        solver = self._solver
        if solver is not None:
            # There before the solver goes, since other threads may be looking for either.
            self._snapshot = {**solver._snapshot(), **self.extra}
            self._solver = None
        assert self._snapshot is not None
        return self._snapshot

    def pairs(self) -> tuple[Vector, Vector]:
        """Return S and Y, each (k, n), oldest first, in arrays of their own."""
        solver = self._solver
        if solver is not None:
            return solver._pairs()
        snapshot = self.snapshot()
        S, Y = _pairs_of(snapshot)
        return (S.copy(), Y.copy()) if S is snapshot["S"] else (S, Y)

    def holds(self, hess_inv: LbfgsInvHessProduct) -> bool:
        """Return whether the pairs of `hess_inv` are those of this memory."""
        if memory_behind(hess_inv) is self:  # nobody can have changed them
            return True
        return all(map(np.array_equal, _pairs_of(self.snapshot()), (hess_inv.sk, hess_inv.yk)))

    def __reduce__(self) -> tuple[Any, ...]:
        return Memory, (None, self.snapshot())


def _pairs_of(snapshot: dict[str, Any]) -> tuple[Vector, Vector]:
    """Return S and Y in the units of x: the snapshot's own arrays if it is not scaled."""
    S, Y, scale = (snapshot[name] for name in ("S", "Y", "scale"))
    return unscaled_pairs(S, Y, scale)


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


@dataclass
class InternalState:
    """The state of a run that lbfgsb 1.1 exported; kept for those who build results with it."""

    nit: int = 0
    status: str = "IDLE."
    task_str: str = "START"
    is_success: bool = False
    warnflag: int = 2
