#include <immintrin.h>
#include <math.h>

#include "kernels/kernels.h"
#include "kernels/x86/lanes_avx2.h"

// An addition waits for the one before it: four chains of them keep the units busy.
enum { CHAINS = 4 };

static float total(const __m256 sums[CHAINS]) {
    return sum_avx2(
        _mm256_add_ps(_mm256_add_ps(sums[0], sums[1]), _mm256_add_ps(sums[2], sums[3])));
}

static float sum(const float *x, size_t n) {
    const size_t whole = n / 8 * 8;
    __m256 sums[CHAINS] = {_mm256_maskload_ps(x + whole, first_avx2(n - whole))};
    size_t i = 0;
    for (; i + 8 * CHAINS <= whole; i += 8 * CHAINS) {
#pragma GCC unroll 4
        for (size_t c = 0; c < CHAINS; c++)
            sums[c] = _mm256_add_ps(sums[c], _mm256_loadu_ps(x + i + 8 * c));
    }
    for (; i < whole; i += 8) sums[0] = _mm256_add_ps(sums[0], _mm256_loadu_ps(x + i));
    return total(sums);
}

static inline __m256 add_square(__m256 sums, __m256 x, __m256 mean) {
    const __m256 centred = _mm256_sub_ps(x, mean);
    return _mm256_fmadd_ps(centred, centred, sums);
}

static float sum_of_squares(const float *x, size_t n, __m256 mean) {
    const size_t whole = n / 8 * 8;
    const __m256i tail = first_avx2(n - whole);
    const __m256 rest = _mm256_sub_ps(_mm256_maskload_ps(x + whole, tail), mean);
    __m256 sums[CHAINS] = {_mm256_and_ps(_mm256_mul_ps(rest, rest), _mm256_castsi256_ps(tail))};
    size_t i = 0;
    for (; i + 8 * CHAINS <= whole; i += 8 * CHAINS) {
#pragma GCC unroll 4
        for (size_t c = 0; c < CHAINS; c++)
            sums[c] = add_square(sums[c], _mm256_loadu_ps(x + i + 8 * c), mean);
    }
    for (; i < whole; i += 8) sums[0] = add_square(sums[0], _mm256_loadu_ps(x + i), mean);
    return total(sums);
}

static void layernorm(float *y, const float *x, const float *weight, const float *bias, size_t n,
                      float eps, const float *next) {
    const size_t whole = n / 8 * 8;
    const __m256i tail = first_avx2(n - whole);
    const __m256 mean = _mm256_set1_ps(sum(x, n) / (float)n);
    const __m256 scale = _mm256_set1_ps(1.0f / sqrtf(sum_of_squares(x, n, mean) / (float)n + eps));
    for (size_t i = 0; i < whole; i += 8) {
        if (i % 16 == 0) _mm_prefetch(next + i, _MM_HINT_T0);
        const __m256 normal = _mm256_mul_ps(_mm256_sub_ps(_mm256_loadu_ps(x + i), mean), scale);
        _mm256_storeu_ps(
            y + i, _mm256_fmadd_ps(normal, _mm256_loadu_ps(weight + i), _mm256_loadu_ps(bias + i)));
    }
    if (whole < n) {
        const __m256 normal =
            _mm256_mul_ps(_mm256_sub_ps(_mm256_maskload_ps(x + whole, tail), mean), scale);
        const __m256 out = _mm256_fmadd_ps(normal, _mm256_maskload_ps(weight + whole, tail),
                                           _mm256_maskload_ps(bias + whole, tail));
        _mm256_maskstore_ps(y + whole, tail, out);
    }
}

static void add(float *y, const float *x, size_t n) {
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i, _mm256_add_ps(_mm256_loadu_ps(y + i), _mm256_loadu_ps(x + i)));
    for (; i < n; i++) y[i] += x[i];
}

void norm_init_avx2(struct kernels *table) {
    table->add_f32 = add;
    table->layernorm_f32 = layernorm;
}
