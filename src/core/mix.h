// Numbers that look random, made of others: the mixing function of SplitMix64 (Steele et al. 2014).
#ifndef VIDETTE_CORE_MIX_H
#define VIDETTE_CORE_MIX_H

#include <stdint.h>

#define MIX_STEP 0x9e3779b97f4a7c15u // from one number of a sequence to the next, before mixing

static inline uint64_t mix64(uint64_t x) {
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

#endif
