// The softmax of every format but for its exponentials: maxima of blocks, rows of a tile.
#ifndef VIDETTE_KERNELS_X86_SOFTMAX_AVX512_H
#define VIDETTE_KERNELS_X86_SOFTMAX_AVX512_H

#include <math.h>

#include "kernels/kernels.h"
#include "kernels/x86/exp_avx512.h"
#include "kernels/x86/inlined.h"
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

// exp(scale s - max) of n logits in the format of `out`, each with `sign` (its bit alone) over it; returns the sum of
// what was written.
typedef float weigh_row(void *out, const float *s, size_t n, float scale, float max, __m512i sign);

// The table's softmax. Everything in a row waits for its maximum: it is found while the row before is weighed.
INLINED void softmax_rows(void *p, size_t p_bytes, const float *s, size_t s_stride, size_t rows,
                          size_t n, float scale, struct softmax_state *states, float *factors,
                          weigh_row *const weigh) {
    unsigned char *out = p;
    if (rows > 0) factors[0] = grow_max(states, s, n, scale);
    for (size_t r = 0; r < rows; r++, s += s_stride, out += p_bytes, states++) {
        if (r + 1 < rows) factors[r + 1] = grow_max(states + 1, s + s_stride, n, scale);
        const float sum = weigh(out, s, n, scale, states->max, _mm512_setzero_si512());
        states->sum = states->sum * factors[r] + sum;
    }
}

// The table's softmax_kept.
INLINED float softmax_kept_row(void *p, const float *s, size_t n, float scale, bool subtract,
                               struct softmax_state *state, weigh_row *const weigh) {
    const float correction = grow_kept(state, s, n, scale);
    const __m512i sign = _mm512_set1_epi32(subtract ? INT32_MIN : 0);
    const float sum = weigh(p, s, n, scale, state->max, sign);
    state->sum = state->sum * correction + sum;
    return leave_vectors(correction);
}

#endif
