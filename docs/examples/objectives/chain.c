/* A chain of n masses between two walls: springs that harden, and weights that pull.
   `data` points to the weight of a mass. */
#include <stdint.h>

int chain(intptr_t n, const double *x, double *f, double *g, void *data)
{
    const double weight = *(const double *)data;
    double left = 0, value = 0, d, force;
    intptr_t i;

    for (i = 0; i < n; i++)
        g[i] = -weight;
    for (i = 0; i <= n; i++) {
        d = (i < n ? x[i] : 0) - left;
        value += 0.5 * d * d + 0.25 * d * d * d * d;
        force = d + d * d * d;
        if (i < n) {
            value -= weight * x[i];
            g[i] += force;
            left = x[i];
        }
        if (i > 0)
            g[i - 1] -= force;
    }
    *f = value;
    return 0;
}
