#!/usr/bin/env python
"""Run the tests with the oldest and newest versions, other compilers and processors.

    python tools/test_matrix.py [ROW ...] [--jobs N] [-- PYTEST_ARGUMENT ...]

Every row is a build of its own in a new environment. In it the test suite is run, and
`matrix/results.py`, which writes where some thirty runs end, once for each set of kernels that the
processor has (LBFGSB_CPU). The ends are compared: to the last bit they depend on whether the
kernels fuse multiplications with additions (avx2, avx512) or not (baseline, arm64), and on nothing
else.

What a row needs and this machine lacks is installed by apt, or lies in a Debian that debootstrap
makes in the cache folder, $XDG_CACHE_HOME/lbfgsb-matrix; both need root. A row that cannot be had
is left out, and the table at the end says why. The exit status is 1 if a row has failed or bits
differ.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matrix.places import Debian, Failed, LeftOut, Machine

CHECKOUT = Path(__file__).resolve().parents[1]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lbfgsb-matrix"
LOGS = CACHE / "logs"

PYPROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
BUILD_REQUIRES: list[str] = PYPROJECT["build-system"]["requires"]
REQUIRES: list[str] = PYPROJECT["project"]["dependencies"]
TEST_REQUIRES: list[str] = PYPROJECT["project"]["optional-dependencies"]["test"]
OLDEST_PYTHON: str = PYPROJECT["project"]["requires-python"].removeprefix(">=")

# Debian's releases with the oldest Python, and with one that NumPy and SciPy will support for long.
OLD_DEBIAN, NEW_DEBIAN = "bookworm", "trixie"
NEW_PYTHON = (3, 13)

# Levels of LBFGSB_CPU -> the arithmetic of their kernels, which the last bits depend on.
ARITHMETIC = {"avx512": "fused", "avx2": "fused", "baseline": "not fused"}
# A build in which the tests see the pieces of the core.
WITH_PIECES = "-Dtests=true"
# The part of the suite, and what it needs, that is worth its time under emulation.
FAST_TESTS = [f"tests/test_core_{name}.py" for name in ("kernels", "dense", "line_search")]
FAST_REQUIRES = [*REQUIRES, *(x for x in TEST_REQUIRES if x.startswith(("pytest", "hypothesis")))]


# --- the rows ---


@dataclass(frozen=True)
class Row:
    name: str
    what: str
    place: Callable[[Path], Machine]  # made with the path of the log
    pins: list[str] = field(default_factory=list)  # versions, beside what pyproject.toml allows
    compiler: Callable[[Machine], str] | None = None  # installs it, and says what it is called
    level: str = ""  # of LBFGSB_CPU in the tests; the processor's best by default
    emulated: bool = False


def _here(log: Path) -> Machine:
    return Machine(CACHE / "rows", log)


def _with_oldest_python(log: Path) -> Machine:
    for python in (sys.executable, shutil.which(f"python{OLDEST_PYTHON}")):
        if python and _version(python) == OLDEST_PYTHON:
            return Machine(CACHE / "rows", log, python)
    return Debian(CACHE, log, OLD_DEBIAN)


def _with_new_python(log: Path) -> Machine:
    return _here(log) if sys.version_info >= NEW_PYTHON else _in_new_debian(log)


def _in_new_debian(log: Path) -> Machine:
    return Debian(CACHE, log, NEW_DEBIAN)


def _version(python: str) -> str:
    show = "import sys; print('%d.%d' % sys.version_info[:2])"
    return subprocess.run([python, "-c", show], capture_output=True, text=True).stdout.strip()


def _clang(place: Machine) -> str:
    place.install("clang", "libomp-dev", program="clang")
    return "clang"


def _another_gcc(place: Machine) -> str:
    """Return the newest gcc whose version is not the default's."""
    default = subprocess.run(["gcc", "-dumpversion"], capture_output=True, text=True).stdout
    search = ["apt-cache", "search", "--names-only", "^gcc-[0-9]+$"]
    packaged = subprocess.run(search, capture_output=True, text=True).stdout.splitlines()
    here = [file.name for d in os.get_exec_path() for file in Path(d).glob("gcc-*")]
    for names in (here, [line.split()[0] for line in packaged]):
        versions = {int(x[4:]) for x in names if re.fullmatch(r"gcc-\d+", x)}
        others = versions - {int(default.split(".")[0])}
        if others:
            name = f"gcc-{max(others)}"
            place.install(name, program=name)
            return name
    raise LeftOut("there is no other gcc, and apt knows of none")


ROWS = {
    row.name: row
    for row in (
        Row("oldest", "the oldest Python, NumPy and SciPy allowed", _with_oldest_python,
            pins=[re.sub(r">=([\d.]+).*", r"==\1.*", requirement) for requirement in REQUIRES]),
        Row("newest", "the newest NumPy and SciPy, on Python 3.13 or later", _with_new_python),
        Row("clang", "clang", _here, compiler=_clang),
        Row("clang-new", f"clang of Debian {NEW_DEBIAN}", _in_new_debian, compiler=_clang),
        Row("gcc", "another gcc than the default", _here, compiler=_another_gcc),
        *(Row(level, f"LBFGSB_CPU={level}", _here, level=level) for level in ARITHMETIC),
        Row("arm64", "arm64 under qemu, a fast part of the tests", _in_new_debian, emulated=True),
    )
}  # fmt: skip


# --- running them ---


@dataclass
class Outcome:
    row: Row
    verdict: str = ""
    why: str = ""
    tests: str = ""
    failures: list[str] = field(default_factory=list)
    # level -> what results.py wrote
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def log(self) -> Path:
        return LOGS / f"{self.row.name}.log"


def main() -> int:
    words, pytests = _split(sys.argv[1:])
    names = "".join(f"  {name:<12}{row.what}\n" for name, row in ROWS.items())
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog=f"rows:\n{names}\nArguments after -- are pytest's, say: -- -x -k bounds",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", help="all by default")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="rows at once (1)")
    options = parser.parse_args(words)
    if unknown := set(options.rows) - ROWS.keys():
        parser.error(f"no row {', '.join(unknown)}; there are {', '.join(ROWS)}")
    chosen = [ROWS[name] for name in options.rows or ROWS]
    with _cache_folder(), ThreadPoolExecutor(options.jobs) as pool:
        outcomes = list(pool.map(lambda row: _run(row, pytests), chosen))
    _print_table(outcomes)
    agree = _compare(outcomes)
    return int(not agree or any(outcome.verdict == "FAILED" for outcome in outcomes))


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    at = words.index("--") if "--" in words else len(words)
    return words[:at], words[at + 1 :]


@contextmanager
def _cache_folder() -> Iterator[None]:
    """Make the cache folder, and have it alone."""
    LOGS.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another run, which uses {CACHE}", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(row: Row, pytests: list[str]) -> Outcome:
    outcome = Outcome(row)
    outcome.log.write_text("")
    print(f"{row.name}: {row.what}; log in {outcome.log}", flush=True)
    begin = time.monotonic()
    try:
        _build_and_test(outcome, pytests)
        outcome.verdict = "passed"
    except LeftOut as reason:
        outcome.verdict, outcome.why = "left out", str(reason)
    except Failed as error:
        outcome.verdict, outcome.why = "FAILED", str(error)
    outcome.seconds = time.monotonic() - begin
    _read_log(outcome)
    print(f"{row.name}: {outcome.verdict}: {outcome.tests or outcome.why}", flush=True)
    for line in outcome.failures:
        print(f"    {line}", flush=True)
    return outcome


def _build_and_test(outcome: Outcome, pytests: list[str]) -> None:
    row = outcome.row
    place = row.place(outcome.log)
    folder = place.folder / row.name
    source, venv = folder / "source", folder / "venv"
    python = venv / "bin/python"
    _copy_checkout(place.outside(source))
    env = {"PIP_NO_INPUT": "1", "PIP_PROGRESS_BAR": "off", "PIP_ROOT_USER_ACTION": "ignore"}
    env["PATH"] = f"{venv}/bin:{place.environment['PATH']}"
    if row.compiler:
        env["CC"] = row.compiler(place)
    (_build_for_arm64 if row.emulated else _build)(place, folder, row.pins, env)

    levels = place.outside(folder / "levels.json")
    show = "import json, lbfgsb._core.kernels as k; print(json.dumps(k.cpu_supported()))"
    place.run(python, "-c", show, output=levels)
    supported = json.loads(levels.read_text())
    if row.level and row.level not in supported:
        raise LeftOut(f"this processor has {', '.join(supported)} only")
    for level in supported:
        file = place.outside(folder / f"results-{level}.json")
        env_of_level = env | {"LBFGSB_CPU": level}
        place.run(python, source / "tools/matrix/results.py", env=env_of_level, output=file)
        outcome.results[level] = json.loads(file.read_text())

    if row.level:
        env["LBFGSB_CPU"] = row.level
    tests = FAST_TESTS if row.emulated else ["tests"]
    # -P: the checkout's folder lbfgsb/ is not what is tested.
    place.run(
        python, "-P", "-m", "pytest", "-p", "no:cacheprovider", *(pytests or tests),
        cwd=source, env=env,
    )  # fmt: skip


def _copy_checkout(target: Path) -> None:
    """Copy what git knows of the checkout, or would add, as it is now."""
    list_files = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(list_files, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    shutil.rmtree(target, ignore_errors=True)
    for name in names.stdout.split("\0"):
        if (CHECKOUT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / name, target / name)


def _build(place: Machine, folder: Path, pins: list[str], env: dict[str, str]) -> None:
    """Make the environment `folder`/venv, with the package and what its tests need."""
    venv = folder / "venv"
    pip = [venv / "bin/python", "-m", "pip", "install"]
    place.run(place.python, "-m", "venv", "--clear", venv)
    # Isolated, the build would use its own choice of NumPy.
    place.run(*pip, *BUILD_REQUIRES, *pins, env=env)
    build = [*pip, "--no-build-isolation", f"--config-settings=setup-args={WITH_PIECES}"]
    place.run(*build, ".[test]", *pins, cwd=folder / "source", env=env)


# -cpu: a processor that exists. On qemu's own, `max`, with SVE vectors as long as can be, OpenBLAS
# multiplies matrices wrongly, and the tests compare with NumPy's products.
# -0: the interpreter sees this script's path as its own, so it finds its environment; and it can
# start itself, where the kernel does not know what to do with a program for arm64.
_PYTHON_ARM64 = """\
#!/bin/sh
exec qemu-aarch64 -cpu neoverse-n1 -0 "$0" /opt/arm64/usr/bin/python{version} "$@"
"""

_CROSS_FILE = """\
[binaries]
c = 'aarch64-linux-gnu-gcc'
ar = 'aarch64-linux-gnu-ar'
strip = 'aarch64-linux-gnu-strip'
cython = '{tools}/bin/cython'
python = '{python}'
numpy-config = ['{python}', '-m', 'numpy._configtool']
[host_machine]
system = 'linux'
cpu_family = 'aarch64'
cpu = 'aarch64'
endian = 'little'
"""


def _build_for_arm64(place: Machine, folder: Path, pins: list[str], env: dict[str, str]) -> None:
    """Make the same for arm64: packages chosen and code compiled by this machine's programs."""
    version = _python_for_arm64(place)
    tools, venv = folder / "tools", folder / "venv"
    site, python = venv / f"lib/python{version}/site-packages", venv / "bin/python"
    place.run(place.python, "-m", "venv", "--clear", tools)
    place.run(tools / "bin/python", "-m", "pip", "install", *BUILD_REQUIRES, env=env)
    place.run("python-arm64", "-m", "venv", "--clear", "--without-pip", venv)
    place.run(
        tools / "bin/python", "-m", "pip", "install", f"--target={site}", "--only-binary=:all:",
        *(f"--platform=manylinux_2_{x}_aarch64" for x in (17, 27, 28, 34)), *FAST_REQUIRES, *pins,
        env=env,
    )  # fmt: skip
    cross = folder / "arm64.ini"
    place.outside(cross).write_text(_CROSS_FILE.format(tools=tools, python=python))
    meson = [tools / "bin/python", "-m", "mesonbuild.mesonmain"]
    build = folder / "build"
    shutil.rmtree(place.outside(build), ignore_errors=True)
    env = env | {"PATH": f"{tools}/bin:{place.environment['PATH']}"}
    place.run(
        *meson, "setup", f"--cross-file={cross}", WITH_PIECES, f"-Dpython.platlibdir={site}",
        f"-Dpython.purelibdir={site}", "-Dpython.bytecompile=-1", build, folder / "source",
        env=env,
    )  # fmt: skip
    place.run(*meson, "install", "-C", build, env=env)


def _python_for_arm64(place: Machine) -> str:
    """Install a cross compiler, and Python for arm64 as python-arm64; return its version."""
    shown = place.outside(place.folder / "version")
    place.run(place.python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])", output=shown)
    version = shown.read_text().strip()
    if not place.outside(Path(f"/opt/arm64/usr/bin/python{version}")).exists():
        place.run("dpkg", "--add-architecture", "arm64")
        place.install(
            "gcc-aarch64-linux-gnu", "qemu-user", "libpython3-dev:arm64",
            "libpython3-stdlib:arm64", "libgomp1:arm64", "libstdc++6:arm64",
        )  # fmt: skip
        # The libraries of two architectures live side by side, but not the interpreters.
        interpreter = f"python{version}-minimal"
        place.run("apt-get", "download", f"{interpreter}:arm64", cwd="/root")
        place.run("sh", "-c", f"dpkg-deb --extract /root/{interpreter}_*_arm64.deb /opt/arm64")
    script = place.outside(Path("/usr/local/bin/python-arm64"))
    script.write_text(_PYTHON_ARM64.format(version=version))
    script.chmod(0o755)
    return version


# --- what came out ---


def _read_log(outcome: Outcome) -> None:
    """Take the tests that failed and pytest's last line from the log."""
    text = outcome.log.read_text(errors="replace")
    outcome.failures = re.findall(r"^(?:FAILED|ERROR) .*", text, re.MULTILINE)
    last = re.findall(r"^=+ (.*(?:passed|failed|error).*) =+$", text, re.MULTILINE)
    outcome.tests = last[-1] if last else ""


def _print_table(outcomes: list[Outcome]) -> None:
    print()
    for outcome in outcomes:
        made_by = next((result["made by"] for result in outcome.results.values()), {})
        used = ", ".join(f"{key} {made_by[key]}" for key in ("Python", "NumPy", "SciPy") if made_by)
        print(
            f"{outcome.row.name:<11}{outcome.verdict:<10}{outcome.seconds:5.0f} s  "
            f"{outcome.tests or outcome.why}"
        )
        if made_by:
            print(f"{'':<29}{made_by['compiler']}, {used}")
    print(f"logs: {LOGS}")


def _compare(outcomes: list[Outcome]) -> bool:
    """Compare the ends of runs with those of the first build that has the same arithmetic."""
    print()
    agree = True
    for arithmetic in dict.fromkeys(ARITHMETIC.values()):
        builds = [
            (f"{outcome.row.name} {level}", result["runs"])
            for outcome in outcomes
            for level, result in outcome.results.items()
            if ARITHMETIC[level] == arithmetic
        ]
        if len(builds) < 2:
            print(f"{arithmetic}: {len(builds)} builds, nothing to compare")
            continue
        print(f"{arithmetic}: {len(builds)} builds, compared with {builds[0][0]}:")
        for name, runs in builds[1:]:
            other = [run for run, end in runs.items() if end != builds[0][1][run]]
            agree &= not other
            same = f"the same bits in {len(runs) - len(other)} of {len(runs)} runs"
            print(f"    {name:<20}{same}{', not in ' if other else ''}{'; '.join(other)}")
    return agree


if __name__ == "__main__":
    sys.exit(main())
