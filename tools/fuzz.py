"""A differential fuzzer: lbfgsb and SciPy's L-BFGS-B on random problems, one a seed.

    python tools/fuzz.py                                  # 10⁶ problems on all processors
    python tools/fuzz.py --count 2000 --jobs 1
    python tools/fuzz.py --first 5000000 --out fuzz.jsonl # others; resumable with the same --out
    python tools/fuzz.py --seconds 60                     # as many as that takes
    python tools/fuzz.py --problem 1234                   # one, in detail

A problem is made of its seed alone: a convex quadratic (dense, or diagonal, whose minimiser in a
box is known), a sum of smooth convex functions of inner products, or a non-convex function; its
size, conditioning and units; bounds of all kinds; a start in or outside of them; options. What is
checked:

feasible      every x that the objective sees is in its bounds to the bit
measured      res.fun, res.jac are f and its gradient at res.x, to the bit
counts        nfev, njev and nit are the calls and iterates that there were
monotone      f goes down from iterate to iterate, up to rounding errors; to a last one that has the
              projected gradient asked for it may rise by 1e-12 of itself
kkt           a run that says so has a projected gradient of at most gtol; NumPy computes it
worse         on a convex problem, a run that says it converged is at the minimum that the closed
              form or SciPy's run knows, up to what gtol and rounding errors allow or, where both
              end since f hardly decreases, to ten times what SciPy's run is above it
              and 1e-9 of f
failed        on a convex problem, a run ends without success above the minimum that is known, and
              SciPy's, in the same variables, does not

The last line counts the problems, both solvers' evaluations, and the findings; each has the seed to
begin from. A file of --out has a line for each hundred problems that are done.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import time
import warnings
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# The problems are small: a BLAS with threads would only wait for them.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from scipy.optimize import minimize

from lbfgsb import minimize_lbfgsb

PIECE = 100  # problems in a line of --out
EPS = np.finfo(float).eps
# f and the minimum that is known may differ by so many rounding errors of the largest terms of f.
ROUNDING = 1e3
MAXITER = 20_000


@dataclass
class Problem:
    """f, its gradient, and what is known of both."""

    seed: int
    kind: str
    x0: Any
    lower: Any
    upper: Any
    fun: Any
    jac: Any
    size: Any  # of the terms of f at x: what its rounding errors are relative to
    convex: bool
    minimiser: Any = None  # if it is known without a solver
    options: dict[str, Any] = field(default_factory=dict)
    gtol: float = 0.0

    def norm(self, x, g):
        """The inf-norm of the projected gradient."""
        return float(
            np.abs(np.where(g < 0, np.maximum(x - self.upper, g), np.minimum(x - self.lower, g)))
            .max()
        )  # fmt: skip


def make(seed: int) -> Problem:
    """Return the problem of a seed."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 6) if rng.random() < 0.4 else rng.integers(6, 31))
    kind = str(rng.choice(["dense", "diagonal", "convex", "smooth"], p=[0.3, 0.2, 0.25, 0.25]))
    unit = 10.0 ** rng.uniform(-2, 2) if rng.random() < 0.5 else 1.0  # of x
    weight = 10.0 ** rng.uniform(-4, 4) if rng.random() < 0.5 else 1.0  # of f
    fun, jac, size, star = FAMILIES[kind](rng, n)
    centre = np.zeros(n) if star is None else star
    lower, upper = _box(rng, centre)
    x0 = centre + rng.normal(scale=rng.choice([0.1, 1.0, 10.0]), size=n)
    minimiser = None
    if kind == "diagonal":
        minimiser = unit * np.clip(star, lower, upper)
    elif kind == "dense" and (star >= lower).all() and (star <= upper).all():
        minimiser = unit * star
    problem = Problem(
        seed, kind, unit * x0, unit * lower, unit * upper,
        lambda x: weight * fun(x / unit),
        lambda x: weight / unit * jac(x / unit),
        lambda x: weight * size(x / unit),
        kind != "smooth", minimiser, _options(rng, n, unit),
    )  # fmt: skip
    start = np.clip(problem.x0, problem.lower, problem.upper)
    problem.gtol = 1e-7 * max(problem.norm(start, problem.jac(start)), 1e-3 * weight / unit)
    return problem


def _dense(rng, n):
    """½ (x-c)ᵀ A (x-c), A with eigenvalues over up to four orders of magnitude."""
    q = np.linalg.qr(rng.normal(size=(n, n)))[0]
    A = (q * 10.0 ** rng.uniform(-rng.uniform(0, 4), 0, size=n)) @ q.T
    A = 0.5 * (A + A.T)
    c = rng.normal(size=n)
    return (
        lambda x: float(0.5 * (x - c) @ (A @ (x - c))),
        lambda x: A @ (x - c),
        lambda x: 0.5 * float(np.abs(x - c) @ (np.abs(A) @ (np.abs(x - c) + np.abs(c)))),
        c,
    )


def _diagonal(rng, n):
    """½ Σ a (x-c)² + constant."""
    a = 10.0 ** rng.uniform(-rng.uniform(0, 4), 0, size=n)
    c, constant = rng.normal(size=n), float(rng.choice([0.0, 0.0, 1.0, -100.0]))
    return (
        lambda x: float(0.5 * (a * (x - c) ** 2).sum() + constant),
        lambda x: a * (x - c),
        lambda x: float(0.5 * (a * (np.abs(x - c) + np.abs(c)) ** 2).sum() + abs(constant)),
        c,
    )


def _convex(rng, n):
    """Σ log cosh-like and softplus terms of A x - b, and a little of ½ ‖x‖²."""
    rows = int(rng.integers(1, 2 * n + 1))
    A, b = rng.normal(size=(rows, n)), rng.normal(size=rows)
    ridge = 10.0 ** rng.uniform(-3, 0)
    some = rng.random(rows) < 0.5

    def fun(x):
        z = A @ x - b
        terms = np.where(some, np.logaddexp(z, -z), np.logaddexp(0, z))
        return float(terms.sum() + 0.5 * ridge * (x**2).sum())

    def jac(x):
        z = A @ x - b
        return A.T @ np.where(some, np.tanh(z), 0.5 * (1 + np.tanh(0.5 * z))) + ridge * x

    def size(x):
        return float((np.abs(A) @ np.abs(x) + np.abs(b) + 1).sum() + 0.5 * ridge * (x**2).sum())

    return fun, jac, size, None


def _smooth(rng, n):
    """Curved valleys and waves: a chain of Rosenbrock's terms and cosines."""
    c, a = rng.normal(size=n), 10.0 ** rng.uniform(-1, 1, size=n)
    steep, wave = 10.0 ** rng.uniform(-1, 2), float(rng.choice([0.0, 1.0, 5.0]))

    def fun(x):
        z = x - c
        r = z[1:] - z[:-1] ** 2
        return float((a * z**2).sum() + steep * (r**2).sum() - wave * np.cos(2 * z).sum())

    def jac(x):
        z = x - c
        r = z[1:] - z[:-1] ** 2
        g = 2 * a * z + 2 * wave * np.sin(2 * z)
        g[1:] += 2 * steep * r
        g[:-1] -= 4 * steep * r * z[:-1]
        return g

    def size(x):
        z = np.abs(x) + np.abs(c)
        return float((a * z**2).sum() + steep * ((z[1:] + z[:-1] ** 2) ** 2).sum() + wave * n)

    return fun, jac, size, None


FAMILIES = {"dense": _dense, "diagonal": _diagonal, "convex": _convex, "smooth": _smooth}


def _box(rng, centre):
    """Bounds around a point: none, or for each variable none, one, two, a narrow two or equal."""
    n = centre.size
    lower, upper = np.full(n, -np.inf), np.full(n, np.inf)
    if rng.random() < 0.25:
        return lower, upper
    kinds = rng.choice(5, size=n, p=rng.dirichlet(np.ones(5)))
    at = centre + rng.normal(size=n)
    lower[kinds >= 1] = at[kinds >= 1]
    width = np.select([kinds == 1, kinds == 2, kinds == 3], [np.inf, rng.exponential(2.0, n), 1e-9])
    upper = np.where(kinds >= 1, at + width, np.inf)
    flip = rng.random(n) < 0.5
    return np.where(flip, -upper, lower), np.where(flip, -lower, upper)


def _options(rng, n, unit):
    """Options that leave the minimum where it is."""
    options: dict[str, Any] = {}
    if rng.random() < 0.5:
        options["maxcor"] = int(rng.integers(2, 31))
    if rng.random() < 0.3:
        options["secant"] = "standard"
    if rng.random() < 0.3:
        options["pairs"] = "float32"
    if rng.random() < 0.3:
        options["x_scale"] = unit * 10.0 ** rng.uniform(-1, 1, size=n)
    if rng.random() < 0.1:
        options["max_steplength"] = float(rng.choice([1.0, 10.0]))
    if rng.random() < 0.2:
        options["gtol_linesearch"] = float(rng.choice([0.1, 0.5]))
    return options


def check(p: Problem, verbose: bool = False) -> tuple[list[str], Counter[str]]:
    """Solve a problem with both, and return what is wrong, and counts."""
    wrong: set[str] = set()
    calls = [0]
    iterates: list[tuple[float, float]] = []

    def fg(x):
        calls[0] += 1
        if not ((x >= p.lower).all() and (x <= p.upper).all()):
            wrong.add("feasible")
        return p.fun(x), p.jac(x)

    def callback(xk, state):
        iterates.append((state.fun, p.size(xk)))

    bounds = np.stack([p.lower, p.upper], axis=1)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("error")
        try:
            ours = minimize_lbfgsb(
                x0=p.x0, fun=fg, jac=True, bounds=bounds, callback=callback, ftol=0.0, gtol=p.gtol,
                maxiter=MAXITER, maxfun=2 * MAXITER, **p.options,
            )  # fmt: skip
        except Warning as warning:
            return [f"warned: {type(warning).__name__}"], Counter(problems=1)
        warnings.simplefilter("ignore")
        scale = p.options.get("x_scale", np.ones(p.x0.size))  # SciPy gets the same variables
        theirs = minimize(
            lambda z: (p.fun(z * scale), p.jac(z * scale) * scale),
            np.clip(p.x0, p.lower, p.upper) / scale, jac=True,
            method="L-BFGS-B", bounds=bounds / scale[:, None],
            options={"ftol": 0.0, "gtol": p.gtol * scale.min(), "maxiter": MAXITER,
                     "maxfun": 2 * MAXITER, "maxcor": p.options.get("maxcor", 10)},
        )  # fmt: skip
        theirs.x = np.clip(theirs.x * scale, p.lower, p.upper)
        f, g = p.fun(ours.x), p.jac(ours.x)
        rounding = EPS * p.size(ours.x)
    if not (f == ours.fun and (g == ours.jac).all()):
        wrong.add("measured")
    if not (ours.nfev == ours.njev == calls[0] and ours.nit == len(iterates)):
        wrong.add("counts")
    for k, ((before, _), (after, size)) in enumerate(itertools.pairwise(iterates), 2):
        last = 1e-12 * abs(before) if k == ours.nit and ours.message.endswith("PGTOL") else 0.0
        if after > before + max(ROUNDING * EPS * size, last):
            wrong.add("monotone")
    norm = p.norm(ours.x, g)
    if ours.message.endswith("PGTOL") and not norm <= p.gtol:
        wrong.add("kkt")
    others = [theirs.x] if p.minimiser is None else [theirs.x, p.minimiser]
    best = min(others, key=p.fun)
    # f(x) - f(z) <= g(x)ᵀ (x - z). A component of g that a bound holds back adds to that by no more
    # than itself times what is left to the bound, and that is at most gtol.
    most = float(np.abs(ours.x - best).sum() + np.abs(g).sum())
    allowed = ROUNDING * rounding + p.gtol * most
    above = f - p.fun(best)
    hardly = min(10 * (theirs.fun - p.fun(best)), 1e-9 * max(abs(f), 1.0))
    if p.convex and ours.success and above > max(allowed, hardly):
        wrong.add("worse")
    elif p.convex and theirs.success and not ours.success and above > allowed:
        wrong.add("failed")
    counts = Counter(
        {
            "problems": 1,
            p.kind: 1,
            "ours": ours.nfev,
            "theirs": theirs.nfev,
            "ours succeeded": int(ours.success),
            "theirs succeeded": int(theirs.success),
            "neither succeeded": int(not (ours.success or theirs.success)),
            "ours lower": int(above < -allowed),
            "ours at gtol": int(norm <= p.gtol),
            "theirs at gtol": int(p.norm(theirs.x, p.jac(theirs.x)) <= p.gtol),
        }
    )
    if p.options.keys() <= {"maxcor"}:  # the same algorithm, but for what makes ours better
        counts.update({"ours plain": ours.nfev, "theirs plain": theirs.nfev})
    if verbose:
        print(f"{p.kind}, n = {p.x0.size}, options {p.options}, gtol {p.gtol:.3g}")
        print(f"ours:   f = {f!r}, |proj g| = {norm:.3g}, nfev {ours.nfev}, {ours.message}")
        print(
            f"theirs: f = {float(theirs.fun)!r}, "
            f"|proj g| = {p.norm(theirs.x, p.jac(theirs.x)):.3g}, "
            f"nfev {theirs.nfev}, {theirs.message}"
        )
        print(f"minimum known: {p.fun(best)!r}; above {above:.3g}, allowed {allowed:.3g}")
    return sorted(wrong), counts


def piece(first: int) -> tuple[int, dict[str, int], list[tuple[int, list[str]]]]:
    """Do the problems from a seed on; returns counts and findings."""
    counts: Counter[str] = Counter()
    findings = []
    for seed in range(first, first + PIECE):
        wrong, more = check(make(seed))
        counts.update(more)
        if wrong:
            findings.append((seed, wrong))
    return first, dict(counts), findings


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--count", type=int, default=10**6, help="problems; default 1000000")
    parser.add_argument("--first", type=int, default=0, help="the first seed; default 0")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin nothing later")
    parser.add_argument("--out", type=Path, help="a file of what is done, to go on from")
    parser.add_argument("--problem", type=int, help="the seed of one problem, shown in detail")
    args = parser.parse_args()
    if args.problem is not None:
        wrong, _ = check(make(args.problem), verbose=True)
        print("wrong:", ", ".join(wrong) or "nothing")
        return bool(wrong)

    total: Counter[str] = Counter()
    findings: list[tuple[int, list[str]]] = []
    done = set()
    last = args.first + args.count
    if args.out is not None and args.out.exists():
        for line in args.out.read_text().splitlines():
            first, counts, found = json.loads(line)
            if args.first <= first < last:
                done.add(first)
                total.update(counts)
                findings += [(seed, wrong) for seed, wrong in found]
    todo = (first for first in range(args.first, last, PIECE) if first not in done)
    end = time.monotonic() + args.seconds
    with ProcessPoolExecutor(args.jobs) as pool:
        running = {pool.submit(piece, f) for _, f in zip(range(2 * args.jobs), todo, strict=False)}
        while running:
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for each in finished:
                first, counts, found = each.result()
                total.update(counts)
                findings += found
                for seed, wrong in found:
                    print(f"--problem {seed}: {', '.join(wrong)}", flush=True)
                if args.out is not None:
                    with args.out.open("a") as file:
                        file.write(json.dumps([first, counts, found]) + "\n")
                begin = next(todo, None) if time.monotonic() < end else None
                if begin is not None:
                    running.add(pool.submit(piece, begin))
    print(", ".join(f"{name} {total[name]}" for name in sorted(total)))
    kinds = Counter(word for _, wrong in findings for word in wrong)
    print(f"problems with findings: {len(findings)}", dict(kinds) or "")
    return bool(findings)


if __name__ == "__main__":
    sys.exit(main())
