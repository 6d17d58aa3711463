"""How far down a noisy objective: ours, ours told how noisy it is, and SciPy's.

    python tools/noise.py [--seeds N] [--noise EPS ...]

The problems are the 40 of CUTEst in tests/cutest_sample.txt. Their f is multiplied by 1 + EPS z
with z normal, anew at each call; gradients are exact. What is left of the descent is measured
without noise: (f(x) - f*) / (f(x0) - f*), f* the least value that any run has found.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from cutest_problems import Problem, load_problem
from scipy.optimize import minimize

from lbfgsb import minimize_lbfgsb

SAMPLE = Path(__file__).parents[1] / "tests" / "cutest_sample.txt"
TIGHT = {"ftol": 1e-12, "gtol": 1e-8, "maxiter": 2000, "maxfun": 4000}
LEAST = 1e-16  # of what is left, that logarithms can be taken


def solvers(noise: float) -> dict[str, Callable[[Any, Problem], Any]]:
    """The three competitors, each a function of the noisy objective and its problem."""

    def ours(told: float | None) -> Callable[[Any, Problem], Any]:
        return lambda fun, p: minimize_lbfgsb(
            x0=p.x0, fun=fun, jac=True, bounds=list(zip(p.lower, p.upper, strict=True)),
            fun_precision=told, **TIGHT,
        )  # fmt: skip

    def scipys(fun: Any, p: Problem) -> Any:
        return minimize(fun, p.x0, jac=True, method="L-BFGS-B",
                        bounds=list(zip(p.lower, p.upper, strict=True)), options=TIGHT)  # fmt: skip

    if noise == 0:
        return {"lbfgsb": ours(None), "SciPy": scipys}
    return {"lbfgsb": ours(None), f"told {noise:g}": ours(noise), "SciPy": scipys}


def noisy(p: Problem, noise: float, seed: int) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
    rng = np.random.default_rng(seed)

    def fun(x: np.ndarray) -> tuple[float, np.ndarray]:
        f, g = p.fun_and_grad(x)
        return f * (1 + noise * rng.standard_normal()), g

    return fun


def run(p: Problem, noise: float, seed: int) -> dict[str, tuple[float, int, int]]:
    """For each solver f without noise at the end, the evaluations, and warnings of a gradient."""
    rows = {}
    for name, solve in solvers(noise).items():
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            result = solve(noisy(p, noise, seed), p)
        accused = any("Gradient" in each.category.__name__ for each in said)
        rows[name] = (p.fun_and_grad(result.x)[0], int(result.nfev), int(accused))
    return rows


def main() -> None:
    """Run all, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3, help="runs of each problem (default: 3)")
    parser.add_argument("--noise", type=float, nargs="+", default=[1e-8, 1e-6, 1e-4])
    arguments = parser.parse_args()
    lines = SAMPLE.read_text().splitlines()
    problems = [load_problem(line) for line in lines if line and not line.startswith("#")]
    starts = [p.fun_and_grad(np.clip(p.x0, p.lower, p.upper))[0] for p in problems]
    least = [min(row[0] for row in run(p, 0.0, 0).values()) for p in problems]
    runs: dict[float, list[tuple[int, dict[str, tuple[float, int, int]]]]] = {}
    for noise in arguments.noise:
        runs[noise] = [
            (i, run(p, noise, seed))
            for i, p in enumerate(problems)
            for seed in range(arguments.seeds)
        ]
        for i, rows in runs[noise]:
            least[i] = min(least[i], *(row[0] for row in rows.values()))
    print(f"{'noise':>7}  {'solver':<12} {'left, median':>12} {'upper tenth':>12} "
          f"{'evaluations':>12} {'accused':>8}")  # fmt: skip
    for noise, all_rows in runs.items():
        for name in solvers(noise):
            left = [
                max(LEAST, (rows[name][0] - least[i]) / (starts[i] - least[i]))
                for i, rows in all_rows if starts[i] > least[i]
            ]  # fmt: skip
            evaluations = np.exp(np.mean([np.log(rows[name][1]) for _, rows in all_rows]))
            accused = sum(rows[name][2] for _, rows in all_rows)
            median, tenth = np.median(left), np.quantile(left, 0.9)
            print(f"{noise:>7g}  {name:<12} {median:>12.1e} {tenth:>12.1e} "
                  f"{evaluations:>12.1f} {accused:>8}")  # fmt: skip


if __name__ == "__main__":
    main()
