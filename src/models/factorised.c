#include "models/factorised.h"

#include <string.h>

#include "core/clock.h"

int factorised_plan(struct factorised *factorised, struct encoder *encoder, size_t clips,
                    vdt_pool pool, size_t layer, vdt_error *error) {
    const struct weights *weights = encoder->weights;
    const bool possible =
        pool == VDT_POOL_NONE_WANTED ||
        ((pool == VDT_POOL_CLASS || pool == VDT_POOL_HEAD) && layer == ENCODER_LAST);
    if (!possible) {
        return status_fail(
            error, VDT_ERROR_UNSUPPORTED,
            "pool: this model gives its class token (cls or head) of the last layer");
    }
    *factorised = (struct factorised){
        .encoder = encoder, .clips = clips, .snippets = geometry_snippets(encoder->geometry)};
    factorised->n_logits = weights->classifier ? encoder->geometry->labels : 0;
    factorised->n_features = pool == VDT_POOL_NONE_WANTED ? 0 : encoder->geometry->d;
    return VDT_OK;
}

void factorised_layout(struct factorised *factorised, struct arena *arena) {
    const size_t clips = factorised->clips, snippets = factorised->snippets,
                 d = factorised->encoder->geometry->d;
    arena->used = arena->peak; // what the encoder overlays stays its own
    factorised->parts = arena_take(arena, clips * snippets, sizeof *factorised->parts);
    factorised->x = arena_take_floats(arena, clips * (1 + snippets), d);
    factorised->read = arena_take_floats(arena, clips, d);
    factorised->logits = arena_take_floats(arena, clips, factorised->n_logits);
    factorised->starts = arena_take(arena, clips + 1, sizeof *factorised->starts);
}

static void add_positions(float *row, const float *position, size_t d) {
    for (size_t i = 0; i < d; i++) row[i] += position[i];
}

// A sequence's rows: the class token, n class tokens of snippets, z_stride floats apart, with positions.
static void begin_sequence(const struct factorised *factorised, float *x, const float *z,
                           size_t z_stride, size_t n) {
    const struct weights *weights = factorised->encoder->weights;
    const size_t d = factorised->encoder->geometry->d;
    memcpy(x, weights->temporal_class, d * sizeof *x);
    for (size_t i = 0; i < n; i++) memcpy(x + (1 + i) * d, z + i * z_stride, d * sizeof *x);
    for (size_t i = 0; i <= n; i++)
        add_positions(x + i * d, weights->temporal_positions + i * d, d);
}

// The temporal blocks over n sequences and the read-out of their first tokens, in the encoder's workspace.
static void run(struct factorised *factorised, size_t n, bool logits) {
    struct encoder *encoder = factorised->encoder;
    const struct weights *weights = encoder->weights;
    const size_t d = encoder->geometry->d, width = d / encoder->geometry->heads;
    const struct attention_shape shape = {.n_sequences = n,
                                          .q_starts = factorised->starts,
                                          .k_starts = factorised->starts,
                                          .heads = encoder->geometry->heads,
                                          .d = width,
                                          .scale = attention_scale(width)};
    const struct rows x = rows_f32(factorised->x, d);
    for (size_t i = 0; i < weights->n_temporal; i++) {
        const struct block *block = &weights->blocks[weights->n_blocks + i];
        attention_mix(&encoder->exec, &block->attention, &block->norm1, x, encoder->qkv,
                      encoder->mixed, encoder->panels, &shape, factorised->starts[n]);
        attention_project(&encoder->exec, &block->attention, x, encoder->mixed,
                          factorised->starts[n]);
        ops_mlp(&encoder->exec, &block->mlp, &block->norm2, x, factorised->starts[n]);
    }
    for (size_t b = 0; b < n; b++)
        memcpy(factorised->read + b * d, factorised->x + factorised->starts[b] * d,
               d * sizeof *factorised->read);
    ops_layernorm(&encoder->exec, factorised->read, d, factorised->read, d, n, d,
                  &weights->temporal_norm);
    if (logits) {
        ops_linear(&encoder->exec, weights->classifier,
                   rows_f32(factorised->logits, factorised->n_logits),
                   rows_f32(factorised->read, d), n, NULL, GEMM_PLAIN);
    }
}

int factorised_forward(struct factorised *factorised, const vdt_clip *clips, size_t n_clips,
                       float *logits, size_t logits_stride, float *features, size_t features_stride,
                       vdt_stats *stats, vdt_error *error) {
    struct encoder *encoder = factorised->encoder;
    const size_t snippets = factorised->snippets, d = encoder->geometry->d;
    for (size_t i = 0; i < n_clips * snippets; i++) {
        factorised->parts[i] = clips[i / snippets];
        factorised->parts[i].pixels +=
            i % snippets * encoder->geometry->tubelet * clips[i / snippets].frame_stride;
    }
    const int status = encoder_forward(encoder, factorised->parts, n_clips * snippets, NULL, 0,
                                       NULL, 0, stats, error);
    if (status) return status;
    const double start = clock_ms();
    const size_t clip_floats = sequence_rows(&encoder->sequence, 0) * d;
    ops_layernorm(&encoder->exec, encoder->x, clip_floats, encoder->x, clip_floats,
                  n_clips * snippets, d, &encoder->weights->norm);
    for (size_t b = 0; b <= n_clips; b++) factorised->starts[b] = b * (1 + snippets);
    for (size_t b = 0; b < n_clips; b++) {
        begin_sequence(factorised, factorised->x + factorised->starts[b] * d,
                       encoder->x + b * snippets * clip_floats, clip_floats, snippets);
    }
    run(factorised, n_clips, logits != NULL);
    for (size_t b = 0; b < n_clips; b++) {
        if (logits)
            memcpy(logits + b * logits_stride, factorised->logits + b * factorised->n_logits,
                   factorised->n_logits * sizeof *logits);
        if (features)
            memcpy(features + b * features_stride, factorised->read + b * d, d * sizeof *features);
    }
    if (stats) {
        stats->head_ms += clock_ms() - start;
        stats->macs = encoder->exec.macs + encoder->macs_unread;
        stats->macs_dense += n_clips * factorised_macs(factorised);
    }
    return VDT_OK;
}

void factorised_window(struct factorised *factorised, const float *z, size_t n, float *logits,
                       float *features) {
    const size_t d = factorised->encoder->geometry->d;
    factorised->starts[0] = 0;
    factorised->starts[1] = 1 + n;
    begin_sequence(factorised, factorised->x, z, d, n);
    run(factorised, 1, logits != NULL);
    if (logits) memcpy(logits, factorised->logits, factorised->n_logits * sizeof *logits);
    if (features) memcpy(features, factorised->read, d * sizeof *features);
}

uint64_t factorised_macs(const struct factorised *factorised) {
    const struct geometry *geometry = factorised->encoder->geometry;
    const uint64_t n = 1 + factorised->snippets, d = geometry->d;
    return geometry->temporal_blocks * (n * (4 * d * d + 2 * d * geometry->mlp) + 2 * n * n * d) +
           factorised->n_logits * d;
}

uint64_t factorised_count(const struct factorised *factorised, size_t snippets) {
    const struct geometry *geometry = factorised->encoder->geometry;
    const uint64_t n = 1 + snippets, d = geometry->d, m = geometry->mlp;
    const uint64_t linears = n * (4 * d * d + 4 * d + 2 * d * m + m + d);
    return n * d + geometry->temporal_blocks * (linears + 2 * n * n * d + 2 * n * d);
}
