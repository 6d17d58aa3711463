"""Run solvers on CUTEst problems, in processes that can be killed, and measure what they do.

Nothing a solver says is taken on trust: evaluations are counted here, each x is checked against
the bounds, and f and the projected gradient at the returned x are computed anew.
"""

import ast
import contextlib
import importlib.metadata
import importlib.util
import json
import math
import multiprocessing
import os
import resource
import signal
import sys
import time
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from cutest_problems import Problem, load_problem
from cutest_rows import Row, empty_row, read_rows
from scipy.optimize import Bounds, OptimizeResult, minimize

OPTIONS = {"ftol": 1e-14, "gtol": 1e-6, "maxiter": 15000}
MAXFUN = 15000  # with differences: so many gradients
SECONDS = 20.0  # of CPU time, a problem and solver
LOAD_SECONDS = 180.0  # of CPU time: some problems take 30 s to build
STALLED = 3.0  # a worker is killed after so many times its CPU limit


# --- solvers and settings -----------------------------------------------------------------


class Setting(NamedTuple):
    """What is the same for all solvers of a run.

    Attributes
    ----------
    limit : float
        CPU time in seconds for a problem and solver.
    noise : float
        Standard deviation of the noise in f, relative to f.
    differences : bool
        The solvers get no gradient and take their own forward differences.
    """

    limit: float = SECONDS
    noise: float = 0.0
    differences: bool = False


def _scipy(
    fun: Callable[..., Any], x0: np.ndarray, bounds: Bounds | None, jac: bool, options: Any
) -> OptimizeResult:
    return minimize(fun, x0, method="L-BFGS-B", jac=jac or None, bounds=bounds, options=options)


def _lbfgsb(
    fun: Callable[..., Any], x0: np.ndarray, bounds: Bounds | None, jac: bool, options: Any
) -> OptimizeResult:
    import lbfgsb

    return lbfgsb.minimize_lbfgsb(x0=x0, fun=fun, jac=jac or None, bounds=bounds, **options)


SOLVERS = {"lbfgsb": _lbfgsb, "scipy": _scipy}


def parse_solver(text: str) -> tuple[str, dict[str, Any]]:
    """Read a solver with options of its own.

    >>> parse_solver("lbfgsb:maxcor=20,secant=standard")
    ('lbfgsb', {'maxcor': 20, 'secant': 'standard'})
    """
    name, colon, rest = text.partition(":")
    if name not in SOLVERS:
        raise ValueError(f"{name!r} is no solver; there are {', '.join(SOLVERS)}")
    options = {}
    for option in rest.split(",") if colon else ():
        key, equals, value = option.partition("=")
        if not (key and equals and value):
            raise ValueError(f"{option!r} in {text!r} is not OPTION=VALUE")
        try:
            options[key] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            options[key] = value
    return name, options


def check_solver(text: str) -> None:
    """Raise if a solver isn't installed or refuses its options."""
    name, options = parse_solver(text)
    if importlib.util.find_spec(name) is None:
        raise ModuleNotFoundError(f"{name} is not installed here")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # SciPy's words for an option that it doesn't know
        SOLVERS[name](lambda x: (x @ x, 2 * x), np.ones(2), None, True, options)


def label_of(solver: str, setting: Setting) -> str:
    """Name of a solver in rows and reports, such as ``'scipy 1.17.1 maxcor=20, differences'``."""
    name, _, options = solver.partition(":")
    label = f"{name} {importlib.metadata.version(name)}"
    if options:
        label += f" {options.replace(',', ' ')}"
    if setting.noise:
        label += f", noise {setting.noise:g}"
    if setting.differences:
        label += ", differences"
    return label


# --- one problem, one solver --------------------------------------------------------------


class TimeIsUpError(Exception):
    """Raised from inside the objective when the solver has had its time."""


class Objective:
    """The f and g of a problem that a solver sees: timed, counted and checked.

    Attributes
    ----------
    nfev, infeasible, undefined : int
        Evaluations; those at an x out of bounds; those with f or a component of g not finite.
    seconds : float
        CPU time spent in the problem's own code.
    x_best : ndarray of shape (n,)
        Where f was lowest, for a run that ends without a result.
    descent : list of [int, float]
        The number of each evaluation at a feasible point with a lower f than all before, and f.
    """

    def __init__(self, problem: Problem, setting: Setting) -> None:
        self.problem = problem
        self.nfev = self.infeasible = self.undefined = 0
        self.seconds = 0.0
        self.x_best, self._f_best = np.clip(problem.x0, problem.lower, problem.upper), np.inf
        self.descent: list[list[float]] = []
        self._setting = setting
        # Two solvers meet the same noise at their k-th evaluation of a problem, in each run.
        self._noise = np.random.default_rng(zlib.crc32(problem.name.encode()))
        self._deadline = time.process_time() + setting.limit

    def __call__(self, x: np.ndarray) -> Any:
        """Evaluate f and g at `x`, or f alone where the solver takes differences."""
        started = time.process_time()
        if started > self._deadline:
            raise TimeIsUpError
        f, g = self.problem.fun_and_grad(x)
        self.nfev += 1
        feasible = is_feasible(x, self.problem)
        self.infeasible += not feasible
        self.undefined += not (np.isfinite(f) and np.isfinite(g).all())
        if f < self._f_best and feasible:
            self.x_best, self._f_best = x.copy(), f
            self.descent.append([self.nfev, f])
        if self._setting.noise:
            f *= 1.0 + self._setting.noise * self._noise.standard_normal()
        self.seconds += time.process_time() - started
        return f if self._setting.differences else (f, g)


def is_feasible(x: np.ndarray, problem: Problem) -> bool:
    """Whether lower <= x <= upper, to the last bit."""
    return bool(np.all((problem.lower <= x) & (x <= problem.upper)))


def projected_gradient_norm(x: np.ndarray, g: np.ndarray, problem: Problem) -> float:
    """Inf-norm of P(x - g) - x, without the rounding error of that difference."""
    step = np.where(g < 0, np.maximum(x - problem.upper, g), np.minimum(x - problem.lower, g))
    return float(np.abs(step).max())


def run_solver(problem: Problem, solver: str, setting: Setting) -> Row:
    """Run one solver on one problem.

    Parameters
    ----------
    problem : Problem
        The problem; the solver gets its x0 as it is, within the bounds or not.
    solver : str
        The solver and its options, see `parse_solver`.
    setting : Setting
        Time, noise and differences.

    Returns
    -------
    dict
        A row of the results; `empty_row` lists the fields.
    """
    name, own = parse_solver(solver)
    calls_of_a_gradient = problem.x0.size + 1 if setting.differences else 1
    options = OPTIONS | {"maxfun": MAXFUN * calls_of_a_gradient} | own
    objective = Objective(problem, setting)
    bounds = Bounds(problem.lower, problem.upper) if problem.kind == "bounds" else None
    row = empty_row(problem.name, label_of(solver, setting))
    row |= {"n": problem.x0.size, "kind": problem.kind, "limit": setting.limit}
    started = time.process_time()
    try:
        result = SOLVERS[name](
            objective, problem.x0.copy(), bounds, not setting.differences, options
        )
    except TimeIsUpError:
        result = None
        row |= {"timed_out": True, "message": "time is up"}
    except Exception as error:
        result = None
        row["message"] = f"{type(error).__name__}: {error}"
    row |= {
        "time": time.process_time() - started,
        "time_in_objective": objective.seconds,
        "nfev": objective.nfev,
        "infeasible": objective.infeasible,
        "undefined": objective.undefined,
        "descent": [[k, float(f)] for k, f in objective.descent if np.isfinite(f)],
    }
    return row | _measured(problem, objective, result, setting)


def _measured(
    problem: Problem, objective: Objective, result: OptimizeResult | None, setting: Setting
) -> Row:
    """Measure the point a run ended at, or the best one if it was cut short."""
    x = objective.x_best if result is None else np.asarray(result.x)
    f, g = problem.fun_and_grad(x)
    row: Row = {
        "f": _finite(f),
        "projected_gradient": _finite(projected_gradient_norm(x, g, problem)),
    }
    if result is None:
        return row
    exact_f, exact_g = not setting.noise, not setting.differences
    return row | {
        "finished": True,
        "status": int(result.status),
        "message": str(result.message),
        "nit": int(result.nit),
        "nfev_reported": int(result.nfev),
        "infeasible": objective.infeasible + (not is_feasible(x, problem)),
        "fun_is_f": bool(np.array_equal(result.fun, f, equal_nan=True)) if exact_f else None,
        "jac_is_g": bool(np.array_equal(result.jac, g, equal_nan=True)) if exact_g else None,
    }


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


# --- all problems, in processes that can be killed ----------------------------------------


def run_missing(
    names: Sequence[str],
    solvers: Sequence[str],
    setting: Setting,
    out: Path | None = None,
    jobs: int = 1,
) -> list[Row]:
    """Run what the file `out` doesn't have yet, add it there, and return all rows.

    A run that `out` has as cut short by a smaller limit of time is run again.
    """
    rows = read_rows(out) if out and out.exists() else []
    done = {(row["name"], row["solver"]) for row in rows if not _deserves_more(row, setting)}
    labels = {solver: label_of(solver, setting) for solver in solvers}
    missing = {
        name: [solver for solver in solvers if (name, labels[solver]) not in done] for name in names
    }
    work = {name: left for name, left in missing.items() if left}
    if out and out.exists():
        _drop_incomplete_line(out)
    with open(out or os.devnull, "a") as file:
        for counter, new in enumerate(run_all(work, setting, jobs), start=1):
            for row in new:
                file.write(json.dumps(row) + "\n")
                _show_progress(f"{counter:3}/{len(work)}", row)
            file.flush()
            rows += new
    return rows


def _deserves_more(row: Row, setting: Setting) -> bool:
    limit = row.get("limit")
    return bool(row["timed_out"] and limit is not None and limit < setting.limit)


def _drop_incomplete_line(path: Path) -> None:
    content = path.read_bytes()
    os.truncate(path, content.rfind(b"\n") + 1)


def _show_progress(counter: str, row: Row) -> None:
    name, solver, nfev = row["name"], row["solver"], row["nfev"] or 0
    line = f"{counter}  {name:12} {solver:14} {nfev:5} evaluations  {row['message']}"
    print(line, file=sys.stderr, flush=True)


def run_all(
    work: dict[str, list[str]], setting: Setting, jobs: int, context: Any = None
) -> Iterator[list[Row]]:
    """Run the solvers that `work` names for each problem; yield the rows a problem at a time."""
    if context is None:
        methods = multiprocessing.get_all_start_methods()
        context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
        if "forkserver" in methods:
            context.set_forkserver_preload(["scipy.optimize"])
    executor = ThreadPoolExecutor(jobs)
    try:
        futures = [
            executor.submit(_run_problem, context, name, solvers, setting)
            for name, solvers in work.items()
        ]
        yield from (future.result() for future in as_completed(futures))
    finally:
        executor.shutdown(cancel_futures=True)


def _run_problem(context: Any, name: str, solvers: list[str], setting: Setting) -> list[Row]:
    """Run `solvers` on a problem in a worker process, and in a new one after each that dies."""
    rows: list[Row] = []
    while len(rows) < len(solvers):
        receiver, sender = context.Pipe(duplex=False)
        left = solvers[len(rows) :]
        worker = context.Process(target=_worker, args=(sender, name, left, setting), daemon=True)
        worker.start()
        sender.close()
        received = _receive(receiver, len(left))
        rows += received
        if len(received) < len(left):
            rows.append(_row_of_the_dead(worker, name, left[len(received)], setting))
        worker.kill()
        worker.join()
    return rows


def _receive(receiver: Connection, most: int) -> list[Row]:
    """Collect a worker's rows, at most `most`, until it ends."""
    rows: list[Row] = []
    with contextlib.suppress(EOFError):  # what is missing is for the caller to see
        while len(rows) < most:
            rows.append(receiver.recv())
    return rows


def _row_of_the_dead(worker: Any, name: str, solver: str, setting: Setting) -> Row:
    """Row of the solver in which a worker has died, or was killed for taking too long."""
    worker.join()
    stalled = worker.exitcode == -signal.SIGXCPU
    row = empty_row(name, label_of(solver, setting), "killed" if stalled else "the process died")
    return row | {"timed_out": stalled, "limit": setting.limit}


def _worker(sender: Connection, name: str, solvers: list[str], setting: Setting) -> None:
    """Load a problem, run `solvers` on it and send their rows."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # being killed by the next leaves no dump
    _allow(LOAD_SECONDS)
    started = time.process_time()
    try:
        problem = load_problem(name)
    except Exception as error:
        message = f"not loaded: {type(error).__name__}: {error}"
        for solver in solvers:
            sender.send(empty_row(name, label_of(solver, setting), message))
        return
    loaded = {"time_to_load": time.process_time() - started}
    for solver in solvers:
        _allow(STALLED * setting.limit)
        sender.send(run_solver(problem, solver, setting) | loaded)


def _allow(seconds: float) -> None:
    """Have this process killed when it has had so many more seconds of CPU time.

    Wall-clock time would not do: a busy machine may give a process a tenth of it.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = math.ceil(time.process_time() + seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))
