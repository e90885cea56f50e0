// LayerNorm (Ba et al. 2016): y = (x - mean) / sqrt(variance + eps) * weight + bias, row by row.
#ifndef VIDETTE_NN_LAYERNORM_H
#define VIDETTE_NN_LAYERNORM_H

#include "ops/ops.h"

struct layernorm {
    float *weight, *bias; // (D); NULL weight: no norm here
    float eps;
};

// y (rows, D) <- norm(x); y may be x. Both contiguous.
void layernorm_forward(struct exec *exec, const struct layernorm *norm, float *y, const float *x,
                       size_t rows, size_t d);

#endif
