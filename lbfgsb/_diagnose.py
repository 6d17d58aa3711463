"""The diagnosis of a run: reading a result, and what else there is, and saying what is found."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html import escape
from typing import Any, Literal

import numpy as np

from lbfgsb import _html
from lbfgsb._bounds import as_bounds
from lbfgsb._core.objective import convert_gradient, quote
from lbfgsb._core.slope_monitor import MISMATCH_ALARM, describe
from lbfgsb._endings import ABNORMAL, PERSISTENT, mismatch_evidence
from lbfgsb._gradient_check import EPS, WIDTH, as_value_function, check_gradient
from lbfgsb._lowlevel import as_compiled, is_compiled
from lbfgsb._noise import NOISE_STEP, estimate_noise, way_inside
from lbfgsb._result import memory_of, one_of_a_batch
from lbfgsb._types import Vector

Severity = Literal["problem", "hint", "fine"]


@dataclass
class Finding:
    """One thing that `~lbfgsb.diagnose` noticed.

    Attributes
    ----------
    code : str
        A short name that programs can test for.
    severity : {'problem', 'hint', 'fine'}
    text : str
        What was found, in words.
    advice : str
        What to try; empty if there is nothing to do.
    numbers : dict
        The numbers behind it, by name.
    """

    code: str
    severity: Severity
    text: str
    advice: str = ""
    numbers: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        mark = {"problem": "!", "hint": "-", "fine": "+"}[self.severity]
        lines = [textwrap.fill(self.text, WIDTH, initial_indent=f"{mark} ", subsequent_indent="  ")]
        if self.advice:
            lines.append(
                textwrap.fill(
                    self.advice, WIDTH, initial_indent="  Try: ", subsequent_indent="       "
                )
            )
        return "\n".join(lines)


class Diagnosis:
    """The findings of `~lbfgsb.diagnose`: a sequence of `Finding`, problems first.

    It prints in 80 columns.
    """

    def __init__(self, headline: str, findings: list[Finding]) -> None:
        order = ("problem", "hint", "fine")
        self.headline = headline
        self.findings: list[Finding] = sorted(
            findings, key=lambda finding: order.index(finding.severity)
        )

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def __getitem__(self, i: int | str) -> Finding:
        """The finding of this number or code; IndexError or KeyError if there is none."""
        if isinstance(i, str):
            for finding in self.findings:
                if finding.code == i:
                    return finding
            raise KeyError(i)
        return self.findings[i]

    @property
    def codes(self) -> list[str]:
        """The code of each finding."""
        return [finding.code for finding in self.findings]

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.headline)}</p>" + _html.of_columns(
            ("", "found", "try"), ((f.severity, f.text, f.advice) for f in self.findings)
        )

    def __repr__(self) -> str:
        head = textwrap.fill(self.headline, WIDTH, subsequent_indent="  ")
        return "\n".join([head, *map(str, self.findings)])


def diagnose(
    result: Any,
    fun: Callable[..., Any] | None = None,
    jac: Any = None,
    history: Any = None,
    bounds: Any = None,
) -> Diagnosis:
    """Say why a run ended as it did, with the numbers behind it and what to try.

    Parameters
    ----------
    result : OptimizeResult
        Of `minimize_lbfgsb` or `Solver`; another solver's will do, but says less. One without `jac`
        needs `fun` and `jac`.
    fun, jac : callable or scipy.LowLevelCallable, optional
        As given to `minimize_lbfgsb`. With `fun` the noise of f at the result is measured (seven
        evaluations, or a few times as many), with a callable or True for `jac` the gradient is
        checked too.
    history : optional
        An object with the attribute ``fun``, and perhaps ``nfev``, arrays with an item for each
        iterate, such as `lbfgsb.callbacks.History`.
    bounds : optional
        As given to `minimize_lbfgsb`; known from a result of ours.

    Returns
    -------
    Diagnosis
        The findings; ``print`` it.

    Raises
    ------
    TypeError, ValueError
        For bad input, with the name of the argument.

    Examples
    --------
    >>> import numpy as np
    >>> from lbfgsb import diagnose, minimize_lbfgsb
    >>> def fun(x):
    ...     return x @ x, 2 * x
    >>> res = minimize_lbfgsb(x0=[1.0, 1.0], fun=fun, jac=True, bounds=[(1, None)] * 2)
    >>> print(diagnose(res))
    Status 0 after 0 iterations and 1 evaluation, f = 2: CONVERGENCE:
      NORM_OF_PROJECTED_GRADIENT_<=_PGTOL
    ! The start is pinned at its bounds: all 2 variables are at a bound that the
      gradient pushes them against, so that no feasible step goes down.
      Try: another start, or other bounds; if f should go down into the box, check
           the sign of the gradient with lbfgsb.check_gradient.
    """
    with np.errstate(all="ignore"):  # what overflows is one of the findings
        run = _Run(result, fun, jac, history, bounds)
        findings = [finding for look in _LOOKS if (finding := look(run)) is not None]
    codes = [finding.code for finding in findings]
    if "kink" in codes and "ftol early" in codes:  # the slopes beside a kink are not small
        del findings[codes.index("ftol early")]
    if "noise" in codes and "gradient on the way" in codes:  # noise explains the mismatch
        del findings[codes.index("gradient on the way")]
    troubled = any(finding.severity == "problem" for finding in findings)
    if run.success and not troubled and "below rounding" not in codes:
        text = _well(run, suspicious=bool(findings))
        findings.append(Finding("converged", "fine", text, numbers={"norm": run.norm}))
    return Diagnosis(run.headline(), findings)


class _Run:
    """What is known of a run, whoever made its result."""

    def __init__(self, result: Any, fun: Any, jac: Any, history: Any, bounds: Any) -> None:
        one_of_a_batch("result", result)
        if not isinstance(result, dict) or not {"x", "fun"} <= result.keys():
            raise TypeError(
                f"result must be an OptimizeResult with x and fun; got {type(result).__name__}"
            )
        if is_compiled(fun):
            fun, jac = as_compiled(fun, jac), True
        for name, value in (("fun", fun), ("jac", jac)):
            if value is not None and not isinstance(value, (bool, str)) and not callable(value):
                raise TypeError(f"{name} must be callable; got {quote(value)}")
        if history is not None and not hasattr(history, "fun"):
            raise TypeError(f"history must have the attribute fun; got {type(history).__name__}")
        self.x = np.asarray(result["x"], dtype=np.float64).reshape(-1)
        self.g = _gradient_of(result, fun, jac)
        self.f = float(result["fun"])
        self.status, self.success = int(result.get("status", 0)), bool(result.get("success", True))
        self.nit, self.nfev = int(result.get("nit", 0)), int(result.get("nfev", 0))
        self.message = str(result.get("message", ""))
        self.hess_inv = result.get("hess_inv")
        self.mismatch = float(result.get("gradient_mismatch", 0.0))
        self.fun, self.jac = fun, jac
        self.values = None if history is None else np.asarray(history.fun, dtype=np.float64)
        memory = memory_of(result)
        snapshot = {} if memory is None else memory.snapshot()
        self.monitor = describe(snapshot["monitor"]) if "monitor" in snapshot else None
        self.differences: str | None = snapshot.get("differences")
        if bounds is None and snapshot.get("lower") is not None:
            lower, upper = snapshot["lower"], snapshot["upper"]
        else:
            lower, upper = as_bounds(bounds, self.x.size)
        self.lower = np.full(self.x.size, -np.inf) if lower is None else lower
        self.upper = np.full(self.x.size, np.inf) if upper is None else upper
        with np.errstate(invalid="ignore"):
            towards = np.where(self.g > 0, self.x - self.lower, self.x - self.upper)
            self.projected = np.where(
                self.g > 0, np.minimum(towards, self.g), np.maximum(towards, self.g)
            )
        self.norm = float(np.abs(self.projected).max(initial=0.0))
        self.size = max(abs(self.f), 1.0)

    @property
    def checks(self) -> list[tuple[float, float, float]]:
        """The latest checks of f against its slopes, oldest first."""
        return [] if self.monitor is None else self.monitor["checks"]

    @property
    def alarms(self) -> int:
        """Alarms in a row of the slope monitor, up to the end of the run."""
        return 0 if self.monitor is None else self.monitor["alarms"]

    @property
    def first_f(self) -> float:
        """f at the start; NaN if unknown."""
        return math.nan if self.monitor is None else self.monitor["first_f"]

    def foreseen(self) -> float:
        """The decrease of f that the quadratic model foresees: ½ pᵀHp, p the projected gradient.

        NaN if there is no model, or if it foresees more than the run has gained so far: then it is
        a model of another place.
        """
        if self.hess_inv is None or not np.isfinite(self.projected).all():
            return math.nan
        left = 0.5 * float(self.projected @ _apply(self.hess_inv, self.projected))
        return left if not left > self.first_f - self.f else math.nan

    def headline(self) -> str:
        counts = f"{_counted(self.nit, 'iteration')} and {_counted(self.nfev, 'evaluation')}"
        message = self.message.split(": the gradient seems")[0]
        return f"Status {self.status} after {counts}, f = {self.f:.6g}: {message}"


def _gradient_of(result: dict[str, Any], fun: Any, jac: Any) -> Vector:
    """The gradient at the result, evaluated where the result has none."""
    if "jac" in result:
        return np.asarray(result["jac"], dtype=np.float64).reshape(-1)
    if fun is None or not (jac is True or callable(jac)):
        raise TypeError("the result has no jac: diagnose needs fun and jac to evaluate it")
    x = np.asarray(result["x"], dtype=np.float64).reshape(-1)
    return convert_gradient(fun(x)[1] if jac is True else jac(x), x.size)


def _apply(H: Any, v: Vector) -> Vector:
    """H v by the two-loop recursion from γI, γ = sᵀy / yᵀy of the newest pair, as in the solver.

    SciPy's operator begins with I, whose size has nothing to do with f.
    """
    S, Y, rho = H.sk, H.yk, H.rho
    q, alpha = v.copy(), np.zeros(len(S))
    for i in reversed(range(len(S))):
        alpha[i] = rho[i] * (S[i] @ q)
        q -= alpha[i] * Y[i]
    if len(S):
        q *= (S[-1] @ Y[-1]) / (Y[-1] @ Y[-1])
    for i in range(len(S)):
        q += (alpha[i] - rho[i] * (Y[i] @ q)) * S[i]
    return q


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def _look_at_start(run: _Run) -> Finding | None:
    """Did the run not begin?"""
    if not math.isfinite(run.f):
        return Finding(
            "start not finite",
            "problem",
            f"f is {run.f} at the start, {_short(run.x)}.",
            "a start at which f is defined, or bounds that keep x where it is.",
            {"fun": run.f},
        )
    bad = np.flatnonzero(~np.isfinite(run.g))
    if bad.size and run.status == ABNORMAL:
        return Finding(
            "start not finite",
            "problem",
            f"{bad.size} of {run.g.size} components of the gradient at the start are not finite, "
            f"the first at index {bad[0]}, where x[{bad[0]}] = {run.x[bad[0]]:.6g}.",
            "a start away from roots, logarithms and divisions at 0.",
            {"index": bad},
        )
    if run.nit > 0 or run.status != 0 or "TARGET" in run.message:
        return None
    pinned = (run.g != 0) & (run.projected == 0)
    if pinned.any():
        count = int(pinned.sum())
        who = (
            f"all {count} variables are"
            if count == run.x.size
            else (f"{count} of {run.x.size} variables are")
        )
        return Finding(
            "pinned at start",
            "problem",
            f"The start is pinned at its bounds: {who} at a bound that the gradient pushes them "
            "against, so that no feasible step goes down.",
            "another start, or other bounds; if f should go down into the box, check the sign of "
            "the gradient with lbfgsb.check_gradient.",
            {"pinned": np.flatnonzero(pinned)},
        )
    return Finding(
        "stationary at start",
        "problem",
        f"The start is stationary: no component of its projected gradient is larger than "
        f"{run.norm:.3g} in absolute value, so that nothing was to be done, and no callback was "
        "called.",
        "if this is no minimum: another start (a saddle or a plateau has no slope), a smaller gtol "
        "if f is small in its units, and lbfgsb.check_gradient.",
        {"projected_gradient": run.norm},
    )


def _look_at_first_step(run: _Run) -> Finding | None:
    """Do some parameters not move at all?"""
    still = (run.g == 0) & (run.lower < run.upper)
    if not 0 < still.sum() < run.x.size or not run.g.any():
        return None
    still &= (run.x > run.lower) & (run.x < run.upper)
    index = np.flatnonzero(still)
    if index.size == 0:
        return None
    return Finding(
        "no slope",
        "hint",
        f"{_counted(index.size, 'variable')} of {run.x.size}, the first at index {index[0]}, "
        f"{'has' if index.size == 1 else 'have'} a gradient of exactly 0 and no bound in the "
        "way: such a variable does not move.",
        "lbfgsb.check_gradient, which also finds components that were left at 0; else f does not "
        "depend on them here.",
        {"index": index},
    )


def _look_at_gradient(run: _Run) -> Finding | None:
    report = None
    if run.fun is not None and (run.jac is True or callable(run.jac)):
        report = check_gradient(
            run.fun, run.jac, run.x, bounds=np.stack([run.lower, run.upper], axis=1)
        )
    checks = run.checks
    if report is not None and not report.ok and "WRONG" in report.verdict:
        return Finding(
            "gradient",
            "problem",
            repr(report).partition("\n  ")[0].replace("\n", " "),
            "print lbfgsb.check_gradient(fun, jac, x) for the table, at a random x as well.",
            {"report": report, "mismatch": run.mismatch},
        )
    if report is not None and "kink" in report.verdict:
        kinks = report.verdict.count("kink")
        return Finding(
            "kink",
            "hint",
            f"f has a kink at the result: along {kinks} of {len(report.verdict)} directions its "
            "slopes on both sides differ, and the gradient lies between them.",
            "nothing, if the minimum is where the kink is; else a smooth f near it, such as "
            "sqrt(x² + 1e-8) for |x|, or a method for nonsmooth f.",
            {"report": report},
        )
    if run.mismatch <= MISMATCH_ALARM:
        return None
    if run.differences is not None:
        return Finding(
            "differences",
            "hint",
            f"f and its slopes, by {run.differences} differences, disagree along the last steps "
            f"(mismatch {run.mismatch:.2f}, from 0, fine, to 1, hopeless): differences are no more "
            "precise near the minimum, or f has kinks or noise.",
            "a jac; else a larger ftol, jac='3-point', or a step that suits the noise of f.",
            {"mismatch": run.mismatch, "checks": checks},
        )
    evidence = mismatch_evidence(checks) if checks else "the gradient seems inconsistent with fun"
    if report is not None:
        return Finding(
            "gradient on the way",
            "problem",
            f"{evidence[0].upper()}{evidence[1:].partition(';')[0]} (mismatch {run.mismatch:.2f}). "
            "At the result the gradient is right: f may have kinks or jumps on the way, or be "
            "noisy.",
            "look at f along a line between two iterates.",
            {"mismatch": run.mismatch, "checks": checks, "report": report},
        )
    return Finding(
        "gradient",
        "problem" if run.status == ABNORMAL or run.alarms >= PERSISTENT else "hint",
        f"{evidence[0].upper()}{evidence[1:].partition(';')[0]} (mismatch {run.mismatch:.2f}, "
        "from 0, fine, to 1, hopeless).",
        "lbfgsb.check_gradient(fun, jac, x) for which component is wrong; if it finds none, f is "
        "noisy or has kinks.",
        {"mismatch": run.mismatch, "checks": checks},
    )


def _look_at_noise(run: _Run) -> Finding | None:
    """Measure the noise of f by the table of its differences over a short walk (`_noise`)."""
    if run.fun is None or not math.isfinite(run.f):
        return None
    value = as_value_function(run.fun, run.jac)
    way = way_inside(run.x, run.lower, run.upper)
    with np.errstate(all="ignore"):
        found, _ = estimate_noise(
            lambda t: value(np.clip(run.x + t * way, run.lower, run.upper)), NOISE_STEP
        )
    noise = found.level
    # Of f, and what the rounding of x makes of it.
    rounding = EPS * (abs(run.f) + float(np.abs(run.g * run.x).sum()))
    if noise <= 1e4 * rounding or not 0 < noise < math.inf:
        return None
    return Finding(
        "noise",
        "problem",
        f"f is noisy: the table of its differences along a short line at the result shows errors "
        f"of about {noise:.1e}, {noise / rounding:.0e} rounding errors.",
        f"fun_precision={2 * noise / max(abs(run.f), 2 * noise):.0e}, or ftol of at least "
        f"{10 * noise / run.size:.0e}; tighter tolerances in inner solvers, "
        f"integrals and simulations; for numerical gradients a step of about "
        f"{math.sqrt(noise / run.size):.0e}.",
        {"noise": noise, "rounding": rounding},
    )


def _look_at_not_finite(run: _Run) -> Finding | None:
    if run.monitor is None or run.monitor["lost"] == 0:
        return None
    count = run.monitor["lost"]
    return Finding(
        "not finite",
        "problem" if run.status == ABNORMAL else "hint",
        f"f or its gradient was not finite at {count} of {_counted(run.nfev, 'point')}; shorter "
        f"steps were tried there. The last iterate, {_short(run.x)}, is fine.",
        "bounds that keep x where f is defined, or a logarithm or other parametrisation.",
        {"count": count},
    )


def _look_at_unbounded(run: _Run) -> Finding | None:
    first = run.first_f
    if run.values is not None and run.values.size:
        first = float(run.values[0])
    fall = first - run.f
    # With nothing known of the start, only absurd values speak for themselves.
    steep = run.f < -1e8 * max(1.0, abs(first)) if math.isfinite(first) else run.f < -1e15
    if not steep and run.f != -math.inf:
        return None
    return Finding(
        "unbounded",
        "problem",
        f"f seems to have no lower bound: it has reached {run.f:.3g}"
        f"{f', from {first:.3g}' if math.isfinite(first) else ''}, at an x as large as "
        f"{np.abs(run.x).max(initial=0.0):.3g}.",
        "bounds on the variables, or look for a missing penalty or a wrong sign in f.",
        {"fall": fall, "fun": run.f},
    )


def _look_at_differences(run: _Run) -> Finding | None:
    """Has a run ended where differences know no better?"""
    if run.differences is None or run.status != ABNORMAL or not math.isfinite(run.f):
        return None
    return Finding(
        "differences",
        "problem",
        f"The gradient comes by {run.differences} differences of f, whose own error may be as "
        f"large as what is left of it: the projected gradient is {run.norm:.2g}.",
        "a jac; else a larger ftol or gtol, or jac='3-point'.",
        {"projected_gradient": run.norm},
    )


def _look_at_limits(run: _Run) -> Finding | None:
    if run.status != 1:
        return None
    limit = "maxiter" if "ITERATIONS" in run.message.upper() else "maxfun"
    if "CALLBACK" in run.message.upper():  # a TimeLimit, say
        limit = "limit"
    numbers: dict[str, Any] = {"projected_gradient": run.norm, "foreseen": run.foreseen()}
    going = ""
    if run.values is not None and run.values.size > 5:
        fall = float(run.values[-6] - run.values[-1])
        numbers["fall"] = fall
        going = f", and f fell by {fall:.3g} over the last five iterations"
    model = ""
    if not math.isnan(numbers["foreseen"]):
        model = f" The model foresees a further decrease of about {numbers['foreseen']:.2g}."
    return Finding(
        "limit",
        "problem",
        f"A limit ended the run while it was still going down: the projected gradient is "
        f"{run.norm:.3g}{going}.{model}",
        f"a larger {limit}; minimize_lbfgsb goes on from here with checkpoint=result, x0=result.x.",
        numbers,
    )


_LARGE_NORM = 1e-4
_LEFT = 1e-6


def _look_at_ftol(run: _Run) -> Finding | None:
    """Did the run end by ftol, far from a stationary point?"""
    if run.status != 0 or "F_<=_FTOL" not in run.message.replace("FACTR*EPSMCH", "FTOL"):
        return None
    # By the step -Hp from H₀ = I, a guess in the units of x: enough to suspect, not to foretell.
    left = math.nan
    if run.hess_inv is not None and np.isfinite(run.projected).all():
        left = 0.5 * float(run.projected @ run.hess_inv.matvec(run.projected))
    if not (left > _LEFT * run.size or (math.isnan(left) and run.norm > _LARGE_NORM * run.size)):
        return None
    return Finding(
        "ftol early",
        "problem",
        f"ftol was met in one small step, but the projected gradient is still {run.norm:.3g}, f "
        f"being {run.f:.6g}.",
        "a smaller ftol, say 1e-12, so that gtol decides; and a better scaling of the variables if "
        "that takes many iterations.",
        {"projected_gradient": run.norm},
    )


def _look_at_rounding(run: _Run) -> Finding | None:
    """Is what is left to gain below the rounding errors of f?"""
    left = run.foreseen()
    if run.nit == 0 or not left <= 10 * EPS * run.size or run.norm == 0 or run.status == 3:
        return None
    if run.status == 0 and "FTOL" not in run.message:
        return None
    return Finding(
        "below rounding",
        "fine",
        f"The run has converged in fact: the model foresees a further decrease of {left:.1e}, "
        f"which is below the rounding errors of f ({EPS * run.size:.1e}).",
        "nothing; or a larger gtol, which would have ended it earlier.",
        {"foreseen": left},
    )


_ORDERS = 1e6


def _look_at_size(run: _Run) -> Finding | None:
    """Is the gradient small only since the variable is large?"""
    effect = np.abs(run.projected * run.x)
    blind = (effect > 0.1 * max(abs(run.f), EPS)) & (np.abs(run.x) > 1e3)
    blind &= np.abs(run.projected) < 1e-3
    if run.status != 0 or "TARGET" in run.message or not blind.any():
        return None
    i = int(np.argmax(np.where(blind, effect, 0.0)))
    count = int(blind.sum())
    who = f"x[{i}]" + (f" and {count - 1} more" if count > 1 else "")
    return Finding(
        "too large",
        "problem",
        f"{who}: in its units a slope of {run.g[i]:.1e} passes for none, but at x[{i}] = "
        f"{run.x[i]:.3g} a change of x[{i}] by 1 % would change f by about {0.01 * effect[i]:.2g}, "
        f"f being {run.f:.4g}.",
        f"x_scale, with {10.0 ** round(math.log10(abs(run.x[i]))):.0e} for x[{i}], or other units; "
        "or a smaller gtol.",
        {"index": np.flatnonzero(blind), "effect": effect[blind]},
    )


def _look_at_scaling(run: _Run) -> Finding | None:
    """Do the curvatures differ by many orders of magnitude?"""
    if run.hess_inv is None or getattr(run.hess_inv, "n_corrs", 0) == 0 or run.x.size < 2:
        return None
    S, Y = run.hess_inv.sk, run.hess_inv.yk
    moved = np.any(S != 0, axis=0)
    curvature = np.einsum("ij,ij->j", S, Y)[moved] / np.einsum("ij,ij->j", S, S)[moved]
    if curvature.size < 2 or not (curvature > 0).all():
        return None
    lengths = 1 / np.sqrt(curvature)
    spread = float(lengths.max() / lengths.min())
    if spread < math.sqrt(_ORDERS):
        return None
    scale = np.ones(run.x.size)
    scale[moved] = 10.0 ** np.round(np.log10(lengths))
    return Finding(
        "scaling",
        "hint" if run.success else "problem",
        f"The variables are scaled over many orders of magnitude: the steps that change f equally "
        f"are from {lengths.min():.1e} to {lengths.max():.1e}.",
        f"{_as_advice(scale)}, or better what you know of the typical size of each variable.",
        {"spread": spread, "x_scale": scale},
    )


def _as_advice(scale: Vector) -> str:
    """The x_scale to try, whole or by its extremes."""
    if scale.size <= 8:
        return f"x_scale=[{', '.join(f'{value:g}' for value in scale)}]"
    least, most = int(np.argmin(scale)), int(np.argmax(scale))
    return (
        f"x_scale=diagnosis['scaling'].numbers['x_scale'], from {scale[least]:g} for x[{least}] to "
        f"{scale[most]:g} for x[{most}]"
    )


_LOOKS = (
    _look_at_start,
    _look_at_first_step,
    _look_at_gradient,
    _look_at_noise,
    _look_at_not_finite,
    _look_at_unbounded,
    _look_at_differences,
    _look_at_limits,
    _look_at_ftol,
    _look_at_rounding,
    _look_at_size,
    _look_at_scaling,
)


def _well(run: _Run, suspicious: bool) -> str:
    if run.status == 3:
        return "The run was ended by its callback or objective" + (
            "." if suspicious else "; nothing else was noticed."
        )
    agree = " and f and its gradient agree along the last steps" if run.checks else ""
    verdict = "Converged" if suspicious else "Nothing suspicious"
    return (
        f"{verdict}: the projected gradient is {run.norm:.2g} at f = {run.f:.6g}"
        f"{',' if agree else ''}{agree}."
    )


def _short(x: Vector) -> str:
    shown = ", ".join(f"{value:.3g}" for value in x[:4])
    return f"[{shown}{', ...' if x.size > 4 else ''}]"
