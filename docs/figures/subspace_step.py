"""The subspace minimiser, projected (2011) and truncated (1995)."""

import matplotlib.pyplot as plt
import numpy as np
from model import BLUE, GREEN, GREY, ORANGE, RED, Model, draw, mark

across, along = np.array([0.5, 0.87]), np.array([0.87, -0.5])
B = 1.5 * np.outer(across, across) + 0.3 * np.outer(along, along)
x = np.array([0.6, 1.3])
model = Model(x, -B @ (1.5 * across + 4.3 * along), B, lower=[0.0, 0.0], upper=[3.6, 3.1])
x_cauchy = model.path([model.cauchy()])[0]
target = model.minimiser()
projected = model.clip(target)
away = target - x_cauchy
multiple = np.min(np.where(away > 0, model.upper - x_cauchy, model.lower - x_cauchy) / away)
truncated = x_cauchy + multiple * away

fig, plane = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
draw(plane, model, (-0.4, 6.6), (-0.5, 3.5), np.linspace(-4.4, 4, 24))
plane.plot(*np.array([model.x, x_cauchy]).T, color=BLUE, linewidth=2.4)
plane.plot(*np.array([x_cauchy, target]).T, "--", color=GREY, linewidth=1.2)
plane.plot(*np.array([target, projected]).T, ":", color=GREEN, linewidth=1.8)
plane.annotate(
    "",
    projected,
    model.x,
    zorder=4,
    arrowprops={"arrowstyle": "-|>", "color": GREEN, "linewidth": 1.8, "shrinkB": 4, "shrinkA": 4},
)
mark(plane, model.x, "$x$", "black", (-8, 0))
mark(plane, x_cauchy, "Cauchy point", RED, (-4, 12))
mark(plane, target, "subspace\nminimiser", GREY, (9, 0))
mark(plane, truncated, "cut off at the box (1995)", ORANGE, (9, 8))
mark(plane, projected, "projected (2011)", GREEN, (8, -11))
