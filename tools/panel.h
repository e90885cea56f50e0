// A frame on a grid of square cells, a cell a patch: what every panel of vidette view has in common.
#ifndef VIDETTE_TOOLS_PANEL_H
#define VIDETTE_TOOLS_PANEL_H

#include <stdbool.h>
#include <vidette/vidette.h>

#include "picture.h"

enum panel_kind { // what cells mean
    PANEL_FRAME,  // the pixels that the model saw
    // of clips (token_panel.h)
    PANEL_KEPT, // dropped cells grey and dark; kept ones tinted with their run length
    PANEL_MERGED, // groups of at least two kept cells in their mean colour, outlined; dropped cells dark
    // of streams (update_panel.h)
    PANEL_CHANGED, // picked cells as they are, outlined; changed ones that wait dim; others grey and dark
    PANEL_UPDATED, // tinted with the number of blocks that computed them; others grey and dark
    PANEL_BLOCKS,  // a small map for each block, of the gates that cells passed there
};

// Cells are in (t, h, w) order, a step a tubelet.
struct panel_grid {
    uint32_t steps, rows, columns;
    uint32_t tubelet, patch; // frames and pixels that a cell spans
};

struct panel_grid panel_grid_of(const vdt_model_info *model, const vdt_session_shape_info *shape);
size_t panel_cells(const struct panel_grid *grid); // of a step

const uint8_t *panel_clip_pixel(const vdt_clip *clip, size_t frame, size_t x, size_t y);

// What becomes of a pixel of a cell.
typedef colour (*panel_tone)(const void *argument, size_t cell, colour pixel);

// Draws frame `frame` of the clip through `tone`, each patch as size x size pixels, from (x, y) on.
void panel_draw_cells(struct picture *picture, int x, int y, int size,
                      const struct panel_grid *grid, const vdt_clip *clip, uint32_t frame,
                      panel_tone tone, const void *argument);

// Whether cells a and b of one step, b beside a or outside it, belong together.
typedef bool (*panel_together)(const void *argument, size_t a, size_t b);

// A line of one pixel around what belongs together, inside its cells, for all cells that belong to themselves;
// between two such groups only one of them draws it.
void panel_outline(struct picture *picture, int x, int y, int size, const struct panel_grid *grid,
                   size_t step, panel_together together, const void *argument);

// The tint of `n` of at most `most`, from 1 on, evenly spaced to the eye: few is bright.
colour heat_colour(uint32_t n, uint32_t most);

// How cells look, for panels and legends.
colour panel_grey(colour pixel);
colour panel_dimmed(colour pixel);
colour panel_tinted(colour pixel, colour tint);
enum { PANEL_OUTLINE = 0x22c3e6 };

#endif
