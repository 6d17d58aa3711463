"""The house: what importing lbfgsb imports, and which way its modules may lean on each other."""

import ast
from pathlib import Path

import pytest
from problems import run_python

import lbfgsb

PACKAGE = Path(lbfgsb.__file__).parent


# --- what importing imports ---------------------------------------------------------------


def test_importing_lbfgsb_does_not_import_scipy():
    printed = run_python(
        "import sys, lbfgsb\n"
        "lbfgsb.__version__, lbfgsb.__all__, dir(lbfgsb), lbfgsb.get_include()\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('scipy', 'numpy')])"
    )
    assert printed == "[]"


def test_what_a_run_needs_is_all_that_it_imports():
    printed = run_python(
        "import sys\n"
        "from lbfgsb import minimize_lbfgsb\n"
        "minimize_lbfgsb(x0=[1.0], fun=lambda x: (x @ x, 2 * x), jac=True)\n"
        "print(*(name for name in sys.modules if name.startswith('lbfgsb.')))"
    )
    modules = {name.split(".")[1] for name in printed.split()}
    assert {"_minimize", "_endings", "_core"} <= modules
    others = {"_diagnose", "_gradient_check", "callbacks", "plotting", "scipy_compat", "_cli"}
    assert not others & modules


def test_every_public_name_is_found_where_the_package_says():
    for name in lbfgsb.__all__:
        assert getattr(lbfgsb, name) is getattr(lbfgsb, name)
        assert name in dir(lbfgsb)
    for module in lbfgsb._MODULES:
        assert getattr(lbfgsb, module).__name__ == f"lbfgsb.{module}"
    with pytest.raises(AttributeError, match="module 'lbfgsb' has no attribute 'nothing'"):
        lbfgsb.nothing  # noqa: B018


def test_type_checkers_are_told_the_same_names():
    (block,) = (
        node for node in ast.parse((PACKAGE / "__init__.py").read_text()).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )  # fmt: skip
    told = {(node.module, alias.name) for node in block.body for alias in node.names}
    expected = {(f"lbfgsb.{module}", name) for name, module in lbfgsb._HOME_OF.items()}
    assert told == expected | {("lbfgsb", module) for module in lbfgsb._MODULES}
