# cython: language_level=3, boundscheck=False, wraparound=False
"""Fit y = a exp(-k t) + c, with a, k, c >= 0, to each row of an array.

The objective is compiled and the solver is called from compiled code: no Python in the loop, so
that threads can share the rows.
"""
from cython.parallel cimport prange
from libc.math cimport INFINITY, exp

from lbfgsb.cython_lbfgsb cimport (LBFGSB_CONVERGED, lbfgsb_default_options, lbfgsb_message,
                                   lbfgsb_minimize, lbfgsb_options)

import numpy as np


ctypedef struct Series:
    Py_ssize_t length
    const double *t
    const double *y


cdef int misfit(Py_ssize_t n, const double *p, double *f, double *g, void *data) noexcept nogil:
    """Half the sum of squares at p = (a, k, c), and its gradient."""
    cdef const Series *series = <const Series *>data
    cdef double fallen, r
    cdef Py_ssize_t i
    f[0] = g[0] = g[1] = g[2] = 0
    for i in range(series.length):
        fallen = exp(-p[1] * series.t[i])
        r = p[0] * fallen + p[2] - series.y[i]
        f[0] += 0.5 * r * r
        g[0] += r * fallen
        g[1] -= r * p[0] * series.t[i] * fallen
        g[2] += r
    return 0


cdef int fit_row(const double[::1] t, const double[:, ::1] Y, Py_ssize_t row, double *p,
                 const lbfgsb_options *options) noexcept nogil:
    cdef double *lower = [0, 0, 0]
    cdef double *upper = [INFINITY, INFINITY, INFINITY]
    cdef Series series
    series.length, series.t, series.y = t.shape[0], &t[0], &Y[row, 0]
    p[0], p[1], p[2] = Y[row, 0], 1, 0
    return lbfgsb_minimize(misfit, &series, 3, p, lower, upper, options, NULL)


def fit(const double[::1] t, const double[:, ::1] Y, int threads=1):
    """Return (a, k, c) for each row of Y, shape (rows, 3)."""
    cdef Py_ssize_t row, rows = Y.shape[0]
    cdef lbfgsb_options options = lbfgsb_default_options()
    parameters, statuses = np.empty((rows, 3)), np.empty(rows, dtype=np.intc)
    cdef double[:, ::1] p = parameters
    cdef int[::1] status = statuses
    options.ftol, options.gtol, options.maxiter = 0, 1e-8, 500
    for row in prange(rows, nogil=True, num_threads=threads, schedule='dynamic'):
        status[row] = fit_row(t, Y, row, &p[row, 0], &options)
    for row in range(rows):
        if status[row] != LBFGSB_CONVERGED:
            raise RuntimeError(f'row {row}: {lbfgsb_message(status[row]).decode()}')
    return parameters
