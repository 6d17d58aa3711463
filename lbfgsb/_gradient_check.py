"""The check of a gradient: comparing it with differences of f that know their own error."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lbfgsb._bounds import as_bounds, as_start
from lbfgsb._core.objective import convert_gradient, convert_value, find_precision, quote
from lbfgsb._lowlevel import as_compiled, is_compiled
from lbfgsb._noise import NOISE_STEP, estimate_noise, way_inside
from lbfgsb._numbers import as_precision
from lbfgsb._types import Vector

EPS = float(np.finfo(np.float64).eps)
WIDTH = 79  # of the texts

# --- a derivative along a line, with its error --------------------------------------------

# The first step, in units of max(1, |x_i|): two of them and Richardson's extrapolation leave an
# error of h⁴ ~ 1e-15 and a rounding error of ε/h ~ 1e-12, relative to f. With a larger ε it grows
# as ε^(1/5), which keeps the two in proportion.
STEP = 2e-4
LONGEST_STEP = 0.1
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
        self.precision: float = EPS
        self.noise = 0.0

    def know(self, precision: float, f: float, v: Vector) -> None:
        """Learn what f is off by: as told or as its type says, or as a walk along `v` shows."""
        backwards, forwards = self.reach(v)
        way, room = (v, forwards) if forwards >= backwards else (-v, backwards)
        noise, _ = estimate_noise(lambda t: self(way, t), NOISE_STEP, longest=room)
        self.precision = max(EPS, precision)
        # The walk gives a standard deviation; errors of twice that are usual.
        self.noise = max(self.precision * abs(f), 2 * noise.level)

    @property
    def step(self) -> float:
        """The first step of differences."""
        return float(min(STEP * (self.precision / EPS) ** 0.2, LONGEST_STEP))

    def error_of(self, values: Sequence[float]) -> float:
        """What one of these values of f is off by."""
        return max(self.precision * max(map(abs, values)), self.noise)

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
    noise = max(noise, line.error_of(values))
    value = (4 * narrow - wide) / 3
    out = Derivative(value, abs(narrow - wide) / 3 + 2 * noise / h, value, value, noise)
    right, left = (c - f) / (h / 2), (f - b) / (h / 2)
    gap, wide_gap = right - left, (d - f) / h - (f - a) / h
    rounding = line.error_of(values) / h
    # Of a smooth f the gap between the one-sided differences is halved with the step.
    if abs(gap - wide_gap) < 0.1 * abs(gap) and abs(gap) > 100 * rounding:
        out.left, out.right, out.noise = left, right, line.error_of(values)
        out.error = abs(narrow - wide) / 3 + 2 * rounding
    return out


def _one_sided(line: _Line, v: Vector, f: float, h: float) -> Derivative:
    values = [line(v, t) for t in (h / 4, h / 2, h)]
    if h == 0 or not np.isfinite(values).all():
        return Derivative(math.nan, math.inf)
    a, b, c = values
    wide = (-3 * f + 4 * b - c) / h
    narrow = (-3 * f + 4 * a - b) / (h / 2)
    noise = line.error_of([f, *values])
    value = (4 * narrow - wide) / 3
    return Derivative(value, abs(narrow - wide) + 16 * noise / h, value, value, noise)


# --- checking a gradient ------------------------------------------------------------------

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
    """What `~lbfgsb.check_gradient` found, the worst first; its ``repr`` is a table.

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
        if "WRONG" not in self.verdict:
            return "f, or its gradient, is not finite here."
        hint = self._pattern()
        return textwrap.fill(f"The gradient is not that of fun{hint}.", WIDTH)

    def _pattern(self) -> str:
        """The mistake behind it, if all checks show the same."""
        told = [i for i, v in enumerate(self.verdict) if v in ("ok", "WRONG", "kink", "unknown")]
        wrong = [i for i in told if self.verdict[i] == "WRONG"]
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
    fun_precision: float | None = None,
) -> GradientReport:
    """Compare a gradient with differences of f that know their own error.

    Parameters
    ----------
    fun : callable or scipy.LowLevelCallable
        ``fun(x) -> float``, or ``fun(x) -> (float, ndarray)`` if `jac` is True; or a compiled
        function as in `minimize_lbfgsb`.
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
    fun_precision : float, optional
        What f is off by, relative, as for `minimize_lbfgsb`; by default the spacing of the
        narrowest type that f and the gradient come as.

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
    First f is looked at along a short line, at seven points or a few times as many: the table of
    their differences tells how noisy it is (Moré and Wild, Estimating computational noise, SIAM J.
    Scientific Computing 33, 2011). Each direction costs four evaluations of f, three at a bound,
    and up to four times as many where the first steps disagree with the gradient. With steps h and
    h/2 Richardson's extrapolation gives the derivative and what it may be off by; the fourth
    difference shows noise, and one-sided differences that do not approach each other show a kink.
    Only what is off by more than all that
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
               1               6              12    2.5e-12  WRONG
               0               2               2    4.4e-11  ok
    """
    point = as_start(x, name="x")
    n = point.size
    lower, upper = as_bounds(bounds, n)
    box = (
        np.full(n, -np.inf) if lower is None else lower,
        np.full(n, np.inf) if upper is None else upper,
    )
    if is_compiled(fun):
        fun, jac = as_compiled(fun, jac), True
    if not callable(fun):
        raise TypeError(f"fun must be callable; got {quote(fun)}")
    if jac is not True and not callable(jac):
        raise TypeError(f"jac must be callable or True; got {quote(jac)}")
    if directions is not None and (
        isinstance(directions, bool) or int(directions) != directions or directions < 1
    ):
        raise ValueError(
            f"directions must be an integer >= 1, or None for all; got {quote(directions)}"
        )
    point = np.clip(point, *box)
    precision = as_precision(fun_precision)
    value = as_value_function(fun, jac)
    with np.errstate(all="ignore"):
        out = fun(point.copy())
    told_f, told_g = out if jac is True else (out, jac(point.copy()))
    f, g = convert_value(told_f), convert_gradient(told_g, n).copy()
    line = _Line(value, point, box)
    if fun_precision is None:
        precision = max(find_precision(told_f), find_precision(told_g))
    way = way_inside(point, *box)
    if math.isfinite(f) and way.any():
        line.know(precision, f, way)
    check = _Check(line, f, g)
    if directions is None:
        for i in range(n):
            check.component(i)
    else:
        seed = 0 if rng is None else rng
        check.sample(int(directions), np.random.default_rng(seed))
    return check.report()


def as_value_function(fun: Callable[..., Any], jac: Any) -> Callable[[Vector], float]:
    """Return a function of x that gives f alone, without NumPy's warnings."""

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
        room = self.line.step * self.scale
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
                there = _derivative(self.line, v, self.f, self.line.step * factor)
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
        there = _derivative(self.line, v, self.f, 0.1 * self.line.step)
        gap, gap_there = kink.right - kink.left, there.right - there.left
        return abs(gap - gap_there) < 0.1 * abs(gap)

    def _judge(self, analytic: float, there: Derivative) -> Verdict:
        if not math.isfinite(there.value):
            return "not finite"
        size = max(abs(analytic), abs(there.value))
        slack = max(SLACK, 10 * self.line.precision)
        allowed = SAFETY * there.error + slack * size + 1e-9 * self.largest
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
            noise=max((row.numerical.noise for row in rows), default=self.line.noise),
            nfev=self.line.nfev + 1,
        )
