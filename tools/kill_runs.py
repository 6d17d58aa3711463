"""Runs that are killed at random moments and started again until they end, to the same bits.

    python tools/kill_runs.py [--kills N] [--seed S] [--folder FOLDER]

Each of the runs below is kept in a file (``checkpoint=path``), in a process of its own that gets
SIGKILL at a random moment, often in the middle of a write, and is started again until it ends. Its
x, f, gradient and counts must then be those of a run that nobody has killed, to the last bit. The
kills are shared out to the runs; the command ends with 1 if anything differs.
"""

from __future__ import annotations

import argparse
import os
import pickle
import random
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lbfgsb import minimize_batch, minimize_lbfgsb
from lbfgsb.benchmarks import compiled_rosenbrock
from lbfgsb.callbacks import Checkpoint, TargetReached

TIGHT = {"ftol": 0.0, "gtol": 1e-6, "maxiter": 1000}


def valley(x: np.ndarray) -> tuple[Any, np.ndarray]:
    """The chained Rosenbrock function of each row, with NumPy's own sums: bits of x alone."""
    r = x[..., 1:] - x[..., :-1] ** 2
    g = np.zeros_like(x)
    g[..., :-1] = -40.0 * x[..., :-1] * r - 2.0 * (1.0 - x[..., :-1])
    g[..., 1:] += 20.0 * r
    return (10.0 * r**2 + (1.0 - x[..., :-1]) ** 2).sum(axis=-1), g


def same(x: Any, f: float, f_old: float, g: Any, xs: Any, gs: Any) -> tuple[Any, ...]:
    """An update_fun_def that changes nothing: its pairs are made of the iterates all the same."""
    return f, f_old, g, gs


def single(path: str | None, n: int, target: float = 0.3, **options: Any) -> Any:
    x0 = np.linspace(-2.0, 2.0, n)
    bounds = np.column_stack([np.full(n, -1.5), np.full(n, 0.9)])
    stop = TargetReached(target, "projected_gradient")
    kept = [] if path is None else [Checkpoint(path, every=1)]
    return minimize_lbfgsb(
        **{"x0": x0, "fun": valley, "jac": True, "bounds": bounds, "checkpoint": path}
        | {"callback": [stop, *kept]} | TIGHT | options
    )  # fmt: skip


def batch(path: str | None) -> Any:
    x0 = np.random.default_rng(0).uniform(-2, 2, (40, 12))

    def stop(intermediate_result):
        return intermediate_result.projected_gradient < 0.3

    kept = [] if path is None else [Checkpoint(path, every=1)]
    return minimize_batch(valley, x0, bounds=[(-1.5, 0.9)] * 12, checkpoint=path,
                          callback=[stop, *kept], **TIGHT)  # fmt: skip


def compiled(path: str | None) -> Any:
    x0 = np.random.default_rng(1).uniform(-2, 2, (100, 300))
    kept = [] if path is None else [Checkpoint(path, seconds=0)]
    return minimize_batch(compiled_rosenbrock, x0, bounds=[(-1.5, 1.5)] * 300, threads=2,
                          checkpoint=path, callback=kept, **TIGHT)  # fmt: skip


RUNS: dict[str, Callable[[str | None], Any]] = {
    "few variables": lambda path: single(path, 3),
    "box": lambda path: single(path, 40),
    "large": lambda path: single(path, 5_000, 1.0),
    "scaled": lambda path: single(path, 40, x_scale=2.0, bounds=None),
    "update_fun_def": lambda path: single(path, 30, update_fun_def=same),
    "differences": lambda path: single(path, 20, fun=lambda x: valley(x)[0], jac="3-point"),
    "batch": batch,
    "compiled batch": compiled,
}  # fmt: skip

COUNTS = ("nit", "nfev", "njev", "status", "message", "success")


def facts(result: Any) -> dict[str, Any]:
    """What must be the same, arrays as their bytes."""
    arrays = {name: np.asarray(result[name], dtype=float).tobytes() for name in ("x", "fun", "jac")}
    counts = {name: np.asarray(result[name]).tolist() for name in COUNTS}
    return arrays | counts


def child(run: Callable[[str | None], Any], path: str, out: str, started: int) -> None:
    """Go on with the run; its facts are in the file `out` when it has ended."""
    os.write(started, b"!")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a damaged file would be told of by a warning
        said = facts(run(path))
    Path(out + ".part").write_bytes(pickle.dumps(said))
    os.replace(out + ".part", out)


def start(run: Callable[[str | None], Any], path: str, out: str) -> int:
    """Start a process that goes on with the run, and wait until it is about to."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            child(run, path, out, write)
            code = 0
        finally:
            os._exit(code)
    os.close(write)
    os.read(read, 1)
    os.close(read)
    return pid


def kill_until_the_end(
    run: Callable[[str | None], Any], folder: str, kills: int, seconds: float, rng: random.Random
) -> tuple[dict[str, Any], int, int]:
    """Return the facts of the run, how often it was killed, and how often in a write.

    The moments are spread over `seconds`, what the run takes at about, so that it is killed a few
    times on its way; it is run anew until there were as many kills as wanted.
    """
    path, out = os.path.join(folder, "run.npz"), os.path.join(folder, "facts")
    killed = in_a_write = 0
    said: dict[str, Any] | None = None
    while said is None or killed < kills:
        if os.path.exists(out):  # it has ended, and begins anew
            for name in os.listdir(folder):
                os.remove(os.path.join(folder, name))
        while not os.path.exists(out):
            pid = start(run, path, out)
            if killed < kills:
                time.sleep(rng.uniform(0, seconds / 3))
                os.kill(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
            if os.WIFSIGNALED(status):
                killed += 1
                in_a_write += any(name.endswith(".tmp") for name in os.listdir(folder))
            elif os.waitstatus_to_exitcode(status) != 0:
                raise SystemExit("a run that went on has failed")
        new = pickle.loads(Path(out).read_bytes())
        if said is not None and new != said:
            break  # whoever compares will see it
        said = new
    return new, killed, in_a_write


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", help="where the files are written; a temporary one by default")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    wrong = 0
    totals = [0, 0]
    for i, (name, run) in enumerate(RUNS.items()):
        kills = options.kills * (i + 1) // len(RUNS) - options.kills * i // len(RUNS)
        expected = facts(run(None))
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            begin = time.perf_counter()
            run(os.path.join(folder, "probe.npz"))
            seconds = time.perf_counter() - begin
            for left in os.listdir(folder):
                os.remove(os.path.join(folder, left))
            said, killed, in_a_write = kill_until_the_end(run, folder, kills, seconds, rng)
        totals[0] += killed
        totals[1] += in_a_write
        differ = [key for key, value in expected.items() if said[key] != value]
        wrong += bool(differ)
        verdict = f"differs in {', '.join(differ)}" if differ else "the same bits"
        print(f"{name:>15}: killed {killed:3d} times, {in_a_write:3d} in a write; {verdict}")
    print(f"{'all':>15}: killed {totals[0]:3d} times, {totals[1]:3d} in a write")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
