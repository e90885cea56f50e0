#include "kernels/x86/finish_avx512.h"

INLINED void activate_row(float *x, size_t n, const enum activation activation) {
    for (size_t i = 0; i < n; i += 16) {
        const __mmask16 there = first_avx512(n - i);
        _mm512_mask_storeu_ps(x + i, there,
                              activate(_mm512_maskz_loadu_ps(there, x + i), activation));
    }
}

static void gelu(float *x, size_t n) {
    activate_row(x, n, ACTIVATION_GELU);
}

static void gelu_tanh(float *x, size_t n) {
    activate_row(x, n, ACTIVATION_GELU_TANH);
}

static void gelu_quick(float *x, size_t n) {
    activate_row(x, n, ACTIVATION_GELU_QUICK);
}

static void silu(float *x, size_t n) {
    activate_row(x, n, ACTIVATION_SILU);
}

void finish_init_avx512(struct kernels *table) {
    table->finish = finish_avx512;
    table->activation_f32[ACTIVATION_GELU] = gelu;
    table->activation_f32[ACTIVATION_GELU_TANH] = gelu_tanh;
    table->activation_f32[ACTIVATION_GELU_QUICK] = gelu_quick;
    table->activation_f32[ACTIVATION_SILU] = silu;
}
