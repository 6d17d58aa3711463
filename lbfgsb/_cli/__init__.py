"""The console script ``lbfgsb``.

``lbfgsb demo`` solves two problems in the terminal, next to SciPy's L-BFGS-B; ``lbfgsb run``
runs a program with ours in the place of SciPy's; ``lbfgsb bench`` measures both solvers' own time;
``lbfgsb info`` says what is installed and which processor features it uses.

A subcommand is a function that adds its parser and names the function to run; it is listed in
`_COMMANDS`, and that is all.
"""

from __future__ import annotations

import argparse
import codecs
import io
import os
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import TypeAlias

from lbfgsb._cli import bench, demo, info, run

Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the console script.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; by default those of the process.

    Returns
    -------
    int
        The exit status: 0 if all went well. 130 after Ctrl-C and 141 where the reader of a pipe
        has gone, as a shell says it of a program that the signal has ended.

    Raises
    ------
    SystemExit
        From argparse: with status 2 and a usage message for arguments that it does not know,
        with status 0 after ``--help`` and ``--version``.

    Examples
    --------
    >>> status = main(["info"])  # doctest: +SKIP
    """
    parser = argparse.ArgumentParser(
        prog="lbfgsb", description="L-BFGS-B: minimise a smooth function under bounds."
    )
    version = metadata.version("lbfgsb")
    parser.add_argument("--version", action="version", version=f"lbfgsb {version}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND")
    for add_command in _COMMANDS:
        add_command(subparsers)
    parser.set_defaults(run=None)
    args = parser.parse_args(argv)
    if args.run is None:
        return _quietly(lambda: _help(parser))
    if args.is_program:
        status: int = args.run(args)
        return status
    return _quietly(lambda: args.run(args))


def _help(parser: argparse.ArgumentParser) -> int:
    parser.print_help()
    return 0


def _quietly(command: Callable[[], int]) -> int:
    """Run a command of our own, whose user may go at any moment, in any terminal.

    A program under ``lbfgsb run`` is not: what becomes of it is as the interpreter has it.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_IN_OTHER_LETTERS)
    try:
        status = command()
        sys.stdout.flush()  # a pipe that is closed shows here at the latest
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # The interpreter flushes once more when it ends, and would complain.
        if isinstance(sys.stdout, io.TextIOWrapper):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    return status


_IN_OTHER_LETTERS = "lbfgsb.in_other_letters"
_LETTERS = {"\N{MICRO SIGN}": "u", "\N{MINUS SIGN}": "-", "\N{MULTIPLICATION SIGN}": "x"}


def _in_other_letters(error: UnicodeError) -> tuple[str, int]:
    """What a terminal gets for a letter that it doesn't have: as wide, for the tables' sake."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letter = error.object[error.start]
    return _LETTERS.get(letter, "?"), error.start + 1


codecs.register_error(_IN_OTHER_LETTERS, _in_other_letters)


def _add_demo(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser(
        "demo",
        help="solve two problems next to SciPy's solver",
        description="Solve a fit to measured data and a large test problem, next to SciPy's "
        "L-BFGS-B with the same options. Takes a few seconds.",
    )
    parser.set_defaults(run=demo.run, is_program=False)


def _add_run(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser(
        "run",
        help="run a Python program with this solver in the place of SciPy's",
        usage="lbfgsb run [--] SCRIPT [ARG ...]\n       lbfgsb run -m MODULE [ARG ...]\n"
        "       lbfgsb run -c CODE [ARG ...]\n       lbfgsb run - [ARG ...]",
        description="Run a Python script, a folder or zip file with a __main__.py, a module, code "
        "given as an argument, or (-) the standard input, as 'python' would, after "
        "lbfgsb.patch_scipy(): whatever uses SciPy's L-BFGS-B in it, through whatever library, "
        "gets this solver. What follows SCRIPT, MODULE, CODE or - is the program's own. The exit "
        "status is the program's.",
        # Every word belongs to the program: here nothing looks like an option.
        prefix_chars="\0",
        add_help=False,
    )
    parser.add_argument("program", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    parser.set_defaults(run=lambda args: run.run(parser, args.program), is_program=True)


def _add_bench(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser(
        "bench",
        help="the solver's own time, next to SciPy's and to memory's limit",
        description="Measure the solver's own time per evaluation on the chained Rosenbrock "
        "function, next to SciPy's L-BFGS-B, and how far an iteration is from the time of reading "
        "its memory. Takes ten minutes or so.",
    )
    bench.add_arguments(parser)
    parser.set_defaults(run=bench.run, is_program=False)


def _add_info(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser(
        "info",
        help="versions, compiler, processor features and threads",
        description="Print versions, the compiler, the processor features in use, and threads.",
    )
    parser.set_defaults(run=info.run, is_program=False)


_COMMANDS: tuple[Callable[[Subparsers], None], ...] = (
    _add_demo,
    _add_run,
    _add_bench,
    _add_info,
)
