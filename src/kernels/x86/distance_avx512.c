#include <immintrin.h>

#include "kernels/distance.h"
#include "kernels/kernels.h"

// Squares of f32 are exact in double: a fused step rounds as often as two.
static inline __m512d add_squares(__m512d sums, __m256 differences) {
    const __m512d wide = _mm512_cvtps_pd(differences);
    return _mm512_fmadd_pd(wide, wide, sums);
}

// Eight sums for each half of a vector of differences.
struct sums {
    __m512d low, high;
};

static inline struct sums no_sums(void) {
    return (struct sums){_mm512_setzero_pd(), _mm512_setzero_pd()};
}

static inline struct sums add_sixteen(struct sums sums, __m512 differences) {
    return (struct sums){add_squares(sums.low, _mm512_castps512_ps256(differences)),
                         add_squares(sums.high, _mm512_extractf32x8_ps(differences, 1))};
}

static inline __m256d add_halves(__m512d sums) {
    return _mm256_add_pd(_mm512_castpd512_pd256(sums), _mm512_extractf64x4_pd(sums, 1));
}

static inline __m128d add_quarters(__m256d sums) {
    return _mm_add_pd(_mm256_castpd256_pd128(sums), _mm256_extractf128_pd(sums, 1));
}

static inline double add_pair(__m128d sums) {
    return _mm_cvtsd_f64(sums) + _mm_cvtsd_f64(_mm_unpackhi_pd(sums, sums));
}

// Sums 0 to 15 and 16 to 31.
static inline double total(struct sums first, struct sums second) {
    const __m512d low = _mm512_add_pd(first.low, second.low),
                  high = _mm512_add_pd(first.high, second.high);
    return add_pair(add_quarters(add_halves(_mm512_add_pd(low, high))));
}

// The first min(n, 32) numbers.
static inline __mmask32 first_numbers(size_t n) {
    return n >= DISTANCE_SUMS ? (__mmask32)-1 : ((__mmask32)1 << n) - 1;
}

static inline __m512 difference(__mmask16 there, const float *x, const float *y) {
    return _mm512_sub_ps(_mm512_maskz_loadu_ps(there, x), _mm512_maskz_loadu_ps(there, y));
}

static double distance_f32(const void *a, const void *b, const void *next, size_t n) {
    const float *x = a, *y = b, *z = next;
    struct sums first = no_sums(), second = no_sums();
    for (size_t i = 0; i < n; i += DISTANCE_SUMS) {
        const __mmask32 there = first_numbers(n - i);
        _mm_prefetch(z + i, _MM_HINT_T0);
        _mm_prefetch(z + i + 16, _MM_HINT_T0);
        first = add_sixteen(first, difference((__mmask16)there, x + i, y + i));
        second = add_sixteen(second, difference((__mmask16)(there >> 16), x + i + 16, y + i + 16));
    }
    return total(first, second);
}

// Differences of numbers 0, 2, 4, ... of 32, and of those between them.
static inline __m512 even(__m512i a, __m512i b) {
    return _mm512_sub_ps(_mm512_castsi512_ps(_mm512_slli_epi32(a, 16)),
                         _mm512_castsi512_ps(_mm512_slli_epi32(b, 16)));
}

static inline __m512 odd(__m512i a, __m512i b) {
    const __m512i upper = _mm512_set1_epi32((int)0xffff0000u);
    return _mm512_sub_ps(_mm512_castsi512_ps(_mm512_and_si512(a, upper)),
                         _mm512_castsi512_ps(_mm512_and_si512(b, upper)));
}

static double distance_bf16(const void *a, const void *b, const void *next, size_t n) {
    const uint16_t *x = a, *y = b, *z = next;
    struct sums evens = no_sums(), odds = no_sums();
    for (size_t i = 0; i < n; i += DISTANCE_SUMS) {
        const __mmask32 there = first_numbers(n - i);
        _mm_prefetch(z + i, _MM_HINT_T0);
        const __m512i u = _mm512_maskz_loadu_epi16(there, x + i),
                      v = _mm512_maskz_loadu_epi16(there, y + i);
        evens = add_sixteen(evens, even(u, v));
        odds = add_sixteen(odds, odd(u, v));
    }
    const __m512d from_even = _mm512_add_pd(evens.low, evens.high),
                  from_odd = _mm512_add_pd(odds.low, odds.high);
    return add_pair(add_quarters(add_halves(from_even))) +
           add_pair(add_quarters(add_halves(from_odd)));
}

// Sixteen numbers of an encoded row.
static inline __m512 scaled(__m128i q, __m512 scale) {
    return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(q)), scale);
}

// No byte is flipped (encode_avx512.c).
static double distance_i8(const void *a, const void *b, const void *next, size_t n) {
    const int8_t *x = a, *y = b, *z = next;
    const __m512 x_scale = _mm512_set1_ps(format_scale(a, n)),
                 y_scale = _mm512_set1_ps(format_scale(b, n));
    struct sums first = no_sums(), second = no_sums();
    for (size_t i = 0; i < n; i += DISTANCE_SUMS) {
        const __mmask32 there = first_numbers(n - i);
        _mm_prefetch(z + i, _MM_HINT_T0);
        const __m256i u = _mm256_maskz_loadu_epi8(there, x + i),
                      v = _mm256_maskz_loadu_epi8(there, y + i);
        first = add_sixteen(first, _mm512_sub_ps(scaled(_mm256_castsi256_si128(u), x_scale),
                                                 scaled(_mm256_castsi256_si128(v), y_scale)));
        second =
            add_sixteen(second, _mm512_sub_ps(scaled(_mm256_extracti128_si256(u, 1), x_scale),
                                              scaled(_mm256_extracti128_si256(v, 1), y_scale)));
    }
    return total(first, second);
}

void distance_init_avx512(struct kernels *table) {
    table->distance[FORMAT_F32] = distance_f32;
    table->distance[FORMAT_BF16] = distance_bf16;
    table->distance[FORMAT_I8] = distance_i8;
}
