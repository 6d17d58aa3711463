"""Mutation testing of a Python module: change an operator, and see whether a test fails.

    python tools/mutate.py lbfgsb/_options.py tests/test_arguments.py tests/test_batch.py
    python tools/mutate.py lbfgsb/_bounds.py tests/test_bounds.py --only 12

Each mutant is the module with one change: a comparison, an arithmetic or a boolean operator turned
into another, `not` left out, a condition negated, a number one more, True for False, a returned
value None. The tests run in a process of their own in which the import of the module gives the
mutant; no file is changed. It prints those that all tests survive, with their lines: each wants a
test, or a reason why it is no other program. Error messages are left alone.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib.abc
import importlib.util
import io
import os
import signal
import sys
from pathlib import Path

import numpy  # noqa: F401  imported once, before all the processes
import pytest
import scipy.optimize  # noqa: F401

SECONDS = 300  # after which a mutant that hangs is taken for found

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


class Mutated(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives a tree in the place of a module."""

    def __init__(self, name: str, path: Path, tree: ast.AST) -> None:
        self.name, self.path, self.tree = name, path, tree

    def find_spec(self, name, path=None, target=None):
        if name != self.name:
            return None
        return importlib.util.spec_from_file_location(name, self.path, loader=self)

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        exec(compile(self.tree, str(self.path), "exec"), module.__dict__)


def survives(name: str, path: Path, tree: ast.AST, tests: list[str]) -> bool:
    """Whether all tests pass with a tree as the module, in a process of their own."""
    child = os.fork()
    if child == 0:
        code = 1
        with contextlib.suppress(BaseException), contextlib.redirect_stdout(io.StringIO()):
            signal.alarm(SECONDS)
            with open(os.devnull, "w") as nothing:
                os.dup2(nothing.fileno(), 1)
                os.dup2(nothing.fileno(), 2)
            sys.meta_path.insert(0, Mutated(name, path, tree))
            code = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests]))
            if not isinstance(sys.modules[name].__loader__, Mutated):
                code = 99
        os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.waitstatus_to_exitcode(status) == 99:
        raise RuntimeError(f"the tests have not imported the mutant of {name}")
    return status == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("module", type=Path, help="a file in lbfgsb/")
    parser.add_argument("tests", nargs="+", help="arguments for pytest: files, -k, ...")
    parser.add_argument("--only", type=int, help="the number of one mutant")
    args, more = parser.parse_known_args()
    tests = [*args.tests, *more]
    source, path = args.module.read_text(), args.module.resolve()
    name = ".".join(args.module.with_suffix("").parts)
    if not survives(name, path, ast.parse(source), tests):
        print("the tests fail without a change")
        return 2
    alive = number = 0
    for number, (tree, line, what) in enumerate(mutants(source), 1):
        if args.only in (None, number) and survives(name, path, tree, tests):
            alive += 1
            print(f"{number}: {args.module}:{line}: {what}", flush=True)
    print(f"{args.module}: {number} mutants, {alive} survive")
    return 0


if __name__ == "__main__":
    sys.exit(main())
