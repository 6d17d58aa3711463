/* Sums in lanes, folded in a fixed order (see kernels.h).
 *
 * Compiled once for each instruction set, as the panel kernels.
 */
#include "kernels_vector.h"

static void packed_gram(const double *packed, ptrdiff_t ncols, double *acc)
{
    for (ptrdiff_t a = 0; a < ncols; a++)
        for (ptrdiff_t b = 0; b <= a; b++, acc += LANES)
            for (int part = 0; part < PARTS; part++) {
                const double *p = packed + a * PACK + part * VLEN;
                const double *q = packed + b * PACK + part * VLEN;
                vec sum = load(acc + part * VLEN);
                for (int t = 0; t < PACK; t += LANES)
                    sum = mul_add(load(p + t), load(q + t), sum);
                store(acc + part * VLEN, sum);
            }
}

typedef double unaligned_pair __attribute__((vector_size(16), aligned(8)));

static void lane_sum(const double *acc, ptrdiff_t count, double *out)
{
    ptrdiff_t i = 0;
    for (; i + 2 <= count; i += 2) {
        pair s = quarter_sums(acc + i * LANES), t = quarter_sums(acc + (i + 1) * LANES);
        *(unaligned_pair *)(out + i) += (pair){s[0], t[0]} + (pair){s[1], t[1]};
    }
    for (; i < count; i++) {
        pair s = quarter_sums(acc + i * LANES);
        out[i] += s[0] + s[1];
    }
}

static void dot(ptrdiff_t n, const double *a, const double *b, double *acc)
{
    vec sum[PARTS];
    ptrdiff_t whole = n / LANES * LANES;
    for (int part = 0; part < PARTS; part++)
        sum[part] = load(acc + part * VLEN);
    for (ptrdiff_t i = 0; i < whole; i += LANES)
        for (int part = 0; part < PARTS; part++)
            sum[part] = mul_add(*(const unaligned_vec *)(a + i + part * VLEN),
                                *(const unaligned_vec *)(b + i + part * VLEN), sum[part]);
    for (int part = 0; part < PARTS; part++)
        store(acc + part * VLEN, sum[part]);
    for (ptrdiff_t i = whole; i < n; i++)
        acc[i - whole] = mul_add_1(a[i], b[i], acc[i - whole]);
}

void NAMED(lbfgsb_fill_sums)(Kernels *kernels)
{
    kernels->packed_gram = packed_gram;
    kernels->lane_sum = lane_sum;
    kernels->dot = dot;
}
