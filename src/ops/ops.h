// Whole-tensor operations, split over the pool.
//
// A tensor here is rows of numbers: a pointer, the bytes from row to row, their format. Each operation is
// one parallel region; a task takes some rows from reading them to writing them, so that what lies
// between (a norm, an encoding, the hidden layer of an MLP) never leaves the caches. A task writes only
// what belongs to it: results have the same bits at any thread count. Operations count the multiply-adds
// they do.
#ifndef VIDETTE_OPS_OPS_H
#define VIDETTE_OPS_OPS_H

#include <math.h>

#include "core/pool.h"
#include "gemm/gemm.h"

// What operations run with. One thread uses an exec at a time.
struct exec {
    struct pool *pool;
    const struct kernels *kernels;
    unsigned char *scratch; // pool_threads blocks of scratch_bytes, aligned to 64; may be NULL
    size_t scratch_bytes;   // at least what every operation of the run asks for
    unsigned char *hidden;  // as many blocks of ops_mlp_hidden_bytes, of the widest MLP of the run
    uint64_t macs;          // multiply-adds done so far
};

// Runs the task for each i < n_tasks with this thread's block of scratch memory.
typedef void exec_task(void *argument, size_t task, size_t thread, void *scratch);
void exec_run(struct exec *exec, size_t n_tasks, exec_task *task, void *argument);

// How many of some rows a task takes: at most `most`, and so many that every thread gets the same number of tasks.
size_t exec_rows_a_task(const struct exec *exec, size_t rows, size_t most);

// Rows of numbers, F32 or BF16.
struct rows {
    void *data;
    size_t bytes; // from row to row
    enum format format;
};

// Rows of `width` numbers, one after the other.
static inline struct rows rows_packed(void *data, size_t width, enum format format) {
    return (struct rows){data, width * format_bytes(format), format};
}

static inline struct rows rows_f32(float *data, size_t width) {
    return rows_packed(data, width, FORMAT_F32);
}

static inline void *rows_at(struct rows rows, size_t i) {
    return (unsigned char *)rows.data + i * rows.bytes;
}

// The same rows from row `first` on, from column `column` on.
static inline struct rows rows_from(struct rows rows, size_t first) {
    rows.data = rows_at(rows, first);
    return rows;
}

static inline struct rows rows_columns(struct rows rows, size_t column) {
    rows.data = (unsigned char *)rows.data + column * format_bytes(rows.format);
    return rows;
}

// LayerNorm (Ba et al. 2016) of a row: (x - mean) / sqrt(variance + eps) * weight + bias.
struct norm {
    float *weight, *bias; // (D); NULL weight: no norm here
    float eps;
};

// y (rows, n) <- norm of each row of x; y may be x. f32, strides in floats.
void ops_layernorm(struct exec *exec, float *y, size_t y_stride, const float *x, size_t x_stride,
                   size_t rows, size_t n, const struct norm *norm);

// y (rows, N) = f(x' W^T + b), or += , with x' = norm(x), or x where norm is NULL or has no weight. x is
// f32, or in W's own format. y's format is epilogue.format.
void ops_linear(struct exec *exec, const struct gemm *w, struct rows y, struct rows x, size_t rows,
                const struct norm *norm, struct gemm_epilogue epilogue);
size_t ops_linear_scratch_bytes(const struct gemm *w);

// The same for rows x[index[i]], i < rows: they are read where they lie. y (rows, N), one after the other.
void ops_linear_at(struct exec *exec, const struct gemm *w, struct rows y, struct rows x,
                   const uint32_t *index, size_t rows, struct gemm_epilogue epilogue);

// x (rows, D) += fc2(act(fc1(norm x))), or, gated, fc2(silu(gate) * up) with gate and up the two halves of
// fc1's rows (SwiGLU, Shazeer 2020). x is f32. The hidden layer of a task's rows stays in its cache.
struct mlp {
    struct gemm *fc1; // (M, D); gated: (2M, D), gate above up
    struct gemm *fc2; // (D, M)
    enum activation activation;
    bool gated;
};

void ops_mlp(struct exec *exec, const struct mlp *mlp, const struct norm *norm, struct rows x,
             size_t rows);
size_t ops_mlp_scratch_bytes(const struct mlp *mlp);
size_t ops_mlp_hidden_bytes(const struct mlp *mlp);

// y (rows, D) f32 = the MLP of rows x[index[i]], i < rows, which are normalised already and are f32 or in
// fc1's format.
void ops_mlp_at(struct exec *exec, const struct mlp *mlp, struct rows y, struct rows x,
                const uint32_t *index, size_t rows);

// y[index[i]] <- x[i], rows of `bytes` bytes of the same format.
void ops_scatter(struct exec *exec, struct rows y, const uint32_t *index, struct rows x,
                 size_t rows, size_t bytes);

/* ---- attention ----------------------------------------------------------------------------- */

// Scaled dot-product attention of packed sequences (Vaswani et al. 2017), the online softmax over tiles
// (Milakov & Gimelshein 2018; Dao et al. 2022): no matrix of all scores is ever in memory.
//
// Sequence b owns query rows [q_starts[b], q_starts[b + 1]) and key rows [k_starts[b], k_starts[b + 1]);
// rows of different sequences never meet. Head h reads columns [h d, (h + 1) d) of q, k and v and writes
// those of y. q, k and v share a format, F32 or (d even) BF16, which is that of the products, but for int8_scores that of
// the weights with v; sums, softmax and scores are f32.
//
//     logit_ij = scale q_i . k_j  +  bias_j  +  q_i . h[y_j - y_i + height - 1]  +  q_i . w[x_j - x_i + width - 1]
//
// Sequences whose rows do not lie side by side (windows of a grid) list them; with `queries` only some of
// a sequence's positions attend.
//
// The last two are decomposed relative positions (Li et al. 2022, MViTv2, section 4.1; as in ViTDet), of
// the unscaled q: the tokens of every sequence are then a grid (height, width), row by row.
//
// The tables are panels (kernels.h) in the format of the scores' product, (2 height - 1, d) and (2 width - 1, d); with steps,
// each query position has a table of its own, (height, d) or (width, d), that of position p at p * step, and
// its entry for key position y or x stands at y or x.
struct relative_positions {
    unsigned char *h, *w;
    size_t height, width;
    size_t h_step, w_step; // bytes; 0: tables of distances
};

// Bytes of a table of n rows as panels, and packing it, divided by the scale that follows the scores' product;
// encoded: workspace of n rows in the format.
bool ops_table_bytes(size_t *bytes, const struct kernels *kernels, enum format format, size_t n,
                     size_t d);
void ops_table_pack(unsigned char *panels, const struct kernels *kernels, enum format format,
                    const float *table, size_t n, size_t d, float scale, void *encoded);

// What scores are multiplied by (Vaswani et al. 2017, equation 1).
static inline float attention_scale(size_t d) {
    return (float)(1.0 / sqrt((double)d));
}

struct attention_shape {
    size_t n_sequences;
    const size_t *q_starts,
        *k_starts; // (n_sequences + 1), ascending from 0; no sequence without keys
    const uint32_t
        *key_rows; // (keys) rows of k and v, and of q and y, that sequences consist of; NULL:
                   // key j is row j
    const uint32_t *queries; // (queries) each one's position in its sequence; NULL: in their order
    size_t heads, d;         // d <= ATTENTION_MAX_D
    float scale;             // of the scores, > 0
    const float *key_bias;   // (keys), the same for every head; NULL: none
    const struct relative_positions *relative; // NULL: none
    bool int8_scores; // q and k are encoded (ops_encode_scores), tables of positions are int8
};

enum { ATTENTION_MAX_D = 256 };

// Prepares rows of q and k for int8 scores: each head's columns, d >= 8 of them, become an encoded int8 row at
// their beginning, of keys as panels have it. Each has a scale of its own, so that a score depends on its query and
// its key alone: what a stream has added it can subtract.
void ops_encode_scores(struct exec *exec, struct rows q, struct rows k, size_t rows, size_t heads,
                       size_t d);

// `panels` is workspace of at least ops_attention_panels bytes, aligned to 64.
void ops_attention(struct exec *exec, struct rows y, struct rows q, struct rows k, struct rows v,
                   const struct attention_shape *shape, void *panels);

// q, k and v of a block that are kept from step to step as tiles read them: head by head, sequence by sequence, the
// queries, then the panels of keys and values. A step writes the rows that are new; nothing is gathered or packed
// again. Begins as zeros, aligned to 64. False on overflow.
bool ops_kept_bytes(size_t *bytes, const struct kernels *kernels, enum format format,
                    bool int8_scores, size_t n_keys, size_t n_sequences, size_t heads, size_t d);

// Rows that are new in it.
struct fresh_rows {
    struct rows qkv; // (.., 3D), as ops_attention takes them
    const size_t
        *starts; // (n_sequences + 1) sequence b gets fresh rows starts[b] .. starts[b + 1] - 1:
    const uint32_t *rows;      // row rows[j] of qkv (NULL: row j)
    const uint32_t *positions; // as its key positions[j] (NULL: its keys in their order)
};

// Writes the fresh rows; then all queries of the sequences that got any attend: their rows of y (N, D).
void ops_attention_kept(struct exec *exec, struct rows y, unsigned char *kept,
                        const struct fresh_rows *fresh, const struct attention_shape *shape);

// Bytes of workspace for n_keys key rows in n_sequences sequences; false on overflow.
bool ops_attention_panels(size_t *bytes, const struct kernels *kernels, enum format format,
                          size_t n_keys, size_t n_sequences, size_t heads, size_t d);
size_t ops_attention_scratch_bytes(size_t d, const struct relative_positions *relative);

#endif
