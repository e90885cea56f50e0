// Sixteen f32 to bf16, rounded to nearest, ties to even; NaN stays NaN (kernels/bf16.h).
#ifndef VIDETTE_KERNELS_X86_BF16_AVX512_H
#define VIDETTE_KERNELS_X86_BF16_AVX512_H

#include <immintrin.h>

static inline __m256i bf16_avx512(__m512 x) {
    const __m512i bits = _mm512_castps_si512(x);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i rounded =
        _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(_mm512_mask_mov_epi32(rounded, nan, quiet), 16));
}

#endif
