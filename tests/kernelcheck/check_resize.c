// Resampling of pixels.
#include <math.h>
#include <stdlib.h>

#include "check.h"

static uint8_t clip(int64_t sum) {
    const int64_t value = sum >> 22;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static int32_t *random_weights(struct check *check, size_t n, size_t taps) {
    int32_t *weights = malloc(n * taps * sizeof *weights);
    for (size_t i = 0; i < n * taps; i++) {
        // Like a filter's: they sum to about 2^22, some are negative.
        weights[i] = (int32_t)random_float(&check->random, -0.5f * (1 << 22) / (float)taps,
                                           2.0f * (1 << 22) / (float)taps);
    }
    return weights;
}

void check_resize_row(struct check *check) {
    for (size_t trial = 0; trial < 300; trial++) {
        const size_t n_in = random_size(&check->random, 1, 60),
                     n_out = random_size(&check->random, 1, 40);
        const size_t max_taps = random_size(&check->random, 1, n_in);
        uint8_t *in = make_bytes(3 * n_in), *out = make_bytes(3 * n_out);
        struct resize_tap *taps = malloc(n_out * sizeof *taps);
        int32_t *weights = random_weights(check, n_out, max_taps);
        random_bytes(&check->random, in, 3 * n_in);
        for (size_t i = 0; i < n_out; i++) {
            taps[i].n = (uint32_t)random_size(&check->random, 1, max_taps);
            taps[i].first = (uint32_t)random_size(&check->random, 0, n_in - taps[i].n);
        }
        check->kernels->resize_row_u8(out, in, n_out, taps, weights, max_taps);
        size_t wrong = 0;
        for (size_t i = 0; i < 3 * n_out; i++) {
            int64_t sum = 1 << 21;
            for (size_t j = 0; j < taps[i / 3].n; j++) {
                sum += (int64_t)in[3 * (taps[i / 3].first + j) + i % 3] *
                       weights[i / 3 * max_taps + j];
            }
            wrong += out[i] != clip(sum);
        }
        expect(check, (double)wrong, 0.0, "in %zu out %zu taps %zu", n_in, n_out, max_taps);
        free(in);
        free(out);
        free(taps);
        free(weights);
    }
}

void check_resize_column(struct check *check) {
    for (size_t trial = 0; trial < 300; trial++) {
        const size_t n = random_size(&check->random, 1, 20),
                     bytes = random_size(&check->random, 1, 70);
        const size_t stride = bytes + random_size(&check->random, 0, 9),
                     in_bytes = (n - 1) * stride + bytes;
        uint8_t *in = make_bytes(in_bytes), *out = make_bytes(bytes);
        int32_t *weights = random_weights(check, 1, n);
        random_bytes(&check->random, in, in_bytes);
        check->kernels->resize_column_u8(out, in, stride, weights, n, bytes);
        size_t wrong = 0;
        for (size_t j = 0; j < bytes; j++) {
            int64_t sum = 1 << 21;
            for (size_t i = 0; i < n; i++) sum += (int64_t)in[i * stride + j] * weights[i];
            wrong += out[j] != clip(sum);
        }
        expect(check, (double)wrong, 0.0, "rows %zu bytes %zu %zu", n, bytes, 0);
        free(in);
        free(out);
        free(weights);
    }
}

double time_resize_row(struct check *check) {
    enum { IN = 1920, OUT = 398, TAPS = 11 };
    uint8_t *in = make_bytes(3 * IN), *out = make_bytes(3 * OUT);
    struct resize_tap taps[OUT];
    int32_t *weights = random_weights(check, OUT, TAPS);
    random_bytes(&check->random, in, 3 * IN);
    for (uint32_t i = 0; i < OUT; i++)
        taps[i] = (struct resize_tap){.first = (uint32_t)(i * 4.8), .n = 9};
    double best = INFINITY;
    for (int i = 0; i < 100; i++) {
        const double start = clock_ms();
        check->kernels->resize_row_u8(out, in, OUT, taps, weights, TAPS);
        best = fmin(best, clock_ms() - start);
    }
    free(in);
    free(out);
    free(weights);
    return OUT * 9 / best * 1e-6; // billion pixel weights a second
}
