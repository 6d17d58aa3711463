"""Compiled objectives from Python: LowLevelCallables in `minimize_lbfgsb` and `Solver.run`."""

import ctypes
import logging
import pickle
import signal
import threading

import numpy as np
import pytest
from compiled import PROTOTYPE, Naps, as_c, as_low_level, rosenbrock_fg
from problems import (
    BOX,
    X0,
    Alarm,
    alarms,
    assert_same_run,
    log_barrier,
    log_barrier_grad,
    rosen_fg,
    same_bits,
)
from scipy import LowLevelCallable

from lbfgsb import Solver, minimize_lbfgsb
from lbfgsb.benchmarks import compiled_rosenbrock, rosenbrock, rosenbrock_grad

TIGHT = {"ftol": 0.0, "gtol": 1e-8, "maxiter": 1000}
# Steps so short that the run lasts for many seconds.
ENDLESS = {"max_steplength": 1e-8, "ftol": 0.0, "gtol": 0.0, "maxiter": 10**12, "maxfun": 10**12}


def start_of(n):
    return np.resize([-1.2, 1.0], n)


def box_of(n):
    upper = np.full(n, 2.0)
    upper[::3] = 0.9
    return np.stack([np.full(n, -2.0), upper], axis=1)


def test_compiled_rosenbrock_is_the_rosenbrock_function():
    x = np.random.default_rng(5).normal(size=7)
    f, g = rosenbrock_fg(x)
    assert f == pytest.approx(rosenbrock(x), rel=1e-14)
    np.testing.assert_allclose(g, rosenbrock_grad(x), rtol=1e-13)
    assert rosenbrock_fg(np.array([2.0]))[1] == 0.0


# --- the run ------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 10, 100, 3001])
@pytest.mark.parametrize("bounded", [False, True], ids=["free", "box"])
def test_a_compiled_objective_gives_the_bits_of_the_same_objective_in_python(n, bounded):
    given = {"x0": start_of(n), "bounds": box_of(n) if bounded else None} | TIGHT
    assert_same_run(
        minimize_lbfgsb(fun=compiled_rosenbrock, **given),
        minimize_lbfgsb(fun=rosenbrock_fg, jac=True, **given),
    )


@pytest.mark.parametrize("jac", [None, True], ids=str)
def test_jac_may_be_none_or_true(jac):
    assert minimize_lbfgsb(x0=X0, fun=compiled_rosenbrock, jac=jac, **TIGHT).success


@pytest.mark.parametrize("jac", ["2-point", False, rosen_fg], ids=["name", "False", "callable"])
def test_another_jac_is_explained(jac):
    with pytest.raises(ValueError, match="jac must be None or True: the function writes"):
        minimize_lbfgsb(x0=X0, fun=compiled_rosenbrock, jac=jac)


@pytest.mark.parametrize(
    "options",
    [
        {"maxcor": 3},
        {"ftarget": 0.5},
        {"ftarget": lambda: 0.5},
        {"gtol": lambda: 1e-1},
        {"maxiter": 4},
        {"maxfun": 9},
        {"maxls": 2},
        {"is_check_factorizations": True},
        {"threads": 2},
    ],
    ids=["maxcor", "ftarget", "ftarget()", "gtol()", "maxiter", "maxfun", "maxls", "check",
         "threads"],
)  # fmt: skip
def test_options_mean_what_they_do_with_a_python_objective(options):
    given = {"x0": start_of(10), "bounds": box_of(10)} | options
    assert_same_run(
        minimize_lbfgsb(fun=compiled_rosenbrock, **given),
        minimize_lbfgsb(fun=rosenbrock_fg, jac=True, **given),
    )


def test_data_is_handed_over():
    seen = []

    def call(n, x, f, g, data):
        seen.append(data)
        f[0], g[0] = (x[0] - 3.0) ** 2, 2 * (x[0] - 3.0)
        return 0

    data = ctypes.c_double(7.0)
    address = ctypes.addressof(data)
    fun = LowLevelCallable(PROTOTYPE(call), ctypes.c_void_p(address))
    assert minimize_lbfgsb(x0=[0.0], fun=fun).x == pytest.approx(3.0)
    assert set(seen) == {address}


def test_every_point_is_in_the_box_to_the_last_bit():
    box = box_of(30) / 3.0
    points = []

    def fun(x, g):
        points.append(x.copy())
        f, g[:] = rosenbrock_fg(x)
        return f

    res = minimize_lbfgsb(x0=start_of(30), fun=as_low_level(fun), bounds=box, **TIGHT)
    assert res.nfev == res.njev == len(points)
    assert all(np.all((box[:, 0] <= x) & (x <= box[:, 1])) for x in [*points, res.x])
    assert res.fun == rosenbrock_fg(res.x)[0]


def test_an_objective_that_scribbles_on_x_harms_nothing():
    def fun(x, g):
        f, g[:] = rosenbrock_fg(x)
        x[:] = np.nan
        return f

    given = {"x0": start_of(10), "bounds": box_of(10)} | TIGHT
    assert_same_run(
        minimize_lbfgsb(fun=as_low_level(fun), **given),
        minimize_lbfgsb(fun=compiled_rosenbrock, **given),
    )


def test_nan_is_a_step_too_long():
    def fun(x, g):
        g[:] = log_barrier_grad(x)
        return log_barrier(x)

    res = minimize_lbfgsb(x0=[5.0], fun=as_low_level(fun), **TIGHT)
    assert res.success
    assert res.x == pytest.approx(0.1)


def test_a_function_that_sets_nothing_is_not_believed():
    res = minimize_lbfgsb(x0=X0, fun=as_low_level(lambda x, g: None))
    assert (res.status, res.nfev, res.nit) == (2, 1, 0)
    assert np.isnan(res.fun)

    def only_one_component(x, g):
        g[0] = 1.0
        return 1.0

    res = minimize_lbfgsb(x0=X0, fun=as_low_level(only_one_component))
    assert res.status == 2
    assert "1 components of the gradient at x0 are not finite, first 1" in res.message


@pytest.mark.parametrize("code", [1, -1, 77])
@pytest.mark.parametrize("call", [1, 2, 9])
def test_a_nonzero_return_ends_the_run_at_the_last_iterate(code, call):
    calls = []

    def fun(x, g):
        calls.append(1)
        f, g[:] = rosenbrock_fg(x)
        return f if len(calls) < call else (code,)

    iterates = [X0]
    res = minimize_lbfgsb(
        x0=X0, fun=as_low_level(fun), callback=lambda x: iterates.append(x) and False
    )
    # Where no f is known there is no success.
    assert (res.status, res.success, res.message) == (3, call > 1, "STOP: USER CALLBACK")
    assert res.nfev == res.njev == len(calls) == call
    assert res.nit == len(iterates) - 1
    assert same_bits(res.x, iterates[-1])
    if call == 1:
        assert np.isnan(res.fun)
    else:
        assert res.fun == rosenbrock_fg(res.x)[0]


# --- what needs Python in between ---------------------------------------------------------


def test_the_callback_is_called_for_each_iterate():
    def states(fun):
        kept = []
        res = minimize_lbfgsb(
            x0=X0, fun=fun, jac=True, callback=lambda x, state: kept.append(state) or False
        )
        assert len(kept) == res.nit
        return kept

    for a, b in zip(states(compiled_rosenbrock), states(rosenbrock_fg), strict=True):
        assert (a.nit, a.nfev, a.fun, a.status, a.message) == (
            b.nit, b.nfev, b.fun, b.status, b.message
        )  # fmt: skip
        assert same_bits(a.x, b.x)


def test_the_callback_may_end_the_run():
    res = minimize_lbfgsb(x0=X0, fun=compiled_rosenbrock, callback=lambda x, state: state.nit == 5)
    assert (res.nit, res.status) == (5, 3)


@pytest.mark.parametrize("argument", ["callback", "update_fun_def", "ftarget", "gtol"])
def test_an_exception_comes_out_unchanged(argument):
    error = RuntimeError("mine")

    def fail(*args):
        raise error

    with pytest.raises(RuntimeError) as caught:
        minimize_lbfgsb(x0=X0, fun=compiled_rosenbrock, **{argument: fail})
    assert caught.value is error


def test_the_log_is_that_of_a_python_objective(caplog):
    logger = logging.getLogger("compiled")
    texts = []
    for fun in (compiled_rosenbrock, rosenbrock_fg):
        caplog.clear()
        with caplog.at_level(logging.INFO, logger="compiled"):
            minimize_lbfgsb(x0=X0, fun=fun, jac=True, iprint=1, logger=logger)
        texts.append([record.getMessage() for record in caplog.records])
    assert texts[0] == texts[1]
    assert len(texts[0]) > 5


def test_the_objective_may_be_redefined_on_the_way():
    def run(fun):
        def update(x, f, f_old, g, xs, gs):
            return 2 * f, 2 * f_old, 2 * g, type(gs)((2 * one for one in gs), gs.maxlen)

        return minimize_lbfgsb(x0=X0, fun=fun, jac=True, update_fun_def=update, maxiter=5)

    assert_same_run(run(compiled_rosenbrock), run(rosenbrock_fg))


@pytest.mark.parametrize("funs", [(0, 1), (1, 0), (0, 0)], ids=["cp", "pc", "cc"])
def test_a_checkpoint_resumes_to_the_same_bits_with_either_objective(funs):
    objectives = [
        {"fun": compiled_rosenbrock, "jac": None},
        {"fun": rosenbrock_fg, "jac": True},
    ]
    given = {"bounds": box_of(10)} | TIGHT
    whole = minimize_lbfgsb(x0=start_of(10), **objectives[0], **given)
    part = minimize_lbfgsb(x0=start_of(10), **objectives[funs[0]], **(given | {"maxfun": 20}))
    part = pickle.loads(pickle.dumps(part))
    assert_same_run(
        minimize_lbfgsb(x0=part.x, checkpoint=part, **objectives[funs[1]], **given), whole
    )


def test_a_run_that_was_stopped_by_the_objective_goes_on():
    def stopped_at(call):
        calls = []

        def fun(x, g):
            calls.append(1)
            f, g[:] = rosenbrock_fg(x)
            return f if len(calls) < call else (1,)

        return as_low_level(fun)

    whole = minimize_lbfgsb(x0=X0, fun=compiled_rosenbrock, **TIGHT)
    for call in (1, 8):
        part = minimize_lbfgsb(x0=X0, fun=stopped_at(call), **TIGHT)
        res = minimize_lbfgsb(x0=part.x, fun=compiled_rosenbrock, checkpoint=part, **TIGHT)
        assert same_bits(res.x, whole.x)
        assert (res.nit, res.nfev) == (whole.nit, whole.nfev + 1)  # one evaluation was in vain


# --- the GIL and signals ------------------------------------------------------------------


def test_other_threads_run_meanwhile():
    thread = threading.Thread(
        target=minimize_lbfgsb,
        kwargs={"x0": start_of(2), "fun": compiled_rosenbrock} | ENDLESS | {"maxiter": 10**6},
    )
    beats = 0
    thread.start()
    while thread.is_alive():
        beats += 1
    # With the GIL held, the loop would have stood still for the whole run.
    assert beats > 1000


@pytest.mark.parametrize("n", [2, 10_000])
def test_a_signal_is_heard_within_a_tenth_of_a_second(n, tmp_path):
    naps = Naps(tmp_path)
    naps.interrupt(lambda: minimize_lbfgsb(x0=start_of(n), fun=naps.fun, **ENDLESS))
    assert naps.within(0.1)


def test_a_signal_is_heard_in_a_long_line_search_too(tmp_path):
    naps = Naps(tmp_path, "wall")
    naps.interrupt(lambda: minimize_lbfgsb(x0=[0.0], fun=naps.fun, maxls=10**6))
    assert naps.within(0.1)


@pytest.mark.parametrize(("n", "maxiter"), [(2, 3 * 10**7), (10_000, 10**5)])
def test_a_signal_from_outside_ends_a_run_of_fast_evaluations(n, maxiter):
    solver = Solver(start_of(n), **ENDLESS | {"maxiter": maxiter})

    def work():
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        solver.run(compiled_rosenbrock)

    with alarms(signal.SIGALRM), pytest.raises(Alarm):
        work()
    assert not solver.done


def test_a_solver_goes_on_after_a_signal(tmp_path):
    naps = Naps(tmp_path, signal_at=10)
    solver = Solver(X0, **ENDLESS)
    naps.interrupt(lambda: solver.run(naps.fun))
    nit, nfev = solver.nit, solver.nfev
    assert nfev == naps.calls
    assert nit >= 8
    assert not solver.done
    solver.tell(solver.ask().sum(), np.ones(2))
    assert solver.nfev == nfev + 1
    assert solver.nit in (nit, nit + 1)


# --- signatures ---------------------------------------------------------------------------


def with_signature(signature):
    return LowLevelCallable(as_c(lambda x, g: (1,)), signature=signature)


GOOD = [
    "int (intptr_t, double *, double *, double *, void *)",
    "int (intptr_t, const double *, double *, double *, void *)",
    "int (Py_ssize_t, double const *, double *, double *, void *)",
    "int (ssize_t, double const *, double *, double *, void *)",
    "int (ptrdiff_t, const double * const, double * restrict, double *, const void *)",
    "int (npy_intp, double[], double[], double[], void *)",
    "int(intptr_t,const double*,double*,double*,void*)",
    "int (int64_t, double *, double *, double *, double *)",
    "int (PY_LONG_LONG, double const *, double *, double *, struct problem *)",
    "int (long long, double *, double *, double *, void *)",
    "int (long, double *, double *, double *, void *)",
]


@pytest.mark.parametrize("signature", GOOD)
def test_a_signature_may_be_spelled_in_many_ways(signature):
    if ctypes.sizeof(ctypes.c_void_p) != 8 or ctypes.sizeof(ctypes.c_long) != 8:
        pytest.skip("the spellings are those of 64-bit Unix")
    assert minimize_lbfgsb(x0=X0, fun=with_signature(signature)).status == 3


BAD = {
    "double (double, void *)": "it must return int, not double",
    "void (intptr_t, double *, double *, double *, void *)": "it must return int, not void",
    "long (intptr_t, double *, double *, double *, void *)": "it must return int, not long",
    "int (intptr_t, double *, double *, double *)": "it must take 5 arguments, not 4",
    "int (int, double *, double *, double *, void *)": "n must be a signed integer .* not int",
    "int (unsigned long, double *, double *, double *, void *)": "n must .*, not unsigned long",
    "int (size_t, double *, double *, double *, void *)": "n must be .*, not size_t",
    "int (double, double *, double *, double *, void *)": "n must be .*, not double",
    "int (intptr_t, float *, double *, double *, void *)": r"x must be double \*, not float \*",
    "int (intptr_t, double *, double, double *, void *)": r"f must be double \*, not double",
    "int (intptr_t, double *, double *, double **, void *)": r"g must be .*, not double \*\*",
    "int (intptr_t, double *, double *, double *, int)": "data must be a pointer, not int",
    "nonsense": "it is not the signature of a function",
}


@pytest.mark.parametrize("signature", BAD)
@pytest.mark.parametrize(
    "door",
    [lambda fun: minimize_lbfgsb(x0=X0, fun=fun), lambda fun: Solver(X0).run(fun)],
    ids=["minimize", "solver"],
)
def test_a_wrong_signature_is_an_error_that_shows_the_right_one(signature, door):
    fun = with_signature(signature)
    with pytest.raises(ValueError, match=BAD[signature]) as caught:
        door(fun)
    assert GOOD[0] in str(caught.value)
    assert signature in str(caught.value)


# --- Solver.run ---------------------------------------------------------------------------


@pytest.mark.parametrize("fun", [compiled_rosenbrock, rosenbrock_fg], ids=["compiled", "python"])
@pytest.mark.parametrize("iterations", [None, 1, 7])
def test_run_gives_the_bits_of_minimize_lbfgsb(fun, iterations):
    solver = Solver(start_of(10), bounds=box_of(10), **TIGHT)
    done, before = False, 0
    while not done:
        done = solver.run(fun, iterations=iterations)
        assert done == solver.done
        assert iterations is None or done or solver.nit == before + iterations
        before = solver.nit
        solver = pickle.loads(pickle.dumps(solver))
    assert_same_run(
        solver.result(),
        minimize_lbfgsb(x0=start_of(10), bounds=box_of(10), fun=rosenbrock_fg, jac=True, **TIGHT),
    )


def test_run_takes_the_gradient_apart():
    solver = Solver(X0, **TIGHT)
    assert solver.run(rosenbrock, rosenbrock_grad)
    assert_same_run(
        solver.result(), minimize_lbfgsb(x0=X0, fun=rosenbrock, jac=rosenbrock_grad, **TIGHT)
    )


def test_run_and_ask_and_tell_take_turns():
    solver = Solver(start_of(10), bounds=box_of(10), **TIGHT)
    solver.tell(*rosenbrock_fg(solver.ask()))
    while not solver.run(compiled_rosenbrock, iterations=2):
        for _ in range(3):
            if not solver.done:
                solver.ask()
                solver.tell(*rosenbrock_fg(solver.ask()))
        solver.ask() if not solver.done else None  # a point that run takes over
    assert_same_run(
        solver.result(),
        minimize_lbfgsb(x0=start_of(10), bounds=box_of(10), fun=rosenbrock_fg, jac=True, **TIGHT),
    )


@pytest.mark.parametrize("limit", [{"maxiter": 6}, {"maxfun": 8}], ids=["maxiter", "maxfun"])
def test_a_pause_is_not_a_limit(limit):
    solver = Solver(X0, **limit)
    assert not solver.run(compiled_rosenbrock, iterations=2)
    assert (solver.nit, solver.status, solver.message) == (2, -1, "RUNNING")
    while not solver.run(compiled_rosenbrock, iterations=2):
        assert solver.status == -1
    assert_same_run(solver.result(), minimize_lbfgsb(x0=X0, fun=compiled_rosenbrock, **limit))


def test_a_run_that_is_over_stays_so():
    solver = Solver(X0, maxiter=3)
    assert solver.run(compiled_rosenbrock, iterations=3)
    assert solver.message == "STOP: TOTAL NO. of ITERATIONS REACHED LIMIT"
    nfev = solver.nfev
    assert solver.run(compiled_rosenbrock)
    assert solver.nfev == nfev


def test_after_an_exception_run_asks_for_the_same_point():
    points = []

    def fun(x):
        points.append(x)
        if len(points) == 6:
            raise RuntimeError("mine")
        return rosenbrock_fg(x)

    solver = Solver(X0)
    with pytest.raises(RuntimeError, match="mine"):
        solver.run(fun)
    assert solver.nfev == 5
    assert solver.run(fun)
    assert same_bits(points[5], points[6])
    assert_same_run(solver.result(), minimize_lbfgsb(x0=X0, fun=rosenbrock_fg, jac=True))


def test_run_must_be_followed_by_ask_before_tell():
    solver = Solver(X0)
    solver.ask()
    solver.run(compiled_rosenbrock, iterations=1)
    with pytest.raises(RuntimeError, match="tell needs a point from ask"):
        solver.tell(1.0, X0)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"fun": 3}, TypeError, "fun must be callable or a LowLevelCallable; got 3"),
        ({"fun": rosen_fg, "jac": "2-point"}, TypeError, "jac must be True or callable"),
        ({"fun": rosen_fg, "iterations": 0}, ValueError, "iterations must be at least 1; got 0"),
        ({"fun": rosen_fg, "iterations": "a"}, TypeError, "iterations must be an integer"),
        ({"fun": compiled_rosenbrock, "jac": rosen_fg}, ValueError, "jac must be None or True"),
    ],
    ids=["fun", "jac", "zero", "text", "compiled"],
)
def test_run_names_a_wrong_argument(arguments, error, text):
    with pytest.raises(error, match=text):
        Solver(X0, bounds=BOX).run(**arguments)
