/* Chooses the kernels at run time: one wheel that is fast on every processor. */
#include <stdlib.h>
#include <string.h>

#include "kernels.h"
#include "platform.h"

#define DECLARE(level)                                        \
    void lbfgsb_fill_panel_float64_##level(Kernels *kernels); \
    void lbfgsb_fill_panel_float32_##level(Kernels *kernels); \
    void lbfgsb_fill_sums_##level(Kernels *kernels);          \
    void lbfgsb_fill_few_##level(Kernels *kernels);           \
    void lbfgsb_fill_dense_##level(Kernels *kernels);         \
    void lbfgsb_fill_rows_##level(Kernels *kernels);

DECLARE(baseline)
#ifdef LBFGSB_X86
DECLARE(avx2)
DECLARE(avx512)
static Kernels avx512 = {.name = "avx512"}, avx2 = {.name = "avx2"};
#endif
static Kernels baseline = {.name = "baseline"};
static const Kernels *supported[4];

#define FILL(level)                                \
    do {                                           \
        lbfgsb_fill_panel_float64_##level(&level); \
        lbfgsb_fill_panel_float32_##level(&level); \
        lbfgsb_fill_sums_##level(&level);          \
        lbfgsb_fill_few_##level(&level);           \
        lbfgsb_fill_dense_##level(&level);         \
        lbfgsb_fill_rows_##level(&level);          \
        *next++ = &level;                          \
    } while (0)

/* Called under the import lock first, hence filled once. */
const Kernels *const *lbfgsb_kernels_supported(void)
{
    if (supported[0])
        return supported;
    const Kernels **next = supported;
#ifdef LBFGSB_X86
    int bits = platform_vector_bits();
    if (bits >= 512)
        FILL(avx512);
    if (bits >= 256)
        FILL(avx2);
#endif
    FILL(baseline);
    return supported;
}

const Kernels *lbfgsb_kernels(void)
{
    static const Kernels *chosen;
    if (!chosen) {
        const Kernels *const *level = lbfgsb_kernels_supported();
        const char *wanted = getenv("LBFGSB_CPU");
        chosen = level[0];
        for (; wanted && *level; level++)
            if (strcmp(wanted, (*level)->name) == 0)
                chosen = *level;
    }
    return chosen;
}
