"""How runs end: status, success and message, what the message says of the cause, and the warning.

The monitor that sees without any evaluation that values and slopes do not belong together is in
``src/slope_monitor.pyx``.
"""

from __future__ import annotations

import math
import warnings

import numpy as np

from lbfgsb._core.base_solver import BaseSolver
from lbfgsb._core.slope_monitor import MISMATCH_ALARM
from lbfgsb._types import Vector

_NO_DIRECTION = (
    "rounding leaves no direction along which f goes down; the projected gradient is too small "
    "next to x, or the gradient so large or small that its square is not a number"
)

# The core's reasons (src/solver.pxd), in its order: status, success, message.
ENDS: tuple[tuple[int, bool, str], ...] = (
    (-1, False, "RUNNING"),
    (0, True, "CONVERGENCE: NORM_OF_PROJECTED_GRADIENT_<=_PGTOL"),
    (0, True, "CONVERGENCE: F_<=_TARGET"),
    (0, True, "CONVERGENCE: REL_REDUCTION_OF_F_<=_FTOL"),
    (1, False, "STOP: TOTAL NO. of ITERATIONS REACHED LIMIT"),
    (1, False, "STOP: TOTAL NO. of f AND g EVALUATIONS EXCEEDS LIMIT"),
    (2, False, "ABNORMAL_TERMINATION_IN_LNSRCH"),
    (2, False, "ABNORMAL: NOT FINITE AT X0"),
    (3, True, "STOP: USER CALLBACK"),
    (2, False, f"ABNORMAL_TERMINATION_IN_LNSRCH: {_NO_DIRECTION}"),
)
NO_STEP = 6
NOT_FINITE = 7
STOPPED = 8

LIMIT, ABNORMAL = 1, 2  # statuses

# After so many searches in a row with such a mismatch it is persistent.
PERSISTENT = 6
# A line search that was meant to lower f by less than this, relative to f, or by less than so many
# units of its precision, fails by rounding or noise of that size.
SMALL_DECREASE = 1e-9
UNITS = 100


class Limit(str):
    """The reason of a callback that ends a run for a cause outside of the problem: no success.

    It is the argument of the ``StopIteration`` that the callback raises.
    """

    __slots__ = ()


def as_reason(stop: StopIteration) -> str:
    """Return the reason that a callback has given, a `Limit` as it is."""
    reason = stop.args[0]
    return reason if isinstance(reason, str) else str(reason)


def ending(solver: BaseSolver) -> tuple[int, bool, str]:
    """Return status, success and message of a run as it stands."""
    status, success, message = ENDS[solver._reason]
    if solver._reason == STOPPED and math.isnan(solver.fun):
        success = False  # the objective ended the run before f was known
    if solver._reason == STOPPED and solver._stop_reason is not None:
        message += f": {solver._stop_reason}"
        if isinstance(solver._stop_reason, Limit):
            status, success = LIMIT, False
    elif solver._reason == NOT_FINITE:
        message += what_is_not_finite(solver.fun, solver.jac)
    elif solver._reason == NO_STEP:
        message += why_no_step(solver.fun, *solver._failure, solver._differences)
    return status, success, message


def what_is_not_finite(fun: float, jac: Vector) -> str:
    """Say what ended a run at its start, to go on with after the message."""
    if not math.isfinite(fun):
        return f": fun(x0) is {fun}, which is not finite"
    bad = np.flatnonzero(~np.isfinite(jac))
    return f": {bad.size} components of the gradient at x0 are not finite, first {bad[0]}"


def mismatch_evidence(changes: list[tuple[float, float, float]]) -> str:
    """Say in one sentence how f and its slopes disagree.

    Parameters
    ----------
    changes : list of (change of f, what the slopes predict, ratio)
        Along the last steps, oldest first.
    """
    change, predicted = (math.fsum(check[i] for check in changes) for i in (0, 1))
    if not abs(change - predicted) > 0.1 * max(abs(change), abs(predicted)):
        change, predicted, _ = max(changes, key=lambda check: check[2])
    return (
        "the gradient seems inconsistent with fun: along the last steps f changed by "
        f"{change:.3g} where the gradient predicts {predicted:.3g}; see lbfgsb.check_gradient"
    )


def why_no_step(
    fun: float,
    decrease: float,
    not_finite: bool,
    mismatch: float,
    checks: list[tuple[float, float, float]],
    precision: float,
    maxls: int,
    differences: str | None = None,
) -> str:
    """Say in one sentence what a line search that found no step points to, after the message.

    Parameters
    ----------
    fun, decrease, not_finite, mismatch, checks, precision, maxls
        f at the last iterate, and what `BaseSolver._failure` returns.
    differences : str, optional
        By which differences of f the gradient comes, if it does.
    """
    if not_finite:
        return ": f or its gradient was not finite at any point tried from the last iterate"
    if differences is not None:
        return (
            f": no lower f was found where the gradient, by {differences} differences, predicts a "
            f"decrease of {decrease:.1e} at f = {fun:.6g}; differences may be no more precise than "
            "that: a larger ftol or gtol, or a jac"
        )
    if mismatch > MISMATCH_ALARM:
        return f": {mismatch_evidence(checks)}"
    if decrease <= max(SMALL_DECREASE, UNITS * precision) * max(abs(fun), 1.0):
        return (
            f": the search was for a decrease of f by {decrease:.1e} at f = {fun:.6g}, which "
            "rounding errors or noise in f can hide"
        )
    if maxls:
        return (
            f": no lower f was found in {maxls} trial{'s' * (maxls > 1)}, all that maxls allows, "
            f"where the gradient predicts a decrease of {decrease:.3g}; see lbfgsb.diagnose"
        )
    return (
        f": no lower f was found where the gradient predicts a decrease of {decrease:.3g}; f may "
        "jump or have a kink here; see lbfgsb.diagnose"
    )


class GradientWarning(UserWarning):
    """The gradient seems inconsistent with the objective function."""


def warn_of_mismatch(solver: BaseSolver, status: int, stacklevel: int = 2) -> None:
    """Warn if the run's own evidence is against the gradient.

    Parameters
    ----------
    solver : BaseSolver
        Its run is over.
    status : int
        Of the result. An abnormal end is evidence itself; else the mismatch must be persistent.
    stacklevel : int, default 2
        As in `warnings.warn`.
    """
    if is_inconsistent(solver, status):
        evidence = mismatch_evidence(solver._slope_checks)
        warnings.warn(evidence, GradientWarning, stacklevel=stacklevel + 1)


def is_inconsistent(solver: BaseSolver, status: int) -> bool:
    """Whether f and its slopes disagree so that it can't be curvature."""
    if not solver.gradient_mismatch > MISMATCH_ALARM:
        return False
    return status == ABNORMAL or solver._mismatch_alarms >= PERSISTENT
