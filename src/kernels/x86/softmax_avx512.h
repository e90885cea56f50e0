// The maximum of a block of logits, for the softmax of every format.
#ifndef VIDETTE_KERNELS_X86_SOFTMAX_AVX512_H
#define VIDETTE_KERNELS_X86_SOFTMAX_AVX512_H

#include <math.h>

#include "kernels/kernels.h"
#include "kernels/x86/exp_avx512.h"
#include "kernels/x86/lanes_avx512.h"
#include "kernels/x86/leave_vectors.h"

static inline __m512 largest_of(const float *s, size_t n) {
    if (n < 16) return _mm512_mask_loadu_ps(_mm512_set1_ps(-INFINITY), first_avx512(n), s);
    // The last sixteen, some of them a second time; two chains, since one waits for itself.
    __m512 largest = _mm512_loadu_ps(s + n - 16), other = largest;
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        largest = _mm512_max_ps(largest, _mm512_loadu_ps(s + i));
        other = _mm512_max_ps(other, _mm512_loadu_ps(s + i + 16));
    }
    if (i + 16 <= n) largest = _mm512_max_ps(largest, _mm512_loadu_ps(s + i));
    return _mm512_max_ps(largest, other);
}

// exp(x) for x <= 0, 1 for 0; NaN stays NaN. Without a branch: whether a maximum grows cannot be foretold.
static inline float decay(float x) {
    // The second operand wins where one is NaN.
    const __m128 t =
        _mm_max_ss(_mm_set_ss(-200.0f), _mm_mul_ss(_mm_set_ss(x), _mm_set_ss(EXP_LOG2E)));
    return _mm512_cvtss_f32(exp2_avx512(_mm512_zextps128_ps512(t)));
}

// Lets the maximum grow over the block's logits; returns the factor of what came before.
static inline float grow_max(struct softmax_state *state, const float *s, size_t n, float scale) {
    const __m128 old = _mm_set_ss(state->max);
    const float block = scale * _mm512_reduce_max_ps(largest_of(s, n));
    const float max = _mm_cvtss_f32(_mm_max_ss(old, _mm_set_ss(block)));
    const float correction = decay(state->max - max);
    state->max = max;
    return correction;
}

// The same for a reference maximum, which moves only where the block's largest logit is far above it.
static inline float grow_kept(struct softmax_state *state, const float *s, size_t n, float scale) {
    struct softmax_state grown = *state;
    const float correction = grow_max(&grown, s, n, scale);
    if (!(grown.max > state->max + KEPT_SLACK)) return 1.0f;
    state->max = grown.max;
    return correction;
}

// The bit that turns exps into terms to be subtracted.
static inline __m512i sign_of(bool subtract) {
    return _mm512_set1_epi32(subtract ? INT32_MIN : 0);
}

#endif
