"""The modified secant equation: the factors, when they are 1, and that nothing forgets them."""

import pickle

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from naive import core_solver, drive
from problems import assert_same_run, random_problem, rosen_fg, same_bits, through_every_door

from lbfgsb import Solver, minimize_lbfgsb
from lbfgsb.benchmarks import compiled_rosenbrock

many = settings(max_examples=200, derandomize=True)
SMALL, LARGE = 1 / 3, 3.0


def factors(solver):
    return solver._pairs()[2]


def after_a_step(fg, x0, **options):
    """The solver after its first iterate from x0, or None if no pair was taken."""
    solver = core_solver(x0, maxcor=3, **options)
    for _ in drive(solver, fg, 1):
        pass
    return solver if solver.nit == 1 and solver._details["pairs"] == 1 else None


# --- what a factor is ---------------------------------------------------------------------


@many
@given(st.floats(-3, 3), st.floats(0.1, 10), st.floats(-2, 2), st.floats(0.01, 1), st.booleans())
def test_of_a_cubic_it_gives_the_curvature_at_the_end_of_the_step(x0, b, a, length, bounded):
    """f = a x³ + b x²: c sᵀy is s² f''(x), exactly."""

    def fg(x):
        x = x[0]
        return a * x**3 + b * x**2, np.array([3 * a * x * x + 2 * b * x])

    box = (np.array([-50.0]), np.array([50.0])) if bounded else (None, None)
    solver = core_solver([x0], *box, maxcor=3, max_steplength=length)
    f0, g0 = fg([x0])
    for _ in drive(solver, fg, 1):
        pass
    assume(solver.nit == 1 and solver._details["pairs"] == 1)
    S, Y, secant = solver._pairs()
    s, y = S[0, 0], Y[0, 0]
    assume(s * y > 1e-3 * max(abs(f0), abs(solver.fun), abs(s * g0[0])))  # above rounding errors
    exact = (6 * a * solver.x[0] + 2 * b) * s / y
    assert secant[0] == pytest.approx(np.clip(exact, SMALL, LARGE), rel=1e-6)


@pytest.mark.parametrize("scale", [None, np.array([1e-3, 10.0, 1.0, 1e4])])
def test_of_a_quadratic_it_is_one_whatever_the_scale(scale):
    d = np.array([1.0, 5.0, 20.0, 0.3])

    def fg(x):
        return float(0.5 * (d * x * x).sum()), d * x

    solver = core_solver([3.0, -1.0, 2.0, 5.0], maxcor=20, x_scale=scale)
    for _ in drive(solver, fg, 6):
        pass
    assert len(factors(solver)) > 3
    np.testing.assert_allclose(factors(solver)[:4], 1.0, rtol=1e-9)


def test_every_factor_of_a_run_is_that_of_f_and_the_slopes():
    """With the iterates, f and gradients of the run alone, in a box, with the projected steps."""
    problem = random_problem(5, 30)
    solver = core_solver(problem.x0, problem.lower, problem.upper, maxcor=40)
    before, differ = None, 0
    for _ in drive(solver, problem.fg, 30):
        now = solver.x, solver.jac, solver.fun
        if before is not None and solver._details["skipped"] == 0:
            s, y = now[0] - before[0], now[1] - before[1]
            noise = 6 * 1.2e-13 * max(abs(now[2]), abs(before[2]))
            change = 6 * (before[2] - now[2]) + 3 * s @ (before[1] + now[1])
            c = 1.0 if noise > 0.05 * (s @ y) else np.clip(1 + change / (s @ y), SMALL, LARGE)
            assert factors(solver)[-1] == pytest.approx(c, rel=1e-6)
            differ += c != 1
        before = now
    assert differ > 10
    assert {SMALL, LARGE} & set(factors(solver)) or differ > 20


# --- when it is one -----------------------------------------------------------------------


def test_the_standard_equation_has_no_factors():
    solver = core_solver(np.tile([-1.2, 1.0], 5), maxcor=9, secant=0)
    for _ in drive(solver, rosen_fg, 12):
        assert (factors(solver) == 1).all()


@pytest.mark.parametrize(("offset", "trusted"), [(0.0, True), (1e9, True), (1e14, False)])
def test_rounding_errors_of_f_are_not_taken_for_curvature(offset, trusted):
    def fg(x):
        return offset + float((x**4).sum()), 4 * x**3

    solver = after_a_step(fg, [2.0, 3.0])
    assert (factors(solver)[0] != 1) == trusted


@pytest.mark.parametrize(("precision", "trusted"), [(0.0, True), (1e-10, True), (0.1, False)])
def test_nor_is_what_is_below_the_precision_of_f(precision, trusted):
    solver = after_a_step(
        lambda x: (float((x**4).sum()), 4 * x**3), [2.0, 3.0], fun_precision=precision
    )
    assert (factors(solver)[0] != 1) == trusted


SPACING = 2.0**-12  # of numbers at 2**40


@pytest.mark.parametrize(("x0", "moved", "factor"), [(0.0, 0.6, 3.0), (2.0**40, 1.0, 1.0)])
def test_a_step_that_rounding_has_bent_has_no_factor(x0, moved, factor):
    """Where x can't move by 0.6 spacings, sᵀy is not what the slopes along d say."""
    solver = core_solver([x0], maxcor=3, max_steplength=0.1 * SPACING)
    solver._tell(0.0, np.array([-6.0]))
    solver._advance()
    assert solver._point()[0] - x0 == pytest.approx(moved * SPACING)
    assert solver._tell(-4 * SPACING, np.array([-3.0]))
    assert factors(solver) == [factor]


# --- nothing forgets them -----------------------------------------------------------------


LONG = {"ftol": 0.0, "gtol": 1e-9, "maxiter": 200}


@pytest.mark.parametrize("n", [2, 20, 40])
@pytest.mark.parametrize("box", [False, True], ids=["free", "box"])
@pytest.mark.parametrize("maxcor", [None, 4])
def test_a_run_goes_on_to_the_same_bits(n, box, maxcor):
    problem = random_problem(2, n)
    given = {
        "fun": problem.fg, "jac": True, "bounds": problem.bounds if box else None, "maxcor": maxcor,
    }  # fmt: skip
    whole = minimize_lbfgsb(x0=problem.x0, **given | LONG)
    differ = n == 2  # which has a step or two
    for stop in (1, 3, 9):
        part = minimize_lbfgsb(x0=problem.x0, **given | LONG | {"maxiter": stop})
        differ = differ or (part.hess_inv.secant != 1).any()
        for checkpoint in (part, pickle.loads(pickle.dumps(part))):
            assert_same_run(
                minimize_lbfgsb(x0=part.x, checkpoint=checkpoint, **given | LONG), whole
            )
    assert differ


@pytest.mark.parametrize("n", [6, 40])
def test_a_pickled_solver_has_them_and_a_smaller_memory_the_newest(n):
    problem = random_problem(2, n)
    solver = Solver(problem.x0, problem.bounds, maxcor=9, **LONG)
    solver.run(problem.fg, iterations=8)
    held = factors(solver)
    assert len(held) == 8
    assert (held != 1).any()
    assert same_bits(factors(pickle.loads(pickle.dumps(solver))), held)
    solver._set_maxcor(3)
    assert same_bits(factors(solver), held[-3:])


def test_a_snapshot_without_factors_has_ones():
    problem = random_problem(2, 20)
    solver = Solver(problem.x0, problem.bounds, secant="standard", **LONG)
    solver.run(problem.fg, iterations=8)
    snapshot = solver._snapshot()
    del snapshot["secant"]
    again = Solver(problem.x0, problem.bounds, secant="standard", **LONG)
    again._restore(snapshot)
    assert (factors(again) == 1).all()
    solver.run(problem.fg)
    again.run(problem.fg)
    assert_same_run(again.result(), solver.result())


@pytest.mark.parametrize(("n", "bounded"), [(8, True), (25, True), (40, False)])
@pytest.mark.parametrize("x_scale", [None, 0.25])
def test_an_update_that_changes_nothing_changes_nothing(n, bounded, x_scale):
    """In a box with more variables the products over the free ones are summed anew."""
    problem = random_problem(2, n)
    given = {
        "x0": problem.x0, "fun": problem.fg, "jac": True, "maxcor": 5, "x_scale": x_scale,
        "bounds": problem.bounds if bounded else None,
    }  # fmt: skip
    updated = minimize_lbfgsb(
        **given | LONG, update_fun_def=lambda x, f, f_old, g, xs, gs: (f, f_old, g, gs)
    )
    assert_same_run(updated, minimize_lbfgsb(**given | LONG))
    assert updated.nit > 5


def test_pairs_of_another_objective_have_no_factors():
    weight = [1.0]

    def fg(x):
        f, g = rosen_fg(x)
        return f + weight[0] * float(x @ x), g + 2 * weight[0] * x

    def update(x, f, f_old, g, xs, gs):
        if len(xs) < 4:
            return f, f_old, g, gs
        weight[0] += 1.0
        new = [h + 2 * y for y, h in zip(xs, gs, strict=True)]
        seen.append(len(xs))
        return f + float(x @ x), f_old, g + 2 * x, type(gs)(new, gs.maxlen)

    seen = []
    res = minimize_lbfgsb(
        x0=np.tile([-1.2, 1.0], 4), fun=fg, jac=True, update_fun_def=update, maxiter=6, ftol=0
    )
    assert seen
    assert (res.hess_inv.secant == 1).all()


# --- the doors ----------------------------------------------------------------------------


@pytest.mark.parametrize("secant", ["standard", "modified"])
def test_every_door_takes_it_to_the_same_bits(secant):
    x0 = np.tile([-1.2, 1.0], 5)
    given = {"ftol": 0.0, "gtol": 1e-8, "maxiter": 300, "secant": secant}
    res = through_every_door(x0, **given)
    other = {"standard": "modified", "modified": "standard"}[secant]
    given["secant"] = other
    assert minimize_lbfgsb(x0=x0, fun=rosen_fg, jac=True, **given).nfev != res.nfev


@pytest.mark.parametrize("secant", ["Modified", "", 1, None, True])
def test_another_word_is_refused(secant):
    with pytest.raises(ValueError, match="secant must be 'modified' or 'standard'; got"):
        minimize_lbfgsb(x0=[1.0], fun=rosen_fg, jac=True, secant=secant)


@pytest.mark.parametrize("threads", [2, 5])
def test_threads_change_no_bit(threads):
    x0 = np.tile([-1.2, 1.0], 40_000)
    runs = [
        minimize_lbfgsb(x0=x0, fun=compiled_rosenbrock, maxiter=12, threads=k) for k in (1, threads)
    ]
    assert_same_run(*runs)
    assert (runs[0].hess_inv.secant != 1).any()


# --- as many pairs as suit n --------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "maxcor"), [(1, 6), (2, 6), (3, 30), (32, 30), (33, 10), (1000, 10)]
)
def test_maxcor_is_chosen_by_the_number_of_variables(n, maxcor):
    solver = Solver(np.ones(n))
    assert solver.maxcor == maxcor
    assert solver.maxcor == Solver(np.ones(n), maxcor=None).maxcor
    assert pickle.loads(pickle.dumps(solver)).maxcor == maxcor
    seen = []
    minimize_lbfgsb(
        x0=np.full(n, 0.5), fun=lambda x: (x @ x, 2 * x), jac=True,
        callback=lambda xk, state: seen.append(state.options["maxcor"]) and None,
    )  # fmt: skip
    assert seen[0] == maxcor


@pytest.mark.parametrize("n", [3, 20, 40])
@pytest.mark.parametrize("maxcor", [1, 12, 50])
def test_a_maxcor_that_is_given_is_obeyed(n, maxcor):
    res = minimize_lbfgsb(
        x0=np.tile([-1.2, 1.0], n)[:n], fun=rosen_fg, jac=True, maxcor=maxcor, maxiter=60, ftol=0,
        gtol=0,
    )  # fmt: skip
    assert Solver(np.ones(n), maxcor=maxcor).maxcor == maxcor
    assert res.hess_inv.n_corrs <= maxcor
    assert res.hess_inv.n_corrs == maxcor or res.nit < 55


@pytest.mark.parametrize("maxcor", [0, -1, 2.5, "10"])
def test_maxcor_has_to_be_one_at_least(maxcor):
    with pytest.raises((TypeError, ValueError), match="maxcor"):
        Solver([1.0], maxcor=maxcor)


def test_a_callback_may_leave_it_open_again():
    problem = random_problem(3, 20)
    seen = []

    def callback(xk, state):
        if state.nit == 5:
            state.update(maxcor=None)
        seen.append(state.options["maxcor"])

    minimize_lbfgsb(
        x0=problem.x0, fun=problem.fg, jac=True, bounds=problem.bounds, maxcor=4, callback=callback
    )
    assert seen[3:6] == [4, 30, 30]
