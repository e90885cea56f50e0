// What every variant of the int8 encoding shares.
#ifndef VIDETTE_KERNELS_ENCODE_H
#define VIDETTE_KERNELS_ENCODE_H

#include <stdint.h>
#include <string.h>

#include "kernels/format.h"

#define ENCODE_SMALLEST 0x1p-100f // a row whose largest number is smaller counts as zeros

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

#endif
