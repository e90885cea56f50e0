// The vision tower of SigLIP (Zhai et al. 2023) and of fixed-resolution SigLIP 2: no class token, a
// learned probe pools the tokens by attention (without a residual from the probe). Its classifier
// reads the mean.
#include "models/clip_block.h"
#include "models/families.h"

// clang-format off
static const struct tensor_rule rules[] = {
    {SLOT_PATCH_WEIGHT, RULE_PAIR, {DIM_D, DIM_CHANNELS, DIM_PATCH, DIM_PATCH}, NEED_ALWAYS, 0,
     {"embeddings.patch_embedding"}},
    {SLOT_POSITIONS, RULE_TENSOR, {DIM_POSITIONS, DIM_D}, NEED_ALWAYS, 0,
     {"embeddings.position_embedding.weight"}},
    {SLOT_NORM_WEIGHT, RULE_PAIR, {DIM_D}, NEED_ALWAYS, 0, {"post_layernorm"}},
    {SLOT_PROBE, RULE_TENSOR, {DIM_1, DIM_1, DIM_D}, NEED_OPTIONAL, 0, {"head.probe"}},
    {SLOT_PROBE_QKV_WEIGHT, RULE_TENSOR, {DIM_3D, DIM_D}, NEED_WITH, SLOT_PROBE,
     {"head.attention.in_proj_weight"}},
    {SLOT_PROBE_QKV_BIAS, RULE_TENSOR, {DIM_3D}, NEED_WITH, SLOT_PROBE,
     {"head.attention.in_proj_bias"}},
    {SLOT_PROBE_PROJ_WEIGHT, RULE_PAIR, {DIM_D, DIM_D}, NEED_WITH, SLOT_PROBE,
     {"head.attention.out_proj"}},
    {SLOT_PROBE_NORM_WEIGHT, RULE_PAIR, {DIM_D}, NEED_WITH, SLOT_PROBE, {"head.layernorm"}},
    {SLOT_PROBE_FC1_WEIGHT, RULE_PAIR, {DIM_MLP, DIM_D}, NEED_WITH, SLOT_PROBE, {"head.mlp.fc1"}},
    {SLOT_PROBE_FC2_WEIGHT, RULE_PAIR, {DIM_D, DIM_MLP}, NEED_WITH, SLOT_PROBE, {"head.mlp.fc2"}},
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
        .patch = 16,
        .d = 768,
        .blocks = 12,
        .heads = 12,
        .mlp = 3072,
        .eps = 1e-6f,
        .activation = ACTIVATION_GELU_TANH,
        .qkv_bias = true,
        .positions = POSITION_BICUBIC,
        .final_norm = FINAL_NORM_TOKENS,
        .classifier = READ_MEAN,
        .pooled = READ_ATTENTION_POOL,
    };
    struct config vision = clip_vision_config(config);
    geometry_read_common(geometry, &vision);
    config->status = vision.status;
}

const struct family family_siglip = {
    .name = "siglip",
    .model_types = {"siglip", "siglip_vision_model"},
    .prefix = "vision_model.",
    .processor_class = "Siglip",
    .tables = {&clip_block_table, &table},
    .unused = {"text_model.*", "logit_*", "embeddings.position_ids"},
    .configure = configure,
};
