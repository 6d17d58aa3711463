"""What a run of a solver on a CUTEst problem leaves behind: a row, kept as a line of JSON."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

SOLVED = 1e-6  # inf-norm of the projected gradient

Row = dict[str, Any]
Runs = dict[str, dict[str, Row]]  # rows by the name of the run, then by problem


def empty_row(name: str, solver: str, message: str = "") -> Row:
    """Row of a run that came to nothing: every field, None where it isn't known or isn't finite.

    ``finished`` says that the solver returned; ``status``, ``message``, ``nit`` and
    ``nfev_reported`` are its own words, all else is measured. ``f`` and ``projected_gradient``
    belong to the x it returned, or to the best one if it didn't return; they are those of the
    problem, without noise or differences. ``nfev`` counts calls of the objective, those for
    differences too. Times are CPU seconds, ``limit`` is the most that there were for the run.
    ``infeasible`` and ``undefined`` count points; ``fun_is_f`` and ``jac_is_g`` say whether the
    result's ``fun`` and ``jac`` are f and g at its ``x``, to the bit. ``descent`` lists [k, f] for
    each evaluation k, from 1, whose point is feasible and has a lower f than any before.
    """
    return {
        "name": name,
        "solver": solver,
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
        "limit": None,
        "infeasible": 0,
        "undefined": 0,
        "fun_is_f": None,
        "jac_is_g": None,
        "descent": [],
    }


def is_solved(row: Row) -> bool:
    """Whether the solver returned a point with a small enough projected gradient."""
    norm = row["projected_gradient"]
    return bool(row["finished"] and norm is not None and norm <= SOLVED)


def is_sound(row: Row) -> bool:
    """Whether no point was infeasible and what was returned is what was measured."""
    return not row["infeasible"] and row["fun_is_f"] is not False


def read_rows(path: Path) -> list[Row]:
    """Read the rows of a file; a last line without an end is of a run cut short and left out."""
    text = path.read_text()
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def group_runs(files: Iterable[tuple[str, Path | str, Iterable[Row]]]) -> Runs:
    """Group rows by run, in the order in which they come.

    Parameters
    ----------
    files : iterable of (str, Path or str, iterable of rows)
        A label or "", a name for the file, and what it holds. Of two rows for a solver and
        problem the later one counts. Runs are called by their solver, with the file's name where
        that is taken; or by the label, followed by the solver if the file has several.
    """
    runs: Runs = {}
    for label, file_name, rows in files:
        grouped: Runs = {}
        for row in rows:
            grouped.setdefault(row["solver"], {})[row["name"]] = row
        for solver, by_name in grouped.items():
            name = solver if not label else label if len(grouped) == 1 else f"{label}: {solver}"
            runs[f"{name} ({file_name})" if name in runs else name] = by_name
    return runs
