"""What `iprint` and `logger` show of a run: aligned columns, a summary, every detail."""

from __future__ import annotations

import logging

from lbfgsb._core.base_solver import BaseSolver
from lbfgsb._endings import ending

HEADER = f"{'nit':>6} {'nfev':>7} {'f':>16} {'|proj g|':>10} {'step':>10} {'at bounds':>10}"
_DETAIL = 99
ROWS_A_HEADER = 50


class Log:
    """Writes to a logger how a run goes.

    Parameters
    ----------
    solver : BaseSolver
    logger : logging.Logger
    iprint : int
        0 the summary; 0 < iprint < 99 a row every `iprint` iterations as well; ≥ 99 a row and
        the details of every iteration.
    """

    def __init__(self, solver: BaseSolver, logger: logging.Logger, iprint: int) -> None:
        self._solver, self._logger, self._iprint = solver, logger, iprint
        self._rows = 0
        self._last_row = -1

    def start(self) -> None:
        """Show the problem and the iterate that the run starts from."""
        s = self._solver
        if self._iprint > 0:
            self._logger.info("L-BFGS-B: %d variables, %d at bounds", s.n, s.active_bounds)
            self._row()

    def iterate(self) -> None:
        """Show a new iterate if it is its turn."""
        nit, every = self._solver.nit, self._iprint
        if every >= _DETAIL:
            self._row()
            self._details()
        elif every > 0 and nit % every == 0:
            self._row()

    def end(self) -> None:
        """Show how the run ended."""
        s = self._solver
        if self._iprint > 0 and self._last_row != s.nit:
            self._row()
        _, success, message = ending(s)
        self._logger.info(
            "%s: f = %.10g, |proj g| = %.3e, %d iterations, %d evaluations of f, %d of g: %s",
            "Done" if success else "Stopped",
            s.fun,
            s.projected_gradient,
            s.nit,
            s.nfev,
            s.njev,
            message,
        )

    def _row(self) -> None:
        s = self._solver
        if self._rows % ROWS_A_HEADER == 0:
            self._logger.info(HEADER)
        self._rows += 1
        self._last_row = s.nit
        self._logger.info(
            "%6d %7d %16.9e %10.3e %10.3e %10d",
            s.nit,
            s.nfev,
            s.fun,
            s.projected_gradient,
            s.steplength,
            s.active_bounds,
        )

    def _details(self) -> None:
        d = self._solver._details
        self._logger.info(
            "       pairs %d, theta %.3e, slope %.3e, trials %d, break points passed %d, "
            "fixed at the Cauchy point %d, pairs skipped %d, memory dropped %d",
            d["pairs"],
            d["theta"],
            d["slope"],
            d["trials"],
            d["passed"],
            d["fixed"],
            d["skipped"],
            d["restarts"],
        )
