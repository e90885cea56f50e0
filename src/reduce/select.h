// The k largest of n keys, for whatever selects by score: one total order, in O(n).
#ifndef VIDETTE_REDUCE_SELECT_H
#define VIDETTE_REDUCE_SELECT_H

#include <stddef.h>
#include <stdint.h>

// The k-th largest of n keys, k <= n, and how many of those equal to it belong to the k. UINT64_MAX and 0
// where k is 0.
uint64_t select_cut(const uint64_t *keys, size_t n, size_t k, size_t *equals);

// chosen[i] = 1 for the k <= n largest keys, ties to the lower index, else 0.
void select_largest(uint8_t *chosen, const uint64_t *keys, size_t n, size_t k);

// A key that orders numbers as they are ordered (no NaN; -0 below +0).
uint64_t select_key(double value);

#endif
