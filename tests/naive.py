"""Naive versions of what the compiled core computes, and the states they are compared on.

Everything here is dense and slow, written from the papers: B as an n x n matrix, the Cauchy point
by a walk over sorted break points, the subspace minimiser by solving with a submatrix.
"""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import strategies as st
from lbfgsb._core.base_solver import BaseSolver
from lbfgsb._core.options import CheckedOptions, defaults

OPTIONS = {
    "maxcor": 5,
    "ftol": 0.0,
    "gtol": 0.0,
    "ftarget": -np.inf,
    "maxiter": 10**6,
    "maxfun": 10**6,
    "maxls": 20,
    "max_steplength": 1e8,
    "ftol_linesearch": 1e-3,
    "gtol_linesearch": 0.9,
    "xtol_linesearch": 0.1,
    "eps_SY": 2.2e-16,
    "threads": 1,
    "check": True,
    "compact": True,
    "extra_updates": 0,
    "initial_scaling": 0,
}

# B in the compact form, and as the matrix that serves for few variables.
both_forms = pytest.mark.parametrize("compact", [True, False], ids=["compact", "dense"])

# The phases of the state machine (solver.pxd).
START, TRIAL, ITERATE, DONE = range(4)


def core_solver(x0, lower=None, upper=None, **options):
    """The core's state machine at x0, with tests and limits out of the way, B in compact form."""
    scale = options.pop("x_scale", None)
    checked = CheckedOptions(defaults() | OPTIONS | options)
    return BaseSolver(np.array(x0, dtype=float), lower, upper, checked, scale)


def solver_at(x, g, S, Y, lower=None, upper=None, secant=None, **options):
    """The state machine at x, with gradient g, pairs S, Y (k, n) and their factors (k,), before its
    next direction."""
    solver = core_solver(x, lower, upper, **({"maxcor": max(1, len(S))} | options))
    solver._warm_start(1.0, g, S, Y, secant)
    return solver


def random_state(rng, n):
    """x, g and a box of all sorts: free, one-sided, wide, an ulp wide and fixed variables, some at
    a bound, components of g zero, tiny and large."""
    x = rng.normal(size=n) * 10.0 ** rng.integers(-3, 4, size=n)
    lower, upper = x - rng.exponential(size=n), x + rng.exponential(size=n)
    kind = rng.integers(0, 10, size=n)
    lower[(kind == 0) | (kind == 1)] = -np.inf
    upper[(kind == 0) | (kind == 2)] = np.inf
    ulp = kind == 3
    lower[ulp], upper[ulp] = x[ulp], np.nextafter(x[ulp], np.inf)
    ulp = kind == 4
    lower[ulp], upper[ulp] = np.nextafter(x[ulp], -np.inf), x[ulp]
    fixed = kind == 5
    lower[fixed] = upper[fixed] = x[fixed]
    x = np.where(kind == 6, lower, np.where(kind == 7, upper, x))
    g = rng.normal(size=n)
    g[rng.random(n) < 0.1] = 0.0
    g[rng.random(n) < 0.05] *= 1e-300
    g[rng.random(n) < 0.05] *= 1e20
    return x, g, lower, upper


def move(x, step, lower, upper):
    """P(x + step); a step that reaches a bound ends on it."""
    moved = np.minimum(np.maximum(x + step, lower), upper)
    moved = np.where(step >= upper - x, upper, moved)
    return np.where(step <= lower - x, lower, moved)


def break_point(x, g, lower, upper):
    """(4.1) of BLNZ."""
    with np.errstate(all="ignore"):
        return np.where(g == 0, np.inf, np.where(g > 0, x - lower, x - upper) / g)


def projected_path(x, g, lower, upper, t):
    """P(x - t g)."""
    at_bound = break_point(x, g, lower, upper) <= t
    return np.where(at_bound, np.where(g > 0, lower, upper), x - t * g)


def updates(S, Y, secant, extra):
    """The s and c y of each update: all pairs, oldest first, then up to `extra` of the newest once
    more, those after the last with a factor far from 1."""
    secant = np.ones(len(S)) if secant is None else secant
    far = np.flatnonzero((secant > 1.25) | (1.25 * secant < 1))
    begin = max(len(S) - extra, 0, *(far + 1))
    return [(S[i], secant[i] * Y[i]) for i in [*range(len(S)), *range(begin, len(S))]]


def bfgs_matrix(S, Y, theta, secant=None, extra=0):
    """B from the BFGS formula, pair by pair, begun with theta I or a diagonal theta; B s = c y with
    factors c."""
    B = np.diag(np.broadcast_to(theta, S.shape[1]).astype(float))
    for s, y in updates(S, Y, secant, extra):
        Bs = B @ s
        B += np.outer(y, y) / (s @ y) - np.outer(Bs, Bs) / (s @ Bs)
    return B


def cauchy_point(x, g, lower, upper, B):
    """The first local minimiser of the model along P(x - t g), its t, and the last break point up
    to it (0 if none)."""
    t = break_point(x, g, lower, upper)
    t_old = 0.0
    for t_next in [*np.unique(t[(t > 0) & np.isfinite(t)]), np.inf]:
        d = np.where(t > t_old, -g, 0.0)
        z = projected_path(x, g, lower, upper, t_old) - x
        slope, curvature = g @ d + d @ B @ z, d @ B @ d
        if slope >= 0:
            return x + z, t_old, t_old
        dt = -slope / curvature
        if t_old + dt < t_next:
            return x + z + dt * d, t_old + dt, t_old
        t_old = t_next
    raise AssertionError("the last piece has no end")


def subspace_minimiser(x, g, B, x_cauchy, free):
    """The minimiser of the model over the free variables, the others at x_cauchy."""
    x_hat = x_cauchy.copy()
    F = np.flatnonzero(free)
    residual = (g + B @ (x_cauchy - x))[F]
    x_hat[F] -= np.linalg.solve(B[np.ix_(F, F)], residual)
    return x_hat


def longest_feasible(x, d, lower, upper):
    """The largest multiple of d that stays in the box."""
    with np.errstate(all="ignore"):
        room = np.where(d > 0, upper - x, lower - x) / d
    return min(np.where(d == 0, np.inf, room), default=np.inf)


def direction(x, g, lower, upper, x_cauchy, x_hat):
    """The step to the projected minimiser if it goes down, else the longest feasible part of the
    way from x_cauchy to the minimiser; and whether the former."""
    d = np.clip(x_hat, lower, upper) - x
    if g @ d < 0:
        return d, True
    alpha = min(1.0, max(0.0, longest_feasible(x_cauchy, x_hat - x_cauchy, lower, upper)))
    return np.clip(x_cauchy + alpha * (x_hat - x_cauchy), lower, upper) - x, False


def inverse_bfgs_matrix(S, Y, theta, secant=None, extra=0):
    """H from the BFGS formula for the inverse, begun with I / theta; H c y = s."""
    H = np.diag(1 / np.broadcast_to(theta, S.shape[1]))
    for s, y in updates(S, Y, secant, extra):
        V = np.eye(S.shape[1]) - np.outer(y, s) / (s @ y)
        H = V.T @ H @ V + np.outer(s, s) / (s @ y)
    return H


def random_pairs(rng, n, k, decades=0.0):
    """k pairs (s, A s) of a quadratic function, A's eigenvalues spread over so many decades."""
    Q = np.linalg.qr(rng.normal(size=(n, n)))[0]
    A = (Q * 10.0 ** rng.uniform(-decades / 2, decades / 2, size=n)) @ Q.T
    S = rng.normal(size=(k, n))
    return S, S @ A


def drive(solver, fg, iterations):
    """Run until `iterations` more iterates are there or the run is over; after each, yield."""
    solver._advance()
    while solver._phase != DONE and iterations > 0:
        if solver._tell(*fg(solver._point())):
            iterations -= 1
            yield
        solver._advance()


KINDS = (
    "free", "below", "above", "box", "near", "tie", "ulp", "fixed", "at lower", "at upper",
)  # fmt: skip


@st.composite
def states(draw, decades=3.0, largest=8):
    """x, g, bounds of every kind, and pairs of a quadratic function with factors, or ones,
    of which some of the newest are used twice.

    Of the variables of the kind "tie" all that move reach their bounds at the same t.
    """
    n, k = draw(st.integers(1, largest)), draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    S, Y = random_pairs(rng, n, k, draw(st.floats(0.0, decades)))
    x = rng.integers(1, 9, size=n) * rng.choice([-0.125, 0.125], size=n)
    g = np.array([draw(st.sampled_from([-2.0, -1.0, -0.25, 0.0, 0.5, 1.0])) for _ in range(n)])
    if draw(st.booleans()):
        g *= rng.uniform(0.5, 1.5, size=n)
    kinds = [draw(st.sampled_from(KINDS)) for _ in range(n)]
    lower, upper = x - 4 * rng.exponential(size=n), x + 4 * rng.exponential(size=n)
    t_tie = draw(st.sampled_from([0.125, 0.5, 2.0]))
    for i, kind in enumerate(kinds):
        if kind in ("free", "above"):
            lower[i] = -np.inf
        if kind in ("free", "below"):
            upper[i] = np.inf
        if kind == "near":
            lower[i], upper[i] = x[i] - 0.01, x[i] + 0.01
        if kind == "tie":
            lower[i], upper[i] = x[i] - t_tie * abs(g[i]), x[i] + t_tie * abs(g[i])
        if kind == "ulp":
            lower[i], upper[i] = x[i], np.nextafter(x[i], np.inf)
        if kind in ("fixed", "at lower"):
            lower[i] = x[i]
        if kind in ("fixed", "at upper"):
            upper[i] = x[i]
    secant = draw(st.sampled_from([1, 1.2, 3])) ** rng.uniform(-1, 1, size=k)
    memory = {"S": S, "Y": Y, "secant": secant, "extra": draw(st.integers(0, 7))}
    return SimpleNamespace(n=n, x=x, g=g, lower=lower, upper=upper, **memory)


def solver_of(state, **options):
    """`solver_at` the state of `states`."""
    pairs = state.S, state.Y, state.lower, state.upper, state.secant
    return solver_at(state.x, state.g, *pairs, extra_updates=state.extra, **options)


def matrix_of(state, model):
    """B there."""
    return bfgs_matrix(state.S, state.Y, model["theta"], state.secant, state.extra)


def x_cauchy_of(state, model):
    """x_cauchy as the core means it: t and the status of each variable."""
    at_bound = np.where(model["status"] > 0, state.upper, state.lower)
    return np.where(model["status"] == 0, state.x - model["t"] * state.g, at_bound)
