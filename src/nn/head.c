#include "nn/head.h"

#include <math.h>
#include <string.h>

#include "core/checked.h"

void head_mean(float *out, const float *x, size_t n, size_t d) {
    enum { COLUMNS = 64 };
    for (size_t first = 0; first < d; first += COLUMNS) {
        const size_t width = min_size(COLUMNS, d - first);
        double sums[COLUMNS] = {0};
        for (size_t i = 0; i < n; i++) {
            for (size_t j = 0; j < width; j++) sums[j] += x[i * d + first + j];
        }
        for (size_t j = 0; j < width; j++) out[first + j] = (float)(sums[j] / (double)n);
    }
}

void head_map(float *out, const float *x, size_t n, size_t d) {
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < d; j++) out[j * n + i] = x[i * d + j];
    }
}

void attention_pool_forward(struct exec *exec, const struct attention_pool *pool, float *out,
                            const float *x, float *kv, float *panels, float *small,
                            const size_t *starts, const size_t *queries, size_t n_sequences,
                            size_t heads) {
    const size_t d_model = gemm_k(pool->kv), d = d_model / heads, n = n_sequences;
    float *q = small, *mixed = q + n * d_model, *normal = mixed + n * d_model,
          *hidden = normal + n * d_model;
    const struct attention_shape shape = {.n_sequences = n,
                                          .q_starts = queries,
                                          .k_starts = starts,
                                          .heads = heads,
                                          .d = d,
                                          .scale = (float)(1.0 / sqrt((double)d))};
    const struct gemm_epilogue overwrite = {.activation = ACTIVATION_NONE};
    for (size_t i = 0; i < n; i++) memcpy(q + i * d_model, pool->q, d_model * sizeof *q);
    ops_linear(exec, pool->kv, kv, 2 * d_model, x, d_model, starts[n], overwrite);
    ops_attention(exec, mixed, d_model, q, d_model, kv, 2 * d_model, kv + d_model, 2 * d_model,
                  &shape, panels);
    ops_linear(exec, pool->proj, out, d_model, mixed, d_model, n, overwrite);
    layernorm_forward(exec, &pool->norm, normal, out, n, d_model);
    mlp_forward(exec, &pool->mlp, out, normal, hidden, n);
}
