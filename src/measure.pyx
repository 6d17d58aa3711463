"""What the benchmark needs: a compiled test function, and the time of one read of W.

The function is the chained Rosenbrock function, the sum of 100 (x[i+1] - x[i]²)² + (1 - x[i])².
"""
from libc.string cimport memset

from lbfgsb._core.kernels cimport BLOCK, LANES, Kernels, kernels_in_use
from lbfgsb._core.team cimport SUMS, Room, Team, run_chunks, team_place, team_set_threads

import time

import numpy as np


cdef int rosenbrock(Py_ssize_t n, const double *x, double *f, double *g,
                    void *data) noexcept nogil:
    """f[0] and g (n,) at x (n,); `data` is not used. Returns 0."""
    cdef Py_ssize_t i
    cdef double r, q, value = 0
    g[0] = 0
    for i in range(n - 1):
        r = x[i + 1] - x[i] * x[i]
        q = 1 - x[i]
        value += 100 * r * r + q * q
        g[i] -= 400 * r * x[i] + 2 * q
        g[i + 1] = 200 * r
    f[0] = value
    return 0


ctypedef struct ReadContext:
    const Kernels *simd
    const double *W
    const Py_ssize_t *columns
    Py_ssize_t count


cdef void read_chunk(void *context, Py_ssize_t first, Py_ssize_t rows, double *partial,
                     double *scratch) noexcept nogil:
    cdef ReadContext *v = <ReadContext *>context
    cdef Py_ssize_t block, i, size
    cdef double *acc = scratch + BLOCK
    memset(scratch, 0, BLOCK * sizeof(double))
    for block in range((rows + BLOCK - 1) // BLOCK):
        i = first + block * BLOCK
        size = min(<Py_ssize_t>BLOCK, first + rows - i)
        v.simd.float64.tdot(v.W + i * v.count, v.count * LANES, v.columns, v.count,
                            (size + LANES - 1) // LANES, scratch, 1, block == 0, acc)


def read_seconds(Py_ssize_t n, Py_ssize_t columns, int threads=1, int repeats=7):
    """Return the least time in seconds of one read of W (n, columns): the memory's limit."""
    cdef Py_ssize_t rows = (n + LANES - 1) // LANES * LANES
    cdef ReadContext v
    cdef Team team
    cdef Room room = Room(NULL, NULL)
    cdef char[::1] buffers
    cdef double[::1] W
    cdef Py_ssize_t[::1] offsets = np.arange(columns, dtype=np.intp) * LANES
    team.simd, team.width = kernels_in_use(), SUMS
    team_set_threads(&team, threads, rows)
    team.scratch_size = BLOCK + columns * LANES
    team_place(&team, rows, &room)
    memory = np.ones(rows * columns + LANES)    # written once: unwritten pages are not read
    W = memory[(-memory.ctypes.data // 8) % LANES:]
    space = np.zeros(<size_t>room.work + 64, dtype=np.int8)
    buffers = space[-space.ctypes.data % 64:]
    room.work = &buffers[0]
    team_place(&team, rows, &room)
    v.simd, v.W, v.columns, v.count = team.simd, &W[0], &offsets[0], columns
    best = float('inf')
    for _ in range(repeats):
        start = time.perf_counter()
        with nogil:
            run_chunks(&team, read_chunk, &v, rows, columns, 0, team.total)
        best = min(best, time.perf_counter() - start)
    return best
