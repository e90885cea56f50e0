#include "models/clip_block.h"

#define BLOCK(name)                                                                                \
    { "encoder.layers.#." name }

// clang-format off
static const struct tensor_rule rules[] = {
    {SLOT_NORM1_WEIGHT, RULE_PAIR, {DIM_D}, NEED_ALWAYS, 0, BLOCK("layer_norm1")},
    {SLOT_Q_WEIGHT, RULE_PAIR, {DIM_D, DIM_D}, NEED_ALWAYS, 0, BLOCK("self_attn.q_proj")},
    {SLOT_K_WEIGHT, RULE_PAIR, {DIM_D, DIM_D}, NEED_ALWAYS, 0, BLOCK("self_attn.k_proj")},
    {SLOT_V_WEIGHT, RULE_PAIR, {DIM_D, DIM_D}, NEED_ALWAYS, 0, BLOCK("self_attn.v_proj")},
    {SLOT_PROJ_WEIGHT, RULE_PAIR, {DIM_D, DIM_D}, NEED_ALWAYS, 0, BLOCK("self_attn.out_proj")},
    {SLOT_NORM2_WEIGHT, RULE_PAIR, {DIM_D}, NEED_ALWAYS, 0, BLOCK("layer_norm2")},
    {SLOT_FC1_WEIGHT, RULE_PAIR, {DIM_MLP, DIM_D}, NEED_ALWAYS, 0, BLOCK("mlp.fc1")},
    {SLOT_FC2_WEIGHT, RULE_PAIR, {DIM_D, DIM_MLP}, NEED_ALWAYS, 0, BLOCK("mlp.fc2")},
};
// clang-format on
const struct rule_table clip_block_table = RULE_TABLE(rules);

struct config clip_vision_config(struct config *config) {
    return config_has(config, "vision_config") ? config_object(config, "vision_config") : *config;
}
