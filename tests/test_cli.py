"""The console script: what it prints, its exit status, and how it takes wrong arguments."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from functools import partial
from importlib import metadata, resources
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import scipy

from lbfgsb import _cli as cli
from lbfgsb._cli import demo as demo_command
from lbfgsb._core import kernels

VERSION = metadata.version("lbfgsb")


def columns(line):
    """The numbers of a table's row."""
    return [float(word) for word in line.split()[1:]]


@pytest.fixture(scope="module")
def demo():
    """Exit status and printed lines of one ``lbfgsb demo`` in its own process."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from lbfgsb._cli import main; sys.exit(main(['demo']))",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


class TestDemo:
    def test_succeeds(self, demo):
        status, _ = demo
        assert status == 0

    @pytest.mark.parametrize(
        ("each", "rounds"),
        [(100.0, 4), (0.125, 6), (0.03125, 22), (0.0, 40)],
        ids=["at least", "0.375 s a round", "0.09375 s a round", "at most"],
    )
    def test_the_solvers_take_turns_for_two_seconds_from_four_times_to_forty(
        self, monkeypatch, each, rounds
    ):
        now, order = 0.0, ""

        def task(name, seconds):
            nonlocal now, order
            order += name
            now += seconds

        monkeypatch.setattr(demo_command, "time", SimpleNamespace(perf_counter=lambda: now))
        tasks = {"a": partial(task, "a", each), "b": partial(task, "b", 2 * each)}
        assert demo_command._time_interleaved(tasks) == {"a": each, "b": 2 * each}
        assert order == ("baab" * 20)[: 2 * rounds]

    def test_fits_a_terminal_of_eighty_columns(self, demo):
        _, lines = demo
        assert max(len(line) for line in lines) <= 80
        assert all(line == line.rstrip() for line in lines)

    def test_shows_both_solvers_side_by_side_on_both_problems(self, demo):
        _, lines = demo
        for name in ("lbfgsb ", "SciPy "):
            rows = [line for line in lines if re.match(rf"{name} +\S+ +\S+e-", line)]
            assert len(rows) == 2
            for row in rows:
                value, projected_gradient, iterations, evaluations, milliseconds = columns(row)
                assert value > 0.0
                assert 0.0 <= projected_gradient < 1e-2
                assert 0 < iterations < evaluations < 500
                assert milliseconds > 0.0
        assert len([line for line in lines if line.startswith("time of SciPy / time of")]) == 2

    def test_both_solvers_find_the_same_minimum(self, demo):
        _, lines = demo
        ours = [columns(line)[0] for line in lines if re.match(r"lbfgsb +\S+ +\S+e-", line)]
        theirs = [columns(line)[0] for line in lines if re.match(r"SciPy +\S+ +\S+e-", line)]
        assert ours == pytest.approx(theirs, rel=1e-9)

    def test_says_what_the_fit_says(self, demo):
        text = " ".join(demo[1])
        assert "569 breast masses" in text
        assert "20 of the 30 coefficients end at their bound 0" in text
        assert "worst area" in text

    def test_a_solver_that_fails_is_named_and_makes_the_status_nonzero(self, monkeypatch, capsys):
        solve = demo_command._solve

        def stopped(problem):
            problem.options["maxiter"] = 1
            return solve(problem)

        monkeypatch.setattr(demo_command, "_solve", stopped)
        monkeypatch.setattr(
            demo_command, "_time_interleaved", lambda tasks: dict.fromkeys(tasks, 1.0)
        )
        assert cli.main(["demo"]) == 1
        assert "lbfgsb did not converge: STOP" in capsys.readouterr().out


class TestData:
    def test_the_measurements_are_the_published_ones(self):
        names, measured, malignant = demo_command._load_breast_cancer()
        assert measured.shape == (569, 30)
        assert malignant.shape == (569,)
        assert np.count_nonzero(malignant) == 212
        assert names[0] == "mean radius"
        assert names[-1] == "worst fractal dimension"
        # The extremes that the data set's own description gives.
        for name, least, most in (
            ("mean radius", 6.981, 28.11),
            ("mean area", 143.5, 2501.0),
            ("area error", 6.802, 542.2),
            ("worst texture", 12.02, 49.54),
        ):
            column = measured[:, names.index(name)]
            assert (column.min(), column.max()) == (least, most)

    def test_source_and_licence_ship_beside_them(self):
        text = (resources.files("lbfgsb") / "data" / "breast_cancer_wisconsin.txt").read_text()
        assert "https://doi.org/10.24432/C5DW2B" in text
        assert "CC BY 4.0" in text


class TestInfo:
    def test_tells_versions_processor_and_threads(self, capsys):
        assert cli.main(["info"]) == 0
        out = capsys.readouterr().out
        rows = dict(line.split(maxsplit=1) for line in out.splitlines())
        assert rows["lbfgsb"] == VERSION
        assert rows["NumPy"] == np.__version__
        assert rows["SciPy"] == scipy.__version__
        assert rows["compiler"] == kernels.compiler()
        assert rows["Cython"] == kernels.cython_version()
        assert kernels.cpu() in rows["CPU"]
        assert all(level in rows["CPU"] for level in kernels.cpu_supported())
        assert rows["threads"].startswith("1")

    def test_a_build_without_openmp_has_one_thread(self, monkeypatch, capsys):
        monkeypatch.setattr(kernels, "openmp", lambda: False)
        assert cli.main(["info"]) == 0
        assert re.search(r"^threads +1 \(built without OpenMP\)$", capsys.readouterr().out, re.M)

    def test_tells_where_the_compiled_core_is(self, capsys):
        cli.main(["info"])
        out = capsys.readouterr().out
        (folder,) = re.findall(r"^installed in +(.+)$", out, re.MULTILINE)
        assert Path(kernels.__file__).is_relative_to(folder)

    def test_the_level_in_use_is_one_that_the_machine_has(self):
        assert kernels.cpu() in kernels.cpu_supported()
        assert set(kernels.cpu_supported()) <= {"avx512", "avx2", "baseline"}
        assert "baseline" in kernels.cpu_supported()


class TestArguments:
    def test_version(self, capsys):
        with pytest.raises(SystemExit) as exit_:
            cli.main(["--version"])
        assert exit_.value.code == 0
        assert capsys.readouterr().out == f"lbfgsb {VERSION}\n"

    def test_help_names_every_command(self, capsys):
        with pytest.raises(SystemExit) as exit_:
            cli.main(["--help"])
        assert exit_.value.code == 0
        out = capsys.readouterr().out
        for command in ("demo", "info"):
            assert re.search(rf"^ +{command} ", out, re.MULTILINE)

    @pytest.mark.parametrize(
        ("argv", "message"),
        [
            (["dance"], "invalid choice: 'dance'"),
            (["demo", "--fast"], "unrecognized arguments: --fast"),
            (["info", "more"], "unrecognized arguments: more"),
        ],
    )
    def test_unknown_arguments_are_a_usage_error(self, argv, message, capsys):
        with pytest.raises(SystemExit) as exit_:
            cli.main(argv)
        assert exit_.value.code == 2
        err = capsys.readouterr().err
        assert err.startswith("usage: lbfgsb")
        assert message in err

    def test_runs_as_a_module(self, tmp_path):
        done = subprocess.run(
            [sys.executable, "-m", "lbfgsb", "--version"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == f"lbfgsb {VERSION}\n"

    def test_is_installed_as_a_console_script(self):
        (script,) = metadata.entry_points(group="console_scripts", name="lbfgsb")
        assert script.load() is cli.main


# --- terminals, pipes, Ctrl-C -------------------------------------------------------------

OURS = {
    "demo": ["demo"],
    "bench": ["bench", "--quick"],
    "bench in this process": ["bench", "--quick", "--default-blas"],
}


def start(words, **env):
    """Start the command in a process group of its own, whose SIGINT is not ignored."""
    return subprocess.Popen(
        [sys.executable, "-m", "lbfgsb", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"} | env,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


class TestEnds:
    @pytest.mark.parametrize("words", OURS.values(), ids=OURS)
    def test_a_closed_pipe_ends_it_quietly(self, words):
        with start(words) as process:
            assert "lbfgsb" in process.stdout.readline()
            process.stdout.close()
            assert (process.wait(), process.stderr.read()) == (128 + signal.SIGPIPE, "")

    def test_a_pipe_that_is_closed_before_anything_is_written_does_too(self):
        with start(["info"], PYTHONUNBUFFERED="") as process:
            process.stdout.close()
            assert (process.wait(), process.stderr.read()) == (128 + signal.SIGPIPE, "")

    @pytest.mark.parametrize("words", OURS.values(), ids=OURS)
    def test_ctrl_c_ends_it_quietly(self, words):
        with start(words) as process:
            process.stdout.readline()
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of the group
            _, said = process.communicate()
            assert (process.returncode, said) == (128 + signal.SIGINT, "")


class TestTerminals:
    def test_one_without_greek_gets_us(self):
        with start(["bench", "--quick", "--sizes", "2"], PYTHONIOENCODING="ascii") as process:
            out, said = process.communicate()
        assert (process.returncode, said) == (0, "")
        assert re.search(r"^ +2 +none +1 +float64 +[\d.]+ us", out, re.MULTILINE)

    def test_one_with_greek_gets_its_own(self):
        with start(["bench", "--quick", "--sizes", "2"], PYTHONIOENCODING="utf-8") as process:
            out, said = process.communicate()
        assert (process.returncode, said) == (0, "")
        assert re.search(r"^ +2 +none +1 +float64 +[\d.]+ \N{MICRO SIGN}s", out, re.MULTILINE)
        assert max(map(len, out.splitlines())) <= 80

    def test_other_letters_that_it_lacks_are_question_marks(self, monkeypatch, capsys):
        assert (
            "a\N{MICRO SIGN}b\N{MINUS SIGN}c\N{GREEK SMALL LETTER PI}".encode(
                "ascii", cli._IN_OTHER_LETTERS
            )
            == b"aub-c?"
        )

    def test_without_a_command_it_says_what_there_is(self, capsys):
        assert cli.main([]) == 0
        assert re.search(r"^ +demo ", capsys.readouterr().out, re.MULTILINE)
