#include "token_panel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- tokens -------------------------------------------------------------------------------- */

int token_map_open(struct token_map *map, const vdt_model_info *model,
                   const vdt_session_shape_info *shape) {
    *map = (struct token_map){.steps = shape->frames / model->tubelet,
                              .rows = shape->height / model->patch,
                              .columns = shape->width / model->patch,
                              .tubelet = model->tubelet,
                              .patch = model->patch,
                              .prefix = model->prefix_tokens,
                              .tokens = shape->tokens};
    const size_t cells = (size_t)map->steps * map->rows * map->columns;
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

static size_t cells_a_step(const struct token_map *map) {
    return (size_t)map->rows * map->columns;
}

static const uint8_t *clip_pixel(const vdt_clip *clip, size_t frame, size_t x, size_t y) {
    return clip->pixels + frame * clip->frame_stride + y * clip->row_stride + 3 * x;
}

// Adds a cell's pixels, of all its frames, to its group.
static void add_pixels(struct token_group *group, const struct token_map *map, const vdt_clip *clip,
                       size_t cell) {
    const size_t step = cell / cells_a_step(map), place = cell % cells_a_step(map);
    const size_t x = place % map->columns * map->patch, y = place / map->columns * map->patch;
    for (size_t frame = step * map->tubelet; frame < (step + 1) * map->tubelet; frame++) {
        for (size_t i = 0; i < (size_t)map->patch * map->patch; i++) {
            const uint8_t *pixel = clip_pixel(clip, frame, x + i % map->patch, y + i / map->patch);
            for (int c = 0; c < 3; c++) group->sums[c] += pixel[c];
        }
    }
}

void token_map_set(struct token_map *map, const vdt_tokens *tokens, const vdt_clip *clip) {
    const uint64_t pixels = (uint64_t)map->tubelet * map->patch * map->patch;
    memset(map->lengths, 0, map->steps * cells_a_step(map) * sizeof *map->lengths);
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
    const size_t n = cells_a_step(map);
    uint32_t kept = 0;
    for (size_t cell = step * n; cell < (step + 1) * n; cell++) kept += map->lengths[cell] > 0;
    return kept;
}

uint32_t token_map_merged(const struct token_map *map, uint32_t step) {
    const size_t n = cells_a_step(map);
    uint32_t merged = 0;
    for (size_t cell = step * n; cell < (step + 1) * n; cell++) merged += is_merged(map, cell);
    return merged;
}

/* ---- colours ------------------------------------------------------------------------------- */

colour heat_colour(uint32_t length, uint32_t longest) {
    // Even steps of lightness, from 0.93 to 0.33, and of hue, from yellow to violet, in the OKLCH space.
    static const colour stops[] = {0xfcee28, 0xffc543, 0xff9d32, 0xfd6e30, 0xe54b57,
                                   0xc33071, 0x9b1c83, 0x6f0b8b, 0x410185};
    enum { LAST = sizeof stops / sizeof *stops - 1 };
    if (longest < 2) return stops[0];
    const uint64_t along = (uint64_t)256 * LAST * (length - 1) / (longest - 1);
    const size_t stop = (size_t)(along / 256);
    return stop >= LAST ? stops[LAST]
                        : colour_mix(stops[stop], stops[stop + 1], (unsigned)(along % 256));
}

colour panel_tinted(colour pixel, colour tint) {
    return colour_mix(pixel, tint, 112);
}

colour panel_dimmed(colour pixel) {
    const colour grey = (77 * (pixel >> 16) + 150 * (pixel >> 8 & 255) + 29 * (pixel & 255)) >> 8;
    return grey * 5 / 16 * 0x010101;
}

/* ---- drawing ------------------------------------------------------------------------------- */

// Where a cell stands, in the picture and in the clip.
struct place {
    int x, y, size;           // its corner and its side in the picture
    size_t frame, left, top;  // its corner in the clip
    size_t patch, index, row; // its side there; the cell; its row
};

// Where the middle of a cell's pixel i lies among the middles of the clip's `n` pixels, in 1/256.
static size_t between(const struct place *at, size_t first, int i, size_t n) {
    const size_t middle = 256 * first + (2 * (size_t)i + 1) * at->patch * 128 / (size_t)at->size;
    const size_t last = 256 * (n - 1);
    return middle < 128 ? 0 : middle - 128 > last ? last : middle - 128;
}

// A pixel of the cell between four of the clip's, weighed by their distance.
static colour pixel_between(const vdt_clip *clip, const struct token_map *map,
                            const struct place *at, int x, int y) {
    const size_t width = map->columns * map->patch, height = map->rows * map->patch;
    const size_t across = between(at, at->left, x, width), down = between(at, at->top, y, height);
    colour corners[4];
    for (size_t i = 0; i < 4; i++) {
        const size_t column = across / 256 + (i % 2 && across / 256 + 1 < width);
        const size_t row = down / 256 + (i / 2 && down / 256 + 1 < height);
        const uint8_t *pixel = clip_pixel(clip, at->frame, column, row);
        corners[i] = (colour)pixel[0] << 16 | (colour)pixel[1] << 8 | pixel[2];
    }
    const unsigned right = (unsigned)(across % 256), lower = (unsigned)(down % 256);
    return colour_mix(colour_mix(corners[0], corners[1], right),
                      colour_mix(corners[2], corners[3], right), lower);
}

// The mean of the clip's pixels under a pixel of the cell.
static colour pixel_under(const vdt_clip *clip, const struct place *at, int x, int y) {
    const size_t side = (size_t)at->size, left = (size_t)x * at->patch / side,
                 top = (size_t)y * at->patch / side;
    const size_t right = (size_t)(x + 1) * at->patch / side,
                 bottom = (size_t)(y + 1) * at->patch / side;
    const size_t n = (right - left) * (bottom - top);
    size_t sums[3] = {0};
    for (size_t row = top; row < bottom; row++) {
        for (size_t column = left; column < right; column++) {
            const uint8_t *pixel = clip_pixel(clip, at->frame, at->left + column, at->top + row);
            for (int c = 0; c < 3; c++) sums[c] += pixel[c];
        }
    }
    colour mean = 0;
    for (int c = 0; c < 3 && n > 0; c++) mean = mean << 8 | (colour)((sums[c] + n / 2) / n);
    return mean;
}

static void draw_cell(struct picture *picture, const struct place *at, enum panel_kind kind,
                      const struct token_map *map, const vdt_clip *clip) {
    const uint32_t length = map->lengths[at->index];
    if (kind == PANEL_MERGED && is_merged(map, at->index)) {
        const colour mean = map->groups[map->group[at->index]].mean;
        picture_fill(picture, at->x, at->y, at->size, at->size, mean);
        return;
    }
    const colour tint = length > 0 ? heat_colour(length, map->steps) : 0;
    for (int y = 0; y < at->size; y++) {
        for (int x = 0; x < at->size; x++) {
            const bool larger = (size_t)at->size > at->patch;
            colour pixel =
                larger ? pixel_between(clip, map, at, x, y) : pixel_under(clip, at, x, y);
            if (kind != PANEL_FRAME && length == 0) pixel = panel_dimmed(pixel);
            if (kind == PANEL_KEPT && length > 0) pixel = panel_tinted(pixel, tint);
            picture_fill(picture, at->x + x, at->y + y, 1, 1, pixel);
        }
    }
}

// Whether a group's border runs between a cell and its neighbour.
static bool apart(const struct token_map *map, size_t cell, size_t neighbour) {
    return !is_merged(map, neighbour) || map->group[cell] != map->group[neighbour];
}

// A line of one pixel around groups, inside their cells; between two groups only one of them draws it.
static void outline(struct picture *picture, const struct place *at, const struct token_map *map) {
    const size_t cell = at->index, columns = map->columns, column = cell % columns;
    if (!is_merged(map, cell)) return;
    if (column == 0 || apart(map, cell, cell - 1))
        picture_fill(picture, at->x, at->y, 1, at->size, PANEL_OUTLINE);
    if (at->row == 0 || apart(map, cell, cell - columns))
        picture_fill(picture, at->x, at->y, at->size, 1, PANEL_OUTLINE);
    if (column + 1 == columns || !is_merged(map, cell + 1))
        picture_fill(picture, at->x + at->size - 1, at->y, 1, at->size, PANEL_OUTLINE);
    if (at->row + 1 == map->rows || !is_merged(map, cell + columns))
        picture_fill(picture, at->x, at->y + at->size - 1, at->size, 1, PANEL_OUTLINE);
}

void panel_draw(struct picture *picture, int x, int y, int cell, enum panel_kind kind,
                const struct token_map *map, const vdt_clip *clip, uint32_t frame) {
    const size_t first = frame / map->tubelet * cells_a_step(map);
    for (size_t i = 0; i < cells_a_step(map); i++) {
        const size_t row = i / map->columns, column = i % map->columns;
        const struct place at = {.x = x + (int)column * cell,
                                 .y = y + (int)row * cell,
                                 .size = cell,
                                 .frame = frame,
                                 .left = column * map->patch,
                                 .top = row * map->patch,
                                 .patch = map->patch,
                                 .index = first + i,
                                 .row = row};
        draw_cell(picture, &at, kind, map, clip);
        if (kind == PANEL_MERGED) outline(picture, &at, map);
    }
}
