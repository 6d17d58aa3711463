"""Options, as the core takes them and as a checkpoint gives them back."""

import pytest
from lbfgsb._core.options import defaults
from problems import assert_same_run, solve

from lbfgsb._options import as_given, as_options


def test_options_that_are_left_out_are_the_defaults_of_the_core():
    assert as_options().values() == defaults()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"threads": "auto", "secant": "standard", "pairs": "float32", "fun_precision": 1e-3},
        {"extra_updates": 0, "initial_scaling": "scalar", "is_check_factorizations": True},
        {"extra_updates": 3, "initial_scaling": "diagonal", "ftarget": -1.0},
    ],
)
def test_options_of_the_core_can_be_given_again(options):
    kept = as_options(maxcor=5, **options).values()
    assert as_options(**as_given(kept)).values() == kept


def test_options_that_came_later_are_what_runs_before_them_had():
    old = as_options().values()
    del old["extra_updates"], old["initial_scaling"]
    given = as_given(old)
    assert (given["extra_updates"], given["initial_scaling"]) == (0, "scalar")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"zzz": 1}, "not those of this version"),
        ({"ftol": "1e-9"}, "ftol is no number"),
        ({"secant": 7}, "secant is no number that stands for a word"),
    ],
)
def test_options_that_nobody_can_have_given_are_an_error(wrong, said):
    with pytest.raises(ValueError, match=said):
        as_given(defaults() | wrong)


def test_auto_leaves_the_number_of_threads_to_the_core():
    assert as_options(threads="auto")["threads"] == 0


def test_more_threads_than_there_can_be_are_no_error():
    assert_same_run(solve(threads=10**12), solve())
