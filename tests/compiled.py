"""Compiled objectives for the tests, and the C functions of the package for ctypes."""

import ctypes
import math
import shutil
import signal
import subprocess
import sysconfig
import threading

import numpy as np
import pytest
from problems import Alarm, alarms
from scipy import LowLevelCallable

from lbfgsb import cython_lbfgsb
from lbfgsb.benchmarks import compiled_rosenbrock

DOUBLES = ctypes.POINTER(ctypes.c_double)
PROTOTYPE = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_ssize_t, DOUBLES, DOUBLES, DOUBLES, ctypes.c_void_p
)

_api = ctypes.pythonapi
_api.PyCapsule_GetName.restype = ctypes.c_char_p
_api.PyCapsule_GetName.argtypes = [ctypes.py_object]
_api.PyCapsule_GetPointer.restype = ctypes.c_void_p
_api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]


def pointer(capsule):
    """Return the address that a capsule holds."""
    return _api.PyCapsule_GetPointer(capsule, _api.PyCapsule_GetName(capsule))


ROSENBROCK = PROTOTYPE(pointer(compiled_rosenbrock.function))


def rosenbrock_fg(x):
    """The compiled Rosenbrock function, called from Python: the same bits."""
    x = np.ascontiguousarray(x)
    f, g = ctypes.c_double(), np.empty_like(x)
    ROSENBROCK(x.size, doubles(x), ctypes.byref(f), doubles(g), None)
    return f.value, g


def doubles(array):
    """Return the address of an array as a ``double *``; None for None."""
    return None if array is None else array.ctypes.data_as(DOUBLES)


def as_c(fun):
    """Return a Python function ``fun(x, g) -> f``, called with arrays, as a C function.

    It returns 0, or what `fun` returns instead of f as ``(stop,)``.
    """

    def call(n, x, f, g, data):
        value = fun(np.ctypeslib.as_array(x, (n,)), np.ctypeslib.as_array(g, (n,)))
        if isinstance(value, tuple):
            return value[0]
        if value is not None:
            f[0] = value
        return 0

    return PROTOTYPE(call)


def as_low_level(fun):
    """`as_c` as a LowLevelCallable."""
    return LowLevelCallable(as_c(fun))


class Options(ctypes.Structure):
    """lbfgsb_options."""

    _fields_ = (
        ("size", ctypes.c_size_t),
        ("callback", ctypes.c_void_p),
        ("callback_data", ctypes.c_void_p),
        ("x_scale", ctypes.c_void_p),
        ("maxcor", ctypes.c_ssize_t),
        ("ftol", ctypes.c_double),
        ("gtol", ctypes.c_double),
        ("ftarget", ctypes.c_double),
        ("maxiter", ctypes.c_ssize_t),
        ("maxfun", ctypes.c_ssize_t),
        ("maxls", ctypes.c_ssize_t),
        ("max_steplength", ctypes.c_double),
        ("ftol_linesearch", ctypes.c_double),
        ("gtol_linesearch", ctypes.c_double),
        ("xtol_linesearch", ctypes.c_double),
        ("eps_SY", ctypes.c_double),
        ("threads", ctypes.c_int),
        ("fun_precision", ctypes.c_double),
        ("secant", ctypes.c_int),
        ("pairs", ctypes.c_int),
        ("extra_updates", ctypes.c_ssize_t),
        ("initial_scaling", ctypes.c_int),
    )


class Result(ctypes.Structure):
    """lbfgsb_result."""

    _fields_ = (
        ("fun", ctypes.c_double),
        ("projected_gradient", ctypes.c_double),
        ("nit", ctypes.c_ssize_t),
        ("nfev", ctypes.c_ssize_t),
        ("status", ctypes.c_int),
    )


CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_ssize_t,
    DOUBLES,
    DOUBLES,
    ctypes.POINTER(Result),
    ctypes.c_void_p,
)


def _function(name, restype, *argtypes):
    prototype = ctypes.CFUNCTYPE(restype, *argtypes)
    return prototype(pointer(cython_lbfgsb.__pyx_capi__[f"lbfgsb_{name}"]))


_OPTIONS, _RESULT = ctypes.POINTER(Options), ctypes.POINTER(Result)
_SOLVER, _SIZE = ctypes.c_void_p, ctypes.c_ssize_t
set_default_options = _function("set_default_options", None, _OPTIONS, ctypes.c_size_t)
minimize = _function(
    "minimize", ctypes.c_int,
    ctypes.c_void_p, ctypes.c_void_p, _SIZE, DOUBLES, DOUBLES, DOUBLES, _OPTIONS, _RESULT,
)  # fmt: skip
message = _function("message", ctypes.c_char_p, ctypes.c_int)
create = _function(
    "create", ctypes.c_int,
    ctypes.POINTER(_SOLVER), _SIZE, DOUBLES, DOUBLES, DOUBLES, _OPTIONS,
)  # fmt: skip
ask = _function("ask", DOUBLES, _SOLVER)
tell = _function("tell", ctypes.c_int, _SOLVER, ctypes.c_double, DOUBLES)
get_result = _function("get_result", ctypes.c_int, _SOLVER, DOUBLES, DOUBLES, _RESULT)
destroy = _function("destroy", None, _SOLVER)


def options(**given):
    """Return lbfgsb_options with the defaults but for those given."""
    o = Options()
    set_default_options(ctypes.byref(o), ctypes.sizeof(o))
    for name, value in given.items():
        setattr(o, name, value)
    return o


def compile_c(source, folder, name, *flags, compiler="gcc"):
    """Compile C to a shared library in `folder` and return its path; skips without a compiler."""
    if shutil.which(compiler) is None:
        pytest.skip(f"needs {compiler}")
    suffix = ".cpp" if compiler == "g++" else ".c"
    path = folder / (name + suffix)
    path.write_text(source)
    library = folder / f"{name}.so"
    include = sysconfig.get_path("include")
    subprocess.run(
        [compiler, "-O2", "-fPIC", "-shared", f"-I{include}", *flags, str(path), "-o", str(library),
         "-ldl"],
        check=True,
    )  # fmt: skip
    return library


class Naps(ctypes.Structure):
    """A compiled objective that sleeps, sends its own process a signal, and counts its calls.

    The function is x[0] + ... + x[n-1]. As each call takes `SECONDS` at least, and longer where
    the machine is busy, so many calls after the signal are so much time at least: a bound on
    their number holds a promise about time without a clock.

    Parameters
    ----------
    folder : Path
        Where the function is compiled.
    kind : {"falls", "wall", "refuses", "others fall"}
        "wall": the function is infinite but at 0. "refuses": each call ends its problem.
        "others fall": each call in the main thread does, once another thread has made one.
    signal_at : int
        The call, of all threads' calls, that sends the signal.
    """

    SECONDS = 0.02
    KINDS = ("falls", "wall", "refuses", "others fall")
    _fields_ = (
        ("kind", ctypes.c_int),
        ("main", ctypes.c_size_t),  # the main thread
        ("signal_at", ctypes.c_ssize_t),
        ("calls", ctypes.c_ssize_t),
        ("after", ctypes.c_ssize_t),  # calls of the main thread after the signal
    )
    SOURCE = """
    #include <math.h>
    #include <pthread.h>
    #include <signal.h>
    #include <stdint.h>
    #include <unistd.h>
    struct naps { int kind; size_t main; intptr_t signal_at, calls, after; };
    int naps(intptr_t n, const double *x, double *f, double *g, void *data)
    {
        struct naps *s = data;
        int is_main = (size_t)pthread_self() == s->main;
        usleep(MICROSECONDS);
        if (s->kind == 3 && is_main) {
            for (int i = 0; i < 10000 && !__atomic_load_n(&s->calls, __ATOMIC_SEQ_CST); i++)
                usleep(1000);
            return 1;
        }
        if (is_main && __atomic_load_n(&s->calls, __ATOMIC_SEQ_CST) >= s->signal_at)
            s->after++;
        if (__atomic_add_fetch(&s->calls, 1, __ATOMIC_SEQ_CST) == s->signal_at)
            raise(SIGNAL);
        if (s->kind == 2)
            return 1;
        *f = 0;
        for (intptr_t i = 0; i < n; i++) {
            *f += x[i];
            g[i] = 1;
        }
        if (s->kind == 1)
            *f = x[0] == 0 ? 0 : INFINITY;
        return 0;
    }
    """

    def __init__(self, folder, kind="falls", signal_at=3):
        super().__init__(
            kind=self.KINDS.index(kind), main=threading.main_thread().ident, signal_at=signal_at
        )
        library = compile_c(
            self.SOURCE, folder, "naps", "-pthread",
            f"-DSIGNAL={int(signal.SIGUSR1)}", f"-DMICROSECONDS={round(1e6 * self.SECONDS)}",
        )  # fmt: skip
        function = ctypes.CDLL(str(library)).naps
        function.restype, function.argtypes = PROTOTYPE._restype_, PROTOTYPE._argtypes_
        self.fun = LowLevelCallable(function, ctypes.cast(ctypes.pointer(self), ctypes.c_void_p))

    def interrupt(self, work):
        """Run `work`, which the signal must end."""
        with alarms(signal.SIGUSR1), pytest.raises(Alarm):
            work()
        assert self.calls >= self.signal_at

    def within(self, seconds):
        """Whether the main thread made no more calls after the signal than take so long."""
        return self.after <= math.ceil(seconds / self.SECONDS)
