"""What each way to call the solver costs: whole solves of the chained Rosenbrock function.

The same function, written five times: a Python function with its gradient apart (for small n in
plain Python, which is faster there than NumPy), one that returns both, the compiled one from Python
(LowLevelCallable), and the compiled one from compiled code (lbfgsb.h, as with ``cimport``). With
and without the box −2 ≤ x ≤ 2, every third upper bound 0.9; maxcor 10; until the projected gradient
is below 1e-5. All ways take turns, and the least time of each is shown: the machine's load can only
add to it.

Needs gcc. Takes a minute::

    python tools/bench/doors.py [--sizes 2 10 100]
"""

from __future__ import annotations

import argparse
import ctypes
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import lbfgsb
from lbfgsb import minimize_lbfgsb
from lbfgsb.benchmarks import (
    compiled_rosenbrock,
    rosenbrock,
    rosenbrock_fun_and_grad,
    rosenbrock_grad,
)

Vector = NDArray[np.float64]

SOURCE = """
#include <string.h>
#include <lbfgsb.h>

int import(void) { return lbfgsb_import(); }

static int rosenbrock(Py_ssize_t n, const double *x, double *f, double *g, void *data)
{
    double value = 0, r, q;
    Py_ssize_t i;
    (void)data;
    g[0] = 0;
    for (i = 0; i < n - 1; i++) {
        r = x[i + 1] - x[i] * x[i];
        q = 1 - x[i];
        value += 100 * r * r + q * q;
        g[i] -= 400 * r * x[i] + 2 * q;
        g[i + 1] = 200 * r;
    }
    *f = value;
    return 0;
}

/* Solves from each row of x (count, n), which becomes the solution; returns how many converge. */
Py_ssize_t solve(Py_ssize_t count, Py_ssize_t n, double *x, const double *lower,
                 const double *upper)
{
    lbfgsb_options options = lbfgsb_default_options();
    Py_ssize_t i, converged = 0;
    options.ftol = 0;
    options.maxiter = 15000;
    for (i = 0; i < count; i++)
        converged += lbfgsb_minimize(rosenbrock, NULL, n, x + i * n, lower, upper, &options, NULL)
                     == LBFGSB_CONVERGED;
    return converged;
}
"""
GIVEN = {"ftol": 0.0, "gtol": 1e-5, "maxiter": 15000}


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", nargs="+", type=int, default=[2, 10, 100], metavar="N")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each way and size")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        solve = compile_loop(Path(folder))
    print(f"{'':28}{'evaluations':>12}{'µs a solve':>12}{'ns an evaluation':>18}")
    for n in args.sizes:
        for lower, upper in ((None, None), box(n)):
            compare(n, lower, upper, solve, args.seconds)


def compile_loop(folder: Path) -> Callable[..., int]:
    """Return the loop over problems, compiled, with arrays as arguments."""
    source, library = folder / "doors.c", folder / "doors.so"
    source.write_text(SOURCE)
    subprocess.run(
        ["gcc", "-O2", "-shared", "-fPIC", f"-I{sysconfig.get_path('include')}",
         f"-I{lbfgsb.get_include()}", str(source), "-o", str(library)],
        check=True,
    )  # fmt: skip
    assert ctypes.PyDLL(str(library))["import"]() == 0
    function = ctypes.CDLL(str(library)).solve
    function.restype = ctypes.c_ssize_t
    function.argtypes = [ctypes.c_ssize_t] * 2 + [ctypes.c_void_p] * 3

    def solve(x: Vector, lower: Vector | None, upper: Vector | None) -> int:
        converged: int = function(
            *x.shape, x.ctypes.data, *(None if b is None else b.ctypes.data for b in (lower, upper))
        )
        return converged

    return solve


def box(n: int) -> tuple[Vector, Vector]:
    """The bounds."""
    upper = np.full(n, 2.0)
    upper[::3] = 0.9
    return np.full(n, -2.0), upper


def compare(
    n: int, lower: Vector | None, upper: Vector | None, solve: Callable[..., int], seconds: float
) -> None:
    """Measure every way at one size and print a row for each."""
    x0 = np.resize([-1.2, 1.0], n)
    bounds = None if lower is None else np.stack([lower, upper], axis=1)
    python = in_python if n <= 10 else rosenbrock_fun_and_grad
    given: dict[str, Any] = {"x0": x0, "bounds": bounds} | GIVEN
    ways: dict[str, Callable[[], Any]] = {
        "fun and jac": lambda: minimize_lbfgsb(fun=rosenbrock, jac=rosenbrock_grad, **given),
        "jac=True": lambda: minimize_lbfgsb(fun=python, jac=True, **given),
        "LowLevelCallable": lambda: minimize_lbfgsb(fun=compiled_rosenbrock, **given),
        "cimport, lbfgsb.h": lambda: solve(x0[None].copy(), lower, upper),
    }
    evaluations = ways["LowLevelCallable"]().nfev
    print(f"n = {n}, {'no bounds' if bounds is None else 'box'}")
    for name, least in zip(ways, least_times(list(ways.values()), seconds), strict=True):
        print(f"  {name:26}{evaluations:12}{1e6 * least:12.1f}{1e9 * least / evaluations:18.0f}")


def in_python(x: Vector) -> tuple[float, list[float]]:
    """The Rosenbrock function in plain Python."""
    value, g = 0.0, [0.0]
    points = x.tolist()
    for a, b in pairwise(points):
        r, q = b - a * a, 1.0 - a
        value += 100.0 * r * r + q * q
        g[-1] -= 400.0 * r * a + 2.0 * q
        g.append(200.0 * r)
    return value, g


def least_times(ways: Sequence[Callable[[], Any]], seconds: float) -> list[float]:
    """Return the least time of a call of each, in turns of some milliseconds."""
    counts = []
    for way in ways:
        start = time.perf_counter()
        way()
        counts.append(max(1, int(0.005 / (time.perf_counter() - start))))
    least = [float("inf")] * len(ways)
    end = time.perf_counter() + seconds * len(ways)
    while time.perf_counter() < end:
        for i, (way, count) in enumerate(zip(ways, counts, strict=True)):
            start = time.perf_counter()
            for _ in range(count):
                way()
            least[i] = min(least[i], (time.perf_counter() - start) / count)
    return least


if __name__ == "__main__":
    main()
