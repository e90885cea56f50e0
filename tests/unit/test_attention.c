// ops_attention against double precision: lengths around tiles and blocks, head widths, packed
// sequences, extreme logits, equal rows, added biases; and the same bits packed or alone, at any thread
// count.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "exec_bench.h"
#include "kernels/bf16.h"
#include "kernels/cpu.h"

enum { MAX_SEQUENCES = 16 };

struct run {
    enum format format;
    bool int8_scores;
    size_t n_sequences, heads, d, n;
    size_t starts[MAX_SEQUENCES + 1];
    float *q, *k, *v, *y;               // (n, heads * d); q, k, v as their format has them
    float *score_q, *score_k;           // what the scores' product reads of q and k
    double *truth, *bounds;             // (n, heads * d), (n, heads): y in double, of its error
    uint16_t *q_bf16, *k_bf16, *v_bf16; // the same in bf16
    float *key_bias;                    // (n) or NULL
    size_t height, width;               // of every sequence's grid; 0: no relative positions
    float *table_h, *table_w;           // (2 height - 1, d), (2 width - 1, d)
    float *score_h, *score_w;           // the same as the scores' product reads them
};

static uint16_t *round_all(float *values, size_t count) {
    uint16_t *rounded = (uint16_t *)(void *)make_bytes(2 * count);
    for (size_t i = 0; i < count; i++) {
        rounded[i] = bf16_from_f32(values[i]);
        values[i] = bf16_to_f32(rounded[i]);
    }
    return rounded;
}

static void make_run(struct run *run, struct random *random, const size_t *lengths,
                     size_t n_sequences, size_t heads, size_t d, float spread, enum format format) {
    *run = (struct run){.format = format, .n_sequences = n_sequences, .heads = heads, .d = d};
    for (size_t i = 0; i < n_sequences; i++) run->starts[i + 1] = run->starts[i] + lengths[i];
    run->n = run->starts[n_sequences];
    const size_t count = run->n * heads * d;
    run->q = make_floats(count);
    run->k = make_floats(count);
    run->v = make_floats(count);
    run->y = make_floats(count);
    random_floats(random, run->q, count, -spread, spread);
    random_floats(random, run->k, count, -1.0f, 1.0f);
    random_floats(random, run->v, count, -1.0f, 1.0f);
    if (format == FORMAT_F32) return;
    run->q_bf16 = round_all(run->q, count);
    run->k_bf16 = round_all(run->k, count);
    run->v_bf16 = round_all(run->v, count);
}

// `quantised`: by whom, for scores of int8; else NULL.
static void make_scores(struct run *run, const struct kernels *quantised) {
    const size_t rows = run->n * run->heads, count = rows * run->d;
    run->int8_scores = quantised;
    run->score_q = make_floats(count);
    run->score_k = make_floats(count);
    memcpy(run->score_q, run->q, count * sizeof *run->q);
    memcpy(run->score_k, run->k, count * sizeof *run->k);
    if (!quantised) return;
    quantise_rows(quantised, run->score_q, rows, run->d);
    quantise_weights(quantised, run->score_k, rows, run->d, 1.0f);
}

static void add_key_bias(struct run *run, struct random *random) {
    run->key_bias = make_floats(run->n);
    random_floats(random, run->key_bias, run->n, 0.0f, 5.0f);
}

// A table of random rows, and what the scores' product reads of it.
static void make_table(float **table, float **score, const struct run *run, struct random *random,
                       size_t rows, const struct kernels *quantised) {
    const size_t count = rows * run->d;
    *table = make_floats(count);
    *score = make_floats(count);
    random_floats(random, *table, count, -1.0f, 1.0f);
    if (!quantised && run->format == FORMAT_BF16) free(round_all(*table, count));
    memcpy(*score, *table, count * sizeof **table);
    if (quantised) quantise_weights(quantised, *score, rows, run->d, attention_scale(run->d));
}

// The sequences have height * width tokens each.
static void add_relative(struct run *run, struct random *random, size_t height, size_t width,
                         const struct kernels *quantised) {
    run->height = height;
    run->width = width;
    make_table(&run->table_h, &run->score_h, run, random, 2 * height - 1, quantised);
    make_table(&run->table_w, &run->score_w, run, random, 2 * width - 1, quantised);
}

static void free_run(struct run *run) {
    free(run->q);
    free(run->score_q);
    free(run->score_k);
    free(run->truth);
    free(run->bounds);
    free(run->k);
    free(run->v);
    free(run->y);
    free(run->q_bf16);
    free(run->k_bf16);
    free(run->v_bf16);
    free(run->key_bias);
    free(run->table_h);
    free(run->table_w);
    free(run->score_h);
    free(run->score_w);
}

static struct rows rows_of(const struct run *run, float *f32, uint16_t *bf16, size_t row) {
    const size_t width = run->heads * run->d;
    if (run->format == FORMAT_BF16)
        return (struct rows){bf16 + row * width, 2 * width, FORMAT_BF16};
    return (struct rows){f32 + row * width, 4 * width, FORMAT_F32};
}

static unsigned char *pack_table(const struct kernels *kernels, const struct run *run,
                                 const float *table, size_t n) {
    size_t bytes;
    const enum format format = run->int8_scores ? FORMAT_I8 : run->format;
    assert_true(ops_table_bytes(&bytes, kernels, format, n, run->d));
    unsigned char *panels = make_bytes(bytes),
                  *encoded = make_bytes(n * format_row_bytes(format, run->d));
    ops_table_pack(panels, kernels, format, table, n, run->d, attention_scale(run->d), encoded);
    free(encoded);
    return panels;
}

// n rows in memory of their own.
static struct rows copy_rows(struct rows rows, size_t n) {
    const void *from = rows.data;
    rows.data = make_bytes(n * rows.bytes);
    memcpy(rows.data, from, n * rows.bytes);
    return rows;
}

// Sequences [first, first + n) of the run, into their rows of y.
static void attend(const struct run *run, float *y, size_t first, size_t n, vdt_cpu level,
                   size_t threads) {
    struct kernels kernels;
    struct exec exec = {.kernels = &kernels};
    vdt_error error = {0};
    const size_t width = run->heads * run->d, row = run->starts[first];
    size_t starts[MAX_SEQUENCES + 1], bytes;
    for (size_t i = 0; i <= n; i++) starts[i] = run->starts[first + i] - row;
    kernels_init(&kernels, level);
    assert_int_equal(pool_open(&exec.pool, test_memory(), threads, &error), VDT_OK);
    struct relative_positions tables = {.height = run->height, .width = run->width};
    const struct relative_positions *relative = run->height ? &tables : NULL;
    unsigned char *table_h = NULL, *table_w = NULL;
    if (relative) {
        tables.h = table_h = pack_table(&kernels, run, run->table_h, 2 * run->height - 1);
        tables.w = table_w = pack_table(&kernels, run, run->table_w, 2 * run->width - 1);
    }
    exec.scratch_bytes = (ops_attention_scratch_bytes(run->d, relative) + 63) / 64 * 64;
    exec.scratch = aligned_alloc(64, threads * exec.scratch_bytes);
    assert_true(
        ops_attention_panels(&bytes, &kernels, run->format, starts[n], n, run->heads, run->d));
    uint8_t *panels = make_bytes(bytes);
    const struct attention_shape shape = {.n_sequences = n,
                                          .q_starts = starts,
                                          .k_starts = starts,
                                          .heads = run->heads,
                                          .d = run->d,
                                          .scale = attention_scale(run->d),
                                          .key_bias = run->key_bias ? run->key_bias + row : NULL,
                                          .relative = relative,
                                          .int8_scores = run->int8_scores};
    const struct rows q = copy_rows(rows_of(run, run->q, run->q_bf16, row), starts[n]),
                      k = copy_rows(rows_of(run, run->k, run->k_bf16, row), starts[n]);
    if (run->int8_scores) ops_encode_scores(&exec, q, k, starts[n], run->heads, run->d);
    ops_attention(&exec, (struct rows){y + row * width, 4 * width, FORMAT_F32}, q, k,
                  rows_of(run, run->v, run->v_bf16, row), &shape, panels);
    free(q.data);
    free(k.data);
    uint64_t macs = 0;
    for (size_t i = 0; i < n; i++)
        macs += (2 * (uint64_t)(starts[i + 1] - starts[i]) + run->height + run->width) *
                (starts[i + 1] - starts[i]) * width;
    assert_int_equal(exec.macs, macs);
    free(table_h);
    free(table_w);
    free(panels);
    free(exec.scratch);
    pool_close(&exec.pool);
}

// q . row of a table, and the sum of the products' sizes.
static double dot(const float *q, const float *row, size_t d, double *size) {
    double sum = 0.0;
    for (size_t j = 0; j < d; j++) {
        sum += (double)q[j] * (double)row[j];
        *size += fabs((double)q[j] * (double)row[j]);
    }
    return sum;
}

// What is added to the logit of a query and a key, both counted in their sequence.
static double added_logit(const struct run *run, size_t begin, size_t query, size_t key,
                          const float *q, double *size) {
    double added = 0.0;
    if (run->key_bias) {
        added += (double)run->key_bias[begin + key];
        *size += fabs(added);
    }
    if (run->height == 0) return added;
    const size_t y = key / run->width + run->height - 1 - query / run->width,
                 x = key % run->width + run->width - 1 - query % run->width;
    return added + dot(q, run->score_h + y * run->d, run->d, size) +
           dot(q, run->score_w + x * run->d, run->d, size);
}

// softmax(q k^T / sqrt(d) + added) v of one query and head, in double, and the bound of its error.
static void exact_row(double *out, double *bound, const struct run *run, size_t sequence,
                      size_t query, size_t head) {
    const size_t width = run->heads * run->d, begin = run->starts[sequence],
                 end = run->starts[sequence + 1];
    const float *score_q = run->score_q + query * width + head * run->d;
    double max = -INFINITY, sum = 0.0, largest = 0.0;
    double *logits = malloc((end - begin) * sizeof *logits);
    for (size_t i = begin; i < end; i++) {
        double size = 0.0, added_size = 0.0;
        const double logit = dot(score_q, run->score_k + i * width + head * run->d, run->d, &size),
                     added =
                         added_logit(run, begin, query - begin, i - begin, score_q, &added_size);
        logits[i - begin] = logit / sqrt((double)run->d) + added;
        largest = fmax(largest, size / sqrt((double)run->d) + added_size);
        max = fmax(max, logits[i - begin]);
    }
    memset(out, 0, run->d * sizeof *out);
    for (size_t i = begin; i < end; i++) {
        const double p = exp(logits[i - begin] - max);
        sum += p;
        for (size_t j = 0; j < run->d; j++)
            out[j] += p * (double)run->v[i * width + head * run->d + j];
    }
    for (size_t j = 0; j < run->d; j++) out[j] /= sum;
    // Weights sum to 1 and |v| <= 1: an error e in every logit moves the result by at most 2 (exp(2 e) - 1). bf16
    // rounds every weight by 2^-8 at most.
    *bound = 2.0 * expm1(2.0 * 0x1p-24 * ((double)run->d + 12.0) * largest) + 1e-6;
    if (run->format == FORMAT_BF16) *bound += 2.0 * 0x1p-8;
    free(logits);
}

static void make_truth(struct run *run) {
    run->truth = calloc(run->n * run->heads * run->d, sizeof *run->truth);
    run->bounds = calloc(run->n * run->heads, sizeof *run->bounds);
    for (size_t sequence = 0; sequence < run->n_sequences; sequence++) {
        for (size_t query = run->starts[sequence]; query < run->starts[sequence + 1]; query++) {
            for (size_t head = 0; head < run->heads; head++) {
                const size_t at = query * run->heads + head;
                exact_row(run->truth + at * run->d, &run->bounds[at], run, sequence, query, head);
            }
        }
    }
}

static void check_values(const struct run *run) {
    for (size_t i = 0; i < run->n * run->heads * run->d; i++) {
        const double error = fabs((double)run->y[i] - run->truth[i]);
        const double bound = run->bounds[i / run->d];
        if (!(error <= bound)) {
            fail_msg("d %zu, query %zu, head %zu: error %g, bound %g", run->d,
                     i / run->d / run->heads, i / run->d % run->heads, error, bound);
        }
    }
}

static void check_level(const struct run *run, vdt_cpu level) {
    const size_t bytes = run->n * run->heads * run->d * sizeof(float);
    float *other = make_floats(bytes / sizeof(float));
    attend(run, run->y, 0, run->n_sequences, level, 1);
    check_values(run);
    attend(run, other, 0, run->n_sequences, level, 3);
    assert_memory_equal(run->y, other, bytes);
    for (size_t i = 0; i < run->n_sequences; i++) attend(run, other, i, 1, level, 2);
    assert_memory_equal(run->y, other, bytes);
    free(other);
}

struct added {
    bool key_bias;
    size_t height, width;
};

// A run of one kind on the levels [first, last]; `quantised`: for scores of int8, by whom.
static void check_run(const size_t *lengths, size_t n_sequences, size_t heads, size_t d,
                      float spread, enum format format, const struct added *added,
                      const struct kernels *quantised, int first, int last) {
    struct random random = {d + n_sequences};
    struct run run;
    make_run(&run, &random, lengths, n_sequences, heads, d, spread, format);
    make_scores(&run, quantised);
    if (added->key_bias) add_key_bias(&run, &random);
    if (added->height) add_relative(&run, &random, added->height, added->width, quantised);
    make_truth(&run);
    for (int level = first; level <= last; level++) {
        struct kernels kernels;
        kernels_init(&kernels, (vdt_cpu)level);
        // Plain C multiplies bf16 too, but offers it to nobody; where panels are wider it cannot.
        if (kernels.product[format] && (!quantised || kernels.product[FORMAT_I8]))
            check_level(&run, (vdt_cpu)level);
    }
    free_run(&run);
}

static void check_added(const size_t *lengths, size_t n_sequences, size_t heads, size_t d,
                        float spread, const struct added *added) {
    static const enum format formats[] = {FORMAT_F32, FORMAT_BF16};
    const int best = (int)cpu_detect();
    for (size_t i = 0; i < 2; i++) {
        if (formats[i] == FORMAT_BF16 && d % 2) continue;
        check_run(lengths, n_sequences, heads, d, spread, formats[i], added, NULL, VDT_CPU_C, best);
        // What int8 makes of keys is each level's own.
        for (int level = VDT_CPU_C; level <= best && d >= 8; level++) {
            struct kernels kernels;
            kernels_init(&kernels, (vdt_cpu)level);
            check_run(lengths, n_sequences, heads, d, spread, formats[i], added, &kernels, level,
                      level);
        }
    }
}

static void check_lengths(const size_t *lengths, size_t n_sequences, size_t heads, size_t d,
                          float spread) {
    check_added(lengths, n_sequences, heads, d, spread, &(struct added){0});
}

static void lengths_and_widths(void **state) {
    (void)state;
    static const size_t lengths[] = {1, 2, 15, 16, 47, 48, 49, 64, 65, 255, 256, 257, 520};
    static const size_t widths[] = {24, 32, 64, 80, 128};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        check_lengths(&lengths[i], 1, 1 + i % 3, widths[i % 5], 1.0f);
    }
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
        check_lengths(&(size_t){100}, 1, 2, widths[i], 3.0f);
    check_lengths(&(size_t){70}, 1, 1, 1, 1.0f);
    check_lengths(&(size_t){33}, 1, 1, ATTENTION_MAX_D, 1.0f);
    check_lengths(&(size_t){2000}, 1, 1, 64, 1.0f);
}

static void packed_sequences(void **state) {
    (void)state;
    check_lengths((size_t[]){1, 1, 1}, 3, 2, 64, 1.0f);
    check_lengths((size_t[]){50, 1, 300, 17, 64}, 5, 2, 64, 1.0f);
    check_lengths((size_t[]){5, 129}, 2, 3, 24, 1.0f);
    // So many heads that every thread takes whole ones.
    check_lengths((size_t[]){50, 1, 97, 17, 64, 3, 20, 49, 1, 8, 31, 2, 70, 16, 5, 66}, 16, 3, 24,
                  1.0f);
}

static void extreme_logits(void **state) {
    (void)state;
    check_lengths(&(size_t){300}, 1, 1, 64, 1e4f);
    check_lengths((size_t[]){60, 270}, 2, 2, 32, 100.0f);
}

static void key_biases(void **state) {
    (void)state;
    const struct added bias = {.key_bias = true};
    check_added(&(size_t){300}, 1, 2, 64, 1.0f, &bias);
    check_added((size_t[]){1, 57, 260}, 3, 2, 32, 1.0f, &bias);
    check_added(&(size_t){70}, 1, 1, 80, 100.0f, &bias);
}

static void relative_positions(void **state) {
    (void)state;
    check_added((size_t[]){15}, 1, 2, 64, 1.0f, &(struct added){.height = 3, .width = 5});
    check_added((size_t[]){1, 1}, 2, 1, 24, 1.0f, &(struct added){.height = 1, .width = 1});
    check_added((size_t[]){196, 196}, 2, 2, 64, 1.0f, &(struct added){.height = 14, .width = 14});
    // Rows of keys that blocks of keys cut in two.
    check_added((size_t[]){357}, 1, 1, 32, 1.0f, &(struct added){.height = 17, .width = 21});
    check_added((size_t[]){300}, 1, 1, 128, 1.0f,
                &(struct added){.key_bias = true, .height = 1, .width = 300});
}

// All keys alike: every weight is 1 / n.
static void equal_rows(void **state) {
    (void)state;
    struct random random = {3};
    struct run run;
    enum { N = 310, D = 64 };
    make_run(&run, &random, &(size_t){N}, 1, 1, D, 1.0f, FORMAT_F32);
    for (size_t i = 1; i < N; i++) memcpy(run.k + i * D, run.k, D * sizeof *run.k);
    make_scores(&run, NULL);
    make_truth(&run);
    attend(&run, run.y, 0, 1, cpu_detect(), 2);
    check_values(&run);
    free_run(&run);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths_and_widths), cmocka_unit_test(packed_sequences),
        cmocka_unit_test(extreme_logits),     cmocka_unit_test(key_biases),
        cmocka_unit_test(relative_positions), cmocka_unit_test(equal_rows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
