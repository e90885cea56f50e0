#include <immintrin.h>
#include <math.h>

#include "kernels/kernels.h"
#include "kernels/x86/lanes_avx2.h"

static void layernorm(float *y, const float *x, const float *weight, const float *bias, size_t n,
                      float eps) {
    const size_t whole = n / 8 * 8;
    const __m256i tail = first_avx2(n - whole);

    __m256 sums = _mm256_maskload_ps(x + whole, tail);
    for (size_t i = 0; i < whole; i += 8) sums = _mm256_add_ps(sums, _mm256_loadu_ps(x + i));
    const __m256 mean = _mm256_set1_ps(sum_avx2(sums) / (float)n);

    const __m256 rest = _mm256_sub_ps(_mm256_maskload_ps(x + whole, tail), mean);
    __m256 squares = _mm256_and_ps(_mm256_mul_ps(rest, rest), _mm256_castsi256_ps(tail));
    for (size_t i = 0; i < whole; i += 8) {
        const __m256 centred = _mm256_sub_ps(_mm256_loadu_ps(x + i), mean);
        squares = _mm256_fmadd_ps(centred, centred, squares);
    }
    const __m256 scale = _mm256_set1_ps(1.0f / sqrtf(sum_avx2(squares) / (float)n + eps));

    for (size_t i = 0; i < whole; i += 8) {
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

static void add(float *y, const float *x, const float *next, size_t n) {
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        _mm_prefetch(next + i, _MM_HINT_T0);
        __builtin_prefetch(y + n + i, 1);
        _mm256_storeu_ps(y + i, _mm256_add_ps(_mm256_loadu_ps(y + i), _mm256_loadu_ps(x + i)));
        _mm256_storeu_ps(y + i + 8,
                         _mm256_add_ps(_mm256_loadu_ps(y + i + 8), _mm256_loadu_ps(x + i + 8)));
    }
    for (; i < n; i++) y[i] += x[i];
}

void norm_init_avx2(struct kernels *table) {
    table->add_f32 = add;
    table->layernorm_f32 = layernorm;
}
