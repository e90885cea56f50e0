#include "kernels/x86/product_avx512.h"

static void product_i8(float *c, size_t c_stride, const void *const *a, size_t rows,
                       const void *panels, size_t panel_bytes, size_t n, size_t lanes,
                       bool accumulate, const struct upcoming *upcoming) {
    product_avx512(c, c_stride, a, rows, panels, panel_bytes, n, lanes, accumulate, upcoming,
                   FORMAT_I8);
}

void product_init_avx512vnni(struct kernels *table) {
    table->has_format[FORMAT_I8] = true;
    table->product[FORMAT_I8] = product_i8;
}
