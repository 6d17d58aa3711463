# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, freethreading_compatible=True
"""The chained Rosenbrock function and its gradient, compiled: an objective for measurements.

f(x) is the sum of 100 (x[i+1] - x[i]²)² + (1 - x[i])².
"""


cdef int rosenbrock(Py_ssize_t n, const double *x, double *f, double *g,
                    void *data) noexcept nogil:
    """f[0] and g (n,) at x (n,); `data` is not used. Returns 0."""
    cdef Py_ssize_t i
    cdef double r, q, value = 0
    g[0] = 0
    for i in range(n - 1):
        r = x[i + 1] - x[i] * x[i]
        q = 1 - x[i]
        value += 100 * r * r + q * q
        g[i] -= 400 * r * x[i] + 2 * q
        g[i + 1] = 200 * r
    f[0] = value
    return 0
