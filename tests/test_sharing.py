"""A solver in several hands: threads, an objective that turns on the solver it answers, callbacks
that hand their state on, and objectives that change what they are given.

Either an error says so, or everything is as if it had not happened; nothing is ever silently wrong.
"""

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from problems import X0, assert_same_run, rosen, rosen_fg, rosen_grad

from lbfgsb import Solver, minimize_batch, minimize_lbfgsb

LONG = {"ftol": 0.0, "gtol": 1e-8, "maxiter": 300}


def in_thread(function, *args):
    """Return what `function` returns in another thread."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *args).result()


def raised_in_thread(function, *args):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *args).exception()


# --- ask and tell -------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [2, 4, 8])
def test_threads_that_share_a_solver_never_mix_their_answers_up(threads):
    solver = Solver(X0, **LONG)
    refused = []
    begin = threading.Barrier(threads)

    def work():
        begin.wait()
        while not solver.done:
            try:
                x = solver.ask()
                solver.tell(rosen(x), rosen_grad(x))
            except RuntimeError as error:
                refused.append(str(error))

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    alone = minimize_lbfgsb(x0=X0, fun=rosen_fg, jac=True, **LONG)
    assert_same_run(solver.result(), alone)
    words = ("another thread", "nothing to", "tell needs a point")
    assert all(any(word in message for word in words) for message in refused)


def test_a_point_that_is_out_is_not_given_to_a_second_thread():
    solver = Solver(X0)
    solver.ask()
    assert "another thread has asked" in str(raised_in_thread(solver.ask))
    solver.ask()  # the same thread may ask again
    solver.tell(*rosen_fg(X0))
    assert raised_in_thread(solver.ask) is None


def test_who_asks_and_who_tells_may_be_two_threads():
    solver = Solver(X0, **LONG)
    while not solver.done:
        x = solver.ask()
        assert raised_in_thread(solver.tell, rosen(x), rosen_grad(x)) is None
    assert_same_run(solver.result(), minimize_lbfgsb(x0=X0, fun=rosen_fg, jac=True, **LONG))


def test_a_run_has_no_place_for_an_answer_to_what_was_asked_before_it():
    solver = Solver(X0, **LONG)
    answer = rosen_fg(solver.ask())

    def fails(x):
        if solver.nfev == 3:
            raise ZeroDivisionError
        return rosen_fg(x)

    with pytest.raises(ZeroDivisionError):
        solver.run(fails)
    with pytest.raises(RuntimeError, match="tell needs a point from ask"):
        solver.tell(*answer)
    solver.run(rosen_fg)
    assert_same_run(solver.result(), minimize_lbfgsb(x0=X0, fun=rosen_fg, jac=True, **LONG))


def test_a_run_of_some_iterations_never_looks_as_if_it_had_other_limits():
    solver = Solver(X0, **LONG)
    seen = set()

    def fg(x):
        seen.add((solver._limits["maxiter"], solver.done))
        return rosen_fg(x)

    while not solver.run(fg, iterations=1):
        continue
    assert seen == {(LONG["maxiter"], False)}


def test_a_thread_that_has_died_holds_no_point():
    solver = Solver(X0)
    thread = threading.Thread(target=solver.ask)
    thread.start()
    thread.join()
    np.testing.assert_array_equal(solver.ask(), X0)


def test_a_pickled_solver_has_no_thread():
    solver = Solver(X0)
    solver.ask()
    copy = pickle.loads(pickle.dumps(solver))
    assert raised_in_thread(copy.ask) is None
    assert raised_in_thread(solver.ask) is not None


def together(workers):
    """Call these at once, each in a thread of its own; return what they return."""
    begin = threading.Barrier(len(workers))

    def work(worker):
        begin.wait()
        return worker()

    with ThreadPoolExecutor(len(workers)) as pool:
        return [each.result() for each in [pool.submit(work, worker) for worker in workers]]


@pytest.mark.parametrize("n", [2, 60])
def test_sixteen_threads_on_one_solver_that_also_look_at_it_and_copy_it(n):
    x0 = np.tile(X0, n // 2)
    alone = minimize_lbfgsb(x0=x0, fun=rosen_fg, jac=True, maxcor=5, **LONG)
    solver = Solver(x0, maxcor=5, **LONG)

    def tell():
        while not solver.done:
            try:
                solver.tell(*rosen_fg(solver.ask()))
            except RuntimeError:  # refused: another one is at it
                continue

    def run():
        while not solver.done:
            try:
                solver.run(rosen_fg, iterations=1)
            except RuntimeError:
                continue

    def look():
        while not solver.done:
            try:
                x, result = solver.x, solver.result()
            except RuntimeError:
                continue
            assert np.isfinite(x).all()
            if result.nfev:
                assert result.fun == rosen(result.x)
                assert (result.jac == rosen_grad(result.x)).all()

    def copy():
        arrived = None
        while not solver.done:
            try:
                arrived = pickle.loads(pickle.dumps(solver))
            except RuntimeError:
                continue
        while arrived is not None and not arrived.done:
            arrived.tell(*rosen_fg(arrived.ask()))
        return arrived and arrived.result()

    copies = together([tell, run, look, copy] * 4)[3::4]
    assert_same_run(solver.result(), alone)
    for each in copies:
        if each is not None:
            assert_same_run(each, alone)


def test_sixteen_threads_with_solvers_of_their_own():
    def work(seed):
        x0 = np.random.default_rng(seed).normal(size=2 + seed)
        options = {"maxcor": 1 + seed % 7, "pairs": ("float64", "float32")[seed % 2], **LONG}
        solver = Solver(x0, [(-2, 2)] * x0.size, **options)
        while not solver.run(rosen_fg, iterations=3):
            solver = pickle.loads(pickle.dumps(solver))
        box = [(-2, 2)] * x0.size
        return solver.result(), minimize_lbfgsb(
            x0=x0, fun=rosen_fg, jac=True, bounds=box, **options
        )

    told = together([lambda seed=seed: work(seed) for seed in range(16)])
    for seed, (a, b) in enumerate(told):
        assert_same_run(a, b)
        assert_same_run(a, work(seed)[0])


# --- runs ---------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 5000])
@pytest.mark.parametrize("action", ["tell", "run", "ask"])
def test_an_objective_can_not_change_the_solver_that_it_answers(action, n):
    x0 = np.tile([-1.2, 1.0], n // 2)
    solver = Solver(x0, **LONG)
    errors = []

    def fg(x):
        if solver.nit == 3:
            try:
                {
                    "tell": lambda: solver._answer(0.0, x),
                    "run": lambda: solver.run(rosen_fg),
                    "ask": solver.ask,
                }[action]()
            except RuntimeError as error:
                errors.append(str(error))
        return rosen_fg(x)

    solver.run(fg)
    assert errors
    assert set(errors) == {"the solver is in use: its objective must not change it"}
    assert_same_run(solver.result(), minimize_lbfgsb(x0=x0, fun=rosen_fg, jac=True, **LONG))


@pytest.mark.parametrize("n", [2, 5000])
def test_another_thread_can_look_at_a_run_while_the_objective_works(n):
    x0 = np.tile([-1.2, 1.0], n // 2)
    solver = Solver(x0, **LONG)
    seen = []

    def look():
        res, copy = solver.result(), pickle.loads(pickle.dumps(solver))
        return res.x, res.fun, copy

    def fg(x):
        if solver.nit in (2, 7):
            seen.append(in_thread(look))
        return rosen_fg(x)

    solver.run(fg)
    assert len(seen) >= 2
    for x, f, copy in seen:
        assert f == rosen(x)
        copy.run(rosen_fg)
        assert_same_run(copy.result(), solver.result())


def test_another_thread_can_not_change_a_run():
    errors = []

    def callback(state):
        errors.append(raised_in_thread(lambda: state.update(maxcor=3)))
        return False

    options = {"maxiter": 20, "ftol": 0.0, "gtol": 0.0}
    res = minimize_lbfgsb(
        x0=X0, fun=rosen_fg, jac=True, callback=lambda x, state: callback(state), **options
    )
    assert errors
    assert all(isinstance(error, RuntimeError) for error in errors)
    assert {str(error) for error in errors} == {"the solver is in use by another thread"}
    assert_same_run(res, minimize_lbfgsb(x0=X0, fun=rosen_fg, jac=True, **options))


def test_a_thread_that_changes_the_memory_while_another_works_gets_an_error():
    n = 20_000
    x0 = np.tile([-1.2, 1.0], n // 2)
    states, errors, over = [], [], threading.Event()

    def disturb():
        while not over.is_set():
            for maxcor in (3, 30):
                try:
                    states[-1].update(maxcor=maxcor)
                except (RuntimeError, IndexError) as error:
                    errors.append(error)

    def callback(x, state):
        states[:] = [state]
        return False

    options = {"maxiter": 60, "ftol": 0.0, "gtol": 0.0}
    other = threading.Thread(target=disturb)
    other.start()
    try:
        res = minimize_lbfgsb(x0=x0, fun=rosen_fg, jac=True, callback=callback, **options)
    finally:
        over.set()
        other.join()
    assert any(isinstance(error, RuntimeError) for error in errors)
    assert res.fun == rosen(res.x)
    assert_same_run(res, minimize_lbfgsb(x0=x0, fun=rosen_fg, jac=True, **options))


def test_after_an_exception_in_the_objective_the_solver_is_free():
    solver = Solver(X0, **LONG)

    def fails(x):
        if solver.nit == 2:
            raise ZeroDivisionError
        return rosen_fg(x)

    with pytest.raises(ZeroDivisionError):
        solver.run(fails)
    assert raised_in_thread(solver.result) is None
    solver.run(rosen_fg)
    assert solver.success


# --- what an objective does to its x ------------------------------------------------------


def turn_to_column(x):
    x.shape = (-1, 1)


def turn_to_integers(x):
    x.dtype = np.int64


def turn_bytes(x):
    x.dtype = x.dtype.newbyteorder()


def lock(x):
    x.setflags(write=False)


def shrink(x):
    x.resize(1, refcheck=False)


def grow(x):
    x.resize(3 * x.size, refcheck=False)


CHANGES = [turn_to_column, turn_to_integers, turn_bytes, lock, shrink, grow]


@pytest.mark.filterwarnings("ignore:Setting the (shape|dtype):DeprecationWarning")
@pytest.mark.parametrize("n", [2, 2000])
@pytest.mark.parametrize("change", CHANGES)
def test_an_x_that_was_changed_in_kind_is_not_used_again(change, n):
    x0 = np.tile([-1.2, 1.0], n // 2)
    kinds = set()

    def fg(x):
        kinds.add((x.shape, x.dtype, x.dtype.isnative, x.flags.writeable))
        f, g = rosen_fg(x.copy())
        change(x)
        return f, g

    res = minimize_lbfgsb(x0=x0, fun=fg, jac=True, **LONG)
    assert kinds == {((n,), np.dtype(float), True, True)}
    assert_same_run(res, minimize_lbfgsb(x0=x0, fun=rosen_fg, jac=True, **LONG))


@pytest.mark.filterwarnings("ignore:Setting the (shape|dtype):DeprecationWarning")
@pytest.mark.parametrize("change", CHANGES)
def test_the_points_of_a_batch_that_were_changed_in_kind_are_not_used_again(change):
    x0 = X0 + np.linspace(0, 1, 5)[:, None]
    shapes = []

    def fun(X):
        shapes.append((X.ndim, X.shape[-1], X.dtype, X.flags.writeable))
        answers = [rosen_fg(x) for x in X.copy()]
        change(X)
        return [f for f, _ in answers], [g for _, g in answers]

    res = minimize_batch(fun, x0, **LONG)
    assert set(shapes) == {(2, X0.size, np.dtype(float), True)}
    for i, start in enumerate(x0):
        alone = minimize_lbfgsb(x0=start, fun=rosen_fg, jac=True, **LONG)
        np.testing.assert_array_equal(res.x[i], alone.x)


def test_an_objective_cannot_run_the_solver_that_evaluates_it():
    solver = Solver(np.array([-1.2, 1.0]))

    def fun(x):
        solver.run(lambda y: (y @ y, 2 * y))
        return x @ x, 2 * x

    with pytest.raises(RuntimeError, match="in use"):
        solver.run(fun)
    assert solver.run(lambda x: (x @ x, 2 * x))    # it can go on
    np.testing.assert_allclose(solver.x, 0, atol=1e-5)
