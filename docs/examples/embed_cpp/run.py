"""A box that cuts an ellipsoid, one that doesn't, and two errors that cross C code."""

from nearest import nearest

x, f, iterations, message = nearest([1.0, 2.0, 3.0], [0.5, 0.5, 0.5], [0.0] * 3, [5.0] * 3)
assert f < 1e-15, f
assert abs(x[0] ** 2 + (x[1] / 2) ** 2 + (x[2] / 3) ** 2 - 1) < 1e-7
assert iterations > 0
assert message.startswith("CONVERGENCE"), message

x, f, iterations, message = nearest([1.0, 2.0, 3.0], [0.1] * 3, [0.0] * 3, [0.3] * 3)
assert x == [0.3] * 3, x  # the corner of the box, to the last bit
assert message.startswith("CONVERGENCE"), message


def error_of(*arguments):
    """Return what the error says."""
    try:
        nearest(*arguments)
    except ValueError as error:
        return str(error)
    return "no error"


assert error_of([0.0], [0.5], [0.0], [1.0]) == "an axis is 0"
assert error_of([1.0], [0.5], [2.0], [1.0]).startswith("ERROR: BOUNDS MUST SATISFY L <= U")
print("ok")
