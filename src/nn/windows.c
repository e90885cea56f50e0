#include "nn/windows.h"

// One window, whose first token stands at (top, left) of the clip whose tokens begin at `clip`.
static void fill_window(struct windows *windows, size_t sequence, size_t clip, size_t top,
                        size_t left, size_t h, size_t w, uint32_t padding) {
    const size_t side = windows->side;
    size_t query = windows->q_starts[sequence], key = windows->k_starts[sequence];
    for (size_t position = 0; position < side * side; position++) {
        const size_t y = top + position / side, x = left + position % side;
        const int inside = y < h && x < w;
        windows->key_rows[key++] = inside ? (uint32_t)(clip + y * w + x) : padding;
        if (inside) windows->queries[query++] = (uint32_t)position;
    }
    windows->q_starts[sequence + 1] = query;
    windows->k_starts[sequence + 1] = key;
}

void windows_fill(struct windows *windows, size_t clips, size_t h, size_t w, uint32_t padding) {
    const size_t a_clip = windows->rows * windows->columns;
    windows->q_starts[0] = windows->k_starts[0] = 0;
    for (size_t i = 0; i < clips * a_clip; i++) {
        const size_t top = i % a_clip / windows->columns * windows->side,
                     left = i % windows->columns * windows->side;
        fill_window(windows, i, i / a_clip * h * w, top, left, h, w, padding);
    }
}
