// Attention by the published recurrence (Dutson et al. 2023, section 4.2), approximate, in O(N^2) state.
//
//     B = q k^T           kept; the changed rows M are written, then the changed columns
//     A = softmax(B / sqrt(d) + relative positions), whole rows; of the kept A only columns M are overwritten
//     Av += A_M dv_M + dA_M (v_M - dv_M)       dv = v_new - v_old, dA = A_new - A_kept, columns M
//
// so columns outside M keep weights of earlier softmaxes. Runs in f32 whatever the model's precision. It is
// here to be compared with: `exact` needs less memory and has no error.
#ifndef VIDETTE_REDUCE_DELTA_ATTENTION_H
#define VIDETTE_REDUCE_DELTA_ATTENTION_H

#include "ops/ops.h"

struct delta_attention {
    size_t n;     // N
    float *b, *a; // (heads, N, N)
    float *av;    // (N, D)
    // Workspace, shared by all blocks.
    float *dv, *old; // (N, D) rows of M: v_new - v_old, v_old
    bool *changed;   // (N)
    void *panels;    // delta_attention_panels bytes, aligned to 64
};

// Bytes of panels for n rows; false on overflow.
bool delta_attention_panels(size_t *bytes, const struct kernels *kernels, size_t n, size_t heads,
                            size_t d);
size_t delta_attention_scratch_bytes(size_t n, size_t d, const struct relative_positions *relative);

// Computes everything from qkv (N, 3D), f32.
void delta_attention_flush(struct exec *exec, struct delta_attention *state, struct rows qkv,
                           const struct attention_shape *shape);

// Rows index[0..n_changed), ascending, of qkv become `fresh` (n_changed, 3D): here, in qkv too.
void delta_attention_update(struct exec *exec, struct delta_attention *state, struct rows qkv,
                            struct rows fresh, const uint32_t *index, size_t n_changed,
                            const struct attention_shape *shape);

#endif
