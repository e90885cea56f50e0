// The AVX-512 tile of a matrix product, for each format of its operands.
//
// A panel is four vectors wide; a tile of six rows keeps 24 sums, 4 values of B and one broadcast of A
// in 32 registers. One lane of each operand makes one fused step: an f32 multiply-add, two bf16 products
// or four int8 products. They are written as instructions: of the intrinsics, gcc 12 makes a copy of every
// sum (int8) or a load of A for every use (f32), and loses half of the rate.
#ifndef VIDETTE_KERNELS_X86_PRODUCT_AVX512_H
#define VIDETTE_KERNELS_X86_PRODUCT_AVX512_H

#include <string.h>

#include "kernels/kernels.h"
#include "kernels/x86/inlined.h"
#include "kernels/x86/lanes_avx512.h"

enum { VECTORS = 4, PANEL = 16 * VECTORS, ROWS = 6 };

INLINED __m512i dot(__m512i sum, __m512i b, __m512i a, const enum format format) {
    switch (format) {
    case FORMAT_BF16: __asm__("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(b), "v"(a)); break;
    case FORMAT_I8: __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(b), "v"(a)); break;
    default: __asm__("vfmadd231ps %2, %1, %0" : "+v"(sum) : "v"(b), "v"(a)); break;
    }
    return sum;
}

// A vector of B in a register: gcc would load it again for each row of a thin tile.
INLINED __m512i load_once(const unsigned char *b) {
    __m512i value = _mm512_loadu_si512(b);
    __asm__("" : "+v"(value));
    return value;
}

// Vector v of a row of C, whole or (its last one, where columns end) in part. Whole vectors are stored
// without a mask: a masked store cannot be read back before it has left for the cache.
INLINED __m512 load_sum(const float *c, bool whole, __mmask16 part) {
    return whole ? _mm512_loadu_ps(c) : _mm512_maskz_loadu_ps(part, c);
}

INLINED void store_sum(float *c, bool whole, __mmask16 part, __m512 value) {
    if (whole)
        _mm512_storeu_ps(c, value);
    else
        _mm512_mask_storeu_ps(c, part, value);
}

// What a row's sums start from: C, zeros, or (int8) the row's own offset.
INLINED __m512i first_sum(const float *c, bool whole, __mmask16 part, const int32_t *a,
                          size_t lanes, bool accumulate, const enum format format) {
    if (format == FORMAT_I8) return _mm512_set1_epi32(a[lanes + 1]);
    return accumulate ? _mm512_castps_si512(load_sum(c, whole, part)) : _mm512_setzero_si512();
}

// What a row's sums come to; int8 sums get the scales of the row and, which b points to, of the columns.
INLINED __m512 last_sum(const float *c, bool whole, __mmask16 part, __m512i sum, const int32_t *a,
                        const unsigned char *b, size_t lanes, bool accumulate,
                        const enum format format) {
    if (format != FORMAT_I8) return _mm512_castsi512_ps(sum);
    float scale;
    memcpy(&scale, a + lanes, sizeof scale);
    const __m512 scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_set1_ps(scale));
    const __m512 value = _mm512_mul_ps(scaled, _mm512_loadu_ps(b));
    return accumulate ? _mm512_add_ps(load_sum(c, whole, part), value) : value;
}

// Lanes that are still to come when the memory to be written is fetched: their panel fits the nearest
// cache beside it.
enum { LAST_LANES = 48 };

INLINED void fetch(const struct upcoming *upcoming, size_t row) {
    const unsigned char *at = upcoming->rows + row * upcoming->bytes;
    for (size_t i = 0; i < upcoming->width; i += CACHE_LINE) _mm_prefetch(at + i, _MM_HINT_T0);
}

// The next panel, spread evenly over the tiles of this one: each lane fetches where `at` is and moves it by less than
// a cache line (where tiles are fewer than four, by more), so that no more lines are on their way from memory than the first cache has room to wait for.
struct ahead {
    const unsigned char *at;
    size_t step; // bytes a lane
};

INLINED struct ahead ahead_of(const struct upcoming *upcoming, const unsigned char *b, size_t row,
                              size_t rows, size_t lanes) {
    if (!upcoming || !upcoming->panel) return (struct ahead){b, 0};
    const size_t tiles = (rows + ROWS - 1) / ROWS, step = (PANEL * LANE_BYTES + tiles - 1) / tiles;
    return (struct ahead){upcoming->panel + (row + ROWS - 1) / ROWS * lanes * step, step};
}

// rows x (16 vectors) of C, of which n columns exist. `rows`, `vectors` and `format` are constants where
// this is inlined, so that the sums stay in registers.
INLINED void tile(float *c, size_t c_stride, const void *const *a, const unsigned char *b,
                  size_t lanes, size_t n, bool accumulate, const struct upcoming *upcoming,
                  size_t row0, size_t all_rows, const int rows, const int vectors,
                  const enum format format) {
    const bool all = n == 16 * (size_t)vectors;
    const __mmask16 part = first_avx512(n - 16 * (size_t)(vectors - 1));
    const int32_t *x[ROWS];
    __m512i sums[ROWS][VECTORS];
#pragma GCC unroll 6
    for (int row = 0; row < rows; row++) {
        x[row] = a[row];
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            const float *from = c + (size_t)row * c_stride + 16 * v;
            sums[row][v] =
                first_sum(from, all || v + 1 < vectors, part, x[row], lanes, accumulate, format);
        }
    }
    struct ahead next = ahead_of(upcoming, b, row0, all_rows, lanes);
    const size_t early = lanes > LAST_LANES ? lanes - LAST_LANES : 0;
    for (size_t i = 0, end = early; i < lanes; end = lanes) {
        for (; i < end; i++, b += PANEL * LANE_BYTES, next.at += next.step) {
            _mm_prefetch(next.at, _MM_HINT_T1);
            __m512i values[VECTORS];
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++) values[v] = load_once(b + 64 * v);
#pragma GCC unroll 6
            for (int row = 0; row < rows; row++) {
                const __m512i factor = _mm512_set1_epi32(x[row][i]);
#pragma GCC unroll 4
                for (int v = 0; v < vectors; v++)
                    sums[row][v] = dot(sums[row][v], values[v], factor, format);
            }
        }
        if (upcoming && end == early) {
            for (int row = 0; row < rows; row++) fetch(upcoming, row0 + (size_t)row);
        }
    }
#pragma GCC unroll 6
    for (int row = 0; row < rows; row++) {
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            float *to = c + (size_t)row * c_stride + 16 * v;
            const bool whole = all || v + 1 < vectors;
            store_sum(to, whole, part,
                      last_sum(to, whole, part, sums[row][v], x[row], b + 64 * v, lanes, accumulate,
                               format));
        }
    }
    if (upcoming && upcoming->complete) upcoming->complete(upcoming->argument, row0, (size_t)rows);
}

// Tiles of fewer than three rows wait for their own sums: the last ones of seven or eight rows share them.
static inline size_t tile_rows_of(size_t rows) {
    if (rows == ROWS + 1 || rows == ROWS + 2) return ROWS - 2;
    return rows < ROWS ? rows : ROWS;
}

// All rows over one panel of which `vectors` vectors hold columns.
INLINED void panel_product(float *c, size_t c_stride, const void *const *a, size_t rows,
                           const unsigned char *b, size_t lanes, size_t n, bool accumulate,
                           const struct upcoming *upcoming, const int vectors,
                           const enum format format) {
#define TILE_OF(some)                                                                              \
    case some:                                                                                     \
        tile(c, c_stride, a, b, lanes, n, accumulate, upcoming, row, rows, some, vectors, format); \
        break
    for (size_t row = 0, some; row < rows; row += some, c += some * c_stride, a += some) {
        some = tile_rows_of(rows - row);
        switch (some) {
            TILE_OF(6);
            TILE_OF(5);
            TILE_OF(4);
            TILE_OF(3);
            TILE_OF(2);
            TILE_OF(1);
        default: break;
        }
    }
#undef TILE_OF
}

INLINED void product_avx512(float *c, size_t c_stride, const void *const *a, size_t rows,
                            const void *panels, size_t panel_bytes, size_t n, size_t lanes,
                            bool accumulate, const struct upcoming *upcoming,
                            const enum format format) {
    const unsigned char *b = panels;
    struct upcoming next;
    for (; n > 0; c += PANEL, b += panel_bytes) {
        const size_t width = n < PANEL ? n : PANEL;
        switch ((width + 15) / 16) {
        case 1:
            panel_product(c, c_stride, a, rows, b, lanes, width, accumulate, upcoming, 1, format);
            break;
        case 2:
            panel_product(c, c_stride, a, rows, b, lanes, width, accumulate, upcoming, 2, format);
            break;
        case 3:
            panel_product(c, c_stride, a, rows, b, lanes, width, accumulate, upcoming, 3, format);
            break;
        default:
            panel_product(c, c_stride, a, rows, b, lanes, width, accumulate, upcoming, 4, format);
            break;
        }
        n -= width;
        if (n > 0 && upcoming)
            upcoming = upcoming_after_panel(&next, upcoming, lanes * PANEL * LANE_BYTES);
    }
}

#endif
