// Rows of f32 into the formats of products, plain C.
#include <math.h>
#include <string.h>

#include "kernels/bf16.h"
#include "kernels/encode.h"
#include "kernels/kernels.h"

static void encode_f32(void *row, const float *x, size_t n) {
    memcpy(row, x, n * sizeof *x);
}

static void encode_bf16(void *row, const float *x, size_t n) {
    uint16_t *out = row;
    for (size_t i = 0; i < n; i++) out[i] = bf16_from_f32(x[i]);
    if (n % 2) out[n] = 0;
}

static void encode_i8(void *row, const float *x, size_t n) {
    int8_t *out = row;
    uint32_t largest = 0;
    for (size_t i = 0; i < n; i++) {
        const uint32_t size = encode_size_bits(x[i]);
        if (size > largest) largest = size;
    }
    const float max = encode_largest(largest), factor = encode_factor(max);
    const bool wild = encode_is_wild(largest);
    int32_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        out[i] = wild ? 0 : (int8_t)rintf(x[i] * factor);
        sum += out[i];
    }
    encode_end(row, n, sum, max);
}

static void encode_weights_i8(void *row, const float *x, size_t n) {
    encode_i8(row, x, n);
    encode_make_unsigned(row, n);
}

void encode_init_c(struct kernels *table) {
    table->encode[FORMAT_F32] = table->encode_weights[FORMAT_F32] = encode_f32;
    table->encode[FORMAT_BF16] = table->encode_weights[FORMAT_BF16] = encode_bf16;
    table->encode[FORMAT_I8] = encode_i8;
    table->encode_weights[FORMAT_I8] = encode_weights_i8;
    table->rows_flip = 0;
    table->weights_flip = ENCODE_FLIP;
}
