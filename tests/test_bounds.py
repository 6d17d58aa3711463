"""The start and the bounds, as the user may pass them, and the projected gradient."""

from __future__ import annotations

import tracemalloc
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from problems import lines_run
from scipy.optimize import Bounds

from lbfgsb._bounds import as_bounds, as_start, get_grad_projection_inf_norm

INF = np.inf
NAN = np.nan


FINITE_VECTORS = hnp.arrays(
    np.float64, st.integers(1, 8), elements=st.floats(allow_nan=False, allow_infinity=False)
)


class TestStart:
    @pytest.mark.parametrize(
        "x0",
        [
            [1, 2, 3],
            (1.0, 2.0, 3.0),
            range(1, 4),
            np.array([1, 2, 3], dtype=np.int8),
            np.array([1, 2, 3], dtype=np.uint64),
            np.array([1, 2, 3], dtype=np.float16),
            np.array([1, 2, 3], dtype=np.float32),
            np.array([1, 2, 3], dtype=np.longdouble),
            np.array([1, 2, 3], dtype=">f8"),
            np.array([1.0, 9.0, 2.0, 9.0, 3.0])[::2],
            np.array([3.0, 2.0, 1.0])[::-1],
            np.ma.array([1.0, 2.0, 3.0]),
        ],
        ids=lambda x0: f"{type(x0).__name__}-{getattr(x0, 'dtype', '')}",
    )
    def test_real_numbers_of_any_kind_become_a_contiguous_float64_vector(self, x0):
        x = as_start(x0)
        assert type(x) is np.ndarray
        assert x.dtype == np.dtype(np.float64)
        assert x.dtype.isnative
        assert x.flags.c_contiguous
        assert x.flags.writeable
        np.testing.assert_array_equal(x, [1.0, 2.0, 3.0])

    @pytest.mark.parametrize("x0", [2, 2.0, np.float32(2), np.array(2.0), True + 1])
    def test_a_scalar_is_one_variable(self, x0):
        np.testing.assert_array_equal(as_start(x0), [2.0])
        assert as_start(x0).shape == (1,)

    @pytest.mark.parametrize("x0", [np.array([1.0, 2.0]), np.array(1.0), np.array([1.0])])
    def test_the_callers_array_is_never_shared(self, x0):
        x = as_start(x0)
        assert not np.shares_memory(x, x0)
        x[:] = 7.0
        assert not np.any(x0 == 7.0)

    def test_for_a_solver_it_is_not_copied_unless_it_must_be(self):
        x0 = np.array([1.0, 2.0])
        x0.flags.writeable = False
        assert np.shares_memory(as_start(x0, copy=False), x0)
        bytes_ = np.frombuffer(b"." + x0.tobytes(), np.uint8)[1:]
        for other in (x0.astype(">f8"), x0[::-1], x0.astype(np.float32), bytes_.view(np.float64)):
            x = as_start(other, copy=False)
            assert not np.shares_memory(x, other)
            assert x.flags.c_contiguous
            assert x.flags.aligned
            np.testing.assert_array_equal(x, other)

    def test_a_read_only_array_is_taken(self):
        x0 = np.array([1.0, 2.0])
        x0.flags.writeable = False
        assert as_start(x0).flags.writeable

    @given(FINITE_VECTORS)
    def test_float64_values_are_kept_to_the_bit(self, x0):
        assert as_start(x0.tolist()).tobytes() == x0.tobytes()

    @pytest.mark.parametrize("x0", [[], (), np.empty(0), np.empty((0, 3))])
    def test_no_variables_is_an_error(self, x0):
        with pytest.raises(ValueError, match=r"^x0 cannot be an empty vector!"):
            as_start(x0)

    @pytest.mark.parametrize("shape", [(3, 1), (1, 3), (2, 2), (1, 1, 1)])
    @pytest.mark.parametrize("order", ["C", "F"])
    def test_more_than_one_dimension_is_flattened_row_by_row(self, shape, order):
        x0 = np.arange(np.prod(shape)).reshape(shape)
        np.testing.assert_array_equal(as_start(np.array(x0, order=order)), x0.ravel())

    @pytest.mark.parametrize("x0", [1j, [1 + 0j, 2], np.ones(2, dtype=np.complex64)])
    def test_complex_numbers_are_a_type_error(self, x0):
        with pytest.raises(TypeError, match=r"x0 must be real; .*complex"):
            as_start(x0)

    @pytest.mark.parametrize("bad", [NAN, INF, -INF])
    def test_nan_and_infinity_are_an_error_with_their_number_and_the_first_index(self, bad):
        with pytest.raises(ValueError, match=rf"x0 must be finite; 2 of its 4 .*x0\[1\] = {bad}"):
            as_start([0.0, bad, 1.0, NAN])

    @pytest.mark.filterwarnings("error")
    def test_a_number_beyond_float64_is_reported_as_infinite_without_a_warning(self):
        if np.finfo(np.longdouble).max == np.finfo(np.float64).max:
            pytest.skip("long double is no longer than double here")
        with pytest.raises(ValueError, match="infinite"):
            as_start(np.longdouble("1e400"))

    @pytest.mark.parametrize(
        "x0",
        [
            None,
            [None, 1.0],
            "12",
            ["1", "2"],
            b"12",
            {},
            {1.0: 2.0},
            ...,
            np.array(["2020-01-01"], dtype="datetime64[D]"),
            np.array([1], dtype="timedelta64[s]"),
            np.array([1.0, 2.0], dtype=object),
        ],
        ids=repr,
    )
    def test_what_is_not_numeric_is_a_type_error_that_says_what_came(self, x0):
        with pytest.raises(TypeError, match=r"^x0 must be an array of real numbers; got "):
            as_start(x0)

    def test_a_ragged_list_is_an_error_that_names_x0(self):
        with pytest.raises(ValueError, match=r"^x0 must be"):
            as_start([1.0, [2.0]])


@st.composite
def boxes(draw):
    """Lower and upper bounds, some of them infinite or equal, at least one finite."""
    n = draw(st.integers(1, 8))
    number = st.floats(-1e300, 1e300)
    pairs = [sorted((draw(number), draw(number))) for _ in range(n)]
    for pair in pairs:
        kind = draw(st.sampled_from(["both", "lower", "upper", "none", "equal"]))
        if kind in ("upper", "none"):
            pair[0] = -INF
        if kind in ("lower", "none"):
            pair[1] = INF
        if kind == "equal":
            pair[1] = pair[0]
    pairs[draw(st.integers(0, n - 1))] = [0.0, 1.0]
    lower, upper = np.array(pairs).T
    return lower, upper


def bounds_of(lb, ub):
    """A `Bounds` with sides that its own constructor might refuse, as assignment allows."""
    bounds = Bounds()
    bounds.lb, bounds.ub = np.asarray(lb), np.asarray(ub)
    return bounds


class TestBounds:
    @given(boxes())
    def test_every_form_gives_the_same_bounds(self, box):
        lower, upper = box
        n = lower.size
        pairs = list(zip(lower.tolist(), upper.tolist(), strict=True))
        with_none = [
            (None if low == -INF else low, None if up == INF else up) for low, up in pairs
        ]
        for bounds in (
            pairs,
            tuple(pairs),
            with_none,
            [list(pair) for pair in with_none],
            np.array(pairs),
            np.asfortranarray(np.array(pairs)),
            np.array(with_none, dtype=object),
            Bounds(lower, upper),
            Bounds(lower.tolist(), upper.tolist(), keep_feasible=True),
        ):
            got_lower, got_upper = as_bounds(bounds, n)
            for got, expected in ((got_lower, lower), (got_upper, upper)):
                assert got.dtype == np.dtype(np.float64)
                assert got.shape == (n,)
                assert got.flags.c_contiguous
                np.testing.assert_array_equal(got, expected)

    @pytest.mark.parametrize("dtype", [np.float32, np.int64, np.longdouble, bool])
    def test_arrays_of_any_real_dtype_are_taken(self, dtype):
        lower, upper = as_bounds(np.array([[0, 1], [0, 1]], dtype=dtype), 2)
        np.testing.assert_array_equal(lower, [0.0, 0.0])
        np.testing.assert_array_equal(upper, [1.0, 1.0])
        assert lower.dtype == upper.dtype == np.float64

    def test_integers_beyond_int64_are_numbers(self):
        lower, upper = as_bounds([(0, 10**30), (None, 1)], 2)
        np.testing.assert_array_equal(lower, [0.0, -INF])
        np.testing.assert_array_equal(upper, [1e30, 1.0])

    def test_scalars_in_bounds_hold_for_every_variable(self):
        lower, upper = as_bounds(Bounds(0, [1.0]), 3)
        np.testing.assert_array_equal(lower, [0.0, 0.0, 0.0])
        np.testing.assert_array_equal(upper, [1.0, 1.0, 1.0])

    def test_none_in_bounds_is_no_bound(self):
        bounds = Bounds()
        bounds.lb, bounds.ub = [None, 0.0], [1.0, None]
        lower, upper = as_bounds(bounds, 2)
        np.testing.assert_array_equal(lower, [-INF, 0.0])
        np.testing.assert_array_equal(upper, [1.0, INF])

    @pytest.mark.parametrize(
        "bounds",
        [
            None,
            Bounds(),
            Bounds(-INF, INF),
            [(None, None)] * 2,
            [(-INF, INF)] * 2,
            [(None, INF), (-INF, None)],
            np.array([[-INF, INF]] * 2),
        ],
        ids=repr,
    )
    def test_bounds_that_cannot_bind_are_none(self, bounds):
        assert as_bounds(bounds, 2) == (None, None)

    def test_a_single_finite_bound_keeps_both_arrays(self):
        lower, upper = as_bounds([(None, None), (None, 3.0)], 2)
        np.testing.assert_array_equal(lower, [-INF, -INF])
        np.testing.assert_array_equal(upper, [INF, 3.0])

    def test_equal_bounds_are_allowed(self):
        lower, upper = as_bounds([(2.0, 2.0)], 1)
        np.testing.assert_array_equal(lower, upper)

    @pytest.mark.parametrize("n", [1, 3])
    def test_the_callers_arrays_are_never_shared(self, n):
        low, up, pairs = np.zeros(n), np.ones(n), np.array([[0.0, 1.0]] * n)
        for bounds in (pairs, pairs.T.copy().T, Bounds(low, up)):
            lower, upper = as_bounds(bounds, n)
            assert not np.shares_memory(lower, upper)
            for mine in (low, up, pairs):
                assert not np.shares_memory(lower, mine)
                assert not np.shares_memory(upper, mine)

    @pytest.mark.parametrize(
        "bounds", [[(0, 1)], [(0, None)] * 3, np.zeros((4, 2)), np.zeros((0, 2))], ids=repr
    )
    def test_another_length_is_an_error_that_says_both(self, bounds):
        k = len(bounds)
        with pytest.raises(ValueError, match=rf"bounds has {k} .* pairs, x0 has 2 elements"):
            as_bounds(bounds, 2)

    def test_bounds_of_another_length_are_an_error_that_says_both(self):
        with pytest.raises(ValueError, match=r"bounds\.ub .*\(2,\) .* 3 elements"):
            as_bounds(bounds_of(0.0, [1.0, 2.0]), 3)

    @pytest.mark.parametrize(
        ("bounds", "shape"),
        [
            ([0.0, 1.0], r"\(2,\)"),
            ([(0.0, 1.0, 2.0)] * 2, r"\(2, 3\)"),
            ([], r"\(0,\)"),
            ([[(0.0, 1.0)]] * 2, r"\(2, 1, 2\)"),
        ],
        ids=repr,
    )
    def test_what_is_not_pairs_is_an_error_with_the_shape(self, bounds, shape):
        with pytest.raises(ValueError, match=rf"bounds must be a pair .*shape is {shape}"):
            as_bounds(bounds, 2)

    @pytest.mark.parametrize("bounds", [5.0, "ab", {}, ...], ids=repr)
    def test_what_is_no_sequence_is_an_error_that_says_what_came(self, bounds):
        with pytest.raises(ValueError, match=rf"bounds must be .*; got {type(bounds).__name__}"):
            as_bounds(bounds, 2)

    def test_a_ragged_list_is_an_error_that_names_bounds(self):
        with pytest.raises(ValueError, match=r"^bounds must be a pair"):
            as_bounds([(0.0, 1.0), (0.0,)], 2)

    def test_a_lower_and_an_upper_vector_in_a_tuple_are_an_error_that_shows_the_way(self):
        with pytest.raises(ValueError, match=r"scipy\.optimize\.Bounds\(lower, upper\)"):
            as_bounds((np.zeros(3), np.ones(3)), 3)

    @pytest.mark.parametrize(
        "bounds",
        [
            [(0.0, 1.0), (3.0, 2.0), (0.0, 0.0), (5.0, -5.0)],
            np.array([(0.0, 1.0), (3.0, 2.0), (0.0, 0.0), (5.0, -5.0)]),
            [(None, 1.0), (3.0, 2.0), (0.0, None), (5.0, -5.0)],
        ],
        ids=["pairs", "array", "none"],
    )
    def test_crossed_bounds_are_an_error_with_number_index_and_values(self, bounds):
        message = (
            r"One of the lower bounds is greater than an upper bound\. "
            r".*2 of the 4 pairs.* index 1: \(3\.0, 2\.0\)"
        )
        with pytest.raises(ValueError, match=message):
            as_bounds(bounds, 4)

    def test_bounds_crossed_by_one_ulp_are_an_error(self):
        with pytest.raises(ValueError, match="greater than an upper bound"):
            as_bounds([(np.nextafter(1.0, 2.0), 1.0)], 1)

    @pytest.mark.parametrize(
        "bounds",
        [
            [(0.0, 1.0), (NAN, 1.0)],
            [(0.0, None), (0.0, NAN)],
            [(None, None), (NAN, None)],
            [(None, None), (None, float("nan"))],
            np.array([[0.0, 1.0], [NAN, NAN]]),
            np.array([[None, 1.0], [NAN, None]], dtype=object),
            [[NAN, NAN], [NAN, NAN]],
        ],
        ids=repr,
    )
    def test_nan_is_an_error_though_none_is_not(self, bounds):
        with pytest.raises(ValueError, match=r"A bound must not be NaN .* the first at index"):
            as_bounds(bounds, 2)

    def test_nan_in_bounds_is_an_error(self):
        with pytest.raises(ValueError, match="NaN"):
            as_bounds(bounds_of([0.0, NAN], [1.0, 1.0]), 2)

    @pytest.mark.parametrize("bounds", [[(INF, INF)], [(INF, None)], np.array([[INF, INF]])])
    def test_a_lower_bound_of_plus_infinity_is_an_error(self, bounds):
        with pytest.raises(ValueError, match=r"A lower bound must not be \+inf"):
            as_bounds(bounds, 1)

    @pytest.mark.parametrize("bounds", [[(-INF, -INF)], [(None, -INF)], np.array([[-INF, -INF]])])
    def test_an_upper_bound_of_minus_infinity_is_an_error(self, bounds):
        with pytest.raises(ValueError, match=r"An upper bound must not be -inf"):
            as_bounds(bounds, 1)

    @pytest.mark.parametrize(
        "bounds",
        [
            [("0", "1")],
            [(0.0, "1")],
            [(None, "1")],
            [(0.0, 1j)],
            [(None, 1j)],
            np.array([[0.0, 1j]]),
            [(None, ...)],
            np.array([["2020-01-01", "2021-01-01"]], dtype="datetime64[D]"),
        ],
        ids=repr,
    )
    def test_what_is_not_real_is_a_type_error(self, bounds):
        with pytest.raises(TypeError, match=r"^bounds must be made of real numbers and None"):
            as_bounds(bounds, 1)

    @pytest.mark.parametrize("as_given", ["pairs", "Bounds"])
    def test_arrays_of_floats_take_no_python_loop(self, as_given):
        def convert(n):
            pairs = np.tile([0.0, 1.0], (n, 1))
            bounds = pairs if as_given == "pairs" else Bounds(pairs[:, 0], pairs[:, 1])
            return partial(as_bounds, bounds, n)

        assert lines_run(convert(100_000)) == lines_run(convert(10))

    def test_arrays_of_floats_are_not_made_python_floats(self):
        n = 100_000
        pairs = np.tile([0.0, 1.0], (n, 1))
        tracemalloc.start()
        try:
            as_bounds(pairs, n)
            as_bounds(Bounds(pairs[:, 0], pairs[:, 1]), n)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        # The two vectors are 16 bytes a variable; two floats in lists are 64.
        assert peak < 40 * n


class TestProjectedGradientNorm:
    @given(boxes(), st.randoms(use_true_random=False))
    def test_is_the_largest_move_of_a_clipped_gradient_step(self, box, random):
        lower, upper = box
        x = np.clip([random.uniform(-5, 5) for _ in lower], lower, upper)
        grad = np.array([random.uniform(-5, 5) for _ in lower])
        expected = max(
            abs(xi - min(max(xi - gi, low), up))
            for xi, gi, low, up in zip(x, grad, lower, upper, strict=True)
        )
        norm = get_grad_projection_inf_norm(x, grad, lower, upper)
        assert type(norm) is float
        assert norm == expected

    def test_vanishes_where_the_gradient_pushes_out_of_the_box(self):
        assert get_grad_projection_inf_norm([0.0, 1.0], [2.0, -3.0], [0.0, 0.0], [1.0, 1.0]) == 0.0

    def test_scalar_bounds_hold_for_every_component(self):
        assert get_grad_projection_inf_norm([0.5, 0.5], [3.0, -0.25], 0.0, 1.0) == 0.5

    @pytest.mark.parametrize(
        ("lower", "upper", "expected"),
        [(None, None, 3.0), (0.0, None, 2.0), (None, 1.0, 3.0), (0.0, 1.0, 0.5)],
    )
    def test_none_is_no_bound(self, lower, upper, expected):
        norm = get_grad_projection_inf_norm([0.5, 0.5], [3.0, -2.0], lower, upper)
        assert norm == expected

    def test_of_nothing_is_zero(self):
        assert get_grad_projection_inf_norm([], [], None, None) == 0.0
        assert get_grad_projection_inf_norm([], [], [], []) == 0.0

    def test_nan_shows(self):
        assert np.isnan(get_grad_projection_inf_norm([0.5, 0.5], [NAN, 0.0], 0.0, 1.0))
