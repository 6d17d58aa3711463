from collections.abc import Callable
from typing import Any

from lbfgsb._core.base_solver import BaseSolver
from lbfgsb._core.objective import CompiledObjective
from lbfgsb._core.recorder import Recorder
from typing_extensions import disjoint_base

@disjoint_base
class Objective:
    def __init__(self, fun: Callable[..., Any], jac: Any, numerical: bool = False) -> None: ...

def run(
    solver: BaseSolver,
    objective: Objective | CompiledObjective,
    on_start: Callable[[], None] | None = None,
    redefine: Callable[[], None] | None = None,
    on_iterate: Callable[[], bool] | None = None,
    recorders: tuple[Recorder, ...] = (),
) -> None: ...
def run_iterations(
    solver: BaseSolver, objective: Objective | CompiledObjective, iterations: int
) -> None: ...
