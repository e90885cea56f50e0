#include "ops/ops.h"

#include <string.h>

#include "core/checked.h"
#include "kernels/bf16.h"

struct run {
    struct exec *exec;
    exec_task *task;
    void *argument;
};

static void run_task(void *argument, size_t task, size_t thread) {
    const struct run *run = argument;
    const struct exec *exec = run->exec;
    unsigned char *scratch = exec->scratch ? exec->scratch + thread * exec->scratch_bytes : NULL;
    run->task(run->argument, task, thread, scratch);
}

void exec_run(struct exec *exec, size_t n_tasks, exec_task *task, void *argument) {
    struct run run = {exec, task, argument};
    pool_run(exec->pool, n_tasks, run_task, &run);
}

size_t exec_rows_a_task(const struct exec *exec, size_t rows, size_t most) {
    const size_t threads = pool_threads(exec->pool), rounds = ceil_div(rows, threads * most);
    return max_size(ceil_div(rows, threads * max_size(rounds, 1)), 1);
}

/* ---- tasks of rows ------------------------------------------------------------------------- */

// Those of an operation that treats each row for itself.
static size_t rows_per_task(const struct exec *exec, size_t rows) {
    return exec_rows_a_task(exec, rows, 48);
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
        const float *x = run->x + i * run->x_stride;
        run->exec->kernels->layernorm_f32(run->y + i * run->y_stride, x, run->norm->weight,
                                          run->norm->bias, run->n, run->norm->eps,
                                          i + 1 < end ? x + run->x_stride : x);
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
    float *values;          // (K) one row after its norm or gate
    unsigned char *storage; // gemm_task_rows encoded rows
};

static size_t encoded_bytes(const struct gemm *w) {
    return align64(sizeof(struct encoded)) + align64(gemm_k(w) * sizeof(float)) +
           align64(gemm_task_rows(w) * format_row_bytes(gemm_format(w), gemm_k(w)));
}

static struct encoded *take_encoded(unsigned char **scratch, const struct gemm *w) {
    struct encoded *encoded = take(scratch, sizeof *encoded);
    encoded->values = take(scratch, gemm_k(w) * sizeof(float));
    encoded->storage =
        take(scratch, gemm_task_rows(w) * format_row_bytes(gemm_format(w), gemm_k(w)));
    return encoded;
}

// out (M) = silu(gate) * up for a row (2M) of gate and up (SwiGLU).
static void gate_row(const struct kernels *kernels, float *out, const float *gate, size_t m) {
    const float *up = gate + m;
    memcpy(out, gate, m * sizeof *out);
    kernels->activation_f32[ACTIVATION_SILU](out, m);
    for (size_t i = 0; i < m; i++) out[i] *= up[i];
}

// Rows [first, first + n) of x (of x[index], where there is one) as w reads them: as they are where they are
// in its format (or copied together), else normalised (or, of twice the width, gated) and encoded.
static void encode_rows(struct encoded *encoded, const struct kernels *kernels,
                        const struct gemm *w, struct rows x, const uint32_t *index, size_t first,
                        size_t n, const struct norm *norm, bool gated) {
    const enum format format = gemm_format(w);
    const size_t k = gemm_k(w), row_bytes = format_row_bytes(format, k);
    const bool normalised = norm && norm->weight, computed = normalised || gated;
    for (size_t i = 0; i < n; i++) {
        const void *row = rows_at(x, index ? index[first + i] : first + i);
        unsigned char *out = encoded->storage + i * row_bytes;
        // In f32 the computed row is the encoded row.
        float *values = format == FORMAT_F32 ? (float *)(void *)out : encoded->values;
        if (normalised) {
            const size_t next = first + min_size(i + 1, n - 1);
            kernels->layernorm_f32(values, row, norm->weight, norm->bias, k, norm->eps,
                                   rows_at(x, index ? index[next] : next));
        }
        if (gated) gate_row(kernels, values, row, k);
        if (computed) row = values;
        if ((computed ? FORMAT_F32 : x.format) != format) {
            kernels->encode[format](out, row, k);
            row = out;
        } else if (index && kernels->sizes[format].copies_rows) {
            row = memcpy(out, row, row_bytes);
        }
        encoded->rows[i] = row;
    }
}

// How a product is dealt to tasks: task i takes rows i / column_tasks and columns i % column_tasks.
struct deal {
    size_t rows, columns; // of a task
    size_t row_tasks, column_tasks;
};

static struct deal deal_rows(const struct exec *exec, size_t rows, const struct gemm *w) {
    const size_t some = exec_rows_a_task(exec, rows, gemm_task_rows(w));
    return (struct deal){some, gemm_n(w), ceil_div(rows, some), 1};
}

// What the longest task takes, counted in panels of a row; a thin tile costs what a whole one does.
static size_t longest(struct deal deal, const struct gemm *w) {
    const size_t unit = gemm_tile_rows(w);
    return ceil_div(deal.rows, unit) * unit * ceil_div(deal.columns, gemm_column_step(w));
}

// Every task reads all weights of its columns. Where there are fewer rows than fill the threads' tasks,
// columns are dealt too, and the more of them, the fewer times weights are read, as long as no task gets
// longer: two threads that have 24 rows take half the columns each.
static struct deal deal_both(const struct exec *exec, size_t rows, const struct gemm *w) {
    const size_t threads = pool_threads(exec->pool), step = gemm_column_step(w);
    const size_t panels = ceil_div(gemm_n(w), step);
    struct deal best = deal_rows(exec, rows, w);
    for (size_t c = 2; c <= min_size(threads, panels); c++) {
        struct deal deal = {.columns = ceil_div(panels, c) * step};
        deal.rows = max_size(ceil_div(rows, threads / c), 1);
        if (threads % c != 0 || deal.rows > gemm_task_rows(w)) continue;
        deal.row_tasks = ceil_div(rows, deal.rows);
        deal.column_tasks = ceil_div(gemm_n(w), deal.columns);
        if (longest(deal, w) <= longest(best, w)) best = deal;
    }
    return best;
}

struct linear {
    struct exec *exec;
    const struct gemm *w;
    struct rows y, x;
    const uint32_t *index; // of x; NULL: all rows in order
    size_t rows;
    const struct norm *norm;
    bool gated;
    struct gemm_epilogue epilogue;
    struct deal deal;
};

static void linear_task(void *argument, size_t task, size_t thread, void *scratch) {
    (void)thread;
    const struct linear *run = argument;
    const struct deal *deal = &run->deal;
    unsigned char *left = scratch;
    struct encoded *encoded = take_encoded(&left, run->w);
    const size_t first = task / deal->column_tasks * deal->rows,
                 rows = min_size(deal->rows, run->rows - first);
    struct gemm_columns columns = {.first = task % deal->column_tasks * deal->columns};
    columns.n = min_size(deal->columns, gemm_n(run->w) - columns.first);
    encode_rows(encoded, run->exec->kernels, run->w, run->x, run->index, first, rows, run->norm,
                run->gated);
    gemm_rows(run->w, rows_at(run->y, first), run->y.bytes, encoded->rows, rows, columns,
              &run->epilogue, left);
}

static void run_linear(struct linear *run) {
    run->deal = deal_both(run->exec, run->rows, run->w);
    exec_run(run->exec, run->deal.row_tasks * run->deal.column_tasks, linear_task, run);
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
    struct gemm_epilogue inner, outer; // of fc1 and fc2
};

size_t ops_mlp_hidden_bytes(const struct mlp *mlp) {
    return gemm_task_rows(mlp->fc1) * gemm_n(mlp->fc1) * sizeof(float);
}

size_t ops_mlp_scratch_bytes(const struct mlp *mlp) {
    return encoded_bytes(mlp->fc1) + encoded_bytes(mlp->fc2) +
           max_size(gemm_scratch_bytes(mlp->fc1), gemm_scratch_bytes(mlp->fc2));
}

// The hidden layer of rows that begin with a task's first one.
static struct rows hidden_rows(const struct mlp_run *run, size_t thread) {
    const struct mlp *mlp = run->mlp;
    const enum format format = run->inner.format;
    return (struct rows){run->exec->hidden + thread * ops_mlp_hidden_bytes(mlp),
                         format == FORMAT_F32 ? gemm_n(mlp->fc1) * sizeof(float)
                                              : format_row_bytes(format, gemm_n(mlp->fc1)),
                         format};
}

// Some rows through both layers.
static void mlp_task(void *argument, size_t task, size_t thread, void *scratch) {
    const struct mlp_run *run = argument;
    const struct mlp *mlp = run->mlp;
    const struct kernels *kernels = run->exec->kernels;
    const size_t first = task * run->rows_per_task,
                 rows = min_size(run->rows_per_task, run->rows - first);
    unsigned char *left = scratch;
    struct encoded *in = take_encoded(&left, mlp->fc1), *between = take_encoded(&left, mlp->fc2);
    const struct rows hidden = hidden_rows(run, thread);
    encode_rows(in, kernels, mlp->fc1, run->x, run->index, first, rows, run->norm, false);
    gemm_rows(mlp->fc1, hidden.data, hidden.bytes, in->rows, rows, gemm_all_columns(mlp->fc1),
              &run->inner, left);
    encode_rows(between, kernels, mlp->fc2, hidden, NULL, 0, rows, NULL, mlp->gated);
    gemm_rows(mlp->fc2, rows_at(run->y, first), run->y.bytes, between->rows, rows,
              gemm_all_columns(mlp->fc2), &run->outer, left);
}

// Few rows: one layer after the other, so that columns can be dealt.
static void run_layers(const struct mlp_run *run) {
    const struct mlp *mlp = run->mlp;
    const struct rows hidden = hidden_rows(run, 0);
    run_linear(&(struct linear){.exec = run->exec,
                                .w = mlp->fc1,
                                .y = hidden,
                                .x = run->x,
                                .index = run->index,
                                .rows = run->rows,
                                .norm = run->norm,
                                .epilogue = run->inner});
    run_linear(&(struct linear){.exec = run->exec,
                                .w = mlp->fc2,
                                .y = run->y,
                                .x = hidden,
                                .rows = run->rows,
                                .gated = mlp->gated,
                                .epilogue = run->outer});
}

static void run_mlp(struct mlp_run *run) {
    const struct mlp *mlp = run->mlp;
    // The activation writes what fc2 reads, where that is a rounding; int8 needs the whole row's maximum.
    const bool direct = gemm_format(mlp->fc2) == FORMAT_BF16 && !mlp->gated;
    run->inner =
        (struct gemm_epilogue){.activation = mlp->gated ? ACTIVATION_NONE : mlp->activation,
                               .format = direct ? FORMAT_BF16 : FORMAT_F32};
    if (deal_both(run->exec, run->rows, mlp->fc1).column_tasks > 1) {
        run_layers(run);
        return;
    }
    run->rows_per_task = exec_rows_a_task(run->exec, run->rows, gemm_task_rows(mlp->fc1));
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

/* ---- int8 scores --------------------------------------------------------------------------- */

struct encoding {
    const struct kernels *kernels;
    struct rows q, k;
    size_t rows, heads, d, rows_per_task;
};

// Each head's numbers of a row become an int8 row at their beginning.
static void encode_heads(const struct encoding *run, struct rows rows, size_t i, bool keys) {
    void (*encode)(void *row, const float *x, size_t n) =
        keys ? run->kernels->encode_weights[FORMAT_I8] : run->kernels->encode[FORMAT_I8];
    float x[ATTENTION_MAX_D];
    for (size_t head = 0; head < run->heads; head++) {
        void *at = rows_at(rows_columns(rows, head * run->d), i);
        const uint16_t *bf16 = at;
        if (rows.format == FORMAT_F32) memcpy(x, at, run->d * sizeof *x);
        for (size_t j = 0; j < run->d && rows.format == FORMAT_BF16; j++)
            x[j] = bf16_to_f32(bf16[j]);
        encode(at, x, run->d);
    }
}

static void encode_task(void *argument, size_t task, size_t thread, void *scratch) {
    (void)thread;
    (void)scratch;
    const struct encoding *run = argument;
    const size_t end = min_size((task + 1) * run->rows_per_task, run->rows);
    for (size_t i = task * run->rows_per_task; i < end; i++) {
        encode_heads(run, run->q, i, false);
        encode_heads(run, run->k, i, true);
    }
}

void ops_encode_scores(struct exec *exec, struct rows q, struct rows k, size_t rows, size_t heads,
                       size_t d) {
    struct encoding run = {exec->kernels, q, k, rows, heads, d, rows_per_task(exec, rows)};
    exec_run(exec, ceil_div(rows, run.rows_per_task), encode_task, &run);
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
