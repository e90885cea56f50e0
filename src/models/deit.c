// DeiT (Touvron et al. 2021): ViT with a distillation token after the class token; with a teacher,
// two classifiers whose logits are averaged.
#include "models/families.h"
#include "models/vit_names.h"

// clang-format off
static const struct tensor_rule rules[] = {
    {SLOT_DISTILLATION_TOKEN, RULE_TENSOR, {DIM_1, DIM_1, DIM_D}, NEED_ALWAYS, 0,
     {"embeddings.distillation_token", "dist_token"}},
    {SLOT_CLASSIFIER_WEIGHT, RULE_PAIR, {DIM_LABELS, DIM_D}, NEED_OPTIONAL, 0,
     {"classifier", "cls_classifier", "head"}},
    {SLOT_CLASSIFIER2_WEIGHT, RULE_PAIR, {DIM_LABELS, DIM_D}, NEED_OPTIONAL, 0,
     {"distillation_classifier", "head_dist"}},
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
        .class_tokens = 1,
        .distillation_tokens = 1,
        .eps = 1e-12f,
        .activation = ACTIVATION_GELU,
        .qkv_bias = true,
        .positions = POSITION_BICUBIC,
        .final_norm = FINAL_NORM_TOKENS,
        .classifier = READ_FIRST,
        .pooled = READ_FIRST,
    };
    geometry_read_common(geometry, config);
    geometry_check_pooler(config);
}

const struct family family_deit = {
    .name = "deit",
    .model_types = {"deit"},
    .prefix = "deit.",
    .processor_class = "DeiT",
    .tables = {&vit_block_table, &vit_qkv_table, &vit_image_table, &table},
    .unused = {"embeddings.mask_token", "decoder.*"},
    .configure = configure,
};
