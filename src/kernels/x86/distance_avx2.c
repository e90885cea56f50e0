#include "kernels/distance.h"

#include "kernels/bf16.h"
#include "kernels/encode.h"
#include "kernels/kernels.h"
#include "kernels/x86/lanes_avx2.h"

// Squares of f32 are exact in double: a fused step rounds as often as two.
static inline __m256d add_square(__m256d sum, __m128 difference) {
    const __m256d wide = _mm256_cvtps_pd(difference);
    return _mm256_fmadd_pd(wide, wide, sum);
}

enum { PARTS = DISTANCE_SUMS / 4 };

struct sums {
    __m256d part[PARTS]; // the lower numbers first
};

static inline struct sums no_sums(void) {
    struct sums sums;
    for (size_t i = 0; i < PARTS; i++) sums.part[i] = _mm256_setzero_pd();
    return sums;
}

static inline void add_eight(struct sums *sums, size_t eight, __m256 a, __m256 b) {
    const __m256 difference = _mm256_sub_ps(a, b);
    __m256d *low = &sums->part[2 * eight], *high = low + 1;
    *low = add_square(*low, _mm256_castps256_ps128(difference));
    *high = add_square(*high, _mm256_extractf128_ps(difference, 1));
}

static inline __m256 load_bf16(const uint16_t *x) {
    const __m128i half = _mm_loadu_si128((const __m128i *)(const void *)x);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}

static void store_sums(double out[DISTANCE_SUMS], const struct sums *sums) {
    for (size_t i = 0; i < PARTS; i++) _mm256_storeu_pd(out + 4 * i, sums->part[i]);
}

static double distance_f32(const void *a, const void *b, const void *next, size_t n) {
    const float *x = a, *y = b, *z = next;
    const size_t whole = n / DISTANCE_SUMS * DISTANCE_SUMS;
    struct sums sums = no_sums();
    for (size_t i = 0; i < whole; i += DISTANCE_SUMS) {
        _mm_prefetch(z + i, _MM_HINT_T0);
        _mm_prefetch(z + i + 16, _MM_HINT_T0);
#pragma GCC unroll 4
        for (size_t j = 0; j < DISTANCE_SUMS / 8; j++)
            add_eight(&sums, j, _mm256_loadu_ps(x + i + 8 * j), _mm256_loadu_ps(y + i + 8 * j));
    }
    double total[DISTANCE_SUMS];
    store_sums(total, &sums);
    for (size_t i = whole; i < n; i++) {
        const double difference = (double)(x[i] - y[i]);
        total[i - whole] += difference * difference;
    }
    return distance_total(total);
}

static double distance_bf16(const void *a, const void *b, const void *next, size_t n) {
    const uint16_t *x = a, *y = b, *z = next;
    const size_t whole = n / DISTANCE_SUMS * DISTANCE_SUMS;
    struct sums sums = no_sums();
    for (size_t i = 0; i < whole; i += DISTANCE_SUMS) {
        _mm_prefetch(z + i, _MM_HINT_T0);
#pragma GCC unroll 4
        for (size_t j = 0; j < DISTANCE_SUMS / 8; j++)
            add_eight(&sums, j, load_bf16(x + i + 8 * j), load_bf16(y + i + 8 * j));
    }
    double total[DISTANCE_SUMS];
    store_sums(total, &sums);
    for (size_t i = whole; i < n; i++) {
        const double difference = (double)(bf16_to_f32(x[i]) - bf16_to_f32(y[i]));
        total[i - whole] += difference * difference;
    }
    return distance_total(total);
}

// Eight numbers of an encoded row, which are q + 128 (encode_avx2.c).
static inline __m256 load_i8(const uint8_t *x, __m256 scale) {
    const __m256i wide = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)x));
    const __m256i q = _mm256_sub_epi32(wide, _mm256_set1_epi32(ENCODE_FLIP));
    return _mm256_mul_ps(_mm256_cvtepi32_ps(q), scale);
}

static double distance_i8(const void *a, const void *b, const void *next, size_t n) {
    const uint8_t *x = a, *y = b, *z = next;
    const size_t whole = n / DISTANCE_SUMS * DISTANCE_SUMS;
    const float x_scale = format_scale(a, n), y_scale = format_scale(b, n);
    const __m256 x_scales = _mm256_set1_ps(x_scale), y_scales = _mm256_set1_ps(y_scale);
    struct sums sums = no_sums();
    for (size_t i = 0; i < whole; i += DISTANCE_SUMS) {
        _mm_prefetch(z + i, _MM_HINT_T0);
#pragma GCC unroll 4
        for (size_t j = 0; j < DISTANCE_SUMS / 8; j++)
            add_eight(&sums, j, load_i8(x + i + 8 * j, x_scales), load_i8(y + i + 8 * j, y_scales));
    }
    double total[DISTANCE_SUMS];
    store_sums(total, &sums);
    for (size_t i = whole; i < n; i++) {
        const double difference =
            (double)((float)(x[i] - ENCODE_FLIP) * x_scale - (float)(y[i] - ENCODE_FLIP) * y_scale);
        total[i - whole] += difference * difference;
    }
    return distance_total(total);
}

void distance_init_avx2(struct kernels *table) {
    table->distance[FORMAT_F32] = distance_f32;
    table->distance[FORMAT_BF16] = distance_bf16;
    table->distance[FORMAT_I8] = distance_i8;
}
