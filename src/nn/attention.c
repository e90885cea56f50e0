#include "nn/attention.h"

#include <math.h>

// Columns from `column` on.
static struct rows columns(struct rows rows, size_t column) {
    const size_t element = rows.format == FORMAT_BF16 ? 2 : 4;
    return (struct rows){(unsigned char *)rows.data + column * element, rows.bytes, rows.format};
}

struct rows attention_keys(struct rows qkv, size_t d_model) {
    return columns(qkv, d_model);
}

void attention_forward(struct exec *exec, const struct attention *attention,
                       const struct norm *norm, struct rows x, struct rows qkv, struct rows mixed,
                       void *panels, const size_t *starts, size_t n_sequences, size_t heads,
                       const float *key_bias) {
    const size_t n = starts[n_sequences], d_model = gemm_k(attention->qkv), d = d_model / heads;
    const struct attention_shape shape = {.n_sequences = n_sequences,
                                          .q_starts = starts,
                                          .k_starts = starts,
                                          .heads = heads,
                                          .d = d,
                                          .scale = (float)(1.0 / sqrt((double)d)),
                                          .key_bias = key_bias};
    const struct gemm_epilogue to_qkv = {.activation = ACTIVATION_NONE, .format = qkv.format};
    ops_linear(exec, attention->qkv, qkv, x, n, norm, to_qkv);
    ops_attention(exec, mixed, qkv, attention_keys(qkv, d_model), columns(qkv, 2 * d_model), &shape,
                  panels);
    ops_linear(exec, attention->proj, x, mixed, n, NULL, GEMM_RESIDUAL);
}
