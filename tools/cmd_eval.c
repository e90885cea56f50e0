// vidette eval: accuracy beside cost over a labelled list, for every setting of a sweep, each with its
// controls: as many tokens drawn at random, with run lengths and without, and whole steps left out at about the same
// cost. The settings are of clips (rlt, tome) or, for models of snippets, of streams (update, attention).
//
// Every clip is read once, and alone, so that nothing decodes while settings are timed. With -o FILE.csv the table
// goes there, its picture to FILE.svg, and what each clip gave to FILE.clips.csv, which an interrupted run with --resume
// goes on from.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "eval_list.h"
#include "eval_rows.h"
#include "eval_stream.h"
#include "eval_table.h"
#include "interrupt.h"
#include "pipeline.h"
#include "settings_stream.h"

enum { MOST_STEPS = 1024 };

struct eval {
    const struct settings *settings;
    vdt_context *context;
    vdt_model *model;
    vdt_reader *reader;
    vdt_session *dense;
    vdt_session **sessions; // (table.n) of each row; some rows share one
    const vdt_session_shape_info *shape;
    struct eval_list list;
    struct eval_table table;
    struct output clips; // FILE.clips.csv
    struct progress progress;
    uint64_t step_macs[MOST_STEPS + 1]; // of i steps in time, all their tokens, nothing merged
    uint64_t snippet_macs;              // of one of a stream's steps, all its tokens
    size_t steps, step_tokens, prefix;  // T / s; tokens of a step, before the first step
    float *logits, *dense_logits;
    size_t inputs_done;
    bool failed;
};

static int complain(const vdt_error *error) {
    fprintf(stderr, "vidette: %s\n", error->message);
    return -1;
}

/* ---- sessions ------------------------------------------------------------------------------ */

static bool same_tome(const struct reduction *a, const struct reduction *b) {
    return a->tome.mode == b->tome.mode && a->tome.r == b->tome.r &&
           a->tome.inflection == b->tome.inflection && a->tome.percent == b->tome.percent &&
           a->tome.n_list == b->tome.n_list && memcmp(a->list, b->list, sizeof a->list) == 0;
}

// Clips: what differs in RLT alone can be set later. Streams: the controls are all one.
static bool can_share(const struct eval *e, const struct eval_row *a, const struct eval_row *b) {
    if (e->table.streams) return a->kind == EVAL_FRAMES && b->kind == EVAL_FRAMES;
    return same_tome(&a->reduction, &b->reduction);
}

// RLT's options of a row: where it is off, everything is kept, so that sessions can be shared.
static vdt_rlt_options rlt_of(const struct eval *e, const struct eval_row *row) {
    vdt_rlt_options rlt = row->reduction.rlt;
    if (rlt.mode == VDT_RLT_OFF)
        rlt = (vdt_rlt_options){.mode = VDT_RLT_KEEP, .keep = e->shape->tokens};
    return rlt;
}

// A row's session, or the dense one (NULL); with these options of RLT.
static int open_session(vdt_session **session, const struct eval *e, const struct eval_row *row,
                        const vdt_rlt_options *rlt) {
    vdt_session_options options;
    vdt_error error = {0};
    vdt_session_options_init(&options);
    options.frames = e->settings->frames;
    options.height = options.width = e->settings->arch ? 0 : e->settings->size;
    if (row && !e->table.streams) reduction_apply(&row->reduction, &options);
    if (row && e->table.streams) options.stream = row->stream;
    if (rlt) options.rlt = *rlt;
    return vdt_session_open(session, e->model, &options, &error) ? complain(&error) : 0;
}

static int open_sessions(struct eval *e) {
    e->sessions = calloc(e->table.n, sizeof *e->sessions);
    if (!e->sessions) return -1;
    e->sessions[0] = e->dense;
    for (size_t i = 1; i < e->table.n; i++) {
        const struct eval_row *row = &e->table.rows[i];
        const vdt_rlt_options rlt = rlt_of(e, row);
        vdt_error error = {0};
        for (size_t j = 1; j < i && !e->sessions[i]; j++) {
            if (can_share(e, row, &e->table.rows[j])) e->sessions[i] = e->sessions[j];
        }
        if (!e->sessions[i] &&
            open_session(&e->sessions[i], e, row, e->table.streams ? NULL : &rlt))
            return -1;
        if (e->table.streams) continue;
        if (vdt_session_set_rlt(e->sessions[i], &rlt, &error)) return complain(&error); // or wrong
    }
    return 0;
}

// From the end, so that the first row of those that share a session closes it.
static void close_sessions(struct eval *e) {
    for (size_t i = e->table.n; e->sessions && i-- > 1;) {
        bool first = true;
        for (size_t j = 1; j < i; j++) first = first && e->sessions[j] != e->sessions[i];
        if (first) vdt_session_close(&e->sessions[i]);
    }
    free(e->sessions);
    vdt_session_close(&e->dense);
}

// What one snippet costs: a clip is `steps` of them and one look at the window, a stream's step one and one.
static int price_snippet(struct eval *e) {
    if (e->steps < 2) {
        fprintf(stderr, "vidette: --update: expected a model of clips that are read snippet by "
                        "snippet (vivit_fe), found one of single frames\n");
        return -1;
    }
    e->snippet_macs = (e->shape->macs - vdt_session_shape(e->sessions[1])->macs) / (e->steps - 1);
    return 0;
}

// What i steps in time cost: sessions that are opened to be asked.
static int price_steps(struct eval *e) {
    const vdt_model_info *info = vdt_model_info_get(e->model);
    e->steps = e->shape->frames / info->tubelet;
    if (e->table.streams) return price_snippet(e);
    if (e->table.n == 1) return 0; // no method, no control
    e->prefix = info->prefix_tokens;
    e->step_tokens = (e->shape->tokens - e->prefix) / e->steps;
    for (size_t i = 1; i <= e->steps && i <= MOST_STEPS && e->steps > 1; i++) {
        vdt_session *session = NULL;
        const vdt_rlt_options rlt = {.mode = VDT_RLT_EVEN,
                                     .keep = (uint32_t)(e->prefix + i * e->step_tokens)};
        if (open_session(&session, e, NULL, &rlt)) return -1;
        e->step_macs[i] = vdt_session_shape(session)->macs;
        vdt_session_close(&session);
    }
    return 0;
}

/* ---- clips --------------------------------------------------------------------------------- */

static double cosine(const float *a, const float *b, size_t n) {
    double ab = 0.0, aa = 0.0, bb = 0.0;
    for (size_t i = 0; i < n; i++) {
        ab += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    return aa > 0.0 && bb > 0.0 ? ab / sqrt(aa * bb) : aa == bb;
}

// A control's budget follows what its method did with the same clip.
static uint32_t budget(const struct eval *e, const struct eval_row *row,
                       const struct eval_clip *method) {
    if (row->kind != EVAL_FRAMES) return (uint32_t)method->kept;
    size_t best = 1;
    for (size_t i = 1; i <= e->steps && i <= MOST_STEPS; i++) {
        const double now = fabs((double)e->step_macs[i] - (double)method->cost);
        if (now < fabs((double)e->step_macs[best] - (double)method->cost)) best = i;
    }
    return (uint32_t)(e->prefix + best * e->step_tokens);
}

// A clip as a whole: what it took, into `result`.
static vdt_status run_whole(struct eval *e, size_t i, const vdt_clip *clip, float *logits,
                            struct eval_clip clips[], vdt_error *error) {
    const struct eval_row *row = &e->table.rows[i];
    const bool eventful = e->settings->macs_eventful;
    vdt_stats stats;
    vdt_tokens tokens;
    vdt_rlt_options rlt = rlt_of(e, row);
    if (row->kind > EVAL_METHOD) rlt.keep = budget(e, row, &clips[row->method]);
    vdt_status status = i > 0 ? vdt_session_set_rlt(e->sessions[i], &rlt, error) : VDT_OK;
    if (!status)
        status = vdt_session_run(e->sessions[i], clip, 1, &(vdt_output){.logits = logits}, &stats,
                                 error);
    if (!status) status = vdt_session_tokens(&tokens, e->sessions[i], 0, error);
    if (status) return status;
    clips[i] =
        (struct eval_clip){.ms = stats.decide_ms + stats.embed_ms + stats.blocks_ms + stats.head_ms,
                           .kept = tokens.kept,
                           .total = tokens.total,
                           .final = tokens.layers[tokens.n_layers - 1],
                           .macs = eventful ? tokens.macs_eventful : tokens.macs,
                           .macs_dense = eventful ? tokens.macs_eventful_dense : tokens.macs_dense,
                           .cost = tokens.macs};
    return VDT_OK;
}

// A clip as a stream of its snippets.
static vdt_status run_snippets(struct eval *e, size_t i, const vdt_clip *clip, float *logits,
                               struct eval_clip clips[], vdt_error *error) {
    const struct eval_row *row = &e->table.rows[i];
    struct eval_stream_result result;
    const uint64_t dense = clips[0].macs_dense;
    const size_t computed =
        row->kind == EVAL_FRAMES
            ? eval_stream_computed(clips[row->method].macs, dense, e->snippet_macs, e->steps)
            : e->steps;
    const vdt_status status =
        eval_stream_run(&result, e->sessions[i], clip, e->steps, computed, logits, error);
    clips[i] = (struct eval_clip){.ms = result.ms,
                                  .kept = result.updated,
                                  .total = result.tokens,
                                  .macs = result.macs,
                                  .macs_dense = dense,
                                  .cost = result.macs};
    return status;
}

static int run_row(struct eval *e, size_t i, const vdt_clip *clip, size_t label,
                   struct eval_clip clips[]) {
    float *logits = i == 0 ? e->dense_logits : e->logits;
    const size_t n = e->shape->logits;
    vdt_error error = {0};
    const vdt_status status = e->table.streams && i > 0
                                  ? run_snippets(e, i, clip, logits, clips, &error)
                                  : run_whole(e, i, clip, logits, clips, &error);
    if (status) return status == VDT_ERROR_CANCELLED ? -1 : complain(&error);
    clips[i].label = label;
    clips[i].predicted = vdt_argmax(logits, n);
    clips[i].dense = vdt_argmax(e->dense_logits, n);
    clips[i].cosine = cosine(logits, e->dense_logits, n);
    return 0;
}

// The line of a clip in FILE.clips.csv begins with what a resumed run reads again.
#define CLIP_FORMAT "%zu,%zu,%zu,%zu,%zu,%.17g,%.17g,%llu,%llu,%llu,%llu,%llu"

static void write_clip(const struct eval *e, size_t input, size_t i, const struct eval_clip *c) {
    const struct eval_row *row = &e->table.rows[i];
    fprintf(e->clips.file, CLIP_FORMAT ",%s,%s,%s,%s\n", input, i, c->predicted, c->label, c->dense,
            c->cosine, c->ms, (unsigned long long)c->kept, (unsigned long long)c->total,
            (unsigned long long)c->final, (unsigned long long)c->macs,
            (unsigned long long)c->macs_dense, eval_kind_name(row->kind), row->values[0],
            row->values[1], e->list.paths[input]);
}

// Rows of an interrupted run back into the table.
static int read_clips(struct eval *e) {
    FILE *part = fopen(e->clips.part, "r");
    char line[8192];
    while (part && fgets(line, sizeof line, part)) {
        size_t input, i;
        struct eval_clip c = {0};
        unsigned long long kept, total, final, macs, dense;
        if (sscanf(line, "%zu,%zu,%zu,%zu,%zu,%lf,%lf,%llu,%llu,%llu,%llu,%llu", &input, &i,
                   &c.predicted, &c.label, &c.dense, &c.cosine, &c.ms, &kept, &total, &final, &macs,
                   &dense) != 12 ||
            i >= e->table.n)
            continue; // the heading
        c.kept = kept;
        c.total = total;
        c.final = final;
        c.macs = macs;
        c.macs_dense = dense;
        eval_add(&e->table.rows[i], &c);
    }
    if (part) fclose(part);
    return part ? 0 : output_complain(&e->clips);
}

static int run_clip(struct eval *e, const vdt_item *item) {
    static struct eval_clip clips[EVAL_MOST_ROWS + 1];
    const size_t input = e->inputs_done;
    // The dense model once more, first: whoever runs first pays for cold caches.
    if (run_row(e, 0, &item->clip, e->list.labels[input], clips)) return -1;
    for (size_t i = 0; i < e->table.n; i++) {
        if (run_row(e, i, &item->clip, e->list.labels[input], clips)) return -1;
    }
    for (size_t i = 0; i < e->table.n; i++) {
        eval_add(&e->table.rows[i], &clips[i]);
        if (e->clips.path) write_clip(e, input, i, &clips[i]);
    }
    return 0;
}

static int run_clips(struct eval *e) {
    vdt_item item;
    vdt_error error = {0};
    vdt_status status;
    while ((status = vdt_reader_next(e->reader, &item, &error)) == VDT_OK) {
        int failed = 0;
        if (item.error.status) {
            progress_clear(&e->progress);
            complain(&item.error);
            e->failed = true;
        } else {
            failed = run_clip(e, &item);
        }
        vdt_reader_give(e->reader, &item);
        if (failed || interrupt_signal()) return -1;
        e->inputs_done++;
        if (e->clips.path && output_commit(&e->clips, e->inputs_done, e->failed)) return -1;
        progress_update(&e->progress, (double)e->inputs_done);
    }
    if (status == VDT_END) return 0;
    return status == VDT_ERROR_CANCELLED ? -1 : complain(&error);
}

/* ---- results ------------------------------------------------------------------------------- */

// "results.csv" and ".svg" give "results.svg".
static char *beside(const char *path, const char *suffix) {
    const char *dot = strrchr(path, '.'), *slash = strrchr(path, '/');
    const size_t n = dot && (!slash || dot > slash) ? (size_t)(dot - path) : strlen(path);
    char *name = malloc(n + strlen(suffix) + 1);
    if (name) sprintf(name, "%.*s%s", (int)n, path, suffix);
    return name;
}

static int write_file(const struct eval *e, const char *path,
                      void (*print)(const struct eval_table *table, FILE *file)) {
    struct output output;
    const int status = output_open(&output, path, false, 0, 0);
    if (!status) print(&e->table, output.file);
    return output_close(&output, status == 0) || status ? -1 : 0;
}

// The fastest method whose agreement with the dense model is at least what was asked for; else dense.
static const struct eval_row *choose(const struct eval *e) {
    const struct eval_row *best = &e->table.rows[0];
    for (size_t i = 1; i < e->table.n; i++) {
        const struct eval_row *row = &e->table.rows[i];
        const bool faithful = (double)row->agree >= e->settings->min_agreement * (double)row->n;
        if (row->kind == EVAL_METHOD && faithful && row->ms < best->ms) best = row;
    }
    return best;
}

static int write_recommendation(const struct eval *e) {
    const struct eval_row *row = choose(e);
    const char *const *typed = e->settings->reduction.texts;
    char *path = malloc(strlen(e->settings->model) + 16);
    struct output output = {0};
    struct json_out json;
    if (!path) return -1;
    sprintf(path, "%s/vidette.json", e->settings->model);
    int status = output_open(&output, path, false, 0, 0);
    if (!status) {
        const char *const members[][2] = {
            {"rlt", row->values[0]},
            {"rlt_reference", typed[1] ? typed[1] : "run_head"},
            {"rlt_lengths", typed[2] ? typed[2] : "none"},
            {"tome", row->values[1]},
            {"tome_attention", typed[4] ? typed[4] : "auto"},
            {"precision", vdt_precision_name(vdt_model_info_get(e->model)->precision)}};
        json_begin(&json, output.file);
        json_open(&json, '{');
        for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
            json_key(&json, members[i][0]);
            json_text(&json, members[i][1]);
        }
        json_key(&json, "agreement");
        json_number(&json, row->n ? (double)row->agree / (double)row->n : 0.0, 6);
        json_key(&json, "clips");
        json_integer(&json, row->n);
        json_close(&json, '}');
        json_end_line(&json);
    }
    if (output_close(&output, status == 0)) status = -1;
    if (!status && !e->settings->quiet)
        fprintf(stderr, "vidette: %s: rlt %s, tome %s\n", path, row->values[0], row->values[1]);
    free(path);
    return status;
}

static int report(struct eval *e) {
    const char *path = e->settings->output;
    progress_clear(&e->progress);
    if (e->settings->json)
        eval_print_json(&e->table, stdout);
    else
        eval_print_text(&e->table, stdout);
    int status = 0;
    if (path) {
        char *picture = beside(path, ".svg");
        status = picture ? write_file(e, path, eval_print_csv) : -1;
        if (!status) status = write_file(e, picture, eval_plot);
        free(picture);
    }
    if (!status && e->settings->write_recommendation) status = write_recommendation(e);
    return status;
}

/* ---- the command --------------------------------------------------------------------------- */

static int on_progress(void *user, const char *what, size_t done, size_t total) {
    (void)user;
    (void)what;
    (void)done;
    (void)total;
    return interrupt_signal() != 0;
}

static int open_reader(struct eval *e) {
    vdt_reader_options options;
    vdt_error error = {0};
    vdt_reader_options_init(&options);
    options.sampling = e->settings->sampling;
    options.rate = e->settings->rate;
    options.ahead = options.threads = 1; // nothing decodes while settings are timed
    if (vdt_reader_open(&e->reader, e->dense, e->list.paths + e->inputs_done,
                        e->list.n - e->inputs_done, &options, &error))
        return complain(&error);
    interrupt_watch(e->reader);
    return 0;
}

static int open_clips(struct eval *e, char *path) {
    const uint64_t identity = command_identity(e->settings, "eval");
    if (output_open(&e->clips, path, e->settings->resume, identity, e->list.n)) return -1;
    e->inputs_done = e->clips.inputs_done;
    e->failed = e->clips.failed;
    if (e->inputs_done > 0) return read_clips(e);
    fprintf(e->clips.file,
            "input,row,predicted,label,dense,cosine,ms,kept,total,final,macs,macs_dense,"
            "kind,%s,%s,path\n",
            e->table.axes[0], e->table.axes[1]);
    return 0;
}

static int evaluate(struct eval *e, char *clips_path) {
    const struct settings *s = e->settings;
    e->table.model = s->arch ? s->arch : s->model;
    if (open_model(&e->context, &e->model, s, on_progress, NULL) ||
        eval_list_read(&e->list, s->inputs[0], s->root, s->part, e->model) ||
        open_session(&e->dense, e, NULL, NULL))
        return -1;
    e->shape = vdt_session_shape(e->dense);
    e->logits = calloc(e->shape->logits + 1, sizeof *e->logits);
    e->dense_logits = calloc(e->shape->logits + 1, sizeof *e->logits);
    if (!e->logits || !e->dense_logits || e->shape->logits == 0) {
        fprintf(stderr, "vidette: eval: expected a model with a classifier\n");
        return -1;
    }
    if (eval_make_rows(&e->table, s, e->shape) || open_sessions(e) || price_steps(e)) return -1;
    if (clips_path && open_clips(e, clips_path)) return -1;
    progress_start(&e->progress, !s->no_progress && !s->quiet, e->list.n, e->inputs_done);
    if (e->inputs_done < e->list.n && (open_reader(e) || run_clips(e))) return -1;
    return report(e);
}

static int check_usage(const struct settings *s) {
    const bool several = s->sampling == VDT_SAMPLE_MULTI || s->sampling == VDT_SAMPLE_SLIDE;
    if (s->n_inputs != 1) {
        fprintf(stderr, "vidette: eval: expected one LIST.csv, found %zu\n", s->n_inputs);
    } else if (several) {
        fprintf(stderr, "vidette: --sampling: expected one clip an input, found several\n");
    } else if (eval_of_streams(s) && eval_of_clips(s)) {
        fprintf(stderr,
                "vidette: eval: expected settings of clips (rlt, tome) or of streams (update, "
                "attention), found both\n");
    } else if (eval_of_streams(s) && s->macs_eventful) {
        fprintf(stderr,
                "vidette: --macs: expected plain for settings of streams, found eventful\n");
    } else if (eval_of_streams(s) && s->write_recommendation) {
        fprintf(stderr, "vidette: --write-recommendation: expected settings of clips (rlt, tome), "
                        "found some of streams\n");
    } else if (s->write_recommendation && !s->model) {
        fprintf(stderr, "vidette: --write-recommendation: expected -m MODEL to write it to\n");
    } else {
        return EXIT_DONE;
    }
    return EXIT_USAGE;
}

int eval_run(const struct settings *settings) {
    static struct eval e;
    if (check_usage(settings) != EXIT_DONE) return EXIT_USAGE;
    if (interrupt_install()) return EXIT_FAILED;
    e = (struct eval){.settings = settings};
    char *clips_path = settings->output ? beside(settings->output, ".clips.csv") : NULL;
    int status = evaluate(&e, clips_path);
    progress_clear(&e.progress);
    if (e.clips.path && output_close(&e.clips, status == 0)) status = -1;
    interrupt_watch(NULL);
    vdt_reader_close(&e.reader);
    close_sessions(&e);
    vdt_model_close(&e.model);
    vdt_context_close(&e.context);
    eval_list_free(&e.list);
    free(e.table.rows);
    free(e.logits);
    free(e.dense_logits);
    free(clips_path);
    if (interrupt_signal()) return 128 + interrupt_signal();
    return status || e.failed ? EXIT_FAILED : EXIT_DONE;
}
