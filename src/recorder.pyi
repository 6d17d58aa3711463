from typing import Any

import numpy as np
from lbfgsb._core.base_solver import BaseSolver
from numpy.typing import NDArray
from typing_extensions import disjoint_base

_Vector = NDArray[np.float64]

@disjoint_base
class Table:
    dtype: np.dtype[Any]
    width: int
    length: int
    def __init__(self, dtype: np.dtype[Any], width: int, rows: Any = None) -> None: ...
    def rows(self) -> Any: ...
    def first(self, length: int) -> Table: ...

@disjoint_base
class Recorder:
    x_every: int
    bounds_every: int
    def __init__(self, x_every: int = 0, bounds_every: int = 0) -> None: ...
    def _record(self, solver: BaseSolver) -> None: ...
    def _append(
        self,
        nit: int,
        nfev: float,
        njev: float,
        f: float,
        projected_gradient: float,
        steplength: float,
        active_bounds: float,
        x: Any,
    ) -> None: ...
    def _begin(self, solver: BaseSolver) -> None: ...
    def _tables(
        self,
    ) -> tuple[_Vector, _Vector | None, _Vector | None, NDArray[np.int8] | None]: ...
    def __len__(self) -> int: ...
    def copy(self) -> Any: ...
