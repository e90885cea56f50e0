#include <string.h>

#include "kernels/kernels.h"
#include "kernels/x86/lanes_avx2.h"

// Eight sums to eight bytes: shifted, clipped to 0..255 by the two saturating packs.
static inline __m128i clip_u8(__m256i sums) {
    const __m256i values = _mm256_srai_epi32(sums, 22);
    const __m128i words =
        _mm_packs_epi32(_mm256_castsi256_si128(values), _mm256_extracti128_si256(values, 1));
    return _mm_packus_epi16(words, words);
}

static void resize_column(uint8_t *out, const uint8_t *in, size_t in_stride, const int32_t *weights,
                          size_t n, size_t bytes) {
    size_t j = 0;
    for (; j + 8 <= bytes; j += 8) {
        __m256i sums = _mm256_set1_epi32(1 << 21);
        for (size_t i = 0; i < n; i++) {
            const __m256i values =
                _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(in + i * in_stride + j)));
            sums =
                _mm256_add_epi32(sums, _mm256_mullo_epi32(values, _mm256_set1_epi32(weights[i])));
        }
        _mm_storel_epi64((__m128i *)(out + j), clip_u8(sums));
    }
    for (; j < bytes; j++) {
        int32_t sum = 1 << 21;
        for (size_t i = 0; i < n; i++) sum += in[i * in_stride + j] * weights[i];
        const int32_t value = sum >> 22;
        out[j] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
    }
}

// Two pixels at a time: lanes r g b - r g b -, each half with its own weight. Their six bytes are
// loaded as 4 + 2, since the row may end behind them.
static void resize_row(uint8_t *out, const uint8_t *in, size_t n_out, const struct resize_tap *taps,
                       const int32_t *weights, size_t max_taps) {
    const __m128i spread = _mm_setr_epi8(0, 1, 2, -1, 3, 4, 5, -1, -1, -1, -1, -1, -1, -1, -1, -1);
    const __m256i halves = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
    for (size_t i = 0; i < n_out; i++, weights += max_taps, out += 3) {
        const uint8_t *pixel = in + 3 * (size_t)taps[i].first;
        const size_t n = taps[i].n;
        __m256i sums = _mm256_setr_epi32(1 << 21, 1 << 21, 1 << 21, 0, 0, 0, 0, 0);
        size_t j = 0;
        for (; j + 2 <= n; j += 2, pixel += 6) {
            uint32_t low;
            uint16_t high;
            memcpy(&low, pixel, 4);
            memcpy(&high, pixel + 4, 2);
            const __m128i bytes = _mm_shuffle_epi8(
                _mm_cvtsi64_si128((long long)(low | (uint64_t)high << 32)), spread);
            const __m256i pair =
                _mm256_castsi128_si256(_mm_loadl_epi64((const __m128i *)(weights + j)));
            const __m256i factors = _mm256_permutevar8x32_epi32(pair, halves);
            sums = _mm256_add_epi32(sums, _mm256_mullo_epi32(_mm256_cvtepu8_epi32(bytes), factors));
        }
        if (j < n) {
            const __m256i last = _mm256_setr_epi32(pixel[0], pixel[1], pixel[2], 0, 0, 0, 0, 0);
            sums = _mm256_add_epi32(sums, _mm256_mullo_epi32(last, _mm256_set1_epi32(weights[j])));
        }
        const __m128i rgb =
            _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
        const uint32_t packed = (uint32_t)_mm_cvtsi128_si32(clip_u8(_mm256_castsi128_si256(rgb)));
        out[0] = (uint8_t)packed;
        out[1] = (uint8_t)(packed >> 8);
        out[2] = (uint8_t)(packed >> 16);
    }
}

// Sixteen bytes of two rows, one in each half; a row that is not there is zeros.
static inline __m256i two_rows(const uint8_t *row, size_t stride, bool both) {
    const __m128i upper =
        both ? _mm_loadu_si128((const __m128i *)(row + stride)) : _mm_setzero_si128();
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)row)),
                                   upper, 1);
}

static inline __m256i distance(__m256i a, __m256i b) {
    return _mm256_or_si256(_mm256_subs_epu8(a, b), _mm256_subs_epu8(b, a));
}

// The bytes of channel c in a vector whose first byte is of channel v: every third, from a window.
static inline __m256i channel_mask(size_t v, size_t c) {
    static const uint8_t thirds[18] = {255, 0, 0, 255, 0, 0, 255, 0, 0,
                                       255, 0, 0, 255, 0, 0, 255, 0, 0};
    return _mm256_broadcastsi128_si256(
        _mm_loadu_si128((const __m128i *)(thirds + (v + 3 - c) % 3)));
}

// Sixteen pixels are three vectors whose first bytes are of channels 0, 1 and 2.
static void difference(uint32_t sums[3], const uint8_t *a, size_t a_stride, const uint8_t *b,
                       size_t b_stride, size_t rows, size_t pixels) {
    __m256i totals[3] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256()};
    uint32_t rest[3] = {0};
    const size_t bytes = 3 * pixels, whole = bytes / 48 * 48;
    for (size_t y = 0; y < rows; y += 2, a += 2 * a_stride, b += 2 * b_stride) {
        const bool both = y + 1 < rows;
        for (size_t i = 0; i < whole; i += 48) {
#pragma GCC unroll 3
            for (size_t v = 0; v < 3; v++) {
                const __m256i d = distance(two_rows(a + i + 16 * v, a_stride, both),
                                           two_rows(b + i + 16 * v, b_stride, both));
#pragma GCC unroll 3
                for (size_t c = 0; c < 3; c++) {
                    const __m256i picked = _mm256_and_si256(d, channel_mask(v, c));
                    totals[c] = _mm256_add_epi64(totals[c],
                                                 _mm256_sad_epu8(picked, _mm256_setzero_si256()));
                }
            }
        }
        for (size_t row = 0; row < (both ? 2 : 1); row++) {
            const uint8_t *left = a + row * a_stride, *right = b + row * b_stride;
            for (size_t i = whole; i < bytes; i++)
                rest[i % 3] +=
                    (uint32_t)(left[i] > right[i] ? left[i] - right[i] : right[i] - left[i]);
        }
    }
    for (size_t c = 0; c < 3; c++) {
        const __m128i two = _mm_add_epi64(_mm256_castsi256_si128(totals[c]),
                                          _mm256_extracti128_si256(totals[c], 1));
        sums[c] =
            rest[c] + (uint32_t)_mm_cvtsi128_si32(_mm_add_epi64(two, _mm_unpackhi_epi64(two, two)));
    }
}

void pixel_init_avx2(struct kernels *table) {
    table->resize_row_u8 = resize_row;
    table->resize_column_u8 = resize_column;
    table->difference_rgb_u8 = difference;
}
