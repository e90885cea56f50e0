// How fast this machine multiplies matrices, measured: the yardstick of every efficiency.
#include <math.h>

#include "core/checked.h"
#include "core/clock.h"
#include "models/context.h"
#include "ops/ops.h"

enum { M = 1536, N = 3072, K = 768 };

// Ours and oneDNN's run by turns, each long enough for the clock of the CPU to follow.
enum { ROUNDS = 3, ROUND_MS = 100 };

struct buffers {
    float *w, *y;
    unsigned char *x; // (M) encoded rows
};

static void fill(float *values, size_t n) {
    for (size_t i = 0; i < n; i++) values[i] = (float)(i % 31) * 0.0625f - 1.0f;
}

// The rows of a large product in the format: every task reads them as they are.
struct product {
    const struct gemm *gemm;
    const struct buffers *buffers;
    size_t row_bytes, rows_a_task;
};

static void product_task(void *argument, size_t task, size_t thread, void *scratch) {
    const struct product *product = argument;
    const void *rows[GEMM_MAX_ROWS];
    (void)thread;
    const size_t first = task * product->rows_a_task, n = min_size(product->rows_a_task, M - first);
    for (size_t i = 0; i < n; i++) rows[i] = product->buffers->x + (first + i) * product->row_bytes;
    gemm_rows(product->gemm, product->buffers->y + first * N, N * sizeof(float), rows, n,
              gemm_all_columns(product->gemm), &GEMM_PLAIN, scratch);
}

// Operations a second of the fastest of some products.
static double time_own(struct exec *exec, struct product *product) {
    const double begun = clock_ms();
    double best = INFINITY;
    while (best == INFINITY || clock_ms() - begun < ROUND_MS) {
        const double start = clock_ms();
        exec_run(exec, ceil_div(M, product->rows_a_task), product_task, product);
        best = fmin(best, clock_ms() - start);
    }
    return 2.0 * M * N * K / (best * 1e-3);
}

// The best of both, by turns.
static int time_rounds(vdt_peak *peak, struct vdt_context *context, enum format format,
                       const struct buffers *buffers, vdt_error *error) {
    struct memory *memory = &context->memory;
    struct gemm *gemm = NULL;
    int status =
        gemm_open_whole(&gemm, memory, &context->kernels, format, buffers->w, NULL, N, K, error);
    if (status) return status;
    const size_t threads = pool_threads(context->pool);
    struct exec exec = {.pool = context->pool, .kernels = &context->kernels};
    exec.scratch_bytes = align64(gemm_scratch_bytes(gemm));
    exec.scratch = mem_alloc_raw(memory, threads, exec.scratch_bytes, "peak", error);
    if (!exec.scratch) status = VDT_ERROR_MEMORY;
    struct product product = {gemm, buffers, format_row_bytes(format, K),
                              exec_rows_a_task(&exec, M, gemm_task_rows(gemm))};
    for (size_t i = 0; !status && i < M; i++) {
        context->kernels.encode[format](buffers->x + i * product.row_bytes, buffers->w + i * K, K);
    }
    double own = 0.0, onednn = 0.0;
    for (int round = 0; !status && round < ROUNDS; round++) {
        own = fmax(own, time_own(&exec, &product));
        onednn = fmax(onednn, gemm_onednn_rate(format, M, N, K, threads, ROUND_MS));
    }
    *peak = (vdt_peak){
        .gflops = fmax(own, onednn) * 1e-9, .own = own * 1e-9, .onednn = onednn * 1e-9};
    mem_free(memory, exec.scratch);
    gemm_close(&gemm);
    return status;
}

vdt_status vdt_gemm_peak(vdt_peak *peak, vdt_context *context, vdt_precision precision,
                         vdt_error *error) {
    const enum format format = precision == VDT_PRECISION_INT8   ? FORMAT_I8
                               : precision == VDT_PRECISION_BF16 ? FORMAT_BF16
                                                                 : FORMAT_F32;
    if (!context->kernels.has_format[format]) {
        return status_fail(error, VDT_ERROR_UNSUPPORTED, "precision: this CPU has no %s arithmetic",
                           vdt_precision_name(precision));
    }
    struct memory *memory = &context->memory;
    struct buffers buffers = {
        .w = mem_alloc_raw(memory, N * K, sizeof(float), "peak", error),
        .y = mem_alloc_raw(memory, M * N, sizeof(float), "peak", error),
        .x = mem_alloc_raw(memory, M, format_row_bytes(format, K), "peak", error)};
    int status = buffers.w && buffers.x && buffers.y ? VDT_OK : VDT_ERROR_MEMORY;
    if (!status) {
        fill(buffers.w, N * K);
        status = time_rounds(peak, context, format, &buffers, error);
    }
    mem_free(memory, buffers.w);
    mem_free(memory, buffers.x);
    mem_free(memory, buffers.y);
    return status;
}
