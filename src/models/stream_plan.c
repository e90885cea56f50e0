#include "models/stream.h"

#include <string.h>

#include "core/checked.h"

/* ---- plan ---------------------------------------------------------------------------------- */

int stream_plan(struct stream *stream, struct encoder *encoder, struct factorised *factorised,
                const struct stream_options *options, vdt_error *error) {
    const struct geometry *geometry = encoder->geometry;
    *stream = (struct stream){.encoder = encoder, .factorised = factorised, .options = *options};
    // The recurrence keeps a matrix of all tokens; the published factorised model computes every row, and what it takes is
    // counted beside its own figures.
    const bool cut =
        encoder->read_rows > 0 && options->attention != VDT_ATTENTION_DELTA && !factorised;
    stream->read_rows = cut ? encoder->read_rows : encoder->tokens;
    if (encoder->options.frames != geometry->tubelet) {
        return status_fail(error, VDT_ERROR_UNSUPPORTED,
                           "update: streams need a model of single frames, this one takes %zu",
                           encoder->options.frames);
    }
    if (encoder->options.rlt.mode != VDT_RLT_OFF || encoder->options.tome.mode != VDT_TOME_OFF) {
        return status_fail(error, VDT_ERROR_ARGUMENT,
                           "update: expected rlt and tome off beside it");
    }
    if (encoder->options.clips != 1) {
        return status_fail(error, VDT_ERROR_ARGUMENT, "clips: a stream takes 1, found %zu",
                           encoder->options.clips);
    }
    const struct relative_positions grid = {.height = encoder->grid.h, .width = encoder->grid.w};
    encoder->options.attention_f32 = options->attention == VDT_ATTENTION_DELTA;
    encoder->least_scratch = gate_scratch_bytes(geometry->d);
    if (options->attention == VDT_ATTENTION_DELTA) {
        encoder->least_scratch =
            max_size(encoder->least_scratch,
                     delta_attention_scratch_bytes(encoder->tokens, geometry->d / geometry->heads,
                                                   geometry->relative ? &grid : NULL));
    }
    return VDT_OK;
}

/* ---- layout -------------------------------------------------------------------------------- */

static enum stream_kind kind_of(const struct stream *stream, size_t block) {
    const struct encoder *encoder = stream->encoder;
    if (encoder->windows.side > 0 && encoder->geometry->windowed[block]) return STREAM_FULL;
    switch (stream->options.attention) {
    case VDT_ATTENTION_EXACT: return STREAM_EXACT;
    case VDT_ATTENTION_DELTA: return STREAM_DELTA;
    case VDT_ATTENTION_TOKENWISE: break;
    }
    return STREAM_FULL;
}

static struct rows take_rows(struct arena *arena, size_t rows, size_t width, enum format format) {
    const size_t bytes = format_row_bytes(format, width);
    return (struct rows){arena_take(arena, rows, bytes), bytes, format};
}

// A gate of n tokens keeps what the matrix behind it reads.
static void layout_gate(const struct stream *stream, struct gate *gate, struct arena *arena,
                        size_t n, const struct gemm *behind) {
    const size_t d = stream->encoder->geometry->d;
    gate->n = n;
    gate->width = d;
    gate->u = take_rows(arena, n, d, gemm_format(behind));
    gate->waited = arena_take(arena, n, sizeof *gate->waited);
}

static unsigned char *take_kept(const struct stream *stream, size_t block, struct arena *arena) {
    const struct encoder *encoder = stream->encoder;
    const struct windows *windows = &encoder->windows;
    const size_t heads = encoder->geometry->heads, d = encoder->geometry->d / heads;
    const bool windowed = windows->side > 0 && encoder->geometry->windowed[block];
    const size_t sequences = windowed ? windows->rows * windows->columns : 1;
    const size_t keys = windowed ? sequences * windows->side * windows->side : encoder->tokens;
    size_t bytes = 0;
    if (!ops_kept_bytes(&bytes, &encoder->context->kernels, encoder->qkv.format,
                        encoder->int8_scores, keys, sequences, heads, d))
        arena->overflow = true;
    return arena_take(arena, bytes, 1);
}

static void layout_attention(struct stream *stream, struct stream_block *block, size_t i,
                             struct arena *arena) {
    const struct encoder *encoder = stream->encoder;
    const size_t n = encoder->tokens, d = encoder->geometry->d, heads = encoder->geometry->heads;
    const size_t rows = block->rows;
    size_t pairs = 0;
    block->kind = kind_of(stream, i);
    switch (block->kind) {
    case STREAM_FULL:
        block->kept = take_kept(stream, i, arena);
        block->mixed = take_rows(arena, rows, d, encoder->mixed.format);
        break;
    case STREAM_EXACT:
        block->exact.kept = take_kept(stream, i, arena);
        block->exact.n = n;
        block->exact.rows = rows;
        block->exact.o = arena_take_floats(arena, rows, d);
        block->exact.max = arena_take_floats(arena, heads, rows);
        block->exact.sum = arena_take_floats(arena, heads, rows);
        block->exact.error = arena_take_floats(arena, heads, rows);
        break;
    case STREAM_DELTA:
        if (!checked_multiply(&pairs, n, n)) arena->overflow = true;
        block->qkv = take_rows(arena, n, 3 * d, encoder->qkv.format);
        block->delta.n = n;
        block->delta.b = arena_take_floats(arena, heads, pairs);
        block->delta.a = arena_take_floats(arena, heads, pairs);
        block->delta.av = arena_take_floats(arena, n, d);
        break;
    }
}

static void layout_block(struct stream *stream, struct stream_block *block, size_t i,
                         struct arena *arena) {
    const struct encoder *encoder = stream->encoder;
    const struct block *weights = &encoder->weights->blocks[i];
    const size_t n = encoder->tokens, d = encoder->geometry->d;
    block->rows = i + 1 < encoder->geometry->blocks ? n : stream->read_rows;
    layout_gate(stream, &block->qkv_gate, arena, n, weights->attention.qkv);
    layout_gate(stream, &block->proj_gate, arena, block->rows, weights->attention.proj);
    layout_gate(stream, &block->mlp_gate, arena, block->rows, weights->mlp.fc1);
    block->proj = arena_take_floats(arena, block->rows, d);
    block->mlp = arena_take_floats(arena, block->rows, d);
    layout_attention(stream, block, i, arena);
}

// The state, in one piece.
static void layout_state(struct stream *stream, struct arena *arena) {
    const struct encoder *encoder = stream->encoder;
    const struct patch_grid *grid = &encoder->grid;
    const size_t begin = arena->used, patch = encoder->geometry->patch;
    stream->state = arena_take(arena, 1, sizeof *stream->state);
    stream->embedded = arena_take_floats(arena, encoder->tokens, encoder->geometry->d);
    stream->logits = arena_take_floats(arena, 1, stream_logits(stream));
    stream->features = arena_take_floats(arena, 1, encoder->n_features);
    if (stream->factorised)
        stream->window =
            arena_take_floats(arena, stream->factorised->snippets, encoder->geometry->d);
    stream->still.pixels =
        arena_take(arena, encoder->options.frames, 3 * grid->h * patch * grid->w * patch);
    for (size_t i = 0; i < encoder->geometry->blocks; i++) {
        struct stream_block block = {0};
        layout_block(stream, &block, i, arena);
        if (stream->blocks) stream->blocks[i] = block;
    }
    stream->begin = arena->base ? arena->base + begin : NULL;
    stream->bytes = arena->used - begin;
}

static void layout_panels(struct stream *stream, struct arena *arena) {
    const struct encoder *encoder = stream->encoder;
    const struct kernels *kernels = &encoder->context->kernels;
    const size_t n = encoder->tokens, d = encoder->geometry->d, heads = encoder->geometry->heads;
    struct exact_attention exact = {0};
    struct delta_attention delta = {0};
    size_t bytes = 0;
    if (stream->options.attention == VDT_ATTENTION_EXACT) {
        exact.others = arena_take(arena, n, sizeof *exact.others);
        exact.key_y = arena_take(arena, n, sizeof *exact.key_y);
        exact.key_x = arena_take(arena, n, sizeof *exact.key_x);
        exact.wild = arena_take(arena, heads, sizeof *exact.wild);
        exact.panels = encoder->panels;
    } else if (stream->options.attention == VDT_ATTENTION_DELTA) {
        if (!delta_attention_panels(&bytes, kernels, n, heads, d / heads)) arena->overflow = true;
        delta.dv = arena_take_floats(arena, n, d);
        delta.old = arena_take_floats(arena, n, d);
        delta.changed = arena_take(arena, n, sizeof *delta.changed);
        delta.panels = arena_take(arena, bytes, 1);
    }
    for (size_t i = 0; stream->blocks && i < encoder->geometry->blocks; i++) {
        struct stream_block *block = &stream->blocks[i];
        block->exact.others = exact.others;
        block->exact.key_y = exact.key_y;
        block->exact.key_x = exact.key_x;
        block->exact.wild = exact.wild;
        block->exact.panels = exact.panels;
        block->delta.dv = delta.dv;
        block->delta.old = delta.old;
        block->delta.changed = delta.changed;
        block->delta.panels = delta.panels;
    }
}

static void layout_windows(struct stream *stream, struct arena *arena) {
    const struct windows *windows = &stream->encoder->windows;
    const size_t n = windows->rows * windows->columns, tokens = stream->encoder->tokens;
    if (windows->side == 0) return;
    stream->fresh_starts = arena_take(arena, n + 1, sizeof *stream->fresh_starts);
    stream->fresh_rows = arena_take(arena, tokens, sizeof *stream->fresh_rows);
    stream->fresh_positions = arena_take(arena, tokens, sizeof *stream->fresh_positions);
}

void stream_layout(struct stream *stream, struct arena *arena) {
    const struct encoder *encoder = stream->encoder;
    const size_t n = encoder->tokens, blocks = encoder->geometry->blocks;
    arena->used = arena->peak; // what the encoder overlays stays its own
    stream->blocks = arena_take(arena, blocks, sizeof *stream->blocks);
    stream->rows = arena_take(arena, n, sizeof *stream->rows);
    stream->index = arena_take(arena, n, sizeof *stream->index);
    stream->squares = arena_take(arena, n, sizeof *stream->squares);
    stream->keys = arena_take(arena, n, sizeof *stream->keys);
    stream->updated = arena_take(arena, 3 * blocks, sizeof *stream->updated);
    if (stream->options.record) {
        stream->patches = arena_take(arena, encoder->patches, sizeof *stream->patches);
        stream->passed = arena_take(arena, 3 * blocks, n * sizeof *stream->passed);
    }
    layout_state(stream, arena);
    layout_panels(stream, arena);
    layout_windows(stream, arena);
    double *squares = arena_take(arena, 3 * blocks, n * sizeof *squares);
    for (size_t i = 0; stream->blocks && i < blocks; i++) {
        struct gate *gates[] = {&stream->blocks[i].qkv_gate, &stream->blocks[i].proj_gate,
                                &stream->blocks[i].mlp_gate};
        for (size_t g = 0; g < 3; g++) {
            gates[g]->index = stream->index;
            gates[g]->squares = squares + (3 * i + g) * n;
            gates[g]->keys = stream->keys;
        }
    }
}

/* ---- state --------------------------------------------------------------------------------- */

void stream_reset(struct stream *stream) {
    stream->state->steps = 0;
    stream->state->pending = 0;
    stream->state->filled = 0;
    still_start(&stream->state->still, stream->options.tau, stream->options.learn_still);
}

void stream_prepare(struct stream *stream) {
    const struct encoder *encoder = stream->encoder;
    struct still *still = &stream->still;
    still->scale = encoder->options.scale;
    still->patch = encoder->geometry->patch;
    still->tubelet = encoder->options.frames;
    still->grid = encoder->grid;
    still->state = &stream->state->still;
    memset(stream->begin, 0, stream->bytes); // a snapshot holds no memory of others
    memset(stream->updated, 0, 3 * encoder->geometry->blocks * sizeof *stream->updated);
    stream_reset(stream);
}
