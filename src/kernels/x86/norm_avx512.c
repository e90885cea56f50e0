#include <math.h>

#include "kernels/kernels.h"
#include "kernels/x86/lanes_avx512.h"

static void layernorm(float *y, const float *x, const float *weight, const float *bias, size_t n,
                      float eps) {
    __m512 sums = _mm512_setzero_ps();
    for (size_t i = 0; i < n; i += 16)
        sums = _mm512_add_ps(sums, _mm512_maskz_loadu_ps(first_avx512(n - i), x + i));
    const __m512 mean = _mm512_set1_ps(_mm512_reduce_add_ps(sums) / (float)n);

    __m512 squares = _mm512_setzero_ps();
    for (size_t i = 0; i < n; i += 16) {
        const __mmask16 lanes = first_avx512(n - i);
        const __m512 centred =
            _mm512_maskz_sub_ps(lanes, _mm512_maskz_loadu_ps(lanes, x + i), mean);
        squares = _mm512_fmadd_ps(centred, centred, squares);
    }
    const __m512 scale =
        _mm512_set1_ps(1.0f / sqrtf(_mm512_reduce_add_ps(squares) / (float)n + eps));

    for (size_t i = 0; i < n; i += 16) {
        const __mmask16 lanes = first_avx512(n - i);
        const __m512 centred = _mm512_sub_ps(_mm512_maskz_loadu_ps(lanes, x + i), mean);
        const __m512 normal = _mm512_mul_ps(centred, scale);
        const __m512 out = _mm512_fmadd_ps(normal, _mm512_maskz_loadu_ps(lanes, weight + i),
                                           _mm512_maskz_loadu_ps(lanes, bias + i));
        _mm512_mask_storeu_ps(y + i, lanes, out);
    }
}

void norm_init_avx512(struct kernels *table) {
    table->layernorm_f32 = layernorm;
}
