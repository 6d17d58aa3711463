"""Runs in files: to be saved, and to be gone on with later, elsewhere or after a crash."""

from __future__ import annotations

import os
from typing import Any

from scipy.optimize import OptimizeResult

from lbfgsb import _durable
from lbfgsb._checkpoint_file import (
    CheckpointError,
    Content,
    read,
    result_of,
    why_stopped,
    write_result,
    write_run,
)
from lbfgsb._keeper import as_path
from lbfgsb._result import Result, memory_of, one_of_a_batch
from lbfgsb._solver import Solver, solver_from
from lbfgsb.batch import _batch_of
from lbfgsb.multistart import _search_in

__all__ = ["load_checkpoint", "save_checkpoint"]


def save_checkpoint(path: str | os.PathLike[str], run: OptimizeResult | Solver) -> None:
    """Save a result or a `Solver` in a file, with all that it needs to go on bit for bit.

    What is there under that name is there until the new file is whole and on the disk.

    Parameters
    ----------
    path : str or os.PathLike
        The file, in a folder that exists. It is used as it is: no suffix is added. It is an
        ``.npz`` that `numpy.load` reads with ``allow_pickle=False``.
    run : OptimizeResult or Solver
        A result of `minimize_lbfgsb` or of ``Solver.result()``; or a solver, at any moment, also
        between `~Solver.ask` and `~Solver.tell`.

    Raises
    ------
    TypeError, ValueError
        If it is of another solver, or the result was changed; of a batch there is
        ``minimize_batch(checkpoint=path)``.
    OSError
        If the file can't be written; what was there is there still.

    See Also
    --------
    load_checkpoint : the other way.
    lbfgsb.callbacks.Checkpoint : saves during a run.

    Examples
    --------
    >>> import os, tempfile
    >>> from lbfgsb import load_checkpoint, minimize_lbfgsb, save_checkpoint
    >>> def fun(x):
    ...     return ((x - 3) ** 4).sum(), 4 * (x - 3) ** 3
    >>> part = minimize_lbfgsb(x0=[0.0, 1.0], fun=fun, jac=True, maxiter=5)
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "part.npz")
    >>> save_checkpoint(path, part)
    >>> again = load_checkpoint(path)
    >>> rest = minimize_lbfgsb(x0=again.x, fun=fun, jac=True, checkpoint=again)
    >>> whole = minimize_lbfgsb(x0=[0.0, 1.0], fun=fun, jac=True)
    >>> bool((rest.x == whole.x).all()), rest.nfev == whole.nfev
    (True, True)
    >>> folder.cleanup()
    """
    name = as_path("path", path)
    if isinstance(run, Solver):
        _durable.check_place(name, 0)
        _durable.replace(name, lambda file: write_run(file, run, kind="solver", asked=run._asked))
        return
    one_of_a_batch("run", run)
    memory = memory_of(run)
    if memory is None or not isinstance(run, Result):
        raise TypeError(
            "run must be a Solver, or a result of minimize_lbfgsb, which has what it needs to go "
            f"on; got {type(run).__name__}"
        )
    if not memory.agrees_with(run):
        raise ValueError("the x, fun, jac or hess_inv of the result are not those of its run")
    _durable.check_place(name, 0)
    _durable.replace(name, lambda file: write_result(file, run, memory))


def load_checkpoint(path: str | os.PathLike[str]) -> Any:
    """Return what a file has: a `Solver`, or the result of a run, a batch or a multistart.

    Nothing in the file is executed, all of it is checked, and nothing is changed.

    Parameters
    ----------
    path : str or os.PathLike
        A file of `save_checkpoint`, `lbfgsb.callbacks.Checkpoint`, or ``checkpoint=path``.

    Returns
    -------
    OptimizeResult or Solver
        A result is a checkpoint for `minimize_lbfgsb`, with ``x0=result.x``; that of a run under
        way has status -1. A `Solver` goes on where it was. That of a batch can be looked at;
        ``minimize_batch(checkpoint=path)`` goes on from the file.

    Raises
    ------
    CheckpointError
        If the file is truncated, altered, foreign or newer; ``error.reason`` says which.
    OSError
        If it can't be read.

    Examples
    --------
    >>> import os, tempfile
    >>> from lbfgsb import Solver, load_checkpoint, save_checkpoint
    >>> solver = Solver([3.0, -2.0], bounds=[(1, None), (None, None)])
    >>> x = solver.ask()
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "solver.npz")
    >>> save_checkpoint(path, solver)
    >>> again = load_checkpoint(path)
    >>> new_iterate = again.tell(x @ x, 2 * x)
    >>> again
    <Solver: n = 2, nit = 0, nfev = 1, f = 13, |proj g| = 4, RUNNING>
    >>> folder.cleanup()
    """
    name = as_path("path", path)
    content = read(name)
    try:
        kind = content.header["kind"]
        if kind == "run":
            return result_of(content)
        if kind == "solver":
            return _solver_of(content)
        if kind == "batch":
            return _batch_of(content)
        if kind == "multistart":
            return _search_in(content)
        raise ValueError(f"there is no kind {kind!r}")
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise CheckpointError(f"{name} has been altered: {error}") from error
    except MemoryError as error:
        what = "has been altered, or is of a solver that is too large for this machine"
        raise CheckpointError(f"{name} {what}: {error}") from error


def _solver_of(content: Content) -> Solver:
    header, (snapshot,) = content
    solver = solver_from(snapshot)
    solver._asked = header["asked"] is True
    solver._stop_reason = why_stopped(header["result"]["stopped"])
    return solver
