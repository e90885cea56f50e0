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
#include "kernels/x86/lanes_avx512.h"

enum { VECTORS = 4, PANEL = 16 * VECTORS, ROWS = 6 };

#define INLINED static inline __attribute__((always_inline))

INLINED __m512i dot(__m512i sum, __m512i b, __m512i a, const enum format format) {
    switch (format) {
    case FORMAT_BF16: __asm__("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(b), "v"(a)); break;
    case FORMAT_I8: __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(b), "v"(a)); break;
    default: __asm__("vfmadd231ps %2, %1, %0" : "+v"(sum) : "v"(b), "v"(a)); break;
    }
    return sum;
}

// What a row's sums start from: C, zeros, or the row's own offset.
INLINED __m512i first_sum(const float *c, __mmask16 columns, const int32_t *a, size_t lanes,
                          bool accumulate, const enum format format) {
    if (format == FORMAT_I8) return _mm512_set1_epi32(a[lanes]);
    return _mm512_castps_si512(_mm512_maskz_loadu_ps(accumulate ? columns : 0, c));
}

INLINED void store_sum(float *c, __mmask16 columns, __m512i sum, const int32_t *a, size_t lanes,
                       const enum format format) {
    __m512 value = _mm512_castsi512_ps(sum);
    if (format == FORMAT_I8) {
        float scale;
        memcpy(&scale, a + lanes + 1, sizeof scale);
        value = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_set1_ps(scale));
    }
    _mm512_mask_storeu_ps(c, columns, value);
}

// rows x (16 vectors) of C, of which n columns exist. `rows`, `vectors` and `format` are constants where
// this is inlined, so that the sums stay in registers.
INLINED void tile(float *c, size_t c_stride, const void *const *a, const unsigned char *b,
                  size_t lanes, size_t n, bool accumulate, const int rows, const int vectors,
                  const enum format format) {
    const __mmask16 last = first_avx512(n - 16 * (size_t)(vectors - 1));
    const int32_t *x[ROWS];
    __m512i sums[ROWS][VECTORS];
#pragma GCC unroll 6
    for (int row = 0; row < rows; row++) {
        x[row] = a[row];
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            const __mmask16 columns = v + 1 < vectors ? (__mmask16)0xffff : last;
            sums[row][v] = first_sum(c + (size_t)row * c_stride + 16 * v, columns, x[row], lanes,
                                     accumulate, format);
        }
    }
    for (size_t i = 0; i < lanes; i++, b += PANEL * LANE_BYTES) {
        __m512i values[VECTORS];
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) values[v] = _mm512_loadu_si512(b + 64 * v);
#pragma GCC unroll 6
        for (int row = 0; row < rows; row++) {
            const __m512i factor = _mm512_set1_epi32(x[row][i]);
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++)
                sums[row][v] = dot(sums[row][v], values[v], factor, format);
        }
    }
#pragma GCC unroll 6
    for (int row = 0; row < rows; row++) {
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            const __mmask16 columns = v + 1 < vectors ? (__mmask16)0xffff : last;
            store_sum(c + (size_t)row * c_stride + 16 * v, columns, sums[row][v], x[row], lanes,
                      format);
        }
    }
}

// All rows over one panel of which `vectors` vectors hold columns.
INLINED void panel_product(float *c, size_t c_stride, const void *const *a, size_t rows,
                           const unsigned char *b, size_t lanes, size_t n, bool accumulate,
                           const int vectors, const enum format format) {
    for (; rows >= ROWS; rows -= ROWS, a += ROWS, c += ROWS * c_stride) {
        tile(c, c_stride, a, b, lanes, n, accumulate, ROWS, vectors, format);
    }
    switch (rows) {
    case 5: tile(c, c_stride, a, b, lanes, n, accumulate, 5, vectors, format); break;
    case 4: tile(c, c_stride, a, b, lanes, n, accumulate, 4, vectors, format); break;
    case 3: tile(c, c_stride, a, b, lanes, n, accumulate, 3, vectors, format); break;
    case 2: tile(c, c_stride, a, b, lanes, n, accumulate, 2, vectors, format); break;
    case 1: tile(c, c_stride, a, b, lanes, n, accumulate, 1, vectors, format); break;
    default: break;
    }
}

INLINED void product_avx512(float *c, size_t c_stride, const void *const *a, size_t rows,
                            const void *panels, size_t panel_bytes, size_t n, size_t lanes,
                            bool accumulate, const enum format format) {
    const unsigned char *b = panels;
    for (; n > 0; c += PANEL, b += panel_bytes) {
        const size_t width = n < PANEL ? n : PANEL;
        switch ((width + 15) / 16) {
        case 1: panel_product(c, c_stride, a, rows, b, lanes, width, accumulate, 1, format); break;
        case 2: panel_product(c, c_stride, a, rows, b, lanes, width, accumulate, 2, format); break;
        case 3: panel_product(c, c_stride, a, rows, b, lanes, width, accumulate, 3, format); break;
        default: panel_product(c, c_stride, a, rows, b, lanes, width, accumulate, 4, format); break;
        }
        n -= width;
    }
}

#endif
