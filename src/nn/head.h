// What is read out of a clip's tokens after the blocks.
//
// A clip's tokens are (n, D): `prefix` rows (class, distillation and register tokens), then patches.
#ifndef VIDETTE_NN_HEAD_H
#define VIDETTE_NN_HEAD_H

#include "ops/ops.h"

// out (D) <- mean of n > 0 rows of x (n, D) by their weights (n; NULL: all alike), summed in double.
void head_mean(float *out, const float *x, const float *weights, size_t n, size_t d);

// out (D, n): column i <- row `source[i]` of x (.., D): patches as a map.
void head_map(float *out, const float *x, const uint32_t *source, size_t n, size_t d);

// SigLIP's pooling: softmax(q K^T / sqrt(d)) V for one learned query, then a residual MLP. Its weights are
// f32.
struct attention_pool {
    float *q;          // (D): the probe through its part of the fused projection
    struct gemm *kv;   // (2D, D); NULL: no such pool
    struct gemm *proj; // (D, D)
    struct norm norm;
    struct mlp mlp;
};

// out (n_sequences, D) <- pool(x), x (starts[n_sequences], D); key_bias (rows of x) as in attention_forward.
// Workspace: kv (rows of x, 2D), panels as ops_attention asks, small (n_sequences, 2D), and starts of
// n_sequences + 1 single rows: queries[i] = i.
void attention_pool_forward(struct exec *exec, const struct attention_pool *pool, float *out,
                            float *x, float *kv, void *panels, float *small, const size_t *starts,
                            const size_t *queries, size_t n_sequences, size_t heads,
                            const float *key_bias);

#endif
