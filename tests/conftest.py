"""What holds for all tests."""

import importlib.util
from pathlib import Path

from hypothesis import settings

# An example that takes long is no failure: the machine may be busy.
settings.register_profile("lbfgsb", settings.default, deadline=None)
settings.load_profile("lbfgsb")

# The pieces of the core can be seen only in a build with -Dtests=true.
HAS_PIECES = importlib.util.find_spec("lbfgsb._core.testing") is not None
collect_ignore = (
    [] if HAS_PIECES else [path.name for path in Path(__file__).parent.glob("test_core_*")]
)


def pytest_report_header():
    if not HAS_PIECES:
        return "lbfgsb was built without -Dtests=true: test_core_* are left out"
    return "lbfgsb was built with -Dtests=true"
