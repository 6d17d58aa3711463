"""The house: what importing lbfgsb imports, and which way its modules may lean on each other."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from problems import run_python

import lbfgsb

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "lbfgsb"
in_a_checkout = pytest.mark.skipif(
    not (ROOT / "CONTRIBUTING.md").exists(), reason="not in a checkout"
)


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


def names_defined_in(path):
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = getattr(node, "targets", None) or [node.target]
            yield from (name.id for t in targets for name in ast.walk(t) if hasattr(name, "id"))


@pytest.mark.parametrize("name", sorted(lbfgsb._MODULES))
def test_what_a_public_module_defines_is_public_or_has_an_underscore(name):
    module = getattr(lbfgsb, name)
    defined = set(names_defined_in(Path(module.__file__)))
    assert "__all__" in defined
    assert {name for name in defined if not name.startswith("_")} <= set(module.__all__)


def test_the_package_shows_its_public_names_alone():
    shown = run_python("import lbfgsb; print(*(n for n in dir(lbfgsb) if not n.startswith('_')))")
    assert {"__version__", *shown.split()} == {"Report", *lbfgsb.__all__, *lbfgsb._MODULES}


def test_type_checkers_are_told_the_same_names():
    (block,) = (
        node for node in ast.parse(Path(lbfgsb.__file__).read_text()).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "_typing.TYPE_CHECKING"
    )  # fmt: skip
    told = {(node.module, alias.name) for node in block.body for alias in node.names}
    expected = {(f"lbfgsb.{module}", name) for name, module in lbfgsb._HOME_OF.items()}
    assert told == expected | {("lbfgsb", module) for module in lbfgsb._MODULES}


# --- which way the arrows go --------------------------------------------------------------


def lists():
    """The two lists of CONTRIBUTING.md: of the core and of the package."""
    _, text = (ROOT / "CONTRIBUTING.md").read_text().split("## Who imports whom")
    return re.findall(r"^```text\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@in_a_checkout
def test_a_module_of_the_core_imports_only_from_those_before_it():
    rooms = re.findall(r"\w+", lists()[0])
    assert rooms[-1] == "testing"  # so that no other imports it
    import_ = re.compile(r"^[ \t]*(?:from|c?import)[ \t]+(lbfgsb[\w.]*)", re.MULTILINE)
    for path in [*ROOT.glob("src/*.pyx"), *ROOT.glob("src/*.pxd")]:
        assert path.stem in rooms, f"{path.name} is not in the list"
        before = {f"lbfgsb._core.{room}" for room in rooms[: rooms.index(path.stem) + 1]}
        wrong = set(import_.findall(path.read_text())) - before
        assert not wrong, f"{path.name} must not import {sorted(wrong)}"


def imported(path):
    """The modules below lbfgsb that a file imports, ``__init__`` for public names of lbfgsb."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in getattr(node, "names", [])]
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names = [f"{node.module}.{name}" for name in names]
        if isinstance(node, ast.Import | ast.ImportFrom):
            for package, _, name in (name.partition(".") for name in names):
                if package == "lbfgsb":
                    below = PACKAGE / name.partition(".")[0]
                    exists = below.is_dir() or below.with_suffix(".py").exists()
                    yield name if name and exists else "__init__"


@in_a_checkout
def test_a_module_of_the_package_imports_only_from_those_that_arrows_lead_from():
    allowed = {}
    for line in lists()[1].splitlines():
        left = set()
        for floor in (re.findall(r"\w+", floor) for floor in line.split("<-")):
            for room in floor:
                assert room not in left, f"a circle of arrows: {line}"
                allowed.setdefault(room, {room, "_core"}).update(left)
            left = left.union(*(allowed[room] for room in floor))
    for path in [*PACKAGE.glob("*.py"), *PACKAGE.glob("_cli/*.py")]:
        room = path.stem if path.parent == PACKAGE else "_cli"
        assert room in allowed, f"{path.name} is not in the list"
        for name in imported(path):
            is_right = name.split(".")[0] in allowed[room] and not name.startswith("_core.testing")
            assert is_right, f"{path.name} must not import {name}"


# --- where the tests can be run -----------------------------------------------------------

# A build without -Dtests=true has no lbfgsb._core.testing.
COLLECT = """
import sys, pytest
sys.modules["lbfgsb._core.testing"] = None
sys.exit(pytest.main(["-q", "--collect-only", "-p", "no:cacheprovider", "tests"]))
"""


@in_a_checkout
def test_the_tests_are_collected_on_a_wheel_away_from_the_checkout(tmp_path):
    shutil.copytree(ROOT / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__*__"))
    done = subprocess.run(
        [sys.executable, "-c", COLLECT], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@in_a_checkout
def test_every_process_collects_the_same_tests(tmp_path):
    """As `pytest -n` wants it of its workers."""
    command = [sys.executable, "-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider"]
    runs = [
        subprocess.Popen(
            [*command, ROOT / "tests"], cwd=tmp_path, env=os.environ | {"PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE, text=True,
        )
        for seed in ("1", "2")
    ]  # fmt: skip
    one, two = (
        [line for line in run.communicate()[0].splitlines() if "::" in line] for run in runs
    )
    assert len(one) > 1000
    assert one == two
