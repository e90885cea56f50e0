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

struct attention attention_of_qkv(struct exec *exec, struct rows qkv,
                                  const struct attention_shape *shape) {
    const size_t width = shape->heads * shape->d;
    return (struct attention){.exec = exec,
                              .kernels = exec->kernels,
                              .shape = shape,
                              .format = qkv.format,
                              .q = qkv,
                              .k = rows_columns(qkv, width),
                              .v = rows_columns(qkv, 2 * width)};
}

/* ---- panels -------------------------------------------------------------------------------- */

static enum format score_format(const struct attention *run) {
    return run->shape->int8_scores ? FORMAT_I8 : run->format;
}

// Bytes that n keys, whole panels of them, take.
static size_t key_bytes(const struct attention *run, size_t n) {
    return n * format_row_lanes(score_format(run), run->shape->d) * LANE_BYTES;
}

size_t attention_key_bytes(const struct attention *run, size_t n) {
    return key_bytes(run, ceil_div(n, run->kernels->panel) * run->kernels->panel);
}

static size_t value_bytes(const struct attention *run, size_t n) {
    const size_t panel = run->kernels->panel;
    return ceil_div(run->shape->d, panel) * panel * format_lanes(run->format, n) * LANE_BYTES;
}

size_t attention_head_bytes(const struct attention *run, size_t n) {
    return attention_key_bytes(run, n) + value_bytes(run, n);
}

bool ops_attention_panels(size_t *bytes, const struct kernels *kernels, enum format format,
                          size_t n_keys, size_t n_sequences, size_t heads, size_t d) {
    // Each sequence rounds its keys up to whole panels, and its values to whole lanes.
    size_t keys, key_lanes, columns, value_lanes, lanes;
    const size_t most_lanes = max_size(format_lanes(format, d), format_row_lanes(FORMAT_I8, d));
    return checked_multiply(&keys, n_sequences, kernels->panel) &&
           checked_add(&keys, keys, n_keys) && checked_multiply(&key_lanes, keys, most_lanes) &&
           checked_round_up(&columns, d, kernels->panel) &&
           checked_add(&value_lanes, format_lanes(format, n_keys), n_sequences) &&
           checked_multiply(&value_lanes, value_lanes, columns) &&
           checked_add(&lanes, key_lanes, value_lanes) && checked_multiply(&lanes, lanes, heads) &&
           checked_multiply(bytes, lanes, LANE_BYTES);
}

// Where the panels of (sequence, head) start. Those of earlier sequences come first; an upper bound of
// their size (a panel more keys and a lane more values each) keeps the offset a formula.
unsigned char *attention_head_panels(const struct attention *run, size_t sequence, size_t head) {
    const struct attention_shape *shape = run->shape;
    const size_t panel = run->kernels->panel, first = shape->k_starts[sequence];
    const size_t n = shape->k_starts[sequence + 1] - first;
    const size_t value_lanes =
        (format_lanes(run->format, first) + sequence) * ceil_div(shape->d, panel) * panel;
    const size_t before = key_bytes(run, first + sequence * panel) + value_lanes * LANE_BYTES;
    return run->panels + before * shape->heads + attention_head_bytes(run, n) * head;
}

// `bytes` of some rows from a column on, one after the other in `out`.
static void gather(unsigned char *out, struct rows rows, const uint32_t *index, size_t some,
                   size_t column, size_t bytes) {
    for (size_t i = 0; i < some; i++)
        memcpy(out + i * bytes, attention_row(rows, index[i], column), bytes);
}

// Rows that do not lie side by side are packed a panel's worth at a time, through scratch memory.
static void pack_keys(const struct attention *run, unsigned char *panels, struct rows k,
                      const uint32_t *index, size_t n, size_t head, unsigned char *scratch) {
    const struct kernels *kernels = run->kernels;
    const size_t d = run->shape->d, panel = kernels->panel;
    const enum format format = score_format(run);
    const size_t row_bytes = format_row_bytes(format, d), lanes = format_row_lanes(format, d);
    if (!index) {
        kernels->pack_rows(panels, attention_row(k, 0, head * d), k.bytes, n, lanes);
        return;
    }
    for (size_t first = 0; first < n; first += panel) {
        const size_t some = min_size(panel, n - first);
        gather(scratch, k, index + first, some, head * d, row_bytes);
        kernels->pack_rows(panels + key_bytes(run, first), scratch, row_bytes, some, lanes);
    }
}

static void pack_values(const struct attention *run, unsigned char *panels, struct rows v,
                        const uint32_t *index, size_t n, size_t head, unsigned char *scratch) {
    const struct kernels *kernels = run->kernels;
    const enum format format = run->format;
    const size_t d = run->shape->d, panel = kernels->panel, element = format_bytes(format);
    const size_t panel_bytes = format_lanes(format, n) * panel * LANE_BYTES;
    if (!index) {
        kernels->pack_columns[format](panels, attention_row(v, 0, head * d), v.bytes / element, n,
                                      d);
        return;
    }
    for (size_t first = 0; first < n; first += panel) {
        const size_t some = min_size(panel, n - first);
        unsigned char *to = panels + format_lanes(format, first) * panel * LANE_BYTES;
        gather(scratch, v, index + first, some, head * d, d * element);
        for (size_t column = 0; column < d; column += panel, to += panel_bytes)
            kernels->pack_columns[format](to, scratch + column * element, d, some,
                                          min_size(panel, d - column));
    }
}

void attention_pack(const struct attention *run, unsigned char *panels, struct rows k,
                    struct rows v, const uint32_t *index, size_t n, size_t head, void *scratch) {
    pack_keys(run, panels, k, index, n, head, scratch);
    pack_values(run, panels + attention_key_bytes(run, n), v, index, n, head, scratch);
}

static void pack_head(const struct attention *run, unsigned char *panels, size_t sequence,
                      size_t head, void *scratch) {
    const struct attention_shape *shape = run->shape;
    const size_t first = shape->k_starts[sequence], n = shape->k_starts[sequence + 1] - first;
    const uint32_t *index = shape->key_rows ? shape->key_rows + first : NULL;
    attention_pack(run, panels, index ? run->k : rows_from(run->k, first),
                   index ? run->v : rows_from(run->v, first), index, n, head, scratch);
}

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

void attention_take_query(const struct attention *run, struct tile *tile, size_t i, size_t head) {
    const size_t d = run->shape->d;
    unsigned char *q = tile->q + i * query_bytes(d);
    memcpy(q, attention_row(run->q, tile->rows[i], head * d),
           format_row_bytes(score_format(run), d));
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
    const enum format format = score_format(run);
    kernels->product[format](y, y_stride, q, rows, table, key_bytes(run, kernels->panel),
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

void attention_score(const struct attention *run, struct tile *tile, size_t rows,
                     const unsigned char *keys, size_t first, size_t some, bool started) {
    const enum format format = score_format(run);
    run->kernels->product[format](tile->scores, BLOCK, tile->q_rows, rows,
                                  keys + key_bytes(run, first), key_bytes(run, run->kernels->panel),
                                  whole_vectors(some), format_lanes(format, run->shape->d), started,
                                  NULL);
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
    attention_score(run, tile, pass->rows, pass->keys, first, some, started);
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
    kernels->product[format](tile->o, d, tile->p_rows, pass->rows,
                             pass->values + format_lanes(format, first) * panel * LANE_BYTES,
                             format_lanes(format, pass->n) * panel * LANE_BYTES, d,
                             format_lanes(format, some), first > 0, NULL);
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
        attention_take_query(run, tile, i, head);
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

// Queries [first, first + rows), as many of them as there are, of a tile that is still to come.
static void fetch_queries(const struct attention *run, size_t sequence, size_t head, size_t first,
                          size_t rows) {
    const struct attention_shape *shape = run->shape;
    const size_t end = min_size(first + rows, queries_of(shape, sequence));
    for (size_t i = first; i < end; i++)
        attention_fetch_columns(run->q, query_row(shape, sequence, i), head, shape->d);
}

static void fetch_outputs(const struct attention *run, const struct tile *tile, size_t rows,
                          size_t head) {
    const struct rows y = rows_columns(run->y, head * run->shape->d);
    for (size_t i = 0; i < rows; i++)
        attention_fetch_to_write(rows_at(y, tile->rows[i]), run->shape->d * format_bytes(y.format));
}

// Queries [first, first + rows) of a sequence to all its keys.
static void attend_tile(const struct attention *run, const unsigned char *panels, size_t sequence,
                        size_t head, size_t first, size_t rows, void *scratch) {
    const struct attention_shape *shape = run->shape;
    const size_t first_key = shape->k_starts[sequence];
    struct tile *tile = scratch;
    struct pass pass = {.rows = rows,
                        .keys = panels,
                        .n = shape->k_starts[sequence + 1] - first_key,
                        .bias = shape->key_bias ? shape->key_bias + first_key : NULL};
    pass.values = pass.keys + attention_key_bytes(run, pass.n);
    attention_place_tile(tile, shape);
    place_queries(shape, tile, sequence, first, rows);
    fetch_outputs(run, tile, rows, head);
    attention_run_tile(run, tile, &pass, head);
    for (size_t i = 0; i < rows; i++) write_row(run, tile, i, head);
}

/* ---- tasks --------------------------------------------------------------------------------- */

static void pack_task(void *argument, size_t task, size_t thread, void *scratch) {
    (void)thread;
    const struct attention *run = argument;
    const size_t sequence = task / run->shape->heads, head = task % run->shape->heads;
    pack_head(run, attention_head_panels(run, sequence, head), sequence, head, scratch);
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
    if (first >= n_q) return; // alike tiles, rounded up, may cover the queries earlier
    fetch_queries(run, sequence, head, first + pool_threads(run->exec->pool) * rows, rows);
    attend_tile(run, attention_head_panels(run, sequence, head), sequence, head, first,
                min_size(rows, n_q - first), scratch);
}

struct head_run {
    const struct attention *attention;
    size_t bytes; // of the largest head's panels
};

// Keys and values [first, first + rows) of a head that is still to come.
static void fetch_keys(const struct attention *run, size_t task, size_t first, size_t rows) {
    const struct attention_shape *shape = run->shape;
    const size_t sequence = task / shape->heads, head = task % shape->heads;
    if (sequence >= shape->n_sequences) return;
    const size_t begin = shape->k_starts[sequence], n = shape->k_starts[sequence + 1] - begin;
    for (size_t i = first; i < min_size(first + rows, n); i++) {
        const size_t row = shape->key_rows ? shape->key_rows[begin + i] : begin + i;
        attention_fetch_columns(run->k, row, head, shape->d);
        attention_fetch_columns(run->v, row, head, shape->d);
    }
}

// A whole head, its panels in the thread's own place, where they stay in the nearest caches.
static void head_task(void *argument, size_t task, size_t thread, void *scratch) {
    const struct head_run *heads = argument;
    const struct attention *run = heads->attention;
    const size_t sequence = task / run->shape->heads, head = task % run->shape->heads;
    const size_t n_q = queries_of(run->shape, sequence);
    unsigned char *panels = run->panels + thread * heads->bytes;
    if (n_q == 0) return;
    const size_t rows = tile_rows(run, sequence);
    fetch_queries(run, sequence, head, 0, rows);
    pack_head(run, panels, sequence, head, scratch);
    for (size_t first = 0; first < n_q; first += rows) {
        const size_t next = min_size(first + rows, n_q);
        fetch_queries(run, sequence, head, next, rows);
        fetch_keys(run, task + pool_threads(run->exec->pool), first, rows);
        attend_tile(run, panels, sequence, head, first, next - first, scratch);
    }
}

// So many and more are dealt whole: the last one to finish is not waited for long.
enum { HEADS_A_THREAD = 16 };

void ops_attention(struct exec *exec, struct rows y, struct rows q, struct rows k, struct rows v,
                   const struct attention_shape *shape, void *panels) {
    struct attention run = {.exec = exec,
                            .kernels = exec->kernels,
                            .shape = shape,
                            .format = q.format,
                            .y = y,
                            .q = q,
                            .k = k,
                            .v = v,
                            .panels = panels};
    struct head_run whole = {.attention = &run};
    const size_t threads = pool_threads(exec->pool), heads = shape->n_sequences * shape->heads;
    size_t tiles = 0;
    for (size_t b = 0; b < shape->n_sequences; b++) {
        const uint64_t n_q = queries_of(shape, b);
        const uint64_t n_k = shape->k_starts[b + 1] - shape->k_starts[b];
        tiles += tiles_of(&run, b);
        whole.bytes = max_size(whole.bytes, attention_head_bytes(&run, n_k));
        exec->macs += (2 * n_k + attention_positions(shape)) * n_q * shape->heads * shape->d;
    }
    // No more threads than heads: their own places fit into those of the longest sequence.
    if (threads <= shape->heads && heads >= HEADS_A_THREAD * threads) {
        exec_run(exec, heads, head_task, &whole);
        return;
    }
    exec_run(exec, heads, pack_task, &run);
    exec_run(exec, tiles * shape->heads, tile_task, &run);
}
