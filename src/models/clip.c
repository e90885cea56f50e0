// The vision tower of CLIP (Radford et al. 2021): a norm before the first block, none over the
// tokens after the last; the class token alone is normalised and projected. Its classifier reads
// the mean of the patches.
#include "models/clip_block.h"
#include "models/families.h"

// clang-format off
static const struct tensor_rule rules[] = {
    {SLOT_PATCH_WEIGHT, RULE_TENSOR, {DIM_D, DIM_CHANNELS, DIM_PATCH, DIM_PATCH}, NEED_ALWAYS, 0,
     {"embeddings.patch_embedding.weight"}},
    {SLOT_CLASS_TOKEN, RULE_TENSOR, {DIM_D}, NEED_ALWAYS, 0, {"embeddings.class_embedding"}},
    {SLOT_POSITIONS, RULE_TENSOR, {DIM_POSITIONS, DIM_D}, NEED_ALWAYS, 0,
     {"embeddings.position_embedding.weight"}},
    {SLOT_PRE_NORM_WEIGHT, RULE_PAIR, {DIM_D}, NEED_ALWAYS, 0, {"pre_layrnorm"}}, // sic
    {SLOT_NORM_WEIGHT, RULE_PAIR, {DIM_D}, NEED_ALWAYS, 0, {"post_layernorm"}},
    {SLOT_PROJECTION_WEIGHT, RULE_TENSOR, {DIM_PROJECTION, DIM_D}, NEED_OPTIONAL, 0,
     {"visual_projection.weight"}},
    {SLOT_CLASSIFIER_WEIGHT, RULE_PAIR, {DIM_LABELS, DIM_D}, NEED_OPTIONAL, 0, {"classifier"}},
};
// clang-format on
static const struct rule_table table = RULE_TABLE(rules);

static void configure(struct geometry *geometry, struct config *config) {
    *geometry = (struct geometry){
        .frames = 1,
        .tubelet = 1,
        .height = 224,
        .width = 224,
        .patch = 32,
        .d = 768,
        .blocks = 12,
        .heads = 12,
        .mlp = 3072,
        .class_tokens = 1,
        .eps = 1e-5f,
        .activation = ACTIVATION_GELU_QUICK,
        .qkv_bias = true,
        .positions = POSITION_BICUBIC,
        .final_norm = FINAL_NORM_READOUT,
        .classifier = READ_MEAN,
        .pooled = READ_FIRST,
    };
    struct config vision = clip_vision_config(config);
    geometry_read_common(geometry, &vision);
    // A tower's own width; a whole CLIP says it beside its two towers.
    geometry->projection = config_size(&vision, "projection_dim", 512, 1, LIMIT_D);
    config->status = vision.status;
    geometry->projection = config_size(config, "projection_dim", geometry->projection, 1, LIMIT_D);
}

const struct family family_clip = {
    .name = "clip",
    .model_types = {"clip", "clip_vision_model"},
    .prefix = "vision_model.",
    .processor_class = "CLIP",
    .tables = {&clip_block_table, &table},
    .unused = {"text_model.*", "text_projection.weight", "logit_scale", "embeddings.position_ids"},
    .configure = configure,
};
