// The inside of attention, for the operations that attend: a head's panels of keys and values, and tiles
// of queries that pass over them. attention_panels.c and ops_attention.c, the dense one, define these.
#ifndef VIDETTE_OPS_ATTENTION_TILE_H
#define VIDETTE_OPS_ATTENTION_TILE_H

#include "ops/ops.h"

// Query rows of a tile at most (attention_query_rows of them); keys of a block, a multiple of every panel.
enum { TILE = PRODUCT_MAX_QUERIES, BLOCK = 256 };

struct attention {
    struct exec *exec;
    const struct kernels *kernels;
    const struct attention_shape *shape;
    enum format format; // of q, k, v and, but for int8 scores, the products
    struct rows y, q, k, v;
    unsigned char *panels;          // workspace; or what is kept, which stands for q, k and v
    const struct fresh_rows *fresh; // that go there; NULL: panels are packed
};

// Attention of the rows of qkv (N, 3D) to each other, without y and panels.
struct attention attention_of_qkv(struct exec *exec, struct rows qkv,
                                  const struct attention_shape *shape);

// What is kept (ops_kept_bytes), without y.
struct attention attention_of_kept(struct exec *exec, unsigned char *kept, enum format format,
                                   const struct attention_shape *shape);

// The format of queries and keys.
static inline enum format attention_score_format(const struct attention *run) {
    return run->shape->int8_scores ? FORMAT_I8 : run->format;
}

// Query rows of a tile.
static inline size_t attention_query_rows(const struct attention *run) {
    return run->kernels->sizes[run->format].query_rows;
}

// A row of q, k or v where a head's columns begin.
static inline const void *attention_row(struct rows rows, size_t i, size_t column) {
    return rows_at(rows_columns(rows, column), i);
}

// Fetches bytes that are read or written later, while something else is computed: a head's columns of a row are a few
// cache lines, far from those of the next one. Into the second cache: the first is the tile's.
static inline void attention_fetch(const void *row, size_t bytes) {
    const unsigned char *at = row;
    for (size_t i = 0; i < bytes; i += CACHE_LINE) __builtin_prefetch(at + i, 0, 2);
    // gcc takes functions that only fetch for ones that do nothing, and leaves them out.
    __asm__ volatile("");
}

// The same for bytes that will be written: another core may have written them last, and its copy must go first.
static inline void attention_fetch_to_write(void *row, size_t bytes) {
    unsigned char *at = row;
    for (size_t i = 0; i < bytes; i += CACHE_LINE) __builtin_prefetch(at + i, 1, 2);
    __asm__ volatile("");
}

// A head's columns of row i of q, k or v.
static inline void attention_fetch_columns(struct rows rows, size_t i, size_t head, size_t d) {
    attention_fetch(attention_row(rows, i, head * d), d * format_bytes(rows.format));
}

// Products of a query with the tables of relative positions: one for each row and column of keys.
static inline uint64_t attention_positions(const struct attention_shape *shape) {
    return shape->relative ? shape->relative->height + shape->relative->width : 0;
}

/* ---- panels -------------------------------------------------------------------------------- */

// Bytes of one head's K^T panels for n keys, and of these and the V panels behind them.
size_t attention_key_bytes(const struct attention *run, size_t n);
size_t attention_head_bytes(const struct attention *run, size_t n);

// Where the panels of (sequence, head) start.
unsigned char *attention_head_panels(const struct attention *run, size_t sequence, size_t head);

// Packs a head's columns of n rows of k and v, rows index[0..n) or (NULL) 0..n-1. scratch: a tile's.
void attention_pack(const struct attention *run, unsigned char *panels, struct rows k,
                    struct rows v, const uint32_t *index, size_t n, size_t head, void *scratch);

/* ---- what is kept -------------------------------------------------------------------------- */

// Bytes of one head's queries and panels of n keys, and where those of (sequence, head) start.
size_t attention_kept_bytes(const struct attention *run, size_t n);
unsigned char *attention_kept_head(const struct attention *run, size_t sequence, size_t head);

enum { KEPT_ROWS = 32 }; // moved at a time, at most

struct kept_row {
    size_t row;      // of qkv
    size_t position; // in the sequence
};

// Of a kept head of n_keys keys: n rows of qkv (.., 3D) become its queries, keys and values (put), or get what stands
// there of keys and values.
void attention_put(const struct attention *run, unsigned char *kept, size_t n_keys, struct rows qkv,
                   const struct kept_row *rows, size_t n, size_t head);
void attention_get(const struct attention *run, const unsigned char *kept, size_t n_keys,
                   struct rows qkv, const struct kept_row *rows, size_t n, size_t head);

/* ---- tiles --------------------------------------------------------------------------------- */

// A tile's memory in a thread's scratch; behind it lie o (TILE, d), q (TILE rows), then the relative logits of the
// tile's queries to every row and every column of keys, h (TILE, 2 height - 1) and w (TILE, 2 width - 1), rows of
// whole vectors.
struct tile {
    const void *q_rows[TILE], *p_rows[TILE];
    size_t positions[TILE]; // of the queries in their sequence
    size_t rows[TILE];      // of the queries in q and y
    struct softmax_state state[TILE];
    float factors[TILE]; // of o, since the block before
    float scores[TILE * BLOCK];
    // P in bf16 (in f32 it takes the place of the scores). Weights of an odd number of keys end with a zero, for
    // the last row behind all of them.
    uint16_t weights[TILE * BLOCK + 1];
    float *o, *h, *w;
    unsigned char *q; // a copy: wherever queries lie, they pass over the keys side by side
};

// Packing uses the same memory for a panel's worth of rows of at most 64 columns of panel.
_Static_assert(sizeof(struct tile) >= 64 * ATTENTION_MAX_D * sizeof(float), "room for a panel");

// Memory that is read soon: products fetch it as they go, part by part. A line with each lane costs nothing; fetched all
// at once, lines wait for each other as long as they would have been waited for.
struct soon {
    struct {
        const unsigned char *at, *end;
    } parts[2];
};

// A tile's queries and a head's keys and values.
struct pass {
    size_t rows;
    const unsigned char *queries; // that are kept, by position; NULL: rows of q
    const unsigned char *keys, *values;
    size_t n;          // keys
    const float *bias; // of the first key; may be NULL
    struct soon *soon; // may be NULL
};

// Those of a head: packed, or kept.
struct pass attention_packed_pass(const struct attention *run, const unsigned char *panels,
                                  size_t n);
struct pass attention_kept_pass(const struct attention *run, const unsigned char *kept, size_t n);

// What a product with panels of so many lanes in all fetches of `soon`, in *upcoming; NULL: nothing.
const struct upcoming *attention_fetch_soon(const struct attention *run, struct soon *soon,
                                            size_t lanes, struct upcoming *upcoming);

// Sets the pointers into the memory behind the tile.
void attention_place_tile(struct tile *tile, const struct attention_shape *shape);

// h and w of the tile's queries; nothing without relative positions.
void attention_relative(const struct attention *run, const struct tile *tile, size_t rows);

// Those of the tile's row for keys in grid row or column 0, 1, ...
struct relative_row {
    const float *h, *w;
};
struct relative_row attention_relative_row(const struct relative_positions *relative,
                                           const struct tile *tile, size_t row);

// Scores of the tile's first `rows` queries with keys [first, first + some) of a head's panels (and on to a whole
// vector), first at the beginning of one; `started`: on top of what stands there. soon may be NULL.
void attention_score(const struct attention *run, struct tile *tile, size_t rows,
                     const unsigned char *keys, size_t first, size_t some, bool started,
                     struct soon *soon);

// Attends from positions[i], rows[i], i < pass->rows, to all keys: leaves o (unnormalised) and state.
void attention_run_tile(const struct attention *run, struct tile *tile, const struct pass *pass,
                        size_t head);

// The tile's query i: a head's columns of row rows[i] of q, or that at positions[i] of those that are kept.
void attention_take_query(const struct attention *run, struct tile *tile, size_t i, size_t head,
                          const unsigned char *kept_queries);

void attention_scale_row(float *row, size_t n, float factor);

#endif
