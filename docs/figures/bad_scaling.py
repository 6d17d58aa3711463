"""Parameters in units that are far apart: one of them hardly moves."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator
from model import BLUE, ORANGE

from lbfgsb import minimize_lbfgsb

TRUTH = np.array([2.0, 3e7])
t = np.linspace(0.0, 1.0, 50)
data = TRUTH[0] * np.exp(-t / 0.3) + 1e-7 * TRUTH[1] * t


def fit(p):
    r = p[0] * np.exp(-t / 0.3) + 1e-7 * p[1] * t - data
    return r @ r, 2 * np.array([r @ np.exp(-t / 0.3), 1e-7 * (r @ t)])


def history(scale):
    points = [np.array([1.0, 1e7])]
    minimize_lbfgsb(
        x0=points[0] / scale,
        fun=lambda z: (fit(z * scale)[0], fit(z * scale)[1] * scale),
        jac=True,
        callback=lambda z: points.append(z * scale) and 0,
    )
    return np.array(points) / TRUTH


figure, panels = plt.subplots(1, 2, figsize=(9.0, 3.2), layout="constrained", sharey=True)
for axes, scale, title in zip(
    panels, (np.ones(2), np.array([1.0, 1e7])), ("as it is", "in units of 1 and 1e7"), strict=True
):
    points = history(scale)
    for i, colour in enumerate((BLUE, ORANGE)):
        axes.plot(points[:, i], "o-", color=colour, markersize=4, label=f"$p_{i}$ / its true value")
    axes.axhline(1.0, color="#bbbbbb", linewidth=0.8, zorder=0)
    axes.set(title=title, xlabel="iteration")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
panels[0].set_ylabel("parameter, relative")
panels[0].legend(frameon=False, loc="upper left")
