// ViTDet's backbone (Li et al. 2022, "Exploring plain vision transformer backbones for object detection"):
// a ViT without class token or final norm, most of whose blocks attend within windows of the grid, with
// decomposed relative positions; its absolute positions are those of the pretraining's size, resized.
#include <string.h>

#include "models/families.h"

#define BLOCK(name) "encoder.layer.#." name

// clang-format off
static const struct tensor_rule rules[] = {
    {SLOT_PATCH_WEIGHT, RULE_PAIR, {DIM_D, DIM_CHANNELS, DIM_PATCH, DIM_PATCH}, NEED_ALWAYS, 0,
     {"embeddings.projection"}},
    {SLOT_POSITIONS, RULE_TENSOR, {DIM_1, DIM_POSITIONS, DIM_D}, NEED_POSITIONS, 0,
     {"embeddings.position_embeddings"}},
    {SLOT_NORM1_WEIGHT, RULE_PAIR, {DIM_D}, NEED_ALWAYS, 0, {BLOCK("norm1")}},
    {SLOT_QKV_WEIGHT, RULE_PAIR_QKV, {DIM_3D, DIM_D}, NEED_ALWAYS, 0, {BLOCK("attention.qkv")}},
    {SLOT_PROJ_WEIGHT, RULE_PAIR, {DIM_D, DIM_D}, NEED_ALWAYS, 0, {BLOCK("attention.proj")}},
    {SLOT_RELATIVE_H, RULE_TENSOR, {DIM_RELATIVE_H, DIM_HEAD}, NEED_RELATIVE, 0,
     {BLOCK("attention.rel_pos_h")}},
    {SLOT_RELATIVE_W, RULE_TENSOR, {DIM_RELATIVE_W, DIM_HEAD}, NEED_RELATIVE, 0,
     {BLOCK("attention.rel_pos_w")}},
    {SLOT_NORM2_WEIGHT, RULE_PAIR, {DIM_D}, NEED_ALWAYS, 0, {BLOCK("norm2")}},
    {SLOT_FC1_WEIGHT, RULE_PAIR, {DIM_MLP, DIM_D}, NEED_ALWAYS, 0, {BLOCK("mlp.fc1")}},
    {SLOT_FC2_WEIGHT, RULE_PAIR, {DIM_D, DIM_MLP}, NEED_ALWAYS, 0, {BLOCK("mlp.fc2")}},
};
// clang-format on
static const struct rule_table table = RULE_TABLE(rules);

// Without a file: windows of 14 in all blocks but every third, as in the paper.
static void default_windows(struct geometry *geometry) {
    geometry->window = 14;
    for (size_t i = 0; i < LIMIT_BLOCKS; i++) geometry->windowed[i] = i % 3 != 2;
    geometry->relative = true;
}

static void read_windows(struct geometry *geometry, struct config *config) {
    geometry->window = config_size(config, "window_size", 0, 0, LIMIT_WINDOW);
    config_flags(config, "window_block_indices", geometry->windowed, geometry->blocks);
    geometry->relative = config_bool(config, "use_relative_position_embeddings", false);
    bool residual[LIMIT_BLOCKS];
    config_flags(config, "residual_block_indices", residual, geometry->blocks);
    for (size_t i = 0; i < geometry->blocks; i++) {
        if (residual[i]) {
            config_fail(config, VDT_ERROR_UNSUPPORTED,
                        "residual_block_indices: expected none, found block %zu", i);
        }
    }
    const char *resize = config_string(config, "rel_pos_resize", "linear");
    geometry->relative_gathered = strcmp(resize, "gathered_bicubic") == 0;
    if (!geometry->relative_gathered && strcmp(resize, "linear") != 0) {
        config_fail(config, VDT_ERROR_UNSUPPORTED,
                    "rel_pos_resize: expected linear or gathered_bicubic, found %s", resize);
    }
}

static void configure(struct geometry *geometry, struct config *config) {
    *geometry = (struct geometry){
        .frames = 1,
        .tubelet = 1,
        .height = 224,
        .width = 224,
        .patch = 16,
        .d = 768,
        .blocks = 12,
        .heads = 12,
        .eps = 1e-6f,
        .activation = ACTIVATION_GELU,
        .qkv_bias = true,
        .positions = POSITION_BICUBIC,
        .table_prefix = 1,
        .final_norm = FINAL_NORM_NONE,
        .classifier = READ_FIRST,
        .pooled = READ_MEAN,
    };
    geometry_read_common(geometry, config);
    geometry->mlp =
        (size_t)((double)geometry->d * config_number(config, "mlp_ratio", 4.0, 0.01, 64.0));
    size_t pretrain[2];
    config_sizes(config, "pretrain_image_size", pretrain, 2, 224, geometry->patch, LIMIT_SIDE);
    geometry->table_height = pretrain[0];
    geometry->table_width = pretrain[1];
    if (!config_bool(config, "use_absolute_position_embeddings", true))
        geometry->positions = POSITION_NONE;
    if (config->object)
        read_windows(geometry, config);
    else
        default_windows(geometry);
}

const struct family family_vitdet = {
    .name = "vitdet",
    .model_types = {"vitdet"},
    .prefix = "vitdet.",
    .processor_class = "VitDet",
    .tables = {&table},
    .unused = {},
    .configure = configure,
};
