"""What holds for all tests."""

from hypothesis import settings

# An example that takes long is no failure: the machine may be busy.
settings.register_profile("lbfgsb", settings.default, deadline=None)
settings.load_profile("lbfgsb")
