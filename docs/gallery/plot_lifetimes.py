"""
Lifetimes with standard errors
==============================

A hundred bearings run under each of three loads until they fail or the test ends. Maximum
likelihood gives the parameters of a Weibull law whose scale depends on the load, from those that
failed and from those that did not; `lbfgsb.standard_errors` says how well they are known, and the
band in the picture what follows for the survival at a load that nobody has tried.
"""

import matplotlib.pyplot as plt
import numpy as np

from lbfgsb import check_gradient, minimize_lbfgsb, standard_errors

# %%
# The time to failure T has the survival function :math:`P(T > t) = \exp(-(t/\eta)^k)` with
# :math:`\log \eta = a - b \log(\text{load})`. The test ends after 2,000 hours.

rng = np.random.default_rng(5)
names, truth, end = ("k", "a", "b"), np.array([1.8, 7.6, 2.5]), 2000.0
load = np.repeat([1.0, 1.4, 2.0], 100)
time = np.exp(truth[1] - truth[2] * np.log(load)) * rng.weibull(truth[0], load.size)
failed = time < end
time = np.minimum(time, end)
log_load, log_time = np.log(load), np.log(time)

# %%
# Minus the log-likelihood: a failure counts with its density, a survivor with its probability.


def loss(p):
    k, a, b = p
    z = log_time - a + b * log_load
    hazard = np.exp(k * z)
    f = hazard.sum() - (failed * (np.log(k) + k * z - log_time)).sum()
    excess = hazard - failed
    return f, np.array([excess @ z - failed.sum() / k, -k * excess.sum(), k * (excess @ log_load)])


bounds = [(0.05, None), (None, None), (0.0, None)]
assert check_gradient(loss, True, [1.2, 7.0, 1.0], directions=None).ok
res = minimize_lbfgsb(
    x0=[1.0, log_time.mean(), 0.0], fun=loss, jac=True, bounds=bounds, ftol=0, gtol=1e-6
)
errors = standard_errors(res, lambda p: loss(p)[1])
print(f"{failed.sum()} of {load.size} failed; {res.message}")
for name, value, error, true in zip(names, res.x, errors, truth, strict=True):
    print(f"{name} = {value:.3f} ± {error:.3f}    (drawn with {true})")

# %%
# For a function of several parameters their covariance is wanted. Its other entries come from the
# same differences of the gradient; the errors of the parameters are the roots of its diagonal.

H = np.empty((3, 3))
for i, step in enumerate(np.diag(1e-4 * np.maximum(np.abs(res.x), 1))):
    H[i] = (loss(res.x + step)[1] - loss(res.x - step)[1]) / (2 * step[i])
covariance = np.linalg.inv((H + H.T) / 2)
np.testing.assert_allclose(np.sqrt(np.diag(covariance)), errors, rtol=1e-4)

# %%
# Steps are what was counted at each load (Kaplan and Meier's estimate), curves what the law says,
# with a band of two standard errors. The band is made for log(−log S), which has no limits.


def survival(t, at_load):
    k, a, b = res.x
    z = np.log(t) - a + b * np.log(at_load)
    slope = np.stack([z, np.full_like(z, -k), np.full_like(z, k * np.log(at_load))])
    error = np.sqrt(np.einsum("it,ij,jt->t", slope, covariance, slope))
    return [np.exp(-np.exp(k * z + side * error)) for side in (0, -2, 2)]


t = np.geomspace(15, 6000, 300)
fig, ax = plt.subplots(figsize=(8, 4.4), layout="constrained")
for colour, at_load in enumerate((1.0, 1.4, 2.0, 2.8)):
    middle, low, high = survival(t, at_load)
    new = at_load == 2.8
    ax.fill_between(t, low, high, color=f"C{colour}", alpha=0.2, linewidth=0)
    label = f"load {at_load}" + (", never tried" if new else "")
    ax.plot(t, middle, color=f"C{colour}", linestyle="--" if new else "-", label=label)
    failures = np.sort(time[failed & (load == at_load)])
    if not new:
        left = 1 - np.arange(failures.size + 1) / 100
        ax.step(np.append(failures, end), np.append(left[1:], left[-1]), "k", where="post", lw=0.8)
ax.axvline(end, color="0.6", linewidth=0.8, linestyle=":")
ax.text(end * 0.97, 0.97, "end of the test", ha="right", va="top", color="0.4", rotation=90)
ax.set(xscale="log", xlim=(15, 6000), ylim=(0, 1.02), xlabel="hours", ylabel="still running")
ax.legend(loc="lower left")
plt.show()
