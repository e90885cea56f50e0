// What families' configs have in common.
#include <string.h>

#include "models/family.h"
#include "ops/ops.h"

// Names of `hidden_act`.
static const struct {
    const char *name;
    enum activation activation;
} activations[] = {
    {"gelu", ACTIVATION_GELU},
    {"gelu_python", ACTIVATION_GELU},
    {"gelu_fast", ACTIVATION_GELU_TANH},
    {"gelu_new", ACTIVATION_GELU_TANH},
    {"gelu_pytorch_tanh", ACTIVATION_GELU_TANH},
    {"quick_gelu", ACTIVATION_GELU_QUICK},
    {"silu", ACTIVATION_SILU},
    {"swish", ACTIVATION_SILU},
};

static enum activation read_activation(struct config *config, enum activation fallback) {
    const char *name = config_string(config, "hidden_act", NULL);
    if (!name) return fallback;
    for (size_t i = 0; i < sizeof activations / sizeof *activations; i++) {
        if (strcmp(name, activations[i].name) == 0) return activations[i].activation;
    }
    config_fail(
        config, VDT_ERROR_UNSUPPORTED,
        "hidden_act: expected gelu, gelu_fast, gelu_new, gelu_pytorch_tanh, quick_gelu or silu, "
        "found %s",
        name);
    return fallback;
}

void geometry_read_common(struct geometry *geometry, struct config *config) {
    geometry->d = config_size(config, "hidden_size", geometry->d, 1, LIMIT_D);
    geometry->blocks = config_size(config, "num_hidden_layers", geometry->blocks, 1, LIMIT_BLOCKS);
    geometry->heads = config_size(config, "num_attention_heads", geometry->heads, 1, LIMIT_D);
    geometry->mlp = config_size(config, "intermediate_size", geometry->mlp, 1, 8 * LIMIT_D);
    geometry->activation = read_activation(config, geometry->activation);
    geometry->eps = (float)config_number(config, "layer_norm_eps", geometry->eps, 0.0, 1.0);
    geometry->qkv_bias = config_bool(config, "qkv_bias", geometry->qkv_bias);
    size_t sides[2], patch[2];
    config_sizes(config, "image_size", sides, 2, geometry->height, 1, LIMIT_SIDE);
    config_sizes(config, "patch_size", patch, 2, geometry->patch, 1, LIMIT_PATCH);
    if (patch[0] != patch[1])
        config_fail(config, VDT_ERROR_UNSUPPORTED, "patch_size: expected a square");
    geometry->height = sides[0];
    geometry->width = sides[1];
    geometry->patch = patch[0];
    if (config_size(config, "num_channels", 3, 1, 1024) != 3) {
        config_fail(config, VDT_ERROR_UNSUPPORTED, "num_channels: expected 3");
    }
}

void geometry_attention_grid(const struct geometry *geometry, size_t block, size_t *h, size_t *w) {
    const bool windowed = geometry->window > 0 && geometry->windowed[block];
    *h = windowed ? geometry->window : geometry->height / geometry->patch;
    *w = windowed ? geometry->window : geometry->width / geometry->patch;
}

void geometry_check_pooler(struct config *config) {
    const char *name = config_string(config, "pooler_act", "tanh");
    if (strcmp(name, "tanh") != 0) {
        config_fail(config, VDT_ERROR_UNSUPPORTED, "pooler_act: expected tanh, found %s", name);
    }
}

void geometry_check(const struct geometry *geometry, struct config *config) {
    const size_t d = geometry->d / geometry->heads;
    if (geometry->d % geometry->heads != 0 || d > ATTENTION_MAX_D) {
        config_fail(
            config, VDT_ERROR_FORMAT,
            "hidden_size: expected a multiple of num_attention_heads (%zu) of at most %d a head, "
            "found %zu",
            geometry->heads, ATTENTION_MAX_D, geometry->d);
    }
    if (geometry->height < geometry->patch || geometry->width < geometry->patch) {
        config_fail(config, VDT_ERROR_FORMAT,
                    "image_size: expected at least one patch of %zu, found %zu x %zu",
                    geometry->patch, geometry->height, geometry->width);
    }
    if (geometry->frames % geometry->tubelet != 0) {
        config_fail(config, VDT_ERROR_FORMAT,
                    "num_frames: expected a multiple of the tubelet's %zu, found %zu",
                    geometry->tubelet, geometry->frames);
    }
    if (geometry->mlp == 0)
        config_fail(config, VDT_ERROR_FORMAT, "mlp_ratio: the MLP has no width");
}
