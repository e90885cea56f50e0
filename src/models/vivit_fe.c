// ViViT's factorised encoder (Arnab et al. 2021, model 2), as Eventful transformers run it: a ViT over each
// snippet of two frames, then a small transformer over the snippets' class tokens. No class of transformers
// writes it: the directory's form is Vidette's own.
#include "models/families.h"

#define SPATIAL(name)  "spatial.layer.#." name
#define TEMPORAL(name) "temporal.layer.#." name

// clang-format off

// The tensors of a block, under its encoder's name.
#define BLOCK(NAME)                                                                             \
    {SLOT_NORM1_WEIGHT, RULE_PAIR, {DIM_D}, NEED_ALWAYS, 0, {NAME("norm1")}},                   \
    {SLOT_QKV_WEIGHT, RULE_PAIR, {DIM_3D, DIM_D}, NEED_ALWAYS, 0, {NAME("attention.qkv")}},     \
    {SLOT_PROJ_WEIGHT, RULE_PAIR, {DIM_D, DIM_D}, NEED_ALWAYS, 0, {NAME("attention.proj")}},    \
    {SLOT_NORM2_WEIGHT, RULE_PAIR, {DIM_D}, NEED_ALWAYS, 0, {NAME("norm2")}},                   \
    {SLOT_FC1_WEIGHT, RULE_PAIR, {DIM_MLP, DIM_D}, NEED_ALWAYS, 0, {NAME("mlp.fc1")}},          \
    {SLOT_FC2_WEIGHT, RULE_PAIR, {DIM_D, DIM_MLP}, NEED_ALWAYS, 0, {NAME("mlp.fc2")}}

static const struct tensor_rule rules[] = {
    {SLOT_PATCH_WEIGHT, RULE_PAIR, {DIM_D, DIM_CHANNELS, DIM_TUBELET, DIM_PATCH, DIM_PATCH}, NEED_ALWAYS, 0,
     {"embeddings.projection"}},
    {SLOT_CLASS_TOKEN, RULE_TENSOR, {DIM_1, DIM_1, DIM_D}, NEED_ALWAYS, 0, {"spatial.cls_token"}},
    {SLOT_POSITIONS, RULE_TENSOR, {DIM_1, DIM_POSITIONS, DIM_D}, NEED_ALWAYS, 0,
     {"spatial.position_embeddings"}},
    {SLOT_NORM_WEIGHT, RULE_PAIR, {DIM_D}, NEED_ALWAYS, 0, {"spatial.norm"}},
    {SLOT_TEMPORAL_CLASS, RULE_TENSOR, {DIM_1, DIM_1, DIM_D}, NEED_ALWAYS, 0, {"temporal.cls_token"}},
    {SLOT_TEMPORAL_POSITIONS, RULE_TENSOR, {DIM_1, DIM_SNIPPETS, DIM_D}, NEED_ALWAYS, 0,
     {"temporal.position_embeddings"}},
    {SLOT_TEMPORAL_NORM_WEIGHT, RULE_PAIR, {DIM_D}, NEED_ALWAYS, 0, {"temporal.norm"}},
    {SLOT_CLASSIFIER_WEIGHT, RULE_PAIR, {DIM_LABELS, DIM_D}, NEED_OPTIONAL, 0, {"classifier"}},
};

static const struct tensor_rule spatial_rules[] = {BLOCK(SPATIAL)};
static const struct tensor_rule temporal_rules[] = {BLOCK(TEMPORAL)};
// clang-format on

static const struct rule_table table = RULE_TABLE(rules);
static const struct rule_table spatial_table = RULE_TABLE(spatial_rules);
static const struct rule_table temporal_table = {
    temporal_rules, sizeof temporal_rules / sizeof *temporal_rules, true};

static void read_tubelet(struct geometry *geometry, struct config *config) {
    size_t tubelet[3] = {2, 16, 16};
    if (config_has(config, "tubelet_size"))
        config_sizes(config, "tubelet_size", tubelet, 3, 16, 1, LIMIT_PATCH);
    if (tubelet[1] != tubelet[2])
        config_fail(config, VDT_ERROR_UNSUPPORTED, "tubelet_size: expected square patches");
    geometry->tubelet = tubelet[0];
    geometry->patch = tubelet[1];
}

static void configure(struct geometry *geometry, struct config *config) {
    *geometry = (struct geometry){
        .height = 224,
        .width = 224,
        .patch = 16,
        .d = 768,
        .heads = 12,
        .mlp = 3072,
        .class_tokens = 1,
        .eps = 1e-6f,
        .activation = ACTIVATION_GELU,
        .qkv_bias = true,
        .positions = POSITION_BICUBIC,
        .final_norm = FINAL_NORM_READOUT,
        .classifier = READ_FIRST,
        .pooled = READ_FIRST,
    };
    geometry_read_common(geometry, config);
    read_tubelet(geometry, config);
    geometry->frames = config_size(config, "num_frames", 32, 1, LIMIT_FRAMES);
    geometry->blocks = config_size(config, "spatial_layers", 12, 1, LIMIT_BLOCKS);
    geometry->temporal_blocks = config_size(config, "temporal_layers", 4, 1, LIMIT_BLOCKS);
}

const struct family family_vivit_fe = {
    .name = "vivit_fe",
    .model_types = {"vivit_fe"},
    .prefix = "vivit_fe.",
    .processor_class = "FactorisedVivit",
    .tables = {&table, &spatial_table, &temporal_table},
    .unused = {},
    .configure = configure,
};
