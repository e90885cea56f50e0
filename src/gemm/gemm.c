#include "gemm/gemm.h"

#include <string.h>

#include "core/checked.h"
#include "gemm/gemm_backend.h"

bool gemm_has_onednn(void) {
#if defined(VIDETTE_HAVE_ONEDNN)
    return true;
#else
    return false;
#endif
}

#if !defined(VIDETTE_HAVE_ONEDNN)
double gemm_onednn_rate(enum format format, size_t m, size_t n, size_t k, size_t n_threads) {
    (void)format, (void)m, (void)n, (void)k, (void)n_threads;
    return 0.0;
}
#endif

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
    if (status) return status;
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

/* ---- weights ------------------------------------------------------------------------------- */

int gemm_open(struct gemm **out, struct gemm_engine *engine, enum format format, size_t n, size_t k,
              vdt_error *error) {
    struct memory *memory = engine->memory;
    struct gemm *gemm = mem_alloc(memory, 1, engine->functions->gemm_size, "weights", error);
    if (!gemm) return VDT_ERROR_MEMORY;
    gemm->engine = engine;
    gemm->format = format;
    gemm->n = n;
    gemm->k = k;
    gemm->lanes = format_lanes(format, k);
    gemm->bias = mem_alloc(memory, n, sizeof *gemm->bias, "weights", error);
    int status = gemm->bias ? VDT_OK : VDT_ERROR_MEMORY;
    if (!status) status = engine->functions->open(gemm, error);
    if (status) {
        gemm_close(&gemm);
    } else {
        gemm->bytes += n * sizeof(float);
        *out = gemm;
    }
    return status;
}

void gemm_pack(struct gemm *gemm, size_t first, size_t rows, const float *w, void *scratch) {
    gemm->engine->functions->pack(gemm, first, rows, w, scratch);
}

size_t gemm_pack_scratch_bytes(const struct gemm *gemm) {
    return gemm->engine->functions->pack_scratch_bytes(gemm);
}

int gemm_seal(struct gemm *gemm, const float *bias, vdt_error *error) {
    if (bias) memcpy(gemm->bias, bias, gemm->n * sizeof *bias);
    return gemm->engine->functions->seal(gemm, error);
}

int gemm_open_whole(struct gemm **out, struct gemm_engine *engine, enum format format,
                    const float *w, const float *bias, size_t n, size_t k, vdt_error *error) {
    struct gemm *gemm = NULL;
    void *scratch = NULL;
    int status = gemm_open(&gemm, engine, format, n, k, error);
    if (!status) {
        scratch = mem_alloc_raw(engine->memory, gemm_pack_scratch_bytes(gemm), 1, "weights", error);
        if (!scratch) status = VDT_ERROR_MEMORY;
    }
    for (size_t first = 0; !status && first < n; first += GEMM_PACK_ROWS) {
        gemm_pack(gemm, first, min_size(GEMM_PACK_ROWS, n - first), w + first * k, scratch);
    }
    if (!status) status = gemm_seal(gemm, bias, error);
    mem_free(engine->memory, scratch);
    if (status) {
        gemm_close(&gemm);
    } else {
        *out = gemm;
    }
    return status;
}

void gemm_close(struct gemm **handle) {
    struct gemm *gemm = *handle;
    if (!gemm) return;
    struct memory *memory = gemm->engine->memory;
    gemm->engine->functions->close(gemm);
    mem_free(memory, gemm->bias);
    mem_free(memory, gemm);
    *handle = NULL;
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
    return gemm->bytes;
}

/* ---- products ------------------------------------------------------------------------------ */

size_t gemm_scratch_bytes(const struct gemm *gemm) {
    return gemm->engine->functions->scratch_bytes(gemm);
}

size_t gemm_column_step(const struct gemm *gemm) {
    return gemm->engine->functions->column_step(gemm);
}

int gemm_rows(const struct gemm *gemm, void *y, size_t y_bytes, const void *const *x, size_t rows,
              struct gemm_columns columns, const struct gemm_epilogue *epilogue, size_t thread,
              void *scratch) {
    return gemm->engine->functions->rows(gemm, y, y_bytes, x, rows, columns, epilogue, thread,
                                         scratch);
}
