// A per-frame encoder run as a stream (Dutson et al. 2023): state of the blocks from frame to frame, gates
// that pass on only what changed, buffers that keep the rest.
//
//     x = embed(changed patches)
//     for each block
//         M = gate(norm1 x)        qkv rows M      attention brought up to date
//         M = gate(attention)      proj rows M     buffer p        x = x + p
//         M = gate(norm2 x)        mlp rows M      buffer m        x = x + m
//     norm, read out, classify
//
// Where outputs read a model's first tokens alone, the last block's other rows give keys and values, nothing else:
// behind its attention they have no state.
//
// The first step, a flush, computes every row; with every token picked in every gate, a step has the bits of
// the dense encoder. All state lies in one piece of the session's memory and holds no pointers.
#ifndef VIDETTE_MODELS_STREAM_H
#define VIDETTE_MODELS_STREAM_H

#include "models/factorised.h"
#include "reduce/budget.h"
#include "reduce/delta_attention.h"
#include "reduce/exact_attention.h"
#include "reduce/gate.h"
#include "reduce/still.h"

struct stream_options {
    struct policy policy;
    vdt_attention attention; // of blocks that attend globally; windows are always computed in full
    bool still, learn_still; // the pixel test; whether its tolerance is learnt
    double tau;              // its tolerance
    double deadline;         // ms a step: r is chosen to meet it; 0: none
    bool record;             // `patches` and `passed` are kept
};

// How a block attends: in full, or kept up to date.
enum stream_kind { STREAM_FULL, STREAM_EXACT, STREAM_DELTA };

// One block's state.
struct stream_block {
    enum stream_kind kind;
    size_t rows; // that go on behind attention's keys and values, the first ones
    struct gate qkv_gate, proj_gate, mlp_gate;
    float *proj, *mlp; // (rows, D) buffers
    // q, k and v, and what attention made of them:
    unsigned char *kept; // in full
    struct rows mixed;   // (rows, D)
    struct exact_attention exact;
    struct rows qkv; // (N, 3D), for delta
    struct delta_attention delta;
};

// What else is kept from step to step.
struct stream_state {
    uint64_t steps;   // since the flush, which is step 1; 0: the next step is a flush
    uint64_t filled;  // class tokens in the window of a factorised model
    uint64_t pending; // gates that passed over a token above the floor in the last step
    struct still_state still;
};

struct stream {
    struct encoder *encoder;
    struct stream_options options;
    unsigned char *begin; // state, `bytes` of it
    size_t bytes;
    struct stream_state *state;
    struct still still;
    struct budget budget;
    float *embedded;               // (N, D) input of block 1; state
    float *logits, *features;      // of the last step; state
    struct factorised *factorised; // what reads the window; NULL: none
    float *window; // (snippets, D) class tokens of the last snippets, the oldest first; state
    struct stream_block *blocks;
    size_t read_rows; // of x that outputs read behind the last block, the first ones
    // Workspace.
    uint8_t *rows;        // (N) how far x is, row by row
    bool settled;         // x, and the squares of the gates, are those of the last step
    uint32_t *index;      // (N)
    double *squares;      // (N) of the pixel test
    uint64_t *keys;       // (N)
    size_t *fresh_starts; // (windows + 1) rows of q, k and v that are new, by window:
    uint32_t *fresh_rows, *fresh_positions; // (N) as fresh_rows has them
    // Of the last step.
    uint32_t *updated; // (3 blocks) tokens that passed each gate, in the order of execution
    double begun_ms;   // when it began
    size_t r;          // of the policy; with a deadline the mean over blocks
    size_t changed;    // patches
    uint32_t *patches; // (changed) that were embedded; NULL: not recorded
    uint32_t *passed;  // (3 blocks, N) the tokens that `updated` counts; NULL: not recorded
    uint64_t afresh;   // pairs of row and head that `exact` computed beyond the changed rows
    uint64_t macs;     // by the counting rule of the Eventful paper
    bool first, idle;  // a flush; no transformer work
};

static inline size_t stream_logits(const struct stream *stream) {
    return stream->factorised ? stream->factorised->n_logits : stream->encoder->n_logits;
}

// After encoder_plan: sets what the encoder must provide. A stream's encoder packs one clip, or one snippet,
// whose class token (its only features) goes into the window that `factorised` (else NULL) reads.
int stream_plan(struct stream *stream, struct encoder *encoder, struct factorised *factorised,
                const struct stream_options *options, vdt_error *error);

// After encoder_layout.
void stream_layout(struct stream *stream, struct arena *arena);

// After encoder_prepare.
void stream_prepare(struct stream *stream);

// Measures what steps cost, for the deadline, on a frame of noise: pixels (s, height, width, 3) of workspace.
// Ends with a reset.
int stream_calibrate(struct stream *stream, uint8_t *pixels, vdt_error *error);

// The next step is a flush.
void stream_reset(struct stream *stream);

// The next frame. Outputs as encoder_forward's.
int stream_step(struct stream *stream, const vdt_clip *frame, float *logits, float *features,
                vdt_stats *stats, vdt_error *error);

// After a step: a frame that is left out; the step's result stands for it.
void stream_hold(struct stream *stream, float *logits, float *features, vdt_stats *stats);

#endif
