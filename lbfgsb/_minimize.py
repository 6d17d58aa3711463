"""`minimize_lbfgsb`: checks what came, lets the core work, words the result."""

from __future__ import annotations

import logging
import math
import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Never

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import OptimizeResult

from lbfgsb._arguments import no_arguments, of_x_alone
from lbfgsb._bounds import as_bounds, as_scale, as_start
from lbfgsb._core.base_solver import BaseSolver
from lbfgsb._core.driver import Objective, run
from lbfgsb._core.objective import quote
from lbfgsb._core.options import CheckedOptions
from lbfgsb._endings import warn_of_mismatch
from lbfgsb._executors import WorkerError
from lbfgsb._gradient import FiniteDifference, make_gradient
from lbfgsb._hess_inv import factors_of
from lbfgsb._log import Log
from lbfgsb._lowlevel import as_compiled, check_fun, is_compiled
from lbfgsb._numbers import as_integer
from lbfgsb._options import as_options_again, no_such_option, options_of
from lbfgsb._redefine import Redefinition, UpdateFunDef
from lbfgsb._result import Memory, make_result, memory_of, one_of_a_batch
from lbfgsb._types import Vector
from lbfgsb._watch import NOBODY, Watch, as_callbacks
from lbfgsb._workspace import in_folder

if TYPE_CHECKING:
    from lbfgsb._checkpoint_file import Content


def minimize_lbfgsb(
    *,
    x0: ArrayLike,
    fun: Callable[..., Any],
    jac: Any = None,
    update_fun_def: UpdateFunDef | None = None,
    bounds: Any = None,
    checkpoint: OptimizeResult | str | os.PathLike[str] | None = None,
    maxcor: int | None = None,
    ftarget: float | Callable[[], float] | None = None,
    ftol: float = 1e-5,
    gtol: float | Callable[[], float] = 1e-5,
    maxiter: int = 50,
    eps: ArrayLike = 1e-8,
    maxfun: int = 15000,
    callback: Callable[..., Any] | Iterable[Callable[..., Any]] | None = None,
    maxls: int = 20,
    finite_diff_rel_step: ArrayLike | None = None,
    max_steplength: float = 1e8,
    ftol_linesearch: float = 1e-3,
    gtol_linesearch: float = 0.9,
    xtol_linesearch: float = 0.1,
    eps_SY: float = 2.2e-16,
    iprint: int = -1,
    logger: logging.Logger | None = None,
    is_check_factorizations: bool = False,
    is_use_numba_jit: bool | None = None,
    workers: Any = None,
    threads: int | Literal["auto"] = 1,
    x_scale: ArrayLike | None = None,
    fun_precision: float | None = None,
    secant: Literal["modified", "standard"] = "modified",
    pairs: Literal["float64", "float32"] = "float64",
    extra_updates: int | None = None,
    initial_scaling: Literal["diagonal", "scalar"] | None = None,
    workspace: str | os.PathLike[str] | None = None,
    args: Any = (),
    x_shape: Sequence[int] | None = None,
    **unknown: Never,
) -> OptimizeResult:
    r"""Minimise f(x) subject to l ≤ x ≤ u with the L-BFGS-B algorithm.

    Every point at which `fun` is evaluated satisfies the bounds to the last bit.

    Parameters
    ----------
    x0 : array_like, shape (n,)
        The start; clipped into the bounds before the first evaluation. An array of more than one
        dimension is flattened, row by row; see `x_shape`.
    fun : callable or scipy.LowLevelCallable
        The objective: ``fun(x) -> float``, or ``fun(x) -> (float, ndarray)`` if `jac` is True.
        x is an array of float64, shape (n,), that is never written again while you hold it.
        A value or gradient that is not finite means that the step was too long, and a shorter one
        is tried. ``StopIteration`` ends the run with status 3 at the last accepted iterate.

        Or a compiled function that gives f and the gradient, as a `scipy.LowLevelCallable` with
        the signature ``int (intptr_t n, double *x, double *f, double *g, void *data)``; pointers
        may be ``const``. Anything but 0 that it returns ends the run with status 3. It is called
        without the GIL (see :doc:`/embedding`).
    jac : callable, bool, {'2-point', '3-point', 'cs'}, or None
        The gradient: ``jac(x) -> ndarray``, shape (n,) or (n, 1); or True: `fun` returns it too.
        A name asks for differences with the relative step `finite_diff_rel_step`; None and False
        for forward differences with the absolute step `eps`. Differences stay in the bounds. With
        a compiled `fun`, None or True.
    update_fun_def : callable, optional
        Redefines the objective on the fly, say with another regularisation weight:
        ``update_fun_def(x, f0, f0_old, grad, x_deque, grad_deque) -> (f0, f0_old, grad,
        grad_deque)``, called once before the first iteration and after each accepted step, before
        it is tested. The deques hold the iterates stored before x and their gradients, oldest
        first. The pairs are made again from the gradients it returns.
    bounds : scipy.optimize.Bounds, sequence of (min, max), or ndarray of shape (n, 2), optional
        None and ±inf mean no bound; equal bounds fix a variable.
    checkpoint : OptimizeResult or path, optional
        An earlier result, for the same `fun` and bounds: the run goes on from it, to the last
        bit as if it had never stopped, or with the other options given now. `x0` must be
        ``checkpoint.x``. The counts go on too, and the limits are for the whole. Of a result of
        another solver the pairs in ``hess_inv`` are used: a warm start.

        Or the path of a file, a str or `os.PathLike`, in which the run is kept: it goes on from
        the file if that exists, with the same `x0` as when it began, and begins otherwise. The
        file is written now and then and at the end as `lbfgsb.callbacks.Checkpoint` does by
        default, or by one of the same path among the callbacks, so that a script that is killed
        can be started again (see :doc:`/checkpoints`). A run that had come to its end is
        returned as it was if the options are the same. If the newest file is damaged, the one
        before is used, with a `CheckpointWarning`.
    maxcor : int, optional
        The number of pairs kept, at least 1. By default 10, and 30 for 3 to 32 variables: more
        pairs save evaluations, and with vectors so short they cost little memory and time; of one
        or two variables 6 know all. The attribute `maxcor` of a `Solver` says how many.
    ftarget : float or callable, optional
        Stop when f ≤ `ftarget`. A callable without arguments is called once after the first f and
        gradient.
    ftol : float, default 1e-5
        Stop when :math:`(f_k - f_{k+1}) / \max(|f_k|, |f_{k+1}|, 1) \le` `ftol`. 0 stops only
        when f did not change.
    gtol : float or callable, default 1e-5
        Stop when the inf-norm of the projected gradient is at most `gtol`. A callable as for
        `ftarget`.
    maxiter : int, default 50
        Most accepted iterates.
    eps : float or array_like, default 1e-8
        Absolute step of the differences for `jac` None.
    maxfun : int, default 15000
        Most evaluations of f, tested at the end of an iteration and in the line search, which
        pauses and can be resumed. Numerical gradients may pass the limit by one gradient; the
        first evaluation is always made.
    callback : callable or iterable of callables, optional
        Called once for each accepted iterate, the last included, as ``callback(xk, state)``,
        ``callback(*, intermediate_result)`` (exactly so named) or ``callback(xk)``, told apart by
        the signature. ``StopIteration`` ends the run with status 3, as does a true return value of
        the first form; that of the others, SciPy's, is ignored as in SciPy. The state
        is an `~scipy.optimize.OptimizeResult` with x, fun, jac, nfev, njev, nit, status, message,
        success, hess_inv, projected_gradient, steplength and active_bounds;
        ``state.update(gtol=…)`` changes ftol, gtol, maxiter, maxfun or maxcor. A callback's methods
        ``begin_run(state)`` and ``end_run(state)``, if it has them, are called before and after the
        run. `lbfgsb.callbacks` has ready-made ones.
    maxls : int, default 20
        Most evaluations of a line search.
    finite_diff_rel_step : float or array_like, optional
        Relative step of the differences.
    max_steplength : float, default 1e8
        The longest step, in multiples of the search direction.
    ftol_linesearch, gtol_linesearch : float, default 1e-3 and 0.9
        c₁ and c₂ of the strong Wolfe conditions, 0 < c₁ < c₂ < 1.
    xtol_linesearch : float, default 0.1
        The line search takes its best step once the minimiser lies in an interval of this width,
        relative to its end.
    eps_SY : float, default 2.2e-16
        A new pair is stored if sᵀy > `eps_SY` · \|sᵀg\|, g being the gradient at the start of the
        step; one that `update_fun_def` has changed is kept if sᵀy > `eps_SY` · yᵀy.
    iprint : int, default -1
        What goes to `logger`: < 0 nothing; 0 a summary; 0 < iprint < 99 a row every `iprint`
        iterations too; ≥ 99 the details of every iteration.
    logger : logging.Logger, optional
        Receives that at level INFO. Nothing is ever printed: without a logger `iprint` says
        nothing. To watch a run in a word there is ``callback=lbfgsb.callbacks.Print()``.
    is_check_factorizations : bool, default False
        Compare every factorisation with its matrix and raise `ArithmeticError` if it is off.
    is_use_numba_jit : object, optional
        Of no effect: the core is compiled. Anything but None gives a `DeprecationWarning`.
    workers : int, concurrent.futures.Executor or map-like callable, optional
        Evaluates differences in parallel, with SciPy ≥ 1.16, to the same bits: so many processes
        (-1: as many as processors), an executor of threads, processes or a cluster, or
        ``workers(fun, points)`` like `map`. Not with a gradient of your own. See
        :doc:`/multistart`.
    threads : int or 'auto', default 1
        Threads for the solver's own work on large n, at most. With 'auto' the solver finds out how
        many pay, by the time that its passes take, and goes on looking: beside a BLAS whose idle
        threads spin, or a busy neighbour, that may be one. The result does not depend on it.
    x_scale : float or array_like of shape (n,), optional
        The typical size of each variable, positive: the algorithm works on x / `x_scale`, so that
        variables of very different sizes get steps to match. Everything that you give and get,
        bounds, tolerances, callbacks and results, stays in the units of x.
    fun_precision : float, optional
        What `fun` is off by at most, relative to its value, between 0 and 1: 1e-7 if it computes in
        single precision, 1e-4 if that is the noise of a simulation. By default it is 2⁻⁵², or the
        spacing of the narrowest type that f and the gradient come as at the start: float32,
        float16 or bfloat16, of a NumPy scalar or an array of any library. Changes of f that
        this hides do not end the line search, the run goes on while the gradient tells that it
        gains, and steps of numerical gradients are chosen to suit it.
    secant : {'modified', 'standard'}, default 'modified'
        The equation for the curvature of the model along a step s: B s = c y with the factor c that
        f and the slopes at both ends give, between 1/3 and 3 (Zhang, Deng and Chen [5]_), which
        saves evaluations; or B s = y, the algorithm of [1]_. Where rounding errors or noise of f
        could pass for curvature, c is 1.
    pairs : {'float64', 'float32'}, default 'float64'
        The type in which the pairs are kept. They are approximate curvature: rounded to single
        precision they serve as well, in half the memory, and where n is large a step costs little
        more than half. All sums are in double precision, and x, f and g are not concerned. Of no
        effect for up to 32 variables.
    extra_updates : int, optional
        So many of the newest pairs update the model once more when all have done so, which brings
        it back to the curvature that earlier pairs told and saves evaluations (Al-Baali [6]_). By
        default 10, or 2n of fewer than five variables, and 0 with ``secant='standard'``. Pairs of
        before the last step along which f was far from a parabola do not.
    initial_scaling : {'diagonal', 'scalar'}, optional
        What the pairs update: a diagonal matrix that learns how f is curved along each variable
        (Gilbert and Lemaréchal [7]_), by default for 3 to 32 variables, or a multiple of the
        identity, by default for others and with ``secant='standard'``, which thus gives the
        algorithm of [1]_ as it stands. For more than 32 variables it is always the latter.
    workspace : path, optional
        A folder: the solver's memory is in a file there, which has no name and is gone with the
        solver and its result. For pairs, some 160 bytes a variable, that the machine's memory has
        no room for; the run is the same to the last bit, at the speed of the disk.
    args : tuple, default ()
        Further arguments: ``fun(x, *args)``, ``jac(x, *args)``. What is no tuple is one argument.
        Not with a compiled `fun`, whose data are in its LowLevelCallable.
    x_shape : tuple of int, optional
        The shape in which `fun` and `jac` get x, say ``x_shape=x0.shape``; the gradient may come
        back in that shape, or as (n,). All else, bounds, `x_scale`, callbacks and the x and jac of
        the result, is of shape (n,): ``res.x.reshape(x_shape)``. Not with a compiled `fun`.

    Returns
    -------
    OptimizeResult
        With

        - x, fun, jac: the last accepted iterate, f and the gradient there, as they were
          evaluated; no iterate has a lower f, but for rounding errors (1e-12, relative) where the
          last step meets `gtol`;
        - nfev, njev, nit: calls of f and of the gradient, accepted iterates;
        - status, success, message: 0 converged (True), 1 a limit was reached (False), 2 abnormal
          (False), 3 stopped by the callback or the objective (True);
        - hess_inv: `scipy.optimize.LbfgsInvHessProduct`, at most `maxcor` pairs, oldest first. Its
          ``sk`` and ``yk`` are plain differences, ``secant`` are their factors c, and
          ``extra_updates`` of the newest are used twice. The operator is that H, begun with I as
          SciPy's;
        - projected_gradient: its inf-norm at x;
        - gradient_mismatch: how far the values of f and the slopes along the last steps disagree,
          beyond what curvature explains: 0 fine, 1 hopeless. Above 0.35 the gradient is wrong or f
          noisy, and a run with a gradient of the user's gives a `GradientWarning`.

        It can be pickled, copied, and given as `checkpoint`.

    Raises
    ------
    TypeError, ValueError
        For bad input, with the name of the argument; nothing has been evaluated then. An exception
        in `fun`, `jac` or `callback` comes out as it is.
    WorkerError
        If one of the `workers` was lost. ``error.solver`` is the `Solver` where it was, and
        ``error.solver.result()`` a `checkpoint` to go on from.
    OSError, CheckpointError
        If `checkpoint` is a path where nothing can be written, or of a file that can't be gone on
        from; nothing has been evaluated then. What fails later is a `CheckpointWarning`.

    See Also
    --------
    Solver : the same algorithm, for those who call the objective themselves.

    References
    ----------
    .. [1] R. H. Byrd, P. Lu, J. Nocedal and C. Zhu, A limited memory algorithm for bound
       constrained optimization, SIAM J. Scientific Computing 16 (1995), 1190-1208.
    .. [2] C. Zhu, R. H. Byrd, P. Lu and J. Nocedal, Algorithm 778: L-BFGS-B, ACM Transactions on
       Mathematical Software 23 (1997), 550-560.
    .. [3] J. L. Morales and J. Nocedal, Remark on "Algorithm 778", ACM Transactions on
       Mathematical Software 38 (2011), article 7.
    .. [4] J. J. Moré and D. J. Thuente, Line search algorithms with guaranteed sufficient
       decrease, ACM Transactions on Mathematical Software 20 (1994), 286-307.
    .. [5] J. Zhang, N. Y. Deng and L. H. Chen, New quasi-Newton equation and related methods for
       unconstrained optimization, J. Optimization Theory and Applications 102 (1999), 147-167.
    .. [6] M. Al-Baali, Improved Hessian approximations for the limited memory BFGS method,
       Numerical Algorithms 22 (1999), 99-112.
    .. [7] J. C. Gilbert and C. Lemaréchal, Some numerical experiments with variable-storage
       quasi-Newton algorithms, Mathematical Programming 45 (1989), 407-435.

    Examples
    --------
    >>> import numpy as np
    >>> from lbfgsb import minimize_lbfgsb
    >>> def rosenbrock(x):
    ...     r = x[1] - x[0] ** 2
    ...     return (100 * r * r + (1 - x[0]) ** 2,
    ...             np.array([-400 * r * x[0] - 2 * (1 - x[0]), 200 * r]))
    >>> res = minimize_lbfgsb(x0=[-1.2, 1.0], fun=rosenbrock, jac=True,
    ...                       bounds=[(None, 0.5), (None, None)], ftol=1e-12)
    >>> res.message
    'CONVERGENCE: NORM_OF_PROJECTED_GRADIENT_<=_PGTOL'
    >>> res.x.round(4)
    array([0.5 , 0.25])

    Go on from a run that was stopped by a limit:

    >>> part = minimize_lbfgsb(x0=[-1.2, 1.0], fun=rosenbrock, jac=True, maxiter=10)
    >>> part.nit, part.success
    (10, False)
    >>> whole = minimize_lbfgsb(x0=part.x, fun=rosenbrock, jac=True, checkpoint=part)
    >>> whole.success
    True
    """
    if unknown:
        raise no_such_option(next(iter(unknown)), options_of(minimize_lbfgsb))
    start = as_start(x0, copy=False)
    lower, upper = as_bounds(bounds, start.size)
    values = (
        *(maxcor, None if callable(ftarget) else ftarget, ftol, 0.0 if callable(gtol) else gtol),
        *(maxiter, maxfun, maxls, max_steplength, ftol_linesearch, gtol_linesearch),
        *(xtol_linesearch, eps_SY, is_check_factorizations, threads, fun_precision, secant, pairs),
        *(extra_updates, initial_scaling),
    )
    options = as_options_again(_OPTIONS, values)
    scale = as_scale(x_scale, start.size)
    allocate = None if workspace is None else in_folder(workspace)
    differences: FiniteDifference | None = None
    if is_compiled(fun):
        no_arguments(args, x_shape)
        objective: Any = as_compiled(fun, jac)
    else:
        check_fun(fun)
        fun, jac = of_x_alone(fun, jac, args, x_shape, start.size)
        gradient = make_gradient(
            fun,
            jac,
            eps=eps,
            finite_diff_rel_step=finite_diff_rel_step,
            workers=workers,
            lower=lower,
            upper=upper,
            n=start.size,
            fun_precision=fun_precision,
        )
        if isinstance(gradient, FiniteDifference):
            differences = gradient
        objective = Objective(fun, gradient, differences is not None)
    if update_fun_def is not None and not callable(update_fun_def):
        raise TypeError(f"update_fun_def must be callable; got {quote(update_fun_def)}")
    if is_use_numba_jit is not None:
        warnings.warn(
            "is_use_numba_jit has no effect: the core of lbfgsb 2 is compiled",
            DeprecationWarning,
            stacklevel=2,
        )
    callbacks = as_callbacks(callback)
    iprint = as_integer("iprint", iprint, None)
    if logger is not None and not callable(getattr(logger, "info", None)):
        raise TypeError(f"logger must be a logging.Logger; got {quote(logger)}")
    path, found = "", None
    if checkpoint is not None and isinstance(checkpoint, (str, bytes, os.PathLike)):
        from lbfgsb._keeper import keep_run  # what it imports is for those who want it

        path = os.fsdecode(checkpoint)
        found, callbacks = keep_run(checkpoint, callbacks, start)
        checkpoint = None
    with NOBODY if differences is None else differences:
        solver = BaseSolver(start, lower, upper, options, scale, allocate)
        extra: dict[str, Any] = {}
        if found is not None:
            solver, extra = _go_on(path, found, start, solver, options, scale, allocate)
        elif checkpoint is not None:
            extra = _resume(solver, start, checkpoint)
        del start, lower, upper, scale, found  # the solver has its own
        if differences is not None:
            solver._differences = differences.method
        redefine = None
        if update_fun_def is not None:
            redefine = Redefinition(
                solver,
                update_fun_def,
                solver.maxcor,
                options["eps_SY"],
                logger,
                extra.get("iterates"),
            )
        log = None
        if logger is not None and iprint >= 0:
            log = Log(solver, logger, iprint)
        on_start = None
        if log is not None or callable(ftarget) or callable(gtol):
            on_start = _Start(solver, ftarget, gtol, log)
        watched = callbacks or log is not None
        with Watch(callbacks, solver, redefine, log) if watched else NOBODY as watch:
            if solver._phase != _START:
                if on_start is not None:
                    on_start()
                if redefine is not None and "iterates" not in extra:
                    redefine()
            try:
                run(solver, objective, on_start, redefine, watch.on_iterate, watch.recorders)
            except WorkerError as error:
                from lbfgsb._solver import solver_from  # for those who need it

                kept = {} if redefine is None else redefine.extra()
                error.solver = solver_from(solver._snapshot() | kept)
                raise
            if log is not None:
                log.end()
    memory = Memory(solver)
    if redefine is not None:
        memory.extra.update(redefine.extra())
    if differences is not None:
        memory.extra["differences"] = solver._differences
    result = make_result(solver, memory)
    watch.attach_to(result)
    if redefine is None and differences is None:
        warn_of_mismatch(solver, result.status, stacklevel=2)
    return result


_OPTIONS = (
    *("maxcor", "ftarget", "ftol", "gtol", "maxiter", "maxfun", "maxls", "max_steplength"),
    *("ftol_linesearch", "gtol_linesearch", "xtol_linesearch", "eps_SY"),
    *("is_check_factorizations", "threads", "fun_precision", "secant", "pairs"),
    *("extra_updates", "initial_scaling"),
)


class _Start:
    """What is to be done when f and g at x0 are known."""

    def __init__(
        self,
        solver: BaseSolver,
        ftarget: float | Callable[[], float] | None,
        gtol: float | Callable[[], float],
        log: Log | None,
    ) -> None:
        self.solver, self.ftarget, self.gtol, self.log = solver, ftarget, gtol, log

    def __call__(self) -> None:
        ftarget, gtol = self.ftarget, self.gtol
        if callable(ftarget) or callable(gtol):
            now = self.solver._limits  # a callback may have changed gtol when the run began
            self.solver._set_tolerances(
                float(ftarget()) if callable(ftarget) else now["ftarget"],
                float(gtol()) if callable(gtol) else now["gtol"],
            )
        if self.log is not None:
            self.log.start()


_START = 0


def _go_on(
    path: str,
    found: Content,
    start: Vector,
    solver: BaseSolver,
    options: CheckedOptions,
    scale: Vector | None,
    allocate: Callable[[int], Any] | None,
) -> tuple[BaseSolver, dict[str, Any]]:
    """Return a solver in the state of a checkpoint on the disk, and what else that carries.

    Parameters
    ----------
    path, found
        The checkpoint.
    start : ndarray
        The x0 that was given now.
    solver : BaseSolver
        At that, in the bounds.
    options, scale, allocate
        What it was made with.
    """
    from lbfgsb._checkpoint_file import result_of, why_stopped, wrong_kind
    from lbfgsb._keeper import check_start, is_over

    kind = found.header["kind"]
    if kind in ("batch", "multistart"):
        wrong_kind(path, kind, f"one run; it is for minimize_{kind}")
    result = result_of(found)
    check_start(path, found, start, solver.x, result.x)
    if not np.array_equal(solver.x, result.x):
        lower, upper = solver._bounds
        del solver  # its memory too
        solver = BaseSolver(result.x, lower, upper, options, scale, allocate)
    over = is_over(found, solver._chosen)
    if over:
        solver._stop_reason = why_stopped(found.header["result"]["stopped"])
    return solver, _resume(solver, result.x, result, reopen=not over)


def _resume(
    solver: BaseSolver, start: Vector, checkpoint: OptimizeResult, reopen: bool = True
) -> dict[str, Any]:
    """Bring a new solver to the state of a checkpoint; returns what else that carries.

    With `reopen` the end of its run is undone, so that the tests that ended it are made again.
    """
    _check_checkpoint(checkpoint, solver.n)
    if not np.array_equal(start, checkpoint.x):
        raise ValueError(
            "When 'checkpoint' is provided (L-BFGS-B restart), x0 and checkpoint.x should be equal!"
        )
    memory = memory_of(checkpoint)
    if memory is not None and _is_intact(memory, checkpoint, solver):
        snapshot = memory.snapshot()
        solver._restore(snapshot)
        if reopen:
            solver._reopen()
        solver._set_counts(*_counts_of(checkpoint))
        return {"iterates": snapshot["iterates"]} if "iterates" in snapshot else {}
    S, Y, secant = _pairs_of(checkpoint, solver.n)
    # No test against yᵀy: one that neither the scale of f nor that of x changes.
    sizes = np.linalg.norm(S, axis=1) * np.linalg.norm(Y, axis=1)
    curved = np.einsum("ij,ij->i", S, Y) > np.finfo(np.float64).eps * sizes
    newest = np.flatnonzero(curved)[-solver.maxcor :]
    S, Y, secant = S[newest], Y[newest], secant[newest]
    g = np.asarray(checkpoint.jac, dtype=np.float64).reshape(-1)
    known = math.isfinite(checkpoint.fun) and bool(np.isfinite(g).all())
    if known and np.array_equal(solver.x, start):
        solver._warm_start(float(checkpoint.fun), np.ascontiguousarray(g), S, Y, secant)
    else:  # clipped into other bounds, or without a gradient: f and g are wanted first
        solver._give_pairs(S, Y, secant)
    solver._set_counts(*_counts_of(checkpoint))
    return {}


def _counts_of(checkpoint: OptimizeResult) -> tuple[int, int, int]:
    nit, nfev, njev = (int(checkpoint.get(name, 0)) for name in ("nit", "nfev", "njev"))
    return nit, nfev, njev


def _check_checkpoint(checkpoint: OptimizeResult, n: int) -> None:
    one_of_a_batch("checkpoint", checkpoint)
    if not isinstance(checkpoint, OptimizeResult) or not {"x", "fun", "jac"} <= checkpoint.keys():
        made = (
            ", of which scipy.optimize.OptimizeResult(...) makes a result, without what goes on "
            "to the same bits"
        )
        raise TypeError(
            "checkpoint must be a path, or a result of minimize_lbfgsb, with x, fun and jac; "
            f"got {type(checkpoint).__name__}{made if type(checkpoint) is dict else ''}"
        )
    hess_inv = checkpoint.get("hess_inv")
    if hess_inv is not None and hess_inv.shape[0] != n:
        raise ValueError(
            f"The size of correction vector ({hess_inv.shape[0]}) does not match the size of x "
            f"({n})!"
        )


def _pairs_of(checkpoint: OptimizeResult, n: int) -> tuple[Vector, Vector, Vector]:
    """Return the pairs (k, n), (k, n) and factors (k,) of a checkpoint, each contiguous."""
    hess_inv = checkpoint.get("hess_inv")
    if hess_inv is None:
        return np.empty((0, n)), np.empty((0, n)), np.empty(0)
    return (
        np.ascontiguousarray(hess_inv.sk, dtype=np.float64),
        np.ascontiguousarray(hess_inv.yk, dtype=np.float64),
        np.ascontiguousarray(factors_of(hess_inv), dtype=np.float64),
    )


def _is_intact(memory: Memory, checkpoint: OptimizeResult, solver: BaseSolver) -> bool:
    """Does the checkpoint say what its snapshot does, for the bounds of this run?"""
    snapshot = memory.snapshot()
    lower, upper = solver._bounds
    hess_inv = checkpoint.get("hess_inv")
    return (
        snapshot["version"] == 1
        and np.array_equal(snapshot["x"], checkpoint.x)
        and np.array_equal(snapshot["g"], checkpoint.jac, equal_nan=True)
        and snapshot["numbers"][0] == checkpoint.fun
        and _same(snapshot["lower"], lower)
        and _same(snapshot["upper"], upper)
        and _same(snapshot["scale"], solver._scale)
        and hess_inv is not None
        and memory.holds(hess_inv)
    )


def _same(a: Vector | None, b: Vector | None) -> bool:
    if a is b:
        return True
    if a is None or b is None:
        return False
    return np.array_equal(a, b)
