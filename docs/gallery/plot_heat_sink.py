"""
A heat sink that designs itself
===============================

Heat is made evenly all over a plate and can leave through a narrow piece of one edge. Where should
a little copper go? Topology optimisation gives each of 6,380 cells a density between 0 and 1, a
price for copper, and lets the solver grow a tree. At the end most of the variables are at one bound
or the other, which is as it should be: copper or none.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import convolve
from scipy.sparse import coo_array
from scipy.sparse.linalg import splu

from lbfgsb import check_gradient, minimize_lbfgsb

# %%
# Temperatures are at the centres of the cells, and two neighbours conduct with the harmonic mean of
# their conductivities. That is 1 for copper and 0.002 for the plate; in between its third power
# makes grey cells bad value for money. The lower left corner of the half plate is the sink, and
# symmetry does the other half.

rows, columns = 110, 58
n = rows * columns
cell = np.arange(n).reshape(rows, columns)
one = np.concatenate([cell[:, :-1].ravel(), cell[:-1].ravel()])  # each pair of neighbours
two = np.concatenate([cell[:, 1:].ravel(), cell[1:].ravel()])
sink = cell[-1, :4]
weak = 0.002
heat = np.full(n, 1.0 / n)
disc = np.maximum(0, 1.6 - np.hypot(*np.mgrid[-1:2, -1:2]))
share = convolve(np.ones((rows, columns)), disc, mode="constant")


def smear(x):
    """A density is a weighted mean over the neighbours, so that no branch is a cell thin."""
    return (convolve(x.reshape(rows, columns), disc, mode="constant") / share).ravel()


def smear_adjoint(g):
    return convolve(g.reshape(rows, columns) / share, disc, mode="constant").ravel()


# %%
# The cost is the mean temperature, which is :math:`q^T K^{-1} q` for sources q, and the price of
# the copper. It is its own adjoint: one sparse factorisation gives f and the gradient.


def cost(x, price):
    density = smear(x)
    k = weak + (1 - weak) * density**3
    dk = 3 * (1 - weak) * density**2
    edge = 2 * k[one] * k[two] / (k[one] + k[two])
    diagonal = np.bincount(one, edge, n) + np.bincount(two, edge, n)
    diagonal[sink] += 2 * k[sink]
    K = coo_array(
        (
            np.concatenate([-edge, -edge, diagonal]),
            (np.concatenate([one, two, np.arange(n)]), np.concatenate([two, one, np.arange(n)])),
        )
    )
    u = splu(K.tocsc(), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}).solve(heat)
    fall = -((u[one] - u[two]) ** 2)
    share_of = 2 / (k[one] + k[two]) ** 2
    dc = np.bincount(one, fall * share_of * k[two] ** 2, n)
    dc += np.bincount(two, fall * share_of * k[one] ** 2, n)
    dc[sink] -= 2 * u[sink] ** 2
    return heat @ u + price * density.mean(), smear_adjoint(dc * dk + price / n)


rng = np.random.default_rng(0)
assert check_gradient(lambda x: cost(x, 5.0), True, rng.uniform(0.2, 0.8, n), directions=4).ok

res = minimize_lbfgsb(
    x0=np.full(n, 0.4),
    fun=cost,
    args=(12.0,),
    jac=True,
    bounds=np.tile([0.0, 1.0], (n, 1)),
    ftol=1e-7,
    maxiter=150,
)
print(f"{res.message}: {res.nit} iterations, {res.nfev} evaluations")
print(f"copper on {smear(res.x).mean():.0%} of the plate")
print(f"{np.mean(res.x == 0):.0%} of the variables at 0, {np.mean(res.x == 1):.0%} at 1")

# %%
# Copper at three times the price gives a barer tree, on the right.

dear = minimize_lbfgsb(
    x0=np.full(n, 0.4),
    fun=cost,
    args=(36.0,),
    jac=True,
    bounds=np.tile([0.0, 1.0], (n, 1)),
    ftol=1e-7,
    maxiter=150,
)
fig, axes = plt.subplots(1, 2, figsize=(8, 4.4), layout="constrained")
for ax, x in zip(axes, (res.x, dear.x), strict=True):
    half = smear(x).reshape(rows, columns)
    ax.imshow(np.hstack([half[:, ::-1], half]), cmap="copper_r")
    ax.set_title(f"copper on {half.mean():.0%} of the plate")
    ax.axis("off")
plt.show()
