// A quantity that changes from frame to frame, kept at a bounded size and drawn as a curve.
#ifndef VIDETTE_TOOLS_CURVE_H
#define VIDETTE_TOOLS_CURVE_H

#include <stdbool.h>
#include <stdint.h>

#include "picture.h"

enum { CURVE_MOST = 2048 };

// Sliding: the last `span` values, one a frame. Else all frames there were: where there are more than CURVE_MOST
// values, neighbours become their mean.
struct curve {
    uint32_t span;                                // 2..CURVE_MOST frames that slide; 0: all
    double values[CURVE_MOST], times[CURVE_MOST]; // (n) seconds at which each begins
    uint32_t n;
    uint64_t frames; // that a value stands for
    double sum;      // of the frames that are not a value yet
    uint64_t pending;
    double last; // time of the last frame
};

void curve_start(struct curve *curve, uint32_t span);
void curve_add(struct curve *curve, double value, double time);

struct curve_look {
    double limit;          // a dashed line, > 0
    const char *name;      // of the limit
    const char *unit;      // of numbers on the axis
    const uint64_t *marks; // (n_marks) frames to point out, counted from the first one
    uint32_t n_marks;
    bool head; // points out the last value
};

// Axis and all, within width x height from (x, y) on.
void curve_draw(const struct curve *curve, const struct curve_look *look, struct picture *picture,
                int x, int y, int width, int height);

#endif
