#include "models/stream_count.h"

// What a block attends over, in windows whatever rows and keys there are: query rows (padding too), keys a row, side
// lengths of the key grid.
struct extent {
    uint64_t rows, keys, positions;
    bool windowed;
};

static struct extent extent_of(const struct encoder *encoder, size_t block, uint64_t rows,
                               uint64_t keys) {
    const struct windows *windows = &encoder->windows;
    struct extent extent = {.rows = rows, .keys = keys};
    uint64_t sides = encoder->grid.h + encoder->grid.w;
    extent.windowed = windows->side > 0 && encoder->geometry->windowed[block];
    if (extent.windowed) {
        extent.keys = (uint64_t)windows->side * windows->side;
        extent.rows = windows->rows * windows->columns * extent.keys;
        sides = 2 * windows->side;
    }
    extent.positions = encoder->geometry->relative ? sides : 0;
    return extent;
}

static uint64_t linear(const struct gemm *w) {
    return (uint64_t)gemm_n(w) * gemm_k(w) + gemm_n(w);
}

// The einsums of relative positions, and their two additions an element of the attention matrix.
static uint64_t relative(const struct encoder *encoder, const struct extent *extent,
                         bool elements) {
    if (extent->positions == 0) return 0;
    const uint64_t adds = elements ? 2 * encoder->geometry->heads * extent->keys : 0;
    return extent->rows * (extent->positions * encoder->geometry->d + adds);
}

// Linear layers of the rows that passed each gate, and `residuals` rows of residual additions.
static uint64_t count_rows(const struct encoder *encoder, size_t block, const size_t picked[3],
                           uint64_t residuals) {
    const struct block *weights = &encoder->weights->blocks[block];
    return picked[0] * linear(weights->attention.qkv) +
           picked[1] * linear(weights->attention.proj) +
           picked[2] * (linear(weights->mlp.fc1) + linear(weights->mlp.fc2)) +
           residuals * encoder->geometry->d;
}

static uint64_t count_full(const struct encoder *encoder, const struct extent *extent) {
    return 2 * extent->rows * extent->keys * encoder->geometry->d + relative(encoder, extent, true);
}

static uint64_t count_exact(const struct encoder *encoder, const struct extent *extent,
                            const struct stream_count *count) {
    const uint64_t n = extent->keys, d = encoder->geometry->d, m = count->picked[0],
                   rows = count->rows, attending = count->attending;
    const uint64_t products =
        2 * m >= n ? 2 * rows * n * d : 2 * attending * n * d + 4 * m * (rows - attending) * d;
    return products + relative(encoder, extent, false) +
           count->afresh * 2 * n * (d / encoder->geometry->heads);
}

// Changed rows and columns of B; both products of the recurrence; the gates of A and v; the accumulators.
static uint64_t count_delta(const struct encoder *encoder, const struct extent *extent,
                            uint64_t m) {
    const uint64_t n = extent->rows, d = encoder->geometry->d, h = encoder->geometry->heads;
    return 4 * m * n * d + relative(encoder, extent, true) + n * d + h * n * n + m * d + 2 * n * d;
}

// Without gates: n tokens give keys and values, `rows` of them attend, `left` of these pass the MLP.
static uint64_t count_ungated(const struct encoder *encoder, size_t block, uint64_t n,
                              uint64_t rows, uint64_t left) {
    const struct extent extent = extent_of(encoder, block, rows, n);
    return count_rows(encoder, block, (size_t[]){n, rows, left}, rows + left) +
           count_full(encoder, &extent);
}

uint64_t stream_count_flush(const struct encoder *encoder, size_t block, size_t rows) {
    return count_ungated(encoder, block, encoder->tokens, rows, rows);
}

uint64_t stream_count_block(const struct encoder *encoder, vdt_attention attention, size_t block,
                            const struct stream_count *count) {
    const uint64_t n = encoder->tokens, rows = count->rows;
    const struct extent extent = extent_of(encoder, block, rows, n);
    const uint64_t gated =
        count_rows(encoder, block, count->picked, 2 * rows) + (n + 2 * rows) * encoder->geometry->d;
    if (extent.windowed || attention == VDT_ATTENTION_TOKENWISE)
        return gated + count_full(encoder, &extent);
    if (attention == VDT_ATTENTION_DELTA)
        return gated + count_delta(encoder, &extent, count->picked[0]);
    return gated + count_exact(encoder, &extent, count);
}

uint64_t stream_count_clip(const struct encoder *encoder, size_t kept, const uint32_t *layers) {
    uint64_t n = kept, macs = kept * encoder->geometry->d;
    for (size_t i = 0; i < encoder->weights->n_blocks; i++) {
        const uint64_t left = layers ? layers[i] : n;
        macs += count_ungated(encoder, i, n, n, left);
        n = left;
    }
    return macs;
}
