// DINOv2 (Oquab et al. 2023), with registers (Darcet et al. 2023) and with SwiGLU: layer scale
// after attention and MLP, positions published at 518 and resized to the input.
#include "models/families.h"

#define BLOCK(name) "encoder.layer.#." name

// clang-format off
static const struct tensor_rule rules[] = {
    {SLOT_PATCH_WEIGHT, RULE_PAIR, {DIM_D, DIM_CHANNELS, DIM_PATCH, DIM_PATCH}, NEED_ALWAYS, 0,
     {"embeddings.patch_embeddings.projection"}},
    {SLOT_CLASS_TOKEN, RULE_TENSOR, {DIM_1, DIM_1, DIM_D}, NEED_ALWAYS, 0, {"embeddings.cls_token"}},
    {SLOT_POSITIONS, RULE_TENSOR, {DIM_1, DIM_POSITIONS, DIM_D}, NEED_ALWAYS, 0,
     {"embeddings.position_embeddings"}},
    {SLOT_NORM1_WEIGHT, RULE_PAIR, {DIM_D}, NEED_ALWAYS, 0, {BLOCK("norm1")}},
    {SLOT_Q_WEIGHT, RULE_PAIR_QKV, {DIM_D, DIM_D}, NEED_ALWAYS, 0,
     {BLOCK("attention.attention.query"), BLOCK("attention.q_proj")}},
    {SLOT_K_WEIGHT, RULE_PAIR_QKV, {DIM_D, DIM_D}, NEED_ALWAYS, 0,
     {BLOCK("attention.attention.key"), BLOCK("attention.k_proj")}},
    {SLOT_V_WEIGHT, RULE_PAIR_QKV, {DIM_D, DIM_D}, NEED_ALWAYS, 0,
     {BLOCK("attention.attention.value"), BLOCK("attention.v_proj")}},
    {SLOT_PROJ_WEIGHT, RULE_PAIR, {DIM_D, DIM_D}, NEED_ALWAYS, 0,
     {BLOCK("attention.output.dense"), BLOCK("attention.o_proj")}},
    {SLOT_SCALE1, RULE_TENSOR, {DIM_D}, NEED_ALWAYS, 0, {BLOCK("layer_scale1.lambda1")}},
    {SLOT_NORM2_WEIGHT, RULE_PAIR, {DIM_D}, NEED_ALWAYS, 0, {BLOCK("norm2")}},
    {SLOT_FC1_WEIGHT, RULE_PAIR, {DIM_FC1, DIM_D}, NEED_UNLESS, SLOT_GATE_WEIGHT,
     {BLOCK("mlp.fc1"), BLOCK("mlp.weights_in")}},
    {SLOT_GATE_WEIGHT, RULE_PAIR, {DIM_MLP, DIM_D}, NEED_OPTIONAL, 0, {BLOCK("mlp.gate_proj")}},
    {SLOT_UP_WEIGHT, RULE_PAIR, {DIM_MLP, DIM_D}, NEED_WITH, SLOT_GATE_WEIGHT,
     {BLOCK("mlp.up_proj")}},
    {SLOT_FC2_WEIGHT, RULE_PAIR, {DIM_D, DIM_MLP}, NEED_ALWAYS, 0,
     {BLOCK("mlp.fc2"), BLOCK("mlp.weights_out"), BLOCK("mlp.down_proj")}},
    {SLOT_SCALE2, RULE_TENSOR, {DIM_D}, NEED_ALWAYS, 0, {BLOCK("layer_scale2.lambda1")}},
    {SLOT_NORM_WEIGHT, RULE_PAIR, {DIM_D}, NEED_ALWAYS, 0, {"layernorm"}},
    {SLOT_CLASSIFIER_WEIGHT, RULE_PAIR, {DIM_LABELS, DIM_2D}, NEED_OPTIONAL, 0, {"classifier"}},
};
// clang-format on
static const struct rule_table table = RULE_TABLE(rules);

// clang-format off
static const struct tensor_rule register_rules[] = {
    {SLOT_REGISTERS, RULE_TENSOR, {DIM_1, DIM_REGISTERS, DIM_D}, NEED_ALWAYS, 0,
     {"embeddings.register_tokens"}},
};
// clang-format on
static const struct rule_table register_table = RULE_TABLE(register_rules);

// Inner width of the MLP: a ratio, of which SwiGLU takes two thirds, rounded up to a multiple of 8.
static void read_mlp(struct geometry *geometry, struct config *config) {
    const double ratio = config_number(config, "mlp_ratio", 4.0, 0.01, 64.0);
    geometry->mlp = (size_t)((double)geometry->d * ratio);
    geometry->gated = config_bool(config, "use_swiglu_ffn", false);
    if (geometry->gated) {
        geometry->mlp = ((size_t)((double)geometry->mlp * 2.0 / 3.0) + 7) / 8 * 8;
        geometry->activation = ACTIVATION_SILU;
    }
}

static void configure(struct geometry *geometry, struct config *config) {
    *geometry = (struct geometry){
        .frames = 1,
        .tubelet = 1,
        .height = 224,
        .width = 224,
        .patch = 14,
        .d = 768,
        .blocks = 12,
        .heads = 12,
        .mlp = 3072,
        .class_tokens = 1,
        .eps = 1e-6f,
        .activation = ACTIVATION_GELU,
        .qkv_bias = true,
        .positions = POSITION_BICUBIC,
        .final_norm = FINAL_NORM_TOKENS,
        .classifier = READ_CLASS_AND_MEAN,
        .pooled = READ_FIRST,
    };
    geometry_read_common(geometry, config);
    read_mlp(geometry, config);
}

static void configure_registers(struct geometry *geometry, struct config *config) {
    configure(geometry, config);
    geometry->patch = config_size(config, "patch_size", 16, 1, LIMIT_PATCH);
    geometry->registers = config_size(config, "num_register_tokens", 4, 0, 1024);
    geometry->positions = POSITION_BICUBIC_ANTIALIAS;
}

const struct family family_dinov2 = {
    .name = "dinov2",
    .model_types = {"dinov2"},
    .prefix = "dinov2.",
    .processor_class = "Bit",
    .tables = {&table},
    .unused = {"embeddings.mask_token"},
    .configure = configure,
};

const struct family family_dinov2_with_registers = {
    .name = "dinov2_with_registers",
    .model_types = {"dinov2_with_registers"},
    .prefix = "dinov2_with_registers.",
    .processor_class = "Bit",
    .tables = {&table, &register_table},
    .unused = {"embeddings.mask_token"},
    .configure = configure_registers,
};
