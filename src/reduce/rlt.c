#include "reduce/rlt.h"

#include <math.h>

#include "core/checked.h"
#include "core/mix.h"
#include "core/status.h"
#include "reduce/select.h"

static size_t patches_of(const struct rlt *rlt) {
    return rlt->grid.t * rlt->grid.h * rlt->grid.w;
}

static size_t positions_of(const struct rlt *rlt) {
    return rlt->grid.h * rlt->grid.w;
}

/* ---- options ------------------------------------------------------------------------------- */

static int check_keep(const struct rlt *rlt, vdt_error *error) {
    const size_t least = rlt->prefix + positions_of(rlt), most = rlt->prefix + patches_of(rlt);
    if (rlt->options.keep >= least && rlt->options.keep <= most) return VDT_OK;
    return status_fail(
        error, VDT_ERROR_ARGUMENT,
        "rlt keep: expected %zu (a clip's first tubelet is always kept) .. %zu (all of "
        "it) tokens, found %u",
        least, most, rlt->options.keep);
}

int rlt_check(const struct rlt *rlt, bool has_table, vdt_error *error) {
    const vdt_rlt_options *options = &rlt->options;
    const uint32_t all = VDT_RLT_LENGTHS_BIAS | VDT_RLT_LENGTHS_POOL | VDT_RLT_LENGTHS_EMBED;
    if (options->mode > VDT_RLT_EVEN || options->reference > VDT_RLT_PREVIOUS ||
        (options->lengths & ~all)) {
        return status_fail(error, VDT_ERROR_ARGUMENT,
                           "rlt: unknown mode %d, reference %d or lengths %#x", (int)options->mode,
                           (int)options->reference, options->lengths);
    }
    if (options->mode == VDT_RLT_OFF) return VDT_OK;
    if (options->mode == VDT_RLT_THRESHOLD && !(options->tau >= 0.0 && isfinite(options->tau))) {
        return status_fail(error, VDT_ERROR_ARGUMENT,
                           "rlt tau: expected a finite number of at least 0, found %g",
                           options->tau);
    }
    if ((options->lengths & VDT_RLT_LENGTHS_EMBED) && !has_table) {
        return status_fail(
            error, VDT_ERROR_UNSUPPORTED,
            "rlt lengths: embed needs a model trained with it, and this one holds no "
            "tensor rlt.length_embedding.weight; use bias, pool or none");
    }
    return options->mode == VDT_RLT_THRESHOLD ? VDT_OK : check_keep(rlt, error);
}

void rlt_layout(struct rlt *rlt, struct arena *arena, size_t clips) {
    size_t count = 0;
    if (rlt->options.mode == VDT_RLT_OFF) return;
    if (!checked_multiply(&count, clips, patches_of(rlt))) arena->overflow = true;
    rlt->mask = arena_take(arena, count, sizeof *rlt->mask);
    rlt->keys = arena_take(arena, count, sizeof *rlt->keys);
}

/* ---- scores -------------------------------------------------------------------------------- */

struct run {
    struct exec *exec;
    const struct rlt *rlt;
    const vdt_clip *clips;
    struct sequence *sequence;
    double limit; // of S
};

static const uint8_t *corner(const struct run *run, size_t clip, size_t frame, size_t h, size_t w) {
    const vdt_clip *c = &run->clips[clip];
    const size_t p = run->rlt->patch;
    return c->pixels + frame * c->frame_stride + h * p * c->row_stride + w * p * 3;
}

// S of tubelet t at (h, w) against tubelet `before`.
static double score(const struct run *run, size_t clip, size_t t, size_t before, size_t h,
                    size_t w) {
    const size_t s = run->rlt->tubelet, stride = run->clips[clip].row_stride;
    return difference_score(run->exec->kernels, &run->rlt->scale,
                            corner(run, clip, t * s + s - 1, h, w), stride,
                            corner(run, clip, before * s, h, w), stride, run->rlt->patch);
}

// One position through the clip's time.
static void decide_by_threshold(const struct run *run, size_t clip, size_t h, size_t w) {
    const struct rlt *rlt = run->rlt;
    const bool run_head = rlt->options.reference == VDT_RLT_RUN_HEAD;
    uint8_t *mask = rlt->mask + clip * patches_of(rlt) + h * rlt->grid.w + w;
    size_t head = 0;
    mask[0] = 1;
    for (size_t t = 1; t < rlt->grid.t; t++) {
        const bool keep = score(run, clip, t, run_head ? head : t - 1, h, w) > run->limit;
        mask[t * positions_of(rlt)] = keep;
        if (keep) head = t;
    }
}

// Keys of one position, for budgets: scores against the tubelet before, or numbers made of (seed, patch).
static void key_position(const struct run *run, size_t clip, size_t h, size_t w) {
    const struct rlt *rlt = run->rlt;
    const bool random = rlt->options.mode == VDT_RLT_RANDOM;
    for (size_t t = 1; t < rlt->grid.t; t++) {
        const size_t patch = t * positions_of(rlt) + h * rlt->grid.w + w;
        rlt->keys[clip * patches_of(rlt) + patch] =
            random ? mix64((mix64(rlt->options.seed + MIX_STEP) ^ patch) + MIX_STEP)
                   : select_key(score(run, clip, t, t - 1, h, w));
    }
}

// One position where `steps` of its T tubelets stay, evenly spread: step t is the first of its share.
static void decide_evenly(const struct run *run, size_t clip, size_t h, size_t w) {
    const struct rlt *rlt = run->rlt;
    const size_t T = rlt->grid.t, steps = (rlt->options.keep - rlt->prefix) / positions_of(rlt);
    uint8_t *mask = rlt->mask + clip * patches_of(rlt) + h * rlt->grid.w + w;
    for (size_t t = 0; t < T; t++)
        mask[t * positions_of(rlt)] = t == 0 || t * steps / T > (t - 1) * steps / T;
}

// A row of positions of a clip.
static void score_task(void *argument, size_t task, size_t thread, void *scratch) {
    (void)thread;
    (void)scratch;
    const struct run *run = argument;
    const size_t clip = task / run->rlt->grid.h, h = task % run->rlt->grid.h;
    for (size_t w = 0; w < run->rlt->grid.w; w++) {
        switch (run->rlt->options.mode) {
        case VDT_RLT_THRESHOLD: decide_by_threshold(run, clip, h, w); break;
        case VDT_RLT_EVEN: decide_evenly(run, clip, h, w); break;
        default: key_position(run, clip, h, w);
        }
    }
}

/* ---- runs ---------------------------------------------------------------------------------- */

// The first tubelet's positions, then the highest keys.
static void decide_by_budget(const struct rlt *rlt, size_t clip) {
    const size_t n = patches_of(rlt), first = positions_of(rlt);
    uint8_t *mask = rlt->mask + clip * n;
    for (size_t i = 0; i < first; i++) mask[i] = 1;
    select_largest(mask + first, rlt->keys + clip * n + first, n - first,
                   rlt->options.keep - rlt->prefix - first);
}

// Indices, sources and run lengths of one clip from its mask, in token order: a tubelet that is dropped
// lengthens the run of the row that stands for the tubelet before it.
static void list_task(void *argument, size_t clip, size_t thread, void *scratch) {
    (void)thread;
    (void)scratch;
    const struct run *run = argument;
    const struct rlt *rlt = run->rlt;
    struct sequence *sequence = run->sequence;
    const size_t n = patches_of(rlt), positions = positions_of(rlt), prefix = rlt->prefix;
    uint32_t *indices = sequence->indices + clip * sequence->tokens,
             *lengths = sequence->lengths + clip * sequence->tokens,
             *source = sequence->source + clip * sequence->tokens;
    const vdt_rlt_mode mode = rlt->options.mode;
    if (mode == VDT_RLT_KEEP || mode == VDT_RLT_RANDOM) decide_by_budget(rlt, clip);
    const uint8_t *mask = rlt->mask + clip * n;
    uint32_t rows = (uint32_t)prefix; // of the prefix stays what sequence_start wrote
    for (size_t i = 0; i < n; i++) {
        const size_t token = prefix + i;
        if (mask[i]) {
            indices[rows] = (uint32_t)token;
            lengths[rows] = 1;
            source[token] = rows++;
        } else {
            source[token] = source[token - positions];
            lengths[source[token]]++;
        }
    }
    sequence->kept[clip] = rows;
}

// Sizes are run lengths where these weigh anything.
static void place_rows(struct sequence *sequence, bool weigh) {
    for (size_t b = 0; b < sequence->clips; b++)
        sequence->starts[b + 1] = sequence->starts[b] + sequence->kept[b];
    for (size_t b = 0; weigh && b < sequence->clips; b++) {
        for (size_t i = 0; i < sequence->kept[b]; i++) {
            const uint32_t length = sequence->lengths[b * sequence->tokens + i];
            const size_t row = sequence->starts[b] + i;
            sequence->sizes[row] = (float)length;
            sequence->log_sizes[row] = logf((float)length);
            if (length > 1) sequence->weighted = true;
        }
    }
}

void rlt_decide(struct exec *exec, const struct rlt *rlt, const vdt_clip *clips,
                struct sequence *sequence) {
    const double p = (double)rlt->patch;
    struct run run = {.exec = exec,
                      .rlt = rlt,
                      .clips = clips,
                      .sequence = sequence,
                      .limit = rlt->options.tau * rlt->scale.range * 3.0 * p * p};
    exec_run(exec, sequence->clips * rlt->grid.h, score_task, &run);
    exec_run(exec, sequence->clips, list_task, &run);
    place_rows(sequence, rlt->options.lengths & (VDT_RLT_LENGTHS_BIAS | VDT_RLT_LENGTHS_POOL));
}
