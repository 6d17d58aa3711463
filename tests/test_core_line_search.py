"""The line search: the six functions of Moré and Thuente (1994) against the counts in the tables of
their paper, random functions against SciPy's transcription of MINPACK's dcsrch, and what neither
covers: walls of NaN, the longest step, trials that run out, functions that do not go down."""

import itertools
from math import cos, exp, hypot, inf, isfinite, log, nan, pi, sin, sqrt, ulp

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from lbfgsb._core.testing import search

C1, C2, XTOL = 1e-3, 0.9, 0.1  # the solver's defaults
examples = settings(max_examples=400, derandomize=True)


# --- the six functions of section 5 of the paper, each returning f and its slope ----------


def function_1(a, beta=2.0):
    return -a / (a * a + beta), (a * a - beta) / (a * a + beta) ** 2


def function_2(a, beta=0.004):
    b = a + beta
    return b**5 - 2 * b**4, 5 * b**4 - 8 * b**3


def function_3(a, beta=0.01, l=39):  # noqa: E741
    if a <= 1 - beta:
        f, slope = 1 - a, -1.0
    elif a >= 1 + beta:
        f, slope = a - 1, 1.0
    else:
        f, slope = (a - 1) ** 2 / (2 * beta) + beta / 2, (a - 1) / beta
    wave = l * pi / 2
    return f + (1 - beta) / wave * sin(wave * a), slope + (1 - beta) * cos(wave * a)


def yanai(beta_1, beta_2):
    """Functions 4 to 6: convex, of two parameters."""

    def gamma(beta):
        return sqrt(1 + beta * beta) - beta

    def phi(a):
        r, s = hypot(1 - a, beta_2), hypot(a, beta_1)
        return (
            gamma(beta_1) * r + gamma(beta_2) * s,
            gamma(beta_1) * (a - 1) / r + gamma(beta_2) * a / s,
        )

    return phi


# --- phi, mu, eta, and (evaluations, slope at the step) for the starts 1e-3, 1e-1, 1e1, 1e3 ---
TABLES = {
    "I": (function_1, 1e-3, 0.1, [(6, -9.2e-3), (3, 4.7e-3), (1, 9.4e-3), (4, 7.3e-4)]),
    "II": (function_2, 0.1, 0.1, [(12, 7.1e-9), (8, 1e-10), (8, -5.0e-9), (11, -2.3e-8)]),
    "III": (function_3, 0.1, 0.1, [(12, -5.1e-5), (12, -1.9e-4), (10, -2e-6), (13, -1.6e-5)]),
    "IV": (
        yanai(1e-3, 1e-3), 1e-3, 1e-3,
        [(4, -6.9e-5), (1, -4.9e-5), (3, -2.9e-6), (4, 1.6e-5)],
    ),
    "V": (
        yanai(1e-2, 1e-3), 1e-3, 1e-3,
        [(6, 1.9e-4), (3, 7.4e-4), (7, -2.6e-4), (8, 4.5e-4)],
    ),
    "VI": (
        yanai(1e-3, 1e-2), 1e-3, 1e-3,
        [(13, 5.2e-4), (11, 8.4e-5), (8, -2.4e-4), (11, -3.2e-4)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("start", [0, 1, 2, 3])
@pytest.mark.parametrize("table", TABLES)
def test_the_tables_of_the_paper(table, start):
    phi, mu, eta, rows = TABLES[table]
    evaluations, slope_there = rows[start]
    verdict, step, trials = search(phi, 10.0 ** (2 * start - 3), 1e10, mu, eta, 1e-10, 100)
    (f0, slope0), (f, slope) = phi(0.0), phi(step)
    assert verdict == "ACCEPT_TRIAL"
    assert f <= f0 + mu * step * slope0
    assert abs(slope) <= eta * abs(slope0)
    assert len(trials) == evaluations
    # Near the minimiser of function 2 the slopes of the paper are rounding errors.
    assert slope == pytest.approx(slope_there, rel=0.06, abs=1e-8)


@pytest.mark.parametrize("start", [1e-3, 1e-1, 1e1, 1e3])
@pytest.mark.parametrize("table", TABLES)
def test_the_tables_with_the_tolerances_of_the_solver(table, start):
    phi = TABLES[table][0]
    outcome = search(phi, start, 1e8, C1, C2, XTOL, 20)
    check_outcome(phi, outcome, C1, C2, 1e8, 20)
    # Functions 2 and 3 are nearly flat at 0: their intervals become narrow first.
    assert outcome[0] == ("ACCEPT_BEST" if table in ("II", "III") else "ACCEPT_TRIAL")


# --- random functions ---------------------------------------------------------------------


@st.composite
def functions(draw):
    """A parabola and two waves; slope -1 at 0."""
    curvature = round(draw(st.floats(-0.1, 3.0)), 6)
    waves = [
        (
            round(draw(st.floats(0.0, 3.0)), 6),
            10.0 ** draw(st.floats(-1.0, 1.5)),
            draw(st.floats(0.0, 6.0)),
        )
        for _ in range(2)
    ]
    tilt = -1.0 - sum(size * cos(phase) for size, _, phase in waves)

    def phi(a):
        f, slope = a * (tilt + 0.5 * curvature * a), tilt + curvature * a
        for size, frequency, phase in waves:
            f += size / frequency * (sin(frequency * a + phase) - sin(phase))
            slope += size * cos(frequency * a + phase)
        return f, slope

    return phi


starts = st.floats(-4.0, 3.0).map(lambda e: 10.0**e)
constants = st.tuples(st.floats(1e-4, 0.4), st.floats(0.0, 1.0)).map(
    lambda c: (c[0], c[0] + (0.99 - c[0]) * max(c[1], 0.01))
)


def with_a_wall(phi, wall, value=nan):
    """phi up to `wall`, without a value beyond."""
    return lambda a: phi(a) if a <= wall else (value, value)


def check_outcome(phi, outcome, c1, c2, alpha_max, maxls):
    """What holds for every search."""
    verdict, step, trials = outcome
    f0, slope0 = phi(0.0)
    values = {a: phi(a) for a in trials}
    finite = {a: f for a, (f, slope) in values.items() if isfinite(f) and isfinite(slope)}
    assert 1 <= len(trials) <= maxls
    assert all(0 < a <= alpha_max for a in trials)
    if verdict == "NO_STEP":
        assert step == 0
        return
    f, slope = values[step]
    assert f <= f0 + c1 * step * slope0
    assert f < f0
    if verdict == "ACCEPT_TRIAL":
        assert step == trials[-1]
        at_the_end = step == alpha_max or len(finite) < len(trials)
        assert abs(slope) <= c2 * abs(slope0) or (at_the_end and slope <= c1 * slope0)
    else:
        assert verdict == "ACCEPT_BEST"
        # None of the trials was good enough to end the search.
        assert all(
            abs(values[a][1]) > c2 * abs(slope0) or fa > f0 + c1 * a * slope0
            for a, fa in finite.items()
        )


def minpack(phi, start, c1, c2, xtol, most=40):
    """The step of SciPy's transcription of MINPACK's search, or None, and its trials."""
    dcsrch = pytest.importorskip("scipy.optimize._dcsrch").DCSRCH
    trials = []

    def value(a):
        trials.append(a)
        return phi(a)[0]

    f0, slope0 = phi(0.0)
    there = dcsrch(value, lambda a: phi(a)[1], c1, c2, xtol, 0.0, 1e8)
    accepted, *_ = there(start, phi0=f0, derphi0=slope0, maxiter=most)
    return accepted, trials


@examples
@given(functions(), starts, constants)
def test_trials_are_those_of_minpack(phi, start, c):
    accepted, expected = minpack(phi, start, *c, XTOL)
    verdict, step, trials = search(phi, start, 1e8, *c, XTOL, 40)
    # Far out the waves are rounding errors, and these grow from trial to trial.
    assume(max(expected[:6]) < 1e3)
    np.testing.assert_allclose(trials[:6], expected[: len(trials)][:6], rtol=1e-6)
    if len(expected) > 6:
        return
    # Without room left MINPACK evaluates the best step again; here it is taken as it is.
    assert len(expected) - len(trials) in (0, 1)
    if accepted is not None:
        assert verdict == "ACCEPT_TRIAL"
        assert step == pytest.approx(accepted, rel=1e-6)
    else:
        assert verdict != "ACCEPT_TRIAL"


@pytest.mark.parametrize("slope", [-2.0, -0.5, -0.41, -0.39, -0.05, 0.0, 0.5, 3.0])
def test_trials_are_those_of_minpack_where_a_lower_trial_decreases_too_little(slope):
    # The second trial, at 2.5, is lower than the first but not by enough: psi takes the place of f.
    def phi(a):
        if a == 0:
            return 0.0, -1.0
        return (-0.5 * a, -0.9) if a < 1 else (-0.3, slope)

    _, expected = minpack(phi, 0.5, 0.4, 0.5, XTOL)
    _, _, trials = search(phi, 0.5, 1e8, 0.4, 0.5, XTOL, 40)
    np.testing.assert_allclose(trials, expected[: len(trials)], rtol=1e-6)
    assert len(trials) >= 7


@examples
@given(functions(), starts, constants, st.integers(1, 20), st.floats(1.0, 1e4))
def test_a_step_decreases_f_enough(phi, start, c, maxls, room):
    alpha_max = start * room
    outcome = search(phi, start, alpha_max, *c, XTOL, maxls)
    check_outcome(phi, outcome, *c, alpha_max, maxls)


@examples
@given(functions(), starts, constants)
def test_a_function_bounded_below_gets_a_strong_wolfe_step(phi, start, c):
    assume(phi(1e4)[0] > 0)
    verdict, step, _ = search(phi, start, 1e8, *c, 0.0, 200)
    f, slope = phi(step)
    assert verdict == "ACCEPT_TRIAL"
    assert f <= c[0] * step * phi(0.0)[1]
    assert abs(slope) <= c[1] * abs(phi(0.0)[1])


@examples
@given(functions(), starts, st.integers(-40, 40))
def test_the_units_of_f_do_not_matter(phi, start, exponent):
    unit = 2.0**exponent
    scaled = search(lambda a: tuple(unit * v for v in phi(a)), start, 1e8, C1, C2, XTOL, 20)
    assert scaled == search(phi, start, 1e8, C1, C2, XTOL, 20)


@examples
@given(functions(), starts, st.integers(-40, 40), st.sampled_from([0.0, 1e-6, 1e-3, 1e-1]))
def test_the_units_of_the_step_do_not_matter(phi, start, exponent, grain):
    unit = 2.0**exponent

    def grained(a):
        f, slope = phi(a)
        return (round(f / grain) * grain if grain else f), slope

    def scaled(a):
        f, slope = grained(a * unit)
        return f, slope * unit

    verdict, step, trials = search(grained, start, 1e8, C1, C2, XTOL, 20)
    there = search(scaled, start / unit, 1e8 / unit, C1, C2, XTOL, 20)
    assert there == (verdict, step / unit, [a / unit for a in trials])


# --- values that are not finite -----------------------------------------------------------


@examples
@given(functions(), starts, constants, starts, st.sampled_from([nan, inf, -inf]))
def test_a_trial_without_a_value_is_a_step_too_long(phi, start, c, wall, value):
    walled = with_a_wall(phi, wall, value)
    outcome = search(walled, start, 1e8, *c, XTOL, 30)
    check_outcome(walled, outcome, *c, 1e8, 30)
    trials = outcome[2]
    for tried, following in itertools.pairwise(trials):
        if tried > wall:
            assert following < tried


@pytest.mark.parametrize("value", [(nan, -1.0), (0.0, nan), (inf, 1.0), (-inf, -1.0), (0.0, inf)])
def test_either_value_that_is_not_finite_counts(value):
    def phi(a):
        return (-a, -1.0) if a <= 0.05 else value

    verdict, step, trials = search(phi, 1.0, 1e8, C1, C2, XTOL, 20)
    assert verdict != "NO_STEP"
    assert 0 < step <= 0.05
    assert trials[:3] == pytest.approx([1.0, 0.1, 0.01])


def test_a_barrier_is_approached_from_inside():
    def phi(a):
        return (-log(1 - a) - 3 * a, 1 / (1 - a) - 3) if a < 1 else (nan, nan)

    for start in 0.5, 1.0, 1.5, 100.0, 1e8:
        verdict, step, _ = search(phi, start, 1e8, C1, 0.1, XTOL, 20)
        assert verdict == "ACCEPT_TRIAL"
        assert 0.09 < step < 1


def test_a_wall_inside_a_bracket_is_backed_off_from():
    def phi(a):
        if 0.1 < a < 0.9:
            return nan, nan
        return (-a, -1.0) if a < 0.5 else (a, 1.0)

    verdict, step, trials = search(phi, 1.0, 1e8, C1, C2, XTOL, 20)
    assert any(0.1 < a < 0.9 for a in trials)
    assert verdict == "ACCEPT_BEST"
    assert 0 < step <= 0.1


def test_without_a_value_anywhere_there_is_no_step():
    def phi(a):
        return (nan, nan) if a > 0 else (1.0, -1.0)

    assert search(phi, 1.0, 1e8, C1, C2, XTOL, 20)[0] == "NO_STEP"
    # Until alpha has come down to zero.
    assert search(phi, 1.0, 1e8, C1, C2, XTOL, 10_000)[0] == "NO_STEP"


# --- the ends of a search -----------------------------------------------------------------


@pytest.mark.parametrize(("start", "alpha_max"), [(1.0, 1.0), (1.0, 3.0), (1e-3, 1e8)])
def test_a_function_that_goes_down_for_ever_gets_the_longest_step(start, alpha_max):
    verdict, step, trials = search(lambda a: (-a, -1.0), start, alpha_max, C1, C2, XTOL, 20)
    assert (verdict, step) == ("ACCEPT_TRIAL", alpha_max)
    assert trials == sorted(trials)


def test_the_longest_step_is_not_passed_by_extrapolation():
    _, step, trials = search(lambda a: (exp(-a), -exp(-a)), 0.1, 0.25, C1, 0.1, XTOL, 20)
    assert max(trials) == step == 0.25


@pytest.mark.parametrize(
    "phi",
    [
        lambda a: (a, -1.0 if a == 0 else 1.0),
        lambda a: (a, -1.0),
        lambda a: (0.0, -1.0 if a == 0 else 0.0),
        lambda a: (0.0, -1.0),
        lambda a: (a * a, -1e-9 + 2 * a),
        lambda a: (1.0 if a > 0 else 0.0, -1.0),
    ],
    ids=["up", "up and lies", "flat", "flat and lies", "minimum lost in rounding", "step"],
)
def test_a_function_that_does_not_go_down_gets_no_step(phi):
    for maxls in 1, 5, 20, 500:
        verdict, step, trials = search(phi, 1.0, 1e8, C1, C2, XTOL, maxls)
        # An interval that holds no other trial may offer a step that leaves f as it is.
        assert verdict == "NO_STEP" or phi(step)[0] == phi(0.0)[0]
        assert maxls > 20 or (verdict, step) == ("NO_STEP", 0.0)
        assert len(trials) <= maxls


def test_a_descent_below_rounding_is_no_descent():
    verdict, *_ = search(lambda a: (1.0 - 1e-20 * a, -1e-20), 1.0, 1.0, C1, C2, XTOL, 20)
    assert verdict == "NO_STEP"


@pytest.mark.parametrize("slope_at_0", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("minimiser", [1e-3, 1.0, 1e3])
def test_noise_above_what_the_slopes_promise_ends_a_search_close_to_0(slope_at_0, minimiser):
    promised = slope_at_0 * minimiser

    def phi(a):
        parabola = slope_at_0 * a * (0.5 * a / minimiser - 1)
        return parabola + (promised if a > 0 else 0), slope_at_0 * (a / minimiser - 1)

    verdict, _, trials = search(phi, 10 * minimiser, 1e8, C1, C2, 0.0, 100)
    assert verdict == "NO_STEP"
    assert trials[-1] <= 0.03 * minimiser < trials[-2]


@pytest.mark.parametrize("unit", [1e-4, 1.0, 1e4])
def test_noise_far_beyond_a_minimiser_is_forgotten_when_that_is_found(unit):
    def phi(a):
        # A narrow parabola, hidden from the first trials by what they take for noise.
        b, narrow = a / unit, 1e-6
        if b < 1e-3:
            return b * (0.5 * b / narrow - 1), (b / narrow - 1) / unit
        return 0.03, (2 * b - 1) / unit

    verdict, step, _ = search(phi, unit, 1e8 * unit, C1, 0.1, 0.0, 40)
    assert verdict == "ACCEPT_TRIAL"
    assert step == pytest.approx(1e-6 * unit)


@pytest.mark.parametrize("start", [1e-3, 1.0, 30.0])
@pytest.mark.parametrize("kink", [1e-6, 1 / 3, 0.7, 5.0, 1e3])
def test_an_interval_shrinks_to_two_neighbours_and_no_point_is_tried_twice(kink, start):
    def phi(a):
        return (-a, -1.0) if a < kink else (2 * a - 3 * kink, 2.0)

    verdict, step, trials = search(phi, start, 1e8, C1, 0.5, 0.0, 500)
    assert verdict == "ACCEPT_BEST"
    assert abs(step - kink) <= ulp(kink)
    assert len(set(trials)) == len(trials)
    # Slopes at trials before the kink are equal: no secant, and no cubic, through them.
    _, expected = minpack(phi, start, C1, 0.5, 0.0)
    np.testing.assert_allclose(trials[:7], expected[:7], rtol=1e-6)


def test_both_conditions_may_hold_with_equality():
    # At 1 the slope is half of what it was, and then f has half of the decrease foretold.
    for phi in (
        lambda a: (-a + 0.25 * a * a, -1 + 0.5 * a),
        lambda a: (-0.5 * a, 0.0 if a > 0 else -1.0),
    ):
        assert search(phi, 1.0, 2.0, 0.5, 0.5, XTOL, 20) == ("ACCEPT_TRIAL", 1.0, [1.0])


@pytest.mark.parametrize("maxls", range(1, 12))
def test_the_best_of_the_trials_is_taken_when_they_run_out(maxls):
    phi = TABLES["II"][0]
    verdict, step, trials = search(phi, 1e-3, 1e10, 0.1, 0.1, 1e-10, maxls)
    assert verdict == "ACCEPT_BEST"
    assert len(trials) == maxls
    assert step == min(trials, key=lambda a: phi(a)[0])


def test_no_step_is_taken_when_trials_run_out_before_one_is_lower():
    def phi(a):
        return 100 * a * a - a, 200 * a - 1

    assert search(phi, 1.0, 1e8, C1, C2, XTOL, 1) == ("NO_STEP", 0.0, [1.0])
    assert search(phi, 1.0, 1e8, C1, C2, XTOL, 20)[0] == "ACCEPT_TRIAL"


def test_far_beyond_the_minimiser_cuts_are_bolder():
    def phi(a):
        x = 1e-6 + a
        return x + 1 / x, 1 - 1 / x**2

    verdict, step, _ = search(phi, 1e18, 1e18, 1e-3, 0.9, 0.1, 30)
    assert verdict == "ACCEPT_TRIAL"
    assert phi(step)[0] < 1e6
