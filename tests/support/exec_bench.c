#include "exec_bench.h"

#include <stdlib.h>
#include <string.h>

void open_exec(struct exec_bench *bench, vdt_cpu level, size_t threads, size_t scratch) {
    vdt_error error = {0};
    memset(bench, 0, sizeof *bench);
    kernels_init(&bench->kernels, level);
    bench->exec.kernels = &bench->kernels;
    assert_int_equal(pool_open(&bench->exec.pool, test_memory(), threads, &error), VDT_OK);
    bench->exec.scratch_bytes = (scratch + 63) / 64 * 64;
    bench->exec.scratch = aligned_alloc(64, threads * bench->exec.scratch_bytes);
}

void close_exec(struct exec_bench *bench) {
    pool_close(&bench->exec.pool);
    free(bench->exec.scratch);
}

// What an encoded row stands for.
static void decode(float *values, const uint8_t *row, size_t d, uint8_t flip) {
    float scale;
    memcpy(&scale, row + format_lanes(FORMAT_I8, d) * LANE_BYTES, sizeof scale);
    for (size_t j = 0; j < d; j++) values[j] = (float)(int8_t)(row[j] ^ flip) * scale;
}

void quantise_rows(const struct kernels *kernels, float *values, size_t n, size_t d) {
    uint8_t *row = make_bytes(format_row_bytes(FORMAT_I8, d));
    for (size_t i = 0; i < n; i++, values += d) {
        kernels->encode[FORMAT_I8](row, values, d);
        decode(values, row, d, kernels->rows_flip);
    }
    free(row);
}

void quantise_weights(const struct kernels *kernels, float *values, size_t n, size_t d,
                      float scale) {
    uint8_t *row = make_bytes(format_row_bytes(FORMAT_I8, d));
    for (size_t i = 0; i < n; i++, values += d) {
        for (size_t j = 0; j < d; j++) values[j] /= scale;
        kernels->encode_weights[FORMAT_I8](row, values, d);
        decode(values, row, d, kernels->weights_flip);
        for (size_t j = 0; j < d; j++) values[j] *= scale;
    }
    free(row);
}
