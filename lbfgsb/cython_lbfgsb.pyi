"""For ``cimport``: see cython_lbfgsb.pxd. In Python there is only the table of C functions."""

_c_table: object
