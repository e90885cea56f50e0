// What tests of operations share: a pool and kernels to run them with, and what int8 makes of rows.
#ifndef VIDETTE_TESTS_EXEC_BENCH_H
#define VIDETTE_TESTS_EXEC_BENCH_H

#include "ops/ops.h"
#include "support.h"

struct exec_bench {
    struct kernels kernels;
    struct exec exec;
};

// scratch: bytes a thread.
void open_exec(struct exec_bench *bench, vdt_cpu level, size_t threads, size_t scratch);
void close_exec(struct exec_bench *bench);

// Each of n rows of d numbers becomes what its int8 encoding stands for: as rows that are multiplied, and as weights,
// whose numbers are encoded without the factor `scale`.
void quantise_rows(const struct kernels *kernels, float *values, size_t n, size_t d);
void quantise_weights(const struct kernels *kernels, float *values, size_t n, size_t d,
                      float scale);

#endif
