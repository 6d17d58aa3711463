#!/usr/bin/env python
"""Compile the core for macOS on arm64 and for Windows on x86-64, on any machine: a check, no build.

    python tools/cross_compile.py [TARGET ...]

The compiler is zig's clang, which brings the headers of both systems (pip install ziglang). Each C
file of the build, the kernels and what Cython makes, is compiled with the flags that meson gives
it. NumPy's headers are those of its wheel for the target. Python's are this machine's, with a
pyconfig.h of the target's sizes: what the real one says beside them none of our files asks for.
Nothing is linked and nothing run. The exit status is 1 if a file does not compile, or with a
warning; but clang says of some loops that it leaves them scalar (NEON), and of variables in what
Cython makes that they are not used where there is no OpenMP.

Needs ziglang and, as for a build, meson, ninja, cython and numpy.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]

SIZES = """
#define SIZEOF_SHORT 2
#define SIZEOF_INT 4
#define SIZEOF_LONG_LONG 8
#define SIZEOF_FLOAT 4
#define SIZEOF_DOUBLE 8
#define SIZEOF_VOID_P 8
#define SIZEOF_SIZE_T 8
#define SIZEOF_TIME_T 8
#define SIZEOF_FPOS_T 8
#define SIZEOF_OFF_T 8
#define HAVE_SSIZE_T 1
#define HAVE_STDINT_H 1
#define HAVE_INTTYPES_H 1
#define HAVE_STDDEF_H 1
#define HAVE_SYS_TYPES_H 1
#define HAVE_SYS_STAT_H 1
#define HAVE_WCHAR_H 1
#define WITH_THREAD 1
"""


# What is left out of meson's flags. OpenMP: zig has no library for it, and macOS has none either.
LEFT_OUT = ("-fopenmp", "-pthread", "-MD", "-fPIC", "-fdiagnostics-color=always")
# clang's warnings that say nothing of whether the code is portable
QUIET = ("pass-failed", "unused-but-set-variable", "unused-command-line-argument")


@dataclass(frozen=True)
class Target:
    zig: str
    wheels: str  # pip's name of the platform, for NumPy's headers
    has_x86: bool
    pyconfig: str


TARGETS = {
    "macos": Target(
        zig="aarch64-macos",
        wheels="macosx_14_0_arm64",
        has_x86=False,
        pyconfig="""
#define SIZEOF_LONG 8
#define SIZEOF_WCHAR_T 4
#define SIZEOF_PTHREAD_T 8
#define SIZEOF_LONG_DOUBLE 8
#define SIZEOF_PID_T 4
#define SIZEOF_UINTPTR_T 8
#define ALIGNOF_LONG 8
#define HAVE_UNISTD_H 1
#define HAVE_PTHREAD_H 1
#define HAVE_SYS_TIME_H 1
#define HAVE_CLOCK_GETTIME 1
""",
    ),
    "windows": Target(
        zig="x86_64-windows-gnu",
        wheels="win_amd64",
        has_x86=True,
        pyconfig="""
#define MS_WINDOWS
#define MS_WIN32
#define MS_WIN64
#define NT_THREADS
#define PLATFORM "win32"
#define HAVE_DECLSPEC_DLL
#define HAVE_DYNAMIC_LOADING 1
#define Py_NO_ENABLE_SHARED 1
#define SIZEOF_LONG 4
#define SIZEOF_WCHAR_T 2
#define SIZEOF_LONG_DOUBLE 16
#define SIZEOF_PID_T 4
#define SIZEOF_UINTPTR_T 8
#define ALIGNOF_LONG 4
#include <io.h>
""",
    ),
}


def _run(command: list[str], **options: object) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True, **options)  # type: ignore[call-overload]
    if done.returncode != 0:
        sys.exit(f"{shlex.join(command)}\n{done.stdout}{done.stderr}")
    return str(done.stdout)


def _prepare_build(build: Path) -> list[dict[str, str]]:
    """Have meson say how each C file is compiled, and Cython make those that are its own."""
    _run(["meson", "setup", str(build), str(CHECKOUT), "-Dtests=true", "-Dbuildtype=release"])
    targets = _run(["ninja", "-C", str(build), "-t", "targets", "all"]).splitlines()
    made = [line.partition(":")[0] for line in targets if line.partition(":")[0].endswith(".c")]
    _run(["ninja", "-C", str(build), *made])
    commands: list[dict[str, str]] = json.loads((build / "compile_commands.json").read_text())
    return [each for each in commands if each["file"].endswith(".c")]


def _headers(target: Target, work: Path) -> tuple[Path, Path]:
    """The folders of Python's and NumPy's headers for the target."""
    python = work / target.zig / "python"
    shutil.copytree(sysconfig.get_path("include"), python)
    for path in python.rglob("pyconfig*.h"):
        path.unlink()
    (python / "pyconfig.h").write_text(f"#pragma once\n{SIZES}{target.pyconfig}")
    numpy = work / target.zig / "numpy"
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:"]
    _run([*pip, "--platform", target.wheels, "-d", str(numpy), "numpy"])
    (wheel,) = numpy.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(numpy, [n for n in archive.namelist() if "/include/" in n])
    return python, numpy / "numpy" / "_core" / "include"


def _command(entry: dict[str, str], target: Target, headers: tuple[Path, Path]) -> list[str] | None:
    """The compiler's call for the target; None: the file is for processors that it is not for."""
    words = shlex.split(entry["command"])
    if not target.has_x86:
        if any(word.startswith("-mavx") for word in words):
            return None
        words = [word for word in words if word != "-DLBFGSB_X86"]
    python, numpy = headers
    theirs = (sysconfig.get_path("include"), sysconfig.get_path("platinclude"))
    kept = []
    for word in words[1:]:
        folder = re.sub("^(-I|-isystem)", "", word)
        is_python = folder in theirs or Path(folder).name.startswith("python3")
        is_numpy = folder.endswith("numpy/_core/include")
        if not (is_python or is_numpy or word in LEFT_OUT):
            kept.append(word)
    for option in ("-MQ", "-MF", "-o"):
        where = kept.index(option)
        del kept[where : where + 2]
    zig = [sys.executable, "-m", "ziglang", "cc", "-target", target.zig]
    quiet = [f"-Wno-{name}" for name in QUIET]
    return [*zig, *kept, "-Werror", *quiet, f"-I{python}", f"-I{numpy}"]


def _compile(entry: dict[str, str], command: list[str], work: Path) -> str:
    """What the compiler says; nothing if all is well."""
    output = work / f"{abs(hash(tuple(command)))}.o"
    done = subprocess.run(
        [*command, "-o", str(output)],
        cwd=entry["directory"], capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode == 0 and output.exists():
        output.unlink()
        return ""
    return done.stderr or f"exit status {done.returncode}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("target", nargs="*", help=f"some of {', '.join(TARGETS)}; all by default")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    args = parser.parse_args()
    if unknown := set(args.target) - set(TARGETS):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        entries = _prepare_build(work / "build")
        for name in args.target or TARGETS:
            target = TARGETS[name]
            headers = _headers(target, work)
            jobs = [(e, c) for e in entries if (c := _command(e, target, headers)) is not None]
            with ThreadPoolExecutor(args.jobs) as pool:
                said = list(pool.map(lambda job: _compile(*job, work), jobs))
            for (entry, _), words in zip(jobs, said, strict=True):
                if words:
                    failures += 1
                    print(f"--- {name}: {entry['output']}\n{words}")
            well = sum(not words for words in said)
            print(f"{name} ({target.zig}): {well} of {len(jobs)} files compile")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
