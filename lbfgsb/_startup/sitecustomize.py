"""For the processes that a program under ``lbfgsb run`` starts: each is patched as the program is.

Python runs this when it starts, since ``lbfgsb run`` puts this folder first in ``PYTHONPATH``.
SciPy is patched once the process imports `scipy.optimize`; until then nothing of lbfgsb is
imported. The ``sitecustomize`` that this one hides, if there is one, has its turn.
"""

import importlib.machinery
import importlib.util
import os
import sys
from types import ModuleType
from typing import Any


class _AfterScipy:
    """Finds `scipy.optimize` as it would be found anyway, and has it patched once it is loaded."""

    def find_spec(
        self, name: str, path: Any = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != "scipy.optimize":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None:
            loader: Any = spec.loader
            execute = loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                _import_lbfgsb()

            loader.exec_module = exec_module
        return spec


def _import_lbfgsb() -> None:
    try:
        import lbfgsb  # noqa: F401  (it looks at the variable, and patches)
    except ImportError as error:  # another Python than the program's
        print(
            f"LBFGSB_PATCH_SCIPY is set, but {sys.executable} cannot import lbfgsb ({error}): "
            "SciPy's own L-BFGS-B is at work in this process",
            file=sys.stderr,
        )


def _run_hidden() -> None:
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", sys.path)
    if spec is not None and spec.loader is not None:
        module = sys.modules["sitecustomize"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)


if os.environ.get("LBFGSB_PATCH_SCIPY", "0") not in ("", "0"):
    sys.meta_path.insert(0, _AfterScipy())
_run_hidden()
