from collections.abc import Container
from typing import Any

import numpy as np
from lbfgsb._core.objective import CompiledObjective
from lbfgsb._core.options import CheckedOptions
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Indices = NDArray[np.intp]

class Lockstep:
    count: int
    n: int
    running: int
    rounds: int
    def __init__(
        self,
        x0: Vector,
        lower: Vector | None,
        upper: Vector | None,
        options: CheckedOptions,
        x_scale: Vector | None,
    ) -> None: ...
    def ask(self) -> Vector: ...
    def rows(self) -> Indices: ...
    def set_precision(self, precision: float) -> None: ...
    def tell(self, F: Vector, G: Vector) -> None: ...
    def stop(self, which: NDArray[np.uint8]) -> None: ...
    def stop_unanswered(self) -> None: ...
    def state(self) -> dict[str, Any]: ...
    @property
    def options(self) -> dict[str, Any]: ...
    def snapshots(self) -> list[dict[str, Any]]: ...
    def restore(self, all: list[dict[str, Any]], rounds: int, ended: Container[int]) -> None: ...

def solve_compiled(
    objective: CompiledObjective,
    data: Indices | None,
    x0: Vector,
    lower: Vector | None,
    upper: Vector | None,
    options: CheckedOptions,
    x_scale: Vector | None,
) -> dict[str, Any]: ...
