// The pre-norm transformer encoder that every family runs (Dosovitskiy et al. 2021):
//
//     x = embed(clip)                         patches, positions, class token
//     x = x + attention(norm1 x)              for each block
//     x = x + mlp(norm2 x)
//     norm, read out, classify
//
// A plan says what a run needs: sizes follow from the geometry, the input and the number of clips;
// buffers are laid out in an arena (arena.h), first to count, then to use. Nothing here allocates.
#ifndef VIDETTE_MODELS_ENCODER_H
#define VIDETTE_MODELS_ENCODER_H

#include "core/arena.h"
#include "models/context.h"
#include "models/weights.h"
#include "nn/patch_embed.h"
#include "nn/windows.h"

// What a session is opened for.
struct encoder_options {
    size_t clips;                 // most clips a call
    size_t frames, height, width; // of a clip
    vdt_pool pool;                // features to read out
    size_t layer;                 // 0..L, or ENCODER_LAST
    bool attention_f32;           // attention in f32 whatever the weights' format
};

enum { ENCODER_LAST = LIMIT_BLOCKS + 1 };

struct encoder {
    const struct vdt_context *context;
    const struct geometry *geometry;
    const struct weights *weights;
    const float (*values)[256]; // byte to f32 by channel
    struct encoder_options options;

    struct patch_grid grid;
    size_t patches, prefix, tokens; // of a clip; tokens = prefix + patches
    size_t n_logits, n_features;    // floats a clip
    size_t least_scratch; // bytes a thread that others than the encoder want; set before the layout
    size_t feature_shape[4], feature_dimensions;

    // Buffers, for n = clips * tokens rows.
    float *prefix_rows; // (prefix, D): tokens with their positions
    float *positions;   // (patches, D)
    float *x;           // (n, D) residual stream
    float *y;        // (n, D) final norm; before that, what the heads have mixed, in mixed's format
    struct rows qkv; // (n, 3D), in the format of the attention's products
    struct rows mixed;        // (n, D), in y
    float *kv;                // (n, 2D) of the attention pool; shares memory with qkv
    void *panels;             // attention's workspace
    void *pool_panels;        // that of the attention pool
    float *read;              // (clips, 2D)
    float *pooled;            // (clips, max(D, projection))
    float *small;             // (clips, 2D)
    float *logits;            // (clips, labels)
    size_t *starts, *singles; // (clips + 1)
    struct windows windows;   // side 0: none
    unsigned char *padding;   // (blocks, 3D) what qkv makes of a padding row, in its format
    struct relative_positions *relative; // (blocks); NULL: none
    float *table; // workspace of tables of relative positions, while they are made
    void *encoded_table;
    struct exec exec;
};

// Fills the plan: sizes and checks, no buffers.
int encoder_plan(struct encoder *encoder, const struct vdt_context *context,
                 const struct geometry *geometry, const struct weights *weights,
                 const struct encoder_options *options, vdt_error *error);

// Takes every buffer from the arena.
void encoder_layout(struct encoder *encoder, struct arena *arena);

// Fills what stays the same from call to call: positions, prefix, starts. After a layout with
// memory.
void encoder_prepare(struct encoder *encoder);

// Runs n_clips clips. Either output may be NULL; strides in floats.
int encoder_forward(struct encoder *encoder, const vdt_clip *clips, size_t n_clips, float *logits,
                    size_t logits_stride, float *features, size_t features_stride, vdt_stats *stats,
                    vdt_error *error);

// The parts of a run, for those who put one together otherwise. Features of x (clips * tokens, D), the input
// of a block; and what comes after the last one, of encoder->x: features of the last layer or the head into
// features, logits into encoder->logits.
void encoder_read_features(struct encoder *encoder, const float *tokens, size_t n_clips,
                           float *features, size_t stride);
void encoder_finish(struct encoder *encoder, size_t n_clips, bool logits, float *features,
                    size_t features_stride);

// The patch embedding of this plan.
struct patch_embed encoder_patch_embed(const struct encoder *encoder);

// How the tokens of the first n_clips clips attend in a block. The caller sets nothing more.
struct attention_shape encoder_attention_shape(const struct encoder *encoder, size_t block,
                                               size_t n_clips);

// Multiply-adds of one clip, by formula: linear layers, attention products, patch embedding, head.
uint64_t encoder_macs(const struct encoder *encoder);

#endif
