"""Files that are there whole or not at all, whatever ends the process or the machine.

A new version is written beside the old one and brought to the disk before it takes the old one's
name, which a rename does at once; then the folder, which has the names, is brought to the disk.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
from collections.abc import Callable
from contextlib import suppress
from typing import IO


def replace(path: str, write: Callable[[IO[bytes]], None], keep: int = 1) -> None:
    """Write a file that takes the place of what is there.

    Parameters
    ----------
    path : str
    write : callable
        ``write(file)`` writes it; the file can be read and sought in.
    keep : int, default 1
        How many versions there are at the end: the one before is ``path.1``, and so on. At no
        moment is there less than was, but for the oldest.

    Raises
    ------
    OSError
        What was there is there still.
    """
    temporary = _temporary(path)
    try:
        with open(temporary, "xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        _push_down(path, keep)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):  # the first error is the one to be seen
            os.remove(temporary)
        raise
    sync_folder(path)


def start_writing(file: IO[bytes], first: int, end: int) -> None:
    """Have the system begin to bring these bytes to the disk while the next ones are made.

    By itself Linux begins when it is asked to wait for the end.
    """
    if hasattr(os, "posix_fadvise"):
        file.flush()
        os.posix_fadvise(file.fileno(), first, end - first, os.POSIX_FADV_DONTNEED)


def earlier(path: str, age: int) -> str:
    """Return the name of the version before the last, with ``age=1``, and so on."""
    return f"{path}.{age}"


def _push_down(path: str, keep: int) -> None:
    """Give each version a second name, that of the one before it."""
    if keep == 1 or not os.path.exists(path):
        return
    before = earlier(path, 1)
    if os.path.exists(before) and os.path.samefile(path, before):
        return  # a process got as far as this, and no further
    for age in range(keep - 1, 1, -1):
        if os.path.exists(earlier(path, age - 1)):
            give_second_name(earlier(path, age - 1), earlier(path, age))
    give_second_name(path, before)


def give_second_name(path: str, second: str) -> None:
    """Have the file under a second name too, in the place of what has that name, at once.

    It is a copy of its own where the file system has no links.
    """
    temporary = _temporary(path)
    try:
        try:
            os.link(path, temporary)
        except OSError:
            with open(path, "rb") as source, open(temporary, "xb") as copy:
                shutil.copyfileobj(source, copy, 1 << 20)
                copy.flush()
                os.fsync(copy.fileno())
        os.replace(temporary, second)
    finally:
        # Also where both were names of one file already: then a rename leaves both as they are.
        with suppress(FileNotFoundError):
            os.remove(temporary)


def sync_folder(path: str) -> None:
    """Bring the names in the folder of a file to the disk. Windows does so by itself."""
    if os.name != "posix":
        return
    folder = os.open(os.path.dirname(path) or os.curdir, os.O_RDONLY)
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems can't
            raise
    finally:
        os.close(folder)


def check_place(path: str, size: int) -> None:
    """Raise what `replace` would raise later, as far as that can be known.

    Parameters
    ----------
    path : str
    size : int
        Bytes that the file takes.

    Raises
    ------
    OSError
        If the folder does not exist, is none, has no room or may not be written in, or if there is
        a folder of that name, or a device.
    """
    folder = os.path.dirname(path) or os.curdir
    check_regular(path)
    if not os.path.exists(folder):
        raise FileNotFoundError(errno.ENOENT, "there is no such folder for the checkpoint", folder)
    if not os.path.isdir(folder):
        raise NotADirectoryError(errno.ENOTDIR, "the checkpoint's folder is none", folder)
    temporary = _temporary(path)
    with open(temporary, "xb"):
        pass
    os.remove(temporary)
    free = shutil.disk_usage(folder).free
    if free < size:
        raise OSError(
            errno.ENOSPC,
            f"the checkpoint takes {size / 1e6:.3g} MB, and the disk has {free / 1e6:.3g}",
            path,
        )


def check_regular(path: str) -> None:
    """Raise OSError if there is something of that name that is no file, such as ``/dev/null``.

    It would be replaced, and a pipe be waited for.
    """
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, "the checkpoint would be a folder", path)
    if os.path.exists(path) and not os.path.isfile(path):
        raise OSError(errno.EINVAL, "the checkpoint would be a device or a pipe", path)


def remove_leftovers(path: str) -> None:
    """Remove what processes have left that were ended while they wrote."""
    folder, name = os.path.split(path)
    leftover = re.compile(re.escape(name) + r"\.\d+-[0-9a-f]{8}\.tmp")
    for entry in os.listdir(folder or os.curdir):
        if leftover.fullmatch(entry):
            with suppress(FileNotFoundError):  # another process does the same
                os.remove(os.path.join(folder, entry))


def _temporary(path: str) -> str:
    """Return a name in the same folder that nobody else has."""
    return f"{path}.{os.getpid()}-{secrets.token_hex(4)}.tmp"
