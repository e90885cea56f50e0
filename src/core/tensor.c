#include "core/tensor.h"

#include <stdio.h>
#include <string.h>

static float bits_to_float(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint16_t load_u16(const unsigned char *p) {
    return (uint16_t)(p[0] | p[1] << 8);
}

// IEEE 754 binary16. Subnormals are m * 2^-24, exact in f32.
static float half_to_float(uint16_t half) {
    const uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    const uint32_t exponent = half >> 10 & 0x1f, mantissa = half & 0x3ff;
    if (exponent == 0x1f) return bits_to_float(sign | 0x7f800000u | mantissa << 13);
    if (exponent == 0) return (sign ? -1.0f : 1.0f) * (float)mantissa * 0x1p-24f;
    return bits_to_float(sign | (exponent + 112) << 23 | mantissa << 13);
}

void tensor_to_f32(float *out, const struct tensor *tensor, size_t begin, size_t n) {
    const unsigned char *data = tensor->data + begin * tensor->element_bytes;
    switch (tensor->dtype) {
    case DTYPE_F32: memcpy(out, data, n * sizeof *out); return;
    case DTYPE_F16:
        for (size_t i = 0; i < n; i++) out[i] = half_to_float(load_u16(data + 2 * i));
        return;
    case DTYPE_BF16:
        for (size_t i = 0; i < n; i++)
            out[i] = bits_to_float((uint32_t)load_u16(data + 2 * i) << 16);
        return;
    case DTYPE_F64:
        for (size_t i = 0; i < n; i++) {
            double value;
            memcpy(&value, data + 8 * i, sizeof value);
            out[i] = (float)value;
        }
        return;
    case DTYPE_OTHER: return;
    }
}

void tensor_shape_text(char *text, size_t text_bytes, const size_t *shape, size_t n_dimensions) {
    size_t at = 0;
    for (size_t i = 0; i < n_dimensions && at < text_bytes; i++) {
        const int n = snprintf(text + at, text_bytes - at, "%s%zu", i == 0 ? "(" : ", ", shape[i]);
        at += n > 0 ? (size_t)n : 0;
    }
    if (at < text_bytes) snprintf(text + at, text_bytes - at, "%s", n_dimensions == 0 ? "()" : ")");
}

bool tensor_is_finite(const float *values, size_t n) {
    uint32_t infinite = 0; // without an early exit, so that the loop becomes vector code
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, values + i, sizeof bits);
        infinite |= (bits & 0x7f800000u) == 0x7f800000u;
    }
    return infinite == 0;
}
