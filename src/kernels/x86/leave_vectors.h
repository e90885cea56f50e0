// What a function that returns a float does last.
//
// Of functions that return a float in a vector register, gcc 12 does not clear the upper halves of the others.
// Whoever goes on with SSE instructions (all code that is compiled for every CPU) then waits for each register
// on CPUs of Intel (docs/performance.md). Inlined functions may leave it to their callers.
#ifndef VIDETTE_KERNELS_X86_LEAVE_VECTORS_H
#define VIDETTE_KERNELS_X86_LEAVE_VECTORS_H

#include <immintrin.h>

static inline float leave_vectors(float x) {
    _mm256_zeroupper();
    return x;
}

#endif
