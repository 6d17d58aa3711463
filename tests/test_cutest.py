"""Forty CUTEst problems, next to SciPy: feasible, honest, and no worse.

The sample is drawn at random from all unconstrained and bound-constrained problems (its first
line says how); ``tools/cutest.py`` runs all 403 of them.
"""

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import Bounds, minimize

from lbfgsb import minimize_lbfgsb

HERE = Path(__file__).parent
TOOLS = HERE.parent / "tools"
if not (TOOLS / "cutest_problems.py").exists():
    pytest.skip("not in a checkout", allow_module_level=True)
sys.path.insert(0, str(TOOLS))

from cutest_problems import load_problem  # noqa: E402

OPTIONS = {"ftol": 1e-14, "gtol": 1e-6, "maxiter": 15000, "maxfun": 15000}
NAMES = [
    line.strip()
    for line in (HERE / "cutest_sample.txt").read_text().splitlines()
    if line.strip() and not line.startswith("#")
]


class Run:
    """A problem, and what a solver did with it."""

    def __init__(self, name):
        self.problem = p = load_problem(name)
        self.points = []
        self.bounds = Bounds(p.lower, p.upper)
        self.x0 = np.clip(p.x0, p.lower, p.upper)

    def fun(self, x):
        self.points.append(x.copy())
        return self.problem.fun_and_grad(x)

    def norm(self, x):
        g = self.problem.fun_and_grad(x)[1]
        return np.abs(np.clip(x - g, self.problem.lower, self.problem.upper) - x).max()


def solve(name):
    run = Run(name)
    return run, minimize_lbfgsb(x0=run.x0, fun=run.fun, jac=True, bounds=run.bounds, **OPTIONS)


@pytest.mark.parametrize("name", NAMES)
def test_cutest_problem_is_solved_within_bounds_and_reported_as_it_was(name):
    run, res = solve(name)
    p = run.problem
    assert all((p.lower <= x).all() and (x <= p.upper).all() for x in run.points)
    assert res.nfev == res.njev == len(run.points)
    f, g = p.fun_and_grad(res.x)
    assert res.fun == f
    assert np.array_equal(res.jac, g)
    assert np.isfinite(res.fun)
    assert res.fun <= p.fun_and_grad(run.x0)[0]
    assert res.status in (0, 2)
    if res.message.endswith("PGTOL"):
        assert run.norm(res.x) <= OPTIONS["gtol"]


def test_a_step_that_is_cut_short_is_no_convergence():
    # The last step would be a ten-thousandth of a direction that the memory had led astray, and
    # decrease f by less than ftol: without that memory the run goes on and converges.
    run, res = solve("DECONVB")
    assert run.norm(res.x) <= OPTIONS["gtol"]
    assert res.message.endswith("PGTOL")


def test_no_fewer_are_solved_than_by_scipy_with_fewer_evaluations():
    solved = {"ours": 0, "scipy": 0}
    ratios = []
    for name in NAMES:
        run, ours = solve(name)
        theirs = minimize(
            run.problem.fun_and_grad, run.x0, jac=True, method="L-BFGS-B", bounds=run.bounds,
            options=OPTIONS,
        )
        both = [run.norm(res.x) <= OPTIONS["gtol"] for res in (ours, theirs)]
        solved["ours"] += both[0]
        solved["scipy"] += both[1]
        if all(both):
            ratios.append(ours.nfev / theirs.nfev)
    assert solved["ours"] >= solved["scipy"]
    assert np.exp(np.mean(np.log(ratios))) <= 0.97
