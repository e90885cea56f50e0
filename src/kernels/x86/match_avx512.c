#include <immintrin.h>
#include <math.h>

#include "kernels/kernels.h"

// A panel is two vectors; for twelve rows that is 24 sums, two values of B and broadcasts of A.
enum { ROWS = 12 };

// A row's sums over columns [first, first + MATCH_PANEL) of which n exist. Few are better than the best so
// far: one comparison rules out the rest.
static void keep_best(double *best, uint32_t *column, __m512d left, __m512d right, size_t first,
                      size_t n) {
    const __m512d so_far = _mm512_set1_pd(*best);
    if (!(_mm512_cmp_pd_mask(left, so_far, _CMP_GT_OQ) |
          _mm512_cmp_pd_mask(right, so_far, _CMP_GT_OQ)))
        return;
    double values[MATCH_PANEL];
    _mm512_storeu_pd(values, left);
    _mm512_storeu_pd(values + 8, right);
    for (size_t j = 0; j < MATCH_PANEL && j < n; j++) {
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
    const double *b = panels;
    for (int i = 0; i < rows; i++) {
        best[i] = -INFINITY;
        column[i] = 0;
    }
    for (size_t first = 0; first < n; first += MATCH_PANEL) {
        __m512d sums[ROWS][2];
#pragma GCC unroll 12
        for (int i = 0; i < rows; i++) sums[i][0] = sums[i][1] = _mm512_setzero_pd();
        for (size_t l = 0; l < k; l++, b += MATCH_PANEL) {
            const __m512d left = _mm512_loadu_pd(b), right = _mm512_loadu_pd(b + 8);
#pragma GCC unroll 12
            for (int i = 0; i < rows; i++) {
                const __m512d factor = _mm512_set1_pd(a[(size_t)i * k + l]);
                sums[i][0] = _mm512_fmadd_pd(factor, left, sums[i][0]);
                sums[i][1] = _mm512_fmadd_pd(factor, right, sums[i][1]);
            }
        }
#pragma GCC unroll 12
        for (int i = 0; i < rows; i++)
            keep_best(&best[i], &column[i], sums[i][0], sums[i][1], first, n - first);
    }
}

static void match(double *best, uint32_t *column, const double *a, size_t rows,
                  const double *panels, size_t n, size_t k) {
    for (; rows >= ROWS; rows -= ROWS, a += ROWS * k, best += ROWS, column += ROWS)
        match_rows(best, column, a, ROWS, panels, n, k);
    for (; rows >= 4; rows -= 4, a += 4 * k, best += 4, column += 4)
        match_rows(best, column, a, 4, panels, n, k);
    for (; rows > 0; rows--, a += k, best++, column++) match_rows(best, column, a, 1, panels, n, k);
}

void match_init_avx512(struct kernels *table) {
    table->match_f64 = match;
}
