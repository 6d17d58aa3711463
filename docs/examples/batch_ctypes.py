"""A C function for many problems. First: gcc -O2 -shared -fPIC chain.c -o chain.so"""

import ctypes
import sys

import numpy as np
from scipy import LowLevelCallable

from lbfgsb import minimize_batch

library = ctypes.CDLL(sys.argv[1] if len(sys.argv) > 1 else "./chain.so")
doubles = ctypes.POINTER(ctypes.c_double)
library.chain.restype = ctypes.c_int
library.chain.argtypes = [ctypes.c_ssize_t, doubles, doubles, doubles, ctypes.c_void_p]

weights = np.linspace(0.0, 0.2, 1001)  # problem i gets the address of weights[i] as its data
res = minimize_batch(
    LowLevelCallable(library.chain),
    np.zeros((1001, 9)),
    bounds=[(None, 0.8)] * 9,
    args=(weights,),
    ftol=1e-12,
    threads=2,
)
print(res.x[500].round(3), res.status[500])
