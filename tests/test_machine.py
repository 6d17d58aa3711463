"""A `Solver` under any sequence of calls: what DESIGN promises holds after each of them.

A state machine of Hypothesis asks, tells the truth, tells NaN, infinity and lies, tells what is no
f or g at all, raises in objectives, travels by pickle, copy and file, resumes from results and
changes options in callbacks. Beside the solver it keeps what it told. At the end that alone, told
to a new solver, must lead to the same bits: so whatever else was done has left no trace.

``LBFGSB_EXAMPLES=20000 pytest tests/test_machine.py`` tries so many, longer ones, each time others.
"""

import copy
import math
import os
import pickle
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from problems import assert_same_run, projected_gradient, random_problem, same_bits

from lbfgsb import Solver, load_checkpoint, minimize_lbfgsb, save_checkpoint

LONG = int(os.environ.get("LBFGSB_EXAMPLES", "0"))
ENOUGH = 2000  # evaluations after which a run with the truth told is over
MESSAGES = (
    "CONVERGENCE: NORM_OF_PROJECTED_GRADIENT_<=_PGTOL",
    "CONVERGENCE: REL_REDUCTION_OF_F_<=_FTOL",
    "CONVERGENCE: F_<=_TARGET",
    "STOP: TOTAL NO. of ITERATIONS REACHED LIMIT",
    "STOP: TOTAL NO. of f AND g EVALUATIONS EXCEEDS LIMIT",
    "ABNORMAL",
)

# Told in the place of f; None is the truth.
VALUES = (None, math.nan, math.inf, -math.inf, 0.0, -0.0, 1e300, -1e300, 1e-310, -5.0)
# Told in the place of g: by what the truth is multiplied, or what its first component becomes.
FACTORS = (1.0, 0.0, -1.0, 1e-300, 1e160, 1e300)
FIRST = (None, math.nan, math.inf, -math.inf, -0.0)
# What is no f, and what is no g of n components.
NO_VALUES = (None, "f", 1j, [1.0, 2.0], [], {}, object())
NO_GRADIENTS = (
    lambda g: None,
    lambda g: g[:-1],
    lambda g: np.append(g, 0.0),
    lambda g: np.stack([g, g]),
    lambda g: g + 1j,
    lambda g: ["g"] * g.size,
    lambda g: [[each, each] for each in g],
    lambda g: {},
)


class Refused(Exception):
    """Raised in objectives."""


@st.composite
def problems(draw):
    """A random function of 1 to 40 variables, and bounds of all kinds around it."""
    p = random_problem(draw(st.integers(0, 10**6)), draw(st.integers(1, 40)))
    n = p.x0.size
    kind = draw(
        st.sampled_from(["none", "mixed", "box", "orthant", "narrow", "fixed", "all fixed"])
    )
    if kind == "none":
        p.bounds = None
    elif kind != "mixed":
        centre = np.random.default_rng(draw(st.integers(0, 99))).normal(size=n)
        width = {"box": 2.0, "orthant": np.inf, "narrow": 1e-12}.get(kind, 0.0)
        some = np.arange(n) % 2 == 0 if kind == "fixed" else True
        p.bounds = np.stack([centre, centre + np.where(some, width, 3.0)], axis=1)
    if p.bounds is None:
        p.lower, p.upper = np.full(n, -np.inf), np.full(n, np.inf)
    else:
        p.lower, p.upper = p.bounds.T.copy()
    p.x0 = p.x0 * draw(st.sampled_from([1.0, 1.0, 1e3, 0.0]))
    return p


@st.composite
def all_options(draw, n):
    options = draw(
        st.fixed_dictionaries(
            {
                "ftol": st.sampled_from([0.0, 1e-12, 1e-5]),
                "gtol": st.sampled_from([0.0, 1e-8, 1e-3]),
                "maxiter": st.sampled_from([0, 3, 200]),
            },
            optional={
                "maxcor": st.integers(1, 12),
                "maxfun": st.sampled_from([1, 7, 300]),
                "maxls": st.integers(1, 20),
                "ftarget": st.sampled_from([-10.0, 10.0]),
                "max_steplength": st.sampled_from([0.1, 2.0, 1e8]),
                "eps_SY": st.sampled_from([0.0, 1e-3]),
                "pairs": st.sampled_from(["float64", "float32"]),
                "secant": st.sampled_from(["standard", "modified"]),
                "fun_precision": st.sampled_from([1e-15, 1e-7]),
                "threads": st.just(2),
            },
        )
    )
    if draw(st.booleans()):
        sizes = st.sampled_from([0.25, 1.0, 3.0, 1e4])
        options["x_scale"] = draw(sizes | st.lists(sizes, min_size=n, max_size=n))
    return options


def everything(solver):
    """All that a solver is, in bytes."""
    return pickle.dumps(solver)


def through_file(solver):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "solver"
        save_checkpoint(path, solver)
        return load_checkpoint(path)


TRAVEL = {
    "pickle": lambda solver: pickle.loads(pickle.dumps(solver)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "file": through_file,
}


class Machine(RuleBasedStateMachine):
    @initialize(data=st.data())
    def begin(self, data):
        self.p = data.draw(problems())
        self.n = self.p.x0.size
        self.options = data.draw(all_options(self.n))
        self.given = {key: self.options[key] for key in self.options if key != "x_scale"}
        self.solver = self.new()
        self.told = []  # (x, f, g), all that the solver has been told
        self.nit = 0
        self.last = None  # (f, noise) at the last iterate

    def new(self):
        return Solver(self.p.x0, self.p.bounds, **self.options)

    def look(self, x):
        assert x.shape == (self.n,)
        assert (x >= self.p.lower).all()
        assert (x <= self.p.upper).all()

    def truth(self, x):
        self.look(x)
        with np.errstate(over="ignore", invalid="ignore"):
            f, g = self.p.fg(x)
        return float(f), g

    def tell(self, x, f, g):
        new = self.solver.tell(f, g)
        self.told.append((x.copy(), f, np.array(g)))
        assert new is True or new is False
        self.nit += new

    # --- what is right --------------------------------------------------------------------

    @precondition(lambda self: not self.solver.done)
    @rule(times=st.integers(1, 12))
    def tell_the_truth(self, times):
        for _ in range(times):
            if not self.solver.done:
                x = self.solver.ask()
                self.tell(x, *self.truth(x))
                self.state_is_what_was_told()

    @precondition(lambda self: not self.solver.done)
    @rule(
        value=st.sampled_from(VALUES),
        factor=st.sampled_from(FACTORS),
        first=st.sampled_from(FIRST),
    )
    def tell_anything(self, value, factor, first):
        x = self.solver.ask()
        f, g = self.truth(x)
        with np.errstate(over="ignore", invalid="ignore"):
            g = g * factor
        if first is not None:
            g[0] = first
        self.tell(x, f if value is None else value, g)

    @precondition(lambda self: not self.solver.done)
    @rule(iterations=st.integers(1, 5), split=st.booleans())
    def run(self, iterations, split):
        def fg(x):
            f, g = self.truth(x)
            self.told.append((x.copy(), f, g.copy()))
            return f, g

        before = self.nit
        if split and "ftarget" not in self.options:  # at x0 that would ask for no gradient
            over = self.solver.run(lambda x: fg(x)[0], lambda x: self.p.jac(x),
                                   iterations=iterations)  # fmt: skip
        else:
            over = self.solver.run(fg, iterations=iterations)
        assert over == self.solver.done
        self.nit = self.solver.nit
        assert self.nit == before + iterations or (over and self.nit < before + iterations)

    @rule(way=st.sampled_from(list(TRAVEL)))
    def travel(self, way):
        before = self.solver
        self.solver = TRAVEL[way](before)
        assert self.solver is not before
        assert self.solver._asked == before._asked
        assert_same_run(self.result(), self.result_of(before))

    @rule()
    def scribble_on_what_was_handed_out(self):
        result = self.result()
        arrays = [self.solver.x, self.solver.jac, result.x, result.jac]
        if not self.solver.done:
            arrays.append(self.solver.ask())
        for array in arrays:
            array[:] = np.nan

    # --- what is wrong raises, and changes nothing ----------------------------------------

    @precondition(lambda self: not self.solver.done)
    @rule(value=st.sampled_from(NO_VALUES), wrong=st.sampled_from(NO_GRADIENTS), both=st.booleans())
    def tell_what_is_no_f_or_no_g(self, value, wrong, both):
        x = self.solver.ask()
        before = everything(self.solver)
        f, g = self.truth(x)
        for told in ((value, g), (f, wrong(g)), (value, wrong(g))):
            with pytest.raises((TypeError, ValueError)):
                self.solver.tell(*told)
        assert everything(self.solver) == before
        assert same_bits(self.solver.ask(), x)

    @rule()
    def tell_without_having_asked(self):
        if self.solver.done or not self.solver._asked:
            before = everything(self.solver)
            with pytest.raises(RuntimeError):
                self.solver.tell(1.0, np.zeros(self.n))
            assert everything(self.solver) == before

    @precondition(lambda self: self.solver.done)
    @rule()
    def ask_after_the_end(self):
        before = everything(self.solver)
        with pytest.raises(RuntimeError, match="the run is over"):
            self.solver.ask()
        assert self.solver.run(lambda x: pytest.fail("evaluated after the end"))
        assert everything(self.solver) == before

    @rule()
    def run_what_is_no_objective(self):
        before = everything(self.solver)
        for wrong in ((None,), (self.p.fg, 3), (self.p.fg, "2-point")):
            with pytest.raises((TypeError, ValueError)):
                self.solver.run(*wrong)
        with pytest.raises((TypeError, ValueError)):
            self.solver.run(self.p.fg, iterations=0)
        assert everything(self.solver) == before

    @precondition(lambda self: not self.solver.done)
    @rule(after=st.integers(0, 4), error=st.sampled_from([Refused, KeyboardInterrupt, TypeError]))
    def an_objective_raises(self, after, error):
        raised = error("by the objective")
        calls = 0

        def fg(x):
            nonlocal calls
            if calls == after:
                self.look(x)
                raise raised
            calls += 1
            f, g = self.truth(x)
            self.told.append((x.copy(), f, g.copy()))
            return f, g

        caught = None
        try:
            self.solver.run(fg)
        except error as came:
            caught = came
        assert caught is (None if self.solver.done else raised)
        self.nit = self.solver.nit

    # --- other doors ----------------------------------------------------------------------

    def result(self):
        return self.result_of(self.solver)

    def result_of(self, solver):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # lies are lies
            return solver.result()

    def driven_on(self):
        """What a copy of the solver comes to if it is told the truth from here on."""
        arrived = pickle.loads(pickle.dumps(self.solver))
        for _ in range(ENOUGH):
            if arrived.done:
                break
            arrived.tell(*self.truth(arrived.ask()))
        assert arrived.done
        return self.result_of(arrived)

    @precondition(lambda self: self.told)
    @rule(file=st.booleans())
    def resume_from_the_result(self, file):
        before = everything(self.solver)
        part = self.result()
        if file:
            part = through_file(part)
        if self.solver.status != 2:  # a failure is tried again
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                rest = minimize_lbfgsb(
                    x0=part.x, fun=self.truth, jac=True, bounds=self.p.bounds, checkpoint=part,
                    **self.options,
                )  # fmt: skip
            assert_same_run(rest, self.driven_on())
        assert everything(self.solver) == before

    @precondition(lambda self: self.told and self.solver.status == -1)
    @rule(data=st.data(), at=st.integers(1, 4))
    def callbacks_change_options(self, data, at):
        changes = data.draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "ftol": st.sampled_from([0.0, 1e-3]),
                    "gtol": st.sampled_from([0.0, 1e-2]),
                    "maxiter": st.integers(0, 40),
                    "maxfun": st.integers(0, 90),
                    "maxcor": st.integers(1, 15),
                },
            )
        )
        part = self.result()
        evaluated, seen = {}, []

        def fg(x):
            f, g = self.truth(x)
            evaluated[x.tobytes()] = f, g.copy()
            return f, g

        def callback(xk, state):
            self.look(xk)
            seen.append(state.nit)
            if len(seen) == at:
                with pytest.raises((TypeError, ValueError)):
                    state.update(gtol=-1)
                state.update(**changes)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rest = minimize_lbfgsb(
                x0=part.x, fun=fg, jac=True, bounds=self.p.bounds, checkpoint=part,
                callback=callback, **self.options,
            )  # fmt: skip
        self.look(rest.x)
        assert seen == list(range(part.nit + 1, rest.nit + 1))
        assert rest.nfev == rest.njev >= part.nfev
        if rest.nit > part.nit:
            f, g = evaluated[rest.x.tobytes()]
            assert same_bits(rest.fun, f)
            assert same_bits(rest.jac, g)
        if len(seen) >= at and "maxiter" in changes:
            assert rest.nit <= max(changes["maxiter"], part.nit + at)

    # --- what holds always ----------------------------------------------------------------

    @invariant()
    def state_is_what_was_told(self):
        if not hasattr(self, "solver"):
            return
        solver = self.solver
        self.look(solver.x)
        assert solver.nfev == solver.njev == len(self.told)
        assert solver.nit == self.nit
        assert solver.nit <= self.options["maxiter"]
        if not self.told:
            assert np.isnan(solver.fun)
            assert not solver.done
        else:
            x = solver.x
            assert any(
                same_bits(x, at) and same_bits(solver.fun, f) and same_bits(solver.jac, g)
                for at, f, g in reversed(self.told)
            )
        if solver.status != 2:
            self.f_and_its_gradient_are_numbers()
        status, message = solver.status, solver.message
        assert solver.done == (status != -1)
        assert solver.success == (status == 0)
        assert message == "RUNNING" if status == -1 else message.startswith(MESSAGES)
        if message.endswith("PGTOL"):
            assert solver.projected_gradient <= self.options["gtol"]

    def f_and_its_gradient_are_numbers(self):
        solver = self.solver
        if not self.told:
            return
        assert np.isfinite(solver.fun)
        assert np.isfinite(solver.jac).all()
        norm = projected_gradient(solver.x, solver.jac, self.p.lower, self.p.upper)
        assert same_bits(solver.projected_gradient, norm)
        noise = solver._snapshot()["numbers"][8]
        noise = max(noise, solver._precision * abs(solver.fun), 1e-14 * abs(solver.fun))
        if self.last is not None:
            f, known = self.last
            assert solver.fun <= f + 2 * max(noise, known)
        self.last = solver.fun, noise

    def teardown(self):
        """What was told, and nothing else, has made the solver what it is."""
        if not hasattr(self, "solver"):
            return
        again = self.new()
        for x, f, g in self.told:
            assert same_bits(again.ask(), x)
            again.tell(f, g)
        assert again.done == self.solver.done
        assert_same_run(self.result(), self.result_of(again))
        if not again.done:
            assert same_bits(self.solver.ask(), again.ask())
        ended = self.driven_on()
        self.solver = again
        assert_same_run(ended, self.driven_on())


TestMachine = Machine.TestCase
TestMachine.settings = settings(
    max_examples=LONG or 100,
    stateful_step_count=40 if LONG else 15,
    derandomize=not LONG,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
