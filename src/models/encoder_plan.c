#include "models/encoder.h"

#include <string.h>

#include "core/checked.h"
#include "nn/pos_embed.h"

/* ---- plan ---------------------------------------------------------------------------------- */

// Counts and multiply-adds of so many fit their fields whatever the model.
enum { MAX_TOKENS = 1 << 22 };

static int plan_input(struct encoder *encoder, vdt_error *error) {
    const struct geometry *geometry = encoder->geometry;
    const struct encoder_options *options = &encoder->options;
    const size_t patch = geometry->patch;
    if (options->height < patch || options->width < patch || options->height > LIMIT_SIDE ||
        options->width > LIMIT_SIDE) {
        return status_fail(error, VDT_ERROR_ARGUMENT,
                           "input size: expected %zu..%d pixels a side, found %zu x %zu", patch,
                           LIMIT_SIDE, options->height, options->width);
    }
    const bool resizable = geometry->positions == POSITION_BICUBIC ||
                           geometry->positions == POSITION_BICUBIC_ANTIALIAS;
    const bool same = options->height / patch == geometry->height / patch &&
                      options->width / patch == geometry->width / patch;
    if (options->frames != geometry->frames || (!resizable && !same)) {
        return status_fail(
            error, VDT_ERROR_UNSUPPORTED,
            "input size: this model's positions are made for %zu frames of %zu x %zu, found %zu of "
            "%zu x %zu",
            geometry->frames, geometry->height, geometry->width, options->frames, options->height,
            options->width);
    }
    encoder->grid = (struct patch_grid){options->frames / geometry->tubelet,
                                        options->height / patch, options->width / patch};
    size_t rows;
    if (!checked_multiply(&rows, encoder->grid.t, encoder->grid.h) ||
        !checked_multiply(&encoder->patches, rows, encoder->grid.w) ||
        !checked_add(&encoder->tokens, encoder->patches, encoder->prefix) ||
        encoder->tokens > MAX_TOKENS || !checked_multiply(&rows, encoder->tokens, options->clips)) {
        return status_fail(error, VDT_ERROR_ARGUMENT,
                           "input size: %zu x %zu x %zu patches are more than %d tokens",
                           encoder->grid.t, encoder->grid.h, encoder->grid.w, MAX_TOKENS);
    }
    return VDT_OK;
}

static int plan_pool(struct encoder *encoder, vdt_error *error) {
    const struct geometry *geometry = encoder->geometry;
    const struct weights *weights = encoder->weights;
    const struct encoder_options *options = &encoder->options;
    if (options->layer != ENCODER_LAST && options->layer > geometry->blocks) {
        return status_fail(error, VDT_ERROR_ARGUMENT, "layer: expected 0..%zu or last, found %zu",
                           geometry->blocks, options->layer);
    }
    size_t shape[4] = {geometry->d, 0, 0, 0}, n = 1;
    switch (options->pool) {
    case VDT_POOL_NONE_WANTED: n = 0; break;
    case VDT_POOL_MEAN: break;
    case VDT_POOL_CLASS:
        if (geometry->class_tokens == 0) {
            return status_fail(error, VDT_ERROR_UNSUPPORTED,
                               "pool cls: this model has no class token; mean, none, "
                               "map and head are possible");
        }
        break;
    case VDT_POOL_TOKENS:
        shape[0] = encoder->tokens;
        shape[1] = geometry->d;
        n = 2;
        break;
    case VDT_POOL_MAP:
        if (encoder->grid.t > 1) shape[n++] = encoder->grid.t;
        shape[n++] = encoder->grid.h;
        shape[n++] = encoder->grid.w;
        break;
    case VDT_POOL_HEAD:
        if (options->layer != ENCODER_LAST) {
            return status_fail(error, VDT_ERROR_ARGUMENT, "pool head: reads the last layer only");
        }
        if (geometry->pooled == READ_ATTENTION_POOL && !weights->pool.kv) {
            return status_fail(error, VDT_ERROR_UNSUPPORTED,
                               "pool head: this model's weights hold no pooling head");
        }
        if (weights->projection) shape[0] = geometry->projection;
        break;
    default:
        return status_fail(error, VDT_ERROR_ARGUMENT, "pool: unknown value %d", (int)options->pool);
    }
    encoder->feature_dimensions = n;
    encoder->n_features = n > 0 ? 1 : 0;
    for (size_t i = 0; i < n; i++) {
        encoder->feature_shape[i] = shape[i];
        encoder->n_features *= shape[i];
    }
    return VDT_OK;
}

int encoder_set_rlt(struct encoder *encoder, const vdt_rlt_options *options, vdt_error *error) {
    const uint32_t lengths = options->mode == VDT_RLT_OFF ? 0 : options->lengths;
    const bool merges = encoder->tome.options.mode != VDT_TOME_OFF;
    struct rlt rlt = encoder->rlt;
    rlt.options = *options;
    const int status = rlt_check(&rlt, encoder->weights->length_rows != NULL, error);
    if (status) return status;
    encoder->rlt = rlt;
    encoder->bias_keys = (merges && encoder->tome.proportional) || (lengths & VDT_RLT_LENGTHS_BIAS);
    encoder->weigh_means = merges || (lengths & VDT_RLT_LENGTHS_POOL);
    return VDT_OK;
}

static int plan_reduction(struct encoder *encoder, vdt_error *error) {
    const struct geometry *geometry = encoder->geometry;
    const struct encoder_options *options = &encoder->options;
    const vdt_tome_attention attention = options->tome.attention;
    encoder->rlt = (struct rlt){.grid = encoder->grid,
                                .tubelet = geometry->tubelet,
                                .patch = geometry->patch,
                                .prefix = encoder->prefix,
                                .scale = options->scale};
    encoder->tome = (struct tome){.options = options->tome,
                                  .proportional = attention == VDT_TOME_ATTENTION_AUTO
                                                      ? !geometry->masked_pretraining
                                                      : attention == VDT_TOME_PROPORTIONAL,
                                  .blocks = geometry->blocks,
                                  .heads = geometry->heads,
                                  .d = geometry->d / geometry->heads};
    const int status = tome_check(&encoder->tome, error);
    return status ? status : encoder_set_rlt(encoder, &options->rlt, error);
}

int encoder_plan(struct encoder *encoder, const struct vdt_context *context,
                 const struct geometry *geometry, const struct weights *weights,
                 const struct encoder_options *options, vdt_error *error) {
    *encoder = (struct encoder){
        .context = context, .geometry = geometry, .weights = weights, .options = *options};
    encoder->prefix = geometry_prefix(geometry);
    encoder->n_logits = weights->classifier ? geometry->labels : 0;
    int status = plan_input(encoder, error);
    if (!status) status = plan_pool(encoder, error);
    return status ? status : plan_reduction(encoder, error);
}

/* ---- layout -------------------------------------------------------------------------------- */

static float *take_floats(struct arena *arena, size_t rows, size_t columns) {
    size_t count;
    if (!checked_multiply(&count, rows, columns)) arena->overflow = true;
    return arena->overflow ? NULL : arena_take(arena, count, sizeof(float));
}

// The largest scratch memory any operation of a run asks for.
static size_t scratch_bytes(const struct encoder *encoder) {
    const struct weights *weights = encoder->weights;
    const struct block *block = &weights->blocks[0]; // blocks are alike
    const struct gemm *matrices[] = {
        block->attention.qkv, block->attention.proj, weights->pooler,  weights->classifier,
        weights->classifier2, weights->projection,   weights->pool.kv, weights->pool.proj};
    size_t bytes =
        max_size(patch_embed_scratch_bytes(weights->patch), ops_mlp_scratch_bytes(&block->mlp));
    bytes = max_size(
        bytes, ops_attention_scratch_bytes(encoder->geometry->d / encoder->geometry->heads, NULL));
    if (weights->pool.kv) bytes = max_size(bytes, ops_mlp_scratch_bytes(&weights->pool.mlp));
    for (size_t i = 0; i < sizeof matrices / sizeof *matrices; i++) {
        if (matrices[i]) bytes = max_size(bytes, ops_linear_scratch_bytes(matrices[i]));
    }
    return (bytes + 63) / 64 * 64;
}

// Attention multiplies in bf16 where the weights are not f32 and the CPU can.
static enum format attention_format(const struct encoder *encoder) {
    const struct kernels *kernels = &encoder->context->kernels;
    const size_t d = encoder->geometry->d / encoder->geometry->heads;
    const bool rough = gemm_format(encoder->weights->blocks[0].attention.qkv) != FORMAT_F32;
    return rough && kernels->has_format[FORMAT_BF16] && d % 2 == 0 ? FORMAT_BF16 : FORMAT_F32;
}

static void *take_panels(const struct encoder *encoder, struct arena *arena, enum format format,
                         size_t rows) {
    const struct geometry *geometry = encoder->geometry;
    size_t bytes;
    if (!ops_attention_panels(&bytes, &encoder->context->kernels, format, rows,
                              encoder->options.clips, geometry->heads,
                              geometry->d / geometry->heads)) {
        arena->overflow = true;
    }
    return arena_take(arena, bytes, 1);
}

void encoder_layout(struct encoder *encoder, struct arena *arena) {
    const struct geometry *geometry = encoder->geometry;
    const size_t d = geometry->d, clips = encoder->options.clips, rows = clips * encoder->tokens;
    const enum format format = attention_format(encoder);
    const size_t element = format == FORMAT_BF16 ? 2 : sizeof(float);
    sequence_layout(&encoder->sequence, arena, clips, encoder->tokens, encoder->prefix);
    rlt_layout(&encoder->rlt, arena, clips);
    tome_layout(&encoder->tome, arena, clips, encoder->tokens);
    encoder->layers = arena_take(arena, clips, geometry->blocks * sizeof *encoder->layers);
    encoder->clip_macs = arena_take(arena, clips, sizeof *encoder->clip_macs);
    encoder->dense_macs = arena_take(arena, clips, sizeof *encoder->dense_macs);
    encoder->singles = arena_take(arena, clips + 1, sizeof *encoder->singles);
    encoder->prefix_rows = take_floats(arena, encoder->prefix, d);
    encoder->positions = take_floats(arena, encoder->patches, d);
    encoder->read = take_floats(arena, clips, 2 * d);
    encoder->pooled = take_floats(arena, clips, max_size(d, geometry->projection));
    encoder->small = take_floats(arena, clips, 2 * d);
    encoder->logits = take_floats(arena, clips, encoder->n_logits);
    encoder->x = take_floats(arena, rows, d);
    encoder->y = take_floats(arena, rows, d);
    // The projection reads bf16 as it is; int8 rows are encoded from f32.
    const bool direct = gemm_format(encoder->weights->blocks[0].attention.proj) == FORMAT_BF16;
    const enum format mixed = direct ? format : FORMAT_F32;
    encoder->mixed =
        (struct rows){encoder->y, d * (mixed == FORMAT_BF16 ? 2 : sizeof(float)), mixed};

    const size_t threads = pool_threads(encoder->context->pool);
    encoder->exec =
        (struct exec){.pool = encoder->context->pool, .kernels = &encoder->context->kernels};
    encoder->exec.scratch_bytes = scratch_bytes(encoder);
    encoder->exec.scratch = arena_take(arena, threads, encoder->exec.scratch_bytes);

    const size_t mark = arena_mark(arena);
    encoder->qkv = (struct rows){arena_take(arena, rows, 3 * d * element), 3 * d * element, format};
    encoder->panels = take_panels(encoder, arena, format, rows);
    if (encoder->weights->pool.kv) { // runs after the blocks, in f32, in the same memory
        arena_release(arena, mark);
        encoder->kv = take_floats(arena, rows, 2 * d);
        void *panels = take_panels(encoder, arena, FORMAT_F32, rows);
        encoder->pool_panels = panels;
    }
}

/* ---- what does not change ------------------------------------------------------------------ */

static void copy_row(float *to, const float *from, size_t d) {
    memcpy(to, from, d * sizeof *to);
}

static void add_row(float *to, const float *from, size_t d) {
    for (size_t i = 0; i < d; i++) to[i] += from[i];
}

void encoder_prepare(struct encoder *encoder) {
    const struct geometry *geometry = encoder->geometry;
    const struct weights *weights = encoder->weights;
    const size_t d = geometry->d;
    const size_t placed =
        geometry->class_tokens + geometry->distillation_tokens; // these have positions
    float *row = encoder->prefix_rows;
    if (geometry->class_tokens > 0) copy_row(row, weights->class_token, d);
    if (geometry->distillation_tokens > 0) copy_row(row + d, weights->distillation_token, d);
    for (size_t i = 0; i < placed && weights->positions; i++)
        add_row(row + i * d, weights->positions + i * d, d);
    if (geometry->registers > 0)
        memcpy(row + placed * d, weights->registers, geometry->registers * d * sizeof *row);

    if (geometry->positions == POSITION_SINUSOID) {
        pos_embed_sinusoid(encoder->positions, encoder->patches, d);
    } else if (geometry->positions == POSITION_FIXED) {
        memcpy(encoder->positions, weights->positions + placed * d,
               encoder->patches * d * sizeof *row);
    } else {
        pos_embed_resize(encoder->positions, encoder->grid.h, encoder->grid.w,
                         weights->positions + placed * d, geometry->height / geometry->patch,
                         geometry->width / geometry->patch, d,
                         geometry->positions == POSITION_BICUBIC_ANTIALIAS);
    }
    for (size_t i = 0; i <= encoder->options.clips; i++) encoder->singles[i] = i;
    tome_prepare(&encoder->tome);
    encoder->sequence.clips = 0; // nothing has run
}

/* ---- what is counted ----------------------------------------------------------------------- */

uint64_t encoder_block_macs(const struct encoder *encoder, size_t kept, const uint32_t *layers) {
    const struct geometry *geometry = encoder->geometry;
    const uint64_t d = geometry->d, m = geometry->mlp, p = geometry->patch;
    const uint64_t mlp = geometry->gated ? 3 * d * m : 2 * d * m;
    uint64_t macs = (kept - encoder->prefix) * d * geometry->tubelet * p * p * 3, n = kept;
    for (size_t i = 0; i < geometry->blocks; i++) {
        macs += n * 4 * d * d + 2 * n * n * d;
        if (layers) n = layers[i];
        macs += n * mlp;
    }
    return macs;
}

static uint64_t head_macs(const struct encoder *encoder) {
    const uint64_t d = encoder->geometry->d;
    const uint64_t read = encoder->geometry->classifier == READ_CLASS_AND_MEAN ? 2 * d : d;
    const uint64_t classifiers = encoder->weights->classifier2 ? 2 : 1;
    return classifiers * encoder->n_logits * read;
}

uint64_t encoder_macs(const struct encoder *encoder) {
    return encoder_block_macs(encoder, encoder->tokens, NULL) + head_macs(encoder);
}

struct expectation encoder_expect(const struct encoder *encoder) {
    const vdt_rlt_mode mode = encoder->rlt.options.mode;
    const bool budget = mode != VDT_RLT_OFF && mode != VDT_RLT_THRESHOLD;
    uint32_t layers[LIMIT_BLOCKS];
    size_t n = budget ? encoder->rlt.options.keep : encoder->tokens;
    struct expectation expected = {.kept = n};
    for (size_t i = 0; i < encoder->geometry->blocks; i++) {
        n -= tome_merges(&encoder->tome, n, encoder->prefix, i);
        layers[i] = (uint32_t)n;
    }
    expected.final = n;
    expected.macs = encoder_block_macs(encoder, expected.kept, layers) + head_macs(encoder);
    return expected;
}
