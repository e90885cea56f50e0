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
                           geometry->positions == POSITION_BICUBIC_ANTIALIAS ||
                           geometry->positions == POSITION_NONE;
    const bool same = options->height / patch == geometry->height / patch &&
                      options->width / patch == geometry->width / patch;
    if (options->frames != geometry_sequence_frames(geometry) || (!resizable && !same)) {
        return status_fail(
            error, VDT_ERROR_UNSUPPORTED,
            "input size: this model's positions are made for %zu frames of %zu x %zu, found %zu of "
            "%zu x %zu",
            geometry_sequence_frames(geometry), geometry->height, geometry->width, options->frames,
            options->height, options->width);
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
    if (geometry->window > 0) {
        encoder->windows = (struct windows){.side = geometry->window,
                                            .rows = ceil_div(encoder->grid.h, geometry->window),
                                            .columns = ceil_div(encoder->grid.w, geometry->window)};
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
    const bool grid = geometry->window > 0 || geometry->relative || geometry->temporal_blocks > 0;
    if (grid && (options->rlt.mode != VDT_RLT_OFF || options->tome.mode != VDT_TOME_OFF)) {
        return status_fail(
            error, VDT_ERROR_UNSUPPORTED,
            "reduction: rlt and tome need a model whose tokens all meet, without windows, "
            "relative positions or snippets");
    }
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

// How many rows of a clip outputs read after the last block, where these are its first ones. Merging is left alone:
// what it did in the last block is told.
static size_t first_rows(const struct encoder *encoder) {
    const struct geometry *geometry = encoder->geometry;
    const struct encoder_options *options = &encoder->options;
    const bool logits = encoder->n_logits > 0, head = options->pool == VDT_POOL_HEAD,
               many = encoder->n_features > 0 && options->layer >= geometry->blocks && !head &&
                      options->pool != VDT_POOL_CLASS;
    if ((logits && geometry->classifier != READ_FIRST) ||
        (head && geometry->pooled != READ_FIRST) || many || geometry->window > 0 ||
        options->tome.mode != VDT_TOME_OFF) {
        return 0;
    }
    return encoder->weights->classifier2 ? 2 : 1;
}

int encoder_plan(struct encoder *encoder, const struct vdt_context *context,
                 const struct geometry *geometry, const struct weights *weights,
                 const struct encoder_options *options, vdt_error *error) {
    *encoder = (struct encoder){
        .context = context, .geometry = geometry, .weights = weights, .options = *options};
    encoder->prefix = geometry_prefix(geometry);
    const bool reads = weights->classifier && geometry->temporal_blocks == 0;
    encoder->n_logits = reads ? geometry->labels : 0;
    int status = plan_input(encoder, error);
    if (!status) status = plan_pool(encoder, error);
    encoder->read_rows = first_rows(encoder);
    return status ? status : plan_reduction(encoder, error);
}

/* ---- layout -------------------------------------------------------------------------------- */

// The largest scratch memory any operation of a run asks for.
static size_t scratch_bytes(const struct encoder *encoder) {
    const struct weights *weights = encoder->weights;
    const struct block *block = &weights->blocks[0]; // blocks are alike
    const struct gemm *matrices[] = {
        block->attention.qkv, block->attention.proj, weights->pooler,  weights->classifier,
        weights->classifier2, weights->projection,   weights->pool.kv, weights->pool.proj};
    size_t bytes =
        max_size(patch_embed_scratch_bytes(weights->patch), ops_mlp_scratch_bytes(&block->mlp));
    const struct relative_positions grid = {
        .height = max_size(encoder->grid.h, encoder->windows.side),
        .width = max_size(encoder->grid.w, encoder->windows.side)};
    bytes =
        max_size(bytes, ops_attention_scratch_bytes(encoder->geometry->d / encoder->geometry->heads,
                                                    encoder->geometry->relative ? &grid : NULL));
    if (weights->pool.kv) bytes = max_size(bytes, ops_mlp_scratch_bytes(&weights->pool.mlp));
    for (size_t i = 0; i < sizeof matrices / sizeof *matrices; i++) {
        if (matrices[i]) bytes = max_size(bytes, ops_linear_scratch_bytes(matrices[i]));
    }
    return align64(max_size(bytes, encoder->least_scratch));
}

static size_t hidden_bytes(const struct weights *weights) {
    const size_t pool = weights->pool.kv ? ops_mlp_hidden_bytes(&weights->pool.mlp) : 0;
    return max_size(pool, ops_mlp_hidden_bytes(&weights->blocks[0].mlp));
}

// Attention multiplies in bf16 where the weights are not f32 and the CPU can.
static enum format attention_format(const struct encoder *encoder) {
    const struct kernels *kernels = &encoder->context->kernels;
    const size_t d = encoder->geometry->d / encoder->geometry->heads;
    const bool rough = gemm_format(encoder->weights->blocks[0].attention.qkv) != FORMAT_F32;
    return rough && !encoder->options.attention_f32 && kernels->has_format[FORMAT_BF16] &&
                   d % 2 == 0
               ? FORMAT_BF16
               : FORMAT_F32;
}

// Scores in int8 where the weights are and heads are wide enough to gain.
static bool has_int8_scores(const struct encoder *encoder) {
    const enum format format = gemm_format(encoder->weights->blocks[0].attention.qkv);
    return format == FORMAT_I8 && !encoder->options.attention_f32 &&
           encoder->geometry->d / encoder->geometry->heads >= INT8_LEAST_K;
}

// Tables of relative positions meet q in the scores' product.
static enum format table_format(const struct encoder *encoder) {
    return encoder->int8_scores ? FORMAT_I8 : attention_format(encoder);
}

static void *take_panels(const struct encoder *encoder, struct arena *arena, enum format format,
                         size_t rows) {
    const struct geometry *geometry = encoder->geometry;
    const struct windows *windows = &encoder->windows;
    const size_t sequences = encoder->options.clips * max_size(windows->rows * windows->columns, 1);
    const size_t keys = max_size(rows, windows->rows * windows->columns * windows->side *
                                           windows->side * encoder->options.clips);
    size_t bytes;
    if (!ops_attention_panels(&bytes, &encoder->context->kernels, format, keys, sequences,
                              geometry->heads, geometry->d / geometry->heads)) {
        arena->overflow = true;
    }
    return arena_take(arena, bytes, 1);
}

static void layout_windows(struct encoder *encoder, struct arena *arena, size_t row_bytes) {
    struct windows *windows = &encoder->windows;
    if (windows->side == 0) return;
    const size_t clips = encoder->options.clips, a_clip = windows->rows * windows->columns;
    windows->q_starts = arena_take(arena, clips * a_clip + 1, sizeof *windows->q_starts);
    windows->k_starts = arena_take(arena, clips * a_clip + 1, sizeof *windows->k_starts);
    windows->queries = arena_take(arena, clips * encoder->patches, sizeof *windows->queries);
    windows->key_rows = arena_take(arena, clips * a_clip,
                                   windows->side * windows->side * sizeof *windows->key_rows);
    encoder->padding = arena_take(arena, encoder->geometry->blocks, row_bytes);
}

// Rows and columns that a block of this plan attends over.
static void attention_grid(const struct encoder *encoder, size_t block, size_t *h, size_t *w) {
    const bool windowed = encoder->windows.side > 0 && encoder->geometry->windowed[block];
    *h = windowed ? encoder->windows.side : encoder->grid.h;
    *w = windowed ? encoder->windows.side : encoder->grid.w;
}

// Whether a table must hold an entry for each pair of positions: distances' own were made for another size.
static bool is_gathered(const struct encoder *encoder, size_t block) {
    size_t h, w, made_h, made_w;
    attention_grid(encoder, block, &h, &w);
    geometry_attention_grid(encoder->geometry, block, &made_h, &made_w);
    return encoder->geometry->relative_gathered && (h != made_h || w != made_w);
}

static size_t table_bytes(const struct encoder *encoder, struct arena *arena, enum format format,
                          size_t n) {
    size_t bytes = 0;
    if (!ops_table_bytes(&bytes, &encoder->context->kernels, format, n,
                         encoder->geometry->d / encoder->geometry->heads))
        arena->overflow = true;
    return bytes;
}

static void layout_relative(struct encoder *encoder, struct arena *arena, enum format format) {
    if (!encoder->geometry->relative) return;
    const size_t blocks = encoder->geometry->blocks,
                 d = encoder->geometry->d / encoder->geometry->heads;
    size_t longest = 1;
    encoder->relative = arena_take(arena, blocks, sizeof *encoder->relative);
    for (size_t i = 0; i < blocks; i++) {
        struct relative_positions relative = {0};
        attention_grid(encoder, i, &relative.height, &relative.width);
        const size_t h = relative.height, w = relative.width;
        const bool gathered = is_gathered(encoder, i);
        const size_t h_bytes = table_bytes(encoder, arena, format, gathered ? h : 2 * h - 1),
                     w_bytes = table_bytes(encoder, arena, format, gathered ? w : 2 * w - 1);
        relative.h = arena_take(arena, gathered ? h : 1, h_bytes);
        relative.w = arena_take(arena, gathered ? w : 1, w_bytes);
        relative.h_step = gathered ? h_bytes : 0;
        relative.w_step = gathered ? w_bytes : 0;
        longest = max_size(longest, gathered ? max_size(h * h, w * w) : 2 * max_size(h, w));
        size_t made_h, made_w;
        geometry_attention_grid(encoder->geometry, i, &made_h, &made_w);
        if (gathered) longest = max_size(longest, max_size(made_h * made_h, made_w * made_w));
        if (encoder->relative) encoder->relative[i] = relative;
    }
    encoder->table = arena_take_floats(arena, 2 * longest, d);
    encoder->encoded_table = arena_take_floats(arena, longest, d + 4);
}

void encoder_layout(struct encoder *encoder, struct arena *arena) {
    const struct geometry *geometry = encoder->geometry;
    const size_t d = geometry->d, clips = encoder->options.clips, rows = clips * encoder->tokens;
    const enum format format = attention_format(encoder);
    encoder->int8_scores = encoder->tome.int8_keys = has_int8_scores(encoder);
    const size_t qkv_bytes = 3 * d * format_bytes(format); // of a row
    sequence_layout(&encoder->sequence, arena, clips, encoder->tokens, encoder->prefix);
    rlt_layout(&encoder->rlt, arena, clips);
    tome_layout(&encoder->tome, arena, clips, encoder->tokens);
    encoder->layers = arena_take(arena, clips, geometry->blocks * sizeof *encoder->layers);
    encoder->clip_macs = arena_take(arena, clips, sizeof *encoder->clip_macs);
    encoder->dense_macs = arena_take(arena, clips, sizeof *encoder->dense_macs);
    encoder->singles = arena_take(arena, clips + 1, sizeof *encoder->singles);
    encoder->read_starts = arena_take(arena, clips + 1, sizeof *encoder->read_starts);
    encoder->read_queries =
        arena_take(arena, clips, encoder->read_rows * sizeof *encoder->read_queries);
    encoder->prefix_rows = arena_take_floats(arena, encoder->prefix, d);
    encoder->positions = arena_take_floats(arena, encoder->patches, d);
    encoder->read = arena_take_floats(arena, clips, 2 * d);
    encoder->pooled = arena_take_floats(arena, clips, max_size(d, geometry->projection));
    encoder->small = arena_take_floats(arena, clips, 2 * d);
    encoder->logits = arena_take_floats(arena, clips, encoder->n_logits);
    encoder->x = arena_take_floats(arena, rows, d);
    encoder->y = arena_take_floats(arena, rows, d);
    // The projection reads bf16 as it is; int8 rows are encoded from f32.
    const bool direct = gemm_format(encoder->weights->blocks[0].attention.proj) == FORMAT_BF16;
    encoder->mixed = rows_packed(encoder->y, d, direct ? format : FORMAT_F32);

    const size_t threads = pool_threads(encoder->context->pool);
    encoder->exec =
        (struct exec){.pool = encoder->context->pool, .kernels = &encoder->context->kernels};
    encoder->exec.scratch_bytes = scratch_bytes(encoder);
    encoder->exec.scratch = arena_take(arena, threads, encoder->exec.scratch_bytes);
    encoder->exec.hidden = arena_take(arena, threads, hidden_bytes(encoder->weights));

    layout_windows(encoder, arena, qkv_bytes);
    layout_relative(encoder, arena, table_format(encoder));

    const size_t mark = arena_mark(arena);
    // The last row is for padding.
    encoder->qkv = rows_packed(arena_take(arena, rows + 1, qkv_bytes), 3 * d, format);
    encoder->panels = take_panels(encoder, arena, format, rows);
    if (encoder->weights->pool.kv) { // runs after the blocks, in f32, in the same memory
        arena_release(arena, mark);
        encoder->kv = arena_take_floats(arena, rows, 2 * d);
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

// Padding is zeros after the norm, so its q, k and v are the biases.
static void prepare_windows(struct encoder *encoder) {
    struct windows *windows = &encoder->windows;
    if (windows->side == 0) return;
    windows_fill(windows, encoder->options.clips, encoder->grid.h, encoder->grid.w,
                 (uint32_t)(encoder->options.clips * encoder->tokens));
    const struct gemm_epilogue epilogue = {.activation = ACTIVATION_NONE,
                                           .format = encoder->qkv.format};
    memset(encoder->y, 0, encoder->geometry->d * sizeof *encoder->y);
    for (size_t i = 0; i < encoder->weights->n_blocks; i++) {
        const struct rows row = {encoder->padding + i * encoder->qkv.bytes, encoder->qkv.bytes,
                                 encoder->qkv.format};
        ops_linear(&encoder->exec, encoder->weights->blocks[i].attention.qkv, row,
                   (struct rows){encoder->y, encoder->geometry->d * sizeof *encoder->y, FORMAT_F32},
                   1, NULL, epilogue);
        const struct attention_shape shape = encoder_attention_shape(encoder, i);
        attention_encode(&encoder->exec, row, &shape, 1);
    }
}

// One table for n positions from that of made_n: of distances, or (step > 0) of all pairs.
static void prepare_table(struct encoder *encoder, unsigned char *panels, size_t step,
                          const float *made, size_t made_n, size_t n) {
    const struct kernels *kernels = &encoder->context->kernels;
    const enum format format = table_format(encoder);
    const size_t d = encoder->geometry->d / encoder->geometry->heads;
    const float scale = attention_scale(d);
    if (step == 0) {
        pos_embed_resize_line(encoder->table, 2 * n - 1, made, 2 * made_n - 1, d);
        ops_table_pack(panels, kernels, format, encoder->table, 2 * n - 1, d, scale,
                       encoder->encoded_table);
        return;
    }
    float *pairs = encoder->table, *resized = pairs + made_n * made_n * d;
    for (size_t q = 0; q < made_n; q++)
        memcpy(pairs + q * made_n * d, made + (made_n - 1 - q) * d, made_n * d * sizeof *pairs);
    pos_embed_resize(resized, n, n, pairs, made_n, made_n, d, false);
    for (size_t q = 0; q < n; q++)
        ops_table_pack(panels + q * step, kernels, format, resized + q * n * d, n, d, scale,
                       encoder->encoded_table);
}

static void prepare_relative(struct encoder *encoder) {
    for (size_t i = 0; encoder->relative && i < encoder->weights->n_blocks; i++) {
        const struct block *block = &encoder->weights->blocks[i];
        const struct relative_positions *relative = &encoder->relative[i];
        size_t made_h, made_w;
        geometry_attention_grid(encoder->geometry, i, &made_h, &made_w);
        prepare_table(encoder, relative->h, relative->h_step, block->relative_h, made_h,
                      relative->height);
        prepare_table(encoder, relative->w, relative->w_step, block->relative_w, made_w,
                      relative->width);
    }
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
    } else if (geometry->positions == POSITION_NONE) {
        memset(encoder->positions, 0, encoder->patches * d * sizeof *encoder->positions);
    } else {
        const size_t height = geometry->table_height ? geometry->table_height : geometry->height,
                     width = geometry->table_width ? geometry->table_width : geometry->width;
        pos_embed_resize(encoder->positions, encoder->grid.h, encoder->grid.w,
                         weights->positions + (placed + geometry->table_prefix) * d,
                         height / geometry->patch, width / geometry->patch, d,
                         geometry->positions == POSITION_BICUBIC_ANTIALIAS);
    }
    for (size_t i = 0; i <= encoder->options.clips; i++) {
        encoder->singles[i] = i;
        encoder->read_starts[i] = i * encoder->read_rows;
    }
    for (size_t i = 0; i < encoder->options.clips * encoder->read_rows; i++)
        encoder->read_queries[i] = (uint32_t)(i % encoder->read_rows);
    tome_prepare(&encoder->tome);
    encoder->sequence.clips = 0; // nothing has run
    prepare_windows(encoder);
    prepare_relative(encoder);
}

/* ---- what is counted ----------------------------------------------------------------------- */

// Multiply-adds of a block's attention of n rows: each meets its sequence's keys twice, and its relative
// positions once.
static uint64_t attention_macs(const struct encoder *encoder, size_t block, uint64_t n) {
    size_t h, w;
    attention_grid(encoder, block, &h, &w);
    const bool windowed = encoder->windows.side > 0 && encoder->geometry->windowed[block];
    const uint64_t positions = encoder->geometry->relative ? h + w : 0;
    return (2 * (windowed ? (uint64_t)h * w : n) + positions) * n * encoder->geometry->d;
}

uint64_t encoder_block_macs(const struct encoder *encoder, size_t kept, const uint32_t *layers) {
    const struct geometry *geometry = encoder->geometry;
    const uint64_t d = geometry->d, p = geometry->patch;
    uint64_t macs = (kept - encoder->prefix) * d * geometry->tubelet * p * p * 3, n = kept;
    for (size_t i = 0; i < geometry->blocks; i++) {
        macs += n * 4 * d * d + attention_macs(encoder, i, n);
        if (layers) n = layers[i];
        macs += n * geometry_mlp_macs(geometry);
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
