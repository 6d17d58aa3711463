"""Why a run ended as it did: a check of the gradient, and findings in plain words.

`check_gradient` compares a gradient with differences of f that know their own error.
`diagnose` reads a result, and what else there is, and says what it finds, with numbers.
`GradientWarning` is what a run gives whose values and slopes did not belong together; the monitor
that sees this without any evaluation is in ``src/slope_monitor.pyx``.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lbfgsb._bounds import as_bounds, as_start
from lbfgsb._core.objective import convert_gradient, convert_value
from lbfgsb._endings import (
    ABNORMAL,
    MISMATCH_ALARM,
    PERSISTENT,
    GradientWarning,
    mismatch_evidence,
)
from lbfgsb._result import memory_of
from lbfgsb._types import Vector

__all__ = [
    "Diagnosis",
    "Finding",
    "GradientReport",
    "GradientWarning",
    "check_gradient",
    "diagnose",
]

EPS = float(np.finfo(np.float64).eps)
WIDTH = 79  # of the texts

# ---------------------------------------------------------------------------------------------
# A derivative along a line, with its error
# ---------------------------------------------------------------------------------------------

# The first step, in units of max(1, |x_i|): two of them and Richardson's extrapolation leave an
# error of h⁴ ~ 1e-15 and a rounding error of ε/h ~ 1e-12, relative to f.
STEP = 2e-4
# Others that are tried while the result is not convincing, in units of the first.
OTHER_STEPS = (1e-2, 10.0, 1e-4)
# Disagreement that is allowed in addition to the estimated errors.
SLACK, SAFETY = 1e-6, 5.0
# The derivative is unknown where its error is larger than this part of it.
UNKNOWN = 0.1


@dataclass
class Derivative:
    """A numerical derivative.

    Attributes
    ----------
    value, error : float
        NaN and infinite where f is not finite.
    left, right : float
        One-sided derivatives; equal unless there is a kink.
    noise : float
        What f seems to be off by.
    """

    value: float
    error: float
    left: float = math.nan
    right: float = math.nan
    noise: float = 0.0


class _Line:
    """f along x + t v in the box, with the number of evaluations."""

    def __init__(self, fun: Callable[[Vector], float], x: Vector, box: tuple[Vector, Vector]):
        self.fun, self.x, self.box = fun, x, box
        self.nfev = 0

    def __call__(self, v: Vector, t: float) -> float:
        self.nfev += 1
        return self.fun(np.clip(self.x + t * v, *self.box))

    def reach(self, v: Vector) -> tuple[float, float]:
        """The largest t in the box, backwards and forwards."""
        lower, upper = self.box
        moved = v != 0
        v, x = v[moved], self.x[moved]
        lower, upper = lower[moved], upper[moved]
        forwards = np.where(v > 0, upper - x, x - lower) / np.abs(v)
        backwards = np.where(v > 0, x - lower, upper - x) / np.abs(v)
        return float(backwards.min(initial=np.inf)), float(forwards.min(initial=np.inf))


def _derivative(line: _Line, v: Vector, f: float, h: float) -> Derivative:
    """Differentiate along `v` with the steps h and h/2, on both sides if the box lets."""
    backwards, forwards = line.reach(v)
    if min(backwards, forwards) >= h:
        return _central(line, v, f, h)
    if max(backwards, forwards) == backwards:
        there = _one_sided(line, -v, f, min(h, backwards))
        return Derivative(-there.value, there.error, noise=there.noise)
    return _one_sided(line, v, f, min(h, forwards))


def _central(line: _Line, v: Vector, f: float, h: float) -> Derivative:
    values = [line(v, t) for t in (-h, -h / 2, h / 2, h)]
    if not np.isfinite(values).all():
        return Derivative(math.nan, math.inf)
    a, b, c, d = values
    wide, narrow = (d - a) / (2 * h), (c - b) / h
    # The fourth difference is h⁴/16 f'''' but for noise, which it multiplies by √70.
    noise = abs(a - 4 * b + 6 * f - 4 * c + d) / math.sqrt(70)
    noise = max(noise, EPS * max(map(abs, values)))
    value = (4 * narrow - wide) / 3
    out = Derivative(value, abs(narrow - wide) / 3 + 2 * noise / h, value, value, noise)
    right, left = (c - f) / (h / 2), (f - b) / (h / 2)
    gap, wide_gap = right - left, (d - f) / h - (f - a) / h
    rounding = EPS * max(map(abs, values)) / h
    # Of a smooth f the gap between the one-sided differences is halved with the step.
    if abs(gap - wide_gap) < 0.1 * abs(gap) and abs(gap) > 100 * rounding:
        out.left, out.right, out.noise = left, right, EPS * max(map(abs, values))
        out.error = abs(narrow - wide) / 3 + 2 * rounding
    return out


def _one_sided(line: _Line, v: Vector, f: float, h: float) -> Derivative:
    values = [line(v, t) for t in (h / 4, h / 2, h)]
    if h == 0 or not np.isfinite(values).all():
        return Derivative(math.nan, math.inf)
    a, b, c = values
    wide = (-3 * f + 4 * b - c) / h
    narrow = (-3 * f + 4 * a - b) / (h / 2)
    noise = EPS * max(abs(f), *map(abs, values))
    value = (4 * narrow - wide) / 3
    return Derivative(value, abs(narrow - wide) + 16 * noise / h, value, value, noise)


# ---------------------------------------------------------------------------------------------
# Checking a gradient
# ---------------------------------------------------------------------------------------------

Verdict = Literal["ok", "WRONG", "kink", "unknown", "not finite", "fixed"]
_ORDER: tuple[Verdict, ...] = ("not finite", "WRONG", "kink", "unknown", "ok", "fixed")
_MEANING = {
    "kink": "kink: f has a kink here, and the gradient is between its two slopes",
    "unknown": "unknown: the differences are too inaccurate (noise in f?) to tell",
    "not finite": "not finite: f, or this component of the gradient, is NaN or infinite",
    "fixed": "fixed: the bounds leave this variable no room; not checked",
}
_ROWS = 20  # of a table


@dataclass
class GradientReport:
    """What `check_gradient` found, the worst first; its ``repr`` is a table.

    Attributes
    ----------
    ok : bool
        Whether nothing is wrong or not finite.
    index : ndarray of int, shape (k,)
        The component of each check; -1 for a random direction.
    analytic, numerical, error : ndarray of float64, shape (k,)
        The derivative that the gradient says, that differences of f say, and what these may be
        off by.
    verdict : list of str
        ``'ok'``, ``'WRONG'``, ``'kink'``, ``'unknown'``, ``'not finite'`` or ``'fixed'``.
    jac : ndarray of float64, shape (n,)
        The gradient.
    noise : float
        The largest error of f that was noticed, its rounding errors included.
    nfev : int
        Evaluations of f.
    """

    index: NDArray[np.intp]
    analytic: Vector
    numerical: Vector
    error: Vector
    verdict: list[Verdict]
    jac: Vector
    noise: float
    nfev: int

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong or not finite."""
        return not {"WRONG", "not finite"} & set(self.verdict)

    @property
    def wrong(self) -> NDArray[np.intp]:
        """The components found wrong or not finite, the worst first."""
        bad = [v in ("WRONG", "not finite") for v in self.verdict]
        return self.index[np.array(bad, dtype=bool) & (self.index >= 0)]

    def __repr__(self) -> str:
        lines = [
            self._headline(),
            f"{'component':>12} {'analytic':>15} {'numerical':>15} {'its error':>10}  verdict",
        ]
        for i in range(min(self.index.size, _ROWS)):
            name = str(self.index[i]) if self.index[i] >= 0 else "(random)"
            lines.append(
                f"{name:>12} {self.analytic[i]:15.7g} {self.numerical[i]:15.7g} "
                f"{self.error[i]:10.1e}  {self.verdict[i]}"
            )
        if self.index.size > _ROWS:
            lines.append(f"{'':>12} and {self.index.size - _ROWS} more, none worse")
        lines += [_MEANING[v] for v in dict.fromkeys(self.verdict) if v in _MEANING]
        return "\n".join(lines)

    def _headline(self) -> str:
        if self.ok:
            checked = sum(v == "ok" for v in self.verdict)
            if "unknown" in self.verdict and not checked:
                return "The differences of f are too inaccurate to tell."
            return f"The gradient agrees with fun: {checked} of {self.index.size} checks are ok."
        hint = self._pattern()
        return textwrap.fill(f"The gradient is not that of fun{hint}.", WIDTH)

    def _pattern(self) -> str:
        """The mistake behind it, if all checks show the same."""
        told = [i for i, v in enumerate(self.verdict) if v in ("ok", "WRONG", "kink", "unknown")]
        wrong = [i for i in told if self.verdict[i] == "WRONG"]
        if not wrong:
            return ""
        with np.errstate(all="ignore"):
            factors = self.analytic[wrong] / self.numerical[wrong]
        factor = float(np.median(factors))
        same = np.isfinite(factors).all() and np.ptp(factors) <= 1e-3 * abs(factor)
        if same and len(wrong) > 1 and len(wrong) == len(told):
            return f": it is {factor:.5g} times what it should be, everywhere"
        k = self.wrong
        if k.size == 0:
            return ", in a random direction"
        i = int(np.flatnonzero(self.index == k[0])[0])
        says = f"{self.analytic[i]:.5g} where differences of f say {self.numerical[i]:.5g}"
        return f": component {k[0]} is {says}"


def check_gradient(
    fun: Callable[..., Any],
    jac: Any,
    x: ArrayLike,
    *,
    bounds: Any = None,
    directions: int | None = 10,
    rng: Any = None,
) -> GradientReport:
    """Compare a gradient with differences of f that know their own error.

    Parameters
    ----------
    fun : callable
        ``fun(x) -> float``, or ``fun(x) -> (float, ndarray)`` if `jac` is True.
    jac : callable or True
        ``jac(x) -> ndarray``, shape (n,); or True.
    x : array_like, shape (n,)
        Where to compare; clipped into the bounds. A random point is better than a special one such
        as 0, where a mistake can hide.
    bounds : scipy.optimize.Bounds, sequence of (min, max), or ndarray of shape (n, 2), optional
        As for `minimize_lbfgsb`. Nothing outside them is evaluated: the differences are one-sided
        at a bound, and a fixed variable is not checked.
    directions : int or None, default 10
        How many directions to check: half of them are the components with the largest gradient, the
        others random mixtures of all components. Where a mixture disagrees, the component that is
        to blame is looked for by halving. None checks every component.
    rng : None, int, or numpy.random.Generator, optional
        Of the mixtures; None stands for a fixed seed.

    Returns
    -------
    GradientReport
        ``report.ok`` tells whether all is well, ``print(report)`` what is not.

    Raises
    ------
    TypeError, ValueError
        For bad input, with the name of the argument.

    Notes
    -----
    Each direction costs four evaluations of f, three at a bound, and up to four times as many where
    the first steps disagree with the gradient. With steps h and h/2 Richardson's extrapolation
    gives the derivative and what it may be off by; the fourth difference shows noise, and one-sided
    differences that do not approach each other show a kink. Only what is off by more than all that
    is called wrong.

    Examples
    --------
    >>> import numpy as np
    >>> from lbfgsb import check_gradient
    >>> def fun(x):
    ...     return x[0] ** 2 + 3 * x[1] ** 2
    >>> def jac(x):
    ...     return np.array([2 * x[0], 3 * x[1]])       # 6 x[1] it should be
    >>> report = check_gradient(fun, jac, [1.0, 2.0], directions=None)
    >>> report.ok, report.wrong
    (False, array([1]))
    >>> print(report)
    The gradient is not that of fun: component 1 is 6 where differences of f say
    12.
       component        analytic       numerical  its error  verdict
               1               6              12    1.8e-12  WRONG
               0               2               2    3.0e-11  ok
    """
    point = as_start(x)
    n = point.size
    lower, upper = as_bounds(bounds, n)
    box = (
        np.full(n, -np.inf) if lower is None else lower,
        np.full(n, np.inf) if upper is None else upper,
    )
    if not callable(fun):
        raise TypeError(f"fun must be callable; got {fun!r}")
    if jac is not True and not callable(jac):
        raise TypeError(f"jac must be callable or True; got {jac!r}")
    if directions is not None and (
        isinstance(directions, bool) or int(directions) != directions or directions < 1
    ):
        raise ValueError(f"directions must be an integer >= 1, or None for all; got {directions!r}")
    point = np.clip(point, *box)
    value = _as_value_function(fun, jac)
    f = value(point)
    g = convert_gradient(fun(point.copy())[1] if jac is True else jac(point.copy()), n).copy()
    check = _Check(_Line(value, point, box), f, g)
    if directions is None:
        for i in range(n):
            check.component(i)
    else:
        seed = 0 if rng is None else rng
        check.sample(int(directions), np.random.default_rng(seed))
    return check.report()


def _as_value_function(fun: Callable[..., Any], jac: Any) -> Callable[[Vector], float]:
    def value(x: Vector) -> float:
        with np.errstate(all="ignore"):
            out = fun(x)
        return convert_value(out[0] if jac is True else out)

    return value


@dataclass
class _Row:
    index: int
    analytic: float
    numerical: Derivative
    verdict: Verdict

    @property
    def badness(self) -> tuple[int, bool, float]:
        """For sorting: by verdict, components before mixtures, by difference."""
        difference = abs(self.analytic - self.numerical.value)
        size = 0.0 if math.isnan(difference) else difference
        return _ORDER.index(self.verdict), self.index < 0, -size


class _Check:
    """The checks of one gradient at one point."""

    def __init__(self, line: _Line, f: float, g: Vector) -> None:
        self.line, self.f, self.g = line, f, g
        self.scale = np.maximum(1.0, np.abs(line.x))
        self.free = line.box[0] < line.box[1]
        self.rows: dict[int, _Row] = {}
        self.mixtures: list[_Row] = []
        self.largest = float(np.abs(g[np.isfinite(g)]).max(initial=0.0))

    def sample(self, directions: int, rng: np.random.Generator) -> None:
        """Check the steepest components and random mixtures, and find who is to blame."""
        n = self.g.size
        for i in np.flatnonzero(~np.isfinite(self.g))[:directions]:
            self.component(int(i))
        size = np.where(self.free, np.abs(self.g) * self.scale, -1.0)
        steepest = np.argsort(-np.nan_to_num(size), kind="stable")
        for i in steepest[: min(n, (directions + 1) // 2)]:
            self.component(int(i))
        for _ in range(directions // 2 if self.free.sum() > 1 else 0):
            v = self._mixture(rng)
            row = self._check(-1, v)
            self.mixtures.append(row)
            if row.verdict == "WRONG":
                self._blame(v)

    def _mixture(self, rng: np.random.Generator) -> Vector:
        """A random direction along which the box leaves room at least on one side."""
        x, (lower, upper) = self.line.x, self.line.box
        room = STEP * self.scale
        sign = rng.choice([-1.0, 1.0], size=x.size)
        sign[x + room > upper] = -1.0
        sign[x - room < lower] = np.where(x + room > upper, 0.0, 1.0)[x - room < lower]
        sign[~(self.free & np.isfinite(self.g))] = 0.0
        return sign * self.scale

    def _blame(self, v: Vector) -> None:
        """Find a component that is wrong by halving the direction along which they are."""
        known = [i for i, row in self.rows.items() if row.verdict == "WRONG"]
        v = v.copy()
        v[known] = 0.0
        support = np.flatnonzero(v)
        if support.size == 0 or self._check(-1, v).verdict != "WRONG":
            return
        while support.size > 1:
            half = support[: support.size // 2]
            part = np.zeros(v.size)
            part[half] = v[half]
            wrong = self._check(-1, part).verdict == "WRONG"
            support = half if wrong else support[support.size // 2 :]
        self.component(int(support[0]))

    def component(self, i: int) -> None:
        """Check the derivative with respect to x_i."""
        if i in self.rows:
            return
        v = np.zeros(self.g.size)
        v[i] = self.scale[i]
        row = self._check(i, v)
        self.rows[i] = row

    def _check(self, index: int, v: Vector) -> _Row:
        moved = np.flatnonzero(v)
        unit = float(self.scale[index]) if index >= 0 else 1.0
        analytic = float(self.g[moved] @ v[moved])
        if (index >= 0 and not self.free[index]) or moved.size == 0:
            return _Row(index, analytic / unit, Derivative(math.nan, math.nan), "fixed")
        best = Derivative(math.nan, math.inf)
        verdict: Verdict = "not finite"
        if math.isfinite(analytic) and math.isfinite(self.f):
            for factor in (1.0, *OTHER_STEPS):
                there = _derivative(self.line, v, self.f, STEP * factor)
                if there.error < best.error or math.isnan(best.value):
                    best = there
                verdict = self._judge(analytic, best)
                if verdict == "kink" and not self._confirmed(v, best):
                    verdict = "unknown"
                if verdict in ("ok", "kink"):
                    break
        best = Derivative(
            best.value / unit, best.error / unit, best.left / unit, best.right / unit, best.noise
        )
        return _Row(index, analytic / unit, best, verdict)

    def _confirmed(self, v: Vector, kink: Derivative) -> bool:
        """Whether a shorter step shows the same kink: in noise there is one by chance."""
        there = _derivative(self.line, v, self.f, 0.1 * STEP)
        gap, gap_there = kink.right - kink.left, there.right - there.left
        return abs(gap - gap_there) < 0.1 * abs(gap)

    def _judge(self, analytic: float, there: Derivative) -> Verdict:
        if not math.isfinite(there.value):
            return "not finite"
        size = max(abs(analytic), abs(there.value))
        allowed = SAFETY * there.error + SLACK * size + 1e-9 * self.largest
        low, high = sorted((there.left, there.right))
        if high > low + allowed and low - allowed <= analytic <= high + allowed:
            return "kink"
        if there.error > UNKNOWN * max(size, 1e-3 * self.largest):
            return "unknown"
        return "ok" if abs(analytic - there.value) <= allowed else "WRONG"

    def report(self) -> GradientReport:
        rows = sorted([*self.rows.values(), *self.mixtures], key=lambda row: row.badness)
        return GradientReport(
            index=np.array([row.index for row in rows], dtype=np.intp),
            analytic=np.array([row.analytic for row in rows]),
            numerical=np.array([row.numerical.value for row in rows]),
            error=np.array([row.numerical.error for row in rows]),
            verdict=[row.verdict for row in rows],
            jac=self.g,
            noise=max((row.numerical.noise for row in rows), default=0.0),
            nfev=self.line.nfev + 1,
        )


# ---------------------------------------------------------------------------------------------
# Findings
# ---------------------------------------------------------------------------------------------

Severity = Literal["problem", "hint", "fine"]


@dataclass
class Finding:
    """One thing that `diagnose` noticed.

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
    """The findings of `diagnose`: a sequence of `Finding`, problems first; prints in 80 columns."""

    def __init__(self, headline: str, findings: list[Finding]) -> None:
        order = ("problem", "hint", "fine")
        self.headline = headline
        self.findings = sorted(findings, key=lambda finding: order.index(finding.severity))

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
        Of `minimize_lbfgsb` or `Solver`; another solver's will do, but says less.
    fun, jac : callable, optional
        As given to `minimize_lbfgsb`. With `fun` the noise of f at the result is measured (nine
        evaluations), with a callable or True for `jac` the gradient is checked too.
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
    run = _Run(result, fun, jac, history, bounds)
    findings = [
        finding
        for look in (
            _look_at_start,
            _look_at_first_step,
            _look_at_gradient,
            _look_at_noise,
            _look_at_not_finite,
            _look_at_unbounded,
            _look_at_limits,
            _look_at_ftol,
            _look_at_rounding,
            _look_at_size,
            _look_at_scaling,
        )
        if (finding := look(run)) is not None
    ]
    codes = [finding.code for finding in findings]
    if "noise" in codes and "gradient on the way" in codes:  # noise explains the mismatch
        del findings[codes.index("gradient on the way")]
    troubled = any(finding.severity == "problem" for finding in findings)
    if run.success and not troubled and "below rounding" not in codes:
        findings.append(Finding("converged", "fine", _well(run), numbers={"norm": run.norm}))
    return Diagnosis(run.headline(), findings)


class _Run:
    """What is known of a run, whoever made its result."""

    def __init__(self, result: Any, fun: Any, jac: Any, history: Any, bounds: Any) -> None:
        if not isinstance(result, dict) or not {"x", "fun", "jac"} <= result.keys():
            raise TypeError(
                f"result must be an OptimizeResult with x, fun and jac; got {type(result).__name__}"
            )
        for name, value in (("fun", fun), ("jac", jac)):
            if value is not None and not isinstance(value, (bool, str)) and not callable(value):
                raise TypeError(f"{name} must be callable; got {value!r}")
        if history is not None and not hasattr(history, "fun"):
            raise TypeError(f"history must have the attribute fun; got {type(history).__name__}")
        self.x = np.asarray(result["x"], dtype=np.float64).reshape(-1)
        self.g = np.asarray(result["jac"], dtype=np.float64).reshape(-1)
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
        self.monitor = snapshot.get("monitor")
        self.alarms = 0 if self.monitor is None else _alarms(self.monitor)
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
    def first_f(self) -> float:
        """f at the start; NaN if unknown."""
        return math.nan if self.monitor is None else float(self.monitor[0])

    def foreseen(self) -> float:
        """The decrease of f that the quadratic model foresees: ½ pᵀHp, p the projected gradient."""
        if self.hess_inv is None or not np.isfinite(self.projected).all():
            return math.nan
        return float(0.5 * self.projected @ self.hess_inv.matvec(self.projected))

    def headline(self) -> str:
        counts = f"{_counted(self.nit, 'iteration')} and {_counted(self.nfev, 'evaluation')}"
        message = self.message.split(": the gradient seems")[0]
        return f"Status {self.status} after {counts}, f = {self.f:.6g}: {message}"


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


def _alarms(monitor: Vector) -> int:
    """Alarms in a row up to the end of the run, as the core counts them."""
    bad = [check[2] > MISMATCH_ALARM for check in _checks(monitor)]
    if monitor[5] >= _LONG_ROW:
        return PERSISTENT
    return int(monitor[4]) + 1 if len(bad) == _WINDOW and sum(bad) >= _WINDOW - 1 else 0


def _look_at_gradient(run: _Run) -> Finding | None:
    report = None
    if run.fun is not None and (run.jac is True or callable(run.jac)):
        report = check_gradient(
            run.fun, run.jac, run.x, bounds=np.stack([run.lower, run.upper], axis=1)
        )
    checks = _checks(run.monitor)
    if report is not None and not report.ok and "WRONG" in report.verdict:
        return Finding(
            "gradient",
            "problem",
            repr(report).partition("\n  ")[0].replace("\n", " "),
            "print lbfgsb.check_gradient(fun, jac, x) for the table, at a random x as well.",
            {"report": report, "mismatch": run.mismatch},
        )
    if run.mismatch <= MISMATCH_ALARM:
        return None
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


_WINDOW = 5  # of the monitor
_LONG_ROW = 8  # of bad segments in one search


def _checks(monitor: Vector | None) -> list[tuple[float, float, float]]:
    """Read the latest checks out of the monitor of a snapshot."""
    if monitor is None:
        return []
    return [(row[1], row[2], row[3]) for row in monitor[8:].reshape(-1, 4).tolist()][-_WINDOW:]


_NOISE_POINTS = 8
_NOISE_STEP = 1e-9


def _look_at_noise(run: _Run) -> Finding | None:
    """Measure the noise of f by its third differences over a short walk (Hamming's table)."""
    if run.fun is None or not math.isfinite(run.f):
        return None
    value = _as_value_function(run.fun, run.jac)
    step = _NOISE_STEP * np.maximum(1.0, np.abs(run.x))
    step = np.where(run.x + _NOISE_POINTS * step > run.upper, -step, step)
    with np.errstate(all="ignore"):
        walk = [
            value(np.clip(run.x + k * step, run.lower, run.upper)) for k in range(_NOISE_POINTS + 1)
        ]
    if not np.isfinite(walk).all():
        return None
    third = np.diff(walk, 3)
    noise = float(np.sqrt(np.mean(third**2) / 20))  # 1 + 9 + 9 + 1
    # Of f, and what the rounding of x makes of the steepest part of the walk.
    rounding = EPS * (max(map(abs, walk)) + float(np.abs(np.diff(walk)).max()) / _NOISE_STEP)
    if noise <= 1e4 * rounding or noise == 0:
        return None
    return Finding(
        "noise",
        "problem",
        f"f is noisy: over {_NOISE_POINTS} steps of {_NOISE_STEP:g} at the result it wavers by "
        f"about {noise:.1e}, {noise / rounding:.0e} rounding errors.",
        f"ftol of at least {10 * noise / run.size:.0e}; tighter tolerances in inner solvers, "
        f"integrals and simulations; for numerical gradients a step of about "
        f"{math.sqrt(noise / run.size):.0e}.",
        {"noise": noise, "rounding": rounding},
    )


def _look_at_not_finite(run: _Run) -> Finding | None:
    if run.monitor is None or run.monitor[3] == 0:
        return None
    count = int(run.monitor[3])
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


def _look_at_limits(run: _Run) -> Finding | None:
    if run.status != 1:
        return None
    limit = "maxiter" if "ITERATIONS" in run.message.upper() else "maxfun"
    numbers: dict[str, Any] = {"projected_gradient": run.norm, "foreseen": run.foreseen()}
    going = ""
    if run.values is not None and run.values.size > 5:
        fall = float(run.values[-6] - run.values[-1])
        numbers["fall"] = fall
        going = f", and f fell by {fall:.3g} over the last five iterations"
    return Finding(
        "limit",
        "problem",
        f"A limit ended the run while it was still going down: the projected gradient is "
        f"{run.norm:.3g}{going}. The model foresees a further decrease of about "
        f"{numbers['foreseen']:.2g}.",
        f"a larger {limit}; minimize_lbfgsb goes on from here with checkpoint=result, x0=result.x.",
        numbers,
    )


_LARGE_NORM = 1e-4
_LEFT = 1e-6


def _look_at_ftol(run: _Run) -> Finding | None:
    """Did the run end by ftol, far from a stationary point?"""
    if run.status != 0 or "F_<=_FTOL" not in run.message.replace("FACTR*EPSMCH", "FTOL"):
        return None
    left = run.foreseen()
    if not (left > _LEFT * run.size or (math.isnan(left) and run.norm > _LARGE_NORM * run.size)):
        return None
    return Finding(
        "ftol early",
        "problem",
        f"ftol was met in one small step, but the projected gradient is still {run.norm:.3g}; the "
        f"model foresees a further decrease of about {left:.2g}, f being {run.f:.6g}.",
        "a smaller ftol, say 1e-12, so that gtol decides; and a better scaling of the variables if "
        "that takes many iterations.",
        {"projected_gradient": run.norm, "foreseen": left},
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
        f"x_scale={_short(scale)}, or better what you know of the typical size of each variable.",
        {"spread": spread, "x_scale": scale},
    )


def _well(run: _Run) -> str:
    if run.status == 3:
        return "The run was ended by its callback or objective; nothing else was noticed."
    agree = " and f and its gradient agree along the last steps" if _checks(run.monitor) else ""
    return (
        f"Nothing suspicious: the projected gradient is {run.norm:.2g} at f = {run.f:.6g}"
        f"{',' if agree else ''}{agree}."
    )


def _short(x: Vector) -> str:
    shown = ", ".join(f"{value:.3g}" for value in x[:4])
    return f"[{shown}{', ...' if x.size > 4 else ''}]"
