"""The options of a run, checked, as the core takes them."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lbfgsb._core.objective import quote
from lbfgsb._core.options import EXPECTED, CheckedOptions, defaults, same_objects
from lbfgsb._numbers import as_integer, as_number, as_precision

_DEFAULTS = defaults()
_NAMES = [name for name in _DEFAULTS if name not in ("check", "compact")]
_ALL_NAMES = [*_NAMES, "is_check_factorizations"]
_MOST = 2**31 - 1  # what the core's int holds


# Names, values and options of the last call, in one object, so that threads see all or nothing.
_last: list[tuple[tuple[str, ...], tuple[Any, ...], CheckedOptions | None]] = [((), (), None)]


def as_options_again(names: tuple[str, ...], values: tuple[Any, ...]) -> CheckedOptions:
    """Return `as_options` of these, at once if they are the same objects as in the last call.

    They are with those who run many small problems.
    """
    last_names, last_values, last = _last[0]
    if last is not None and names is last_names and same_objects(values, last_values):
        return last
    options = as_options(**dict(zip(names, values, strict=True)))
    _last[0] = names, values, options
    return options


def as_options(**options: Any) -> CheckedOptions:
    """Check the options of `minimize_lbfgsb` for the core and return them as it takes them.

    The answers to the latest are remembered.

    Raises
    ------
    TypeError, ValueError
        With the name of the option, what was expected and what came.
    """
    try:
        return _remembered(**options)
    except TypeError:  # something in it has no hash: an array of one element, say
        return _check(**options)


# What users of other solvers call an option, or look for here.
_ELSEWHERE = {
    "options": "give each option by its own name, say maxiter=100",
    "tol": "the tolerances are ftol and gtol",
    "tolerance": "the tolerances are ftol and gtol",
    "method": "there is one method",
    "hess": "L-BFGS-B uses no Hessian",
    "hessp": "L-BFGS-B uses no Hessian",
    "constraints": "L-BFGS-B knows bounds alone",
    "m": "the number of pairs is maxcor",
    "history_size": "the number of pairs is maxcor",
    "memory": "the number of pairs is maxcor",
    "factr": "ftol is factr * 2.2e-16",
    "pgtol": "its name is gtol",
    "epsilon": "its name is eps",
    "func": "its name is fun",
    "fprime": "its name is jac",
    "approx_grad": "leave jac out for numerical gradients",
    "disp": "callback=lbfgsb.callbacks.Print() shows the run",
    "verbose": "callback=lbfgsb.callbacks.Print() shows the run",
}


def options_of(door: Callable[..., Any]) -> list[str]:
    """Return the names of the arguments of a function that have defaults."""
    return list(door.__kwdefaults__ or ())


def no_such_option(
    name: str, names: Iterable[str], here: Mapping[str, str] | None = None
) -> TypeError:
    """Return the error for an argument that there isn't, with what was meant if that is known.

    Parameters
    ----------
    name : str
    names : iterable of str
        Of the arguments that there are.
    here : dict of str to str, optional
        What one door says of arguments of the others.
    """
    names = list(names)
    said = (here or {}).get(name) or _ELSEWHERE.get(name) or what_was_meant(name, names)
    return TypeError(f"{name!r} is no option; {said or 'the options are ' + ', '.join(names)}")


def what_was_meant(name: str, names: Iterable[str]) -> str:
    """Ask for the name that is nearest to one that there isn't; empty if none is near."""
    near = difflib.get_close_matches(name.lower(), list(names), n=1)
    return f"did you mean '{near[0]}'?" if near else ""


def _check(
    *,
    maxcor: int | None = None,
    ftarget: float | None = None,
    fun_precision: float | None = None,
    threads: int | str = 1,
    secant: str = "modified",
    pairs: str = "float64",
    extra_updates: int | None = None,
    initial_scaling: str | None = None,
    is_check_factorizations: bool = False,
    **options: Any,
) -> CheckedOptions:
    values = _DEFAULTS | {
        "check": bool(is_check_factorizations),
        "fun_precision": as_precision(fun_precision),
        "secant": _number_of("secant", secant),
        "pairs": _number_of("pairs", pairs),
        "initial_scaling": _number_of("initial_scaling", initial_scaling),
    }
    for name, value in options.items():
        if name not in _NAMES:
            raise no_such_option(name, _ALL_NAMES)
        if isinstance(_DEFAULTS[name], int):
            values[name] = as_integer(name, value, None)
        else:
            values[name] = as_number(name, value, None)
    if maxcor is not None:  # else the core chooses
        values["maxcor"] = as_integer("maxcor", maxcor, 1)
    if extra_updates is not None:  # so here
        values["extra_updates"] = as_integer("extra_updates", extra_updates, 0)
    if ftarget is not None:
        values["ftarget"] = as_number("ftarget", ftarget, None)
    values["threads"] = _as_threads(threads)
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


def _as_threads(threads: Any) -> int:
    """Return how many threads the core may use; 0 stands for as many as pay."""
    if isinstance(threads, str) and threads == "auto":
        return 0
    if isinstance(threads, str):
        raise ValueError(f"threads must be {EXPECTED['threads']}; got {quote(threads)}")
    return min(as_integer("threads", threads, 1), _MOST)


# The core's numbers for the words of options that have words alone; None leaves it to the core.
_WORDS: dict[str, dict[str | None, int]] = {
    "secant": {"standard": 0, "modified": 1},
    "pairs": {"float64": 64, "float32": 32},
    "initial_scaling": {None: -1, "scalar": 0, "diagonal": 1},
}


def _number_of(name: str, value: Any) -> int:
    """Return the core's number for a word."""
    if not isinstance(value, str | None) or value not in _WORDS[name]:
        raise ValueError(f"{name} must be {EXPECTED[name]}; got {quote(value)}")
    return _WORDS[name][value]


# What options that came later were in runs before them.
BEFORE = {"extra_updates": 0, "initial_scaling": 0}


def as_given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the core's options as `as_options` takes them.

    Raises
    ------
    ValueError
        If there are others, or one is no number.
    """
    values = BEFORE | dict(values)
    if values.keys() != _DEFAULTS.keys():
        raise ValueError("the options are not those of this version")
    for name, value in values.items():
        if not isinstance(value, (int, float)):
            raise ValueError(f"the option {name} is no number")
    options = {name: values[name] for name in _NAMES}
    options["is_check_factorizations"] = values["check"]
    if options["fun_precision"] == 0:
        options["fun_precision"] = None
    if options["threads"] == 0:
        options["threads"] = "auto"
    if options["extra_updates"] == -1:
        options["extra_updates"] = None
    for name, words in _WORDS.items():
        of_number = {number: word for word, number in words.items()}
        if values[name] not in of_number:
            raise ValueError(f"the option {name} is no number that stands for a word")
        options[name] = of_number[values[name]]
    return options


_remembered = functools.lru_cache(maxsize=32, typed=True)(_check)
