"""The step of few variables, against the inverse of the BFGS matrix."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from lbfgsb._core.testing import model_of
from naive import DONE, core_solver, drive, inverse_bfgs_matrix
from problems import random_problem


@settings(max_examples=60, derandomize=True)
@given(st.integers(1, 32), st.integers(1, 5), st.integers(0, 10**6))
def test_without_bounds_it_is_the_step_of_newton_from_the_diagonal(n, maxcor, seed):
    problem = random_problem(seed, n)
    options = {"maxcor": maxcor, "compact": False, "initial_scaling": 1, "extra_updates": 2}
    solver = core_solver(problem.x0, **options)
    steps = 0
    for _ in drive(solver, problem.fg, 15):
        S, Y, secant = solver._pairs()
        if not len(S) or solver._phase == DONE or not solver.jac.any():
            continue
        D = solver._snapshot()["diagonal"]
        expected = -inverse_bfgs_matrix(S, Y, 1 / D, secant, 2) @ solver.jac
        solver._advance()
        d = model_of(solver)["d"]
        np.testing.assert_allclose(d, expected, rtol=0, atol=1e-6 * abs(expected).max())
        steps += 1
    assert steps
