#include "reduce/exact_attention.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "core/checked.h"
#include "ops/attention_tile.h"

static const float UNIT = 0x1p-24f, TOLERANCE = 2e-6f;
static const float UNIT_BF16 = 0x1p-9f, TOLERANCE_BF16 = 0x1p-8f;

struct update {
    struct attention attention; // of what is kept
    struct exact_attention *state;
    struct rows fresh;
    const uint32_t *index; // NULL: fresh rows are all rows
    size_t n_changed;
    size_t n_attending, n_others; // rows that attend, in M and not
    size_t turned_bytes;          // of a head's panels of M
    atomic_uint_fast64_t afresh;  // rows beyond M
};

// A head: what is kept of all rows, and the panels of M as it is, then as it was.
struct head {
    size_t number;
    unsigned char *kept, *turned;
};

// Panels of M, twice at most half of the rows, lie where the head's do, or, where whole heads are dealt, where the thread's last ones lay.
static struct head head_at(const struct update *run, size_t number, size_t place) {
    unsigned char *turned = run->state->panels;
    return (struct head){number, attention_kept_head(&run->attention, 0, number),
                         turned + place * run->turned_bytes};
}

static struct update begin(struct exec *exec, struct exact_attention *state, struct rows fresh,
                           const uint32_t *index, size_t n_changed,
                           const struct attention_shape *shape) {
    return (struct update){.attention = attention_of_kept(exec, state->kept, fresh.format, shape),
                           .state = state,
                           .fresh = fresh,
                           .index = index,
                           .n_changed = n_changed};
}

/* ---- fresh rows ---------------------------------------------------------------------------- */

// Fresh rows from number `first` on, as many as are moved at a time, and where they belong; returns their number.
static size_t list_rows(const struct update *run, struct kept_row *rows, size_t first) {
    const size_t n = min_size(KEPT_ROWS, run->n_changed - first);
    for (size_t i = first; i < first + n; i++)
        rows[i - first] = (struct kept_row){i, run->index ? run->index[i] : i};
    return n;
}

static void put_task(void *argument, size_t number, size_t thread, void *scratch) {
    (void)thread;
    (void)scratch;
    const struct update *run = argument;
    const struct head head = head_at(run, number, number);
    struct kept_row rows[KEPT_ROWS];
    for (size_t first = 0; first < run->n_changed; first += KEPT_ROWS) {
        const size_t n = list_rows(run, rows, first);
        attention_put(&run->attention, head.kept, run->state->n, run->fresh, rows, n, number);
    }
}

// Where row `row` of a head is kept.
static size_t place_of(const struct exact_attention *state, size_t head, size_t row) {
    return head * state->rows + row;
}

// Rows tile->rows[0..rows) of a head against all keys.
static void compute_rows(const struct update *run, const struct head *head, struct tile *tile,
                         size_t rows, struct soon *soon) {
    const struct exact_attention *state = run->state;
    const size_t d = run->attention.shape->d;
    struct pass pass = attention_kept_pass(&run->attention, head->kept, state->n);
    pass.rows = rows;
    pass.soon = soon;
    attention_run_tile(&run->attention, tile, &pass, head->number);
    for (size_t i = 0; i < rows; i++) {
        const size_t at = place_of(state, head->number, tile->rows[i]);
        memcpy(state->o + at * d, tile->o + i * d, d * sizeof *tile->o);
        state->max[at] = tile->state[i].max;
        state->sum[at] = tile->state[i].sum;
        state->error[at] = 0.0f;
    }
}

// Places the rows of tile `number`, `index` of them or (NULL) consecutive ones.
static size_t place_rows(struct tile *tile, const struct attention *attention,
                         const uint32_t *index, size_t number, size_t n) {
    const size_t most = attention_query_rows(attention), first = number * most,
                 rows = min_size(most, n - first);
    attention_place_tile(tile, attention->shape);
    for (size_t i = 0; i < rows; i++)
        tile->rows[i] = tile->positions[i] = index ? index[first + i] : first + i;
    return rows;
}

// Tiles of query rows that a head's n rows make.
static size_t tiles_of(const struct update *run, size_t n) {
    return ceil_div(n, attention_query_rows(&run->attention));
}

static void compute_task(void *argument, size_t task, size_t thread, void *scratch) {
    (void)thread;
    const struct update *run = argument;
    const size_t tiles = tiles_of(run, run->state->rows);
    const struct head head = head_at(run, task / tiles, task / tiles);
    const size_t rows = place_rows(scratch, &run->attention, NULL, task % tiles, run->state->rows);
    compute_rows(run, &head, scratch, rows, NULL);
}

// A tile of rows in M.
static void attend_changed(const struct update *run, const struct head *head, size_t tile,
                           struct soon *soon, void *scratch) {
    const size_t rows = place_rows(scratch, &run->attention, run->index, tile, run->n_attending);
    compute_rows(run, head, scratch, rows, soon);
}

// Multiply-adds of rows against all keys.
static uint64_t row_macs(const struct update *run, uint64_t rows) {
    const struct attention_shape *shape = run->attention.shape;
    return rows * (2 * run->state->n + attention_positions(shape)) * shape->d;
}

// Every row, whichever are fresh.
static void compute_all(struct exec *exec, struct update *run) {
    const size_t rows = run->state->rows, heads = run->attention.shape->heads;
    exec_run(exec, heads, put_task, run);
    exec_run(exec, heads * tiles_of(run, rows), compute_task, run);
    exec->macs += row_macs(run, rows * heads);
}

void exact_attention_flush(struct exec *exec, struct exact_attention *state, struct rows qkv,
                           const struct attention_shape *shape) {
    struct update run = begin(exec, state, qkv, NULL, state->n, shape);
    compute_all(exec, &run);
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
static bool is_turned_wild(const struct update *run, const unsigned char *turned) {
    const size_t keys = attention_key_bytes(&run->attention, 2 * run->n_changed);
    const size_t first = run->attention.shape->int8_scores ? keys : 0;
    return is_wild(turned + first, run->turned_bytes - first, run->attention.format);
}

// A head's columns of the fresh rows take their places, and what stood there goes behind the fresh rows.
static void turn_over(const struct update *run, const struct head *head) {
    const struct attention *attention = &run->attention;
    const struct rows old = rows_from(run->fresh, run->n_changed);
    struct kept_row rows[KEPT_ROWS];
    for (size_t first = 0; first < run->n_changed; first += KEPT_ROWS) {
        const size_t n = list_rows(run, rows, first);
        attention_get(attention, head->kept, run->state->n, old, rows, n, head->number);
        attention_put(attention, head->kept, run->state->n, run->fresh, rows, n, head->number);
    }
}

static void turn_head(const struct update *run, const struct head *head, void *scratch) {
    const size_t width = run->attention.shape->heads * run->attention.shape->d;
    turn_over(run, head);
    attention_pack(&run->attention, head->turned, rows_columns(run->fresh, width),
                   rows_columns(run->fresh, 2 * width), NULL, 2 * run->n_changed, head->number,
                   scratch);
    run->state->wild[head->number] = is_turned_wild(run, head->turned);
}

// What a tile's rows have lost and got in a step.
struct turnover {
    float removed[TILE], added[TILE];
};

// The row's reference maximum has moved by the factor c. New keys come first: nothing is removed yet.
static void rescale(struct update *run, struct tile *tile, struct turnover *turnover, size_t i,
                    size_t at, float c) {
    attention_scale_row(tile->o + i * run->attention.shape->d, run->attention.shape->d, c);
    tile->state[i].sum *= c;
    turnover->added[i] *= c;
    run->state->error[at] *= c * c;
}

// Scores of the tile's rows with turned keys [first, first + some).
static void score(const struct update *run, struct tile *tile, size_t rows,
                  const unsigned char *keys, size_t first, size_t some, struct soon *soon) {
    const struct attention *attention = &run->attention;
    const struct kernels *kernels = attention->kernels;
    const struct relative_positions *relative = attention->shape->relative;
    for (size_t i = 0; relative && i < rows; i++) {
        const struct relative_row logits = attention_relative_row(relative, tile, i);
        kernels->outer_sum_at(tile->scores + i * BLOCK, logits.h, relative->height, logits.w,
                              relative->width, run->state->key_y + first, run->state->key_x + first,
                              some);
    }
    attention_score(attention, tile, rows, keys, first, some, relative != NULL, soon);
}

// Weights of the tile's rows from their scores in columns [first, first + some): of new keys, or, `subtract`, of old
// ones, which m covered when they were added: it stays.
static void weigh(struct update *run, struct tile *tile, struct turnover *turnover, size_t rows,
                  size_t head, size_t first, size_t some, bool subtract) {
    const struct attention *attention = &run->attention;
    const enum format format = attention->format;
    const size_t bytes = BLOCK * (format == FORMAT_BF16 ? sizeof *tile->weights : sizeof(float));
    unsigned char *weights = format == FORMAT_BF16 ? (void *)tile->weights : (void *)tile->scores;
    struct softmax_state parts[TILE];
    if (some == 0) return;
    for (size_t i = 0; i < rows; i++) {
        tile->p_rows[i] = weights + i * bytes;
        parts[i] = (struct softmax_state){tile->state[i].max, 0.0f};
    }
    attention->kernels->softmax[format](weights + first * format_bytes(format), bytes,
                                        tile->scores + first, BLOCK, rows, some,
                                        attention->shape->scale, subtract, parts, tile->factors);
    for (size_t i = 0; i < rows; i++) {
        const float c = tile->factors[i];
        if (c != 1.0f)
            rescale(run, tile, turnover, i, place_of(run->state, head, tile->rows[i]), c);
        tile->state[i] = (struct softmax_state){parts[i].max, tile->state[i].sum + parts[i].sum};
        *(subtract ? &turnover->removed[i] : &turnover->added[i]) += fabsf(parts[i].sum);
    }
}

// Adds the terms of new keys to the tile's rows and takes those of old ones, turned keys [first, first + some).
static void exchange(struct update *run, const struct head *head, struct tile *tile,
                     struct turnover *turnover, size_t rows, size_t first, size_t some,
                     struct soon *soon) {
    const struct attention *attention = &run->attention;
    const struct kernels *kernels = attention->kernels;
    const enum format format = attention->format;
    const size_t d = attention->shape->d, n = 2 * run->n_changed,
                 lanes = format_lanes(format, some);
    const size_t left = run->n_changed - min_size(first, run->n_changed),
                 added = min_size(some, left);
    const unsigned char *keys = head->turned, *values = keys + attention_key_bytes(attention, n);
    struct upcoming upcoming;
    score(run, tile, rows, keys, first, some, soon);
    weigh(run, tile, turnover, rows, head->number, 0, added, false);
    weigh(run, tile, turnover, rows, head->number, added, some - added, true);
    kernels->product[format](tile->o, d, tile->p_rows, rows,
                             values + format_lanes(format, first) * kernels->panel * LANE_BYTES,
                             format_lanes(format, n) * kernels->panel * LANE_BYTES, d, lanes, true,
                             attention_fetch_soon(attention, soon, lanes, &upcoming));
}

// The tile's queries, and their logits by position while o is on its way from memory.
static void load_rows(const struct update *run, const struct head *head, struct tile *tile,
                      size_t rows) {
    const struct exact_attention *state = run->state;
    const size_t d = run->attention.shape->d;
    const unsigned char *queries =
        attention_kept_pass(&run->attention, head->kept, state->n).queries;
    for (size_t i = 0; i < rows; i++) {
        const size_t at = place_of(state, head->number, tile->rows[i]);
        attention_take_query(&run->attention, tile, i, head->number, queries);
        tile->state[i] = (struct softmax_state){state->max[at], state->sum[at]};
        attention_fetch_to_write(state->o + at * d, d * sizeof *state->o);
    }
    attention_relative(&run->attention, tile, rows);
    for (size_t i = 0; i < rows; i++) {
        const size_t at = place_of(state, head->number, tile->rows[i]);
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
        const size_t row = tile->rows[i], at = place_of(state, head, row);
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
static void attend_others(struct update *run, const struct head *head, size_t at, struct soon *soon,
                          struct tile *tile) {
    struct turnover turnover = {{0}, {0}};
    const size_t rows = place_rows(tile, &run->attention, run->state->others, at, run->n_others);
    size_t failed = rows;
    if (!run->state->wild[head->number]) {
        load_rows(run, head, tile, rows);
        for (size_t first = 0; first < 2 * run->n_changed; first += BLOCK)
            exchange(run, head, tile, &turnover, rows, first,
                     min_size(BLOCK, 2 * run->n_changed - first), soon);
        failed = store_rows(run, tile, &turnover, rows, head->number);
    }
    if (failed == 0) return;
    compute_rows(run, head, tile, failed, soon);
    atomic_fetch_add(&run->afresh, failed);
}

/* ---- tasks --------------------------------------------------------------------------------- */

static void turn_task(void *argument, size_t number, size_t thread, void *scratch) {
    (void)thread;
    const struct update *run = argument;
    const struct head head = head_at(run, number, number);
    turn_head(run, &head, scratch);
}

static size_t all_tiles_of(const struct update *run) {
    return tiles_of(run, run->n_attending) + tiles_of(run, run->n_others);
}

// Tile number `at` of a head's, those of changed rows first.
static void attend_tile(struct update *run, const struct head *head, size_t at, struct soon *soon,
                        void *scratch) {
    const size_t changed = tiles_of(run, run->n_attending);
    if (at < changed)
        attend_changed(run, head, at, soon, scratch);
    else
        attend_others(run, head, at - changed, soon, scratch);
}

static void tile_task(void *argument, size_t task, size_t thread, void *scratch) {
    (void)thread;
    struct update *run = argument;
    const size_t tiles = all_tiles_of(run);
    const struct head head = head_at(run, task / tiles, task / tiles);
    attend_tile(run, &head, task % tiles, NULL, scratch);
}

// What a head's tiles read: what is kept, and o.
static struct soon all_of(const struct update *run, size_t number) {
    const struct exact_attention *state = run->state;
    const size_t o_bytes = state->rows * run->attention.shape->d * sizeof *state->o;
    const unsigned char *kept = attention_kept_head(&run->attention, 0, number),
                        *o = (const unsigned char *)state->o + number * o_bytes;
    return (struct soon){
        {{kept, kept + attention_kept_bytes(&run->attention, state->n)}, {o, o + o_bytes}}};
}

// A thread's heads, one after the other, so that it fetches the right one ahead.
static void heads_task(void *argument, size_t task, size_t thread, void *scratch) {
    struct update *run = argument;
    const size_t threads = pool_threads(run->attention.exec->pool),
                 heads = run->attention.shape->heads, tiles = all_tiles_of(run);
    const size_t end = (task + 1) * heads / threads;
    for (size_t number = task * heads / threads; number < end; number++) {
        const struct head head = head_at(run, number, thread);
        struct soon soon = {0};
        if (number + 1 < end) soon = all_of(run, number + 1);
        turn_head(run, &head, scratch);
        for (size_t i = 0; i < tiles; i++) attend_tile(run, &head, i, &soon, scratch);
    }
}

// So many and more are dealt whole, and what is packed of M stays in their thread's caches. A step's heads are shorter than a
// dense run's (ops_attention.c): the last one to finish is not waited for long even where they are few.
enum { HEADS_A_THREAD = 4 };

static void run_update(struct exec *exec, struct update *run) {
    const size_t heads = run->attention.shape->heads;
    if (heads >= HEADS_A_THREAD * pool_threads(exec->pool)) {
        exec_run(exec, pool_threads(exec->pool), heads_task, run);
        return;
    }
    exec_run(exec, heads, turn_task, run);
    exec_run(exec, heads * all_tiles_of(run), tile_task, run);
}

// The rows that attend, in M and not, and where in the grid those in M are.
static void deal_rows(struct update *run, const struct relative_positions *relative) {
    struct exact_attention *state = run->state;
    const uint32_t *index = run->index;
    const size_t n_changed = run->n_changed;
    size_t at = 0;
    for (size_t i = 0; i < state->rows; i++) {
        if (at < n_changed && index[at] == i)
            at++;
        else
            state->others[run->n_others++] = (uint32_t)i;
    }
    run->n_attending = at;
    for (size_t i = 0; relative && i < n_changed; i++) {
        state->key_y[i] = state->key_y[n_changed + i] = (uint32_t)(index[i] / relative->width);
        state->key_x[i] = state->key_x[n_changed + i] = (uint32_t)(index[i] % relative->width);
    }
}

uint64_t exact_attention_update(struct exec *exec, struct exact_attention *state, struct rows fresh,
                                const uint32_t *index, size_t n_changed,
                                const struct attention_shape *shape) {
    const size_t width = shape->heads * shape->d;
    struct update run = begin(exec, state, fresh, index, n_changed, shape);
    if (n_changed == 0) return 0;
    if (n_changed >= state->n - n_changed) {
        compute_all(exec, &run);
        return 0;
    }
    run.turned_bytes = attention_head_bytes(&run.attention, 2 * n_changed);
    deal_rows(&run, shape->relative);
    run_update(exec, &run);
    const uint64_t afresh = atomic_load(&run.afresh);
    exec->macs += row_macs(&run, run.n_attending * shape->heads + afresh) +
                  (4 * n_changed + attention_positions(shape)) * run.n_others * width;
    return afresh;
}

void exact_attention_read(const struct exact_attention *state, size_t i, size_t next, float *row,
                          size_t heads, size_t d) {
    for (size_t head = 0; head < heads; head++, row += d) {
        const float *head_o = state->o + place_of(state, head, 0) * d, *o = head_o + i * d;
        const float factor = 1.0f / state->sum[place_of(state, head, i)];
        for (size_t j = 0; j < d; j++) row[j] = o[j] * factor;
        attention_fetch(head_o + next * d, d * sizeof *o);
    }
}
