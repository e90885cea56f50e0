// One block of rows of the online softmax, and of logits that depend on two positions; plain C.
#include "kernels/bf16.h"
#include "kernels/exp.h"
#include "kernels/kernels.h"

// Moves the maximum where the block's largest logit is far above it; returns the factor of what came before.
static float move_max(struct softmax_state *state, const float *s, size_t n, float scale) {
    float largest = -INFINITY;
    for (size_t i = 0; i < n; i++) largest = s[i] * scale > largest ? s[i] * scale : largest;
    if (!(largest > state->max + SOFTMAX_SLACK)) return 1.0f;
    const float factor = exp_f32(state->max - largest);
    state->max = largest;
    return factor;
}

static void softmax_f32(void *p, size_t p_bytes, const float *s, size_t s_stride, size_t rows,
                        size_t n, float scale, bool subtract, struct softmax_state *states,
                        float *factors) {
    const float sign = subtract ? -1.0f : 1.0f;
    for (size_t r = 0; r < rows; r++, s += s_stride, states++) {
        float *out = (float *)(void *)((unsigned char *)p + r * p_bytes), sum = 0.0f;
        factors[r] = move_max(states, s, n, scale);
        for (size_t i = 0; i < n; i++) {
            out[i] = sign * exp_f32(s[i] * scale - states->max);
            sum += out[i];
        }
        states->sum = states->sum * factors[r] + sum;
    }
}

static void softmax_bf16(void *p, size_t p_bytes, const float *s, size_t s_stride, size_t rows,
                         size_t n, float scale, bool subtract, struct softmax_state *states,
                         float *factors) {
    const float sign = subtract ? -1.0f : 1.0f;
    for (size_t r = 0; r < rows; r++, s += s_stride, states++) {
        uint16_t *out = (uint16_t *)(void *)((unsigned char *)p + r * p_bytes);
        float sum = 0.0f;
        factors[r] = move_max(states, s, n, scale);
        for (size_t i = 0; i < n; i++) {
            out[i] = bf16_from_f32(sign * exp_f32(s[i] * scale - states->max));
            sum += bf16_to_f32(out[i]);
        }
        if (n % 2) out[n] = 0;
        states->sum = states->sum * factors[r] + sum;
    }
}

static void outer_sum_at(float *row, const float *h, size_t n_h, const float *w, size_t n_w,
                         const uint32_t *y, const uint32_t *x, size_t n) {
    (void)n_h;
    (void)n_w;
    for (size_t i = 0; i < n; i++) row[i] = h[y[i]] + w[x[i]];
}

static void outer_sum(float *row, const float *h, const float *w, size_t width, size_t first,
                      size_t n) {
    for (size_t i = 0; i < n; i++) row[i] = h[(first + i) / width] + w[(first + i) % width];
}

void softmax_init_c(struct kernels *table) {
    table->softmax[FORMAT_F32] = softmax_f32;
    table->softmax[FORMAT_BF16] = softmax_bf16;
    table->outer_sum = outer_sum;
    table->outer_sum_at = outer_sum_at;
    table->softmax[FORMAT_I8] = NULL; // weights of attention are never int8
}
