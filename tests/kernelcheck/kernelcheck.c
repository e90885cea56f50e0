// Checks every variant of every kernel that this CPU has against double precision or exact integers
// computed here, never against the C kernel; times each in the same case.
//
//     kernelcheck [SEED]
//
// A variant that is the same function as the level below's is reported as skipped. Inputs and
// outputs are heap blocks of the exact size, so that a sanitizer sees any access outside.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels/cpu.h"
#include "kernels/kernels.h"
#include "support.h"

static const double U = 0x1p-24;

struct check {
    const struct kernels *kernels;
    struct random random;
    const char *kernel;
    size_t failures, cases;
    double worst; // largest error as a share of its bound
};

// `ok` is false for NaN too, since errors are compared as !(error <= bound).
static void expect(struct check *check, double error, double bound, const char *format, size_t a,
                   size_t b, size_t c) {
    check->cases++;
    const double share = bound > 0.0 ? error / bound : error > 0.0 ? INFINITY : 0.0;
    if (!(share <= check->worst)) check->worst = share;
    if (error <= bound) return;
    if (check->failures++ < 5) {
        fprintf(stderr, "%s %s: error %g, bound %g, at ", check->kernels->name, check->kernel,
                error, bound);
        fprintf(stderr, format, a, b, c);
        fputc('\n', stderr);
    }
}

static double now_ms(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec * 1e-6;
}

/* ---- matrix products ----------------------------------------------------------------------- */

static void check_packing(struct check *check) {
    const struct kernels *kernels = check->kernels;
    for (size_t trial = 0; trial < 200; trial++) {
        const size_t n = random_size(&check->random, 1, 3 * kernels->panel + 3);
        const size_t k = random_size(&check->random, 1, 40),
                     extra = random_size(&check->random, 0, 3);
        const size_t panels = (n + kernels->panel - 1) / kernels->panel;
        const bool rows = trial % 2 == 0; // W (n, k) row by row, or V (k, n)
        const size_t in_rows = rows ? n : k, in_columns = rows ? k : n, stride = in_columns + extra;
        float *in = make_floats((in_rows - 1) * stride + in_columns);
        float *out = make_floats(panels * k * kernels->panel);
        random_floats(&check->random, in, (in_rows - 1) * stride + in_columns, -1.0f, 1.0f);
        if (rows)
            kernels->pack_rows_f32(out, in, stride, n, k);
        else
            kernels->pack_columns_f32(out, in, stride, k, n);
        size_t wrong = 0;
        for (size_t i = 0; i < panels * k * kernels->panel; i++) {
            const size_t column = i / (k * kernels->panel) * kernels->panel + i % kernels->panel;
            const size_t row = i / kernels->panel % k;
            const float *from = rows ? in + column * stride + row : in + row * stride + column;
            wrong += out[i] != (column < n ? *from : 0.0f);
        }
        expect(check, (double)wrong, 0.0, "n %zu k %zu rows %zu", n, k, rows);
        free(in);
        free(out);
    }
}

struct product_case {
    size_t rows, n, k, c_stride;
    float **a, *panels, *c, *before;
    bool accumulate;
};

static void make_product(struct check *check, struct product_case *p) {
    const struct kernels *kernels = check->kernels;
    const size_t panels = (p->n + kernels->panel - 1) / kernels->panel;
    float *b = make_floats(p->n * p->k);
    p->a = malloc(p->rows * sizeof *p->a + 1);
    for (size_t i = 0; i < p->rows; i++) {
        p->a[i] = make_floats(p->k);
        random_floats(&check->random, p->a[i], p->k, -1.0f, 1.0f);
    }
    random_floats(&check->random, b, p->n * p->k, -1.0f, 1.0f);
    p->panels = make_floats(panels * p->k * kernels->panel);
    kernels->pack_columns_f32(p->panels, b, p->n, p->k, p->n);
    const size_t c_floats = p->rows > 0 ? (p->rows - 1) * p->c_stride + p->n : 0;
    p->c = make_floats(c_floats);
    p->before = make_floats(c_floats);
    random_floats(&check->random, p->before, c_floats, -1.0f, 1.0f);
    memcpy(p->c, p->before, c_floats * sizeof *p->c);
    free(b);
}

static void free_product(struct product_case *p) {
    for (size_t i = 0; i < p->rows; i++) free(p->a[i]);
    free(p->a);
    free(p->panels);
    free(p->c);
    free(p->before);
}

static void run_product(const struct kernels *kernels, const struct product_case *p, float *c,
                        size_t row, size_t rows) {
    const float *a[64];
    for (size_t i = 0; i < rows; i++) a[i] = p->a[row + i];
    kernels->product_f32(c + row * p->c_stride, p->c_stride, a, rows, p->panels,
                         p->k * kernels->panel, p->n, p->k, p->accumulate);
}

// Each value against double, within (k + 1) u sum |a b|; columns past n untouched.
static void check_product_values(struct check *check, const struct product_case *p) {
    const size_t panel = check->kernels->panel;
    for (size_t i = 0; i < p->rows; i++) {
        for (size_t j = 0; j < (i + 1 < p->rows ? p->c_stride : p->n); j++) {
            const size_t at = i * p->c_stride + j;
            double sum = p->accumulate || j >= p->n ? (double)p->before[at] : 0.0, size = fabs(sum);
            for (size_t l = 0; l < p->k && j < p->n; l++) {
                const float b = p->panels[j / panel * p->k * panel + l * panel + j % panel];
                sum += (double)p->a[i][l] * (double)b;
                size += fabs((double)p->a[i][l] * (double)b);
            }
            const double bound = j < p->n ? (double)(p->k + 1) * U * size : 0.0;
            expect(check, fabs((double)p->c[at] - sum), bound, "rows %zu n %zu k %zu", p->rows,
                   p->n, p->k);
        }
    }
}

// The same bits row by row, and with k cut in two.
static void check_product_bits(struct check *check, const struct product_case *p) {
    const struct kernels *kernels = check->kernels;
    const size_t c_floats = (p->rows - 1) * p->c_stride + p->n, first = p->k / 2;
    float *c = make_floats(c_floats);
    memcpy(c, p->before, c_floats * sizeof *c);
    for (size_t i = 0; i < p->rows; i++) run_product(kernels, p, c, i, 1);
    expect(check, memcmp(c, p->c, c_floats * sizeof *c) != 0, 0.0,
           "single rows: rows %zu n %zu k %zu", p->rows, p->n, p->k);
    memcpy(c, p->before, c_floats * sizeof *c);
    const float *a[64];
    for (size_t i = 0; i < p->rows; i++) a[i] = p->a[i];
    kernels->product_f32(c, p->c_stride, a, p->rows, p->panels, p->k * kernels->panel, p->n, first,
                         p->accumulate);
    for (size_t i = 0; i < p->rows; i++) a[i] += first;
    kernels->product_f32(c, p->c_stride, a, p->rows, p->panels + first * kernels->panel,
                         p->k * kernels->panel, p->n, p->k - first, true);
    expect(check, memcmp(c, p->c, c_floats * sizeof *c) != 0, 0.0, "cut k: rows %zu n %zu k %zu",
           p->rows, p->n, p->k);
    free(c);
}

static void check_product(struct check *check) {
    for (size_t trial = 0; trial < 400; trial++) {
        struct product_case p = {.rows = random_size(&check->random, 0, 20),
                                 .n = random_size(&check->random, 1, 2 * check->kernels->panel + 5),
                                 .k = random_size(&check->random, 0, trial % 10 ? 70 : 700),
                                 .accumulate = trial % 2};
        p.c_stride = p.n + random_size(&check->random, 0, 5);
        make_product(check, &p);
        run_product(check->kernels, &p, p.c, 0, p.rows);
        check_product_values(check, &p);
        if (p.rows > 0) check_product_bits(check, &p);
        free_product(&p);
    }
}

static double time_product(struct check *check) {
    struct product_case p = {.rows = 48, .n = 256, .k = 512, .c_stride = 256};
    make_product(check, &p);
    double best = INFINITY;
    for (int i = 0; i < 20; i++) {
        const double start = now_ms();
        run_product(check->kernels, &p, p.c, 0, p.rows);
        best = fmin(best, now_ms() - start);
    }
    free_product(&p);
    return 2.0 * 48 * 256 * 512 / best * 1e-6; // GFLOP/s
}

/* ---- softmax ------------------------------------------------------------------------------- */

// The contract's bound of one exponential: its own error and the rounding of its argument.
static double exp_bound(double logit, double max) {
    return 2e-7 + U * (fabs(logit) + fabs(max) + fabs(logit - max));
}

static void check_softmax_row(struct check *check, const float *s, size_t n, size_t block,
                              float scale) {
    struct softmax_state state = {-INFINITY, 0.0f};
    double max = -INFINITY, sum = 0.0, sum_bound = 0.0;
    float *p = make_floats(n);
    memcpy(p, s, n * sizeof *p);
    for (size_t first = 0; first < n; first += block) {
        const size_t some = n - first < block ? n - first : block;
        const double old = max;
        float *part = make_floats(some); // exact size
        memcpy(part, p + first, some * sizeof *p);
        const float c = check->kernels->softmax_f32(part, some, scale, &state);
        for (size_t i = 0; i < some; i++) max = fmax(max, (double)(s[first + i] * scale));
        const double expected = exp(old - max); // 0 for the first block: old is -infinity
        const double bound = first > 0 ? 3.0 * exp_bound(old, max) * expected + 2e-38 : 0.0;
        expect(check, fabs((double)c - expected), bound, "correction: n %zu block %zu at %zu", n,
               block, first);
        for (size_t i = 0; i < some; i++) {
            const double logit = (double)(s[first + i] * scale), truth = exp(logit - max);
            expect(check, fabs((double)part[i] - truth), exp_bound(logit, max) * truth + 2e-38,
                   "n %zu block %zu at %zu", n, block, first + i);
        }
        free(part);
    }
    for (size_t i = 0; i < n; i++) {
        const double logit = (double)(s[i] * scale);
        sum += exp(logit - max);
        sum_bound +=
            (4.0 * exp_bound(logit, max) + ((double)n + 8.0) * U) * exp(logit - max) + 4e-38;
    }
    expect(check, fabs((double)state.sum - sum), sum_bound, "sum: n %zu block %zu %zu", n, block,
           0);
    expect(check, fabs((double)state.max - max), 0.0, "max: n %zu block %zu %zu", n, block, 0);
    free(p);
}

static void check_softmax(struct check *check) {
    static const float spreads[] = {0.0f, 1.0f, 30.0f, 1e4f};
    for (size_t n = 1; n <= 300; n += n < 70 ? 1 : 23) {
        for (size_t i = 0; i < 4; i++) {
            float *s = make_floats(n);
            random_floats(&check->random, s, n, -spreads[i], spreads[i]);
            check_softmax_row(check, s, n, n, 0.125f);
            check_softmax_row(check, s, n, 37, 1.0f);
            free(s);
        }
    }
}

static double time_softmax(struct check *check) {
    enum { N = 1536 };
    float *s = make_floats(N);
    double best = INFINITY;
    for (int i = 0; i < 100; i++) {
        struct softmax_state state = {-INFINITY, 0.0f};
        random_floats(&check->random, s, N, -8.0f, 8.0f);
        const double start = now_ms();
        check->kernels->softmax_f32(s, N, 1.0f, &state);
        best = fmin(best, now_ms() - start);
    }
    free(s);
    return N / best * 1e-6; // billion exponentials a second
}

/* ---- norm ---------------------------------------------------------------------------------- */

static void check_norm_row(struct check *check, size_t n, float centre, float spread, float eps) {
    float *x = make_floats(n), *y = make_floats(n), *weight = make_floats(n),
          *bias = make_floats(n);
    random_floats(&check->random, x, n, centre - spread, centre + spread);
    random_floats(&check->random, weight, n, -2.0f, 2.0f);
    random_floats(&check->random, bias, n, -1.0f, 1.0f);
    check->kernels->layernorm_f32(y, x, weight, bias, n, eps);
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
    check->kernels->layernorm_f32(x, x, weight, bias, n, eps);
    expect(check, memcmp(x, y, n * sizeof *x) != 0, 0.0, "in place: n %zu %zu %zu", n, 0, 0);
    free(x);
    free(y);
    free(weight);
    free(bias);
}

static void check_norm(struct check *check) {
    for (size_t n = 1; n <= 800; n += n < 70 ? 1 : 61) {
        check_norm_row(check, n, 0.0f, 1.0f, 1e-12f);
        check_norm_row(check, n, 10.0f, 1.0f, 1e-6f);
        check_norm_row(check, n, 0.0f, 1e-3f, 1e-5f);
    }
}

static double time_norm(struct check *check) {
    enum { N = 768 };
    float *x = make_floats(N), *weight = make_floats(N), *bias = make_floats(N);
    random_floats(&check->random, x, N, -1.0f, 1.0f);
    random_floats(&check->random, weight, N, -1.0f, 1.0f);
    random_floats(&check->random, bias, N, -1.0f, 1.0f);
    double best = INFINITY;
    for (int i = 0; i < 200; i++) {
        const double start = now_ms();
        check->kernels->layernorm_f32(x, x, weight, bias, N, 1e-6f);
        best = fmin(best, now_ms() - start);
    }
    free(x);
    free(weight);
    free(bias);
    return N / best * 1e-6; // billion values a second
}

/* ---- activations --------------------------------------------------------------------------- */

static double activation_truth(enum activation activation, double x) {
    switch (activation) {
    case ACTIVATION_GELU: return 0.5 * x * erfc(-x / sqrt(2.0));
    case ACTIVATION_GELU_TANH:
        return x / (1.0 + exp(-2.0 * sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x)));
    case ACTIVATION_GELU_QUICK: return x / (1.0 + exp(-1.702 * x));
    default: return x / (1.0 + exp(-x));
    }
}

static void check_activation(struct check *check, enum activation activation) {
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

static void check_gelu(struct check *check) {
    check_activation(check, ACTIVATION_GELU);
}

static void check_gelu_tanh(struct check *check) {
    check_activation(check, ACTIVATION_GELU_TANH);
}

static void check_gelu_quick(struct check *check) {
    check_activation(check, ACTIVATION_GELU_QUICK);
}

static void check_silu(struct check *check) {
    check_activation(check, ACTIVATION_SILU);
}

static double time_gelu(struct check *check) {
    enum { N = 3072 };
    float *x = make_floats(N);
    double best = INFINITY;
    for (int i = 0; i < 100; i++) {
        random_floats(&check->random, x, N, -4.0f, 4.0f);
        const double start = now_ms();
        check->kernels->activation_f32[ACTIVATION_GELU](x, N);
        best = fmin(best, now_ms() - start);
    }
    free(x);
    return N / best * 1e-6;
}

/* ---- resize -------------------------------------------------------------------------------- */

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

static void check_resize_row(struct check *check) {
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

static void check_resize_column(struct check *check) {
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

static double time_resize_row(struct check *check) {
    enum { IN = 1920, OUT = 398, TAPS = 11 };
    uint8_t *in = make_bytes(3 * IN), *out = make_bytes(3 * OUT);
    struct resize_tap taps[OUT];
    int32_t *weights = random_weights(check, OUT, TAPS);
    random_bytes(&check->random, in, 3 * IN);
    for (uint32_t i = 0; i < OUT; i++)
        taps[i] = (struct resize_tap){.first = (uint32_t)(i * 4.8), .n = 9};
    double best = INFINITY;
    for (int i = 0; i < 100; i++) {
        const double start = now_ms();
        check->kernels->resize_row_u8(out, in, OUT, taps, weights, TAPS);
        best = fmin(best, now_ms() - start);
    }
    free(in);
    free(out);
    free(weights);
    return OUT * 9 / best * 1e-6; // billion pixel weights a second
}

/* ---- the table ----------------------------------------------------------------------------- */

typedef void (*any_function)(void);

static any_function pack_of(const struct kernels *k) {
    return (any_function)k->pack_rows_f32;
}

static any_function product_of(const struct kernels *k) {
    return (any_function)k->product_f32;
}

static any_function softmax_of(const struct kernels *k) {
    return (any_function)k->softmax_f32;
}

static any_function norm_of(const struct kernels *k) {
    return (any_function)k->layernorm_f32;
}

static any_function gelu_of(const struct kernels *k) {
    return (any_function)k->activation_f32[ACTIVATION_GELU];
}

static any_function gelu_tanh_of(const struct kernels *k) {
    return (any_function)k->activation_f32[ACTIVATION_GELU_TANH];
}

static any_function gelu_quick_of(const struct kernels *k) {
    return (any_function)k->activation_f32[ACTIVATION_GELU_QUICK];
}

static any_function silu_of(const struct kernels *k) {
    return (any_function)k->activation_f32[ACTIVATION_SILU];
}

static any_function resize_row_of(const struct kernels *k) {
    return (any_function)k->resize_row_u8;
}

static any_function resize_column_of(const struct kernels *k) {
    return (any_function)k->resize_column_u8;
}

static const struct {
    const char *name;
    any_function (*of)(const struct kernels *kernels);
    void (*check)(struct check *check);
    double (*time)(struct check *check); // billions a second; may be NULL
    const char *unit;
} cases[] = {
    {"pack_f32", pack_of, check_packing, NULL, ""},
    {"product_f32", product_of, check_product, time_product, "GFLOP/s"},
    {"softmax_f32", softmax_of, check_softmax, time_softmax, "Gexp/s"},
    {"layernorm_f32", norm_of, check_norm, time_norm, "Gvalue/s"},
    {"gelu_f32", gelu_of, check_gelu, time_gelu, "Gvalue/s"},
    {"gelu_tanh_f32", gelu_tanh_of, check_gelu_tanh, NULL, ""},
    {"gelu_quick_f32", gelu_quick_of, check_gelu_quick, NULL, ""},
    {"silu_f32", silu_of, check_silu, NULL, ""},
    {"resize_row_u8", resize_row_of, check_resize_row, time_resize_row, "Gtap/s"},
    {"resize_column_u8", resize_column_of, check_resize_column, NULL, ""},
};

static size_t check_level(const struct kernels *kernels, const struct kernels *below,
                          uint64_t seed) {
    size_t failures = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (below && cases[i].of(kernels) == cases[i].of(below)) {
            printf("%-8s %-18s skipped: the same as %s\n", kernels->name, cases[i].name,
                   below->name);
            continue;
        }
        struct check check = {.kernels = kernels, .random = {seed + i}, .kernel = cases[i].name};
        cases[i].check(&check);
        printf("%-8s %-18s %s  %7zu checks, worst %.2f of the bound", kernels->name, cases[i].name,
               check.failures ? "FAILED" : "ok    ", check.cases, check.worst);
        if (cases[i].time) printf("  %8.2f %s", cases[i].time(&check), cases[i].unit);
        printf("\n");
        failures += check.failures;
    }
    return failures;
}

int main(int argc, char **argv) {
    const uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 20261122;
    struct kernels tables[3];
    size_t failures = 0;
    printf("seed %llu\n", (unsigned long long)seed);
    for (int level = VDT_CPU_C; level <= (int)cpu_detect(); level++) {
        kernels_init(&tables[level], (vdt_cpu)level);
        failures += check_level(&tables[level], level > 0 ? &tables[level - 1] : NULL, seed + 1000);
    }
    printf("%zu failures\n", failures);
    return failures > 0;
}
