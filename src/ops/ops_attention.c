// Attention: pack every head's keys and values into panels, then let tiles of queries pass over them.
//
//              keys, block by block ->
//            +--------+--------+--------+
//     tile   | scores |        |        |    S = Q K^T             (tile rows x block)
//     of  Q  |        |        |        |    P = exp(scale S - m)  m, l: reference and sum so far
//            +--------+--------+--------+    O = c O + P V         c: exp(old m - new m)
//
// and at the end O / l. Scores of one tile and block live in the thread's scratch memory. Whatever is added
// to the logits is what their product starts from, divided by the scale that follows.
#include "ops/attention_tile.h"

#include <math.h>
#include <string.h>

#include "core/checked.h"

/* ---- tiles --------------------------------------------------------------------------------- */

// Columns of a product whose first n are wanted: where they end within a vector, kernels are slower, and panels
// are padded with zeros.
static size_t whole_vectors(size_t n) {
    return ceil_div(n, 16) * 16;
}

// Floats of a row of a table's products.
static size_t relative_stride(size_t positions) {
    return whole_vectors(2 * positions - 1);
}

static size_t relative_floats(size_t positions) {
    return TILE * relative_stride(positions);
}

// Bytes of an encoded row of d numbers at most, whole cache lines.
static size_t query_bytes(size_t d) {
    return align64(max_size(format_row_bytes(FORMAT_F32, d), format_row_bytes(FORMAT_I8, d)));
}

static size_t tile_bytes(size_t d) {
    return align64(sizeof(struct tile)) + TILE * (ceil_div(d, 16) * 64 + query_bytes(d));
}

size_t ops_attention_scratch_bytes(size_t d, const struct relative_positions *relative) {
    if (!relative) return tile_bytes(d);
    return tile_bytes(d) +
           (relative_floats(relative->height) + relative_floats(relative->width)) * sizeof(float);
}

void attention_place_tile(struct tile *tile, const struct attention_shape *shape) {
    tile->o = (float *)(void *)((unsigned char *)tile + align64(sizeof *tile));
    tile->q = (unsigned char *)tile->o + TILE * ceil_div(shape->d, 16) * 64;
    if (!shape->relative) return;
    tile->h = (float *)(void *)((unsigned char *)tile + tile_bytes(shape->d));
    tile->w = tile->h + relative_floats(shape->relative->height);
}

void attention_take_query(const struct attention *run, struct tile *tile, size_t i, size_t head,
                          const unsigned char *kept_queries) {
    const size_t d = run->shape->d, bytes = format_row_bytes(attention_score_format(run), d);
    unsigned char *q = tile->q + i * query_bytes(d);
    memcpy(q,
           kept_queries ? kept_queries + tile->positions[i] * bytes
                        : attention_row(run->q, tile->rows[i], head * d),
           bytes);
    tile->q_rows[i] = q;
}

void attention_scale_row(float *row, size_t n, float factor) {
    for (size_t i = 0; i < n; i++) row[i] *= factor;
}

bool ops_table_bytes(size_t *bytes, const struct kernels *kernels, enum format format, size_t n,
                     size_t d) {
    size_t rows;
    return checked_round_up(&rows, n, kernels->panel) &&
           checked_multiply(&rows, rows, format_row_lanes(format, d)) &&
           checked_multiply(bytes, rows, LANE_BYTES);
}

void ops_table_pack(unsigned char *panels, const struct kernels *kernels, enum format format,
                    const float *table, size_t n, size_t d, float scale, void *encoded) {
    const size_t row_bytes = format_row_bytes(format, d);
    float values[ATTENTION_MAX_D];
    for (size_t i = 0; i < n; i++) {
        unsigned char *row = (unsigned char *)encoded + i * row_bytes;
        for (size_t j = 0; j < d; j++) values[j] = table[i * d + j] / scale;
        kernels->encode_weights[format](row, values, d);
    }
    kernels->pack_rows(panels, encoded, row_bytes, n, format_row_lanes(format, d));
}

// Rows of queries against one of the tables, at least n entries of it.
static void table_logits(const struct attention *run, float *y, size_t y_stride,
                         const unsigned char *table, size_t n, const void *const *q, size_t rows) {
    const struct kernels *kernels = run->kernels;
    const enum format format = attention_score_format(run);
    kernels->product[format](y, y_stride, q, rows, table, attention_key_bytes(run, kernels->panel),
                             whole_vectors(n), format_lanes(format, run->shape->d), false, NULL);
}

void attention_relative(const struct attention *run, const struct tile *tile, size_t rows) {
    const struct relative_positions *relative = run->shape->relative;
    if (!relative) return;
    const size_t height = relative_stride(relative->height),
                 width = relative_stride(relative->width);
    if (relative->h_step == 0) {
        table_logits(run, tile->h, height, relative->h, height, tile->q_rows, rows);
        table_logits(run, tile->w, width, relative->w, width, tile->q_rows, rows);
        return;
    }
    for (size_t i = 0; i < rows; i++) {
        const size_t y = tile->positions[i] / relative->width,
                     x = tile->positions[i] % relative->width;
        table_logits(run, tile->h + i * height, height, relative->h + y * relative->h_step,
                     relative->height, tile->q_rows + i, 1);
        table_logits(run, tile->w + i * width, width, relative->w + x * relative->w_step,
                     relative->width, tile->q_rows + i, 1);
    }
}

struct relative_row attention_relative_row(const struct relative_positions *relative,
                                           const struct tile *tile, size_t row) {
    // Key (y, x) is at distance (y - y_i, x - x_i): from here on, y and x count the table's rows.
    const size_t y = tile->positions[row] / relative->width,
                 x = tile->positions[row] % relative->width;
    const bool distances = relative->h_step == 0;
    return (struct relative_row){tile->h + row * relative_stride(relative->height) +
                                     (distances ? relative->height - 1 - y : 0),
                                 tile->w + row * relative_stride(relative->width) +
                                     (distances ? relative->width - 1 - x : 0)};
}

// What the scores of a tile's row with keys [first, first + some) start from; bias is that of the
// sequence's first key.
static void start_row(const struct attention_shape *shape, float *scores, const struct tile *tile,
                      const struct kernels *kernels, size_t row, const float *bias, size_t first,
                      size_t some) {
    if (shape->relative) {
        const struct relative_row logits = attention_relative_row(shape->relative, tile, row);
        kernels->outer_sum(scores, logits.h, logits.w, shape->relative->width, first, some);
    } else {
        memset(scores, 0, some * sizeof *scores);
    }
    if (!bias) return;
    const float factor = 1.0f / shape->scale;
    for (size_t i = 0; i < some; i++) scores[i] += bias[first + i] * factor;
}

const struct upcoming *attention_fetch_soon(const struct attention *run, struct soon *soon,
                                            size_t lanes, struct upcoming *upcoming) {
    for (size_t i = 0; soon && i < sizeof soon->parts / sizeof *soon->parts; i++) {
        if (soon->parts[i].at >= soon->parts[i].end) continue;
        *upcoming = (struct upcoming){.panel = soon->parts[i].at};
        soon->parts[i].at += lanes * run->kernels->panel * LANE_BYTES;
        return upcoming;
    }
    return NULL;
}

void attention_score(const struct attention *run, struct tile *tile, size_t rows,
                     const unsigned char *keys, size_t first, size_t some, bool started,
                     struct soon *soon) {
    const enum format format = attention_score_format(run);
    const size_t lanes = format_lanes(format, run->shape->d);
    struct upcoming upcoming;
    run->kernels->product[format](
        tile->scores, BLOCK, tile->q_rows, rows, keys + attention_key_bytes(run, first),
        attention_key_bytes(run, run->kernels->panel), whole_vectors(some), lanes, started,
        attention_fetch_soon(run, soon, ceil_div(some, run->kernels->panel) * lanes, &upcoming));
}

// One block of `some` keys for the tile's rows: scores, weights, values.
static void attend_block(const struct attention *run, struct tile *tile, const struct pass *pass,
                         size_t first, size_t some) {
    const struct attention_shape *shape = run->shape;
    const struct kernels *kernels = run->kernels;
    const enum format format = run->format;
    const size_t d = shape->d, panel = kernels->panel;
    const bool started = shape->relative || pass->bias;
    for (size_t i = 0; started && i < pass->rows; i++) {
        start_row(shape, tile->scores + i * BLOCK, tile, kernels, i, pass->bias, first, some);
    }
    struct upcoming upcoming;
    attention_score(run, tile, pass->rows, pass->keys, first, some, started, pass->soon);
    const bool apart = format == FORMAT_BF16;
    unsigned char *weights = apart ? (void *)tile->weights : (void *)tile->scores;
    const size_t bytes = BLOCK * (apart ? sizeof *tile->weights : sizeof *tile->scores);
    kernels->softmax[format](weights, bytes, tile->scores, BLOCK, pass->rows, some, shape->scale,
                             false, tile->state, tile->factors);
    for (size_t i = 0; i < pass->rows; i++) {
        tile->p_rows[i] = weights + i * bytes;
        if (first > 0 && tile->factors[i] != 1.0f)
            attention_scale_row(tile->o + i * d, d, tile->factors[i]);
    }
    kernels->product[format](
        tile->o, d, tile->p_rows, pass->rows,
        pass->values + format_lanes(format, first) * panel * LANE_BYTES,
        format_lanes(format, pass->n) * panel * LANE_BYTES, d, format_lanes(format, some),
        first > 0, attention_fetch_soon(run, pass->soon, format_lanes(format, some), &upcoming));
}

static size_t queries_of(const struct attention_shape *shape, size_t sequence) {
    return shape->q_starts[sequence + 1] - shape->q_starts[sequence];
}

static size_t tiles_of(const struct attention *run, size_t sequence) {
    return ceil_div(queries_of(run->shape, sequence), attention_query_rows(run));
}

// Tiles of a sequence are alike, as far as the product's own tiles allow: no thin one at the end.
static size_t tile_rows(const struct attention *run, size_t sequence) {
    const size_t n = queries_of(run->shape, sequence), most = attention_query_rows(run),
                 unit = run->kernels->sizes[run->format].tile_rows;
    return min_size(ceil_div(ceil_div(n, ceil_div(n, most)), unit) * unit, most);
}

static void write_row(const struct attention *run, struct tile *tile, size_t i, size_t head) {
    const size_t d = run->shape->d;
    void *y = rows_at(rows_columns(run->y, head * d), tile->rows[i]);
    attention_scale_row(tile->o + i * d, d, 1.0f / tile->state[i].sum);
    run->kernels->encode[run->y.format](y, tile->o + i * d, d);
}

void attention_run_tile(const struct attention *run, struct tile *tile, const struct pass *pass,
                        size_t head) {
    for (size_t i = 0; i < pass->rows; i++) {
        attention_take_query(run, tile, i, head, pass->queries);
        tile->state[i] = (struct softmax_state){.max = -INFINITY, .sum = 0.0f};
    }
    attention_relative(run, tile, pass->rows);
    for (size_t key = 0; key < pass->n; key += BLOCK)
        attend_block(run, tile, pass, key, min_size(BLOCK, pass->n - key));
}

static size_t query_position(const struct attention_shape *shape, size_t sequence, size_t i) {
    return shape->queries ? shape->queries[shape->q_starts[sequence] + i] : i;
}

// Where query i of a sequence stands in memory.
static size_t query_row(const struct attention_shape *shape, size_t sequence, size_t i) {
    const size_t first_key = shape->k_starts[sequence],
                 position = query_position(shape, sequence, i);
    return shape->key_rows  ? shape->key_rows[first_key + position]
           : shape->queries ? first_key + position
                            : shape->q_starts[sequence] + i;
}

// Queries [first, first + rows) of a sequence: where they stand in it and in memory.
static void place_queries(const struct attention_shape *shape, struct tile *tile, size_t sequence,
                          size_t first, size_t rows) {
    for (size_t i = 0; i < rows; i++) {
        tile->positions[i] = query_position(shape, sequence, first + i);
        tile->rows[i] = query_row(shape, sequence, first + i);
    }
}

// Query i of a sequence, if there is one, and where its output goes.
static void fetch_query(const struct attention *run, size_t sequence, size_t head, size_t i) {
    const size_t d = run->shape->d;
    if (i >= queries_of(run->shape, sequence)) return;
    const size_t row = query_row(run->shape, sequence, i);
    if (!run->fresh) attention_fetch_columns(run->q, row, head, d);
    attention_fetch_to_write(rows_at(rows_columns(run->y, head * d), row),
                             d * format_bytes(run->y.format));
}

static size_t keys_of(const struct attention_shape *shape, size_t sequence) {
    return shape->k_starts[sequence + 1] - shape->k_starts[sequence];
}

// Key i of a sequence, if there is one, and its value, that are still to be packed.
static void fetch_key(const struct attention *run, size_t sequence, size_t head, size_t i) {
    const struct attention_shape *shape = run->shape;
    const size_t key = shape->k_starts[sequence] + i;
    if (run->fresh || i >= keys_of(shape, sequence)) return;
    const size_t row = shape->key_rows ? shape->key_rows[key] : key;
    attention_fetch_columns(run->k, row, head, shape->d);
    attention_fetch_columns(run->v, row, head, shape->d);
}

// Queries [first, first + pass->rows) of a sequence to all its keys. This thread's next tile begins with query `next`; its
// next head, unless it is 0, has as many of its keys fetched.
static void attend_tile(const struct attention *run, const struct pass *pass, size_t sequence,
                        size_t head, size_t first, size_t next, size_t next_head, void *scratch) {
    struct tile *tile = scratch;
    attention_place_tile(tile, run->shape);
    place_queries(run->shape, tile, sequence, first, pass->rows);
    attention_run_tile(run, tile, pass, head);
    for (size_t i = 0; i < pass->rows; i++) {
        fetch_query(run, sequence, head, next + i);
        if (next_head > 0) fetch_key(run, sequence, next_head, first + i);
        write_row(run, tile, i, head);
    }
}

/* ---- heads --------------------------------------------------------------------------------- */

static void pack_head(const struct attention *run, unsigned char *panels, size_t sequence,
                      size_t head, void *scratch) {
    const struct attention_shape *shape = run->shape;
    const size_t first = shape->k_starts[sequence];
    const uint32_t *index = shape->key_rows ? shape->key_rows + first : NULL;
    attention_pack(run, panels, index ? run->k : rows_from(run->k, first),
                   index ? run->v : rows_from(run->v, first), index, keys_of(shape, sequence), head,
                   scratch);
}

// The fresh rows of a sequence, a head's columns of them.
static void put_fresh(const struct attention *run, unsigned char *kept, size_t sequence,
                      size_t head) {
    const struct fresh_rows *fresh = run->fresh;
    const size_t first = fresh->starts[sequence], end = fresh->starts[sequence + 1];
    struct kept_row rows[KEPT_ROWS];
    for (size_t j = first; j < end; j += KEPT_ROWS) {
        const size_t n = min_size(KEPT_ROWS, end - j);
        for (size_t i = j; i < j + n; i++) {
            rows[i - j] = (struct kept_row){fresh->rows ? fresh->rows[i] : i,
                                            fresh->positions ? fresh->positions[i] : i - first};
        }
        attention_put(run, kept, keys_of(run->shape, sequence), fresh->qkv, rows, n, head);
    }
}

// Whether a sequence has anything to do.
static bool is_stale(const struct attention *run, size_t sequence) {
    return !run->fresh || run->fresh->starts[sequence] < run->fresh->starts[sequence + 1];
}

// A head's place: `place` is that of its panels where they are packed.
static struct pass pass_of(const struct attention *run, const unsigned char *place, size_t sequence,
                           size_t head) {
    const struct attention_shape *shape = run->shape;
    const size_t n = keys_of(shape, sequence);
    struct pass pass = run->fresh
                           ? attention_kept_pass(run, attention_kept_head(run, sequence, head), n)
                           : attention_packed_pass(run, place, n);
    pass.bias = shape->key_bias ? shape->key_bias + shape->k_starts[sequence] : NULL;
    return pass;
}

// Brings a head's queries, keys and values to where they are read.
static void bring_head(const struct attention *run, unsigned char *place, size_t sequence,
                       size_t head, void *scratch) {
    if (run->fresh)
        put_fresh(run, attention_kept_head(run, sequence, head), sequence, head);
    else
        pack_head(run, place, sequence, head, scratch);
}

/* ---- tasks --------------------------------------------------------------------------------- */

static void pack_task(void *argument, size_t task, size_t thread, void *scratch) {
    (void)thread;
    const struct attention *run = argument;
    const size_t sequence = task / run->shape->heads, head = task % run->shape->heads;
    if (!is_stale(run, sequence)) return;
    bring_head(run, attention_head_panels(run, sequence, head), sequence, head, scratch);
}

// Tasks go through sequences, then heads, then tiles, so that neighbours share a head's panels.
static void tile_task(void *argument, size_t task, size_t thread, void *scratch) {
    (void)thread;
    const struct attention *run = argument;
    const struct attention_shape *shape = run->shape;
    size_t sequence = 0;
    while (task >= tiles_of(run, sequence) * shape->heads) {
        task -= tiles_of(run, sequence) * shape->heads;
        sequence++;
    }
    const size_t head = task / tiles_of(run, sequence), rows = tile_rows(run, sequence);
    const size_t first = task % tiles_of(run, sequence) * rows, n_q = queries_of(shape, sequence);
    // Alike tiles, rounded up, may cover the queries earlier.
    if (first >= n_q || !is_stale(run, sequence)) return;
    struct pass pass = pass_of(run, attention_head_panels(run, sequence, head), sequence, head);
    pass.rows = min_size(rows, n_q - first);
    const size_t next = first + pool_threads(run->exec->pool) * rows;
    attend_tile(run, &pass, sequence, head, first, next, 0, scratch);
}

struct head_run {
    const struct attention *attention;
    size_t bytes;        // of the largest head's panels
    size_t heads_a_task; // of one sequence
};

// A head that is still to come, if it is kept.
static struct soon kept_head(const struct attention *run, size_t sequence, size_t head) {
    if (!run->fresh) return (struct soon){0};
    const unsigned char *kept = attention_kept_head(run, sequence, head);
    return (struct soon){{{kept, kept + attention_kept_bytes(run, keys_of(run->shape, sequence))}}};
}

// A whole head, the last of its task or not. Its panels, if they are packed, have the thread's own place, where they stay
// in the nearest caches.
static void attend_head(const struct head_run *heads, size_t sequence, size_t head, bool last,
                        size_t thread, void *scratch) {
    const struct attention *run = heads->attention;
    const size_t n_q = queries_of(run->shape, sequence), rows = tile_rows(run, sequence);
    unsigned char *place = run->panels + thread * heads->bytes;
    for (size_t i = 0; i < rows; i++) fetch_query(run, sequence, head, i);
    bring_head(run, place, sequence, head, scratch);
    struct pass pass = pass_of(run, place, sequence, head);
    struct soon soon = {0};
    if (!last) soon = kept_head(run, sequence, head + 1);
    pass.soon = &soon;
    for (size_t first = 0; first < n_q; first += rows) {
        const size_t next = min_size(first + rows, n_q);
        pass.rows = next - first;
        attend_tile(run, &pass, sequence, head, first, next, last ? 0 : head + 1, scratch);
    }
}

// Some heads of a sequence, one after the other: a thread knows which it takes next, and fetches it.
static void heads_task(void *argument, size_t task, size_t thread, void *scratch) {
    const struct head_run *heads = argument;
    const struct attention *run = heads->attention;
    const size_t tasks = ceil_div(run->shape->heads, heads->heads_a_task), sequence = task / tasks;
    const size_t first = task % tasks * heads->heads_a_task,
                 end = min_size(first + heads->heads_a_task, run->shape->heads);
    if (queries_of(run->shape, sequence) == 0 || !is_stale(run, sequence)) return;
    for (size_t head = first; head < end; head++)
        attend_head(heads, sequence, head, head + 1 == end, thread, scratch);
}

// So many heads a thread and more are dealt whole, and so many tasks a thread are enough: the last one to finish is not
// waited for long.
enum { TASKS_A_THREAD = 16, MOST_HEADS_A_TASK = 3 };

static void run_attention(struct attention *run) {
    struct exec *exec = run->exec;
    const struct attention_shape *shape = run->shape;
    struct head_run whole = {.attention = run};
    const size_t threads = pool_threads(exec->pool), heads = shape->n_sequences * shape->heads;
    size_t tiles = 0;
    for (size_t b = 0; b < shape->n_sequences; b++) {
        const uint64_t n_q = queries_of(shape, b), n_k = keys_of(shape, b);
        tiles += tiles_of(run, b);
        whole.bytes = max_size(whole.bytes, attention_head_bytes(run, n_k));
        if (is_stale(run, b))
            exec->macs += (2 * n_k + attention_positions(shape)) * n_q * shape->heads * shape->d;
    }
    // No more threads than heads: their own places fit into those of the longest sequence.
    whole.heads_a_task = min_size(heads / (TASKS_A_THREAD * threads), MOST_HEADS_A_TASK);
    if (threads <= shape->heads && whole.heads_a_task > 0) {
        const size_t tasks = ceil_div(shape->heads, whole.heads_a_task);
        exec_run(exec, shape->n_sequences * tasks, heads_task, &whole);
        return;
    }
    exec_run(exec, heads, pack_task, run);
    exec_run(exec, tiles * shape->heads, tile_task, run);
}

void ops_attention(struct exec *exec, struct rows y, struct rows q, struct rows k, struct rows v,
                   const struct attention_shape *shape, void *panels) {
    run_attention(&(struct attention){.exec = exec,
                                      .kernels = exec->kernels,
                                      .shape = shape,
                                      .format = q.format,
                                      .y = y,
                                      .q = q,
                                      .k = k,
                                      .v = v,
                                      .panels = panels});
}

void ops_attention_kept(struct exec *exec, struct rows y, unsigned char *kept,
                        const struct fresh_rows *fresh, const struct attention_shape *shape) {
    struct attention run = attention_of_kept(exec, kept, fresh->qkv.format, shape);
    run.y = y;
    run.fresh = fresh;
    run_attention(&run);
}
