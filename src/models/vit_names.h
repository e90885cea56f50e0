// Tensor names that the ViT-like families share.
#ifndef VIDETTE_MODELS_VIT_NAMES_H
#define VIDETTE_MODELS_VIT_NAMES_H

#include "models/family.h"

// Norms, projection and MLP of a block; timm's names too.
extern const struct rule_table vit_block_table;

// q, k, v with biases.
extern const struct rule_table vit_qkv_table;

// Image patches, class token, positions, norm, pooler.
extern const struct rule_table vit_image_table;

#endif
