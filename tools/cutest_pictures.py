"""Pictures of performance and data profiles."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from cutest_statistics import Curve
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter, StrMethodFormatter

# Okabe and Ito's, for all eyes; the dashes tell curves apart in black and white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
TICKS = (1, 1.5, 2, 3, 4, 6, 8, 12, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)


def draw_performance_profile(profile: dict[str, Curve], problems: int, path: Path) -> None:
    """Draw a performance profile into a picture, of the format that the file's name says."""
    curves = {run: curve for run, curve in profile.items() if curve[0].size}
    largest = 1.1 * max([2.0, *(ratios[-1] for ratios, _ in curves.values())])
    # From their values at 1 on: the range below shows nothing.
    heights = [f for _, fractions in curves.values() for f in (fractions[0], fractions[-1])]
    figure, axes = _axes(curves, (1.0, largest), _rounded_range(heights))
    axes.set_xscale("log", base=2)
    axes.set_xticks([tau for tau in TICKS if tau <= largest], minor=False)
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.set_xlabel(r"evaluations relative to the best solver, $\tau$")
    axes.set_ylabel(f"solved within $\\tau$, of {problems} problems")
    figure.savefig(path, dpi=300)


def draw_data_profile(profile: dict[str, Curve], problems: int, path: Path) -> None:
    """Draw a data profile into a picture, of the format that the file's name says."""
    curves = {run: curve for run, curve in profile.items() if curve[0].size}
    places = np.concatenate([np.ones(1), *(places for places, _ in curves.values())])
    heights = [0.0, *(fractions[-1] for _, fractions in curves.values())]
    limits = places.min() / 1.1, 1.1 * max(2.0, places.max())
    figure, axes = _axes(curves, limits, _rounded_range(heights))
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.set_xlabel(r"evaluations for each variable and one more, $\alpha$")
    axes.set_ylabel(f"solved in $\\alpha(n + 1)$, of {problems} problems")
    figure.savefig(path, dpi=300)


def _axes(
    curves: dict[str, Curve], x_range: tuple[float, float], y_range: tuple[float, float]
) -> tuple[Figure, Any]:
    """Draw step curves, each from 0 at the left end on and to the right end."""
    figure = Figure(figsize=(6.0, 4.0), layout="constrained")
    axes = figure.add_subplot()
    left, right = x_range
    for i, (run, (places, fractions)) in enumerate(curves.items()):
        rise = [left] if places[0] > left else []  # a line up the axis would cover it
        axes.step(
            np.concatenate([rise, places, [right]]),
            np.concatenate([np.zeros(len(rise)), fractions, [fractions[-1]]]),
            where="post",
            color=COLOURS[i % len(COLOURS)],
            linestyle=DASHES[i % len(DASHES)],
            label=run,
        )
    axes.set(xlim=x_range, ylim=y_range)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.grid(color="0.9", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower right", frameon=False)
    return figure, axes


def _rounded_range(heights: Sequence[float]) -> tuple[float, float]:
    """Limits for the fractions `heights`, at multiples of 5 % with at least 1 % to spare."""
    low = np.floor(20.0 * (min(heights, default=0.0) - 0.01)) / 20.0
    high = np.ceil(20.0 * (max(heights, default=1.0) + 0.01)) / 20.0
    return max(0.0, low), min(1.0, high)
