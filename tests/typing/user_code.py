"""Code as users write it, which must be right to mypy --strict and to pyright; never run.

What a call returns has the type that the documentation says; `assert_type` holds it.
"""

from __future__ import annotations

from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, OptimizeResult, minimize

import lbfgsb
from lbfgsb import (
    GradientWarning,
    Solver,
    callbacks,
    check_gradient,
    diagnose,
    extract_hess_inv_diag,
    minimize_batch,
    minimize_lbfgsb,
    standard_errors,
)
from lbfgsb.diagnostics import Diagnosis, Finding

Vector = NDArray[np.float64]


def f(x: Vector) -> float:
    return float(x @ x)


def g(x: Vector) -> Vector:
    return 2 * x


def f_and_g(x: Vector) -> tuple[float, Vector]:
    return f(x), g(x)


def runs() -> None:
    minimize_lbfgsb(x0=[1.0, 2.0], fun=f, jac=g)
    minimize_lbfgsb(x0=np.ones(2), fun=f_and_g, jac=True, bounds=[(0, None), (None, 1)])
    minimize_lbfgsb(x0=np.ones(2), fun=f, bounds=Bounds(0, 1), maxcor=5, threads="auto")
    minimize_lbfgsb(x0=np.ones(2), fun=f, bounds=np.array([[0.0, 1.0], [0.0, 1.0]]), x_scale=[1, 9])
    res = minimize_lbfgsb(x0=np.ones(2), fun=f, jac=g, pairs="float32", secant="standard")
    minimize_lbfgsb(x0=res.x, fun=f, jac=g, checkpoint=res)
    best: Vector = res.x
    print(best, res.nfev, res.message, extract_hess_inv_diag(res.hess_inv))
    print(standard_errors(g, res.x))


def stop(state: OptimizeResult) -> bool:
    return bool(state.fun < 1)


def watched() -> None:
    history = callbacks.History()
    minimize_lbfgsb(x0=np.ones(2), fun=f, jac=g, callback=stop)
    minimize_lbfgsb(
        x0=np.ones(2),
        fun=f,
        jac=g,
        callback=[history, callbacks.TimeLimit(60), callbacks.EarlyStopping(patience=5), stop],
    )
    assert_type(callbacks.TimeLimit(60).seconds, float)
    lbfgsb.plot_convergence(history)


def explained() -> None:
    res = minimize_lbfgsb(x0=np.ones(2), fun=f, jac=g)
    diagnosis = assert_type(diagnose(res), Diagnosis)
    for finding in diagnosis:
        assert_type(finding, Finding)
    print(check_gradient(f, g, np.ones(2)))


def asked() -> None:
    solver = Solver(np.ones(2), bounds=[(0, 1)] * 2, maxiter=10)
    while not solver.done:
        x = assert_type(solver.ask(), Vector)
        solver.tell(f(x), g(x))
    assert_type(solver.nit, int)
    assert_type(solver.fun, float)
    print(solver.result().x)


def many() -> None:
    def rows(X: Vector) -> tuple[Vector, Vector]:
        return (X**2).sum(1), 2 * X

    res = minimize_batch(rows, np.ones((3, 2)))
    print(res.x[res.success])


def in_scipys_place() -> None:
    minimize(f, np.ones(2), jac=g, method=lbfgsb.scipy_method)
    x, value, information = lbfgsb.fmin_l_bfgs_b(f, np.ones(2), fprime=g)
    assert_type(x, Vector)
    print(value + 1.0)
    assert_type(information, dict[str, Any])
    with lbfgsb.patched_scipy():
        minimize(f, np.ones(2), jac=g, method="L-BFGS-B")
    assert_type(lbfgsb.is_patched(), bool)


def misused() -> None:
    """What a type checker must refuse: each line would be an unused ignore if it did not."""
    minimize_lbfgsb(x0=[1.0], fun=f, maxiter="many")  # type: ignore[arg-type]
    minimize_lbfgsb(x0=[1.0], fun=3)  # type: ignore[arg-type]
    minimize_lbfgsb(x0=[1.0], fun=f, nothing=1)  # type: ignore[arg-type]
    Solver(None)  # type: ignore[arg-type]
    lbfgsb.nothing  # type: ignore[attr-defined] # noqa: B018
    GradientWarning().nothing  # type: ignore[attr-defined] # noqa: B018
