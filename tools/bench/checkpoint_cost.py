"""What a checkpoint costs: beside a plain write and fsync of the same bytes, and in a run.

    python tools/bench/checkpoint_cost.py [n] [maxcor] [repeats] [--folder FOLDER]

The two write in turns, each over the file that it wrote before, to the same disk; the medians and
the least times are compared. Both should be at most 1.5 times those of the plain write.
"""

import argparse
import os
import tempfile
import time

import numpy as np

from lbfgsb import Solver, save_checkpoint


def solver_with_pairs(n, maxcor):
    """A solver whose memory is full, with bounds."""
    rng = np.random.default_rng(0)
    weight = rng.uniform(0.1, 10.0, n)
    bounds = np.column_stack([np.full(n, -2.0), np.full(n, 2.0)])
    solver = Solver(np.full(n, 0.5), bounds, maxcor=maxcor, ftol=0, gtol=0)
    solver.run(
        lambda x: ((weight * (x - 1) ** 4).sum(), 4 * weight * (x - 1) ** 3),
        iterations=maxcor + 2,
    )
    return solver


def write_plainly(path, data):
    with open(path, "wb", buffering=0) as file:
        rest = memoryview(data)
        while rest:
            rest = rest[file.write(rest) :]
        os.fsync(file.fileno())


def seconds(work):
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("n", type=int, nargs="?", default=1_000_000)
    parser.add_argument("maxcor", type=int, nargs="?", default=10)
    parser.add_argument("repeats", type=int, nargs="?", default=15)
    parser.add_argument("--folder", help="on the disk to measure; that of the temporary files")
    options = parser.parse_args()
    solver = solver_with_pairs(options.n, options.maxcor)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path, plain = os.path.join(folder, "run.npz"), os.path.join(folder, "plain")
        save_checkpoint(path, solver)
        with open(path, "rb") as file:
            data = file.read()
        ours, theirs = [], []
        for _ in range(options.repeats):
            theirs.append(seconds(lambda: write_plainly(plain, data)))
            ours.append(seconds(lambda: save_checkpoint(path, solver)))
    print(f"n = {options.n}, maxcor = {options.maxcor}: {len(data) / 1e6:.1f} MB")
    for name, of in (("median", np.median), ("least", np.min)):
        a, b = of(ours), of(theirs)
        print(f"{name:>7}: checkpoint {a:.3f} s, plain write {b:.3f} s, ratio {a / b:.2f}")


if __name__ == "__main__":
    main()
