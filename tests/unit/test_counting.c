// Published numbers of operations, by counting what real runs do at full size: ToMe's table (DeiT, video
// ViT-L, VideoMAE) and RLT's law. The multiply-adds that the operations counted while running, those that
// the session's shape promised and the printed number must agree. The Eventful paper's rule is held against its own
// printed number of a dense model, and against the rule written down once more for the rest.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models/families.h"
#include "models/model.h"
#include "support.h"

struct row {
    vdt_rlt_options rlt;
    vdt_tome_options tome;
    double gmac;    // as printed
    double decimal; // the last printed one
    uint32_t left;  // tokens after the last block; 0: not said
};

#define MERGE(value, where)                                                                        \
    { .mode = VDT_TOME_SCHEDULE, .r = (value), .inflection = (where) }
#define KEEP(value)                                                                                \
    { .mode = VDT_RLT_KEEP, .keep = (value) }

// Of a plain transformer: linear layers with their biases, both products of attention, two residuals, positions.
static uint64_t eventful_rule(const vdt_tokens *tokens, uint64_t d, uint64_t mlp) {
    uint64_t n = tokens->kept, operations = n * d;
    for (size_t i = 0; i < tokens->n_layers; i++) {
        const uint64_t left = tokens->layers[i];
        operations += n * (3 * d * d + 3 * d) + 2 * n * n * d + n * (d * d + d) + n * d;
        operations += left * (d * mlp + mlp) + left * (mlp * d + d) + left * d;
        n = left;
    }
    return operations;
}

static void count_row(vdt_model *model, const struct row *row) {
    vdt_session *session = NULL;
    vdt_session_options options;
    vdt_error error = {0};
    vdt_stats stats;
    vdt_tokens tokens;
    vdt_session_options_init(&options);
    options.rlt = row->rlt;
    options.tome = row->tome;
    require(vdt_session_open(&session, model, &options, &error), &error);
    const vdt_session_shape_info *shape = vdt_session_shape(session);
    const size_t frame = (size_t)shape->height * shape->width * 3;
    uint8_t *pixels = make_bytes(frame * shape->frames);
    float *logits = make_floats(shape->logits);
    struct random random = {1};
    random_bytes(&random, pixels, frame * shape->frames);
    const vdt_clip clip = {pixels, (size_t)shape->width * 3, frame};
    require(vdt_session_run(session, &clip, 1, &(vdt_output){.logits = logits}, &stats, &error),
            &error);
    require(vdt_session_tokens(&tokens, session, 0, &error), &error);
    const double gmac = (double)stats.macs * 1e-9;
    if (!(fabs(gmac - row->gmac) <= row->decimal / 2))
        fail_msg("expected %g GMAC, counted %.5f", row->gmac, gmac);
    assert_int_equal(stats.macs, shape->macs);
    assert_int_equal(stats.macs, tokens.macs);
    assert_int_equal(stats.macs_dense, shape->macs_dense);
    const struct geometry *geometry = &model->geometry;
    assert_int_equal(tokens.macs_eventful, eventful_rule(&tokens, geometry->d, geometry->mlp));
    if (row->rlt.mode == VDT_RLT_OFF && row->tome.mode == VDT_TOME_OFF)
        assert_int_equal(tokens.macs_eventful, tokens.macs_eventful_dense);
    if (row->left) assert_int_equal(tokens.layers[tokens.n_layers - 1], row->left);
    free(pixels);
    free(logits);
    vdt_session_close(&session);
}

static void count_arch(const char *arch, const struct row *rows, size_t n) {
    vdt_context *context = NULL;
    vdt_model *model = NULL;
    vdt_error error = {0};
    require(vdt_context_open(&context, NULL, &error), &error);
    require(vdt_model_open_arch(&model, context, arch, NULL, &error), &error);
    for (size_t i = 0; i < n; i++) count_row(model, &rows[i]);
    vdt_model_close(&model);
    vdt_context_close(&context);
}

static void images(void **state) {
    (void)state;
    static const struct row small[] = {{{0}, MERGE(0, 0.0), 4.599, 1e-3, 197},
                                       {{0}, MERGE(8, 0.0), 3.416, 1e-3, 101},
                                       {{0}, MERGE(13, 0.0), 2.703, 1e-3, 41},
                                       {{0}, MERGE(16, 0.0), 2.291, 1e-3, 0}};
    static const struct row tiny[] = {{{0}, MERGE(0, 0.0), 1.254, 1e-3, 197},
                                      {{0}, MERGE(8, 0.0), 0.924, 1e-3, 101},
                                      {{0}, MERGE(12, 0.0), 0.769, 1e-3, 53},
                                      {{0}, MERGE(16, 0.0), 0.622, 1e-3, 0}};
    count_arch("vit-small", small, 4);
    count_arch("vit-tiny", tiny, 4);
}

static void clips(void **state) {
    (void)state;
    static const struct row base[] = {
        {{0}, {0}, 180.34, 1e-2, 1568},       {{0}, MERGE(65, 0.0), 128.92, 1e-2, 788},
        {KEEP(1098), {0}, 116.8, 1e-1, 1098}, {KEEP(784), {0}, 78.8, 1e-1, 784},
        {KEEP(314), {0}, 28.9, 1e-1, 314},
    };
    count_arch("videomae-base", base, 5);
}

#ifndef VIDETTE_SANITIZED // minutes under a sanitizer, and no other code than above
static void large_clips(void **state) {
    (void)state;
    static const struct row large[] = {{{0}, {0}, 596.83, 1e-2, 1568},
                                       {{0}, MERGE(65, 0.0), 280.45, 1e-2, 0},
                                       {{0}, MERGE(65, -1.0), 183.44, 1e-2, 0}};
    count_arch("videomae-large", large, 3);
}

// Dense ViTDet-B at 672 x 672, windows and relative positions included, by the Eventful rule: 174.495 GMAC.
static void detector_by_the_eventful_rule(void **state) {
    (void)state;
    vdt_context *context = NULL;
    vdt_model *model = NULL;
    vdt_session *session = NULL;
    vdt_session_options options;
    vdt_tokens tokens;
    vdt_error error = {0};
    vdt_session_options_init(&options);
    options.height = options.width = 672;
    require(vdt_context_open(&context, NULL, &error), &error);
    require(vdt_model_open_arch(&model, context, "vitdet-base", NULL, &error), &error);
    require(vdt_session_open(&session, model, &options, &error), &error);
    uint8_t *pixels = make_bytes((size_t)672 * 672 * 3);
    const vdt_clip clip = {pixels, (size_t)672 * 3, (size_t)672 * 672 * 3};
    require(vdt_session_run(session, &clip, 1, &(vdt_output){0}, NULL, &error), &error);
    require(vdt_session_tokens(&tokens, session, 0, &error), &error);
    const double gmac = (double)tokens.macs_eventful * 1e-9;
    if (!(fabs(gmac - 174.495) <= 5e-4)) fail_msg("expected 174.495 GMAC, counted %.5f", gmac);
    free(pixels);
    vdt_session_close(&session);
    vdt_model_close(&model);
    vdt_context_close(&context);
}

// No directory and no named geometry has it: ViT-L over 16 frames with a class token, 1569 tokens.
static void large_clips_with_a_class_token(void **state) {
    (void)state;
    static const struct row rows[] = {{{0}, MERGE(65, 0.0), 280.83, 1e-2, 0},
                                      {{0}, MERGE(65, -1.0), 183.80, 1e-2, 0}};
    vdt_error error = {0};
    vdt_context *context = NULL;
    struct vdt_model model = {.family = &family_vivit, .name = (char *)(uintptr_t) "vit-large-16"};
    struct config config = {.file = "test", .error = &error};
    struct tensor_map map = {0};
    require(vdt_context_open(&context, NULL, &error), &error);
    model.context = context;
    family_vivit.configure(&model.geometry, &config);
    model.geometry.frames = 16;
    model.geometry.d = 1024;
    model.geometry.blocks = 24;
    model.geometry.heads = 16;
    model.geometry.mlp = 4096;
    model.geometry.labels = 400;
    model.info = (vdt_model_info){.frames = 16, .height = 224, .width = 224};
    processor_defaults(&model.processor, "Vivit");
    processor_values(&model.processor, model.values);
    const bool bf16 = context->kernels.has_format[FORMAT_BF16];
    const enum format format = bf16 ? FORMAT_BF16 : FORMAT_F32;
    const struct weight_formats formats = {format, format, &context->kernels};
    require(tensor_map_open_empty(&map, &context->memory, &model.geometry, model.family, &error),
            &error);
    require(weights_open(&model.weights, &context->memory, context->pool, &formats, &model.geometry,
                         model.family, &map, 0, &error),
            &error);
    for (size_t i = 0; i < 2; i++) count_row(&model, &rows[i]);
    tensor_map_close(&map, &context->memory);
    weights_close(&model.weights);
    vdt_context_close(&context);
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(images),
        cmocka_unit_test(clips),
#ifndef VIDETTE_SANITIZED
        cmocka_unit_test(large_clips),
        cmocka_unit_test(detector_by_the_eventful_rule),
        cmocka_unit_test(large_clips_with_a_class_token),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
