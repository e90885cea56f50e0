// Which column of a matrix fits a row best, plain C.
#include <math.h>

#include "kernels/kernels.h"

static void match(double *best, uint32_t *column, const double *a, size_t rows,
                  const double *panels, size_t n, size_t k) {
    for (size_t i = 0; i < rows; i++, a += k) {
        best[i] = -INFINITY;
        column[i] = 0;
        for (size_t first = 0; first < n; first += MATCH_PANEL) {
            const double *panel = panels + first * k;
            double sums[MATCH_PANEL] = {0};
            for (size_t l = 0; l < k; l++, panel += MATCH_PANEL) {
                for (size_t j = 0; j < MATCH_PANEL; j++) sums[j] += a[l] * panel[j];
            }
            for (size_t j = 0; j < MATCH_PANEL && first + j < n; j++) {
                if (!(sums[j] > best[i])) continue;
                best[i] = sums[j];
                column[i] = (uint32_t)(first + j);
            }
        }
    }
}

void match_init_c(struct kernels *table) {
    table->match_f64 = match;
}
