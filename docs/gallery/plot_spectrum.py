"""
Peaks in a spectrum
===================

A measured spectrum is a sum of peaks on a sloping background. Heights and widths are positive, and
each peak is known to lie in a window: bounds say so, and keep the fit from swapping two peaks or
turning one upside down.
"""

import matplotlib.pyplot as plt
import numpy as np

from lbfgsb import check_gradient, minimize_lbfgsb

rng = np.random.default_rng(3)
energy = np.linspace(0.0, 10.0, 400)
truth = np.array(
    [
        *(3.0, 2.4, 0.45),  # height, position, width of a peak
        *(1.6, 3.5, 0.40),
        *(4.2, 6.1, 0.30),
        *(2.0, 6.9, 0.55),
        *(0.6, -0.03),  # background: value at 0 and slope
    ]
)


def parts(p):
    """Return the peaks, shape (4, 400), and the background."""
    height, position, width = p[:12].reshape(4, 3).T[:, :, None]
    z = (energy - position) / width
    return height * np.exp(-0.5 * z**2), p[12] + p[13] * energy


counts = sum(parts(truth)[0]) + parts(truth)[1] + 0.12 * rng.standard_normal(energy.size)

# %%
# Half the sum of squares and its gradient. Everything that a peak's derivatives need is in the peak
# itself.


def misfit(p):
    height, position, width = p[:12].reshape(4, 3).T[:, :, None]
    peaks, background = parts(p)
    r = peaks.sum(axis=0) + background - counts
    z = (energy - position) / width
    slopes = np.stack([peaks / height, peaks * z / width, peaks * z**2 / width], axis=1)
    gradient = np.append(slopes.reshape(12, -1) @ r, [r.sum(), r @ energy])
    return 0.5 * r @ r, gradient


windows = [(2.0, 3.0), (3.0, 4.0), (5.7, 6.5), (6.5, 7.5)]
bounds = []
for window in windows:
    bounds += [(0.0, 10.0), window, (0.1, 1.0)]
bounds += [(0.0, None), (None, None)]

start = np.array([x for lo, hi in windows for x in (1.0, (lo + hi) / 2, 0.3)] + [0.5, 0.0])
assert check_gradient(misfit, True, start, bounds=bounds).ok

res = minimize_lbfgsb(x0=start, fun=misfit, jac=True, bounds=bounds, ftol=1e-12, maxiter=500)
print(f"{res.message}\n{res.nfev} evaluations, largest error {np.abs(res.x - truth).max():.2f}")

# %%
# The shaded windows are where the peaks were allowed to be.

peaks, background = parts(res.x)
fig, ax = plt.subplots(figsize=(8, 4.2), layout="constrained")
ax.plot(energy, counts, ".", color="0.6", markersize=3.5, label="measured")
for k, (peak, window) in enumerate(zip(peaks, windows, strict=True)):
    ax.axvspan(*window, color=f"C{k}", alpha=0.08, linewidth=0)
    ax.fill_between(energy, background, background + peak, color=f"C{k}", alpha=0.45, linewidth=0)
    ax.text(res.x[3 * k + 1], 6.0, f"{res.x[3 * k + 1]:.2f}", ha="center", color=f"C{k}")
ax.plot(energy, background, color="0.3", linewidth=1, linestyle="--", label="background")
ax.plot(energy, peaks.sum(axis=0) + background, color="black", linewidth=1.5, label="fit")
ax.set(xlabel="energy in keV", ylabel="counts", xlim=(0, 10), ylim=(-0.3, 6.4))
ax.legend(loc="upper left", bbox_to_anchor=(0.0, 0.92))
plt.show()
