"""The generalised Cauchy point against a walk over sorted break points with a dense matrix, against
a search by brute force along the projected path, and against closed forms for diagonal matrices."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from lbfgsb._core.testing import model_of
from naive import (
    DONE,
    TRIAL,
    both_forms,
    break_point,
    cauchy_point,
    core_solver,
    matrix_of,
    projected_path,
    random_pairs,
    random_state,
    solver_at,
    solver_of,
    states,
    x_cauchy_of,
)
from problems import same_bits

EPS = np.finfo(float).eps
many = settings(max_examples=200, derandomize=True)


def advanced(state, **options):
    """The solver after its direction from `state`, and the pieces of that."""
    solver = solver_of(state, **options)
    assume(solver.projected_gradient > 0)
    solver._advance()
    assume(solver._details["restarts"] == 0)
    assert solver._phase == TRIAL
    return solver, model_of(solver)


def model_change(state, B, x):
    """m(x) - m(x_k)."""
    z = x - state.x
    return state.g @ z + 0.5 * z @ B @ z


def loss(state, B, t):
    """How many digits the search may lose: the update formulas subtract what the variables that
    reached their bounds added to the curvature."""
    d = np.where(break_point(state.x, state.g, state.lower, state.upper) > t, -state.g, 0.0)
    left, whole = d @ B @ d, state.g @ B @ state.g
    return np.linalg.cond(B) * (1 + (whole / left if left > 0 else 0))


# --- the point ----------------------------------------------------------------------------


@both_forms
@many
@given(states())
def test_the_cauchy_point_is_that_of_the_dense_walk(compact, state):
    _, model = advanced(state, compact=compact)
    B = matrix_of(state, model)
    expected, _t, t_fixed = cauchy_point(state.x, state.g, state.lower, state.upper, B)
    tolerance = 1e-14 * loss(state, B, t_fixed) * abs(expected - state.x).max() + 2 * EPS
    np.testing.assert_allclose(x_cauchy_of(state, model), expected, rtol=0, atol=tolerance)


@both_forms
@many
@given(states(decades=8.0))
def test_no_point_before_it_on_the_path_is_lower_and_the_next_ones_are_higher(compact, state):
    _, model = advanced(state, compact=compact)
    B = matrix_of(state, model)
    cost = loss(state, B, model["t_fixed"])
    assume(cost < 1e10)
    t = break_point(state.x, state.g, state.lower, state.upper)
    moving = (t > 0) & (state.g != 0)
    end = model["t"] if (t[moving] > model["t_fixed"]).any() else model["t_fixed"]

    def along(times):
        path = [projected_path(state.x, state.g, state.lower, state.upper, s) for s in times]
        return np.array([model_change(state, B, x) for x in path])

    before = np.union1d(t[(t > 0) & (t < end)], np.linspace(0, end, 40))
    values = along(before)
    tolerance = 1e-13 * cost * abs(values).max()
    assert (np.diff(values) <= tolerance).all()
    assert values[-1] < 0
    following = t[t > end].min(initial=2 * end)
    after = along(end + (following - end) * np.array([1e-4, 1e-3, 1e-2]))
    assert (np.diff(after) >= -tolerance).all()
    assert (after >= values[-1] - tolerance).all()


@both_forms
@many
@given(states())
def test_the_cauchy_point_is_feasible(compact, state):
    _, model = advanced(state, compact=compact)
    x = x_cauchy_of(state, model)
    rounding = 2 * EPS * abs(state.x)
    assert (state.lower - rounding <= x).all()
    assert (x <= state.upper + rounding).all()


# --- what it leaves for the subspace minimisation -----------------------------------------


@both_forms
@many
@given(states())
def test_the_fixed_variables_are_those_with_a_break_point_passed(compact, state):
    _, model = advanced(state, compact=compact)
    t = break_point(state.x, state.g, state.lower, state.upper)
    fixed = t <= model["t_fixed"]
    np.testing.assert_array_equal(model["status"] != 0, fixed)
    np.testing.assert_array_equal(model["status"][fixed], np.where(state.g[fixed] > 0, -1, 1))
    assert model["fixed"] == fixed.sum()
    assert model["passed"] == (fixed & (t > 0)).sum()
    assert model["t"] >= model["t_fixed"]


@many
@given(states())
def test_the_products_with_the_pairs_belong_to_the_point(state):
    _, model = advanced(state)
    W = np.stack([state.S, state.Y], axis=1).reshape(-1, state.n)
    z = x_cauchy_of(state, model) - state.x
    path = model["t"] * abs(state.g) + abs(state.x)
    scale = abs(W) @ (abs(z) + path)
    assert (abs(model["c"] - W @ z) <= 1e-14 * state.n * scale).all()
    last_piece = np.where(model["status"] == 0, -state.g, 0.0)
    scale = abs(W) @ abs(state.g)
    assert (abs(model["p"] - W @ last_piece) <= 1e-14 * state.n * scale).all()


# --- closed forms: B diagonal -------------------------------------------------------------


def diagonal_state(x, g, lower, upper, curvature):
    """A solver whose B is diag(curvature) but for the last pair's theta, to rounding."""
    S = np.eye(len(x))
    solver = solver_at(np.array(x), np.array(g), S, S * curvature, np.array(lower), np.array(upper))
    solver._advance()
    return model_of(solver)


def test_without_a_break_point_on_the_way_it_is_the_minimiser_along_the_gradient():
    g = [1.0, -2.0, 0.5]
    model = diagonal_state([0.0] * 3, g, [-50.0] * 3, [50.0] * 3, [1.0, 2.0, 4.0])
    assert model["t"] == pytest.approx((1 + 4 + 0.25) / (1 + 8 + 1))
    assert (model["passed"], model["fixed"]) == (0, 0)


def test_break_points_beyond_the_first_minimiser_are_found_when_it_moves_on():
    # While variable 0 moves its curvature keeps the minimiser at 0.002. It stops at 0.001; then
    # the minimiser lies at 1, beyond the break points at 0.25 and 0.5, which nobody has seen yet.
    g, curvature = [-1.0] * 4, [1e3, 1.0, 1.0, 1.0]
    model = diagonal_state([0.0] * 4, g, [-9.0] * 4, [1e-3, 0.25, 0.5, 9.0], curvature)
    assert model["status"].tolist() == [1, 1, 1, 0]
    assert model["passed"] == 3
    assert model["t_fixed"] == 0.5
    assert model["t"] == pytest.approx(1.0)


@pytest.mark.parametrize("seed", range(3))
def test_of_many_break_points_those_before_the_minimiser_are_passed(seed):
    # Variable 0, almost without curvature, puts the first minimiser beyond all break points. Once
    # it has stopped at 0.005, that of all the others is at 1.
    n = 40
    t = np.random.default_rng(seed).permutation(np.linspace(0.1, 3.0, n))
    g, curvature = np.full(n, -1.0), np.ones(n)
    g[0], t[0], curvature[0] = -100.0, 0.005, 1e-4
    model = diagonal_state([0.0] * n, g, [-99.0] * n, -g * t, curvature)
    assert g @ g / (curvature @ g**2) > 3
    np.testing.assert_array_equal(model["status"], np.where(t < 1, 1, 0))
    assert model["t_fixed"] == t[t < 1].max()
    assert model["t"] == pytest.approx(1.0)


def test_a_break_point_at_the_minimiser_itself_may_be_either():
    model = diagonal_state([0.0, 0.0], [-1.0, -1.0], [-9.0] * 2, [1.0, 9.0], [1.0, 1.0])
    x_cauchy = np.where(model["status"] > 0, 1.0, model["t"])
    np.testing.assert_allclose(x_cauchy, 1.0, rtol=1e-15)


@pytest.mark.parametrize("passed", [True, False])
def test_variables_that_reach_their_bounds_together_are_fixed_together(passed):
    # The minimiser of the first piece is at t = 1.
    g = np.array([-1.0, 0.5, -2.0, 0.25, -1.0])
    room = (0.25 if passed else 1.5) * abs(g)
    room[-1] = 20.0
    model = diagonal_state([0.0] * 5, g, -room, room, [1.0] * 5)
    assert model["status"].tolist() == ([1, -1, 1, -1, 0] if passed else [0] * 5)
    assert model["passed"] == (4 if passed else 0)
    assert model["t"] == pytest.approx(1.0)


def test_when_every_variable_reaches_its_bound_the_point_is_that_corner():
    g = np.array([-1.0, 2.0, -0.5, 3.0])
    room = np.array([1e-3, 2e-3, 1e-3, 1e-6])
    model = diagonal_state([0.5] * 4, g, 0.5 - room, 0.5 + room, [1.0, 2.0, 3.0, 4.0])
    assert model["status"].tolist() == [1, -1, 1, -1]
    corner = 0.5 + room * [1, -1, 1, -1]
    np.testing.assert_array_equal(model["d"], corner - 0.5)


def test_bounds_an_ulp_away_are_reached():
    x = np.array([0.3, 0.3, 0.3])
    lower, upper = np.nextafter(x, -1), np.nextafter(x, 1)
    lower[2], upper[2] = -9.0, 9.0
    solver = solver_at(x, np.array([1.0, -1.0, 1.0]), np.eye(3), np.eye(3), lower, upper)
    solver._advance()
    assert model_of(solver)["status"].tolist() == [-1, 1, 0]
    assert solver._point().tolist() == pytest.approx([0.3, 0.3, -0.7])
    assert solver._point()[:2].tolist() == [lower[0], upper[1]]


@pytest.mark.parametrize("curvature", [1e-140, 1e-12, 1e-6, 1e12, 1e140])
def test_curvatures_of_any_size(curvature):
    # A curvature of almost zero leads to the bounds; a large one to a point close to x.
    g = np.array([-1.0, 1.0])
    solver = solver_at(
        np.zeros(2), g, np.eye(2), curvature * np.eye(2), np.array([-9.0, -8.0]), np.full(2, 9.0)
    )
    solver._advance()
    model = model_of(solver)
    if curvature < 1:
        assert model["status"].tolist() == [1, -1]
    else:
        assert model["status"].tolist() == [0, 0]
        assert model["t"] == pytest.approx(1 / curvature)


@pytest.mark.parametrize("size", [1e-200, 1e-165, 1e160])
def test_pairs_are_not_used_where_the_gradient_cannot_be_squared(size):
    # The model's slope would be 0 or infinite, its minimiser NaN. A step of about unit length is
    # tried instead, where there is one.
    g = size * np.array([1.0, 2.0])
    S = np.array([[0.2, 0.19], [0.5, -1.68]])
    lower, upper = np.array([-7.0, 0.0]), np.array([np.inf, np.inf])
    x = np.array([0.75, 0.5])
    solver = solver_at(x, g, S, 2 * S, lower, upper)
    solver._advance()
    assert solver._details["pairs"] == 0
    step = solver._point() - x
    assert (step <= 0).all()
    # Variable 1 has half that way to its bound, and the path bends there.
    assert solver._phase == DONE or 0.5 < np.linalg.norm(step) < 1 + 1e-6


def test_a_variable_that_moves_by_less_than_its_break_point_can_tell_moves_no_other():
    # Variable 1 can move, but its break point, 1e-290 / 1e40, is zero; g vanishes for variable 0.
    S = np.array([[0.2, 0.19], [0.5, -1.68]])
    lower, upper = np.array([-7.0, 0.0]), np.array([np.inf, 1e-290])
    solver = solver_at(np.array([0.75, 0.0]), np.array([0.0, -1e40]), S, S, lower, upper)
    solver._advance()
    assert solver._point()[0] == 0.75
    assert 0 <= solver._point()[1] <= 1e-290


@pytest.mark.parametrize("maxcor", [1, 7])
def test_one_variable(maxcor):
    for upper, status, t in (0.25, 1, None), (np.inf, 0, 0.5):
        solver = solver_at(
            np.zeros(1), np.array([-1.0]), np.ones((1, 1)), np.full((1, 1), 2.0),
            np.array([-1.0]), np.array([upper]), maxcor=maxcor,
        )  # fmt: skip
        solver._advance()
        assert model_of(solver)["status"].tolist() == [status]
        assert t is None or model_of(solver)["t"] == pytest.approx(t)
        assert solver._point() == pytest.approx([min(0.5, upper)])


@pytest.mark.parametrize("pairs", [0, 2])
def test_nothing_is_left_to_do_when_every_variable_is_fixed(pairs):
    x = np.array([1.0, 2.0])
    S = np.eye(2)[:pairs]
    solver = solver_at(x, np.array([3.0, -4.0]), S, S, x, x)
    solver._test()
    assert solver._phase == DONE
    assert solver.projected_gradient == 0
    assert solver.active_bounds == 2


# --- many variables, in many chunks -------------------------------------------------------


class CompactMatrix:
    """theta I - W M Wᵀ as a product, for n too large for a dense matrix."""

    def __init__(self, S, Y, theta):
        SY = S @ Y.T
        L, D = np.tril(SY, -1), np.diag(np.diag(SY))
        self.theta, self.W = theta, np.vstack([Y, theta * S])
        self.M = np.linalg.inv(np.block([[-D, L.T], [L, theta * S @ S.T]]))

    def __matmul__(self, z):
        return self.theta * z - self.W.T @ (self.M @ (self.W @ z))

    __array_ufunc__ = None

    def __rmatmul__(self, z):
        return self @ z


@pytest.mark.parametrize("n", [8192, 8193, 20_000])
def test_break_points_of_many_chunks(n):
    rng = np.random.default_rng(n)
    x, g = np.zeros(n), rng.normal(size=n)
    S = rng.normal(size=(3, n))
    Y = S * rng.uniform(0.5, 2.0, size=n)
    # Some hundred break points up to the minimiser, which is near t = 1; some variables held.
    kind = rng.choice(4, size=n, p=[1 - 0.05 - 300 / n, 0.025, 0.025, 300 / n])
    lower, upper = np.full(n, -50.0), np.full(n, 50.0)
    lower[kind == 1] = upper[kind == 2] = 0.0
    near = kind == 3
    lower[near], upper[near] = -rng.uniform(0, 1, near.sum()), rng.uniform(0, 1, near.sum())
    models = []
    for threads in 1, 2, 3:
        solver = solver_at(x, g, S, Y, lower, upper, threads=threads)
        solver._advance()
        models.append(model_of(solver))
        assert all(same_bits(models[-1][name], models[0][name]) for name in models[0])
    model = models[0]
    B = CompactMatrix(S, Y, model["theta"])
    expected, t, t_fixed = cauchy_point(x, g, lower, upper, B)
    assert model["passed"] > 100
    assert model["fixed"] > model["passed"]
    assert model["t"] == pytest.approx(t, rel=1e-9)
    assert model["t_fixed"] == t_fixed
    at_bound = np.where(model["status"] > 0, upper, lower)
    mine = np.where(model["status"] == 0, x - model["t"] * g, at_bound)
    np.testing.assert_allclose(mine, expected, rtol=1e-9, atol=1e-12)


def test_another_state_before_leaves_no_trace():
    rng = np.random.default_rng(5)
    S, Y = random_pairs(rng, 30, 4)
    x, g, lower, upper = random_state(rng, 30)
    g = np.clip(g, -3, 3)
    fresh = solver_at(x, g, S, Y, lower, upper)
    fresh._advance()
    used = core_solver(x, lower, upper, maxcor=4)
    used._warm_start(1.0, -g, *random_pairs(rng, 30, 3))
    used._advance()
    used._warm_start(1.0, g, S, Y)
    used._advance()
    assert all(same_bits(model_of(used)[name], model_of(fresh)[name]) for name in model_of(fresh))
