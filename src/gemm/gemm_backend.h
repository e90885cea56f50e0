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
    enum format format;
    size_t n, k, lanes, bytes;
    float *bias; // (n)
};

// Members mirror gemm.h. Engines extend the two structs by starting their own with them; gemm.c fills and
// frees the base.
struct gemm_functions {
    const char *name;
    int (*engine_open)(struct gemm_engine **engine, struct memory *memory, size_t n_threads,
                       vdt_error *error);
    void (*engine_close)(struct gemm_engine *engine);
    size_t gemm_size; // of the engine's own struct
    int (*open)(struct gemm *gemm, vdt_error *error);
    void (*close)(struct gemm *gemm);
    void (*pack)(struct gemm *gemm, size_t first, size_t rows, const float *w, void *scratch);
    size_t (*pack_scratch_bytes)(const struct gemm *gemm);
    int (*seal)(struct gemm *gemm, vdt_error *error);
    size_t (*scratch_bytes)(const struct gemm *gemm);
    size_t (*column_step)(const struct gemm *gemm);
    int (*rows)(const struct gemm *gemm, void *y, size_t y_bytes, const void *const *x, size_t rows,
                struct gemm_columns columns, const struct gemm_epilogue *epilogue, size_t thread,
                void *scratch);
};

extern const struct gemm_functions gemm_tiles_functions;
extern const struct gemm_functions gemm_dnnl_functions;

#endif
