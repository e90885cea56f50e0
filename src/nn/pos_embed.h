// Position embeddings: tables from the file, resized where the input's grid is another one, and
// VideoMAE's sinusoids.
#ifndef VIDETTE_NN_POS_EMBED_H
#define VIDETTE_NN_POS_EMBED_H

#include <stdbool.h>
#include <stddef.h>

// P[p][j] = p / 10000^(2 (j / 2) / D), its sine for even j, its cosine for odd j, in double, then
// f32; p counts the tokens of a clip in (t, h, w) order (VideoMAE). out: (n, D).
void pos_embed_sinusoid(float *out, size_t n, size_t d);

// out (n, D) <- the table (in_n, D) resized linearly as PyTorch's interpolate does with align_corners off.
void pos_embed_resize_line(float *out, size_t n, const float *table, size_t in_n, size_t d);

// out (h, w, D) <- the table (in_h, in_w, D) resized bicubically as PyTorch's interpolate does with
// align_corners off: a = -0.75 and four taps, or, `antialias`, a = -0.5 and taps that widen when
// the grid shrinks. A grid of the table's size is copied.
void pos_embed_resize(float *out, size_t h, size_t w, const float *table, size_t in_h, size_t in_w,
                      size_t d, bool antialias);

#endif
