#include "core/mem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/checked.h"

// Before each block, one alignment unit holds its size.
struct block_header {
    size_t bytes; // of the whole block, header included
};

// Weights and session memory are large and read over and over: huge pages save most of their page
// faults and TLB misses. What does not fill the last one stays in small pages, or a tenth of the weights would be
// resident for nothing.
static void *default_allocate(void *user, size_t bytes) {
    (void)user;
    enum { HUGE_PAGE = 2 << 20 };
    if (bytes < 2 * HUGE_PAGE) return aligned_alloc(MEM_ALIGNMENT, bytes);
    size_t rounded;
    void *block =
        checked_round_up(&rounded, bytes, HUGE_PAGE) ? aligned_alloc(HUGE_PAGE, rounded) : NULL;
    if (block) madvise(block, bytes / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
    return block;
}

static void default_release(void *user, void *pointer, size_t bytes) {
    (void)user;
    (void)bytes;
    free(pointer);
}

vdt_allocator mem_default_allocator(void) {
    return (vdt_allocator){.allocate = default_allocate, .release = default_release};
}

void *mem_alloc_raw(struct memory *memory, size_t count, size_t size, const char *what,
                    vdt_error *error) {
    size_t bytes;
    if (!checked_multiply(&bytes, count, size) || !checked_add(&bytes, bytes, MEM_ALIGNMENT) ||
        !checked_round_up(&bytes, bytes, MEM_ALIGNMENT)) {
        status_fail(error, VDT_ERROR_MEMORY,
                    "%s: %zu items of %zu bytes are more than an address can hold", what, count,
                    size);
        return NULL;
    }
    unsigned char *block = memory->allocator.allocate(memory->allocator.user, bytes);
    if (!block) {
        status_fail(error, VDT_ERROR_MEMORY, "%s: out of memory, %zu bytes were wanted", what,
                    bytes);
        return NULL;
    }
    ((struct block_header *)(void *)block)->bytes = bytes;
    return block + MEM_ALIGNMENT;
}

void *mem_alloc(struct memory *memory, size_t count, size_t size, const char *what,
                vdt_error *error) {
    void *block = mem_alloc_raw(memory, count, size, what, error);
    if (block) memset(block, 0, count * size);
    return block;
}

char *mem_string(struct memory *memory, const char *text, size_t n, vdt_error *error) {
    char *copy = mem_alloc(memory, n + 1, 1, "text", error);
    if (copy && n > 0) memcpy(copy, text, n);
    return copy;
}

void *mem_grow(struct memory *memory, void *items, size_t *capacity, size_t wanted, size_t size,
               const char *what, vdt_error *error) {
    if (wanted <= *capacity) return items;
    const size_t doubled = *capacity > 0 ? *capacity + min_size(*capacity, wanted) : 16;
    const size_t grown = max_size(wanted, doubled);
    void *larger = mem_alloc(memory, grown, size, what, error);
    if (!larger) return NULL;
    if (items) memcpy(larger, items, *capacity * size);
    mem_free(memory, items);
    *capacity = grown;
    return larger;
}

void mem_free(struct memory *memory, void *pointer) {
    if (!pointer) return;
    unsigned char *block = (unsigned char *)pointer - MEM_ALIGNMENT;
    memory->allocator.release(memory->allocator.user, block,
                              ((struct block_header *)(void *)block)->bytes);
}
