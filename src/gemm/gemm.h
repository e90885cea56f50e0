// Matrix products with prepacked weights: Y = f(X W^T + b), or Y += X W^T + b.
//
// A linear layer's weights W (N, K) are encoded and packed once, when the model is opened, into whatever
// layout the engine reads fastest, and are then immutable and shared by threads. gemm_rows multiplies
// some rows on the calling thread; src/ops splits the rows of a whole tensor over the pool. Rows of X are
// given by pointer, so that gathered rows need no copy. A row of Y has the same bits whatever rows it is
// computed with, and so has a column of it: any split gives the same result.
#ifndef VIDETTE_GEMM_GEMM_H
#define VIDETTE_GEMM_GEMM_H

#include "core/mem.h"
#include "kernels/kernels.h"

// One weight matrix, packed. Members are gemm.c's; they stand here so that memory can be planned from sizes alone.
struct gemm {
    struct memory *memory;
    const struct kernels *kernels;
    enum format format;
    size_t n, k, lanes;
    float *bias;           // (n)
    unsigned char *panels; // ceil(n / kernels->panel) of them
};

// The rate of a large product, in flops a second, when oneDNN runs it as it likes best on n_threads of
// its own, the best in at_least_ms: what ours is compared with. 0 where oneDNN is not built in or has no such product.
double gemm_onednn_rate(enum format format, size_t m, size_t n, size_t k, size_t n_threads,
                        double at_least_ms);

/* ---- weights ------------------------------------------------------------------------------- */

enum { GEMM_PACK_ROWS = 64 };

// Room for W (n, k) in a format that the kernels have, n, k >= 1, zero bias. `kernels` must outlive it.
// Several threads may open and pack different weights at once.
int gemm_open(struct gemm **gemm, struct memory *memory, const struct kernels *kernels,
              enum format format, size_t n, size_t k, vdt_error *error);

// Packs rows [first, first + rows) of W, contiguous at w. first is a multiple of GEMM_PACK_ROWS, rows is
// at most that. scratch: gemm_pack_scratch_bytes. int8 weights get a scale a row.
void gemm_pack(struct gemm *gemm, size_t first, size_t rows, const float *w, void *scratch);
size_t gemm_pack_scratch_bytes(const struct gemm *gemm);

void gemm_set_bias(struct gemm *gemm, const float *bias); // (n), copied

// All of it for a matrix that lies in memory as it is, w (n, k), bias (n) or NULL.
int gemm_open_whole(struct gemm **gemm, struct memory *memory, const struct kernels *kernels,
                    enum format format, const float *w, const float *bias, size_t n, size_t k,
                    vdt_error *error);

void gemm_close(struct gemm **gemm);
size_t gemm_n(const struct gemm *gemm);
size_t gemm_k(const struct gemm *gemm);
enum format gemm_format(const struct gemm *gemm);
size_t gemm_bytes(const struct gemm *gemm); // memory the packed weights take

/* ---- products ------------------------------------------------------------------------------ */

enum { GEMM_MAX_ROWS = 256 }; // of a call, for every matrix

// Rows that a call is best given at most (<= GEMM_MAX_ROWS): enough to reuse W, few enough to stay in cache.
size_t gemm_task_rows(const struct gemm *gemm);

// Rows are best a multiple of this.
size_t gemm_tile_rows(const struct gemm *gemm);

// What follows the product, while its sums are in cache. Without activation and accumulation, f32:
// GEMM_PLAIN.
struct gemm_epilogue {
    enum activation activation;
    bool accumulate;    // add to Y, which is f32 then (a residual)
    enum format format; // of Y: FORMAT_F32 or FORMAT_BF16
};

static const struct gemm_epilogue GEMM_PLAIN = {.activation = ACTIVATION_NONE};
static const struct gemm_epilogue GEMM_RESIDUAL = {.activation = ACTIVATION_NONE,
                                                   .accumulate = true};

// Columns [first, first + n) of Y. first is a multiple of gemm_column_step, and so is n unless it reaches
// the end.
struct gemm_columns {
    size_t first, n;
};

size_t gemm_column_step(const struct gemm *gemm);

static inline struct gemm_columns gemm_all_columns(const struct gemm *gemm) {
    return (struct gemm_columns){0, gemm_n(gemm)};
}

// Bytes of scratch memory, aligned to 64, that gemm_rows needs for `gemm` and at most gemm_task_rows.
size_t gemm_scratch_bytes(const struct gemm *gemm);

// The columns of y (rows, n), row i at y + i * y_bytes <- x, row i at x[i], encoded in the gemm's format;
// rows <= gemm_task_rows. x and y do not overlap. scratch is used by this call alone. Allocates nothing.
void gemm_rows(const struct gemm *gemm, void *y, size_t y_bytes, const void *const *x, size_t rows,
               struct gemm_columns columns, const struct gemm_epilogue *epilogue, void *scratch);

#endif
