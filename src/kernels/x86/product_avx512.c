#include "kernels/cpu.h"
#include "kernels/x86/product_avx512.h"

// Sixteen lanes of sixteen rows become sixteen rows of a panel: four rounds of interleaving, each of
// twice the width of the one before.
static inline void transpose(__m512i r[16]) {
    __m512i t[16];
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
        r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
        r[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
        r[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd);
    }
}

// Sixteen columns of a panel from rows of which n <= 16 exist.
static void pack_vector(unsigned char *out, const unsigned char *rows, size_t row_bytes, size_t n,
                        size_t lanes) {
    for (size_t i = 0; i < lanes; i += 16) {
        const __mmask16 there = first_avx512(lanes - i);
        const size_t some = lanes - i < 16 ? lanes - i : 16;
        __m512i r[16];
        for (size_t j = 0; j < 16; j++) {
            r[j] = j < n ? _mm512_maskz_loadu_epi32(there, rows + j * row_bytes + i * LANE_BYTES)
                         : _mm512_setzero_si512();
        }
        transpose(r);
        for (size_t j = 0; j < some; j++)
            _mm512_storeu_si512(out + (i + j) * PANEL * LANE_BYTES, r[j]);
    }
}

static void pack_rows(void *panels, const void *rows, size_t row_bytes, size_t n, size_t lanes) {
    unsigned char *out = panels;
    for (size_t first = 0; first < n; first += PANEL, out += lanes * PANEL * LANE_BYTES) {
        for (size_t v = 0; v < VECTORS; v++) {
            const size_t at = first + 16 * v, left = at < n ? n - at : 0;
            const unsigned char *from = (const unsigned char *)rows + (left ? at : 0) * row_bytes;
            pack_vector(out + 64 * v, from, row_bytes, left < 16 ? left : 16, lanes);
        }
    }
}

// Those of a panel's columns from `first` on that exist, of n.
static inline void panel_masks(__mmask16 there[VECTORS], size_t first, size_t n) {
    for (size_t v = 0; v < VECTORS; v++)
        there[v] = first + 16 * v < n ? first_avx512(n - first - 16 * v) : 0;
}

static void pack_columns_f32(void *panels, const void *v, size_t v_stride, size_t k, size_t n) {
    float *out = panels;
    for (size_t first = 0; first < n; first += PANEL) {
        __mmask16 there[VECTORS];
        panel_masks(there, first, n);
        const float *row = (const float *)v + first;
        for (size_t i = 0; i < k; i++, row += v_stride, out += PANEL) {
            for (size_t j = 0; j < VECTORS; j++)
                _mm512_storeu_ps(out + 16 * j, _mm512_maskz_loadu_ps(there[j], row + 16 * j));
        }
    }
}

// Two rows of V, column by column: the upper in the lower half of each lane.
static void pack_columns_bf16(void *panels, const void *v, size_t v_stride, size_t k, size_t n) {
    uint32_t *out = panels;
    for (size_t first = 0; first < n; first += PANEL) {
        __mmask16 there[VECTORS];
        panel_masks(there, first, n);
        const uint16_t *row = (const uint16_t *)v + first;
        for (size_t i = 0; i < k; i += 2, row += 2 * v_stride, out += PANEL) {
            const bool pair = i + 1 < k;
            for (size_t j = 0; j < VECTORS; j++) {
                const uint16_t *upper = row + 16 * j;
                const __m512i low =
                    _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(there[j], upper));
                const __m512i high = _mm512_cvtepu16_epi32(
                    _mm256_maskz_loadu_epi16(pair ? there[j] : 0, upper + (pair ? v_stride : 0)));
                _mm512_storeu_si512(out + 16 * j,
                                    _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
            }
        }
    }
}

static void product_f32(float *c, size_t c_stride, const void *const *a, size_t rows,
                        const void *panels, size_t panel_bytes, size_t n, size_t lanes,
                        bool accumulate, const struct upcoming *upcoming) {
    product_avx512(c, c_stride, a, rows, panels, panel_bytes, n, lanes, accumulate, upcoming,
                   FORMAT_F32);
}

// A small block of the panel, passed over by many tiles, where the first cache is filled slowly: from a large second one.
static struct product_sizes sizes_here(void) {
    const bool large = cpu_second_cache_bytes() >= (size_t)2 << 20;
    return (struct product_sizes){.tile_rows = ROWS,
                                  .block_lanes = large ? 384 : 768,
                                  .pass_lanes = SIZE_MAX,
                                  .task_rows = 104,
                                  .query_rows = 48};
}

// The other formats' products so far are for panels of another width: without their instructions they are not
// offered at this level.
void product_init_avx512(struct kernels *table) {
    table->panel = PANEL;
    table->has_format[FORMAT_I8] = false;
    for (size_t i = 0; i < FORMATS; i++) table->sizes[i] = sizes_here();
    table->pack_rows = pack_rows;
    table->pack_columns[FORMAT_F32] = pack_columns_f32;
    table->pack_columns[FORMAT_BF16] = pack_columns_bf16;
    table->product[FORMAT_F32] = product_f32;
    table->product[FORMAT_BF16] = NULL;
    table->product[FORMAT_I8] = NULL;
}
