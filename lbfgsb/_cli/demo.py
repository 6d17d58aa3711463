"""``lbfgsb demo``: a fit to measured data and a large test problem, next to SciPy's L-BFGS-B."""

from __future__ import annotations

import argparse
import gzip
import statistics
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import metadata, resources
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray
from scipy.optimize import Bounds, OptimizeResult, minimize
from scipy.special import expit

from lbfgsb import get_grad_projection_inf_norm, minimize_lbfgsb
from lbfgsb._types import Vector
from lbfgsb.benchmarks import rosenbrock_fun_and_grad

_WIDTH = 80


@dataclass(frozen=True)
class _Problem:
    """A problem with ``fun(x) -> (f, g)``, and the options that both solvers get."""

    fun: Callable[[Vector], tuple[float, Vector]]
    x0: Vector
    bounds: Bounds
    options: dict[str, Any]


def run(args: argparse.Namespace) -> int:
    """Solve and print both problems, and return the exit status: 0 if both are solved."""
    print(f"lbfgsb {metadata.version('lbfgsb')} next to L-BFGS-B of SciPy {scipy.__version__}")
    print()
    is_solved = _demo_diagnosis()
    print()
    is_solved &= _demo_rosenbrock()
    return 0 if is_solved else 1


def _demo_diagnosis() -> bool:
    """Logistic regression with coefficients bounded below by zero, on real measurements."""
    names, measured, malignant = _load_breast_cancer()
    print("1. Breast cancer: which measurements of the cell nuclei speak for malignancy?")
    print()
    _say(
        f"Logistic regression on {measured.shape[1]} measurements of {malignant.size} "
        "breast masses (Wisconsin Diagnostic data, UCI, CC BY 4.0), each in standard deviations. "
        "A larger value may raise the risk but not lower it: the coefficients are bounded "
        "below by 0. Without the bounds the two groups separate, and there is no minimum."
    )
    standardised = (measured - measured.mean(axis=0)) / measured.std(axis=0)
    # Rows are multiplied by +1 or −1, so that the loss is log(1 + exp(−margin)) for both groups.
    sign = np.where(malignant, 1.0, -1.0)
    design = sign[:, None] * np.column_stack([np.ones_like(sign), standardised])
    n = design.shape[1]

    def loss(w: Vector) -> tuple[float, Vector]:
        margin = design @ w
        return float(np.logaddexp(0.0, -margin).sum()), -(expit(-margin) @ design)

    problem = _Problem(
        loss,
        x0=np.zeros(n),
        bounds=Bounds(np.r_[-np.inf, np.zeros(n - 1)], np.full(n, np.inf)),
        options={"ftol": 1e-14, "gtol": 1e-6, "maxiter": 15000, "maxfun": 15000},
    )
    result = _compare(problem)

    coefficients = result.x[1:]
    is_right = np.count_nonzero(design @ result.x > 0.0)
    print()
    _say(
        f"{np.count_nonzero(coefficients == 0.0)} of the {n - 1} coefficients end at their "
        f"bound 0. The others, largest first, tell {is_right} of the {malignant.size} masses "
        "the right way (those they were fitted to):"
    )
    largest_first = np.argsort(-coefficients)
    cells = [f"{names[i]:<24}{coefficients[i]:6.2f}" for i in largest_first if coefficients[i] > 0]
    half = (len(cells) + 1) // 2
    for left, right in zip(cells[:half], [*cells[half:], ""], strict=False):
        print(f"    {left}      {right}".rstrip())
    return bool(result.success)


def _load_breast_cancer() -> tuple[list[str], Vector, NDArray[np.bool_]]:
    """Return the names of the measurements, the measurements, and who has a malignant mass."""
    file = resources.files("lbfgsb") / "data" / "breast_cancer_wisconsin.csv.gz"
    lines = [
        line
        for line in gzip.decompress(file.read_bytes()).decode().splitlines()
        if not line.startswith("#")
    ]
    table = np.loadtxt(lines[1:], delimiter=",")
    return lines[0].split(",")[:-1], table[:, :-1], table[:, -1] == 1.0


def _demo_rosenbrock() -> bool:
    """The chained Rosenbrock function in a box that cuts off its minimiser."""
    n = 10_000
    print(f"2. The chained Rosenbrock function of {n:,} variables in a box")
    print()
    _say(
        "-2 <= x <= 2, and every third variable at most 0.9, which cuts off the minimiser "
        "x = 1. Started from x = 0.5."
    )
    upper = np.full(n, 2.0)
    upper[2::3] = 0.9
    problem = _Problem(
        rosenbrock_fun_and_grad,
        x0=np.full(n, 0.5),
        bounds=Bounds(np.full(n, -2.0), upper),
        options={"ftol": 1e-14, "gtol": 1e-3, "maxiter": 15000, "maxfun": 15000},
    )
    result = _compare(problem)
    print()
    _say(
        f"{np.count_nonzero(result.x == upper):,} variables end at their upper bound 0.9 and "
        f"{np.count_nonzero(result.x == -2.0):,} at their lower bound; they pull the others "
        f"down with them, to {np.median(result.x[upper == 2.0]):.4f} in the median."
    )
    return bool(result.success)


def _compare(problem: _Problem) -> OptimizeResult:
    """Solve a problem with both solvers, print both results, and return ours."""
    solvers = {"lbfgsb": _solve, "SciPy": _solve_with_scipy}
    results = {name: solve(problem) for name, solve in solvers.items()}
    seconds = _time_interleaved({name: partial(solvers[name], problem) for name in solvers})
    print()
    _say(", ".join(f"{key} {value:g}" for key, value in problem.options.items()))
    print()
    print(f"{'':8}{'f(x)':>21}{'proj. gradient':>17}{'iterations':>12}{'evaluations':>13}{'ms':>9}")
    for name, result in results.items():
        norm = get_grad_projection_inf_norm(
            result.x, result.jac, problem.bounds.lb, problem.bounds.ub
        )
        print(
            f"{name:8}{result.fun:21.12g}{norm:17.1e}{result.nit:12d}{result.nfev:13d}"
            f"{1e3 * seconds[name]:9.2f}"
        )
    ratio = seconds["SciPy"] / seconds["lbfgsb"]
    print(f"{'time of SciPy / time of lbfgsb':71}{ratio:9.2f}")
    for name, result in results.items():
        if not result.success:
            _say(f"{name} did not converge: {result.message}")
    return results["lbfgsb"]


def _solve(problem: _Problem) -> OptimizeResult:
    return minimize_lbfgsb(
        x0=problem.x0, fun=problem.fun, jac=True, bounds=problem.bounds, **problem.options
    )


def _solve_with_scipy(problem: _Problem) -> OptimizeResult:
    return minimize(
        problem.fun,
        problem.x0,
        method="L-BFGS-B",
        jac=True,
        bounds=problem.bounds,
        options=problem.options,
    )


def _time_interleaved(
    tasks: dict[str, Callable[[], object]],
    budget: float = 2.0,
    least: int = 4,
    most: int = 40,
) -> dict[str, float]:
    """Return the median time of each task in seconds.

    The tasks take turns, the first of a round being the last of the next, so that what disturbs
    one disturbs all. After `least` rounds they go on for `budget` seconds, up to `most` rounds.
    """
    times: dict[str, list[float]] = {name: [] for name in tasks}
    start = time.perf_counter()
    for rounds in range(most):
        if rounds >= least and time.perf_counter() - start > budget:
            break
        for name in list(tasks)[:: 1 if rounds % 2 else -1]:
            begun = time.perf_counter()
            tasks[name]()
            times[name].append(time.perf_counter() - begun)
    return {name: statistics.median(values) for name, values in times.items()}


def _say(text: str) -> None:
    print(textwrap.fill(text, _WIDTH))
