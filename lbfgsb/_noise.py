"""How noisy is f? Hamming's difference table, as Moré and Wild read it.

J. J. Moré and S. M. Wild, Estimating computational noise, SIAM J. Scientific Computing 33 (2011),
1292-1314, algorithm ECnoise.

Values of f at equally spaced points go into a table of differences. Those of a smooth function fall
as h^k with their order k; those of noise do not: if the values are off by independent errors of
variance σ², a k-th difference has the variance σ² (2k)! / k!². So each order gives an estimate

    σ_k² = k!² / (2k)! · mean of the squares of the k-th differences,

and where some of these agree while the differences still change their sign, as noise does and a
trend does not, that is the noise, if points that are closer show it too: what looks like noise
across a kink falls with the step. Where the differences are mostly 0, h is too short; where the
estimates fall on to the last order, h is too long and f, not its noise, is what is seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Points of a table: m + 1 values of f, differences up to the order m.
POINTS = 7
# Estimates of three orders in a row agree if they are within this factor (section 4 of the paper).
AGREE = 4.0
# Steps that are tried, each longer or shorter than the one before by a factor of 100.
ATTEMPTS = 4

# How far apart the first points are, in units of max(1, |x_i|).
NOISE_STEP = 1e-7

# What is found is looked for again in points that are closer by this factor.
SHORTER = 10.0

Kind = Literal["found", "step too short", "step too long", "not finite"]


@dataclass
class Noise:
    """What a table of differences says.

    Attributes
    ----------
    kind : {'found', 'step too short', 'step too long', 'not finite'}
    level : float
        The standard deviation of the noise; 0 unless it was found.
    """

    kind: Kind
    level: float = 0.0


def noise_of_values(values: ArrayLike) -> Noise:
    """Estimate the noise in values of f at equally spaced points.

    Parameters
    ----------
    values : array_like, shape (m + 1,)
        At least four values.

    Returns
    -------
    Noise

    Examples
    --------
    >>> import numpy as np
    >>> from lbfgsb._noise import noise_of_values
    >>> t = np.arange(7) * 1e-6
    >>> error = 1e-5 * np.array([1.2, -0.3, -1.0, 0.4, 0.9, -1.1, 0.2])
    >>> noise_of_values(np.cos(t) + error).kind
    'found'
    """
    table: NDArray[np.float64] = np.array(values, dtype=np.float64)
    if not np.isfinite(table).all():
        return Noise("not finite")
    size = table.size
    # Two neighbours in three that are equal: f does not resolve the step.
    if np.count_nonzero(np.diff(table) == 0) > 0.5 * size:
        return Noise("step too short")
    bends = np.abs(np.diff(table, 2))
    # A kink bends f in one place, which two second differences see; noise bends it everywhere.
    if np.count_nonzero(bends > 0.01 * bends.max()) <= 2:
        return Noise("step too long")
    levels, turns = [], []
    for order in range(1, size):
        table = np.diff(table)
        factor = math.factorial(order) ** 2 / math.factorial(2 * order)
        levels.append(math.sqrt(factor * float(np.mean(table**2))))
        turns.append(bool(table.min() < 0 < table.max()))
    for k in range(len(levels) - 3):
        three = levels[k : k + 3]
        if min(three) > 0 and max(three) <= AGREE * min(three) and turns[k]:
            return Noise("found", levels[k])
    return Noise("step too long")


def estimate_noise(
    walk: Callable[[float], float], step: float, *, longest: float = math.inf, points: int = POINTS
) -> tuple[Noise, int]:
    """Estimate the noise of f along a line, with steps that suit it.

    Parameters
    ----------
    walk : callable
        ``walk(t) -> f`` at the distance t along the line, for 0 <= t <= `longest`.
    step : float
        The first distance between two points.
    longest : float
        How far the line goes.
    points : int

    Returns
    -------
    noise : Noise
        Of the first step that finds it, else of the last one tried.
    nfev : int
        Calls of `walk`.
    """
    noise, nfev = Noise("step too short"), 0
    lengths = [step]
    for _ in range(ATTEMPTS):
        h = lengths[-1]
        if not 0 < h * (points - 1) <= longest:
            break
        noise = noise_of_values([walk(k * h) for k in range(points)])
        nfev += points
        if noise.kind == "found":
            nfev += points
            if not _is_confirmed(noise, [walk(k * h / SHORTER) for k in range(points)]):
                noise = Noise("step too long")
        if noise.kind in ("found", "not finite"):
            break
        following = 100 * h if noise.kind == "step too short" else h / 100
        if following in lengths:
            break
        lengths.append(following)
    return noise, nfev


def _is_confirmed(noise: Noise, values: ArrayLike) -> bool:
    """Whether points that are closer show the same noise: across a kink it falls with the step."""
    closer = noise_of_values(values)
    if closer.kind != "found":
        return closer.kind == "step too short"
    return noise.level <= AGREE * closer.level


def way_inside(
    x: NDArray[np.float64], lower: NDArray[np.float64], upper: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return a direction from x for a walk: into the box, 0 for what is fixed.

    About max(1, |x_i|) in each variable, and no two in a simple ratio: in a sum of |x_i| the
    changes must not cancel.
    """
    golden = (math.sqrt(5) - 1) / 2
    ratios = 0.75 + 0.5 * (golden * np.arange(1.0, x.size + 1) % 1)
    way = np.maximum(1.0, np.abs(x)) * ratios
    way[upper - x < x - lower] *= -1
    way[~(lower < upper)] = 0.0
    return way
