#include "kernels/difference.h"

#include "kernels/bf16.h"
#include "kernels/x86/lanes_avx2.h"

// Squares of f32 are exact in double: a fused step rounds as often as two.
static inline __m256d add_square(__m256d sum, __m128 difference) {
    const __m256d wide = _mm256_cvtps_pd(difference);
    return _mm256_fmadd_pd(wide, wide, sum);
}

struct sums {
    __m256d part[4]; // 16 sums, the lower numbers first
};

static inline void add_eight(struct sums *sums, size_t half, __m256 a, __m256 b) {
    const __m256 difference = _mm256_sub_ps(a, b);
    sums->part[2 * half] = add_square(sums->part[2 * half], _mm256_castps256_ps128(difference));
    sums->part[2 * half + 1] =
        add_square(sums->part[2 * half + 1], _mm256_extractf128_ps(difference, 1));
}

static inline __m256 load_bf16(const uint16_t *x) {
    const __m128i half = _mm_loadu_si128((const __m128i *)(const void *)x);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}

static void store_sums(double out[DISTANCE_SUMS], const struct sums *sums) {
    for (size_t i = 0; i < 4; i++) _mm256_storeu_pd(out + 4 * i, sums->part[i]);
}

static double distance_f32(const void *a, const void *b, size_t n) {
    const float *x = a, *y = b;
    const size_t whole = n / DISTANCE_SUMS * DISTANCE_SUMS;
    struct sums sums = {
        {_mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd()}};
    for (size_t i = 0; i < whole; i += DISTANCE_SUMS) {
        add_eight(&sums, 0, _mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i));
        add_eight(&sums, 1, _mm256_loadu_ps(x + i + 8), _mm256_loadu_ps(y + i + 8));
    }
    double total[DISTANCE_SUMS];
    store_sums(total, &sums);
    for (size_t i = whole; i < n; i++) {
        const double difference = (double)(x[i] - y[i]);
        total[i - whole] += difference * difference;
    }
    return distance_total(total);
}

static double distance_bf16(const void *a, const void *b, size_t n) {
    const uint16_t *x = a, *y = b;
    const size_t whole = n / DISTANCE_SUMS * DISTANCE_SUMS;
    struct sums sums = {
        {_mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd()}};
    for (size_t i = 0; i < whole; i += DISTANCE_SUMS) {
        add_eight(&sums, 0, load_bf16(x + i), load_bf16(y + i));
        add_eight(&sums, 1, load_bf16(x + i + 8), load_bf16(y + i + 8));
    }
    double total[DISTANCE_SUMS];
    store_sums(total, &sums);
    for (size_t i = whole; i < n; i++) {
        const double difference = (double)(bf16_to_f32(x[i]) - bf16_to_f32(y[i]));
        total[i - whole] += difference * difference;
    }
    return distance_total(total);
}

// Sixteen bytes are five pixels and one channel: three vectors are sixteen whole pixels. Each channel's
// bytes of a vector are summed by themselves, the others masked out.
static void difference_rgb(uint32_t sums[3], const uint8_t *a, size_t a_stride, const uint8_t *b,
                           size_t b_stride, size_t pixels, size_t rows) {
    __m128i masks[3], totals[3];
    for (int first = 0; first < 3; first++) {
        int8_t bytes[16];
        for (int i = 0; i < 16; i++) bytes[i] = i % 3 == first ? -1 : 0;
        masks[first] = _mm_loadu_si128((const __m128i *)(const void *)bytes);
        totals[first] = _mm_setzero_si128();
    }
    const size_t whole = 3 * pixels / 48 * 48;
    sums[0] = sums[1] = sums[2] = 0;
    for (size_t row = 0; row < rows; row++, a += a_stride, b += b_stride) {
        for (size_t i = 0; i < whole; i += 16) {
            const __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(a + i));
            const __m128i y = _mm_loadu_si128((const __m128i *)(const void *)(b + i));
            for (size_t c = 0; c < 3; c++) { // byte 0 of this vector is of channel i mod 3
                const __m128i mask = masks[(c + 3 - i % 3) % 3];
                const __m128i sad = _mm_sad_epu8(_mm_and_si128(x, mask), _mm_and_si128(y, mask));
                totals[c] = _mm_add_epi64(totals[c], sad);
            }
        }
        for (size_t i = whole; i < 3 * pixels; i++)
            sums[i % 3] += (uint32_t)(a[i] > b[i] ? a[i] - b[i] : b[i] - a[i]);
    }
    for (size_t c = 0; c < 3; c++) {
        sums[c] += (uint32_t)(_mm_extract_epi64(totals[c], 0) + _mm_extract_epi64(totals[c], 1));
    }
}

void difference_init_avx2(struct kernels *table) {
    table->distance[FORMAT_F32] = distance_f32;
    table->distance[FORMAT_BF16] = distance_bf16;
    table->difference_rgb_u8 = difference_rgb;
}
