#!/usr/bin/env python
"""Run lbfgsb with the k-th allocation failing, for every k: it must end in MemoryError, or well.

    python tools/failing_allocations.py [SCENARIO ...] [--list]

A small library, compiled here and loaded before the C library's own (LD_PRELOAD), counts what one
thread asks of malloc, calloc, realloc, posix_memalign and aligned_alloc, and refuses the k-th.
PYTHONMALLOC=malloc has Python's objects come from there too, so that the buffers of the core,
NumPy's arrays and each Python object fail in turn. After each failure the same scenario runs once
more without one and must give the same bits: nothing that outlives a run is left half made.

A process that dies, an exception other than MemoryError, one that lbfgsb could not raise (in a
function that returns none) and another result are reported with the number of the allocation; the
exit status then is 1. Counted apart is what is not lbfgsb's: a SystemError, or a process that dies,
in NumPy, SciPy or Python's own C code. Some of their functions say that they have failed and not
why, or go on with what they did not get. By that a SystemError counts as theirs if it comes from a
line of Python, and as ours if it comes from a line of Cython.

Linux with glibc, and a C compiler in $CC or cc. One thread: GCC's OpenMP ends the process when it
gets no memory, and says so.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import pickle
import re
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

SHIM = r"""
#include <errno.h>
#include <stddef.h>
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);

/* Allocations of this thread since arm, and the one that is refused; 0: none are counted. */
static _Thread_local long seen __attribute__((tls_model("initial-exec")));
static _Thread_local long refused __attribute__((tls_model("initial-exec")));

void arm(long k) { seen = 0; refused = k; }
long disarm(void) { refused = 0; return seen; }

static int is_refused(void)
{
    if (refused == 0 || ++seen != refused)
        return 0;
    errno = ENOMEM;
    return 1;
}
void *malloc(size_t n) { return is_refused() ? NULL : __libc_malloc(n); }
void *calloc(size_t k, size_t n) { return is_refused() ? NULL : __libc_calloc(k, n); }
void *realloc(void *p, size_t n) { return is_refused() ? NULL : __libc_realloc(p, n); }
void *aligned_alloc(size_t a, size_t n) { return is_refused() ? NULL : __libc_memalign(a, n); }
int posix_memalign(void **p, size_t a, size_t n)
{
    if (is_refused())
        return ENOMEM;
    return (*p = __libc_memalign(a, n)) ? 0 : ENOMEM;
}
"""

THEIR_ERROR = "theirs"
THEIRS = re.compile(r"[/\\](numpy|scipy)[/\\]")  # where a process dies for no fault of ours


# --- what is run: small problems, a few iterations; returns what must be the same each time ---


def scenarios() -> dict[str, Callable[[], Any]]:
    """The scenarios by name; whatever they need beside the run is made here, once."""
    import numpy as np

    import lbfgsb
    from lbfgsb import Solver, callbacks, minimize_batch, minimize_lbfgsb
    from lbfgsb.benchmarks import compiled_rosenbrock, rosenbrock, rosenbrock_grad

    small, large = np.tile([-1.2, 1.0], 2), np.tile([-1.2, 1.0], 40)
    rows = np.tile(small, (3, 1))
    some = {"jac": rosenbrock_grad, "maxiter": 3}

    def run(x0: Any = small, fun: Any = rosenbrock, **options: Any) -> Any:
        return minimize_lbfgsb(x0=x0, fun=fun, **{"maxiter": 3, **options})

    def ends(res: Any) -> tuple[bytes, bytes, int]:
        return np.asarray(res.x).tobytes(), np.asarray(res.fun).tobytes(), int(np.sum(res.nfev))

    def batch_fun(X: Any) -> tuple[Any, Any]:
        return np.array([rosenbrock(x) for x in X]), np.array([rosenbrock_grad(x) for x in X])

    def ask_and_tell() -> Any:
        solver = Solver(small, bounds=[(-2, 0.9)] * 4, maxiter=3)
        while not solver.done:
            x = solver.ask()
            solver.tell(rosenbrock(x), rosenbrock_grad(x))
        return ends(solver.result())

    def pickled() -> Any:
        solver = Solver(large, maxiter=3)
        for _ in range(3):
            x = solver.ask()
            solver.tell(rosenbrock(x), rosenbrock_grad(x))
        return ends(pickle.loads(pickle.dumps(solver)).result())

    def more_pairs(xk: Any, state: Any) -> None:
        if state.nit == 2:
            state.update(maxcor=12)

    def watched() -> Any:
        history = callbacks.History()
        return ends(run(**some, callback=[history, callbacks.TimeLimit(60)])), len(history)

    first = run(large, **some)
    return {
        "few variables": lambda: ends(run(**some)),
        "many variables": lambda: ends(run(large, **some)),
        "bounds": lambda: ends(run(large, **some, bounds=[(-2, 0.9)] * 80)),
        "sizes": lambda: ends(run(large, **some, x_scale=np.full(80, 2.0))),
        "single pairs": lambda: ends(run(large, **some, pairs="float32")),
        "differences": lambda: ends(run()),
        "compiled": lambda: ends(run(large, compiled_rosenbrock)),
        "ask and tell": ask_and_tell,
        "pickle": pickled,
        "more pairs": lambda: ends(run(large, jac=rosenbrock_grad, callback=more_pairs)),
        "goes on": lambda: ends(run(first.x, jac=rosenbrock_grad, maxiter=6, checkpoint=first)),
        "callbacks": watched,
        "batch": lambda: ends(minimize_batch(batch_fun, rows, maxiter=3)),
        "compiled batch": lambda: ends(minimize_batch(compiled_rosenbrock, rows, maxiter=3)),
        "inverse Hessian": lambda: first.hess_inv.todense().tobytes(),
        "diagnose": lambda: str(lbfgsb.diagnose(first)),
        "check_gradient": lambda: str(lbfgsb.check_gradient(rosenbrock, rosenbrock_grad, small)),
        "fmin_l_bfgs_b": lambda: lbfgsb.fmin_l_bfgs_b(
            rosenbrock, small, fprime=rosenbrock_grad, maxiter=3
        )[0].tobytes(),
    }


# --- in the process that may die ---


def attempt(action: Callable[[], Any], shim: Any, k: int) -> tuple[str, int]:
    """Run with the k-th allocation refused: what is wrong, if anything, and how many there were."""
    unraised: list[str] = []
    sys.unraisablehook = lambda what: unraised.append(f"{what.exc_value!r} in {what.object!r}")
    wrong, count = "", 0
    shim.arm(k)
    try:
        action()
    except MemoryError:
        count = shim.disarm()
    except BaseException as error:
        shim.disarm()
        where = traceback.extract_tb(error.__traceback__)[-1]
        theirs = isinstance(error, SystemError | pickle.PicklingError)
        theirs = theirs and where.filename.endswith(".py")
        wrong = THEIR_ERROR if theirs else f"{error!r} ({where.filename}:{where.lineno})"
    else:
        try:
            count = shim.disarm()
        except MemoryError:  # the k-th was the one of this very call
            count = shim.disarm()
    finally:
        sys.unraisablehook = sys.__unraisablehook__
    ours = [what for what in unraised if "lbfgsb" in what]
    if ours:
        wrong = f"not raised: {'; '.join(ours)}"
    elif unraised and not wrong:
        wrong = THEIR_ERROR
    return wrong, count


def serve(name: str, first: int, pipe: int) -> None:
    """Try each k from `first` on; say to `pipe` what was tried and what was wrong."""
    shim = ctypes.CDLL(None)
    shim.arm.argtypes, shim.arm.restype = [ctypes.c_long], None
    shim.disarm.restype = ctypes.c_long
    action = scenarios()[name]
    expected = action()
    never = 2**62
    attempt(action, shim, never)  # what is made once and kept is there afterwards
    _, total = attempt(action, shim, never)
    os.write(pipe, f"total {total}\n".encode())
    for k in range(first, total + 1):
        os.write(pipe, f"try {k}\n".encode())
        wrong, _ = attempt(action, shim, k)
        if wrong in ("", THEIR_ERROR) and action() != expected:
            wrong = "another result afterwards"
        if wrong:
            os.write(pipe, f"wrong {wrong}\n".encode())
    os.write(pipe, b"end\n")


# --- in the process that watches ---


def watch(name: str, library: Path) -> tuple[int, int, list[str]]:
    """All k of a scenario, in as many processes as die and one more.

    Returns how many there are, in how many NumPy or SciPy failed, and what went wrong.
    """
    total, theirs, k, first = 0, 0, 0, 1
    wrongs: list[str] = []
    while True:
        reader, writer = os.pipe()
        process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", __file__,
             "--serve", name, str(first), str(writer)],
            env=os.environ | {"LD_PRELOAD": str(library), "PYTHONMALLOC": "malloc",
                              "OPENBLAS_NUM_THREADS": "1"},
            pass_fds=[writer], stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        os.close(writer)
        ended = False
        with open(reader) as lines:
            for line in lines:
                word, _, rest = line.rstrip("\n").partition(" ")
                if word == "total":
                    total = int(rest)
                elif word == "try":
                    k = int(rest)
                elif word == "wrong" and rest == THEIR_ERROR:
                    theirs += 1
                elif word == "wrong":
                    wrongs.append(f"{k}: {rest}")
                ended = word == "end"
        _, said = process.communicate()
        if ended:
            return total, theirs, wrongs
        # faulthandler names the innermost frame of Python first
        frames = re.findall(r'File "(.*)", line (\d+)', said) or [("", "")]
        last = said.strip().splitlines()[-1:] or [""]
        if k < first:  # before the first try
            return total, theirs, [*wrongs, f"the scenario does not run: {last[0]}"]
        if THEIRS.search(frames[0][0]):
            theirs += 1
        else:
            where = ":".join(frames[0])
            wrongs.append(f"{k}: the process died ({process.returncode}) at {where} {last[0]}")
        first = k + 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("scenario", nargs="*", help="all by default")
    parser.add_argument("--list", action="store_true", help="print their names")
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args.serve[0], int(args.serve[1]), int(args.serve[2]))
        return 0
    names = list(scenarios())
    if args.list:
        print("\n".join(names))
        return 0
    if unknown := set(args.scenario) - set(names):
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}")
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "refuse.so"
        cc = [os.environ.get("CC", "cc"), "-O1", "-fno-builtin", "-shared", "-fPIC", "-x", "c", "-"]
        subprocess.run([*cc, "-o", library], input=SHIM, text=True, check=True)
        for name in args.scenario or names:
            total, theirs, wrongs = watch(name, library)
            failures += len(wrongs)
            print(f"{name}: {total} allocations, each refused once; {len(wrongs)} went wrong, "
                  f"{theirs} in NumPy, SciPy or Python", flush=True)  # fmt: skip
            for wrong in wrongs:
                print(f"    {wrong}", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
