"""The programs of docs/recipes.rst, run as a user would run them.

What each has to print is also on the page, after the program.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
FOLDER = DOCS / "examples" / "recipes"
PAGE = DOCS / "recipes.rst"
pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="not in a checkout")

RECIPES = {
    "with_sklearn.py": ("sklearn", "accuracy 0.988, same coefficients: True\n"),
    "with_statsmodels.py": (
        "statsmodels",
        "converged: True\nas Newton's method: True\nits standard errors: True\n",
    ),
    "with_lmfit.py": ("lmfit", "a = 2.51, b = 1.31\nas least squares: True\n"),
    "with_optimagic.py": ("optimagic", "a = 0.5000, b = 1.7500, f = 1.1875\n"),
    "with_gpy.py": ("GPy", "noise 0.20\nas SciPy's: True\n"),
    "with_torch.py": ("torch", "True [1. 2.]\n"),
    "with_botorch.py": ("botorch", "at least as good as BoTorch's: True\n"),
    "with_jax.py": ("jax", "True [1. 2.]\n"),
    "with_numba.py": ("numba", "True distance to the minimum below 1e-6: True\n"),
}


# The programs agree with the library's own solver, so what they print doesn't tell which one ran.
COUNTED = """
import runpy, sys
from lbfgsb import scipy_compat
solve, calls = scipy_compat._solve, []
def counted(*arguments):
    calls.append(1)
    return solve(*arguments)
scipy_compat._solve = counted
runpy.run_path(sys.argv[1], run_name="__main__")
assert len(calls) == 1, len(calls)
"""


def run(name, *command):
    """Return what the program prints; skips without its library."""
    library = RECIPES[name][0]
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    result = subprocess.run(
        [sys.executable, *command, FOLDER / name], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_prints_its_result(name):
    assert run(name) == RECIPES[name][1]


@pytest.mark.parametrize("name", list(RECIPES)[:5])
def test_a_library_that_calls_scipy_is_led_to_our_solver_once(name):
    assert run(name, "-c", COUNTED) == RECIPES[name][1]


def test_the_page_shows_each_program_and_its_result():
    assert {path.name for path in FOLDER.glob("*.py")} == set(RECIPES)
    page = PAGE.read_text(encoding="utf-8")
    for name, (_, output) in RECIPES.items():
        after = page.split(f"literalinclude:: examples/recipes/{name}\n")[1]
        result = "".join(f"   {line}\n" for line in output.splitlines())
        assert f".. code-block:: text\n\n{result}" in after.split("literalinclude")[0]
