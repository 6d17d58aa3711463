"""A decay with bounds on its parameters, fitted by lmfit with lbfgsb and by least squares."""

import numpy as np
from lmfit import Parameters, minimize

import lbfgsb

t = np.linspace(0, 2, 30)
data = 2.5 * np.exp(-1.3 * t) + np.random.default_rng(0).normal(scale=0.02, size=t.size)


def residual(p):
    return p["a"] * np.exp(-p["b"] * t) - data


p = Parameters()
p.add("a", value=1, min=0, max=10)
p.add("b", value=1, min=0, max=9)

with lbfgsb.patched_scipy():
    fit = minimize(residual, p, method="lbfgsb", options={"ftol": 1e-14, "gtol": 1e-7})
squares = minimize(residual, p, method="least_squares")

a, b = fit.params.valuesdict().values()
print(f"a = {a:.2f}, b = {b:.2f}")
print("as least squares:", np.isclose(fit.chisqr, squares.chisqr, rtol=1e-6))
