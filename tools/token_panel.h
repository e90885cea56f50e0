// What became of a clip's tokens, drawn on its frames: panels of what was kept and of what was merged.
#ifndef VIDETTE_TOOLS_TOKEN_PANEL_H
#define VIDETTE_TOOLS_TOKEN_PANEL_H

#include "panel.h"

// The tokens that became one row after the last block.
struct token_group {
    uint32_t members; // kept patches
    uint64_t sums[3]; // of their red, green and blue
    colour mean;
};

struct token_map {
    struct panel_grid grid;
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

// PANEL_FRAME, PANEL_KEPT or PANEL_MERGED of a frame, from (x, y) on, cells of cell x cell pixels.
void token_panel_draw(struct picture *picture, int x, int y, int cell, enum panel_kind kind,
                      const struct token_map *map, const vdt_clip *clip, uint32_t frame);

#endif
