#include "panel.h"

struct panel_grid panel_grid_of(const vdt_model_info *model, const vdt_session_shape_info *shape) {
    return (struct panel_grid){.steps = shape->frames / model->tubelet,
                               .rows = shape->height / model->patch,
                               .columns = shape->width / model->patch,
                               .tubelet = model->tubelet,
                               .patch = model->patch};
}

size_t panel_cells(const struct panel_grid *grid) {
    return (size_t)grid->rows * grid->columns;
}

const uint8_t *panel_clip_pixel(const vdt_clip *clip, size_t frame, size_t x, size_t y) {
    return clip->pixels + frame * clip->frame_stride + y * clip->row_stride + 3 * x;
}

/* ---- colours ------------------------------------------------------------------------------- */

colour heat_colour(uint32_t n, uint32_t most) {
    // Even steps of lightness, from 0.93 to 0.33, and of hue, from yellow to violet, in the OKLCH space.
    static const colour stops[] = {0xfcee28, 0xffc543, 0xff9d32, 0xfd6e30, 0xe54b57,
                                   0xc33071, 0x9b1c83, 0x6f0b8b, 0x410185};
    enum { LAST = sizeof stops / sizeof *stops - 1 };
    if (most < 2) return stops[0];
    const uint64_t along = (uint64_t)256 * LAST * (n - 1) / (most - 1);
    const size_t stop = (size_t)(along / 256);
    return stop >= LAST ? stops[LAST]
                        : colour_mix(stops[stop], stops[stop + 1], (unsigned)(along % 256));
}

colour panel_tinted(colour pixel, colour tint) {
    return colour_mix(pixel, tint, 112);
}

static colour luma(colour pixel) {
    return (77 * (pixel >> 16) + 150 * (pixel >> 8 & 255) + 29 * (pixel & 255)) >> 8;
}

colour panel_grey(colour pixel) {
    return luma(pixel) * 0x010101;
}

colour panel_dimmed(colour pixel) {
    return luma(pixel) * 5 / 16 * 0x010101;
}

/* ---- pixels -------------------------------------------------------------------------------- */

// Where a cell stands, in the picture and in the clip.
struct place {
    int x, y, size;          // its corner and its side in the picture
    size_t frame, left, top; // its corner in the clip
    size_t patch;            // its side there
};

// Where the middle of a cell's pixel i lies among the middles of the clip's `n` pixels, in 1/256.
static size_t between(const struct place *at, size_t first, int i, size_t n) {
    const size_t middle = 256 * first + (2 * (size_t)i + 1) * at->patch * 128 / (size_t)at->size;
    const size_t last = 256 * (n - 1);
    return middle < 128 ? 0 : middle - 128 > last ? last : middle - 128;
}

// A pixel of the cell between four of the clip's, weighed by their distance.
static colour pixel_between(const vdt_clip *clip, const struct panel_grid *grid,
                            const struct place *at, int x, int y) {
    const size_t width = grid->columns * grid->patch, height = grid->rows * grid->patch;
    const size_t across = between(at, at->left, x, width), down = between(at, at->top, y, height);
    colour corners[4];
    for (size_t i = 0; i < 4; i++) {
        const size_t column = across / 256 + (i % 2 && across / 256 + 1 < width);
        const size_t row = down / 256 + (i / 2 && down / 256 + 1 < height);
        const uint8_t *pixel = panel_clip_pixel(clip, at->frame, column, row);
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
            const uint8_t *pixel =
                panel_clip_pixel(clip, at->frame, at->left + column, at->top + row);
            for (int c = 0; c < 3; c++) sums[c] += pixel[c];
        }
    }
    colour mean = 0;
    for (int c = 0; c < 3 && n > 0; c++) mean = mean << 8 | (colour)((sums[c] + n / 2) / n);
    return mean;
}

void panel_draw_cells(struct picture *picture, int x, int y, int size,
                      const struct panel_grid *grid, const vdt_clip *clip, uint32_t frame,
                      panel_tone tone, const void *argument) {
    const size_t cells = panel_cells(grid), first = frame / grid->tubelet * cells;
    const bool larger = (size_t)size > grid->patch;
    for (size_t i = 0; i < cells; i++) {
        const size_t row = i / grid->columns, column = i % grid->columns;
        const struct place at = {.x = x + (int)column * size,
                                 .y = y + (int)row * size,
                                 .size = size,
                                 .frame = frame,
                                 .left = column * grid->patch,
                                 .top = row * grid->patch,
                                 .patch = grid->patch};
        for (int p = 0; p < size * size; p++) {
            const int px = p % size, py = p / size;
            const colour pixel =
                larger ? pixel_between(clip, grid, &at, px, py) : pixel_under(clip, &at, px, py);
            picture_fill(picture, at.x + px, at.y + py, 1, 1, tone(argument, first + i, pixel));
        }
    }
}

/* ---- outlines ------------------------------------------------------------------------------ */

void panel_outline(struct picture *picture, int x, int y, int size, const struct panel_grid *grid,
                   size_t step, panel_together together, const void *argument) {
    const size_t cells = panel_cells(grid), columns = grid->columns;
    for (size_t i = 0; i < cells; i++) {
        const size_t cell = step * cells + i, row = i / columns, column = i % columns;
        const int left = x + (int)column * size, top = y + (int)row * size;
        if (!together(argument, cell, cell)) continue;
        if (column == 0 || !together(argument, cell, cell - 1))
            picture_fill(picture, left, top, 1, size, PANEL_OUTLINE);
        if (row == 0 || !together(argument, cell, cell - columns))
            picture_fill(picture, left, top, size, 1, PANEL_OUTLINE);
        if (column + 1 == columns || !together(argument, cell + 1, cell + 1))
            picture_fill(picture, left + size - 1, top, 1, size, PANEL_OUTLINE);
        if (row + 1 == grid->rows || !together(argument, cell + columns, cell + columns))
            picture_fill(picture, left, top + size - 1, size, 1, PANEL_OUTLINE);
    }
}
