"""The solver's memory in a file: the same bits, no file left, and what can't be is said before."""

import copy
import os
import pickle

import numpy as np
import pytest
from problems import assert_same_run, rosen_fg, same_bits

from lbfgsb import Solver, _workspace, minimize_lbfgsb

N = 3000
BOXED = {"bounds": [(-2, 0.8)] * N}


def run(**options):
    x0 = np.linspace(-1.5, 0.7, N)
    return minimize_lbfgsb(
        **{"x0": x0, "fun": rosen_fg, "jac": True, "ftol": 0, "maxiter": 25} | options
    )


@pytest.mark.parametrize("pairs", ["float64", "float32"])
@pytest.mark.parametrize("bounds", [{}, BOXED])
def test_a_run_in_a_file_has_the_same_bits(tmp_path, bounds, pairs):
    plain = run(**bounds, pairs=pairs)
    res = run(**bounds, pairs=pairs, workspace=tmp_path)
    assert_same_run(res, plain)
    assert os.listdir(tmp_path) == []
    assert_same_run(run(**bounds, pairs=pairs, workspace=str(tmp_path), threads=2), plain)
    part = run(**bounds, pairs=pairs, workspace=tmp_path, maxiter=10)
    on = run(**bounds, pairs=pairs, workspace=tmp_path, x0=part.x, checkpoint=part)
    assert_same_run(on, plain)


def test_the_file_is_as_large_as_the_memory(tmp_path, monkeypatch):
    sizes = []
    reserve = _workspace.reserve
    monkeypatch.setattr(
        _workspace, "reserve", lambda file, size: sizes.append(size) or reserve(file, size)
    )
    solver = Solver(np.zeros(N), workspace=tmp_path)
    assert sizes == [solver._size]
    solver.run(rosen_fg, iterations=4)
    solver._set_maxcor(5)  # from memory of the old size to memory of the new one, both in files
    assert len(sizes) == 2
    assert sizes[1] < sizes[0]
    solver.run(rosen_fg, iterations=4)
    del solver
    assert os.listdir(tmp_path) == []


def test_a_solver_and_its_copies_go_on_to_the_same_bits(tmp_path):
    solver = Solver(np.linspace(-1.5, 0.7, N), workspace=tmp_path)
    solver.run(rosen_fg, iterations=7)
    for other in (copy.deepcopy(solver), pickle.loads(pickle.dumps(solver))):
        other.run(rosen_fg, iterations=5)
        again = pickle.loads(pickle.dumps(solver))
        again.run(rosen_fg, iterations=5)
        assert same_bits(other.x, again.x)


def test_the_result_outlives_the_solver(tmp_path):
    res = run(workspace=tmp_path)
    assert same_bits(res.hess_inv.sk, run().hess_inv.sk)


def never(x):
    raise AssertionError("nothing was to be evaluated")


@pytest.mark.parametrize("wrong", [3, 2.5, ["a"]])
def test_what_is_no_path_is_refused(wrong):
    with pytest.raises(TypeError, match="workspace must be the path of a folder"):
        run(fun=never, workspace=wrong)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    for wrong in (tmp_path / "no", __file__):
        with pytest.raises(NotADirectoryError, match="workspace must be a folder that there is"):
            run(fun=never, workspace=wrong)
        with pytest.raises(NotADirectoryError):
            Solver([1.0], workspace=wrong)


def test_a_disk_without_room_says_so_before_the_run(tmp_path, monkeypatch):
    def full(file, offset, size):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(OSError, match="No space left on device"):
        run(fun=never, workspace=tmp_path)
    assert os.listdir(tmp_path) == []
