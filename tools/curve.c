#include "curve.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "style.h"

/* ---- values -------------------------------------------------------------------------------- */

void curve_start(struct curve *curve, uint32_t span) {
    curve->span = span;
    curve->n = 0;
    curve->frames = 1;
    curve->pending = 0;
    curve->sum = curve->last = 0.0;
}

static void drop_first(struct curve *curve) {
    curve->n--;
    memmove(curve->values, curve->values + 1, curve->n * sizeof *curve->values);
    memmove(curve->times, curve->times + 1, curve->n * sizeof *curve->times);
}

static void halve(struct curve *curve) {
    for (uint32_t i = 0; i < CURVE_MOST / 2; i++) {
        curve->values[i] = (curve->values[2 * i] + curve->values[2 * i + 1]) / 2.0;
        curve->times[i] = curve->times[2 * i];
    }
    curve->n = CURVE_MOST / 2;
    curve->frames *= 2;
}

void curve_add(struct curve *curve, double value, double time) {
    if (curve->pending == 0) {
        if (curve->span > 0 && curve->n == curve->span) drop_first(curve);
        if (curve->n == CURVE_MOST) halve(curve);
        curve->times[curve->n] = time;
    }
    curve->last = time;
    curve->sum += value;
    if (++curve->pending < curve->frames) return;
    curve->values[curve->n++] = curve->sum / (double)curve->pending;
    curve->sum = 0.0;
    curve->pending = 0;
}

/* ---- drawing ------------------------------------------------------------------------------- */

struct plot {
    struct picture *picture;
    const struct curve *curve;
    int x, y, width, height; // of the area under the curve's highest place
    double top;              // the value there
    double span;             // values across
};

// The row of a value; those that are beyond all measure end at the top.
static double height_of(const struct plot *plot, double value) {
    return plot->y + plot->height * (1.0 - fmin(value / plot->top, 1.0));
}

static double column_of(const struct plot *plot, double i) { // the column of value i's middle
    return plot->x + (i + 0.5) * plot->width / plot->span;
}

static double between(const struct curve *curve, double i) {
    const double last = curve->n - 1.0, at = fmin(fmax(i, 0.0), last);
    const uint32_t left = (uint32_t)at, right = left + 1 < curve->n ? left + 1 : left;
    return curve->values[left] + (at - left) * (curve->values[right] - curve->values[left]);
}

// The curve at column `at`: between two values, or the mean of those that share a column.
static double value_at(const struct plot *plot, double at) {
    const double i = (at - plot->x) * plot->span / plot->width - 0.5;
    const double share = plot->span / plot->width;
    if (share <= 1.0) return between(plot->curve, i);
    const double first = fmax(ceil(i - share / 2.0), 0.0),
                 last = fmin(floor(i + share / 2.0), plot->curve->n - 1.0);
    double sum = 0.0;
    for (double k = first; k <= last; k += 1.0) sum += plot->curve->values[(uint32_t)k];
    return last < first ? between(plot->curve, i) : sum / (last - first + 1.0);
}

static void draw_line(const struct plot *plot) {
    const double half = 0.9; // of the line's thickness
    const int bottom = plot->y + plot->height;
    const int end = (int)ceil(column_of(plot, plot->curve->n - 1.0));
    const int begin = (int)column_of(plot, 0.0);
    for (int x = begin; x < end || x == begin; x++) {
        const double left = height_of(plot, value_at(plot, x)),
                     right = height_of(plot, value_at(plot, x + 1.0));
        const double high = fmin(left, right), low = fmax(left, right);
        picture_column(plot->picture, x, (left + right) / 2.0, bottom,
                       colour_mix(GROUND, ACCENT, 48));
        picture_column(plot->picture, x, high - half, low + half, ACCENT);
    }
}

static void draw_dot(const struct plot *plot, double i, double value) {
    const double radius = 4.0, x = column_of(plot, i), y = height_of(plot, value);
    for (int column = (int)(x - radius); column <= (int)(x + radius); column++) {
        const double off = column + 0.5 - x, rest = radius * radius - off * off;
        if (rest <= 0.0) continue;
        picture_column(plot->picture, column, y - sqrt(rest), y + sqrt(rest), ACCENT);
    }
}

static void draw_dashes(const struct plot *plot, int y) {
    enum { DASH = 6, GAP = 4 };
    for (int x = 0; x < plot->width; x += DASH + GAP) {
        const int left = plot->width - x;
        picture_fill(plot->picture, plot->x + x, y, left < DASH ? left : DASH, 1, SOFT);
    }
}

// A number on the axis, right-aligned beside its line.
static void put_number(const struct plot *plot, double value, const char *unit) {
    char text[48];
    snprintf(text, sizeof text, value == 0.0 ? "0" : "%.4g %s", value, unit);
    const int wide = picture_text_width(SMALL_TEXT, text);
    picture_text(plot->picture, plot->x - 8 - wide, (int)height_of(plot, value) - 5, SMALL_TEXT,
                 SOFT, text);
}

static void draw_axis(const struct plot *plot, const struct curve_look *look) {
    const int wide = picture_text_width(SMALL_TEXT, look->name);
    for (int i = 0; i <= 2; i++) {
        const double value = look->limit * i / 2.0;
        put_number(plot, value, look->unit);
        if (i < 2)
            picture_fill(plot->picture, plot->x, (int)height_of(plot, value), plot->width, 1, PALE);
    }
    draw_dashes(plot, (int)height_of(plot, look->limit));
    picture_text(plot->picture, plot->x + plot->width - wide,
                 (int)height_of(plot, look->limit) - 14, SMALL_TEXT, SOFT, look->name);
}

// The first and the last time, each below its place; the last one gives way.
static void put_times(const struct plot *plot) {
    const struct curve *curve = plot->curve;
    const int y = plot->y + plot->height + 7;
    char text[48];
    snprintf(text, sizeof text, "%.1f s", curve->times[0]);
    const int least = plot->x + picture_text_width(SMALL_TEXT, text) + 12;
    picture_text(plot->picture, plot->x, y, SMALL_TEXT, SOFT, text);
    snprintf(text, sizeof text, "%.1f s", curve->last);
    const int wide = picture_text_width(SMALL_TEXT, text);
    int x = (int)column_of(plot, curve->n - 1.0) - wide / 2;
    if (x > plot->x + plot->width - wide) x = plot->x + plot->width - wide;
    if (x >= least) picture_text(plot->picture, x, y, SMALL_TEXT, SOFT, text);
}

static void draw_marks(const struct plot *plot, const struct curve_look *look) {
    for (uint32_t i = 0; i < look->n_marks; i++) {
        const double at = (double)(look->marks[i] / plot->curve->frames);
        if (at < plot->curve->n) draw_dot(plot, at, plot->curve->values[(uint32_t)at]);
    }
    if (look->head) draw_dot(plot, plot->curve->n - 1.0, plot->curve->values[plot->curve->n - 1]);
}

void curve_draw(const struct curve *curve, const struct curve_look *look, struct picture *picture,
                int x, int y, int width, int height) {
    enum { NUMBERS = 52, TIMES = 20 }; // room for the axis' texts, on the left and below
    struct plot plot = {.picture = picture,
                        .curve = curve,
                        .x = x + NUMBERS,
                        .y = y,
                        .width = width - NUMBERS,
                        .height = height - TIMES,
                        .top = look->limit,
                        .span = curve->span > 0 ? curve->span : curve->n};
    if (curve->n == 0) return;
    for (uint32_t i = 0; i < curve->n; i++) plot.top = fmax(plot.top, curve->values[i]);
    plot.top = 1.2 * fmin(plot.top, 2.0 * look->limit);
    draw_axis(&plot, look);
    draw_line(&plot);
    put_times(&plot);
    draw_marks(&plot, look);
}
