#include "nn/head.h"

#include <string.h>

#include "core/checked.h"

void head_mean(float *out, const float *x, const float *weights, size_t n, size_t d) {
    enum { COLUMNS = 64 };
    double total = weights ? 0.0 : (double)n;
    for (size_t i = 0; weights && i < n; i++) total += (double)weights[i];
    for (size_t first = 0; first < d; first += COLUMNS) {
        const size_t width = min_size(COLUMNS, d - first);
        double sums[COLUMNS] = {0};
        for (size_t i = 0; i < n; i++) {
            const double weight = weights ? (double)weights[i] : 1.0;
            for (size_t j = 0; j < width; j++) sums[j] += weight * (double)x[i * d + first + j];
        }
        for (size_t j = 0; j < width; j++) out[first + j] = (float)(sums[j] / total);
    }
}

void head_map(float *out, const float *x, const uint32_t *source, size_t n, size_t d) {
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < d; j++) out[j * n + i] = x[source[i] * d + j];
    }
}

void attention_pool_forward(struct exec *exec, const struct attention_pool *pool, float *out,
                            float *x, float *kv, void *panels, float *small, const size_t *starts,
                            const size_t *queries, size_t n_sequences, size_t heads,
                            const float *key_bias) {
    const size_t d_model = gemm_k(pool->kv), d = d_model / heads, n = n_sequences;
    float *q = small, *mixed = q + n * d_model;
    const struct attention_shape shape = {.n_sequences = n,
                                          .q_starts = queries,
                                          .k_starts = starts,
                                          .heads = heads,
                                          .d = d,
                                          .scale = attention_scale(d),
                                          .key_bias = key_bias};
    for (size_t i = 0; i < n; i++) memcpy(q + i * d_model, pool->q, d_model * sizeof *q);
    const struct rows keys = rows_f32(kv, 2 * d_model);
    const struct rows values = rows_columns(keys, d_model);
    ops_linear(exec, pool->kv, keys, rows_f32(x, d_model), starts[n], NULL, GEMM_PLAIN);
    ops_attention(exec, rows_f32(mixed, d_model), rows_f32(q, d_model), keys, values, &shape,
                  panels);
    ops_linear(exec, pool->proj, rows_f32(out, d_model), rows_f32(mixed, d_model), n, NULL,
               GEMM_PLAIN);
    ops_mlp(exec, &pool->mlp, &pool->norm, rows_f32(out, d_model), n);
}
