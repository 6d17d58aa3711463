"""A Cython function. First: cythonize -i chain_cython.pyx"""

import ctypes

import chain_cython
import numpy as np
from scipy import LowLevelCallable

from lbfgsb import minimize_lbfgsb

weight = ctypes.c_double(0.1)
fun = LowLevelCallable.from_cython(
    chain_cython, "chain", ctypes.cast(ctypes.pointer(weight), ctypes.c_void_p)
)
res = minimize_lbfgsb(x0=np.zeros(9), fun=fun, bounds=[(None, 0.8)] * 9, ftol=1e-12)
print(res.x.round(3), res.status)
