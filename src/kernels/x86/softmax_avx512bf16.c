#include "kernels/x86/softmax_avx512.h"

// The products of thirty-two bf16 with ones, added to sums: what is summed is what was rounded, so that
// the weights of a row sum to 1.
static inline __m512 add_bf16(__m512 sums, __m512i values) {
    const __m512i ones = _mm512_set1_epi16(0x3f80);
    __asm__("vdpbf16ps %2, %1, %0" : "+v"(sums) : "v"(ones), "v"(values));
    return sums;
}

static inline float weigh(void *p, const float *s, size_t n, float scale, float max, __m512i sign) {
    uint16_t *out = p;
    const __m512 factor = _mm512_set1_ps(scale * EXP_LOG2E);
    const __m512 shift = _mm512_set1_ps(max * EXP_LOG2E);
    const __m512i signs = _mm512_or_si512(sign, _mm512_srli_epi32(sign, 16));
    const size_t whole = n / 32 * 32;
    __m512 sums = _mm512_setzero_ps();
    for (size_t i = 0; i < whole; i += 32) {
        const __m512 low =
            exp2_rough_avx512(_mm512_fmsub_ps(_mm512_loadu_ps(s + i), factor, shift));
        const __m512 high =
            exp2_rough_avx512(_mm512_fmsub_ps(_mm512_loadu_ps(s + i + 16), factor, shift));
        const __m512i e = _mm512_xor_si512((__m512i)_mm512_cvtne2ps_pbh(high, low), signs);
        _mm512_storeu_si512(out + i, e);
        sums = add_bf16(sums, e);
    }
    for (size_t i = whole; i < n; i += 16) {
        const __mmask16 there = first_avx512(n - i);
        const __m512 t = _mm512_fmsub_ps(_mm512_maskz_loadu_ps(there, s + i), factor, shift);
        const __m512 e = _mm512_maskz_mov_ps(there, exp2_rough_avx512(t));
        const size_t left = n - i < 16 ? (n - i + 1) / 2 * 2 : 16; // whole lanes
        const __m512i pair =
            _mm512_xor_si512((__m512i)_mm512_cvtne2ps_pbh(_mm512_setzero_ps(), e), signs);
        _mm256_mask_storeu_epi16(out + i, first_avx512(left), _mm512_castsi512_si256(pair));
        sums = add_bf16(sums, pair);
    }
    return _mm512_reduce_add_ps(sums);
}

static void softmax_bf16(void *p, size_t p_bytes, const float *s, size_t s_stride, size_t rows,
                         size_t n, float scale, bool subtract, struct softmax_state *states,
                         float *factors) {
    softmax_rows_apart(p, p_bytes, s, s_stride, rows, n, scale, subtract, states, factors, weigh);
}

void softmax_init_avx512bf16(struct kernels *table) {
    table->softmax[FORMAT_BF16] = softmax_bf16;
}
