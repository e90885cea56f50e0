#include "reduce/policy.h"

#include <string.h>

#include "core/checked.h"
#include "reduce/select.h"

// What a token is ranked by: 0 does not count, then errors in their order (the bits of doubles >= 0 are
// ordered as they are), then tokens that have waited too long, by how long.
static uint64_t key_of(const struct policy *policy, double square, uint32_t waited) {
    const uint64_t late = 1ull << 63, infinite = 0x7ff0000000000000u;
    const double least = policy->kind == POLICY_THRESHOLD && policy->threshold > policy->floor
                             ? policy->threshold
                             : policy->floor;
    if (square <= least * least) return 0;
    if (policy->max_wait > 0 && waited >= policy->max_wait) return late | waited;
    if (square != square) return infinite + 1;
    uint64_t bits;
    memcpy(&bits, &square, sizeof bits);
    return bits;
}

static size_t most_of(const struct policy *policy, size_t n) {
    switch (policy->kind) {
    case POLICY_TOP: return min_size(policy->r, n);
    case POLICY_ALL:
    case POLICY_THRESHOLD: break;
    }
    return n;
}

static size_t select_all(uint32_t *index, uint32_t *waited, size_t n) {
    for (size_t i = 0; i < n; i++) index[i] = (uint32_t)i;
    memset(waited, 0, n * sizeof *waited);
    return n;
}

size_t policy_select(const struct policy *policy, uint32_t *index, const double *squares,
                     uint32_t *waited, uint64_t *keys, size_t n, bool *pending) {
    *pending = false;
    if (policy->kind == POLICY_ALL) return select_all(index, waited, n);
    const size_t most = most_of(policy, n);
    size_t candidates = 0, picked = 0;
    for (size_t i = 0; i < n; i++) {
        keys[i] = key_of(policy, squares[i], waited[i]);
        candidates += keys[i] > 0;
    }
    uint64_t cut = 1; // everything that counts
    size_t equals = n;
    if (candidates > most) cut = select_cut(keys, n, most, &equals);
    for (size_t i = 0; i < n; i++) {
        const bool equal = keys[i] == cut && equals > 0, taken = keys[i] > cut || equal;
        const bool passed_over = keys[i] > 0 && !taken;
        equals -= equal;
        if (taken) index[picked++] = (uint32_t)i;
        if (passed_over) *pending = true;
        waited[i] = passed_over ? waited[i] + (waited[i] < UINT32_MAX) : 0;
    }
    return picked;
}
