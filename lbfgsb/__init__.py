"""L-BFGS-B with a compiled core: minimise a smooth f(x) subject to l ≤ x ≤ u.

>>> from lbfgsb import minimize_lbfgsb
>>> res = minimize_lbfgsb(x0=[3.0, -1.0], fun=lambda x: (x @ x, 2 * x), jac=True,
...                       bounds=[(1, None), (None, None)])
>>> res.x.round(6), res.status
(array([ 1., -0.]), 0)
"""

import importlib as _importlib
import importlib.util as _util
import os as _os
import sys as _sys
import typing as _typing


def _find_core() -> None:
    """Find the compiled core, also when this is the source tree and not the installed package.

    Python puts the current folder first on its path, so that in the root of a checkout
    ``import lbfgsb`` finds this folder. It has no compiled modules unless it was built in place;
    then the installed package's folder takes its place for everything below this module.
    """
    if _util.find_spec("lbfgsb._core.kernels") is not None:
        return
    here = _os.path.dirname(_os.path.abspath(__file__))
    for entry in _sys.path:
        folder = _os.path.join(_os.path.abspath(entry), "lbfgsb")
        if folder != here and _os.path.isdir(_os.path.join(folder, "_core")):
            _sys.modules.pop("lbfgsb._core", None)
            __path__[:] = [folder]
            if _util.find_spec("lbfgsb._core.kernels") is not None:
                return
    raise ImportError(
        f"lbfgsb was found as source in {here}, but its compiled core has not been built and "
        "lbfgsb is not installed in this environment. From the root of the checkout, run "
        "'pip install .', or to work on the code "
        "'pip install meson-python meson ninja cython numpy' and then "
        "'pip install --no-build-isolation -e .'."
    )


_find_core()

#: The version of lbfgsb, as ``lbfgsb --version`` prints it.
__version__ = "2.0.0.dev0"

# Where each public name is at home. A module is imported when something of it is first asked for:
# results are SciPy's, and to import scipy.optimize takes several times as long as to import NumPy.
_HOMES = {
    "_bounds": "get_grad_projection_inf_norm",
    "_checkpoint_file": "CheckpointError CheckpointWarning",
    "_endings": "GradientWarning",
    "_environment": "Report",
    "_executors": "WorkerError",
    "_hess_inv": "extract_hess_inv_diag",
    "_include": "get_include",
    "_minimize": "minimize_lbfgsb",
    "_result": "InternalState",
    "_solver": "Solver",
    "_standard_errors": "standard_errors",
    "batch": "minimize_batch",
    "benchmarks": "ackley ackley_grad beale beale_grad griewank griewank_grad quartic quartic_grad "
    "rastrigin rastrigin_grad rosenbrock rosenbrock_grad sphere sphere_grad styblinski_tang "
    "styblinski_tang_grad",
    "checkpoint": "load_checkpoint save_checkpoint",
    "diagnostics": "check_gradient diagnose",
    "multistart": "minimize_multistart",
    "plotting": "plot_bounds plot_convergence",
    "scipy_compat": "fmin_l_bfgs_b is_patched patch_scipy patched_scipy scipy_method unpatch_scipy",
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names.split()}
_MODULES = {
    *("batch", "benchmarks", "callbacks", "checkpoint", "diagnostics", "multistart"),
    *("plotting", "scipy_compat"),
}

if _typing.TYPE_CHECKING:  # the same, for type checkers and for what bundles programs
    from lbfgsb import batch as batch
    from lbfgsb import benchmarks as benchmarks
    from lbfgsb import callbacks as callbacks
    from lbfgsb import checkpoint as checkpoint
    from lbfgsb import diagnostics as diagnostics
    from lbfgsb import multistart as multistart
    from lbfgsb import plotting as plotting
    from lbfgsb import scipy_compat as scipy_compat
    from lbfgsb._bounds import get_grad_projection_inf_norm as get_grad_projection_inf_norm
    from lbfgsb._checkpoint_file import CheckpointError as CheckpointError
    from lbfgsb._checkpoint_file import CheckpointWarning as CheckpointWarning
    from lbfgsb._endings import GradientWarning as GradientWarning
    from lbfgsb._environment import Report as Report
    from lbfgsb._executors import WorkerError as WorkerError
    from lbfgsb._hess_inv import extract_hess_inv_diag as extract_hess_inv_diag
    from lbfgsb._include import get_include as get_include
    from lbfgsb._minimize import minimize_lbfgsb as minimize_lbfgsb
    from lbfgsb._result import InternalState as InternalState
    from lbfgsb._solver import Solver as Solver
    from lbfgsb._standard_errors import standard_errors as standard_errors
    from lbfgsb.batch import minimize_batch as minimize_batch
    from lbfgsb.benchmarks import ackley as ackley
    from lbfgsb.benchmarks import ackley_grad as ackley_grad
    from lbfgsb.benchmarks import beale as beale
    from lbfgsb.benchmarks import beale_grad as beale_grad
    from lbfgsb.benchmarks import griewank as griewank
    from lbfgsb.benchmarks import griewank_grad as griewank_grad
    from lbfgsb.benchmarks import quartic as quartic
    from lbfgsb.benchmarks import quartic_grad as quartic_grad
    from lbfgsb.benchmarks import rastrigin as rastrigin
    from lbfgsb.benchmarks import rastrigin_grad as rastrigin_grad
    from lbfgsb.benchmarks import rosenbrock as rosenbrock
    from lbfgsb.benchmarks import rosenbrock_grad as rosenbrock_grad
    from lbfgsb.benchmarks import sphere as sphere
    from lbfgsb.benchmarks import sphere_grad as sphere_grad
    from lbfgsb.benchmarks import styblinski_tang as styblinski_tang
    from lbfgsb.benchmarks import styblinski_tang_grad as styblinski_tang_grad
    from lbfgsb.checkpoint import load_checkpoint as load_checkpoint
    from lbfgsb.checkpoint import save_checkpoint as save_checkpoint
    from lbfgsb.diagnostics import check_gradient as check_gradient
    from lbfgsb.diagnostics import diagnose as diagnose
    from lbfgsb.multistart import minimize_multistart as minimize_multistart
    from lbfgsb.plotting import plot_bounds as plot_bounds
    from lbfgsb.plotting import plot_convergence as plot_convergence
    from lbfgsb.scipy_compat import fmin_l_bfgs_b as fmin_l_bfgs_b
    from lbfgsb.scipy_compat import is_patched as is_patched
    from lbfgsb.scipy_compat import patch_scipy as patch_scipy
    from lbfgsb.scipy_compat import patched_scipy as patched_scipy
    from lbfgsb.scipy_compat import scipy_method as scipy_method
    from lbfgsb.scipy_compat import unpatch_scipy as unpatch_scipy

# Report needs scooby, which few have.
__all__ = sorted({*_HOME_OF, "callbacks", "__version__"} - {"Report"})


def _get(name: str) -> object:
    """Import the module that a name of this package is at home in, or is; ``__getattr__``."""
    if name in _HOME_OF:
        value = getattr(_importlib.import_module(f"lbfgsb.{_HOME_OF[name]}"), name)
    elif name in _MODULES:
        value = _importlib.import_module(f"lbfgsb.{name}")
    else:
        raise AttributeError(f"module 'lbfgsb' has no attribute {name!r}")
    globals()[name] = value  # the next time it is found without this function
    return value


if not _typing.TYPE_CHECKING:  # to a type checker it would say that there is any name
    __getattr__ = _get


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF, *_MODULES})


if "LBFGSB_PATCH_SCIPY" in _os.environ:
    from lbfgsb import _inherit

    if _inherit.is_wanted():  # scipy_compat looks at it too, and patches at its end
        _importlib.import_module("lbfgsb.scipy_compat")
