// Kernels that decisions hang on: the same bits from every variant.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "kernels/bf16.h"

/* ---- distance -------------------------------------------------------------------------------- */

// A row of the format, and what its numbers are then.
static void write_row(const struct kernels *kernels, enum format format, uint8_t *row, float *x,
                      size_t n) {
    kernels->encode[format](row, x, n);
    for (size_t i = 0; i < n; i++) {
        if (format == FORMAT_BF16) {
            uint16_t half;
            memcpy(&half, row + 2 * i, sizeof half);
            x[i] = bf16_to_f32(half);
        } else if (format == FORMAT_I8) {
            x[i] = (float)(int8_t)(row[i] ^ kernels->rows_flip) * format_scale(row, n);
        }
    }
}

// The contract's order of summation, step by step. Sizes differ so much that every sum rounds.
void check_distance(struct check *check) {
    enum { SUMS = 32 };
    const enum format format = check->format;
    for (size_t n = 0; n <= 300; n += n < 100 ? 1 : 13) {
        const size_t bytes = format_row_bytes(format, n);
        float *a = make_floats(n), *b = make_floats(n);
        uint8_t *x = make_bytes(bytes), *y = make_bytes(bytes);
        const float spread = n % 3 == 0 ? 1e-30f : 3.0f;
        random_floats(&check->random, a, n, -spread, spread);
        random_floats(&check->random, b, n, -spread, spread);
        double sums[SUMS] = {0};
        for (size_t i = 0; i < n; i++) {
            const float size = ldexpf(1.0f, (int)random_size(&check->random, 0, 24) - 12);
            a[i] *= size;
            b[i] = i % 5 == 0 ? a[i] : b[i] * size;
        }
        write_row(check->kernels, format, x, a, n);
        write_row(check->kernels, format, y, b, n);
        for (size_t i = 0; i < n; i++) {
            const float difference = a[i] - b[i];
            sums[i % SUMS] += (double)difference * (double)difference;
        }
        for (size_t apart = SUMS / 2; apart > 0; apart /= 2) {
            for (size_t i = 0; i < apart; i++) sums[i] += sums[i + apart];
        }
        const double found = check->kernels->distance[format](x, y, y, n);
        expect(check, memcmp(&found, &sums[0], sizeof found) != 0, 0.0, "n %zu %zu %zu", n, 0, 0);
        free(a);
        free(b);
        free(x);
        free(y);
    }
}

double time_distance_f32(struct check *check) {
    enum { N = 768 };
    float *a = make_floats(N), *b = make_floats(N);
    double best = INFINITY;
    random_floats(&check->random, a, N, -1.0f, 1.0f);
    random_floats(&check->random, b, N, -1.0f, 1.0f);
    for (int i = 0; i < 200; i++) {
        const double start = clock_ms();
        check->kernels->distance[FORMAT_F32](a, b, b, N);
        best = fmin(best, clock_ms() - start);
    }
    free(a);
    free(b);
    return N / best * 1e-6;
}

/* ---- difference ------------------------------------------------------------------------------ */

void check_difference(struct check *check) {
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

double time_difference(struct check *check) {
    enum { P = 16, FRAMES = 64, STRIDE = 224 * 3 };
    uint8_t *pixels = make_bytes(FRAMES * P * STRIDE);
    uint32_t sums[3];
    random_bytes(&check->random, pixels, FRAMES * P * STRIDE);
    double best = INFINITY;
    for (int i = 0; i < 20; i++) {
        const double start = clock_ms();
        for (size_t f = 1; f < FRAMES; f++) {
            check->kernels->difference_rgb_u8(sums, pixels + f * P * STRIDE, STRIDE,
                                              pixels + (f - 1) * P * STRIDE, STRIDE, P, P);
        }
        best = fmin(best, clock_ms() - start);
    }
    free(pixels);
    return (FRAMES - 1) * P * P * 3 / best * 1e-6;
}

/* ---- match ----------------------------------------------------------------------------------- */

// Integers of up to `bits` bits: few of them, so that many products are equal.
static double *random_integers(struct check *check, size_t n, unsigned bits) {
    double *values = malloc(n * sizeof *values + 1);
    const double limit = ldexp(1.0, (int)bits);
    for (size_t i = 0; i < n; i++)
        values[i] = rint((double)random_float(&check->random, -1.0f, 1.0f) * limit);
    return values;
}

void check_match(struct check *check) {
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

double time_match(struct check *check) {
    enum { N = 784, K = 64, ROWS = 48 };
    double *a = random_integers(check, (size_t)ROWS * K, 22),
           *b = random_integers(check, (size_t)N * K, 22), best[ROWS];
    uint32_t column[ROWS];
    double fastest = INFINITY;
    for (int i = 0; i < 20; i++) {
        const double start = clock_ms();
        check->kernels->match_f64(best, column, a, ROWS, b, N, K);
        fastest = fmin(fastest, clock_ms() - start);
    }
    free(a);
    free(b);
    return 2.0 * N * K * ROWS / fastest * 1e-6;
}
