"""The options of a run, checked, as the core takes them."""

from __future__ import annotations

import functools
import math
from typing import Any

from lbfgsb._numbers import as_integer, as_number


def as_options(**options: Any) -> dict[str, Any]:
    """Check the options of `minimize_lbfgsb` for the core and return them as it takes them.

    Those who run many small problems give the same options each time: the answer is remembered.

    Raises
    ------
    TypeError, ValueError
        With the name of the option, what was expected and what came.
    """
    try:
        return _remembered(**options)
    except TypeError:  # something in it has no hash: an array of one element, say
        return _check(**options)


def _check(
    *,
    maxcor: int = 10,
    ftarget: float | None = None,
    ftol: float = 1e-5,
    gtol: float = 1e-5,
    maxiter: int = 50,
    maxfun: int = 15000,
    maxls: int = 20,
    max_steplength: float = 1e8,
    ftol_linesearch: float = 1e-3,
    gtol_linesearch: float = 0.9,
    xtol_linesearch: float = 0.1,
    eps_SY: float = 2.2e-16,
    is_check_factorizations: bool = False,
    threads: int = 1,
) -> dict[str, Any]:
    c1 = as_number("ftol_linesearch", ftol_linesearch)
    c2 = as_number("gtol_linesearch", gtol_linesearch)
    if not 0 < c1 < c2 < 1:
        raise ValueError(
            "the line search needs 0 < ftol_linesearch < gtol_linesearch < 1; "
            f"got ftol_linesearch={c1}, gtol_linesearch={c2}"
        )
    target = -math.inf if ftarget is None else as_number("ftarget", ftarget, -math.inf)
    steplength = as_number("max_steplength", max_steplength)
    if steplength == 0:
        raise ValueError("max_steplength must be positive; got 0")
    return {
        "maxcor": as_integer("maxcor", maxcor, 1),
        "ftarget": target,
        "ftol": as_number("ftol", ftol),
        "gtol": as_number("gtol", gtol),
        "maxiter": as_integer("maxiter", maxiter, 0),
        "maxfun": as_integer("maxfun", maxfun, 0),
        "maxls": as_integer("maxls", maxls, 1),
        "max_steplength": steplength,
        "ftol_linesearch": c1,
        "gtol_linesearch": c2,
        "xtol_linesearch": as_number("xtol_linesearch", xtol_linesearch),
        "eps_SY": as_number("eps_SY", eps_SY),
        "threads": min(as_integer("threads", threads, 1), 2**16),
        "check": bool(is_check_factorizations),
    }


_remembered = functools.lru_cache(maxsize=32, typed=True)(_check)
