// What happens to the sums of a product's tile on AVX-512: bias, activation, residual, format.
#ifndef VIDETTE_KERNELS_X86_FINISH_AVX512_H
#define VIDETTE_KERNELS_X86_FINISH_AVX512_H

#include "kernels/act.h"
#include "kernels/kernels.h"
#include "kernels/x86/bf16_avx512.h"
#include "kernels/x86/exp_avx512.h"
#include "kernels/x86/inlined.h"
#include "kernels/x86/lanes_avx512.h"

static inline __m512 erf_avx512(__m512 x) {
    const __m512 c =
        _mm512_max_ps(_mm512_set1_ps(-ERF_LIMIT), _mm512_min_ps(_mm512_set1_ps(ERF_LIMIT), x));
    const __m512 u = _mm512_mul_ps(c, c);
    __m512 p = _mm512_fmadd_ps(_mm512_set1_ps(ERF_P5), u, _mm512_set1_ps(ERF_P4));
    p = _mm512_fmadd_ps(p, u, _mm512_set1_ps(ERF_P3));
    p = _mm512_fmadd_ps(p, u, _mm512_set1_ps(ERF_P2));
    p = _mm512_fmadd_ps(p, u, _mm512_set1_ps(ERF_P1));
    p = _mm512_fmadd_ps(p, u, _mm512_set1_ps(ERF_P0));
    __m512 q = _mm512_fmadd_ps(_mm512_set1_ps(ERF_Q5), u, _mm512_set1_ps(ERF_Q4));
    q = _mm512_fmadd_ps(q, u, _mm512_set1_ps(ERF_Q3));
    q = _mm512_fmadd_ps(q, u, _mm512_set1_ps(ERF_Q2));
    q = _mm512_fmadd_ps(q, u, _mm512_set1_ps(ERF_Q1));
    q = _mm512_fmadd_ps(q, u, _mm512_set1_ps(ERF_Q0));
    return _mm512_div_ps(_mm512_mul_ps(c, p), q);
}

static inline __m512 gelu_avx512(__m512 x) {
    const __m512 erf = erf_avx512(_mm512_mul_ps(x, _mm512_set1_ps(SQRT_HALF)));
    const __m512 half = _mm512_mul_ps(x, _mm512_set1_ps(0.5f));
    return _mm512_fmadd_ps(half, erf, half);
}

// x / (1 + exp(-t))
static inline __m512 gated_avx512(__m512 x, __m512 t) {
    const __m512 e = exp_avx512(_mm512_sub_ps(_mm512_setzero_ps(), t));
    return _mm512_div_ps(x, _mm512_add_ps(e, _mm512_set1_ps(1.0f)));
}

static inline __m512 gelu_tanh_avx512(__m512 x) {
    const __m512 cubic = _mm512_mul_ps(_mm512_mul_ps(_mm512_set1_ps(GELU_TANH_CUBIC), x), x);
    const __m512 linear = _mm512_mul_ps(_mm512_set1_ps(GELU_TANH_LINEAR), x);
    return gated_avx512(x, _mm512_fmadd_ps(linear, cubic, linear));
}

static inline __m512 gelu_quick_avx512(__m512 x) {
    return gated_avx512(x, _mm512_mul_ps(_mm512_set1_ps(GELU_QUICK_SLOPE), x));
}

INLINED __m512 activate(__m512 x, const enum activation activation) {
    switch (activation) {
    case ACTIVATION_GELU: return gelu_avx512(x);
    case ACTIVATION_GELU_TANH: return gelu_tanh_avx512(x);
    case ACTIVATION_GELU_QUICK: return gelu_quick_avx512(x);
    case ACTIVATION_SILU: return gated_avx512(x, x);
    case ACTIVATION_NONE: return x;
    }
    return x;
}

/* ---- finish -------------------------------------------------------------------------------- */

// Sixteen values, whole or the first of them.
INLINED __m512 load(const float *x, bool whole, __mmask16 part) {
    return whole ? _mm512_loadu_ps(x) : _mm512_maskz_loadu_ps(part, x);
}

// Sixteen sums, whole or the first of them, with their bias and activation.
INLINED __m512 activated(const float *c, const float *bias, bool whole, __mmask16 part,
                         const enum activation activation) {
    return activate(_mm512_add_ps(load(c, whole, part), load(bias, whole, part)), activation);
}

// Values i and those behind it of a row y, f32.
INLINED void put_f32(void *y, size_t i, __m512 x, bool whole, __mmask16 part, bool accumulate) {
    float *to = (float *)y + i;
    if (accumulate) x = _mm512_add_ps(load(to, whole, part), x);
    if (whole)
        _mm512_storeu_ps(to, x);
    else
        _mm512_mask_storeu_ps(to, part, x);
}

INLINED void finish_row(void *y, const float *c, size_t n, const struct finish *f,
                        const enum format format, const enum activation activation) {
    const float *bias = f->bias;
    const bool accumulate = f->accumulate;
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        const __m512 low = activated(c + i, bias + i, true, 0, activation),
                     high = activated(c + i + 16, bias + i + 16, true, 0, activation);
        if (format == FORMAT_BF16) {
            _mm512_storeu_si512((uint16_t *)y + i, bf16_pair_avx512(low, high));
        } else {
            put_f32(y, i, low, true, 0, accumulate);
            put_f32(y, i + 16, high, true, 0, accumulate);
        }
    }
    for (; i < n; i += 16) {
        const bool whole = i + 16 <= n;
        const __mmask16 part = first_avx512(n - i);
        const __m512 x = activated(c + i, bias + i, whole, part, activation);
        if (format == FORMAT_BF16)
            _mm256_mask_storeu_epi16((uint16_t *)y + i, part, bf16_avx512(x));
        else
            put_f32(y, i, x, whole, part, accumulate);
    }
}

INLINED void finish_rows(void *y, size_t y_bytes, const float *c, size_t c_stride, size_t rows,
                         size_t n, const struct finish *f, const enum format format,
                         const enum activation activation) {
    for (; rows > 0; rows--, c += c_stride, y = (unsigned char *)y + y_bytes)
        finish_row(y, c, n, f, format, activation);
}

INLINED void finish_activated(void *y, size_t y_bytes, const float *c, size_t c_stride, size_t rows,
                              size_t n, const struct finish *f, const enum activation activation) {
    if (f->format == FORMAT_BF16)
        finish_rows(y, y_bytes, c, c_stride, rows, n, f, FORMAT_BF16, activation);
    else
        finish_rows(y, y_bytes, c, c_stride, rows, n, f, FORMAT_F32, activation);
}

static inline void finish_avx512(void *y, size_t y_bytes, const float *c, size_t c_stride,
                                 size_t rows, size_t n, const struct finish *f) {
    switch (f->activation) {
    case ACTIVATION_GELU:
        finish_activated(y, y_bytes, c, c_stride, rows, n, f, ACTIVATION_GELU);
        break;
    case ACTIVATION_GELU_TANH:
        finish_activated(y, y_bytes, c, c_stride, rows, n, f, ACTIVATION_GELU_TANH);
        break;
    case ACTIVATION_GELU_QUICK:
        finish_activated(y, y_bytes, c, c_stride, rows, n, f, ACTIVATION_GELU_QUICK);
        break;
    case ACTIVATION_SILU:
        finish_activated(y, y_bytes, c, c_stride, rows, n, f, ACTIVATION_SILU);
        break;
    case ACTIVATION_NONE:
        finish_activated(y, y_bytes, c, c_stride, rows, n, f, ACTIVATION_NONE);
        break;
    }
}

#endif
