"""The same answers from real clusters of two processes each: of Dask, MPI, and Ray.

Each test is left out where what it needs is not installed; `.ci/run` installs all of it.
"""

import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from problems import needs_workers, rosen, same_bits
from test_executors import rosen_that_kills
from test_multistart import always_dies, assert_same, dies_once, search

from lbfgsb import WorkerError, minimize_lbfgsb

HERE = str(Path(__file__).parent)
RUN = {"x0": np.array([-1.2, 1.0]), "jac": "2-point", "maxiter": 12}
# One start in each quarter: an evaluation costs a scheduler some 10 ms.
search = partial(search, n_starts=4)


# --- Dask ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client():
    distributed = pytest.importorskip("distributed")
    paths = os.pathsep.join([HERE, os.environ.get("PYTHONPATH", "")])
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None,
            env={"PYTHONPATH": paths},
        ) as cluster,
        distributed.Client(cluster) as client,
    ):  # fmt: skip
        client.wait_for_workers(2, timeout=60)
        yield client


def pids(client):
    return set(client.run(os.getpid).values())


def test_dask_finds_the_same_minima(client):
    assert_same(search(executor=client.get_executor()), search())


@needs_workers
def test_dask_evaluates_numerical_gradients(client):
    res = minimize_lbfgsb(fun=rosen, **RUN, workers=client.get_executor())
    assert same_bits(res.x, minimize_lbfgsb(fun=rosen, **RUN).x)


def test_a_dask_worker_that_is_killed_costs_nothing_but_time(client, tmp_path):
    before = pids(client)
    fun = partial(dies_once, home=os.getpid(), flag=str(tmp_path / "flag"))
    assert_same(search(fun, executor=client.get_executor()), search())
    client.wait_for_workers(2, timeout=60)
    assert (tmp_path / "flag").exists()
    assert len(before - pids(client)) == 1


@needs_workers
def test_a_dask_worker_that_is_killed_in_a_gradient_is_replaced(client, tmp_path):
    fun = partial(rosen_that_kills, home=os.getpid(), flag=str(tmp_path / "flag"))
    res = minimize_lbfgsb(fun=fun, **RUN, workers=client.get_executor())
    assert (tmp_path / "flag").exists()
    assert same_bits(res.x, minimize_lbfgsb(fun=rosen, **RUN).x)


def test_a_point_that_kills_every_dask_worker_ends_neither_the_search_nor_the_others(client):
    def allow_no_failure(dask_scheduler):
        dask_scheduler.allowed_failures = 0

    client.run_on_scheduler(allow_no_failure)
    res = search(always_dies, executor=client.get_executor())
    (killer,) = [i for i, x in enumerate(res.runs.x0) if x[0] < 0 < x[1]]
    # The scheduler gives up what else the worker had been given, too.
    assert killer in res.failed
    assert all("KilledWorker" in res.runs.message[i] for i in res.failed)
    others = [i for i in range(4) if i not in res.failed]
    assert same_bits(res.runs.x[others], search().runs.x[others])


def test_the_client_itself_is_pointed_to_its_executor(client):
    with pytest.raises(TypeError, match=r"client\.get_executor\(\), not the client"):
        search(executor=client)


# --- MPI ----------------------------------------------------------------------------------

MPI = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from mpi4py.futures import MPICommExecutor
from mpi4py import MPI
from lbfgsb import minimize_lbfgsb
from problems import SCIPY, rosen, same_bits
from test_clusters import RUN, search
from test_multistart import assert_same

assert MPI.COMM_WORLD.size == 2
with MPICommExecutor(MPI.COMM_WORLD, root=0) as executor:
    if executor is not None:
        assert executor.num_workers == 1
        assert_same(search(executor=executor), search())
        if SCIPY >= (1, 16):
            res = minimize_lbfgsb(fun=rosen, **RUN, workers=executor)
            assert same_bits(res.x, minimize_lbfgsb(fun=rosen, **RUN).x)
        print("the same")
"""


@pytest.mark.skipif(shutil.which("mpiexec") is None, reason="there is no MPI")
def test_two_ranks_of_mpi_find_the_same(tmp_path):
    pytest.importorskip("mpi4py")
    program = tmp_path / "program.py"
    program.write_text(MPI)
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    done = subprocess.run(
        ["mpiexec", "--oversubscribe", "-n", "2", sys.executable, program, HERE],
        capture_output=True, text=True, timeout=120, env=os.environ | root,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "the same"


# --- Ray ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def new_pool():
    """What makes a pool of two of Ray's processes."""
    ray = pytest.importorskip("ray")
    from ray.util.multiprocessing import Pool

    paths = os.pathsep.join([HERE, os.environ.get("PYTHONPATH", "")])
    ray.init(
        num_cpus=2, include_dashboard=False, log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": paths}},
    )  # fmt: skip
    try:
        yield partial(Pool, 2)
    finally:
        ray.shutdown()


@pytest.fixture(scope="module")
def pool(new_pool):
    with new_pool() as pool:
        yield pool


def test_ray_finds_the_same_minima(pool):
    assert_same(search(executor=pool.map), search())


@needs_workers
def test_ray_evaluates_numerical_gradients(pool):
    res = minimize_lbfgsb(fun=rosen, **RUN, workers=pool.map)
    assert same_bits(res.x, minimize_lbfgsb(fun=rosen, **RUN).x)


@needs_workers
def test_a_ray_worker_that_is_killed_leaves_a_run_that_can_go_on(new_pool, tmp_path):
    fun = partial(rosen_that_kills, home=os.getpid(), flag=str(tmp_path / "flag"))
    with new_pool() as pool, pytest.raises(WorkerError, match="ActorDiedError") as caught:
        minimize_lbfgsb(fun=fun, **RUN, workers=pool.map)
    part = caught.value.solver.result()
    res = minimize_lbfgsb(**RUN | {"fun": fun, "x0": part.x}, checkpoint=part)
    assert same_bits(res.x, minimize_lbfgsb(fun=rosen, **RUN).x)
