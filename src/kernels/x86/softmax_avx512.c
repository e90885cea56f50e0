#include "kernels/x86/softmax_avx512.h"

static float softmax_f32(void *p, const float *s, size_t n, float scale,
                         struct softmax_state *state) {
    float *out = p;
    const float correction = grow_max(state, s, n, scale);
    const __m512 factor = _mm512_set1_ps(scale * EXP_LOG2E);
    const __m512 shift = _mm512_set1_ps(state->max * EXP_LOG2E);
    const size_t whole = n / 16 * 16;
    __m512 sums = _mm512_setzero_ps();
    for (size_t i = 0; i < whole; i += 16) {
        const __m512 e = exp2_avx512(_mm512_fmsub_ps(_mm512_loadu_ps(s + i), factor, shift));
        _mm512_storeu_ps(out + i, e);
        sums = _mm512_add_ps(sums, e);
    }
    if (whole < n) {
        const __mmask16 there = first_avx512(n - whole);
        const __m512 t = _mm512_fmsub_ps(_mm512_maskz_loadu_ps(there, s + whole), factor, shift);
        const __m512 e = exp2_avx512(t);
        _mm512_mask_storeu_ps(out + whole, there, e);
        sums = _mm512_mask_add_ps(sums, there, sums, e);
    }
    state->sum = state->sum * correction + _mm512_reduce_add_ps(sums);
    return correction;
}

// One row of keys after the other; `some` of them lie in the block.
static void outer_sum(float *row, const float *h, const float *w, size_t width, size_t first,
                      size_t n) {
    size_t y = first / width, x = first % width;
    while (n > 0) {
        const size_t some = width - x < n ? width - x : n, whole = some / 16 * 16;
        const __m512 height = _mm512_set1_ps(h[y]);
        for (size_t i = 0; i < whole; i += 16)
            _mm512_storeu_ps(row + i, _mm512_add_ps(height, _mm512_loadu_ps(w + x + i)));
        if (whole < some) {
            const __mmask16 there = first_avx512(some - whole);
            const size_t i = whole;
            _mm512_mask_storeu_ps(row + i, there,
                                  _mm512_add_ps(height, _mm512_maskz_loadu_ps(there, w + x + i)));
        }
        row += some;
        n -= some;
        y++;
        x = 0;
    }
}

// Plain C's bf16 stays: it is used only where there are products for it (softmax_avx512bf16.c).
void softmax_init_avx512(struct kernels *table) {
    table->softmax[FORMAT_F32] = softmax_f32;
    table->outer_sum = outer_sum;
}
