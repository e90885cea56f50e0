#include <string.h>

#include "kernels/kernels.h"
#include "kernels/x86/lanes_avx2.h"

// A panel is two vectors wide; a tile of six rows keeps 12 sums, 2 values of B and one broadcast of
// A in 16 registers.
enum { VECTORS = 2, PANEL = 8 * VECTORS, ROWS = 6 };

static void pack_rows(void *panels, const void *rows, size_t row_bytes, size_t n, size_t lanes) {
    uint32_t *out = panels;
    for (size_t first = 0; first < n; first += PANEL, out += lanes * PANEL) {
        for (size_t j = 0; j < PANEL; j++) {
            const unsigned char *row = (const unsigned char *)rows + (first + j) * row_bytes;
            for (size_t i = 0; i < lanes; i++) {
                uint32_t bits = 0;
                if (first + j < n) memcpy(&bits, row + i * LANE_BYTES, sizeof bits);
                out[i * PANEL + j] = bits;
            }
        }
    }
}

static void pack_columns_f32(void *panels, const void *v, size_t v_stride, size_t k, size_t n) {
    float *out = panels;
    for (size_t first = 0; first < n; first += PANEL, out += k * PANEL) {
        for (size_t j = 0; j < PANEL; j += 8) {
            const size_t left = first + j < n ? n - first - j : 0;
            const __m256i lanes = first_avx2(left < 8 ? left : 8);
            const float *column = (const float *)v + (left ? first + j : 0);
            for (size_t i = 0; i < k; i++) {
                _mm256_storeu_ps(out + i * PANEL + j,
                                 _mm256_maskload_ps(column + i * v_stride, lanes));
            }
        }
    }
}

// Vector v of a row of C, whole or, where columns end, in part: masked stores are slow.
static inline __m256 load_sum(const float *c, bool whole, __m256i part) {
    return whole ? _mm256_loadu_ps(c) : _mm256_maskload_ps(c, part);
}

static inline void store_sum(float *c, bool whole, __m256i part, __m256 value) {
    if (whole)
        _mm256_storeu_ps(c, value);
    else
        _mm256_maskstore_ps(c, part, value);
}

// Lanes of B that are fetched into the nearest cache ahead of their products, and steps of the loop that are
// written out: with its counting it would have more instructions than a CPU of four a cycle decodes in time.
enum { AHEAD = 16 };

// rows x 2 vectors of C, of which n columns exist; `rows` is a constant where this is inlined.
static inline __attribute__((always_inline)) void tile(float *c, size_t c_stride,
                                                       const void *const *a, const float *b,
                                                       size_t k, size_t n, bool accumulate,
                                                       const unsigned char *next, const int rows) {
    const bool whole[VECTORS] = {n >= 8, n == PANEL};
    const __m256i part[VECTORS] = {first_avx2(n < 8 ? n : 8), first_avx2(n < 8 ? 0 : n - 8)};
    const float *x[ROWS];
    __m256 sums[ROWS][VECTORS];
#pragma GCC unroll 6
    for (int row = 0; row < rows; row++) {
        x[row] = a[row];
        for (int v = 0; v < VECTORS; v++) {
            const float *from = c + (size_t)row * c_stride + 8 * v;
            sums[row][v] = accumulate ? load_sum(from, whole[v], part[v]) : _mm256_setzero_ps();
        }
    }
#pragma GCC unroll 4
    for (size_t i = 0; i < k; i++, b += PANEL, next += CACHE_LINE) {
        _mm_prefetch(b + AHEAD * PANEL, _MM_HINT_T0);
        _mm_prefetch(next, _MM_HINT_T1);
        const __m256 left = _mm256_loadu_ps(b), right = _mm256_loadu_ps(b + 8);
#pragma GCC unroll 6
        for (int row = 0; row < rows; row++) {
            const __m256 factor = _mm256_set1_ps(x[row][i]);
            sums[row][0] = _mm256_fmadd_ps(factor, left, sums[row][0]);
            sums[row][1] = _mm256_fmadd_ps(factor, right, sums[row][1]);
        }
    }
#pragma GCC unroll 6
    for (int row = 0; row < rows; row++) {
        for (int v = 0; v < VECTORS; v++)
            store_sum(c + (size_t)row * c_stride + 8 * v, whole[v], part[v], sums[row][v]);
    }
}

static void panel_product(float *c, size_t c_stride, const void *const *a, size_t rows,
                          const float *b, size_t k, size_t n, bool accumulate,
                          const struct upcoming *upcoming) {
    const unsigned char *next =
        upcoming && upcoming->panel ? upcoming->panel : (const unsigned char *)b;
    const bool hand_on = upcoming && upcoming->complete;
    size_t row = 0;
    for (; row + ROWS <= rows; row += ROWS, a += ROWS, c += ROWS * c_stride) {
        tile(c, c_stride, a, b, k, n, accumulate, next, ROWS);
        if (hand_on) upcoming->complete(upcoming->argument, row, ROWS);
        next = (const unsigned char *)b; // fetched, as this panel is
    }
    switch (rows - row) {
    case 5: tile(c, c_stride, a, b, k, n, accumulate, next, 5); break;
    case 4: tile(c, c_stride, a, b, k, n, accumulate, next, 4); break;
    case 3: tile(c, c_stride, a, b, k, n, accumulate, next, 3); break;
    case 2: tile(c, c_stride, a, b, k, n, accumulate, next, 2); break;
    case 1: tile(c, c_stride, a, b, k, n, accumulate, next, 1); break;
    default: return;
    }
    if (hand_on) upcoming->complete(upcoming->argument, row, rows - row);
}

static void product_f32(float *c, size_t c_stride, const void *const *a, size_t rows,
                        const void *panels, size_t panel_bytes, size_t n, size_t lanes,
                        bool accumulate, const struct upcoming *upcoming) {
    const unsigned char *b = panels;
    for (; n > 0; c += PANEL, b += panel_bytes) {
        const size_t width = n < PANEL ? n : PANEL;
        panel_product(c, c_stride, a, rows, (const float *)(const void *)b, lanes, width,
                      accumulate, upcoming);
        n -= width;
    }
}

// Panels are as wide as plain C's, so that its products of the other formats still fit.
void product_init_avx2(struct kernels *table) {
    table->panel = PANEL;
    for (size_t i = 0; i < FORMATS; i++) {
        table->sizes[i] = (struct product_sizes){.tile_rows = ROWS,
                                                 .block_lanes = 768,
                                                 .pass_lanes = SIZE_MAX,
                                                 .task_rows = 48,
                                                 .query_rows = 48};
    }
    table->pack_rows = pack_rows;
    table->pack_columns[FORMAT_F32] = pack_columns_f32;
    table->product[FORMAT_F32] = product_f32;
}
