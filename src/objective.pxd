"""What a Python objective returns, as C numbers (floor 1)."""

cdef object new_vector(Py_ssize_t n)
cdef double *vector_data(object array) noexcept
cdef bint is_ours_alone(object array) noexcept
cdef double as_value(object value) except? -1.0
cdef object as_gradient(object g, Py_ssize_t n)
