#include "kernels/encode.h"
#include "kernels/kernels.h"
#include "kernels/x86/bf16_avx512.h"

enum { GROUP = 64 }; // numbers that become one vector of bytes

static inline __m512i size_bits(__m512 x) {
    return _mm512_castps_si512(_mm512_abs_ps(x));
}

static inline __m512i quantised(__m512 x, __m512 factor) {
    return _mm512_cvtps_epi32(_mm512_mul_ps(x, factor));
}

// Four vectors of numbers of 8 bits, in their order.
static inline __m512i bytes_of(const __m512i q[4]) {
    const __m512i order = _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
    const __m512i low = _mm512_packs_epi32(q[0], q[1]), high = _mm512_packs_epi32(q[2], q[3]);
    return _mm512_permutexvar_epi32(order, _mm512_packs_epi16(low, high));
}

static uint32_t largest_bits(const float *x, size_t n) {
    __m512i sizes[4] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(),
                        _mm512_setzero_si512()};
    size_t i = 0;
    for (; i + GROUP <= n; i += GROUP) {
#pragma GCC unroll 4
        for (size_t j = 0; j < 4; j++)
            sizes[j] = _mm512_max_epu32(sizes[j], size_bits(_mm512_loadu_ps(x + i + 16 * j)));
    }
    for (; i < n; i += 16)
        sizes[0] = _mm512_max_epu32(sizes[0],
                                    size_bits(_mm512_maskz_loadu_ps(first_avx512(n - i), x + i)));
    return _mm512_reduce_max_epu32(_mm512_max_epu32(_mm512_max_epu32(sizes[0], sizes[1]),
                                                    _mm512_max_epu32(sizes[2], sizes[3])));
}

static void encode_i8(void *row, const float *x, size_t n) {
    int8_t *out = row;
    const uint32_t largest = largest_bits(x, n);
    const float max = encode_largest(largest);
    if (encode_is_wild(largest)) {
        memset(out, 0, n);
        encode_end(row, n, 0, max);
        return;
    }
    const __m512 factor = _mm512_set1_ps(encode_factor(max));
    __m512i sums = _mm512_setzero_si512();
    size_t i = 0;
    for (; i + GROUP <= n; i += GROUP) {
        __m512i q[4];
#pragma GCC unroll 4
        for (size_t j = 0; j < 4; j++) {
            q[j] = quantised(_mm512_loadu_ps(x + i + 16 * j), factor);
            sums = _mm512_add_epi32(sums, q[j]);
        }
        _mm512_storeu_si512(out + i, bytes_of(q));
    }
    for (; i < n; i += 16) {
        const __mmask16 there = first_avx512(n - i);
        const __m512i q = quantised(_mm512_maskz_loadu_ps(there, x + i), factor);
        sums = _mm512_add_epi32(sums, q);
        _mm_mask_storeu_epi8(out + i, there, _mm512_cvtepi32_epi8(q));
    }
    encode_end(row, n, _mm512_reduce_add_epi32(sums), max);
}

static void encode_weights_i8(void *row, const float *x, size_t n) {
    encode_i8(row, x, n);
    encode_make_unsigned(row, n);
}

void encode_init_avx512(struct kernels *table) {
    table->encode[FORMAT_BF16] = table->encode_weights[FORMAT_BF16] = encode_bf16_avx512;
    table->encode[FORMAT_I8] = encode_i8;
    table->encode_weights[FORMAT_I8] = encode_weights_i8;
    table->rows_flip = 0;
    table->weights_flip = ENCODE_FLIP;
}
