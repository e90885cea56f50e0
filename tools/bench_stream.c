// A stream's steps on synthetic frames: one texture, of whose patches some (without --moving all, so that top:R
// always finds R) change a little from frame to frame. Steps and dense runs alternate, so that a machine that slows
// down slows down both; the fastest of each counts. "rate_kept" is (operations done / time) / (dense operations /
// dense time).
#include "bench_stream.h"

#include <math.h>
#include <stdlib.h>

#include "json_out.h"
#include "pipeline.h"

enum { LEAST_STEPS = 30, MOST_STEPS = 400 };
enum { NOISE_LEVELS = 9 };

static const double RUN_SECONDS = 8.0;

struct bench {
    const struct settings *settings;
    vdt_model *model;
    vdt_session *dense, *stream;
    uint8_t *texture, *pixels; // of a step's frames, as clip has them
    vdt_clip clip;
    size_t next; // the first patch that changes in the next frame
    uint32_t noise;
    double dense_ms, first_ms, idle_ms, step_ms[MOST_STEPS];
    size_t steps;
    vdt_stats dense_stats, step_stats; // of the fastest
    uint64_t macs_eventful, afresh;
    double peak_gflops;
};

static uint32_t next_random(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    return *state >> 24;
}

static int make_texture(struct bench *b) {
    const vdt_session_shape_info *shape = vdt_session_shape(b->stream);
    const size_t row = 3 * (size_t)shape->width, bytes = row * shape->height * shape->frames;
    uint32_t random = 1;
    b->texture = malloc(bytes);
    b->pixels = malloc(bytes);
    if (!b->texture || !b->pixels) return -1;
    for (size_t i = 0; i < bytes; i++)
        b->texture[i] = b->pixels[i] = (uint8_t)(16 + next_random(&random) * 7 / 8);
    b->clip = (vdt_clip){b->pixels, row, row * shape->height};
    b->noise = 99;
    return 0;
}

// Other noise over a patch, `columns` of which make a row of them.
static void change_patch(struct bench *b, size_t patch, size_t columns) {
    const vdt_session_shape_info *shape = vdt_session_shape(b->stream);
    const size_t side = vdt_model_info_get(b->model)->patch, row = b->clip.row_stride;
    for (size_t f = 0; f < shape->frames; f++) {
        const size_t first =
            f * b->clip.frame_stride + patch / columns * side * row + patch % columns * side * 3;
        for (size_t y = 0; y < side; y++) {
            for (size_t i = first + y * row; i < first + y * row + 3 * side; i++)
                b->pixels[i] = (uint8_t)(b->texture[i] + next_random(&b->noise) % NOISE_LEVELS);
        }
    }
}

// What moves is a run of patches, which goes on where it ended in the frame before.
static void next_frame(struct bench *b) {
    const vdt_session_shape_info *shape = vdt_session_shape(b->stream);
    const size_t side = vdt_model_info_get(b->model)->patch, columns = shape->width / side;
    const size_t patches = columns * (shape->height / side);
    const size_t moving = (size_t)fmax(1.0, round(b->settings->moving * (double)patches));
    for (size_t i = 0; i < moving; i++) change_patch(b, (b->next + i) % patches, columns);
    b->next = (b->next + moving) % patches;
}

static int open_sessions(struct bench *b, vdt_error *error) {
    const struct settings *settings = b->settings;
    vdt_session_options options;
    vdt_session_options_init(&options);
    options.height = options.width = settings->arch ? 0 : settings->size;
    int status = vdt_session_open(&b->dense, b->model, &options, error);
    options.stream = settings->stream;
    if (!status) status = vdt_session_open(&b->stream, b->model, &options, error);
    return status;
}

// A run on the frame as it is.
static int timed(double *ms, const struct bench *b, vdt_session *session, vdt_stats *stats,
                 vdt_error *error) {
    const double start = progress_now_ms();
    const int status = vdt_session_run(session, &b->clip, 1, &(vdt_output){0}, stats, error);
    *ms = progress_now_ms() - start;
    return status;
}

static int step(struct bench *b, vdt_error *error) {
    vdt_stats stats;
    double ms;
    next_frame(b);
    const int status = timed(&ms, b, b->stream, &stats, error);
    if (status) return status;
    if (b->steps == 0 || ms < b->step_ms[0]) {
        b->step_stats = stats;
        b->macs_eventful = vdt_session_stream(b->stream)->macs_eventful;
        if (b->steps > 0) b->step_ms[b->steps] = b->step_ms[0];
        b->step_ms[0] = ms; // the fastest stands first
    } else {
        b->step_ms[b->steps] = ms;
    }
    b->afresh += vdt_session_stream(b->stream)->afresh;
    b->steps++;
    return VDT_OK;
}

// A flush, then dense runs and steps by turns; steps are cheaper, so there are more of them.
static int measure(struct bench *b, vdt_error *error) {
    const double begin = progress_now_ms();
    double ms;
    vdt_stats stats;
    int status = timed(&ms, b, b->dense, NULL, error);
    if (!status) status = timed(&b->first_ms, b, b->stream, NULL, error);
    b->dense_ms = INFINITY;
    while (!status && b->steps + 3 < MOST_STEPS &&
           (b->steps < LEAST_STEPS || progress_now_ms() - begin < RUN_SECONDS * 1e3)) {
        status = timed(&ms, b, b->dense, &stats, error);
        if (!status && ms < b->dense_ms) b->dense_stats = stats;
        b->dense_ms = fmin(b->dense_ms, ms);
        for (int i = 0; !status && i < 3; i++) status = step(b, error);
    }
    return status;
}

// A frame that repeats: after the gates have caught up, or after some steps of catching up.
static int measure_idle(struct bench *b, vdt_error *error) {
    vdt_error ignored;
    b->idle_ms = NAN;
    if (vdt_session_set_r(b->stream, UINT32_MAX, &ignored)) return VDT_OK;
    int status = VDT_OK;
    double ms, best = INFINITY;
    for (int i = 0; !status && i < 60; i++) {
        status = timed(&ms, b, b->stream, NULL, error);
        if (!status && vdt_session_stream(b->stream)->idle) best = fmin(best, ms);
        if (i > 3 && isinf(best)) break;
    }
    if (isfinite(best)) b->idle_ms = best;
    return status;
}

static int compare(const void *a, const void *b) {
    const double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

double bench_gflops(const vdt_stats *stats, double ms) {
    return 2.0 * (double)(stats->macs - stats->macs_unread) / ms * 1e-6;
}

static void put_number(struct json_out *json, const char *key, double value) {
    json_key(json, key);
    json_number(json, value, 6);
}

static void put_count(struct json_out *json, const char *key, uint64_t value) {
    json_key(json, key);
    json_integer(json, value);
}

static double rate_kept(const struct bench *b) {
    return bench_gflops(&b->step_stats, b->step_ms[0]) / bench_gflops(&b->dense_stats, b->dense_ms);
}

static void print_json(const struct bench *b, const char *name) {
    const vdt_stream_info *info = vdt_session_stream(b->stream);
    const bool eventful = b->settings->macs_eventful;
    struct json_out json;
    json_begin(&json, stdout);
    json_open(&json, '{');
    json_key(&json, "arch");
    json_text(&json, name);
    json_key(&json, "precision");
    json_text(&json, vdt_precision_name(vdt_model_info_get(b->model)->precision));
    put_count(&json, "batch", 1);
    put_number(&json, "moving", b->settings->moving);
    json_key(&json, "macs");
    json_open(&json, '{');
    put_count(&json, "dense", eventful ? info->macs_eventful_dense : b->dense_stats.macs);
    put_count(&json, "done", eventful ? b->macs_eventful : b->step_stats.macs);
    json_close(&json, '}');
    json_key(&json, "ms");
    json_open(&json, '{');
    put_number(&json, "p50", b->step_ms[b->steps / 2]);
    put_number(&json, "min", b->step_ms[0]);
    put_number(&json, "dense", b->dense_ms);
    put_number(&json, "first", b->first_ms);
    put_number(&json, "idle", b->idle_ms);
    json_close(&json, '}');
    put_number(&json, "gflops", bench_gflops(&b->step_stats, b->step_ms[0]));
    put_number(&json, "peak_gflops", b->peak_gflops);
    put_number(&json, "efficiency", bench_gflops(&b->step_stats, b->step_ms[0]) / b->peak_gflops);
    put_number(&json, "speedup", b->dense_ms / b->step_ms[0]);
    put_number(&json, "rate_kept", rate_kept(b));
    put_number(&json, "afresh", (double)b->afresh / (double)b->steps);
    put_count(&json, "state_bytes", info->state_bytes);
    json_key(&json, "stages");
    json_open(&json, '{');
    put_number(&json, "decide", b->step_stats.decide_ms);
    put_number(&json, "embed", b->step_stats.embed_ms);
    put_number(&json, "blocks", b->step_stats.blocks_ms);
    put_number(&json, "head", b->step_stats.head_ms);
    json_close(&json, '}');
    json_close(&json, '}');
    json_end_line(&json);
}

static void print_text(const struct bench *b, const vdt_context *context, const char *name) {
    const vdt_stats *s = &b->step_stats;
    printf("%s, %s, stream, %u threads, %s\n", name,
           vdt_precision_name(vdt_model_info_get(b->model)->precision),
           vdt_context_threads(context), vdt_context_cpu(context));
    printf("    step         %.2f ms at best, %.2f ms median of %zu; the first %.1f ms\n",
           b->step_ms[0], b->step_ms[b->steps / 2], b->steps, b->first_ms);
    printf("    dense        %.2f ms: a step is %.2f times faster\n", b->dense_ms,
           b->dense_ms / b->step_ms[0]);
    if (isfinite(b->idle_ms))
        printf("    unchanged    %.3f ms, %.2f %% of dense\n", b->idle_ms,
               100.0 * b->idle_ms / b->dense_ms);
    printf("    frames       %.4g %% of the patches change\n", 100.0 * b->settings->moving);
    printf("    operations   %.2f of %.2f GMAC, at %.1f %% of the dense rate\n",
           (double)s->macs * 1e-9, (double)b->dense_stats.macs * 1e-9, 100.0 * rate_kept(b));
    printf("    state        %.1f MB\n", (double)vdt_session_stream(b->stream)->state_bytes * 1e-6);
    printf("    stages       decide %.2f ms, embed %.2f, blocks %.2f, head %.2f\n", s->decide_ms,
           s->embed_ms, s->blocks_ms, s->head_ms);
}

static int run(struct bench *b, vdt_context *context, vdt_error *error) {
    vdt_peak peak = {0};
    int status = open_sessions(b, error);
    if (!status) status = make_texture(b);
    if (!status)
        status = vdt_gemm_peak(&peak, context, vdt_model_info_get(b->model)->precision, error);
    if (!status) b->peak_gflops = peak.gflops;
    if (!status) status = measure(b, error);
    if (!status) status = measure_idle(b, error);
    if (!status) qsort(b->step_ms, b->steps, sizeof *b->step_ms, compare);
    return status;
}

int bench_stream_run(const struct settings *settings) {
    vdt_context *context = NULL;
    vdt_error error = {0};
    struct bench b = {.settings = settings};
    if (settings->stream.update == VDT_UPDATE_OFF) {
        fprintf(stderr, "vidette: bench --stream: expected --update top:R, fraction:F, threshold:H "
                        "or all\n");
        return EXIT_USAGE;
    }
    int status = open_model(&context, &b.model, settings, NULL, NULL);
    if (!status) {
        const char *name = settings->arch ? settings->arch : vdt_model_info_get(b.model)->name;
        status = run(&b, context, &error);
        if (status)
            fprintf(stderr, "vidette: %s\n", error.status ? error.message : "out of memory");
        else if (settings->json)
            print_json(&b, name);
        else
            print_text(&b, context, name);
    }
    free(b.texture);
    free(b.pixels);
    vdt_session_close(&b.stream);
    vdt_session_close(&b.dense);
    vdt_model_close(&b.model);
    vdt_context_close(&context);
    return status ? EXIT_FAILED : EXIT_DONE;
}
