"""Logistic regression of scikit-learn, fitted by SciPy's solver and by lbfgsb's."""

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import lbfgsb

X, y = load_breast_cancer(return_X_y=True)
model = make_pipeline(StandardScaler(), LogisticRegression(tol=1e-8, max_iter=1000))

scipys = model.fit(X, y)[-1].coef_.copy()
with lbfgsb.patched_scipy():
    ours = model.fit(X, y)[-1].coef_.copy()

print(f"accuracy {model.score(X, y):.3f}, same coefficients:", np.allclose(ours, scipys, atol=1e-4))
