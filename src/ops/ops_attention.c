// Attention: pack every head's keys and values into panels, then let tiles of queries pass over
// them.
//
//              keys, block by block ->
//            +--------+--------+--------+
//     tile   | scores |        |        |    S = scale Q K^T   (tile rows x block)
//     of  Q  |        |        |        |    P = exp(S - m)    m, l: maximum and sum so far
//            +--------+--------+--------+    O = c O + P V     c: exp(old m - new m)
//
// and at the end O / l. Scores of one tile and block live in the thread's scratch memory.
#include <math.h>
#include <string.h>

#include "core/checked.h"
#include "ops/ops.h"

enum { TILE = 48, BLOCK = 256 }; // query rows of a task; keys of a block, a multiple of every panel

struct attention {
    const struct kernels *kernels;
    const struct attention_shape *shape;
    float *y;
    const float *q, *k, *v;
    size_t y_stride, q_stride, k_stride, v_stride;
    float *panels;
};

/* ---- panels -------------------------------------------------------------------------------- */

// Floats of one head's K^T panels and V panels for n keys.
static size_t key_panel_floats(const struct kernels *kernels, size_t n, size_t d) {
    return ceil_div(n, kernels->panel) * kernels->panel * d;
}

static size_t value_panel_floats(const struct kernels *kernels, size_t n, size_t d) {
    return ceil_div(d, kernels->panel) * kernels->panel * n;
}

bool ops_attention_panels(size_t *floats, const struct kernels *kernels, size_t n_keys,
                          size_t n_sequences, size_t heads, size_t d) {
    // Each sequence rounds its keys up to whole panels: at most panel - 1 more than its own.
    size_t keys, key_floats, value_floats, columns, total;
    return checked_multiply(&keys, n_sequences, kernels->panel) &&
           checked_add(&keys, keys, n_keys) && checked_multiply(&key_floats, keys, d) &&
           checked_round_up(&columns, d, kernels->panel) &&
           checked_multiply(&value_floats, n_keys, columns) &&
           checked_add(&total, key_floats, value_floats) && checked_multiply(floats, total, heads);
}

// Where the panels of (sequence, head) start: those of earlier sequences come first. An upper bound
// of their size (panel more keys a sequence) keeps the offset a formula.
static float *head_panels(const struct attention *run, size_t sequence, size_t head) {
    const struct attention_shape *shape = run->shape;
    const size_t panel = run->kernels->panel, d = shape->d;
    const size_t first = shape->k_starts[sequence];
    const size_t n = shape->k_starts[sequence + 1] - first;
    const size_t before =
        (first + sequence * panel) * d + value_panel_floats(run->kernels, first, d);
    const size_t one =
        key_panel_floats(run->kernels, n, d) + value_panel_floats(run->kernels, n, d);
    return run->panels + before * shape->heads + one * head;
}

static void pack_task(void *argument, size_t task, size_t thread, void *scratch) {
    (void)thread;
    (void)scratch;
    const struct attention *run = argument;
    const struct attention_shape *shape = run->shape;
    const size_t sequence = task / shape->heads, head = task % shape->heads, d = shape->d;
    const size_t first = shape->k_starts[sequence], n = shape->k_starts[sequence + 1] - first;
    float *keys = head_panels(run, sequence, head);
    float *values = keys + key_panel_floats(run->kernels, n, d);
    run->kernels->pack_rows_f32(keys, run->k + first * run->k_stride + head * d, run->k_stride, n,
                                d);
    run->kernels->pack_columns_f32(values, run->v + first * run->v_stride + head * d, run->v_stride,
                                   n, d);
}

/* ---- tiles --------------------------------------------------------------------------------- */

// The tile's memory in a thread's scratch.
struct tile {
    const float *q_rows[TILE], *p_rows[TILE];
    struct softmax_state state[TILE];
    float *scores; // (TILE, BLOCK)
    float *o;      // (TILE, d)
};

static size_t tile_header_bytes(void) {
    return (sizeof(struct tile) + 63) / 64 * 64;
}

size_t ops_attention_scratch_bytes(const struct kernels *kernels, size_t d) {
    (void)kernels;
    return tile_header_bytes() + TILE * (BLOCK + d) * sizeof(float);
}

static void scale_row(float *row, size_t n, float factor) {
    for (size_t i = 0; i < n; i++) row[i] *= factor;
}

// All blocks of n keys for `rows` queries whose pointers are in tile->q_rows; leaves O / l in
// tile->o.
static void attend(const struct kernels *kernels, struct tile *tile, size_t rows, const float *keys,
                   const float *values, size_t n, size_t d, float scale) {
    for (size_t i = 0; i < rows; i++) {
        tile->state[i] = (struct softmax_state){.max = -INFINITY, .sum = 0.0f};
        tile->p_rows[i] = tile->scores + i * BLOCK;
    }
    for (size_t first = 0; first < n; first += BLOCK) {
        const size_t some = min_size(BLOCK, n - first);
        kernels->product_f32(tile->scores, BLOCK, tile->q_rows, rows, keys + first * d,
                             kernels->panel * d, some, d, false);
        for (size_t i = 0; i < rows; i++) {
            const float c =
                kernels->softmax_f32(tile->scores + i * BLOCK, some, scale, &tile->state[i]);
            if (first > 0 && c != 1.0f) scale_row(tile->o + i * d, d, c);
        }
        kernels->product_f32(tile->o, d, tile->p_rows, rows, values + first * kernels->panel,
                             n * kernels->panel, d, some, first > 0);
    }
    for (size_t i = 0; i < rows; i++) scale_row(tile->o + i * d, d, 1.0f / tile->state[i].sum);
}

static size_t tiles_of(const struct attention_shape *shape, size_t sequence) {
    return ceil_div(shape->q_starts[sequence + 1] - shape->q_starts[sequence], TILE);
}

// Tasks go through sequences, then heads, then tiles, so that neighbours share a head's panels.
static void tile_task(void *argument, size_t task, size_t thread, void *scratch) {
    (void)thread;
    const struct attention *run = argument;
    const struct attention_shape *shape = run->shape;
    size_t sequence = 0;
    while (task >= tiles_of(shape, sequence) * shape->heads) {
        task -= tiles_of(shape, sequence) * shape->heads;
        sequence++;
    }
    const size_t d = shape->d, head = task / tiles_of(shape, sequence);
    const size_t first = shape->q_starts[sequence] + task % tiles_of(shape, sequence) * TILE;
    const size_t rows = min_size(TILE, shape->q_starts[sequence + 1] - first);
    const size_t n = shape->k_starts[sequence + 1] - shape->k_starts[sequence];

    struct tile *tile = scratch;
    tile->scores = (float *)(void *)((unsigned char *)scratch + tile_header_bytes());
    tile->o = tile->scores + TILE * BLOCK;
    for (size_t i = 0; i < rows; i++)
        tile->q_rows[i] = run->q + (first + i) * run->q_stride + head * d;
    const float *keys = head_panels(run, sequence, head);
    const float *values = keys + key_panel_floats(run->kernels, n, d);
    attend(run->kernels, tile, rows, keys, values, n, d, shape->scale);
    for (size_t i = 0; i < rows; i++) {
        memcpy(run->y + (first + i) * run->y_stride + head * d, tile->o + i * d,
               d * sizeof *tile->o);
    }
}

void ops_attention(struct exec *exec, float *y, size_t y_stride, const float *q, size_t q_stride,
                   const float *k, size_t k_stride, const float *v, size_t v_stride,
                   const struct attention_shape *shape, float *panels) {
    struct attention run = {.kernels = exec->kernels,
                            .shape = shape,
                            .y = y,
                            .q = q,
                            .k = k,
                            .v = v,
                            .y_stride = y_stride,
                            .q_stride = q_stride,
                            .k_stride = k_stride,
                            .v_stride = v_stride,
                            .panels = panels};
    size_t tiles = 0;
    for (size_t b = 0; b < shape->n_sequences; b++) {
        const uint64_t n_q = shape->q_starts[b + 1] - shape->q_starts[b];
        const uint64_t n_k = shape->k_starts[b + 1] - shape->k_starts[b];
        tiles += tiles_of(shape, b);
        exec->macs += 2 * n_q * n_k * shape->heads * shape->d;
    }
    exec_run(exec, shape->n_sequences * shape->heads, pack_task, &run);
    exec_run(exec, tiles * shape->heads, tile_task, &run);
}
