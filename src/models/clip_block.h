// Tensor names of the block that the vision towers of CLIP and SigLIP share.
#ifndef VIDETTE_MODELS_CLIP_BLOCK_H
#define VIDETTE_MODELS_CLIP_BLOCK_H

#include "models/family.h"

extern const struct rule_table clip_block_table;

// The object that describes the vision tower: "vision_config", or the whole config of a bare tower.
struct config clip_vision_config(struct config *config);

#endif
