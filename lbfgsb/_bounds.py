"""The start and the box: what the user passed, as arrays the core can read.

The problem is to minimise f(x) subject to l ≤ x ≤ u. This module turns ``x0`` into one
contiguous float64 vector and ``bounds``, in any form that SciPy's users know, into l and u.
Everything that could be wrong with them is found here, before f is evaluated for the first time.

It also holds the optimality measure of the box-constrained problem, the infinity norm of the
projected gradient P(x − g) − x (Byrd, Lu, Nocedal, Zhu 1995, eq. 6.1).
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import Bounds

from lbfgsb._core.box import all_finite, kind_of_box
from lbfgsb._core.objective import describe, is_plain_start, plain_pairs
from lbfgsb._types import Vector

_REAL_KINDS = frozenset("fiub")
_INF = float("inf")


def as_start(x0: ArrayLike, copy: bool = True, name: str = "x0") -> Vector:
    """Return the starting point as a vector.

    Parameters
    ----------
    x0 : array_like
        n real numbers of any dtype. A scalar is a problem with n = 1; an array of more than one
        dimension is flattened, row by row.
    copy : bool, default True
        Return a fresh vector. If False, what is returned may be `x0` itself and is only to be
        read: for a solver, which copies it anyway.
    name : str, default 'x0'
        What its caller calls it.

    Returns
    -------
    ndarray of float64, shape (n,)
        C-contiguous.

    Raises
    ------
    TypeError
        If `x0` is complex or is not made of numbers.
    ValueError
        If `x0` is empty, or holds NaN or infinity.

    Examples
    --------
    >>> as_start([1, 2, 3])
    array([1., 2., 3.])
    >>> as_start(0.5)
    array([0.5])
    """
    if not copy and is_plain_start(x0):
        return cast(Vector, x0)
    a = _as_array(name, x0, "a vector of real numbers")
    if a.size == 0:
        raise ValueError(f"{name} cannot be an empty vector! It has shape {a.shape}.")
    return _as_finite(name, x0, a.reshape(-1), copy)


def as_starts(x0: ArrayLike, copy: bool = True, name: str = "x0") -> Vector:
    """Return the starting points of a batch as an array.

    Parameters
    ----------
    x0 : array_like, shape (B, n)
        Real numbers of any dtype.
    copy : bool, default True
    name : str, default 'x0'
        As for `as_start`.

    Returns
    -------
    ndarray of float64, shape (B, n)
        C-contiguous.

    Raises
    ------
    TypeError
        If `x0` is complex or is not made of numbers.
    ValueError
        If `x0` is empty, has other than two dimensions, or holds NaN or infinity.
    """
    a = _as_array(name, x0, "an array of real numbers")
    if a.ndim != 2 or a.size == 0:
        raise ValueError(
            f"{name} must have the shape (B, n), a row for each problem, B and n at least 1; "
            f"it has shape {a.shape}."
        )
    return _as_finite(name, x0, a, copy)


def _as_finite(name: str, given: ArrayLike, a: NDArray[Any], copy: bool) -> Vector:
    """Return `a`, made of what was `given`, as a float64 array of finite numbers."""
    kind = a.dtype.kind
    if kind == "c":
        raise TypeError(f"{name} must be real; it has the complex dtype {a.dtype}.")
    if kind not in _REAL_KINDS:
        raise TypeError(f"{name} must be an array of real numbers; got {describe(given)}.")
    is_fit = a.dtype == np.float64 and a.flags.c_contiguous and a.flags.aligned
    x = _to_float64(a) if copy or not is_fit else a
    if not all_finite(x.reshape(-1)):
        bad = np.argwhere(~np.isfinite(x))
        first = ", ".join(map(str, bad[0]))
        raise ValueError(
            f"{name} must be finite; {len(bad)} of its {x.size} values are NaN or infinite, "
            f"the first is {name}[{first}] = {x[tuple(bad[0])]}."
        )
    return x


def as_bounds(bounds: Any, n: int) -> tuple[Vector, Vector] | tuple[None, None]:
    """Return the lower and upper bounds as fresh vectors.

    Parameters
    ----------
    bounds : scipy.optimize.Bounds, sequence of (min, max), ndarray of shape (n, 2), or None
        In a `Bounds`, scalars hold for every variable and ``keep_feasible`` is of no account,
        since every point is feasible. In pairs, ``None`` and ±inf mean that there is no bound.
    n : int
        The number of variables.

    Returns
    -------
    lower, upper : ndarray of float64, shape (n,), or None
        Contiguous copies; both None if no bound is finite, so that bounds which cannot bind
        cost nothing later.

    Raises
    ------
    TypeError
        If `bounds` is not made of real numbers and None.
    ValueError
        If `bounds` is not n pairs, if a bound is NaN, if a lower bound exceeds its upper bound,
        or if a lower bound is +inf or an upper bound −inf.

    Examples
    --------
    >>> lower, upper = as_bounds([(0, None), (None, 5)], 2)
    >>> lower, upper
    (array([  0., -inf]), array([inf,  5.]))
    >>> as_bounds([(None, None), (-np.inf, np.inf)], 2)
    (None, None)
    """
    if bounds is None:
        return None, None
    if isinstance(bounds, Bounds):
        lower = _broadcast("lb", bounds.lb, n, -_INF)
        upper = _broadcast("ub", bounds.ub, n, _INF)
    else:
        lower, upper = _split_pairs(bounds, n)

    kind = kind_of_box(lower, upper)
    if kind == "invalid":
        raise ValueError(_what_is_wrong(lower, upper))
    return (lower, upper) if kind == "bounded" else (None, None)


def as_bound_rows(bounds: Any, count: int, n: int) -> tuple[Vector, Vector] | tuple[None, None]:
    """Return the lower and upper bounds of a batch as fresh arrays.

    Parameters
    ----------
    bounds : scipy.optimize.Bounds, array_like of shape (n, 2) or (B, n, 2), or None
        For all problems, or for each. The sides of a `Bounds` may have the shape (B, n).
    count, n : int
        B, the number of problems, and the number of variables of each.

    Returns
    -------
    lower, upper : ndarray of float64, shape (1, n) or (B, n), or None
        One row if all problems have the same bounds; None if no bound is finite.

    Raises
    ------
    TypeError, ValueError
        As `as_bounds`.
    """
    if bounds is None:
        return None, None
    if isinstance(bounds, Bounds):
        if max(np.ndim(bounds.lb), np.ndim(bounds.ub)) < 2:
            return _one_row(*as_bounds(bounds, n))
        a = _stack_sides(bounds, count, n)
    else:
        a = _as_array("bounds", bounds, f"({n}, 2) or ({count}, {n}, 2) numbers")
        if a.ndim != 3:
            return _one_row(*as_bounds(bounds, n))
    if a.shape != (count, n, 2):
        raise ValueError(
            f"bounds must have the shape ({n}, 2) or ({count}, {n}, 2); its shape is {a.shape}."
        )
    lower, upper = as_bounds(a.reshape(count * n, 2), count * n)
    if lower is None or upper is None:
        return None, None
    return lower.reshape(count, n), upper.reshape(count, n)


def _stack_sides(bounds: Bounds, count: int, n: int) -> Vector:
    """Return the pairs, (B, n, 2), of a `Bounds` whose sides have rows."""
    sides = [
        as_reals(f"bounds.{name}", _as_array(f"bounds.{name}", side, "an array"), no_bound)
        for name, side, no_bound in (("lb", bounds.lb, -_INF), ("ub", bounds.ub, _INF))
    ]
    try:
        rows = [np.broadcast_to(side, (count, n)) for side in sides]
    except ValueError as error:
        raise ValueError(
            f"bounds.lb and bounds.ub must be scalars or have the shape ({n},) or ({count}, {n}); "
            f"their shapes are {sides[0].shape} and {sides[1].shape}."
        ) from error
    return np.stack(rows, axis=-1)


def _one_row(
    lower: Vector | None, upper: Vector | None
) -> tuple[Vector, Vector] | tuple[None, None]:
    return (None, None) if lower is None or upper is None else (lower[None], upper[None])


def as_scale(x_scale: ArrayLike | None, n: int) -> Vector | None:
    """Return the typical sizes of the variables as a fresh vector.

    Parameters
    ----------
    x_scale : float or array_like of shape (n,), or None
    n : int
        The number of variables.

    Returns
    -------
    ndarray of float64, shape (n,), or None
        None if nothing is scaled: for None and where all are 1.

    Raises
    ------
    TypeError
        If `x_scale` is not made of real numbers.
    ValueError
        If it has another shape, or an element is not positive and finite.

    Examples
    --------
    >>> as_scale(10, 2), as_scale([1, 1], 2)
    (array([10., 10.]), None)
    """
    if x_scale is None:
        return None
    a = _as_array("x_scale", x_scale, "a positive number or a vector of them")
    if a.dtype.kind not in _REAL_KINDS:
        raise TypeError(f"x_scale must be made of real numbers; got {describe(x_scale)}.")
    if a.shape not in ((), (1,), (n,)):
        raise ValueError(
            f"x_scale must be a positive number or have the shape ({n},) of x0; "
            f"its shape is {a.shape}."
        )
    scale = np.array(np.broadcast_to(_to_float64(a), (n,)))
    is_good = (scale > 0) & np.isfinite(scale)
    if not is_good.all():
        i = int(np.flatnonzero(~is_good)[0])
        raise ValueError(f"x_scale must be positive and finite; x_scale[{i}] is {scale[i]}.")
    return None if (scale == 1).all() else scale


def get_grad_projection_inf_norm(
    x: ArrayLike,
    grad: ArrayLike,
    lbounds: ArrayLike | None,
    ubounds: ArrayLike | None,
) -> float:
    """Return the infinity norm of the projected gradient.

    It is ``max |x − clip(x − grad, lbounds, ubounds)|``: zero exactly where no feasible
    direction descends, and the quantity that ``gtol`` is compared with.

    Parameters
    ----------
    x, grad : array_like, shape (n,)
        A feasible point and the gradient there.
    lbounds, ubounds : array_like, shape (n,), or float or None
        The bounds; None where there are none.

    Returns
    -------
    float
        The norm; 0.0 for n = 0, NaN if `x` or `grad` holds NaN.

    Examples
    --------
    At x = (0, 1) in the unit box both components of the gradient push out of the box:

    >>> get_grad_projection_inf_norm([0.0, 1.0], [3.0, -2.0], 0.0, 1.0)
    0.0
    >>> get_grad_projection_inf_norm([0.0, 1.0], [3.0, -2.0], None, None)
    3.0
    """
    point = np.asarray(x, dtype=np.float64)
    moved = point - np.asarray(grad, dtype=np.float64)
    if lbounds is not None:
        moved = np.maximum(moved, lbounds)
    if ubounds is not None:
        moved = np.minimum(moved, ubounds)
    if moved.size == 0:
        return 0.0
    return float(np.max(np.abs(point - moved)))


def _as_array(name: str, value: Any, expected: str) -> NDArray[Any]:
    try:
        return np.asarray(value)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} must be {expected}; got {describe(value)}, which NumPy cannot make an array."
        ) from error


def _to_float64(a: NDArray[Any]) -> Vector:
    """Return a contiguous float64 copy of a numeric array."""
    if a.dtype.itemsize <= 8:
        return np.array(a, dtype=np.float64, order="C")
    # A long double beyond float64's range becomes inf: for the checks to judge, not to warn of.
    with np.errstate(over="ignore"):
        return np.array(a, dtype=np.float64, order="C")


def as_reals(name: str, a: NDArray[Any], no_bound: float | tuple[float, float]) -> Vector:
    """Return the argument `name`, `a`, as a fresh float64 array, `no_bound` in the places of None.

    NumPy's own conversion turns None into NaN; here a NaN stays an error of the user's, so
    the Nones are looked up first and everything else is converted without them.
    """
    kind = a.dtype.kind
    if kind in _REAL_KINDS:
        return _to_float64(a)
    if kind == "O":
        none: Any = None  # NumPy's stubs don't know that an object array compares with it.
        given = np.not_equal(a, none)
        # Converted afresh from a list, the numbers show their common type: text and complex
        # numbers don't pass for floats as they would in astype.
        numbers = np.asarray(a[given].tolist())
        if numbers.size == 0 or numbers.dtype.kind in "fiubO":
            out = np.empty(a.shape)
            out[...] = no_bound
            try:
                out[given] = numbers
            except (TypeError, ValueError, OverflowError) as error:
                raise TypeError(
                    f"{name} must be made of real numbers and None: {error}."
                ) from error
            return out
        kind = numbers.dtype.kind
    what = "complex numbers" if kind == "c" else f"values of dtype {a.dtype}"
    raise TypeError(f"{name} must be made of real numbers and None; it holds {what}.")


def _broadcast(side: str, value: Any, n: int, no_bound: float) -> Vector:
    """Return one side of a `Bounds` as a fresh (n,) vector."""
    if type(value) is np.ndarray and value.dtype == np.float64 and value.shape == (n,):
        return value.copy()  # the usual case, which small problems are glad of
    name = f"bounds.{side}"
    a = as_reals(name, _as_array(name, value, "an array of real numbers"), no_bound)
    if a.shape == (n,):
        return a
    if a.size == 1:
        return np.full(n, a.item())
    raise ValueError(
        f"{name} must be a scalar or have the length of x0; "
        f"its shape is {a.shape} and x0 has {n} element{'s' if n != 1 else ''}."
    )


def _split_pairs(bounds: Any, n: int) -> tuple[Vector, Vector]:
    """Return the two columns of n pairs as fresh vectors."""
    plain = plain_pairs(bounds, n)
    if plain is not None:
        return plain
    a = _as_array("bounds", bounds, f"a pair (min, max) for each of the {n} elements of x0")
    if a.shape != (n, 2):
        raise ValueError(_what_is_wrong_with_shape(bounds, a, n))
    if a.dtype.kind != "f":
        a = as_reals("bounds", a, (-_INF, _INF))
    return _to_float64(a[:, 0]), _to_float64(a[:, 1])


def _what_is_wrong_with_shape(bounds: Any, a: NDArray[Any], n: int) -> str:
    if a.ndim == 2 and a.shape[1] == 2:
        return (
            "The length of bounds must be that of x0: "
            f"bounds has {a.shape[0]} (min, max) pairs, x0 has {n} elements."
        )
    expected = f"bounds must be a pair (min, max) for each element of x0, ({n}, 2) in all"
    if a.ndim == 0:
        return f"{expected}, or scipy.optimize.Bounds; got {describe(bounds)}."
    hint = ""
    if a.shape == (2, n):
        hint = " For separate lower and upper bounds use scipy.optimize.Bounds(lower, upper)."
    return f"{expected}; its shape is {a.shape}.{hint}"


def _what_is_wrong(lower: Vector, upper: Vector) -> str:
    """Word the error for bounds known to be invalid."""
    n = lower.size
    for mask, said in (
        (
            np.isnan(lower) | np.isnan(upper),
            "A bound must not be NaN (no bound is None or infinite).",
        ),
        (lower > upper, "One of the lower bounds is greater than an upper bound."),
        (lower == _INF, "A lower bound must not be +inf (no bound is None or -inf)."),
        (upper == -_INF, "An upper bound must not be -inf (no bound is None or inf)."),
    ):
        where = np.flatnonzero(mask)
        if where.size:
            i = where[0]
            return (
                f"{said} That is so in {where.size} of the {n} pairs in bounds, "
                f"the first at index {i}: ({lower[i]}, {upper[i]})."
            )
    raise AssertionError("the bounds are valid")
