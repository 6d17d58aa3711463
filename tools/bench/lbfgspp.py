"""lbfgsb beside LBFGS++, where its headers are: both compiled, with the same compiled objective.

A driver in C++ is compiled in a temporary folder against the headers that the user names; nothing
of LBFGS++ is kept. lbfgsb is reached as from any compiled program, through ``lbfgsb.h``. Up to 100
variables a whole solve is measured, to a projected gradient of 1e-5; above, what an iteration takes
once the memory is full: a run of 40 iterations less one of 10, by 30. The objective is in all
times. Both have 10 pairs, start from (−1.2, 1, −1.2, 1, ...), and have no test but that of the
gradient, in the inf-norm: the tolerance of LBFGS++, which without bounds tests the 2-norm, is set
to the 2-norm at the first point of its run that meets the test. Without bounds its line search is
the one for the strong Wolfe conditions: with another a pair may have negative curvature.
"""

from __future__ import annotations

import ctypes
import os
import shlex
import shutil
import statistics
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import lbfgsb
from lbfgsb._cli import bench

Vector = NDArray[np.float64]
Row = dict[str, Any]

SIZES = (2, 10, 100, 1_000, 10_000)
WHOLE_SOLVE_UP_TO = 100
GTOL = 1e-5
FEW, MANY = bench.MAXCOR, 40  # iterations; the difference is measured
NO_LIMIT = 15_000
FLAGS = ["-std=c++17", "-O3", "-march=native", "-DNDEBUG", "-shared", "-fPIC"]
DRIVER = Path(__file__).with_name("lbfgspp_driver.cpp")
USUAL_PLACES = ("/usr/include", "/usr/local/include", "/opt/homebrew/include")


class _Run(ctypes.Structure):
    _fields_ = (
        ("seconds", ctypes.c_double),
        ("fun", ctypes.c_double),
        ("iterations", ctypes.c_ssize_t),
        ("evaluations", ctypes.c_ssize_t),
        ("is_completed", ctypes.c_int),
    )


class _Problem(ctypes.Structure):
    _fields_ = (
        ("n", ctypes.c_ssize_t),
        ("x0", ctypes.c_void_p),
        ("lower", ctypes.c_void_p),
        ("upper", ctypes.c_void_p),
        ("maxcor", ctypes.c_ssize_t),
        ("tolerance", ctypes.c_double),
        ("maxiter", ctypes.c_ssize_t),
    )


@dataclass(frozen=True)
class Budget:
    """How long to measure: `rounds` in which both take turns, each for `seconds` at least."""

    rounds: int = 15
    seconds: float = 0.02


QUICK = Budget(rounds=3, seconds=0.002)


class Driver:
    """The compiled driver.

    Parameters
    ----------
    headers : Path
        The folder with LBFGS.h and LBFGSB.h.
    eigen : Path, optional
        The folder with Eigen/; by default it is looked for beside the headers and in the usual
        places.

    Raises
    ------
    FileNotFoundError
        If there is no compiler, or a header is not there.
    CalledProcessError
        If it does not compile; the compiler has said why.
    """

    def __init__(self, headers: Path, eigen: Path | None = None) -> None:
        if not (headers / "LBFGSB.h").is_file():
            raise FileNotFoundError(f"no LBFGSB.h in {headers}")
        folders = [headers, find_eigen(headers) if eigen is None else eigen]
        folders += [Path(sysconfig.get_path("include")), Path(lbfgsb.get_include())]
        with tempfile.TemporaryDirectory() as folder:
            library = Path(folder) / "driver.so"
            command = [*compiler(), *FLAGS, *(f"-I{each}" for each in folders)]
            subprocess.run([*command, str(DRIVER), "-o", str(library)], check=True)
            with_gil = ctypes.PyDLL(str(library))
            self._library = ctypes.CDLL(str(library))
        if with_gil.import_lbfgsb() != 0:
            raise ImportError("lbfgsb has no C interface")
        self._library.equivalent_tolerance.restype = ctypes.c_double

    def time(self, name: str, problem: _Problem, times: int) -> _Run:
        """Solve so many times with ``'lbfgsb'`` or ``'lbfgspp'``."""
        run = _Run()
        solve = getattr(self._library, f"time_{name}")
        solve(ctypes.byref(problem), ctypes.c_ssize_t(times), ctypes.byref(run))
        return run

    def equivalent_tolerance(self, problem: _Problem) -> float:
        """Return what LBFGS++ has to test for to stop where the inf-norm meets the tolerance."""
        norm: float = self._library.equivalent_tolerance(ctypes.byref(problem))
        return norm if norm >= 0 else problem.tolerance


def compiler() -> list[str]:
    """Return the command of a C++ compiler: that of the variable CXX, or one that there is."""
    named = shlex.split(os.environ.get("CXX", ""))
    if named:
        return named
    for name in ("c++", "g++", "clang++"):
        if shutil.which(name):
            return [name]
    raise FileNotFoundError("no C++ compiler: set CXX")


def find_eigen(headers: Path) -> Path:
    """Return the folder with Eigen/, from beside the headers of LBFGS++ or the usual places."""
    for place in (headers, *map(Path, USUAL_PLACES)):
        for folder in (place, place / "eigen3"):
            if (folder / "Eigen" / "Core").is_file():
                return folder
    raise FileNotFoundError("no Eigen/Core in the usual places; say where with --eigen")


# --- the measurement ----------------------------------------------------------------------


def measure(driver: Driver, sizes: Sequence[int], budget: Budget) -> list[Row]:
    """Return a row for each size, without bounds and in the box.

    Returns
    -------
    list of dict
        With n, bounds, what ('solve' or 'iteration'), for each solver the seconds, iterations,
        evaluations, f and whether its run was completed, and the ratio of LBFGS++'s time to ours,
        None if one was not.
    """
    return [measure_one(driver, n, kind, budget) for n in sizes for kind in ("none", "box")]


def measure_one(driver: Driver, n: int, kind: str, budget: Budget) -> Row:
    """Return the row of one problem."""
    problem = bench.make_problem(n, kind, no_objective)
    box = problem.bounds
    arrays = [problem.x0] if box is None else [problem.x0, box.lb, box.ub]
    arrays = [np.ascontiguousarray(each) for each in arrays]
    pointers = [each.ctypes.data for each in arrays] + [None] * (3 - len(arrays))

    def given(tolerance: float, maxiter: int) -> _Problem:
        return _Problem(n, *pointers, bench.MAXCOR, tolerance, maxiter)

    is_whole = n <= WHOLE_SOLVE_UP_TO
    if is_whole:
        ours = given(GTOL, NO_LIMIT)
        theirs = given(driver.equivalent_tolerance(ours), NO_LIMIT) if box is None else ours
        runs = take_turns(
            {"lbfgsb": whole(driver, "lbfgsb", ours), "LBFGS++": whole(driver, "lbfgspp", theirs)},
            budget,
        )
    else:
        short, long = given(0.0, FEW), given(0.0, MANY)
        runs = take_turns(
            {
                "lbfgsb": an_iteration(driver, "lbfgsb", short, long),
                "LBFGS++": an_iteration(driver, "lbfgspp", short, long),
            },
            budget,
        )
    seconds = {name: [took["seconds"] for took in each] for name, each in runs.items()}
    row: Row = {"n": n, "bounds": kind, "what": "solve" if is_whole else "iteration"}
    row["solvers"] = {name: each[-1] for name, each in runs.items()}
    for name, each in seconds.items():
        if None not in each:
            row["solvers"][name]["seconds"] = statistics.median(each)
    is_completed = all(took["completed"] for took in row["solvers"].values())
    row["ratio"] = (
        bench.pairwise_ratio(seconds["LBFGS++"], seconds["lbfgsb"]) if is_completed else None
    )
    return row


def no_objective(x: Vector) -> tuple[float, Vector]:
    """Stand for the objective, which is in the driver."""
    raise NotImplementedError


Way = Callable[[int], Row]


def whole(driver: Driver, name: str, problem: _Problem) -> Way:
    """Return a function that measures so many whole solves."""

    def way(times: int) -> Row:
        return as_row(driver.time(name, problem, times))

    return way


def an_iteration(driver: Driver, name: str, short: _Problem, long: _Problem) -> Way:
    """Return a function that measures an iteration by the difference of two runs.

    It says None for the time where the longer run got no further: its line search failed.
    """

    def way(times: int) -> Row:
        first, last = (driver.time(name, problem, times) for problem in (short, long))
        more = last.iterations - first.iterations
        seconds = (last.seconds - first.seconds) / more if more > 0 else None
        return as_row(last) | {"seconds": seconds}

    return way


def as_row(run: _Run) -> Row:
    """Return what a run took, in numbers that JSON knows."""
    return {
        "seconds": run.seconds,
        "iterations": run.iterations,
        "evaluations": run.evaluations,
        "fun": run.fun,
        "completed": bool(run.is_completed),
    }


def take_turns(ways: dict[str, Way], budget: Budget) -> dict[str, list[Row]]:
    """Return what each way takes, measured in turns, every other round the other way round."""
    times = {}
    for name, way in ways.items():
        begun = time.perf_counter()
        way(1)
        times[name] = max(1, int(budget.seconds / (time.perf_counter() - begun)))
    runs: dict[str, list[Row]] = {name: [] for name in ways}
    for turn in range(budget.rounds):
        for name in list(ways)[:: -1 if turn % 2 else 1]:
            runs[name].append(ways[name](times[name]))
    return runs


# --- the table ----------------------------------------------------------------------------


def lines_of(rows: Sequence[Row]) -> list[str]:
    """Return the table that is printed."""
    lines = [
        "",
        "Compiled, with LBFGS++: a whole solve, or an iteration with 10 pairs; the objective is",
        "in it. 'its' and 'evals' are those of the run. A mark: LBFGS++'s line search failed.",
        "",
        f"{'n':>9}{'bounds':>8}{'what':>11}{'lbfgsb':>10}{'its':>6}{'evals':>7}"
        f"{'LBFGS++':>10}{'its':>6}{'evals':>7}{'ratio':>8}",
    ]
    for row in rows:
        ours, theirs = row["solvers"]["lbfgsb"], row["solvers"]["LBFGS++"]
        lines.append(
            f"{row['n']:>9}{row['bounds']:>8}{row['what']:>11}"
            f"{bench.format_seconds(ours['seconds']):>10}{ours['iterations']:>6}"
            f"{ours['evaluations']:>7}{bench.format_seconds(theirs['seconds']):>10}"
            f"{theirs['iterations']:>6}{theirs['evaluations']:>7}"
            f"{bench.format_ratio(row['ratio']):>8}{'' if theirs['completed'] else ' *'}"
        )
    return lines
