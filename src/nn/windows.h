// Windows of a grid of tokens (Li et al. 2022, ViTDet): attention stays within squares of `side` tokens. The
// grid is padded at its bottom and right; padding takes part as keys, in a row of memory of its own, and
// asks nothing.
//
//     side 2:   0 1 | 2 .      keys of the second window: 2, padding, 5, padding
//               3 4 | 5 .      its queries: 2 and 5, at positions 0 and 2
#ifndef VIDETTE_NN_WINDOWS_H
#define VIDETTE_NN_WINDOWS_H

#include <stddef.h>
#include <stdint.h>

// Packed sequences as attention_shape wants them; sequence (clip, row of windows, column of windows).
struct windows {
    size_t side, rows, columns;  // of windows
    uint32_t *key_rows;          // (clips rows columns side^2)
    uint32_t *queries;           // (clips h w)
    size_t *q_starts, *k_starts; // (clips rows columns + 1)
};

// Fills the lists for clips of h x w tokens each, one after the other in memory; padding is row `padding`.
void windows_fill(struct windows *windows, size_t clips, size_t h, size_t w, uint32_t padding);

#endif
