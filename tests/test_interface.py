"""The public interface, sentence by sentence."""

import functools
import inspect
import itertools
import logging
import pickle
import warnings
from collections import deque
from fractions import Fraction

import numpy as np
import pytest
from problems import (
    BOX,
    LOWER,
    UPPER,
    X0,
    Counted,
    assert_same_run,
    bowl,
    bowl_grad,
    needs_workers,
    projected_gradient,
    random_problem,
    rosen,
    rosen_fg,
    rosen_grad,
    run_python,
    same_bits,
    solve,
)
from scipy.optimize import Bounds, LbfgsInvHessProduct, OptimizeResult, minimize

from lbfgsb import (
    GradientWarning,
    Solver,
    extract_hess_inv_diag,
    get_grad_projection_inf_norm,
    minimize_lbfgsb,
)

TIGHT = {"ftol": 1e-14, "gtol": 1e-8, "maxiter": 500}
FIELDS = {
    "x",
    "fun",
    "jac",
    "nfev",
    "njev",
    "nit",
    "status",
    "message",
    "success",
    "hess_inv",
    "projected_gradient",
    "gradient_mismatch",
}


def test_signature():
    expected = {
        "x0": inspect.Parameter.empty,
        "fun": inspect.Parameter.empty,
        "jac": None,
        "update_fun_def": None,
        "bounds": None,
        "checkpoint": None,
        "maxcor": None,
        "ftarget": None,
        "ftol": 1e-5,
        "gtol": 1e-5,
        "maxiter": 50,
        "eps": 1e-8,
        "maxfun": 15000,
        "callback": None,
        "maxls": 20,
        "finite_diff_rel_step": None,
        "max_steplength": 1e8,
        "ftol_linesearch": 1e-3,
        "gtol_linesearch": 0.9,
        "xtol_linesearch": 0.1,
        "eps_SY": 2.2e-16,
        "iprint": -1,
        "logger": None,
        "is_check_factorizations": False,
        "is_use_numba_jit": None,
        "workers": None,
        "threads": 1,
        "x_scale": None,
        "fun_precision": None,
        "secant": "modified",
        "pairs": "float64",
        "extra_updates": None,
        "initial_scaling": None,
        "workspace": None,
        "args": (),
        "x_shape": None,
    }
    parameters = dict(inspect.signature(minimize_lbfgsb).parameters)
    # It catches what is misspelt, and no type checker lets anything through to it.
    unknown = parameters.pop("unknown")
    assert (unknown.kind, unknown.annotation) == (inspect.Parameter.VAR_KEYWORD, "Never")
    assert {name: p.default for name, p in parameters.items()} == expected
    assert list(parameters) == list(expected)
    assert {p.kind for p in parameters.values()} == {inspect.Parameter.KEYWORD_ONLY}


# --- x0 -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "x0",
    [
        [-1, 2],
        (-1, 2),
        np.array([-1, 2]),
        np.array([-1.0, 2.0], dtype=np.float32),
        np.array([-1.0, 2.0], dtype=">f8"),
        np.array([2.0, 0.0, -1.0])[::-2],
        [np.float32(-1), 2],
    ],
    ids=["list", "tuple", "int64", "float32", "big-endian", "reversed view", "mixed list"],
)
def test_x0_is_converted_to_float64(x0):
    assert_same_run(solve(x0=x0), solve(x0=np.array([-1.0, 2.0])))


def test_x0_is_neither_changed_nor_returned():
    x0 = X0.copy()
    x0.flags.writeable = False
    res = solve(x0=x0)
    assert same_bits(x0, X0)
    assert not np.shares_memory(res.x, x0)


def test_x0_is_clipped_before_the_first_evaluation():
    record = Counted()
    solve(x0=[-7.0, 0.5], fun=record.fg, jac=True, bounds=BOX)
    assert same_bits(record.points[0], [-2.0, 0.5])


def test_fun_gets_a_float64_vector():
    seen = []

    def fun(x):
        seen.append((type(x), x.dtype, x.shape, x.flags.c_contiguous, x.flags.writeable))
        return rosen_fg(x)

    solve(fun=fun, jac=True, x0=[-1, 1])
    assert set(seen) == {(np.ndarray, np.dtype(float), (2,), True, True)}


def test_one_variable():
    res = minimize_lbfgsb(x0=[-4], fun=lambda x: (bowl(x), bowl_grad(x)), jac=True, **TIGHT)
    np.testing.assert_allclose(res.x, [3.0])
    assert res.success


# --- jac ----------------------------------------------------------------------------------


def test_jac_true_and_jac_callable_are_the_same_run():
    assert_same_run(solve(), solve(fun=rosen_fg, jac=True))


@pytest.mark.parametrize("jac", [None, False, "2-point", "3-point", "cs"])
def test_numerical_gradients_find_the_minimum(jac):
    res = solve(jac=jac, bounds=BOX, ftol=1e-12, gtol=1e-4, maxiter=200)
    np.testing.assert_allclose(res.x, 1.0, atol=1e-3)


def test_jac_none_is_jac_false():
    assert_same_run(solve(jac=None), solve(jac=False))


@pytest.mark.parametrize("jac", [None, "2-point", "3-point", "cs"])
def test_numerical_gradients_stay_within_the_bounds(jac):
    record = Counted(bowl)
    solve(
        x0=[0.0, 1.0, 0.5, 1.5],
        fun=record.fun,
        jac=jac,
        bounds=[(0, 1), (0, 1), (0.5, 0.5), (1.5, np.nextafter(1.5, 2))],
        eps=0.25,
    )
    points = np.array(record.points).real
    assert (points >= [0, 0, 0.5, 1.5]).all()
    assert (points <= [1, 1, 0.5, np.nextafter(1.5, 2)]).all()


def test_eps_is_the_absolute_step():
    record = Counted()
    solve(fun=record.fun, jac=None, x0=[3.0, -2.0], eps=1e-3, maxiter=0)
    steps = np.abs(np.array(record.points) - [3.0, -2.0])
    np.testing.assert_allclose(np.unique(steps.max(axis=1)), [0.0, 1e-3], rtol=1e-9)


def test_finite_diff_rel_step_is_the_relative_step():
    record = Counted()
    solve(fun=record.fun, jac="2-point", x0=[3.0, -2.0], finite_diff_rel_step=1e-3, maxiter=0)
    steps = np.sort(np.abs(np.array(record.points) - [3.0, -2.0]).max(axis=1))
    np.testing.assert_allclose(steps, [0.0, 2e-3, 3e-3], rtol=1e-9)


@needs_workers
@pytest.mark.parametrize("jac", ["2-point", "3-point", "cs"])
def test_workers_may_be_a_map(jac):
    batches = []

    def mapper(fun, points):
        out = list(map(fun, points))
        batches.append(len(out))
        return out

    record = Counted()
    res = solve(fun=record.fun, jac=jac, workers=mapper)
    assert batches
    assert res.nfev == record.nfun
    assert_same_run(res, solve(jac=jac))


@needs_workers
def test_workers_may_be_a_number_of_processes():
    assert_same_run(solve(jac="2-point", workers=2, maxiter=5), solve(jac="2-point", maxiter=5))


# --- f and g ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [
        float,
        np.float64,
        np.longdouble,
        np.array,
        lambda f: np.array([f]),
        lambda f: np.array([[f]]),
        lambda f: Fraction(float(f)),
    ],
    ids=["float", "float64", "longdouble", "0-d", "(1,)", "(1, 1)", "Fraction"],
)
def test_f_may_be_any_real_scalar(form):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_same_run(solve(fun=lambda x: form(rosen(x))), solve())
        assert_same_run(solve(fun=lambda x: (form(rosen(x)), rosen_grad(x)), jac=True), solve())


@pytest.mark.parametrize(
    "value", [7, np.int32(7), np.float32(7), np.float16(7), np.array([7], dtype=np.uint8)]
)
def test_f_of_other_real_types(value):
    res = solve(fun=lambda x: (value, np.zeros(2)), jac=True)
    assert type(res.fun) is float
    assert res.fun == 7.0


def column(g):
    return g[:, None]


def every_third(g):
    wide = np.full(3 * g.size, np.nan)
    wide[::3] = g
    return wide[::3]


def backwards(g):
    return g[::-1].copy()[::-1]


def fortran(g):
    return np.asfortranarray(np.stack([g, g], axis=1))[:, :1]


def read_only(g):
    g.flags.writeable = False
    return g


@pytest.mark.parametrize(
    "form",
    [
        list,
        tuple,
        column,
        every_third,
        backwards,
        fortran,
        read_only,
        lambda g: g.astype(np.longdouble),
        lambda g: g.astype(">f8"),
        lambda g: np.array([Fraction(float(v)) for v in g], dtype=object).astype(float),
    ],
    ids=[
        "list",
        "tuple",
        "column",
        "strided",
        "backwards",
        "Fortran",
        "read-only",
        "longdouble",
        "big-endian",
        "converted",
    ],
)
def test_g_may_have_any_strides_and_type(form):
    assert_same_run(solve(jac=lambda x: form(rosen_grad(x))), solve())
    assert_same_run(solve(fun=lambda x: (rosen(x), form(rosen_grad(x))), jac=True), solve())


def test_g_may_be_float32():
    res = solve(x0=[8.0, 0.0], fun=bowl, jac=lambda x: bowl_grad(x).astype(np.float32))
    np.testing.assert_allclose(res.x, 3.0, atol=1e-5)
    assert res.jac.dtype == np.float64


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.int8, object])
def test_g_may_be_integers(dtype):
    slopes = np.array([1, -2], dtype=dtype)
    res = solve(fun=lambda x: float(x[0] - 2 * x[1]), jac=lambda x: slopes, bounds=BOX)
    assert same_bits(res.x, [-2.0, 2.0])
    assert res.success


# --- update_fun_def -----------------------------------------------------------------------


def test_update_fun_def_is_called_at_the_start_and_after_each_step():
    starts, iterates, calls = [], [X0], []

    def update(x, f0, f0_old, grad, x_deque, grad_deque):
        assert type(x_deque) is deque
        assert type(grad_deque) is deque
        calls.append((x.copy(), f0, f0_old, grad.copy(), list(x_deque), list(grad_deque)))
        return f0, f0_old, grad, grad_deque

    res = solve(
        update_fun_def=update,
        maxcor=4,
        callback=lambda xk: starts.append(len(calls)) or iterates.append(xk.copy()),
    )
    assert len(calls) == res.nit + 1
    assert starts == list(range(2, res.nit + 2))
    x, f0, f0_old, grad, x_deque, grad_deque = calls[0]
    assert same_bits(x, X0)
    assert f0 == f0_old == rosen(X0)
    assert same_bits(grad, rosen_grad(X0))
    assert not x_deque
    assert not grad_deque
    for k, (x, f0, f0_old, grad, x_deque, grad_deque) in enumerate(calls[1:], start=1):
        assert same_bits(x, iterates[k])
        assert f0 == rosen(iterates[k])
        assert f0_old == rosen(iterates[k - 1])
        assert same_bits(grad, rosen_grad(iterates[k]))
        assert len(x_deque) == len(grad_deque)
        assert min(k, 4) <= len(x_deque) <= min(k, 5)
        past = iterates[k - len(x_deque) : k]
        np.testing.assert_allclose(x_deque, past, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(grad_deque, [rosen_grad(p) for p in past], rtol=1e-9, atol=1e-9)


def nothing(x, f0, f0_old, grad, x_deque, grad_deque):
    return f0, f0_old, grad, grad_deque


@pytest.mark.parametrize("bounds", [None, [(-2, 0.7), (-2, 2)]], ids=["free", "box"])
def test_an_update_that_changes_nothing_leaves_the_run_as_it_was(bounds):
    plain, updated = [], []
    a = solve(bounds=bounds, callback=plain.append)
    b = solve(bounds=bounds, update_fun_def=nothing, callback=updated.append)
    assert a.message == b.message
    assert (a.nit, a.nfev, a.njev) == (b.nit, b.nfev, b.njev)
    np.testing.assert_allclose(np.array(updated), np.array(plain), rtol=1e-6, atol=1e-9)


def test_update_fun_def_finds_the_minimum_of_the_last_objective():
    rng = np.random.default_rng(3)
    rows, target = rng.normal(size=(12, 6)), rng.normal(size=12)
    state = {"weight": 5.0, "calls": 0}

    def fun(x):
        r = rows @ x - target
        return 0.5 * r @ r + 0.5 * state["weight"] * x @ x

    def jac(x):
        return rows.T @ (rows @ x - target) + state["weight"] * x

    def update(x, f0, f0_old, grad, x_deque, grad_deque):
        state["calls"] += 1
        change = max(state["weight"] * 0.5, 0.3) - state["weight"]
        state["weight"] += change
        x_old = x_deque[-1] if x_deque else x
        return (
            f0 + 0.5 * change * x @ x,
            f0_old + 0.5 * change * x_old @ x_old,
            grad + change * x,
            deque(g + change * p for p, g in zip(x_deque, grad_deque, strict=True)),
        )

    res = minimize_lbfgsb(
        x0=np.zeros(6), fun=fun, jac=jac, update_fun_def=update, ftol=0, gtol=1e-8, maxiter=200
    )
    expected = np.linalg.solve(rows.T @ rows + 0.3 * np.eye(6), rows.T @ target)
    assert state["weight"] == 0.3
    np.testing.assert_allclose(res.x, expected, atol=1e-7)
    np.testing.assert_allclose(res.fun, fun(res.x), rtol=1e-12)
    np.testing.assert_allclose(res.jac, jac(res.x), atol=1e-8)
    assert state["calls"] == res.nit + 1
    # The pairs describe the last objective: y = H s.
    hessian = rows.T @ rows + 0.3 * np.eye(6)
    np.testing.assert_allclose(res.hess_inv.yk, res.hess_inv.sk @ hessian, atol=1e-7)


def test_pairs_that_an_update_spoils_are_dropped_and_logged(caplog):
    calls = []

    def update(x, f0, f0_old, grad, x_deque, grad_deque):
        calls.append(x)
        if len(calls) == 6:
            grad_deque = deque(-1e3 * p for p in x_deque)
        return f0, f0_old, grad, grad_deque

    with caplog.at_level(logging.INFO, logger="update"):
        res = solve(update_fun_def=update, maxiter=6, iprint=0, logger=logging.getLogger("update"))
    assert res.nit == 6
    assert any("drop" in record.getMessage().lower() for record in caplog.records)
    pairs = res.hess_inv
    assert pairs.n_corrs < 6
    assert (np.sum(pairs.sk * pairs.yk, axis=1) > 0).all()


def test_update_fun_def_of_a_run_that_goes_on_has_the_points_of_its_pairs():
    stored = []

    def update(x, f0, f0_old, grad, x_deque, grad_deque):
        stored.append((np.diff([*x_deque, x], axis=0), np.diff([*grad_deque, grad], axis=0)))
        return f0, f0_old, grad, grad_deque

    part = solve(maxiter=6)
    res = solve(x0=part.x, checkpoint=part, update_fun_def=update)
    pairs = part.hess_inv
    np.testing.assert_allclose(stored[0][0], pairs.sk, atol=1e-14)
    np.testing.assert_allclose(stored[0][1], pairs.yk, atol=1e-12)
    np.testing.assert_allclose(res.x, 1, atol=1e-5)


def test_update_fun_def_must_return_as_many_gradients_as_are_stored():
    def update(x, f0, f0_old, grad, x_deque, grad_deque):
        return f0, f0_old, grad, list(grad_deque)[1:]

    with pytest.raises(ValueError, match="a gradient for each of the 1 stored iterates; got 0"):
        solve(update_fun_def=update)


@pytest.mark.parametrize("answer", [None, 1.0, (1.0, 2.0)], ids=["None", "float", "pair"])
def test_update_fun_def_must_return_four_things(answer):
    with pytest.raises((TypeError, ValueError), match="update_fun_def"):
        solve(update_fun_def=lambda *args: answer)


# --- bounds -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bounds",
    [
        [(-2, 0.5), (None, 2)],
        ((-2, 0.5), (-np.inf, 2)),
        np.array([[-2, 0.5], [-np.inf, 2]]),
        np.array([[-2, 0.5], [None, 2]], dtype=object),
        np.asfortranarray([[-2, 0.5], [-np.inf, 2]]),
        Bounds([-2, -np.inf], [0.5, 2]),
        Bounds([-2, -np.inf], [0.5, 2], keep_feasible=True),
    ],
    ids=["None", "inf", "array", "object array", "Fortran", "Bounds", "keep_feasible"],
)
def test_forms_of_bounds(bounds):
    expected = solve(bounds=[(-2.0, 0.5), (-np.inf, 2.0)])
    assert_same_run(solve(bounds=bounds), expected)
    assert expected.x[0] <= 0.5


def test_bounds_object_broadcasts():
    assert_same_run(solve(bounds=Bounds(-2, 0.5)), solve(bounds=[(-2, 0.5)] * 2))


def test_bounds_are_not_changed():
    bounds = BOX.copy()
    solve(bounds=bounds)
    assert same_bits(bounds, BOX)


def test_equal_bounds_fix_a_variable():
    record = Counted()
    res = solve(fun=record.fg, jac=True, bounds=[(None, None), (0.25, 0.25)], **TIGHT)
    assert {p[1] for p in record.points} == {0.25}
    best = minimize(lambda a: rosen(np.array([a[0], 0.25])), [-1.2], tol=1e-12)
    np.testing.assert_allclose(abs(res.x[0]), abs(best.x[0]), atol=1e-5)
    assert res.success


def test_all_variables_fixed():
    res = solve(bounds=[(0.25, 0.25), (1, 1)])
    assert same_bits(res.x, [0.25, 1.0])
    assert (res.nit, res.nfev, res.projected_gradient, res.status) == (0, 1, 0.0, 0)


# --- stopping -----------------------------------------------------------------------------


def history(**kwargs):
    """The run's result, and f and the projected gradient at the start and each iterate."""
    fs, pgs = [rosen(X0)], [projected_gradient(X0, rosen_grad(X0))]

    def callback(xk):
        fs.append(rosen(xk))
        pgs.append(projected_gradient(xk, rosen_grad(xk)))

    return solve(callback=callback, **kwargs), np.array(fs), np.array(pgs)


@pytest.mark.parametrize("ftol", [1e-1, 1e-3, 1e-6])
def test_ftol_stops_at_the_first_small_reduction(ftol):
    res, f, _ = history(ftol=ftol, gtol=0, maxiter=200)
    reduction = (f[:-1] - f[1:]) / np.maximum(np.maximum(abs(f[:-1]), abs(f[1:])), 1)
    assert (reduction[:-1] > ftol).all()
    assert reduction[-1] <= ftol
    assert (res.status, res.message) == (0, "CONVERGENCE: REL_REDUCTION_OF_F_<=_FTOL")


@pytest.mark.parametrize("x0", [[-1.2, 1.0], [0.0, 0.0], [2.0, -1.0]])
def test_ftol_zero_stops_only_when_f_did_not_change(x0):
    fs = []
    res = solve(
        x0=x0, ftol=0, gtol=0, maxiter=1000, callback=lambda xk, state: fs.append(state.fun)
    )
    assert all(a > b for a, b in itertools.pairwise(fs[:-1]))
    if res.message == "CONVERGENCE: REL_REDUCTION_OF_F_<=_FTOL":
        assert fs[-1] == fs[-2]
    assert res.fun < 1e-15


@pytest.mark.parametrize("gtol", [10.0, 1e-1, 1e-4])
def test_gtol_stops_at_the_first_small_projected_gradient(gtol):
    res, _, pg = history(ftol=0, gtol=gtol, maxiter=200)
    assert (pg[:-1] > gtol).all()
    assert pg[-1] <= gtol
    assert res.projected_gradient == pg[-1]
    assert (res.status, res.message) == (0, "CONVERGENCE: NORM_OF_PROJECTED_GRADIENT_<=_PGTOL")


def test_ftarget_stops_at_the_first_iterate_below_it():
    res, f, _ = history(ftarget=0.5)
    assert (f[:-1] > 0.5).all()
    assert f[-1] <= 0.5
    assert (res.status, res.message) == (0, "CONVERGENCE: F_<=_TARGET")


def test_ftarget_is_met_by_equality():
    _, f, _ = history(maxiter=4)
    res, again, _ = history(ftarget=float(f[4]))
    assert res.nit == 4
    assert same_bits(again, f)


@pytest.mark.parametrize("ftarget", [24.2, np.inf, 1e3])
def test_a_start_that_meets_ftarget_costs_one_f_and_no_g(ftarget):
    record = Counted()
    res = solve(fun=record.fun, jac=record.jac, ftarget=max(ftarget, rosen(X0)))
    assert (record.nfun, record.njac) == (res.nfev, res.njev) == (1, 0)
    assert (res.nit, res.status, res.message) == (0, 0, "CONVERGENCE: F_<=_TARGET")
    assert res.success is True
    assert res.fun == rosen(X0)
    assert np.isnan(res.jac).all()
    assert res.jac.shape == (2,)
    assert np.isnan(res.projected_gradient)
    assert res.hess_inv.n_corrs == 0


@pytest.mark.parametrize(("name", "value"), [("ftarget", 0.5), ("gtol", 1.0)])
def test_ftarget_and_gtol_may_be_callables(name, value):
    record = Counted()
    calls = []

    def limit():
        calls.append((record.nfun, record.njac))
        return value

    res = solve(fun=record.fun, jac=record.jac, **{name: limit})
    assert calls == [(1, 1)]
    assert_same_run(res, solve(**{name: value}))


def test_a_callable_ftarget_may_be_met_at_the_start():
    res = solve(ftarget=lambda: 1e3)
    assert (res.nit, res.nfev, res.njev, res.message) == (0, 1, 1, "CONVERGENCE: F_<=_TARGET")
    assert same_bits(res.jac, rosen_grad(X0))


@pytest.mark.parametrize("maxiter", [0, 1, 2, 7])
def test_maxiter(maxiter):
    res = solve(maxiter=maxiter)
    assert res.nit == maxiter
    assert (res.status, res.success) == (1, False)
    assert res.message == "STOP: TOTAL NO. of ITERATIONS REACHED LIMIT"


@pytest.mark.parametrize("maxfun", [1, 2, 3, 4, 5, 6, 11, 20])
@pytest.mark.parametrize("joint", [True, False])
def test_maxfun_is_never_exceeded(maxfun, joint):
    record = Counted()
    functions = {"fun": record.fg, "jac": True} if joint else {"fun": record.fun, "jac": record.jac}
    res = solve(maxfun=maxfun, **functions)
    assert res.nfev == record.nfun == maxfun
    assert (res.status, res.success) == (1, False)
    assert res.message == "STOP: TOTAL NO. of f AND g EVALUATIONS EXCEEDS LIMIT"


def test_maxfun_zero_still_evaluates_the_start():
    res = solve(maxfun=0)
    assert (res.nit, res.nfev, res.status) == (0, 1, 1)
    assert same_bits(res.x, X0)
    assert res.fun == rosen(X0)


def test_order_of_the_stopping_tests():
    states = []
    solve(maxiter=1, callback=lambda xk, state: states.append((state.fun, state.nfev)))
    kwargs = {"ftarget": states[0][0], "ftol": 1e300, "maxiter": 1, "maxfun": states[0][1]}
    said = []
    for name in list(kwargs):
        res = solve(**({"ftol": 0, "gtol": 0} | kwargs))
        assert res.nit == 1
        said.append(res.message)
        del kwargs[name]
    assert said == [
        "CONVERGENCE: F_<=_TARGET",
        "CONVERGENCE: REL_REDUCTION_OF_F_<=_FTOL",
        "STOP: TOTAL NO. of ITERATIONS REACHED LIMIT",
        "STOP: TOTAL NO. of f AND g EVALUATIONS EXCEEDS LIMIT",
    ]


def test_the_gradient_test_comes_before_the_others():
    # One variable, so that the first accepted point is the minimum itself or close to it.
    kwargs = {
        "x0": [3.25],
        "fun": bowl,
        "jac": bowl_grad,
        "gtol": 0.2,
        "ftol": 1e300,
        "maxiter": 1,
    }
    res = minimize_lbfgsb(**kwargs)
    assert res.nit == 1
    assert res.message == "CONVERGENCE: NORM_OF_PROJECTED_GRADIENT_<=_PGTOL"
    assert minimize_lbfgsb(**kwargs, ftarget=res.fun).message == res.message
    assert minimize_lbfgsb(**kwargs, maxfun=res.nfev).message == res.message


# --- line search --------------------------------------------------------------------------


@pytest.mark.parametrize(("c1", "c2"), [(1e-3, 0.9), (1e-4, 0.1), (0.2, 0.5)])
def test_accepted_steps_satisfy_the_wolfe_conditions(c1, c2):
    iterates = [X0]
    solve(
        ftol_linesearch=c1,
        gtol_linesearch=c2,
        xtol_linesearch=1e-14,
        callback=lambda xk: iterates.append(xk.copy()),
        gtol=1e-3,
        ftol=0,
        maxiter=100,
    )
    assert len(iterates) > 5
    for a, b in itertools.pairwise(iterates):
        slope, end_slope = rosen_grad(a) @ (b - a), rosen_grad(b) @ (b - a)
        assert rosen(b) <= rosen(a) + c1 * slope + 1e-14
        assert abs(end_slope) <= c2 * abs(slope) * (1 + 1e-6) + 1e-14


@pytest.mark.parametrize("maxls", [1, 2, 5])
def test_maxls_bounds_the_evaluations_of_an_iteration(maxls):
    nfev = [1]
    restarts = 2  # A failed search is tried once more along the projected gradient.
    res = solve(maxls=maxls, callback=lambda xk, state: nfev.append(state.nfev) and False)
    assert (np.diff(nfev) <= restarts * maxls).all()
    assert res.nfev <= nfev[-1] + restarts * maxls


def test_max_steplength_bounds_the_step():
    g = rosen_grad(X0)
    res = solve(max_steplength=1e-6, maxiter=1)
    assert 0 < np.abs(res.x - X0).max() <= 1e-6 * np.abs(g).max() * (1 + 1e-9)


def test_a_gradient_that_points_uphill_is_an_abnormal_end():
    with pytest.warns(GradientWarning):
        res = solve(x0=[8.0, 5.0], fun=bowl, jac=lambda x: -bowl_grad(x))
    assert (res.status, res.success) == (2, False)
    assert res.message.startswith("ABNORMAL_TERMINATION_IN_LNSRCH: the gradient seems inconsistent")
    assert res.fun == bowl(res.x)


def test_a_failed_line_search_drops_the_memory_once_and_tries_again():
    # The gradient turns against the function for good after some iterations.
    record = Counted()
    turn = []

    def jac(x):
        return -rosen_grad(x) if turn else rosen_grad(x)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GradientWarning)    # whether it is accused is not the point
        res = solve(
            fun=record.fun,
            jac=jac,
            maxls=5,
            callback=lambda xk, state: turn.append(1) if state.nit >= 6 else None,
            ftol=0,
        )
    assert res.status == 2
    assert res.message.startswith("ABNORMAL_TERMINATION_IN_LNSRCH: ")
    assert res.fun == rosen(res.x)
    assert res.nfev == record.nfun


def test_a_step_refused_without_a_search_is_not_worded_from_the_search_before():
    # After one step the gradient is so small that the longest step allowed moves nothing.
    def jac(x):
        return 2e17 * x if abs(x).max() == 4 else 1e-12 * x

    kwargs = {"x0": [3.0, 4.0], "fun": lambda x: 1e17 * (x @ x), "jac": jac}
    options = {"ftol": 0, "gtol": 0, "max_steplength": 1e-17}
    res = solve(**kwargs, **options)
    assert (res.status, res.success, res.nit, res.nfev) == (2, False, 1, 2)
    assert "rounding leaves no direction" in res.message
    solver = Solver(kwargs["x0"], **options)
    solver.run(kwargs["fun"], jac)
    assert pickle.loads(pickle.dumps(solver)).message == solver.message == res.message


def test_what_is_said_of_a_failed_search_survives_a_pickle():
    solver = Solver([8.0, 5.0])
    solver.run(bowl, lambda x: -bowl_grad(x))
    assert solver.status == 2
    copy = pickle.loads(pickle.dumps(solver))
    assert copy.message == solver.message
    assert copy._failure == solver._failure


# --- callbacks ----------------------------------------------------------------------------


def test_callback_with_state():
    record = Counted()
    rows = []

    def callback(xk, state):
        assert isinstance(state, OptimizeResult)
        rows.append((xk.copy(), state.nit, state.status, state.message, state.success))
        assert same_bits(state.x, xk)
        assert state.fun == rosen(xk)
        assert type(state.fun) is float
        assert same_bits(state.jac, rosen_grad(xk))
        assert (state.nfev, state.njev) == (record.nfun, record.njac)
        assert state.projected_gradient == projected_gradient(xk, rosen_grad(xk), LOWER, UPPER)
        assert isinstance(state.hess_inv, LbfgsInvHessProduct)
        assert state.hess_inv.n_corrs <= 5
        assert state["x"] is not None
        assert state.get("nit") == state.nit
        return False

    res = solve(fun=record.fun, jac=record.jac, bounds=BOX, callback=callback, maxcor=5)
    assert [row[1] for row in rows] == list(range(1, res.nit + 1))
    assert {row[2:] for row in rows[:-1]} == {(-1, "RUNNING", False)}
    assert same_bits(rows[-1][0], res.x)


def test_callback_state_has_the_documented_fields():
    keys = []
    solve(callback=lambda xk, state: keys.append(set(state)) and False, maxiter=1)
    assert keys[0] >= FIELDS - {"gradient_mismatch"}


def test_callback_state_pairs_are_those_of_the_result():
    kept = []
    res = solve(callback=lambda xk, state: kept.append(state.hess_inv) and False)
    assert same_bits(kept[-1].sk, res.hess_inv.sk)
    assert same_bits(kept[-1].yk, res.hess_inv.yk)


def test_states_kept_by_a_callback_tell_of_their_own_iterate():
    xs, states, pairs = [], [], []

    def callback(xk, state):
        xs.append(xk.copy())
        states.append(state)

    res = solve(callback=callback, maxcor=3)
    solve(
        callback=lambda xk, state: pairs.append((state.hess_inv.sk.copy(), state.nfev)) and False,
        maxcor=3,
    )
    for k, (x, state) in enumerate(zip(xs, states, strict=True)):
        assert state.nit == k + 1
        assert state.nfev == pairs[k][1]
        assert same_bits(state.x, x)
        assert state.fun == rosen(x)
        assert same_bits(state.jac, rosen_grad(x))
        assert state.projected_gradient == projected_gradient(x, rosen_grad(x))
        assert same_bits(state.hess_inv.sk, pairs[k][0])
    assert res.nit == len(xs)


def conventions(record):
    """The same callback in every convention; `record(x)` says whether to stop."""

    class Callable:
        def __call__(self, xk, state):
            return record(state.x)

        def method(self, xk):
            return record(xk)

    def with_state(xk, state):
        assert same_bits(xk, state.x)
        return record(xk)

    def keyword_only(*, intermediate_result):
        return record(intermediate_result.x)

    def intermediate(intermediate_result):
        return record(intermediate_result.x)

    def other_names(x, opt):
        return record(opt.x)

    return {
        "with state": with_state,
        "other names": other_names,
        "keyword": keyword_only,
        "intermediate_result": intermediate,
        "x alone": lambda xk: record(xk),
        "object": Callable(),
        "method": Callable().method,
        "partial": functools.partial(lambda tag, xk, state: record(xk), "tag"),
        "list": [lambda xk: record(xk)],
    }


SCIPYS_CONVENTIONS = {"keyword", "intermediate_result", "x alone", "method", "list"}


def test_what_a_callback_of_x_alone_returns_does_not_end_the_run(tmp_path):
    with open(tmp_path / "iterates.txt", "w") as file:
        res = solve(callback=lambda x: file.write(f"{x}\n"))
    assert_same_run(res, solve())
    assert len((tmp_path / "iterates.txt").read_text().splitlines()) == res.nit > 10


@pytest.mark.parametrize("convention", list(conventions(None)))
def test_callback_conventions(convention):
    points = []
    res = solve(callback=conventions(points.append)[convention])
    assert len(points) == res.nit
    assert same_bits(points[-1], res.x)
    assert_same_run(res, solve())


@pytest.mark.parametrize("convention", list(conventions(None)))
@pytest.mark.parametrize("how", ["True", "numpy", "object", "StopIteration"])
def test_callback_stops_the_run(convention, how):
    points = []

    def record(x):
        points.append(x.copy())
        if len(points) < 4:
            return None
        if how == "StopIteration":
            raise StopIteration
        return {"True": True, "numpy": np.True_, "object": "yes"}[how]

    res = solve(callback=conventions(record)[convention])
    if how != "StopIteration" and convention in SCIPYS_CONVENTIONS:  # the value is ignored
        assert len(points) == res.nit > 4
        assert_same_run(res, solve())
        return
    assert len(points) == res.nit == 4
    assert (res.status, res.success, res.message) == (3, True, "STOP: USER CALLBACK")
    assert same_bits(res.x, points[-1])
    assert res.fun == rosen(res.x)


def test_builtin_callback():
    points = []
    res = solve(callback=points.append)
    assert len(points) == res.nit


def test_list_of_callbacks():
    a, b, c = [], [], []
    res = solve(
        callback=[
            lambda xk: a.append(xk),
            lambda xk, state: b.append(state.x) or state.nit == 5,
            lambda *, intermediate_result: c.append(intermediate_result.x),
        ]
    )
    assert len(a) == len(b) == res.nit == 5
    assert len(c) >= 4
    assert res.message == "STOP: USER CALLBACK"
    assert_same_run(solve(callback=[]), solve())


def test_a_truthy_callback_wins_over_a_convergence_test():
    res = solve(ftol=1e300, maxiter=1, callback=lambda xk, state: True)
    assert (res.nit, res.status, res.message) == (1, 3, "STOP: USER CALLBACK")


# --- output -------------------------------------------------------------------------------


def messages(caplog, **kwargs):
    caplog.clear()
    with caplog.at_level(logging.DEBUG):
        res = solve(logger=logging.getLogger("lbfgsb.test"), **kwargs)
    return res, [record.getMessage() for record in caplog.records]


def table(lines):
    """The rows of numbers: those whose first word is an integer."""
    return [line for line in lines if line.split() and line.split()[0].isdigit()]


def test_nothing_is_said_without_a_logger(caplog, capfd):
    with caplog.at_level(logging.DEBUG):
        solve(iprint=100)
        solve(iprint=0)
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("iprint", [-1, -10])
def test_negative_iprint_says_nothing(caplog, iprint):
    assert messages(caplog, iprint=iprint)[1] == []


def test_iprint_zero_gives_the_summary(caplog, capfd):
    res, lines = messages(caplog, iprint=0)
    assert 1 <= len(lines) <= 15
    assert res.message in "\n".join(lines)
    assert table(lines) == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("iprint", [1, 5])
def test_iprint_gives_a_row_every_so_many_iterations(caplog, iprint):
    res, lines = messages(caplog, iprint=iprint)
    rows = [line for text in lines for line in text.splitlines()]
    rows = table(rows)
    numbers = [int(row.split()[0]) for row in rows]
    assert set(numbers) >= set(range(iprint, res.nit + 1, iprint))
    assert all(k % iprint == 0 or k == res.nit for k in numbers)
    assert len({len(row) for row in rows}) == 1
    assert res.message in "\n".join(lines)


def test_iprint_99_gives_the_detail_of_every_iteration(caplog):
    res, every = messages(caplog, iprint=1)
    _, detail = messages(caplog, iprint=99)
    assert len("\n".join(detail)) > len("\n".join(every)) + res.nit


def test_output_does_not_change_the_run(caplog):
    res, _ = messages(caplog, iprint=100, bounds=BOX)
    assert_same_run(res, solve(bounds=BOX))


def test_output_respects_the_level_of_the_logger(caplog):
    with caplog.at_level(logging.WARNING):
        solve(iprint=100, logger=logging.getLogger("lbfgsb.test"))
    assert caplog.records == []


# --- the other options --------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_checked_factorisations_change_nothing(seed):
    p = random_problem(seed, 9)
    kwargs = {"x0": p.x0, "fun": p.fg, "jac": True, "bounds": p.bounds}
    assert_same_run(
        minimize_lbfgsb(**kwargs, is_check_factorizations=True), minimize_lbfgsb(**kwargs)
    )


@pytest.mark.parametrize("value", [True, False])
def test_is_use_numba_jit_warns_once(value):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        res = minimize_lbfgsb(x0=X0, fun=rosen, jac=rosen_grad, is_use_numba_jit=value)
    assert [w.category for w in caught] == [DeprecationWarning]
    assert "compiled" in str(caught[0].message)
    assert caught[0].filename == __file__
    assert_same_run(res, solve())


def test_is_use_numba_jit_none_is_silent():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        solve(is_use_numba_jit=None)


@pytest.mark.parametrize("maxcor", [1, 2, 5, 40])
def test_maxcor_bounds_the_number_of_pairs(maxcor):
    res = solve(maxcor=maxcor, **TIGHT)
    assert 1 <= res.hess_inv.n_corrs <= maxcor
    np.testing.assert_allclose(res.x, 1.0, atol=1e-5)


HUGE_MAXCOR = """
import numpy as np
import lbfgsb
powers = [2**p + k for p in (31, 60, 61, 62, 63, 64) for k in (0, 10)]
for maxcor in [10**6, 10**12, float("inf"), *powers]:
    try:
        res = lbfgsb.minimize_lbfgsb(
            x0=np.zeros(3), fun=lambda x: (((x - 3.0) ** 4).sum(), 4.0 * (x - 3.0) ** 3),
            jac=True, maxcor=maxcor)
        print(res.success)
    except (MemoryError, OverflowError, TypeError, ValueError):
        print(True)
"""


def test_a_maxcor_beyond_memory_does_not_overflow():
    # An error, or a run with as many pairs as it needs; never a run in too little memory.
    assert run_python(HUGE_MAXCOR).split() == ["True"] * 15


def test_eps_sy_drops_flat_pairs():
    assert solve(eps_SY=1e300).hess_inv.n_corrs == 0


def test_threads_change_nothing():
    assert_same_run(solve(threads=2), solve())


# --- the result ---------------------------------------------------------------------------


def test_result_fields():
    res = solve(bounds=BOX)
    assert isinstance(res, OptimizeResult)
    assert set(res) >= FIELDS
    assert type(res.fun) is float
    assert [type(res[k]) for k in ("nfev", "njev", "nit", "status")] == [int] * 4
    assert type(res.success) is bool
    assert type(res.message) is str
    assert type(res.projected_gradient) is float
    for a in res.x, res.jac:
        assert type(a) is np.ndarray
        assert (a.dtype, a.shape) == (np.dtype(float), (2,))
    assert isinstance(res.hess_inv, LbfgsInvHessProduct)
    assert res.projected_gradient == projected_gradient(res.x, res.jac, LOWER, UPPER)
    norm = get_grad_projection_inf_norm(res.x, res.jac, LOWER, UPPER)
    np.testing.assert_allclose(res.projected_gradient, norm, rtol=1e-12)


def test_pairs_are_the_newest_differences_oldest_first():
    iterates = [X0]
    res = solve(maxcor=4, callback=lambda xk: iterates.append(xk.copy()))
    steps = np.diff(iterates, axis=0)[-4:]
    slopes = np.diff([rosen_grad(x) for x in iterates], axis=0)[-4:]
    np.testing.assert_allclose(res.hess_inv.sk, steps, rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(res.hess_inv.yk, slopes, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("n", [2, 3000])
def test_repr_stays_short(n):
    res = solve(x0=np.full(n, 1.5), maxiter=15)
    text = repr(res)
    assert len(text) < 1500
    shown = {line.split(":")[0].strip() for line in text.splitlines() if ": " in line}
    assert shown == FIELDS
    assert str(res) == text


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_result_pickles_with_every_protocol(protocol):
    res = solve(maxiter=5)
    assert_same_run(pickle.loads(pickle.dumps(res, protocol)), res)


def test_hess_inv_is_a_working_operator():
    res = solve(**TIGHT)
    np.testing.assert_allclose(res.hess_inv @ np.eye(2), res.hess_inv.todense(), rtol=1e-10)


# --- helpers ------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "pairs"), [(1, 1), (2, 2), (5, 3), (30, 10), (7, 0)])
def test_extract_hess_inv_diag(n, pairs):
    rng = np.random.default_rng(n)
    s = rng.normal(size=(pairs, n))
    y = s * rng.uniform(0.1, 10.0, size=n)
    operator = LbfgsInvHessProduct(s, y)
    diagonal = extract_hess_inv_diag(operator)
    assert diagonal.shape == (n,)
    np.testing.assert_allclose(diagonal, np.diag(operator.todense()), rtol=1e-8)


def test_extract_hess_inv_diag_of_a_result():
    p = random_problem(11, 20)
    for res in (
        minimize_lbfgsb(x0=p.x0, fun=p.fg, jac=True),
        minimize(p.fg, p.x0, jac=True, method="L-BFGS-B"),
    ):
        np.testing.assert_allclose(
            extract_hess_inv_diag(res.hess_inv), np.diag(res.hess_inv.todense()), rtol=1e-6
        )


def test_extract_hess_inv_diag_takes_no_n_products():
    n = 200_000  # n products would take hours, a dense matrix 320 GB.
    rng = np.random.default_rng(1)
    s = rng.normal(size=(10, n))
    operator = LbfgsInvHessProduct(s, s * rng.uniform(0.5, 2.0, size=n))
    diagonal = extract_hess_inv_diag(operator)
    for i in 0, 777, n - 1:
        unit = np.zeros(n)
        unit[i] = 1.0
        np.testing.assert_allclose(diagonal[i], operator.matvec(unit)[i], rtol=1e-8)


def test_get_grad_projection_inf_norm():
    norm = get_grad_projection_inf_norm(
        np.array([0.0, 0.5, 1.0]),
        np.array([2.0, -0.25, -3.0]),
        np.array([0.0, -np.inf, 0.0]),
        np.array([1.0, np.inf, 1.0]),
    )
    assert type(norm) is float
    assert norm == 0.25
    assert get_grad_projection_inf_norm([1.0], [-3.0], [-np.inf], [2.0]) == 1.0


# --- bad input ----------------------------------------------------------------------------

BAD = {
    "x0 empty": ({"x0": []}, "x0"),
    "x0 complex": ({"x0": [1j, 2.0]}, "x0"),
    "x0 NaN": ({"x0": [np.nan, 2.0]}, "x0"),
    "x0 non-numeric": ({"x0": ["a", "b"]}, "x0"),
    "x0 object": ({"x0": [object(), None]}, "x0"),
    "bounds too long": ({"bounds": [(0, 1)] * 3}, "bounds"),
    "bounds too short": ({"bounds": [(0, 1)]}, "bounds"),
    "bounds crossed": ({"bounds": [(0, 1), (2, 1)]}, "bound"),
    "bounds NaN": ({"bounds": [(0, 1), (np.nan, 1)]}, "bound"),
    "bounds triples": ({"bounds": [(0, 1, 2), (0, 1, 2)]}, "bounds"),
    "bounds non-numeric": ({"bounds": [("a", "b"), (0, 1)]}, "bounds"),
    "maxcor": ({"maxcor": 0}, "maxcor"),
    "maxls": ({"maxls": 0}, "maxls"),
    "ftol": ({"ftol": -1e-9}, "ftol"),
    "ftol NaN": ({"ftol": np.nan}, "ftol"),
    "gtol": ({"gtol": -1e-9}, "gtol"),
    "maxiter": ({"maxiter": -1}, "maxiter"),
    "maxfun": ({"maxfun": -1}, "maxfun"),
    "eps": ({"eps": -1e-8, "jac": None}, "eps"),
    "max_steplength": ({"max_steplength": -1.0}, "max_steplength"),
    "xtol_linesearch": ({"xtol_linesearch": -0.1}, "xtol_linesearch"),
    "eps_SY": ({"eps_SY": -1e-16}, "eps_SY"),
    "c1 zero": ({"ftol_linesearch": 0.0}, "ftol_linesearch"),
    "c1 above c2": ({"ftol_linesearch": 0.95}, "ftol_linesearch"),
    "c1 equals c2": ({"ftol_linesearch": 0.5, "gtol_linesearch": 0.5}, "_linesearch"),
    "c2 one": ({"gtol_linesearch": 1.0}, "gtol_linesearch"),
    "jac name": ({"jac": "4-point"}, "jac"),
    "jac type": ({"jac": 3.5}, "jac"),
    "fun": ({"fun": 3.0}, "fun"),
    "callback": ({"callback": 3}, "callback"),
    "callback in a list": ({"callback": [print, 3]}, "callback"),
    "update_fun_def": ({"update_fun_def": 3}, "update_fun_def"),
    "checkpoint": ({"checkpoint": 3}, "checkpoint"),
    "maxcor type": ({"maxcor": "ten"}, "maxcor"),
    "maxiter type": ({"maxiter": 2.5}, "maxiter"),
    "ftarget NaN": ({"ftarget": np.nan}, "ftarget"),
    "threads": ({"threads": 0}, "threads"),
    "workers": ({"workers": "two", "jac": "2-point"}, "workers"),
}


@pytest.mark.parametrize("case", list(BAD))
def test_bad_input_is_named_and_nothing_is_evaluated(case):
    kwargs, name = BAD[case]
    record = Counted()
    defaults = {"fun": record.fun, "jac": record.jac, "callback": record.fun}
    with pytest.raises((TypeError, ValueError), match=name):
        solve(**(defaults | kwargs))
    assert record.points == []


def test_bad_input_has_its_own_message():
    said = set()
    for kwargs, _ in BAD.values():
        with pytest.raises((TypeError, ValueError)) as caught:
            solve(**kwargs)
        said.add(str(caught.value))
    assert len(said) == len(BAD)


@pytest.mark.parametrize(
    "f",
    [[1.0, 2.0], np.ones(3), 1j, np.complex128(1 + 2j), "a", None, [], {}],
    ids=repr,
)
@pytest.mark.parametrize("joint", [True, False])
def test_f_must_be_a_real_scalar(f, joint):
    kwargs = {"fun": lambda x: (f, np.zeros(2)), "jac": True} if joint else {"fun": lambda x: f}
    with pytest.raises((TypeError, ValueError), match=r"(?i)fun|objective"):
        solve(**kwargs)


@pytest.mark.parametrize(
    "g",
    [np.zeros(3), np.zeros(1), np.zeros((2, 2)), [], 1.0, None, np.zeros(2) + 1j, ["a", "b"]],
    ids=["n + 1", "n - 1", "matrix", "empty", "scalar", "None", "complex", "str"],
)
@pytest.mark.parametrize("joint", [True, False])
def test_g_must_be_a_real_vector_of_n(g, joint):
    kwargs = {"fun": lambda x: (1.0, g), "jac": True} if joint else {"jac": lambda x: g}
    with pytest.raises((TypeError, ValueError), match=r"(?i)jac|grad"):
        solve(**kwargs)


@pytest.mark.parametrize("answer", [1.0, (1.0,), (1.0, np.zeros(2), 3), None])
def test_jac_true_needs_a_pair(answer):
    with pytest.raises((TypeError, ValueError), match="jac"):
        solve(fun=lambda x: answer, jac=True)


def test_bad_g_later_in_the_run_is_seen_too():
    calls = []

    def jac(x):
        calls.append(x)
        return rosen_grad(x) if len(calls) < 4 else np.zeros(3)

    with pytest.raises(ValueError, match=r"(?i)jac|grad"):
        solve(jac=jac)


def test_arguments_are_keywords_only():
    with pytest.raises(TypeError):
        minimize_lbfgsb(X0, rosen)


@pytest.mark.parametrize(
    ("gradient", "match"),
    [
        ([1j, 0.0], "the gradient must be real; got complex numbers"),
        (["steep", 0.0], "the gradient must be an array of real numbers; got"),
    ],
)
def test_a_gradient_of_objects_that_are_no_real_numbers_is_an_error(gradient, match):
    with pytest.raises(TypeError, match=match):
        solve(jac=lambda x: np.array(gradient, dtype=object))


def test_a_class_in_the_place_of_a_number_is_called_one():
    with pytest.raises(TypeError, match="ftol must be a real number; got the class float"):
        solve(ftol=float)
