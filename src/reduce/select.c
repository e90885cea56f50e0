#include "reduce/select.h"

#include <stdbool.h>
#include <string.h>

uint64_t select_key(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint64_t sign = (uint64_t)1 << 63;
    return bits & sign ? ~bits : bits | sign;
}

/* ---- the k-th largest ---------------------------------------------------------------------- */

enum { DIGITS = 256 };
enum { FEW = 1024 }; // keys that are copied together: 8 KB

// Keys that are still in question: from `low` on, up to low + span.
struct range {
    uint64_t low, span;
};

static bool is_in(uint64_t key, struct range range) {
    return key - range.low <= range.span;
}

// In which bits keys of the range, of which there is one, differ; *all has those that each of them has.
static uint64_t differing_bits(uint64_t *all, const uint64_t *keys, size_t n, struct range range) {
    uint64_t any = 0;
    *all = UINT64_MAX;
    for (size_t i = 0; i < n; i++) { // without a branch: which keys are left cannot be guessed
        const uint64_t out = is_in(keys[i], range) ? 0 : UINT64_MAX;
        *all &= keys[i] | out;
        any |= keys[i] & ~out;
    }
    return *all ^ any;
}

// The digit, 8 bits from `shift` on, of the k-th largest key of the range; *k becomes its rank among keys that have the
// same, *n_equal: of which there are so many.
static uint64_t kth_digit(const uint64_t *keys, size_t n, struct range range, unsigned shift,
                          size_t *k, size_t *n_equal) {
    uint32_t counts[DIGITS] = {0};
    size_t digit = DIGITS - 1;
    for (size_t i = 0; i < n; i++)
        if (is_in(keys[i], range)) counts[keys[i] >> shift & (DIGITS - 1)]++;
    while (counts[digit] < *k) *k -= counts[digit--];
    *n_equal = counts[digit];
    return digit;
}

// Those of the range, in their order; `few` may be where keys start.
static size_t gather(uint64_t *few, const uint64_t *keys, size_t n, struct range range) {
    size_t some = 0;
    for (size_t i = 0; i < n; i++)
        if (is_in(keys[i], range)) few[some++] = keys[i];
    return some;
}

// A digit at a time, from where keys differ first: those that agree with the k-th so far stay in question. Squares of
// errors hardly differ in their first bits, and few of them agree in the eight that follow.
uint64_t select_cut(const uint64_t *keys, size_t n, size_t k, size_t *equals) {
    uint64_t few[FEW], all, differ;
    struct range range = {0, UINT64_MAX};
    *equals = 0;
    if (k == 0) return UINT64_MAX;
    while ((differ = differing_bits(&all, keys, n, range)) != 0) {
        const unsigned highest = 63 - (unsigned)__builtin_clzll(differ),
                       shift = highest < 8 ? 0 : highest - 7;
        size_t left;
        const uint64_t digit = kth_digit(keys, n, range, shift, &k, &left);
        range.low = ((all >> shift >> 8 << 8) | digit) << shift;
        range.span = ((uint64_t)1 << shift) - 1;
        if (left <= FEW) {
            n = gather(few, keys, n, range);
            keys = few;
        }
    }
    *equals = k;
    return all;
}

/* ---- masks --------------------------------------------------------------------------------- */

void select_largest(uint8_t *chosen, const uint64_t *keys, size_t n, size_t k) {
    size_t equals;
    const uint64_t cut = select_cut(keys, n, k, &equals);
    for (size_t i = 0; i < n; i++) {
        const bool equal = keys[i] == cut && equals > 0;
        chosen[i] = keys[i] > cut || equal;
        equals -= equal;
    }
}
