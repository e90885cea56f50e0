// Matrix products on matrix units (AMX): bf16 and int8.
//
// A tile register holds 16 rows of 64 bytes: of A 16 rows x 16 lanes, of B 16 lanes x 16 columns as they lie
// in a panel, of C 16 x 16 sums. Of the eight registers four hold sums, so that each operand that is loaded is
// used twice:
//
//                 B6   B7                                B6   B7   B6   B7
//            A4 |  0 |  1 |   rows 0..15            A4 |  0 |  1 |  2 |  3 |   up to 16 rows: B is
//            A5 |  2 |  3 |   rows 16..31                                      passed over once
//
// The units are faster than the second cache. So lanes are taken in blocks, of which a group's rows and a panel's
// columns stay in the first one. Lanes past the last whole step, and rows that do not lie at equal distances, are
// copied together first.
//
// A tile's sum is rounded to f32 every 16 lanes, so bf16 lanes may be cut there and nowhere else.
#include <string.h>

#include "kernels/kernels.h"
#include "kernels/x86/inlined.h"
#include "kernels/x86/lanes_avx512.h"

enum {
    TILE = 16,        // rows, lanes or columns of a register
    GROUP = 2 * TILE, // rows that are multiplied together
    PANEL = 4 * TILE,
    PANEL_BYTES = PANEL * LANE_BYTES, // of one lane
    TILE_BYTES = TILE * LANE_BYTES,   // of one row
    BLOCK = 6 * TILE,                 // lanes
};

/* ---- instructions -------------------------------------------------------------------------- */

// Registers are named in the instructions themselves; memory is clobbered so that no store is moved past a
// load that the compiler does not see.
#define TILE_ZERO(c) __asm__ volatile("tilezero %%tmm" #c::)
#define TILE_LOAD(t, at, bytes)                                                                    \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #t ::"r"(at), "r"(bytes) : "memory")
#define TILE_STORE(t, at, bytes)                                                                   \
    __asm__ volatile("tilestored %%tmm" #t ", (%0,%1,1)" ::"r"(at), "r"(bytes) : "memory")
#define TILE_DOT(c, a, b, format)                                                                  \
    do {                                                                                           \
        if ((format) == FORMAT_BF16)                                                               \
            __asm__ volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #c::);                    \
        else                                                                                       \
            __asm__ volatile("tdpbsud %%tmm" #b ", %%tmm" #a ", %%tmm" #c::);                      \
    } while (0)

// Shapes of the registers for groups of `rows` rows.
static void configure(size_t rows) {
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } shapes = {.palette = 1};
    // Sums 2 and 3 and rows 5 are those of the lower half; of up to 16 rows there is none, and the sums are the upper's.
    const uint8_t upper = (uint8_t)(rows < TILE ? rows : TILE),
                  lower = (uint8_t)(rows > TILE ? rows - TILE : upper);
    const uint8_t heights[8] = {upper, upper, lower, lower, upper, lower, TILE, TILE};
    memcpy(shapes.rows, heights, sizeof heights);
    for (size_t i = 0; i < 8; i++) shapes.row_bytes[i] = TILE_BYTES;
    __asm__ volatile("ldtilecfg %0" ::"m"(shapes));
}

static void release(void) {
    __asm__ volatile("tilerelease" ::);
}

/* ---- steps --------------------------------------------------------------------------------- */

// What is fetched meanwhile: the next panel, some cache lines a step, and the rows that a group's sums go into.
struct ahead {
    const unsigned char *at, *end;
    size_t a_step; // bytes
    const unsigned char *row, *rows_end;
    size_t row_bytes, width;
};

enum { ROWS_A_STEP = 3 }; // of a group in a block: 32 in 12 steps

INLINED void fetch_ahead(struct ahead *ahead) {
    if (ahead->at < ahead->end) {
        for (size_t i = 0; i < ahead->a_step; i += CACHE_LINE)
            _mm_prefetch(ahead->at + i, _MM_HINT_T1);
        ahead->at += ahead->a_step;
    }
    for (size_t i = 0; i < ROWS_A_STEP && ahead->row < ahead->rows_end; i++) {
        for (size_t j = 0; j < ahead->width; j += CACHE_LINE)
            _mm_prefetch(ahead->row + j, _MM_HINT_T0);
        ahead->row += ahead->row_bytes;
    }
}

// Rows of A from one lane on, at equal distances.
struct strided {
    const unsigned char *at;
    size_t bytes;
};

// The sums of 17 to 32 rows with one or two vectors of columns, `steps` of 16 lanes more.
INLINED void tall(unsigned char *c, size_t c_bytes, bool started, struct strided a,
                  const unsigned char *b, size_t steps, struct ahead *ahead, const int vectors,
                  const enum format format) {
    unsigned char *lower = c + TILE * c_bytes;
    if (started) {
        TILE_LOAD(0, c, c_bytes);
        TILE_LOAD(2, lower, c_bytes);
        if (vectors > 1) TILE_LOAD(1, c + TILE_BYTES, c_bytes);
        if (vectors > 1) TILE_LOAD(3, lower + TILE_BYTES, c_bytes);
    } else {
        TILE_ZERO(0);
        TILE_ZERO(2);
        if (vectors > 1) TILE_ZERO(1);
        if (vectors > 1) TILE_ZERO(3);
    }
    const size_t b_bytes = PANEL_BYTES;
    const unsigned char *a_lower = a.at + TILE * a.bytes;
    for (size_t i = 0; i < steps; i++, b += TILE * PANEL_BYTES) {
        TILE_LOAD(6, b, b_bytes);
        TILE_LOAD(4, a.at + i * TILE_BYTES, a.bytes);
        TILE_DOT(0, 4, 6, format);
        if (vectors > 1) TILE_LOAD(7, b + TILE_BYTES, b_bytes);
        if (vectors > 1) TILE_DOT(1, 4, 7, format);
        TILE_LOAD(5, a_lower + i * TILE_BYTES, a.bytes);
        TILE_DOT(2, 5, 6, format);
        fetch_ahead(ahead);
        if (vectors > 1) TILE_DOT(3, 5, 7, format);
    }
    TILE_STORE(0, c, c_bytes);
    TILE_STORE(2, lower, c_bytes);
    if (vectors > 1) TILE_STORE(1, c + TILE_BYTES, c_bytes);
    if (vectors > 1) TILE_STORE(3, lower + TILE_BYTES, c_bytes);
}

// The sums of up to 16 rows with up to four vectors.
INLINED void flat(unsigned char *c, size_t c_bytes, bool started, struct strided a,
                  const unsigned char *b, size_t steps, struct ahead *ahead, const int vectors,
                  const enum format format) {
    if (started) {
        TILE_LOAD(0, c, c_bytes);
        if (vectors > 1) TILE_LOAD(1, c + TILE_BYTES, c_bytes);
        if (vectors > 2) TILE_LOAD(2, c + 2 * TILE_BYTES, c_bytes);
        if (vectors > 3) TILE_LOAD(3, c + 3 * TILE_BYTES, c_bytes);
    } else {
        TILE_ZERO(0);
        TILE_ZERO(1);
        TILE_ZERO(2);
        TILE_ZERO(3);
    }
    const size_t b_bytes = PANEL_BYTES;
    for (size_t i = 0; i < steps; i++, b += TILE * PANEL_BYTES) {
        TILE_LOAD(4, a.at + i * TILE_BYTES, a.bytes);
        TILE_LOAD(6, b, b_bytes);
        TILE_DOT(0, 4, 6, format);
        if (vectors > 1) TILE_LOAD(7, b + TILE_BYTES, b_bytes);
        if (vectors > 1) TILE_DOT(1, 4, 7, format);
        fetch_ahead(ahead);
        if (vectors > 2) TILE_LOAD(6, b + 2 * TILE_BYTES, b_bytes);
        if (vectors > 2) TILE_DOT(2, 4, 6, format);
        fetch_ahead(ahead);
        if (vectors > 3) TILE_LOAD(7, b + 3 * TILE_BYTES, b_bytes);
        if (vectors > 3) TILE_DOT(3, 4, 7, format);
    }
    TILE_STORE(0, c, c_bytes);
    if (vectors > 1) TILE_STORE(1, c + TILE_BYTES, c_bytes);
    if (vectors > 2) TILE_STORE(2, c + 2 * TILE_BYTES, c_bytes);
    if (vectors > 3) TILE_STORE(3, c + 3 * TILE_BYTES, c_bytes);
}

// All of a group's columns.
INLINED void multiply(unsigned char *c, size_t c_bytes, bool started, size_t rows, struct strided a,
                      const unsigned char *b, size_t steps, size_t vectors, struct ahead *ahead,
                      const enum format format) {
    if (rows <= TILE) {
        switch (vectors) {
        case 1: flat(c, c_bytes, started, a, b, steps, ahead, 1, format); break;
        case 2: flat(c, c_bytes, started, a, b, steps, ahead, 2, format); break;
        case 3: flat(c, c_bytes, started, a, b, steps, ahead, 3, format); break;
        default: flat(c, c_bytes, started, a, b, steps, ahead, 4, format); break;
        }
        return;
    }
    for (size_t v = 0; v < vectors; v += 2) {
        const size_t at = v * TILE_BYTES;
        if (v + 1 < vectors)
            tall(c + at, c_bytes, started, a, b + at, steps, ahead, 2, format);
        else
            tall(c + at, c_bytes, started, a, b + at, steps, ahead, 1, format);
    }
}

/* ---- groups -------------------------------------------------------------------------------- */

// A call's share of one panel.
struct panel {
    float *c;
    size_t c_stride;
    const void *const *a;
    const unsigned char *b; // the panel
    size_t width, lanes;
    bool accumulate, equidistant; // equidistant: all rows of A
    struct ahead ahead;
    const struct upcoming *upcoming;
    // B's lanes past the last whole step, zeros behind them.
    _Alignas(CACHE_LINE) unsigned char tail[TILE * PANEL_BYTES];
};

static bool lie_evenly(const void *const *a, size_t rows) {
    for (size_t i = 2; i < rows; i++) {
        const uintptr_t distance = (uintptr_t)a[i] - (uintptr_t)a[i - 1];
        if (distance != (uintptr_t)a[1] - (uintptr_t)a[0]) return false;
    }
    return true;
}

// Rows of A that do not lie at equal distances, copied together.
static struct strided line_up(const void *const *a, size_t rows, size_t lane, size_t lanes,
                              unsigned char *copy) {
    const size_t bytes = lanes * LANE_BYTES;
    for (size_t i = 0; i < rows; i++)
        memcpy(copy + i * bytes, (const unsigned char *)a[i] + lane * LANE_BYTES, bytes);
    return (struct strided){copy, bytes};
}

// The same for fewer than TILE lanes, with zeros behind them.
static struct strided fill_up(const void *const *a, size_t rows, size_t lane, size_t lanes,
                              unsigned char *copy) {
    const __mmask16 there = first_avx512(lanes);
    for (size_t i = 0; i < rows; i++) {
        const unsigned char *row = (const unsigned char *)a[i] + lane * LANE_BYTES;
        _mm512_storeu_si512(copy + i * TILE_BYTES, _mm512_maskz_loadu_epi32(there, row));
    }
    return (struct strided){copy, TILE_BYTES};
}

// Sums of lanes [lane, lane + lanes) with a group's rows from `row` on.
INLINED void add_lanes(struct panel *panel, unsigned char *sums, size_t sums_bytes, bool started,
                       size_t row, size_t rows, size_t lane, size_t lanes,
                       const enum format format) {
    _Alignas(CACHE_LINE) unsigned char copy[GROUP * BLOCK * LANE_BYTES];
    const void *const *a = panel->a + row;
    const size_t vectors = (panel->width + TILE - 1) / TILE, end = lane + lanes;
    do {
        size_t some = (end - lane) / TILE * TILE;
        const unsigned char *b = panel->b + lane * PANEL_BYTES;
        struct strided x = {(const unsigned char *)a[0] + lane * LANE_BYTES,
                            rows > 1 ? (uintptr_t)a[1] - (uintptr_t)a[0] : 0};
        if (some == 0) {
            some = end - lane;
            b = panel->tail;
            x = fill_up(a, rows, lane, some, copy);
        } else if (!panel->equidistant) {
            some = some < BLOCK ? some : BLOCK;
            x = line_up(a, rows, lane, some, copy);
        }
        multiply(sums, sums_bytes, started, rows, x, b, b == panel->tail ? 1 : some / TILE, vectors,
                 &panel->ahead, format);
        started = true;
        lane += some;
    } while (lane < end);
}

INLINED void group_bf16(struct panel *panel, size_t row, size_t rows, size_t lane, size_t lanes) {
    float *c = panel->c + row * panel->c_stride;
    const bool started = panel->accumulate || lane > 0;
    if (panel->width % TILE == 0) {
        add_lanes(panel, (unsigned char *)c, panel->c_stride * sizeof *c, started, row, rows, lane,
                  lanes, FORMAT_BF16);
        return;
    }
    // Columns that end within a vector go by way of a whole one.
    _Alignas(CACHE_LINE) float sums[GROUP * PANEL];
    for (size_t i = 0; started && i < rows; i++)
        memcpy(sums + i * PANEL, c + i * panel->c_stride, panel->width * sizeof *c);
    add_lanes(panel, (unsigned char *)sums, PANEL_BYTES, started, row, rows, lane, lanes,
              FORMAT_BF16);
    for (size_t i = 0; i < rows; i++)
        memcpy(c + i * panel->c_stride, sums + i * PANEL, panel->width * sizeof *c);
}

// A row of sums with its offset and scale and those of the columns.
INLINED void scale_row(float *c, const unsigned char *sums, const int32_t *a,
                       const unsigned char *scales, size_t lanes, size_t width, bool accumulate) {
    float scale;
    memcpy(&scale, a + lanes, sizeof scale);
    const __m512i offset = _mm512_set1_epi32(a[lanes + 1]);
    for (size_t j = 0; j < width; j += TILE) {
        const __mmask16 there = first_avx512(width - j);
        const __m512 sum =
            _mm512_cvtepi32_ps(_mm512_add_epi32(_mm512_loadu_si512(sums + j * LANE_BYTES), offset));
        const __m512 value = _mm512_mul_ps(_mm512_mul_ps(sum, _mm512_set1_ps(scale)),
                                           _mm512_loadu_ps(scales + j * LANE_BYTES));
        _mm512_mask_storeu_ps(c + j, there,
                              accumulate ? _mm512_add_ps(_mm512_maskz_loadu_ps(there, c + j), value)
                                         : value);
    }
}

// Sums of int8 are integers until their last lane: in C's place, where that is free and wide enough.
static bool sums_in_place(const struct panel *panel) {
    return !panel->accumulate && panel->width % TILE == 0;
}

INLINED void group_i8(struct panel *panel, size_t row, size_t rows, size_t lane, size_t lanes) {
    _Alignas(CACHE_LINE) int32_t local[GROUP * PANEL];
    float *c = panel->c + row * panel->c_stride;
    const bool in_place = sums_in_place(panel);
    unsigned char *sums = in_place ? (unsigned char *)c : (unsigned char *)local;
    const size_t sums_bytes = in_place ? panel->c_stride * sizeof *c : PANEL_BYTES;
    add_lanes(panel, sums, sums_bytes, lane > 0, row, rows, lane, lanes, FORMAT_I8);
    if (lane + lanes < panel->lanes) return;
    const unsigned char *scales = panel->b + panel->lanes * PANEL_BYTES;
    for (size_t i = 0; i < rows; i++)
        scale_row(c + i * panel->c_stride, sums + i * sums_bytes, panel->a[row + i], scales,
                  panel->lanes, panel->width, panel->accumulate);
}

/* ---- panels -------------------------------------------------------------------------------- */

// The rows that a group's sums are finished into.
static void fetch_rows(struct panel *panel, size_t row, size_t rows) {
    const struct upcoming *upcoming = panel->upcoming;
    if (upcoming->width == 0) return;
    panel->ahead.row = upcoming->rows + row * upcoming->bytes;
    panel->ahead.rows_end = panel->ahead.row + rows * upcoming->bytes;
    panel->ahead.row_bytes = upcoming->bytes;
    panel->ahead.width = upcoming->width;
}

// Rows [first, end), groups of `rows`, block by block.
INLINED void pass(struct panel *panel, size_t first, size_t end, size_t rows,
                  const enum format format) {
    const size_t block = format == FORMAT_BF16 || sums_in_place(panel) ? BLOCK : panel->lanes;
    size_t lane = 0;
    do {
        const size_t lanes = panel->lanes - lane < block ? panel->lanes - lane : block;
        for (size_t row = first; row < end; row += rows) {
            const bool last = panel->upcoming && lane + lanes == panel->lanes;
            if (last) fetch_rows(panel, row, rows);
            if (format == FORMAT_BF16)
                group_bf16(panel, row, rows, lane, lanes);
            else
                group_i8(panel, row, rows, lane, lanes);
            if (last && panel->upcoming->complete)
                panel->upcoming->complete(panel->upcoming->argument, row, rows);
        }
        lane += block;
    } while (lane < panel->lanes);
}

// The lines of the upcoming panel number `index`, spread over the steps that `rows` rows take with this one.
static void fetch_panel(struct panel *panel, size_t rows, size_t index) {
    const size_t groups = (rows + GROUP - 1) / GROUP, steps = groups * 2 * (panel->lanes / TILE);
    const size_t lines = panel->lanes * (PANEL_BYTES / CACHE_LINE);
    if (!panel->upcoming || !panel->upcoming->panel || steps == 0) return;
    panel->ahead.at = panel->upcoming->panel + index * lines * CACHE_LINE;
    panel->ahead.end = panel->ahead.at + lines * CACHE_LINE;
    panel->ahead.a_step = (lines + steps - 1) / steps * CACHE_LINE;
}

static void copy_tail(struct panel *panel) {
    const size_t tail = panel->lanes % TILE;
    memcpy(panel->tail, panel->b + (panel->lanes - tail) * PANEL_BYTES, tail * PANEL_BYTES);
    memset(panel->tail + tail * PANEL_BYTES, 0, (TILE - tail) * PANEL_BYTES);
}

INLINED void product_amx(float *c, size_t c_stride, const void *const *a, size_t rows,
                         const void *panels, size_t panel_bytes, size_t n, size_t lanes,
                         bool accumulate, const struct upcoming *upcoming,
                         const enum format format) {
    struct panel panel;
    panel.a = a;
    panel.lanes = lanes;
    panel.c_stride = c_stride;
    panel.accumulate = accumulate;
    panel.upcoming = upcoming;
    panel.ahead = (struct ahead){0};
    panel.equidistant = lie_evenly(a, rows);
    // First whole groups of rows, then those that are left.
    for (size_t row = 0; row < rows && n > 0;) {
        const size_t left = rows - row, group = left < GROUP ? left : GROUP;
        const size_t end = left < GROUP ? rows : row + left / GROUP * GROUP;
        configure(group);
        for (size_t first = 0; first < n; first += PANEL) {
            panel.c = c + first;
            panel.b = (const unsigned char *)panels + first / PANEL * panel_bytes;
            panel.width = n - first < PANEL ? n - first : PANEL;
            if (row == 0) fetch_panel(&panel, end, first / PANEL);
            if (lanes % TILE != 0 || lanes == 0) copy_tail(&panel);
            pass(&panel, row, end, group, format);
        }
        release();
        row = end;
    }
}

static void product_bf16(float *c, size_t c_stride, const void *const *a, size_t rows,
                         const void *panels, size_t panel_bytes, size_t n, size_t lanes,
                         bool accumulate, const struct upcoming *upcoming) {
    product_amx(c, c_stride, a, rows, panels, panel_bytes, n, lanes, accumulate, upcoming,
                FORMAT_BF16);
}

static void product_i8(float *c, size_t c_stride, const void *const *a, size_t rows,
                       const void *panels, size_t panel_bytes, size_t n, size_t lanes,
                       bool accumulate, const struct upcoming *upcoming) {
    product_amx(c, c_stride, a, rows, panels, panel_bytes, n, lanes, accumulate, upcoming,
                FORMAT_I8);
}

void product_init_amx(struct kernels *table) {
    const struct product_sizes sizes = {.tile_rows = GROUP,
                                        .block_lanes = SIZE_MAX,
                                        .pass_lanes = 768,
                                        .task_rows = 208,
                                        .query_rows = 128,
                                        .copies_rows = true};
    table->sizes[FORMAT_BF16] = table->sizes[FORMAT_I8] = sizes;
    table->product[FORMAT_BF16] = product_bf16;
    table->product[FORMAT_I8] = product_i8;
}
