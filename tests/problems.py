"""Objectives and small helpers shared by the tests.

The objectives use element-wise arithmetic and `numpy.sum` alone: their bits depend on x only, not
on a BLAS, its threads or the alignment of an array.
"""

import gc
import itertools
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import scipy
from hypothesis import settings

from lbfgsb import Solver, minimize_batch, minimize_lbfgsb

# By its number, not by what lbfgsb has found in it: a test is not left out because that is wrong.
SCIPY = tuple(int(part) for part in scipy.__version__.split(".")[:2])
needs_workers = pytest.mark.skipif(SCIPY < (1, 16), reason="workers needs SciPy >= 1.16")

X0 = np.array([-1.2, 1.0])
LOWER = np.array([-2.0, -2.0])
UPPER = np.array([2.0, 2.0])
BOX = np.array([LOWER, UPPER]).T
LONG = {"ftol": 1e-13, "gtol": 1e-8, "maxiter": 400}


def rosen(x):
    """Chained Rosenbrock function; its minimum is 0 at (1, ..., 1). Takes complex x too."""
    return (100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2).sum()


def rosen_grad(x):
    """Gradient of `rosen`."""
    g = np.zeros_like(x)
    r = x[1:] - x[:-1] ** 2
    g[:-1] = -400.0 * x[:-1] * r - 2.0 * (1.0 - x[:-1])
    g[1:] += 200.0 * r
    return g


def rosen_fg(x):
    """`rosen` and its gradient."""
    return rosen(x), rosen_grad(x)


def bowl(x):
    """Separable convex function with its minimum at (3, ..., 3)."""
    return 0.5 * ((x - 3.0) ** 2).sum()


def bowl_grad(x):
    """Gradient of `bowl`."""
    return x - 3.0


def log_barrier(x):
    """x - 0.1 log x, minimum at 0.1; NaN where x < 0, infinite at 0."""
    with np.errstate(all="ignore"):
        return (x - 0.1 * np.log(x)).sum()


def log_barrier_grad(x):
    """Gradient of `log_barrier`, NaN where x <= 0."""
    with np.errstate(all="ignore"):
        return np.where(x > 0.0, 1.0 - 0.1 / x, np.nan)


def beale(x):
    """Beale's function; its minimum is 0 at (3, 0.5)."""
    a, b = x
    return (1.5 - a + a * b) ** 2 + (2.25 - a + a * b**2) ** 2 + (2.625 - a + a * b**3) ** 2


def beale_grad(x):
    """Gradient of `beale`."""
    a, b = x
    r, s, t = 1.5 - a + a * b, 2.25 - a + a * b**2, 2.625 - a + a * b**3
    return np.array(
        [
            2 * r * (b - 1) + 2 * s * (b**2 - 1) + 2 * t * (b**3 - 1),
            2 * r * a + 4 * s * a * b + 6 * t * a * b**2,
        ]
    )


def random_problem(seed, n):
    """A smooth non-convex function on a random box, some of whose bounds bind or are infinite."""
    rng = np.random.default_rng(seed)
    centre = rng.normal(size=n)
    weight = 10.0 ** rng.uniform(-1.5, 1.5, size=n)
    lower = np.where(rng.random(n) < 0.4, -np.inf, centre - rng.uniform(-0.5, 2.0, size=n))
    upper = np.where(
        rng.random(n) < 0.4, np.inf, np.maximum(lower, -9.0) + rng.exponential(3.0, n)
    )
    x0 = np.clip(rng.normal(scale=3.0, size=n), lower, upper)

    def fun(x):
        z = x - centre
        r = z[1:] - 0.5 * z[:-1] ** 2
        return (weight * z**2).sum() + 20.0 * (r**2).sum() - np.cos(3.0 * z).sum()

    def jac(x):
        z = x - centre
        r = z[1:] - 0.5 * z[:-1] ** 2
        g = 2.0 * weight * z + 3.0 * np.sin(3.0 * z)
        g[1:] += 40.0 * r
        g[:-1] -= 40.0 * r * z[:-1]
        return g

    return SimpleNamespace(
        fun=fun,
        jac=jac,
        fg=lambda x: (fun(x), jac(x)),
        x0=x0,
        lower=lower,
        upper=upper,
        bounds=np.array([lower, upper]).T,
    )


class Counted:
    """`fun`, `jac` and `fg` that count their calls and keep a copy of every point they see."""

    def __init__(self, fun=rosen, jac=rosen_grad):
        self._fun, self._jac = fun, jac
        self.nfun = self.njac = 0
        self.points = []

    def fun(self, x):
        self.nfun += 1
        self.points.append(x.copy())
        return self._fun(x)

    def jac(self, x):
        self.njac += 1
        self.points.append(x.copy())
        return self._jac(x)

    def fg(self, x):
        self.njac += 1
        return self.fun(x), self._jac(x)


def projected_gradient(x, g, lower=-np.inf, upper=np.inf):
    """Inf-norm of the projected gradient, as projgr of the reference computes it."""
    return np.abs(np.where(g < 0, np.maximum(x - upper, g), np.minimum(x - lower, g))).max()


class Unsigned:
    """A callable of whose parameters `inspect.signature` says nothing, as of some builtins."""

    __signature__ = 0

    def __init__(self):
        self.got = []

    def __call__(self, *args, **kwargs):
        assert not kwargs
        self.got.append(*args)


def solve(**kwargs):
    """Minimise the Rosenbrock function unless told otherwise."""
    return minimize_lbfgsb(**({"x0": X0, "fun": rosen, "jac": rosen_grad} | kwargs))


def large(**kwargs):
    """Minimise it for 200,000 variables in a box, some of whose bounds are infinite."""
    n = 200_000
    x0 = np.linspace(-1.5, 1.5, n)
    lower = np.where(np.arange(n) % 3 == 0, -1.0, -np.inf)
    upper = np.where(np.arange(n) % 5 == 0, 0.8, np.inf)
    return minimize_lbfgsb(
        **{
            "x0": x0,
            "fun": rosen_fg,
            "jac": True,
            "bounds": np.array([lower, upper]).T,
            "maxiter": 12,
            "ftol": 0,
        }
        | kwargs
    )


def stop_at(k, how):
    """A callback that ends the run when it is called for the k-th time."""
    calls = itertools.count(1)

    def callback(xk, state):
        if next(calls) < k:
            return False
        if how == "StopIteration":
            raise StopIteration
        return True

    return callback


def same_bits(a, b):
    """Whether two arrays or scalars are the same doubles, bit by bit."""
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    return a.shape == b.shape and a.tobytes() == b.tobytes()


def assert_same_run(a, b):
    """Assert that two results are those of the same run, to the last bit."""
    counts = "nit", "nfev", "njev", "status", "message", "success"
    assert {k: a[k] for k in counts} == {k: b[k] for k in counts}
    for name in "x", "fun", "jac", "projected_gradient":
        assert same_bits(a[name], b[name]), name
    assert same_bits(a.hess_inv.sk, b.hess_inv.sk)
    assert same_bits(a.hess_inv.yk, b.hess_inv.yk)


def through_every_door(x0, **options):
    """Return the result of `minimize_lbfgsb` for the Rosenbrock function; a `Solver` and a batch
    have given the same bits."""
    res = minimize_lbfgsb(x0=x0, fun=rosen_fg, jac=True, **options)
    solver = Solver(x0, **options)
    solver.run(rosen_fg)
    assert_same_run(solver.result(), res)
    batch = minimize_batch(
        lambda X: tuple(map(np.array, zip(*map(rosen_fg, X), strict=True))), [x0], **options
    )
    assert same_bits(batch.x[0], res.x)
    assert batch.nfev[0] == res.nfev
    return res


def examples(count):
    """A decorator for Hypothesis: so many examples, the same each time."""
    return settings(max_examples=count, derandomize=True)


def run_python(code, **env):
    """Run `code` in a fresh interpreter, outside the source tree; return what it printed."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=folder,
            env=os.environ | env,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def lines_run(work):
    """Return how many lines of Python `work()` runs, a line again for each turn of a loop in it."""
    count = 0

    def trace(frame, event, arg):
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    gc.collect()
    gc.disable()  # what a collection would finalise are lines too
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
        gc.enable()
    return count


class Alarm(Exception):
    pass


@contextmanager
def alarms(number):
    """Have signals of this number raise `Alarm`."""

    def handler(number, frame):
        raise Alarm

    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)
