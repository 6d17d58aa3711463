"""The state machine: snapshots at every moment against a run that was never interrupted,
factorisations against their matrices, and what happens when a factorisation or a line search
fails."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lbfgsb._core.testing import model_of
from naive import (
    DONE,
    ITERATE,
    TRIAL,
    bfgs_matrix,
    both_forms,
    core_solver,
    direction,
    drive,
    solver_at,
    subspace_minimiser,
)
from problems import (
    beale,
    beale_grad,
    log_barrier,
    log_barrier_grad,
    random_problem,
    rosen_fg,
    same_bits,
)

EPS = np.finfo(float).eps
# Reasons of an end (solver.pxd).
CONVERGED_GTOL, CONVERGED_FTOL, ABNORMAL_LINE_SEARCH = 1, 3, 6
TOLERANCES = {"ftol": 1e-13, "gtol": 1e-8}


# --- problems -----------------------------------------------------------------------------


def rosenbrock(**options):
    """Without bounds; some searches take several trials."""
    return core_solver(np.tile([-1.2, 1.0], 4), **(TOLERANCES | options)), rosen_fg


def boxed_beale(**options):
    """Two variables, one of which comes to a bound and leaves it."""
    lower, upper = np.array([0.5, -1.0]), np.array([2.5, 1.5])
    solver = core_solver([0.6, 1.2], lower, upper, **(TOLERANCES | options))
    return solver, lambda x: (beale(x), beale_grad(x))


def changing_active_set(**options):
    """Many variables that come and go at their bounds."""
    problem = random_problem(3, 25)
    solver = core_solver(problem.x0, problem.lower, problem.upper, **(TOLERANCES | options))
    return solver, problem.fg


def walls(**options):
    """Trials at which f is not finite; one variable with a bound."""
    lower = np.array([-np.inf, -np.inf, 0.2])
    solver = core_solver([3.0, 9.0, 2.0], lower, np.full(3, np.inf), **(TOLERANCES | options))
    return solver, lambda x: (log_barrier(x), log_barrier_grad(x))


def two_chunks(**options):
    """More than one chunk of rows, so that partial results are combined."""
    problem = random_problem(1, 8300)
    solver = core_solver(problem.x0, problem.lower, problem.upper, **({"maxiter": 12} | options))
    return solver, problem.fg


PROBLEMS = [rosenbrock, boxed_beale, changing_active_set, walls, two_chunks]
every_problem = pytest.mark.parametrize("problem", PROBLEMS)


def finish(solver, fg):
    for _ in drive(solver, fg, 10**6):
        pass


def take(run, count):
    """Let a run come to its next `count` iterates, and no further."""
    for _ in range(count):
        next(run)


def moments(solver, fg):
    """Run to the end, stopping at every state there is: before and after each evaluation, and
    between an iterate and the direction from it."""
    yield
    while solver._phase != DONE:
        solver._tell(*fg(solver._point()))
        yield
        if solver._phase == ITERATE:
            solver._advance()
            yield


# --- a run --------------------------------------------------------------------------------


@every_problem
@pytest.mark.parametrize("maxcor", [1, 5, 12])
def test_the_factorisations_of_a_run_are_right(problem, maxcor):
    solver, fg = problem(maxcor=maxcor, check=True)
    finish(solver, fg)
    assert solver.nit > 3
    if problem is not rosenbrock:  # nothing is factored without bounds
        assert 0 < solver._details["factor_error"] < 10 * maxcor * EPS


@every_problem
def test_the_check_changes_nothing(problem):
    with_check, fg = problem(check=True)
    without, _ = problem(check=False)
    finish(with_check, fg)
    finish(without, fg)
    assert same_bits(with_check.x, without.x)
    assert (with_check.nit, with_check.nfev) == (without.nit, without.nfev)
    assert without._details["factor_error"] == 0


def test_the_check_raises_no_alarm_where_numbers_are_small():
    weight = np.array([1.0, 2.0, 3.0])
    solver = core_solver([1.0, 2.0, -1.5], np.full(3, -2.0), np.full(3, 3.0))
    finish(solver, lambda x: (0.5 * (weight * x**2).sum(), weight * x))
    assert solver.fun < 1e-200


@pytest.mark.parametrize("problem", [rosenbrock, boxed_beale, changing_active_set, walls])
@pytest.mark.parametrize("maxls", [1, 2, 3, 4, 20])
def test_x_f_and_g_belong_together_whichever_trial_is_taken(problem, maxls):
    solver, fg = problem(maxls=maxls, gtol_linesearch=0.002)
    trial, earlier_trials = None, 0
    while solver._phase != DONE:
        trial = solver._point()
        if solver._tell(*fg(trial)):
            f, g = fg(solver.x)
            assert same_bits(solver.fun, f)
            assert same_bits(solver.jac, g)
            earlier_trials += not same_bits(solver.x, trial)
        solver._advance()
    assert solver.nit > 0
    if problem is rosenbrock and maxls == 3:
        assert earlier_trials > 0


# --- snapshots ----------------------------------------------------------------------------


def same(a, b):
    """Whether two snapshots, or parts of them, are the same to the last bit."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[name], b[name]) for name in a)
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    return repr(a) == repr(b)


def restored(snapshot, problem, **options):
    """Another solver, made for the same bounds, that has taken over `snapshot`."""
    solver, _ = problem(**options)
    solver._restore(snapshot)
    return solver


@every_problem
def test_a_snapshot_holds_everything_at_every_moment(problem):
    solver, fg = problem(maxcor=3)
    seen = set()
    snapshots = []
    for _ in moments(solver, fg):
        snapshots.append(solver._snapshot())
        seen.add((solver._phase, "gram_free" in snapshots[-1], "g_best" in snapshots[-1]))
        assert same(restored(snapshots[-1], problem, maxcor=3)._snapshot(), snapshots[-1])
    last = snapshots[-1]
    # From every moment if that is cheap.
    for snapshot in snapshots[:: 1 if solver.n < 1000 else 7]:
        again = restored(snapshot, problem, maxcor=3)
        finish(again, fg)
        assert same(again._snapshot(), last)
    if problem is rosenbrock:
        assert (TRIAL, False, True) in seen
    if problem is changing_active_set:
        assert {(TRIAL, True, False), (ITERATE, True, False)} <= seen


@every_problem
def test_a_snapshot_is_not_touched_by_what_comes_after(problem):
    solver, fg = problem(maxcor=3)
    take(drive(solver, fg, 10**6), 4)
    snapshot = solver._snapshot()
    copy = {name: np.copy(v) if isinstance(v, np.ndarray) else v for name, v in snapshot.items()}
    other = restored(snapshot, problem, maxcor=3)
    finish(solver, fg)
    finish(other, fg)
    assert same(snapshot, copy)


@settings(max_examples=60, derandomize=True)
@given(
    st.integers(0, 2**16), st.integers(1, 20), st.integers(1, 6), st.integers(0, 40),
    st.booleans(),
)  # fmt: skip
def test_any_run_goes_on_from_a_snapshot_at_any_moment(seed, n, maxcor, moment, bounded):
    problem = random_problem(seed, n)
    bounds = (problem.lower, problem.upper) if bounded else ()

    def start():
        return core_solver(problem.x0, *bounds, maxcor=maxcor, **TOLERANCES)

    solver, again = start(), start()
    for i, _ in enumerate(moments(solver, problem.fg)):
        if i == moment:
            break
    again._restore(solver._snapshot())
    finish(solver, problem.fg)
    finish(again, problem.fg)
    assert same(again._snapshot(), solver._snapshot())


@pytest.mark.parametrize("problem", [rosenbrock, changing_active_set, two_chunks])
@pytest.mark.parametrize("smaller", [1, 2, 4])
def test_a_smaller_memory_keeps_the_newest_pairs(problem, smaller):
    solver, fg = problem(maxcor=6)
    take(drive(solver, fg, 9), 9)
    snapshot = solver._snapshot()
    cut = restored(snapshot, problem, maxcor=smaller)._snapshot()
    for name in "S", "Y":
        assert same(cut[name], snapshot[name][-smaller:])
    for name in {"gram", "gram_free"} & snapshot.keys():
        assert same(cut[name], np.array(snapshot[name][-2 * smaller :, -2 * smaller :]))
    assert same(cut["p"], snapshot["p"][-2 * smaller :])
    assert same(cut["theta"], snapshot["theta"])
    assert ("gram_free" in cut) == (problem is not rosenbrock)


@pytest.mark.parametrize("smaller", [1, 2, 4])
def test_the_next_step_with_a_smaller_memory_is_the_one_of_its_pairs(smaller):
    solver, fg = changing_active_set(maxcor=6)
    take(drive(solver, fg, 9), 9)
    assert solver._phase == ITERATE
    cut = restored(solver._snapshot(), changing_active_set, maxcor=smaller)
    S, Y, secant = cut._pairs()
    afresh = solver_at(solver.x, solver.jac, S, Y, *solver._bounds, secant=secant, maxcor=smaller)
    cut._advance()
    afresh._advance()
    np.testing.assert_array_equal(model_of(cut)["status"], model_of(afresh)["status"])
    d = model_of(afresh)["d"]
    np.testing.assert_allclose(model_of(cut)["d"], d, rtol=0, atol=1e-10 * abs(d).max())


@pytest.mark.parametrize("problem", [rosenbrock, boxed_beale, changing_active_set, walls])
@pytest.mark.parametrize("maxcor", [1, 3, 9])
def test_a_run_with_another_memory_converges_from_any_moment(problem, maxcor):
    solver, fg = problem(maxcor=5)
    snapshots = [solver._snapshot() for _ in moments(solver, fg)]
    for snapshot in snapshots[:-1:5]:
        again = restored(snapshot, problem, maxcor=maxcor)
        finish(again, fg)
        assert again._reason in (CONVERGED_GTOL, CONVERGED_FTOL)
        assert again.projected_gradient < 1e-3 * max(1.0, abs(again.fun))


# --- when a factorisation fails -----------------------------------------------------------

# The second pair's theta, 1e18, drowns the curvature of the first: to working precision the two
# equal steps make theta SᵀS + L D⁻¹ Lᵀ singular.
SPOILT = (
    np.array([[1.0, 0.0], [1.0, 0.0]]),
    np.array([[1e-3, 0.0], [1.0, 1e9]]),
)


def test_pairs_that_cannot_be_factored_are_forgotten_and_the_run_converges():
    lower, upper = np.array([-5.0, -5.0]), np.array([5.0, 5.0])
    x = np.array([-1.2, 1.0])
    f, g = rosen_fg(x)
    solver = core_solver(x, lower, upper, maxcor=2, **TOLERANCES)
    solver._warm_start(f, g, *SPOILT)
    solver._advance()
    assert solver._details["restarts"] == 1
    assert solver._details["pairs"] == 0
    # What is left is the projected steepest descent direction.
    np.testing.assert_array_equal(model_of(solver)["d"], np.clip(x - g, lower, upper) - x)
    finish(solver, rosen_fg)
    assert solver._reason in (CONVERGED_GTOL, CONVERGED_FTOL)
    np.testing.assert_allclose(solver.x, [1.0, 1.0], atol=1e-5)


def test_a_factorisation_over_the_free_variables_that_fails_is_survived():
    # B itself can be factored; but over variable 1, the other one held at its bound, what the pairs
    # have in common is 2**-64 of the largest entry.
    S = np.array([[2.0**9, 2.0**8], [-(2.0**-23), 2.0**-21]])
    Y = np.array([[0.0, 1.0], [-(2.0**23), 0.0]])
    target = np.array([-1.0, 0.5])

    def fg(z):
        return 0.5 * ((z - target) ** 2).sum(), z - target

    x = np.zeros(2)
    for lower, restarts in (np.array([-9e99, -9e99]), 0), (np.array([0.0, -9e99]), 1):
        solver = core_solver(x, lower, np.full(2, 9e99), maxcor=2, **TOLERANCES)
        f, g = fg(x)
        solver._warm_start(f, g, S, Y)
        solver._advance()
        assert solver._details["restarts"] == restarts
        assert solver._phase == TRIAL
        assert model_of(solver)["slope"] < 0
        finish(solver, fg)
        np.testing.assert_allclose(solver.x, np.maximum(target, lower), atol=1e-6)


def test_a_step_that_is_not_finite_without_bounds_is_no_step():
    x, pair = np.array([3.0, -4.0]), np.array([[1e-160, 0.0]])
    solver = core_solver(x, maxcor=1, **TOLERANCES)
    solver._warm_start(12.5, x, pair, pair * 1e-160)
    solver._advance()
    assert solver._details["restarts"] == 1
    finish(solver, lambda z: (0.5 * z @ z, z))
    np.testing.assert_allclose(solver.x, 0.0, atol=1e-7)


# --- when a line search fails -------------------------------------------------------------


def spoilt_after(count, fg):
    """fg, but after `count` calls f is higher wherever it is asked; and the calls made."""
    calls = []

    def spoilt(x):
        calls.append(x.copy())
        f, g = fg(x)
        return (f if len(calls) <= count else 1e6 + f), g

    return spoilt, calls


@pytest.mark.parametrize("problem", [rosenbrock, boxed_beale, changing_active_set])
@pytest.mark.parametrize("count", [5, 9])
def test_a_line_search_that_fails_drops_the_memory_once_and_then_ends(problem, count):
    solver, fg = problem(maxls=8)
    spoilt, calls = spoilt_after(count, fg)
    before = None
    for _ in drive(solver, spoilt, 10**6):
        before = solver.x, solver.fun, solver.nit, solver._details["pairs"]
    x, f, nit, pairs = before
    assert pairs > 0
    assert solver._reason == ABNORMAL_LINE_SEARCH
    # In a box the second search, along -g, is made once more with a shorter first step.
    restarts = solver._details["restarts"]
    assert restarts == 1 or (restarts == 2 and problem is boxed_beale)
    assert solver._details["pairs"] == 0
    assert same_bits(solver.x, x)
    assert (solver.fun, solver.nit, solver.nfev) == (f, nit, len(calls))
    assert len(calls) <= count + (restarts + 1) * 8
    # The second search was along the projected gradient.
    lower, upper = solver._bounds if solver._bounds[0] is not None else (-np.inf, np.inf)
    step = np.clip(x - solver.jac / model_of(solver)["theta"], lower, upper) - x
    np.testing.assert_allclose(model_of(solver)["d"], step, rtol=0, atol=4 * EPS * abs(step).max())


@pytest.mark.parametrize("bounded", [False, True])
@pytest.mark.parametrize("n", [511, 512, 513, 1300])
def test_an_iterate_its_gradient_and_its_pair_are_taken_from_every_block_of_rows(n, bounded):
    problem = random_problem(5, n)
    box = (problem.lower, problem.upper) if bounded else (None, None)
    solver = core_solver(problem.x0, *box, maxcor=3)
    x, g = problem.x0, problem.jac(problem.x0)
    solver._tell(*problem.fg(x))
    for _ in drive(solver, problem.fg, 6):
        assert same_bits(solver.jac, problem.jac(solver.x))
        S, Y, _ = solver._pairs()
        np.testing.assert_array_equal(S[-1], solver.x - x)
        np.testing.assert_array_equal(Y[-1], solver.jac - g)
        x, g = solver.x.copy(), solver.jac.copy()
    assert solver.nit == 6


@pytest.mark.parametrize(
    ("slope", "ftol", "ends"),
    [
        (-0.1, 1e-4, False),  # a gain of 0.055, which is well above a tenth of the noise
        (-0.001, 1e-4, True),  # nothing beside the noise
        (-0.1, 0.02, False),  # ftol is above the noise, and below the gain
        (-0.1, 0.06, True),
    ],
)
def test_of_a_decrease_that_noise_hides_the_slopes_tell_whether_it_ends_the_run(slope, ftol, ends):
    solver = core_solver([0.0], fun_precision=0.01, ftol=ftol)
    solver._tell(1.0, np.array([slope]))
    solver._advance()
    assert solver._point() == [1.0]
    assert solver._tell(1.0 - 5e-5, np.array([0.1 * slope]))
    solver._test()
    assert (solver._phase == DONE) == ends


def test_a_line_search_that_fails_at_the_start_has_no_memory_to_drop():
    solver, fg = rosenbrock(maxls=8)
    spoilt, calls = spoilt_after(1, fg)
    finish(solver, spoilt)
    assert solver._reason == ABNORMAL_LINE_SEARCH
    assert (solver._details["restarts"], solver.nit, solver.nfev) == (0, 0, len(calls))


def test_a_line_search_that_fails_once_costs_the_memory_and_nothing_else():
    solver, fg = changing_active_set(maxls=4)
    calls = 0

    def hiccup(x):
        nonlocal calls
        calls += 1
        f, g = fg(x)
        return (f + 1e6 if 9 < calls <= 13 else f), g

    finish(solver, hiccup)
    assert solver._details["restarts"] == 1
    assert solver._reason in (CONVERGED_GTOL, CONVERGED_FTOL)


def test_where_no_decrease_can_be_seen_the_end_is_convergence():
    # Once f is known to 6 digits only, the last steps are lost in its rounding.
    solver = core_solver([1.0, 1.0], gtol=0.0, ftol=0.0)
    finish(solver, lambda x: (1e16 + float(x @ x), 2 * x))
    assert solver._reason in (CONVERGED_FTOL, CONVERGED_GTOL)


# --- the machine beside a naive one -------------------------------------------------------


def naive_direction(x, g, S, Y, secant, extra, lower, upper, model):
    """The step from x with dense matrices, at the core's own Cauchy point."""
    B = bfgs_matrix(S, Y, model["theta"], secant, extra)
    at_bound = np.where(model["status"] > 0, upper, lower)
    x_cauchy = np.where(model["status"] == 0, x - model["t"] * g, at_bound)
    x_hat = subspace_minimiser(x, g, B, x_cauchy, model["status"] == 0)
    return direction(x, g, lower, upper, x_cauchy, x_hat)[0], np.linalg.cond(B)


@both_forms
@pytest.mark.parametrize("n", [12, 30])
@pytest.mark.parametrize("extra", [0, 3])
@pytest.mark.parametrize("seed", range(4))
def test_every_direction_of_a_run_is_the_dense_one(seed, extra, n, compact):
    problem = random_problem(seed, n)
    options = TOLERANCES | {"compact": compact, "extra_updates": extra}
    solver = core_solver(problem.x0, problem.lower, problem.upper, maxcor=4, **options)
    compared = 0
    for _ in drive(solver, problem.fg, 40):
        if solver._phase == DONE or solver._details["pairs"] == 0:
            continue
        solver._advance()
        model = model_of(solver)
        expected, cost = naive_direction(
            solver.x, solver.jac, *solver._pairs(), extra, problem.lower, problem.upper, model
        )
        tolerance = 1e-12 * cost * abs(expected).max() + 4 * EPS * abs(solver.x).max()
        np.testing.assert_allclose(model["d"], expected, rtol=0, atol=tolerance)
        compared += cost < 1e8
    assert compared > 5
