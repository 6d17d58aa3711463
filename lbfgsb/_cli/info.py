"""``lbfgsb info``: what is installed, and which processor features it uses."""

from __future__ import annotations

import argparse
import platform
from importlib import metadata
from pathlib import Path

import numpy as np
import scipy

from lbfgsb._core import kernels


def run(args: argparse.Namespace) -> int:
    """Print it, and return the exit status."""
    threads = f"1 by default, {kernels.max_threads()} at most"
    if not kernels.openmp():
        threads = "1 (built without OpenMP)"
    rows = {
        "lbfgsb": metadata.version("lbfgsb"),
        "installed in": str(Path(kernels.__file__).parents[1]),
        "Python": f"{platform.python_version()} ({platform.python_implementation()})",
        "NumPy": np.__version__,
        "SciPy": scipy.__version__,
        "platform": platform.platform(),
        "compiler": kernels.compiler(),
        "Cython": kernels.cython_version(),
        "CPU kernels": f"{kernels.cpu()} (supported: {', '.join(kernels.cpu_supported())})",
        "threads": threads,
    }
    for name, value in rows.items():
        print(f"{name:<14}{value}")
    return 0
