"""Checkpoints: what they accept, and that a run goes on from one to the same bits."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import (
    BOX,
    LONG,
    X0,
    Counted,
    assert_same_run,
    examples,
    large,
    log_barrier,
    log_barrier_grad,
    random_problem,
    rosen,
    rosen_fg,
    rosen_grad,
    run_python,
    same_bits,
    solve,
    stop_at,
)
from scipy.optimize import LbfgsInvHessProduct, OptimizeResult

from lbfgsb import Solver, minimize_lbfgsb

TIGHT = {"ftol": 1e-14, "gtol": 1e-8, "maxiter": 500}


# --- what they accept ---------------------------------------------------------------------


def test_checkpoint_with_a_smaller_maxcor_keeps_the_newest_pairs():
    stopped = solve(maxcor=6, maxiter=12)
    cut = solve(x0=stopped.x, checkpoint=stopped, maxcor=3, maxiter=12)
    assert same_bits(cut.hess_inv.sk, stopped.hess_inv.sk[-3:])
    assert same_bits(cut.hess_inv.yk, stopped.hess_inv.yk[-3:])
    assert (cut.nit, cut.nfev, cut.njev) == (stopped.nit, stopped.nfev, stopped.njev)


@pytest.mark.parametrize("maxcor", [1, 3, 6, 15])
def test_checkpoint_goes_on_with_another_maxcor(maxcor):
    stopped = solve(maxcor=6, maxiter=12)
    res = solve(x0=stopped.x, checkpoint=stopped, maxcor=maxcor, **TIGHT)
    np.testing.assert_allclose(res.x, 1.0, atol=1e-5)
    assert res.hess_inv.n_corrs <= maxcor


def test_checkpoint_with_other_tolerances_and_limits_goes_on():
    record = Counted()
    stopped = solve(fun=record.fg, jac=True, ftol=1e-2)
    assert stopped.message == "CONVERGENCE: REL_REDUCTION_OF_F_<=_FTOL"
    resumed = solve(fun=record.fg, jac=True, x0=stopped.x, checkpoint=stopped, **TIGHT)
    assert_same_run(resumed, solve(**TIGHT))
    assert resumed.nfev == record.nfun


@pytest.mark.parametrize(
    "stop",
    [
        {"gtol": 1.0},
        {"ftol": 1e-2},
        {"ftarget": 0.5},
        {"maxiter": 7},
        {"maxfun": 9},
    ],
    ids=lambda stop: next(iter(stop)),
)
def test_checkpoint_that_meets_a_stopping_test_is_returned_at_once(stop):
    stopped = solve(**stop)
    record = Counted()
    calls = []
    again = solve(
        fun=record.fun,
        jac=record.jac,
        x0=stopped.x,
        checkpoint=stopped,
        callback=calls.append,
        **stop,
    )
    assert record.points == []
    assert calls == []
    assert_same_run(again, stopped)


def test_checkpoint_is_not_changed_by_a_resumed_run():
    stopped = solve(maxiter=5)
    before = copy.deepcopy(stopped)
    solve(x0=stopped.x, checkpoint=stopped, **TIGHT)
    assert_same_run(stopped, before)
    solve(x0=stopped.x, checkpoint=stopped, **TIGHT)
    assert_same_run(stopped, before)


def test_checkpoint_without_pairs_is_a_start_from_known_f_and_g():
    record = Counted()
    checkpoint = OptimizeResult(
        x=X0,
        fun=rosen(X0),
        jac=rosen_grad(X0),
        nfev=1,
        njev=1,
        nit=0,
        hess_inv=LbfgsInvHessProduct(np.empty((0, 2)), np.empty((0, 2))),
    )
    res = solve(fun=record.fg, jac=True, checkpoint=checkpoint)
    assert not same_bits(record.points[0], X0)
    assert res.nfev == 1 + record.nfun
    assert_same_run(res, solve())


def test_x0_must_equal_the_checkpoint():
    with pytest.raises(ValueError, match=r"x0 and checkpoint\.x should be equal!"):
        solve(checkpoint=solve(maxiter=5))


@pytest.mark.parametrize(
    "travel",
    [copy.copy, copy.deepcopy, lambda res: pickle.loads(pickle.dumps(res))],
    ids=["copy", "deepcopy", "pickle"],
)
def test_result_survives_and_still_serves_as_a_checkpoint(travel):
    stopped = solve(maxiter=9, bounds=BOX)
    arrived = travel(stopped)
    assert_same_run(arrived, stopped)
    assert len(repr(arrived)) < 1500
    resumed = solve(x0=arrived.x, checkpoint=arrived, bounds=BOX, **TIGHT)
    assert_same_run(resumed, solve(bounds=BOX, **TIGHT))


# --- a run goes on to the same bits -------------------------------------------------------


def whole_and_options(seed, n, maxcor):
    p = random_problem(seed, n)
    options = {"fun": p.fg, "jac": True, "bounds": p.bounds, "maxcor": maxcor} | LONG
    return p, options, minimize_lbfgsb(x0=p.x0, **options)


def travel(how):
    return {
        "itself": lambda res: res,
        "pickle": lambda res: pickle.loads(pickle.dumps(res)),
        "deepcopy": copy.deepcopy,
        "copy": copy.copy,
    }[how]


@examples(80)
@given(
    st.integers(0, 10**6),
    st.integers(1, 12),
    st.integers(1, 12),
    st.floats(0, 1),
    st.sampled_from(["maxiter", "maxfun", "callback", "StopIteration"]),
    st.sampled_from(["itself", "pickle", "deepcopy", "copy"]),
)
def test_resumed_runs_end_with_the_same_bits(seed, n, maxcor, where, stop, how):
    p, options, whole = whole_and_options(seed, n, maxcor)
    k = max(1, round(where * (whole.nfev if stop == "maxfun" else whole.nit)))
    limit = {stop: k} if stop in ("maxiter", "maxfun") else {"callback": stop_at(k, stop)}
    stopped = minimize_lbfgsb(x0=p.x0, **options | limit)
    stopped = travel(how)(stopped)
    resumed = minimize_lbfgsb(x0=stopped.x, **options, checkpoint=stopped)
    assert_same_run(resumed, whole)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("limit", ["maxiter", "maxfun"])
def test_a_run_stopped_at_every_step_ends_with_the_same_bits(seed, limit):
    p, options, whole = whole_and_options(seed, 8, 4)
    last = whole.nit if limit == "maxiter" else whole.nfev
    res = minimize_lbfgsb(x0=p.x0, **options | {limit: 1})
    for k in range(2, last + 1):
        res = minimize_lbfgsb(x0=res.x, **options | {limit: k}, checkpoint=res)
    res = minimize_lbfgsb(x0=res.x, **options, checkpoint=res)
    assert_same_run(res, whole)


@pytest.mark.parametrize("jac", ["split", None, "2-point", "3-point", "cs"])
@pytest.mark.parametrize("limit", ["maxiter", "maxfun"])
def test_resume_with_other_gradients(jac, limit):
    options = {"fun": rosen, "jac": rosen_grad if jac == "split" else jac, "bounds": BOX}
    options |= {"ftol": 1e-10, "gtol": 1e-5, "maxiter": 100}
    whole = minimize_lbfgsb(x0=X0, **options)
    for k in {"maxiter": [1, 2, 5, 11], "maxfun": [1, 4, 5, 6, 7, 17, 40]}[limit]:
        stopped = minimize_lbfgsb(x0=X0, **options | {limit: k})
        resumed = minimize_lbfgsb(x0=stopped.x, **options, checkpoint=stopped)
        assert_same_run(resumed, whole)


def test_resume_inside_a_line_search_does_not_evaluate_again():
    seen = set()

    def fun(x):
        assert x.tobytes() not in seen
        seen.add(x.tobytes())
        return rosen_fg(x)

    res = solve(fun=fun, jac=True, maxfun=1)
    while res.status == 1:
        res = solve(fun=fun, jac=True, maxfun=res.nfev + 1, x0=res.x, checkpoint=res)
    assert_same_run(res, solve(fun=rosen_fg, jac=True, maxfun=res.nfev + 1))


def nothing(x, f0, f0_old, grad, x_deque, grad_deque):
    return f0, f0_old, grad, grad_deque


@pytest.mark.parametrize("limit", [{"maxiter": 9}, {"maxfun": 12}, {"maxfun": 13}, {"maxfun": 1}])
def test_resume_with_update_fun_def(limit):
    options = {"update_fun_def": nothing, "maxcor": 4}
    stopped = solve(**options, **limit)
    stopped = pickle.loads(pickle.dumps(stopped))
    assert_same_run(solve(x0=stopped.x, checkpoint=stopped, **options), solve(**options))


@pytest.mark.parametrize("seed", range(8))
def test_a_finished_run_is_returned_at_once(seed):
    p = random_problem(seed, 6)
    record = Counted(lambda x: 1e4 + p.fun(x), p.jac)  # Ends in the rounding errors of f.
    options = {"fun": record.fg, "jac": True, "bounds": p.bounds, "ftol": 0, "gtol": 0}
    options |= {"maxiter": 500}
    whole = minimize_lbfgsb(x0=p.x0, **options)
    calls = record.nfun
    if whole.success:
        again = minimize_lbfgsb(x0=whole.x, checkpoint=whole, **options)
        assert record.nfun == calls
        assert_same_run(again, whole)


def test_a_run_that_met_its_target_at_the_start_is_returned_at_once_or_goes_on():
    record = Counted()
    options = {"fun": record.fun, "jac": record.jac}
    met = solve(ftarget=1e3, **options)
    again = solve(ftarget=1e3, checkpoint=met, **options)
    assert (record.nfun, record.njac) == (1, 0)
    assert (again.nfev, again.njev, again.message) == (1, 0, met.message)
    assert again.fun == met.fun
    resumed = solve(checkpoint=met, **options)
    assert (resumed.nfev, resumed.njev) == (record.nfun, record.njac)
    assert_same_run(resumed, solve())


def test_pairs_put_into_a_checkpoint_are_the_ones_used():
    stopped = solve(maxiter=8)
    emptied = copy.copy(stopped)
    emptied.hess_inv = LbfgsInvHessProduct(np.empty((0, 2)), np.empty((0, 2)))
    g = rosen_grad(stopped.x)
    first = []
    solve(
        x0=stopped.x,
        checkpoint=emptied,
        callback=lambda xk: first.append(xk - stopped.x) or True,
    )
    # Without pairs the first direction is steepest descent.
    np.testing.assert_allclose(np.cross([*first[0], 0], [*g, 0]), 0.0, atol=1e-12)


def test_resume_with_other_bits_of_history():
    # Callbacks see the second half exactly as they would have in one run.
    def record(into):
        return lambda xk, state: into.append(
            (state.nit, state.nfev, state.njev, state.fun, state.projected_gradient, xk.tobytes())
        )

    one, two = [], []
    solve(callback=record(one), **LONG)
    stopped = solve(callback=record(two), **LONG | {"maxiter": 9})
    solve(x0=stopped.x, checkpoint=stopped, callback=record(two), **LONG)
    assert two == one


def test_resume_on_another_number_of_threads():
    whole = large()
    stopped = large(maxiter=6)
    assert_same_run(large(x0=stopped.x, checkpoint=stopped, threads=2), whole)


def test_resume_next_to_walls_of_nan():
    options = {"fun": log_barrier, "jac": log_barrier_grad} | LONG
    x0 = np.array([5.0, 3.0, 0.2])
    whole = minimize_lbfgsb(x0=x0, **options)
    for k in range(1, whole.nfev):
        stopped = minimize_lbfgsb(x0=x0, **options | {"maxfun": k})
        assert stopped.nfev == k
        resumed = minimize_lbfgsb(x0=stopped.x, **options, checkpoint=stopped)
        assert_same_run(resumed, whole)


@examples(40)
@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 6), st.floats(0, 1), st.booleans())
def test_a_pickled_solver_ends_with_the_same_bits(seed, n, maxcor, where, between):
    p, options, whole = whole_and_options(seed, n, maxcor)
    del options["fun"], options["jac"]
    k = round(where * (whole.nfev - 1))
    solver = Solver(p.x0, **options)
    for step in range(whole.nfev):
        if step == k and not between:
            solver = pickle.loads(pickle.dumps(solver))
        x = solver.ask()
        if step == k and between:
            solver = pickle.loads(pickle.dumps(solver))
            assert same_bits(solver.ask(), x)
        solver.tell(*p.fg(x))
    assert solver.done
    assert_same_run(solver.result(), whole)


RESUME = """
import pickle
import numpy as np
import lbfgsb

def fun(x):
    r = x[1:] - x[:-1] ** 2
    g = np.zeros_like(x)
    g[:-1] = -40 * x[:-1] * r - 2 * (1 - x[:-1])
    g[1:] += 20 * r
    return (10 * r ** 2 + (1 - x[:-1]) ** 2).sum(), g

options = dict(fun=fun, jac=True, bounds=[(-1.5, 0.9)] * 30, ftol=1e-12, gtol=1e-9)
x0 = np.linspace(-2, 2, 30)
"""


def test_a_result_resumes_in_another_process(tmp_path):
    code = RESUME + (
        "stopped = pickle.load(open(FILE, 'rb'))\n"
        "res = lbfgsb.minimize_lbfgsb(x0=stopped.x, checkpoint=stopped, **options)\n"
        "print(res.x.tobytes().hex(), res.nit, res.nfev)\n"
    )
    first = RESUME + (
        "stopped = lbfgsb.minimize_lbfgsb(x0=x0, **options | {'maxfun': 9})\n"
        "pickle.dump(stopped, open(FILE, 'wb'))\n"
        "whole = lbfgsb.minimize_lbfgsb(x0=x0, **options)\n"
        "print(whole.x.tobytes().hex(), whole.nit, whole.nfev)\n"
    )
    name = f"FILE = {str(tmp_path / 'stopped.pickle')!r}\n"
    assert run_python(name + first) == run_python(name + code)
