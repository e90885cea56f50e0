// What an engine implements: the table behind gemm.h. Included by the engines and gemm.c alone.
#ifndef VIDETTE_GEMM_GEMM_BACKEND_H
#define VIDETTE_GEMM_GEMM_BACKEND_H

#include "gemm/gemm.h"

struct gemm_engine {
    const struct gemm_functions *functions;
    struct memory *memory;
    const struct kernels *kernels;
    size_t n_threads;
};

struct gemm {
    struct gemm_engine *engine;
    size_t n, k, bytes;
};

// Members mirror gemm.h. Engines extend the two structs by starting their own with them.
struct gemm_functions {
    const char *name;
    size_t rows_per_task;
    int (*engine_open)(struct gemm_engine **engine, struct memory *memory, size_t n_threads,
                       vdt_error *error);
    void (*engine_close)(struct gemm_engine *engine);
    int (*open)(struct gemm **gemm, struct gemm_engine *engine, const float *w, const float *bias,
                size_t n, size_t k, vdt_error *error);
    void (*close)(struct gemm *gemm);
    size_t (*scratch_bytes)(const struct gemm *gemm);
    // The product with bias and accumulation; gemm_rows adds the activation.
    int (*rows)(const struct gemm *gemm, float *y, size_t y_stride, const float *x, size_t x_stride,
                size_t rows, bool accumulate, size_t thread, void *scratch);
};

extern const struct gemm_functions gemm_tiles_functions;
extern const struct gemm_functions gemm_dnnl_functions;

#endif
