"""The path x(t) = P(x − t g), and the first local minimiser of the model along it."""

import matplotlib.pyplot as plt
import numpy as np
from model import BLUE, GREY, ORANGE, RED, Model, draw, mark

model = Model(
    x=[1.0, 1.6], g=[-1.0, 1.1], B=[[0.52, 0.12], [0.12, 0.35]], lower=[0.0, 0.0], upper=[4.4, 2.6]
)
t_end = 4.2
t_cauchy = model.cauchy()
first, last = np.sort(model.break_points())
bend, x_cauchy = model.path([first, t_cauchy])

fig, (plane, line) = plt.subplots(
    1, 2, figsize=(9.2, 3.7), layout="constrained", width_ratios=[1.35, 1]
)

draw(plane, model, (-0.5, 4.7), (-1.1, 3.0), np.linspace(-3.2, 4, 26))
beyond = model.x - np.multiply.outer(np.array([first, 2.45]), model.g)
plane.plot(*beyond.T, "--", color=GREY, linewidth=1.2)
plane.annotate(r"$x - t\,g$", beyond[-1], xytext=(4, 6), textcoords="offset points", color=GREY)
plane.plot(*model.path(np.array([0, first, last])).T, color=BLUE, linewidth=2.4)
mark(plane, model.x, r"$x$", "black", (-8, 6))
mark(plane, bend, "break point $t_2$", BLUE, (-6, -13), "s")
mark(plane, x_cauchy, "Cauchy point", RED, (4, 13))
plane.text(0.1, 2.42, "$l \\leq x \\leq u$", va="center")
plane.annotate(
    r"$P(x - t\,g)$",
    model.path([0.55 * first])[0],
    xytext=(8, 6),
    textcoords="offset points",
    color=BLUE,
)

t = np.linspace(0, t_end, 500)
line.plot(t, model(model.path(t)), color=BLUE, linewidth=2.4)
for value, name in ((first, "$t_2$"), (last, "$t_1$")):
    line.axvline(value, color=ORANGE, linewidth=1, linestyle=":")
    line.annotate(
        name,
        (value, 1),
        xycoords=("data", "axes fraction"),
        xytext=(3, -12),
        textcoords="offset points",
        color=ORANGE,
    )
mark(line, (t_cauchy, model(x_cauchy)), "Cauchy point", RED, (-6, -14))
line.set(xlabel="$t$", title="the model along the path", yticks=[], xlim=(0, t_end))
line.margins(y=0.12)
line.spines[["top", "right"]].set_visible(False)
