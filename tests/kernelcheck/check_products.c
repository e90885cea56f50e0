// Rows in the formats of products, panels, and the products themselves.
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "kernels/bf16.h"

/* ---- the reference encoding ------------------------------------------------------------------ */

// What int8 numbers of a row are relative to: the largest, or of `pairs` the largest sum of two; NaN if one is.
static float reach(const float *x, size_t n, bool pairs) {
    float max = 0.0f;
    for (size_t i = 0; i < n; i++) {
        const float other = pairs && (i ^ 1) < n ? fabsf(x[i ^ 1]) : 0.0f,
                    size = fabsf(x[i]) + other;
        max = isnan(size) ? NAN : isnan(max) ? max : fmaxf(max, size);
    }
    return max;
}

// What kernels.h says of a row's encoding, number by number.
static void encode_reference(uint8_t *row, const float *x, size_t n, enum format format,
                             bool pairs) {
    const size_t lanes = format_lanes(format, n);
    memset(row, 0, format_row_bytes(format, n));
    const float max = reach(x, n, pairs);
    const float factor = max < 0x1p-100f ? 0.0f : 127.0f / max,
                scale = max < 0x1p-100f ? 0.0f : max / 127.0f;
    int32_t offset = 0;
    for (size_t i = 0; i < n; i++) {
        const uint16_t rounded = bf16_from_f32(x[i]);
        const int8_t q = isfinite(max) ? (int8_t)nearbyint((double)(x[i] * factor)) : 0;
        offset -= 128 * q;
        if (format == FORMAT_F32) memcpy(row + 4 * i, &x[i], 4);
        if (format == FORMAT_BF16) memcpy(row + 2 * i, &rounded, 2);
        if (format == FORMAT_I8) memcpy(row + i, &q, 1);
    }
    if (format == FORMAT_I8) memcpy(row + lanes * LANE_BYTES, &scale, 4);
    if (format == FORMAT_I8) memcpy(row + (lanes + 1) * LANE_BYTES, &offset, 4);
}

static void flip_numbers(uint8_t *row, size_t n, uint8_t flip) {
    for (size_t i = 0; i < format_lanes(FORMAT_I8, n) * LANE_BYTES; i++) row[i] ^= flip;
}

/* ---- encoding -------------------------------------------------------------------------------- */

static void check_rows(struct check *check, bool weights) {
    const enum format format = check->format;
    const bool pairs = weights && format == FORMAT_I8 && strcmp(check->kernels->name, "avx2") == 0;
    const uint8_t flip = weights ? check->kernels->weights_flip : check->kernels->rows_flip;
    static const float spreads[] = {1.0f, 1e-3f, 1e30f, 0.0f, 1e-38f};
    for (size_t n = 1; n < 150; n++) {
        for (size_t i = 0; i < sizeof spreads / sizeof *spreads; i++) {
            const size_t bytes = format_row_bytes(format, n);
            float *x = make_floats(n);
            uint8_t *row = make_bytes(bytes), *expected = make_bytes(bytes);
            random_floats(&check->random, x, n, -spreads[i], spreads[i]);
            if (n % 7 == 0) x[n / 2] = NAN;
            if (i == 0) x[random_size(&check->random, 0, n - 1)] = 3e-39f; // subnormal, alone
            if (n % 11 == 0 && format == FORMAT_I8) x[n / 3] = -INFINITY;
            if (weights)
                check->kernels->encode_weights[format](row, x, n);
            else
                check->kernels->encode[format](row, x, n);
            encode_reference(expected, x, n, format, pairs);
            if (format == FORMAT_I8) flip_numbers(expected, n, flip);
            expect(check, memcmp(row, expected, bytes) != 0, 0.0, "n %zu spread %zu %zu", n, i, 0);
            free(x);
            free(row);
            free(expected);
        }
    }
}

void check_encode(struct check *check) {
    check_rows(check, false);
}

void check_encode_weights(struct check *check) {
    check_rows(check, true);
}

/* ---- panels ---------------------------------------------------------------------------------- */

static uint32_t lane_at(const void *bytes, size_t lane) {
    uint32_t bits;
    memcpy(&bits, (const unsigned char *)bytes + lane * LANE_BYTES, sizeof bits);
    return bits;
}

// Rows become panels lane by lane.
void check_pack_rows(struct check *check) {
    const struct kernels *kernels = check->kernels;
    const size_t panel = kernels->panel;
    for (size_t trial = 0; trial < 200; trial++) {
        const size_t n = random_size(&check->random, 1, 3 * panel + 3),
                     lanes = random_size(&check->random, 1, 40);
        const size_t row_bytes = LANE_BYTES * lanes + random_size(&check->random, 0, 9);
        const size_t panels = (n + panel - 1) / panel,
                     in_bytes = (n - 1) * row_bytes + LANE_BYTES * lanes;
        uint8_t *in = make_bytes(in_bytes), *out = make_bytes(panels * lanes * panel * LANE_BYTES);
        random_bytes(&check->random, in, in_bytes);
        kernels->pack_rows(out, in, row_bytes, n, lanes);
        size_t wrong = 0;
        for (size_t i = 0; i < panels * lanes * panel; i++) {
            const size_t row = i / (lanes * panel) * panel + i % panel, lane = i / panel % lanes;
            wrong += lane_at(out, i) != (row < n ? lane_at(in + row * row_bytes, lane) : 0);
        }
        expect(check, (double)wrong, 0.0, "n %zu lanes %zu bytes %zu", n, lanes, row_bytes);
        free(in);
        free(out);
    }
}

// Columns of V (k, n): an f32 a lane, or two bf16 of the same column.
void check_pack_columns(struct check *check) {
    const enum format format = check->format;
    const struct kernels *kernels = check->kernels;
    const size_t panel = kernels->panel, element = format_bytes(format);
    for (size_t trial = 0; trial < 200; trial++) {
        const size_t n = random_size(&check->random, 1, 2 * panel + 3),
                     k = random_size(&check->random, 1, 20);
        const size_t stride = n + random_size(&check->random, 0, 3),
                     lanes = format_lanes(format, k);
        const size_t panels = (n + panel - 1) / panel, in_bytes = ((k - 1) * stride + n) * element;
        const size_t out_bytes = panels * lanes * panel * LANE_BYTES, group = 4 / element;
        uint8_t *in = make_bytes(in_bytes), *out = make_bytes(out_bytes);
        random_bytes(&check->random, in, in_bytes);
        kernels->pack_columns[format](out, in, stride, k, n);
        size_t wrong = 0;
        for (size_t i = 0; i < out_bytes / element; i++) {
            const size_t lane = i / group, column = lane / (lanes * panel) * panel + lane % panel;
            const size_t row = lane / panel % lanes * group + i % group;
            static const uint8_t zeros[4];
            const uint8_t *from =
                column < n && row < k ? in + (row * stride + column) * element : zeros;
            wrong += memcmp(out + i * element, from, element) != 0;
        }
        expect(check, (double)wrong, 0.0, "n %zu k %zu stride %zu", n, k, stride);
        free(in);
        free(out);
    }
}

/* ---- products -------------------------------------------------------------------------------- */

// Bytes that end where memory ends: instructions that a sanitizer does not see fault on what lies behind.
struct guarded {
    uint8_t *pages, *bytes;
    size_t n_pages;
};

static struct guarded make_guarded(const void *from, size_t n) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct guarded block = {.n_pages = (n + page - 1) / page + 1};
    block.pages = mmap(NULL, block.n_pages * page, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block.pages == MAP_FAILED) exit(1);
    mprotect(block.pages + (block.n_pages - 1) * page, page, PROT_NONE);
    block.bytes = block.pages + (block.n_pages - 1) * page - n;
    memcpy(block.bytes, from, n);
    return block;
}

static void free_guarded(struct guarded block) {
    munmap(block.pages, block.n_pages * (size_t)sysconf(_SC_PAGESIZE));
}

// One product: random numbers, the numbers that their encoding stands for, and the encoded operands.
struct product_case {
    enum format format;
    size_t rows, n, k, lanes, c_stride;
    double *a, *b; // (rows, k), (n, k): what is multiplied
    uint8_t **x;   // (rows) encoded rows: each a block of its own, or all in one at equal distances
    struct guarded together, panels;
    float *c, *before;
    bool accumulate, equidistant, extreme;
};

static double decode(const void *row, enum format format, size_t i, size_t lanes, uint8_t flip) {
    float scale;
    memcpy(&scale, (const uint8_t *)row + (format == FORMAT_I8 ? lanes : 0) * LANE_BYTES,
           sizeof scale);
    if (format == FORMAT_I8)
        return (double)(int8_t)(((const uint8_t *)row)[i] ^ flip) * (double)scale;
    if (format == FORMAT_BF16) return (double)bf16_to_f32(((const uint16_t *)row)[i]);
    return (double)((const float *)row)[i];
}

// Encodes a random row, or one of as large numbers as there are, into a block of its own.
static uint8_t *random_row(struct check *check, const struct product_case *p, double *values,
                           bool weights) {
    const size_t bytes = format_row_bytes(p->format, p->k);
    const uint8_t flip = weights ? check->kernels->weights_flip : check->kernels->rows_flip;
    float *row = make_floats(p->k);
    uint8_t *encoded = make_bytes(bytes);
    random_floats(&check->random, row, p->k, -1.0f, 1.0f);
    for (size_t i = 0; i < p->k && p->extreme; i++) row[i] = row[i] < 0.7f ? 1.0f : -1.0f;
    if (weights)
        check->kernels->encode_weights[p->format](encoded, row, p->k);
    else
        check->kernels->encode[p->format](encoded, row, p->k);
    for (size_t i = 0; i < p->k; i++) values[i] = decode(encoded, p->format, i, p->lanes, flip);
    free(row);
    return encoded;
}

// Moves the rows into one block, `gap` bytes between each two.
static void line_up(struct product_case *p, size_t row_bytes, size_t gap) {
    const size_t bytes = p->rows > 0 ? p->rows * row_bytes + (p->rows - 1) * gap : 0;
    uint8_t *block = make_bytes(bytes);
    for (size_t i = 0; i < p->rows; i++) {
        memcpy(block + i * (row_bytes + gap), p->x[i], row_bytes);
        free(p->x[i]);
    }
    p->together = make_guarded(block, bytes);
    free(block);
    for (size_t i = 0; i < p->rows; i++) p->x[i] = p->together.bytes + i * (row_bytes + gap);
}

static void make_product(struct check *check, struct product_case *p) {
    const struct kernels *kernels = check->kernels;
    const size_t panels = (p->n + kernels->panel - 1) / kernels->panel,
                 row_bytes = format_row_bytes(p->format, p->k),
                 panel_lanes = format_row_lanes(p->format, p->k);
    p->lanes = format_lanes(p->format, p->k);
    p->a = malloc(p->rows * p->k * sizeof *p->a + 1);
    p->b = malloc(p->n * p->k * sizeof *p->b + 1);
    p->x = malloc(p->rows * sizeof *p->x + 1);
    for (size_t i = 0; i < p->rows; i++) p->x[i] = random_row(check, p, p->a + i * p->k, false);
    uint8_t *w = make_bytes(p->n * row_bytes);
    for (size_t i = 0; i < p->n; i++) {
        uint8_t *row = random_row(check, p, p->b + i * p->k, true);
        memcpy(w + i * row_bytes, row, row_bytes);
        free(row);
    }
    const size_t bytes = panels * panel_lanes * kernels->panel * LANE_BYTES;
    uint8_t *packed = make_bytes(bytes);
    kernels->pack_rows(packed, w, row_bytes, p->n, panel_lanes);
    p->panels = make_guarded(packed, bytes);
    free(packed);
    free(w);
    if (p->equidistant) line_up(p, row_bytes, LANE_BYTES * random_size(&check->random, 0, 5));
    const size_t c_floats = p->rows > 0 ? (p->rows - 1) * p->c_stride + p->n : 0;
    p->c = make_floats(c_floats);
    p->before = make_floats(c_floats);
    random_floats(&check->random, p->before, c_floats, -1.0f, 1.0f);
    memcpy(p->c, p->before, c_floats * sizeof *p->c);
}

static void free_product(struct product_case *p) {
    for (size_t i = 0; i < p->rows && !p->equidistant; i++) free(p->x[i]);
    if (p->equidistant) free_guarded(p->together);
    free_guarded(p->panels);
    free(p->a);
    free(p->b);
    free(p->x);
    free(p->c);
    free(p->before);
}

enum { MOST_ROWS = 80 };

// Rows that a product has handed on: their values then, and how often.
struct handed_on {
    const struct product_case *p;
    const float *c; // of the call
    float *values;  // (rows, n)
    size_t *counts; // (rows)
};

static void take_rows(const void *argument, size_t first, size_t rows) {
    const struct handed_on *from = argument;
    const size_t n = from->p->n;
    for (size_t i = first; i < first + rows; i++) {
        memcpy(from->values + i * n, from->c + i * from->p->c_stride, n * sizeof *from->c);
        from->counts[i]++;
    }
}

// Lanes [lane, lane + lanes) of `rows` rows from `row` on.
static void run_product(const struct kernels *kernels, const struct product_case *p, float *c,
                        size_t row, size_t rows, size_t lane, size_t lanes, bool accumulate,
                        const struct handed_on *taken) {
    const void *x[MOST_ROWS];
    const struct upcoming upcoming = {.panel = p->panels.bytes,
                                      .rows = (const unsigned char *)c,
                                      .bytes = p->c_stride * sizeof *c,
                                      .width = p->n * sizeof *c,
                                      .complete = taken ? take_rows : NULL,
                                      .argument = taken};
    for (size_t i = 0; i < rows; i++) x[i] = p->x[row + i] + lane * LANE_BYTES;
    kernels->product[p->format](c + row * p->c_stride, p->c_stride, x, rows,
                                p->panels.bytes + lane * kernels->panel * LANE_BYTES,
                                format_row_lanes(p->format, p->k) * kernels->panel * LANE_BYTES,
                                p->n, lanes, accumulate, row % 2 || taken ? &upcoming : NULL);
}

// Each value against double; columns past n untouched.
static void check_product_values(struct check *check, const struct product_case *p) {
    for (size_t i = 0; i < p->rows; i++) {
        for (size_t j = 0; j < (i + 1 < p->rows ? p->c_stride : p->n); j++) {
            const size_t at = i * p->c_stride + j;
            double sum = p->accumulate || j >= p->n ? (double)p->before[at] : 0.0, size = fabs(sum);
            for (size_t l = 0; l < p->k && j < p->n; l++) {
                sum += p->a[i * p->k + l] * p->b[j * p->k + l];
                size += fabs(p->a[i * p->k + l] * p->b[j * p->k + l]);
            }
            // int8 sums are exact: the roundings of the sum, of its products with the scales and of C's sum remain.
            const double product = fabs(sum - (p->accumulate ? (double)p->before[at] : 0.0));
            const double chain = p->format == FORMAT_I8
                                     ? U * (3.0 * product + fabs(sum)) + 1e-15 * size
                                     : (double)(p->k + 1) * U * size;
            const double bound = j < p->n ? chain + (double)p->k * 1e-37 : 0.0;
            expect(check, fabs((double)p->c[at] - sum), bound, "rows %zu n %zu k %zu", p->rows,
                   p->n, p->k);
        }
    }
}

// The same bits row by row, and with k cut in two where the contract allows it.
static void check_product_bits(struct check *check, const struct product_case *p) {
    const size_t unit = p->format == FORMAT_BF16 ? PRODUCT_CUT : 1;
    const size_t c_floats = (p->rows - 1) * p->c_stride + p->n, half = p->lanes / 2 / unit * unit;
    float *c = make_floats(c_floats);
    memcpy(c, p->before, c_floats * sizeof *c);
    for (size_t i = 0; i < p->rows; i++)
        run_product(check->kernels, p, c, i, 1, 0, p->lanes, p->accumulate, NULL);
    expect(check, memcmp(c, p->c, c_floats * sizeof *c) != 0, 0.0,
           "single rows: rows %zu n %zu k %zu", p->rows, p->n, p->k);
    if (p->format != FORMAT_I8) {
        memcpy(c, p->before, c_floats * sizeof *c);
        run_product(check->kernels, p, c, 0, p->rows, 0, half, p->accumulate, NULL);
        run_product(check->kernels, p, c, 0, p->rows, half, p->lanes - half, true, NULL);
        expect(check, memcmp(c, p->c, c_floats * sizeof *c) != 0, 0.0,
               "cut k: rows %zu n %zu k %zu", p->rows, p->n, p->k);
    }
    free(c);
}

// Every row is handed on once, with the sums that stay.
static void check_handing_on(struct check *check, const struct product_case *p) {
    const size_t c_floats = (p->rows - 1) * p->c_stride + p->n;
    float *c = make_floats(c_floats);
    size_t counts[MOST_ROWS] = {0};
    const struct handed_on taken = {p, c, make_floats(p->rows * p->n), counts};
    memcpy(c, p->before, c_floats * sizeof *c);
    run_product(check->kernels, p, c, 0, p->rows, 0, p->lanes, p->accumulate, &taken);
    size_t wrong = memcmp(c, p->c, c_floats * sizeof *c) != 0;
    for (size_t i = 0; i < p->rows; i++) {
        wrong += counts[i] != 1;
        wrong += memcmp(taken.values + i * p->n, c + i * p->c_stride, p->n * sizeof *c) != 0;
    }
    expect(check, (double)wrong, 0.0, "handed on: rows %zu n %zu k %zu", p->rows, p->n, p->k);
    free(taken.values);
    free(c);
}

void check_product(struct check *check) {
    const enum format format = check->format;
    for (size_t trial = 0; trial < 400; trial++) {
        struct product_case p = {.format = format,
                                 .rows = random_size(&check->random, 0, trial % 4 ? 20 : MOST_ROWS),
                                 .n = random_size(&check->random, 1, 2 * check->kernels->panel + 5),
                                 .k = random_size(&check->random, 1, trial % 10 ? 70 : 700),
                                 .accumulate = trial % 2,
                                 .equidistant = trial % 3 == 0,
                                 .extreme = trial % 7 == 0};
        p.c_stride = p.n + random_size(&check->random, 0, 5);
        make_product(check, &p);
        run_product(check->kernels, &p, p.c, 0, p.rows, 0, p.lanes, p.accumulate, NULL);
        check_product_values(check, &p);
        if (p.rows > 0) check_product_bits(check, &p);
        if (p.rows > 0 && p.n <= check->kernels->panel) check_handing_on(check, &p);
        free_product(&p);
    }
}

double time_product(struct check *check) {
    const enum format format = check->format;
    struct product_case p = {
        .format = format, .rows = 48, .n = 256, .k = 512, .c_stride = 256, .equidistant = true};
    make_product(check, &p);
    double best = INFINITY;
    for (int i = 0; i < 20; i++) {
        const double start = clock_ms();
        run_product(check->kernels, &p, p.c, 0, p.rows, 0, p.lanes, false, NULL);
        best = fmin(best, clock_ms() - start);
    }
    free_product(&p);
    return 2.0 * 48 * 256 * 512 / best * 1e-6; // billion operations a second
}
