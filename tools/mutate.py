"""Mutation testing of a module: change an operator, and see whether a test fails.

    python tools/mutate.py lbfgsb/_options.py tests/test_arguments.py tests/test_batch.py
    python tools/mutate.py lbfgsb/_bounds.py tests/test_bounds.py --only 12
    python tools/mutate.py src/line_search.pyx tests/test_core_line_search.py --sample 30

Each mutant is the module with one change: a comparison, an arithmetic or a boolean operator turned
into another, `not` left out; in Python also a condition negated, a number one more, True for False,
a returned value None. The tests run in a process of their own in which the import of the module
gives the mutant; no file is changed. It prints those that survive all tests, with their lines: each
wants a test, or a reason why it is no other program. Error messages are left alone.

A module of the core is compiled in a temporary folder, as ninja would compile it in the build
folder of an installation with `-e`.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib.abc
import importlib.util
import io
import os
import random
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy  # noqa: F401  imported once, before all the processes
import pytest
import scipy.optimize
import scipy.stats  # noqa: F401
from hypothesis import Phase, settings

# After so much time, or time of the processor, a mutant that hangs is taken for found.
SECONDS = 300
CPU_SECONDS = 60

# That a test fails is enough: no smaller example is looked for.
settings.register_profile("mutants", phases=[Phase.explicit, Phase.generate], database=None)
settings.load_profile("mutants")

OTHER = {
    **{ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq},
    **{ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn},
    **{ast.NotIn: ast.In, ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div},
    **{ast.Div: ast.Mult, ast.Pow: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult},
    **{ast.And: ast.Or, ast.Or: ast.And, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr},
}


def changes(node: ast.AST):
    """Yield functions that change a node in place, each in one way."""
    if isinstance(node, ast.Compare):
        for i, op in enumerate(node.ops):
            if type(op) in OTHER:
                yield lambda i=i, op=op: node.ops.__setitem__(i, OTHER[type(op)]())
    elif isinstance(node, (ast.BinOp, ast.BoolOp)) and type(node.op) in OTHER:
        yield lambda: setattr(node, "op", OTHER[type(node.op)]())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield lambda: setattr(node, "operand", ast.UnaryOp(ast.Not(), node.operand))
    elif isinstance(node, (ast.If, ast.IfExp)):
        yield lambda: setattr(node, "test", ast.UnaryOp(ast.Not(), node.test))
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield lambda: setattr(node, "value", not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        yield lambda: setattr(node, "value", node.value + 1)
    elif isinstance(node, ast.Return) and node.value is not None:
        yield lambda: setattr(node, "value", ast.Constant(None))


def places(tree: ast.AST):
    """Yield the nodes of a module, without annotations, assertions and what is raised."""
    todo = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, (ast.Raise, ast.Assert, ast.JoinedStr)):
            continue
        yield node
        skipped = {"annotation", "returns"}
        for name, value in ast.iter_fields(node):
            if name not in skipped:
                values = value if isinstance(value, list) else [value]
                todo += [each for each in reversed(values) if isinstance(each, ast.AST)]


def mutants(source: str):
    """Yield trees of a module, each with one change, and the line of that."""
    count = sum(len(list(changes(node))) for node in places(ast.parse(source)))
    for k in range(count):
        tree = ast.parse(source)
        each = ((node, change) for node in places(tree) for change in changes(node))
        for i, (node, change) in enumerate(each):
            if i == k:
                before = ast.unparse(node).split("\n")[0]
                change()
                ast.fix_missing_locations(tree)
                yield tree, node.lineno, f"{before}  ->  {ast.unparse(node).splitlines()[0]}"
                break


# What is no code of Cython: strings and comments.
NO_CODE = re.compile(r'("""|\'\'\').*?\1|"[^"\n]*"|\'[^\'\n]*\'|#[^\n]*', re.DOTALL)
# Operators between blanks: a cast and a pointer have none on both sides.
OPERATOR = re.compile(r"(?<= )(<|<=|>|>=|==|!=|\+|-|\*|/|//|and|or|[-+*/]=)(?= )|\bnot (?!in\b)")
OTHER_IN_CYTHON = {
    **{"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "+": "-", "-": "+"},
    **{"*": "/", "/": "*", "//": "*", "and": "or", "or": "and", "not ": ""},
    **{"+=": "-=", "-=": "+=", "*=": "/=", "/=": "*="},
}


def cython_mutants(source: str) -> Iterator[tuple[str, int, str]]:
    """Yield texts of a module of the core, each with one change, and the line of that."""
    code = NO_CODE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), source)
    for match in OPERATOR.finditer(code):
        begin, end = match.span()
        line = code.count("\n", 0, begin) + 1
        if "raise" not in code.splitlines()[line - 1]:
            other = OTHER_IN_CYTHON[match[0]]
            text = source[:begin] + other + source[end:]
            what = f"{source.splitlines()[line - 1]}  ->  {text.splitlines()[line - 1]}"
            yield text, line, re.sub(" +", " ", what)


class Compiler:
    """Compiles mutants of a module of the core by the commands of a build folder."""

    def __init__(self, path: Path, folder: Path) -> None:
        (build,) = Path("build").glob(f"cp{sys.version_info[0]}{sys.version_info[1]}*")
        (made,) = build.glob(f"lbfgsb/_core/{path.stem}.*.so")
        target = str(made.relative_to(build))
        lines = subprocess.check_output(["ninja", "-C", build, "-t", "commands", target], text=True)
        # What Cython writes, the object file and the module go to `folder`; optimising takes long.
        self.library, c, o = (folder / made.name, folder / "mutant.c", folder / "mutant.o")
        self.source, self.build = folder / path.name, build
        stem = f"{target}.p/{path.stem}.pyx.c"
        names = {str(path): str(self.source), stem: str(c), target: str(self.library)}
        names[f"{target}.p/meson-generated_{path.stem}.pyx.c.o"] = str(o)
        self.commands = [
            [names.get(word, "-O0" if word == "-O3" else word) for word in shlex.split(line)]
            for line in lines.splitlines()
            if stem in line or f" {target} " in line
        ]

    def __call__(self, text: str) -> Path | None:
        """Return the compiled mutant; None if it is no program."""
        self.source.write_text(text)
        for command in self.commands:
            if subprocess.run(command, cwd=self.build, capture_output=True).returncode:
                return None
        return self.library


# --- a mutant in the place of its module ---


class Finder(importlib.abc.MetaPathFinder):
    """Gives a mutant in the place of a module."""

    def __init__(self, name: str, path: Path, loader: importlib.abc.Loader | None = None) -> None:
        self.name, self.path, self.loader, self.used = name, path, loader, False

    def find_spec(self, name, path=None, target=None):
        if name != self.name:
            return None
        self.used = True
        return importlib.util.spec_from_file_location(name, self.path, loader=self.loader)


class TreeLoader(importlib.abc.Loader):
    """Makes a module of Python from its tree."""

    def __init__(self, tree: ast.AST, path: Path) -> None:
        self.code = compile(tree, str(path), "exec")

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        exec(self.code, module.__dict__)


def survives(finder: Finder, tests: list[str]) -> bool:
    """Whether all tests pass with a mutant, in a process of their own."""
    child = os.fork()
    if child == 0:
        code = 1
        with contextlib.suppress(BaseException), contextlib.redirect_stdout(io.StringIO()):
            signal.alarm(SECONDS)
            signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
            with open(os.devnull, "w") as nothing:
                os.dup2(nothing.fileno(), 1)
                os.dup2(nothing.fileno(), 2)
            sys.meta_path.insert(0, finder)
            code = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests]))
            if not finder.used:
                code = 99
        os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.waitstatus_to_exitcode(status) == 99:
        raise RuntimeError(f"the tests have not imported the mutant of {finder.name}")
    return status == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("module", type=Path, help="a file in lbfgsb/, or a .pyx in src/")
    parser.add_argument("tests", nargs="+", help="arguments for pytest: files, -k, ...")
    parser.add_argument("--only", type=int, help="the number of one mutant")
    parser.add_argument("--sample", type=int, help="so many mutants, at random")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    args, more = parser.parse_known_args()
    tests = [*args.tests, *more]
    source, path = args.module.read_text(), args.module.resolve()
    with tempfile.TemporaryDirectory() as folder:
        if path.suffix == ".pyx":
            name, make = f"lbfgsb._core.{path.stem}", Compiler(path, Path(folder))
            unchanged, all_mutants = source, list(cython_mutants(source))
        else:
            name, make = ".".join(args.module.with_suffix("").parts), None
            unchanged, all_mutants = ast.parse(source), list(mutants(source))

        def finder(program) -> Finder | None:
            if make is None:
                return Finder(name, path, TreeLoader(program, path))
            library = make(program)
            return library and Finder(name, library)

        first = finder(unchanged)
        if first is None or not survives(first, tests):
            print("the tests fail without a change")
            return 2
        numbers = range(1, len(all_mutants) + 1)
        if args.sample is not None:
            numbers = sorted(random.Random(args.seed).sample(numbers, args.sample))
        elif args.only is not None:
            numbers = [args.only]
        ran = alive = 0
        for number in numbers:
            program, line, what = all_mutants[number - 1]
            mutant = finder(program)
            if mutant is None:  # it does not compile
                continue
            ran += 1
            if survives(mutant, tests):
                alive += 1
                print(f"{number}: {args.module}:{line}: {what}", flush=True)
    print(f"{args.module}: {ran} of {len(all_mutants)} mutants, {alive} survive")
    return 0


if __name__ == "__main__":
    sys.exit(main())
