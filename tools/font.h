// Letters for pictures, drawn for this program, so that no font file is needed.
//
// A glyph is a bitmap 5 wide and 9 tall (7 above the baseline, 2 below). It is drawn as strokes: set pixels
// that touch are joined by lines, whose distance says how much of a picture's pixel is covered. So the same
// letters are smooth at any size. ASCII 32..126; every other byte is drawn as '?'.
#ifndef VIDETTE_TOOLS_FONT_H
#define VIDETTE_TOOLS_FONT_H

enum { FONT_COLUMNS = 5, FONT_ROWS = 9, FONT_BASELINE = 7 };

// Columns that a letter fills, from the first one that it uses; a blank fills 2.
int font_width(char letter);

// Distance of the point (x, y) from the letter's strokes, in columns, at most 2: x from its first column's
// middle, y from its first row's middle.
double font_distance(char letter, double x, double y);

#endif
