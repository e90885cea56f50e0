// f32 to bf16, rounded to nearest, ties to even; NaN stays NaN (kernels/bf16.h).
#ifndef VIDETTE_KERNELS_X86_BF16_AVX512_H
#define VIDETTE_KERNELS_X86_BF16_AVX512_H

#include <stdint.h>

#include "kernels/x86/lanes_avx512.h"

static inline __m256i round_bf16_avx512(__m512 x) {
    const __m512i bits = _mm512_castps_si512(x);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i rounded =
        _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(_mm512_mask_mov_epi32(rounded, nan, quiet), 16));
}

enum { SUBNORMAL = 0x20 }; // of _mm512_fpclass_ps_mask

// Sixteen of them, in files compiled for it with the instruction, which makes zeros of subnormal numbers.
static inline __m256i bf16_avx512(__m512 x) {
#ifdef __AVX512BF16__
    if (__builtin_expect(_mm512_fpclass_ps_mask(x, SUBNORMAL) == 0, 1))
        return (__m256i)_mm512_cvtneps_pbh(x);
#endif
    return round_bf16_avx512(x);
}

// Thirty-two of them.
static inline __m512i bf16_pair_avx512(__m512 low, __m512 high) {
#ifdef __AVX512BF16__
    const __mmask16 subnormal = _kor_mask16(_mm512_fpclass_ps_mask(low, SUBNORMAL),
                                            _mm512_fpclass_ps_mask(high, SUBNORMAL));
    if (__builtin_expect(subnormal == 0, 1)) return (__m512i)_mm512_cvtne2ps_pbh(high, low);
#endif
    return _mm512_inserti64x4(_mm512_castsi256_si512(round_bf16_avx512(low)),
                              round_bf16_avx512(high), 1);
}

// n of them, padded to a whole lane.
static inline void encode_bf16_avx512(void *row, const float *x, size_t n) {
    uint16_t *out = row;
    size_t i = 0;
    for (; i + 32 <= n; i += 32)
        _mm512_storeu_si512(out + i,
                            bf16_pair_avx512(_mm512_loadu_ps(x + i), _mm512_loadu_ps(x + i + 16)));
    for (; i < n; i += 16) {
        const __mmask16 there = first_avx512(n - i);
        _mm256_mask_storeu_epi16(out + i, there, bf16_avx512(_mm512_maskz_loadu_ps(there, x + i)));
    }
    if (n % 2) out[n] = 0;
}

#endif
