#include "kernels/kernels.h"
#include "kernels/x86/exp_avx512.h"
#include "kernels/x86/lanes_avx512.h"

static float softmax(float *s, size_t n, float scale, struct softmax_state *state) {
    const __m512 factor = _mm512_set1_ps(scale);
    __m512 largest = _mm512_set1_ps(state->max);
    for (size_t i = 0; i < n; i += 16) {
        const __mmask16 lanes = first_avx512(n - i);
        const __m512 logits = _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, s + i), factor);
        largest = _mm512_mask_max_ps(largest, lanes, largest, logits);
    }
    const float max = _mm512_reduce_max_ps(largest);
    __m512 sums = _mm512_setzero_ps();
    for (size_t i = 0; i < n; i += 16) {
        const __mmask16 lanes = first_avx512(n - i);
        const __m512 logits = _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, s + i), factor);
        const __m512 p = exp_avx512(_mm512_sub_ps(logits, _mm512_set1_ps(max)));
        _mm512_mask_storeu_ps(s + i, lanes, p);
        sums = _mm512_mask_add_ps(sums, lanes, sums, p);
    }
    const float correction = exp_f32(state->max - max);
    state->sum = state->sum * correction + _mm512_reduce_add_ps(sums);
    state->max = max;
    return correction;
}

void softmax_init_avx512(struct kernels *table) {
    table->softmax_f32 = softmax;
}
