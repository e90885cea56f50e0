// Bytes as a geometry and the options of a session: whatever a config could say within its limits,
// whatever a caller could ask for. plan_check holds the plan to its contract.
//
//     | family | variant bits | each field of the geometry, 4 bytes | each option, 4 bytes |
#include <string.h>

#include "fuzz.h"
#include "plan_check.h"

struct reader {
    const uint8_t *at, *end;
};

// The next number; 0 past the end.
static uint32_t take(struct reader *reader) {
    uint32_t value = 0;
    for (size_t i = 0; i < 4 && reader->at < reader->end; i++)
        value |= (uint32_t)*reader->at++ << 8 * i;
    return value;
}

// A field in [min, max]: small numbers as they are, so that a mutation of one byte is one step.
static size_t take_size(struct reader *reader, size_t min, size_t max, size_t fallback) {
    const uint32_t value = take(reader);
    if (value == 0) return fallback;
    return value <= max ? (value < min ? min : value) : min + value % (max - min + 1);
}

static void take_geometry(struct geometry *g, struct reader *reader) {
    const size_t frames = take_size(reader, 1, LIMIT_FRAMES, g->frames);
    const size_t tubelet = take_size(reader, 1, LIMIT_FRAMES, g->tubelet);
    if (g->frames > 1) { // a model of clips: an image model's frames are no field of its config
        g->frames = frames;
        g->tubelet = tubelet;
    }
    g->height = take_size(reader, 1, LIMIT_SIDE, g->height);
    g->width = take_size(reader, 1, LIMIT_SIDE, g->height);
    g->patch = take_size(reader, 1, LIMIT_PATCH, g->patch);
    g->d = take_size(reader, 1, LIMIT_D, g->d);
    g->blocks = take_size(reader, 1, LIMIT_BLOCKS, g->blocks);
    g->heads = take_size(reader, 1, LIMIT_D, g->heads);
    g->mlp = take_size(reader, 1, 64 * (size_t)LIMIT_D, g->mlp);
    g->labels = take_size(reader, 0, 1000000, 0);
    if (g->registers > 0) g->registers = take_size(reader, 1, 1024, g->registers);
    if (g->projection > 0) g->projection = take_size(reader, 1, LIMIT_D, g->projection);
}

static struct encoder_options take_options(const struct geometry *g, struct reader *reader) {
    return (struct encoder_options){
        .clips = take_size(reader, 1, 4096, 1),
        .frames = take_size(reader, 0, UINT32_MAX, g->frames),
        .height = take_size(reader, 0, UINT32_MAX, g->height),
        .width = take_size(reader, 0, UINT32_MAX, g->width),
        .pool = (vdt_pool)(take(reader) % 8),
        .layer = take_size(reader, 0, INT32_MAX, ENCODER_LAST),
    };
}

// Any reduction; the list, where there is one, is as long as it says.
static void take_reduction(struct encoder_options *options, uint32_t list[LIMIT_BLOCKS],
                           struct reader *reader) {
    options->rlt = (vdt_rlt_options){.mode = (vdt_rlt_mode)(take(reader) % 7),
                                     .tau = (double)(int32_t)take(reader) * 1e-3,
                                     .keep = take(reader),
                                     .reference = (vdt_rlt_reference)(take(reader) % 3),
                                     .lengths = take(reader) % 16};
    options->tome = (vdt_tome_options){.mode = (vdt_tome_mode)(take(reader) % 6),
                                       .r = take(reader),
                                       .inflection = (double)(int32_t)take(reader) * 0x1p-30,
                                       .list = list,
                                       .n_list = take(reader) % (LIMIT_BLOCKS + 1),
                                       .percent = (double)(int32_t)take(reader) * 1e-2,
                                       .attention = (vdt_tome_attention)(take(reader) % 4)};
    for (size_t i = 0; i < LIMIT_BLOCKS; i++) list[i] = take(reader);
}

static void target(struct memory *memory, const uint8_t *data, size_t size) {
    enum { MOST_BYTES = 1 << 18 };
    struct reader reader = {data, data + size};
    const uint32_t choice = take(&reader);
    const struct family *family = family_at(choice % 8);
    struct geometry geometry;
    vdt_error error = {0};
    struct config config = {.file = "C", .error = &error};
    family->configure(&geometry, &config);
    if (choice & 0x100 && strncmp(family->name, "dinov2", 6) == 0) geometry.gated = true;
    if (choice & 0x200 && strcmp(family->name, "videomae") == 0) {
        geometry.final_norm = FINAL_NORM_TOKENS;
        geometry.classifier = geometry.pooled = READ_FIRST;
    }
    take_geometry(&geometry, &reader);
    struct encoder_options options = take_options(&geometry, &reader);
    uint32_t list[LIMIT_BLOCKS];
    take_reduction(&options, list, &reader);
    geometry_check(&geometry, &config);
    fuzz_check_status(config.status, &error);
    if (config.status == VDT_OK) plan_check(&geometry, &options, memory, MOST_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_run(target, data, size);
    return 0;
}
