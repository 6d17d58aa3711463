"""
A gradient that is wrong
========================

The commonest mistake in optimisation is a sign, a factor or an index in the gradient. The run then
crawls, or ends at a point that is no minimum, and may well call that convergence. lbfgsb compares f
with its slopes in every line search, for nothing, and warns; `lbfgsb.check_gradient` names the
component, and `lbfgsb.diagnose` puts it in words.
"""

import textwrap
import warnings

import matplotlib.pyplot as plt
import numpy as np

from lbfgsb import GradientWarning, check_gradient, diagnose, minimize_lbfgsb
from lbfgsb.callbacks import History

# %%
# A straight line through data whose noise is to be estimated too: minus the log-likelihood of a, b
# and log σ. Someone has carried the ½ of the square into the derivative with respect to log σ.

rng = np.random.default_rng(6)
t = np.linspace(0, 1, 60)
y = 0.5 + 2.0 * t + 0.3 * rng.standard_normal(t.size)


def loss(p):
    r = y - p[0] - p[1] * t
    return t.size * p[2] + 0.5 * r @ r * np.exp(-2 * p[2])


def right_gradient(p):
    r = y - p[0] - p[1] * t
    precision = np.exp(-2 * p[2])
    return np.array([-r.sum(), -r @ t, -r @ r]) * precision + [0, 0, t.size]


def wrong_gradient(p):
    r = y - p[0] - p[1] * t
    precision = np.exp(-2 * p[2])
    return np.array([-r.sum(), -r @ t, -0.5 * r @ r]) * precision + [0, 0, t.size]


# %%
# The run ends abnormally, and says why. Nothing was evaluated to find out.

start = np.array([0.0, 0.0, 0.5])


def solve(jac):
    history = History(x_every=1)
    return minimize_lbfgsb(x0=start, fun=loss, jac=jac, ftol=1e-12, maxiter=200, callback=history)


with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always", GradientWarning)
    failed = solve(wrong_gradient)
print(textwrap.fill(failed.message, 88))
for warning in caught:
    print(textwrap.fill(f"{warning.category.__name__}: {warning.message}", 88))

# %%
# ``diagnose`` reads the result and, given the objective, looks for the cause.

print(diagnose(failed, loss, wrong_gradient))

# %%
# ``check_gradient`` has the table. A random point is better than a special one, where a mistake can
# hide.

print(check_gradient(loss, wrong_gradient, rng.standard_normal(3), directions=None))

# %%
# Mended:

report = check_gradient(loss, right_gradient, rng.standard_normal(3), directions=None)
solved = solve(right_gradient)
print(report)
print(f"\nσ = {np.exp(solved.x[2]):.3f}, and {np.exp(failed.x[2]):.3f} with the wrong gradient")

# %%
# Left, f over the slope b and σ, with the best a for each b, and the ways of both runs. Right, the
# bands of two σ: the wrong one is narrower, by a factor of :math:`\sqrt 2` or so, and nobody would
# see that without the right one beside it.

fig, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4.2), layout="constrained")
b, s = np.meshgrid(np.linspace(-0.3, 3.3, 120), np.linspace(-1.8, 0.7, 120))
a = y.mean() - b * t.mean()
squares = ((y - a[..., None] - b[..., None] * t) ** 2).sum(axis=-1)
f = t.size * s + 0.5 * squares * np.exp(-2 * s)
levels = solved.fun + np.geomspace(0.5, 500, 14)
left.contour(b, np.exp(s), f, levels=levels, colors="0.75", linestyles="solid", linewidths=0.8)
runs = (failed, "C1", "wrong gradient"), (solved, "C0", "right gradient")
for res, colour, name in runs:
    way = np.vstack([start, res.history.x])
    left.plot(way[:, 1], np.exp(way[:, 2]), ".-", color=colour, linewidth=1, label=name)
    left.plot(res.x[1], np.exp(res.x[2]), "o", color=colour, markersize=9)
    middle = res.x[0] + res.x[1] * t
    for side in (-2, 2):
        right.plot(t, middle + side * np.exp(res.x[2]), color=colour)
left.set(xlabel="slope b", ylabel="σ", yscale="log", xlim=(-0.3, 3.3), ylim=(0.17, 2))
left.set_yticks([0.2, 0.5, 1, 2], ["0.2", "0.5", "1", "2"])
left.minorticks_off()
left.legend(loc="upper right")
right.plot(t, y, ".", color="0.4")
right.set(xlabel="t", ylabel="measured, and the bands of two σ")
plt.show()
