"""What a History costs per iteration: the same run with and without it, in turns.

    python tools/bench/history_overhead.py [n] [repeats]

The least time of each kind is compared: what disturbs a run only ever makes it longer.
"""

import sys
import time

import numpy as np

from lbfgsb import minimize_lbfgsb
from lbfgsb.benchmarks import rosenbrock, rosenbrock_grad
from lbfgsb.callbacks import History


def seconds(x0, callback):
    """Return the time and the iterations of one run."""
    begin = time.perf_counter()
    res = minimize_lbfgsb(
        x0=x0,
        fun=rosenbrock,
        jac=rosenbrock_grad,
        ftol=0,
        gtol=1e-9,
        maxiter=10_000,
        callback=callback,
    )
    return time.perf_counter() - begin, res.nit


def overhead(n, repeats):
    """Return the seconds an iteration without a history, and what one adds."""
    x0 = np.resize([-1.2, 1.0], n)
    history = History()
    with_, without = [], []
    for _ in range(repeats):
        elapsed, nit = seconds(x0, None)
        without.append(elapsed)
        with_.append(seconds(x0, history)[0])
    assert len(history) == nit
    return min(without) / nit, (min(with_) - min(without)) / nit


if __name__ == "__main__":
    n, repeats = (int(a) for a in (sys.argv[1:] + ["10", "500"][len(sys.argv) - 1 :]))
    plain, added = overhead(n, repeats)
    print(f"n = {n}: {1e6 * plain:.2f} µs an iteration, a History adds {1e6 * added:.3f} µs")
