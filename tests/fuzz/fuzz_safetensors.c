// Safetensors files: the header, every byte of every tensor, and the tensors as the weights of a
// tiny model of every family, which runs once where they fit.
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "models/encoder.h"
#include "tiny_model.h"

static void run_session(const struct vdt_context *context, const struct geometry *geometry,
                        const struct weights *weights, vdt_pool pool, struct memory *memory) {
    static const uint8_t pixels[2 * 4 * 4 * 3] = {1, 2, 3, 250};
    static const float values[3][256] = {{0.0f, 0.1f}, {0.2f}, {-1.0f}};
    const vdt_clip clip = {.pixels = pixels, .row_stride = 12, .frame_stride = 48};
    const struct encoder_options options = {.clips = 1,
                                            .frames = geometry->frames,
                                            .height = 4,
                                            .width = 4,
                                            .pool = pool,
                                            .layer = ENCODER_LAST};
    struct encoder encoder;
    vdt_error error = {0};
    struct arena counting = {0};
    int status = encoder_plan(&encoder, context, geometry, weights, &options, &error);
    if (status) return; // no pooling head, say
    encoder_layout(&encoder, &counting);
    FUZZ_REQUIRE(!counting.overflow);
    struct arena arena = {.base = mem_alloc_raw(memory, counting.peak, 1, "test", NULL)};
    float *logits = mem_alloc_raw(memory, encoder.n_logits, sizeof *logits, "test", NULL);
    float *features = mem_alloc_raw(memory, encoder.n_features, sizeof *features, "test", NULL);
    if (arena.base && logits && features) {
        encoder_layout(&encoder, &arena);
        encoder.values = values;
        encoder_prepare(&encoder);
        status = encoder_forward(&encoder, &clip, 1, encoder.n_logits ? logits : NULL, 0, features,
                                 0, NULL, &error);
        fuzz_check_status(status, &error);
    }
    mem_free(memory, arena.base);
    mem_free(memory, logits);
    mem_free(memory, features);
}

static void try_variant(struct vdt_context *context, const struct checkpoint *checkpoint,
                        size_t variant, struct memory *memory) {
    struct geometry geometry;
    const struct family *family = tiny_model(&geometry, variant);
    struct tensor_map map = {0};
    struct weights weights = {0};
    vdt_error error = {0};
    int status = tensor_map_open(&map, memory, &geometry, family, checkpoint, &error);
    fuzz_check_status(status, &error);
    const struct weight_formats formats = {FORMAT_F32, FORMAT_F32, &context->kernels};
    if (!status) {
        status = weights_open(&weights, memory, context->pool, &formats, &geometry, family, &map, 0,
                              &error);
        fuzz_check_status(status, &error);
    }
    tensor_map_close(&map, memory);
    if (!status) {
        run_session(context, &geometry, &weights, VDT_POOL_HEAD, memory);
        run_session(context, &geometry, &weights, VDT_POOL_TOKENS, memory);
    }
    weights_close(&weights);
}

static void try_models(const struct safetensors *file, struct memory *memory) {
    char name[] = "model.safetensors";
    struct shard shard = {.name = name, .tensors = *file};
    const struct checkpoint checkpoint = {.memory = memory, .shards = &shard, .n = 1};
    struct vdt_context context = {.memory = *memory};
    kernels_init(&context.kernels, VDT_CPU_C);
    const int status = pool_open(&context.pool, memory, 1, NULL);
    for (size_t i = 0; !status && i < TINY_VARIANTS; i++)
        try_variant(&context, &checkpoint, i, memory);
    if (context.pool) pool_close(&context.pool);
}

static void target(struct memory *memory, const uint8_t *data, size_t size) {
    struct safetensors file = {0};
    vdt_error error = {0};
    const int status = safetensors_parse(&file, memory, data, size, "F", &error);
    fuzz_check_status(status, &error);
    if (status) {
        FUZZ_REQUIRE(file.entries == NULL && file.header == NULL && file.n == 0);
        return;
    }
    size_t sum = 0;
    for (size_t i = 0; i < file.n; i++) {
        const struct tensor *tensor = &file.entries[i].tensor;
        const size_t bytes = tensor->count * tensor->element_bytes;
        FUZZ_REQUIRE(tensor->data >= data && tensor->data + bytes <= data + size);
        for (size_t j = 0; j < bytes; j++) sum += tensor->data[j];
        sum += strlen(file.entries[i].name);
    }
    FUZZ_REQUIRE(sum <= 256 * size); // no byte belongs to two tensors
    try_models(&file, memory);
    safetensors_free(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_run(target, data, size);
    return 0;
}
