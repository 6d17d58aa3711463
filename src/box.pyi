from typing import Literal

import numpy as np
from numpy.typing import NDArray

_Vector = NDArray[np.float64]

def all_finite(x: _Vector) -> bool: ...
def kind_of_box(
    lower: _Vector, upper: _Vector
) -> Literal["bounded", "unbounded", "invalid"]: ...
