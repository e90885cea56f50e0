// How far apart two rows are; plain C. Decisions hang on it: every variant gives the same bits.
#include "kernels/bf16.h"
#include "kernels/distance.h"
#include "kernels/kernels.h"

static double distance_f32(const void *a, const void *b, const void *next, size_t n) {
    (void)next;
    const float *x = a, *y = b;
    double sums[DISTANCE_SUMS] = {0};
    for (size_t i = 0; i < n; i++) {
        const double difference = (double)(x[i] - y[i]);
        sums[i % DISTANCE_SUMS] += difference * difference;
    }
    return distance_total(sums);
}

static double distance_bf16(const void *a, const void *b, const void *next, size_t n) {
    (void)next;
    const uint16_t *x = a, *y = b;
    double sums[DISTANCE_SUMS] = {0};
    for (size_t i = 0; i < n; i++) {
        const double difference = (double)(bf16_to_f32(x[i]) - bf16_to_f32(y[i]));
        sums[i % DISTANCE_SUMS] += difference * difference;
    }
    return distance_total(sums);
}

// For rows as encode_init_c's encode writes them: no byte is flipped.
static double distance_i8(const void *a, const void *b, const void *next, size_t n) {
    (void)next;
    const int8_t *x = a, *y = b;
    const float x_scale = format_scale(a, n), y_scale = format_scale(b, n);
    double sums[DISTANCE_SUMS] = {0};
    for (size_t i = 0; i < n; i++) {
        const double difference = (double)((float)x[i] * x_scale - (float)y[i] * y_scale);
        sums[i % DISTANCE_SUMS] += difference * difference;
    }
    return distance_total(sums);
}

void distance_init_c(struct kernels *table) {
    table->distance[FORMAT_F32] = distance_f32;
    table->distance[FORMAT_BF16] = distance_bf16;
    table->distance[FORMAT_I8] = distance_i8;
}
