// Masks for the tails of loops over sixteen f32.
#ifndef VIDETTE_KERNELS_X86_LANES_AVX512_H
#define VIDETTE_KERNELS_X86_LANES_AVX512_H

#include <immintrin.h>
#include <stddef.h>

// The first min(n, 16) lanes.
static inline __mmask16 first_avx512(size_t n) {
    return (__mmask16)(n >= 16 ? 0xffffu : (1u << n) - 1);
}

#endif
