#include "models/encoder.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "nn/head.h"

static void copy_row(float *to, const float *from, size_t d) {
    memcpy(to, from, d * sizeof *to);
}

static double now_ms(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec * 1e-6;
}

static void embed(struct encoder *encoder, const vdt_clip *clips, size_t n_clips) {
    const struct geometry *geometry = encoder->geometry;
    const struct weights *weights = encoder->weights;
    const size_t d = geometry->d, stride = encoder->tokens * d;
    const struct patch_embed patch_embed = {.projection = weights->patch,
                                            .tubelet = geometry->tubelet,
                                            .patch = geometry->patch,
                                            .values = encoder->values};
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

static void run_block(struct encoder *encoder, const struct block *block, size_t n_clips) {
    struct exec *exec = &encoder->exec;
    const struct rows x = f32_rows(encoder->x, encoder->geometry->d);
    attention_forward(exec, &block->attention, &block->norm1, x, encoder->qkv, encoder->mixed,
                      encoder->panels, encoder->starts, n_clips, encoder->geometry->heads);
    ops_mlp(exec, &block->mlp, &block->norm2, x, n_clips * encoder->tokens);
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
static void read_features(struct encoder *encoder, const float *tokens, size_t n_clips,
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
static void finish(struct encoder *encoder, size_t n_clips, bool logits, float *features,
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
        read_features(encoder, tokens, n_clips, features, features_stride);
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
            read_features(encoder, encoder->x, n_clips, features, features_stride);
        }
        run_block(encoder, &encoder->weights->blocks[i], n_clips);
    }
    const double ran = now_ms();
    if (features && encoder->options.layer == blocks) {
        read_features(encoder, encoder->x, n_clips, features, features_stride);
    }
    finish(encoder, n_clips, logits != NULL, features, features_stride);
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
