// ToMe, token merging (Bolya et al. 2022, arXiv 2210.09461, section 3): in every block, between attention and
// MLP, the r most similar pairs of a clip's tokens become one token each.
//
//     tokens   0 1 2 3 4 5 6 ...      A: even positions, B: odd ones; special tokens in neither
//     A -> B   the most similar b for each a (cosine of the keys' mean over heads), ties to the lower b
//     merge    the r best links, ties to the lower a:  x_b = (s_b x_b + sum s_a x_a) / (s_b + sum s_a)
//     order    special tokens, what is left of A, B: each in index order
//
// The matching is the same on every instruction set and thread count, given the same keys: the metric is
// made in one order of plain C, then rounded to integers in units of 2^-26, and products of those, summed in
// doubles, never round (match_f64). Cosines are so exact to 2^-26 of the metric's components, which is finer
// than the f32 keys they come from. The A x B matrix is never in memory.
#ifndef VIDETTE_REDUCE_TOME_H
#define VIDETTE_REDUCE_TOME_H

#include "ops/ops.h"
#include "reduce/sequence.h"

enum { TOME_MAX_R = 1 << 22 };

struct tome {
    vdt_tome_options options; // `list` is the caller's until tome_prepare
    bool proportional;        // log s in the attention logits (the encoder's business)
    bool int8_keys;           // keys are encoded (ops_encode_scores)
    size_t blocks, heads, d;  // L, H, head width
    uint32_t *r;              // (L) of SCHEDULE and LIST

    // Workspace. Clip b's part of what is counted by A begins at starts[b] / 2 + b, of what is counted by
    // B's panels at starts[b] / 32 + b: bounds of their numbers that keep places a formula.
    double *a, *panels; // (A, d), (panels of B, d, MATCH_PANEL): the metric
    double *best;       // (A) the link's similarity
    uint32_t *column;   // (A) its end, an index into B
    uint64_t *keys;     // (A)
    uint8_t *chosen;    // (A) 1: merges
    uint32_t *first;    // (rows) the first that merges into a row, by its index in A; NONE
    uint32_t *next;     // (A) the next that merges into the same row, ascending; NONE
    uint32_t *order;    // (rows) the old row of each new row, counted within its clip
    uint32_t *to;       // (rows) the new row of each old row, counted within its clip
    size_t *starts;     // (clips + 1) of the new rows
    float *sizes;       // (rows) of the new rows
};

// The options against their ranges; `blocks` must be set.
int tome_check(const struct tome *tome, vdt_error *error);

void tome_layout(struct tome *tome, struct arena *arena, size_t clips, size_t tokens);

// Makes the schedule; the options' list is not read after it.
void tome_prepare(struct tome *tome);

// r_i of L blocks (section 3.2): constant for inflection 0, falling to 0 for -1, rising for 1.
uint32_t tome_schedule(uint32_t r, double inflection, size_t i, size_t blocks);

// Pairs that merge in block i among n rows, `prefix` of them special: the schedule's r, at most half of
// what may merge.
size_t tome_merges(const struct tome *tome, size_t n, size_t prefix, size_t i);

// y <- x, merged, in block i, by `keys` (rows, D) of its attention, F32 or BF16. Sequence and sizes follow.
// False, with nothing done, where no clip has anything to merge. x and y (rows, D) do not overlap.
bool tome_merge(struct exec *exec, const struct tome *tome, struct sequence *sequence, size_t i,
                struct rows y, struct rows x, struct rows keys);

#endif
