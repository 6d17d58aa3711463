/* Times solves by LBFGS++ and, through lbfgsb.h, by lbfgsb: both compiled, both with this objective,
   the chained Rosenbrock function. Compiled by lbfgspp.py against headers that its user names. */
#include <lbfgsb.h>

#include <LBFGS.h>
#include <LBFGSB.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <exception>

/* What a solve took and where it ended; the same fields as in lbfgspp.py. */
struct Run {
    double seconds;           /* of one solve, the mean of those asked for */
    double fun;
    Py_ssize_t iterations;
    Py_ssize_t evaluations;
    int is_completed;         /* it ended by its tolerance or the limit of iterations */
};

/* A problem of n variables; lower is NULL where there are no bounds. */
struct Problem {
    Py_ssize_t n;
    const double *x0, *lower, *upper;
    Py_ssize_t maxcor;
    double tolerance;         /* of the norm that the solver tests */
    Py_ssize_t maxiter;
};

namespace {

double rosenbrock(Py_ssize_t n, const double *x, double *g)
{
    double value = 0;
    g[0] = 0;
    for (Py_ssize_t i = 0; i < n - 1; i++) {
        const double r = x[i + 1] - x[i] * x[i], q = 1 - x[i];
        value += 100 * r * r + q * q;
        g[i] -= 400 * r * x[i] + 2 * q;
        g[i + 1] = 200 * r;
    }
    return value;
}

int counted(Py_ssize_t n, const double *x, double *f, double *g, void *data)
{
    ++*static_cast<Py_ssize_t *>(data);
    *f = rosenbrock(n, x, g);
    return 0;
}

/* The objective as LBFGS++ wants it. */
struct Objective {
    Py_ssize_t evaluations = 0;
    double gtol = -1;         /* of the inf-norm; negative: nobody asks for its 2-norm */
    double two_norm = -1;     /* of the first gradient within gtol; negative: none yet */

    double operator()(const Eigen::VectorXd &x, Eigen::VectorXd &g)
    {
        evaluations++;
        const double value = rosenbrock(x.size(), x.data(), g.data());
        if (gtol >= 0 && two_norm < 0)
            look_at(g.data(), x.size());
        return value;
    }

    void look_at(const double *g, Py_ssize_t n)
    {
        double largest = 0, squares = 0;
        for (Py_ssize_t i = 0; i < n; i++) {
            largest = std::max(largest, std::fabs(g[i]));
            squares += g[i] * g[i];
        }
        if (largest <= gtol)
            two_norm = std::sqrt(squares);
    }
};

Eigen::VectorXd vector_of(const double *values, Py_ssize_t n)
{
    Eigen::VectorXd v(n);
    std::copy(values, values + n, v.data());
    return v;
}

template <typename Param>
Param parameters_of(const Problem &p)
{
    Param param;
    param.m = static_cast<int>(p.maxcor);
    param.epsilon = p.tolerance;
    param.epsilon_rel = 0;
    param.past = 0;           /* no test of f */
    param.delta = 0;
    param.max_iterations = static_cast<int>(p.maxiter);
    return param;
}

/* Solves once and returns whether it was completed: LBFGS++ throws when a line search fails. */
bool solve_free(const Problem &p, Objective &objective, Run &run)
{
    auto param = parameters_of<LBFGSpp::LBFGSParam<double>>(p);
    param.linesearch = LBFGSpp::LBFGS_LINESEARCH_BACKTRACKING_STRONG_WOLFE;
    LBFGSpp::LBFGSSolver<double> solver(param);
    Eigen::VectorXd x = vector_of(p.x0, p.n);
    try {
        run.iterations = solver.minimize(objective, x, run.fun);
    } catch (const std::exception &) {
        return false;
    }
    return true;
}

bool solve_in_box(const Problem &p, const Eigen::VectorXd &lower, const Eigen::VectorXd &upper,
                  Objective &objective, Run &run)
{
    const auto param = parameters_of<LBFGSpp::LBFGSBParam<double>>(p);
    LBFGSpp::LBFGSBSolver<double> solver(param);
    Eigen::VectorXd x = vector_of(p.x0, p.n);
    try {
        run.iterations = solver.minimize(objective, x, run.fun, lower, upper);
    } catch (const std::exception &) {
        return false;
    }
    return true;
}

template <typename Solve>
void repeat(Py_ssize_t times, Run *run, Solve solve)
{
    const auto begun = std::chrono::steady_clock::now();
    for (Py_ssize_t i = 0; i < times; i++)
        solve();
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begun;
    run->seconds = spent.count() / static_cast<double>(times);
}

}  // namespace

extern "C" {

/* Needs the GIL, as nothing else here does. */
int import_lbfgsb(void)
{
    return lbfgsb_import();
}

void time_lbfgsb(const Problem *p, Py_ssize_t times, Run *run)
{
    lbfgsb_options options = lbfgsb_default_options();
    options.maxcor = p->maxcor;
    options.ftol = 0;
    options.gtol = p->tolerance;
    options.maxiter = p->maxiter;
    lbfgsb_result result{};
    int status = LBFGSB_ABNORMAL;
    repeat(times, run, [&] {
        Eigen::VectorXd x = vector_of(p->x0, p->n);
        run->evaluations = 0;
        status = lbfgsb_minimize(counted, &run->evaluations, p->n, x.data(), p->lower, p->upper,
                                 &options, &result);
    });
    run->fun = result.fun;
    run->iterations = result.nit;
    run->is_completed = status == LBFGSB_CONVERGED || status == LBFGSB_LIMIT;
}

void time_lbfgspp(const Problem *p, Py_ssize_t times, Run *run)
{
    bool is_completed = false;
    if (p->lower == nullptr) {
        repeat(times, run, [&] {
            Objective objective;
            is_completed = solve_free(*p, objective, *run);
            run->evaluations = objective.evaluations;
        });
    } else {
        const Eigen::VectorXd lower = vector_of(p->lower, p->n), upper = vector_of(p->upper, p->n);
        repeat(times, run, [&] {
            Objective objective;
            is_completed = solve_in_box(*p, lower, upper, objective, *run);
            run->evaluations = objective.evaluations;
        });
    }
    run->is_completed = is_completed;
}

/* Without bounds LBFGS++ tests the 2-norm of the gradient, lbfgsb its inf-norm. Returns the 2-norm
   at the first point of LBFGS++'s run where the inf-norm is at most p->tolerance; with that for its
   tolerance it stops there. Negative if it gets to no such point. */
double equivalent_tolerance(const Problem *p)
{
    Problem endless = *p;
    endless.tolerance = 0;
    Objective objective;
    objective.gtol = p->tolerance;
    Run run;
    solve_free(endless, objective, run);
    return objective.two_norm;
}

}  // extern "C"
