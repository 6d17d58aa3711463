"""A Python loop compiled by Numba as the objective: Rosenbrock's function of 1000 variables."""

import numpy as np
from numba import njit

from lbfgsb import minimize_lbfgsb


@njit
def fun(x):
    f, g = 0.0, np.zeros(x.size)
    for i in range(x.size - 1):
        r, s = x[i + 1] - x[i] ** 2, 1 - x[i]
        f += 100 * r**2 + s**2
        g[i] -= 400 * r * x[i] + 2 * s
        g[i + 1] += 200 * r
    return f, g


res = minimize_lbfgsb(x0=np.zeros(1000), fun=fun, jac=True, ftol=0, gtol=1e-8, maxiter=10000)
print(res.success, "distance to the minimum below 1e-6:", abs(res.x - 1).max() < 1e-6)
