// A factorised encoder (Arnab et al. 2021, ViViT's model 2): the encoder reads snippets of a clip, one
// sequence each; a second, small transformer reads the snippets' class tokens.
//
//     z_i = class token of encoder(snippet i), normalised
//     x   = [class, z_1, z_2, ...] + positions
//     x   = x + attention(norm1 x),  x = x + mlp(norm2 x)      for each temporal block
//     classifier(norm x[0])
//
// A stream's window is the last z_i; while fewer have come than a clip has, those that there are.
#ifndef VIDETTE_MODELS_FACTORISED_H
#define VIDETTE_MODELS_FACTORISED_H

#include "models/encoder.h"

struct factorised {
    struct encoder *encoder; // of the snippets; clips * snippets sequences
    size_t clips, snippets;  // most clips a call; of a clip
    size_t n_logits, n_features;
    vdt_clip *parts; // (clips * snippets)
    float *x;        // (clips * (1 + snippets), D)
    float *read;     // (clips, D)
    float *logits;   // (clips, labels)
    size_t *starts;  // (clips + 1)
};

// After encoder_plan for clips * snippets sequences of one snippet each. pool: none, CLASS or HEAD of the
// last layer.
int factorised_plan(struct factorised *factorised, struct encoder *encoder, size_t clips,
                    vdt_pool pool, size_t layer, vdt_error *error);
void factorised_layout(struct factorised *factorised, struct arena *arena);

// Runs n_clips clips; outputs as encoder_forward's.
int factorised_forward(struct factorised *factorised, const vdt_clip *clips, size_t n_clips,
                       float *logits, size_t logits_stride, float *features, size_t features_stride,
                       vdt_stats *stats, vdt_error *error);

// The second encoder alone, over one window of n <= snippets rows z (n, D), normalised class tokens.
void factorised_window(struct factorised *factorised, const float *z, size_t n, float *logits,
                       float *features);

// Multiply-adds of the second encoder over one clip.
uint64_t factorised_macs(const struct factorised *factorised);

// The same by the counting rule of the Eventful paper (stream_count.h).
uint64_t factorised_count(const struct factorised *factorised, size_t n);

#endif
