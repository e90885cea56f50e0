// vidette view: a picture or a video of what the model saw of each clip, what was dropped and what merged.
//
// Clips of all inputs stand below each other in a picture and follow each other in a video. Averages over
// views have no one picture and are refused. Streams: view_stream.c.
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "encode_av.h"
#include "pipeline.h"
#include "view.h"

struct view {
    const struct settings *settings;
    bool moving;
    const vdt_model *model;
    const vdt_session_shape_info *shape;
    struct output *output;
    char setting[SHEET_TEXT];
    struct sheet sheet;
    struct sheet_words words;
    struct picture picture; // all clips so far; where it moves, a frame
    struct movie *movie;
    float *probabilities; // (logits)
};

static bool has_suffix(const char *text, const char *suffix) {
    const size_t n = strlen(text), m = strlen(suffix);
    return n >= m && strcmp(text + n - m, suffix) == 0;
}

static int out_of_memory(void) {
    fprintf(stderr, "vidette: out of memory\n");
    return -1;
}

/* ---- words --------------------------------------------------------------------------------- */

// The reduction as its options spell it.
static void describe_setting(char *text, size_t bytes, const struct reduction *reduction) {
    static const char *const names[] = {"rlt", "rlt-reference", "rlt-lengths", "tome",
                                        "tome-attention"};
    size_t n = 0;
    text[0] = '\0';
    for (size_t i = 0; i < sizeof names / sizeof *names && n < bytes; i++) {
        if (!reduction->texts[i]) continue;
        const int more = snprintf(text + n, bytes - n, "%s--%s %s", n > 0 ? " " : "", names[i],
                                  reduction->texts[i]);
        n += more > 0 ? (size_t)more : 0;
    }
    if (n == 0) snprintf(text, bytes, "dense");
}

static void set_words(struct view *v, const struct result *r) {
    const vdt_model_info *info = vdt_model_info_get(v->model);
    const struct token_counts *counts = &r->counts;
    struct sheet_words *words = &v->words;
    view_title(words, r->input);
    snprintf(words->subtitle, sizeof words->subtitle, "%s%s, %s; %u frames of %u x %u", info->name,
             v->settings->arch ? " with random weights" : "", vdt_precision_name(info->precision),
             v->shape->frames, v->shape->width, v->shape->height);
    words->n_tiles = 0;
    snprintf(view_tile(words, "tokens"), SHEET_TEXT, "%llu", (unsigned long long)counts->total);
    if (v->sheet.kept) view_share(words, "kept", counts->kept, counts->total);
    if (v->sheet.merged)
        view_share(words, "after the last block", counts->layers[counts->n_layers - 1],
                   counts->total);
    view_macs(words, counts->macs, counts->macs_dense);
    snprintf(view_tile(words, "setting"), SHEET_TEXT, "%s", v->setting);
    view_answer(words, v->model, v->shape->logits > 0 ? r->logits : NULL, v->shape->logits,
                v->probabilities);
}

/* ---- pages --------------------------------------------------------------------------------- */

static int begin(void *user, const vdt_model *model, const vdt_session_shape_info *shape,
                 struct output *output) {
    struct view *v = user;
    struct reduction reduction;
    v->model = model;
    v->shape = shape;
    v->output = output;
    if (shape->frames == 1) {
        fprintf(stderr, "vidette: %s: expected --update with a model of images, found none\n",
                vdt_model_info_get(model)->name);
        return -1;
    }
    if (reduction_or_recommended(&reduction, &v->settings->reduction, model)) return -1;
    describe_setting(v->setting, sizeof v->setting, &reduction);
    v->sheet.moving = v->moving;
    v->sheet.kept = reduction.rlt.mode != VDT_RLT_OFF;
    v->sheet.merged = reduction.tome.mode != VDT_TOME_OFF;
    v->probabilities = calloc(shape->logits + 1, sizeof *v->probabilities);
    if (!v->probabilities) return out_of_memory();
    if (token_map_open(&v->sheet.tokens, vdt_model_info_get(model), shape)) return -1;
    v->sheet.grid = v->sheet.tokens.grid;
    sheet_plan(&v->sheet);
    v->picture.width = v->sheet.width;
    return 0;
}

// A page below those that are there.
static int add_still(struct view *v) {
    const int y = v->picture.height;
    if (picture_grow(&v->picture, v->sheet.height)) return -1;
    sheet_draw(&v->sheet, &v->picture, y, &v->words, 0);
    return 0;
}

// Frames a second at which the sampled frames pass as they did.
static double pace(const double *times, size_t n) {
    const double seconds = n > 1 ? times[n - 1] - times[0] : 0.0;
    return view_rate(seconds > 0.0 ? (double)(n - 1) / seconds : 0.0);
}

static int add_moving(struct view *v) {
    struct sheet *sheet = &v->sheet;
    if (!v->movie) {
        if (picture_grow(&v->picture, sheet->height)) return -1;
        v->movie = movie_open(v->output, sheet->width, sheet->height,
                              pace(sheet->times, v->shape->frames));
        if (!v->movie) return -1;
    }
    for (uint32_t frame = 0; frame < v->shape->frames; frame++) {
        sheet_draw(sheet, &v->picture, 0, &v->words, frame);
        if (movie_add(v->movie, &v->picture)) return -1;
    }
    return 0;
}

static void print_json(const struct result *r) {
    struct json_out json;
    json_begin(&json, stdout);
    json_open(&json, '{');
    json_key(&json, "input");
    json_text(&json, r->input);
    json_key(&json, "clip");
    json_integer(&json, r->clip);
    token_counts_print(&json, &r->counts, false);
    json_close(&json, '}');
    json_end_line(&json);
}

static int draw(void *user, const struct result *r, const vdt_item *item,
                const vdt_tokens *tokens) {
    struct view *v = user;
    set_words(v, r);
    v->sheet.times = item->times;
    v->sheet.clip = &item->clip;
    token_map_set(&v->sheet.tokens, tokens, &item->clip);
    if (v->settings->json) print_json(r);
    return v->moving ? add_moving(v) : add_still(v);
}

static int end(void *user, struct output *output) {
    struct view *v = user;
    if (v->picture.height == 0) return -1; // no input could be read; said before
    if (!v->moving) return png_write(output, &v->picture);
    struct movie *movie = v->movie;
    v->movie = NULL;
    return movie_close(movie, true);
}

int view_run(const struct settings *settings) {
    struct view v = {.settings = settings};
    const char *path = settings->output;
    v.moving =
        path && (has_suffix(path, ".mp4") || has_suffix(path, ".avi") || has_suffix(path, ".mkv"));
    if (!v.moving && !(path && has_suffix(path, ".png"))) {
        fprintf(stderr, "vidette: view: expected -o FILE.png, .mp4, .mkv or .avi, found %s\n",
                path ? path : "none");
        return EXIT_USAGE;
    }
    if (settings->stream.update != VDT_UPDATE_OFF || settings->budget_ms > 0.0)
        return view_stream_run(settings, v.moving);
    if (settings->sampling == VDT_SAMPLE_MULTI) {
        fprintf(stderr, "vidette: --sampling: expected one view a clip, found multi\n");
        return EXIT_USAGE;
    }
    const struct consumer consumer = {
        .logits = true, .begin = begin, .view = draw, .end = end, .user = &v};
    const int status = pipeline_run(settings, "view", &consumer);
    movie_close(v.movie, false);
    picture_close(&v.picture);
    token_map_close(&v.sheet.tokens);
    free(v.probabilities);
    return status;
}
