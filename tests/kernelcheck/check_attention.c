// What attention does between its two products.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "kernels/bf16.h"

/* ---- softmax --------------------------------------------------------------------------------- */

// The contract's bound of one exponential: its own error and the rounding of its argument.
static double exp_bound(double logit, double max, enum format format) {
    return (format == FORMAT_BF16 ? 0x1p-8 : 3e-7) +
           2.0 * U * (fabs(logit) + fabs(max) + fabs(logit - max));
}

static double weight_at(const void *p, size_t i, enum format format) {
    return format == FORMAT_BF16 ? (double)bf16_to_f32(((const uint16_t *)p)[i])
                                 : (double)((const float *)p)[i];
}

static float part_largest(const float *s, size_t n, float scale) {
    float largest = -INFINITY;
    for (size_t i = 0; i < n; i++) largest = fmaxf(largest, s[i] * scale);
    return largest;
}

// The contract's reference maximum.
static float moved_max(float max, float largest) {
    return largest > max + SOFTMAX_SLACK ? largest : max;
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
        float c;
        check->kernels->softmax[format](p, 0, part, 0, 1, some, scale, false, &state, &c);
        max = moved_max((float)max, part_largest(s + first, some, scale));
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

// Some rows together have the bits of each alone, and nothing is written between them.
static void check_softmax_rows(struct check *check, size_t rows, size_t n, enum format format) {
    enum { MOST = 9, BLOCKS = 3 };
    const size_t bytes = format_row_bytes(format, n), p_bytes = bytes + 8, s_stride = n + 3;
    float *s = make_floats(rows * s_stride), factors[MOST];
    uint8_t *p = make_bytes(rows * p_bytes), *alone = make_bytes(bytes);
    struct softmax_state states[MOST], expected[MOST];
    for (size_t r = 0; r < rows; r++)
        states[r] = expected[r] = (struct softmax_state){-INFINITY, 0.0f};
    for (size_t block = 0; block < BLOCKS; block++) {
        random_floats(&check->random, s, rows * s_stride, -20.0f, 20.0f);
        memset(p, 0xa5, rows * p_bytes);
        check->kernels->softmax[format](p, p_bytes, s, s_stride, rows, n, 0.5f, block == 2, states,
                                        factors);
        for (size_t r = 0; r < rows; r++) {
            float c;
            check->kernels->softmax[format](alone, 0, s + r * s_stride, 0, 1, n, 0.5f, block == 2,
                                            &expected[r], &c);
            const bool same = memcmp(p + r * p_bytes, alone, bytes) == 0 && factors[r] == c &&
                              states[r].max == expected[r].max && states[r].sum == expected[r].sum;
            expect(check, !same, 0.0, "rows %zu, n %zu, row %zu", rows, n, r);
            for (size_t i = bytes; i < p_bytes; i++)
                expect(check, p[r * p_bytes + i] != 0xa5, 0.0, "between rows: %zu, n %zu, byte %zu",
                       rows, n, i);
        }
    }
    free(s);
    free(p);
    free(alone);
}

// Terms added and subtracted with a reference maximum that moves only for logits far above it.
static void check_kept_row(struct check *check, size_t n, float above, bool subtract,
                           enum format format) {
    const float scale = 0.25f, max = 3.0f;
    struct softmax_state state = {max, 0.0f};
    float *s = make_floats(n);
    uint8_t *p = make_bytes(format_row_bytes(format, n));
    random_floats(&check->random, s, n, -80.0f, (max + above) / scale);
    const float truth_max = moved_max(max, part_largest(s, n, scale));
    float c;
    check->kernels->softmax[format](p, 0, s, 0, 1, n, scale, subtract, &state, &c);
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

// A logit's exp has the same bits where the maximum moved to it and where it stood.
static void check_kept_bits(struct check *check, size_t n, enum format format) {
    float *s = make_floats(n);
    const size_t bytes = format_row_bytes(format, n);
    uint8_t *p = make_bytes(bytes), *kept = make_bytes(bytes);
    random_floats(&check->random, s, n, -20.0f, 20.0f);
    struct softmax_state state = {-INFINITY, 0.0f};
    float factor;
    check->kernels->softmax[format](p, 0, s, 0, 1, n, 0.5f, false, &state, &factor);
    const float sum = state.sum;
    state.sum = 0.0f;
    check->kernels->softmax[format](kept, 0, s, 0, 1, n, 0.5f, false, &state, &factor);
    expect(check, memcmp(p, kept, bytes) != 0 || sum != state.sum, 0.0, "bits: n %zu %zu %zu", n, 0,
           0);
    free(s);
    free(p);
    free(kept);
}

void check_softmax(struct check *check) {
    const enum format format = check->format;
    static const float spreads[] = {0.0f, 1.0f, 30.0f, 1e4f};
    static const float above[] = {-5.0f, 0.0f, 7.0f, 30.0f};
    for (size_t rows = 0; rows <= 9; rows++) {
        for (size_t n = 1; n <= 260; n += n < 40 ? 13 : 37)
            check_softmax_rows(check, rows, n, format);
    }
    for (size_t n = 1; n <= 300; n += n < 70 ? 1 : 23) {
        for (size_t i = 0; i < 4; i++) {
            float *s = make_floats(n);
            random_floats(&check->random, s, n, -spreads[i], spreads[i]);
            check_softmax_row(check, s, n, n, 0.125f, format);
            check_softmax_row(check, s, n, 37, 1.0f, format);
            free(s);
            check_kept_row(check, n, above[i], false, format);
            check_kept_row(check, n, above[i], true, format);
        }
        check_kept_bits(check, n, format);
    }
}

double time_softmax(struct check *check) {
    const enum format format = check->format;
    enum { N = 1536 };
    float *s = make_floats(N), *p = make_floats(N);
    double best = INFINITY;
    random_floats(&check->random, s, N, -8.0f, 8.0f);
    for (int i = 0; i < 100; i++) {
        struct softmax_state state = {-INFINITY, 0.0f};
        float factor;
        const double start = clock_ms();
        check->kernels->softmax[format](p, 0, s, 0, 1, N, 1.0f, false, &state, &factor);
        best = fmin(best, clock_ms() - start);
    }
    free(s);
    free(p);
    return N / best * 1e-6; // billion exponentials a second
}

/* ---- logits of two positions ----------------------------------------------------------------- */

void check_outer_sum(struct check *check) {
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

void check_outer_sum_at(struct check *check) {
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
