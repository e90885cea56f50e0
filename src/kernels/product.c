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

static void product(float *c, size_t c_stride, const float *const *a, size_t rows,
                    const float *panels, size_t panel_stride, size_t n, size_t k, bool accumulate) {
    for (size_t first = 0; first < n; first += PANEL, panels += panel_stride) {
        const size_t width = n - first < PANEL ? n - first : PANEL;
        for (size_t row = 0; row < rows; row++) {
            float *out = c + row * c_stride + first;
            float sum[PANEL] = {0};
            if (accumulate) memcpy(sum, out, width * sizeof *sum);
            for (size_t i = 0; i < k; i++) {
                for (size_t j = 0; j < PANEL; j++) sum[j] += a[row][i] * panels[i * PANEL + j];
            }
            memcpy(out, sum, width * sizeof *sum);
        }
    }
}

void product_init_c(struct kernels *table) {
    table->panel = PANEL;
    table->pack_rows_f32 = pack_rows;
    table->pack_columns_f32 = pack_columns;
    table->product_f32 = product;
}
