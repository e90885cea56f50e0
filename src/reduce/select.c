#include "reduce/select.h"

#include <stdbool.h>
#include <string.h>

uint64_t select_key(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint64_t sign = (uint64_t)1 << 63;
    return bits & sign ? ~bits : bits | sign;
}

// A byte at a time, from the top: keys that agree with the k-th so far are counted by their next byte.
uint64_t select_cut(const uint64_t *keys, size_t n, size_t k, size_t *equals) {
    uint64_t cut = 0, known = 0;
    for (unsigned shift = 64; shift > 0;) {
        shift -= 8;
        size_t counts[256] = {0}, byte = 255;
        for (size_t i = 0; i < n; i++) {
            if ((keys[i] & known) == cut) counts[keys[i] >> shift & 255]++;
        }
        while (counts[byte] < k) k -= counts[byte--];
        cut |= (uint64_t)byte << shift;
        known |= (uint64_t)255 << shift;
    }
    *equals = k;
    return cut;
}

void select_largest(uint8_t *chosen, const uint64_t *keys, size_t n, size_t k) {
    size_t equals;
    const uint64_t cut = select_cut(keys, n, k, &equals);
    for (size_t i = 0; i < n; i++) {
        const bool equal = keys[i] == cut && equals > 0;
        chosen[i] = keys[i] > cut || equal;
        equals -= equal;
    }
}
