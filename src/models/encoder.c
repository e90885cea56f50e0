#include "models/encoder.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "core/checked.h"
#include "nn/head.h"
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

int encoder_plan(struct encoder *encoder, const struct vdt_context *context,
                 const struct geometry *geometry, const struct weights *weights,
                 const struct encoder_options *options, vdt_error *error) {
    *encoder = (struct encoder){
        .context = context, .geometry = geometry, .weights = weights, .options = *options};
    encoder->prefix = geometry_prefix(geometry);
    const bool reads = weights->classifier && geometry->temporal_blocks == 0;
    encoder->n_logits = reads ? geometry->labels : 0;
    const int status = plan_input(encoder, error);
    return status ? status : plan_pool(encoder, error);
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
    return (max_size(bytes, encoder->least_scratch) + 63) / 64 * 64;
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
    encoder->table = take_floats(arena, 2 * longest, d);
    encoder->encoded_table = take_floats(arena, longest, d + 4);
}

void encoder_layout(struct encoder *encoder, struct arena *arena) {
    const struct geometry *geometry = encoder->geometry;
    const size_t d = geometry->d, clips = encoder->options.clips, rows = clips * encoder->tokens;
    const enum format format = attention_format(encoder);
    const size_t element = format == FORMAT_BF16 ? 2 : sizeof(float);
    encoder->starts = arena_take(arena, clips + 1, sizeof *encoder->starts);
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

    layout_windows(encoder, arena, 3 * d * element);
    layout_relative(encoder, arena, format);

    const size_t mark = arena_mark(arena);
    // The last row is for padding.
    encoder->qkv =
        (struct rows){arena_take(arena, rows + 1, 3 * d * element), 3 * d * element, format};
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
    }
}

// One table for n positions from that of made_n: of distances, or (step > 0) of all pairs.
static void prepare_table(struct encoder *encoder, unsigned char *panels, size_t step,
                          const float *made, size_t made_n, size_t n) {
    const struct kernels *kernels = &encoder->context->kernels;
    const enum format format = encoder->qkv.format;
    const size_t d = encoder->geometry->d / encoder->geometry->heads;
    if (step == 0) {
        pos_embed_resize_line(encoder->table, 2 * n - 1, made, 2 * made_n - 1, d);
        ops_table_pack(panels, kernels, format, encoder->table, 2 * n - 1, d,
                       encoder->encoded_table);
        return;
    }
    float *pairs = encoder->table, *resized = pairs + made_n * made_n * d;
    for (size_t q = 0; q < made_n; q++)
        memcpy(pairs + q * made_n * d, made + (made_n - 1 - q) * d, made_n * d * sizeof *pairs);
    pos_embed_resize(resized, n, n, pairs, made_n, made_n, d, false);
    for (size_t q = 0; q < n; q++)
        ops_table_pack(panels + q * step, kernels, format, resized + q * n * d, n, d,
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
        encoder->starts[i] = i * encoder->tokens;
        encoder->singles[i] = i;
    }
    prepare_windows(encoder);
    prepare_relative(encoder);
}

/* ---- forward ------------------------------------------------------------------------------- */

static double now_ms(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec * 1e-6;
}

struct patch_embed encoder_patch_embed(const struct encoder *encoder) {
    return (struct patch_embed){.projection = encoder->weights->patch,
                                .tubelet = encoder->geometry->tubelet,
                                .patch = encoder->geometry->patch,
                                .values = encoder->values};
}

static void embed(struct encoder *encoder, const vdt_clip *clips, size_t n_clips) {
    const struct weights *weights = encoder->weights;
    const size_t d = encoder->geometry->d, stride = encoder->tokens * d;
    const struct patch_embed patch_embed = encoder_patch_embed(encoder);
    for (size_t b = 0; b < n_clips; b++) {
        memcpy(encoder->x + b * stride, encoder->prefix_rows,
               encoder->prefix * d * sizeof *encoder->x);
    }
    patch_embed_forward(&encoder->exec, &patch_embed, encoder->x + encoder->prefix * d, stride,
                        encoder->positions, clips, n_clips, &encoder->grid);
    if (weights->pre_norm.weight) {
        ops_layernorm(&encoder->exec, encoder->x, d, encoder->x, d, n_clips * encoder->tokens, d,
                      &weights->pre_norm);
    }
}

static struct rows f32_rows(float *data, size_t width) {
    return (struct rows){data, width * sizeof *data, FORMAT_F32};
}

struct attention_shape encoder_attention_shape(const struct encoder *encoder, size_t block,
                                               size_t n_clips) {
    const struct windows *windows = &encoder->windows;
    const bool windowed = windows->side > 0 && encoder->geometry->windowed[block];
    const size_t d = encoder->geometry->d / encoder->geometry->heads;
    struct attention_shape shape = {.n_sequences = n_clips,
                                    .q_starts = encoder->starts,
                                    .k_starts = encoder->starts,
                                    .heads = encoder->geometry->heads,
                                    .d = d,
                                    .scale = (float)(1.0 / sqrt((double)d)),
                                    .relative =
                                        encoder->relative ? &encoder->relative[block] : NULL};
    if (!windowed) return shape;
    shape.n_sequences = n_clips * windows->rows * windows->columns;
    shape.q_starts = windows->q_starts;
    shape.k_starts = windows->k_starts;
    shape.key_rows = windows->key_rows;
    shape.queries = windows->queries;
    return shape;
}

static void run_block(struct encoder *encoder, size_t i, size_t n_clips) {
    struct exec *exec = &encoder->exec;
    const struct block *block = &encoder->weights->blocks[i];
    const struct attention_shape shape = encoder_attention_shape(encoder, i, n_clips);
    const struct rows x = f32_rows(encoder->x, encoder->geometry->d);
    const size_t n = n_clips * encoder->tokens;
    if (shape.key_rows) {
        memcpy((unsigned char *)encoder->qkv.data +
                   encoder->options.clips * encoder->tokens * encoder->qkv.bytes,
               encoder->padding + i * encoder->qkv.bytes, encoder->qkv.bytes);
    }
    attention_forward(exec, &block->attention, &block->norm1, x, encoder->qkv, encoder->mixed,
                      encoder->panels, &shape, n);
    ops_mlp(exec, &block->mlp, &block->norm2, x, n);
}

// The first token of each clip, normalised where the final norm belongs to the read-out, into out
// (clips, D).
static void read_first(struct encoder *encoder, float *out, size_t out_stride, const float *tokens,
                       size_t n_clips) {
    const size_t d = encoder->geometry->d;
    for (size_t b = 0; b < n_clips; b++)
        copy_row(out + b * out_stride, tokens + b * encoder->tokens * d, d);
    if (encoder->geometry->final_norm == FINAL_NORM_READOUT) {
        ops_layernorm(&encoder->exec, out, out_stride, out, out_stride, n_clips, d,
                      &encoder->weights->norm);
    }
}

static void read_mean(struct encoder *encoder, float *out, size_t out_stride, const float *tokens,
                      size_t n_clips) {
    const size_t d = encoder->geometry->d;
    for (size_t b = 0; b < n_clips; b++) {
        head_mean(out + b * out_stride, tokens + (b * encoder->tokens + encoder->prefix) * d,
                  encoder->patches, d);
    }
    if (encoder->weights->fc_norm.weight) {
        ops_layernorm(&encoder->exec, out, out_stride, out, out_stride, n_clips, d,
                      &encoder->weights->fc_norm);
    }
}

// y (n_clips, width of w) <- w applied to rows of encoder->read.
static void read_linear(struct encoder *encoder, const struct gemm *w, float *y, size_t n_clips,
                        struct gemm_epilogue epilogue) {
    ops_linear(&encoder->exec, w, f32_rows(y, gemm_n(w)), f32_rows(encoder->read, gemm_k(w)),
               n_clips, NULL, epilogue);
}

// The pooled output into encoder->pooled; returns its width.
static size_t read_pooled(struct encoder *encoder, float *tokens, size_t n_clips) {
    const struct weights *weights = encoder->weights;
    const size_t d = encoder->geometry->d;
    const struct gemm *last = weights->projection ? weights->projection : weights->pooler;
    if (encoder->geometry->pooled == READ_ATTENTION_POOL) {
        attention_pool_forward(&encoder->exec, &weights->pool, encoder->pooled, tokens, encoder->kv,
                               encoder->pool_panels, encoder->small, encoder->starts,
                               encoder->singles, n_clips, encoder->geometry->heads);
        return d;
    }
    if (encoder->geometry->pooled == READ_MEAN) {
        read_mean(encoder, encoder->pooled, d, tokens, n_clips);
        return d;
    }
    if (!last) {
        read_first(encoder, encoder->pooled, d, tokens, n_clips);
        return d;
    }
    read_first(encoder, encoder->read, d, tokens, n_clips);
    read_linear(encoder, last, encoder->pooled, n_clips, GEMM_PLAIN);
    if (last == weights->pooler) {
        for (size_t i = 0; i < n_clips * d; i++) encoder->pooled[i] = tanhf(encoder->pooled[i]);
    }
    return gemm_n(last);
}

static void classify(struct encoder *encoder, const float *tokens, size_t n_clips) {
    const struct weights *weights = encoder->weights;
    const size_t d = encoder->geometry->d, labels = encoder->n_logits;
    switch (encoder->geometry->classifier) {
    case READ_MEAN: read_mean(encoder, encoder->read, d, tokens, n_clips); break;
    case READ_CLASS_AND_MEAN:
        read_first(encoder, encoder->read, 2 * d, tokens, n_clips);
        read_mean(encoder, encoder->read + d, 2 * d, tokens, n_clips);
        break;
    case READ_FIRST:
    case READ_ATTENTION_POOL: read_first(encoder, encoder->read, d, tokens, n_clips); break;
    }
    read_linear(encoder, weights->classifier, encoder->logits, n_clips, GEMM_PLAIN);
    if (!weights->classifier2) return;
    // The teacher's reads the second token; both are averaged.
    for (size_t b = 0; b < n_clips; b++) {
        copy_row(encoder->read + b * d, tokens + (b * encoder->tokens + 1) * d, d);
    }
    read_linear(encoder, weights->classifier2, encoder->logits, n_clips, GEMM_RESIDUAL);
    for (size_t i = 0; i < n_clips * labels; i++) encoder->logits[i] *= 0.5f;
}

// Features of `tokens` (clips * tokens, D) after a layer.
void encoder_read_features(struct encoder *encoder, const float *tokens, size_t n_clips,
                           float *features, size_t stride) {
    const size_t d = encoder->geometry->d;
    for (size_t b = 0; b < n_clips; b++) {
        float *out = features + b * stride;
        const float *clip = tokens + b * encoder->tokens * d, *patches = clip + encoder->prefix * d;
        switch (encoder->options.pool) {
        case VDT_POOL_CLASS: copy_row(out, clip, d); break;
        case VDT_POOL_MEAN: head_mean(out, patches, encoder->patches, d); break;
        case VDT_POOL_TOKENS: memcpy(out, clip, encoder->tokens * d * sizeof *out); break;
        case VDT_POOL_MAP: head_map(out, patches, encoder->patches, d); break;
        case VDT_POOL_HEAD:
        case VDT_POOL_NONE_WANTED: break;
        }
    }
}

// After the last block: final norm, features of the last layer or the head, logits.
void encoder_finish(struct encoder *encoder, size_t n_clips, bool logits, float *features,
                    size_t features_stride) {
    const struct geometry *geometry = encoder->geometry;
    float *tokens = encoder->x;
    if (geometry->final_norm == FINAL_NORM_TOKENS) {
        ops_layernorm(&encoder->exec, encoder->y, geometry->d, encoder->x, geometry->d,
                      n_clips * encoder->tokens, geometry->d, &encoder->weights->norm);
        tokens = encoder->y;
    }
    if (features && encoder->options.pool == VDT_POOL_HEAD) {
        const size_t width = read_pooled(encoder, tokens, n_clips);
        for (size_t b = 0; b < n_clips; b++)
            copy_row(features + b * features_stride, encoder->pooled + b * width, width);
    } else if (features && encoder->options.layer == ENCODER_LAST) {
        encoder_read_features(encoder, tokens, n_clips, features, features_stride);
        if (encoder->options.pool == VDT_POOL_CLASS)
            read_first(encoder, features, features_stride, tokens, n_clips);
    }
    if (logits) classify(encoder, tokens, n_clips);
}

int encoder_forward(struct encoder *encoder, const vdt_clip *clips, size_t n_clips, float *logits,
                    size_t logits_stride, float *features, size_t features_stride, vdt_stats *stats,
                    vdt_error *error) {
    const size_t blocks = encoder->weights->n_blocks;
    const double start = now_ms();
    encoder->exec.macs = 0;
    atomic_store(&encoder->exec.status, VDT_OK);
    embed(encoder, clips, n_clips);
    const double embedded = now_ms();
    for (size_t i = 0; i < blocks; i++) {
        const int status = context_progress(encoder->context, "run", i, blocks, error);
        if (status) return status;
        if (features && encoder->options.layer == i) {
            encoder_read_features(encoder, encoder->x, n_clips, features, features_stride);
        }
        run_block(encoder, i, n_clips);
    }
    const double ran = now_ms();
    if (features && encoder->options.layer == blocks) {
        encoder_read_features(encoder, encoder->x, n_clips, features, features_stride);
    }
    encoder_finish(encoder, n_clips, logits != NULL, features, features_stride);
    for (size_t b = 0; logits && b < n_clips; b++) {
        memcpy(logits + b * logits_stride, encoder->logits + b * encoder->n_logits,
               encoder->n_logits * sizeof *logits);
    }
    if (stats) {
        *stats = (vdt_stats){.embed_ms = embedded - start,
                             .blocks_ms = ran - embedded,
                             .head_ms = now_ms() - ran,
                             .macs = encoder->exec.macs};
    }
    if (atomic_load(&encoder->exec.status)) {
        return status_fail(error, VDT_ERROR_LIBRARY,
                           "matrix products: the library underneath failed");
    }
    return VDT_OK;
}

// Multiply-adds of a block's attention over one clip: each query meets its sequence's keys twice, and its
// relative positions once.
static uint64_t attention_macs(const struct encoder *encoder, size_t block) {
    size_t h, w;
    attention_grid(encoder, block, &h, &w);
    const bool windowed = encoder->windows.side > 0 && encoder->geometry->windowed[block];
    const uint64_t keys = windowed ? (uint64_t)h * w : encoder->tokens;
    const uint64_t positions = encoder->geometry->relative ? h + w : 0;
    return (2 * keys + positions) * encoder->tokens * encoder->geometry->d;
}

uint64_t encoder_macs(const struct encoder *encoder) {
    const struct geometry *geometry = encoder->geometry;
    const uint64_t n = encoder->tokens, d = geometry->d, m = geometry->mlp;
    const uint64_t mlp = geometry->gated ? 3 * d * m : 2 * d * m;
    const uint64_t patch =
        encoder->patches * d * geometry->tubelet * geometry->patch * geometry->patch * 3;
    const uint64_t read = geometry->classifier == READ_CLASS_AND_MEAN ? 2 * d : d;
    const uint64_t classifiers = encoder->weights->classifier2 ? 2 : 1;
    uint64_t macs = patch + classifiers * encoder->n_logits * read;
    for (size_t i = 0; i < geometry->blocks; i++)
        macs += n * (4 * d * d + mlp) + attention_macs(encoder, i);
    return macs;
}
