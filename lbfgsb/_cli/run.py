"""``lbfgsb run``: a program as ``python`` runs it, with this solver in the place of SciPy's.

What it raises is shown without the frames of this command, as the interpreter would show it.

The program finds ``sys.argv``, ``sys.path[0]`` and a ``__main__`` of its own, as if it had been
started by ``python script.py``, ``python -m module``, ``python -c code`` or ``python -``. They
stay as they are when it has ended, and so does the patch: its threads and exit handlers may still
need them. The processes that it starts are patched too, by what `lbfgsb._inherit` puts in the
environment.
"""

from __future__ import annotations

import argparse
import builtins
import importlib.machinery
import io
import linecache
import os
import pkgutil
import runpy
import sys
import textwrap
from collections.abc import Sequence
from types import CodeType, ModuleType, TracebackType

from lbfgsb._inherit import hand_on
from lbfgsb.scipy_compat import patch_scipy

_CANNOT_OPEN = 2  # the status of ``python no_such_file.py``


def run(parser: argparse.ArgumentParser, words: Sequence[str]) -> int:
    """Run the program that `words` name, and return 0 once it has run to its end.

    Parameters
    ----------
    parser : ArgumentParser
        Words the help and the errors.
    words : sequence of str
        ``[--] SCRIPT [ARG ...]``, ``-m MODULE [ARG ...]``, ``-c CODE [ARG ...]``, ``- [ARG ...]``.

    Raises
    ------
    SystemExit
        With the program's status if it raises that, 2 if `words` name no program.
    BaseException
        Whatever else the program raises.
    """
    words = list(words)
    if words[:1] in (["-h"], ["--help"]):
        parser.print_help()
        return 0
    first = words[0] if words else ""
    if first in ("-m", "-c", "--"):
        del words[0]
    elif first.startswith("-") and first != "-":
        parser.error(f"unknown option {first}")
    if not words:
        missing = {"-m": "MODULE", "-c": "CODE"}.get(first, "SCRIPT")
        parser.error(f"{missing} is missing")
    patch_scipy()
    hand_on()
    try:
        if first == "-m":
            return _run_module(words[0], words[1:])
        if first == "-c":
            return _run_text(_as_shown(words[0]), "<string>", ["-c", *words[1:]])
        if first == "-":
            return _run_text(sys.stdin.buffer.read(), "<stdin>", words)
        return _run_script(words[0], words[1:])
    except BaseException:
        _show_without_frames_of_ours()
        raise


def _show_without_frames_of_ours() -> None:
    """Have what is under way shown from the program's first frame on, by whichever hook it set."""
    hook = sys.excepthook

    def shown(
        kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        there = _below_this_file(traceback)
        hook(kind, error.with_traceback(there), there)

    sys.excepthook = shown


def _below_this_file(traceback: TracebackType | None) -> TracebackType | None:
    """Return the part of a traceback that this file has called."""
    is_here, below = False, traceback
    while below is not None:
        was_here, is_here = is_here, below.tb_frame.f_code.co_filename == __file__
        if was_here and not is_here:
            break
        below = below.tb_next
    return below


def _as_shown(code: str) -> str:
    """Return code given as an argument as the interpreter takes it, known to its tracebacks."""
    if sys.version_info >= (3, 14):
        code = textwrap.dedent(code)
    if sys.version_info >= (3, 13):  # before, they show no lines of it
        lines = code.splitlines(keepends=True)
        linecache.cache["<string>"] = (len(code), None, lines, "<string>")
    return code


def _run_text(text: str | bytes, name: str, arguments: list[str]) -> int:
    sys.argv[:] = arguments
    _set_first_of_path("")
    main = sys.modules["__main__"] = _new_main()
    main.__loader__ = importlib.machinery.BuiltinImporter
    if name == "<stdin>":
        main.__file__ = name
        _set_cached(main)
    exec(compile(text, name, "exec", dont_inherit=True), vars(main))
    return 0


def _run_module(name: str, arguments: list[str]) -> int:
    sys.argv[:] = ["-m", *arguments]  # runpy puts the file in the place of -m
    _set_first_of_path(os.getcwd())
    sys.modules["__main__"] = _new_main()
    # What the interpreter itself calls for -m.
    runpy._run_module_as_main(name)  # type: ignore[attr-defined]
    return 0


def _run_script(script: str, arguments: list[str]) -> int:
    sys.argv[:] = [script, *arguments]
    if os.path.isdir(script) or _is_archive(script):
        if sys.flags.safe_path:  # what is run is on the path even so
            sys.path.insert(0, "")
        sys.path[0] = _absolute(script)
        sys.modules["__main__"] = _new_main()
        # As the interpreter does for a folder or a zip file.
        runpy._run_module_as_main("__main__", alter_argv=False)  # type: ignore[attr-defined]
        return 0
    code = _compile(script)
    _set_first_of_path(os.path.dirname(os.path.realpath(script)))
    main = sys.modules["__main__"] = _new_main()
    main.__file__ = _absolute(script)
    main.__loader__ = importlib.machinery.SourceFileLoader("__main__", main.__file__)
    _set_cached(main)
    exec(code, vars(main))
    return 0


def _set_cached(main: ModuleType) -> None:
    if sys.version_info < (3, 15):  # what is imported and run has none any more
        vars(main)["__cached__"] = None


def _is_archive(script: str) -> bool:
    """Would the interpreter look for a ``__main__`` in the file, since it can be imported from?"""
    importer = pkgutil.get_importer(script)
    return importer is not None and not isinstance(importer, importlib.machinery.FileFinder)


def _compile(script: str) -> CodeType:
    try:
        with io.open_code(_absolute(script)) as file:
            code: CodeType | None = pkgutil.read_code(file)  # None if it is no .pyc
            if code is None:
                file.seek(0)
                code = compile(file.read(), _absolute(script), "exec", dont_inherit=True)
    except OSError as error:
        print(
            f"{sys.executable}: can't open file {_absolute(script)!r}: "
            f"[Errno {error.errno}] {error.strerror}",
            file=sys.stderr,
        )
        raise SystemExit(_CANNOT_OPEN) from None
    return code


def _new_main() -> ModuleType:
    """Return an empty ``__main__``, for good: runpy's public functions take theirs away again."""
    main = ModuleType("__main__")
    vars(main)["__builtins__"] = builtins
    if "__annotations__" in vars(sys.modules["__main__"]):  # up to Python 3.13
        vars(main)["__annotations__"] = {}
    return main


def _set_first_of_path(folder: str) -> None:
    """Put the program's folder where the interpreter has put that of this command."""
    if not sys.flags.safe_path:
        sys.path[0] = folder


def _absolute(script: str) -> str:
    """Return the path as the interpreter does, which leaves ``..`` in it."""
    return os.path.join(os.getcwd(), script)
