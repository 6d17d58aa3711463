"""
A membrane over an obstacle
===========================

A membrane is held at the edge of a square and pulled tight over an obstacle. Its height at 10,000
points is what makes its energy least, and the obstacle is a lower bound for each. Where they touch
the bound is active, and the rim of the contact, which no formula gives, comes with the solution.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import to_rgba

from lbfgsb import check_gradient, minimize_lbfgsb

n = 100
t = np.linspace(-1, 1, n + 2)[1:-1]
x, y = np.meshgrid(t, t)
obstacle = np.maximum.reduce(
    [
        0.55 - 4.0 * ((x + 0.35) ** 2 + (y + 0.25) ** 2),
        0.85 - 9.0 * ((x - 0.35) ** 2 + (y - 0.3) ** 2),
        0.35 - 20.0 * (np.hypot(x - 0.35, y + 0.45) - 0.25) ** 2,
    ]
)

# %%
# The energy is half the integral of the squared slope. With differences of neighbours as slopes,
# its gradient at a point is four times the height less those of the four neighbours.


def energy(height):
    u = np.pad(height.reshape(n, n), 1)
    down, right = np.diff(u, axis=0)[:, 1:-1], np.diff(u, axis=1)[1:-1]
    gradient = -np.diff(down, axis=0) - np.diff(right, axis=1)
    return 0.5 * ((down**2).sum() + (right**2).sum()), gradient.ravel()


lower = np.maximum(obstacle, -1.0).ravel()
bounds = np.stack([lower, np.full(n * n, np.inf)], axis=1)
assert check_gradient(energy, True, np.random.default_rng(0).random(n * n)).ok

res = minimize_lbfgsb(
    x0=np.zeros(n * n), fun=energy, jac=True, bounds=bounds, ftol=0, gtol=1e-5, maxiter=2000
)
touches = res.x == lower
print(res.message)
print(f"{res.nfev} evaluations; the membrane rests on {touches.sum()} points of {n * n}")

# %%
# Feasibility is exact, so the contact is where ``res.x == lower``, without a tolerance. There the
# gradient is the force with which the obstacle carries the membrane; elsewhere it is 0.

height = res.x.reshape(n, n)
force = res.jac.reshape(n, n) * ((n + 1) / 2) ** 2
fig = plt.figure(figsize=(10, 4.4), layout="constrained")
left = fig.add_subplot(1, 2, 1, projection="3d")
colours = plt.get_cmap("Blues")(0.15 + 0.6 * height / height.max())
colours[touches.reshape(n, n)] = to_rgba("C1")
slopes = np.gradient(height, t, t)
shade = 1 / np.sqrt(1 + slopes[0] ** 2 + slopes[1] ** 2)  # the steeper, the darker
colours[..., :3] *= (0.35 + 0.65 * shade)[..., None]
left.plot_surface(
    x, y, height, facecolors=colours, rcount=n, ccount=n, linewidth=0, antialiased=False
)
left.set(zlim=(0, 1))
left.view_init(35, -60)
left.set_box_aspect((1, 1, 0.55), zoom=1.45)
left.set_axis_off()
right = fig.add_subplot(1, 2, 2)
shown = right.imshow(
    np.where(touches.reshape(n, n), force, np.nan),
    origin="lower",
    extent=(-1, 1, -1, 1),
    cmap="YlOrRd",
    vmin=0,
)
right.contour(x, y, height, levels=12, colors="C0", linewidths=0.7, alpha=0.7)
right.set(
    title="contact, and its force", xlabel="x", ylabel="y", xticks=[-1, 0, 1], yticks=[-1, 0, 1]
)
fig.colorbar(shown, ax=right, shrink=0.8, label="force per area")
plt.show()
