"""What users of other L-BFGS-B codes had to report; the thread is named above each test."""

import sys
import tracemalloc
from functools import partial

import numpy as np
import pytest
from problems import (
    BOX,
    X0,
    Counted,
    assert_same_run,
    bowl,
    bowl_grad,
    lines_run,
    log_barrier,
    log_barrier_grad,
    random_problem,
    rosen,
    rosen_fg,
    rosen_grad,
    run_python,
    same_bits,
)
from scipy.optimize import Bounds, LbfgsInvHessProduct, OptimizeResult, minimize

from lbfgsb import GradientWarning, Solver, minimize_lbfgsb

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

# --- scipy#22438, scipy#23191, optuna#6191, optuna#6753 -----------------------------------

SMALL_RUNS = """
import os
import numpy as np
import scipy.optimize
import lbfgsb

def threads():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("Threads"))

def fg(x):
    return 0.5 * ((x - 3.0) ** 4).sum(), 2.0 * (x - 3.0) ** 3

before = threads()
for n in 1, 3, 50, 2000:
    for _ in range(20):
        lbfgsb.minimize_lbfgsb(x0=np.zeros(n), fun=fg, jac=True, bounds=[(-1, 2)] * n)
        lbfgsb.minimize_lbfgsb(x0=np.zeros(n), fun=fg, jac=True, ftol=0)
print(threads() - before)
"""


@on_linux
def test_many_small_runs_start_no_thread():
    assert run_python(SMALL_RUNS) == "0"


# --- scipy#17864, jaxopt#351, L-BFGS-B-C#13, OptimKit.jl#29 -------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_a_result_of_scipy_is_a_warm_start(seed):
    p = random_problem(seed, 30)
    options = {"fun": p.fg, "jac": True, "bounds": p.bounds, "ftol": 1e-12, "maxiter": 500}
    stopped = minimize(
        p.fg, p.x0, jac=True, bounds=p.bounds, method="L-BFGS-B", options={"maxiter": 20}
    )
    record = Counted(p.fun, p.jac)
    warm = minimize_lbfgsb(x0=stopped.x, **options | {"fun": record.fg}, checkpoint=stopped)
    assert not any(same_bits(x, stopped.x) for x in record.points)
    assert warm.nfev == stopped.nfev + record.nfun
    assert warm.fun <= stopped.fun
    assert warm.success
    cold = minimize_lbfgsb(x0=stopped.x, **options)
    first_step = minimize_lbfgsb(
        x0=stopped.x, **options | {"maxiter": stopped.nit + 1}, checkpoint=stopped
    )
    assert first_step.hess_inv.n_corrs > 1
    assert record.nfun <= 1.5 * cold.nfev


def test_a_warm_start_uses_the_pairs_it_is_given():
    # With the exact curvature of a quadratic the first step lands on the minimum.
    scales = np.array([1.0, 4.0, 9.0])
    x0 = np.array([1.0, 1.0, 1.0])
    pairs = LbfgsInvHessProduct(np.eye(3), np.diag(scales))
    checkpoint = OptimizeResult(
        x=x0, fun=0.5 * scales.sum(), jac=scales * x0, nfev=1, njev=1, nit=0, hess_inv=pairs
    )
    res = minimize_lbfgsb(
        x0=x0,
        fun=lambda x: (0.5 * (scales * x**2).sum(), scales * x),
        jac=True,
        checkpoint=checkpoint,
    )
    assert (res.nit, res.nfev) == (1, 2)
    np.testing.assert_allclose(res.x, 0.0, atol=1e-12)


# --- scipy#23161 --------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [-1.0, -0.5])
def test_a_wrong_gradient_is_no_success(factor):
    with pytest.warns(GradientWarning, match="f changed by"):
        res = minimize_lbfgsb(x0=[8.0, -5.0], fun=bowl, jac=lambda x: factor * bowl_grad(x))
    assert res.success is False
    assert res.fun == bowl(res.x)


# --- scipy#19396, scikit-learn#17125 ------------------------------------------------------


def test_long_bounds_take_no_python_loop():
    def run(n, form):
        lower, upper = np.full(n, -1.0), np.full(n, 0.5)
        bounds = Bounds(lower, upper) if form == "Bounds" else np.array([lower, upper]).T
        kwargs = {"x0": np.zeros(n), "fun": rosen_fg, "jac": True, "maxiter": 0}
        return partial(minimize_lbfgsb, bounds=bounds, **kwargs)

    whole = minimize_lbfgsb(
        x0=np.zeros(10_000), fun=rosen_fg, jac=True, maxiter=0, bounds=[(-1.0, 0.5)] * 10_000
    )
    for form in "pairs", "Bounds":
        assert lines_run(run(10_000, form)) == lines_run(run(10, form))
        assert same_bits(run(10_000, form)().x, whole.x)


MEMORY = """
import numpy as np
import lbfgsb
import scipy.optimize

n, m = 400_000, 20
x0, g, r = np.full(n, -0.5), np.zeros(n), np.zeros(n)
lower, upper = np.full(n, -1.0), np.full(n, 0.9)
bounds = scipy.optimize.Bounds(lower, upper)

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))

scale = np.linspace(1.0, 300.0, n)
target = np.where(np.arange(n) % 3 == 0, 0.95, 0.3)

def fg(x):
    np.subtract(x, target, out=r)
    np.multiply(scale, r, out=g)
    np.multiply(g, r, out=r)
    return 0.5 * r.sum(), g

fg(x0)
before = peak()
state = []
res = lbfgsb.minimize_lbfgsb(
    x0=x0, fun=fg, jac=True, bounds=bounds, maxcor=m, ftol=0, gtol=0, maxiter=m + 5,
    callback=lambda xk: state.append(peak()))
print(res.nit, (state[-1] - before) / (8 * n))
"""


@on_linux
def test_memory_is_w_and_a_dozen_vectors():
    nit, vectors = run_python(MEMORY).split()
    assert int(nit) >= 22  # More than maxcor: every column of W was written.
    # W, twelve vectors, three index lists, and the two vectors that the callback and fun hold.
    assert float(vectors) <= 2 * 20 + 12 + 3 + 2


def test_repeated_runs_do_not_leak():
    def run():
        p = random_problem(1, 2000)
        res = minimize_lbfgsb(x0=p.x0, fun=p.fg, jac=True, bounds=p.bounds, maxiter=20)
        minimize_lbfgsb(x0=res.x, fun=p.fg, jac=True, bounds=p.bounds, checkpoint=res, maxiter=25)

    run()
    tracemalloc.start()
    run()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(5):
        run()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert after - before < 2000 * 8


def test_x0_is_copied_into_the_solver_and_nowhere_else():
    n = 100_000
    x0 = np.zeros(n)
    peaks = []

    class Begin:
        def begin_run(self, state):
            peaks.append(tracemalloc.get_traced_memory()[1] - before)

        def __call__(self, xk):
            pass

    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    minimize_lbfgsb(x0=x0, fun=rosen, jac=rosen_grad, callback=Begin(), maxiter=1)
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    Solver(x0)
    peaks.append(tracemalloc.get_traced_memory()[1] - before)
    tracemalloc.stop()
    # What NumPy allocates is traced, the solver's own block is not.
    assert max(peaks) < n


# --- scipy#10919, #11403, #13740, optimagic#127 -------------------------------------------


@pytest.mark.parametrize("scale", [1e-300, 1e-12, 0.1, 1.0, 3.3, 1e6, 1e15])
def test_no_x_leaves_the_bounds_by_an_ulp(scale):
    rng = np.random.default_rng(7)
    for _ in range(10):
        lower = scale * rng.normal(size=20)
        upper = lower + scale * rng.exponential(size=20) ** 8
        upper[::4] = np.nextafter(lower[::4], np.inf)
        target = scale * rng.normal(scale=3.0, size=20)

        def fun(x, lower=lower, upper=upper, target=target):
            assert (lower <= x).all()
            assert (x <= upper).all()
            z = (x - target) / scale
            return (z**2 + np.cos(5 * z)).sum(), (2 * z - 5 * np.sin(5 * z)) / scale

        res = minimize_lbfgsb(
            x0=rng.uniform(lower, upper),
            fun=fun,
            jac=True,
            bounds=np.array([lower, upper]).T,
            ftol=1e-13,
            gtol=0,
        )
        assert (lower <= res.x).all()
        assert (res.x <= upper).all()


# --- scipy#8419, #8373 --------------------------------------------------------------------


def test_arrays_kept_by_a_callback_do_not_change():
    kept, copies = [], []

    def callback(xk):
        kept.append(xk)
        copies.append(xk.copy())

    res = minimize_lbfgsb(x0=X0, fun=rosen_fg, jac=True, callback=callback)
    assert same_bits(kept, copies)
    assert len({x.tobytes() for x in kept}) == res.nit


# --- scipy#7854, #8372 --------------------------------------------------------------------


@pytest.mark.parametrize("maxiter", [1, 2, 5, 10])
def test_maxiter_and_callbacks_add_up(maxiter):
    calls = []
    res = minimize_lbfgsb(
        x0=X0, fun=rosen_fg, jac=True, bounds=BOX, maxiter=maxiter, callback=calls.append
    )
    assert res.nit == len(calls) == maxiter
    converged = []
    res = minimize_lbfgsb(x0=X0, fun=rosen_fg, jac=True, callback=converged.append)
    assert res.nit == len(converged)
    assert same_bits(res.x, converged[-1])


# --- scipy#6162 ---------------------------------------------------------------------------


@pytest.mark.parametrize("jac", [rosen_grad, None, "2-point", "3-point"])
def test_fun_is_f_of_x_after_maxfun(jac):
    for maxfun in range(1, 40):
        res = minimize_lbfgsb(x0=X0, fun=rosen, jac=jac, maxfun=maxfun)
        assert same_bits(res.fun, rosen(res.x))


# --- scipy#4793, #5161, pytorch#5953, botorch#184 -----------------------------------------


def test_nan_is_backed_off_from_and_never_a_success():
    res = minimize_lbfgsb(x0=[5.0, 2.0], fun=log_barrier, jac=log_barrier_grad, ftol=1e-12)
    np.testing.assert_allclose(res.x, 0.1, rtol=1e-4)
    assert res.success
    res = minimize_lbfgsb(x0=[5.0, 2.0], fun=lambda x: np.nan, jac=lambda x: np.full(2, np.nan))
    assert res.success is False
    res = minimize_lbfgsb(x0=[5.0, 2.0], fun=bowl, jac=lambda x: np.full(2, np.nan))
    assert res.success is False


# --- scipy#12869, #21537 ------------------------------------------------------------------


@pytest.mark.parametrize("jac", [rosen_grad, None, "2-point", "3-point", "cs"])
def test_equal_bounds_with_numerical_gradients_and_callbacks(jac):
    n, fixed = 5, np.array([False, True, False, False, True])
    bounds = [(0.5, 0.5) if f else (-2.0, 2.0) for f in fixed]
    record = Counted()
    iterates, states = [], []
    res = minimize_lbfgsb(
        x0=np.zeros(n),
        fun=record.fun,
        jac=jac,
        bounds=bounds,
        callback=[
            iterates.append,
            lambda xk, state: states.append((state.x, state.jac)) and False,
        ],
        gtol=1e-4,
        ftol=1e-12,
        maxiter=200,
    )
    assert res.success
    for x in iterates:
        assert x.shape == (n,)
        assert (x[fixed] == 0.5).all()
    for x, g in states:
        assert x.shape == g.shape == (n,)
        assert np.isfinite(g).all()
    assert res.jac.shape == (n,)
    assert all((p.real[fixed] == 0.5).all() for p in record.points)
    best = minimize_lbfgsb(
        x0=np.zeros(n), fun=rosen, jac=rosen_grad, bounds=bounds, ftol=1e-15, maxiter=500
    )
    np.testing.assert_allclose(res.x, best.x, atol=1e-2)


@pytest.mark.parametrize("jac", [None, "2-point", "3-point", "cs"])
def test_all_bounds_equal_with_numerical_gradients(jac):
    res = minimize_lbfgsb(x0=X0, fun=rosen, jac=jac, bounds=[(0.5, 0.5), (-1, -1)])
    assert same_bits(res.x, [0.5, -1.0])
    assert res.success
    assert np.isfinite(res.jac).all()
    assert res.nit == 0


# --- optyx#129 ----------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 40, 700])
def test_infinite_bounds_give_the_bits_of_no_bounds(n):
    p = random_problem(n, n)
    kwargs = {"x0": p.x0, "fun": p.fg, "jac": True, "ftol": 1e-11, "maxiter": 200}
    free = minimize_lbfgsb(**kwargs)
    infinite = np.tile([-np.inf, np.inf], (n, 1))
    for bounds in [(None, None)] * n, [(-np.inf, np.inf)] * n, Bounds(), infinite:
        assert_same_run(minimize_lbfgsb(bounds=bounds, **kwargs), free)


def test_infinite_bounds_cost_nothing():
    """The run is that of a problem without bounds, with its fewer vectors and branches."""
    n = 1000
    infinite = np.tile([-np.inf, np.inf], (n, 1))
    for bounds in [(None, None)] * n, Bounds(*infinite.T), infinite:
        solver = Solver(np.zeros(n), bounds=bounds)
        assert solver._bounds == Solver(np.zeros(n))._bounds == (None, None)
