from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

MISMATCH_ALARM: float
FIELDS: tuple[str, ...]

class _Description(TypedDict):
    first_f: float
    lost: int
    alarms: int
    checks: list[tuple[float, float, float]]

def describe(saved: NDArray[np.float64]) -> _Description: ...
