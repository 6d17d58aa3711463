"""SciPy's doors: its words, statuses, counts and conventions, and a patch that can be undone."""

from __future__ import annotations

import functools
import importlib
import inspect
import logging
import multiprocessing
import pickle
import re
import sys
import threading
import types
import warnings
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
import scipy
import scipy.optimize
from problems import SCIPY, run_python
from scipy.optimize import (
    Bounds,
    OptimizeResult,
    OptimizeWarning,
    _lbfgsb_py,
    _minimize,
    basinhopping,
    brute,
    differential_evolution,
    dual_annealing,
    minimize,
    rosen,
    rosen_der,
    shgo,
    show_options,
)

import lbfgsb
from lbfgsb import scipy_compat

SCIPYS = _lbfgsb_py._minimize_lbfgsb
SCIPYS_WRAP = _minimize._wrap_callback
SCIPYS_OPTIONS = scipy_compat._scipys_parameters()
BOUNDS = [(-2.0, 0.8), (None, None), (0.0, 3.0)]
START = [-1.2, 1.0, 0.5]


@pytest.fixture(autouse=True)
def unpatched():
    """Each test begins and ends with SciPy as it is."""
    yield
    lbfgsb.unpatch_scipy()
    assert _minimize._minimize_lbfgsb is SCIPYS
    assert _lbfgsb_py._minimize_lbfgsb is SCIPYS
    assert _minimize._wrap_callback is SCIPYS_WRAP
    assert _lbfgsb_py._wrap_callback is SCIPYS_WRAP


def by_method(*args, **kwargs):
    return minimize(*args, method=lbfgsb.scipy_method, **kwargs)


def by_patch(*args, **kwargs):
    with lbfgsb.patched_scipy():
        return minimize(*args, method="L-BFGS-B", **kwargs)


def by_scipy(*args, **kwargs):
    return minimize(*args, method="L-BFGS-B", **kwargs)


doors = pytest.mark.parametrize("solve", [by_method, by_patch], ids=["method", "patch"])


def quartic(x):
    return float(((x - 1) ** 4).sum())


def quartic_grad(x):
    return 4 * (x - 1) ** 3


def is_ours(result):
    return "projected_gradient" in result


class TestResult:
    @doors
    def test_has_scipys_keys_and_types(self, solve):
        ours, scipys = solve(rosen, START, jac=rosen_der), by_scipy(rosen, START, jac=rosen_der)
        assert isinstance(ours, OptimizeResult)
        assert scipys.keys() <= ours.keys()
        for key in scipys:
            assert isinstance(ours[key], type(scipys[key])), key
        assert ours.x.dtype == ours.jac.dtype == np.float64

    @doors
    @pytest.mark.parametrize("bounds", [None, BOUNDS], ids=["free", "box"])
    def test_is_scipys_minimiser(self, solve, bounds):
        options = {"ftol": 1e-14, "gtol": 1e-8}
        ours = solve(rosen, START, jac=rosen_der, bounds=bounds, options=options)
        scipys = by_scipy(rosen, START, jac=rosen_der, bounds=bounds, options=options)
        assert ours.success
        assert ours.status == 0
        np.testing.assert_allclose(ours.x, scipys.x, atol=1e-6)
        assert ours.fun == rosen(ours.x)
        np.testing.assert_array_equal(ours.jac, rosen_der(ours.x))

    @doors
    def test_has_scipys_defaults(self, solve):
        def f(x):  # so flat that the default ftol ends the run, and so long that 50 are not enough
            return float((np.arange(1, 201) * np.abs(x) ** 4).sum())

        def g(x):
            return 4 * np.arange(1, 201) * np.abs(x) ** 3 * np.sign(x)

        start = np.linspace(1, 3, 200)
        ours = solve(f, start, jac=g)
        explicit = {"ftol": 2.2204460492503131e-09, "gtol": 1e-5, "maxcor": 10, "maxls": 20}
        same = solve(f, start, jac=g, options={**explicit, "maxiter": 15000, "maxfun": 15000})
        assert ours.nit == same.nit
        assert ours.x.tobytes() == same.x.tobytes()
        scipys = by_scipy(f, start, jac=g)
        assert ours.status == scipys.status == 0
        assert ours.message == scipys.message

    @doors
    def test_hess_inv_is_scipys_operator(self, solve):
        res = solve(rosen, START, jac=rosen_der)
        assert isinstance(res.hess_inv, scipy.optimize.LbfgsInvHessProduct)
        dense = res.hess_inv.todense()
        np.testing.assert_allclose(dense @ [1, 2, 3], res.hess_inv.matvec(np.array([1.0, 2, 3])))

    @doors
    def test_of_a_pair_is_that_of_two_functions(self, solve):
        together = solve(lambda x: (rosen(x), rosen_der(x)), START, jac=True)
        apart = solve(rosen, START, jac=rosen_der)
        assert together.x.tobytes() == apart.x.tobytes()
        assert (together.nfev, together.njev) == (apart.nfev, apart.njev)

    def test_of_the_patch_is_that_of_the_method_to_the_bit(self):
        options = {"ftol": 1e-14}
        a = by_method(rosen, START, jac=rosen_der, bounds=BOUNDS, options=options)
        b = by_patch(rosen, START, jac=rosen_der, bounds=BOUNDS, options=options)
        assert a.x.tobytes() == b.x.tobytes()
        assert (a.nit, a.nfev, a.message) == (b.nit, b.nfev, b.message)

    @doors
    def test_can_be_pickled_and_gone_on_from(self, solve):
        part = solve(rosen, START, jac=rosen_der, options={"maxiter": 4})
        part = pickle.loads(pickle.dumps(part))
        whole = solve(rosen, part.x, jac=rosen_der, options={"checkpoint": part})
        straight = solve(rosen, START, jac=rosen_der)
        assert whole.x.tobytes() == straight.x.tobytes()
        assert (whole.nit, whole.nfev) == (straight.nit, straight.nfev)


class TestCounts:
    @doors
    @pytest.mark.parametrize("jac", [None, "2-point", "3-point"])
    def test_of_a_numerical_gradient_are_all_calls(self, solve, jac):
        calls = []

        def f(x):
            calls.append(x)
            return quartic(x)

        options = {"scheme": jac} if solve is by_method and jac else {}
        res = solve(f, [3.0, -1.0, 2.0], jac=jac, options=options)
        assert res.nfev == len(calls)
        # A point costs 1 + n calls forward, 1 + 2n central; njev counts the gradients.
        assert res.nfev == res.njev * (7 if jac == "3-point" else 4)

    @doors
    def test_of_both_functions_are_the_calls(self, solve):
        calls = {"f": 0, "g": 0}

        def f(x):
            calls["f"] += 1
            return rosen(x)

        def g(x):
            calls["g"] += 1
            return rosen_der(x)

        res = solve(f, START, jac=g)
        assert (res.nfev, res.njev) == (calls["f"], calls["g"])

    @doors
    def test_never_pass_maxiter(self, solve):
        assert [solve(rosen, START, options={"maxiter": k}).nit for k in (0, 1, 5)] == [0, 1, 5]


class TestWords:
    """Messages and statuses are those of the installed SciPy."""

    @doors
    @pytest.mark.parametrize(
        ("options", "status"),
        [
            ({"ftol": 0.0}, 0),
            ({"gtol": 0.0, "ftol": 1e-3}, 0),
            ({"maxiter": 2}, 1),
            ({"maxfun": 3}, 1),
        ],
        ids=["gtol", "ftol", "maxiter", "maxfun"],
    )
    def test_of_an_end_are_scipys(self, solve, options, status):
        ours = solve(rosen, START, jac=rosen_der, options=options)
        scipys = by_scipy(rosen, START, jac=rosen_der, options=options)
        assert ours.status == scipys.status == status
        assert ours.message == scipys.message
        assert ours.success is scipys.success is (status == 0)

    @doors
    def test_of_an_abnormal_end_begin_as_scipys(self, solve):
        def wrong(x):  # uphill: no step descends
            return -rosen_der(x)

        ours = solve(rosen, START, jac=wrong)
        scipys = by_scipy(rosen, START, jac=wrong)
        assert ours.status == scipys.status == 2
        assert not ours.success
        assert ours.message.startswith(scipys.message)

    @doors
    def test_of_a_callback_that_stops_are_scipys(self, solve):
        def stop(xk):
            raise StopIteration

        ours = solve(rosen, START, jac=rosen_der, callback=stop)
        scipys = by_scipy(rosen, START, jac=rosen_der, callback=stop)
        assert (ours.status, ours.message) == (scipys.status, scipys.message)
        assert ours.success is scipys.success is False
        assert ours.nit == 1

    @doors
    def test_of_an_objective_that_stops_do_not_blame_a_callback(self, solve):
        def f(x):
            if x[0] != START[0]:
                raise StopIteration
            return rosen(x)

        res = solve(f, START, jac=rosen_der)
        assert (res.status, res.success) == (2, False)
        assert res.message == "STOP: OBJECTIVE REQUESTED HALT"
        np.testing.assert_array_equal(res.x, START)

    def test_of_old_scipy_are_the_fortran_codes(self, monkeypatch):
        monkeypatch.delattr(_lbfgsb_py, "task_messages", raising=False)
        monkeypatch.setattr(scipy_compat, "_words", scipy_compat._words.__wrapped__)
        res = by_method(rosen, START, jac=rosen_der, options={"gtol": 0.0, "ftol": 1e-3})
        assert res.message == "CONVERGENCE: REL_REDUCTION_OF_F_<=_FACTR*EPSMCH"

    def test_keep_the_evidence_that_follows_ours(self):
        result = OptimizeResult(
            status=2, success=False, fun=1.0, message="ABNORMAL_TERMINATION_IN_LNSRCH: so and so"
        )
        message = scipy_compat._in_scipys_words(result, False).message
        assert re.fullmatch(r"ABNORMAL(_TERMINATION_IN_LNSRCH)?: so and so", message)


class TestOptions:
    @doors
    def test_that_are_unknown_give_scipys_warning_at_the_users_line(self, solve):
        with pytest.warns(OptimizeWarning, match="Unknown solver options: foo, bar") as caught:
            solve(rosen, START, options={"foo": 1, "bar": 2})
        assert caught[0].filename == __file__

    @doors
    def test_of_ours_are_taken(self, solve):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            res = solve(
                rosen,
                START,
                jac=rosen_der,
                options={"ftarget": 1.0, "threads": 2, "max_steplength": 1e3},
            )
        assert res.message == "CONVERGENCE: F_<=_TARGET"
        assert res.fun <= 1.0

    @doors
    def test_iprint_counts_with_a_logger(self, solve, caplog):
        logger = logging.getLogger("test_scipy_compat")
        with caplog.at_level(logging.INFO, logger.name), warnings.catch_warnings():
            warnings.simplefilter("error")
            res = solve(rosen, START, options={"iprint": 0, "logger": logger})
        assert f"{res.nit} iterations" in caplog.text

    @doors
    @pytest.mark.parametrize("name", ["disp", "iprint"])
    def test_for_printing_print_nothing_and_warn_as_scipys(self, solve, name, capfd):
        def warned(solve):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                solve(rosen, START, options={name: 0})
            return [(w.category, str(w.message), w.filename) for w in caught]

        assert warned(solve) == warned(by_scipy)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            solve(rosen, START, options={name: 1})
        assert capfd.readouterr() == ("", "")

    @doors
    def test_workers_are_known_where_scipy_knows_them(self, solve):
        used = []

        def mapping(fun, points):
            used.append(1)
            return map(fun, points)

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            res = solve(rosen, START, options={"workers": mapping})
        assert res.success
        if SCIPY >= (1, 16):
            assert len(used) == res.njev
            assert not caught
        else:
            assert not used
            assert "Unknown solver options: workers" in str(caught[0].message)

    def test_tol_sets_both_tolerances_unless_given(self):
        tol = by_method(rosen, START, jac=rosen_der, tol=1e-3)
        both = by_method(rosen, START, jac=rosen_der, options={"ftol": 1e-3, "gtol": 1e-3})
        assert tol.nit == both.nit
        one = by_method(rosen, START, jac=rosen_der, tol=1e-3, options={"ftol": 0.0, "gtol": 1e-9})
        assert one.nit > tol.nit
        assert (
            one.nit
            == by_patch(
                rosen, START, jac=rosen_der, tol=1e-3, options={"ftol": 0.0, "gtol": 1e-9}
            ).nit
        )

    @doors
    def test_negative_gtol_and_limits_are_zero(self, solve):
        a = solve(rosen, START, jac=rosen_der, options={"gtol": -1, "ftol": 1e-6})
        b = solve(rosen, START, jac=rosen_der, options={"gtol": 0, "ftol": 1e-6})
        assert a.nit == b.nit
        assert solve(rosen, START, options={"maxiter": -1}).nit == 0

    @doors
    def test_limits_need_not_be_integers(self, solve):
        assert solve(rosen, START, jac=rosen_der, options={"maxiter": 2.5}).nit == 3
        assert solve(rosen, START, jac=rosen_der, options={"maxiter": np.inf}).success
        assert solve(rosen, START, jac=rosen_der, options={"maxfun": 6.5}).nfev == 6

    @doors
    @pytest.mark.parametrize(
        ("options", "named"),
        [({"maxcor": 0}, "maxcor"), ({"ftol": -1.0}, "ftol"), ({"maxls": 0}, "maxls")],
        ids=["maxcor", "ftol", "maxls"],
    )
    def test_that_are_wrong_are_errors_that_name_them(self, solve, options, named):
        with pytest.raises(ValueError, match=named):
            solve(rosen, START, options=options)

    def test_scheme_of_the_method_must_be_known(self):
        with pytest.raises(ValueError, match="scheme must be one of"):
            by_method(rosen, START, options={"scheme": "4-point"})

    def test_what_the_method_cannot_use_is_warned_of(self):
        with pytest.warns(RuntimeWarning, match=r"\(hess\)"):
            by_method(rosen, START, jac=rosen_der, hess=scipy.optimize.rosen_hess)
        with pytest.warns(RuntimeWarning, match="constraints"):
            by_method(rosen, START, constraints={"type": "eq", "fun": lambda x: x[0]})


class TestArguments:
    @doors
    @pytest.mark.parametrize("jac", ["apart", "together", "none"])
    def test_args_reach_both_functions(self, solve, jac):
        def f(x, a, b):
            return ((x - a) ** 2).sum() + b

        def g(x, a, b):
            return 2 * (x - a)

        fun, jac = {
            "apart": (f, g),
            "together": (lambda x, a, b: (f(x, a, b), g(x, a, b)), True),
            "none": (f, None),
        }[jac]
        res = solve(fun, [0.0, 0.0], args=(2.0, 7.0), jac=jac)
        np.testing.assert_allclose(res.x, 2.0, atol=1e-4)
        assert res.fun == pytest.approx(7.0)

    @doors
    def test_one_argument_need_not_be_a_tuple(self, solve):
        res = solve(lambda x, a: ((x - a) ** 2).sum(), [0.0], args=3.0)
        np.testing.assert_allclose(res.x, 3.0, atol=1e-4)

    @doors
    @pytest.mark.parametrize(
        "bounds",
        [
            [(2, None), (None, 0.5)],
            ((2, np.inf), (-np.inf, 0.5)),
            np.array([[2, np.inf], [-np.inf, 0.5]]),
            Bounds([2, -np.inf], [np.inf, 0.5]),
        ],
        ids=["list", "tuple", "array", "Bounds"],
    )
    def test_bounds_in_every_form_hold_always(self, solve, bounds):
        seen = []

        def f(x):
            seen.append(x.copy())
            return float(x @ x)

        res = solve(f, [0.0, 9.0], bounds=bounds)
        np.testing.assert_allclose(res.x, [2.0, 0.0], atol=1e-6)
        seen = np.array(seen)
        assert (seen[:, 0] >= 2).all()
        assert (seen[:, 1] <= 0.5).all()

    @doors
    def test_bounds_may_be_an_iterator(self, solve):
        res = solve(lambda x: x @ x, [3.0, 3.0], bounds=zip([1, 2], [4, 4], strict=True))
        np.testing.assert_array_equal(res.x, [1, 2])

    @doors
    def test_bounds_without_a_method_lead_here(self, solve):
        if solve is by_patch:
            with lbfgsb.patched_scipy():
                res = minimize(rosen, START, bounds=BOUNDS)
            assert is_ours(res)
        assert not is_ours(minimize(rosen, START, bounds=BOUNDS))

    @doors
    @pytest.mark.parametrize(
        "shape",
        [lambda g: g[None, :], lambda g: g[:, None], np.matrix, list, np.float32],
        ids=["row", "column", "matrix", "list", "single"],
    )
    @pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
    def test_gradients_of_every_shape_that_scipy_takes(self, solve, shape):
        res = solve(quartic, [3.0, -1.0], jac=lambda x: shape(quartic_grad(x)))
        same = solve(lambda x: (quartic(x), shape(quartic_grad(x))), [3.0, -1.0], jac=True)
        assert res.success
        np.testing.assert_allclose(res.x, 1, atol=0.1)
        assert same.x.tobytes() == res.x.tobytes()

    @doors
    def test_a_pair_may_be_any_sequence_that_begins_with_f_and_g(self, solve):
        res = solve(lambda x: [quartic(x), quartic_grad(x), "more"], [3.0], jac=True)
        assert res.success

    @doors
    def test_an_infinite_start_is_clipped_as_scipys(self, solve):
        res = solve(lambda x: x @ x, [np.inf, 1.0], bounds=[(-3, 3)] * 2)
        np.testing.assert_allclose(res.x, 0, atol=1e-6)

    @doors
    @pytest.mark.parametrize("x0", [2, 2.0, [2], np.array(2), np.float32(2)], ids=repr)
    def test_a_scalar_start_is_one_variable(self, solve, x0):
        res = solve(lambda x: (x**2).sum(), x0)
        assert res.x.shape == (1,)
        np.testing.assert_allclose(res.x, 0, atol=1e-6)

    @doors
    def test_an_exception_comes_out_as_it_is(self, solve):
        error = ArithmeticError("mine")

        def f(x):
            raise error

        with pytest.raises(ArithmeticError) as caught:
            solve(f, START)
        assert caught.value is error

    @doors
    @pytest.mark.parametrize("jac", [None, rosen_der], ids=["numerical", "analytic"])
    def test_equal_bounds_fix_a_variable(self, solve, jac):
        seen = []
        res = solve(
            rosen, START, jac=jac, bounds=[(-2, 2), (0.5, 0.5), (-2, 2)], callback=seen.append
        )
        assert res.success
        assert res.x[1] == 0.5
        assert len(seen) == res.nit
        np.testing.assert_array_equal([x[1] for x in seen], 0.5)
        np.testing.assert_array_equal(seen[-1], res.x)


class Recorder:
    """A callback as those of `lbfgsb.callbacks` are."""

    def __init__(self, stop_at=None):
        self.seen, self.stop_at = [], stop_at

    def __call__(self, *, intermediate_result):
        self.seen.append(intermediate_result)
        if intermediate_result.nit == self.stop_at:
            raise StopIteration


def fmin_by_patch(*args, **kwargs):
    with lbfgsb.patched_scipy():
        return scipy.optimize.fmin_l_bfgs_b(*args, **kwargs)


class TestCallbacks:
    @doors
    def test_get_x_or_the_result_by_their_signature(self, solve):
        xs, states = [], []

        def by_name(intermediate_result):
            states.append(intermediate_result)

        a = solve(rosen, START, jac=rosen_der, callback=xs.append)
        b = solve(rosen, START, jac=rosen_der, callback=by_name)
        assert len(xs) == len(states) == a.nit == b.nit
        np.testing.assert_array_equal(xs, [state.x for state in states])
        assert states[-1].fun == b.fun
        assert states[-1].hess_inv.shape == (3, 3)

    @doors
    def test_get_arrays_that_never_change(self, solve):
        kept, copies = [], []

        def keep(xk):
            kept.append(xk)
            copies.append(xk.copy())

        solve(rosen, START, jac=rosen_der, callback=keep)
        np.testing.assert_array_equal(kept, copies)

    @doors
    def test_values_they_return_are_ignored_as_scipy_does(self, solve):
        res = solve(rosen, START, jac=rosen_der, callback=lambda xk: True)
        assert res.status == 0

    @doors
    @pytest.mark.parametrize("jac", [None, rosen_der], ids=["numerical", "analytic"])
    @pytest.mark.parametrize("fixed", [False, True], ids=["free", "fixed"])
    def test_may_be_a_list_of_both_kinds(self, solve, jac, fixed):
        xs, recorder, one = [], Recorder(), Recorder()
        bounds = [(-2, 2), (0.5, 0.5) if fixed else (-2, 2), (-2, 2)]
        res = solve(rosen, START, jac=jac, bounds=bounds, callback=[xs.append, recorder])
        assert len(xs) == len(recorder.seen) == res.nit > 3
        np.testing.assert_array_equal(xs, [state.x for state in recorder.seen])
        np.testing.assert_array_equal(xs[-1], res.x)
        solve(rosen, START, jac=jac, bounds=bounds, callback=one)
        np.testing.assert_array_equal(xs, [state.x for state in one.seen])
        if fixed:
            np.testing.assert_array_equal(np.array(xs)[:, 1], 0.5)

    @doors
    def test_of_a_list_all_see_the_iterate_at_which_one_stops(self, solve):
        first, second = Recorder(stop_at=3), Recorder()
        res = solve(rosen, START, jac=rosen_der, callback=(first, second))
        assert (res.status, res.nit) == (99, 3)
        assert len(first.seen) == len(second.seen) == 3

    @pytest.mark.parametrize("fmin", [lbfgsb.fmin_l_bfgs_b, fmin_by_patch], ids=["ours", "patched"])
    def test_of_fmin_may_be_a_list(self, fmin):
        xs, recorder = [], Recorder(stop_at=3)
        _, _, d = fmin(rosen, START, rosen_der, callback=[xs.append, recorder])
        assert len(xs) == len(recorder.seen) == d["nit"] == 3
        assert d["warnflag"] == 2
        assert d["task"] == "STOP: CALLBACK REQUESTED HALT"

    @doors
    def test_that_are_none_are_errors(self, solve):
        with pytest.raises(TypeError, match="callback"):
            solve(rosen, START, callback=7)
        with pytest.raises(TypeError, match="callback"):
            solve(rosen, START, callback=[7])

    @doors
    def test_exceptions_in_them_come_out(self, solve):
        def bad(xk):
            raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            solve(rosen, START, callback=bad)

    def test_of_other_methods_are_scipys_business(self):
        seen = []
        with lbfgsb.patched_scipy():
            res = minimize(rosen, START, method="BFGS", callback=seen.append)
            assert len(seen) == res.nit
            with pytest.raises(TypeError):
                minimize(rosen, START, method="BFGS", callback=[seen.append])


class TestFmin:
    @pytest.mark.parametrize(
        "kind", ["fprime", "pair", "approx_grad"], ids=["fprime", "pair", "approx_grad"]
    )
    def test_agrees_with_scipys(self, kind):
        # Differences don't get far below their own rounding errors.
        factr = 1e4 if kind == "approx_grad" else 10.0
        kwargs = {
            "fprime": {"func": rosen, "fprime": rosen_der},
            "pair": {"func": lambda x: (rosen(x), rosen_der(x))},
            "approx_grad": {"func": rosen, "approx_grad": 1, "epsilon": 1e-8},
        }[kind]
        kwargs |= {"bounds": BOUNDS, "factr": factr, "pgtol": 1e-6}
        x, f, d = lbfgsb.fmin_l_bfgs_b(x0=START, **kwargs)
        sx, sf, sd = scipy.optimize.fmin_l_bfgs_b(x0=START, **kwargs)
        np.testing.assert_allclose(x, sx, atol=1e-5)
        assert f == pytest.approx(sf, abs=1e-9)
        assert d.keys() == sd.keys()
        assert (d["warnflag"], d["task"]) == (sd["warnflag"], sd["task"])
        assert type(f) is type(sf)

    def test_takes_its_arguments_in_the_documented_order(self):
        seen, box = [], [(-2, 0.8), (None, None), (0, 3)]
        printing = {"iprint": -1, "disp": None} if "disp" in SCIPYS_OPTIONS else {}
        order = list(inspect.signature(scipy.optimize.fmin_l_bfgs_b).parameters)[10:]
        others = {"maxfun": 90, "maxiter": 4, "callback": seen.append, "maxls": 9, **printing}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            x, _, d = lbfgsb.fmin_l_bfgs_b(
                rosen, START, rosen_der, (), 0, box, 7, 1e7, 1e-5, 1e-8,
                *(others[name] for name in order),
            )  # fmt: skip
        res = by_method(
            rosen, START, jac=rosen_der, bounds=box, options={"maxcor": 7, "maxiter": 4, "maxls": 9}
        )
        assert x.tobytes() == res.x.tobytes()
        assert d["nit"] == len(seen) == 4
        assert d["warnflag"] == 1
        with pytest.raises(TypeError, match=f"takes at most {10 + len(order)} positional"):
            lbfgsb.fmin_l_bfgs_b(rosen, START, rosen_der, (), 0, box, *range(20))

    def test_passes_args(self):
        x, _, _ = lbfgsb.fmin_l_bfgs_b(
            lambda x, a: (((x - a) ** 2).sum(), 2 * (x - a)), [0.0, 0.0], args=(4.0,)
        )
        np.testing.assert_allclose(x, 4.0)

    def test_flattens_a_start_of_two_dimensions(self):
        x, _, _ = lbfgsb.fmin_l_bfgs_b(lambda x: (x @ x, 2 * x), np.ones((2, 2)))
        assert x.shape == (4,)

    def test_factr_is_in_units_of_epsilon(self):
        _, _, loose = lbfgsb.fmin_l_bfgs_b(rosen, START, rosen_der, factr=1e13, pgtol=0)
        res = by_method(
            rosen, START, jac=rosen_der, options={"ftol": 1e13 * np.finfo(float).eps, "gtol": 0}
        )
        assert loose["nit"] == res.nit

    def test_takes_options_of_ours_and_no_others(self):
        _, f, _ = lbfgsb.fmin_l_bfgs_b(rosen, START, rosen_der, ftarget=1.0)
        assert 1e-3 < f <= 1.0
        for name in ("foo", "gtol"):
            with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
                lbfgsb.fmin_l_bfgs_b(rosen, START, rosen_der, **{name: 1})

    @pytest.mark.skipif("disp" not in SCIPYS_OPTIONS, reason="SciPy has no disp any more")
    def test_takes_disp_and_iprint_where_scipy_does(self, capfd):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            lbfgsb.fmin_l_bfgs_b(rosen, START, rosen_der, disp=1, iprint=1)
        assert capfd.readouterr() == ("", "")
        assert len(caught) == (2 if SCIPY >= (1, 16) else 0)
        assert all(w.filename == __file__ for w in caught)

    def test_wrong_bounds_are_errors(self):
        with pytest.raises(ValueError, match="length of x0 != length of bounds"):
            lbfgsb.fmin_l_bfgs_b(rosen, START, rosen_der, bounds=[(0, 1)])
        with pytest.raises(ValueError, match="lower bounds is greater than an upper bound"):
            lbfgsb.fmin_l_bfgs_b(rosen, START, rosen_der, bounds=[(1, 0)] * 3)


class TestPatch:
    @pytest.mark.parametrize("name", ["L-BFGS-B", "l-bfgs-b", "L-bfgs-B"])
    def test_is_behind_the_method_in_any_case(self, name):
        lbfgsb.patch_scipy()
        assert is_ours(minimize(rosen, START, method=name))
        lbfgsb.unpatch_scipy()
        assert not is_ours(minimize(rosen, START, method=name))

    def test_reaches_fmin_wherever_it_was_imported_before(self):
        from scipy.optimize import fmin_l_bfgs_b as imported_before

        kept = {"in": [imported_before, functools.partial(imported_before)]}
        with lbfgsb.patched_scipy():
            for fmin in kept["in"]:
                # 1.14 to the newest: no evaluation is left over after maxfun
                _, _, d = fmin(rosen, START, rosen_der, maxfun=6)
                assert d["funcalls"] == 6
        assert imported_before(rosen, START, rosen_der, maxfun=6)[2]["funcalls"] > 6

    def test_reaches_the_deprecated_module(self):
        with lbfgsb.patched_scipy(), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            fmin = importlib.import_module("scipy.optimize.lbfgsb").fmin_l_bfgs_b
            _, _, d = fmin(rosen, START, rosen_der, maxfun=6)
            assert d["funcalls"] == 6

    def test_reaches_modules_that_imported_the_private_function(self, monkeypatch):
        module, late = types.ModuleType("before_patch"), types.ModuleType("under_patch")
        module._minimize_lbfgsb = SCIPYS
        monkeypatch.setitem(sys.modules, module.__name__, module)
        with lbfgsb.patched_scipy():
            assert is_ours(module._minimize_lbfgsb(rosen, np.array(START)))
            late._minimize_lbfgsb = _lbfgsb_py._minimize_lbfgsb
            monkeypatch.setitem(sys.modules, late.__name__, late)
        assert module._minimize_lbfgsb is SCIPYS
        assert late._minimize_lbfgsb is SCIPYS

    def test_does_not_load_modules_that_wait_for_their_first_use(self, monkeypatch, tmp_path):
        (tmp_path / "lazy_of_test.py").write_text("raise AssertionError('loaded')\n")
        monkeypatch.syspath_prepend(tmp_path)
        spec = importlib.util.find_spec("lazy_of_test")
        spec.loader = importlib.util.LazyLoader(spec.loader)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        with lbfgsb.patched_scipy():
            assert is_ours(by_scipy(rosen, START))

    def test_twice_is_once(self):
        lbfgsb.patch_scipy()
        lbfgsb.patch_scipy()
        lbfgsb.unpatch_scipy()
        assert _minimize._minimize_lbfgsb is SCIPYS
        lbfgsb.unpatch_scipy()
        assert _minimize._minimize_lbfgsb is SCIPYS

    def test_blocks_nest(self):
        with lbfgsb.patched_scipy():
            with lbfgsb.patched_scipy():
                assert is_ours(by_scipy(rosen, START))
            assert is_ours(by_scipy(rosen, START))
        assert not is_ours(by_scipy(rosen, START))

    def test_a_block_leaves_a_patch_in_place_and_unpatching_a_block(self):
        lbfgsb.patch_scipy()
        with lbfgsb.patched_scipy():
            pass
        assert is_ours(by_scipy(rosen, START))
        with lbfgsb.patched_scipy():
            lbfgsb.unpatch_scipy()
            assert is_ours(by_scipy(rosen, START))
        assert not is_ours(by_scipy(rosen, START))

    def test_a_block_ends_with_an_exception_too(self):
        with pytest.raises(KeyError), lbfgsb.patched_scipy():
            raise KeyError
        assert _minimize._minimize_lbfgsb is SCIPYS

    def test_leaves_alone_what_another_has_put_there_since(self):
        def theirs():
            pass

        lbfgsb.patch_scipy()
        try:
            _minimize._minimize_lbfgsb = theirs
            lbfgsb.unpatch_scipy()
            assert _minimize._minimize_lbfgsb is theirs
        finally:
            _minimize._minimize_lbfgsb = SCIPYS

    def test_gives_back_what_another_had_put_there_before(self):
        def theirs():
            pass

        _minimize._minimize_lbfgsb = theirs
        try:
            with lbfgsb.patched_scipy():
                assert is_ours(by_scipy(rosen, START))
            assert _minimize._minimize_lbfgsb is theirs
        finally:
            _minimize._minimize_lbfgsb = SCIPYS

    def test_holds_in_every_thread_while_any_wants_it(self):
        wrong = []
        start = threading.Barrier(8)

        def work(seed):
            rng = np.random.default_rng(seed)
            start.wait()
            for _ in range(40):
                with lbfgsb.patched_scipy():
                    if rng.random() < 0.5:
                        with lbfgsb.patched_scipy():
                            pass
                    res = minimize(lambda x: x @ x, rng.random(2), method="L-BFGS-B")
                    if not is_ours(res):
                        wrong.append(seed)

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong
        assert _minimize._minimize_lbfgsb is SCIPYS

    def test_leaves_a_run_of_scipys_own_under_way_alone(self):
        """A run that begins patched, or not, goes on so; a callback may change the patch."""
        seen = []

        def unpatch(xk):
            seen.append(xk)
            lbfgsb.unpatch_scipy()

        lbfgsb.patch_scipy()
        res = by_scipy(rosen, START, callback=unpatch)
        assert is_ours(res)
        assert len(seen) == res.nit

        def patch(xk):
            lbfgsb.patch_scipy()

        assert not is_ours(by_scipy(rosen, START, callback=patch))
        assert is_ours(by_scipy(rosen, START))

    def test_reaches_new_processes_through_their_initializer(self):
        context = multiprocessing.get_context("spawn")
        lbfgsb.patch_scipy()
        with ProcessPoolExecutor(1, mp_context=context) as bare:
            assert not bare.submit(_is_patched_here).result()
        with ProcessPoolExecutor(1, mp_context=context, initializer=lbfgsb.patch_scipy) as executor:
            assert executor.submit(_is_patched_here).result()

    def test_its_function_and_its_results_can_be_pickled(self):
        with lbfgsb.patched_scipy():
            ours = pickle.dumps(_lbfgsb_py._minimize_lbfgsb)
            result = pickle.dumps(by_scipy(rosen, START))
        assert is_ours(pickle.loads(ours)(rosen, START))
        assert is_ours(pickle.loads(result))

    def test_show_options_tells_of_ours(self):
        with lbfgsb.patched_scipy():
            text = show_options("minimize", "L-BFGS-B", disp=False)
        assert text.startswith("Minimize a scalar function")
        assert "lbfgsb.minimize_lbfgsb" in text
        assert "lbfgsb.minimize_lbfgsb" not in show_options("minimize", "L-BFGS-B", disp=False)


def _is_patched_here():
    return is_ours(by_scipy(rosen, START))


def bumps(x):
    """Many local minima; the global one is 0 at 0."""
    return float((x**2 + 3 * np.sin(3 * x) ** 2).sum())


class TestGlobalOptimisers:
    """Each with `scipy_method` where it takes a method, and patched."""

    BOX = ((-4.0, 5.0), (-4.0, 5.0))

    @pytest.fixture
    def runs(self, monkeypatch):
        """The number of runs of this solver so far."""
        count, solve = [], scipy_compat._solve

        def counted(*args):
            count.append(1)
            return solve(*args)

        monkeypatch.setattr(scipy_compat, "_solve", counted)
        return count

    @pytest.mark.parametrize("method", ["L-BFGS-B", lbfgsb.scipy_method], ids=["patch", "method"])
    def test_basinhopping(self, method, runs):
        with lbfgsb.patched_scipy():
            res = basinhopping(
                bumps,
                [3.0, -2.0],
                niter=60,
                stepsize=1.0,
                minimizer_kwargs={"method": method, "bounds": self.BOX},
                **_rng(basinhopping),
            )
        assert res.fun == pytest.approx(0, abs=1e-8)
        assert len(runs) == 61

    @pytest.mark.parametrize("method", [None, lbfgsb.scipy_method], ids=["patch", "method"])
    def test_dual_annealing(self, method, runs):
        kwargs = {"method": method, "bounds": self.BOX} if method else None
        with lbfgsb.patched_scipy():
            res = dual_annealing(
                bumps, self.BOX, maxiter=200, minimizer_kwargs=kwargs, **_rng(dual_annealing)
            )
        assert res.fun == pytest.approx(0, abs=1e-8)
        assert runs

    @pytest.mark.parametrize("method", ["L-BFGS-B", lbfgsb.scipy_method], ids=["patch", "method"])
    def test_shgo(self, method, runs):
        with lbfgsb.patched_scipy():
            res = shgo(bumps, self.BOX, n=64, iters=2, minimizer_kwargs={"method": method})
        assert res.success
        assert res.fun == pytest.approx(0, abs=1e-8)
        assert len(runs) >= len(res.xl)

    @pytest.mark.parametrize(
        "polish",
        [
            True,
            pytest.param(
                functools.partial(minimize, method=lbfgsb.scipy_method),
                marks=pytest.mark.skipif(SCIPY < (1, 17), reason="no callable polish"),
            ),
        ],
        ids=["patch", "method"],
    )
    def test_differential_evolution(self, polish, runs):
        with lbfgsb.patched_scipy():
            res = differential_evolution(
                bumps, self.BOX, polish=polish, maxiter=20, **_rng(differential_evolution)
            )
        assert res.fun == pytest.approx(0, abs=1e-8)
        assert runs == [1]
        assert res.jac.shape == (2,)

    @pytest.mark.parametrize("method", ["L-BFGS-B", lbfgsb.scipy_method], ids=["patch", "method"])
    def test_brute(self, method, runs):
        finish = functools.partial(minimize, method=method, bounds=self.BOX)
        with lbfgsb.patched_scipy():
            x = brute(bumps, self.BOX, Ns=12, finish=finish)
        np.testing.assert_allclose(x, 0, atol=1e-5)
        assert runs == [1]

    def test_brute_with_fmin(self, runs):
        finish = functools.partial(lbfgsb.fmin_l_bfgs_b, approx_grad=True)
        x, f, _, _ = brute(bumps, self.BOX, Ns=12, finish=finish, full_output=True)
        np.testing.assert_allclose(x, 0, atol=1e-5)
        assert f == pytest.approx(0, abs=1e-8)
        assert runs == [1]


def _rng(function):
    """The seed, under the name that the installed SciPy gives it."""
    return {"rng" if SCIPY >= (1, 15) else "seed": 5}


def test_callbacks_are_told_of_begin_and_end():
    class Told:
        def __init__(self):
            self.seen = []

        def begin_run(self, state):
            self.seen.append(("begin", state.nit, state.x.size))

        def end_run(self, state):
            self.seen.append(("end", state.nit, state.x.size))

        def __call__(self, *, intermediate_result):
            pass

    x0, fixed = np.full(4, 2.0), [(2.0, 2.0)] + [(None, None)] * 3
    told = [Told() for _ in range(3)]
    r = minimize(rosen, x0, jac=rosen_der, method=lbfgsb.scipy_method, callback=told[0])
    with lbfgsb.patched_scipy():
        minimize(rosen, x0, jac=rosen_der, method="L-BFGS-B", callback=told[1])
        held = minimize(rosen, x0, jac="2-point", method="L-BFGS-B", bounds=fixed, callback=told[2])
    for one in told[:2]:
        assert one.seen == [("begin", 0, 4), ("end", r.nit, 4)]
    assert told[2].seen == [("begin", 0, 4), ("end", held.nit, 4)]


def test_a_history_has_every_iterate_and_is_not_called():
    h = [lbfgsb.callbacks.History() for _ in range(4)]
    results = [
        minimize(rosen, np.full(4, 2.0), jac=rosen_der, method=lbfgsb.scipy_method, callback=h[0]),
        minimize(
            rosen, np.full(4, 2.0), jac=rosen_der, method=lbfgsb.scipy_method, callback=[h[1]]
        ),
    ]
    with lbfgsb.patched_scipy():
        results += [
            minimize(rosen, np.full(4, 2.0), jac=rosen_der, method="L-BFGS-B", callback=h[2]),
            minimize(
                rosen, np.full(4, 2.0), jac="2-point", method="L-BFGS-B", callback=h[3],
                bounds=[(2.0, 2.0)] + [(None, None)] * 3,
            ),
        ]  # fmt: skip
    for one, r in zip(h, results, strict=True):
        assert len(one) == r.nit
        assert one.fun[-1] == r.fun


class TestASciPyThatLacksAPrivatePart:
    """Whatever needs the part says so; everything else works."""

    WITHOUT = """
import scipy.optimize
import {module} as module
del module.{name}
import lbfgsb
from lbfgsb import *
from scipy.optimize import rosen, rosen_der

def error_of(solve):
    try:
        solve()
    except ImportError as error:
        assert "this needs {module}.{name}, a private part of SciPy" in str(error), error
        return True
    return False

x0 = [0.5, 0.5]
assert minimize_lbfgsb(x0=x0, fun=rosen, jac=rosen_der).success
print(
    error_of(lambda: minimize_lbfgsb(x0=x0, fun=rosen)),
    error_of(lambda: minimize_lbfgsb(x0=x0, fun=rosen, workers={workers})),
    error_of(lambda: fmin_l_bfgs_b(rosen, x0, rosen_der)),
    error_of(lambda: scipy_method(rosen, x0, jac=rosen_der, gtol=1e-3)),
    error_of(patch_scipy),
)
"""

    @pytest.mark.parametrize(
        ("module", "name", "fails"),
        [
            ("scipy.optimize._numdiff", "approx_derivative", (1, 1, 0, 0, 0)),
            ("scipy.optimize._lbfgsb_py", "_minimize_lbfgsb", (0, 0, 1, 1, 1)),
            ("scipy.optimize._minimize", "_wrap_callback", (0, 0, 0, 0, 1)),
            ("scipy.optimize._optimize", "MemoizeJac", (0, 0, 0, 0, 1)),
        ],
    )
    def test_gives_an_error_where_it_is_used_and_there_only(self, module, name, fails):
        workers = 2 if SCIPY >= (1, 16) else None  # then no other case than the one before
        printed = run_python(self.WITHOUT.format(module=module, name=name, workers=workers))
        assert printed == " ".join(str(bool(fail)) for fail in fails)


@pytest.mark.parametrize("args", [None, 3.0, [3.0], (3.0,)], ids=repr)
def test_arguments_are_taken_as_scipy_takes_them(args):
    def fun(x, a=1.0):
        return a * (x - a) @ (x - a)

    given = {"x0": [0.0, 1.0], "approx_grad": True, "args": args}
    x, f, _ = lbfgsb.fmin_l_bfgs_b(fun, **given)
    np.testing.assert_allclose(x, 1.0 if args is None else 3.0, atol=1e-6)
    assert f == pytest.approx(0, abs=1e-10)


def test_what_is_not_taken_from_scipy_is_no_attribute_of_the_module_that_takes_it():
    with pytest.raises(AttributeError, match=r"'lbfgsb\._scipy' has no attribute 'nothing'"):
        _ = importlib.import_module("lbfgsb._scipy").nothing
