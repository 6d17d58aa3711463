"""A number that the user gave, checked."""

from __future__ import annotations

import math
from typing import Any


def as_number(name: str, value: Any, least: float = 0.0) -> float:
    """Return a real number as a float.

    Parameters
    ----------
    name : str
        Of the argument.
    value : real scalar, or array of one element
    least : float, default 0
        It must not be smaller, nor NaN.

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
            raise TypeError(f"{name} must be a real number; got {value!r}")
        try:
            value = float(value)
        except (TypeError, ValueError) as error:
            raise TypeError(f"{name} must be a real number; got {value!r}") from error
    if not value >= least:
        expected = "a number" if least == -math.inf else f">= {least:g}"
        raise ValueError(f"{name} must be {expected}; got {value}")
    return value
