// ViT (Dosovitskiy et al. 2021): one frame, a class token, learned positions over a grid. The names
// of transformers and of timm.
#include "models/families.h"
#include "models/vit_names.h"

// clang-format off
static const struct tensor_rule rules[] = {
    {SLOT_CLASSIFIER_WEIGHT, RULE_PAIR, {DIM_LABELS, DIM_D}, NEED_OPTIONAL, 0,
     {"classifier", "head"}},
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

const struct family family_vit = {
    .name = "vit",
    .model_types = {"vit"},
    .prefix = "vit.",
    .processor_class = "ViT",
    .tables = {&vit_block_table, &vit_qkv_table, &vit_image_table, &table},
    .unused = {"embeddings.mask_token", "decoder.*"},
    .configure = configure,
};
