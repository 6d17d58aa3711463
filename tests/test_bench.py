"""``lbfgsb bench``, and the project's own benchmark on top of it: what they measure, how they
compare, what they print and write. No times."""

from __future__ import annotations

import copy
import json
import os
import statistics
import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import lbfgsb
from lbfgsb import _cli as cli
from lbfgsb._cli import bench as _bench
from lbfgsb._cli import bench_compiled as _bench_compiled
from lbfgsb._cli import bench_memory as _bench_memory
from lbfgsb._cli.bench import (
    Effort,
    Sample,
    Solver,
    make_problem,
    measure,
    pairwise_ratio,
    run_once,
)
from lbfgsb._core import kernels
from lbfgsb.benchmarks import rosenbrock_fun_and_grad

TOOLS = Path(__file__).parents[1] / "tools" / "bench"
ENVIRONMENTS = TOOLS / "environments.py"
sys.path.insert(0, str(TOOLS))
try:
    import compare
    import lbfgspp
except ImportError:
    compare = None
in_a_checkout = pytest.mark.skipif(compare is None, reason="not in a checkout")


def run_quickly(main, *argv):
    """Run a command in this process, with few repetitions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENBLAS_NUM_THREADS", "1")
        patch.setattr(_bench, "QUICK", Effort(seconds=0.05, least=3, most=9))
        return main(argv)


def bench(*argv):
    """Run ``lbfgsb bench``."""
    return run_quickly(cli.main, "bench", "--quick", *argv)


def compare_peers(*argv):
    """Run ``tools/bench/compare.py``."""
    return run_quickly(compare.main, "--quick", *argv)


def strict_json(text):
    """Parse JSON without its extensions NaN and Infinity."""

    def refuse(name):
        raise ValueError(name)

    return json.loads(text, parse_constant=refuse)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The JSON report of a small run."""
    path = tmp_path_factory.mktemp("bench") / "report.json"
    assert bench("--sizes", "2", "10", "1e4", "--json", str(path)) == 0
    return strict_json(path.read_text())


@pytest.fixture
def report_with_targets(report):
    """The same as ``tools/bench/compare.py`` completes it."""
    report = copy.deepcopy(report)
    compare.add_targets(report)
    return report


class Clock:
    """A clock that moves only when told."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(_bench, "time", clock)
    return clock


def scripted(clock, setup, gaps, tail, iterations=None):
    """A solver that takes these times before, between and after its evaluations."""

    def solve(problem, stamps):
        fun = _bench.timed(problem.fun, stamps)
        clock.now += setup
        for gap in gaps:
            fun(problem.x0)
            clock.now += gap
        fun(problem.x0)
        clock.now += tail
        return iterations, 0.0

    return solve


def slow_objective(clock, seconds):
    def fun(x):
        clock.now += seconds
        return 0.0, x

    return fun


class TestMeasurement:
    def test_time_in_the_objective_does_not_count(self, clock):
        problem = make_problem(2, "none", slow_objective(clock, 1000.0))
        sample = run_once(Solver(scripted(clock, 3.0, [1.0, 2.0], 6.0)), problem)
        assert sample.evaluations == 3
        assert sample.evaluation == (3.0 + 1.0 + 2.0 + 6.0) / 3

    def test_set_up_of_the_others_does_not_count(self, clock):
        problem = make_problem(2, "none", slow_objective(clock, 1000.0))
        solver = Solver(scripted(clock, 3.0, [1.0, 2.0], 6.0), is_setup_counted=False)
        assert run_once(solver, problem).evaluation == (1.0 + 2.0 + 6.0) / 3

    def test_an_iteration_counts_from_where_there_are_all_pairs(self, clock):
        problem = make_problem(2, "none", slow_objective(clock, 1000.0))
        # 13 evaluations bring 11 iterations, hence the eleventh begins after the thirteenth.
        gaps = [100.0] * 12 + [4.0, 5.0, 6.0]
        solver = Solver(scripted(clock, 100.0, gaps, 100.0, iterations=12))
        assert run_once(solver, problem, full=13).iteration == (4.0 + 5.0 + 6.0) / 2
        assert run_once(solver, problem, full=16).iteration is None
        assert run_once(solver, problem).iteration is None
        solver = Solver(scripted(clock, 100.0, gaps, 100.0))
        assert run_once(solver, problem, full=13).iteration == (4.0 + 5.0 + 6.0) / 3

    def test_solvers_take_turns_and_the_order_alternates(self):
        order = []

        def solver(name):
            def solve(problem, stamps):
                order.append(name)
                stamps += [0.0, 1.0]
                return 1, 0.0

            return Solver(solve)

        problem = make_problem(2, "none", rosenbrock_fun_and_grad)
        solvers = {name: solver(name) for name in "abc"}
        samples, probed = measure(problem, solvers, Effort(0.0, 4, 4), {"read": lambda: 0.5})
        assert "".join(order[-12:]) == "abccbaabccba"
        assert {name: len(runs) for name, runs in samples.items()} == dict.fromkeys("abc", 4)
        assert probed == {"read": [0.5] * 4}

    def test_rounds_go_on_until_the_time_is_up(self, clock):
        problem = make_problem(2, "none", slow_objective(clock, 1.0))
        solvers = {"a": Solver(scripted(clock, 0.0, [], 0.0))}
        for seconds, least, most, expected in ((5.0, 3, 50, 6), (1.0, 3, 50, 3), (99.0, 3, 7, 7)):
            samples, _ = measure(problem, solvers, Effort(seconds, least, most))
            assert len(samples["a"]) == expected

    def test_a_ratio_is_the_median_over_the_rounds(self):
        # The ratio of the medians is 1.
        assert pairwise_ratio([2.0, 4.0, 30.0], [1.0, 4.0, 10.0]) == 2.0
        with pytest.raises(ValueError):
            pairwise_ratio([1.0, 2.0], [1.0])

    def test_the_limit_is_two_reads(self):
        samples = [Sample(1.0, seconds, 50, 40, 0.0) for seconds in (6.0, 12.0, 60.0)]
        assert _bench._limit(samples, [1.0, 2.0, 3.0])["distance"] == 3.0
        assert _bench._limit(samples, []) is None


class TestProblems:
    @pytest.mark.parametrize("kind", ["box", "active"])
    def test_start_is_in_the_box(self, kind):
        problem = make_problem(10, kind, rosenbrock_fun_and_grad)
        assert np.all(problem.bounds.lb <= problem.x0)
        assert np.all(problem.x0 <= problem.bounds.ub)
        assert list(np.flatnonzero(problem.bounds.ub == 0.9)) == [0, 3, 6, 9]

    def test_without_bounds_it_starts_at_the_usual_point(self):
        problem = make_problem(5, "none", rosenbrock_fun_and_grad)
        assert problem.bounds is None
        assert list(problem.x0) == [-1.2, 1.0, -1.2, 1.0, -1.2]

    def test_a_third_of_the_variables_is_at_bounds_in_the_active_box(self):
        problem = make_problem(3000, "active", rosenbrock_fun_and_grad)
        at_bound = []

        def fun(x):
            at_bound.append(np.count_nonzero(x == problem.bounds.ub))
            return rosenbrock_fun_and_grad(x)

        _bench.solve_with_lbfgsb(make_problem(3000, "active", fun), [])
        assert statistics.median(at_bound) >= 990

    @pytest.mark.parametrize("kind", _bench.KINDS)
    def test_both_solvers_do_the_same_work(self, kind):
        problem = make_problem(1000, kind, rosenbrock_fun_and_grad)
        # SciPy's secant equation makes SciPy's iterates.
        ours = run_once(Solver(partial(_bench.solve_with_lbfgsb, secant="standard")), problem)
        theirs = run_once(Solver(_bench.solve_with_scipy), problem)
        assert ours.iterations == pytest.approx(theirs.iterations, abs=3)
        assert ours.evaluations == pytest.approx(theirs.evaluations, rel=0.1)
        assert ours.fun == pytest.approx(theirs.fun, rel=1e-6)

    @in_a_checkout
    @pytest.mark.parametrize("name", ["NLopt", "genoxide"])
    @pytest.mark.parametrize("kind", _bench.KINDS)
    def test_other_solvers_run_on_the_same_problem(self, name, kind):
        module, solve = compare.PEERS[name]
        pytest.importorskip(module)
        problem = _bench.replace(make_problem(1000, kind, rosenbrock_fun_and_grad), evaluations=30)
        sample = run_once(Solver(solve, is_setup_counted=False), problem)
        f0, _ = rosenbrock_fun_and_grad(problem.x0)
        assert 1 <= sample.evaluations <= 31
        assert sample.fun < f0


class TestReport:
    def test_has_a_row_for_each_size_and_kind_of_bounds(self, report):
        rows = [(row["n"], row["bounds"], row["threads"]) for row in report["rows"]]
        assert rows == [(n, kind, 1) for n in (2, 10, 10_000) for kind in ("none", "box", "active")]

    def test_pairs_are_in_double_precision_unless_asked(self, report):
        assert {row["pairs"] for row in report["rows"]} == {"float64"}
        assert report["busy"] is False

    def test_has_the_memory_where_it_is_worth_a_process(self, report):
        for row in report["rows"]:
            if row["n"] < 10_000:
                assert row["memory"] is None
            else:
                assert row["memory"].keys() == {"lbfgsb", "SciPy"}

    def test_has_what_each_solver_took(self, report):
        for row in report["rows"]:
            assert {"lbfgsb", "SciPy"} <= row["solvers"].keys()
            for name, took in row["solvers"].items():
                assert took["seconds_per_evaluation"] == statistics.median(took["samples"])
                assert len(took["samples"]) >= 3
                assert took["evaluations"] > 0
                if name in ("lbfgsb", "SciPy"):
                    assert 0 < took["iterations"] < took["evaluations"]

    def test_ratios_come_from_neighbouring_runs(self, report):
        for row in report["rows"]:
            ours = row["solvers"]["lbfgsb"]["samples"]
            for name, took in row["solvers"].items():
                if name != "lbfgsb":
                    pairs = zip(took["samples"], ours, strict=True)
                    assert took["ratio"] == statistics.median(a / b for a, b in pairs)

    def test_has_the_limit_where_memory_is_one(self, report):
        for row in report["rows"]:
            if row["n"] < 10_000:
                assert row["limit"] is None
            else:
                assert row["limit"]["read_seconds"] > 0.0
                assert row["limit"]["distance"] > 0.0

    @in_a_checkout
    def test_has_the_targets(self, report_with_targets):
        rows = report_with_targets["rows"]
        targets = {(row["n"], row["bounds"]): row["target"] for row in rows}
        assert targets[2, "none"] == 10.0
        assert targets[2, "box"] == targets[2, "active"] == 8.0

    @in_a_checkout
    @pytest.mark.parametrize(("n", "target"), [(1_000_000, 1.5), (10_000, None)])
    def test_has_the_target_for_the_limit(self, n, target):
        row = {"n": n, "bounds": "none", "threads": 1, "pairs": "float64", "limit": {}}
        compare.add_targets({"rows": [row]})
        assert row["limit"]["target"] == target

    def test_tells_the_machine_in_general_terms(self, report):
        machine = report["machine"]
        assert machine["processors"] >= 1
        assert machine["cpu_kernels"] == kernels.cpu()
        assert machine["blas_threads"] == "1"
        assert {"lbfgsb", "SciPy", "NumPy", "Python"} <= machine["versions"].keys()
        assert os.uname().nodename not in machine["processor"]


class TestRowsAskedFor:
    def rows(self, capsys, *argv):
        assert bench("--json", "-", *argv) == 0
        report = strict_json(capsys.readouterr().out)
        return [(row["n"], row["threads"], row["pairs"]) for row in report["rows"]], report

    def test_threads_are_a_row_each(self, capsys):
        rows, report = self.rows(capsys, "--sizes", "1000", "--threads", "2", "auto", "2")
        assert rows == [(1000, 2, "float64"), (1000, "auto", "float64")] * 3
        of_two, of_auto = (row["solvers"] for row in report["rows"][:2])
        assert of_two["SciPy"]["samples"] == of_auto["SciPy"]["samples"]
        assert of_two["lbfgsb"]["samples"] != of_auto["lbfgsb"]["samples"]

    def test_pairs_in_single_precision_are_rows_beside_those_in_double(self, capsys):
        rows, report = self.rows(
            capsys, "--sizes", "10", "1000", "--threads", "1", "auto", "--pairs", "float32"
        )
        double = [(1, "float64"), ("auto", "float64")]
        single = [(1, "float32"), ("auto", "float32")]
        of_10, of_1000 = rows[: 3 * 2], rows[3 * 2 :]
        assert of_10 == [(10, *row) for row in double * 3]  # there the type makes no difference
        assert of_1000 == [(1000, *row) for row in (double + single) * 3]
        for row in report["rows"][6:]:
            assert row["solvers"]["lbfgsb"]["iterations"] > 0

    def test_each_row_is_run_with_its_options(self, monkeypatch):
        given = []
        monkeypatch.setattr(
            _bench, "solve_with_lbfgsb", lambda problem, stamps, **options: given.append(options)
        )
        variants = _bench.variants_for(1000, [1, "auto"], "float32")
        for variant in variants:
            variant.solver().solve(None, [])
        assert given == [
            {"threads": threads, "pairs": pairs}
            for pairs in ("float64", "float32")
            for threads in (1, "auto")
        ]
        assert len(set(map(str, variants))) == 4

    def test_a_million_variables_get_threads_by_default(self, monkeypatch):
        def threads(n):
            return [variant.threads for variant in _bench.variants_for(n, None, "float64")]

        monkeypatch.setattr(_bench, "_processors", lambda: 2)
        monkeypatch.setattr(kernels, "openmp", lambda: True)
        assert threads(999_999) == [1]
        assert threads(1_000_000) == [1, 2, "auto"]
        monkeypatch.setattr(_bench, "_processors", lambda: 1)
        assert threads(1_000_000) == [1]

    def test_the_limit_of_single_precision_is_a_read_of_half_the_bytes(self, monkeypatch):
        from lbfgsb._core import measure

        reads = []

        def read_seconds(n, columns, threads, repeats):
            reads.append((n, columns, threads))
            return 1.0 / threads

        monkeypatch.setattr(measure, "read_seconds", read_seconds)
        monkeypatch.setattr(_bench, "_processors", lambda: 4)
        assert _bench.Variant(2, "float64").read_seconds(1000) == 0.5
        assert _bench.Variant("auto", "float32").read_seconds(1000) == 0.25
        assert reads[0] == (1000, 20, 2)
        assert sorted(reads[1:]) == [(1000, 10, 1), (1000, 10, 4)]


class TestMemory:
    N = 200_000

    def peak(self, *variant):
        given = _bench.Variant(*variant) if variant else None
        peak = _bench_memory.measure_in_a_new_process(self.N, "none", given)
        if peak is None:
            pytest.skip("the system does not tell the peak")
        return peak

    def test_is_that_of_the_pairs_and_some_vectors(self):
        W = 2 * 10 * self.N * 8
        double, single = self.peak(1, "float64"), self.peak(1, "float32")
        assert W < double < 2 * W
        assert W / 2 < single < double - W / 3

    def test_of_scipy_is_measured_the_same_way(self):
        assert self.peak() > 2 * 10 * self.N * 8

    def test_of_this_process_does_not_count(self):
        before = np.ones(4 * 20 * self.N)  # more than either run takes
        assert self.peak(1, "float64") < before.nbytes / 2

    def test_has_a_table(self, capsys):
        assert bench("--sizes", "10000", "--pairs", "float32") == 0
        out = capsys.readouterr().out
        lines = out[out.index("Memory:") :].splitlines()
        assert max(len(line) for line in lines) <= 80
        head = next(i for i, line in enumerate(lines) if line.split()[:1] == ["n"])
        table = lines[head:]
        assert len({len(line) for line in table}) == 1
        assert [line.split()[:4] for line in table[1:]] == [
            ["10000", kind, "1", pairs]
            for kind in ("none", "box", "active")
            for pairs in ("float64", "float32")
        ]

    def test_where_the_system_does_not_tell_there_is_none(self, monkeypatch, tmp_path):
        monkeypatch.setattr(_bench_memory, "_STATUS", tmp_path / "status")
        monkeypatch.setitem(sys.modules, "resource", None)
        assert _bench_memory.peak_of_this_process() is None
        solver = Solver(lambda problem, stamps: (0, 0.0))
        assert _bench_memory.peak_of(solver, 100, "none") is None
        assert _bench.format_bytes(None) == "-"


class TestBusy:
    def test_a_neighbour_keeps_a_processor_busy_while_it_is_measured(self, monkeypatch, capsys):
        beside = []

        def start(*args, **options):
            beside.append(popen(*args, **options))
            return beside[-1]

        def rows(*args):
            assert beside[0].poll() is None
            if hasattr(os, "sched_getaffinity"):
                assert os.sched_getaffinity(beside[0].pid) == {max(os.sched_getaffinity(0))}
            return []

        popen = subprocess.Popen
        monkeypatch.setattr(subprocess, "Popen", start)
        monkeypatch.setattr(_bench, "_rows", rows)
        assert bench("--sizes", "1000", "--busy", "--json", "-") == 0
        out, err = capsys.readouterr()
        assert strict_json(out)["busy"] is True
        assert "Beside a process" in err
        assert len(beside) == 1
        assert beside[0].poll() is not None

    def test_the_neighbour_ends_with_the_process_that_started_it(self):
        beside = subprocess.Popen(
            [sys.executable, "-c", _bench._BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert beside.stdout.readline()
        beside.stdin.close()
        assert beside.wait(timeout=60) == 0
        beside.stdout.close()


# As much of LBFGS++ and Eigen as the driver uses: steepest descent with halved steps.
MOCK_EIGEN = """
#pragma once
#include <vector>
namespace Eigen {
class VectorXd {
    std::vector<double> v;
public:
    explicit VectorXd(long n) : v(n) {}
    long size() const { return v.size(); }
    double *data() { return v.data(); }
    const double *data() const { return v.data(); }
    double &operator[](long i) { return v[i]; }
    double operator[](long i) const { return v[i]; }
};
}
"""
MOCK_LBFGSPP = """
#pragma once
#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <stdexcept>
namespace LBFGSpp {
enum { LBFGS_LINESEARCH_BACKTRACKING_STRONG_WOLFE = 3 };
template <typename S> struct LBFGSBParam {
    int m, past, max_iterations, linesearch; S epsilon, epsilon_rel, delta;
};
template <typename S> struct LBFGSParam : LBFGSBParam<S> {};
template <typename S> class LBFGSBSolver {
    LBFGSBParam<S> p;
    typedef Eigen::VectorXd V;
protected:
    template <typename F> int go(F &f, V &x, double &fx, const V *l, const V *u) {
        const long n = x.size();
        V g(n), y(n), gy(n);
        fx = f(x, g);
        for (int k = 1;; k++) {
            double t = 1, fy, norm = 0;
            do {
                t /= 2;
                if (t < 1e-12)
                    throw std::runtime_error("no step");
                for (long i = 0; i < n; i++) {
                    y[i] = x[i] - t * g[i];
                    if (l)
                        y[i] = std::min(std::max(y[i], (*l)[i]), (*u)[i]);
                }
                fy = f(y, gy);
            } while (fy >= fx);
            x = y, g = gy, fx = fy;
            for (long i = 0; i < n; i++) {
                double d = x[i] - g[i];
                if (l)
                    d = std::min(std::max(d, (*l)[i]), (*u)[i]) - x[i];
                else
                    d -= x[i];
                norm = l ? std::max(norm, std::fabs(d)) : std::hypot(norm, d);
            }
            if (norm <= p.epsilon || (p.max_iterations && k >= p.max_iterations))
                return k;
        }
    }
public:
    explicit LBFGSBSolver(const LBFGSBParam<S> &param) : p(param) {}
    template <typename F> int minimize(F &f, V &x, double &fx, const V &l, const V &u) {
        return go(f, x, fx, &l, &u);
    }
};
template <typename S> struct LBFGSSolver : LBFGSBSolver<S> {
    using LBFGSBSolver<S>::LBFGSBSolver;
    template <typename F> int minimize(F &f, Eigen::VectorXd &x, double &fx) {
        return this->go(f, x, fx, nullptr, nullptr);
    }
};
}
"""


@pytest.fixture(scope="module")
def headers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("LBFGS++")
    (folder / "eigen3" / "Eigen").mkdir(parents=True)
    (folder / "eigen3" / "Eigen" / "Core").write_text(MOCK_EIGEN)
    (folder / "LBFGS.h").write_text(MOCK_LBFGSPP)
    (folder / "LBFGSB.h").write_text('#include "LBFGS.h"')
    return folder


@pytest.fixture(scope="module")
def driver(headers):
    try:
        lbfgspp.compiler()
    except FileNotFoundError:
        pytest.skip("no C++ compiler")
    return lbfgspp.Driver(headers)


@in_a_checkout
class TestLbfgspp:
    """The headers are a stand-in: what is tested is how they are found, compiled and measured."""

    def test_whole_solves_up_to_a_hundred_variables_then_iterations(self, driver):
        rows = lbfgspp.measure(driver, [2, 1000], lbfgspp.Budget(rounds=2, seconds=0.0))
        assert [(row["n"], row["bounds"], row["what"]) for row in rows] == [
            (2, "none", "solve"), (2, "box", "solve"),
            (1000, "none", "iteration"), (1000, "box", "iteration"),
        ]  # fmt: skip
        for row in rows[:2]:
            ours = row["solvers"]["lbfgsb"]
            assert ours["completed"]
            assert ours["evaluations"] > ours["iterations"] > 10
        for row in rows[2:]:
            for took in row["solvers"].values():
                assert took["iterations"] == 40
                assert took["completed"]
                assert took["seconds"] is not None
            assert row["ratio"] is not None
        lines = lbfgspp.lines_of(rows)
        assert max(len(line) for line in lines) <= 100

    @pytest.mark.parametrize("kind", ["none", "box"])
    def test_lbfgsb_is_solved_as_from_python(self, driver, kind):
        row = lbfgspp.measure_one(driver, 10, kind, lbfgspp.Budget(rounds=1, seconds=0.0))
        problem = make_problem(10, kind, rosenbrock_fun_and_grad)
        result = lbfgsb.minimize_lbfgsb(
            x0=problem.x0, fun=rosenbrock_fun_and_grad, jac=True, bounds=problem.bounds,
            maxcor=10, ftol=0, gtol=1e-5, maxiter=15_000,
        )  # fmt: skip
        ours = row["solvers"]["lbfgsb"]
        assert ours["iterations"] == pytest.approx(result.nit, abs=3)
        assert ours["fun"] == pytest.approx(result.fun, rel=1e-6, abs=1e-9)

    def test_a_failed_line_search_gives_no_ratio(self, driver, monkeypatch):
        monkeypatch.setattr(lbfgspp, "GTOL", -1.0)  # which no gradient meets
        monkeypatch.setattr(lbfgspp, "NO_LIMIT", 10**9)
        row = lbfgspp.measure_one(driver, 2, "none", lbfgspp.Budget(rounds=1, seconds=0.0))
        assert not row["solvers"]["LBFGS++"]["completed"]
        assert row["ratio"] is None
        assert lbfgspp.lines_of([row])[-1].endswith("*")

    def test_its_rows_come_with_the_command(self, driver, headers, capsys, monkeypatch):
        monkeypatch.setattr(lbfgspp, "Driver", lambda *folders: driver)
        argv = ["--sizes", "1000", "--lbfgspp", str(headers), "--json", "-"]
        assert compare_peers(*argv) == 0
        out, err = capsys.readouterr()
        assert [row["bounds"] for row in strict_json(out)["lbfgspp"]] == ["none", "box"]
        assert err.count("LBFGS++ / lbfgsb") == 2

    @pytest.mark.parametrize("what", ["LBFGSB.h", "Eigen/Core"])
    def test_headers_that_are_not_there_are_named(self, what, tmp_path, monkeypatch):
        monkeypatch.setattr(lbfgspp, "USUAL_PLACES", ())
        if what != "LBFGSB.h":
            (tmp_path / "LBFGSB.h").write_text("")
        with pytest.raises(SystemExit, match=f"no {what}"):
            compare_peers("--lbfgspp", str(tmp_path))


class TestCompiled:
    def test_small_problems_are_solved_with_a_compiled_objective_too(self, report):
        assert [(row["n"], row["bounds"]) for row in report["compiled"]] == [
            (2, "none"), (2, "box"), (10, "none"), (10, "box"),
        ]  # fmt: skip
        for row in report["compiled"]:
            assert row["alone"] > 0
            assert row["in_a_batch"] > 0
            assert row["evaluations"] > row["iterations"] > 10

    @in_a_checkout
    def test_solves_have_targets(self, report_with_targets):
        targets = [row["target"] for row in report_with_targets["compiled"]]
        assert targets == [40e-6, 80e-6, 90e-6, 170e-6]

    def test_a_great_many_are_compared_with_a_loop_over_scipy(self, report):
        many = report["many"]
        assert many["converged"] == many["count"] > 1000
        assert many["evaluations"] > 10 * many["count"]
        assert many["scipy_extrapolated"] > 0
        assert many["seconds"] > 0

    def test_times_are_of_one_problem_whether_alone_or_among_many(self, clock, monkeypatch):
        monkeypatch.setattr(_bench_compiled, "time", clock)
        solved = Counter()

        def takes(seconds, name):
            solve = getattr(_bench_compiled, name)

            def timed(*args, **kwargs):
                res = solve(*args, **kwargs)
                count = len(res.x) if name == "minimize_batch" else 1
                clock.now += seconds * count
                solved[name] += count
                return res

            monkeypatch.setattr(_bench_compiled, name, timed)

        takes(4.0, "minimize_lbfgsb")
        takes(0.25, "minimize_batch")
        takes(16.0, "minimize")
        rows = _bench_compiled.measure_solves(2, 3)
        assert [row["bounds"] for row in rows] == ["none", "box"]
        assert {(row["alone"], row["in_a_batch"]) for row in rows} == {(4.0, 0.25)}
        assert solved == {"minimize_lbfgsb": 2 * (1 + 3 * 20), "minimize_batch": 2 * 3 * 200}
        many = _bench_compiled.measure_many(1000, threads=1)
        assert (many["seconds"], many["scipy_extrapolated"]) == (250.0, 16_000.0)
        assert (many["count"], solved["minimize"]) == (1000, 200)

    def test_large_problems_alone_have_no_such_part(self, capsys):
        assert bench("--sizes", "1000", "--json", "-") == 0
        assert "compiled" not in strict_json(capsys.readouterr().out)


class TestOutput:
    def test_is_an_aligned_table_of_a_hundred_columns(self, capsys):
        assert bench("--sizes", "2", "10") == 0
        lines = capsys.readouterr().out.splitlines()
        assert max(len(line) for line in lines) <= 100
        assert all(line == line.rstrip() for line in lines)
        head = next(i for i, line in enumerate(lines) if line.split()[:1] == ["n"])
        table = lines[head : head + 7]
        assert len({len(line) for line in table}) == 1
        assert {"lbfgsb", "SciPy", "ratio"} <= set(table[0].split())
        assert [line.split()[:3] for line in table[1:]] == [
            [n, kind, "1"] for n in ("2", "10") for kind in ("none", "box", "active")
        ]

    def test_has_a_second_table_for_the_limit(self, capsys):
        assert bench("--sizes", "10000") == 0
        out = capsys.readouterr().out
        lines = out[out.index("The limit:") : out.index("Memory:")].rstrip().splitlines()
        assert max(len(line) for line in lines) <= 100
        table = lines[-4:]
        assert len({len(line) for line in table}) == 1
        assert all(line.split()[-1].endswith("x") for line in table[1:])

    @in_a_checkout
    def test_has_a_table_for_the_targets(self, report_with_targets):
        lines = compare.target_lines(report_with_targets)
        assert max(len(line) for line in lines) <= 100
        head = next(i for i, line in enumerate(lines) if line.split()[:1] == ["n"])
        table = lines[head:]
        assert len({len(line) for line in table}) == 1
        assert "target" in table[0].split()
        words = [line.split() for line in table[1:]]
        assert [w[-1] for w in words if "SciPy" in w][:3] == ["10x", "8x", "8x"]
        assert len(words) == 9 + 4  # all rows, and the compiled solves

    def test_json_alone_goes_to_standard_output(self, capsys):
        assert bench("--sizes", "2", "--json", "-") == 0
        out, err = capsys.readouterr()
        assert len(strict_json(out)["rows"]) == 3
        assert "SciPy" in err

    @in_a_checkout
    def test_a_solver_that_is_not_installed_is_left_out(self, monkeypatch, capsys):
        for module, _ in compare.PEERS.values():
            monkeypatch.setitem(sys.modules, module, None)
        assert compare_peers("--sizes", "2", "--json", "-") == 0
        out, err = capsys.readouterr()
        assert strict_json(out)["rows"][0]["solvers"].keys() == {"lbfgsb", "SciPy"}
        assert "NLopt" not in err
        assert "genoxide" not in err

    @in_a_checkout
    @pytest.mark.parametrize("ending", ["png", "svg"])
    def test_the_picture_is_drawn(self, report, ending, tmp_path):
        pytest.importorskip("matplotlib")
        path = tmp_path / f"picture.{ending}"
        compare.draw(report["rows"], path)
        assert path.stat().st_size > 10_000
        if ending == "svg":
            text = path.read_text()
            for label in ("lbfgsb", "SciPy", "limit: reading W", "No bounds"):
                assert label in text

    @in_a_checkout
    def test_the_picture_is_drawn_by_the_command(self, tmp_path, capsys):
        pytest.importorskip("matplotlib")
        path = tmp_path / "picture.png"
        assert compare_peers("--sizes", "2", "--plot", str(path)) == 0
        assert path.read_bytes().startswith(b"\x89PNG")

    @in_a_checkout
    def test_without_matplotlib_it_says_what_to_install_first(self, monkeypatch, tmp_path, capsys):
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        with pytest.raises(SystemExit, match=r"pip install 'lbfgsb\[plot\]'"):
            compare_peers("--sizes", "2", "--plot", str(tmp_path / "picture.png"))
        assert capsys.readouterr().out == ""


class TestArguments:
    @pytest.mark.parametrize("size", ["1", "0", "2.5", "many", "inf", "nan", "2,10", "-5"])
    def test_sizes_are_whole_numbers_from_two_on(self, size, capsys):
        with pytest.raises(SystemExit) as exit_:
            bench("--sizes", size)
        assert exit_.value.code == 2
        assert "--sizes" in capsys.readouterr().err

    @pytest.mark.parametrize("threads", ["0", "-1", "2.5", "all", "1001"])
    def test_threads_are_whole_numbers_or_auto(self, threads, capsys):
        with pytest.raises(SystemExit) as exit_:
            bench("--threads", threads)
        assert exit_.value.code == 2
        assert "--threads" in capsys.readouterr().err

    @pytest.mark.parametrize(("text", "size"), [("2", 2), ("1e5", 100_000), ("10_000", 10_000)])
    def test_sizes_are_written_as_in_python(self, text, size):
        assert _bench.parse_size(text) == size

    @in_a_checkout
    @pytest.mark.parametrize(
        ("argv", "message"),
        [
            (["--plot", "picture.docx"], "expected a name in .png, .pdf or .svg"),
            (["--plot", "no/such/folder/a.png"], "no such folder: no/such/folder"),
            (["--json", "no/such/folder/a.json"], "no such folder: no/such/folder"),
        ],
    )
    def test_files_that_cannot_be_written_are_refused_at_once(self, argv, message, capsys):
        with pytest.raises(SystemExit) as exit_:
            compare_peers(*argv)
        assert exit_.value.code == 2
        assert message in capsys.readouterr().err


class TestNewProcess:
    @pytest.fixture
    def environment(self):
        return {name: v for name, v in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}

    def test_scipy_has_one_thread_unless_told_otherwise(self, environment, tmp_path):
        command = [sys.executable, "-m", "lbfgsb", "bench", "--quick", "--sizes", "2"]
        done = subprocess.run(
            [*command, "--json", "report.json"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert "OPENBLAS_NUM_THREADS=1" in done.stdout
        report = strict_json((tmp_path / "report.json").read_text())
        assert report["machine"]["blas_threads"] == "1"
        assert len(report["rows"]) == 3

    def test_a_number_of_threads_that_is_set_stays(self, monkeypatch):
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
        assert _bench.describe_machine()["blas_threads"] == "2"

    def test_the_new_process_gets_the_same_arguments(self, monkeypatch, tmp_path):
        calls = []

        def run(command, **options):
            calls.append((command, options["env"]))
            return SimpleNamespace(returncode=7)

        monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
        monkeypatch.setattr(subprocess, "run", run)
        path = str(tmp_path / "a.json")
        argv = ["bench", "--quick", "--busy", "--pairs", "float32", f"--json={path}"]
        argv += ["--threads", "1", "auto", "--sizes", "2", "1000"]
        assert cli.main([*argv[:-1], "1e3"]) == 7
        ((command, env),) = calls
        assert command[-len(argv) :] == argv
        assert env["OPENBLAS_NUM_THREADS"] == "1"


@pytest.mark.skipif(not ENVIRONMENTS.exists(), reason="not in a checkout")
class TestEnvironments:
    def test_measures_the_lbfgsb_that_is_installed(self, tmp_path):
        path = tmp_path / "rows.json"
        command = [sys.executable, ENVIRONMENTS, "--sizes", "2", "--measure", path]
        subprocess.run(command, cwd=tmp_path, check=True)
        rows = strict_json(path.read_text())
        assert [(row["n"], row["bounds"]) for row in rows] == [
            (2, kind) for kind in ("none", "box", "active")
        ]
        assert all(row["seconds_per_evaluation"] > 0.0 for row in rows)

    def test_unknown_sizes_are_a_usage_error(self, tmp_path):
        done = subprocess.run(
            [sys.executable, ENVIRONMENTS, "--sizes", "small"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert "--sizes" in done.stderr
