"""The subspace minimiser and the step to it, against dense solves with the free rows and columns of
B; and the inner products over the free variables that are kept from one iteration to the next,
against their sums."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from lbfgsb._core.testing import model_of
from naive import (
    DONE,
    ITERATE,
    TRIAL,
    bfgs_matrix,
    both_forms,
    break_point,
    cauchy_point,
    core_solver,
    direction,
    drive,
    longest_feasible,
    matrix_of,
    random_pairs,
    solver_at,
    solver_of,
    states,
    subspace_minimiser,
    x_cauchy_of,
)
from problems import random_problem

EPS = np.finfo(float).eps
many = settings(max_examples=200, derandomize=True)


def advanced(state, **options):
    """The solver after its direction from `state`, the pieces of that, and B."""
    solver = solver_of(state, **options)
    assume(solver.projected_gradient > 0)
    solver._advance()
    assume(solver._details["restarts"] == 0)
    assert solver._phase == TRIAL
    model = model_of(solver)
    return solver, model, matrix_of(state, model)


def minimiser_of(state, model):
    """The subspace minimiser as the core means it, before it is projected."""
    if model["whole"] is not None:
        return np.where(model["status"] == 0, state.x + model["whole"], x_cauchy_of(state, model))
    W = np.stack([state.S, state.Y], axis=1).reshape(-1, state.n)
    free = state.x - state.g / model["theta"] + model["e"] @ W
    return np.where(model["status"] == 0, free, x_cauchy_of(state, model))


def room_for_error(state, model, B, x_hat):
    moved = max(abs(x_hat - state.x).max(), abs(state.g).max() / model["theta"])
    return 1e-13 * np.linalg.cond(B) * moved + 2 * EPS * abs(state.x).max()


# --- the minimiser ------------------------------------------------------------------------


@both_forms
@many
@given(states())
def test_the_minimiser_is_the_dense_one_on_the_free_variables(compact, state):
    _, model, B = advanced(state, compact=compact)
    x_cauchy, free = x_cauchy_of(state, model), model["status"] == 0
    expected = subspace_minimiser(state.x, state.g, B, x_cauchy, free)
    tolerance = room_for_error(state, model, B, expected)
    np.testing.assert_allclose(minimiser_of(state, model), expected, rtol=0, atol=tolerance)


@both_forms
@many
@given(states(decades=1.0))
def test_no_pair_of_a_well_conditioned_matrix_is_forgotten(compact, state):
    solver = solver_of(state, compact=compact)
    assume(solver.projected_gradient > 1e-6)
    solver._advance()
    assert solver._details["restarts"] == 0


@both_forms
@many
@given(states(decades=6.0))
def test_the_gradient_of_the_model_vanishes_on_the_free_variables(compact, state):
    _, model, B = advanced(state, compact=compact)
    z = minimiser_of(state, model) - state.x
    residual = (state.g + B @ z)[model["status"] == 0]
    cost = np.linalg.cond(B)
    assume(cost < 1e10)
    scale = abs(state.g).max() + abs(B).max() * abs(z).max()
    assert (abs(residual) <= 1e-13 * cost * scale).all()


@both_forms
@many
@given(states())
def test_the_step_is_the_dense_one(compact, state):
    _, model, B = advanced(state, compact=compact)
    x_cauchy, free = x_cauchy_of(state, model), model["status"] == 0
    x_hat = subspace_minimiser(state.x, state.g, B, x_cauchy, free)
    expected, _ = direction(state.x, state.g, state.lower, state.upper, x_cauchy, x_hat)
    tolerance = room_for_error(state, model, B, x_hat)
    np.testing.assert_allclose(model["d"], expected, rtol=0, atol=tolerance)


@both_forms
@many
@given(states(decades=8.0))
def test_the_step_goes_down_and_stays_in_the_box(compact, state):
    solver, model, _ = advanced(state, compact=compact)
    d = model["d"]
    assert model["slope"] < 0
    scale = abs(state.g) @ abs(d)
    assert abs(model["slope"] - state.g @ d) <= 10 * EPS * scale
    assert model["limit"] == longest_feasible(state.x, d, state.lower, state.upper)
    point = solver._point()
    assert ((state.lower <= point) & (point <= state.upper)).all()
    at_bound = model["status"] != 0
    bound = np.where(model["status"] > 0, state.upper, state.lower)
    np.testing.assert_array_equal(d[at_bound], (bound - state.x)[at_bound])


@both_forms
@many
@given(states(decades=8.0))
def test_the_factorisations_on_the_way_are_right(compact, state):
    solver, *_ = advanced(state, compact=compact)
    assert solver._details["factor_error"] <= 4 * (len(state.S) + 1) * EPS


@pytest.mark.parametrize("maxcor", [1, 2, 9])
def test_more_pairs_than_variables(maxcor):
    rng = np.random.default_rng(maxcor)
    S, Y = random_pairs(rng, 2, maxcor, 1.0)
    lower, upper = np.array([-1.0, 0.0]), np.array([1.0, 5.0])
    solver = solver_at(np.zeros(2), np.array([0.3, 1.0]), S, Y, lower, upper)
    solver._advance()
    model = model_of(solver)
    B = bfgs_matrix(S, Y, model["theta"])
    assert model["status"].tolist() == [0, -1]
    assert model["d"].tolist() == [pytest.approx(max(-1.0, -0.3 / B[0, 0])), 0.0]


@pytest.mark.parametrize("all_at_once", [True, False])
def test_when_every_variable_is_fixed_at_the_cauchy_point_the_step_leads_there(all_at_once):
    rng = np.random.default_rng(0)
    S, Y = random_pairs(rng, 6, 3)
    room = np.full(6, 1e-3) if all_at_once else np.linspace(1e-4, 1e-3, 6)
    g = np.where(rng.random(6) < 0.5, 1.0, -1.0)
    solver = solver_at(np.ones(6), g, S, Y, 1 - room, 1 + room)
    solver._advance()
    corner = np.where(g > 0, 1 - room, 1 + room)
    np.testing.assert_array_equal(solver._point(), corner)
    assert model_of(solver)["fixed"] == 6


# --- the truncated step of 1995 -----------------------------------------------------------


@st.composite
def valleys(draw):
    """A minimiser far along a narrow valley, whose projection on the box leads up; beside it, some
    variables that have nothing to do with the valley."""
    rho, slope = draw(st.floats(0.95, 0.999)), draw(st.floats(0.3, 0.9))
    beside = draw(st.lists(st.sampled_from(["free", "held", "near"]), max_size=3))
    n = 2 + len(beside)
    B = np.diag([draw(st.floats(0.5, 2.0)) for _ in range(n)])
    B[:2, :2] = [[1.0, -rho], [-rho, 1.0]]
    x, g = np.zeros(n), np.full(n, -0.1)
    lower, upper = np.full(n, -1e3), np.full(n, 1e3)
    g[:2] = [-1.0, slope]
    for i, kind in enumerate(beside, start=2):
        if kind != "free":
            upper[i] = {"held": 0.0, "near": 0.005}[kind]
    far = (rho - slope) / (1 - rho**2)
    near = (1 + slope**2) / (1 + slope**2 + 2 * rho * slope)
    assume(slope * far > near + 0.5)
    upper[0] = near + 0.1 + draw(st.floats(0.0, 0.5)) * (slope * far - near - 0.5)
    order = np.array(draw(st.permutations(range(n))))
    sign = np.where([draw(st.booleans()) for _ in range(n)], -1.0, 1.0)
    lower, upper = np.where(sign > 0, lower, -upper), np.where(sign > 0, upper, -lower)
    S = np.linalg.eigh(B)[1].T
    return SimpleNamespace(
        n=n,
        x=x,
        g=(sign * g)[order],
        lower=lower[order],
        upper=upper[order],
        S=np.ascontiguousarray((S * sign)[:, order]),
        Y=np.ascontiguousarray((S @ B * sign)[:, order]),
        secant=np.ones(n),
        extra=0,
    )


@many
@given(valleys())
def test_a_projected_step_that_goes_up_is_truncated_instead(state):
    _, model, B = advanced(state)
    x_cauchy, free = x_cauchy_of(state, model), model["status"] == 0
    x_hat = subspace_minimiser(state.x, state.g, B, x_cauchy, free)
    expected, projected = direction(state.x, state.g, state.lower, state.upper, x_cauchy, x_hat)
    assume(not projected)
    np.testing.assert_allclose(
        model["d"], expected, rtol=0, atol=room_for_error(state, model, B, x_hat)
    )
    # As the minimiser of the model lies beyond, the model goes down all the way.
    z, z_cauchy = model["d"], x_cauchy - state.x
    assert state.g @ z + 0.5 * z @ B @ z < state.g @ z_cauchy + 0.5 * z_cauchy @ B @ z_cauchy


def test_random_ill_conditioned_states_reach_both_kinds_of_step():
    rng = np.random.default_rng(1)
    kinds = {True: 0, False: 0}
    for _ in range(2000):
        n, k = rng.integers(2, 9), rng.integers(2, 6)
        S, Y = random_pairs(rng, n, k, 5.0)
        x, g = rng.normal(size=n), 10 * rng.normal(size=n)
        lower = x - rng.exponential(size=n) * 10.0 ** rng.uniform(-1, 1, size=n)
        upper = x + rng.exponential(size=n) * 10.0 ** rng.uniform(-1, 1, size=n)
        solver = solver_at(x, g, S, Y, lower, upper)
        solver._advance()
        model = model_of(solver)
        B = bfgs_matrix(S, Y, model["theta"])
        if solver._details["restarts"] or not np.linalg.cond(B) < 1e9:
            continue
        free = model["status"] == 0
        at_bound = np.where(model["status"] > 0, upper, lower)
        x_cauchy = np.where(free, x - model["t"] * g, at_bound)
        x_hat = subspace_minimiser(x, g, B, x_cauchy, free)
        expected, projected = direction(x, g, lower, upper, x_cauchy, x_hat)
        tolerance = 1e-13 * np.linalg.cond(B) * abs(x_hat - x).max()
        np.testing.assert_allclose(model["d"], expected, rtol=0, atol=tolerance + 1e-14)
        kinds[projected] += 1
    assert kinds[True] > 1500
    assert kinds[False] >= 10


# --- many blocks of rows ------------------------------------------------------------------


def among_many(n, rows, x, g, S, Y, lower, upper):
    """The direction from a state whose variables are the given rows of n; the others feel nothing,
    so that they stay where they are. Returns the model, and d in the rows."""
    rng = np.random.default_rng(n)
    rest = rng.normal(size=n)
    X, G = rest.copy(), np.zeros(n)
    LOWER, UPPER = rest - 1, rest + rng.exponential(size=n)
    SS, YY = np.zeros((len(S), n)), np.zeros((len(S), n))
    X[rows], G[rows], SS[:, rows], YY[:, rows] = x, g, S, Y
    if lower is not None:
        LOWER[rows], UPPER[rows] = lower, upper
    solver = solver_at(X, G, SS, YY, *((LOWER, UPPER) if lower is not None else (None, None)))
    solver._advance()
    model = model_of(solver)
    assert np.count_nonzero(np.delete(model["d"], rows)) == 0
    np.testing.assert_array_equal(solver._point(), X + model["d"])
    assert model["slope"] == pytest.approx(g @ model["d"][rows], rel=1e-12)
    return model, model["d"][rows]


@pytest.mark.parametrize("bounded", [False, True])
@pytest.mark.parametrize("n", [513, 1300, 9000])
def test_a_step_is_the_dense_one_wherever_its_variables_are(n, bounded):
    rng = np.random.default_rng(3)
    rows = np.linspace(0, n - 1, 12).astype(int)
    S, Y = random_pairs(rng, 12, 3, 1.0)
    x, g = rng.normal(size=12), rng.normal(size=12)
    lower, upper = x - 0.3 * rng.exponential(size=12), x + 0.3 * rng.exponential(size=12)
    if bounded:
        model, d = among_many(n, rows, x, g, S, Y, lower, upper)
    else:
        model, d = among_many(n, rows, x, g, S, Y, None, None)
        lower, upper = np.full(12, -np.inf), np.full(12, np.inf)
    B = bfgs_matrix(S, Y, model["theta"])
    x_cauchy, t, _ = cauchy_point(x, g, lower, upper, B)
    free = break_point(x, g, lower, upper) > t
    assert free.any()
    assert bounded != free.all()
    x_hat = subspace_minimiser(x, g, B, x_cauchy, free)
    expected, projected = direction(x, g, lower, upper, x_cauchy, x_hat)
    assert projected
    np.testing.assert_allclose(d, expected, rtol=0, atol=1e-12)
    assert model["limit"] == longest_feasible(x, d, lower, upper)


@pytest.mark.parametrize("rows", [[0, 1], [600, 1299], [8191, 8192], [8999, 600]])
def test_a_truncated_step_is_the_dense_one_wherever_its_variables_are(rows):
    B = np.array([[1.0, -0.99], [-0.99, 1.0]])
    x, g = np.zeros(2), np.array([-1.0, 0.6])
    lower, upper = np.full(2, -1e3), np.array([0.7, 1e3])
    S = np.linalg.eigh(B)[1].T
    model, d = among_many(9000, rows, x, g, S, S @ B, lower, upper)
    B = bfgs_matrix(S, S @ B, model["theta"])
    x_cauchy, t, _ = cauchy_point(x, g, lower, upper, B)
    x_hat = subspace_minimiser(x, g, B, x_cauchy, break_point(x, g, lower, upper) > t)
    expected, projected = direction(x, g, lower, upper, x_cauchy, x_hat)
    assert not projected
    np.testing.assert_allclose(d, expected, rtol=0, atol=1e-12)


# --- inner products over the free variables -----------------------------------------------


def way_of_correction(before, after, n):
    """How gram_free was brought up to date: by the rows that changed, from the free or the fixed
    ones; None if nothing had changed."""
    changed = ((before["status"] == 0) != (after["status"] == 0)).sum()
    fixed, free = after["fixed"], n - after["fixed"]
    if changed == 0:
        return None
    if before["fixed"] > 0 and changed <= min(fixed, free):
        return "changes"
    return "free" if free < fixed else "fixed"


def check_products_over_free(solver):
    """gram_free is WᵀW over the free rows, as far as sums and differences of the rows allow."""
    model = model_of(solver)
    if model["fixed"] == 0:
        return model
    S, Y, _ = solver._pairs()
    W = np.stack([S, Y], axis=1).reshape(-1, solver.n)
    free = W[:, model["status"] == 0]
    norms = np.sqrt((W**2).sum(axis=1))
    error = abs(model["gram_free"] - free @ free.T) / np.outer(norms, norms)
    assert error.max(initial=0.0) <= 1e-13
    np.testing.assert_array_equal(model["gram_free"], model["gram_free"].T)
    assert model["fixed"] == (model["status"] != 0).sum()
    return model


@pytest.mark.parametrize("maxcor", [1, 4, 10])
@pytest.mark.parametrize("n", [3, 40, 700, 9000])
def test_products_over_the_free_variables_are_kept_right_over_a_run(n, maxcor):
    ways = set()
    for seed in range(3 if n < 1000 else 1):
        problem = random_problem(seed, n)
        solver = core_solver(problem.x0, problem.lower, problem.upper, maxcor=maxcor)
        before = model_of(solver)
        for _ in drive(solver, problem.fg, 60):
            if solver._phase == ITERATE:
                solver._advance()
            if solver._phase == DONE:
                break
            now = check_products_over_free(solver)
            if now["fixed"] > 0 and solver._details["restarts"] == 0:
                ways.add(way_of_correction(before, now, n))
            before = now
    assert "changes" in ways or n == 3
    assert "fixed" in ways


@pytest.mark.parametrize("maxcor", [1, 5])
def test_all_three_ways_of_correction_are_taken_and_right(maxcor):
    # The gradients told belong to no function: they pull variables out of the box, a few others
    # each time, let most of them go now and then, and have half the old slope along d, so that
    # each step is taken.
    n = 300
    rng = np.random.default_rng(maxcor)
    sign = np.where(rng.random(n) < 0.5, 1.0, -1.0)
    pulled = rng.random(n) < 0.7
    x0 = np.where(pulled, -sign, 0.0)
    solver = core_solver(x0, -np.ones(n), np.ones(n), maxcor=maxcor)
    ways = []
    solver._tell(0.0, sign)
    for iteration in range(60):
        before = model_of(solver)
        solver._advance()
        now = check_products_over_free(solver)
        if now["fixed"] > 0:
            ways.append(way_of_correction(before, now, n))
        pulled ^= rng.random(n) < 0.02
        pull = -0.001 if iteration % 8 == 6 else 20.0
        g, d = np.where(pulled, pull, 0.01) * sign, now["d"]
        g += (0.5 * now["slope"] - g @ d) / (d @ d) * d
        assert solver._tell(-1e6 * (iteration + 1), g)
    assert solver._details["restarts"] == 0
    assert {"changes", "free", "fixed"} <= set(ways)
    assert ways.count("changes") > 5
