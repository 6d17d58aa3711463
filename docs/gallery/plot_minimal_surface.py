"""
A soap film
===========

A soap film takes the shape of least area that its wire allows. Here the wire is a square bent up
and down, and two pegs hold the film up: the lower bound of a few hundred of the 6,400 heights. This
is the minimal surface problem of the MINPACK-2 collection with pegs in it; the area is no
quadratic, and its curvature changes over the film.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LightSource

from lbfgsb import check_gradient, minimize_lbfgsb

n = 80
t = np.linspace(-1, 1, n + 2)
x, y = np.meshgrid(t, t)
wire = 0.6 * (x**2 - y**2)  # used at the edge only
inner = (slice(1, -1), slice(1, -1))
peg = np.hypot(x - 0.3, y - 0.1) < 0.12
peg |= (np.abs(x + 0.4) < 0.1) & (np.abs(y + 0.25) < 0.3)

# %%
# Each cell of the grid is two triangles, and the area of a triangle follows from its two slopes.

h = t[1] - t[0]


def area(heights):
    u = wire.copy()
    u[inner] = heights.reshape(n, n)
    gradient = np.zeros_like(u)
    total = 0.0
    # One triangle hangs on the corner at the origin of the cell, one on the corner opposite.
    for corner, along, up in (
        (np.s_[:-1, :-1], np.s_[:-1, 1:], np.s_[1:, :-1]),
        (np.s_[1:, 1:], np.s_[1:, :-1], np.s_[:-1, 1:]),
    ):
        p, q = (u[along] - u[corner]) / h, (u[up] - u[corner]) / h
        root = np.sqrt(1 + p**2 + q**2)
        total += 0.5 * h**2 * root.sum()
        gradient[along] += 0.5 * h * p / root
        gradient[up] += 0.5 * h * q / root
        gradient[corner] -= 0.5 * h * (p + q) / root
    return total, gradient[inner].ravel()


lower = np.where(peg, 0.5, -np.inf)[inner].ravel()
bounds = np.stack([lower, np.full(n * n, np.inf)], axis=1)
start = wire[inner].ravel()
assert check_gradient(area, True, start, bounds=bounds).ok

options = {"x0": start, "fun": area, "jac": True, "ftol": 0, "gtol": 1e-7, "maxiter": 3000}
film = minimize_lbfgsb(**options)
held = minimize_lbfgsb(**options, bounds=bounds)
for name, res in (("the wire alone", film), ("with pegs", held)):
    print(f"{name:15} area {res.fun:.4f}, {res.nfev} evaluations, {res.message}")

# %%

fig, axes = plt.subplots(
    1, 2, figsize=(9.5, 4.0), layout="constrained", subplot_kw={"projection": "3d"}
)
light = LightSource(315, 40)
for ax, res, title in zip(axes, (film, held), ("the wire alone", "held up by pegs"), strict=True):
    u = wire.copy()
    u[inner] = res.x.reshape(n, n)
    colours = light.shade(u, plt.get_cmap("viridis"), vert_exag=4, blend_mode="soft")
    ax.plot_surface(x, y, u, facecolors=colours, rcount=n, ccount=n, linewidth=0, antialiased=False)
    for edge in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        ax.plot(x[edge], y[edge], u[edge], color="black", linewidth=1.5)
    ax.set(title=title, zlim=(-0.8, 0.8))
    ax.view_init(32, -50)
    ax.set_box_aspect((1, 1, 0.6), zoom=1.4)
    ax.set_axis_off()
plt.show()
