"""A C function through ctypes. First: gcc -O2 -shared -fPIC chain.c -o chain.so"""

import ctypes
import sys

import numpy as np
from scipy import LowLevelCallable

from lbfgsb import minimize_lbfgsb

library = ctypes.CDLL(sys.argv[1] if len(sys.argv) > 1 else "./chain.so")
doubles = ctypes.POINTER(ctypes.c_double)
library.chain.restype = ctypes.c_int
library.chain.argtypes = [ctypes.c_ssize_t, doubles, doubles, doubles, ctypes.c_void_p]

weight = ctypes.c_double(0.1)
fun = LowLevelCallable(library.chain, ctypes.cast(ctypes.pointer(weight), ctypes.c_void_p))
res = minimize_lbfgsb(x0=np.zeros(9), fun=fun, bounds=[(None, 0.8)] * 9, ftol=1e-12)
print(res.x.round(3), res.status)
