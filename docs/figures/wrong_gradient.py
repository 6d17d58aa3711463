"""One halved gradient and a right one: what f does over each step, and what the slopes predict."""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from model import BLUE, GREY, RED

from lbfgsb import GradientWarning, Solver


def valley(x):
    return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2


def valley_grad(x):
    r = x[1] - x[0] ** 2
    return np.array([-400 * r * x[0] - 2 * (1 - x[0]), 200 * r])


def run(factor):
    """Change of f and prediction over each step, and the mismatch after it."""
    solver = Solver([-1.2, 1.0], maxiter=200, ftol=1e-10)
    steps, mismatch = [], []
    while not solver.done:
        x_old, f_old, g_old = solver.x, solver.fun, solver.jac
        x = solver.ask()
        if solver.tell(valley(x), factor * valley_grad(x)):
            s = solver.x - x_old
            steps.append((f_old - solver.fun, -0.5 * s @ (g_old + solver.jac)))
            mismatch.append(solver.gradient_mismatch)
    return np.array(steps), mismatch


figure, (left, right) = plt.subplots(1, 2, figsize=(9.0, 3.6), layout="constrained")
left.plot([1e-12, 1e2], [1e-12, 1e2], color=GREY, linewidth=0.8)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", GradientWarning)
    for factor, colour, name in ((1.0, BLUE, "right gradient"), (0.5, RED, "halved gradient")):
        steps, mismatch = run(factor)
        left.loglog(*steps.T, ".", color=colour, label=name)
        right.plot(np.arange(1, len(mismatch) + 1), mismatch, color=colour, label=name)
left.set(xlim=(1e-9, 1e2), ylim=(1e-9, 1e2), aspect="equal")
left.set_xlabel("decrease of $f$ over a step")
left.set_ylabel("decrease that the slopes predict")
right.axhline(0.35, color=GREY, linewidth=0.8, linestyle="--")
right.text(42, 0.37, "alarm", ha="right", va="bottom", color=GREY)
right.set(ylim=(-0.02, 1.05), xlabel="iteration", ylabel="gradient_mismatch")
for axes in (left, right):
    axes.spines[["top", "right"]].set_visible(False)
left.legend(frameon=False, loc="upper left")
