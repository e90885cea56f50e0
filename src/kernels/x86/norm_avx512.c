#include <math.h>

#include "kernels/kernels.h"
#include "kernels/x86/lanes_avx512.h"

// An addition waits for the one before it: four chains of them keep the units busy.
enum { CHAINS = 4 };

static float total(const __m512 sums[CHAINS]) {
    return _mm512_reduce_add_ps(
        _mm512_add_ps(_mm512_add_ps(sums[0], sums[1]), _mm512_add_ps(sums[2], sums[3])));
}

static float sum(const float *x, size_t n) {
    __m512 sums[CHAINS] = {0};
    size_t i = 0;
    for (; i + 16 * CHAINS <= n; i += 16 * CHAINS) {
#pragma GCC unroll 4
        for (size_t c = 0; c < CHAINS; c++)
            sums[c] = _mm512_add_ps(sums[c], _mm512_loadu_ps(x + i + 16 * c));
    }
    for (; i < n; i += 16)
        sums[0] = _mm512_add_ps(sums[0], _mm512_maskz_loadu_ps(first_avx512(n - i), x + i));
    return total(sums);
}

static float sum_of_squares(const float *x, size_t n, __m512 mean) {
    __m512 sums[CHAINS] = {0};
    size_t i = 0;
    for (; i + 16 * CHAINS <= n; i += 16 * CHAINS) {
#pragma GCC unroll 4
        for (size_t c = 0; c < CHAINS; c++) {
            const __m512 centred = _mm512_sub_ps(_mm512_loadu_ps(x + i + 16 * c), mean);
            sums[c] = _mm512_fmadd_ps(centred, centred, sums[c]);
        }
    }
    for (; i < n; i += 16) {
        const __mmask16 there = first_avx512(n - i);
        const __m512 centred =
            _mm512_maskz_sub_ps(there, _mm512_maskz_loadu_ps(there, x + i), mean);
        sums[0] = _mm512_fmadd_ps(centred, centred, sums[0]);
    }
    return total(sums);
}

static void layernorm(float *y, const float *x, const float *weight, const float *bias, size_t n,
                      float eps, const float *next) {
    const __m512 mean = _mm512_set1_ps(sum(x, n) / (float)n);
    const __m512 scale = _mm512_set1_ps(1.0f / sqrtf(sum_of_squares(x, n, mean) / (float)n + eps));
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        _mm_prefetch(next + i, _MM_HINT_T0);
        const __m512 normal = _mm512_mul_ps(_mm512_sub_ps(_mm512_loadu_ps(x + i), mean), scale);
        _mm512_storeu_ps(
            y + i, _mm512_fmadd_ps(normal, _mm512_loadu_ps(weight + i), _mm512_loadu_ps(bias + i)));
    }
    if (i < n) {
        const __mmask16 there = first_avx512(n - i);
        const __m512 centred = _mm512_sub_ps(_mm512_maskz_loadu_ps(there, x + i), mean);
        const __m512 normal = _mm512_mul_ps(centred, scale);
        const __m512 out = _mm512_fmadd_ps(normal, _mm512_maskz_loadu_ps(there, weight + i),
                                           _mm512_maskz_loadu_ps(there, bias + i));
        _mm512_mask_storeu_ps(y + i, there, out);
    }
}

static void add(float *y, const float *x, size_t n) {
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        _mm512_storeu_ps(y + i, _mm512_add_ps(_mm512_loadu_ps(y + i), _mm512_loadu_ps(x + i)));
    if (i < n) {
        const __mmask16 there = first_avx512(n - i);
        const __m512 sum =
            _mm512_add_ps(_mm512_maskz_loadu_ps(there, y + i), _mm512_maskz_loadu_ps(there, x + i));
        _mm512_mask_storeu_ps(y + i, there, sum);
    }
}

void norm_init_avx512(struct kernels *table) {
    table->add_f32 = add;
    table->layernorm_f32 = layernorm;
}
