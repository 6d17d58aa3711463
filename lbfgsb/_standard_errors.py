"""Standard errors of estimates: the inverse of the Hessian at the result, by differences there.

For minus a log-likelihood f, the covariance of the estimates that are not at a bound is about H⁻¹,
H being the Hessian of f at the minimum in those variables. H is the symmetric part of the central
differences of the gradient, n of them for n free variables: what the pairs of a run tell of H is
where the run has been, in the few directions that it took, and no more precise than it had to be.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import OptimizeResult

from lbfgsb import _scipy
from lbfgsb._bounds import as_bounds
from lbfgsb._core.objective import convert_gradient, quote
from lbfgsb._result import memory_of
from lbfgsb._types import Vector


def standard_errors(
    result: OptimizeResult, jac: Callable[[Vector], ArrayLike], *, bounds: Any = None
) -> Vector:
    r"""Return the standard errors of estimates that minimise minus a log-likelihood.

    Parameters
    ----------
    result : OptimizeResult
        At the minimum: solve with tolerances small enough that its gradient is next to nothing.
    jac : callable
        The gradient of the objective, ``jac(x) -> ndarray``, shape (n,).
    bounds : optional
        As given to `minimize_lbfgsb`; known from a result of ours.

    Returns
    -------
    ndarray of float64, shape (n,)
        The roots of the diagonal of the inverse Hessian; NaN for a variable at a bound, of which
        the likelihood gives none. The others are those for its being fixed there.

    Raises
    ------
    ValueError
        If the Hessian is not positive definite: a combination of variables is not determined by
        the data, or the result is no minimum.

    Notes
    -----
    The steps of the differences are 6e-6 times the larger of \|x\| and the `x_scale` of the run,
    by default 1. They cost two gradients for each variable, and take n² numbers.

    The objective must be minus the log-likelihood itself, not a mean over the data, and without a
    penalty. For a sum of squares f = ½ Σ r² of N residuals of unknown variance, multiply by
    ``sqrt(2 * result.fun / (N - p))``, where p is the number of variables that are not at a bound.

    Examples
    --------
    The mean and the variance of 400 numbers, whose standard errors are σ/√N and σ²√(2/N):

    >>> import numpy as np
    >>> from lbfgsb import minimize_lbfgsb, standard_errors
    >>> y = np.random.default_rng(0).normal(1.0, 2.0, 400)
    >>> def fun(x):
    ...     return 0.5 * (len(y) * np.log(x[1]) + ((y - x[0]) ** 2).sum() / x[1])
    >>> def jac(x):
    ...     r = y - x[0]
    ...     return np.array([-r.sum() / x[1], 0.5 * (len(y) / x[1] - r @ r / x[1] ** 2)])
    >>> res = minimize_lbfgsb(x0=[0.0, 1.0], fun=fun, jac=jac, bounds=[(None, None), (1e-6, None)],
    ...                       ftol=0, gtol=1e-8)
    >>> standard_errors(res, jac).round(4)
    array([0.0995, 0.2801])
    >>> np.array([np.sqrt(res.x[1] / 400), res.x[1] * np.sqrt(2 / 400)]).round(4)
    array([0.0995, 0.2801])
    """
    if not callable(jac):
        raise TypeError(f"jac must be callable; got {quote(jac)}")
    x = np.array(result.x, dtype=np.float64).reshape(-1)
    memory = memory_of(result)
    known = {} if memory is None else memory.snapshot()
    lower, upper = known.get("lower"), known.get("upper")
    if bounds is not None or lower is None or upper is None:
        lower, upper = as_bounds(bounds, x.size)
    if lower is None or upper is None:
        lower, upper = np.full(x.size, -np.inf), np.full(x.size, np.inf)
    free = (lower < x) & (x < upper)
    scale = np.ones(x.size) if known.get("scale") is None else known["scale"]

    def gradient(z: Vector) -> Vector:
        point = x.copy()
        point[free] = z
        return convert_gradient(jac(point), x.size)[free].copy()

    errors = np.full(x.size, np.nan)
    if not free.any():
        return errors
    H = _scipy.approx_derivative(
        gradient,
        x[free],
        method="3-point",
        abs_step=_STEP * np.maximum(scale, np.abs(x))[free],
        bounds=(lower[free], upper[free]),
    )
    errors[free] = np.sqrt(np.diag(_inverse(np.atleast_2d(H))))
    return errors


_STEP = np.finfo(np.float64).eps ** (1 / 3)  # balances the two errors of a central difference


def _inverse(H: Vector) -> Vector:
    """Return the inverse of the symmetric part of H, scaled to a unit diagonal on the way."""
    H = (H + H.T) / 2
    if np.isfinite(H).all() and (np.diag(H) > 0).all():
        d = 1 / np.sqrt(np.diag(H))
        values, vectors = np.linalg.eigh(d[:, None] * H * d)
        # Below that an eigenvalue is an error of the differences, about the square of the step.
        if values[0] > len(H) * _STEP**2:
            inverse: Vector = d[:, None] * ((vectors / values) @ vectors.T) * d
            return inverse
    raise ValueError(
        "the Hessian at the result is not positive definite in the variables that are not at a "
        "bound: the data do not determine all of them, or the result is no minimum"
    )
