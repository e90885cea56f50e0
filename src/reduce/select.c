#include "reduce/select.h"

#include <string.h>

uint64_t select_key(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint64_t sign = (uint64_t)1 << 63;
    return bits & sign ? ~bits : bits | sign;
}

// The k-th largest key is found a byte at a time, from the top: keys that agree with it so far are counted
// by their next byte. *left is how many of its equals belong to the k.
static uint64_t kth_largest(const uint64_t *keys, size_t n, size_t k, size_t *left) {
    uint64_t kth = 0, known = 0;
    *left = k;
    for (unsigned shift = 64; shift > 0;) {
        shift -= 8;
        size_t counts[256] = {0}, byte = 255;
        for (size_t i = 0; i < n; i++) {
            if ((keys[i] & known) == kth) counts[keys[i] >> shift & 255]++;
        }
        while (counts[byte] < *left) *left -= counts[byte--];
        kth |= (uint64_t)byte << shift;
        known |= (uint64_t)255 << shift;
    }
    return kth;
}

void select_largest(uint8_t *chosen, const uint64_t *keys, size_t n, size_t k) {
    size_t left = 0;
    const uint64_t kth = k > 0 ? kth_largest(keys, n, k, &left) : UINT64_MAX;
    for (size_t i = 0; i < n; i++) {
        chosen[i] = k > 0 && keys[i] > kth;
        if (left > 0 && keys[i] == kth) {
            chosen[i] = 1;
            left--;
        }
    }
}
