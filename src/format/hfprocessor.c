#include "format/hfprocessor.h"

#include <string.h>

#include "core/checked.h"

enum { MAX_SIDE = 16384 };

#define HALF                                                                                       \
    { 0.5, 0.5, 0.5 }
#define FACTORISED_MEAN                                                                            \
    { 0.45, 0.45, 0.45 }
#define FACTORISED_STD                                                                             \
    { 0.225, 0.225, 0.225 }
#define IMAGENET_MEAN                                                                              \
    { 0.485, 0.456, 0.406 }
#define IMAGENET_STD                                                                               \
    { 0.229, 0.224, 0.225 }
#define CLIP_MEAN                                                                                  \
    { 0.48145466, 0.4578275, 0.40821073 }
#define CLIP_STD                                                                                   \
    { 0.26862954, 0.26130258, 0.27577711 }

// clang-format off
static const struct {
    const char *prefix; // of the class name
    bool int_is_square; // what a bare integer `size` means
    enum resize_mode resize;
    size_t size;
    enum resample resample;
    bool crop;          // to 224
    double scale;
    bool offset;
    double mean[3], std[3];
} rows[] = {
    {"VideoMAE", false, RESIZE_SHORTEST_EDGE, 224, RESAMPLE_BILINEAR, true, 1 / 255.0, false, HALF, HALF},
    {"FactorisedVivit", false, RESIZE_SHORTEST_EDGE, 224, RESAMPLE_BILINEAR, true, 1 / 255.0, false, FACTORISED_MEAN, FACTORISED_STD},
    {"Vivit", false, RESIZE_SHORTEST_EDGE, 256, RESAMPLE_BILINEAR, true, 1 / 127.5, true, HALF, HALF},
    {"ViT", true, RESIZE_EXACT, 224, RESAMPLE_BILINEAR, false, 1 / 255.0, false, HALF, HALF},
    {"VitDet", true, RESIZE_EXACT, 1024, RESAMPLE_BILINEAR, false, 1 / 255.0, false, IMAGENET_MEAN, IMAGENET_STD},
    {"DeiT", true, RESIZE_EXACT, 256, RESAMPLE_BICUBIC, true, 1 / 255.0, false, HALF, HALF},
    {"Bit", false, RESIZE_SHORTEST_EDGE, 224, RESAMPLE_BICUBIC, true, 1 / 255.0, false, CLIP_MEAN, CLIP_STD},
    {"CLIP", false, RESIZE_SHORTEST_EDGE, 224, RESAMPLE_BICUBIC, true, 1 / 255.0, false, CLIP_MEAN, CLIP_STD},
    {"Siglip", true, RESIZE_EXACT, 224, RESAMPLE_BICUBIC, false, 1 / 255.0, false, HALF, HALF},
};
// clang-format on

static size_t find_row(const char *name) {
    size_t row = 0;
    while (row < sizeof rows / sizeof *rows &&
           strncmp(name, rows[row].prefix, strlen(rows[row].prefix)) != 0) {
        row++;
    }
    return row;
}

static struct processor row_defaults(size_t row) {
    struct processor processor = {
        .resize = rows[row].resize,
        .height = rows[row].size,
        .width = rows[row].size,
        .resample = rows[row].resample,
        .crop = rows[row].crop,
        .crop_height = 224,
        .crop_width = 224,
        .scale = rows[row].scale,
        .offset = rows[row].offset,
    };
    memcpy(processor.mean, rows[row].mean, sizeof processor.mean);
    memcpy(processor.std, rows[row].std, sizeof processor.std);
    return processor;
}

bool processor_defaults(struct processor *processor, const char *name) {
    const size_t row = find_row(name);
    if (row == sizeof rows / sizeof *rows) return false;
    *processor = row_defaults(row);
    return true;
}

// Sizes are written as n, [h, w], {"height", "width"} or {"shortest_edge"}.
static void parse_size(struct processor *processor, struct config *config, bool int_is_square) {
    if (!config_has(config, "size")) return;
    const struct json_value *value = json_value_member(config->object, "size");
    if (!json_value_is_object(value)) {
        size_t sides[2];
        config_sizes(config, "size", sides, 2, 0, 1, MAX_SIDE);
        const bool shortest = !json_value_is_array(value) && !int_is_square;
        processor->resize = shortest ? RESIZE_SHORTEST_EDGE : RESIZE_EXACT;
        processor->height = sides[0];
        processor->width = sides[1];
        return;
    }
    struct config size = config_object(config, "size");
    if (config_has(&size, "shortest_edge")) {
        processor->resize = RESIZE_SHORTEST_EDGE;
        processor->height = processor->width =
            config_size(&size, "shortest_edge", 224, 1, MAX_SIDE);
    } else if (config_has(&size, "height") && config_has(&size, "width")) {
        processor->resize = RESIZE_EXACT;
        processor->height = config_size(&size, "height", 224, 1, MAX_SIDE);
        processor->width = config_size(&size, "width", 224, 1, MAX_SIDE);
    } else {
        config_fail(&size, VDT_ERROR_UNSUPPORTED,
                    "size: expected shortest_edge, or height and width");
    }
    if (size.status) config->status = size.status;
}

static void parse_crop(struct processor *processor, struct config *config) {
    if (!config_has(config, "crop_size")) return;
    if (!json_value_is_object(json_value_member(config->object, "crop_size"))) {
        size_t sides[2];
        config_sizes(config, "crop_size", sides, 2, 224, 1, MAX_SIDE);
        processor->crop_height = sides[0];
        processor->crop_width = sides[1];
        return;
    }
    struct config size = config_object(config, "crop_size");
    processor->crop_height = config_size(&size, "height", 224, 1, MAX_SIDE);
    processor->crop_width = config_size(&size, "width", 224, 1, MAX_SIDE);
    if (size.status) config->status = size.status;
}

// Three numbers or one for all.
static void parse_channels(double channels[3], struct config *config, const char *key, double min) {
    if (!config_has(config, key)) return;
    const struct json_value *value = json_value_member(config->object, key);
    for (size_t c = 0; c < 3; c++) {
        const struct json_value *item =
            json_value_is_array(value) ? json_value_item(value, c) : value;
        if ((json_value_is_array(value) && json_value_count(value) != 3) ||
            !json_value_number(item, &channels[c]) || !(channels[c] >= min && channels[c] <= 1e6)) {
            config_fail(config, VDT_ERROR_FORMAT, "%s: expected three numbers from %g to 1e6", key,
                        min);
            return;
        }
    }
}

void processor_parse_normalisation(struct processor *processor, struct config *config,
                                   const char *mean, const char *std) {
    parse_channels(processor->mean, config, mean, -1e6);
    parse_channels(processor->std, config, std, 1e-9);
}

// A flag where an explicit null means false, as it does for the processors themselves.
static bool parse_flag(struct config *config, const char *key, bool fallback) {
    if (json_value_is_null(json_value_member(config->object, key))) return false;
    return config_bool(config, key, fallback);
}

int processor_parse(struct processor *out, struct config *config, const char *family_class) {
    const char *name = config_string(config, "feature_extractor_type", family_class);
    name = config_string(config, "image_processor_type", name);
    name = config_string(config, "video_processor_type", name);
    size_t row = find_row(name);
    if (row == sizeof rows / sizeof *rows) row = find_row(family_class);
    struct processor processor = row_defaults(row);

    parse_size(&processor, config, rows[row].int_is_square);
    parse_crop(&processor, config);
    processor.resample = (enum resample)config_size(config, "resample", processor.resample, 0, 3);
    if (!parse_flag(config, "do_resize", true)) processor.resize = RESIZE_NONE;
    processor.crop = parse_flag(config, "do_center_crop", processor.crop);
    processor.scale = config_number(config, "rescale_factor", processor.scale, 1e-9, 1e6);
    processor.offset = parse_flag(config, "offset", processor.offset);
    if (!parse_flag(config, "do_rescale", true)) {
        processor.scale = 1.0;
        processor.offset = false;
    }
    processor_parse_normalisation(&processor, config, "image_mean", "image_std");
    if (!parse_flag(config, "do_normalize", true)) {
        for (size_t c = 0; c < 3; c++) processor.mean[c] = 0.0, processor.std[c] = 1.0;
    }
    if (parse_flag(config, "do_pad", false)) {
        config_fail(config, VDT_ERROR_UNSUPPORTED, "do_pad: padding processors are not supported");
    }
    if (config->status == VDT_OK) *out = processor;
    return config->status;
}

bool processor_output_size(const struct processor *processor, size_t *height, size_t *width) {
    if (processor->crop) {
        *height = processor->crop_height;
        *width = processor->crop_width;
        return true;
    }
    *height = processor->height;
    *width = processor->width;
    return processor->resize == RESIZE_EXACT;
}

void processor_set_size(struct processor *processor, size_t height, size_t width) {
    if (processor->crop) {
        const double ratio_height = (double)processor->height / (double)processor->crop_height;
        const double ratio_width = (double)processor->width / (double)processor->crop_width;
        processor->height = (size_t)((double)height * ratio_height + 0.5);
        processor->width = (size_t)((double)width * ratio_width + 0.5);
        if (processor->resize == RESIZE_SHORTEST_EDGE) {
            processor->height = processor->width = min_size(processor->height, processor->width);
        }
    } else {
        processor->resize = RESIZE_EXACT;
        processor->height = height;
        processor->width = width;
    }
    processor->crop_height = height;
    processor->crop_width = width;
}

void processor_resized_size(const struct processor *processor, size_t in_height, size_t in_width,
                            size_t *height, size_t *width) {
    const size_t edge = processor->height;
    switch (processor->resize) {
    case RESIZE_NONE:
        *height = in_height;
        *width = in_width;
        return;
    case RESIZE_EXACT:
        *height = processor->height;
        *width = processor->width;
        return;
    case RESIZE_SHORTEST_EDGE:
        // The reference divides in floating point and truncates; for these ranges that is exact.
        *height = in_width <= in_height ? edge * in_height / in_width : edge;
        *width = in_width <= in_height ? edge : edge * in_width / in_height;
        return;
    }
}

void processor_values(const struct processor *processor, float table[3][256]) {
    for (size_t c = 0; c < 3; c++) {
        const float mean = (float)processor->mean[c], std = (float)processor->std[c];
        for (size_t byte = 0; byte < 256; byte++) {
            float value = (float)((double)byte * processor->scale);
            if (processor->offset) value -= 1.0f;
            table[c][byte] = (value - mean) / std;
        }
    }
}
