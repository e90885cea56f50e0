// Both engines of gemm.h against double precision: shapes, strides, accumulation, activations, and
// that a row has the same bits whatever it is computed with.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gemm/gemm.h"
#include "kernels/cpu.h"
#include "support.h"

enum { THREADS = 3 };

struct engine {
    struct kernels kernels;
    struct gemm_engine *engine;
};

static void open_engine(struct engine *engine, vdt_cpu level, enum gemm_backend backend) {
    vdt_error error = {0};
    kernels_init(&engine->kernels, level);
    if (gemm_engine_open(&engine->engine, test_memory(), &engine->kernels, backend, THREADS,
                         &error)) {
        fail_msg("%s", error.message);
    }
}

// Y through gemm_rows, `rows_a_call` rows at a time.
static void multiply(const struct gemm *gemm, float *y, size_t y_stride, const float *x,
                     size_t x_stride, size_t rows, size_t rows_a_call,
                     struct gemm_epilogue epilogue) {
    void *scratch = aligned_alloc(64, (gemm_scratch_bytes(gemm) + 127) / 64 * 64);
    for (size_t first = 0; first < rows; first += rows_a_call) {
        const size_t some = rows - first < rows_a_call ? rows - first : rows_a_call;
        assert_int_equal(gemm_rows(gemm, y + first * y_stride, y_stride, x + first * x_stride,
                                   x_stride, some, &epilogue, first / rows_a_call % THREADS,
                                   scratch),
                         VDT_OK);
    }
    free(scratch);
}

// A sum of k products in any order, a bias and what was there: |error| <= (k + 3) u sum of sizes.
static void check_values(const float *y, size_t y_stride, const float *before, const float *x,
                         size_t x_stride, const float *w, const float *bias, size_t rows, size_t n,
                         size_t k, bool accumulate) {
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < n; j++) {
            double sum = bias ? (double)bias[j] : 0.0, size = fabs(sum);
            if (accumulate) {
                sum += (double)before[i * y_stride + j];
                size += fabs((double)before[i * y_stride + j]);
            }
            for (size_t l = 0; l < k; l++) {
                const double product = (double)x[i * x_stride + l] * (double)w[j * k + l];
                sum += product;
                size += fabs(product);
            }
            const double error = fabs((double)y[i * y_stride + j] - sum);
            if (!(error <= (double)(k + 3) * 0x1p-24 * size)) {
                fail_msg("rows %zu n %zu k %zu at (%zu, %zu): error %g of %g", rows, n, k, i, j,
                         error, size);
            }
        }
    }
}

static void check_shape(struct engine *engine, struct random *random, size_t rows, size_t n,
                        size_t k, size_t extra, bool accumulate) {
    vdt_error error = {0};
    const size_t x_stride = k + extra, y_stride = n + 2 * extra;
    float *w = make_floats(n * k), *bias = make_floats(n), *x = make_floats(rows * x_stride);
    float *y = make_floats(rows * y_stride), *again = make_floats(rows * y_stride),
          *before = make_floats(rows * y_stride);
    random_floats(random, w, n * k, -1.0f, 1.0f);
    random_floats(random, bias, n, -1.0f, 1.0f);
    random_floats(random, x, rows * x_stride, -1.0f, 1.0f);
    random_floats(random, before, rows * y_stride, -1.0f, 1.0f);
    const float *used_bias = rows % 2 ? bias : NULL;
    struct gemm *gemm;
    if (gemm_open(&gemm, engine->engine, w, used_bias, n, k, &error)) fail_msg("%s", error.message);
    const struct gemm_epilogue epilogue = {.activation = ACTIVATION_NONE, .accumulate = accumulate};
    memcpy(y, before, rows * y_stride * sizeof *y);
    multiply(gemm, y, y_stride, x, x_stride, rows, rows, epilogue);
    check_values(y, y_stride, before, x, x_stride, w, used_bias, rows, n, k, accumulate);
    for (size_t i = 0; i < rows; i++) { // between rows nothing is touched
        const size_t at = i * y_stride + n;
        assert_memory_equal(y + at, before + at, (y_stride - n) * sizeof *y);
    }
    static const size_t cuts[] = {1, 7, 16, 50};
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        memcpy(again, before, rows * y_stride * sizeof *y);
        multiply(gemm, again, y_stride, x, x_stride, rows, cuts[i], epilogue);
        if (memcmp(y, again, rows * y_stride * sizeof *y) != 0) {
            fail_msg("%s: rows %zu n %zu k %zu: other bits in calls of %zu rows",
                     gemm_engine_name(engine->engine), rows, n, k, cuts[i]);
        }
    }
    gemm_close(&gemm);
    free(w);
    free(bias);
    free(x);
    free(y);
    free(again);
    free(before);
}

static void check_engine(vdt_cpu level, enum gemm_backend backend) {
    static const size_t shapes[][2] = {{1, 1},     {2, 192},   {3, 5},     {17, 33},
                                       {24, 24},   {64, 64},   {65, 129},  {100, 70},
                                       {192, 576}, {400, 768}, {96, 1100}, {1000, 48}};
    struct engine engine;
    struct random random = {7};
    open_engine(&engine, level, backend);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        check_shape(&engine, &random, 1, shapes[i][0], shapes[i][1], 0, false);
        check_shape(&engine, &random, 130, shapes[i][0], shapes[i][1], 0, i % 2);
        check_shape(&engine, &random, 37, shapes[i][0], shapes[i][1], 3, true);
    }
    gemm_engine_close(&engine.engine);
}

static void tiles(void **state) {
    (void)state;
    for (int level = VDT_CPU_C; level <= (int)cpu_detect(); level++)
        check_engine((vdt_cpu)level, GEMM_TILES);
}

static void onednn(void **state) {
    (void)state;
    if (!gemm_has_onednn()) skip();
    check_engine(cpu_detect(), GEMM_ONEDNN);
}

static void activation_follows(void **state) {
    (void)state;
    enum { N = 70, K = 40, ROWS = 20 };
    struct engine engine;
    struct random random = {9};
    vdt_error error = {0};
    struct gemm *gemm;
    float *w = make_floats(N * K), *x = make_floats(ROWS * K), *plain = make_floats(ROWS * N),
          *y = make_floats(ROWS * N);
    open_engine(&engine, cpu_detect(), GEMM_TILES);
    random_floats(&random, w, N * K, -1.0f, 1.0f);
    random_floats(&random, x, ROWS * K, -1.0f, 1.0f);
    assert_int_equal(gemm_open(&gemm, engine.engine, w, NULL, N, K, &error), VDT_OK);
    multiply(gemm, plain, N, x, K, ROWS, ROWS,
             (struct gemm_epilogue){.activation = ACTIVATION_NONE});
    for (int activation = 0; activation < ACTIVATIONS; activation++) {
        multiply(gemm, y, N, x, K, ROWS, ROWS,
                 (struct gemm_epilogue){.activation = (enum activation)activation});
        for (size_t i = 0; i < ROWS; i++) {
            float row[N];
            memcpy(row, plain + i * N, sizeof row);
            engine.kernels.activation_f32[activation](row, N);
            assert_memory_equal(row, y + i * N, sizeof row);
        }
    }
    gemm_close(&gemm);
    gemm_engine_close(&engine.engine);
    free(w);
    free(x);
    free(plain);
    free(y);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(tiles), cmocka_unit_test(onednn),
                                       cmocka_unit_test(activation_follows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
