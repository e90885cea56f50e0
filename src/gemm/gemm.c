// Blocks of K over the panel product of the kernel table.
//
// W^T lies in panels (kernels.h). The sums of a call's rows over one panel stay in the nearest caches
// while blocks of K pass, and leave them finished: with bias, activation, residual, in the format that the
// next reader wants.
//
//     for each panel of W                            N columns
//         for each block of K                        the block of the panel stays in cache
//             sums += rows x block                   product
//         y = f(sums + bias)                         finish
//
// How many rows and lanes a product takes at a time is the kernels' (product_sizes).
#include "gemm/gemm.h"

#include <string.h>

#include "core/checked.h"

#if !defined(VIDETTE_HAVE_ONEDNN)
double gemm_onednn_rate(enum format format, size_t m, size_t n, size_t k, size_t n_threads,
                        double at_least_ms) {
    (void)format, (void)m, (void)n, (void)k, (void)n_threads, (void)at_least_ms;
    return 0.0;
}
#endif

static const struct product_sizes *sizes_of(const struct gemm *gemm) {
    return &gemm->kernels->sizes[gemm->format];
}

static size_t panel_bytes(const struct gemm *gemm) {
    return format_row_lanes(gemm->format, gemm->k) * gemm->kernels->panel * LANE_BYTES;
}

static size_t panels_of(const struct gemm *gemm) {
    return ceil_div(gemm->n, gemm->kernels->panel);
}

/* ---- weights ------------------------------------------------------------------------------- */

int gemm_open(struct gemm **out, struct memory *memory, const struct kernels *kernels,
              enum format format, size_t n, size_t k, vdt_error *error) {
    struct gemm *gemm = mem_alloc(memory, 1, sizeof *gemm, "weights", error);
    if (!gemm) return VDT_ERROR_MEMORY;
    *gemm = (struct gemm){.memory = memory,
                          .kernels = kernels,
                          .format = format,
                          .n = n,
                          .k = k,
                          .lanes = format_lanes(format, k)};
    gemm->bias = mem_alloc(memory, n, sizeof *gemm->bias, "weights", error);
    if (gemm->bias)
        gemm->panels = mem_alloc_raw(memory, panels_of(gemm), panel_bytes(gemm), "weights", error);
    if (!gemm->panels) {
        gemm_close(&gemm);
        return VDT_ERROR_MEMORY;
    }
    *out = gemm;
    return VDT_OK;
}

void gemm_close(struct gemm **handle) {
    struct gemm *gemm = *handle;
    if (!gemm) return;
    struct memory *memory = gemm->memory;
    mem_free(memory, gemm->panels);
    mem_free(memory, gemm->bias);
    mem_free(memory, gemm);
    *handle = NULL;
}

size_t gemm_pack_scratch_bytes(const struct gemm *gemm) {
    return gemm->format == FORMAT_F32 ? 0
                                      : GEMM_PACK_ROWS * format_row_bytes(gemm->format, gemm->k);
}

void gemm_pack(struct gemm *gemm, size_t first, size_t rows, const float *w, void *scratch) {
    const struct kernels *kernels = gemm->kernels;
    unsigned char *panels = gemm->panels + first / kernels->panel * panel_bytes(gemm);
    if (gemm->format == FORMAT_F32) {
        kernels->pack_rows(panels, w, gemm->k * sizeof *w, rows, gemm->lanes);
        return;
    }
    const size_t row_bytes = format_row_bytes(gemm->format, gemm->k);
    unsigned char *encoded = scratch;
    for (size_t i = 0; i < rows; i++) {
        kernels->encode_weights[gemm->format](encoded + i * row_bytes, w + i * gemm->k, gemm->k);
    }
    kernels->pack_rows(panels, encoded, row_bytes, rows, format_row_lanes(gemm->format, gemm->k));
}

void gemm_set_bias(struct gemm *gemm, const float *bias) {
    memcpy(gemm->bias, bias, gemm->n * sizeof *bias);
}

int gemm_open_whole(struct gemm **out, struct memory *memory, const struct kernels *kernels,
                    enum format format, const float *w, const float *bias, size_t n, size_t k,
                    vdt_error *error) {
    struct gemm *gemm = NULL;
    const int status = gemm_open(&gemm, memory, kernels, format, n, k, error);
    if (status) return status;
    void *scratch = mem_alloc_raw(memory, gemm_pack_scratch_bytes(gemm), 1, "weights", error);
    if (!scratch) {
        gemm_close(&gemm);
        return VDT_ERROR_MEMORY;
    }
    for (size_t first = 0; first < n; first += GEMM_PACK_ROWS)
        gemm_pack(gemm, first, min_size(GEMM_PACK_ROWS, n - first), w + first * k, scratch);
    if (bias) gemm_set_bias(gemm, bias);
    mem_free(memory, scratch);
    *out = gemm;
    return VDT_OK;
}

size_t gemm_n(const struct gemm *gemm) {
    return gemm->n;
}

size_t gemm_k(const struct gemm *gemm) {
    return gemm->k;
}

enum format gemm_format(const struct gemm *gemm) {
    return gemm->format;
}

size_t gemm_bytes(const struct gemm *gemm) {
    return panels_of(gemm) * panel_bytes(gemm) + gemm->n * sizeof *gemm->bias;
}

size_t gemm_column_step(const struct gemm *gemm) {
    return gemm->kernels->panel;
}

size_t gemm_task_rows(const struct gemm *gemm) {
    return sizes_of(gemm)->task_rows;
}

size_t gemm_tile_rows(const struct gemm *gemm) {
    return sizes_of(gemm)->tile_rows;
}

size_t gemm_scratch_bytes(const struct gemm *gemm) {
    return gemm_task_rows(gemm) * gemm->kernels->panel * sizeof(float);
}

/* ---- products ------------------------------------------------------------------------------ */

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

static void finish_rows(const void *argument, size_t first, size_t rows) {
    const struct panel *panel = argument;
    const struct kernels *kernels = panel->gemm->kernels;
    kernels->finish(panel->y + first * panel->y_bytes, panel->y_bytes,
                    panel->sums + first * kernels->panel, kernels->panel, rows, panel->width,
                    &panel->finish);
}

// What follows lanes up to `lane` of a pass that ends at `end`: its next lanes, or Y and the next panel's.
static struct upcoming upcoming_of(const struct panel *panel, size_t lane, size_t first,
                                   size_t end) {
    const size_t row_bytes = panel->gemm->kernels->panel * LANE_BYTES;
    if (lane < end) return (struct upcoming){.panel = panel->lanes + lane * row_bytes};
    return (struct upcoming){.panel = panel->lanes + panel_bytes(panel->gemm) + first * row_bytes,
                             .rows = panel->y,
                             .bytes = panel->y_bytes,
                             .width = panel->width_bytes,
                             .complete = finish_rows,
                             .argument = panel};
}

// Lanes [first, end) of all rows.
static void run_panel(const struct panel *panel, const void *const *x, size_t rows, size_t first,
                      size_t end) {
    const struct gemm *gemm = panel->gemm;
    const struct kernels *kernels = gemm->kernels;
    // int8 sums start from an offset behind the row's last lane, so its lanes are not cut.
    const size_t block = gemm->format == FORMAT_I8 ? gemm->lanes : sizes_of(gemm)->block_lanes;
    const void *x_block[GEMM_MAX_ROWS];
    for (size_t lane = first, lanes; lane < end; lane += lanes) {
        lanes = min_size(block, end - lane);
        const struct upcoming upcoming = upcoming_of(panel, lane + lanes, first, end);
        for (size_t i = 0; i < rows; i++)
            x_block[i] = (const unsigned char *)x[i] + lane * LANE_BYTES;
        kernels->product[gemm->format](panel->sums, kernels->panel, x_block, rows,
                                       panel->lanes + lane * kernels->panel * LANE_BYTES,
                                       panel_bytes(gemm), panel->width, lanes, lane > first,
                                       &upcoming);
    }
}

// Columns [first, first + width), first at the beginning of a panel.
static struct panel panel_at(const struct gemm *gemm, size_t first, size_t width, void *y,
                             size_t y_bytes, const struct gemm_epilogue *epilogue, void *scratch) {
    const size_t element = format_bytes(epilogue->format);
    return (struct panel){.gemm = gemm,
                          .lanes = gemm->panels + first / gemm->kernels->panel * panel_bytes(gemm),
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

static const float NO_BIAS[GEMM_PACK_ROWS]; // a panel's columns at least

// Columns over lanes [lane, end).
static void run_pass(const struct gemm *gemm, void *y, size_t y_bytes, const void *const *x,
                     size_t rows, struct gemm_columns columns, const struct gemm_epilogue *epilogue,
                     size_t lane, size_t end, void *scratch) {
    const size_t step = gemm_column_step(gemm), columns_end = columns.first + columns.n;
    for (size_t first = columns.first; first < columns_end; first += step) {
        struct panel panel = panel_at(gemm, first, min_size(step, columns_end - first), y, y_bytes,
                                      epilogue, scratch);
        if (lane > 0) { // on top of the pass before
            panel.finish.bias = NO_BIAS;
            panel.finish.accumulate = true;
        }
        run_panel(&panel, x, rows, lane, end);
    }
}

void gemm_rows(const struct gemm *gemm, void *y, size_t y_bytes, const void *const *x, size_t rows,
               struct gemm_columns columns, const struct gemm_epilogue *epilogue, void *scratch) {
    // Only sums that stay as they are can be left in Y between passes.
    const bool linear = epilogue->activation == ACTIVATION_NONE && epilogue->format == FORMAT_F32;
    const size_t pass =
        linear && gemm->format != FORMAT_I8 ? sizes_of(gemm)->pass_lanes : gemm->lanes;
    for (size_t lane = 0, lanes; lane < gemm->lanes; lane += lanes) {
        lanes = min_size(pass, gemm->lanes - lane);
        run_pass(gemm, y, y_bytes, x, rows, columns, epilogue, lane, lane + lanes, scratch);
    }
}
