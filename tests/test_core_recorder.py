"""The rows of a history in the core, and a solver that changes its number of pairs."""

import pickle

import numpy as np
import pytest
from lbfgsb._core.recorder import Recorder, Table
from naive import DONE, ITERATE, START, TRIAL, core_solver
from problems import random_problem, rosen_fg, same_bits

TOLERANCES = {"ftol": 1e-13, "gtol": 1e-8, "maxiter": 200}


# --- tables -------------------------------------------------------------------------------


def recorded(rows, n=3, x_every=1):
    """A recorder with `rows` rows, which tell their number."""
    recorder = Recorder(x_every, 0)
    add(recorder, rows, n)
    return recorder


def add(recorder, rows, n=3):
    for k in range(len(recorder) + 1, len(recorder) + rows + 1):
        recorder._append(k, k + 0.1, k + 0.2, k + 0.3, k + 0.4, k + 0.5, k + 0.6, np.full(n, k))


@pytest.mark.parametrize("rows", [0, 1, 63, 64, 65, 127, 128, 129, 1000], ids=str)
def test_rows_are_all_there_after_any_number_of_doublings(rows):
    numbers, points, _, _ = recorded(rows)._tables()
    k = np.arange(1, rows + 1)
    assert same_bits(numbers[:, :7], np.add.outer(k, [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]))
    if rows:
        assert same_bits(points, np.repeat(k, 4).reshape(rows, 4))
    else:
        assert points is None


def test_where_no_vectors_are_asked_for_none_are_kept():
    numbers, *vectors = recorded(5, x_every=0)._tables()
    assert numbers[:, 0].tolist() == [1, 2, 3, 4, 5]
    assert vectors == [None, None, None]


def test_a_long_vector_takes_no_room_for_more_than_itself():
    n = 10**6
    recorder = Recorder(1, 0)
    recorder._append(1, 1, 1, 1.0, 1, 1, 0, np.ones(n))
    points = recorder._tables()[1]
    assert points.base.nbytes == points.nbytes == 8 * (n + 1)


def test_a_copy_and_its_original_go_on_apart():
    one = recorded(100)
    two = one.copy()
    before = one._tables()
    shared = [table.copy() for table in before[:2]]
    assert np.shares_memory(before[0], two._tables()[0])
    add(one, 10)
    two._append(101, 0, 0, -1.0, 0, 0, 0, np.full(3, -1.0))
    assert (len(one), len(two)) == (110, 101)
    assert one._tables()[0][100, 3] == 101.3
    assert two._tables()[0][100, 3] == -1.0
    assert two._tables()[1][100].tolist() == [101, -1, -1, -1]
    assert all(same_bits(a, b) for a, b in zip(before[:2], shared, strict=True))


def test_another_number_of_variables_is_an_error():
    recorder = recorded(2)
    with pytest.raises(ValueError, match="the history is of 3 variables; x has 4"):
        recorder._append(3, 0, 0, 0.0, 0, 0, 0, np.zeros(4))


@pytest.mark.parametrize("rows", [0, 5, 200], ids=str)
def test_tables_pickle_without_their_spare_room(rows):
    table = Table(np.dtype(np.int8), 7, np.arange(rows * 7, dtype=np.int8).reshape(rows, 7))
    again = pickle.loads(pickle.dumps(table))
    assert again.rows().tolist() == table.rows().tolist()
    assert (again.dtype, again.width, again.length) == (np.int8, 7, rows)


# --- another maxcor -----------------------------------------------------------------------


PROBLEM = random_problem(3, 25)


def problems(name, **options):
    options = TOLERANCES | options
    if name == "bounds":
        return core_solver(PROBLEM.x0, PROBLEM.lower, PROBLEM.upper, **options), PROBLEM.fg
    return core_solver(np.tile([-1.2, 1.0], 4), **options), rosen_fg


def step(solver, fg):
    """One evaluation, or the start of a line search."""
    if solver._phase == ITERATE:
        solver._advance()
    else:
        solver._tell(*fg(solver._point()))


def finish(solver, fg):
    while solver._phase != DONE:
        step(solver, fg)
    return [solver.x, solver.jac, solver.fun, solver.nit, solver.nfev, *solver._pairs()]


@pytest.mark.parametrize("name", ["bounds", "free"])
@pytest.mark.parametrize("maxcor", [1, 4, 12], ids=str)
def test_a_new_maxcor_at_every_phase_is_a_snapshot_restored(name, maxcor):
    solver, fg = problems(name, maxcor=6)
    phases = set()
    for _ in range(60):
        if solver._phase == DONE:
            break
        phases.add(solver._phase)
        restored, _ = problems(name, maxcor=maxcor)
        restored._restore(solver._snapshot())
        changed, _ = problems(name, maxcor=6)
        changed._restore(solver._snapshot())
        changed._set_maxcor(maxcor)
        assert changed._limits["maxcor"] == changed.maxcor == maxcor
        ends = zip(finish(changed, fg), finish(restored, fg), strict=True)
        assert all(same_bits(a, b) for a, b in ends)
        step(solver, fg)
    assert phases == {START, TRIAL, ITERATE}


def test_the_same_maxcor_keeps_the_state_where_it_is():
    solver, fg = problems("bounds", maxcor=6)
    for _ in range(20):
        step(solver, fg)
    before = pickle.dumps(solver._snapshot())
    solver._set_maxcor(6)
    assert pickle.dumps(solver._snapshot()) == before


def test_without_memory_the_solver_stays_as_it_was():
    solver, fg = problems("bounds", maxcor=6)
    for _ in range(20):
        step(solver, fg)
    before = pickle.dumps(solver._snapshot())
    with pytest.raises(MemoryError):
        solver._set_maxcor(2**61)
    assert pickle.dumps(solver._snapshot()) == before
    assert solver.maxcor == solver._limits["maxcor"] == 6
