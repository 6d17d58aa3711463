"""Where some thirty runs end, to the last bit: what `test_matrix.py` compares between builds.

    python tools/matrix/results.py > results.json

The runs take every way through the solver: one variable to 20,000; no bound, a box, nearly all
bounds active, variables fixed; few variables and the compact form; one pair to twenty; one thread
and two.

Two builds can only agree if they are told the same f and g. So the objectives consist of + - * /
and square roots of single elements, which IEEE 754 rounds in one way only, each an operation of
NumPy's of its own, which leaves nothing to fuse; and of sums by `math.fsum`, which are rounded
correctly whatever their order. No inner product of a BLAS, no sum in the order that suits a
processor, nothing from libm.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
from collections.abc import Callable
from math import fsum, inf
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

import lbfgsb
from lbfgsb._core import kernels

Vector = NDArray[np.float64]


# --- objectives: f and its gradient ---


def rosenbrock(x: Vector) -> tuple[float, Vector]:
    """Return the chained Rosenbrock function: a curved valley; n > 1."""
    r = x[1:] - x[:-1] * x[:-1]
    t = 1.0 - x[:-1]
    g = np.zeros_like(x)
    g[:-1] = -400.0 * r * x[:-1] - 2.0 * t
    g[1:] += 200.0 * r
    return fsum(100.0 * r * r + t * t), g


def quadratic(x: Vector) -> tuple[float, Vector]:
    """Return a convex quadratic of condition 1000 whose neighbours pull at each other."""
    c = 1.0 + np.arange(x.size) * (999.0 / x.size)
    d, pull = x - 1.0, x[1:] - x[:-1]
    g = c * d
    g[1:] += pull
    g[:-1] -= pull
    return 0.5 * fsum(c * d * d) + 0.5 * fsum(pull * pull), g


def distances(x: Vector) -> tuple[float, Vector]:
    """Return the sum of sqrt(1 + d²): f is nearly linear far from its minimiser."""
    d = x - _targets(x.size)
    root = np.sqrt(1.0 + d * d)
    return fsum(root), d / root


def quartic(x: Vector) -> tuple[float, Vector]:
    """Return the sum of d⁴ and of (the mean of d)²: singular at its minimiser."""
    d = x - _targets(x.size)
    mean = fsum(d) / x.size
    return fsum(d * d * (d * d)) + mean * mean, 4.0 * d * d * d + 2.0 * mean / x.size


def saturating(x: Vector) -> tuple[float, Vector]:
    """Return the sum of d²/(1 + d²): concave where \\|d\\| > 0.58."""
    d = x - _targets(x.size)
    q = 1.0 + d * d
    return fsum(d * d / q), 2.0 * d / (q * q)


def _targets(n: int) -> Vector:
    return (np.arange(n) * 7 % 11 - 5) / 4.0


# --- bounds ---


def box(n: int) -> tuple[Vector, Vector]:
    """Return bounds on every variable, few of which become active."""
    return np.full(n, -1.5), np.full(n, 1.25)


def one_sided(n: int) -> tuple[Vector, Vector]:
    """Return a lower bound, an upper bound, or none, in turn."""
    kind = np.arange(n) % 3
    return np.where(kind == 0, 0.5, -inf), np.where(kind == 1, 0.75, inf)


def tight(n: int) -> tuple[Vector, Vector]:
    """Return a narrow box that shuts most minimisers out: nearly all bounds become active."""
    middle = (np.arange(n) * 5 % 13 - 6) / 8.0
    return middle - 0.125, middle + 0.125


def some_fixed(n: int) -> tuple[Vector, Vector]:
    """Return a wide box in which every fourth variable cannot move."""
    lower, upper = np.full(n, -2.0), np.full(n, 2.0)
    lower[::4] = upper[::4] = 0.5
    return lower, upper


# --- the runs ---

Objective = Callable[[Vector], tuple[float, Vector]]
Bounds = Callable[[int], tuple[Vector, Vector]]

# name -> objective, n, bounds, options
RUNS: dict[str, tuple[Objective, int, Bounds | None, dict[str, Any]]] = {
    "n=1": (distances, 1, None, {}),
    "n=1, box": (quadratic, 1, tight, {}),
    "n=2": (rosenbrock, 2, None, {}),
    "n=2, box": (rosenbrock, 2, box, {}),
    "n=3, one-sided": (rosenbrock, 3, one_sided, {}),
    "n=5": (quartic, 5, None, {}),
    "n=7, concave": (saturating, 7, box, {}),
    "n=8": (rosenbrock, 8, None, {}),
    "n=9, some fixed": (quadratic, 9, some_fixed, {}),
    "n=10, tight": (distances, 10, tight, {}),
    "n=16": (rosenbrock, 16, one_sided, {"maxcor": 20}),
    "n=17": (rosenbrock, 17, one_sided, {"maxcor": 5}),
    "n=25": (rosenbrock, 25, None, {"gtol_linesearch": 0.1}),
    "n=40, one pair": (quadratic, 40, box, {"maxcor": 1}),
    "n=64, concave": (saturating, 64, some_fixed, {}),
    "n=100": (quadratic, 100, None, {}),
    "n=100, box": (rosenbrock, 100, box, {}),
    "n=100, tight": (rosenbrock, 100, tight, {}),
    "n=100, one-sided": (quartic, 100, one_sided, {"maxcor": 3}),
    "n=100, scaled": (quadratic, 100, one_sided, {"x_scale": np.arange(1, 101) / 50.0}),
    "n=513": (rosenbrock, 513, None, {"maxcor": 17}),
    "n=1000, box": (rosenbrock, 1000, box, {"maxcor": 20}),
    "n=1000, tight": (quadratic, 1000, tight, {}),
    "n=1000, some fixed": (rosenbrock, 1000, some_fixed, {}),
    "n=4097, one-sided": (distances, 4097, one_sided, {}),
    "n=8192": (quartic, 8192, None, {}),
    "n=8193, box": (rosenbrock, 8193, box, {"maxcor": 7}),
    "n=20000": (rosenbrock, 20000, None, {}),
    "n=20000, two threads": (rosenbrock, 20000, None, {"threads": 2}),
    "n=20000, one-sided": (rosenbrock, 20000, one_sided, {}),
    "n=20000, one-sided, two threads": (rosenbrock, 20000, one_sided, {"threads": 2}),
    "n=20000, tight": (quadratic, 20000, tight, {}),
    "n=20000, some fixed": (quadratic, 20000, some_fixed, {"maxcor": 20, "threads": 2}),
}  # fmt: skip


def end_of(name: str) -> dict[str, Any]:
    """Return where a run ends: counts, f in hexadecimal, digests of the bytes of x and g."""
    fun, n, bounds, options = RUNS[name]
    result = lbfgsb.minimize_lbfgsb(
        x0=(np.arange(n) * 37 % 101 - 50) / 25.0,
        fun=fun,
        jac=True,
        bounds=None if bounds is None else np.stack(bounds(n), axis=1),
        maxiter=60,
        ftol=1e-14,
        gtol=1e-8,
        **options,
    )
    return {
        "nit": result.nit,
        "nfev": result.nfev,
        "f": float(result.fun).hex(),
        "x": _digest(result.x),
        "g": _digest(result.jac),
    }


def _digest(v: Vector) -> str:
    return hashlib.sha256(np.ascontiguousarray(v, dtype="<f8").tobytes()).hexdigest()[:32]


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    made_by = {
        "level": kernels.cpu(),
        "machine": platform.machine(),
        "compiler": kernels.compiler(),
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "SciPy": scipy.__version__,
    }
    print(json.dumps({"made by": made_by, "runs": {name: end_of(name) for name in RUNS}}, indent=1))


if __name__ == "__main__":
    main()
