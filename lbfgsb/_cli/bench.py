"""The benchmark behind ``lbfgsb bench``: the solver's own time, and how far it is from memory's.

What is measured is the solver alone: the time of a run less the time inside the objective, which
a wrapper around it takes, divided by the number of evaluations. The objective is the chained
Rosenbrock function in NumPy. All solvers run in one process and take turns, so that what disturbs
one disturbs all; a ratio is the median of the ratios of neighbouring runs, not the ratio of two
medians.

For large n an iteration can't be faster than memory: it must read W = [Y S], 2·m·n numbers, twice
without bounds (Wᵀ[g, s, y], then the step) and three times with some active (the subspace
residual besides). How long one read takes is measured in the same run. For this comparison the
time of an iteration counts from where the memory holds m pairs, without set-up and result.

How much memory a run takes is measured in a process of its own (`bench_memory`), since the peak of
a process never falls.

This module imports nothing of lbfgsb before it runs, so that ``tools/bench/environments.py`` can
measure other releases with it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, TextIO, TypeAlias

import numpy as np
import scipy
from numpy.typing import NDArray
from scipy.optimize import Bounds, minimize

Vector: TypeAlias = NDArray[np.float64]
Objective: TypeAlias = Callable[[Vector], tuple[float, Vector]]
Row: TypeAlias = dict[str, Any]
Threads: TypeAlias = "int | str"  # a number, or 'auto'

SIZES = (2, 10, 100, 1_000, 10_000, 100_000, 1_000_000)
QUICK_SIZES = SIZES[:-1]
KINDS = ("none", "box", "active")
MAXCOR = 10

_WHOLE_SOLVE_UP_TO = 100
_MOST_ITERATIONS = 40  # of larger problems
_MEMORY_BOUND_FROM = 10_000  # below, a run takes less memory than the solver's code
_THREADS_FROM = 1_000_000
_ANY = 15_000  # evaluations or iterations: as good as no limit
_BLAS_THREADS = "OPENBLAS_NUM_THREADS"
_WIDTH = 80
_COMPILED = (
    "The objective compiled (a LowLevelCallable): a whole solve, to a projected gradient of 1e-5, "
    "by minimize_lbfgsb, and the same as one of 200 problems of minimize_batch."
)


# --- the problem --------------------------------------------------------------------------


@dataclass(frozen=True)
class Problem:
    """The chained Rosenbrock function with the options that every solver gets.

    Attributes
    ----------
    fun : callable
        ``fun(x) -> (f, g)``.
    x0 : ndarray of float64, shape (n,)
    bounds : Bounds, optional
    gtol : float
        Of the projected gradient; there is no other stopping test but `maxiter`.
    maxiter : int
    evaluations : int
        The limit for solvers that have none for iterations.
    """

    fun: Objective
    x0: Vector
    bounds: Bounds | None
    gtol: float
    maxiter: int
    evaluations: int = _ANY


def make_problem(n: int, kind: str, fun: Objective) -> Problem:
    """Return the problem of `n` variables.

    Parameters
    ----------
    n : int
    kind : {'none', 'box', 'active'}
        ``'none'`` has no bounds; it starts from (−1.2, 1, −1.2, 1, ...). ``'box'`` starts from
        there in −2 ≤ x ≤ 2 with x₁, x₄, x₇, ... ≤ 0.9, and meets few bounds in 40 iterations.
        ``'active'`` is the same box from x = 0.5, where a third of the variables come to rest at
        their bounds within ten iterations.
    fun : callable
        ``fun(x) -> (f, g)``.

    Returns
    -------
    Problem
    """
    x0 = np.full(n, 0.5) if kind == "active" else np.resize([-1.2, 1.0], n)
    whole = n <= _WHOLE_SOLVE_UP_TO
    gtol = 1e-6 if whole else 1e-3 if kind == "active" else 0.0
    maxiter = _ANY if whole else _MOST_ITERATIONS
    if kind == "none":
        return Problem(fun, x0, None, gtol, maxiter)
    upper = np.full(n, 2.0)
    upper[::3] = 0.9
    return Problem(fun, np.minimum(x0, upper), Bounds(np.full(n, -2.0), upper), gtol, maxiter)


# --- the solvers --------------------------------------------------------------------------


@dataclass(frozen=True)
class Solver:
    """A solver that can be measured.

    Attributes
    ----------
    solve : callable
        ``solve(problem, stamps) -> (iterations, f)``, None for iterations that it doesn't tell.
        It appends to `stamps` the times at which each evaluation begins and ends.
    is_setup_counted : bool
        Whether what it does before the first evaluation counts. It does for SciPy and lbfgsb; of
        the others, some take seconds to read a million bounds.
    """

    solve: Callable[[Problem, list[float]], tuple[int | None, float]]
    is_setup_counted: bool = True


def timed(fun: Objective, stamps: list[float]) -> Objective:
    """Return `fun`, which now appends to `stamps` when each of its calls begins and ends."""
    clock, append = time.perf_counter, stamps.append

    def timed(x: Vector) -> tuple[float, Vector]:
        append(clock())
        result = fun(x)
        append(clock())
        return result

    return timed


def _options(problem: Problem) -> dict[str, Any]:
    return {
        "maxcor": MAXCOR,
        "ftol": 0.0,
        "gtol": problem.gtol,
        "maxiter": problem.maxiter,
        "maxfun": _ANY,
    }


def solve_with_lbfgsb(
    problem: Problem, stamps: list[float], **options: Any
) -> tuple[int | None, float]:
    """Solve with `minimize_lbfgsb` of the lbfgsb that can be imported, whichever it is."""
    from lbfgsb import minimize_lbfgsb

    settings: dict[str, Any] = {"bounds": problem.bounds} | _options(problem) | options
    result = minimize_lbfgsb(x0=problem.x0, fun=timed(problem.fun, stamps), jac=True, **settings)
    return int(result.nit), float(result.fun)


def solve_with_scipy(problem: Problem, stamps: list[float]) -> tuple[int | None, float]:
    """Solve with SciPy's L-BFGS-B."""
    result = minimize(
        timed(problem.fun, stamps),
        problem.x0,
        method="L-BFGS-B",
        jac=True,
        bounds=problem.bounds,
        options=_options(problem),
    )
    return int(result.nit), float(result.fun)


# --- the measurement ----------------------------------------------------------------------


@dataclass(frozen=True)
class Sample:
    """What one run took.

    Attributes
    ----------
    evaluation : float
        Seconds of the solver an evaluation.
    iteration : float, optional
        Seconds of the solver an iteration that has all pairs; an evaluation for solvers that
        don't tell their iterations; None if the run was too short.
    evaluations : int
    iterations : int, optional
    fun : float
        The last f.
    """

    evaluation: float
    iteration: float | None
    evaluations: int
    iterations: int | None
    fun: float


@dataclass(frozen=True)
class Effort:
    """How long to go on: at least `least` rounds, then up to `most` within `seconds`."""

    seconds: float = 4.0
    least: int = 5
    most: int = 200


QUICK = Effort(seconds=0.5, least=3, most=60)


def run_once(solver: Solver, problem: Problem, full: int | None = None) -> Sample:
    """Run a solver once and return what it took.

    Parameters
    ----------
    solver : Solver
    problem : Problem
    full : int, optional
        After how many evaluations it has all pairs.

    Returns
    -------
    Sample
    """
    stamps: list[float] = []
    begun = time.perf_counter()
    iterations, f = solver.solve(problem, stamps)
    ended = time.perf_counter()
    begins, ends = np.array(stamps[::2]), np.array(stamps[1::2])
    if not solver.is_setup_counted:
        begun = begins[0]
    calls = len(begins)
    spent = ended - begun - float(np.sum(ends - begins))
    return Sample(
        spent / calls, _iteration_seconds(begins, ends, iterations, full), calls, iterations, f
    )


def _iteration_seconds(
    begins: Vector, ends: Vector, iterations: int | None, full: int | None
) -> float | None:
    """Return the time between evaluations once there are all pairs, divided by the iterations."""
    calls = len(begins)
    if full is None or calls <= full:
        return None
    counted = calls - full if iterations is None else iterations - MAXCOR
    if counted < 1:
        return None
    return float(np.sum(begins[full:] - ends[full - 1 : -1])) / counted


def measure(
    problem: Problem,
    solvers: dict[str, Solver],
    effort: Effort,
    probes: Mapping[str, Callable[[], float]] | None = None,
) -> tuple[dict[str, list[Sample]], dict[str, list[float]]]:
    """Run the solvers in turn, round by round, each round in the opposite order of the last.

    Parameters
    ----------
    problem : Problem
    solvers : dict of str to Solver
        The first one's number of evaluations is the limit of those that don't tell iterations.
    effort : Effort
    probes : dict of str to callable, optional
        What else to measure in each round; they return seconds.

    Returns
    -------
    samples : dict of str to list of Sample
        By solver, one a round.
    probed : dict of str to list of float
    """
    problem, full = _rehearse(problem, solvers)
    probes = probes or {}
    samples: dict[str, list[Sample]] = {name: [] for name in solvers}
    probed: dict[str, list[float]] = {name: [] for name in probes}
    begun = time.perf_counter()
    for rounds in range(effort.most):
        if rounds >= effort.least and time.perf_counter() - begun > effort.seconds:
            break
        for name in list(solvers)[:: -1 if rounds % 2 else 1]:
            samples[name].append(run_once(solvers[name], problem, full[name]))
        for name, probe in probes.items():
            probed[name].append(probe())
    return samples, probed


def _rehearse(problem: Problem, solvers: dict[str, Solver]) -> tuple[Problem, dict[str, int]]:
    """Run everything once; return the problem with its limits, and the evaluations to all pairs.

    The runs are deterministic: one stopped after MAXCOR iterations is the beginning of the whole.
    """
    first = next(iter(solvers.values()))
    problem = replace(problem, evaluations=run_once(first, problem).evaluations)
    short = replace(problem, maxiter=MAXCOR, evaluations=2 * MAXCOR)
    return problem, {name: run_once(solver, short).evaluations for name, solver in solvers.items()}


def pairwise_ratio(numerators: Iterable[float], denominators: Iterable[float]) -> float:
    """Return the median of the ratios of what was measured in the same rounds."""
    return statistics.median(a / b for a, b in zip(numerators, denominators, strict=True))


def summarise(samples: Sequence[Sample]) -> dict[str, Any]:
    """Return what the runs of one solver took, in numbers that JSON knows."""
    iteration = [s.iteration for s in samples if s.iteration is not None]
    return {
        "seconds_per_evaluation": statistics.median(s.evaluation for s in samples),
        "seconds_per_iteration": statistics.median(iteration) if iteration else None,
        "evaluations": samples[-1].evaluations,
        "iterations": samples[-1].iterations,
        "fun": samples[-1].fun,
        "samples": [s.evaluation for s in samples],
    }


# --- the table's rows ---------------------------------------------------------------------


@dataclass(frozen=True)
class Variant:
    """One row's options of lbfgsb.

    Attributes
    ----------
    threads : int or 'auto'
    pairs : {'float64', 'float32'}
    """

    threads: Threads = 1
    pairs: str = "float64"

    def __str__(self) -> str:
        """Return a name that no other variant has, and no other solver."""
        return f"lbfgsb {self.threads} {self.pairs}"

    def solver(self) -> Solver:
        """Return lbfgsb with these options."""
        return Solver(partial(solve_with_lbfgsb, threads=self.threads, pairs=self.pairs))

    def read_seconds(self, n: int) -> float:
        """Return the time of a read of as many bytes as W has, by as many threads."""
        from lbfgsb._core.measure import read_seconds

        columns = 2 * MAXCOR if self.pairs == "float64" else MAXCOR  # of doubles
        counts = {1, _processors()} if isinstance(self.threads, str) else {self.threads}
        return min(read_seconds(n, columns, count, 3) for count in counts)


def variants_for(n: int, threads: Sequence[Threads] | None, pairs: str) -> list[Variant]:
    """Return the rows of one size.

    Parameters
    ----------
    n : int
    threads : sequence of int or 'auto', optional
        Those asked for; by default 1 and, from a million variables on, 2 and 'auto'.
    pairs : {'float64', 'float32'}
        With 'float32' each row is there twice, with the pairs in double and in single precision,
        where n is large enough for that to make a difference.

    Returns
    -------
    list of Variant
    """
    from lbfgsb._core import kernels
    from lbfgsb._core.base_solver import FEW_VARIABLES

    if threads is None:
        threads = [1]
        if n >= _THREADS_FROM and _processors() > 1 and kernels.openmp():
            threads = [1, 2, "auto"]
    types = ["float64"]
    if pairs != "float64" and n > FEW_VARIABLES:
        types.append(pairs)
    return [Variant(count, each) for each in types for count in dict.fromkeys(threads)]


def _rows(
    n: int,
    kind: str,
    variants: Sequence[Variant],
    fun: Objective,
    effort: Effort,
    peers: Mapping[str, Solver],
) -> list[Row]:
    """Measure one size and kind of bounds; return one row for each variant."""
    ours = {str(variant): variant.solver() for variant in variants}
    probes: dict[str, Callable[[], float]] = {}
    if n >= _MEMORY_BOUND_FROM:
        probes = {str(variant): partial(variant.read_seconds, n) for variant in variants}
    solvers = ours | {"SciPy": Solver(solve_with_scipy), **peers}
    samples, reads = measure(make_problem(n, kind, fun), solvers, effort, probes)
    others = {name: runs for name, runs in samples.items() if name not in ours}
    rows = [
        _row(n, kind, each, samples[str(each)], others, reads.get(str(each), []))
        for each in variants
    ]
    if n >= _MEMORY_BOUND_FROM:
        _add_memory(rows, variants)
    return rows


def _row(
    n: int,
    kind: str,
    variant: Variant,
    ours: list[Sample],
    others: dict[str, list[Sample]],
    reads: list[float],
) -> Row:
    solvers = {"lbfgsb": summarise(ours)}
    for name, runs in others.items():
        solvers[name] = summarise(runs)
        solvers[name]["ratio"] = pairwise_ratio(
            [s.evaluation for s in runs], [s.evaluation for s in ours]
        )
    return {
        "n": n,
        "bounds": kind,
        "threads": variant.threads,
        "pairs": variant.pairs,
        "solvers": solvers,
        "limit": _limit(ours, reads),
        "memory": None,
    }


def _add_memory(rows: Sequence[Row], variants: Sequence[Variant]) -> None:
    """Say in the rows of one problem what lbfgsb and SciPy take of memory."""
    from lbfgsb._cli.bench_memory import measure_in_a_new_process

    n, kind = rows[0]["n"], rows[0]["bounds"]
    scipys = measure_in_a_new_process(n, kind, None)
    for row, variant in zip(rows, variants, strict=True):
        row["memory"] = {
            "lbfgsb": measure_in_a_new_process(n, kind, variant),
            "SciPy": scipys,
        }


def _limit(ours: list[Sample], reads: list[float]) -> Row | None:
    """Compare the iterations with the two reads of W that they can't do without."""
    rounds = [
        (s.iteration, read) for s, read in zip(ours, reads, strict=False) if s.iteration is not None
    ]
    if not rounds:
        return None
    return {
        "read_seconds": statistics.median(read for _, read in rounds),
        "distance": statistics.median(seconds / (2 * read) for seconds, read in rounds),
    }


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def busy_neighbour() -> Iterator[int | None]:
    """Run a process beside that keeps a processor busy; give the number of that processor.

    It is the last one that this process may use, or None where a process can't be held on one. The
    neighbour ends with the block, and also if this process is killed: its standard input closes.
    """
    beside = subprocess.Popen(
        [sys.executable, "-c", _BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert beside.stdout is not None
    try:
        where = None
        if hasattr(os, "sched_setaffinity"):
            where = max(os.sched_getaffinity(0))
            os.sched_setaffinity(beside.pid, {where})
        beside.stdout.readline()  # it has begun
        yield where
    finally:
        beside.kill()
        beside.communicate()


_BUSY = """
import os, sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0))).start()
print(flush=True)
while True:
    pass
"""


def describe_machine(packages: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return what the times depend on, in general terms.

    Parameters
    ----------
    packages : dict of str to str, optional
        The installed packages of other solvers, by the solver's name.
    """
    from lbfgsb._core import kernels

    blas = scipy.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {
        "processor": _processor_model(),
        "processors": _processors(),
        "cpu_kernels": kernels.cpu(),
        "system": platform.system(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "blas": blas.get("name", "unknown"),
        "blas_threads": os.environ.get(_BLAS_THREADS),
        "versions": {
            "lbfgsb": metadata.version("lbfgsb"),
            "SciPy": scipy.__version__,
            "NumPy": np.__version__,
            "Python": platform.python_version(),
        }
        | {name: metadata.version(package) for name, package in (packages or {}).items()},
    }


def _processor_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.processor() or platform.machine()


# --- what is printed ----------------------------------------------------------------------


def format_seconds(seconds: float | None) -> str:
    """Return a time with three digits and its unit.

    Examples
    --------
    >>> format_seconds(0.0000123), format_seconds(0.5), format_seconds(None)
    ('12.3 µs', '500 ms', '-')
    """
    if seconds is None:
        return "-"
    units = {1.0: "s", 1e-3: "ms", 1e-6: "µs"}
    scale = next((scale for scale in units if seconds >= 0.9995 * scale), 1e-6)
    value = seconds / scale
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{digits}f} {units[scale]}"


def format_ratio(ratio: float | None) -> str:
    """Return a ratio with three digits.

    Examples
    --------
    >>> format_ratio(10.54), format_ratio(0.5), format_ratio(None)
    ('10.5x', '0.50x', '-')
    """
    return "-" if ratio is None else f"{ratio:.2f}x" if ratio < 9.995 else f"{ratio:.1f}x"


def format_bytes(count: int | None) -> str:
    """Return an amount of memory in MB of a million bytes.

    Examples
    --------
    >>> format_bytes(1_260_000), format_bytes(260_400_000), format_bytes(None)
    ('1.3 MB', '260 MB', '-')
    """
    return "-" if count is None else f"{count / 1e6:.{1 if count < 99.95e6 else 0}f} MB"


def _introduction(machine: dict[str, Any], notes: Iterable[str]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    threads = machine["blas_threads"]
    said = [
        versions,
        f"{machine['processor']}, {machine['processors']} processors, {machine['cpu_kernels']} "
        f"kernels, {machine['system']}",
        f"SciPy's BLAS ({machine['blas']}) with "
        + ("all its threads, its default" if threads is None else f"{_BLAS_THREADS}={threads}"),
    ]
    if machine["load"] is not None and machine["load"] > 0.5:
        said.append(f"Load average {machine['load']}: other processes disturb these times.")
    said += [
        "",
        "Chained Rosenbrock function, 10 pairs; time of the solver alone (total less the "
        "objective's) per evaluation; medians of runs that take turns. Bounds: none; box, "
        "-2 <= x <= 2 with every third x <= 0.9, from the same start (-1.2, 1, ...); active, that "
        "box from x = 0.5, where a third of the variables come to rest at bounds.",
        *notes,
    ]
    return "\n".join(textwrap.fill(line, _WIDTH) for line in said)


_KEYS_HEAD = f"{'n':>9}{'bounds':>8}{'threads':>9}{'pairs':>9}"


def _keys(row: Row) -> str:
    return f"{row['n']:>9}{row['bounds']:>8}{row['threads']:>9}{row['pairs']:>9}"


def _table_head(names: Iterable[str]) -> str:
    head = f"{_KEYS_HEAD}{'lbfgsb':>10}"
    for name in names:
        head += f"{name:>10}{'ratio':>8}"
    return head


def _table_line(row: Row) -> str:
    solvers = row["solvers"]
    ours = format_seconds(solvers["lbfgsb"]["seconds_per_evaluation"])
    line = f"{_keys(row)}{ours:>10}"
    for name in list(solvers)[1:]:
        seconds = format_seconds(solvers[name]["seconds_per_evaluation"])
        line += f"{seconds:>10}{format_ratio(solvers[name]['ratio']):>8}"
    return line


def _limit_lines(rows: Iterable[Row]) -> list[str]:
    """Return the second table: iterations in units of memory's limit."""
    said = (
        "The limit: an iteration reads W = [Y S], 20 n numbers, twice. Time of an iteration of "
        "lbfgsb with 10 pairs, time of reading as many bytes as W has once in the same run, and "
        "iteration / (2 x read)."
    )
    lines = [
        *textwrap.wrap(said, _WIDTH),
        "",
        f"{_KEYS_HEAD}{'iteration':>11}{'read W':>10}{'distance':>10}",
    ]
    for row in rows:
        limit = row["limit"]
        if limit is None:
            continue
        iteration = format_seconds(row["solvers"]["lbfgsb"]["seconds_per_iteration"])
        lines.append(
            f"{_keys(row)}{iteration:>11}"
            f"{format_seconds(limit['read_seconds']):>10}"
            f"{format_ratio(limit['distance']):>10}"
        )
    return lines


def _memory_lines(rows: Iterable[Row]) -> list[str]:
    """Return the third table: memory."""
    said = (
        "Memory: by how much a run raises the peak of the process (resident set size), each in a "
        "new process; the objective's own arrays are in it."
    )
    lines = [*textwrap.wrap(said, _WIDTH), "", f"{_KEYS_HEAD}{'lbfgsb':>11}{'SciPy':>11}"]
    for row in rows:
        memory = row["memory"]
        if memory is not None:
            ours, scipys = format_bytes(memory["lbfgsb"]), format_bytes(memory["SciPy"])
            lines.append(f"{_keys(row)}{ours:>11}{scipys:>11}")
    return lines


# --- the command --------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``lbfgsb bench``."""
    parser.add_argument(
        "--default-blas",
        action="store_true",
        help="leave SciPy's BLAS all its threads, as any program has it, instead of one",
    )
    parser.add_argument(
        "--quick", action="store_true", help="fewer repetitions, n up to 100,000: under a minute"
    )
    parser.add_argument(
        "--sizes", nargs="+", type=parse_size, metavar="N", help="numbers of variables, say 2 1e4"
    )
    parser.add_argument(
        "--threads",
        nargs="+",
        type=parse_threads,
        metavar="K",
        help="a row for each number of threads, or 'auto', at every size; by default 1, and 2 and "
        "auto too for a million variables",
    )
    parser.add_argument(
        "--pairs",
        choices=["float64", "float32"],
        default="float64",
        help="float32: rows with the pairs in single precision beside those in double",
    )
    parser.add_argument(
        "--busy",
        action="store_true",
        help="run beside a process that keeps a processor busy, always the same one if the system "
        "lets a process be held there",
    )
    parser.add_argument(
        "--json", type=writable, metavar="FILE", help="write the results as JSON ('-': to stdout)"
    )


def parse_size(text: str) -> int:
    """Return a number of variables, which may be written as 1e5.

    Raises
    ------
    ArgumentTypeError
        If it isn't a whole number from 2 to 1e9.
    """
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not (value.is_integer() and 2 <= value <= 1e9):
        raise argparse.ArgumentTypeError(f"expected a whole number from 2 to 1e9, got {text!r}")
    return int(value)


def parse_threads(text: str) -> Threads:
    """Return a number of threads, or ``'auto'``.

    Raises
    ------
    ArgumentTypeError
        If it is neither ``auto`` nor a whole number from 1 to 1000.
    """
    if text == "auto":
        return text
    if not (text.isdecimal() and 1 <= int(text) <= 1000):
        raise argparse.ArgumentTypeError(f"expected 1 to 1000, or auto, got {text!r}")
    return int(text)


def writable(text: str) -> str:
    """Return the name of a file in a folder that there is, or ``'-'``.

    Raises
    ------
    ArgumentTypeError
        If there is no such folder.
    """
    if text != "-" and not Path(text).absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"no such folder: {Path(text).parent}")
    return text


def run(args: argparse.Namespace) -> int:
    """Run the benchmark.

    Parameters
    ----------
    args : Namespace
        Of the arguments of `add_arguments`.

    Returns
    -------
    int
        The exit status.
    """
    if is_for_a_new_process(args):
        words = ["--quick"] * args.quick + ["--busy"] * args.busy + ["--pairs", args.pairs]
        words += [] if args.json is None else [f"--json={args.json}"]
        words += [] if args.threads is None else ["--threads", *map(str, args.threads)]
        words += [] if args.sizes is None else ["--sizes", *map(str, args.sizes)]
        return run_again("-m", "lbfgsb", "bench", *words)
    write(make_report(args), args)
    return 0


def is_for_a_new_process(args: argparse.Namespace) -> bool:
    """A BLAS reads its number of threads when it is loaded: this process is too late for it."""
    return _BLAS_THREADS not in os.environ and not args.default_blas


def run_again(*words: str) -> int:
    """Run ``python`` with these words, a BLAS that has one thread, and this process's path."""
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    sys.stdout.flush()
    return subprocess.run(
        [sys.executable, "-P", *words],
        env=os.environ | {_BLAS_THREADS: "1", "PYTHONPATH": path},
        check=False,
    ).returncode


def output_of(args: argparse.Namespace) -> TextIO:
    """Return where the tables go: JSON has the standard output for itself."""
    return sys.stderr if args.json == "-" else sys.stdout


def write(report: Row, args: argparse.Namespace) -> None:
    """Write the report as JSON where the arguments say."""
    if args.json == "-":
        print(json.dumps(report, indent=1))
    elif args.json is not None:
        Path(args.json).write_text(json.dumps(report, indent=1) + "\n")


def make_report(
    args: argparse.Namespace,
    peers: Mapping[str, Solver] | None = None,
    packages: Mapping[str, str] | None = None,
    notes: Iterable[str] = (),
) -> Row:
    """Measure, print as it goes, and return the report.

    Parameters
    ----------
    args : Namespace
        Of the arguments of `add_arguments`.
    peers : dict of str to Solver, optional
        What to measure beside lbfgsb and SciPy.
    packages : dict of str to str, optional
        Their packages, for `describe_machine`.
    notes : iterable of str, optional
        What is to be said of them.

    Returns
    -------
    dict
        ``machine``, ``maxcor``, ``busy``, ``rows`` and, for small problems, ``compiled`` and
        ``many``.
    """
    say = partial(print, file=output_of(args), flush=True)
    peers = peers or {}
    machine = describe_machine(packages)
    say(_introduction(machine, notes) + "\n")
    if not args.busy:
        return {"machine": machine, "maxcor": MAXCOR, "busy": False} | _measure(args, peers, say)
    with busy_neighbour() as processor:
        where = "a processor" if processor is None else f"processor {processor}"
        say(f"Beside a process that keeps {where} busy.\n")
        return {"machine": machine, "maxcor": MAXCOR, "busy": True} | _measure(args, peers, say)


def _measure(
    args: argparse.Namespace, peers: Mapping[str, Solver], say: Callable[[str], None]
) -> Row:
    """Measure, print as it goes, and return what the report gets."""
    from lbfgsb.benchmarks import rosenbrock_fun_and_grad

    say(_table_head(["SciPy", *peers]))
    rows: list[Row] = []
    sizes = args.sizes or (QUICK_SIZES if args.quick else SIZES)
    effort = QUICK if args.quick else Effort()
    for n in sizes:
        variants = variants_for(n, args.threads, args.pairs)
        for kind in KINDS:
            new = _rows(n, kind, variants, rosenbrock_fun_and_grad, effort, peers)
            rows += new
            for row in new:
                say(_table_line(row))
    if any(row["limit"] is not None for row in rows):
        say("\n" + "\n".join(_limit_lines(rows)))
    if any(row["memory"] is not None for row in rows):
        say("\n" + "\n".join(_memory_lines(rows)))
    report: Row = {"rows": rows}
    small = [n for n in sizes if n <= _WHOLE_SOLVE_UP_TO]
    if small:
        report |= _run_compiled(small, args.quick, say)
    return report


def _run_compiled(sizes: Sequence[int], is_quick: bool, say: Callable[[str], None]) -> Row:
    """Measure with the compiled objective, print as it goes, and return what the report gets."""
    from lbfgsb._cli import bench_compiled as compiled

    say("\n" + textwrap.fill(_COMPILED, _WIDTH) + "\n")
    say(f"{'n':>9}{'bounds':>8}{'evaluations':>13}{'minimize_lbfgsb':>17}{'in minimize_batch':>19}")
    solves: list[Row] = []
    for n in sizes:
        new = compiled.measure_solves(n, 3 if is_quick else 25)
        solves += new
        for row in new:
            say(
                f"{row['n']:>9}{row['bounds']:>8}{row['evaluations']:>13}"
                f"{format_seconds(row['alone']):>17}"
                f"{format_seconds(row['in_a_batch']):>19}"
            )
    many = compiled.measure_many(compiled.MANY // (50 if is_quick else 1))
    said = (
        f"{many['count']:,} solves at n = 2 in the box from random starts, {many['threads']} "
        f"threads: {format_seconds(many['seconds'])}, {many['converged']:,} converged; "
        "the same loop over SciPy with the objective in NumPy, extrapolated: "
        f"{many['scipy_extrapolated']:.0f} s"
    )
    say("\n" + textwrap.fill(said, _WIDTH))
    return {"compiled": solves, "many": many}
