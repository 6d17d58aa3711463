"""The file of a checkpoint: a snapshot of a run as an ``.npz`` that NumPy reads without pickle.

Members, each an array::

    lbfgsb-checkpoint   the version of the format; the first, so that what is cut off is known
    x, g, S, Y, …       the fields of the snapshot, as `FIELDS` lists them
    header              JSON in UTF-8, as uint8; the last, since it has the checksums of the others

The header has: ``library``, the version that wrote the file; ``kind``, run, solver, batch or
multistart;
``options`` by name; ``result``, the numbers of the run as it stands; ``fields``, for each member
its dtype, its shape and the CRC-32 of its bytes. Numbers that are not finite are strings there.

In the file of a batch each field has the values of all problems one after the other, flat;
``pairs`` has the number of pairs of each problem, ``NAME.of`` the problems that have the field if
not all have, and ``NAME.sizes`` the lengths where n and the pairs do not tell them.

The file of a multistart has the arrays of `STARTS` instead, a row for each start.

The checksum is the one that a zip has anyway, at some 4 GB/s. Of 200 MB that a fast disk takes in
0.15 s, SHA-256 takes 0.2 s more, and BLAKE2b 0.4 s. It is there against disks and transmissions,
not against people.
"""

from __future__ import annotations

import errno
import json
import math
import os
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any, NamedTuple, Never

import numpy as np
from numpy.typing import NDArray

from lbfgsb import _durable
from lbfgsb._core.base_solver import BaseSolver, keeps_products, updates_again
from lbfgsb._core.slope_monitor import describe
from lbfgsb._endings import ENDS, Limit, ending
from lbfgsb._hess_inv import LazyInvHessProduct
from lbfgsb._options import BEFORE
from lbfgsb._result import Memory, Result
from lbfgsb._types import Vector

FORMAT = 2
_MARK = "lbfgsb-checkpoint"
# A zip begins with a local header of 30 bytes and the name of the first member.
_BEGIN, _NAME_AT = b"PK\x03\x04", 30
_PIECE = 1 << 18  # bytes written or read at once: they stay in the cache for their checksum
_MUCH = 1 << 23  # bytes that the disk may begin with
_ROWS = 1 << 15  # of a column of W, in one piece


class CheckpointError(ValueError):
    """A file that is no checkpoint to go on from; nothing has been changed.

    Attributes
    ----------
    reason : {'truncated', 'altered', 'foreign', 'newer', 'other kind'}
        Cut off; not what was written; not a checkpoint at all; from a later version of lbfgsb; or
        of something else than what was asked for.
    """

    def __init__(self, message: str, reason: str = "altered") -> None:
        super().__init__(message)
        self.reason = reason


class CheckpointWarning(UserWarning):
    """A checkpoint could not be written or read, and the run goes on without it."""


# --- the fields ---------------------------------------------------------------------------


class Field(NamedTuple):
    """How a field of a snapshot is kept: dtype, shape, and the first version that has it.

    In shapes n is the number of variables, k that of the pairs, and * any number. `or_dtype` is
    another dtype that it may have.
    """

    dtype: Any
    shape: tuple[str | int, ...]
    since: int = 1
    always: bool = False
    or_dtype: Any = None


_FLOAT, _INT, _SINGLE = np.dtype("<f8"), np.dtype("<i8"), np.dtype("<f4")
_SEARCH = np.dtype(
    [(name, _FLOAT) for name in (
        "f0", "slope0", "f_tol", "g_tol", "x_tol", "alpha", "alpha_max", "alpha_x", "f_x",
        "slope_x", "alpha_y", "f_y", "slope_y", "low", "high", "width", "width_before", "first",
        "turn", "wall", "noise", "coarse", "most", "slack",
    )]
    + [(name, _INT) for name in ("bracketed", "stage", "trials", "improved")]
)  # fmt: skip

# What a snapshot has, beside `version` and `options`. A new field is a line here, with the number
# of the new format, which `FORMAT` then is; files without it stay readable.
FIELDS: dict[str, Field] = {
    "x": Field(_FLOAT, ("n",), always=True),
    "g": Field(_FLOAT, ("n",), always=True),
    "S": Field(_FLOAT, ("k", "n"), always=True, or_dtype=_SINGLE),
    "Y": Field(_FLOAT, ("k", "n"), always=True, or_dtype=_SINGLE),
    "units": Field(_FLOAT, ("k", 2)),  # of S and Y in float32
    "secant": Field(_FLOAT, ("k",), always=True),
    "lower": Field(_FLOAT, ("n",)),
    "upper": Field(_FLOAT, ("n",)),
    "scale": Field(_FLOAT, ("n",)),
    "theta": Field(_FLOAT, (), always=True),
    "diagonal": Field(_FLOAT, ("n",), since=2),  # of few variables
    "numbers": Field(_FLOAT, (11,), always=True),
    "counts": Field(_INT, (7,), always=True),
    "phase": Field(_INT, (3,), always=True),
    "monitor": Field(_FLOAT, ("*",), always=True),
    "gram": Field(_FLOAT, ("2k", "2k")),
    "p": Field(_FLOAT, ("2k",)),
    "gram_free": Field(_FLOAT, ("2k", "2k")),
    "status": Field(np.dtype("i1"), ("n",)),
    "d": Field(_FLOAT, ("n",)),
    "search": Field(_SEARCH, ()),
    "g_best": Field(_FLOAT, ("n",)),
    # With update_fun_def: the iterates and gradients that pairs are made of, oldest first.
    "iterates_x": Field(_FLOAT, ("*", "n")),
    "iterates_g": Field(_FLOAT, ("*", "n")),
}
# The members of a multistart; N is the number of starts.
STARTS: dict[str, Field] = {
    **dict.fromkeys(("starts", "x", "jac"), Field(_FLOAT, ("N", "n"), always=True)),
    **dict.fromkeys(("lower", "upper"), Field(_FLOAT, ("n",), always=True)),
    "done": Field(np.dtype("?"), ("N",), always=True),
    **dict.fromkeys(
        ("fun", "projected_gradient", "gradient_mismatch"), Field(_FLOAT, ("N",), always=True)
    ),
    **dict.fromkeys(
        ("nit", "nfev", "njev", "status", "success"), Field(_INT, ("N",), always=True)
    ),
}
# Fields that Python has as tuples of numbers.
_TUPLES = ("numbers", "counts", "phase")
# What a snapshot has that goes into the header.
_IN_HEADER = ("version", "options", "differences", "iterates")


def _as_array(name: str, value: Any) -> Any:
    field = FIELDS[name]
    if isinstance(value, dict):
        if value.keys() != set(field.dtype.names):
            raise KeyError(f"{name} has not the numbers that format {FORMAT} lists")
        value = tuple(value[each] for each in field.dtype.names)
    single = field.or_dtype is not None and getattr(value, "dtype", None) == field.or_dtype
    array = np.array(value, field.or_dtype if single else field.dtype, copy=None)
    return np.ascontiguousarray(array).reshape(array.shape)


def _check_names(snapshot: dict[str, Any]) -> None:
    for name in snapshot:
        if name not in FIELDS and name not in _IN_HEADER:
            raise KeyError(f"format {FORMAT} has no field {name!r}: it must be in FIELDS")


def _dtypes(field: Field) -> tuple[Any, ...]:
    return (field.dtype,) if field.or_dtype is None else (field.dtype, field.or_dtype)


def _shape(field: Field, n: int, k: int) -> tuple[int | None, ...]:
    sizes: dict[str, int | None] = {"n": n, "k": k, "2k": 2 * k, "*": None}
    return tuple(sizes[size] if isinstance(size, str) else size for size in field.shape)


# --- writing ------------------------------------------------------------------------------


class Rows:
    """Rows (count, n) that are not there as one array."""

    def __init__(
        self,
        shape: tuple[int, int],
        pieces: Callable[[], Iterator[NDArray[Any]]],
        dtype: Any = _FLOAT,
    ) -> None:
        self.shape, self.pieces, self.dtype = shape, pieces, np.dtype(dtype)


def _columns(solver: BaseSolver, offset: int) -> Rows:
    """Return S (offset 0) or Y (1) of a solver, to be read a piece at a time."""
    k, n, entry = solver._pair_count, solver.n, solver._entry

    def pieces() -> Iterator[NDArray[Any]]:
        buffer = np.empty(min(n, _ROWS))
        for i in range(k):
            for first in range(0, n, _ROWS):
                part = buffer[: min(_ROWS, n - first)]
                solver._load_column(2 * i + offset, first, part)
                yield part.astype(entry, copy=False)

    return Rows((k, n), pieces, entry)


def _list(vectors: list[Vector], n: int) -> Rows:
    return Rows((len(vectors), n), lambda: map(np.ascontiguousarray, vectors))


def write_run(
    file: IO[bytes], solver: BaseSolver, extra: dict[str, Any] | None = None, **header: Any
) -> None:
    """Write a run as it stands, without a copy of its pairs.

    Parameters
    ----------
    file : binary file
    solver : BaseSolver
        Nobody changes it meanwhile.
    extra : dict, optional
        What `Memory` has beside the snapshot.
    **header
        ``kind``, and whatever else the header is to have.
    """
    counted = solver._begin_read()
    try:
        snapshot = {**solver._snapshot(copied=False), **(extra or {})}
        snapshot["S"], snapshot["Y"] = _columns(solver, 0), _columns(solver, 1)
        _write_snapshot(file, snapshot, result=_numbers_of(solver), **header)
    finally:
        solver._end_read(counted)


def write_result(file: IO[bytes], result: Result, memory: Memory) -> None:
    """Write a result; a solver that waits in its memory is not copied for that."""
    solver = memory._solver
    if solver is not None:
        write_run(file, solver, memory.extra, kind="run")
    else:
        numbers = {name: result[name] for name in _NUMBERS}
        _write_snapshot(file, memory.snapshot(), result=numbers | {"stopped": None}, kind="run")


_NUMBERS = (
    *("fun", "nfev", "njev", "nit", "status", "message", "success"),
    *("projected_gradient", "gradient_mismatch"),
)


def _numbers_of(solver: BaseSolver) -> dict[str, Any]:
    numbers = dict(zip(("status", "success", "message"), ending(solver), strict=True))
    why = solver._stop_reason
    stopped = None if why is None else [str(why), isinstance(why, Limit)]
    return {
        name: numbers[name] if name in numbers else getattr(solver, name) for name in _NUMBERS
    } | {"stopped": stopped}


def _write_snapshot(file: IO[bytes], snapshot: dict[str, Any], **header: Any) -> None:
    _check_names(snapshot)
    fields = {name: snapshot[name] for name in FIELDS if name in snapshot}
    n = snapshot["x"].size
    if "iterates" in snapshot:
        for name, vectors in zip("xg", snapshot["iterates"], strict=True):
            fields[f"iterates_{name}"] = _list(vectors, n)
    arrays = {
        name: value if isinstance(value, Rows) else _as_array(name, value)
        for name, value in fields.items()
        if value is not None
    }
    _write(
        file,
        arrays,
        n=n,
        options=snapshot["options"],
        differences=snapshot.get("differences"),
        **header,
    )


def write_batch(file: IO[bytes], snapshots: list[dict[str, Any]], **header: Any) -> None:
    """Write the snapshots of many problems of the same n."""
    arrays = {"pairs": np.array([s["S"].shape[0] for s in snapshots], _INT)}
    for snapshot in snapshots:
        _check_names(snapshot)
    for name, field in FIELDS.items():
        of = [i for i, snapshot in enumerate(snapshots) if snapshot.get(name) is not None]
        if not of:
            continue
        values = [_as_array(name, snapshots[i][name]).reshape(-1) for i in of]
        arrays[name] = np.concatenate(values)
        if len(of) < len(snapshots):
            arrays[f"{name}.of"] = np.array(of, _INT)
        if "*" in field.shape:
            arrays[f"{name}.sizes"] = np.array([value.size for value in values], _INT)
    _write(
        file,
        arrays,
        kind="batch",
        n=snapshots[0]["x"].size,
        options=snapshots[0]["options"],
        **header,
    )


def write_starts(file: IO[bytes], arrays: dict[str, Any], **header: Any) -> None:
    """Write the starts of a search and the ends of those that are over; arrays as in `STARTS`."""
    converted = {
        name: np.ascontiguousarray(arrays[name], field.dtype) for name, field in STARTS.items()
    }
    _write(file, converted, kind="multistart", **header)


def _write(file: IO[bytes], arrays: dict[str, Any], **header: Any) -> None:
    """Write the members of a file, the mark first and the header last."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as members:
        _put(members, file, _MARK, np.array(FORMAT, _INT))
        fields = {name: _put(members, file, name, array) for name, array in arrays.items()}
        header = {"format": FORMAT, "library": _library(), **header}
        header = dict(sorted(header.items())) | {"fields": fields}
        text = json.dumps(_finite(header), allow_nan=False, ensure_ascii=False, indent=1)
        _put(members, file, "header", np.frombuffer(text.encode(), np.uint8))


def _library() -> str:
    """Return the version of lbfgsb, which is imported when a module of it is, and imports none."""
    return str(sys.modules["lbfgsb"].__version__)


def _put(members: zipfile.ZipFile, file: IO[bytes], name: str, array: Any) -> dict[str, Any]:
    """Add one array; returns what the header says of it."""
    # With the date of no day, the same run makes the same file.
    info = zipfile.ZipInfo(f"{name}.npy")
    info.external_attr = 0o644 << 16
    with members.open(info, "w", force_zip64=True) as member:
        description = {
            "descr": np.lib.format.dtype_to_descr(array.dtype),
            "fortran_order": False,
            "shape": array.shape,
        }
        np.lib.format.write_array_header_1_0(member, description)
        begun = file.tell()
        for piece in array.pieces() if isinstance(array, Rows) else [array.reshape(-1)]:
            data = piece.view(np.uint8).data
            for first in range(0, len(data), _PIECE):
                member.write(data[first : first + _PIECE])
                end = file.tell()
                if end - begun >= _MUCH:
                    _durable.start_writing(file, begun, end)
                    begun = end
    return {
        "dtype": np.lib.format.dtype_to_descr(array.dtype),
        "shape": list(array.shape),
        "crc32": info.CRC,
    }


def _finite(value: Any) -> Any:
    """Return what JSON has for a value: it knows no infinity and no NaN."""
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    if isinstance(value, np.generic):
        value = value.item()
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


# --- reading ------------------------------------------------------------------------------


class Content(NamedTuple):
    """What a file has: its header, and the snapshot of a run, those of a batch, or the arrays of a
    multistart.
    """

    header: dict[str, Any]
    snapshots: list[dict[str, Any]]


def read(path: str) -> Content:
    """Read a file and check all of it.

    Raises
    ------
    OSError
        If it can't be read.
    CheckpointError
        If it is not what was written, or not to be understood.
    """
    _durable.check_regular(path)
    with open(path, "rb") as file:
        _check_begin(path, file)
        try:
            header, arrays = _members(path, file)
            if header["kind"] == "multistart":
                return Content(header, [_starts_of(header, arrays)])
            if header["kind"] == "batch":
                snapshots = _unstack(header, arrays)
            else:
                snapshots = [_snapshot(header, arrays)]
                _check_result(header["result"])
            for snapshot in snapshots:
                _check(snapshot, header["n"])
        except CheckpointError:
            raise
        except OSError as error:
            if error.errno != errno.EINVAL:  # a place in the file that can't be, say before it
                raise
            raise _altered(path, error) from error
        except _WRONG as error:
            raise _altered(path, error) from error
    return Content(header, snapshots)


# What comes of bytes that are not those that were written.
_WRONG = (
    *(zipfile.BadZipFile, zlib.error, ArithmeticError, AttributeError, EOFError, LookupError),
    *(MemoryError, NotImplementedError, RuntimeError, SyntaxError, TypeError, ValueError),
)


def _altered(path: str, error: Exception) -> CheckpointError:
    return CheckpointError(f"{path} has been altered: {error}")


def is_checkpoint(path: str) -> bool:
    """Return whether a file is a checkpoint, or what is left of one; it may be damaged."""
    with open(path, "rb") as file:
        try:
            _check_begin(path, file)
        except CheckpointError as error:
            return error.reason != "foreign"
    return True


def _check_begin(path: str, file: IO[bytes]) -> None:
    """Tell a file that is cut off from one that never was a checkpoint."""
    mark = f"{_MARK}.npy".encode()
    begin = file.read(_NAME_AT + len(mark))
    if (
        begin[: len(_BEGIN)] != _BEGIN[: len(begin)]
        or begin[_NAME_AT:] != mark[: max(0, len(begin) - _NAME_AT)]
    ):
        raise CheckpointError(f"{path} is no checkpoint of lbfgsb", "foreign")
    if not zipfile.is_zipfile(file):  # it has no end
        size = file.seek(0, os.SEEK_END)
        what = f"its {size} bytes are not all" if size else "it is empty"
        raise CheckpointError(f"{path} is truncated: {what}", "truncated")
    file.seek(0)


def _members(path: str, file: IO[bytes]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the header and the arrays of a file, with their checksums tested."""
    with zipfile.ZipFile(file) as members:
        version = int(_get(members, _MARK))
        try:
            header = json.loads(bytes(_get(members, "header")))
        except _WRONG:
            if version > FORMAT:
                header = {}
            else:
                raise
        if version > FORMAT:
            raise CheckpointError(
                f"{path} has format {version}, of lbfgsb {header.get('library', 'to come')}; this "
                f"is lbfgsb {_library()}, which reads formats up to {FORMAT}",
                "newer",
            )
        if version < 1 or header["format"] != version:
            raise ValueError(f"there is no format {version}")
        fields = header["fields"]
        names = [f"{_MARK}.npy", *(f"{name}.npy" for name in fields), "header.npy"]
        if members.namelist() != names:
            raise ValueError("it has other members than its header says")
        for name, said in fields.items():
            found = members.getinfo(f"{name}.npy").CRC
            if found != said["crc32"]:
                raise ValueError(f"the checksum of {name} is not the one in the header")
        return header, {name: _get(members, name) for name in fields}


def _get(members: zipfile.ZipFile, name: str) -> Any:
    """Read one array, which must fill its member; its checksum is tested at the end."""
    info = members.getinfo(f"{name}.npy")
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{name} is compressed")
    with members.open(info) as member:
        if np.lib.format.read_magic(member) != (1, 0):
            raise ValueError(f"{name} has another version of NumPy's format")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(member)
        size = dtype.itemsize * math.prod(shape)
        if dtype.hasobject or fortran or size != info.file_size - member.tell():
            raise ValueError(f"{name} is no array of the size of its member")
        array = np.empty(shape, dtype)
        data = array.reshape(-1).view(np.uint8).data
        for first in range(0, size, _PIECE):
            piece = member.read(min(_PIECE, size - first))
            data[first : first + len(piece)] = piece
        if member.read(1):
            raise ValueError(f"{name} is longer than its array")
    return array


def _snapshot(header: dict[str, Any], arrays: dict[str, Any]) -> dict[str, Any]:
    """Return the snapshot of a run from the members of its file."""
    n, k = header["n"], arrays["S"].shape[0]
    for name, array in arrays.items():
        if name not in FIELDS:
            raise ValueError(f"format {header['format']} has no field {name}")
        expected = _shape(FIELDS[name], n, k)
        if array.dtype not in _dtypes(FIELDS[name]) or len(array.shape) != len(expected) or any(
            size not in (None, got) for size, got in zip(expected, array.shape, strict=True)
        ):  # fmt: skip
            raise ValueError(f"{name} is an array of {array.dtype}, shape {array.shape}")
    return _from_arrays(header, arrays)


def _unstack(header: dict[str, Any], arrays: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the snapshots of a batch from the members of its file."""
    n, pairs = header["n"], arrays.pop("pairs")
    if pairs.dtype != _INT or pairs.ndim != 1 or not (pairs >= 0).all():
        raise ValueError("pairs are no numbers of pairs")
    each: list[dict[str, Any]] = [{} for _ in pairs]
    for name in [name for name in arrays if "." not in name]:
        field, array = FIELDS[name], arrays.pop(name)
        of = arrays.pop(f"{name}.of", None)
        sizes = arrays.pop(f"{name}.sizes", None)
        at = 0
        for j, i in enumerate(range(len(pairs)) if of is None else of.tolist()):
            shape = _shape(field, n, int(pairs[i]))
            if None in shape:
                if sizes is None:
                    raise ValueError(f"{name} has no sizes")
                shape = (int(sizes[j]),)  # there is no ragged field of more dimensions
            end = at + math.prod(shape)  # type: ignore[arg-type]
            each[i][name] = array[at:end].reshape(shape)
            at = end
        if array.dtype not in _dtypes(field) or array.shape != (at,):
            raise ValueError(f"{name} is an array of {array.dtype}, shape {array.shape}")
    if arrays:
        raise ValueError(f"format {header['format']} has no field {next(iter(arrays))}")
    return [_from_arrays(header, one) for one in each]


def _starts_of(header: dict[str, Any], arrays: dict[str, Any]) -> dict[str, Any]:
    """Return the starts of a search and what is known of them."""
    sizes: dict[str, int] = dict(zip(("N", "n"), arrays["starts"].shape, strict=True))
    if arrays.keys() != STARTS.keys():
        raise ValueError("it has not the members of a multistart")
    for name, (dtype, shape, *_) in STARTS.items():
        array = arrays[name]
        if array.dtype != dtype or array.shape != tuple(sizes[str(size)] for size in shape):
            raise ValueError(f"{name} is an array of {array.dtype}, shape {array.shape}")
    messages = header["message"]
    if len(messages) != sizes["N"] or not all(isinstance(each, str) for each in messages):
        raise ValueError("its messages are none")
    if not isinstance(header["options"], dict):
        raise ValueError("its options are none")
    if not isinstance(header["keep"], int) or not isinstance(header["x_tol"], float):
        raise ValueError("its keep or x_tol is no number")
    return arrays


def _from_arrays(header: dict[str, Any], arrays: dict[str, Any]) -> dict[str, Any]:
    """Return what `BaseSolver._restore` takes."""
    for name, field in FIELDS.items():
        if field.always and field.since <= header["format"] and name not in arrays:
            raise ValueError(f"it has no {name}")
    snapshot: dict[str, Any] = {"version": 1, "lower": None, "upper": None, "scale": None}
    for name, array in arrays.items():
        native = array.astype(array.dtype.newbyteorder("="), copy=False)
        if name in _TUPLES:
            snapshot[name] = tuple(native.tolist())
        elif name == "search":
            snapshot[name] = dict(zip(native.dtype.names, native.item(), strict=True))
        elif native.ndim == 0:
            snapshot[name] = native.item()
        else:
            snapshot[name] = native
    if "iterates_x" in snapshot:
        snapshot["iterates"] = tuple(list(snapshot.pop(f"iterates_{name}")) for name in "xg")
    if header.get("differences") is not None:
        snapshot["differences"] = str(header["differences"])
    snapshot["options"] = options_in(header)
    return snapshot


def options_in(header: dict[str, Any]) -> dict[str, Any]:
    """Return the options that a header has, as numbers."""
    return BEFORE | {name: _number(value) for name, value in header["options"].items()}


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, str) else value


_START, _TRIAL, _DONE = 0, 1, 3  # phases (src/solver.pxd)
_NO_STEP = 6  # the reason of a search that failed


def _check(snapshot: dict[str, Any], n: int) -> None:
    """Raise ValueError for what no run can have come to, and a solver must not be given."""

    def need(right: Any, what: str) -> None:
        if not right:
            raise ValueError(f"its {what} can't be")

    phase, at_end, reason = snapshot["phase"]
    need(0 <= phase <= _DONE and 0 <= at_end < _DONE and 0 <= reason < len(ENDS), "phase")
    pinned, *counts, fixed = snapshot["counts"]
    need(min(pinned, fixed, *counts) >= 0 and max(pinned, fixed) <= n >= 1, "counts")
    lower, upper, scale = (snapshot[name] for name in ("lower", "upper", "scale"))
    need((lower is None) == (upper is None), "bounds")
    need(lower is None or (lower <= upper).all(), "bounds")
    need(lower is not None or fixed == 0, "free variables")  # a solver without bounds has none
    x = snapshot["x"]
    need(lower is None or ((lower <= x) & (x <= upper)).all(), "x")
    need(snapshot["S"].dtype == snapshot["Y"].dtype, "pairs")
    need(("units" in snapshot) == (snapshot["S"].dtype == np.float32), "pairs")
    need(scale is None or ((scale > 0) & np.isfinite(scale)).all(), "scale")
    if keeps_products(snapshot["options"], n, lower is not None):
        need({"gram", "p"} <= snapshot.keys(), "Gram matrix")
        need(fixed == 0 or {"gram_free", "status"} <= snapshot.keys(), "free variables")
    describe(snapshot["monitor"])
    need(len({len(each) for each in snapshot.get("iterates", ([], []))}) == 1, "iterates")
    if phase == _TRIAL or (phase == _DONE and (at_end == _TRIAL or reason == _NO_STEP)):
        need({"search", "d"} <= snapshot.keys(), "line search")
        need(snapshot["search"]["alpha_x"] == 0 or "g_best" in snapshot, "line search")


def _check_result(said: dict[str, Any]) -> None:
    """Raise ValueError if the header's numbers of a run are none."""
    for name in _NUMBERS:
        if name != "message" and not isinstance(_number(said[name]), (int, float)):
            raise ValueError(f"its {name} is no number")
    if not isinstance(said["message"], str):
        raise ValueError("its message is no text")


def result_of(content: Content) -> Result:
    """Return the result that the file of a run has, a checkpoint as ever."""
    header, (snapshot,) = content
    memory = Memory(snapshot=snapshot)
    k, n = snapshot["S"].shape
    again = updates_again(snapshot["secant"], int(snapshot["options"]["extra_updates"]))
    said = {name: _number(header["result"][name]) for name in _NUMBERS if name != "message"}
    result = Result(
        x=snapshot["x"].copy(),
        fun=said["fun"],
        jac=snapshot["g"].copy(),
        nfev=said["nfev"],
        njev=said["njev"],
        nit=said["nit"],
        status=said["status"],
        message=header["result"]["message"],
        success=said["success"],
        hess_inv=LazyInvHessProduct(memory, n, k, again),
        projected_gradient=said["projected_gradient"],
        gradient_mismatch=said["gradient_mismatch"],
    )
    result.__dict__["_memory"] = memory
    return result


def why_stopped(said: list[Any] | None) -> str | None:
    """Return the reason of a callback that a header has."""
    if said is None:
        return None
    why, is_limit = said
    return Limit(why) if is_limit else str(why)


def wrong_kind(path: str, kind: str, expected: str) -> Never:
    """Raise the error for a file of something else."""
    words = {"run": "a run", "solver": "a Solver", "batch": "a batch", "multistart": "a multistart"}
    raise CheckpointError(
        f"{path} is the checkpoint of {words.get(kind, kind)}, not of {expected}", "other kind"
    )
