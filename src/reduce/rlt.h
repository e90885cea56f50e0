// RLT, run-length tokenization (Choudhury et al. 2024, arXiv 2411.05222): which tubelets of a clip enter
// the first block.
//
// The score of a tubelet is the mean difference, in normalised pixels, between its last frame and the first
// frame of the one it is compared with (section 3.1):
//
//     keep iff S > tau R 3 p p        S, R: difference.h
//
// Kept tubelets alone are embedded, each with the position of its place in the clip. The bytes are read here
// once and again where kept tubelets become rows: packing needs every clip's number of tokens before the first
// row has its place, and the pass over the bytes costs less than a thousandth of a dense clip.
#ifndef VIDETTE_REDUCE_RLT_H
#define VIDETTE_REDUCE_RLT_H

#include "nn/patch_embed.h"
#include "reduce/difference.h"
#include "reduce/sequence.h"

struct rlt {
    vdt_rlt_options options;
    struct patch_grid grid;
    size_t tubelet, patch, prefix; // s, p; tokens before the patches
    struct pixel_scale scale;
    uint8_t *mask;  // (clips, patches) 1: kept
    uint64_t *keys; // (clips, patches) the order of what is kept within a budget
};

// The options against their ranges, the clip's shape and the model; `has_table`: it holds a table of length
// embeddings.
int rlt_check(const struct rlt *rlt, bool has_table, vdt_error *error);

void rlt_layout(struct rlt *rlt, struct arena *arena, size_t clips);

// Decides for all clips: indices, lengths, kept, source, starts, sizes of the sequence.
void rlt_decide(struct exec *exec, const struct rlt *rlt, const vdt_clip *clips,
                struct sequence *sequence);

#endif
