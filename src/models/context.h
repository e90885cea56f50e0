// What models and sessions share: threads, allocator, kernels, matrix products, callbacks.
#ifndef VIDETTE_MODELS_CONTEXT_H
#define VIDETTE_MODELS_CONTEXT_H

#include "core/pool.h"
#include "gemm/gemm.h"

struct vdt_context {
    struct memory memory;
    struct pool *pool;
    vdt_cpu cpu; // level of the kernels
    struct kernels kernels;
    struct gemm_engine *tiles, *onednn;   // onednn: NULL unless this CPU's matrix units want it
    struct gemm_engine *engines[FORMATS]; // which of them multiplies each format
    vdt_progress_fn progress;
    void *progress_user;
};

// Tells the callback; VDT_ERROR_CANCELLED where it wants to stop.
int context_progress(const struct vdt_context *context, const char *what, size_t done, size_t total,
                     vdt_error *error);

#endif
