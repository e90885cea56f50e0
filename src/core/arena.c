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

float *arena_take_floats(struct arena *arena, size_t rows, size_t columns) {
    size_t count = 0;
    if (!checked_multiply(&count, rows, columns)) arena->overflow = true;
    return arena_take(arena, count, sizeof(float));
}
