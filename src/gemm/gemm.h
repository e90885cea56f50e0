// Matrix products with prepacked weights: Y = f(X W^T + b), or Y += X W^T + b.
//
// A linear layer's weights W (N, K) are packed once, when the model is opened, into whatever layout
// the engine reads fastest, and are then immutable and shared by threads. gemm_rows multiplies some
// rows on the calling thread; src/ops splits the rows of a whole tensor over the pool. A row of Y
// has the same bits whatever rows it is computed with, so any split gives the same result.
//
// Two engines stand behind one contract:
//
//     gemm_dnnl.c    oneDNN's matmul on one thread; the only file that includes it
//     gemm_tiles.c   the loops of this library over the panel product of the kernel table: plain C,
//                    AVX2 or AVX-512; always built
#ifndef VIDETTE_GEMM_GEMM_H
#define VIDETTE_GEMM_GEMM_H

#include "core/mem.h"
#include "kernels/kernels.h"

struct gemm_engine; // one a context: primitives, machine data
struct gemm;        // one weight matrix, packed

enum gemm_backend { GEMM_TILES, GEMM_ONEDNN };

// What follows the product, row by row while the rows are still in cache.
struct gemm_epilogue {
    enum activation activation; // ACTIVATION_NONE: none
    bool accumulate; // add to Y instead of overwriting it (a residual); without activation
};

// Opens the wanted backend; GEMM_ONEDNN fails with VDT_ERROR_UNSUPPORTED where it is not built in.
// `kernels` must outlive the engine. n_threads: gemm_rows is called with thread < n_threads.
int gemm_engine_open(struct gemm_engine **engine, struct memory *memory,
                     const struct kernels *kernels, enum gemm_backend backend, size_t n_threads,
                     vdt_error *error);
void gemm_engine_close(struct gemm_engine **engine);
const char *gemm_engine_name(const struct gemm_engine *engine); // "tiles", "onednn"
bool gemm_has_onednn(void);

// Packs w (n, k), row i at w + i * k, and bias (n), which is copied and may be NULL for zeros.
// n, k >= 1. Several threads may open at once. Not the place for speed: it runs once a layer.
int gemm_open(struct gemm **gemm, struct gemm_engine *engine, const float *w, const float *bias,
              size_t n, size_t k, vdt_error *error);
void gemm_close(struct gemm **gemm);
size_t gemm_n(const struct gemm *gemm);
size_t gemm_k(const struct gemm *gemm);
size_t gemm_bytes(const struct gemm *gemm); // memory the packed weights take

// Most rows a task should give to gemm_rows at once: enough to reuse W, few enough to share out.
size_t gemm_rows_per_task(const struct gemm *gemm);

// Bytes of scratch memory, aligned to 64, that gemm_rows needs for `gemm`, for any number of rows.
size_t gemm_scratch_bytes(const struct gemm *gemm);

// y (rows, n), row i at y + i * y_stride <- x (rows, k), row i at x + i * x_stride. x and y do not
// overlap. `thread` names the calling thread among n_threads; scratch is used by this call alone.
// Allocates nothing. Fails only with VDT_ERROR_LIBRARY.
int gemm_rows(const struct gemm *gemm, float *y, size_t y_stride, const float *x, size_t x_stride,
              size_t rows, const struct gemm_epilogue *epilogue, size_t thread, void *scratch);

#endif
