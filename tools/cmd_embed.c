// vidette embed: features of each input, as a NumPy array (inputs stacked) or as JSON lines.
//
// In an array, row i is clip i; an input that failed leaves a row of NaN, so that rows and inputs
// stay in step.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "json_out.h"
#include "pipeline.h"
#include "stream_lines.h"

struct embed {
    const struct settings *settings;
    const vdt_session_shape_info *shape;
    bool json;
    struct stream_totals totals; // of a stream
};

static bool has_suffix(const char *text, const char *suffix) {
    const size_t n = strlen(text), m = strlen(suffix);
    return n >= m && strcmp(text + n - m, suffix) == 0;
}

static int write_floats(struct output *output, const float *values, size_t n) {
    if (fwrite(values, sizeof *values, n, output->file) == n) return 0;
    return output_complain(output);
}

// The array's header, at the beginning of the file; rows may not be known yet.
static int write_header(const struct embed *e, struct output *output, size_t rows) {
    char header[VDT_NPY_HEADER];
    size_t shape[5] = {rows};
    vdt_error error = {0};
    memcpy(shape + 1, e->shape->feature_shape, e->shape->feature_dimensions * sizeof *shape);
    if (vdt_npy_header(header, shape, 1 + e->shape->feature_dimensions, &error)) {
        fprintf(stderr, "vidette: %s\n", error.message);
        return -1;
    }
    if (fseeko(output->file, 0, SEEK_SET) == 0 &&
        fwrite(header, sizeof header, 1, output->file) == 1 &&
        fseeko(output->file, 0, SEEK_END) == 0) {
        return 0;
    }
    return output_complain(output);
}

static int begin(void *user, const vdt_model *model, const vdt_session_shape_info *shape,
                 struct output *output) {
    (void)model;
    struct embed *e = user;
    e->shape = shape;
    return e->json || output->inputs_done > 0 ? 0 : write_header(e, output, 0);
}

static int write_result(void *user, const struct result *r, struct output *output) {
    const struct embed *e = user;
    if (!e->json) return write_floats(output, r->features, e->shape->features);
    struct json_out json;
    json_begin(&json, output->file);
    json_open(&json, '{');
    json_key(&json, "input");
    json_text(&json, r->input);
    json_key(&json, "clip");
    json_integer(&json, r->clip);
    json_key(&json, "time");
    json_open(&json, '[');
    json_number(&json, r->times[0], 9);
    json_number(&json, r->times[r->n_frames - 1], 9);
    json_close(&json, ']');
    token_counts_print(&json, &r->counts);
    json_key(&json, "shape");
    json_open(&json, '[');
    for (size_t i = 0; i < e->shape->feature_dimensions; i++)
        json_integer(&json, e->shape->feature_shape[i]);
    json_close(&json, ']');
    json_key(&json, "features");
    json_floats(&json, r->features, e->shape->features);
    json_close(&json, '}');
    json_end_line(&json);
    if (!ferror(output->file)) return 0;
    return output_complain(output);
}

static int write_failure(void *user, const char *input, struct output *output) {
    (void)input;
    const struct embed *e = user;
    if (e->json) return 0;
    float row[256];
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) row[i] = NAN;
    int status = 0;
    for (size_t left = e->shape->features; !status && left > 0;) {
        const size_t some = left < sizeof row / sizeof *row ? left : sizeof row / sizeof *row;
        status = write_floats(output, row, some);
        left -= some;
    }
    return status;
}

static int end(void *user, struct output *output) {
    const struct embed *e = user;
    if (e->json) return 0;
    const size_t bytes = (size_t)ftello(output->file) - VDT_NPY_HEADER;
    return write_header(e, output, bytes / (e->shape->features * sizeof(float)));
}

/* ---- as a stream --------------------------------------------------------------------------- */

static int begin_stream(void *user, const vdt_model *model, const vdt_session *session,
                        struct output *output) {
    struct embed *e = user;
    if (stream_totals_open(&e->totals, e->settings, model, session, false)) return -1;
    return begin(e, model, vdt_session_shape(session), output);
}

static int write_frame(void *user, const struct stream_result *frame, struct output *output) {
    struct embed *e = user;
    const struct result result = {.input = e->settings->inputs[frame->input],
                                  .clip = frame->item->index,
                                  .times = frame->item->times,
                                  .n_frames = e->shape->frames,
                                  .features = frame->features};
    stream_totals_add(&e->totals, frame);
    if (e->settings->json) print_stream_line(&e->totals, frame, stdout);
    return write_result(e, &result, output);
}

static int end_stream(void *user, struct output *output) {
    struct embed *e = user;
    if (e->settings->json) print_stream_summary(&e->totals, stdout, true);
    return end(e, output);
}

static int run_stream(struct embed *e) {
    const struct stream_consumer consumer = {.pool = e->settings->pool,
                                             .begin = begin_stream,
                                             .frame = write_frame,
                                             .end = end_stream,
                                             .user = e};
    const int status = streamer_run(e->settings, "embed", &consumer);
    stream_totals_close(&e->totals);
    return status;
}

int embed_run(const struct settings *settings) {
    struct embed e = {.settings = settings};
    if (!settings->output ||
        (!has_suffix(settings->output, ".npy") && !has_suffix(settings->output, ".jsonl"))) {
        fprintf(stderr, "vidette: embed: expected -o FILE.npy or -o FILE.jsonl, found %s\n",
                settings->output ? settings->output : "none");
        return EXIT_USAGE;
    }
    e.json = has_suffix(settings->output, ".jsonl");
    if (settings->stream.update != VDT_UPDATE_OFF) return run_stream(&e);
    const struct consumer consumer = {.pool = settings->pool,
                                      .begin = begin,
                                      .result = write_result,
                                      .failure = write_failure,
                                      .end = end,
                                      .user = &e};
    return pipeline_run(settings, "embed", &consumer);
}
