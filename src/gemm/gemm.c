#include "gemm/gemm.h"

#include "gemm/gemm_backend.h"

bool gemm_has_onednn(void) {
#if defined(VIDETTE_HAVE_ONEDNN)
    return true;
#else
    return false;
#endif
}

static const struct gemm_functions *find_functions(enum gemm_backend backend) {
#if defined(VIDETTE_HAVE_ONEDNN)
    if (backend == GEMM_ONEDNN) return &gemm_dnnl_functions;
#endif
    return backend == GEMM_TILES ? &gemm_tiles_functions : NULL;
}

int gemm_engine_open(struct gemm_engine **engine, struct memory *memory,
                     const struct kernels *kernels, enum gemm_backend backend, size_t n_threads,
                     vdt_error *error) {
    const struct gemm_functions *functions = find_functions(backend);
    if (!functions) {
        return status_fail(error, VDT_ERROR_UNSUPPORTED,
                           "matrix products: this build is without oneDNN");
    }
    struct gemm_engine *opened;
    const int status = functions->engine_open(&opened, memory, n_threads, error);
    if (status != VDT_OK) return status;
    opened->functions = functions;
    opened->memory = memory;
    opened->kernels = kernels;
    opened->n_threads = n_threads;
    *engine = opened;
    return VDT_OK;
}

void gemm_engine_close(struct gemm_engine **engine) {
    if (*engine) (*engine)->functions->engine_close(*engine);
    *engine = NULL;
}

const char *gemm_engine_name(const struct gemm_engine *engine) {
    return engine->functions->name;
}

int gemm_open(struct gemm **gemm, struct gemm_engine *engine, const float *w, const float *bias,
              size_t n, size_t k, vdt_error *error) {
    struct gemm *opened;
    const int status = engine->functions->open(&opened, engine, w, bias, n, k, error);
    if (status != VDT_OK) return status;
    opened->engine = engine;
    opened->n = n;
    opened->k = k;
    *gemm = opened;
    return VDT_OK;
}

void gemm_close(struct gemm **gemm) {
    if (*gemm) (*gemm)->engine->functions->close(*gemm);
    *gemm = NULL;
}

size_t gemm_n(const struct gemm *gemm) {
    return gemm->n;
}

size_t gemm_k(const struct gemm *gemm) {
    return gemm->k;
}

size_t gemm_bytes(const struct gemm *gemm) {
    return gemm->bytes;
}

size_t gemm_rows_per_task(const struct gemm *gemm) {
    return gemm->engine->functions->rows_per_task;
}

size_t gemm_scratch_bytes(const struct gemm *gemm) {
    return gemm->engine->functions->scratch_bytes(gemm);
}

int gemm_rows(const struct gemm *gemm, float *y, size_t y_stride, const float *x, size_t x_stride,
              size_t rows, const struct gemm_epilogue *epilogue, size_t thread, void *scratch) {
    const struct gemm_engine *engine = gemm->engine;
    const int status = engine->functions->rows(gemm, y, y_stride, x, x_stride, rows,
                                               epilogue->accumulate, thread, scratch);
    if (status != VDT_OK || epilogue->activation == ACTIVATION_NONE) return status;
    for (size_t i = 0; i < rows; i++) {
        engine->kernels->activation_f32[epilogue->activation](y + i * y_stride, gemm->n);
    }
    return VDT_OK;
}
