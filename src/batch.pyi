from collections.abc import Container
from typing import Any

import numpy as np
from lbfgsb._core.objective import CompiledObjective
from lbfgsb._core.options import CheckedOptions
from numpy.typing import NDArray
from typing_extensions import disjoint_base

_Vector = NDArray[np.float64]
_Indices = NDArray[np.intp]

@disjoint_base
class Lockstep:
    count: int
    n: int
    running: int
    rounds: int
    def __new__(
        cls,
        x0: _Vector,
        lower: _Vector | None,
        upper: _Vector | None,
        options: CheckedOptions,
        x_scale: _Vector | None,
        compiled: bool = ...,
    ) -> Any: ...
    def ask(self) -> _Vector: ...
    def rows(self) -> _Indices: ...
    def set_precision(self, precision: float) -> None: ...
    def tell(self, F: _Vector, G: _Vector) -> None: ...
    def stop(self, which: NDArray[np.uint8]) -> None: ...
    def stop_unanswered(self) -> None: ...
    def state(self) -> dict[str, Any]: ...
    @property
    def options(self) -> dict[str, Any]: ...
    def snapshots(self) -> list[dict[str, Any]]: ...
    def restore(self, all: list[dict[str, Any]], rounds: int, ended: Container[int]) -> None: ...

def new_results(count: int, n: int) -> dict[str, Any]: ...
def solve_compiled(
    objective: CompiledObjective,
    data: _Indices | None,
    x0: _Vector,
    lower: _Vector | None,
    upper: _Vector | None,
    options: CheckedOptions,
    x_scale: _Vector | None,
) -> dict[str, Any]: ...
def run_compiled(
    problems: Lockstep, objective: CompiledObjective, data: _Indices | None, seconds: float
) -> None: ...
