"""The run as a callback sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from scipy.optimize import OptimizeResult

from lbfgsb._core.base_solver import BaseSolver
from lbfgsb._endings import ending
from lbfgsb._hess_inv import InvHessProduct


class State(OptimizeResult):
    """The run as a callback sees it: each field is made when it is first looked at.

    A callback that keeps the state finds in it, for good, the iterate it was called for:
    `settle` makes the fields that are still missing before the run moves on.

    Parameters
    ----------
    solver : BaseSolver
    change : callable, optional
        Takes the options that `update` is given; None where there is no run to change.
    extra : callable, optional
        Returns what a run needs to go on and the solver does not have.
    """

    def __init__(
        self,
        solver: BaseSolver,
        change: Callable[[dict[str, Any]], None] | None = None,
        extra: Callable[[], dict[str, Any]] | None = None,
    ) -> None:
        super().__init__()
        self.__dict__["_solver"] = solver
        self.__dict__["_change"] = change
        self.__dict__["_extra_of"] = extra

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
        "hess_inv": lambda s: InvHessProduct(*s._pairs(), s._updates_again),
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
        self.__dict__["_solver"] = self.__dict__["_change"] = self.__dict__["_extra_of"] = None

    @property
    def solver(self) -> BaseSolver | None:
        """What the state is of; None once the run has moved on. Not an item."""
        solver: BaseSolver | None = self.__dict__["_solver"]
        return solver

    def _extra(self) -> dict[str, Any]:
        """Return what the run needs to go on and the solver does not have."""
        extra = self.__dict__["_extra_of"]
        return {} if extra is None else extra()

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
