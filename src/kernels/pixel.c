// Pillow's resampling passes and differences of pixels, plain C.
#include <stdlib.h>

#include "kernels/kernels.h"

static uint8_t clip_u8(int32_t sum) {
    const int32_t value = sum >> 22;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static void resize_row(uint8_t *out, const uint8_t *in, size_t n_out, const struct resize_tap *taps,
                       const int32_t *weights, size_t max_taps) {
    for (size_t i = 0; i < n_out; i++, weights += max_taps) {
        const uint8_t *pixel = in + 3 * (size_t)taps[i].first;
        int32_t red = 1 << 21, green = 1 << 21, blue = 1 << 21;
        for (size_t j = 0; j < taps[i].n; j++, pixel += 3) {
            red += pixel[0] * weights[j];
            green += pixel[1] * weights[j];
            blue += pixel[2] * weights[j];
        }
        out[3 * i] = clip_u8(red);
        out[3 * i + 1] = clip_u8(green);
        out[3 * i + 2] = clip_u8(blue);
    }
}

static void resize_column(uint8_t *out, const uint8_t *in, size_t in_stride, const int32_t *weights,
                          size_t n, size_t bytes) {
    for (size_t j = 0; j < bytes; j++) {
        int32_t sum = 1 << 21;
        for (size_t i = 0; i < n; i++) sum += in[i * in_stride + j] * weights[i];
        out[j] = clip_u8(sum);
    }
}

static void difference(uint32_t sums[3], const uint8_t *a, size_t a_stride, const uint8_t *b,
                       size_t b_stride, size_t rows, size_t pixels) {
    uint32_t red = 0, green = 0, blue = 0;
    for (size_t y = 0; y < rows; y++, a += a_stride, b += b_stride) {
        for (size_t i = 0; i < 3 * pixels; i += 3) {
            red += (uint32_t)abs(a[i] - b[i]);
            green += (uint32_t)abs(a[i + 1] - b[i + 1]);
            blue += (uint32_t)abs(a[i + 2] - b[i + 2]);
        }
    }
    sums[0] = red;
    sums[1] = green;
    sums[2] = blue;
}

void pixel_init_c(struct kernels *table) {
    table->resize_row_u8 = resize_row;
    table->resize_column_u8 = resize_column;
    table->difference_rgb_u8 = difference;
}
