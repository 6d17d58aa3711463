"""
Acquisition functions in a batch
================================

Bayesian optimisation asks a cheap model where the next costly experiment is worth most. That is to
maximise the expected improvement, a function with many maxima, flat in between: one starts from
many points. `lbfgsb.minimize_batch` runs all of them in lockstep, so that the model is asked for
the values at all points in one call, and each start ends where it would have ended alone.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import ndtr

from lbfgsb import check_gradient, minimize_batch

# %%
# Fourteen experiments with Branin's function so far, and a Gaussian process through them.


def branin(x, y):
    a = y - 5.1 / (4 * np.pi**2) * x**2 + 5 / np.pi * x - 6
    return a**2 + 10 * (1 - 1 / (8 * np.pi)) * np.cos(x) + 10


rng = np.random.default_rng(4)
bounds = np.array([(-5.0, 10.0), (0.0, 15.0)])
seen = rng.uniform(*bounds.T, size=(14, 2))
values = branin(*seen.T)
values = (values - values.mean()) / values.std()
length = 3.5


def kernel(X):
    """Return the covariances of the points in X with those seen, shape (len(X), 14)."""
    return np.exp(-0.5 * ((X[:, None] - seen) ** 2).sum(axis=2) / length**2)


factor = cho_factor(kernel(seen) + 1e-6 * np.eye(len(seen)))
alpha = cho_solve(factor, values)
K_inv = cho_solve(factor, np.eye(len(seen)))

# %%
# Minus the logarithm of the expected improvement, for all rows of X at once. The logarithm has
# slopes where the improvement itself is 0 to all digits.


def loss(X):
    k = kernel(X)
    dk = k[:, :, None] * (seen - X[:, None]) / length**2  # derivatives of k, (B, 14, 2)
    mean, d_mean = k @ alpha, np.einsum("bij,i->bj", dk, alpha)
    solved = k @ K_inv
    sigma = np.sqrt(np.maximum(1 + 1e-6 - (k * solved).sum(axis=1), 1e-10))
    d_sigma = -np.einsum("bij,bi->bj", dk, solved) / sigma[:, None]
    z = (values.min() - mean) / sigma
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    h = np.maximum(z * ndtr(z) + density, 1e-300)  # improvement = sigma * h
    d_z = (-d_mean - z[:, None] * d_sigma) / sigma[:, None]
    gradient = d_sigma / sigma[:, None] + (ndtr(z) / h)[:, None] * d_z
    return -np.log(sigma) - np.log(h), -gradient


def loss_of_one(x):
    f, g = loss(x[None])
    return f[0], g[0]


assert check_gradient(loss_of_one, True, [1.0, 9.0]).ok

# %%
# A callback keeps where each start has been.

starts = rng.uniform(*bounds.T, size=(60, 2))
paths = [starts]
res = minimize_batch(
    loss, starts, bounds=bounds, ftol=1e-9, callback=lambda state: paths.append(state.x)
)
best = res.x[np.argmin(res.fun)]
ends = np.unique(res.x.round(2), axis=0)
print(f"{res.success.sum()} of {len(starts)} starts converged, at {len(ends)} points")
print(f"{res.nfev.sum()} evaluations in {res.nrounds} calls of the model")
print(f"next experiment at x = {best[0]:.2f}, y = {best[1]:.2f}")

# %%

x, y = np.meshgrid(np.linspace(-5, 10, 160), np.linspace(0, 15, 160))
grid = np.stack([x.ravel(), y.ravel()], axis=1)
fig, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4.6), layout="constrained", sharey=True)
model = (kernel(grid) @ alpha).reshape(x.shape)
left.contourf(x, y, model, levels=18, cmap="cividis")
left.scatter(*seen.T, c="white", edgecolor="black", s=28, label="experiments so far")
left.set(title="what the model expects", xlabel="x", ylabel="y")
improvement = -loss(grid)[0].reshape(x.shape)
right.contourf(
    x, y, improvement, levels=np.linspace(-14, improvement.max(), 18), cmap="Blues", extend="min"
)
track = np.stack(paths)
for k in range(len(starts)):
    right.plot(*track[:, k].T, color="C1", linewidth=0.9, alpha=0.8)
right.scatter(*starts.T, s=8, color="C1", label="60 starts", zorder=3)
right.scatter(*res.x.T, s=30, color="black", label="where they ended", zorder=4)
for ax in (left, right):
    ax.scatter(*best, s=190, marker="*", color="C4", edgecolor="black", label="next", zorder=5)
    ax.set(xlim=bounds[0], ylim=bounds[1])
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3, handletextpad=0.2)
right.set(title="logarithm of the expected improvement", xlabel="x")
plt.show()
