"""
A star field, deblurred
=======================

A telescope smears each star over its neighbours and adds noise. To undo this is least squares with
a variable for each pixel, 65,536 of them, and one bound for each: light is not negative. The bound
does more than to forbid the absurd. Where the sky is dark it is active, and takes away the ripples
by which least squares without bounds fits the noise.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.fft import irfft2, rfft2

from lbfgsb import check_gradient, minimize_lbfgsb

# %%
# A sky of 150 stars and a spiral galaxy, the blur of an aperture in air that is not quite still,
# and the noise of the camera.

n = 256
rng = np.random.default_rng(11)
row, column = np.mgrid[:n, :n]
sky = np.zeros((n, n))
sky[rng.integers(0, n, 150), rng.integers(0, n, 150)] = rng.pareto(1.3, 150).clip(0.15, 12)
radius = np.hypot((column - 150) / 1.25, row - 115)
angle = np.arctan2(row - 115, (column - 150) / 1.25)
arms = np.exp(3 * (np.cos(2 * angle - 3.4 * np.log1p(radius / 4)) - 1))
sky += 1.1 * np.exp(-((radius / 5) ** 2)) + 0.55 * arms * np.exp(-radius / 22) * (radius < 75)

away = np.minimum(row, n - row) ** 2 + np.minimum(column, n - column) ** 2
psf = (1 + away / 3.5**2) ** -2.5  # Moffat's profile
transfer = rfft2(psf / psf.sum())


def blur(image):
    return irfft2(transfer * rfft2(image), s=(n, n))


photo = blur(sky) + 0.002 * rng.standard_normal((n, n))

# %%
# The blur is symmetric, so that its adjoint is the blur itself: two Fourier transforms give f, two
# more the gradient. A little of the image's own energy keeps the unbounded problem from being
# hopeless.


def misfit(x):
    image = x.reshape(n, n)
    r = blur(image) - photo
    gradient = blur(r) + 1e-5 * image
    return 0.5 * (r * r).sum() + 0.5e-5 * (x @ x), gradient.ravel()


assert check_gradient(misfit, True, rng.random(n * n)).ok

options = {"x0": np.zeros(n * n), "fun": misfit, "jac": True, "ftol": 0, "gtol": 1e-6}
free = minimize_lbfgsb(**options, maxiter=120)
bounded = minimize_lbfgsb(**options, bounds=np.tile([0.0, np.inf], (n * n, 1)), maxiter=120)
for name, res in (("free", free), ("bounded", bounded)):
    print(
        f"{name:8} {res.nfev} evaluations, {np.mean(res.x == 0):.0%} of the pixels at 0, "
        f"error {np.linalg.norm(res.x - sky.ravel()) / np.linalg.norm(sky):.2f}"
    )

# %%
# The same 120 iterations, with and without the bound. Brightness is shown by its square root, as
# astronomers like it; what is negative is black.

pictures = {
    "the sky": sky,
    "through the telescope": photo,
    "least squares": free.x.reshape(n, n),
    "least squares, x ≥ 0": bounded.x.reshape(n, n),
}
fig, axes = plt.subplots(2, 2, figsize=(8, 8.3), layout="constrained")
for ax, (name, image) in zip(axes.flat, pictures.items(), strict=True):
    ax.imshow(np.sqrt(np.clip(image, 0, 0.6)), cmap="magma", vmin=0, vmax=np.sqrt(0.6))
    ax.set_title(name)
    ax.axis("off")
plt.show()
