// bfloat16: the upper half of an f32.
#ifndef VIDETTE_KERNELS_BF16_H
#define VIDETTE_KERNELS_BF16_H

#include <stdint.h>
#include <string.h>

static inline float bf16_to_f32(uint16_t value) {
    const uint32_t bits = (uint32_t)value << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

// Rounded to nearest, ties to even; NaN stays NaN.
static inline uint16_t bf16_from_f32(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (x != x) return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

#endif
