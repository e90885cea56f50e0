#include "pipeline.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "interrupt.h"

/* ---- model --------------------------------------------------------------------------------- */

// The model that comes with Vidette: beside the installed program, or in the tree whose build/ folder
// holds it.
static const char *installed_model(char *path, size_t path_bytes) {
    static const char *const places[] = {"/../share/vidette/fight-videomae-tiny",
                                         "/../../share/fight-videomae-tiny"};
    char program[PATH_MAX];
    const ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    if (n <= 0) return NULL;
    program[n] = '\0';
    *strrchr(program, '/') = '\0';
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        const int length = snprintf(path, path_bytes, "%s%s", program, places[i]);
        if (length > 0 && (size_t)length < path_bytes && access(path, R_OK) == 0) return path;
    }
    return NULL;
}

static int complain(const vdt_error *error) {
    fprintf(stderr, "vidette: %s\n", error->message);
    return -1;
}

// A precision that was asked for and that the CPU lacks is not passed over in silence.
static void tell_precision(const vdt_model *model, const struct settings *settings) {
    const vdt_precision runs = vdt_model_info_get(model)->precision;
    if (settings->precision == VDT_PRECISION_AUTO || settings->precision == runs || settings->quiet)
        return;
    fprintf(stderr, "vidette: this CPU has no %s arithmetic: running in %s\n",
            vdt_precision_name(settings->precision), vdt_precision_name(runs));
}

int open_model(vdt_context **context, vdt_model **model, const struct settings *settings,
               vdt_progress_fn progress, void *user) {
    vdt_error error = {0};
    vdt_context_options context_options;
    vdt_model_options model_options;
    vdt_context_options_init(&context_options);
    vdt_model_options_init(&model_options);
    context_options.threads = settings->threads;
    context_options.cpu = settings->cpu;
    context_options.progress = progress;
    context_options.progress_user = user;
    model_options.precision = settings->precision;
    model_options.size = settings->size;
    if (vdt_context_open(context, &context_options, &error)) return complain(&error);
    if (settings->arch) {
        if (vdt_model_open_arch(model, *context, settings->arch, &model_options, &error))
            return complain(&error);
        tell_precision(*model, settings);
        return 0;
    }
    char path[PATH_MAX];
    const char *directory = settings->model ? settings->model : installed_model(path, sizeof path);
    if (!directory) {
        fprintf(stderr, "vidette: no model: expected -m MODEL, since the one that comes with "
                        "Vidette is not installed\n");
        return -1;
    }
    return vdt_model_open(model, *context, directory, &model_options, &error) ? complain(&error)
                                                                              : 0;
}

/* ---- pipeline ------------------------------------------------------------------------------ */

struct pipeline {
    const struct settings *settings;
    const struct consumer *consumer;
    vdt_context *context;
    vdt_model *model;
    vdt_session *session;
    vdt_reader *reader;
    const vdt_session_shape_info *shape;
    struct reduction reduction; // typed, or recommended by the model's directory
    struct output output;
    struct progress progress;
    size_t first_input; // those before are done
    size_t inputs_done;
    size_t batch;             // clips a call
    vdt_item *items;          // (batch)
    vdt_clip *clips;          // (batch)
    float *logits, *features; // (batch, ...)
    // views of one clip, gathered until the last
    float *sum_logits, *sum_features;
    uint64_t *frames;
    double *times;
    struct result gathered;
    bool failed; // an input did
};

// Called for every block: cancels after a signal, moves the bar on.
static int on_progress(void *user, const char *what, size_t done, size_t total) {
    (void)what;
    struct pipeline *p = user;
    progress_update(&p->progress,
                    (double)p->inputs_done + (total > 0 ? (double)done / (double)total : 0.0));
    return interrupt_signal() != 0;
}

// Tokens of a clip as far as packing cares: by a threshold about a third is kept.
static size_t typical_tokens(const struct reduction *reduction, const vdt_model_info *info) {
    const vdt_rlt_mode mode = reduction->rlt.mode;
    size_t tokens = info->tokens;
    if (mode == VDT_RLT_THRESHOLD && info->frames > 1) tokens /= 3;
    if (mode > VDT_RLT_THRESHOLD) tokens = reduction->rlt.keep;
    return tokens > 0 ? tokens : 1;
}

static int open_session(struct pipeline *p, vdt_error *error) {
    const struct settings *settings = p->settings;
    const vdt_model_info *info = vdt_model_info_get(p->model);
    vdt_session_options options;
    vdt_session_options_init(&options);
    enum { TOKENS_A_CALL = 1024, MOST_CLIPS = 16 }; // enough rows to use the weights well
    const size_t views = (size_t)settings->views_time * settings->views_space;
    size_t batch = settings->batch;
    if (reduction_or_recommended(&p->reduction, &settings->reduction, p->model)) return VDT_END;
    if (batch == 0) batch = TOKENS_A_CALL / typical_tokens(&p->reduction, info);
    if (batch > MOST_CLIPS && settings->batch == 0) batch = MOST_CLIPS;
    if (batch > settings->n_inputs * views && settings->sampling != VDT_SAMPLE_SLIDE)
        batch = settings->n_inputs * views;
    p->batch = batch > 0 ? batch : 1;
    options.clips = (uint32_t)p->batch;
    options.frames = settings->frames;
    options.height = options.width = settings->arch ? 0 : settings->size;
    options.pool = p->consumer->pool;
    options.layer = settings->layer;
    reduction_apply(&p->reduction, &options);
    const vdt_status status = vdt_session_open(&p->session, p->model, &options, error);
    if (status == VDT_OK) p->shape = vdt_session_shape(p->session);
    return status;
}

static int open_reader(struct pipeline *p, vdt_error *error) {
    const struct settings *settings = p->settings;
    vdt_reader_options options;
    vdt_reader_options_init(&options);
    options.sampling = settings->sampling;
    options.rate = settings->rate;
    options.views_time = settings->views_time;
    options.views_space = settings->views_space;
    options.seconds = settings->seconds;
    options.ahead = (uint32_t)(2 * p->batch);
    return vdt_reader_open(&p->reader, p->session, settings->inputs + p->first_input,
                           settings->n_inputs - p->first_input, &options, error);
}

static int allocate(struct pipeline *p) {
    const size_t views = (size_t)p->settings->views_time * p->settings->views_space;
    const size_t logits = p->consumer->logits ? p->shape->logits : 0, features = p->shape->features;
    p->items = calloc(p->batch, sizeof *p->items);
    p->clips = calloc(p->batch, sizeof *p->clips);
    p->logits = calloc(p->batch * logits + 1, sizeof *p->logits);
    p->features = calloc(p->batch * features + 1, sizeof *p->features);
    p->sum_logits = calloc(logits + 1, sizeof *p->sum_logits);
    p->sum_features = calloc(features + 1, sizeof *p->sum_features);
    p->frames = calloc(views * p->shape->frames, sizeof *p->frames);
    p->times = calloc(views * p->shape->frames, sizeof *p->times);
    if (p->items && p->clips && p->logits && p->features && p->sum_logits && p->sum_features &&
        p->frames && p->times) {
        return 0;
    }
    fprintf(stderr, "vidette: out of memory\n");
    return -1;
}

// FNV-1a over everything that decides what the output holds.
uint64_t command_identity(const struct settings *s, const char *command) {
    uint64_t hash = 0xcbf29ce484222325u;
    char numbers[288];
    const int n = snprintf(
        numbers, sizeof numbers, "%d %u %u %g %u %u %u %d %d %u %d %d %d %.17g %u %d %.17g",
        (int)s->sampling, s->views_time, s->views_space, s->seconds, s->rate, s->frames, s->size,
        (int)s->pool, s->layer, s->top, s->logits, (int)s->precision, s->macs_eventful,
        s->stream.floor, s->stream.max_wait, (int)s->stream.still, s->stream.still_tolerance);
    const char *const *reduction = s->reduction.texts;
    const char *texts[] = {command,
                           s->model ? s->model : "",
                           s->arch ? s->arch : "",
                           n > 0 ? numbers : "",
                           reduction[0] ? reduction[0] : "",
                           reduction[1] ? reduction[1] : "",
                           reduction[2] ? reduction[2] : "",
                           reduction[3] ? reduction[3] : "",
                           reduction[4] ? reduction[4] : "",
                           s->stream_texts[0] ? s->stream_texts[0] : "",
                           s->stream_texts[1] ? s->stream_texts[1] : "",
                           s->root ? s->root : "",
                           s->part ? s->part : "",
                           s->sweeps[0] ? s->sweeps[0] : "",
                           s->sweeps[1] ? s->sweeps[1] : ""};
    for (size_t i = 0; i < sizeof texts / sizeof *texts + s->n_inputs; i++) {
        const size_t fixed = sizeof texts / sizeof *texts;
        const char *text = i < fixed ? texts[i] : s->inputs[i - fixed];
        for (const char *at = text;; at++) {
            hash = (hash ^ (unsigned char)*at) * 0x100000001b3u;
            if (!*at) break;
        }
    }
    return hash;
}

static void describe(const struct pipeline *p) {
    const vdt_model_info *info = vdt_model_info_get(p->model);
    fprintf(stderr, "vidette: %s (%s), %u frames of %u x %u, %u tokens, %.2f GMAC a clip\n",
            info->name, info->family, p->shape->frames, p->shape->height, p->shape->width,
            p->shape->tokens, (double)info->macs * 1e-9);
    fprintf(
        stderr,
        "vidette: %s on %u threads, %s kernels; weights %.1f MB, session %.1f MB for %zu clips\n",
        vdt_precision_name(info->precision), vdt_context_threads(p->context),
        vdt_context_cpu(p->context), (double)info->weight_bytes * 1e-6,
        (double)p->shape->bytes * 1e-6, p->batch);
    if (reduction_is_on(&p->reduction)) {
        fprintf(stderr, "vidette: at most %u tokens, %u after the last block, %.2f GMAC a clip\n",
                p->shape->tokens_kept, p->shape->tokens_final, (double)p->shape->macs * 1e-9);
    }
}

/* ---- results ------------------------------------------------------------------------------- */

static void add(float *sum, const float *values, size_t n, bool first) {
    for (size_t i = 0; i < n; i++) sum[i] = (first ? 0.0f : sum[i]) + values[i];
}

static void scale(float *values, size_t n, float factor) {
    for (size_t i = 0; i < n; i++) values[i] *= factor;
}

// Adds an item's view to the clip it belongs to.
static void gather(struct pipeline *p, const vdt_item *item, const float *logits,
                   const float *features, const vdt_stats *stats, const vdt_tokens *tokens,
                   size_t packed) {
    struct result *result = &p->gathered;
    const bool first = item->view == 0;
    if (first)
        *result = (struct result){.input = p->settings->inputs[p->first_input + item->input],
                                  .clip = item->index};
    memcpy(p->frames + result->n_frames, item->frames, p->shape->frames * sizeof *p->frames);
    memcpy(p->times + result->n_frames, item->times, p->shape->frames * sizeof *p->times);
    result->n_frames += p->shape->frames;
    result->frames = p->frames;
    result->times = p->times;
    result->lost = item->lost;
    result->decode_ms += item->decode_ms;
    result->preprocess_ms += item->preprocess_ms;
    result->decide_ms += stats->decide_ms / (double)packed;
    result->embed_ms += stats->embed_ms / (double)packed;
    result->blocks_ms += stats->blocks_ms / (double)packed;
    result->head_ms += stats->head_ms / (double)packed;
    token_counts_add(&result->counts, tokens);
    if (logits) add(p->sum_logits, logits, p->shape->logits, first);
    if (features) add(p->sum_features, features, p->shape->features, first);
    result->logits = logits ? p->sum_logits : NULL;
    result->features = features ? p->sum_features : NULL;
}

static int deliver(struct pipeline *p, const vdt_item *item) {
    struct result *result = &p->gathered;
    const float share = 1.0f / (float)item->views;
    if (item->views > 1 && result->logits) scale(result->logits, p->shape->logits, share);
    if (item->views > 1 && result->features) scale(result->features, p->shape->features, share);
    progress_clear(&p->progress);
    if (result->lost > 0 && !p->settings->quiet && item->index == 0) {
        fprintf(stderr, "vidette: %s: %llu frames are missing or broken, the rest is used\n",
                result->input, (unsigned long long)result->lost);
    }
    return p->consumer->result ? p->consumer->result(p->consumer->user, result, &p->output) : 0;
}

static int report_failure(struct pipeline *p, const vdt_item *item) {
    p->failed = true;
    progress_clear(&p->progress);
    fprintf(stderr, "vidette: %s\n", item->error.message);
    const char *input = p->settings->inputs[p->first_input + item->input];
    return p->consumer->failure ? p->consumer->failure(p->consumer->user, input, &p->output) : 0;
}

// Results of all inputs before this one are complete.
static int finish_inputs(struct pipeline *p, size_t input) {
    if (p->first_input + input <= p->inputs_done) return 0;
    p->inputs_done = p->first_input + input;
    return output_commit(&p->output, p->inputs_done, p->failed);
}

/* ---- the loop ------------------------------------------------------------------------------ */

// At least one item, then whatever is ready, at most a batch.
static vdt_status collect(struct pipeline *p, size_t *n, vdt_error *error) {
    *n = 0;
    do {
        const vdt_status status = vdt_reader_next(p->reader, &p->items[*n], error);
        if (status != VDT_OK) return *n > 0 && status == VDT_END ? VDT_OK : status;
        ++*n;
    } while (*n < p->batch && vdt_reader_ready(p->reader));
    return VDT_OK;
}

static int process(struct pipeline *p, size_t n, vdt_error *error) {
    size_t packed = 0;
    for (size_t i = 0; i < n; i++) {
        if (!p->items[i].error.status) p->clips[packed++] = p->items[i].clip;
    }
    const bool logits = p->consumer->logits && p->shape->logits > 0;
    const vdt_output output = {.logits = logits ? p->logits : NULL,
                               .features = p->shape->features > 0 ? p->features : NULL};
    vdt_stats stats = {0};
    if (packed > 0 && vdt_session_run(p->session, p->clips, packed, &output, &stats, error))
        return -1;
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        const vdt_item *item = &p->items[i];
        int status = finish_inputs(p, item->input);
        if (!status && item->error.status) {
            status = report_failure(p, item);
        } else if (!status) {
            vdt_tokens tokens;
            vdt_session_tokens(&tokens, p->session, at, NULL);
            gather(p, item, output.logits ? p->logits + at * p->shape->logits : NULL,
                   output.features ? p->features + at * p->shape->features : NULL, &stats, &tokens,
                   packed);
            at++;
            if (p->consumer->view)
                status = p->consumer->view(p->consumer->user, &p->gathered, item, &tokens);
            if (!status && item->view + 1 == item->views) status = deliver(p, item);
        }
        if (status) return -1;
    }
    return 0;
}

static int run_items(struct pipeline *p) {
    vdt_error error = {0};
    for (;;) {
        size_t n;
        const vdt_status status = collect(p, &n, &error);
        if (status == VDT_END) return finish_inputs(p, p->settings->n_inputs - p->first_input);
        if (status != VDT_OK || process(p, n, &error)) break;
        for (size_t i = 0; i < n; i++) vdt_reader_give(p->reader, &p->items[i]);
        progress_update(&p->progress, (double)p->inputs_done);
    }
    progress_clear(&p->progress);
    if (error.status && error.status != VDT_ERROR_CANCELLED) complain(&error);
    return -1;
}

static int open_all(struct pipeline *p, const char *command) {
    vdt_error error = {0};
    const struct settings *settings = p->settings;
    if (open_model(&p->context, &p->model, settings, on_progress, p)) return -1;
    const vdt_status opened = open_session(p, &error);
    if (opened) return opened == VDT_END ? -1 : complain(&error);
    if (allocate(p)) return -1;
    if (settings->verbose) describe(p);
    const uint64_t identity = command_identity(settings, command);
    if (output_open(&p->output, settings->output, settings->resume, identity, settings->n_inputs))
        return -1;
    p->first_input = p->inputs_done = p->output.inputs_done;
    p->failed = p->output.failed;
    if (p->first_input > 0 && !settings->quiet) {
        fprintf(stderr, "vidette: %zu of %zu inputs were done before\n", p->first_input,
                settings->n_inputs);
    }
    if (p->consumer->begin && p->consumer->begin(p->consumer->user, p->model, p->shape, &p->output))
        return -1;
    if (open_reader(p, &error)) return complain(&error);
    interrupt_watch(p->reader);
    return 0;
}

static void close_all(struct pipeline *p) {
    interrupt_watch(NULL);
    vdt_reader_close(&p->reader);
    vdt_session_close(&p->session);
    vdt_model_close(&p->model);
    vdt_context_close(&p->context);
    free(p->items);
    free(p->clips);
    free(p->logits);
    free(p->features);
    free(p->sum_logits);
    free(p->sum_features);
    free(p->frames);
    free(p->times);
}

int pipeline_run(const struct settings *settings, const char *command,
                 const struct consumer *consumer) {
    if (settings->n_inputs == 0) {
        fprintf(stderr, "vidette: %s: expected at least one INPUT (vidette %s --help)\n", command,
                command);
        return EXIT_USAGE;
    }
    if (interrupt_install()) {
        fprintf(stderr, "vidette: no thread for signals\n");
        return EXIT_FAILED;
    }
    struct pipeline p = {.settings = settings, .consumer = consumer};
    progress_start(&p.progress, !settings->no_progress && !settings->quiet, settings->n_inputs, 0);
    int status = open_all(&p, command);
    if (!status) status = run_items(&p);
    if (!status && consumer->end) status = consumer->end(consumer->user, &p.output);
    progress_clear(&p.progress);
    if (output_close(&p.output, status == 0)) status = -1;
    close_all(&p);
    if (interrupt_signal()) return 128 + interrupt_signal();
    return status || p.failed ? EXIT_FAILED : EXIT_DONE;
}
