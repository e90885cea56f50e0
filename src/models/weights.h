// A model's weights as the encoder uses them: matrices packed, vectors in f32, q, k and v fused
// into one matrix, layer scale (x + s * f(x)) folded into the matrix and bias before it.
//
// Built once, in parallel, from the tensors of a checkpoint (converted from f16 and bf16 as they
// are packed; the file's pages are handed back) or from a seed. Immutable and shared after that.
#ifndef VIDETTE_MODELS_WEIGHTS_H
#define VIDETTE_MODELS_WEIGHTS_H

#include "models/tensor_map.h"
#include "nn/attention.h"
#include "nn/head.h"

// Shorter rows of weights, and narrower heads' scores, stay bf16 in int8 models: int8 gains nothing there, and sums of few
// terms do not average its rounding away.
enum { INT8_LEAST_K = 64 };

struct block {
    struct norm norm1, norm2;
    struct attention attention;
    struct mlp mlp;
    float *relative_h,
        *relative_w; // (2 S - 1, head width) for distances k - q of -(S - 1) .. S - 1, S the
                     // side of the configured grid or window; NULL: none
};

struct weights {
    struct memory *memory;
    struct gemm *patch;                  // (D, s p p 3), columns permuted (patch_embed.h)
    float *class_token;                  // (D), NULL where there is none
    float *distillation_token;           // (D)
    float *registers;                    // (R, D)
    float *positions;                    // (rows, D), NULL for sinusoids
    float *length_rows;                  // (T / s, D), RLT's length embeddings
    struct norm pre_norm, norm, fc_norm; // weight NULL where there is none
    struct block *blocks;                // (n_blocks + n_temporal)
    size_t n_blocks, n_temporal;
    struct norm temporal_norm;
    float *temporal_class, *temporal_positions; // (D), (1 + snippets, D)
    struct gemm *pooler, *classifier, *classifier2, *projection;
    struct attention_pool pool;
    uint64_t parameters; // numbers in the tensors
    uint64_t bytes;      // memory they take here
};

// The formats that matrices are packed in, and the kernels that multiply them.
struct weight_formats {
    enum format patch; // the patch embedding and what is too narrow for int8
    enum format block; // the four matrices of a block
    const struct kernels *kernels;
};

// data-less tensors of `map` are made from `seed`. NaN and infinities are VDT_ERROR_NUMERIC.
int weights_open(struct weights *weights, struct memory *memory, struct pool *pool,
                 const struct weight_formats *formats, const struct geometry *geometry,
                 const struct family *family, const struct tensor_map *map, uint64_t seed,
                 vdt_error *error);
void weights_close(struct weights *weights);

#endif
