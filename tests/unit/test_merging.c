// The parts of reduction on random data of any size: selection against sorting; RLT's masks against a plain
// reading of the paper; ToMe's links, order, sizes and rows against all pairs in integers, on every CPU
// level and thread count, for 1 to 5000 tokens.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "exec_bench.h"
#include "kernels/bf16.h"
#include "kernels/cpu.h"
#include "reduce/rlt.h"
#include "reduce/select.h"
#include "reduce/tome.h"
#include "support.h"

/* ---- selection ----------------------------------------------------------------------------- */

struct ranked {
    uint64_t key;
    size_t index;
};

static int by_key(const void *a, const void *b) {
    const struct ranked *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? 1 : -1;
    return x->index > y->index ? 1 : -1;
}

// A square of an error: nothing, or a number that begins as its neighbours do.
static uint64_t error_key(struct random *random) {
    const double square = 1e-3 * (1.0 + (double)(random_bits(random) >> 40) * 0x1p-24);
    return random_bits(random) % 4 ? select_key(square) : 0;
}

static void selection_equals_sorting(void **state) {
    (void)state;
    struct random random = {1};
    for (size_t trial = 0; trial < 300; trial++) {
        const size_t n = random_size(&random, 1, trial % 10 ? 300 : 5000),
                     k = random_size(&random, 0, n);
        const unsigned shift = (unsigned)(trial % 5) * 15; // from all different to all alike
        struct ranked *ranked = malloc(n * sizeof *ranked);
        uint64_t *keys = malloc(n * sizeof *keys);
        uint8_t *chosen = make_bytes(n), *expected = make_bytes(n);
        for (size_t i = 0; i < n; i++) {
            keys[i] = random_bits(&random) >> shift << shift;
            if (trial % 7 == 0) keys[i] = 42;
            if (trial % 7 == 1) keys[i] = error_key(&random);
            ranked[i] = (struct ranked){keys[i], i};
            expected[i] = 0;
        }
        qsort(ranked, n, sizeof *ranked, by_key);
        for (size_t i = 0; i < k; i++) expected[ranked[i].index] = 1;
        select_largest(chosen, keys, n, k);
        assert_memory_equal(chosen, expected, n);
        free(ranked);
        free(keys);
        free(chosen);
        free(expected);
    }
}

static void keys_order_as_numbers_do(void **state) {
    (void)state;
    static const double ascending[] = {-INFINITY, -1e300, -2.0, -1.0, -1e-300,
                                       0.0,       1e-300, 1.0,  2.0,  INFINITY};
    for (size_t i = 1; i < sizeof ascending / sizeof *ascending; i++)
        assert_true(select_key(ascending[i]) > select_key(ascending[i - 1]));
}

/* ---- what both methods run in -------------------------------------------------------------- */

struct house {
    struct kernels kernels;
    struct pool *pool;
    struct exec exec;
};

static void open_house(struct house *house, vdt_cpu level, size_t threads) {
    vdt_error error = {0};
    kernels_init(&house->kernels, level);
    assert_int_equal(pool_open(&house->pool, test_memory(), threads, &error), 0);
    house->exec = (struct exec){.pool = house->pool, .kernels = &house->kernels};
}

static void close_house(struct house *house) {
    pool_close(&house->pool);
}

/* ---- RLT ----------------------------------------------------------------------------------- */

struct video {
    uint8_t *pixels;
    size_t row_stride, frame_stride;
    struct rlt rlt;
    size_t frames, patches;
};

// A clip of random size whose bytes drift by a level or two, so that thresholds are met closely.
static void make_video(struct video *video, struct random *random) {
    const size_t s = random_size(random, 1, 3), p = random_size(random, 1, 20);
    const struct patch_grid grid = {random_size(random, 1, 7), random_size(random, 1, 5),
                                    random_size(random, 1, 5)};
    *video = (struct video){
        .rlt = {.grid = grid, .tubelet = s, .patch = p, .prefix = random_size(random, 0, 2)}};
    video->rlt.scale = (struct pixel_scale){255.0, {0.229, 0.224, 0.225}};
    if (random_bits(random) % 2) video->rlt.scale = (struct pixel_scale){127.5, {0.5, 0.5, 0.5}};
    video->frames = grid.t * s;
    video->patches = grid.t * grid.h * grid.w;
    video->row_stride = grid.w * p * 3 + random_size(random, 0, 5);
    video->frame_stride = video->row_stride * grid.h * p + random_size(random, 0, 5);
    const size_t bytes = video->frame_stride * video->frames;
    video->pixels = make_bytes(bytes);
    random_bytes(random, video->pixels, bytes);
    const uint8_t drift = (uint8_t)random_size(random, 1, 12);
    for (size_t i = video->frame_stride; i < bytes; i++) {
        const uint8_t before = video->pixels[i - video->frame_stride];
        const int step = video->pixels[i] % (2 * drift + 1) - drift;
        const int value = before + step;
        video->pixels[i] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
    }
}

static double plain_score(const struct video *video, size_t t, size_t before, size_t place) {
    const struct rlt *rlt = &video->rlt;
    const size_t p = rlt->patch, h = place / rlt->grid.w, w = place % rlt->grid.w;
    int64_t sad[3] = {0};
    for (size_t i = 0; i < p * p * 3; i++) {
        const size_t at = (h * p + i / (3 * p)) * video->row_stride + w * p * 3 + i % (3 * p);
        const int a =
            video->pixels[(t * rlt->tubelet + rlt->tubelet - 1) * video->frame_stride + at];
        const int b = video->pixels[before * rlt->tubelet * video->frame_stride + at];
        sad[i % 3] += abs(a - b);
    }
    return (double)sad[0] / rlt->scale.std[0] + (double)sad[1] / rlt->scale.std[1] +
           (double)sad[2] / rlt->scale.std[2];
}

static void plain_mask(uint8_t *mask, const struct video *video) {
    const struct rlt *rlt = &video->rlt;
    const size_t places = rlt->grid.h * rlt->grid.w;
    const double p = (double)rlt->patch;
    for (size_t place = 0; place < places; place++) {
        size_t head = 0;
        mask[place] = 1;
        for (size_t t = 1; t < rlt->grid.t; t++) {
            const size_t before = rlt->options.reference == VDT_RLT_PREVIOUS ? t - 1 : head;
            mask[t * places + place] = plain_score(video, t, before, place) >
                                       rlt->options.tau * rlt->scale.range * 3.0 * p * p;
            if (mask[t * places + place]) head = t;
        }
    }
}

static void decide(struct video *video, struct sequence *sequence, void **memory, vdt_cpu level,
                   size_t threads) {
    struct house house;
    struct arena counting = {0};
    open_house(&house, level, threads);
    sequence_layout(sequence, &counting, 1, video->rlt.prefix + video->patches, video->rlt.prefix);
    rlt_layout(&video->rlt, &counting, 1);
    *memory = aligned_alloc(64, (counting.peak + 63) / 64 * 64);
    struct arena arena = {.base = *memory};
    sequence_layout(sequence, &arena, 1, video->rlt.prefix + video->patches, video->rlt.prefix);
    rlt_layout(&video->rlt, &arena, 1);
    const vdt_clip clip = {video->pixels, video->row_stride, video->frame_stride};
    sequence_start(sequence, 1);
    rlt_decide(&house.exec, &video->rlt, &clip, sequence);
    close_house(&house);
}

static void masks_equal_a_plain_reading(void **state) {
    (void)state;
    struct random random = {2};
    for (size_t trial = 0; trial < 200; trial++) {
        struct video video;
        make_video(&video, &random);
        video.rlt.options = (vdt_rlt_options){.mode = VDT_RLT_THRESHOLD,
                                              .tau = (double)random_float(&random, 0.0f, 0.1f),
                                              .reference = (vdt_rlt_reference)(trial % 2)};
        uint8_t *mask = make_bytes(video.patches);
        plain_mask(mask, &video);
        for (int level = VDT_CPU_C; level <= (int)cpu_detect(); level++) {
            struct sequence sequence;
            void *memory;
            decide(&video, &sequence, &memory, (vdt_cpu)level, 1 + trial % 3);
            assert_memory_equal(video.rlt.mask, mask, video.patches);
            free(memory);
        }
        free(mask);
        free(video.pixels);
    }
}

/* ---- ToMe ---------------------------------------------------------------------------------- */

// Packed clips with keys and rows; the truth of each is found pair by pair.
struct merging {
    size_t clips, heads, d, prefix, tokens;
    size_t starts[5];
    float *keys, *x, *sizes; // (rows, D), (rows, D), (rows)
    enum format format;
    bool int8_keys; // `keys` are given encoded
    vdt_tome_options options;
};

static size_t width(const struct merging *m) {
    return m->heads * m->d;
}

static void make_merging(struct merging *m, struct random *random, size_t most) {
    *m = (struct merging){.clips = random_size(random, 1, 4),
                          .heads = random_size(random, 1, 4),
                          .d = random_size(random, 1, 40),
                          .prefix = random_size(random, 0, 3)};
    for (size_t b = 0; b < m->clips; b++) {
        const size_t n = random_size(random, m->prefix + 1, most);
        m->starts[b + 1] = m->starts[b] + n;
        if (n > m->tokens) m->tokens = n;
    }
    const size_t rows = m->starts[m->clips], d = width(m);
    const bool alike = random_bits(random) % 3 == 0; // many ties
    m->keys = make_floats(rows * d);
    m->x = make_floats(rows * d);
    m->sizes = make_floats(rows);
    random_floats(random, m->x, rows * d, -1.0f, 1.0f);
    for (size_t i = 0; i < rows; i++) {
        m->sizes[i] = (float)random_size(random, 1, 5);
        random_floats(random, m->keys + i * d, d, -1.0f, 1.0f);
        for (size_t j = 0; alike && j < d; j++) m->keys[i * d + j] = j == i % 3 ? 1.0f : 0.0f;
    }
    m->format = random_bits(random) % 2 ? FORMAT_BF16 : FORMAT_F32;
    for (size_t i = 0; m->format == FORMAT_BF16 && i < rows * d; i++)
        m->keys[i] = bf16_to_f32(bf16_from_f32(m->keys[i]));
    m->options = (vdt_tome_options){.mode = VDT_TOME_PERCENT,
                                    .percent = (double)random_float(random, 0.0f, 60.0f)};
    if (random_bits(random) % 2)
        m->options = (vdt_tome_options){.mode = VDT_TOME_SCHEDULE,
                                        .r = (uint32_t)random_size(random, 0, most / 2)};
}

static void free_merging(struct merging *m) {
    free(m->keys);
    free(m->x);
    free(m->sizes);
}

// The direction of a row's keys in units of 2^-26, as tome.h says.
static void plain_metric(int64_t *q, const struct merging *m, size_t row) {
    double square = 0.0;
    float sums[64] = {0};
    for (size_t h = 0; h < m->heads; h++) {
        for (size_t j = 0; j < m->d; j++) sums[j] += m->keys[row * width(m) + h * m->d + j];
    }
    for (size_t j = 0; j < m->d; j++) square += (double)sums[j] * (double)sums[j];
    for (size_t j = 0; j < m->d; j++)
        q[j] = square > 0.0 ? (int64_t)rint((double)sums[j] * (0x1p26 / sqrt(square))) : 0;
}

struct link {
    size_t a, b;
    int64_t similarity;
};

static int by_similarity(const void *left, const void *right) {
    const struct link *x = left, *y = right;
    if (x->similarity != y->similarity) return x->similarity < y->similarity ? 1 : -1;
    return x->a > y->a ? 1 : -1;
}

static size_t merges_of(const struct merging *m, size_t n) {
    const size_t most = (n - m->prefix) / 2;
    const size_t r = m->options.mode == VDT_TOME_PERCENT
                         ? (size_t)floor(m->options.percent * (double)n / 100.0)
                         : m->options.r;
    return r < most ? r : most;
}

// to[i]: the new row of each row of a clip; returns how many there are.
static size_t plain_rows(size_t *to, const struct merging *m, size_t clip) {
    const size_t first = m->starts[clip], n = m->starts[clip + 1] - first, r = merges_of(m, n);
    int64_t *q = malloc(n * m->d * sizeof *q);
    struct link *links = malloc((n + 1) * sizeof *links);
    size_t *into = malloc(n * sizeof *into), n_links = 0, next = 0;
    for (size_t i = 0; i < n; i++) {
        plain_metric(q + i * m->d, m, first + i);
        into[i] = i;
    }
    for (size_t a = m->prefix + m->prefix % 2; a < n && r > 0; a += 2, n_links++) {
        links[n_links] = (struct link){a, 0, INT64_MIN};
        for (size_t b = m->prefix + (m->prefix + 1) % 2; b < n; b += 2) {
            int64_t sum = 0;
            for (size_t j = 0; j < m->d; j++) sum += q[a * m->d + j] * q[b * m->d + j];
            if (sum > links[n_links].similarity) links[n_links] = (struct link){a, b, sum};
        }
    }
    qsort(links, n_links, sizeof *links, by_similarity);
    for (size_t i = 0; i < r; i++) into[links[i].a] = links[i].b;
    for (size_t i = 0; i < n && r == 0; i++) to[i] = next++; // stays as it is
    for (size_t i = 0; i < m->prefix && r > 0; i++) to[i] = next++;
    for (size_t parity = 0; parity < 2; parity++) {
        for (size_t i = m->prefix; i < n && r > 0; i++) {
            if (i % 2 == parity && into[i] == i) to[i] = next++;
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (into[i] != i) to[i] = to[into[i]];
    }
    free(q);
    free(links);
    free(into);
    return next;
}

struct merged {
    struct sequence sequence;
    struct tome tome;
    void *memory;
    float *y;
    uint16_t *bf16;
    uint8_t *int8;
};

// The keys in the format that is asked for, in memory that `out` owns.
static struct rows make_keys(struct merged *out, const struct merging *m,
                             const struct kernels *kernels) {
    const size_t rows = m->starts[m->clips], count = rows * width(m);
    out->bf16 = (uint16_t *)(void *)make_bytes(count * 2);
    out->int8 = make_bytes(count * 4);
    for (size_t i = 0; i < count; i++) out->bf16[i] = bf16_from_f32(m->keys[i]);
    for (size_t i = 0; m->int8_keys && i < rows * m->heads; i++)
        kernels->encode_weights[FORMAT_I8](out->int8 + i * m->d * 4, m->keys + i * m->d, m->d);
    if (m->int8_keys) return (struct rows){out->int8, width(m) * 4, FORMAT_F32};
    if (m->format == FORMAT_BF16) return (struct rows){out->bf16, width(m) * 2, FORMAT_BF16};
    return (struct rows){m->keys, width(m) * 4, FORMAT_F32};
}

static void run_merging(struct merged *out, const struct merging *m, vdt_cpu level,
                        size_t threads) {
    struct house house;
    const size_t rows = m->starts[m->clips];
    open_house(&house, level, threads);
    *out = (struct merged){.tome = {.options = m->options,
                                    .int8_keys = m->int8_keys,
                                    .blocks = 1,
                                    .heads = m->heads,
                                    .d = m->d}};
    struct arena arena = {0};
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1) out->memory = aligned_alloc(64, (arena.peak + 63) / 64 * 64);
        arena = (struct arena){.base = out->memory};
        sequence_layout(&out->sequence, &arena, m->clips, m->tokens, m->prefix);
        tome_layout(&out->tome, &arena, m->clips, m->tokens);
    }
    tome_prepare(&out->tome);
    sequence_start(&out->sequence, m->clips);
    memcpy(out->sequence.starts, m->starts, (m->clips + 1) * sizeof *m->starts);
    memcpy(out->sequence.sizes, m->sizes, rows * sizeof *m->sizes);
    for (size_t b = 0; b < m->clips; b++) { // tokens past a shorter clip's rows: its last row
        const size_t n = m->starts[b + 1] - m->starts[b];
        for (size_t i = n; i < m->tokens; i++)
            out->sequence.source[b * m->tokens + i] = (uint32_t)n - 1;
    }
    out->y = make_floats(rows * width(m));
    const struct rows keys = make_keys(out, m, house.exec.kernels);
    const struct rows x = {m->x, width(m) * 4, FORMAT_F32}, y = {out->y, width(m) * 4, FORMAT_F32};
    if (!tome_merge(&house.exec, &out->tome, &out->sequence, 0, y, x, keys))
        memcpy(out->y, m->x, rows * width(m) * sizeof *out->y);
    close_house(&house);
}

static void free_merged(struct merged *merged) {
    free(merged->memory);
    free(merged->y);
    free(merged->bf16);
    free(merged->int8);
}

// Sizes, rows and sources of a clip, given the truth of where its rows go.
static void check_clip(const struct merging *m, const struct merged *merged, size_t clip,
                       const size_t *to, size_t n_new) {
    const size_t old = m->starts[clip], n = m->starts[clip + 1] - old;
    const size_t new = merged->sequence.starts[clip];
    double *sums = calloc(n_new * width(m), sizeof *sums), *sizes = calloc(n_new, sizeof *sizes);
    double total = 0.0;
    assert_int_equal(merged->sequence.starts[clip + 1] - new, n_new);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(merged->sequence.source[clip * m->tokens + i], to[i]);
        sizes[to[i]] += (double)m->sizes[old + i];
        total += (double)m->sizes[old + i];
        for (size_t j = 0; j < width(m); j++)
            sums[to[i] * width(m) + j] +=
                (double)m->sizes[old + i] * (double)m->x[(old + i) * width(m) + j];
    }
    for (size_t i = 0; i < n_new; i++) {
        assert_true((double)merged->sequence.sizes[new + i] == sizes[i]);
        assert_true(sizes[i] > 0.0); // every row stands for something
        total -= (double)merged->sequence.sizes[new + i];
        for (size_t j = 0; j < width(m); j++) {
            const double truth = sums[i * width(m) + j] / sizes[i];
            const double error = fabs((double)merged->y[(new + i) * width(m) + j] - truth);
            if (!(error <= 2e-5)) fail_msg("row %zu column %zu: off by %g", i, j, error);
        }
    }
    assert_true(total == 0.0);
    free(sums);
    free(sizes);
}

static void check_merging(struct random *random, size_t most, size_t trial) {
    struct merging m;
    make_merging(&m, random, most);
    size_t *to = malloc(m.tokens * sizeof *to);
    float *first = NULL;
    for (int level = VDT_CPU_C; level <= (int)cpu_detect(); level++) {
        struct merged merged;
        run_merging(&merged, &m, (vdt_cpu)level, 1 + (trial + (size_t)level) % 3);
        for (size_t b = 0; b < m.clips && (level == 0 || most < 1000); b++)
            check_clip(&m, &merged, b, to, plain_rows(to, &m, b));
        const size_t bytes = merged.sequence.starts[m.clips] * width(&m) * sizeof *first;
        if (level == 0) {
            first = malloc(bytes);
            memcpy(first, merged.y, bytes);
        } else {
            assert_memory_equal(first, merged.y, bytes); // the same bits on every level
        }
        free_merged(&merged);
    }
    free(first);
    free(to);
    free_merging(&m);
}

static void merging_equals_all_pairs(void **state) {
    (void)state;
    struct random random = {3};
    for (size_t trial = 0; trial < 300; trial++)
        check_merging(&random, trial < 100 ? 12 : 200, trial);
    for (size_t trial = 0; trial < 3; trial++) check_merging(&random, 5000, trial);
}

// Encoded keys are matched as the numbers that they stand for.
static void int8_keys(void **state) {
    (void)state;
    struct random random = {5};
    for (size_t trial = 0; trial < 40; trial++) {
        struct merging m;
        make_merging(&m, &random, 100);
        for (int level = VDT_CPU_C; level <= (int)cpu_detect() && m.d >= 8;
             level++) { // a row needs room
            struct kernels kernels;
            struct merged encoded, plain;
            kernels_init(&kernels, (vdt_cpu)level);
            m.format = FORMAT_F32;
            m.int8_keys = true;
            run_merging(&encoded, &m, (vdt_cpu)level, 2);
            m.int8_keys = false;
            float *keys = m.keys;
            const size_t rows = m.starts[m.clips], count = rows * width(&m);
            m.keys = make_floats(count);
            memcpy(m.keys, keys, count * sizeof *keys);
            quantise_weights(&kernels, m.keys, rows * m.heads, m.d, 1.0f);
            run_merging(&plain, &m, (vdt_cpu)level, 2);
            const size_t merged = plain.sequence.starts[m.clips];
            assert_int_equal(encoded.sequence.starts[m.clips], merged);
            assert_memory_equal(encoded.y, plain.y, merged * width(&m) * sizeof *plain.y);
            free_merged(&encoded);
            free_merged(&plain);
            free(m.keys);
            m.keys = keys;
        }
        free_merging(&m);
    }
}

static void schedules_are_the_published_ones(void **state) {
    (void)state;
    static const uint32_t falling[12] = {32, 29, 26, 23, 20, 17, 14, 11, 8, 5, 2, 0};
    for (size_t i = 0; i < 12; i++) {
        assert_int_equal(tome_schedule(16, -1.0, i, 12), falling[i]);
        assert_int_equal(tome_schedule(16, 0.0, i, 12), 16);
    }
    assert_int_equal(tome_schedule(16, 1.0, 0, 12), 0);
    assert_int_equal(tome_schedule(16, 1.0, 11, 12), 32);
    assert_int_equal(tome_schedule(65, 0.3, 0, 24), 45);
    assert_int_equal(tome_schedule(65, 0.3, 23, 24), 85);
    assert_int_equal(tome_schedule(9, -1.0, 0, 1), 9);
    assert_int_equal(tome_schedule(1 << 22, -1.0, 0, 2), 1 << 23);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(selection_equals_sorting),
        cmocka_unit_test(keys_order_as_numbers_do),
        cmocka_unit_test(masks_equal_a_plain_reading),
        cmocka_unit_test(merging_equals_all_pairs),
        cmocka_unit_test(int8_keys),
        cmocka_unit_test(schedules_are_the_published_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
