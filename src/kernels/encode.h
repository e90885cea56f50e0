// What every variant of the int8 encoding shares.
#ifndef VIDETTE_KERNELS_ENCODE_H
#define VIDETTE_KERNELS_ENCODE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "kernels/format.h"

enum { ENCODE_FLIP = 128 };

#define ENCODE_SMALLEST 0x1p-100f // a row whose largest number is smaller counts as zeros

// |x| as bits, whose order is that of the numbers, and NaN the largest of all.
static inline uint32_t encode_size_bits(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits & 0x7fffffff;
}

// The largest number of a row, from its bits.
static inline float encode_largest(uint32_t bits) {
    float max;
    memcpy(&max, &bits, sizeof max);
    return max;
}

// A row that holds a number that is not finite: zeros, with a scale that is none.
static inline bool encode_is_wild(uint32_t largest) {
    return largest >= 0x7f800000;
}

// What the numbers of a row are multiplied by before they are rounded.
static inline float encode_factor(float max) {
    return max < ENCODE_SMALLEST ? 0.0f : 127.0f / max;
}

// Pads the last lane of n int8 numbers and writes the two that follow.
static inline void encode_end(void *row, size_t n, int32_t sum, float max) {
    unsigned char *out = row;
    const size_t end = format_lanes(FORMAT_I8, n) * LANE_BYTES;
    const int32_t offset = -128 * sum;
    const float scale = max < ENCODE_SMALLEST ? 0.0f : max / 127.0f;
    memset(out + n, 0, end - n);
    memcpy(out + end, &scale, sizeof scale);
    memcpy(out + end + LANE_BYTES, &offset, sizeof offset);
}

// Turns the n numbers of an encoded row from q into q + 128.
static inline void encode_make_unsigned(void *row, size_t n) {
    unsigned char *bytes = row;
    for (size_t i = 0; i < format_lanes(FORMAT_I8, n) * LANE_BYTES; i++) bytes[i] ^= ENCODE_FLIP;
}

#endif
