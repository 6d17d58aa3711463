"""`lbfgsb.cython_lbfgsb` and `lbfgsb.h`: the solver for Cython, C and C++.

The functions are called as a compiled module calls them, by their addresses, through ctypes. It
lets go of the GIL meanwhile: a function that touched Python would crash.
"""

import ctypes
import importlib.machinery
import importlib.util
import inspect
import os
import re
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest
from compiled import (
    CALLBACK,
    ROSENBROCK,
    Options,
    Result,
    as_c,
    ask,
    compile_c,
    create,
    destroy,
    doubles,
    get_result,
    message,
    minimize,
    options,
    rosenbrock_fg,
    set_default_options,
    tell,
)
from problems import LOWER, UPPER, X0, log_barrier, log_barrier_grad, same_bits

import lbfgsb
from lbfgsb import minimize_lbfgsb
from lbfgsb._endings import ENDS
from lbfgsb.benchmarks import compiled_rosenbrock

TIGHT = {"ftol": 0.0, "gtol": 1e-8, "maxiter": 1000}
RUNNING, CONVERGED, LIMIT, ABNORMAL, STOPPED = -1, 0, 1, 2, 3
NO_MEMORY, BAD_POINTER, BAD_N, BAD_X, BAD_BOUNDS = range(-2, -7, -1)
BAD_SIZE, BAD_OPTION, NOT_ASKED = range(-7, -10, -1)


def as_address(array):
    return ctypes.cast(doubles(array), ctypes.c_void_p)


def solve(x0=X0, lower=None, upper=None, fun=ROSENBROCK, n=None, **given):
    """Call lbfgsb_minimize; return x and the result."""
    x, result = np.array(x0, dtype=float), Result()
    o = options(**given)
    status = minimize(
        fun, None, x.size if n is None else n, doubles(x), doubles(lower), doubles(upper),
        ctypes.byref(o), ctypes.byref(result),
    )  # fmt: skip
    assert result.status == status
    return x, result


def assert_same(x, result, expected):
    """Is this the result that minimize_lbfgsb returned?"""
    assert same_bits(x, expected.x)
    assert result.fun == expected.fun
    assert result.projected_gradient == expected.projected_gradient
    assert (result.nit, result.nfev, result.status) == (
        expected.nit, expected.nfev, expected.status
    )  # fmt: skip


def problem(n):
    """A start and a box, some of whose bounds are active at the solution or infinite."""
    lower, upper = np.full(n, -2.0), np.full(n, 2.0)
    upper[::3] = 0.9
    lower[1::4], upper[2::4] = -np.inf, np.inf
    return np.resize([-1.2, 1.0], n), lower, upper


# --- lbfgsb_minimize ----------------------------------------------------------------------


def test_the_defaults_are_those_of_minimize_lbfgsb():
    o, parameters = options(), inspect.signature(minimize_lbfgsb).parameters
    assert o.size == ctypes.sizeof(Options)
    assert o.ftarget == -np.inf
    assert (o.callback, o.callback_data, o.x_scale, o.fun_precision) == (None, None, None, 0)
    assert (o.maxcor, o.secant, o.pairs) == (0, 1, 64)
    assert (o.extra_updates, o.initial_scaling) == (-1, -1)
    others = {name for name, _ in Options._fields_} - {
        "size", "ftarget", "callback", "callback_data", "x_scale", "fun_precision", "maxcor",
        "secant", "pairs", "extra_updates", "initial_scaling",
    }  # fmt: skip
    assert {name: getattr(o, name) for name in others} == {
        name: parameters[name].default for name in others
    }


@pytest.mark.parametrize("n", [1, 2, 10, 1000])
@pytest.mark.parametrize("bounded", [False, True], ids=["free", "box"])
def test_it_gives_the_bits_of_minimize_lbfgsb(n, bounded):
    x0, lower, upper = problem(n)
    bounds = np.stack([lower, upper], axis=1) if bounded else None
    x, result = solve(x0, *((lower, upper) if bounded else ()), **TIGHT)
    assert_same(x, result, minimize_lbfgsb(x0=x0, fun=compiled_rosenbrock, bounds=bounds, **TIGHT))


@pytest.mark.parametrize(
    "given",
    [
        {"maxcor": 3},
        {"ftarget": 10.0},
        {"ftol": 1e-2},
        {"gtol": 1e-1},
        {"maxiter": 4},
        {"maxfun": 9},
        {"maxls": 1},
        {"max_steplength": 0.3},
        {"ftol_linesearch": 1e-4, "gtol_linesearch": 0.2},
        {"xtol_linesearch": 0.9, "gtol_linesearch": 0.01},
        {"eps_SY": 1e3},
        {"threads": 2},
    ],
    ids=lambda given: next(iter(given)),
)
def test_each_option_means_what_it_does_in_minimize_lbfgsb(given):
    x0, lower, upper = problem(10)
    common = {"fun": compiled_rosenbrock, "bounds": np.stack([lower, upper], axis=1)}
    long = {"ftol": 1e-9, "maxiter": 1000}
    x, result = solve(x0, lower, upper, **(long | given))
    assert_same(x, result, minimize_lbfgsb(x0=x0, **common, **(long | given)))
    default = minimize_lbfgsb(x0=x0, **common, **long)
    assert "threads" in given or not same_bits(x, default.x)


@pytest.mark.parametrize("side", ["lower", "upper"])
def test_bounds_may_be_given_on_one_side_only(side):
    bound = np.array([-0.5, 2.0]) if side == "lower" else np.array([0.4, 0.9])
    pairs = [(b, None) if side == "lower" else (None, b) for b in bound]
    x, result = solve(**{side: bound}, **TIGHT)
    assert_same(x, result, minimize_lbfgsb(x0=X0, fun=compiled_rosenbrock, bounds=pairs, **TIGHT))


def test_options_and_result_may_be_null():
    x = X0.copy()
    assert minimize(ROSENBROCK, None, 2, doubles(x), None, None, None, None) == CONVERGED
    assert same_bits(x, minimize_lbfgsb(x0=X0, fun=compiled_rosenbrock).x)


def test_x_is_the_callers_until_the_end():
    x = X0.copy()
    o = options(**TIGHT)
    seen = []

    def fun(point, g):
        seen.append(same_bits(x, X0))
        f, g[:] = rosenbrock_fg(point)
        return f

    minimize(as_c(fun), None, 2, doubles(x), None, None, ctypes.byref(o), None)
    assert all(seen)
    assert x == pytest.approx(1.0)


def test_every_point_is_in_the_box_and_the_solution_was_measured():
    x0, lower, upper = problem(30)
    lower, upper = lower / 3, upper / 3
    values = {}

    def fun(x, g):
        assert_in_box(x)
        f, g[:] = rosenbrock_fg(x)
        values[x.tobytes()] = f
        x[:] = np.nan  # a cast away from const: harms nothing
        return f

    def assert_in_box(x):
        outside.extend(x[(x < lower) | (x > upper)])

    outside = []
    x, result = solve(x0, lower, upper, as_c(fun), **TIGHT)
    assert outside == []
    assert values[x.tobytes()] == result.fun
    clean, _ = solve(x0, lower, upper, **TIGHT)
    assert same_bits(x, clean)


def test_nan_is_a_step_too_long():
    def fun(x, g):
        g[:] = log_barrier_grad(x)
        return log_barrier(x)

    x, result = solve([5.0], fun=as_c(fun), **TIGHT)
    assert (x[0], result.status) == (pytest.approx(0.1), CONVERGED)


def test_nan_at_the_start_is_an_end():
    x, result = solve(fun=as_c(lambda x, g: np.nan))
    assert (result.status, result.nfev, result.nit) == (ABNORMAL, 1, 0)
    assert same_bits(x, X0)


@pytest.mark.parametrize("call", [1, 2, 9])
def test_a_nonzero_return_ends_the_run(call):
    calls = []

    def fun(x, g):
        calls.append(1)
        f, g[:] = rosenbrock_fg(x)
        return f if len(calls) < call else (4,)

    x, result = solve(fun=as_c(fun), **TIGHT)
    assert (result.status, result.nfev) == (STOPPED, call)
    assert same_bits(x, X0) if call == 1 else result.fun == rosenbrock_fg(x)[0]


def test_scaled_variables_give_the_bits_of_minimize_lbfgsb():
    x0, lower, upper = problem(10)
    scale = np.logspace(-3, 3, 10)
    x, result = solve(x0, lower, upper, x_scale=scale.ctypes.data, **TIGHT)
    bounds = np.stack([lower, upper], axis=1)
    plain = minimize_lbfgsb(x0=x0, fun=compiled_rosenbrock, bounds=bounds, **TIGHT)
    expected = minimize_lbfgsb(
        x0=x0, fun=compiled_rosenbrock, bounds=bounds, x_scale=scale, **TIGHT
    )
    assert_same(x, result, expected)
    assert expected.nfev != plain.nfev


def test_the_callback_sees_each_iterate():
    def record(n, x, g, now, data):
        now = now.contents
        kept.append(
            (np.ctypeslib.as_array(x, (n,)).copy(), np.ctypeslib.as_array(g, (n,)).copy(),
             now.fun, now.projected_gradient, now.nit, now.nfev, now.status, data)
        )  # fmt: skip
        return 0

    kept, expected = [], []
    callback = CALLBACK(record)
    x, result = solve(callback=ctypes.cast(callback, ctypes.c_void_p), callback_data=12345, **TIGHT)
    minimize_lbfgsb(
        x0=X0, fun=compiled_rosenbrock, callback=lambda x, s: expected.append(s) and False, **TIGHT
    )
    assert len(kept) == result.nit == len(expected)
    for (x, g, *numbers, data), state in zip(kept, expected, strict=True):
        assert same_bits(x, state.x)
        assert same_bits(g, state.jac)
        assert numbers == [
            state.fun, state.projected_gradient, state.nit, state.nfev, state.status
        ]  # fmt: skip
        assert data == 12345


@pytest.mark.parametrize("last", [1, 5, None])
def test_the_callback_may_end_the_run(last):
    last = last or solve(**TIGHT)[1].nit  # also where it ends by itself
    callback = CALLBACK(lambda n, x, g, now, data: now.contents.nit == last)
    x, result = solve(callback=ctypes.cast(callback, ctypes.c_void_p), **TIGHT)
    assert (result.nit, result.status) == (last, STOPPED)
    assert result.fun == rosenbrock_fg(x)[0]


# --- wrong use ----------------------------------------------------------------------------

WRONG = {
    "fun": (BAD_POINTER, {"fun": None}),
    "n = 0": (BAD_N, {"n": 0}),
    "n = -1": (BAD_N, {"n": -1}),
    "nan in x": (BAD_X, {"x0": [0.0, np.nan]}),
    "inf in x": (BAD_X, {"x0": [np.inf, 0.0]}),
    "nan in lower": (BAD_BOUNDS, {"lower": np.array([0.0, np.nan])}),
    "nan in upper": (BAD_BOUNDS, {"upper": np.array([np.nan, 0.0])}),
    "lower > upper": (BAD_BOUNDS, {"lower": UPPER, "upper": LOWER}),
    "lower = inf": (BAD_BOUNDS, {"lower": np.array([np.inf, 0.0])}),
    "upper = -inf": (BAD_BOUNDS, {"upper": np.array([0.0, -np.inf])}),
    "size = 0": (BAD_SIZE, {"size": 0}),
    "size too small": (BAD_SIZE, {"size": Options.x_scale.offset}),
    "size of a later release": (BAD_SIZE, {"size": ctypes.sizeof(Options) + 8}),
    "no memory": (NO_MEMORY, {"maxcor": 2**50}),
    "sizes that overflow": (NO_MEMORY, {"maxcor": 2**62}),
} | {
    f"fun_precision = {bad}": (BAD_OPTION, {"fun_precision": bad})
    for bad in (-1.0, 1.0, np.inf, np.nan)
} | {
    f"x_scale with {bad}": (BAD_OPTION, {"x_scale": as_address(np.array([1.0, bad]))})
    for bad in (0.0, -1.0, np.inf, np.nan)
} | {
    f"{name} = {value}": (BAD_OPTION, {name: value})
    for name, value in [
        ("maxcor", -1), ("ftol", -1.0), ("ftol", np.nan), ("gtol", -1.0), ("gtol", np.nan),
        ("ftarget", np.nan), ("maxiter", -1), ("maxfun", -1), ("maxls", 0),
        ("max_steplength", 0.0), ("max_steplength", np.nan), ("ftol_linesearch", 0.0),
        ("ftol_linesearch", 0.9), ("gtol_linesearch", 1.0), ("gtol_linesearch", np.nan),
        ("xtol_linesearch", -0.1), ("eps_SY", -1.0), ("threads", -1), ("pairs", 16),
        ("secant", -1), ("secant", 2), ("extra_updates", -2), ("initial_scaling", -2),
        ("initial_scaling", 9),
    ]
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_wrong_use_has_a_status_and_nothing_is_evaluated(what):
    status, given = WRONG[what]
    calls = []
    given = {"fun": as_c(lambda x, g: calls.append(1))} | given
    x0 = np.array(given.pop("x0", X0))
    x, result = solve(x0, **given)
    assert result.status == status
    assert (result.nit, result.nfev) == (0, 0)
    assert np.isnan(result.fun)
    assert np.isnan(result.projected_gradient)
    assert calls == []
    assert same_bits(x, x0)
    solver = ctypes.c_void_p(1)
    if what != "fun":
        o = options(**{k: v for k, v in given.items() if k in dict(Options._fields_)})
        assert status == create(
            ctypes.byref(solver), given.get("n", 2), doubles(x0), doubles(given.get("lower")),
            doubles(given.get("upper")), ctypes.byref(o),
        )  # fmt: skip
        assert solver.value is None


def test_null_for_x_is_wrong_use():
    assert minimize(ROSENBROCK, None, 2, None, None, None, None, None) == BAD_POINTER
    assert create(None, 2, doubles(X0), None, None, None) == BAD_POINTER


def test_every_status_has_words_of_its_own():
    words = [message(status).decode() for status in range(NOT_ASKED, STOPPED + 1)]
    assert len(set(words)) == len(words) == 13
    assert "UNKNOWN STATUS" not in words
    assert all(w.startswith("ERROR: ") for w in words[:8])
    assert message(4) == message(-10) == b"UNKNOWN STATUS"
    assert message(RUNNING).decode() == ENDS[0][2]


def test_defaults_for_a_caller_with_fewer_or_more_options():
    """A struct of another release: no byte beyond its size is written."""
    size = ctypes.sizeof(Options)
    raw = (ctypes.c_ubyte * (2 * size))(*[255] * (2 * size))
    view = ctypes.cast(raw, ctypes.POINTER(Options))
    fewer = Options.ftol.offset + Options.ftol.size
    set_default_options(view, fewer)
    assert (view.contents.size, view.contents.ftol) == (fewer, 1e-5)
    assert set(raw[fewer:]) == {255}
    set_default_options(view, size + 8)
    assert view.contents.size == size + 8
    assert list(raw[size : size + 8]) == [0] * 8
    assert set(raw[size + 8 :]) == {255}


# --- ask and tell -------------------------------------------------------------------------


def new_solver(x0=X0, lower=None, upper=None, **given):
    solver = ctypes.c_void_p()
    o = options(**given)
    status = create(
        ctypes.byref(solver), len(x0), doubles(x0), doubles(lower), doubles(upper), ctypes.byref(o)
    )
    assert status == RUNNING
    return solver


def state_of(solver, n):
    x, g, result = np.empty(n), np.empty(n), Result()
    status = get_result(solver, doubles(x), doubles(g), ctypes.byref(result))
    assert status == result.status
    return x, g, result


def test_ask_and_tell_give_the_bits_of_minimize_lbfgsb():
    n = 10
    x0, lower, upper = problem(n)
    expected = minimize_lbfgsb(
        x0=x0, fun=compiled_rosenbrock, bounds=np.stack([lower, upper], axis=1), **TIGHT
    )
    solver = new_solver(x0, lower, upper, **TIGHT)
    x0[:] = lower[:] = upper[:] = np.nan  # copied
    new_iterates, told = 0, {}
    while point := ask(solver):
        x = np.ctypeslib.as_array(point, (n,)).copy()
        again = np.ctypeslib.as_array(ask(solver), (n,))
        assert same_bits(x, again)
        f, g = rosenbrock_fg(x)
        told[x.tobytes()] = g
        again[:] = np.nan  # the objective's own
        new = tell(solver, f, doubles(g))
        new_iterates += new
        at, g_at, result = state_of(solver, n)
        assert result.nit == new_iterates
        if new:  # the last point or, at the end of a line search, the best one
            assert same_bits(g_at, told[at.tobytes()])
    x, g, result = state_of(solver, n)
    assert_same(x, result, expected)
    assert same_bits(g, expected.jac)
    destroy(solver)


def test_tell_needs_a_point_from_ask():
    solver, g = new_solver(maxiter=1), np.zeros(2)
    assert tell(solver, 1.0, doubles(g)) == NOT_ASKED
    assert state_of(solver, 2)[2].nfev == 0
    while point := ask(solver):
        f, g = rosenbrock_fg(np.ctypeslib.as_array(point, (2,)))
        assert tell(solver, f, doubles(g)) in (0, 1)
        assert tell(solver, f, doubles(g)) == NOT_ASKED
    assert tell(solver, f, doubles(g)) == NOT_ASKED
    assert state_of(solver, 2)[2].status == LIMIT
    destroy(solver)


def test_the_result_can_be_asked_for_at_any_time():
    solver = new_solver()
    x, g, result = state_of(solver, 2)
    assert same_bits(x, X0)
    assert np.isnan([*g, result.fun, result.projected_gradient]).all()
    assert result.status == get_result(solver, None, None, None) == RUNNING
    destroy(solver)
    destroy(None)


def test_a_value_that_is_not_finite_needs_no_gradient():
    solver = new_solver(np.array([5.0]), **TIGHT)
    refused = 0
    while point := ask(solver):
        x = np.ctypeslib.as_array(point, (1,)).copy()
        f, g = log_barrier(x), log_barrier_grad(x)
        refused += not np.isfinite(f)
        tell(solver, f, doubles(g) if np.isfinite(f) else None)
    assert refused > 0
    x, _, result = state_of(solver, 1)
    assert (x[0], result.status) == (pytest.approx(0.1), CONVERGED)
    destroy(solver)


def test_tell_calls_the_callback():
    callback = CALLBACK(lambda n, x, g, now, data: now.contents.nit == 3)
    solver = new_solver(callback=ctypes.cast(callback, ctypes.c_void_p))
    while point := ask(solver):
        f, g = rosenbrock_fg(np.ctypeslib.as_array(point, (2,)))
        tell(solver, f, doubles(g))
    result = state_of(solver, 2)[2]
    assert (result.nit, result.status) == (3, STOPPED)
    destroy(solver)


# --- threads and memory -------------------------------------------------------------------


def test_two_hundred_threads_each_run_a_problem():
    x0, lower, upper = problem(20)
    starts = [x0 + 0.01 * k for k in range(200)]
    alone = [solve(start, lower, upper, **TIGHT) for start in starts]
    together = [None] * 200
    barrier = threading.Barrier(200)

    def work(k):
        barrier.wait()
        for _ in range(5):
            together[k] = solve(starts[k], lower, upper, **TIGHT)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for (x, result), (x_alone, alone_result) in zip(together, alone, strict=True):
        assert same_bits(x, x_alone)
        assert bytes(result) == bytes(alone_result)


@pytest.mark.skipif(sys.platform != "linux", reason="LD_PRELOAD is Linux's")
@pytest.mark.skipif("LD_PRELOAD" in os.environ, reason="another malloc is in use")
def test_nothing_is_allocated_from_the_first_evaluation_to_the_last(tmp_path):
    """A library that counts is put before the C library's malloc."""
    library = compile_c(
        """
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <stddef.h>
        static __thread long calls __attribute__((tls_model("initial-exec")));
        #define COUNT(type, name, parameters, arguments) \\
            type name parameters { \\
                static type (*real) parameters; \\
                calls++; \\
                if (!real) real = (type (*) parameters)dlsym(RTLD_NEXT, #name); \\
                return real arguments; }
        COUNT(void *, malloc, (size_t size), (size))
        COUNT(void *, realloc, (void *p, size_t size), (p, size))
        COUNT(int, posix_memalign, (void **p, size_t a, size_t size), (p, a, size))
        long first, last, evaluations;
        void reset(void) { evaluations = 0; }
        int fun(long n, const double *x, double *f, double *g, void *data)
        {
            if (evaluations++ == 0) first = calls;
            last = calls;
            return ((int (*)(long, const double *, double *, double *, void *))data)(n, x, f, g, 0);
        }
        """,
        tmp_path,
        "counting",
    )
    code = f"""
    import ctypes, sys
    sys.path.insert(0, {str(Path(__file__).parent)!r})
    from compiled import ROSENBROCK, minimize, doubles, options
    import numpy as np
    counting = ctypes.CDLL({str(library)!r})
    number = lambda name: ctypes.c_long.in_dll(counting, name).value
    x, box = np.resize([-1.2, 1.0], 100), np.full(100, 0.9)
    for upper in (None, box):
        counting.reset()
        o = options(ftol=0.0, maxiter=1000)
        bound = doubles(upper)
        assert minimize(counting.fun, ROSENBROCK, 100, doubles(x), None, bound, o, None) == 0
        assert number("evaluations") > 20, number("evaluations")
        assert number("first") > 0, "malloc is not counted"
        assert number("last") == number("first"), (number("last"), number("first"))
    print("counted")
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=os.environ | {"LD_PRELOAD": str(library)},
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert result.stdout == "counted\n", result.stderr


# --- the header ---------------------------------------------------------------------------

MODULE = """
#include <lbfgsb.h>

static int fun(Py_ssize_t n, const double *x, double *f, double *g, void *data)
{
    Py_ssize_t i;
    *f = 0;
    for (i = 0; i < n; i++) {
        *f += (x[i] - *(double *)data) * (x[i] - *(double *)data);
        g[i] = 2 * (x[i] - *(double *)data);
    }
    return 0;
}

static PyObject *solve(PyObject *self, PyObject *args)
{
    double x[2] = {0, 0}, lower[2] = {-1, -1}, upper[2] = {5, 2}, centre = 3, f, g[2];
    lbfgsb_options options = lbfgsb_default_options();
    lbfgsb_result result, asked;
    lbfgsb_solver *solver;
    const double *point;
    int status;

    (void)self; (void)args;
    options.gtol = 1e-10;
    Py_BEGIN_ALLOW_THREADS
    status = lbfgsb_minimize(fun, &centre, 2, x, lower, upper, &options, &result);
    if (lbfgsb_create(&solver, 2, lower, lower, upper, &options) == LBFGSB_RUNNING) {
        while ((point = lbfgsb_ask(solver)) != NULL) {
            fun(2, point, &f, g, &centre);
            lbfgsb_tell(solver, f, g);
        }
        lbfgsb_get_result(solver, NULL, g, &asked);
        lbfgsb_destroy(solver);
    }
    Py_END_ALLOW_THREADS
    return Py_BuildValue("dddsid", x[0], x[1], result.fun, lbfgsb_message(status), asked.status,
                         g[1]);
}

static PyMethodDef methods[] = {{"solve", solve, METH_NOARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "NAME", NULL, -1, methods, NULL, NULL, NULL, NULL
};

PyMODINIT_FUNC PyInit_NAME(void)
{
    if (lbfgsb_import() < 0)
        return NULL;
    return PyModule_Create(&module);
}
"""


@pytest.mark.parametrize(
    ("compiler", "flags"), [("gcc", ["-std=c99"]), ("g++", ["-std=c++11"])], ids=["c", "c++"]
)
def test_the_header_serves_an_extension_module(tmp_path, compiler, flags):
    name = f"with_{compiler.replace('+', 'p')}"
    library = compile_c(
        MODULE.replace("NAME", name), tmp_path, name,
        f"-I{lbfgsb.get_include()}", "-Wall", "-Wextra", "-Werror", *flags, compiler=compiler,
    )  # fmt: skip
    loader = importlib.machinery.ExtensionFileLoader(name, str(library))
    module = importlib.util.module_from_spec(
        importlib.util.spec_from_file_location(name, library, loader=loader)
    )
    loader.exec_module(module)
    assert module.solve() == (
        pytest.approx(3.0), 2.0, pytest.approx(1.0),
        "CONVERGENCE: A TOLERANCE OR THE TARGET IS MET", CONVERGED, -2.0,
    )  # fmt: skip


def declarations(path, comment):
    """The constants, and the fields of result and options, with types and in order."""
    text = re.sub(comment, "", path.read_text(), flags=re.DOTALL)
    statuses = dict(re.findall(r"(LBFGSB_[A-Z_]+) = (-?\d+)", text))
    fields = re.findall(
        r"^    (size_t|Py_ssize_t|double|int|lbfgsb_callback|void \*|const double \*) ?(\w+);?\s*$",
        text,
        re.M,
    )
    names = [name for _, name in fields]
    return statuses, fields[names.index("fun") : names.index("initial_scaling") + 1]


def test_the_header_and_the_pxd_declare_the_same():
    folder = Path(lbfgsb.get_include())
    header = declarations(folder / "lbfgsb.h", r"/\*.*?\*/")
    pxd = declarations(folder.parent / "cython_lbfgsb.pxd", r"#[^\n]*")
    assert len(pxd[0]) == 17
    assert len(pxd[1]) == len(Result._fields_) + len(Options._fields_)
    assert pxd == header


def test_the_pxd_shows_nothing_private():
    text = (Path(lbfgsb.__file__).parent / "cython_lbfgsb.pxd").read_text()
    assert "_core" not in text
