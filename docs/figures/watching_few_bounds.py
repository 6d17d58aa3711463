"""What `plot_bounds` draws for a handful of variables with names."""

import numpy as np

from lbfgsb import minimize_lbfgsb, plot_bounds
from lbfgsb.callbacks import History

rng = np.random.default_rng(3)
t = np.linspace(0, 4, 60)
names = ["amplitude", "decay", "frequency", "phase", "offset"]
truth = np.array([2.0, 0.6, 4.0, 0.3, 0.0])
lower = [0.0, 0.8, 0.0, -1.0, -0.5]
upper = [1.8, 5.0, 6.0, 1.0, -0.5]


def wave(p):
    return p[0] * np.exp(-p[1] * t) * np.cos(p[2] * t + p[3]) + p[4]


data = wave(truth) + 0.05 * rng.standard_normal(t.size)
history = History(bounds_every=1)
minimize_lbfgsb(
    x0=[1.0, 2.0, 3.6, 0.0, -0.5],
    fun=lambda p: np.sum((wave(p) - data) ** 2),
    jac="3-point",
    bounds=np.stack([lower, upper], axis=1),
    ftol=0,
    callback=history,
)
plot_bounds(history, names=names)
