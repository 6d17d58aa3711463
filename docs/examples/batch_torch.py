"""The minima of a surface from many starts, with gradients by PyTorch."""

import numpy as np
import torch

from lbfgsb import minimize_batch


def branin(x, y):
    """Branin's surface: three minima, all with the value 0.397887."""
    r = y - 5.1 / (4 * torch.pi**2) * x**2 + 5 / torch.pi * x - 6
    return r**2 + 10 * (1 - 1 / (8 * torch.pi)) * torch.cos(x) + 10


def fun(X):
    X = torch.from_numpy(X).requires_grad_()  # no copy
    F = branin(X[:, 0], X[:, 1])
    # A row of X has a part in its own value only: the gradient of the sum is that of each.
    (G,) = torch.autograd.grad(F.sum(), X)
    return F.detach(), G


starts = np.random.default_rng(0).uniform([-5, 0], [10, 15], size=(200, 2))
res = minimize_batch(fun, starts, bounds=[(-5, 10), (0, 15)], ftol=0)
best = res.fun < res.fun.min() + 1e-6
print(res.fun.min().round(6), np.unique(res.x[best].round(3), axis=0).tolist())
