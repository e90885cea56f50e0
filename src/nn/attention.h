// Multi-head self-attention (Vaswani et al. 2017) over packed sequences.
#ifndef VIDETTE_NN_ATTENTION_H
#define VIDETTE_NN_ATTENTION_H

#include "ops/ops.h"

struct attention {
    struct gemm *qkv;  // (3D, D): q, then k, then v, each head-major
    struct gemm *proj; // (D, D)
};

// x (n, D) += proj(attention(qkv(y))), n = starts[n_sequences].
// Workspace: qkv (n, 3D), mixed (n, D; may be y), panels as ops_attention asks.
void attention_forward(struct exec *exec, const struct attention *attention, float *x,
                       const float *y, float *qkv, float *mixed, float *panels,
                       const size_t *starts, size_t n_sequences, size_t heads);

#endif
