"""A robust line through points with outliers, with the gradient by PyTorch."""

import torch

from lbfgsb import minimize_lbfgsb

t = torch.linspace(0, 1, 50, dtype=torch.float64)
y = 1 + 2 * t
y[::10] += 5.0  # every tenth point is off the line


def misfit(x):
    """The sum of Cauchy's loss of the residuals, on the scale 0.1."""
    return torch.log1p(((x[0] + x[1] * t - y) / 0.1) ** 2).sum()


def fun(x):
    x = torch.tensor(x, requires_grad=True)
    f = misfit(x)
    (g,) = torch.autograd.grad(f, x)
    return f.item(), g.numpy()


res = minimize_lbfgsb(x0=[0.0, 1.0], fun=fun, jac=True, bounds=[(0, None), (0, 9)], ftol=1e-13)
print(res.success, res.x.round(2))
