from typing import Literal

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

def all_finite(x: Vector) -> bool: ...
def kind_of_box(
    lower: Vector, upper: Vector
) -> Literal["bounded", "unbounded", "invalid"]: ...
