"""The console script ``lbfgsb``.

``lbfgsb demo`` solves two problems in the terminal, next to SciPy's L-BFGS-B; ``lbfgsb run``
runs a program with ours in the place of SciPy's; ``lbfgsb bench`` measures both solvers' own time;
``lbfgsb info`` says what is installed and which processor features it uses.

A subcommand is a function that adds its parser and names the function to run; it is listed in
`_COMMANDS`, and that is all.
"""

from __future__ import annotations

import argparse
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
        The exit status: 0 if all went well.

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
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add_command in _COMMANDS:
        add_command(subparsers)
    args = parser.parse_args(argv)
    status: int = args.run(args)
    return status


def _add_demo(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser(
        "demo",
        help="solve two problems next to SciPy's solver",
        description="Solve a fit to measured data and a large test problem, next to SciPy's "
        "L-BFGS-B with the same options. Takes a few seconds.",
    )
    parser.set_defaults(run=demo.run)


def _add_run(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser(
        "run",
        help="run a Python program with this solver in the place of SciPy's",
        usage="lbfgsb run [--] SCRIPT [ARG ...]\n       lbfgsb run -m MODULE [ARG ...]",
        description="Run a Python script, a folder or zip file with a __main__.py, or a module, "
        "as 'python' would, after lbfgsb.patch_scipy(): whatever uses SciPy's L-BFGS-B in it, "
        "through whatever library, gets this solver. What follows SCRIPT or MODULE is the "
        "program's own. The exit status is the program's.",
        # Every word belongs to the program: here nothing looks like an option.
        prefix_chars="\0",
        add_help=False,
    )
    parser.add_argument("program", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    parser.set_defaults(run=lambda args: run.run(parser, args.program))


def _add_bench(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser(
        "bench",
        help="the solver's own time, next to SciPy's and to memory's limit",
        description="Measure the solver's own time per evaluation on the chained Rosenbrock "
        "function, next to SciPy's L-BFGS-B, and how far an iteration is from the time of reading "
        "its memory. Takes ten minutes or so.",
    )
    bench.add_arguments(parser)
    parser.set_defaults(run=bench.run)


def _add_info(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser(
        "info",
        help="versions, compiler, processor features and threads",
        description="Print versions, the compiler, the processor features in use, and threads.",
    )
    parser.set_defaults(run=info.run)


_COMMANDS: tuple[Callable[[Subparsers], None], ...] = (
    _add_demo,
    _add_run,
    _add_bench,
    _add_info,
)
