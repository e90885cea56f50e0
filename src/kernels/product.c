// Matrix products over packed panels, plain C.
#include <string.h>

#include "kernels/bf16.h"
#include "kernels/kernels.h"

enum { PANEL = 16 };

static uint32_t load_lane(const void *at, size_t lane) {
    uint32_t bits;
    memcpy(&bits, (const unsigned char *)at + lane * LANE_BYTES, sizeof bits);
    return bits;
}

static void pack_rows(void *panels, const void *rows, size_t row_bytes, size_t n, size_t lanes) {
    unsigned char *out = panels;
    for (size_t first = 0; first < n; first += PANEL, out += lanes * PANEL * LANE_BYTES) {
        for (size_t j = 0; j < PANEL; j++) {
            const unsigned char *row = (const unsigned char *)rows + (first + j) * row_bytes;
            for (size_t i = 0; i < lanes; i++) {
                const uint32_t bits = first + j < n ? load_lane(row, i) : 0;
                memcpy(out + (i * PANEL + j) * LANE_BYTES, &bits, sizeof bits);
            }
        }
    }
}

static void pack_columns_f32(void *panels, const void *v, size_t v_stride, size_t k, size_t n) {
    float *out = panels;
    for (size_t first = 0; first < n; first += PANEL) {
        for (size_t i = 0; i < k; i++) {
            const float *row = (const float *)v + i * v_stride + first;
            for (size_t j = 0; j < PANEL; j++) *out++ = first + j < n ? row[j] : 0.0f;
        }
    }
}

// A lane holds the values of two rows of V, the upper row in its lower half.
static void pack_columns_bf16(void *panels, const void *v, size_t v_stride, size_t k, size_t n) {
    uint16_t *out = panels;
    for (size_t first = 0; first < n; first += PANEL) {
        for (size_t i = 0; i < k; i += 2) {
            const uint16_t *row = (const uint16_t *)v + i * v_stride + first;
            for (size_t j = 0; j < PANEL; j++) {
                *out++ = first + j < n ? row[j] : 0;
                *out++ = first + j < n && i + 1 < k ? row[v_stride + j] : 0;
            }
        }
    }
}

/* ---- products ------------------------------------------------------------------------------ */

// One row of C over one panel: a chain of sums for each of its columns.
typedef void row_product(float *c, const void *a, const void *b, size_t width, size_t lanes,
                         bool accumulate);

static void row_f32(float *c, const void *a, const void *b, size_t width, size_t lanes,
                    bool accumulate) {
    const float *x = a, *panel = b;
    float sum[PANEL];
    for (size_t j = 0; j < PANEL; j++) sum[j] = accumulate && j < width ? c[j] : 0.0f;
    for (size_t i = 0; i < lanes; i++) {
#pragma GCC unroll 1 // unrolled, gcc no longer sees a vector in it
        for (size_t j = 0; j < PANEL; j++) sum[j] += x[i] * panel[i * PANEL + j];
    }
    for (size_t j = 0; j < width; j++) c[j] = sum[j];
}

static void row_bf16(float *c, const void *a, const void *b, size_t width, size_t lanes,
                     bool accumulate) {
    const uint16_t *x = a, *panel = b;
    float sum[PANEL];
    for (size_t j = 0; j < PANEL; j++) sum[j] = accumulate && j < width ? c[j] : 0.0f;
    for (size_t i = 0; i < 2 * lanes; i++) {
        for (size_t j = 0; j < PANEL; j++) {
            sum[j] += bf16_to_f32(x[i]) * bf16_to_f32(panel[i / 2 * 2 * PANEL + 2 * j + i % 2]);
        }
    }
    for (size_t j = 0; j < width; j++) c[j] = sum[j];
}

static void row_i8(float *c, const void *a, const void *b, size_t width, size_t lanes,
                   bool accumulate) {
    const int8_t *x = a;
    const uint8_t *panel = b;
    const int32_t offset = (int32_t)load_lane(a, lanes + 1);
    float scale, scales[PANEL];
    memcpy(&scale, (const unsigned char *)a + lanes * LANE_BYTES, sizeof scale);
    memcpy(scales, panel + lanes * PANEL * LANE_BYTES, sizeof scales);
    for (size_t j = 0; j < width; j++) {
        int32_t sum = offset;
        for (size_t i = 0; i < 4 * lanes; i++)
            sum += x[i] * panel[i / 4 * 4 * PANEL + 4 * j + i % 4];
        const float value = (float)sum * scale * scales[j];
        c[j] = accumulate ? c[j] + value : value;
    }
}

static void product(float *c, size_t c_stride, const void *const *a, size_t rows,
                    const void *panels, size_t panel_bytes, size_t n, size_t lanes, bool accumulate,
                    const struct upcoming *upcoming, row_product *multiply) {
    const unsigned char *panel = panels;
    for (size_t first = 0; first < n; first += PANEL, panel += panel_bytes) {
        const size_t width = n - first < PANEL ? n - first : PANEL;
        for (size_t row = 0; row < rows; row++) {
            multiply(c + row * c_stride + first, a[row], panel, width, lanes, accumulate);
            if (upcoming && upcoming->complete) upcoming->complete(upcoming->argument, row, 1);
        }
    }
}

static void product_f32(float *c, size_t c_stride, const void *const *a, size_t rows,
                        const void *panels, size_t panel_bytes, size_t n, size_t lanes,
                        bool accumulate, const struct upcoming *upcoming) {
    product(c, c_stride, a, rows, panels, panel_bytes, n, lanes, accumulate, upcoming, row_f32);
}

static void product_bf16(float *c, size_t c_stride, const void *const *a, size_t rows,
                         const void *panels, size_t panel_bytes, size_t n, size_t lanes,
                         bool accumulate, const struct upcoming *upcoming) {
    product(c, c_stride, a, rows, panels, panel_bytes, n, lanes, accumulate, upcoming, row_bf16);
}

static void product_i8(float *c, size_t c_stride, const void *const *a, size_t rows,
                       const void *panels, size_t panel_bytes, size_t n, size_t lanes,
                       bool accumulate, const struct upcoming *upcoming) {
    product(c, c_stride, a, rows, panels, panel_bytes, n, lanes, accumulate, upcoming, row_i8);
}

void product_init_c(struct kernels *table) {
    table->panel = PANEL;
    for (size_t i = 0; i < FORMATS; i++) {
        table->sizes[i] = (struct product_sizes){.tile_rows = 1,
                                                 .block_lanes = 768,
                                                 .pass_lanes = SIZE_MAX,
                                                 .task_rows = 48,
                                                 .query_rows = 48};
    }
    table->has_format[FORMAT_F32] = true;
    table->has_format[FORMAT_BF16] = table->has_format[FORMAT_I8] = false;
    table->pack_rows = pack_rows;
    table->pack_columns[FORMAT_F32] = pack_columns_f32;
    table->pack_columns[FORMAT_BF16] = pack_columns_bf16;
    table->pack_columns[FORMAT_I8] = NULL; // values of attention are never int8
    table->product[FORMAT_F32] = product_f32;
    table->product[FORMAT_BF16] = product_bf16;
    table->product[FORMAT_I8] = product_i8;
}
