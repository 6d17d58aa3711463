"""Fit 2,000 noisy decays and compare with the truth."""

import time

import numpy as np
from decay import fit

rng = np.random.default_rng(1)
truth = rng.uniform([1.0, 0.5, 0.0], [5.0, 3.0, 1.0], (2000, 3))
t = np.linspace(0.0, 5.0, 50)
Y = truth[:, :1] * np.exp(-truth[:, 1:2] * t) + truth[:, 2:]
Y += 0.001 * rng.normal(size=Y.shape)

start = time.perf_counter()
fitted = fit(t, Y, threads=2)
print(f"{1e6 * (time.perf_counter() - start) / len(Y):.0f} µs a fit")

error = np.abs(fitted - truth).max()
assert error < 0.1, error
assert (fitted >= 0).all()
assert np.array_equal(fitted, fit(t, Y, threads=1))  # threads don't change the bits
print("ok")
