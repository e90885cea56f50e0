// The softmax of every format but for its exponentials: maxima of blocks, rows of a tile.
#ifndef VIDETTE_KERNELS_X86_SOFTMAX_AVX512_H
#define VIDETTE_KERNELS_X86_SOFTMAX_AVX512_H

#include <math.h>

#include "kernels/kernels.h"
#include "kernels/x86/exp_avx512.h"
#include "kernels/x86/inlined.h"
#include "kernels/x86/lanes_avx512.h"

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

// Moves the maximum where the block's largest logit is far above it; returns the factor of what came before.
static inline float move_max(struct softmax_state *state, const float *s, size_t n, float scale) {
    const float largest = scale * _mm512_reduce_max_ps(largest_of(s, n));
    if (!(largest > state->max + SOFTMAX_SLACK)) return 1.0f;
    const float factor = decay(state->max - largest);
    state->max = largest;
    return factor;
}

static inline __m512i sign_of(bool subtract) {
    return _mm512_set1_epi32(subtract ? INT32_MIN : 0);
}

// exp(scale s - max) of n logits in the format of `out`, each with `sign` (its bit alone) over it; returns the sum of
// what was written.
typedef float weigh_row(void *out, const float *s, size_t n, float scale, float max, __m512i sign);

// The table's softmax. Everything in a row waits for its maximum: it is found while the row before is weighed.
INLINED void softmax_rows(void *p, size_t p_bytes, const float *s, size_t s_stride, size_t rows,
                          size_t n, float scale, bool subtract, struct softmax_state *states,
                          float *factors, weigh_row *const weigh) {
    const __m512i sign = sign_of(subtract);
    unsigned char *out = p;
    if (rows > 0) factors[0] = move_max(states, s, n, scale);
    for (size_t r = 0; r < rows; r++, s += s_stride, out += p_bytes, states++) {
        if (r + 1 < rows) factors[r + 1] = move_max(states + 1, s + s_stride, n, scale);
        const float sum = weigh(out, s, n, scale, states->max, sign);
        states->sum = states->sum * factors[r] + sum;
    }
}

// Weights that add up to less hold no logit SOFTMAX_SLACK above the maximum: e^8 is 2980.9, a weight is off by at most
// one part in 256.
#define WEIGHT_SUM_SURE 2900.0f

// A row's next block, where the maximum most likely stays: weights first, and only if these are large a look for the
// largest logit.
INLINED float weigh_kept(void *p, const float *s, size_t n, float scale, __m512i sign,
                         struct softmax_state *state, weigh_row *const weigh) {
    float sum = weigh(p, s, n, scale, state->max, sign), factor = 1.0f;
    if (!(fabsf(sum) < WEIGHT_SUM_SURE)) {
        factor = move_max(state, s, n, scale);
        if (factor != 1.0f) sum = weigh(p, s, n, scale, state->max, sign);
    }
    state->sum = state->sum * factor + sum;
    return factor;
}

// The same where weights do not take the place of the logits. Rows of a tile begin together: the first one's maximum
// says which way is the faster; both are right for any.
INLINED void softmax_rows_apart(void *p, size_t p_bytes, const float *s, size_t s_stride,
                                size_t rows, size_t n, float scale, bool subtract,
                                struct softmax_state *states, float *factors,
                                weigh_row *const weigh) {
    const __m512i sign = sign_of(subtract);
    unsigned char *out = p;
    if (rows > 0 && states->max == -INFINITY) {
        softmax_rows(p, p_bytes, s, s_stride, rows, n, scale, subtract, states, factors, weigh);
        return;
    }
    for (size_t r = 0; r < rows; r++, s += s_stride, out += p_bytes)
        factors[r] = weigh_kept(out, s, n, scale, sign, states + r, weigh);
}

#endif
