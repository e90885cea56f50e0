#include "reduce/sequence.h"

#include <string.h>

#include "core/checked.h"

void sequence_layout(struct sequence *sequence, struct arena *arena, size_t clips, size_t tokens,
                     size_t prefix) {
    size_t rows = 0;
    if (!checked_multiply(&rows, clips, tokens)) arena->overflow = true;
    *sequence = (struct sequence){.clips = clips, .tokens = tokens, .prefix = prefix};
    sequence->starts = arena_take(arena, clips + 1, sizeof *sequence->starts);
    sequence->sizes = arena_take(arena, rows, sizeof *sequence->sizes);
    sequence->log_sizes = arena_take(arena, rows, sizeof *sequence->log_sizes);
    sequence->indices = arena_take(arena, rows, sizeof *sequence->indices);
    sequence->lengths = arena_take(arena, rows, sizeof *sequence->lengths);
    sequence->kept = arena_take(arena, clips, sizeof *sequence->kept);
    sequence->source = arena_take(arena, rows, sizeof *sequence->source);
}

void sequence_start(struct sequence *sequence, size_t clips) {
    const size_t tokens = sequence->tokens;
    sequence->clips = clips;
    sequence->weighted = false;
    for (size_t b = 0; b <= clips; b++) sequence->starts[b] = b * tokens;
    for (size_t b = 0; b < clips; b++) {
        sequence->kept[b] = (uint32_t)tokens;
        for (size_t i = 0; i < tokens; i++) {
            const size_t at = b * tokens + i;
            sequence->indices[at] = sequence->source[at] = (uint32_t)i;
            sequence->lengths[at] = 1;
            sequence->sizes[at] = 1.0f;
            sequence->log_sizes[at] = 0.0f;
        }
    }
}

void sequence_unmerge(float *y, const struct sequence *sequence, size_t clip, const float *rows,
                      size_t d) {
    const uint32_t *source = sequence->source + clip * sequence->tokens;
    for (size_t i = 0; i < sequence->tokens; i++)
        memcpy(y + i * d, rows + source[i] * d, d * sizeof *y);
}
