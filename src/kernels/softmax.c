// One block of a row of the online softmax, and of logits that depend on two positions; plain C.
#include "kernels/bf16.h"
#include "kernels/exp.h"
#include "kernels/kernels.h"

// Lets the maximum grow over the block's logits; returns the factor of what came before.
static float grow_max(struct softmax_state *state, const float *s, size_t n, float scale) {
    float max = state->max;
    for (size_t i = 0; i < n; i++) max = s[i] * scale > max ? s[i] * scale : max;
    const float correction = exp_f32(state->max - max);
    state->max = max;
    return correction;
}

static float softmax_f32(void *p, const float *s, size_t n, float scale,
                         struct softmax_state *state) {
    float *out = p;
    const float correction = grow_max(state, s, n, scale);
    float sum = 0.0f;
    for (size_t i = 0; i < n; i++) {
        out[i] = exp_f32(s[i] * scale - state->max);
        sum += out[i];
    }
    state->sum = state->sum * correction + sum;
    return correction;
}

static float softmax_bf16(void *p, const float *s, size_t n, float scale,
                          struct softmax_state *state) {
    uint16_t *out = p;
    const float correction = grow_max(state, s, n, scale);
    float sum = 0.0f;
    for (size_t i = 0; i < n; i++) {
        out[i] = bf16_from_f32(exp_f32(s[i] * scale - state->max));
        sum += bf16_to_f32(out[i]);
    }
    if (n % 2) out[n] = 0;
    state->sum = state->sum * correction + sum;
    return correction;
}

static void outer_sum(float *row, const float *h, const float *w, size_t width, size_t first,
                      size_t n) {
    for (size_t i = 0; i < n; i++) row[i] = h[(first + i) / width] + w[(first + i) % width];
}

void softmax_init_c(struct kernels *table) {
    table->softmax[FORMAT_F32] = softmax_f32;
    table->softmax[FORMAT_BF16] = softmax_bf16;
    table->outer_sum = outer_sum;
    table->softmax[FORMAT_I8] = NULL; // attention runs in bf16 there
}
