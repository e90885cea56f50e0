// What is done to rows of numbers one by one: activations, what follows a product, norms.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "kernels/bf16.h"

/* ---- activations ----------------------------------------------------------------------------- */

static double activation_truth(enum activation activation, double x) {
    switch (activation) {
    case ACTIVATION_GELU: return 0.5 * x * erfc(-x / sqrt(2.0));
    case ACTIVATION_GELU_TANH:
        return x / (1.0 + exp(-2.0 * sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x)));
    case ACTIVATION_GELU_QUICK: return x / (1.0 + exp(-1.702 * x));
    case ACTIVATION_SILU: return x / (1.0 + exp(-x));
    default: return x;
    }
}

void check_activation(struct check *check) {
    const enum activation activation = check->activation;
    const double bound = activation == ACTIVATION_GELU ? 4e-7 : 1e-6;
    for (size_t n = 0; n <= 40; n++) {
        float *x = make_floats(n), *y = make_floats(n);
        random_floats(&check->random, x, n, -12.0f, 12.0f);
        memcpy(y, x, n * sizeof *x);
        check->kernels->activation_f32[activation](y, n);
        for (size_t i = 0; i < n; i++) {
            const double truth = activation_truth(activation, (double)x[i]);
            expect(check, fabs((double)y[i] - truth), bound * fabs((double)x[i]) + 1e-12,
                   "n %zu at %zu %zu", n, i, 0);
        }
        free(x);
        free(y);
    }
    enum { SWEEP = 40000 };
    float *x = make_floats(SWEEP), *y = make_floats(SWEEP);
    for (size_t i = 0; i < SWEEP; i++)
        x[i] = (float)(100.0 * ((double)i / SWEEP - 0.5) * pow((double)i / SWEEP - 0.5, 2) * 4);
    memcpy(y, x, SWEEP * sizeof *x);
    check->kernels->activation_f32[activation](y, SWEEP);
    for (size_t i = 0; i < SWEEP; i++) {
        const double truth = activation_truth(activation, (double)x[i]);
        expect(check, fabs((double)y[i] - truth), bound * fabs((double)x[i]) + 1e-12,
               "sweep at %zu %zu %zu", i, 0, 0);
    }
    free(x);
    free(y);
}

double time_activation(struct check *check) {
    enum { N = 3072 };
    float *x = make_floats(N);
    double best = INFINITY;
    for (int i = 0; i < 100; i++) {
        random_floats(&check->random, x, N, -4.0f, 4.0f);
        const double start = clock_ms();
        check->kernels->activation_f32[check->activation](x, N);
        best = fmin(best, clock_ms() - start);
    }
    free(x);
    return N / best * 1e-6;
}

/* ---- finish ---------------------------------------------------------------------------------- */

static void check_finish_case(struct check *check, const struct finish *f, size_t rows, size_t n) {
    const size_t element = format_bytes(f->format),
                 c_stride = n + random_size(&check->random, 0, 4);
    const size_t y_bytes = (n + random_size(&check->random, 0, 4)) * element,
                 last = (rows - 1) * y_bytes + n * element;
    float *c = make_floats((rows - 1) * c_stride + n), *bias = make_floats(n);
    uint8_t *y = make_bytes(last), *before = make_bytes(last);
    struct finish finish = *f;
    random_floats(&check->random, c, (rows - 1) * c_stride + n, -3.0f, 3.0f);
    random_floats(&check->random, bias, n, -1.0f, 1.0f);
    for (size_t i = 0; i < last / 4 * 4; i += 4) {
        const float value = random_float(&check->random, -2.0f, 2.0f);
        memcpy(before + i, &value, 4);
    }
    memset(before + last / 4 * 4, 0, last % 4);
    memcpy(y, before, last);
    finish.bias = bias;
    check->kernels->finish(y, y_bytes, c, c_stride, rows, n, &finish);
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < n; j++) {
            const double before_bias = (double)c[i * c_stride + j];
            const double sum = before_bias + (double)bias[j],
                         size = fabs(before_bias) + fabs((double)bias[j]);
            double truth = activation_truth(f->activation, sum);
            double bound = 1e-6 * fabs(sum) + 1e-12 + 4.0 * U * size;
            double value =
                (double)bf16_to_f32(*(uint16_t *)(void *)(y + i * y_bytes + j * element));
            if (f->format == FORMAT_BF16) {
                bound += 0x1p-8 * (fabs(truth) + bound);
            } else {
                float old = 0.0f, now;
                memcpy(&now, y + i * y_bytes + 4 * j, 4);
                if (f->accumulate) memcpy(&old, before + i * y_bytes + 4 * j, 4);
                value = (double)now;
                truth += (double)old;
                bound += U * (fabs((double)old) + fabs(truth));
            }
            expect(check, fabs(value - truth), bound, "rows %zu n %zu column %zu", rows, n, j);
        }
        const size_t gap = i + 1 < rows ? y_bytes - n * element : 0, at = i * y_bytes + n * element;
        expect(check, gap > 0 && memcmp(y + at, before + at, gap) != 0, 0.0,
               "gap after row %zu of %zu, n %zu", i, rows, n);
    }
    free(c);
    free(bias);
    free(y);
    free(before);
}

void check_finish(struct check *check) {
    for (size_t n = 1; n < 70; n++) {
        for (int activation = 0; activation <= ACTIVATION_NONE; activation++) {
            for (int variant = 0; variant < 3; variant++) {
                const struct finish f = {.activation = (enum activation)activation,
                                         .accumulate = variant == 1,
                                         .format = variant == 2 ? FORMAT_BF16 : FORMAT_F32};
                check_finish_case(check, &f, 1 + n % 4, n);
            }
        }
    }
}

/* ---- norm ------------------------------------------------------------------------------------ */

static void check_norm_row(struct check *check, size_t n, float centre, float spread, float eps) {
    float *x = make_floats(n), *y = make_floats(n), *weight = make_floats(n),
          *bias = make_floats(n);
    random_floats(&check->random, x, n, centre - spread, centre + spread);
    random_floats(&check->random, weight, n, -2.0f, 2.0f);
    random_floats(&check->random, bias, n, -1.0f, 1.0f);
    check->kernels->layernorm_f32(y, x, weight, bias, n, eps, x);
    double mean = 0.0, variance = 0.0, largest = 0.0;
    for (size_t i = 0; i < n; i++) mean += (double)x[i] / (double)n;
    for (size_t i = 0; i < n; i++) {
        variance += ((double)x[i] - mean) * ((double)x[i] - mean) / (double)n;
        largest = fmax(largest, fabs((double)x[i] - mean));
    }
    const double scale = 1.0 / sqrt(variance + (double)eps);
    for (size_t i = 0; i < n; i++) {
        const double truth = ((double)x[i] - mean) * scale * (double)weight[i] + (double)bias[i];
        // The mean itself is rounded: that error is relative to |mean|, not to the spread.
        const double bound =
            (double)(n + 16) * U * (largest + fabs(mean)) * scale * 2.0 + U * fabs(truth);
        expect(check, fabs((double)y[i] - truth), bound, "n %zu at %zu, centre %zu", n, i,
               (size_t)centre);
    }
    check->kernels->layernorm_f32(x, x, weight, bias, n, eps, x);
    expect(check, memcmp(x, y, n * sizeof *x) != 0, 0.0, "in place: n %zu %zu %zu", n, 0, 0);
    free(x);
    free(y);
    free(weight);
    free(bias);
}

// A sum of two floats, rounded once.
void check_add(struct check *check) {
    for (size_t n = 0; n <= 100; n++) {
        float *x = make_floats(n), *y = make_floats(n), *truth = make_floats(n);
        random_floats(&check->random, x, n, -3.0f, 3.0f);
        random_floats(&check->random, y, n, -3.0f, 3.0f);
        for (size_t i = 0; i < n; i++) truth[i] = (float)((double)x[i] + (double)y[i]);
        check->kernels->add_f32(y, x, n);
        expect(check, memcmp(y, truth, n * sizeof *y) != 0, 0.0, "n %zu %zu %zu", n, 0, 0);
        free(x);
        free(y);
        free(truth);
    }
}

void check_norm(struct check *check) {
    for (size_t n = 1; n <= 800; n += n < 70 ? 1 : 61) {
        check_norm_row(check, n, 0.0f, 1.0f, 1e-12f);
        check_norm_row(check, n, 10.0f, 1.0f, 1e-6f);
        check_norm_row(check, n, 0.0f, 1e-3f, 1e-5f);
    }
}

double time_norm(struct check *check) {
    enum { N = 768 };
    float *x = make_floats(N), *weight = make_floats(N), *bias = make_floats(N);
    random_floats(&check->random, x, N, -1.0f, 1.0f);
    random_floats(&check->random, weight, N, -1.0f, 1.0f);
    random_floats(&check->random, bias, N, -1.0f, 1.0f);
    double best = INFINITY;
    for (int i = 0; i < 200; i++) {
        const double start = clock_ms();
        check->kernels->layernorm_f32(x, x, weight, bias, N, 1e-6f, x);
        best = fmin(best, clock_ms() - start);
    }
    free(x);
    free(weight);
    free(bias);
    return N / best * 1e-6; // billion values a second
}
