// The kernel table: the leaf functions that have variants for several instruction sets.
//
// A member's comment is its contract, for every variant. kernels_init fills the table with plain C,
// then each instruction set up to `level` puts its own functions over it. Plain C is always there, is
// written to be read, and is not the truth: tests compare each variant, C included, with double
// precision or exact integers.
//
// All kernels: pointers need no alignment beyond the element's; inputs and outputs do not overlap
// unless said so; nothing is read or written outside the sizes given; sizes may be 0. A row's result
// depends on that row only, never on how many rows the call has, so that work can be cut anywhere.
// Bounds below are for finite inputs; u = 2^-24.
#ifndef VIDETTE_KERNELS_KERNELS_H
#define VIDETTE_KERNELS_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vidette/vidette.h>

#include "kernels/format.h"

/* ---- what kernels share -------------------------------------------------------------------- */

// Sources: Hendrycks & Gimpel 2016 (GELU), Elfwing et al. 2017 (SiLU).
enum activation {
    ACTIVATION_GELU,       // x Phi(x) by the error function;  |error| <= 4e-7 |x| + 1e-12
    ACTIVATION_GELU_TANH,  // x / (1 + exp(-2 sqrt(2/pi) (x + 0.044715 x^3)));  <= 1e-6 |x| + 1e-12
    ACTIVATION_GELU_QUICK, // x / (1 + exp(-1.702 x));  |error| <= 1e-6 |x| + 1e-12
    ACTIVATION_SILU,       // x / (1 + exp(-x));  |error| <= 1e-6 |x| + 1e-12
    ACTIVATIONS,
    ACTIVATION_NONE = ACTIVATIONS,
};

// What becomes of a product's sums.
struct finish {
    const float *bias; // (n)
    enum activation activation;
    bool accumulate;    // add to y, which is f32 then
    enum format format; // of y: FORMAT_F32 or FORMAT_BF16
};

// How large the operands of a format's product best are: block sizes as data.
struct product_sizes {
    // Rows that are multiplied at a time: the most efficient number is a multiple of it.
    size_t tile_rows;
    // Lanes of a call, so that a panel stays in cache. int8 lanes are not cut.
    size_t block_lanes;
    // Lanes that all columns pass over before those behind them, so that rows stay in cache.
    size_t pass_lanes;
    // Rows that pass over weights together: enough to reuse them, few enough for the second cache.
    size_t task_rows;
    // Queries of attention that pass over keys together; at most PRODUCT_MAX_QUERIES.
    size_t query_rows;
    // Rows that do not lie at equal distances are copied for each panel: worth doing once before.
    bool copies_rows;
};

enum { PRODUCT_MAX_QUERIES = 128 };

enum { CACHE_LINE = 64 }; // bytes

// What comes after a product. It fetches memory meanwhile: the panel that the next product multiplies with,
// spread over its lanes; and shortly before the end rows that will be written, one for each of its own, since the
// operands would push them out of the nearest cache again. And it hands rows on as soon as their sums are
// complete, in ascending order, some at a time: they are in the nearest cache then, and whoever finishes them
// stores under the next rows' products.
struct upcoming {
    const unsigned char
        *panel; // as large as the product's own; of several, as many after it; NULL: none
    const unsigned char *rows; // row i at rows + i * bytes
    size_t bytes, width;       // width: bytes of a row; 0: no rows
    void (*complete)(const void *argument, size_t first,
                     size_t rows); // NULL: nobody; else n <= panel
    const void *argument;
};

// What comes after a product's next panel, of so many bytes.
static inline const struct upcoming *
upcoming_after_panel(struct upcoming *next, const struct upcoming *upcoming, size_t bytes) {
    *next = *upcoming;
    if (next->panel) next->panel += bytes;
    return next;
}

// A row's running statistics in the online softmax (Milakov & Gimelshein 2018): a reference maximum and the sum of
// exp(logit - max). Starts as {-INFINITY, 0}.
struct softmax_state {
    float max, sum;
};

// How far logits may exceed the reference maximum before it moves.
#define SOFTMAX_SLACK 8.0f

enum { MATCH_PANEL = 16 }; // columns of a panel of match_f64, on every set

enum { PRODUCT_CUT = 16 }; // lanes: where a product of bf16 may be cut

// The input pixels that one output pixel reads.
struct resize_tap {
    uint32_t first, n;
};

/* ---- the table ----------------------------------------------------------------------------- */

struct kernels {
    const char *name; // of the highest instruction set in the table

    // Formats whose product runs on instructions made for it (the others are plain C).
    bool has_format[FORMATS];

    // Columns of a panel. B (k, n) lies in ceil(n / panel) panels, one after the other. A panel is
    // lanes x panel lanes of 32 bits, a lane of rows outermost; columns past n hold zeros.
    //
    //     B (k, n)  |----panel----|----panel----|--n|
    //     memory    [lanes][panel]  [lanes][panel]  [lanes][panel: .. 0 0]
    //
    // Lanes are all those of encoded rows of W = B^T: of int8 their scales and offsets, too.
    size_t panel;

    struct product_sizes sizes[FORMATS];

    // Instructions multiply unsigned bytes by signed ones. So of int8 products one operand holds its numbers, and what
    // its last lane is padded with, as q + 128: W, with AVX2 X. A byte of an encoded row is q ^ its flip, 0 or 128.
    uint8_t rows_flip, weights_flip;

    // An encoded row of n numbers. bf16: rounded to nearest even. int8: scale = max |x| / 127, q_i =
    // x_i / scale rounded to nearest even; EXACT on every set (a row of zeros has scale 0; one with a number that
    // is not finite has zeros and the scale max |x| / 127, infinite or NaN, so that products come out as NaN).
    void (*encode[FORMATS])(void *row, const float *x, size_t n);

    // An encoded row of W. f32, bf16: as encode. int8: as encode, but on sets that add products in pairs, in 16
    // bits (AVX2), the scale is max (|x_2i| + |x_2i+1|) / 127, the sum rounded to f32, in place of max |x| / 127
    // everywhere above, so that |q_2i| + |q_2i+1| <= 128. EXACT.
    void (*encode_weights[FORMATS])(void *row, const float *x, size_t n);

    // panels <- W^T for n rows of W encoded so, row i at rows + i * row_bytes. Writes
    // ceil(n / panel) * lanes * panel lanes. EXACT.
    void (*pack_rows)(void *panels, const void *rows, size_t row_bytes, size_t n, size_t lanes);

    // panels <- V (k, n), row i at v + i * v_stride (numbers of the format, F32 or BF16). EXACT.
    void (*pack_columns[FORMATS])(void *panels, const void *v, size_t v_stride, size_t k, size_t n);

    // C (rows, n) = A (rows, k) B (k, n), or C += A B if `accumulate`; row i of A starts at a[i], row
    // i of C at c + i * c_stride, panel j of B at panels + j * panel_bytes.
    // F32: each value is one chain over k in ascending order, fused multiply-add on every set but C;
    //     with `accumulate` it starts from C, so cutting k changes no bit.
    //     |error| <= (k + 1) u sum |a b|.
    // BF16: the same over pairs, or over blocks of PRODUCT_CUT lanes, at whose multiples k may be cut; subnormal
    //     products may be 0. |error| <= (k + 1) u sum |a b| + k 1e-37.
    // I8: C (+)= (sum a q * scale of A's row) * scale of B's column, the sum exact, each operation rounded;
    //     `lanes` are all of a row's, without its scale and offset.
    // `upcoming` may be NULL; it changes no sum.
    void (*product[FORMATS])(float *c, size_t c_stride, const void *const *a, size_t rows,
                             const void *panels, size_t panel_bytes, size_t n, size_t lanes,
                             bool accumulate, const struct upcoming *upcoming);

    // y (rows, n) <- f(c + bias), or y += c + bias; row i of y starts at y + i *
    // y_bytes, row i of c at c + i * c_stride. Within 2 u of the sum's size and the activation's bound
    // (bf16: then rounded).
    void (*finish)(void *y, size_t y_bytes, const float *c, size_t c_stride, size_t rows, size_t n,
                   const struct finish *finish);

    // One more block of n > 0 logits l_i = scale * s_i of each of some rows, scale > 0: p_i becomes exp(l_i - max)
    // (`subtract`: its negative) in the format (F32: p may be s; BF16: it is elsewhere, and rows are padded to whole
    // lanes with 0). A row's max stays as long as no logit is more than SOFTMAX_SLACK above it, else it becomes the
    // block's largest logit; factors[row] = c = exp(old max - new max), 1 where it stays, is the factor of everything
    // accumulated before; the sum becomes sum * c + the sum of the p_i as written. Row r of p is at p + r * p_bytes,
    // of s at s + r * s_stride; its state is states[r]. Sums are as exact with a max that is somewhat too low as with
    // the largest logit: p is floating point.
    // F32: relative error <= 3e-7 + 2 u |l_i - max| + u |l_i|. BF16: 2^-8 instead of 3e-7. 0 below
    // l_i - max = -87.
    void (*softmax[FORMATS])(void *p, size_t p_bytes, const float *s, size_t s_stride, size_t rows,
                             size_t n, float scale, bool subtract, struct softmax_state *states,
                             float *factors);

    // row_i = h[y[i]] + w[x[i]] for i < n; h has n_h entries, w n_w. EXACT.
    void (*outer_sum_at)(float *row, const float *h, size_t n_h, const float *w, size_t n_w,
                         const uint32_t *y, const uint32_t *x, size_t n);

    // sum over i < n of (a_i - b_i)^2, of encoded rows (int8: a_i is q_i * scale, rounded): differences rounded to f32,
    // squares exact in double, added in 32 partial sums (i mod 32, in ascending order), these pairwise: 16 apart, 8, 4,
    // 2, 1. EXACT. Meanwhile fetches `next`, a row like b that is read soon.
    double (*distance[FORMATS])(const void *a, const void *b, const void *next, size_t n);

    // row_i = h[j / width] + w[j % width] with j = first + i, i < n: a function of a key's two positions as
    // the sum of one of each. EXACT.
    void (*outer_sum)(float *row, const float *h, const float *w, size_t width, size_t first,
                      size_t n);

    // y_i = (x_i - mean) / sqrt(variance + eps) * weight_i + bias_i, mean and (biased) variance over
    // the n values of x. y may be x. |error| <= (n + 16) u max |x - mean| / sqrt(variance + eps) max
    // |weight| + u |y_i|, and far less in practice: sums run in at least 8 partial sums.
    // Meanwhile fetches `next`, n values that are read soon.
    void (*layernorm_f32)(float *y, const float *x, const float *weight, const float *bias,
                          size_t n, float eps, const float *next);

    // y_i += x_i for i < n. EXACT.
    void (*add_f32)(float *y, const float *x, size_t n);

    // In place over n values.
    void (*activation_f32[ACTIVATIONS])(float *x, size_t n);

    // Pillow's resampling: one pass along a row. Output pixel i (3 bytes) is, by channel, clip((2^21 +
    // sum over j < taps[i].n of in[3 (taps[i].first + j)] * weights[i * max_taps + j]) >> 22).
    // EXACT. The sum fits 32 bits for weights that sum to 2^22 up to rounding.
    void (*resize_row_u8)(uint8_t *out, const uint8_t *in, size_t n_out,
                          const struct resize_tap *taps, const int32_t *weights, size_t max_taps);

    // The pass across rows: out[j] = clip((2^21 + sum over i < n of in[i * in_stride + j] *
    // weights[i]) >> 22) for j < bytes. EXACT.
    void (*resize_column_u8)(uint8_t *out, const uint8_t *in, size_t in_stride,
                             const int32_t *weights, size_t n, size_t bytes);

    // sums[c] = sum of |a - b| over channel c of RGB pixels, `rows` rows of `pixels` each. EXACT.
    // rows * pixels <= 2^24.
    void (*difference_rgb_u8)(uint32_t sums[3], const uint8_t *a, size_t a_stride, const uint8_t *b,
                              size_t b_stride, size_t rows, size_t pixels);

    // For each row of A (rows, k) the column of B (k, n), n > 0, with the largest product, the lower one
    // of equals, and that product. B lies in ceil(n / MATCH_PANEL) panels of (k, MATCH_PANEL); what
    // stands in columns past n does not matter. EXACT where the numbers are integers whose products, and
    // sums of any of them, stay below 2^53: no order of summation rounds. With NaN: any column < n.
    void (*match_f64)(double *best, uint32_t *column, const double *a, size_t rows,
                      const double *panels, size_t n, size_t k);
};

// Fills the table for instructions up to `level`, which this CPU must have.
void kernels_init(struct kernels *table, vdt_cpu level);

// One initialiser a file; each overwrites the members it has variants of.
void product_init_c(struct kernels *table);
void encode_init_c(struct kernels *table);
void finish_init_c(struct kernels *table);
void softmax_init_c(struct kernels *table);
void norm_init_c(struct kernels *table);
void pixel_init_c(struct kernels *table);
void distance_init_c(struct kernels *table);
void match_init_c(struct kernels *table);

void product_init_avx2(struct kernels *table);
void encode_init_avx2(struct kernels *table);
void finish_init_avx2(struct kernels *table);
void softmax_init_avx2(struct kernels *table);
void norm_init_avx2(struct kernels *table);
void pixel_init_avx2(struct kernels *table);
void distance_init_avx2(struct kernels *table);
void match_init_avx2(struct kernels *table);

void product_init_avx512(struct kernels *table);
void encode_init_avx512(struct kernels *table);
void finish_init_avx512(struct kernels *table);
void softmax_init_avx512(struct kernels *table);
void norm_init_avx512(struct kernels *table);
void distance_init_avx512(struct kernels *table);
void match_init_avx512(struct kernels *table);

void product_init_avx512vnni(struct kernels *table);
void product_init_avx512bf16(struct kernels *table);
void encode_init_avx512bf16(struct kernels *table);
void finish_init_avx512bf16(struct kernels *table);
void softmax_init_avx512bf16(struct kernels *table);

void product_init_amx(struct kernels *table);

#endif
