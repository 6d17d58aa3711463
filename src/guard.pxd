"""One hand at a time in a solver that threads share."""

ctypedef struct Guard:
    unsigned long owner      # the thread that changes the solver or drives its run; 0: none
    int at_rest              # the owner waits for the objective or a callback: reading is safe
    int open                 # it waits for a callback, which may change the solver
    int readers              # other threads that copy from the solver now

cdef bint guard_enter(Guard *g) except -1
cdef void guard_leave(Guard *g, bint nested) noexcept
cdef void guard_rest(Guard *g, bint open) noexcept
cdef void guard_resume(Guard *g) noexcept
cdef bint guard_read(Guard *g) except -1
cdef void guard_end_read(Guard *g, bint counted) noexcept
