// What follows a product, and activations alone, plain C.
#include <string.h>

#include "kernels/act.h"
#include "kernels/bf16.h"
#include "kernels/exp.h"
#include "kernels/kernels.h"

/* ---- activations --------------------------------------------------------------------------- */

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

static float activate(float x, enum activation activation) {
    switch (activation) {
    case ACTIVATION_GELU: return 0.5f * x * (1.0f + erf_f32(x * SQRT_HALF));
    case ACTIVATION_GELU_TANH:
        return gated_f32(x, GELU_TANH_LINEAR * x * (1.0f + GELU_TANH_CUBIC * x * x));
    case ACTIVATION_GELU_QUICK: return gated_f32(x, GELU_QUICK_SLOPE * x);
    case ACTIVATION_SILU: return gated_f32(x, x);
    case ACTIVATION_NONE: return x;
    }
    return x;
}

static void gelu(float *x, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] = activate(x[i], ACTIVATION_GELU);
}

static void gelu_tanh(float *x, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] = activate(x[i], ACTIVATION_GELU_TANH);
}

static void gelu_quick(float *x, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] = activate(x[i], ACTIVATION_GELU_QUICK);
}

static void silu(float *x, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] = activate(x[i], ACTIVATION_SILU);
}

/* ---- finish -------------------------------------------------------------------------------- */

static void finish(void *y, size_t y_bytes, const float *c, size_t c_stride, size_t rows, size_t n,
                   const struct finish *f) {
    for (size_t i = 0; i < rows; i++, c += c_stride) {
        void *row = (unsigned char *)y + i * y_bytes;
        for (size_t j = 0; j < n; j++) {
            const float sum = c[j] + f->bias[j];
            const float value = activate(sum, f->activation);
            if (f->format == FORMAT_BF16)
                ((uint16_t *)row)[j] = bf16_from_f32(value);
            else
                ((float *)row)[j] = f->accumulate ? ((float *)row)[j] + value : value;
        }
    }
}

void finish_init_c(struct kernels *table) {
    table->finish = finish;
    table->activation_f32[ACTIVATION_GELU] = gelu;
    table->activation_f32[ACTIVATION_GELU_TANH] = gelu_tanh;
    table->activation_f32[ACTIVATION_GELU_QUICK] = gelu_quick;
    table->activation_f32[ACTIVATION_SILU] = silu;
}
