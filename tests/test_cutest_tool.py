"""``tools/cutest.py``: what it runs, and how it compares, on small made-up problems and rows."""

from __future__ import annotations

import itertools
import json
import math
import multiprocessing
import os
import sys
from pathlib import Path

import numpy as np
import pytest

TOOLS = Path(__file__).parents[1] / "tools"
if not (TOOLS / "cutest.py").exists():
    pytest.skip("not in a checkout", allow_module_level=True)
sys.path.insert(0, str(TOOLS))

import cutest  # noqa: E402
import cutest_runs  # noqa: E402
from cutest_problems import Problem  # noqa: E402
from cutest_report import matrix, missing_table, pair_table, problem_table, summary  # noqa: E402
from cutest_rows import empty_row, group_runs, read_rows  # noqa: E402
from cutest_runs import (  # noqa: E402
    Setting,
    label_of,
    parse_solver,
    run_all,
    run_missing,
    run_solver,
)
from cutest_statistics import (  # noqa: E402
    classes_of,
    costs_of,
    data_profile,
    iterations_of,
    paired,
    performance_profile,
)

INF = math.inf


def row(name="A", solver="lbfgsb", **fields):
    """Make a row of a run that has solved its problem in 10 evaluations."""
    return empty_row(name, solver) | {
        "n": 2, "kind": "unconstrained", "finished": True, "status": 0, "f": 0.0,
        "projected_gradient": 1e-7, "nit": 8, "nfev": 10, "nfev_reported": 10, "time": 0.2,
        "time_in_objective": 0.1, "time_to_load": 0.0, "fun_is_f": True, "jac_is_g": True,
    } | fields  # fmt: skip


UNSOLVED = {"projected_gradient": 1e-2, "message": "ABNORMAL"}


def two_runs():
    """Runs of two solvers on five problems, with ratios of evaluations 1/2, 1, 2 and two alone."""
    ours = [
        row("A", "ours", nfev=10, nit=4),
        row("B", "ours", nfev=30, nit=9, n=20, kind="bounds"),
        row("C", "ours", nfev=80, nit=40, n=200),
        row("D", "ours", nfev=50, n=6, f=3.5, **UNSOLVED),
        row("E", "ours", nfev=7, n=5),
    ]
    theirs = [
        row("A", "theirs", nfev=20, nit=16),
        row("B", "theirs", nfev=30, nit=9, n=20, kind="bounds"),
        row("C", "theirs", nfev=40, nit=40, n=200, f=1.0),
        row("D", "theirs", nfev=60, n=6, f=2.5),
        row("E", "theirs", nfev=9, n=5, **UNSOLVED),
    ]
    return group_runs([("", "file", ours + theirs)]), list("ABCDE")


# --- which problems -----------------------------------------------------------------------


def test_a_half_depends_on_the_name_alone_and_never_changes():
    # The parity of CRC-32, whose values for these are well known: cbf43926 and e8b7be43.
    assert cutest.half_of("123456789") == "tuning"
    assert cutest.half_of("a") == "proof"


def listed(capsys, *argv):
    assert cutest.main([*argv, "--list"]) == 0
    first, *names = capsys.readouterr().out.splitlines()
    assert first.startswith(f"# {len(names)} problems")
    return names


def test_the_halves_and_the_rest_are_all_problems_once(capsys, tmp_path):
    everything = listed(capsys, "--max-n", "10")
    tuning, proof = (listed(capsys, "--max-n", "10", "--half", h) for h in ("tuning", "proof"))
    assert sorted(tuning + proof) == everything
    assert 0.4 < len(tuning) / len(everything) < 0.6

    slow = set(everything[::7])
    reference = tmp_path / "reference.jsonl"
    reference.write_text(
        "".join(json.dumps(row(n, time=9.0 if n in slow else 0.1)) + "\n" for n in everything)
    )
    fast = ["--max-n", "10", "--fast", "1", "--reference", str(reference)]
    parts = [listed(capsys, *fast, "--half", h) for h in ("tuning", "proof", "rest")]
    assert parts == [
        [n for n in tuning if n not in slow], [n for n in proof if n not in slow], sorted(slow),
    ]  # fmt: skip


def test_loading_makes_a_problem_slow_only_if_it_is_to_be_counted():
    rows = [row("A", time_to_load=30.0), row("B", time=30.0), row("C", finished=False, time=None)]
    assert cutest.fast_names(rows, 1.0) == {"A"}
    assert cutest.fast_names(rows, 1.0, with_loading=True) == set()


# --- solvers with options -----------------------------------------------------------------


def test_options_of_a_solver_are_python_values_or_words():
    assert parse_solver("scipy") == ("scipy", {})
    options = {"maxcor": 20, "ftol": 0.0, "x_scale": None, "secant": "standard"}
    text = "lbfgsb:maxcor=20,ftol=0.0,x_scale=None,secant=standard"
    assert parse_solver(text) == ("lbfgsb", options)


@pytest.mark.parametrize("text", ["newton", "lbfgsb:", "lbfgsb:maxcor", "lbfgsb:maxcor=20,"])
def test_what_is_no_solver_is_refused(text):
    with pytest.raises(ValueError):
        parse_solver(text)


@pytest.mark.parametrize("solver", ["lbfgsb:maxkor=20", "scipy:maxkor=20", "lbfgsb:maxcor=0"])
def test_an_option_that_a_solver_refuses_ends_the_command_before_it_runs(solver, capsys):
    with pytest.raises(SystemExit):
        cutest.main(["--problems", "ROSENBR", "--solvers", solver])
    assert f"{solver}: " in capsys.readouterr().err


def test_a_label_tells_version_options_and_setting():
    version = label_of("lbfgsb", Setting()).removeprefix("lbfgsb ")
    assert version[0].isdigit()
    setting = Setting(noise=1e-8, differences=True)
    label = f"lbfgsb {version} maxcor=3 ftol=0, noise 1e-08, differences"
    assert label_of("lbfgsb:maxcor=3,ftol=0", setting) == label


# --- one run ------------------------------------------------------------------------------


def quadratic(name="BOWL", n=3, bounded=False, fun=None):
    d = np.arange(1.0, n + 1.0)
    upper = np.full(n, 0.5 if bounded else np.inf)

    def fun_and_grad(x):
        return 2.0 + float(d @ (x - 1.0) ** 2), 2.0 * d * (x - 1.0)

    return Problem(name, np.full(n, 4.0), fun or fun_and_grad, np.full(n, -np.inf), upper)


@pytest.mark.parametrize("solver", ["lbfgsb", "scipy"])
@pytest.mark.parametrize("bounded", [False, True])
def test_a_run_is_measured(solver, bounded):
    got = run_solver(quadratic(bounded=bounded), solver, Setting())
    assert got["f"] == pytest.approx(3.5 if bounded else 2.0)
    assert got["projected_gradient"] <= 1e-6
    assert got["finished"]
    assert got["nfev"] == got["nfev_reported"]
    assert got["fun_is_f"]
    assert got["jac_is_g"]
    assert got["kind"] == ("bounds" if bounded else "unconstrained")
    assert set(got) == set(empty_row("", ""))
    numbers, values = zip(*got["descent"], strict=True)
    assert numbers[0] == 1
    assert all(a < b for a, b in itertools.pairwise(numbers))
    assert all(a > b for a, b in itertools.pairwise(values))
    assert values[-1] == got["f"]
    json.dumps(got, allow_nan=False)


def test_an_option_of_the_solver_reaches_it():
    got = run_solver(quadratic(), "lbfgsb:maxiter=2", Setting())
    assert got["nit"] == 2
    assert got["solver"].endswith(" maxiter=2")


def noise_seen(noise, name="BOWL"):
    """Relative changes that noise makes to f, in multiples of it, and the objective."""
    clean, told = [], []
    problem = quadratic(name)

    def fun_and_grad(x):
        f, g = problem.fun_and_grad(x)
        clean.append(f)
        return f, g

    objective = cutest_runs.Objective(quadratic(name, fun=fun_and_grad), Setting(noise=noise))
    x = problem.x0
    for _ in range(400):
        f, g = objective(x)
        told.append(f)
        assert np.array_equal(g, problem.fun_and_grad(x)[1])
    return (np.array(told) / clean - 1.0) / noise, objective


def test_noise_is_relative_normal_and_the_same_for_each_solver():
    z, objective = noise_seen(1e-4)
    assert abs(z.mean()) < 0.2
    assert 0.85 < z.std() < 1.15
    assert np.unique(z).size == z.size
    assert np.array_equal(z, noise_seen(1e-4)[0])
    assert not np.array_equal(z, noise_seen(1e-4, name="CUP")[0])
    assert objective.descent == [[1, quadratic().fun_and_grad(quadratic().x0)[0]]]


@pytest.mark.parametrize("solver", ["lbfgsb", "scipy"])
def test_with_noise_a_row_has_f_without_it(solver):
    problem = quadratic()
    got = run_solver(problem, solver, Setting(noise=1e-3))
    # The gradient has no noise, so that f = 2 + sum of g_i^2 / (4 i) is at least:
    assert 2.0 <= got["f"] <= 2.0 + 3 * got["projected_gradient"] ** 2 / 4
    assert got["fun_is_f"] is None
    assert got["descent"][0] == [1, problem.fun_and_grad(problem.x0)[0]]


@pytest.mark.parametrize("solver", ["lbfgsb", "scipy"])
def test_with_differences_each_call_counts_and_the_gradient_measured_is_the_problems(solver):
    problem = quadratic(bounded=True)
    got = run_solver(problem, solver, Setting(differences=True))
    assert got["nfev"] >= (problem.x0.size + 1) * (got["nit"] + 1)
    assert got["nfev"] == got["nfev_reported"]
    assert got["f"] == pytest.approx(3.5)
    assert got["jac_is_g"] is None
    assert got["fun_is_f"]


def test_a_run_out_of_time_leaves_the_best_point():
    calls = []

    def slow(x):
        calls.append(x)
        if len(calls) == 3:
            started = os.times().user
            while os.times().user < started + 0.3:
                pass
        return quadratic().fun_and_grad(x)

    got = run_solver(quadratic(fun=slow), "lbfgsb:gtol=0,ftol=0", Setting(limit=0.1))
    assert got["timed_out"]
    assert not got["finished"]
    assert got["nfev"] == 3
    assert got["f"] == min(quadratic().fun_and_grad(x)[0] for x in calls[:3])
    assert got["limit"] == 0.1


# --- many runs ----------------------------------------------------------------------------


def never_ends(x):
    while True:
        pass


def dies(x):
    os._exit(7)


@pytest.fixture
def forked(monkeypatch):
    """Make problems by name here, and run them in forks of this process."""
    made = {"GOOD": {}, "LOOPS": {"fun": never_ends}, "DIES": {"fun": dies}}
    monkeypatch.setattr(cutest_runs, "load_problem", lambda name: quadratic(name, **made[name]))
    return multiprocessing.get_context("fork")


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # the children call no thread
def test_a_solver_that_stalls_or_dies_costs_its_own_row_only(forked):
    work = {"GOOD": ["lbfgsb", "scipy"], "LOOPS": ["lbfgsb"], "DIES": ["lbfgsb", "scipy"],
            "UNKNOWN": ["lbfgsb"]}  # fmt: skip
    got = {r[0]["name"]: r for r in run_all(work, Setting(limit=0.1), 2, forked)}
    assert {name: [r["message"] for r in rows] for name, rows in got.items() if name != "GOOD"} == {
        "LOOPS": ["killed"],
        "DIES": ["the process died"] * 2,
        "UNKNOWN": ["not loaded: KeyError: 'UNKNOWN'"],
    }
    assert [r["finished"] for r in got["GOOD"]] == [True, True]
    assert got["LOOPS"][0]["timed_out"]
    assert not got["DIES"][0]["timed_out"]


@pytest.fixture
def here(monkeypatch):
    """Run problems made up by name in this process, and tell which solvers ran."""
    ran = []

    def run(work, setting, jobs):
        for name, solvers in work.items():
            ran.extend((name, solver) for solver in solvers)
            yield [run_solver(quadratic(name), solver, setting) for solver in solvers]

    monkeypatch.setattr(cutest_runs, "run_all", run)
    return ran


def test_what_the_file_has_is_not_run_again(here, tmp_path):
    out = tmp_path / "rows.jsonl"
    first = run_missing(["A", "B"], ["lbfgsb"], Setting(), out)
    assert read_rows(out) == first
    variants = ["lbfgsb", "lbfgsb:maxcor=3"]
    rows = run_missing(["A", "B", "C"], variants, Setting(), out)
    assert here == [
        ("A", "lbfgsb"), ("B", "lbfgsb"), ("A", "lbfgsb:maxcor=3"), ("B", "lbfgsb:maxcor=3"),
        ("C", "lbfgsb"), ("C", "lbfgsb:maxcor=3"),
    ]  # fmt: skip
    assert read_rows(out) == rows
    del here[:]
    run_missing(["A", "B", "C"], variants, Setting(), out)
    assert here == []
    run_missing(["A"], ["lbfgsb"], Setting(noise=1e-8), out)  # is another run
    assert here == [("A", "lbfgsb")]


def test_a_run_cut_short_by_a_smaller_limit_is_run_again(here, tmp_path):
    out = tmp_path / "rows.jsonl"
    label = label_of("lbfgsb", Setting())
    cut = {"finished": False, "timed_out": True}
    rows = [row("A", label, limit=5.0, **cut), row("B", label, limit=60.0, **cut),
            row("C", label, limit=5.0)]  # fmt: skip
    old = row("D", label, **cut)  # of a time when rows had no limit
    del old["limit"]
    out.write_text("".join(json.dumps(r) + "\n" for r in [*rows, old]))
    got = run_missing(list("ABCD"), ["lbfgsb"], Setting(limit=60.0), out)
    assert here == [("A", "lbfgsb")]
    assert group_runs([("", "", got)])[label]["A"]["finished"]


def test_a_line_cut_short_is_run_again(here, tmp_path):
    out = tmp_path / "rows.jsonl"
    run_missing(["A", "B"], ["lbfgsb"], Setting(), out)
    out.write_bytes(out.read_bytes()[:-9])
    assert [r["name"] for r in read_rows(out)] == ["A"]
    run_missing(["A", "B"], ["lbfgsb"], Setting(), out)
    assert here == [("A", "lbfgsb"), ("B", "lbfgsb"), ("B", "lbfgsb")]
    assert [r["name"] for r in read_rows(out)] == ["A", "B"]


def test_runs_are_called_by_label_solver_and_file_in_the_order_they_come():
    one, two = [row("A", "scipy 1"), row("A", "lbfgsb 2")], [row("A", "lbfgsb 2")]
    assert list(group_runs([("", "x", one), ("", "y", two), ("before", "z", two)])) == [
        "scipy 1", "lbfgsb 2", "lbfgsb 2 (y)", "before",
    ]  # fmt: skip
    assert list(group_runs([("old", "x", one)])) == ["old: scipy 1", "old: lbfgsb 2"]


# --- statistics ---------------------------------------------------------------------------


def test_paired_statistics_by_hand():
    # Ratios 1/2, 2, 4, 1: logarithms of -1, 1, 2, 0 times log 2, mean 1/2, squared deviations
    # 9/4 + 1/4 + 9/4 + 1/4 = 5, standard deviation sqrt(5/3), error sqrt(5/12).
    first = np.array([1.0, 6.0, 8.0, 5.0, INF, 3.0, INF])
    other = np.array([2.0, 3.0, 2.0, 5.0, 4.0, INF, INF])
    got = paired(first, other)
    assert (got.both, got.fewer, got.more, got.same) == (4, 1, 2, 1)
    assert got.mean == pytest.approx(math.sqrt(2.0))
    assert got.error == pytest.approx(math.sqrt(2.0) * math.log(2.0) * math.sqrt(5.0 / 12.0))
    assert got.median == pytest.approx(math.sqrt(2.0))  # of 1/2, 1, 2, 4
    back = paired(other, first)
    assert back.mean == pytest.approx(1.0 / got.mean)
    assert back.median == pytest.approx(1.0 / got.median)
    assert (back.fewer, back.more) == (2, 1)


def test_few_pairs_have_no_error_and_none_no_mean():
    one = paired(np.array([3.0, INF]), np.array([4.0, 4.0]))
    assert (one.both, one.mean, one.median) == (1, pytest.approx(0.75), pytest.approx(0.75))
    assert math.isnan(one.error)
    none = paired(np.array([INF]), np.array([4.0]))
    assert none.both == 0
    assert all(math.isnan(value) for value in (none.mean, none.error, none.median))


def test_costs_are_evaluations_where_the_gradient_is_small():
    runs, names = two_runs()
    assert costs_of(runs, names)["ours"].tolist() == [10, 30, 80, INF, 7]
    assert costs_of(runs, names)["theirs"].tolist() == [20, 30, 40, 60, INF]
    runs["ours"]["A"]["nit"] = 0  # has no ratio
    assert iterations_of(runs, names)["ours"].tolist() == [INF, 9, 40, INF, 8]


def test_to_an_accuracy_costs_are_the_evaluations_down_to_it():
    # From 100 to the least, 0: for a tenth of the way f must be 10 at most.
    ours = row("A", "ours", descent=[[1, 100.0], [3, 20.0], [4, 10.0], [9, 4.0]])
    theirs = row("A", "theirs", descent=[[1, 100.0], [2, 11.0]], **UNSOLVED)
    cut_short = row("A", "third", descent=[[1, 100.0], [7, 0.0]], finished=False)
    runs = group_runs([("", "", [ours, theirs, cut_short])])
    costs = costs_of(runs, ["A"], 0.1)
    assert {run: cost.tolist() for run, cost in costs.items()} == {
        "ours": [4], "theirs": [INF], "third": [7],
    }  # fmt: skip
    assert costs_of(runs, ["A"], 0.11)["theirs"].tolist() == [2]
    assert costs_of(runs, ["A"], 0.01)["ours"].tolist() == [INF]


def test_an_accuracy_needs_rows_with_a_descent():
    old = row()
    del old["descent"]
    with pytest.raises(ValueError, match="lbfgsb on A has no descent"):
        costs_of(group_runs([("", "", [old])]), ["A"], 1e-3)
    assert costs_of(group_runs([("", "", [row()])]), ["A"], 1e-3)["lbfgsb"].tolist() == [INF]


def test_problems_are_classed_by_kind_and_size():
    sizes = [1, 5, 6, 16, 17, 32, 33, 100, 101]
    rows = [row(str(n), n=n, kind="bounds" if n % 2 else "unconstrained") for n in sizes]
    rows.append(empty_row("x", "lbfgsb"))  # could not be loaded
    runs, names = group_runs([("", "", rows)]), [*map(str, sizes), "x"]
    members = {
        label: [name for name, it in zip(names, mask, strict=True) if it]
        for label, mask in classes_of(runs, names).items()
    }
    assert members == {
        "all": names,
        "unconstrained": ["6", "16", "32", "100"],
        "bounds": ["1", "5", "17", "33", "101"],
        "n <= 5": ["1", "5"],
        "6 <= n <= 16": ["6", "16"],
        "17 <= n <= 32": ["17", "32"],
        "33 <= n <= 100": ["33", "100"],
        "n > 100": ["101"],
    }


def as_lists(profile):
    return {run: (x.tolist(), y.tolist()) for run, (x, y) in profile.items()}


def test_performance_profile_by_hand():
    costs = {"a": np.array([10, 30, 80, INF, INF]), "b": np.array([20, 30, 40, 60, INF])}
    assert as_lists(performance_profile(costs)) == {
        "a": ([1.0, 2.0], [0.4, 0.6]), "b": ([1.0, 2.0], [0.6, 0.8]),
    }  # fmt: skip


def test_data_profile_by_hand():
    costs = {"a": np.array([10, 30, 80, INF]), "b": np.array([20, 30, INF, INF])}
    assert as_lists(data_profile(costs, np.array([4, 5, 39, 1]))) == {
        "a": ([2.0, 5.0], [0.5, 0.75]), "b": ([4.0, 5.0], [0.25, 0.5]),
    }  # fmt: skip


# --- tables and pictures ------------------------------------------------------------------


def test_the_table_of_a_pair_has_its_numbers_by_class():
    runs, names = two_runs()
    text = pair_table(runs, names, costs_of(runs, names), iterations_of(runs, names),
                      "ours", "theirs")  # fmt: skip
    lines = {line[:16].strip(): " ".join(line[16:].split()) for line in text.splitlines()}
    # Ratios 1/2, 1, 2: mean 1, standard deviation log 2, error log 2 / sqrt(3) = 0.400.
    # Iterations 1/4, 1, 1: mean 4^(-1/3) = 0.630, error 0.630 log 4 / 3 = 0.291.
    assert lines["all"] == "5 4 4 3 1.000 ± 0.400 1.000 1 1 1 0.630 ± 0.291"
    assert lines["same minimum"].startswith("3 3 2 2 0.707 ")  # C and D end elsewhere
    assert lines["bounds"] == "1 1 1 1 1.000 ± - 1.000 0 0 1 1.000 ± -"
    assert lines["6 <= n <= 16"] == "1 0 1 0 - - 0 0 0 -"
    assert lines["33 <= n <= 100"] == "0 0 0 0 - - 0 0 0 -"
    assert text.splitlines()[-1].split() == ["A", "0.50", "(10/20)", "C", "2.00", "(80/40)"]


def test_the_matrix_has_every_pair():
    ones = np.ones(2)
    text = matrix({"a": ones, "b": 2 * ones, "c": np.array([4.0, INF])})
    assert [" ".join(line.split()) for line in text.splitlines()[2:]] == [
        "(1) 0.500 ± 0.000 0.250 ± - a",
        "(2) 2.000 ± 0.000 0.500 ± - b",
        "(3) 4.000 ± - 2.000 ± - c",
    ]


def test_what_others_solve_and_the_first_does_not_is_listed_with_how_it_ended():
    runs, names = two_runs()
    text = missing_table(runs, names, costs_of(runs, names))
    head, _, problem, ours, theirs, _ = text.splitlines()
    assert head == "solved by others and not by ours: 1"
    assert problem.split() == ["D", "6", "u"]
    assert ours.split() == ["ours", "|", "3.500000e+00", "1.0e-02", "50*", "ABNORMAL"]
    assert theirs.split() == ["theirs", "|", "2.500000e+00", "1.0e-07", "60", "solved"]


def test_the_tables_of_problems_and_totals_have_all_of_them():
    runs, names = two_runs()
    table = problem_table(runs, names).splitlines()
    assert table[0].split() == ["|", "(1)", "ours", "|", "(2)", "theirs"]
    assert [line.split()[0] for line in table[2:-1]] == names
    assert table[2].split() == [
        "A", "2", "u", "|", "0.000000e+00", "1.0e-07", "10", "|", "0.000000e+00", "1.0e-07", "20",
    ]  # fmt: skip
    text = summary(runs, names, costs_of(runs, names))
    assert "solved: projected gradient <= 1e-06".ljust(44) + f"{4:>16}{4:>16}" in text
    assert "evaluations ".ljust(44) + f"{177:>16}{159:>16}" in text
    assert text.splitlines()[-2:] == ["only ours solves 1: E", "only theirs solves 1: D"]


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_the_command_compares_files_and_draws(suffix, capsys, tmp_path):
    pytest.importorskip("matplotlib")
    rows = [row(name, nfev=nfev, time_to_load=0.1) for name, nfev in (("ROSENBR", 9), ("HS1", 30))]
    files = [tmp_path / "new.jsonl", tmp_path / "old.jsonl"]
    files[0].write_text("".join(json.dumps(r) + "\n" for r in rows))
    files[1].write_text("".join(json.dumps(r | {"nfev": 40}) + "\n" for r in rows))
    pictures = [tmp_path / f"{name}.{suffix}" for name in ("performance", "data")]
    status = cutest.main([
        "--compare", f"now={files[0]}", str(files[1]), "--missing",
        "--profile", str(pictures[0]), "--data-profile", str(pictures[1]),
    ])  # fmt: skip
    text = capsys.readouterr().out
    assert status == 0
    assert "now over lbfgsb; geometric means" in text
    assert "solved by others and not by now: 0" in text
    assert all(path.stat().st_size > 1000 for path in pictures)


def test_the_command_fails_where_a_run_of_ours_was_unsound(capsys, tmp_path):
    file = tmp_path / "rows.jsonl"
    for solver, status in (("lbfgsb 2", 1), ("scipy 1", 0)):
        file.write_text(json.dumps(row("HS1", solver, infeasible=1)) + "\n")
        assert cutest.main(["--compare", f"renamed={file}"]) == status
    assert cutest.main(["--compare", str(file), "--problems", "ROSENBR"]) == 2
    assert "0 of 1 problems were run by all" in capsys.readouterr().err


def test_the_command_compares_the_solvers_it_was_told_to_run_in_their_order(
    here, capsys, tmp_path
):
    out = tmp_path / "rows.jsonl"
    out.write_text(json.dumps(row("HS1", "of another run")) + "\n")
    solvers = ["scipy", "lbfgsb:maxcor=3", "lbfgsb"]
    names = ["HS1", "ROSENBR"]
    assert cutest.main(["--problems", *names, "--out", str(out), "--solvers", *solvers]) == 0
    assert here == [(name, solver) for name in names for solver in solvers]
    printed = capsys.readouterr()
    first, second, third = (label_of(solver, Setting()) for solver in solvers)
    for other in (second, third):
        assert f"{first} over {other}; geometric means" in printed.out
    assert "of another run" not in printed.out
    assert "were run by all" not in printed.err
