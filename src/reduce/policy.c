#include "reduce/policy.h"

#include <string.h>

#include "core/checked.h"

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

// The r-th largest of the keys above 0 and how many of its equals belong to the r; r is at most their number.
// Byte by byte from the top: a histogram of the keys that agree so far says where the r-th lies.
static uint64_t find_cut(const struct policy *policy, const double *squares, const uint32_t *waited,
                         size_t n, size_t r, size_t *equals) {
    uint64_t cut = 0;
    for (int shift = 56; shift >= 0; shift -= 8) {
        size_t counts[256] = {0};
        for (size_t i = 0; i < n; i++) {
            const uint64_t key = key_of(policy, squares[i], waited[i]);
            if (key && (shift == 56 || key >> (shift + 8) == cut >> (shift + 8)))
                counts[key >> shift & 255]++;
        }
        unsigned byte = 255;
        while (counts[byte] < r) r -= counts[byte--];
        cut |= (uint64_t)byte << shift;
    }
    *equals = r;
    return cut;
}

static size_t most_of(const struct policy *policy, size_t n) {
    switch (policy->kind) {
    case POLICY_TOP: return min_size(policy->r, n);
    case POLICY_FRACTION: return min_size((size_t)(policy->fraction * (double)n), n);
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
                     uint32_t *waited, size_t n, bool *pending) {
    *pending = false;
    if (policy->kind == POLICY_ALL) return select_all(index, waited, n);
    const size_t most = most_of(policy, n);
    size_t candidates = 0, equals = 0, picked = 0;
    for (size_t i = 0; i < n; i++) candidates += key_of(policy, squares[i], waited[i]) > 0;
    uint64_t cut = 1; // everything that counts
    if (candidates > most)
        cut = most > 0 ? find_cut(policy, squares, waited, n, most, &equals) : UINT64_MAX;
    for (size_t i = 0; i < n; i++) {
        const uint64_t key = key_of(policy, squares[i], waited[i]);
        bool take = key > cut || (key == cut && (candidates <= most || equals > 0));
        if (key == cut && take && equals > 0) equals--;
        if (candidates > most && most == 0) take = false;
        if (take) index[picked++] = (uint32_t)i;
        if (key > 0 && !take) *pending = true;
        waited[i] = key > 0 && !take ? waited[i] + (waited[i] < UINT32_MAX) : 0;
    }
    return picked;
}
