// What a stream that records says of each step: the patches that changed, the tokens that passed each gate.
#include <stdlib.h>
#include <string.h>

#include "stream_bench.h"

static vdt_updated updated_of(const vdt_session *session) {
    vdt_error error = {0};
    vdt_updated updated;
    require(vdt_session_updated(&updated, session, &error), &error);
    return updated;
}

static void expect_ascending(const uint32_t *index, size_t n, size_t most) {
    for (size_t i = 0; i < n; i++)
        assert_true(index[i] < most && (i == 0 || index[i] > index[i - 1]));
}

// Whether patch i of two frames differs, byte by byte.
static bool differs(const struct bench *bench, const uint8_t *a, const uint8_t *b, size_t i) {
    const size_t patch = vdt_model_info_get(bench->model)->patch, across = bench->width / patch;
    for (size_t row = 0; row < patch; row++) {
        const size_t y = i / across * patch + row, x = i % across * patch;
        const size_t at = 3 * (y * bench->width + x);
        if (memcmp(a + at, b + at, 3 * patch) != 0) return true;
    }
    return false;
}

// With threshold:0 the patches that were embedded and the tokens that passed the first gate are those whose
// bytes differ.
static void expect_what_differs(const struct bench *bench, const vdt_session *session,
                                const uint8_t *before, const uint8_t *now) {
    const vdt_stream_info *info = vdt_session_stream(session);
    const vdt_updated updated = updated_of(session);
    const uint32_t prefix = vdt_model_info_get(bench->model)->prefix_tokens;
    size_t found = 0;
    for (uint32_t i = 0; i < info->patches; i++) {
        if (!differs(bench, before, now, i)) continue;
        assert_true(found < info->changed && found < info->updated[0]);
        assert_int_equal(updated.patches[found], i);
        assert_int_equal(updated.tokens[found++], prefix + i);
    }
    assert_int_equal(info->changed, found);
    assert_int_equal(info->updated[0], found);
}

static void what_passed_is_what_differs(void **state) {
    (void)state;
    for (size_t m = 0; m < MODELS; m++) {
        struct bench bench;
        struct random random = {71 + m};
        open_at(&bench, models[m], VDT_PRECISION_F32, 2);
        vdt_stream_options options = stream_of(VDT_UPDATE_THRESHOLD, 0, VDT_ATTENTION_EXACT);
        options.record = 1;
        vdt_session *session = open_session(&bench, &options);
        float *features = make_floats(features_of(session));
        uint8_t *pixels = make_bytes(bench.bytes), *before = make_bytes(bench.bytes);
        random_bytes(&random, pixels, bench.bytes);
        run(session, pixels, features);
        for (int frame = 0; frame < 8; frame++) {
            memcpy(before, pixels, bench.bytes);
            if (frame != 5) disturb(&bench, &random, pixels, 1);
            run(session, pixels, features);
            expect_what_differs(&bench, session, before, pixels);
            // Nothing lights up where nothing changed.
            const vdt_stream_info *info = vdt_session_stream(session);
            assert_int_equal(info->idle, frame == 5);
            for (size_t gate = 0; gate < info->gates; gate++)
                assert_int_equal(info->updated[gate] == 0, frame == 5);
        }
        free(features);
        free(pixels);
        free(before);
        vdt_session_close(&session);
        close_bench(&bench);
    }
}

// In every gate as many tokens as are reported, each once; in a first step all of them. Recording changes no
// result.
static void what_passed_is_what_is_counted(void **state) {
    (void)state;
    for (size_t m = 0; m < MODELS; m++) {
        struct bench bench;
        struct random random = {81 + m};
        open_at(&bench, models[m], VDT_PRECISION_AUTO, 2);
        vdt_stream_options options = stream_of(VDT_UPDATE_TOP, 6, VDT_ATTENTION_EXACT);
        vdt_session *plain = open_session(&bench, &options);
        options.record = 1;
        vdt_session *session = open_session(&bench, &options);
        const size_t n = features_of(session), tokens = vdt_session_shape(session)->tokens;
        float *features = make_floats(n), *expected = make_floats(n);
        uint8_t *pixels = make_bytes(bench.bytes);
        random_bytes(&random, pixels, bench.bytes);
        for (int frame = 0; frame < 6; frame++) {
            run(session, pixels, features);
            run(plain, pixels, expected);
            assert_memory_equal(features, expected, n * sizeof *features);
            const vdt_stream_info *info = vdt_session_stream(session);
            const vdt_updated updated = updated_of(session);
            expect_ascending(updated.patches, info->changed, info->patches);
            for (size_t gate = 0; gate < info->gates; gate++) {
                assert_int_equal(info->updated[gate], frame == 0 ? tokens : 6);
                expect_ascending(updated.tokens + gate * tokens, info->updated[gate], tokens);
            }
            disturb(&bench, &random, pixels, 9);
        }
        assert_int_equal(vdt_session_snapshot_bytes(plain), vdt_session_snapshot_bytes(session));
        free(features);
        free(expected);
        free(pixels);
        vdt_session_close(&plain);
        vdt_session_close(&session);
        close_bench(&bench);
    }
}

static void what_passed_is_told_by_streams_that_record(void **state) {
    (void)state;
    struct bench bench;
    vdt_error error = {0};
    vdt_updated updated;
    int countdown = 0;
    vdt_context_options context_options;
    vdt_context_options_init(&context_options);
    context_options.progress = cancel;
    context_options.progress_user = &countdown;
    context_options.allocator = (vdt_allocator){count_allocate, count_release, NULL};
    open_with(&bench, models[0], VDT_PRECISION_F32, &context_options);
    vdt_stream_options options = stream_of(VDT_UPDATE_TOP, 3, VDT_ATTENTION_EXACT);
    vdt_session *dense = open_session(&bench, NULL), *silent = open_session(&bench, &options);
    options.record = 1;
    vdt_session *session = open_session(&bench, &options);
    float *features = make_floats(features_of(session));
    uint8_t *pixels = make_bytes(bench.bytes);
    memset(pixels, 77, bench.bytes);
    assert_int_equal(vdt_session_updated(&updated, session, &error), VDT_ERROR_ARGUMENT);
    const size_t before = atomic_load(&allocations);
    run(dense, pixels, features);
    run(silent, pixels, features);
    run(session, pixels, features);
    assert_int_equal(vdt_session_updated(&updated, session, &error), VDT_OK);
    assert_int_equal(atomic_load(&allocations), before);
    error = (vdt_error){0};
    assert_int_equal(vdt_session_updated(&updated, dense, &error), VDT_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "update off"));
    error = (vdt_error){0};
    assert_int_equal(vdt_session_updated(&updated, silent, &error), VDT_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "record off"));
    const vdt_clip clip = clip_of(session, pixels);
    const vdt_output output = {.features = features};
    memset(pixels, 78, bench.bytes);
    countdown = 2;
    assert_int_equal(vdt_session_run(session, &clip, 1, &output, NULL, &error),
                     VDT_ERROR_CANCELLED);
    assert_int_equal(vdt_session_updated(&updated, session, &error), VDT_ERROR_ARGUMENT);
    free(features);
    free(pixels);
    vdt_session_close(&dense);
    vdt_session_close(&silent);
    vdt_session_close(&session);
    close_bench(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_passed_is_what_differs),
        cmocka_unit_test(what_passed_is_what_is_counted),
        cmocka_unit_test(what_passed_is_told_by_streams_that_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
