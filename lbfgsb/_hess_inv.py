"""The inverse Hessian approximation of a result: SciPy's `LbfgsInvHessProduct`, unpacked late.

It is made from the pairs of the solver when it is first looked at: at n = 10⁷ the pairs are 1.6 GB,
and most users never ask for them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from scipy.optimize import LbfgsInvHessProduct

from lbfgsb._types import Vector

_FLOAT64 = np.dtype(np.float64)


class HasPairs(Protocol):
    """What keeps the pairs of a run until they are wanted."""

    def pairs(self) -> tuple[Vector, Vector, Vector]:
        """Return S and Y, each (k, n), oldest first, and factors (k,), in arrays of their own."""
        ...


class InvHessProduct(LbfgsInvHessProduct):
    """SciPy's operator with the factors c of the modified secant equation, H c y = s, and extra
    updates.

    `sk` and `yk` are plain differences. With factors of 1, and no pair used twice, it is SciPy's
    operator, and pickled and copied as such: as its pairs, which every release of SciPy can read.

    Parameters
    ----------
    sk, yk : ndarray of float64, shape (k, n)
        The pairs, oldest first.
    secant : ndarray of float64, shape (k,)
        Their factors, positive.
    extra_updates : int, default 0
        When all pairs have updated H, so many of the newest do so once more.
    """

    def __init__(self, sk: Vector, yk: Vector, secant: Vector, extra_updates: int = 0) -> None:
        super().__init__(sk, yk)
        self.secant = secant
        self.extra_updates = extra_updates

    def _is_scipys(self) -> bool:
        return not self.extra_updates and bool(np.all(self.secant == 1))

    def _matvec(self, x: Vector) -> Vector:
        if self._is_scipys():
            return np.asarray(super()._matvec(x))
        return self._matmat(np.reshape(x, (-1, 1))).reshape(-1)

    def _matmat(self, X: Vector) -> Vector:
        """Return H X for X (n, columns)."""
        if self._is_scipys():
            return np.asarray(super()._matmat(X))
        return _product(self, updates_of(self), np.array(X, dtype=self.dtype))

    def todense(self) -> Vector:
        """Return H as an array (n, n)."""
        if self._is_scipys():
            return np.asarray(super().todense())
        return self._matmat(np.eye(*self.shape, dtype=self.dtype))

    def __reduce__(self) -> tuple[Any, ...]:
        if self._is_scipys():
            return LbfgsInvHessProduct, (self.sk, self.yk)
        return InvHessProduct, (self.sk, self.yk, self.secant, self.extra_updates)


def factors_of(hess_inv: LbfgsInvHessProduct) -> Vector:
    """Return the factors of an operator's pairs, (k,): ones for SciPy's own."""
    if isinstance(hess_inv, InvHessProduct):
        return hess_inv.secant
    return np.ones(hess_inv.n_corrs)


def updates_of(hess_inv: LbfgsInvHessProduct) -> list[int]:
    """Return the pair of each update, in their order."""
    k, extra = hess_inv.n_corrs, getattr(hess_inv, "extra_updates", 0)
    return [*range(k), *range(k - min(k, extra), k)]


def _product(hess_inv: LbfgsInvHessProduct, updates: list[int], V: Vector) -> Vector:
    """V (n, columns) = H V after these updates of I: the two-loop recursion of kernels_few.c."""
    S, Y, rho, secant = hess_inv.sk, hess_inv.yk, hess_inv.rho, factors_of(hess_inv)
    alpha = np.empty((len(updates), V.shape[1]))
    for u, i in reversed([*enumerate(updates)]):
        alpha[u] = rho[i] * (S[i] @ V)
        V -= np.outer(Y[i], alpha[u])
    for u, i in enumerate(updates):
        V += np.outer(S[i], alpha[u] / secant[i] - rho[i] * (Y[i] @ V))
    return V


class LazyInvHessProduct(InvHessProduct):
    """An `InvHessProduct` before anybody has looked at it: no pair is unpacked yet.

    It knows its size. To be asked for anything else, or to be changed, makes it what it stands
    for: SciPy's constructor runs on the pairs, and the object leaves this class for good. What
    SciPy's classes keep in an instance, which differs between releases, is thus never needed
    before it is there.

    Parameters
    ----------
    memory : HasPairs
        Where the pairs are.
    n, k : int
        The size of the operator, and the number of pairs.
    extra_updates : int
        How many of them are used twice.
    """

    _waiting: tuple[HasPairs, int, int, int]

    def __new__(cls, memory: HasPairs, n: int, k: int, extra_updates: int) -> LazyInvHessProduct:
        # Not by way of LinearOperator, which looks up at each construction whether the class has
        # a product: in a small problem that would take as long as some iterations.
        return object.__new__(cls)

    def __init__(self, memory: HasPairs, n: int, k: int, extra_updates: int) -> None:
        object.__setattr__(self, "_waiting", (memory, n, k, extra_updates))

    def __getattribute__(self, name: str) -> Any:
        if name == "__class__":
            return object.__getattribute__(self, name)
        if name in _SIZES:
            waiting = object.__getattribute__(self, "__dict__").get("_waiting")
            if waiting is not None:
                return _SIZES[name](*waiting[1:3])
        _make(self)
        return InvHessProduct.__getattribute__(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        _make(self)
        InvHessProduct.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        _make(self)
        InvHessProduct.__delattr__(self, name)


# What a LazyInvHessProduct tells by itself, from n and k.
_SIZES: dict[str, Callable[[int, int], Any]] = {
    "shape": lambda n, k: (n, n),
    "dtype": lambda n, k: _FLOAT64,
    "n_corrs": lambda n, k: k,
}

# In the repr of a result both are what SciPy's users know.
InvHessProduct.__name__ = LazyInvHessProduct.__name__ = LbfgsInvHessProduct.__name__


def _make(product: LazyInvHessProduct) -> None:
    """Make a lazy operator what it stands for.

    Threads that come here together do so each for itself, to the same bits. None of them sees the
    operator half made: it is complete when it changes its class, and lets go of its memory last.
    """
    own = object.__getattribute__(product, "__dict__")
    waiting = own.get("_waiting")
    if waiting is None:  # another thread was faster
        return
    S, Y, secant = waiting[0].pairs()
    own.update(vars(InvHessProduct(S, Y, secant, waiting[3])))
    object.__setattr__(product, "__class__", InvHessProduct)
    own.pop("_waiting", None)


def memory_behind(hess_inv: LbfgsInvHessProduct) -> HasPairs | None:
    """Return where the pairs of an operator wait; None for one that is made, or somebody else's."""
    if type(hess_inv) is not LazyInvHessProduct:
        return None
    waiting = object.__getattribute__(hess_inv, "__dict__").get("_waiting")
    return None if waiting is None else waiting[0]


def extract_hess_inv_diag(hess_inv: LbfgsInvHessProduct) -> Vector:
    r"""Return the diagonal of the limited-memory inverse Hessian approximation.

    Its roots are no standard errors: those are of `standard_errors`.

    Parameters
    ----------
    hess_inv : scipy.optimize.LbfgsInvHessProduct
        With k pairs of n elements.

    Returns
    -------
    ndarray of float64, shape (n,)

    See Also
    --------
    standard_errors : from the Hessian itself, by differences of the gradient at the result.

    Notes
    -----
    The matrix agrees with the last few steps, which is what the solver needs: in other directions
    it is a multiple of I, and with active bounds it knows of the variables that are held there.
    Its diagonal may be off by any factor, and more iterations do not mend that.

    The diagonal follows the BFGS updates of the inverse, from H = I on:

    .. math:: H \leftarrow H - ρ (s\,(Hy)^T + (Hy)\,s^T) + (ρ/c + ρ^2\,y^T H y)\,s s^T

    with ρ = 1/sᵀy and the pair's factor c of the modified secant equation (``hess_inv.secant``;
    1 in SciPy's own operators), with the newest ``hess_inv.extra_updates`` pairs once more at
    the end. H y costs one product with the updates before it, so that all is done in O(k² n),
    without n products.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.optimize import LbfgsInvHessProduct
    >>> from lbfgsb import extract_hess_inv_diag
    >>> H = LbfgsInvHessProduct(np.array([[1.0, 0.0]]), np.array([[4.0, 0.0]]))
    >>> extract_hess_inv_diag(H)
    array([0.25, 1.  ])
    """
    secant, updates = factors_of(hess_inv), updates_of(hess_inv)
    diagonal = np.ones(hess_inv.shape[0])
    for u, i in enumerate(updates):
        s, y, r, c = hess_inv.sk[i], hess_inv.yk[i], hess_inv.rho[i], secant[i]
        Hy = _product(hess_inv, updates[:u], y[:, np.newaxis].copy())[:, 0]
        diagonal += s * ((r / c + r * r * (y @ Hy)) * s - 2 * r * Hy)
    return diagonal
