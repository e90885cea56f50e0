// VideoMAE (Tong et al. 2022): joint space-time attention over tubelets, sinusoid positions, no
// class token; the mean over the tokens is normalised and classified. Keys have no bias of their
// own (one that a file holds is used).
#include "models/families.h"
#include "models/vit_names.h"

#define QKV(name) "encoder.layer.#.attention.attention." name

// clang-format off
static const struct tensor_rule rules[] = {
    {SLOT_PATCH_WEIGHT, RULE_PAIR, {DIM_D, DIM_CHANNELS, DIM_TUBELET, DIM_PATCH, DIM_PATCH},
     NEED_ALWAYS, 0, {"embeddings.patch_embeddings.projection"}},
    {SLOT_Q_WEIGHT, RULE_TENSOR, {DIM_D, DIM_D}, NEED_ALWAYS, 0, {QKV("query.weight")}},
    {SLOT_Q_BIAS, RULE_TENSOR, {DIM_D}, NEED_QKV_BIAS, 0, {QKV("q_bias"), QKV("query.bias")}},
    {SLOT_K_WEIGHT, RULE_TENSOR, {DIM_D, DIM_D}, NEED_ALWAYS, 0, {QKV("key.weight")}},
    {SLOT_K_BIAS, RULE_TENSOR, {DIM_D}, NEED_OPTIONAL, 0, {QKV("key.bias")}},
    {SLOT_V_WEIGHT, RULE_TENSOR, {DIM_D, DIM_D}, NEED_ALWAYS, 0, {QKV("value.weight")}},
    {SLOT_V_BIAS, RULE_TENSOR, {DIM_D}, NEED_QKV_BIAS, 0, {QKV("v_bias"), QKV("value.bias")}},
    {SLOT_NORM_WEIGHT, RULE_PAIR, {DIM_D}, NEED_NORM, 0, {"layernorm"}},
    {SLOT_FC_NORM_WEIGHT, RULE_PAIR, {DIM_D}, NEED_OPTIONAL, 0, {"fc_norm"}},
    {SLOT_CLASSIFIER_WEIGHT, RULE_PAIR, {DIM_LABELS, DIM_D}, NEED_OPTIONAL, 0, {"classifier"}},
};
// clang-format on
static const struct rule_table table = RULE_TABLE(rules);

static void configure(struct geometry *geometry, struct config *config) {
    *geometry = (struct geometry){
        .frames = 16,
        .tubelet = 2,
        .height = 224,
        .width = 224,
        .patch = 16,
        .d = 768,
        .blocks = 12,
        .heads = 12,
        .mlp = 3072,
        .eps = 1e-12f,
        .activation = ACTIVATION_GELU,
        .qkv_bias = true,
        .masked_pretraining = true,
        .positions = POSITION_SINUSOID,
        .final_norm = FINAL_NORM_NONE,
        .classifier = READ_MEAN,
        .pooled = READ_MEAN,
    };
    geometry_read_common(geometry, config);
    geometry->frames = config_size(config, "num_frames", geometry->frames, 1, LIMIT_FRAMES);
    geometry->tubelet = config_size(config, "tubelet_size", geometry->tubelet, 1, LIMIT_FRAMES);
    // transformers 5 calls it what it is: keys have none.
    geometry->qkv_bias = config_bool(config, "qv_bias", geometry->qkv_bias);
    if (!config_bool(config, "use_mean_pooling", true)) {
        geometry->final_norm = FINAL_NORM_TOKENS;
        geometry->classifier = geometry->pooled = READ_FIRST;
    }
}

const struct family family_videomae = {
    .name = "videomae",
    .model_types = {"videomae"},
    .prefix = "videomae.",
    .processor_class = "VideoMAE",
    .tables = {&vit_block_table, &table},
    .unused = {"decoder.*", "mask_token", "encoder_to_decoder.*", "*position_embeddings"},
    .configure = configure,
};
