#include "models/stream.h"

#include <string.h>

#include "core/checked.h"
#include "core/clock.h"
#include "models/stream_count.h"

// Whether the last block is cut short.
static bool is_cut(const struct stream *stream) {
    return stream->read_rows < stream->encoder->tokens;
}

/* ---- rows ---------------------------------------------------------------------------------- */

// The residual stream x is what was embedded and, in their order, the buffers that blocks add to it: 2b stand for
// the projection's of block b, 2b + 1 for its MLP's. It is kept from step to step; a row in which nothing has
// changed is not summed again.
enum { ROW_SETTLED, ROW_BEHIND, ROW_LIVE };

static float *stream_row(const struct stream *stream, size_t i) {
    return stream->encoder->x + i * stream->encoder->geometry->d;
}

static const float *buffer_row(const struct stream *stream, size_t buffer, size_t i) {
    const struct stream_block *block = &stream->blocks[buffer / 2];
    return (buffer % 2 ? block->mlp : block->proj) + i * stream->encoder->geometry->d;
}

static const float *embedded_row(const struct stream *stream, size_t i) {
    return stream->embedded + i * stream->encoder->geometry->d;
}

// x += the buffer's row i.
static void add_row(const struct stream *stream, size_t buffer, size_t i, float *x) {
    const struct encoder *encoder = stream->encoder;
    encoder->context->kernels.add_f32(x, buffer_row(stream, buffer, i), encoder->geometry->d);
}

static void sum_row(const struct stream *stream, size_t i, size_t buffers, float *x) {
    memcpy(x, embedded_row(stream, i), stream->encoder->geometry->d * sizeof *x);
    for (size_t k = 0; k < buffers; k++) add_row(stream, k, i, x);
}

// Row i of x with `buffers` of them, one more than before, where it is not settled.
static void advance_row(const struct stream *stream, size_t i, size_t buffers) {
    if (stream->rows[i] == ROW_SETTLED) return;
    if (stream->rows[i] == ROW_LIVE) {
        add_row(stream, buffers - 1, i, stream_row(stream, i));
        return;
    }
    sum_row(stream, i, buffers, stream_row(stream, i));
    stream->rows[i] = ROW_LIVE;
}

// Rows `first` + index[0..n) of something that x sums have changed.
static void unsettle(struct stream *stream, size_t first, const uint32_t *index, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint8_t *row = &stream->rows[first + index[i]];
        if (*row == ROW_SETTLED) *row = ROW_BEHIND;
    }
}

// Before anything of a step is known. Features of a layer in between are read from every row there.
static void settle(struct stream *stream) {
    const struct encoder *encoder = stream->encoder;
    const bool between =
        encoder->n_features > 0 && encoder->options.layer < encoder->geometry->blocks;
    const bool kept = stream->settled && !stream->first && !between;
    memset(stream->rows, kept ? ROW_SETTLED : ROW_BEHIND, encoder->tokens);
}

/* ---- what gates read ----------------------------------------------------------------------- */

// One block's step, as its gates see it.
struct block_step {
    struct stream *stream;
    struct stream_block *block;
    const struct block *weights;
    size_t buffers; // that x holds at the gate of a norm
    bool windowed;  // attention meets in windows
};

// Whether row i of x may differ from the last step's; then brings it up to date.
static bool moves_row(void *argument, size_t i) {
    const struct block_step *step = argument;
    advance_row(step->stream, i, step->buffers);
    return step->stream->rows[i] != ROW_SETTLED;
}

static size_t window_of(const struct encoder *encoder, size_t token) {
    const struct windows *windows = &encoder->windows;
    return token / encoder->grid.w / windows->side * windows->columns +
           token % encoder->grid.w / windows->side;
}

// Whether a window holds a row that passed.
static bool window_is_fresh(const struct stream *stream, size_t window) {
    return stream->fresh_starts[window] < stream->fresh_starts[window + 1];
}

// Whether attention's output may differ from the last step's in row i: where its window holds a row that passed,
// and everywhere where all rows meet.
static bool moves_mixed(void *argument, size_t i) {
    const struct block_step *step = argument;
    const struct stream *stream = step->stream;
    const struct gate *gate = &step->block->qkv_gate;
    if (!stream->settled || gate->picked == 0) return !stream->settled;
    return !step->windowed || gate->picked == gate->n ||
           window_is_fresh(stream, window_of(stream->encoder, i));
}

// What reads memory first for row i at a norm's gate: what is added to x, then x itself.
static const float *first_read(const struct block_step *step, size_t i, bool again) {
    if (again) return stream_row(step->stream, i);
    return step->buffers > 0 ? buffer_row(step->stream, step->buffers - 1, i)
                             : embedded_row(step->stream, i);
}

static void norm_row(const struct block_step *step, struct gate_row which, void *row,
                     const struct norm *norm, enum format format) {
    const size_t i = which.i;
    const struct encoder *encoder = step->stream->encoder;
    const struct kernels *kernels = &encoder->context->kernels;
    const size_t d = encoder->geometry->d;
    float summed[LIMIT_D], normal[LIMIT_D];
    const float *x = stream_row(step->stream, i);
    if (step->stream->rows[i] == ROW_SETTLED) { // it waited, and x is that behind the last block
        sum_row(step->stream, i, step->buffers, summed);
        x = summed;
    }
    float *out = format == FORMAT_F32 ? row : normal;
    kernels->layernorm_f32(out, x, norm->weight, norm->bias, d, norm->eps,
                           first_read(step, which.next, which.again));
    if (format != FORMAT_F32) kernels->encode[format](row, out, d);
}

static void norm1_row(void *argument, struct gate_row which, void *row) {
    const struct block_step *step = argument;
    norm_row(step, which, row, &step->weights->norm1, step->block->qkv_gate.u.format);
}

static void norm2_row(void *argument, struct gate_row which, void *row) {
    const struct block_step *step = argument;
    norm_row(step, which, row, &step->weights->norm2, step->block->mlp_gate.u.format);
}

// Attention's output becomes what the gate keeps.
static void encode_row(const struct block_step *step, const float *values, void *row) {
    const enum format format = step->block->proj_gate.u.format;
    const struct encoder *encoder = step->stream->encoder;
    encoder->context->kernels.encode[format](row, values, encoder->geometry->d);
}

static void full_row(void *argument, struct gate_row which, void *row) {
    const struct block_step *step = argument;
    const struct rows mixed = step->block->mixed;
    const void *values = rows_at(mixed, which.i);
    if (mixed.format == step->block->proj_gate.u.format)
        memcpy(row, values, mixed.bytes);
    else
        encode_row(step, values, row);
}

static void exact_row(void *argument, struct gate_row which, void *row) {
    const struct block_step *step = argument;
    const struct geometry *geometry = step->stream->encoder->geometry;
    float values[LIMIT_D];
    exact_attention_read(&step->block->exact, which.i, which.next, values, geometry->heads,
                         geometry->d / geometry->heads);
    encode_row(step, values, row);
}

static void delta_row(void *argument, struct gate_row which, void *row) {
    const struct block_step *step = argument;
    encode_row(step, step->block->delta.av + which.i * step->stream->encoder->geometry->d, row);
}

/* ---- attention ----------------------------------------------------------------------------- */

// Rows index[0..n) of all, dealt to their windows in their order.
static struct fresh_rows deal_to_windows(struct stream *stream, struct rows qkv,
                                         const uint32_t *index, size_t n) {
    const struct encoder *encoder = stream->encoder;
    const struct windows *windows = &encoder->windows;
    const size_t side = windows->side, count = windows->rows * windows->columns;
    size_t *starts = stream->fresh_starts;
    memset(starts, 0, (count + 1) * sizeof *starts);
    for (size_t i = 0; i < n; i++) starts[window_of(encoder, index[i]) + 1]++;
    for (size_t i = 0; i < count; i++) starts[i + 1] += starts[i];
    for (size_t i = 0; i < n; i++) { // a start moves on to its window's end
        const size_t y = index[i] / encoder->grid.w, x = index[i] % encoder->grid.w;
        const size_t at = starts[window_of(encoder, index[i])]++;
        stream->fresh_rows[at] = (uint32_t)i;
        stream->fresh_positions[at] = (uint32_t)(y % side * side + x % side);
    }
    memmove(starts + 1, starts, count * sizeof *starts);
    starts[0] = 0;
    return (struct fresh_rows){qkv, starts, stream->fresh_rows, stream->fresh_positions};
}

// Attention in full, over what holds a changed token.
static void attend_full(struct stream *stream, size_t i, struct attention_shape *shape) {
    struct encoder *encoder = stream->encoder;
    const struct stream_block *block = &stream->blocks[i];
    const struct gate *gate = &block->qkv_gate;
    const size_t starts[2] = {0, gate->picked};
    struct fresh_rows fresh = {encoder->qkv, starts, NULL, gate->index};
    if (gate->picked == 0) return;
    if (block->rows < encoder->tokens) shape->q_starts = encoder->read_starts;
    if (gate->picked == gate->n && shape->key_rows) encoder_set_padding(encoder, i);
    if (gate->picked == gate->n)
        fresh = (struct fresh_rows){encoder->qkv, shape->k_starts, shape->key_rows, NULL};
    else if (shape->key_rows)
        fresh = deal_to_windows(stream, encoder->qkv, gate->index, gate->picked);
    ops_attention_kept(&encoder->exec, block->mixed, block->kept, &fresh, shape);
}

// Brings the block's attention up to date with the rows of q, k, v in encoder->qkv. Returns the pairs of row
// and head that were computed beyond.
static uint64_t attend(struct stream *stream, size_t i) {
    struct encoder *encoder = stream->encoder;
    struct stream_block *block = &stream->blocks[i];
    struct attention_shape shape = encoder_attention_shape(encoder, i);
    const struct gate *gate = &block->qkv_gate;
    struct exec *exec = &encoder->exec;
    switch (block->kind) {
    case STREAM_FULL: attend_full(stream, i, &shape); return 0;
    case STREAM_EXACT:
        if (!stream->first) {
            return exact_attention_update(exec, &block->exact, encoder->qkv, gate->index,
                                          gate->picked, &shape);
        }
        exact_attention_flush(exec, &block->exact, encoder->qkv, &shape);
        return 0;
    case STREAM_DELTA:
        if (!stream->first) {
            delta_attention_update(exec, &block->delta, block->qkv, encoder->qkv, gate->index,
                                   gate->picked, &shape);
            return 0;
        }
        ops_scatter(exec, block->qkv, gate->index, encoder->qkv, gate->picked, block->qkv.bytes);
        delta_attention_flush(exec, &block->delta, block->qkv, &shape);
        return 0;
    }
    return 0;
}

/* ---- a step -------------------------------------------------------------------------------- */

// Changed patches of the frame into stream->index.
static void find_changed(struct stream *stream, const vdt_clip *frame) {
    struct exec *exec = &stream->encoder->exec;
    const size_t n = stream->encoder->patches;
    if (!stream->first && stream->options.still) {
        stream->changed = still_test(exec, &stream->still, frame, stream->index, stream->squares);
    } else {
        for (size_t i = 0; i < n; i++) stream->index[i] = (uint32_t)i;
        stream->changed = n;
    }
    if (stream->patches)
        memcpy(stream->patches, stream->index, stream->changed * sizeof *stream->patches);
    still_accept(exec, &stream->still, frame, stream->index, stream->changed);
}

static void embed(struct stream *stream, const vdt_clip *frame) {
    struct encoder *encoder = stream->encoder;
    const struct norm *norm = &encoder->weights->pre_norm;
    const struct patch_embed patch_embed = encoder_patch_embed(encoder);
    const size_t d = encoder->geometry->d, n = stream->changed;
    const size_t starts[2] = {0, n};
    const struct patch_rows changed = {
        .tokens = n, .starts = starts, .indices = stream->index, .positions = encoder->positions};
    float *rows = encoder->y;
    if (stream->first) {
        memcpy(stream->embedded, encoder->prefix_rows, encoder->prefix * d * sizeof *rows);
        if (norm->weight) {
            ops_layernorm(&encoder->exec, stream->embedded, d, stream->embedded, d, encoder->prefix,
                          d, norm);
        }
    }
    settle(stream);
    if (n == 0) return;
    patch_embed_forward(&encoder->exec, &patch_embed, rows, &changed, frame, 1, &encoder->grid);
    if (norm->weight) ops_layernorm(&encoder->exec, rows, d, rows, d, n, d, norm);
    ops_scatter(&encoder->exec, rows_f32(stream->embedded + encoder->prefix * d, d), stream->index,
                rows_f32(rows, d), n, d * sizeof *rows);
    unsettle(stream, encoder->prefix, stream->index, n);
}

static void pass_gate(struct stream *stream, size_t number, struct gate *gate,
                      const struct gate_source *source) {
    const bool pending =
        gate_step(&stream->encoder->exec, gate, source, &stream->options.policy, stream->first);
    stream->state->pending += pending;
    stream->updated[number] = (uint32_t)gate->picked;
    if (stream->passed)
        memcpy(stream->passed + number * stream->encoder->tokens, gate->index,
               gate->picked * sizeof *gate->index);
}

// The rows that passed `gate` through the projection, into its buffer.
static void project(struct stream *stream, struct stream_block *block, const struct gemm *w) {
    struct encoder *encoder = stream->encoder;
    const struct gate *gate = &block->proj_gate;
    const size_t d = encoder->geometry->d;
    const struct rows rows = rows_f32(encoder->y, d);
    if (gate->picked == 0) return;
    ops_linear_at(&encoder->exec, w, rows, gate->u, gate->index, gate->picked, GEMM_PLAIN);
    ops_scatter(&encoder->exec, rows_f32(block->proj, d), gate->index, rows, gate->picked,
                d * sizeof(float));
    unsettle(stream, 0, gate->index, gate->picked);
}

static void run_mlp(struct stream *stream, struct stream_block *block, const struct mlp *mlp) {
    struct encoder *encoder = stream->encoder;
    const struct gate *gate = &block->mlp_gate;
    const size_t d = encoder->geometry->d;
    const struct rows rows = rows_f32(encoder->y, d);
    if (gate->picked == 0) return;
    ops_mlp_at(&encoder->exec, mlp, rows, gate->u, gate->index, gate->picked);
    ops_scatter(&encoder->exec, rows_f32(block->mlp, d), gate->index, rows, gate->picked,
                d * sizeof(float));
    unsettle(stream, 0, gate->index, gate->picked);
}

// How many of the first rows passed.
static size_t picked_below(const struct gate *gate, size_t rows) {
    size_t n = 0;
    while (n < gate->picked && gate->index[n] < rows) n++;
    return n;
}

static void run_block(struct stream *stream, size_t i, float *features) {
    struct encoder *encoder = stream->encoder;
    static void (*const mixed_row[])(void *, struct gate_row, void *) = {
        [STREAM_FULL] = full_row, [STREAM_EXACT] = exact_row, [STREAM_DELTA] = delta_row};
    struct stream_block *block = &stream->blocks[i];
    const struct block *weights = &encoder->weights->blocks[i];
    const bool windowed = encoder->windows.side > 0 && encoder->geometry->windowed[i];
    struct block_step step = {stream, block, weights, .buffers = 2 * i, .windowed = windowed};
    const struct gemm_epilogue to_qkv = {.activation = ACTIVATION_NONE,
                                         .format = encoder->qkv.format};
    pass_gate(stream, 3 * i, &block->qkv_gate, &(struct gate_source){moves_row, norm1_row, &step});
    if (features && encoder->options.layer == i)
        encoder_read_features(encoder, encoder->x, features, 0);
    if (block->qkv_gate.picked > 0) {
        ops_linear_at(&encoder->exec, weights->attention.qkv, encoder->qkv, block->qkv_gate.u,
                      block->qkv_gate.index, block->qkv_gate.picked, to_qkv);
        const struct attention_shape shape = encoder_attention_shape(encoder, i);
        attention_encode(&encoder->exec, encoder->qkv, &shape, block->qkv_gate.picked);
    }
    const uint64_t afresh = attend(stream, i);
    const size_t picked_qkv = block->qkv_gate.picked,
                 attending = picked_below(&block->qkv_gate, block->rows);
    pass_gate(stream, 3 * i + 1, &block->proj_gate,
              &(struct gate_source){moves_mixed, mixed_row[block->kind], &step});
    project(stream, block, weights->attention.proj);
    step.buffers++;
    pass_gate(stream, 3 * i + 2, &block->mlp_gate,
              &(struct gate_source){moves_row, norm2_row, &step});
    run_mlp(stream, block, &weights->mlp);
    const struct stream_count count = {
        .picked = {picked_qkv, block->proj_gate.picked, block->mlp_gate.picked},
        .rows = block->rows,
        .attending = attending,
        .afresh = afresh};
    stream->afresh += afresh;
    stream->macs += stream->first
                        ? stream_count_flush(encoder, i, block->rows)
                        : stream_count_block(encoder, stream->options.attention, i, &count);
}

// What the last block's MLP adds.
static void finish_task(void *argument, size_t i, size_t thread, void *scratch) {
    (void)thread;
    (void)scratch;
    const struct stream *stream = argument;
    advance_row(stream, i, 2 * stream->encoder->geometry->blocks);
}

// What the last block costs, of a whole one: where it is cut short, the share of the products that give q, k and v.
static double last_block(const struct stream *stream) {
    const struct geometry *geometry = stream->encoder->geometry;
    const double square = (double)geometry->d * (double)geometry->d;
    if (!is_cut(stream)) return 1.0;
    return 3.0 * square / (4.0 * square + (double)geometry_mlp_macs(geometry));
}

// The r of block i and of those behind it, for a deadline.
static void choose_r(struct stream *stream, size_t i) {
    if (stream->options.deadline <= 0.0) return;
    const double blocks = (double)(stream->encoder->geometry->blocks - 1) + last_block(stream);
    const double left = (blocks - (double)i) / blocks;
    // The whole that is fitted has the embedding in it: at its beginning nothing counts as spent.
    const double spent = i > 0 ? clock_ms() - stream->begun_ms : 0.0;
    stream->options.policy.r = budget_choose(&stream->budget, spent, left);
}

static int run_blocks(struct stream *stream, vdt_error *error) {
    struct encoder *encoder = stream->encoder;
    const size_t blocks = encoder->geometry->blocks;
    float *features = encoder->n_features > 0 ? stream->features : NULL;
    size_t r = 0;
    stream->state->pending = 0;
    for (size_t i = 0; i < blocks; i++) {
        const int status = context_progress(encoder->context, "run", i, blocks, error);
        if (status) return status;
        choose_r(stream, i);
        r += stream->options.policy.r;
        run_block(stream, i, features);
    }
    stream->r = r / max_size(blocks, 1);
    exec_run(&encoder->exec, stream->read_rows, finish_task, stream);
    if (features && encoder->options.layer == blocks)
        encoder_read_features(encoder, encoder->x, features, 0);
    return VDT_OK;
}

// The snippet's class token joins the window, the oldest leaves, and the second encoder reads it for whom it may
// concern. Returns its operations.
static uint64_t read_window(struct stream *stream, float *logits, float *features) {
    const struct exec *exec = &stream->encoder->exec;
    const uint64_t before = exec->macs;
    struct stream_state *state = stream->state;
    const size_t d = stream->encoder->geometry->d, most = stream->factorised->snippets;
    if (state->filled >= most) {
        state->filled = most - 1;
        memmove(stream->window, stream->window + d, state->filled * d * sizeof *stream->window);
    }
    memcpy(stream->window + state->filled++ * d, stream->features, d * sizeof *stream->window);
    if (!logits && !features) return 0;
    factorised_window(stream->factorised, stream->window, state->filled,
                      stream_logits(stream) > 0 ? stream->logits : NULL, features);
    stream->macs += factorised_count(stream->factorised, state->filled);
    if (logits) memcpy(logits, stream->logits, stream_logits(stream) * sizeof *logits);
    return exec->macs - before;
}

static void copy_outputs(const struct stream *stream, float *logits, float *features) {
    const struct encoder *encoder = stream->encoder;
    if (logits) memcpy(logits, stream->logits, stream_logits(stream) * sizeof *logits);
    if (features) memcpy(features, stream->features, encoder->n_features * sizeof *features);
}

// What the last step found, for this frame.
static void give_outputs(struct stream *stream, float *logits, float *features, vdt_stats *stats) {
    const double start = clock_ms();
    if (stream->factorised)
        stats->macs_dense += read_window(stream, logits, features);
    else
        copy_outputs(stream, logits, features);
    stats->head_ms += clock_ms() - start;
    stats->macs = stream->encoder->exec.macs + stats->macs_unread;
}

// Everything behind the embedding. The state of a step that fails is of no use: the next one is a flush.
static int run_transformer(struct stream *stream, vdt_stats *stats, vdt_error *error) {
    struct encoder *encoder = stream->encoder;
    const uint64_t steps = stream->state->steps;
    const double start = clock_ms();
    stream->state->steps = 0;
    sequence_start(&encoder->sequence, 1);
    stream->macs += (uint64_t)stream->changed * encoder->geometry->d;
    const int status = run_blocks(stream, error);
    if (status) return status;
    const double ran = clock_ms();
    encoder->sequence.starts[1] = stream->read_rows;
    encoder_finish(encoder, 1, encoder->n_logits > 0,
                   encoder->n_features > 0 ? stream->features : NULL, encoder->n_features);
    if (encoder->n_logits > 0)
        memcpy(stream->logits, encoder->logits, encoder->n_logits * sizeof *stream->logits);
    stream->state->steps = steps + 1;
    stream->settled = !stream->first;
    stats->blocks_ms = ran - start;
    stats->head_ms = clock_ms() - ran;
    return VDT_OK;
}

// Tokens that passed a gate on average, of those that see all tokens.
static double mean_updated(const struct stream *stream) {
    const size_t blocks = stream->encoder->geometry->blocks;
    const size_t gates = 3 * blocks - (is_cut(stream) ? 2 : 0);
    double sum = 0.0;
    for (size_t i = 0; i < gates; i++) sum += stream->updated[i];
    return sum / (double)gates;
}

int stream_step(struct stream *stream, const vdt_clip *frame, float *logits, float *features,
                vdt_stats *stats, vdt_error *error) {
    struct exec *exec = &stream->encoder->exec;
    const double start = clock_ms();
    vdt_stats local = {0};
    stream->begun_ms = start;
    stream->r = stream->options.policy.r;
    exec->macs = 0;
    stream->first = stream->state->steps == 0;
    stream->afresh = stream->macs = 0;
    find_changed(stream, frame);
    local.decide_ms = clock_ms() - start;
    embed(stream, frame);
    local.embed_ms = clock_ms() - start - local.decide_ms;
    stream->idle = !stream->first && stream->changed == 0 && stream->state->pending == 0 &&
                   stream->options.policy.kind != POLICY_ALL;
    if (stream->idle) {
        memset(stream->updated, 0, 3 * stream->encoder->geometry->blocks * sizeof *stream->updated);
        stream->state->steps++;
    } else {
        const int status = run_transformer(stream, &local, error);
        if (status) return status;
        if (!stream->first && stream->options.deadline > 0.0)
            budget_learn(&stream->budget, mean_updated(stream), clock_ms() - start);
    }
    local.macs_dense = encoder_macs(stream->encoder);
    if (stream->first && is_cut(stream))
        local.macs_unread = encoder_macs_unread(stream->encoder, stream->encoder->tokens);
    give_outputs(stream, logits, features, &local);
    if (stats) *stats = local;
    return VDT_OK;
}

void stream_hold(struct stream *stream, float *logits, float *features, vdt_stats *stats) {
    vdt_stats local = {.macs_dense = encoder_macs(stream->encoder)};
    stream->encoder->exec.macs = 0;
    give_outputs(stream, logits, features, &local);
    if (stats) *stats = local;
}

/* ---- what steps cost ----------------------------------------------------------------------- */

// A step on other noise with r tokens; its time.
static int time_step(struct stream *stream, uint8_t *pixels, size_t r, double *ms,
                     vdt_error *error) {
    const struct encoder_options *options = &stream->encoder->options;
    const vdt_clip frame = {pixels, 3 * options->width, 3 * options->width * options->height};
    const double deadline = stream->options.deadline;
    uint32_t noise = (uint32_t)r + (uint32_t)stream->state->steps;
    for (size_t i = 0; i < options->frames * frame.frame_stride; i++) {
        noise = noise * 1664525u + 1013904223u;
        pixels[i] = (uint8_t)(noise >> 24);
    }
    stream->options.deadline = 0.0;
    stream->options.policy.r = r;
    const double start = clock_ms();
    const int status = stream_step(stream, &frame, NULL, NULL, NULL, error);
    *ms = clock_ms() - start;
    stream->options.deadline = deadline;
    return status;
}

int stream_calibrate(struct stream *stream, uint8_t *pixels, vdt_error *error) {
    const size_t n = stream->encoder->tokens, low = max_size(n / 16, 1), high = max_size(n / 4, 2);
    double ms, low_ms = 0.0, high_ms = 0.0;
    int status = time_step(stream, pixels, n, &ms, error); // the flush
    for (int i = 0; !status && i < 3; i++) { // the first of each warms up; the better of two counts
        status = time_step(stream, pixels, low, &ms, error);
        if (i > 0) low_ms = i == 1 || ms < low_ms ? ms : low_ms;
        if (!status) status = time_step(stream, pixels, high, &ms, error);
        if (i > 0) high_ms = i == 1 || ms < high_ms ? ms : high_ms;
    }
    if (status) return status;
    budget_start(&stream->budget, stream->options.deadline, n, (double)low, low_ms, (double)high,
                 high_ms);
    stream_reset(stream);
    memset(stream->updated, 0, 3 * stream->encoder->geometry->blocks * sizeof *stream->updated);
    return VDT_OK;
}
