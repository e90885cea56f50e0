// Identities of a session: packed clips equal their solo runs, any packing order, strided input and
// output, two sessions of one model on two threads, seeds, estimates, arguments out of range.
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

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
        cmocka_unit_test(strides_are_respected),
        cmocka_unit_test(two_sessions_on_two_threads),
        cmocka_unit_test(seeds_make_models),
        cmocka_unit_test(arguments_are_checked),
        cmocka_unit_test(other_sizes_resize_positions),
        cmocka_unit_test(a_run_can_be_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
