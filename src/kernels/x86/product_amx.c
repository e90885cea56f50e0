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
// The units are faster than the second cache. So bf16 lanes are taken in blocks, of which a group's rows and
// a panel's columns stay in the first one; int8 lanes are not cut: their sums are 32-bit until they are scaled.
// Lanes past the last whole step, and rows that do not lie at equal distances, are copied together first.
//
// A tile's sum is rounded to f32 every 16 lanes, so bf16 lanes may be cut there and nowhere else.
#include <string.h>

#include "kernels/kernels.h"
#include "kernels/x86/lanes_avx512.h"

enum {
    TILE = 16,        // rows, lanes or columns of a register
    GROUP = 2 * TILE, // rows that are multiplied together
    PANEL = 4 * TILE,
    PANEL_BYTES = PANEL * LANE_BYTES, // of one lane
    TILE_BYTES = TILE * LANE_BYTES,   // of one row
    BLOCK = 12 * TILE,                // lanes
};

#define INLINED static inline __attribute__((always_inline))

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
    const size_t upper = rows < TILE ? rows : TILE, lower = rows > TILE ? rows - TILE : TILE;
    const uint8_t heights[8] = {(uint8_t)upper,
                                (uint8_t)upper,
                                (uint8_t)(rows > TILE ? lower : upper),
                                (uint8_t)(rows > TILE ? lower : upper),
                                (uint8_t)upper,
                                (uint8_t)lower,
                                TILE,
                                TILE};
    for (size_t i = 0; i < 8; i++) {
        shapes.row_bytes[i] = TILE_BYTES;
        shapes.rows[i] = heights[i];
    }
    __asm__ volatile("ldtilecfg %0" ::"m"(shapes));
}

static void release(void) {
    __asm__ volatile("tilerelease" ::);
}

/* ---- steps --------------------------------------------------------------------------------- */

// What is fetched for the product that follows, some cache lines a step.
struct ahead {
    const unsigned char *at, *end;
    size_t a_step; // bytes
};

INLINED void fetch_ahead(struct ahead *ahead) {
    if (ahead->at >= ahead->end) return;
    for (size_t i = 0; i < ahead->a_step; i += CACHE_LINE) _mm_prefetch(ahead->at + i, _MM_HINT_T1);
    ahead->at += ahead->a_step;
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
    bool accumulate;
    struct ahead ahead;
    unsigned char tail[TILE * PANEL_BYTES]; // B's lanes past the last whole step, zeros behind them
};

// Where rows of A lie, from `lane` on: as they are if they lie at equal distances, else copied to `copy`.
static struct strided line_up(const void *const *a, size_t rows, size_t lane, size_t lanes,
                              unsigned char *copy) {
    const uintptr_t first = (uintptr_t)a[0];
    const size_t bytes = rows > 1 ? (uintptr_t)a[1] - first : 0;
    bool equal = true;
    for (size_t i = 2; i < rows; i++) equal = equal && (uintptr_t)a[i] - first == i * bytes;
    if (equal) return (struct strided){(const unsigned char *)a[0] + lane * LANE_BYTES, bytes};
    const size_t copy_bytes = lanes * LANE_BYTES;
    for (size_t i = 0; i < rows; i++)
        memcpy(copy + i * copy_bytes, (const unsigned char *)a[i] + lane * LANE_BYTES, copy_bytes);
    return (struct strided){copy, copy_bytes};
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
    unsigned char copy[GROUP * BLOCK * LANE_BYTES];
    const void *const *a = panel->a + row;
    const size_t vectors = (panel->width + TILE - 1) / TILE, end = lane + lanes;
    do {
        size_t whole = (end - lane) / TILE * TILE;
        struct strided x = {NULL, 0};
        if (whole > 0) {
            x = line_up(a, rows, lane, whole < BLOCK ? whole : BLOCK, copy);
            if (x.at == copy && whole > BLOCK) whole = BLOCK;
            multiply(sums, sums_bytes, started, rows, x, panel->b + lane * PANEL_BYTES,
                     whole / TILE, vectors, &panel->ahead, format);
        } else {
            x = fill_up(a, rows, lane, end - lane, copy);
            multiply(sums, sums_bytes, started, rows, x, panel->tail, 1, vectors, &panel->ahead,
                     format);
            whole = end - lane;
        }
        started = true;
        lane += whole;
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
    float sums[GROUP * PANEL];
    for (size_t i = 0; started && i < rows; i++)
        memcpy(sums + i * PANEL, c + i * panel->c_stride, panel->width * sizeof *c);
    add_lanes(panel, (unsigned char *)sums, PANEL_BYTES, started, row, rows, lane, lanes,
              FORMAT_BF16);
    for (size_t i = 0; i < rows; i++)
        memcpy(c + i * panel->c_stride, sums + i * PANEL, panel->width * sizeof *c);
}

// A row of sums with its offset and scale and those of the columns.
INLINED void scale_row(float *c, const int32_t *sums, const int32_t *a, const float *scales,
                       size_t lanes, size_t width, bool accumulate) {
    float scale;
    memcpy(&scale, a + lanes, sizeof scale);
    const __m512i offset = _mm512_set1_epi32(a[lanes + 1]);
    for (size_t j = 0; j < width; j += TILE) {
        const __mmask16 there = first_avx512(width - j);
        const __m512 sum =
            _mm512_cvtepi32_ps(_mm512_add_epi32(_mm512_loadu_si512(sums + j), offset));
        const __m512 value =
            _mm512_mul_ps(_mm512_mul_ps(sum, _mm512_set1_ps(scale)), _mm512_loadu_ps(scales + j));
        _mm512_mask_storeu_ps(c + j, there,
                              accumulate ? _mm512_add_ps(_mm512_maskz_loadu_ps(there, c + j), value)
                                         : value);
    }
}

INLINED void group_i8(struct panel *panel, size_t row, size_t rows, size_t lanes) {
    int32_t sums[GROUP * PANEL];
    add_lanes(panel, (unsigned char *)sums, PANEL_BYTES, false, row, rows, 0, lanes, FORMAT_I8);
    const float *scales = (const float *)(const void *)(panel->b + lanes * PANEL_BYTES);
    for (size_t i = 0; i < rows; i++)
        scale_row(panel->c + (row + i) * panel->c_stride, sums + i * PANEL, panel->a[row + i],
                  scales, lanes, panel->width, panel->accumulate);
}

/* ---- panels -------------------------------------------------------------------------------- */

// Rows [first, end), groups of `rows`, block by block.
INLINED void pass(struct panel *panel, size_t first, size_t end, size_t rows,
                  const enum format format) {
    const size_t block = format == FORMAT_BF16 ? BLOCK : panel->lanes;
    size_t lane = 0;
    do {
        const size_t lanes = panel->lanes - lane < block ? panel->lanes - lane : block;
        for (size_t row = first; row < end; row += rows) {
            if (format == FORMAT_BF16)
                group_bf16(panel, row, rows, lane, lanes);
            else
                group_i8(panel, row, rows, lanes);
        }
        lane += block;
    } while (lane < panel->lanes);
}

// The lines of a panel, spread over the steps that `rows` rows take with this one.
static struct ahead ahead_of(const struct upcoming *upcoming, size_t rows, size_t lanes) {
    if (!upcoming || !upcoming->panel || lanes < TILE) return (struct ahead){NULL, NULL, 0};
    const size_t groups = (rows + GROUP - 1) / GROUP, steps = groups * 2 * (lanes / TILE);
    const size_t lines = lanes * (PANEL_BYTES / CACHE_LINE);
    return (struct ahead){upcoming->panel, upcoming->panel + lines * CACHE_LINE,
                          (lines + steps - 1) / steps * CACHE_LINE};
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
    struct panel panel = {.a = a, .lanes = lanes, .c_stride = c_stride, .accumulate = accumulate};
    // First whole groups of rows, then those that are left.
    for (size_t row = 0; row < rows && n > 0;) {
        const size_t left = rows - row, group = left < GROUP ? left : GROUP,
                     end = row + left / group * group;
        configure(group);
        for (size_t first = 0; first < n; first += PANEL) {
            panel.c = c + first;
            panel.b = (const unsigned char *)panels + first / PANEL * panel_bytes;
            panel.width = n - first < PANEL ? n - first : PANEL;
            panel.ahead = ahead_of(row == 0 ? upcoming : NULL, end, lanes);
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
    const struct product_sizes sizes = {
        .tile_rows = TILE, .call_rows = SIZE_MAX, .call_lanes = SIZE_MAX, .task_rows = 208};
    table->sizes[FORMAT_BF16] = table->sizes[FORMAT_I8] = sizes;
    table->product[FORMAT_BF16] = product_bf16;
    table->product[FORMAT_I8] = product_i8;
}
