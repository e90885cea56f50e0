// Tails of loops over eight f32, and sums across lanes.
#ifndef VIDETTE_KERNELS_X86_LANES_AVX2_H
#define VIDETTE_KERNELS_X86_LANES_AVX2_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

// The first n <= 8 lanes.
static inline __m256i first_avx2(size_t n) {
    static const int32_t window[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    return _mm256_loadu_si256((const __m256i *)(window + 8 - n));
}

// Up to eight numbers of which `left` are there, in whole or in part: masked stores are slow.
static inline __m256 load_avx2(const float *x, size_t left) {
    return left >= 8 ? _mm256_loadu_ps(x) : _mm256_maskload_ps(x, first_avx2(left));
}

static inline void store_avx2(float *x, size_t left, __m256 value) {
    if (left >= 8)
        _mm256_storeu_ps(x, value);
    else
        _mm256_maskstore_ps(x, first_avx2(left), value);
}

static inline float sum_avx2(__m256 v) {
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

static inline float max_avx2(__m256 v) {
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
}

#endif
