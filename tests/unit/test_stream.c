// Streams against the dense model and against themselves: everything picked equals dense bit for bit, a
// stream that stands still arrives at the dense answer and then costs nothing, snapshots, threads, what the
// counting rule says, the failing control.
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"
#include "support.h"

static void require(vdt_status status, const vdt_error *error) {
    if (status) fail_msg("%s", error->message);
}

struct bench {
    vdt_context *context;
    vdt_model *model;
};

enum { SIDE = 64, BYTES = SIDE * SIDE * 3, LABELS = 10 };

static void open_at(struct bench *bench, const char *arch, vdt_precision precision,
                    uint32_t threads, vdt_cpu cpu) {
    vdt_error error = {0};
    vdt_context_options context_options;
    vdt_model_options model_options;
    vdt_context_options_init(&context_options);
    vdt_model_options_init(&model_options);
    context_options.threads = threads;
    context_options.cpu = cpu;
    model_options.size = SIDE;
    model_options.labels = LABELS;
    model_options.precision = precision;
    require(vdt_context_open(&bench->context, &context_options, &error), &error);
    require(vdt_model_open_arch(&bench->model, bench->context, arch, &model_options, &error),
            &error);
}

static void close_bench(struct bench *bench) {
    vdt_model_close(&bench->model);
    vdt_context_close(&bench->context);
}

static vdt_session *open_session(const struct bench *bench, const vdt_stream_options *stream) {
    vdt_error error = {0};
    vdt_session_options options;
    vdt_session *session = NULL;
    vdt_session_options_init(&options);
    options.pool = VDT_POOL_TOKENS;
    if (stream) options.stream = *stream;
    require(vdt_session_open(&session, bench->model, &options, &error), &error);
    return session;
}

static vdt_stream_options stream_of(vdt_update update, uint32_t r, vdt_attention attention) {
    vdt_session_options options;
    vdt_session_options_init(&options);
    options.stream.update = update;
    options.stream.r = r;
    options.stream.attention = attention;
    return options.stream;
}

static size_t features_of(const vdt_session *session) {
    return vdt_session_shape(session)->features;
}

static void run(vdt_session *session, const uint8_t *pixels, float *features) {
    vdt_error error = {0};
    const vdt_clip clip = {pixels, SIDE * 3, BYTES};
    require(vdt_session_run(session, &clip, 1, &(vdt_output){.features = features}, NULL, &error),
            &error);
}

// Some patches of 16 pixels change by a little.
static void disturb(struct random *random, uint8_t *pixels, size_t patches) {
    for (size_t i = 0; i < patches; i++) {
        const size_t y = random_size(random, 0, 3) * 16, x = random_size(random, 0, 3) * 16;
        for (size_t row = 0; row < 16; row++)
            random_bytes(random, pixels + ((y + row) * SIDE + x) * 3, 48);
    }
}

static const char *const archs[] = {"vit-tiny", "vitdet-base", "dinov2-small"};
static const vdt_precision precisions[] = {VDT_PRECISION_F32, VDT_PRECISION_BF16,
                                           VDT_PRECISION_INT8};

// Every frame with every token picked: the dense model's bits (`delta` computes in another order).
static void everything_equals_dense(void **state) {
    (void)state;
    for (size_t a = 0; a < 3; a++) {
        for (size_t p = 0; p < 3; p++) {
            struct bench bench;
            struct random random = {7};
            open_at(&bench, archs[a], precisions[p], 2, VDT_CPU_BEST);
            vdt_session *dense = open_session(&bench, NULL);
            const size_t n = features_of(dense);
            float *expected = make_floats(n), *found = make_floats(n);
            for (int attention = 0; attention < 3; attention++) {
                const vdt_stream_options options =
                    stream_of(VDT_UPDATE_ALL, 0, (vdt_attention)attention);
                vdt_session *stream = open_session(&bench, &options);
                uint8_t *pixels = make_bytes(BYTES);
                random_bytes(&random, pixels, BYTES);
                for (int frame = 0; frame < 4; frame++) {
                    run(dense, pixels, expected);
                    run(stream, pixels, found);
                    if (attention != VDT_ATTENTION_DELTA)
                        assert_memory_equal(found, expected, n * sizeof *found);
                    else if (precisions[p] == VDT_PRECISION_F32)
                        assert_true(relative_error(found, expected, n) < 1e-5);
                    disturb(&random, pixels, 3);
                }
                free(pixels);
                vdt_session_close(&stream);
            }
            free(expected);
            free(found);
            vdt_session_close(&dense);
            close_bench(&bench);
        }
    }
}

// A scene that stops: small r serves what is left until the answer is dense, then nothing runs.
static void still_scene_converges(void **state) {
    (void)state;
    for (size_t a = 0; a < 3; a++) {
        struct bench bench;
        struct random random = {11};
        open_at(&bench, archs[a], VDT_PRECISION_F32, 2, VDT_CPU_BEST);
        vdt_session *dense = open_session(&bench, NULL);
        const vdt_stream_options options = stream_of(VDT_UPDATE_TOP, 5, VDT_ATTENTION_EXACT);
        vdt_session *stream = open_session(&bench, &options);
        const size_t n = features_of(dense);
        float *expected = make_floats(n), *found = make_floats(n);
        uint8_t *pixels = make_bytes(BYTES);
        random_bytes(&random, pixels, BYTES);
        for (int frame = 0; frame < 5; frame++) {
            run(stream, pixels, found);
            disturb(&random, pixels, 2);
        }
        const vdt_stream_info *info = vdt_session_stream(stream);
        size_t steps = 0;
        do {
            run(stream, pixels, found);
            assert_true(++steps < 3000);
        } while (!info->idle);
        run(dense, pixels, expected);
        assert_true(relative_error(found, expected, n) < 2e-5);
        assert_int_equal(info->macs_eventful, 0);
        free(expected);
        free(found);
        free(pixels);
        vdt_session_close(&stream);
        vdt_session_close(&dense);
        close_bench(&bench);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_equals_dense),
        cmocka_unit_test(still_scene_converges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
