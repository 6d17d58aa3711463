"""An objective that changes during the run: new f and gradients for the iterates kept.

The pairs are differences of stored iterates and of their gradients. When the user redefines the
objective, the gradients change and the pairs are made again; an iterate that no longer makes a
pair of positive curvature with the next newer one is dropped. Factors of the secant equation come
from values of f, and those of the new one are not known at the old iterates: a pair that changes
has the factor 1.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable

import numpy as np

from lbfgsb._core.base_solver import BaseSolver
from lbfgsb._core.objective import convert_gradient, convert_value
from lbfgsb._types import Vector

UpdateFunDef = Callable[
    [Vector, float, float, Vector, "deque[Vector]", "deque[Vector]"],
    "tuple[float, float, Vector, deque[Vector]]",
]


class Redefinition:
    """Calls `update_fun_def` and gives its verdict to the solver.

    Parameters
    ----------
    solver : BaseSolver
    update : callable
        As `minimize_lbfgsb` documents it.
    maxcor : int
    eps_SY : float
        A pair is kept if sᵀy > eps_SY·yᵀy.
    logger : logging.Logger, optional
    iterates : tuple of two lists of ndarray, optional
        The stored iterates and gradients of the run that is resumed, the newest last.
    """

    def __init__(
        self,
        solver: BaseSolver,
        update: UpdateFunDef,
        maxcor: int,
        eps_SY: float,
        logger: logging.Logger | None,
        iterates: tuple[list[Vector], list[Vector]] | None = None,
    ) -> None:
        self._solver, self._update = solver, update
        self._eps_SY, self._logger = eps_SY, logger
        self._x: deque[Vector] = deque(maxlen=maxcor + 1)
        self._g: deque[Vector] = deque(maxlen=maxcor + 1)
        if iterates is not None:
            self._x.extend(iterates[0])
            self._g.extend(iterates[1])
        else:
            S, Y, _ = solver._pairs()
            self._x.extend(_unroll(solver.x, S))
            self._g.extend(_unroll(solver.jac, Y))

    def set_maxcor(self, maxcor: int) -> None:
        """Keep iterates for `maxcor` pairs from now on; of those stored, the newest."""
        self._x = deque(self._x, maxcor + 1)
        self._g = deque(self._g, maxcor + 1)

    def extra(self) -> dict[str, tuple[list[Vector], list[Vector]]]:
        """Return what a run needs to go on beside its snapshot: the stored iterates and their
        gradients, oldest first.
        """
        return {"iterates": (list(self._x), list(self._g))}

    def __call__(self) -> None:
        """Redefine the objective at the solver's iterate, which becomes the newest stored."""
        solver = self._solver
        x, g, f, f_old = solver.x, solver.jac, solver.fun, solver._f_old
        is_first = math.isnan(f_old)
        while len(self._x) == self._x.maxlen:
            self._x.popleft()
            self._g.popleft()
        # The user may do with these arrays as he likes.
        points = deque(map(np.copy, self._x), self._x.maxlen)
        gradients = deque(map(np.copy, self._g), self._g.maxlen)
        new = self._update(x.copy(), f, f if is_first else f_old, g, points, gradients)
        if not isinstance(new, (tuple, list)) or len(new) != 4:
            raise TypeError(
                "update_fun_def must return (f0, f0_old, grad, grad_deque); "
                f"got {type(new).__name__}"
                + (f" of {len(new)}" if isinstance(new, (tuple, list)) else "")
            )
        f, f_old, g, gradients = new
        g = convert_gradient(g, solver.n)
        self._g = deque((convert_gradient(h, solver.n).copy() for h in gradients), self._g.maxlen)
        if len(self._g) != len(self._x):
            raise ValueError(
                f"update_fun_def must return a gradient for each of the {len(self._x)} stored "
                f"iterates; got {len(self._g)}"
            )
        S, Y = self._pairs(x, g.copy())
        solver._redefine(convert_value(f), math.nan if is_first else convert_value(f_old), g, S, Y)

    def _pairs(self, x: Vector, g: Vector) -> tuple[Vector, Vector]:
        """Store x and g and return the pairs of what is stored, from the newest back."""
        kept_x, kept_g = [x], [g]
        dropped = 0
        for older_x, older_g in zip(reversed(self._x), reversed(self._g), strict=True):
            s, y = kept_x[0] - older_x, kept_g[0] - older_g
            if s @ y > self._eps_SY * (y @ y):
                kept_x.insert(0, older_x)
                kept_g.insert(0, older_g)
            else:
                dropped += 1
        if dropped and self._logger is not None:
            self._logger.info(
                "update_fun_def: %d of %d pairs dropped, since s'y > eps_SY y'y is lost",
                dropped,
                len(self._x),
            )
        self._x = deque(kept_x, self._x.maxlen)
        self._g = deque(kept_g, self._g.maxlen)
        shape = (len(kept_x) - 1, x.size)
        return np.diff(kept_x, axis=0).reshape(shape), np.diff(kept_g, axis=0).reshape(shape)


def _unroll(newest: Vector, differences: Vector) -> list[Vector]:
    """Return the points, oldest first and without the newest, that have these differences."""
    points = []
    for difference in differences[::-1]:
        newest = newest - difference
        points.append(newest)
    return points[::-1]
