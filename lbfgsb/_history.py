"""The numbers of every iterate: what `lbfgsb.callbacks.History` keeps of a run."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult

from lbfgsb import _html
from lbfgsb._core.recorder import Recorder
from lbfgsb._numbers import as_count
from lbfgsb._state import State
from lbfgsb._types import Vector

# The numbers that a state has; SciPy's own has fun alone.
NUMBERS = (
    "nit",
    "nfev",
    "njev",
    "fun",
    "projected_gradient",
    "steplength",
    "active_bounds",
)


_MOST_ROWS = 10  # of the table in a notebook


def _shown_rows(length: int) -> list[int]:
    """Return the numbers of all rows, or of the first and the last."""
    half = _MOST_ROWS // 2
    return [k for k in range(length) if length <= _MOST_ROWS or k < half or k >= length - half]


class History(Recorder):
    """The numbers of every iterate, in arrays, and x or the bounds every so often.

    Parameters
    ----------
    x_every : int, default 0
        Keep x as well, for each iterate whose number is a multiple of `x_every`; 0: never.
    bounds_every : int, default 0
        Keep likewise which variables are at a bound, one byte each; `lbfgsb.plot_bounds` shows it.

    Attributes
    ----------
    nit, nfev, njev, active_bounds : ndarray of int64, shape (k,)
        The number of each of the k iterates, the evaluations of f and of the gradient up to there,
        the variables held by a bound; -1 where a solver does not tell.
    fun, projected_gradient, steplength : ndarray of float64, shape (k,)
        f, the inf-norm of the projected gradient, the multiple of the search direction in the step
        to the iterate; NaN where a solver does not tell.
    time : ndarray of float64, shape (k,)
        Wall time in seconds since the run began; since the history was made where the solver does
        not tell.
    x : ndarray of float64, shape (j, n)
        The iterates that were kept, and in ``x_nit``, shape (j,), their numbers.
    at_bounds : ndarray of int8, shape (j, n)
        -1 where a variable is at its lower bound, 1 at its upper, 2 where both are equal, else 0;
        ``at_bounds_nit``, shape (j,), has the numbers of the iterates.

    Notes
    -----
    There is a row for each iterate of a run, however it ends: ``len(history) == res.nit``. The
    core writes it without a call of Python; at n = 10 that adds 0.2 µs to an iteration.

    A history belongs to one run and what it is resumed by. Given to a run that starts from a
    checkpoint, it goes on if it has the checkpoint's iterate; rows beyond that one are dropped,
    and its clock goes on too. Any other run begins it anew. With an empty history, the resumed
    run's own iterates are recorded; their numbers, in ``nit``, still are those of the whole.

    Of a batch (`lbfgsb.minimize_batch`) there is a row for each call of the objective, as of a run
    on the sum of the functions: fun is that sum over the problems whose f is finite,
    projected_gradient the largest of all, nit, nfev and njev the calls so far.

    The arrays are read-only views and never change: those of a run that goes on do not grow.
    A result has a copy of the first history of its run, as the attribute ``res.history``.

    Examples
    --------
    >>> from lbfgsb import minimize_lbfgsb
    >>> from lbfgsb.callbacks import History
    >>> history = History()
    >>> res = minimize_lbfgsb(x0=[3.0, -1.0], fun=lambda x: (x @ x, 2 * x), jac=True,
    ...                       bounds=[(1, None), (None, None)], callback=history)
    >>> len(history) == res.nit, bool(history.fun[-1] == res.fun)
    (True, True)
    >>> history.active_bounds
    array([0, 1])
    """

    # A batch is to it one run, that of the sum of the functions.
    sees_batch_as_one: ClassVar[bool] = True

    def __init__(self, x_every: int = 0, bounds_every: int = 0) -> None:
        super().__init__(
            as_count("x_every", x_every, least=0), as_count("bounds_every", bounds_every, least=0)
        )

    def _begin_anew(self) -> None:
        """Forget all, and start the clock."""
        Recorder.__init__(self, self.x_every, self.bounds_every)

    def __call__(self, *, intermediate_result: OptimizeResult) -> None:
        """Add an iterate. Runs of lbfgsb need no call: their driver writes the rows."""
        state = intermediate_result
        solver = state.solver if isinstance(state, State) else None
        if solver is not None:
            self._record(solver)
            return
        numbers = {name: float(state.get(name, math.nan)) for name in NUMBERS[1:]}
        self._append(
            nit=int(state.get("nit", len(self) + 1)),
            f=numbers.pop("fun"),
            x=state.get("x"),
            **numbers,
        )

    @property
    def nit(self) -> NDArray[np.int64]:
        return self._integers(0)

    @property
    def nfev(self) -> NDArray[np.int64]:
        return self._integers(1)

    @property
    def njev(self) -> NDArray[np.int64]:
        return self._integers(2)

    @property
    def fun(self) -> Vector:
        return self._tables()[0][:, 3]

    @property
    def projected_gradient(self) -> Vector:
        return self._tables()[0][:, 4]

    @property
    def steplength(self) -> Vector:
        return self._tables()[0][:, 5]

    @property
    def active_bounds(self) -> NDArray[np.int64]:
        return self._integers(6)

    @property
    def time(self) -> Vector:
        return self._tables()[0][:, 7]

    @property
    def x(self) -> Vector:
        points = self._tables()[1]
        return np.empty((0, 0)) if points is None else points[:, 1:]

    @property
    def x_nit(self) -> NDArray[np.int64]:
        points = self._tables()[1]
        return np.empty(0, np.int64) if points is None else points[:, 0].astype(np.int64)

    @property
    def at_bounds(self) -> NDArray[np.int8]:
        status = self._tables()[3]
        return np.empty((0, 0), np.int8) if status is None else status

    @property
    def at_bounds_nit(self) -> NDArray[np.int64]:
        nit = self._tables()[2]
        return np.empty(0, np.int64) if nit is None else nit[:, 0].astype(np.int64)

    def _integers(self, column: int) -> NDArray[np.int64]:
        return np.nan_to_num(self._tables()[0][:, column], nan=-1).astype(np.int64)

    def to_dataframe(self) -> Any:
        """Return the numbers as a `pandas.DataFrame`, with nit as its index.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise ImportError("History.to_dataframe needs pandas: pip install pandas") from error
        columns = {name: getattr(self, name) for name in (*NUMBERS, "time")}
        return pandas.DataFrame(columns).set_index("nit")

    def _repr_html_(self) -> str:
        names = (*NUMBERS, "time")
        columns = [getattr(self, name) for name in names]
        rows: list[Any] = [[column[k] for column in columns] for k in _shown_rows(len(self))]
        if len(self) > len(rows):
            rows.insert(len(rows) // 2, None)
        return _html.of_columns(names, rows)

    def __repr__(self) -> str:
        if len(self) == 0:
            return "<History: empty>"
        first, last = self.nit[0], self.nit[-1]
        return (
            f"<History: iterates {first} to {last}, f = {self.fun[-1]:.6g}, "
            f"|proj g| = {self.projected_gradient[-1]:.3g}, {self.time[-1]:.3g} s>"
        )
