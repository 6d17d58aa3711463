"""`res.hess_inv`: SciPy's operator on every release of SciPy, and nothing before a look at it."""

from __future__ import annotations

import copy
import pickle
import sys
import threading
from functools import partial

import numpy as np
import pytest
from problems import X0, assert_same_run, same_bits
from problems import solve as solve_rosenbrock
from scipy.optimize import LbfgsInvHessProduct, OptimizeResult
from scipy.sparse.linalg import LinearOperator

from lbfgsb import diagnose, extract_hess_inv_diag
from lbfgsb._hess_inv import InvHessProduct, LazyInvHessProduct
from lbfgsb._result import Memory

V = np.array([0.5, -2.0])
M = np.array([[1.0, 2.0, 3.0], [-4.0, 5.0, -6.0]])

solve = partial(solve_rosenbrock, maxcor=10, maxiter=8)
solve_plain = partial(solve, secant="standard")


def is_lazy(hess_inv):
    return type(hess_inv) is LazyInvHessProduct


def as_it_is(monkeypatch):
    pass


def with_more_state(monkeypatch):
    """A constructor that sets what the methods need, beside a default that they can't use."""
    init = LinearOperator.__init__

    def __init__(self, *args, **kwargs):
        init(self, *args, **kwargs)
        self._later = "set"

    def needing(method):
        def needs(self, *args):
            assert self._later == "set"
            return method(self, *args)

        return needs

    monkeypatch.setattr(LinearOperator, "__init__", __init__)
    monkeypatch.setattr(LinearOperator, "_later", None, raising=False)
    for name in "matvec", "matmat", "dot", "__rmul__", "__add__", "__pow__", "transpose", "adjoint":
        monkeypatch.setattr(LinearOperator, name, needing(getattr(LinearOperator, name)))


def with_state_elsewhere(monkeypatch):
    """Sizes that are properties, whose values are kept under other names."""

    def elsewhere(name):
        return property(
            lambda self: getattr(self, f"_its_{name}"),
            lambda self, value: setattr(self, f"_its_{name}", value),
        )

    for name in "shape", "dtype":
        monkeypatch.setattr(LinearOperator, name, elsewhere(name), raising=False)
    for name in "n_corrs", "sk", "yk", "rho":
        monkeypatch.setattr(LbfgsInvHessProduct, name, elsewhere(name), raising=False)


USES = {
    "@ vector": lambda H: H @ V,
    "@ matrix": lambda H: H @ M,
    "* vector": lambda H: H * V,
    "matvec": lambda H: H.matvec(V),
    "matmat": lambda H: H.matmat(M),
    "_matvec": lambda H: H._matvec(V),
    "dot": lambda H: H.dot(V),
    "call": lambda H: H(V),
    "todense": lambda H: H.todense(),
    "multiple": lambda H: (2 * H) @ V,
    "times": lambda H: (H * 2) @ V,
    "minus": lambda H: (-H) @ V,
    "sum": lambda H: (H + H) @ V,
    "difference": lambda H: (H - 0.5 * H) @ M,
    "product": lambda H: (H @ H) @ V,
    "power": lambda H: (H**2) @ V,
    "T": lambda H: H.T.shape,
    "H": lambda H: H.H.shape,
    "ndim": lambda H: H.ndim,
    "sk": lambda H: H.sk,
    "yk": lambda H: H.yk,
    "rho": lambda H: H.rho,
    "n_corrs": lambda H: H.n_corrs,
    "shape": lambda H: H.shape,
    "diagonal": extract_hess_inv_diag,
    "copy": lambda H: copy.copy(H) @ V,
    "deepcopy": lambda H: copy.deepcopy(H) @ V,
    "pickle": lambda H: pickle.loads(pickle.dumps(H)) @ V,
}


@pytest.mark.parametrize("scipys", [as_it_is, with_more_state, with_state_elsewhere])
@pytest.mark.parametrize("use", USES)
def test_the_first_use_gives_what_scipys_operator_gives(use, scipys, monkeypatch):
    res, again = solve_plain(), solve_plain()
    scipys(monkeypatch)
    assert is_lazy(res.hess_inv)
    its_own = LbfgsInvHessProduct(again.hess_inv.sk, again.hess_inv.yk)
    assert same_bits(USES[use](res.hess_inv), USES[use](its_own))
    assert same_bits(USES[use](res.hess_inv), USES[use](its_own))  # and the second one


@pytest.mark.parametrize("scipys", [as_it_is, with_more_state, with_state_elsewhere])
@pytest.mark.parametrize("use", [use for use in USES if use not in ("sk", "yk", "rho")])
def test_with_factors_it_is_scipys_operator_of_the_scaled_pairs(use, scipys, monkeypatch):
    res, again = solve(extra_updates=0), solve(extra_updates=0)
    scipys(monkeypatch)
    H = again.hess_inv
    assert (H.secant != 1).any()
    its_own = LbfgsInvHessProduct(H.sk, H.secant[:, np.newaxis] * H.yk)
    np.testing.assert_allclose(USES[use](res.hess_inv), USES[use](its_own), rtol=1e-6)


@pytest.mark.parametrize("looked_at", [False, True])
def test_the_factors_are_in_a_pickle_and_a_copy(looked_at):
    res = solve()
    factors = solve().hess_inv.secant
    if looked_at:
        assert (res.hess_inv @ V).shape == (2,)
    for H in pickle.loads(pickle.dumps(res.hess_inv)), copy.copy(res.hess_inv), res.hess_inv:
        assert same_bits(H.secant, factors)
        assert same_bits(H.yk, solve().hess_inv.yk)


def test_pairs_without_their_factors_are_a_warm_start():
    """As from a pickle of SciPy's class, or from another solver."""
    stopped = solve()
    H = stopped.hess_inv
    foreign = OptimizeResult(stopped | {"hess_inv": LbfgsInvHessProduct(H.sk, H.yk)})
    theirs = OptimizeResult(stopped | {"hess_inv": InvHessProduct(H.sk, H.yk, np.ones(len(H.sk)))})
    options = {"x0": stopped.x, "maxiter": 12}
    resumed = solve(checkpoint=foreign, **options)
    assert_same_run(resumed, solve(checkpoint=theirs, **options))
    assert not same_bits(resumed.x, solve(checkpoint=stopped, **options).x)


@pytest.mark.parametrize("scipys", [as_it_is, with_more_state, with_state_elsewhere])
def test_a_run_is_diagnosed(scipys, monkeypatch):
    res = solve(maxiter=100)
    expected = str(diagnose(solve(maxiter=100)))
    scipys(monkeypatch)
    assert str(diagnose(res)) == expected


def test_products_from_the_left_are_as_scipys():
    res = solve_plain()
    its_own = LbfgsInvHessProduct(solve_plain().hess_inv.sk, solve_plain().hess_inv.yk)
    for use in (lambda H: V @ H), (lambda H: H.T @ V), (lambda H: H.rmatvec(V)):
        try:
            expected = use(its_own)
        except NotImplementedError:
            with pytest.raises(NotImplementedError):
                use(res.hess_inv)
        else:
            assert same_bits(use(res.hess_inv), expected)


def test_nothing_is_unpacked_or_constructed_before_it_is_looked_at(monkeypatch):
    done = []

    def counted(owner, name):
        real = getattr(owner, name)

        def call(self, *args, **kwargs):
            done.append(name)
            return real(self, *args, **kwargs)

        monkeypatch.setattr(owner, name, call)

    counted(Memory, "pairs")
    counted(LbfgsInvHessProduct, "__init__")
    counted(LinearOperator, "__init__")
    res = solve()
    H = res.hess_inv
    assert isinstance(H, LbfgsInvHessProduct)
    assert (H.shape, H.n_corrs, H.dtype) == ((2, 2), 8, np.float64)
    assert "<2x2 LbfgsInvHessProduct with dtype=float64>" in repr(res)
    assert copy.copy(res).hess_inv is H
    solve(x0=res.x, checkpoint=res, maxiter=9)
    assert done == []
    first, second = H @ V, H.matvec(V)
    assert done == ["pairs", "__init__", "__init__"]
    assert same_bits(first, second)
    assert type(H) is InvHessProduct
    assert repr(H) == "<2x2 LbfgsInvHessProduct with dtype=float64>"


def test_it_keeps_no_memory_of_the_run_once_it_has_its_pairs():
    H = solve().hess_inv
    assert H.sk.shape == (8, 2)
    its_own = {"secant", "extra_updates"}
    assert vars(H).keys() == vars(LbfgsInvHessProduct(H.sk, H.yk)).keys() | its_own


def test_what_it_does_not_have_is_an_attribute_error():
    H = solve().hess_inv
    for _ in range(2):  # lazy, and not any more
        assert not hasattr(H, "inverse")
        with pytest.raises(AttributeError, match="'LbfgsInvHessProduct' object has no attribute"):
            _ = H.inverse
        with pytest.raises(AttributeError, match="inverse"):
            del H.inverse
    bare = object.__new__(LazyInvHessProduct)
    with pytest.raises(AttributeError, match="sk"):
        _ = bare.sk


def test_attributes_can_be_set_and_deleted_as_scipys():
    H, whole = solve().hess_inv, solve().hess_inv
    H.yk = 2 * whole.yk  # before anything else is looked at
    assert same_bits(H.yk, 2 * whole.yk)
    assert same_bits(H.sk, whole.sk)
    H = solve().hess_inv
    del H.rho
    assert not hasattr(H, "rho")
    assert same_bits(H.sk, whole.sk)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("looked_at", [False, True])
@pytest.mark.parametrize("secant", ["standard", "modified"])
def test_a_pickle_is_of_the_pairs_alone(protocol, looked_at, secant):
    """What SciPy keeps beside them differs between releases: another one could not read it."""
    res = solve(secant=secant)
    if looked_at:
        assert (res.hess_inv @ V).shape == (2,)
    stream = pickle.dumps(res.hess_inv, protocol)
    assert b"lbfgsb._result" not in stream
    assert b"_xp" not in stream
    assert b"n_corrs" not in stream
    loaded = pickle.loads(stream)
    assert type(loaded) is (LbfgsInvHessProduct if secant == "standard" else InvHessProduct)
    assert same_bits(loaded @ V, res.hess_inv @ V)
    assert_same_run(pickle.loads(pickle.dumps(res, protocol)), res)


def test_threads_may_look_at_it_together(request):
    request.addfinalizer(partial(sys.setswitchinterval, sys.getswitchinterval()))
    sys.setswitchinterval(1e-6)
    together = threading.Barrier(8)
    expected = solve().hess_inv @ V
    for _ in range(50):
        res, got = solve(), []

        def look(i, res=res, got=got):
            together.wait(timeout=60)
            if i % 3 == 2:  # needs all that the result carries
                solve(x0=res.x, checkpoint=res)
            got.append(res.hess_inv @ V)

        threads = [threading.Thread(target=look, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(got) == 8
        assert all(same_bits(product, expected) for product in got)


@pytest.mark.parametrize("looked_at", [False, True])
def test_a_run_goes_on_from_it_whether_or_not_it_was_looked_at(looked_at):
    stopped = solve()
    if looked_at:
        assert stopped.hess_inv.sk.shape == (8, 2)
    resumed = solve(x0=stopped.x, checkpoint=stopped, maxiter=100)
    assert_same_run(resumed, solve(maxiter=100))


@pytest.mark.parametrize("x_scale", [None, [2.0, 0.5]])
@pytest.mark.parametrize("used", [False, True])
def test_pairs_written_into_are_the_ones_used(used, x_scale):
    """Those that the run keeps are not touched; going on is then a warm start from the new ones."""
    options = {"x_scale": x_scale, "ftol": 0.0, "gtol": 0.0}
    stopped = solve(maxiter=5, **options)
    if used:  # what the run needs is in arrays now, which the operator must not share
        solve(checkpoint=stopped, **options | {"x0": stopped.x})
    before = stopped.hess_inv.yk.copy()
    stopped.hess_inv.yk *= 8.0
    options |= {"x0": stopped.x, "maxiter": 9}
    H = stopped.hess_inv
    warm = OptimizeResult(stopped | {"hess_inv": InvHessProduct(H.sk, 8 * before, H.secant)})
    resumed = solve(checkpoint=stopped, **options)
    assert_same_run(resumed, solve(checkpoint=warm, **options))
    stopped.hess_inv.yk[:] = before
    whole = solve(checkpoint=stopped, **options)
    assert_same_run(whole, solve(**options | {"x0": X0}))
    assert not same_bits(resumed.x, whole.x)
