#include "reduce/exact_attention.h"

#include <math.h>
#include <string.h>

#include "core/checked.h"
#include "ops/attention_tile.h"

static const float UNIT = 0x1p-24f, TOLERANCE = 2e-6f;
static const float UNIT_BF16 = 0x1p-9f, TOLERANCE_BF16 = 0x1p-8f;

struct update {
    struct attention attention; // q, k, v: the buffer's
    struct exact_attention *state;
    struct rows fresh;
    const uint32_t *index;
    size_t n_changed, n_others;
    unsigned char *all, *old, *new; // panels of all rows, of M before and after
    size_t all_bytes, part_bytes;   // of a head
    atomic_uint_fast64_t afresh;    // rows beyond M
    atomic_bool wild;               // a key or value of M, old or new, is not finite
};

bool exact_attention_panels(size_t *bytes, const struct kernels *kernels, enum format format,
                            size_t n, size_t heads, size_t d) {
    // All rows, and twice at most half of them: as three sequences of 2 n keys.
    size_t keys;
    return checked_multiply(&keys, n, 2) &&
           ops_attention_panels(bytes, kernels, format, keys, 3, heads, d);
}

static struct update begin(struct exec *exec, struct exact_attention *state, struct rows qkv,
                           const struct attention_shape *shape) {
    struct update run = {
        .attention = attention_of_qkv(exec, qkv, shape), .state = state, .all = state->panels};
    run.all_bytes = attention_head_bytes(&run.attention, state->n);
    return run;
}

/* ---- fresh rows ---------------------------------------------------------------------------- */

static void pack_all_task(void *argument, size_t head, size_t thread, void *scratch) {
    (void)thread;
    const struct update *run = argument;
    attention_pack(&run->attention, run->all + head * run->all_bytes, run->attention.k,
                   run->attention.v, NULL, run->state->n, head, scratch);
}

// Rows tile->rows[0..rows) of a head against all keys.
static void compute_rows(const struct update *run, struct tile *tile, size_t rows, size_t head) {
    const struct exact_attention *state = run->state;
    const size_t d = run->attention.shape->d;
    struct pass pass = {.rows = rows, .keys = run->all + head * run->all_bytes, .n = state->n};
    pass.values = pass.keys + attention_key_bytes(&run->attention, state->n);
    attention_run_tile(&run->attention, tile, &pass, head);
    for (size_t i = 0; i < rows; i++) {
        const size_t row = tile->rows[i], at = head * state->n + row;
        memcpy(state->o + at * d, tile->o + i * d, d * sizeof *tile->o);
        state->max[at] = tile->state[i].max;
        state->sum[at] = tile->state[i].sum;
        state->error[at] = 0.0f;
    }
}

// Places some rows, `index` of them or (NULL) consecutive ones, in a tile.
static size_t place_rows(struct tile *tile, const struct attention_shape *shape,
                         const uint32_t *index, size_t first, size_t n) {
    const size_t rows = min_size(TILE, n - first);
    attention_place_tile(tile, shape);
    for (size_t i = 0; i < rows; i++)
        tile->rows[i] = tile->positions[i] = index ? index[first + i] : first + i;
    return rows;
}

// Tiles of query rows that a head's n rows make.
static size_t tiles_of(size_t n) {
    return ceil_div(n, TILE);
}

static void flush_task(void *argument, size_t task, size_t thread, void *scratch) {
    (void)thread;
    const struct update *run = argument;
    const size_t tiles = tiles_of(run->state->n), head = task / tiles;
    const size_t rows =
        place_rows(scratch, run->attention.shape, NULL, task % tiles * TILE, run->state->n);
    compute_rows(run, scratch, rows, head);
}

// A tile of rows in M.
static void attend_changed(const struct update *run, size_t head, size_t tile, void *scratch) {
    const size_t rows =
        place_rows(scratch, run->attention.shape, run->index, tile * TILE, run->n_changed);
    compute_rows(run, scratch, rows, head);
}

// Multiply-adds of rows against all keys.
static uint64_t row_macs(const struct update *run, uint64_t rows) {
    const struct attention_shape *shape = run->attention.shape;
    return rows * (2 * run->state->n + attention_positions(shape)) * shape->d;
}

void exact_attention_flush(struct exec *exec, struct exact_attention *state, struct rows qkv,
                           const struct attention_shape *shape) {
    struct update run = begin(exec, state, qkv, shape);
    exec_run(exec, shape->heads, pack_all_task, &run);
    exec_run(exec, shape->heads * tiles_of(state->n), flush_task, &run);
    exec->macs += row_macs(&run, state->n * shape->heads);
}

/* ---- rows that lose some terms and get others ---------------------------------------------- */

// Whether one of the numbers, of a format with exponents, is infinite or NaN.
static bool is_wild(const void *numbers, size_t bytes, enum format format) {
    // An exponent of ones carries into the sign.
    if (format == FORMAT_F32) {
        const uint32_t *words = numbers;
        uint32_t carries = 0;
        for (size_t i = 0; i < bytes / sizeof *words; i++)
            carries |= (words[i] & 0x7f800000) + 0x800000;
        return carries >> 31;
    }
    const uint16_t *halves = numbers;
    uint16_t carries = 0;
    for (size_t i = 0; i < bytes / sizeof *halves; i++) carries |= (halves[i] & 0x7f80) + 0x80;
    return carries >> 15;
}

// What is not finite cannot be subtracted again. Encoded keys need no look: a scale that is not finite makes every
// score NaN, and rows with NaN are computed afresh.
static void look_for_wild(struct update *run, const unsigned char *panels) {
    const size_t keys = attention_key_bytes(&run->attention, run->n_changed);
    const size_t first = run->attention.shape->int8_scores ? keys : 0;
    if (is_wild(panels + first, run->part_bytes - first, run->attention.format))
        atomic_store(&run->wild, true);
}

// A head's columns of the fresh rows into the buffers.
static void store_fresh(const struct update *run, size_t head) {
    const struct attention *attention = &run->attention;
    const size_t d = attention->shape->d, width = attention->shape->heads * d;
    const struct rows to[] = {attention->q, attention->k, attention->v};
    for (size_t part = 0; part < 3; part++) {
        const struct rows from = rows_columns(run->fresh, part * width + head * d);
        for (size_t i = 0; i < run->n_changed; i++) {
            memcpy(rows_at(rows_columns(to[part], head * d), run->index[i]), rows_at(from, i),
                   d * format_bytes(from.format));
        }
    }
}

// A head's panels: M as it was and as it is, and all rows as they are.
static void pack_task(void *argument, size_t head, size_t thread, void *scratch) {
    struct update *run = argument;
    const size_t width = run->attention.shape->heads * run->attention.shape->d;
    unsigned char *old = run->old + head * run->part_bytes,
                  *new = run->new + head * run->part_bytes;
    attention_pack(&run->attention, old, run->attention.k, run->attention.v, run->index,
                   run->n_changed, head, scratch);
    attention_pack(&run->attention, new, rows_columns(run->fresh, width),
                   rows_columns(run->fresh, 2 * width), NULL, run->n_changed, head, scratch);
    look_for_wild(run, old);
    look_for_wild(run, new);
    store_fresh(run, head);
    pack_all_task(argument, head, thread, scratch);
}

// What a tile's rows have lost and got in a step.
struct turnover {
    float removed[TILE], added[TILE];
};

// The row's reference maximum has moved by the factor c.
static void rescale(struct update *run, struct tile *tile, struct turnover *turnover, size_t i,
                    size_t at, float c) {
    attention_scale_row(tile->o + i * run->attention.shape->d, run->attention.shape->d, c);
    tile->state[i].sum *= c;
    turnover->removed[i] *= c;
    turnover->added[i] *= c;
    run->state->error[at] *= c * c;
}

// Scores of the tile's rows with `some` keys of M from `first` on.
static void score(const struct update *run, struct tile *tile, size_t rows,
                  const unsigned char *keys, size_t first, size_t some) {
    const struct attention *attention = &run->attention;
    const struct kernels *kernels = attention->kernels;
    const struct relative_positions *relative = attention->shape->relative;
    for (size_t i = 0; relative && i < rows; i++) {
        const struct relative_row logits = attention_relative_row(relative, tile, i);
        kernels->outer_sum_at(tile->scores + i * BLOCK, logits.h, relative->height, logits.w,
                              relative->width, run->state->key_y + first, run->state->key_x + first,
                              some);
    }
    attention_score(attention, tile, rows, keys, first, some, relative != NULL);
}

// Takes the terms of `some` old keys from the tile's rows, or adds those of new ones.
static void exchange(struct update *run, struct tile *tile, struct turnover *turnover, size_t rows,
                     size_t head, const unsigned char *panels, size_t first, size_t some,
                     bool subtract) {
    const struct attention *attention = &run->attention;
    const struct kernels *kernels = attention->kernels;
    const enum format format = attention->format;
    const size_t d = attention->shape->d, n = run->n_changed;
    const unsigned char *values = panels + attention_key_bytes(attention, n);
    score(run, tile, rows, panels, first, some);
    for (size_t i = 0; i < rows; i++) {
        float *scores = tile->scores + i * BLOCK;
        void *weights = format == FORMAT_BF16 ? (void *)(tile->weights + i * BLOCK) : scores;
        struct softmax_state part = {tile->state[i].max, 0.0f};
        const float c = kernels->softmax_kept[format](weights, scores, some,
                                                      attention->shape->scale, subtract, &part);
        if (c != 1.0f) rescale(run, tile, turnover, i, head * run->state->n + tile->rows[i], c);
        tile->state[i].max = part.max;
        tile->state[i].sum += part.sum;
        if (subtract)
            turnover->removed[i] -= part.sum;
        else
            turnover->added[i] += part.sum;
        tile->p_rows[i] = weights;
    }
    kernels->product[format](tile->o, d, tile->p_rows, rows,
                             values + format_lanes(format, first) * kernels->panel * LANE_BYTES,
                             format_lanes(format, n) * kernels->panel * LANE_BYTES, d,
                             format_lanes(format, some), true, NULL);
}

static void load_rows(const struct update *run, struct tile *tile, size_t rows, size_t head) {
    const struct exact_attention *state = run->state;
    const size_t d = run->attention.shape->d;
    for (size_t i = 0; i < rows; i++) {
        const size_t row = tile->rows[i], at = head * state->n + row;
        tile->q_rows[i] = attention_row(run->attention.q, row, head * d);
        tile->state[i] = (struct softmax_state){state->max[at], state->sum[at]};
        memcpy(tile->o + i * d, state->o + at * d, d * sizeof *tile->o);
    }
}

static float squared(float x) {
    return x * x;
}

// Writes the rows back; returns how many must be computed afresh, moved to the tile's beginning.
static size_t store_rows(const struct update *run, struct tile *tile,
                         const struct turnover *turnover, size_t rows, size_t head) {
    const struct exact_attention *state = run->state;
    const size_t d = run->attention.shape->d;
    const bool rough = run->attention.format == FORMAT_BF16;
    const float tolerance = rough ? TOLERANCE_BF16 : TOLERANCE;
    size_t failed = 0;
    for (size_t i = 0; i < rows; i++) {
        const size_t row = tile->rows[i], at = head * state->n + row;
        const float l = tile->state[i].sum, removed = turnover->removed[i];
        state->error[at] += squared(UNIT * (l + 4.0f * removed + 4.0f * turnover->added[i])) +
                            (rough ? squared(UNIT_BF16 * removed) : 0.0f);
        if (!(l > 0.0f) || !(sqrtf(state->error[at]) <= tolerance * l)) {
            tile->rows[failed] = tile->positions[failed] = row;
            failed++;
            continue;
        }
        memcpy(state->o + at * d, tile->o + i * d, d * sizeof *tile->o);
        state->max[at] = tile->state[i].max;
        state->sum[at] = l;
    }
    return failed;
}

// A tile of the other rows, number `at` of theirs.
static void attend_others(struct update *run, size_t head, size_t at, struct tile *tile) {
    struct turnover turnover = {{0}, {0}};
    const size_t rows =
        place_rows(tile, run->attention.shape, run->state->others, at * TILE, run->n_others);
    load_rows(run, tile, rows, head);
    attention_relative(&run->attention, tile, rows);
    for (size_t first = 0; first < run->n_changed; first += BLOCK) {
        const size_t some = min_size(BLOCK, run->n_changed - first);
        exchange(run, tile, &turnover, rows, head, run->old + head * run->part_bytes, first, some,
                 true);
        exchange(run, tile, &turnover, rows, head, run->new + head * run->part_bytes, first, some,
                 false);
    }
    const size_t failed = store_rows(run, tile, &turnover, rows, head);
    if (failed == 0) return;
    compute_rows(run, tile, failed, head);
    atomic_fetch_add(&run->afresh, failed);
}

static void update_task(void *argument, size_t task, size_t thread, void *scratch) {
    (void)thread;
    struct update *run = argument;
    const size_t changed = tiles_of(run->n_changed), tiles = changed + tiles_of(run->n_others);
    const size_t head = task / tiles, tile = task % tiles;
    if (tile < changed)
        attend_changed(run, head, tile, scratch);
    else
        attend_others(run, head, tile - changed, scratch);
}

// The rows not in M, and where in the grid those in M are.
static size_t list_others(struct exact_attention *state, const uint32_t *index, size_t n_changed,
                          const struct relative_positions *relative) {
    size_t n_others = 0, at = 0;
    for (size_t i = 0; i < state->n; i++) {
        if (at < n_changed && index[at] == i)
            at++;
        else
            state->others[n_others++] = (uint32_t)i;
    }
    for (size_t i = 0; relative && i < n_changed; i++) {
        state->key_y[i] = (uint32_t)(index[i] / relative->width);
        state->key_x[i] = (uint32_t)(index[i] % relative->width);
    }
    return n_others;
}

uint64_t exact_attention_update(struct exec *exec, struct exact_attention *state, struct rows qkv,
                                struct rows fresh, const uint32_t *index, size_t n_changed,
                                const struct attention_shape *shape) {
    const size_t width = shape->heads * shape->d;
    if (n_changed == 0) return 0;
    if (n_changed >= state->n - n_changed) {
        ops_scatter(exec, qkv, index, fresh, n_changed, 3 * width * format_bytes(qkv.format));
        exact_attention_flush(exec, state, qkv, shape);
        return 0;
    }
    struct update run = begin(exec, state, qkv, shape);
    run.fresh = fresh;
    run.index = index;
    run.n_changed = n_changed;
    run.part_bytes = attention_head_bytes(&run.attention, n_changed);
    run.old = run.all + shape->heads * run.all_bytes;
    run.new = run.old + shape->heads *run.part_bytes;
    run.n_others = list_others(state, index, n_changed, shape->relative);
    exec_run(exec, shape->heads, pack_task, &run);
    if (atomic_load(&run.wild)) {
        exact_attention_flush(exec, state, qkv, shape);
        return run.n_others * shape->heads;
    }
    exec_run(exec, shape->heads * (tiles_of(n_changed) + tiles_of(run.n_others)), update_task,
             &run);
    const uint64_t afresh = atomic_load(&run.afresh);
    exec->macs += row_macs(&run, n_changed * shape->heads + afresh) +
                  (4 * n_changed + attention_positions(shape)) * run.n_others * width;
    return afresh;
}

void exact_attention_read(const struct exact_attention *state, size_t i, float *row, size_t heads,
                          size_t d) {
    for (size_t head = 0; head < heads; head++, row += d) {
        const size_t at = head * state->n + i;
        const float *o = state->o + at * d, factor = 1.0f / state->sum[at];
        for (size_t j = 0; j < d; j++) row[j] = o[j] * factor;
    }
}
