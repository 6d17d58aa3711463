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

from lbfgsb import _cli as cli
from lbfgsb._cli import bench as _bench
from lbfgsb._cli import bench_compiled as _bench_compiled
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

    def test_the_limit_is_two_reads_without_bounds_and_three_with(self):
        samples = [Sample(1.0, seconds, 50, 40, 0.0) for seconds in (6.0, 12.0, 60.0)]
        limit = _bench._limit("none", samples, [1.0, 2.0, 3.0])
        assert (limit["reads"], limit["distance"]) == (2, 3.0)
        limit = _bench._limit("active", samples, [1.0, 2.0, 3.0])
        assert (limit["reads"], limit["distance"]) == (3, 2.0)
        assert _bench._limit("none", samples, []) is None


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
        assert rows == [
            (n, kind, 1) for n in (2, 10, 10_000) for kind in ("none", "box", "active")
        ]

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
                assert row["limit"]["reads"] == (2 if row["bounds"] == "none" else 3)
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
        row = {"n": n, "bounds": "none", "threads": 1, "limit": {}}
        compare.add_targets({"rows": [row]})
        assert row["limit"]["target"] == target

    def test_tells_the_machine_in_general_terms(self, report):
        machine = report["machine"]
        assert machine["processors"] >= 1
        assert machine["cpu_kernels"] == kernels.cpu()
        assert machine["blas_threads"] == "1"
        assert {"lbfgsb", "SciPy", "NumPy", "Python"} <= machine["versions"].keys()
        assert os.uname().nodename not in machine["processor"]


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
        lines = out[out.index("The limit:") :].splitlines()
        assert max(len(line) for line in lines) <= 100
        table = lines[-4:]
        assert len({len(line) for line in table}) == 1
        assert [line.split()[-2] for line in table[1:]] == ["2", "3", "3"]

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

    def test_two_threads_are_a_row_of_their_own(self, monkeypatch, capsys):
        if not kernels.openmp() or _bench._processors() < 2:
            pytest.skip("one processor, or built without OpenMP")
        monkeypatch.setattr(_bench, "_THREADS_FROM", 10_000)
        assert bench("--sizes", "10000", "--json", "-") == 0
        rows = strict_json(capsys.readouterr().out)["rows"]
        assert [row["threads"] for row in rows] == [1, 2] * 3
        one, two = rows[:2]
        assert one["solvers"]["SciPy"]["samples"] == two["solvers"]["SciPy"]["samples"]
        assert one["solvers"]["lbfgsb"]["samples"] != two["solvers"]["lbfgsb"]["samples"]

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
            for label in ("lbfgsb", "SciPy", "limit: reading W", "No bounds", "three times"):
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
        argv = ["bench", "--quick", f"--json={path}", "--sizes", "2", "1000"]
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
