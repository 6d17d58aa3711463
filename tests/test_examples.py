"""The examples of the documentation that are programs of their own."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"
FOLDER = EXAMPLES / "objectives"
pytestmark = pytest.mark.skipif(not EXAMPLES.exists(), reason="not in a checkout")
OUTPUT = "[0.328 0.577 0.736 0.8   0.8   0.8   0.736 0.577 0.328] 0\n"


def test_the_output_is_where_the_forces_balance():
    """The values that all programs have to print, from the equations of the chain."""
    x = np.array([float(word) for word in OUTPUT.split("]")[0][1:].split()])
    d = np.diff([0.0, *x, 0.0])
    force = d + d**3
    gradient = force[:-1] - force[1:] - 0.1
    np.testing.assert_allclose(gradient[x < 0.8], 0.0, atol=2e-3)
    assert (gradient[x == 0.8] < 0).all()


def build(source, library, *flags):
    """Compile C; skips without a compiler."""
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc")
    subprocess.run(
        ["gcc", "-O2", "-shared", "-fPIC", *flags, str(source), "-o", str(library)], check=True
    )


def run(program, *arguments, cwd, output=OUTPUT):
    result = subprocess.run(
        [sys.executable, EXAMPLES / program, *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(cwd), "NUMBA_CACHE_DIR": str(cwd)},
        check=False,
    )
    assert result.stdout == output, result.stderr


PREEMPTED = """
import os, runpy, signal, sys, time
calls = []
def sleep(seconds):
    calls.append(seconds)
    if len(calls) == {after}:
        os.kill(os.getpid(), signal.SIGTERM)
time.sleep = sleep
sys.argv[1:] = [{path!r}]
runpy.run_path({program!r}, run_name="__main__")
"""


def test_a_run_that_is_preempted_is_started_again_until_it_ends(tmp_path):
    def start(name, after):
        code = PREEMPTED.format(
            after=after, path=str(tmp_path / name), program=str(EXAMPLES / "preempted.py")
        )
        command = [sys.executable, "-c", code]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    whole = start("whole.npz", 10**9)
    assert whole.returncode == 0, whole.stderr
    starts = [start("run.npz", 8)]
    while starts[-1].returncode == 75:
        assert starts[-1].stdout.startswith("STOP: USER CALLBACK: SIGTERM received; nit = ")
        starts.append(start("run.npz", 8))
    assert starts[-1].returncode == 0, starts[-1].stderr
    assert starts[-1].stdout == whole.stdout
    assert len(starts) > 2


def test_ctypes(tmp_path):
    build(FOLDER / "chain.c", tmp_path / "chain.so", "-Wall", "-Wextra", "-Werror")
    run("objectives/with_ctypes.py", cwd=tmp_path)


def test_cffi(tmp_path):
    pytest.importorskip("cffi")
    build(FOLDER / "chain.c", tmp_path / "chain.so")
    run("objectives/with_cffi.py", tmp_path / "chain.so", cwd=tmp_path)


def test_cython(tmp_path):
    main = pytest.importorskip("Cython.Compiler.Main")
    options = main.CompilationOptions(output_file=str(tmp_path / "chain_cython.c"))
    assert main.compile(str(FOLDER / "chain_cython.pyx"), options).num_errors == 0
    build(
        tmp_path / "chain_cython.c",
        tmp_path / f"chain_cython{sysconfig.get_config_var('EXT_SUFFIX')}",
        f"-I{sysconfig.get_path('include')}",
    )
    run("objectives/with_cython.py", cwd=tmp_path)


def test_numba(tmp_path):
    pytest.importorskip("numba")
    run("objectives/with_numba.py", cwd=tmp_path)


def test_a_batch_with_ctypes(tmp_path):
    build(FOLDER / "chain.c", tmp_path / "chain.so")
    run("batch_ctypes.py", cwd=tmp_path)


def test_a_batch_with_torch(tmp_path):
    pytest.importorskip("torch")
    minima = "[[-3.142, 12.275], [3.142, 2.275], [9.425, 2.475]]"
    run("batch_torch.py", cwd=tmp_path, output=f"0.397887 {minima}\n")


def test_a_batch_with_jax(tmp_path):
    pytest.importorskip("jax")
    run("batch_jax.py", cwd=tmp_path, output="500 True\n")
