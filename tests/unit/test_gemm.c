// Products of gemm.h in every format on every instruction set against double precision: shapes, strides, accumulation,
// activations, and that a row has the same bits whatever it is computed with.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gemm/gemm.h"
#include "kernels/bf16.h"
#include "kernels/cpu.h"
#include "support.h"

// A problem and what its encoded operands stand for.
struct problem {
    enum format format;
    size_t rows, n, k, y_stride;
    float *w, *bias, *before; // (n, k), (n), (rows, y_stride)
    double *x_exact, *w_exact;
    uint8_t **x; // (rows) encoded, each a block of its own: rows are given by pointer
};

// Values that an encoded row stands for, its bytes of int8 with a flip.
static void decode(double *values, const uint8_t *row, enum format format, size_t k, uint8_t flip) {
    float scale = 1.0f;
    if (format == FORMAT_I8)
        memcpy(&scale, row + format_lanes(format, k) * LANE_BYTES, sizeof scale);
    for (size_t i = 0; i < k; i++) {
        if (format == FORMAT_F32) values[i] = (double)((const float *)(const void *)row)[i];
        if (format == FORMAT_BF16)
            values[i] = (double)bf16_to_f32(((const uint16_t *)(const void *)row)[i]);
        if (format == FORMAT_I8) values[i] = (double)(int8_t)(row[i] ^ flip) * (double)scale;
    }
}

static void make_problem(struct problem *p, struct random *random, const struct kernels *kernels) {
    const size_t row_bytes = format_row_bytes(p->format, p->k);
    float *row = make_floats(p->k);
    uint8_t *encoded = make_bytes(row_bytes);
    p->w = make_floats(p->n * p->k);
    p->bias = make_floats(p->n);
    p->before = make_floats(p->rows * p->y_stride);
    p->x_exact = malloc(p->rows * p->k * sizeof *p->x_exact);
    p->w_exact = malloc(p->n * p->k * sizeof *p->w_exact);
    p->x = malloc(p->rows * sizeof *p->x);
    random_floats(random, p->w, p->n * p->k, -1.0f, 1.0f);
    random_floats(random, p->bias, p->n, -1.0f, 1.0f);
    random_floats(random, p->before, p->rows * p->y_stride, -1.0f, 1.0f);
    for (size_t i = 0; i < p->n; i++) {
        kernels->encode_weights[p->format](encoded, p->w + i * p->k, p->k);
        decode(p->w_exact + i * p->k, encoded, p->format, p->k, kernels->weights_flip);
    }
    for (size_t i = 0; i < p->rows; i++) {
        random_floats(random, row, p->k, -1.0f, 1.0f);
        p->x[i] = make_bytes(row_bytes);
        kernels->encode[p->format](p->x[i], row, p->k);
        decode(p->x_exact + i * p->k, p->x[i], p->format, p->k, kernels->rows_flip);
    }
    free(row);
    free(encoded);
}

static void free_problem(struct problem *p) {
    for (size_t i = 0; i < p->rows; i++) free(p->x[i]);
    free(p->x);
    free(p->w);
    free(p->bias);
    free(p->before);
    free(p->x_exact);
    free(p->w_exact);
}

// Y through gemm_rows, `rows_a_call` rows at a time; the first step of columns apart from the others.
static void multiply(const struct gemm *gemm, float *y, const struct problem *p, size_t rows_a_call,
                     const struct gemm_epilogue *epilogue) {
    void *scratch = aligned_alloc(64, (gemm_scratch_bytes(gemm) + 127) / 64 * 64);
    const size_t step = gemm_column_step(gemm), n = gemm_n(gemm);
    const struct gemm_columns parts[] = {{0, n < step ? n : step}, {step, n < step ? 0 : n - step}};
    for (size_t first = 0; first < p->rows; first += rows_a_call) {
        const size_t some = p->rows - first < rows_a_call ? p->rows - first : rows_a_call;
        for (size_t i = 0; i < 2 && parts[i].n > 0; i++) {
            gemm_rows(gemm, y + first * p->y_stride, p->y_stride * sizeof *y,
                      (const void *const *)(p->x + first), some, parts[i], epilogue, scratch);
        }
    }
    free(scratch);
}

// A sum of k products in any order, a bias and what was there: |error| <= (k + 6) u sum of sizes.
static void check_values(const float *y, const struct problem *p, const float *bias,
                         bool accumulate) {
    for (size_t i = 0; i < p->rows; i++) {
        for (size_t j = 0; j < p->n; j++) {
            double sum = bias ? (double)bias[j] : 0.0, size = fabs(sum);
            if (accumulate) {
                sum += (double)p->before[i * p->y_stride + j];
                size += fabs((double)p->before[i * p->y_stride + j]);
            }
            for (size_t l = 0; l < p->k; l++) {
                const double product = p->x_exact[i * p->k + l] * p->w_exact[j * p->k + l];
                sum += product;
                size += fabs(product);
            }
            const double error = fabs((double)y[i * p->y_stride + j] - sum);
            if (!(error <= (double)(p->k + 6) * 0x1p-24 * size)) {
                fail_msg("format %d rows %zu n %zu k %zu at (%zu, %zu): error %g of %g",
                         (int)p->format, p->rows, p->n, p->k, i, j, error, size);
            }
        }
    }
}

static void check_problem(const struct kernels *kernels, struct random *random, enum format format,
                          size_t rows, size_t n, size_t k, bool accumulate) {
    vdt_error error = {0};
    struct problem p = {.format = format, .rows = rows, .n = n, .k = k, .y_stride = n + rows % 3};
    make_problem(&p, random, kernels);
    const float *bias = rows % 2 ? p.bias : NULL;
    const size_t floats = rows * p.y_stride;
    float *y = make_floats(floats), *again = make_floats(floats);
    struct gemm *gemm;
    if (gemm_open_whole(&gemm, test_memory(), kernels, format, p.w, bias, n, k, &error))
        fail_msg("%s", error.message);
    const struct gemm_epilogue *epilogue = accumulate ? &GEMM_RESIDUAL : &GEMM_PLAIN;
    memcpy(y, p.before, floats * sizeof *y);
    multiply(gemm, y, &p, gemm_task_rows(gemm), epilogue);
    check_values(y, &p, bias, accumulate);
    for (size_t i = 0; i < rows; i++) { // between rows nothing is touched
        const size_t at = i * p.y_stride + n;
        assert_memory_equal(y + at, p.before + at, (p.y_stride - n) * sizeof *y);
    }
    static const size_t cuts[] = {1, 7, 16, 31};
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        memcpy(again, p.before, floats * sizeof *y);
        multiply(gemm, again, &p, cuts[i], epilogue);
        if (memcmp(y, again, floats * sizeof *y) != 0) {
            fail_msg("%s: format %d rows %zu n %zu k %zu: other bits in calls of %zu rows",
                     kernels->name, (int)format, rows, n, k, cuts[i]);
        }
    }
    gemm_close(&gemm);
    free_problem(&p);
    free(y);
    free(again);
}

static void check_level(vdt_cpu level) {
    static const size_t shapes[][2] = {{1, 1},     {2, 192},    {3, 5},    {17, 33},
                                       {24, 24},   {64, 64},    {65, 129}, {100, 70},
                                       {192, 576}, {200, 1700}, {1000, 48}};
    struct kernels kernels;
    struct random random = {7};
    kernels_init(&kernels, level);
    for (int format = 0; format < FORMATS; format++) {
        if (!kernels.has_format[format]) continue;
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            check_problem(&kernels, &random, (enum format)format, 1, shapes[i][0], shapes[i][1],
                          false);
            check_problem(&kernels, &random, (enum format)format, 100, shapes[i][0], shapes[i][1],
                          i % 2);
            check_problem(&kernels, &random, (enum format)format, 37, shapes[i][0], shapes[i][1],
                          true);
        }
    }
}

static void values_and_bits(void **state) {
    (void)state;
    for (int level = VDT_CPU_C; level <= (int)cpu_detect(); level++) check_level((vdt_cpu)level);
}

// The sums leave with their activation, in f32 or bf16.
static void epilogues_follow(void **state) {
    (void)state;
    struct kernels kernels;
    struct random random = {9};
    struct problem p = {.format = FORMAT_F32, .rows = 20, .n = 70, .k = 40, .y_stride = 70};
    vdt_error error = {0};
    struct gemm *gemm;
    kernels_init(&kernels, cpu_detect());
    make_problem(&p, &random, &kernels);
    float *plain = make_floats(p.rows * p.n), *y = make_floats(p.rows * p.n);
    assert_int_equal(
        gemm_open_whole(&gemm, test_memory(), &kernels, FORMAT_F32, p.w, NULL, p.n, p.k, &error),
        VDT_OK);
    multiply(gemm, plain, &p, gemm_task_rows(gemm), &GEMM_PLAIN);
    for (int activation = 0; activation < ACTIVATIONS; activation++) {
        for (int format = FORMAT_F32; format <= FORMAT_BF16; format++) {
            const struct gemm_epilogue epilogue = {.activation = (enum activation)activation,
                                                   .format = (enum format)format};
            multiply(gemm, y, &p, gemm_task_rows(gemm), &epilogue);
            for (size_t i = 0; i < p.rows; i++) {
                float row[70];
                uint16_t rounded[70];
                memcpy(row, plain + i * p.n, sizeof row);
                kernels.activation_f32[activation](row, p.n);
                for (size_t j = 0; j < p.n; j++) rounded[j] = bf16_from_f32(row[j]);
                if (format == FORMAT_F32)
                    assert_memory_equal(row, y + i * p.n, sizeof row);
                else
                    assert_memory_equal(rounded, y + i * p.n, sizeof rounded);
            }
        }
    }
    gemm_close(&gemm);
    free_problem(&p);
    free(plain);
    free(y);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(values_and_bits),
                                       cmocka_unit_test(epilogues_follow)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
