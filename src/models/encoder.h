// The pre-norm transformer encoder that every family runs (Dosovitskiy et al. 2021):
//
//     x = embed(clip)                         patches, positions, class token
//     x = x + attention(norm1 x)              for each block
//     x = x + mlp(norm2 x)
//     norm, read out, classify
//
// Where only the first tokens are read after the last block (a class token's), that block multiplies no other row
// than theirs, but for the keys and values that they attend to.
//
// With reduction, RLT decides which patches are embedded, and ToMe merges tokens between the two lines of a
// block; `sequence` says which rows are whose. Without, the same code runs with every token a row.
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
#include "reduce/rlt.h"
#include "reduce/tome.h"

// What a session is opened for.
struct encoder_options {
    size_t clips;                 // most clips a call
    size_t frames, height, width; // of a clip
    vdt_pool pool;                // features to read out
    size_t layer;                 // 0..L, or ENCODER_LAST
    bool attention_f32;           // attention in f32 whatever the weights' format
    vdt_rlt_options rlt;
    vdt_tome_options tome;
    struct pixel_scale scale; // of the processor
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
    size_t read_rows;               // of a clip, its first ones: all that are read after the last
                                    // block; 0: others, too
    size_t n_logits, n_features;    // floats a clip
    size_t least_scratch; // bytes a thread that others than the encoder want; set before the layout
    size_t feature_shape[4], feature_dimensions;

    struct rlt rlt;
    struct tome tome;
    bool bias_keys, weigh_means; // by the tokens' sizes
    bool int8_scores;            // of the blocks' attention

    // Buffers, for n = clips * tokens rows.
    struct sequence sequence;
    uint32_t *layers;    // (clips, L) tokens left after each block, of the last run
    uint64_t *clip_macs; // (clips) of the last run
    uint64_t *dense_macs;
    float *prefix_rows; // (prefix, D): tokens with their positions
    float *positions;   // (patches, D)
    float *x;           // (n, D) residual stream; merging makes it trade places with y
    float *y;        // (n, D) final norm; before that, what the heads have mixed, in mixed's format
    struct rows qkv; // (n, 3D), in the format of the attention's products
    struct rows mixed;      // (n, D), in y
    float *kv;              // (n, 2D) of the attention pool; shares memory with qkv
    void *panels;           // attention's workspace
    void *pool_panels;      // that of the attention pool
    float *read;            // (clips, 2D)
    float *pooled;          // (clips, max(D, projection))
    float *small;           // (clips, 2D)
    float *logits;          // (clips, labels)
    size_t *singles;        // (clips + 1)
    size_t *read_starts;    // (clips + 1), and
    uint32_t *read_queries; // (clips * read_rows): the rows of each clip that are read
    struct windows windows; // side 0: none
    unsigned char *padding; // (blocks, 3D) what qkv makes of a padding row, in its format
    struct relative_positions *relative; // (blocks); NULL: none
    float *table; // workspace of tables of relative positions, while they are made
    void *encoded_table;
    struct exec exec;
    double merge_ms;      // of this run
    uint64_t macs_unread; // of this run: what rows that nothing reads would have taken
};

// Fills the plan: sizes and checks, no buffers.
int encoder_plan(struct encoder *encoder, const struct vdt_context *context,
                 const struct geometry *geometry, const struct weights *weights,
                 const struct encoder_options *options, vdt_error *error);

// Changes RLT's options in a plan that has its buffers (RLT was not off), or while it is made.
int encoder_set_rlt(struct encoder *encoder, const vdt_rlt_options *options, vdt_error *error);

// Takes every buffer from the arena.
void encoder_layout(struct encoder *encoder, struct arena *arena);

// Fills what stays the same from call to call: positions, prefix, the merging schedule. After a layout
// with memory.
void encoder_prepare(struct encoder *encoder);

// Runs n_clips clips. Either output may be NULL; strides in floats.
int encoder_forward(struct encoder *encoder, const vdt_clip *clips, size_t n_clips, float *logits,
                    size_t logits_stride, float *features, size_t features_stride, vdt_stats *stats,
                    vdt_error *error);

// The parts of a run, for those who put one together otherwise. Features of x (clips * tokens, D), the input
// of a block; and what comes after the last one, of encoder->x: features of the last layer or the head into
// features, logits into encoder->logits.
void encoder_read_features(struct encoder *encoder, const float *tokens, float *features,
                           size_t stride);
void encoder_finish(struct encoder *encoder, size_t n_clips, bool logits, float *features,
                    size_t features_stride);

// The patch embedding of this plan.
struct patch_embed encoder_patch_embed(const struct encoder *encoder);

// How the rows of the sequence attend in a block.
struct attention_shape encoder_attention_shape(const struct encoder *encoder, size_t block);

// Sets the row of qkv behind all tokens: what the block makes of padding.
void encoder_set_padding(struct encoder *encoder, size_t block);

// Multiply-adds that are left out of a clip of n tokens where outputs read its first ones alone.
uint64_t encoder_macs_unread(const struct encoder *encoder, size_t n);

// Multiply-adds of one dense clip, by formula: linear layers, attention products, patch embedding, head.
uint64_t encoder_macs(const struct encoder *encoder);

// What the reduction makes of a clip, as far as that is known before seeing it: at most. After a prepare.
struct expectation {
    size_t kept, final; // tokens entering block 1, after the last
    uint64_t macs;
};

struct expectation encoder_expect(const struct encoder *encoder);

// The same without the head for a clip of `kept` tokens, of which layers[i] are left after block i; NULL: all
// of them, always.
uint64_t encoder_block_macs(const struct encoder *encoder, size_t kept, const uint32_t *layers);

#endif
