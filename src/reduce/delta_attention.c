#include "reduce/delta_attention.h"

#include <math.h>
#include <string.h>

#include "core/checked.h"
#include "ops/attention_tile.h"

enum { ROWS = 8 }; // of a task: their softmaxes fit a cache

struct update {
    struct attention attention; // q, k, v: the buffer's
    struct delta_attention *state;
    struct rows fresh;
    const uint32_t *index; // M; NULL: a flush
    size_t n_changed;
    unsigned char *all, *new,
        *old; // panels: all rows; of M new keys and dv; of M new keys and old values
    size_t all_bytes, part_bytes; // of a head
};

bool delta_attention_panels(size_t *bytes, const struct kernels *kernels, size_t n, size_t heads,
                            size_t d) {
    size_t keys;
    return checked_multiply(&keys, n, 3) &&
           ops_attention_panels(bytes, kernels, FORMAT_F32, keys, 4, heads, d);
}

static size_t tile_bytes(size_t d, const struct relative_positions *relative) {
    return align64(ops_attention_scratch_bytes(d, relative));
}

size_t delta_attention_scratch_bytes(size_t n, size_t d,
                                     const struct relative_positions *relative) {
    return tile_bytes(d, relative) + 3 * ROWS * n * sizeof(float);
}

static struct update begin(struct exec *exec, struct delta_attention *state, struct rows qkv,
                           const struct attention_shape *shape) {
    struct update run = {
        .attention = attention_of_qkv(exec, qkv, shape), .state = state, .all = state->panels};
    run.all_bytes = attention_head_bytes(&run.attention, state->n);
    return run;
}

/* ---- panels -------------------------------------------------------------------------------- */

static void pack_task(void *argument, size_t head, size_t thread, void *scratch) {
    (void)thread;
    const struct update *run = argument;
    const struct attention *attention = &run->attention;
    const size_t width = attention->shape->heads * attention->shape->d, n = run->n_changed;
    attention_pack(attention, run->all + head * run->all_bytes, attention->k, attention->v, NULL,
                   run->state->n, head, scratch);
    if (!run->index) return;
    const struct rows dv = rows_f32(run->state->dv, width), old = rows_f32(run->state->old, width);
    attention_pack(attention, run->new + head * run->part_bytes, rows_columns(run->fresh, width),
                   dv, NULL, n, head, scratch);
    attention_pack(attention, run->old + head * run->part_bytes, rows_columns(run->fresh, width),
                   old, NULL, n, head, scratch);
}

static void keep_values_task(void *argument, size_t i, size_t thread, void *scratch) {
    (void)thread;
    (void)scratch;
    const struct update *run = argument;
    const size_t width = run->attention.shape->heads * run->attention.shape->d;
    const float *now = attention_row(run->fresh, i, 2 * width);
    const float *before = rows_at(run->attention.v, run->index[i]);
    for (size_t j = 0; j < width; j++) {
        run->state->dv[i * width + j] = now[j] - before[j];
        run->state->old[i * width + j] = before[j];
    }
}

/* ---- rows ---------------------------------------------------------------------------------- */

// The memory of a task: a tile, then rows of N each.
struct memory_of_rows {
    struct tile *tile;
    float *scores, *a, *da; // (ROWS, N); a, da: columns M, one after the other
};

static struct memory_of_rows place(const struct update *run, void *scratch) {
    const struct attention_shape *shape = run->attention.shape;
    const size_t n = run->state->n;
    struct memory_of_rows memory = {.tile = scratch};
    memory.scores =
        (float *)(void *)((unsigned char *)scratch + tile_bytes(shape->d, shape->relative));
    memory.a = memory.scores + ROWS * n;
    memory.da = memory.a + ROWS * n;
    attention_place_tile(memory.tile, shape);
    return memory;
}

static void multiply(const struct update *run, float *c, size_t c_stride, const void *const *a,
                     size_t rows, const unsigned char *panels, size_t n, size_t k,
                     bool accumulate) {
    const struct kernels *kernels = run->attention.kernels;
    kernels->product[FORMAT_F32](c, c_stride, a, rows, panels, kernels->panel * k * LANE_BYTES, n,
                                 k, accumulate, NULL);
}

// B's row: written whole where the query changed, else in the columns of changed keys.
static void write_scores(const struct update *run, struct memory_of_rows *memory, float *b,
                         size_t i, size_t head) {
    const size_t n = run->state->n, d = run->attention.shape->d;
    const void *const *q = &memory->tile->q_rows[i];
    if (!run->index || run->state->changed[memory->tile->rows[i]]) {
        multiply(run, b, n, q, 1, run->all + head * run->all_bytes, n, d, false);
        return;
    }
    multiply(run, memory->a, n, q, 1, run->new + head * run->part_bytes, run->n_changed, d, false);
    for (size_t j = 0; j < run->n_changed; j++) b[run->index[j]] = memory->a[j];
}

// softmax(B scale + relative positions) into memory->scores.
static void weigh(const struct update *run, struct memory_of_rows *memory, const float *b,
                  size_t i) {
    const struct attention_shape *shape = run->attention.shape;
    const struct relative_positions *relative = shape->relative;
    const size_t n = run->state->n;
    float *row = memory->scores + i * n;
    struct softmax_state state = {-INFINITY, 0.0f};
    float factor; // of nothing: there is one block
    if (relative) {
        const struct relative_row logits = attention_relative_row(relative, memory->tile, i);
        run->attention.kernels->outer_sum(row, logits.h, logits.w, relative->width, 0, n);
        for (size_t j = 0; j < n; j++) row[j] += b[j];
    } else {
        memcpy(row, b, n * sizeof *row);
    }
    run->attention.kernels->softmax[FORMAT_F32](row, 0, row, 0, 1, n, shape->scale, false, &state,
                                                &factor);
    attention_scale_row(row, n, 1.0f / state.sum);
}

// Columns M of A and how they differ from the kept ones, which they replace.
static void exchange_columns(const struct update *run, struct memory_of_rows *memory, float *kept,
                             size_t i) {
    const size_t n = run->state->n;
    const float *row = memory->scores + i * n;
    float *a = memory->a + i * n, *da = memory->da + i * n;
    for (size_t j = 0; j < run->n_changed; j++) {
        const size_t column = run->index[j];
        a[j] = row[column];
        da[j] = row[column] - kept[column];
        kept[column] = row[column];
    }
}

static void rows_task(void *argument, size_t task, size_t thread, void *scratch) {
    (void)thread;
    const struct update *run = argument;
    struct delta_attention *state = run->state;
    const struct attention_shape *shape = run->attention.shape;
    const size_t n = state->n, d = shape->d, width = shape->heads * d, tiles = ceil_div(n, ROWS);
    const size_t head = task / tiles, first = task % tiles * ROWS, rows = min_size(ROWS, n - first);
    struct memory_of_rows memory = place(run, scratch);
    for (size_t i = 0; i < rows; i++) {
        memory.tile->rows[i] = memory.tile->positions[i] = first + i;
        memory.tile->q_rows[i] = attention_row(run->attention.q, first + i, head * d);
    }
    attention_relative(&run->attention, memory.tile, rows);
    const void *a[ROWS], *da[ROWS];
    for (size_t i = 0; i < rows; i++) {
        float *b = state->b + (head * n + first + i) * n,
              *kept = state->a + (head * n + first + i) * n;
        write_scores(run, &memory, b, i, head);
        weigh(run, &memory, b, i);
        if (!run->index) memcpy(kept, memory.scores + i * n, n * sizeof *kept);
    }
    for (size_t i = 0; run->index && i < rows; i++)
        exchange_columns(run, &memory, state->a + (head * n + first + i) * n, i);
    for (size_t i = 0; i < rows; i++) {
        a[i] = (run->index ? memory.a : memory.scores) + i * n;
        da[i] = memory.da + i * n;
    }
    float *av = state->av + first * width + head * d;
    if (!run->index) {
        multiply(run, av, width, a, rows,
                 run->all + head * run->all_bytes + attention_key_bytes(&run->attention, n), d, n,
                 false);
        return;
    }
    const size_t keys = attention_key_bytes(&run->attention, run->n_changed);
    multiply(run, av, width, a, rows, run->new + head * run->part_bytes + keys, d, run->n_changed,
             true);
    multiply(run, av, width, da, rows, run->old + head * run->part_bytes + keys, d, run->n_changed,
             true);
}

/* ---- steps --------------------------------------------------------------------------------- */

static uint64_t position_macs(const struct attention_shape *shape, uint64_t n) {
    return n * attention_positions(shape) * shape->heads * shape->d;
}

void delta_attention_flush(struct exec *exec, struct delta_attention *state, struct rows qkv,
                           const struct attention_shape *shape) {
    struct update run = begin(exec, state, qkv, shape);
    exec_run(exec, shape->heads, pack_task, &run);
    exec_run(exec, shape->heads * ceil_div(state->n, ROWS), rows_task, &run);
    exec->macs += 2 * (uint64_t)state->n * state->n * shape->heads * shape->d +
                  position_macs(shape, state->n);
}

void delta_attention_update(struct exec *exec, struct delta_attention *state, struct rows qkv,
                            struct rows fresh, const uint32_t *index, size_t n_changed,
                            const struct attention_shape *shape) {
    const size_t width = shape->heads * shape->d;
    if (n_changed == 0) return;
    struct update run = begin(exec, state, qkv, shape);
    run.fresh = fresh;
    run.index = index;
    run.n_changed = n_changed;
    run.part_bytes = attention_head_bytes(&run.attention, n_changed);
    run.new = run.all + shape->heads *run.all_bytes;
    run.old = run.new + shape->heads *run.part_bytes;
    memset(state->changed, 0, state->n * sizeof *state->changed);
    for (size_t i = 0; i < n_changed; i++) state->changed[index[i]] = true;
    exec_run(exec, n_changed, keep_values_task, &run);
    ops_scatter(exec, qkv, index, fresh, n_changed, 3 * width * sizeof(float));
    exec_run(exec, shape->heads, pack_task, &run);
    exec_run(exec, shape->heads * ceil_div(state->n, ROWS), rows_task, &run);
    exec->macs +=
        (uint64_t)n_changed * (4 * state->n - n_changed) * width + position_macs(shape, state->n);
}
