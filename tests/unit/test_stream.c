// Streams against the dense model and against themselves: everything picked equals dense bit for bit, a
// stream that stands still arrives at the dense answer and then costs nothing, snapshots, threads, what the
// counting rule says, the failing control.
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"
#include "stream_bench.h"

static const vdt_precision precisions[] = {VDT_PRECISION_F32, VDT_PRECISION_BF16,
                                           VDT_PRECISION_INT8};

// Every frame with every token picked: the dense model's bits (`delta` computes in another order).
static void everything_equals_dense(void **state) {
    (void)state;
    for (size_t a = 0; a < MODELS; a++) {
        for (size_t p = 0; p < 3; p++) {
            struct bench bench;
            struct random random = {7};
            open_at(&bench, models[a], precisions[p], 2);
            vdt_session *dense = open_session(&bench, NULL);
            const size_t n = features_of(dense);
            float *expected = make_floats(n), *found = make_floats(n);
            for (int attention = 0; attention < 3; attention++) {
                const vdt_stream_options options =
                    stream_of(VDT_UPDATE_ALL, 0, (vdt_attention)attention);
                vdt_session *stream = open_session(&bench, &options);
                uint8_t *pixels = make_bytes(bench.bytes);
                random_bytes(&random, pixels, bench.bytes);
                for (int frame = 0; frame < 4; frame++) {
                    run(dense, pixels, expected);
                    run(stream, pixels, found);
                    if (attention != VDT_ATTENTION_DELTA)
                        assert_memory_equal(found, expected, n * sizeof *found);
                    else if (precisions[p] == VDT_PRECISION_F32)
                        assert_true(relative_error(found, expected, n) < 1e-5);
                    disturb(&bench, &random, pixels, 3);
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
    for (size_t a = 0; a < MODELS; a++) {
        struct bench bench;
        struct random random = {11};
        open_at(&bench, models[a], VDT_PRECISION_F32, 2);
        vdt_session *dense = open_session(&bench, NULL);
        const vdt_stream_options options = stream_of(VDT_UPDATE_TOP, 5, VDT_ATTENTION_EXACT);
        vdt_session *stream = open_session(&bench, &options);
        const size_t n = features_of(dense);
        float *expected = make_floats(n), *found = make_floats(n);
        uint8_t *pixels = make_bytes(bench.bytes);
        random_bytes(&random, pixels, bench.bytes);
        for (int frame = 0; frame < 5; frame++) {
            run(stream, pixels, found);
            disturb(&bench, &random, pixels, 2);
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

enum { EVERY_FRAME = -2 };

// The features of a run of frames, hashed: some of them, a snapshot into another session, the others. EVERY_FRAME:
// a snapshot taken and loaded before each, so that no step can lean on what another has left outside the state.
static uint64_t hash_frames(const struct bench *bench, const vdt_stream_options *options,
                            int frames, int snapshot_at) {
    struct random random = {21};
    vdt_session *session = open_session(bench, options);
    const size_t n = features_of(session), state = vdt_session_snapshot_bytes(session);
    float *features = make_floats(n);
    uint8_t *pixels = make_bytes(bench->bytes), *snapshot = make_bytes(state),
            *elsewhere = make_bytes(bench->bytes);
    vdt_error error = {0};
    uint64_t hash = FNV_START;
    random_bytes(&random, pixels, bench->bytes);
    random_bytes(&random, elsewhere, bench->bytes);
    for (int frame = 0; frame < frames; frame++) {
        if (snapshot_at == EVERY_FRAME) {
            require(vdt_session_save(session, snapshot, &error), &error);
            require(vdt_session_load(session, snapshot, state, &error), &error);
        } else if (frame == snapshot_at) {
            require(vdt_session_save(session, snapshot, &error), &error);
            vdt_session_close(&session);
            session = open_session(bench, options);
            for (int other = 0; other < 3; other++) { // what is loaded replaces all of this
                run(session, elsewhere, features);
                elsewhere[other]++;
            }
            require(vdt_session_load(session, snapshot, state, &error), &error);
        }
        run(session, pixels, features);
        hash = fnv1a(hash, (const uint8_t *)features, n * sizeof *features);
        if (frame % 4 != 3) disturb(bench, &random, pixels, 2);
        if (frame == 6) memset(pixels, 0, bench->bytes);             // all black
        if (frame == 9) random_bytes(&random, pixels, bench->bytes); // a cut
    }
    free(features);
    free(pixels);
    free(snapshot);
    free(elsewhere);
    vdt_session_close(&session);
    return hash;
}

static void snapshots_go_on_with_the_same_bits(void **state) {
    (void)state;
    for (size_t a = 0; a < MODELS; a++) {
        for (int attention = 0; attention < 3; attention++) {
            struct bench bench;
            open_at(&bench, models[a], VDT_PRECISION_F32, 2);
            vdt_stream_options options = stream_of(VDT_UPDATE_TOP, 4, (vdt_attention)attention);
            options.still = VDT_STILL_LEARN;
            for (bench.layer = VDT_LAYER_LAST; bench.layer < 2; bench.layer++) {
                const uint64_t whole = hash_frames(&bench, &options, 14, -1);
                assert_true(hash_frames(&bench, &options, 14, EVERY_FRAME) == whole);
                for (int at = 1; at < 14; at += 5)
                    assert_true(hash_frames(&bench, &options, 14, at) == whole);
            }
            close_bench(&bench);
        }
    }
}

static void snapshots_of_others_are_refused(void **state) {
    (void)state;
    struct bench bench;
    vdt_error error = {0};
    open_at(&bench, models[0], VDT_PRECISION_F32, 1);
    const vdt_stream_options exact = stream_of(VDT_UPDATE_TOP, 4, VDT_ATTENTION_EXACT),
                             full = stream_of(VDT_UPDATE_TOP, 4, VDT_ATTENTION_TOKENWISE);
    vdt_session *session = open_session(&bench, &exact), *other = open_session(&bench, &full);
    const size_t n = vdt_session_snapshot_bytes(session);
    uint8_t *bytes = make_bytes(n);
    require(vdt_session_save(session, bytes, &error), &error);
    assert_int_equal(vdt_session_load(other, bytes, n, &error), VDT_ERROR_FORMAT);
    assert_int_equal(vdt_session_load(session, bytes, n - 1, &error), VDT_ERROR_FORMAT);
    assert_int_equal(vdt_session_load(session, bytes, 3, &error), VDT_ERROR_FORMAT);
    bytes[n / 2] ^= 1;
    assert_int_equal(vdt_session_load(session, bytes, n, &error), VDT_ERROR_FORMAT);
    bytes[n / 2] ^= 1;
    require(vdt_session_load(session, bytes, n, &error), &error);
    vdt_session *dense = open_session(&bench, NULL);
    assert_int_equal(vdt_session_save(dense, bytes, &error), VDT_ERROR_ARGUMENT);
    assert_int_equal(vdt_session_snapshot_bytes(dense), 0);
    assert_null(vdt_session_stream(dense));
    vdt_tokens tokens;
    float *features = make_floats(features_of(session));
    uint8_t *pixels = make_bytes(bench.bytes);
    memset(pixels, 0, bench.bytes);
    run(session, pixels, features);
    assert_int_equal(vdt_session_tokens(&tokens, session, 0, &error), VDT_ERROR_ARGUMENT);
    free(features);
    free(pixels);
    free(bytes);
    vdt_session_close(&session);
    vdt_session_close(&other);
    vdt_session_close(&dense);
    close_bench(&bench);
}

static void threads_change_nothing(void **state) {
    (void)state;
    for (size_t a = 0; a < MODELS; a++) {
        uint64_t hashes[3];
        for (uint32_t threads = 1; threads <= 3; threads++) {
            struct bench bench;
            open_at(&bench, models[a], VDT_PRECISION_AUTO, threads);
            const vdt_stream_options options = stream_of(VDT_UPDATE_TOP, 6, VDT_ATTENTION_EXACT);
            hashes[threads - 1] = hash_frames(&bench, &options, 12, -1);
            close_bench(&bench);
        }
        assert_true(hashes[0] == hashes[1] && hashes[1] == hashes[2]);
    }
}

struct worker {
    const struct bench *bench;
    uint64_t hash;
};

static void *work(void *argument) {
    struct worker *worker = argument;
    const vdt_stream_options options = stream_of(VDT_UPDATE_TOP, 5, VDT_ATTENTION_EXACT);
    worker->hash = hash_frames(worker->bench, &options, 12, 5);
    return NULL;
}

static void sessions_do_not_meet(void **state) {
    (void)state;
    struct bench bench;
    open_at(&bench, models[0], VDT_PRECISION_F32, 2);
    struct worker workers[2] = {{&bench, 0}, {&bench, 1}};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) pthread_create(&threads[i], NULL, work, &workers[i]);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    assert_true(workers[0].hash == workers[1].hash);
    close_bench(&bench);
}

// Gates that see every token (`still` off) pick r; the operations are those of the formula, term by term.
static void operations_follow_the_formula(void **state) {
    (void)state;
    enum { R = 5 };
    struct bench bench;
    struct random random = {31};
    open_at(&bench, models[1], VDT_PRECISION_F32, 2);
    const vdt_model_info *model = vdt_model_info_get(bench.model);
    const uint64_t n = model->tokens, d = model->width_model, h = model->heads,
                   m = model->width_mlp;
    const uint64_t side = 5, window = 3, padded = 36; // 5 x 5 tokens in 2 x 2 windows
    for (int attention = 0; attention < 3; attention++) {
        const vdt_stream_options options = stream_of(VDT_UPDATE_TOP, R, (vdt_attention)attention);
        vdt_session *session = open_session(&bench, &options);
        float *features = make_floats(features_of(session));
        uint8_t *pixels = make_bytes(bench.bytes);
        for (int frame = 0; frame < 3; frame++) {
            random_bytes(&random, pixels, bench.bytes);
            run(session, pixels, features);
        }
        const vdt_stream_info *info = vdt_session_stream(session);
        for (size_t i = 0; i < info->gates; i++) assert_int_equal(info->updated[i], R);
        uint64_t truth = n * d;
        for (uint64_t block = 0; block < 4; block++) {
            const bool global = block == 2;
            const uint64_t rows = global ? n : padded, keys = global ? n : window * window,
                           s = global ? side : window;
            truth +=
                R * (3 * d * d + 3 * d) + R * (d * d + d) + R * (2 * m * d + m + d) + 2 * n * d;
            truth += 3 * n * d + 2 * rows * d * s;
            const bool full = !global || attention == VDT_ATTENTION_TOKENWISE;
            if (full) truth += 2 * rows * keys * d + 2 * h * rows * keys;
            if (global && attention == VDT_ATTENTION_DELTA)
                truth += 4 * R * n * d + 2 * h * n * n + n * d + h * n * n + R * d + 2 * n * d;
            if (global && attention == VDT_ATTENTION_EXACT)
                truth += 2 * R * n * d + 4 * R * (n - R) * d;
        }
        if (attention == VDT_ATTENTION_EXACT) truth += info->afresh * 2 * n * (d / h);
        assert_int_equal(info->macs_eventful, truth);
        free(features);
        free(pixels);
        vdt_session_close(&session);
    }
    close_bench(&bench);
}

// The last block's rows that nothing reads are left out. A gate by threshold treats every token for itself: the class
// token has the bits that it has where all are read. Costs follow the formula.
static void rows_that_nothing_reads_are_left_out(void **state) {
    (void)state;
    for (size_t p = 0; p < 3; p++) {
        struct bench bench;
        struct random random = {p + 3};
        open_at(&bench, models[0], precisions[p], 2);
        const vdt_model_info *model = vdt_model_info_get(bench.model);
        const uint64_t n = model->tokens, d = model->width_model, m = model->width_mlp;
        for (int attention = 0; attention < 3; attention++) {
            vdt_stream_options options =
                stream_of(VDT_UPDATE_THRESHOLD, 0, (vdt_attention)attention);
            options.threshold = 0.25;
            bench.pool = VDT_POOL_TOKENS;
            vdt_session *all = open_session(&bench, &options);
            bench.pool = VDT_POOL_CLASS;
            vdt_session *first = open_session(&bench, &options);
            float *expected = make_floats(features_of(all)), *found = make_floats(d);
            uint8_t *pixels = make_bytes(bench.bytes);
            random_bytes(&random, pixels, bench.bytes);
            const vdt_stream_info *info = vdt_session_stream(first);
            for (int frame = 0; frame < 12; frame++) {
                run(all, pixels, expected);
                run(first, pixels, found);
                assert_memory_equal(found, expected, d * sizeof *found);
                disturb(&bench, &random, pixels, 1);
            }
            const uint32_t *passed = info->updated + info->gates - 3;
            const uint64_t others = vdt_session_stream(all)->macs_eventful - info->macs_eventful;
            if (attention == VDT_ATTENTION_TOKENWISE) {
                const uint32_t *were = vdt_session_stream(all)->updated + info->gates - 3;
                assert_int_equal(others, (were[1] - passed[1]) * (d * d + d) +
                                             (were[2] - passed[2]) * (2 * m * d + m + d) +
                                             (n - 1) * (2 * n * d + 4 * d));
            }
            const bool cut = attention != VDT_ATTENTION_DELTA;
            const size_t fewer = vdt_session_stream(all)->state_bytes - info->state_bytes;
            assert_true((fewer > 2 * n * d * sizeof(float)) == cut); // more than the features
            assert_true((others > 0) == cut);
            assert_true(!cut || (passed[1] <= 1 && passed[2] <= 1));
            free(expected);
            free(found);
            free(pixels);
            vdt_session_close(&all);
            vdt_session_close(&first);
        }
        close_bench(&bench);
    }
}

// A share of the tokens is one of all, in gates of few, too.
static void shares_are_of_all_tokens(void **state) {
    (void)state;
    struct bench bench;
    struct random random = {5};
    open_at(&bench, models[0], VDT_PRECISION_F32, 2);
    bench.pool = VDT_POOL_CLASS;
    vdt_stream_options options = stream_of(VDT_UPDATE_FRACTION, 0, VDT_ATTENTION_EXACT);
    options.fraction = 0.2;
    vdt_session *dense = open_session(&bench, NULL), *stream = open_session(&bench, &options);
    const size_t n = features_of(dense);
    float *expected = make_floats(n), *found = make_floats(n);
    uint8_t *pixels = make_bytes(bench.bytes);
    for (int frame = 0; frame < 4; frame++) {
        random_bytes(&random, pixels, bench.bytes);
        run(stream, pixels, found);
    }
    const vdt_stream_info *info = vdt_session_stream(stream);
    const uint32_t share = (uint32_t)(0.2 * (double)vdt_model_info_get(bench.model)->tokens);
    assert_int_equal(info->updated[0], share);
    assert_int_equal(info->updated[info->gates - 1], 1);
    for (size_t steps = 0; !info->idle; steps++) {
        assert_true(steps < 3000);
        run(stream, pixels, found);
    }
    run(dense, pixels, expected);
    assert_true(relative_error(found, expected, n) < 2e-5);
    free(expected);
    free(found);
    free(pixels);
    vdt_session_close(&stream);
    vdt_session_close(&dense);
    close_bench(&bench);
}

// A change that the test of patches lets pass, and one that it does not.
static void tolerance_spares_the_transformer(void **state) {
    (void)state;
    struct bench bench;
    struct random random = {41};
    open_at(&bench, models[0], VDT_PRECISION_F32, 1);
    vdt_stream_options options = stream_of(VDT_UPDATE_THRESHOLD, 0, VDT_ATTENTION_EXACT);
    options.still_tolerance = 0.02;
    vdt_session *session = open_session(&bench, &options);
    const size_t n = features_of(session);
    float *features = make_floats(n), *again = make_floats(n);
    uint8_t *pixels = make_bytes(bench.bytes);
    for (size_t i = 0; i < bench.bytes; i++) pixels[i] = (uint8_t)random_size(&random, 10, 240);
    run(session, pixels, features);
    for (size_t i = 0; i < bench.bytes; i++)
        pixels[i] = (uint8_t)(pixels[i] + random_size(&random, 0, 2));
    run(session, pixels, again);
    assert_true(vdt_session_stream(session)->idle);
    assert_memory_equal(features, again, n * sizeof *again);
    for (size_t i = 0; i < 900; i++) pixels[i] ^= 64;
    run(session, pixels, again);
    assert_false(vdt_session_stream(session)->idle);
    assert_memory_not_equal(features, again, n * sizeof *again);
    free(features);
    free(again);
    free(pixels);
    vdt_session_close(&session);
    close_bench(&bench);
}

// The window of a factorised model, once full, is the clip; then it slides.
static void windows_slide(void **state) {
    (void)state;
    struct bench bench;
    struct random random = {61};
    open_at(&bench, "tests/golden/vivit_fe", VDT_PRECISION_F32, 2);
    vdt_error error = {0};
    vdt_session_options options;
    vdt_session *dense = NULL, *stream = NULL;
    vdt_stats stats;
    vdt_session_options_init(&options);
    require(vdt_session_open(&dense, bench.model, &options, &error), &error);
    options.stream.update = VDT_UPDATE_THRESHOLD;
    options.pool = VDT_POOL_CLASS;
    require(vdt_session_open(&stream, bench.model, &options, &error), &error);
    const size_t snippets = 3, frames = 2 * (snippets + 4), n = vdt_session_shape(dense)->logits;
    assert_int_equal(vdt_session_shape(stream)->frames, 2);
    uint8_t *pixels = make_bytes(frames * bench.bytes);
    random_bytes(&random, pixels, frames * bench.bytes);
    memcpy(pixels + 4 * bench.bytes, pixels + 2 * bench.bytes, 2 * bench.bytes); // nothing happens
    float *expected = make_floats(n), *found = make_floats(n),
          *features = make_floats(vdt_session_shape(stream)->features);
    for (size_t i = 0; i < frames / 2; i++) {
        const vdt_clip snippet = clip_of(stream, pixels + 2 * i * bench.bytes);
        require(vdt_session_run(stream, &snippet, 1,
                                &(vdt_output){.logits = found, .features = features}, NULL, &error),
                &error);
        assert_int_equal(vdt_session_stream(stream)->idle, i == 2);
        if (i + 1 < snippets) continue;
        const vdt_clip clip = clip_of(dense, pixels + 2 * (i + 1 - snippets) * bench.bytes);
        require(vdt_session_run(dense, &clip, 1, &(vdt_output){.logits = expected}, &stats, &error),
                &error);
        assert_int_equal(stats.macs, vdt_session_shape(dense)->macs);
        assert_true(relative_error(found, expected, n) < 2e-5);
    }
    free(pixels);
    free(expected);
    free(found);
    free(features);
    vdt_session_close(&dense);
    vdt_session_close(&stream);
    close_bench(&bench);
}

// A snippet left out is a snippet that came again, without the look at it: bits and operations; and a window that
// nobody wanted to see is read as well later.
static void held_snippets_repeat(void **state) {
    (void)state;
    struct bench bench;
    struct random random = {62};
    enum { STEPS = 7 };
    static const bool again[STEPS] = {false, true, false, false, true, true, false};
    open_at(&bench, "tests/golden/vivit_fe", VDT_PRECISION_F32, 2);
    vdt_error error = {0};
    vdt_session_options options;
    vdt_session *dense = NULL, *repeating = NULL, *holding = NULL;
    vdt_session_options_init(&options);
    require(vdt_session_open(&dense, bench.model, &options, &error), &error);
    options.stream.update = VDT_UPDATE_THRESHOLD;
    require(vdt_session_open(&repeating, bench.model, &options, &error), &error);
    require(vdt_session_open(&holding, bench.model, &options, &error), &error);
    const size_t n = vdt_session_shape(dense)->logits, bytes = 2 * bench.bytes;
    float *expected = make_floats(n), *found = make_floats(n);
    const vdt_output all = {.logits = expected}, none = {0}, last = {.logits = found};
    uint8_t *pixels = make_bytes(bytes);
    vdt_stats stats;
    assert_int_equal(vdt_session_hold(dense, &last, NULL, &error), VDT_ERROR_ARGUMENT);
    assert_int_equal(vdt_session_hold(holding, &last, NULL, &error), VDT_ERROR_ARGUMENT);
    for (size_t i = 0; i < STEPS; i++) {
        if (!again[i]) random_bytes(&random, pixels, bytes);
        const vdt_clip snippet = clip_of(repeating, pixels);
        const vdt_output *output = i + 1 < STEPS ? &none : &last;
        require(vdt_session_run(repeating, &snippet, 1, &all, NULL, &error), &error);
        if (again[i]) {
            require(vdt_session_hold(holding, output, &stats, &error), &error);
            assert_int_equal(stats.macs, 0);
        } else {
            require(vdt_session_run(holding, &snippet, 1, output, &stats, &error), &error);
        }
    }
    assert_memory_equal(found, expected, n * sizeof *found);
    assert_int_equal(vdt_session_stream(holding)->step, 4);
    require(vdt_session_hold(holding, &last, &stats, &error), &error);
    const uint64_t one = vdt_session_shape(holding)->macs, clip = vdt_session_shape(dense)->macs;
    assert_int_equal(stats.macs, one - (clip - one) / 2); // a clip is three snippets and one look
    free(pixels);
    free(expected);
    free(found);
    vdt_session_close(&dense);
    vdt_session_close(&repeating);
    vdt_session_close(&holding);
    close_bench(&bench);
}

enum scene { RANDOM, FROZEN, MOVING, BLACK, WHITE };

// A camera that freezes, moves on, goes black, is blinded and comes back: with threshold 0 every frame is the
// dense model's, and what equals the frame before costs nothing. Attention that is computed in full has its bits.
static void every_scene_is_dense(void **state) {
    (void)state;
    static const enum scene scenes[] = {RANDOM, FROZEN, FROZEN, MOVING, MOVING, FROZEN, MOVING,
                                        BLACK,  BLACK,  WHITE,  WHITE,  BLACK,  RANDOM, MOVING,
                                        FROZEN, RANDOM, BLACK,  MOVING, FROZEN};
    for (size_t m = 0; m < MODELS; m++) {
        for (int full = 0; full < 2; full++) {
            struct bench bench;
            struct random random = {71};
            open_at(&bench, models[m], VDT_PRECISION_F32, 2);
            const vdt_stream_options options = stream_of(
                VDT_UPDATE_THRESHOLD, 0, full ? VDT_ATTENTION_TOKENWISE : VDT_ATTENTION_EXACT);
            vdt_session *dense = open_session(&bench, NULL),
                        *stream = open_session(&bench, &options);
            const size_t n = features_of(dense);
            float *expected = make_floats(n), *found = make_floats(n);
            uint8_t *pixels = make_bytes(bench.bytes), *before = make_bytes(bench.bytes);
            for (size_t i = 0; i < sizeof scenes / sizeof *scenes; i++) {
                if (scenes[i] == RANDOM) random_bytes(&random, pixels, bench.bytes);
                if (scenes[i] == MOVING) disturb(&bench, &random, pixels, 2);
                if (scenes[i] == BLACK) memset(pixels, 0, bench.bytes);
                if (scenes[i] == WHITE) memset(pixels, 255, bench.bytes);
                run(dense, pixels, expected);
                run(stream, pixels, found);
                const bool same = i > 0 && memcmp(pixels, before, bench.bytes) == 0;
                assert_int_equal(vdt_session_stream(stream)->idle, same);
                if (full)
                    assert_memory_equal(found, expected, n * sizeof *found);
                else
                    assert_true(relative_error(found, expected, n) < 1e-5);
                memcpy(before, pixels, bench.bytes);
            }
            free(expected);
            free(found);
            free(pixels);
            free(before);
            vdt_session_close(&dense);
            vdt_session_close(&stream);
            close_bench(&bench);
        }
    }
}

// After a step that was cancelled half-way the next one starts anew, as reset does.
static void a_broken_step_starts_anew(void **state) {
    (void)state;
    struct bench bench;
    struct random random = {51};
    vdt_error error = {0};
    int countdown = 0;
    vdt_context_options context_options;
    vdt_context_options_init(&context_options);
    context_options.progress = cancel;
    context_options.progress_user = &countdown;
    open_with(&bench, models[0], VDT_PRECISION_F32, &context_options);
    const vdt_stream_options options = stream_of(VDT_UPDATE_TOP, 3, VDT_ATTENTION_EXACT);
    vdt_session *session = open_session(&bench, &options), *dense = open_session(&bench, NULL);
    const size_t n = features_of(session);
    float *features = make_floats(n), *expected = make_floats(n);
    uint8_t *pixels = make_bytes(bench.bytes);
    random_bytes(&random, pixels, bench.bytes);
    run(session, pixels, features);
    random_bytes(&random, pixels, bench.bytes);
    countdown = 2;
    const vdt_clip clip = clip_of(session, pixels);
    assert_int_equal(
        vdt_session_run(session, &clip, 1, &(vdt_output){.features = features}, NULL, &error),
        VDT_ERROR_CANCELLED);
    run(session, pixels, features);
    assert_true(vdt_session_stream(session)->first);
    run(dense, pixels, expected);
    assert_memory_equal(features, expected, n * sizeof *features);
    random_bytes(&random, pixels, bench.bytes);
    require(vdt_session_reset(session, &error), &error);
    run(session, pixels, features);
    run(dense, pixels, expected);
    assert_memory_equal(features, expected, n * sizeof *features);
    free(features);
    free(expected);
    free(pixels);
    vdt_session_close(&session);
    vdt_session_close(&dense);
    close_bench(&bench);
}

static void options_are_checked(void **state) {
    (void)state;
    struct bench bench;
    vdt_error error = {0};
    open_at(&bench, models[0], VDT_PRECISION_F32, 1);
    for (int i = 0; i < 8; i++) {
        vdt_session_options options;
        vdt_session *session = NULL;
        vdt_session_options_init(&options);
        options.stream.update = VDT_UPDATE_TOP;
        if (i == 0) options.stream.update = (vdt_update)9;
        if (i == 1) options.stream.attention = (vdt_attention)3;
        if (i == 2) options.stream.floor = -1.0;
        if (i == 3) options.stream.fraction = 1.5;
        if (i == 4) options.stream.threshold = (double)NAN;
        if (i == 5) options.stream.still_tolerance = (double)INFINITY;
        if (i == 6) options.clips = 2;
        if (i == 7) {
            options.stream.update = VDT_UPDATE_ALL;
            options.stream.budget_ms = 5.0;
        }
        assert_int_equal(vdt_session_open(&session, bench.model, &options, &error),
                         VDT_ERROR_ARGUMENT);
        assert_null(session);
    }
    close_bench(&bench);
}

// Every attention, and a scene that rests now and then: no step allocates, nothing grows.
static void steps_allocate_nothing(void **state) {
    (void)state;
    enum { STEPS = 400, MANY_STEPS = 10000 };
    vdt_context_options context_options;
    vdt_context_options_init(&context_options);
    context_options.threads = 2;
    context_options.allocator = (vdt_allocator){count_allocate, count_release, NULL};
    for (size_t m = 0; m < MODELS; m++) {
        struct random random = {m + 1};
        struct bench bench;
        open_with(&bench, models[m], VDT_PRECISION_F32, &context_options);
        uint8_t *pixels = make_bytes(bench.bytes);
        for (int attention = VDT_ATTENTION_EXACT; attention <= VDT_ATTENTION_TOKENWISE;
             attention++) {
            const vdt_stream_options options =
                stream_of(VDT_UPDATE_TOP, 5, (vdt_attention)attention);
            vdt_session *session = open_session(&bench, &options);
            float *features = make_floats(features_of(session));
            const size_t before = atomic_load(&allocations), held = atomic_load(&allocated),
                         bytes = vdt_session_stream(session)->state_bytes;
            const size_t steps = m == 0 && attention == VDT_ATTENTION_EXACT ? MANY_STEPS : STEPS;
            for (size_t step = 0; step < steps; step++) {
                if (step % 10 < 5) disturb(&bench, &random, pixels, 1 + step % 7);
                run(session, pixels, features);
            }
            assert_int_equal(atomic_load(&allocations), before);
            assert_int_equal(atomic_load(&allocated), held);
            assert_int_equal(vdt_session_stream(session)->state_bytes, bytes);
            free(features);
            vdt_session_close(&session);
        }
        free(pixels);
        close_bench(&bench);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_equals_dense),
        cmocka_unit_test(still_scene_converges),
        cmocka_unit_test(snapshots_go_on_with_the_same_bits),
        cmocka_unit_test(snapshots_of_others_are_refused),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(sessions_do_not_meet),
        cmocka_unit_test(operations_follow_the_formula),
        cmocka_unit_test(rows_that_nothing_reads_are_left_out),
        cmocka_unit_test(shares_are_of_all_tokens),
        cmocka_unit_test(windows_slide),
        cmocka_unit_test(held_snippets_repeat),
        cmocka_unit_test(tolerance_spares_the_transformer),
        cmocka_unit_test(every_scene_is_dense),
        cmocka_unit_test(a_broken_step_starts_anew),
        cmocka_unit_test(options_are_checked),
        cmocka_unit_test(steps_allocate_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
