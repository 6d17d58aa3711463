"""The diagonal matrix that the pairs of few variables update, against the formula and for its
use."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive import bfgs_matrix, core_solver, drive
from problems import assert_same_run, random_problem, same_bits, through_every_door

from lbfgsb import Solver, load_checkpoint, minimize_lbfgsb

many = settings(max_examples=60, derandomize=True)
LONG = {"ftol": 0.0, "gtol": 1e-7, "maxiter": 500}


def updated(D, s, y):
    """The formula of Gilbert and Lemaréchal (1989) for D ≈ H, scaled along y."""
    D = D * (y @ s) / (y @ (D * y))
    B = np.diag(1 / D)
    Bs = B @ s
    new = 1 / np.diag(B - np.outer(Bs, Bs) / (s @ Bs) + np.outer(y, y) / (s @ y))
    return new * (y @ s) / (y @ (new * y))


def diagonal_of(solver):
    return solver._snapshot()["diagonal"]


# --- what it is ---------------------------------------------------------------------------


@many
@given(st.integers(1, 32), st.integers(1, 5), st.integers(0, 10**6), st.booleans())
def test_each_step_of_a_run_is_that_of_the_formula(n, maxcor, seed, bounded):
    problem = random_problem(seed, n)
    box = (problem.lower, problem.upper) if bounded else (None, None)
    options = {"maxcor": maxcor, "compact": False, "initial_scaling": 1, "extra_updates": 2}
    solver = core_solver(problem.x0, *box, **options)
    D, newest = None, None
    for _ in drive(solver, problem.fg, 15):
        S, Y, secant = solver._pairs()
        if not len(S) or (newest is not None and same_bits(S[-1], newest)):
            continue
        newest, y = S[-1], secant[-1] * Y[-1]
        if len(S) == 1:
            D = np.full(n, (newest @ y) / (y @ y))
        D = updated(D, newest, y)
        np.testing.assert_allclose(diagonal_of(solver), D, rtol=1e-8)
        D = diagonal_of(solver)


def test_of_a_separable_quadratic_it_comes_near_to_the_hessian():
    d = 10.0 ** np.arange(-3, 4)
    solver = Solver(np.ones(7), maxiter=60, gtol=0, ftol=0, maxcor=3)
    solver.run(lambda x: (0.5 * d @ x**2, d * x))
    assert (abs(np.log10(diagonal_of(solver) * d)) < 1).all()


# --- what it is for -----------------------------------------------------------------------


@pytest.mark.parametrize("box", [False, True], ids=["free", "box"])
def test_variables_of_different_sizes_need_no_x_scale(box):
    total = dict.fromkeys(("diagonal", "scalar"), 0)
    for seed in range(40):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(200, 12)) * 10.0 ** rng.uniform(-2, 2, 12)
        sign = np.where(rng.random(200) < 0.5, -1.0, 1.0)

        def logistic(w, X=X, sign=sign):
            z = sign * (X @ w)
            slope = -sign * np.exp(-np.logaddexp(0, z))
            return np.logaddexp(0, -z).sum() + 0.5 * w @ w, X.T @ slope + w

        for scaling in total:
            res = minimize_lbfgsb(
                x0=np.zeros(12), fun=logistic, jac=True, bounds=[(0, None)] * 12 if box else None,
                initial_scaling=scaling, **LONG,
            )  # fmt: skip
            assert res.success
            total[scaling] += res.nfev
    assert total["diagonal"] < 0.8 * total["scalar"]


# --- the option ---------------------------------------------------------------------------


def test_the_default_is_one_of_the_two():
    problem = random_problem(1, 12)
    given = {"x0": problem.x0, "fun": problem.fg, "jac": True, "bounds": problem.bounds}
    runs = {
        scaling: minimize_lbfgsb(**given, initial_scaling=scaling, **LONG)
        for scaling in (None, "diagonal", "scalar")
    }
    assert_same_run(runs[None], runs["diagonal"])
    assert not same_bits(runs["scalar"].x, runs["diagonal"].x)
    plain = {"secant": "standard"} | LONG
    assert_same_run(
        minimize_lbfgsb(**given, **plain),
        minimize_lbfgsb(**given, **plain, initial_scaling="scalar", extra_updates=0),
    )


@pytest.mark.parametrize(
    ("n", "secant", "expected"),
    [(1, "modified", 0), (2, "modified", 0), (3, "modified", 1), (32, "modified", 1),
     (33, "modified", 0), (12, "standard", 0)],
)  # fmt: skip
def test_it_is_chosen_by_the_number_of_variables(n, secant, expected):
    assert Solver(np.ones(n), secant=secant)._chosen["initial_scaling"] == expected


def test_it_is_of_no_effect_for_more_variables():
    problem = random_problem(1, 33)
    given = {"x0": problem.x0, "fun": problem.fg, "jac": True, "bounds": problem.bounds}
    runs = [minimize_lbfgsb(**given, initial_scaling=each) for each in ("diagonal", "scalar")]
    assert_same_run(*runs)
    assert "diagonal" not in Solver(problem.x0)._snapshot()


@pytest.mark.parametrize("wrong", ["Diagonal", "", 1, True])
def test_another_word_is_refused(wrong):
    with pytest.raises(ValueError, match="initial_scaling must be 'diagonal' or 'scalar'; got"):
        Solver([1.0], initial_scaling=wrong)


@pytest.mark.parametrize("scaling", ["diagonal", "scalar"])
def test_every_door_takes_it_to_the_same_bits(scaling):
    x0 = np.resize([-1.2, 1.0], 9)
    res = through_every_door(x0, initial_scaling=scaling, **LONG)
    other = {"diagonal": "scalar", "scalar": "diagonal"}[scaling]
    assert not same_bits(through_every_door(x0, initial_scaling=other, **LONG).x, res.x)


# --- it is part of the run ----------------------------------------------------------------


@pytest.mark.parametrize("x_scale", [None, 0.25])
@pytest.mark.parametrize("maxcor", [None, 2])
def test_a_run_goes_on_to_the_same_bits(tmp_path, x_scale, maxcor):
    problem = random_problem(2, 9)
    given = {"fun": problem.fg, "jac": True, "bounds": problem.bounds, "x_scale": x_scale}
    given |= LONG | {"maxcor": maxcor}
    whole = minimize_lbfgsb(x0=problem.x0, **given)
    for stop in (1, 4, 9):
        path = tmp_path / f"{stop}.npz"
        part = minimize_lbfgsb(x0=problem.x0, checkpoint=path, **given | {"maxiter": stop})
        for checkpoint in (part, load_checkpoint(path), pickle.loads(pickle.dumps(part))):
            assert_same_run(minimize_lbfgsb(x0=part.x, checkpoint=checkpoint, **given), whole)


def test_a_checkpoint_of_the_other_kind_is_gone_on_with():
    problem = random_problem(2, 9)
    given = {"fun": problem.fg, "jac": True, "bounds": problem.bounds} | LONG
    for one, other in (("scalar", "diagonal"), ("diagonal", "scalar")):
        part = minimize_lbfgsb(
            x0=problem.x0, initial_scaling=one, **given | {"maxiter": 6}
        )
        assert minimize_lbfgsb(
            x0=part.x, checkpoint=part, initial_scaling=other, **given
        ).success


def test_pairs_alone_give_a_diagonal_too():
    problem = random_problem(2, 9)
    given = {"fun": problem.fg, "jac": True, "bounds": problem.bounds} | LONG
    part = minimize_lbfgsb(x0=problem.x0, **given | {"maxiter": 6})
    S, Y = part.hess_inv.sk, part.hess_inv.yk
    solver = Solver(part.x, problem.bounds, **LONG)
    solver._warm_start(part.fun, part.jac, S, Y, part.hess_inv.secant)
    D = np.full(9, 1.0)
    for s, y, c in zip(S, Y, part.hess_inv.secant, strict=True):
        D = updated(D, s, c * y)
    np.testing.assert_allclose(diagonal_of(solver), D, rtol=1e-8)
    assert np.linalg.eigvalsh(bfgs_matrix(S, Y, 1 / D, part.hess_inv.secant)).min() > 0
