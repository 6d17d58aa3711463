"""state.update: what a callback may change in a run, and when it takes effect."""

from functools import partial

import numpy as np
import pytest
from problems import BOX, assert_same_run, random_problem, rosen, same_bits
from problems import solve as solve_rosenbrock

from lbfgsb import minimize_lbfgsb

LONG = {"ftol": 0, "gtol": 1e-9, "maxiter": 500}

solve = partial(solve_rosenbrock, **LONG)


def at(nit, **changes):
    """A callback that makes the changes at iterate `nit`."""

    def callback(xk, state):
        if state.nit == nit:
            state.update(**changes)

    return callback


# --- limits -------------------------------------------------------------------------------


@pytest.mark.parametrize("maxiter", [8, 5, 3, 0], ids=str)
def test_maxiter_holds_from_the_iterate_in_hand_on(maxiter):
    res = solve(callback=at(5, maxiter=maxiter))
    assert res.nit == max(maxiter, 5)
    assert res.message == "STOP: TOTAL NO. of ITERATIONS REACHED LIMIT"


@pytest.mark.parametrize("more", [0, 4], ids=str)
def test_maxfun_holds_from_the_iterate_in_hand_on(more):
    seen = []

    def callback(xk, state):
        if state.nit == 5:
            seen.append(state.nfev)
            state.update(maxfun=state.nfev + more)

    res = solve(callback=callback)
    assert res.nfev == seen[0] + more
    assert res.message == "STOP: TOTAL NO. of f AND g EVALUATIONS EXCEEDS LIMIT"


@pytest.mark.parametrize(
    ("limit", "raised"),
    [
        ({"maxiter": 7}, {"maxiter": 500}),
        ({"maxfun": 13}, {"maxfun": 15000}),
        ({"gtol": 10.0}, {"gtol": 1e-9}),
        ({"ftol": 0.3}, {"ftol": 0}),
    ],
    ids=["maxiter", "maxfun", "gtol", "ftol"],
)
def test_a_run_that_has_just_ended_goes_on_if_the_new_values_let_it(limit, raised):
    ends = []

    def callback(xk, state):
        if state.status >= 0 and not ends:
            ends.append(state.nit)
            state.update(**raised)
            assert (state.status, state.message, state.success) == (-1, "RUNNING", False)

    res = solve(**limit, callback=callback)
    plain = solve()
    assert 0 < ends[0] < plain.nit
    assert_same_run(res, plain)


def test_a_run_that_has_just_ended_stays_so_if_another_test_is_met_too():
    res = solve(maxiter=7, callback=at(7, maxiter=100, gtol=1e9))
    assert res.nit == 7
    assert res.message == "CONVERGENCE: NORM_OF_PROJECTED_GRADIENT_<=_PGTOL"


# --- tolerances ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gtol": 1e9}, "CONVERGENCE: NORM_OF_PROJECTED_GRADIENT_<=_PGTOL"),
        ({"ftol": 1e9}, "CONVERGENCE: REL_REDUCTION_OF_F_<=_FTOL"),
    ],
    ids=["gtol", "ftol"],
)
def test_tolerances_test_the_iterates_to_come(changes, message):
    res = solve(callback=at(5, **changes))
    assert res.nit == 6
    assert res.message == message


def test_what_is_not_named_stays():
    seen = []

    def callback(xk, state):
        if state.nit == 3:
            before = state.options
            state.update(maxiter=400)
            seen.append((before, state.options))

    solve(callback=callback, ftarget=-5.0)
    before, after = seen[0]
    assert before == {
        "ftol": 0, "gtol": 1e-9, "ftarget": -5.0, "maxiter": 500, "maxfun": 15000, "maxcor": 6,
    }  # fmt: skip
    assert after == before | {"maxiter": 400}


def test_an_update_without_changes_changes_nothing():
    assert_same_run(solve(callback=lambda xk, state: state.update()), solve())


def test_later_callbacks_in_the_list_see_the_new_values():
    seen = []
    solve(callback=[at(2, gtol=1e-3), lambda xk, state: seen.append(state.options["gtol"])])
    assert seen[:3] == [1e-9, 1e-3, 1e-3]


def test_an_update_when_the_run_begins():
    class Begin:
        def __call__(self, xk, state):
            pass

        def begin_run(self, state):
            state.update(maxiter=4, maxcor=2)

    res = solve(callback=Begin())
    assert (res.nit, res.hess_inv.n_corrs) == (4, 2)
    kept = solve(callback=Begin(), ftarget=lambda: -1.0)
    assert kept.nit == 4


# --- maxcor -------------------------------------------------------------------------------


PROBLEM = random_problem(3, 25)


def solve_box(**kwargs):
    problem = {"x0": PROBLEM.x0, "fun": PROBLEM.fun, "jac": PROBLEM.jac, "bounds": PROBLEM.bounds}
    return minimize_lbfgsb(**(problem | LONG | {"maxcor": 10} | kwargs))


@pytest.mark.parametrize("maxcor", [1, 3, 10, 30], ids=str)
@pytest.mark.parametrize("nit", [1, 6, 15], ids=str)
@pytest.mark.parametrize("threads", [1, 2], ids="threads={}".format)
def test_a_new_maxcor_is_the_run_resumed_with_that_maxcor(maxcor, nit, threads):
    part = solve_box(maxiter=nit)
    resumed = solve_box(x0=part.x, checkpoint=part, maxcor=maxcor)
    changed = solve_box(callback=at(nit, maxcor=maxcor), threads=threads)
    assert changed.nit > nit + 5
    assert_same_run(changed, resumed)


def test_some_variables_are_fixed_where_maxcor_changes():
    """The case above covers the inner products over the free variables."""
    fixed = []
    solve_box(maxiter=15, callback=lambda xk, state: fixed.append(state.active_bounds) and None)
    assert fixed[-1] > 0


def test_maxcor_may_change_at_every_iterate():
    sizes = [3, 8, 1, 20, 5, 5, 2]

    def callback(xk, state):
        state.update(maxcor=sizes[state.nit % len(sizes)])
        assert state.hess_inv.n_corrs <= sizes[state.nit % len(sizes)]

    res = solve_box(callback=callback)
    assert res.success
    np.testing.assert_allclose(res.fun, solve_box().fun, rtol=1e-9)


def test_a_result_after_a_new_maxcor_is_a_checkpoint():
    change = at(5, maxcor=4)
    whole = solve_box(callback=change)
    part = solve_box(callback=change, maxiter=12)
    assert part.hess_inv.n_corrs == 4
    assert_same_run(solve_box(x0=part.x, checkpoint=part, maxcor=4), whole)


@pytest.mark.parametrize("maxcor", [2, 25], ids=str)
def test_a_new_maxcor_with_an_objective_that_is_redefined(maxcor):
    def update_fun_def(x, f0, f0_old, grad, x_deque, grad_deque):
        lengths.append(len(x_deque))
        return f0, f0_old, grad, grad_deque

    lengths = []
    part = solve_box(maxiter=14, update_fun_def=update_fun_def)
    resumed = solve_box(x0=part.x, checkpoint=part, maxcor=maxcor, update_fun_def=update_fun_def)
    lengths = []
    changed = solve_box(callback=at(14, maxcor=maxcor), update_fun_def=update_fun_def)
    assert_same_run(changed, resumed)
    assert lengths[14] == 10
    assert max(lengths[15:]) <= maxcor
    assert changed.hess_inv.n_corrs <= maxcor


def test_no_memory_for_maxcor_leaves_the_run_as_it_was():
    def callback(xk, state):
        if state.nit == 5:
            with pytest.raises(MemoryError, match="maxcor = 2305843009213693952"):
                state.update(maxcor=2**61, maxiter=6)

    assert_same_run(solve_box(callback=callback), solve_box())


# --- errors -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"maxls": 3}, TypeError, "'maxls'"),
        ({"ftarget": 0.0}, TypeError, "'ftarget'"),
        ({"x": 0.0}, TypeError, "'x'"),
        ({"gtol": -1.0}, ValueError, "gtol must be >= 0"),
        ({"gtol": lambda: 1.0}, TypeError, "gtol must be a real number"),
        ({"ftol": np.nan}, ValueError, "ftol"),
        ({"maxiter": 2.5}, TypeError, "maxiter must be an integer"),
        ({"maxiter": -1}, ValueError, "maxiter must be at least 0"),
        ({"maxfun": "many"}, TypeError, "maxfun must be an integer"),
        ({"maxcor": 0}, ValueError, "maxcor must be at least 1"),
    ],
    ids=lambda v: "-".join(v) if isinstance(v, dict) else None,
)
def test_a_bad_update_raises_and_changes_nothing(changes, error, match):
    before = {}

    def callback(xk, state):
        before.update(state.options)
        with pytest.raises(error, match=match):
            state.update(**{"maxiter": 1, "maxcor": 2} | changes)
        assert state.options == before

    assert_same_run(solve(callback=callback), solve())


def test_an_update_takes_no_mapping():
    def callback(xk, state):
        with pytest.raises(TypeError, match="by name"):
            state.update({"gtol": 1.0})

    solve(callback=callback, maxiter=1)


def test_a_state_that_was_kept_changes_nothing_any_more():
    kept = []
    solve(callback=lambda xk, state: kept.append(state), maxiter=2)
    for state in kept:
        with pytest.raises(RuntimeError, match="while it has the state"):
            state.update(maxiter=5)
        assert state.options["maxiter"] == 2


def test_a_run_that_is_over_cannot_be_changed():
    class End:
        def __call__(self, xk, state):
            pass

        def end_run(self, state):
            with pytest.raises(RuntimeError, match="update"):
                state.update(maxiter=5)
            ended.append(state.nit)

    ended = []
    solve(callback=End(), maxiter=2)
    assert ended == [2]


def test_an_error_in_update_comes_out_of_the_run():
    with pytest.raises(TypeError, match="'maxls'"):
        solve(callback=at(2, maxls=1))


def test_bounds_hold_after_a_new_maxcor():
    def fun(x):
        assert (BOX[:, 0] <= x).all()
        assert (x <= BOX[:, 1]).all()
        return rosen(x)

    res = solve(fun=fun, bounds=BOX, callback=at(3, maxcor=2))
    assert same_bits(res.fun, rosen(res.x))
