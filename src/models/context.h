// What models and sessions share: threads, allocator, kernels, callbacks.
#ifndef VIDETTE_MODELS_CONTEXT_H
#define VIDETTE_MODELS_CONTEXT_H

#include "core/pool.h"
#include "kernels/kernels.h"

struct vdt_context {
    struct memory memory;
    struct pool *pool;
    vdt_cpu cpu; // level of the kernels
    struct kernels kernels;
    vdt_progress_fn progress;
    void *progress_user;
};

// Tells the callback; VDT_ERROR_CANCELLED where it wants to stop.
int context_progress(const struct vdt_context *context, const char *what, size_t done, size_t total,
                     vdt_error *error);

#endif
