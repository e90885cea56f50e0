#include "update_panel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "style.h"

/* ---- maps ---------------------------------------------------------------------------------- */

int update_map_open(struct update_map *map, const vdt_model_info *model,
                    const vdt_session_shape_info *shape, uint32_t steps) {
    *map = (struct update_map){.grid = panel_grid_of(model, shape),
                               .prefix = model->prefix_tokens,
                               .tokens = shape->tokens,
                               .blocks = model->layers};
    map->grid.steps = steps;
    map->grid.tubelet = 1;
    const size_t cells = steps * panel_cells(&map->grid);
    map->changes = calloc(cells, sizeof *map->changes);
    map->updates = calloc(cells, sizeof *map->updates);
    map->gates = calloc(cells, map->blocks * sizeof *map->gates);
    map->passed = calloc(steps, sizeof *map->passed);
    map->embedded = calloc(steps, sizeof *map->embedded);
    if (map->changes && map->updates && map->gates && map->passed && map->embedded) return 0;
    fprintf(stderr, "vidette: out of memory\n");
    return -1;
}

void update_map_close(struct update_map *map) {
    free(map->changes);
    free(map->updates);
    free(map->gates);
    free(map->passed);
    free(map->embedded);
    *map = (struct update_map){0};
}

static uint8_t *gates_of(const struct update_map *map, uint32_t step, uint32_t block) {
    return map->gates + ((size_t)step * map->blocks + block) * panel_cells(&map->grid);
}

// Adds what passed the gates of a block.
static void add_block(struct update_map *map, uint32_t step, uint32_t block,
                      const vdt_stream_info *info, const vdt_updated *updated) {
    const size_t cells = panel_cells(&map->grid);
    uint8_t *gates = gates_of(map, step, block);
    for (size_t gate = UPDATE_GATES * block; gate < UPDATE_GATES * (block + 1u); gate++) {
        const uint32_t *tokens = updated->tokens + gate * map->tokens;
        map->passed[step] += info->updated[gate];
        for (size_t i = 0; i < info->updated[gate]; i++)
            if (tokens[i] >= map->prefix) gates[tokens[i] - map->prefix]++;
    }
    for (size_t i = 0; i < cells; i++)
        if (gates[i] > 0) map->updates[step * cells + i]++;
}

void update_map_set(struct update_map *map, uint32_t step, const vdt_stream_info *info,
                    const vdt_updated *updated) {
    const size_t cells = panel_cells(&map->grid);
    uint8_t *changes = map->changes + step * cells;
    memset(changes, UPDATE_SAME, cells);
    memset(map->updates + step * cells, 0, cells * sizeof *map->updates);
    memset(gates_of(map, step, 0), 0, map->blocks * cells);
    map->embedded[step] = info->changed;
    map->passed[step] = 0;
    for (size_t i = 0; i < info->changed; i++) changes[updated->patches[i]] = UPDATE_WAITS;
    for (size_t i = 0; i < info->updated[0]; i++)
        if (updated->tokens[i] >= map->prefix)
            changes[updated->tokens[i] - map->prefix] = UPDATE_PICKED;
    for (uint32_t block = 0; block < map->blocks; block++)
        add_block(map, step, block, info, updated);
}

void update_map_copy(struct update_map *map, uint32_t to, uint32_t from) {
    const size_t cells = panel_cells(&map->grid);
    if (to == from) return;
    memcpy(map->changes + to * cells, map->changes + from * cells, cells);
    memcpy(map->updates + to * cells, map->updates + from * cells, cells * sizeof *map->updates);
    memcpy(gates_of(map, to, 0), gates_of(map, from, 0), map->blocks * cells);
    map->passed[to] = map->passed[from];
    map->embedded[to] = map->embedded[from];
}

uint32_t update_map_picked(const struct update_map *map, uint32_t step) {
    const size_t n = panel_cells(&map->grid);
    uint32_t picked = 0;
    for (size_t cell = step * n; cell < (step + 1) * n; cell++)
        picked += map->changes[cell] == UPDATE_PICKED;
    return picked;
}

uint32_t update_map_updated(const struct update_map *map, uint32_t step) {
    const size_t n = panel_cells(&map->grid);
    uint32_t updated = 0;
    for (size_t cell = step * n; cell < (step + 1) * n; cell++) updated += map->updates[cell] > 0;
    return updated;
}

/* ---- colours ------------------------------------------------------------------------------- */

colour update_waits(colour pixel) {
    return colour_mix(panel_dimmed(pixel), pixel, 96);
}

// Work glows: the more, the brighter.
colour update_heat(colour pixel, uint32_t n, uint32_t most) {
    return n == 0 ? panel_dimmed(pixel)
                  : colour_mix(panel_grey(pixel), heat_colour(most - n + 1, most), 208);
}

colour update_gates(uint32_t n) {
    static const colour inks[UPDATE_GATES + 1] = {0x24282e, 0x9b1c83, 0xfd6e30, 0xfcee28};
    return inks[n < UPDATE_GATES ? n : UPDATE_GATES];
}

/* ---- panels -------------------------------------------------------------------------------- */

static colour tone_of_changed(const void *argument, size_t cell, colour pixel) {
    const struct update_map *map = argument;
    switch (map->changes[cell]) {
    case UPDATE_PICKED: return pixel;
    case UPDATE_WAITS: return update_waits(pixel);
    default: return panel_dimmed(pixel);
    }
}

static bool both_picked(const void *argument, size_t a, size_t b) {
    const struct update_map *map = argument;
    return map->changes[a] == UPDATE_PICKED && map->changes[b] == UPDATE_PICKED;
}

static colour tone_of_updated(const void *argument, size_t cell, colour pixel) {
    const struct update_map *map = argument;
    return update_heat(pixel, map->updates[cell], map->blocks);
}

// The mean ink of the cells under pixel i of n across a row (or column) of `cells`.
static void span_of(size_t *begin, size_t *end, size_t i, size_t n, size_t cells) {
    *begin = i * cells / n;
    *end = (i + 1) * cells / n;
    if (*end == *begin) ++*end;
}

static void draw_block(struct picture *picture, int x, int y, int width, int height,
                       const struct update_map *map, const uint8_t *gates) {
    const size_t columns = map->grid.columns;
    for (int py = 0; py < height; py++) {
        for (int px = 0; px < width; px++) {
            size_t left, right, top, bottom, sums[3] = {0};
            span_of(&left, &right, (size_t)px, (size_t)width, columns);
            span_of(&top, &bottom, (size_t)py, (size_t)height, map->grid.rows);
            const size_t n = (right - left) * (bottom - top);
            for (size_t i = 0; i < n; i++) {
                const size_t row = top + i / (right - left), column = left + i % (right - left);
                const colour ink = update_gates(gates[row * columns + column]);
                for (int c = 0; c < 3; c++) sums[c] += ink >> (16 - 8 * c) & 255;
            }
            colour mean = 0;
            for (int c = 0; c < 3; c++) mean = mean << 8 | (colour)((sums[c] + n / 2) / n);
            picture_fill(picture, x + px, y + py, 1, 1, mean);
        }
    }
}

// Maps of all blocks in lines, each below its number.
struct blocks_plan {
    int across, down;
    int wide, tall;       // of a map
    int pitch_x, pitch_y; // from one to the next
};

enum { NUMBER = 14, BELOW = 8 }; // a block's number; what follows its map

// Whole pixels a cell where that does not waste too much of the room.
static struct blocks_plan plan_blocks(const struct update_map *map, int width) {
    enum { GAP = 4 };
    const int blocks = (int)map->blocks;
    const int columns = (int)map->grid.columns, rows = (int)map->grid.rows;
    struct blocks_plan plan = {.across = 1};
    while (plan.across * plan.across < blocks) plan.across++;
    plan.down = (blocks + plan.across - 1) / plan.across;
    const int room = (width - (plan.across - 1) * GAP) / plan.across;
    const int whole = room / columns * columns;
    plan.wide = 4 * whole >= 3 * room ? whole : room;
    if (plan.wide < 1) plan.wide = 1;
    plan.tall = plan.wide * rows / columns > 1 ? plan.wide * rows / columns : 1;
    plan.pitch_x = plan.across > 1 ? (width - plan.wide) / (plan.across - 1) : 0;
    plan.pitch_y = NUMBER + plan.tall + BELOW;
    return plan;
}

int update_blocks_height(const struct update_map *map, int width) {
    const struct blocks_plan plan = plan_blocks(map, width);
    return plan.down * plan.pitch_y - BELOW;
}

static void draw_blocks(struct picture *picture, int x, int y, int width,
                        const struct update_map *map, uint32_t step) {
    const struct blocks_plan plan = plan_blocks(map, width);
    for (uint32_t block = 0; block < map->blocks; block++) {
        const int left = x + (int)block % plan.across * plan.pitch_x,
                  top = y + (int)block / plan.across * plan.pitch_y;
        char number[16];
        snprintf(number, sizeof number, "%u", (unsigned)block + 1);
        picture_text(picture, left, top + 1, TINY_TEXT, SOFT, number);
        draw_block(picture, left, top + NUMBER, plan.wide, plan.tall, map,
                   gates_of(map, step, block));
    }
}

void update_panel_draw(struct picture *picture, int x, int y, int cell, enum panel_kind kind,
                       const struct update_map *map, const vdt_clip *clip, uint32_t step) {
    const struct panel_grid *grid = &map->grid;
    switch (kind) {
    case PANEL_CHANGED:
        panel_draw_cells(picture, x, y, cell, grid, clip, step, tone_of_changed, map);
        panel_outline(picture, x, y, cell, grid, step, both_picked, map);
        break;
    case PANEL_UPDATED:
        panel_draw_cells(picture, x, y, cell, grid, clip, step, tone_of_updated, map);
        break;
    default: draw_blocks(picture, x, y, cell * (int)grid->columns, map, step);
    }
}
