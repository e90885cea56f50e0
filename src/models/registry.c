// The families and the named geometries.
#include <string.h>

#include "models/families.h"

static const struct family *const families[] = {
    &family_videomae, &family_vivit,  &family_vit,
    &family_deit,     &family_dinov2, &family_dinov2_with_registers,
    &family_siglip,   &family_clip,   &family_vitdet,
    &family_vivit_fe,
};

const struct family *family_at(size_t index) {
    return index < sizeof families / sizeof *families ? families[index] : NULL;
}

const struct family *family_find(const char *model_type) {
    for (size_t i = 0; family_at(i); i++) {
        for (size_t j = 0; j < FAMILY_TYPES && family_at(i)->model_types[j]; j++) {
            if (strcmp(model_type, family_at(i)->model_types[j]) == 0) return family_at(i);
        }
    }
    return NULL;
}

// name, family, D, L, H, MLP, pixel side, labels
static const struct arch archs[] = {
    {"vit-tiny", "vit", 192, 12, 3, 768, 224, 1000},
    {"vit-small", "vit", 384, 12, 6, 1536, 224, 1000},
    {"vit-base", "vit", 768, 12, 12, 3072, 224, 1000},
    {"vit-large", "vit", 1024, 24, 16, 4096, 224, 1000},
    {"videomae-small", "videomae", 384, 12, 6, 1536, 224, 400},
    {"videomae-base", "videomae", 768, 12, 12, 3072, 224, 400},
    {"videomae-large", "videomae", 1024, 24, 16, 4096, 224, 400},
    {"videomae-huge", "videomae", 1280, 32, 16, 5120, 224, 400},
    {"vivit-base", "vivit", 768, 12, 12, 3072, 224, 400},
    {"dinov2-small", "dinov2", 384, 12, 6, 1536, 224, 0},
    {"dinov2-base", "dinov2", 768, 12, 12, 3072, 224, 0},
    {"vivit-fe-base", "vivit_fe", 768, 12, 12, 3072, 224, 400},
    {"vitdet-base", "vitdet", 768, 12, 12, 3072, 1024, 0},
};

const struct arch *arch_at(size_t index) {
    return index < sizeof archs / sizeof *archs ? &archs[index] : NULL;
}

const struct arch *arch_find(const char *name) {
    for (size_t i = 0; arch_at(i); i++) {
        if (strcmp(name, arch_at(i)->name) == 0) return arch_at(i);
    }
    return NULL;
}
