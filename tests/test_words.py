"""What is said to those who call something wrongly: at once, by name, and in few words."""

import ctypes
import logging

import numpy as np
import pytest
from problems import X0, needs_workers, rosen, rosen_fg, rosen_grad
from scipy.optimize import OptimizeWarning, minimize

import lbfgsb
from lbfgsb import Solver, check_gradient, diagnose, fmin_l_bfgs_b, minimize_batch, minimize_lbfgsb
from lbfgsb._endings import mismatch_evidence, why_no_step
from lbfgsb.benchmarks import compiled_rosenbrock
from lbfgsb.callbacks import History, Print, ProgressBar, TimeLimit


def never(x, *rest):
    raise AssertionError("evaluated")


def solve(**options):
    return minimize_lbfgsb(**({"x0": X0, "fun": never, "jac": True} | options))


def solver(**options):
    return Solver(X0, **options)


def batch(**options):
    return minimize_batch(**({"fun": never, "x0": [X0]} | options))


LONG = np.zeros(900)


# --- a scalar where a pair came -----------------------------------------------------------


@pytest.mark.parametrize("jac", [None, "2-point", rosen_grad], ids=["None", "name", "callable"])
def test_a_pair_where_a_scalar_is_expected_asks_for_jac_true(jac):
    with pytest.raises(TypeError, match=r"fun must return a scalar; .*did you mean jac=True"):
        minimize_lbfgsb(x0=X0, fun=rosen_fg, jac=jac)


def test_a_list_is_a_pair_too_and_three_things_are_named():
    with pytest.raises(TypeError, match="got a list of 2: did you mean jac=True"):
        minimize_lbfgsb(x0=X0, fun=lambda x: list(rosen_fg(x)))
    with pytest.raises(ValueError, match=r"fun must return a scalar .*; got tuple"):
        minimize_lbfgsb(x0=X0, fun=lambda x: (*rosen_fg(x), 3))


def test_solver_run_asks_the_same():
    with pytest.raises(TypeError, match="did you mean jac=True"):
        Solver(X0).run(rosen_fg, rosen_grad)


def test_a_pair_in_a_pair_is_not_answered_with_what_was_given():
    with pytest.raises((TypeError, ValueError), match="fun must return") as caught:
        minimize_lbfgsb(x0=X0, fun=lambda x: ((1.0, 2.0), x), jac=True)
    assert "did you mean" not in str(caught.value)


# --- compiled functions that are not wrapped ----------------------------------------------

SIGNATURE = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_ssize_t, *[ctypes.POINTER(ctypes.c_double)] * 3, ctypes.c_void_p
)


class LikeNumba:
    """What numba.cfunc returns, as far as it matters here."""

    address, ctypes = 1, None

    def __call__(self, n, x, f, g, data):
        raise AssertionError("evaluated")


def with_cffi():
    ffi = pytest.importorskip("cffi").FFI()
    return ffi.cast("int (*)(ssize_t, double *, double *, double *, void *)", 1)


UNWRAPPED = {
    "ctypes": (lambda: SIGNATURE(never), r"ctypes.*LowLevelCallable\(fun\)"),
    "ctypes without a signature": (lambda: ctypes.CDLL(None).qsort, "LowLevelCallable"),
    "Numba": (LikeNumba, r"Numba.*LowLevelCallable\(fun\.ctypes\)"),
    "cffi": (with_cffi, r"cffi.*LowLevelCallable\(fun\)"),
}


@pytest.mark.parametrize("door", [solve, lambda fun: solver().run(fun), batch])
@pytest.mark.parametrize("case", UNWRAPPED)
def test_a_compiled_function_is_told_how_to_be_an_objective(door, case):
    make, said = UNWRAPPED[case]
    with pytest.raises(TypeError, match=said):
        door(fun=make())


def test_a_function_of_ctypes_that_takes_an_array_is_a_python_objective():
    @ctypes.CFUNCTYPE(ctypes.c_double, ctypes.py_object)
    def fun(x):
        return float(x @ x)

    assert minimize_lbfgsb(x0=[3.0, -1.0], fun=fun, jac=lambda x: 2 * x).success


# --- options by other names ---------------------------------------------------------------

MEANT = {
    "options": ({"maxiter": 3}, "each option by its own name"),
    "tol": (1e-8, "ftol and gtol"),
    "method": ("L-BFGS-B", "one method"),
    "maxitre": (10, "did you mean 'maxiter'"),
    "max_iter": (10, "did you mean 'maxiter'"),
    "maxIter": (10, "did you mean 'maxiter'"),
    "gtoll": (1e-3, "did you mean 'gtol'"),
    "m": (5, "maxcor"),
    "constraints": ((), "bounds alone"),
    "zzz": (1, "the options are maxcor|the options are .*gtol"),
}


@pytest.mark.parametrize("door", [solve, solver, batch])
@pytest.mark.parametrize("name", MEANT)
def test_an_option_by_another_name_is_told_its_own(door, name):
    value, said = MEANT[name]
    with pytest.raises(TypeError, match=f"'{name}' is no option; .*(?:{said})"):
        door(**{name: value})


@pytest.mark.parametrize("name", ["fun", "jac", "args"])
def test_solver_says_where_the_objective_goes(name):
    with pytest.raises(TypeError, match=rf"'{name}' .*Solver\.run"):
        Solver(X0, **{name: never})


def test_the_other_doors_say_what_they_have_instead():
    with pytest.raises(TypeError, match=r"'callback' .*tell or run"):
        Solver(X0, callback=print)
    with pytest.raises(TypeError, match=r"'checkpoint' .*pickle it"):
        Solver(X0, checkpoint=None)
    with pytest.raises(TypeError, match=r"'jac' .*fun returns the pair \(F, G\)"):
        batch(jac=True)


def test_the_result_of_a_batch_is_not_that_of_one():
    res = minimize_batch(lambda X: ((X * X).sum(axis=1), 2 * X), [X0])
    with pytest.raises(TypeError, match=r"result must be the result of one problem, batch\[i\]"):
        diagnose(res)
    with pytest.raises(TypeError, match="checkpoint must be the result of one problem"):
        solve(checkpoint=res)


# --- values in messages -------------------------------------------------------------------

LARGE = {
    "ftol": lambda: solve(ftol=LONG),
    "gtol of Solver": lambda: solver(gtol=LONG),
    "maxcor of a batch": lambda: batch(maxcor=LONG),
    "maxiter": lambda: solve(maxiter=LONG),
    "callback": lambda: solve(callback=3 * [LONG]),
    "callback of a batch": lambda: batch(callback=LONG),
    "fun": lambda: solve(fun=LONG),
    "fun of Solver": lambda: solver().run(LONG),
    "fun of a batch": lambda: batch(fun=LONG),
    "fun of SciPy's door": lambda: fmin_l_bfgs_b(LONG, X0),
    "scheme": lambda: lbfgsb.scipy_method(rosen, X0, scheme=list(LONG)),
    "jac": lambda: solve(jac=LONG),
    "jac of Solver": lambda: solver().run(never, LONG),
    "jac with a compiled fun": lambda: solve(fun=compiled_rosenbrock, jac=LONG),
    "args with a compiled fun": lambda: batch(fun=compiled_rosenbrock, args=(LONG, LONG)),
    "update_fun_def": lambda: solve(update_fun_def=LONG),
    "workers": lambda: solve(jac="2-point", workers=LONG),
    "logger": lambda: solve(logger=LONG),
    "iprint": lambda: solve(iprint=LONG),
    "checkpoint": lambda: solve(checkpoint=LONG),
    "bounds": lambda: solve(bounds=LONG),
    "x0": lambda: solve(x0=["a"] * 900),
    "x_scale": lambda: solve(x_scale=["a"] * 900),
    "f": lambda: minimize_lbfgsb(x0=X0, fun=lambda x: LONG, jac=rosen_grad),
    "f as text": lambda: minimize_lbfgsb(x0=X0, fun=lambda x: 900 * "a", jac=rosen_grad),
    "g": lambda: minimize_lbfgsb(x0=X0, fun=rosen, jac=lambda x: LONG),
    "f told": lambda: told(LONG, X0),
    "directions": lambda: check_gradient(rosen, rosen_grad, X0, directions=list(LONG)),
    "seconds": lambda: TimeLimit(LONG),
    "every": lambda: Print(every=LONG),
    "monitor": lambda: lbfgsb.callbacks.TargetReached(1.0, monitor=list(LONG)),
}


def told(f, g):
    one = solver()
    one.ask()
    return one.tell(f, g)


@pytest.mark.parametrize("case", LARGE)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_no_message_repeats_a_large_value(case):
    with pytest.raises((TypeError, ValueError)) as caught:
        LARGE[case]()
    assert len(str(caught.value)) < 500  # the longest has the signature of a compiled objective


def test_a_short_value_is_quoted_as_it_is():
    with pytest.raises(TypeError, match=r"^ftol must be a real number; got '1e-9'$"):
        solve(ftol="1e-9")


def test_an_array_is_told_by_its_type_and_shape():
    with pytest.raises(TypeError, match=r"ftol .*got an array of dtype float64 and shape \(900,\)"):
        solve(ftol=LONG)


# --- by the name of the argument, before anything is evaluated ----------------------------


@pytest.mark.parametrize("kind", [History, Print, ProgressBar])
@pytest.mark.parametrize("form", [lambda kind: kind, lambda kind: [Print(), kind]])
def test_a_class_of_callbacks_is_asked_for_an_instance(kind, form):
    with pytest.raises(TypeError, match=rf"callback must be an instance: {kind.__name__}\(\)"):
        solve(callback=form(kind))


WRONG = {
    "no parameter": (lambda: None, r"callback must take .*takes \(\)"),
    "three parameters": (lambda a, b, c: None, r"callback must take .*takes \(a, b, c\)"),
    "only by name": (lambda *, state: None, r"callback must take .*takes \(\*, state\)"),
    "two names": (lambda *, intermediate_result, more: None, "callback must take"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_callback_that_cannot_be_called_is_refused_at_once(case):
    callback, said = WRONG[case]
    with pytest.raises(TypeError, match=said):
        solve(callback=callback)
    with pytest.raises(TypeError, match="callback must take"):
        minimize(never, X0, method=lbfgsb.scipy_method, callback=callback)


@pytest.mark.parametrize(
    "callback",
    [
        lambda xk: None,
        lambda xk, state: None,
        lambda xk, more=3: None,
        lambda xk=None: None,
        lambda *xk: None,
        lambda *, intermediate_result: None,
        lambda xk, state, more=3, **rest: None,
        [].append,
    ],
)
def test_a_callback_that_can_be_called_is_not(callback):
    assert minimize_lbfgsb(x0=X0, fun=rosen_fg, jac=True, callback=callback, maxiter=3).nit == 3


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ({"logger": "a"}, "logger must be a logging.Logger; got 'a'"),
        ({"logger": True}, "logger must be"),
        ({"iprint": "a"}, "iprint must be an integer; got 'a'"),
        ({"iprint": "a", "logger": logging.getLogger("words")}, "iprint must be an integer"),
        ({"checkpoint": {"x": X0, "fun": 1.0, "jac": X0}}, "checkpoint must be .*got dict, of"),
        ({"checkpoint": 3}, "checkpoint must be .*got int$"),
    ],
)
def test_an_argument_of_the_wrong_kind_is_named(argument, said):
    with pytest.raises(TypeError, match=said):
        solve(**argument)


def test_what_a_dict_is_told_to_become_is_taken():
    res = minimize_lbfgsb(x0=X0, fun=rosen_fg, jac=True, maxiter=5)
    with pytest.raises(TypeError, match=r"scipy\.optimize\.OptimizeResult"):
        minimize_lbfgsb(x0=res.x, fun=rosen_fg, jac=True, checkpoint=dict(res))
    again = minimize_lbfgsb(
        x0=res.x, fun=rosen_fg, jac=True, checkpoint=type(res).__mro__[1](dict(res))
    )
    assert again.success
    assert again.nit > 5


@needs_workers
@pytest.mark.parametrize("jac", [True, rosen_grad], ids=["True", "callable"])
def test_workers_with_a_gradient_of_ones_own_is_refused(jac):
    with pytest.raises(ValueError, match="workers is for numerical gradients"):
        solve(jac=jac, workers=2)
    assert minimize_lbfgsb(x0=X0, fun=rosen, jac=rosen_grad, workers=1).nit > 0


@needs_workers
def test_scipys_doors_let_workers_be_as_scipy_does():
    options = {"workers": 2}
    for method in ("L-BFGS-B", lbfgsb.scipy_method):
        assert minimize(rosen, X0, jac=rosen_grad, method=method, options=options).success


def test_tell_names_f():
    with pytest.raises(TypeError, match=r"^f must be a real number; got NoneType"):
        told(None, X0)
    with pytest.raises(ValueError, match=r"^f must be a scalar"):
        told([1.0, 2.0], X0)


@pytest.mark.parametrize("x", [[], ["a"], [np.nan, 1.0], [1j]])
def test_check_gradient_names_x(x):
    with pytest.raises((TypeError, ValueError), match=r"^x "):
        check_gradient(rosen, rosen_grad, x=x)


def test_scipys_doors_ask_too_after_scipys_words():
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'maxitre'; did .*'maxiter'"):
        fmin_l_bfgs_b(rosen_fg, X0, maxitre=3)
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'pg_tol'; did .*'pgtol'"):
        fmin_l_bfgs_b(rosen_fg, X0, pg_tol=3)
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'zzz'$"):
        fmin_l_bfgs_b(rosen_fg, X0, zzz=3)
    options = {"maxitre": 3, "zzz": 1, "gtoll": 1e-3}
    said = r"^Unknown solver options: maxitre, zzz, gtoll; did .*'maxiter'\?; did .*'gtol'\?$"
    with pytest.warns(OptimizeWarning, match=said):
        minimize(rosen, X0, jac=rosen_grad, method=lbfgsb.scipy_method, options=options)


# --- why a search found nothing -----------------------------------------------------------


def test_errors_of_the_gradient_that_cancel_are_told_by_the_worst_of_the_steps():
    said = mismatch_evidence([(1.0, 0.25, 0.5), (-0.1, 0.25, 0.9)])
    assert "f changed by 0.9 where the gradient predicts 0.5" in said
    said = mismatch_evidence([(1.0, 0.25, 0.5), (-1.0, -0.25, 0.9)])
    assert "f changed by -1 where the gradient predicts -0.25" in said


def test_a_search_without_room_says_what_the_gradient_promises_and_nothing_of_maxls():
    given = {"fun": 1.0, "decrease": 0.5, "not_finite": False, "mismatch": 0.0, "checks": []}
    without_room = why_no_step(**given, precision=2.0**-52, maxls=0)
    assert "the gradient predicts a decrease of 0.5" in without_room
    assert "maxls" not in without_room
    assert "in 20 trials" in why_no_step(**given, precision=2.0**-52, maxls=20)
