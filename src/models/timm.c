#include "models/timm.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    size_t d, blocks, heads;
} sizes[] = {
    {"tiny", 192, 12, 3},    {"small", 384, 12, 6},  {"base", 768, 12, 12},
    {"large", 1024, 24, 16}, {"huge", 1280, 32, 16},
};

// "vit_base_patch16_224", "deit_tiny_distilled_patch16_224" taken apart.
struct architecture {
    bool distilled;
    size_t size; // row of sizes
    unsigned patch, side;
};

static bool parse_architecture(struct architecture *out, const char *name) {
    struct architecture found = {0};
    const bool deit = strncmp(name, "deit_", 5) == 0;
    if (!deit && strncmp(name, "vit_", 4) != 0) return false;
    name = strchr(name, '_') + 1;
    const size_t n = strcspn(name, "_");
    while (found.size < sizeof sizes / sizeof *sizes &&
           (strlen(sizes[found.size].name) != n || memcmp(sizes[found.size].name, name, n) != 0)) {
        found.size++;
    }
    if (found.size == sizeof sizes / sizeof *sizes) return false;
    name += n;
    found.distilled = deit && strncmp(name, "_distilled", 10) == 0;
    if (found.distilled) name += 10;
    int end = 0;
    if (sscanf(name, "_patch%3u_%4u%n", &found.patch, &found.side, &end) != 2) return false;
    if (name[end] != '\0' && name[end] != '.') return false; // a variant with another structure
    *out = found;
    return true;
}

static bool read_architecture(struct architecture *architecture, struct config *config) {
    const char *name = config_string(config, "architecture", NULL);
    return name && parse_architecture(architecture, name);
}

const struct family *timm_family(struct config *config) {
    struct architecture architecture;
    if (!read_architecture(&architecture, config)) return NULL;
    return family_find(architecture.distilled ? "deit" : "vit");
}

void timm_configure(struct geometry *geometry, struct config *config) {
    struct architecture architecture;
    if (!read_architecture(&architecture, config)) return;
    struct config arguments = config_object(config, "model_args"); // what differs from the name
    size_t side[2];
    geometry->d = config_size(&arguments, "embed_dim", sizes[architecture.size].d, 1, LIMIT_D);
    geometry->blocks =
        config_size(&arguments, "depth", sizes[architecture.size].blocks, 1, LIMIT_BLOCKS);
    geometry->heads =
        config_size(&arguments, "num_heads", sizes[architecture.size].heads, 1, LIMIT_D);
    geometry->patch = config_size(&arguments, "patch_size", architecture.patch, 1, LIMIT_PATCH);
    config_sizes(&arguments, "img_size", side, 2, architecture.side, 1, LIMIT_SIDE);
    config->status = arguments.status;
    geometry->mlp = 4 * geometry->d;
    geometry->height = side[0];
    geometry->width = side[1];
    geometry->eps = 1e-6f;
    const char *pool = config_string(config, "global_pool", "token");
    if (strcmp(pool, "token") != 0) {
        config_fail(config, VDT_ERROR_UNSUPPORTED, "global_pool: expected token, found %s", pool);
    }
    if (geometry->patch < 1 || geometry->patch > LIMIT_PATCH || geometry->height > LIMIT_SIDE) {
        config_fail(config, VDT_ERROR_FORMAT, "architecture: expected a patch of 1..%d, found %zu",
                    LIMIT_PATCH, geometry->patch);
    }
}

static enum resample read_interpolation(struct config *config) {
    static const char *const names[] = {"nearest", "lanczos", "bilinear",
                                        "bicubic"}; // Pillow's numbers
    const char *name = config_string(config, "interpolation", "bicubic");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0) return (enum resample)i;
    }
    config_fail(config, VDT_ERROR_UNSUPPORTED, "interpolation: unknown filter %s", name);
    return RESAMPLE_BICUBIC;
}

void timm_processor(struct processor *processor, struct config *config) {
    struct config fields = config_object(config, "pretrained_cfg");
    size_t size[3]; // channels, height, width
    config_sizes(&fields, "input_size", size, 3, 224, 1, LIMIT_SIDE);
    const double crop = config_number(&fields, "crop_pct", 0.9, 0.01, 1.0);
    *processor = (struct processor){.resize = RESIZE_SHORTEST_EDGE,
                                    .crop = true,
                                    .crop_height = size[1],
                                    .crop_width = size[2],
                                    .crop_rounds = true,
                                    .scale = 1.0 / 255.0,
                                    .mean = {0.5, 0.5, 0.5},
                                    .std = {0.5, 0.5, 0.5}};
    processor->height = processor->width = (size_t)((double)size[1] / crop);
    processor->resample = read_interpolation(&fields);
    processor_parse_normalisation(processor, &fields, "mean", "std");
    config->status = config->status ? config->status : fields.status;
}
