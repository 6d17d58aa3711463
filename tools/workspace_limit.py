"""A run whose pairs do not fit in the memory that it may have, in a file and without one.

    sudo python tools/workspace_limit.py                 # 256 MB of memory, four times that for W
    sudo python tools/workspace_limit.py --memory 1000 --folder /scratch

The run is made in a child process under a memory limit of the kernel (a cgroup, version 1 or 2, for
which one must be root): first with ``workspace=FOLDER``, which has to end with the bits of a run
without a limit, then without, which has to be killed. Printed are times an iteration.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUN = """
import hashlib, os, sys, time
import numpy as np
from lbfgsb import minimize_lbfgsb
n, iterations, workspace = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] or None
d = np.linspace(1, 100, n)
def fun(x):
    g = d * x
    g -= 1
    return 0.5 * float(x @ g) - 0.5 * float(x.sum()), g
begin = time.perf_counter()
res = minimize_lbfgsb(x0=np.zeros(n), fun=fun, jac=True, ftol=0, gtol=0, maxcor=20,
                      maxiter=iterations, workspace=workspace)
print(hashlib.sha256(res.x.tobytes()).hexdigest(), (time.perf_counter() - begin) / res.nit)
"""


def cgroup(limit: int) -> tuple[Path, Path]:
    """Make a group of processes that share so many bytes; returns it, and where a process joins."""
    root, setting = Path("/sys/fs/cgroup"), "memory.max"
    if not (root / "cgroup.controllers").exists():
        root, setting = root / "memory", "memory.limit_in_bytes"
    group = root / f"lbfgsb-{os.getpid()}"
    group.mkdir()
    (group / setting).write_text(str(limit))
    return group, group / "cgroup.procs"


def run(n: int, iterations: int, workspace: str, procs: Path | None) -> tuple[str, float] | None:
    """The digest of x and the seconds an iteration of a run; None if it was killed."""
    join = None if procs is None else lambda: procs.write_text(str(os.getpid()))
    done = subprocess.run(
        [sys.executable, "-P", "-c", RUN, str(n), str(iterations), workspace],
        preexec_fn=join, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        print(done.stderr[-500:], end="")
        return None
    digest, seconds = done.stdout.split()
    return digest, float(seconds)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--memory", type=int, default=256, metavar="MB", help="the limit (256)")
    parser.add_argument("--times", type=float, default=4, help="W is so many times that (4)")
    parser.add_argument("--iterations", type=int, default=30)
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="for the workspace")
    args = parser.parse_args()
    limit = args.memory * 10**6
    n = int(args.times * limit / (40 * 8))  # 20 pairs
    group, procs = cgroup(limit)
    print(
        f"n = {n:,}, 20 pairs: W has {40 * 8 * n / 1e6:.0f} MB, the process may have {args.memory}"
    )
    try:
        free = run(n, args.iterations, "", None)
        kept = run(n, args.iterations, args.folder, procs)
        killed = run(n, args.iterations, "", procs)
    finally:
        time.sleep(0.5)
        group.rmdir()
    assert free is not None
    print(f"in memory, no limit:      {1e3 * free[1]:.0f} ms an iteration")
    if kept is None:
        print("in a file, with the limit: killed")
        return 1
    print(f"in a file, with the limit: {1e3 * kept[1]:.0f} ms an iteration, "
          f"{'the same' if kept[0] == free[0] else 'OTHER'} bits")  # fmt: skip
    print(f"in memory, with the limit: {'killed' if killed is None else 'survived (swap?)'}")
    return kept[0] != free[0]


if __name__ == "__main__":
    sys.exit(main())
