"""`x_scale`: the algorithm works on x / x_scale, the user sees x alone."""

import pickle

import numpy as np
import pytest
from problems import same_bits
from scipy.optimize import minimize

from lbfgsb import Solver, minimize_lbfgsb

SIZES = [1, 2, 5, 16, 17, 40, 700]
TIGHT = {"ftol": 0.0, "gtol": 1e-30, "maxiter": 20, "maxcor": 6}


class Fit:
    """A least-squares problem in z = x / scale, and the same in x: 12 orders between variables."""

    def __init__(self, n, bounded, power_of_two=True):
        rng = np.random.default_rng(n)
        self.A, self.c = rng.normal(size=(min(n, 60), n)), rng.normal(size=n)
        self.scale = 10.0 ** rng.uniform(-6, 6, size=n)
        if power_of_two:
            self.scale = 2.0 ** np.round(np.log2(self.scale))
        self.z_bounds = np.tile([-0.5, 0.7], (n, 1)) if bounded else None
        self.x_bounds = self.z_bounds * self.scale[:, None] if bounded else None

    def of_z(self, z):
        r = self.A @ (z - self.c)
        return 0.5 * r @ r + 0.05 * ((z - self.c) ** 2).sum(), self.A.T @ r + 0.1 * (z - self.c)

    def of_x(self, x):
        f, g = self.of_z(x / self.scale)
        return f, g / self.scale

    def solve_in_z(self, **options):
        return minimize_lbfgsb(
            x0=np.zeros(self.c.size), fun=self.of_z, jac=True, bounds=self.z_bounds,
            **(TIGHT | options),
        )  # fmt: skip

    def solve_in_x(self, **options):
        given = {"x0": np.zeros(self.c.size), "x_scale": self.scale} | TIGHT | options
        return minimize_lbfgsb(fun=self.of_x, jac=True, bounds=self.x_bounds, **given)


@pytest.mark.parametrize("bounded", [False, True], ids=["no bounds", "box"])
@pytest.mark.parametrize("n", SIZES)
def test_powers_of_two_give_the_bits_of_the_well_scaled_problem(n, bounded):
    fit = Fit(n, bounded)
    inner, outer = fit.solve_in_z(), fit.solve_in_x()
    assert same_bits(outer.x / fit.scale, inner.x)
    assert same_bits(outer.jac * fit.scale, inner.jac)
    assert (outer.fun, outer.nit, outer.nfev) == (inner.fun, inner.nit, inner.nfev)


@pytest.mark.parametrize("bounded", [False, True], ids=["no bounds", "box"])
@pytest.mark.parametrize("n", [5, 40])
def test_any_scale_gives_the_iterates_of_the_well_scaled_problem(n, bounded):
    fit = Fit(n, bounded, power_of_two=False)
    for maxiter in range(1, 15):
        inner, outer = fit.solve_in_z(maxiter=maxiter), fit.solve_in_x(maxiter=maxiter)
        np.testing.assert_allclose(outer.x / fit.scale, inner.x, rtol=0, atol=1e-7)


def test_without_it_the_same_problem_is_hard():
    fit = Fit(40, False)
    scaled, plain = fit.solve_in_x(maxiter=100), fit.solve_in_x(maxiter=100, x_scale=None)
    assert scaled.fun < 1e-6 * plain.fun


def test_a_diagonal_quadratic_over_12_orders_takes_the_steps_of_the_sphere():
    scale = np.logspace(-6, 6, 25)
    r = minimize_lbfgsb(
        x0=scale, fun=lambda x: (0.5 * ((x / scale) ** 2).sum(), x / scale**2), jac=True,
        x_scale=scale, ftol=0.0, gtol=1e-12,
    )  # fmt: skip
    assert r.nit <= 3
    np.testing.assert_allclose(r.x / scale, 0, atol=1e-12)


@pytest.mark.parametrize("n", [5, 40])
def test_bounds_results_and_callbacks_are_in_the_units_of_x(n):
    fit = Fit(n, True)
    lower, upper = fit.x_bounds.T
    seen = []

    def fun(x):
        assert ((lower <= x) & (x <= upper)).all()
        return fit.of_x(x)

    def callback(x, state):
        free = np.where(state.jac > 0, x > lower, x < upper)
        projected = np.where(
            state.jac > 0, np.minimum(x - lower, state.jac), np.maximum(x - upper, state.jac)
        )
        assert state.projected_gradient == abs(projected).max()
        assert state.active_bounds == n - free.sum()
        seen.append(x)

    r = minimize_lbfgsb(
        x0=np.zeros(n), fun=fun, jac=True, bounds=fit.x_bounds, x_scale=fit.scale,
        callback=callback, **TIGHT,
    )  # fmt: skip
    f, g = fit.of_x(r.x)
    assert r.fun == f
    assert same_bits(r.jac, g)
    steps = np.diff([np.zeros(n), *seen], axis=0)
    assert same_bits(r.hess_inv.sk, steps[-len(r.hess_inv.sk) :])
    y = fit.of_x(seen[-1])[1] - fit.of_x(seen[-2])[1]
    assert same_bits(r.hess_inv.yk[-1], y)


def test_gtol_is_compared_with_the_gradient_in_the_units_of_x():
    fit = Fit(5, False)
    r = fit.solve_in_x(gtol=1e-3, maxiter=200)
    assert r.status == 0
    assert abs(r.jac).max() == r.projected_gradient <= 1e-3


@pytest.mark.parametrize("bounded", [False, True], ids=["no bounds", "box"])
@pytest.mark.parametrize("n", [5, 40])
def test_a_resumed_run_has_the_bits_of_one_never_stopped(n, bounded):
    fit = Fit(n, bounded, power_of_two=False)
    whole = fit.solve_in_x()
    for limit in {"maxiter": 7}, {"maxfun": 9}:
        part = fit.solve_in_x(**limit)
        for checkpoint in part, pickle.loads(pickle.dumps(part)):
            again = fit.solve_in_x(x0=part.x, checkpoint=checkpoint)
            assert same_bits(again.x, whole.x)
            assert (again.nit, again.nfev, again.fun) == (whole.nit, whole.nfev, whole.fun)


def test_another_scale_takes_the_pairs_as_a_warm_start():
    fit = Fit(20, False)
    part = fit.solve_in_x(maxiter=10)
    again = fit.solve_in_x(x0=part.x, checkpoint=part, x_scale=2 * fit.scale, maxiter=200)
    assert again.nit > part.nit
    assert again.fun < part.fun


def test_a_solver_pickles_with_its_scale():
    fit = Fit(5, True)
    solver = Solver(np.zeros(5), fit.x_bounds, x_scale=fit.scale, **TIGHT)
    while not solver.done:
        solver = pickle.loads(pickle.dumps(solver))
        solver.tell(*fit.of_x(solver.ask()))
    assert same_bits(solver.x, fit.solve_in_x().x)


def test_a_new_maxcor_on_the_way_keeps_the_scale():
    fit = Fit(20, False)

    def callback(x, state):
        if state.nit == 5:
            state.update(maxcor=3)

    changed = fit.solve_in_x(callback=callback)
    part = fit.solve_in_x(maxiter=5)
    assert same_bits(changed.x, fit.solve_in_x(x0=part.x, checkpoint=part, maxcor=3).x)


def test_scipys_door_takes_it():
    from lbfgsb import scipy_method

    fit = Fit(5, True)
    r = minimize(
        fit.of_x, np.zeros(5), jac=True, bounds=fit.x_bounds, method=scipy_method,
        options={"x_scale": fit.scale, "ftol": 0.0, "gtol": 1e-30, "maxiter": 20, "maxcor": 6},
    )  # fmt: skip
    assert same_bits(r.x, fit.solve_in_x().x)


def test_a_scalar_sets_the_length_of_the_first_step():
    for scale in 0.25, 8.0:
        points = []

        def fun(x, points=points):
            points.append(x)
            return -x.sum(), -np.ones(3)

        minimize_lbfgsb(x0=np.zeros(3), fun=fun, jac=True, x_scale=scale, maxfun=2)
        assert np.linalg.norm(points[1]) == pytest.approx(scale)


@pytest.mark.parametrize(
    "ones", [1, 1.0, [1, 1], np.ones(2)], ids=["int", "float", "list", "array"]
)
def test_ones_are_no_scale(ones):
    def fun(x):
        return ((x - 1) ** 4).sum(), 4 * (x - 1) ** 3

    plain = minimize_lbfgsb(x0=[3.0, -2.0], fun=fun, jac=True)
    assert same_bits(minimize_lbfgsb(x0=[3.0, -2.0], fun=fun, jac=True, x_scale=ones).x, plain.x)


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (0.0, ValueError),
        (-1.0, ValueError),
        (np.inf, ValueError),
        ([1.0, np.nan], ValueError),
        ([1.0, 2.0, 3.0], ValueError),
        ([[1.0, 2.0]], ValueError),
        ("jac", TypeError),
        ([1j, 2.0], TypeError),
    ],
    ids=["zero", "negative", "infinite", "NaN", "too long", "two dimensions", "text", "complex"],
)
def test_a_bad_scale_is_refused_before_anything_is_evaluated(bad, error):
    def fun(x):
        raise AssertionError("evaluated")

    with pytest.raises(error, match="x_scale"):
        minimize_lbfgsb(x0=[1.0, 2.0], fun=fun, x_scale=bad)
    with pytest.raises(error, match="x_scale"):
        Solver([1.0, 2.0], x_scale=bad)


def test_the_scale_is_copied():
    scale = np.array([2.0, 8.0])
    solver = Solver([1.0, 2.0], x_scale=scale)
    scale[:] = -1
    assert same_bits(pickle.loads(pickle.dumps(solver))._scale, np.array([2.0, 8.0]))
