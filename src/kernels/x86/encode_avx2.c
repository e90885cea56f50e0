#include <immintrin.h>

#include "kernels/encode.h"
#include "kernels/kernels.h"
#include "kernels/x86/inlined.h"
#include "kernels/x86/lanes_avx2.h"

enum { GROUP = 32 }; // numbers that become one vector of bytes

// |x| as bits.
static inline __m256i size_bits(__m256 x) {
    return _mm256_and_si256(_mm256_castps_si256(x), _mm256_set1_epi32(0x7fffffff));
}

static inline uint32_t reduce_max(__m256i v) {
    __m128i most = _mm_max_epu32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    most = _mm_max_epu32(most, _mm_shuffle_epi32(most, 0x4e));
    most = _mm_max_epu32(most, _mm_shuffle_epi32(most, 0xb1));
    return (uint32_t)_mm_cvtsi128_si32(most);
}

static inline int32_t reduce_add(__m256i v) {
    __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1)));
}

// Sizes of eight numbers or, `pairs`, of |x_2i| + |x_2i+1|, each twice.
INLINED __m256i sizes_of(__m256 x, bool pairs) {
    const __m256i sizes = size_bits(x);
    if (!pairs) return sizes;
    const __m256i other = _mm256_shuffle_epi32(sizes, 0xb1);
    return _mm256_castps_si256(
        _mm256_add_ps(_mm256_castsi256_ps(sizes), _mm256_castsi256_ps(other)));
}

INLINED uint32_t largest_bits(const float *x, size_t n, bool pairs) {
    __m256i sizes[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        sizes[0] = _mm256_max_epu32(sizes[0], sizes_of(_mm256_loadu_ps(x + i), pairs));
        sizes[1] = _mm256_max_epu32(sizes[1], sizes_of(_mm256_loadu_ps(x + i + 8), pairs));
    }
    for (; i < n; i += 8)
        sizes[0] = _mm256_max_epu32(sizes[0], sizes_of(load_avx2(x + i, n - i), pairs));
    return reduce_max(_mm256_max_epu32(sizes[0], sizes[1]));
}

static inline __m256i quantised(__m256 x, __m256 factor) {
    return _mm256_cvtps_epi32(_mm256_mul_ps(x, factor));
}

// Four vectors of numbers of 8 bits, in their order.
static inline __m256i bytes_of(const __m256i q[4]) {
    const __m256i low = _mm256_packs_epi32(q[0], q[1]), high = _mm256_packs_epi32(q[2], q[3]);
    return _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high),
                                       _mm256_set_epi32(7, 3, 6, 2, 5, 1, 4, 0));
}

// Writes n numbers of 8 bits and returns their sum.
static int32_t write_quantised(int8_t *out, const float *x, size_t n, float by) {
    const __m256 factor = _mm256_set1_ps(by);
    __m256i sums = _mm256_setzero_si256();
    for (size_t i = 0; i < n; i += GROUP) {
        const size_t some = n - i < GROUP ? n - i : GROUP;
        __m256i q[4];
#pragma GCC unroll 4
        for (size_t j = 0; j < 4; j++) {
            const bool there = 8 * j < some;
            q[j] = there ? quantised(load_avx2(x + i + 8 * j, some - 8 * j), factor)
                         : _mm256_setzero_si256();
            sums = _mm256_add_epi32(sums, q[j]);
        }
        const __m256i bytes = bytes_of(q);
        if (some == GROUP)
            _mm256_storeu_si256((__m256i *)(out + i), bytes);
        else
            memcpy(out + i, &bytes, some);
    }
    return reduce_add(sums);
}

INLINED void encode(void *row, const float *x, size_t n, bool pairs) {
    const uint32_t largest = largest_bits(x, n, pairs);
    const float max = encode_largest(largest);
    if (encode_is_wild(largest)) {
        memset(row, 0, n);
        encode_end(row, n, 0, max);
        return;
    }
    encode_end(row, n, write_quantised(row, x, n, encode_factor(max)), max);
}

static void encode_i8(void *row, const float *x, size_t n) {
    encode(row, x, n, false);
    encode_make_unsigned(row, n);
}

static void encode_weights_i8(void *row, const float *x, size_t n) {
    encode(row, x, n, true);
}

void encode_init_avx2(struct kernels *table) {
    table->encode[FORMAT_I8] = encode_i8;
    table->encode_weights[FORMAT_I8] = encode_weights_i8;
    table->rows_flip = ENCODE_FLIP;
    table->weights_flip = 0;
}
