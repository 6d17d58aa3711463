"""`minimize_batch`: every problem gets what it gets alone, to the last bit."""

import ctypes
import sysconfig
import threading

import numpy as np
import pytest
from compiled import PROTOTYPE, Naps, as_c, compile_c, rosenbrock_fg
from problems import (
    Unsigned,
    log_barrier,
    log_barrier_grad,
    random_problem,
    rosen_fg,
    run_python,
    same_bits,
)
from scipy import LowLevelCallable
from scipy.optimize import Bounds

from lbfgsb import minimize_batch, minimize_lbfgsb
from lbfgsb._core import kernels
from lbfgsb.benchmarks import compiled_rosenbrock

ENDLESS = {"max_steplength": 1e-8, "ftol": 0.0, "gtol": 0.0, "maxiter": 10**12, "maxfun": 10**12}
# f falls for ever, in short steps.
FALLS = {"max_steplength": 1e-3, "ftol": 0.0, "maxiter": 10**9}
LONG = {"ftol": 0.0, "gtol": 1e-9, "maxiter": 300}


def by_rows(*fgs):
    """Return the batched objective, with the numbers of the problems as `args`: row i has fgs[i].

    The function keeps how many problems it got each time in its attribute `sizes`.
    """

    def fun(X, numbers):
        fun.sizes.append(len(X))
        pairs = [fgs[i](x) for i, x in zip(numbers, X, strict=True)]
        return np.array([f for f, _ in pairs]), np.array([g for _, g in pairs])

    fun.sizes = []
    return fun


def each(fg):
    """Return the batched objective that is `fg` for every row."""

    def fun(X):
        pairs = [fg(x) for x in X]
        return np.array([f for f, _ in pairs]), np.array([g for _, g in pairs])

    return fun


def assert_same(res, i, alone):
    """Assert that problem i of a batch has the result of a run alone, to the last bit."""
    for name in "x", "fun", "jac", "projected_gradient":
        assert same_bits(res[name][i], alone[name]), (i, name)
    for name in "nit", "nfev", "njev", "status", "success", "message":
        assert res[name][i] == alone[name], (i, name)


def assert_same_batch(a, b):
    """Assert that two batches have the same results, to the last bit."""
    for name in "x", "fun", "jac", "projected_gradient":
        assert same_bits(a[name], b[name]), name
    for name in "nit", "nfev", "njev", "status", "success":
        assert np.array_equal(a[name], b[name]), name
    assert a.message == b.message


def solve(fgs, starts, bounds=None, **options):
    """Run a batch, compare it with the runs alone, and return its result and its objective."""
    fun = by_rows(*fgs)
    count = len(starts)
    box = None if bounds is None else np.stack([bounds] * count) if bounds.ndim == 2 else bounds
    res = minimize_batch(fun, starts, bounds=bounds, args=(np.arange(count),), **options)
    for i, (fg, x0) in enumerate(zip(fgs, starts, strict=True)):
        given = {} if box is None else {"bounds": box[i]}
        assert_same(res, i, minimize_lbfgsb(x0=x0, fun=fg, jac=True, **given, **options))
    assert res.nrounds == len(fun.sizes) == res.nfev.max()
    assert sum(fun.sizes) == res.nfev.sum()
    return res, fun


# --- the bits of a run alone --------------------------------------------------------------


def wells(n, count):
    """Return `count` smooth non-convex problems of n variables, each with a box of its own."""
    return [random_problem(100 * n + i, n) for i in range(count)]


@pytest.mark.parametrize("n", [1, 2, 10, 16, 17, 40])
@pytest.mark.parametrize("box", ["free", "boxes", "mixed"])
@pytest.mark.parametrize(
    "options",
    [{}, LONG, {"maxcor": 3} | LONG, {"maxiter": 5}, {"maxfun": 7}, {"maxls": 2} | LONG],
    ids=["defaults", "long", "maxcor", "maxiter", "maxfun", "maxls"],
)
def test_each_problem_gets_what_it_gets_alone(n, box, options):
    problems = wells(n, 12)
    bounds = np.array([p.bounds for p in problems])
    if box == "mixed":
        bounds[::3] = -np.inf, np.inf
    res, fun = solve(
        [p.fg for p in problems],
        [p.x0 for p in problems],
        None if box == "free" else bounds,
        **options,
    )
    assert res.x.shape == res.jac.shape == (12, n)
    if options == LONG:
        assert len(set(fun.sizes)) > 1  # they ended at different times
        assert n == 1 or len(set(res.nit)) > 3


def test_a_batch_of_one():
    res, _ = solve([rosen_fg], [[-1.2, 1.0]], **LONG)
    assert res.success.tolist() == [True]
    np.testing.assert_allclose(res.x, 1.0)


def test_a_target_ends_each_problem_on_its_own():
    starts = np.random.default_rng(1).uniform(-2, 2, (9, 2))
    res, _ = solve([rosen_fg] * 9, starts, ftarget=0.1)
    assert set(res.message) == {"CONVERGENCE: F_<=_TARGET"}
    assert (res.fun <= 0.1).all()
    assert len(set(res.nit)) > 2


@pytest.mark.parametrize("n", [3, 30])
def test_threads_change_no_bit(n):
    count = 1500
    starts = np.random.default_rng(n).uniform(-2, 2, (count, n))
    bounds = np.broadcast_to([-1.5, 1.8], (count, n, 2)).copy()
    bounds[::5] = -np.inf, np.inf
    bounds[1::5, 0] = -0.5, 0.5

    def fun(X):
        r, s = X[:, 1:] - X[:, :-1] ** 2, 1.0 - X[:, :-1]
        G = np.zeros_like(X)
        G[:, :-1] = -400.0 * X[:, :-1] * r - 2.0 * s
        G[:, 1:] += 200.0 * r
        return (100.0 * r * r + s * s).sum(axis=1), G

    one, two, three = (
        minimize_batch(fun, starts, bounds=bounds, maxiter=60, threads=threads)
        for threads in (1, 2, 3)
    )
    assert_same_batch(one, two)
    assert_same_batch(one, three)
    assert one.nrounds == two.nrounds == three.nrounds


# --- the box ------------------------------------------------------------------------------

B, N = 4, 3
LOWER = np.array([-1.0, 0.0, -np.inf])
UPPER = np.array([0.5, np.inf, np.inf])
ROWS = np.arange(B)[:, None] * 0.1


@pytest.mark.parametrize(
    ("bounds", "lower", "upper"),
    [
        ([(-1, 0.5), (0, None), (None, None)], LOWER, UPPER),
        (np.stack([LOWER, UPPER], axis=-1), LOWER, UPPER),
        (Bounds(LOWER, UPPER), LOWER, UPPER),
        (Bounds(-1, 0.5), -1.0, 0.5),
        (np.stack([LOWER - ROWS, UPPER + ROWS], axis=-1), LOWER - ROWS, UPPER + ROWS),
        (np.stack([LOWER - ROWS, UPPER + ROWS], axis=-1).tolist(), LOWER - ROWS, UPPER + ROWS),
        (Bounds(LOWER - ROWS, UPPER + ROWS), LOWER - ROWS, UPPER + ROWS),
        (Bounds(LOWER - ROWS, 0.5), LOWER - ROWS, 0.5),
        (Bounds(ROWS - 1, 0.5), ROWS - 1, 0.5),
        ([[(None, 0.5), (0, None), (-1, None)]] * B, [-np.inf, 0, -1], [0.5, np.inf, np.inf]),
        ([(None, None)] * N, -np.inf, np.inf),
        (None, -np.inf, np.inf),
    ],
    ids=["pairs", "(n, 2)", "Bounds", "Bounds-scalar", "(B, n, 2)", "nested-lists", "Bounds-rows",
         "Bounds-mixed", "Bounds-columns", "None-in-rows", "no-bound", "None"],
)  # fmt: skip
def test_bounds_of_every_form(bounds, lower, upper):
    starts = np.random.default_rng(3).normal(size=(B, N))
    low, high = np.broadcast_to(lower, (B, N)), np.broadcast_to(upper, (B, N))
    res = minimize_batch(each(rosen_fg), starts, bounds=bounds)
    assert ((low <= res.x) & (res.x <= high)).all()
    for i in range(B):
        box = np.stack([low[i], high[i]], axis=-1)
        assert_same(res, i, minimize_lbfgsb(x0=starts[i], fun=rosen_fg, jac=True, bounds=box))


def test_every_point_is_in_its_box():
    problems = wells(5, 20)
    low, high = (np.array([getattr(p, side) for p in problems]) for side in ("lower", "upper"))
    inside = []

    def fun(X, numbers):
        inside.append(same_bits(X, np.clip(X, low[numbers], high[numbers])))
        return by_rows(*[p.fg for p in problems])(X, numbers)

    starts = np.random.default_rng(0).normal(scale=9.0, size=(20, 5))
    minimize_batch(fun, starts, bounds=Bounds(low, high), args=(np.arange(20),))
    assert len(inside) > 5
    assert all(inside)


def test_a_pinned_start_is_over_at_once():
    bounds = np.array([[[0.3, 0.3], [0.4, 0.4]], [[-2, 2], [-2, 2]]])
    res, fun = solve([rosen_fg] * 2, [[5.0, 5.0], [-1.2, 1.0]], bounds)
    assert (res.nit[0], res.nfev[0], res.projected_gradient[0]) == (0, 1, 0.0)
    assert res.x[0].tolist() == [0.3, 0.4]
    assert fun.sizes[:2] == [2, 1]


@pytest.mark.parametrize("limits", [{"maxiter": 0}, {"maxfun": 0}, {"gtol": 1e9}], ids=str)
def test_a_batch_may_be_over_at_its_start(limits):
    res, _ = solve([rosen_fg] * 3, [[-1.2, 1.0], [1.0, 1.0], [0.0, 0.0]], **limits)
    assert res.nrounds == 1


# --- one problem's trouble is its own -----------------------------------------------------


def wrong_gradient(x):
    return (x * x).sum(), -2.0 * x - 1.0


def barrier(x):
    return log_barrier(x), log_barrier_grad(x)


def nan_f(x):
    return np.nan, np.zeros_like(x)


def nan_g(x):
    return 1.0, np.array([0.0, np.inf, np.nan])


@pytest.mark.filterwarnings("ignore::lbfgsb.GradientWarning")
def test_trouble_of_one_problem_touches_no_other():
    starts = np.random.default_rng(8).uniform(0.5, 5.0, (7, 3))
    fgs = [rosen_fg, wrong_gradient, barrier, nan_f, rosen_fg, nan_g, barrier]
    res, _ = solve(fgs, starts, **LONG)
    assert res.status.tolist() == [0, 2, 0, 2, 0, 2, 0]
    assert res.message[1].startswith("ABNORMAL_TERMINATION_IN_LNSRCH: the gradient seems")
    assert res.message[3] == "ABNORMAL: NOT FINITE AT X0: fun(x0) is nan, which is not finite"
    assert res.message[5] == (
        "ABNORMAL: NOT FINITE AT X0: 2 components of the gradient at x0 are not finite, first 1"
    )
    np.testing.assert_allclose(res.x[[2, 6]], 0.1, rtol=1e-6)


@pytest.mark.filterwarnings("ignore::lbfgsb.GradientWarning")
def test_trouble_of_one_problem_in_a_box_touches_no_other():
    starts = np.random.default_rng(8).uniform(0.5, 5.0, (5, 3))
    bounds = np.broadcast_to([-1.0, 6.0], (3, 2))
    res, _ = solve([rosen_fg, wrong_gradient, barrier, nan_f, nan_g], starts, bounds)
    assert (res.status[[1, 3, 4]] != 0).all()
    assert res.success[[0, 2]].all()


# --- what fun gets ------------------------------------------------------------------------


def test_args_come_as_the_rows_of_the_running_problems():
    centre = np.random.default_rng(2).normal(size=(6, 2))
    scale = [1.0, 10.0, 100.0, 1e3, 1.0, 7.0]  # a list: no array yet
    cube = np.arange(6 * 8).reshape(6, 2, 4)

    def fun(X, c, s, a):
        assert (len(c), s.shape, a.shape) == (len(X), (len(X),), (len(X), 2, 4))
        assert np.array_equal(c, centre[a[:, 0, 0] // 8])
        assert np.array_equal(s, np.array(scale)[a[:, 0, 0] // 8])
        lengths.append(len(X))
        Z = (X - c) * s[:, None] ** [0.0, 1.0]
        return 0.5 * (Z * Z).sum(axis=1), Z * s[:, None] ** [0.0, 1.0]

    lengths = []
    res = minimize_batch(fun, np.zeros((6, 2)), args=(centre, scale, cube), **LONG)
    assert lengths[0] == 6 > lengths[-1]
    np.testing.assert_allclose(res.x, centre, atol=1e-6)


def test_rows_are_chosen_by_position_whatever_labels_they_have():
    class Labelled:  # like a pandas.Series
        shape, iloc = (3,), None

        def __array__(self, dtype=None, copy=None):
            return np.array([1.0, 2.0, 3.0])

        def __getitem__(self, key):
            raise KeyError(key)

    def fun(X, c):
        return 0.5 * ((X[:, 0] - c) ** 2) ** 2, 2 * (X - c[:, None]) ** 3

    res = minimize_batch(fun, [[1.0], [0.0], [2.9]], args=(Labelled(),), **LONG)
    assert len(set(res.nfev)) > 1
    np.testing.assert_allclose(res.x[:, 0], [1, 2, 3], atol=1e-2)


def test_points_that_are_held_are_never_written_again():
    held = []

    def fun(X):
        held.append((X, X.copy()))
        return each(rosen_fg)(X)

    minimize_batch(fun, np.random.default_rng(4).normal(size=(5, 3)))
    assert len({X.ctypes.data for X, _ in held}) == len(held) > 10
    for X, copy in held:
        assert same_bits(X, copy)
        assert X.dtype == np.float64
        assert X.flags.c_contiguous
        assert X.flags.owndata
        assert X.shape[1] == 3


@pytest.mark.skipif(
    bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    reason="a build that can run without the GIL: a count of references proves nothing there",
)
def test_the_array_of_points_is_used_again_if_nobody_holds_it():
    places = []

    def fun(X):
        places.append(id(X))
        return each(rosen_fg)(X)

    res = minimize_batch(fun, [[-1.2, 1.0]] * 2, **LONG)  # none ends before the other
    assert res.nrounds > 30
    assert len(set(places)) == 1


@pytest.mark.filterwarnings("ignore:Setting the shape:DeprecationWarning")  # NumPy 2.5
def test_an_objective_that_scribbles_on_its_points_harms_nothing():
    def fun(X):
        F, G = each(rosen_fg)(X)
        X[:] = np.nan
        X.shape = (-1,)
        return F, G

    starts = np.random.default_rng(4).normal(size=(5, 3))
    bounds = [(-0.5, 2.0)] * 3
    assert_same_batch(
        minimize_batch(fun, starts, bounds=bounds),
        minimize_batch(each(rosen_fg), starts, bounds=bounds),
    )


def test_the_arrays_of_the_caller_are_left_alone():
    starts, bounds = np.full((2, 2), 5.0), np.array([[-2.0, 2.0], [-2.0, 2.0]])
    res = minimize_batch(each(rosen_fg), starts, bounds=bounds)
    assert (starts == 5.0).all()
    assert not np.shares_memory(res.x, starts)


# --- what fun returns ---------------------------------------------------------------------


class OnlyDLPack:
    """An array that NumPy can only take by DLPack."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **keywords):
        return self.array.__dlpack__(**keywords)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


class OnlyArray:
    """An array that NumPy can only take by ``__array__``."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array


def strided(a):
    wide = np.full((2 * a.shape[0], *[3 * length for length in a.shape[1:]]), np.nan)
    view = wide[::2] if a.ndim == 1 else wide[::2, ::3]
    view[...] = a
    return view


@pytest.mark.parametrize(
    "form",
    [
        lambda F, G: (F[:, None], G),
        lambda F, G: [F, np.asfortranarray(G)],
        lambda F, G: (strided(F), strided(G)),
        lambda F, G: (F[::-1].copy()[::-1], G[:, ::-1].copy()[:, ::-1]),
        lambda F, G: (F.tolist(), G.tolist()),
        lambda F, G: (list(F), list(G)),
        lambda F, G: (OnlyDLPack(F), OnlyDLPack(G)),
        lambda F, G: (OnlyArray(F), OnlyArray(G)),
        lambda F, G: (F.astype(">f8"), G.astype(">f8")),
        lambda F, G: (F.astype(np.longdouble), G.astype(np.longdouble)),
    ],
    ids=["(k, 1)", "Fortran", "strided", "reversed", "lists", "lists-of-scalars", "DLPack",
         "__array__", "big-endian", "long-double"],
)  # fmt: skip
def test_values_of_every_form(form):
    starts = np.random.default_rng(5).normal(size=(4, 3))
    assert_same_batch(
        minimize_batch(lambda X: form(*each(rosen_fg)(X)), starts),
        minimize_batch(each(rosen_fg), starts),
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float16], ids=["float32", "float16"])
def test_values_of_less_precision_are_taken_as_they_are(dtype):
    def rounded(x):
        f, g = bowl(x)
        return float(dtype(f)), g.astype(dtype).astype(float)

    precision = float(np.finfo(dtype).eps)  # which the type says

    def bowl(x):
        return 0.5 * ((x - 3.0) ** 2).sum(), x - 3.0

    starts = np.random.default_rng(5).normal(size=(4, 3))
    res = minimize_batch(lambda X: [a.astype(dtype) for a in each(bowl)(X)], starts)
    for i in range(4):
        alone = minimize_lbfgsb(x0=starts[i], fun=rounded, jac=True, fun_precision=precision)
        assert_same(res, i, alone)


def test_the_small_floats_of_machine_learning_will_do():
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    res = minimize_batch(
        lambda X: ((X * X).sum(axis=1).astype(bfloat16), (2 * X).astype(bfloat16)), [[1.0], [2.0]]
    )
    np.testing.assert_allclose(res.x, 0.0, atol=1e-2)


def test_integers_will_do():
    res = minimize_batch(lambda X: (np.zeros(len(X), int), np.zeros(X.shape, int)), [[1.0], [2.0]])
    assert res.success.all()


def test_an_objective_may_return_the_same_buffers_each_time():
    values, gradients = np.empty(6), np.empty((6, 4))

    def fun(X):
        F, G = values[: len(X)], gradients[: len(X)]
        F[:], G[:] = each(rosen_fg)(X)
        return F, G

    starts = np.random.default_rng(6).normal(size=(6, 4))
    assert_same_batch(minimize_batch(fun, starts), minimize_batch(each(rosen_fg), starts))


def test_an_objective_may_return_its_points_as_the_gradients():
    starts = np.random.default_rng(6).normal(size=(6, 4))
    res = minimize_batch(lambda X: (0.5 * (X * X).sum(axis=1), X), starts, **LONG)
    assert res.success.all()
    assert same_bits(res.jac, res.x)


def test_the_result_has_arrays_of_its_own():
    kept = []

    def fun(X):
        kept[:] = each(rosen_fg)(X)
        return kept

    res = minimize_batch(fun, [[-1.2, 1.0]])
    jac = res.jac.copy()
    kept[1][:] = np.nan
    assert same_bits(res.jac, jac)


# --- errors -------------------------------------------------------------------------------


def never(X, *rows):
    raise AssertionError("nothing may be evaluated")


FUN_C = as_c(lambda x, g: never(x))


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({"fun": 3}, TypeError, "fun must be callable or a LowLevelCallable; got 3"),
        ({"x0": [1.0, 2.0]}, ValueError, r"x0 must have the shape \(B, n\).*\(2,\)"),
        ({"x0": np.empty((0, 2))}, ValueError, r"x0 must have the shape.*\(0, 2\)"),
        ({"x0": np.empty((2, 0))}, ValueError, r"x0 must have the shape.*\(2, 0\)"),
        ({"x0": [[1.0], [np.nan]]}, ValueError, r"x0 must be finite; 1 of .* x0\[1, 0\] = nan"),
        ({"x0": [[1.0], [2.0, 3.0]]}, ValueError, "x0 must be"),
        ({"x0": [[1j, 2.0]]}, TypeError, "x0 must be real"),
        ({"x0": [["a", "b"]]}, TypeError, "x0 must be an array of real numbers"),
        ({"bounds": [(0, 1)]}, ValueError, "length of bounds"),
        ({"bounds": np.zeros((2, 2, 2))}, ValueError, r"\(2, 2\) or \(3, 2, 2\).*\(2, 2, 2\)"),
        ({"bounds": [[(0, 1)], [(0, 1), (2, 3)]]}, ValueError, "bounds must be"),
        ({"bounds": [(1, 0), (0, 1)]}, ValueError, "lower bounds is greater"),
        ({"bounds": np.full((3, 2, 2), np.nan)}, ValueError, "NaN"),
        ({"bounds": Bounds(np.zeros((2, 2)), 1)}, ValueError, r"bounds.lb and bounds.ub.*\(2, 2\)"),
        ({"bounds": Bounds(np.full((3, 2), 1j), 1)}, TypeError, "bounds.lb .*complex"),
        ({"args": 5}, TypeError, "args must be a tuple of arrays of B rows; got int"),
        ({"args": np.zeros(3)}, TypeError, "args must be a tuple .*; got ndarray"),
        ({"args": (np.zeros(3), np.zeros(2))}, ValueError, r"args\[1\] must have a row.* \(2,\)"),
        ({"args": (7,)}, ValueError, r"args\[0\] must have a row for each of the 3 problems"),
        ({"maxcor": 0}, ValueError, "maxcor"),
        ({"ftarget": "low"}, TypeError, "ftarget"),
        ({"ftol": -1}, ValueError, "ftol"),
        ({"gtol": -1}, ValueError, "gtol"),
        ({"maxiter": -1}, ValueError, "maxiter"),
        ({"maxfun": 1.5}, TypeError, "maxfun"),
        ({"maxls": 0}, ValueError, "maxls"),
        ({"max_steplength": 0}, ValueError, "max_steplength"),
        ({"ftol_linesearch": 2.0}, ValueError, "ftol_linesearch"),
        ({"gtol_linesearch": 0.0}, ValueError, "gtol_linesearch"),
        ({"xtol_linesearch": -1}, ValueError, "xtol_linesearch"),
        ({"eps_SY": -1}, ValueError, "eps_SY"),
        ({"threads": 0}, ValueError, "threads"),
        ({"callback": 1}, TypeError, "callback must be callable or .*; got 1"),
        ({"maxcor": 10**15}, MemoryError, "no memory for"),
        ({"fun": LowLevelCallable(FUN_C), "callback": never}, ValueError, "callback can't be"),
        ({"fun": LowLevelCallable(FUN_C), "maxcor": 10**15}, MemoryError, "no memory for n = 2"),
        ({"fun": LowLevelCallable(FUN_C), "args": 5}, ValueError, "args must be empty or have one"),
        (
            {"fun": LowLevelCallable(FUN_C), "args": (np.zeros(3), np.zeros(3))},
            ValueError,
            "args must be empty or have one entry",
        ),
        (
            {"fun": LowLevelCallable(FUN_C), "args": (np.zeros(2),)},
            ValueError,
            r"args\[0\] .*\(2,\)",
        ),
        ({"fun": LowLevelCallable(FUN_C), "args": (np.zeros(3, "f4"),)}, ValueError, "float32"),
        ({"fun": LowLevelCallable(FUN_C), "args": (np.zeros(3, ">i8"),)}, ValueError, ">i8"),
        ({"fun": LowLevelCallable(FUN_C), "args": ([0.0, 1.0, 2.0],)}, ValueError, "got list"),
        ({"fun": LowLevelCallable(FUN_C), "args": (np.zeros((3, 2), int),)}, ValueError, "args"),
        (
            {"fun": LowLevelCallable(FUN_C), "args": (np.zeros((2, 3)).T,)},
            ValueError,
            r"args\[0\].*strides \(8, 24\)",
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_bad_input_is_named_before_anything_is_evaluated(given, error, text):
    with pytest.raises(error, match=text):
        minimize_batch(**{"fun": never, "x0": np.ones((3, 2))} | given)


def test_a_compiled_function_of_another_signature_is_explained():
    square = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(lambda x: x)
    with pytest.raises(ValueError, match="signature 'int"):
        minimize_batch(LowLevelCallable(square), [[1.0]])


@pytest.mark.parametrize(
    ("values", "error", "text"),
    [
        (lambda F, G: None, TypeError, r"fun must return the pair \(F, G\); got NoneType"),
        (lambda F, G: F, TypeError, r"fun must return the pair \(F, G\); got ndarray"),
        (lambda F, G: (F, G, G), TypeError, "fun must return the pair"),
        (lambda F, G: (F[:1], G), ValueError, r"F of shape \(2,\).*got \(1,\)"),
        (lambda F, G: (F.sum(), G), ValueError, r"F of shape \(2,\).*got \(\)"),
        (lambda F, G: (F, G.T), ValueError, r"G of the shape of X, \(2, 3\); got \(3, 2\)"),
        (lambda F, G: (F, G[0]), ValueError, r"G of the shape of X, \(2, 3\); got \(3,\)"),
        (lambda F, G: (F, [[1.0], [2.0, 3.0]]), ValueError, "fun must return G as an array"),
        (lambda F, G: (F + 1j, G), TypeError, "fun must return real numbers in F; got complex128"),
        (lambda F, G: (F, G.astype(str)), TypeError, "fun must return real numbers in G; got <U"),
        (lambda F, G: (None, G), TypeError, "fun must return real numbers in F; got object"),
    ],
    ids=["None", "F-alone", "three", "short-F", "scalar-F", "G-transposed", "G-row", "ragged-G",
         "complex-F", "text-G", "F-None"],
)  # fmt: skip
def test_what_fun_must_not_return_is_named(values, error, text):
    with pytest.raises(error, match=text):
        minimize_batch(lambda X: values(*each(rosen_fg)(X)), np.zeros((2, 3)))


@pytest.mark.parametrize("call", [1, 3])
@pytest.mark.parametrize("where", ["fun", "callback"])
def test_an_exception_comes_out_unchanged(where, call):
    error, calls = KeyError("mine"), []

    def strike(*args):
        calls.append(1)
        if len(calls) == call:
            raise error

    def fun(X):
        if where == "fun":
            strike()
        return each(rosen_fg)(X)

    callback = strike if where == "callback" else None
    with pytest.raises(KeyError) as info:
        minimize_batch(fun, [[-1.2, 1.0]] * 2, callback=callback)
    assert info.value is error


# --- the callback, and ends that the user makes -------------------------------------------


def test_the_callback_sees_every_round():
    starts = np.random.default_rng(7).normal(size=(6, 2))
    seen = []
    res = minimize_batch(each(rosen_fg), starts, callback=seen.append)
    assert_same_batch(res, minimize_batch(each(rosen_fg), starts))
    assert [state.nrounds for state in seen] == list(range(1, res.nrounds + 1))
    for state in seen:
        assert set(state) == set(res)
        for i in range(6):  # x, fun and jac are what was measured, and stay so
            assert same_bits(state.fun[i], rosen_fg(state.x[i])[0])
            assert same_bits(state.jac[i], rosen_fg(state.x[i])[1])
        running = state.status == -1
        assert (state.nfev[running] == state.nrounds).all()
        assert not state.success[running].any()
    assert same_bits(seen[0].x, starts)
    assert {-1, 0} <= set(np.concatenate([state.status for state in seen]))
    assert_same_batch(seen[-1], res)


@pytest.mark.parametrize("way", ["True", "np.True_", "mask", "StopIteration"])
def test_the_callback_may_end_all(way):
    def callback(state):
        if state.nrounds == 4:
            if way == "StopIteration":
                raise StopIteration
            return {"True": True, "np.True_": np.True_, "mask": np.ones(3, bool)}[way]
        return False

    starts = [[-1.2, 1.0], [1.0, 1.0], [0.0, 0.5]]  # the second is over at once
    res = minimize_batch(each(rosen_fg), starts, callback=callback)
    assert res.nrounds == 4
    assert res.status.tolist() == [3, 0, 3]
    assert res.success.all()
    assert res.message[0] == "STOP: USER CALLBACK"
    assert res.nfev.tolist() == [4, 1, 4]
    for i in range(3):
        assert same_bits(res.fun[i], rosen_fg(res.x[i])[0])
        assert same_bits(res.jac[i], rosen_fg(res.x[i])[1])


def test_the_callback_may_end_some():
    starts = np.random.default_rng(7).normal(size=(6, 2))
    mask = np.array([True, False] * 3)
    sizes = []

    def fun(X):
        sizes.append(len(X))
        return each(rosen_fg)(X)

    res = minimize_batch(fun, starts, callback=lambda state: mask if state.nrounds == 3 else None)
    whole = minimize_batch(each(rosen_fg), starts)
    assert sizes[:4] == [6, 6, 6, 3]
    assert (res.status[mask] == 3).all()
    assert (res.nfev[mask] == 3).all()
    for i in np.flatnonzero(~mask):
        assert_same(res, i, {name: whole[name][i] for name in whole if name != "nrounds"})


@pytest.mark.parametrize(
    "said", [np.ones(2, bool), np.arange(3), np.ones((3, 1), bool)], ids=["short", "int", "column"]
)
def test_what_the_callback_must_not_return_is_named(said):
    with pytest.raises(ValueError, match=r"callback must return None, a bool, or .* shape \(3,\)"):
        minimize_batch(each(rosen_fg), np.zeros((3, 2)), callback=lambda state: said)


def stopping(fg, call):
    """Return `fg` that raises StopIteration in that call."""
    calls = []

    def fun(x):
        calls.append(1)
        if len(calls) == call:
            raise StopIteration
        return fg(x)

    return fun


def test_stop_iteration_in_fun_ends_all_as_it_ends_a_run_alone():
    start = [-1.2, 1.0]
    for call in range(2, 12):
        res = minimize_batch(stopping(each(rosen_fg), call), [start] * 2)
        assert res.nrounds == call
        for i in range(2):
            fun = stopping(rosen_fg, call)
            assert_same(res, i, minimize_lbfgsb(x0=start, fun=fun, jac=True))
        assert res.status.tolist() == [3, 3]


def test_stop_iteration_at_the_starts_comes_out():
    with pytest.raises(StopIteration):
        minimize_batch(stopping(each(rosen_fg), 1), [[-1.2, 1.0]])


def test_fun_may_run_batches_of_its_own():
    def fun(X):
        inner = minimize_batch(each(rosen_fg), X + 0.5, maxiter=3)
        assert inner.nit.max() == 3
        return each(rosen_fg)(X)

    starts = np.random.default_rng(9).normal(size=(3, 2))
    assert_same_batch(
        minimize_batch(fun, starts, maxiter=4), minimize_batch(each(rosen_fg), starts, maxiter=4)
    )


# --- compiled objectives ------------------------------------------------------------------


@pytest.fixture(scope="module")
def functions(tmp_path_factory):
    """C objectives by name: `quartic`, around the data of a problem (n,), and `meets`.

    An evaluation of `meets` ends once there have been two; its data says if there have. For once.
    """
    source = """
    #include <stdint.h>
    #include <unistd.h>
    int quartic(intptr_t n, const double *x, double *f, double *g, void *data)
    {
        const double *centre = data;
        f[0] = 0;
        for (intptr_t i = 0; i < n; i++) {
            double d = x[i] - centre[i];
            f[0] += (i + 1) * d * d + 0.1 * d * d * d * d;
            g[i] = 2 * (i + 1) * d + 0.4 * d * d * d;
        }
        return 0;
    }
    int meets(intptr_t n, const double *x, double *f, double *g, void *data)
    {
        static int evaluations;
        int *both_at_once = data;
        __atomic_add_fetch(&evaluations, 1, __ATOMIC_SEQ_CST);
        /* The other problem is given ten seconds to come in too. */
        for (int i = 0; i < 10000 && __atomic_load_n(&evaluations, __ATOMIC_SEQ_CST) < 2; i++)
            usleep(1000);
        *both_at_once = __atomic_load_n(&evaluations, __ATOMIC_SEQ_CST) == 2;
        f[0] = g[0] = 0;
        return 0;
    }
    """
    library = ctypes.CDLL(str(compile_c(source, tmp_path_factory.mktemp("batch"), "batch")))

    def function(name):
        fun = getattr(library, name)
        fun.restype, fun.argtypes = PROTOTYPE._restype_, PROTOTYPE._argtypes_
        return LowLevelCallable(fun)

    return function


@pytest.mark.parametrize("n", [1, 2, 10, 16, 17, 40])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_compiled_objective_gives_the_bits_of_runs_alone(n, threads):
    count = 60
    starts = np.random.default_rng(n).uniform(-2, 2, (count, n))
    bounds = np.broadcast_to([-1.5, 0.9], (count, n, 2)).copy()
    bounds[::3] = -np.inf, np.inf
    given = {"bounds": bounds, "maxiter": 40}
    res = minimize_batch(compiled_rosenbrock, starts, threads=threads, **given)
    assert_same_batch(res, minimize_batch(each(rosenbrock_fg), starts, **given))
    for i in range(0, count, 7):
        alone = minimize_lbfgsb(x0=starts[i], fun=compiled_rosenbrock, bounds=bounds[i], maxiter=40)
        assert_same(res, i, alone)
    assert res.nrounds == res.nfev.sum()


WIDE = np.random.default_rng(11).normal(size=(9, 12))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    "rows",
    [WIDE[:, :3].copy(), WIDE[:, 2:5], WIDE[::-1, 4:7], np.broadcast_to(WIDE[0, :3], (9, 3))],
    ids=["whole", "window", "upside-down", "the-same"],
)
def test_each_problem_gets_the_address_of_its_row(functions, rows, threads):
    res = minimize_batch(
        functions("quartic"), np.zeros((9, 3)), args=(rows,), threads=threads, **LONG
    )
    np.testing.assert_allclose(res.x, rows, atol=1e-6)


@pytest.mark.parametrize("as_given", [np.intp, np.uintp, list, "strided"], ids=str)
def test_each_problem_gets_its_own_address(functions, as_given):
    kept = [np.array([i, -i, 0.5]) for i in range(9)]
    addresses = [row.ctypes.data for row in kept]
    if as_given == "strided":
        data = np.zeros((9, 2), np.intp)
        data[:, 0] = addresses
        data = data[:, 0]
    else:
        data = addresses if as_given is list else np.array(addresses, as_given)
    res = minimize_batch(functions("quartic"), np.zeros((9, 3)), args=(data,), threads=2, **LONG)
    np.testing.assert_allclose(res.x, kept, atol=1e-6)


def test_a_vector_of_floats_is_a_row_of_one_for_each_problem(functions):
    centre = np.linspace(-1, 1, 18)[::2]
    res = minimize_batch(functions("quartic"), np.zeros((9, 1)), args=(centre,), **LONG)
    np.testing.assert_allclose(res.x[:, 0], centre, atol=1e-6)


def test_without_args_all_problems_get_the_data_of_the_callable(functions):
    centre = np.array([0.25, -0.5])
    fun = LowLevelCallable(functions("quartic").function, ctypes.c_void_p(centre.ctypes.data))
    res = minimize_batch(fun, np.zeros((20, 2)), threads=2, **LONG)
    np.testing.assert_allclose(res.x, np.tile(centre, (20, 1)), atol=1e-6)


def test_a_nonzero_return_ends_that_problem_alone():
    def fun(x, g):
        g[:] = 2 * x
        return (1,) if abs(x[0]) < 1e-3 else float(x @ x)

    res = minimize_batch(LowLevelCallable(as_c(fun)), [[0.0], [5.0], [1e-4]])
    assert res.status.tolist() == [3, 3, 3]
    assert res.nfev.tolist() == [1, res.nfev[1], 1]
    assert res.nrounds == res.nfev.sum()
    assert res.fun[1] == res.x[1, 0] ** 2 >= 1e-6
    assert np.isnan(res.fun[[0, 2]]).all()


def test_compiled_trouble_of_one_problem_touches_no_other():
    def fun(x, g):
        if x[0] == 7.0:
            return None  # neither f nor g
        f, g[:] = rosenbrock_fg(x)
        return f

    starts = np.array([[-1.2, 1.0], [7.0, 7.0], [0.5, -0.5]])
    res = minimize_batch(LowLevelCallable(as_c(fun)), starts)
    assert res.message[1] == "ABNORMAL: NOT FINITE AT X0: fun(x0) is nan, which is not finite"
    for i in (0, 2):
        assert_same(res, i, minimize_lbfgsb(x0=starts[i], fun=compiled_rosenbrock))


@pytest.mark.skipif(not kernels.openmp(), reason="built without OpenMP")
def test_problems_are_shared_out_however_few_they_are(functions):
    met = np.zeros((2, 1), np.intc)
    addresses = [row.ctypes.data for row in met]
    minimize_batch(functions("meets"), [[0.0]] * 2, args=(addresses,), threads=2)
    assert met.tolist() == [[1], [1]]


# --- signals, forks, other threads --------------------------------------------------------


def test_no_thread_is_started_unless_asked():
    printed = run_python("""
import os, numpy as np
from lbfgsb import minimize_batch
from lbfgsb.benchmarks import compiled_rosenbrock
def threads():
    return len(os.listdir("/proc/self/task"))
def fun(X):
    return (X ** 4).sum(axis=1), 4 * X ** 3
x0, before = np.ones((2000, 3)), threads()
for f in fun, compiled_rosenbrock:
    minimize_batch(f, x0)
print(threads() - before)
minimize_batch(compiled_rosenbrock, x0, threads=2)
print(threads() - before)
""")
    assert printed.split() == ["0", "1" if kernels.openmp() else "0"]


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 2, 50])
def test_a_signal_is_heard_within_a_tenth_of_a_second(threads, count, tmp_path):
    naps = Naps(tmp_path)
    naps.interrupt(
        lambda: minimize_batch(naps.fun, [[-1.2, 1.0]] * count, threads=threads, **ENDLESS)
    )
    assert naps.within(0.1)


@pytest.mark.skipif(not kernels.openmp(), reason="built without OpenMP")
def test_a_signal_is_heard_while_only_another_thread_is_at_work(tmp_path):
    """The main thread's problem is over soon; another thread's would last for 20 seconds."""
    naps = Naps(tmp_path, "others fall")
    naps.interrupt(lambda: minimize_batch(naps.fun, [[0.0]] * 2, threads=2, maxfun=1000, **FALLS))
    assert naps.calls < 1000  # of the other thread; how soon is for the machine to say


def test_a_signal_is_heard_between_problems_that_the_objective_ends_at_once(tmp_path):
    naps = Naps(tmp_path, "refuses")
    naps.interrupt(lambda: minimize_batch(naps.fun, np.zeros((1000, 1))))
    assert naps.within(0.1)


def test_other_threads_run_meanwhile():
    thread = threading.Thread(
        target=minimize_batch,
        args=(compiled_rosenbrock, [[-1.2, 1.0]] * 2),
        kwargs=ENDLESS | {"maxiter": 500_000},
    )
    beats = 0
    thread.start()
    while thread.is_alive():
        beats += 1
    assert beats > 1000  # with the GIL held, the loop would have stood still


def test_a_child_of_a_process_with_threads_gets_the_same_bits():
    printed = run_python("""
import os, numpy as np
from lbfgsb import minimize_batch
from lbfgsb.benchmarks import compiled_rosenbrock
x0 = np.random.default_rng(0).uniform(-2, 2, (1100, 3))
def fun(X):
    return (X ** 4).sum(axis=1), 4 * X ** 3
def work():
    results = [minimize_batch(f, x0, threads=2, maxiter=9) for f in (fun, compiled_rosenbrock)]
    return b"".join(r[name].tobytes() for r in results for name in ("x", "fun", "nfev"))
before = work()
child = os.fork()
if child == 0:
    os._exit(0 if work() == before else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
""")
    assert printed == "0"


# --- memory -------------------------------------------------------------------------------


def test_a_hundred_thousand_problems_fit_into_memory():
    printed = run_python("""
import resource, numpy as np
from lbfgsb import minimize_batch
from lbfgsb.benchmarks import compiled_rosenbrock
def fun(X):
    return 0.5 * (X * X).sum(axis=1), X.copy()
x0 = np.random.default_rng(0).uniform(-2, 2, (100_000, 10))
res = minimize_batch(fun, x0, bounds=[(-1, 2)] * 10)
assert res.success.all() and abs(res.x).max() < 1e-4
res = minimize_batch(compiled_rosenbrock, x0, bounds=[(-1, 2)] * 10, maxiter=3, threads=2)
assert (res.nit == 3).mean() > 0.9
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
""")
    assert int(printed) < 1500


def test_batches_leave_no_memory_behind():
    printed = run_python("""
import resource, numpy as np
from lbfgsb import minimize_batch
from lbfgsb.benchmarks import compiled_rosenbrock
def fun(X, c):
    if stop and len(X) < 3000:
        raise KeyError
    return 0.5 * (X * X).sum(axis=1), X.copy()
x0 = np.random.default_rng(0).uniform(-2, 2, (3000, 10))
x0[0] = 0
def work():
    global stop
    for stop in False, True:
        try:
            minimize_batch(fun, x0, args=(x0,), threads=2, callback=lambda state: None)
        except KeyError:
            pass
    minimize_batch(compiled_rosenbrock, x0[:100], threads=2, maxiter=2)
    try:
        minimize_batch(fun, x0, maxcor=10**12)
    except MemoryError:
        pass
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for i in range(5):
    work()
before = peak()
for i in range(30):
    work()
print((peak() - before) // 1024)
""")
    # One batch that is not given back has 9 MB.
    assert int(printed) < 9


@pytest.mark.parametrize("n", [3, 20])
def test_scaled_variables_give_the_bits_of_runs_alone(n):
    rng = np.random.default_rng(n)
    scale, x0 = 10.0 ** rng.uniform(-1, 1, size=n), rng.uniform(-1, 1, size=(5, n))
    options = {"bounds": [(-2, 0.9)] * n, "x_scale": scale, "maxiter": 200}
    batch = minimize_batch(compiled_rosenbrock, x0, **options)
    for i in range(5):
        alone = minimize_lbfgsb(x0=x0[i], fun=compiled_rosenbrock, **options)
        assert same_bits(batch.x[i], alone.x)
        assert batch.nfev[i] == alone.nfev
        assert batch.gradient_mismatch[i] == alone.gradient_mismatch


def test_a_bad_scale_is_refused_before_anything_runs():
    with pytest.raises(ValueError, match="x_scale"):
        minimize_batch(compiled_rosenbrock, np.zeros((2, 3)), x_scale=[1.0, -1.0, 2.0])


def test_a_callback_without_a_signature_gets_the_state():
    callback = Unsigned()
    res = minimize_batch(lambda X: ((X * X).sum(1), 2 * X), [[1.0, 2.0], [3.0, 4.0]],
                         callback=callback)  # fmt: skip
    state = callback.got[-1]
    assert state.x.shape == (2, 2)
    assert same_bits(state.x, res.x)
