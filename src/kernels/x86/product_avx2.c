// Matrix products of f32 and int8 with AVX2, tile by tile.
#include "kernels/kernels.h"
#include "kernels/x86/inlined.h"
#include "kernels/x86/lanes_avx2.h"
#include "kernels/x86/tile_avx2.h"

enum { VECTORS = 2, PANEL = 8 * VECTORS };

// Eight rows of eight lanes become columns.
static inline void transpose(__m256 r[8]) {
    __m256 t[8], u[8];
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 8; i += 4) {
        u[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        u[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        u[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        u[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        r[i] = _mm256_permute2f128_ps(u[i], u[i + 4], 0x20);
        r[i + 4] = _mm256_permute2f128_ps(u[i], u[i + 4], 0x31);
    }
}

// Eight columns of a panel from rows of which n exist.
static void pack_vector(float *out, const unsigned char *rows, size_t row_bytes, size_t n,
                        size_t lanes) {
    for (size_t i = 0; i < lanes; i += 8) {
        const size_t some = lanes - i < 8 ? lanes - i : 8;
        __m256 r[8];
#pragma GCC unroll 8
        for (size_t j = 0; j < 8; j++) {
            r[j] = j < n ? load_avx2((const float *)(const void *)(rows + j * row_bytes) + i, some)
                         : _mm256_setzero_ps();
        }
        transpose(r);
        for (size_t j = 0; j < some; j++) _mm256_storeu_ps(out + (i + j) * PANEL, r[j]);
    }
}

static void pack_rows(void *panels, const void *rows, size_t row_bytes, size_t n, size_t lanes) {
    float *out = panels;
    for (size_t first = 0; first < n; first += PANEL, out += lanes * PANEL) {
        for (size_t j = 0; j < PANEL; j += 8) {
            const size_t column = first + j < n ? first + j : n;
            pack_vector(out + j, (const unsigned char *)rows + column * row_bytes, row_bytes,
                        n - column, lanes);
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

/* ---- tiles --------------------------------------------------------------------------------- */

// Of the n columns that exist those in vector v and behind it.
static inline size_t columns_left(size_t v, size_t n) {
    return n > 8 * v ? n - 8 * v : 0;
}

static void copy_rows(float *to, size_t to_stride, const float *from, size_t from_stride,
                      size_t rows, size_t n) {
    for (size_t row = 0; row < rows; row++, to += to_stride, from += from_stride) {
        for (size_t v = 0; v < VECTORS; v++) {
            const size_t left = columns_left(v, n);
            store_avx2(to + 8 * v, left, load_avx2(from + 8 * v, left));
        }
    }
}

// Sums start from C or from zeros, and are C: in its place, where all columns exist.
static void product_tile_f32(struct tile *tile, float *c, size_t c_stride, size_t rows, size_t n,
                             bool accumulate) {
    static const float zeros[PANEL];
    _Alignas(32) float sums[TILE_ROWS * PANEL];
    float *to = n == PANEL ? c : sums;
    const size_t stride = n == PANEL ? c_stride : PANEL;
    if (accumulate && n < PANEL) copy_rows(sums, PANEL, c, c_stride, rows, n);
    tile->to = to;
    tile->to_bytes = stride * sizeof *to;
    tile->from = accumulate ? to : zeros;
    tile->from_bytes = accumulate ? tile->to_bytes : 0;
    tile_f32(tile, rows);
    if (n < PANEL) copy_rows(c, c_stride, sums, PANEL, rows, n);
}

static void add_rows(float *to, size_t to_stride, const float *from, size_t from_stride,
                     size_t rows, size_t n) {
    for (size_t row = 0; row < rows; row++, to += to_stride, from += from_stride) {
        for (size_t v = 0; v < VECTORS; v++) {
            const size_t left = columns_left(v, n);
            const __m256 sum = load_avx2(to + 8 * v, left);
            store_avx2(to + 8 * v, left, _mm256_add_ps(sum, load_avx2(from + 8 * v, left)));
        }
    }
}

// Sums start from the columns' offsets, behind B's lanes and their scales, and are C where nothing is added to what
// stands there.
static void product_tile_i8(struct tile *tile, float *c, size_t c_stride, size_t rows, size_t n,
                            bool accumulate) {
    _Alignas(32) float sums[TILE_ROWS * PANEL];
    const bool in_place = n == PANEL && !accumulate;
    tile->to = in_place ? c : sums;
    tile->to_bytes = (in_place ? c_stride : PANEL) * sizeof *c;
    tile->from = (const float *)tile->b + (tile->lanes + 1) * PANEL;
    tile->from_bytes = 0;
    tile_i8(tile, rows);
    if (accumulate)
        add_rows(c, c_stride, sums, PANEL, rows, n);
    else if (!in_place)
        copy_rows(c, c_stride, sums, PANEL, rows, n);
}

/* ---- products ------------------------------------------------------------------------------ */

// The next panel, spread over the tiles of this one. Fewer than four tiles pass over lines: what they leave out is
// left to the CPU.
static void fetch_evenly(struct tile *tile, const struct upcoming *upcoming, size_t tiles) {
    const bool ahead = upcoming && upcoming->panel && tiles > 0;
    const size_t bytes = TILE_STEP * PANEL * LANE_BYTES; // of the panel, a step
    tile->next = ahead ? upcoming->panel : tile->b;
    tile->next_step = ahead ? (bytes + tiles - 1) / tiles : 0;
}

INLINED void panel_product(float *c, size_t c_stride, const void *const *a, size_t rows,
                           const void *b, size_t lanes, size_t n, bool accumulate,
                           const struct upcoming *upcoming, const enum format format) {
    const size_t tiles = (rows + TILE_ROWS - 1) / TILE_ROWS, larger = tiles > 0 ? rows % tiles : 0;
    struct tile tile = {.b = b, .lanes = lanes};
    fetch_evenly(&tile, upcoming, tiles);
    for (size_t i = 0, row = 0, some; i < tiles; i++, row += some, c += some * c_stride) {
        some = rows / tiles + (i < larger); // alike: the sums of a thin tile wait for each other
        tile.a = a + row;
        if (format == FORMAT_I8)
            product_tile_i8(&tile, c, c_stride, some, n, accumulate);
        else
            product_tile_f32(&tile, c, c_stride, some, n, accumulate);
        if (upcoming && upcoming->complete) upcoming->complete(upcoming->argument, row, some);
        tile.next = (const unsigned char *)tile.next + lanes / TILE_STEP * tile.next_step;
    }
}

INLINED void product(float *c, size_t c_stride, const void *const *a, size_t rows,
                     const void *panels, size_t panel_bytes, size_t n, size_t lanes,
                     bool accumulate, const struct upcoming *upcoming, const enum format format) {
    const unsigned char *b = panels;
    struct upcoming next;
    for (; n > 0; c += PANEL, b += panel_bytes) {
        const size_t width = n < PANEL ? n : PANEL;
        panel_product(c, c_stride, a, rows, b, lanes, width, accumulate, upcoming, format);
        n -= width;
        if (n > 0 && upcoming)
            upcoming = upcoming_after_panel(&next, upcoming, lanes * PANEL * LANE_BYTES);
    }
}

static void product_f32(float *c, size_t c_stride, const void *const *a, size_t rows,
                        const void *panels, size_t panel_bytes, size_t n, size_t lanes,
                        bool accumulate, const struct upcoming *upcoming) {
    product(c, c_stride, a, rows, panels, panel_bytes, n, lanes, accumulate, upcoming, FORMAT_F32);
}

static void product_i8(float *c, size_t c_stride, const void *const *a, size_t rows,
                       const void *panels, size_t panel_bytes, size_t n, size_t lanes,
                       bool accumulate, const struct upcoming *upcoming) {
    product(c, c_stride, a, rows, panels, panel_bytes, n, lanes, accumulate, upcoming, FORMAT_I8);
}

// Panels are as wide as plain C's, so that its products of bf16 still fit.
void product_init_avx2(struct kernels *table) {
    table->panel = PANEL;
    for (size_t i = 0; i < FORMATS; i++) {
        table->sizes[i] = (struct product_sizes){.tile_rows = TILE_ROWS,
                                                 .block_lanes = 768,
                                                 .pass_lanes = SIZE_MAX,
                                                 .task_rows = 48,
                                                 .query_rows = 48};
    }
    table->has_format[FORMAT_I8] = true;
    table->pack_rows = pack_rows;
    table->pack_columns[FORMAT_F32] = pack_columns_f32;
    table->product[FORMAT_F32] = product_f32;
    table->product[FORMAT_I8] = product_i8;
}
