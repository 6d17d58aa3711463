"""A number that the user gave, checked."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from lbfgsb._core.objective import quote


def as_number(name: str, value: Any, least: float | None = 0.0) -> float:
    """Return a real number as a float.

    Parameters
    ----------
    name : str
        Of the argument.
    value : real scalar, or array of one element
    least : float or None, default 0
        It must not be smaller, nor NaN; None: the caller checks the range.

    Raises
    ------
    TypeError, ValueError
        With the name of the argument, what was expected and what came.

    Examples
    --------
    >>> as_number("ftol", 1)
    1.0
    """
    if type(value) is not float:
        if isinstance(value, (str, bytes, bool)):
            raise TypeError(f"{name} must be a real number; got {quote(value)}")
        try:
            value = float(value)
        except (TypeError, ValueError) as error:
            raise TypeError(f"{name} must be a real number; got {quote(value)}") from error
    number: float = value
    if least is not None and not number >= least:
        expected = "a number" if least == -math.inf else f">= {least:g}"
        raise ValueError(f"{name} must be {expected}; got {number}")
    return number


def as_integer(name: str, value: Any, least: int | None) -> int:
    """Return an integer, at most 2**62, which stands for infinity.

    Parameters
    ----------
    name : str
        Of the argument.
    value : int, a float without a fraction, or infinity
    least : int or None
        It must not be smaller; None: the caller checks the range.

    Raises
    ------
    TypeError, ValueError
        With the name of the argument, what was expected and what came.

    Examples
    --------
    >>> as_integer("maxiter", 1e3, 0)
    1000
    """
    if type(value) is not int:
        if isinstance(value, float) and value == math.inf:
            return 2**62
        try:
            number: Any = value
            whole = int(number) if number == int(number) else operator.index(number)
        except (TypeError, ValueError, OverflowError) as error:
            raise TypeError(f"{name} must be an integer; got {quote(value)}") from error
    else:
        whole = value
    if least is not None and whole < least:
        raise ValueError(f"{name} must be at least {least}; got {whole}")
    if -(2**62) <= whole <= 2**62:
        return whole
    return max(-(2**62), min(whole, 2**62))


def as_count(name: str, value: Any, least: int = 1) -> int:
    """Return a number of things as an int; a float is none, nor is a bool.

    Parameters
    ----------
    name : str
        Of the argument.
    value : int
    least : int, default 1
        It must not be smaller.

    Raises
    ------
    TypeError, ValueError
        With the name of the argument, what was expected and what came.

    Examples
    --------
    >>> as_count("every", 3)
    3
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be an integer; got {quote(value)}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}; got {value}")
    return int(value)


def as_precision(fun_precision: Any) -> float:
    """Return the relative precision of f, 0 for None: as its type says."""
    if fun_precision is None:
        return 0.0
    precision = as_number("fun_precision", fun_precision, None)
    if not 0 < precision < 1:
        raise ValueError(f"fun_precision must be between 0 and 1, or None; got {precision}")
    return precision
