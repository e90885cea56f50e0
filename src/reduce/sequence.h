// Packed clips whose tokens become fewer: which rows belong to which clip, and what each stands for.
//
// A clip begins as `tokens` tokens: `prefix` special ones (class, distillation, registers), then its patches
// in (t, h, w) order. RLT lets some in, ToMe merges some in every block; rows of all clips lie one after the
// other without gaps. One field, the size s of a row, unites the methods: how many tokens it stands for.
//
//     rows    | clip 0: prefix, patches | clip 1 | ... |      starts[b] .. starts[b + 1]
//     source  | clip 0: a row of clip 0 for each of its tokens | ...
#ifndef VIDETTE_REDUCE_SEQUENCE_H
#define VIDETTE_REDUCE_SEQUENCE_H

#include "core/arena.h"
#include "core/tensor.h"

struct sequence {
    size_t clips;          // of this run
    size_t tokens, prefix; // of a whole clip
    size_t *starts;        // (clips + 1) rows of each clip
    float *sizes;          // (rows) s
    float *log_sizes;      // (rows) log s
    bool weighted;         // some size is not 1
    uint32_t *indices;     // (clips, tokens) the token that each row entering block 1 is, ascending
    uint32_t *lengths;     // (clips, tokens) its run length
    uint32_t *kept;        // (clips) how many those are
    uint32_t *source; // (clips, tokens) the row, counted within its clip, that stands for a token
};

// Takes the buffers for `clips` clips of `tokens` tokens.
void sequence_layout(struct sequence *sequence, struct arena *arena, size_t clips, size_t tokens,
                     size_t prefix);

// Every token a row of its own, of size 1.
void sequence_start(struct sequence *sequence, size_t clips);

static inline size_t sequence_rows(const struct sequence *sequence, size_t clip) {
    return sequence->starts[clip + 1] - sequence->starts[clip];
}

static inline size_t sequence_total(const struct sequence *sequence) {
    return sequence->starts[sequence->clips];
}

// y (tokens, D) <- for each token of the clip the row that stands for it; rows (clip's rows, D).
void sequence_unmerge(float *y, const struct sequence *sequence, size_t clip, const float *rows,
                      size_t d);

#endif
