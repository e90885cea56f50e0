// oneDNN's matmul behind gemm.h.
//
// oneDNN compiles a kernel for each exact shape, which takes half a millisecond. A matrix (N, K) of a
// format therefore gets one primitive for each bucket of 16, 32 and 48 rows, made when the first weights
// of that shape are sealed and shared by all layers of the shape; rows are copied together and the bucket
// is filled up. A steady state so creates nothing. Sums come out as f32 and are finished by our kernels.
//
// Each call runs on the calling thread alone: OpenMP's thread count is set to 1 for that thread while
// oneDNN runs and put back after, since the caller may be a user's thread with OpenMP work of its own.
#include <math.h>
#include <omp.h>
#include <oneapi/dnnl/dnnl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/checked.h"
#include "core/clock.h"
#include "gemm/gemm_backend.h"

enum { BUCKET = 16, BUCKETS = GEMM_MAX_ROWS / BUCKET };

// The objects of one thread that a call binds its pointers to.
struct binding {
    dnnl_memory_t x, y, scratchpad;
};

struct bucket {
    dnnl_primitive_t primitive;
    struct binding *bindings; // one a thread
};

// Everything that weights of one format and shape (n, k) share.
struct shape {
    struct shape *next;
    enum format format;
    size_t n, k;
    dnnl_memory_desc_t weights; // the layout that the largest bucket chose
    size_t scratchpad_bytes;
    struct bucket buckets[BUCKETS]; // for BUCKET * (i + 1) rows
};

struct dnnl_engine_state {
    struct gemm_engine base;
    dnnl_engine_t engine;
    dnnl_stream_t *streams; // one a thread
    pthread_mutex_t lock;   // guards shapes while weights are sealed
    struct shape *shapes;
};

struct dnnl_weights {
    struct gemm base;
    struct shape *shape;
    float *scale;         // (n), of int8 weights; else NULL
    unsigned char *plain; // encoded rows, until they are sealed
    void *packed;
    dnnl_memory_t weights;
};

static int check(dnnl_status_t status, const char *what, vdt_error *error) {
    if (status == dnnl_success) return VDT_OK;
    if (status == dnnl_out_of_memory)
        return status_fail(error, VDT_ERROR_MEMORY, "oneDNN: out of memory in %s", what);
    return status_fail(error, VDT_ERROR_LIBRARY, "oneDNN: %s failed with status %d", what,
                       (int)status);
}

static dnnl_data_type_t data_type(enum format format) {
    return format == FORMAT_F32 ? dnnl_f32 : format == FORMAT_BF16 ? dnnl_bf16 : dnnl_s8;
}

static int plain_desc(dnnl_memory_desc_t *desc, size_t rows, size_t columns, dnnl_data_type_t type,
                      dnnl_format_tag_t tag, vdt_error *error) {
    const dnnl_dims_t dims = {(dnnl_dim_t)rows, (dnnl_dim_t)columns};
    return check(dnnl_memory_desc_init_by_tag(desc, 2, dims, type, tag), "a layout", error);
}

/* ---- primitives ---------------------------------------------------------------------------- */

// A primitive for `rows` rows. While *weights is undefined it chooses the layout and sets it.
static int create_primitive(dnnl_primitive_t *primitive, dnnl_memory_desc_t *weights,
                            size_t *scratchpad_bytes, dnnl_engine_t engine, enum format format,
                            size_t rows, size_t n, size_t k, vdt_error *error) {
    dnnl_memory_desc_t x, y, w = *weights;
    dnnl_matmul_desc_t matmul;
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_primitive_desc_t desc = NULL;
    int status = plain_desc(&x, rows, k, data_type(format), dnnl_ab, error);
    if (!status) status = plain_desc(&y, rows, n, dnnl_f32, dnnl_ab, error);
    if (!status && w.ndims == 0)
        status = plain_desc(&w, k, n, data_type(format), dnnl_format_tag_any, error);
    if (!status) status = check(dnnl_matmul_desc_init(&matmul, &x, &w, NULL, &y), "matmul", error);
    if (!status) status = check(dnnl_primitive_attr_create(&attributes), "attributes", error);
    if (!status) {
        status =
            check(dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user),
                  "attributes", error);
    }
    if (!status) {
        status = check(dnnl_primitive_desc_create(&desc, &matmul, attributes, engine, NULL),
                       "choosing a kernel", error);
    }
    if (!status) status = check(dnnl_primitive_create(primitive, desc), "making a kernel", error);
    if (!status) {
        *weights = *dnnl_primitive_desc_query_md(desc, dnnl_query_weights_md, 0);
        const dnnl_memory_desc_t *pad =
            dnnl_primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0);
        *scratchpad_bytes = max_size(*scratchpad_bytes, dnnl_memory_desc_get_size(pad));
    }
    if (desc) dnnl_primitive_desc_destroy(desc);
    if (attributes) dnnl_primitive_attr_destroy(attributes);
    return status;
}

static void close_shape(struct shape *shape, const struct dnnl_engine_state *state) {
    for (size_t i = 0; i < BUCKETS; i++) {
        struct bucket *bucket = &shape->buckets[i];
        if (bucket->primitive) dnnl_primitive_destroy(bucket->primitive);
        for (size_t t = 0; bucket->bindings && t < state->base.n_threads; t++) {
            if (bucket->bindings[t].x) dnnl_memory_destroy(bucket->bindings[t].x);
            if (bucket->bindings[t].y) dnnl_memory_destroy(bucket->bindings[t].y);
            if (bucket->bindings[t].scratchpad) dnnl_memory_destroy(bucket->bindings[t].scratchpad);
        }
        mem_free(state->base.memory, bucket->bindings);
    }
    mem_free(state->base.memory, shape);
}

static int bind_memory(dnnl_memory_t *memory, const dnnl_memory_desc_t *desc,
                       const struct dnnl_engine_state *state, vdt_error *error) {
    return check(dnnl_memory_create(memory, desc, state->engine, DNNL_MEMORY_NONE), "memory",
                 error);
}

static int bind_threads(struct bucket *bucket, const struct shape *shape,
                        const struct dnnl_engine_state *state, size_t rows, vdt_error *error) {
    bucket->bindings = mem_alloc(state->base.memory, state->base.n_threads,
                                 sizeof *bucket->bindings, "matrix products", error);
    if (!bucket->bindings) return VDT_ERROR_MEMORY;
    dnnl_memory_desc_t x, y, scratchpad;
    const dnnl_dims_t bytes = {(dnnl_dim_t)shape->scratchpad_bytes};
    int status = plain_desc(&x, rows, shape->k, data_type(shape->format), dnnl_ab, error);
    if (!status) status = plain_desc(&y, rows, shape->n, dnnl_f32, dnnl_ab, error);
    if (!status) {
        status = check(dnnl_memory_desc_init_by_tag(&scratchpad, 1, bytes, dnnl_u8, dnnl_a),
                       "a layout", error);
    }
    for (size_t t = 0; !status && t < state->base.n_threads; t++) {
        struct binding *binding = &bucket->bindings[t];
        status = bind_memory(&binding->x, &x, state, error);
        if (!status) status = bind_memory(&binding->y, &y, state, error);
        if (!status) status = bind_memory(&binding->scratchpad, &scratchpad, state, error);
    }
    return status;
}

static int open_shape(struct shape **out, struct dnnl_engine_state *state, enum format format,
                      size_t n, size_t k, vdt_error *error) {
    struct shape *shape = mem_alloc(state->base.memory, 1, sizeof *shape, "matrix products", error);
    if (!shape) return VDT_ERROR_MEMORY;
    shape->format = format;
    shape->n = n;
    shape->k = k;
    int status = VDT_OK;
    for (size_t i = BUCKETS; !status && i-- > 0;) { // the largest first: it chooses the layout
        status = create_primitive(&shape->buckets[i].primitive, &shape->weights,
                                  &shape->scratchpad_bytes, state->engine, format, BUCKET * (i + 1),
                                  n, k, error);
    }
    for (size_t i = 0; !status && i < BUCKETS; i++) {
        status = bind_threads(&shape->buckets[i], shape, state, BUCKET * (i + 1), error);
    }
    if (status) {
        close_shape(shape, state);
    } else {
        *out = shape;
    }
    return status;
}

static int find_shape(struct shape **shape, struct dnnl_engine_state *state,
                      const struct gemm *gemm, vdt_error *error) {
    int status = VDT_OK;
    pthread_mutex_lock(&state->lock);
    struct shape *found = state->shapes;
    while (found && (found->format != gemm->format || found->n != gemm->n || found->k != gemm->k))
        found = found->next;
    if (!found) {
        status = open_shape(&found, state, gemm->format, gemm->n, gemm->k, error);
        if (!status) {
            found->next = state->shapes;
            state->shapes = found;
        }
    }
    pthread_mutex_unlock(&state->lock);
    if (!status) *shape = found;
    return status;
}

/* ---- engine -------------------------------------------------------------------------------- */

static void engine_close(struct gemm_engine *engine) {
    struct dnnl_engine_state *state = (struct dnnl_engine_state *)engine;
    while (state->shapes) {
        struct shape *shape = state->shapes;
        state->shapes = shape->next;
        close_shape(shape, state);
    }
    for (size_t t = 0; state->streams && t < state->base.n_threads; t++) {
        if (state->streams[t]) dnnl_stream_destroy(state->streams[t]);
    }
    if (state->engine) dnnl_engine_destroy(state->engine);
    pthread_mutex_destroy(&state->lock);
    mem_free(state->base.memory, state->streams);
    mem_free(state->base.memory, state);
}

static int engine_open(struct gemm_engine **engine, struct memory *memory, size_t n_threads,
                       vdt_error *error) {
    struct dnnl_engine_state *state = mem_alloc(memory, 1, sizeof *state, "matrix products", error);
    if (!state) return VDT_ERROR_MEMORY;
    state->base.memory = memory;
    state->base.n_threads = n_threads;
    pthread_mutex_init(&state->lock, NULL);
    int status = check(dnnl_engine_create(&state->engine, dnnl_cpu, 0), "the engine", error);
    if (!status) {
        state->streams =
            mem_alloc(memory, n_threads, sizeof *state->streams, "matrix products", error);
        if (!state->streams) status = VDT_ERROR_MEMORY;
    }
    for (size_t t = 0; !status && t < n_threads; t++) {
        status = check(dnnl_stream_create(&state->streams[t], state->engine, dnnl_stream_in_order),
                       "a stream", error);
    }
    if (status) {
        engine_close(&state->base);
    } else {
        *engine = &state->base;
    }
    return status;
}

/* ---- weights ------------------------------------------------------------------------------- */

static int weights_open(struct gemm *gemm, vdt_error *error) {
    struct dnnl_weights *weights = (struct dnnl_weights *)gemm;
    weights->plain = mem_alloc_raw(gemm->engine->memory, gemm->n,
                                   gemm->k * format_bytes(gemm->format), "weights", error);
    if (!weights->plain || gemm->format != FORMAT_I8)
        return weights->plain ? VDT_OK : VDT_ERROR_MEMORY;
    weights->scale =
        mem_alloc(gemm->engine->memory, gemm->n, sizeof *weights->scale, "weights", error);
    return weights->scale ? VDT_OK : VDT_ERROR_MEMORY;
}

static void weights_close(struct gemm *gemm) {
    struct dnnl_weights *weights = (struct dnnl_weights *)gemm;
    if (weights->weights) dnnl_memory_destroy(weights->weights);
    mem_free(gemm->engine->memory, weights->packed);
    mem_free(gemm->engine->memory, weights->scale);
    mem_free(gemm->engine->memory, weights->plain);
}

static size_t weights_pack_scratch_bytes(const struct gemm *gemm) {
    return format_row_bytes(gemm->format, gemm->k);
}

static void weights_pack(struct gemm *gemm, size_t first, size_t rows, const float *w,
                         void *scratch) {
    struct dnnl_weights *weights = (struct dnnl_weights *)gemm;
    const size_t bytes = gemm->k * format_bytes(gemm->format);
    for (size_t i = 0; i < rows; i++) {
        gemm->engine->kernels->encode[gemm->format](scratch, w + i * gemm->k, gemm->k);
        memcpy(weights->plain + (first + i) * bytes, scratch, bytes);
        if (gemm->format == FORMAT_I8) {
            memcpy(&weights->scale[first + i], (unsigned char *)scratch + gemm->lanes * LANE_BYTES,
                   sizeof(float));
        }
    }
}

// W (n, k) row by row is W^T (k, n) column by column: oneDNN reads it as "ba".
static int reorder(struct dnnl_weights *weights, const struct dnnl_engine_state *state,
                   dnnl_stream_t stream, vdt_error *error) {
    const struct shape *shape = weights->shape;
    dnnl_memory_desc_t plain;
    dnnl_memory_t source = NULL;
    dnnl_primitive_desc_t desc = NULL;
    dnnl_primitive_t primitive = NULL;
    int status = plain_desc(&plain, shape->k, shape->n, data_type(shape->format), dnnl_ba, error);
    if (!status)
        status = check(dnnl_memory_create(&source, &plain, state->engine, weights->plain), "memory",
                       error);
    if (!status) {
        status = check(dnnl_reorder_primitive_desc_create(&desc, &plain, state->engine,
                                                          &shape->weights, state->engine, NULL),
                       "packing", error);
    }
    if (!status) status = check(dnnl_primitive_create(&primitive, desc), "packing", error);
    if (!status) {
        const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, source},
                                             {DNNL_ARG_TO, weights->weights}};
        status = check(dnnl_primitive_execute(primitive, stream, 2, arguments), "packing", error);
    }
    if (primitive) dnnl_primitive_destroy(primitive);
    if (desc) dnnl_primitive_desc_destroy(desc);
    if (source) dnnl_memory_destroy(source);
    return status;
}

static int weights_seal(struct gemm *gemm, vdt_error *error) {
    struct dnnl_weights *weights = (struct dnnl_weights *)gemm;
    struct dnnl_engine_state *state = (struct dnnl_engine_state *)gemm->engine;
    const int threads = omp_get_max_threads();
    omp_set_num_threads(1);
    dnnl_stream_t stream = NULL;
    int status = find_shape(&weights->shape, state, gemm, error);
    if (!status) {
        gemm->bytes = dnnl_memory_desc_get_size(&weights->shape->weights);
        weights->packed = mem_alloc_raw(gemm->engine->memory, gemm->bytes, 1, "weights", error);
        if (!weights->packed) status = VDT_ERROR_MEMORY;
    }
    if (!status) {
        status = check(dnnl_memory_create(&weights->weights, &weights->shape->weights,
                                          state->engine, weights->packed),
                       "memory", error);
    }
    if (!status) {
        status = check(dnnl_stream_create(&stream, state->engine, dnnl_stream_in_order), "a stream",
                       error);
    }
    if (!status) status = reorder(weights, state, stream, error);
    if (stream) dnnl_stream_destroy(stream);
    omp_set_num_threads(threads);
    mem_free(gemm->engine->memory, weights->plain);
    weights->plain = NULL;
    return status;
}

/* ---- products ------------------------------------------------------------------------------ */

// | scratchpad | GEMM_MAX_ROWS rows of x | as many of sums |
static size_t weights_scratch_bytes(const struct gemm *gemm) {
    const struct shape *shape = ((const struct dnnl_weights *)gemm)->shape;
    return align64(shape->scratchpad_bytes) +
           align64(GEMM_MAX_ROWS * gemm->k * format_bytes(gemm->format)) +
           GEMM_MAX_ROWS * gemm->n * sizeof(float);
}

// int8: oneDNN's sums are of q alone; each row of x has its scale behind its last lane.
static void scale_sums(float *c, const void *const *x, size_t rows, const float *column_scale,
                       const struct gemm *gemm) {
    for (size_t i = 0; i < rows; i++) {
        float scale;
        memcpy(&scale, (const unsigned char *)x[i] + gemm->lanes * LANE_BYTES, sizeof scale);
        for (size_t j = 0; j < gemm->n; j++)
            c[i * gemm->n + j] = c[i * gemm->n + j] * scale * column_scale[j];
    }
}

// A primitive is made for all columns.
static size_t weights_column_step(const struct gemm *gemm) {
    return gemm->n;
}

static int weights_rows(const struct gemm *gemm, void *y, size_t y_bytes, const void *const *x,
                        size_t rows, struct gemm_columns columns,
                        const struct gemm_epilogue *epilogue, size_t thread, void *scratch) {
    (void)columns;
    const struct dnnl_weights *weights = (const struct dnnl_weights *)gemm;
    const struct dnnl_engine_state *state = (const struct dnnl_engine_state *)gemm->engine;
    const struct shape *shape = weights->shape;
    const size_t bucket = (rows - 1) / BUCKET, bytes = gemm->k * format_bytes(gemm->format);
    unsigned char *x_copy = (unsigned char *)scratch + align64(shape->scratchpad_bytes);
    float *c = (float *)(void *)(x_copy + align64(GEMM_MAX_ROWS * bytes));
    for (size_t i = 0; i < rows; i++) memcpy(x_copy + i * bytes, x[i], bytes);
    memset(x_copy + rows * bytes, 0, (BUCKET * (bucket + 1) - rows) * bytes);
    const struct binding *binding = &shape->buckets[bucket].bindings[thread];
    dnnl_memory_set_data_handle(binding->x, x_copy);
    dnnl_memory_set_data_handle(binding->y, c);
    dnnl_memory_set_data_handle(binding->scratchpad, scratch);
    const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_SRC, binding->x},
                                         {DNNL_ARG_WEIGHTS, weights->weights},
                                         {DNNL_ARG_DST, binding->y},
                                         {DNNL_ARG_SCRATCHPAD, binding->scratchpad}};
    const int threads = omp_get_max_threads();
    omp_set_num_threads(1);
    const dnnl_status_t status = dnnl_primitive_execute(shape->buckets[bucket].primitive,
                                                        state->streams[thread], 4, arguments);
    omp_set_num_threads(threads);
    if (status != dnnl_success) return VDT_ERROR_LIBRARY;
    if (gemm->format == FORMAT_I8) scale_sums(c, x, rows, weights->scale, gemm);
    const struct finish finish = {.bias = gemm->bias,
                                  .activation = epilogue->activation,
                                  .accumulate = epilogue->accumulate,
                                  .format = epilogue->format};
    gemm->engine->kernels->finish(y, y_bytes, c, gemm->n, rows, gemm->n, &finish);
    return VDT_OK;
}

const struct gemm_functions gemm_dnnl_functions = {
    .name = "onednn",
    .engine_open = engine_open,
    .engine_close = engine_close,
    .gemm_size = sizeof(struct dnnl_weights),
    .open = weights_open,
    .close = weights_close,
    .pack = weights_pack,
    .pack_scratch_bytes = weights_pack_scratch_bytes,
    .seal = weights_seal,
    .scratch_bytes = weights_scratch_bytes,
    .column_step = weights_column_step,
    .rows = weights_rows,
};

/* ---- the peer ------------------------------------------------------------------------------ */

// Seconds of the fastest of some runs of one large primitive over zeros.
static double time_primitive(dnnl_primitive_t primitive, dnnl_engine_t engine,
                             const dnnl_memory_desc_t descs[4]) {
    enum { REPEATS = 12 };
    static const int names[4] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST, DNNL_ARG_SCRATCHPAD};
    dnnl_stream_t stream = NULL;
    dnnl_exec_arg_t arguments[4] = {{0}};
    void *blocks[4] = {NULL};
    double best = INFINITY;
    bool ready = dnnl_stream_create(&stream, engine, dnnl_stream_in_order) == dnnl_success;
    for (size_t i = 0; ready && i < 4; i++) {
        const size_t bytes = align64(dnnl_memory_desc_get_size(&descs[i]) + 64);
        blocks[i] = aligned_alloc(64, bytes);
        if (blocks[i]) memset(blocks[i], 0, bytes);
        arguments[i].arg = names[i];
        ready = blocks[i] && dnnl_memory_create(&arguments[i].memory, &descs[i], engine,
                                                blocks[i]) == dnnl_success;
    }
    for (int i = 0; ready && i < REPEATS; i++) {
        const double start = clock_ms();
        if (dnnl_primitive_execute(primitive, stream, 4, arguments) != dnnl_success) break;
        best = fmin(best, clock_ms() - start);
    }
    for (size_t i = 0; i < 4; i++) {
        if (arguments[i].memory) dnnl_memory_destroy(arguments[i].memory);
        free(blocks[i]);
    }
    if (stream) dnnl_stream_destroy(stream);
    return best * 1e-3;
}

double gemm_onednn_rate(enum format format, size_t m, size_t n, size_t k, size_t n_threads) {
    const int threads = omp_get_max_threads();
    dnnl_engine_t engine = NULL;
    dnnl_primitive_t primitive = NULL;
    dnnl_memory_desc_t descs[4] = {{0}};
    size_t scratchpad = 0;
    double rate = 0.0;
    omp_set_num_threads((int)n_threads);
    if (dnnl_engine_create(&engine, dnnl_cpu, 0) == dnnl_success &&
        !create_primitive(&primitive, &descs[1], &scratchpad, engine, format, m, n, k, NULL) &&
        !plain_desc(&descs[0], m, k, data_type(format), dnnl_ab, NULL) &&
        !plain_desc(&descs[2], m, n, dnnl_f32, dnnl_ab, NULL)) {
        const dnnl_dims_t bytes = {(dnnl_dim_t)scratchpad};
        dnnl_memory_desc_init_by_tag(&descs[3], 1, bytes, dnnl_u8, dnnl_a);
        rate = 2.0 * (double)m * (double)n * (double)k / time_primitive(primitive, engine, descs);
    }
    if (primitive) dnnl_primitive_destroy(primitive);
    if (engine) dnnl_engine_destroy(engine);
    omp_set_num_threads(threads);
    return rate;
}
