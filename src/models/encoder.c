#include "models/encoder.h"

#include <string.h>

#include "core/clock.h"
#include "nn/head.h"

static void copy_row(float *to, const float *from, size_t d) {
    memcpy(to, from, d * sizeof *to);
}

// RLT's decision, or every token a row.
static void decide(struct encoder *encoder, const vdt_clip *clips, size_t n_clips) {
    sequence_start(&encoder->sequence, n_clips);
    if (encoder->rlt.options.mode != VDT_RLT_OFF)
        rlt_decide(&encoder->exec, &encoder->rlt, clips, &encoder->sequence);
}

struct patch_embed encoder_patch_embed(const struct encoder *encoder) {
    return (struct patch_embed){.projection = encoder->weights->patch,
                                .tubelet = encoder->geometry->tubelet,
                                .patch = encoder->geometry->patch,
                                .values = encoder->values};
}

static void embed(struct encoder *encoder, const vdt_clip *clips) {
    const struct weights *weights = encoder->weights;
    const struct sequence *sequence = &encoder->sequence;
    const size_t d = encoder->geometry->d;
    const bool has_lengths = encoder->rlt.options.lengths & VDT_RLT_LENGTHS_EMBED;
    const struct patch_embed patch_embed = encoder_patch_embed(encoder);
    const struct patch_rows rows = {.tokens = encoder->tokens,
                                    .prefix = encoder->prefix,
                                    .starts = sequence->starts,
                                    .indices = sequence->indices,
                                    .lengths = sequence->lengths,
                                    .positions = encoder->positions,
                                    .length_rows = has_lengths ? weights->length_rows : NULL};
    for (size_t b = 0; b < sequence->clips; b++) {
        memcpy(encoder->x + sequence->starts[b] * d, encoder->prefix_rows,
               encoder->prefix * d * sizeof *encoder->x);
    }
    patch_embed_forward(&encoder->exec, &patch_embed, encoder->x, &rows, clips, sequence->clips,
                        &encoder->grid);
    if (weights->pre_norm.weight) {
        ops_layernorm(&encoder->exec, encoder->x, d, encoder->x, d, sequence_total(sequence), d,
                      &weights->pre_norm);
    }
}

// The tokens that block i leaves.
static void note_layer(struct encoder *encoder, size_t i) {
    const struct sequence *sequence = &encoder->sequence;
    for (size_t b = 0; b < sequence->clips; b++)
        encoder->layers[b * encoder->weights->n_blocks + i] = (uint32_t)sequence_rows(sequence, b);
}

// ToMe: the merged rows are written to y, which is then x.
static void merge(struct encoder *encoder, size_t i) {
    const size_t d = encoder->geometry->d;
    const double start = clock_ms();
    if (tome_merge(&encoder->exec, &encoder->tome, &encoder->sequence, i, rows_f32(encoder->y, d),
                   rows_f32(encoder->x, d), attention_keys(encoder->qkv, d))) {
        float *merged = encoder->y;
        encoder->y = encoder->x;
        encoder->x = merged;
        encoder->mixed.data = encoder->y;
    }
    note_layer(encoder, i);
    encoder->merge_ms += clock_ms() - start;
}

struct attention_shape encoder_attention_shape(const struct encoder *encoder, size_t block) {
    const struct windows *windows = &encoder->windows;
    const struct sequence *sequence = &encoder->sequence;
    const bool windowed = windows->side > 0 && encoder->geometry->windowed[block];
    const bool biased = encoder->bias_keys && sequence->weighted;
    const size_t d = encoder->geometry->d / encoder->geometry->heads;
    struct attention_shape shape = {.n_sequences = sequence->clips,
                                    .q_starts = sequence->starts,
                                    .k_starts = sequence->starts,
                                    .heads = encoder->geometry->heads,
                                    .d = d,
                                    .scale = attention_scale(d),
                                    .key_bias = biased ? sequence->log_sizes : NULL,
                                    .relative =
                                        encoder->relative ? &encoder->relative[block] : NULL,
                                    .int8_scores = encoder->int8_scores};
    if (!windowed) return shape;
    shape.n_sequences = sequence->clips * windows->rows * windows->columns;
    shape.q_starts = windows->q_starts;
    shape.k_starts = windows->k_starts;
    shape.key_rows = windows->key_rows;
    shape.queries = windows->queries;
    return shape;
}

void encoder_set_padding(struct encoder *encoder, size_t block) {
    const size_t bytes = encoder->qkv.bytes;
    memcpy(rows_at(encoder->qkv, encoder->options.clips * encoder->tokens),
           encoder->padding + block * bytes, bytes);
}

uint64_t encoder_macs_unread(const struct encoder *encoder, size_t n) {
    const struct geometry *geometry = encoder->geometry;
    const uint64_t d = geometry->d, left = n - encoder->read_rows;
    return left * (2 * n * d + d * d + geometry_mlp_macs(geometry));
}

// From the last block's attention on only what is read goes on: the first rows of every clip, which become the
// sequence, in x and in what the heads have mixed.
static void leave_unread(struct encoder *encoder) {
    const struct sequence *sequence = &encoder->sequence;
    const size_t rows = encoder->read_rows, d = encoder->geometry->d;
    for (size_t b = 0; b < sequence->clips; b++) {
        const struct rows x = rows_f32(encoder->x, d), mixed = encoder->mixed;
        const size_t first = sequence->starts[b], n = sequence_rows(sequence, b);
        memmove(rows_at(x, b * rows), rows_at(x, first), rows * x.bytes);
        memmove(rows_at(mixed, b * rows), rows_at(mixed, first), rows * mixed.bytes);
        encoder->macs_unread += encoder_macs_unread(encoder, n);
    }
    memcpy(sequence->starts, encoder->read_starts,
           (sequence->clips + 1) * sizeof *sequence->starts);
}

static void run_block(struct encoder *encoder, size_t i) {
    struct exec *exec = &encoder->exec;
    const struct block *block = &encoder->weights->blocks[i];
    const struct sequence *sequence = &encoder->sequence;
    const size_t d = encoder->geometry->d;
    const bool few = encoder->read_rows > 0 && i + 1 == encoder->weights->n_blocks;
    struct attention_shape shape = encoder_attention_shape(encoder, i);
    note_layer(encoder, i);
    if (shape.key_rows) encoder_set_padding(encoder, i);
    if (few) {
        shape.q_starts = encoder->read_starts;
        shape.queries = encoder->read_queries;
    }
    attention_mix(exec, &block->attention, &block->norm1, rows_f32(encoder->x, d), encoder->qkv,
                  encoder->mixed, encoder->panels, &shape, sequence_total(sequence));
    if (few) leave_unread(encoder);
    attention_project(exec, &block->attention, rows_f32(encoder->x, d), encoder->mixed,
                      sequence_total(sequence));
    if (encoder->tome.options.mode != VDT_TOME_OFF) merge(encoder, i);
    ops_mlp(exec, &block->mlp, &block->norm2, rows_f32(encoder->x, d), sequence_total(sequence));
}

/* ---- read-out ------------------------------------------------------------------------------ */

// The first token of each clip, normalised where the final norm belongs to the read-out, into out
// (clips, D).
static void read_first(struct encoder *encoder, float *out, size_t out_stride, const float *tokens,
                       size_t n_clips) {
    const size_t d = encoder->geometry->d;
    for (size_t b = 0; b < n_clips; b++)
        copy_row(out + b * out_stride, tokens + encoder->sequence.starts[b] * d, d);
    if (encoder->geometry->final_norm == FINAL_NORM_READOUT) {
        ops_layernorm(&encoder->exec, out, out_stride, out, out_stride, n_clips, d,
                      &encoder->weights->norm);
    }
}

// The mean over a clip's patches, weighted by their sizes where these count.
static void mean_patches(const struct encoder *encoder, float *out, const float *tokens,
                         size_t clip) {
    const struct sequence *sequence = &encoder->sequence;
    const size_t first = sequence->starts[clip] + encoder->prefix, d = encoder->geometry->d;
    head_mean(out, tokens + first * d, encoder->weigh_means ? sequence->sizes + first : NULL,
              sequence->starts[clip + 1] - first, d);
}

static void read_mean(struct encoder *encoder, float *out, size_t out_stride, const float *tokens,
                      size_t n_clips) {
    const size_t d = encoder->geometry->d;
    for (size_t b = 0; b < n_clips; b++) mean_patches(encoder, out + b * out_stride, tokens, b);
    if (encoder->weights->fc_norm.weight) {
        ops_layernorm(&encoder->exec, out, out_stride, out, out_stride, n_clips, d,
                      &encoder->weights->fc_norm);
    }
}

// y (n_clips, width of w) <- w applied to rows of encoder->read.
static void read_linear(struct encoder *encoder, const struct gemm *w, float *y, size_t n_clips,
                        struct gemm_epilogue epilogue) {
    ops_linear(&encoder->exec, w, rows_f32(y, gemm_n(w)), rows_f32(encoder->read, gemm_k(w)),
               n_clips, NULL, epilogue);
}

// The pooled output into encoder->pooled; returns its width.
static size_t read_pooled(struct encoder *encoder, float *tokens, size_t n_clips) {
    const struct weights *weights = encoder->weights;
    const size_t d = encoder->geometry->d;
    const struct gemm *last = weights->projection ? weights->projection : weights->pooler;
    if (encoder->geometry->pooled == READ_ATTENTION_POOL) {
        const struct sequence *sequence = &encoder->sequence;
        const bool weighted = encoder->weigh_means && sequence->weighted;
        attention_pool_forward(&encoder->exec, &weights->pool, encoder->pooled, tokens, encoder->kv,
                               encoder->pool_panels, encoder->small, sequence->starts,
                               encoder->singles, n_clips, encoder->geometry->heads,
                               weighted ? sequence->log_sizes : NULL);
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
        copy_row(encoder->read + b * d, tokens + (encoder->sequence.starts[b] + 1) * d, d);
    }
    read_linear(encoder, weights->classifier2, encoder->logits, n_clips, GEMM_RESIDUAL);
    for (size_t i = 0; i < n_clips * labels; i++) encoder->logits[i] *= 0.5f;
}

// Features of `tokens` (rows of the sequence, D) after a layer.
void encoder_read_features(struct encoder *encoder, const float *tokens, float *features,
                           size_t stride) {
    const struct sequence *sequence = &encoder->sequence;
    const size_t d = encoder->geometry->d;
    for (size_t b = 0; b < sequence->clips; b++) {
        float *out = features + b * stride;
        const float *clip = tokens + sequence->starts[b] * d;
        const uint32_t *source = sequence->source + b * encoder->tokens + encoder->prefix;
        switch (encoder->options.pool) {
        case VDT_POOL_CLASS: copy_row(out, clip, d); break;
        case VDT_POOL_MEAN: mean_patches(encoder, out, tokens, b); break;
        case VDT_POOL_TOKENS: sequence_unmerge(out, sequence, b, clip, d); break;
        case VDT_POOL_MAP: head_map(out, clip, source, encoder->patches, d); break;
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
                      sequence_total(&encoder->sequence), geometry->d, &encoder->weights->norm);
        tokens = encoder->y;
    }
    if (features && encoder->options.pool == VDT_POOL_HEAD) {
        const size_t width = read_pooled(encoder, tokens, n_clips);
        for (size_t b = 0; b < n_clips; b++)
            copy_row(features + b * features_stride, encoder->pooled + b * width, width);
    } else if (features && encoder->options.layer == ENCODER_LAST) {
        encoder_read_features(encoder, tokens, features, features_stride);
        if (encoder->options.pool == VDT_POOL_CLASS)
            read_first(encoder, features, features_stride, tokens, n_clips);
    }
    if (logits) classify(encoder, tokens, n_clips);
}

// Multiply-adds clip by clip: blocks by their tokens, the rest in equal shares. (SigLIP's attention pool is
// taken for a share, too.)
static void share_macs(struct encoder *encoder, vdt_stats *stats) {
    const struct sequence *sequence = &encoder->sequence;
    const size_t clips = sequence->clips, blocks = encoder->weights->n_blocks;
    const uint64_t dense = encoder_block_macs(encoder, encoder->tokens, NULL);
    uint64_t rest = encoder->exec.macs + encoder->macs_unread;
    stats->macs = rest;
    stats->macs_unread = encoder->macs_unread;
    for (size_t b = 0; b < clips; b++) {
        encoder->clip_macs[b] =
            encoder_block_macs(encoder, sequence->kept[b], encoder->layers + b * blocks);
        rest -= encoder->clip_macs[b];
    }
    stats->macs_dense = clips * dense + rest;
    for (size_t b = 0; b < clips; b++) {
        encoder->clip_macs[b] += rest / clips;
        encoder->dense_macs[b] = dense + rest / clips;
    }
}

static int run_blocks(struct encoder *encoder, float *features, size_t features_stride,
                      vdt_error *error) {
    const size_t blocks = encoder->weights->n_blocks;
    for (size_t i = 0; i <= blocks; i++) {
        if (features && encoder->options.layer == i)
            encoder_read_features(encoder, encoder->x, features, features_stride);
        if (i == blocks) break;
        const int status = context_progress(encoder->context, "run", i, blocks, error);
        if (status) return status;
        run_block(encoder, i);
    }
    return VDT_OK;
}

int encoder_forward(struct encoder *encoder, const vdt_clip *clips, size_t n_clips, float *logits,
                    size_t logits_stride, float *features, size_t features_stride, vdt_stats *stats,
                    vdt_error *error) {
    const double start = clock_ms();
    vdt_stats done = {0};
    encoder->exec.macs = 0;
    encoder->merge_ms = 0.0;
    encoder->macs_unread = 0;
    decide(encoder, clips, n_clips);
    const double decided = clock_ms();
    embed(encoder, clips);
    const double embedded = clock_ms();
    const int status = run_blocks(encoder, features, features_stride, error);
    if (status) return status;
    const double ran = clock_ms();
    encoder_finish(encoder, n_clips, logits != NULL, features, features_stride);
    for (size_t b = 0; logits && b < n_clips; b++) {
        memcpy(logits + b * logits_stride, encoder->logits + b * encoder->n_logits,
               encoder->n_logits * sizeof *logits);
    }
    share_macs(encoder, &done);
    done.decide_ms = decided - start;
    done.embed_ms = embedded - decided;
    done.blocks_ms = ran - embedded;
    done.head_ms = clock_ms() - ran;
    done.merge_ms = encoder->merge_ms;
    if (stats) *stats = done;
    return VDT_OK;
}
