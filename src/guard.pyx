"""Who may touch a solver: one thread changes it, others may look while it is at rest.

Whoever changes a solver holds it; a second thread that would change it meanwhile gets an error, and
so does an objective that would change the solver it answers. While the objective or a callback has
the word the solver is at rest: any thread may copy from it then, and the callback, in the thread
that drives the run, may change it. Going on waits for those who copy.

With the GIL these are plain numbers, changed by whoever has it. Without, the order in which two
threads see each other's stores matters (each stores first, then looks), hence sequentially
consistent atomics.
"""
from cpython.pythread cimport PyThread_get_thread_ident

from lbfgsb._core.platform cimport platform_yield

cdef extern from *:
    """
    #include "platform.h"
    #ifdef Py_GIL_DISABLED
    #define guard_load(p) platform_load(p)
    #define guard_store(p, v) platform_store(p, v)
    #define guard_add(p, v) ((void)platform_add(p, v))
    #define guard_take(p, mine) platform_take(p, mine)
    #else
    #define guard_load(p) (*(p))
    #define guard_store(p, v) (*(p) = (v))
    #define guard_add(p, v) ((void)(*(p) += (v)))
    #define guard_take(p, mine) (*(p) ? 0 : (*(p) = (mine), 1))
    #endif
    """
    unsigned long guard_load(unsigned long *p) noexcept nogil
    int guard_load_int "guard_load"(int *p) noexcept nogil
    void guard_store(unsigned long *p, unsigned long value) noexcept nogil
    void guard_store_int "guard_store"(int *p, int value) noexcept nogil
    void guard_add(int *p, int value) noexcept nogil
    bint guard_take(unsigned long *p, unsigned long mine) noexcept nogil


cdef bint guard_enter(Guard *g) except -1:
    """Hold the solver for a change; True if this thread's own callback makes it.

    Raises
    ------
    RuntimeError
        If another thread holds it, or this one's objective asks.
    """
    cdef unsigned long me = PyThread_get_thread_ident()
    if guard_take(&g.owner, me):
        guard_resume(g)
        return False
    if guard_load(&g.owner) != me:
        raise RuntimeError('the solver is in use by another thread')
    if not g.open:
        raise RuntimeError('the solver is in use: its objective must not change it')
    guard_resume(g)
    return True


cdef void guard_leave(Guard *g, bint nested) noexcept:
    """Let go of it; `nested` is what guard_enter returned."""
    if nested:
        guard_rest(g, True)
    else:
        guard_store(&g.owner, 0)


cdef void guard_rest(Guard *g, bint open) noexcept:
    """The objective has the word, or if `open` a callback that may change the solver."""
    g.open = open
    guard_store_int(&g.at_rest, True)


cdef void guard_resume(Guard *g) noexcept:
    """The owner has the word again."""
    g.open = False
    guard_store_int(&g.at_rest, False)
    while guard_load_int(&g.readers) > 0:
        with nogil:
            platform_yield()


cdef bint guard_read(Guard *g) except -1:
    """Begin to copy; what is returned goes to guard_end_read.

    Raises
    ------
    RuntimeError
        If another thread is at work in the solver.
    """
    cdef unsigned long owner
    if guard_load(&g.owner) == PyThread_get_thread_ident():
        return False
    guard_add(&g.readers, 1)
    owner = guard_load(&g.owner)
    if owner != 0 and not guard_load_int(&g.at_rest):
        guard_add(&g.readers, -1)
        raise RuntimeError('the solver is in use by another thread')
    return True


cdef void guard_end_read(Guard *g, bint counted) noexcept:
    """The copy is made."""
    if counted:
        guard_add(&g.readers, -1)
