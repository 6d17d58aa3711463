"""Pairs in single precision: what is rounded, that B is the matrix of what is kept, and that
nothing else changes."""

import copy
import pickle

import numpy as np
import pytest
from lbfgsb._core.options import defaults
from naive import bfgs_matrix, cauchy_point, core_solver, direction, drive, subspace_minimiser
from problems import assert_same_run, random_problem, rosen, rosen_fg, rosen_grad, same_bits

from lbfgsb import Solver, minimize_batch, minimize_lbfgsb

FLOAT32 = {"pairs": "float32"}
N = 60  # more than few variables


def is_single(a, units=None):
    """Are these doubles numbers of float32, times a power of 2 of each row?"""
    scaled = a if units is None else a / np.reshape(units, (-1, 1))
    return np.array_equal(scaled.astype(np.float32).astype(float), scaled)


def boxed(x0, n=N):
    return {"x0": x0, "bounds": [(-2, 0.8)] * n}


def start(seed=0, n=N):
    return np.random.default_rng(seed).uniform(-1.5, 0.7, n)


# --- what they are ------------------------------------------------------------------------


@pytest.mark.parametrize("bounded", [False, True])
@pytest.mark.parametrize("secant", [0, 1])
@pytest.mark.parametrize("extra", [0, 2])
def test_the_model_is_that_of_the_rounded_pairs(bounded, secant, extra):
    box = (np.full(N, -2.0), np.full(N, 0.8)) if bounded else (None, None)
    options = {"secant": secant, "extra_updates": extra}
    solver = core_solver(start(), *box, maxcor=5, compact=False, pairs=32, **options)
    lower, upper = (np.full(N, -np.inf), np.full(N, np.inf)) if not bounded else box
    for _ in drive(solver, rosen_fg, 25):
        S, Y, factors = solver._pairs()
        theta = factors[-1] * (Y[-1] @ Y[-1]) / (S[-1] @ Y[-1])
        assert solver._details["theta"] == pytest.approx(theta, rel=1e-12)
        B = bfgs_matrix(S, Y, theta, factors, extra)
        x, g = solver.x, solver.jac
        if bounded:
            x_cauchy, _, _ = cauchy_point(x, g, lower, upper, B)
            free = (lower < x_cauchy) & (x_cauchy < upper)
            d, _ = direction(
                x, g, lower, upper, x_cauchy, subspace_minimiser(x, g, B, x_cauchy, free)
            )
        else:
            d = -np.linalg.solve(B, g)
        solver._advance()
        np.testing.assert_allclose(solver._point() - x, d, rtol=0, atol=1e-7 * abs(d).max())


def test_only_the_pairs_are_rounded():
    solver = core_solver(start(), pairs=32)
    reference = {}
    for _ in drive(solver, lambda x: reference.setdefault(x.tobytes(), rosen_fg(x)), 12):
        assert same_bits(solver.jac, rosen_grad(solver.x))
        assert solver.fun == rosen(solver.x)
    snapshot = solver._snapshot()
    assert snapshot["S"].dtype == snapshot["Y"].dtype == np.float32
    S, Y, _ = solver._pairs()
    assert is_single(S, snapshot["units"][:, 0])
    assert is_single(Y, snapshot["units"][:, 1])
    assert not is_single(solver.x)
    assert (np.frexp(snapshot["units"])[0] == 0.5).all(), "powers of 2"


def test_inner_products_are_those_of_the_rounded_pairs():
    solver = core_solver(start(3), np.full(N, -2.0), np.full(N, 0.8), pairs=32, maxcor=4)
    for _ in drive(solver, rosen_fg, 9):
        S, Y, _ = solver._pairs()
        W = np.stack([S, Y], axis=1).reshape(-1, N)
        gram = solver._snapshot()["gram"]
        np.testing.assert_allclose(gram, W @ W.T, rtol=1e-13, atol=1e-13 * abs(gram).max())


def test_hess_inv_shows_them_as_float64():
    res = minimize_lbfgsb(x0=start(), fun=rosen_fg, jac=True, **FLOAT32)
    assert res.hess_inv.sk.dtype == res.hess_inv.yk.dtype == np.float64
    plain = minimize_lbfgsb(x0=start(), fun=rosen_fg, jac=True)
    assert not is_single(
        plain.hess_inv.sk / np.exp2(np.floor(np.log2(abs(plain.hess_inv.sk[0, 0]))))
    )


# --- sizes that float32 does not have -----------------------------------------------------


@pytest.mark.parametrize("f_size", [1e-100, 1e-50, 1.0, 1e50, 1e100])
@pytest.mark.parametrize("x_size", [1e-3, 1.0, 1e40])
def test_units_follow_the_size_of_f_and_x(f_size, x_size):
    def fun(x):
        f, g = rosen_fg(x / x_size)
        return f_size * f, f_size * (g / x_size)

    run = {"x0": start() * x_size, "fun": fun, "jac": True, "gtol": 0, "ftol": 0, "maxiter": 2000}
    run |= {"ftarget": 1e-6 * f_size}
    single, double = (minimize_lbfgsb(**run, **pairs) for pairs in (FLOAT32, {}))
    assert "TARGET" in single.message
    assert single.nfev <= 1.2 * double.nfev
    assert len(single.hess_inv.sk) == 10
    assert np.isfinite(single.hess_inv.sk).all()


def test_variables_of_different_sizes():
    scale = np.logspace(-12, 12, N)

    def fun(x):
        f, g = rosen_fg(x / scale)
        return f, g / scale

    res = minimize_lbfgsb(
        x0=start() * scale, fun=fun, jac=True, x_scale=scale, ftol=0, gtol=0, maxiter=150, **FLOAT32
    )
    same = minimize_lbfgsb(
        x0=start() * scale, fun=fun, jac=True, x_scale=scale, ftol=0, gtol=0, maxiter=150
    )
    assert res.fun < 1.5 * same.fun + 1e-3


# --- what does not change -----------------------------------------------------------------


@pytest.mark.parametrize("bounded", [False, True])
def test_evaluations_are_as_many(bounded):
    ratios = []
    for seed in range(12):
        run = {"x0": start(seed, 100), "fun": rosen_fg, "jac": True, "ftol": 0, "gtol": 1e-6}
        run |= {"maxiter": 2000, "bounds": [(-2, 0.8)] * 100 if bounded else None}
        single, double = minimize_lbfgsb(**run, **FLOAT32), minimize_lbfgsb(**run)
        assert single.success
        assert double.success
        ratios.append(single.nfev / double.nfev)
    assert np.exp(np.mean(np.log(ratios))) == pytest.approx(1, abs=0.05)


def test_up_to_32_variables_nothing_changes():
    for n in (1, 7, 32):
        run = {"x0": start(1, n), "fun": rosen_fg, "jac": True}
        assert_same_run(minimize_lbfgsb(**run, **FLOAT32), minimize_lbfgsb(**run))


@pytest.mark.parametrize("how", [pickle.dumps, None])
@pytest.mark.parametrize("bounded", [False, True])
@pytest.mark.parametrize("stop", [1, 3, 12, 30])
def test_a_resumed_run_has_the_same_bits(bounded, stop, how):
    run = {"fun": rosen_fg, "jac": True, "ftol": 0, "maxiter": 60, **FLOAT32}
    run |= {"bounds": [(-2, 0.8)] * N if bounded else None}
    whole = minimize_lbfgsb(x0=start(), **run)
    part = minimize_lbfgsb(x0=start(), **run | {"maxiter": stop})
    if how is not None:
        part = pickle.loads(how(part))
    assert_same_run(minimize_lbfgsb(x0=part.x, checkpoint=part, **run), whole)


def test_a_solver_copied_in_a_search_has_the_same_bits():
    solver = Solver(start(), bounds=[(-2, 0.8)] * N, **FLOAT32)
    for count in range(25):
        other = copy.deepcopy(solver) if count % 2 else pickle.loads(pickle.dumps(solver))
        solver.tell(*rosen_fg(solver.ask()))
        other.tell(*rosen_fg(other.ask()))
        assert same_bits(solver.ask(), other.ask())


@pytest.mark.parametrize("before", ["float64", "float32"])
def test_a_run_goes_on_with_the_other_type(before):
    after = "float32" if before == "float64" else "float64"
    for bounds in (None, [(-2, 0.8)] * N):
        run = {"fun": rosen_fg, "jac": True, "bounds": bounds, "ftol": 0, "maxiter": 500}
        part = minimize_lbfgsb(x0=start(), **run | {"maxiter": 15}, pairs=before)
        res = minimize_lbfgsb(x0=part.x, checkpoint=part, **run, pairs=after)
        assert res.success
        assert res.nit > 15


def test_threads_and_batches_give_the_same_bits():
    n = 100_000
    run = {"x0": start(2, n), "fun": rosen_fg, "jac": True, "bounds": [(-2, 0.8)] * n}
    run |= {"maxiter": 15, "ftol": 0, **FLOAT32}
    one = minimize_lbfgsb(**run)
    assert_same_run(minimize_lbfgsb(**run, threads=2), one)
    assert_same_run(minimize_lbfgsb(**run, threads=3), one)
    X = np.array([start(seed) for seed in range(4)])

    def rows(X):
        f, g = zip(*map(rosen_fg, X), strict=True)
        return np.array(f), np.array(g)

    batch = minimize_batch(rows, X, ftol=0, maxiter=40, **FLOAT32)
    for i, x0 in enumerate(X):
        single = minimize_lbfgsb(x0=x0, fun=rosen_fg, jac=True, ftol=0, maxiter=40, **FLOAT32)
        assert same_bits(batch.x[i], single.x)
        assert batch.nfev[i] == single.nfev


def test_the_memory_is_half():
    n, maxcor = 100_000, 30
    solvers = [Solver(np.zeros(n), maxcor=maxcor, pairs=pairs) for pairs in ("float64", "float32")]
    double, single = (solver._size for solver in solvers)
    assert single - 8 * 8 * n < 0.52 * double  # besides W there are vectors


def test_random_problems_end_where_they_should():
    for seed in range(20):
        problem = random_problem(seed, 50)
        run = {"x0": problem.x0, "fun": problem.fg, "jac": True, "bounds": problem.bounds}
        single, double = (minimize_lbfgsb(**run, **p, ftol=0, maxiter=500) for p in (FLOAT32, {}))
        assert single.success
        # Some have more than one minimum, of nearly the same f.
        assert single.fun == pytest.approx(double.fun, rel=1e-4, abs=1e-6)


# --- the option ---------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", ["float16", 32, None, "single"])
def test_what_is_no_type_is_refused(wrong):
    with pytest.raises(ValueError, match="pairs must be 'float64' or 'float32'"):
        minimize_lbfgsb(x0=[1.0, 2.0], fun=rosen_fg, jac=True, pairs=wrong)


def test_the_default_is_float64():
    assert defaults()["pairs"] == 64
