#include "video/resize.h"

#include <math.h>
#include <string.h>

#include "core/checked.h"

/* ---- filters ------------------------------------------------------------------------------- */

static double triangle(double x) {
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

static double bicubic(double x) {
    const double a = -0.5;
    x = fabs(x);
    if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
    return 0.0;
}

static double sinc(double x) {
    if (x == 0.0) return 1.0;
    x *= 3.14159265358979323846;
    return sin(x) / x;
}

static double lanczos(double x) {
    return -3.0 <= x && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0;
}

static const struct {
    double (*weight)(double x);
    double support;
} filters[] = {
    [RESAMPLE_LANCZOS] = {lanczos, 3.0},
    [RESAMPLE_BILINEAR] = {triangle, 1.0},
    [RESAMPLE_BICUBIC] = {bicubic, 2.0},
};

/* ---- tables -------------------------------------------------------------------------------- */

enum { FRACTION_BITS = 22 };

static int32_t round_weight(double weight) {
    const double scaled = weight * (1 << FRACTION_BITS);
    return (int32_t)(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
}

// The window of one output index and its weights.
static struct resize_tap make_tap(int32_t *out, double *weights, size_t i,
                                  const struct resize_pass *pass) {
    const double scale = (double)pass->n_in / (double)pass->n_out, widened = fmax(scale, 1.0);
    const double support = filters[pass->resample].support * widened;
    const double centre = ((double)i + 0.5) * scale;
    const double low = centre - support + 0.5, high = centre + support + 0.5;
    const size_t first = low < 0 ? 0 : (size_t)low;
    const size_t end = high > (double)pass->n_in ? pass->n_in : (size_t)high;
    const size_t n = end - first;
    double sum = 0.0;
    for (size_t j = 0; j < n; j++) {
        weights[j] =
            filters[pass->resample].weight(((double)(j + first) - centre + 0.5) * (1.0 / widened));
        sum += weights[j];
    }
    for (size_t j = 0; j < n; j++)
        out[j] = round_weight(sum != 0.0 ? weights[j] / sum : weights[j]);
    return (struct resize_tap){.first = (uint32_t)first, .n = (uint32_t)n};
}

static void free_pass(struct memory *memory, struct resize_pass *pass) {
    mem_free(memory, pass->taps);
    mem_free(memory, pass->weights);
    *pass = (struct resize_pass){0};
}

static int make_pass(struct resize_pass *pass, struct memory *memory, size_t n_in, size_t n_out,
                     enum resample resample, vdt_error *error) {
    if (pass->taps && pass->n_in == n_in && pass->n_out == n_out && pass->resample == resample)
        return VDT_OK;
    free_pass(memory, pass);
    const double scale = fmax((double)n_in / (double)n_out, 1.0);
    struct resize_pass made = {.n_in = n_in, .n_out = n_out, .resample = resample};
    made.max_taps = (size_t)ceil(filters[resample].support * scale) * 2 + 1;
    double *weights = mem_alloc(memory, made.max_taps, sizeof *weights, "resize", error);
    made.taps = mem_alloc(memory, n_out, sizeof *made.taps, "resize", error);
    size_t count;
    if (checked_multiply(&count, n_out, made.max_taps)) {
        made.weights = mem_alloc(memory, count, sizeof *made.weights, "resize", error);
    }
    if (!weights || !made.taps || !made.weights) {
        mem_free(memory, weights);
        free_pass(memory, &made);
        return status_fail(error, VDT_ERROR_MEMORY, "resize: tables of %zu to %zu are too large",
                           n_in, n_out);
    }
    for (size_t i = 0; i < n_out; i++) {
        made.taps[i] = make_tap(made.weights + i * made.max_taps, weights, i, &made);
    }
    mem_free(memory, weights);
    *pass = made;
    return VDT_OK;
}

/* ---- passes -------------------------------------------------------------------------------- */

static void copy_rows(uint8_t *out, size_t out_stride, const uint8_t *in, size_t in_stride,
                      size_t rows, size_t bytes) {
    for (size_t y = 0; y < rows; y++) memcpy(out + y * out_stride, in + y * in_stride, bytes);
}

// The wanted columns of rows [first, first + rows) of in.
static void run_columns(const struct resize *resize, uint8_t *out, size_t out_stride,
                        const uint8_t *in, size_t in_stride, size_t rows, struct rectangle wanted) {
    const struct resize_pass *x = &resize->x;
    for (size_t row = 0; row < rows; row++) {
        resize->kernels->resize_row_u8(out + row * out_stride, in + row * in_stride, wanted.width,
                                       x->taps + wanted.x, x->weights + wanted.x * x->max_taps,
                                       x->max_taps);
    }
}

// The wanted rows; `in` holds input rows from `first` on, already as wide as wanted.
static void run_rows(const struct resize *resize, uint8_t *out, size_t out_stride,
                     const uint8_t *in, size_t in_stride, size_t first, struct rectangle wanted) {
    const struct resize_pass *y = &resize->y;
    for (size_t row = 0; row < wanted.height; row++) {
        const struct resize_tap tap = y->taps[wanted.y + row];
        resize->kernels->resize_column_u8(
            out + row * out_stride, in + (tap.first - first) * in_stride, in_stride,
            y->weights + (wanted.y + row) * y->max_taps, tap.n, 3 * wanted.width);
    }
}

static int grow_middle(struct resize *resize, size_t rows, size_t stride, vdt_error *error) {
    size_t bytes;
    if (!checked_multiply(&bytes, rows, stride)) {
        return status_fail(error, VDT_ERROR_MEMORY, "resize: %zu rows are too large", rows);
    }
    if (bytes <= resize->middle_bytes) return VDT_OK;
    mem_free(resize->memory, resize->middle);
    resize->middle_bytes = 0;
    resize->middle = mem_alloc_raw(resize->memory, bytes, 1, "resize", error);
    if (!resize->middle) return VDT_ERROR_MEMORY;
    resize->middle_bytes = bytes;
    return VDT_OK;
}

// Both directions change: the horizontal pass over the input rows that the wanted rows read, then
// the vertical one.
static int run_both(struct resize *resize, uint8_t *out, size_t out_stride, const uint8_t *in,
                    size_t in_stride, struct rectangle wanted, vdt_error *error) {
    const struct resize_tap top = resize->y.taps[wanted.y],
                            bottom = resize->y.taps[wanted.y + wanted.height - 1];
    const size_t first = top.first, rows = bottom.first + bottom.n - first,
                 stride = 3 * wanted.width;
    const int status = grow_middle(resize, rows, stride, error);
    if (status) return status;
    run_columns(resize, resize->middle, stride, in + first * in_stride, in_stride, rows, wanted);
    run_rows(resize, out, out_stride, resize->middle, stride, first, wanted);
    return VDT_OK;
}

// Pillow walks in steps of the scale, so its rounding is that of repeated addition.
static void run_nearest(uint8_t *out, size_t out_stride, size_t out_width, size_t out_height,
                        struct rectangle wanted, const uint8_t *in, size_t in_stride,
                        size_t in_width, size_t in_height) {
    const double step_x = (double)in_width / (double)out_width,
                 step_y = (double)in_height / (double)out_height;
    double at_y = step_y * 0.5;
    for (size_t y = 0; y < wanted.y + wanted.height; y++, at_y += step_y) {
        if (y < wanted.y) continue;
        const uint8_t *row = in + min_size((size_t)at_y, in_height - 1) * in_stride;
        uint8_t *to = out + (y - wanted.y) * out_stride;
        double at_x = step_x * 0.5;
        for (size_t x = 0; x < wanted.x + wanted.width; x++, at_x += step_x) {
            if (x < wanted.x) continue;
            memcpy(to + 3 * (x - wanted.x), row + 3 * min_size((size_t)at_x, in_width - 1), 3);
        }
    }
}

int resize_run(struct resize *resize, uint8_t *out, size_t out_stride, size_t out_width,
               size_t out_height, struct rectangle wanted, const uint8_t *in, size_t in_stride,
               size_t in_width, size_t in_height, enum resample resample, vdt_error *error) {
    const bool across = out_width != in_width, down = out_height != in_height;
    if (!across && !down) {
        copy_rows(out, out_stride, in + wanted.y * in_stride + 3 * wanted.x, in_stride,
                  wanted.height, 3 * wanted.width);
        return VDT_OK;
    }
    if (resample == RESAMPLE_NEAREST) {
        run_nearest(out, out_stride, out_width, out_height, wanted, in, in_stride, in_width,
                    in_height);
        return VDT_OK;
    }
    int status = VDT_OK;
    if (across)
        status = make_pass(&resize->x, resize->memory, in_width, out_width, resample, error);
    if (!status && down)
        status = make_pass(&resize->y, resize->memory, in_height, out_height, resample, error);
    if (status) return status;
    if (across && down) return run_both(resize, out, out_stride, in, in_stride, wanted, error);
    if (across) {
        run_columns(resize, out, out_stride, in + wanted.y * in_stride, in_stride, wanted.height,
                    wanted);
    } else {
        run_rows(resize, out, out_stride, in + 3 * wanted.x, in_stride, 0, wanted);
    }
    return VDT_OK;
}

void resize_free(struct resize *resize) {
    if (!resize->memory) return;
    free_pass(resize->memory, &resize->x);
    free_pass(resize->memory, &resize->y);
    mem_free(resize->memory, resize->middle);
    *resize = (struct resize){0};
}
