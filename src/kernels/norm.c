// What happens to a row of the residual stream: sums, and LayerNorm (Ba et al. 2016); plain C.
#include <math.h>

#include "kernels/kernels.h"

enum { PARTIAL_SUMS = 16 };

static float total(const float sums[PARTIAL_SUMS]) {
    float sum = 0.0f;
    for (size_t j = 0; j < PARTIAL_SUMS; j++) sum += sums[j];
    return sum;
}

static void layernorm(float *y, const float *x, const float *weight, const float *bias, size_t n,
                      float eps, const float *next) {
    (void)next;
    float sums[PARTIAL_SUMS] = {0};
    for (size_t i = 0; i < n; i++) sums[i % PARTIAL_SUMS] += x[i];
    const float mean = total(sums) / (float)n;
    float squares[PARTIAL_SUMS] = {0};
    for (size_t i = 0; i < n; i++) squares[i % PARTIAL_SUMS] += (x[i] - mean) * (x[i] - mean);
    const float scale = 1.0f / sqrtf(total(squares) / (float)n + eps);
    for (size_t i = 0; i < n; i++) y[i] = (x[i] - mean) * scale * weight[i] + bias[i];
}

static void add(float *y, const float *x, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] += x[i];
}

void norm_init_c(struct kernels *table) {
    table->add_f32 = add;
    table->layernorm_f32 = layernorm;
}
