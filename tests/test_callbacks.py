"""The callbacks of lbfgsb.callbacks, and the protocol by which a run tells of itself."""

import base64
import builtins
import doctest
import io
import json
import math
import os
import pickle
import signal
import sys
import threading
import time
import zlib
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from problems import (
    BOX,
    X0,
    Counted,
    Unsigned,
    assert_same_run,
    lines_run,
    random_problem,
    rosen,
    rosen_grad,
    run_python,
    same_bits,
)
from problems import (
    solve as solve_rosenbrock,
)
from scipy.optimize import OptimizeResult, minimize

from lbfgsb import (
    _history,
    callbacks,
    diagnose,
    fmin_l_bfgs_b,
    minimize_lbfgsb,
    patched_scipy,
    plotting,
    scipy_method,
)
from lbfgsb.callbacks import (
    Checkpoint,
    EarlyStopping,
    History,
    JSONLines,
    LivePlot,
    Print,
    ProgressBar,
    StopOnSignal,
    TargetReached,
    TensorBoard,
    TimeLimit,
)

LONG = {"ftol": 0, "gtol": 1e-9, "maxiter": 500}
STOPPED = "STOP: USER CALLBACK"

solve = partial(solve_rosenbrock, **LONG)


def scipy_solve(callback):
    """SciPy's own solver; its state has x and fun alone."""
    return minimize(rosen, X0, jac=rosen_grad, method="L-BFGS-B", callback=callback)


class Broken(Exception):
    pass


def breaks_at(call):
    """rosen, which raises at its call number `call`."""
    record = Counted()

    def fun(x):
        if record.nfun + 1 == call:
            raise Broken
        return record.fun(x)

    return fun


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on by hand."""
    now = SimpleNamespace(seconds=100.0)
    fake = SimpleNamespace(perf_counter=lambda: now.seconds)
    monkeypatch.setattr(callbacks, "time", fake)
    return now


# --- the protocol -------------------------------------------------------------------------


class Told:
    """Writes down what it is told."""

    def __init__(self, log, name="", fail=None):
        self.log, self.name, self.fail = log, name, fail

    def __call__(self, *, intermediate_result):
        self.tell("iterate", intermediate_result)

    def begin_run(self, state):
        self.tell("begin", state)

    def end_run(self, state):
        self.tell("end", state)

    def tell(self, what, state):
        self.log.append((self.name + what, state.nit, state.nfev, state.status))
        if what == self.fail:
            raise Broken(self.name)


def test_a_run_tells_when_it_begins_and_ends():
    log = []
    res = solve(callback=Told(log), maxiter=3)
    assert log[0] == ("begin", 0, 0, -1)
    assert [row[:2] for row in log[1:-1]] == [("iterate", 1), ("iterate", 2), ("iterate", 3)]
    assert log[-1] == ("end", 3, res.nfev, 1)


def test_a_resumed_run_begins_where_the_other_ended():
    part = solve(maxiter=4)
    log = []
    solve(x0=part.x, checkpoint=part, callback=Told(log), maxiter=6)
    assert log[0] == ("begin", 4, part.nfev, -1)
    assert [row[1] for row in log] == [4, 5, 6, 6]


@pytest.mark.parametrize("call", [1, 5], ids=["at x0", "later"])
def test_a_run_that_ends_by_an_exception_tells_its_end(call):
    log = []
    with pytest.raises(Broken):
        solve(fun=breaks_at(call), callback=Told(log))
    assert log[-1][0] == "end"
    assert log[-1][3] == -1
    assert [row[0] for row in log].count("end") == 1


def test_ends_are_told_in_reverse_and_all_of_them():
    log = []
    with pytest.raises(Broken, match="b"):
        solve(callback=[Told(log, "a"), Told(log, "b", fail="end"), Told(log, "c")], maxiter=1)
    assert [row[0] for row in log if "end" in row[0]] == ["cend", "bend", "aend"]


def test_where_one_cannot_begin_those_that_have_begun_are_ended():
    log = []
    record = Counted()
    with pytest.raises(Broken, match="b"):
        solve(
            fun=record.fun,
            callback=[Told(log, "a"), Told(log, "b", fail="begin"), Told(log, "c")],
        )
    assert [row[0] for row in log] == ["abegin", "bbegin", "aend"]
    assert record.nfun == 0


def test_states_of_begin_and_end_can_be_kept():
    kept = []

    class Keep:
        def __call__(self, xk):
            pass

        begin_run = end_run = staticmethod(kept.append)

    res = solve(callback=Keep())
    begin, end = kept
    assert same_bits(begin.x, X0)
    assert (begin.nit, begin.hess_inv.n_corrs) == (0, 0)
    assert (end.nit, end.message) == (res.nit, res.message)
    assert same_bits(end.x, res.x)


def test_a_reason_for_stopping_is_in_the_message():
    def callback(xk):
        raise StopIteration("the weather changed")

    res = solve(callback=callback)
    assert (res.status, res.success) == (3, True)
    assert res.message == f"{STOPPED}: the weather changed"
    assert_same_run(
        solve(x0=res.x, checkpoint=res, callback=lambda xk: None), solve()
    )  # and is forgotten when the run goes on


def test_the_first_of_two_reasons_counts():
    def because(why):
        def callback(xk):
            raise StopIteration(why)

        return callback

    assert solve(callback=[because("a"), because("b")]).message == f"{STOPPED}: a"


def test_without_a_reason_the_message_is_that_of_lbfgsb_11():
    def callback(xk):
        raise StopIteration

    assert solve(callback=callback).message == STOPPED
    assert solve(callback=lambda xk, state: "truthy").message == STOPPED


@pytest.mark.parametrize(
    "module", [_history, callbacks, plotting], ids=["history", "callbacks", "plotting"]
)
def test_the_examples_of_the_docstrings(module):
    done = doctest.testmod(module)
    assert done.attempted > 3
    assert done.failed == 0


@pytest.mark.parametrize("name", callbacks.__all__)
def test_each_class_is_documented_with_its_parameters(name):
    doc = getattr(callbacks, name).__doc__
    assert "Parameters\n" in doc


# --- watching does not change a run; each class, alone, in a list, with both solvers ------


class Writer:
    def __init__(self):
        self.scalars = []
        self.flushed = 0

    def add_scalar(self, tag, value, step):
        self.scalars.append((tag, value, step))

    def flush(self):
        self.flushed += 1


def live_plot():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    return LivePlot(interval=0.0)


def progress_bar(**options):
    pytest.importorskip("tqdm")
    return ProgressBar(**{"interval": 0.0, "file": io.StringIO()} | options)


EACH = {
    "History": lambda folder: History(x_every=2, bounds_every=3),
    "ProgressBar": lambda folder: progress_bar(),
    "EarlyStopping": lambda folder: EarlyStopping(patience=1000),
    "TimeLimit": lambda folder: TimeLimit(1000),
    "TargetReached": lambda folder: TargetReached(-1),
    "StopOnSignal": lambda folder: StopOnSignal(),
    "Print": lambda folder: Print(file=io.StringIO()),
    "JSONLines": lambda folder: JSONLines(folder / "run.jsonl"),
    "Checkpoint": lambda folder: Checkpoint(folder / "run.npz", every=2),
    "TensorBoard": lambda folder: TensorBoard(Writer()),
    "LivePlot": lambda folder: live_plot(),
}


def test_each_class_is_tested():
    assert set(EACH) == set(callbacks.__all__)


@pytest.mark.parametrize("name", list(EACH))
def test_watching_changes_nothing(name, tmp_path):
    one = EACH[name](tmp_path)
    plain = solve(bounds=BOX)
    assert_same_run(solve(bounds=BOX, callback=one), plain)
    assert_same_run(solve(bounds=BOX, callback=[one]), plain)  # and can be used again


def test_all_together(tmp_path):
    seen = []
    res = solve(callback=[make(tmp_path) for make in EACH.values()] + [seen.append])
    assert_same_run(res, solve())
    assert len(seen) == res.nit


def test_a_checkpoint_is_of_no_other_solver(tmp_path):
    with (
        pytest.raises(TypeError, match="this solver does not show its memory"),
        EACH["Checkpoint"](tmp_path) as one,
    ):
        scipy_solve(one)


@pytest.mark.parametrize("name", [name for name in EACH if name != "Checkpoint"])
def test_each_class_works_with_scipy(name, tmp_path):
    plain = scipy_solve(None)
    with_one = EACH[name](tmp_path)
    if isinstance(with_one, History):
        res = scipy_solve(with_one)
    else:
        with with_one:
            res = scipy_solve(with_one)
    assert same_bits(res.x, plain.x)
    assert res.nit == plain.nit


@pytest.mark.parametrize("name", list(EACH))
def test_each_class_survives_an_exception_and_works_again(name, tmp_path):
    one = EACH[name](tmp_path)
    with pytest.raises(Broken):
        solve(fun=breaks_at(8), callback=one)
    assert_same_run(solve(callback=one), solve())


def test_nothing_optional_is_imported():
    code = (
        "import sys, lbfgsb, lbfgsb.callbacks;"
        "print(sorted({'matplotlib', 'tqdm', 'pandas', 'IPython'} & set(sys.modules)))"
    )
    assert run_python(code) == "[]"


# --- History ------------------------------------------------------------------------------


def rows_of(history):
    names = "nit", "nfev", "njev", "fun", "projected_gradient", "steplength", "active_bounds"
    return {name: getattr(history, name).tolist() for name in names}


def states_of(**kwargs):
    states = []
    res = solve(**kwargs, callback=lambda xk, state: states.append(state))
    return res, states


ENDS = {
    "gtol": {},
    "ftol": {"ftol": 1e-3},
    "ftarget": {"ftarget": 0.5},
    "maxiter": {"maxiter": 7},
    "maxfun": {"maxfun": 9},
    "no iteration": {"maxiter": 0},
    "ftarget at x0": {"ftarget": 100.0},
    "abnormal": {"jac": lambda x: -rosen_grad(x)},
}


@pytest.mark.parametrize("end", list(ENDS))
def test_a_history_has_the_numbers_of_every_iterate(end):
    history = History()
    kwargs = {"bounds": BOX} | ENDS[end]
    res = solve(callback=history, **kwargs)
    plain, states = states_of(**kwargs)
    assert_same_run(res, plain)
    assert len(history) == res.nit == len(states)
    rows = rows_of(history)
    for name, values in rows.items():
        assert same_bits(values, [state[name] for state in states]), name
    assert rows["nit"] == list(range(1, res.nit + 1))


def test_a_history_has_the_iterates_up_to_an_exception():
    history, others = History(), []
    with pytest.raises(Broken):
        solve(fun=breaks_at(12), callback=[history, others.append])
    assert len(history) == len(others) > 3
    assert same_bits(history.fun, [rosen(x) for x in others])


def test_a_history_has_the_iterate_at_which_a_callback_stops_or_raises():
    history = History()
    res = solve(callback=[lambda xk, state: state.nit == 4, history])
    assert len(history) == res.nit == 4

    def fail(xk, state):
        if state.nit == 5:
            raise Broken

    with pytest.raises(Broken):
        solve(callback=[fail, history])
    assert len(history) == 5


def test_history_dtypes():
    history = History(x_every=1, bounds_every=1)
    solve(callback=history, bounds=BOX)
    for name in ("nit", "nfev", "njev", "active_bounds", "x_nit", "at_bounds_nit"):
        assert getattr(history, name).dtype == np.int64
    for name in ("fun", "projected_gradient", "steplength", "time", "x"):
        assert getattr(history, name).dtype == np.float64
    assert history.at_bounds.dtype == np.int8


@pytest.mark.parametrize("every", [1, 3], ids=str)
def test_a_history_keeps_x_every_so_often(every):
    points = []
    history = History(x_every=every)
    res = solve(callback=[history, points.append])
    assert history.x_nit.tolist() == list(range(every, res.nit + 1, every))
    assert same_bits(history.x, points[every - 1 :: every])


def test_a_history_keeps_which_variables_are_at_bounds():
    problem = random_problem(5, 30)
    bounds = problem.bounds.copy()
    bounds[4] = bounds[11] = 0.25
    lower, upper = bounds.T
    points = []
    history = History(bounds_every=2)
    minimize_lbfgsb(
        x0=problem.x0,
        fun=problem.fun,
        jac=problem.jac,
        bounds=bounds,
        callback=[history, points.append],
        **LONG,
    )
    x = np.array(points[1::2])
    expected = np.where(x == lower, -1, 0) + np.where(x == upper, 1, 0)
    expected[:, [4, 11]] = 2
    assert history.at_bounds.tolist() == expected.tolist()
    assert {-1, 0, 1, 2} == set(np.unique(expected))
    assert history.at_bounds_nit.tolist() == list(range(2, len(points) + 1, 2))


def test_without_bounds_nothing_is_at_a_bound():
    history = History(bounds_every=1)
    res = solve(callback=history)
    assert history.at_bounds.shape == (res.nit, 2)
    assert not history.at_bounds.any()


def test_an_empty_history():
    history = History(x_every=1, bounds_every=1)
    solve(callback=history, maxiter=0)
    assert len(history) == 0
    assert history.fun.shape == history.nit.shape == history.x_nit.shape == (0,)
    assert history.x.shape == history.at_bounds.shape == (0, 0)
    assert repr(history) == "<History: empty>"


def test_the_time_of_a_history_goes_on_with_the_clock():
    begin = time.perf_counter()
    history, seen = History(), []
    solve(callback=[history, lambda xk: seen.append(time.perf_counter() - begin)])
    elapsed = time.perf_counter() - begin
    assert history.time[0] > 0
    assert (np.diff(history.time) > 0).all()
    assert history.time[-1] < elapsed
    assert (history.time < seen).all()


@pytest.mark.parametrize("pickled", [False, True], ids=["same", "pickled"])
@pytest.mark.parametrize("more", [0, 5], ids=["up to there", "beyond"])
def test_a_history_goes_on_with_a_checkpoint(pickled, more):
    whole, history = History(3, 4), History(3, 4)
    solve(callback=whole, bounds=BOX)
    part = solve(callback=history, bounds=BOX, maxiter=11)
    if more:  # the history goes beyond the checkpoint
        solve(x0=part.x, checkpoint=part, callback=history, bounds=BOX, maxiter=11 + more)
        assert len(history) == 11 + more
    if pickled:
        history = pickle.loads(pickle.dumps(history))
    before = history.time[10]
    res = solve(x0=part.x, checkpoint=part, callback=history, bounds=BOX)
    assert len(history) == res.nit > 16
    assert rows_of(history) == rows_of(whole)
    assert same_bits(history.x, whole.x)
    assert history.x_nit.tolist() == whole.x_nit.tolist()
    assert history.at_bounds.tolist() == whole.at_bounds.tolist()
    assert history.at_bounds_nit.tolist() == whole.at_bounds_nit.tolist()
    assert history.time[10] == before < history.time[11]


def test_a_new_history_has_the_resumed_runs_own_iterates():
    part = solve(maxiter=11)
    history = History()
    res = solve(x0=part.x, checkpoint=part, callback=history)
    assert history.nit.tolist() == list(range(12, res.nit + 1))


def test_a_history_of_another_run_does_not_go_on():
    history = History(x_every=1)
    part = solve(maxiter=11)
    solve(callback=history, x0=[0.5, 0.7], maxiter=20)
    res = solve(x0=part.x, checkpoint=part, callback=history)
    assert history.nit.tolist() == list(range(12, res.nit + 1))


def test_a_history_begins_anew_with_another_run():
    history = History(x_every=1)
    solve(callback=history, maxiter=20)
    kept = history.fun, history.x, history.time
    copies = [array.copy() for array in kept]
    res = solve(callback=history, x0=[0.5, 0.7, 0.1])  # of another size too
    assert len(history) == res.nit
    assert history.x.shape == (res.nit, 3)
    assert all(same_bits(a, b) for a, b in zip(kept, copies, strict=True))


def test_arrays_taken_during_a_run_do_not_change():
    history, taken = History(x_every=1), []

    def callback(xk):
        taken.append((history.fun, history.x))

    res = solve(callback=[history, callback])
    for k, (fun, x) in enumerate(taken):
        assert same_bits(fun, history.fun[: k + 1])
        assert same_bits(x, history.x[: k + 1])
    assert len(taken) == res.nit


def test_the_arrays_of_a_history_are_read_only():
    history = History(x_every=1, bounds_every=1)
    solve(callback=history, bounds=BOX)
    for name in ("fun", "projected_gradient", "steplength", "time", "x", "at_bounds"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(history, name)[0] = 0


def test_a_long_history():
    """Past every doubling: 2000 rows."""
    values = []

    def fun(x):
        return 1e6 - x[0], np.array([-1.0])

    history = History(x_every=1)
    res = minimize_lbfgsb(
        x0=[0.0],
        fun=fun,
        jac=True,
        ftol=0,
        gtol=0,
        maxiter=2000,
        max_steplength=1.0,
        callback=[history, lambda xk, state: values.append((state.fun, xk[0]))],
    )
    assert len(history) == res.nit == 2000
    assert same_bits(history.fun, [f for f, _ in values])
    assert same_bits(history.x[:, 0], [x for _, x in values])


def test_a_history_called_by_a_function_has_the_same_rows():
    direct, wrapped = History(2, 3), History(2, 3)
    solve(
        bounds=BOX,
        callback=[direct, lambda intermediate_result: wrapped(
            intermediate_result=intermediate_result
        )],
    )  # fmt: skip
    assert rows_of(direct) == rows_of(wrapped)
    assert same_bits(direct.x, wrapped.x)
    assert direct.at_bounds.tolist() == wrapped.at_bounds.tolist()


def test_a_history_takes_states_that_were_kept():
    _, states = states_of(bounds=BOX)
    kept, direct = History(x_every=1), History(x_every=1)
    solve(bounds=BOX, callback=direct)
    for state in states:
        kept(intermediate_result=state)
    assert rows_of(kept) == rows_of(direct)
    assert same_bits(kept.x, direct.x)


def test_a_subclass_of_history_is_called():
    class Loud(History):
        def __call__(self, *, intermediate_result):
            super().__call__(intermediate_result=intermediate_result)
            heard.append(intermediate_result.nit)

    heard = []
    history = Loud()
    res = solve(callback=history)
    assert heard == list(range(1, res.nit + 1)) == history.nit.tolist()


def test_a_history_with_scipy():
    history, values = History(x_every=2, bounds_every=1), []
    res = scipy_solve(history)
    scipy_solve(lambda intermediate_result: values.append(intermediate_result.fun))
    assert len(history) == res.nit
    assert history.nit.tolist() == list(range(1, res.nit + 1))
    assert same_bits(history.fun, values)
    assert np.isnan(history.projected_gradient).all()
    assert (history.nfev == -1).all()
    assert history.x.shape == (res.nit // 2, 2)
    assert history.at_bounds.shape[0] == 0


def test_a_pickled_history_is_the_same():
    history = History(2, 3)
    solve(callback=history, bounds=BOX)
    history.note = "kept"
    other = pickle.loads(pickle.dumps(history))
    assert rows_of(other) == rows_of(history)
    assert same_bits(other.time, history.time)
    assert same_bits(other.x, history.x)
    assert other.at_bounds.tolist() == history.at_bounds.tolist()
    assert (other.x_every, other.bounds_every, other.note) == (2, 3, "kept")
    assert len(pickle.dumps(History())) < 1000


# A History(x_every=2, bounds_every=1) of four iterates, as pickle.dumps gave it when the class was
# at home in lbfgsb.callbacks; compressed by zlib.
OLD_PICKLE = (
    "eNprYJl6j4kBDHoEcpLS0ouT9JITc3KSEpOzi6f0sHtkFpfkF1VOmTxFs3GKhjeTN2OPKFRZfHJ+UapeUSqQSkkt"
    "mtLDGpKYlJMKVNnDmleaW1AJpFNKKgvAIkxpFlM6O9qnBAHNYO5htJni5+fn9R8IwIQ3Q8mUJG+OHjGwPqjBuaU5"
    "JZmJRUWJQIN44kHW5BWXFJUmlwDNy2DvYc9LgUhOnuLN0DrFmTFpCsR4Rm8Wb462KRk8nU4MjAxQ8MEeynCA0S+4"
    "oi8c1nZxONHxkvlbOKPDtBfWC6QOXISpA4KGrV3+Emj6OOB0064t8cL9gg4XjtduF/n12R7VHhDdIJ5kI2uPqk8A"
    "Tp8wYl95Z4mAwwplofuM615i0c/wadJROXtUfSJoNEwc3Z8g+kBWsI+C/RRg0IICJoMtg8ebOUMwQxgUXBmisMBi"
    "8mYGB5azAcynEjKOS74yfUPzOdwmOI1iMiOmySzejBCTFbDHASJMkEzi7GHKNEROKjXYkgoTNtuYgLbpdzpzAI1k"
    "BEGYqbUghh4AMuzPCw=="
)


def test_a_history_that_was_pickled_before_the_class_moved_is_read():
    history = pickle.loads(zlib.decompress(base64.b64decode(OLD_PICKLE)))
    assert type(history) is History
    assert (history.x_every, history.bounds_every) == (2, 1)
    assert history.nfev.tolist() == [2, 3, 4, 5]
    assert history.fun.tolist() == [40.34191326566162, 4.389722342878146, 4.160998002113679, 4.0]
    assert history.x.tolist() == [[1.3757225433526, 2.0], [2.0, 2.0]]
    assert history.at_bounds.tolist() == [[0, 0], [0, 1], [0, 1], [0, 1]]


def test_a_result_has_a_copy_of_the_history():
    history = History(x_every=1)
    part = solve(callback=history, maxiter=8)
    res = solve(x0=part.x, checkpoint=part, callback=history)
    assert (len(part.history), len(res.history)) == (8, res.nit)
    assert "history" not in part
    assert same_bits(part.history.fun, res.history.fun[:8])
    again = solve(x0=part.x, checkpoint=part, callback=part.history)  # the copy goes on alone
    assert len(part.history) == again.nit
    assert rows_of(history) == rows_of(part.history)
    stored = pickle.loads(pickle.dumps(res))
    assert rows_of(stored.history) == rows_of(history)
    assert not hasattr(solve(), "history")


def test_a_history_of_other_variables_is_begun_anew_even_where_nit_and_f_are_the_same():
    def fun(x):
        return x[0] ** 4, np.append(4 * x[0] ** 3, np.zeros(x.size - 1))

    history = History(bounds_every=1)
    one = solve(fun=fun, x0=[3.0, 1.0], jac=True, callback=history, maxiter=2)
    part = solve(fun=fun, x0=[3.0, 1.0, 1.0], jac=True, maxiter=2)
    assert (part.nit, part.fun) == (one.nit, one.fun)
    res = solve(fun=fun, x0=part.x, jac=True, checkpoint=part, callback=history)
    assert history.nit.tolist() == list(range(3, res.nit + 1))
    assert history.at_bounds.shape == (res.nit - 2, 3)


def test_a_dataframe():
    pandas = pytest.importorskip("pandas")
    history = History()
    res = solve(callback=history, bounds=BOX)
    frame = history.to_dataframe()
    assert isinstance(frame, pandas.DataFrame)
    assert frame.index.name == "nit"
    assert list(frame.columns) == [
        "nfev", "njev", "fun", "projected_gradient", "steplength", "active_bounds", "time",
    ]  # fmt: skip
    assert frame.loc[res.nit, "fun"] == res.fun
    assert frame.nfev.dtype == np.int64


def no_module(monkeypatch, name):
    """As if `name` were not installed."""
    real = builtins.__import__

    def fake(module, *args, **kwargs):
        if module.split(".")[0] == name:
            raise ImportError(name)
        return real(module, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", fake)


def test_a_dataframe_needs_pandas(monkeypatch):
    no_module(monkeypatch, "pandas")
    with pytest.raises(ImportError, match="pip install pandas"):
        History().to_dataframe()


def test_the_repr_of_a_history_fits_a_line():
    history = History()
    res = solve(callback=history)
    text = repr(history)
    assert text.startswith(f"<History: iterates 1 to {res.nit}, f = ")
    assert len(text) < 100


def test_a_history_runs_no_python_at_an_iteration():
    x0 = np.resize(X0, 10)

    def lines(maxiter, callback):
        run = partial(solve, x0=x0, maxiter=maxiter, callback=callback)
        assert run().nit == maxiter  # and the options are checked once
        return lines_run(run)

    added = [lines(maxiter, History()) - lines(maxiter, None) for maxiter in (5, 50)]
    assert added[0] == added[1]


# --- what ends a run ----------------------------------------------------------------------


def test_target_reached():
    res = solve(callback=TargetReached(0.5))
    values = [state.fun for state in states_of()[1]]
    assert res.fun == next(f for f in values if f <= 0.5)
    assert (res.status, res.success) == (3, True)
    assert res.message == f"{STOPPED}: fun = {res.fun:g} has reached the target 0.5"


def test_target_of_another_number():
    res = solve(callback=TargetReached(1e-2, monitor="projected_gradient"))
    assert 1e-9 < res.projected_gradient <= 1e-2

    def distance(state):
        return np.abs(state.x - 1).max()

    res = solve(callback=TargetReached(0.1, monitor=distance))
    assert np.abs(res.x - 1).max() <= 0.1
    assert "distance = " in res.message


def test_a_run_that_converges_at_the_same_iterate_keeps_its_message():
    for one in (TargetReached(1e9), TimeLimit(0), EarlyStopping(1, min_delta=1e9)):
        calls = []
        res = solve(gtol=1e9, x0=[0.9, 0.9], callback=[one, calls.append])
        assert calls == []  # x0 itself is stationary enough
        res = solve(ftol=1e9, callback=[one, calls.append])
        assert len(calls) == res.nit == 1
        assert res.message == "CONVERGENCE: REL_REDUCTION_OF_F_<=_FTOL"


@pytest.mark.parametrize(
    ("patience", "min_delta", "stop"),
    [(1, 0.0, 4), (2, 0.0, 5), (3, 0.0, 9), (1, 1.5, 2), (2, 1.5, 5), (4, 0.0, None)],
)
def test_early_stopping(patience, min_delta, stop):
    values = iter([9.0, 8.0, 5.0, 5.0, 6.0, 4.0, math.nan, 4.0, 4.5, 3.9] + [0.0] * 1000)
    drop = iter(range(1000))

    def monitor(state):
        return next(values) if state.nit <= 10 else -float(next(drop))

    early = EarlyStopping(patience, min_delta, monitor)
    points = []
    res = solve(callback=[points.append, early])
    if stop is None:
        assert res.status == 0
        return
    assert res.nit == stop
    assert res.status == 3
    assert f"monitor has not improved by more than {min_delta:g} in {patience}" in res.message


def test_early_stopping_keeps_the_best():
    values = [9.0, 3.0, 5.0, 5.0, 6.0]
    early = EarlyStopping(3, monitor=lambda state: values[state.nit - 1])
    points = []
    res = solve(callback=[points.append, early])
    assert res.nit == 5
    assert early.best == 3.0
    assert same_bits(early.best_x, points[1])
    assert solve(callback=early).nit == 5  # and starts anew


def test_early_stopping_on_f_itself():
    res = solve(gtol=0, maxiter=5000, callback=EarlyStopping(3, min_delta=1e-3))
    assert res.status == 3
    assert "fun has not improved by more than 0.001 in 3 iterations" in res.message
    assert res.fun < 1e-2


def test_time_limit(clock):
    def fun(x):
        clock.seconds += 1.0
        return rosen(x)

    seconds = []
    res = solve(fun=fun, callback=[lambda xk: seconds.append(clock.seconds - 100), TimeLimit(10)])
    assert res.message == f"{STOPPED}: the time limit of 10 s is over"
    assert (res.status, res.success) == (1, False)
    assert seconds[-2] < 10 <= seconds[-1]
    assert solve(callback=TimeLimit(0)).nit == 1


def test_a_run_that_converges_as_the_time_is_over_is_a_success():
    res = solve(maxiter=1, gtol=1e300, callback=TimeLimit(0))
    assert (res.status, res.success, res.message) == (
        0,
        True,
        "CONVERGENCE: NORM_OF_PROJECTED_GRADIENT_<=_PGTOL",
    )


def test_of_a_limit_and_a_criterion_the_first_counts():
    for callback, status in (
        ([TimeLimit(0), TargetReached(1e9)], 1),
        ([TargetReached(1e9), TimeLimit(0)], 3),
    ):
        res = solve(callback=callback)
        assert (res.nit, res.status, res.success) == (1, status, status == 3)


def test_a_state_at_the_end_and_the_run_that_goes_on_know_of_the_limit():
    ends = []

    class Ends:
        def __call__(self, xk, state):
            return False

        def end_run(self, state):
            ends.append((state.status, state.success, state.message))

    part = solve(callback=[TimeLimit(0), Ends()])
    assert ends == [(part.status, part.success, part.message)]
    assert part.status == 1
    whole = solve(x0=part.x, checkpoint=part)
    assert whole.success
    assert same_bits(whole.x, solve().x)
    (limit,) = (f for f in diagnose(part).findings if f.code == "limit")
    assert "a larger limit" in limit.advice


@pytest.mark.parametrize("door", ["method", "patch", "fmin"])
def test_time_limit_through_scipys_doors(door):
    kwargs = {"callback": TimeLimit(0)}
    if door == "fmin":
        _, _, d = fmin_l_bfgs_b(rosen, X0, rosen_grad, **kwargs)
        assert (d["nit"], d["warnflag"]) == (1, 2)
        return
    with patched_scipy():
        method = scipy_method if door == "method" else "L-BFGS-B"
        res = minimize(rosen, X0, jac=rosen_grad, method=method, **kwargs)
    assert (res.nit, res.status, res.success) == (1, 99, False)


def test_time_limit_starts_anew_with_each_run(clock):
    limit = TimeLimit(10)

    def fun(x):
        clock.seconds += 1.0
        return rosen(x)

    nits = [solve(fun=fun, callback=limit).nit for _ in range(2)]
    assert nits[0] == nits[1] > 1


def test_time_limit_with_scipy(clock):
    def fun(x):
        clock.seconds += 1.0
        return rosen(x)

    res = minimize(fun, X0, jac=rosen_grad, method="L-BFGS-B", callback=TimeLimit(10))
    assert res.nfev >= 10
    assert res.nit < scipy_solve(None).nit
    assert "StopIteration" in res.message


def test_target_and_early_stopping_end_scipys_runs():
    res = scipy_solve(TargetReached(0.5))
    assert 0.1 < res.fun <= 0.5
    assert scipy_solve(EarlyStopping(1, min_delta=10.0)).nit < 5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda s: s.name)
def test_a_signal_ends_the_run_at_the_next_iterate(number):
    record = Counted()
    at_signal = []

    def fun(x):
        if record.nfun == 9:
            os.kill(os.getpid(), number)
            at_signal.append(len(points))
        return record.fun(x)

    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    points = []
    stop = StopOnSignal()
    res = solve(fun=fun, callback=[points.append, stop])
    assert (res.status, res.success) == (1, False)
    assert res.message == f"{STOPPED}: {number.name} received"
    assert stop.received == number
    assert res.nit == len(points) == at_signal[0] + 1
    assert same_bits(res.x, points[-1])
    assert {s: signal.getsignal(s) for s in before} == before
    whole = solve(x0=res.x, checkpoint=res, callback=stop)
    assert_same_run(whole, solve())
    assert stop.received is None


def test_signal_handlers_are_restored_after_an_exception():
    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    during = []

    def fun(x):
        during.append(signal.getsignal(signal.SIGINT))
        raise Broken

    with pytest.raises(Broken):
        solve(fun=fun, callback=StopOnSignal())
    assert during[0] != before[signal.SIGINT]
    assert {s: signal.getsignal(s) for s in before} == before


def test_the_second_signal_goes_to_the_handler_before():
    heard = []
    record = Counted()

    def fun(x):
        if record.nfun == 9:
            os.kill(os.getpid(), signal.SIGUSR1)
            os.kill(os.getpid(), signal.SIGUSR1)
        return record.fun(x)

    before = signal.signal(signal.SIGUSR1, lambda number, frame: heard.append(number))
    try:
        res = solve(fun=fun, callback=StopOnSignal([signal.SIGUSR1]))
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert heard == [signal.SIGUSR1]
    assert res.message == f"{STOPPED}: SIGUSR1 received"


def test_one_signal_needs_no_list():
    assert StopOnSignal(signal.SIGTERM).signals == (signal.SIGTERM,)


def test_signals_need_the_main_thread():
    errors = []

    def work():
        record = Counted()
        try:
            solve(fun=record.fun, callback=StopOnSignal())
        except RuntimeError as error:
            errors.append((str(error), record.nfun))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert "main thread" in errors[0][0]
    assert errors[0][1] == 0


def test_signals_with_scipy():
    def send(x):
        if stop.received is None and rosen(x) < 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return rosen(x)

    before = signal.getsignal(signal.SIGTERM)
    with StopOnSignal() as stop:
        res = minimize(send, X0, jac=rosen_grad, method="L-BFGS-B", callback=stop)
    assert stop.received == signal.SIGTERM
    assert 0.01 < res.fun < 1
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_solver_that_does_not_tell_its_begin_needs_a_with_statement():
    with pytest.raises(RuntimeError, match="with StopOnSignal"):
        scipy_solve(StopOnSignal())


def test_one_stop_on_signal_in_two_runs_at_once():
    stop = StopOnSignal()
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(RuntimeError, match="in use by another run"):
        solve(callback=[stop, lambda xk: solve(callback=stop)])
    assert signal.getsignal(signal.SIGINT) == before


# --- what writes it down ------------------------------------------------------------------


def lines_of(every=1, **kwargs):
    file = io.StringIO()
    res = solve(callback=Print(every, file), **kwargs)
    return res, file.getvalue().splitlines()


def test_print():
    res, lines = lines_of(bounds=BOX)
    assert lines[0].split() == ["nit", "nfev", "f", "|proj", "g|", "step", "at", "bounds"]
    assert lines[-1] == res.message
    rows = [line for line in lines[1:-1] if "nit" not in line]
    assert [int(row.split()[0]) for row in rows] == list(range(1, res.nit + 1))
    assert float(rows[-1].split()[2]) == pytest.approx(res.fun, rel=1e-9)
    assert len({len(row) for row in rows}) == 1


def test_print_every_so_often_and_the_last():
    res, lines = lines_of(every=10)
    nits = [int(line.split()[0]) for line in lines[1:-1]]
    assert nits == [*range(10, res.nit, 10), res.nit]
    assert res.nit % 10 != 0


def test_print_to_what_stdout_is(capsys):
    res = solve(callback=Print(100))
    out = capsys.readouterr().out.splitlines()
    assert len(out) == 3
    assert out[1].split()[0] == str(res.nit)


def test_print_says_that_an_exception_ended_the_run():
    file = io.StringIO()
    with pytest.raises(Broken):
        solve(fun=breaks_at(8), callback=Print(file=file))
    assert file.getvalue().splitlines()[-1] == "INTERRUPTED BY AN EXCEPTION"


def test_print_with_scipy_leaves_out_what_is_not_known():
    file = io.StringIO()
    with Print(file=file) as one:
        res = scipy_solve(one)
    rows = file.getvalue().splitlines()[1:]
    assert [len(row.split()) for row in rows] == [2] * res.nit


def test_json_lines(tmp_path):
    path = tmp_path / "run.jsonl"
    lines = JSONLines(path)
    res = solve(callback=lines, bounds=BOX)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    history = History()
    solve(callback=history, bounds=BOX)
    assert len(rows) == res.nit
    for name, values in rows_of(history).items():
        assert [row[name] for row in rows] == values
    assert (np.diff([row["time"] for row in rows]) > 0).all()
    assert set(rows[0]) == {*rows_of(history), "time"}


def test_json_lines_are_there_at_once(tmp_path):
    path = tmp_path / "run.jsonl"
    counts = []
    solve(
        callback=[JSONLines(path), lambda xk: counts.append(len(path.read_text().splitlines()))],
        maxiter=5,
    )
    assert counts == [1, 2, 3, 4, 5]


def test_json_lines_of_a_resumed_run_are_added(tmp_path):
    path = tmp_path / "run.jsonl"
    part = solve(callback=JSONLines(path), maxiter=6)
    whole = solve(x0=part.x, checkpoint=part, callback=JSONLines(path))
    nits = [json.loads(line)["nit"] for line in path.read_text().splitlines()]
    assert nits == list(range(1, whole.nit + 1))
    solve(callback=JSONLines(str(path), every=2), maxiter=5)
    assert [json.loads(line)["nit"] for line in path.read_text().splitlines()] == [2, 4]
    solve(callback=JSONLines(path, append=True), maxiter=2)
    assert [json.loads(line)["nit"] for line in path.read_text().splitlines()] == [2, 4, 1, 2]


def test_json_lines_close_the_file(tmp_path):
    lines, files = JSONLines(tmp_path / "run.jsonl"), []
    with pytest.raises(Broken):
        solve(fun=breaks_at(8), callback=[lines, lambda xk: files.append(lines._file)])
    assert all(file.closed for file in files)
    assert lines._file is None


def test_json_has_null_for_what_is_not_finite(tmp_path):
    path = tmp_path / "run.jsonl"
    with JSONLines(path) as lines:
        lines(intermediate_result=OptimizeResult(x=X0, fun=math.inf, nfev=3))
    row = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert (row["fun"], row["nfev"], row["nit"]) == (None, 3, 1)


def test_tensorboard():
    writer = Writer()
    res = solve(callback=TensorBoard(writer, every=5, prefix="fit/"), bounds=BOX)
    history = History()
    solve(callback=history, bounds=BOX)
    for name, values in rows_of(history).items():
        if name == "nit":
            continue
        expected = [("fit/" + name, values[k - 1], k) for k in range(5, res.nit + 1, 5)]
        assert [row for row in writer.scalars if row[0] == "fit/" + name] == expected
    assert writer.flushed == 1
    assert all(type(step) is int for _, _, step in writer.scalars)


def test_tensorboard_has_every_iterate_unless_it_is_told():
    writer = Writer()
    res = solve(callback=TensorBoard(writer), maxiter=4)
    assert [step for name, _, step in writer.scalars if name == "lbfgsb/fun"] == [1, 2, 3, 4]
    assert res.nit == 4


def test_tensorboard_needs_a_writer():
    with pytest.raises(TypeError, match="writer must have a method add_scalar; got 3"):
        TensorBoard(3)
    solve(callback=TensorBoard(SimpleNamespace(add_scalar=lambda *args: None)), maxiter=1)


# --- what shows it ------------------------------------------------------------------------


def last_line(bar_output):
    text = bar_output.getvalue()
    assert text.endswith("\n")
    return text.rstrip("\n").split("\r")[-1].rstrip()


def test_the_progress_bar_goes_from_the_first_projected_gradient_to_gtol():
    output, positions = io.StringIO(), []
    bar = progress_bar(file=output)
    history = History()

    def callback(xk):
        positions.append((bar._bar.n, bar._bar.total))

    res = solve(callback=[history, bar, callback], gtol=1e-6)
    norms = history.projected_gradient
    way = math.log10(norms[0] / 1e-6)
    for norm, (n, total) in zip(norms, positions, strict=True):
        assert total == pytest.approx(way)
        assert n == pytest.approx(min(max(math.log10(norms[0] / norm), 0), way))
    line = last_line(output)
    assert line.startswith("100%|")
    assert f"log10 |proj g| {math.log10(res.projected_gradient):.1f} to -6.0" in line
    assert f"f = {res.fun:.6g}, {res.nit} it" in line
    assert " f/s: converged [" in line


@pytest.mark.parametrize(
    ("kwargs", "end"),
    [
        ({"maxiter": 7}, "stopped"),
        ({"maxfun": 9}, "stopped"),
        ({"ftol": 1e-3}, "converged"),
        ({"fun": "breaks"}, "interrupted"),
        ({"gtol": 0.0, "maxiter": 7}, "stopped"),
    ],
    ids=["maxiter", "maxfun", "ftol", "exception", "no gtol"],
)
def test_the_progress_bar_leaves_a_clean_last_line(kwargs, end):
    tqdm = pytest.importorskip("tqdm")
    output = io.StringIO()
    bar = progress_bar(file=output)
    if "fun" in kwargs:
        with pytest.raises(Broken):
            solve(fun=breaks_at(8), callback=bar)
    else:
        solve(callback=bar, **kwargs)
    assert f": {end} [" in last_line(output)
    assert output.getvalue().count("\n") == 1
    assert bar._bar is None
    assert len(tqdm.tqdm._instances) == 0


def test_the_progress_bar_of_a_run_without_iterates():
    output = io.StringIO()
    solve(callback=progress_bar(file=output), maxiter=0)
    assert "0 it" in last_line(output)
    output = io.StringIO()
    with pytest.raises(Broken):
        solve(fun=breaks_at(1), callback=progress_bar(file=output))
    assert "interrupted" in last_line(output)


def test_the_progress_bar_is_changed_only_so_often(clock):
    output = io.StringIO()
    bar = progress_bar(file=output, interval=0.1)
    shown = []

    def callback(xk):
        clock.seconds += 0.03
        shown.append(output.getvalue().count("\r"))

    res = solve(callback=[bar, callback], maxiter=21)
    assert res.nit == 21
    assert shown[-1] - shown[0] == 5


def test_the_progress_bar_knows_a_new_gtol():
    output = io.StringIO()
    solve(
        callback=[
            progress_bar(file=output),
            lambda xk, state: state.update(gtol=1e-3) if state.nit == 5 else None,
        ]
    )
    assert "to -3.0" in last_line(output)


def test_the_progress_bar_counts_the_evaluations_of_its_own_run(clock):
    part = solve(maxiter=10)
    output = io.StringIO()

    def fun(x):
        clock.seconds += 0.5
        return rosen(x)

    solve(fun=fun, x0=part.x, checkpoint=part, callback=progress_bar(file=output))
    assert ", 2 f/s: converged" in last_line(output)


def test_the_progress_bar_with_scipy():
    output = io.StringIO()
    with progress_bar(file=output, interval=100.0) as bar:
        res = scipy_solve(bar)
    line = last_line(output)
    assert line.startswith(f"f = {res.fun:.6g}, {res.nit} it [")


def test_the_progress_bar_needs_tqdm(monkeypatch):
    no_module(monkeypatch, "tqdm")
    with pytest.raises(ImportError, match=r"lbfgsb\[progress\]"):
        ProgressBar()


@pytest.fixture
def agg():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    yield plt
    plt.close("all")


def test_the_live_plot_is_redrawn_every_fifth_of_a_second(agg, clock, monkeypatch):
    from lbfgsb.plotting import _LiveFigure

    drawn = []
    monkeypatch.setattr(_LiveFigure, "draw", lambda self, history: drawn.append(len(history)))
    live = LivePlot()

    def callback(xk):
        clock.seconds += 0.03

    res = solve(callback=[live, callback], maxiter=30)
    assert drawn == [1, 8, 15, 22, 29, 30]
    assert len(live.history) == res.nit


def test_the_live_plot_shows_the_whole_run(agg):
    live = LivePlot(interval=1000.0, x="nfev")
    res = solve(callback=live)
    top, bottom = live.figure.axes
    line = bottom.lines[0]
    assert line.get_xdata()[-1] == res.nfev
    assert line.get_ydata()[-1] == res.projected_gradient
    assert (top.get_yscale(), bottom.get_yscale()) == ("log", "log")
    assert bottom.get_xlabel() == "evaluations of $f$"


def test_the_live_plot_of_a_second_run_is_a_second_figure(agg):
    live = live_plot()
    solve(callback=live, maxiter=3)
    first = live.figure
    solve(callback=live, maxiter=4)
    assert live.figure is not first
    assert len(live.history) == 4


def test_the_live_plot_of_a_run_that_goes_on_has_all_of_it(agg):
    live = live_plot()
    part = solve(callback=live, maxiter=5)
    res = solve(x0=part.x, checkpoint=part, callback=live)
    assert len(live.history) == res.nit


def test_drawing_takes_at_most_a_fifth_of_the_time(agg, clock, monkeypatch):
    from lbfgsb.plotting import _LiveFigure

    def draw(self, history):
        clock.seconds += 1.0
        drawn.append(len(history))

    def callback(xk):
        clock.seconds += 0.5

    drawn = []
    monkeypatch.setattr(_LiveFigure, "draw", draw)
    solve(callback=[LivePlot(), callback], maxiter=18)
    assert drawn == [1, 9, 17, 18]


def test_the_live_plot_replaces_the_output_of_a_notebook(agg, clock, monkeypatch):
    outputs = []
    handle = SimpleNamespace(update=lambda figure: outputs.append(("update", figure)))

    def display(figure, display_id):
        outputs.append(("display", figure))
        return handle

    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=display))
    monkeypatch.setattr(agg, "get_backend", lambda: "module://matplotlib_inline.backend_inline")
    live = live_plot()
    solve(callback=live, maxiter=3)
    assert [what for what, _ in outputs] == ["display", "update", "update", "update"]
    assert {figure for _, figure in outputs} == {live.figure}
    assert not agg.fignum_exists(live.figure.number)  # or it would be shown once more


def test_the_live_plot_opens_a_window_once(agg, clock, monkeypatch):
    canvas = agg.figure().canvas.__class__
    shown, flushed = [], []
    monkeypatch.setattr(canvas, "required_interactive_framework", "qt")
    monkeypatch.setattr(agg.Figure, "show", lambda figure: shown.append(figure))
    monkeypatch.setattr(canvas, "flush_events", lambda self: flushed.append(self))
    live = live_plot()
    solve(callback=live, maxiter=3)
    assert shown == [live.figure]
    assert len(flushed) == 4
    assert agg.fignum_exists(live.figure.number)


def test_the_live_plot_needs_matplotlib(monkeypatch):
    no_module(monkeypatch, "matplotlib")
    with pytest.raises(ImportError, match=r"lbfgsb\[plot\]"):
        LivePlot()


# --- arguments ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: History(x_every=-1), ValueError, "x_every must be at least 0; got -1"),
        (lambda: History(bounds_every=1.5), TypeError, "bounds_every must be an integer; got 1.5"),
        (lambda: EarlyStopping(patience=0), ValueError, "patience must be at least 1; got 0"),
        (lambda: EarlyStopping(patience=True), TypeError, "patience must be an integer"),
        (lambda: EarlyStopping(min_delta=-1), ValueError, "min_delta must be >= 0; got -1"),
        (lambda: EarlyStopping(monitor="loss"), ValueError, "monitor must be callable or one of"),
        (lambda: TimeLimit(-1), ValueError, "seconds must be >= 0; got -1"),
        (lambda: TimeLimit("1"), TypeError, "seconds must be a real number; got '1'"),
        (lambda: TimeLimit(math.nan), ValueError, "seconds must be >= 0; got nan"),
        (lambda: TargetReached(math.nan), ValueError, "target must be a number; got nan"),
        (lambda: TargetReached(None), TypeError, "target must be a real number; got None"),
        (lambda: Print(every=0), ValueError, "every must be at least 1; got 0"),
        (lambda: JSONLines("a", every=0), ValueError, "every must be at least 1; got 0"),
        (lambda: StopOnSignal([1000]), ValueError, "1000 is not a valid Signals"),
        (lambda: LivePlot(x="day"), ValueError, "x must be 'nit', 'nfev' or 'time'; got 'day'"),
        (lambda: LivePlot(interval=-1), ValueError, "interval must be >= 0"),
    ],
)
def test_bad_arguments(make, error, match):
    with pytest.raises(error, match=match):
        make()


def test_a_monitor_that_a_solver_does_not_tell():
    with pytest.raises(ValueError, match="has no 'projected_gradient' to monitor"):
        scipy_solve(TargetReached(0.1, monitor="projected_gradient"))


# --- the state ----------------------------------------------------------------------------


def test_a_state_is_a_mapping_that_pickles_as_a_result():
    seen = []

    def look(intermediate_result):
        state = intermediate_result
        if state.nit == 3:
            names = list(state)
            assert names == list(state.keys())
            assert len(state) == len(names)
            assert all(v is state[k] for k, v in zip(names, state.values(), strict=True))
            assert (state.get("nit"), state.get("nothing", 7)) == (3, 7)
            seen.append((pickle.loads(pickle.dumps(state)), dict(state.items())))

    solve_rosenbrock(callback=look)
    ((copied, held),) = seen
    assert type(copied) is OptimizeResult
    assert copied.keys() == held.keys()
    assert same_bits(copied.x, held["x"])
    assert same_bits(copied.hess_inv.sk, held["hess_inv"].sk)


def test_a_callback_without_a_signature_gets_x():
    ours, scipys, theirs = Unsigned(), Unsigned(), []
    solve_rosenbrock(callback=ours)
    options = {"fun": rosen, "x0": X0, "jac": rosen_grad}
    minimize(**options, method=scipy_method, callback=scipys)
    minimize(**options, method=scipy_method, callback=lambda xk: theirs.append(xk))
    assert same_bits(scipys.got, theirs)
    assert same_bits(ours.got[0], theirs[0])


def test_what_writes_begins_by_itself_with_a_solver_that_tells_of_no_beginning(tmp_path):
    lines, bar = JSONLines(tmp_path / "run.jsonl"), io.StringIO()
    progress = ProgressBar(interval=0, file=bar)
    for one in lines, progress:
        res = minimize(rosen, X0, jac=rosen_grad, method="BFGS", callback=one)
        one.end_run(None)
    told = [json.loads(line) for line in (tmp_path / "run.jsonl").read_text().splitlines()]
    assert [line["nit"] for line in told] == list(range(1, res.nit + 1))
    assert told[-1]["fun"] == res.fun
    assert f"f = {res.fun:.6g}, {res.nit} it" in bar.getvalue()
