"""How W is laid out in memory, and what one iteration reads and writes."""

import matplotlib.pyplot as plt
from matplotlib.patches import Rectangle

BLUE, LIGHT, GREY, ORANGE = "#0072B2", "#cfe3f1", "#999999", "#E69F00"

fig, (layout, traffic) = plt.subplots(
    1, 2, figsize=(9.4, 3.7), layout="constrained", width_ratios=[1.15, 1]
)

# --- the layout: W as a strip of rows, and one tile of it enlarged ------------------------

layout.set(xlim=(-1.9, 15.0), ylim=(10.6, -1.5))
layout.axis("off")
width, height, blocks = 1.6, 10.0, 5
for i in range(2 * blocks):
    layout.add_patch(Rectangle((0, i), width, 1, facecolor=LIGHT, edgecolor="white", linewidth=1))
layout.add_patch(Rectangle((0, 0), width, blocks, fill=False, edgecolor="black", linewidth=1.4))
layout.add_patch(
    Rectangle((0, blocks), width, blocks, fill=False, edgecolor="black", linewidth=1.4)
)
layout.text(width / 2, -0.35, "$W$", ha="center")
layout.annotate("", (-0.35, 0), (-0.35, blocks), arrowprops={"arrowstyle": "<->"})
layout.text(-0.6, blocks / 2, "chunk, 8192 rows", rotation=90, ha="right", va="center")
layout.annotate(
    "", (-0.35, 7), (-0.35, 8), arrowprops={"arrowstyle": "<->", "shrinkA": 0, "shrinkB": 0}
)
layout.text(-0.6, 7.5, "block,\n512 rows", ha="right", va="center", rotation=90)

rows, cell, x0, y0 = 8, 0.86, 5.0, 1.9
names = ["$s_0$", "$y_0$", "$s_1$", "$y_1$", "…", "$s$", "$y$"]
layout.add_patch(Rectangle((0, 2.3), width, 0.18, facecolor=BLUE))
layout.plot([width, x0], [2.3, y0], color=BLUE, linewidth=0.8)
layout.plot([width, x0], [2.48, y0 + rows * cell], color=BLUE, linewidth=0.8)
for j, name in enumerate(names):
    x = x0 + j * 1.25
    new = j >= len(names) - 2
    layout.text(x + 0.5, y0 - 0.3, name, ha="center", color=ORANGE if new else "black")
    for i in range(rows):
        layout.add_patch(
            Rectangle(
                (x, y0 + i * cell),
                1.0,
                cell,
                facecolor="#fbe8c2" if new else LIGHT,
                edgecolor="white",
            )
        )
        if name != "…":
            layout.text(
                x + 0.5,
                y0 + (i + 0.5) * cell,
                str(8 * min(j, 3) + i) if j < 4 else "",
                ha="center",
                va="center",
                fontsize=7,
                color="#444444",
            )
layout.text(
    x0 + 3.6 * 1.25, y0 + rows * cell + 0.75, "one tile: 8 rows, column after column", ha="center"
)
layout.annotate("the pair to come", (x0 + 6.0 * 1.25 - 0.2, y0 - 0.75), ha="center", color=ORANGE)

# --- the traffic, m = 10 pairs, with bounds -----------------------------------------------

m = 10
steps = {
    "accept an iterate:\n$W^T [\\,g_F,\\, s,\\, y\\,]$, new pair": (2 * m, 2 + 6 + 2),
    "Cauchy point and free set:\n$2m \\times 2m$ algebra": (0, 8),
    "the step and $x + d$:\n$d = P(x - g/\\theta + We) - x$": (2 * m, 6),
    "slope $g^T d$ at a trial,\nanother point $x + \\alpha d$": (0, 7),
}
for i, (of_w, other) in enumerate(steps.values()):
    traffic.barh(i, of_w, color=BLUE, height=0.55, label="$W$" if i == 0 else None)
    traffic.barh(
        i, other, left=of_w, color=GREY, height=0.55, label="other vectors" if i == 0 else None
    )
traffic.text(
    8.5,
    1,
    "if a bound is in the way; and single\nrows of $W$, see the text",
    va="center",
    fontsize=8.5,
    color="#444444",
)
traffic.set_yticks(range(len(steps)), list(steps))
traffic.invert_yaxis()
traffic.set(xlabel="vectors of $n$ numbers read or written")
traffic.spines[["top", "right"]].set_visible(False)
traffic.legend(frameon=False, loc="lower right")
