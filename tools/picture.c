#include "picture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "font.h"

int picture_grow(struct picture *picture, int rows) {
    enum { MOST_ROWS = 65535 }; // what viewers of pictures open
    uint8_t *rgb = NULL;
    if (picture->height + rows > MOST_ROWS) {
        fprintf(stderr, "vidette: expected a picture of at most %d rows, found more\n", MOST_ROWS);
        return -1;
    }
    const size_t height = (size_t)picture->height + (size_t)rows;
    rgb = realloc(picture->rgb, height * (size_t)picture->width * 3);
    if (!rgb) {
        fprintf(stderr, "vidette: out of memory\n");
        return -1;
    }
    picture->rgb = rgb;
    picture->height += rows;
    return 0;
}

void picture_close(struct picture *picture) {
    free(picture->rgb);
    *picture = (struct picture){0};
}

uint8_t *picture_at(const struct picture *picture, int x, int y) {
    return picture->rgb + 3 * ((size_t)y * (size_t)picture->width + (size_t)x);
}

static unsigned channel(colour value, unsigned shift) {
    return value >> shift & 255u;
}

colour colour_mix(colour a, colour b, unsigned weight) {
    colour mixed = 0;
    for (unsigned shift = 0; shift <= 16; shift += 8) {
        const unsigned sum = channel(a, shift) * (256 - weight) + channel(b, shift) * weight;
        mixed |= (sum + 128) / 256 << shift;
    }
    return mixed;
}

static void put(uint8_t *pixel, colour ink) {
    for (unsigned i = 0; i < 3; i++) pixel[i] = (uint8_t)channel(ink, 16 - 8 * i);
}

static colour get(const uint8_t *pixel) {
    return (colour)pixel[0] << 16 | (colour)pixel[1] << 8 | pixel[2];
}

static int clamp(int value, int most) {
    return value < 0 ? 0 : value > most ? most : value;
}

void picture_fill(struct picture *picture, int x, int y, int width, int height, colour ink) {
    const int right = clamp(x + width, picture->width), bottom = clamp(y + height, picture->height);
    for (int row = clamp(y, picture->height); row < bottom; row++) {
        for (int column = clamp(x, picture->width); column < right; column++)
            put(picture_at(picture, column, row), ink);
    }
}

void picture_column(struct picture *picture, int x, double top, double bottom, colour ink) {
    if (x < 0 || x >= picture->width) return;
    const int end = clamp((int)ceil(fmin(bottom, picture->height)), picture->height);
    for (int y = (int)fmax(floor(top), 0.0); y < end; y++) {
        const double covered = fmin(bottom, y + 1.0) - fmax(top, y);
        uint8_t *pixel = picture_at(picture, x, y);
        if (covered > 0.0)
            put(pixel, colour_mix(get(pixel), ink, (unsigned)lround(256.0 * covered)));
    }
}

/* ---- text ---------------------------------------------------------------------------------- */

// Strokes are as wide as a letter of print has them: an eighth of its height.
static const double stroke = 0.56, space = 1.5; // half a stroke; columns between letters

static double step(double size) { // pixels a column
    return size / FONT_BASELINE;
}

static void draw_letter(struct picture *picture, double x, int y, double size, colour ink,
                        char letter) {
    const double scale = step(size);
    const int left = (int)floor(x), wide = (int)ceil((font_width(letter) + 1) * scale) + 1;
    const int tall = (int)ceil((FONT_ROWS + 1) * scale);
    for (int row = y - 1; row < y + tall; row++) {
        for (int column = left - 1; column < left + wide; column++) {
            if (row < 0 || column < 0 || row >= picture->height || column >= picture->width)
                continue;
            const double far = font_distance(letter, (column + 0.5 - x) / scale - 0.5,
                                             (row + 0.5 - y) / scale - 0.5);
            const double covered = fmin(1.0, fmax(0.0, (stroke - far) * scale + 0.5));
            uint8_t *pixel = picture_at(picture, column, row);
            put(pixel, colour_mix(get(pixel), ink, (unsigned)lround(256.0 * covered)));
        }
    }
}

void picture_text(struct picture *picture, int x, int y, double size, colour ink,
                  const char *text) {
    double at = x;
    for (; *text; text++) {
        draw_letter(picture, at, y, size, ink, *text);
        at += (font_width(*text) + space) * step(size);
    }
}

int picture_text_width(double size, const char *text) {
    double columns = 0.0;
    for (; *text; text++) columns += font_width(*text) + (text[1] ? space : 0.0);
    return (int)ceil(columns * step(size));
}
