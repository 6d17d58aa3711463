"""The slope monitor alone: segments with right and wrong slopes."""

import pytest
from lbfgsb._core.testing import monitor


def segments(phi, slope, ends):
    return [(b - a, phi(a), slope(a), phi(b), slope(b)) for a, b in ends]


def test_a_cubic_with_the_right_curvature_at_the_start_has_the_ratio_one_sixth():
    # phi' = -1 + t + q t^2 with the Newton step t = 1.
    q = 0.3
    steps = segments(
        lambda t: -t + t**2 / 2 + q * t**3 / 3, lambda t: -1 + t + q * t**2, [(0.0, 1.0)]
    )
    mismatch, _, window = monitor([steps] * 5)
    assert [check[3] for check in window] == pytest.approx([1 / 6] * 5)
    assert mismatch == pytest.approx(1 / 6)


def test_halved_slopes_are_hopeless_and_right_ones_fine():
    def phi(t):
        return -t + t**2 / 2

    right = [segments(phi, lambda t: t - 1, [(0.0, 0.9)])] * 8
    halved = [segments(phi, lambda t: (t - 1) / 2, [(0.0, 0.9)])] * 8
    assert monitor(right)[:2] == (pytest.approx(0, abs=1e-12), 0)
    assert monitor(halved)[0] == 1
    assert monitor(halved)[1] == 4    # five checks are there after the fifth of eight searches


def test_fewer_than_three_visible_changes_say_nothing():
    wrong = [(1.0, 0.0, 1.0, -1.0, 1.0)]
    assert monitor([wrong] * 2)[0] == 0
    assert monitor([wrong] * 3)[0] == 1


def test_changes_near_the_rounding_of_f_or_of_x_are_not_looked_at():
    wrong = [(1.0, 1e9, 1.0, 1e9 - 1, 1.0)]
    assert monitor([wrong] * 5)[2] == []
    wrong = [(1.0, 0.0, 1.0, -1.0, 1.0)]
    assert monitor([wrong] * 5, rounding=0.5)[0] == 1
    assert monitor([wrong] * 5, rounding=2.0)[0] == 0


def test_a_long_segment_does_not_count_beside_a_short_one():
    long, short = (1.0, 0.0, -1.0, 1.0, -1.0), (0.1, 0.0, -1.0, -0.1, -1.0)
    assert [check[0] for check in monitor([[long, short]])[2]] == [0.1]
    assert [check[0] for check in monitor([[short, long]])[2]] == [0.1]


@pytest.mark.parametrize("count", range(1, 18))
def test_the_latest_five_checks_are_kept_whatever_searches_they_are_from(count):
    lengths = [1 + i / 8 for i in range(count)]
    segments = [(length, 0.0, -1.0, -length, -1.0) for length in lengths]
    expected = [(length, -length, -length, 0.0) for length in lengths[-5:]]
    for searches in [[segment] for segment in segments], [segments], [segments[:3], segments[3:]]:
        assert monitor([search for search in searches if search])[2] == expected


def test_a_segment_across_a_kink_is_no_evidence():
    # From slope -1 to slope +1 over a length of 1, f changes by what some kink between explains.
    kink = [[(1.0, 5.0, -1.0, 5.0 + change, 1.0)] for change in (-0.9, -0.5, 0.5, 0.9)]
    assert monitor(kink * 3)[0] == 0
    beyond = [[(1.0, 5.0, -1.0, 5.0 + change, 1.0)] for change in (1.6, -1.6, 2.0)]
    assert monitor(beyond * 3)[0] > 0.35


def test_changes_below_the_precision_are_not_looked_at():
    wrong = [[(1.0, 5.0, -1e-5, 5.0 + 1e-5, -1e-5)]] * 6
    assert monitor(wrong)[0] > 0.35
    assert monitor(wrong, precision=1e-6)[0] == 0


def test_a_long_search_is_judged_by_its_last_segments_and_one_of_no_length_is_none():
    right, wrong = (1.0, 0.0, -1.0, -1.0, -1.0), (1.0, 0.0, -1.0, 1.0, -1.0)
    mismatch, _, window = monitor([[wrong] * 20 + [right] * 40])
    assert (mismatch, {check[3] for check in window}) == (0, {0.0})
    assert monitor([[right, (0.0, -1.0, -1.0, -1.0, -1.0)]]) == monitor([[right]])
