"""The next point of a Bayesian optimisation: BoTorch's acquisition function from many starts."""

import numpy as np
import torch
from botorch.acquisition import LogExpectedImprovement
from botorch.models import SingleTaskGP
from botorch.optim import optimize_acqf

from lbfgsb import minimize_batch

torch.manual_seed(0)
X = torch.rand(12, 2, dtype=torch.float64)
y = -((X - 0.4) ** 2).sum(1, keepdim=True)
acquisition = LogExpectedImprovement(SingleTaskGP(X, y), best_f=y.max())


def fun(X):
    X = torch.from_numpy(X).requires_grad_()
    F = -acquisition(X[:, None, :])  # a batch of candidates of one point each
    (G,) = torch.autograd.grad(F.sum(), X)
    return F.detach(), G


starts = np.random.default_rng(0).uniform(size=(64, 2))
res = minimize_batch(fun, starts, bounds=[(0, 1)] * 2)
best = -res.fun.min()

box = torch.tensor([[0.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
_, botorchs = optimize_acqf(acquisition, box, q=1, num_restarts=8, raw_samples=64)
print("at least as good as BoTorch's:", best >= botorchs.item() - 1e-4)
