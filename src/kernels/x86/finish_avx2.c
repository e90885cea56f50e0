#include "kernels/act.h"
#include "kernels/kernels.h"
#include "kernels/bf16.h"
#include "kernels/x86/exp_avx2.h"
#include "kernels/x86/inlined.h"
#include "kernels/x86/lanes_avx2.h"

static inline __m256 erf_avx2(__m256 x) {
    const __m256 c =
        _mm256_max_ps(_mm256_set1_ps(-ERF_LIMIT), _mm256_min_ps(_mm256_set1_ps(ERF_LIMIT), x));
    const __m256 u = _mm256_mul_ps(c, c);
    __m256 p = _mm256_fmadd_ps(_mm256_set1_ps(ERF_P5), u, _mm256_set1_ps(ERF_P4));
    p = _mm256_fmadd_ps(p, u, _mm256_set1_ps(ERF_P3));
    p = _mm256_fmadd_ps(p, u, _mm256_set1_ps(ERF_P2));
    p = _mm256_fmadd_ps(p, u, _mm256_set1_ps(ERF_P1));
    p = _mm256_fmadd_ps(p, u, _mm256_set1_ps(ERF_P0));
    __m256 q = _mm256_fmadd_ps(_mm256_set1_ps(ERF_Q5), u, _mm256_set1_ps(ERF_Q4));
    q = _mm256_fmadd_ps(q, u, _mm256_set1_ps(ERF_Q3));
    q = _mm256_fmadd_ps(q, u, _mm256_set1_ps(ERF_Q2));
    q = _mm256_fmadd_ps(q, u, _mm256_set1_ps(ERF_Q1));
    q = _mm256_fmadd_ps(q, u, _mm256_set1_ps(ERF_Q0));
    return _mm256_div_ps(_mm256_mul_ps(c, p), q);
}

static inline __m256 gelu_avx2(__m256 x) {
    const __m256 erf = erf_avx2(_mm256_mul_ps(x, _mm256_set1_ps(SQRT_HALF)));
    const __m256 half = _mm256_mul_ps(x, _mm256_set1_ps(0.5f));
    return _mm256_fmadd_ps(half, erf, half);
}

// x / (1 + exp(-t))
static inline __m256 gated_avx2(__m256 x, __m256 t) {
    const __m256 e = exp_avx2(_mm256_sub_ps(_mm256_setzero_ps(), t));
    return _mm256_div_ps(x, _mm256_add_ps(e, _mm256_set1_ps(1.0f)));
}

static inline __m256 gelu_tanh_avx2(__m256 x) {
    const __m256 cubic = _mm256_mul_ps(_mm256_mul_ps(_mm256_set1_ps(GELU_TANH_CUBIC), x), x);
    const __m256 linear = _mm256_mul_ps(_mm256_set1_ps(GELU_TANH_LINEAR), x);
    return gated_avx2(x, _mm256_fmadd_ps(linear, cubic, linear));
}

static inline __m256 gelu_quick_avx2(__m256 x) {
    return gated_avx2(x, _mm256_mul_ps(_mm256_set1_ps(GELU_QUICK_SLOPE), x));
}

INLINED __m256 activate(__m256 x, const enum activation activation) {
    switch (activation) {
    case ACTIVATION_GELU: return gelu_avx2(x);
    case ACTIVATION_GELU_TANH: return gelu_tanh_avx2(x);
    case ACTIVATION_GELU_QUICK: return gelu_quick_avx2(x);
    case ACTIVATION_SILU: return gated_avx2(x, x);
    case ACTIVATION_NONE: return x;
    }
    return x;
}

/* ---- activations alone --------------------------------------------------------------------- */

INLINED void activate_row(float *x, size_t n, const enum activation activation) {
    for (size_t i = 0; i < n; i += 8)
        store_avx2(x + i, n - i, activate(load_avx2(x + i, n - i), activation));
}

static void gelu(float *x, size_t n) {
    activate_row(x, n, ACTIVATION_GELU);
}

static void gelu_tanh(float *x, size_t n) {
    activate_row(x, n, ACTIVATION_GELU_TANH);
}

static void gelu_quick(float *x, size_t n) {
    activate_row(x, n, ACTIVATION_GELU_QUICK);
}

static void silu(float *x, size_t n) {
    activate_row(x, n, ACTIVATION_SILU);
}

/* ---- finish -------------------------------------------------------------------------------- */

INLINED void finish_rows(void *y, size_t y_bytes, const float *c, size_t c_stride, size_t rows,
                         size_t n, const struct finish *f, const enum activation activation) {
    for (size_t row = 0; row < rows; row++, c += c_stride, y = (unsigned char *)y + y_bytes) {
        for (size_t i = 0; i < n; i += 8) {
            __m256 x = load_avx2(c + i, n - i);
            x = activate(_mm256_add_ps(x, load_avx2(f->bias + i, n - i)), activation);
            if (f->format == FORMAT_BF16) {
                float values[8];
                _mm256_storeu_ps(values, x);
                for (size_t j = 0; j < 8 && i + j < n; j++)
                    ((uint16_t *)y)[i + j] = bf16_from_f32(values[j]);
            } else {
                if (f->accumulate) x = _mm256_add_ps(load_avx2((float *)y + i, n - i), x);
                store_avx2((float *)y + i, n - i, x);
            }
        }
    }
}

static void finish(void *y, size_t y_bytes, const float *c, size_t c_stride, size_t rows, size_t n,
                   const struct finish *f) {
    switch (f->activation) {
    case ACTIVATION_GELU: finish_rows(y, y_bytes, c, c_stride, rows, n, f, ACTIVATION_GELU); break;
    case ACTIVATION_GELU_TANH:
        finish_rows(y, y_bytes, c, c_stride, rows, n, f, ACTIVATION_GELU_TANH);
        break;
    case ACTIVATION_GELU_QUICK:
        finish_rows(y, y_bytes, c, c_stride, rows, n, f, ACTIVATION_GELU_QUICK);
        break;
    case ACTIVATION_SILU: finish_rows(y, y_bytes, c, c_stride, rows, n, f, ACTIVATION_SILU); break;
    case ACTIVATION_NONE: finish_rows(y, y_bytes, c, c_stride, rows, n, f, ACTIVATION_NONE); break;
    }
}

void finish_init_avx2(struct kernels *table) {
    table->finish = finish;
    table->activation_f32[ACTIVATION_GELU] = gelu;
    table->activation_f32[ACTIVATION_GELU_TANH] = gelu_tanh;
    table->activation_f32[ACTIVATION_GELU_QUICK] = gelu_quick;
    table->activation_f32[ACTIVATION_SILU] = silu;
}
