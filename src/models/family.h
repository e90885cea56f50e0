// What a family of models is: how its config becomes a geometry, and which tensors it has.
//
// All families share one pre-norm encoder (encoder.h). A family is data: a row of the registry with
// a config check, a table of tensor rules and a few switches of the geometry. To add one, write
// <family>.c with its table and list it in registry.c; docs/models.md walks through an example.
#ifndef VIDETTE_MODELS_FAMILY_H
#define VIDETTE_MODELS_FAMILY_H

#include "core/tensor.h"
#include "format/hfconfig.h"
#include "kernels/kernels.h"

enum {
    LIMIT_SIDE = 8192,
    LIMIT_PATCH = 256,
    LIMIT_WINDOW = 256,
    LIMIT_FRAMES = 1024,
    LIMIT_D = 16384,
    LIMIT_BLOCKS = 512
};

enum position_kind {
    POSITION_SINUSOID,          // made from the config; no table, no other size
    POSITION_FIXED,             // a table that belongs to one size
    POSITION_BICUBIC,           // a table over a grid, resized without antialiasing
    POSITION_BICUBIC_ANTIALIAS, // a table over a grid, resized with antialiasing
    POSITION_NONE,              // none
};

// A vector read from a clip's tokens after the last block.
enum readout {
    READ_FIRST,          // the first token: the class token where there is one
    READ_MEAN,           // mean over the patches
    READ_CLASS_AND_MEAN, // both, one after the other
    READ_ATTENTION_POOL, // a learned query attends to all tokens
};

enum final_norm {
    FINAL_NORM_TOKENS,  // over all tokens
    FINAL_NORM_READOUT, // only over the class token that is read out (CLIP)
    FINAL_NORM_NONE,
};

// Everything the encoder needs to know of a model, in the letters of the papers where they have
// one.
struct geometry {
    size_t frames, tubelet;                              // T, s
    size_t height, width, patch;                         // of the config, pixels; p
    size_t d, blocks, heads, mlp;                        // D, L, H, inner width of the MLP
    size_t class_tokens, distillation_tokens, registers; // the prefix, in this order
    size_t labels;     // 0: no classifier, or as many as its tensor has rows
    size_t projection; // width of the projection of the pooled output (CLIP); 0: none
    float eps;
    enum activation activation;
    bool gated; // SwiGLU
    bool qkv_bias;
    bool masked_pretraining; // MAE: ToMe's attention is plain unless asked for
    enum position_kind positions;
    size_t table_height,
        table_width;             // pixels that the table of positions is made for; 0: height, width
    size_t table_prefix;         // rows of the table, before the patches', that no token takes
    size_t window;               // side of attention windows in tokens; 0: none
    bool windowed[LIMIT_BLOCKS]; // the blocks that attend within windows
    size_t temporal_blocks;      // of a second encoder, over the class tokens of the snippets of
                                 // `tubelet` frames that a clip consists of; 0: none
    bool relative;               // decomposed relative positions
    bool
        relative_gathered; // at another size, the table of all pairs is resized, not that of distances
    enum final_norm final_norm;
    enum readout classifier; // what the classifier reads
    enum readout pooled;     // what VDT_POOL_HEAD gives
};

/* ---- tensors ------------------------------------------------------------------------------- */

// clang-format off
enum slot { // where a tensor goes; a bias stands right behind its weight
    SLOT_PATCH_WEIGHT, SLOT_PATCH_BIAS, SLOT_CLASS_TOKEN, SLOT_DISTILLATION_TOKEN, SLOT_REGISTERS,
    SLOT_POSITIONS, SLOT_PRE_NORM_WEIGHT, SLOT_PRE_NORM_BIAS, SLOT_NORM_WEIGHT, SLOT_NORM_BIAS,
    SLOT_FC_NORM_WEIGHT, SLOT_FC_NORM_BIAS, SLOT_POOLER_WEIGHT, SLOT_POOLER_BIAS,
    SLOT_CLASSIFIER_WEIGHT, SLOT_CLASSIFIER_BIAS, SLOT_CLASSIFIER2_WEIGHT, SLOT_CLASSIFIER2_BIAS,
    SLOT_PROJECTION_WEIGHT, SLOT_PROBE, SLOT_PROBE_QKV_WEIGHT, SLOT_PROBE_QKV_BIAS,
    SLOT_PROBE_PROJ_WEIGHT, SLOT_PROBE_PROJ_BIAS, SLOT_PROBE_NORM_WEIGHT, SLOT_PROBE_NORM_BIAS,
    SLOT_PROBE_FC1_WEIGHT, SLOT_PROBE_FC1_BIAS, SLOT_PROBE_FC2_WEIGHT, SLOT_PROBE_FC2_BIAS,
    SLOT_LENGTH_EMBEDDING,
    SLOT_TEMPORAL_CLASS, SLOT_TEMPORAL_POSITIONS, SLOT_TEMPORAL_NORM_WEIGHT, SLOT_TEMPORAL_NORM_BIAS,
    MODEL_SLOTS, // those above are one a model, those below one a block
    SLOT_NORM1_WEIGHT = MODEL_SLOTS, SLOT_NORM1_BIAS, SLOT_QKV_WEIGHT, SLOT_QKV_BIAS,
    SLOT_Q_WEIGHT, SLOT_Q_BIAS, SLOT_K_WEIGHT, SLOT_K_BIAS, SLOT_V_WEIGHT, SLOT_V_BIAS,
    SLOT_PROJ_WEIGHT, SLOT_PROJ_BIAS, SLOT_SCALE1, SLOT_NORM2_WEIGHT, SLOT_NORM2_BIAS,
    SLOT_FC1_WEIGHT, SLOT_FC1_BIAS, SLOT_GATE_WEIGHT, SLOT_GATE_BIAS, SLOT_UP_WEIGHT, SLOT_UP_BIAS,
    SLOT_FC2_WEIGHT, SLOT_FC2_BIAS, SLOT_SCALE2, SLOT_RELATIVE_H, SLOT_RELATIVE_W,
    SLOTS,
    BLOCK_SLOTS = SLOTS - MODEL_SLOTS,
};

enum dimension { // of a shape, resolved from the geometry
    DIM_NONE = 0, // past the last
    DIM_1, DIM_CHANNELS, DIM_D, DIM_2D, DIM_3D, DIM_MLP,
    DIM_FC1, // the MLP's width, twice that where it is gated
    DIM_LABELS, DIM_STEPS, // T / s
    DIM_TUBELET, DIM_PATCH, DIM_POSITIONS, DIM_REGISTERS, DIM_PROJECTION,
    DIM_SNIPPETS, // and a class token
    DIM_HEAD, DIM_RELATIVE_H, DIM_RELATIVE_W, // distances in the block's grid or window
};
// clang-format on

enum rule_kind {
    RULE_TENSOR,   // one tensor, named as it is
    RULE_PAIR,     // a weight and a bias: the name with .weight and .bias
    RULE_PAIR_QKV, // the same, where the bias is there only if the config says qkv_bias
};

enum need { // when a rule's tensors must be there
    NEED_ALWAYS,
    NEED_OPTIONAL,  // a pair: both or none
    NEED_WITH,      // where the tensor of slot `other` is
    NEED_UNLESS,    // where the tensor of slot `other` is not; both is an error
    NEED_QKV_BIAS,  // where the config says qkv_bias
    NEED_NORM,      // where the geometry has a final norm
    NEED_POSITIONS, // where the geometry has positions
    NEED_RELATIVE,  // where it has relative ones
};

enum { RULE_NAMES = 4 };

struct tensor_rule {
    enum slot slot; // a pair's weight; its bias goes to the slot behind it
    enum rule_kind kind;
    enum dimension shape[6]; // a pair's weight; its bias has the first of them
    enum need need;
    enum slot other;
    const char *names[RULE_NAMES]; // alternatives, newest last; '#' stands for the block's number
};

struct rule_table {
    const struct tensor_rule *rules;
    size_t n;
    bool temporal; // of the second encoder's blocks, which stand behind the first's
};

#define RULE_TABLE(rules)                                                                          \
    { (rules), sizeof(rules) / sizeof *(rules), false }

enum { FAMILY_TABLES = 4, FAMILY_TYPES = 3, FAMILY_UNUSED = 8 };

struct family {
    const char *name;
    const char *model_types[FAMILY_TYPES]; // of config.json
    const char *prefix;                    // of tensor names, present or not ("vit.")
    const char *processor_class;           // whose defaults apply where the file names none
    const struct rule_table *tables[FAMILY_TABLES];
    const char *unused[FAMILY_UNUSED]; // patterns of tensors that genuine files hold and nothing
                                       // reads; a final '*' matches anything
    // Fills the geometry from the config; sparse configs fall back to the family's defaults.
    // Failures stay in the config.
    void (*configure)(struct geometry *geometry, struct config *config);
};

// Multiply-adds of a token's MLP.
static inline uint64_t geometry_mlp_macs(const struct geometry *geometry) {
    return (geometry->gated ? 3 : 2) * (uint64_t)geometry->d * geometry->mlp;
}

// Frames that one sequence of the encoder takes: a clip, or a snippet of it.
static inline size_t geometry_sequence_frames(const struct geometry *geometry) {
    return geometry->temporal_blocks > 0 ? geometry->tubelet : geometry->frames;
}

// Snippets of a clip; 1 where the encoder takes it whole.
static inline size_t geometry_snippets(const struct geometry *geometry) {
    return geometry->frames / geometry_sequence_frames(geometry);
}

// The tokens before the patches.
static inline size_t geometry_prefix(const struct geometry *geometry) {
    return geometry->class_tokens + geometry->distillation_tokens + geometry->registers;
}

// Rows and columns of tokens that block `block` of the configured size attends over.
void geometry_attention_grid(const struct geometry *geometry, size_t block, size_t *h, size_t *w);

// Fields that families spell alike: hidden_size, num_hidden_layers, num_attention_heads,
// intermediate_size, hidden_act, layer_norm_eps, image_size, patch_size, num_channels, qkv_bias,
// over the defaults already in `geometry`.
void geometry_read_common(struct geometry *geometry, struct config *config);

// ViT and DeiT: the pooler is tanh; another one is refused.
void geometry_check_pooler(struct config *config);

// Relations between fields; failures stay in the config.
void geometry_check(const struct geometry *geometry, struct config *config);

/* ---- registry ------------------------------------------------------------------------------ */

const struct family *family_find(const char *model_type); // NULL: unknown
const struct family *family_at(size_t index);             // NULL past the last

// A named geometry for random weights: a family's defaults with these over them.
struct arch {
    const char *name, *family;
    size_t d, blocks, heads, mlp;
    size_t size;   // pixel side
    size_t labels; // 0: no classifier
};

const struct arch *arch_find(const char *name);
const struct arch *arch_at(size_t index);

#endif
