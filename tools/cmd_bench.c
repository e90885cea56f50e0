// vidette bench: speed by stage, against the matrix product peak measured in the same run.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench_stream.h"
#include "commands.h"
#include "json_out.h"
#include "pipeline.h"

enum { LEAST_RUNS = 5, MOST_RUNS = 1000 };

static const double RUN_SECONDS = 5.0; // at least, and at least LEAST_RUNS runs

struct measurement {
    double *ms; // (runs), ascending
    size_t runs;
    vdt_stats fastest; // of the fastest run
    vdt_peak peak;
    vdt_precision precision;
    uint64_t macs_dense;
};

static int compare(const void *a, const void *b) {
    const double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

// Bytes that look like nothing in particular, the same every time.
static uint8_t *make_pixels(size_t bytes) {
    uint8_t *pixels = malloc(bytes);
    uint32_t state = 1;
    for (size_t i = 0; pixels && i < bytes; i++) {
        state = state * 1664525u + 1013904223u;
        pixels[i] = (uint8_t)(state >> 24);
    }
    return pixels;
}

// One warm-up run, then runs until both limits are met.
static int time_runs(struct measurement *m, vdt_session *session, const vdt_clip *clips, size_t n,
                     vdt_error *error) {
    const vdt_session_shape_info *shape = vdt_session_shape(session);
    float *logits = calloc(n * shape->logits + 1, sizeof *logits);
    m->ms = calloc(MOST_RUNS, sizeof *m->ms);
    int status = logits && m->ms ? 0 : -1;
    const vdt_output output = {.logits = shape->logits > 0 ? logits : NULL};
    double total = 0.0, best = INFINITY;
    if (!status) status = vdt_session_run(session, clips, n, &output, NULL, error);
    while (!status && m->runs < MOST_RUNS && (m->runs < LEAST_RUNS || total < RUN_SECONDS * 1e3)) {
        vdt_stats stats;
        const double start = progress_now_ms();
        status = vdt_session_run(session, clips, n, &output, &stats, error);
        const double ms = progress_now_ms() - start;
        m->ms[m->runs++] = ms;
        total += ms;
        if (ms < best) m->fastest = stats;
        best = fmin(best, ms);
    }
    free(logits);
    if (!status) qsort(m->ms, m->runs, sizeof *m->ms, compare);
    return status;
}

static double gflops(const struct measurement *m) {
    return 2.0 * (double)m->fastest.macs / m->ms[0] * 1e-6;
}

static void put_number(struct json_out *json, const char *key, double value) {
    json_key(json, key);
    json_number(json, value, 6);
}

static void print_json(const struct measurement *m, const char *name, size_t batch) {
    struct json_out json;
    json_begin(&json, stdout);
    json_open(&json, '{');
    json_key(&json, "arch");
    json_text(&json, name);
    json_key(&json, "precision");
    json_text(&json, vdt_precision_name(m->precision));
    json_key(&json, "batch");
    json_integer(&json, batch);
    json_key(&json, "macs");
    json_open(&json, '{');
    json_key(&json, "dense");
    json_integer(&json, m->macs_dense);
    json_key(&json, "done");
    json_integer(&json, m->fastest.macs);
    json_close(&json, '}');
    json_key(&json, "ms");
    json_open(&json, '{');
    put_number(&json, "p50", m->ms[m->runs / 2]);
    put_number(&json, "min", m->ms[0]);
    json_close(&json, '}');
    put_number(&json, "gflops", gflops(m));
    put_number(&json, "peak_gflops", m->peak.gflops);
    put_number(&json, "efficiency", gflops(m) / m->peak.gflops);
    json_key(&json, "stages");
    json_open(&json, '{');
    put_number(&json, "embed", m->fastest.embed_ms);
    put_number(&json, "blocks", m->fastest.blocks_ms);
    put_number(&json, "head", m->fastest.head_ms);
    json_close(&json, '}');
    json_close(&json, '}');
    json_end_line(&json);
}

static void print_text(const struct measurement *m, const vdt_context *context, const char *name,
                       size_t batch) {
    const vdt_stats *s = &m->fastest;
    printf("%s, %s, %zu clip%s, %u threads, %s\n", name, vdt_precision_name(m->precision), batch,
           batch == 1 ? "" : "s", vdt_context_threads(context), vdt_context_cpu(context));
    printf("    time         %.1f ms at best, %.1f ms median of %zu runs\n", m->ms[0],
           m->ms[m->runs / 2], m->runs);
    printf("    operations   %.2f GMAC\n", (double)s->macs * 1e-9);
    printf("    rate         %.1f GFLOP/s, %.1f %% of the matrix product peak of %.1f\n", gflops(m),
           100.0 * gflops(m) / m->peak.gflops, m->peak.gflops);
    printf("    peak         own products %.1f, oneDNN's %.1f GFLOP/s\n", m->peak.own,
           m->peak.onednn);
    printf("    stages       embed %.1f ms, blocks %.1f, head %.1f\n", s->embed_ms, s->blocks_ms,
           s->head_ms);
}

// Clips of synthetic pixels in a session of their own.
static int time_model(struct measurement *m, const struct settings *settings, vdt_model *model,
                      size_t batch, vdt_error *error) {
    vdt_session *session = NULL;
    vdt_session_options options;
    vdt_session_options_init(&options);
    options.clips = (uint32_t)batch;
    options.height = options.width = settings->arch ? 0 : settings->size;
    int status = vdt_session_open(&session, model, &options, error);
    if (status) return status;
    const vdt_session_shape_info *shape = vdt_session_shape(session);
    const size_t row = 3 * (size_t)shape->width, frame = row * shape->height;
    vdt_clip *clips = calloc(batch, sizeof *clips);
    uint8_t *pixels = make_pixels(batch * shape->frames * frame);
    status = clips && pixels ? 0 : -1;
    for (size_t i = 0; !status && i < batch; i++) {
        clips[i] = (vdt_clip){pixels + i * shape->frames * frame, row, frame};
    }
    if (!status) status = time_runs(m, session, clips, batch, error);
    free(clips);
    free(pixels);
    vdt_session_close(&session);
    return status;
}

// The peak is measured before and after, so that a machine that slows down meanwhile flatters
// nobody.
static int measure(struct measurement *m, const struct settings *settings, vdt_context *context,
                   vdt_model *model, size_t batch, vdt_error *error) {
    vdt_peak after = {0};
    m->precision = vdt_model_info_get(model)->precision;
    int status = vdt_gemm_peak(&m->peak, context, m->precision, error);
    if (!status) status = time_model(m, settings, model, batch, error);
    if (!status) status = vdt_gemm_peak(&after, context, m->precision, error);
    m->peak.gflops = fmax(m->peak.gflops, after.gflops);
    m->peak.own = fmax(m->peak.own, after.own);
    m->peak.onednn = fmax(m->peak.onednn, after.onednn);
    return status;
}

int bench_run(const struct settings *settings) {
    if (settings->bench_stream) return bench_stream_run(settings);
    vdt_context *context = NULL;
    vdt_model *model = NULL;
    vdt_error error = {0};
    struct measurement m = {0};
    const size_t batch = settings->batch > 0 ? settings->batch : 1;
    int status = open_model(&context, &model, settings, NULL, NULL);
    if (!status) {
        const vdt_model_info *info = vdt_model_info_get(model);
        const char *name = settings->arch ? settings->arch : info->name;
        m.macs_dense = info->macs * batch;
        status = measure(&m, settings, context, model, batch, &error);
        if (status)
            fprintf(stderr, "vidette: %s\n", error.status ? error.message : "out of memory");
        else if (settings->json)
            print_json(&m, name, batch);
        else
            print_text(&m, context, name, batch);
    }
    free(m.ms);
    vdt_model_close(&model);
    vdt_context_close(&context);
    return status ? EXIT_FAILED : EXIT_DONE;
}
