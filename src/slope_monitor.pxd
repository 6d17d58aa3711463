"""Do the values of f and its slopes belong together? A monitor that costs nothing."""

cdef enum:
    WINDOW = 5               # the checks that count: the latest


ctypedef struct Check:
    double length            # of the segment, in multiples of the search direction
    double change            # of f over it
    double predicted         # what the slopes at its ends say that is
    double ratio             # their disagreement, in units of what curvature explains


ctypedef struct SlopeMonitor:
    double first             # f at the start of the first search
    double f                 # at the start of this one
    double visible           # changes of f below this, relative to f, are not looked at
    int seen                 # visible segments so far, at most ENOUGH
    int lost                 # trials at which f or its slope was not finite
    int alarms               # searches in a row after which the latest checks were bad
    int row                  # segments in a row of this search that were bad
    int before               # checks of earlier searches kept in `earlier`
    int now                  # checks of this search kept in `current`
    int head                 # where the next check goes in `earlier`, a ring
    Check earlier[WINDOW]
    Check current[WINDOW]    # oldest first


cdef void slope_monitor_begin(SlopeMonitor *m) noexcept nogil
cdef void slope_monitor_set_precision(SlopeMonitor *m, double precision) noexcept nogil
cdef void slope_monitor_search(SlopeMonitor *m, double f) noexcept nogil
cdef void slope_monitor_tell(SlopeMonitor *m, double length, double f0, double slope0, double f1,
                             double slope1) noexcept nogil
cdef int slope_monitor_alarms(const SlopeMonitor *m) noexcept nogil
cdef int slope_monitor_window(const SlopeMonitor *m, Check *window) noexcept nogil
cdef double slope_monitor_mismatch(const SlopeMonitor *m, double rounding) noexcept nogil
cdef list checks_of(const SlopeMonitor *m)
cdef object slope_monitor_save(const SlopeMonitor *m)
cdef int slope_monitor_load(SlopeMonitor *m, saved) except -1
