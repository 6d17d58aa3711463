"""The part of ``lbfgsb bench`` about memory: the peak of one run, in a new process.

The peak of a process never falls, so each run gets a process of its own. What counts is the peak
after the run less that before it, when all modules are loaded and a small problem has been solved:
the solver's arrays, and those that the objective in NumPy makes beside them, the same for every
solver. The run ends soon after the memory holds all pairs, when no more is to come.

Linux tells the peak in ``/proc/self/status``. (Its ``getrusage`` would do less well: a new process
inherits the peak of the one that started it.) Other systems have ``getrusage``, or nothing.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from lbfgsb._cli.bench import (
    KINDS,
    MAXCOR,
    Solver,
    Variant,
    make_problem,
    parse_threads,
    solve_with_scipy,
)
from lbfgsb.benchmarks import rosenbrock_fun_and_grad

_SMALL = 64
_STATUS = Path("/proc/self/status")


def measure_in_a_new_process(n: int, kind: str, variant: Variant | None) -> int | None:
    """Return the bytes that a run takes at its peak.

    Parameters
    ----------
    n : int
    kind : {'none', 'box', 'active'}
    variant : Variant or None
        The options of lbfgsb; None measures SciPy.

    Returns
    -------
    int or None
        None where the system does not tell.

    Raises
    ------
    CalledProcessError
        If the process fails.
    """
    words = [str(n), kind]
    if variant is not None:
        words += ["--threads", str(variant.threads), "--pairs", variant.pairs]
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "lbfgsb._cli.bench_memory", *words],
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        check=True,
    )
    return int(done.stdout) if done.stdout.strip() else None


def peak_of_this_process() -> int | None:
    """Return the most bytes of memory that this process has had, None if nobody tells."""
    if _STATUS.exists():
        for line in _STATUS.read_text().splitlines():
            name, _, value = line.partition(":")
            if name == "VmHWM":
                return 1024 * int(value.split()[0])
    try:
        import resource
    except ImportError:  # Windows has no such module
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def peak_of(solver: Solver, n: int, kind: str) -> int | None:
    """Return by how many bytes a run raises the peak of this process."""
    solver.solve(make_problem(_SMALL, kind, rosenbrock_fun_and_grad), [])
    problem = make_problem(n, kind, rosenbrock_fun_and_grad)
    before = peak_of_this_process()
    solver.solve(replace(problem, maxiter=MAXCOR + 2), [])
    after = peak_of_this_process()
    return None if before is None or after is None else after - before


def main() -> None:
    """Print the bytes of the run that the command line describes, or nothing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("n", type=int)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--threads", type=parse_threads)
    parser.add_argument("--pairs")
    args = parser.parse_args()
    is_ours = args.threads is not None
    solver = Variant(args.threads, args.pairs).solver() if is_ours else Solver(solve_with_scipy)
    peak = peak_of(solver, args.n, args.kind)
    print("" if peak is None else peak)


if __name__ == "__main__":
    main()
