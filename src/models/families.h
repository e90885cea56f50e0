// Every family, for the registry.
#ifndef VIDETTE_MODELS_FAMILIES_H
#define VIDETTE_MODELS_FAMILIES_H

#include "models/family.h"

extern const struct family family_videomae;
extern const struct family family_vivit;
extern const struct family family_vit;
extern const struct family family_deit;
extern const struct family family_dinov2;
extern const struct family family_dinov2_with_registers;
extern const struct family family_siglip;
extern const struct family family_clip;
extern const struct family family_vitdet;
extern const struct family family_vivit_fe;

#endif
