"""L-BFGS-B with a compiled core: minimise a smooth f(x) subject to l ≤ x ≤ u.

>>> from lbfgsb import minimize_lbfgsb
>>> res = minimize_lbfgsb(x0=[3.0, -1.0], fun=lambda x: (x @ x, 2 * x), jac=True,
...                       bounds=[(1, None), (None, None)])
>>> res.x.round(6), res.status
(array([ 1., -0.]), 0)
"""

from __future__ import annotations

import importlib.util as _util
import os as _os
import sys as _sys


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

from lbfgsb import callbacks  # noqa: E402
from lbfgsb._bounds import get_grad_projection_inf_norm  # noqa: E402
from lbfgsb._include import get_include  # noqa: E402
from lbfgsb._minimize import minimize_lbfgsb  # noqa: E402
from lbfgsb._result import InternalState, extract_hess_inv_diag  # noqa: E402
from lbfgsb._solver import Solver  # noqa: E402
from lbfgsb.batch import minimize_batch  # noqa: E402
from lbfgsb.benchmarks import (  # noqa: E402
    ackley,
    ackley_grad,
    beale,
    beale_grad,
    griewank,
    griewank_grad,
    quartic,
    quartic_grad,
    rastrigin,
    rastrigin_grad,
    rosenbrock,
    rosenbrock_grad,
    sphere,
    sphere_grad,
    styblinski_tang,
    styblinski_tang_grad,
)
from lbfgsb.diagnostics import GradientWarning, check_gradient, diagnose  # noqa: E402
from lbfgsb.plotting import plot_bounds, plot_convergence  # noqa: E402
from lbfgsb.scipy_compat import (  # noqa: E402
    fmin_l_bfgs_b,
    patch_scipy,
    patched_scipy,
    scipy_method,
    unpatch_scipy,
)

__version__ = "2.0.0.dev0"


def __getattr__(name: str) -> object:
    if name == "Report":  # only those who use it need scooby
        from lbfgsb._environment import Report

        return Report
    raise AttributeError(f"module 'lbfgsb' has no attribute {name!r}")


__all__ = [
    "GradientWarning",
    "InternalState",
    "Solver",
    "__version__",
    "ackley",
    "ackley_grad",
    "beale",
    "beale_grad",
    "callbacks",
    "check_gradient",
    "diagnose",
    "extract_hess_inv_diag",
    "fmin_l_bfgs_b",
    "get_grad_projection_inf_norm",
    "get_include",
    "griewank",
    "griewank_grad",
    "minimize_batch",
    "minimize_lbfgsb",
    "patch_scipy",
    "patched_scipy",
    "plot_bounds",
    "plot_convergence",
    "quartic",
    "quartic_grad",
    "rastrigin",
    "rastrigin_grad",
    "rosenbrock",
    "rosenbrock_grad",
    "scipy_method",
    "sphere",
    "sphere_grad",
    "styblinski_tang",
    "styblinski_tang_grad",
    "unpatch_scipy",
]
