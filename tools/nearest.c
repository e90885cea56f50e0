#include "nearest.h"

#include <string.h>

// Edit distance (Levenshtein 1966) of words up to 31 letters.
static size_t distance(const char *a, const char *b) {
    enum { MAX = 32 };
    size_t row[MAX];
    const size_t n = strlen(a), m = strlen(b);
    if (n >= MAX || m >= MAX) return MAX;
    for (size_t j = 0; j <= m; j++) row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            const size_t above = row[j];
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            if (above + 1 < best) best = above + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            row[j] = best;
            diagonal = above;
        }
    }
    return row[m];
}

const char *nearest_name(const char *word, const char *const *names) {
    const char *best = NULL;
    size_t nearest = strlen(word) / 2 + 1; // farther is no help
    for (; *names; names++) {
        const size_t d = distance(word, *names);
        if (d < nearest) {
            nearest = d;
            best = *names;
        }
    }
    return best;
}
