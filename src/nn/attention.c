#include "nn/attention.h"

struct rows attention_keys(struct rows qkv, size_t d_model) {
    return rows_columns(qkv, d_model);
}

void attention_encode(struct exec *exec, struct rows qkv, const struct attention_shape *shape,
                      size_t n) {
    const struct rows keys = attention_keys(qkv, shape->heads * shape->d);
    if (shape->int8_scores) ops_encode_scores(exec, qkv, keys, n, shape->heads, shape->d);
}

void attention_mix(struct exec *exec, const struct attention *attention, const struct norm *norm,
                   struct rows x, struct rows qkv, struct rows mixed, void *panels,
                   const struct attention_shape *shape, size_t n) {
    const size_t d_model = gemm_k(attention->qkv);
    const struct gemm_epilogue to_qkv = {.activation = ACTIVATION_NONE, .format = qkv.format};
    ops_linear(exec, attention->qkv, qkv, x, n, norm, to_qkv);
    attention_encode(exec, qkv, shape, n);
    ops_attention(exec, mixed, qkv, attention_keys(qkv, d_model), rows_columns(qkv, 2 * d_model),
                  shape, panels);
}

void attention_project(struct exec *exec, const struct attention *attention, struct rows x,
                       struct rows mixed, size_t n) {
    ops_linear(exec, attention->proj, x, mixed, n, NULL, GEMM_RESIDUAL);
}
