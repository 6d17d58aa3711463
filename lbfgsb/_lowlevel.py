"""Compiled objectives: a `scipy.LowLevelCallable`, checked, as the core takes it.

A `LowLevelCallable` holds a function pointer, a data pointer, and the function's C signature as
text, spelled by whoever made it: ctypes and Numba write ``long`` where Cython writes
``Py_ssize_t`` and cffi ``intptr_t``. The call is right if the types have the right size and kind.
"""

from __future__ import annotations

import ctypes
import functools
import re
from types import FunctionType
from typing import Any

from scipy import LowLevelCallable

from lbfgsb._core.objective import CompiledObjective, quote

SIGNATURE = "int (intptr_t, double *, double *, double *, void *)"

_CFunction: Any = ctypes._CFuncPtr  # type: ignore[attr-defined]  # what all of ctypes are
_SIZES_OF_A_POINTER = frozenset(
    ["intptr_t", "Py_ssize_t", "ssize_t", "ptrdiff_t", "npy_intp", "Py_intptr_t"]
)
_INTEGERS = {
    "long": ctypes.sizeof(ctypes.c_long),
    "long int": ctypes.sizeof(ctypes.c_long),
    "long long": ctypes.sizeof(ctypes.c_longlong),
    "long long int": ctypes.sizeof(ctypes.c_longlong),
    "longlong": ctypes.sizeof(ctypes.c_longlong),  # ctypes
    "PY_LONG_LONG": ctypes.sizeof(ctypes.c_longlong),  # Cython
    "int64_t": 8,
    "npy_int64": 8,
    "int": ctypes.sizeof(ctypes.c_int),
    "int32_t": 4,
}


def is_compiled(fun: object) -> bool:
    """Return whether `fun` is a compiled objective."""
    return isinstance(fun, LowLevelCallable)


def check_fun(fun: object) -> None:
    """Refuse what is no Python objective, and compiled functions that are not wrapped as such.

    Raises
    ------
    TypeError
    """
    if type(fun) is FunctionType:
        return
    if not callable(fun):
        raise TypeError(f"fun must be callable or a LowLevelCallable; got {quote(fun)}")
    kind, kind_of, wrapped = type(fun), "", ""
    if isinstance(fun, _CFunction):
        # One of a single argument, made to take an array, is called as any Python function is.
        argtypes: Any = getattr(fun, "argtypes", None)
        if len(argtypes or ()) != 1:
            kind_of, wrapped = "a function of ctypes", "fun"
    elif kind.__module__ == "_cffi_backend":
        kind_of, wrapped = "a function of cffi", "fun"
    elif hasattr(fun, "address") and hasattr(fun, "ctypes"):
        kind_of, wrapped = "a C callback of Numba", "fun.ctypes"
    if wrapped:
        raise TypeError(
            f"fun is {kind_of}, which Python can't call with an array; a compiled objective is "
            f"given as scipy.LowLevelCallable({wrapped}), with the signature '{SIGNATURE}', that "
            "is (n, x, f, g, data)"
        )


def as_compiled(fun: LowLevelCallable, jac: Any = True) -> CompiledObjective:
    """Return a compiled objective as the core takes it.

    Parameters
    ----------
    fun : scipy.LowLevelCallable
        With the signature ``int (intptr_t, double *, double *, double *, void *)``: n, x, f, g,
        data.
    jac : None or True
        The function writes the gradient too.

    Raises
    ------
    ValueError
        If the signature is another one, or `jac` asks for another gradient.
    """
    if jac is not None and jac is not True:
        raise ValueError(
            "with a LowLevelCallable as fun, jac must be None or True: the function writes the "
            f"gradient itself; got {quote(jac)}"
        )
    capsule = tuple.__getitem__(fun, 0)
    wrong = _what_is_wrong(fun.signature)
    if wrong:
        raise ValueError(
            f"fun must be a LowLevelCallable with the signature '{SIGNATURE}', that is "
            f"(n, x, f, g, data); got '{fun.signature}': {wrong}"
        )
    return CompiledObjective(capsule, fun)


@functools.lru_cache(maxsize=64)
def _what_is_wrong(signature: str | None) -> str:
    """Say what makes a signature another one than ours; empty if nothing does."""
    match = re.fullmatch(r"(.*?)\((.*)\)", signature or "", re.DOTALL)
    if match is None:
        return "it is not the signature of a function"
    returned = _plain(match[1])
    arguments = [_plain(argument) for argument in match[2].split(",")]
    if _INTEGERS.get(returned) != ctypes.sizeof(ctypes.c_int):
        return f"it must return int, not {returned or 'nothing'}"
    if len(arguments) != 5:
        return f"it must take 5 arguments, not {len(arguments)}"
    n, *pointers, data = arguments
    if n not in _SIZES_OF_A_POINTER and _INTEGERS.get(n) != ctypes.sizeof(ctypes.c_void_p):
        return f"n must be a signed integer as large as a pointer, not {n}"
    for name, pointer in zip("xfg", pointers, strict=True):
        if pointer != "double *":
            return f"{name} must be double *, not {pointer}"
    if not data.endswith("*"):
        return f"data must be a pointer, not {data}"
    return ""


def _plain(argument: str) -> str:
    """Return a C type without qualifiers, in one spelling."""
    argument = re.sub(r"\b(const|volatile|restrict|__restrict|__restrict__)\b", " ", argument)
    argument = re.sub(r"\[\s*\]", "*", argument)
    argument = re.sub(r"\bsigned\b", " ", argument)
    return " ".join(argument.replace("*", " * ").split()).replace("* *", "**")
