"""Extra updates: how many there are, what they are for, and that every door has them."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lbfgsb._core.base_solver import updates_again
from naive import bfgs_matrix
from problems import assert_same_run, random_problem, rosen_fg, same_bits, through_every_door
from scipy.optimize import LbfgsInvHessProduct

from lbfgsb import Solver, load_checkpoint, minimize_lbfgsb, minimize_multistart

many = settings(max_examples=100, derandomize=True)
LONG = {"ftol": 0.0, "gtol": 1e-7, "maxiter": 500}


def hessian(n, rng, decades):
    """A matrix with eigenvalues over so many decades, and a vector."""
    Q = np.linalg.qr(rng.normal(size=(n, n)))[0]
    return (Q * 10.0 ** rng.uniform(0, decades, n)) @ Q.T, rng.normal(size=n)


def quadratic(n, seed):
    A, b = hessian(n, np.random.default_rng(seed), 3.0)
    return lambda x: (0.5 * x @ A @ x - b @ x, A @ x - b)


# --- what they are for --------------------------------------------------------------------


@many
@given(st.integers(1, 12), st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_of_a_quadratic_they_bring_the_matrix_nearer_to_the_hessian(n, k, seed):
    rng = np.random.default_rng(seed)
    A, _ = hessian(n, rng, 2.0)
    S = rng.normal(size=(k, n))
    root = np.linalg.cholesky(A)

    def distance(extra):
        """In the norm in which each update is a projection."""
        H = np.linalg.inv(bfgs_matrix(S, S @ A, 10.0, extra=extra))
        return np.linalg.norm(root.T @ H @ root - np.eye(n))

    distances = [distance(extra) for extra in range(k + 1)]
    assert distances[k] <= distances[0] * (1 + 1e-8) + 1e-8


@pytest.mark.parametrize("n", [8, 25, 60])
@pytest.mark.parametrize("box", [False, True], ids=["free", "box"])
def test_they_save_evaluations_of_quadratic_functions(n, box):
    bounds = [(-0.5, None)] * n if box else None
    total = dict.fromkeys((None, 0), 0)
    for seed in range(12):
        for extra in total:
            res = minimize_lbfgsb(
                x0=np.zeros(n), fun=quadratic(n, seed), jac=True, bounds=bounds,
                extra_updates=extra, **LONG | {"gtol": 1e-5},  # above rounding errors
            )  # fmt: skip
            assert res.success
            total[extra] += res.nfev
    assert total[None] < 0.97 * total[0]


# --- how many -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "secant", "most"),
    [(1, "modified", 2), (3, "modified", 6), (5, "modified", 10), (1000, "modified", 10),
     (3, "standard", 0), (1000, "standard", 0)],
)  # fmt: skip
def test_how_many_at_most_is_chosen_by_n_unless_the_algorithm_is_to_be_the_plain_one(
    n, secant, most
):
    solver = Solver(np.ones(n), secant=secant)
    assert solver._chosen["extra_updates"] == most
    assert pickle.loads(pickle.dumps(solver))._chosen["extra_updates"] == most
    given = Solver(np.ones(n), secant=secant, extra_updates=3)
    assert given._chosen["extra_updates"] == 3


@pytest.mark.parametrize(
    ("secant", "most", "expected"),
    [
        ([], 10, 0),
        ([1.0, 1.0, 1.0], 10, 3),
        ([1.0, 1.0, 1.0], 2, 2),
        ([1.0, 1.25, 0.8, 1.1], 10, 4),
        ([1.0, 1.26, 0.8, 1.1], 10, 2),
        ([1.0, 1.0, 0.79, 1.1], 10, 1),
        ([1.0, 1.0, 1.0, 3.0], 10, 0),
        ([1.0, 1.0], 0, 0),
    ],
)
def test_they_begin_after_the_last_step_far_from_a_parabola(secant, most, expected):
    assert updates_again(np.array(secant), most) == expected


def test_a_run_has_those_of_its_factors():
    problem = random_problem(2, 30)
    solver = Solver(problem.x0, problem.bounds, **LONG)
    seen = set()
    while solver.nit < 25 and not solver.done:
        solver.run(problem.fg, iterations=1)
        again = solver._updates_again
        assert again == updates_again(solver._pairs()[2], 10)
        assert solver.result().hess_inv.extra_updates == again
        seen.add(again)
    assert len(seen) > 4


def test_hess_inv_is_that_matrix_and_so_are_its_copies():
    res = minimize_lbfgsb(x0=np.zeros(9), fun=quadratic(9, 1), jac=True, maxcor=6, maxiter=12)
    H = res.hess_inv
    assert H.extra_updates == 6
    S, Y, v = H.sk, H.yk, np.linspace(1, 2, 9)
    twice = LbfgsInvHessProduct(np.tile(S, (2, 1)), np.tile(Y, (2, 1)))
    np.testing.assert_allclose(H @ v, twice @ v, rtol=1e-6)
    for again in copy.copy(H), pickle.loads(pickle.dumps(H)):
        assert same_bits(again @ v, H @ v)


@pytest.mark.parametrize("wrong", [-1, 2.5, "3"])
def test_what_is_no_number_of_updates_is_refused(wrong):
    with pytest.raises((TypeError, ValueError), match="extra_updates"):
        Solver([1.0], extra_updates=wrong)


# --- the doors ----------------------------------------------------------------------------


@pytest.mark.parametrize("n", [4, 40])
def test_every_door_takes_them_to_the_same_bits(n):
    x0 = np.resize([-1.2, 1.0], n)
    given = LONG | {"extra_updates": 3}
    res = through_every_door(x0, **given)
    starts = minimize_multistart(rosen_fg, [(-9, 9)] * n, jac=True, sampler=x0[np.newaxis], **given)
    bounded = minimize_lbfgsb(x0=x0, fun=rosen_fg, jac=True, bounds=[(-9, 9)] * n, **given)
    assert same_bits(starts.x, bounded.x)
    assert minimize_lbfgsb(x0=x0, fun=rosen_fg, jac=True, **given | {"extra_updates": 0}).nfev != (
        res.nfev
    )


@pytest.mark.parametrize("n", [4, 40])
def test_a_run_goes_on_to_the_same_bits(n, tmp_path):
    problem = random_problem(2, n)
    given = {"fun": problem.fg, "jac": True, "bounds": problem.bounds} | LONG
    whole = minimize_lbfgsb(x0=problem.x0, **given)
    path = tmp_path / "run.npz"
    for stop in (2, 9):
        part = minimize_lbfgsb(x0=problem.x0, **given | {"maxiter": stop})
        minimize_lbfgsb(x0=problem.x0, checkpoint=path, **given | {"maxiter": stop})
        loaded = load_checkpoint(path)
        assert loaded.hess_inv.extra_updates == part.hess_inv.extra_updates
        v = np.linspace(1, 2, n)
        assert same_bits(loaded.hess_inv @ v, part.hess_inv @ v)
        for checkpoint in (part, loaded, pickle.loads(pickle.dumps(part))):
            assert_same_run(minimize_lbfgsb(x0=part.x, checkpoint=checkpoint, **given), whole)
        path.unlink()
