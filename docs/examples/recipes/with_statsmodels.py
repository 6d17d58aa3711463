"""A Poisson regression of statsmodels, by lbfgsb and by Newton's method."""

import numpy as np
import statsmodels.api as sm

import lbfgsb

rng = np.random.default_rng(0)
X = sm.add_constant(rng.normal(size=(500, 2)))
y = rng.poisson(np.exp(X @ [0.5, 0.3, -0.2]))
model = sm.Poisson(y, X)

with lbfgsb.patched_scipy():
    fit = model.fit(method="lbfgs", pgtol=1e-8, factr=10, disp=False)
newton = model.fit(method="newton", disp=False)

print("converged:", fit.mle_retvals["converged"])
print("as Newton's method:", np.allclose(fit.params, newton.params, atol=1e-6))
print("its standard errors:", np.allclose(fit.bse, newton.bse, rtol=1e-4))
