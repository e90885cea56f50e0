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

static void require(vdt_status status, const vdt_error *error) {
    if (status) fail_msg("%s", error->message);
}

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

#define THRESHOLD(value) .mode = VDT_RLT_THRESHOLD, .tau = (value)
#define SCHEDULE(value, where) .mode = VDT_TOME_SCHEDULE, .r = (value), .inflection = (where)
#define ALL_LENGTHS (VDT_RLT_LENGTHS_BIAS | VDT_RLT_LENGTHS_POOL | VDT_RLT_LENGTHS_EMBED)

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
    const vdt_session_options options = session_options(setting->rlt, setting->tome);
    vdt_session *session = open_session(bench, &options);
    vdt_reader *reader = NULL;
    vdt_reader_options reader_options;
    vdt_item item;
    vdt_error error = {0};
    vdt_tokens tokens;
    vdt_stats stats;
    float logits[16];
    vdt_reader_options_init(&reader_options);
    reader_options.rate = 1;
    require(vdt_reader_open(&reader, session, &source, 1, &reader_options, &error), &error);
    require(vdt_reader_next(reader, &item, &error), &error);
    require(item.error.status, &item.error);
    const vdt_output output = {.logits = logits};
    require(vdt_session_run(session, &item.clip, 1, &output, &stats, &error), &error);
    require(vdt_session_tokens(&tokens, session, 0, &error), &error);
    check_array(reference, setting->name, "kept", tokens.indices, tokens.kept);
    check_array(reference, setting->name, "lengths", tokens.lengths, tokens.kept);
    check_array(reference, setting->name, "source", tokens.source, tokens.total);
    check_array(reference, setting->name, "layers", tokens.layers, tokens.n_layers);
    check_logits(reference, setting->name, logits, vdt_session_shape(session)->logits);
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
                                        "dinov2_classification"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char directory[64], expected[64];
        snprintf(directory, sizeof directory, "tests/golden/%s", names[i]);
        snprintf(expected, sizeof expected, "tests/reduction/%s.safetensors", names[i]);
        run_case(source_path(directory), source_path(expected), image_settings,
                 sizeof image_settings / sizeof *image_settings);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clips_equal_the_twins),
        cmocka_unit_test(images_equal_the_twins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
