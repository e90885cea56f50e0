// Attention that is kept up to date, `exact` against double precision over thousands of steps, `delta` against the
// NumPy twin (ref/eventful.py, tests/vectors/delta.txt); windows whose q, k and v are kept against ops_attention, bit by
// bit.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exec_bench.h"
#include "kernels/bf16.h"
#include "kernels/cpu.h"
#include "nn/windows.h"
#include "reduce/delta_attention.h"
#include "reduce/exact_attention.h"

// One sequence with its tables, and everything that both attentions want.
struct attending {
    struct exec_bench bench;
    size_t n, heads, d, width;
    enum format format;
    struct relative_positions relative;
    float *table_h, *table_w;
    struct attention_shape shape;
    size_t starts[2];
    struct rows qkv, fresh;
    struct rows held, coming; // of int8 scores: the same, encoded
    void *panels;
    struct exact_attention exact;
    struct delta_attention delta;
};

// Aligned to cache lines.
static unsigned char *make_zeros(size_t bytes) {
    const size_t rounded = (bytes + 63) / 64 * 64;
    unsigned char *zeros = aligned_alloc(64, rounded);
    assert_non_null(zeros);
    return memset(zeros, 0, rounded);
}

static unsigned char *pack_table(const struct attending *a, const float *table, size_t n) {
    size_t bytes;
    const enum format format = a->shape.int8_scores ? FORMAT_I8 : a->format;
    assert_true(ops_table_bytes(&bytes, &a->bench.kernels, format, n, a->d));
    unsigned char *panels = make_bytes(bytes),
                  *encoded = make_bytes(n * format_row_bytes(format, a->d));
    ops_table_pack(panels, &a->bench.kernels, format, table, n, a->d, attention_scale(a->d),
                   encoded);
    free(encoded);
    return panels;
}

static void open_attending(struct attending *a, size_t height, size_t width, size_t heads, size_t d,
                           enum format format, vdt_cpu level, size_t threads, bool relative) {
    *a = (struct attending){.n = height * width, .heads = heads, .d = d, .width = heads * d};
    a->format = format;
    a->relative = (struct relative_positions){.height = height, .width = width};
    const size_t scratch = delta_attention_scratch_bytes(a->n, d, &a->relative);
    open_exec(&a->bench, level, threads, scratch);
    const size_t element = format == FORMAT_BF16 ? 2 : 4, bytes = 3 * a->width * element;
    a->qkv = (struct rows){make_bytes(a->n * bytes), bytes, format};
    a->fresh = (struct rows){make_bytes(a->n * bytes), bytes, format};
    a->held = (struct rows){make_bytes(a->n * bytes), bytes, format};
    a->coming = (struct rows){make_bytes(a->n * bytes), bytes, format};
    a->table_h = calloc((2 * height - 1) * d, sizeof(float));
    a->table_w = calloc((2 * width - 1) * d, sizeof(float));
    a->starts[1] = a->n;
    a->shape = (struct attention_shape){.n_sequences = 1,
                                        .q_starts = a->starts,
                                        .k_starts = a->starts,
                                        .heads = heads,
                                        .d = d,
                                        .scale = attention_scale(d),
                                        .relative = relative ? &a->relative : NULL};
    size_t exact_bytes, delta_bytes;
    assert_true(ops_attention_panels(&exact_bytes, &a->bench.kernels, format, a->n, 1, heads, d));
    assert_true(delta_attention_panels(&delta_bytes, &a->bench.kernels, a->n, heads, d));
    const size_t panels = exact_bytes > delta_bytes ? exact_bytes : delta_bytes;
    a->panels = make_zeros(panels);
    size_t kept;
    assert_true(ops_kept_bytes(&kept, &a->bench.kernels, format, false, a->n, 1, heads, d));
    a->exact = (struct exact_attention){.n = a->n,
                                        .rows = a->n,
                                        .kept = make_zeros(kept),
                                        .o = make_floats(a->n * a->width),
                                        .max = make_floats(a->n * heads),
                                        .sum = make_floats(a->n * heads),
                                        .error = make_floats(a->n * heads),
                                        .others = calloc(a->n, sizeof(uint32_t)),
                                        .key_y = calloc(a->n, sizeof(uint32_t)),
                                        .key_x = calloc(a->n, sizeof(uint32_t)),
                                        .wild = calloc(heads, sizeof(bool)),
                                        .panels = a->panels};
    a->delta = (struct delta_attention){.n = a->n,
                                        .b = make_floats(heads * a->n * a->n),
                                        .a = make_floats(heads * a->n * a->n),
                                        .av = make_floats(a->n * a->width),
                                        .dv = make_floats(a->n * a->width),
                                        .old = make_floats(a->n * a->width),
                                        .changed = calloc(a->n, sizeof(bool)),
                                        .panels = a->panels};
}

static void pack_tables(struct attending *a) {
    a->relative.h = pack_table(a, a->table_h, 2 * a->relative.height - 1);
    a->relative.w = pack_table(a, a->table_w, 2 * a->relative.width - 1);
}

static void close_attending(struct attending *a) {
    void *blocks[] = {a->relative.h,  a->relative.w,  a->table_h,      a->table_w,
                      a->held.data,   a->coming.data, a->qkv.data,     a->fresh.data,
                      a->panels,      a->exact.kept,  a->exact.o,      a->exact.max,
                      a->exact.sum,   a->exact.error, a->exact.others, a->exact.key_y,
                      a->exact.key_x, a->exact.wild,  a->delta.b,      a->delta.a,
                      a->delta.av,    a->delta.dv,    a->delta.old,    a->delta.changed};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) free(blocks[i]);
    close_exec(&a->bench);
}

static FILE *open_vectors(void) {
    FILE *file = fopen(source_path("tests/vectors/delta.txt"), "r");
    assert_non_null(file);
    return file;
}

static void scan_floats(FILE *file, float *values, size_t n) {
    for (size_t i = 0; i < n; i++) assert_int_equal(fscanf(file, "%f", &values[i]), 1);
}

static void delta_is_the_recurrence(void **state) {
    (void)state;
    for (int level = VDT_CPU_C; level <= (int)cpu_detect(); level++) {
        FILE *file = open_vectors();
        size_t height, width, heads, d, steps;
        assert_int_equal(fscanf(file, "%zu %zu %zu %zu %zu", &height, &width, &heads, &d, &steps),
                         5);
        struct attending a;
        open_attending(&a, height, width, heads, d, FORMAT_F32, (vdt_cpu)level, 2, true);
        float *expected = make_floats(a.n * a.width);
        scan_floats(file, a.table_h, (2 * height - 1) * d);
        scan_floats(file, a.table_w, (2 * width - 1) * d);
        pack_tables(&a);
        scan_floats(file, a.qkv.data, a.n * 3 * a.width);
        scan_floats(file, expected, a.n * a.width);
        delta_attention_flush(&a.bench.exec, &a.delta, a.qkv, &a.shape);
        assert_true(relative_error(a.delta.av, expected, a.n * a.width) < 1e-6);
        for (size_t step = 0; step < steps; step++) {
            uint32_t index[4];
            for (size_t i = 0; i < 4; i++) assert_int_equal(fscanf(file, "%u", &index[i]), 1);
            scan_floats(file, a.fresh.data, 4 * 3 * a.width);
            scan_floats(file, expected, a.n * a.width);
            delta_attention_update(&a.bench.exec, &a.delta, a.qkv, a.fresh, index, 4, &a.shape);
            assert_true(relative_error(a.delta.av, expected, a.n * a.width) < 2e-6);
        }
        free(expected);
        fclose(file);
        close_attending(&a);
    }
}

static double number(const struct attending *a, size_t row, size_t column) {
    const unsigned char *at = (const unsigned char *)a->qkv.data + row * a->qkv.bytes;
    if (a->format == FORMAT_BF16)
        return (double)bf16_to_f32(((const uint16_t *)(const void *)at)[column]);
    return (double)((const float *)(const void *)at)[column];
}

// What the scores' product reads of q and k (n, 2 width): the numbers, or what their int8 encoding stands for.
static float *score_numbers(const struct attending *a) {
    float *numbers = make_floats(a->n * 2 * a->width);
    for (size_t i = 0; i < a->n; i++) {
        for (size_t c = 0; c < 2 * a->width; c++)
            numbers[i * 2 * a->width + c] = (float)number(a, i, c);
    }
    for (size_t i = 0; i < a->n && a->shape.int8_scores; i++) {
        float *q = numbers + i * 2 * a->width;
        quantise_rows(&a->bench.kernels, q, a->heads, a->d);
        quantise_weights(&a->bench.kernels, q + a->width, a->heads, a->d, 1.0f);
    }
    return numbers;
}

// The largest |o / l - softmax(...) v| of a row and head, over the rms of v, in double.
static double worst_row(const struct attending *a) {
    double worst = 0.0, squares = 0.0;
    float *row = make_floats(a->width);
    float *scores = score_numbers(a);
    double *weights = malloc(a->n * sizeof *weights);
    for (size_t j = 0; j < a->n; j++) {
        for (size_t c = 0; c < a->d; c++) squares += pow(number(a, j, 2 * a->width + c), 2);
    }
    const double rms = sqrt(squares / (double)a->n);
    for (size_t i = 0; i < a->n; i++) {
        exact_attention_read(&a->exact, i, i, row, a->heads, a->d);
        for (size_t h = 0; h < a->heads; h++) {
            double max = -INFINITY, sum = 0.0, error = 0.0;
            for (size_t j = 0; j < a->n; j++) {
                const size_t w = a->relative.width, y = j / w + a->relative.height - 1 - i / w,
                             x = j % w + w - 1 - i % w;
                double score = 0.0, added = 0.0;
                for (size_t c = 0; c < a->d; c++) {
                    const double q = (double)scores[i * 2 * a->width + h * a->d + c];
                    score += q * (double)scores[(j * 2 + 1) * a->width + h * a->d + c];
                    added += q * (double)(a->table_h[y * a->d + c] + a->table_w[x * a->d + c]);
                }
                weights[j] = score / sqrt((double)a->d) + (a->shape.relative ? added : 0.0);
                max = fmax(max, weights[j]);
            }
            for (size_t j = 0; j < a->n; j++) sum += weights[j] = exp(weights[j] - max);
            for (size_t c = 0; c < a->d; c++) {
                double value = 0.0;
                for (size_t j = 0; j < a->n; j++)
                    value += weights[j] / sum * number(a, j, 2 * a->width + h * a->d + c);
                error += pow((double)row[h * a->d + c] - value, 2);
            }
            worst = fmax(worst, sqrt(error) / rms);
        }
    }
    free(row);
    free(weights);
    free(scores);
    return worst;
}

struct regime {
    const char *name;
    float gain, keep; // of q and k; share of a row that stays
    bool spikes;      // now and then a key that dominates
    bool cuts;        // now and then everything is new
    float drift;      // added to every changed row's q and k a step: a lighting ramp
};

static void put_number(struct rows rows, size_t row, size_t column, float value) {
    unsigned char *at = (unsigned char *)rows.data + row * rows.bytes;
    if (rows.format == FORMAT_BF16)
        ((uint16_t *)(void *)at)[column] = bf16_from_f32(value);
    else
        ((float *)(void *)at)[column] = value;
}

// The next rows index[0..m), from the present ones.
static void make_fresh(struct attending *a, struct random *random, const struct regime *regime,
                       const uint32_t *index, size_t m, bool cut, size_t step) {
    const float keep = cut ? 0.0f : regime->keep, fresh = sqrtf(1.0f - keep * keep);
    for (size_t i = 0; i < m; i++) {
        const bool spike = regime->spikes && i == 0 && random_size(random, 0, 4) == 0;
        for (size_t c = 0; c < 3 * a->width; c++) {
            const float gain = c < 2 * a->width ? regime->gain : 1.0f;
            float value = keep * (float)number(a, index[i], c) +
                          fresh * random_float(random, -1.7f, 1.7f) * gain;
            if (spike && c >= a->width && c < 2 * a->width)
                value = 6.0f * random_float(random, -1.7f, 1.7f) * gain;
            if (c < 2 * a->width) value += regime->drift * sinf((float)step * 0.01f);
            put_number(a->fresh, i, c, value);
        }
    }
}

static size_t pick_rows(struct random *random, uint32_t *index, size_t n, size_t m) {
    size_t picked = 0;
    for (size_t i = 0; i < n && picked < m; i++) {
        if (random_size(random, 0, n - i - 1) < m - picked) index[picked++] = (uint32_t)i;
    }
    return picked;
}

// A table's numbers as its panels have them.
static void round_table(const struct attending *a, float *table, size_t rows) {
    if (a->shape.int8_scores) {
        quantise_weights(&a->bench.kernels, table, rows, a->d, attention_scale(a->d));
        return;
    }
    for (size_t i = 0; i < rows * a->d && a->format == FORMAT_BF16; i++)
        table[i] = bf16_to_f32(bf16_from_f32(table[i]));
}

// The first n of some rows as the attention takes them: themselves, or a copy that is encoded.
static struct rows prepared(struct attending *a, struct rows rows, struct rows copy, size_t n) {
    if (!a->shape.int8_scores) return rows;
    memcpy(copy.data, rows.data, n * rows.bytes);
    ops_encode_scores(&a->bench.exec, copy, rows_columns(copy, a->width), n, a->heads, a->d);
    return copy;
}

static void flush_exact(struct attending *a) {
    exact_attention_flush(&a->bench.exec, &a->exact, prepared(a, a->qkv, a->held, a->n), &a->shape);
}

// Every row at random, then a flush.
static void start_anywhere(struct attending *a, struct random *random) {
    for (size_t i = 0; i < a->n; i++) {
        for (size_t c = 0; c < 3 * a->width; c++)
            put_number(a->qkv, i, c, random_float(random, -1.7f, 1.7f));
    }
    flush_exact(a);
}

static uint64_t update_exact(struct attending *a, const uint32_t *index, size_t m) {
    const struct rows coming = prepared(a, a->fresh, a->coming, m);
    const uint64_t beyond =
        exact_attention_update(&a->bench.exec, &a->exact, coming, index, m, &a->shape);
    for (size_t i = 0; i < m; i++)
        memcpy(rows_at(a->qkv, index[i]), rows_at(a->fresh, i), a->qkv.bytes);
    return beyond;
}

// One thread takes so many heads whole, two take tiles of them.
enum { HEADS = 4 };

// `steps` updates of a regime; returns the largest row error, *beyond the share of rows computed beyond M.
static double run_regime(const struct regime *regime, enum format format, bool int8_scores,
                         size_t steps, size_t r, size_t threads, double *beyond) {
    struct attending a;
    struct random random = {12};
    open_attending(&a, 8, 9, HEADS, 16, format, cpu_detect(), threads, true);
    a.shape.int8_scores = int8_scores;
    random_floats(&random, a.table_h, 15 * a.d, -0.3f, 0.3f);
    random_floats(&random, a.table_w, 17 * a.d, -0.3f, 0.3f);
    pack_tables(&a);
    round_table(&a, a.table_h, 15);
    round_table(&a, a.table_w, 17);
    start_anywhere(&a, &random);
    double worst = worst_row(&a), extra = 0.0;
    uint32_t *index = calloc(a.n, sizeof *index);
    for (size_t step = 0; step < steps; step++) {
        const bool cut = regime->cuts && step % 97 == 96;
        const size_t m =
            pick_rows(&random, index, a.n, cut ? a.n : 1 + random_size(&random, 0, 2 * r - 2));
        make_fresh(&a, &random, regime, index, m, cut, step);
        extra += (double)update_exact(&a, index, m);
        if (step % 20 == 0 || step + 1 == steps) worst = fmax(worst, worst_row(&a));
    }
    *beyond = extra / (double)(steps * a.n * a.heads);
    free(index);
    close_attending(&a);
    return worst;
}

static const struct regime regimes[] = {
    {"quiet scene", 1.0f, 0.99f, false, false, 0.0f},
    {"motion", 1.0f, 0.7f, false, true, 0.0f},
    {"lighting ramp", 1.0f, 0.999f, false, false, 0.01f},
    {"everything new in each update", 1.0f, 0.0f, false, false, 0.0f},
    {"scores to +-80", 4.5f, 0.9f, false, true, 0.0f},
    {"dominating keys come and go", 1.5f, 0.9f, true, false, 0.0f},
};

static size_t exact_steps = 1000; // an argument of the program

// Formats of q, k, v and of their scores, and what a row's error may be.
static const struct precise {
    const char *name;
    enum format format;
    bool int8_scores;
    double bound;
} precise[] = {
    {"f32", FORMAT_F32, false, 1e-5},
    {"bf16", FORMAT_BF16, false, 3e-2},
    {"f32, int8", FORMAT_F32, true, 1e-5},
    {"bf16, int8", FORMAT_BF16, true, 3e-2},
};

static bool runs_at(const struct precise *p, vdt_cpu level) {
    struct kernels kernels;
    kernels_init(&kernels, level);
    return kernels.has_format[p->format] && (!p->int8_scores || kernels.has_format[FORMAT_I8]);
}

static bool runs_here(const struct precise *p) {
    return runs_at(p, cpu_detect());
}

static void exact_stays_exact(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof regimes / sizeof *regimes; i++) {
        static const size_t rs[] = {1, 9, 30};
        for (size_t j = 0; j < 3; j++) {
            printf("%-30s r %2zu", regimes[i].name, rs[j]);
            for (size_t k = 0; k < sizeof precise / sizeof *precise; k++) {
                const struct precise *p = &precise[k];
                double beyond;
                if (!runs_here(p)) continue;
                const double worst = run_regime(&regimes[i], p->format, p->int8_scores, exact_steps,
                                                rs[j], 1 + j % 2, &beyond);
                printf("  %s %.1e, %4.1f %% beyond M;", p->name, worst, 100.0 * beyond);
                assert_true(worst <= p->bound);
            }
            printf("\n");
        }
    }
}

// More keys than a block of them holds: blocks of new ones, of old ones and of both, even and odd.
static void blocks_of_keys(void **state) {
    (void)state;
    static const size_t counts[] = {127, 128, 129, 255, 256, 257, 299};
    const struct regime *regime = &regimes[1];
    for (size_t k = 0; k < sizeof precise / sizeof *precise; k++) {
        if (!runs_here(&precise[k])) continue;
        struct attending a;
        struct random random = {15};
        open_attending(&a, 24, 25, 1, 16, precise[k].format, cpu_detect(), 2, false);
        a.shape.int8_scores = precise[k].int8_scores;
        start_anywhere(&a, &random);
        uint32_t *index = calloc(a.n, sizeof *index);
        for (size_t step = 0; step < sizeof counts / sizeof *counts; step++) {
            pick_rows(&random, index, a.n, counts[step]);
            make_fresh(&a, &random, regime, index, counts[step], false, step);
            update_exact(&a, index, counts[step]);
            assert_true(worst_row(&a) <= precise[k].bound);
        }
        free(index);
        close_attending(&a);
    }
}

// Rows that are not numbers, or infinite in their values or keys alone, spoil every other as long as they are there, and
// nothing afterwards.
static void not_a_number_leaves_no_trace(void **state) {
    (void)state;
    for (size_t k = 0; k < 2 * (sizeof precise / sizeof *precise); k++) {
        const struct precise *p = &precise[k / 2];
        if (!runs_here(p)) continue;
        struct attending a;
        struct random random = {14};
        const uint32_t index[3] = {3, 20, 71};
        open_attending(&a, 8, 9, HEADS, 16, p->format, cpu_detect(), 1 + k % 2, false);
        a.shape.int8_scores = p->int8_scores;
        start_anywhere(&a, &random);
        static const size_t infinite[] = {3, 2, 1, 2}; // none of q, k and v, then v, k, v
        for (size_t step = 0; step < 6; step++) {
            for (size_t i = 0; i < 3 * 3 * a.width; i++) {
                const float value = random_float(&random, -1.7f, 1.7f);
                const size_t row = i / (3 * a.width), c = i % (3 * a.width);
                const bool nan = step == 0 && row == 1,
                           inf = row == 1 && step < 4 && c / a.width == infinite[step];
                put_number(a.fresh, row, c, nan ? NAN : inf ? INFINITY : value);
            }
            update_exact(&a, index, 3);
            for (size_t i = 0; i < a.n * a.width; i++)
                assert_int_equal(isfinite(a.exact.o[i]) != 0, step >= 4);
            assert_true(step < 4 || worst_row(&a) <= p->bound);
        }
        close_attending(&a);
    }
}

// A grid of 5 x 7 in windows of 3 x 3, padded.
enum {
    GRID_H = 5,
    GRID_W = 7,
    SIDE = 3,
    WINDOWS = 6,
    KEYS = SIDE * SIDE,
    TOKENS = GRID_H * GRID_W
};

struct windowed {
    struct attending a;
    struct windows windows;
    uint32_t key_rows[WINDOWS * KEYS], queries[TOKENS];
    size_t q_starts[WINDOWS + 1], k_starts[WINDOWS + 1];
    struct rows qkv; // (TOKENS + 1, 3D), encoded where scores are int8
    unsigned char *kept, *panels;
};

static void open_windowed(struct windowed *w, struct random *random, const struct precise *p,
                          vdt_cpu level, size_t heads) {
    struct attending *a = &w->a;
    enum { D = 20 };
    open_attending(a, SIDE, SIDE, heads, D, p->format, level, 2, true);
    a->shape.int8_scores = p->int8_scores;
    random_floats(random, a->table_h, (2 * SIDE - 1) * D, -0.3f, 0.3f);
    random_floats(random, a->table_w, (2 * SIDE - 1) * D, -0.3f, 0.3f);
    pack_tables(a);
    w->windows = (struct windows){SIDE, 2, 3, w->key_rows, w->queries, w->q_starts, w->k_starts};
    windows_fill(&w->windows, 1, GRID_H, GRID_W, TOKENS);
    a->shape.n_sequences = WINDOWS;
    a->shape.q_starts = w->q_starts;
    a->shape.k_starts = w->k_starts;
    a->shape.key_rows = w->key_rows;
    a->shape.queries = w->queries;
    w->qkv = (struct rows){make_bytes((TOKENS + 1) * a->qkv.bytes), a->qkv.bytes, p->format};
    size_t bytes;
    assert_true(ops_kept_bytes(&bytes, &a->bench.kernels, p->format, p->int8_scores, WINDOWS * KEYS,
                               WINDOWS, heads, D));
    w->kept = make_zeros(bytes);
    assert_true(ops_attention_panels(&bytes, &a->bench.kernels, p->format, WINDOWS * KEYS, WINDOWS,
                                     heads, D));
    w->panels = make_zeros(bytes);
}

// New numbers for a row.
static void renew(struct windowed *w, struct random *random, size_t row) {
    struct attending *a = &w->a;
    const struct rows one = rows_from(w->qkv, row);
    for (size_t c = 0; c < 3 * a->width; c++)
        put_number(w->qkv, row, c, random_float(random, -1.7f, 1.7f));
    if (a->shape.int8_scores)
        ops_encode_scores(&a->bench.exec, one, rows_columns(one, a->width), 1, a->heads, a->d);
}

// Attends with the fresh rows: windows that got some have the bits of ops_attention, the others are left alone.
static void check_windows(struct windowed *w, const struct fresh_rows *fresh) {
    struct attending *a = &w->a;
    struct exec *exec = &a->bench.exec;
    const size_t row_bytes = a->width * sizeof(float), width = a->width;
    float *found = make_floats(TOKENS * width), *truth = make_floats(TOKENS * width);
    for (size_t i = 0; i < TOKENS * width; i++) found[i] = 9.0f;
    ops_attention(exec, rows_f32(truth, width), w->qkv, rows_columns(w->qkv, width),
                  rows_columns(w->qkv, 2 * width), &a->shape, w->panels);
    exec->macs = 0;
    ops_attention_kept(exec, rows_f32(found, width), w->kept, fresh, &a->shape);
    uint64_t macs = 0;
    for (size_t i = 0; i < TOKENS; i++) {
        const size_t window = i / GRID_W / SIDE * 3 + i % GRID_W / SIDE;
        const bool stale = fresh->starts[window] < fresh->starts[window + 1];
        macs += stale ? (2 * KEYS + 2 * SIDE) * width : 0;
        for (size_t c = 0; !stale && c < width; c++) assert_true(found[i * width + c] == 9.0f);
        if (stale) assert_memory_equal(found + i * width, truth + i * width, row_bytes);
    }
    assert_int_equal(exec->macs, macs);
    free(found);
    free(truth);
}

// All rows fresh, then two in the first window and one in the last.
static void check_kept_windows(const struct precise *p, vdt_cpu level, size_t heads) {
    struct windowed w;
    struct random random = {21};
    open_windowed(&w, &random, p, level, heads);
    for (size_t i = 0; i <= TOKENS; i++) renew(&w, &random, i);
    check_windows(&w, &(struct fresh_rows){w.qkv, w.k_starts, w.key_rows, NULL});
    const size_t starts[WINDOWS + 1] = {0, 2, 2, 2, 2, 2, 3};
    const uint32_t rows[] = {8, 0, 34}, positions[] = {4, 0, 3}; // of 5 x 7, of 3 x 3
    for (size_t i = 0; i < 3; i++) renew(&w, &random, rows[i]);
    check_windows(&w, &(struct fresh_rows){w.qkv, starts, rows, positions});
    free(w.qkv.data);
    free(w.kept);
    free(w.panels);
    close_attending(&w.a);
}

static void windows_are_kept(void **state) {
    (void)state;
    for (int level = VDT_CPU_C; level <= (int)cpu_detect(); level++) {
        for (size_t k = 0; k < sizeof precise / sizeof *precise; k++) {
            const struct precise *p = &precise[k];
            if (!runs_at(p, (vdt_cpu)level)) continue;
            check_kept_windows(p, (vdt_cpu)level, 1); // tiles are dealt
            check_kept_windows(p, (vdt_cpu)level, 7); // heads
        }
    }
}

// The same bits at any thread count.
static void threads_change_nothing(void **state) {
    (void)state;
    uint64_t hashes[3];
    for (size_t threads = 1; threads <= 3; threads++) {
        struct attending a;
        struct random random = {77};
        uint32_t index[20];
        open_attending(&a, 10, 11, 2 * HEADS, 24, FORMAT_F32, cpu_detect(), threads, true);
        random_floats(&random, a.table_h, 19 * a.d, -0.3f, 0.3f);
        random_floats(&random, a.table_w, 21 * a.d, -0.3f, 0.3f);
        pack_tables(&a);
        random_floats(&random, a.qkv.data, a.n * 3 * a.width, -2.0f, 2.0f);
        exact_attention_flush(&a.bench.exec, &a.exact, a.qkv, &a.shape);
        for (int step = 0; step < 20; step++) {
            const size_t m = pick_rows(&random, index, a.n, 20);
            random_floats(&random, a.fresh.data, m * 3 * a.width, -2.0f, 2.0f);
            exact_attention_update(&a.bench.exec, &a.exact, a.fresh, index, m, &a.shape);
        }
        hashes[threads - 1] =
            fnv1a(FNV_START, (const uint8_t *)a.exact.o, a.n * a.width * sizeof(float));
        close_attending(&a);
    }
    assert_true(hashes[0] == hashes[1] && hashes[1] == hashes[2]);
}

int main(int argc, char **argv) {
    if (argc > 1) exact_steps = strtoull(argv[1], NULL, 10);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delta_is_the_recurrence), cmocka_unit_test(exact_stays_exact),
        cmocka_unit_test(blocks_of_keys),          cmocka_unit_test(not_a_number_leaves_no_trace),
        cmocka_unit_test(windows_are_kept),        cmocka_unit_test(threads_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
