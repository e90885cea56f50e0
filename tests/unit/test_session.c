// Identities of a session: packed clips equal their solo runs, any packing order, strided input and
// output, what nobody reads left out, two sessions of one model on two threads, seeds, estimates,
// arguments out of range.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/checked.h"
#include "support.h"

#include <vidette/vidette.h>

struct bench {
    vdt_context *context;
    vdt_model *model;
};

// vit-tiny at 64 pixels: 17 tokens, 12 blocks of width 192.
static void open_bench(struct bench *bench, uint32_t threads, uint64_t seed) {
    vdt_error error = {0};
    vdt_context_options context_options;
    vdt_model_options model_options;
    vdt_context_options_init(&context_options);
    vdt_model_options_init(&model_options);
    context_options.threads = threads;
    model_options.size = 64;
    model_options.labels = 10;
    model_options.seed = seed;
    require(vdt_context_open(&bench->context, &context_options, &error), &error);
    require(vdt_model_open_arch(&bench->model, bench->context, "vit-tiny", &model_options, &error),
            &error);
}

static void close_bench(struct bench *bench) {
    vdt_model_close(&bench->model);
    vdt_context_close(&bench->context);
}

enum { CLIPS = 5, SIDE = 64, BYTES = SIDE * SIDE * 3, LABELS = 10, D = 192 };

static vdt_session *open_session(struct bench *bench, uint32_t clips, vdt_pool pool,
                                 int32_t layer) {
    vdt_error error = {0};
    vdt_session_options options;
    vdt_session *session = NULL;
    vdt_session_options_init(&options);
    options.clips = clips;
    options.pool = pool;
    options.layer = layer;
    require(vdt_session_open(&session, bench->model, &options, &error), &error);
    return session;
}

static uint8_t *random_clips(size_t n, uint64_t seed) {
    struct random random = {seed};
    uint8_t *pixels = make_bytes(n * BYTES);
    random_bytes(&random, pixels, n * BYTES);
    return pixels;
}

static vdt_clip clip_at(const uint8_t *pixels, size_t i) {
    return (vdt_clip){.pixels = pixels + i * BYTES, .row_stride = SIDE * 3, .frame_stride = BYTES};
}

static void packed_equals_solo(void **state) {
    (void)state;
    struct bench bench;
    vdt_error error = {0};
    open_bench(&bench, 2, 1);
    vdt_session *packed = open_session(&bench, CLIPS, VDT_POOL_CLASS, 6);
    vdt_session *solo = open_session(&bench, 1, VDT_POOL_CLASS, 6);
    uint8_t *pixels = random_clips(CLIPS, 5);
    static const size_t orders[][CLIPS] = {{0, 1, 2, 3, 4}, {4, 2, 0, 1, 3}, {3, 3, 3, 0, 1}};
    for (size_t o = 0; o < 3; o++) {
        for (size_t n = 1; n <= CLIPS; n++) {
            vdt_clip clips[CLIPS];
            float logits[CLIPS][LABELS], features[CLIPS][D], one[LABELS], feature[D];
            for (size_t i = 0; i < n; i++) clips[i] = clip_at(pixels, orders[o][i]);
            const vdt_output all = {.logits = logits[0], .features = features[0]};
            require(vdt_session_run(packed, clips, n, &all, NULL, &error), &error);
            for (size_t i = 0; i < n; i++) {
                const vdt_output single = {.logits = one, .features = feature};
                require(vdt_session_run(solo, &clips[i], 1, &single, NULL, &error), &error);
                assert_memory_equal(one, logits[i], sizeof one);
                assert_memory_equal(feature, features[i], sizeof feature);
            }
        }
    }
    free(pixels);
    vdt_session_close(&packed);
    vdt_session_close(&solo);
    close_bench(&bench);
}

/* ---- what is read -------------------------------------------------------------------------- */

enum { MOST_SIDE = 256, MOST_FRAMES = 16, PACKED = 3, MOST_OUT = 64 };

struct reading {
    float logits[PACKED * MOST_OUT], pooled[PACKED * MOST_OUT];
    vdt_stats stats;
};

static uint32_t kept_tokens(const vdt_model_info *info, bool rlt) {
    return rlt ? info->tokens * 3 / 4 : info->tokens;
}

// PACKED clips; rlt: some of each one's tokens are dropped.
static void read_clips(struct reading *reading, vdt_model *model, vdt_pool pool, bool rlt,
                       const uint8_t *pixels) {
    const vdt_model_info *info = vdt_model_info_get(model);
    vdt_error error = {0};
    vdt_session *session = NULL;
    vdt_session_options options;
    vdt_session_options_init(&options);
    options.clips = PACKED;
    options.pool = pool;
    if (rlt) options.rlt = (vdt_rlt_options){.mode = VDT_RLT_KEEP, .keep = kept_tokens(info, true)};
    require(vdt_session_open(&session, model, &options, &error), &error);
    const vdt_session_shape_info *shape = vdt_session_shape(session);
    const size_t row = 3 * (size_t)shape->width, frame = row * shape->height;
    vdt_clip clips[PACKED];
    for (size_t i = 0; i < PACKED; i++)
        clips[i] = (vdt_clip){pixels + i * shape->frames * frame, row, frame};
    float *features = make_floats(PACKED * shape->features);
    const vdt_output output = {.logits = shape->logits > 0 ? reading->logits : NULL,
                               .features = features};
    assert_true(shape->logits <= MOST_OUT);
    require(vdt_session_run(session, clips, PACKED, &output, &reading->stats, &error), &error);
    for (size_t i = 0; i < PACKED; i++) // of all tokens the first one
        memcpy(reading->pooled + i * MOST_OUT, features + i * shape->features,
               min_size(info->width_model, MOST_OUT) * sizeof *features);
    free(features);
    vdt_session_close(&session);
}

// What the last block's rows take that nothing reads, but for their keys and values.
static uint64_t unread(const vdt_model_info *info, uint64_t n, uint64_t read) {
    const uint64_t d = info->width_model;
    return PACKED * (n - read) * (2 * n * d + d * d + 2 * d * info->width_mlp);
}

struct reading_case {
    const char *name;
    uint64_t rows;  // of a clip that are read; 0: all
    bool same_norm; // of a class token alone and of all tokens
};

static void check_reading(const struct reading_case *wanted, vdt_model *model, bool rlt,
                          const uint8_t *pixels) {
    const vdt_model_info *info = vdt_model_info_get(model);
    const bool has_class = info->prefix_tokens > 0;
    const size_t floats = min_size(info->width_model, MOST_OUT);
    struct reading all, first;
    read_clips(&all, model, VDT_POOL_TOKENS, rlt, pixels);
    read_clips(&first, model, has_class ? VDT_POOL_CLASS : VDT_POOL_HEAD, rlt, pixels);
    for (size_t b = 0; b < PACKED; b++) {
        if (info->labels > 0)
            assert_memory_equal(first.logits + b * info->labels, all.logits + b * info->labels,
                                info->labels * sizeof(float));
        if (has_class && wanted->same_norm)
            assert_memory_equal(first.pooled + b * MOST_OUT, all.pooled + b * MOST_OUT,
                                floats * sizeof(float));
    }
    const uint64_t left_out =
        wanted->rows > 0 ? unread(info, kept_tokens(info, rlt), wanted->rows) : 0;
    assert_int_equal(all.stats.macs_unread, 0);
    assert_int_equal(first.stats.macs_unread, left_out);
    assert_int_equal(first.stats.macs, all.stats.macs);
}

// Where only class tokens are read, the last block leaves out every other row, and nothing else changes: against
// sessions that give all tokens.
static void what_nobody_reads_is_left_out(void **state) {
    (void)state;
    static const struct reading_case cases[] = {
        {"vit_classification", 1, true},   {"deit_with_teacher", 2, true},
        {"clip_classification", 0, false}, {"vivit_classification", 1, true},
        {"videomae_first_token", 1, true}, {"clip_vision_projection", 1, false},
        {"dinov2_classification", 0, true}};
    static const vdt_precision precisions[] = {VDT_PRECISION_F32, VDT_PRECISION_BF16,
                                               VDT_PRECISION_INT8};
    const size_t bytes = (size_t)PACKED * MOST_FRAMES * MOST_SIDE * MOST_SIDE * 3;
    uint8_t *pixels = make_bytes(bytes);
    struct random random = {23};
    random_bytes(&random, pixels, bytes);
    for (size_t i = 0; i < 3 * (sizeof cases / sizeof *cases); i++) {
        char directory[64];
        struct bench bench;
        vdt_error error = {0};
        vdt_model_options options;
        vdt_model_options_init(&options);
        options.precision = precisions[i % 3];
        snprintf(directory, sizeof directory, "tests/golden/%s", cases[i / 3].name);
        require(vdt_context_open(&bench.context, NULL, &error), &error);
        require(
            vdt_model_open(&bench.model, bench.context, source_path(directory), &options, &error),
            &error);
        const vdt_model_info *info = vdt_model_info_get(bench.model);
        assert_true(info->frames <= MOST_FRAMES && info->height <= MOST_SIDE);
        check_reading(&cases[i / 3], bench.model, false, pixels);
        if (info->frames > info->tubelet) check_reading(&cases[i / 3], bench.model, true, pixels);
        close_bench(&bench);
    }
    free(pixels);
}

static void strides_are_respected(void **state) {
    (void)state;
    struct bench bench;
    vdt_error error = {0};
    open_bench(&bench, 1, 1);
    vdt_session *session = open_session(&bench, 2, VDT_POOL_MEAN, VDT_LAYER_LAST);
    uint8_t *pixels = random_clips(2, 6), *wide = make_bytes(2 * SIDE * (SIDE * 3 + 7));
    for (size_t row = 0; row < 2 * SIDE; row++)
        memcpy(wide + row * (SIDE * 3 + 7), pixels + row * SIDE * 3, SIDE * 3);
    vdt_clip tight[2], loose[2];
    for (size_t i = 0; i < 2; i++) {
        tight[i] = clip_at(pixels, i);
        loose[i] =
            (vdt_clip){wide + i * SIDE * (SIDE * 3 + 7), SIDE * 3 + 7, SIDE * (SIDE * 3 + 7)};
    }
    float logits[2 * LABELS], spread[2 * 13], features[2 * D], apart[2 * 200];
    for (size_t i = 0; i < 26; i++) spread[i] = -7.0f;
    require(vdt_session_run(session, tight, 2,
                            &(vdt_output){.logits = logits, .features = features}, NULL, &error),
            &error);
    const vdt_output strided = {
        .logits = spread, .logits_stride = 13, .features = apart, .features_stride = 200};
    require(vdt_session_run(session, loose, 2, &strided, NULL, &error), &error);
    for (size_t i = 0; i < 2; i++) {
        assert_memory_equal(logits + i * LABELS, spread + i * 13, LABELS * sizeof *logits);
        assert_memory_equal(features + i * D, apart + i * 200, D * sizeof *features);
    }
    for (size_t i = LABELS; i < 13; i++) assert_true(spread[i] == -7.0f);
    free(pixels);
    free(wide);
    vdt_session_close(&session);
    close_bench(&bench);
}

struct worker {
    vdt_session *session;
    const uint8_t *pixels;
    float logits[CLIPS][LABELS];
};

static void *run_worker(void *argument) {
    struct worker *worker = argument;
    for (size_t i = 0; i < CLIPS; i++) {
        const vdt_clip clip = clip_at(worker->pixels, i);
        vdt_session_run(worker->session, &clip, 1, &(vdt_output){.logits = worker->logits[i]}, NULL,
                        NULL);
    }
    return NULL;
}

static void two_sessions_on_two_threads(void **state) {
    (void)state;
    struct bench bench;
    open_bench(&bench, 2, 1);
    uint8_t *pixels = random_clips(CLIPS, 8);
    struct worker workers[3] = {0};
    pthread_t threads[2];
    for (size_t i = 0; i < 3; i++) {
        workers[i].session = open_session(&bench, 1, VDT_POOL_NONE_WANTED, VDT_LAYER_LAST);
        workers[i].pixels = pixels;
    }
    for (size_t i = 0; i < 2; i++) pthread_create(&threads[i], NULL, run_worker, &workers[i]);
    for (size_t i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    run_worker(&workers[2]);
    for (size_t i = 0; i < 2; i++)
        assert_memory_equal(workers[i].logits, workers[2].logits, sizeof workers[2].logits);
    for (size_t i = 0; i < 3; i++) vdt_session_close(&workers[i].session);
    free(pixels);
    close_bench(&bench);
}

static void seeds_make_models(void **state) {
    (void)state;
    float logits[3][LABELS];
    static const uint64_t seeds[] = {1, 1, 2};
    uint8_t *pixels = random_clips(1, 9);
    for (size_t i = 0; i < 3; i++) {
        struct bench bench;
        open_bench(&bench, (uint32_t)i + 1, seeds[i]);
        vdt_session *session = open_session(&bench, 1, VDT_POOL_NONE_WANTED, VDT_LAYER_LAST);
        const vdt_clip clip = clip_at(pixels, 0);
        assert_int_equal(
            vdt_session_run(session, &clip, 1, &(vdt_output){.logits = logits[i]}, NULL, NULL),
            VDT_OK);
        vdt_session_close(&session);
        close_bench(&bench);
    }
    assert_memory_equal(logits[0], logits[1], sizeof logits[0]);
    assert_memory_not_equal(logits[0], logits[2], sizeof logits[0]);
    free(pixels);
}

static void arguments_are_checked(void **state) {
    (void)state;
    struct bench bench;
    open_bench(&bench, 1, 1);
    const struct {
        vdt_session_options options;
        vdt_status status;
    } wrong[] = {
        {{.abi = VDT_ABI + 1, .clips = 1, .layer = -1}, VDT_ERROR_ARGUMENT},
        {{.abi = VDT_ABI, .clips = 0, .layer = -1}, VDT_ERROR_ARGUMENT},
        {{.abi = VDT_ABI, .clips = 5000, .layer = -1}, VDT_ERROR_ARGUMENT},
        {{.abi = VDT_ABI, .clips = 1, .layer = 13, .pool = VDT_POOL_MEAN}, VDT_ERROR_ARGUMENT},
        {{.abi = VDT_ABI, .clips = 1, .layer = -2, .pool = VDT_POOL_MEAN}, VDT_ERROR_ARGUMENT},
        {{.abi = VDT_ABI, .clips = 1, .layer = 3, .pool = VDT_POOL_HEAD}, VDT_ERROR_ARGUMENT},
        {{.abi = VDT_ABI, .clips = 1, .layer = -1, .pool = (vdt_pool)77}, VDT_ERROR_ARGUMENT},
        {{.abi = VDT_ABI, .clips = 1, .layer = -1, .frames = 2}, VDT_ERROR_UNSUPPORTED},
        {{.abi = VDT_ABI, .clips = 1, .layer = -1, .height = 5, .width = 64}, VDT_ERROR_ARGUMENT},
        {{.abi = VDT_ABI, .clips = 1, .layer = -1, .height = 64, .width = 4000000},
         VDT_ERROR_ARGUMENT},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        vdt_error error = {0};
        vdt_session *session = NULL;
        size_t bytes = 7;
        assert_int_equal(vdt_session_open(&session, bench.model, &wrong[i].options, &error),
                         wrong[i].status);
        assert_int_equal(error.status, wrong[i].status);
        assert_null(session);
        assert_int_equal(vdt_session_estimate(&bytes, bench.model, &wrong[i].options, NULL),
                         wrong[i].status);
        assert_int_equal(bytes, 7);
    }
    vdt_session *session = open_session(&bench, 1, VDT_POOL_NONE_WANTED, VDT_LAYER_LAST);
    uint8_t *pixels = random_clips(2, 3);
    const vdt_clip clips[2] = {clip_at(pixels, 0), clip_at(pixels, 1)};
    const vdt_clip narrow = {pixels, SIDE * 3 - 1, BYTES};
    float logits[LABELS], features[D];
    const vdt_output output = {.logits = logits};
    assert_int_equal(vdt_session_run(session, clips, 0, &output, NULL, NULL), VDT_ERROR_ARGUMENT);
    assert_int_equal(vdt_session_run(session, clips, 2, &output, NULL, NULL), VDT_ERROR_ARGUMENT);
    assert_int_equal(vdt_session_run(session, &narrow, 1, &output, NULL, NULL), VDT_ERROR_ARGUMENT);
    assert_int_equal(
        vdt_session_run(session, clips, 1, &(vdt_output){.features = features}, NULL, NULL),
        VDT_ERROR_ARGUMENT);
    assert_int_equal(vdt_session_run(session, clips, 1,
                                     &(vdt_output){.logits = logits, .logits_stride = 3}, NULL,
                                     NULL),
                     VDT_ERROR_ARGUMENT);
    free(pixels);
    vdt_session_close(&session);
    close_bench(&bench);
}

static void other_sizes_resize_positions(void **state) {
    (void)state;
    struct bench bench;
    vdt_error error = {0};
    vdt_session_options options;
    vdt_session *session = NULL;
    open_bench(&bench, 1, 1);
    vdt_session_options_init(&options);
    options.height = 48;
    options.width = 100; // 3 x 6 patches, the last four columns of pixels are left out
    require(vdt_session_open(&session, bench.model, &options, &error), &error);
    assert_int_equal(vdt_session_shape(session)->tokens, 19);
    vdt_session_close(&session);
    close_bench(&bench);
}

static int cancel_at_block_three(void *user, const char *what, size_t done, size_t total) {
    (void)user;
    (void)total;
    return strcmp(what, "run") == 0 && done == 3;
}

static void a_run_can_be_cancelled(void **state) {
    (void)state;
    vdt_error error = {0};
    vdt_context_options options;
    vdt_model_options model_options;
    struct bench bench = {0};
    vdt_context_options_init(&options);
    vdt_model_options_init(&model_options);
    options.progress = cancel_at_block_three;
    model_options.size = SIDE;
    require(vdt_context_open(&bench.context, &options, &error), &error);
    require(vdt_model_open_arch(&bench.model, bench.context, "vit-tiny", &model_options, &error),
            &error);
    vdt_session *session = open_session(&bench, 1, VDT_POOL_NONE_WANTED, VDT_LAYER_LAST);
    uint8_t *pixels = random_clips(1, 3);
    const vdt_clip clip = clip_at(pixels, 0);
    float *logits = make_floats(vdt_session_shape(session)->logits);
    assert_int_equal(
        vdt_session_run(session, &clip, 1, &(vdt_output){.logits = logits}, NULL, &error),
        VDT_ERROR_CANCELLED);
    free(logits);
    free(pixels);
    vdt_session_close(&session);
    close_bench(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packed_equals_solo),
        cmocka_unit_test(what_nobody_reads_is_left_out),
        cmocka_unit_test(strides_are_respected),
        cmocka_unit_test(two_sessions_on_two_threads),
        cmocka_unit_test(seeds_make_models),
        cmocka_unit_test(arguments_are_checked),
        cmocka_unit_test(other_sizes_resize_positions),
        cmocka_unit_test(a_run_can_be_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
