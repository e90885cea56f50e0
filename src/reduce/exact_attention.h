// Softmax attention of kept q, k, v, kept up to date when rows of them change: exact, in O(N D) state.
//
// Per head and query row i: m_i, a reference maximum; l_i = sum_j exp(s_ij - m_i); the unnormalised
// o_i = sum_j exp(s_ij - m_i) v_j. When rows M change,
//
//                      keys in M                  other keys
//     rows in M        afresh                     afresh
//     other rows       - exp(s_old - m) (1, v)    as they are
//                      + exp(s_new - m) (1, v)
//
// where a new score more than SOFTMAX_SLACK above m_i moves m_i and rescales the row. e_i estimates the squared
// rounding error in l_i and o_i: e += (2^-24 (l + 4 removed + 4 added))^2 a step, removed and added the sums of
// the terms taken and given; a row is computed afresh where sqrt(e) > 2e-6 l or l <= 0, which covers
// cancellation, old age and stale maxima. The score of a pair has the same bits whenever it is computed (one
// chain over d, kernels.h), so that what is subtracted is what was added. In bf16 weights are rounded to
// bf16, and those that a fresh row has rounded under an earlier maximum differ by 2^-9: e grows by the square
// of that share of `removed` too, against a tolerance of 2^-8.
//
// Rows that are not finite cannot be subtracted again: where M has one in a head, before or after, the whole head is
// computed.
//
// Sequences of one grid, without biases of keys; from M = N / 2 on, recomputing everything is cheaper.
#ifndef VIDETTE_REDUCE_EXACT_ATTENTION_H
#define VIDETTE_REDUCE_EXACT_ATTENTION_H

#include "ops/ops.h"

struct exact_attention {
    size_t n;            // N
    size_t rows;         // that attend, the first ones: N, or fewer where the others are not read
    unsigned char *kept; // ops_kept_bytes of N keys
    float *o;            // (heads, rows, d)
    float *max, *sum, *error; // (heads, rows): m, l, e
    // Workspace, shared by all blocks.
    uint32_t *others;        // (rows) those not in M
    uint32_t *key_y, *key_x; // (N) the places of M in the grid, twice
    bool *wild;              // (heads) a key or value of M, old or new, is not finite
    void *panels;            // ops_attention_panels bytes of N keys, aligned to 64
};

// Every row becomes that of qkv (N, 3D).
void exact_attention_flush(struct exec *exec, struct exact_attention *state, struct rows qkv,
                           const struct attention_shape *shape);

// Rows index[0..n_changed), ascending, become `fresh` (n_changed, 3D). Behind these, it has room for the k and v that
// they replace. Returns how many pairs of row and head were computed afresh beyond those of M.
uint64_t exact_attention_update(struct exec *exec, struct exact_attention *state, struct rows fresh,
                                const uint32_t *index, size_t n_changed,
                                const struct attention_shape *shape);

// row (D) <- o_i / l_i, i < rows. Meanwhile fetches row `next`.
void exact_attention_read(const struct exact_attention *state, size_t i, size_t next, float *row,
                          size_t heads, size_t d);

#endif
