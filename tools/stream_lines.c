#include "stream_lines.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "json_out.h"
#include "top_classes.h"

static const double LEAST_MS = 1e-3, BIN_RATIO = 1.0025;

int stream_totals_open(struct stream_totals *totals, const struct settings *settings,
                       const vdt_model *model, const vdt_session *session, bool top) {
    *totals = (struct stream_totals){
        .settings = settings, .model = model, .shape = vdt_session_shape(session)};
    totals->state_bytes = vdt_session_stream(session)->state_bytes;
    if (!top || totals->shape->logits == 0) return 0;
    totals->probabilities = malloc(totals->shape->logits * sizeof *totals->probabilities);
    if (!totals->probabilities) fprintf(stderr, "vidette: out of memory\n");
    return totals->probabilities ? 0 : -1;
}

void stream_totals_close(struct stream_totals *totals) {
    free(totals->probabilities);
}

static uint64_t macs_done(const struct stream_totals *totals, const struct stream_result *result) {
    return totals->settings->macs_eventful ? result->info->macs_eventful : result->stats->macs;
}

static uint64_t macs_dense(const struct stream_totals *totals, const struct stream_result *result) {
    return totals->settings->macs_eventful ? result->info->macs_eventful_dense
                                           : result->stats->macs_dense;
}

void stream_totals_add(struct stream_totals *totals, const struct stream_result *result) {
    totals->frames++;
    totals->dropped += result->dropped;
    totals->cuts += result->cut;
    totals->macs_done += macs_done(totals, result);
    totals->macs_dense += macs_dense(totals, result);
    if (result->info->first) return;
    if (totals->settings->budget_ms > 0.0 && result->step_ms > totals->settings->budget_ms)
        totals->missed++;
    const double bin = log(fmax(result->step_ms, LEAST_MS) / LEAST_MS) / log(BIN_RATIO);
    totals->steps[bin < STREAM_BINS - 1 ? (size_t)bin : STREAM_BINS - 1]++;
    totals->n_steps++;
    totals->longest = fmax(totals->longest, result->step_ms);
}

/* ---- a frame ------------------------------------------------------------------------------- */

static void put_integer(struct json_out *json, const char *key, uint64_t value) {
    json_key(json, key);
    json_integer(json, value);
}

static void put_bool(struct json_out *json, const char *key, bool value) {
    json_key(json, key);
    json_bool(json, value);
}

static void put_ms(struct json_out *json, const char *name, double ms) {
    json_key(json, name);
    json_number(json, round(ms * 1e3) * 1e-3, 9);
}

static void put_macs(struct json_out *json, uint64_t dense, uint64_t done) {
    json_key(json, "macs");
    json_open(json, '{');
    put_integer(json, "dense", dense);
    put_integer(json, "done", done);
    json_close(json, '}');
}

static void put_tokens(struct json_out *json, const struct stream_totals *totals,
                       const vdt_stream_info *info) {
    json_key(json, "tokens");
    json_open(json, '{');
    put_integer(json, "total", totals->shape->tokens);
    put_integer(json, "changed", info->changed);
    json_key(json, "updated");
    json_open(json, '[');
    for (size_t i = 0; i < info->gates; i++) json_integer(json, info->updated[i]);
    json_close(json, ']');
    json_close(json, '}');
}

static void put_stages(struct json_out *json, const struct stream_result *result) {
    const vdt_stats *stats = result->stats;
    json_key(json, "ms");
    json_open(json, '{');
    put_ms(json, "decode", result->item->decode_ms);
    put_ms(json, "preprocess", result->item->preprocess_ms);
    put_ms(json, "decide", stats->decide_ms);
    put_ms(json, "embed", stats->embed_ms);
    put_ms(json, "blocks", stats->blocks_ms);
    put_ms(json, "head", stats->head_ms);
    put_ms(json, "step", result->step_ms);
    put_ms(json, "total", result->item->decode_ms + result->item->preprocess_ms + result->step_ms);
    json_close(json, '}');
}

static void put_top(struct json_out *json, struct stream_totals *totals,
                    const struct stream_result *result, FILE *file) {
    const size_t n = totals->shape->logits;
    memcpy(totals->probabilities, result->logits, n * sizeof *totals->probabilities);
    vdt_softmax(totals->probabilities, n);
    print_top_classes(json, file, totals->model, totals->probabilities, n, totals->settings->top);
}

void print_stream_line(struct stream_totals *totals, const struct stream_result *result,
                       FILE *file) {
    const vdt_stream_info *info = result->info;
    struct json_out json;
    json_begin(&json, file);
    json_open(&json, '{');
    put_integer(&json, "frame", result->frame);
    json_key(&json, "time");
    json_number(&json, result->time, 9);
    put_bool(&json, "first", info->first);
    if (result->cut) put_bool(&json, "scene_cut", true);
    if (result->dropped > 0) put_integer(&json, "dropped", result->dropped);
    if (totals->probabilities) {
        json_key(&json, "top");
        json_open(&json, '[');
        put_top(&json, totals, result, file);
        json_close(&json, ']');
        if (totals->settings->logits) {
            json_key(&json, "logits");
            json_floats(&json, result->logits, totals->shape->logits);
        }
    }
    put_tokens(&json, totals, info);
    if (totals->settings->budget_ms > 0.0 || totals->settings->stream.update == VDT_UPDATE_TOP)
        put_integer(&json, "r", info->r);
    put_macs(&json, macs_dense(totals, result), macs_done(totals, result));
    put_stages(&json, result);
    json_close(&json, '}');
    json_end_line(&json);
}

void print_stream_text(struct stream_totals *totals, const struct stream_result *result,
                       FILE *file) {
    const vdt_stream_info *info = result->info;
    fprintf(file, "%llu  %.2f s  %u of %u patches changed, %.1f ms%s\n",
            (unsigned long long)result->frame, result->time, info->changed, info->patches,
            result->step_ms,
            info->first   ? ", first"
            : info->idle  ? ", nothing to do"
            : result->cut ? ", scene cut"
                          : "");
    if (totals->probabilities) put_top(NULL, totals, result, file);
}

/* ---- the summary --------------------------------------------------------------------------- */

// What `share` of the steps do not exceed: the middle of the bin where that many have been counted.
static double percentile(const struct stream_totals *totals, double share) {
    uint64_t counted = 0;
    size_t bin = 0;
    if (totals->n_steps == 0) return NAN;
    while ((double)(counted += totals->steps[bin]) < share * (double)totals->n_steps) bin++;
    return fmin(LEAST_MS * pow(BIN_RATIO, (double)bin + 0.5), totals->longest);
}

static uint64_t resident_bytes(void) {
    unsigned long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file) return 0;
    if (fscanf(file, "%*u %llu", &pages) != 1) pages = 0;
    fclose(file);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void print_summary_json(const struct stream_totals *totals, FILE *file) {
    struct json_out json;
    json_begin(&json, file);
    json_open(&json, '{');
    json_key(&json, "summary");
    json_open(&json, '{');
    put_integer(&json, "frames", totals->frames);
    json_key(&json, "ms");
    json_open(&json, '{');
    put_ms(&json, "p50", percentile(totals, 0.5));
    put_ms(&json, "p95", percentile(totals, 0.95));
    put_ms(&json, "p99", percentile(totals, 0.99));
    put_ms(&json, "max", totals->n_steps > 0 ? totals->longest : NAN);
    json_close(&json, '}');
    put_integer(&json, "missed", totals->missed);
    put_integer(&json, "dropped", totals->dropped);
    put_integer(&json, "scene_cuts", totals->cuts);
    put_macs(&json, totals->macs_dense, totals->macs_done);
    json_key(&json, "speedup_macs");
    json_number(&json, (double)totals->macs_dense / (double)totals->macs_done, 6);
    put_integer(&json, "rss_bytes", resident_bytes());
    put_integer(&json, "state_bytes", totals->state_bytes);
    json_close(&json, '}');
    json_close(&json, '}');
    json_end_line(&json);
}

void print_stream_summary(struct stream_totals *totals, FILE *file, bool json) {
    if (json) {
        print_summary_json(totals, file);
        return;
    }
    fprintf(file, "%llu %s", (unsigned long long)totals->frames,
            totals->frames == 1 ? "frame" : "frames");
    if (totals->n_steps > 0) {
        fprintf(file,
                ", %.1f ms a step (median; 99 %%: %.1f), %.2f times fewer operations than dense, "
                "%llu late, %llu dropped",
                percentile(totals, 0.5), percentile(totals, 0.99),
                (double)totals->macs_dense / (double)totals->macs_done,
                (unsigned long long)totals->missed, (unsigned long long)totals->dropped);
    }
    fprintf(file, "\n");
}
