#include "stream_bench.h"

#include <stdlib.h>

void open_with(struct bench *bench, const char *model, vdt_precision precision,
               const vdt_context_options *options) {
    vdt_error error = {0};
    vdt_model_options model_options;
    vdt_model_options_init(&model_options);
    model_options.precision = precision;
    require(vdt_context_open(&bench->context, options, &error), &error);
    require(
        vdt_model_open(&bench->model, bench->context, source_path(model), &model_options, &error),
        &error);
    bench->height = vdt_model_info_get(bench->model)->height;
    bench->width = vdt_model_info_get(bench->model)->width;
    bench->bytes = bench->height * bench->width * 3;
    bench->layer = VDT_LAYER_LAST;
    bench->pool = VDT_POOL_TOKENS;
}

void open_at(struct bench *bench, const char *model, vdt_precision precision, uint32_t threads) {
    vdt_context_options options;
    vdt_context_options_init(&options);
    options.threads = threads;
    open_with(bench, model, precision, &options);
}

void close_bench(struct bench *bench) {
    vdt_model_close(&bench->model);
    vdt_context_close(&bench->context);
}

vdt_session *open_session(const struct bench *bench, const vdt_stream_options *stream) {
    vdt_error error = {0};
    vdt_session_options options;
    vdt_session *session = NULL;
    vdt_session_options_init(&options);
    options.pool = bench->pool;
    options.layer = bench->layer;
    if (stream) options.stream = *stream;
    require(vdt_session_open(&session, bench->model, &options, &error), &error);
    return session;
}

atomic_size_t allocations, allocated;

void *count_allocate(void *user, size_t bytes) {
    (void)user;
    atomic_fetch_add(&allocations, 1);
    atomic_fetch_add(&allocated, bytes);
    return aligned_alloc(64, (bytes + 63) / 64 * 64);
}

void count_release(void *user, void *pointer, size_t bytes) {
    (void)user;
    atomic_fetch_sub(&allocated, bytes);
    free(pointer);
}

vdt_stream_options stream_of(vdt_update update, uint32_t r, vdt_attention attention) {
    vdt_session_options options;
    vdt_session_options_init(&options);
    options.stream.update = update;
    options.stream.r = r;
    options.stream.attention = attention;
    return options.stream;
}

size_t features_of(const vdt_session *session) {
    return vdt_session_shape(session)->features;
}

vdt_clip clip_of(const vdt_session *session, const uint8_t *pixels) {
    const size_t row = 3 * (size_t)vdt_session_shape(session)->width;
    return (vdt_clip){pixels, row, row * vdt_session_shape(session)->height};
}

void run(vdt_session *session, const uint8_t *pixels, float *features) {
    vdt_error error = {0};
    const vdt_clip clip = clip_of(session, pixels);
    require(vdt_session_run(session, &clip, 1, &(vdt_output){.features = features}, NULL, &error),
            &error);
}

void disturb(const struct bench *bench, struct random *random, uint8_t *pixels, size_t squares) {
    for (size_t i = 0; i < squares; i++) {
        const size_t y = random_size(random, 0, bench->height / 8 - 1) * 8,
                     x = random_size(random, 0, bench->width / 8 - 1) * 8;
        for (size_t row = 0; row < 8; row++)
            random_bytes(random, pixels + ((y + row) * bench->width + x) * 3, 24);
    }
}

int cancel(void *user, const char *what, size_t done, size_t total) {
    (void)what;
    (void)total;
    int *countdown = user;
    (void)done;
    return *countdown > 0 && --*countdown == 0;
}

const char *const models[MODELS] = {"tests/golden/vit_classification",
                                    "tests/golden/vitdet_windows",
                                    "tests/golden/dinov2_registers_up", "tests/golden/clip_vision"};
