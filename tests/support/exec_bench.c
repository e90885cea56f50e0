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

void quantise_rows(float *values, size_t n, size_t d) {
    struct kernels plain;
    kernels_init(&plain, VDT_CPU_C);
    uint8_t *row = make_bytes(format_row_bytes(FORMAT_I8, d));
    for (size_t i = 0; i < n; i++, values += d) {
        float scale;
        plain.encode[FORMAT_I8](row, values, d);
        memcpy(&scale, row + format_lanes(FORMAT_I8, d) * LANE_BYTES, sizeof scale);
        for (size_t j = 0; j < d; j++) values[j] = (float)(int8_t)row[j] * scale;
    }
    free(row);
}
