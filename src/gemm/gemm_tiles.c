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
    unsigned char *panels; // ceil(n / panel) panels of lanes x panel lanes
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
    return gemm->lanes * gemm->engine->kernels->panel * LANE_BYTES;
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

// int8 weights become unsigned bytes (kernels.h) and their rows' scales the columns'.
static void finish_int8(struct gemm *gemm, size_t first, size_t rows, unsigned char *encoded) {
    const size_t row_bytes = format_row_bytes(FORMAT_I8, gemm->k);
    for (size_t i = 0; i < rows; i++) {
        unsigned char *row = encoded + i * row_bytes;
        for (size_t j = 0; j < gemm->lanes * LANE_BYTES; j++) row[j] ^= 0x80;
        gemm->scale[first + i] =
            *(const float *)(const void *)(row + (gemm->lanes + 1) * LANE_BYTES);
    }
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
    for (size_t i = 0; i < rows; i++)
        kernels->encode[gemm->format](encoded + i * row_bytes, w + i * gemm->k, gemm->k);
    if (gemm->format == FORMAT_I8) finish_int8(gemm, first, rows, encoded);
    kernels->pack_rows(panels, encoded, row_bytes, rows, gemm->lanes);
}

static int tiles_seal(struct gemm *gemm, vdt_error *error) {
    (void)gemm;
    (void)error;
    return VDT_OK;
}

static size_t tiles_scratch_bytes(const struct gemm *gemm) {
    return GEMM_MAX_ROWS * gemm->engine->kernels->panel * sizeof(float);
}

// The rows' sums over one panel, `width` columns, into c (rows, panel).
static void panel_sums(const struct gemm *gemm, float *c, const void *const *x, size_t rows,
                       const unsigned char *panel, size_t width) {
    const struct kernels *kernels = gemm->engine->kernels;
    // int8 sums start from an offset behind the row's last lane, so its lanes are not cut.
    const size_t block = gemm->format == FORMAT_I8 ? gemm->lanes : BLOCK_LANES;
    for (size_t lane = 0; lane < gemm->lanes; lane += block) {
        const void *x_block[GEMM_MAX_ROWS];
        for (size_t i = 0; i < rows; i++)
            x_block[i] = (const unsigned char *)x[i] + lane * LANE_BYTES;
        kernels->product[gemm->format](
            c, kernels->panel, x_block, rows, panel + lane * kernels->panel * LANE_BYTES,
            panel_bytes(gemm), width, min_size(block, gemm->lanes - lane), lane > 0);
    }
}

static int tiles_rows(const struct gemm *gemm, void *y, size_t y_bytes, const void *const *x,
                      size_t rows, const struct gemm_epilogue *epilogue, size_t thread,
                      void *scratch) {
    (void)thread;
    const struct kernels *kernels = gemm->engine->kernels;
    const size_t panel = kernels->panel;
    const unsigned char *panels = ((const struct tiles *)gemm)->panels;
    const size_t element = epilogue->format == FORMAT_BF16 ? 2 : sizeof(float);
    struct finish finish = {.activation = epilogue->activation,
                            .accumulate = epilogue->accumulate,
                            .format = epilogue->format};
    for (size_t first = 0; first < gemm->n; first += panel, panels += panel_bytes(gemm)) {
        const size_t width = min_size(panel, gemm->n - first);
        panel_sums(gemm, scratch, x, rows, panels, width);
        finish.scale = gemm->scale ? gemm->scale + first : NULL;
        finish.bias = gemm->bias + first;
        kernels->finish((unsigned char *)y + first * element, y_bytes, scratch, panel, rows, width,
                        &finish);
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
    .rows = tiles_rows,
};
