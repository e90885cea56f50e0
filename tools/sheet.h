// The page that vidette view draws: a heading with the clip's answer and its counts, then one section of
// panels for each thing to see, with its legend; below those of a stream the curves of its cost.
//
// Still: sections stand below each other, each with a panel a tubelet. Moving: sections stand beside each
// other, each with the panel of one frame. A stream's page has an update_map, a step a frame; a clip's has a
// token_map. Units are pixels.
#ifndef VIDETTE_TOOLS_SHEET_H
#define VIDETTE_TOOLS_SHEET_H

#include "curve.h"
#include "token_panel.h"
#include "update_panel.h"

enum { SHEET_TILES = 5, SHEET_SECTIONS = 3, SHEET_CURVES = 2, SHEET_TEXT = 256 };

struct sheet_tile { // a number and what it is
    const char *label;
    char value[SHEET_TEXT];
    int least; // pixels to the next one, so that tiles stand still where numbers change
};

struct sheet_words {
    char title[SHEET_TEXT], subtitle[SHEET_TEXT];
    struct sheet_tile tiles[SHEET_TILES]; // (n_tiles), from the left
    size_t n_tiles;
    const char *answer; // NULL: none
    double probability;
};

struct sheet_curve {
    const char *heading;
    const struct curve *curve;
    struct curve_look look;
};

struct sheet {
    bool moving, kept, merged, stream; // set before it is planned: its form; what there is to see
    struct panel_grid grid;            // likewise
    struct sheet_curve curves[SHEET_CURVES]; // likewise: (n_curves), of a stream
    size_t n_curves;
    enum panel_kind sections[SHEET_SECTIONS]; // (n_sections)
    size_t n_sections;
    int width, height;         // even
    int cell;                  // side of a cell
    int across, pitch;         // panels in a line, from one to the next
    int panel_x, panel_y;      // size of a panel
    int blocks_y;              // height of PANEL_BLOCKS
    struct token_map tokens;   // of a clip
    struct update_map updates; // of a stream
    const vdt_clip *clip;
    const double *times; // (frames) seconds
};

// Plans a page for what is set.
void sheet_plan(struct sheet *sheet);

// Draws a clip from row y of the picture on, which has sheet->width columns and at least sheet->height rows
// there. frame: which one is shown, where the page is moving.
void sheet_draw(const struct sheet *sheet, struct picture *picture, int y,
                const struct sheet_words *words, uint32_t frame);

#endif
