"""What users of lbfgsb 1.1 rely on, and may keep unedited."""

import copy
import logging
import sys
from functools import partial

import numpy as np
import pytest
from problems import BOX, Counted, beale, beale_grad, rosen, rosen_grad, same_bits
from problems import solve as solve_rosenbrock
from scipy.optimize import LbfgsInvHessProduct, OptimizeResult, minimize

import lbfgsb
from lbfgsb import extract_hess_inv_diag, get_grad_projection_inf_norm, minimize_lbfgsb

START = np.array([-1, -1])  # Integers, as there.
LIMITS = {"ftol": 1e-10, "gtol": 1e-10, "maxiter": 20, "maxfun": 20, "bounds": BOX}

solve = partial(solve_rosenbrock, x0=START, maxcor=5, **LIMITS)


def no_pairs(n):
    return LbfgsInvHessProduct(np.empty((0, n)), np.empty((0, n)))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("jit", [True, False])
def test_every_keyword_at_once(jit):
    res = minimize_lbfgsb(
        x0=np.array([5, 5]),
        fun=lambda x: x.dot(x),
        jac=lambda x: x,
        bounds=np.array([[1, np.inf], [1, np.inf]]),
        ftol=1e-5,
        gtol=1e-5,
        update_fun_def=lambda x, f0, f0_old, grad, xs, gs: (f0, f0_old, grad, gs),
        logger=logging.getLogger("lbfgsb 1.1"),
        iprint=1000,
        is_check_factorizations=True,
        is_use_numba_jit=jit,
    )
    np.testing.assert_allclose(res.x, [1, 1])
    np.testing.assert_allclose(res.fun, 2.0)
    np.testing.assert_allclose(res.jac, [1, 1])


def test_rosenbrock_in_a_box():
    res = minimize_lbfgsb(x0=START, fun=rosen, jac=rosen_grad, bounds=BOX)
    np.testing.assert_allclose(res.x, [1, 1], rtol=1e-2)
    assert res.fun < 1e-4


def test_beale():
    res = minimize_lbfgsb(
        x0=np.array([2.5, -1.3]),
        fun=beale,
        jac=beale_grad,
        bounds=np.array([[-4.5, 4.5]] * 2),
        ftol=1e-14,
        gtol=1e-10,
    )
    np.testing.assert_allclose(res.x, [3, 0.5], rtol=1e-6)


def test_ftarget_stops_before_the_first_gradient():
    res = minimize_lbfgsb(
        x0=np.array([2.5, -1.3]), fun=lambda x: x.dot(x), jac=lambda x: x, ftarget=1000
    )
    assert (res.nfev, res.njev, res.nit, res.status) == (1, 0, 0, 0)
    assert res.success is True
    assert res.message == "CONVERGENCE: F_<=_TARGET"


@pytest.mark.parametrize("start", [2.5, -50.0])
def test_an_exponential_cliff(start):
    def fun(x):
        with np.errstate(over="ignore"):
            return np.sum(x + np.exp(-10 * x)).item()

    def jac(x):
        with np.errstate(over="ignore"):
            return 1.0 - 10 * np.exp(-10 * x)

    res = minimize_lbfgsb(x0=np.array([start]), fun=fun, jac=jac, maxls=5)
    assert res.fun == fun(res.x)
    if start == 2.5:
        assert (res.success, res.status) == (True, 0)
        np.testing.assert_allclose(res.x, np.log(10) / 10, atol=1e-2)


def test_a_checkpoint_made_by_hand_without_pairs():
    x0 = np.array([-1.0, -1.0])
    made = OptimizeResult(
        x=x0,
        fun=rosen(x0),
        jac=rosen_grad(x0),
        nfev=0,
        njev=0,
        nit=0,
        status=2,
        message="START",
        success=False,
        hess_inv=no_pairs(2),
    )
    res = solve(checkpoint=made, maxiter=5, maxfun=5)
    assert res.nit <= 5
    assert res.nfev == 5 or res.nit == 5
    assert res.fun < rosen(x0)


def test_a_checkpoint_made_by_hand_that_has_converged():
    made = OptimizeResult(
        x=START,
        fun=0.0,
        jac=np.zeros(2),
        nfev=0,
        njev=0,
        nit=0,
        status=2,
        message="START",
        success=False,
        hess_inv=no_pairs(2),
    )
    record = Counted()
    res = solve(fun=record.fun, jac=record.jac, checkpoint=made)
    assert record.points == []
    assert (res.nfev, res.njev, res.nit, res.status, res.fun) == (0, 0, 0, 0, 0.0)


def test_x0_must_be_the_checkpoint():
    with pytest.raises(ValueError) as caught:
        solve(checkpoint=copy.deepcopy(solve(maxiter=5)))
    assert str(caught.value) == (
        "When 'checkpoint' is provided (L-BFGS-B restart), x0 and checkpoint.x should be equal!"
    )


@pytest.mark.parametrize("by_hand", [True, False])
def test_pairs_must_have_the_size_of_x(by_hand):
    stopped = solve(maxiter=5)
    wrong = copy.copy(stopped)
    if by_hand:
        wrong = OptimizeResult(
            {k: stopped[k] for k in ("x", "fun", "jac", "nfev", "njev", "nit", "status")}
        )
    with np.errstate(divide="ignore"):
        wrong.hess_inv = LbfgsInvHessProduct(np.zeros((2, 3)), np.zeros((2, 3)))
    with pytest.raises(ValueError) as caught:
        solve(x0=stopped.x, checkpoint=wrong)
    assert str(caught.value) == (
        "The size of correction vector (3) does not match the size of x (2)!"
    )


def test_a_chain_of_checkpoints():
    whole = solve()
    stopped = solve(maxiter=6, maxfun=10)
    assert stopped.status == 1
    assert stopped.hess_inv.sk.shape[0] <= 5

    finished = solve(x0=stopped.x, checkpoint=stopped)
    assert (finished.nit, finished.nfev, finished.njev) == (whole.nit, whole.nfev, whole.njev)
    assert same_bits(finished.x, whole.x)
    assert same_bits(finished.hess_inv.sk, whole.hess_inv.sk)
    assert same_bits(finished.hess_inv.yk, whole.hess_inv.yk)
    assert finished.hess_inv.sk.shape == (5, 2)

    record = Counted()
    functions = {"fun": record.fun, "jac": record.jac}
    cut = solve(x0=finished.x, checkpoint=finished, maxcor=3, **functions)
    assert (cut.nfev, cut.message) == (finished.nfev, finished.message)
    assert same_bits(cut.x, finished.x)
    assert same_bits(cut.hess_inv.sk, finished.hess_inv.sk[-3:])

    target = solve(
        x0=cut.x,
        checkpoint=cut,
        maxcor=3,
        maxiter=25,
        maxfun=25,
        ftarget=cut.fun + 1.0,
        **functions,
    )
    assert (target.nfev, target.message) == (cut.nfev, "CONVERGENCE: F_<=_TARGET")
    assert target.hess_inv.sk.shape == target.hess_inv.yk.shape == (3, 2)
    assert record.points == []


def test_a_callback_with_state_stops_the_run():
    seen = []

    def callback(x, opt):
        seen.append(opt.nfev)
        return opt.nfev > 5

    res = solve(callback=callback)
    assert all(nfev <= 5 for nfev in seen[:-1])
    assert res.nfev == seen[-1] > 5
    assert (res.message, res.success) == ("STOP: USER CALLBACK", True)


def test_numerical_and_joint_gradients():
    x0 = np.array([10.0, 10.0])
    res = minimize_lbfgsb(
        x0=x0, fun=lambda x: x[0] ** 2 + x[1] ** 2, jac="2-point", bounds=[(0.0, None)] * 2
    )
    np.testing.assert_allclose(res.x, 0.0, atol=1e-6)
    res = minimize_lbfgsb(
        x0=x0,
        fun=lambda x: (x[0] ** 2 + x[1] ** 2, np.array([2 * x[0], 2 * x[1]])),
        jac=True,
    )
    np.testing.assert_allclose(res.x, 0.0, atol=1e-6)


@pytest.mark.parametrize("maxcor", [20, 34])
def test_the_diagonal_of_scipys_inverse_hessian(maxcor):
    res = minimize(
        lambda x: (x[0] ** 4, 4 * x**3),
        x0=20,
        jac=True,
        method="L-BFGS-B",
        options={"gtol": 1e-12, "maxcor": maxcor},
    )
    np.testing.assert_allclose(
        extract_hess_inv_diag(res.hess_inv), np.diag(res.hess_inv.todense()), rtol=1e-6
    )


def test_get_grad_projection_inf_norm_clips_x_that_lies_outside():
    x = np.array([1.0, 5.0, 6.0])
    assert get_grad_projection_inf_norm(x, x, np.full(3, 2.0), np.full(3, 5.0)) == 4.0


def test_the_run_of_the_readme():
    x0 = np.array([-0.8, -1])
    kwargs = {"fun": rosen, "jac": rosen_grad, "bounds": BOX, "ftol": 1e-5, "gtol": 1e-5}
    whole = minimize_lbfgsb(x0=x0, **kwargs)
    assert whole.success
    stopped = minimize_lbfgsb(x0=x0, **kwargs, maxfun=3)
    resumed = minimize_lbfgsb(x0=stopped.x, **kwargs, checkpoint=stopped)
    assert (resumed.nfev, resumed.nit) == (whole.nfev, whole.nit)
    assert same_bits(resumed.x, whole.x)


def test_every_field_of_a_result_is_there():
    res = solve()
    for name in "fun", "jac", "nfev", "njev", "nit", "status", "message", "x", "success":
        assert name in res
    assert res.hess_inv.shape == (2, 2)


def test_report_is_there():
    pytest.importorskip("scooby")
    assert "lbfgsb" in repr(lbfgsb.Report())


def test_report_says_what_it_needs(monkeypatch):
    monkeypatch.setitem(sys.modules, "scooby", None)
    monkeypatch.delitem(sys.modules, "lbfgsb._environment", raising=False)
    monkeypatch.delitem(vars(lbfgsb), "Report", raising=False)
    with pytest.raises(ImportError, match="pip install scooby"):
        _ = lbfgsb.Report
