#include <math.h>

#include "kernels/kernels.h"
#include "kernels/x86/lanes_avx2.h"

// Half a panel, two vectors, for four rows: eight sums, two values of B and a broadcast of A.
enum { ROWS = 4, HALF = MATCH_PANEL / 2 };

// A row's sums over columns [first, first + HALF) of which n exist. Few are better than the best so far:
// one comparison rules out the rest.
static void keep_best(double *best, uint32_t *column, const __m256d sums[2], size_t first,
                      size_t n) {
    const __m256d so_far = _mm256_set1_pd(*best);
    const __m256d better = _mm256_or_pd(_mm256_cmp_pd(sums[0], so_far, _CMP_GT_OQ),
                                        _mm256_cmp_pd(sums[1], so_far, _CMP_GT_OQ));
    if (_mm256_testz_pd(better, better)) return;
    double values[HALF];
    _mm256_storeu_pd(values, sums[0]);
    _mm256_storeu_pd(values + 4, sums[1]);
    for (size_t j = 0; j < HALF && j < n; j++) {
        if (!(values[j] > *best)) continue;
        *best = values[j];
        *column = (uint32_t)(first + j);
    }
}

// `rows` is a constant where this is inlined.
static inline __attribute__((always_inline)) void match_rows(double *best, uint32_t *column,
                                                             const double *a, const int rows,
                                                             const double *panels, size_t n,
                                                             size_t k) {
    for (int i = 0; i < rows; i++) {
        best[i] = -INFINITY;
        column[i] = 0;
    }
    for (size_t first = 0; first < n; first += HALF) {
        const double *b = panels + first / MATCH_PANEL * MATCH_PANEL * k + first % MATCH_PANEL;
        __m256d sums[ROWS][2];
#pragma GCC unroll 4
        for (int i = 0; i < rows; i++) sums[i][0] = sums[i][1] = _mm256_setzero_pd();
        for (size_t l = 0; l < k; l++, b += MATCH_PANEL) {
            const __m256d left = _mm256_loadu_pd(b), right = _mm256_loadu_pd(b + 4);
#pragma GCC unroll 4
            for (int i = 0; i < rows; i++) {
                const __m256d factor = _mm256_broadcast_sd(a + (size_t)i * k + l);
                sums[i][0] = _mm256_fmadd_pd(factor, left, sums[i][0]);
                sums[i][1] = _mm256_fmadd_pd(factor, right, sums[i][1]);
            }
        }
        for (int i = 0; i < rows; i++) keep_best(&best[i], &column[i], sums[i], first, n - first);
    }
}

static void match(double *best, uint32_t *column, const double *a, size_t rows,
                  const double *panels, size_t n, size_t k) {
    for (; rows >= ROWS; rows -= ROWS, a += ROWS * k, best += ROWS, column += ROWS)
        match_rows(best, column, a, ROWS, panels, n, k);
    for (; rows > 0; rows--, a += k, best++, column++) match_rows(best, column, a, 1, panels, n, k);
}

void match_init_avx2(struct kernels *table) {
    table->match_f64 = match;
}
