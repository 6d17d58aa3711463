"""`Solver`: the state machine, driven by its user."""

import copy
import pickle

import numpy as np
import pytest
from problems import (
    BOX,
    LOWER,
    UPPER,
    X0,
    assert_same_run,
    bowl,
    bowl_grad,
    projected_gradient,
    random_problem,
    rosen,
    rosen_fg,
    rosen_grad,
    same_bits,
)
from scipy.optimize import Bounds, OptimizeResult

from lbfgsb import Solver, minimize_lbfgsb


def drive(solver, fg=rosen_fg):
    """Ask and tell until the solver is done; return its result."""
    while not solver.done:
        solver.tell(*fg(solver.ask()))
    return solver.result()


def test_the_loop_of_the_documentation_is_minimize_lbfgsb():
    assert_same_run(drive(Solver(X0)), minimize_lbfgsb(x0=X0, fun=rosen_fg, jac=True))
    assert_same_run(
        drive(Solver(X0, bounds=BOX)), minimize_lbfgsb(x0=X0, fun=rosen_fg, jac=True, bounds=BOX)
    )


@pytest.mark.parametrize(
    "options",
    [
        {"maxcor": 3},
        {"ftarget": 0.5},
        {"ftol": 1e-12},
        {"gtol": 1e-1},
        {"maxiter": 4},
        {"maxfun": 9},
        {"maxls": 3},
        {"max_steplength": 0.3},
        {"ftol_linesearch": 1e-4, "gtol_linesearch": 0.2, "xtol_linesearch": 1e-3},
        {"eps_SY": 1e-3},
        {"threads": 2},
        {"is_check_factorizations": True},
    ],
    ids=lambda options: next(iter(options)),
)
def test_options_are_those_of_minimize_lbfgsb(options):
    assert_same_run(
        drive(Solver(X0, bounds=BOX, **options)),
        minimize_lbfgsb(x0=X0, fun=rosen_fg, jac=True, bounds=BOX, **options),
    )


@pytest.mark.parametrize("seed", range(6))
def test_random_problems_give_the_bits_of_minimize_lbfgsb(seed):
    p = random_problem(seed, 10)
    asked, seen = [], []

    def fg(x):
        asked.append(x.copy())
        return p.fg(x)

    def fun(x):
        seen.append(x.copy())
        return p.fg(x)

    res = drive(Solver(p.x0, p.bounds, ftol=1e-12), fg)
    assert_same_run(res, minimize_lbfgsb(x0=p.x0, fun=fun, jac=True, bounds=p.bounds, ftol=1e-12))
    assert same_bits(asked, seen)


@pytest.mark.parametrize("bounds", [BOX, BOX.tolist(), Bounds(LOWER, UPPER), Bounds(-2, 2)])
def test_forms_of_bounds(bounds):
    assert_same_run(drive(Solver(X0, bounds=bounds)), drive(Solver(X0, bounds=BOX)))


def test_ask_gives_the_clipped_start_first():
    solver = Solver([-7, 1], bounds=BOX)
    assert same_bits(solver.ask(), [-2.0, 1.0])
    assert same_bits(solver.x, [-2.0, 1.0])
    assert not solver.done
    assert (solver.nit, solver.nfev, solver.njev) == (0, 0, 0)
    assert np.isnan([solver.fun, *solver.jac, solver.projected_gradient]).all()


def test_ask_twice_gives_the_same_point():
    solver = Solver(X0)
    while not solver.done:
        x = solver.ask()
        assert same_bits(solver.ask(), x)
        assert same_bits(solver.ask(), x)
        solver.tell(*rosen_fg(x))
    assert_same_run(solver.result(), drive(Solver(X0)))


def test_points_handed_out_may_be_scribbled_on():
    solver = Solver(X0, bounds=BOX)
    while not solver.done:
        x = solver.ask()
        wanted = x.copy()
        x[:] = np.nan
        assert same_bits(solver.ask(), wanted)
        solver.x[:] = np.nan
        if solver.nit:
            solver.jac[:] = np.nan
        solver.tell(*rosen_fg(wanted))
    assert_same_run(solver.result(), drive(Solver(X0, bounds=BOX)))


def test_points_handed_out_are_not_written_again():
    solver = Solver(X0)
    kept, copies = [], []
    while not solver.done:
        x = solver.ask()
        kept += [x, solver.x]
        copies += [x.copy(), solver.x.copy()]
        solver.tell(*rosen_fg(x))
    assert all(same_bits(a, b) for a, b in zip(kept, copies, strict=True))


def test_a_gradient_may_be_overwritten_after_it_was_told():
    solver = Solver(X0)
    buffer = np.empty(2)
    while not solver.done:
        f, buffer[:] = rosen_fg(solver.ask())
        solver.tell(f, buffer)
        buffer[:] = np.nan
    assert_same_run(solver.result(), drive(Solver(X0)))


def test_x0_may_change_afterwards():
    x0, bounds = X0.copy(), BOX.copy()
    solver = Solver(x0, bounds)
    x0[:] = np.nan
    bounds[:] = 0.0
    assert_same_run(drive(solver), drive(Solver(X0, BOX)))


def test_tell_says_when_an_iteration_is_complete():
    solver = Solver(X0)
    complete = 0
    first = solver.tell(*rosen_fg(solver.ask()))
    assert first is False
    while not solver.done:
        before = solver.nit
        told = solver.tell(*rosen_fg(solver.ask()))
        assert type(told) is bool
        complete += told
        assert solver.nit == complete == before + told
    assert complete == solver.result().nit


def test_the_state_is_that_of_the_last_accepted_iterate():
    iterates = []
    minimize_lbfgsb(
        x0=X0,
        fun=rosen_fg,
        jac=True,
        bounds=BOX,
        callback=lambda xk, state: iterates.append((xk.copy(), state.nfev)) and False,
    )
    solver = Solver(X0, BOX)
    tells = 0
    while not solver.done:
        complete = solver.tell(*rosen_fg(solver.ask()))
        tells += 1
        assert solver.nfev == solver.njev == tells
        x = iterates[solver.nit - 1][0] if solver.nit else X0
        if complete:
            assert iterates[solver.nit - 1][1] == tells
        assert same_bits(solver.x, x)
        assert solver.fun == rosen(x)
        assert same_bits(solver.jac, rosen_grad(x))
        assert solver.projected_gradient == projected_gradient(x, rosen_grad(x), LOWER, UPPER)
        if not solver.done:
            assert (solver.status, solver.message) == (-1, "RUNNING")
    res = solver.result()
    assert (solver.status, solver.message) == (res.status, res.message)
    assert solver.status == 0


def test_result_before_the_end_is_the_last_accepted_iterate():
    solver = Solver(X0)
    while solver.nit < 6:
        solver.tell(*rosen_fg(solver.ask()))
    solver.tell(*rosen_fg(solver.ask()))
    res = solver.result()
    assert isinstance(res, OptimizeResult)
    assert same_bits(res.x, solver.x)
    assert same_bits(res.fun, rosen(res.x))
    assert same_bits(res.jac, rosen_grad(res.x))
    assert res.success is False
    assert (res.nit, res.nfev) == (solver.nit, solver.nfev)
    assert_same_run(drive(solver), drive(Solver(X0)))


def test_a_result_taken_on_the_way_is_a_checkpoint():
    whole = minimize_lbfgsb(x0=X0, fun=rosen_fg, jac=True)
    solver = Solver(X0)
    while not solver.done:
        solver.tell(*rosen_fg(solver.ask()))
        res = solver.result()
        resumed = minimize_lbfgsb(x0=res.x, fun=rosen_fg, jac=True, checkpoint=res)
        assert_same_run(resumed, whole)


def test_result_may_be_taken_twice():
    solver = Solver(X0)
    drive(solver)
    assert_same_run(solver.result(), solver.result())


@pytest.mark.parametrize(
    ("f", "g"),
    [
        (1.0, np.zeros(3)),
        (1.0, np.zeros(1)),
        (1.0, np.zeros((2, 2))),
        (1.0, []),
        (1.0, None),
        (1.0, np.zeros(2) + 1j),
        (1.0, ["a", "b"]),
        ([1.0, 2.0], np.zeros(2)),
        (1j, np.zeros(2)),
        (None, np.zeros(2)),
        ("a", np.zeros(2)),
    ],
    ids=repr,
)
@pytest.mark.parametrize("tells", [0, 1, 5])
def test_a_wrong_tell_raises_and_changes_nothing(f, g, tells):
    solver = Solver(X0)
    for _ in range(tells):
        solver.tell(*rosen_fg(solver.ask()))
    x, state = solver.ask(), (solver.nit, solver.nfev, solver.njev, solver.status)
    with pytest.raises((TypeError, ValueError)):
        solver.tell(f, g)
    assert (solver.nit, solver.nfev, solver.njev, solver.status) == state
    assert same_bits(solver.ask(), x)
    assert_same_run(drive(solver), drive(Solver(X0)))


@pytest.mark.parametrize("form", [list, lambda g: g[:, None], lambda g: g.astype(">f8")])
def test_forms_of_g(form):
    def fg(x):
        f, g = rosen_fg(x)
        return np.array([f]), form(g)

    assert_same_run(drive(Solver(X0), fg), drive(Solver(X0)))


def test_tell_before_ask_raises():
    solver = Solver(X0)
    with pytest.raises((RuntimeError, ValueError)):
        solver.tell(*rosen_fg(X0))
    assert_same_run(drive(solver), drive(Solver(X0)))


def test_tell_twice_for_one_ask_raises():
    solver = Solver(X0)
    told = rosen_fg(solver.ask())
    solver.tell(*told)
    with pytest.raises((RuntimeError, ValueError)):
        solver.tell(*told)
    assert_same_run(drive(solver), drive(Solver(X0)))


def test_tell_after_the_end_raises():
    solver = Solver(X0)
    res = drive(solver)
    with pytest.raises((RuntimeError, ValueError)):
        solver.tell(*rosen_fg(X0))
    assert_same_run(solver.result(), res)


@pytest.mark.parametrize("travel", ["pickle", "deepcopy"])
def test_a_solver_travels_at_any_moment(travel):
    go = {"pickle": lambda s: pickle.loads(pickle.dumps(s)), "deepcopy": copy.deepcopy}[travel]
    whole = drive(Solver(X0, BOX, maxcor=4))
    solver = Solver(X0, BOX, maxcor=4)
    while not solver.done:
        assert_same_run(drive(go(solver)), whole)
        x = solver.ask()
        arrived = go(solver)
        assert same_bits(arrived.ask(), x)
        assert_same_run(drive(arrived), whole)
        arrived = go(solver)
        arrived.tell(*rosen_fg(x))
        assert_same_run(drive(arrived), whole)
        solver.tell(*rosen_fg(x))
    assert_same_run(solver.result(), whole)
    arrived = go(solver)
    assert arrived.done
    assert_same_run(arrived.result(), whole)


def test_two_solvers_may_be_driven_in_turn():
    a, b = Solver(X0), Solver([1.5, -1.0], BOX)
    while not (a.done and b.done):
        for solver in a, b:
            if not solver.done:
                solver.tell(*rosen_fg(solver.ask()))
    assert_same_run(a.result(), drive(Solver(X0)))
    assert_same_run(b.result(), drive(Solver([1.5, -1.0], BOX)))


@pytest.mark.parametrize("bounds", [None, [(-5, None)], [(-5, 2.5)], [(4, 5)]])
def test_one_variable(bounds):
    solver = Solver([-4.0], bounds, gtol=1e-9, ftol=0)
    res = drive(solver, lambda x: (bowl(x), bowl_grad(x)))
    lower, upper = (bounds or [(-np.inf, None)])[0]  # NumPy 2.0 clips to one of them at least
    np.testing.assert_allclose(res.x, np.clip(3.0, lower, upper), rtol=1e-9)
    assert res.success


def test_all_variables_fixed():
    solver = Solver([3.0, 3.0], [(0.5, 0.5), (1, 1)])
    assert same_bits(solver.ask(), [0.5, 1.0])
    assert solver.tell(*rosen_fg(solver.ask())) is False
    assert solver.done
    res = solver.result()
    assert (res.nit, res.nfev, res.status, res.projected_gradient) == (0, 1, 0, 0.0)
    assert same_bits(res.x, [0.5, 1.0])


def test_a_start_that_meets_a_test_is_done_after_one_tell():
    for options in {"gtol": 1e6}, {"ftarget": 1e6}, {"maxiter": 0}, {"maxfun": 1}, {"maxfun": 0}:
        solver = Solver(X0, **options)
        solver.tell(*rosen_fg(solver.ask()))
        assert solver.done
        assert solver.result().nit == 0


def test_non_finite_trials_back_off():
    def fg(x):
        return rosen_fg(x) if (np.abs(x) < 1.3).all() else (np.nan, np.full(2, np.nan))

    res = drive(Solver(X0, ftol=1e-12, maxiter=200), fg)
    np.testing.assert_allclose(res.x, 1.0, atol=1e-4)
    assert res.success


def test_a_non_finite_start_is_a_failure():
    solver = Solver(X0)
    solver.ask()
    solver.tell(np.nan, np.zeros(2))
    assert solver.done
    assert (solver.status, solver.result().success) == (2, False)
    assert "finite" in solver.message.lower()


@pytest.mark.parametrize(
    ("args", "options", "name"),
    [
        (([],), {}, "x0"),
        (([np.nan, 1.0],), {}, "x0"),
        ((X0, [(0, 1)]), {}, "bounds"),
        ((X0, [(1, 0), (0, 1)]), {}, "bound"),
        ((X0,), {"maxcor": 0}, "maxcor"),
        ((X0,), {"maxls": 0}, "maxls"),
        ((X0,), {"ftol": -1}, "ftol"),
        ((X0,), {"gtol": -1}, "gtol"),
        ((X0,), {"maxiter": -1}, "maxiter"),
        ((X0,), {"ftol_linesearch": 0.95}, "ftol_linesearch"),
        ((X0,), {"no_such_option": 1}, "no_such_option"),
    ],
)
def test_bad_input(args, options, name):
    with pytest.raises((TypeError, ValueError), match=name):
        Solver(*args, **options)
