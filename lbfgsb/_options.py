"""The options of a run, checked, as the core takes them."""

from __future__ import annotations

import functools
from typing import Any

from lbfgsb._core.options import EXPECTED, CheckedOptions, defaults
from lbfgsb._numbers import as_integer, as_number, as_precision

_DEFAULTS = defaults()
_NAMES = [name for name in _DEFAULTS if name not in ("check", "compact")]
_MOST = 2**31 - 1  # what the core's int holds


def as_options(**options: Any) -> CheckedOptions:
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
    ftarget: float | None = None,
    fun_precision: float | None = None,
    is_check_factorizations: bool = False,
    **options: Any,
) -> CheckedOptions:
    values = _DEFAULTS | {
        "check": bool(is_check_factorizations),
        "fun_precision": as_precision(fun_precision),
    }
    for name, value in options.items():
        if name not in _NAMES:
            raise TypeError(f"{name!r} is no option; the options are {', '.join(_NAMES)}")
        if isinstance(_DEFAULTS[name], int):
            values[name] = as_integer(name, value, None)
        else:
            values[name] = as_number(name, value, None)
    if ftarget is not None:
        values["ftarget"] = as_number("ftarget", ftarget, None)
    values["threads"] = min(values["threads"], _MOST)
    try:
        return CheckedOptions(values)
    except ValueError as error:
        (name,) = error.args
    if name == "ftol_linesearch":
        c1, c2 = values["ftol_linesearch"], values["gtol_linesearch"]
        raise ValueError(
            f"the line search needs {EXPECTED[name]}; "
            f"got ftol_linesearch={c1}, gtol_linesearch={c2}"
        )
    raise ValueError(f"{name} must be {EXPECTED[name]}; got {values[name]:g}")


_remembered = functools.lru_cache(maxsize=32, typed=True)(_check)
