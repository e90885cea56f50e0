#include "kernels/distance.h"
#include "kernels/kernels.h"

#include "kernels/x86/lanes_avx512.h"

// Squares of f32 are exact in double: a fused step rounds as often as two.
struct sums {
    __m512d low, high; // 16 sums
};

static inline void add_sixteen(struct sums *sums, __m512 a, __m512 b) {
    const __m512 difference = _mm512_sub_ps(a, b);
    const __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256(difference));
    const __m512d high = _mm512_cvtps_pd(_mm512_extractf32x8_ps(difference, 1));
    sums->low = _mm512_fmadd_pd(low, low, sums->low);
    sums->high = _mm512_fmadd_pd(high, high, sums->high);
}

static inline double total(const struct sums *sums) {
    double parts[DISTANCE_SUMS];
    _mm512_storeu_pd(parts, sums->low);
    _mm512_storeu_pd(parts + 8, sums->high);
    return distance_total(parts);
}

static inline __m512 widen(__m256i bf16) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bf16), 16));
}

static double distance_f32(const void *a, const void *b, size_t n) {
    const float *x = a, *y = b;
    struct sums sums = {_mm512_setzero_pd(), _mm512_setzero_pd()};
    size_t i = 0;
    for (; i + 16 <= n; i += 16) add_sixteen(&sums, _mm512_loadu_ps(x + i), _mm512_loadu_ps(y + i));
    if (i < n) {
        const __mmask16 there = first_avx512(n - i);
        add_sixteen(&sums, _mm512_maskz_loadu_ps(there, x + i),
                    _mm512_maskz_loadu_ps(there, y + i));
    }
    return total(&sums);
}

static double distance_bf16(const void *a, const void *b, size_t n) {
    const uint16_t *x = a, *y = b;
    struct sums sums = {_mm512_setzero_pd(), _mm512_setzero_pd()};
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        add_sixteen(&sums, widen(_mm256_loadu_epi16(x + i)), widen(_mm256_loadu_epi16(y + i)));
    if (i < n) {
        const __mmask16 there = first_avx512(n - i);
        add_sixteen(&sums, widen(_mm256_maskz_loadu_epi16(there, x + i)),
                    widen(_mm256_maskz_loadu_epi16(there, y + i)));
    }
    return total(&sums);
}

void distance_init_avx512(struct kernels *table) {
    table->distance[FORMAT_F32] = distance_f32;
    table->distance[FORMAT_BF16] = distance_bf16;
}
