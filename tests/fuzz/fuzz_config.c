// JSON texts as config.json of every family, as a processor's config, as label lists, and as the
// front matter of a model card.
#include <math.h>
#include <string.h>

#include "format/hfprocessor.h"
#include "fuzz.h"
#include "models/family.h"
#include "models/timm.h"

static void try_labels(struct memory *memory, const struct json_value *root) {
    struct labels labels = {0};
    vdt_error error = {0};
    struct config config = {.object = root, .file = "C", .error = &error};
    const int status = labels_parse(&labels, memory, &config);
    fuzz_check_status(status, &error);
    FUZZ_REQUIRE(status == 0 || (labels.n == 0 && labels.names == NULL));
    for (size_t i = 0; i < labels.n; i++) FUZZ_REQUIRE(labels.names[i] != NULL);
    labels_free(&labels, memory);
}

static void check_processor(struct processor *processor) {
    static const size_t sides[] = {1, 3, 224, 8000, 16384};
    float table[3][256];
    size_t height, width;
    processor_values(processor, table);
    for (size_t i = 0; i < 3 * 256; i++) FUZZ_REQUIRE(isfinite(table[i / 256][i % 256]));
    for (size_t i = 0; i < 25; i++) {
        processor_resized_size(processor, sides[i / 5], sides[i % 5], &height, &width);
        FUZZ_REQUIRE(height < (size_t)1 << 44 && width < (size_t)1 << 44);
    }
    processor_set_size(processor, 30, 40);
    FUZZ_REQUIRE(processor_output_size(processor, &height, &width) && height == 30 && width == 40);
}

static void try_processor(const struct json_value *root, const char *family_class) {
    struct processor processor = {.height = 77};
    vdt_error error = {0};
    struct config config = {.object = root, .file = "P", .error = &error};
    const int status = processor_parse(&processor, &config, family_class);
    fuzz_check_status(status, &error);
    if (status)
        FUZZ_REQUIRE(processor.height == 77);
    else
        check_processor(&processor);
}

static void check_geometry(const struct geometry *g) {
    FUZZ_REQUIRE(g->d >= 1 && g->d <= LIMIT_D && g->heads >= 1 && g->d % g->heads == 0);
    FUZZ_REQUIRE(g->blocks >= 1 && g->blocks <= LIMIT_BLOCKS && g->mlp >= 1);
    FUZZ_REQUIRE(g->patch >= 1 && g->patch <= LIMIT_PATCH && g->height >= g->patch &&
                 g->width >= g->patch && g->height <= LIMIT_SIDE && g->width <= LIMIT_SIDE);
    FUZZ_REQUIRE(g->frames >= 1 && g->frames <= LIMIT_FRAMES && g->tubelet >= 1 &&
                 g->frames % g->tubelet == 0);
    FUZZ_REQUIRE(g->eps >= 0.0f && g->eps <= 1.0f && g->activation < ACTIVATIONS);
    FUZZ_REQUIRE(g->class_tokens <= 1 && g->distillation_tokens <= 1 && g->registers <= 1024);
}

static void try_family(const struct json_value *root, const struct family *family) {
    struct geometry geometry = {0};
    vdt_error error = {0};
    struct config config = {.object = root, .file = "C", .error = &error};
    family->configure(&geometry, &config);
    if (config.status == VDT_OK) geometry_check(&geometry, &config);
    fuzz_check_status(config.status, &error);
    if (config.status == VDT_OK) check_geometry(&geometry);
}

static void try_timm(const struct json_value *root) {
    struct geometry geometry = {0};
    struct processor processor;
    vdt_error error = {0};
    struct config config = {.object = root, .file = "C", .error = &error};
    const struct family *family = timm_family(&config);
    if (family) {
        family->configure(&geometry, &config);
        processor_defaults(&processor, family->processor_class);
        timm_configure(&geometry, &config);
        timm_processor(&processor, &config);
        if (config.status == VDT_OK) geometry_check(&geometry, &config);
        if (config.status == VDT_OK) check_geometry(&geometry);
        if (config.status == VDT_OK) check_processor(&processor);
    }
    fuzz_check_status(config.status, &error);
}

static void target(struct memory *memory, const uint8_t *data, size_t size) {
    char licence[9];
    memset(licence, 'x', sizeof licence);
    if (modelcard_licence(licence, sizeof licence, data, size))
        FUZZ_REQUIRE(memchr(licence, '\0', sizeof licence) != NULL);
    struct json_value *root = NULL;
    vdt_error error = {0};
    const int status = json_value_parse(&root, data, size, CONFIG_MAX_BYTES, "C", &error);
    fuzz_check_status(status, &error);
    FUZZ_REQUIRE((status == 0) == (root != NULL));
    if (!json_value_is_object(root)) {
        json_value_free(&root);
        return;
    }
    for (size_t i = 0; family_at(i); i++) {
        try_family(root, family_at(i));
        try_processor(root, family_at(i)->processor_class);
    }
    try_timm(root);
    try_labels(memory, root);
    json_value_free(&root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_run(target, data, size);
    return 0;
}
