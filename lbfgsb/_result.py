"""What a run gives back: the result, and what it needs to go on later."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from scipy.optimize import LbfgsInvHessProduct, OptimizeResult

from lbfgsb import _html
from lbfgsb._core.base_solver import BaseSolver, pairs_in
from lbfgsb._endings import ENDS, ending
from lbfgsb._hess_inv import LazyInvHessProduct, factors_of, memory_behind
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

    def pairs(self) -> tuple[Vector, Vector, Vector]:
        """Return S and Y, each (k, n), oldest first, and factors (k,), in arrays of their own."""
        solver = self._solver
        if solver is not None:
            return solver._pairs()
        snapshot = self.snapshot()
        S, Y, secant = pairs_in(snapshot)
        if S is snapshot["S"]:
            S, Y = S.copy(), Y.copy()
        return S, Y, secant.copy()

    def holds(self, hess_inv: LbfgsInvHessProduct) -> bool:
        """Return whether the pairs of `hess_inv` are those of this memory."""
        if memory_behind(hess_inv) is self:  # nobody can have changed them
            return True
        theirs = hess_inv.sk, hess_inv.yk, factors_of(hess_inv)
        return all(map(np.array_equal, pairs_in(self.snapshot()), theirs))

    def agrees_with(self, result: OptimizeResult) -> bool:
        """Return whether a result says what this memory does; nothing of n·m is copied for that
        unless somebody has looked at the pairs.
        """
        held = self._solver
        if held is not None:
            x, g, f = held.x, held.jac, held.fun
        else:
            snapshot = self.snapshot()
            x, g, f = snapshot["x"], snapshot["g"], snapshot["numbers"][0]
        hess_inv = result.get("hess_inv")
        return (
            np.array_equal(x, result.x)
            and np.array_equal(g, result.jac, equal_nan=True)
            and (f == result.fun or (f != f and result.fun != result.fun))
            and hess_inv is not None
            and self.holds(hess_inv)
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return Memory, (None, self.snapshot())


class Result(OptimizeResult):
    """An `OptimizeResult` that a later run can go on from; what it needs is not an item."""

    def __repr__(self) -> str:
        text = str(super().__repr__())
        if "history" not in self.__dict__:
            return text
        width = text.partition("\n")[0].find(":")  # the names end in one column
        return f"{text}\n{'history':>{width}}: {self.__dict__['history']!r}"

    def _repr_html_(self) -> str:
        return _html.of_names(_with_history(self))


def _with_history(result: OptimizeResult) -> list[tuple[str, Any]]:
    history = result.__dict__.get("history")
    return [*result.items(), *([] if history is None else [("history", repr(history))])]


class BatchResult(OptimizeResult):
    """The result of many problems at once: each field has an item for each of them.

    ``batch[3]`` is the result of one, and ``batch["x"]`` a field, as is ``batch.x``.
    """

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, (int, np.integer)):
            return self._one(int(key))
        return super().__getitem__(key)

    def _one(self, i: int) -> Result:
        """Return the result of one problem, in arrays of its own."""
        count = len(self["fun"])
        if not -count <= i < count:
            raise IndexError(f"there are {count} problems; got {i}")
        return Result(
            {name: _item(self[name][i]) for name in _FIELDS_OF_ONE if name in self},
        )

    def as_one(self) -> OptimizeResult:
        """Return the batch as one run, that on the sum of the functions, for who watches it.

        The variables of all problems are those of the sum, so that the inf-norm of its projected
        gradient is the largest of theirs. Problems whose f is not finite are left out of the sum.
        """
        fun, norm, status = self["fun"], self["projected_gradient"], self["status"]
        running = int(np.count_nonzero(status < 0))
        converged = int(np.count_nonzero(status == 0))
        words = f"{converged} OF {fun.size} PROBLEMS CONVERGED"
        others = [(int(s), int(np.count_nonzero(status == s))) for s in np.unique(status) if s > 0]
        words += "".join(f", {count} WITH STATUS {s}" for s, count in others)
        return OptimizeResult(
            x=self["x"],
            fun=float(fun[np.isfinite(fun)].sum()),
            jac=self["jac"],
            nfev=self["nrounds"],
            njev=self["nrounds"],
            nit=self["nrounds"],
            status=-1 if running else int(status.max()),
            success=bool(self["success"].all()),
            message="RUNNING" if running else words,
            projected_gradient=float(norm[~np.isnan(norm)].max(initial=0.0)),
            running=running,
            converged=converged,
            problems=fun.size,
        )

    def __repr__(self) -> str:
        if not {"x", "message", *_NUMBERS_OF_ONE} <= self.keys():
            return str(super().__repr__())
        count, n = self["x"].shape
        ends: dict[str, int] = {}
        for message in self["message"]:
            end = next((end for end in _BY_LENGTH if message.startswith(end)), message)
            ends[end] = ends.get(end, 0) + 1
        width = len(str(count))
        lines = [f"{'problems':>18}: {count} of n = {n}; batch[i] is the result of one"]
        lines += [
            f"{'' if i else 'message':>18}{' ' if i else ':'} {many:{width}} {_cut(end)}"
            for i, (end, many) in enumerate(sorted(ends.items(), key=lambda item: -item[1]))
        ]
        lines.append(f"{'success':>18}: {np.count_nonzero(self['success'])} of {count}")
        lines.append(f"{'nrounds':>18}: {self['nrounds']}")
        lines.append(f"{'':18}  {'least':>11} {'median':>11} {'largest':>11}")
        lines += [f"{name:>18}: {_spread(self[name])}" for name in _NUMBERS_OF_ONE]
        lines.append(f"{'x, jac':>18}: arrays of shape {(count, n)}")
        if "history" in self.__dict__:
            lines.append(f"{'history':>18}: {self.__dict__['history']!r}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return f"<pre>{escape(repr(self))}</pre>"


_NUMBERS_OF_ONE = ("fun", "projected_gradient", "gradient_mismatch", "nit", "nfev", "njev")
_FIELDS_OF_ONE = (
    *("x", "fun", "jac", "nfev", "njev", "nit", "status", "message", "success"),
    *("projected_gradient", "gradient_mismatch"),
)
_BY_LENGTH = sorted((message for _, _, message in ENDS), key=len, reverse=True)


def _item(value: Any) -> Any:
    """Return an element as Python has it, or a row as an array of its own."""
    if isinstance(value, np.ndarray):
        return value.copy()
    return value.item() if isinstance(value, np.generic) else value


def _cut(words: str, width: int = 52) -> str:
    return words if len(words) <= width else f"{words[: width - 3]}..."


def _spread(values: Vector) -> str:
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return "none is finite"
    return " ".join(f"{v:11.6g}" for v in (finite.min(), np.median(finite), finite.max()))


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
        hess_inv=LazyInvHessProduct(memory, solver.n, solver._pair_count, solver._updates_again),
        projected_gradient=solver.projected_gradient,
        gradient_mismatch=solver.gradient_mismatch,
    )
    result.__dict__["_memory"] = memory
    return result


def one_of_a_batch(name: str, result: object) -> None:
    """Ask for the result of one problem where that of a batch was given.

    Raises
    ------
    TypeError
        With the name of the argument.
    """
    if isinstance(result, BatchResult):
        raise TypeError(f"{name} must be the result of one problem, batch[i]; got that of a batch")


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
