"""A quadratic model in a box in the plane, and how the figures draw it."""

import numpy as np
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

# Okabe and Ito's colours, which most colour-blind readers can tell apart.
BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#777777"


class Model:
    """m(x) = gᵀ(x − x_k) + (x − x_k)ᵀ B (x − x_k) / 2 over the box l ≤ x ≤ u.

    Parameters
    ----------
    x, g, lower, upper : sequence of 2 floats
    B : sequence of 2 sequences of 2 floats
        Positive definite.
    """

    def __init__(self, x, g, B, lower, upper):
        self.x, self.g, self.B = np.array(x), np.array(g), np.array(B)
        self.lower, self.upper = np.array(lower), np.array(upper)

    def __call__(self, x):
        d = np.asarray(x) - self.x
        return d @ self.g + 0.5 * np.einsum("...i,ij,...j", d, self.B, d)

    def clip(self, x):
        return np.clip(x, self.lower, self.upper)

    def path(self, t):
        """P(x − t g) for each t, shape (len(t), 2)."""
        return self.clip(self.x - np.multiply.outer(t, self.g))

    def break_points(self):
        """The t at which each variable reaches its bound."""
        return np.where(self.g > 0, self.x - self.lower, self.x - self.upper) / self.g

    def cauchy(self):
        """The t of the first local minimiser of m along the path, found piece by piece."""
        ends = np.append(np.sort(self.break_points()), np.inf)
        t = 0.0
        for end in ends:
            d = np.where(self.break_points() > t, -self.g, 0.0)
            slope = d @ (self.g + self.B @ (self.path([t])[0] - self.x))
            curvature = d @ self.B @ d
            if slope >= 0:
                return t
            if t - slope / curvature < end:
                return t - slope / curvature
            t = end
        return t

    def minimiser(self):
        """The minimiser of m without the box."""
        return self.x - np.linalg.solve(self.B, self.g)


def draw(ax, model, xlim, ylim, levels):
    """Contours of the model, the box, and x_k."""
    u, v = np.meshgrid(np.linspace(*xlim, 300), np.linspace(*ylim, 300))
    values = model(np.stack([u, v], axis=-1))
    ax.contour(u, v, values, levels=levels, colors="#bbbbbb", linewidths=0.8, linestyles="solid")
    ax.add_patch(
        Rectangle(
            model.lower, *(model.upper - model.lower), fill=False, edgecolor="black", linewidth=1.6
        )
    )
    ax.set(xlim=xlim, ylim=ylim, xticks=[], yticks=[], aspect="equal")
    for side in ax.spines.values():
        side.set_visible(False)


def mark(ax, point, text, colour, offset, marker="o"):
    ax.plot(*point, marker, color=colour, markersize=7, zorder=5)
    ax.annotate(
        text,
        point,
        xytext=offset,
        textcoords="offset points",
        color=colour,
        zorder=6,
        ha="left" if offset[0] >= 0 else "right",
        va="center",
        path_effects=[withStroke(linewidth=3, foreground="white")],
    )
