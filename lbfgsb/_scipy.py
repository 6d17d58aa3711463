"""SciPy's private parts that lbfgsb uses: all of them, named in this file and in no other.

Each is looked up when it is first used. In a SciPy that lacks one, only what needs it fails, and
says what is missing.

>>> from lbfgsb import _scipy
>>> _scipy.approx_derivative(lambda x: x[0] ** 2, [3.0], method="3-point").round(6)
array([6.])
"""

from __future__ import annotations

import pkgutil
from typing import Any

import scipy

_PRIVATE = {
    "approx_derivative": "scipy.optimize._numdiff:approx_derivative",
    "lbfgsb_py": "scipy.optimize._lbfgsb_py",
    "memoize_jac": "scipy.optimize._optimize:MemoizeJac",
    "minimize": "scipy.optimize._minimize",
    "minimize_lbfgsb": "scipy.optimize._lbfgsb_py:_minimize_lbfgsb",
    "wrap_callback": "scipy.optimize._minimize:_wrap_callback",
}


def __getattr__(name: str) -> Any:
    if name not in _PRIVATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = find(_PRIVATE[name])
    globals()[name] = value  # the next time it is found without this function
    return value


def find(place: str) -> Any:
    """Return a module of SciPy, or ``module:name`` of it.

    Raises
    ------
    ImportError
        If the installed SciPy has none; it says what is missing.
    """
    try:
        return pkgutil.resolve_name(place)
    except (ImportError, AttributeError) as error:
        raise ImportError(
            f"this needs {place.replace(':', '.')}, a private part of SciPy, and SciPy "
            f"{scipy.__version__} has none"
        ) from error
