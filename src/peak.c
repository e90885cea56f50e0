// How fast this machine multiplies matrices, measured: the yardstick of every efficiency.
#include <math.h>
#include <time.h>

#include "models/context.h"
#include "ops/ops.h"

enum { M = 1536, N = 3072, K = 768, REPEATS = 12 };

struct buffers {
    float *w, *x, *y;
};

static double now_s(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void fill(float *values, size_t n) {
    for (size_t i = 0; i < n; i++) values[i] = (float)(i % 31) * 0.0625f - 1.0f;
}

// Seconds of the fastest product of one engine.
static int time_engine(double *seconds, struct vdt_context *context, struct gemm_engine *engine,
                       const struct buffers *buffers, vdt_error *error) {
    struct memory *memory = &context->memory;
    struct gemm *gemm = NULL;
    int status = gemm_open(&gemm, engine, buffers->w, NULL, N, K, error);
    if (status) return status;
    struct exec exec = {.pool = context->pool, .kernels = &context->kernels};
    exec.scratch_bytes = (gemm_scratch_bytes(gemm) + 63) / 64 * 64;
    exec.scratch =
        mem_alloc_raw(memory, pool_threads(context->pool), exec.scratch_bytes, "peak", error);
    if (!exec.scratch) status = VDT_ERROR_MEMORY;
    *seconds = INFINITY;
    for (size_t i = 0; !status && i < REPEATS; i++) {
        const double start = now_s();
        ops_linear(&exec, gemm, buffers->y, N, buffers->x, K, M,
                   (struct gemm_epilogue){.activation = ACTIVATION_NONE});
        *seconds = fmin(*seconds, now_s() - start);
    }
    mem_free(memory, exec.scratch);
    gemm_close(&gemm);
    return status;
}

static int time_backend(double *seconds, struct vdt_context *context, enum gemm_backend backend,
                        const struct buffers *buffers, vdt_error *error) {
    struct gemm_engine *engine = NULL;
    int status = gemm_engine_open(&engine, &context->memory, &context->kernels, backend,
                                  pool_threads(context->pool), error);
    if (!status) status = time_engine(seconds, context, engine, buffers, error);
    gemm_engine_close(&engine);
    return status;
}

vdt_status vdt_gemm_peak(double *gflops, vdt_context *context, vdt_precision precision,
                         vdt_error *error) {
    if (precision != VDT_PRECISION_AUTO && precision != VDT_PRECISION_F32) {
        return status_fail(error, VDT_ERROR_UNSUPPORTED, "precision: this version has f32 only");
    }
    struct memory *memory = &context->memory;
    struct buffers buffers = {.w = mem_alloc_raw(memory, N * K, sizeof(float), "peak", error),
                              .x = mem_alloc_raw(memory, M * K, sizeof(float), "peak", error),
                              .y = mem_alloc_raw(memory, M * N, sizeof(float), "peak", error)};
    int status = buffers.w && buffers.x && buffers.y ? VDT_OK : VDT_ERROR_MEMORY;
    double tiles = INFINITY, onednn = INFINITY;
    if (!status) {
        fill(buffers.w, N * K);
        fill(buffers.x, M * K);
        status = time_backend(&tiles, context, GEMM_TILES, &buffers, error);
    }
    if (!status && gemm_has_onednn()) {
        status = time_backend(&onednn, context, GEMM_ONEDNN, &buffers, error);
    }
    if (!status) *gflops = 2.0 * M * N * K / fmin(tiles, onednn) * 1e-9;
    mem_free(memory, buffers.w);
    mem_free(memory, buffers.x);
    mem_free(memory, buffers.y);
    return status;
}
