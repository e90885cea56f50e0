// What a stream recomputed of its frames, drawn on them: panels of what changed, of how many blocks computed
// each token, and of each block.
#ifndef VIDETTE_TOOLS_UPDATE_PANEL_H
#define VIDETTE_TOOLS_UPDATE_PANEL_H

#include "panel.h"

enum { UPDATE_GATES = 3 }; // a block

enum update_change { UPDATE_SAME, UPDATE_WAITS, UPDATE_PICKED }; // of a patch, at block 1

// Steps are frames, or snippets, of which the first frame is shown.
struct update_map {
    struct panel_grid grid;
    uint32_t prefix, tokens, blocks; // of the model
    uint8_t *changes;                // (cells) enum update_change
    uint16_t *updates;               // (cells) blocks that passed a cell through a gate
    uint8_t *gates;     // (steps, blocks, cells of a step) gates of the block that passed it, 0..3
    uint32_t *passed;   // (steps) tokens that passed, of all gates, prefix included
    uint32_t *embedded; // (steps) patches that changed
};

// For `steps` frames. Returns 0, or -1 after a message.
int update_map_open(struct update_map *map, const vdt_model_info *model,
                    const vdt_session_shape_info *shape, uint32_t steps);
void update_map_close(struct update_map *map);

// Step `step` is what the stream's last step did; step `to` is what step `from` is.
void update_map_set(struct update_map *map, uint32_t step, const vdt_stream_info *info,
                    const vdt_updated *updated);
void update_map_copy(struct update_map *map, uint32_t to, uint32_t from);

// Cells of a step that block 1 picked; cells that any block computed.
uint32_t update_map_picked(const struct update_map *map, uint32_t step);
uint32_t update_map_updated(const struct update_map *map, uint32_t step);

// PANEL_CHANGED or PANEL_UPDATED of the clip's frame `step`, or PANEL_BLOCKS of that step, from (x, y) on, cells
// of cell x cell pixels.
void update_panel_draw(struct picture *picture, int x, int y, int cell, enum panel_kind kind,
                       const struct update_map *map, const vdt_clip *clip, uint32_t step);

// The height of PANEL_BLOCKS; other panels are as high as their cells.
int update_blocks_height(const struct update_map *map, int width);

// How cells look, for legends.
colour update_waits(colour pixel);
colour update_heat(colour pixel, uint32_t n, uint32_t most); // n 0: dimmed
colour update_gates(uint32_t n);                             // 0..UPDATE_GATES

#endif
