// vidette bench: speed by stage, against the matrix product peak measured in the same run. With reduction,
// runs with and without it alternate, and the rate kept says how many of the saved operations became saved
// time: (MACs done / time) / (dense MACs / dense time).
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench_stream.h"
#include "commands.h"
#include "json_out.h"
#include "pipeline.h"

enum { LEAST_RUNS = 5, MOST_RUNS = 1000 };

static const double RUN_SECONDS = 5.0; // at least, and at least LEAST_RUNS runs

// The runs of one session.
struct timing {
    vdt_session *session;
    double ms[MOST_RUNS]; // (runs), ascending at the end
    size_t runs;
    vdt_stats fastest; // of the fastest run
};

struct measurement {
    struct timing run, dense; // dense: without the reduction, where there is any
    struct token_counts counts;
    bool reduced;
    vdt_peak peak;
    vdt_precision precision;
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

static int time_run(struct timing *timing, const vdt_clip *clips, size_t n,
                    const vdt_output *output, vdt_error *error) {
    vdt_stats stats;
    const double start = progress_now_ms();
    const int status = vdt_session_run(timing->session, clips, n, output, &stats, error);
    const double ms = progress_now_ms() - start;
    bool fastest = true;
    for (size_t i = 0; i < timing->runs; i++) fastest = fastest && ms < timing->ms[i];
    if (fastest) timing->fastest = stats;
    timing->ms[timing->runs++] = ms;
    return status;
}

// One warm-up run each, then runs in turn: `repeats`, or until both limits are met.
static int time_runs(struct measurement *m, const vdt_clip *clips, size_t n, size_t repeats,
                     vdt_error *error) {
    const vdt_session_shape_info *shape = vdt_session_shape(m->run.session);
    float *logits = calloc(n * shape->logits + 1, sizeof *logits);
    if (!logits) return -1;
    const vdt_output output = {.logits = shape->logits > 0 ? logits : NULL};
    int status = vdt_session_run(m->run.session, clips, n, &output, NULL, error);
    for (size_t b = 0; !status && b < n; b++) {
        vdt_tokens tokens;
        vdt_session_tokens(&tokens, m->run.session, b, NULL);
        token_counts_add(&m->counts, &tokens);
    }
    if (!status && m->reduced)
        status = vdt_session_run(m->dense.session, clips, n, &output, NULL, error);
    const double start = progress_now_ms();
    while (!status && m->run.runs < MOST_RUNS &&
           (repeats > 0
                ? m->run.runs < repeats
                : m->run.runs < LEAST_RUNS || progress_now_ms() - start < RUN_SECONDS * 1e3)) {
        status = time_run(&m->run, clips, n, &output, error);
        if (!status && m->reduced) status = time_run(&m->dense, clips, n, &output, error);
    }
    free(logits);
    if (status) return status;
    qsort(m->run.ms, m->run.runs, sizeof *m->run.ms, compare);
    qsort(m->dense.ms, m->dense.runs, sizeof *m->dense.ms, compare);
    return 0;
}

static double speedup(const struct measurement *m) {
    return m->dense.ms[0] / m->run.ms[0];
}

static double gflops(const struct timing *timing) {
    return bench_gflops(&timing->fastest, timing->ms[0]);
}

static double rate_kept(const struct measurement *m) {
    return gflops(&m->run) / gflops(&m->dense);
}

static void put_number(struct json_out *json, const char *key, double value) {
    json_key(json, key);
    json_number(json, value, 6);
}

static void print_ms(struct json_out *json, const char *key, const struct timing *timing) {
    json_key(json, key);
    json_open(json, '{');
    put_number(json, "p50", timing->ms[timing->runs / 2]);
    put_number(json, "min", timing->ms[0]);
    json_close(json, '}');
}

static void print_json(const struct measurement *m, const char *name, size_t batch, bool eventful) {
    struct json_out json;
    json_begin(&json, stdout);
    json_open(&json, '{');
    json_key(&json, "arch");
    json_text(&json, name);
    json_key(&json, "precision");
    json_text(&json, vdt_precision_name(m->precision));
    json_key(&json, "batch");
    json_integer(&json, batch);
    token_counts_print(&json, &m->counts, eventful);
    print_ms(&json, "ms", &m->run);
    if (m->reduced) {
        print_ms(&json, "ms_dense", &m->dense);
        put_number(&json, "speedup", speedup(m));
        put_number(&json, "rate_kept", rate_kept(m));
    }
    json_key(&json, "macs_unread");
    json_integer(&json, m->run.fastest.macs_unread);
    put_number(&json, "gflops", gflops(&m->run));
    put_number(&json, "peak_gflops", m->peak.gflops);
    json_key(&json, "peaks_gflops");
    json_open(&json, '{');
    put_number(&json, "own", m->peak.own);
    put_number(&json, "onednn", m->peak.onednn);
    json_close(&json, '}');
    put_number(&json, "efficiency", gflops(&m->run) / m->peak.gflops);
    json_key(&json, "stages");
    json_open(&json, '{');
    put_number(&json, "decide", m->run.fastest.decide_ms);
    put_number(&json, "embed", m->run.fastest.embed_ms);
    put_number(&json, "blocks", m->run.fastest.blocks_ms);
    put_number(&json, "merge", m->run.fastest.merge_ms);
    put_number(&json, "head", m->run.fastest.head_ms);
    json_close(&json, '}');
    json_close(&json, '}');
    json_end_line(&json);
}

static void print_text(const struct measurement *m, const vdt_context *context, const char *name,
                       size_t batch) {
    const vdt_stats *s = &m->run.fastest;
    printf("%s, %s, %zu clip%s, %u threads, %s\n", name, vdt_precision_name(m->precision), batch,
           batch == 1 ? "" : "s", vdt_context_threads(context), vdt_context_cpu(context));
    printf("    time         %.1f ms at best, %.1f ms median of %zu runs\n", m->run.ms[0],
           m->run.ms[m->run.runs / 2], m->run.runs);
    printf("    operations   %.2f GMAC", (double)s->macs * 1e-9);
    if (s->macs_unread > 0)
        printf(", %.2f of them left out: nothing reads their rows", (double)s->macs_unread * 1e-9);
    printf("\n");
    printf("    rate         %.1f GFLOP/s, %.1f %% of the matrix product peak of %.1f\n",
           gflops(&m->run), 100.0 * gflops(&m->run) / m->peak.gflops, m->peak.gflops);
    printf("    peak         own products %.1f, oneDNN's %.1f GFLOP/s\n", m->peak.own,
           m->peak.onednn);
    printf("    stages       decide %.2f ms, embed %.1f, blocks %.1f (merging %.2f), head %.1f\n",
           s->decide_ms, s->embed_ms, s->blocks_ms, s->merge_ms, s->head_ms);
    if (!m->reduced) return;
    printf("    tokens       %llu of %llu, %llu at the end\n", (unsigned long long)m->counts.kept,
           (unsigned long long)m->counts.total,
           (unsigned long long)m->counts.layers[m->counts.n_layers - 1]);
    printf("    dense        %.1f ms, %.2f GMAC: %.2f times the time, %.1f %% of the rate kept\n",
           m->dense.ms[0], (double)m->counts.macs_dense * 1e-9, speedup(m), 100.0 * rate_kept(m));
}

static int open_sessions(struct measurement *m, const struct settings *settings, vdt_model *model,
                         size_t batch, vdt_error *error) {
    vdt_session_options options;
    vdt_session_options_init(&options);
    options.clips = (uint32_t)batch;
    options.height = options.width = settings->arch ? 0 : settings->size;
    m->reduced = reduction_is_on(&settings->reduction);
    int status = m->reduced ? vdt_session_open(&m->dense.session, model, &options, error) : 0;
    reduction_apply(&settings->reduction, &options);
    if (!status) status = vdt_session_open(&m->run.session, model, &options, error);
    return status;
}

// Clips of synthetic pixels in sessions of their own.
static int time_model(struct measurement *m, const struct settings *settings, vdt_model *model,
                      size_t batch, vdt_error *error) {
    int status = open_sessions(m, settings, model, batch, error);
    if (status) return status;
    const vdt_session_shape_info *shape = vdt_session_shape(m->run.session);
    const size_t row = 3 * (size_t)shape->width, frame = row * shape->height;
    vdt_clip *clips = calloc(batch, sizeof *clips);
    uint8_t *pixels = make_pixels(batch * shape->frames * frame);
    status = clips && pixels ? 0 : -1;
    for (size_t i = 0; !status && i < batch; i++) {
        clips[i] = (vdt_clip){pixels + i * shape->frames * frame, row, frame};
    }
    if (!status) status = time_runs(m, clips, batch, settings->repeats, error);
    free(clips);
    free(pixels);
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
    const bool update = settings->stream_texts[0] != NULL;
    if (settings->bench_stream) return bench_stream_run(settings);
    if (update || settings->moving < 1.0) {
        fprintf(stderr, "vidette: bench --%s: expected --stream beside it\n",
                update ? "update" : "moving");
        return EXIT_USAGE;
    }
    vdt_context *context = NULL;
    vdt_model *model = NULL;
    vdt_error error = {0};
    static struct measurement m; // large
    const size_t batch = settings->batch > 0 ? settings->batch : 1;
    int status = open_model(&context, &model, settings, NULL, NULL);
    if (!status) {
        const vdt_model_info *info = vdt_model_info_get(model);
        const char *name = settings->arch ? settings->arch : info->name;
        status = measure(&m, settings, context, model, batch, &error);
        if (status)
            fprintf(stderr, "vidette: %s\n", error.status ? error.message : "out of memory");
        else if (settings->json)
            print_json(&m, name, batch, settings->macs_eventful);
        else
            print_text(&m, context, name, batch);
    }
    vdt_session_close(&m.run.session);
    vdt_session_close(&m.dense.session);
    vdt_model_close(&model);
    vdt_context_close(&context);
    return status ? EXIT_FAILED : EXIT_DONE;
}
