// Attention: pack every head's keys and values into panels, then let tiles of queries pass over them.
//
//              keys, block by block ->
//            +--------+--------+--------+
//     tile   | scores |        |        |    S = Q K^T             (tile rows x block)
//     of  Q  |        |        |        |    P = exp(scale S - m)  m, l: maximum and sum so far
//            +--------+--------+--------+    O = c O + P V         c: exp(old m - new m)
//
// and at the end O / l. Scores of one tile and block live in the thread's scratch memory.
#include <math.h>

#include "core/checked.h"
#include "ops/ops.h"

enum { TILE = 48, BLOCK = 256 }; // query rows of a task; keys of a block, a multiple of every panel

struct attention {
    const struct kernels *kernels;
    const struct attention_shape *shape;
    enum format format; // of q, k, v and the products
    struct rows y, q, k, v;
    unsigned char *panels;
};

static const unsigned char *row_at(struct rows rows, size_t i, size_t column) {
    return (const unsigned char *)rows.data + i * rows.bytes +
           column * (rows.format == FORMAT_BF16 ? 2 : 4);
}

/* ---- panels -------------------------------------------------------------------------------- */

// Bytes of one head's K^T panels and V panels for n keys.
static size_t key_panel_bytes(const struct attention *run, size_t n) {
    const size_t panel = run->kernels->panel;
    return ceil_div(n, panel) * panel * format_lanes(run->format, run->shape->d) * LANE_BYTES;
}

static size_t value_panel_bytes(const struct attention *run, size_t n) {
    const size_t panel = run->kernels->panel;
    return ceil_div(run->shape->d, panel) * panel * format_lanes(run->format, n) * LANE_BYTES;
}

bool ops_attention_panels(size_t *bytes, const struct kernels *kernels, enum format format,
                          size_t n_keys, size_t n_sequences, size_t heads, size_t d) {
    // Each sequence rounds its keys up to whole panels, and its values to whole lanes.
    size_t keys, key_lanes, columns, value_lanes, lanes;
    return checked_multiply(&keys, n_sequences, kernels->panel) &&
           checked_add(&keys, keys, n_keys) &&
           checked_multiply(&key_lanes, keys, format_lanes(format, d)) &&
           checked_round_up(&columns, d, kernels->panel) &&
           checked_add(&value_lanes, format_lanes(format, n_keys), n_sequences) &&
           checked_multiply(&value_lanes, value_lanes, columns) &&
           checked_add(&lanes, key_lanes, value_lanes) && checked_multiply(&lanes, lanes, heads) &&
           checked_multiply(bytes, lanes, LANE_BYTES);
}

// Where the panels of (sequence, head) start. Those of earlier sequences come first; an upper bound of
// their size (a panel more keys and a lane more values each) keeps the offset a formula.
static unsigned char *head_panels(const struct attention *run, size_t sequence, size_t head) {
    const struct attention_shape *shape = run->shape;
    const size_t panel = run->kernels->panel, first = shape->k_starts[sequence];
    const size_t n = shape->k_starts[sequence + 1] - first;
    const size_t key_lanes = (first + sequence * panel) * format_lanes(run->format, shape->d);
    const size_t value_lanes =
        (format_lanes(run->format, first) + sequence) * ceil_div(shape->d, panel) * panel;
    const size_t one = key_panel_bytes(run, n) + value_panel_bytes(run, n);
    return run->panels + (key_lanes + value_lanes) * shape->heads * LANE_BYTES + one * head;
}

static void pack_task(void *argument, size_t task, size_t thread, void *scratch) {
    (void)thread;
    (void)scratch;
    const struct attention *run = argument;
    const struct attention_shape *shape = run->shape;
    const struct kernels *kernels = run->kernels;
    const size_t sequence = task / shape->heads, head = task % shape->heads, d = shape->d;
    const size_t first = shape->k_starts[sequence], n = shape->k_starts[sequence + 1] - first;
    unsigned char *keys = head_panels(run, sequence, head),
                  *values = keys + key_panel_bytes(run, n);
    const size_t v_stride = run->v.bytes / (run->format == FORMAT_BF16 ? 2 : 4);
    kernels->pack_rows(keys, row_at(run->k, first, head * d), run->k.bytes, n,
                       format_lanes(run->format, d));
    kernels->pack_columns[run->format](values, row_at(run->v, first, head * d), v_stride, n, d);
}

/* ---- tiles --------------------------------------------------------------------------------- */

// A tile's memory in a thread's scratch.
struct tile {
    const void *q_rows[TILE], *p_rows[TILE];
    struct softmax_state state[TILE];
    float scores[TILE * BLOCK];
    uint16_t weights[TILE * BLOCK]; // P in bf16; in f32 it takes the place of the scores
    float o[];                      // (TILE, d)
};

size_t ops_attention_scratch_bytes(size_t d) {
    return sizeof(struct tile) + TILE * d * sizeof(float);
}

static void scale_row(float *row, size_t n, float factor) {
    for (size_t i = 0; i < n; i++) row[i] *= factor;
}

// One block of `some` keys for the tile's rows: scores, weights, values.
static void attend_block(const struct attention *run, struct tile *tile, size_t rows,
                         const unsigned char *keys, const unsigned char *values, size_t n,
                         size_t first, size_t some) {
    const struct kernels *kernels = run->kernels;
    const enum format format = run->format;
    const size_t d = run->shape->d, lanes = format_lanes(format, d), panel = kernels->panel;
    kernels->product[format](tile->scores, BLOCK, tile->q_rows, rows,
                             keys + first * lanes * LANE_BYTES, panel * lanes * LANE_BYTES, some,
                             lanes, false, NULL);
    for (size_t i = 0; i < rows; i++) {
        float *scores = tile->scores + i * BLOCK;
        void *weights = format == FORMAT_BF16 ? (void *)(tile->weights + i * BLOCK) : scores;
        const float c =
            kernels->softmax[format](weights, scores, some, run->shape->scale, &tile->state[i]);
        if (first > 0 && c != 1.0f) scale_row(tile->o + i * d, d, c);
        tile->p_rows[i] = weights;
    }
    kernels->product[format](tile->o, d, tile->p_rows, rows,
                             values + format_lanes(format, first) * panel * LANE_BYTES,
                             format_lanes(format, n) * panel * LANE_BYTES, d,
                             format_lanes(format, some), first > 0, NULL);
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
    for (size_t i = 0; i < rows; i++) {
        tile->q_rows[i] = row_at(run->q, first + i, head * d);
        tile->state[i] = (struct softmax_state){.max = -INFINITY, .sum = 0.0f};
    }
    const unsigned char *keys = head_panels(run, sequence, head),
                        *values = keys + key_panel_bytes(run, n);
    for (size_t key = 0; key < n; key += BLOCK) {
        attend_block(run, tile, rows, keys, values, n, key, min_size(BLOCK, n - key));
    }
    for (size_t i = 0; i < rows; i++) {
        scale_row(tile->o + i * d, d, 1.0f / tile->state[i].sum);
        unsigned char *y = (unsigned char *)run->y.data + (first + i) * run->y.bytes;
        run->kernels->encode[run->y.format](y + head * d * (run->y.format == FORMAT_BF16 ? 2 : 4),
                                            tile->o + i * d, d);
    }
}

void ops_attention(struct exec *exec, struct rows y, struct rows q, struct rows k, struct rows v,
                   const struct attention_shape *shape, void *panels) {
    struct attention run = {.kernels = exec->kernels,
                            .shape = shape,
                            .format = q.format,
                            .y = y,
                            .q = q,
                            .k = k,
                            .v = v,
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
