"""The result of a batch as people use it: printed, by problem, and watched by the callbacks."""

import copy
import io
import json
import os
import pickle
import signal

import numpy as np
import pytest
from problems import X0, rosen_fg, same_bits

from lbfgsb import diagnose, minimize_batch, minimize_lbfgsb
from lbfgsb.benchmarks import compiled_rosenbrock
from lbfgsb.callbacks import (
    EarlyStopping,
    History,
    JSONLines,
    Print,
    ProgressBar,
    StopOnSignal,
    TimeLimit,
)

NUMBERS = ["fun", "projected_gradient", "gradient_mismatch", "nit", "nfev", "njev", "status"]


def valley(X):
    pairs = [rosen_fg(x) for x in X]
    return np.array([f for f, _ in pairs]), np.array([g for _, g in pairs])


def starts(count, n=2):
    return np.random.default_rng(3).uniform(-2, 2, (count, n))


def uneven(X):
    """Not finite where x is 9, unbounded below where x is 5, else a bowl."""
    F, G = (X * X).sum(axis=1), 2 * X
    down = X[:, 1] == 5
    F[down], G[down] = X[down, 0], [1.0, 0.0]
    F[X[:, 1] == 9] = np.nan
    return F, G


# --- printed ------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 10, 3000])
def test_it_prints_in_twenty_lines(count):
    text = repr(minimize_batch(valley, starts(count), maxiter=30))
    assert len(text.splitlines()) <= 20
    assert max(map(len, text.splitlines())) <= 79
    assert f"{count} of n = 2" in text


def test_it_says_how_many_ended_how_and_the_range_of_the_numbers():
    x0 = np.ones((12, 2)) * np.arange(1, 13)[:, None] / 8
    x0[3:7, 1] = 5
    x0[9:, 1] = 9
    res = minimize_batch(uneven, x0, maxiter=4)
    lines = repr(res).splitlines()
    told = {line[20:].split(None, 1)[1]: int(line[20:].split()[0]) for line in lines[1:4]}
    assert told == {
        "CONVERGENCE: NORM_OF_PROJECTED_GRADIENT_<=_PGTOL": 5,
        "STOP: TOTAL NO. of ITERATIONS REACHED LIMIT": 4,
        "ABNORMAL: NOT FINITE AT X0": 3,
    }
    assert "success: 5 of 12" in repr(res)
    (fun,) = (line for line in lines if line.strip().startswith("fun:"))
    finite = res.fun[np.isfinite(res.fun)]
    expected = [finite.min(), np.median(finite), finite.max()]
    np.testing.assert_allclose([float(word) for word in fun.split()[1:]], expected, rtol=1e-5)


def test_a_result_without_a_finite_value_prints_too():
    text = repr(minimize_batch(lambda X: (X.sum(axis=1) * np.nan, X), starts(3)))
    assert "none is finite" in text


# --- one problem --------------------------------------------------------------------------


def test_an_integer_gives_the_result_of_one_problem():
    res = minimize_batch(valley, starts(7), ftol=0)
    for i in (0, 3, -1, np.int64(2)):
        one = res[i]
        alone = minimize_lbfgsb(x0=starts(7)[i], fun=rosen_fg, jac=True, ftol=0)
        assert one.keys() == alone.keys() - {"hess_inv"}
        assert same_bits(one.x, alone.x)
        assert same_bits(one.jac, alone.jac)
        assert [one[name] for name in NUMBERS] == [alone[name] for name in NUMBERS]
        assert (one.message, one.success) == (alone.message, alone.success)
        assert [type(one[name]) for name in one] == [type(alone[name]) for name in one]


def test_its_arrays_are_its_own():
    res = minimize_batch(valley, starts(4))
    one, x = res[2], res.x.copy()
    one.x[:] = 0
    assert same_bits(res.x, x)


@pytest.mark.parametrize("i", [4, -5])
def test_a_problem_that_is_not_there_is_an_index_error(i):
    with pytest.raises(IndexError, match=f"there are 4 problems; got {i}"):
        minimize_batch(valley, starts(4))[i]


def test_fields_are_found_by_name_as_ever():
    res = minimize_batch(valley, starts(4))
    assert res["fun"] is res.fun
    with pytest.raises(KeyError):
        res["none"]
    with pytest.raises(AttributeError):
        res.none  # noqa: B018


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, lambda r: pickle.loads(pickle.dumps(r))])
def test_it_can_be_copied_and_pickled(way):
    res = minimize_batch(valley, starts(4))
    again = way(res)
    assert type(again) is type(res)
    assert same_bits(again[1].x, res[1].x)


def test_one_of_a_compiled_batch():
    res = minimize_batch(compiled_rosenbrock, starts(5), ftol=0)
    alone = minimize_lbfgsb(x0=starts(5)[3], fun=compiled_rosenbrock, ftol=0)
    assert same_bits(res[3].x, alone.x)


def test_diagnose_takes_one():
    res = minimize_batch(valley, starts(3), maxiter=3)
    assert "limit" in diagnose(res[1]).codes
    assert diagnose(res[1], fun=rosen_fg, jac=True).headline


def test_one_is_a_checkpoint_to_start_from_whose_counts_go_on():
    res = minimize_batch(valley, [X0, X0], maxiter=5)
    calls = []

    def fun(x):
        calls.append(x)
        return rosen_fg(x)

    again = minimize_lbfgsb(x0=res[1].x, fun=fun, jac=True, checkpoint=res[1], maxiter=200, ftol=0)
    assert again.success
    assert again.nit > 5
    assert not same_bits(calls[0], res[1].x)  # f and g there are known
    assert again.nfev == res[1].nfev + len(calls)


# --- watched ------------------------------------------------------------------------------


def test_print_shows_a_row_a_round():
    out = io.StringIO()
    res = minimize_batch(valley, starts(6), callback=Print(file=out), maxiter=100)
    header, *rows, end = out.getvalue().splitlines()
    assert header.split() == ["round", "running", "converged", "sum", "of", "f", "|proj", "g|"]
    assert len(rows) == res.nrounds
    assert [int(row.split()[0]) for row in rows] == list(range(1, res.nrounds + 1))
    converged = int((res.status == 0).sum())
    assert rows[-1].split()[1:3] == ["0", str(converged)]
    assert float(rows[-1].split()[3]) == pytest.approx(res.fun.sum(), rel=1e-8)
    assert end.startswith(f"{converged} OF 6 PROBLEMS CONVERGED")
    assert all(len(row) == len(rows[0]) == len(header) for row in rows)


def test_history_has_a_row_a_round_of_the_sum():
    history, states = History(), []
    res = minimize_batch(valley, starts(6), callback=[history, states.append])
    assert len(history) == res.nrounds == len(states)
    np.testing.assert_array_equal(history.nit, np.arange(1, res.nrounds + 1))
    np.testing.assert_array_equal(history.nfev, history.nit)
    np.testing.assert_allclose(history.fun, [state.fun.sum() for state in states])
    np.testing.assert_array_equal(
        history.projected_gradient, [state.projected_gradient.max() for state in states]
    )
    assert np.isnan(history.steplength).all()
    assert (np.diff(history.time) >= 0).all()
    assert same_bits(res.history.fun, history.fun)
    assert repr(history) in repr(res)


def test_a_history_begins_anew_with_each_batch():
    history = History()
    minimize_batch(valley, starts(6), callback=history)
    res = minimize_batch(valley, starts(2), callback=history)
    assert len(history) == res.nrounds
    minimize_batch(valley, starts(3, n=2), callback=History(x_every=2))


def test_problems_that_are_not_finite_are_left_out_of_the_sum():
    history = History()
    x0 = np.array([[1.0, 2.0], [3.0, 9.0]])
    res = minimize_batch(uneven, x0, callback=history)
    assert np.isnan(res.fun[1])
    assert np.isfinite(history.fun).all()
    assert history.fun[-1] == res.fun[0]


def test_time_limit_ends_all_and_says_so():
    res = minimize_batch(valley, starts(6), callback=TimeLimit(0.0), maxiter=100)
    assert res.nrounds == 1
    assert set(res.message) == {"STOP: USER CALLBACK: the time limit of 0 s is over"}
    assert (set(res.status.tolist()), res.success.any()) == ({1}, False)
    assert (res[0].status, res[0].success) == (1, False)


def test_those_that_had_ended_before_keep_their_words():
    def stop(state):
        if state.nrounds == 40:
            raise StopIteration("enough")

    x0 = np.array([[1.0, 1.0], [-1.2, 1.0], [30.0, -40.0]])
    res = minimize_batch(valley, x0, callback=stop, ftol=0, maxiter=1000)
    assert res.message[0].startswith("CONVERGENCE")
    assert res.message[2] == "STOP: USER CALLBACK: enough"


def test_stop_on_signal_ends_all_and_restores_the_handlers():
    before = signal.getsignal(signal.SIGTERM)

    def fun(X):
        os.kill(os.getpid(), signal.SIGTERM)
        return valley(X)

    res = minimize_batch(fun, starts(3), callback=StopOnSignal([signal.SIGTERM]))
    assert res.nrounds == 1
    assert all(message.endswith("SIGTERM received") for message in res.message)
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_progress_bar_counts_the_problems_that_are_over():
    out = io.StringIO()
    bar = ProgressBar(interval=0.0, file=out, ncols=100)
    res = minimize_batch(valley, starts(6), callback=bar, maxiter=200)
    assert res.success.all()
    last = out.getvalue().rstrip().rpartition("\r")[2]
    assert last.startswith("100%")
    assert "0 of 6 running" in last
    assert "converged" in last


def test_other_callbacks_take_a_batch_as_one_run(tmp_path):
    lines, early = tmp_path / "run.jsonl", EarlyStopping(patience=3)
    res = minimize_batch(valley, starts(6), callback=[JSONLines(lines), early], ftol=0)
    written = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [row["nit"] for row in written] == list(range(1, res.nrounds + 1))
    assert written[-1]["running"] == 0
    assert early.best_x.shape == (6, 2)


def test_an_exception_ends_what_watches():
    out = io.StringIO()

    def fun(X):
        if len(out.getvalue().splitlines()) > 3:
            raise ArithmeticError("mine")
        return valley(X)

    with pytest.raises(ArithmeticError, match="mine"):
        minimize_batch(fun, starts(3), callback=Print(file=out))
    assert out.getvalue().splitlines()[-1] == "INTERRUPTED BY AN EXCEPTION"


class Own:
    """A callback of the user's with a begin and an end."""

    def __init__(self):
        self.told = []

    def begin_run(self, state):
        self.told.append(("begin", state.nrounds, state.status.tolist()))

    def end_run(self, state):
        self.told.append(("end", state.nrounds, state.status.tolist()))

    def __call__(self, *, intermediate_result):
        self.told.append(("round", intermediate_result.nrounds))


def test_a_callback_of_ones_own_is_told_of_the_begin_and_the_end():
    own = Own()
    res = minimize_batch(valley, starts(2), callback=[own])
    assert own.told[0] == ("begin", 0, [-1, -1])
    assert own.told[-1] == ("end", res.nrounds, res.status.tolist())
    assert own.told[1:-1] == [("round", k + 1) for k in range(res.nrounds)]


@pytest.mark.parametrize("callback", [lambda: None, lambda a, b: None, lambda *, state: None])
def test_a_callback_that_cannot_be_called_is_refused_at_once(callback):
    def never(X):
        raise AssertionError("evaluated")

    with pytest.raises(TypeError, match="callback must take one argument, the state"):
        minimize_batch(never, starts(2), callback=callback)
