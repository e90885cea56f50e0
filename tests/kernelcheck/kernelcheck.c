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

#include "kernels/bf16.h"
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

/* ---- the reference encoding ---------------------------------------------------------------- */

// What kernels.h says of a row's encoding, number by number.
static void encode_reference(uint8_t *row, const float *x, size_t n, enum format format) {
    const size_t lanes = format_lanes(format, n);
    memset(row, 0, format_row_bytes(format, n));
    float max = 0.0f;
    for (size_t i = 0; i < n; i++) max = fmaxf(max, fabsf(x[i]));
    const float factor = max < 0x1p-100f ? 0.0f : 127.0f / max,
                scale = max < 0x1p-100f ? 0.0f : max / 127.0f;
    int32_t offset = 0;
    for (size_t i = 0; i < n; i++) {
        const uint16_t rounded = bf16_from_f32(x[i]);
        const int8_t q = (int8_t)nearbyint((double)(x[i] * factor));
        offset -= 128 * q;
        if (format == FORMAT_F32) memcpy(row + 4 * i, &x[i], 4);
        if (format == FORMAT_BF16) memcpy(row + 2 * i, &rounded, 2);
        if (format == FORMAT_I8) memcpy(row + i, &q, 1);
    }
    if (format == FORMAT_I8) memcpy(row + lanes * LANE_BYTES, &offset, 4);
    if (format == FORMAT_I8) memcpy(row + (lanes + 1) * LANE_BYTES, &scale, 4);
}

/* ---- matrix products ----------------------------------------------------------------------- */

static uint32_t lane_at(const void *bytes, size_t lane) {
    uint32_t bits;
    memcpy(&bits, (const unsigned char *)bytes + lane * LANE_BYTES, sizeof bits);
    return bits;
}

// Rows become panels lane by lane.
static void check_pack_rows(struct check *check) {
    const struct kernels *kernels = check->kernels;
    const size_t panel = kernels->panel;
    for (size_t trial = 0; trial < 200; trial++) {
        const size_t n = random_size(&check->random, 1, 3 * panel + 3),
                     lanes = random_size(&check->random, 1, 40);
        const size_t row_bytes = LANE_BYTES * lanes + random_size(&check->random, 0, 9);
        const size_t panels = (n + panel - 1) / panel,
                     in_bytes = (n - 1) * row_bytes + LANE_BYTES * lanes;
        uint8_t *in = make_bytes(in_bytes), *out = make_bytes(panels * lanes * panel * LANE_BYTES);
        random_bytes(&check->random, in, in_bytes);
        kernels->pack_rows(out, in, row_bytes, n, lanes);
        size_t wrong = 0;
        for (size_t i = 0; i < panels * lanes * panel; i++) {
            const size_t row = i / (lanes * panel) * panel + i % panel, lane = i / panel % lanes;
            wrong += lane_at(out, i) != (row < n ? lane_at(in + row * row_bytes, lane) : 0);
        }
        expect(check, (double)wrong, 0.0, "n %zu lanes %zu bytes %zu", n, lanes, row_bytes);
        free(in);
        free(out);
    }
}

// Columns of V (k, n): an f32 a lane, or two bf16 of the same column.
static void check_pack_columns(struct check *check, enum format format) {
    const struct kernels *kernels = check->kernels;
    const size_t panel = kernels->panel, element = format == FORMAT_F32 ? 4 : 2;
    for (size_t trial = 0; trial < 200; trial++) {
        const size_t n = random_size(&check->random, 1, 2 * panel + 3),
                     k = random_size(&check->random, 1, 20);
        const size_t stride = n + random_size(&check->random, 0, 3),
                     lanes = format_lanes(format, k);
        const size_t panels = (n + panel - 1) / panel, in_bytes = ((k - 1) * stride + n) * element;
        const size_t out_bytes = panels * lanes * panel * LANE_BYTES, group = 4 / element;
        uint8_t *in = make_bytes(in_bytes), *out = make_bytes(out_bytes);
        random_bytes(&check->random, in, in_bytes);
        kernels->pack_columns[format](out, in, stride, k, n);
        size_t wrong = 0;
        for (size_t i = 0; i < out_bytes / element; i++) {
            const size_t lane = i / group, column = lane / (lanes * panel) * panel + lane % panel;
            const size_t row = lane / panel % lanes * group + i % group;
            static const uint8_t zeros[4];
            const uint8_t *from =
                column < n && row < k ? in + (row * stride + column) * element : zeros;
            wrong += memcmp(out + i * element, from, element) != 0;
        }
        expect(check, (double)wrong, 0.0, "n %zu k %zu stride %zu", n, k, stride);
        free(in);
        free(out);
    }
}

static void check_pack_columns_f32(struct check *check) {
    check_pack_columns(check, FORMAT_F32);
}

static void check_pack_columns_bf16(struct check *check) {
    check_pack_columns(check, FORMAT_BF16);
}

// One product: random numbers, the numbers that their encoding stands for, and the encoded operands.
struct product_case {
    enum format format;
    size_t rows, n, k, lanes, c_stride;
    double *a, *b; // (rows, k), (n, k): what is multiplied
    uint8_t **x;   // (rows) encoded rows
    uint8_t *panels;
    float *c, *before;
    bool accumulate;
};

static double decode(const void *row, enum format format, size_t i, size_t lanes) {
    float scale;
    memcpy(&scale, (const uint8_t *)row + (format == FORMAT_I8 ? lanes + 1 : 0) * LANE_BYTES,
           sizeof scale);
    if (format == FORMAT_I8) return (double)((const int8_t *)row)[i] * (double)scale;
    if (format == FORMAT_BF16) return (double)bf16_to_f32(((const uint16_t *)row)[i]);
    return (double)((const float *)row)[i];
}

// Encodes a random row into a block of its own; int8 weights lose their scale and become unsigned.
static uint8_t *random_row(struct check *check, const struct product_case *p, double *values,
                           bool weights) {
    const size_t bytes = format_row_bytes(p->format, p->k);
    float *row = make_floats(p->k);
    uint8_t *encoded = make_bytes(bytes);
    random_floats(&check->random, row, p->k, -1.0f, 1.0f);
    encode_reference(encoded, row, p->k, p->format);
    for (size_t i = 0; i < p->k; i++) {
        values[i] = decode(encoded, p->format, i, p->lanes);
        if (weights && p->format == FORMAT_I8) values[i] = ((int8_t *)encoded)[i];
    }
    if (weights && p->format == FORMAT_I8) {
        for (size_t i = 0; i < p->lanes * LANE_BYTES; i++) encoded[i] ^= 0x80;
    }
    free(row);
    return encoded;
}

static void make_product(struct check *check, struct product_case *p) {
    const struct kernels *kernels = check->kernels;
    const size_t panels = (p->n + kernels->panel - 1) / kernels->panel,
                 row_bytes = format_row_bytes(p->format, p->k);
    p->lanes = format_lanes(p->format, p->k);
    p->a = malloc(p->rows * p->k * sizeof *p->a + 1);
    p->b = malloc(p->n * p->k * sizeof *p->b + 1);
    p->x = malloc(p->rows * sizeof *p->x + 1);
    for (size_t i = 0; i < p->rows; i++) p->x[i] = random_row(check, p, p->a + i * p->k, false);
    uint8_t *w = make_bytes(p->n * row_bytes);
    for (size_t i = 0; i < p->n; i++) {
        uint8_t *row = random_row(check, p, p->b + i * p->k, true);
        memcpy(w + i * row_bytes, row, row_bytes);
        free(row);
    }
    p->panels = make_bytes(panels * p->lanes * kernels->panel * LANE_BYTES);
    kernels->pack_rows(p->panels, w, row_bytes, p->n, p->lanes);
    free(w);
    const size_t c_floats = p->rows > 0 ? (p->rows - 1) * p->c_stride + p->n : 0;
    p->c = make_floats(c_floats);
    p->before = make_floats(c_floats);
    random_floats(&check->random, p->before, c_floats, -1.0f, 1.0f);
    memcpy(p->c, p->before, c_floats * sizeof *p->c);
}

static void free_product(struct product_case *p) {
    for (size_t i = 0; i < p->rows; i++) free(p->x[i]);
    free(p->a);
    free(p->b);
    free(p->x);
    free(p->panels);
    free(p->c);
    free(p->before);
}

// Lanes [lane, lane + lanes) of `rows` rows from `row` on.
static void run_product(const struct kernels *kernels, const struct product_case *p, float *c,
                        size_t row, size_t rows, size_t lane, size_t lanes, bool accumulate) {
    const void *x[64];
    const struct upcoming upcoming = {(const unsigned char *)c, p->c_stride * sizeof *c,
                                      p->n * sizeof *c};
    for (size_t i = 0; i < rows; i++) x[i] = p->x[row + i] + lane * LANE_BYTES;
    kernels->product[p->format](c + row * p->c_stride, p->c_stride, x, rows,
                                p->panels + lane * kernels->panel * LANE_BYTES,
                                p->lanes * kernels->panel * LANE_BYTES, p->n, lanes, accumulate,
                                row % 2 ? &upcoming : NULL);
}

// Each value against double; columns past n untouched.
static void check_product_values(struct check *check, const struct product_case *p) {
    for (size_t i = 0; i < p->rows; i++) {
        for (size_t j = 0; j < (i + 1 < p->rows ? p->c_stride : p->n); j++) {
            const size_t at = i * p->c_stride + j;
            double sum = p->accumulate || j >= p->n ? (double)p->before[at] : 0.0, size = fabs(sum);
            for (size_t l = 0; l < p->k && j < p->n; l++) {
                sum += p->a[i * p->k + l] * p->b[j * p->k + l];
                size += fabs(p->a[i * p->k + l] * p->b[j * p->k + l]);
            }
            // int8 sums are exact: two roundings remain, of the sum and of its product with the scale.
            const double chain =
                p->format == FORMAT_I8 ? 2.0 * U * fabs(sum) : (double)(p->k + 1) * U * size;
            const double bound = j < p->n ? chain + (double)p->k * 1e-37 : 0.0;
            expect(check, fabs((double)p->c[at] - sum), bound, "rows %zu n %zu k %zu", p->rows,
                   p->n, p->k);
        }
    }
}

// The same bits row by row, and with k cut in two.
static void check_product_bits(struct check *check, const struct product_case *p) {
    const size_t c_floats = (p->rows - 1) * p->c_stride + p->n, half = p->lanes / 2;
    float *c = make_floats(c_floats);
    memcpy(c, p->before, c_floats * sizeof *c);
    for (size_t i = 0; i < p->rows; i++)
        run_product(check->kernels, p, c, i, 1, 0, p->lanes, p->accumulate);
    expect(check, memcmp(c, p->c, c_floats * sizeof *c) != 0, 0.0,
           "single rows: rows %zu n %zu k %zu", p->rows, p->n, p->k);
    if (p->format != FORMAT_I8) {
        memcpy(c, p->before, c_floats * sizeof *c);
        run_product(check->kernels, p, c, 0, p->rows, 0, half, p->accumulate);
        run_product(check->kernels, p, c, 0, p->rows, half, p->lanes - half, true);
        expect(check, memcmp(c, p->c, c_floats * sizeof *c) != 0, 0.0,
               "cut k: rows %zu n %zu k %zu", p->rows, p->n, p->k);
    }
    free(c);
}

static void check_product(struct check *check, enum format format) {
    for (size_t trial = 0; trial < 400; trial++) {
        struct product_case p = {.format = format,
                                 .rows = random_size(&check->random, 0, 20),
                                 .n = random_size(&check->random, 1, 2 * check->kernels->panel + 5),
                                 .k = random_size(&check->random, 1, trial % 10 ? 70 : 700),
                                 .accumulate = trial % 2 && format != FORMAT_I8};
        p.c_stride = p.n + random_size(&check->random, 0, 5);
        make_product(check, &p);
        run_product(check->kernels, &p, p.c, 0, p.rows, 0, p.lanes, p.accumulate);
        check_product_values(check, &p);
        if (p.rows > 0) check_product_bits(check, &p);
        free_product(&p);
    }
}

static void check_product_f32(struct check *check) {
    check_product(check, FORMAT_F32);
}

static void check_product_bf16(struct check *check) {
    check_product(check, FORMAT_BF16);
}

static void check_product_i8(struct check *check) {
    check_product(check, FORMAT_I8);
}

static double time_product(struct check *check, enum format format) {
    struct product_case p = {.format = format, .rows = 48, .n = 256, .k = 512, .c_stride = 256};
    make_product(check, &p);
    double best = INFINITY;
    for (int i = 0; i < 20; i++) {
        const double start = now_ms();
        run_product(check->kernels, &p, p.c, 0, p.rows, 0, p.lanes, false);
        best = fmin(best, now_ms() - start);
    }
    free_product(&p);
    return 2.0 * 48 * 256 * 512 / best * 1e-6; // billion operations a second
}

static double time_product_f32(struct check *check) {
    return time_product(check, FORMAT_F32);
}

static double time_product_bf16(struct check *check) {
    return time_product(check, FORMAT_BF16);
}

static double time_product_i8(struct check *check) {
    return time_product(check, FORMAT_I8);
}

/* ---- encoding ------------------------------------------------------------------------------ */

static void check_encode(struct check *check, enum format format) {
    static const float spreads[] = {1.0f, 1e-3f, 1e30f, 0.0f, 1e-38f};
    for (size_t n = 1; n < 150; n++) {
        for (size_t i = 0; i < sizeof spreads / sizeof *spreads; i++) {
            const size_t bytes = format_row_bytes(format, n);
            float *x = make_floats(n);
            uint8_t *row = make_bytes(bytes), *expected = make_bytes(bytes);
            random_floats(&check->random, x, n, -spreads[i], spreads[i]);
            if (n % 7 == 0 && format == FORMAT_BF16) x[n / 2] = NAN;
            check->kernels->encode[format](row, x, n);
            encode_reference(expected, x, n, format);
            expect(check, memcmp(row, expected, bytes) != 0, 0.0, "n %zu spread %zu %zu", n, i, 0);
            free(x);
            free(row);
            free(expected);
        }
    }
}

static void check_encode_f32(struct check *check) {
    check_encode(check, FORMAT_F32);
}

static void check_encode_bf16(struct check *check) {
    check_encode(check, FORMAT_BF16);
}

static void check_encode_i8(struct check *check) {
    check_encode(check, FORMAT_I8);
}

/* ---- finish -------------------------------------------------------------------------------- */

static double activation_truth(enum activation activation, double x);

static void check_finish_case(struct check *check, const struct finish *f, size_t rows, size_t n) {
    const size_t element = f->format == FORMAT_BF16 ? 2 : 4,
                 c_stride = n + random_size(&check->random, 0, 4);
    const size_t y_bytes = (n + random_size(&check->random, 0, 4)) * element,
                 last = (rows - 1) * y_bytes + n * element;
    float *c = make_floats((rows - 1) * c_stride + n), *scale = make_floats(n),
          *bias = make_floats(n);
    uint8_t *y = make_bytes(last), *before = make_bytes(last);
    struct finish finish = *f;
    random_floats(&check->random, c, (rows - 1) * c_stride + n, -3.0f, 3.0f);
    random_floats(&check->random, scale, n, 0.1f, 2.0f);
    random_floats(&check->random, bias, n, -1.0f, 1.0f);
    for (size_t i = 0; i < last / 4 * 4; i += 4) {
        const float value = random_float(&check->random, -2.0f, 2.0f);
        memcpy(before + i, &value, 4);
    }
    memset(before + last / 4 * 4, 0, last % 4);
    memcpy(y, before, last);
    finish.bias = bias;
    if (f->scale) finish.scale = scale;
    check->kernels->finish(y, y_bytes, c, c_stride, rows, n, &finish);
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < n; j++) {
            const double factor = f->scale ? (double)scale[j] : 1.0,
                         product = (double)c[i * c_stride + j] * factor;
            const double sum = product + (double)bias[j],
                         size = fabs(product) + fabs((double)bias[j]);
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
    free(scale);
    free(bias);
    free(y);
    free(before);
}

static void check_finish(struct check *check) {
    static const float scaled = 1.0f;
    for (size_t n = 1; n < 70; n++) {
        for (int activation = 0; activation <= ACTIVATION_NONE; activation++) {
            for (int variant = 0; variant < 6; variant++) {
                const struct finish f = {.scale = variant % 2 ? &scaled : NULL,
                                         .activation = (enum activation)activation,
                                         .accumulate = variant / 2 == 1,
                                         .format = variant / 2 == 2 ? FORMAT_BF16 : FORMAT_F32};
                check_finish_case(check, &f, 1 + n % 4, n);
            }
        }
    }
}

/* ---- softmax ------------------------------------------------------------------------------- */

// The contract's bound of one exponential: its own error and the rounding of its argument.
static double exp_bound(double logit, double max, enum format format) {
    return (format == FORMAT_BF16 ? 0x1p-8 : 3e-7) +
           2.0 * U * (fabs(logit) + fabs(max) + fabs(logit - max));
}

static double weight_at(const void *p, size_t i, enum format format) {
    return format == FORMAT_BF16 ? (double)bf16_to_f32(((const uint16_t *)p)[i])
                                 : (double)((const float *)p)[i];
}

static void check_softmax_row(struct check *check, const float *s, size_t n, size_t block,
                              float scale, enum format format) {
    struct softmax_state state = {-INFINITY, 0.0f};
    double max = -INFINITY, sum = 0.0, bound = 0.0;
    for (size_t first = 0; first < n; first += block) {
        const size_t some = n - first < block ? n - first : block;
        const double old = max;
        float *part = make_floats(some); // exact sizes
        uint8_t *p = make_bytes(format_row_bytes(format, some));
        memcpy(part, s + first, some * sizeof *s);
        const float c = check->kernels->softmax[format](p, part, some, scale, &state);
        for (size_t i = 0; i < some; i++) max = fmax(max, (double)(s[first + i] * scale));
        expect(check, fabs((double)state.max - max), 0.0, "max: n %zu block %zu at %zu", n, block,
               first);
        const double factor = exp(old - max); // 0 for the first block: old is -infinity
        const double factor_bound =
            first > 0 ? 3.0 * exp_bound(old, max, FORMAT_F32) * factor + 2e-38 : 0.0;
        expect(check, fabs((double)c - factor), factor_bound, "correction: n %zu block %zu at %zu",
               n, block, first);
        double block_sum = 0.0, block_bound = 0.0;
        for (size_t i = 0; i < some; i++) {
            const double logit = (double)s[first + i] * (double)scale, truth = exp(logit - max);
            const double weight = weight_at(p, i, format);
            expect(check, fabs(weight - truth), exp_bound(logit, max, format) * truth + 2e-38,
                   "n %zu block %zu at %zu", n, block, first + i);
            block_sum += weight;
            block_bound += ((double)some + 4.0) * U * weight;
        }
        if (format == FORMAT_BF16 && some % 2) {
            expect(check, weight_at(p, some, format) != 0.0, 0.0, "padding: n %zu block %zu at %zu",
                   n, block, first);
        }
        sum = sum * (double)c + block_sum; // of the weights as they were written
        bound = bound * (double)c + block_bound + 3.0 * U * sum;
        expect(check, fabs((double)state.sum - sum), bound + 4e-38, "sum: n %zu block %zu at %zu",
               n, block, first);
        free(part);
        free(p);
    }
}

static void check_softmax(struct check *check, enum format format) {
    static const float spreads[] = {0.0f, 1.0f, 30.0f, 1e4f};
    for (size_t n = 1; n <= 300; n += n < 70 ? 1 : 23) {
        for (size_t i = 0; i < 4; i++) {
            float *s = make_floats(n);
            random_floats(&check->random, s, n, -spreads[i], spreads[i]);
            check_softmax_row(check, s, n, n, 0.125f, format);
            check_softmax_row(check, s, n, 37, 1.0f, format);
            free(s);
        }
    }
}

static void check_softmax_f32(struct check *check) {
    check_softmax(check, FORMAT_F32);
}

static void check_softmax_bf16(struct check *check) {
    check_softmax(check, FORMAT_BF16);
}

static void check_outer_sum(struct check *check) {
    enum { HEIGHT = 9, WIDTH = 40, SOME = 3 };
    float h[HEIGHT], w[WIDTH], row[HEIGHT * WIDTH + SOME];
    random_floats(&check->random, h, HEIGHT, -1.0f, 1.0f);
    random_floats(&check->random, w, WIDTH, -1.0f, 1.0f);
    for (size_t width = 1; width <= WIDTH; width++) {
        for (size_t first = 0; first < 2 * width; first += width / 3 + 1) {
            const size_t n = HEIGHT * width - first;
            for (size_t i = 0; i < n + SOME; i++) row[i] = 7.0f;
            check->kernels->outer_sum(row, h, w, width, first, n);
            for (size_t i = 0; i < n + SOME; i++) {
                const float truth = i < n ? h[(first + i) / width] + w[(first + i) % width] : 7.0f;
                expect(check, fabs((double)row[i] - (double)truth), 0.0,
                       "width %zu, first %zu, value %zu", width, first, i);
            }
        }
    }
}

static double time_softmax(struct check *check, enum format format) {
    enum { N = 1536 };
    float *s = make_floats(N), *p = make_floats(N);
    double best = INFINITY;
    random_floats(&check->random, s, N, -8.0f, 8.0f);
    for (int i = 0; i < 100; i++) {
        struct softmax_state state = {-INFINITY, 0.0f};
        const double start = now_ms();
        check->kernels->softmax[format](p, s, N, 1.0f, &state);
        best = fmin(best, now_ms() - start);
    }
    free(s);
    free(p);
    return N / best * 1e-6; // billion exponentials a second
}

static double time_softmax_f32(struct check *check) {
    return time_softmax(check, FORMAT_F32);
}

static double time_softmax_bf16(struct check *check) {
    return time_softmax(check, FORMAT_BF16);
}

/* ---- what streams need --------------------------------------------------------------------- */

// Terms added and subtracted with a reference maximum that moves only for logits far above it.
static void check_kept_row(struct check *check, size_t n, float above, bool subtract,
                           enum format format) {
    const float scale = 0.25f, max = 3.0f;
    struct softmax_state state = {max, 0.0f};
    float *s = make_floats(n);
    uint8_t *p = make_bytes(format_row_bytes(format, n));
    random_floats(&check->random, s, n, -80.0f, (max + above) / scale);
    float largest = -INFINITY;
    for (size_t i = 0; i < n; i++) largest = fmaxf(largest, s[i] * scale);
    const float truth_max = largest > max + KEPT_SLACK ? largest : max;
    const float c = check->kernels->softmax_kept[format](p, s, n, scale, subtract, &state);
    const double factor = exp((double)max - (double)truth_max);
    expect(check, fabs((double)state.max - (double)truth_max), 0.0, "n %zu above %zu %zu", n,
           (size_t)above, subtract);
    expect(check, fabs((double)c - factor), 3.0 * exp_bound(max, truth_max, FORMAT_F32) * factor,
           "correction: n %zu above %zu %zu", n, (size_t)above, subtract);
    double sum = 0.0, size = 0.0;
    for (size_t i = 0; i < n; i++) {
        const double logit = (double)s[i] * (double)scale;
        const double truth = (subtract ? -1.0 : 1.0) * exp(logit - (double)truth_max);
        const double weight = weight_at(p, i, format);
        expect(check, fabs(weight - truth),
               exp_bound(logit, truth_max, format) * fabs(truth) + 2e-38, "n %zu at %zu, %zu", n, i,
               subtract);
        sum += weight;
        size += fabs(weight);
    }
    expect(check, fabs((double)state.sum - sum), ((double)n + 4.0) * U * size + 4e-38,
           "sum: n %zu above %zu %zu", n, (size_t)above, subtract);
    free(s);
    free(p);
}

// A logit's exp has the same bits as in the softmax with the same maximum.
static void check_kept_bits(struct check *check, size_t n, enum format format) {
    float *s = make_floats(n);
    const size_t bytes = format_row_bytes(format, n);
    uint8_t *p = make_bytes(bytes), *kept = make_bytes(bytes);
    random_floats(&check->random, s, n, -20.0f, 20.0f);
    struct softmax_state state = {-INFINITY, 0.0f};
    check->kernels->softmax[format](p, s, n, 0.5f, &state);
    const float sum = state.sum;
    state.sum = 0.0f;
    check->kernels->softmax_kept[format](kept, s, n, 0.5f, false, &state);
    expect(check, memcmp(p, kept, bytes) != 0 || sum != state.sum, 0.0, "bits: n %zu %zu %zu", n, 0,
           0);
    free(s);
    free(p);
    free(kept);
}

static void check_softmax_kept(struct check *check, enum format format) {
    static const float above[] = {-5.0f, 0.0f, 7.0f, 30.0f};
    for (size_t n = 1; n <= 300; n += n < 70 ? 1 : 23) {
        for (size_t i = 0; i < 4; i++) {
            check_kept_row(check, n, above[i], false, format);
            check_kept_row(check, n, above[i], true, format);
        }
        check_kept_bits(check, n, format);
    }
}

static void check_softmax_kept_f32(struct check *check) {
    check_softmax_kept(check, FORMAT_F32);
}

static void check_softmax_kept_bf16(struct check *check) {
    check_softmax_kept(check, FORMAT_BF16);
}

static void check_outer_sum_at(struct check *check) {
    for (size_t trial = 0; trial < 300; trial++) {
        const size_t n_h = random_size(&check->random, 1, 80),
                     n_w = random_size(&check->random, 1, 80),
                     n = random_size(&check->random, 0, 70);
        float *h = make_floats(n_h), *w = make_floats(n_w), *row = make_floats(n);
        uint32_t *y = (uint32_t *)(void *)make_bytes(4 * n),
                 *x = (uint32_t *)(void *)make_bytes(4 * n);
        random_floats(&check->random, h, n_h, -1.0f, 1.0f);
        random_floats(&check->random, w, n_w, -1.0f, 1.0f);
        for (size_t i = 0; i < n; i++) {
            y[i] = (uint32_t)random_size(&check->random, 0, n_h - 1);
            x[i] = (uint32_t)random_size(&check->random, 0, n_w - 1);
        }
        check->kernels->outer_sum_at(row, h, n_h, w, n_w, y, x, n);
        for (size_t i = 0; i < n; i++)
            expect(check, row[i] != h[y[i]] + w[x[i]], 0.0, "%zu x %zu at %zu", n_h, n_w, i);
        free(h);
        free(w);
        free(row);
        free(y);
        free(x);
    }
}

// The contract's order of summation, step by step.
static void check_distance(struct check *check, enum format format) {
    for (size_t n = 0; n <= 100; n++) {
        const size_t bytes = n * (format == FORMAT_BF16 ? 2 : 4);
        float *a = make_floats(n), *b = make_floats(n);
        uint8_t *x = make_bytes(bytes), *y = make_bytes(bytes);
        const float spread = n % 3 == 0 ? 1e-30f : 3.0f;
        random_floats(&check->random, a, n, -spread, spread);
        random_floats(&check->random, b, n, -spread, spread);
        double sums[16] = {0};
        for (size_t i = 0; i < n; i++) {
            if (i % 5 == 0) b[i] = a[i];
            if (format == FORMAT_BF16) {
                const uint16_t low_a = bf16_from_f32(a[i]), low_b = bf16_from_f32(b[i]);
                memcpy(x + 2 * i, &low_a, 2);
                memcpy(y + 2 * i, &low_b, 2);
                a[i] = bf16_to_f32(low_a);
                b[i] = bf16_to_f32(low_b);
            }
            const float difference = a[i] - b[i];
            sums[i % 16] += (double)difference * (double)difference;
        }
        if (format == FORMAT_F32) memcpy(x, a, bytes);
        if (format == FORMAT_F32) memcpy(y, b, bytes);
        for (size_t apart = 8; apart > 0; apart /= 2) {
            for (size_t i = 0; i < apart; i++) sums[i] += sums[i + apart];
        }
        const double found = check->kernels->distance[format](x, y, n);
        expect(check, memcmp(&found, &sums[0], sizeof found) != 0, 0.0, "n %zu %zu %zu", n, 0, 0);
        free(a);
        free(b);
        free(x);
        free(y);
    }
}

static void check_distance_f32(struct check *check) {
    check_distance(check, FORMAT_F32);
}

static void check_distance_bf16(struct check *check) {
    check_distance(check, FORMAT_BF16);
}

static double time_distance_f32(struct check *check) {
    enum { N = 768 };
    float *a = make_floats(N), *b = make_floats(N);
    double best = INFINITY;
    random_floats(&check->random, a, N, -1.0f, 1.0f);
    random_floats(&check->random, b, N, -1.0f, 1.0f);
    for (int i = 0; i < 200; i++) {
        const double start = now_ms();
        check->kernels->distance[FORMAT_F32](a, b, N);
        best = fmin(best, now_ms() - start);
    }
    free(a);
    free(b);
    return N / best * 1e-6;
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
    case ACTIVATION_SILU: return x / (1.0 + exp(-x));
    default: return x;
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

/* ---- reduction ----------------------------------------------------------------------------- */

static void check_difference(struct check *check) {
    for (size_t trial = 0; trial < 600; trial++) {
        const size_t rows = random_size(&check->random, 0, 20),
                     pixels = random_size(&check->random, 0, trial % 3 ? 40 : 300);
        const size_t a_stride = 3 * pixels + random_size(&check->random, 0, 9),
                     b_stride = 3 * pixels + random_size(&check->random, 0, 9);
        const size_t a_bytes = rows > 0 ? (rows - 1) * a_stride + 3 * pixels : 0,
                     b_bytes = rows > 0 ? (rows - 1) * b_stride + 3 * pixels : 0;
        uint8_t *a = make_bytes(a_bytes), *b = make_bytes(b_bytes);
        random_bytes(&check->random, a, a_bytes);
        random_bytes(&check->random, b, b_bytes);
        if (trial % 5 == 0) memset(a, 255, a_bytes);
        if (trial % 5 == 0) memset(b, 0, b_bytes);
        uint32_t sums[3] = {1, 2, 3};
        int64_t truth[3] = {0};
        for (size_t i = 0; i < rows * pixels * 3; i++) {
            const size_t y = i / (3 * pixels), x = i % (3 * pixels);
            const int64_t d = (int64_t)a[y * a_stride + x] - b[y * b_stride + x];
            truth[x % 3] += d < 0 ? -d : d;
        }
        check->kernels->difference_rgb_u8(sums, a, a_stride, b, b_stride, rows, pixels);
        for (size_t c = 0; c < 3; c++) {
            expect(check, fabs((double)sums[c] - (double)truth[c]), 0.0, "rows %zu pixels %zu %zu",
                   rows, pixels, c);
        }
        free(a);
        free(b);
    }
}

static double time_difference(struct check *check) {
    enum { P = 16, FRAMES = 64, STRIDE = 224 * 3 };
    uint8_t *pixels = make_bytes(FRAMES * P * STRIDE);
    uint32_t sums[3];
    random_bytes(&check->random, pixels, FRAMES * P * STRIDE);
    double best = INFINITY;
    for (int i = 0; i < 20; i++) {
        const double start = now_ms();
        for (size_t f = 1; f < FRAMES; f++) {
            check->kernels->difference_rgb_u8(sums, pixels + f * P * STRIDE, STRIDE,
                                              pixels + (f - 1) * P * STRIDE, STRIDE, P, P);
        }
        best = fmin(best, now_ms() - start);
    }
    free(pixels);
    return (FRAMES - 1) * P * P * 3 / best * 1e-6;
}

// Integers of up to `bits` bits: few of them, so that many products are equal.
static double *random_integers(struct check *check, size_t n, unsigned bits) {
    double *values = malloc(n * sizeof *values + 1);
    const double limit = ldexp(1.0, (int)bits);
    for (size_t i = 0; i < n; i++)
        values[i] = rint((double)random_float(&check->random, -1.0f, 1.0f) * limit);
    return values;
}

static void check_match(struct check *check) {
    for (size_t trial = 0; trial < 400; trial++) {
        const size_t rows = random_size(&check->random, 0, 30),
                     n = random_size(&check->random, 1, trial % 4 ? 70 : 300),
                     k = random_size(&check->random, 1, trial % 4 ? 20 : 96);
        const size_t panels = (n + MATCH_PANEL - 1) / MATCH_PANEL;
        const unsigned bits = trial % 3 == 0 ? 1 : 22;
        double *a = random_integers(check, rows * k, bits),
               *b = random_integers(check, panels * MATCH_PANEL * k, bits),
               *best = malloc(rows * sizeof *best + 1);
        uint32_t *column = malloc(rows * sizeof *column + 1);
        check->kernels->match_f64(best, column, a, rows, b, n, k);
        for (size_t i = 0; i < rows; i++) {
            __int128 most = 0;
            size_t first = n;
            for (size_t j = 0; j < n; j++) {
                const double *panel = b + j / MATCH_PANEL * MATCH_PANEL * k + j % MATCH_PANEL;
                __int128 sum = 0;
                for (size_t l = 0; l < k; l++)
                    sum += (__int128)a[i * k + l] * (__int128)panel[l * MATCH_PANEL];
                if (first < n && sum <= most) continue;
                most = sum;
                first = j;
            }
            expect(check, fabs(best[i] - (double)most) + fabs((double)column[i] - (double)first),
                   0.0, "rows %zu n %zu k %zu", rows, n, k);
        }
        free(a);
        free(b);
        free(best);
        free(column);
    }
}

static double time_match(struct check *check) {
    enum { N = 784, K = 64, ROWS = 48 };
    double *a = random_integers(check, (size_t)ROWS * K, 22),
           *b = random_integers(check, (size_t)N * K, 22), best[ROWS];
    uint32_t column[ROWS];
    double fastest = INFINITY;
    for (int i = 0; i < 20; i++) {
        const double start = now_ms();
        check->kernels->match_f64(best, column, a, ROWS, b, N, K);
        fastest = fmin(fastest, now_ms() - start);
    }
    free(a);
    free(b);
    return 2.0 * N * K * ROWS / fastest * 1e-6;
}

/* ---- the table ----------------------------------------------------------------------------- */

typedef void (*any_function)(void);

static any_function pack_rows_of(const struct kernels *k) {
    return (any_function)k->pack_rows;
}

static any_function pack_columns_f32_of(const struct kernels *k) {
    return (any_function)k->pack_columns[FORMAT_F32];
}

static any_function pack_columns_bf16_of(const struct kernels *k) {
    return (any_function)k->pack_columns[FORMAT_BF16];
}

static any_function product_f32_of(const struct kernels *k) {
    return (any_function)k->product[FORMAT_F32];
}

static any_function product_bf16_of(const struct kernels *k) {
    return (any_function)k->product[FORMAT_BF16];
}

static any_function product_i8_of(const struct kernels *k) {
    return (any_function)k->product[FORMAT_I8];
}

static any_function encode_f32_of(const struct kernels *k) {
    return (any_function)k->encode[FORMAT_F32];
}

static any_function encode_bf16_of(const struct kernels *k) {
    return (any_function)k->encode[FORMAT_BF16];
}

static any_function encode_i8_of(const struct kernels *k) {
    return (any_function)k->encode[FORMAT_I8];
}

static any_function finish_of(const struct kernels *k) {
    return (any_function)k->finish;
}

static any_function softmax_f32_of(const struct kernels *k) {
    return (any_function)k->softmax[FORMAT_F32];
}

static any_function softmax_bf16_of(const struct kernels *k) {
    return (any_function)k->softmax[FORMAT_BF16];
}

static any_function outer_sum_of(const struct kernels *k) {
    return (any_function)k->outer_sum;
}

static any_function softmax_kept_f32_of(const struct kernels *k) {
    return (any_function)k->softmax_kept[FORMAT_F32];
}

static any_function softmax_kept_bf16_of(const struct kernels *k) {
    return (any_function)k->softmax_kept[FORMAT_BF16];
}

static any_function outer_sum_at_of(const struct kernels *k) {
    return (any_function)k->outer_sum_at;
}

static any_function distance_f32_of(const struct kernels *k) {
    return (any_function)k->distance[FORMAT_F32];
}

static any_function distance_bf16_of(const struct kernels *k) {
    return (any_function)k->distance[FORMAT_BF16];
}

static any_function difference_of(const struct kernels *k) {
    return (any_function)k->difference_rgb_u8;
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

static any_function match_of(const struct kernels *k) {
    return (any_function)k->match_f64;
}

static const struct {
    const char *name;
    any_function (*of)(const struct kernels *kernels);
    void (*check)(struct check *check);
    double (*time)(struct check *check); // billions a second; may be NULL
    const char *unit;
} cases[] = {
    {"pack_rows", pack_rows_of, check_pack_rows, NULL, ""},
    {"pack_columns_f32", pack_columns_f32_of, check_pack_columns_f32, NULL, ""},
    {"pack_columns_bf16", pack_columns_bf16_of, check_pack_columns_bf16, NULL, ""},
    {"product_f32", product_f32_of, check_product_f32, time_product_f32, "Gop/s"},
    {"product_bf16", product_bf16_of, check_product_bf16, time_product_bf16, "Gop/s"},
    {"product_i8", product_i8_of, check_product_i8, time_product_i8, "Gop/s"},
    {"encode_f32", encode_f32_of, check_encode_f32, NULL, ""},
    {"encode_bf16", encode_bf16_of, check_encode_bf16, NULL, ""},
    {"encode_i8", encode_i8_of, check_encode_i8, NULL, ""},
    {"finish", finish_of, check_finish, NULL, ""},
    {"softmax_f32", softmax_f32_of, check_softmax_f32, time_softmax_f32, "Gexp/s"},
    {"softmax_bf16", softmax_bf16_of, check_softmax_bf16, time_softmax_bf16, "Gexp/s"},
    {"outer_sum", outer_sum_of, check_outer_sum, NULL, ""},
    {"softmax_kept_f32", softmax_kept_f32_of, check_softmax_kept_f32, NULL, ""},
    {"softmax_kept_bf16", softmax_kept_bf16_of, check_softmax_kept_bf16, NULL, ""},
    {"outer_sum_at", outer_sum_at_of, check_outer_sum_at, NULL, ""},
    {"distance_f32", distance_f32_of, check_distance_f32, time_distance_f32, "Gvalue/s"},
    {"distance_bf16", distance_bf16_of, check_distance_bf16, NULL, ""},
    {"norm", norm_of, check_norm, time_norm, "Gvalue/s"},
    {"gelu", gelu_of, check_gelu, time_gelu, "Gvalue/s"},
    {"gelu_tanh", gelu_tanh_of, check_gelu_tanh, NULL, ""},
    {"gelu_quick", gelu_quick_of, check_gelu_quick, NULL, ""},
    {"silu", silu_of, check_silu, NULL, ""},
    {"resize_row", resize_row_of, check_resize_row, time_resize_row, "Gtap/s"},
    {"resize_column", resize_column_of, check_resize_column, NULL, ""},
    {"difference", difference_of, check_difference, time_difference, "Gbyte/s"},
    {"match", match_of, check_match, time_match, "Gop/s"},
};

static size_t check_level(const struct kernels *kernels, const struct kernels *below,
                          uint64_t seed) {
    size_t failures = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (!cases[i].of(kernels)) continue; // not offered at this level
        if (below && cases[i].of(kernels) == cases[i].of(below)) {
            printf("%-10s %-18s skipped: the same as %s\n", kernels->name, cases[i].name,
                   below->name);
            continue;
        }
        struct check check = {.kernels = kernels, .random = {seed + i}, .kernel = cases[i].name};
        cases[i].check(&check);
        printf("%-10s %-18s %s  %7zu checks, worst %.2f of the bound", kernels->name, cases[i].name,
               check.failures ? "FAILED" : "ok    ", check.cases, check.worst);
        if (cases[i].time) printf("  %8.2f %s", cases[i].time(&check), cases[i].unit);
        printf("\n");
        failures += check.failures;
    }
    return failures;
}

int main(int argc, char **argv) {
    const uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 20261122;
    struct kernels tables[VDT_CPU_AVX512_BF16 + 1];
    size_t failures = 0;
    printf("seed %llu\n", (unsigned long long)seed);
    for (int level = VDT_CPU_C; level <= (int)cpu_detect(); level++) {
        kernels_init(&tables[level], (vdt_cpu)level);
        failures += check_level(&tables[level], level > 0 ? &tables[level - 1] : NULL, seed + 1000);
    }
    printf("%zu failures\n", failures);
    return failures > 0;
}
