// vidette view --update: what a stream recomputed of each frame, and what that cost.
//
// A video shows every frame, with the cost of the last seconds below it; a picture shows some frames of each
// input, evenly spaced, with the cost of all.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "contact.h"
#include "encode_av.h"
#include "settings_stream.h"
#include "stream_lines.h"
#include "view.h"

enum { CHOSEN = 4, SECONDS = 10 }; // frames of a picture; that a video's curves show

struct stream_view {
    const struct settings *settings;
    bool moving;
    const vdt_model *model;
    const vdt_session_shape_info *shape;
    struct output *output;
    struct stream_totals totals; // of JSON, and workspace for probabilities
    char setting[SHEET_TEXT];
    struct sheet sheet;
    struct sheet_words words;
    struct picture picture; // all inputs so far; where it moves, a frame
    struct movie *movie;
    // of the input that is running
    size_t input;
    struct contact contact;  // where it does not move
    struct curve cost, time; // of dense, in percent; ms
    uint64_t frames, changed, passed, macs, macs_dense;
};

/* ---- words --------------------------------------------------------------------------------- */

static void add_option(char *text, const char *name, const char *value) {
    const size_t n = strlen(text);
    snprintf(text + n, SHEET_TEXT - n, "%s--%s %s", n > 0 ? " " : "", name, value);
}

static void add_number(char *text, const char *name, const char *before, double value) {
    char number[48];
    snprintf(number, sizeof number, "%s%g", before, value);
    add_option(text, name, number);
}

// The stream's options that are not what they are without a wish.
static void describe_setting(char *text, const struct settings *settings) {
    const vdt_stream_options *stream = &settings->stream;
    vdt_session_options defaults;
    vdt_session_options_init(&defaults);
    text[0] = '\0';
    switch (stream->update) {
    case VDT_UPDATE_OFF: break; // a budget's
    case VDT_UPDATE_ALL: add_option(text, "update", "all"); break;
    case VDT_UPDATE_TOP: add_number(text, "update", "top:", stream->r); break;
    case VDT_UPDATE_FRACTION: add_number(text, "update", "fraction:", stream->fraction); break;
    case VDT_UPDATE_THRESHOLD: add_number(text, "update", "threshold:", stream->threshold); break;
    }
    if (settings->budget_ms > 0.0) add_number(text, "budget", "", settings->budget_ms);
    if (stream->attention != VDT_ATTENTION_EXACT)
        add_option(text, "attention", attention_names[stream->attention]);
    if (stream->still == VDT_STILL_LEARN) add_option(text, "still", "auto");
    if (stream->still == VDT_STILL_OFF) add_option(text, "still", "off");
    if (stream->still_tolerance > 0.0) add_number(text, "still", "", stream->still_tolerance);
    if (stream->floor > 0.0) add_number(text, "floor", "", stream->floor);
    if (stream->max_wait != defaults.stream.max_wait)
        add_number(text, "max-wait", "", stream->max_wait);
}

// The counts of some frames: of one, or the mean of all.
static void set_counts(struct stream_view *v, uint64_t frames, uint64_t changed, uint64_t passed,
                       uint64_t macs, uint64_t macs_dense) {
    const struct update_map *map = &v->sheet.updates;
    struct sheet_words *words = &v->words;
    words->n_tiles = 0;
    if (!v->moving)
        snprintf(view_tile(words, "frames"), SHEET_TEXT, "%llu", (unsigned long long)frames);
    view_share(words, "patches changed", changed / frames, panel_cells(&map->grid));
    view_share(words, "tokens recomputed", passed / frames,
               (uint64_t)map->tokens * map->blocks * UPDATE_GATES);
    view_macs(words, macs / frames, macs_dense / frames);
    snprintf(view_tile(words, "setting"), SHEET_TEXT, "%s", v->setting);
    static const int least[] = {150, 178, 218};
    for (size_t i = 0; v->moving && i < sizeof least / sizeof *least; i++)
        words->tiles[i].least = least[i];
}

static void set_heading(struct stream_view *v, const char *input) {
    const vdt_model_info *info = vdt_model_info_get(v->model);
    struct sheet_words *words = &v->words;
    view_title(words, input);
    snprintf(words->subtitle, sizeof words->subtitle, "%s%s, %s; a stream of %u x %u", info->name,
             v->settings->arch ? " with random weights" : "", vdt_precision_name(info->precision),
             v->shape->width, v->shape->height);
}

/* ---- begin --------------------------------------------------------------------------------- */

static void set_curves(struct stream_view *v) {
    struct sheet *sheet = &v->sheet;
    const double budget = v->settings->budget_ms;
    sheet->curves[sheet->n_curves++] = (struct sheet_curve){
        .heading = "Multiply-adds of each frame, against dense",
        .curve = &v->cost,
        .look = {.limit = 100.0, .name = "dense", .unit = "%", .head = v->moving}};
    if (budget == 0.0) return;
    sheet->curves[0].heading = "Multiply-adds, against dense";
    sheet->curves[sheet->n_curves++] = (struct sheet_curve){
        .heading = "Time of each step",
        .curve = &v->time,
        .look = {.limit = budget, .name = "budget", .unit = "ms", .head = v->moving}};
}

static int begin(void *user, const vdt_model *model, const vdt_session *session,
                 struct output *output) {
    struct stream_view *v = user;
    struct sheet *sheet = &v->sheet;
    v->model = model;
    v->shape = vdt_session_shape(session);
    v->output = output;
    v->input = SIZE_MAX;
    describe_setting(v->setting, v->settings);
    if (stream_totals_open(&v->totals, v->settings, model, session, true)) return -1;
    sheet->stream = true;
    sheet->moving = v->moving;
    set_curves(v);
    if (update_map_open(&sheet->updates, vdt_model_info_get(model), v->shape,
                        v->moving ? 1 : CONTACT_MOST) ||
        (!v->moving && contact_open(&v->contact, v->shape, &sheet->updates)))
        return -1;
    sheet->grid = sheet->updates.grid;
    if (v->moving) sheet_plan(sheet);
    return 0;
}

/* ---- pictures ------------------------------------------------------------------------------ */

// The page of the input that ended, below those that are there.
static int add_page(struct stream_view *v) {
    struct sheet *sheet = &v->sheet;
    const int y = v->picture.height;
    if (v->frames == 0) return 0;
    contact_choose(&v->contact, CHOSEN);
    sheet->grid.steps = v->contact.n;
    sheet->clip = &v->contact.clip;
    sheet->times = v->contact.times;
    for (size_t i = 0; i < sheet->n_curves; i++) {
        sheet->curves[i].look.marks = v->contact.numbers;
        sheet->curves[i].look.n_marks = v->contact.n;
    }
    sheet_plan(sheet);
    v->picture.width = sheet->width;
    if (picture_grow(&v->picture, sheet->height)) return -1;
    set_counts(v, v->frames, v->changed, v->passed, v->macs, v->macs_dense);
    sheet_draw(sheet, &v->picture, y, &v->words, 0);
    return 0;
}

/* ---- videos -------------------------------------------------------------------------------- */

static double step_rate(const struct stream_view *v, const struct stream_result *r) {
    return view_rate(r->video->rate / v->shape->frames);
}

static int add_frame(struct stream_view *v, const struct stream_result *r) {
    struct sheet *sheet = &v->sheet;
    if (!v->movie) {
        v->picture.width = sheet->width;
        if (picture_grow(&v->picture, sheet->height)) return -1;
        v->movie = movie_open(v->output, sheet->width, sheet->height, step_rate(v, r));
        if (!v->movie) return -1;
    }
    update_map_set(&sheet->updates, 0, r->info, r->updated);
    sheet->clip = &r->item->clip;
    sheet->times = &r->time;
    set_counts(v, 1, r->info->changed, sheet->updates.passed[0], r->stats->macs,
               r->stats->macs_dense);
    view_answer(&v->words, v->model, r->logits, v->shape->logits, v->totals.probabilities);
    sheet_draw(sheet, &v->picture, 0, &v->words, 0);
    return movie_add(v->movie, &v->picture);
}

/* ---- frames -------------------------------------------------------------------------------- */

// How many steps a video's curves show: the last seconds, or all of a short input.
static uint32_t curve_span(const struct stream_view *v, const struct stream_result *r) {
    const double most = SECONDS * step_rate(v, r);
    const double all = ceil((double)r->video->frames / v->shape->frames);
    return (uint32_t)fmax(all > 0.0 && all < most ? all : most, 2.0);
}

static int begin_input(struct stream_view *v, const struct stream_result *r) {
    const uint32_t span = v->moving ? curve_span(v, r) : 0;
    if (!v->moving && add_page(v)) return -1;
    v->input = r->input;
    v->frames = v->changed = v->passed = v->macs = v->macs_dense = 0;
    curve_start(&v->cost, span);
    curve_start(&v->time, span);
    contact_start(&v->contact);
    set_heading(v, v->settings->inputs[r->input]);
    return 0;
}

static int add_result(void *user, const struct stream_result *r, struct output *output) {
    (void)output;
    struct stream_view *v = user;
    const double time = r->time;
    if (r->input != v->input && begin_input(v, r)) return -1;
    v->frames++;
    v->changed += r->info->changed;
    v->macs += r->stats->macs;
    v->macs_dense += r->stats->macs_dense;
    for (size_t i = 0; i < r->info->gates; i++) v->passed += r->info->updated[i];
    curve_add(&v->cost, 100.0 * (double)r->stats->macs / (double)r->stats->macs_dense, time);
    curve_add(&v->time, r->step_ms, time);
    if (v->settings->json) {
        stream_totals_add(&v->totals, r);
        print_stream_line(&v->totals, r, stdout);
    }
    if (v->moving) return add_frame(v, r);
    contact_add(&v->contact, &r->item->clip, time, r->info, r->updated);
    return 0;
}

static int end(void *user, struct output *output) {
    struct stream_view *v = user;
    if (v->input == SIZE_MAX) return -1; // no input could be read; said before
    if (v->settings->json) print_stream_summary(&v->totals, stdout, true);
    if (!v->moving) return add_page(v) ? -1 : png_write(output, &v->picture);
    struct movie *movie = v->movie;
    v->movie = NULL;
    return movie_close(movie, true);
}

static void close_view(struct stream_view *v) {
    movie_close(v->movie, false);
    picture_close(&v->picture);
    contact_close(&v->contact);
    update_map_close(&v->sheet.updates);
    stream_totals_close(&v->totals);
    free(v);
}

// Options of clips mean nothing here.
static bool is_of_streams(const struct settings *settings) {
    const char *found = NULL;
    if (reduction_is_on(&settings->reduction)) found = "--rlt or --tome";
    if (settings->sampling != VDT_SAMPLE_CENTER) found = "--sampling";
    if (settings->rate > 0) found = "--rate";
    if (settings->frames > 0) found = "--frames";
    if (found)
        fprintf(stderr, "vidette: --update: expected a stream of all frames, found %s\n", found);
    return !found;
}

int view_stream_run(const struct settings *settings, bool moving) {
    if (!is_of_streams(settings)) return EXIT_USAGE;
    struct stream_view *v = calloc(1, sizeof *v);
    if (!v) {
        fprintf(stderr, "vidette: out of memory\n");
        return EXIT_FAILED;
    }
    v->settings = settings;
    v->moving = moving;
    const struct stream_consumer consumer = {.logits = true,
                                             .updated = true,
                                             .begin = begin,
                                             .frame = add_result,
                                             .end = end,
                                             .user = v};
    const int status = streamer_run(settings, "view", &consumer);
    close_view(v);
    return status;
}
