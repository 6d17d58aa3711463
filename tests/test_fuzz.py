"""The fuzzers in tools/, for some seconds: they run, find nothing, and would find something."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

TOOLS = Path(__file__).parents[1] / "tools"
pytestmark = pytest.mark.skipif(
    not (TOOLS / "fuzz.py").exists() or sys.platform == "win32", reason="not in a checkout"
)


@pytest.fixture
def fuzz(monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    return __import__("fuzz")


@pytest.fixture
def fuzz_checkpoints(monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    return __import__("fuzz_checkpoints")


def test_random_problems_end_where_scipy_ends(fuzz):
    _, counts, findings = fuzz.piece(10**7)
    assert findings == []
    assert counts["problems"] == fuzz.PIECE
    assert counts["theirs succeeded"] > 0.9 * fuzz.PIECE  # else nothing is compared


def test_a_seed_is_a_problem(fuzz):
    a, b = fuzz.make(5), fuzz.make(5)
    np.testing.assert_array_equal(a.x0, b.x0)
    assert a.fun(a.x0) == b.fun(b.x0)
    assert a.options.keys() == b.options.keys()


@pytest.mark.parametrize("seed", range(8))
def test_gradients_of_the_problems_are_right(fuzz, seed):
    p = fuzz.make(seed)
    x = np.clip(p.x0, p.lower, p.upper)
    step = 1e-6 * max(1.0, np.abs(x).max())
    for i in range(x.size):
        e = np.zeros(x.size)
        e[i] = step
        slope = (p.fun(x + e) - p.fun(x - e)) / (2 * step)
        error = abs(slope - p.jac(x)[i])
        assert error <= 1e-5 * np.abs(p.jac(x)).max() + 1e-14 * p.size(x) / step + 1e-3 * step


def test_what_is_wrong_is_found(fuzz):
    p = next(p for p in map(fuzz.make, range(99)) if p.kind == "diagonal")
    assert fuzz.check(p)[0] == []
    flat = replace(p, jac=lambda x: np.zeros(x.size))  # converged, so it says, at the start
    assert fuzz.check(flat)[0] == ["worse"]
    rng = np.random.default_rng(0)
    noisy = replace(p, fun=lambda x: p.fun(x) * (1 + 1e-12 * rng.random()))
    assert "measured" in fuzz.check(noisy)[0]


def test_damaged_checkpoints_are_refused_or_gone_on_with(fuzz_checkpoints):
    counts, findings = fuzz_checkpoints.run_all(10**7, 200)
    assert findings == []
    assert counts["refused"] > 50
    assert counts["a solver that goes on"] > 5
    assert counts["a run that goes on"] > 2


def test_a_file_that_ends_the_process_is_found(fuzz_checkpoints, monkeypatch):
    monkeypatch.setattr(fuzz_checkpoints, "attempt", lambda path, content: os._exit(9))
    _, findings = fuzz_checkpoints.run_all(3, 2)
    assert [number for number, _ in findings] == [3, 4]
