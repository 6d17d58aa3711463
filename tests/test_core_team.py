"""How many threads the solver finds that pay: with made-up times, since real ones are not the same
twice."""

import sys

import numpy as np
import pytest
from lbfgsb._core.kernels import openmp
from lbfgsb._core.testing import levels_of
from problems import assert_same_run, rosen_fg, run_python

from lbfgsb import Solver, minimize_batch, minimize_lbfgsb
from lbfgsb.benchmarks import compiled_rosenbrock

if sys.platform != "win32":
    import resource


def constant(*times):
    return lambda iteration, level: times[level]


def cost(levels, rate):
    """The time of all iterations, relative to that with one thread."""
    alone = sum(rate(i, 0) for i in range(len(levels)))
    return sum(rate(i, level) for i, level in enumerate(levels)) / alone


def test_more_threads_are_taken_while_they_pay():
    levels = levels_of(300, constant(1, 0.55, 0.3))
    assert levels[:5] == [0, 1, 1, 2, 2]
    assert np.mean(np.array(levels) == 2) > 0.95


def test_threads_that_do_not_pay_cost_next_to_nothing():
    for slow in (1.1, 1.6, 3):
        rate = constant(1, slow, 2 * slow)
        levels = levels_of(500, rate)
        assert cost(levels, rate) < 1 + 0.02 * slow
        assert 1 in levels[-100:], "another number is tried now and then"


def test_tries_of_short_iterations_are_paid_for():
    """Milliseconds; another program has the second processor, and is waited for."""
    rate = constant(0.001, 0.008, 0.008)
    assert set(levels_of(90, rate)) == {0}
    for count in (200, 500, 2000, 10_000):
        levels = levels_of(count, rate)
        assert set(levels) == {0, 1}
        assert cost(levels, rate) < 1.04 + 0.005 / (0.001 * count)


def test_a_try_that_is_much_too_slow_is_given_up_after_a_pass():
    for slow, passes in ((1.5, 4), (2.5, 1)):
        levels = np.reshape(levels_of(300, constant(1, slow, slow), 4), (300, 4))
        tries = levels[levels[:, 0] == 1]
        assert len(tries) > 3
        assert (tries.sum(axis=1) == passes).all()


def test_the_middle_can_be_the_best():
    levels = np.array(levels_of(500, constant(1, 0.6, 0.8)))
    assert np.mean(levels == 1) > 0.93
    assert {0, 2} <= set(levels[20:])


def test_a_neighbour_that_comes_and_goes_is_noticed():
    def rate(iteration, level):
        return [1, 1.5, 2][level] if 200 <= iteration < 400 else [1, 0.55, 0.4][level]

    levels = np.array(levels_of(700, rate))
    assert np.mean(levels[150:200] == 2) > 0.9
    assert np.mean(levels[220:400] == 0) > 0.9, "at once when it is worse than what was known"
    assert np.mean(levels[500:] == 2) > 0.9, "after a pause when it is better again"


def test_noise_does_not_lead_far_astray():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        wobble = rng.lognormal(0, 0.15, (500, 3))
        for times in ([1, 1.6, 2], [1, 0.6, 0.4]):
            rate = lambda i, level, w=wobble, t=times: t[level] * w[i, level]  # noqa: E731
            assert cost(levels_of(500, rate), rate) < (1.05 if times[1] > 1 else 0.5)


def test_auto_changes_no_bit():
    n = 200_000
    x0 = np.tile([-1.2, 1], n // 2)
    for bounds in (None, [(-2, 0.9)] * n):
        run = {"x0": x0, "fun": compiled_rosenbrock, "bounds": bounds, "maxiter": 30}
        assert_same_run(minimize_lbfgsb(**run, threads="auto"), minimize_lbfgsb(**run))


def test_auto_is_said_by_name():
    assert Solver([1.0], threads="auto").ask() == 1
    res = minimize_batch(compiled_rosenbrock, np.zeros((4, 2)), threads="auto")
    assert res.success.all()
    for wrong in (0, -1, "all"):
        with pytest.raises(ValueError, match="threads must be"):
            minimize_lbfgsb(x0=[1.0, 2.0], fun=rosen_fg, jac=True, threads=wrong)


# --- threads that the system refuses ------------------------------------------------------

linux = pytest.mark.skipif(sys.platform != "linux", reason="limits and /proc of Linux")
with_openmp = pytest.mark.skipif(not openmp(), reason="built without OpenMP")

# Runs with one thread and, once `refuse` has set a limit, with four; prints whether the bits are
# the same, and how many threads the process then has.
REFUSED = """
import os, resource
import numpy as np
from lbfgsb import Solver
from lbfgsb.benchmarks import compiled_rosenbrock

def steps(threads, refuse=lambda: None):
    solver = Solver(np.tile([-1.2, 1], 200_000), threads=threads)
    refuse()
    solver.run(compiled_rosenbrock, iterations=4)
    return solver.x

def status(name):
    return int(open("/proc/self/status").read().split(name + ":")[1].split()[0])

def memory(room):
    limit = 1024 * status("VmSize") + room
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

def processes():
    if os.getuid() == 0:    # whom no such limit binds
        os.setresuid(65534, 65534, 65534)
    resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))

alone = steps(1)
{refuse}
print(np.array_equal(alone, steps(4, refuse)), status("Threads"))
"""


def run_refused(refuse):
    """With a BLAS that starts no threads of its own."""
    code = REFUSED.replace("{refuse}", f"refuse = lambda: {refuse}")
    return run_python(code, OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1").split()


@linux
@with_openmp
def test_without_memory_for_threads_there_are_fewer_and_the_bits_are_the_same():
    stack = resource.getrlimit(resource.RLIMIT_STACK)[0]
    if stack == resource.RLIM_INFINITY:
        pytest.skip("the size of a thread's stack is not known")
    arrays = 30 * 2**20  # for three vectors of 3.2 MB and two more threads, with 8 MB of stack each
    threads = [int(count) for same, count in
               (run_refused(f"memory({arrays + k * stack})") for k in (0, 2, 8))
               if same == "True"]  # fmt: skip
    assert threads[0] < 4
    assert threads == sorted(threads)
    assert threads[-1] == 4


@linux
@with_openmp
def test_where_no_process_may_be_added_one_thread_does_the_work():
    assert run_refused("processes()") == ["True", "1"]


@linux
@with_openmp
def test_without_a_limit_there_are_as_many_threads_as_asked_for():
    assert run_refused("None") == ["True", "4"]
