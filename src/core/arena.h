// Sizes first, then one allocation.
//
// A layout function takes its buffers from an arena, one after the other. It runs twice: over an
// arena without memory, which only counts (every pointer it hands out is NULL), then over one with
// the counted bytes. Sizes and pointers so come from the same lines and cannot disagree. Buffers
// whose lifetimes do not meet share memory: take a mark, take buffers, release the mark, take
// others.
//
//     |  residual stream  |  qkv  |  panels  |
//     |                   |  hidden of the MLP     |
//                         ^ mark                   ^ peak
#ifndef VIDETTE_CORE_ARENA_H
#define VIDETTE_CORE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct arena {
    unsigned char *base; // NULL while counting; aligned to 64
    size_t used;         // bytes taken
    size_t peak;         // most bytes ever taken
    bool overflow;       // a size did not fit into size_t; everything after is NULL
};

// count * size bytes aligned to 64; NULL while counting and after an overflow. Contents are what
// the memory held.
void *arena_take(struct arena *arena, size_t count, size_t size);

// The same for a matrix of f32.
float *arena_take_floats(struct arena *arena, size_t rows, size_t columns);

static inline size_t arena_mark(const struct arena *arena) {
    return arena->used;
}

static inline void arena_release(struct arena *arena, size_t mark) {
    arena->used = mark;
}

#endif
