"""
A long run in pieces
====================

A queue that stops jobs after an hour, a laptop that is closed, a limit that was too low: a run that
was stopped goes on from its result as if nothing had happened, to the last bit. Here a picture of
40,000 pixels is freed of noise in five pieces, each resumed from what was stored of the one before.
"""

import pickle

import matplotlib.pyplot as plt
import numpy as np

from lbfgsb import check_gradient, minimize_lbfgsb
from lbfgsb.callbacks import History

# %%
# A picture of flat pieces and one slope, and its noisy copy. What is sought is near to the copy and
# has a small total variation: the smoothed sum of the sizes of its slopes.

n = 200
rng = np.random.default_rng(2)
x, y = np.meshgrid(np.linspace(-1, 1, n), np.linspace(1, -1, n))
clean = np.full((n, n), 0.15)
clean[np.hypot(x + 0.3, y - 0.2) < 0.5] = 0.9
clean[(np.abs(x - 0.4) < 0.4) & (np.abs(y + 0.4) < 0.35)] = 0.55
clean[np.abs(x) + np.abs(y + 0.55) < 0.25] = 0.05
ball = np.hypot(x - 0.55, y - 0.55) < 0.3
clean[ball] = 0.75 - 0.5 * (x[ball] - 0.55)
noisy = clean + 0.2 * rng.standard_normal((n, n))
weight, rounding = 0.2, 0.01


def loss(image):
    across, up = (
        np.diff(image, axis=1, append=image[:, -1:]),
        np.diff(image, axis=0, append=image[-1:]),
    )
    size = np.sqrt(across**2 + up**2 + rounding**2)
    p, q = across / size, up / size
    r = image - noisy
    gradient = r - weight * (np.diff(p, axis=1, prepend=0) + np.diff(q, axis=0, prepend=0))
    return 0.5 * (r * r).sum() + weight * (size - rounding).sum(), gradient


problem = {
    "x0": np.full(n * n, 0.5),
    "fun": loss,
    "jac": True,
    "x_shape": (n, n),
    "bounds": np.tile([0.0, 1.0], (n * n, 1)),
    "ftol": 0,
    "gtol": 1e-4,
}


def flat_loss(z):
    f, g = loss(z.reshape(n, n))
    return f, g.ravel()


assert check_gradient(flat_loss, True, noisy.ravel()).ok

# %%
# In pieces: each ends by a limit, is written as bytes, and the next begins with what is read from
# them. Counts and limits go on, too, so that the limits are those of the whole.

pieces, stored = [], None
for limit in (10, 20, 35, 50, 1000):
    history = History()
    if stored is not None:
        earlier = pickle.loads(stored)
        problem |= {"x0": earlier.x, "checkpoint": earlier}
    piece = minimize_lbfgsb(**problem, maxiter=limit, callback=history)
    stored = pickle.dumps(piece)
    pieces.append((history, piece))
    print(f"{piece.nit:4} iterations: {piece.message}")

# %%
# In one go, for comparison:

whole_history = History()
problem |= {"x0": np.full(n * n, 0.5), "checkpoint": None}
whole = minimize_lbfgsb(**problem, maxiter=1000, callback=whole_history)
print("the same bits:", np.array_equal(whole.x, piece.x) and whole.fun == piece.fun)
print("the same counts:", (whole.nit, whole.nfev) == (piece.nit, piece.nfev))

# %%
# A job that is told when to end takes a :class:`~lbfgsb.callbacks.TimeLimit` or a
# :class:`~lbfgsb.callbacks.StopOnSignal` as callback, and stores what the run returns. For one that
# may be killed at any moment, ``checkpoint=`` with the path of a file does all of this by itself:
# :doc:`/checkpoints`.
#
# Above, the picture; below, f less its minimum, the grey line of the run in one go under the
# pieces.

fig = plt.figure(figsize=(9, 5.8), layout="constrained")
top, bottom = fig.subfigures(2, 1, height_ratios=[1, 1.05])
for ax, image, title in zip(
    top.subplots(1, 4),
    (noisy, pieces[0][1].x.reshape(n, n), piece.x.reshape(n, n), clean),
    ("noisy", "after 10 iterations", f"after {piece.nit}", "without noise"),
    strict=True,
):
    ax.imshow(image, cmap="cividis", vmin=0, vmax=1)
    ax.set_title(title)
    ax.axis("off")
ax = bottom.subplots()
ax.semilogy(
    whole_history.nit,
    whole_history.fun - whole.fun + 1e-9,
    color="0.8",
    linewidth=6,
    label="in one go",
)
for k, (history, result) in enumerate(pieces):
    ax.semilogy(history.nit, history.fun - whole.fun + 1e-9, color=f"C{k}", label=f"piece {k + 1}")
    ax.axvline(result.nit, color="0.7", linewidth=0.8, linestyle=":")
ax.set(xlabel="iteration", ylabel="f above its minimum", ylim=(1e-6, None), xlim=(0, None))
ax.legend(ncols=3)
plt.show()
