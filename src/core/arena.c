#include "core/arena.h"

#include "core/checked.h"

void *arena_take(struct arena *arena, size_t count, size_t size) {
    size_t bytes, end;
    if (arena->overflow || !checked_multiply(&bytes, count, size) ||
        !checked_round_up(&bytes, bytes, 64) || !checked_add(&end, arena->used, bytes)) {
        arena->overflow = true;
        return NULL;
    }
    void *block = arena->base ? arena->base + arena->used : NULL;
    arena->used = end;
    arena->peak = max_size(arena->peak, end);
    return block;
}
