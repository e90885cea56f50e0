// vidette classify: what happens in each clip.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "json_out.h"
#include "pipeline.h"
#include "top_classes.h"

struct classify {
    const struct settings *settings;
    const vdt_model *model;
    const vdt_session_shape_info *shape;
    float *probabilities;  // (logits)
    struct output indices; // --indices
    bool whole;            // all inputs were seen
};

static int begin(void *user, const vdt_model *model, const vdt_session_shape_info *shape,
                 struct output *output) {
    (void)output;
    struct classify *c = user;
    c->model = model;
    c->shape = shape;
    if (shape->logits == 0) {
        fprintf(stderr,
                "vidette: %s: expected a model with a classifier, found none; vidette embed reads "
                "its features\n",
                vdt_model_info_get(model)->name);
        return -1;
    }
    c->probabilities = malloc(shape->logits * sizeof *c->probabilities);
    if (!c->probabilities) fprintf(stderr, "vidette: out of memory\n");
    return c->probabilities ? 0 : -1;
}

static void print_top(const struct classify *c, struct json_out *json, FILE *file) {
    print_top_classes(json, file, c->model, c->probabilities, c->shape->logits, c->settings->top);
}

static double total_ms(const struct result *r) {
    return r->decode_ms + r->preprocess_ms + r->decide_ms + r->embed_ms + r->blocks_ms + r->head_ms;
}

static void print_text(const struct classify *c, const struct result *r, FILE *file) {
    const double begin_time = r->times[0], end_time = r->times[r->n_frames - 1];
    if (c->shape->frames > 1)
        fprintf(file, "%s  %.2f-%.2f s\n", r->input, begin_time, end_time);
    else
        fprintf(file, "%s  %.2f s\n", r->input, begin_time);
    print_top(c, NULL, file);
    if (c->settings->quiet) return;
    fprintf(file,
            "    decode %.1f ms, preprocess %.1f, decide %.1f, embed %.1f, blocks %.1f, head %.1f: "
            "%.1f ms\n",
            r->decode_ms, r->preprocess_ms, r->decide_ms, r->embed_ms, r->blocks_ms, r->head_ms,
            total_ms(r));
    if (r->counts.macs == r->counts.macs_dense) return;
    fprintf(file, "    %llu of %llu tokens, %llu at the end; %.2f of %.2f GMAC\n",
            (unsigned long long)r->counts.kept, (unsigned long long)r->counts.total,
            (unsigned long long)r->counts.layers[r->counts.n_layers - 1],
            (double)r->counts.macs * 1e-9, (double)r->counts.macs_dense * 1e-9);
}

static void print_stage(struct json_out *json, const char *name, double ms) {
    json_key(json, name);
    json_number(json, round(ms * 1e3) * 1e-3, 9);
}

static void print_frames(struct json_out *json, const struct result *r) {
    json_key(json, "frames");
    json_open(json, '[');
    for (size_t i = 0; i < r->n_frames; i++) json_integer(json, r->frames[i]);
    json_close(json, ']');
    json_key(json, "time");
    json_open(json, '[');
    json_number(json, r->times[0], 9);
    json_number(json, r->times[r->n_frames - 1], 9);
    json_close(json, ']');
}

static void print_json(const struct classify *c, const struct result *r, FILE *file) {
    struct json_out json;
    json_begin(&json, file);
    json_open(&json, '{');
    json_key(&json, "input");
    json_text(&json, r->input);
    json_key(&json, "clip");
    json_integer(&json, r->clip);
    print_frames(&json, r);
    json_key(&json, "top");
    json_open(&json, '[');
    print_top(c, &json, file);
    json_close(&json, ']');
    if (c->settings->logits) {
        json_key(&json, "logits");
        json_floats(&json, r->logits, c->shape->logits);
    }
    token_counts_print(&json, &r->counts, c->settings->macs_eventful);
    if (r->lost > 0) {
        json_key(&json, "lost");
        json_integer(&json, r->lost);
    }
    json_key(&json, "ms");
    json_open(&json, '{');
    print_stage(&json, "decode", r->decode_ms);
    print_stage(&json, "preprocess", r->preprocess_ms);
    print_stage(&json, "decide", r->decide_ms);
    print_stage(&json, "embed", r->embed_ms);
    print_stage(&json, "blocks", r->blocks_ms);
    print_stage(&json, "head", r->head_ms);
    print_stage(&json, "total", total_ms(r));
    json_close(&json, '}');
    json_close(&json, '}');
    json_end_line(&json);
}

static int write_result(void *user, const struct result *r, struct output *output) {
    struct classify *c = user;
    memcpy(c->probabilities, r->logits, c->shape->logits * sizeof *c->probabilities);
    vdt_softmax(c->probabilities, c->shape->logits);
    if (c->settings->json || output->path)
        print_json(c, r, output->file);
    else
        print_text(c, r, output->file);
    if (fflush(output->file) == 0 && !ferror(output->file)) return 0;
    return output_complain(output);
}

// A line of --indices: what became of the tokens of one clip, or of one view of it.
static int write_indices(void *user, const struct result *r, const vdt_item *item,
                         const vdt_tokens *tokens) {
    struct classify *c = user;
    struct json_out json;
    json_begin(&json, c->indices.file);
    json_open(&json, '{');
    json_key(&json, "input");
    json_text(&json, r->input);
    json_key(&json, "clip");
    json_integer(&json, r->clip);
    json_key(&json, "view");
    json_integer(&json, item->view);
    reduction_print_indices(&json, tokens);
    json_close(&json, '}');
    json_end_line(&json);
    return ferror(c->indices.file) ? output_complain(&c->indices) : 0;
}

static int end(void *user, struct output *output) {
    (void)output;
    struct classify *c = user;
    c->whole = true;
    return 0;
}

int classify_run(const struct settings *settings) {
    struct classify c = {.settings = settings};
    const bool indices = settings->indices != NULL;
    const struct consumer consumer = {.logits = true,
                                      .begin = begin,
                                      .result = write_result,
                                      .view = indices ? write_indices : NULL,
                                      .end = end,
                                      .user = &c};
    if (indices && settings->resume) {
        fprintf(stderr, "vidette: --indices: expected without --resume, found both\n");
        return EXIT_USAGE;
    }
    if (indices && output_open(&c.indices, settings->indices, false, 0, settings->n_inputs)) {
        output_close(&c.indices, false);
        return EXIT_FAILED;
    }
    int status = pipeline_run(settings, "classify", &consumer);
    if (indices && output_close(&c.indices, c.whole)) status = EXIT_FAILED;
    free(c.probabilities);
    return status;
}
