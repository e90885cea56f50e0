// Multi-head self-attention (Vaswani et al. 2017) over packed sequences, with the norm before it and the
// residual after it.
#ifndef VIDETTE_NN_ATTENTION_H
#define VIDETTE_NN_ATTENTION_H

#include "ops/ops.h"

struct attention {
    struct gemm *qkv;  // (3D, D): q, then k, then v, each head-major
    struct gemm *proj; // (D, D)
};

// mixed <- attention(qkv(norm x)), x (n, D) f32. `shape` says who attends to whom; rows of mixed (n, D), f32 or in
// the projection's format, that are nobody's query stay as they are.
// Workspace: qkv (n, 3D), whose format is that of the attention's products; panels as ops_attention asks. Keys stay
// in qkv, encoded where scores are int8.
void attention_mix(struct exec *exec, const struct attention *attention, const struct norm *norm,
                   struct rows x, struct rows qkv, struct rows mixed, void *panels,
                   const struct attention_shape *shape, size_t n);

// x (n, D) += proj(mixed).
void attention_project(struct exec *exec, const struct attention *attention, struct rows x,
                       struct rows mixed, size_t n);

// What follows the product: rows of qkv (n, 3D) as this shape's scores want them, encoded in place where they are int8.
void attention_encode(struct exec *exec, struct rows qkv, const struct attention_shape *shape,
                      size_t n);

// The keys in qkv (n, 3D): (n, D).
struct rows attention_keys(struct rows qkv, size_t d_model);

#endif
