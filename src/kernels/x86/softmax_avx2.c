#include "kernels/kernels.h"
#include "kernels/x86/exp_avx2.h"
#include "kernels/x86/lanes_avx2.h"

static float softmax(float *s, size_t n, float scale, struct softmax_state *state) {
    const __m256 factor = _mm256_set1_ps(scale);
    const size_t whole = n / 8 * 8;
    const __m256i tail = first_avx2(n - whole);
    const __m256 lanes = _mm256_castsi256_ps(tail);

    __m256 largest = _mm256_set1_ps(state->max);
    for (size_t i = 0; i < whole; i += 8)
        largest = _mm256_max_ps(largest, _mm256_mul_ps(_mm256_loadu_ps(s + i), factor));
    if (whole < n) {
        const __m256 logits = _mm256_mul_ps(_mm256_maskload_ps(s + whole, tail), factor);
        largest = _mm256_blendv_ps(largest, _mm256_max_ps(largest, logits), lanes);
    }
    const float max = max_avx2(largest);

    __m256 sums = _mm256_setzero_ps();
    for (size_t i = 0; i < whole; i += 8) {
        const __m256 logits = _mm256_mul_ps(_mm256_loadu_ps(s + i), factor);
        const __m256 p = exp_avx2(_mm256_sub_ps(logits, _mm256_set1_ps(max)));
        _mm256_storeu_ps(s + i, p);
        sums = _mm256_add_ps(sums, p);
    }
    if (whole < n) {
        const __m256 logits = _mm256_mul_ps(_mm256_maskload_ps(s + whole, tail), factor);
        const __m256 p = exp_avx2(_mm256_sub_ps(logits, _mm256_set1_ps(max)));
        _mm256_maskstore_ps(s + whole, tail, p);
        sums = _mm256_add_ps(sums, _mm256_and_ps(p, lanes));
    }
    const float correction = exp_f32(state->max - max);
    state->sum = state->sum * correction + sum_avx2(sums);
    state->max = max;
    return correction;
}

void softmax_init_avx2(struct kernels *table) {
    table->softmax_f32 = softmax;
}
