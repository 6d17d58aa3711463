"""Many runs at once: each is a `Solver` with one evaluation under way, on whatever evaluates.

It is evaluations that are handed out, and not runs. The solvers stay in this process, which needs a
few microseconds for an iteration of theirs; so a worker that is lost costs one evaluation, which is
handed out anew, an executor has something to do for all its workers until the last runs end, and
nothing but points, values and gradients is sent about.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable
from typing import Any, NamedTuple, cast

import numpy as np

from lbfgsb._core.objective import convert_gradient, convert_value, find_precision
from lbfgsb._executors import Outcome, Workers
from lbfgsb._gradient import FiniteDifference
from lbfgsb._solver import Solver
from lbfgsb._types import Vector

# Runs under way for each worker: while one's answer is taken here, the worker has another's point.
AHEAD = 2
# An evaluation that was lost so many times is what has ended its workers.
LOSSES = 3


class Answer(NamedTuple):
    """f and g at a point, g None where f is not finite; their precision; and what they cost."""

    f: float
    g: Vector | None
    precision: float
    nfev: int
    njev: int


class Evaluation:
    """What is evaluated at a point, wherever: f and its gradient. It pickles if its parts do.

    Parameters
    ----------
    fun : callable
    gradient : True, callable or FiniteDifference
        As `make_gradient` returns it.
    """

    def __init__(self, fun: Callable[..., Any], gradient: Any) -> None:
        self.fun, self.gradient = fun, gradient

    def __call__(self, x: Vector) -> Answer:
        if self.gradient is True:
            pair = self.fun(x)
            if not isinstance(pair, (tuple, list)) or len(pair) != 2:
                raise TypeError(
                    f"with jac=True, fun must return the pair (f, g); got {type(pair).__name__}"
                )
            value, g = pair
            precision = max(find_precision(value), find_precision(g))
            return Answer(convert_value(value), convert_gradient(g, x.size), precision, 1, 1)
        value = self.fun(x.copy())  # it may write on its x
        if isinstance(value, (tuple, list)) and len(value) == 2:
            raise TypeError(
                f"fun must return a scalar; got a {type(value).__name__} of 2: did you mean "
                "jac=True, by which fun returns the pair (f, g)?"
            )
        f, precision = convert_value(value), find_precision(value)
        if not math.isfinite(f):
            return Answer(f, None, precision, 1, 0)
        if isinstance(self.gradient, FiniteDifference):
            # Its type tells the precision of f.
            g, calls = self.gradient(x, cast(float, value))
            return Answer(f, g, precision, 1 + calls, 1)
        g = self.gradient(x)
        precision = max(precision, find_precision(g))
        return Answer(f, convert_gradient(g, x.size), precision, 1, 1)


class Run:
    """One run: its solver, and what has ended it if that was an exception.

    Attributes
    ----------
    solver : Solver
    error : Exception or None
    """

    def __init__(self, solver: Solver) -> None:
        self.solver = solver
        self.error: BaseException | None = None
        self.losses = 0

    def take(self, outcome: Outcome) -> bool:
        """Take the outcome of an evaluation; returns whether the run is over."""
        solver = self.solver
        if outcome.is_lost:
            self.losses += 1
            if self.losses == LOSSES:
                self.error = outcome.error
            return self.error is not None
        self.losses = 0
        if isinstance(outcome.error, StopIteration) and math.isfinite(solver.fun):
            solver._stop()  # as fun has asked for
            return True
        if outcome.error is not None:
            self.error = outcome.error
            return True
        answer: Answer = outcome.value
        # The solver itself counts one of each for what it is told.
        nfev, njev = solver.nfev + answer.nfev - 1, solver.njev + answer.njev - 1
        solver._set_counts(solver.nit, nfev, njev)
        g = np.full(solver.n, np.nan) if answer.g is None else answer.g
        solver._answer(answer.f, g, answer.precision)
        return solver.done


def runs(
    workers: Workers, evaluate: Evaluation, solvers: Iterable[tuple[int, Solver]]
) -> Generator[tuple[int, Run]]:
    """Bring solvers to their ends, and yield each with its number when it is there.

    Parameters
    ----------
    workers : Workers
    evaluate : Evaluation
    solvers : iterable of (int, Solver)
        Taken when there is room, one after the other.

    Raises
    ------
    WorkerError
        If there is nobody left who evaluates.
    """
    width = workers.width
    most = math.inf if width is None else 1 if width == 1 else AHEAD * width
    waiting = iter(solvers)
    under_way: dict[int, Run] = {}
    try:
        while True:
            while len(under_way) < most:
                new = next(waiting, None)
                if new is None:
                    most = 0
                    break
                number, solver = new
                under_way[number] = Run(solver)
                workers.submit(number, evaluate, solver.ask())
            if not under_way:
                return
            for number, outcome in workers.collect():
                run = under_way[number]
                if run.take(outcome):
                    del under_way[number]
                    yield number, run
                else:
                    workers.submit(number, evaluate, run.solver.ask())
    finally:
        workers.cancel()
