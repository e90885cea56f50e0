// A head's keys and values as products read them: packed for one run, or kept from step to step.
//
//     K^T: panels of keys, one column each; V behind it: panels of columns, one row (of bf16 half a lane) each
//
// What is kept has the head's queries before both, key by key.
#include <string.h>

#include "core/checked.h"
#include "ops/attention_tile.h"

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

struct attention attention_of_kept(struct exec *exec, unsigned char *kept, enum format format,
                                   const struct attention_shape *shape) {
    return (struct attention){
        .exec = exec, .kernels = exec->kernels, .shape = shape, .format = format, .panels = kept};
}

/* ---- sizes --------------------------------------------------------------------------------- */

static size_t key_lanes(const struct attention *run) {
    return format_row_lanes(attention_score_format(run), run->shape->d);
}

// Bytes that n keys, whole panels of them, take.
static size_t key_bytes(const struct attention *run, size_t n) {
    return n * key_lanes(run) * LANE_BYTES;
}

size_t attention_key_bytes(const struct attention *run, size_t n) {
    return key_bytes(run, ceil_div(n, run->kernels->panel) * run->kernels->panel);
}

// Those of the values behind them.
static size_t value_bytes(const struct attention *run, size_t n) {
    const size_t panel = run->kernels->panel;
    return ceil_div(run->shape->d, panel) * panel * format_lanes(run->format, n) * LANE_BYTES;
}

size_t attention_head_bytes(const struct attention *run, size_t n) {
    return attention_key_bytes(run, n) + value_bytes(run, n);
}

// For keys that take so many lanes.
static bool bytes_of_panels(size_t *bytes, const struct kernels *kernels, enum format format,
                            size_t lanes_a_key, size_t n_keys, size_t n_sequences, size_t heads,
                            size_t d) {
    // Each sequence rounds its keys up to whole panels, and its values to whole lanes.
    size_t keys, lanes, columns, value_lanes;
    return checked_multiply(&keys, n_sequences, kernels->panel) &&
           checked_add(&keys, keys, n_keys) && checked_multiply(&lanes, keys, lanes_a_key) &&
           checked_round_up(&columns, d, kernels->panel) &&
           checked_add(&value_lanes, format_lanes(format, n_keys), n_sequences) &&
           checked_multiply(&value_lanes, value_lanes, columns) &&
           checked_add(&lanes, lanes, value_lanes) && checked_multiply(&lanes, lanes, heads) &&
           checked_multiply(bytes, lanes, LANE_BYTES);
}

bool ops_attention_panels(size_t *bytes, const struct kernels *kernels, enum format format,
                          size_t n_keys, size_t n_sequences, size_t heads, size_t d) {
    const size_t most = max_size(format_lanes(format, d), format_row_lanes(FORMAT_I8, d));
    return bytes_of_panels(bytes, kernels, format, most, n_keys, n_sequences, heads, d);
}

// Bytes of n queries, whole cache lines.
static size_t kept_query_bytes(const struct attention *run, size_t n) {
    return align64(n * key_lanes(run) * LANE_BYTES);
}

bool ops_kept_bytes(size_t *bytes, const struct kernels *kernels, enum format format,
                    bool int8_scores, size_t n_keys, size_t n_sequences, size_t heads, size_t d) {
    const size_t lanes = format_row_lanes(int8_scores ? FORMAT_I8 : format, d);
    size_t panels, queries, rounding;
    return bytes_of_panels(&panels, kernels, format, lanes, n_keys, n_sequences, heads, d) &&
           checked_multiply(&queries, n_keys, lanes * LANE_BYTES) &&
           checked_add(&rounding, n_sequences, 1) &&
           checked_multiply(&rounding, rounding, CACHE_LINE) &&
           checked_add(&queries, queries, rounding) && checked_multiply(&queries, queries, heads) &&
           checked_add(bytes, panels, queries);
}

// Where a head's panels start. Those of earlier sequences come first; an upper bound of their size (a panel more keys and
// a lane more values each) keeps the offset a formula.
static size_t panels_before(const struct attention *run, size_t sequence, size_t first) {
    const struct attention_shape *shape = run->shape;
    const size_t panel = run->kernels->panel;
    const size_t value_lanes =
        (format_lanes(run->format, first) + sequence) * ceil_div(shape->d, panel) * panel;
    return key_bytes(run, first + sequence * panel) + value_lanes * LANE_BYTES;
}

unsigned char *attention_head_panels(const struct attention *run, size_t sequence, size_t head) {
    const struct attention_shape *shape = run->shape;
    const size_t first = shape->k_starts[sequence], n = shape->k_starts[sequence + 1] - first;
    return run->panels + panels_before(run, sequence, first) * shape->heads +
           attention_head_bytes(run, n) * head;
}

size_t attention_kept_bytes(const struct attention *run, size_t n) {
    return kept_query_bytes(run, n) + attention_head_bytes(run, n);
}

unsigned char *attention_kept_head(const struct attention *run, size_t sequence, size_t head) {
    const struct attention_shape *shape = run->shape;
    const size_t first = shape->k_starts[sequence], n = shape->k_starts[sequence + 1] - first;
    const size_t before =
        panels_before(run, sequence, first) + kept_query_bytes(run, first) + sequence * CACHE_LINE;
    return run->panels + before * shape->heads + attention_kept_bytes(run, n) * head;
}

struct pass attention_packed_pass(const struct attention *run, const unsigned char *panels,
                                  size_t n) {
    return (struct pass){.keys = panels, .values = panels + attention_key_bytes(run, n), .n = n};
}

struct pass attention_kept_pass(const struct attention *run, const unsigned char *kept, size_t n) {
    struct pass pass = attention_packed_pass(run, kept + kept_query_bytes(run, n), n);
    pass.queries = kept;
    return pass;
}

/* ---- packing ------------------------------------------------------------------------------- */

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
    const enum format format = attention_score_format(run);
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

/* ---- keeping ------------------------------------------------------------------------------- */

// A key is a column of its panel: where it begins.
static size_t key_column(const struct attention *run, size_t position) {
    const size_t panel = run->kernels->panel;
    return key_bytes(run, position / panel * panel) + position % panel * LANE_BYTES;
}

// n rows of lanes, each at a step of its side's. Lane by lane: in panels what is moved together lies together.
static void copy_lanes(unsigned char *const *to, size_t to_step, const unsigned char *const *from,
                       size_t from_step, size_t lanes, size_t n) {
    for (size_t lane = 0; lane < lanes; lane++) {
        for (size_t i = 0; i < n; i++)
            memcpy(to[i] + lane * to_step, from[i] + lane * from_step, LANE_BYTES);
    }
}

static void put_keys(const struct attention *run, unsigned char *panels, struct rows k,
                     const struct kept_row *rows, size_t n) {
    unsigned char *to[KEPT_ROWS];
    const unsigned char *from[KEPT_ROWS];
    for (size_t i = 0; i < n; i++) {
        to[i] = panels + key_column(run, rows[i].position);
        from[i] = rows_at(k, rows[i].row);
    }
    copy_lanes(to, run->kernels->panel * LANE_BYTES, from, LANE_BYTES, key_lanes(run), n);
}

static void get_keys(const struct attention *run, const unsigned char *panels, struct rows k,
                     const struct kept_row *rows, size_t n) {
    unsigned char *to[KEPT_ROWS];
    const unsigned char *from[KEPT_ROWS];
    for (size_t i = 0; i < n; i++) {
        to[i] = rows_at(k, rows[i].row);
        from[i] = panels + key_column(run, rows[i].position);
    }
    copy_lanes(to, LANE_BYTES, from, run->kernels->panel * LANE_BYTES, key_lanes(run), n);
}

// A value is a lane of all panels, of bf16 the lower halves of one's numbers or the upper ones.
static size_t value_lane(const struct attention *run, size_t n, size_t position, size_t column) {
    const size_t panel = run->kernels->panel, group = LANE_BYTES / format_bytes(run->format);
    const size_t lane = column / panel * format_lanes(run->format, n) + position / group;
    return lane * panel * LANE_BYTES;
}

static void put_value(const struct attention *run, unsigned char *values, size_t n, size_t position,
                      const unsigned char *v) {
    const size_t d = run->shape->d, panel = run->kernels->panel;
    const unsigned shift = position % 2 * 16;
    for (size_t column = 0; column < d; column += panel) {
        const size_t some = min_size(panel, d - column);
        void *lane = values + value_lane(run, n, position, column);
        const void *from = v + column * format_bytes(run->format);
        if (run->format == FORMAT_F32) {
            memcpy(lane, from, some * sizeof(float));
            continue;
        }
        uint32_t *pairs = lane;
        const uint16_t *numbers = from;
        for (size_t j = 0; j < some; j++)
            pairs[j] = (pairs[j] & 0xffff0000u >> shift) | (uint32_t)numbers[j] << shift;
    }
}

static void get_value(const struct attention *run, const unsigned char *values, size_t n,
                      size_t position, unsigned char *v) {
    const size_t d = run->shape->d, panel = run->kernels->panel;
    const unsigned shift = position % 2 * 16;
    for (size_t column = 0; column < d; column += panel) {
        const size_t some = min_size(panel, d - column);
        const void *lane = values + value_lane(run, n, position, column);
        void *to = v + column * format_bytes(run->format);
        if (run->format == FORMAT_F32) {
            memcpy(to, lane, some * sizeof(float));
            continue;
        }
        const uint32_t *pairs = lane;
        uint16_t *numbers = to;
        for (size_t j = 0; j < some; j++) numbers[j] = (uint16_t)(pairs[j] >> shift);
    }
}

void attention_put(const struct attention *run, unsigned char *kept, size_t n_keys, struct rows qkv,
                   const struct kept_row *rows, size_t n, size_t head) {
    const size_t d = run->shape->d, width = run->shape->heads * d;
    const size_t row_bytes = key_lanes(run) * LANE_BYTES;
    const struct rows q = rows_columns(qkv, head * d), k = rows_columns(q, width),
                      v = rows_columns(k, width);
    unsigned char *keys = kept + kept_query_bytes(run, n_keys),
                  *values = keys + attention_key_bytes(run, n_keys);
    put_keys(run, keys, k, rows, n);
    for (size_t i = 0; i < n; i++) {
        put_value(run, values, n_keys, rows[i].position, rows_at(v, rows[i].row));
        memcpy(kept + rows[i].position * row_bytes, rows_at(q, rows[i].row), row_bytes);
    }
}

void attention_get(const struct attention *run, const unsigned char *kept, size_t n_keys,
                   struct rows qkv, const struct kept_row *rows, size_t n, size_t head) {
    const size_t d = run->shape->d, width = run->shape->heads * d;
    const struct rows k = rows_columns(qkv, width + head * d), v = rows_columns(k, width);
    const unsigned char *keys = kept + kept_query_bytes(run, n_keys),
                        *values = keys + attention_key_bytes(run, n_keys);
    get_keys(run, keys, k, rows, n);
    for (size_t i = 0; i < n; i++)
        get_value(run, values, n_keys, rows[i].position, rows_at(v, rows[i].row));
}
