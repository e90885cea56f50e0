// Matrix products over packed panels, plain C.
#include <string.h>

#include "kernels/kernels.h"

enum { PANEL = 16 };

static void pack_rows(float *panels, const float *w, size_t w_stride, size_t n, size_t k) {
    for (size_t first = 0; first < n; first += PANEL, panels += k * PANEL) {
        for (size_t j = 0; j < PANEL; j++) {
            const float *row = first + j < n ? w + (first + j) * w_stride : NULL;
            for (size_t i = 0; i < k; i++) panels[i * PANEL + j] = row ? row[i] : 0.0f;
        }
    }
}

static void pack_columns(float *panels, const float *v, size_t v_stride, size_t k, size_t n) {
    for (size_t first = 0; first < n; first += PANEL, panels += k * PANEL) {
        const size_t width = n - first < PANEL ? n - first : PANEL;
        for (size_t i = 0; i < k; i++) {
            memcpy(panels + i * PANEL, v + i * v_stride + first, width * sizeof *panels);
            memset(panels + i * PANEL + width, 0, (PANEL - width) * sizeof *panels);
        }
    }
}

// One row of C over one panel: a chain of sums for each of its columns.
static void row_product(float *c, const float *a, const float *b, size_t width, size_t k,
                        bool accumulate) {
    float sum[PANEL];
    for (size_t j = 0; j < PANEL; j++) sum[j] = accumulate && j < width ? c[j] : 0.0f;
    for (size_t i = 0; i < k; i++) {
#pragma GCC unroll 1 // unrolled, gcc no longer sees a vector in it
        for (size_t j = 0; j < PANEL; j++) sum[j] += a[i] * b[i * PANEL + j];
    }
    for (size_t j = 0; j < width; j++) c[j] = sum[j];
}

static void product(float *c, size_t c_stride, const float *const *a, size_t rows,
                    const float *panels, size_t panel_stride, size_t n, size_t k, bool accumulate) {
    for (size_t first = 0; first < n; first += PANEL, panels += panel_stride) {
        const size_t width = n - first < PANEL ? n - first : PANEL;
        for (size_t row = 0; row < rows; row++) {
            row_product(c + row * c_stride + first, a[row], panels, width, k, accumulate);
        }
    }
}

void product_init_c(struct kernels *table) {
    table->panel = PANEL;
    table->pack_rows_f32 = pack_rows;
    table->pack_columns_f32 = pack_columns;
    table->product_f32 = product;
}
