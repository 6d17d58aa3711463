"""Small tables for notebooks: what ``_repr_html_`` of results, histories and diagnoses return."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

import numpy as np

_DIGITS = 6
_EDGE = 3  # elements of a long array at each end


def shown(value: Any) -> str:
    """Return a value of a result as text of a line or two, an array by its first and last parts."""
    if isinstance(value, np.ndarray):
        text = np.array2string(value, threshold=2 * _EDGE, edgeitems=_EDGE, precision=_DIGITS)
        return f"{text} {value.shape}" if value.size > 2 * _EDGE else text
    if isinstance(value, (float, np.floating)):
        return f"{value:.{_DIGITS}g}"
    return str(value)


def of_names(items: Iterable[tuple[str, Any]]) -> str:
    """Return a table with a name and a value in each row."""
    rows = "".join(
        f"<tr><th style='text-align:left'>{escape(name)}</th>"
        f"<td style='text-align:left'>{escape(shown(value))}</td></tr>"
        for name, value in items
    )
    return f"<table>{rows}</table>"


def of_columns(names: Iterable[str], rows: Iterable[Iterable[Any] | None]) -> str:
    """Return a table with a head; None is a row that stands for those left out."""
    names = list(names)
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(
        f"<tr><td colspan='{len(names)}'>⋮</td></tr>"
        if row is None
        else f"<tr>{''.join(f'<td>{escape(shown(value))}</td>' for value in row)}</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
