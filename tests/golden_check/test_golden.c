// Tiny models of every family against transformers' own outputs (tests/golden, made by
// scripts/make_golden.py): pixel values, every block's output, the last layer, the head, the logits; in
// every precision, on every CPU level this machine has, with the same bits at any thread count.
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cpu.h"
#include "session.h"
#include "support.h"

// The tolerances, all in one place.
static const double PIXEL_TOLERANCE = 1e-6; // absolute
static const struct tolerance {
    vdt_precision precision;
    double layer;         // relative to the layer's largest value
    double token_cosine;  // 1 - the smallest of a layer's tokens
    double logit;         // absolute, on logits of unit spread
    double logits_cosine; // 1 - that of the logits
} TOLERANCES[] = {
    {VDT_PRECISION_F32, 2e-5, 1e-5, 5e-5, 1e-5},
    {VDT_PRECISION_BF16, 2e-2, 1e-3, 5e-2, 1e-4},
    {VDT_PRECISION_INT8, 5e-2, 1e-3, 1e-1, 5e-4},
};

enum { MOST_THREADS = 3, MOST_FLOATS = 1 << 20, MOST_LOGITS = 1000 };

struct setting {
    vdt_cpu cpu;
    uint32_t threads;
    const struct tolerance *tolerance;
};

static size_t n_checked[VDT_PRECISION_INT8 + 1]; // readings

// Opens a model and reads the case's one clip; close with close_case.
struct golden {
    vdt_context *context;
    vdt_model *model;
    vdt_session *session;
    vdt_reader *reader;
    vdt_item item;
};

static void open_golden(struct golden *golden, const char *directory, struct setting setting,
                        vdt_pool pool, int32_t layer) {
    vdt_error error = {0};
    vdt_context_options context_options;
    vdt_model_options model_options;
    vdt_session_options session_options;
    vdt_reader_options reader_options;
    char source[1200];
    *golden = (struct golden){0};
    vdt_context_options_init(&context_options);
    vdt_model_options_init(&model_options);
    vdt_session_options_init(&session_options);
    vdt_reader_options_init(&reader_options);
    context_options.cpu = setting.cpu;
    context_options.threads = setting.threads;
    model_options.precision = setting.tolerance->precision;
    session_options.pool = pool;
    session_options.layer = layer;
    reader_options.rate = 1; // the source holds exactly the frames of a clip
    snprintf(source, sizeof source, "%s/source.npy", directory);
    const char *inputs[] = {source};
    require(vdt_context_open(&golden->context, &context_options, &error), &error);
    require(vdt_model_open(&golden->model, golden->context, directory, &model_options, &error),
            &error);
    require(vdt_session_open(&golden->session, golden->model, &session_options, &error), &error);
    require(vdt_reader_open(&golden->reader, golden->session, inputs, 1, &reader_options, &error),
            &error);
    require(vdt_reader_next(golden->reader, &golden->item, &error), &error);
    require(golden->item.error.status, &golden->item.error);
}

static void close_golden(struct golden *golden) {
    vdt_reader_give(golden->reader, &golden->item);
    vdt_reader_close(&golden->reader);
    vdt_session_close(&golden->session);
    vdt_model_close(&golden->model);
    vdt_context_close(&golden->context);
}

static void check_pixels(const struct golden *golden, const struct reference *reference,
                         const char *name) {
    size_t count;
    const float *expected = reference_find(reference, "pixel_values", &count);
    const vdt_session_shape_info *shape = vdt_session_shape(golden->session);
    const vdt_clip *clip = &golden->item.clip;
    assert_non_null(expected);
    assert_int_equal(count, (size_t)shape->frames * 3 * shape->height * shape->width);
    for (size_t i = 0; i < count; i++) { // (T, 3, H, W)
        const size_t x = i % shape->width, y = i / shape->width % shape->height;
        const size_t c = i / shape->width / shape->height % 3,
                     t = i / shape->width / shape->height / 3;
        const uint8_t byte =
            clip->pixels[t * clip->frame_stride + y * clip->row_stride + 3 * x + c];
        const double error = fabs((double)golden->model->values[c][byte] - (double)expected[i]);
        if (!(error <= PIXEL_TOLERANCE)) {
            fail_msg("%s: pixel (t %zu, c %zu, y %zu, x %zu): %g from the reference", name, t, c, y,
                     x, error);
        }
    }
}

// Features are rows of d, logits (d = count) one row.
static void check_values(const float *values, const float *expected, size_t count, size_t d,
                         bool logits, struct setting setting, const char *name,
                         const char *tensor) {
    const struct tolerance *tolerance = setting.tolerance;
    double error = 0.0;
    for (size_t i = 0; logits && i < count; i++)
        error = fmax(error, fabs((double)values[i] - (double)expected[i]));
    if (!logits) error = relative_error(values, expected, count);
    const double cosine = smallest_cosine(values, expected, count / d, d);
    if (!(error <= (logits ? tolerance->logit : tolerance->layer)) ||
        !(1.0 - cosine <= (logits ? tolerance->logits_cosine : tolerance->token_cosine))) {
        fail_msg("%s, %s, %s, %s: error %g, smallest cosine 1 - %g", name, tensor,
                 vdt_precision_name(tolerance->precision), cpu_name(setting.cpu), error,
                 1.0 - cosine);
    }
}

// One reading of a case: the features of a layer, or (pool NONE_WANTED) the logits. Returns how many; 0
// where this CPU level runs in another precision.
static size_t read_case(float *out, const char *directory, struct setting setting, vdt_pool pool,
                        int32_t layer) {
    vdt_error error = {0};
    struct golden golden;
    open_golden(&golden, directory, setting, pool, layer);
    if (vdt_model_info_get(golden.model)->precision != setting.tolerance->precision) {
        close_golden(&golden);
        return 0;
    }
    const vdt_session_shape_info *shape = vdt_session_shape(golden.session);
    const bool logits = pool == VDT_POOL_NONE_WANTED;
    const size_t count = logits ? shape->logits : shape->features;
    const vdt_output output = {.logits = logits ? out : NULL, .features = logits ? NULL : out};
    vdt_stats stats;
    assert_in_range(count, 1, MOST_FLOATS);
    require(vdt_session_run(golden.session, &golden.item.clip, 1, &output, &stats, &error), &error);
    if (logits) assert_int_equal(stats.macs, vdt_model_info_get(golden.model)->macs);
    close_golden(&golden);
    return count;
}

// The reading against the reference, and at several thread counts against itself. d 0: logits.
static void check_setting(const char *directory, const char *name, const char *tensor,
                          const float *expected, size_t count, vdt_pool pool, int32_t layer,
                          size_t d, struct setting setting) {
    static float values[MOST_FLOATS], again[MOST_FLOATS];
    const size_t found = read_case(values, directory, setting, pool, layer);
    if (found == 0) return;
    assert_int_equal(found, count);
    check_values(values, expected, count, d > 0 ? d : count, d == 0, setting, name, tensor);
    n_checked[setting.tolerance->precision]++;
    for (setting.threads = 2; setting.threads <= MOST_THREADS; setting.threads++) {
        read_case(again, directory, setting, pool, layer);
        if (memcmp(values, again, count * sizeof *values) != 0) {
            fail_msg("%s, %s: other bits with %u threads", name, tensor, setting.threads);
        }
    }
}

static void check_reading(const char *directory, const char *name,
                          const struct reference *reference, const char *tensor, vdt_pool pool,
                          int32_t layer, size_t d) {
    size_t count;
    const float *expected = reference_find(reference, tensor, &count);
    if (!expected) return;
    for (size_t i = 0; i < sizeof TOLERANCES / sizeof *TOLERANCES; i++) {
        for (int level = VDT_CPU_C; level <= (int)cpu_detect(); level++) {
            check_setting(directory, name, tensor, expected, count, pool, layer, d,
                          (struct setting){(vdt_cpu)level, 1, &TOLERANCES[i]});
        }
    }
}

static void check_case(const char *name) {
    char directory[1100], path[1200];
    struct reference reference;
    struct golden golden;
    snprintf(directory, sizeof directory, "%s/%s", source_path("tests/golden"), name);
    snprintf(path, sizeof path, "%s/expected.safetensors", directory);
    reference_open(&reference, path);
    open_golden(&golden, directory, (struct setting){VDT_CPU_BEST, 1, &TOLERANCES[0]},
                VDT_POOL_NONE_WANTED, VDT_LAYER_LAST);
    check_pixels(&golden, &reference, name);
    const vdt_model_info info = *vdt_model_info_get(golden.model);
    const size_t d = info.width_model;
    close_golden(&golden);
    // The factorised model gives its class token alone.
    const bool layered = strcmp(info.family, "vivit_fe") != 0;
    for (uint32_t layer = 0; layered && layer <= info.layers; layer++) {
        char tensor[32];
        snprintf(tensor, sizeof tensor, "hidden.%u", layer);
        size_t count;
        assert_non_null(reference_find(&reference, tensor, &count));
        check_reading(directory, name, &reference, tensor, VDT_POOL_TOKENS, (int32_t)layer, d);
    }
    size_t head_count = 0;
    reference_find(&reference, "head", &head_count);
    check_reading(directory, name, &reference, "last", VDT_POOL_TOKENS, VDT_LAYER_LAST, d);
    check_reading(directory, name, &reference, "head", VDT_POOL_HEAD, VDT_LAYER_LAST, head_count);
    check_reading(directory, name, &reference, "logits", VDT_POOL_NONE_WANTED, VDT_LAYER_LAST, 0);
    reference_close(&reference);
}

static void every_case(void **state) {
    (void)state;
    DIR *directory = opendir(source_path("tests/golden"));
    assert_non_null(directory);
    size_t n = 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (entry->d_name[0] == '.' || strchr(entry->d_name, '.')) continue; // README.md
        check_case(entry->d_name);
        n++;
    }
    closedir(directory);
    print_message("%zu cases; readings in f32 %zu, bf16 %zu, int8 %zu\n", n,
                  n_checked[VDT_PRECISION_F32], n_checked[VDT_PRECISION_BF16],
                  n_checked[VDT_PRECISION_INT8]);
    assert_in_range(n, 20, 1000);
}

// Logits of a seeded ViT of a real width for pixels of seeded noise.
static size_t run_arch(float *logits, vdt_precision precision, const vdt_clip *clip) {
    vdt_error error = {0};
    vdt_context *context;
    vdt_model *model;
    vdt_session *session;
    vdt_model_options options;
    vdt_model_options_init(&options);
    options.precision = precision;
    require(vdt_context_open(&context, NULL, &error), &error);
    require(vdt_model_open_arch(&model, context, "vit-tiny", &options, &error), &error);
    require(vdt_session_open(&session, model, NULL, &error), &error);
    const size_t n = vdt_session_shape(session)->logits;
    const vdt_output output = {.logits = logits};
    assert_in_range(n, 1, MOST_LOGITS);
    require(vdt_session_run(session, clip, 1, &output, NULL, &error), &error);
    vdt_session_close(&session);
    vdt_model_close(&model);
    vdt_context_close(&context);
    return n;
}

static void precisions(void **state) {
    (void)state;
    static float exact[MOST_LOGITS], rough[MOST_LOGITS];
    enum { SIDE = 224 };
    struct random random = {7};
    uint8_t *pixels = make_bytes(3 * SIDE * SIDE);
    const vdt_clip clip = {pixels, 3 * SIDE, 3 * SIDE * SIDE};
    for (int i = 0; i < 4; i++) {
        random_bytes(&random, pixels, 3 * SIDE * SIDE);
        const size_t n = run_arch(exact, VDT_PRECISION_F32, &clip);
        run_arch(rough, VDT_PRECISION_BF16, &clip);
        assert_true(1.0 - smallest_cosine(rough, exact, 1, n) <= 1e-4);
        run_arch(rough, VDT_PRECISION_INT8, &clip);
        assert_true(1.0 - smallest_cosine(rough, exact, 1, n) <= 5e-4);
    }
    free(pixels);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_case), cmocka_unit_test(precisions)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
