"""The precision of f as part of the problem: single precision, noise, false ends, kinks.

A run at the resolution of f has converged; one along a wrong gradient has not. Each input here once
made a run end wrongly, or stands for those that did.
"""

import pickle
import warnings

import numpy as np
import pytest
from compiled import as_low_level
from lbfgsb._core.objective import find_precision
from problems import assert_same_run, rosen, rosen_fg, rosen_grad
from scipy.optimize import minimize as scipy_minimize

import lbfgsb
from lbfgsb import GradientWarning, Solver, check_gradient, diagnose, minimize_batch
from lbfgsb import minimize_lbfgsb as minimize
from lbfgsb._gradient import FiniteDifference
from lbfgsb._noise import estimate_noise, noise_of_values, way_inside

OPTIONS = {"ftol": 2.2e-9, "gtol": 1e-5, "maxiter": 5000}
TIGHT = {"ftol": 0, "gtol": 1e-9, "maxiter": 5000}


class Asked:
    """An objective that keeps the points it was asked for."""

    def __init__(self, fun):
        self.fun, self.points = fun, []

    def __call__(self, x):
        self.points.append(x.tobytes())
        return self.fun(x)

    @property
    def repeated(self):
        return len(self.points) - len(set(self.points))


def solve(fun, x0, **options):
    """Minimise; a GradientWarning is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", GradientWarning)
        return minimize(x0=x0, fun=fun, jac=True, **(OPTIONS | options))


def cast(fun):
    """The same values without their type."""

    def lost(x):
        f, g = fun(x)
        return float(f), np.asarray(g, dtype=np.float64)

    return lost


# Single precision ----------------------------------------------------------------------------


def single_quadratic(seed):
    """A quadratic with an offset in float32, its n, and the error of f at x without rounding."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(5, 40))
    d = np.logspace(-1, rng.uniform(1, 4), n).astype("f4")
    c = rng.normal(size=n).astype("f4")
    offset = np.float32(rng.uniform(0, 10))

    def fun(x):
        z = x.astype("f4") - c
        return offset + (d * z * z).sum(), 2 * d * z

    return fun, n, lambda x: float((d.astype(float) * (x - c) ** 2).sum()) / max(1.0, offset)


def single_logistic(seed, n=10, m=200):
    """Logistic regression in float32, and the error of its exact f relative to the minimum."""
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(m, n))
    signs = np.sign(A @ rng.normal(size=n) + rng.normal(size=m))
    B = (A * signs[:, None]).astype("f4")
    exact = B.astype(float)

    def fun(x):
        w = x.astype("f4")
        t = B @ w
        f = np.log1p(np.exp(-t)).sum(dtype="f4") + np.float32(0.005) * (w @ w)
        return f, np.float32(0.01) * w - B.T @ (1 / (1 + np.exp(t)))

    def true(x):
        t = exact @ x
        return np.log1p(np.exp(-t)).sum() + 0.005 * x @ x, 0.01 * x - exact.T @ (
            1 / (1 + np.exp(t))
        )

    best = minimize(x0=np.zeros(n), fun=true, jac=True, ftol=0, gtol=1e-10, maxiter=500).fun
    return fun, n, lambda x: (true(x)[0] - best) / best


@pytest.mark.parametrize("typed", [True, False])
def test_single_precision_ends_well_with_and_without_its_type(typed):
    ratios, further = [], 0
    for problem in (single_quadratic, single_logistic):
        ends = 0
        for seed in range(12):
            fun, n, error = problem(seed)
            told = fun if typed else cast(fun)
            res = solve(told, np.zeros(n))
            reference = scipy_minimize(told, np.zeros(n), jac=True, method="L-BFGS-B")
            ends += res.success
            ratios.append(res.nfev / reference.nfev)
            further += error(res.x) <= error(reference.x)
            assert error(res.x) < 4e-5
            assert res.fun == fun(res.x)[0]
        assert ends >= 11
    assert np.exp(np.mean(np.log(ratios))) < 1
    assert further >= 18  # of 24


def regularised(seed):
    """Softmax regression on float32 data as libraries do it, and x0.

    The loss is computed in single precision and cast, the penalty in double: along the shortest
    steps f follows the slope of the penalty, which is not that of the gradient.
    """
    rng = np.random.default_rng(seed)
    n, k, m = int(rng.integers(2, 20)), 3, 150
    A = (rng.normal(size=(m, n)) * np.logspace(0, -rng.integers(0, 3), n)).astype("f4")
    labels, penalty = rng.integers(0, k, m), 10.0 ** rng.integers(-6, 0)

    def fun(x):
        z = A @ x.astype("f4").reshape(n, k)
        z -= z.max(axis=1, keepdims=True)
        p = np.exp(z)
        p /= p.sum(axis=1, keepdims=True)
        loss = -np.log(p[np.arange(m), labels]).mean(dtype="f4")
        p[np.arange(m), labels] -= 1
        slopes = (A.T @ p / m).astype(float).ravel()
        return float(loss) + penalty * x @ x, slopes + 2 * penalty * x

    return fun, np.zeros(n * k)


def test_a_loss_in_single_precision_beside_a_penalty_in_double_ends_well():
    tight = {"ftol": 1e-12, "gtol": 1e-6}
    nfev = scipy_nfev = 0
    for seed in range(20):
        fun, x0 = regularised(seed)
        res = solve(fun, x0, **tight)
        reference = scipy_minimize(fun, x0, jac=True, method="L-BFGS-B", options=tight)
        assert res.success
        assert res.fun <= reference.fun + 2e-6 * abs(reference.fun)  # some units of float32
        nfev, scipy_nfev = nfev + res.nfev, scipy_nfev + reference.nfev
    assert nfev < scipy_nfev


@pytest.mark.parametrize("wrong", [lambda g: -g, lambda g: g[::-1]])
def test_beside_a_penalty_a_wrong_gradient_does_not_converge(wrong):
    for seed in range(10):
        fun, x0 = regularised(seed)

        def told(x, fun=fun):
            f, g = fun(x)
            return f, wrong(g)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GradientWarning)
            res = minimize(x0=x0, fun=told, jac=True, ftol=1e-12, gtol=1e-6)
        assert not res.success


@pytest.mark.parametrize("size", [1e-30, 1e-40, 1e-60])
def test_a_first_step_that_is_far_too_long_is_no_convergence(size):
    def fun(x):
        return rosen(x / size), rosen_grad(x / size) / size

    x0 = np.array([-1.2, 1.0]) * size
    res = solve(fun, x0, **TIGHT)
    assert not res.success or res.fun < 1e-9
    assert solve(fun, x0, **TIGHT, x_scale=size).fun < 1e-9


def test_the_example_of_the_field():
    d, c = np.logspace(-1, 2, 20).astype("f4"), np.linspace(-1, 1, 20).astype("f4")

    def fun(x):
        z = x.astype("f4") - c
        return np.float32(5) + (d * z * z).sum(), 2 * d * z

    res = solve(fun, np.zeros(20))
    assert res.success
    assert "FTOL" in res.message or "PGTOL" in res.message
    assert res.fun == pytest.approx(5, abs=1e-5)


@pytest.mark.parametrize("typed", [True, False])
@pytest.mark.parametrize("noise", [0.0, 1e-7])
def test_the_wrong_sign_does_not_converge_at_any_precision(typed, noise):
    ended = 0
    for seed in range(8):
        fun, n, _ = single_logistic(seed)
        rng = np.random.default_rng(seed)

        def wrong(x, fun=fun, rng=rng):
            f, g = fun(x)
            return f * np.float32(1 + noise * rng.uniform(-1, 1)), -g

        with pytest.warns(GradientWarning):
            res = minimize(x0=np.zeros(n), fun=wrong if typed else cast(wrong), jac=True)
        ended += res.success
    assert ended == 0


@pytest.mark.parametrize(
    ("value", "precision"),
    [
        (1.0, 0),
        (np.float64(1), 0),
        (np.float32(1), 2.0**-23),
        (np.float16(1), 2.0**-10),
        (np.ones(3, "f4"), 2.0**-23),
        (np.array(1.0, "f2"), 2.0**-10),
        (np.longdouble(1), 0),
        (np.ones(2, dtype=int), 0),
        ([1.0], 0),
        (3, 0),
    ],
)
def test_the_precision_of_a_type(value, precision):
    assert find_precision(value) == precision


def test_types_of_other_libraries_by_name_array_and_dlpack():
    class Tensor:
        def __init__(self, dtype):
            self.dtype = dtype

    class TorchType:
        def __repr__(self):
            return "torch.bfloat16"

    class NamedType:
        name = "float32"

    class Arrays:
        def __array__(self, dtype=None, copy=None):
            return np.ones(2, "f4")

    class Capsules:
        def __dlpack__(self, **options):
            return np.ones(2, "f4").__dlpack__(**options)

        def __dlpack_device__(self):
            return np.ones(2, "f4").__dlpack_device__()

    assert find_precision(Tensor(TorchType())) == 2.0**-7
    assert find_precision(Tensor(NamedType())) == 2.0**-23
    assert find_precision(Arrays()) == find_precision(Capsules()) == 2.0**-23


@pytest.mark.parametrize("jac", [True, "split", None])
def test_the_precision_is_found_at_the_start_and_kept(jac):
    def fun(x):
        return np.float32((x * x).sum())

    def gradient(x):
        return 2 * x

    def pair(x):
        return fun(x), gradient(x)

    solver = Solver([3.0, 4.0])
    solver.ask()
    solver.tell(*pair(np.array([3.0, 4.0])))
    assert solver._precision == 2.0**-23
    assert pickle.loads(pickle.dumps(solver))._precision == 2.0**-23
    solver = Solver([3.0, 4.0], fun_precision=1e-3)
    solver.ask()
    solver.tell(*pair(np.array([3.0, 4.0])))
    assert solver._precision == 1e-3
    chosen = {True: (pair, True), "split": (fun, gradient), None: (fun, None)}[jac]
    res = minimize(x0=[3.0, 4.0], fun=chosen[0], jac=chosen[1])
    assert res.__dict__["_memory"].snapshot()["numbers"][7] == 2.0**-23


def test_a_batch_finds_the_precision_and_is_told_it():
    rng = np.random.default_rng(0)
    c = rng.normal(size=(6, 4)).astype("f4")

    def fun(X, c):
        Z = X.astype("f4") - c
        return np.float32(5) + (Z**4 + Z**2).sum(axis=1), 4 * Z**3 + 2 * Z

    starts = np.zeros((6, 4))
    for options in ({}, {"fun_precision": 1e-5}):
        batch = minimize_batch(fun, starts, args=(c,), ftol=0, gtol=0, **options)
        for i in range(6):
            alone = minimize(
                x0=starts[i],
                fun=lambda x, i=i: tuple(v[0] for v in fun(x[None], c[i : i + 1])),
                jac=True,
                ftol=0,
                gtol=0,
                **options,
            )
            assert batch.x[i].tobytes() == alone.x.tobytes()
            assert (batch.nfev[i], batch.message[i]) == (alone.nfev, alone.message)


@pytest.mark.parametrize("bad", [0, -1e-3, 1, np.nan, np.inf])
def test_a_bad_precision_names_the_argument(bad):
    with pytest.raises(ValueError, match="fun_precision"):
        minimize(x0=[1.0], fun=rosen_fg, jac=True, fun_precision=bad)


def test_scipys_door_takes_the_precision():
    told = scipy_minimize(
        lambda x: (1 + x @ x, 2 * x),
        [3.0, 4.0],
        jac=True,
        method=lbfgsb.scipy_method,
        options={"fun_precision": 1e-3},
    )
    assert told.success


# Noise ---------------------------------------------------------------------------------------


def noisy_quadratic(seed, level, n=20):
    """f with an error that depends on x alone, and the error of its exact value."""
    rng = np.random.default_rng(seed)
    d, c = np.logspace(0, rng.uniform(1, 4), n), rng.normal(size=n)

    def fun(x):
        word = np.random.default_rng(np.frombuffer(x.tobytes(), np.uint32)).uniform(-1, 1)
        return (1 + (d * (x - c) ** 2).sum()) * (1 + level * word), 2 * d * (x - c)

    return fun, lambda x: float((d * (x - c) ** 2).sum())


@pytest.mark.parametrize("level", [1e-8, 1e-6, 1e-4])
@pytest.mark.parametrize("told", [True, False])
def test_a_noisy_function_is_minimised_to_its_noise(level, told):
    errors, reference = [], []
    nfev = scipy_nfev = 0
    for seed in range(6):
        fun, error = noisy_quadratic(seed, level)
        asked = Asked(fun)
        options = {"fun_precision": level} if told else {}
        res = solve(asked, np.zeros(20), ftol=1e-14, **options)
        theirs = scipy_minimize(
            fun, np.zeros(20), jac=True, method="L-BFGS-B", options={"ftol": 1e-14, "gtol": 1e-5}
        )
        assert res.success
        assert asked.repeated == 0
        errors.append(error(res.x))
        reference.append(error(theirs.x))
        nfev, scipy_nfev = nfev + res.nfev, scipy_nfev + theirs.nfev
    assert np.exp(np.mean(np.log(errors))) < np.exp(np.mean(np.log(reference)))
    assert nfev < scipy_nfev


def test_a_noisy_run_resumes_to_the_same_bits():
    fun, _ = noisy_quadratic(3, 1e-5)
    for options in ({"fun_precision": 1e-5}, {}):
        options = {"ftol": 1e-14, "gtol": 1e-5, "maxiter": 400} | options
        whole = minimize(x0=np.zeros(20), fun=fun, jac=True, **options)
        for stop in range(1, whole.nfev, 7):
            part = minimize(x0=np.zeros(20), fun=fun, jac=True, **(options | {"maxfun": stop}))
            rest = minimize(x0=part.x, fun=fun, jac=True, checkpoint=part, **options)
            assert_same_run(rest, whole)


@pytest.mark.parametrize("level", [1e-12, 1e-8, 1e-4])
def test_hammings_table_finds_the_noise(level):
    rng = np.random.default_rng(1)
    found = []
    for _ in range(30):
        x, v = rng.normal(size=8), rng.normal(size=8)
        f = rosen(x)
        noise, nfev = estimate_noise(
            lambda t, x=x, v=v: rosen(x + t * v) * (1 + level * rng.uniform(-1, 1)), 1e-6
        )
        assert noise.kind == "found"
        assert nfev >= 7
        found.append(noise.level / (level * f / np.sqrt(3)))
    assert 0.8 < np.median(found) < 1.25
    assert 0.2 < min(found) < max(found) < 3


def test_hammings_table_says_what_is_wrong_with_a_step():
    assert noise_of_values(np.ones(7)).kind == "step too short"
    assert noise_of_values(np.exp(np.arange(7.0))).kind == "step too long"
    assert noise_of_values([1, 2, np.nan, 3]).kind == "not finite"


def test_differences_that_do_not_change_their_sign_are_no_noise():
    # First differences of 0 and 1 alone; second ones of 1 and -1, of the variance σ² 4! / 2!².
    for stairs in np.arange(7) // 2, -(np.arange(7) // 2):
        noise = noise_of_values(stairs)
        assert (noise.kind, noise.level) == ("found", pytest.approx(6**-0.5))


def test_a_walk_goes_where_there_is_more_room_and_leaves_what_is_fixed():
    x = np.array([0.0, 10.0, -300.0, 2.0, 0.5])
    lower = np.array([-np.inf, 0.0, -301.0, 2.0, 0.0])
    upper = np.array([np.inf, 11.0, np.inf, 2.0, 1.0])
    way = way_inside(x, lower, upper)
    assert np.sign(way).tolist() == [1, -1, 1, 0, 1]
    ratios = abs(way / np.maximum(1, abs(x)))[way != 0]
    assert (ratios >= 0.75).all()
    assert (ratios < 1.25).all()
    assert len(set(ratios)) == 4


def test_check_gradient_knows_single_precision_and_still_finds_mistakes():
    for seed in range(25):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(3, 30))
        A = rng.normal(size=(3 * n, n)).astype("f4")
        b = 3 * rng.normal(size=3 * n).astype("f4")

        def fun(x, A=A, b=b):
            r = A @ x.astype("f4") - b
            return (r * r).sum(dtype="f4")

        def jac(x, A=A, b=b):
            return 2 * (A.T @ (A @ x.astype("f4") - b))

        x = rng.normal(size=n)
        k = int(np.argmax(np.abs(jac(x))))

        def wrong(x, k=k, jac=jac):
            g = jac(x)
            g[k] *= 1.5
            return g

        for type_ in (lambda v: v, float):
            assert check_gradient(lambda x, t=type_: t(fun(x)), jac, x).ok
        assert k in check_gradient(fun, wrong, x).wrong


def test_diagnose_says_how_noisy_f_is():
    fun, _ = noisy_quadratic(0, 1e-5)
    res = minimize(x0=np.zeros(20), fun=fun, jac=True, ftol=1e-14)
    noise = diagnose(res, fun, True)["noise"].numbers["noise"]
    assert 0.3 < noise / (1e-5 / np.sqrt(3) * res.fun) < 3


@pytest.mark.parametrize("jac", [None, "2-point", "3-point"])
def test_differences_of_a_function_in_single_precision(jac):
    def fun(x):
        z = x.astype("f4")
        return (np.float32(1) + (z - np.arange(1, 5, dtype="f4")) ** 2).sum(dtype="f4")

    told = minimize(x0=np.zeros(4), fun=fun, jac=jac)
    lost = minimize(x0=np.zeros(4), fun=lambda x: float(fun(x)), jac=jac, fun_precision=1e-7)
    for res in (told, lost):
        np.testing.assert_allclose(res.x, np.arange(1.0, 5.0), atol=2e-2)


def test_a_step_of_the_user_is_kept():
    gradient = FiniteDifference(lambda x: np.float32(x @ x), "2-point", abs_step=1e-3)
    seen = []
    gradient._fun = lambda x: seen.append(x.copy()) or np.float32(x @ x)
    gradient(np.zeros(1), np.float32(0))
    assert seen[0][0] == 1e-3


# No point twice, no step that is none --------------------------------------------------------


def test_no_point_is_asked_for_twice_in_a_search():
    for level in (0.0, 1e-12, 1e-6, 1e-3):
        for seed in range(8):
            fun, _ = noisy_quadratic(seed, level)
            solver = Solver(np.zeros(20), ftol=0, gtol=0, maxiter=300)
            seen = set()
            while not solver.done:
                x = solver.ask()
                key = x.tobytes()
                assert key not in seen
                seen.add(key)
                before = solver._details["restarts"]
                if solver.tell(*fun(x)) or solver._details["restarts"] != before:
                    seen = {solver.x.tobytes()}


def test_a_null_step_is_not_a_success():
    """The full step meets infinity; a step of nothing was taken for convergence."""
    w = 0.7 ** np.arange(10)

    def fun(x):
        with np.errstate(all="ignore"):
            f = 100 * (x.sum() - 1000) ** 2 - w @ np.log(x)
            return (f if np.isfinite(f) else np.inf), 200 * (x.sum() - 1000) - w / x

    res = solve(fun, np.full(10, 100.0), bounds=[(0, None)] * 10, **TIGHT)
    assert res.success
    assert res.fun == pytest.approx(-16.2084, abs=1e-4)


def test_stiff_barriers_end_at_their_minimum():
    for seed in range(8):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(5, 15))
        w = rng.uniform(0.5, 0.9) ** np.arange(n)
        stiff, total = 10.0 ** rng.uniform(0, 4, size=2)

        def fun(x, w=w, stiff=stiff, total=total):
            with np.errstate(all="ignore"):
                f = stiff * (x.sum() - total) ** 2 - w @ np.log(x)
                g = 2 * stiff * (x.sum() - total) - w / x
            return (f if np.isfinite(f) else np.inf), g

        near = fun(w / w.sum() * total)[0]  # the minimum but for the slope of the penalty
        for start in (total / n, 1.0, total):
            res = solve(fun, np.full(n, start), bounds=[(0, None)] * n, **TIGHT)
            assert not res.success or res.fun <= near + 1e-6 * max(1.0, abs(near))


BOXES = {"free": None, "box": (-1e3, 1e3), "half": (0, None)}


def scaled_box(kind, c):
    if BOXES[kind] is None:
        return None
    return [tuple(None if side is None else side * c for side in BOXES[kind])] * 2


@pytest.mark.parametrize("kind", BOXES)
@pytest.mark.parametrize("c", [1e30, 1e18, 1.0, 1e-30])
def test_the_size_of_x_does_not_matter(kind, c):
    def fun(x):
        return ((x - 3 * c) ** 2).sum() / c, 2 * (x - 3 * c) / c

    res = solve(
        fun, np.array([10 * c, 9 * c]), bounds=scaled_box(kind, c), ftol=0, gtol=0, maxiter=500
    )
    assert res.success
    assert res.nit > 0
    np.testing.assert_allclose(res.x, 3 * c, rtol=1e-9)


@pytest.mark.parametrize("kind", BOXES)
@pytest.mark.parametrize("unit", [1e-34, 1e-60, 1e34])
def test_the_size_of_f_does_not_matter(kind, unit):
    def fun(x):
        f, g = rosen_fg(x)
        return unit * f, unit * g

    res = solve(
        fun,
        np.array([1.5, 2.5]),
        bounds=None if BOXES[kind] is None else [BOXES[kind]] * 2,
        ftol=0,
        gtol=0,
        maxiter=500,
    )
    assert res.success
    np.testing.assert_allclose(res.x, 1, rtol=1e-6)


def test_a_checkpoint_without_pairs_takes_a_step_of_unit_length():
    def fun(x):
        f, g = rosen_fg(x)
        return 1e15 * f, 1e15 * g

    options = {"ftol": 1e-12, "gtol": 1e-5, "maxiter": 500}
    part = minimize(x0=[-1.2, 1.0], fun=fun, jac=True, maxiter=8)
    del part["hess_inv"]
    rest = solve(fun, part.x, checkpoint=part, bounds=[(-50, None)] * 2, **options)
    assert rest.nit > part.nit
    assert rest.fun < 1e-3
    assert rest.nfev < 100


def test_pairs_are_kept_whatever_the_scale_of_f_is():
    def fun(x):
        f, g = rosen_fg(x)
        return 1e20 * f, 1e20 * g

    run = {"fun": fun, "jac": True, "maxcor": 10, "maxiter": 8}
    part = minimize(x0=[-1.2, 1.0], bounds=[(-9, 9)] * 2, **run)
    rest = minimize(x0=part.x, checkpoint=part, bounds=[(-8, 9)] * 2, **run)
    assert rest.hess_inv.n_corrs == part.hess_inv.n_corrs == 8


@pytest.mark.parametrize("high", [1e12, 1e18, 100, None])
@pytest.mark.parametrize("low", [1e-12, 0])
def test_a_huge_box_is_no_obstacle(high, low):
    def fun(x):
        return x[0] + 1 / x[0], np.array([1 - 1 / x[0] ** 2])

    res = solve(fun, [1e-6], bounds=[(low, high)], ftol=1e-12, maxiter=500)
    assert res.success
    assert res.x[0] == pytest.approx(1, rel=1e-4)
    assert res.nfev < 100


def test_a_compiled_objective_that_stops_at_the_start_is_no_success():
    stops = as_low_level(lambda x, g: (1,))
    res = minimize(x0=[1.0, 2.0], fun=stops)
    assert np.isnan(res.fun)
    assert (res.status, res.success) == (3, False)
    batch = minimize_batch(stops, np.ones((2, 2)))
    assert batch.status.tolist() == [3, 3]
    assert not batch.success.any()


# Kinks ---------------------------------------------------------------------------------------


def ackley(x):
    n = x.size
    r = np.sqrt(x @ x / n)
    a, b = np.exp(-0.2 * r), np.exp(np.cos(2 * np.pi * x).mean())
    g = 4 * a * x / (n * max(r, 1e-300)) + 2 * np.pi / n * b * np.sin(2 * np.pi * x)
    return -20 * a - b + 20 + np.e, g


def norm(x):
    r = np.linalg.norm(x - 1)
    return r, (x - 1) / max(r, 1e-300)


def absolute(x):
    return np.abs(x - 0.3).sum(), np.sign(x - 0.3)


def largest(x):
    i = int(np.argmax(np.abs(x)))
    g = np.zeros(x.size)
    g[i] = np.sign(x[i])
    return abs(x[i]), g


@pytest.mark.parametrize("fun", [ackley, norm, absolute, largest])
def test_a_kink_does_not_accuse_the_gradient(fun):
    rng = np.random.default_rng(5)
    for x0 in [np.array([1.234, -2.345]), *rng.normal(scale=0.3, size=(20, 2))]:
        res = solve(fun, x0, ftol=0, gtol=0, maxiter=200)
        assert "inconsistent" not in res.message


def test_rosenbrocks_gradient_is_still_accused_when_it_is_wrong():
    with pytest.warns(GradientWarning):
        minimize(x0=[-1.2, 1.0, -0.5, 2.0], fun=lambda x: (rosen(x), -rosen_grad(x)), jac=True)
