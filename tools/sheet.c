#include "sheet.h"

#include <stdio.h>
#include <string.h>

enum { MARGIN = 24, WIDTH = 1000, LEAST_WIDTH = 660, LARGEST_PANEL = 612, HEADER = 136 };
enum { LINE = 22, CAPTION = 24, BETWEEN = 14 }; // a heading; a caption; after a section
enum { GROUND = 0xffffff, INK = 0x1b1f24, SOFT = 0x59636e, PALE = 0xd8dee4, ACCENT = 0x3b5bdb };

static const double large = 15.0, middle = 12.0, small = 9.5; // heights of capitals

/* ---- plan ---------------------------------------------------------------------------------- */

static int even(int value) {
    return value + value % 2;
}

static void plan_moving(struct sheet *sheet) {
    enum { GAP = 16 };
    const int n = (int)sheet->n_sections;
    int side = (WIDTH - 2 * MARGIN - (n - 1) * GAP) / n;
    if (side > LARGEST_PANEL) side = LARGEST_PANEL;
    const int most = (int)(sheet->tokens.columns > sheet->tokens.rows ? sheet->tokens.columns
                                                                      : sheet->tokens.rows);
    sheet->cell = side > most ? side / most : 1;
    sheet->panel_x = sheet->cell * (int)sheet->tokens.columns;
    sheet->panel_y = sheet->cell * (int)sheet->tokens.rows;
    sheet->pitch = sheet->panel_x + GAP;
    sheet->across = 1;
    const int width = 2 * MARGIN + n * sheet->panel_x + (n - 1) * GAP;
    sheet->width = even(width > LEAST_WIDTH ? width : LEAST_WIDTH);
    sheet->height = even(HEADER + LINE + sheet->panel_y + CAPTION + LINE + MARGIN);
}

// Pixels for each of n panels beside each other.
static int room_for(int n) {
    enum { GAP = 8 };
    return (WIDTH - 2 * MARGIN - (n - 1) * GAP) / n;
}

// Eight panels in a line where their cells are large enough; else four, or as many as have room at all.
static void plan_still(struct sheet *sheet) {
    enum { FEW = 4, MANY = 8, SMALLEST_CELL = 12 };
    const int columns = (int)sheet->tokens.columns, steps = (int)sheet->tokens.steps;
    sheet->across = room_for(MANY) / columns < SMALLEST_CELL ? FEW : MANY;
    while (sheet->across > 1 && room_for(sheet->across) < columns) sheet->across /= 2;
    const int room = room_for(sheet->across);
    sheet->cell = room > columns ? room / columns : 1;
    sheet->panel_x = sheet->cell * columns;
    sheet->panel_y = sheet->cell * (int)sheet->tokens.rows;
    sheet->pitch = sheet->across > 1 ? (room_for(1) - sheet->panel_x) / (sheet->across - 1) : 0;
    const int lines = (steps + sheet->across - 1) / sheet->across;
    const int section = LINE + lines * (sheet->panel_y + CAPTION) + BETWEEN;
    sheet->width = WIDTH;
    sheet->height = even(HEADER + (int)sheet->n_sections * section + MARGIN - BETWEEN);
}

void sheet_plan(struct sheet *sheet) {
    sheet->n_sections = 0;
    sheet->sections[sheet->n_sections++] = PANEL_FRAME;
    if (sheet->kept) sheet->sections[sheet->n_sections++] = PANEL_KEPT;
    if (sheet->merged) sheet->sections[sheet->n_sections++] = PANEL_MERGED;
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
    const int number = picture_text_width(large, text);
    picture_text(picture, right - number, y, large, INK, text);
    int wide = put_text(picture, right - BAR, y, large, INK, words->answer, BAR - number - 12);
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
    put_text(picture, MARGIN, y + MARGIN, large, INK, words->title, left - MARGIN - APART);
    put_text(picture, MARGIN, y + MARGIN + 26, small, SOFT, words->subtitle, left - MARGIN - APART);
    int x = MARGIN;
    for (size_t i = 0; i < words->n_tiles && x < sheet->width - MARGIN; i++) {
        const struct sheet_tile *tile = &words->tiles[i];
        const int room = sheet->width - MARGIN - x;
        const int a = put_text(picture, x, y + 78, small, SOFT, tile->label, room);
        const int b = put_text(picture, x, y + 95, middle, INK, tile->value, room);
        x += (a > b ? a : b) + APART;
    }
}

/* ---- legends ------------------------------------------------------------------------------- */

// Each draws at x, or only measures where there is no picture, and returns what comes after it.
static int legend_text(struct picture *picture, int x, int y, const char *text) {
    if (picture) picture_text(picture, x, y, small, SOFT, text);
    return x + picture_text_width(small, text);
}

static int legend_box(struct picture *picture, int x, int y, int width, colour ink, colour edge) {
    enum { SIDE = 12 };
    if (picture) picture_fill(picture, x, y - 1, width, SIDE, edge);
    if (picture) picture_fill(picture, x + 1, y, width - 2, SIDE - 2, ink);
    return x + width;
}

static int legend_dropped(struct picture *picture, int x, int y) {
    const colour dark = panel_dimmed(0x909090);
    x = legend_box(picture, x + 20, y, 12, dark, dark);
    return legend_text(picture, x + 6, y, "dropped");
}

static int legend_kept(struct picture *picture, int x, int y, uint32_t longest) {
    enum { MOST = 16, EACH = 12 };
    char text[32];
    const uint32_t n = longest < MOST ? longest : MOST;
    x = legend_text(picture, x, y, "1") + 6;
    for (uint32_t i = 0; i < n; i++) {
        const colour heat = heat_colour(n > 1 ? 1 + i * (longest - 1) / (n - 1) : 1, longest);
        x = legend_box(picture, x, y, EACH, heat, heat);
    }
    snprintf(text, sizeof text, "%u tubelets", (unsigned)longest);
    x = legend_text(picture, x + 6, y, text);
    return legend_dropped(picture, x, y);
}

static int legend_merged(struct picture *picture, int x, int y, bool dropped) {
    x = legend_box(picture, x, y, 18, 0xa8927c, PANEL_OUTLINE);
    x = legend_text(picture, x + 6, y, "merged: mean colour");
    return dropped ? legend_dropped(picture, x, y) : x;
}

static int legend(const struct sheet *sheet, struct picture *picture, int x, int y,
                  enum panel_kind kind) {
    if (kind == PANEL_KEPT) return legend_kept(picture, x, y, sheet->tokens.steps);
    if (kind == PANEL_MERGED) return legend_merged(picture, x, y, sheet->kept);
    return x;
}

/* ---- sections ------------------------------------------------------------------------------ */

static const char *heading(enum panel_kind kind) {
    switch (kind) {
    case PANEL_KEPT: return "Kept by RLT, and for how long";
    case PANEL_MERGED: return "Merged by ToMe";
    default: return "What the model saw";
    }
}

static void put_panel(const struct sheet *sheet, struct picture *picture, int x, int y,
                      enum panel_kind kind, uint32_t frame) {
    const struct token_map *map = &sheet->tokens;
    const uint32_t step = frame / map->tubelet;
    char caption[64];
    if (kind == PANEL_KEPT)
        snprintf(caption, sizeof caption, "%u kept", (unsigned)token_map_kept(map, step));
    else if (kind == PANEL_MERGED)
        snprintf(caption, sizeof caption, "%u merged", (unsigned)token_map_merged(map, step));
    else
        snprintf(caption, sizeof caption, "%.2f s", sheet->times[frame]);
    panel_draw(picture, x, y, sheet->cell, kind, map, sheet->clip, frame);
    picture_text(picture, x, y + sheet->panel_y + 6, small, SOFT, caption);
}

static void put_still(const struct sheet *sheet, struct picture *picture, int y) {
    for (size_t i = 0; i < sheet->n_sections; i++) {
        const enum panel_kind kind = sheet->sections[i];
        const int wide = legend(sheet, NULL, 0, 0, kind);
        picture_text(picture, MARGIN, y, middle, INK, heading(kind));
        legend(sheet, picture, sheet->width - MARGIN - wide, y + 1, kind);
        y += LINE;
        for (uint32_t step = 0; step < sheet->tokens.steps; step++) {
            const int column = (int)step % sheet->across;
            put_panel(sheet, picture, MARGIN + column * sheet->pitch, y, kind,
                      step * sheet->tokens.tubelet);
            if (column + 1 == sheet->across || step + 1 == sheet->tokens.steps)
                y += sheet->panel_y + CAPTION;
        }
        y += BETWEEN;
    }
}

static void put_moving(const struct sheet *sheet, struct picture *picture, int y, uint32_t frame) {
    for (size_t i = 0; i < sheet->n_sections; i++) {
        const int x = MARGIN + (int)i * sheet->pitch;
        picture_text(picture, x, y, middle, INK, heading(sheet->sections[i]));
        put_panel(sheet, picture, x, y + LINE, sheet->sections[i], frame);
        legend(sheet, picture, x, y + LINE + sheet->panel_y + CAPTION, sheet->sections[i]);
    }
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
