"""A membrane over an obstacle, in one dimension: the example of the page on watching a run.

Its height at n points is as low as its tension allows where the obstacle does not hold it up, so
that the lower bound is active where they touch.
"""

import numpy as np

from lbfgsb import minimize_lbfgsb


def membrane(n, callback, start=0.6, **options):
    """Minimise the energy of a membrane of n points; returns the result."""
    t = np.linspace(0, 1, n)
    obstacle = np.maximum(0.5 - 8 * (t - 0.3) ** 2, 0.35 - 30 * (t - 0.75) ** 2)

    def energy(height):
        slope = np.diff(height, prepend=0, append=0)
        return 0.5 * slope @ slope, -np.diff(slope)

    return minimize_lbfgsb(
        x0=np.full(n, start),
        fun=energy,
        jac=True,
        bounds=np.stack([obstacle, np.full(n, np.inf)], axis=1),
        callback=callback,
        **{"ftol": 0, "gtol": 1e-6, "maxiter": 3000} | options,
    )
