"""The vector kernels of every instruction set that the processor has, against NumPy.

Products with panels are compared with NumPy's, exactly for vectors of integers; AVX2 and AVX-512
with each other, to the bit. The row kernels round as NumPy's element-wise arithmetic does, hence
are compared with it to the bit, whatever the instruction set.
"""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from lbfgsb._core.kernels import cpu_supported
from lbfgsb._core.testing import (
    Panel,
    accept_step,
    break_points,
    inner_product,
    masked,
    model_limit,
    model_step,
    status_at,
    trial_point,
)
from naive import break_point, longest_feasible, move, random_state
from problems import run_python, same_bits

from lbfgsb._core import kernels

LEVELS = cpu_supported()
# Around tiles of 8 rows, blocks of 512 and chunks of 8192.
SIZES = [*range(1, 21), 511, 512, 513, 8191, 8192, 8193, 20000]
EPS = np.finfo(float).eps

every_level = pytest.mark.parametrize("level", LEVELS)
every_size = pytest.mark.parametrize("n", SIZES)
two_wide_levels = pytest.mark.skipif(
    not {"avx2", "avx512"} <= set(LEVELS), reason="this processor has not both AVX2 and AVX-512"
)


def integers(rng, *shape):
    """Doubles whose products and sums are exact."""
    return rng.integers(-1000, 1000, size=shape).astype(float)


# --- panels -------------------------------------------------------------------------------


@every_level
@every_size
def test_products_with_a_panel_are_those_of_numpy(level, n):
    rng = np.random.default_rng(n)
    columns = integers(rng, 6, n)
    panel = Panel(level, columns)
    for vectors in (integers(rng, count, n) for count in range(1, 6)):
        np.testing.assert_array_equal(panel.tdot(vectors), columns @ vectors.T)
    coef = integers(rng, 6)
    np.testing.assert_array_equal(panel.combine(coef), coef @ columns)


@every_level
@every_size
def test_products_with_a_panel_are_right_to_rounding(level, n):
    rng = np.random.default_rng(n)
    columns, vectors, coef = rng.normal(size=(5, n)), rng.normal(size=(3, n)), rng.normal(size=5)
    panel = Panel(level, columns)
    exact = columns.astype(np.longdouble) @ vectors.T
    bound = abs(columns) @ abs(vectors).T
    assert (abs(panel.tdot(vectors) - exact) <= 30 * EPS * bound).all()
    exact = coef.astype(np.longdouble) @ columns
    assert (abs(panel.combine(coef) - exact) <= 5 * EPS * (abs(coef) @ abs(columns))).all()


@every_level
@every_size
def test_a_column_comes_back_as_it_was_stored(level, n):
    columns = np.random.default_rng(n).normal(size=(4, n))
    panel = Panel(level, columns)
    for c in range(4):
        assert same_bits(panel.column(c), columns[c])


@every_level
@every_size
def test_a_panel_of_float32_has_the_products_of_its_numbers_as_doubles(level, n):
    rng = np.random.default_rng(n)
    columns = rng.normal(size=(6, n)).astype(np.float32)
    vectors, coef, rows = rng.normal(size=(5, n)), rng.normal(size=6), np.arange(0, n, 3)
    single, double = Panel(level, columns), Panel(level, columns.astype(float))
    for r in range(1, 6):
        assert same_bits(single.tdot(vectors[:r]), double.tdot(vectors[:r]))
    assert same_bits(single.combine(coef), double.combine(coef))
    assert same_bits(single.gram(rows), double.gram(rows))
    for c in range(6):
        assert same_bits(single.column(c), columns[c])


@every_level
@pytest.mark.parametrize("count", [0, 1, 7, 8, 63, 64, 65, 128, 1000])
def test_the_gram_matrix_over_some_rows_is_that_of_numpy(level, count):
    rng = np.random.default_rng(count)
    columns = integers(rng, 6, 1003)
    rows = np.sort(rng.choice(1003, size=count, replace=False))
    some = columns[:, rows]
    lower_triangle = (some @ some.T)[np.tril_indices(6)]
    np.testing.assert_array_equal(Panel(level, columns).gram(rows), lower_triangle)


@every_level
def test_products_do_not_depend_on_how_many_vectors_share_the_read(level):
    rng = np.random.default_rng(0)
    panel, vectors = Panel(level, rng.normal(size=(4, 9001))), rng.normal(size=(5, 9001))
    together = panel.tdot(vectors)
    for r in range(5):
        assert same_bits(panel.tdot(vectors[r : r + 1])[:, 0], together[:, r])
        assert same_bits(panel.tdot(vectors[: r + 1]), together[:, : r + 1])


@every_level
def test_a_product_does_not_depend_on_the_other_columns(level):
    rng = np.random.default_rng(1)
    columns, vectors = rng.normal(size=(4, 9001)), rng.normal(size=(3, 9001))
    together = Panel(level, columns).tdot(vectors)
    for c in range(4):
        assert same_bits(Panel(level, columns[c : c + 1]).tdot(vectors)[0], together[c])


@every_level
def test_the_inner_product_is_symmetric_to_the_bit(level):
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(2, 9001))
    assert same_bits(Panel(level, a[None]).tdot(b[None]), Panel(level, b[None]).tdot(a[None]))
    assert same_bits(inner_product(level, a, b), inner_product(level, b, a))


@two_wide_levels
@every_size
def test_avx2_and_avx512_agree_to_the_bit(n):
    rng = np.random.default_rng(n)
    columns, vectors, coef = rng.normal(size=(5, n)), rng.normal(size=(5, n)), rng.normal(size=5)
    rows = np.flatnonzero(rng.random(n) < 0.5)
    narrow, wide = Panel("avx2", columns), Panel("avx512", columns)
    for r in range(1, 6):
        assert same_bits(narrow.tdot(vectors[:r]), wide.tdot(vectors[:r]))
    assert same_bits(narrow.combine(coef), wide.combine(coef))
    assert same_bits(narrow.gram(rows), wide.gram(rows))
    a, b = vectors[:2]
    assert same_bits(inner_product("avx2", a, b), inner_product("avx512", a, b))


# --- inner products over chunks -----------------------------------------------------------


@every_level
@every_size
def test_the_inner_product_is_that_of_numpy(level, n):
    a, b = integers(np.random.default_rng(n), 2, n)
    assert inner_product(level, a, b) == a @ b


@every_level
def test_the_inner_product_does_not_depend_on_alignment(level):
    a, b = np.random.default_rng(3).normal(size=(2, 9001))
    expected = inner_product(level, a[5:], b[5:])
    for shift in range(8):
        elsewhere = np.empty(9010)[shift : shift + 8996]
        elsewhere[:] = a[5:]
        assert same_bits(inner_product(level, elsewhere, b[5:]), expected)


@every_level
@pytest.mark.parametrize("n", [8193, 98_304, 200_001])
def test_the_inner_product_does_not_depend_on_threads(level, n):
    a, b = np.random.default_rng(n).normal(size=(2, n))
    one = inner_product(level, a, b)
    assert abs(one - a @ b) <= 30 * EPS * (abs(a) @ abs(b))
    for threads in 2, 3:
        assert same_bits(inner_product(level, a, b, threads), one)


@every_level
def test_non_finite_entries_reach_the_inner_product(level):
    for n in 1, 9, 513, 9000:
        for at in {0, n // 2, n - 1}:
            a, b = np.ones(n), np.ones(n)
            a[at] = np.nan
            assert np.isnan(inner_product(level, a, b))
            a[at] = np.inf
            assert inner_product(level, a, b) == np.inf
            b[at] = 0.0
            assert np.isnan(inner_product(level, a, b))
            a[at], b[at] = 1e200, -1e200
            assert inner_product(level, a, b) == -np.inf
            assert np.isnan(Panel(level, a[None] * np.nan).tdot(b[None])).all()


@pytest.mark.skipif(not kernels.openmp(), reason="built without OpenMP")
def test_a_child_of_a_process_with_threads_gets_the_same_bits():
    printed = run_python("""
import os, numpy as np
from lbfgsb._core.kernels import cpu_supported
from lbfgsb._core.testing import inner_product
a, b = np.random.default_rng(0).normal(size=(2, 400_000))
before = inner_product(cpu_supported()[0], a, b, 2)
child = os.fork()
if child == 0:
    os._exit(0 if inner_product(cpu_supported()[0], a, b, 2) == before else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
""")
    assert printed == "0"


# --- the choice of the kernels ------------------------------------------------------------


@every_level
def test_the_environment_chooses_the_kernels(level):
    code = "from lbfgsb._core.kernels import cpu; print(cpu())"
    assert run_python(code, LBFGSB_CPU=level) == level


def test_an_unknown_level_in_the_environment_is_no_choice():
    code = "from lbfgsb._core.kernels import cpu; print(cpu())"
    assert run_python(code, LBFGSB_CPU="sse9") == LEVELS[0]


def test_the_baseline_is_always_there():
    assert LEVELS[-1] == "baseline"


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="no /proc/cpuinfo")
def test_the_levels_are_those_that_the_system_says_the_processor_has():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    flags = next((set(line.split()) for line in lines if line.startswith("flags")), set())
    expected = ["baseline"]
    if {"avx2", "fma"} <= flags:
        expected = ["avx2", *expected]
        if {"avx512f", "avx512vl", "avx512dq", "avx512bw"} <= flags:
            expected = ["avx512", *expected]
    assert expected == LEVELS


# --- rows: points -------------------------------------------------------------------------


@every_level
@every_size
def test_trial_points_are_those_of_numpy(level, n):
    rng = np.random.default_rng(n)
    x, g, lower, upper = random_state(rng, n)
    for alpha in 0.0, 1e-9, 0.37, 1.0, 1e6:
        assert same_bits(trial_point(level, alpha, x, g), x + alpha * g)
        out = trial_point(level, alpha, x, g, lower, upper)
        assert same_bits(out, move(x, alpha * g, lower, upper))
        assert (lower <= out).all()
        assert (out <= upper).all()


finite = st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=300, derandomize=True)
@given(
    ends=st.tuples(st.floats(allow_nan=False), st.floats(allow_nan=False)).map(sorted),
    x=finite,
    step=st.floats(),
    alpha=st.floats(0.0, 1e8),
)
@example(ends=(0.3, 0.3), x=0.3, step=0.0, alpha=1.0)
@example(ends=(0.3, np.nextafter(0.3, 1.0)), x=0.3, step=1.0, alpha=1e-20)
@example(ends=(0.1, 0.3), x=0.1, step=0.3 - 0.1, alpha=1.0)
@example(ends=(-np.inf, 1e16), x=1.0, step=1e16 - 1.0, alpha=1.0)
@example(ends=(5e-324, np.inf), x=5e-324, step=-5e-324, alpha=0.5)
def test_a_trial_point_is_in_the_box_to_the_last_bit(ends, x, step, alpha):
    lower, upper = ends
    assume(lower < np.inf and upper > -np.inf)
    x = min(max(x, lower), upper)
    one = {name: np.array([v]) for name, v in {"x": x, "d": step}.items()}
    points = [
        trial_point(level, alpha, **one, lower=np.array([lower]), upper=np.array([upper]))[0]
        for level in LEVELS
    ]
    assert all(same_bits(p, points[0]) for p in points)
    assert lower <= points[0] <= upper
    with np.errstate(all="ignore"):
        wanted = np.float64(alpha) * step
        if wanted >= upper - x:
            assert points[0] == upper
        elif wanted <= lower - x:
            assert points[0] == lower


@every_level
def test_a_step_as_long_as_the_way_to_a_bound_ends_on_it(level):
    rng = np.random.default_rng(0)
    x = rng.normal(size=2000)
    lower, upper = -(10.0 ** rng.uniform(0, 3, size=2000)), 10.0 ** rng.uniform(0, 3, size=2000)
    x = np.clip(x, lower, upper)
    assert (x + (upper - x) < upper).any()
    assert (x + (lower - x) > lower).any()
    assert same_bits(trial_point(level, 1.0, x, upper - x, lower, upper), upper)
    assert same_bits(trial_point(level, 1.0, x, lower - x, lower, upper), lower)


@every_level
def test_a_step_without_a_number_stays_in_the_box(level):
    x, lower, upper = np.zeros(9), np.full(9, -2.0), np.full(9, 3.0)
    for alpha, d in (1.0, np.nan), (0.0, np.inf), (0.0, -np.inf):
        out = trial_point(level, alpha, x, np.full(9, d), lower, upper)
        assert ((lower <= out) & (out <= upper)).all()


@every_level
@every_size
def test_an_accepted_step_is_the_trial_point_and_its_changes(level, n):
    rng = np.random.default_rng(n)
    x, d, lower, upper = random_state(rng, n)
    g, g_new = rng.normal(size=(2, n))
    g_new[rng.random(n) < 0.2] = 0.0
    for box in ((), (lower, upper)):
        done = accept_step(level, 0.7, x, d, g, g_new, *box)
        point = trial_point(level, 0.7, x, d, *box)
        assert same_bits(done["x"], point)
        assert same_bits(done["s"], point - x)
        assert same_bits(done["y"], g_new - g)
        assert same_bits(done["g"], g_new)
    t = break_point(point, g_new, lower, upper)
    free = t > 0
    projected = np.where(
        g_new > 0, np.minimum(point - lower, g_new), np.maximum(point - upper, g_new)
    )
    assert done["norm"] == abs(projected).max()
    assert done["t_min"] == t[free].min(initial=np.inf)
    assert done["pinned"] == (~free).sum()
    assert same_bits(done["g_free"], np.where(free, g_new, 0.0))
    assert accept_step(level, 0.7, x, d, g, g_new)["norm"] == abs(g_new).max()


@every_level
def test_a_fixed_variable_is_pinned_whichever_way_it_is_pulled(level):
    x = lower = upper = np.array([0.25, 0.25])
    g = np.array([1.0, -1.0])
    done = accept_step(level, 1.0, x, np.zeros(2), g, g, lower, upper)
    assert (done["pinned"], done["norm"], done["t_min"]) == (2, 0.0, np.inf)
    assert same_bits(done["g_free"], [0.0, 0.0])


@every_level
@every_size
def test_the_mask_keeps_free_variables(level, n):
    rng = np.random.default_rng(n)
    status, v = rng.integers(-1, 2, size=n).astype(np.int8), rng.normal(size=n)
    v[rng.random(n) < 0.2] = np.nan
    expected = np.where(status == 0, v, 0.0)
    assert same_bits(masked(level, status, v), expected)


# --- rows: break points -------------------------------------------------------------------


@every_level
@every_size
def test_break_points_between_two_limits_are_listed_in_order(level, n):
    x, g, lower, upper = random_state(np.random.default_rng(n), n)
    t = break_point(x, g, lower, upper)
    some = t[np.isfinite(t)]
    limits = [0.0, *(np.quantile(some, [0.1, 0.5]) if some.size else []), np.finfo(float).max]
    for low, high in itertools.pairwise(limits):
        expected = np.flatnonzero((t > low) & (t <= high))
        found, rows = break_points(level, low, high, x, g, lower, upper, first=70)
        assert same_bits(found, t[expected])
        assert (rows == expected + 70).all()


@every_level
def test_a_break_point_at_the_upper_limit_is_in_and_one_at_the_lower_is_not(level):
    x, g = np.zeros(3), np.ones(3)
    lower, upper = np.array([-1.0, -2.0, -3.0]), np.ones(3)
    assert break_points(level, 1.0, 2.0, x, g, lower, upper)[1].tolist() == [1]


@every_level
def test_a_variable_that_never_reaches_a_bound_has_no_break_point(level):
    x = np.array([0.0, 0.0, 0.0, 1.0])
    g = np.array([0.0, 1.0, 1e-310, 0.0])  # no gradient, no bound, one too far away, at a bound
    lower, upper = np.array([-1.0, -np.inf, -1.0, 1.0]), np.full(4, 1.0)
    assert break_points(level, 0.0, np.finfo(float).max, x, g, lower, upper)[1].size == 0
    status, changed = status_at(level, 1e300, x, g, lower, upper, np.zeros(4, dtype=np.int8))
    assert not status.any()
    assert changed.size == 0


@every_level
@every_size
def test_the_status_is_the_bound_reached_and_changes_are_listed_in_order(level, n):
    rng = np.random.default_rng(n)
    x, g, lower, upper = random_state(rng, n)
    t = break_point(x, g, lower, upper)
    before = rng.integers(-1, 2, size=n).astype(np.int8)
    some = t[np.isfinite(t)]
    for t_fixed in 0.0, np.median(some) if some.size else 1.0:
        expected = np.where(t <= t_fixed, np.where(g > 0, -1, 1), 0)
        status, changed = status_at(level, t_fixed, x, g, lower, upper, before, first=9)
        np.testing.assert_array_equal(status, expected)
        np.testing.assert_array_equal(changed, np.flatnonzero((before == 0) != (expected == 0)) + 9)
        _, changed = status_at(level, t_fixed, x, g, lower, upper, status)
        assert changed.size == 0


# --- rows: steps --------------------------------------------------------------------------


def model_state(n):
    """A state, W e, and points on the path: a t_fixed that fixes some variables, t_cauchy after
    it."""
    rng = np.random.default_rng(n)
    x, g, lower, upper = random_state(rng, n)
    t = break_point(x, g, lower, upper)
    some = t[np.isfinite(t) & (t < 1e3)]
    t_fixed = np.median(some) if some.size else 0.0
    t_later = t[t > t_fixed].min(initial=1e3)
    t_cauchy = t_fixed + 0.5 * (t_later - t_fixed)
    return x, g, lower, upper, rng.normal(size=n), t_fixed, t_cauchy, t <= t_fixed


@every_level
@every_size
def test_the_projected_step_is_that_of_numpy(level, n):
    x, g, lower, upper, we, t_fixed, _, fixed = model_state(n)
    assert same_bits(model_step(level, 0.3, x, g, we)[0], we - 0.3 * g)
    expected = np.where(
        fixed, np.where(g > 0, lower, upper) - x, move(x, we - 0.3 * g, lower, upper) - x
    )
    d, limit = model_step(level, 0.3, x, g, we, lower, upper, t_fixed)
    assert same_bits(d, expected)
    assert limit == longest_feasible(x, d, lower, upper)


@every_level
@every_size
def test_the_truncated_step_is_that_of_numpy(level, n):
    x, g, lower, upper, we, t_fixed, t_cauchy, fixed = model_state(n)
    to_cauchy = -t_cauchy * g
    to_minimiser = (we - 0.3 * g) - to_cauchy
    with np.errstate(all="ignore"):
        room = np.where(to_minimiser > 0, upper, lower) - (x + to_cauchy)
        reach = np.where(fixed | (to_minimiser == 0), 1.0, np.maximum(room / to_minimiser, 0.0))
    expected = min(1.0, reach.min())
    alpha = model_limit(level, 0.3, x, g, we, lower, upper, t_fixed, t_cauchy)
    assert alpha == expected
    step = to_cauchy + alpha * to_minimiser
    expected = np.where(fixed, np.where(g > 0, lower, upper) - x, move(x, step, lower, upper) - x)
    d, limit = model_step(level, 0.3, x, g, we, lower, upper, t_fixed, t_cauchy, alpha)
    assert same_bits(d, expected)
    assert limit == longest_feasible(x, d, lower, upper)


@every_level
@every_size
def test_a_step_stays_in_the_box(level, n):
    x, g, lower, upper, we, t_fixed, t_cauchy, _ = model_state(n)
    for truncated in {}, {"t_cauchy": t_cauchy, "alpha": 1.0}:
        d, limit = model_step(level, 0.3, x, 0 * g, 1e3 * we, lower, upper, t_fixed, **truncated)
        assert limit >= 1
        point = trial_point(level, 1.0, x, d, lower, upper)
        assert ((lower <= point) & (point <= upper)).all()


def test_kernels_that_the_processor_has_not_are_an_error():
    with pytest.raises(ValueError, match="this processor has no kernels 'mmx'"):
        inner_product("mmx", np.ones(3), np.ones(3))
