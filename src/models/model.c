#include "models/model.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "core/checked.h"
#include "core/io.h"
#include "models/factorised.h"
#include "models/timm.h"

enum { MODEL_CARD_BYTES = 4 << 20 };

/* ---- JSON files of the directory ----------------------------------------------------------- */

struct json_file {
    struct mapping mapping;
    struct json_value *root;
    char path[PATH_MAX];
};

static int open_json(struct json_file *file, const char *directory, const char *name,
                     vdt_error *error) {
    int status = io_join(file->path, sizeof file->path, directory, name, error);
    if (!status) status = io_map(&file->mapping, file->path, error);
    if (!status) {
        status = json_value_parse(&file->root, file->mapping.data, file->mapping.bytes,
                                  CONFIG_MAX_BYTES, file->path, error);
    }
    if (!status && !json_value_is_object(file->root)) {
        status = status_fail(error, VDT_ERROR_FORMAT, "%s: expected an object, found %s",
                             file->path, json_value_kind(file->root));
    }
    return status;
}

static void close_json(struct json_file *file) {
    json_value_free(&file->root);
    io_unmap(&file->mapping);
}

/* ---- processor ----------------------------------------------------------------------------- */

// Where a processor's fields may stand, first match wins: a file, and an object within it.
static const struct {
    const char *file, *object;
} processor_places[] = {
    {"processor_config.json", "video_processor"}, // the newest: transformers 5 nests them
    {"processor_config.json", "image_processor"},
    {"video_preprocessor_config.json", NULL},
    {"preprocessor_config.json", NULL},
};

// Reads a place if it is there; sets *found.
static int read_processor(struct vdt_model *model, const char *directory, size_t place, bool *found,
                          vdt_error *error) {
    const char *name = processor_places[place].file, *object = processor_places[place].object;
    char path[PATH_MAX];
    if (io_join(path, sizeof path, directory, name, NULL) || !io_is_file(path)) return VDT_OK;
    struct json_file file = {0};
    int status = open_json(&file, directory, name, error);
    if (!status) {
        struct config config = {.object = file.root, .file = file.path, .error = error};
        struct config fields = object ? config_object(&config, object) : config;
        *found = fields.object != NULL;
        if (*found) {
            model->info.rate =
                (uint32_t)config_size(&fields, "frame_sampling_rate", model->info.rate, 0, 100000);
            processor_parse(&model->processor, &fields, model->family->processor_class);
        }
        status = fields.status;
    }
    close_json(&file);
    return status;
}

static int find_processor(struct vdt_model *model, const char *directory, vdt_error *error) {
    const size_t places = sizeof processor_places / sizeof *processor_places;
    bool found = false;
    int status = VDT_OK;
    for (size_t i = 0; i < places && !found && !status; i++) {
        status = read_processor(model, directory, i, &found, error);
    }
    // A directory without one: the family's defaults, at the config's size.
    if (!found)
        processor_set_size(&model->processor, model->geometry.height, model->geometry.width);
    return status;
}

// The processor's output is the model's input. Where it would leave frames of different sizes (a
// resize of the shorter side alone), the rest is cropped to the config's size.
static void use_processor(struct vdt_model *model) {
    struct processor *processor = &model->processor;
    size_t height, width;
    if (!processor_output_size(processor, &height, &width)) {
        height = model->geometry.height;
        width = model->geometry.width;
        processor->crop = processor->resize == RESIZE_SHORTEST_EDGE;
        processor->crop_height = height;
        processor->crop_width = width;
    }
    model->info.height = (uint32_t)height;
    model->info.width = (uint32_t)width;
    processor_values(processor, model->values);
}

/* ---- config -------------------------------------------------------------------------------- */

// "videomae, vivit, ..." for messages.
static void list_families(char *text, size_t text_bytes) {
    size_t at = 0;
    for (size_t i = 0; family_at(i) && at < text_bytes; i++) {
        const int n =
            snprintf(text + at, text_bytes - at, "%s%s", i ? ", " : "", family_at(i)->name);
        at += n > 0 ? (size_t)n : 0;
    }
}

static int read_config(struct vdt_model *model, struct config *config, vdt_error *error) {
    const char *type = config_string(config, "model_type", NULL);
    if (config->status) return config->status;
    model->family = type ? family_find(type) : timm_family(config);
    if (!model->family) {
        char known[256];
        list_families(known, sizeof known);
        return status_fail(error, VDT_ERROR_UNSUPPORTED,
                           "%s: model_type: expected one of %s, found %s", config->file, known,
                           type ? type : "none");
    }
    model->family->configure(&model->geometry, config);
    processor_defaults(&model->processor, model->family->processor_class);
    if (!type) {
        timm_configure(&model->geometry, config);
        timm_processor(&model->processor, config);
    }
    if (config->status == VDT_OK) geometry_check(&model->geometry, config);
    if (config->status) return config->status;
    const int status = labels_parse(&model->labels, &model->context->memory, config);
    model->geometry.labels = model->labels.n;
    model->info.rate = (uint32_t)config_size(config, "frame_sampling_rate", 0, 0, 100000);
    return status ? status : config->status;
}

/* ---- weights ------------------------------------------------------------------------------- */

// What a wanted precision becomes on this CPU.
static vdt_precision possible_precision(vdt_precision wanted, const struct kernels *kernels) {
    if (wanted == VDT_PRECISION_INT8 && kernels->has_format[FORMAT_I8]) return VDT_PRECISION_INT8;
    if (wanted != VDT_PRECISION_F32 && kernels->has_format[FORMAT_BF16]) return VDT_PRECISION_BF16;
    return VDT_PRECISION_F32;
}

static struct weight_formats formats_of(const struct vdt_model *model) {
    static const enum format blocks[] = {[VDT_PRECISION_F32] = FORMAT_F32,
                                         [VDT_PRECISION_BF16] = FORMAT_BF16,
                                         [VDT_PRECISION_INT8] = FORMAT_I8};
    const bool rough = model->info.precision != VDT_PRECISION_F32;
    const bool has_bf16 = model->context->kernels.has_format[FORMAT_BF16];
    return (struct weight_formats){.patch = rough && has_bf16 ? FORMAT_BF16 : FORMAT_F32,
                                   .block = blocks[model->info.precision],
                                   .kernels = &model->context->kernels};
}

static int open_weights(struct vdt_model *model, const char *directory, bool has_eps,
                        vdt_error *error) {
    struct vdt_context *context = model->context;
    struct memory *memory = &context->memory;
    const struct weight_formats formats = formats_of(model);
    struct checkpoint checkpoint = {0};
    struct tensor_map map = {0};
    int status = checkpoint_open(&checkpoint, memory, directory, error);
    if (!status) {
        status = tensor_map_open(&map, memory, &model->geometry, model->family, &checkpoint, error);
        // timm's models are trained with this epsilon and their files do not say it.
        if (!status && map.timm_names && !has_eps) model->geometry.eps = 1e-6f;
        if (!status) {
            status = weights_open(&model->weights, memory, context->pool, &formats,
                                  &model->geometry, model->family, &map, 0, error);
        }
        if (status) status = status_prefix(error, status, directory);
    }
    tensor_map_close(&map, memory);
    checkpoint_close(&checkpoint);
    if (!status && model->labels.n == 0 && model->weights.classifier) {
        status = labels_make(&model->labels, memory, model->geometry.labels, error);
    }
    return status;
}

static int open_random_weights(struct vdt_model *model, uint64_t seed, vdt_error *error) {
    struct vdt_context *context = model->context;
    const struct weight_formats formats = formats_of(model);
    struct tensor_map map = {0};
    int status =
        tensor_map_open_empty(&map, &context->memory, &model->geometry, model->family, error);
    if (!status) {
        status = weights_open(&model->weights, &context->memory, context->pool, &formats,
                              &model->geometry, model->family, &map, seed, error);
    }
    tensor_map_close(&map, &context->memory);
    return status;
}

/* ---- what users are told ------------------------------------------------------------------- */

static int read_licence(struct vdt_model *model, const char *directory, vdt_error *error) {
    char path[PATH_MAX], licence[128];
    struct mapping card = {0};
    if (io_join(path, sizeof path, directory, "README.md", NULL) || !io_is_file(path))
        return VDT_OK;
    if (io_map(&card, path, NULL)) return VDT_OK;
    int status = VDT_OK;
    if (card.data && modelcard_licence(licence, sizeof licence, card.data,
                                       min_size(card.bytes, MODEL_CARD_BYTES))) {
        model->licence = mem_string(&model->context->memory, licence, strlen(licence), error);
        if (!model->licence) status = VDT_ERROR_MEMORY;
    }
    io_unmap(&card);
    return status;
}

static int read_advice(struct vdt_model *model, struct config *config) {
    static const char *const names[] = {"rlt",  "rlt_reference",  "rlt_lengths",
                                        "tome", "tome_attention", "precision"};
    for (size_t i = 0; i < 6; i++) {
        const char *text = config_string(config, names[i], NULL);
        if (config->status) return config->status;
        if (!text) continue;
        model->advice[i] = mem_string(&model->context->memory, text, strlen(text), config->error);
        if (!model->advice[i]) return VDT_ERROR_MEMORY;
    }
    model->recommended = (vdt_recommendation){model->advice[0], model->advice[1], model->advice[2],
                                              model->advice[3], model->advice[4], model->advice[5]};
    model->info.recommended = &model->recommended;
    return VDT_OK;
}

// vidette.json, where there is one. A precision in it counts where the caller named none.
static int read_recommendation(struct vdt_model *model, const char *directory, vdt_precision wanted,
                               vdt_error *error) {
    char path[PATH_MAX];
    if (io_join(path, sizeof path, directory, "vidette.json", NULL) || !io_is_file(path))
        return VDT_OK;
    struct json_file file = {0};
    int status = open_json(&file, directory, "vidette.json", error);
    struct config config = {.object = file.root, .file = file.path, .error = error};
    if (!status) status = read_advice(model, &config);
    const char *precision = model->recommended.precision;
    if (!status && precision && wanted == VDT_PRECISION_AUTO) {
        int named = VDT_PRECISION_AUTO;
        while (named <= VDT_PRECISION_INT8 &&
               strcmp(precision, vdt_precision_name((vdt_precision)named)) != 0)
            named++;
        if (named > VDT_PRECISION_INT8) {
            status = status_fail(error, VDT_ERROR_FORMAT,
                                 "%s: precision: expected auto, f32, bf16 or int8, found %s",
                                 file.path, precision);
        } else {
            model->info.precision =
                possible_precision((vdt_precision)named, &model->context->kernels);
        }
    }
    close_json(&file);
    return status;
}

// Stride in frames: what the directory recommends, else a span of 64 frames, as for 16 frames x 4.
static uint32_t default_rate(const struct geometry *geometry) {
    return geometry->frames == 1 || geometry->frames >= 64 ? 1 : (uint32_t)(64 / geometry->frames);
}

static int fill_info(struct vdt_model *model, vdt_error *error) {
    const struct geometry *geometry = &model->geometry;
    vdt_model_info *info = &model->info;
    const struct encoder_options options = {.clips = 1,
                                            .frames = geometry_sequence_frames(geometry),
                                            .height = info->height,
                                            .width = info->width,
                                            .layer = ENCODER_LAST};
    struct encoder encoder;
    const int status =
        encoder_plan(&encoder, model->context, geometry, &model->weights, &options, error);
    if (status) return status;
    info->family = model->family->name;
    info->name = model->name;
    info->licence = model->licence;
    info->frames = (uint32_t)geometry->frames;
    info->tubelet = (uint32_t)geometry->tubelet;
    if (info->rate == 0) info->rate = default_rate(geometry);
    info->patch = (uint32_t)geometry->patch;
    info->prefix_tokens = (uint32_t)encoder.prefix;
    info->tokens = (uint32_t)encoder.tokens;
    info->width_model = (uint32_t)geometry->d;
    info->layers = (uint32_t)geometry->blocks;
    info->heads = (uint32_t)geometry->heads;
    info->width_mlp = (uint32_t)geometry->mlp;
    info->labels = (uint32_t)encoder.n_logits;
    info->parameters = model->weights.parameters;
    info->weight_bytes = model->weights.bytes;
    info->macs = encoder_macs(&encoder);
    if (geometry->temporal_blocks == 0) return VDT_OK;
    struct factorised factorised;
    const int planned =
        factorised_plan(&factorised, &encoder, 1, VDT_POOL_NONE_WANTED, ENCODER_LAST, error);
    if (planned) return planned;
    info->tokens *= (uint32_t)factorised.snippets;
    info->labels = (uint32_t)factorised.n_logits;
    info->macs = info->macs * factorised.snippets + factorised_macs(&factorised);
    return VDT_OK;
}

/* ---- open ---------------------------------------------------------------------------------- */

static int open_directory(struct vdt_model *model, const char *directory, vdt_precision wanted,
                          vdt_error *error) {
    if (!io_is_directory(directory)) {
        return status_fail(error, VDT_ERROR_IO, "%s: expected a model directory, found %s",
                           directory, io_is_file(directory) ? "a file" : "nothing");
    }
    struct json_file file = {0};
    struct config config = {.error = error};
    int status = open_json(&file, directory, "config.json", error);
    config.object = file.root;
    config.file = file.path;
    if (!status) status = read_config(model, &config, error);
    const bool has_eps = config_has(&config, "layer_norm_eps");
    const bool has_type = config_has(&config, "model_type"); // else a timm directory, read by now
    close_json(&file);
    if (!status && has_type) status = find_processor(model, directory, error);
    if (!status) use_processor(model);
    if (!status) status = read_recommendation(model, directory, wanted, error);
    if (!status) status = open_weights(model, directory, has_eps, error);
    if (!status) status = read_licence(model, directory, error);
    return status;
}

static int open_arch(struct vdt_model *model, const char *name, const vdt_model_options *options,
                     vdt_error *error) {
    const struct arch *arch = arch_find(name);
    if (!arch) return status_fail(error, VDT_ERROR_ARGUMENT, "%s: not a known architecture", name);
    struct config empty = {.file = name, .error = error};
    struct geometry *geometry = &model->geometry;
    model->family = family_find(arch->family);
    model->family->configure(geometry, &empty);
    geometry->d = arch->d;
    geometry->blocks = arch->blocks;
    geometry->heads = arch->heads;
    geometry->mlp = arch->mlp;
    geometry->height = geometry->width = options->size > 0 ? options->size : arch->size;
    geometry->labels = arch->labels > 0 && options->labels > 0 ? options->labels : arch->labels;
    geometry_check(geometry, &empty);
    if (empty.status) return empty.status;
    processor_defaults(&model->processor, model->family->processor_class);
    processor_set_size(&model->processor, geometry->height, geometry->width);
    use_processor(model);
    int status = open_random_weights(model, options->seed, error);
    if (!status)
        status = labels_make(&model->labels, &model->context->memory, geometry->labels, error);
    return status;
}

static int check_options(const vdt_model_options *options, vdt_error *error) {
    if (options->abi != VDT_ABI) {
        return status_fail(error, VDT_ERROR_ARGUMENT, "model options: expected ABI %u, found %u",
                           VDT_ABI, options->abi);
    }
    if (options->precision > VDT_PRECISION_INT8) {
        return status_fail(error, VDT_ERROR_ARGUMENT, "precision: unknown value %d",
                           (int)options->precision);
    }
    if (options->size > LIMIT_SIDE || options->labels > 100000) {
        return status_fail(error, VDT_ERROR_ARGUMENT,
                           "model options: expected size 0..%d and labels 0..100000, "
                           "found %u and %u",
                           LIMIT_SIDE, options->size, options->labels);
    }
    return VDT_OK;
}

static vdt_status open_model(vdt_model **out, vdt_context *context, const char *source,
                             bool is_arch, const vdt_model_options *options, vdt_error *error) {
    vdt_model_options defaults;
    vdt_model_options_init(&defaults);
    if (!options) options = &defaults;
    int status = check_options(options, error);
    if (status) return status;
    struct vdt_model *model = mem_alloc(&context->memory, 1, sizeof *model, "model", error);
    if (!model) return VDT_ERROR_MEMORY;
    model->context = context;
    model->info.precision = possible_precision(options->precision, &context->kernels);
    size_t offset, length;
    io_base_name(source, &offset, &length);
    model->name = mem_string(&context->memory, source + offset, length, error);
    status = model->name ? VDT_OK : VDT_ERROR_MEMORY;
    if (!status)
        status = is_arch ? open_arch(model, source, options, error)
                         : open_directory(model, source, options->precision, error);
    if (!status && (status = fill_info(model, error)) != VDT_OK)
        status = status_prefix(error, status, source);
    if (status) {
        vdt_model_close(&model);
    } else {
        *out = model;
    }
    return status;
}

void vdt_model_options_init(vdt_model_options *options) {
    *options = (vdt_model_options){.abi = VDT_ABI};
}

vdt_status vdt_model_open(vdt_model **model, vdt_context *context, const char *directory,
                          const vdt_model_options *options, vdt_error *error) {
    return open_model(model, context, directory, false, options, error);
}

vdt_status vdt_model_open_arch(vdt_model **model, vdt_context *context, const char *arch,
                               const vdt_model_options *options, vdt_error *error) {
    return open_model(model, context, arch, true, options, error);
}

void vdt_model_close(vdt_model **handle) {
    if (!handle || !*handle) return;
    struct vdt_model *model = *handle;
    struct memory *memory = &model->context->memory;
    weights_close(&model->weights);
    labels_free(&model->labels, memory);
    mem_free(memory, model->name);
    mem_free(memory, model->licence);
    for (size_t i = 0; i < 6; i++) mem_free(memory, model->advice[i]);
    mem_free(memory, model);
    *handle = NULL;
}

const vdt_model_info *vdt_model_info_get(const vdt_model *model) {
    return &model->info;
}

const char *vdt_model_label(const vdt_model *model, size_t id) {
    return id < model->labels.n ? model->labels.names[id] : NULL;
}

const char *vdt_arch_name(size_t index) {
    return arch_at(index) ? arch_at(index)->name : NULL;
}

const char *vdt_family_name(size_t index) {
    return family_at(index) ? family_at(index)->name : NULL;
}

const char *vdt_precision_name(vdt_precision precision) {
    static const char *const names[] = {"auto", "f32", "bf16", "int8"};
    return precision <= VDT_PRECISION_INT8 ? names[precision] : "unknown";
}
