# cython: language_level=3, cdivision=True
"""The chain of chain.c in Cython. `api` puts its address into the module, for LowLevelCallable."""


cdef api int chain(Py_ssize_t n, const double *x, double *f, double *g,
                   void *data) noexcept nogil:
    cdef double weight = (<const double *>data)[0]
    cdef double left = 0, value = 0, d, force
    cdef Py_ssize_t i
    for i in range(n):
        g[i] = -weight
    for i in range(n + 1):
        d = (x[i] if i < n else 0) - left
        value += 0.5 * d * d + 0.25 * d * d * d * d
        force = d + d * d * d
        if i < n:
            value -= weight * x[i]
            g[i] += force
            left = x[i]
        if i > 0:
            g[i - 1] -= force
    f[0] = value
    return 0
