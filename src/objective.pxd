"""What an objective returns, as C numbers; a compiled objective."""

# Sets f[0] and g (n,) at x (n,); anything but 0 ends the run.
ctypedef int (*CompiledFunction)(Py_ssize_t n, const double *x, double *f, double *g,
                                 void *data) noexcept nogil

cdef object new_vector(Py_ssize_t n)
cdef object new_matrix(Py_ssize_t rows, Py_ssize_t columns)
cdef double *vector_data(object array) noexcept
cdef bint is_fresh_vector(object array, Py_ssize_t n) noexcept
cdef bint is_fresh_matrix(object array, Py_ssize_t rows, Py_ssize_t columns) noexcept
cdef double precision_of(object value) except? -1.0
cdef double as_value(object value) except? -1.0
cdef object as_gradient(object g, Py_ssize_t n)


cdef class CompiledObjective:
    cdef CompiledFunction fun
    cdef void *data
    cdef object owner        # keeps the function and its data alive
