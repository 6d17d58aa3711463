"""A start from which every feasible step goes up, and one from which the run begins."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle
from model import BLUE, GREY, RED

from lbfgsb import minimize_lbfgsb

centre = np.array([-1.0, -0.6])


def fun(x):
    return ((x - centre) ** 2).sum(), 2 * (x - centre)


def path(x0):
    points = [np.array(x0)]
    minimize_lbfgsb(
        x0=x0, fun=fun, jac=True, bounds=[(0, 2)] * 2, callback=lambda xk: points.append(xk) and 0
    )
    return np.array(points)


figure, axes = plt.subplots(figsize=(5.4, 3.8), layout="constrained")
u, v = np.meshgrid(np.linspace(-1.3, 2.3, 200), np.linspace(-0.9, 2.3, 200))
axes.contour(
    u, v, (u - centre[0]) ** 2 + (v - centre[1]) ** 2, levels=12, colors="#bbbbbb", linewidths=0.8
)
axes.add_patch(Rectangle((0, 0), 2, 2, fill=False, edgecolor="black", linewidth=1.6))
points = path([1.5, 1.8])
axes.plot(*points.T, "o-", color=BLUE, markersize=4, label="from (1.5, 1.8)")
axes.plot(0, 0, "s", color=RED, markersize=8, label="from (0, 0): pinned", zorder=5)
g = fun(np.zeros(2))[1]
axes.annotate(
    "",
    -0.25 * g,
    (0, 0),
    arrowprops={"arrowstyle": "->", "color": RED, "linewidth": 1.6},
)
axes.text(*(-0.25 * g + [-0.05, -0.12]), r"$-\nabla f$", color=RED, ha="right")
axes.text(1.95, 0.06, "the box", ha="right", va="bottom", color=GREY)
axes.set(aspect="equal", xlabel="$x_0$", ylabel="$x_1$")
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
