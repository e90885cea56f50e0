#include "kernels/encode.h"
#include "kernels/kernels.h"
#include "kernels/x86/bf16_avx512.h"

static void encode_i8(void *row, const float *x, size_t n) {
    int8_t *out = row;
    __m512i sizes = _mm512_setzero_si512();
    for (size_t i = 0; i < n; i += 16) {
        const __m512 size = _mm512_abs_ps(_mm512_maskz_loadu_ps(first_avx512(n - i), x + i));
        sizes = _mm512_max_epi32(sizes, _mm512_castps_si512(size));
    }
    const uint32_t largest = (uint32_t)_mm512_reduce_max_epi32(sizes);
    const float max = encode_largest(largest);
    if (encode_is_wild(largest)) {
        memset(out, 0, n);
        encode_end(row, n, 0, max);
        return;
    }
    const __m512 factor = _mm512_set1_ps(encode_factor(max));
    __m512i sums = _mm512_setzero_si512();
    for (size_t i = 0; i < n; i += 16) {
        const __mmask16 there = first_avx512(n - i);
        const __m512i q =
            _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_maskz_loadu_ps(there, x + i), factor));
        sums = _mm512_add_epi32(sums, q);
        _mm_mask_storeu_epi8(out + i, there, _mm512_cvtepi32_epi8(q));
    }
    encode_end(row, n, _mm512_reduce_add_epi32(sums), max);
}

void encode_init_avx512(struct kernels *table) {
    table->encode[FORMAT_BF16] = encode_bf16_avx512;
    table->encode[FORMAT_I8] = encode_i8;
}
