"""Vector kernels, chunks of rows, and the one allocation of a solver (floor 1).

See kernels.h for the layout of W and for what each kernel does.
"""

cdef extern from "kernels.h" nogil:
    const Py_ssize_t LANES, BLOCK, CHUNK, PACK, FEW, MAX_RHS

    ctypedef struct Kernels:
        const char *name
        void panel_tdot(const double *W, Py_ssize_t ld, const Py_ssize_t *cols, Py_ssize_t ncols,
                        Py_ssize_t tiles, const double *V, int nrhs, int fresh,
                        double *acc) noexcept nogil
        void panel_combine(const double *W, Py_ssize_t ld, const Py_ssize_t *cols,
                           const double *coef, Py_ssize_t ncols, Py_ssize_t tiles,
                           double *out) noexcept nogil
        void two_loop(const double *W, Py_ssize_t ld, const Py_ssize_t *cols, Py_ssize_t pairs,
                      Py_ssize_t tiles, const double *rho, double gamma, double *v,
                      double *alpha) noexcept nogil
        bint bfgs_matrix(const double *W, Py_ssize_t ld, const Py_ssize_t *cols,
                         Py_ssize_t pairs, Py_ssize_t n, Py_ssize_t tiles, const double *rho,
                         double theta, double *B) noexcept nogil
        void panel_store(double *W, Py_ssize_t ld, Py_ssize_t col, Py_ssize_t tiles,
                         const double *v) noexcept nogil
        void panel_load(const double *W, Py_ssize_t ld, Py_ssize_t col, Py_ssize_t rows,
                        double *v) noexcept nogil
        void panel_gather(const double *W, Py_ssize_t ld, const Py_ssize_t *cols,
                          Py_ssize_t ncols, const Py_ssize_t *rows, Py_ssize_t count,
                          double *packed) noexcept nogil
        void packed_gram(const double *packed, Py_ssize_t ncols, double *acc) noexcept nogil
        void lane_sum(const double *acc, Py_ssize_t count, double *out) noexcept nogil
        void dot(Py_ssize_t n, const double *a, const double *b, double *acc) noexcept nogil
        bint eliminate(double *A, Py_ssize_t n, Py_ssize_t width, Py_ssize_t ld) noexcept nogil
        void add_gram(const double *U, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t ld, double *C,
                      Py_ssize_t ldc) noexcept nogil
        void trial_free(Py_ssize_t n, double alpha, const double *x, const double *d,
                        double *out) noexcept nogil
        void trial_box(Py_ssize_t n, double alpha, const double *x, const double *d,
                       const double *l, const double *u, double *out) noexcept nogil
        double accept_free(Py_ssize_t n, double alpha, double *x, const double *d, double *g,
                           const double *g_new, double *s, double *y) noexcept nogil
        double accept_box(Py_ssize_t n, double alpha, double *x, const double *d,
                          const double *l, const double *u, double *g, const double *g_new,
                          double *s, double *y, double *g_free, double *t_min,
                          double *pinned) noexcept nogil
        void mask(Py_ssize_t n, const signed char *status, const double *v,
                  double *out) noexcept nogil
        void step_free(Py_ssize_t n, double inv_theta, const double *g, const double *we,
                       double *d) noexcept nogil
        double step_box(Py_ssize_t n, double inv_theta, double t_fixed, const double *x,
                        const double *g, const double *l, const double *u, const double *we,
                        double *d) noexcept nogil
        double step_truncated(Py_ssize_t n, double inv_theta, double t_fixed, double t_cauchy,
                              double alpha, const double *x, const double *g, const double *l,
                              const double *u, const double *we, double *d) noexcept nogil
        double subspace_limit(Py_ssize_t n, double inv_theta, double t_fixed, double t_cauchy,
                              const double *x, const double *g, const double *l,
                              const double *u, const double *we) noexcept nogil
        Py_ssize_t update_status(Py_ssize_t n, Py_ssize_t first, double t_fixed,
                                 const double *x, const double *g, const double *l,
                                 const double *u, signed char *status,
                                 Py_ssize_t *changed) noexcept nogil
        Py_ssize_t break_points(Py_ssize_t n, Py_ssize_t first, double t_low, double t_high,
                                const double *x, const double *g, const double *l,
                                const double *u, double *t, Py_ssize_t *row) noexcept nogil

    void prefetch "lbfgsb_prefetch"(const double *v, Py_ssize_t rows) noexcept nogil


cdef enum:
    # What a chunk reports: one maximum, one minimum, then sums.
    MAX = 0
    MIN = 1
    SUMS = 2


ctypedef struct Team:
    const Kernels *simd      # the kernels in use
    int threads              # how many threads the user allows
    Py_ssize_t width         # doubles of a partial result, at most
    Py_ssize_t scratch_size  # doubles of scratch a thread has
    double *scratch          # (threads, scratch_size)
    double *partials         # (chunks, width), or one row if threads == 1
    double *total            # (width,) for the combined result


# Works on rows first .. first + rows - 1. `partial` comes initialised (0, inf, 0, 0, ...);
# `scratch` is the thread's own and 64-byte aligned.
ctypedef void (*ChunkTask)(void *context, Py_ssize_t first, Py_ssize_t rows, double *partial,
                           double *scratch) noexcept nogil

# Where buffers are taken from: what a solver keeps from one evaluation to the next, and what is
# work within a call, which the problems of a batch share.
ctypedef struct Room:
    char *kept
    char *work


cdef const Kernels *kernels_in_use() noexcept nogil
cdef Py_ssize_t chunk_count(Py_ssize_t rows) noexcept nogil
cdef void team_place(Team *team, Py_ssize_t rows, Room *room) noexcept nogil
cdef int allowed_threads(int threads) noexcept nogil
cdef void run_chunks(Team *team, ChunkTask task, void *context, Py_ssize_t rows,
                     Py_ssize_t columns, Py_ssize_t sums, double *total,
                     bint backward=*) noexcept nogil
cdef double dot(Team *team, Py_ssize_t n, const double *a, const double *b) noexcept nogil


cdef inline Py_ssize_t padded(Py_ssize_t n) noexcept nogil:
    """n rounded up to a multiple of LANES."""
    return (n + LANES - 1) // LANES * LANES


cdef inline void *carve(char **cursor, Py_ssize_t count, Py_ssize_t itemsize) noexcept nogil:
    """Take `count` items from the block at `cursor`, on a boundary of 64 bytes.

    Run over a null cursor, the same calls measure the block that they need.
    """
    cdef char *start = cursor[0]
    cursor[0] += (count * itemsize + 63) // 64 * 64
    return start
