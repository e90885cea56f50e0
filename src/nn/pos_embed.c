#include "nn/pos_embed.h"

#include <math.h>
#include <string.h>

#include "core/checked.h"

void pos_embed_sinusoid(float *out, size_t n, size_t d) {
    for (size_t p = 0; p < n; p++) {
        for (size_t j = 0; j < d; j++) {
            const double angle = (double)p / pow(10000.0, (double)(2 * (j / 2)) / (double)d);
            out[p * d + j] = (float)(j % 2 == 0 ? sin(angle) : cos(angle));
        }
    }
}

// Keys' cubic convolution kernel (Keys 1981) with parameter a.
static double cubic(double x, double a) {
    x = fabs(x);
    if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
    if (x < 2.0) return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
    return 0.0;
}

// The taps of one output index: input indices first.. with weights; indices past an end are
// clamped, or (antialias) cut off and the rest normalised.
struct taps {
    ptrdiff_t first;
    size_t n;
    double scale, centre;
    bool antialias;
};

static struct taps make_taps(size_t out, size_t n_out, size_t n_in, bool antialias) {
    const double scale = (double)n_in / (double)n_out;
    struct taps taps = {.scale = scale, .antialias = antialias};
    if (antialias) {
        const double support = 2.0 * fmax(scale, 1.0);
        taps.centre = scale * ((double)out + 0.5);
        taps.first = (ptrdiff_t)fmax(floor(taps.centre - support + 0.5), 0.0);
        const double end = fmin(floor(taps.centre + support + 0.5), (double)n_in);
        taps.n = (size_t)(end - (double)taps.first);
    } else {
        taps.centre = scale * ((double)out + 0.5) - 0.5;
        taps.first = (ptrdiff_t)floor(taps.centre) - 1;
        taps.n = 4;
    }
    return taps;
}

static double tap_weight(const struct taps *taps, size_t i) {
    const double at = (double)(taps->first + (ptrdiff_t)i);
    if (!taps->antialias) return cubic(at - taps->centre, -0.75);
    return cubic((at - taps->centre + 0.5) / fmax(taps->scale, 1.0), -0.5);
}

static double weight_sum(const struct taps *taps) {
    if (!taps->antialias) return 1.0;
    double sum = 0.0;
    for (size_t i = 0; i < taps->n; i++) sum += tap_weight(taps, i);
    return sum;
}

static size_t clamp_index(ptrdiff_t index, size_t n) {
    return index < 0 ? 0 : min_size((size_t)index, n - 1);
}

void pos_embed_resize_line(float *out, size_t n, const float *table, size_t in_n, size_t d) {
    for (size_t i = 0; i < n; i++) {
        const double at = fmax(((double)i + 0.5) * (double)in_n / (double)n - 0.5, 0.0);
        const size_t low = (size_t)at, high = min_size(low + 1, in_n - 1);
        const float share = (float)(at - (double)low);
        for (size_t c = 0; c < d; c++)
            out[i * d + c] = (1.0f - share) * table[low * d + c] + share * table[high * d + c];
    }
}

void pos_embed_resize(float *out, size_t h, size_t w, const float *table, size_t in_h, size_t in_w,
                      size_t d, bool antialias) {
    if (h == in_h && w == in_w) {
        memcpy(out, table, h * w * d * sizeof *out);
        return;
    }
    memset(out, 0, h * w * d * sizeof *out);
    for (size_t y = 0; y < h; y++) {
        const struct taps rows = make_taps(y, h, in_h, antialias);
        for (size_t x = 0; x < w; x++) {
            const struct taps columns = make_taps(x, w, in_w, antialias);
            const double norm = 1.0 / (weight_sum(&rows) * weight_sum(&columns));
            float *to = out + (y * w + x) * d;
            for (size_t i = 0; i < rows.n; i++) {
                const size_t row = clamp_index(rows.first + (ptrdiff_t)i, in_h);
                for (size_t j = 0; j < columns.n; j++) {
                    const size_t column = clamp_index(columns.first + (ptrdiff_t)j, in_w);
                    const float *from = table + (row * in_w + column) * d;
                    const float weight =
                        (float)(tap_weight(&rows, i) * tap_weight(&columns, j) * norm);
                    for (size_t c = 0; c < d; c++) to[c] += weight * from[c];
                }
            }
        }
    }
}
