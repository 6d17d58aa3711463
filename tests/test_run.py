"""``lbfgsb run``: a program sees what ``python`` shows it, and has this solver in SciPy's place."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile

import pytest

SHOW = """\
import sys
main = sys.modules["__main__"]
print(sys.argv)
print(sys.path[0])
print(__name__, main.__dict__ is globals(), __file__, __spec__ and __spec__.name, __package__)
print(type(__loader__).__name__, __builtins__.__name__, sorted(globals()))
"""

TEXT = SHOW.replace("__file__, ", "").replace("type(__loader__).__name__", "__loader__.__name__")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "show.py").write_text(SHOW)
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").write_text("")
    (tmp_path / "pack" / "__main__.py").write_text(SHOW)
    (tmp_path / "pack" / "show.py").write_text(SHOW)
    with zipfile.ZipFile(tmp_path / "app.zip", "w") as archive:
        archive.writestr("__main__.py", SHOW)
    return tmp_path


def python(folder, *words, stdin=""):
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        input=stdin,
    )


def lbfgsb_run(folder, *words, stdin=""):
    """As the console script does, from a file that is not in the way."""
    script = folder / "bin" / "lbfgsb"
    script.parent.mkdir(exist_ok=True)
    script.write_text("import sys\nfrom lbfgsb._cli import main\nsys.exit(main())\n")
    return python(folder, str(script), "run", *words, stdin=stdin)


class TestProgram:
    @pytest.mark.parametrize(
        "words",
        [
            ["scripts/show.py"],
            ["scripts/show.py", "-m", "--version", "--", "-x", "a b"],
            ["scripts/../scripts/show.py", "-h"],
            ["-m", "pack"],
            ["-m", "pack.show", "--help", "x"],
            ["pack"],
            ["app.zip", "1"],
        ],
        ids=["script", "arguments", "path", "package", "module", "folder", "zip"],
    )
    def test_sees_what_python_shows_it(self, folder, words):
        expected, got = python(folder, *words), lbfgsb_run(folder, *words)
        assert got.stdout == expected.stdout
        assert (got.returncode, got.stderr) == (0, "")

    @pytest.mark.parametrize("words", [["scripts/show.py"], ["pack"], ["app.zip", "1"]])
    def test_sees_what_python_shows_it_where_the_path_is_safe(self, folder, words, monkeypatch):
        monkeypatch.setenv("PYTHONSAFEPATH", "1")
        expected, got = python(folder, *words), lbfgsb_run(folder, *words)
        assert got.stdout == expected.stdout
        assert (got.returncode, got.stderr) == (0, "")

    def test_finds_no_name_that_python_does_not_set_any_more(self, folder):
        (folder / "names.py").write_text("print('__cached__' in globals())")
        (folder / "later.py").write_text(
            "import sys\n"
            "from lbfgsb._cli import main\n"
            "sys.version_info = (3, 15, 0, 'final', 0)\n"
            "main(['run', 'names.py'])\n"
        )
        assert python(folder, "later.py").stdout == "False\n"
        assert lbfgsb_run(folder, "names.py").stdout == python(folder, "names.py").stdout

    def test_a_symbolic_link_has_its_targets_folder(self, folder):
        os.symlink(folder / "scripts" / "show.py", folder / "link.py")
        assert lbfgsb_run(folder, "link.py").stdout == python(folder, "link.py").stdout

    @pytest.mark.parametrize("words", [["-c", TEXT], ["-c", TEXT, "-m", "x"], ["-"], ["-", "-c"]])
    def test_code_and_the_standard_input_find_what_python_shows_them(self, folder, words):
        expected = python(folder, *words, stdin=TEXT)
        got = lbfgsb_run(folder, *words, stdin=TEXT)
        assert expected.stdout.count("\n") == 4
        assert got.stdout == expected.stdout
        assert (got.returncode, got.stderr) == (0, "")

    def test_two_dashes_come_before_the_script(self, folder):
        assert (
            lbfgsb_run(folder, "--", "scripts/show.py", "x").stdout
            == python(folder, "scripts/show.py", "x").stdout
        )

    def test_has_this_solver(self, folder):
        (folder / "fit.py").write_text(
            "from scipy.optimize import minimize, fmin_l_bfgs_b\n"
            "r = minimize(lambda x: x @ x, [3.0, 1.0], method='L-BFGS-B')\n"
            "print('projected_gradient' in r)\n"
        )
        assert lbfgsb_run(folder, "fit.py").stdout == "True\n"
        assert lbfgsb_run(folder, "-m", "fit").stdout == "True\n"
        assert python(folder, "fit.py").stdout == "False\n"

    def test_keeps_its_main_and_the_patch_for_exit_handlers(self, folder):
        (folder / "late.py").write_text(
            "import atexit, sys\n"
            "from scipy.optimize import minimize\n"
            "def late():\n"
            "    r = minimize(lambda x: x @ x, [3.0], method='L-BFGS-B')\n"
            "    print('projected_gradient' in r, sys.modules['__main__'].late is late)\n"
            "atexit.register(late)\n"
        )
        for words in (["late.py"], ["-m", "late"]):
            assert lbfgsb_run(folder, *words).stdout == "True True\n"

    def test_can_spawn_processes_that_import_its_functions(self, folder):
        (folder / "pool.py").write_text(
            "import multiprocessing\n"
            "import lbfgsb\n"
            "from scipy.optimize import minimize\n"
            "def fit(a):\n"
            "    r = minimize(lambda x: (x - a) @ (x - a), [0.0], method='L-BFGS-B')\n"
            "    return 'projected_gradient' in r, round(float(r.x[0]))\n"
            "if __name__ == '__main__':\n"
            "    spawn = multiprocessing.get_context('spawn')\n"
            "    with spawn.Pool(1, initializer=lbfgsb.patch_scipy) as pool:\n"
            "        print(pool.map(fit, [1, 2]))\n"
        )
        for words in (["pool.py"], ["-m", "pool"]):
            done = lbfgsb_run(folder, *words)
            assert done.stdout == "[(True, 1), (True, 2)]\n", done.stderr


CHAINED = """\
try:
    1 / 0
except ZeroDivisionError as error:
    raise KeyError("mine") from error
"""
HOOK = """\
import sys
def hook(kind, error, traceback):
    print(kind, traceback.tb_lineno, traceback.tb_next is None)
sys.excepthook = hook
1 / 0
"""
BROKEN = {
    "in a function": "def broken():\n    1 / 0\n\nbroken()\n",
    "chained": CHAINED,
    "syntax": "a b\n",
    "in an objective": "import lbfgsb\nlbfgsb.minimize_lbfgsb(x0=[1.0], fun=lambda x: 1 / 0)\n",
    "with a hook": HOOK,
    "not at all": "pass\n",
}


class TestEnd:
    @pytest.mark.parametrize(
        "code",
        ["sys.exit(7)", "sys.exit()", "sys.exit('words')", "raise KeyError('mine')", "pass"],
    )
    def test_has_the_programs_status(self, folder, code):
        (folder / "end.py").write_text(f"import sys\n{code}\n")
        for words in (["end.py"], ["-m", "end"]):
            expected, got = python(folder, *words), lbfgsb_run(folder, *words)
            assert got.returncode == expected.returncode
            assert got.stderr.splitlines()[-1:] == expected.stderr.splitlines()[-1:]

    @pytest.mark.parametrize("code", BROKEN.values(), ids=BROKEN)
    def test_a_traceback_is_that_of_the_program_alone(self, folder, code):
        (folder / "end.py").write_text(code)
        for words in (["end.py"], ["-m", "end"], ["-c", code], ["-"]):
            expected = python(folder, *words, stdin=code)
            got = lbfgsb_run(folder, *words, stdin=code)
            assert got.returncode == expected.returncode
            assert got.stdout == expected.stdout
            assert got.stderr == expected.stderr

    def test_a_script_that_is_not_there_is_said_as_python_does(self, folder):
        expected, got = python(folder, "none.py"), lbfgsb_run(folder, "none.py")
        assert got.returncode == expected.returncode == 2
        assert got.stderr == expected.stderr

    def test_a_module_that_is_not_there_is_said_as_python_does(self, folder):
        expected, got = python(folder, "-m", "none_such"), lbfgsb_run(folder, "-m", "none_such")
        assert got.returncode == expected.returncode == 1
        assert got.stderr == expected.stderr

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            ([], "SCRIPT is missing"),
            (["-m"], "MODULE is missing"),
            (["--"], "SCRIPT is missing"),
            (["-c"], "CODE is missing"),
            (["-x", "pass"], "unknown option -x"),
        ],
        ids=["nothing", "-m", "--", "-c", "-x"],
    )
    def test_wrong_words_are_a_usage_error(self, folder, words, said):
        done = lbfgsb_run(folder, *words)
        assert done.returncode == 2
        assert said in done.stderr
        assert "lbfgsb run [--] SCRIPT" in done.stderr

    @pytest.mark.parametrize("word", ["-h", "--help"])
    def test_help_is_our_own(self, folder, word):
        done = lbfgsb_run(folder, word)
        assert done.returncode == 0
        assert "lbfgsb.patch_scipy()" in " ".join(done.stdout.split())
