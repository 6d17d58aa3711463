"""Where the C header is."""

from pathlib import Path


def get_include() -> str:
    """Return the folder of ``lbfgsb.h``, for the compiler's include path.

    Returns
    -------
    str
        An absolute path.

    Examples
    --------
    >>> import os, lbfgsb
    >>> os.listdir(lbfgsb.get_include())
    ['lbfgsb.h']
    """
    return str(Path(__file__).resolve().parent / "include")
