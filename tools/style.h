// How the pages of vidette view look: colours and heights of capitals.
#ifndef VIDETTE_TOOLS_STYLE_H
#define VIDETTE_TOOLS_STYLE_H

enum { GROUND = 0xffffff, INK = 0x1b1f24, SOFT = 0x59636e, PALE = 0xd8dee4, ACCENT = 0x3b5bdb };

#define LARGE_TEXT  15.0
#define MIDDLE_TEXT 12.0
#define SMALL_TEXT  9.5
#define TINY_TEXT   8.0

#endif
