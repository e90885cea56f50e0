#include "token_panel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- tokens -------------------------------------------------------------------------------- */

int token_map_open(struct token_map *map, const vdt_model_info *model,
                   const vdt_session_shape_info *shape) {
    *map = (struct token_map){.grid = panel_grid_of(model, shape),
                              .prefix = model->prefix_tokens,
                              .tokens = shape->tokens};
    const size_t cells = map->grid.steps * panel_cells(&map->grid);
    map->lengths = calloc(cells, sizeof *map->lengths);
    map->group = calloc(cells, sizeof *map->group);
    map->groups = calloc(map->tokens, sizeof *map->groups);
    if (map->lengths && map->group && map->groups) return 0;
    fprintf(stderr, "vidette: out of memory\n");
    return -1;
}

void token_map_close(struct token_map *map) {
    free(map->lengths);
    free(map->group);
    free(map->groups);
    *map = (struct token_map){0};
}

// Adds a cell's pixels, of all its frames, to its group.
static void add_pixels(struct token_group *group, const struct token_map *map, const vdt_clip *clip,
                       size_t cell) {
    const struct panel_grid *grid = &map->grid;
    const size_t step = cell / panel_cells(grid), place = cell % panel_cells(grid);
    const size_t x = place % grid->columns * grid->patch, y = place / grid->columns * grid->patch;
    for (size_t frame = step * grid->tubelet; frame < (step + 1) * grid->tubelet; frame++) {
        for (size_t i = 0; i < (size_t)grid->patch * grid->patch; i++) {
            const uint8_t *pixel =
                panel_clip_pixel(clip, frame, x + i % grid->patch, y + i / grid->patch);
            for (int c = 0; c < 3; c++) group->sums[c] += pixel[c];
        }
    }
}

void token_map_set(struct token_map *map, const vdt_tokens *tokens, const vdt_clip *clip) {
    const struct panel_grid *grid = &map->grid;
    const uint64_t pixels = (uint64_t)grid->tubelet * grid->patch * grid->patch;
    memset(map->lengths, 0, grid->steps * panel_cells(grid) * sizeof *map->lengths);
    memset(map->groups, 0, map->tokens * sizeof *map->groups);
    for (size_t i = 0; i < tokens->kept; i++) {
        if (tokens->indices[i] < map->prefix) continue;
        const size_t cell = tokens->indices[i] - map->prefix;
        map->lengths[cell] = tokens->lengths[i];
        map->group[cell] = tokens->source[tokens->indices[i]];
        struct token_group *group = &map->groups[map->group[cell]];
        group->members++;
        add_pixels(group, map, clip, cell);
    }
    for (size_t i = 0; i < map->tokens; i++) {
        struct token_group *group = &map->groups[i];
        const uint64_t n = pixels * group->members;
        for (int c = 0; c < 3 && n > 0; c++)
            group->mean = group->mean << 8 | (colour)((group->sums[c] + n / 2) / n);
    }
}

static bool is_merged(const struct token_map *map, size_t cell) {
    return map->lengths[cell] > 0 && map->groups[map->group[cell]].members > 1;
}

uint32_t token_map_kept(const struct token_map *map, uint32_t step) {
    const size_t n = panel_cells(&map->grid);
    uint32_t kept = 0;
    for (size_t cell = step * n; cell < (step + 1) * n; cell++) kept += map->lengths[cell] > 0;
    return kept;
}

uint32_t token_map_merged(const struct token_map *map, uint32_t step) {
    const size_t n = panel_cells(&map->grid);
    uint32_t merged = 0;
    for (size_t cell = step * n; cell < (step + 1) * n; cell++) merged += is_merged(map, cell);
    return merged;
}

/* ---- drawing ------------------------------------------------------------------------------- */

static colour tone_of_frame(const void *argument, size_t cell, colour pixel) {
    (void)argument;
    (void)cell;
    return pixel;
}

static colour tone_of_kept(const void *argument, size_t cell, colour pixel) {
    const struct token_map *map = argument;
    const uint32_t length = map->lengths[cell];
    return length == 0 ? panel_dimmed(pixel)
                       : panel_tinted(pixel, heat_colour(length, map->grid.steps));
}

static colour tone_of_merged(const void *argument, size_t cell, colour pixel) {
    const struct token_map *map = argument;
    if (is_merged(map, cell)) return map->groups[map->group[cell]].mean;
    return map->lengths[cell] == 0 ? panel_dimmed(pixel) : pixel;
}

static bool in_one_group(const void *argument, size_t a, size_t b) {
    const struct token_map *map = argument;
    return is_merged(map, a) && is_merged(map, b) && map->group[a] == map->group[b];
}

void token_panel_draw(struct picture *picture, int x, int y, int cell, enum panel_kind kind,
                      const struct token_map *map, const vdt_clip *clip, uint32_t frame) {
    const panel_tone tone = kind == PANEL_KEPT     ? tone_of_kept
                            : kind == PANEL_MERGED ? tone_of_merged
                                                   : tone_of_frame;
    panel_draw_cells(picture, x, y, cell, &map->grid, clip, frame, tone, map);
    if (kind == PANEL_MERGED)
        panel_outline(picture, x, y, cell, &map->grid, frame / map->grid.tubelet, in_one_group,
                      map);
}
