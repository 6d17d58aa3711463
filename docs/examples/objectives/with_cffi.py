"""A C function through cffi. First: gcc -O2 -shared -fPIC chain.c -o chain.so"""

import sys

import numpy as np
from cffi import FFI
from scipy import LowLevelCallable

from lbfgsb import minimize_lbfgsb

ffi = FFI()
ffi.cdef("int chain(intptr_t n, const double *x, double *f, double *g, void *data);")
library = ffi.dlopen(sys.argv[1] if len(sys.argv) > 1 else "./chain.so")

weight = ffi.new("double *", 0.1)
fun = LowLevelCallable(library.chain, ffi.cast("void *", weight))
res = minimize_lbfgsb(x0=np.zeros(9), fun=fun, bounds=[(None, 0.8)] * 9, ftol=1e-12)
print(res.x.round(3), res.status)
