// Vidette's own matrix products: blocks of K over the panel product of the kernel table.
//
// W^T lies in panels (kernels.h). The sums of a call's rows over one panel stay in the nearest cache
// while blocks of K pass, and leave it finished: with bias, activation, residual, in the format that the
// next reader wants.
//
//     for each panel of W                            N columns
//         for each block of K                        the block of the panel stays in the second cache
//             sums += rows x block                   product
//         y = f(sums + bias)                         finish
#include "core/checked.h"
#include "gemm/gemm_backend.h"

enum { BLOCK_LANES = 768 }; // of a panel: 192 KB at 64 columns

struct tiles {
    struct gemm base;
    unsigned char *panels; // ceil(n / panel) of them
};

static int engine_open(struct gemm_engine **engine, struct memory *memory, size_t n_threads,
                       vdt_error *error) {
    (void)n_threads;
    *engine = mem_alloc(memory, 1, sizeof **engine, "matrix products", error);
    return *engine ? VDT_OK : VDT_ERROR_MEMORY;
}

static void engine_close(struct gemm_engine *engine) {
    mem_free(engine->memory, engine);
}

static size_t panel_bytes(const struct gemm *gemm) {
    return format_panel_lanes(gemm->format, gemm->k) * gemm->engine->kernels->panel * LANE_BYTES;
}

static int tiles_open(struct gemm *gemm, vdt_error *error) {
    struct tiles *tiles = (struct tiles *)gemm;
    const size_t panels = ceil_div(gemm->n, gemm->engine->kernels->panel);
    tiles->panels =
        mem_alloc_raw(gemm->engine->memory, panels, panel_bytes(gemm), "weights", error);
    gemm->bytes = panels * panel_bytes(gemm);
    return tiles->panels ? VDT_OK : VDT_ERROR_MEMORY;
}

static void tiles_close(struct gemm *gemm) {
    mem_free(gemm->engine->memory, ((struct tiles *)gemm)->panels);
}

static size_t tiles_pack_scratch_bytes(const struct gemm *gemm) {
    return gemm->format == FORMAT_F32 ? 0
                                      : GEMM_PACK_ROWS * format_row_bytes(gemm->format, gemm->k);
}

static void tiles_pack(struct gemm *gemm, size_t first, size_t rows, const float *w,
                       void *scratch) {
    const struct kernels *kernels = gemm->engine->kernels;
    unsigned char *panels =
        ((struct tiles *)gemm)->panels + first / kernels->panel * panel_bytes(gemm);
    if (gemm->format == FORMAT_F32) {
        kernels->pack_rows(panels, w, gemm->k * sizeof *w, rows, gemm->lanes);
        return;
    }
    const size_t row_bytes = format_row_bytes(gemm->format, gemm->k);
    unsigned char *encoded = scratch;
    for (size_t i = 0; i < rows; i++) {
        unsigned char *row = encoded + i * row_bytes;
        kernels->encode[gemm->format](row, w + i * gemm->k, gemm->k);
        if (gemm->format == FORMAT_I8) format_make_unsigned(row, gemm->k);
    }
    kernels->pack_rows(panels, encoded, row_bytes, rows, format_panel_lanes(gemm->format, gemm->k));
}

static int tiles_seal(struct gemm *gemm, vdt_error *error) {
    (void)gemm;
    (void)error;
    return VDT_OK;
}

static size_t tiles_scratch_bytes(const struct gemm *gemm) {
    return GEMM_MAX_ROWS * gemm->engine->kernels->panel * sizeof(float);
}

// What one panel of a call adds to y.
struct panel {
    const struct gemm *gemm;
    const unsigned char *lanes; // of W
    size_t width;               // columns
    float *sums;                // (rows, kernels->panel)
    unsigned char *y;
    size_t y_bytes, width_bytes;
    struct finish finish;
};

// What a tile of rows from `first` on fetches behind lanes [lane, lane + lanes) of its own: a share of the
// lanes that follow in the weights, as many tiles as these have cache lines each, and at the end Y.
static struct upcoming upcoming_of(const struct panel *panel, size_t first, size_t lane,
                                   size_t lanes) {
    const struct kernels *kernels = panel->gemm->engine->kernels;
    const size_t tile = first / kernels->tile_rows, row_bytes = kernels->panel * LANE_BYTES;
    const bool last = lane + lanes == panel->gemm->lanes;
    const size_t behind = last ? panel_bytes(panel->gemm) : (lane + lanes) * row_bytes;
    const unsigned char *next = panel->lanes + behind + tile * lanes * CACHE_LINE;
    return (struct upcoming){.panel = tile < row_bytes / CACHE_LINE ? next : NULL,
                             .rows = panel->y + first * panel->y_bytes,
                             .bytes = panel->y_bytes,
                             .width = last ? panel->width_bytes : 0};
}

// Lanes [lane, lane + lanes) of one tile's rows into its sums.
static void add_block(const struct panel *panel, const void *const *x, size_t first, size_t rows,
                      size_t lane, size_t lanes) {
    const struct gemm *gemm = panel->gemm;
    const struct kernels *kernels = gemm->engine->kernels;
    const struct upcoming upcoming = upcoming_of(panel, first, lane, lanes);
    const void *x_block[GEMM_MAX_ROWS];
    for (size_t i = 0; i < rows; i++)
        x_block[i] = (const unsigned char *)x[first + i] + lane * LANE_BYTES;
    kernels->product[gemm->format](panel->sums + first * kernels->panel, kernels->panel, x_block,
                                   rows, panel->lanes + lane * kernels->panel * LANE_BYTES,
                                   panel_bytes(gemm), panel->width, lanes, lane > 0, &upcoming);
}

// A tile is finished as soon as its last block is done, so that its stores drain under the next tile's
// products instead of all at once behind the panel.
static void run_panel(const struct panel *panel, const void *const *x, size_t rows) {
    const struct gemm *gemm = panel->gemm;
    const struct kernels *kernels = gemm->engine->kernels;
    // int8 sums start from an offset behind the row's last lane, so its lanes are not cut.
    const size_t block = gemm->format == FORMAT_I8 ? gemm->lanes : BLOCK_LANES;
    for (size_t lane = 0; lane < gemm->lanes; lane += block) {
        const size_t lanes = min_size(block, gemm->lanes - lane);
        for (size_t first = 0; first < rows; first += kernels->tile_rows) {
            const size_t some = min_size(kernels->tile_rows, rows - first);
            add_block(panel, x, first, some, lane, lanes);
            if (lane + lanes < gemm->lanes) continue;
            kernels->finish(panel->y + first * panel->y_bytes, panel->y_bytes,
                            panel->sums + first * kernels->panel, kernels->panel, some,
                            panel->width, &panel->finish);
        }
    }
}

static size_t tiles_column_step(const struct gemm *gemm) {
    return gemm->engine->kernels->panel;
}

// Columns [first, first + width), first at the beginning of a panel.
static struct panel panel_at(const struct gemm *gemm, size_t first, size_t width, void *y,
                             size_t y_bytes, const struct gemm_epilogue *epilogue, void *scratch) {
    const size_t element = format_bytes(epilogue->format);
    return (struct panel){.gemm = gemm,
                          .lanes = ((const struct tiles *)gemm)->panels +
                                   first / gemm->engine->kernels->panel * panel_bytes(gemm),
                          .width = width,
                          .sums = scratch,
                          .y = (unsigned char *)y + first * element,
                          .y_bytes = y_bytes,
                          .width_bytes = width * element,
                          .finish = {.bias = gemm->bias + first,
                                     .activation = epilogue->activation,
                                     .accumulate = epilogue->accumulate,
                                     .format = epilogue->format}};
}

static int tiles_rows(const struct gemm *gemm, void *y, size_t y_bytes, const void *const *x,
                      size_t rows, struct gemm_columns columns,
                      const struct gemm_epilogue *epilogue, size_t thread, void *scratch) {
    (void)thread;
    const size_t step = tiles_column_step(gemm), end = columns.first + columns.n;
    for (size_t first = columns.first; first < end; first += step) {
        const struct panel panel =
            panel_at(gemm, first, min_size(step, end - first), y, y_bytes, epilogue, scratch);
        run_panel(&panel, x, rows);
    }
    return VDT_OK;
}

const struct gemm_functions gemm_tiles_functions = {
    .name = "tiles",
    .engine_open = engine_open,
    .engine_close = engine_close,
    .gemm_size = sizeof(struct tiles),
    .open = tiles_open,
    .close = tiles_close,
    .pack = tiles_pack,
    .pack_scratch_bytes = tiles_pack_scratch_bytes,
    .seal = tiles_seal,
    .scratch_bytes = tiles_scratch_bytes,
    .column_step = tiles_column_step,
    .rows = tiles_rows,
};
