"""What evaluates in parallel: executors, maps and numbers of processes; and workers that die."""

import multiprocessing
import os
import pickle
import signal
import threading
from concurrent.futures import (
    BrokenExecutor,
    CancelledError,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from functools import partial

import numpy as np
import pytest
from problems import X0, assert_same_run, needs_workers, rosen, rosen_grad, same_bits

from lbfgsb import Solver, WorkerError, load_checkpoint, minimize_lbfgsb, save_checkpoint
from lbfgsb._executors import Here, as_workers, available_processors

START = np.array([-1.2, 1.0, 0.5])
SHORT = {"x0": START, "jac": "2-point", "maxiter": 8}


# The functions that go to other processes are importable there.
def square(x):
    return x * x


def fails_at_three(x):
    if x == 3:
        raise ValueError("three")
    return x


class Picky(Exception):
    """It pickles, and can't be made anew."""

    def __init__(self, one, two):
        super().__init__(one)


def picky(x):
    raise Picky(x, x)


def returns_a_lambda(x):
    return lambda: x


def dies_at_three(x):
    if x == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def rosen_that_kills(x, home, flag, near=-1.0):
    """`rosen`, which ends the process that evaluates it once, with x[0] near that."""
    if os.getpid() != home and abs(x[0] - near) < 0.1 and not os.path.exists(flag):
        with open(flag, "a"):  # the other worker may be about to die too
            pass
        os.kill(os.getpid(), signal.SIGKILL)
    return rosen(x)


def joblib_map(fun, items):
    joblib = pytest.importorskip("joblib")
    return joblib.Parallel(n_jobs=2)(joblib.delayed(fun)(item) for item in items)


@pytest.fixture(params=["threads", "processes", "loky", "int", "map", "joblib", "here"])
def workers(request):
    kind = request.param
    if kind == "int":
        yield 2
    elif kind == "map":
        yield map
    elif kind == "joblib":
        yield joblib_map
    elif kind == "here":
        yield 1
    else:
        if kind == "loky":
            make = pytest.importorskip("loky").ProcessPoolExecutor
        else:
            make = ThreadPoolExecutor if kind == "threads" else ProcessPoolExecutor
        with make(2) as executor:
            yield executor


# --- one interface for all ----------------------------------------------------------------


def test_a_map_has_the_values_in_order(workers):
    taken = as_workers("workers", workers) or Here()
    try:
        assert taken.map(square, iter(range(7))) == [x * x for x in range(7)]
        assert taken.map(partial(pow, 2), range(3)) == [1, 2, 4]
        assert taken.map(square, []) == []
    finally:
        taken.close()


def test_what_the_function_raises_comes_out_and_the_workers_go_on(workers):
    taken = as_workers("workers", workers) or Here()
    try:
        with pytest.raises(ValueError, match="three"):
            taken.map(fails_at_three, range(7))
        assert taken.map(square, range(3)) == [0, 1, 4]
    finally:
        taken.close()


def test_outcomes_have_the_keys_of_their_calls_and_an_error_costs_no_other(workers):
    taken = as_workers("workers", workers) or Here()
    try:
        for key in range(5):
            taken.submit(f"key {key}", fails_at_three, key)
        outcomes = {}
        while len(outcomes) < 5:
            outcomes.update(taken.collect())
    finally:
        taken.close()
    assert [outcomes[f"key {key}"].value for key in (0, 1, 2, 4)] == [0, 1, 2, 4]
    assert str(outcomes["key 3"].error) == "three"
    assert not outcomes["key 3"].is_lost


def test_what_the_user_has_opened_stays_open():
    with ThreadPoolExecutor(1) as executor:
        taken = as_workers("workers", executor)
        taken.map(square, range(3))
        taken.close()
        assert executor.submit(square, 4).result() == 16


def test_the_number_of_workers_is_known_where_it_can_be():
    with ThreadPoolExecutor(3) as executor:
        assert as_workers("workers", executor).width == 3
    assert as_workers("workers", 5).width == 5
    assert as_workers("workers", map).width is None
    if available_processors() > 1:
        assert as_workers("workers", -1).width == available_processors()


def test_an_exception_of_another_process_says_where_it_was_raised():
    taken = as_workers("workers", 2)
    try:
        with pytest.raises(ValueError, match="three") as caught:
            taken.map(fails_at_three, [3])
    finally:
        taken.close()
    (note,) = caught.value.__notes__
    assert 'in fails_at_three' in note


@pytest.mark.parametrize(("fun", "said"), [(picky, "Picky"), (returns_a_lambda, "function")])
def test_what_cannot_be_pickled_on_its_way_back_is_an_error(fun, said):
    taken = as_workers("workers", 2)
    try:
        with pytest.raises(TypeError, match=f"what fun gave can't be pickled .*{said}"):
            taken.map(fun, [1])
        assert taken.map(square, [3]) == [9]
    finally:
        taken.close()


class Counted:
    """``x -> unpickled``: how many times it was made in its process."""

    made = 0

    def __call__(self, x):
        return Counted.made

    def __setstate__(self, state):
        Counted.made += 1

    def __getstate__(self):
        return {"something": 1}


def test_a_function_goes_to_a_process_once_and_not_with_each_item():
    taken = as_workers("workers", 2)
    try:
        assert taken.map(Counted(), range(20)) == [1] * 20
    finally:
        taken.close()


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        (0, ValueError, "executor must be a positive number of processes, or -1 for all; got 0"),
        (2.0, TypeError, "executor must be an int, an executor, a map-like callable or None"),
        ("two", TypeError, "executor must be an int, an executor, a map-like callable or None"),
        (ThreadPoolExecutor, TypeError, "an executor, not its class ThreadPoolExecutor"),
    ],
)
def test_anything_else_is_an_error_that_names_the_argument(given, error, said):
    with pytest.raises(error, match=said):
        as_workers("executor", given)


def test_a_pool_of_multiprocessing_is_pointed_to_its_map():
    with multiprocessing.Pool(1) as pool, pytest.raises(TypeError, match=r"mean pool\.map\?"):
        as_workers("workers", pool)


def fails_in_a_process(x):
    raise Picky(x, "an error that a ProcessPoolExecutor can't make anew")


def test_an_exception_that_cannot_be_made_anew_breaks_no_pool():
    with ProcessPoolExecutor(1) as executor:
        taken = as_workers("workers", executor)
        with pytest.raises(TypeError, match=r"what fun gave can't be pickled .*Picky"):
            taken.map(fails_in_a_process, [1])
        assert taken.map(square, [3]) == [9]
    with ThreadPoolExecutor(1) as executor, pytest.raises(Picky):
        as_workers("workers", executor).map(fails_in_a_process, [1])


@pytest.mark.parametrize("kind", ["int", "executor"])
def test_a_function_that_cannot_be_sent_is_an_error_that_says_so(kind):
    with ProcessPoolExecutor(1) as executor:
        taken = as_workers("workers", 2 if kind == "int" else executor)
        with pytest.raises(TypeError, match=r"can't be sent to other processes.*lambda"):
            taken.map(lambda x: x, [1, 2, 3])
        taken.close()


def leaves(x):
    raise SystemExit(4)


def test_what_is_no_exception_of_the_function_comes_out():
    with ThreadPoolExecutor(1) as executor:
        taken = as_workers("workers", executor)
        taken.submit("key", leaves, 1)
        with pytest.raises(SystemExit):
            taken.collect()


@pytest.mark.parametrize(
    ("mapping", "error", "said"),
    [
        (lambda fun, items: None, TypeError, "must return the values of all points"),
        (lambda fun, items: [*map(fun, items)][1:], ValueError, "each of the 3 points.* 2$"),
    ],
)
def test_a_map_that_is_none_is_an_error_that_says_so(mapping, error, said):
    taken = as_workers("workers", mapping)
    for key in range(3):
        taken.submit(key, square, key)
    with pytest.raises(error, match=said):
        taken.collect()


# --- workers that die ---------------------------------------------------------------------


def test_a_process_that_dies_costs_the_call_that_it_had():
    taken = as_workers("workers", 2)
    try:
        for key in range(6):
            taken.submit(key, dies_at_three, key)
        outcomes = {}
        while len(outcomes) < 6:
            outcomes.update(taken.collect())
        assert [key for key in outcomes if outcomes[key].is_lost] == [3]
        assert "SIGKILL" in str(outcomes[3].error)
        assert [outcomes[key].value for key in (0, 1, 2, 4, 5)] == [0, 1, 2, 4, 5]
        assert taken.map(square, range(3)) == [0, 1, 4]
    finally:
        taken.close()


@pytest.mark.parametrize("error", [BrokenExecutor("gone"), CancelledError()])
def test_an_executor_that_gives_a_call_back_has_lost_it(error):
    class Losing:
        def submit(self, fun, item):
            future = Future()
            future.set_exception(error)
            return future

    taken = as_workers("workers", Losing())
    taken.submit("key", square, 1)
    ((key, outcome),) = taken.collect()
    assert key == "key"
    assert outcome.is_lost


@pytest.mark.parametrize(
    ("module", "kind"),
    [("distributed.scheduler", "KilledWorker"), ("ray.exceptions", "RayActorError")],
)
def test_what_the_schedulers_of_clusters_raise_is_a_lost_worker(module, kind):
    base = type(kind, (Exception,), {"__module__": module})
    lost = type("MoreExactly", (base,), {"__module__": module})

    def mapping(fun, items):
        raise lost("its node is gone")

    with pytest.raises(WorkerError, match=r"MoreExactly: its node is gone"):
        as_workers("workers", mapping).map(square, [1, 2])


def test_an_executor_that_is_shut_down_takes_nothing():
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    with pytest.raises(WorkerError, match="cannot schedule new futures"):
        as_workers("workers", executor).submit(0, square, 1)


# --- numerical gradients ------------------------------------------------------------------


@needs_workers
def test_numerical_gradients_are_the_same_to_the_bit(workers):
    assert_same_run(minimize_lbfgsb(fun=rosen, **SHORT, workers=workers),
                    minimize_lbfgsb(fun=rosen, **SHORT))  # fmt: skip


@needs_workers
@pytest.mark.parametrize("kind", ["int", "executor", "map"])
def test_a_worker_that_dies_ends_the_run_which_can_go_on(kind, tmp_path):
    fun = partial(rosen_that_kills, home=os.getpid(), flag=str(tmp_path / "flag"))
    options = {"x0": X0, "fun": fun, "jac": "2-point", "maxiter": 40, "ftol": 1e-12}
    whole = minimize_lbfgsb(**options)
    with ProcessPoolExecutor(2) as executor:
        workers = {"int": 2, "executor": executor, "map": executor.map}[kind]
        with pytest.raises(WorkerError, match="a worker was lost while it evaluated fun") as caught:
            minimize_lbfgsb(**options, workers=workers)
    assert isinstance(caught.value.__cause__, BrokenExecutor)
    solver = caught.value.solver
    assert isinstance(solver, Solver)
    assert not solver.done
    part = solver.result()
    rest = minimize_lbfgsb(**options | {"x0": part.x}, checkpoint=part, workers=2)
    assert same_bits(rest.x, whole.x)
    assert rest.fun == whole.fun
    assert (rest.nit, rest.message) == (whole.nit, whole.message)
    # The solver itself goes on too, with a gradient from anywhere.
    solver.run(lambda x: (rosen(x), np.array([0.0, 0.0])), iterations=1)


def growing(x, f0, f0_old, grad, x_deque, grad_deque):
    """An `update_fun_def` by which the pairs are no longer those of the differences."""
    k = len(x_deque)
    return f0, f0_old, grad, type(grad_deque)(
        (1 - 0.01 * (k - i)) * g for i, g in enumerate(grad_deque)
    )


@needs_workers
@pytest.mark.parametrize("travel", ["result", "pickle", "file", "on its own"])
def test_a_worker_that_dies_takes_no_stored_iterates_with_it(travel, tmp_path):
    fun = partial(rosen_that_kills, home=os.getpid(), flag=str(tmp_path / "flag"), near=0.3)
    options = {"fun": fun, "jac": "3-point", "update_fun_def": growing, "maxiter": 30, "ftol": 0.0}
    whole = minimize_lbfgsb(**options, x0=X0)
    with pytest.raises(WorkerError) as caught:
        minimize_lbfgsb(**options, x0=X0, workers=2)
    solver = caught.value.solver
    assert solver.nit > 2  # there are iterates to be lost
    if travel == "pickle":
        solver = pickle.loads(pickle.dumps(solver))
    elif travel == "file":
        save_checkpoint(tmp_path / "solver.npz", solver)
        solver = load_checkpoint(tmp_path / "solver.npz")
    elif travel == "on its own":  # the iterates that it had are not those of its pairs any more
        solver.run(lambda x: (rosen(x), rosen_grad(x)), iterations=2)
        assert "iterates" not in solver._snapshot()
        return
    part = solver.result()
    rest = minimize_lbfgsb(**options, x0=part.x, checkpoint=part, workers=2)
    assert same_bits(rest.x, whole.x)
    assert (rest.fun, rest.nit, rest.message) == (whole.fun, whole.nit, whole.message)


@needs_workers
def test_a_worker_that_dies_at_x0_leaves_nothing_stored(tmp_path):
    fun = partial(rosen_that_kills, home=os.getpid(), flag=str(tmp_path / "flag"))
    options = {"fun": fun, "jac": "3-point", "update_fun_def": growing, "maxiter": 5}
    with pytest.raises(WorkerError) as caught:
        minimize_lbfgsb(**options, x0=[-1.0, 1.0], workers=2)
    assert caught.value.solver.nfev == 0
    part = caught.value.solver.result()
    rest = minimize_lbfgsb(**options, x0=part.x, checkpoint=part, workers=2)
    assert same_bits(rest.x, minimize_lbfgsb(**options, x0=[-1.0, 1.0]).x)


@needs_workers
def test_no_process_and_no_thread_outlives_the_run():
    threads, processes = threading.active_count(), multiprocessing.active_children()
    minimize_lbfgsb(fun=rosen, **SHORT, workers=2)
    assert threading.active_count() == threads
    assert multiprocessing.active_children() == processes
