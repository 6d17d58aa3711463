"""Evaluations to the same accuracy, ours and SciPy's, on problems that are not CUTEst's.

    python tools/bench/evaluations.py                          # all that is installed
    python tools/bench/evaluations.py --families chained large --n 100000

- ``sklearn``: logistic regression, Huber regression, a Gaussian process and a small neural network;
- ``statsmodels``: maximum likelihood of discrete models and of a time series;
- ``chained``: functions of L. Lukšan and J. Vlček, "Sparse and partially separable test problems
  for unconstrained and equality constrained optimization", Report 767, Institute of Computer
  Science, Prague (1999);
- ``large``: the four problems of ``pairs.py``.

Of the first two families the objective is taken that the library hands to SciPy. Counted is the
evaluation at which f first comes below f* + accuracy (f(x0) - f*), f* being the least value that
any of the solvers finds. The geometric mean of a family has its standard error.
"""

import argparse
import importlib.util
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pairs
import scipy.optimize

from lbfgsb import minimize_lbfgsb

Vector = np.ndarray
SETTINGS = {"ftol": 0.0, "gtol": 1e-12}


class Problem(NamedTuple):
    """Minimise f from x0 in the box, if there is one."""

    name: str
    fun: Callable[[Vector], tuple[float, Vector]]
    x0: Vector
    bounds: Any = None


# --- what libraries minimise --------------------------------------------------------------


class Captured(Exception):
    """Carries a problem out of a library's fit."""


def capture(name: str, fit: Callable[[], Any]) -> Problem:
    """The problem that a fit hands to SciPy's L-BFGS-B."""

    def minimise(fun: Any, x0: Any, args: Any = (), jac: Any = None, bounds: Any = None, **_: Any):
        raise Captured(take(fun, x0, args, jac, bounds))

    def fmin(func: Any, x0: Any, fprime: Any = None, args: Any = (), bounds: Any = None, **_: Any):
        raise Captured(take(func, x0, args, True if fprime is None else fprime, bounds))

    def take(fun: Any, x0: Any, args: Any, jac: Any, bounds: Any) -> Problem:
        args = args if isinstance(args, tuple) else (args,)

        def pair(x: Vector) -> tuple[float, Vector]:
            f, g = fun(x, *args) if jac is True else (fun(x, *args), jac(x, *args))
            return float(np.sum(f)), np.array(g, dtype=float).ravel()

        return Problem(name, pair, np.array(x0, dtype=float).ravel(), bounds)

    saved = scipy.optimize.minimize, scipy.optimize.fmin_l_bfgs_b
    scipy.optimize.minimize, scipy.optimize.fmin_l_bfgs_b = minimise, fmin
    try:
        fit()
    except Captured as captured:
        (problem,) = captured.args
        return problem
    finally:
        scipy.optimize.minimize, scipy.optimize.fmin_l_bfgs_b = saved
    raise RuntimeError(f"{name} did not call SciPy")


def sklearn(n: int) -> Iterator[Problem]:
    from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
    from sklearn.linear_model import HuberRegressor, LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.preprocessing import scale

    for load in (load_iris, load_breast_cancer, load_digits):
        X, y = load(return_X_y=True)
        for c in (1e-2, 1.0, 1e2):
            model = LogisticRegression(C=c)
            yield capture(
                f"logistic, {load.__name__[5:]}, C = {c:g}", partial(model.fit, scale(X), y)
            )
    X, y = load_diabetes(return_X_y=True)
    yield capture("Huber, diabetes", lambda: HuberRegressor().fit(X, y))
    kernel = ConstantKernel() * RBF(np.ones(4)) + WhiteKernel()
    process = GaussianProcessRegressor(kernel, normalize_y=True)
    yield capture("Gaussian process, diabetes", lambda: process.fit(scale(X[:150, :4]), y[:150]))
    X, y = load_iris(return_X_y=True)
    network = MLPClassifier((8,), "tanh", solver="lbfgs", random_state=0)
    yield capture("neural network, iris", lambda: network.fit(scale(X), y))


def statsmodels(n: int) -> Iterator[Problem]:
    import statsmodels.api as sm

    rng = np.random.default_rng(0)
    X = sm.add_constant(rng.normal(size=(500, 6)))
    beta = np.array([0.3, 0.5, -0.5, 0.2, 0.0, 0.4, -0.2])
    counts = rng.poisson(np.exp(0.5 * X @ beta))
    yes = (rng.random(500) < 1 / (1 + np.exp(-X @ beta))).astype(float)
    options = {"method": "lbfgs", "disp": False}
    for name, model in {
        "logit": sm.Logit(yes, X),
        "probit": sm.Probit(yes, X),
        "Poisson": sm.Poisson(counts, X),
        "negative binomial": sm.NegativeBinomial(counts, X),
        "multinomial logit": sm.MNLogit(rng.integers(0, 4, 500), X),
    }.items():
        yield capture(name, partial(model.fit, **options))


# --- chained functions --------------------------------------------------------------------


def wood(x: Vector) -> tuple[float, Vector]:
    """The chained Wood function."""
    a, b, c, d = x[0:-3:2], x[1:-2:2], x[2:-1:2], x[3::2]
    p, q, r, s = a * a - b, a - 1, c * c - d, c - 1
    t, u = b + d - 2, b - d
    f = (100 * p * p + q * q + 90 * r * r + s * s + 10 * t * t + 0.1 * u * u).sum()
    g = np.zeros_like(x)
    g[0:-3:2] += 400 * a * p + 2 * q
    g[1:-2:2] += -200 * p + 20 * t + 0.2 * u
    g[2:-1:2] += 360 * c * r + 2 * s
    g[3::2] += -180 * r + 20 * t - 0.2 * u
    return float(f), g


def powell(x: Vector) -> tuple[float, Vector]:
    """The chained singular function of Powell."""
    a, b, c, d = x[0:-3:2], x[1:-2:2], x[2:-1:2], x[3::2]
    p, q, r, s = a + 10 * b, c - d, b - 2 * c, a - d
    f = (p * p + 5 * q * q + r**4 + 10 * s**4).sum()
    g = np.zeros_like(x)
    g[0:-3:2] += 2 * p + 40 * s**3
    g[1:-2:2] += 20 * p + 4 * r**3
    g[2:-1:2] += 10 * q - 8 * r**3
    g[3::2] += -10 * q - 40 * s**3
    return float(f), g


def broyden(x: Vector) -> tuple[float, Vector]:
    """The generalised tridiagonal function of Broyden, with the power 7/3."""
    padded = np.pad(x, 1)
    r = (3 - 2 * x) * x + 1 - padded[:-2] - padded[2:]
    f = (abs(r) ** (7 / 3)).sum()
    slopes = 7 / 3 * abs(r) ** (4 / 3) * np.sign(r)
    outer = np.pad(slopes, 1)
    return float(f), slopes * (3 - 4 * x) - outer[2:] - outer[:-2]


def exponential(x: Vector) -> tuple[float, Vector]:
    """The chained exponential function of Nazareth's kind: neighbours attract."""
    u = x[:-1] - x[1:]
    e = np.exp(np.minimum(u * u, 50))
    f = (e - 1).sum() + 0.05 * ((x - 1) ** 2).sum()
    g = 0.1 * (x - 1)
    g[:-1] += 2 * u * e
    g[1:] -= 2 * u * e
    return float(f), g


def rosenbrock(x: Vector) -> tuple[float, Vector]:
    """The chained Rosenbrock function."""
    return float(scipy.optimize.rosen(x)), scipy.optimize.rosen_der(x)


def chained(n: int) -> Iterator[Problem]:
    starts = {
        wood: np.resize([-3.0, -1.0], n),
        powell: np.resize([3.0, -1.0, 0.0, 1.0], n),
        broyden: np.full(n, -1.0),
        exponential: np.resize([1.5, 0.0], n),
        rosenbrock: np.resize([-1.2, 1.0], n),
    }
    for fun, x0 in starts.items():
        yield Problem(f"{fun.__name__}, n = {n:,}", fun, x0)
        box = np.stack([np.full(n, -2.0), np.resize([0.9, 2.0, 2.0], n)], axis=1)
        yield Problem(f"{fun.__name__} in a box", fun, np.clip(x0, *box.T), box)


def large(n: int) -> Iterator[Problem]:
    for name, make in pairs.PROBLEMS.items():
        problem = make(n)
        bounds = None
        if problem.lower is not None:
            bounds = np.stack([problem.lower, np.full(problem.x0.size, np.inf)], axis=1)
        yield Problem(f"{name}, n = {problem.x0.size:,}", problem.fun, problem.x0, bounds)


FAMILIES = {each.__name__: each for each in (sklearn, statsmodels, chained, large)}


# --- counting -----------------------------------------------------------------------------


def ours(**options: Any) -> Callable[[Problem, Any, int], Any]:
    return lambda p, fun, limit: minimize_lbfgsb(
        x0=p.x0, fun=fun, jac=True, bounds=p.bounds, maxfun=limit, maxiter=limit, **SETTINGS,
        **options,
    )  # fmt: skip


def scipys(p: Problem, fun: Any, limit: int) -> Any:
    options = SETTINGS | {"maxfun": limit, "maxiter": limit}
    return scipy.optimize.minimize(
        fun, p.x0, jac=True, bounds=p.bounds, method="L-BFGS-B", options=options
    )


SOLVERS = {"ours": ours(), "standard": ours(secant="standard", maxcor=10), "SciPy": scipys}


def values(problem: Problem, solve: Any, limit: int) -> Vector:
    """The least f so far after each evaluation."""
    seen: list[float] = []

    def fun(x: Vector) -> tuple[float, Vector]:
        f, g = problem.fun(x)
        seen.append(f)
        return f, g

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        solve(problem, fun, limit)
    return np.fmin.accumulate(seen)


def evaluations(runs: dict[str, Vector], accuracy: float) -> dict[str, int | None]:
    """When each run has come down to the accuracy, None if it has not."""
    least = min(seen[-1] for seen in runs.values())
    first = next(iter(runs.values()))[0]
    goal = least + accuracy * (first - least)
    return {
        name: int(np.argmax(seen <= goal)) + 1 if seen[-1] <= goal else None
        for name, seen in runs.items()
    }


def geometric_mean(ratios: list[float]) -> str:
    logs = np.log(ratios)
    mean = np.exp(logs.mean())
    error = mean * logs.std(ddof=1) / len(logs) ** 0.5 if len(logs) > 1 else np.nan
    return f"{mean:.3f} ± {error:.3f} of {len(logs)}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--n", type=int, default=10_000, help="of chained and large (10,000)")
    parser.add_argument("--accuracy", type=float, default=1e-6)
    parser.add_argument("--limit", type=int, default=2000, help="evaluations (2000)")
    args = parser.parse_args()
    print(f"{'':44}" + "".join(f"{name:>10}" for name in SOLVERS) + f"{'ratio':>8}")
    every: list[float] = []
    for family in args.families:
        if family in ("sklearn", "statsmodels") and importlib.util.find_spec(family) is None:
            print(f"{family} is not installed")
            continue
        ratios = []
        for problem in FAMILIES[family](args.n):
            runs = {name: values(problem, solve, args.limit) for name, solve in SOLVERS.items()}
            counts = evaluations(runs, args.accuracy)
            line = f"{problem.name:44}" + "".join(f"{counts[name] or '-':>10}" for name in SOLVERS)
            mine, theirs = counts["ours"], counts["SciPy"]
            if mine is not None and theirs is not None:
                ratios.append(mine / theirs)
                line += f"{ratios[-1]:>8.2f}"
            print(line, flush=True)
        every += ratios
        print(f"{family}: {geometric_mean(ratios)}\n")
    print(f"all: {geometric_mean(every)}")


if __name__ == "__main__":
    main()
