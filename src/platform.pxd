"""What differs between systems; see platform.h."""

cdef extern from "platform.h" nogil:
    void *platform_allocate(size_t size, size_t alignment)
    void platform_free(void *block)
    void platform_advise_huge_pages(void *block, size_t size)
    double platform_seconds()
    double platform_coarse_seconds()
    long platform_process()
    void platform_yield()
    void platform_sleep(int milliseconds)
    const int PLATFORM_OPENMP
    const char *PLATFORM_COMPILER
    int platform_try_threads(int count)
    int platform_processors()
    Py_ssize_t platform_load(Py_ssize_t *p)
    void platform_store(Py_ssize_t *p, Py_ssize_t value)
    Py_ssize_t platform_add(Py_ssize_t *p, Py_ssize_t value)
