#include "ops/ops.h"

#include <string.h>

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

/* ---- tasks of rows ------------------------------------------------------------------------- */

// Rows a task takes: at most GEMM_MAX_ROWS, and so many that every thread gets the same number of tasks.
static size_t rows_per_task(const struct exec *exec, size_t rows) {
    const size_t threads = pool_threads(exec->pool);
    const size_t rounds = ceil_div(rows, threads * GEMM_MAX_ROWS);
    return max_size(ceil_div(rows, threads * max_size(rounds, 1)), 1);
}

static size_t align64(size_t bytes) {
    return (bytes + 63) / 64 * 64;
}

// Takes aligned blocks from a task's scratch memory.
static void *take(unsigned char **scratch, size_t bytes) {
    void *block = *scratch;
    *scratch += align64(bytes);
    return block;
}

/* ---- norm ---------------------------------------------------------------------------------- */

struct norm_run {
    const struct exec *exec;
    float *y;
    const float *x;
    size_t y_stride, x_stride, rows, n, rows_per_task;
    const struct norm *norm;
};

static void norm_task(void *argument, size_t task, size_t thread, void *scratch) {
    (void)thread;
    (void)scratch;
    const struct norm_run *run = argument;
    const size_t end = min_size((task + 1) * run->rows_per_task, run->rows);
    for (size_t i = task * run->rows_per_task; i < end; i++) {
        run->exec->kernels->layernorm_f32(run->y + i * run->y_stride, run->x + i * run->x_stride,
                                          run->norm->weight, run->norm->bias, run->n,
                                          run->norm->eps);
    }
}

void ops_layernorm(struct exec *exec, float *y, size_t y_stride, const float *x, size_t x_stride,
                   size_t rows, size_t n, const struct norm *norm) {
    struct norm_run run = {exec, y, x, y_stride, x_stride, rows, n, rows_per_task(exec, rows),
                           norm};
    exec_run(exec, ceil_div(rows, run.rows_per_task), norm_task, &run);
}

/* ---- linear -------------------------------------------------------------------------------- */

// The rows of a product: pointers, and memory for those that must be encoded first.
struct encoded {
    const void *rows[GEMM_MAX_ROWS];
    float *normal;          // (K) one row after its norm
    unsigned char *storage; // GEMM_MAX_ROWS encoded rows
};

static size_t encoded_bytes(const struct gemm *w) {
    return align64(sizeof(struct encoded)) + align64(gemm_k(w) * sizeof(float)) +
           align64(GEMM_MAX_ROWS * format_row_bytes(gemm_format(w), gemm_k(w)));
}

static struct encoded *take_encoded(unsigned char **scratch, const struct gemm *w) {
    struct encoded *encoded = take(scratch, sizeof *encoded);
    encoded->normal = take(scratch, gemm_k(w) * sizeof(float));
    encoded->storage = take(scratch, GEMM_MAX_ROWS * format_row_bytes(gemm_format(w), gemm_k(w)));
    return encoded;
}

// Rows [first, first + n) of x (of x[index], where there is one) as w reads them: as they are where they are
// in its format, else normalised and encoded.
static void encode_rows(struct encoded *encoded, const struct kernels *kernels,
                        const struct gemm *w, struct rows x, const uint32_t *index, size_t first,
                        size_t n, const struct norm *norm) {
    const enum format format = gemm_format(w);
    const size_t k = gemm_k(w), row_bytes = format_row_bytes(format, k);
    const bool normalised = norm && norm->weight;
    for (size_t i = 0; i < n; i++) {
        const void *row = rows_at(x, index ? index[first + i] : first + i);
        unsigned char *out = encoded->storage + i * row_bytes;
        if (normalised) {
            // In f32 the normalised row is the encoded row.
            float *normal = format == FORMAT_F32 ? (float *)(void *)out : encoded->normal;
            kernels->layernorm_f32(normal, row, norm->weight, norm->bias, k, norm->eps);
            row = normal;
        }
        if ((normalised ? FORMAT_F32 : x.format) != format) {
            kernels->encode[format](out, row, k);
            row = out;
        }
        encoded->rows[i] = row;
    }
}

struct linear {
    struct exec *exec;
    const struct gemm *w;
    struct rows y, x;
    const uint32_t *index; // of x; NULL: all rows in order
    size_t rows, rows_per_task;
    const struct norm *norm;
    struct gemm_epilogue epilogue;
};

static void linear_task(void *argument, size_t task, size_t thread, void *scratch) {
    const struct linear *run = argument;
    unsigned char *left = scratch;
    struct encoded *encoded = take_encoded(&left, run->w);
    const size_t first = task * run->rows_per_task,
                 rows = min_size(run->rows_per_task, run->rows - first);
    encode_rows(encoded, run->exec->kernels, run->w, run->x, run->index, first, rows, run->norm);
    const int status = gemm_rows(run->w, rows_at(run->y, first), run->y.bytes, encoded->rows, rows,
                                 &run->epilogue, thread, left);
    if (status) atomic_store(&run->exec->status, status);
}

static void run_linear(struct linear *run) {
    run->rows_per_task = rows_per_task(run->exec, run->rows);
    exec_run(run->exec, ceil_div(run->rows, run->rows_per_task), linear_task, run);
    run->exec->macs += (uint64_t)run->rows * gemm_n(run->w) * gemm_k(run->w);
}

void ops_linear(struct exec *exec, const struct gemm *w, struct rows y, struct rows x, size_t rows,
                const struct norm *norm, struct gemm_epilogue epilogue) {
    run_linear(&(struct linear){
        .exec = exec, .w = w, .y = y, .x = x, .rows = rows, .norm = norm, .epilogue = epilogue});
}

void ops_linear_at(struct exec *exec, const struct gemm *w, struct rows y, struct rows x,
                   const uint32_t *index, size_t rows, struct gemm_epilogue epilogue) {
    run_linear(&(struct linear){
        .exec = exec, .w = w, .y = y, .x = x, .index = index, .rows = rows, .epilogue = epilogue});
}

size_t ops_linear_scratch_bytes(const struct gemm *w) {
    return encoded_bytes(w) + gemm_scratch_bytes(w);
}

/* ---- mlp ----------------------------------------------------------------------------------- */

struct mlp_run {
    struct exec *exec;
    const struct mlp *mlp;
    const struct norm *norm;
    struct rows y, x;
    const uint32_t *index; // of x; NULL: all rows in order
    size_t rows, rows_per_task;
    struct gemm_epilogue outer; // of fc2
};

static size_t hidden_row_bytes(const struct mlp *mlp) {
    return gemm_n(mlp->fc1) * sizeof(float);
}

size_t ops_mlp_scratch_bytes(const struct mlp *mlp) {
    return encoded_bytes(mlp->fc1) + align64(GEMM_MAX_ROWS * hidden_row_bytes(mlp)) +
           encoded_bytes(mlp->fc2) +
           max_size(gemm_scratch_bytes(mlp->fc1), gemm_scratch_bytes(mlp->fc2));
}

// silu(gate) * up into the place of gate, for rows of 2M.
static void gate_rows(const struct kernels *kernels, struct rows hidden, size_t rows, size_t m) {
    for (size_t i = 0; i < rows; i++) {
        float *gate = rows_at(hidden, i);
        const float *up = gate + m;
        kernels->activation_f32[ACTIVATION_SILU](gate, m);
        for (size_t j = 0; j < m; j++) gate[j] *= up[j];
    }
}

static void mlp_task(void *argument, size_t task, size_t thread, void *scratch) {
    const struct mlp_run *run = argument;
    const struct mlp *mlp = run->mlp;
    const struct kernels *kernels = run->exec->kernels;
    const size_t first = task * run->rows_per_task,
                 rows = min_size(run->rows_per_task, run->rows - first);
    // The activation writes what fc2 reads, where that is a rounding; int8 needs the whole row's maximum.
    const bool direct = gemm_format(mlp->fc2) == FORMAT_BF16 && !mlp->gated;
    const struct gemm_epilogue inner = {.activation =
                                            mlp->gated ? ACTIVATION_NONE : mlp->activation,
                                        .format = direct ? FORMAT_BF16 : FORMAT_F32};
    unsigned char *left = scratch;
    struct encoded *in = take_encoded(&left, mlp->fc1);
    struct rows hidden = {.bytes = direct ? format_row_bytes(FORMAT_BF16, gemm_n(mlp->fc1))
                                          : hidden_row_bytes(mlp),
                          .format = inner.format};
    hidden.data = take(&left, GEMM_MAX_ROWS * hidden_row_bytes(mlp));
    struct encoded *between = take_encoded(&left, mlp->fc2);

    encode_rows(in, kernels, mlp->fc1, run->x, run->index, first, rows, run->norm);
    int status =
        gemm_rows(mlp->fc1, hidden.data, hidden.bytes, in->rows, rows, &inner, thread, left);
    if (mlp->gated) gate_rows(kernels, hidden, rows, gemm_k(mlp->fc2));
    encode_rows(between, kernels, mlp->fc2, hidden, NULL, 0, rows, NULL);
    if (!status) {
        status = gemm_rows(mlp->fc2, rows_at(run->y, first), run->y.bytes, between->rows, rows,
                           &run->outer, thread, left);
    }
    if (status) atomic_store(&run->exec->status, status);
}

static void run_mlp(struct mlp_run *run) {
    const struct mlp *mlp = run->mlp;
    run->rows_per_task = rows_per_task(run->exec, run->rows);
    exec_run(run->exec, ceil_div(run->rows, run->rows_per_task), mlp_task, run);
    run->exec->macs += (uint64_t)run->rows *
                       (gemm_n(mlp->fc1) * gemm_k(mlp->fc1) + gemm_n(mlp->fc2) * gemm_k(mlp->fc2));
}

void ops_mlp(struct exec *exec, const struct mlp *mlp, const struct norm *norm, struct rows x,
             size_t rows) {
    run_mlp(&(struct mlp_run){.exec = exec,
                              .mlp = mlp,
                              .norm = norm,
                              .y = x,
                              .x = x,
                              .rows = rows,
                              .outer = GEMM_RESIDUAL});
}

void ops_mlp_at(struct exec *exec, const struct mlp *mlp, struct rows y, struct rows x,
                const uint32_t *index, size_t rows) {
    run_mlp(&(struct mlp_run){.exec = exec,
                              .mlp = mlp,
                              .y = y,
                              .x = x,
                              .index = index,
                              .rows = rows,
                              .outer = GEMM_PLAIN});
}

/* ---- scatter ------------------------------------------------------------------------------- */

struct scatter {
    struct rows y, x;
    const uint32_t *index;
    size_t rows, rows_per_task, bytes;
};

static void scatter_task(void *argument, size_t task, size_t thread, void *scratch) {
    (void)thread;
    (void)scratch;
    const struct scatter *run = argument;
    const size_t end = min_size((task + 1) * run->rows_per_task, run->rows);
    for (size_t i = task * run->rows_per_task; i < end; i++)
        memcpy(rows_at(run->y, run->index[i]), rows_at(run->x, i), run->bytes);
}

void ops_scatter(struct exec *exec, struct rows y, const uint32_t *index, struct rows x,
                 size_t rows, size_t bytes) {
    struct scatter run = {y, x, index, rows, rows_per_task(exec, rows), bytes};
    exec_run(exec, ceil_div(rows, run.rows_per_task), scatter_task, &run);
}
