// Allocation through the context's allocator.
//
// Every byte that the library itself allocates passes through here, so that a test can make the
// n-th call fail and can count that a steady state makes none. Blocks remember their size (a user's
// allocator gets it back on release). Memory that libraries underneath allocate for themselves is
// not seen here.
#ifndef VIDETTE_CORE_MEM_H
#define VIDETTE_CORE_MEM_H

#include "core/status.h"

enum { MEM_ALIGNMENT = 64 };

struct memory {
    vdt_allocator allocator;
};

// The C library's aligned allocation.
vdt_allocator mem_default_allocator(void);

// Zeroed block of count * size bytes aligned to MEM_ALIGNMENT, NULL on failure with `error` saying
// how much was wanted for `what`. A block of 0 bytes is a valid block.
void *mem_alloc(struct memory *memory, size_t count, size_t size, const char *what,
                vdt_error *error);

// The same without the zeros, for large blocks that are written whole.
void *mem_alloc_raw(struct memory *memory, size_t count, size_t size, const char *what,
                    vdt_error *error);

// A copy of n characters and a final zero.
char *mem_string(struct memory *memory, const char *text, size_t n, vdt_error *error);

// An array of at least `wanted` items of `size` bytes that starts with the `*capacity` items of
// `items` (which it replaces and frees), the new ones zeroed. NULL on failure, with `items` as they
// were.
void *mem_grow(struct memory *memory, void *items, size_t *capacity, size_t wanted, size_t size,
               const char *what, vdt_error *error);

// Returns a block; NULL is fine.
void mem_free(struct memory *memory, void *pointer);

#endif
