// Patch embedding: a convolution whose stride is its kernel, as a matrix product.
//
// A token is a tubelet of s frames x p x p pixels. Its bytes become f32 through a table (the
// processor's arithmetic, exactly) in the order they lie in memory, (frame, row, column, channel),
// and meet weights permuted to that order when they were loaded. Patches are made a few rows at a
// time in scratch memory: the whole matrix of patches is never in memory.
#ifndef VIDETTE_NN_PATCH_EMBED_H
#define VIDETTE_NN_PATCH_EMBED_H

#include "ops/ops.h"

struct patch_embed {
    struct gemm *projection;    // (D, s p p 3)
    size_t tubelet, patch;      // s, p
    const float (*values)[256]; // [3][256]: byte to f32 by channel
};

// The tokens of one clip: t x h x w in this order; pixels beyond h p, w p are ignored.
struct patch_grid {
    size_t t, h, w;
};

// Which patches of each clip become rows, and what is added to them. Clip b's rows are [starts[b], starts[b
// + 1]); the first `prefix` of them are no patches and are left alone; row i of the clip is token
// indices[b * tokens + i] of its tokens = prefix + t h w.
struct patch_rows {
    size_t tokens, prefix;
    const size_t *starts;     // (clips + 1)
    const uint32_t *indices;  // (clips, tokens)
    const uint32_t *lengths;  // (clips, tokens), as indices
    const float *positions;   // (t h w, D)
    const float *length_rows; // (.., D): row length - 1 is added; NULL: none
};

// x (starts[n_clips], D): rows <- positions + projection(patches), for the listed patches alone: no other
// byte is read. Scratch: patch_embed_scratch_bytes.
void patch_embed_forward(struct exec *exec, const struct patch_embed *embed, float *x,
                         const struct patch_rows *rows, const vdt_clip *clips, size_t n_clips,
                         const struct patch_grid *grid);

size_t patch_embed_scratch_bytes(const struct gemm *projection);

// to[o][t][y][x][c] = from[o][c][t][y][x] for n_out filters of s p p pixels and 3 channels.
void patch_embed_permute(float *to, const float *from, size_t n_out, size_t tubelet, size_t patch);

#endif
