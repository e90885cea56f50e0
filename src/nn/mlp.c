#include "nn/mlp.h"

size_t mlp_hidden_floats(size_t m, bool gated) {
    return gated ? 3 * m : m;
}

void mlp_forward(struct exec *exec, const struct mlp *mlp, float *x, const float *y, float *hidden,
                 size_t rows) {
    const size_t d = gemm_k(mlp->fc1), m = gemm_k(mlp->fc2);
    const struct gemm_epilogue residual = {.activation = ACTIVATION_NONE, .accumulate = true};
    if (mlp->gated) {
        float *both = hidden + rows * m; // (rows, 2M)
        ops_linear(exec, mlp->fc1, both, 2 * m, y, d, rows,
                   (struct gemm_epilogue){.activation = ACTIVATION_NONE});
        ops_swiglu(exec, hidden, m, both, 2 * m, rows, m);
    } else {
        ops_linear(exec, mlp->fc1, hidden, m, y, d, rows,
                   (struct gemm_epilogue){.activation = mlp->activation});
    }
    ops_linear(exec, mlp->fc2, x, d, hidden, m, rows, residual);
}
