"""A Gaussian process of GPy, whose hyperparameters are fitted by SciPy's solver and by lbfgsb."""

import GPy
import numpy as np

import lbfgsb

rng = np.random.default_rng(2)
X = np.linspace(0, 10, 40)[:, None]
y = np.sin(X) + rng.normal(scale=0.2, size=X.shape)

scipys = GPy.models.GPRegression(X, y)
scipys.optimize("lbfgsb")
ours = GPy.models.GPRegression(X, y)
with lbfgsb.patched_scipy():
    ours.optimize("lbfgsb")

print(f"noise {float(ours.likelihood.variance[0]) ** 0.5:.2f}")
print("as SciPy's:", np.allclose(ours.param_array, scipys.param_array, rtol=1e-3))
