"""A robust line through points with outliers, with the gradient by JAX."""

import jax
import jax.numpy as jnp

from lbfgsb import minimize_lbfgsb

jax.config.update("jax_enable_x64", True)  # else f is rounded to float32, and ftol can't be met

t = jnp.linspace(0, 1, 50)
y = (1 + 2 * t).at[::10].add(5.0)  # every tenth point is off the line


def misfit(x):
    """The sum of Cauchy's loss of the residuals, on the scale 0.1."""
    return jnp.log1p(((x[0] + x[1] * t - y) / 0.1) ** 2).sum()


fun = jax.jit(jax.value_and_grad(misfit))
res = minimize_lbfgsb(x0=[0.0, 1.0], fun=fun, jac=True, bounds=[(0, None), (0, 9)], ftol=1e-13)
print(res.success, res.x.round(2))
