"""Arrays for a Python objective, and what it returns as C numbers.

The common case costs nothing: a Python float, and a contiguous array of float64, are used as they
are. Everything else that is real and of the right size is converted; the rest is an error that
names what came.
"""
cimport numpy as cnp
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_Check, PyFloat_CheckExact
from cpython.object cimport PyObject
from cpython.pycapsule cimport PyCapsule_GetContext, PyCapsule_GetName, PyCapsule_GetPointer
from libc.math cimport INFINITY, NAN, isfinite

import reprlib

import numpy as np

cnp.import_array()

# Every int up to this is a double.
cdef object EXACT = 2**53

cdef extern from *:
    """
    /* Nobody else holds the array: only then may its memory be written again. Without the GIL a
       count of one is no proof, since another thread may be about to take a reference. */
    #ifdef Py_GIL_DISABLED
    #define LBFGSB_ALONE(o) 0
    #else
    #define LBFGSB_ALONE(o) (Py_REFCNT(o) == 1)
    #endif
    """
    bint LBFGSB_ALONE(PyObject *o) noexcept


cdef object new_vector(Py_ssize_t n):
    """An uninitialised array of float64, shape (n,)."""
    cdef cnp.npy_intp size = n
    return cnp.PyArray_EMPTY(1, &size, cnp.NPY_FLOAT64, 0)


cdef object new_matrix(Py_ssize_t rows, Py_ssize_t columns):
    """An uninitialised array of float64, shape (rows, columns), C-contiguous."""
    cdef cnp.npy_intp[2] shape
    shape[0], shape[1] = rows, columns
    return cnp.PyArray_EMPTY(2, shape, cnp.NPY_FLOAT64, 0)


cdef double *vector_data(object array) noexcept:
    return <double *>cnp.PyArray_DATA(<cnp.ndarray>array)


cdef inline bint is_plain(object array, int ndim) noexcept:
    """Is it a contiguous array of float64, of no subclass?"""
    return (cnp.PyArray_CheckExact(array)
            and cnp.PyArray_TYPE(<cnp.ndarray>array) == cnp.NPY_FLOAT64
            and cnp.PyArray_NDIM(<cnp.ndarray>array) == ndim
            and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>array))


cdef inline bint is_ours_alone(object array) noexcept:
    """May its memory be written: has nobody else a reference to `array`, or locked it?"""
    return LBFGSB_ALONE(<PyObject *>array) and cnp.PyArray_ISCARRAY(<cnp.ndarray>array)


# An objective can give its x another shape, type or size, or make it read-only. What is used again
# is as it was made.

cdef bint is_fresh_vector(object array, Py_ssize_t n) noexcept:
    """Is `array` as new_vector(n) made it, and the caller's alone?"""
    return (is_plain(array, 1) and cnp.PyArray_DIM(<cnp.ndarray>array, 0) == n
            and is_ours_alone(array))


cdef bint is_fresh_matrix(object array, Py_ssize_t rows, Py_ssize_t columns) noexcept:
    """Is `array` as new_matrix(rows, columns) made it, and the caller's alone?"""
    return (is_plain(array, 2) and cnp.PyArray_DIM(<cnp.ndarray>array, 0) == rows
            and cnp.PyArray_DIM(<cnp.ndarray>array, 1) == columns and is_ours_alone(array))


# The spacing of the numbers next to 1, of types that are narrower than double.
NARROW = {'float32': 2.0**-23, 'float16': 2.0**-10, 'bfloat16': 2.0**-7}


cdef double precision_of(object value) except? -1.0:
    """The relative precision of what an objective returned; 0 where the type says nothing."""
    if PyFloat_Check(value) or (cnp.PyArray_CheckExact(value)
                                and cnp.PyArray_TYPE(<cnp.ndarray>value) == cnp.NPY_FLOAT64):
        return 0
    return find_precision(value)


def find_precision(value):
    """Return the spacing at 1 of a narrow type of floating-point numbers, 0 for any other.

    >>> from lbfgsb._core.objective import find_precision
    >>> import numpy as np
    >>> find_precision(np.float32(1)) == np.finfo(np.float32).eps, find_precision([1.0])
    (True, 0.0)
    """
    dtype = getattr(value, 'dtype', None)
    if dtype is None and hasattr(value, '__array__'):
        dtype = np.asarray(value).dtype
    elif dtype is None and hasattr(value, '__dlpack__'):
        dtype = np.from_dlpack(value).dtype
    name = getattr(dtype, 'name', None)    # torch.float32 has none but that of its repr
    return NARROW.get(str(dtype).rpartition('.')[2] if name is None else str(name), 0.0)


cdef double as_value(object value) except? -1.0:
    """f as a double: any real scalar, or an array of one element."""
    if PyFloat_Check(value):    # np.float64 is one
        return PyFloat_AS_DOUBLE(value)
    return convert_value(value)


def convert_value(value, must='fun must return'):
    """Return f as a float, or raise; `must` begins the message.

    >>> from lbfgsb._core.objective import convert_value
    >>> import numpy as np
    >>> convert_value(np.array([[2]])), convert_value(np.float32(0.5))
    (2.0, 0.5)
    """
    try:
        shape = np.shape(value) if not isinstance(value, (str, bytes)) else ()
    except ValueError as error:    # lists of different lengths, say
        raise ValueError(f'{must} a scalar or an array of one element; '
                         f'got {describe(value)}') from error
    size = int(np.prod(shape))
    if size != 1:
        raise ValueError(f'{must} a scalar or an array of one element; '
                         f'got an array of shape {shape}')
    if shape:
        value = np.asarray(value).reshape(-1)[0]
    if isinstance(value, np.ndarray):
        value = value[()]
    if isinstance(value, (str, bytes)) or np.iscomplexobj(value):
        raise TypeError(f'{must} a real number; got {describe(value)}')
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f'{must} a real number; got {describe(value)}') from error


cdef object as_gradient(object g, Py_ssize_t n):
    """g as a contiguous array of float64 with n elements: itself if it is one already."""
    if is_plain(g, 1) and cnp.PyArray_DIM(<cnp.ndarray>g, 0) == n:
        return g
    return convert_gradient(g, n)


def convert_gradient(g, Py_ssize_t n):
    """Return the gradient as a contiguous array of float64, shape (n,), or raise.

    >>> from lbfgsb._core.objective import convert_gradient
    >>> convert_gradient([[1], [2]], 2)
    array([1., 2.])
    """
    if g is None:
        raise TypeError('the gradient must be an array of real numbers; got None')
    array = np.asarray(g)
    if array.shape != (n,) and array.shape != (n, 1) and not (n == 1 and array.ndim == 0):
        raise ValueError(f'the gradient must have shape ({n},), as x has; got {array.shape}')
    if array.dtype.kind not in 'biufO':
        raise TypeError(f'the gradient must be real; got an array of {array.dtype}')
    if array.dtype.kind == 'O' and any(map(np.iscomplexobj, array.flat)):
        raise TypeError('the gradient must be real; got complex numbers')
    try:
        array = np.asarray(array, dtype=np.float64).reshape(n)
    except (TypeError, ValueError) as error:
        raise TypeError('the gradient must be an array of real numbers; '
                        f'got {describe(g)}') from error
    return np.require(array, np.float64, ['C', 'A'])


# What a message may spend on a value that the user gave.
cdef Py_ssize_t LONGEST = 80
REPR = reprlib.Repr()
REPR.maxother = REPR.maxstring = 60


def quote(value):
    """Return `value` for a message, however large it is: an array by its type and shape.

    >>> from lbfgsb._core.objective import quote
    >>> quote('a'), quote(3), quote(dict), quote(np.zeros(900))
    ("'a'", '3', 'the class dict', 'an array of dtype float64 and shape (900,)')
    """
    if isinstance(value, type):
        return f'the class {value.__name__}'
    if isinstance(value, np.ndarray):
        return f'an array of dtype {value.dtype} and shape {value.shape}'
    text = ' '.join(REPR.repr(value).split())
    return text if len(text) <= LONGEST else f'{text[:LONGEST - 3]}...'


def describe(value):
    """Return the type of `value` and the value, as short as `quote` makes it.

    >>> from lbfgsb._core.objective import describe
    >>> describe('a'), describe(None), describe(dict)
    ("str 'a'", 'NoneType', 'the class dict')
    """
    if value is None:
        return 'NoneType'
    text = quote(value)
    return text if isinstance(value, (type, np.ndarray)) else f'{type(value).__name__} {text}'


cdef class CompiledObjective:
    """A compiled function that gives f and g without the GIL.

    Parameters
    ----------
    capsule : PyCapsule
        Points to the function, a `CompiledFunction`: the caller has made sure of that. Its context
        is the `data` that the function gets.
    owner : object
        Kept as long as this object: function and data must live as long.
    """

    def __init__(self, capsule, owner):
        self.fun = <CompiledFunction>PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule))
        self.data = PyCapsule_GetContext(capsule)
        self.owner = owner

    def __call__(self, x):
        """Return f and the gradient at x, an array of float64 of shape (n,)."""
        cdef Py_ssize_t n = x.size
        cdef double f = NAN
        cdef int stopped
        point, g = new_vector(n), new_vector(n)
        point[:], g[:] = x, NAN
        cdef double *to_x = vector_data(point)
        cdef double *to_g = vector_data(g)
        with nogil:
            stopped = self.fun(n, to_x, &f, to_g, self.data)
        if stopped:
            raise StopIteration('the compiled objective returned a value that is not zero')
        return f, g


# --- a start and bounds that need no conversion: many small problems are glad of it --------


def is_plain_start(x):
    """Return whether x is a vector of float64, contiguous, aligned, finite and not empty."""
    cdef const double *values
    cdef bint finite = True
    cdef Py_ssize_t i, n
    if not (cnp.PyArray_CheckExact(x) and cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT64
            and cnp.PyArray_NDIM(x) == 1 and cnp.PyArray_ISCARRAY_RO(x)):
        return False
    values, n = <const double *>cnp.PyArray_DATA(x), cnp.PyArray_SIZE(x)
    with nogil:
        for i in range(n):
            finite = finite and isfinite(values[i])
    return finite and n > 0


def plain_pairs(bounds, Py_ssize_t n):
    """Return the lower and upper bounds, each (n,), of a list of n pairs of float, int and None.

    None if `bounds` is anything else: what may be right all the same is for others to find out.
    """
    cdef Py_ssize_t i
    cdef double *low
    cdef double *high
    if type(bounds) is not list or len(<list>bounds) != n:
        return None
    lower, upper = new_vector(n), new_vector(n)
    low, high = vector_data(lower), vector_data(upper)
    for i in range(n):
        pair = (<list>bounds)[i]
        if type(pair) is not tuple or len(<tuple>pair) != 2:
            return None
        if not (set_bound(&low[i], (<tuple>pair)[0], -INFINITY)
                and set_bound(&high[i], (<tuple>pair)[1], INFINITY)):
            return None
    return lower, upper


cdef bint set_bound(double *bound, value, double no_bound) except -1:
    """False if `value` is no float, no int that a double holds, and not None."""
    if value is None:
        bound[0] = no_bound
    elif PyFloat_CheckExact(value):
        bound[0] = PyFloat_AS_DOUBLE(value)
    elif type(value) is int and -EXACT <= value <= EXACT:
        bound[0] = value
    else:
        return False
    return True
