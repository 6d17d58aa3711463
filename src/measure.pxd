"""What the benchmark needs."""

# Declared here, it is a capsule in the module's __pyx_capi__ for scipy.LowLevelCallable.
cdef int rosenbrock(Py_ssize_t n, const double *x, double *f, double *g,
                    void *data) noexcept nogil
