#include <math.h>

#include "kernels/kernels.h"
#include "kernels/x86/exp_avx2.h"
#include "kernels/x86/lanes_avx2.h"

// Moves the maximum where the block's largest logit is far above it; returns the factor of what came before.
static inline float move_max(struct softmax_state *state, const float *s, size_t n, float scale) {
    __m256 largest = _mm256_set1_ps(-INFINITY);
    for (size_t i = 0; i + 8 <= n; i += 8) largest = _mm256_max_ps(largest, _mm256_loadu_ps(s + i));
    float block = max_avx2(largest);
    for (size_t i = n / 8 * 8; i < n; i++) block = fmaxf(block, s[i]);
    block *= scale;
    if (!(block > state->max + SOFTMAX_SLACK)) return 1.0f;
    const float factor = exp_f32(state->max - block);
    state->max = block;
    return factor;
}

// exp(scale s - max) in the block, each with `sign` (its bit alone) over it; returns their sum.
static inline float weigh(float *out, const float *s, size_t n, float scale, float max,
                          __m256 sign) {
    const __m256 factor = _mm256_set1_ps(scale * EXP_LOG2E),
                 shift = _mm256_set1_ps(max * EXP_LOG2E);
    const size_t whole = n / 8 * 8;
    __m256 sums = _mm256_setzero_ps();
    for (size_t i = 0; i < whole; i += 8) {
        const __m256 t = _mm256_fmsub_ps(_mm256_loadu_ps(s + i), factor, shift);
        const __m256 e = _mm256_xor_ps(exp2_avx2(t), sign);
        _mm256_storeu_ps(out + i, e);
        sums = _mm256_add_ps(sums, e);
    }
    if (whole < n) {
        const __m256i there = first_avx2(n - whole);
        const __m256 t = _mm256_fmsub_ps(_mm256_maskload_ps(s + whole, there), factor, shift);
        const __m256 e =
            _mm256_and_ps(_mm256_xor_ps(exp2_avx2(t), sign), _mm256_castsi256_ps(there));
        _mm256_maskstore_ps(out + whole, there, e);
        sums = _mm256_add_ps(sums, e);
    }
    return sum_avx2(sums);
}

static void softmax_f32(void *p, size_t p_bytes, const float *s, size_t s_stride, size_t rows,
                        size_t n, float scale, bool subtract, struct softmax_state *states,
                        float *factors) {
    const __m256 sign = _mm256_set1_ps(subtract ? -0.0f : 0.0f);
    for (size_t r = 0; r < rows; r++, s += s_stride, states++) {
        float *out = (float *)(void *)((unsigned char *)p + r * p_bytes);
        factors[r] = move_max(states, s, n, scale);
        const float sum = weigh(out, s, n, scale, states->max, sign);
        states->sum = states->sum * factors[r] + sum;
    }
}

// One row of keys after the other; `some` of them lie in the block.
static void outer_sum(float *row, const float *h, const float *w, size_t width, size_t first,
                      size_t n) {
    size_t y = first / width, x = first % width;
    while (n > 0) {
        const size_t some = width - x < n ? width - x : n, whole = some / 8 * 8;
        const __m256 height = _mm256_set1_ps(h[y]);
        for (size_t i = 0; i < whole; i += 8)
            _mm256_storeu_ps(row + i, _mm256_add_ps(height, _mm256_loadu_ps(w + x + i)));
        if (whole < some) { // what is written behind them is written once more
            const __m256 tail = load_avx2(w + x + whole, some - whole);
            store_avx2(row + whole, n - whole, _mm256_add_ps(height, tail));
        }
        row += some;
        n -= some;
        y++;
        x = 0;
    }
}

void softmax_init_avx2(struct kernels *table) {
    table->softmax[FORMAT_F32] = softmax_f32;
    table->outer_sum = outer_sum;
}
