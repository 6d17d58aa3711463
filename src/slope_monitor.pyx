"""Do the values of f and its slopes belong together? Every trial of a line search can tell.

Over a segment of length h along the search direction, with f and its slope at both ends,

    f1 - f0 = h (slope0 + slope1) / 2 - h³ f''' / 12

somewhere in between (the trapezoidal rule, Hermite's error term). If the slopes are not those of
f, the difference e of the two sides is of the order of h instead, however short the segment is. So
what h³ f''' can be must be known, with no other evaluation. The yardstick is h slope1: a
quasi-Newton step aims at slope1 = 0 with the curvature it knows, and misses it because the
curvature changes. With the right curvature at the start and a constant f''' the miss is
h slope1 = h³ f''' / 2, that is, e = h slope1 / 6; a function that is flat at its minimiser, like
x⁴, gives e = h slope1 / 6.4 at each of its Newton steps. A step whose slope1 happens to be nothing
is measured by a tenth of the change of f itself.

A check is one such segment, from a trial to the nearer end of the interval of the line search. What
it says is used only if

- the change, foreseen or seen, is well above the rounding errors of f (`VISIBLE`, relative to f;
  `TRIFLE`, relative to what the run has gained; and those that the rounding of x makes in f, which
  the caller tells);
- it does not look like a kink: between slopes of opposite signs, a change of f between what each of
  them foretells is that of some convex function, however sharply it bends; beside the point of a
  cone a segment ends flat (`FLAT`), and its change is some five eighths of what the steep end
  foretells (`CONE_LEAST`, `CONE_MOST`) where a parabola's is a half;
- no segment of the same search is much shorter: f' may wiggle at will over a long one, and when the
  steps shrink the right gradient comes to agree, the wrong one does not (`FINEST`).

The mismatch is the median over the latest five checks. A few bad ones come by on curved ways with
the right gradient too; `alarms` counts the searches in a row after which at least four of the
latest five were bad. A single search does it with eight bad segments in a row and no good one after
them. `tools/gradient_monitor.py` shows on CUTEst
what these rules and numbers do with right and wrong gradients.
"""
from libc.math cimport NAN, fabs, isfinite, isnan

import numpy as np

cdef enum:
    ENOUGH = 3               # fewer segments say nothing
    LONG_ROW = 8             # of bad segments in one search
    MANY = 1000              # alarms are not counted further

# Of a check, in the order in which they are saved.
FIELDS = ('length', 'change', 'predicted', 'ratio')

# A ratio above this is bad, and a median of them above it hardly curvature:
# tools/gradient_monitor.py shows why.
MISMATCH_ALARM = 0.35
cdef double BAD = MISMATCH_ALARM
# A change of f below this, relative to f, is not looked at; nor is one of less than so many units
# of the precision of f,
cdef double VISIBLE = 5e-7
cdef double UNITS = 100
# nor is one below this, relative to the decrease of f since the first search.
cdef double TRIFLE = 5e-10
# Segments of one search are used up to this multiple of the shortest.
cdef double FINEST = 4
# An end of a segment is flat with a slope of this part of that at the other; then a change of f
# between these parts of what that slope foretells is like that of a cone.
cdef double FLAT = 0.25
cdef double CONE_LEAST = 0.51
cdef double CONE_MOST = 0.8
# What disagrees less is explained by a slope that is 0 by luck, relative to the change of f.
cdef double LUCKY = 0.1

cdef void slope_monitor_begin(SlopeMonitor *m) noexcept nogil:
    """Nothing is known."""
    m.seen = m.lost = m.alarms = m.row = m.before = m.now = m.head = 0
    m.first = m.f = NAN
    m.visible = VISIBLE


cdef void slope_monitor_set_precision(SlopeMonitor *m, double precision) noexcept nogil:
    """Set the relative precision of f."""
    m.visible = max(VISIBLE, UNITS * precision)


cdef void slope_monitor_search(SlopeMonitor *m, double f) noexcept nogil:
    """Begin a line search at a point where f is known; the last one belongs to the past."""
    cdef int i
    if m.alarms > 0 or not ends_well(m):
        m.alarms = slope_monitor_alarms(m)
    for i in range(m.now):
        m.earlier[m.head] = m.current[i]
        m.head = m.head + 1 if m.head + 1 < WINDOW else 0
    m.before = min(m.before + m.now, <int>WINDOW)
    m.now = m.row = 0
    m.f = f
    if isnan(m.first):
        m.first = f


cdef bint ends_well(const SlopeMonitor *m) noexcept nogil:
    """Are the two latest checks good, and those of this search that came before them no alarm?

    That is the common case, and tells without a look at the others that there is no alarm.
    """
    cdef int last = m.head - 1 if m.head > 0 else WINDOW - 1
    return (m.now == 1 and m.before > 0 and m.row == 0
            and not m.earlier[last].ratio > BAD)


cdef int slope_monitor_alarms(const SlopeMonitor *m) noexcept nogil:
    """`alarms`, with the search under way."""
    cdef int i, good = 0
    if m.row >= LONG_ROW:
        return MANY
    if window_size(m) < WINDOW:
        return 0
    for i in range(WINDOW):
        good += not in_window(m, i).ratio > BAD
        if good > 1:
            return 0
    return min(m.alarms + 1, <int>MANY)


cdef void slope_monitor_tell(SlopeMonitor *m, double length, double f0, double slope0, double f1,
                             double slope1) noexcept nogil:
    """Take f and slope at both ends of a segment; end 1 is the new trial, length its signed
    distance from end 0."""
    cdef Check check
    cdef double at0 = length * slope0, at1 = length * slope1, visible, size
    if not (isfinite(f1) and isfinite(slope1)):
        m.lost += 1
        return
    if length == 0:
        return
    check.length = fabs(length)
    check.change = f1 - f0
    check.predicted = 0.5 * (at0 + at1)
    size = size_of(&check)
    visible = max(m.visible * max(fabs(f0), fabs(f1)), TRIFLE * (m.first - m.f))
    if not (visible < size and isfinite(size)):
        return
    check.ratio = fabs(check.change - check.predicted) / max(fabs(at1), LUCKY * size)
    if check.ratio > BAD and like_a_kink(check.change, at0, at1):
        return
    m.seen = min(m.seen + 1, <int>ENOUGH)
    m.row = m.row + 1 if check.ratio > BAD else 0
    drop_longer(m, FINEST * check.length)
    if m.now == 0 or check.length <= FINEST * shortest(m):
        append(m, check)


cdef bint like_a_kink(double change, double at0, double at1) noexcept nogil:
    """Can a kink, or the point of a cone, in the segment explain this change of f?"""
    cdef double most = at0 if fabs(at0) > fabs(at1) else at1
    if (at0 < 0) != (at1 < 0):
        return min(at0, at1) <= change <= max(at0, at1)
    return (min(fabs(at0), fabs(at1)) <= FLAT * fabs(most)
            and CONE_LEAST * fabs(most) <= change * (1 if most > 0 else -1)
            <= CONE_MOST * fabs(most))


cdef double size_of(const Check *check) noexcept nogil:
    return max(fabs(check.change), fabs(check.predicted))


cdef void drop_longer(SlopeMonitor *m, double length) noexcept nogil:
    cdef int i, kept = 0
    for i in range(m.now):
        if m.current[i].length <= length:
            m.current[kept] = m.current[i]
            kept += 1
    m.now = kept


cdef double shortest(const SlopeMonitor *m) noexcept nogil:
    cdef double length = m.current[0].length
    cdef int i
    for i in range(1, m.now):
        length = min(length, m.current[i].length)
    return length


cdef void append(SlopeMonitor *m, Check check) noexcept nogil:
    cdef int i
    if m.now == WINDOW:
        for i in range(1, WINDOW):
            m.current[i - 1] = m.current[i]
        m.now -= 1
    m.current[m.now] = check
    m.now += 1


cdef int window_size(const SlopeMonitor *m) noexcept nogil:
    return min(m.before + m.now, <int>WINDOW)


cdef const Check *earlier(const SlopeMonitor *m, int i) noexcept nogil:
    """Check i of earlier searches, oldest first."""
    i += m.head - m.before
    return &m.earlier[i if i >= 0 else i + WINDOW]


cdef const Check *in_window(const SlopeMonitor *m, int i) noexcept nogil:
    """Check i of the latest ones, oldest first."""
    i += m.before + m.now - window_size(m)
    return earlier(m, i) if i < m.before else &m.current[i - m.before]


cdef int slope_monitor_window(const SlopeMonitor *m, Check *window) noexcept nogil:
    """Write the latest checks, at most WINDOW, oldest first; returns how many there are."""
    cdef int i
    for i in range(window_size(m)):
        window[i] = in_window(m, i)[0]
    return window_size(m)


cdef double slope_monitor_mismatch(const SlopeMonitor *m, double rounding) noexcept nogil:
    """The median ratio of the latest checks, at most 1; 0 if too little is known.

    Changes of f below `rounding` are not looked at.
    """
    cdef Check window[WINDOW]
    cdef double ratios[WINDOW]
    cdef int i, j, count = slope_monitor_window(m, window), used = 0
    for i in range(count):    # sorted by insertion
        if not size_of(&window[i]) > rounding:
            continue
        j = used
        while j > 0 and ratios[j - 1] > window[i].ratio:
            ratios[j] = ratios[j - 1]
            j -= 1
        ratios[j] = window[i].ratio
        used += 1
    if used == 0 or m.seen < ENOUGH:
        return 0
    return min(1.0, 0.5 * (ratios[(used - 1) // 2] + ratios[used // 2]))


# --- snapshots ----------------------------------------------------------------------------


cdef object slope_monitor_save(const SlopeMonitor *m):
    """All that is known as an array of float64: first, f, seen, lost, alarms, row, before, now,
    then the checks of earlier searches and of this one, four numbers each, and `visible`."""
    checks = [earlier(m, i)[0] for i in range(m.before)] + [m.current[i] for i in range(m.now)]
    numbers = [check[field] for check in checks for field in FIELDS]
    return np.array([m.first, m.f, m.seen, m.lost, m.alarms, m.row, m.before, m.now, *numbers,
                     m.visible])


# The numbers that slope_monitor_save puts before those of the checks: two values of f, and counts.
cdef enum:
    COUNTS = 8
    MOST_COUNTED = 0x7fffffff


cdef int slope_monitor_load(SlopeMonitor *m, saved) except -1:
    """Take over what slope_monitor_save returned; a ValueError if this is anything else."""
    cdef const double[::1] numbers = saved
    cdef int i
    cdef bint right = numbers.shape[0] >= COUNTS
    for i in range(2, COUNTS):
        right = right and 0 <= numbers[i] <= MOST_COUNTED
    if not (right and numbers[6] <= WINDOW and numbers[7] <= WINDOW
            and numbers.shape[0] == COUNTS + 4 * (numbers[6] + numbers[7]) + 1):
        raise ValueError('this is no saved slope monitor')
    m.first, m.f, m.seen = numbers[0], numbers[1], <int>numbers[2]
    m.lost, m.alarms = <int>numbers[3], <int>numbers[4]
    m.row, m.before, m.now = <int>numbers[5], <int>numbers[6], <int>numbers[7]
    for i in range(m.before):
        m.earlier[i] = load_check(numbers, i)
    m.head = m.before if m.before < WINDOW else 0
    for i in range(m.now):
        m.current[i] = load_check(numbers, m.before + i)
    m.visible = numbers[numbers.shape[0] - 1]
    return 0


cdef Check load_check(const double[::1] numbers, int i):
    cdef Check check
    cdef Py_ssize_t k = COUNTS + 4 * i
    check.length, check.change = numbers[k], numbers[k + 1]
    check.predicted, check.ratio = numbers[k + 2], numbers[k + 3]
    return check


def describe(saved):
    """Return what a saved monitor knows, by name.

    ``first_f``: f at the start of the first search; ``lost``: trials that were not finite;
    ``alarms``: searches in a row after which the latest checks were bad; ``checks``: for each of
    the latest, oldest first, the change of f over its segment, what the slopes predict, the ratio.
    """
    cdef SlopeMonitor m
    slope_monitor_load(&m, saved)
    return {'first_f': m.first, 'lost': m.lost, 'alarms': slope_monitor_alarms(&m),
            'checks': checks_of(&m)}


cdef list checks_of(const SlopeMonitor *m):
    """(change of f, what the slopes predict, ratio) for each of the latest checks, oldest first."""
    cdef Check window[WINDOW]
    cdef int i, count = slope_monitor_window(m, window)
    checks = []
    for i in range(count):
        checks.append((window[i].change, window[i].predicted, window[i].ratio))
    return checks
