"""A fuzzer of checkpoint files: what is loaded must be one, or be refused, and never end Python.

    python tools/fuzz_checkpoints.py                     # 20,000 damaged files on one processor
    python tools/fuzz_checkpoints.py --count 500 --first 7000
    python tools/fuzz_checkpoints.py --file 7123         # one, in this process, with its traceback
    python tools/fuzz_checkpoints.py --atheris -max_total_time=600    # guided by coverage

A damaged file comes from its number alone. Some have bytes changed, taken out, put in or cut off;
the others have been written anew with the right checksums, as no accident but a person can, with
numbers, shapes, dtypes, names or the header changed. `load_checkpoint` must raise CheckpointError
or OSError, or return something that can be gone on with for some steps: those may end in any
status or refuse (ValueError, TypeError, ArithmeticError), but not crash, hang, or evaluate outside
of the bounds. Files are tried in a process of their own, so that a crash or a hang is a finding.

With --atheris the library (``pip install atheris``, Linux) looks for inputs that reach new lines of
the reader; its own arguments, such as -max_total_time, follow.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

from lbfgsb import Solver, load_checkpoint, minimize_batch, minimize_lbfgsb, save_checkpoint
from lbfgsb import _checkpoint_file as files
from lbfgsb._checkpoint_file import CheckpointError

SECONDS = 60  # for one file, which takes a few ms: longer is a hang
PIECE = 100  # files that one process tries
STEPS = 12
NUMBERS = (0.0, -0.0, 1.0, -1.0, np.nan, np.inf, -np.inf, 1e300, -1e300, 5e-324, 2.0**62, 3.0)


def fg(x):
    """A chain of Rosenbrock's terms: f and its gradient."""
    with np.errstate(all="ignore"):
        r = x[1:] - x[:-1] ** 2
        g = 2 * (x - 1)
        g[1:] += 20 * r
        g[:-1] -= 40 * r * x[:-1]
        return float((10 * r**2).sum() + ((x - 1) ** 2).sum()), g


def valid_files() -> list[bytes]:
    """Files as they are written: solvers, runs and a batch, few variables and many."""
    made = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        for n in (2, 40):
            x0, box = np.linspace(-1.5, 1.5, n), [(-1.2, 0.7)] * n
            for options in (
                {},
                {"bounds": box},
                {"bounds": box, "pairs": "float32", "x_scale": np.linspace(1, 2, n)},
            ):
                solver = Solver(x0, ftol=0, gtol=0, gtol_linesearch=0.01, **options)
                for step in range(15):
                    if step % 5 == 0 or solver.done:
                        save_checkpoint(path, solver)
                        made.append(path.read_bytes())
                    if solver.done:
                        break
                    solver.tell(*fg(solver.ask()))
                save_checkpoint(path, solver.result())
                made.append(path.read_bytes())

        def rows(X):
            return tuple(map(np.array, zip(*map(fg, X), strict=True)))

        x0 = np.linspace(-1, 1, 12).reshape(3, 4)
        path.unlink()
        minimize_batch(rows, x0, maxiter=5, bounds=[(-1, 0.5)] * 4, checkpoint=path)
        made.append(path.read_bytes())
    return made


def damaged(rng: np.random.Generator, content: bytes) -> bytes:
    """Return a file that something has been done to."""
    if rng.random() < 0.25:
        return _other_bytes(rng, content)
    with np.load(io.BytesIO(content)) as file:
        arrays = {name: file[name] for name in file.files}
    header = json.loads(bytes(arrays.pop("header")))
    del arrays[files._MARK]
    for name in ("fields", "format", "library"):
        del header[name]
    for _ in range(int(rng.integers(1, 4))):
        if rng.random() < 0.8:
            _change_an_array(rng, arrays)
        else:
            _change_the_header(rng, header)
    buffer = io.BytesIO()
    files._write(buffer, arrays, **header)
    return buffer.getvalue()


def _other_bytes(rng, content):
    at, much = int(rng.integers(len(content))), int(rng.choice([0, 1, 1, 8, 100]))
    if rng.random() < 0.2:
        return content[:at]
    return content[:at] + rng.bytes(int(rng.choice([0, 1, 1, 8, 100]))) + content[at + much :]


def _change_an_array(rng, arrays):
    names = list(arrays)
    if not names:
        return
    name = str(rng.choice(names))
    array = arrays[name].copy()
    what = rng.choice(["item", "item", "item", "all", "swap", "shape", "dtype", "drop"])
    if what == "drop":
        del arrays[name]
        return
    if what == "swap":
        array = arrays[str(rng.choice(names))].copy()
    elif what == "shape":
        array = np.resize(array, tuple(rng.integers(0, 4, size=rng.integers(0, 3))))
    elif what == "dtype":
        array = np.zeros(array.shape, str(rng.choice(["f4", "f8", "i8", "i1", "S3", ">f8"])))
    elif array.dtype.names and array.size:
        field = str(rng.choice(array.dtype.names))
        array[field] = _number(rng, array.dtype[field])
    elif array.dtype.kind in "fi" and what == "all":
        array[...] = _number(rng, array.dtype)
    elif array.dtype.kind in "fi" and array.size:
        array.reshape(-1)[rng.integers(array.size)] = _number(rng, array.dtype)
    arrays[name] = np.ascontiguousarray(array).reshape(array.shape)


def _number(rng, dtype):
    value = float(rng.choice(NUMBERS)) if rng.random() < 0.7 else rng.normal(scale=10)
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return np.array(value).astype(dtype)
    info = np.iinfo(dtype)
    whole = int(value) if np.isfinite(value) else -7
    return np.array(min(max(whole, info.min), info.max), dtype)


def _change_the_header(rng, header):
    place = header
    while True:
        name = str(rng.choice(list(place)))
        if not (isinstance(place[name], dict) and place[name] and rng.random() < 0.9):
            break
        place = place[name]
    others = (None, "nan", "inf", [], {}, -1, 0, 1, 3, 2**31, 2**63, 1e300, "run", "batch", True)
    if rng.random() < 0.1:
        del place[name]
    else:
        place[name] = others[int(rng.integers(len(others)))]


def attempt(path: Path, content: bytes) -> str:
    """Load a file and go on from it; returns how far that came.

    Raises
    ------
    AssertionError
        If an objective is called outside of the bounds.
    Exception
        Any that load_checkpoint and the doors do not promise.
    """
    path.write_bytes(content)
    try:
        loaded = load_checkpoint(path)
    except (CheckpointError, OSError, MemoryError):  # maxcor may be such that there is no memory
        return "refused"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if isinstance(loaded, Solver):
            return _go_on(loaded)
        if np.ndim(loaded.x) == 2:
            repr(loaded)
            return "a batch"
        try:
            rest = minimize_lbfgsb(
                x0=loaded.x, fun=fg, jac=True, checkpoint=loaded, ftol=0, gtol=0,
                maxiter=max(0, min(loaded.nit, 10**6)) + STEPS,
                maxfun=max(0, min(loaded.nfev, 10**6)) + 3 * STEPS,
            )  # fmt: skip
        except (ValueError, TypeError, ArithmeticError):
            return "a result that is refused"
        repr(rest)
        return "a run that goes on"


def _go_on(solver):
    lower, upper = solver._bounds
    try:
        for _ in range(STEPS):
            if solver.done:
                break
            x = solver.ask()
            if lower is not None:
                assert (x >= lower).all(), "below the bounds"
                assert (x <= upper).all(), "above the bounds"
            solver.tell(*fg(x))
        repr(solver.result())
    except ArithmeticError:
        return "a solver that finds it wrong"
    return "a solver that goes on"


def file_of(number: int, valid: list[bytes]) -> bytes:
    rng = np.random.default_rng(number)
    return damaged(rng, valid[int(rng.integers(len(valid)))])


def _try_some(first, count, valid, at, queue):
    """In a process of its own: try files, and say in `at` which one is next."""
    counts: Counter[str] = Counter()
    findings = []
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends this process
    with tempfile.TemporaryDirectory() as folder:
        for number in range(first, first + count):
            at.value = number
            signal.alarm(SECONDS)
            try:
                counts[attempt(Path(folder) / "file", file_of(number, valid))] += 1
            except Exception as error:
                findings.append((number, f"{type(error).__name__}: {error}"))
            signal.alarm(0)
    queue.put((counts, findings))


def run_all(first: int, count: int) -> tuple[Counter[str], list[tuple[int, str]]]:
    """Try so many files; returns how they ended, and the findings."""
    valid = valid_files()
    context = multiprocessing.get_context("fork")
    total: Counter[str] = Counter()
    findings: list[tuple[int, str]] = []
    last = first + count
    while first < last:
        at, queue = context.Value("q", first), context.SimpleQueue()
        many = min(PIECE, last - first)
        child = context.Process(target=_try_some, args=(first, many, valid, at, queue))
        child.start()
        child.join()
        if child.exitcode == 0:
            counts, found = queue.get()
            total.update(counts)
            first += many
        else:
            found = [(at.value, f"the process ended with {child.exitcode}")]
            many = at.value - first  # those before it had passed, and are counted again
            if many:
                again = run_all(first, many)
                total.update(again[0])
                found = again[1] + found
            first = at.value + 1
        for number, what in found:
            print(f"--file {number}: {what}", flush=True)
        findings += found
    return total, findings


def guided(arguments: list[str]) -> None:
    """Let atheris look for files; it never returns."""
    import atheris

    valid = valid_files()
    folder = tempfile.mkdtemp()
    corpus = Path(folder) / "corpus"
    corpus.mkdir()
    for i, content in enumerate(valid):
        (corpus / str(i)).write_bytes(content)

    def mutator(data, most, seed):
        rng = np.random.default_rng(seed)
        if rng.random() < 0.5:
            return atheris.Mutate(data, most)
        base = data if data in valid else valid[int(rng.integers(len(valid)))]
        return damaged(rng, base)[:most]

    for name in [
        "_members",
        "_get",
        "_check_begin",
        "_snapshot",
        "_unstack",
        "_from_arrays",
        "_check",
    ]:
        setattr(files, name, atheris.instrument_func(getattr(files, name)))
    atheris.Setup(
        [sys.argv[0], str(corpus), *arguments],
        lambda data: attempt(Path(folder) / "file", data),
        custom_mutator=mutator,
    )
    atheris.Fuzz()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--count", type=int, default=20_000, help="files; default 20000")
    parser.add_argument("--first", type=int, default=0, help="the first number; default 0")
    parser.add_argument("--file", type=int, help="the number of one file, tried in this process")
    parser.add_argument("--atheris", action="store_true", help="guided by coverage")
    args, rest = parser.parse_known_args()
    if args.atheris:
        guided(rest)
    if rest:
        parser.error(f"unknown: {' '.join(rest)}")
    if args.file is not None:
        with tempfile.TemporaryDirectory() as folder:
            print(attempt(Path(folder) / "file", file_of(args.file, valid_files())))
        return 0
    total, findings = run_all(args.first, args.count)
    print(", ".join(f"{name} {total[name]}" for name in sorted(total)))
    print(f"findings: {len(findings)}")
    return bool(findings)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONFAULTHANDLER", "1")
    sys.exit(main())
