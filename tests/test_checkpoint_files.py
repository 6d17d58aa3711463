"""Checkpoints on the disk: what a file has, what is no file of ours, and runs kept in one."""

import errno
import io
import json
import os
import pickle
import random
import signal
import stat
import subprocess
import sys
import time
import tracemalloc
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from compiled import as_low_level, rosenbrock_fg
from hypothesis import given
from hypothesis import strategies as st
from problems import (
    BOX,
    LONG,
    X0,
    Alarm,
    Counted,
    alarms,
    assert_same_run,
    examples,
    random_problem,
    rosen,
    rosen_fg,
    rosen_grad,
    same_bits,
    solve,
)
from scipy.optimize import minimize

from lbfgsb import (
    CheckpointError,
    CheckpointWarning,
    Solver,
    _checkpoint_file,
    _durable,
    _keeper,
    load_checkpoint,
    minimize_batch,
    minimize_lbfgsb,
    minimize_multistart,
    save_checkpoint,
)
from lbfgsb.benchmarks import compiled_rosenbrock
from lbfgsb.callbacks import Checkpoint, History, TargetReached, TimeLimit

HERE = Path(__file__).parent
N = 40
CHAIN = {"fun": rosen_fg, "jac": True, "bounds": [(-1.5, 0.9)] * N} | LONG
START = np.linspace(-2, 2, N)


def chain(**options):
    return minimize_lbfgsb(**{"x0": START} | CHAIN | options)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.npz"


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    """A busy disk takes a tenth of a second for an fsync, and these tests ask for thousands.

    When it is called is what the tests of a power cut look at; the runs that are killed wait.
    """
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


class Interrupted(Exception):
    pass


def failing_after(calls, fun=rosen_fg):
    """An objective that raises at each call after so many."""
    left = [calls]

    def objective(x):
        if left[0] == 0:
            raise Interrupted
        left[0] -= 1
        return fun(x)

    return objective


def never(x):
    raise AssertionError("nothing was to be evaluated")


# --- what is saved is what is loaded ------------------------------------------------------


def update(x, f0, f0_old, grad, x_deque, grad_deque):
    return f0, f0_old, grad, grad_deque


RUNS = {
    "few variables": ({"x0": X0, "fun": rosen, "jac": rosen_grad}, "maxiter"),
    "few, bounded": ({"x0": X0, "fun": rosen, "jac": rosen_grad, "bounds": BOX}, "maxfun"),
    "chain": ({"x0": START} | CHAIN, "maxiter"),
    "in a line search": ({"x0": START} | CHAIN, "maxfun"),
    "without bounds": ({"x0": START} | CHAIN | {"bounds": None}, "maxiter"),
    "scaled": ({"x0": START, "x_scale": np.linspace(0.5, 3, N)} | CHAIN, "maxiter"),
    "differences": (
        {"x0": START} | CHAIN | {"fun": rosen, "jac": "3-point", "gtol": 1e-4},
        "maxiter",
    ),
    "update_fun_def": ({"x0": START, "update_fun_def": update} | CHAIN, "maxiter"),
}


@pytest.mark.parametrize("name", RUNS)
def test_a_saved_result_resumes_to_the_same_bits(path, name):
    options, limit = RUNS[name]
    whole = minimize_lbfgsb(**options)
    last = whole.nit if limit == "maxiter" else min(whole.nfev, 40)
    for k in sorted({1, 2, 3, 5, 8, 13, last} & set(range(1, last + 1))):
        part = minimize_lbfgsb(**options | {limit: k})
        save_checkpoint(path, part)
        loaded = load_checkpoint(path)
        assert_same_run(loaded, part)
        assert same_bits(loaded.gradient_mismatch, part.gradient_mismatch)
        rest = minimize_lbfgsb(**options | {"x0": loaded.x, "checkpoint": loaded})
        assert_same_run(rest, whole)


@examples(40)
@given(
    st.integers(0, 10**6),
    st.integers(1, 12),
    st.integers(1, 12),
    st.floats(0, 1),
    st.sampled_from(["maxiter", "maxfun"]),
)
def test_any_saved_run_resumes_to_the_same_bits(tmp_path_factory, seed, n, maxcor, where, limit):
    p = random_problem(seed, n)
    options = {"fun": p.fg, "jac": True, "bounds": p.bounds, "maxcor": maxcor} | LONG
    whole = minimize_lbfgsb(x0=p.x0, **options)
    k = max(1, round(where * (whole.nfev if limit == "maxfun" else whole.nit)))
    path = tmp_path_factory.mktemp("any") / "run"
    save_checkpoint(path, minimize_lbfgsb(x0=p.x0, **options | {limit: k}))
    loaded = load_checkpoint(path)
    assert_same_run(minimize_lbfgsb(x0=loaded.x, checkpoint=loaded, **options), whole)


def test_a_result_that_has_been_looked_at_and_one_that_has_travelled_are_saved_alike(path):
    part = chain(maxiter=7)
    save_checkpoint(path, part)
    fresh = path.read_bytes()
    part.hess_inv.sk  # noqa: B018
    save_checkpoint(path, part)
    assert_same_run(load_checkpoint(path), part)
    save_checkpoint(path, pickle.loads(pickle.dumps(part)))
    assert path.read_bytes() == fresh


@pytest.mark.parametrize("between", [False, True], ids=["after tell", "between ask and tell"])
@pytest.mark.parametrize("n", [2, N])
def test_a_saved_solver_goes_on_to_the_same_bits(path, between, n):
    options = {"bounds": [(-1.5, 0.9)] * n, "x_scale": 2.0, "maxcor": 4, "fun_precision": 1e-15}
    options |= LONG | {"ftarget": -1.0}
    whole = Solver(START[:n], **options)
    whole.run(rosen_fg)
    solver = Solver(START[:n], **options)
    while not solver.done:
        x = solver.ask()
        if between:
            save_checkpoint(path, solver)
            solver = load_checkpoint(path)
            assert same_bits(solver.ask(), x)
        solver.tell(*rosen_fg(x))
        if not between:
            save_checkpoint(path, solver)
            solver = load_checkpoint(path)
    assert_same_run(solver.result(), whole.result())


def test_a_solver_that_has_asked_nothing_is_loaded_so(path):
    solver = Solver(X0)
    save_checkpoint(path, solver)
    with pytest.raises(RuntimeError, match="tell needs a point from ask"):
        load_checkpoint(path).tell(0.0, X0)


def test_the_options_of_a_solver_are_in_the_file(path):
    given = {"maxcor": 3, "maxls": 7, "gtol_linesearch": 0.8, "is_check_factorizations": True}
    given |= {"threads": "auto"}
    save_checkpoint(path, Solver(X0, **given))
    header = json.loads(bytes(np.load(path)["header"]))
    assert header["options"]["maxls"] == 7
    assert load_checkpoint(path)._snapshot()["options"] == header["options"] | {"ftarget": -np.inf}


def test_numpy_reads_the_file_without_pickle(path):
    part = chain(maxiter=7)
    save_checkpoint(path, part)
    with np.load(path, allow_pickle=False) as file:
        assert same_bits(file["x"], part.x)
        assert same_bits(file["g"], part.jac)
        assert same_bits(file["S"], part.hess_inv.sk)
        assert same_bits(file["Y"], part.hess_inv.yk)
        header = json.loads(bytes(file["header"]))
        assert set(file.files) == {"lbfgsb-checkpoint", "header", *header["fields"]}
    assert (header["format"], header["kind"]) == (_checkpoint_file.FORMAT, "run")
    assert header["result"]["nit"] == 7
    assert header["options"]["maxiter"] == 7


def test_a_field_that_the_format_does_not_list_is_not_lost_in_silence():
    snapshot = Solver(X0)._snapshot() | {"new": 1.0}
    with pytest.raises(KeyError, match="no field 'new': it must be in FIELDS"):
        _checkpoint_file._write_snapshot(io.BytesIO(), snapshot, kind="run")


def test_the_pairs_are_not_copied_to_be_written(path):
    n, maxcor = 200_000, 10
    solver = Solver(np.zeros(n), maxcor=maxcor, ftol=0, gtol=0)
    weight = np.linspace(1, 100, n)
    solver.run(lambda x: ((weight * (x - 1) ** 4).sum(), 4 * weight * (x - 1) ** 3), iterations=12)
    assert solver.result().hess_inv.n_corrs == maxcor
    tracemalloc.start()
    save_checkpoint(path, solver)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert os.path.getsize(path) > 8 * n * 2 * maxcor
    assert peak < 8 * n  # not even a vector


# --- what is no checkpoint ----------------------------------------------------------------


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    path = tmp_path_factory.mktemp("content") / "run.npz"
    parts = (chain(maxfun=k, gtol_linesearch=0.01) for k in range(3, 200))
    in_a_search = next(
        p for p in parts if {"g_best", "status"} <= p.__dict__["_memory"].snapshot().keys()
    )
    save_checkpoint(path, in_a_search)
    return path.read_bytes()


def reason_of(path, data):
    path.write_bytes(data)
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(path)
    assert str(path) in str(error.value)
    assert path.read_bytes() == data
    return error.value.reason


def test_a_file_that_is_cut_off_says_so(path, content):
    for size in [0, 1, 3, 4, 20, 29, 30, 35, 47, 48, *range(100, len(content), 501)]:
        assert reason_of(path, content[:size]) == "truncated"


def test_a_byte_that_is_not_what_was_written_is_found_or_says_nothing(path, content):
    path.write_bytes(content)
    whole = load_checkpoint(path)
    found = 0
    for i in range(0, len(content), 7):
        path.write_bytes(content[:i] + bytes([content[i] ^ 0x41]) + content[i + 1 :])
        try:
            loaded = load_checkpoint(path)
        except CheckpointError:
            found += 1
        else:  # a date, say
            assert_same_run(loaded, whole)
    assert found > 0.85 * len(content) / 7


@examples(60)
@given(st.data())
def test_bytes_that_are_taken_out_put_in_or_changed_are_found_or_say_nothing(
    tmp_path_factory, content, data
):
    path = tmp_path_factory.mktemp("mutated") / "run.npz"
    path.write_bytes(content)
    whole = load_checkpoint(path)
    at = data.draw(st.integers(0, len(content)))
    much = data.draw(st.integers(0, 50))
    path.write_bytes(content[:at] + data.draw(st.binary(max_size=50)) + content[at + much :])
    try:
        loaded = load_checkpoint(path)
    except CheckpointError:
        return
    assert_same_run(loaded, whole)


class Trap:
    """What a pickle makes of it shows whether it was read."""

    def __reduce__(self):
        return os.mkdir, ("sprung",)


def npz(arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def test_other_files_are_foreign(path):
    assert reason_of(path, b"x = 1\n" * 20) == "foreign"
    assert reason_of(path, npz({"x": X0})) == "foreign"
    assert reason_of(path, pickle.dumps(chain(maxiter=2))) == "foreign"


def test_nothing_in_a_file_is_executed(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trap = np.array([Trap()], dtype=object)
    assert reason_of(path, npz({"lbfgsb-checkpoint": trap})) == "altered"
    mark = np.array(1)
    assert reason_of(path, npz({"lbfgsb-checkpoint": mark, "header": trap})) == "altered"
    assert not (tmp_path / "sprung").exists()


def rewritten(content, change):
    """A file of the same members, with right checksums, after `change(header, arrays)`."""
    with np.load(io.BytesIO(content)) as file:
        arrays = {name: file[name] for name in file.files}
    header = json.loads(bytes(arrays.pop("header")))
    del arrays["lbfgsb-checkpoint"], header["fields"], header["format"], header["library"]
    change(header, arrays)
    buffer = io.BytesIO()
    _checkpoint_file._write(buffer, arrays, **header)
    return buffer.getvalue()


def test_a_file_whose_solver_no_machine_can_have_is_altered(path):
    for make in (
        lambda: save_checkpoint(path, Solver(START)),
        lambda: minimize_batch(rows_fg, STARTS, checkpoint=path, maxiter=3),
    ):
        make()
        huge = rewritten(path.read_bytes(), lambda h, arrays: h["options"].update(maxcor=10**15))
        path.write_bytes(huge)
        with pytest.raises(CheckpointError, match="altered, or is of a solver that is too large"):
            load_checkpoint(path)
        path.unlink()
    chain(checkpoint=path, maxiter=3)
    path.write_bytes(rewritten(path.read_bytes(), lambda h, _: h["options"].update(maxcor=10**15)))
    assert load_checkpoint(path).nit == 3  # a result needs none
    assert_same_run(chain(checkpoint=path), chain())


def test_a_newer_file_says_whose_it_is(path, content, monkeypatch):
    monkeypatch.setattr(_checkpoint_file, "FORMAT", _checkpoint_file.FORMAT + 1)
    monkeypatch.setattr(_checkpoint_file, "_library", lambda: "9.1")
    newer = rewritten(content, lambda header, arrays: None)
    monkeypatch.undo()
    assert reason_of(path, newer) == "newer"
    with pytest.raises(CheckpointError, match=r"format \d+, of lbfgsb 9\.1; this is lbfgsb"):
        load_checkpoint(path)


def put(name, value):
    return lambda header, arrays: arrays.__setitem__(name, value)


def change(name, function):
    return lambda header, arrays: arrays.__setitem__(name, function(arrays[name]))


def with_item(i, value):
    def changed(array):
        array = array.copy()
        array[i] = value
        return array

    return changed


@pytest.mark.parametrize(
    "wrong",
    [
        change("x", lambda x: x[:-1]),
        change("x", lambda x: x.astype("f4")),
        change("x", lambda x: x + 100),
        lambda header, arrays: (arrays.pop("lower"), arrays.pop("upper")),
        change("g", lambda g: np.append(g, 0.0)),
        change("S", lambda S: S[:, :-1]),
        change("Y", lambda Y: Y[:-1]),
        change("gram", lambda gram: gram[:-1]),
        change("p", lambda p: p[:-1]),
        change("lower", lambda lower: lower + 100),
        change("status", lambda status: status[:-1]),
        change("numbers", lambda numbers: numbers[:-1]),
        change("counts", with_item(0, N + 1)),
        change("counts", with_item(3, -1)),
        change("phase", with_item(0, 4)),
        change("phase", with_item(2, 99)),
        change("monitor", lambda monitor: monitor[:-1]),
        change("monitor", with_item(6, 1e6)),
        change("monitor", with_item(5, np.nan)),
        put("new", np.zeros(3)),
        lambda header, arrays: arrays.pop("theta"),
        lambda header, arrays: arrays.pop("gram"),
        lambda header, arrays: arrays.pop("d"),
        lambda header, arrays: arrays.pop("search"),
        lambda header, arrays: header.pop("options"),
        lambda header, arrays: header.pop("result"),
        lambda header, arrays: header.__setitem__("n", "many"),
        lambda header, arrays: header.__setitem__("kind", "nothing"),
        lambda header, arrays: header["result"].__setitem__("fun", []),
    ],
)
def test_what_no_run_can_have_written_never_gets_to_the_solver(path, content, wrong):
    assert reason_of(path, rewritten(content, wrong)) == "altered"


@pytest.mark.parametrize(
    "options",
    [
        {"new": 1},
        {"maxcor": -1},
        {"maxcor": "x"},
        {"maxcor": None},
        {"secant": 7},
        {"pairs": 0},
    ],
    ids=lambda options: str(options),
)
def test_options_that_a_solver_can_not_have_are_found(path, options):
    save_checkpoint(path, Solver(X0))
    data = rewritten(path.read_bytes(), lambda header, arrays: header["options"].update(options))
    assert reason_of(path, data) == "altered"


def test_a_compressed_file_is_not_inflated(path, content):
    buffer = io.BytesIO()
    old = zipfile.ZipFile(io.BytesIO(content))
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert reason_of(path, buffer.getvalue()) == "altered"


# --- older formats ------------------------------------------------------------------------


@pytest.mark.parametrize("version", range(1, _checkpoint_file.FORMAT + 1))
def test_files_of_each_format_are_read(version):
    # Made by `python tests/test_checkpoint_files.py` when the format was new.
    folder = HERE / "checkpoints"
    run = load_checkpoint(folder / f"run-{version}.npz")
    assert (run.nit, run.status) == (5, 1)
    assert run.fun == rosen(run.x)
    assert same_bits(run.jac, rosen_grad(run.x))
    assert run.hess_inv.n_corrs == 5
    rest = chain(x0=run.x, checkpoint=run)
    assert rest.status == 0
    assert rest.fun < run.fun

    solver = load_checkpoint(folder / f"solver-{version}.npz")
    assert (solver.nit, solver.nfev, solver.maxcor) == (3, 6, 4)
    assert solver.run(rosen_fg)
    assert solver.success

    batch = load_checkpoint(folder / f"batch-{version}.npz")
    assert batch.x.shape == (3, 4)
    assert same_bits(batch.fun, rows_fg(batch.x)[0])
    assert batch.nrounds == 6


def make_files(folder):
    version = _checkpoint_file.FORMAT
    save_checkpoint(folder / f"run-{version}.npz", chain(maxiter=5, maxcor=6))
    solver = Solver(X0, BOX, maxcor=4, maxiter=100)
    solver.run(rosen_fg, iterations=3)
    solver.ask()
    save_checkpoint(folder / f"solver-{version}.npz", solver)
    path = folder / f"batch-{version}.npz"
    path.unlink(missing_ok=True)
    try:
        minimize_batch(failing_after(6, rows_fg), STARTS[:3, :4], checkpoint=path, **LONG)
    except Interrupted:
        return


# --- where a file can't be ----------------------------------------------------------------


@pytest.mark.parametrize("name", ["run", "run.npz", "läuft ☃.npz", "a b"])
@pytest.mark.parametrize("kind", [str, Path])
def test_any_name_is_used_as_it_is(tmp_path, monkeypatch, name, kind):
    monkeypatch.chdir(tmp_path)
    save_checkpoint(kind(name), chain(maxiter=2))
    assert os.listdir() == [name]
    assert load_checkpoint(kind(name)).nit == 2
    chain(checkpoint=kind(name), maxiter=4)
    assert load_checkpoint(kind(tmp_path / name)).nit == 4


def doors(path):
    yield lambda: save_checkpoint(path, Solver(X0))
    yield lambda: chain(fun=never, checkpoint=path)
    yield lambda: chain(fun=never, callback=Checkpoint(path))
    yield lambda: minimize_batch(never, STARTS, checkpoint=path)


def test_a_folder_that_does_not_exist_ends_it_before_anything_is_evaluated(tmp_path):
    for door in doors(tmp_path / "no" / "run.npz"):
        with pytest.raises(FileNotFoundError, match=r"no such folder.*no'"):
            door()
    assert os.listdir(tmp_path) == []


def test_a_folder_in_the_place_of_the_file_or_the_other_way_round(tmp_path):
    for door in doors(tmp_path):
        with pytest.raises(IsADirectoryError):
            door()
    file = tmp_path / "file"
    file.write_text("")
    for door in doors(file / "run.npz"):
        with pytest.raises(NotADirectoryError):
            door()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in folders here")
def test_what_is_no_file_is_neither_replaced_nor_waited_for(path):
    os.mkfifo(path)
    for door in [*doors(path), lambda: load_checkpoint(path)]:
        with pytest.raises(OSError, match="would be a device or a pipe"):
            door()
    assert not path.is_file()
    assert os.listdir(path.parent) == ["run.npz"]


def test_a_relative_path_means_the_same_file_when_the_process_goes_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()

    def goes_away(x):
        os.chdir(tmp_path / "elsewhere")
        return rosen_fg(x)

    chain(fun=goes_away, checkpoint="run.npz", callback=Checkpoint("run.npz", every=1))
    assert sorted(os.listdir(tmp_path)) == ["elsewhere", "run.npz", "run.npz.1"]
    assert os.listdir(tmp_path / "elsewhere") == []


def test_a_link_stays_and_the_file_that_it_leads_to_is_replaced(tmp_path):
    (tmp_path / "disk").mkdir()
    link, file = tmp_path / "run.npz", tmp_path / "disk" / "file.npz"
    try:
        link.symlink_to(file)
    except OSError:
        pytest.skip("no links here")
    chain(checkpoint=link, maxiter=5)
    save_checkpoint(link, chain(checkpoint=link, maxiter=9))
    assert link.is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["disk", "run.npz"]
    assert sorted(os.listdir(file.parent)) == ["file.npz", "file.npz.1"]
    assert load_checkpoint(file).nit == load_checkpoint(link).nit == 9


@pytest.mark.parametrize("kind", [str, os.fsencode, Path])
def test_every_door_takes_every_kind_of_path(tmp_path, kind):
    for i, run in enumerate(
        [
            lambda path: chain(checkpoint=path, maxiter=5),
            lambda path: minimize_batch(rows_fg, STARTS, checkpoint=path),
            lambda path: minimize_multistart(rosen_fg, BOX, jac=True, n_starts=2, checkpoint=path),
        ]
    ):
        path = kind(tmp_path / f"{i}.npz")
        run(path)
        assert os.path.exists(path)
        run(path)


def test_a_folder_that_may_not_be_written_in(tmp_path):
    tmp_path.chmod(0o500)
    if os.access(tmp_path, os.W_OK):
        pytest.skip("root may write anywhere")
    for door in doors(tmp_path / "run.npz"):
        with pytest.raises(PermissionError):
            door()


def test_a_disk_without_room_ends_it_before_anything_is_evaluated(path, monkeypatch):
    usage = type("usage", (), {"free": 1000})
    monkeypatch.setattr(_durable.shutil, "disk_usage", lambda folder: usage)
    for door in [*doors(path)][1:]:
        with pytest.raises(OSError, match=r"takes .* MB, and the disk has 0\.001") as error:
            door()
        assert error.value.errno == errno.ENOSPC


@pytest.mark.parametrize("wrong", [None, 3, b"", ""])
def test_what_is_no_path(wrong):
    with pytest.raises((TypeError, ValueError), match="path must be"):
        load_checkpoint(wrong)
    with pytest.raises((TypeError, ValueError), match="path must be"):
        Checkpoint(wrong)


def test_what_is_no_run(path):
    with pytest.raises(TypeError, match="run must be a Solver, or a result"):
        save_checkpoint(path, minimize(rosen, X0, jac=rosen_grad, method="L-BFGS-B"))
    with pytest.raises(TypeError, match="run must be the result of one problem"):
        save_checkpoint(path, minimize_batch(rows_fg, STARTS))
    res = chain(maxiter=3)
    res.x = res.x + 1
    with pytest.raises(ValueError, match="not those of its run"):
        save_checkpoint(path, res)
    assert not path.exists()


# --- a run that is kept -------------------------------------------------------------------


@pytest.mark.parametrize("name", RUNS)
def test_a_run_that_is_interrupted_again_and_again_ends_with_the_same_bits(path, name):
    options, _ = RUNS[name]
    if options["jac"] == "3-point":
        pytest.skip("evaluations of a gradient that was not finished are counted")
    whole = minimize_lbfgsb(**options)
    fun, jac = options["fun"], options["jac"]
    for _ in range(400):
        try:
            res = minimize_lbfgsb(**options | {"fun": failing_after(4, fun), "checkpoint": path})
        except Interrupted:
            continue
        break
    assert jac is not None
    assert_same_run(res, whole)
    assert_same_run(load_checkpoint(path), whole)


def test_a_run_that_is_over_is_returned_as_it_was(path):
    for stop in ({}, {"ftarget": 25.0}, {"callback": TargetReached(25.0)}, {"maxfun": 5}):
        whole = chain(checkpoint=path, **stop)
        written = path.read_bytes()
        again = chain(checkpoint=path, **stop | {"fun": never})
        assert_same_run(again, whole)
        assert path.read_bytes() == written
        path.unlink()


def test_a_run_that_failed_is_returned_as_it_was_and_goes_on_with_other_options(path):
    def wrong(x):
        return rosen(x), -rosen_grad(x)

    with pytest.warns(UserWarning, match="inconsistent"):
        res = solve(fun=wrong, jac=True, checkpoint=path)
    assert res.status == 2
    with pytest.warns(UserWarning, match="inconsistent"):
        again = solve(fun=never, jac=True, checkpoint=path)
    assert_same_run(again, res)
    record = Counted()
    solve(fun=record.fg, jac=True, checkpoint=path, maxls=30)
    assert record.points


def test_a_limit_of_time_is_no_end_for_a_run_that_is_started_again(path):
    whole = chain()
    starts, status = 0, 1
    while status == 1:
        res = chain(checkpoint=path, callback=TimeLimit(0))
        starts, status = starts + 1, res.status
    assert starts == whole.nit
    assert_same_run(res, whole)


def test_the_options_given_now_hold(path):
    chain(checkpoint=path, maxiter=5, maxcor=8)
    res = chain(checkpoint=path, maxiter=9, maxcor=3)
    assert res.nit == 9
    assert res.hess_inv.n_corrs == 3
    assert json.loads(bytes(np.load(path)["header"]))["options"]["maxcor"] == 3


def test_other_bounds_are_a_warm_start(path):
    part = chain(checkpoint=path, maxiter=5)
    res = chain(checkpoint=path, bounds=[(-1.5, 0.5)] * N)
    assert (res.x <= 0.5).all()
    assert res.nit > part.nit


def test_x0_must_be_that_of_the_run_or_where_it_stands(path):
    part = chain(checkpoint=path, maxiter=5)
    with pytest.raises(ValueError, match="began at another x0; delete the file"):
        chain(checkpoint=path, x0=START + 0.1, fun=never)
    with pytest.raises(ValueError, match=r"is of a run with x of shape \(40,\); x0 has \(2,\)"):
        solve(checkpoint=path, fun=never)
    assert_same_run(chain(checkpoint=path, x0=part.x), chain())


def test_files_of_other_kinds_are_refused(path):
    save_checkpoint(path, chain(maxiter=3))
    with pytest.raises(CheckpointError, match="is the checkpoint of a run, not of a batch"):
        minimize_batch(never, STARTS, checkpoint=path)
    minimize_batch(rows_fg, STARTS, checkpoint=path.with_name("batch"))
    with pytest.raises(CheckpointError, match="is the checkpoint of a batch, not of one run"):
        chain(checkpoint=path.with_name("batch"), fun=never)


def test_a_solver_on_the_disk_can_be_gone_on_with(path):
    solver = Solver(START, CHAIN["bounds"], **LONG)
    solver.run(rosen_fg, iterations=4)
    save_checkpoint(path, solver)
    assert_same_run(chain(checkpoint=path, x0=solver.x), chain())


def test_foreign_files_are_not_written_over(path):
    path.write_bytes(npz({"x": X0}))
    before = path.read_bytes()
    for door in [*doors(path)][1:]:
        with pytest.raises(CheckpointError, match="is no checkpoint of lbfgsb"):
            door()
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["run.npz"]


def test_where_the_newest_file_is_damaged_the_one_before_is_used(path):
    whole = chain()
    chain(checkpoint=path, maxiter=5)
    chain(checkpoint=path, maxiter=8)
    damaged = path.read_bytes()[:-100]
    path.write_bytes(damaged)
    assert load_checkpoint(f"{path}.1").nit == 5
    said = r"is truncated: .* goes on from .*run\.npz\.1"
    with pytest.warns(CheckpointWarning, match=said) as caught:
        res = chain(checkpoint=path)
    assert caught[0].filename == __file__  # where the run was asked for
    assert_same_run(res, whole)
    assert (path.parent / "run.npz.damaged").read_bytes() == damaged
    assert load_checkpoint(f"{path}.1").nit == 5  # no damaged file has taken its place


def test_where_all_files_are_damaged_nothing_begins(path):
    chain(checkpoint=path, maxiter=5)
    chain(checkpoint=path, maxiter=8)
    for file in (path, path.with_name("run.npz.1")):
        file.write_bytes(file.read_bytes()[:-100])
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    with pytest.raises(CheckpointError, match="is truncated"):
        chain(checkpoint=path, fun=never)
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before


def test_what_a_killed_process_has_left_is_removed(path):
    left = path.with_name("run.npz.12345-0123abcd.tmp")
    other = path.with_name("other.npz.12345-0123abcd.tmp")
    left.write_bytes(b"half")
    other.write_bytes(b"half")
    chain(checkpoint=path, maxiter=2)
    assert sorted(file.name for file in path.parent.iterdir()) == [other.name, "run.npz"]


def test_histories_and_other_callbacks_have_their_say(path):
    history = History()
    res = chain(checkpoint=path, callback=[history], maxiter=4)
    assert len(history) == res.nit == len(res.history)


def test_a_failing_update_fun_def_leaves_a_checkpoint_from_before(path):
    def fails(x, f0, f0_old, grad, x_deque, grad_deque):
        if len(x_deque) == 4:
            raise Interrupted
        return f0, f0_old, grad, grad_deque

    keep = Checkpoint(path, every=1)
    with pytest.raises(Interrupted):
        chain(checkpoint=path, update_fun_def=fails, callback=keep)
    whole = chain(update_fun_def=update)
    assert load_checkpoint(path).nit == 3
    assert_same_run(chain(checkpoint=path, update_fun_def=update), whole)


# --- when it is written -------------------------------------------------------------------


def written(monkeypatch):
    """The numbers of iterates that are written, as they are."""
    seen = []
    replace = _durable.replace

    def note(path, write, keep=1):
        replace(path, write, keep)
        seen.append(load_checkpoint(path).nit)

    monkeypatch.setattr(_durable, "replace", note)
    return seen


def test_every_so_many_iterates_and_at_the_end(path, monkeypatch):
    seen = written(monkeypatch)
    chain(callback=Checkpoint(path, every=4), maxiter=10)
    assert seen == [4, 8, 10]


def test_so_many_files_are_kept(path):
    chain(callback=Checkpoint(path, every=1, keep=3), maxiter=7)
    names = sorted(file.name for file in path.parent.iterdir())
    assert names == ["run.npz", "run.npz.1", "run.npz.2"]
    assert [load_checkpoint(path.with_name(name)).nit for name in names] == [7, 6, 5]


class Clock:
    """A clock that a run moves on: by so much at each look."""

    def __init__(self, step):
        self.now, self.step = 0.0, step

    def perf_counter(self):
        self.now += self.step
        return self.now


def test_every_so_many_seconds(path, monkeypatch):
    seen = written(monkeypatch)
    clock = Clock(0.0)
    monkeypatch.setattr(_keeper, "time", clock)

    def fun(x):
        clock.now += 1.0
        return rosen_fg(x)

    res = chain(fun=fun, callback=Checkpoint(path, seconds=10.0), maxiter=60)
    assert seen[-1] == res.nit == 60
    assert 60 / 10 - 2 < len(seen) < res.nfev / 10 + 2


def test_by_default_at_most_two_per_cent_of_the_time_go_into_it(path, monkeypatch):
    seen = written(monkeypatch)
    clock = Clock(0.0)
    monkeypatch.setattr(_keeper, "time", clock)
    spent = [0.0]
    replace = _durable.replace

    def slow(path, write, keep=1):
        replace(path, write, keep)
        clock.now += 3.0
        spent.append(spent[-1] + 3.0)
        if len(spent) > 2:  # how long it takes is known from the first on
            assert spent[-1] <= 0.02 * clock.now + 3.0

    monkeypatch.setattr(_durable, "replace", slow)

    def fun(x):
        clock.now += 20.0
        return rosen_fg(x)

    chain(fun=fun, checkpoint=path, maxiter=60)
    assert len(seen) > 5


def test_a_short_run_is_written_at_its_end_alone(path, monkeypatch):
    monkeypatch.setattr(_keeper, "time", Clock(0.0))
    seen = written(monkeypatch)
    res = chain(checkpoint=path)
    assert seen == [res.nit]


def test_one_of_the_same_path_does_the_writing(path, monkeypatch):
    seen = written(monkeypatch)
    chain(checkpoint=path, callback=Checkpoint(str(path), every=5), maxiter=10)
    assert seen == [5, 10]


def test_a_callback_that_ends_the_run_is_heard_before_it_is_written(path):
    at = []

    def stop(xk, state):
        at.append(state.nit)
        return state.nit == 3

    res = chain(callback=[Checkpoint(path, every=1, keep=3), stop])
    assert load_checkpoint(path).message == res.message == "STOP: USER CALLBACK"
    assert load_checkpoint(f"{path}.1").nit == 2


def test_a_checkpoint_says_what_it_is(path):
    assert repr(Checkpoint("run.npz", every=5)) == "Checkpoint(path='run.npz', every=5)"
    with pytest.raises(ValueError, match="every so many iterates or every so many seconds"):
        Checkpoint(path, every=1, seconds=1)
    with pytest.raises(ValueError, match="keep must be at least 1"):
        Checkpoint(path, keep=0)


def test_solvers_that_show_no_memory_are_refused(path):
    with pytest.raises(TypeError, match="is of a run of lbfgsb"):
        minimize(rosen, X0, jac=rosen_grad, method="BFGS", callback=Checkpoint(path))
    assert not path.exists()


def test_a_file_that_can_not_be_written_is_told_of_and_the_run_goes_on(path, monkeypatch):
    whole = chain()
    fsync = os.fsync
    calls = []

    def failing(descriptor):
        calls.append(descriptor)
        if len(calls) in (3, 4, 5):
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.warns(CheckpointWarning, match="No space left") as told:
        res = chain(callback=Checkpoint(path, every=1))
    assert len(told) == 3
    assert_same_run(res, whole)
    assert_same_run(load_checkpoint(path), whole)
    assert sorted(file.name for file in path.parent.iterdir()) == ["run.npz", "run.npz.1"]


# --- batches ------------------------------------------------------------------------------

STARTS = np.random.default_rng(3).uniform(-2, 2, (9, 20))
BOXES = np.stack([np.full((9, 20), -1.5), np.linspace(0.5, 2, 9)[:, None] + np.zeros(20)], axis=2)
BOXES[3] = [-np.inf, np.inf]


def rows_fg(X):
    r = X[:, 1:] - X[:, :-1] ** 2
    G = np.zeros_like(X)
    G[:, :-1] = -400.0 * X[:, :-1] * r - 2.0 * (1.0 - X[:, :-1])
    G[:, 1:] += 200.0 * r
    return (100.0 * r**2 + (1.0 - X[:, :-1]) ** 2).sum(axis=1), G


def assert_same_batch(a, b):
    for name in ("x", "fun", "jac", "projected_gradient", "gradient_mismatch"):
        assert same_bits(a[name], b[name]), name
    for name in ("nit", "nfev", "njev", "status", "success", "message", "nrounds"):
        assert np.array_equal(a[name], b[name]), name


def stop_some(intermediate_result):
    return intermediate_result.fun < 0.1 * np.arange(len(intermediate_result.fun))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("starts", "options"),
    [
        (STARTS, {"bounds": BOXES}),
        (STARTS, {"bounds": BOXES, "callback": stop_some}),
        (STARTS[:, :3], {"x_scale": 3.0, "maxcor": 2}),
        (STARTS[:1], {}),
    ],
    ids=["boxes", "stopped by a callback", "few variables", "one"],
)
def test_a_batch_that_is_interrupted_again_and_again_ends_with_the_same_bits(
    path, starts, options, threads
):
    options = LONG | options | {"threads": threads}
    whole = minimize_batch(rows_fg, starts, **options)
    for _ in range(400):
        try:
            res = minimize_batch(failing_after(7, rows_fg), starts, checkpoint=path, **options)
        except Interrupted:
            assert load_checkpoint(path).nrounds % 7 == 0
            continue
        break
    assert_same_batch(res, whole)
    assert_same_batch(load_checkpoint(path), whole)
    again = minimize_batch(never, starts, checkpoint=path, **options)
    assert_same_batch(again, whole)


def test_a_batch_in_parts_is_resumed_in_its_order(path):
    starts = np.random.default_rng(0).uniform(-2, 2, (1100, 3))
    whole = minimize_batch(rows_fg, starts, threads=2, **LONG)
    with pytest.raises(Interrupted):
        minimize_batch(failing_after(40, rows_fg), starts, threads=2, checkpoint=path, **LONG)
    res = minimize_batch(rows_fg, starts, threads=2, checkpoint=path, **LONG)
    assert_same_batch(res, whole)


def test_a_batch_that_limits_have_ended_goes_on(path):
    whole = minimize_batch(rows_fg, STARTS, **LONG)
    part = minimize_batch(rows_fg, STARTS, checkpoint=path, **LONG | {"maxiter": 6})
    assert (part.status == 1).all()
    minimize_batch(rows_fg, STARTS, checkpoint=path, callback=TimeLimit(0), **LONG)
    res = minimize_batch(rows_fg, STARTS, checkpoint=path, **LONG)
    assert res.nrounds >= whole.nrounds  # at the limit, some have waited for others
    assert_same_batch(res | {"nrounds": whole.nrounds}, whole)


def test_a_checkpoint_of_a_batch_under_way_can_be_looked_at(path):
    keep = Checkpoint(path, every=3)
    states = {}
    minimize_batch(
        rows_fg,
        STARTS,
        callback=[lambda intermediate_result: states.update(
            {intermediate_result.nrounds: intermediate_result}), keep],
        **LONG,
    )  # fmt: skip
    before = load_checkpoint(f"{path}.1")
    assert before.nrounds % 3 == 0
    assert_same_batch(before, states[before.nrounds])
    assert before.status.min() == -1


def test_a_batch_must_be_the_one_of_the_file(path):
    with pytest.raises(Interrupted):
        minimize_batch(failing_after(5, rows_fg), STARTS, bounds=BOXES, checkpoint=path)
    with pytest.raises(ValueError, match="began at another x0"):
        minimize_batch(never, STARTS + 0.01, bounds=BOXES, checkpoint=path)
    with pytest.raises(ValueError, match="x of shape"):
        minimize_batch(never, STARTS[:4], checkpoint=path)
    other = BOXES.copy()
    other[2, 0, 0] = -1.25
    with pytest.raises(ValueError, match="the bounds of problem 2 are not those of the batch"):
        minimize_batch(never, STARTS, bounds=other, checkpoint=path)
    with pytest.raises(ValueError, match="x_scale is not that of the batch"):
        minimize_batch(never, STARTS, bounds=BOXES, x_scale=2.0, checkpoint=path)


def compiled(starts=None, **options):
    starts = np.random.default_rng(4).uniform(-2, 2, (40, 1000)) if starts is None else starts
    bounds = [(-1.5, 1.5)] * starts.shape[1]
    return minimize_batch(compiled_rosenbrock, starts, bounds=bounds, **LONG | options)


def interrupted_after(seconds, path, threads, options):
    """The result, or None, and how many problems were under way when it was interrupted."""
    try:
        with alarms(signal.SIGALRM):
            signal.setitimer(signal.ITIMER_REAL, seconds)
            res = compiled(threads=threads, checkpoint=path, **options)
            signal.setitimer(signal.ITIMER_REAL, 0)
        return res, 0
    except Alarm:
        return None, path.exists() and int((load_checkpoint(path).status == -1).sum())


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers here")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("options", [{}, {"x_scale": 3.0, "maxfun": 400}], ids=["", "scaled"])
def test_a_compiled_batch_that_is_interrupted_ends_with_the_same_bits(path, threads, options):
    begun = time.perf_counter()
    whole = compiled(**options)
    wait = (time.perf_counter() - begun) / 3
    under_way = []
    while not any(0 < count < 40 for count in under_way):  # else it was too soon or too late
        path.unlink(missing_ok=True)
        under_way, res = [], None
        while res is None:
            res, count = interrupted_after(wait * 1.2 ** len(under_way), path, threads, options)
            under_way.append(count)
    assert_same_batch(res, whole)
    assert_same_batch(load_checkpoint(path), whole)


def test_a_compiled_batch_that_is_over_is_returned_as_it_was(path):
    starts = np.random.default_rng(4).uniform(-2, 2, (40, 20))
    whole = compiled(starts, checkpoint=path)
    assert (whole.status == 0).all()
    ends_at_once = as_low_level(lambda x, g: (1,))
    options = LONG | {"bounds": [(-1.5, 1.5)] * 20, "checkpoint": path}
    assert_same_batch(minimize_batch(ends_at_once, starts, **options), whole)
    part = minimize_batch(ends_at_once, starts, **options | {"ftol": 0.0, "gtol": 1e-12})
    assert (part.status == 3).all()
    assert (part.nfev == whole.nfev + 1).all()


def test_a_compiled_batch_that_a_limit_has_ended_goes_on(path):
    part = compiled(checkpoint=path, maxiter=6)
    assert (part.status == 1).all()
    assert_same_batch(compiled(checkpoint=path, threads=2), compiled())


def test_a_compiled_batch_goes_on_with_what_a_python_objective_has_begun(path):
    starts = np.random.default_rng(4).uniform(-2, 2, (7, 20))

    def rosenbrock_rows(X):
        F, G = zip(*map(rosenbrock_fg, X), strict=True)
        return np.array(F), np.array(G)

    bounds = [(-1.5, 1.5)] * 20
    fun = failing_after(20, rosenbrock_rows)
    with pytest.raises(Interrupted):
        minimize_batch(fun, starts, bounds=bounds, checkpoint=path, **LONG)
    assert_same_batch(compiled(starts, checkpoint=path), compiled(starts))


def test_a_compiled_batch_is_written_every_so_many_seconds(path):
    keep = Checkpoint(path, seconds=0, keep=3)
    with_it = compiled(callback=keep, maxiter=500, ftol=0.0, gtol=1e-10)
    assert sorted(os.listdir(path.parent)) == ["run.npz", "run.npz.1", "run.npz.2"]
    assert_same_batch(with_it, compiled(maxiter=500, ftol=0.0, gtol=1e-10))


@pytest.mark.parametrize("callback", [never, Checkpoint("run.npz", every=1)], ids=["", "every"])
def test_a_compiled_batch_has_no_other_callbacks(callback):
    with pytest.raises(ValueError, match="but for a Checkpoint without every"):
        compiled(callback=callback)


def test_a_damaged_batch_is_found(path):
    minimize_batch(rows_fg, STARTS, bounds=BOXES, checkpoint=path, **LONG)
    content = path.read_bytes()
    whole = load_checkpoint(path)
    for wrong in (
        change("pairs", lambda pairs: pairs + 1),
        change("pairs", lambda pairs: -pairs),
        change("x", lambda x: x[:-1]),
        change("monitor.sizes", lambda sizes: sizes[:-1]),
        change("lower.of", lambda of: of + 5),
        lambda header, arrays: arrays.pop("monitor.sizes"),
        put("new", np.zeros(2)),
        put("pairs.of", np.zeros(2, int)),
        lambda header, arrays: header.pop("rounds"),
        lambda header, arrays: header.__setitem__("stopped", [[0]]),
    ):
        assert reason_of(path, rewritten(content, wrong)) == "altered"
    for i in range(0, len(content), 97):
        path.write_bytes(content[:i] + bytes([content[i] ^ 0x10]) + content[i + 1 :])
        try:
            loaded = load_checkpoint(path)
        except CheckpointError:
            continue
        assert_same_batch(loaded, whole)


# --- the end of a process, of a disk, of the power ----------------------------------------


class PowerCut(BaseException):
    """The end of everything; no Exception, which a run would look at."""


class Disk:
    """The calls by which a file is made, up to the k-th; what is on the disk if the power is cut.

    A file that has not been fsynced may have lost any part of its end. Renames and links since the
    folder was last fsynced may not have happened, though those that have did in their order.
    """

    def __init__(self, monkeypatch, folder, rng, cut_at):
        self.folder, self.rng, self.left = folder, rng, cut_at
        self.torn = set()
        self.undo = []
        for name in ("fsync", "replace", "link", "remove"):
            monkeypatch.setattr(os, name, self.counted(getattr(os, name), getattr(self, name)))
        self.open = open
        monkeypatch.setattr(_durable, "open", self.opened, raising=False)
        monkeypatch.setattr(_durable, "start_writing", lambda file, first, end: self.tick())

    def tick(self):
        self.left -= 1
        if self.left <= 0:  # a process that is dead does nothing more
            raise PowerCut

    def counted(self, call, note):
        def counted(*args):
            self.tick()
            note(*args)
            return call(*args)

        return counted

    def opened(self, path, mode):
        self.tick()
        if "x" in mode:
            self.torn.add(os.path.realpath(path))
        return self.open(path, mode)

    def fsync(self, descriptor):
        name = os.path.realpath(f"/proc/self/fd/{descriptor}")
        if name == os.path.realpath(self.folder):
            self.undo.clear()
        self.torn.discard(name)

    def names(self):
        return {
            name: self.open(os.path.join(self.folder, name), "rb").read()
            for name in os.listdir(self.folder)
        }

    def note_names(self, *paths):
        self.undo.append(self.names())

    replace = link = note_names

    def remove(self, path):
        pass

    def after_the_cut(self):
        """Bring the folder to what may be found in it when the power is back."""
        names = self.names()
        for path in self.torn:
            name = os.path.basename(path)
            if name in names:
                names[name] = names[name][: self.rng.randrange(len(names[name]) + 1)]
        if self.undo and self.rng.random() < 0.5:
            names = self.rng.choice(self.undo)
            for path in self.torn:
                names.pop(os.path.basename(path), None)
        for name in os.listdir(self.folder):
            os.unlink(os.path.join(self.folder, name))
        for name, data in names.items():
            Path(self.folder, name).write_bytes(data)


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="names of open files: /proc")
@pytest.mark.parametrize("keep", [1, 2, 3])
def test_the_last_files_are_whole_wherever_the_power_is_cut(tmp_path, keep):
    whole = chain(maxiter=6)
    rng = random.Random(keep)
    cut_at, ended = 1, False
    while not ended:
        folder = tmp_path / f"{cut_at}"
        folder.mkdir()
        path = folder / "run.npz"
        with pytest.MonkeyPatch.context() as patch:
            disk = Disk(patch, folder, rng, cut_at)
            try:
                chain(callback=Checkpoint(path, every=1, keep=keep), maxiter=6)
                ended = True
            except PowerCut:
                ended = False
        disk.after_the_cut()
        files = sorted(f for f in folder.iterdir() if not f.name.endswith(".tmp"))
        nits = [load_checkpoint(file).nit for file in files]  # none of them is torn
        assert nits == sorted(nits, reverse=True)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert_same_run(chain(checkpoint=path, maxiter=6), whole)
        cut_at += 1
    assert cut_at > 6 * 4


@pytest.mark.parametrize("call", ["fsync", "replace", "write"])
def test_an_error_at_any_moment_leaves_what_was_there(path, monkeypatch, call):
    save_checkpoint(path, chain(maxiter=3))
    before = path.read_bytes()

    def fails(*args, **options):
        raise OSError(errno.EIO, "Input/output error")

    if call == "write":
        monkeypatch.setattr(zipfile.ZipFile, "open", fails)
    else:
        monkeypatch.setattr(os, call, fails)
    with pytest.raises(OSError, match="Input/output error"):
        save_checkpoint(path, chain(maxiter=5))
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["run.npz"]


class SmallDisk(io.FileIO):
    """A file that takes a little at a time, and no more than there is room for."""

    room = 0

    def write(self, data):
        data = memoryview(data).cast("B")[:1000]
        SmallDisk.room -= len(data)
        if SmallDisk.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


def test_short_writes_are_gone_on_with_and_a_full_disk_is_told_of(path, monkeypatch):
    part = chain(maxiter=5)

    def small(name, mode):
        return io.BufferedRandom(SmallDisk(name, "x+"))

    save_checkpoint(path, part)
    size = path.stat().st_size
    monkeypatch.setattr(_durable, "open", small, raising=False)
    monkeypatch.setattr(_durable, "check_place", lambda path, size: None)
    SmallDisk.room = 2 * size
    save_checkpoint(path, part)
    assert_same_run(load_checkpoint(path), part)
    before = path.read_bytes()
    for room in range(0, size, size // 9):
        SmallDisk.room = room
        with pytest.raises(OSError, match="No space left"):
            save_checkpoint(path, chain(maxiter=6))
        assert path.read_bytes() == before
        assert os.listdir(path.parent) == ["run.npz"]


def test_without_links_the_one_before_is_a_copy(path, monkeypatch):
    def none(*args):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", none)
    chain(callback=Checkpoint(path, every=1, keep=3), maxiter=5)
    names = sorted(file.name for file in path.parent.iterdir())
    assert [load_checkpoint(path.with_name(name)).nit for name in names] == [5, 4, 3]


def test_pairs_in_single_precision_take_half_the_file(path):
    n = 20_000
    run = {"x0": np.linspace(-2, 2, n), "bounds": None, "maxiter": 12, "ftol": 0}
    sizes = {}
    for pairs in ("float64", "float32"):
        part = chain(**run, pairs=pairs)
        save_checkpoint(path, part)
        sizes[pairs] = path.stat().st_size
        again = load_checkpoint(path)
        assert_same_run(again, part)
        run_on = run | {"x0": again.x, "maxiter": 20}
        whole = chain(**run | {"maxiter": 20}, pairs=pairs)
        assert_same_run(chain(**run_on, pairs=pairs, checkpoint=again), whole)
        chain(**run | {"maxiter": 9}, pairs=pairs, checkpoint=path.with_name(pairs))
        kept = chain(**run | {"maxiter": 20}, pairs=pairs, checkpoint=path.with_name(pairs))
        assert_same_run(kept, whole)
    assert sizes["float64"] - sizes["float32"] == pytest.approx(4 * 2 * 10 * n, rel=0.01)


def test_a_solver_keeps_the_options_that_are_words(path):
    solver = Solver(START, pairs="float32", secant="standard", threads="auto")
    solver.run(rosen_fg, iterations=3)
    save_checkpoint(path, solver)
    again = load_checkpoint(path)
    for one in (solver, again):
        one.run(rosen_fg, iterations=5)
    assert same_bits(again.x, solver.x)


KILLS = HERE.parent / "tools" / "kill_runs.py"


@pytest.mark.skipif(not KILLS.exists() or not hasattr(os, "fork"), reason="not in a checkout")
def test_killed_runs_end_with_the_same_bits(tmp_path):
    done = subprocess.run(
        [sys.executable, KILLS, "--kills", "8", "--folder", tmp_path],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("the same bits") == 8
    assert "killed   8 times" in done.stdout


if __name__ == "__main__":
    make_files(HERE / "checkpoints")


@pytest.mark.skipif(os.name != "posix", reason="Windows brings names to the disk by itself")
@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP, errno.EIO])
def test_only_a_file_system_that_cannot_sync_a_folder_need_not(path, monkeypatch, code):
    sync = os.fsync

    def fsync(file):
        if stat.S_ISDIR(os.fstat(file).st_mode):
            raise OSError(code, os.strerror(code))
        sync(file)

    monkeypatch.setattr(os, "fsync", fsync)
    if code == errno.EIO:
        with pytest.raises(OSError, match=os.strerror(code)):
            save_checkpoint(path, Solver(START))
    else:
        save_checkpoint(path, Solver(START))
        assert same_bits(load_checkpoint(path).x, START)
