"""The patch in the processes that a program starts: ``lbfgsb run``, and an environment variable."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest
from problems import run_python

import lbfgsb
from lbfgsb import _inherit

STARTUP = str(Path(_inherit.__file__).parent / "_startup")

# A program that knows nothing of lbfgsb, and whose workers know nothing of it either.
PROGRAM = """\
import multiprocessing, subprocess, sys, time
from concurrent.futures import ProcessPoolExecutor

ASK = "from scipy.optimize import minimize, rosen; " \\
      "print('projected_gradient' in minimize(rosen, [0.5, 0.5], method='L-BFGS-B'))"

def is_ours(seconds):
    from scipy.optimize import minimize, rosen
    import os
    time.sleep(seconds)    # so that the other worker has something to do too
    return os.getpid(), "projected_gradient" in minimize(rosen, [0.5, 0.5], method="L-BFGS-B")

def workers(way):
    if way == "subprocess":
        done = subprocess.run([sys.executable, "-c", ASK], stdout=subprocess.PIPE, text=True)
        return [(0, done.stdout.strip() == "True")]
    if way == "loky":
        import joblib
        return joblib.Parallel(n_jobs=2)(joblib.delayed(is_ours)(0.2) for _ in range(6))
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(way)) as executor:
        return list(executor.map(is_ours, [0.2] * 6))

if __name__ == "__main__":
    answers = dict(workers(sys.argv[1]))
    print(len(answers), set(answers.values()))
"""
WAYS = ["spawn", "forkserver", "fork", "loky", "subprocess"]


def environment(**changes):
    """That of these tests, without what they are about."""
    clean = {k: v for k, v in os.environ.items() if k not in (_inherit.VARIABLE, "PYTHONPATH")}
    return clean | changes


def python(folder, *words, **changes):
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=environment(**changes),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture
def program(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    return tmp_path


def skip_what_is_missing(way):
    if way == "loky":
        pytest.importorskip("joblib")
    if way in ("fork", "forkserver") and way not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system has no {way}")


@pytest.mark.parametrize("way", WAYS)
def test_lbfgsb_run_patches_the_workers_too(program, way):
    skip_what_is_missing(way)
    printed = python(program, "-m", "lbfgsb", "run", "program.py", way).stdout
    count, _, ours = printed.strip().partition(" ")
    assert ours == "{True}"
    assert int(count) >= 1


@pytest.mark.parametrize("way", ["spawn", "loky"])
def test_without_it_they_are_not_patched(program, way):
    skip_what_is_missing(way)
    assert python(program, "program.py", way).stdout.strip().endswith("{False}")


def test_joblib_takes_the_patch_as_an_initializer(tmp_path):
    """The way that the guide shows for `n_jobs=` in a notebook."""
    pytest.importorskip("joblib", minversion="1.5")
    (tmp_path / "notebook.py").write_text(
        PROGRAM.partition("if __name__")[0] + "import joblib, lbfgsb\n"
        "with joblib.parallel_config('loky', initializer=lbfgsb.patch_scipy):\n"
        "    print({ours for _, ours in workers('loky')})\n"
    )
    assert python(tmp_path, "notebook.py").stdout.strip() == "{True}"


@pytest.mark.parametrize(
    "imports",
    [
        "import lbfgsb, scipy.optimize",
        "import scipy.optimize, lbfgsb",
        "import lbfgsb, scipy; scipy.optimize",
        "import lbfgsb.scipy_compat",
        "from lbfgsb import fmin_l_bfgs_b",
        "import lbfgsb; from scipy.optimize import minimize",
        "from lbfgsb import minimize_lbfgsb",
        "import lbfgsb, threading\n"
        "def work(): import scipy.optimize\n"
        "threads = [threading.Thread(target=work) for _ in range(8)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]",
    ],
)
def test_the_variable_patches_whatever_is_imported_first(imports):
    ask = (
        "\nfrom scipy.optimize import minimize, rosen\n"
        "import lbfgsb\n"
        "res = minimize(rosen, [0.5, 0.5], method='L-BFGS-B')\n"
        "print('projected_gradient' in res, lbfgsb.is_patched())\n"
        "lbfgsb.unpatch_scipy()\n"
        "print('projected_gradient' in minimize(rosen, [0.5, 0.5], method='L-BFGS-B'))\n"
    )
    for value, expected in (("1", "True True\nFalse"), ("0", "False False\nFalse")):
        assert run_python(imports + ask, LBFGSB_PATCH_SCIPY=value) == expected


@pytest.mark.parametrize(
    ("first", "second"),
    [("lbfgsb", "scipy.optimize"), ("scipy.optimize", "lbfgsb"), ("lbfgsb.batch", "scipy")],
)
def test_the_hook_waits_for_scipy_and_leaves_no_trace(tmp_path, first, second):
    printed = python(
        tmp_path,
        "-c",
        "import sys\n"
        "print(*(name for name in sys.modules if name.split('.')[0] in ('scipy', 'lbfgsb')))\n"
        f"import {first}, {second}\n"
        "import lbfgsb, scipy.optimize\n"
        "print(lbfgsb.is_patched(), scipy.optimize.__spec__.name, scipy.optimize.__file__[-20:])\n"
        "print(any('_AfterScipy' in repr(finder) for finder in sys.meta_path))",
        LBFGSB_PATCH_SCIPY="1",
        PYTHONPATH=STARTUP,
    ).stdout.splitlines()
    assert printed[0] == ""
    assert printed[1].split()[:2] == ["True", "scipy.optimize"]
    assert printed[1].endswith("__init__.py")
    assert printed[2] == "False"


def test_a_scipy_that_cannot_be_patched_is_a_warning_and_no_error():
    printed = run_python(
        "import warnings, scipy.optimize._minimize as module\n"
        "del module._wrap_callback\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        "    import lbfgsb\n"
        "print(lbfgsb.is_patched(), *(f'{w.category.__name__}: {w.message}' for w in caught))",
        LBFGSB_PATCH_SCIPY="1",
    )
    assert printed.startswith(
        "False RuntimeWarning: LBFGSB_PATCH_SCIPY is set, but this needs "
        "scipy.optimize._minimize._wrap_callback, a private part of SciPy"
    )


# --- the environment ----------------------------------------------------------------------


def test_the_environment_keeps_what_it_had(monkeypatch):
    monkeypatch.setenv(_inherit.VARIABLE, "0")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["a", "b"]))
    for _ in range(2):
        _inherit.hand_on()
        assert os.environ[_inherit.VARIABLE] == "1"
        assert os.environ["PYTHONPATH"].split(os.pathsep) == [STARTUP, "a", "b"]
    assert Path(STARTUP, "sitecustomize.py").exists()


def test_a_sitecustomize_that_is_hidden_has_its_turn(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import builtins; builtins.seen = __file__\n")
    done = python(
        tmp_path,
        "-c",
        "import sys, sitecustomize, lbfgsb, scipy.optimize\n"
        "print(seen == sitecustomize.__file__, lbfgsb.is_patched())\n"
        f"print({STARTUP!r} in sys.path)",
        LBFGSB_PATCH_SCIPY="1",
        PYTHONPATH=os.pathsep.join([STARTUP, str(tmp_path)]),
    )
    assert done.stdout.split() == ["True", "True", "False"]
    assert done.stderr == ""


@pytest.mark.parametrize("value", ["0", ""])
def test_a_process_may_be_left_out(tmp_path, value):
    code = "import sys, scipy.optimize; print('lbfgsb' in sys.modules)"
    changes = {"LBFGSB_PATCH_SCIPY": value, "PYTHONPATH": STARTUP}
    assert python(tmp_path, "-c", code, **changes).stdout.strip() == "False"


def test_a_python_without_lbfgsb_says_so_where_it_uses_scipy(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['lbfgsb'] = None\n")
    changes = {
        "LBFGSB_PATCH_SCIPY": "1",
        "PYTHONPATH": os.pathsep.join([STARTUP, str(tmp_path)]),
    }
    assert python(tmp_path, "-c", "print('here')", **changes).stderr == ""
    done = python(tmp_path, "-c", "import scipy.optimize; print('here')", **changes)
    assert done.stdout.strip() == "here"
    assert "cannot import lbfgsb" in done.stderr
    assert "SciPy's own L-BFGS-B is at work in this process" in done.stderr


# --- is_patched ---------------------------------------------------------------------------


def test_is_patched_follows_the_patch():
    assert not lbfgsb.is_patched()
    with lbfgsb.patched_scipy():
        assert lbfgsb.is_patched()
        lbfgsb.patch_scipy()
    assert lbfgsb.is_patched()
    lbfgsb.unpatch_scipy()
    assert not lbfgsb.is_patched()
