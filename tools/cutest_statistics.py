"""Compare what solvers pay for the CUTEst problems: paired statistics and profiles.

A cost is a number of evaluations, infinite where a solver doesn't solve a problem: it doesn't
return a point with a projected gradient of at most 1e-6 (`is_solved`); or, to an accuracy tau, it
never comes to f(x) <= f_L + tau (f(x0) - f_L), where f_L is the least f that any run has found
(Moré and Wild, "Benchmarking derivative-free optimization algorithms", SIAM J. Optimization 20
(2009), equation 2.2). The latter judges runs with noise and differences, whose solvers cannot see
small gradients.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from cutest_rows import Row, Runs, is_solved

SAME_F = 1e-6  # relative: two solvers are at the same minimum
SIZES = (5, 16, 32, 100)  # the largest n of all size classes but the last

Costs = dict[str, np.ndarray]  # a cost for each problem, by run


# --- costs --------------------------------------------------------------------------------


def costs_of(runs: Runs, names: Sequence[str], accuracy: float | None = None) -> Costs:
    """Evaluations that each run takes to solve each problem.

    Parameters
    ----------
    runs : Runs
        The rows; each run has all of `names`.
    names : sequence of str
        The problems.
    accuracy : float, optional
        Moré and Wild's tau; by default a problem is solved where the gradient is small.

    Returns
    -------
    dict of str to ndarray of shape (len(names),)
        For each run its costs, inf where it doesn't solve a problem.
    """
    costs = {run: np.full(len(names), np.inf) for run in runs}
    for i, name in enumerate(names):
        rows = [by_name[name] for by_name in runs.values()]
        target = None if accuracy is None else _target(rows, accuracy)
        for run, row in zip(runs, rows, strict=True):
            costs[run][i] = _cost(row) if accuracy is None else _cost_to(row, target)
    return costs


def _cost(row: Row) -> float:
    return float(row["nfev"]) if is_solved(row) else math.inf


def _target(rows: Sequence[Row], accuracy: float) -> float | None:
    """Moré and Wild's f_L + tau (f(x0) - f_L); None if no run has found an f."""
    for row in rows:
        if "descent" not in row:
            raise ValueError(f"the row of {row['solver']} on {row['name']} has no descent")
    descents = [row["descent"] for row in rows if row["descent"]]
    if not descents:
        return None
    first = max(descent[0][1] for descent in descents)
    least = min(descent[-1][1] for descent in descents)
    return float(least + accuracy * (first - least))


def _cost_to(row: Row, target: float | None) -> float:
    if target is None:
        return math.inf
    return next((float(k) for k, f in row["descent"] if f <= target), math.inf)


def iterations_of(runs: Runs, names: Sequence[str]) -> Costs:
    """Iterations of each run on each problem.

    They are inf where the gradient does not become small, and where it is from the start on: no
    iteration has no ratio to another number of them.
    """
    return {
        run: np.array(
            [
                float(row["nit"]) if is_solved(row) and row["nit"] else math.inf
                for row in (by_name[name] for name in names)
            ]
        )
        for run, by_name in runs.items()
    }


# --- classes of problems ------------------------------------------------------------------


def classes_of(runs: Runs, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Masks over `names`: all problems, each kind of bounds, each class of sizes.

    A problem that no run could load is in the first only.
    """
    kinds = np.array([_known(runs, name)["kind"] or "" for name in names])
    n = sizes_of(runs, names)
    classes = {"all": np.full(len(names), True)}
    classes |= {kind: kinds == kind for kind in ("unconstrained", "bounds")}
    low = 1
    for high in SIZES:
        classes[f"n <= {high}" if low == 1 else f"{low} <= n <= {high}"] = (low <= n) & (n <= high)
        low = high + 1
    return classes | {f"n > {SIZES[-1]}": n > SIZES[-1]}


def sizes_of(runs: Runs, names: Sequence[str]) -> np.ndarray:
    """Numbers of variables of the problems, 0 where no run could load one."""
    return np.array([_known(runs, name)["n"] or 0 for name in names])


def _known(runs: Runs, name: str) -> Row:
    """Find a row that has the size of a problem, or any if none has."""
    rows = [by_name[name] for by_name in runs.values()]
    return next((row for row in rows if row["n"] is not None), rows[0])


def same_minimum(one: Row, two: Row) -> bool:
    """Whether two rows end at the same f, up to SAME_F relative to max(1, |f|)."""
    if one["f"] is None or two["f"] is None:
        return False
    f1, f2 = float(one["f"]), float(two["f"])
    return abs(f1 - f2) <= SAME_F * max(1.0, abs(f1), abs(f2))


# --- pairs --------------------------------------------------------------------------------


class Paired(NamedTuple):
    """Ratios of one solver's costs to another's, on the problems that both solve.

    Attributes
    ----------
    both : int
        Problems that both solve.
    mean : float
        Geometric mean of the ratios; NaN if there are none.
    error : float
        Standard error of the mean: that of the mean of the logarithms, times `mean`. NaN if there
        are less than two ratios.
    median : float
        The median of the ratios, of an even number the geometric mean of the two in the middle:
        so that the median of the inverse ratios is its inverse.
    fewer, more, same : int
        Problems for which the first solver pays less, more, and the same.
    """

    both: int
    mean: float
    error: float
    median: float
    fewer: int
    more: int
    same: int


def paired(first: np.ndarray, other: np.ndarray) -> Paired:
    """Compare the costs of two solvers, each of shape (problems,), problem by problem."""
    logs = np.log(_ratios(first, other))
    count = logs.size
    mean = math.exp(logs.mean()) if count else math.nan
    return Paired(
        both=count,
        mean=mean,
        error=mean * float(logs.std(ddof=1)) / math.sqrt(count) if count > 1 else math.nan,
        median=math.exp(np.median(logs)) if count else math.nan,
        fewer=int((logs < 0).sum()),
        more=int((logs > 0).sum()),
        same=int((logs == 0).sum()),
    )


def _ratios(first: np.ndarray, other: np.ndarray) -> np.ndarray:
    both = np.isfinite(first) & np.isfinite(other)
    return first[both] / other[both]


# --- profiles -----------------------------------------------------------------------------

Curve = tuple[np.ndarray, np.ndarray]  # where it steps, ascending, and the fraction from there on


def performance_profile(costs: Costs) -> dict[str, Curve]:
    """Dolan and Moré's rho(tau): the fraction of problems solved within tau of the best cost.

    Returns
    -------
    dict of str to (ndarray, ndarray)
        For each run the ascending ratios tau at which its curve steps, and the fraction of all
        problems that it solves within each.
    """
    best = np.min(list(costs.values()), axis=0)
    solved = np.isfinite(best)
    return {run: _steps(own[solved] / best[solved], best.size) for run, own in costs.items()}


def data_profile(costs: Costs, n: np.ndarray) -> dict[str, Curve]:
    """Moré and Wild's d(alpha): the fraction of problems solved in alpha (n + 1) evaluations.

    Parameters
    ----------
    costs : dict of str to ndarray of shape (problems,)
        The evaluations of each run.
    n : ndarray of shape (problems,)
        The number of variables.
    """
    return {run: _steps(own / (n + 1), own.size) for run, own in costs.items()}


def _steps(values: np.ndarray, total: int) -> Curve:
    """Distribution function of the finite `values`, out of `total`."""
    places, counts = np.unique(values[np.isfinite(values)], return_counts=True)
    return places, np.cumsum(counts) / total
