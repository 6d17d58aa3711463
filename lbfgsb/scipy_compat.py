"""For users of SciPy: `fmin_l_bfgs_b`, a `method` for `minimize`, and a patch for whole programs.

Three doors lead to `minimize_lbfgsb`, and all speak SciPy's language: its defaults, its statuses,
the messages of the SciPy that is installed, its conventions for callbacks and its warnings.

- `fmin_l_bfgs_b` takes the place of `scipy.optimize.fmin_l_bfgs_b`.
- `scipy_method` is given to `scipy.optimize.minimize` as ``method=``.
- `patch_scipy`, `unpatch_scipy` and `patched_scipy` put ours behind ``method='L-BFGS-B'`` and
  `scipy.optimize.fmin_l_bfgs_b` for programs that know nothing of it; `is_patched` tells.

SciPy funnels every use of its solver through one private function, ``_minimize_lbfgsb``. The patch
replaces that function, and one more that refuses lists of callbacks, where SciPy has bound them;
so it also reaches whoever has imported `minimize` or `fmin_l_bfgs_b` before.
"""

from __future__ import annotations

import functools
import inspect
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
import scipy.optimize
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import Bounds, LbfgsInvHessProduct, OptimizeResult, OptimizeWarning

from lbfgsb import _inherit, _scipy
from lbfgsb._bounds import as_bounds, as_reals
from lbfgsb._core.objective import convert_gradient, convert_value, quote
from lbfgsb._endings import ABNORMAL, ENDS, NOT_FINITE
from lbfgsb._gradient import METHODS
from lbfgsb._minimize import minimize_lbfgsb
from lbfgsb._options import options_of, what_was_meant
from lbfgsb._types import Vector
from lbfgsb._watch import as_callbacks, asks_for_result, is_history, parameters_of

__all__ = [
    "fmin_l_bfgs_b",
    "is_patched",
    "patch_scipy",
    "patched_scipy",
    "scipy_method",
    "unpatch_scipy",
]

_Fixed = tuple[NDArray[np.bool_], Vector]

_FTOL = 2.2204460492503131e-09
_EPSMCH = float(np.finfo(np.float64).eps)
_CALLBACK_STOPPED = "`callback` raised `StopIteration`."

_FMIN_POSITIONAL = 10  # func to epsilon, the same in every SciPy
_FMIN_NAMES_THEM = frozenset({"maxcor", "ftol", "gtol", "eps"})


# --- the doors ----------------------------------------------------------------------------


def fmin_l_bfgs_b(
    func: Callable[..., Any],
    x0: ArrayLike,
    fprime: Callable[..., Any] | bool | None = None,
    args: Any = (),
    approx_grad: bool | int = 0,
    bounds: Any = None,
    m: int | None = None,
    factr: float = 1e7,
    pgtol: float = 1e-5,
    epsilon: ArrayLike = 1e-8,
    *others: Any,
    maxfun: int = 15000,
    maxiter: int = 15000,
    callback: Any = None,
    maxls: int = 20,
    **options: Any,
) -> tuple[Vector, np.float64, dict[str, Any]]:
    """Minimise a function under bounds; takes the place of `scipy.optimize.fmin_l_bfgs_b`.

    Parameters
    ----------
    func : callable
        ``func(x, *args) -> float``, or ``-> (float, ndarray)`` if `fprime` is None and
        `approx_grad` is false. x has shape (n,).
    x0 : array_like
        The start, n numbers; an array of more than one dimension is flattened.
    fprime : callable, optional
        The gradient, ``fprime(x, *args) -> ndarray`` of n elements.
    args : tuple, default ()
        Further arguments of `func` and `fprime`.
    approx_grad : bool, default False
        Approximate the gradient by forward differences with the absolute step `epsilon`.
    bounds : sequence of (min, max), scipy.optimize.Bounds or ndarray of shape (n, 2), optional
        None and ±inf mean no bound.
    m : int, optional
        The number of pairs kept; by default as `minimize_lbfgsb` chooses.
    factr : float, default 1e7
        Stop when ``(f_k - f_{k+1}) / max(|f_k|, |f_{k+1}|, 1) <= factr * 2.2e-16``.
    pgtol : float, default 1e-5
        Stop when the inf-norm of the projected gradient is at most `pgtol`.
    epsilon : float or array_like of shape (n,), default 1e-8
        The step of the differences.
    *others
        Further arguments by position: what follows in the SciPy that is installed. That is
        `iprint` before 1.18, and `maxfun` since.
    maxfun, maxiter : int, default 15000
        Most evaluations of `func`, most iterations.
    callback : callable or iterable of callables, optional
        As SciPy calls it: ``callback(xk)``, or ``callback(*, intermediate_result)`` if its only
        parameter has that name. ``StopIteration`` ends the run; a return value is ignored.
    maxls : int, default 20
        Most evaluations of a line search.
    **options
        Further options of `minimize_lbfgsb`, say ``threads=2``; and `disp` and `iprint`, without
        effect, where the installed SciPy still has them.

    Returns
    -------
    x : ndarray of float64, shape (n,)
        The minimiser found.
    f : float
        ``func`` there.
    d : dict
        ``'grad'`` the gradient at x, ``'task'`` how it ended in SciPy's words, ``'funcalls'``,
        ``'nit'``, and ``'warnflag'``: 0 converged, 1 a limit was reached, 2 anything else.

    Raises
    ------
    TypeError, ValueError
        For bad input, with the name of the argument.

    Examples
    --------
    >>> from lbfgsb import fmin_l_bfgs_b
    >>> x, f, d = fmin_l_bfgs_b(lambda x: (x @ x, 2 * x), [3.0, -1.0], bounds=[(1, 5), (-2, 2)])
    >>> x.round(6) + 0, float(f), d["warnflag"]
    (array([1., 0.]), 1.0, 0)
    """
    for name in options:
        if name not in (_known_options() | _printing_options()) - _FMIN_NAMES_THEM:
            own = inspect.signature(fmin_l_bfgs_b).parameters.keys() | _known_options()
            asked = what_was_meant(name, sorted(own - _FMIN_NAMES_THEM))
            raise TypeError(
                f"fmin_l_bfgs_b() got an unexpected keyword argument '{name}'"
                f"{asked and f'; {asked}'}"
            )
    jac: Any = None if approx_grad or fprime is True else fprime
    if fprime is None and not approx_grad:
        jac = True
    names = _fmins_parameters()
    if len(others) > len(names):
        most = _FMIN_POSITIONAL + len(names)
        raise TypeError(f"fmin_l_bfgs_b() takes at most {most} positional arguments")
    options = {
        "maxcor": m,
        "ftol": factr * _EPSMCH,
        "gtol": pgtol,
        "eps": epsilon,
        "maxfun": maxfun,
        "maxiter": maxiter,
        "callback": callback,
        "maxls": maxls,
        **options,
        **dict(zip(names, others, strict=False)),
    }
    callbacks = _as_callbacks(options.pop("callback"))
    options = _sort_options(options, stacklevel=3)
    result = _solve(func, x0, _as_args(args), jac, bounds, callbacks, options)
    return (
        result.x,
        result.fun,
        {
            "grad": result.jac,
            "task": result.message,
            "funcalls": result.nfev,
            "nit": result.nit,
            "warnflag": result.status,
        },
    )


def scipy_method(
    fun: Callable[..., Any],
    x0: ArrayLike,
    args: Any = (),
    jac: Any = None,
    hess: Any = None,
    hessp: Any = None,
    bounds: Any = None,
    constraints: Any = (),
    callback: Any = None,
    **options: Any,
) -> OptimizeResult:
    """The solver as a `method` for `scipy.optimize.minimize`.

    ``scipy.optimize.minimize(fun, x0, args, method=lbfgsb.scipy_method, jac=..., bounds=...,
    callback=..., tol=..., options={...})`` does what ``method='L-BFGS-B'`` does, with the same
    defaults, statuses, messages and warnings.

    Parameters
    ----------
    fun, x0, args, jac, bounds, callback
        As `scipy.optimize.minimize` passes them on. `callback` may also be an iterable of
        callables. See Notes for `jac`.
    hess, hessp, constraints
        Not used; a `RuntimeWarning` says so if they are given.
    **options
        Those of SciPy's L-BFGS-B: `maxcor`, `ftol` (2.2e-9), `gtol` (1e-5), `eps` (1e-8),
        `maxfun` (15000), `maxiter` (15000), `maxls` (20), `finite_diff_rel_step`, `workers` with
        SciPy ≥ 1.16, and `disp` and `iprint`, without effect, where the installed SciPy still has
        them. `tol`, which `~scipy.optimize.minimize` adds, sets `ftol` and `gtol` if they are not
        given. Then those of `minimize_lbfgsb`: `ftarget`, `max_steplength`, `threads`,
        `checkpoint`, `logger`, with which `iprint` counts, and the others. And `scheme`, see Notes.
        An unknown option is an `scipy.optimize.OptimizeWarning`.

    Returns
    -------
    OptimizeResult
        With SciPy's keys and what `minimize_lbfgsb` adds to them. The status is 0 converged,
        1 a limit was reached, 2 abnormal, 99 stopped by ``StopIteration``.

    Notes
    -----
    `scipy.optimize.minimize` replaces the names ``'2-point'``, ``'3-point'`` and ``'cs'`` by None
    before it calls any method that is not its own. Say ``options={'scheme': '3-point'}`` instead
    of ``jac='3-point'``.

    Examples
    --------
    >>> from scipy.optimize import minimize, rosen, rosen_der
    >>> import lbfgsb
    >>> res = minimize(rosen, [1.3, 0.7, 0.8], method=lbfgsb.scipy_method, jac=rosen_der,
    ...                bounds=[(0, 0.8)] * 3, options={"ftol": 1e-12})
    >>> res.success, res.x.round(4)
    (True, array([0.8   , 0.6436, 0.4142]))
    """
    for name, given in (
        ("use Hessian information (hess)", hess is not None),
        ("use Hessian-vector product information (hessp)", hessp is not None),
        ("handle constraints", np.size(constraints) > 0),
    ):
        if given:
            warnings.warn(f"Method L-BFGS-B does not {name}.", RuntimeWarning, stacklevel=3)
    tol = options.pop("tol", None)
    if tol is not None:
        options = {"ftol": tol, "gtol": tol, **options}
    scheme = options.pop("scheme", None)
    if scheme is not None:
        if scheme not in METHODS:
            raise ValueError(f"scheme must be one of {list(METHODS)}; got {quote(scheme)}")
        if jac is None or jac is False:
            jac = scheme
    callbacks = _as_callbacks(callback)
    result = _solve(
        fun,
        x0,
        args if isinstance(args, tuple) else (args,),
        jac,
        _as_minimize_takes(bounds, x0),
        callbacks,
        _sort_options(options, stacklevel=4),
    )
    if any(one.stopped for one in callbacks):
        result.status, result.message = 99, _CALLBACK_STOPPED
    return result


# shgo asks every method for its name, and knows callables as '_custom'.
scipy_method.lower = lambda: "_custom"  # type: ignore[attr-defined]


def patch_scipy() -> None:
    """Put this solver in the place of SciPy's L-BFGS-B, for the whole process.

    From now on it works behind ``scipy.optimize.minimize(method='L-BFGS-B')``,
    `~scipy.optimize.minimize` with bounds and no method, `scipy.optimize.fmin_l_bfgs_b`, and
    everything in SciPy and elsewhere that calls them, no matter when they were imported. Calling it
    again changes nothing.

    See Also
    --------
    unpatch_scipy : undo it.
    patched_scipy : the same for a ``with`` block.
    is_patched : whether it is so.

    Notes
    -----
    Copies of SciPy's loop that call its compiled module themselves (BoTorch has one) are not
    reached. Nor are processes that do not inherit the memory of this one, as those behind
    ``n_jobs=`` in scikit-learn: for these, start the program by ``lbfgsb run``, or give their pool
    this function as `initializer`; see :ref:`patched-processes`.

    Examples
    --------
    >>> import lbfgsb
    >>> from scipy.optimize import minimize, rosen
    >>> lbfgsb.patch_scipy()
    >>> minimize(rosen, [0.5, 0.5], method="L-BFGS-B", options={"ftarget": 0.1}).message
    'CONVERGENCE: F_<=_TARGET'
    >>> lbfgsb.unpatch_scipy()
    """
    with _lock:
        _patch.wanted = True
        _patch.update()


def unpatch_scipy() -> None:
    """Undo `patch_scipy`: every place that was changed has what it had before.

    Without a patch it does nothing. Inside of ``with patched_scipy()`` the patch stays until the
    block ends.

    Examples
    --------
    >>> import lbfgsb
    >>> lbfgsb.patch_scipy()
    >>> lbfgsb.unpatch_scipy()
    """
    with _lock:
        _patch.wanted = False
        _patch.update()


@contextmanager
def patched_scipy() -> Iterator[None]:
    """Put this solver in the place of SciPy's L-BFGS-B for a ``with`` block.

    Blocks nest, in one thread and across threads: the patch, which is the whole process's, stays
    until the last has ended, and longer if `patch_scipy` was called.

    Examples
    --------
    >>> import lbfgsb
    >>> from scipy.optimize import minimize, rosen
    >>> with lbfgsb.patched_scipy():
    ...     res = minimize(rosen, [0.5, 0.5], bounds=[(0, 2), (0, 2)], options={"threads": 2})
    >>> res.success
    True
    """
    with _lock:
        _patch.blocks += 1
        _patch.update()
    try:
        yield
    finally:
        with _lock:
            _patch.blocks -= 1
            _patch.update()


def is_patched() -> bool:
    """Return whether this solver is in the place of SciPy's, in this process.

    Examples
    --------
    >>> import lbfgsb
    >>> with lbfgsb.patched_scipy():
    ...     lbfgsb.is_patched()
    True
    >>> lbfgsb.is_patched()
    False
    """
    with _lock:
        return bool(_patch.places)


# --- the patch ----------------------------------------------------------------------------


def _our_minimize_lbfgsb(
    fun: Callable[..., Any],
    x0: ArrayLike,
    args: Any = (),
    jac: Any = None,
    bounds: Any = None,
    callback: Any = None,
    **options: Any,
) -> OptimizeResult:
    """
    Minimize a scalar function of one or more variables using the L-BFGS-B
    algorithm, with lbfgsb in the place of SciPy's solver.

    Options
    -------
    maxcor : int
        The number of pairs kept; by default as `lbfgsb.minimize_lbfgsb` chooses.
    ftol : float
        Stop when ``(f^k - f^{k+1})/max{|f^k|,|f^{k+1}|,1} <= ftol``; 2.2e-9 by default.
    gtol : float
        Stop when the inf-norm of the projected gradient is at most `gtol`; 1e-5 by default.
    eps : float or ndarray
        Absolute step of the differences if `jac` is None; 1e-8 by default.
    maxfun, maxiter : int
        Most function evaluations, most iterations; 15000 by default.
    maxls : int
        Most evaluations of a line search; 20 by default.
    finite_diff_rel_step : None or array_like, optional
        Relative step of the differences if `jac` is '2-point', '3-point' or 'cs'.
    workers : int or map-like callable, optional
        Evaluates differences in parallel, with SciPy >= 1.16.
    ftarget, max_steplength, threads, checkpoint, logger, iprint, ...
        The options of `lbfgsb.minimize_lbfgsb`.

    """
    options = _sort_options(options, stacklevel=4)
    if type(callback) is not _Callbacks:  # from somebody who calls this private function himself
        callback = _Callbacks(callback)
    _, fixed = _without_removal(fun)
    for one in callback.callbacks:
        one.fixed = fixed
    if jac is True:  # fmin_l_bfgs_b(fprime=True): no name of a gradient to SciPy's function
        jac = None
    split: Any = fun if isinstance(fun, _scipy.memoize_jac) else None
    if split is not None and jac == split.derivative:
        # minimize has split the pair (f, g) in two functions that remember; ours takes the pair.
        fun, jac = split.fun, True
    result = _solve(fun, x0, _as_args(args), jac, bounds, callback.callbacks, options)
    # minimize looks at this to give the status 99.
    callback.stop_iteration = any(one.stopped for one in callback.callbacks)
    return result


def _our_wrap_callback(callback: Any, method: str | None = None) -> Any:
    """SciPy's `_wrap_callback`, which for L-BFGS-B leaves the callbacks as the user gave them."""
    if callback is None or method not in (None, "l-bfgs-b"):
        return _scipy.wrap_callback(callback, method)
    return _Callbacks(_without_removal(callback)[0])


class _Callbacks:
    """The user's callbacks on their way through `scipy.optimize.minimize`."""

    stop_iteration = False

    def __init__(self, callback: Any) -> None:
        self.callbacks = _as_callbacks(callback)

    def __call__(self, intermediate_result: OptimizeResult) -> None:
        # Only SciPy's own solver calls it: a run that had begun when the patch ended.
        for one in self.callbacks:
            one.call(OptimizeResult(intermediate_result, x=np.copy(intermediate_result.x)))


def _without_removal(function: Any) -> tuple[Any, _Fixed | None]:
    """Return the function that SciPy wrapped to hide fixed variables, and which are fixed.

    With numerical gradients `minimize` takes variables with equal bounds out of the problem.
    The way it wraps a callback then spoils those that take an ``intermediate_result``.
    """
    kind = type(function)
    if kind.__module__ == _scipy.minimize.__name__:
        if kind.__name__ == "_Remove_From_Func":
            return function.fun_in, (function.i_fixed, function.x_fixed)
        if kind.__name__ == "_Patch_Callback_Equal_Variables":
            return function.callback, (function.i_fixed, function.x_fixed)
    # In older SciPy a closure does it.
    if getattr(function, "__qualname__", "").startswith("_remove_from_func.<locals>"):
        cells = inspect.getclosurevars(function).nonlocals
        return cells["fun_in"], (cells["i_fixed"], cells["x_fixed"])
    return function, None


def _with_fixed(free: NDArray[Any], i_fixed: NDArray[np.bool_], fixed: Any) -> NDArray[Any]:
    full = np.empty(i_fixed.shape, dtype=free.dtype)
    full[i_fixed] = fixed
    full[~i_fixed] = free
    return full


class _Patch:
    """Which functions stand in for which, where they do, and who wants it so."""

    def __init__(self) -> None:
        self.wanted = False  # by patch_scipy
        self.blocks = 0  # of patched_scipy under way
        self.places: list[tuple[dict[str, Any], str, Any]] = []

    def update(self) -> None:
        """Patch or restore, if that is not the state already."""
        wanted = self.wanted or self.blocks > 0
        if wanted and not self.places:
            self._install()
        elif not wanted and self.places:
            self._restore()

    def _install(self) -> None:
        # All that the patch needs; where SciPy lacks a part, the error comes before a change.
        theirs, _, _ = _scipy.minimize_lbfgsb, _scipy.wrap_callback, _scipy.memoize_jac
        ours = {"_minimize_lbfgsb": _our_minimize_lbfgsb, "_wrap_callback": _our_wrap_callback}
        modules = _scipy.minimize, _scipy.lbfgsb_py
        for module in modules:
            for name in ours:
                _scipy.find(f"{module.__name__}:{name}")
        for module in modules:
            for name, function in ours.items():
                self._replace(vars(module), name, function)
        for namespace in _namespaces():
            if namespace.get("_minimize_lbfgsb") is theirs:
                self._replace(namespace, "_minimize_lbfgsb", _our_minimize_lbfgsb)

    def _replace(self, namespace: dict[str, Any], name: str, ours: Any) -> None:
        self.places.append((namespace, name, namespace[name]))
        namespace[name] = ours

    def _restore(self) -> None:
        for namespace, name, before in self.places:
            # Whoever has put something else there since then keeps it.
            if namespace.get(name) in (_our_minimize_lbfgsb, _our_wrap_callback):
                namespace[name] = before
        self.places.clear()
        for namespace in _namespaces():  # those who imported it while it was ours
            if namespace.get("_minimize_lbfgsb") is _our_minimize_lbfgsb:
                namespace["_minimize_lbfgsb"] = _scipy.minimize_lbfgsb


def _namespaces() -> Iterator[dict[str, Any]]:
    for module in sys.modules.copy().values():
        if isinstance(module, ModuleType):
            # Not vars(module), which would load a module that waits for its first use.
            yield ModuleType.__getattribute__(module, "__dict__")


_lock = threading.Lock()
_patch = _Patch()


# --- from SciPy's language to ours and back -----------------------------------------------


@functools.cache
def _scipys_parameters() -> Mapping[str, inspect.Parameter]:
    return inspect.signature(_scipy.minimize_lbfgsb).parameters


@functools.cache
def _fmins_parameters() -> list[str]:
    """Return the names of those that follow `epsilon`, in the order of the installed SciPy."""
    return list(inspect.signature(scipy.optimize.fmin_l_bfgs_b).parameters)[_FMIN_POSITIONAL:]


@functools.cache
def _printing_options() -> frozenset[str]:
    """Of no effect in the installed SciPy or, before 1.15, in ours; gone from SciPy 1.18 on."""
    return frozenset({"disp", "iprint"} & _scipys_parameters().keys())


@functools.cache
def _known_options() -> frozenset[str]:
    """Those of `minimize_lbfgsb`; `workers` is known where the installed SciPy knows it."""
    return frozenset(options_of(minimize_lbfgsb)) - (
        {"jac", "bounds", "callback", "args"} | ({"workers"} - _scipys_parameters().keys())
    )


def _sort_options(given: dict[str, Any], stacklevel: int) -> dict[str, Any]:
    """Return the options for `minimize_lbfgsb`; warn of what is unknown, as SciPy does.

    `stacklevel` is the distance from here to the user's code.
    """
    options: dict[str, Any] = {"ftol": _FTOL, "maxiter": 15000}
    unknown = []
    for name, value in given.items():
        if name == "iprint" and given.get("logger") is not None:
            options[name] = value
        elif name in _printing_options():
            default = _scipys_parameters()[name].default
            # Where SciPy warns, the default is a marker; before, a number or None.
            if value is not default and not isinstance(default, (int, type(None))):
                warnings.warn(
                    "scipy.optimize: The `disp` and `iprint` options of the L-BFGS-B solver are "
                    "deprecated and will be removed in SciPy 1.18.0.",
                    DeprecationWarning,
                    stacklevel=stacklevel,
                )
        elif name in _known_options() and name != "iprint":
            options[name] = value
        else:
            unknown.append(name)
    if unknown:
        names = [name for name in sorted(_known_options()) if name not in unknown]
        asked = [what_was_meant(name, names) for name in unknown]
        warnings.warn(
            "; ".join([f"Unknown solver options: {', '.join(unknown)}", *filter(None, asked)]),
            OptimizeWarning,
            stacklevel=stacklevel,
        )
    # SciPy takes limits that are no integers, and negative ones, which mean the same as 0.
    for name, as_integer in (("gtol", None), ("maxiter", np.ceil), ("maxfun", np.floor)):
        value = options.get(name)
        if isinstance(value, (int, float, np.number)):
            value = max(value, 0)
            options[name] = value if as_integer is None else as_integer(value)
    return options


class _Callback:
    """One callback of the user's, called as SciPy calls it."""

    def __init__(self, callback: Callable[..., Any]) -> None:
        self._callback = callback
        expected = "(xk), or the keyword intermediate_result alone"
        self._takes_result = asks_for_result(parameters_of(callback, (1,), expected))
        self.stopped = False
        self.fixed: _Fixed | None = None
        # The methods that tell a callback of a run's begin and end, if it has them.
        for name in ("begin_run", "end_run"):
            method = getattr(callback, name, None)
            if method is not None:
                setattr(self, name, functools.partial(self._tell, method))

    def for_run(self) -> Callable[..., Any]:
        """Return what `minimize_lbfgsb` is to call: a history itself, which it need not call."""
        is_plain = self.fixed is None and is_history(self._callback)
        return self._callback if is_plain else self

    def _tell(self, method: Callable[[OptimizeResult], Any], state: OptimizeResult) -> None:
        if self.fixed is not None:
            _tell_of_fixed(state, self.fixed)
        method(state)

    def __call__(self, *, intermediate_result: OptimizeResult) -> None:
        if self.fixed is not None:
            _tell_of_fixed(intermediate_result, self.fixed)
        try:
            self.call(intermediate_result)
        except StopIteration:
            self.stopped = True
            raise StopIteration from None  # SciPy's message gives no reason

    def call(self, result: OptimizeResult) -> None:
        if self._takes_result:
            self._callback(intermediate_result=result)
        else:
            self._callback(result.x)


def _tell_of_fixed(state: OptimizeResult, fixed: _Fixed) -> None:
    """Put the fixed variables back, as `minimize` does in the result."""
    i_fixed, x_fixed = fixed
    state["x"] = _with_fixed(state["x"], i_fixed, x_fixed)
    state["jac"] = _with_fixed(state["jac"], i_fixed, np.nan)
    state["active_bounds"] += int(np.count_nonzero(i_fixed))
    state["hess_inv"] = None


def _as_callbacks(callback: Any) -> list[_Callback]:
    return [_Callback(one) for one in as_callbacks(callback)]


def _solve(
    fun: Callable[..., Any],
    x0: ArrayLike,
    args: tuple[Any, ...],
    jac: Any,
    bounds: Any,
    callbacks: list[_Callback],
    options: dict[str, Any],
) -> OptimizeResult:
    """Minimise, from SciPy's arguments to SciPy's result."""
    if not callable(fun):
        raise TypeError(f"fun must be callable; got {quote(fun)}")
    start = _as_vector(x0)
    if bounds is not None:
        if not isinstance(bounds, Bounds):
            bounds = _as_pairs(bounds)
            if len(bounds) != start.size:
                raise ValueError(
                    f"length of x0 != length of bounds: x0 has {start.size} elements, "
                    f"bounds has {len(bounds)}"
                )
        start = _in_box_if_infinite(start, bounds)
    gradient: Any = None  # SciPy's choice for a jac that it doesn't understand
    if jac is True:
        fun, gradient = _pair(fun, args), True
    elif callable(jac):
        gradient = _flat(jac, args)
    elif isinstance(jac, str) and jac in METHODS:
        gradient = jac
    if gradient is True or callable(gradient):
        options.pop("workers", None)  # SciPy has no use for it either, and says nothing
    if args and jac is not True:
        fun = _WithArgs(fun, args)
    if start.dtype.kind == "f" and not np.isfinite(start).all():
        result = _end_of_no_run(start, fun, gradient)
    else:
        result = minimize_lbfgsb(
            x0=start,
            fun=fun,
            jac=gradient,
            bounds=bounds,
            callback=[one.for_run() for one in callbacks] or None,
            **options,
        )
    return _in_scipys_words(result, any(one.stopped for one in callbacks))


def _as_args(args: Any) -> tuple[Any, ...]:
    """Return the arguments as ``fun(x, *args)`` takes them, with `args` as SciPy takes it there."""
    if isinstance(args, tuple):
        return args
    if args is None:
        return ()
    try:
        return tuple(args)
    except TypeError:
        return (args,)


def _as_vector(x0: ArrayLike) -> NDArray[Any]:
    """Return x0 flattened; numbers of dtype object, of a row of a DataFrame say, as float64."""
    start = np.asarray(x0).ravel()
    return as_reals("x0", start, np.nan) if start.dtype.kind == "O" else start


def _as_minimize_takes(bounds: Any, x0: ArrayLike) -> Any:
    """Return `bounds` as `scipy.optimize.minimize` hands them on to its own methods.

    There one pair holds for all variables, and NaN is no bound.
    """
    if isinstance(bounds, Bounds):
        lower, upper = np.asarray(bounds.lb), np.asarray(bounds.ub)
        if not (_has_nan(lower) or _has_nan(upper)):
            return bounds
        return Bounds(
            np.where(np.isnan(lower), -np.inf, lower), np.where(np.isnan(upper), np.inf, upper)
        )
    if bounds is None:
        return None
    pairs: Any = _as_pairs(bounds)
    if _has_nan(pairs):
        pairs = pairs.tolist()
    if isinstance(pairs, list):
        pairs = [tuple(None if side != side else side for side in pair) for pair in pairs]
    return np.repeat(pairs, np.size(x0), axis=0) if len(pairs) == 1 else pairs


def _has_nan(a: Any) -> bool:
    return isinstance(a, np.ndarray) and a.dtype.kind == "f" and bool(np.isnan(a).any())


def _as_pairs(bounds: Any) -> Any:
    """Return pairs of bounds as an array or a list of tuples of numbers and None.

    SciPy converts each by itself, so that one may also be an array of one element.
    """
    if isinstance(bounds, np.ndarray) and bounds.ndim == 2:
        return bounds
    return [
        tuple(side.item() if isinstance(side, np.ndarray) else side for side in pair)
        for pair in bounds
    ]


def _in_box_if_infinite(start: NDArray[Any], bounds: Any) -> NDArray[Any]:
    """Return a start whose infinities and fixed variables are at their bounds.

    SciPy clips before it looks.
    """
    if start.dtype.kind != "f" or np.isfinite(start).all():
        return start
    lower, upper = as_bounds(bounds, start.size)
    if lower is None or upper is None:
        return start
    return np.where(lower == upper, lower, np.clip(start, lower, upper))


def _end_of_no_run(start: NDArray[Any], fun: Callable[..., Any], jac: Any) -> OptimizeResult:
    """Return how SciPy's runs end if x0 holds NaN or infinity, after one evaluation.

    SciPy's solver evaluates some twenty times on its way to the same end.
    """
    x = start.astype(np.float64)
    n = x.size
    value, g = fun(x.copy()), np.full(n, np.nan)
    if jac is True:
        value, g = value
        g = convert_gradient(g, n)
    first = np.flatnonzero(~np.isfinite(x))[0]
    return OptimizeResult(
        x=x,
        fun=convert_value(value),
        jac=g,
        nfev=1,
        njev=int(jac is True),
        nit=0,
        status=ABNORMAL,
        message=f"{ENDS[NOT_FINITE][2]}: x0[{first}] is {x[first]}",
        success=False,
        hess_inv=LbfgsInvHessProduct(np.empty((0, n)), np.empty((0, n))),
        projected_gradient=np.nan,
        gradient_mismatch=0.0,
    )


def _pair(fun: Callable[..., Any], args: tuple[Any, ...]) -> Callable[[Vector], Any]:
    def pair(x: Vector) -> tuple[Any, Any]:
        both = fun(x, *args)
        return both[0], _as_row(both[1])

    return pair


def _flat(jac: Callable[..., Any], args: tuple[Any, ...]) -> Callable[[Vector], Any]:
    def gradient(x: Vector) -> Any:
        return _as_row(jac(x, *args))

    return gradient


def _as_row(g: Any) -> Any:
    """SciPy takes gradients of shape (1, n) and (n, 1), and those of numpy.matrix, as they are."""
    return g if type(g) is np.ndarray and g.ndim == 1 else np.ravel(g)


class _WithArgs:
    """``fun(x, *args)`` as a function of x; picklable if both are, for the sake of `workers`."""

    def __init__(self, fun: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.fun, self.args = fun, args

    def __call__(self, x: Vector) -> Any:
        return self.fun(x, *self.args)


@functools.cache
def _words() -> dict[str, str]:
    """Return, for each of our messages' beginnings, what the installed SciPy says."""
    if not hasattr(_scipy.lbfgsb_py, "task_messages"):  # up to 1.14 it spoke as Fortran does
        return {
            "CONVERGENCE: REL_REDUCTION_OF_F_<=_FTOL": (
                "CONVERGENCE: REL_REDUCTION_OF_F_<=_FACTR*EPSMCH"
            ),
            "STOP: USER CALLBACK": "STOP: CALLBACK REQUESTED HALT",
        }
    status, task = _scipy.lbfgsb_py.status_messages, _scipy.lbfgsb_py.task_messages
    return {
        "CONVERGENCE: NORM_OF_PROJECTED_GRADIENT_<=_PGTOL": f"{status[4]}: {task[401]}",
        "CONVERGENCE: REL_REDUCTION_OF_F_<=_FTOL": f"{status[4]}: {task[402]}",
        "STOP: TOTAL NO. of ITERATIONS REACHED LIMIT": f"{status[5]}: {task[504]}",
        "STOP: TOTAL NO. of f AND g EVALUATIONS EXCEEDS LIMIT": f"{status[5]}: {task[502]}",
        "STOP: USER CALLBACK": f"{status[5]}: {task[505]}",
        "ABNORMAL_TERMINATION_IN_LNSRCH": f"{status[8]}: ",
    }


_STOPPED = 3


def _in_scipys_words(result: OptimizeResult, by_callback: bool) -> OptimizeResult:
    if result.status == _STOPPED:
        result.status, result.success = 2, False
        if not by_callback:
            result.message = "STOP: OBJECTIVE REQUESTED HALT"
    for ours, scipys in _words().items():
        if result.message.startswith(ours):
            # What follows is our evidence of what went wrong, of which SciPy has none.
            more = result.message[len(ours) :].lstrip(": ")
            separator = ": " if more and not scipys.endswith(": ") else ""
            result.message = scipys + separator + more
            break
    result.fun = np.float64(result.fun)  # nearly always what SciPy returns
    return result


if _inherit.is_wanted():
    try:
        patch_scipy()
    except ImportError as _error:  # nobody has called this: a program must not end because of it
        warnings.warn(f"{_inherit.VARIABLE} is set, but {_error}", RuntimeWarning, stacklevel=2)
