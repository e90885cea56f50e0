// ViViT (Arnab et al. 2021), model 1: joint attention over tubelets and a class token.
#include "models/families.h"
#include "models/vit_names.h"

// clang-format off
static const struct tensor_rule rules[] = {
    {SLOT_PATCH_WEIGHT, RULE_PAIR, {DIM_D, DIM_CHANNELS, DIM_TUBELET, DIM_PATCH, DIM_PATCH},
     NEED_ALWAYS, 0, {"embeddings.patch_embeddings.projection"}},
    {SLOT_CLASS_TOKEN, RULE_TENSOR, {DIM_1, DIM_1, DIM_D}, NEED_ALWAYS, 0, {"embeddings.cls_token"}},
    {SLOT_POSITIONS, RULE_TENSOR, {DIM_1, DIM_POSITIONS, DIM_D}, NEED_ALWAYS, 0,
     {"embeddings.position_embeddings"}},
    {SLOT_NORM_WEIGHT, RULE_PAIR, {DIM_D}, NEED_ALWAYS, 0, {"layernorm"}},
    {SLOT_POOLER_WEIGHT, RULE_PAIR, {DIM_D, DIM_D}, NEED_OPTIONAL, 0, {"pooler.dense"}},
    {SLOT_CLASSIFIER_WEIGHT, RULE_PAIR, {DIM_LABELS, DIM_D}, NEED_OPTIONAL, 0, {"classifier"}},
};
// clang-format on
static const struct rule_table table = RULE_TABLE(rules);

static void configure(struct geometry *geometry, struct config *config) {
    *geometry = (struct geometry){
        .frames = 32,
        .tubelet = 2,
        .height = 224,
        .width = 224,
        .patch = 16,
        .d = 768,
        .blocks = 12,
        .heads = 12,
        .mlp = 3072,
        .class_tokens = 1,
        .eps = 1e-6f,
        .activation = ACTIVATION_GELU_TANH,
        .qkv_bias = true,
        .positions = POSITION_FIXED,
        .final_norm = FINAL_NORM_TOKENS,
        .classifier = READ_FIRST,
        .pooled = READ_FIRST,
    };
    geometry_read_common(geometry, config);
    geometry->frames = config_size(config, "num_frames", geometry->frames, 1, LIMIT_FRAMES);
    if (config_has(config, "tubelet_size")) {
        size_t sizes[3]; // frames, rows, columns
        config_sizes(config, "tubelet_size", sizes, 3, 16, 1, LIMIT_FRAMES);
        if (sizes[1] != sizes[2] || sizes[1] > LIMIT_PATCH) {
            config_fail(config, VDT_ERROR_UNSUPPORTED,
                        "tubelet_size: expected [frames, side, side]");
        }
        geometry->tubelet = sizes[0];
        geometry->patch = sizes[1];
    }
}

const struct family family_vivit = {
    .name = "vivit",
    .model_types = {"vivit"},
    .prefix = "vivit.",
    .processor_class = "Vivit",
    .tables = {&vit_block_table, &vit_qkv_table, &table},
    .configure = configure,
};
