"""The comparison of runs on CUTEst in words: tables by problem, in total, and of pairs."""

import math
from collections.abc import Sequence

import numpy as np
from cutest_rows import SOLVED, Row, Runs, is_solved, is_sound
from cutest_statistics import (
    Costs,
    Paired,
    classes_of,
    iterations_of,
    paired,
    same_minimum,
)

WORST = 10  # ratios of evaluations listed each way
WIDTH = 16  # of a column for a run

# The marks of `_cell`.
LEGEND = (
    "kind: u unconstrained, b bounds.  |pg|: inf-norm of the projected gradient.  "
    f"* |pg| > {SOLVED:g}, t time is up, x failed, ! infeasible point or fun is not f(x)"
)


def report(runs: Runs, names: Sequence[str], costs: Costs, accuracy: float | None = None) -> str:
    """Word the comparison: by problem, in total, all pairs in short, the first in full.

    `costs` are those of `runs` on `names`, to the same `accuracy`.
    """
    first, *others = runs
    numbered = "\n".join(f"({i}) {run}" for i, run in enumerate(runs, start=1))
    parts = [numbered, problem_table(runs, names), summary(runs, names, costs, accuracy)]
    if len(others) > 1:
        parts.append(matrix(costs))
    iterations = iterations_of(runs, names) if accuracy is None else None
    parts += [pair_table(runs, names, costs, iterations, first, other) for other in others]
    return "\n\n".join(parts)


# --- by problem ---------------------------------------------------------------------------


def problem_table(runs: Runs, names: Sequence[str]) -> str:
    """Table of f, projected gradient and evaluations of each run on each problem."""
    column = f"{'f':>13} {'|pg|':>8} {'nfev':>5}  "
    heads = [_shorten(f"({i}) {run}", 29) for i, run in enumerate(runs, start=1)]
    lines = [
        f"{'':12} {'':4} {'':4}" + "".join(f" | {head:29}" for head in heads),
        f"{'problem':12} {'n':>4} kind" + f" | {column}" * len(runs),
    ]
    for name in names:
        rows = [by_name[name] for by_name in runs.values()]
        cells = "".join(f" | {_cell(row)}" for row in rows)
        lines.append(f"{_problem(name, rows)}{cells}".rstrip())
    return "\n".join([*lines, LEGEND])


def missing_table(runs: Runs, names: Sequence[str], costs: Costs) -> str:
    """Every problem that another run solves and the first one doesn't, and how they end."""
    first, *others = runs
    missing = [
        (i, name)
        for i, name in enumerate(names)
        if not math.isfinite(costs[first][i])
        and any(math.isfinite(costs[other][i]) for other in others)
    ]
    lines = [f"solved by others and not by {first}: {len(missing)}"]
    for i, name in missing:
        rows = [by_name[name] for by_name in runs.values()]
        lines += ["", _problem(name, rows).rstrip()]
        width = max(map(len, runs))
        for run, row in zip(runs, rows, strict=True):
            verdict = "solved" if math.isfinite(costs[run][i]) else ""
            lines.append(f"  {run:{width}} | {_cell(row)} {verdict:6}  {row['message']}")
    return "\n".join([*lines, LEGEND] if missing else lines)


def _problem(name: str, rows: Sequence[Row]) -> str:
    n = next((row["n"] for row in rows if row["n"] is not None), "")
    kind = next((row["kind"] for row in rows if row["kind"]), "")
    return f"{name:12} {n:>4} {kind[:1]:4}"


def _cell(row: Row) -> str:
    mark = " " if is_solved(row) else "*" if row["finished"] else "t" if row["timed_out"] else "x"
    f, norm = (
        "-" if value is None else f"{value:{style}}"
        for value, style in ((row["f"], ".6e"), (row["projected_gradient"], ".1e"))
    )
    nfev = "-" if row["nfev"] is None else row["nfev"]
    return f"{f:>13} {norm:>8} {nfev:>5}{mark}{' ' if is_sound(row) else '!'}"


def _shorten(text: str, width: int) -> str:
    """Leave out the middle of a text that is too long: variants differ at the end."""
    if len(text) <= width:
        return text
    kept = width - 1
    return f"{text[: kept // 2]}…{text[len(text) - (kept - kept // 2) :]}"


# --- in total -----------------------------------------------------------------------------


def summary(runs: Runs, names: Sequence[str], costs: Costs, accuracy: float | None = None) -> str:
    """Table of totals, a numbered column for each run, and what one alone solves."""
    columns = {run: [by_name[name] for name in names] for run, by_name in runs.items()}
    finished = [all(by_name[name]["finished"] for by_name in runs.values()) for name in names]
    solved = (
        f"solved: projected gradient <= {SOLVED:g}"
        if accuracy is None
        else f"solved: f within {accuracy:g} of the descent"
    )
    table = {
        run: {solved: int(np.isfinite(costs[run]).sum())} | _totals(rows, finished)
        for run, rows in columns.items()
    }
    lines = [f"{'':44}" + _numbers(len(runs))]
    lines += [
        f"{label:44}" + "".join(f"{totals[label]:>{WIDTH},}" for totals in table.values())
        for label in next(iter(table.values()))
    ]
    return "\n".join([*lines, *_alone(names, costs)])


def _totals(rows: Sequence[Row], finished_by_all: Sequence[bool]) -> dict[str, float]:
    """Totals of one run; `finished_by_all` marks the problems that every run finishes."""
    common = [row for row, finished in zip(rows, finished_by_all, strict=True) if finished]
    outside = sum(row["time"] - row["time_in_objective"] for row in common)
    limits = [row["limit"] for row in rows if row.get("limit") is not None]
    return {
        "problems": len(rows),
        "finished": sum(row["finished"] for row in rows),
        "time is up": sum(row["timed_out"] for row in rows),
        "failed": sum(not (row["finished"] or row["timed_out"]) for row in rows),
        "evaluations": sum(row["nfev"] or 0 for row in rows),
        f"evaluations on the {len(common)} that all finish": sum(row["nfev"] for row in common),
        "CPU seconds there, outside the objective": round(outside, 2),
        "CPU seconds allowed, at least": min(limits, default=math.nan),
        "CPU seconds allowed, at most": max(limits, default=math.nan),
        "infeasible points (must be 0)": sum(row["infeasible"] for row in rows),
        "fun is not f(x) (must be 0)": sum(row["fun_is_f"] is False for row in rows),
        "jac is not the gradient at x": sum(row["jac_is_g"] is False for row in rows),
        "nfev is not the number of calls": sum(
            row["finished"] and row["nfev"] != row["nfev_reported"] for row in rows
        ),
    }


def _numbers(count: int) -> str:
    """Heads of columns for runs."""
    return "".join(f"{f'({i})':>{WIDTH}}" for i in range(1, count + 1))


def _alone(names: Sequence[str], costs: Costs) -> list[str]:
    """Word which problems each of several runs solves and no other does."""
    if len(costs) < 2:
        return []
    solved = np.isfinite(list(costs.values()))
    lines = []
    for run, own in zip(costs, solved, strict=True):
        alone = [name for name, it, all_ in zip(names, own, solved.sum(0), strict=True)
                 if it and all_ == 1]  # fmt: skip
        lines.append(f"only {run} solves {len(alone)}: {' '.join(alone) or '-'}")
    return lines


# --- pairs --------------------------------------------------------------------------------


def matrix(costs: Costs) -> str:
    """Geometric means of the evaluations of each run (a row) over those of each other one."""
    lines = ["evaluations, row over column; geometric mean ± standard error, where both solve"]
    lines.append(" " * 6 + _numbers(len(costs)))
    for i, (run, own) in enumerate(costs.items(), start=1):
        cells = (
            "" if other is own else _mean_and_error(paired(own, other)) for other in costs.values()
        )
        lines.append(f"{f'({i})':6}" + "".join(f"{c:>{WIDTH}}" for c in cells) + f"  {run}")
    return "\n".join(lines)


def pair_table(
    runs: Runs,
    names: Sequence[str],
    costs: Costs,
    iterations: Costs | None,
    first: str,
    other: str,
) -> str:
    """Ratios of evaluations, `first` over `other`, by class of problems, and the largest ones.

    Iterations are compared too where they are given.
    """
    classes = classes_of(runs, names)
    same = [same_minimum(runs[first][name], runs[other][name]) for name in names]
    everything, *parts = classes.items()
    lines = [
        f"{first} over {other}; geometric means ± standard errors, where both solve",
        f"{'':16} {'problems':>8} {'solved:':>8}{'first':>6}{'other':>6}{'both':>6}"
        f"{'evaluations':>16}{'median':>8}{'fewer':>6}{'more':>6}{'same':>6}"
        + (f"{'iterations':>16}" if iterations else ""),
    ]
    for label, mask in [everything, ("same minimum", np.array(same)), *parts]:
        one, two = costs[first][mask], costs[other][mask]
        ratios = paired(one, two)
        line = (
            f"{label:16} {mask.sum():8} {'':8}{np.isfinite(one).sum():6}"
            f"{np.isfinite(two).sum():6}{ratios.both:6}{_mean_and_error(ratios):>16}"
            f"{_number(ratios.median):>8}{ratios.fewer:6}{ratios.more:6}{ratios.same:6}"
        )
        if iterations:
            nit = paired(iterations[first][mask], iterations[other][mask])
            line += f"{_mean_and_error(nit):>16}"
        lines.append(line)
    return "\n".join([*lines, *_extremes(names, costs, first, other)])


def _mean_and_error(ratios: Paired) -> str:
    return f"{_number(ratios.mean)} ± {_number(ratios.error)}" if ratios.both else "-"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _extremes(names: Sequence[str], costs: Costs, first: str, other: str) -> list[str]:
    """Word the ratios furthest from 1 on either side, two columns."""
    pairs = [
        (one / two, name, one, two)
        for name, one, two in zip(names, costs[first], costs[other], strict=True)
        if math.isfinite(one) and math.isfinite(two)
    ]
    fewer = sorted(pair for pair in pairs if pair[0] < 1)[:WORST]
    more = sorted((pair for pair in pairs if pair[0] > 1), reverse=True)[:WORST]
    if not fewer and not more:
        return []
    columns = [[f"  {name:12} {ratio:6.2f} ({one:.0f}/{two:.0f})" for ratio, name, one, two in side]
               for side in (fewer, more)]  # fmt: skip
    height = max(map(len, columns))
    left, right = ([*column, *[""] * (height - len(column))] for column in columns)
    rows = (f"{a:40}{b}".rstrip() for a, b in zip(left, right, strict=True))
    return [f"{'  fewest by the first':40}  most by the first", *rows]
