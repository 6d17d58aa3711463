"""The project's own benchmark: ``lbfgsb bench`` beside other solvers, with our targets.

The measurements are those of ``lbfgsb bench``, and so are the options; NLopt and genoxide take part
if they are installed (``pip install nlopt genoxide``). At the end the results stand beside what
they should be. ``--plot`` draws the picture of the README::

    python tools/bench/compare.py --default-blas --plot benchmark.png

LBFGS++, a library of C++ headers, takes part where they are given; it is compiled in a driver that
reaches lbfgsb by its C interface (``lbfgspp.py``)::

    python tools/bench/compare.py --lbfgspp LBFGSpp/include --eigen eigen3
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import lbfgspp
import numpy as np
from numpy.typing import NDArray

from lbfgsb._cli import bench

Vector = NDArray[np.float64]
Row = dict[str, Any]

# How many times less than SciPy's our time should be: without bounds, with bounds.
TARGETS = {
    (2, 1, "float64"): (10.0, 8.0),
    (10, 1, "float64"): (10.0, 8.0),
    (100, 1, "float64"): (10.0, 8.0),
    (1_000, 1, "float64"): (8.0, 7.0),
    (10_000, 1, "float64"): (7.0, 7.0),
    (100_000, 1, "float64"): (8.0, 10.0),
    (1_000_000, 1, "float64"): (3.5, 4.5),
    (1_000_000, 2, "float64"): (6.0, 7.5),
    (1_000_000, 1, "float32"): (5.0, 10.0),
}
# How many times the limit an iteration should take at most, from n = LIMIT_TARGET_N on.
LIMIT_TARGET = 1.5
LIMIT_TARGET_N = 1_000_000
# The most that a whole solve with the objective compiled should take, in seconds: without bounds,
# in the box.
COMPILED_TARGETS = {2: (40e-6, 80e-6), 10: (90e-6, 170e-6), 100: (1.5e-3, 4e-3)}
# LBFGS++'s time by ours, at least, at every n.
LBFGSPP_TARGET = 1.0

FAR = 1e6  # stands for no bound where a solver takes finite bounds only


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    bench.add_arguments(parser)
    parser.add_argument(
        "--plot", type=picture, metavar="FILE", help="draw time per iteration over n (png, ...)"
    )
    parser.add_argument(
        "--lbfgspp",
        type=Path,
        metavar="FOLDER",
        help="the folder with LBFGSB.h, to compare with LBFGS++ for n up to 10,000",
    )
    parser.add_argument(
        "--eigen", type=Path, metavar="FOLDER", help="the folder with Eigen/, for LBFGS++"
    )
    args = parser.parse_args(words)
    if args.plot is not None and importlib.util.find_spec("matplotlib") is None:
        raise SystemExit("compare: error: --plot needs matplotlib; pip install 'lbfgsb[plot]'")
    if bench.is_for_a_new_process(args):
        return bench.run_again(str(Path(__file__).resolve()), *words)
    driver = None
    if args.lbfgspp is not None:
        try:
            driver = lbfgspp.Driver(args.lbfgspp, args.eigen)
        except (FileNotFoundError, subprocess.CalledProcessError) as error:
            raise SystemExit(f"compare: error: --lbfgspp: {error}") from error
    peers = installed_peers()
    packages = {name: PEERS[name][0] for name in peers}
    report = bench.make_report(args, peers, packages, notes_on(peers))
    if driver is not None:
        sizes = [n for n in args.sizes or lbfgspp.SIZES if n <= lbfgspp.SIZES[-1]]
        budget = lbfgspp.QUICK if args.quick else lbfgspp.Budget()
        report["lbfgspp"] = lbfgspp.measure(driver, sizes, budget)
        print(*lbfgspp.lines_of(report["lbfgspp"]), sep="\n", file=bench.output_of(args))
    add_targets(report)
    print(*target_lines(report), sep="\n", file=bench.output_of(args))
    bench.write(report, args)
    if args.plot is not None:
        draw(report["rows"], Path(args.plot))
    return 0


def picture(text: str) -> str:
    """Return the name of a picture that can be written; for argparse."""
    if Path(text).suffix not in (".png", ".pdf", ".svg"):
        raise argparse.ArgumentTypeError(f"expected a name in .png, .pdf or .svg, got {text!r}")
    return bench.writable(text)


# --- the other solvers --------------------------------------------------------------------


def solve_with_nlopt(problem: bench.Problem, stamps: list[float]) -> tuple[int | None, float]:
    """Solve with NLopt's LD_LBFGS (Lukšan's PLIS), which takes bounds too."""
    import nlopt

    clock, append = time.perf_counter, stamps.append

    def timed(x: Vector, g: Vector) -> float:
        append(clock())
        f, g[:] = problem.fun(x)
        append(clock())
        return f

    optimiser = nlopt.opt(nlopt.LD_LBFGS, problem.x0.size)
    optimiser.set_min_objective(timed)
    optimiser.set_vector_storage(bench.MAXCOR)
    optimiser.set_maxeval(problem.evaluations)
    if problem.bounds is not None:
        optimiser.set_lower_bounds(problem.bounds.lb)
        optimiser.set_upper_bounds(problem.bounds.ub)
    # When rounding keeps it from a lower f it raises; it has done its work then.
    with suppress(nlopt.RoundoffLimited, RuntimeError):
        optimiser.optimize(problem.x0)
    return None, float(optimiser.last_optimum_value())


def solve_with_genoxide(problem: bench.Problem, stamps: list[float]) -> tuple[int | None, float]:
    """Solve with genoxide's L-BFGS-B, which takes finite bounds only."""
    import genoxide

    n = problem.x0.size
    space = genoxide.Real((-FAR, FAR), length=n)
    if problem.bounds is not None:
        lower, upper = problem.bounds.lb.tolist(), problem.bounds.ub.tolist()
        space = genoxide.Real(list(zip(lower, upper, strict=True)))
    optimiser = genoxide.Lbfgsb(
        space,
        memory=bench.MAXCOR,
        gradient_tolerance=problem.gtol,
        function_tolerance=0.0,
        initial_genome=problem.x0.tolist(),
        objective="minimize",
        seed=1,
    )
    fun = bench.timed(problem.fun, stamps)
    result = optimiser.run(fun, gradient=True, evaluations=problem.evaluations)
    return None, float(result.best_fitness)


PEERS = {"NLopt": ("nlopt", solve_with_nlopt), "genoxide": ("genoxide", solve_with_genoxide)}


def installed_peers() -> dict[str, bench.Solver]:
    """Return those that can be imported."""
    return {
        name: bench.Solver(solve, is_setup_counted=False)
        for name, (module, solve) in PEERS.items()
        if importlib.util.find_spec(module) is not None
    }


def notes_on(peers: Iterable[str]) -> list[str]:
    """Return what is to be said of them above the table."""
    notes = ["Set-up is counted for lbfgsb and SciPy only."] if peers else []
    if "genoxide" in peers:
        notes.append("genoxide takes finite bounds only: -1e6 <= x <= 1e6 for none.")
    return notes


# --- the targets --------------------------------------------------------------------------


def add_targets(report: Row) -> None:
    """Say in each row of the report what it should be, None where nothing is demanded."""
    for row in report["rows"]:
        is_bounded = row["bounds"] != "none"
        key = row["n"], row["threads"], row["pairs"]
        row["target"] = TARGETS.get(key, (None, None))[is_bounded]
        if row["limit"] is not None:
            row["limit"]["target"] = LIMIT_TARGET if row["n"] >= LIMIT_TARGET_N else None
    for row in report.get("compiled", []):
        row["target"] = COMPILED_TARGETS.get(row["n"], (None, None))[row["bounds"] != "none"]


def target_lines(report: Row) -> list[str]:
    """Return a table of what was measured and what it should be."""
    lines = [
        "",
        "Targets: SciPy's and LBFGS++'s time by ours, at least; at most an iteration by its reads",
        "of W, and a whole solve with the objective compiled.",
        "",
        f"{'n':>9}{'bounds':>8}{'threads':>9}{'pairs':>9}{'what':>19}{'measured':>10}{'target':>9}",
    ]

    def add(row: Row, what: str, measured: str, target: str) -> None:
        threads, pairs = row.get("threads", 1), row.get("pairs", "float64")
        lines.append(
            f"{row['n']:>9}{row['bounds']:>8}{threads:>9}{pairs:>9}{what:>19}{measured:>10}"
            f"{target:>9}"
        )

    for row in report["rows"]:
        if row["target"] is not None:
            ratio = bench.format_ratio(row["solvers"]["SciPy"]["ratio"])
            add(row, "SciPy / lbfgsb", ratio, f"{row['target']:g}x")
        if row["limit"] is not None and row["limit"]["target"] is not None:
            distance = bench.format_ratio(row["limit"]["distance"])
            add(row, "iteration / limit", distance, f"{LIMIT_TARGET:g}x")
    for row in report.get("compiled", []):
        if row["target"] is not None:
            seconds, target = map(bench.format_seconds, (row["alone"], row["target"]))
            add(row, "compiled, a solve", seconds, target)
    for row in report.get("lbfgspp", []):
        add(row, "LBFGS++ / lbfgsb", bench.format_ratio(row["ratio"]), f"{LBFGSPP_TARGET:g}x")
    return lines


# --- the picture --------------------------------------------------------------------------

# Okabe and Ito's colours, for all eyes; a marker each for print.
STYLES = {
    "lbfgsb": ("#0072B2", "o"),
    "SciPy": ("#D55E00", "s"),
    "NLopt": ("#009E73", "^"),
    "genoxide": ("#CC79A7", "D"),
}
TITLES = {
    "none": "No bounds",
    "box": "In a box, few variables at bounds",
    "active": "In a box, a third of the variables at bounds",
}
PLOTTED = ("none", "active")


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw the time of an iteration over n, one panel without bounds and one with.

    Parameters
    ----------
    rows : sequence of dict
        The ``rows`` of the report.
    path : Path
        Its ending says the format.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    style: Any = {
        "font.size": 9.0,
        "axes.titlesize": 10.0,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "lines.linewidth": 1.6,
        "lines.markersize": 4.5,
        "svg.fonttype": "none",
    }
    with rc_context(style):
        figure = Figure(figsize=(8.2, 4.1), layout="constrained")
        panels = figure.subplots(1, len(PLOTTED), sharex=True, sharey=True)
        for panel, kind in zip(panels, PLOTTED, strict=True):
            draw_panel(panel, [row for row in rows if row["bounds"] == kind])
            panel.set_title(TITLES[kind], loc="left")
        panels[0].set_ylabel("Time of the solver per iteration")
        figure.legend(*legend_of(panels), loc="outside lower center", ncols=4, frameon=False)
        figure.savefig(path, dpi=200)


def draw_panel(panel: Any, rows: list[Row]) -> None:
    from matplotlib.ticker import EngFormatter

    for name, (colour, marker) in STYLES.items():
        unit = " (per evaluation)" if name in PEERS else ""
        panel.plot(
            *points_of(rows, name),
            color=colour,
            marker=marker,
            label=name + unit,
            zorder=4 if name == "lbfgsb" else 3,
        )
    for label, marker, which in (
        ("lbfgsb, 2 threads", "o", {"threads": 2}),
        ("lbfgsb, pairs in float32", "v", {"pairs": "float32"}),
    ):
        panel.plot(
            *points_of(rows, "lbfgsb", **which),
            color=STYLES["lbfgsb"][0],
            marker=marker,
            markerfacecolor="white",
            linestyle="none",
            label=label,
            zorder=5,
        )
    draw_limit(panel, [row for row in rows_of(rows) if row["limit"]])
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.yaxis.set_major_formatter(EngFormatter(unit="s"))
    panel.set_xlabel("Number of variables n")
    panel.grid(True, which="major", color="0.92", linewidth=0.7)
    panel.set_axisbelow(True)


def draw_limit(panel: Any, rows: list[Row]) -> None:
    seconds = [2 * row["limit"]["read_seconds"] for row in rows]
    panel.plot(
        [row["n"] for row in rows],
        seconds,
        color="0.35",
        linestyle=(0, (4, 2)),
        label="limit: reading W = [Y S] twice",
        zorder=2,
    )


def legend_of(panels: Iterable[Any]) -> tuple[list[Any], list[str]]:
    """Return the handles and labels of what is drawn in any of the panels."""
    drawn = {
        label: handle
        for panel in panels
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
        if len(handle.get_xdata())
    }
    return list(drawn.values()), list(drawn)


def rows_of(rows: list[Row], threads: int = 1, pairs: str = "float64") -> list[Row]:
    return [row for row in rows if (row["threads"], row["pairs"]) == (threads, pairs)]


def points_of(rows: list[Row], name: str, **which: Any) -> tuple[list[int], list[float]]:
    points = [
        (row["n"], row["solvers"][name]["seconds_per_iteration"])
        for row in rows_of(rows, **which)
        if name in row["solvers"]
    ]
    points = [(n, seconds) for n, seconds in points if seconds is not None]
    return [n for n, _ in points], [seconds for _, seconds in points]


if __name__ == "__main__":
    sys.exit(main())
