// Memory that runs out at any call: a whole small run, with the n-th allocation failing for every n
// up to the end of it. Each ends with a status and holds nothing afterwards. And what a session
// takes: what it said before, once, and nothing more while it runs.
#include <libavutil/mem.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "make_media.h"
#include "scratch.h"
#include "support.h"
#include "video/frames.h"

/* ---- an allocator that fails --------------------------------------------------------------- */

static struct {
    atomic_size_t calls;   // since the last reset
    atomic_size_t blocks;  // that are out
    atomic_size_t bytes;   // in them
    atomic_size_t largest; // block since the last reset
    size_t fail_at;        // 1: the first call; 0: never
    bool for_good;         // later calls fail, too
} heap;

static void *heap_allocate(void *user, size_t bytes) {
    (void)user;
    const size_t call = atomic_fetch_add(&heap.calls, 1) + 1;
    if (heap.fail_at && (call == heap.fail_at || (heap.for_good && call > heap.fail_at)))
        return NULL;
    if (bytes % 64 != 0) abort(); // cmocka knows only its own thread
    void *block = aligned_alloc(64, bytes);
    if (!block) abort();
    memset(block, 0xa5, bytes); // nobody may count on zeros
    atomic_fetch_add(&heap.blocks, 1);
    atomic_fetch_add(&heap.bytes, bytes);
    size_t largest = atomic_load(&heap.largest);
    while (bytes > largest && !atomic_compare_exchange_weak(&heap.largest, &largest, bytes)) {
        continue;
    }
    return block;
}

static void heap_release(void *user, void *pointer, size_t bytes) {
    (void)user;
    if (!pointer) abort();
    memset(pointer, 0x5a, bytes); // `bytes` is what was asked for: a sanitizer checks it
    atomic_fetch_sub(&heap.blocks, 1);
    atomic_fetch_sub(&heap.bytes, bytes);
    free(pointer);
}

static void heap_reset(size_t fail_at, bool for_good) {
    heap.fail_at = fail_at;
    heap.for_good = for_good;
    atomic_store(&heap.calls, 0);
    atomic_store(&heap.largest, 0);
}

static vdt_status open_context(vdt_context **context, vdt_cpu cpu, uint32_t threads,
                               vdt_error *error) {
    vdt_context_options options;
    vdt_context_options_init(&options);
    options.cpu = cpu;
    options.threads = threads;
    options.allocator = (vdt_allocator){heap_allocate, heap_release, NULL};
    return vdt_context_open(context, &options, error);
}

/* ---- a whole run --------------------------------------------------------------------------- */

struct run {
    const char *directory; // of the model
    vdt_cpu cpu;
    vdt_sampling_kind sampling;
    const char *inputs[3];
    size_t n_inputs;
    // results
    size_t items;
    float *logits, *features;
    vdt_error error;
};

struct objects {
    vdt_context *context;
    vdt_model *model;
    vdt_session *session;
    vdt_reader *reader;
};

static vdt_status open_all(struct objects *o, const struct run *run, vdt_error *error) {
    vdt_session_options session;
    vdt_session_options_init(&session);
    session.clips = 2;
    session.pool = VDT_POOL_MEAN;
    vdt_reader_options reader;
    vdt_reader_options_init(&reader);
    reader.sampling = run->sampling;
    reader.views_time = 2;
    reader.seconds = 0.5;
    vdt_status status = open_context(&o->context, run->cpu, 2, error);
    if (!status) status = vdt_model_open(&o->model, o->context, run->directory, NULL, error);
    if (!status) status = vdt_session_open(&o->session, o->model, &session, error);
    if (!status) {
        status =
            vdt_reader_open(&o->reader, o->session, run->inputs, run->n_inputs, &reader, error);
    }
    return status;
}

static void close_all(struct objects *o) {
    vdt_reader_close(&o->reader);
    vdt_session_close(&o->session);
    vdt_model_close(&o->model);
    vdt_context_close(&o->context);
}

// Each clip in a call of its own. The first failure, of the run or of an input.
static vdt_status read_all(const struct objects *o, struct run *run) {
    const vdt_session_shape_info *shape = vdt_session_shape(o->session);
    vdt_item item;
    vdt_status status, first = VDT_OK;
    while ((status = vdt_reader_next(o->reader, &item, &run->error)) == VDT_OK) {
        if (item.error.status) {
            if (!first) run->error = item.error;
            if (!first) first = item.error.status;
        } else {
            const vdt_output output = {.logits = run->logits + run->items * shape->logits,
                                       .features = run->features + run->items * shape->features};
            status = vdt_session_run(o->session, &item.clip, 1, &output, NULL, &run->error);
            if (!first) first = status;
            run->items++;
        }
        vdt_reader_give(o->reader, &item);
    }
    return first ? first : status == VDT_END ? VDT_OK : status;
}

enum { MOST_VALUES = 4096 };
static const float UNTOUCHED = -12345.0f;

static vdt_status try_run(struct run *run) {
    struct objects objects = {0};
    for (size_t i = 0; i < MOST_VALUES; i++) run->logits[i] = run->features[i] = UNTOUCHED;
    run->items = 0;
    run->error = (vdt_error){0};
    vdt_status status = open_all(&objects, run, &run->error);
    // What failed to open is NULL still, and so is what comes after it.
    if (!objects.context) assert_null(objects.model);
    if (!objects.model) assert_null(objects.session);
    if (!objects.session) assert_null(objects.reader);
    assert_int_equal(status == VDT_OK, objects.reader != NULL);
    if (!status) status = read_all(&objects, run);
    close_all(&objects);
    if (atomic_load(&heap.blocks) != 0 || atomic_load(&heap.bytes) != 0) {
        fail_msg("call %zu failed: %zu blocks of %zu bytes were not released", heap.fail_at,
                 atomic_load(&heap.blocks), atomic_load(&heap.bytes));
    }
    return status;
}

static bool same_floats(const float *a, const float *b) {
    return memcmp(a, b, MOST_VALUES * sizeof *a) == 0;
}

// Values of items that were not made are untouched, those that were made are right.
static void check_values(const struct run *failed, const struct run *good) {
    for (size_t i = 0; i < MOST_VALUES; i++) {
        const float l = failed->logits[i], f = failed->features[i];
        if (l != UNTOUCHED && failed->items == good->items) assert_true(l == good->logits[i]);
        if (f != UNTOUCHED && failed->items == good->items) assert_true(f == good->features[i]);
        if (failed->items == 0) assert_true(l == UNTOUCHED && f == UNTOUCHED);
    }
}

static void check_failure(const struct run *run, vdt_status status) {
    if (status != VDT_ERROR_MEMORY || run->error.status != status || !run->error.message[0]) {
        fail_msg("call %zu failed: status %d, message '%s'", heap.fail_at, status,
                 run->error.message);
    }
}

// The n-th call fails, for every n-th until a run needs fewer.
static void sweep(struct run *run, bool for_good) {
    struct run good = *run;
    good.logits = make_floats(MOST_VALUES);
    good.features = make_floats(MOST_VALUES);
    heap_reset(0, false);
    const vdt_status status = try_run(&good);
    if (status) fail_msg("%s: %s", run->directory, good.error.message);
    assert_true(good.items >= run->n_inputs);
    size_t n = 1;
    for (;; n++) {
        heap_reset(n, for_good);
        const vdt_status failed = try_run(run);
        if (atomic_load(&heap.calls) < n) break;
        check_failure(run, failed);
        check_values(run, &good);
    }
    assert_true(n > 50); // the failures were really tried
    assert_int_equal(run->items, good.items);
    assert_true(same_floats(run->logits, good.logits) && same_floats(run->features, good.features));
    free(good.logits);
    free(good.features);
}

// The longest way: shards, a model card, an array, a video that is turned, pictures.
static void sweep_all(vdt_cpu cpu, vdt_sampling_kind sampling) {
    char card[1200];
    const char *directory =
        scratch_copy_directory("model", source_path("tests/golden/videomae_sharded"));
    snprintf(card, sizeof card, "%s/README.md", directory);
    scratch_write(card, "---\nlicense: mit\n---\n", 21);
    const struct media_video video = {"mpeg4", 64, 48, 20, 6, 2, 90, false, false, 0};
    struct run run = {
        .directory = directory,
        .cpu = cpu,
        .sampling = sampling,
        .inputs = {scratch_path("clip.npy"), scratch_path("turned.mp4"), scratch_path("frames")},
        .n_inputs = 3,
        .logits = make_floats(MOST_VALUES),
        .features = make_floats(MOST_VALUES)};
    media_write_npy(run.inputs[0], 6, 40, 50);
    media_write_video(run.inputs[1], &video);
    media_write_directory(run.inputs[2], 3, 64, 48);
    sweep(&run, false);
    sweep(&run, true);
    free(run.logits);
    free(run.features);
}

static void test_views(void **state) {
    (void)state;
    sweep_all(VDT_CPU_C, VDT_SAMPLE_MULTI);
}

static void test_sliding(void **state) {
    (void)state;
    sweep_all(VDT_CPU_C, VDT_SAMPLE_SLIDE);
}

static void test_best_cpu(void **state) { // with the library's fastest matrix products
    (void)state;
    sweep_all(VDT_CPU_BEST, VDT_SAMPLE_CENTER);
}

/* ---- other entries ------------------------------------------------------------------------- */

// Images with a learned pool, and a model of two towers: neither has a classifier.
static void sweep_open(const char *golden) {
    size_t n = 1;
    for (;; n++) {
        struct objects objects = {0};
        vdt_error error = {0};
        vdt_session_options options;
        vdt_session_options_init(&options);
        options.pool = VDT_POOL_HEAD;
        heap_reset(n, false);
        vdt_status status = open_context(&objects.context, VDT_CPU_C, 1, &error);
        if (!status) status = vdt_model_open(&objects.model, objects.context, golden, NULL, &error);
        if (!status) status = vdt_session_open(&objects.session, objects.model, &options, &error);
        close_all(&objects);
        assert_int_equal(atomic_load(&heap.blocks), 0);
        if (atomic_load(&heap.calls) < n) {
            if (status) fail_msg("%s: %s", golden, error.message);
            break;
        }
        assert_int_equal(status, VDT_ERROR_MEMORY);
        assert_int_equal(error.status, VDT_ERROR_MEMORY);
    }
    assert_true(n > 50);
}

static void test_open(void **state) {
    (void)state;
    static const char *const names[] = {
        "clip_full",           "siglip_full",      "vit_timm_names", "deit_with_teacher",
        "dinov2_registers_up", "v5_dinov2_swiglu", "vivit_pooler",   "vit_f16"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char relative[64];
        snprintf(relative, sizeof relative, "tests/golden/%s", names[i]);
        sweep_open(source_path(relative));
    }
}

static void test_arch(void **state) {
    (void)state;
    vdt_context *context = NULL;
    vdt_model_options options;
    vdt_model_options_init(&options);
    options.size = 32;
    options.labels = 3;
    heap_reset(0, false);
    assert_int_equal(open_context(&context, VDT_CPU_C, 1, NULL), VDT_OK);
    const size_t before = atomic_load(&heap.blocks);
    for (size_t n = 1;; n += n < 12 ? 1 : 5) { // each makes millions of numbers: not every call
        vdt_model *model = NULL;
        vdt_error error = {0};
        heap_reset(n, false);
        const vdt_status status =
            vdt_model_open_arch(&model, context, "vit-tiny", &options, &error);
        const bool failed = atomic_load(&heap.calls) >= n;
        assert_int_equal(status, failed ? VDT_ERROR_MEMORY : VDT_OK);
        assert_int_equal(model == NULL, failed);
        vdt_model_close(&model);
        assert_int_equal(atomic_load(&heap.blocks), before);
        if (!failed) break;
    }
    vdt_context_close(&context);
    assert_int_equal(atomic_load(&heap.blocks), 0);
}

static void test_probe(void **state) {
    (void)state;
    static const char *const names[] = {"probe.mp4", "probe.avi", "probe_frames", "probe.npy"};
    const struct media_video video = {"mpeg4", 64, 48, 60, 6, 2, 0, false, false, 0};
    media_write_video(scratch_path(names[0]), &video);
    media_write_video(scratch_path(names[1]), &video);
    media_write_directory(scratch_path(names[2]), 20, 64, 48);
    media_write_npy(scratch_path(names[3]), 2, 48, 64);
    vdt_context *context = NULL;
    heap_reset(0, false);
    assert_int_equal(open_context(&context, VDT_CPU_C, 1, NULL), VDT_OK);
    const size_t before = atomic_load(&heap.blocks);
    for (size_t i = 0; i < 4; i++) {
        for (size_t n = 1;; n++) {
            vdt_video_info info = {.frames = 4711};
            vdt_error error = {0};
            heap_reset(n, false);
            const vdt_status status =
                vdt_video_probe(&info, context, scratch_path(names[i]), &error);
            assert_int_equal(atomic_load(&heap.blocks), before);
            if (atomic_load(&heap.calls) < n) {
                assert_int_equal(status, VDT_OK);
                break;
            }
            assert_int_equal(status, VDT_ERROR_MEMORY);
            assert_int_equal(info.frames, 4711);
        }
    }
    vdt_context_close(&context);
}

// Everything that a decoder does, ending at the first failure.
static int decode_some(const char *path, struct memory *memory, vdt_error *error) {
    struct decoder *decoder = NULL;
    struct frame frame;
    int status = decoder_open(&decoder, memory, path, NULL, error);
    if (!status) status = decoder->functions->next(decoder, &frame, error);
    if (!status) status = decoder->functions->count(decoder, error);
    if (!status) status = decoder->functions->seek(decoder, 7, &frame, error);
    if (!status) assert_int_equal(media_read_number(frame.pixels, frame.row_stride, 160, 120), 7);
    if (decoder) decoder_close(&decoder);
    return status;
}

// libav's own memory, by a limit on its blocks: the status is an error's, nothing is left (a
// sanitizer looks), and with enough of it everything is there.
static void test_libav(void **state) {
    (void)state;
    const struct media_video video = {"mpeg4", 160, 120, 10, 6, 2, 0, false, false, 0};
    const char *path = scratch_path("limits.mp4");
    media_write_video(path, &video);
    struct memory memory = {{heap_allocate, heap_release, NULL}};
    size_t failures = 0, successes = 0;
    heap_reset(0, false);
    for (size_t limit = 32; limit < (size_t)1 << 22; limit += limit / 16) {
        vdt_error error = {0};
        av_max_alloc(limit);
        const int status = decode_some(path, &memory, &error);
        av_max_alloc(INT32_MAX);
        // A frame that does not come for want of memory is one that does not decode.
        assert_true(status == VDT_END || (int)error.status == status);
        assert_int_equal(atomic_load(&heap.blocks), 0);
        failures += status != VDT_OK;
        successes += status == VDT_OK;
    }
    assert_true(failures > 0 && successes > 0);
}

/* ---- what a session takes ------------------------------------------------------------------ */

static void check_session(vdt_model *model, const vdt_session_options *options) {
    vdt_session *session = NULL;
    vdt_error error = {0};
    size_t estimate = 0;
    heap_reset(0, false);
    if (vdt_session_estimate(&estimate, model, options, &error)) fail_msg("%s", error.message);
    assert_int_equal(atomic_load(&heap.calls), 0); // before anything is allocated
    const size_t before = atomic_load(&heap.bytes);
    if (vdt_session_open(&session, model, options, &error)) fail_msg("%s", error.message);
    const size_t taken = atomic_load(&heap.bytes) - before;
    assert_int_equal(vdt_session_shape(session)->bytes, estimate);
    // One block for all buffers, with the header of a block; and the session itself.
    assert_int_equal(atomic_load(&heap.largest), (estimate + 64 + 63) / 64 * 64);
    assert_int_equal(atomic_load(&heap.calls), 2);
    assert_in_range(taken, estimate, estimate + 4096);
    const vdt_session_shape_info *shape = vdt_session_shape(session);
    const size_t bytes = (size_t)3 * shape->frames * shape->height * shape->width;
    uint8_t *pixels = make_bytes(bytes);
    struct random random = {.state = 9};
    random_bytes(&random, pixels, bytes);
    vdt_clip clips[3];
    for (size_t i = 0; i < 3; i++) {
        clips[i] = (vdt_clip){.pixels = pixels,
                              .row_stride = (size_t)3 * shape->width,
                              .frame_stride = (size_t)3 * shape->width * shape->height};
    }
    float *logits = make_floats(3 * shape->logits), *features = make_floats(3 * shape->features);
    const vdt_output output = {.logits = shape->logits ? logits : NULL,
                               .features = shape->features ? features : NULL};
    vdt_stats stats;
    heap_reset(1, true); // whatever is asked for from now on is refused
    for (size_t run = 0; run < 6; run++) {
        const size_t n = run % options->clips + 1;
        if (vdt_session_run(session, clips, n, &output, &stats, &error))
            fail_msg("%s", error.message);
    }
    assert_int_equal(atomic_load(&heap.calls), 0);
    vdt_session_close(&session);
    assert_int_equal(atomic_load(&heap.bytes), before);
    free(pixels);
    free(logits);
    free(features);
}

static void test_session(void **state) {
    (void)state;
    static const char *const names[] = {"videomae_mean",       "vit_pooler",       "siglip_full",
                                        "dinov2_registers_up", "v5_dinov2_swiglu", "clip_full",
                                        "deit_with_teacher",   "vivit_pooler"};
    static const vdt_cpu cpus[] = {VDT_CPU_C, VDT_CPU_BEST};
    for (size_t i = 0; i < 2 * sizeof names / sizeof *names; i++) {
        struct objects objects = {0};
        vdt_error error = {0};
        char relative[64];
        snprintf(relative, sizeof relative, "tests/golden/%s", names[i / 2]);
        heap_reset(0, false);
        assert_int_equal(open_context(&objects.context, cpus[i % 2], 2, &error), VDT_OK);
        if (vdt_model_open(&objects.model, objects.context, source_path(relative), NULL, &error))
            fail_msg("%s", error.message);
        static const vdt_pool pools[] = {VDT_POOL_NONE_WANTED, VDT_POOL_MEAN, VDT_POOL_TOKENS,
                                         VDT_POOL_MAP, VDT_POOL_HEAD};
        for (size_t p = 0; p < 5; p++) {
            vdt_session_options options;
            vdt_session_options_init(&options);
            options.clips = 1 + (uint32_t)p % 3;
            options.pool = pools[p];
            check_session(objects.model, &options);
            options.rlt.mode = VDT_RLT_THRESHOLD;
            options.tome.mode = VDT_TOME_PERCENT;
            options.tome.percent = 10.0 * (double)p;
            check_session(objects.model, &options);
        }
        close_all(&objects);
        assert_int_equal(atomic_load(&heap.blocks), 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_views),    cmocka_unit_test(test_sliding),
        cmocka_unit_test(test_best_cpu), cmocka_unit_test(test_open),
        cmocka_unit_test(test_arch),     cmocka_unit_test(test_probe),
        cmocka_unit_test(test_libav),    cmocka_unit_test(test_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
