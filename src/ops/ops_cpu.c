#include "ops/ops.h"

#include "core/checked.h"

struct run {
    struct exec *exec;
    exec_task *task;
    void *argument;
};

static void run_task(void *argument, size_t task, size_t thread) {
    const struct run *run = argument;
    run->task(run->argument, task, thread, run->exec->scratch + thread * run->exec->scratch_bytes);
}

void exec_run(struct exec *exec, size_t n_tasks, exec_task *task, void *argument) {
    struct run run = {exec, task, argument};
    pool_run(exec->pool, n_tasks, run_task, &run);
}

/* ---- linear -------------------------------------------------------------------------------- */

struct linear {
    struct exec *exec;
    const struct gemm *w;
    float *y;
    const float *x;
    size_t y_stride, x_stride, rows, rows_per_task;
    struct gemm_epilogue epilogue;
};

static void linear_task(void *argument, size_t task, size_t thread, void *scratch) {
    const struct linear *run = argument;
    const size_t first = task * run->rows_per_task;
    const size_t rows = min_size(run->rows_per_task, run->rows - first);
    const int status = gemm_rows(run->w, run->y + first * run->y_stride, run->y_stride,
                                 run->x + first * run->x_stride, run->x_stride, rows,
                                 &run->epilogue, thread, scratch);
    if (status) atomic_store(&run->exec->status, status);
}

void ops_linear(struct exec *exec, const struct gemm *w, float *y, size_t y_stride, const float *x,
                size_t x_stride, size_t rows, struct gemm_epilogue epilogue) {
    struct linear run = {exec, w, y, x, y_stride, x_stride, rows, gemm_rows_per_task(w), epilogue};
    exec_run(exec, ceil_div(rows, run.rows_per_task), linear_task, &run);
    exec->macs += (uint64_t)rows * gemm_n(w) * gemm_k(w);
}

/* ---- layernorm and swiglu ------------------------------------------------------------------ */

enum { ROWS_PER_TASK = 32 };

struct row_run {
    const struct kernels *kernels;
    float *y, *x;
    const float *in, *weight, *bias;
    size_t y_stride, x_stride, rows, n;
    float eps;
};

static void layernorm_task(void *argument, size_t task, size_t thread, void *scratch) {
    (void)thread;
    (void)scratch;
    const struct row_run *run = argument;
    const size_t end = min_size((task + 1) * ROWS_PER_TASK, run->rows);
    for (size_t i = task * ROWS_PER_TASK; i < end; i++) {
        run->kernels->layernorm_f32(run->y + i * run->y_stride, run->in + i * run->x_stride,
                                    run->weight, run->bias, run->n, run->eps);
    }
}

void ops_layernorm(struct exec *exec, float *y, size_t y_stride, const float *x, size_t x_stride,
                   size_t rows, size_t n, const float *weight, const float *bias, float eps) {
    struct row_run run = {.kernels = exec->kernels,
                          .y = y,
                          .in = x,
                          .weight = weight,
                          .bias = bias,
                          .y_stride = y_stride,
                          .x_stride = x_stride,
                          .rows = rows,
                          .n = n,
                          .eps = eps};
    exec_run(exec, ceil_div(rows, ROWS_PER_TASK), layernorm_task, &run);
}

static void swiglu_task(void *argument, size_t task, size_t thread, void *scratch) {
    (void)thread;
    (void)scratch;
    const struct row_run *run = argument;
    const size_t end = min_size((task + 1) * ROWS_PER_TASK, run->rows);
    for (size_t i = task * ROWS_PER_TASK; i < end; i++) {
        float *y = run->y + i * run->y_stride, *gate = run->x + i * run->x_stride;
        const float *up = gate + run->n;
        run->kernels->activation_f32[ACTIVATION_SILU](gate, run->n);
        for (size_t j = 0; j < run->n; j++) y[j] = gate[j] * up[j];
    }
}

void ops_swiglu(struct exec *exec, float *y, size_t y_stride, float *x, size_t x_stride,
                size_t rows, size_t n) {
    struct row_run run = {.kernels = exec->kernels,
                          .y = y,
                          .x = x,
                          .y_stride = y_stride,
                          .x_stride = x_stride,
                          .rows = rows,
                          .n = n};
    exec_run(exec, ceil_div(rows, ROWS_PER_TASK), swiglu_task, &run);
}
