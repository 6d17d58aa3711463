"""Standard errors against closed forms, and why those of the pairs are none."""

import numpy as np
import pytest
from problems import rosen_grad
from scipy.optimize import OptimizeResult, minimize

from lbfgsb import extract_hess_inv_diag, minimize_lbfgsb, standard_errors

TIGHT = {"ftol": 0.0, "gtol": 1e-9, "maxiter": 1000}


def linear(n=3, rows=200, sigma=0.7, seed=0, units=1.0):
    """Linear regression with known noise: f, its gradient, and the true standard errors."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((rows, n)) @ np.triu(rng.uniform(0.5, 2, (n, n))) / units
    y = A @ rng.uniform(1, 2, n) * units + sigma * rng.standard_normal(rows)

    def fun(x):
        r = A @ x - y
        return 0.5 * (r @ r) / sigma**2

    def jac(x):
        return A.T @ (A @ x - y) / sigma**2

    return fun, jac, A / sigma


def covariance(A):
    return np.linalg.inv(A.T @ A)


@pytest.mark.parametrize("n", [1, 3, 12])
def test_linear_regression(n):
    fun, jac, A = linear(n)
    res = minimize_lbfgsb(x0=np.zeros(n), fun=fun, jac=jac, **TIGHT)
    expected = np.sqrt(np.diag(covariance(A)))
    np.testing.assert_allclose(standard_errors(res, jac), expected, rtol=1e-8)


def test_logistic_regression_has_those_of_the_fisher_information():
    rng = np.random.default_rng(1)
    A = np.column_stack([np.ones(500), rng.standard_normal((500, 3))])
    y = rng.uniform(size=500) < 1 / (1 + np.exp(-A @ [0.3, -1.0, 0.5, 2.0]))

    def fun(w):
        return np.logaddexp(0, A @ w).sum() - y @ (A @ w)

    def jac(w):
        return A.T @ (1 / (1 + np.exp(-A @ w)) - y)

    res = minimize_lbfgsb(x0=np.zeros(4), fun=fun, jac=jac, **TIGHT)
    p = 1 / (1 + np.exp(-A @ res.x))
    information = A.T @ (A * (p * (1 - p))[:, None])
    expected = np.sqrt(np.diag(np.linalg.inv(information)))
    np.testing.assert_allclose(standard_errors(res, jac), expected, rtol=1e-7)


def test_a_sum_of_squares_with_unknown_variance():
    fun, jac, A = linear(sigma=1.0)
    res = minimize_lbfgsb(x0=np.zeros(3), fun=fun, jac=jac, **TIGHT)
    variance = 2 * res.fun / (200 - 3)
    expected = np.sqrt(variance * np.diag(covariance(A)))
    errors = standard_errors(res, jac) * np.sqrt(2 * res.fun / (200 - 3))
    np.testing.assert_allclose(errors, expected, rtol=1e-8)


def test_a_variable_at_a_bound_is_left_out():
    fun, jac, A = linear(4)
    bounds = [(None, None), (None, 0.5), (None, None), (3.0, 9.0)]
    res = minimize_lbfgsb(x0=[0.0, 0.0, 0.0, 4.0], fun=fun, jac=jac, bounds=bounds, **TIGHT)
    assert (res.x[[1, 3]] == [0.5, 3.0]).all()
    errors = standard_errors(res, jac)
    assert np.isnan(errors[[1, 3]]).all()
    expected = np.sqrt(np.diag(covariance(A[:, [0, 2]])))
    np.testing.assert_allclose(errors[[0, 2]], expected, rtol=1e-8)


def test_bounds_are_given_where_the_result_does_not_know_them():
    fun, jac, _ = linear()
    bounds = [(None, 0.5)] + [(None, None)] * 2
    ours = minimize_lbfgsb(x0=np.zeros(3), fun=fun, jac=jac, bounds=bounds, **TIGHT)
    scipys = minimize(fun, np.zeros(3), jac=jac, bounds=bounds, options={"ftol": 0, "gtol": 1e-9})
    expected = standard_errors(ours, jac)
    assert np.isnan(expected[0])
    np.testing.assert_allclose(standard_errors(scipys, jac, bounds=bounds), expected, rtol=1e-6)
    assert np.isfinite(standard_errors(scipys, jac)[0])


def test_bounds_that_are_given_take_the_place_of_those_of_the_run():
    fun, jac, A = linear()
    bounds = [(None, 0.5)] + [(None, None)] * 2
    res = minimize_lbfgsb(x0=np.zeros(3), fun=fun, jac=jac, bounds=bounds, **TIGHT)
    assert np.isnan(standard_errors(res, jac)[0])
    expected = np.sqrt(np.diag(covariance(A)))
    errors = standard_errors(res, jac, bounds=[(None, None)] * 3)
    np.testing.assert_allclose(errors, expected, rtol=1e-8)


def test_nothing_outside_the_bounds_is_evaluated():
    fun, jac, _ = linear()
    res = minimize_lbfgsb(x0=np.zeros(3), fun=fun, jac=jac, **TIGHT)
    near = [(x - 1e-7, x + 1e-7) for x in res.x]

    def watched(x):
        assert all(low <= v <= high for v, (low, high) in zip(x, near, strict=True))
        return jac(x)

    expected = standard_errors(res, jac)
    np.testing.assert_allclose(standard_errors(res, watched, bounds=near), expected, rtol=1e-4)


def test_all_at_bounds():
    res = minimize_lbfgsb(x0=[1.0], fun=lambda x: x[0], jac=lambda x: [1.0], bounds=[(0, 1)])
    assert np.isnan(standard_errors(res, lambda x: [1.0])).all()


@pytest.mark.parametrize("units", [1e-8, 1e8])
def test_x_scale_says_how_long_the_steps_are(units):
    """With x ≈ 1e-8 and a step of 6e-6 a function that curves would be another one."""

    def fun(x):
        with np.errstate(over="ignore"):  # at the first trial points
            return (np.exp(x / units) - x / units).sum()

    def jac(x):
        with np.errstate(over="ignore"):
            return (np.exp(x / units) - 1) / units

    res = minimize_lbfgsb(
        x0=np.array([1.0, -1.0]) * units, fun=fun, jac=jac, x_scale=units, ftol=0, gtol=1e-9 / units
    )
    np.testing.assert_allclose(standard_errors(res, jac), units, rtol=1e-6)


@pytest.mark.parametrize(
    "jac",
    [
        lambda x: np.full(2, x.sum()),  # x[0] − x[1] is free
        lambda x: np.array([x[0], -x[1]]),  # a saddle
        lambda x: np.array([x[0], 0.0]),  # x[1] is free
        lambda x: x * np.nan,
    ],
)
def test_a_hessian_that_is_not_positive_definite_is_an_error(jac):
    result = OptimizeResult(x=np.zeros(2), fun=0.0, jac=np.zeros(2))
    with pytest.raises(ValueError, match="not positive definite"):
        standard_errors(result, jac)


@pytest.mark.parametrize("seed", range(10))
def test_what_rounding_errors_make_of_a_singular_hessian_is_an_error_too(seed):
    v = np.random.default_rng(seed).uniform(1.0, 1.1, 2)
    result = OptimizeResult(x=np.ones(2), fun=0.0, jac=np.zeros(2))
    with pytest.raises(ValueError, match="not positive definite"):
        standard_errors(result, lambda x: v * (v @ x))


def test_nearly_dependent_variables_have_large_errors():
    H = np.array([[1.0, 1 - 1e-6], [1 - 1e-6, 1.0]])
    result = OptimizeResult(x=np.zeros(2), fun=0.0, jac=np.zeros(2))
    expected = np.sqrt(np.diag(np.linalg.inv(H)))
    np.testing.assert_allclose(standard_errors(result, lambda x: H @ x), expected, rtol=1e-4)


def test_jac_must_be_callable():
    with pytest.raises(TypeError, match="jac must be callable; got True"):
        standard_errors(OptimizeResult(x=np.zeros(2)), True)


def test_those_from_the_pairs_are_something_else():
    """What the documentation warns of."""
    fun, jac, A = linear(8, seed=4)
    res = minimize_lbfgsb(x0=np.zeros(8), fun=fun, jac=jac)
    expected = np.sqrt(np.diag(covariance(A)))
    wrong = np.sqrt(extract_hess_inv_diag(res.hess_inv))
    assert (np.abs(wrong / expected - 1) > 0.2).any()
    np.testing.assert_allclose(standard_errors(res, jac), expected, rtol=1e-6)


def test_jac_gets_points_of_its_own():
    result = OptimizeResult(x=np.ones(2), fun=0.0, jac=np.zeros(2))

    def jac(x):
        g = np.asarray(rosen_grad(x.copy()))
        x[:] = 0
        return g

    expected = np.sqrt(np.diag(np.linalg.inv([[802.0, -400.0], [-400.0, 200.0]])))
    np.testing.assert_allclose(standard_errors(result, jac), expected, rtol=1e-4)
