"""The compact matrix against the BFGS formula applied pair by pair to dense matrices, and how pairs
come and go: the bits of their inner products, the order, the ones that are refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lbfgsb._core.base_solver import updates_again
from lbfgsb._core.testing import model_of
from naive import (
    bfgs_matrix,
    both_forms,
    core_solver,
    drive,
    inverse_bfgs_matrix,
    random_pairs,
    updates,
)
from problems import random_problem, rosen_fg, same_bits
from scipy.optimize import LbfgsInvHessProduct

from lbfgsb import extract_hess_inv_diag, minimize_lbfgsb
from lbfgsb._hess_inv import InvHessProduct

EPS = np.finfo(float).eps
seeds = st.integers(0, 2**32 - 1)
many = settings(max_examples=200, derandomize=True)


@st.composite
def memories(draw, decades=4.0):
    """Pairs S, Y of a quadratic function, their factors, how many are used twice, a gradient, and
    maxcor; also fewer pairs than variables, more, and one variable."""
    n, k = draw(st.integers(1, 30)), draw(st.integers(1, 8))
    rng = np.random.default_rng(draw(seeds))
    S, Y = random_pairs(rng, n, k, draw(st.floats(0.0, decades)))
    lengths = 10.0 ** rng.integers(-3, 4, size=(k, 1))
    g, maxcor = rng.normal(size=n), k + draw(st.integers(0, 3))
    secant = draw(st.sampled_from([1, 1.2, 3])) ** rng.uniform(-1, 1, size=k)
    return S * lengths, Y * lengths, secant, draw(st.integers(0, 9)), g, maxcor


def newton_step(S, Y, g, maxcor, secant=None, **options):
    solver = core_solver(np.zeros(g.size), maxcor=maxcor, **options)
    solver._warm_start(0.0, g, S, Y, secant)
    solver._advance()
    return model_of(solver)


def products(S, Y):
    """[s_0 y_0 s_1 y_1 ...]ᵀ [s_0 y_0 s_1 y_1 ...]."""
    W = np.stack([S, Y], axis=1).reshape(-1, S.shape[1])
    return W @ W.T


# --- the matrix ---------------------------------------------------------------------------


@both_forms
@many
@given(memories())
def test_the_step_without_bounds_is_that_of_the_bfgs_formula(compact, memory):
    S, Y, secant, extra, g, maxcor = memory
    model = newton_step(S, Y, g, maxcor, secant, compact=compact, extra_updates=extra)
    theta = secant[-1] * (Y[-1] @ Y[-1]) / (S[-1] @ Y[-1])
    assert model["theta"] == pytest.approx(theta, rel=1e-12)
    H = inverse_bfgs_matrix(S, Y, theta, secant, extra)
    tolerance = 1e-13 * np.linalg.cond(H)
    np.testing.assert_allclose(model["d"], -H @ g, atol=tolerance * abs(H @ g).max(), rtol=0)
    assert model["slope"] == pytest.approx(-g @ H @ g, rel=max(tolerance, 1e-10))


@both_forms
@many
@given(memories())
def test_the_last_secant_equation_holds(compact, memory):
    S, Y, secant, extra, _, maxcor = memory
    H = inverse_bfgs_matrix(S, Y, 1.0, secant, extra)
    tolerance = 1e-13 * np.linalg.cond(H) * abs(S[-1]).max()
    options = {"compact": compact, "extra_updates": extra}
    d = newton_step(S, Y, -secant[-1] * Y[-1], maxcor, secant, **options)["d"]
    np.testing.assert_allclose(d, S[-1], atol=tolerance)


@both_forms
@many
@given(memories())
def test_the_curvature_along_the_gradient_is_that_of_the_bfgs_formula(compact, memory):
    S, Y, secant, extra, g, maxcor = memory
    far = np.full(g.size, 1e200)
    options = {"maxcor": maxcor, "compact": compact, "extra_updates": extra}
    solver = core_solver(np.zeros(g.size), -far, far, **options)
    solver._warm_start(0.0, g, S, Y, secant)
    solver._advance()
    B = bfgs_matrix(S, Y, model_of(solver)["theta"], secant, extra)
    # No break point is near: x_cauchy is the minimiser of the model along -g.
    tolerance = 1e-13 * np.linalg.cond(B)
    assert model_of(solver)["t"] == pytest.approx((g @ g) / (g @ B @ g), rel=tolerance)


@many
@given(memories())
def test_inner_products_are_those_of_numpy(memory):
    S, Y, _, _, g, maxcor = memory
    model = newton_step(S, Y, g, maxcor)
    expected, absolute = products(S, Y), products(abs(S), abs(Y))
    assert (abs(model["gram"] - expected) <= 10 * EPS * absolute).all()
    p = -np.stack([S @ g, Y @ g], axis=1).ravel()
    scale = np.stack([abs(S) @ abs(g), abs(Y) @ abs(g)], axis=1).ravel()
    assert (abs(model["p"] - p) <= 10 * EPS * scale).all()


@many
@given(memories())
def test_the_factorisation_on_the_way_is_checked(memory):
    S, Y, secant, extra, g, maxcor = memory
    box = np.full(g.size, -1.0), np.ones(g.size)
    solver = core_solver(np.zeros(g.size), *box, maxcor=maxcor, extra_updates=extra)
    solver._warm_start(0.0, g, S, Y, secant)
    solver._advance()
    assert 0 <= solver._details["factor_error"] <= 2 * (maxcor + extra) * EPS


def test_without_pairs_the_step_is_minus_the_gradient():
    g = np.arange(1.0, 6.0)
    model = newton_step(np.empty((0, 5)), np.empty((0, 5)), g, 3)
    assert model["theta"] == 1
    assert same_bits(model["d"], -g)


# --- pairs come one by one ----------------------------------------------------------------


def bounded_run(n, maxcor, seed=0):
    problem = random_problem(seed, n)
    return core_solver(problem.x0, problem.lower, problem.upper, maxcor=maxcor), problem.fg


def free_run(n, maxcor, **options):
    return core_solver(np.tile([-1.2, 1.0], n)[:n], maxcor=maxcor, **options), rosen_fg


@pytest.mark.parametrize("n", [2, 17, 600, 8300])
@pytest.mark.parametrize("maxcor", [1, 3, 8])
@pytest.mark.parametrize("run", [bounded_run, free_run])
def test_inner_products_have_the_same_bits_whenever_they_are_computed(run, maxcor, n):
    solver, fg = run(n, maxcor)
    count = 0
    for _ in drive(solver, fg, 15):
        at_once = core_solver(np.zeros(n), maxcor=maxcor)
        at_once._give_pairs(*solver._pairs())
        assert same_bits(model_of(at_once)["gram"], model_of(solver)["gram"])
        assert same_bits(model_of(at_once)["theta"], model_of(solver)["theta"])
        count += 1
    assert count > 3


@pytest.mark.parametrize("n", [2, 17, 600])
@pytest.mark.parametrize("maxcor", [1, 3, 8])
@pytest.mark.parametrize("run", [bounded_run, free_run])
def test_the_newest_pairs_are_kept_oldest_first(run, maxcor, n):
    solver, fg = run(n, maxcor)
    S, Y, before = [], [], None
    for _ in drive(solver, fg, 15):
        now = solver.x, solver.jac
        if before is not None and (now[0] - before[0]) @ (now[1] - before[1]) > 0:
            S.append(now[0] - before[0])
            Y.append(now[1] - before[1])
            assert same_bits(solver._pairs()[0][-len(S) :], S[-maxcor:])
            assert same_bits(solver._pairs()[1][-len(S) :], Y[-maxcor:])
        assert len(solver._pairs()[0]) == min(maxcor, len(S) + 1)
        before = now
    assert len(S) > 3


@both_forms
@pytest.mark.parametrize("n", [9, 26])
@pytest.mark.parametrize("maxcor", [1, 3, 8])
@pytest.mark.parametrize("extra", [0, 1, 10])
def test_every_step_of_a_run_is_that_of_the_bfgs_formula(maxcor, n, compact, extra):
    solver, fg = free_run(n, maxcor, compact=compact, extra_updates=extra)
    for _ in drive(solver, fg, 30):
        S, Y, secant = solver._pairs()
        H = inverse_bfgs_matrix(S, Y, model_of(solver)["theta"], secant, extra)
        expected = -H @ solver.jac
        solver._advance()
        np.testing.assert_allclose(
            model_of(solver)["d"], expected, atol=1e-6 * abs(expected).max(), rtol=0
        )


@both_forms
@many
@given(memories())
def test_pairs_come_back_as_they_were_given(compact, memory):
    S, Y, secant, _, g, maxcor = memory
    solver = core_solver(np.zeros(g.size), maxcor=maxcor, compact=compact)
    solver._give_pairs(S, Y, secant)
    assert all(map(same_bits, solver._pairs(), (S, Y, secant)))


# --- pairs that are refused ---------------------------------------------------------------


@pytest.mark.parametrize(("ratio", "taken"), [(0.25, 0), (0.5, 0), (0.5 + EPS, 1), (1.5, 1)])
@pytest.mark.parametrize("scale_of_x", [1.0, 2.0**-60])
@pytest.mark.parametrize("scale_of_f", [1.0, 2.0**-120, 2.0**120])
def test_a_pair_needs_curvature_whatever_the_scales(ratio, taken, scale_of_x, scale_of_f):
    # s = (step, 0) and sᵀy = ratio |sᵀg|, in units of the scales.
    solver = core_solver([0.0, 0.0], eps_SY=0.5, max_steplength=scale_of_x**2 / scale_of_f)
    unit = scale_of_f / scale_of_x
    solver._tell(0.0, unit * np.array([-1.0, 0.0]))
    solver._advance()
    step, zero = solver._point()
    assert (step > 0, zero) == (True, 0)
    before = model_of(solver)["theta"]
    # On the parabola through both slopes, which needs no factor.
    assert solver._tell(0.5 * (ratio - 2) * unit * step, unit * np.array([ratio - 1.0, 7.0]))
    assert (solver._details["pairs"], solver._details["skipped"]) == (taken, 1 - taken)
    theta = unit / step * (ratio**2 + 49) / ratio
    assert model_of(solver)["theta"] == pytest.approx(theta if taken else before)


def test_a_refused_pair_leaves_the_memory_as_it_was():
    # Convex at first, concave from x = 1 on, where the longest step allowed leads down for ever.
    def fg(x):
        z = np.where(x < 1, x, 1.0)
        f = (0.5 * (z - 2) ** 2).sum() - ((x - z) + (x - z) ** 2).sum()
        return f, z - 2 - 2 * (x - z)

    solver = core_solver(np.array([-3.0, -2.5]), max_steplength=0.5, maxcor=4)
    kept = None
    for _ in drive(solver, fg, 25):
        if solver._details["skipped"]:
            now = [*solver._pairs(), model_of(solver)["gram"], model_of(solver)["theta"]]
            assert kept is None or all(map(same_bits, now, kept))
            kept = now
    assert solver._details["skipped"] > 5
    assert 0 < solver._details["pairs"] <= 4
    S, Y, _ = solver._pairs()
    assert ((S * Y).sum(axis=1) > 0).all()


def test_a_pair_whose_ratio_overflows_is_refused():
    solver = core_solver([0.0, 0.0], eps_SY=0.0, max_steplength=1e-160)
    solver._tell(0.0, np.array([-1.0, 0.0]))
    solver._advance()
    assert solver._tell(-0.9e-160, np.array([-0.5, 1e150]))
    assert solver._details["pairs"] == 0
    assert solver._details["skipped"] == 1


# --- what users get -----------------------------------------------------------------------


@many
@given(memories(decades=2.0))
def test_the_operator_of_a_result_is_scipys_of_the_scaled_pairs_some_of_them_twice(memory):
    S, Y, secant, extra, g, _ = memory
    hess_inv = InvHessProduct(S, Y, secant, updates_again(secant, extra))
    sequence = map(np.array, zip(*updates(S, Y, secant, extra), strict=True))
    dense = LbfgsInvHessProduct(*sequence).todense()
    # SciPy's matrix begins with I, to whose digits it is known.
    tolerance = 1e-13 * np.linalg.cond(dense) * max(1.0, abs(dense).max())
    np.testing.assert_allclose(hess_inv.todense(), dense, atol=tolerance, rtol=0)
    np.testing.assert_allclose(hess_inv @ g, dense @ g, atol=tolerance * abs(g).sum(), rtol=0)
    np.testing.assert_allclose(
        extract_hess_inv_diag(hess_inv), np.diag(dense), atol=tolerance, rtol=0
    )


@many
@given(memories(decades=2.0))
def test_the_diagonal_of_scipys_operator_is_that_of_its_dense_matrix(memory):
    S, Y, *_ = memory
    hess_inv = LbfgsInvHessProduct(S, Y)
    dense = hess_inv.todense()
    diagonal = extract_hess_inv_diag(hess_inv)
    assert diagonal.shape == (S.shape[1],)
    tolerance = 1e-13 * np.linalg.cond(dense) * max(1.0, abs(dense).max())
    np.testing.assert_allclose(diagonal, np.diag(dense), atol=tolerance, rtol=0)


@pytest.mark.parametrize("maxcor", [1, 5])
def test_the_diagonal_of_a_result(maxcor):
    problem = random_problem(4, 12)
    result = minimize_lbfgsb(
        x0=problem.x0, fun=problem.fg, jac=True, bounds=problem.bounds, maxcor=maxcor
    )
    expected = np.diag(result.hess_inv.todense())
    np.testing.assert_allclose(extract_hess_inv_diag(result.hess_inv), expected, rtol=1e-6)
