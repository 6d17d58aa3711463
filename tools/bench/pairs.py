"""Pairs in double and in single precision: CPU time to the same accuracy on four large problems.

    python tools/bench/pairs.py                     # n about 100,000
    python tools/bench/pairs.py --n 1000000 --problems obstacle surface

An obstacle problem and a minimal surface over an obstacle on a square grid, the inversion of an
advection-diffusion model for its initial state, as in 4D-Var, and logistic regression with sparse
data. Each is first run for long, to know its minimum f*; then every variant runs until
f <= f* + accuracy (f(x0) - f*), in turn, several times. CPU time is the least of these; that of the
solver alone is what is left without the objective.
"""

import argparse
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import sparse

from lbfgsb import minimize_lbfgsb

Vector = np.ndarray
VARIANTS = (("float64", 10), ("float32", 10), ("float64", 20), ("float32", 20))


class Problem(NamedTuple):
    """Minimise f from x0, subject to x >= lower if that is given."""

    fun: Callable[[Vector], tuple[float, Vector]]
    x0: Vector
    lower: Vector | None = None


def grid(n: int) -> tuple[int, Vector, Vector]:
    """A square grid of about n points inside the unit square."""
    side = round(n**0.5)
    line = np.linspace(0, 1, side + 2)[1:-1]
    return side, *np.meshgrid(line, line, indexing="ij")


def differences(u: Vector) -> tuple[Vector, Vector]:
    """Forward differences of u on the grid with its boundary, zero, in both directions."""
    padded = np.pad(u, 1)
    return np.diff(padded, axis=0)[:, 1:-1], np.diff(padded, axis=1)[1:-1, :]


def adjoint(p: Vector, q: Vector) -> Vector:
    """What `differences` is transposed to."""
    return -np.diff(p, axis=0) - np.diff(q, axis=1)


def bump(X: Vector, Y: Vector) -> Vector:
    return 0.3 - 4 * ((X - 0.5) ** 2 + (Y - 0.4) ** 2)


def obstacle(n: int) -> Problem:
    """A membrane over a bump: 1/2 |grad u|^2 - load u."""
    side, X, Y = grid(n)
    load = -2.0 / (side + 1) ** 2

    def fun(x: Vector) -> tuple[float, Vector]:
        p, q = differences(x.reshape(side, side))
        f = 0.5 * ((p * p).sum() + (q * q).sum()) - load * x.sum()
        return f, adjoint(p, q).ravel() - load

    return Problem(fun, np.maximum(bump(X, Y), 0).ravel(), bump(X, Y).ravel())


def surface(n: int) -> Problem:
    """The least area of a graph over a bump, zero at the boundary."""
    side, X, Y = grid(n)
    h = 1 / (side + 1)

    def fun(x: Vector) -> tuple[float, Vector]:
        u = np.pad(x.reshape(side, side), 1)
        p, q = np.diff(u, axis=0)[:, :-1] / h, np.diff(u, axis=1)[:-1, :] / h
        area = np.sqrt(1 + p * p + q * q)
        p, q = h * p / area, h * q / area
        g = np.zeros_like(u)
        g[1:, :-1] += p
        g[:-1, :-1] -= p
        g[:-1, 1:] += q
        g[:-1, :-1] -= q
        return h * h * area.sum(), g[1:-1, 1:-1].ravel()

    return Problem(fun, np.maximum(bump(X, Y), 0).ravel(), bump(X, Y).ravel())


def inversion(n: int) -> Problem:
    """The initial state from sparse observations at ten times, with a background term."""
    rng = np.random.default_rng(0)
    k = 2 * np.pi * np.fft.rfftfreq(n, 1 / n)
    steps = [np.exp(t * (-1j * k - 2e-9 * n * k * k)) for t in np.linspace(0.02, 0.2, 10)]
    at = np.sort(rng.choice(n, n // 20, replace=False))
    z = np.linspace(0, 1, n, endpoint=False)
    truth = np.sin(2 * np.pi * z) + np.where(abs(z - 0.4) < 0.1, 1.0, 0.0)

    def states(x: Vector) -> list[Vector]:
        spectrum = np.fft.rfft(x)
        return [np.fft.irfft(step * spectrum, n) for step in steps]

    observed = [state[at] + 0.01 * rng.normal(size=at.size) for state in states(truth)]

    def fun(x: Vector) -> tuple[float, Vector]:
        smooth = np.diff(x, append=x[:1])
        f = 0.5e2 * smooth @ smooth + 0.5e-3 * x @ x
        g = -1e2 * np.diff(smooth, prepend=smooth[-1:]) + 1e-3 * x
        spectrum = 0
        for step, state, y in zip(steps, states(x), observed, strict=True):
            misfit = np.zeros(n)
            misfit[at] = state[at] - y
            f += 50 * misfit @ misfit
            spectrum = spectrum + 100 * np.conj(step) * np.fft.rfft(misfit)
        return f, g + np.fft.irfft(spectrum, n)

    return Problem(fun, np.zeros(n))


def logistic(n: int) -> Problem:
    """Logistic regression, twenty words of Zipf's frequencies a text, n words."""
    rng = np.random.default_rng(1)
    texts = n // 2
    words = np.minimum(rng.zipf(1.3, (texts, 20)) - 1, n - 1)
    A = sparse.csr_matrix(
        (np.ones(words.size), words.ravel(), np.arange(0, words.size + 1, 20)), (texts, n)
    )
    labels = np.where(A @ rng.normal(size=n) + 0.5 * rng.normal(size=texts) > 0, 1.0, -1.0)
    A, At = sparse.diags(labels) @ A, (sparse.diags(labels) @ A).T.tocsr()

    def fun(x: Vector) -> tuple[float, Vector]:
        margin = A @ x
        f = np.logaddexp(0, -margin).sum() + 0.05 * x @ x
        return f, At @ (-1 / (1 + np.exp(margin))) + 0.1 * x

    return Problem(fun, np.zeros(n))


PROBLEMS = {each.__name__: each for each in (obstacle, surface, inversion, logistic)}


class Timed:
    """The objective, and the CPU time that it takes."""

    def __init__(self, fun: Callable[[Vector], tuple[float, Vector]]) -> None:
        self.fun, self.seconds = fun, 0.0

    def __call__(self, x: Vector) -> tuple[float, Vector]:
        start = time.process_time()
        value = self.fun(x)
        self.seconds += time.process_time() - start
        return value


def run(problem: Problem, pairs: str, maxcor: int, **options: float) -> tuple[int, float, float]:
    """Evaluations, CPU seconds, and those without the objective; and the least f."""
    fun = Timed(problem.fun)
    bounds = None
    if problem.lower is not None:
        bounds = np.stack([problem.lower, np.full(problem.x0.size, np.inf)], axis=1)
    start = time.process_time()
    res = minimize_lbfgsb(
        x0=problem.x0, fun=fun, jac=True, bounds=bounds, pairs=pairs, maxcor=maxcor,
        ftol=0, gtol=0, maxfun=10**6, **options,
    )  # fmt: skip
    seconds = time.process_time() - start
    return res.nfev, seconds, seconds - fun.seconds, res.fun


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=100_000, help="variables, about (100,000)")
    parser.add_argument("--problems", nargs="+", choices=PROBLEMS, default=list(PROBLEMS))
    parser.add_argument("--accuracy", type=float, default=1e-6)
    parser.add_argument("--iterations", type=int, default=1000, help="of the long run (1000)")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    print(f"{'':24}{'evaluations':>12}{'CPU s':>9}{'solver s':>10}   of float64, 10")
    for name in args.problems:
        problem = PROBLEMS[name](args.n)
        *_, least = run(problem, "float64", 20, maxiter=args.iterations)
        first, _ = problem.fun(problem.x0)
        goal = {"ftarget": least + args.accuracy * (first - least), "maxiter": 10 * args.iterations}
        best: dict[tuple[str, int], tuple[int, float, float]] = {}
        for _ in range(args.repeats):
            for variant in VARIANTS:
                nfev, total, solver, f = run(problem, *variant, **goal)
                if f > goal["ftarget"]:
                    print(f"{name}, {variant}: not reached")
                before = best.get(variant, (nfev, total, solver))
                best[variant] = nfev, min(before[1], total), min(before[2], solver)
        print(f"{name}, n = {problem.x0.size:,}")
        reference = best[VARIANTS[0]]
        for (pairs, maxcor), (nfev, total, solver) in best.items():
            print(
                f"  {pairs}, {maxcor:2} pairs{nfev:>17,}{total:>9.2f}{solver:>10.2f}"
                f"   {nfev / reference[0]:.2f} {total / reference[1]:.2f}"
                f" {solver / reference[2]:.2f}"
            )


if __name__ == "__main__":
    main()
