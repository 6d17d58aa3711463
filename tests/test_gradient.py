"""Numerical gradients: right, inside the bounds, counted, and out of the user's way."""

from __future__ import annotations

import math
import multiprocessing
import multiprocessing.spawn  # before a test replaces a function that it imports
import sys
import types
import warnings
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import needs_workers

from lbfgsb import _gradient
from lbfgsb._executors import available_processors
from lbfgsb._gradient import FiniteDifference, make_gradient
from lbfgsb.benchmarks import rosenbrock, rosenbrock_grad

METHODS = ["2-point", "3-point", "cs"]
REAL_METHODS = ["2-point", "3-point"]


def smooth(x):
    """A function with a gradient that differs in every component; analytic, for 'cs'."""
    return np.sum(np.exp(0.3 * x) * np.arange(1, x.size + 1)) + x[0] * x[-1]


def smooth_grad(x):
    g = 0.3 * np.exp(0.3 * x) * np.arange(1, x.size + 1)
    g[0] += x[-1]
    g[-1] += x[0]
    return g


def type_error_inside(x):
    raise TypeError("the user's own")


class Recorder:
    """A function that keeps the points it was called at, and copies of them."""

    def __init__(self, fun):
        self.fun = fun
        self.points = []
        self.copies = []

    def __call__(self, x):
        self.points.append(x)
        self.copies.append(x.copy())
        return self.fun(x)


class TestValue:
    @pytest.mark.parametrize(("method", "rtol"), [("2-point", 1e-6), ("3-point", 1e-9)])
    @pytest.mark.parametrize("n", [1, 2, 7])
    def test_real_differences_approximate_the_gradient(self, method, rtol, n):
        x = np.linspace(-1.0, 2.0, n)
        g, _ = FiniteDifference(smooth, method)(x, smooth(x))
        assert g.shape == (n,)
        assert g.dtype == np.float64
        np.testing.assert_allclose(g, smooth_grad(x), rtol=rtol, atol=rtol)

    @pytest.mark.parametrize("n", [1, 2, 7])
    def test_the_complex_step_gives_the_gradient_to_rounding(self, n):
        x = np.linspace(-1.0, 2.0, n)
        g, _ = FiniteDifference(smooth, "cs")(x, smooth(x))
        np.testing.assert_allclose(g, smooth_grad(x), rtol=4e-15, atol=4e-15)

    def test_an_absolute_step_is_the_difference_of_the_points(self):
        fun = Recorder(smooth)
        x = np.array([1.0, -2.0])
        FiniteDifference(fun, "2-point", abs_step=[0.25, 0.5])(x, smooth(x))
        np.testing.assert_array_equal(fun.copies, [[1.25, -2.0], [1.0, -1.5]])

    def test_a_relative_step_scales_with_x_and_points_away_from_zero(self):
        fun = Recorder(smooth)
        x = np.array([1.0, -2.0])
        FiniteDifference(fun, "2-point", rel_step=0.25)(x, smooth(x))
        np.testing.assert_array_equal(fun.copies, [[1.25, -2.0], [1.0, -2.5]])

    @given(data=st.data())
    def test_in_a_box_the_differences_stay_exact_for_linear_functions(self, data):
        # The quotient is taken over the step really made, also where it was cut at a bound.
        method = data.draw(st.sampled_from(REAL_METHODS))
        x0, width, where = data.draw(
            st.tuples(st.floats(-1e3, 1e3), st.floats(1e-6, 1e3), st.sampled_from([0.0, 0.5, 1.0]))
        )
        lower = np.array([x0])
        upper = lower + width
        x = np.clip(lower + where * width, lower, upper)
        gradient = FiniteDifference(
            lambda x: 3.0 * x[0], method, rel_step=0.1, lower=lower, upper=upper
        )
        g, _ = gradient(x, 3.0 * x[0])
        np.testing.assert_allclose(g, [3.0], rtol=1e-6)


class TestBox:
    @given(data=st.data())
    def test_no_evaluation_leaves_the_bounds(self, data):
        method = data.draw(st.sampled_from(REAL_METHODS))
        n = data.draw(st.integers(1, 4))
        end = st.one_of(
            st.floats(-1e3, 1e3), st.floats(-1e-12, 1e-12), st.sampled_from([0.0, 0.1, 1 / 3])
        )
        width = st.one_of(
            st.just(0.0), st.floats(1e-16, 1e-6), st.floats(0.0, 10.0), st.just(math.inf)
        )
        lower = np.array([data.draw(end) for _ in range(n)])
        upper = lower + [data.draw(width) for _ in range(n)]
        inner = np.array([data.draw(st.floats(0.0, 1.0)) for _ in range(n)])
        x = np.clip(lower + inner * np.minimum(upper - lower, 1.0), lower, upper)
        fun = Recorder(lambda x: float(np.sum(x)))
        step = data.draw(st.sampled_from([None, 1e-8, 0.3, 5.0]))
        g, nfev = FiniteDifference(fun, method, abs_step=step, lower=lower, upper=upper)(
            x, fun.fun(x)
        )
        for point in fun.copies:
            assert np.all(lower <= point)
            assert np.all(point <= upper)
        assert nfev == len(fun.copies)
        assert np.all(np.isfinite(g))

    @pytest.mark.parametrize("side", [1.0, -1.0])
    def test_a_bound_that_rounding_would_overshoot_is_kept(self, side):
        # x + (u - x) > u in floating point, and the same below.
        rng = np.random.default_rng(1)
        x, bound = 0.0, 0.0
        while side * (x + (bound - x)) <= side * bound:
            x, bound = -side * 1e-9 * rng.random(), side * 1e-9 * rng.random()
        fun = Recorder(lambda x: float(x[0]))
        box = {"lower": np.array([min(x, bound)]), "upper": np.array([max(x, bound)])}
        FiniteDifference(fun, "2-point", abs_step=1.0, **box)(np.array([x]), x)
        assert fun.copies[0][0] == bound

    @pytest.mark.parametrize("method", METHODS)
    def test_a_fixed_variable_costs_nothing_and_gets_zero(self, method):
        fun = Recorder(smooth)
        x = np.array([1.0, 2.0, 3.0])
        lower, upper = np.array([0.0, 2.0, -np.inf]), np.array([5.0, 2.0, np.inf])
        g, nfev = FiniteDifference(fun, method, lower=lower, upper=upper)(x, smooth(x))
        expected = smooth_grad(x)
        expected[1] = 0.0
        np.testing.assert_allclose(g, expected, rtol=1e-6)
        assert g[1] == 0.0
        assert nfev == len(fun.points) == (4 if method == "3-point" else 2)
        assert all(point.shape == (3,) and point[1] == 2.0 for point in fun.copies)

    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize("kind", ["abs_step", "rel_step"])
    def test_steps_given_by_variable_stay_with_their_variable(self, method, kind):
        x = np.array([1.0, 2.0, 3.0])
        lower, upper = np.array([0.0, 2.0, 0.0]), np.array([5.0, 2.0, 5.0])
        fun = Recorder(smooth)
        step = {kind: [0.5, 0.25, 0.125]}
        FiniteDifference(fun, method, lower=lower, upper=upper, **step)(x, smooth(x))
        moves = {tuple(np.abs(point - x)) for point in fun.copies}
        last = 0.125 * (3.0 if kind == "rel_step" else 1.0)
        assert moves == {(0.5, 0.0, 0.0), (0.0, 0.0, last)}

    @pytest.mark.parametrize("method", METHODS)
    def test_with_every_variable_fixed_nothing_is_evaluated(self, method):
        x = np.array([1.0, 2.0])
        g, nfev = FiniteDifference(type_error_inside, method, lower=x, upper=x)(x, 0.0)
        np.testing.assert_array_equal(g, [0.0, 0.0])
        assert nfev == 0

    @pytest.mark.parametrize("method", REAL_METHODS)
    @pytest.mark.parametrize("lower", [0.0, 1.0, -1.0, 1e-300, 1e300, -5e-324])
    def test_bounds_an_ulp_apart_hold_no_difference(self, method, lower):
        lower = np.array([lower, 0.0])
        upper = np.array([np.nextafter(lower[0], np.inf), 5.0])
        fun = Recorder(lambda x: float(x[1]))
        g, nfev = FiniteDifference(fun, method, lower=lower, upper=upper)(
            np.array([upper[0], 1.0]), 1.0
        )
        assert g[0] == 0.0
        assert nfev == len(fun.points) == (2 if method == "3-point" else 1)

    @pytest.mark.parametrize("method", REAL_METHODS)
    def test_an_interval_so_narrow_that_a_quotient_would_overflow_holds_no_difference(
        self, method
    ):
        fun = Recorder(lambda x: float(1.0 + (x[0] > 0.0)))
        g, nfev = FiniteDifference(fun, method, lower=np.zeros(1), upper=np.array([1e-309]))(
            np.zeros(1), 1.0
        )
        np.testing.assert_array_equal(g, [0.0])
        assert nfev == len(fun.points) == 0

    @pytest.mark.parametrize("method", REAL_METHODS)
    def test_a_narrow_interval_of_tiny_numbers_still_has_its_difference(self, method):
        lower, upper = np.array([1e-24]), np.array([3e-24])
        x = np.array([2e-24])
        g, _ = FiniteDifference(lambda x: 1e24 * x[0], method, lower=lower, upper=upper)(x, 2.0)
        np.testing.assert_allclose(g, [1e24], rtol=1e-6)

    def test_the_complex_step_needs_no_room(self):
        lower = np.array([1.0])
        upper = np.nextafter(lower, 2.0)
        g, nfev = FiniteDifference(lambda x: x[0] ** 2, "cs", lower=lower, upper=upper)(lower, 1.0)
        np.testing.assert_allclose(g, [2.0])
        assert nfev == 1


class TestCalls:
    @pytest.mark.parametrize(("method", "calls"), [("2-point", 1), ("3-point", 2), ("cs", 1)])
    def test_the_number_of_evaluations_is_exact(self, method, calls):
        fun = Recorder(smooth)
        gradient = FiniteDifference(fun, method)
        x = np.array([1.0, 2.0, 3.0])
        for n_gradients in (1, 2):
            _, nfev = gradient(x, smooth(x))
            assert nfev == 3 * calls
            assert gradient.nfev == len(fun.points) == 3 * calls * n_gradients

    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize("bounded", [False, True])
    def test_every_point_is_a_fresh_array(self, method, bounded):
        x = np.array([1.0, 2.0, 3.0])
        before = x.copy()
        box = {"lower": x - 1.0, "upper": x + np.array([1.0, 1.0, 0.0])} if bounded else {}
        fun = Recorder(smooth)
        FiniteDifference(fun, method, **box)(x, smooth(x))
        for point, copy in zip(fun.points, fun.copies, strict=True):
            np.testing.assert_array_equal(point, copy)
            assert point.flags.writeable
            assert not np.shares_memory(point, x)
        for i, point in enumerate(fun.points):
            assert not any(np.shares_memory(point, other) for other in fun.points[:i])
        np.testing.assert_array_equal(x, before)

    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize("bounded", [False, True])
    def test_an_objective_that_scribbles_on_x_harms_nothing(self, method, bounded):
        def scribbling(x):
            value = smooth(x)
            x[:] = 1e9
            return value

        x = np.array([1.0, 2.0, 3.0])
        box = {"lower": np.zeros(3), "upper": np.array([1.0, 2.5, 9.0])} if bounded else {}
        expected, _ = FiniteDifference(smooth, method, **box)(x, smooth(x))
        g, _ = FiniteDifference(scribbling, method, **box)(x, smooth(x))
        np.testing.assert_array_equal(g, expected)

    @pytest.mark.parametrize(
        "wrap",
        [
            float,
            np.float64,
            np.longdouble,
            np.array,
            lambda f: np.array([f]),
            lambda f: np.array([[f]]),
            lambda f: [f],
            Fraction,
        ],
    )
    def test_any_real_scalar_or_array_of_size_one_is_a_value(self, wrap):
        x = np.array([1.0, 2.0])
        expected, _ = FiniteDifference(smooth, "3-point")(x, smooth(x))
        g, _ = FiniteDifference(lambda x: wrap(smooth(x)), "3-point")(x, smooth(x))
        np.testing.assert_array_equal(g, expected)

    @pytest.mark.parametrize("wrap", [complex, np.array, lambda f: np.array([[f]]), lambda f: [f]])
    def test_any_complex_scalar_or_array_of_size_one_is_a_value_of_the_complex_step(self, wrap):
        x = np.array([1.0, 2.0])
        g, _ = FiniteDifference(lambda x: wrap(smooth(x)), "cs")(x, smooth(x))
        np.testing.assert_allclose(g, smooth_grad(x), rtol=1e-14)

    def test_a_value_of_single_precision_gets_steps_it_can_resolve(self):
        def single(x):
            return np.float32(np.sum(x.astype(np.float32) ** 2))

        x = np.array([1.0, 2.0])
        g, _ = FiniteDifference(single, "2-point")(x, single(x))
        np.testing.assert_allclose(g, 2 * x, rtol=1e-2)

    def test_the_default_step_is_absolute_for_a_value_of_double_precision_and_longer_else(self):
        x = np.array([1000.0])
        steps = []
        for precision in np.float64, np.float32:
            fun = Recorder(lambda x, precision=precision: precision(x[0]))
            make_gradient(fun, None, eps=1e-8)(x, fun.fun(x))
            steps.append(fun.copies[0][0] - 1000.0)
        assert steps[0] == pytest.approx(1e-8, abs=1e-12)
        assert steps[1] == pytest.approx(1000 * np.finfo(np.float32).eps ** 0.5)

    @pytest.mark.parametrize("value", [np.array([1.0, 2.0]), [], np.zeros((2, 2))], ids=repr)
    @pytest.mark.parametrize("method", METHODS)
    def test_a_value_that_is_no_scalar_is_an_error(self, method, value):
        with pytest.raises(ValueError, match=r"fun must return a scalar or an array of size 1"):
            FiniteDifference(lambda x: value, method)(np.array([1.0]), 1.0)

    @pytest.mark.parametrize("value", [None, "1", 1j, np.array([1j]), ...], ids=repr)
    def test_a_value_that_is_not_real_is_a_type_error(self, value):
        with pytest.raises(TypeError, match=r"fun must return a real number; it returned"):
            FiniteDifference(lambda x: value, "2-point")(np.array([1.0]), 1.0)

    def test_a_real_value_for_the_complex_step_is_no_zero_gradient_but_an_error(self):
        with pytest.raises(TypeError, match=r"jac='cs' .* must return a complex number"):
            FiniteDifference(lambda x: float(np.sum(x.real**2)), "cs")(np.array([1.0]), 1.0)

    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize(
        "error",
        [ValueError("mine"), TypeError("mine"), KeyboardInterrupt(), StopIteration("mine")],
    )
    def test_an_exception_of_the_users_comes_out_unchanged(self, method, error):
        calls = 0

        def failing(x):
            nonlocal calls
            calls += 1
            if calls == 2:
                raise error
            return smooth(x)

        gradient = FiniteDifference(failing, method)
        with pytest.raises(type(error)) as caught:
            gradient(np.array([1.0, 2.0, 3.0]), 1.0)
        assert caught.value is error
        assert gradient.nfev == calls == 2


class TestNonFinite:
    @pytest.mark.parametrize("method", REAL_METHODS)
    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("error_state", ["warn", "raise"])
    def test_a_non_finite_value_gives_a_non_finite_component_in_silence(
        self, method, bad, error_state
    ):
        def fun(x):
            return bad if x[1] != 2.0 else float(x[0])

        x = np.array([1.0, 2.0])
        with warnings.catch_warnings(), np.errstate(all=error_state):
            warnings.simplefilter("error")
            g, _ = FiniteDifference(fun, method)(x, 1.0)
        np.testing.assert_allclose(g[0], 1.0, rtol=1e-6)
        assert not np.isfinite(g[1])

    @pytest.mark.parametrize("method", REAL_METHODS)
    @pytest.mark.parametrize("f", [np.nan, np.inf])
    def test_a_non_finite_f_is_silent(self, method, f):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            FiniteDifference(lambda x: f, method)(np.array([1.0]), f)

    def test_a_quotient_that_overflows_is_silent(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            g, _ = FiniteDifference(lambda x: 1e308 * np.sign(x[0] - 1.0), "3-point")(
                np.array([1.0]), 0.0
            )
        assert g[0] == np.inf

    @pytest.mark.parametrize("workers", [None, pytest.param(map, marks=needs_workers)])
    def test_warnings_from_inside_the_objective_are_the_users(self, workers):
        def warning(x):
            return float(np.log(np.float64(-1.0)))

        with pytest.warns(RuntimeWarning, match="log"):
            FiniteDifference(warning, "2-point", workers=workers)(np.array([1.0]), 1.0)
        with np.errstate(invalid="raise"), pytest.raises(FloatingPointError):
            FiniteDifference(warning, "2-point", workers=workers)(np.array([1.0]), 1.0)


@needs_workers
class TestWorkers:
    x = np.array([1.0, 2.0, 3.0])

    @pytest.mark.parametrize("method", METHODS)
    def test_a_map_gives_the_same_bits_and_the_same_count(self, method):
        expected, expected_nfev = FiniteDifference(smooth, method)(self.x, smooth(self.x))
        with ThreadPoolExecutor(2) as executor:
            gradient = FiniteDifference(smooth, method, workers=executor.map)
            g, nfev = gradient(self.x, smooth(self.x))
        np.testing.assert_array_equal(g, expected)
        assert nfev == expected_nfev

    def test_a_map_may_evaluate_all_points_at_once(self):
        def at_once(fun, points):
            return np.array([fun(x) for x in list(points)])

        gradient = FiniteDifference(smooth, "3-point", workers=at_once)
        g, nfev = gradient(self.x, smooth(self.x))
        np.testing.assert_allclose(g, smooth_grad(self.x), rtol=1e-8)
        assert nfev == 6

    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize("error", [TypeError("mine"), StopIteration("mine")])
    def test_an_exception_comes_through_a_map_unchanged(self, method, error):
        def failing(x):
            raise error

        def eager(fun, points):
            return [fun(x) for x in points]

        with pytest.raises(type(error)) as caught:
            FiniteDifference(failing, method, workers=eager)(self.x, 1.0)
        assert caught.value is error

    # The functions that go to other processes are importable there however the tests were.
    def test_a_number_of_processes_gives_the_same_bits_from_one_pool_for_all_gradients(self):
        box = {"lower": np.array([0.0, 2.0, 0.0]), "upper": np.array([5.0, 2.0, 3.0])}
        f = rosenbrock(self.x)
        expected, expected_nfev = FiniteDifference(rosenbrock, "3-point", **box)(self.x, f)
        with FiniteDifference(rosenbrock, "3-point", workers=2, **box) as gradient:
            before = set(multiprocessing.active_children())
            g, nfev = gradient(self.x, f)
            processes = set(multiprocessing.active_children()) - before
            gradient(self.x, f)
            assert set(multiprocessing.active_children()) - before == processes
            assert len(processes) == 2
        np.testing.assert_array_equal(g, expected)
        assert nfev == expected_nfev
        assert not processes & set(multiprocessing.active_children())

    def test_a_type_error_comes_through_processes_as_it_is(self):
        with pytest.raises(TypeError) as direct:
            math.sqrt(self.x)
        with (
            FiniteDifference(math.sqrt, "2-point", workers=2) as gradient,
            pytest.raises(TypeError) as caught,
        ):
            gradient(self.x, 1.0)
        assert str(caught.value) == str(direct.value)

    def test_a_function_that_other_processes_cannot_import_is_an_error_and_no_deadlock(
        self, monkeypatch
    ):
        module = types.ModuleType("module_of_this_process_alone")
        exec("def fun(x): return float(x[0])", module.__dict__)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        # A forked process would have the module.
        spawn = multiprocessing.get_context("spawn")
        monkeypatch.setattr(multiprocessing, "get_context", lambda: spawn)
        with (
            FiniteDifference(module.fun, "2-point", workers=2) as gradient,
            pytest.raises(ModuleNotFoundError, match=module.__name__),
        ):
            gradient(self.x, 1.0)

    def test_minus_one_is_all_processors(self):
        with FiniteDifference(rosenbrock, "2-point", workers=-1) as gradient:
            g, _ = gradient(self.x, rosenbrock(self.x))
            width = 1 if gradient._workers is None else gradient._workers.width
            assert width == available_processors()
        np.testing.assert_allclose(g, rosenbrock_grad(self.x), rtol=1e-4)

    def test_one_worker_is_this_thread(self):
        gradient = FiniteDifference(smooth, "2-point", workers=1)
        gradient(self.x, smooth(self.x))
        assert gradient._workers is None

    def test_closing_is_harmless_without_workers_and_twice(self):
        gradient = FiniteDifference(smooth, "2-point")
        gradient.close()
        gradient.close()

    @pytest.mark.parametrize("workers", [0, -2])
    def test_a_number_that_makes_no_sense_is_an_error(self, workers):
        with pytest.raises(ValueError, match=rf"workers must be .*; got {workers}"):
            FiniteDifference(smooth, "2-point", workers=workers)

    @pytest.mark.parametrize("workers", [2.0, "2", [map]])
    def test_what_is_neither_number_nor_callable_is_a_type_error(self, workers):
        with pytest.raises(
            TypeError, match=r"workers must be an int, an executor, a map-like callable or None"
        ):
            FiniteDifference(smooth, "2-point", workers=workers)


def test_workers_with_an_old_scipy_is_an_error_that_says_which_is_needed(monkeypatch):
    monkeypatch.setattr(_gradient, "_has_workers", lambda: False)
    with pytest.raises(ValueError, match=r"workers needs SciPy >= 1\.16"):
        FiniteDifference(smooth, "2-point", workers=2)
    FiniteDifference(smooth, "2-point", workers=None)


def make(jac, fun=smooth, eps=1e-8, finite_diff_rel_step=None, workers=None, **box):
    return make_gradient(
        fun, jac, eps=eps, finite_diff_rel_step=finite_diff_rel_step, workers=workers, **box
    )


class TestMakeGradient:
    x = np.array([1.0, 2.0])

    def test_a_callable_is_returned_itself(self):
        assert make(smooth_grad) is smooth_grad

    @pytest.mark.parametrize("jac", [True, np.True_])
    def test_true_says_that_fun_returns_both(self, jac):
        assert make(jac) is True

    @pytest.mark.parametrize("jac", [None, False, np.False_])
    def test_none_and_false_are_forward_differences_with_the_absolute_step_eps(self, jac):
        fun = Recorder(smooth)
        make(jac, fun, eps=0.25, finite_diff_rel_step=0.5)(self.x, smooth(self.x))
        np.testing.assert_array_equal(fun.copies, [[1.25, 2.0], [1.0, 2.25]])

    def test_a_scheme_takes_the_relative_step(self):
        fun = Recorder(smooth)
        make("2-point", fun, eps=0.25, finite_diff_rel_step=0.5)(self.x, smooth(self.x))
        np.testing.assert_array_equal(fun.copies, [[1.5, 2.0], [1.0, 3.0]])

    @pytest.mark.parametrize(("jac", "calls"), [("2-point", 2), ("3-point", 4), ("cs", 2)])
    def test_each_scheme_by_its_name(self, jac, calls):
        g, nfev = make(jac)(self.x, smooth(self.x))
        np.testing.assert_allclose(g, smooth_grad(self.x), rtol=1e-6)
        assert nfev == calls

    def test_bounds_are_kept(self):
        fun = Recorder(smooth)
        make(None, fun, lower=np.zeros(2), upper=self.x)(self.x, smooth(self.x))
        assert all(np.all(point <= self.x) for point in fun.copies)

    @pytest.mark.parametrize("jac", ["4-point", "", 1, 0, 1.0, [], np.zeros(2), b"cs"], ids=repr)
    def test_any_other_jac_is_an_error_that_lists_what_is_allowed(self, jac):
        message = (
            r"^jac must be callable, bool, None, or one of \['2-point', '3-point', 'cs'\]\. Got "
        )
        with pytest.raises(ValueError, match=message):
            make(jac)

    @pytest.mark.parametrize("fun", [None, 1.0, "f", np.zeros(2)], ids=repr)
    @pytest.mark.parametrize("jac", [None, True, smooth_grad, "2-point"])
    def test_a_fun_that_is_not_callable_is_a_type_error_that_says_what_came(self, fun, jac):
        with pytest.raises(TypeError, match=r"^fun must be callable; got "):
            make(jac, fun)

    @pytest.mark.parametrize("step", [0.1, np.float32(0.1), np.array(0.1), [0.1], [0.1, 0.2], 1])
    def test_steps_are_scalars_or_vectors(self, step):
        for gradient in (make(None, eps=step), make("2-point", finite_diff_rel_step=step)):
            _, nfev = gradient(self.x, smooth(self.x))
            assert nfev == 2

    @pytest.mark.parametrize("step", [0.0, -1e-8, np.nan, np.inf, [0.1, 0.0], [0.1, np.nan]])
    def test_steps_that_are_not_positive_and_finite_are_an_error_that_names_them(self, step):
        with pytest.raises(ValueError, match=r"^eps must be positive and finite; got"):
            make(None, eps=step)
        with pytest.raises(ValueError, match=r"^finite_diff_rel_step must be positive"):
            make("3-point", finite_diff_rel_step=step)

    @pytest.mark.parametrize("step", ["1e-8", 1j, [1j, 1.0], object(), [None], [[1.0], 2.0]])
    def test_steps_that_are_not_real_are_a_type_error_that_names_them(self, step):
        with pytest.raises(TypeError, match=r"^eps must be a real number"):
            make(None, eps=step)
        with pytest.raises(TypeError, match=r"^finite_diff_rel_step must be a real number"):
            make("3-point", finite_diff_rel_step=step)

    @pytest.mark.parametrize("step", [[1e-8] * 3, [[1e-8] * 2] * 2, []])
    @pytest.mark.parametrize("known", ["n", "bounds"])
    def test_steps_of_another_shape_are_an_error_before_anything_is_evaluated(self, step, known):
        more = {"n": 2} if known == "n" else {"lower": np.zeros(2), "upper": np.ones(2)}
        with pytest.raises(ValueError, match=r"^eps must be a scalar or have the shape \(2,\)"):
            make(None, type_error_inside, eps=step, **more)

    def test_steps_of_another_shape_are_an_error_at_the_latest_with_the_first_gradient(self):
        gradient = make(None, type_error_inside, eps=[1e-8] * 3)
        with pytest.raises(ValueError, match=r"must be a scalar or have the shape \(2,\)"):
            gradient(self.x, 1.0)

    def test_an_unknown_method_is_an_error(self):
        with pytest.raises(ValueError, match=r"method must be one of"):
            FiniteDifference(smooth, "5-point")
