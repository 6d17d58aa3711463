"""The part of ``lbfgsb bench`` with a compiled objective: whole solves, and a great many of them.

With the objective compiled, nothing is left of Python but one call a solve or, in a batch, one call
for all. A solve goes from the usual start to a projected gradient of 1e-5; the box is
−2 ≤ x ≤ 2 with every third upper bound at 0.9.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import minimize

from lbfgsb import minimize_batch, minimize_lbfgsb
from lbfgsb.benchmarks import compiled_rosenbrock, rosenbrock_fun_and_grad

Row = dict[str, Any]

OPTIONS: dict[str, Any] = {"maxcor": 10, "ftol": 0.0, "gtol": 1e-5, "maxiter": 15_000}
MANY = 1_000_000
_COPIES = 200  # of a problem in a batch
_FEW = 200  # solves from which SciPy's time for many is extrapolated


def measure_solves(n: int, rounds: int) -> list[Row]:
    """Return what a solve of n variables takes without bounds and in the box.

    Parameters
    ----------
    n : int
    rounds : int
        How often each is measured, in turns.

    Returns
    -------
    list of dict
        With n, bounds, iterations, evaluations, and in seconds alone (a call of
        `minimize_lbfgsb`) and in_a_batch (a problem of `minimize_batch`): medians.
    """
    rows = []
    for kind, bounds in (("none", None), ("box", _box(n))):
        x0 = np.minimum(np.resize([-1.2, 1.0], n), np.inf if bounds is None else bounds[:, 1])
        copies = np.tile(x0, (_COPIES, 1))
        given = OPTIONS | {"fun": compiled_rosenbrock, "bounds": bounds}

        def alone(given: Row = given, x0: Any = x0) -> Any:
            return minimize_lbfgsb(x0=x0, **given)

        def batch(given: Row = given, copies: Any = copies) -> Any:
            return minimize_batch(x0=copies, **given)

        result = alone()
        seconds = [(_seconds(alone, 20), _seconds(batch, 1) / _COPIES) for _ in range(rounds)]
        rows.append(
            {
                "n": n,
                "bounds": kind,
                "iterations": int(result.nit),
                "evaluations": int(result.nfev),
                "alone": statistics.median(a for a, _ in seconds),
                "in_a_batch": statistics.median(b for _, b in seconds),
            }
        )
    return rows


def measure_many(count: int = MANY, threads: int = 2) -> Row:
    """Return the seconds of `count` solves at n = 2 in the box, and of a loop over SciPy.

    The starts are random. SciPy gets the objective in NumPy, as it must be a Python function; its
    time is extrapolated from a few of the starts.
    """
    box = _box(2)
    starts = np.random.default_rng(0).uniform(box[:, 0], box[:, 1], (count, 2))
    begun = time.perf_counter()
    result = minimize_batch(compiled_rosenbrock, starts, bounds=box, threads=threads, **OPTIONS)
    ours = time.perf_counter() - begun
    begun = time.perf_counter()
    for x0 in starts[:_FEW]:
        minimize(rosenbrock_fun_and_grad, x0, jac=True, method="L-BFGS-B", bounds=box,
                 options=OPTIONS)  # fmt: skip
    scipys = (time.perf_counter() - begun) * count / min(_FEW, count)
    return {
        "count": count,
        "threads": threads,
        "seconds": ours,
        "converged": int(np.count_nonzero(result.success)),
        "evaluations": int(result.nfev.sum()),
        "scipy_extrapolated": scipys,
    }


def _box(n: int) -> Any:
    upper = np.full(n, 2.0)
    upper[::3] = 0.9
    return np.stack([np.full(n, -2.0), upper], axis=1)


def _seconds(call: Callable[[], Any], times: int) -> float:
    begun = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - begun) / times
