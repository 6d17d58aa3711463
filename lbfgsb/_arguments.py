"""``fun(x, *args)``, x in a shape of the user's, as the function of x (n,) that is minimised."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from lbfgsb._core.objective import describe
from lbfgsb._types import Vector

Shape = tuple[int, ...]


def of_x_alone(fun: Any, jac: Any, args: Any, x_shape: Any, n: int) -> tuple[Any, Any]:
    """Return `fun` and `jac` as functions of x, shape (n,), alone.

    Parameters
    ----------
    fun : callable
        ``fun(x, *args)``.
    jac : callable, bool, str or None
        ``jac(x, *args)``; True: `fun` returns the gradient too. What else it is stays as it is.
    args : tuple, or anything else, which is one argument
    x_shape : None, or tuple of int
        The shape in which both get x. A gradient of that shape comes back as one of shape (n,).
    n : int

    Raises
    ------
    TypeError, ValueError
        If `x_shape` is no shape, or one of another number of elements.
    """
    if not isinstance(args, tuple):
        args = (args,)
    shape = None if x_shape is None else _as_shape(x_shape, n)
    if not args and shape is None:
        return fun, jac
    if callable(jac):
        jac = _Gradient(jac, args, shape)
    elif isinstance(jac, (bool, np.bool_)) and jac:
        return _Pair(fun, args, shape), jac
    return _Function(fun, args, shape), jac


def no_arguments(args: Any, x_shape: Any) -> None:
    """Refuse what a compiled objective can't be given.

    Raises
    ------
    ValueError
    """
    if not isinstance(args, tuple) or args:
        raise ValueError(
            "args must be empty with a LowLevelCallable as fun, which gets its data through its "
            "own user_data"
        )
    if x_shape is not None:
        raise ValueError("x_shape must be None with a LowLevelCallable as fun: it gets a pointer")


def _as_shape(x_shape: Any, n: int) -> Shape:
    try:
        shape = tuple(operator.index(length) for length in x_shape)
    except TypeError:
        raise TypeError(f"x_shape must be a tuple of integers; got {describe(x_shape)}") from None
    if min(shape, default=1) < 0 or math.prod(shape) != n:
        raise ValueError(f"x_shape must hold the {n} elements of x0; got {shape}")
    return shape


class _Function:
    """``function(x in its shape, *args)``; picklable if what it holds is, for `workers`."""

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], shape: Shape | None):
        self.function, self.args, self.shape = function, args, shape

    def __call__(self, x: Vector) -> Any:
        return self.function(x if self.shape is None else x.reshape(self.shape), *self.args)


class _Gradient(_Function):
    def __call__(self, x: Vector) -> Any:
        return _flat(super().__call__(x), self.shape)


class _Pair(_Function):
    def __call__(self, x: Vector) -> Any:
        pair = super().__call__(x)
        if self.shape is None or not isinstance(pair, (tuple, list)) or len(pair) != 2:
            return pair  # if it is none, who asked for it says so
        return pair[0], _flat(pair[1], self.shape)


def _flat(g: Any, shape: Shape | None) -> Any:
    """Return a gradient in the shape of x as one of shape (n,); anything else as it is."""
    if shape is None:
        return g
    if not hasattr(g, "shape"):
        g = np.asarray(g)
    return g.reshape(-1) if tuple(g.shape) == shape else g
