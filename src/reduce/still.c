#include "reduce/still.h"

#include <string.h>

#include "core/checked.h"

void still_start(struct still_state *state, double tau, bool learn) {
    memset(state, 0, sizeof *state);
    state->tau = learn ? 0.0 : tau;
    state->learning = learn ? STILL_LEARNING : 0;
}

// Copying one is less than handing it to a thread.
enum { PATCHES_A_TASK = 64 };

struct run {
    const struct exec *exec;
    struct still *still;
    const vdt_clip *clip;
    const uint32_t *index;
    double *scores;
    size_t n, patches; // of `index`; of a task
};

static size_t kept_stride(const struct still *still) {
    return still->grid.w * still->patch * 3;
}

// Where patch `i` of frame t begins among the kept bytes, and in the clip.
static uint8_t *kept_patch(const struct still *still, size_t t, size_t i) {
    const size_t y = i / still->grid.w * still->patch, x = i % still->grid.w * still->patch;
    const size_t rows = still->grid.h * still->patch;
    return still->pixels + (t * rows + y) * kept_stride(still) + 3 * x;
}

static const uint8_t *clip_patch(const struct still *still, const vdt_clip *clip, size_t t,
                                 size_t i) {
    const size_t y = i / still->grid.w * still->patch, x = i % still->grid.w * still->patch;
    return clip->pixels + t * clip->frame_stride + y * clip->row_stride + 3 * x;
}

// A row of patches: the largest S of each patch's frames.
static void score_task(void *argument, size_t row, size_t thread, void *scratch) {
    (void)thread;
    (void)scratch;
    const struct run *run = argument;
    const struct still *still = run->still;
    for (size_t x = 0; x < still->grid.w; x++) {
        const size_t i = row * still->grid.w + x;
        double largest = 0.0;
        for (size_t t = 0; t < still->tubelet; t++) {
            const double s = difference_score(
                run->exec->kernels, &still->scale, clip_patch(still, run->clip, t, i),
                run->clip->row_stride, kept_patch(still, t, i), kept_stride(still), still->patch);
            if (s > largest) largest = s;
        }
        run->scores[i] = largest;
    }
}

// Scores above the largest tolerance go into the last bin.
static void learn(struct still_state *state, const double *scores, size_t n, double unit) {
    for (size_t i = 0; i < n; i++) {
        const double bin = scores[i] / unit * (STILL_BINS / STILL_LARGEST);
        state->bins[bin < STILL_BINS - 1 ? (size_t)bin : STILL_BINS - 1]++;
    }
    if (--state->learning > 0) return;
    const size_t quarter = n * STILL_LEARNING / 4;
    size_t below = 0, bin = 0;
    while (bin < STILL_BINS - 1 && (below += state->bins[bin]) <= quarter) bin++;
    const double tau = STILL_MARGIN * (double)(bin + 1) * (STILL_LARGEST / STILL_BINS);
    state->tau = bin == 0 ? 0.0 : tau < STILL_LARGEST ? tau : STILL_LARGEST;
}

size_t still_test(struct exec *exec, struct still *still, const vdt_clip *clip, uint32_t *index,
                  double *scores) {
    struct still_state *state = still->state;
    struct run run = {.exec = exec, .still = still, .clip = clip, .scores = scores};
    const size_t n = still->grid.h * still->grid.w;
    const double unit = still->scale.range * (double)(3 * still->patch * still->patch);
    exec_run(exec, still->grid.h, score_task, &run);
    size_t changed = 0;
    for (size_t i = 0; i < n; i++) {
        if (scores[i] > state->tau * unit) index[changed++] = (uint32_t)i;
    }
    if (state->learning > 0) learn(state, scores, n, unit);
    return changed;
}

static void accept_patch(const struct run *run, size_t i) {
    const struct still *still = run->still;
    for (size_t t = 0; t < still->tubelet; t++) {
        uint8_t *to = kept_patch(still, t, i);
        const uint8_t *from = clip_patch(still, run->clip, t, i);
        for (size_t y = 0; y < still->patch; y++)
            memcpy(to + y * kept_stride(still), from + y * run->clip->row_stride, 3 * still->patch);
    }
}

static void accept_task(void *argument, size_t task, size_t thread, void *scratch) {
    (void)thread;
    (void)scratch;
    const struct run *run = argument;
    const size_t end = min_size((task + 1) * run->patches, run->n);
    for (size_t i = task * run->patches; i < end; i++) accept_patch(run, run->index[i]);
}

void still_accept(struct exec *exec, struct still *still, const vdt_clip *clip,
                  const uint32_t *index, size_t n) {
    struct run run = {.exec = exec, .still = still, .clip = clip, .index = index, .n = n};
    run.patches = exec_rows_a_task(exec, n, PATCHES_A_TASK);
    exec_run(exec, ceil_div(n, run.patches), accept_task, &run);
}
