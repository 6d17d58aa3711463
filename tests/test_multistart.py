"""Many starts: what is found, that nothing else decides it, failures, files, dying workers."""

import itertools
import os
import pickle
import signal
import subprocess
import sys
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from problems import same_bits
from test_checkpoint_files import rewritten

from lbfgsb import (
    CheckpointError,
    WorkerError,
    load_checkpoint,
    minimize_batch,
    minimize_lbfgsb,
    minimize_multistart,
)
from lbfgsb.benchmarks import compiled_rosenbrock
from lbfgsb.callbacks import Checkpoint, History, ProgressBar

BOX = [(-5.0, 5.0), (-5.0, 5.0)]
MINIMA = [(3, 2), (-2.805118, 3.131313), (-3.77931, -3.283186), (3.584428, -1.848127)]
EXACT = {"ftol": 1e-14, "gtol": 1e-8, "maxiter": 200}


# The functions that go to other processes are importable there.
def himmelblau(x):
    a, b = x[0] * x[0] + x[1] - 11, x[0] + x[1] * x[1] - 7
    return a * a + b * b


def himmelblau_grad(x):
    a, b = x[0] * x[0] + x[1] - 11, x[0] + x[1] * x[1] - 7
    return np.array([4 * x[0] * a + 2 * b, 2 * a + 4 * x[1] * b])


def himmelblau_fg(x):
    return himmelblau(x), himmelblau_grad(x)


def himmelblau_rows(X):
    return np.array([himmelblau(x) for x in X]), np.array([himmelblau_grad(x) for x in X])


def dies_once(x, home, flag):
    """`himmelblau_fg`, which ends the process that evaluates it in one quarter, once."""
    if os.getpid() != home and x[0] < 0 < x[1]:
        try:
            os.close(os.open(flag, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return himmelblau_fg(x)
        os.kill(os.getpid(), signal.SIGKILL)
    return himmelblau_fg(x)


def always_dies(x):
    if x[0] < 0 < x[1]:
        os.kill(os.getpid(), signal.SIGKILL)
    return himmelblau_fg(x)


def never(x):
    raise AssertionError("nothing was to be evaluated")


class Counting:
    def __init__(self, fun=himmelblau_fg):
        self.fun, self.calls = fun, 0

    def __call__(self, x):
        self.calls += 1
        return self.fun(x)


class Reversed(Executor):
    """An executor that answers the calls that it has in the order from the last to the first."""

    _max_workers = 3

    def __init__(self):
        self.calls = []

    def submit(self, fun, item):
        future = Future()
        self.calls.append((future, fun, item))
        if len(self.calls) == 6:
            self.flush()
        return future

    def flush(self):
        while self.calls:
            future, fun, item = self.calls.pop()
            future.set_result(fun(item))


def search(fun=himmelblau_fg, bounds=BOX, **options):
    jac = True if "batch" not in options else None
    return minimize_multistart(fun, bounds, **{"jac": jac, "n_starts": 16, "rng": 3} | options)


def assert_same(a, b):
    assert (a.fun, a.message, a.nit, a.nfev, a.njev) == (b.fun, b.message, b.nit, b.nfev, b.njev)
    assert same_bits(a.x, b.x)
    assert same_bits(a.runs.x0, b.runs.x0)
    assert same_bits(a.runs.x, b.runs.x)
    assert same_bits(a.runs.jac, b.runs.jac)
    assert a.runs.message == b.runs.message
    assert len(a.minima) == len(b.minima)
    for one, other in zip(a.minima, b.minima, strict=True):
        assert same_bits(one.x, other.x)
        assert one.starts == other.starts
    assert (a.n_minima, a.failed, a.stopped) == (b.n_minima, b.failed, b.stopped)


# --- what is found ------------------------------------------------------------------------


def test_all_minima_are_found_with_their_counts_least_first():
    res = search(n_starts=64, **EXACT)
    assert res.n_minima == len(res.minima) == 4
    for x in MINIMA:
        assert min(np.abs(minimum.x - x).max() for minimum in res.minima) < 1e-5
    assert sum(minimum.count for minimum in res.minima) == 64 == res.n_starts
    values = [minimum.fun for minimum in res.minima]
    assert values == sorted(values)
    assert res.fun == values[0]
    assert same_bits(res.x, res.minima[0].x)
    for minimum in res.minima:
        assert minimum.count == len(minimum.starts)
        for i in minimum.starts:
            assert np.abs(res.runs[i].x - minimum.x).max() <= 1e-3 * 10


def test_each_start_is_run_as_minimize_lbfgsb_runs_it():
    res = search()
    for i in range(16):
        alone = minimize_lbfgsb(x0=res.runs.x0[i], fun=himmelblau_fg, jac=True, bounds=BOX)
        one = res.runs[i]
        assert same_bits(one.x, alone.x)
        assert same_bits(one.jac, alone.jac)
        for name in ("fun", "nit", "nfev", "njev", "status", "message", "success",
                     "projected_gradient", "gradient_mismatch"):  # fmt: skip
            assert getattr(one, name) == getattr(alone, name), name
    for name in ("nit", "nfev", "njev"):
        assert res[name] == res.runs[name].sum()


@pytest.mark.parametrize(
    "options",
    [
        {"jac": himmelblau_grad},
        {"jac": None},
        {"jac": "3-point"},
        {"jac": "2-point", "maxfun": 13},
        {"jac": himmelblau_grad, "x_scale": [1.0, 5.0], "maxcor": 2, "maxiter": 4},
    ],
)
def test_every_kind_of_gradient_and_option_is_that_of_minimize_lbfgsb(options):
    fun = Counting(himmelblau)
    res = minimize_multistart(fun, BOX, n_starts=4, rng=1, **options)
    assert res.nfev == fun.calls
    for i in range(4):
        alone = minimize_lbfgsb(x0=res.runs.x0[i], fun=himmelblau, bounds=BOX, **options)
        assert same_bits(res.runs.x[i], alone.x)
        assert (res.runs.nfev[i], res.runs.njev[i]) == (alone.nfev, alone.njev)
        assert res.runs.message[i] == alone.message


def test_where_f_is_not_finite_one_evaluation_is_counted_and_no_gradient():
    fun = Counting(lambda x: himmelblau(x) if x[0] < 3.5 else np.inf)
    jac = Counting(himmelblau_grad)
    res = search(fun, jac=jac)
    assert (res.nfev, res.njev) == (fun.calls, jac.calls)
    assert fun.calls > jac.calls


def test_arguments_and_the_shape_of_x_go_to_the_objective():
    def fun(x, shift):
        assert x.shape == (2, 1)
        return ((x - shift) ** 2).sum(), 2 * (x - shift)

    res = search(fun, args=(2.0,), x_shape=(2, 1))
    np.testing.assert_allclose(res.x, 2.0)


def test_keep_says_how_many_minima_are_kept_and_n_minima_how_many_there_are():
    res = search(n_starts=64, keep=2, **EXACT)
    assert len(res.minima) == 2
    assert res.n_minima == 4


def test_x_tol_is_a_part_of_the_width_of_the_box():
    assert search(n_starts=64, x_tol=1.0).n_minima == 1
    assert search(n_starts=64, x_tol=0.0).n_minima > 4
    # One minimum, flat: the ends are some 1e-2 apart, more than 1e-3 of the box but not of one
    # that is a hundred times as wide.
    flat = lambda x: ((x**4).sum(), 4 * x**3)  # noqa: E731
    starts = [[-1.0, 0.3], [1.0, 0.2]]
    assert search(flat, [(-1, 1)] * 2, n_starts=None, sampler=starts).n_minima == 2
    assert search(flat, [(-100, 100)] * 2, n_starts=None, sampler=starts).n_minima == 1


def test_an_end_at_a_limit_is_no_minimum_and_may_be_the_best():
    res = search(maxiter=2)
    assert set(res.runs.status.tolist()) == {1}
    assert (res.n_minima, res.minima, res.success) == (0, [], False)
    assert res.fun == res.runs.fun.min()


# --- starts -------------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", ["sobol", "lhs", "uniform"])
def test_starts_fill_the_box_and_depend_on_rng_alone(sampler):
    box = [(-1.0, 3.0), (100.0, 101.0), (2.0, 2.0)]
    one, again, other = (
        search(lambda x: (0.0, 0 * x), box, sampler=sampler, rng=seed).runs.x0
        for seed in (5, np.random.default_rng(5), 6)
    )
    assert one.shape == (16, 3)
    assert same_bits(one, again)
    assert not np.array_equal(one, other)
    lower, upper = np.array(box).T
    assert ((lower <= one) & (one <= upper)).all()
    if sampler != "uniform":  # in each quarter of each side there are four of sixteen
        quarter = np.floor(4 * (one[:, :2] - lower[:2]) / (upper - lower)[:2])
        assert [np.bincount(column.astype(int)).tolist() for column in quarter.T] == [[4] * 4] * 2


def test_any_number_of_starts_may_be_asked_for_and_more_begin_with_the_same():
    few, many = (search(n_starts=count).runs.x0 for count in (5, 9))
    assert same_bits(few, many[:5])


def test_starts_of_ones_own_need_no_finite_bounds_and_are_clipped_into_them():
    starts = np.array([[9.0, 1.0], [-4.0, 4.0]])
    res = search(bounds=[(None, 5), (None, None)], n_starts=None, sampler=starts)
    assert res.runs.x0.tolist() == [[5.0, 1.0], [-4.0, 4.0]]
    assert search(bounds=None, n_starts=1, sampler=starts).runs.x0.tolist() == [[9.0, 1.0]]
    assert starts[0, 0] == 9.0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"bounds": [(0, 1), (0, None)]}, r"bounds\[1\] is \(0\.0, inf\)"),
        ({"bounds": [(None, None)]}, "bounds must be finite for starts to be sampled"),
        ({"bounds": None}, "bounds must be a pair"),
        ({"sampler": "halton"}, "sampler must be one of"),
        ({"sampler": [[1.0, 2.0]], "n_starts": 2}, "n_starts is 2, and sampler has 1 starts"),
        ({"sampler": [1.0, 2.0]}, r"sampler must have the shape \(B, n\)"),
        ({"sampler": [[1.0, 2.0, 3.0]]}, "sampler has starts of 3 variables, and bounds are for 2"),
        ({"rng": -1}, "rng must be what"),
        ({"n_starts": 0}, "n_starts must be at least 1"),
        ({"keep": 0}, "keep must be at least 1"),
        ({"x_tol": -1}, "x_tol must be >= 0"),
        ({"stop_after": 0}, "stop_after must be at least 1"),
        ({"executor": 0}, "executor must be a positive number"),
        ({"batch": 0}, "batch must be at least 1"),
        ({"batch": 4, "executor": map}, "executor must be None with batch"),
        ({"batch": 4, "jac": "2-point"}, "jac must be None with batch"),
        ({"jac": "4-point"}, "jac must be callable"),
        ({"ftol": -1}, "ftol must be"),
        ({"maxls": 0}, "maxls must be"),
    ],
)
def test_bad_input_is_an_error_before_anything_is_evaluated(options, said):
    fun = Counting()
    with pytest.raises(ValueError, match=said):
        search(fun, **options)
    assert fun.calls == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"maxitr": 3}, "did you mean 'maxiter'"),
        ({"x0": [1, 2]}, "sampler=starts"),
        ({"batch": 4, "eps": 1e-8}, "'eps' is no option"),
        ({"executor": "two"}, "executor must be an int, an executor"),
        ({"rng": np.random.RandomState(1)}, "rng must be an int, .*; got RandomState"),
        ({"rng": "one"}, "rng must be what"),
        ({"callback": 3}, "callback must be callable"),
    ],
)
def test_what_is_no_option_or_of_another_type_is_a_type_error(options, said):
    with pytest.raises(TypeError, match=said):
        search(**options)


# --- nothing else decides what is found ---------------------------------------------------


@pytest.mark.parametrize("kind", ["threads", "processes", "int", "map", "reversed", "batch"])
@pytest.mark.parametrize("options", [{}, {"stop_after": 3}])
def test_the_result_does_not_depend_on_who_evaluates_or_in_which_order(kind, options):
    expected = search(**options)
    if kind == "batch":
        got = search(himmelblau_rows, batch=5, **options)
    elif kind in ("threads", "processes"):
        with (ThreadPoolExecutor if kind == "threads" else ProcessPoolExecutor)(2) as executor:
            got = search(executor=executor, **options)
    elif kind == "reversed":
        # Six at a time, as many as are submitted while there are starts to come.
        executor = Reversed()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("lbfgsb._executors.wait", lambda keys, return_when: (
                executor.flush(), ({f for f in keys if f.done()}, None))[1])  # fmt: skip
            got = search(executor=executor, **options)
    else:
        got = search(executor={"int": 2, "map": map}[kind], **options)
    assert_same(got, expected)


def test_an_executor_has_two_evaluations_for_each_worker():
    most = 0

    class Watched(ThreadPoolExecutor):
        def submit(self, fun, item):
            nonlocal most
            future = super().submit(fun, item)
            most = max(most, self._work_queue.qsize())
            return future

    with Watched(2) as executor:
        search(executor=executor)
    assert 1 <= most <= 4


def test_a_map_gets_the_points_of_all_runs_at_a_time():
    sizes = []

    def mapping(fun, points):
        points = list(points)
        sizes.append(len(points))
        return map(fun, points)

    res = search(executor=mapping)
    assert sizes[0] == 16
    assert sum(sizes) == res.nfev
    assert len(sizes) == res.runs.nfev.max()


def test_numerical_gradients_are_evaluated_where_the_point_is():
    expected = search(himmelblau, jac="2-point", n_starts=4)
    assert_same(search(himmelblau, jac="2-point", n_starts=4, executor=2), expected)


def test_a_compiled_objective_runs_in_a_batch():
    starts = [[1.0, -2.0], [3.0, 1.0], [2.0, 2.0]]
    res = minimize_multistart(compiled_rosenbrock, BOX, sampler=starts, threads=2)
    alone = minimize_batch(compiled_rosenbrock, starts, bounds=BOX)
    assert same_bits(res.runs.x, alone.x)
    assert res.n_starts == 3


def test_a_compiled_search_is_told_of_and_kept_between_its_batches(tmp_path):
    def stop(state):
        return state.running <= 136

    options = {"n_starts": 200, "rng": 0, "threads": 2}
    whole = minimize_multistart(compiled_rosenbrock, BOX, **options)
    path = tmp_path / "search.npz"
    part = minimize_multistart(
        compiled_rosenbrock, BOX, **options, checkpoint=path, callback=stop
    )
    assert part.n_starts == 64
    assert_same(minimize_multistart(compiled_rosenbrock, BOX, **options, checkpoint=path), whole)


# --- when it ends -------------------------------------------------------------------------


def test_stop_after_ends_when_so_many_in_a_row_find_nothing_new():
    whole, part = search(n_starts=64), search(n_starts=64, stop_after=5)
    count = part.n_starts
    assert count < 64
    assert part.stopped == "STOP: 5 STARTS IN A ROW FOUND NO NEW MINIMUM"
    assert whole.stopped is None
    assert same_bits(part.runs.x, whole.runs.x[:count])
    assert part.n_minima == 4
    # By hand: which starts found something new, and that no five before the end in a row did not.
    known, new = [], []
    for x in whole.runs.x[:count]:
        new.append(all(np.abs(x - y).max() > 1e-2 for y in known))
        known += [x] * new[-1]
    gaps = [len(list(run)) for is_new, run in itertools.groupby(new) if not is_new]
    assert gaps[-1] == 5
    assert max(gaps[:-1], default=0) < 5
    assert not new[-1]


def test_starts_after_the_end_are_not_run():
    fun = Counting()
    res = search(fun, n_starts=64, stop_after=5)
    assert fun.calls == res.nfev


@pytest.mark.parametrize("reason", ["enough", None])
def test_a_callback_ends_the_search(reason):
    def callback(state):
        if state.problems - state.running == 3:
            if reason is not None:
                raise StopIteration(reason)
            return True

    res = search(callback=callback)
    assert res.n_starts == 3
    assert res.stopped == "STOP: USER CALLBACK" + (": enough" if reason else "")
    assert same_bits(res.runs.x, search().runs.x[:3])


def test_callbacks_are_told_of_each_end_with_the_best_so_far(capsys):
    seen = []
    history = History()
    res = search(callback=[lambda state: seen.append(state), history, ProgressBar(interval=0)])
    assert [state.running for state in seen] == list(range(15, -1, -1))
    assert [state.fun for state in seen] == np.minimum.accumulate(res.runs.fun).tolist()
    assert [state.nfev for state in seen] == np.cumsum(res.runs.nfev).tolist()
    assert len(res.history) == 16
    assert "0 of 16 running" in capsys.readouterr().err


# --- failures -----------------------------------------------------------------------------


@pytest.mark.parametrize("executor", [None, 2, map])
def test_a_start_that_fails_is_reported_and_costs_no_other(executor):
    res = search(fails_in_a_quarter, executor=executor)
    assert 0 < len(res.failed) < 16
    fine = search()
    for i in range(16):
        if i in res.failed:
            assert res.runs.message[i] == "EXCEPTION: ZeroDivisionError: in that quarter"
            assert (res.runs.status[i], res.runs.success[i]) == (2, False)
        else:
            assert same_bits(res.runs.x[i], fine.runs.x[i])
    assert not any(set(minimum.starts) & set(res.failed) for minimum in res.minima)
    assert f"16, of which {len(res.failed)} failed" in repr(res)


def fails_in_a_quarter(x):
    if x[0] < 0 < x[1]:
        raise ZeroDivisionError("in that quarter")
    return himmelblau_fg(x)


def test_all_starts_may_fail():
    res = search(lambda x: 1 / 0)
    assert res.failed == list(range(16))
    assert (res.success, res.status, res.minima) == (False, 2, [])
    assert np.isnan(res.fun)
    assert res.message == "EXCEPTION: ZeroDivisionError: division by zero"
    res = search(lambda X: 1 / 0, batch=16)
    assert res.failed == list(range(16))


def test_a_value_that_is_not_finite_at_the_start_is_an_abnormal_end():
    res = search(lambda x: (np.nan, x) if x[0] > 0 else himmelblau_fg(x))
    assert res.failed == np.flatnonzero(res.runs.x0[:, 0] > 0).tolist()
    assert all("NOT FINITE AT X0" in res.runs.message[i] for i in res.failed)
    assert res.success


def test_stop_iteration_in_the_objective_ends_that_run_where_it_was():
    def fun(x):
        f, g = himmelblau_fg(x)
        if f < 1:
            raise StopIteration
        return f, g

    res = search(fun)
    assert set(res.runs.status.tolist()) == {3}
    assert (res.runs.fun >= 1).all()


def test_an_objective_that_returns_something_else_fails_with_the_reason():
    res = search(himmelblau_fg, jac=himmelblau_grad)
    assert "did you mean jac=True" in res.message
    assert "must return the pair (f, g)" in search(himmelblau).message


@pytest.mark.parametrize("kind", ["int", "executor"])
def test_an_objective_that_cannot_be_sent_is_no_failure_of_its_starts(kind, tmp_path):
    path = tmp_path / "search.npz"
    with ProcessPoolExecutor(2) as executor:
        workers = 2 if kind == "int" else executor
        with pytest.raises(TypeError, match="can't be sent to other processes"):
            search(lambda x: himmelblau_fg(x), executor=workers, checkpoint=path)
    assert not path.exists()  # no start is over


def test_ctrl_c_comes_out():
    def fun(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(fun)


# --- workers that die ---------------------------------------------------------------------


def test_an_evaluation_whose_process_dies_is_made_again(tmp_path):
    flag = tmp_path / "flag"
    fun = partial(dies_once, home=os.getpid(), flag=str(flag))
    assert_same(search(fun, executor=2), search())
    assert flag.exists()


def test_a_point_that_ends_every_process_fails_its_start_alone():
    res = search(always_dies, executor=2)
    assert 0 < len(res.failed) < 16
    fine = search()
    for i in range(16):
        if i in res.failed:
            assert "EXCEPTION: BrokenExecutor: its process was ended by SIGKILL" in (
                res.runs.message[i]
            )
        else:
            assert same_bits(res.runs.x[i], fine.runs.x[i])


def test_an_executor_that_is_broken_as_a_whole_gives_what_is_known_and_a_file(tmp_path):
    path = tmp_path / "search.npz"
    with ProcessPoolExecutor(2) as executor, pytest.raises(WorkerError) as caught:
        search(always_dies, executor=executor, checkpoint=path)
    part = caught.value.result
    assert part.stopped == "NO WORKER IS LEFT"
    assert part.n_starts < 16
    if part.n_starts:
        assert load_checkpoint(path).n_starts == part.n_starts
    assert_same(search(checkpoint=path), search())


# --- files --------------------------------------------------------------------------------


class PowerCut(BaseException):
    pass


def interrupted(path, after, **options):
    fun = Counting()

    def cut(state):
        if state.problems - state.running == after:
            raise PowerCut

    with pytest.raises(PowerCut):
        search(fun, checkpoint=path, callback=[Checkpoint(path, every=1), cut], **options)
    return fun.calls


def test_starts_in_the_file_are_not_run_again(tmp_path):
    path = tmp_path / "search.npz"
    before = interrupted(path, 7)
    fun = Counting()
    res = search(fun, checkpoint=path)
    assert_same(res, search())
    assert before + fun.calls == res.nfev
    again = Counting()
    assert_same(search(again, checkpoint=path), res)
    assert again.calls == 0


def test_a_search_in_a_file_can_be_looked_at(tmp_path):
    path = tmp_path / "search.npz"
    interrupted(path, 7)
    part = load_checkpoint(path)
    assert (part.n_starts, part.stopped) == (7, "RUNNING")
    assert same_bits(part.runs.x, search().runs.x[:7])


def test_without_rng_the_starts_are_those_of_the_file(tmp_path):
    path = tmp_path / "search.npz"
    interrupted(path, 7, rng=None)
    starts = load_checkpoint(path).runs.x0
    res = search(checkpoint=path, rng=None)
    assert same_bits(res.runs.x0[:7], starts)
    assert res.n_starts == 16


def test_fewer_starts_than_the_file_has_leave_it_as_it_is(tmp_path):
    path = tmp_path / "search.npz"
    starts = [[1.0, -2.0], [3.0, 1.0], [2.0, 2.0]]
    whole = search(sampler=starts, n_starts=3, checkpoint=path)
    before = path.read_bytes()
    part = search(never, sampler=starts, n_starts=2, checkpoint=path)
    assert same_bits(part.runs.x, whole.runs.x[:2])
    assert path.read_bytes() == before
    assert_same(search(never, sampler=starts, n_starts=3, checkpoint=path), whole)


def test_more_starts_go_on_from_the_file(tmp_path):
    path = tmp_path / "search.npz"
    first = search(checkpoint=path)
    fun = Counting()
    res = search(fun, checkpoint=path, n_starts=32)
    assert fun.calls == res.nfev - first.nfev
    assert_same(res, search(n_starts=32))


def test_what_changes_no_end_may_be_other_than_in_the_file(tmp_path):
    path = tmp_path / "search.npz"
    whole = search(checkpoint=path, args=(), threads=1)
    again = search(never, checkpoint=path, args=(1,), threads=2, x_shape=(2, 1), maxcor=None)
    assert_same(again, whole)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rng": 4}, "from other starts"),
        ({"ftol": 1e-9}, "a search with ftol = its default, and it is 1e-09 now"),
        ({"bounds": [(-5, 5), (-5, 6)]}, "other starts|not those of the search"),
        ({"bounds": [(-5, 5)]}, "with 2 variables; now there are 1"),
        ({"n_starts": 17, "rng": None}, "from 16 starts, and n_starts is 17 now"),
    ],
)
def test_a_file_of_another_search_is_an_error(tmp_path, options, said):
    path = tmp_path / "search.npz"
    search(checkpoint=path)
    kept = path.read_bytes()
    with pytest.raises(ValueError, match=said):
        search(checkpoint=path, **options)
    assert path.read_bytes() == kept


def test_each_kind_of_file_is_refused_by_the_other_doors(tmp_path):
    run, many = tmp_path / "run.npz", tmp_path / "many.npz"
    minimize_lbfgsb(x0=[1.0, 1.0], fun=himmelblau_fg, jac=True, checkpoint=run)
    search(checkpoint=many)
    with pytest.raises(CheckpointError, match="a run, not of a minimize_multistart"):
        search(checkpoint=run)
    with pytest.raises(CheckpointError, match="it is for minimize_multistart"):
        minimize_lbfgsb(x0=[1.0, 1.0], fun=himmelblau_fg, jac=True, checkpoint=many)
    with pytest.raises(CheckpointError, match="it is for minimize_multistart"):
        minimize_batch(himmelblau_rows, [[1.0, 1.0]], checkpoint=many)


@pytest.mark.parametrize("at", np.linspace(60, 4000, 25).astype(int).tolist())
def test_an_altered_file_is_never_taken_for_what_was_written(tmp_path, at):
    path = tmp_path / "search.npz"
    expected = search(checkpoint=path)
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    path.write_bytes(data)
    try:
        got = load_checkpoint(path)
    except CheckpointError as error:
        assert error.reason in ("altered", "truncated", "foreign")  # noqa: PT017
    else:  # bits that say nothing: a date, say
        assert_same(got, expected)


def test_a_search_that_is_killed_goes_on_from_its_file(tmp_path):
    path, log = tmp_path / "search.npz", tmp_path / "log"
    program = (
        "import os, sys, time; sys.path.insert(0, sys.argv[3])\n"
        "from test_multistart import search, himmelblau_fg, Checkpoint\n"
        "def fun(x):\n"
        "    time.sleep(0.01); return himmelblau_fg(x)\n"
        "def told(state):\n"
        "    with open(sys.argv[2], 'a') as log: log.write('.')\n"
        "    if os.path.getsize(sys.argv[2]) == 6: time.sleep(600)\n"
        "search(fun, checkpoint=sys.argv[1], callback=[Checkpoint(sys.argv[1], every=1), told])\n"
    )
    arguments = [sys.executable, "-c", program, path, log, Path(__file__).parent]
    process = subprocess.Popen(arguments)
    deadline = time.monotonic() + 60
    while not (log.exists() and log.stat().st_size >= 4) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    finished = load_checkpoint(path).n_starts
    assert 3 <= finished <= 6
    fun = Counting()
    res = search(fun, checkpoint=path)
    assert_same(res, search())
    assert fun.calls == res.runs.nfev[finished:].sum()


# --- the result ---------------------------------------------------------------------------


def test_the_result_pickles():
    res = search()
    assert_same(pickle.loads(pickle.dumps(res)), res)


def test_the_result_prints_in_a_few_lines_whatever_was_found():
    res = search(lambda x: (np.cos(9 * x).sum(), -9 * np.sin(9 * x)), [(-5, 5)] * 30,
                 n_starts=256, keep=100)  # fmt: skip
    assert len(res.minima) > 30
    lines = repr(res).splitlines()
    assert len(lines) <= 30
    assert max(map(len, lines)) <= 100
    assert f"minima: {res.n_minima}, 100 kept" in repr(res)
    assert "... and 90 more" in repr(res)


def test_the_result_says_what_has_stopped_the_search():
    def stop(intermediate_result):
        raise StopIteration

    res = search(callback=stop)
    assert res.stopped is not None
    assert f"stopped: {res.stopped}" in repr(res)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda header, arrays: arrays.pop("status"),
        lambda header, arrays: arrays.update(status=arrays["status"].astype(float)),
        lambda header, arrays: arrays.update(status=arrays["status"][:-1]),
        lambda header, arrays: header["message"].pop(),
        lambda header, arrays: header["message"].__setitem__(0, 3),
        lambda header, arrays: header.update(options=None),
        lambda header, arrays: header.update(keep="two"),
        lambda header, arrays: header.update(x_tol=None),
    ],
)
def test_what_no_search_can_have_written_is_altered(tmp_path, wrong):
    path = tmp_path / "search.npz"
    search(checkpoint=path)
    path.write_bytes(rewritten(path.read_bytes(), wrong))
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    assert caught.value.reason == "altered"
