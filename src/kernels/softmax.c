// One block of a row of the online softmax, plain C.
#include "kernels/exp.h"
#include "kernels/kernels.h"

static float softmax(float *s, size_t n, float scale, struct softmax_state *state) {
    float max = state->max;
    for (size_t i = 0; i < n; i++) {
        s[i] *= scale;
        if (s[i] > max) max = s[i];
    }
    float sum = 0.0f;
    for (size_t i = 0; i < n; i++) {
        s[i] = exp_f32(s[i] - max);
        sum += s[i];
    }
    const float correction = exp_f32(state->max - max);
    state->sum = state->sum * correction + sum;
    state->max = max;
    return correction;
}

void softmax_init_c(struct kernels *table) {
    table->softmax_f32 = softmax;
}
