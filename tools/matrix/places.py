"""Where a row of the matrix is run: on this machine, or in a Debian that lies in a folder.

The Debian is made by debootstrap, once, from the mirror that this machine's apt uses, and entered
by chroot. What a command needs to reach the package index comes along from the machine: pip's
settings and the files that they name, certificates, name service, proxies. The files are mounted
for the length of one command, in a mount namespace of its own, so that nothing has to be undone;
where mounting is not permitted, they are copied.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from threading import Lock
from urllib.parse import urlsplit
from urllib.request import url2pathname

# Every Debian is made with these; rows add theirs.
_PACKAGES = "python3,python3-dev,python3-venv,gcc,libc6-dev"
# Environment variables of this machine that a Debian is told too.
_TOLD = re.compile(r"_proxy$|CERT|CA_BUNDLE|^OPENBLAS_", re.IGNORECASE)
_ENTER = Path(__file__).with_name("enter.sh")
# A command that takes longer hangs: the whole suite takes minutes.
_PATIENCE = 3600.0
# Rows may run side by side; apt may not.
_APT = Lock()
_MAKING = Lock()


class LeftOut(Exception):
    """Why a row cannot be had on this machine."""


class Failed(Exception):
    """What went wrong in a row."""


class Machine:
    """This machine: `folder` is for the files of rows, `python` the interpreter that they use.

    What commands print goes to `log`.
    """

    def __init__(self, folder: Path, log: Path, python: str = sys.executable) -> None:
        self.folder = folder
        self.log = log
        self.python = python
        self.environment = dict(os.environ)
        for name in ("LBFGSB_CPU", "PYTHONPATH"):
            self.environment.pop(name, None)

    def outside(self, path: Path) -> Path:
        """Return the path by which this machine knows a path of the place."""
        return path

    def run(
        self,
        *words: str | Path,
        cwd: str | Path = "/",
        env: dict[str, str] | None = None,
        output: Path | None = None,
    ) -> None:
        """Run a command; what it prints goes to the log, standard output to `output` if given."""
        with self.log.open("a") as log, (output or self.log).open("w" if output else "a") as out:
            print("\n$", *words, file=log, flush=True)
            settings = [f"{name}={value}" for name, value in (env or {}).items()]
            command = self._command(["env", f"--chdir={cwd}", *settings, *map(str, words)])
            try:
                status = subprocess.run(
                    command,
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=log,
                    timeout=_PATIENCE,
                ).returncode
            except subprocess.TimeoutExpired:
                raise Failed(f"not done after an hour: {_shown(words)}") from None
        if status:
            raise Failed(f"exit status {status}: {_shown(words)}")

    def _command(self, words: list[str]) -> list[str]:
        return words

    def install(self, *packages: str, program: str = "") -> None:
        """Install Debian packages; `program`, of whatever origin, will do where that can't be."""
        missing = [package for package in packages if not self._has(package)]
        if not missing or (program and shutil.which(program) and not _may_install()):
            return
        if not _may_install():
            raise LeftOut(f"no {program or missing[0]}, which only root can install, with apt")
        options = ["--quiet", "--yes", "--no-install-recommends", "-oDPkg::Lock::Timeout=600"]
        try:
            with _APT:
                self.update()
                self.run(
                    "apt-get", "install", *options, *missing,
                    env={"DEBIAN_FRONTEND": "noninteractive"},
                )  # fmt: skip
        except Failed as error:
            raise LeftOut(f"{' '.join(missing)} could not be installed: {error}") from None

    def update(self) -> None:
        """Bring apt's lists up to date as far as its sources can be reached."""
        self.run("sh", "-c", "apt-get update --quiet || echo 'with the lists that there are, then'")

    def _has(self, package: str) -> bool:
        if not shutil.which("dpkg-query"):
            return False
        query = subprocess.run(
            ["dpkg-query", f"--admindir={self.outside(Path('/var/lib/dpkg'))}",
             "--show", "--showformat=${db:Status-Status}", package],
            capture_output=True,
        )  # fmt: skip
        return query.stdout == b"installed"


class Debian(Machine):
    """The Debian release `suite` in a folder of `cache`, made there unless it has been."""

    def __init__(self, cache: Path, log: Path, suite: str) -> None:
        super().__init__(Path("/rows"), log, "/usr/bin/python3")
        self._root = cache / f"debian-{suite}"
        if os.geteuid():
            raise LeftOut(f"only root can make Debian {suite} in a folder, and enter it")
        here = Machine(self.folder, log)
        with _MAKING:
            if not self._root.exists():
                self._make(suite, here)
        self.environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "LANG": "C.UTF-8",
        }
        told = _pip_settings() | {k: v for k, v in os.environ.items() if _TOLD.search(k)}
        self.environment |= told
        paths = [*map(str, _paths_in(told.values())), "--"]
        enter = ["sh", str(_ENTER)]
        self._enter = ["unshare", "--mount", *enter, "mount", str(self._root), *paths]
        if subprocess.run([*self._enter, "true"], capture_output=True).returncode:
            here.run(*enter, "copy", self._root, *paths, "true")
            self._enter = [*enter, "copy", str(self._root), "--"]

    def outside(self, path: Path) -> Path:
        return self._root / path.relative_to("/")

    def _command(self, words: list[str]) -> list[str]:
        return [*self._enter, *words]

    def _make(self, suite: str, here: Machine) -> None:
        here.install("debootstrap", program="debootstrap")
        mirror = _mirror(here)
        part = self._root.with_name(self._root.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        print(f"making Debian {suite} in {self._root}: takes minutes, once", flush=True)
        try:
            # The script for sid is the one for every release, also one that this debootstrap
            # has not heard of.
            here.run(
                "debootstrap", "--variant=minbase", f"--include={_PACKAGES}", suite, part, mirror,
                "sid",
            )  # fmt: skip
        except Failed as error:
            raise LeftOut(f"Debian {suite} could not be made: {error}") from None
        # How this machine's apt fetches, through a proxy for instance; not what it fetches.
        settings = _output("apt-config", "dump", "--no-empty", "Acquire").splitlines(keepends=True)
        (part / "etc/apt/apt.conf.d/99machine").write_text(
            "".join(line for line in settings if "::IndexTargets::" not in line)
        )
        part.rename(self._root)


def _mirror(here: Machine) -> str:
    """Return the mirror from which this machine's own packages come."""
    here.update()  # the lists say whose packages they are
    sites = _output("apt-get", "indextargets", "--format=$(SITE)", "Label: Debian").split()
    if not sites:
        raise LeftOut("no source of this machine's apt is a mirror of Debian that can be reached")
    return sites[0]


def _pip_settings() -> dict[str, str]:
    """Return what pip is told here, in files or the environment, as environment variables."""
    told: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in _output(sys.executable, "-m", "pip", "config", "list").splitlines():
        key, _, value = line.partition("=")
        section, _, name = key.rpartition(".")
        if section in told:
            variable = "PIP_" + name.upper().replace("-", "_")
            told[section][variable] = " ".join(str(ast.literal_eval(value)).split())
    return told["global"] | told["install"] | told[":env:"]


def _paths_in(settings: Iterable[str]) -> list[Path]:
    """Return the paths of this machine that settings name, and those that every network needs."""
    paths = {Path("/etc/resolv.conf"), Path("/etc/hosts"), Path("/etc/ssl/certs")}
    for word in " ".join(settings).split():
        if word.startswith("file:"):
            # The pages of an index link to files beside it.
            index = Path(url2pathname(urlsplit(word).path))
            paths.add(index.parent if len(index.parts) > 2 else index)
        elif word.startswith("/"):
            paths.add(Path(word))
    present = {path for path in paths if path.exists()}
    return sorted(path for path in present if present.isdisjoint(path.parents))


def _may_install() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def _output(*words: str) -> str:
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise LeftOut(f"this machine does not say: {error}") from None


def _shown(words: Sequence[str | Path]) -> str:
    """Return a command as far as it fits in a line."""
    return " ".join(map(str, words))[:60]
