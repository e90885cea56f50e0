#include "tiny_model.h"

#include "fuzz.h"

const struct family *tiny_model(struct geometry *geometry, size_t variant) {
    static const char *const gated[] = {"dinov2", "dinov2_with_registers"};
    const bool plain = family_at(variant) != NULL;
    const struct family *family =
        plain ? family_at(variant) : family_find(gated[variant - (TINY_VARIANTS - 2)]);
    struct config empty = {.file = "tiny"};
    family->configure(geometry, &empty);
    FUZZ_REQUIRE(empty.status == VDT_OK);
    geometry->d = 4;
    geometry->heads = 2;
    geometry->blocks = 1;
    geometry->mlp = 4;
    geometry->patch = 2;
    geometry->height = geometry->width = 4;
    geometry->frames = geometry->tubelet = geometry->frames > 1 ? 2 : 1;
    geometry->registers = geometry->registers > 0 ? 2 : 0;
    geometry->projection = geometry->projection > 0 ? 3 : 0;
    geometry->gated = !plain;
    geometry_check(geometry, &empty);
    FUZZ_REQUIRE(empty.status == VDT_OK);
    return family;
}
