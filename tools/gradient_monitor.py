"""What the gradient monitor says on CUTEst, with right and with wrong gradients.

Each problem of at most ``--max-n`` variables (see ``cutest_problems``) is minimised with its own
gradient, with forward differences, and with those of `wrong_gradients`. Read off are
`gradient_mismatch` at the end of the run (0 fine, 1 hopeless), and how much of f's change along the
last steps the error of the gradient makes up: an error that does not move f leaves no trace.

The threshold of the alarm can be chosen on one half of the problems, every other one in
alphabetical order, and proved on the other half: no run with a right gradient ends above it, each
kind of wrong one is caught where it moves f. (The rules of the monitor were worked out on the
problems of at most 12 variables, of both halves; larger ones are new to it.) ``--out`` keeps the
rows, and a run goes on where it was stopped::

    python tools/gradient_monitor.py --max-n 20 --out monitor.jsonl
    python tools/gradient_monitor.py --max-n 20 --out monitor.jsonl --report

A wrong gradient is "caught" if the run ends with a mismatch above the threshold, "warned" of if it
ends abnormally so or the mismatch is persistent (`is_inconsistent`). A mismatch comes and goes on
curved ways with the right gradient too; how often a run stopped on the way, say by `maxiter`, would
have warned is counted. Runs in which f changed visibly fewer than three times are "too few": the
monitor does not judge them.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from cutest_problems import Problem, load_problem, problem_names
from lbfgsb._core.slope_monitor import MISMATCH_ALARM

from lbfgsb import Solver
from lbfgsb._endings import is_inconsistent

OPTIONS = {"ftol": 1e-14, "gtol": 1e-8, "maxiter": 300, "maxfun": 300}
SLOW = 3e-3  # seconds of an evaluation: such problems are left out
SECONDS = 4.0  # CPU time for a run
RECENT = 5  # visible changes of f in which the error's part is measured
ENOUGH = 3  # visible changes without which the monitor says nothing
PARTS = (0.3, 0.1, 0.03, 0.01, 0.0)  # the classes of that part

Vector = np.ndarray
Pair = tuple[float, Vector]
Row = dict[str, Any]


# --- gradients ----------------------------------------------------------------------------


def differences(problem: Problem, x: Vector, f: float) -> Vector:
    """Forward differences with the step 1e-8, backward ones where that leaves the bounds."""
    g = np.empty(x.size)
    for i in range(x.size):
        y = x.copy()
        y[i] += 1e-8 if x[i] + 1e-8 <= problem.upper[i] else -1e-8
        g[i] = (problem.fun_and_grad(y)[0] - f) / (y[i] - x[i])
    return g


def scaled(i: int, factor: float) -> Callable[[float, Vector], Pair]:
    """The gradient with component `i` multiplied."""

    def change(f: float, g: Vector) -> Pair:
        g = g.copy()
        g[i] *= factor
        return f, g

    return change


def wrong_gradients(problem: Problem) -> dict[str, Callable[[float, Vector], Pair]]:
    """What is done to (f, g), by name; the component is the middle one or the steepest."""
    n = problem.x0.size
    start = np.clip(problem.x0, problem.lower, problem.upper)
    free = problem.lower < problem.upper
    steepest = int(np.argmax(np.where(free, np.abs(problem.fun_and_grad(start)[1]), -1.0)))
    factors = np.where(np.arange(n) % 2 == 0, 3.0, 1.0)
    rng = np.random.default_rng(20110)
    changes = {
        "all halved": lambda f, g: (f, g / 2),
        "rolled by one": lambda f, g: (f, np.roll(g, 1)),
        "middle doubled": scaled(n // 2, 2.0),
        "steepest doubled": scaled(steepest, 2.0),
        "middle's sign": scaled(n // 2, -1.0),
        "steepest's sign": scaled(steepest, -1.0),
        "all 10 % too long": lambda f, g: (f, 1.1 * g),
        "chain factor 3 missing in half": lambda f, g: (f, factors * g),
        "f with noise of 1e-4": lambda f, g: (f * (1 + 1e-4 * rng.standard_normal()), g),
    }
    if n == 1:
        del changes["rolled by one"]
    return changes


RIGHT = "right"
NUMERICAL = "forward differences"  # right but for their own error, which may be large


# --- runs ---------------------------------------------------------------------------------


def run(problem: Problem, told: Callable[[Vector, float, Vector], Pair]) -> Row:
    """Minimise, telling the solver ``told(x, f, g)``, and read the monitor."""
    bounds = np.stack([problem.lower, problem.upper], axis=1)
    solver = Solver(problem.x0, bounds=bounds, **OPTIONS)
    deadline = time.process_time() + SECONDS
    at: dict[bytes, tuple[Vector, float, Vector, Vector]] = {}
    parts: list[float] = []
    alarms = 0
    while not solver.done and time.process_time() < deadline:
        x = solver.ask()
        f, g = problem.fun_and_grad(x)
        said_f, said_g = told(x, f, g)
        base = at.get(solver.x.tobytes())
        here = (x, said_f, g, said_g - g)
        if base is not None and (part := error_part(base, here)) is not None:
            parts.append(part)
        new = solver.tell(said_f, said_g)
        if new or not at:
            at = {x.tobytes(): here}
            alarms += is_inconsistent(solver, solver.status)
    return {
        "n": problem.x0.size,
        "mismatch": solver.gradient_mismatch,
        "warned": is_inconsistent(solver, solver.status),
        "alarms": alarms,
        "nit": solver.nit,
        "seen": int(solver._snapshot()["monitor"][2]),
        "part": float(np.median(parts[-RECENT:])) if parts else 0.0,
        "message": solver.message,
        "nfev": solver.nfev,
    }


def error_part(
    base: tuple[Vector, float, Vector, Vector], here: tuple[Vector, float, Vector, Vector]
) -> float | None:
    """How much of the change of f between two points the error of the gradient seems to make.

    None where the change is near rounding.
    """
    step = here[0] - base[0]
    error = 0.5 * step @ (base[3] + here[3])
    right = 0.5 * step @ (base[2] + here[2])
    size = max(abs(here[1] - base[1]), abs(right + error))
    visible = size > 1e-7 * max(abs(base[1]), abs(here[1]))
    return float(abs(error) / size) if visible and np.isfinite(error) else None


def run_all(name: str, kinds: Sequence[str] | None = None) -> Iterator[Row]:
    """The rows of one problem; none if it doesn't load or its evaluations are slow."""
    try:
        problem = load_problem(name)
    except Exception as error:
        yield {"name": name, "kind": "left out", "why": f"{type(error).__name__}: {error}"}
        return
    started = time.process_time()
    problem.fun_and_grad(problem.x0)
    if time.process_time() - started > SLOW:
        yield {"name": name, "kind": "left out", "why": "slow"}
        return
    ways = {
        RIGHT: lambda x, f, g: (f, g),
        NUMERICAL: lambda x, f, g: (f, differences(problem, x, f)),
    } | {
        kind: (lambda x, f, g, change=change: change(f, g))
        for kind, change in wrong_gradients(problem).items()
    }
    for kind, told in ways.items():
        if kinds is None or kind in kinds:
            with np.errstate(all="ignore"):
                yield {"name": name, "kind": kind, **run(problem, told)}


# --- report -------------------------------------------------------------------------------


def report(rows: Sequence[Row]) -> str:
    """Word the choice of the threshold and its proof."""
    rows = [row for row in rows if row["kind"] != "left out"]
    names = sorted({row["name"] for row in rows})
    halves = {"chosen on": set(names[::2]), "proved on": set(names[1::2])}
    lines = []
    labels = [*_part_labels(), "too few"]
    for word, half in halves.items():
        own = [row for row in rows if row["name"] in half]
        right = sorted(
            (row for row in own if row["kind"] == RIGHT), key=lambda row: -row["mismatch"]
        )
        worst = ", ".join(f"{row['name']} {row['mismatch']:.2f}" for row in right[:4])
        above = sum(row["mismatch"] > MISMATCH_ALARM for row in right)
        warned = sum(row["warned"] for row in right)
        alarms, moments = (sum(row[name] for row in right) for name in ("alarms", "nit"))
        lines += [
            f"{word} {len(half)} problems: {len(right)} runs with a right gradient, "
            f"{above} above {MISMATCH_ALARM}, {warned} warned",
            f"  a stop after any other of their {moments} iterations: {alarms} would have warned",
            f"  largest mismatches: {worst}",
            "  caught and warned, by the part that the error has in the last changes of f:",
            f"  {'':31}" + "".join(f"{label:>13}" for label in labels),
        ]
        for kind in dict.fromkeys(row["kind"] for row in own if row["kind"] != RIGHT):
            of_kind = [row for row in own if row["kind"] == kind]
            enough = [row for row in of_kind if row["seen"] >= ENOUGH]
            cells = [_caught(enough, low, high) for low, high in _classes()]
            cells.append(str(len(of_kind) - len(enough)))
            lines.append(f"  {kind:31}" + "".join(f"{cell:>13}" for cell in cells))
        lines.append("")
    return "\n".join(lines).rstrip()


def _classes() -> Iterator[tuple[float, float]]:
    yield from zip(PARTS, (np.inf, *PARTS[:-1]), strict=True)


def _part_labels() -> Iterator[str]:
    for low, high in _classes():
        yield f">= {low:g}" if high == np.inf else f"{low:g} to {high:g}"


def _caught(rows: Sequence[Row], low: float, high: float) -> str:
    own = [row for row in rows if low <= row["part"] < high]
    caught, warned = (
        sum(row["mismatch"] > MISMATCH_ALARM for row in own),
        sum(row["warned"] for row in own),
    )
    return f"{caught} {warned}/{len(own)}" if own else "-"


# --- command ------------------------------------------------------------------------------


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--max-n", type=int, default=20, metavar="N", help="variables (20)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="rows as JSON lines")
    parser.add_argument("--problems", nargs="+", metavar="NAME", help="these only")
    parser.add_argument("--report", action="store_true", help="run nothing; report FILE")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 1 if a run with a right gradient ends with a warning."""
    args = parse_arguments(argv)
    rows: list[Row] = []
    if args.out and args.out.exists():
        rows = [json.loads(line) for line in args.out.read_text().splitlines()]
    done = {row["name"] for row in rows}
    names = [] if args.report else args.problems or problem_names(args.max_n)
    for name in names:
        if name in done:
            continue
        new = list(run_all(name))
        rows += new
        print(f"{name}: {new[0].get('why', len(new))}", file=sys.stderr, flush=True)
        if args.out:
            with args.out.open("a") as file:
                file.writelines(json.dumps(row) + "\n" for row in new)
    print(report(rows))
    false_alarms = [r for r in rows if r["kind"] == RIGHT and r["warned"]]
    return 1 if false_alarms else 0


if __name__ == "__main__":
    sys.exit(main())
