/* What the kernels that are written with vectors have in common: a register of VBYTES bytes. */
#ifndef LBFGSB_KERNELS_VECTOR_H
#define LBFGSB_KERNELS_VECTOR_H

#include "kernels_simd.h"

typedef double vec __attribute__((vector_size(VBYTES)));

enum { VLEN = VBYTES / 8 };

#define INLINE static inline __attribute__((always_inline))
#define PASTE2(a, b) a##b
#define PASTE(a, b) PASTE2(a, b)
#define NAMED(f) PASTE(PASTE(f, _), LEVEL)

INLINE vec load(const double *p) { return *(const vec *)p; }
INLINE void store(double *p, vec v) { *(vec *)p = v; }
INLINE vec fill(double a) { return a - (vec){0}; }

#endif
