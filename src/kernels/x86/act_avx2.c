#include "kernels/act.h"
#include "kernels/kernels.h"
#include "kernels/x86/exp_avx2.h"
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

static inline __m256 silu_avx2(__m256 x) {
    return gated_avx2(x, x);
}

#define FOR_EACH(name, function)                                                                   \
    static void name(float *x, size_t n) {                                                         \
        const size_t whole = n / 8 * 8;                                                            \
        for (size_t i = 0; i < whole; i += 8)                                                      \
            _mm256_storeu_ps(x + i, function(_mm256_loadu_ps(x + i)));                             \
        const __m256i tail = first_avx2(n - whole);                                                \
        if (whole < n)                                                                             \
            _mm256_maskstore_ps(x + whole, tail, function(_mm256_maskload_ps(x + whole, tail)));   \
    }
FOR_EACH(gelu, gelu_avx2)
FOR_EACH(gelu_tanh, gelu_tanh_avx2)
FOR_EACH(gelu_quick, gelu_quick_avx2)
FOR_EACH(silu, silu_avx2)

void act_init_avx2(struct kernels *table) {
    table->activation_f32[ACTIVATION_GELU] = gelu;
    table->activation_f32[ACTIVATION_GELU_TANH] = gelu_tanh;
    table->activation_f32[ACTIVATION_GELU_QUICK] = gelu_quick;
    table->activation_f32[ACTIVATION_SILU] = silu;
}
