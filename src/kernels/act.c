// Activations, plain C.
#include "kernels/act.h"
#include "kernels/exp.h"
#include "kernels/kernels.h"

static float erf_f32(float x) {
    const float c = x < -ERF_LIMIT ? -ERF_LIMIT : x > ERF_LIMIT ? ERF_LIMIT : x;
    const float u = c * c;
    const float p = ((((ERF_P5 * u + ERF_P4) * u + ERF_P3) * u + ERF_P2) * u + ERF_P1) * u + ERF_P0;
    const float q = ((((ERF_Q5 * u + ERF_Q4) * u + ERF_Q3) * u + ERF_Q2) * u + ERF_Q1) * u + ERF_Q0;
    return c * p / q;
}

// x / (1 + exp(-t))
static float gated_f32(float x, float t) {
    return x / (1.0f + exp_f32(-t));
}

static void gelu(float *x, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] = 0.5f * x[i] * (1.0f + erf_f32(x[i] * SQRT_HALF));
}

static void gelu_tanh(float *x, size_t n) {
    for (size_t i = 0; i < n; i++) {
        x[i] = gated_f32(x[i], GELU_TANH_LINEAR * x[i] * (1.0f + GELU_TANH_CUBIC * x[i] * x[i]));
    }
}

static void gelu_quick(float *x, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] = gated_f32(x[i], GELU_QUICK_SLOPE * x[i]);
}

static void silu(float *x, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] = gated_f32(x[i], x[i]);
}

void act_init_c(struct kernels *table) {
    table->activation_f32[ACTIVATION_GELU] = gelu;
    table->activation_f32[ACTIVATION_GELU_TANH] = gelu_tanh;
    table->activation_f32[ACTIVATION_GELU_QUICK] = gelu_quick;
    table->activation_f32[ACTIVATION_SILU] = silu;
}
