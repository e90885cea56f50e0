// timm's own directories: a config.json that names an architecture ("vit_base_patch16_224") and a
// pretrained_cfg instead of Hugging Face's fields. Plain ViT and DeiT are read; their tensors have
// timm's names, which the families vit and deit know.
#ifndef VIDETTE_MODELS_TIMM_H
#define VIDETTE_MODELS_TIMM_H

#include "format/hfprocessor.h"
#include "models/family.h"

// The family of a timm config, or NULL where it is none that is read.
const struct family *timm_family(struct config *config);

// Geometry from the architecture's name over the family's defaults; failures stay in the config.
void timm_configure(struct geometry *geometry, struct config *config);

// The evaluation transform that pretrained_cfg describes: the shorter side to size / crop_pct, a
// centre crop, normalisation. Failures stay in the config.
void timm_processor(struct processor *processor, struct config *config);

#endif
