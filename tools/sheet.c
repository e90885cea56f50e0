#include "sheet.h"

#include <stdio.h>
#include <string.h>

#include "style.h"

enum { MARGIN = 24, WIDTH = 1000, LEAST_WIDTH = 660, LARGEST_PANEL = 612, HEADER = 136 };
enum { LINE = 22, CAPTION = 24, BETWEEN = 14 }; // a heading; a caption; after a section
enum { CURVES = 150 };                          // curves with their axis

/* ---- plan ---------------------------------------------------------------------------------- */

static int even(int value) {
    return value + value % 2;
}

static int curves_height(const struct sheet *sheet) {
    return sheet->n_curves > 0 ? BETWEEN + LINE + CURVES : 0;
}

static int panel_height(const struct sheet *sheet, enum panel_kind kind) {
    return kind == PANEL_BLOCKS ? sheet->blocks_y : sheet->panel_y;
}

static int tallest(const struct sheet *sheet) {
    return sheet->blocks_y > sheet->panel_y ? sheet->blocks_y : sheet->panel_y;
}

static void set_panel(struct sheet *sheet, int cell) {
    sheet->cell = cell;
    sheet->panel_x = cell * (int)sheet->grid.columns;
    sheet->panel_y = cell * (int)sheet->grid.rows;
    sheet->blocks_y = sheet->stream ? update_blocks_height(&sheet->updates, sheet->panel_x) : 0;
}

static void plan_moving(struct sheet *sheet) {
    enum { GAP = 16 };
    const int n = (int)sheet->n_sections;
    int side = (WIDTH - 2 * MARGIN - (n - 1) * GAP) / n;
    if (side > LARGEST_PANEL) side = LARGEST_PANEL;
    const struct panel_grid *grid = &sheet->grid;
    const int most = (int)(grid->columns > grid->rows ? grid->columns : grid->rows);
    set_panel(sheet, side > most ? side / most : 1);
    sheet->pitch = sheet->panel_x + GAP;
    sheet->across = 1;
    const int width = 2 * MARGIN + n * sheet->panel_x + (n - 1) * GAP;
    sheet->width = even(width > LEAST_WIDTH ? width : LEAST_WIDTH);
    sheet->height =
        even(HEADER + LINE + tallest(sheet) + CAPTION + LINE + curves_height(sheet) + MARGIN);
}

// Pixels for each of n panels beside each other.
static int room_for(int n) {
    enum { GAP = 8 };
    return (WIDTH - 2 * MARGIN - (n - 1) * GAP) / n;
}

// Eight panels in a line where their cells are large enough; else four, or as many as have room at all.
static void plan_still(struct sheet *sheet) {
    enum { FEW = 4, MANY = 8, SMALLEST_CELL = 12 };
    const int columns = (int)sheet->grid.columns, steps = (int)sheet->grid.steps;
    const bool large = sheet->stream || room_for(MANY) / columns < SMALLEST_CELL;
    sheet->across = large ? FEW : MANY;
    while (sheet->across > 1 && room_for(sheet->across) < columns) sheet->across /= 2;
    const int room = room_for(sheet->across);
    set_panel(sheet, room > columns ? room / columns : 1);
    sheet->pitch = sheet->across > 1 ? (room_for(1) - sheet->panel_x) / (sheet->across - 1) : 0;
    const int lines = (steps + sheet->across - 1) / sheet->across;
    int sections = 0;
    for (size_t i = 0; i < sheet->n_sections; i++) {
        const int panel = panel_height(sheet, sheet->sections[i]);
        sections += LINE + lines * (panel + CAPTION) + BETWEEN;
    }
    sheet->width = WIDTH;
    sheet->height = even(HEADER + sections - BETWEEN + curves_height(sheet) + MARGIN);
}

static void add_section(struct sheet *sheet, enum panel_kind kind) {
    sheet->sections[sheet->n_sections++] = kind;
}

void sheet_plan(struct sheet *sheet) {
    sheet->n_sections = 0;
    if (!sheet->stream) add_section(sheet, PANEL_FRAME);
    if (sheet->kept) add_section(sheet, PANEL_KEPT);
    if (sheet->merged) add_section(sheet, PANEL_MERGED);
    if (sheet->stream) {
        add_section(sheet, PANEL_CHANGED);
        add_section(sheet, PANEL_UPDATED);
        add_section(sheet, PANEL_BLOCKS);
    }
    if (sheet->moving)
        plan_moving(sheet);
    else
        plan_still(sheet);
}

/* ---- text ---------------------------------------------------------------------------------- */

// As much of the text as fits, and the width that it takes.
static int put_text(struct picture *picture, int x, int y, double size, colour ink,
                    const char *text, int room) {
    char cut[SHEET_TEXT];
    snprintf(cut, sizeof cut, "%s", text);
    for (size_t n = strlen(cut); n > 3 && picture_text_width(size, cut) > room; n--)
        memcpy(cut + n - 4, "...", 4);
    picture_text(picture, x, y, size, ink, cut);
    return picture_text_width(size, cut);
}

// The answer, right-aligned, over a bar as long as it is probable. Returns its left edge.
static int put_answer(const struct sheet *sheet, struct picture *picture, int y,
                      const struct sheet_words *words) {
    enum { BAR = 200, THICK = 8 };
    const int right = sheet->width - MARGIN;
    char text[SHEET_TEXT + 16];
    if (!words->answer) return right;
    snprintf(text, sizeof text, "%.1f %%", 100.0 * words->probability);
    const int number = picture_text_width(LARGE_TEXT, text);
    picture_text(picture, right - number, y, LARGE_TEXT, INK, text);
    int wide = put_text(picture, right - BAR, y, LARGE_TEXT, INK, words->answer, BAR - number - 12);
    wide = wide > BAR ? wide : BAR;
    picture_fill(picture, right - BAR, y + 24, BAR, THICK, PALE);
    picture_fill(picture, right - BAR, y + 24, (int)(BAR * words->probability + 0.5), THICK,
                 ACCENT);
    return right - wide;
}

static void put_header(const struct sheet *sheet, struct picture *picture, int y,
                       const struct sheet_words *words) {
    enum { APART = 34 };
    const int left = put_answer(sheet, picture, y + MARGIN, words);
    put_text(picture, MARGIN, y + MARGIN, LARGE_TEXT, INK, words->title, left - MARGIN - APART);
    put_text(picture, MARGIN, y + MARGIN + 26, SMALL_TEXT, SOFT, words->subtitle,
             left - MARGIN - APART);
    int x = MARGIN;
    for (size_t i = 0; i < words->n_tiles && x < sheet->width - MARGIN; i++) {
        const struct sheet_tile *tile = &words->tiles[i];
        const int room = sheet->width - MARGIN - x;
        const int a = put_text(picture, x, y + 78, SMALL_TEXT, SOFT, tile->label, room);
        const int b = put_text(picture, x, y + 95, MIDDLE_TEXT, INK, tile->value, room);
        const int wide = (a > b ? a : b) + APART;
        x += wide > tile->least ? wide : tile->least;
    }
}

/* ---- legends ------------------------------------------------------------------------------- */

// Each draws at x, or only measures where there is no picture, and returns what comes after it.
static int legend_text(struct picture *picture, int x, int y, const char *text) {
    if (picture) picture_text(picture, x, y, SMALL_TEXT, SOFT, text);
    return x + picture_text_width(SMALL_TEXT, text);
}

static int legend_box(struct picture *picture, int x, int y, int width, colour ink, colour edge) {
    enum { SIDE = 12 };
    if (picture) picture_fill(picture, x, y - 1, width, SIDE, edge);
    if (picture) picture_fill(picture, x + 1, y, width - 2, SIDE - 2, ink);
    return x + width;
}

static int legend_dark(struct picture *picture, int x, int y, const char *text) {
    const colour dark = panel_dimmed(0x909090);
    x = legend_box(picture, x + 20, y, 12, dark, dark);
    return legend_text(picture, x + 6, y, text);
}

static int legend_dropped(struct picture *picture, int x, int y) {
    return legend_dark(picture, x, y, "dropped");
}

// The colours of 1 to `most` of something, in at most 16 boxes.
static int legend_scale(struct picture *picture, int x, int y, colour (*ink)(uint32_t, uint32_t),
                        uint32_t most, const char *unit) {
    enum { BOXES = 16, FEW = 8 };
    char text[48];
    const uint32_t n = most < BOXES ? most : BOXES;
    const int each = n > FEW ? 9 : 12;
    x = legend_text(picture, x, y, "1") + 6;
    for (uint32_t i = 0; i < n; i++) {
        const colour box = ink(n > 1 ? 1 + i * (most - 1) / (n - 1) : 1, most);
        x = legend_box(picture, x, y, each, box, box);
    }
    snprintf(text, sizeof text, "%u %s", (unsigned)most, unit);
    return legend_text(picture, x + 6, y, text);
}

static int legend_kept(struct picture *picture, int x, int y, uint32_t longest) {
    x = legend_scale(picture, x, y, heat_colour, longest, "tubelets");
    return legend_dropped(picture, x, y);
}

static int legend_merged(struct picture *picture, int x, int y, bool dropped) {
    x = legend_box(picture, x, y, 18, 0xa8927c, PANEL_OUTLINE);
    x = legend_text(picture, x + 6, y, "merged: mean colour");
    return dropped ? legend_dropped(picture, x, y) : x;
}

static int legend_changed(struct picture *picture, int x, int y) {
    const colour grey = 0xc8bfb4;
    x = legend_box(picture, x, y, 18, grey, PANEL_OUTLINE);
    x = legend_text(picture, x + 6, y, "picked") + 20;
    x = legend_box(picture, x, y, 12, update_waits(grey), update_waits(grey));
    x = legend_text(picture, x + 6, y, "changed");
    return legend_dark(picture, x, y, "still");
}

static colour ink_of_blocks(uint32_t n, uint32_t most) {
    return update_heat(0x909090, n, most);
}

static int legend_updated(struct picture *picture, int x, int y, uint32_t blocks) {
    x = legend_scale(picture, x, y, ink_of_blocks, blocks, "blocks");
    return legend_dark(picture, x, y, "none");
}

static colour ink_of_gates(uint32_t n, uint32_t most) {
    (void)most;
    return update_gates(n);
}

static int legend_blocks(struct picture *picture, int x, int y) {
    x = legend_scale(picture, x, y, ink_of_gates, UPDATE_GATES, "gates") + 20;
    x = legend_box(picture, x, y, 12, update_gates(0), update_gates(0));
    return legend_text(picture, x + 6, y, "none");
}

static int legend(const struct sheet *sheet, struct picture *picture, int x, int y,
                  enum panel_kind kind) {
    switch (kind) {
    case PANEL_KEPT: return legend_kept(picture, x, y, sheet->grid.steps);
    case PANEL_MERGED: return legend_merged(picture, x, y, sheet->kept);
    case PANEL_CHANGED: return legend_changed(picture, x, y);
    case PANEL_UPDATED: return legend_updated(picture, x, y, sheet->updates.blocks);
    case PANEL_BLOCKS: return legend_blocks(picture, x, y);
    case PANEL_FRAME: break;
    }
    return x;
}

/* ---- sections ------------------------------------------------------------------------------ */

static const char *heading(enum panel_kind kind) {
    switch (kind) {
    case PANEL_KEPT: return "Kept by RLT, and for how long";
    case PANEL_MERGED: return "Merged by ToMe";
    case PANEL_CHANGED: return "What changed";
    case PANEL_UPDATED: return "What was recomputed";
    case PANEL_BLOCKS: return "Block by block";
    case PANEL_FRAME: break;
    }
    return "What the model saw";
}

static void put_caption(const struct sheet *sheet, char *text, size_t bytes, enum panel_kind kind,
                        uint32_t frame) {
    const struct update_map *updates = &sheet->updates;
    const uint32_t step = frame / sheet->grid.tubelet;
    switch (kind) {
    case PANEL_FRAME: snprintf(text, bytes, "%.2f s", sheet->times[frame]); break;
    case PANEL_KEPT:
        snprintf(text, bytes, "%u kept", (unsigned)token_map_kept(&sheet->tokens, step));
        break;
    case PANEL_MERGED:
        snprintf(text, bytes, "%u merged", (unsigned)token_map_merged(&sheet->tokens, step));
        break;
    case PANEL_CHANGED:
        snprintf(text, bytes, "%.1f s: %u changed, %u picked", sheet->times[frame],
                 (unsigned)updates->embedded[step], (unsigned)update_map_picked(updates, step));
        break;
    case PANEL_UPDATED:
        snprintf(text, bytes, "%u of %u patches", (unsigned)update_map_updated(updates, step),
                 (unsigned)panel_cells(&sheet->grid));
        break;
    case PANEL_BLOCKS:
        snprintf(text, bytes, "%u of %u tokens passed", (unsigned)updates->passed[step],
                 (unsigned)(updates->tokens * updates->blocks * UPDATE_GATES));
        break;
    }
}

static void put_panel(const struct sheet *sheet, struct picture *picture, int x, int y,
                      enum panel_kind kind, uint32_t frame) {
    char caption[64];
    if (sheet->stream)
        update_panel_draw(picture, x, y, sheet->cell, kind, &sheet->updates, sheet->clip, frame);
    else
        token_panel_draw(picture, x, y, sheet->cell, kind, &sheet->tokens, sheet->clip, frame);
    put_caption(sheet, caption, sizeof caption, kind, frame);
    const int below = sheet->moving ? tallest(sheet) : panel_height(sheet, kind);
    picture_text(picture, x, y + below + 6, SMALL_TEXT, SOFT, caption);
}

// The curves, beside each other.
static void put_curves(const struct sheet *sheet, struct picture *picture, int y) {
    enum { GAP = 28 };
    const int n = (int)sheet->n_curves;
    const int width = n > 0 ? (sheet->width - 2 * MARGIN - (n - 1) * GAP) / n : 0;
    for (int i = 0; i < n; i++) {
        const struct sheet_curve *curve = &sheet->curves[i];
        const int x = MARGIN + i * (width + GAP);
        picture_text(picture, x, y, MIDDLE_TEXT, INK, curve->heading);
        curve_draw(curve->curve, &curve->look, picture, x, y + LINE, width, CURVES);
    }
}

static void put_still(const struct sheet *sheet, struct picture *picture, int y) {
    for (size_t i = 0; i < sheet->n_sections; i++) {
        const enum panel_kind kind = sheet->sections[i];
        const int wide = legend(sheet, NULL, 0, 0, kind);
        picture_text(picture, MARGIN, y, MIDDLE_TEXT, INK, heading(kind));
        legend(sheet, picture, sheet->width - MARGIN - wide, y + 1, kind);
        y += LINE;
        for (uint32_t step = 0; step < sheet->grid.steps; step++) {
            const int column = (int)step % sheet->across;
            put_panel(sheet, picture, MARGIN + column * sheet->pitch, y, kind,
                      step * sheet->grid.tubelet);
            if (column + 1 == sheet->across || step + 1 == sheet->grid.steps)
                y += panel_height(sheet, kind) + CAPTION;
        }
        y += BETWEEN;
    }
    put_curves(sheet, picture, y);
}

static void put_moving(const struct sheet *sheet, struct picture *picture, int y, uint32_t frame) {
    for (size_t i = 0; i < sheet->n_sections; i++) {
        const int x = MARGIN + (int)i * sheet->pitch;
        picture_text(picture, x, y, MIDDLE_TEXT, INK, heading(sheet->sections[i]));
        put_panel(sheet, picture, x, y + LINE, sheet->sections[i], frame);
        legend(sheet, picture, x, y + LINE + tallest(sheet) + CAPTION, sheet->sections[i]);
    }
    put_curves(sheet, picture, y + LINE + tallest(sheet) + CAPTION + LINE + BETWEEN);
}

void sheet_draw(const struct sheet *sheet, struct picture *picture, int y,
                const struct sheet_words *words, uint32_t frame) {
    picture_fill(picture, 0, y, sheet->width, sheet->height, GROUND);
    put_header(sheet, picture, y, words);
    if (sheet->moving)
        put_moving(sheet, picture, y + HEADER, frame);
    else
        put_still(sheet, picture, y + HEADER);
}
