"""
The heat that went in
=====================

A thermometer inside a wall records how the temperature rises while the surface is heated. How much
heat went in, and when? That is a heat equation to be solved backwards: 300 unknown fluxes, each
between nothing and what the heater can do, one solution of the equation for f and one of the
adjoint equation for the whole gradient.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.linalg import cho_solve_banded, cholesky_banded

from lbfgsb import check_gradient, minimize_lbfgsb

# %%
# The wall has 41 points and is insulated behind; time has 300 steps (implicit Euler). A step solves
# :math:`A u_{k+1} = u_k + q_k b` with the same symmetric matrix A each time, factored once.

points, steps = 41, 300
dx, dt = 1.0 / (points - 1), 1.0 / steps
diffusivity = 0.5
weight = np.full(points, dx)
weight[[0, -1]] = dx / 2  # half cells at both surfaces
coupling = diffusivity * dt / dx
banded = np.zeros((2, points))  # weight * A is symmetric and tridiagonal
banded[0, 1:] = -coupling
banded[1] = weight + coupling * np.r_[1, np.full(points - 2, 2), 1]
factor = (cholesky_banded(banded), False)
sensor = 8  # at a fifth of the depth


def temperatures(flux):
    """Solve the heat equation; returns the temperatures, shape (steps, points)."""
    u, all_u = np.zeros(points), np.empty((steps, points))
    for k in range(steps):
        rhs = weight * u
        rhs[0] += dt * flux[k]
        u = all_u[k] = cho_solve_banded(factor, rhs)
    return all_u


time = dt * np.arange(1, steps + 1)
truth = np.select(
    [(time > 0.1) & (time < 0.4), (time > 0.55) & (time < 0.75)],
    [np.minimum(time - 0.1, 0.4 - time) / 0.15, 1.0],
    0.0,
)
rng = np.random.default_rng(1)
record = temperatures(truth)[:, sensor] + 0.002 * rng.standard_normal(steps)

# %%
# The adjoint runs from the last step to the first, fed with the residuals at the thermometer, and
# what arrives at the surface is the derivative with respect to the flux. A small penalty on jumps
# keeps noise out of the fluxes.

penalty = 2e-6 / dt**2 * dt


def misfit(flux):
    r = temperatures(flux)[:, sensor] - record
    gradient, adjoint = np.empty(steps), np.zeros(points)
    for k in reversed(range(steps)):
        rhs = weight * adjoint
        rhs[sensor] += r[k]
        adjoint = cho_solve_banded(factor, rhs)
        gradient[k] = dt * adjoint[0]
    jump = np.diff(flux, prepend=0, append=0)
    return 0.5 * r @ r + 0.5 * penalty * jump @ jump, gradient - penalty * np.diff(jump)


assert check_gradient(misfit, True, rng.random(steps)).ok

options = {"x0": np.full(steps, 0.5), "fun": misfit, "jac": True, "ftol": 0, "gtol": 1e-6}
free = minimize_lbfgsb(**options, maxiter=200)
bounded = minimize_lbfgsb(**options, bounds=[(0, 1)] * steps, maxiter=200)
for name, res in (("free", free), ("bounded", bounded)):
    error = np.sqrt(np.mean((res.x - truth) ** 2))
    print(f"{name:8} {res.nfev} evaluations, error of the flux {error:.3f}")

# %%
# Without bounds the flux swings below zero, where no heater goes, and over what it can do. Below,
# the temperatures that belong to the flux with bounds.

fig, (top, bottom) = plt.subplots(
    2, 1, figsize=(8, 5.6), layout="constrained", sharex=True, height_ratios=[3, 2]
)
top.fill_between(time, truth, step="pre", color="0.85", linewidth=0, label="true flux")
top.step(time, free.x, color="C5", linewidth=1, label="without bounds")
top.step(time, bounded.x, color="C1", linewidth=1.8, label="between 0 and 1")
top.axhline(0, color="0.5", linewidth=0.6)
top.set(ylabel="heat flux")
top.legend(loc="upper right", ncols=3, bbox_to_anchor=(1, 1.12))
shown = bottom.imshow(temperatures(bounded.x).T, aspect="auto", extent=(0, 1, 1, 0), cmap="inferno")
bottom.axhline(sensor * dx, color="white", linewidth=1, linestyle="--")
bottom.text(0.01, sensor * dx + 0.03, "thermometer", color="white", va="top")
bottom.set(xlabel="time", ylabel="depth in the wall")
fig.colorbar(shown, ax=bottom, label="temperature")
plt.show()
