#include "reduce/tome.h"

#include <math.h>
#include <string.h>

#include "core/checked.h"
#include "core/status.h"
#include "kernels/bf16.h"
#include "reduce/select.h"

static const uint32_t NONE = UINT32_MAX;

/* ---- options ------------------------------------------------------------------------------- */

static int check_list(const struct tome *tome, vdt_error *error) {
    const vdt_tome_options *options = &tome->options;
    if (!options->list || options->n_list != tome->blocks) {
        return status_fail(error, VDT_ERROR_ARGUMENT,
                           "tome list: expected %zu numbers, one a block, found %u", tome->blocks,
                           options->list ? options->n_list : 0);
    }
    for (size_t i = 0; i < tome->blocks; i++) {
        if (options->list[i] <= TOME_MAX_R) continue;
        return status_fail(error, VDT_ERROR_ARGUMENT,
                           "tome list: expected 0..%d in block %zu, found %u", TOME_MAX_R, i,
                           options->list[i]);
    }
    return VDT_OK;
}

int tome_check(const struct tome *tome, vdt_error *error) {
    const vdt_tome_options *options = &tome->options;
    if (options->mode > VDT_TOME_PERCENT || options->attention > VDT_TOME_PLAIN) {
        return status_fail(error, VDT_ERROR_ARGUMENT, "tome: unknown mode %d or attention %d",
                           (int)options->mode, (int)options->attention);
    }
    if (options->mode == VDT_TOME_SCHEDULE && options->r > TOME_MAX_R) {
        return status_fail(error, VDT_ERROR_ARGUMENT, "tome r: expected 0..%d, found %u",
                           TOME_MAX_R, options->r);
    }
    if (options->mode == VDT_TOME_SCHEDULE &&
        !(options->inflection >= -1.0 && options->inflection <= 1.0)) {
        return status_fail(error, VDT_ERROR_ARGUMENT, "tome inflection: expected -1..1, found %g",
                           options->inflection);
    }
    if (options->mode == VDT_TOME_PERCENT &&
        !(options->percent >= 0.0 && options->percent <= 100.0)) {
        return status_fail(error, VDT_ERROR_ARGUMENT, "tome percent: expected 0..100, found %g",
                           options->percent);
    }
    return options->mode == VDT_TOME_LIST ? check_list(tome, error) : VDT_OK;
}

uint32_t tome_schedule(uint32_t r, double inflection, size_t i, size_t blocks) {
    if (blocks == 1) return r;
    const int64_t lo = (int64_t)((double)r * (1.0 - inflection)), hi = 2 * (int64_t)r - lo;
    const int64_t last = (int64_t)blocks - 1;
    return (uint32_t)((lo * last + (hi - lo) * (int64_t)i) / last);
}

void tome_prepare(struct tome *tome) {
    const vdt_tome_options *options = &tome->options;
    for (size_t i = 0; options->mode == VDT_TOME_SCHEDULE && i < tome->blocks; i++)
        tome->r[i] = tome_schedule(options->r, options->inflection, i, tome->blocks);
    if (options->mode == VDT_TOME_LIST)
        memcpy(tome->r, options->list, tome->blocks * sizeof *tome->r);
    tome->options.list = NULL;
}

size_t tome_merges(const struct tome *tome, size_t n, size_t prefix, size_t i) {
    const size_t most = (n - prefix) / 2;
    if (tome->options.mode == VDT_TOME_OFF) return 0;
    if (tome->options.mode == VDT_TOME_PERCENT)
        return min_size((size_t)(tome->options.percent * (double)n / 100.0), most);
    return min_size(tome->r[i], most);
}

/* ---- workspace ----------------------------------------------------------------------------- */

static size_t a_place(const struct sequence *sequence, size_t clip) {
    return sequence->starts[clip] / 2 + clip;
}

static size_t panel_place(const struct sequence *sequence, size_t clip) {
    return sequence->starts[clip] / (2 * MATCH_PANEL) + clip;
}

void tome_layout(struct tome *tome, struct arena *arena, size_t clips, size_t tokens) {
    size_t rows = 0, a = 0, panels = 0;
    if (tome->options.mode == VDT_TOME_OFF) return;
    if (!checked_multiply(&rows, clips, tokens) || !checked_add(&a, rows / 2, clips) ||
        !checked_add(&panels, rows / (2 * MATCH_PANEL), clips) ||
        !checked_multiply(&panels, panels, MATCH_PANEL)) {
        arena->overflow = true;
    }
    tome->r = arena_take(arena, tome->blocks, sizeof *tome->r);
    tome->a = arena_take(arena, a, tome->d * sizeof *tome->a);
    tome->panels = arena_take(arena, panels, tome->d * sizeof *tome->panels);
    tome->best = arena_take(arena, a, sizeof *tome->best);
    tome->column = arena_take(arena, a, sizeof *tome->column);
    tome->keys = arena_take(arena, a, sizeof *tome->keys);
    tome->chosen = arena_take(arena, a, sizeof *tome->chosen);
    tome->first = arena_take(arena, rows, sizeof *tome->first);
    tome->next = arena_take(arena, a, sizeof *tome->next);
    tome->order = arena_take(arena, rows, sizeof *tome->order);
    tome->to = arena_take(arena, rows, sizeof *tome->to);
    tome->starts = arena_take(arena, clips + 1, sizeof *tome->starts);
    tome->sizes = arena_take(arena, rows, sizeof *tome->sizes);
}

struct run {
    struct exec *exec;
    const struct tome *tome;
    struct sequence *sequence;
    struct rows y, x, keys;
    size_t block;
    size_t tasks_a_clip;
};

// A and B of a clip: rows first, first + 2, ... of it.
struct half {
    size_t first, n;
};

static struct half half_of(const struct sequence *sequence, size_t clip, size_t parity) {
    const size_t rows = sequence_rows(sequence, clip), prefix = sequence->prefix;
    const size_t first = prefix + (prefix + parity) % 2;
    return (struct half){first, first < rows ? (rows - first + 1) / 2 : 0};
}

enum { PARITY_A = 0, PARITY_B = 1 };

/* ---- metric -------------------------------------------------------------------------------- */

static void add_int8(float *sum, const uint8_t *key, size_t d, uint8_t flip) {
    const float scale = format_scale(key, d);
    for (size_t j = 0; j < d; j++) sum[j] += (float)(int8_t)(key[j] ^ flip) * scale;
}

// Sum over heads of a row of keys, which has the direction of their mean.
static void sum_heads(float *sum, const struct run *run, size_t row) {
    const struct tome *tome = run->tome;
    const struct rows keys = run->keys;
    for (size_t j = 0; j < tome->d; j++) sum[j] = 0.0f;
    for (size_t h = 0; h < tome->heads; h++) {
        const void *key = rows_at(rows_columns(keys, h * tome->d), row);
        const float *f32 = key;
        const uint16_t *bf16 = key;
        if (tome->int8_keys) {
            add_int8(sum, key, tome->d, run->exec->kernels->weights_flip);
            continue;
        }
        for (size_t j = 0; j < tome->d && keys.format == FORMAT_F32; j++) sum[j] += f32[j];
        for (size_t j = 0; j < tome->d && keys.format == FORMAT_BF16; j++)
            sum[j] += bf16_to_f32(bf16[j]);
    }
}

// The nearest integer, ties to even, of |x| < 2^51: what lies below the sum's last bit is rounded away.
static double nearest(double x) {
    const double large = 0x1.8p52;
    return x + large - large;
}

// The row's direction in units of 2^-26, to out[0], out[stride], ...
static void quantise(double *out, size_t stride, const float *sum, size_t d) {
    double square = 0.0;
    for (size_t j = 0; j < d; j++) square += (double)sum[j] * (double)sum[j];
    const double scale = square > 0.0 ? 0x1p26 / sqrt(square) : 0.0;
    for (size_t j = 0; j < d; j++) out[j * stride] = nearest((double)sum[j] * scale);
}

enum { METRIC_ROWS = 64 }; // of A and of B a task; a multiple of MATCH_PANEL

static void metric_task(void *argument, size_t task, size_t thread, void *scratch) {
    (void)thread;
    (void)scratch;
    const struct run *run = argument;
    const struct tome *tome = run->tome;
    const size_t clip = task / run->tasks_a_clip, begin = task % run->tasks_a_clip * METRIC_ROWS;
    const struct half a = half_of(run->sequence, clip, PARITY_A),
                      b = half_of(run->sequence, clip, PARITY_B);
    const size_t rows = run->sequence->starts[clip], d = tome->d;
    double *to_a = tome->a + a_place(run->sequence, clip) * d;
    double *to_b = tome->panels + panel_place(run->sequence, clip) * MATCH_PANEL * d;
    float sum[ATTENTION_MAX_D];
    for (size_t i = begin; i < begin + METRIC_ROWS && i < a.n; i++) {
        sum_heads(sum, run, rows + a.first + 2 * i);
        quantise(to_a + i * d, 1, sum, d);
    }
    for (size_t i = begin; i < begin + METRIC_ROWS && i < b.n; i++) {
        sum_heads(sum, run, rows + b.first + 2 * i);
        quantise(to_b + i / MATCH_PANEL * MATCH_PANEL * d + i % MATCH_PANEL, MATCH_PANEL, sum, d);
    }
}

/* ---- matching ------------------------------------------------------------------------------ */

enum { MATCH_ROWS = 48 };

static void match_task(void *argument, size_t task, size_t thread, void *scratch) {
    (void)thread;
    (void)scratch;
    const struct run *run = argument;
    const struct tome *tome = run->tome;
    const size_t clip = task / run->tasks_a_clip, begin = task % run->tasks_a_clip * MATCH_ROWS;
    const struct half a = half_of(run->sequence, clip, PARITY_A),
                      b = half_of(run->sequence, clip, PARITY_B);
    if (begin >= a.n || b.n == 0) return;
    const size_t at = a_place(run->sequence, clip) + begin;
    run->exec->kernels->match_f64(
        tome->best + at, tome->column + at, tome->a + at * tome->d,
        min_size(MATCH_ROWS, a.n - begin),
        tome->panels + panel_place(run->sequence, clip) * MATCH_PANEL * tome->d, b.n, tome->d);
}

// What merges into which row: lists that ascend, since they are built from the end.
static void link_rows(const struct run *run, size_t clip) {
    const struct tome *tome = run->tome;
    const struct half a = half_of(run->sequence, clip, PARITY_A),
                      b = half_of(run->sequence, clip, PARITY_B);
    const size_t at = a_place(run->sequence, clip);
    uint32_t *first = tome->first + run->sequence->starts[clip], *next = tome->next + at;
    for (size_t i = 0; i < sequence_rows(run->sequence, clip); i++) first[i] = NONE;
    for (size_t i = a.n; i-- > 0;) {
        if (!tome->chosen[at + i]) continue;
        const size_t row = b.first + 2 * tome->column[at + i];
        next[i] = first[row];
        first[row] = (uint32_t)i;
    }
}

// A clip that merges nothing stays as it is, whatever it is packed with.
static void keep_rows(const struct run *run, size_t clip) {
    const size_t start = run->sequence->starts[clip];
    for (size_t i = 0; i < sequence_rows(run->sequence, clip); i++) {
        run->tome->order[start + i] = run->tome->to[start + i] = (uint32_t)i;
        run->tome->first[start + i] = NONE;
    }
}

// The new sequence of rows: special ones, what is left of A, B.
static void order_rows(const struct run *run, size_t clip) {
    const struct tome *tome = run->tome;
    const struct half a = half_of(run->sequence, clip, PARITY_A),
                      b = half_of(run->sequence, clip, PARITY_B);
    const size_t at = a_place(run->sequence, clip), start = run->sequence->starts[clip];
    uint32_t *order = tome->order + start, *to = tome->to + start, n = 0;
    for (size_t i = 0; i < run->sequence->prefix; i++) order[n++] = (uint32_t)i;
    for (size_t i = 0; i < a.n; i++) {
        if (!tome->chosen[at + i]) order[n++] = (uint32_t)(a.first + 2 * i);
    }
    for (size_t i = 0; i < b.n; i++) order[n++] = (uint32_t)(b.first + 2 * i);
    for (size_t i = 0; i < n; i++) to[order[i]] = (uint32_t)i;
    for (size_t i = 0; i < a.n; i++) {
        if (tome->chosen[at + i]) to[a.first + 2 * i] = to[b.first + 2 * tome->column[at + i]];
    }
}

static void link_task(void *argument, size_t clip, size_t thread, void *scratch) {
    (void)thread;
    (void)scratch;
    const struct run *run = argument;
    const struct tome *tome = run->tome;
    struct sequence *sequence = run->sequence;
    const struct half a = half_of(sequence, clip, PARITY_A);
    const size_t at = a_place(sequence, clip), start = sequence->starts[clip];
    const size_t r = tome_merges(tome, sequence_rows(sequence, clip), sequence->prefix, run->block);
    if (r == 0) {
        keep_rows(run, clip);
        return;
    }
    for (size_t i = 0; i < a.n; i++) tome->keys[at + i] = select_key(tome->best[at + i]);
    select_largest(tome->chosen + at, tome->keys + at, a.n, r);
    link_rows(run, clip);
    order_rows(run, clip);
    uint32_t *source = sequence->source + clip * sequence->tokens;
    for (size_t i = 0; i < sequence->tokens; i++) source[i] = tome->to[start + source[i]];
}

/* ---- merging ------------------------------------------------------------------------------- */

// y = (s x + sum s_a x_a) / total over the list of rows that merge into this one.
static void merge_row(const struct run *run, size_t clip, float *y, size_t row, float *size) {
    const struct tome *tome = run->tome;
    const float *sizes = run->sequence->sizes;
    const size_t start = run->sequence->starts[clip], width = tome->heads * tome->d;
    const struct half a = half_of(run->sequence, clip, PARITY_A);
    const uint32_t *next = tome->next + a_place(run->sequence, clip);
    const float *x = rows_at(run->x, start + row);
    float total = sizes[start + row];
    for (size_t j = 0; j < width; j++) y[j] = total * x[j];
    for (uint32_t i = tome->first[start + row]; i != NONE; i = next[i]) {
        const size_t other = start + a.first + 2 * i;
        const float s = sizes[other], *part = rows_at(run->x, other);
        for (size_t j = 0; j < width; j++) y[j] += s * part[j];
        total += s;
    }
    for (size_t j = 0; j < width; j++) y[j] /= total;
    *size = total;
}

enum { MERGE_ROWS = 32 };

static void merge_task(void *argument, size_t task, size_t thread, void *scratch) {
    (void)thread;
    (void)scratch;
    const struct run *run = argument;
    const struct tome *tome = run->tome;
    const size_t clip = task / run->tasks_a_clip, begin = task % run->tasks_a_clip * MERGE_ROWS;
    const size_t old = run->sequence->starts[clip], new = tome->starts[clip];
    const size_t n = tome->starts[clip + 1] - new, bytes = tome->heads * tome->d * sizeof(float);
    for (size_t i = begin; i < n && i < begin + MERGE_ROWS; i++) {
        const size_t row = tome->order[old + i];
        if (tome->first[old + row] == NONE) {
            memcpy(rows_at(run->y, new + i), rows_at(run->x, old + row), bytes);
            tome->sizes[new + i] = run->sequence->sizes[old + row];
        } else {
            merge_row(run, clip, rows_at(run->y, new + i), row, &tome->sizes[new + i]);
        }
    }
}

static size_t most_rows(const struct sequence *sequence) {
    size_t most = 0;
    for (size_t b = 0; b < sequence->clips; b++) most = max_size(most, sequence_rows(sequence, b));
    return most;
}

static void run_clips(struct run *run, size_t rows_a_task, size_t rows, exec_task *task) {
    run->tasks_a_clip = ceil_div(rows, rows_a_task);
    exec_run(run->exec, run->sequence->clips * run->tasks_a_clip, task, run);
}

bool tome_merge(struct exec *exec, const struct tome *tome, struct sequence *sequence, size_t i,
                struct rows y, struct rows x, struct rows keys) {
    struct run run = {exec, tome, sequence, y, x, keys, i, 0};
    const size_t clips = sequence->clips, most = most_rows(sequence);
    size_t merges = 0;
    tome->starts[0] = 0;
    for (size_t b = 0; b < clips; b++) {
        const size_t r = tome_merges(tome, sequence_rows(sequence, b), sequence->prefix, i);
        tome->starts[b + 1] = tome->starts[b] + sequence_rows(sequence, b) - r;
        merges += r;
    }
    if (merges == 0) return false;
    run_clips(&run, METRIC_ROWS, (most + 1) / 2, metric_task);
    run_clips(&run, MATCH_ROWS, (most + 1) / 2, match_task);
    exec_run(exec, clips, link_task, &run);
    run_clips(&run, MERGE_ROWS, most, merge_task);
    memcpy(sequence->starts, tome->starts, (clips + 1) * sizeof *sequence->starts);
    memcpy(sequence->sizes, tome->sizes, sequence_total(sequence) * sizeof *sequence->sizes);
    for (size_t row = 0; row < sequence_total(sequence); row++)
        sequence->log_sizes[row] = logf(sequence->sizes[row]);
    sequence->weighted = true;
    return true;
}
