"""The step without bounds, of few variables and of more, against the inverse of the BFGS matrix."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lbfgsb._core.testing import model_of
from naive import (
    DONE,
    both_forms,
    core_solver,
    drive,
    inverse_bfgs_matrix,
    random_pairs,
    solver_at,
)
from problems import random_problem


def first_matrix(solver):
    """What the pairs update to become H: its diagonal, or the multiple of I."""
    snapshot = solver._snapshot()
    return snapshot.get("diagonal", 1 / snapshot["theta"])


def steps_of(solver, fg, iterations, extra):
    """The step from each iterate with pairs, that of the formula, and H."""
    for _ in drive(solver, fg, iterations):
        S, Y, secant = solver._pairs()
        if len(S) and solver._phase != DONE and solver.jac.any():
            H = inverse_bfgs_matrix(S, Y, 1 / first_matrix(solver), secant, extra)
            expected = -H @ solver.jac
            solver._advance()
            yield model_of(solver)["d"], expected, H


@settings(max_examples=60, derandomize=True)
@given(st.integers(1, 32), st.integers(1, 5), st.integers(0, 10**6))
def test_without_bounds_it_is_the_step_of_newton_from_the_diagonal(n, maxcor, seed):
    problem = random_problem(seed, n)
    options = {"maxcor": maxcor, "compact": False, "initial_scaling": 1, "extra_updates": 2}
    steps = list(steps_of(core_solver(problem.x0, **options), problem.fg, 15, 2))
    for d, expected, _ in steps:
        np.testing.assert_allclose(d, expected, rtol=0, atol=1e-6 * abs(expected).max())
    assert steps


@pytest.mark.parametrize("maxcor", [1, 2, 7])
@pytest.mark.parametrize("n", [1, 2, 5, 100])
def test_without_bounds_pairs_that_leave_take_all_of_theirs_with_them(n, maxcor):
    problem = random_problem(3, n)
    solver = core_solver(problem.x0, maxcor=maxcor, compact=False, extra_updates=4, secant=1)
    steps = 0
    for d, expected, H in steps_of(solver, problem.fg, 3 * maxcor + 6, 4):
        if not abs(solver.jac).max() > 1e-9:
            break
        error = 1e-12 * np.linalg.cond(H) * abs(expected).max()
        np.testing.assert_allclose(d, expected, rtol=0, atol=error)
        steps += 1
    assert steps > (maxcor if n > 2 else 0)


@both_forms
@pytest.mark.parametrize("extra", [0, 3])
@pytest.mark.parametrize("n", [1, 2, 3, 8, 9, 32, 33, 63, 128, 129])
def test_without_bounds_the_step_is_that_of_the_inverse(n, extra, compact):
    rng = np.random.default_rng(n)
    for k in (1, 2, 6):
        S, Y = random_pairs(rng, n, k, 3.0)
        secant, g = rng.uniform(0.9, 1.2, k), rng.normal(size=n)
        options = {"compact": compact, "extra_updates": extra}
        solver = solver_at(rng.normal(size=n), g, S, Y, secant=secant, **options)
        solver._advance()
        model = model_of(solver)
        assert (model["gram"] is None) == (not compact and n <= 128)
        H = inverse_bfgs_matrix(S, Y, model["theta"], secant, extra)
        expected = -H @ g
        error = 1e-13 * np.linalg.cond(H) * abs(expected).max()
        np.testing.assert_allclose(model["d"], expected, rtol=0, atol=error)
