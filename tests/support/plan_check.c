#include "plan_check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/checked.h"
#include "gemm/gemm.h"

// Like assert, but in every build.
#define REQUIRE(condition) ((condition) ? (void)0 : broken(#condition, __LINE__))

_Noreturn static void broken(const char *condition, int line) {
    fprintf(stderr, "plan_check.c:%d: expected %s\n", line, condition);
    abort();
}

/* ---- weights that are sizes ---------------------------------------------------------------- */

enum { MATRICES = 16 };

struct fake_weights {
    const struct kernels *kernels;
    struct gemm matrices[MATRICES];
    size_t n;
    struct block block;
    struct weights weights;
};

static struct gemm *fake_matrix(struct fake_weights *fake, size_t n, size_t k) {
    REQUIRE(fake->n < MATRICES);
    struct gemm *gemm = &fake->matrices[fake->n++];
    *gemm = (struct gemm){.kernels = fake->kernels, .n = n, .k = k};
    return gemm;
}

static void fake_pool(struct fake_weights *fake, const struct geometry *g) {
    struct attention_pool *pool = &fake->weights.pool;
    if (g->pooled != READ_ATTENTION_POOL) return;
    pool->kv = fake_matrix(fake, 2 * g->d, g->d);
    pool->proj = fake_matrix(fake, g->d, g->d);
    pool->mlp.fc1 = fake_matrix(fake, g->mlp, g->d);
    pool->mlp.fc2 = fake_matrix(fake, g->d, g->mlp);
}

static void make_fake(struct fake_weights *fake, const struct geometry *g,
                      const struct kernels *kernels) {
    *fake = (struct fake_weights){.kernels = kernels};
    fake->block.attention.qkv = fake_matrix(fake, 3 * g->d, g->d);
    fake->block.attention.proj = fake_matrix(fake, g->d, g->d);
    fake->block.mlp = (struct mlp){.fc1 = fake_matrix(fake, g->mlp * (g->gated ? 2 : 1), g->d),
                                   .fc2 = fake_matrix(fake, g->d, g->mlp),
                                   .gated = g->gated};
    struct weights *weights = &fake->weights;
    weights->patch = fake_matrix(fake, g->d, 3 * g->tubelet * g->patch * g->patch);
    weights->blocks = &fake->block;
    weights->n_blocks = g->blocks;
    fake_pool(fake, g);
    if (g->projection > 0) weights->projection = fake_matrix(fake, g->projection, g->d);
    if (g->labels > 0) {
        const size_t width = g->classifier == READ_CLASS_AND_MEAN ? 2 * g->d : g->d;
        weights->classifier = fake_matrix(fake, g->labels, width);
        if (g->distillation_tokens > 0) weights->classifier2 = fake_matrix(fake, g->labels, width);
    }
}

/* ---- buffers ------------------------------------------------------------------------------- */

struct buffer {
    void *at;
    size_t bytes;
};

// Buffers of the encoder, as the comments in encoder.h give their sizes. The last four share memory: the
// blocks use qkv and panels together, the attention pool kv and its panels, later.
enum { BUFFERS = 42, QKV = 38, PANELS = 39, KV = 40, POOL_PANELS = 41 };

static size_t panel_bytes(const struct encoder *e, enum format format) {
    const struct geometry *g = e->geometry;
    const size_t clips = e->options.clips;
    size_t bytes = 0;
    REQUIRE(ops_attention_panels(&bytes, &e->context->kernels, format, clips * e->tokens, clips,
                                 g->heads, g->d / g->heads));
    return bytes;
}

static void list_buffers(struct buffer buffers[BUFFERS], const struct encoder *e) {
    const struct geometry *g = e->geometry;
    const size_t d = g->d, clips = e->options.clips, rows = clips * e->tokens, f = sizeof(float);
    const bool pool = e->weights->pool.kv != NULL;
    const struct sequence *s = &e->sequence;
    const struct rlt *rlt = &e->rlt;
    const struct tome *tome = &e->tome;
    const bool drops = rlt->options.mode != VDT_RLT_OFF,
               merges = tome->options.mode != VDT_TOME_OFF;
    const size_t a = merges ? rows / 2 + clips : 0, merging = merges ? rows : 0;
    const size_t panels = merges ? (rows / (2 * MATCH_PANEL) + clips) * MATCH_PANEL : 0;
    const size_t patches = clips * e->patches, u32 = sizeof(uint32_t), f64 = sizeof(double);
    const struct buffer all[BUFFERS] = {
        {e->sequence.starts, (clips + 1) * sizeof *e->sequence.starts},
        {e->singles, (clips + 1) * sizeof *e->singles},
        {e->read_starts, (clips + 1) * sizeof *e->read_starts},
        {e->read_queries, clips * e->read_rows * u32},
        {e->prefix_rows, e->prefix * d * f},
        {e->positions, e->patches * d * f},
        {e->read, clips * 2 * d * f},
        {e->pooled, clips * max_size(d, g->projection) * f},
        {e->small, clips * 2 * d * f},
        {e->logits, clips * e->n_logits * f},
        {e->x, rows * d * f},
        {e->y, rows * d * f},
        {e->exec.scratch, pool_threads(e->context->pool) * e->exec.scratch_bytes},
        {e->exec.hidden,
         pool_threads(e->context->pool) * ops_mlp_hidden_bytes(&e->weights->blocks[0].mlp)},
        {s->sizes, rows * f},
        {s->log_sizes, rows * f},
        {s->indices, rows * u32},
        {s->lengths, rows * u32},
        {s->kept, clips * u32},
        {s->source, rows * u32},
        {e->layers, clips * g->blocks * u32},
        {e->clip_macs, clips * sizeof *e->clip_macs},
        {e->dense_macs, clips * sizeof *e->dense_macs},
        {rlt->mask, drops ? patches : 0},
        {rlt->keys, drops ? patches * sizeof *rlt->keys : 0},
        {tome->r, merges ? g->blocks * u32 : 0},
        {tome->a, a * tome->d * f64},
        {tome->panels, panels * tome->d * f64},
        {tome->best, a * f64},
        {tome->column, a * u32},
        {tome->keys, a * sizeof *tome->keys},
        {tome->chosen, a},
        {tome->next, a * u32},
        {tome->first, merging * u32},
        {tome->order, merging * u32},
        {tome->to, merging * u32},
        {tome->starts, merges ? (clips + 1) * sizeof *tome->starts : 0},
        {tome->sizes, merging * f},
        [QKV] = {e->qkv.data, rows * 3 * d * f},
        [PANELS] = {e->panels, panel_bytes(e, e->qkv.format)},
        [KV] = {e->kv, pool ? rows * 2 * d * f : 0},
        [POOL_PANELS] = {e->pool_panels, pool ? panel_bytes(e, FORMAT_F32) : 0},
    };
    memcpy(buffers, all, sizeof all);
}

static bool may_share(size_t a, size_t b) {
    return (a == QKV || a == PANELS) != (b == QKV || b == PANELS) && a >= QKV && b >= QKV;
}

static void check_buffers(const struct encoder *encoder, const unsigned char *base, size_t bytes) {
    struct buffer buffers[BUFFERS];
    list_buffers(buffers, encoder);
    for (size_t i = 0; i < BUFFERS; i++) {
        if (buffers[i].bytes == 0) continue;
        const size_t begin = (size_t)((unsigned char *)buffers[i].at - base);
        REQUIRE(begin <= bytes && buffers[i].bytes <= bytes - begin && begin % 64 == 0);
        for (size_t j = 0; j < i; j++) {
            const size_t other = (size_t)((unsigned char *)buffers[j].at - base);
            const bool apart =
                begin + buffers[i].bytes <= other || other + buffers[j].bytes <= begin;
            REQUIRE(apart || may_share(i, j) || buffers[j].bytes == 0);
        }
    }
    REQUIRE(encoder->exec.scratch_bytes >= patch_embed_scratch_bytes(encoder->weights->patch));
    REQUIRE(encoder->exec.scratch_bytes >=
            ops_attention_scratch_bytes(encoder->geometry->d / encoder->geometry->heads, NULL));
    REQUIRE(encoder->exec.scratch_bytes >= ops_mlp_scratch_bytes(&encoder->weights->blocks[0].mlp));
}

// Every byte of every buffer, so that a sanitizer sees one that leaves the block.
static void fill_buffers(const struct encoder *encoder) {
    struct buffer buffers[BUFFERS];
    list_buffers(buffers, encoder);
    for (size_t i = 0; i < BUFFERS; i++) {
        if (buffers[i].bytes > 0) memset(buffers[i].at, (int)i, buffers[i].bytes);
    }
}

/* ---- what is prepared ---------------------------------------------------------------------- */

static float *ones(struct memory *memory, size_t count) {
    float *values = mem_alloc_raw(memory, count, sizeof *values, "test", NULL);
    for (size_t i = 0; values && i < count; i++) values[i] = 1.0f;
    return values;
}

// Positions and prefix from tables of ones: interpolation keeps them ones.
static void check_prepared(const struct encoder *encoder) {
    const struct geometry *g = encoder->geometry;
    const size_t d = g->d;
    for (size_t i = 0; i <= encoder->options.clips; i++) {
        REQUIRE(encoder->singles[i] == i);
    }
    const size_t placed = g->class_tokens + g->distillation_tokens;
    for (size_t i = 0; i < encoder->prefix * d; i++) {
        const float expected = i / d < placed && encoder->weights->positions ? 2.0f : 1.0f;
        REQUIRE(encoder->prefix_rows[i] == expected);
    }
    const struct expectation expected = encoder_expect(encoder);
    REQUIRE(expected.kept <= encoder->tokens && expected.kept > encoder->prefix);
    REQUIRE(expected.final <= expected.kept && expected.final > encoder->prefix);
    for (size_t i = 0; i < encoder->patches * d; i++) {
        const float value = encoder->positions[i];
        if (g->positions == POSITION_SINUSOID)
            REQUIRE(value >= -1.0f && value <= 1.0f);
        else
            REQUIRE(fabsf(value - 1.0f) < 1e-4f);
    }
}

// The tables that encoder_prepare reads, with exactly as many rows as the geometry promises.
static bool make_tables(struct weights *weights, const struct geometry *g, struct memory *memory) {
    const size_t d = g->d, side = g->height / g->patch * (g->width / g->patch);
    const size_t grid = g->positions == POSITION_FIXED ? g->frames / g->tubelet * side : side;
    const size_t rows = g->class_tokens + g->distillation_tokens + grid;
    weights->class_token = ones(memory, g->class_tokens * d);
    weights->distillation_token = ones(memory, g->distillation_tokens * d);
    weights->registers = ones(memory, g->registers * d);
    if (g->positions != POSITION_SINUSOID) weights->positions = ones(memory, rows * d);
    return weights->class_token && weights->distillation_token && weights->registers &&
           (weights->positions || g->positions == POSITION_SINUSOID);
}

static void free_tables(struct weights *weights, struct memory *memory) {
    mem_free(memory, weights->class_token);
    mem_free(memory, weights->distillation_token);
    mem_free(memory, weights->registers);
    mem_free(memory, weights->positions);
}

static bool is_small(const struct geometry *g, size_t most_bytes) {
    return g->height / g->patch * (g->width / g->patch) * (g->frames / g->tubelet) * g->d <
           most_bytes / sizeof(float);
}

// Both passes of the layout must come to the same sizes.
static bool fill(struct encoder *encoder, struct weights *weights, struct memory *memory,
                 size_t bytes) {
    unsigned char *block = mem_alloc_raw(memory, bytes, 1, "test", NULL);
    const bool made = make_tables(weights, encoder->geometry, memory) && block;
    if (made) {
        struct arena arena = {.base = block};
        encoder_layout(encoder, &arena);
        REQUIRE(!arena.overflow && arena.peak == bytes);
        check_buffers(encoder, block, bytes);
        fill_buffers(encoder);
        encoder_prepare(encoder);
        check_prepared(encoder);
    }
    free_tables(weights, memory);
    mem_free(memory, block);
    return made;
}

enum plan_result plan_check(const struct geometry *geometry, const struct encoder_options *options,
                            struct memory *memory, size_t most_bytes) {
    struct vdt_context context = {.memory = *memory};
    struct fake_weights fake;
    struct encoder encoder;
    vdt_error error = {0};
    kernels_init(&context.kernels, VDT_CPU_C);
    if (pool_open(&context.pool, &context.memory, 1, &error)) return PLAN_REFUSED;
    make_fake(&fake, geometry, &context.kernels);
    enum plan_result result = PLAN_REFUSED;
    struct arena counting = {0};
    const int status = encoder_plan(&encoder, &context, geometry, &fake.weights, options, &error);
    REQUIRE(status == (int)error.status && status <= 0);
    REQUIRE((status == VDT_OK) == (error.message[0] == '\0'));
    if (!status) {
        REQUIRE(encoder.tokens > 0 && encoder.patches + encoder.prefix == encoder.tokens);
        encoder_layout(&encoder, &counting);
        result = counting.overflow ? PLAN_TOO_LARGE : PLAN_COUNTED;
        REQUIRE(!encoder.x && !encoder.qkv.data && !encoder.sequence.starts);
    }
    if (result == PLAN_COUNTED && counting.peak <= most_bytes && is_small(geometry, most_bytes)) {
        // A session of less than these bytes cannot hold its residual stream.
        REQUIRE(counting.peak >= options->clips * encoder.tokens * geometry->d * sizeof(float));
        if (fill(&encoder, &fake.weights, memory, counting.peak)) result = PLAN_FILLED;
    }
    pool_close(&context.pool);
    return result;
}
