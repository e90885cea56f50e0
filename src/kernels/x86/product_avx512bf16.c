#include "kernels/x86/product_avx512.h"

static void product_bf16(float *c, size_t c_stride, const void *const *a, size_t rows,
                         const void *panels, size_t panel_bytes, size_t n, size_t lanes,
                         bool accumulate, const struct upcoming *upcoming) {
    product_avx512(c, c_stride, a, rows, panels, panel_bytes, n, lanes, accumulate, upcoming,
                   FORMAT_BF16);
}

void product_init_avx512bf16(struct kernels *table) {
    table->has_format[FORMAT_BF16] = true;
    table->product[FORMAT_BF16] = product_bf16;
}
