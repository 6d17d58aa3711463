"""What a search from many starts finds for its evaluations, beside other searches.

``python tools/bench/multistart.py`` prints a table in the form of docs/multistart.rst: for ten
functions with many minima how far above the least value each search ends, how many distinct local
minima it reports, and how many evaluations of f and its gradient it took. Each gets about the same
number of evaluations at most: basinhopping is stopped when it has had as many as
`minimize_multistart` with `--starts`, SHGO and optimagic are given as many points as keep within
that. A cell has the medians of `--seeds` seeds, and under them the least and the most. Where
optimagic is not installed its column is left out. An f without its gradient, as where SHGO samples,
counts as an evaluation too.
"""

from __future__ import annotations

import argparse
import contextlib
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import basinhopping, shgo

from lbfgsb import minimize_multistart

X_TOL = 1e-3
MOST_SECONDS = 2.0


class Function(NamedTuple):
    """f with its gradient, its box, and the least value."""

    fg: Callable[[Any], tuple[float, Any]]
    box: list[tuple[float, float]]
    least: float


def with_gradient(f: Callable[[Any], Any], n: int) -> Callable[[Any], tuple[float, Any]]:
    """Return f and its gradient by the complex step, exact to rounding; f must be analytic."""

    def fg(x):
        rows = np.asarray(x, complex) + 1e-30j * np.eye(n)
        return float(f(np.asarray(x, float)).real), np.array([f(row).imag for row in rows]) / 1e-30

    return fg


def ackley(x):
    return (
        -20 * np.exp(-0.2 * np.sqrt((x * x).sum() / x.size + 1e-16))
        - np.exp(np.cos(2 * np.pi * x).sum() / x.size) + 20 + np.e
    )  # fmt: skip


def griewank(x):
    return 1 + (x * x).sum() / 4000 - np.prod(np.cos(x / np.sqrt(np.arange(1, x.size + 1))))


def rastrigin(x):
    return 10 * x.size + (x * x - 10 * np.cos(2 * np.pi * x)).sum()


def schwefel(x):
    # x sin sqrt|x|, with |x| that the complex step can follow.
    size = x * np.where(np.real(x) < 0, -1, 1)
    return 418.98288727243369 * x.size - (x * np.sin(np.sqrt(size + 1e-12))).sum()


def levy(x):
    w = 1 + (x - 1) / 4
    return (
        np.sin(np.pi * w[0]) ** 2
        + ((w[:-1] - 1) ** 2 * (1 + 10 * np.sin(np.pi * w[:-1] + 1) ** 2)).sum()
        + (w[-1] - 1) ** 2 * (1 + np.sin(2 * np.pi * w[-1]) ** 2)
    )


def styblinski_tang(x):
    return 0.5 * (x**4 - 16 * x**2 + 5 * x).sum()


def himmelblau(x):
    return (x[0] ** 2 + x[1] - 11) ** 2 + (x[0] + x[1] ** 2 - 7) ** 2


def camel(x):
    a, b = x
    return (4 - 2.1 * a**2 + a**4 / 3) * a**2 + a * b + (-4 + 4 * b**2) * b**2


def shubert(x):
    i = np.arange(1, 6)
    return np.prod([(i * np.cos((i + 1) * z + i)).sum() for z in x])


HARTMANN_A = np.array([[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14],
                       [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]])  # fmt: skip
HARTMANN_P = 1e-4 * np.array([[1312, 1696, 5569, 124, 8283, 5886],
                              [2329, 4135, 8307, 3736, 1004, 9991],
                              [2348, 1451, 3522, 2883, 3047, 6650],
                              [4047, 8828, 8732, 5743, 1091, 381]])  # fmt: skip


def hartmann(x):
    inner = (HARTMANN_A * (x - HARTMANN_P) ** 2).sum(axis=1)
    return -(np.array([1.0, 1.2, 3.0, 3.2]) * np.exp(-inner)).sum()


def functions() -> dict[str, Function]:
    table = {
        "Ackley, n = 5": (ackley, [(-32.0, 30.0)] * 5, 0.0),
        "Griewank, n = 5": (griewank, [(-50.0, 70.0)] * 5, 0.0),
        "Rastrigin, n = 4": (rastrigin, [(-5.12, 4.0)] * 4, 0.0),
        "Schwefel, n = 4": (schwefel, [(-500.0, 500.0)] * 4, 0.0),
        "Levy, n = 5": (levy, [(-10.0, 8.0)] * 5, 0.0),
        "Styblinski-Tang, n = 5": (styblinski_tang, [(-5.0, 5.0)] * 5, -195.83082851885),
        "Himmelblau, n = 2": (himmelblau, [(-5.0, 5.0)] * 2, 0.0),
        "Six-hump camel, n = 2": (camel, [(-3.0, 3.0), (-2.0, 2.0)], -1.0316284534899),
        "Shubert, n = 2": (shubert, [(-10.0, 10.0)] * 2, -186.7309088310239),
        "Hartmann, n = 6": (hartmann, [(0.0, 1.0)] * 6, -3.32236801141551),
    }
    return {
        name: Function(with_gradient(f, len(box)), box, least)
        for name, (f, box, least) in table.items()
    }


class Enough(Exception):
    """The budget is spent."""


class Counted:
    """f with its gradient, or f alone: each call counts one until the budget is spent."""

    def __init__(self, fg: Any, budget: float = np.inf) -> None:
        self.fg, self.budget, self.calls, self.least = fg, budget, 0, np.inf

    def __call__(self, x):
        if self.calls >= self.budget:
            raise Enough
        self.calls += 1
        f, g = self.fg(x)
        self.least = min(self.least, f)
        return f, g


def distinct(ends: list[Any], box: list[tuple[float, float]]) -> int:
    """How many ends are further apart than `X_TOL` of the box."""
    width = np.diff(box, axis=1).ravel()
    known: list[Any] = []
    for x in ends:
        if not any((np.abs(x - y) <= X_TOL * width).all() for y in known):
            known.append(x)
    return len(known)


# Each returns the least f, the number of distinct minima, and the evaluations.


def ours(problem: Function, starts: int, seed: int):
    res = minimize_multistart(problem.fg, problem.box, jac=True, n_starts=starts, rng=seed,
                              ftol=1e-9, maxiter=200, keep=10**6)  # fmt: skip
    return res.fun, res.n_minima, res.nfev


def by_shgo(problem: Function, budget: int, seed: int):
    # It is asked for more points until the budget is spent, or until its triangulation of them
    # takes seconds, as it does in five and more dimensions; the largest search within that counts.
    best = (np.inf, 0, 0)
    for k in range(4, 12):
        begin = time.process_time()
        counted = Counted(problem.fg, budget)
        memory: dict[str, Any] = {}

        def both(x, counted=counted, memory=memory):
            f, memory["g"] = counted(x)
            memory["x"] = np.array(x)
            return f

        def gradient(x, counted=counted, memory=memory):
            if "x" not in memory or not np.array_equal(memory["x"], x):
                memory["x"], (_, memory["g"]) = np.array(x), counted(x)
            return memory["g"]

        options = {"jac": gradient, "minimize_every_iter": False}
        try:
            res = shgo(both, problem.box, n=2**k, sampling_method="sobol", options=options,
                       minimizer_kwargs={"method": "L-BFGS-B", "options": {"ftol": 1e-9}})
        except Enough:
            break
        if res.success:
            best = (res.fun, distinct(list(res.xl), problem.box), counted.calls)
        if time.process_time() - begin > MOST_SECONDS:
            break
    return best


def by_basinhopping(problem: Function, budget: int, seed: int):
    counted = Counted(problem.fg, budget)
    lower, upper = np.array(problem.box).T
    rng = np.random.default_rng(seed)
    ends: list[Any] = []

    def step(x):  # a tenth of the box, within it
        return np.clip(x + 0.1 * (upper - lower) * rng.uniform(-1, 1, x.size), lower, upper)

    with contextlib.suppress(Enough):
        basinhopping(counted, rng.uniform(lower, upper), niter=10**6, take_step=step, seed=seed,
                     callback=lambda x, f, accepted: ends.append(x.copy()),
                     minimizer_kwargs={"method": "L-BFGS-B", "jac": True, "bounds": problem.box,
                                       "options": {"ftol": 1e-9}})  # fmt: skip
    return counted.least, distinct(ends, problem.box), counted.calls


def by_optimagic(problem: Function, budget: int, seed: int):
    import optimagic

    counted = Counted(problem.fg)
    lower, upper = np.array(problem.box).T
    # Of its points a tenth, its default, is run to their ends: some 25 evaluations each.
    points = max(int(budget / 3.5), 10)
    res = optimagic.minimize(
        fun=lambda x: counted(x)[0], fun_and_jac=counted, params=(lower + upper) / 2 + 1e-3,
        algorithm="scipy_lbfgsb", algo_options={"convergence.ftol_rel": 1e-9},
        bounds=optimagic.Bounds(lower=lower, upper=upper),
        multistart=optimagic.MultistartOptions(n_samples=points, seed=seed, n_cores=1,
                                               convergence_max_discoveries=10**6),
    )  # fmt: skip
    ends = [one.params for one in res.multistart_info.local_optima]
    return counted.least, distinct(ends, problem.box), counted.calls


def cell(rows: Any) -> str:
    """Return the medians over the seeds, and the ranges, as two lines of a table."""
    low, middle, high = np.quantile(rows, [0, 0.5, 1], axis=0)
    ranges = ", ".join(
        one if one == other else f"{one}–{other}"
        for one, other in zip(in_words(low), in_words(high), strict=True)
    )
    return f"     - | {', '.join(in_words(middle))}\n       | ({ranges})"


def in_words(row: Any) -> list[str]:
    above, minima, calls = row
    return [f"{max(above, 0):.0e}", f"{minima:.0f}", f"{calls:.0f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--starts", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    others = {"shgo": by_shgo, "basinhopping": by_basinhopping}
    try:
        import optimagic  # noqa: F401

        others["optimagic"] = by_optimagic
    except ImportError:
        print("optimagic is not installed: left out")
    warnings.simplefilter("ignore")
    print(".. list-table::\n   :header-rows: 1\n\n   * - f(x) − least, minima, evaluations")
    for name in ("minimize_multistart", *others):
        print(f"     - {name}")
    for name, problem in functions().items():
        rows: dict[str, list[Any]] = {"ours": []}
        for seed in range(arguments.seeds):
            row = ours(problem, arguments.starts, seed)
            rows["ours"].append(row)
            for other, search in others.items():
                rows.setdefault(other, []).append(search(problem, row[2], seed))
        print(f"   * - {name}")
        for cells in rows.values():
            print(cell(np.array(cells, float) - [problem.least, 0, 0]), flush=True)


if __name__ == "__main__":
    main()
