// Operations by the counting rule of the Eventful paper (Dutson et al. 2023, appendix): multiply-adds of
// linear layers, matrix products and relative positions, and the additions of biases, residuals, positions,
// gates and accumulators; not norms, softmax, activations, patch embedding, heads. In blocks with windows all
// rows of the padded grid attend, and a window that was skipped counts as if it had been computed.
#ifndef VIDETTE_MODELS_STREAM_COUNT_H
#define VIDETTE_MODELS_STREAM_COUNT_H

#include "models/encoder.h"

// A block of a flush, which counts as a dense one, of whose tokens `rows` go on behind attention's keys and values.
uint64_t stream_count_flush(const struct encoder *encoder, size_t block, size_t rows);

// What a block has done.
struct stream_count {
    size_t picked[3]; // tokens that passed its gates
    size_t rows;      // that go on behind attention's keys and values,
    size_t attending; // of them in picked[0]
    uint64_t afresh;  // pairs of row and head that were computed beyond those
};

uint64_t stream_count_block(const struct encoder *encoder, vdt_attention attention, size_t block,
                            const struct stream_count *count);

// A clip without gates, position additions included: `kept` tokens enter block 1 and layers[i] leave the
// attention of block i (RLT, ToMe); without `layers` as many as entered. What matching and merging add is
// not counted. encoder->tokens and no `layers` give the dense model.
uint64_t stream_count_clip(const struct encoder *encoder, size_t kept, const uint32_t *layers);

#endif
