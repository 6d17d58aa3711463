/* What the kernels that are written with vectors have in common: a register of VBYTES bytes, and
 * multiply-add.
 *
 * A multiply-add is fused where the code says `mul_add` and the level has it, and nowhere else
 * (-ffp-contract=off): left to itself, each compiler fuses in other places. So a level has the same
 * bits from every compiler, AVX2 and AVX-512 agree, and the baseline, which never fuses, agrees on
 * every processor.
 */
#ifndef LBFGSB_KERNELS_VECTOR_H
#define LBFGSB_KERNELS_VECTOR_H

#include "kernels.h"

#if VBYTES > 16
#include <immintrin.h>
#endif

typedef double vec __attribute__((vector_size(VBYTES)));
typedef double unaligned_vec __attribute__((vector_size(VBYTES), aligned(8)));

enum { VLEN = VBYTES / 8 };
enum { PARTS = LANES / VLEN };    /* registers of a tile's column */

#define INLINE static inline __attribute__((always_inline))
#define PASTE2(a, b) a##b
#define PASTE(a, b) PASTE2(a, b)
#define NAMED(f) PASTE(PASTE(f, _), LEVEL)
#define NAMED_FOR(f, type) NAMED(PASTE(PASTE(f, _), type))

INLINE vec load(const double *p) { return *(const vec *)p; }
INLINE void store(double *p, vec v) { *(vec *)p = v; }
INLINE vec fill(double a) { return a - (vec){0}; }

/* a b + c, and the same for numbers */
#if VBYTES == 64
INLINE vec mul_add(vec a, vec b, vec c) { return _mm512_fmadd_pd(a, b, c); }
INLINE double mul_add_1(double a, double b, double c) { return __builtin_fma(a, b, c); }
#elif VBYTES == 32
INLINE vec mul_add(vec a, vec b, vec c) { return _mm256_fmadd_pd(a, b, c); }
INLINE double mul_add_1(double a, double b, double c) { return __builtin_fma(a, b, c); }
#else
INLINE vec mul_add(vec a, vec b, vec c) { return a * b + c; }
INLINE double mul_add_1(double a, double b, double c) { return a * b + c; }
#endif

typedef double pair __attribute__((vector_size(16)));

/* The sums of the even and of the odd lanes: (a0 + a4) + (a2 + a6), (a1 + a5) + (a3 + a7). */
INLINE pair quarter_sums(const double *a)
{
    const pair *p = (const pair *)a;
    return (p[0] + p[2]) + (p[1] + p[3]);
}

/* The sum of all lanes, in that order, of a tile's column in registers. */
INLINE double total(const vec *sum)
{
#if VBYTES == 64
    __m256d half = _mm512_castpd512_pd256(sum[0]) + _mm512_extractf64x4_pd(sum[0], 1);
    pair s = _mm256_castpd256_pd128(half) + _mm256_extractf128_pd(half, 1);
#elif VBYTES == 32
    __m256d half = sum[0] + sum[1];
    pair s = _mm256_castpd256_pd128(half) + _mm256_extractf128_pd(half, 1);
#else
    pair s = (sum[0] + sum[2]) + (sum[1] + sum[3]);
#endif
    return s[0] + s[1];
}

#endif
