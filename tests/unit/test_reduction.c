// Whole models with RLT and ToMe: against the NumPy twins (tests/reduction, made in double by
// scripts/make_reduction.py), and by identities. Everything kept and nothing merged is the dense model, bit
// for bit; a clip does not depend on what it is packed with; thread counts change nothing; decisions are
// the same on every CPU level.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cpu.h"
#include "support.h"

/* ---- one model ----------------------------------------------------------------------------- */

struct bench {
    vdt_context *context;
    vdt_model *model;
};

static void open_bench(struct bench *bench, const char *directory, vdt_cpu cpu, uint32_t threads,
                       vdt_precision precision) {
    vdt_error error = {0};
    vdt_context_options context_options;
    vdt_model_options model_options;
    vdt_context_options_init(&context_options);
    vdt_model_options_init(&model_options);
    context_options.cpu = cpu;
    context_options.threads = threads;
    model_options.precision = precision;
    require(vdt_context_open(&bench->context, &context_options, &error), &error);
    require(vdt_model_open(&bench->model, bench->context, directory, &model_options, &error),
            &error);
}

static void close_bench(struct bench *bench) {
    vdt_model_close(&bench->model);
    vdt_context_close(&bench->context);
}

static vdt_session_options session_options(vdt_rlt_options rlt, vdt_tome_options tome) {
    vdt_session_options options;
    vdt_session_options_init(&options);
    options.rlt = rlt;
    options.tome = tome;
    return options;
}

static vdt_session *open_session(const struct bench *bench, const vdt_session_options *options) {
    vdt_session *session = NULL;
    vdt_error error = {0};
    require(vdt_session_open(&session, bench->model, options, &error), &error);
    return session;
}

/* ---- the twins' results -------------------------------------------------------------------- */

struct setting {
    const char *name;
    vdt_rlt_options rlt;
    vdt_tome_options tome;
};

#define THRESHOLD(value)       .mode = VDT_RLT_THRESHOLD, .tau = (value)
#define SCHEDULE(value, where) .mode = VDT_TOME_SCHEDULE, .r = (value), .inflection = (where)
#define ALL_LENGTHS            (VDT_RLT_LENGTHS_BIAS | VDT_RLT_LENGTHS_POOL | VDT_RLT_LENGTHS_EMBED)

// Those of scripts/make_reduction.py.
static const struct setting clip_settings[] = {
    {"threshold", {THRESHOLD(0.1)}, {0}},
    {"previous", {THRESHOLD(0.1), .reference = VDT_RLT_PREVIOUS}, {0}},
    {"zero", {THRESHOLD(0.0)}, {0}},
    {"bias", {THRESHOLD(0.1), .lengths = VDT_RLT_LENGTHS_BIAS}, {0}},
    {"pool", {THRESHOLD(0.1), .lengths = VDT_RLT_LENGTHS_POOL}, {0}},
    {"embed", {THRESHOLD(0.1), .lengths = VDT_RLT_LENGTHS_EMBED}, {0}},
    {"all", {THRESHOLD(0.2), .lengths = ALL_LENGTHS}, {0}},
    {"keep", {.mode = VDT_RLT_KEEP, .keep = 40}, {0}},
    {"random", {.mode = VDT_RLT_RANDOM, .keep = 40, .seed = 7}, {0}},
    {"merge", {0}, {SCHEDULE(5, 0.0), .attention = VDT_TOME_PLAIN}},
    {"merge_proportional", {0}, {SCHEDULE(5, 0.0), .attention = VDT_TOME_PROPORTIONAL}},
    {"merge_falling", {0}, {SCHEDULE(6, -0.5), .attention = VDT_TOME_PROPORTIONAL}},
    {"merge_percent",
     {0},
     {.mode = VDT_TOME_PERCENT, .percent = 12.5, .attention = VDT_TOME_PROPORTIONAL}},
    {"both", {THRESHOLD(0.1)}, {SCHEDULE(7, 0.0), .attention = VDT_TOME_PROPORTIONAL}},
    {"both_weighted",
     {THRESHOLD(0.1), .lengths = VDT_RLT_LENGTHS_BIAS | VDT_RLT_LENGTHS_POOL},
     {SCHEDULE(7, 0.0), .attention = VDT_TOME_PLAIN}},
};
static const struct setting image_settings[] = {
    {"merge", {0}, {SCHEDULE(2, 0.0)}}, // auto is proportional here
    {"merge_plain", {0}, {SCHEDULE(1, 1.0), .attention = VDT_TOME_PLAIN}},
    {"merge_half", {0}, {.mode = VDT_TOME_PERCENT, .percent = 50.0}},
};

static const double LOGIT_TOLERANCE = 1e-4; // absolute, on logits of unit spread

static void check_array(const struct reference *reference, const char *setting, const char *what,
                        const uint32_t *found, size_t n) {
    char name[64];
    size_t count = 0;
    snprintf(name, sizeof name, "%s.%s", setting, what);
    const float *expected = reference_find(reference, name, &count);
    assert_non_null(expected);
    if (count != n) fail_msg("%s: expected %zu, found %zu", name, count, n);
    for (size_t i = 0; i < n; i++) {
        if (found[i] != (uint32_t)expected[i])
            fail_msg("%s[%zu]: expected %g, found %u", name, i, (double)expected[i], found[i]);
    }
}

static void check_logits(const struct reference *reference, const char *setting,
                         const float *logits, size_t n) {
    char name[64];
    size_t count = 0;
    snprintf(name, sizeof name, "%s.logits", setting);
    const float *expected = reference_find(reference, name, &count);
    assert_non_null(expected);
    assert_int_equal(count, n);
    for (size_t i = 0; i < n; i++) {
        if (!(fabs((double)logits[i] - (double)expected[i]) <= LOGIT_TOLERANCE))
            fail_msg("%s[%zu]: expected %g, found %g", name, i, (double)expected[i],
                     (double)logits[i]);
    }
}

static void run_setting(const struct bench *bench, const char *source,
                        const struct setting *setting, const struct reference *reference) {
    vdt_session_options options = session_options(setting->rlt, setting->tome);
    const bool classifies = vdt_model_info_get(bench->model)->labels > 0;
    if (!classifies) options.pool = VDT_POOL_HEAD; // its twin calls the pooled output logits
    vdt_session *session = open_session(bench, &options);
    vdt_reader *reader = NULL;
    vdt_reader_options reader_options;
    vdt_item item;
    vdt_error error = {0};
    vdt_tokens tokens;
    vdt_stats stats;
    float logits[256];
    vdt_reader_options_init(&reader_options);
    reader_options.rate = 1;
    require(vdt_reader_open(&reader, session, &source, 1, &reader_options, &error), &error);
    require(vdt_reader_next(reader, &item, &error), &error);
    require(item.error.status, &item.error);
    const vdt_output output = {.logits = classifies ? logits : NULL,
                               .features = classifies ? NULL : logits};
    const vdt_session_shape_info *shape = vdt_session_shape(session);
    require(vdt_session_run(session, &item.clip, 1, &output, &stats, &error), &error);
    require(vdt_session_tokens(&tokens, session, 0, &error), &error);
    check_array(reference, setting->name, "kept", tokens.indices, tokens.kept);
    check_array(reference, setting->name, "lengths", tokens.lengths, tokens.kept);
    check_array(reference, setting->name, "source", tokens.source, tokens.total);
    check_array(reference, setting->name, "layers", tokens.layers, tokens.n_layers);
    check_logits(reference, setting->name, logits, classifies ? shape->logits : shape->features);
    assert_int_equal(stats.macs, tokens.macs);
    assert_int_equal(stats.macs_dense, tokens.macs_dense);
    vdt_reader_give(reader, &item);
    vdt_reader_close(&reader);
    vdt_session_close(&session);
}

static void run_case(const char *directory, const char *expected, const struct setting *settings,
                     size_t n) {
    struct reference reference;
    char source[1200];
    snprintf(source, sizeof source, "%s/source.npy", directory);
    reference_open(&reference, expected);
    for (int level = VDT_CPU_C; level <= (int)cpu_detect(); level++) {
        struct bench bench;
        open_bench(&bench, directory, (vdt_cpu)level, 1 + (uint32_t)level % 3, VDT_PRECISION_F32);
        for (size_t i = 0; i < n; i++) run_setting(&bench, source, &settings[i], &reference);
        close_bench(&bench);
    }
    reference_close(&reference);
}

static void clips_equal_the_twins(void **state) {
    (void)state;
    const size_t n = sizeof clip_settings / sizeof *clip_settings;
    run_case(source_path("tests/reduction/videomae"),
             source_path("tests/reduction/videomae/expected.safetensors"), clip_settings, n);
    run_case(source_path("tests/reduction/vivit"),
             source_path("tests/reduction/vivit/expected.safetensors"), clip_settings, n);
}

static void images_equal_the_twins(void **state) {
    (void)state;
    static const char *const names[] = {"vit_classification", "deit_with_teacher",
                                        "dinov2_classification", "siglip_vision"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char directory[64], expected[64];
        snprintf(directory, sizeof directory, "tests/golden/%s", names[i]);
        snprintf(expected, sizeof expected, "tests/reduction/%s.safetensors", names[i]);
        run_case(source_path(directory), source_path(expected), image_settings,
                 sizeof image_settings / sizeof *image_settings);
    }
}

/* ---- identities ---------------------------------------------------------------------------- */

enum { SIDE = 32, FRAMES = 16, FRAME_BYTES = SIDE * SIDE * 3, CLIP_BYTES = FRAMES * FRAME_BYTES };
enum { STEPS = 8, PLACES = 16, TOKENS = STEPS * PLACES, LABELS = 5, D = 36, MOST_CLIPS = 4 };

static const vdt_precision precisions[] = {VDT_PRECISION_F32, VDT_PRECISION_BF16,
                                           VDT_PRECISION_INT8};

// Clips of patches that change now and then, each clip more often than the one before.
static uint8_t *make_clips(size_t n, uint64_t seed) {
    struct random random = {seed};
    uint8_t *pixels = make_bytes(n * CLIP_BYTES);
    for (size_t clip = 0; clip < n; clip++) {
        uint8_t *frames = pixels + clip * CLIP_BYTES;
        random_bytes(&random, frames, FRAME_BYTES);
        for (size_t t = 1; t < FRAMES; t++) {
            uint8_t *frame = frames + t * FRAME_BYTES;
            memcpy(frame, frame - FRAME_BYTES, FRAME_BYTES);
            for (size_t i = 0; i < clip; i++) {
                const size_t row = random_size(&random, 0, SIDE - 1);
                random_bytes(&random, frame + row * SIDE * 3, SIDE * 3);
            }
        }
    }
    return pixels;
}

static vdt_clip clip_at(const uint8_t *pixels, size_t i) {
    return (vdt_clip){pixels + i * CLIP_BYTES, SIDE * 3, FRAME_BYTES};
}

static void open_videomae(struct bench *bench, uint32_t threads, vdt_precision precision) {
    open_bench(bench, source_path("tests/reduction/videomae"), VDT_CPU_BEST, threads, precision);
}

struct results {
    float logits[MOST_CLIPS][LABELS];
    float tokens[MOST_CLIPS][TOKENS * D];
    uint32_t kept[MOST_CLIPS], source[MOST_CLIPS][TOKENS];
};

static void run_clips(struct results *results, const struct bench *bench,
                      const vdt_session_options *wanted, const vdt_clip *clips, size_t n) {
    vdt_session_options options = *wanted;
    vdt_error error = {0};
    options.clips = MOST_CLIPS;
    options.pool = VDT_POOL_TOKENS;
    vdt_session *session = open_session(bench, &options);
    const vdt_output output = {.logits = results->logits[0], .features = results->tokens[0]};
    vdt_stats stats;
    uint64_t macs = 0;
    require(vdt_session_run(session, clips, n, &output, &stats, &error), &error);
    for (size_t i = 0; i < n; i++) {
        vdt_tokens tokens;
        require(vdt_session_tokens(&tokens, session, i, &error), &error);
        assert_int_equal(tokens.total, TOKENS);
        results->kept[i] = tokens.kept;
        memcpy(results->source[i], tokens.source, sizeof results->source[i]);
        macs += tokens.macs;
    }
    assert_true(stats.macs - macs < n); // shares of what is no block are rounded down
    vdt_tokens none;
    assert_int_equal(vdt_session_tokens(&none, session, n, &error), VDT_ERROR_ARGUMENT);
    vdt_session_close(&session);
}

static void everything_kept_is_dense(void **state) {
    (void)state;
    static const uint32_t zeros[3] = {0};
    const vdt_rlt_options rlts[] = {{0},
                                    {.mode = VDT_RLT_KEEP, .keep = TOKENS},
                                    {.mode = VDT_RLT_RANDOM, .keep = TOKENS, .seed = 3},
                                    {.mode = VDT_RLT_KEEP,
                                     .keep = TOKENS,
                                     .lengths = VDT_RLT_LENGTHS_BIAS | VDT_RLT_LENGTHS_POOL}};
    const vdt_tome_options tomes[] = {
        {0},
        {.mode = VDT_TOME_SCHEDULE, .attention = VDT_TOME_PROPORTIONAL},
        {.mode = VDT_TOME_PERCENT, .percent = 0.0},
        {.mode = VDT_TOME_LIST, .list = zeros, .n_list = 3},
    };
    uint8_t *pixels = make_clips(MOST_CLIPS, 11);
    vdt_clip clips[MOST_CLIPS];
    for (size_t i = 0; i < MOST_CLIPS; i++) clips[i] = clip_at(pixels, i);
    for (size_t p = 0; p < 3; p++) {
        static struct results dense, reduced;
        struct bench bench;
        open_videomae(&bench, 2, precisions[p]);
        for (size_t i = 0; i < 16; i++) {
            const vdt_session_options options = session_options(rlts[i / 4], tomes[i % 4]);
            run_clips(i == 0 ? &dense : &reduced, &bench, &options, clips, MOST_CLIPS);
            if (i > 0) assert_memory_equal(&dense, &reduced, sizeof dense);
        }
        close_bench(&bench);
    }
    free(pixels);
}

// Everything that varies between clips: how many are kept, how many merge.
static vdt_session_options varied_options(size_t i) {
    static const struct setting varied[] = {
        {"", {THRESHOLD(0.1)}, {0}},
        {"", {THRESHOLD(0.1)}, {.mode = VDT_TOME_PERCENT, .percent = 20.0}},
        {"", {THRESHOLD(0.1), .lengths = ALL_LENGTHS}, {SCHEDULE(9, -1.0)}},
        {"",
         {.mode = VDT_RLT_RANDOM, .keep = 60},
         {SCHEDULE(4, 0.0), .attention = VDT_TOME_PROPORTIONAL}},
        {"", {0}, {SCHEDULE(17, 0.3)}},
    };
    return session_options(varied[i].rlt, varied[i].tome);
}

enum { VARIED = 5 };

static void packing_changes_nothing(void **state) {
    (void)state;
    static const size_t orders[][MOST_CLIPS] = {{0, 1, 2, 3}, {3, 1, 0, 2}, {2, 2, 0, 3}};
    uint8_t *pixels = make_clips(MOST_CLIPS, 12);
    for (size_t p = 0; p < 3; p++) {
        static struct results packed, solo;
        struct bench bench;
        open_videomae(&bench, 2, precisions[p]);
        for (size_t i = 0; i < 3 * VARIED; i++) {
            const vdt_session_options options = varied_options(i % VARIED);
            const size_t *order = orders[i / VARIED];
            vdt_clip clips[MOST_CLIPS];
            for (size_t b = 0; b < MOST_CLIPS; b++) clips[b] = clip_at(pixels, order[b]);
            run_clips(&packed, &bench, &options, clips, MOST_CLIPS);
            for (size_t b = 0; b < MOST_CLIPS; b++) {
                run_clips(&solo, &bench, &options, &clips[b], 1);
                assert_memory_equal(solo.logits[0], packed.logits[b], sizeof solo.logits[0]);
                assert_memory_equal(solo.tokens[0], packed.tokens[b], sizeof solo.tokens[0]);
                assert_memory_equal(solo.source[0], packed.source[b], sizeof solo.source[0]);
                assert_int_equal(solo.kept[0], packed.kept[b]);
            }
        }
        close_bench(&bench);
    }
    free(pixels);
}

static void threads_change_nothing(void **state) {
    (void)state;
    uint8_t *pixels = make_clips(MOST_CLIPS, 13);
    vdt_clip clips[MOST_CLIPS];
    for (size_t i = 0; i < MOST_CLIPS; i++) clips[i] = clip_at(pixels, i);
    for (size_t p = 0; p < 3; p++) {
        for (size_t i = 0; i < VARIED; i++) {
            static struct results results[3];
            const vdt_session_options options = varied_options(i);
            for (uint32_t threads = 1; threads <= 3; threads++) {
                struct bench bench;
                open_videomae(&bench, threads, precisions[p]);
                run_clips(&results[threads - 1], &bench, &options, clips, MOST_CLIPS);
                close_bench(&bench);
            }
            assert_memory_equal(&results[0], &results[1], sizeof results[0]);
            assert_memory_equal(&results[0], &results[2], sizeof results[0]);
        }
    }
    free(pixels);
}

static void decide(vdt_tokens *tokens, uint32_t *arrays, const vdt_rlt_options *rlt,
                   const uint8_t *pixels, vdt_cpu cpu, uint32_t threads) {
    struct bench bench;
    vdt_error error = {0};
    const vdt_session_options options = session_options(*rlt, (vdt_tome_options){0});
    open_bench(&bench, source_path("tests/reduction/videomae"), cpu, threads, VDT_PRECISION_F32);
    vdt_session *session = open_session(&bench, &options);
    const vdt_clip clip = clip_at(pixels, 0);
    require(vdt_session_run(session, &clip, 1, &(vdt_output){0}, NULL, &error), &error);
    require(vdt_session_tokens(tokens, session, 0, &error), &error);
    memcpy(arrays, tokens->indices, tokens->kept * sizeof *arrays);
    memcpy(arrays + TOKENS, tokens->lengths, tokens->kept * sizeof *arrays);
    tokens->indices = arrays;
    tokens->lengths = arrays + TOKENS;
    vdt_session_close(&session);
    close_bench(&bench);
}

static void run_lengths_fill_the_clip(void **state) {
    (void)state;
    const vdt_rlt_options rlts[] = {
        {THRESHOLD(0.02)},
        {THRESHOLD(0.2)},
        {THRESHOLD(0.1), .reference = VDT_RLT_PREVIOUS},
        {.mode = VDT_RLT_KEEP, .keep = 50},
        {.mode = VDT_RLT_RANDOM, .keep = 50, .seed = 9},
        {.mode = VDT_RLT_KEEP, .keep = PLACES},
        {.mode = VDT_RLT_EVEN, .keep = 3 * PLACES},
    };
    uint8_t *pixels = make_clips(MOST_CLIPS, 14);
    for (size_t i = 0; i < sizeof rlts / sizeof *rlts * MOST_CLIPS; i++) {
        const vdt_rlt_options *rlt = &rlts[i / MOST_CLIPS];
        vdt_tokens tokens;
        uint32_t arrays[2 * TOKENS], sums[PLACES] = {0};
        decide(&tokens, arrays, rlt, pixels + i % MOST_CLIPS * CLIP_BYTES, VDT_CPU_BEST, 1);
        for (size_t k = 0; k < tokens.kept; k++) {
            assert_true(k == 0 || tokens.indices[k] > tokens.indices[k - 1]);
            sums[tokens.indices[k] % PLACES] += tokens.lengths[k];
            if (rlt->mode == VDT_RLT_EVEN) // steps 0, 3 and 6 of 8
                assert_int_equal(tokens.indices[k], k / PLACES * 3 * PLACES + k % PLACES);
        }
        for (size_t place = 0; place < PLACES; place++) assert_int_equal(sums[place], STEPS);
        if (rlt->mode != VDT_RLT_THRESHOLD) assert_int_equal(tokens.kept, rlt->keep);
        for (int level = VDT_CPU_C; level <= (int)cpu_detect(); level++) {
            vdt_tokens other;
            uint32_t others[2 * TOKENS];
            decide(&other, others, rlt, pixels + i % MOST_CLIPS * CLIP_BYTES, (vdt_cpu)level, 3);
            assert_int_equal(other.kept, tokens.kept);
            assert_memory_equal(other.indices, tokens.indices, tokens.kept * sizeof *arrays);
        }
    }
    free(pixels);
}

static void a_frozen_clip_keeps_its_first_tubelets(void **state) {
    (void)state;
    uint8_t *pixels = make_clips(1, 15); // clip 0 never changes
    for (size_t i = 0; i < 2; i++) {
        const vdt_rlt_options rlt = {THRESHOLD(0.0), .reference = (vdt_rlt_reference)i};
        vdt_tokens tokens;
        uint32_t arrays[2 * TOKENS];
        decide(&tokens, arrays, &rlt, pixels, VDT_CPU_BEST, 1);
        assert_int_equal(tokens.kept, PLACES);
        for (size_t k = 0; k < PLACES; k++) {
            assert_int_equal(tokens.indices[k], k);
            assert_int_equal(tokens.lengths[k], STEPS);
        }
    }
    free(pixels);
}

// One byte on either side of the threshold, which is exact: S > tau R 3 p p, strictly.
static void the_threshold_is_strict(void **state) {
    (void)state;
    uint8_t *pixels = make_clips(1, 16);
    for (size_t i = 0; i < CLIP_BYTES; i++) pixels[i] = 100;
    const double std = 0.229, range = 255.0, limit = 3.0 * 8.0 * 8.0; // channel 0 alone changes
    for (uint32_t sad = 1; sad < 200; sad += 7) {
        const double tau = (double)sad / std / (range * limit);
        const double S = (double)sad / std, bound = tau * range * 3.0 * 8.0 * 8.0;
        for (size_t t = 2; t < FRAMES; t++) {
            for (size_t i = 0; i < 64; i++) // of the patch at (0, 0)
                pixels[t * FRAME_BYTES + i / 8 * SIDE * 3 + i % 8 * 3] =
                    (uint8_t)(100 + sad / 64 + (i < sad % 64));
        }
        vdt_tokens tokens;
        uint32_t arrays[2 * TOKENS];
        const vdt_rlt_options rlt = {THRESHOLD(tau)};
        decide(&tokens, arrays, &rlt, pixels, VDT_CPU_BEST, 1);
        assert_int_equal(tokens.kept, PLACES + (S > bound));
    }
    free(pixels);
}

// Every golden model, with half of its tokens merging in each block: finite, the same on every thread count.
static void every_family_merges(void **state) {
    (void)state;
    static const char *const names[] = {
        "clip_classification",   "clip_vision_projection",
        "deit_classification",   "deit_with_teacher",
        "dinov2_classification", "dinov2_registers_up",
        "dinov2_swiglu",         "siglip_classification",
        "siglip_vision",         "videomae_first_token",
        "videomae_mean",         "vit_pooler",
        "vit_rectangular",       "vit_wide",
        "vivit_classification",  "vivit_pooler",
    };
    uint8_t *pixels = make_bytes(4 * 256 * 256 * 3);
    struct random random = {17};
    random_bytes(&random, pixels, 4 * 256 * 256 * 3);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char directory[64];
        float features[2][256];
        snprintf(directory, sizeof directory, "tests/golden/%s", names[i]);
        for (uint32_t threads = 1; threads <= 2; threads++) {
            struct bench bench;
            vdt_error error = {0};
            vdt_tokens tokens;
            open_bench(&bench, source_path(directory), VDT_CPU_BEST, threads, VDT_PRECISION_AUTO);
            vdt_session_options options =
                session_options((vdt_rlt_options){THRESHOLD(0.1)},
                                (vdt_tome_options){.mode = VDT_TOME_PERCENT, .percent = 100.0});
            options.pool = VDT_POOL_HEAD;
            vdt_session *session = open_session(&bench, &options);
            const vdt_session_shape_info *shape = vdt_session_shape(session);
            assert_true(shape->features <= 256);
            const vdt_clip clip = {pixels, 3 * shape->width, 3 * shape->width * shape->height};
            const vdt_output output = {.features = features[threads - 1]};
            require(vdt_session_run(session, &clip, 1, &output, NULL, &error), &error);
            require(vdt_session_tokens(&tokens, session, 0, &error), &error);
            const uint32_t prefix = vdt_model_info_get(bench.model)->prefix_tokens;
            uint32_t n = tokens.kept;
            for (size_t l = 0; l < tokens.n_layers; l++, n -= (n - prefix) / 2)
                assert_int_equal(tokens.layers[l], n - (n - prefix) / 2);
            for (uint32_t token = 0; token < prefix; token++)
                assert_int_equal(tokens.source[token], token);
            if (threads == 2)
                assert_memory_equal(features[0], features[1], shape->features * sizeof(float));
            vdt_session_close(&session);
            close_bench(&bench);
        }
    }
    free(pixels);
}

/* ---- arguments ----------------------------------------------------------------------------- */

static void wrong_options_are_named(void **state) {
    (void)state;
    static const uint32_t list[4] = {1, 2, 3, 4}, huge[3] = {1, UINT32_MAX, 0};
    const struct {
        vdt_rlt_options rlt;
        vdt_tome_options tome;
        const char *named;
        vdt_status status;
    } wrong[] = {
        {{THRESHOLD(NAN)}, {0}, "rlt tau", VDT_ERROR_ARGUMENT},
        {{THRESHOLD(-0.1)}, {0}, "rlt tau", VDT_ERROR_ARGUMENT},
        {{THRESHOLD(INFINITY)}, {0}, "rlt tau", VDT_ERROR_ARGUMENT},
        {{.mode = VDT_RLT_KEEP, .keep = TOKENS + 1}, {0}, "rlt keep", VDT_ERROR_ARGUMENT},
        {{.mode = VDT_RLT_KEEP, .keep = PLACES - 1}, {0}, "rlt keep", VDT_ERROR_ARGUMENT},
        {{.mode = VDT_RLT_RANDOM, .keep = 0}, {0}, "rlt keep", VDT_ERROR_ARGUMENT},
        {{.mode = (vdt_rlt_mode)9}, {0}, "rlt", VDT_ERROR_ARGUMENT},
        {{.reference = (vdt_rlt_reference)9}, {0}, "reference", VDT_ERROR_ARGUMENT},
        {{.lengths = 64}, {0}, "lengths", VDT_ERROR_ARGUMENT},
        {{0}, {.mode = VDT_TOME_LIST, .list = list, .n_list = 4}, "tome list", VDT_ERROR_ARGUMENT},
        {{0}, {.mode = VDT_TOME_LIST, .list = list, .n_list = 2}, "tome list", VDT_ERROR_ARGUMENT},
        {{0}, {.mode = VDT_TOME_LIST, .n_list = 3}, "tome list", VDT_ERROR_ARGUMENT},
        {{0}, {.mode = VDT_TOME_LIST, .list = huge, .n_list = 3}, "block 1", VDT_ERROR_ARGUMENT},
        {{0}, {SCHEDULE(UINT32_MAX, 0.0)}, "tome r", VDT_ERROR_ARGUMENT},
        {{0}, {SCHEDULE(4, NAN)}, "inflection", VDT_ERROR_ARGUMENT},
        {{0}, {SCHEDULE(4, 1.01)}, "inflection", VDT_ERROR_ARGUMENT},
        {{0}, {.mode = VDT_TOME_PERCENT, .percent = NAN}, "percent", VDT_ERROR_ARGUMENT},
        {{0}, {.mode = VDT_TOME_PERCENT, .percent = 101.0}, "percent", VDT_ERROR_ARGUMENT},
        {{0}, {.mode = VDT_TOME_PERCENT, .percent = -1.0}, "percent", VDT_ERROR_ARGUMENT},
        {{0}, {.mode = (vdt_tome_mode)9}, "tome", VDT_ERROR_ARGUMENT},
        {{0}, {.attention = (vdt_tome_attention)9}, "attention", VDT_ERROR_ARGUMENT},
    };
    struct bench bench;
    open_videomae(&bench, 1, VDT_PRECISION_F32);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const vdt_session_options options = session_options(wrong[i].rlt, wrong[i].tome);
        vdt_session *session = NULL;
        vdt_error error = {0};
        assert_int_equal(vdt_session_open(&session, bench.model, &options, &error),
                         wrong[i].status);
        assert_null(session);
        if (!strstr(error.message, wrong[i].named)) fail_msg("%zu: %s", i, error.message);
    }
    close_bench(&bench);
}

static void embedding_lengths_needs_the_table(void **state) {
    (void)state;
    struct bench bench;
    vdt_session *session = NULL;
    vdt_error error = {0};
    const vdt_session_options options = session_options(
        (vdt_rlt_options){THRESHOLD(0.1), .lengths = VDT_RLT_LENGTHS_EMBED}, (vdt_tome_options){0});
    open_bench(&bench, source_path("tests/golden/videomae_mean"), VDT_CPU_BEST, 1,
               VDT_PRECISION_F32);
    assert_int_equal(vdt_session_open(&session, bench.model, &options, &error),
                     VDT_ERROR_UNSUPPORTED);
    assert_non_null(strstr(error.message, "rlt.length_embedding.weight"));
    assert_non_null(strstr(error.message, "bias, pool or none"));
    close_bench(&bench);
}

// A schedule that asks for more than there is stops at half a block, and at one token in the end.
static void greedy_schedules_leave_a_token(void **state) {
    (void)state;
    struct bench bench;
    vdt_error error = {0};
    open_videomae(&bench, 2, VDT_PRECISION_F32);
    uint8_t *pixels = make_clips(1, 18);
    const vdt_session_options options =
        session_options((vdt_rlt_options){.mode = VDT_RLT_KEEP, .keep = PLACES},
                        (vdt_tome_options){SCHEDULE(1 << 22, 0.0)});
    vdt_session *session = open_session(&bench, &options);
    assert_int_equal(vdt_session_shape(session)->tokens_kept, 16);
    assert_int_equal(vdt_session_shape(session)->tokens_final, 2);
    const vdt_clip clip = clip_at(pixels, 0);
    float logits[LABELS];
    vdt_tokens tokens;
    require(vdt_session_run(session, &clip, 1, &(vdt_output){.logits = logits}, NULL, &error),
            &error);
    require(vdt_session_tokens(&tokens, session, 0, &error), &error);
    assert_int_equal(tokens.layers[2], 2);
    assert_int_equal(tokens.macs, vdt_session_shape(session)->macs);
    vdt_session_close(&session);
    free(pixels);
    close_bench(&bench);
}

// One session through all modes gives what sessions of their own give.
static void a_session_can_change_its_mind(void **state) {
    (void)state;
    const vdt_rlt_options rlts[] = {{THRESHOLD(0.1)},
                                    {.mode = VDT_RLT_KEEP, .keep = 40, .lengths = ALL_LENGTHS},
                                    {.mode = VDT_RLT_RANDOM, .keep = 90, .seed = 4},
                                    {.mode = VDT_RLT_EVEN, .keep = 2 * PLACES + 5}};
    struct bench bench;
    vdt_error error = {0};
    open_videomae(&bench, 2, VDT_PRECISION_F32);
    uint8_t *pixels = make_clips(MOST_CLIPS, 19);
    const vdt_clip clip = clip_at(pixels, 3);
    const vdt_session_options first = session_options(rlts[0], (vdt_tome_options){0});
    vdt_session *one = open_session(&bench, &first);
    for (size_t i = 0; i < 8; i++) {
        const vdt_session_options options = session_options(rlts[i % 4], (vdt_tome_options){0});
        vdt_session *own = open_session(&bench, &options);
        float logits[2][LABELS];
        require(vdt_session_set_rlt(one, &rlts[i % 4], &error), &error);
        require(vdt_session_run(one, &clip, 1, &(vdt_output){.logits = logits[0]}, NULL, &error),
                &error);
        require(vdt_session_run(own, &clip, 1, &(vdt_output){.logits = logits[1]}, NULL, &error),
                &error);
        assert_memory_equal(logits[0], logits[1], sizeof logits[0]);
        vdt_session_close(&own);
    }
    const vdt_rlt_options wrong = {.mode = VDT_RLT_KEEP, .keep = 3}, off = {0};
    assert_int_equal(vdt_session_set_rlt(one, &wrong, NULL), VDT_ERROR_ARGUMENT);
    assert_int_equal(vdt_session_set_rlt(one, &off, NULL), VDT_ERROR_ARGUMENT);
    vdt_session_close(&one);
    free(pixels);
    close_bench(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clips_equal_the_twins),
        cmocka_unit_test(images_equal_the_twins),
        cmocka_unit_test(everything_kept_is_dense),
        cmocka_unit_test(packing_changes_nothing),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(run_lengths_fill_the_clip),
        cmocka_unit_test(a_frozen_clip_keeps_its_first_tubelets),
        cmocka_unit_test(the_threshold_is_strict),
        cmocka_unit_test(every_family_merges),
        cmocka_unit_test(wrong_options_are_named),
        cmocka_unit_test(embedding_lengths_needs_the_table),
        cmocka_unit_test(greedy_schedules_leave_a_token),
        cmocka_unit_test(a_session_can_change_its_mind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
