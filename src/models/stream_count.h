// Operations by the counting rule of the Eventful paper (Dutson et al. 2023, appendix): multiply-adds of
// linear layers, matrix products and relative positions, and the additions of biases, residuals, positions,
// gates and accumulators; not norms, softmax, activations, patch embedding, heads. In blocks with windows all
// rows of the padded grid attend, and a window that was skipped counts as if it had been computed.
#ifndef VIDETTE_MODELS_STREAM_COUNT_H
#define VIDETTE_MODELS_STREAM_COUNT_H

#include "models/encoder.h"

// A block of a flush, which counts as a dense one.
uint64_t stream_count_flush(const struct encoder *encoder, size_t block);

// A block whose gates passed picked[0..2] tokens, with `afresh` pairs of row and head computed beyond them.
uint64_t stream_count_block(const struct encoder *encoder, vdt_attention attention, size_t block,
                            const size_t picked[3], uint64_t afresh);

// The dense model, position additions included.
uint64_t stream_count_dense(const struct encoder *encoder);

#endif
