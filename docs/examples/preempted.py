"""A run on a machine that may be taken away: it is kept in a file, and started again.

    python preempted.py run.npz

Ends with 0 when the run is over, and with 75 (EX_TEMPFAIL: try again) when SIGTERM has cut it
short. Whatever ends it, also SIGKILL, the same command goes on from the file.
"""

import sys
import time

import numpy as np

from lbfgsb import minimize_lbfgsb
from lbfgsb.callbacks import StopOnSignal


def simulation(x):
    """The chained Rosenbrock function, as if it took its time."""
    time.sleep(0.02)
    r = x[1:] - x[:-1] ** 2
    g = np.zeros_like(x)
    g[:-1] = -40 * x[:-1] * r - 2 * (1 - x[:-1])
    g[1:] += 20 * r
    return (10 * r**2 + (1 - x[:-1]) ** 2).sum(), g


res = minimize_lbfgsb(
    x0=np.linspace(-2, 2, 40),
    fun=simulation,
    jac=True,
    bounds=[(-1.5, 0.9)] * 40,
    ftol=0,
    maxiter=200,
    checkpoint=sys.argv[1],
    callback=StopOnSignal(),
)
print(f"{res.message}; nit = {res.nit}, f = {res.fun!r}")
if "SIGTERM" in res.message:
    sys.exit(75)
