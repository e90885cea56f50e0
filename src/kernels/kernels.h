// The kernel table: the leaf functions that have variants for several instruction sets.
//
// A member's comment is its contract, for every variant. kernels_init fills the table with plain C,
// then each instruction set up to `level` puts its own functions over it. Plain C is always there,
// is written to be read, and is not the truth: tests compare each variant, C included, with double
// precision or exact integers.
//
// All kernels: pointers need no alignment beyond the element's; inputs and outputs do not overlap
// unless said so; nothing is read or written outside the sizes given; sizes may be 0. A row's
// result depends on that row only, never on how many rows the call has, so that work can be cut
// anywhere. Bounds below are for finite inputs; u = 2^-24.
#ifndef VIDETTE_KERNELS_KERNELS_H
#define VIDETTE_KERNELS_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vidette/vidette.h>

// Activations, in place over n values. Sources: Hendrycks & Gimpel 2016 (GELU), Elfwing et al. 2017
// (SiLU).
enum activation {
    ACTIVATION_GELU,      // x Phi(x) by the error function;  |error| <= 4e-7 |x| + 1e-12
    ACTIVATION_GELU_TANH, // x / (1 + exp(-2 sqrt(2/pi) (x + 0.044715 x^3)));  |error| <= 1e-6 |x| +
                          // 1e-12
    ACTIVATION_GELU_QUICK, // x / (1 + exp(-1.702 x));  |error| <= 1e-6 |x| + 1e-12
    ACTIVATION_SILU,       // x / (1 + exp(-x));  |error| <= 1e-6 |x| + 1e-12
    ACTIVATIONS,
    ACTIVATION_NONE = ACTIVATIONS,
};

// A row's running statistics in the online softmax (Milakov & Gimelshein 2018): the largest logit
// so far and the sum of exp(logit - max). Starts as {-INFINITY, 0}.
struct softmax_state {
    float max, sum;
};

// The input pixels that one output pixel reads.
struct resize_tap {
    uint32_t first, n;
};

struct kernels {
    const char *name; // of the highest instruction set in the table

    // Columns of a panel. A matrix B (k, n) lies in ceil(n / panel) panels, one after the other,
    // each k x panel with the row index outermost; columns past n hold zeros.
    //
    //     B (k, n)   |----panel----|----panel----|--n|      memory   [k][panel] [k][panel]
    //     [k][panel: .. 0 0]
    size_t panel;

    // panels <- W^T for W (n, k), row i at w + i * w_stride. Writes ceil(n / panel) * k * panel
    // values.
    void (*pack_rows_f32)(float *panels, const float *w, size_t w_stride, size_t n, size_t k);

    // panels <- V (k, n), row i at v + i * v_stride. Writes ceil(n / panel) * k * panel values.
    void (*pack_columns_f32)(float *panels, const float *v, size_t v_stride, size_t k, size_t n);

    // C (rows, n) = A (rows, k) B (k, n), or C += A B if `accumulate`; row i of A starts at a[i],
    // row i of C at c + i * c_stride, panel j of B at panels + j * panel_stride. Each value is one
    // chain over k in ascending order, fused multiply-add on every set but C; with `accumulate` the
    // chain starts from C, so cutting k changes no bit. |error| <= (k + 1) u sum |a b|.
    void (*product_f32)(float *c, size_t c_stride, const float *const *a, size_t rows,
                        const float *panels, size_t panel_stride, size_t n, size_t k,
                        bool accumulate);

    // One more block of n > 0 logits l_i = scale * s_i of a row: state->max grows to cover them,
    // s_i becomes exp(l_i - max), state->sum becomes sum * c + the sum of the s_i; returns c =
    // exp(old max - new max), the factor of everything that was accumulated with the old one. exp
    // has a relative error <= 2e-7 (+ u |l_i - max| for the argument's rounding) and gives 0 below
    // -87.
    float (*softmax_f32)(float *s, size_t n, float scale, struct softmax_state *state);

    // y_i = (x_i - mean) / sqrt(variance + eps) * weight_i + bias_i, mean and (biased) variance
    // over the n values of x. y may be x. |error| <= (n + 16) u max |x - mean| / sqrt(variance +
    // eps) max |weight| + u |y_i|, and far less in practice: sums run in at least 8 partial sums.
    void (*layernorm_f32)(float *y, const float *x, const float *weight, const float *bias,
                          size_t n, float eps);

    void (*activation_f32[ACTIVATIONS])(float *x, size_t n);

    // Pillow's resampling (models.md): one pass along a row. Output pixel i (3 bytes) is, by
    // channel,
    //     clip((2^21 + sum over j < taps[i].n of in[3 (taps[i].first + j)] * weights[i * max_taps +
    //     j]) >> 22).
    // EXACT on every set. The sum fits 32 bits for weights that sum to 2^22 up to rounding.
    void (*resize_row_u8)(uint8_t *out, const uint8_t *in, size_t n_out,
                          const struct resize_tap *taps, const int32_t *weights, size_t max_taps);

    // The pass across rows: out[j] = clip((2^21 + sum over i < n of in[i * in_stride + j] *
    // weights[i]) >> 22) for j < bytes. EXACT on every set.
    void (*resize_column_u8)(uint8_t *out, const uint8_t *in, size_t in_stride,
                             const int32_t *weights, size_t n, size_t bytes);
};

// Fills the table for instructions up to `level`, which this CPU must have.
void kernels_init(struct kernels *table, vdt_cpu level);

// One initialiser a file; each overwrites the members it has variants of.
void product_init_c(struct kernels *table);
void softmax_init_c(struct kernels *table);
void norm_init_c(struct kernels *table);
void act_init_c(struct kernels *table);
void pixel_init_c(struct kernels *table);

void product_init_avx2(struct kernels *table);
void softmax_init_avx2(struct kernels *table);
void norm_init_avx2(struct kernels *table);
void act_init_avx2(struct kernels *table);
void pixel_init_avx2(struct kernels *table);

void product_init_avx512(struct kernels *table);
void softmax_init_avx512(struct kernels *table);
void norm_init_avx512(struct kernels *table);
void act_init_avx512(struct kernels *table);

#endif
