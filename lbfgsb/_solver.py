"""Ask and tell: the solver for those who call the objective themselves, or let it run a while."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import OptimizeResult

from lbfgsb._arguments import no_arguments, of_x_alone
from lbfgsb._bounds import as_bounds, as_scale, as_start
from lbfgsb._core.base_solver import BaseSolver
from lbfgsb._core.driver import Objective, run_iterations
from lbfgsb._core.objective import convert_gradient, convert_value, find_precision, quote
from lbfgsb._endings import ending, warn_of_mismatch
from lbfgsb._lowlevel import as_compiled, check_fun, is_compiled
from lbfgsb._numbers import as_integer
from lbfgsb._options import as_given, as_options, no_such_option
from lbfgsb._result import Memory, make_result
from lbfgsb._types import Vector
from lbfgsb._workspace import in_folder


class Solver(BaseSolver):
    """L-BFGS-B in the hands of its caller: it asks for points and is told f and g.

    Or `run` lets an objective answer, for some iterations or to the end.

    Parameters
    ----------
    x0 : array_like, shape (n,)
        The start; clipped into the bounds. An array of more than one dimension is flattened, row
        by row; `ask` gives points of shape (n,).
    bounds : scipy.optimize.Bounds, sequence of (min, max), or ndarray of shape (n, 2), optional
        None and ±inf mean no bound.
    x_scale : float or array_like of shape (n,), optional
        The typical size of each variable, as in `minimize_lbfgsb`.
    workspace : path, optional
        A folder for the solver's memory, as in `minimize_lbfgsb`. A copy, or what a pickle makes,
        has none.
    **options
        ``maxcor, ftarget, ftol, gtol, maxiter, maxfun, maxls, max_steplength, ftol_linesearch,
        gtol_linesearch, xtol_linesearch, eps_SY, is_check_factorizations, threads,
        fun_precision, secant, pairs, extra_updates, initial_scaling``, as in `minimize_lbfgsb` and
        with its defaults.

    Attributes
    ----------
    x, jac : ndarray of float64, shape (n,)
        The last accepted iterate and its gradient; fresh copies.
    fun : float
        f there.
    projected_gradient : float
        The inf-norm of the projected gradient there.
    active_bounds : int
        How many variables are at a bound that their gradient pushes them against.
    steplength : float
        The multiple of the search direction in the last step.
    gradient_mismatch : float
        How far f and its slopes disagree, as in the result.
    n : int
        The number of variables.
    maxcor : int
        The number of pairs kept at most, as given or chosen.
    nit, nfev, njev : int
        Accepted iterates, and evaluations told.
    done : bool
        Whether the run is over.
    status, success, message
        How it ended; -1, False and ``'RUNNING'`` before that.

    Notes
    -----
    It pickles at any moment, also between `ask` and `tell`, and goes on to the same bits.

    One thread at a time: a change that another thread makes meanwhile, or the objective of a
    `run` under way, is a RuntimeError. Looking at it (`x`, `result()`, a pickle) is allowed from
    any thread while the objective or a callback is at work.

    Examples
    --------
    >>> import numpy as np
    >>> from lbfgsb import Solver
    >>> solver = Solver([3.0, -2.0], bounds=[(1, None), (None, None)])
    >>> while not solver.done:
    ...     x = solver.ask()
    ...     new_iterate = solver.tell(x @ x, 2 * x)
    >>> solver.result().x.round(6) + 0.0
    array([1., 0.])
    """

    _options: dict[str, Any]

    def __new__(
        cls,
        x0: ArrayLike,
        bounds: Any = None,
        *,
        x_scale: ArrayLike | None = None,
        workspace: str | os.PathLike[str] | None = None,
        **options: Any,
    ) -> Solver:
        for name in options:
            if name in _NOT_HERE:
                raise no_such_option(name, (), _NOT_HERE)
        start = as_start(x0, copy=False)
        lower, upper = as_bounds(bounds, start.size)
        scale = as_scale(x_scale, start.size)
        allocate = in_folder(workspace)
        self: Solver = super().__new__(
            cls, start, lower, upper, as_options(**options), scale, allocate
        )
        self._asked = False
        self._options = options
        self._iterates = None
        return self

    # Of a run with update_fun_def that this one goes on with: what its pairs are made of.
    _iterates: tuple[list[Vector], list[Vector]] | None

    def __init__(
        self,
        x0: ArrayLike,
        bounds: Any = None,
        *,
        x_scale: ArrayLike | None = None,
        workspace: str | os.PathLike[str] | None = None,
        **options: Any,
    ) -> None:
        pass

    def ask(self) -> Vector:
        """Return the point at which f and g are wanted, shape (n,), in the bounds.

        The same point until `tell` is called, each time in a fresh array.

        Raises
        ------
        RuntimeError
            If the run is over, the solver is in use, or another thread has asked and not told yet.
        """
        if self.done:
            raise RuntimeError(f"nothing to ask: the run is over ({self.message})")
        return self._ask()

    def tell(self, f: Any, g: Any) -> bool:
        """Take f and g at the point that `ask` returned.

        Parameters
        ----------
        f : real scalar or array of one element
            May be NaN or infinite: the step was too long.
        g : array_like, shape (n,) or (n, 1)

        Returns
        -------
        bool
            Whether that completed an iteration, so that `x` is a new iterate.

        Raises
        ------
        RuntimeError
            If no point was asked for, or the solver is in use.
        TypeError, ValueError
            If f or g is not what it should be; the solver is as before.
        """
        if self.done:
            raise RuntimeError(f"nothing to tell: the run is over ({self.message})")
        if not self._asked:
            raise RuntimeError("tell needs a point from ask")
        value, gradient = convert_value(f, "f must be"), convert_gradient(g, self.n)
        return self._answer(value, gradient, max(find_precision(f), find_precision(g)))

    def run(
        self,
        fun: Any,
        jac: Any = True,
        *,
        iterations: int | None = None,
        args: Any = (),
        x_shape: Sequence[int] | None = None,
    ) -> bool:
        """Let `fun` answer: ask and tell until the run is over, or for some iterations.

        Parameters
        ----------
        fun : callable or scipy.LowLevelCallable
            ``fun(x) -> (f, g)``, or ``fun(x) -> f`` with `jac` a callable; or a compiled function
            as in `minimize_lbfgsb`, which is called without the GIL.
        jac : True or callable, default True
            ``jac(x) -> g``, if `fun` does not return the gradient.
        iterations : int, optional
            Come back after so many more accepted iterates, at least 1. The run goes on with the
            next call, or with `ask` and `tell`, to the same bits as if it had not paused. By
            default the run goes on to its end.
        args, x_shape : optional
            Further arguments of `fun` and `jac`, and the shape in which they get x, as in
            `minimize_lbfgsb`.

        Returns
        -------
        bool
            Whether the run is over: `done`.

        Raises
        ------
        TypeError, ValueError
            If an argument is not what it should be. An exception in `fun` comes out as it is, and
            the same point is asked for again.
        RuntimeError
            If the solver is in use: by another thread, or by the run whose objective calls this.

        Examples
        --------
        The solver pickles while it pauses; the objective is not part of it:

        >>> import pickle
        >>> from lbfgsb import Solver
        >>> from lbfgsb.benchmarks import compiled_rosenbrock
        >>> solver = Solver([-1.2, 1.0], maxiter=100, ftol=1e-12)
        >>> while not solver.run(compiled_rosenbrock, iterations=10):
        ...     saved = pickle.dumps(solver)
        ...     print(solver.nit)
        10
        20
        >>> solver.message
        'CONVERGENCE: NORM_OF_PROJECTED_GRADIENT_<=_PGTOL'
        """
        count = 2**62 if iterations is None else as_integer("iterations", iterations, 1)
        if not is_compiled(fun):
            check_fun(fun)
        if is_compiled(fun):
            no_arguments(args, x_shape)
            objective: Any = as_compiled(fun, jac)
        elif jac is not True and not callable(jac):
            raise TypeError(f"jac must be True or callable; got {quote(jac)}")
        else:
            objective = Objective(*of_x_alone(fun, jac, args, x_shape, self.n))
        run_iterations(self, objective, count)
        return self.done

    def result(self) -> OptimizeResult:
        """Return the result, as `minimize_lbfgsb` does; of a run under way, as it stands."""
        counted = self._begin_read()
        try:
            result = make_result(self, Memory(snapshot=self._snapshot()))
        finally:
            self._end_read(counted)
        if self.done:
            warn_of_mismatch(self, result.status, stacklevel=2)
        return result

    def _snapshot(self, copied: bool = True) -> dict[str, Any]:
        snapshot = super()._snapshot(copied)
        # They are those of its pairs until it moves on.
        if self._iterates is not None and np.array_equal(self._iterates[0][-1], self.x):
            snapshot["iterates"] = self._iterates
        return snapshot

    @property
    def status(self) -> int:
        """0 converged, 1 limit, 2 abnormal, 3 stopped; -1 while it runs."""
        return ending(self)[0]

    @property
    def success(self) -> bool:
        """Whether it converged, or was stopped by its user."""
        return ending(self)[1]

    @property
    def message(self) -> str:
        """How it ended, in words."""
        return ending(self)[2]

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__}: n = {self.n}, nit = {self.nit}, nfev = {self.nfev}, "
            f"f = {self.fun:.6g}, |proj g| = {self.projected_gradient:.3g}, {self.message}>"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (
            type(self),
            # What is chosen today may not be so in another release.
            {**self._options, "maxcor": self.maxcor},
            self._snapshot(),
            self._asked,
        )


# What the other doors take with the options.
_NOT_HERE = {
    **dict.fromkeys(("fun", "jac", "args", "x_shape"), "it goes to Solver.run, with fun"),
    "callback": "look at the solver whenever tell or run(..., iterations=k) comes back",
    "checkpoint": "a Solver is its own: pickle it, or hand its result to minimize_lbfgsb",
}


def solver_from(snapshot: dict[str, Any]) -> Solver:
    """Return a solver that goes on from the snapshot of any run, with the options of that."""
    return _rebuild(Solver, as_given(snapshot["options"]), snapshot, False)


def _rebuild(
    cls: type[Solver], options: dict[str, Any], snapshot: dict[str, Any], asked: bool
) -> Solver:
    bounds = None
    if snapshot["lower"] is not None:
        bounds = np.stack([snapshot["lower"], snapshot["upper"]], axis=1)
    solver = cls(snapshot["x"], bounds, x_scale=snapshot["scale"], **options)
    solver._restore(snapshot)
    solver._asked = asked
    if snapshot.get("iterates", ([],))[0]:
        solver._iterates = snapshot["iterates"]
    return solver
