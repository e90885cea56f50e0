// A picture in memory, 8-bit RGB, and what is drawn on it. Whatever falls outside is cut off.
#ifndef VIDETTE_TOOLS_PICTURE_H
#define VIDETTE_TOOLS_PICTURE_H

#include <stddef.h>
#include <stdint.h>

typedef uint32_t colour; // 0xRRGGBB

struct picture {
    int width, height;
    uint8_t *rgb; // (height, width, 3)
};

// Adds rows below, whatever they hold; an empty picture, zeroed but for its width, begins so. Returns 0, or -1
// after a message.
int picture_grow(struct picture *picture, int rows);
void picture_close(struct picture *picture);

uint8_t *picture_at(const struct picture *picture, int x, int y); // inside only

// Weight of b, 0..256.
colour colour_mix(colour a, colour b, unsigned weight);

void picture_fill(struct picture *picture, int x, int y, int width, int height, colour ink);

// A column's pixels from row `top` to row `bottom`, the ends as much as they are covered.
void picture_column(struct picture *picture, int x, double top, double bottom, colour ink);

// Letters `size` pixels tall from the baseline to the top of a capital, which stands at y.
void picture_text(struct picture *picture, int x, int y, double size, colour ink, const char *text);
int picture_text_width(double size, const char *text);

#endif
