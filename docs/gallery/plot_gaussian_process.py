"""
Hyperparameters of a Gaussian process
=====================================

Monthly measurements with a trend, a yearly rhythm and noise: a Gaussian process learns how strong,
how long and how regular each of them is by maximising the marginal likelihood. Its gradient costs
little once the covariance matrix is factored, and bounds keep the lengths within what two decades
of data can tell. The likelihood has several maxima; a handful of starts finds the best.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.linalg import cho_factor, cho_solve

from lbfgsb import check_gradient, minimize_lbfgsb

# %%
# Twenty years, with two in the middle for which the instrument was broken.

rng = np.random.default_rng(8)
years = np.arange(0, 20, 1 / 12)
signal = 0.06 * (years - 3) ** 1 + 0.9 * np.sin(0.45 * years)
signal += 0.8 * np.sin(2 * np.pi * years) + 0.3 * np.cos(4 * np.pi * years)
data = signal + 0.25 * rng.standard_normal(years.size)
seen = (years < 9) | (years > 11)
t, y = years[seen], data[seen] - data[seen].mean()

# %%
# The covariance is a smooth part, and a periodic part that may change its shape over the years. All
# six parameters are positive, so they are fitted as logarithms. Each part also returns its
# derivatives with respect to them.


def smooth(q, d):
    part = np.exp(2 * q[0] - 0.5 * (d / np.exp(q[1])) ** 2)
    return part, [2 * part, part * (d / np.exp(q[1])) ** 2]


def periodic(q, d):
    wave = (np.sin(np.pi * d) / np.exp(q[2])) ** 2
    drift = (d / np.exp(q[1])) ** 2
    part = np.exp(2 * q[0] - 0.5 * drift - 2 * wave)
    return part, [2 * part, part * drift, 4 * part * wave]


def covariance(q, d):
    a, da = smooth(q[:2], d)
    b, db = periodic(q[2:5], d)
    return a + b, da + db


# %%
# With :math:`K = LL^T` and :math:`\alpha = K^{-1} y`, minus the log-likelihood is
# :math:`\frac{1}{2} y^T \alpha + \sum \log L_{ii}` plus a constant, and its derivative with respect
# to a parameter is :math:`\frac{1}{2} \text{tr}\, (K^{-1} - \alpha \alpha^T) \, \partial K`.

distance = t[:, None] - t
identity = np.eye(t.size)


def loss(q):
    K, derivatives = covariance(q, distance)
    noise = np.exp(2 * q[5])
    factor = cho_factor(K + noise * identity, lower=True)
    alpha = cho_solve(factor, y)
    f = 0.5 * y @ alpha + np.log(np.diag(factor[0])).sum() + 0.5 * y.size * np.log(2 * np.pi)
    G = cho_solve(factor, identity) - np.outer(alpha, alpha)
    gradient = [0.5 * np.vdot(G, dK) for dK in derivatives]
    return f, np.array([*gradient, noise * np.trace(G)])


names = ("trend: height", "length", "season: height", "length", "width", "noise")
box = np.log([(0.01, 10), (0.3, 60), (0.01, 10), (1, 100), (0.1, 10), (0.01, 2)])
starts = rng.uniform(*box.T, size=(8, 6))
assert check_gradient(loss, True, starts[0], bounds=box).ok

runs = [
    minimize_lbfgsb(x0=q, fun=loss, jac=True, bounds=box, ftol=1e-9, gtol=1e-3, maxiter=100)
    for q in starts
]
best = min(runs, key=lambda res: res.fun)
print(
    "minus the log-likelihood from each start:", *sorted(f"{r.fun:.2f}" for r in runs), sep="\n  "
)
for name, value in zip(names, np.exp(best.x), strict=True):
    print(f"{name:15} {value:.3f}")

# %%
# With the best parameters, the process fills the gap and looks three years ahead. The band is where
# it expects 95 % of new measurements.

K, _ = covariance(best.x, distance)
factor = cho_factor(K + np.exp(2 * best.x[5]) * identity, lower=True)
ahead = np.linspace(0, 23, 900)
cross, _ = covariance(best.x, ahead[:, None] - t)
mean = cross @ cho_solve(factor, y) + data[seen].mean()
prior = np.exp(2 * best.x[0]) + np.exp(2 * best.x[2])
variance = prior - np.einsum("ij,ji->i", cross, cho_solve(factor, cross.T))
band = 1.96 * np.sqrt(variance + np.exp(2 * best.x[5]))

fig, ax = plt.subplots(figsize=(9, 4), layout="constrained")
ax.fill_between(ahead, mean - band, mean + band, color="C0", alpha=0.18, linewidth=0)
ax.plot(ahead, mean, color="C0", linewidth=1.2, label="mean and 95 % band")
ax.plot(years[seen], data[seen], ".", color="black", markersize=3, label="used for the fit")
ax.plot(years[~seen], data[~seen], ".", color="C1", markersize=4, label="never seen")
ax.axvline(20, color="0.6", linewidth=0.8, linestyle=":")
ax.set(xlim=(0, 23), xlabel="year", ylabel="measured")
ax.legend(loc="upper left", ncols=3)
plt.show()
