"""The table of vector kernels: see kernels.h for the layout of W and for what each one does."""

cdef extern from "kernels.h" nogil:
    const Py_ssize_t LANES, BLOCK, CHUNK, PACK, FEW, FEW_FREE, MAX_RHS

    ctypedef struct Panel:
        Py_ssize_t entry_size
        void tdot(const void *W, Py_ssize_t ld, const Py_ssize_t *cols, Py_ssize_t ncols,
                  Py_ssize_t tiles, const double *V, int nrhs, int fresh,
                  double *acc) noexcept nogil
        void combine(const void *W, Py_ssize_t ld, const Py_ssize_t *cols, const double *coef,
                     Py_ssize_t ncols, Py_ssize_t tiles, double *out) noexcept nogil
        void store(void *W, Py_ssize_t ld, Py_ssize_t col, Py_ssize_t tiles, double unit,
                   double *v) noexcept nogil
        void load(const void *W, Py_ssize_t ld, Py_ssize_t col, Py_ssize_t rows,
                  double *v) noexcept nogil
        void row(const void *W, Py_ssize_t ld, const Py_ssize_t *cols, Py_ssize_t ncols,
                 Py_ssize_t row, double *w) noexcept nogil
        void gather(const void *W, Py_ssize_t ld, const Py_ssize_t *cols, Py_ssize_t ncols,
                    const Py_ssize_t *rows, Py_ssize_t count, double *packed) noexcept nogil

    ctypedef struct Kernels:
        const char *name
        Panel float64
        Panel float32
        double product(const double *a, const double *b, Py_ssize_t ld,
                       Py_ssize_t tiles) noexcept nogil
        void two_loop(const double *W, Py_ssize_t ld, const Py_ssize_t *cols,
                      const Py_ssize_t *order, Py_ssize_t updates, Py_ssize_t tiles,
                      const double *rho, const double *cross, const double *secant,
                      const double *first, double *v, double *alpha) noexcept nogil
        void update_diagonal(const double *s, const double *y, Py_ssize_t ld, Py_ssize_t tiles,
                             double rho, double *D) noexcept nogil
        bint bfgs_matrix(const double *W, Py_ssize_t ld, const Py_ssize_t *cols,
                         const Py_ssize_t *order, Py_ssize_t updates, Py_ssize_t n,
                         Py_ssize_t tiles, const double *rho, const double *secant,
                         const double *first, double *B) noexcept nogil
        void packed_gram(const double *packed, Py_ssize_t ncols, double *acc) noexcept nogil
        void lane_sum(const double *acc, Py_ssize_t count, double *out) noexcept nogil
        void dot(Py_ssize_t n, const double *a, const double *b, double *acc) noexcept nogil
        bint eliminate(double *A, Py_ssize_t n, Py_ssize_t width, Py_ssize_t ld) noexcept nogil
        void add_gram(const double *U, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t ld, double *C,
                      Py_ssize_t ldc) noexcept nogil
        void two_loop_products(const double *gram, Py_ssize_t ld, Py_ssize_t pairs,
                               const Py_ssize_t *order, Py_ssize_t updates, const double *rho,
                               const double *secant, double gamma, double *v, double *alpha,
                               double *beta) noexcept nogil
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


cdef const Kernels *kernels_in_use() noexcept nogil
cdef int processors() noexcept nogil
cdef const Kernels *kernels_named(level) except NULL
