#include "kernels/distance.h"
#include "kernels/kernels.h"

#include "kernels/x86/lanes_avx512.h"

// Squares of f32 are exact in double: a fused step rounds as often as two.
// Eight at a time: halves of sixteen would have to be taken apart to become doubles.
static inline __m512d add_eight(__m512d sums, __m256 a, __m256 b) {
    const __m512d difference = _mm512_cvtps_pd(_mm256_sub_ps(a, b));
    return _mm512_fmadd_pd(difference, difference, sums);
}

static inline double total(__m512d low, __m512d high) {
    double parts[DISTANCE_SUMS];
    _mm512_storeu_pd(parts, low);
    _mm512_storeu_pd(parts + 8, high);
    return distance_total(parts);
}

static inline __m256 even(__m256i bf16) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(bf16, 16));
}

static inline __m256 odd(__m256i bf16) {
    return _mm256_castsi256_ps(_mm256_and_si256(bf16, _mm256_set1_epi32((int)0xffff0000u)));
}

static double distance_f32(const void *a, const void *b, const void *next, size_t n) {
    const float *x = a, *y = b, *z = next;
    const size_t whole = n / 16 * 16;
    const __mmask16 there = first_avx512(n - whole);
    const __mmask8 first = (__mmask8)there, second = (__mmask8)(there >> 8);
    __m512d low = _mm512_setzero_pd(), high = _mm512_setzero_pd();
    for (size_t i = 0; i < whole; i += 16) {
        _mm_prefetch(z + i, _MM_HINT_T0);
        low = add_eight(low, _mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i));
        high = add_eight(high, _mm256_loadu_ps(x + i + 8), _mm256_loadu_ps(y + i + 8));
    }
    low = add_eight(low, _mm256_maskz_loadu_ps(first, x + whole),
                    _mm256_maskz_loadu_ps(first, y + whole));
    high = add_eight(high, _mm256_maskz_loadu_ps(second, x + whole + 8),
                     _mm256_maskz_loadu_ps(second, y + whole + 8));
    return total(low, high);
}

static double distance_bf16(const void *a, const void *b, const void *next, size_t n) {
    const uint16_t *x = a, *y = b, *z = next;
    const size_t whole = n / 16 * 16;
    const __mmask16 there = first_avx512(n - whole);
    __m512d evens = _mm512_setzero_pd(), odds = _mm512_setzero_pd();
    for (size_t i = 0; i < whole; i += 16) {
        _mm_prefetch(z + i, _MM_HINT_T0);
        const __m256i u = _mm256_loadu_epi16(x + i), v = _mm256_loadu_epi16(y + i);
        evens = add_eight(evens, even(u), even(v));
        odds = add_eight(odds, odd(u), odd(v));
    }
    const __m256i u = _mm256_maskz_loadu_epi16(there, x + whole),
                  v = _mm256_maskz_loadu_epi16(there, y + whole);
    evens = add_eight(evens, even(u), even(v));
    odds = add_eight(odds, odd(u), odd(v));
    const __m512i first = _mm512_set_epi64(11, 3, 10, 2, 9, 1, 8, 0),
                  second = _mm512_set_epi64(15, 7, 14, 6, 13, 5, 12, 4);
    return total(_mm512_permutex2var_pd(evens, first, odds),
                 _mm512_permutex2var_pd(evens, second, odds));
}

void distance_init_avx512(struct kernels *table) {
    table->distance[FORMAT_F32] = distance_f32;
    table->distance[FORMAT_BF16] = distance_bf16;
}
