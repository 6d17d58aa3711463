"""The numerical gradient, when the user has none.

The differences themselves are SciPy's (`scipy.optimize._numdiff.approx_derivative`): forward,
central, or the complex step, with its step lengths and its way of turning around at a bound.
What is added here is what a solver needs on top of them:

- No evaluation leaves the box by so much as an ulp. SciPy computes x + (u − x), which may round to
  the far side of u; the point is clipped before `fun` sees it. Where rounding matters at all, the
  step is so long compared with x that clipping changes it by a few ulps of itself.
- A variable that cannot move costs no evaluation: its component is 0, and the difference is taken
  over the others.
- The number of evaluations is exact with every SciPy from 1.14 on.
- What `fun` raises comes out as it was raised, ``StopIteration`` too, which would otherwise end
  SciPy's loop over the components and leave the rest of the gradient unset.
- Infinite and NaN values of f pass through to the components without warnings. Warnings that come
  from inside `fun` are left alone.
"""

from __future__ import annotations

import contextvars
import functools
import inspect
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lbfgsb import _scipy
from lbfgsb._core.objective import describe, find_precision
from lbfgsb._executors import Workers, as_workers
from lbfgsb._types import Vector

Method: TypeAlias = Literal["2-point", "3-point", "cs"]
Gradient: TypeAlias = Callable[[Vector], Any]

METHODS: tuple[Method, ...] = ("2-point", "3-point", "cs")

# The absolute step for jac=None, SciPy's too; it suits values of double precision.
EPS_DEFAULT = 1e-8

# An interval narrower than this many ulps holds no difference of f that is more than rounding:
# the values differ by less than f's own error, and the nodes of '3-point' fall on one another.
_NARROWEST_IN_ULPS = 8.0
# Nor does one so narrow that dividing a difference of the size of 1 by it could overflow.
_NARROWEST = np.finfo(np.float64).tiny / np.finfo(np.float64).eps


def make_gradient(
    fun: Callable[..., Any],
    jac: Any,
    *,
    eps: ArrayLike | None = 1e-8,
    finite_diff_rel_step: ArrayLike | None = None,
    workers: Any = None,
    lower: Vector | None = None,
    upper: Vector | None = None,
    n: int | None = None,
    fun_precision: float | None = None,
) -> Gradient | Literal[True] | FiniteDifference:
    """Return the gradient that `jac` asks for.

    Parameters
    ----------
    fun : callable
        The objective function.
    jac : callable, bool, {'2-point', '3-point', 'cs'}, or None
        A callable and True (`fun` returns f and the gradient) are returned as they are.
        None and False give forward differences with the absolute step `eps`; the name of a
        scheme gives that scheme with the relative step `finite_diff_rel_step`.
    eps : array_like, shape () or (n,), default 1e-8
        Absolute step, used for `jac` None and False only.
    finite_diff_rel_step : array_like, shape () or (n,), optional
        Relative step: h = finite_diff_rel_step · sign(x) · |x|. By default it is chosen for the
        scheme, and h = step · sign(x) · max(1, |x|).
    workers : int, executor or map-like callable, optional
        Evaluates the differences in parallel; see `FiniteDifference`.
    lower, upper : ndarray of float64, shape (n,), optional
        Bounds that the evaluations keep to; infinite where there are none.
    n : int, optional
        The number of variables, if known: wrong shapes are then found here and not at the first
        gradient.
    fun_precision : float, optional
        Of the values of `fun`, relative; see `FiniteDifference`.

    Returns
    -------
    callable, True or FiniteDifference

    Raises
    ------
    TypeError
        If `fun` is not callable, or a step or `workers` has the wrong type.
    ValueError
        If `jac` is none of the above, if a step is not positive and finite or has another shape,
        or if `workers` is given and SciPy is older than 1.16, or `jac` is a gradient already.

    Examples
    --------
    >>> gradient = make_gradient(lambda x: (x ** 2).sum(), '3-point')
    >>> g, nfev = gradient(np.array([1.0, -2.0]), 5.0)
    >>> np.round(g, 6), nfev
    (array([ 2., -4.]), 4)
    >>> make_gradient(lambda x: (x @ x, 2 * x), True)
    True
    """
    if not callable(fun):
        raise TypeError(f"fun must be callable; got {describe(fun)}.")
    if callable(jac) or (isinstance(jac, (bool, np.bool_)) and jac):
        if _as_workers(workers) is not None:
            raise ValueError(
                "workers is for numerical gradients; here jac is "
                f"{'callable' if callable(jac) else 'True'}, and there is nothing to share out"
            )
        return cast(Gradient, jac) if callable(jac) else True
    if n is None and lower is not None:
        n = lower.size
    method: Method
    rel_step: float | Vector | None = None
    abs_step: float | Vector | None = None
    abs_step_is_default = False
    if jac is None or isinstance(jac, (bool, np.bool_)):
        method = "2-point"
        if eps is not None:
            abs_step = _as_step("eps", eps, n)
            if isinstance(abs_step, float) and abs_step == EPS_DEFAULT:
                abs_step_is_default = True
        else:
            rel_step = _as_step("finite_diff_rel_step", finite_diff_rel_step, n)
    elif isinstance(jac, str) and jac in METHODS:
        method = jac
        rel_step = _as_step("finite_diff_rel_step", finite_diff_rel_step, n)
    else:
        raise ValueError(
            f"jac must be callable, bool, None, or one of {list(METHODS)}. Got {describe(jac)}."
        )
    return FiniteDifference(
        fun,
        method,
        rel_step=rel_step,
        abs_step=abs_step,
        lower=lower,
        upper=upper,
        workers=workers,
        n=n,
        fun_precision=fun_precision,
        double_only=abs_step_is_default,
    )


class FiniteDifference:
    """The gradient of `fun` by finite differences or the complex step.

    Parameters
    ----------
    fun : callable
        ``fun(x)`` with x of shape (n,), a fresh array at each call; it returns a real scalar or
        an array of size 1. For 'cs' x is complex, and so must the value be.
    method : {'2-point', '3-point', 'cs'}
        Forward (or backward) differences, central (at a bound one-sided) differences of second
        order, or the complex step.
    rel_step, abs_step : array_like, shape () or (n,), optional
        Positive relative or absolute step; `abs_step` wins. By default SciPy chooses a relative
        step that suits the scheme. A step shrinks or turns around where it would leave the box.
    lower, upper : ndarray of float64, shape (n,), optional
        Bounds, infinite where there are none. Both or neither.
    workers : int, concurrent.futures.Executor or map-like callable, optional
        An executor gets each evaluation by its `submit`, a map-like callable all of a gradient as
        ``workers(fun, iterable)``; with an int greater than 1, or −1 for all processors, they are
        shared by that many processes, which begin with the first gradient and last until `close`.
        Needs SciPy ≥ 1.16.
    n : int, optional
        The number of variables; known from `lower` if that is given.
    fun_precision : float, optional
        What values of `fun` are off by, relative; by default the spacing of their type. If that is
        more than double precision has, a step that the user has not chosen is its square root (or
        its cube root for '3-point') times max(1, |x|).
    double_only : bool, default False
        `abs_step` is a default, for values of double precision.

    Attributes
    ----------
    method : {'2-point', '3-point', 'cs'}
    nfev : int
        The calls of `fun` so far, those of a gradient that an exception ended included (except
        in other processes).

    Notes
    -----
    A variable with ``lower == upper`` gets the component 0 and costs no evaluation. So, with
    real differences, does one whose interval is less than eight ulps wide.

    Other processes must be able to import `fun`, as with any use of `multiprocessing`.

    Examples
    --------
    >>> def f(x):
    ...     return x[0] * x[1] ** 2
    >>> with FiniteDifference(f, "3-point") as gradient:
    ...     g, nfev = gradient(np.array([3.0, 2.0]), f([3.0, 2.0]))
    >>> np.round(g, 6), nfev
    (array([ 4., 12.]), 4)

    The second variable is fixed, and the first at its upper bound:

    >>> gradient = FiniteDifference(f, "2-point", lower=np.array([0.0, 2.0]),
    ...                             upper=np.array([3.0, 2.0]))
    >>> g, nfev = gradient(np.array([3.0, 2.0]), f([3.0, 2.0]))
    >>> np.round(g, 6), nfev
    (array([4., 0.]), 1)
    """

    def __init__(
        self,
        fun: Callable[..., Any],
        method: Method,
        *,
        rel_step: ArrayLike | None = None,
        abs_step: ArrayLike | None = None,
        lower: Vector | None = None,
        upper: Vector | None = None,
        workers: Any = None,
        n: int | None = None,
        fun_precision: float | None = None,
        double_only: bool = False,
    ) -> None:
        if not callable(fun):
            raise TypeError(f"fun must be callable; got {describe(fun)}.")
        if method not in METHODS:
            raise ValueError(f"method must be one of {list(METHODS)}; got {describe(method)}.")
        if n is None and lower is not None:
            n = lower.size
        self._fun = fun
        self.method: Method = method
        self._rel_step = _as_step("rel_step", rel_step, n)
        self._abs_step = _as_step("abs_step", abs_step, n)
        self._precision = fun_precision
        self._is_default = rel_step is None and (abs_step is None or double_only)
        self._workers = _as_workers(workers)
        self.nfev = 0

        # Indices of the variables to difference; None stands for all of them.
        self._free: NDArray[np.intp] | None = None
        self._lower, self._upper = lower, upper
        if lower is not None and upper is not None:
            can_move = _can_move(method, lower, upper)
            if not np.logical_and.reduce(can_move):
                free = self._free = np.flatnonzero(can_move)
                self._lower, self._upper = lower[free], upper[free]
                self._rel_step = _restrict(self._rel_step, free)
                self._abs_step = _restrict(self._abs_step, free)

    def __call__(self, x: Vector, f: float) -> tuple[Vector, int]:
        """Return the gradient and what it cost.

        Parameters
        ----------
        x : ndarray of float64, shape (n,)
            A feasible point; only read.
        f : float
            ``fun(x)``. Its dtype counts: a value of single precision gets longer default steps.

        Returns
        -------
        g : ndarray of float64, shape (n,)
            The gradient; a component is NaN or infinite where `fun` was.
        nfev : int
            The number of calls of `fun`.

        Raises
        ------
        TypeError, ValueError
            If `fun` returns something else than a scalar of the right kind, or a step has
            another shape than x.
        WorkerError
            If a worker was lost.
        """
        free = self._free
        if free is not None and free.size == 0:
            return np.zeros(x.size), 0
        z = x if free is None else x[free]
        for name, step in (("rel_step", self._rel_step), ("abs_step", self._abs_step)):
            if isinstance(step, np.ndarray) and step.shape != z.shape:
                raise ValueError(
                    f"{name} must be a scalar or have the shape {x.shape} of x; "
                    f"its shape is {step.shape}."
                )
        evaluate = _Evaluation(self._fun, self.method, x, free, self._lower, self._upper)
        # The differences of non-finite values are meant to be silent, fun is not: it runs in a
        # copy of the caller's context, where NumPy keeps the error state that the user has set.
        context = contextvars.copy_context()
        run: Any = context.run
        fun: Callable[[Any], Any] = functools.partial(run, evaluate)
        options: dict[str, Any] = {}
        if self._workers is not None:
            fun = evaluate
            options = {"workers": functools.partial(self._map, context), "full_output": True}
        bounds = (-np.inf, np.inf) if self._lower is None else (self._lower, self._upper)
        try:
            with np.errstate(all="ignore"):
                out = _scipy.approx_derivative(
                    fun,
                    z,
                    method=self.method,
                    rel_step=self._rel_step,
                    abs_step=self._step(z, f),
                    f0=f,
                    bounds=bounds,
                    **options,
                )
        except BaseException as error:
            self.nfev += evaluate.calls
            if isinstance(error, _Stopped):
                raise error.cause from None
            raise
        # In other processes the evaluations are counted by SciPy, here by themselves.
        gz, nfev = (out[0], out[1]["nfev"]) if options else (out, evaluate.calls)
        self.nfev += nfev
        if free is None:
            return gz, nfev
        g = np.zeros(x.size)
        g[free] = gz
        return g, nfev

    def _step(self, z: Vector, f: Any) -> float | Vector | None:
        """Return the absolute step: the user's, or one for the precision of `f`."""
        power = {"2-point": 1 / 2, "3-point": 1 / 3}.get(self.method)
        if not self._is_default or power is None:
            return self._abs_step
        precision = find_precision(f) if self._precision is None else self._precision
        if precision <= np.finfo(np.float64).eps:
            return self._abs_step
        step: Vector = precision**power * np.maximum(1.0, np.abs(z))
        return step

    def _map(
        self,
        context: contextvars.Context,
        evaluate: Callable[[Any], Any],
        points: Iterable[Any],
    ) -> Iterator[Any]:
        # A generator, so that the evaluations happen where SciPy consumes them: around the call
        # of a map it replaces any TypeError, a TypeError of fun's included, by its own.
        assert self._workers is not None
        yield from context.run(self._workers.map, evaluate, points)

    def close(self) -> None:
        """End the processes that were begun for it, if any."""
        if self._workers is not None:
            self._workers.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class _Stopped(Exception):
    """Carries a StopIteration of the user's through iterators that would take it for their end."""

    def __init__(self, cause: StopIteration) -> None:
        super().__init__(cause)
        self.cause = cause



class _Evaluation:
    """``fun`` as a function of the free variables about one x; picklable if `fun` is."""

    def __init__(
        self,
        fun: Callable[..., Any],
        method: Method,
        x: Vector,
        free: NDArray[np.intp] | None,
        lower: Vector | None,
        upper: Vector | None,
    ) -> None:
        self.fun = fun
        self.is_complex = method == "cs"
        self.x = x
        self.free = free
        # The complex step leaves the real part where it is.
        self.lower = None if self.is_complex else lower
        self.upper = upper
        self.calls = 0

    def __call__(self, z: NDArray[Any]) -> float | complex:
        if self.lower is None or self.upper is None:
            z = z.copy()
        else:
            z = np.maximum(z, self.lower)
            np.minimum(z, self.upper, out=z)
        if self.free is not None:
            full = self.x.astype(z.dtype)
            full[self.free] = z
            z = full
        self.calls += 1
        try:
            value = self.fun(z)
        except StopIteration as stop:
            raise _Stopped(stop) from None
        return _as_complex(value) if self.is_complex else _as_real(value)


def _can_move(method: Method, lower: Vector, upper: Vector) -> NDArray[np.bool_]:
    """Return for each variable whether there is room for its difference."""
    if method == "cs":
        return lower < upper
    # An infinite bound makes the width infinite and the spacing NaN; both count as wide.
    with np.errstate(invalid="ignore", over="ignore"):
        ulp = np.spacing(np.maximum(np.abs(lower), np.abs(upper)))
        is_narrow = upper - lower < np.maximum(_NARROWEST_IN_ULPS * ulp, _NARROWEST)
    return ~is_narrow


def _as_real(value: Any) -> float:
    if isinstance(value, float):
        return value
    a = np.asarray(value)
    if a.size != 1:
        raise ValueError(
            f"fun must return a scalar or an array of size 1; it returned {describe(value)}."
        )
    if a.dtype.kind in "fiubO":
        try:
            # The dtype matters to SciPy's choice of the step only in f0, so float64 will do.
            return float(a.item())
        except (TypeError, ValueError):
            pass
    raise TypeError(f"fun must return a real number; it returned {describe(value)}.")


def _as_complex(value: Any) -> complex:
    a = np.asarray(value)
    if a.size != 1:
        raise ValueError(
            f"fun must return a scalar or an array of size 1; it returned {describe(value)}."
        )
    item = a.item()
    if a.dtype.kind == "c" or isinstance(item, complex):
        return complex(item)
    # A real value has lost the derivative: SciPy would report 0, and a solver convergence.
    raise TypeError(
        "With jac='cs' fun is called with complex x and must return a complex number; "
        f"it returned {describe(value)}."
    )


def _as_step(name: str, step: ArrayLike | None, n: int | None) -> float | Vector | None:
    """Return a step as a float, a fresh (n,) vector or None."""
    if step is None:
        return None
    if type(step) is float and 0.0 < step < np.inf:
        return step
    try:
        a = np.asarray(step)
    except (TypeError, ValueError):
        a = np.empty(0, dtype=object)
    if a.dtype.kind not in "fiu":
        raise TypeError(
            f"{name} must be a real number or an array of n of them; got {describe(step)}."
        )
    a = a.astype(np.float64)
    if a.size != 1 and (a.ndim != 1 or (n is not None and a.size != n)):
        expected = "(n,)" if n is None else f"({n},)"
        raise ValueError(
            f"{name} must be a scalar or have the shape {expected} of x0; its shape is {a.shape}."
        )
    is_good = (a > 0) & (a < np.inf)
    if not np.all(is_good):
        raise ValueError(f"{name} must be positive and finite; got {a[~is_good][0]}.")
    return float(a.item()) if a.size == 1 else a


def _restrict(step: float | Vector | None, free: NDArray[np.intp]) -> float | Vector | None:
    return step[free] if isinstance(step, np.ndarray) else step


def _as_workers(workers: Any) -> Workers | None:
    """Return what evaluates, None for evaluations in this thread."""
    if workers is None:
        return None
    if not _has_workers():
        raise ValueError("workers needs SciPy >= 1.16; with an older SciPy it must be None.")
    return as_workers("workers", workers)


@functools.cache
def _has_workers() -> bool:
    """approx_derivative has `workers`, and `full_output` with it, since SciPy 1.16."""
    return "workers" in inspect.signature(_scipy.approx_derivative).parameters
