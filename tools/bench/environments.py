"""Compare lbfgsb with SciPy 1.14 and with lbfgsb 1.1, in environments that this command makes.

SciPy 1.14 was the last with the Fortran of 2011; lbfgsb 1.1 was the last in pure Python, here with
Numba. Two virtual environments in a temporary folder take them: SciPy 1.14 beside a wheel of this
checkout, where both solvers take turns in one process (``lbfgsb bench``), and lbfgsb 1.1, which
has the same import name, in a process of its own right after. The measurements are those of
``lbfgsb/_cli/bench.py`` for all of them. To be run where NumPy and SciPy are installed.

A few sizes, in three minutes or so::

    python tools/bench/environments.py

More, and the environments kept for the next time::

    python tools/bench/environments.py --sizes 2 10 100 1e3 1e4 1e5 1e6 --long --keep FOLDER
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SIZES = (2, 1_000, 100_000)
SCIPY = "scipy==1.14.1"
LBFGSB = "lbfgsb[numba]==1.1.0"

Row = dict[str, Any]


def main() -> int:
    """Run the command, or with ``--measure`` its part in the environment of lbfgsb 1.1."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--sizes", nargs="+", type=load("_cli/bench").parse_size, default=SIZES, metavar="N"
    )
    parser.add_argument("--long", action="store_true", help="more repetitions")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all measurements")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where the environments stay")
    parser.add_argument("--wheel", type=Path, metavar="FILE", help="a wheel built before")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure is not None:
        args.measure.write_text(json.dumps(measure_old(args.sizes, args.long)))
        return 0
    with folder_for(args.keep) as folder:
        report, old_rows = compare(folder, args)
    if args.json is not None:
        args.json.write_text(json.dumps({"lbfgsb": report, "lbfgsb 1.1": old_rows}, indent=1))
    print_table(report, old_rows)
    return 0


@contextlib.contextmanager
def folder_for(keep: Path | None) -> Iterator[Path]:
    """Give a temporary folder, or the one that is kept."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="lbfgsb-bench-") as name:
            yield Path(name)
    else:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()


def load(name: str) -> ModuleType:
    """Load a module of this checkout under a name that leaves the installed lbfgsb alone."""
    path = ROOT / "lbfgsb" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"this_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def compare(folder: Path, args: argparse.Namespace) -> tuple[Row, list[Row]]:
    """Make the environments, measure in them, and return both reports."""
    new, old = folder / "scipy-1.14", folder / "lbfgsb-1.1"
    install(new, SCIPY)
    wheel = args.wheel.resolve() if args.wheel else build_wheel(new, folder)
    install(new, "--no-deps", "--force-reinstall", str(wheel))
    install(old, LBFGSB)
    numbers, output = list(map(str, args.sizes)), folder / "measured.json"
    tell(f"measuring this lbfgsb and {SCIPY}")
    effort = [] if args.long else ["--quick"]
    command = ["-m", "lbfgsb", "bench", *effort, "--sizes", *numbers, "--json", str(output)]
    run(new, command, folder)
    report = json.loads(output.read_text())
    tell(f"measuring {LBFGSB}")
    effort = ["--long"] if args.long else []
    command = [str(Path(__file__).resolve()), "--sizes", *numbers, *effort]
    run(old, [*command, "--measure", str(output)], folder)
    return report, json.loads(output.read_text())


def install(folder: Path, *packages: str) -> None:
    """Install packages in the environment in `folder`, made if it isn't there."""
    if not python_of(folder).exists():
        tell(f"making the environment {folder.name}")
        venv.create(folder, with_pip=True)
    run(folder, ["-m", "pip", "install", "--quiet", *packages], folder)


def build_wheel(environment: Path, folder: Path) -> Path:
    """Build the wheel of this checkout and return where it is."""
    tell("building the wheel of this checkout")
    target = folder / "wheels"
    for wheel in target.glob("*.whl"):
        wheel.unlink()
    command = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(target)]
    run(environment, [*command, str(ROOT)], folder)
    (wheel,) = target.glob("lbfgsb-*.whl")
    return wheel


def python_of(folder: Path) -> Path:
    """Return the interpreter of the environment in `folder`."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def run(folder: Path, arguments: list[str], cwd: Path) -> None:
    """Run the interpreter of an environment; what it prints is shown if it fails."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment.setdefault("OPENBLAS_NUM_THREADS", "1")
    done = subprocess.run(
        [python_of(folder), *arguments],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"{done.stdout}\nfailed: {' '.join(arguments)}")


def tell(text: str) -> None:
    """Say on the standard error what goes on."""
    print(text, "...", sep="", file=sys.stderr, flush=True)


# --- in the environment of lbfgsb 1.1 -----------------------------------------------------


def measure_old(sizes: list[int], is_long: bool) -> list[Row]:
    """Measure the installed lbfgsb and return its rows."""
    import numpy as np

    bench, fun = load("_cli/bench"), load("benchmarks").rosenbrock_fun_and_grad
    effort = bench.Effort() if is_long else bench.QUICK

    def solve(problem: Any, stamps: list[float]) -> tuple[int | None, float]:
        # lbfgsb 1.1 does not take Bounds.
        box = problem.bounds
        pairs = None if box is None else np.column_stack([box.lb, box.ub])
        solved: tuple[int | None, float] = bench.solve_with_lbfgsb(problem, stamps, bounds=pairs)
        return solved

    rows = []
    for n in sizes:
        for kind in bench.KINDS:
            problem = bench.make_problem(n, kind, fun)
            samples, _ = bench.measure(problem, {"lbfgsb 1.1": bench.Solver(solve)}, effort)
            rows.append({"n": n, "bounds": kind, **bench.summarise(samples["lbfgsb 1.1"])})
    return rows


# --- the table ----------------------------------------------------------------------------


def print_table(report: Row, old_rows: list[Row]) -> None:
    """Print one line for each size and kind of bounds."""
    bench = load("_cli/bench")
    machine = report["machine"]
    print(
        f"{machine['processor']}, {machine['processors']} processors, "
        f"{machine['cpu_kernels']} kernels\n"
        f"SciPy {machine['versions']['SciPy']} in turn with this lbfgsb; lbfgsb 1.1.0 after them, "
        "with Numba.\n"
        "Time of the solver alone per evaluation; problems as in 'lbfgsb bench'.\n"
    )
    print(
        f"{'n':>9}{'bounds':>8}{'lbfgsb':>10}{'SciPy 1.14':>13}{'ratio':>8}{'lbfgsb 1.1':>13}"
        f"{'ratio':>8}"
    )
    old = {(row["n"], row["bounds"]): row["seconds_per_evaluation"] for row in old_rows}
    for row in report["rows"]:
        if row["threads"] != 1:
            continue
        ours, scipy = row["solvers"]["lbfgsb"], row["solvers"]["SciPy"]
        seconds, before = ours["seconds_per_evaluation"], old[row["n"], row["bounds"]]
        print(
            f"{row['n']:>9}{row['bounds']:>8}{bench.format_seconds(seconds):>10}"
            f"{bench.format_seconds(scipy['seconds_per_evaluation']):>13}"
            f"{bench.format_ratio(scipy['ratio']):>8}"
            f"{bench.format_seconds(before):>13}{bench.format_ratio(before / seconds):>8}"
        )


if __name__ == "__main__":
    sys.exit(main())
