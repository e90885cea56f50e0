// Vidette's own matrix products: blocks of K over the panel product of the kernel table.
//
// W^T lies in panels (kernels.h). A block of BLOCK_K rows of one panel, with the matching columns
// of a task's rows, stays in the caches nearest to the core while the rows pass over it.
#include <string.h>

#include "core/checked.h"
#include "gemm/gemm_backend.h"

enum { ROWS_PER_TASK = 48, BLOCK_K = 512 };

struct tiles {
    struct gemm base;
    float *panels; // ceil(n / panel) panels of k x panel
    float *bias;   // (n)
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

static void tiles_close(struct gemm *gemm) {
    struct tiles *tiles = (struct tiles *)gemm;
    struct memory *memory = gemm->engine->memory;
    mem_free(memory, tiles->panels);
    mem_free(memory, tiles->bias);
    mem_free(memory, tiles);
}

static int tiles_open(struct gemm **gemm, struct gemm_engine *engine, const float *w,
                      const float *bias, size_t n, size_t k, vdt_error *error) {
    struct memory *memory = engine->memory;
    const size_t panel = engine->kernels->panel;
    struct tiles *tiles = mem_alloc(memory, 1, sizeof *tiles, "weights", error);
    if (!tiles) return VDT_ERROR_MEMORY;
    tiles->base.engine = engine;
    tiles->bias = mem_alloc(memory, n, sizeof *tiles->bias, "weights", error);
    size_t columns;
    if (tiles->bias && checked_round_up(&columns, n, panel) &&
        checked_multiply(&columns, columns, k)) {
        tiles->panels = mem_alloc_raw(memory, columns, sizeof *tiles->panels, "weights", error);
        tiles->base.bytes = (columns + n) * sizeof(float);
    }
    if (!tiles->panels) {
        tiles_close(&tiles->base);
        return status_fail(error, VDT_ERROR_MEMORY, "weights: %zu x %zu is too large", n, k);
    }
    engine->kernels->pack_rows_f32(tiles->panels, w, k, n, k);
    if (bias) memcpy(tiles->bias, bias, n * sizeof *bias);
    *gemm = &tiles->base;
    return VDT_OK;
}

static size_t tiles_scratch_bytes(const struct gemm *gemm) {
    (void)gemm;
    return 0;
}

static void add_bias(float *y, size_t y_stride, const float *bias, size_t rows, size_t n) {
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < n; j++) y[i * y_stride + j] += bias[j];
    }
}

static int tiles_rows(const struct gemm *gemm, float *y, size_t y_stride, const float *x,
                      size_t x_stride, size_t rows, bool accumulate, size_t thread, void *scratch) {
    (void)thread;
    (void)scratch;
    const struct tiles *tiles = (const struct tiles *)gemm;
    const struct kernels *kernels = gemm->engine->kernels;
    const size_t n = gemm->n, k = gemm->k, panel = kernels->panel;
    for (size_t row = 0; row < rows; row += ROWS_PER_TASK) {
        const size_t some = min_size(ROWS_PER_TASK, rows - row);
        float *y_row = y + row * y_stride;
        for (size_t first = 0; first < n; first += panel) {
            const size_t width = min_size(panel, n - first);
            for (size_t k0 = 0; k0 < k; k0 += BLOCK_K) {
                const float *x_rows[ROWS_PER_TASK];
                for (size_t i = 0; i < some; i++) x_rows[i] = x + (row + i) * x_stride + k0;
                kernels->product_f32(y_row + first, y_stride, x_rows, some,
                                     tiles->panels + first * k + k0 * panel, k * panel, width,
                                     min_size(BLOCK_K, k - k0), accumulate || k0 > 0);
            }
        }
        add_bias(y_row, y_stride, tiles->bias, some, n);
    }
    return VDT_OK;
}

const struct gemm_functions gemm_tiles_functions = {
    .name = "tiles",
    .rows_per_task = ROWS_PER_TASK,
    .engine_open = engine_open,
    .engine_close = engine_close,
    .open = tiles_open,
    .close = tiles_close,
    .scratch_bytes = tiles_scratch_bytes,
    .rows = tiles_rows,
};
