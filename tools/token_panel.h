// What became of a clip's tokens, drawn on its frames.
//
// A panel is one frame on a grid of square cells, a cell a patch. What cells mean depends on the kind of
// panel; a panel needs one token_map, made from the tokens of one clip, and the clip's pixels.
#ifndef VIDETTE_TOOLS_TOKEN_PANEL_H
#define VIDETTE_TOOLS_TOKEN_PANEL_H

#include <stdbool.h>
#include <vidette/vidette.h>

#include "picture.h"

enum panel_kind {
    PANEL_FRAME, // the pixels that the model saw
    PANEL_KEPT,  // dropped cells grey and dark; kept ones tinted with their run length
    PANEL_MERGED, // groups of at least two kept cells in their mean colour, outlined; dropped cells dark
};

// The tokens that became one row after the last block.
struct token_group {
    uint32_t members; // kept patches
    uint64_t sums[3]; // of their red, green and blue
    colour mean;
};

// Cells in (t, h, w) order, a step a tubelet.
struct token_map {
    uint32_t steps, rows, columns;
    uint32_t tubelet, patch;    // frames and pixels that a cell spans
    uint32_t prefix, tokens;    // of the model
    uint32_t *lengths;          // (cells) tubelets a cell stands for; 0: dropped
    uint32_t *group;            // (cells) of kept ones: index into groups
    struct token_group *groups; // (tokens)
};

int token_map_open(struct token_map *map, const vdt_model_info *model,
                   const vdt_session_shape_info *shape); // 0, or -1 after a message
void token_map_set(struct token_map *map, const vdt_tokens *tokens, const vdt_clip *clip);
void token_map_close(struct token_map *map);

// Cells of a step that are kept, or that were merged with another.
uint32_t token_map_kept(const struct token_map *map, uint32_t step);
uint32_t token_map_merged(const struct token_map *map, uint32_t step);

// Draws frame `frame` of the clip, each patch as cell x cell pixels, from (x, y) on.
void panel_draw(struct picture *picture, int x, int y, int cell, enum panel_kind kind,
                const struct token_map *map, const vdt_clip *clip, uint32_t frame);

// The tint of a run of `length` of at most `longest` tubelets, evenly spaced to the eye: short is bright.
colour heat_colour(uint32_t length, uint32_t longest);

// How dropped and kept cells look, for legends.
colour panel_dimmed(colour pixel);
colour panel_tinted(colour pixel, colour tint);
enum { PANEL_OUTLINE = 0x22c3e6 };

#endif
