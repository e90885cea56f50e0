#include "nn/attention.h"

#include <math.h>

void attention_forward(struct exec *exec, const struct attention *attention, float *x,
                       const float *y, float *qkv, float *mixed, float *panels,
                       const size_t *starts, size_t n_sequences, size_t heads) {
    const size_t n = starts[n_sequences], d_model = gemm_k(attention->qkv), d = d_model / heads;
    const struct attention_shape shape = {.n_sequences = n_sequences,
                                          .q_starts = starts,
                                          .k_starts = starts,
                                          .heads = heads,
                                          .d = d,
                                          .scale = (float)(1.0 / sqrt((double)d))};
    const struct gemm_epilogue overwrite = {.activation = ACTIVATION_NONE};
    const struct gemm_epilogue residual = {.activation = ACTIVATION_NONE, .accumulate = true};
    ops_linear(exec, attention->qkv, qkv, 3 * d_model, y, d_model, n, overwrite);
    ops_attention(exec, mixed, d_model, qkv, 3 * d_model, qkv + d_model, 3 * d_model,
                  qkv + 2 * d_model, 3 * d_model, &shape, panels);
    ops_linear(exec, attention->proj, x, d_model, mixed, d_model, n, residual);
}
