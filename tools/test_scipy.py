#!/usr/bin/env python
"""Run SciPy's and scikit-learn's own tests with this solver in the place of SciPy's L-BFGS-B.

    python tools/test_scipy.py [scipy] [sklearn] [-- PYTEST_ARGUMENT ...]

Both by default, as they are installed in this environment: SciPy's test files that mention
L-BFGS-B, and scikit-learn's of the estimators that use it. In each file every test is run, after
`lbfgsb.patch_scipy()`. The summary says how many tests reached the solver, so that a patch which
does nothing is seen.

A test that expects what is SciPy's alone is listed in `EXPECTED_TO_DIFFER` with the reason. It is
run all the same, and when it passes after all that is an error: the list may not grow stale.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections import Counter
from importlib import metadata, util
from pathlib import Path

import pytest

import lbfgsb
from lbfgsb import scipy_compat

# Test (file::test, with its parameters if only some differ) -> why.
EXPECTED_TO_DIFFER: dict[str, str] = {
    "test_logistic.py::test_logistic_regression_callback_support[0]": (
        "max_iter=0 is no iteration here, and the callback is not called; SciPy makes one"
    ),
    "test_gpr.py::test_duplicate_input[kernel5]": (
        "two fits, of inputs that differ by 1e-15, end on a plateau where the likelihood does not "
        "depend on the length scale; the test expects the same length scale. In the first, ours "
        "leaves the bound of a variable whose gradient is exactly zero there and ends with a "
        "lower value than SciPy, which stays at that bound in both"
    ),
}

_MENTIONS_SCIPYS = re.compile(r"l[-_]bfgs[-_]b|lbfgsb", re.IGNORECASE)
_MENTIONS_SKLEARNS = re.compile(r"lbfgs|l_bfgs_b|L-BFGS-B")
# Users of the solver whose tests don't name it.
_SKLEARN_FILES = (
    "gaussian_process/tests/test_gpc.py",
    "gaussian_process/tests/test_gpr.py",
    "linear_model/tests/test_huber.py",
    "neighbors/tests/test_nca.py",
    "neural_network/tests/test_mlp.py",
)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog="Arguments after -- are pytest's, say: -- -x -k bounds",
    )
    parser.add_argument(
        "packages", nargs="*", metavar="scipy|sklearn", help="whose tests; both by default"
    )
    own, pytests = _split(sys.argv[1:])
    packages = parser.parse_args(own).packages or ["scipy", "sklearn"]
    status = 0
    for package in packages:
        if package not in ("scipy", "sklearn"):
            parser.error(f"unknown package {package!r}")
        status = max(status, _run(package, pytests))
    return status


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    if "--" not in words:
        return words, []
    at = words.index("--")
    return words[:at], words[at + 1 :]


def _run(package: str, arguments: list[str]) -> int:
    spec = util.find_spec(package)
    if spec is None or spec.origin is None:
        print(f"{package} is not installed", file=sys.stderr)
        return 1
    root = Path(spec.origin).parent
    files = _scipy_files(root) if package == "scipy" else _sklearn_files(root)
    name = "scikit-learn" if package == "sklearn" else package
    print(f"{name} {metadata.version(name)} with lbfgsb {lbfgsb.__version__}: {len(files)} files")
    modules = [".".join((package, *file.relative_to(root).with_suffix("").parts)) for file in files]
    lbfgsb.patch_scipy()
    try:
        witness = _Witness()
        status = pytest.main(
            [
                f"-c{os.devnull}",  # not this folder's configuration
                "-pno:cacheprovider",
                # Leaves sys.path alone: processes that tests start import what this one does.
                "--import-mode=importlib",
                "-q",
                "--pyargs",
                *modules,
                *arguments,
            ],
            plugins=[witness],
        )
    finally:
        lbfgsb.unpatch_scipy()
    if status == pytest.ExitCode.OK and not witness.reached:
        print("no test has reached the solver", file=sys.stderr)
        return 1
    return int(status)


def _scipy_files(root: Path) -> list[Path]:
    """Test files of scipy.optimize that name the method."""
    return [
        file
        for file in sorted(root.glob("optimize/tests/test_*.py"))
        if _MENTIONS_SCIPYS.search(file.read_text())
    ]


def _sklearn_files(root: Path) -> list[Path]:
    """Test files that name the solver, but for those of common machinery, and its other users'."""
    named = {
        file
        for folder in ("linear_model", "linear_model/_glm", "neighbors", "neural_network", "utils")
        for file in root.glob(f"{folder}/tests/test_*.py")
        if _MENTIONS_SKLEARNS.search(file.read_text())
    }
    others = {root / file for file in _SKLEARN_FILES if (root / file).exists()}
    return sorted(named | others)


class _Witness:
    """A pytest plugin: marks the tests that may differ, and sees which reach the solver."""

    def __init__(self) -> None:
        self.reached: Counter[str] = Counter()
        self._current = ""
        self._solve = scipy_compat._solve
        scipy_compat._solve = self._watched

    def _watched(self, *args):
        self.reached[self._current] += 1
        return self._solve(*args)

    def pytest_collection_modifyitems(self, items):
        for item in items:
            name = f"{item.path.name}::{item.name}"
            reason = EXPECTED_TO_DIFFER.get(name) or EXPECTED_TO_DIFFER.get(name.split("[")[0])
            if reason is not None:
                item.add_marker(pytest.mark.xfail(reason=reason, strict=True))

    def pytest_runtest_setup(self, item):
        self._current = item.nodeid

    def pytest_terminal_summary(self, terminalreporter):
        terminalreporter.write_line(
            f"{len(self.reached)} tests reached the solver, in {self.reached.total()} runs"
        )


if __name__ == "__main__":
    sys.exit(main())
