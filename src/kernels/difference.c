// How far apart two rows, or two patches of pixels, are; plain C. Decisions hang on these: every variant
// gives the same bits.
#include "kernels/bf16.h"
#include "kernels/difference.h"

static double distance_f32(const void *a, const void *b, size_t n) {
    const float *x = a, *y = b;
    double sums[DISTANCE_SUMS] = {0};
    for (size_t i = 0; i < n; i++) {
        const double difference = (double)(x[i] - y[i]);
        sums[i % DISTANCE_SUMS] += difference * difference;
    }
    return distance_total(sums);
}

static double distance_bf16(const void *a, const void *b, size_t n) {
    const uint16_t *x = a, *y = b;
    double sums[DISTANCE_SUMS] = {0};
    for (size_t i = 0; i < n; i++) {
        const double difference = (double)(bf16_to_f32(x[i]) - bf16_to_f32(y[i]));
        sums[i % DISTANCE_SUMS] += difference * difference;
    }
    return distance_total(sums);
}

static void difference_rgb(uint32_t sums[3], const uint8_t *a, size_t a_stride, const uint8_t *b,
                           size_t b_stride, size_t pixels, size_t rows) {
    sums[0] = sums[1] = sums[2] = 0;
    for (size_t row = 0; row < rows; row++, a += a_stride, b += b_stride) {
        for (size_t i = 0; i < 3 * pixels; i++)
            sums[i % 3] += (uint32_t)(a[i] > b[i] ? a[i] - b[i] : b[i] - a[i]);
    }
}

void difference_init_c(struct kernels *table) {
    table->distance[FORMAT_F32] = distance_f32;
    table->distance[FORMAT_BF16] = distance_bf16;
    table->distance[FORMAT_I8] = NULL;
    table->difference_rgb_u8 = difference_rgb;
}
