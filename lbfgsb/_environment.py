"""`Report`, as lbfgsb 1.1 had it: versions of all that matters, through scooby."""

from __future__ import annotations

from typing import Any

try:
    from scooby import Report as _ScoobyReport
except ImportError as _error:
    raise ImportError(
        "lbfgsb.Report needs scooby: pip install scooby; 'lbfgsb info' prints versions without it"
    ) from _error


class Report(_ScoobyReport):
    """Versions of lbfgsb and of what it uses, as a `scooby.Report`.

    Parameters
    ----------
    additional : list of str, optional
        More packages to report.
    ncol, text_width, sort
        As in scooby.
    """

    def __init__(
        self,
        additional: list[Any] | None = None,
        ncol: int = 3,
        text_width: int = 80,
        sort: bool = False,
    ) -> None:
        super().__init__(
            additional=additional,
            core=["lbfgsb", "numpy", "scipy", "scooby"],
            optional=["matplotlib"],
            ncol=ncol,
            text_width=text_width,
            sort=sort,
        )
