"""How the processes that a program starts come to be patched as the program is.

A process that is not forked begins without the patch: joblib's workers, those of `multiprocessing`
with ``spawn``, any other Python that the program calls. What it does inherit is the environment.
So the environment says what is wanted, ``LBFGSB_PATCH_SCIPY=1``, and `lbfgsb` patches SciPy when it
is imported. For a process that does not import it there is a ``sitecustomize`` in a folder of its
own on ``PYTHONPATH``, which does once the process imports `scipy.optimize`.
"""

from __future__ import annotations

import os

VARIABLE = "LBFGSB_PATCH_SCIPY"
_STARTUP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_startup")


def is_wanted() -> bool:
    """Whether the environment asks for the patch."""
    return os.environ.get(VARIABLE, "0") not in ("", "0")


def hand_on() -> None:
    """Have every Python process that is started from now on begin with the patch."""
    os.environ[VARIABLE] = "1"
    path = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    if _STARTUP not in path:
        os.environ["PYTHONPATH"] = os.pathsep.join([_STARTUP, *path])
