#include "kernels/x86/softmax_avx512.h"

static inline __m512 signed_ps(__m512 value, __m512i sign) {
    return _mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(value), sign));
}

static inline float weigh(void *p, const float *s, size_t n, float scale, float max, __m512i sign) {
    float *out = p;
    const __m512 factor = _mm512_set1_ps(scale * EXP_LOG2E);
    const __m512 shift = _mm512_set1_ps(max * EXP_LOG2E);
    const size_t whole = n / 16 * 16;
    __m512 sums = _mm512_setzero_ps();
    for (size_t i = 0; i < whole; i += 16) {
        const __m512 t = _mm512_fmsub_ps(_mm512_loadu_ps(s + i), factor, shift);
        const __m512 e = signed_ps(exp2_avx512(t), sign);
        _mm512_storeu_ps(out + i, e);
        sums = _mm512_add_ps(sums, e);
    }
    if (whole < n) {
        const __mmask16 there = first_avx512(n - whole);
        const __m512 t = _mm512_fmsub_ps(_mm512_maskz_loadu_ps(there, s + whole), factor, shift);
        const __m512 e = signed_ps(exp2_avx512(t), sign);
        _mm512_mask_storeu_ps(out + whole, there, e);
        sums = _mm512_mask_add_ps(sums, there, sums, e);
    }
    return _mm512_reduce_add_ps(sums);
}

static void softmax_f32(void *p, size_t p_bytes, const float *s, size_t s_stride, size_t rows,
                        size_t n, float scale, bool subtract, struct softmax_state *states,
                        float *factors) {
    softmax_rows(p, p_bytes, s, s_stride, rows, n, scale, subtract, states, factors, weigh);
}

// Up to 64 floats in registers, read by index without touching memory.
struct lookup {
    __m512 values[4];
};

static inline struct lookup load_lookup(const float *values, size_t n) {
    struct lookup lookup;
    for (size_t i = 0; i < 4; i++) {
        const size_t left = n > 16 * i ? n - 16 * i : 0;
        lookup.values[i] = _mm512_maskz_loadu_ps(first_avx512(left), values + (left ? 16 * i : 0));
    }
    return lookup;
}

static inline __m512 look_up(const struct lookup *lookup, __m512i index) {
    const __m512 low = _mm512_permutex2var_ps(lookup->values[0], index, lookup->values[1]);
    const __m512 high = _mm512_permutex2var_ps(lookup->values[2], index, lookup->values[3]);
    return _mm512_mask_blend_ps(_mm512_test_epi32_mask(index, _mm512_set1_epi32(32)), low, high);
}

static void outer_sum_at(float *row, const float *h, size_t n_h, const float *w, size_t n_w,
                         const uint32_t *y, const uint32_t *x, size_t n) {
    if (n_h > 64 || n_w > 64) {
        for (size_t i = 0; i < n; i++) row[i] = h[y[i]] + w[x[i]];
        return;
    }
    const struct lookup heights = load_lookup(h, n_h), widths = load_lookup(w, n_w);
    for (size_t i = 0; i < n; i += 16) {
        const __mmask16 there = first_avx512(n - i);
        const __m512 a = look_up(&heights, _mm512_maskz_loadu_epi32(there, y + i));
        const __m512 b = look_up(&widths, _mm512_maskz_loadu_epi32(there, x + i));
        _mm512_mask_storeu_ps(row + i, there, _mm512_add_ps(a, b));
    }
}

// One row of keys after the other; `some` of them lie in the block.
static void outer_sum(float *row, const float *h, const float *w, size_t width, size_t first,
                      size_t n) {
    size_t y = first / width, x = first % width;
    if (width <= 16 && x == 0) { // windows: a row of keys is one vector, the same w for each
        const __m512 columns = _mm512_maskz_loadu_ps(first_avx512(width), w);
        for (; n >= 16; row += width, n -= width, y++)
            _mm512_storeu_ps(row, _mm512_add_ps(_mm512_set1_ps(h[y]), columns));
    }
    while (n > 0) {
        const size_t some = width - x < n ? width - x : n, whole = some / 16 * 16;
        const __m512 height = _mm512_set1_ps(h[y]);
        for (size_t i = 0; i < whole; i += 16)
            _mm512_storeu_ps(row + i, _mm512_add_ps(height, _mm512_loadu_ps(w + x + i)));
        if (whole < some) {
            const __mmask16 there = first_avx512(some - whole);
            const __m512 sums = _mm512_add_ps(height, _mm512_maskz_loadu_ps(there, w + x + whole));
            // What is written beyond is overwritten by the next row of keys.
            if (n - whole >= 16)
                _mm512_storeu_ps(row + whole, sums);
            else
                _mm512_mask_storeu_ps(row + whole, there, sums);
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
    table->outer_sum_at = outer_sum_at;
}
