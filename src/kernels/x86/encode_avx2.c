#include "kernels/encode.h"
#include "kernels/kernels.h"
#include "kernels/x86/lanes_avx2.h"

static inline __m256 load(const float *x, size_t left) {
    return left >= 8 ? _mm256_loadu_ps(x) : _mm256_maskload_ps(x, first_avx2(left));
}

static void encode_i8(void *row, const float *x, size_t n) {
    int8_t *out = row;
    const __m256 sign = _mm256_set1_ps(-0.0f);
    __m256 largest = _mm256_setzero_ps();
    for (size_t i = 0; i < n; i += 8)
        largest = _mm256_max_ps(largest, _mm256_andnot_ps(sign, load(x + i, n - i)));
    const float max = max_avx2(largest);
    const __m256 factor = _mm256_set1_ps(encode_factor(max));
    __m256i sums = _mm256_setzero_si256();
    for (size_t i = 0; i < n; i += 8) {
        const __m256i q = _mm256_cvtps_epi32(_mm256_mul_ps(load(x + i, n - i), factor));
        const __m128i words =
            _mm_packs_epi32(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1));
        const uint64_t bytes = (uint64_t)_mm_cvtsi128_si64(_mm_packs_epi16(words, words));
        sums = _mm256_add_epi32(sums, q);
        memcpy(out + i, &bytes, n - i < 8 ? n - i : 8);
    }
    int32_t parts[8];
    memcpy(parts, &sums, sizeof parts);
    int32_t sum = 0;
    for (size_t i = 0; i < 8; i++) sum += parts[i];
    encode_end(row, n, sum, max);
}

void encode_init_avx2(struct kernels *table) {
    table->encode[FORMAT_I8] = encode_i8;
}
