#include "kernels/act.h"
#include "kernels/kernels.h"
#include "kernels/x86/exp_avx512.h"
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

static inline __m512 silu_avx512(__m512 x) {
    return gated_avx512(x, x);
}

#define FOR_EACH(name, function)                                                                   \
    static void name(float *x, size_t n) {                                                         \
        for (size_t i = 0; i < n; i += 16) {                                                       \
            const __mmask16 lanes = first_avx512(n - i);                                           \
            _mm512_mask_storeu_ps(x + i, lanes, function(_mm512_maskz_loadu_ps(lanes, x + i)));    \
        }                                                                                          \
    }
FOR_EACH(gelu, gelu_avx512)
FOR_EACH(gelu_tanh, gelu_tanh_avx512)
FOR_EACH(gelu_quick, gelu_quick_avx512)
FOR_EACH(silu, silu_avx512)

void act_init_avx512(struct kernels *table) {
    table->activation_f32[ACTIVATION_GELU] = gelu;
    table->activation_f32[ACTIVATION_GELU_TANH] = gelu_tanh;
    table->activation_f32[ACTIVATION_GELU_QUICK] = gelu_quick;
    table->activation_f32[ACTIVATION_SILU] = silu;
}
