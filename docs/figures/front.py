"""The picture of the front page: a run in a box, with the bound that it comes to rest at."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle
from model import RED

from lbfgsb import minimize_lbfgsb
from lbfgsb.callbacks import History


def valley(x):
    r = x[1] - x[0] ** 2
    f = 100 * r**2 + (1 - x[0]) ** 2
    return f, np.array([-400 * r * x[0] - 2 * (1 - x[0]), 200 * r])


start, (left, low, right, high) = [-1.3, 1.35], (-1.5, -0.4, 0.75, 1.5)
result = minimize_lbfgsb(
    x0=start,
    fun=valley,
    jac=True,
    bounds=[(left, right), (low, high)],
    ftol=0,
    callback=History(x_every=1),
)
way = np.vstack([start, result.history.x])

figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
x, y = np.meshgrid(np.linspace(-1.9, 1.5, 400), np.linspace(-0.75, 1.75, 300))
levels = np.geomspace(0.02, 1500, 17)
axes.contourf(
    x, y, valley([x, y])[0], levels=[0, *levels], cmap="Blues_r", norm="symlog", alpha=0.75
)
axes.add_patch(
    Rectangle((left, low), right - left, high - low, fill=False, linewidth=2, color="black")
)
axes.plot(*way.T, ".-", color=RED, linewidth=1.4, markersize=7)
axes.plot(*result.x, "o", color=RED, markersize=10)
axes.plot(1, 1, "+", color="white", markersize=11, markeredgewidth=2)
axes.axis("off")
