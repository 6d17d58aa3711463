"""The compiled core, built from ``src/``; private but for ``lbfgsb.cython_lbfgsb``."""
