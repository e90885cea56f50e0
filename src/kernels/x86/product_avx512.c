#include <string.h>

#include "kernels/kernels.h"
#include "kernels/x86/lanes_avx512.h"

// A panel is four vectors wide; a tile of six rows keeps 24 sums, 4 values of B and one broadcast
// of A in 32 registers.
enum { VECTORS = 4, PANEL = 16 * VECTORS, ROWS = 6 };

static void pack_rows(float *panels, const float *w, size_t w_stride, size_t n, size_t k) {
    const __m512i rows = _mm512_mullo_epi64(_mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7),
                                            _mm512_set1_epi64((long long)w_stride));
    for (size_t first = 0; first < n; first += PANEL, panels += k * PANEL) {
        for (size_t j = 0; j < PANEL; j += 8) {
            const size_t left = first + j < n ? n - first - j : 0;
            const __mmask8 lanes = (__mmask8)first_avx512(left);
            const float *w_rows = left ? w + (first + j) * w_stride : w;
            for (size_t i = 0; i < k; i++) {
                const __m256 column =
                    _mm512_mask_i64gather_ps(_mm256_setzero_ps(), lanes, rows, w_rows + i, 4);
                _mm256_storeu_ps(panels + i * PANEL + j, column);
            }
        }
    }
}

static void pack_columns(float *panels, const float *v, size_t v_stride, size_t k, size_t n) {
    for (size_t first = 0; first < n; first += PANEL, panels += k * PANEL) {
        for (size_t j = 0; j < PANEL; j += 16) {
            const __mmask16 lanes = first + j < n ? first_avx512(n - first - j) : 0;
            const float *column = lanes ? v + first + j : v;
            for (size_t i = 0; i < k; i++) {
                _mm512_storeu_ps(panels + i * PANEL + j,
                                 _mm512_maskz_loadu_ps(lanes, column + i * v_stride));
            }
        }
    }
}

// rows x 16 vectors of C; `rows` and `vectors` are constants where this is inlined, so the sums
// stay in registers.
static inline __attribute__((always_inline)) void tile(float *c, size_t c_stride,
                                                       const float *const *a, const float *b,
                                                       size_t k, size_t n, const int rows,
                                                       const int vectors, bool accumulate) {
    const __mmask16 tail = first_avx512(n - 16 * (size_t)(vectors - 1));
    __m512 sums[ROWS][VECTORS];
#pragma GCC unroll 6
    for (int row = 0; row < rows; row++) {
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            const __mmask16 lanes = accumulate ? (v + 1 < vectors ? (__mmask16)0xffff : tail) : 0;
            sums[row][v] = _mm512_maskz_loadu_ps(lanes, c + (size_t)row * c_stride + 16 * v);
        }
    }
    for (size_t i = 0; i < k; i++, b += PANEL) {
        __m512 values[VECTORS];
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) values[v] = _mm512_loadu_ps(b + 16 * v);
#pragma GCC unroll 6
        for (int row = 0; row < rows; row++) {
            const __m512 factor = _mm512_set1_ps(a[row][i]);
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++)
                sums[row][v] = _mm512_fmadd_ps(factor, values[v], sums[row][v]);
        }
    }
#pragma GCC unroll 6
    for (int row = 0; row < rows; row++) {
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            const __mmask16 lanes = v + 1 < vectors ? (__mmask16)0xffff : tail;
            _mm512_mask_storeu_ps(c + (size_t)row * c_stride + 16 * v, lanes, sums[row][v]);
        }
    }
}

// All rows of one panel that is `vectors` vectors wide.
static inline __attribute__((always_inline)) void
panel_product(float *c, size_t c_stride, const float *const *a, size_t rows, const float *b,
              size_t k, size_t n, const int vectors, bool accumulate) {
    for (; rows >= ROWS; rows -= ROWS, a += ROWS, c += ROWS * c_stride) {
        tile(c, c_stride, a, b, k, n, ROWS, vectors, accumulate);
    }
    switch (rows) {
    case 5: tile(c, c_stride, a, b, k, n, 5, vectors, accumulate); break;
    case 4: tile(c, c_stride, a, b, k, n, 4, vectors, accumulate); break;
    case 3: tile(c, c_stride, a, b, k, n, 3, vectors, accumulate); break;
    case 2: tile(c, c_stride, a, b, k, n, 2, vectors, accumulate); break;
    case 1: tile(c, c_stride, a, b, k, n, 1, vectors, accumulate); break;
    default: break;
    }
}

static void product(float *c, size_t c_stride, const float *const *a, size_t rows,
                    const float *panels, size_t panel_stride, size_t n, size_t k, bool accumulate) {
    for (; n > 0; c += PANEL, panels += panel_stride) {
        const size_t width = n < PANEL ? n : PANEL;
        switch ((width + 15) / 16) {
        case 1: panel_product(c, c_stride, a, rows, panels, k, width, 1, accumulate); break;
        case 2: panel_product(c, c_stride, a, rows, panels, k, width, 2, accumulate); break;
        case 3: panel_product(c, c_stride, a, rows, panels, k, width, 3, accumulate); break;
        default: panel_product(c, c_stride, a, rows, panels, k, width, 4, accumulate); break;
        }
        n -= width;
    }
}

void product_init_avx512(struct kernels *table) {
    table->panel = PANEL;
    table->pack_rows_f32 = pack_rows;
    table->pack_columns_f32 = pack_columns;
    table->product_f32 = product;
}
