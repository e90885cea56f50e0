#include "models/vit_names.h"

// Three generations of names: transformers 4, transformers 5 saving in its own form, timm.
#define V4(name)   "encoder.layer.#." name
#define V5(name)   "layers.#." name
#define TIMM(name) "blocks.#." name

// clang-format off
static const struct tensor_rule block_rules[] = {
    {SLOT_NORM1_WEIGHT, RULE_PAIR, {DIM_D}, NEED_ALWAYS, 0,
     {V4("layernorm_before"), V5("layernorm_before"), TIMM("norm1")}},
    {SLOT_PROJ_WEIGHT, RULE_PAIR, {DIM_D, DIM_D}, NEED_ALWAYS, 0,
     {V4("attention.output.dense"), V5("attention.o_proj"), TIMM("attn.proj")}},
    {SLOT_NORM2_WEIGHT, RULE_PAIR, {DIM_D}, NEED_ALWAYS, 0,
     {V4("layernorm_after"), V5("layernorm_after"), TIMM("norm2")}},
    {SLOT_FC1_WEIGHT, RULE_PAIR, {DIM_MLP, DIM_D}, NEED_ALWAYS, 0,
     {V4("intermediate.dense"), V5("mlp.fc1"), TIMM("mlp.fc1")}},
    {SLOT_FC2_WEIGHT, RULE_PAIR, {DIM_D, DIM_MLP}, NEED_ALWAYS, 0,
     {V4("output.dense"), V5("mlp.fc2"), TIMM("mlp.fc2")}},
};

static const struct tensor_rule qkv_rules[] = {
    {SLOT_QKV_WEIGHT, RULE_PAIR_QKV, {DIM_3D, DIM_D}, NEED_OPTIONAL, 0, {TIMM("attn.qkv")}},
    {SLOT_Q_WEIGHT, RULE_PAIR_QKV, {DIM_D, DIM_D}, NEED_UNLESS, SLOT_QKV_WEIGHT,
     {V4("attention.attention.query"), V5("attention.q_proj")}},
    {SLOT_K_WEIGHT, RULE_PAIR_QKV, {DIM_D, DIM_D}, NEED_UNLESS, SLOT_QKV_WEIGHT,
     {V4("attention.attention.key"), V5("attention.k_proj")}},
    {SLOT_V_WEIGHT, RULE_PAIR_QKV, {DIM_D, DIM_D}, NEED_UNLESS, SLOT_QKV_WEIGHT,
     {V4("attention.attention.value"), V5("attention.v_proj")}},
};

static const struct tensor_rule image_rules[] = {
    {SLOT_PATCH_WEIGHT, RULE_PAIR, {DIM_D, DIM_CHANNELS, DIM_PATCH, DIM_PATCH}, NEED_ALWAYS, 0,
     {"embeddings.patch_embeddings.projection", "patch_embed.proj"}},
    {SLOT_CLASS_TOKEN, RULE_TENSOR, {DIM_1, DIM_1, DIM_D}, NEED_ALWAYS, 0,
     {"embeddings.cls_token", "cls_token"}},
    {SLOT_POSITIONS, RULE_TENSOR, {DIM_1, DIM_POSITIONS, DIM_D}, NEED_ALWAYS, 0,
     {"embeddings.position_embeddings", "pos_embed"}},
    {SLOT_NORM_WEIGHT, RULE_PAIR, {DIM_D}, NEED_ALWAYS, 0, {"layernorm", "norm"}},
    {SLOT_POOLER_WEIGHT, RULE_PAIR, {DIM_D, DIM_D}, NEED_OPTIONAL, 0, {"pooler.dense"}},
};
// clang-format on

const struct rule_table vit_block_table = RULE_TABLE(block_rules);
const struct rule_table vit_qkv_table = RULE_TABLE(qkv_rules);
const struct rule_table vit_image_table = RULE_TABLE(image_rules);
