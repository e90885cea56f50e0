// Whole-tensor operations, split over the pool.
//
// A tensor here is rows of f32: a pointer, a stride between rows in floats, a number of rows. Each
// operation is one parallel region; a task writes only what belongs to it, so results have the same
// bits at any thread count. Operations count the multiply-adds they do.
#ifndef VIDETTE_OPS_OPS_H
#define VIDETTE_OPS_OPS_H

#include <stdatomic.h>

#include "core/pool.h"
#include "gemm/gemm.h"

// What operations run with. One thread uses an exec at a time.
struct exec {
    struct pool *pool;
    const struct kernels *kernels;
    unsigned char *scratch; // pool_threads blocks of scratch_bytes, aligned to 64
    size_t scratch_bytes;   // at least what every operation of the run asks for
    uint64_t macs;          // multiply-adds done so far
    atomic_int status;      // the first failure of a library underneath; 0 otherwise
};

// Runs the task for each i < n_tasks with this thread's block of scratch memory.
typedef void exec_task(void *argument, size_t task, size_t thread, void *scratch);
void exec_run(struct exec *exec, size_t n_tasks, exec_task *task, void *argument);

// y (rows, N) = f(x W^T + b), or += with epilogue.accumulate. Scratch: gemm_scratch_bytes.
void ops_linear(struct exec *exec, const struct gemm *w, float *y, size_t y_stride, const float *x,
                size_t x_stride, size_t rows, struct gemm_epilogue epilogue);

// y (rows, n) <- LayerNorm of each row of x; y may be x.
void ops_layernorm(struct exec *exec, float *y, size_t y_stride, const float *x, size_t x_stride,
                   size_t rows, size_t n, const float *weight, const float *bias, float eps);

// y (rows, n) <- silu(gate) * up, with gate = x[0..n) and up = x[n..2n) of each row of x.
void ops_swiglu(struct exec *exec, float *y, size_t y_stride, float *x, size_t x_stride,
                size_t rows, size_t n);

// Scaled dot-product attention of packed sequences (Vaswani et al. 2017), the online softmax over
// tiles (Milakov & Gimelshein 2018; Dao et al. 2022): no matrix of all scores is ever in memory.
//
// Sequence b owns query rows [q_starts[b], q_starts[b + 1]) and key rows [k_starts[b], k_starts[b +
// 1]); rows of different sequences never meet. Head h reads columns [h d, (h + 1) d) of q, k and v
// and writes those of y.
struct attention_shape {
    size_t n_sequences;
    const size_t *q_starts,
        *k_starts;   // (n_sequences + 1), ascending from 0; no sequence without keys
    size_t heads, d; // d <= ATTENTION_MAX_D
    float scale;     // of the scores, d^-1/2
};

enum { ATTENTION_MAX_D = 256 };

// y (query rows, heads * d). `panels` is workspace of at least ops_attention_panels floats.
void ops_attention(struct exec *exec, float *y, size_t y_stride, const float *q, size_t q_stride,
                   const float *k, size_t k_stride, const float *v, size_t v_stride,
                   const struct attention_shape *shape, float *panels);

// Floats of workspace for n_keys key rows in n_sequences sequences; false on overflow.
bool ops_attention_panels(size_t *floats, const struct kernels *kernels, size_t n_keys,
                          size_t n_sequences, size_t heads, size_t d);

// Scratch bytes a thread that ops_attention needs.
size_t ops_attention_scratch_bytes(const struct kernels *kernels, size_t d);

#endif
