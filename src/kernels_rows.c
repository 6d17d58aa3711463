/* Row kernels: what happens to each variable on its own - the trial point, the change of x and
 * g, projection on the box, break points, the step.
 *
 * Compiled once for each instruction set with LEVEL defined, from plain loops that the compiler
 * vectorises, and without fused multiply-add (-ffp-contract=off): the point that a user's
 * function saw and the point that the solver keeps are computed by different loops and must
 * agree to the last bit.
 *
 * Feasible to the last bit: a step that reaches a bound in exact arithmetic is set to the bound,
 * and x + alpha d is clipped besides, since it may round past the bound.
 */
#include <string.h>

#include "kernels.h"

#define INLINE static inline __attribute__((always_inline))
#define PASTE2(a, b) a##b
#define PASTE(a, b) PASTE2(a, b)
#define NAMED(f) PASTE(PASTE(f, _), LEVEL)

INLINE double lesser(double a, double b) { return a < b ? a : b; }
INLINE double greater(double a, double b) { return a > b ? a : b; }

/* The `min` of OpenMP begins with infinity in gcc, and with the largest finite number in clang. */
#pragma omp declare reduction(least:double : omp_out = lesser(omp_in, omp_out)) \
    initializer(omp_priv = __builtin_inf())

INLINE double clip(double x, double l, double u) { return lesser(greater(x, l), u); }

/* P(x + step) */
INLINE double move(double x, double step, double l, double u)
{
    double moved = clip(x + step, l, u);
    moved = step >= u - x ? u : moved;
    return step <= l - x ? l : moved;
}

/* The t at which x - t g reaches a bound, (4.1) of BLNZ; infinite if it never does. A zero
 * gradient component is told from the start: 0/0 would be a NaN. */
INLINE double break_point(double x, double g, double l, double u)
{
    double room = g > 0 ? x - l : x - u;
    return g != 0 ? room / g : __builtin_inf();
}

static void trial_free(ptrdiff_t n, double alpha, const double *restrict x,
                       const double *restrict d, double *restrict out)
{
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++)
        out[i] = x[i] + alpha * d[i];
}

static void trial_box(ptrdiff_t n, double alpha, const double *restrict x,
                      const double *restrict d, const double *restrict l,
                      const double *restrict u, double *restrict out)
{
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++)
        out[i] = move(x[i], alpha * d[i], l[i], u[i]);
}

static double accept_free(ptrdiff_t n, double alpha, double *restrict x,
                          const double *restrict d, double *restrict g,
                          const double *g_new, double *restrict s, double *restrict y)
{
    double norm = 0;
#pragma omp simd reduction(max : norm)
    for (ptrdiff_t i = 0; i < n; i++) {
        double moved = x[i] + alpha * d[i];
        s[i] = moved - x[i];
        y[i] = g_new[i] - g[i];
        x[i] = moved;
        g[i] = g_new[i];
        norm = greater(norm, __builtin_fabs(g_new[i]));
    }
    return norm;
}

static double accept_box(ptrdiff_t n, double alpha, double *restrict x,
                         const double *restrict d, const double *restrict l,
                         const double *restrict u, double *restrict g,
                         const double *g_new, double *restrict s, double *restrict y,
                         double *restrict g_free, double *t_min, double *pinned)
{
    double norm = 0, t_least = *t_min, count = 0;
#pragma omp simd reduction(max : norm) reduction(least : t_least) reduction(+ : count)
    for (ptrdiff_t i = 0; i < n; i++) {
        double moved = move(x[i], alpha * d[i], l[i], u[i]);
        double gi = g_new[i];
        s[i] = moved - x[i];
        y[i] = gi - g[i];
        x[i] = moved;
        g[i] = gi;
        double t = break_point(moved, gi, l[i], u[i]);
        g_free[i] = t > 0 ? gi : 0.0;
        count += t > 0 ? 0.0 : 1.0;
        t_least = lesser(t_least, t > 0 ? t : __builtin_inf());
        double projected = gi > 0 ? lesser(moved - l[i], gi) : greater(moved - u[i], gi);
        norm = greater(norm, __builtin_fabs(projected));
    }
    *t_min = t_least;
    *pinned += count;
    return norm;
}

static void mask(ptrdiff_t n, const signed char *restrict status, const double *restrict v,
                 double *restrict out)
{
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++)
        out[i] = status[i] ? 0.0 : v[i];
}

static void step_free(ptrdiff_t n, double inv_theta, const double *restrict g,
                      const double *restrict we, double *restrict d)
{
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++)
        d[i] = we[i] - inv_theta * g[i];
}

static double step_box(ptrdiff_t n, double inv_theta, double t_fixed, const double *restrict x,
                       const double *restrict g, const double *restrict l,
                       const double *restrict u, const double *restrict we, double *restrict d)
{
    double limit = __builtin_inf();
#pragma omp simd reduction(least : limit)
    for (ptrdiff_t i = 0; i < n; i++) {
        double to_bound = (g[i] > 0 ? l[i] : u[i]) - x[i];
        double step = move(x[i], we[i] - inv_theta * g[i], l[i], u[i]) - x[i];
        step = break_point(x[i], g[i], l[i], u[i]) <= t_fixed ? to_bound : step;
        d[i] = step;
        double room = (step > 0 ? u[i] : l[i]) - x[i];
        limit = lesser(limit, step != 0 ? room / step : __builtin_inf());
    }
    return limit;
}

static double step_truncated(ptrdiff_t n, double inv_theta, double t_fixed, double t_cauchy,
                             double alpha, const double *restrict x, const double *restrict g,
                             const double *restrict l, const double *restrict u,
                             const double *restrict we, double *restrict d)
{
    double limit = __builtin_inf();
#pragma omp simd reduction(least : limit)
    for (ptrdiff_t i = 0; i < n; i++) {
        double to_bound = (g[i] > 0 ? l[i] : u[i]) - x[i];
        double to_cauchy = -t_cauchy * g[i];
        double step = to_cauchy + alpha * ((we[i] - inv_theta * g[i]) - to_cauchy);
        step = move(x[i], step, l[i], u[i]) - x[i];
        step = break_point(x[i], g[i], l[i], u[i]) <= t_fixed ? to_bound : step;
        d[i] = step;
        double room = (step > 0 ? u[i] : l[i]) - x[i];
        limit = lesser(limit, step != 0 ? room / step : __builtin_inf());
    }
    return limit;
}

static double subspace_limit(ptrdiff_t n, double inv_theta, double t_fixed, double t_cauchy,
                             const double *restrict x, const double *restrict g,
                             const double *restrict l, const double *restrict u,
                             const double *restrict we)
{
    double limit = 1;
#pragma omp simd reduction(least : limit)
    for (ptrdiff_t i = 0; i < n; i++) {
        double to_cauchy = -t_cauchy * g[i];
        double step = (we[i] - inv_theta * g[i]) - to_cauchy;
        double room = (step > 0 ? u[i] : l[i]) - (x[i] + to_cauchy);
        int stays = step == 0 || break_point(x[i], g[i], l[i], u[i]) <= t_fixed;
        limit = lesser(limit, stays ? 1.0 : greater(room / step, 0.0));
    }
    return limit;
}

INLINE void status_of_rows(ptrdiff_t rows, double t_fixed, const double *restrict x,
                           const double *restrict g, const double *restrict l,
                           const double *restrict u, signed char *restrict now)
{
    double status[LANES];
#pragma omp simd
    for (ptrdiff_t j = 0; j < rows; j++) {
        double side = g[j] > 0 ? -1.0 : 1.0;
        status[j] = break_point(x[j], g[j], l[j], u[j]) <= t_fixed ? side : 0.0;
    }
    for (ptrdiff_t j = 0; j < rows; j++)
        now[j] = (signed char)status[j];
}

INLINE ptrdiff_t note_changes(ptrdiff_t rows, ptrdiff_t first, const signed char *now,
                              signed char *status, ptrdiff_t *changed, ptrdiff_t count)
{
    for (ptrdiff_t j = 0; j < rows; j++) {
        if ((now[j] == 0) != (status[j] == 0))
            changed[count++] = first + j;
        status[j] = now[j];
    }
    return count;
}

static ptrdiff_t update_status(ptrdiff_t n, ptrdiff_t first, double t_fixed,
                               const double *restrict x, const double *restrict g,
                               const double *restrict l, const double *restrict u,
                               signed char *restrict status, ptrdiff_t *restrict changed)
{
    ptrdiff_t count = 0, whole = n / LANES * LANES;
    signed char now[LANES];
    for (ptrdiff_t i = 0; i < whole; i += LANES) {
        status_of_rows(LANES, t_fixed, x + i, g + i, l + i, u + i, now);
        if (memcmp(now, status + i, LANES) != 0)
            count = note_changes(LANES, first + i, now, status + i, changed, count);
    }
    status_of_rows(n - whole, t_fixed, x + whole, g + whole, l + whole, u + whole, now);
    return note_changes(n - whole, first + whole, now, status + whole, changed, count);
}

static ptrdiff_t break_points(ptrdiff_t n, ptrdiff_t first, double t_low, double t_high,
                              const double *restrict x, const double *restrict g,
                              const double *restrict l, const double *restrict u,
                              double *restrict t, ptrdiff_t *restrict row)
{
    ptrdiff_t count = 0;
    double at[LANES];
    for (ptrdiff_t i = 0; i < n; i += LANES) {
        ptrdiff_t rows = n - i < LANES ? n - i : LANES;
        int inside = 0;
        for (ptrdiff_t j = 0; j < rows; j++) {
            at[j] = break_point(x[i + j], g[i + j], l[i + j], u[i + j]);
            inside |= (at[j] > t_low) & (at[j] <= t_high);
        }
        for (ptrdiff_t j = 0; inside && j < rows; j++)
            if (at[j] > t_low && at[j] <= t_high) {
                t[count] = at[j];
                row[count++] = first + i + j;
            }
    }
    return count;
}

void NAMED(lbfgsb_fill_rows)(Kernels *kernels)
{
    kernels->trial_free = trial_free;
    kernels->trial_box = trial_box;
    kernels->accept_free = accept_free;
    kernels->accept_box = accept_box;
    kernels->mask = mask;
    kernels->step_free = step_free;
    kernels->step_box = step_box;
    kernels->step_truncated = step_truncated;
    kernels->subspace_limit = subspace_limit;
    kernels->update_status = update_status;
    kernels->break_points = break_points;
}
