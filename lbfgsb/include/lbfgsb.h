/* L-BFGS-B for C and C++: minimise f(x) subject to l <= x <= u, without the GIL.

   For extension modules of Python; what a .pyx gets from lbfgsb.cython_lbfgsb. This header is all
   that it takes to compile: its folder is lbfgsb.get_include(), and there is nothing to link with.
   The functions are reached through a table in a capsule. In every source file that calls them,

       if (lbfgsb_import() < 0)
           return NULL;              // a Python exception is set

   comes first, once and with the GIL, say where the module is initialised. Nothing else here needs
   the GIL, calls Python, allocates during an iteration, or keeps global state: as many threads as
   you like may each run a problem.

   Every x that an objective gets satisfies the bounds to the last bit; a value or gradient that is
   not finite means that the step was too long; the counts are exact; the solution is the last
   accepted iterate, and its `fun` is what the objective wrote there.

   The ABI. What was compiled for one release of lbfgsb works with all later ones:

   - The functions keep their names, arguments and meaning; new ones go to the end of the table.
   - Fields are appended to lbfgsb_options and lbfgsb_result, never changed, moved or removed; an
     option that is new does by default what was done without it. Therefore an lbfgsb_options is
     always made by lbfgsb_default_options. It sets `size` to the size of the struct that its
     caller was compiled with. By that the library knows which options there are, and which fields
     of lbfgsb_result there is room for.
   - Statuses keep their numbers; new negative ones may come. */
#ifndef LBFGSB_H
#define LBFGSB_H

#include <Python.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Writes f[0] and g (n,) at x (n,). A nonzero return ends the run with LBFGSB_STOPPED, and what was
   written then is not used. x and g are the solver's: valid during the call, and never shared.
   It must not throw. */
typedef int (*lbfgsb_objective)(Py_ssize_t n, const double *x, double *f, double *g, void *data);

enum {
    LBFGSB_RUNNING = -1,     /* seen only by a callback and between lbfgsb_ask and lbfgsb_tell */
    LBFGSB_CONVERGED = 0,    /* gtol, ftol or ftarget is met */
    LBFGSB_LIMIT = 1,        /* maxiter or maxfun is reached */
    LBFGSB_ABNORMAL = 2,     /* no step goes down; or f or g is not finite at the start */
    LBFGSB_STOPPED = 3,      /* the objective or the callback said so */
    /* Wrong use, found before anything is evaluated: */
    LBFGSB_NO_MEMORY = -2,
    LBFGSB_BAD_POINTER = -3, /* a pointer is NULL that must not be */
    LBFGSB_BAD_N = -4,       /* n < 1 */
    LBFGSB_BAD_X = -5,       /* the start is not finite */
    LBFGSB_BAD_BOUNDS = -6,  /* NaN, l > u, l = inf or u = -inf */
    LBFGSB_BAD_SIZE = -7,    /* options not from lbfgsb_default_options, or of a later release */
    LBFGSB_BAD_OPTION = -8,  /* an option is out of its range */
    LBFGSB_NOT_ASKED = -9    /* lbfgsb_tell without a point from lbfgsb_ask */
};

/* Values of the option `secant`: B s = y, or B s = c y with what f says of the curvature. */
enum {
    LBFGSB_SECANT_STANDARD = 0,
    LBFGSB_SECANT_MODIFIED = 1
};

/* Values of the option `initial_scaling`: what the pairs update, for few variables. */
enum {
    LBFGSB_SCALING_SCALAR = 0,
    LBFGSB_SCALING_DIAGONAL = 1
};

typedef struct {
    double fun;                  /* f at the solution; NaN if it has not been evaluated */
    double projected_gradient;   /* inf-norm of the projected gradient there */
    Py_ssize_t nit;              /* accepted iterates */
    Py_ssize_t nfev;             /* evaluations of f and g */
    int status;
} lbfgsb_result;

/* Called after each accepted iterate, the last one included: x (n,), the gradient g (n,) there, and
   the result as it stands, in which `status` is LBFGSB_RUNNING if the run goes on. A nonzero return
   ends the run with LBFGSB_STOPPED. It must not throw. */
typedef int (*lbfgsb_callback)(Py_ssize_t n, const double *x, const double *g,
                               const lbfgsb_result *now, void *data);

/* The defaults and the meaning are those of minimize_lbfgsb. */
typedef struct {
    size_t size;                 /* of this struct; set by lbfgsb_default_options */
    lbfgsb_callback callback;    /* NULL: none */
    void *callback_data;         /* what the callback gets as `data` */
    const double *x_scale;       /* NULL: ones; (n,) typical sizes of the variables, > 0, copied */
    Py_ssize_t maxcor;           /* 0: as many as suit n; pairs kept, >= 0 */
    double ftol;                 /* 1e-5; relative reduction of f, >= 0 */
    double gtol;                 /* 1e-5; inf-norm of the projected gradient, >= 0 */
    double ftarget;              /* -inf; a value of f that is low enough */
    Py_ssize_t maxiter;          /* 50; accepted iterates, >= 0 */
    Py_ssize_t maxfun;           /* 15000; evaluations, >= 0 */
    Py_ssize_t maxls;            /* 20; evaluations in a line search, >= 1 */
    double max_steplength;       /* 1e8; in multiples of the search direction, > 0 */
    double ftol_linesearch;      /* 1e-3; 0 < ftol_linesearch < gtol_linesearch < 1 */
    double gtol_linesearch;      /* 0.9 */
    double xtol_linesearch;      /* 0.1; >= 0 */
    double eps_SY;               /* 2.2e-16; curvature that a pair must have, >= 0 */
    int threads;                 /* 1; for the solver's own work on large n, at most; 0: as many
                                    as pay */
    double fun_precision;        /* 0: that of double; what f is off by, relative, >= 0 and < 1 */
    int secant;                  /* LBFGSB_SECANT_MODIFIED */
    int pairs;                   /* 64; bits of an entry of the pairs, with 32 they take half the
                                    memory; of no effect up to 32 variables */
    Py_ssize_t extra_updates;    /* -1: as many as pay; of the model, with the newest pairs, at
                                    most maxcor */
    int initial_scaling;         /* -1: LBFGSB_SCALING_DIAGONAL for 3 to 32 variables, but scalar
                                    with the standard secant equation; always so for more */
} lbfgsb_options;

typedef struct {
    void *state;                 /* the solver's own */
} lbfgsb_solver;

/* What lbfgsb_import finds; call the functions below instead. */
typedef struct {
    size_t size;
    void (*set_default_options)(lbfgsb_options *, size_t);
    int (*minimize)(lbfgsb_objective, void *, Py_ssize_t, double *, const double *, const double *,
                    const lbfgsb_options *, lbfgsb_result *);
    const char *(*message)(int);
    int (*create)(lbfgsb_solver **, Py_ssize_t, const double *, const double *, const double *,
                  const lbfgsb_options *);
    const double *(*ask)(lbfgsb_solver *);
    int (*tell)(lbfgsb_solver *, double, const double *);
    int (*get_result)(const lbfgsb_solver *, double *, double *, lbfgsb_result *);
    void (*destroy)(lbfgsb_solver *);
} lbfgsb_table;

#define LBFGSB_CAPSULE "lbfgsb.cython_lbfgsb._c_table"

static const lbfgsb_table *lbfgsb_functions = NULL;

/* Finds the functions. Returns 0, or -1 with a Python exception set. Needs the GIL. */
static inline int lbfgsb_import(void)
{
    PyObject *module, *capsule;
    const lbfgsb_table *table = NULL;

    if (lbfgsb_functions != NULL)
        return 0;
    module = PyImport_ImportModule("lbfgsb.cython_lbfgsb");
    if (module == NULL)
        return -1;
    capsule = PyObject_GetAttrString(module, "_c_table");
    Py_DECREF(module);
    if (capsule == NULL)
        return -1;
    table = (const lbfgsb_table *)PyCapsule_GetPointer(capsule, LBFGSB_CAPSULE);
    Py_DECREF(capsule);    /* the module keeps it, and is never unloaded */
    if (table == NULL)
        return -1;
    if (table->size < sizeof(lbfgsb_table)) {
        PyErr_SetString(PyExc_ImportError,
                        "this module was compiled for a later release of lbfgsb than is installed");
        return -1;
    }
    lbfgsb_functions = table;
    return 0;
}

/* The defaults of minimize_lbfgsb, in a struct of the size that the caller knows. */
static inline lbfgsb_options lbfgsb_default_options(void)
{
    lbfgsb_options options;
    lbfgsb_functions->set_default_options(&options, sizeof options);
    return options;
}

/* Minimises fun over the box.

   x              IN the start, clipped into the bounds; OUT the solution. (n,)
   lower, upper   (n,), with -inf and inf where there is no bound; NULL: none at all
   options        NULL: the defaults
   result         may be NULL

   Returns the status. If it is negative nothing was evaluated and x is as it was. */
static inline int lbfgsb_minimize(lbfgsb_objective fun, void *data, Py_ssize_t n, double *x,
                                  const double *lower, const double *upper,
                                  const lbfgsb_options *options, lbfgsb_result *result)
{
    return lbfgsb_functions->minimize(fun, data, n, x, lower, upper, options, result);
}

/* What a status means, in words; never NULL, and never to be freed. */
static inline const char *lbfgsb_message(int status)
{
    return lbfgsb_functions->message(status);
}

/* Ask and tell, for those who call the objective themselves:

       if (lbfgsb_create(&solver, n, x, lower, upper, NULL) == LBFGSB_RUNNING) {
           while ((point = lbfgsb_ask(solver)) != NULL) {
               ...                                  // f and g at point
               lbfgsb_tell(solver, f, g);
           }
           status = lbfgsb_get_result(solver, x, NULL, &result);
           lbfgsb_destroy(solver);
       }

   Makes a solver. x, the bounds and the options are copied, and as in lbfgsb_minimize.
   Returns LBFGSB_RUNNING, or another negative status, and then *solver is NULL. */
static inline int lbfgsb_create(lbfgsb_solver **solver, Py_ssize_t n, const double *x,
                                const double *lower, const double *upper,
                                const lbfgsb_options *options)
{
    return lbfgsb_functions->create(solver, n, x, lower, upper, options);
}

/* The point (n,) at which f and g are wanted, or NULL if the run is over. It is valid until
   lbfgsb_tell or lbfgsb_destroy. */
static inline const double *lbfgsb_ask(lbfgsb_solver *solver)
{
    return lbfgsb_functions->ask(solver);
}

/* Takes f and g (n,) at that point; g may be NULL if f is not finite. Calls the callback.
   Returns 1 if that made a new iterate, 0 if not, or LBFGSB_NOT_ASKED. */
static inline int lbfgsb_tell(lbfgsb_solver *solver, double f, const double *g)
{
    return lbfgsb_functions->tell(solver, f, g);
}

/* Writes the last accepted iterate to x (n,), the gradient there to g (n,), and the result; each
   may be NULL. Before the first lbfgsb_tell g and result->fun are NaN. Returns the status. */
static inline int lbfgsb_get_result(const lbfgsb_solver *solver, double *x, double *g,
                                    lbfgsb_result *result)
{
    return lbfgsb_functions->get_result(solver, x, g, result);
}

/* Frees a solver; NULL is one too. */
static inline void lbfgsb_destroy(lbfgsb_solver *solver)
{
    lbfgsb_functions->destroy(solver);
}

#ifdef __cplusplus
}
#endif

#endif
