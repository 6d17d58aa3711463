"""Further arguments of the objective, and x in a shape of the user's."""

import pickle

import numpy as np
import pytest
from problems import X0, assert_same_run, needs_workers, rosen_fg, same_bits
from scipy.optimize import minimize

from lbfgsb import Solver, minimize_lbfgsb, scipy_method
from lbfgsb.benchmarks import compiled_rosenbrock

A, B = 3.0, np.array([1.0, -2.0, 0.5, 4.0, -1.0, 2.0])
SHAPE = (2, 3)
M = B.reshape(SHAPE)


def bowl(x, a, b):
    return a * ((x - b) ** 2).sum()


def bowl_grad(x, a, b):
    return 2 * a * (x - b)


def bowl_fg(x, a, b):
    return bowl(x, a, b), bowl_grad(x, a, b)


def by_solver(x0, fun, jac, **options):
    solver = Solver(x0)
    assert solver.run(fun, jac, **options)
    return solver.result()


def by_minimize(x0, fun, jac, **options):
    return minimize_lbfgsb(x0=x0, fun=fun, jac=jac, **options)


DOORS = pytest.mark.parametrize("door", [by_minimize, by_solver])
WAYS = pytest.mark.parametrize(
    ("fun", "jac"), [(bowl_fg, True), (bowl, bowl_grad)], ids=["together", "apart"]
)


# --- args ---------------------------------------------------------------------------------


@DOORS
@WAYS
def test_args_are_given_to_fun_and_jac(door, fun, jac):
    res = door(np.zeros(6), fun, jac, args=(A, B))
    alone = door(
        np.zeros(6), lambda x: fun(x, A, B), jac if jac is True else lambda x: jac(x, A, B)
    )
    assert_same_run(res, alone)
    np.testing.assert_allclose(res.x, B, atol=1e-5)


@pytest.mark.parametrize("jac", [None, "2-point", "3-point", "cs"])
def test_args_are_given_to_the_differences(jac):
    res = minimize_lbfgsb(x0=np.zeros(6), fun=bowl, jac=jac, args=(A, B))
    np.testing.assert_allclose(res.x, B, atol=1e-4)


@needs_workers
def test_args_go_to_other_processes():
    options = {"x0": np.zeros(6), "fun": bowl, "jac": "2-point", "args": (A, B)}
    assert_same_run(minimize_lbfgsb(**options, workers=2), minimize_lbfgsb(**options))


@DOORS
@pytest.mark.parametrize("argument", [2.0, [1.0, 2.0], None, np.ones(3)], ids=repr)
def test_what_is_no_tuple_is_one_argument(door, argument):
    came = []

    def fun(x, one):
        came.append(one)
        return x @ x, 2 * x

    door([1.0, 2.0], fun, True, args=argument)
    assert all(one is argument for one in came)


@DOORS
def test_a_compiled_objective_refuses_args_and_a_shape(door):
    with pytest.raises(ValueError, match=r"args must be empty with a LowLevelCallable.*user_data"):
        door(X0, compiled_rosenbrock, True, args=(1.0,))
    with pytest.raises(ValueError, match="args must be empty"):
        door(X0, compiled_rosenbrock, True, args=None)
    with pytest.raises(ValueError, match="x_shape must be None with a LowLevelCallable"):
        door(X0, compiled_rosenbrock, True, x_shape=(2,))
    assert door(X0, compiled_rosenbrock, True, args=()).nit > 0


def test_scipys_args_are_not_mixed_up_with_ours():
    res = minimize(bowl, np.zeros(6), args=(A, B), jac=bowl_grad, method=scipy_method)
    np.testing.assert_allclose(res.x, B, atol=1e-5)


# --- x_shape ------------------------------------------------------------------------------


@DOORS
@WAYS
@pytest.mark.parametrize("flat_gradient", [False, True])
def test_fun_and_jac_get_x_in_its_shape(door, fun, jac, flat_gradient):
    shapes = set()

    def seen(function):
        def call(x, *args):
            shapes.add(x.shape)
            out = function(x, *args)
            if not flat_gradient or function is bowl:
                return out
            return (out[0], out[1].ravel()) if function is bowl_fg else out.ravel()

        return call

    x0 = np.zeros(SHAPE)
    res = door(x0, seen(fun), jac if jac is True else seen(jac), args=(A, M), x_shape=SHAPE)
    assert shapes == {SHAPE}
    flat = door(np.zeros(6), fun, jac, args=(A, B))
    assert_same_run(res, flat)
    assert res.x.shape == res.jac.shape == (6,)
    np.testing.assert_allclose(res.x.reshape(SHAPE), M, atol=1e-5)


@pytest.mark.parametrize("jac", [None, "3-point", "cs"])
def test_the_differences_get_x_in_its_shape(jac):
    def fun(x):
        assert x.shape == SHAPE
        return ((x - M) ** 2).sum()

    res = minimize_lbfgsb(x0=np.zeros(SHAPE), fun=fun, jac=jac, x_shape=SHAPE)
    np.testing.assert_allclose(res.x, B, atol=1e-4)


def test_x0_is_flattened_where_no_shape_is_asked_for():
    shapes = set()

    def fun(x):
        shapes.add(x.shape)
        return bowl_fg(x, A, B)

    res = minimize_lbfgsb(x0=np.asfortranarray(M + 1), fun=fun, jac=True)
    assert shapes == {(6,)}
    assert_same_run(res, minimize_lbfgsb(x0=B + 1, fun=fun, jac=True))


def test_a_gradient_as_nested_lists_and_a_scalar_x():
    res = minimize_lbfgsb(
        x0=np.zeros(SHAPE), fun=bowl, jac=lambda x, *a: bowl_grad(x, *a).tolist(), args=(A, M),
        x_shape=SHAPE,
    )  # fmt: skip
    np.testing.assert_allclose(res.x, B, atol=1e-5)
    res = minimize_lbfgsb(x0=3.0, fun=lambda x: ((x - 1) ** 2, 2 * (x - 1)), jac=True, x_shape=())
    np.testing.assert_allclose(res.x, [1.0], atol=1e-5)


def test_points_that_are_kept_are_not_written_again():
    kept, copies = [], []

    def fun(x):
        kept.append(x)
        copies.append(x.copy())
        return bowl_fg(x, A, M)

    minimize_lbfgsb(x0=np.zeros(SHAPE), fun=fun, jac=True, x_shape=SHAPE)
    assert len(kept) > 2
    assert all(map(same_bits, kept, copies))


def test_a_gradient_of_another_shape_is_an_error():
    with pytest.raises(ValueError, match=r"gradient must have shape \(6,\).*got \(3, 2\)"):
        minimize_lbfgsb(
            x0=np.zeros(SHAPE), fun=bowl, jac=lambda x, *a: bowl_grad(x, *a).T, args=(A, M),
            x_shape=SHAPE,
        )  # fmt: skip


def test_jac_true_still_needs_a_pair():
    with pytest.raises(TypeError, match="must return the pair"):
        minimize_lbfgsb(x0=np.zeros(SHAPE), fun=bowl, jac=True, args=(A, M), x_shape=SHAPE)


@DOORS
@pytest.mark.parametrize(
    ("x_shape", "error", "said"),
    [
        ((2, 2), ValueError, r"x_shape must hold the 6 elements of x0; got \(2, 2\)"),
        ((-2, -3), ValueError, "x_shape must hold"),
        (6, TypeError, "x_shape must be a tuple of integers; got int 6"),
        (True, TypeError, "x_shape must be a tuple"),
        ((2.0, 3.0), TypeError, "x_shape must be a tuple"),
    ],
)
def test_a_wrong_shape_is_named_and_nothing_is_evaluated(door, x_shape, error, said):
    def never(x):
        raise AssertionError("evaluated")

    with pytest.raises(error, match=said):
        door(np.zeros(SHAPE), never, True, x_shape=x_shape)


def test_a_run_goes_on_from_its_result_in_the_same_shape():
    def fun(x):
        f, g = rosen_fg(x.ravel())
        return f, g.reshape(x.shape)

    options = {"fun": fun, "jac": True, "x_shape": (2, 1)}
    whole = minimize_lbfgsb(x0=X0, **options)
    part = minimize_lbfgsb(x0=X0, maxiter=7, **options)
    part = pickle.loads(pickle.dumps(part))
    again = minimize_lbfgsb(x0=part.x.reshape(2, 1), checkpoint=part, **options)
    assert_same_run(again, whole)
