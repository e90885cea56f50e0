// The block's MLP: fc2(act(fc1 y)), or SwiGLU (Shazeer 2020): fc2(silu(gate y) * (up y)).
#ifndef VIDETTE_NN_MLP_H
#define VIDETTE_NN_MLP_H

#include "ops/ops.h"

struct mlp {
    struct gemm *fc1; // (M, D); gated: (2M, D), gate above up
    struct gemm *fc2; // (D, M)
    enum activation activation;
    bool gated;
};

// x (rows, D) += mlp(y). Workspace: hidden (rows, M), gated: (rows, 3M).
void mlp_forward(struct exec *exec, const struct mlp *mlp, float *x, const float *y, float *hidden,
                 size_t rows);

// Floats of workspace a row.
size_t mlp_hidden_floats(size_t m, bool gated);

#endif
