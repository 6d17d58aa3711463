"""Every option of the algorithm: its default, its range, and one check of both for all doors.

What an option does is said where users read it: in `minimize_lbfgsb` and in lbfgsb.h.
"""
from libc.math cimport INFINITY

from lbfgsb._core.kernels cimport FEW


cdef Py_ssize_t default_maxcor(Py_ssize_t n) noexcept nogil:
    """As many pairs as suit n variables.

    The number of pairs limits memory and work. Where vectors are short there is neither to save,
    and more pairs save evaluations; of two variables six know all there is to know.
    """
    if n <= 2:
        return 6
    return 30 if n <= FEW else 10


cdef Py_ssize_t default_extra_updates(Py_ssize_t n, bint secant) noexcept nogil:
    """Of the pairs as many as pay; none in the plain algorithm, of the standard secant equation."""
    return min(2 * n, 10) if secant else 0


cdef int default_initial_scaling(Py_ssize_t n, bint secant) noexcept nogil:
    """Of two variables the pairs soon know all, whatever they update."""
    return DIAGONAL if secant and 2 < n <= FEW else SCALAR


cdef void default_options(Options *o) noexcept nogil:
    o.check, o.compact = False, False
    o.maxcor = 0
    o.ftol, o.gtol, o.ftarget = 1e-5, 1e-5, -INFINITY
    o.maxiter, o.maxfun, o.maxls = 50, 15000, 20
    o.max_steplength = 1e8
    o.ftol_linesearch, o.gtol_linesearch = 1e-3, 0.9
    o.xtol_linesearch = 0.1
    o.eps_SY = 2.2e-16
    o.threads = 1
    o.fun_precision = 0
    o.secant = 1
    o.pairs = FLOAT64
    o.extra_updates = -1
    o.initial_scaling = -1


cdef const char *wrong_option(const Options *o) noexcept nogil:
    """The name of the first option that is out of its range, NULL if all are in it."""
    if not 0 < o.ftol_linesearch < o.gtol_linesearch < 1:
        return 'ftol_linesearch'
    if not o.ftarget == o.ftarget:
        return 'ftarget'
    if not o.max_steplength > 0:
        return 'max_steplength'
    if not o.maxcor >= 0:
        return 'maxcor'
    if not o.ftol >= 0:
        return 'ftol'
    if not o.gtol >= 0:
        return 'gtol'
    if not o.maxiter >= 0:
        return 'maxiter'
    if not o.maxfun >= 0:
        return 'maxfun'
    if not o.maxls >= 1:
        return 'maxls'
    if not o.xtol_linesearch >= 0:
        return 'xtol_linesearch'
    if not o.eps_SY >= 0:
        return 'eps_SY'
    if not o.threads >= 0:
        return 'threads'
    if not 0 <= o.fun_precision < 1:
        return 'fun_precision'
    if not 0 <= o.secant <= 1:
        return 'secant'
    if o.pairs != FLOAT64 and o.pairs != FLOAT32:
        return 'pairs'
    if not o.extra_updates >= -1:
        return 'extra_updates'
    if not -1 <= o.initial_scaling <= DIAGONAL:
        return 'initial_scaling'
    return NULL


# The ranges of wrong_option in words.
EXPECTED = {
    'maxcor': 'at least 1',
    'ftol': '>= 0',
    'gtol': '>= 0',
    'ftarget': 'a number',
    'maxiter': 'at least 0',
    'maxfun': 'at least 0',
    'maxls': 'at least 1',
    'max_steplength': 'positive',
    'ftol_linesearch': '0 < ftol_linesearch < gtol_linesearch < 1',
    'xtol_linesearch': '>= 0',
    'eps_SY': '>= 0',
    'threads': "at least 1, or 'auto'",
    'fun_precision': '>= 0 and < 1',
    'secant': "'modified' or 'standard'",
    'pairs': "'float64' or 'float32'",
    'extra_updates': 'at least 0',
    'initial_scaling': "'diagonal' or 'scalar'",
}


def defaults():
    """Return every option's default, by name."""
    cdef Options o
    default_options(&o)
    return o


cdef class CheckedOptions:
    """Options that are in their ranges. The core copies the struct, and nobody a field.

    Parameters
    ----------
    values : dict
        Every option by name, as a number of its type.

    Raises
    ------
    ValueError
        With the name of the option that is out of its range as its only argument.
    """

    def __init__(self, dict values):
        cdef const char *wrong
        self.options = values
        wrong = wrong_option(&self.options)
        if wrong != NULL:
            raise ValueError(wrong.decode())

    def __getitem__(self, str name):
        """Return the value of one option."""
        return self.values()[name]

    def values(self):
        """Return every option by name."""
        return self.options

    def __reduce__(self):
        return CheckedOptions, (self.values(),)


def same_objects(tuple a, tuple b):
    """Return whether two tuples hold the same objects: those of equal value may differ in type."""
    cdef Py_ssize_t i
    if len(a) != len(b):
        return False
    for i in range(len(a)):
        if a[i] is not b[i]:
            return False
    return True
