"""A Python function, compiled by Numba."""

import ctypes

import numpy as np
from numba import carray, cfunc, types
from scipy import LowLevelCallable

from lbfgsb import minimize_lbfgsb

doubles = types.CPointer(types.double)


@cfunc(types.intc(types.intp, doubles, doubles, doubles, doubles))
def chain(n, x, f, g, data):
    weight = data[0]
    x, g = carray(x, n), carray(g, n)
    left = value = 0.0
    g[:] = -weight
    for i in range(n + 1):
        d = (x[i] if i < n else 0.0) - left
        value += 0.5 * d**2 + 0.25 * d**4
        force = d + d**3
        if i < n:
            value -= weight * x[i]
            g[i] += force
            left = x[i]
        if i > 0:
            g[i - 1] -= force
    f[0] = value
    return 0


weight = ctypes.c_double(0.1)
fun = LowLevelCallable(chain.ctypes, ctypes.cast(ctypes.pointer(weight), ctypes.c_void_p))
res = minimize_lbfgsb(x0=np.zeros(9), fun=fun, bounds=[(None, 0.8)] * 9, ftol=1e-12)
print(res.x.round(3), res.status)
