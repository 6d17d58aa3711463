"""The memory of a solver in a file, where that of the machine is too small for it.

The file is written and read as memory is, by the system, which keeps as much of it in memory as
there is room for. A pass over W is one long stream, so it goes at the speed of the disk.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lbfgsb._core.objective import quote

Bytes = NDArray[np.uint8]


def in_folder(workspace: Any) -> Callable[[int], Bytes] | None:
    """Return what makes the memory of a solver in a folder: a function of its size in bytes.

    Parameters
    ----------
    workspace : str, os.PathLike or None
        The folder. None: the solver's memory is the machine's, and so is what is returned.

    Raises
    ------
    TypeError
        If `workspace` is no path.
    OSError
        If there is no such folder, or it can't be written to.
    """
    if workspace is None:
        return None
    try:
        folder = os.fspath(workspace)
    except TypeError:
        raise TypeError(f"workspace must be the path of a folder; got {quote(workspace)}") from None
    if not os.path.isdir(folder):
        raise NotADirectoryError(f"workspace must be a folder that there is; got {quote(folder)}")
    with tempfile.TemporaryFile(dir=folder):
        pass

    def allocate(size: int) -> Bytes:
        # The file has no name, and is gone when the solver is, whatever becomes of the process.
        with tempfile.TemporaryFile(dir=folder) as file:
            try:
                reserve(file.fileno(), size)
            except OSError as error:
                what = f"workspace takes {size / 1e6:.3g} MB: {error.strerror}"
                raise OSError(error.errno, what, folder) from error
            return np.frombuffer(mmap.mmap(file.fileno(), size), np.uint8)

    return allocate


def reserve(file: int, size: int) -> None:
    """Give a file its size, and the room for it on the disk: later it would be missed as a signal
    that ends the process.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    else:
        os.truncate(file, size)
