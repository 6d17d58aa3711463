"""Test functions for optimisers, and their gradients.

Each function takes a vector x of n real (or complex, for the complex step) numbers and returns a
scalar; ``NAME_grad`` returns its gradient, of shape (n,). Where the literature states a function
for a fixed n it is extended as a chain over neighbouring elements (Beale, Rosenbrock).

========================  =============================================  =====================
function                  minimiser, minimum                             character
========================  =============================================  =====================
`ackley`                  x = 0, 0                                       multimodal; a cone at 0
`beale`                   (3, 0.5) for n = 2, 0                          flat valleys
`griewank`                x = 0, 0                                       multimodal
`quartic`                 x = 0, 0                                       singular Hessian at 0
`rastrigin`               x = 0, 0                                       multimodal
`rosenbrock`              x = 1, 0                                       curved narrow valley
`sphere`                  x = 0, 0                                       convex quadratic
`styblinski_tang`         x = −2.903534, −1.7e-4·n                       multimodal
========================  =============================================  =====================

References
----------
.. [1] J. J. Moré, B. S. Garbow, K. E. Hillstrom, "Testing unconstrained optimization software",
       ACM Trans. Math. Softw. 7 (1981), 17-41 (Beale, Rosenbrock).
.. [2] M. Jamil, X.-S. Yang, "A literature survey of benchmark functions for global optimization
       problems", Int. J. Math. Model. Numer. Optim. 4 (2013), 150-194.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import LowLevelCallable

__all__ = [
    "ackley",
    "ackley_grad",
    "beale",
    "beale_grad",
    "compiled_rosenbrock",
    "griewank",
    "griewank_grad",
    "quartic",
    "quartic_grad",
    "rastrigin",
    "rastrigin_grad",
    "rosenbrock",
    "rosenbrock_fun_and_grad",
    "rosenbrock_grad",
    "sphere",
    "sphere_grad",
    "styblinski_tang",
    "styblinski_tang_grad",
]

_TAU = 2.0 * np.pi

#: `rosenbrock` and its gradient as a compiled function: a `scipy.LowLevelCallable`.
compiled_rosenbrock: LowLevelCallable


def __getattr__(name: str) -> LowLevelCallable:
    # Made when it is asked for: where cffi is installed, SciPy has it read the signature, which
    # takes tens of milliseconds. And tools/bench/environments.py loads this file where there is no
    # compiled core.
    if name != "compiled_rosenbrock":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from lbfgsb._core import measure as compiled

    made = LowLevelCallable.from_cython(compiled, "rosenbrock")
    globals()[name] = made
    return made


# −min of (t⁴ − 16 t² + 5 t)/2 is 39.16616570…; lbfgsb 1.1 lifts the function by this number, and
# so do we, to give the same values.
_STYBLINSKI_TANG_LIFT = 39.16599


def _inexact(x: ArrayLike) -> NDArray[Any]:
    """Return x as an array of floating-point or complex numbers, not copied if it is one."""
    a = np.asarray(x)
    return a if a.dtype.kind in "fc" else a.astype(np.float64)


def ackley(x: ArrayLike) -> float:
    """Ackley's function, 20 + e − 20 exp(−r/5) − exp(mean cos 2πxᵢ) with r² = mean xᵢ².

    Parameters
    ----------
    x : array_like, shape (n,)

    Returns
    -------
    float

    Examples
    --------
    >>> round(float(ackley([1.0, 1.0])), 6)
    3.625385
    """
    x = _inexact(x)
    radius = np.sqrt(np.mean(x * x))
    waves = np.mean(np.cos(_TAU * x))
    value: float = 20.0 + np.e - 20.0 * np.exp(-0.2 * radius) - np.exp(waves)
    return value


def ackley_grad(x: ArrayLike) -> NDArray[Any]:
    """Gradient of `ackley`.

    At x = 0, the tip of a cone, there is none; 0 is returned, the element of the subdifferential
    that says that this is a minimum.

    Parameters
    ----------
    x : array_like, shape (n,)

    Returns
    -------
    ndarray, shape (n,)

    Examples
    --------
    >>> ackley_grad([0.0, 0.0])
    array([0., 0.])
    """
    x = _inexact(x)
    n = x.size
    radius = np.sqrt(np.mean(x * x))
    waves = np.mean(np.cos(_TAU * x))
    grad: NDArray[Any] = np.exp(waves) * (_TAU / n) * np.sin(_TAU * x)
    if radius != 0.0:
        grad += (4.0 / n) * np.exp(-0.2 * radius) * (x / radius)
    return grad


def beale(x: ArrayLike) -> float:
    """Beale's function, chained: Σᵢ Σₖ (cₖ − xᵢ (1 − xᵢ₊₁ᵏ))² with c = 1.5, 2.25, 2.625.

    Parameters
    ----------
    x : array_like, shape (n,)

    Returns
    -------
    float

    Examples
    --------
    >>> float(beale([3.0, 0.5]))
    0.0
    """
    x = _inexact(x)
    a, b = x[:-1], x[1:]
    r1 = 1.5 - a * (1.0 - b)
    r2 = 2.25 - a * (1.0 - b * b)
    r3 = 2.625 - a * (1.0 - b * b * b)
    value: float = np.sum(r1 * r1 + r2 * r2 + r3 * r3)
    return value


def beale_grad(x: ArrayLike) -> NDArray[Any]:
    """Gradient of `beale`.

    Parameters
    ----------
    x : array_like, shape (n,)

    Returns
    -------
    ndarray, shape (n,)

    Examples
    --------
    >>> beale_grad([3.0, 0.0])
    array([ 5.25, -9.  ])
    """
    x = _inexact(x)
    a, b = x[:-1], x[1:]
    b2 = b * b
    b3 = b2 * b
    r1 = 1.5 - a * (1.0 - b)
    r2 = 2.25 - a * (1.0 - b2)
    r3 = 2.625 - a * (1.0 - b3)
    grad = np.zeros_like(x)
    grad[:-1] -= 2.0 * ((1.0 - b) * r1 + (1.0 - b2) * r2 + (1.0 - b3) * r3)
    grad[1:] += 2.0 * a * (r1 + 2.0 * b * r2 + 3.0 * b2 * r3)
    return grad


def griewank(x: ArrayLike) -> float:
    """Griewank's function, 1 + Σ xᵢ²/4000 − Π cos(xᵢ/√i), i = 1, …, n.

    Parameters
    ----------
    x : array_like, shape (n,)

    Returns
    -------
    float

    Examples
    --------
    >>> float(griewank([0.0, 0.0, 0.0]))
    0.0
    """
    x = _inexact(x)
    root = np.sqrt(np.arange(1.0, x.size + 1.0))
    value: float = 1.0 + np.sum(x * x) / 4000.0 - np.prod(np.cos(x / root))
    return value


def griewank_grad(x: ArrayLike) -> NDArray[Any]:
    """Gradient of `griewank`.

    The product of all cosines but one is the product of those before it and those after it: so
    a cosine that vanishes is no special case.

    Parameters
    ----------
    x : array_like, shape (n,)

    Returns
    -------
    ndarray, shape (n,)

    Examples
    --------
    >>> np.round(griewank_grad([np.pi / 2, 0.0]), 6)
    array([1.000785, 0.      ])
    """
    x = _inexact(x)
    root = np.sqrt(np.arange(1.0, x.size + 1.0))
    angle = x / root
    cosine = np.cos(angle)
    before = np.ones_like(cosine)
    after = np.ones_like(cosine)
    np.cumprod(cosine[:-1], out=before[1:])
    np.cumprod(cosine[:0:-1], out=after[-2::-1])
    grad: NDArray[Any] = x / 2000.0 + before * after * np.sin(angle) / root
    return grad


def quartic(x: ArrayLike) -> float:
    """The quartic function, Σ i xᵢ⁴, i = 1, …, n.

    Parameters
    ----------
    x : array_like, shape (n,)

    Returns
    -------
    float

    Examples
    --------
    >>> float(quartic([1.0, 2.0]))
    33.0
    """
    x = _inexact(x)
    square = x * x
    value: float = np.sum(np.arange(1.0, x.size + 1.0) * square * square)
    return value


def quartic_grad(x: ArrayLike) -> NDArray[Any]:
    """Gradient of `quartic`.

    Parameters
    ----------
    x : array_like, shape (n,)

    Returns
    -------
    ndarray, shape (n,)

    Examples
    --------
    >>> quartic_grad([1.0, 2.0])
    array([ 4., 64.])
    """
    x = _inexact(x)
    grad: NDArray[Any] = 4.0 * np.arange(1.0, x.size + 1.0) * x * x * x
    return grad


def rastrigin(x: ArrayLike) -> float:
    """Rastrigin's function, Σ (10 + xᵢ² − 10 cos 2πxᵢ).

    Parameters
    ----------
    x : array_like, shape (n,)

    Returns
    -------
    float

    Examples
    --------
    >>> float(rastrigin([1.0, 2.0]))
    5.0
    """
    x = _inexact(x)
    value: float = 10.0 * x.size + np.sum(x * x - 10.0 * np.cos(_TAU * x))
    return value


def rastrigin_grad(x: ArrayLike) -> NDArray[Any]:
    """Gradient of `rastrigin`.

    Parameters
    ----------
    x : array_like, shape (n,)

    Returns
    -------
    ndarray, shape (n,)

    Examples
    --------
    >>> np.round(rastrigin_grad([0.25, 0.0]), 6)
    array([63.331853,  0.      ])
    """
    x = _inexact(x)
    return 2.0 * x + 10.0 * _TAU * np.sin(_TAU * x)


def rosenbrock(x: ArrayLike) -> Any:
    """Rosenbrock's function, chained: Σ 100 (xᵢ₊₁ − xᵢ²)² + (1 − xᵢ)².

    Parameters
    ----------
    x : array_like, shape (m,) or (m, k)
        One vector of m variables, or k of them as columns.

    Returns
    -------
    float or ndarray of shape (k,)

    Examples
    --------
    >>> float(rosenbrock([-1.0, 1.0]))
    4.0
    >>> rosenbrock([[-1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
    array([  4.,   0., 101.])
    """
    x = _inexact(x)
    head = x[:-1]
    lack = x[1:] - head * head
    rest = 1.0 - head
    return np.sum(100.0 * lack * lack + rest * rest, axis=0)


def rosenbrock_grad(x: ArrayLike) -> NDArray[Any]:
    """Gradient of `rosenbrock`.

    Parameters
    ----------
    x : array_like, shape (m,) or (m, k)
        One vector of m variables, or k of them as columns.

    Returns
    -------
    ndarray, shape (m,) or (m, k)

    Examples
    --------
    >>> rosenbrock_grad([-1.0, 2.0])
    array([396., 200.])
    """
    x = _inexact(x)
    head = x[:-1]
    lack = x[1:] - head * head
    grad = np.zeros_like(x)
    grad[1:] = 200.0 * lack
    grad[:-1] -= 400.0 * head * lack + 2.0 * (1.0 - head)
    return grad


def rosenbrock_fun_and_grad(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """Chained Rosenbrock function and its gradient in one go, for ``jac=True``.

    Two temporary vectors besides the gradient, and no call into the BLAS, whose threads would
    disturb measurements.

    Parameters
    ----------
    x : ndarray of float64, shape (n,)

    Returns
    -------
    f : float
    g : ndarray of float64, shape (n,)
        A new array at each call.

    Examples
    --------
    >>> f, g = rosenbrock_fun_and_grad(np.array([-1.0, 2.0]))
    >>> f, g
    (104.0, array([396., 200.]))
    """
    head = x[:-1]
    lack = head * head
    np.subtract(x[1:], lack, out=lack)
    rest = 1.0 - head
    f = 100.0 * np.einsum("i,i->", lack, lack) + np.einsum("i,i->", rest, rest)
    g = np.empty_like(x)
    g[:1] = 0.0
    np.multiply(lack, 200.0, out=g[1:])
    lack *= head
    lack *= 400.0
    rest *= 2.0
    lack += rest
    g[:-1] -= lack
    return float(f), g


def sphere(x: ArrayLike) -> float:
    """The sphere function, Σ xᵢ².

    Parameters
    ----------
    x : array_like, shape (n,)

    Returns
    -------
    float

    Examples
    --------
    >>> float(sphere([3.0, 4.0]))
    25.0
    """
    x = _inexact(x)
    value: float = np.sum(x * x)
    return value


def sphere_grad(x: ArrayLike) -> NDArray[Any]:
    """Gradient of `sphere`.

    Parameters
    ----------
    x : array_like, shape (n,)

    Returns
    -------
    ndarray, shape (n,)

    Examples
    --------
    >>> sphere_grad([3.0, 4.0])
    array([6., 8.])
    """
    return 2.0 * _inexact(x)


def styblinski_tang(x: ArrayLike) -> float:
    """The function of Styblinski and Tang, Σ (xᵢ⁴ − 16 xᵢ² + 5 xᵢ)/2, lifted by 39.16599·n.

    Parameters
    ----------
    x : array_like, shape (n,)

    Returns
    -------
    float

    Examples
    --------
    >>> round(float(styblinski_tang([-2.903534, -2.903534])), 4)
    -0.0004
    """
    x = _inexact(x)
    square = x * x
    value: float = (
        0.5 * np.sum(square * square - 16.0 * square + 5.0 * x) + _STYBLINSKI_TANG_LIFT * x.size
    )
    return value


def styblinski_tang_grad(x: ArrayLike) -> NDArray[Any]:
    """Gradient of `styblinski_tang`.

    Parameters
    ----------
    x : array_like, shape (n,)

    Returns
    -------
    ndarray, shape (n,)

    Examples
    --------
    >>> styblinski_tang_grad([0.0, 2.0])
    array([  2.5, -13.5])
    """
    x = _inexact(x)
    grad: NDArray[Any] = 2.0 * x * x * x - 16.0 * x + 2.5
    return grad
