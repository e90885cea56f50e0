// oneDNN's matmul behind gemm.h.
//
// oneDNN compiles a kernel for each exact shape, which takes half a millisecond. A matrix (N, K)
// therefore gets one primitive for each bucket of 16, 32, 48 and 64 rows (times two: with and
// without accumulation), made when the first weights of that shape are packed and shared by all
// layers of the shape. Longer inputs run as blocks of 64 rows, which is as fast as one long call,
// and the last rows are copied into a bucket of scratch memory. A steady state so creates nothing.
//
// Each call runs on the calling thread alone: OpenMP's thread count is set to 1 for that thread
// while oneDNN runs and put back after, since the caller may be a user's thread with OpenMP work of
// its own.
#include <omp.h>
#include <oneapi/dnnl/dnnl.h>
#include <pthread.h>
#include <string.h>

#include "core/checked.h"
#include "gemm/gemm_backend.h"

enum { BUCKET = 16, BUCKETS = 4, BLOCK = BUCKET * BUCKETS };

// The objects of one thread that a call binds its pointers to.
struct binding {
    dnnl_memory_t x, y, scratchpad;
};

struct bucket {
    dnnl_primitive_t overwrite, accumulate;
    struct binding *bindings; // one a thread
};

// Everything that weights of one shape (n, k) share.
struct shape {
    struct shape *next;
    size_t n, k;
    dnnl_memory_desc_t weights; // the layout that the largest bucket chose
    size_t scratchpad_bytes;
    struct bucket buckets[BUCKETS]; // for BUCKET * (i + 1) rows
};

struct dnnl_engine_state {
    struct gemm_engine base;
    dnnl_engine_t engine;
    dnnl_stream_t *streams; // one a thread
    pthread_mutex_t lock;   // guards shapes while weights are opened
    struct shape *shapes;
};

struct dnnl_weights {
    struct gemm base;
    struct shape *shape;
    void *packed;
    float *bias_values;
    dnnl_memory_t weights, bias;
};

static int check(dnnl_status_t status, const char *what, vdt_error *error) {
    if (status == dnnl_success) return VDT_OK;
    if (status == dnnl_out_of_memory) {
        return status_fail(error, VDT_ERROR_MEMORY, "oneDNN: out of memory in %s", what);
    }
    return status_fail(error, VDT_ERROR_LIBRARY, "oneDNN: %s failed with status %d", what,
                       (int)status);
}

static int plain_desc(dnnl_memory_desc_t *desc, size_t rows, size_t columns, dnnl_format_tag_t tag,
                      vdt_error *error) {
    const dnnl_dims_t dims = {(dnnl_dim_t)rows, (dnnl_dim_t)columns};
    return check(dnnl_memory_desc_init_by_tag(desc, 2, dims, dnnl_f32, tag), "a layout", error);
}

/* ---- primitives ---------------------------------------------------------------------------- */

// A primitive for `rows` rows. While shape->weights is undefined it chooses the layout and sets it.
static int create_primitive(dnnl_primitive_t *primitive, struct shape *shape, dnnl_engine_t engine,
                            size_t rows, bool accumulate, vdt_error *error) {
    dnnl_memory_desc_t x, y, bias, weights = shape->weights;
    dnnl_matmul_desc_t matmul;
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_post_ops_t sum = NULL;
    dnnl_primitive_desc_t desc = NULL;
    int status = plain_desc(&x, rows, shape->k, dnnl_ab, error);
    if (!status) status = plain_desc(&y, rows, shape->n, dnnl_ab, error);
    if (!status) status = plain_desc(&bias, 1, shape->n, dnnl_ab, error);
    if (!status && weights.ndims == 0) {
        status = plain_desc(&weights, shape->k, shape->n, dnnl_format_tag_any, error);
    }
    if (!status)
        status = check(dnnl_matmul_desc_init(&matmul, &x, &weights, &bias, &y), "matmul", error);
    if (!status) status = check(dnnl_primitive_attr_create(&attributes), "attributes", error);
    if (!status) {
        status =
            check(dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user),
                  "attributes", error);
    }
    if (!status && accumulate) {
        status = check(dnnl_post_ops_create(&sum), "attributes", error);
        if (!status) status = check(dnnl_post_ops_append_sum(sum, 1.0f), "attributes", error);
        if (!status)
            status = check(dnnl_primitive_attr_set_post_ops(attributes, sum), "attributes", error);
    }
    if (!status) {
        status = check(dnnl_primitive_desc_create(&desc, &matmul, attributes, engine, NULL),
                       "choosing a kernel", error);
    }
    if (!status) status = check(dnnl_primitive_create(primitive, desc), "making a kernel", error);
    if (!status) {
        shape->weights = *dnnl_primitive_desc_query_md(desc, dnnl_query_weights_md, 0);
        const dnnl_memory_desc_t *pad =
            dnnl_primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0);
        shape->scratchpad_bytes = max_size(shape->scratchpad_bytes, dnnl_memory_desc_get_size(pad));
    }
    if (desc) dnnl_primitive_desc_destroy(desc);
    if (sum) dnnl_post_ops_destroy(sum);
    if (attributes) dnnl_primitive_attr_destroy(attributes);
    return status;
}

static void close_shape(struct shape *shape, const struct dnnl_engine_state *state) {
    for (size_t i = 0; i < BUCKETS; i++) {
        struct bucket *bucket = &shape->buckets[i];
        if (bucket->overwrite) dnnl_primitive_destroy(bucket->overwrite);
        if (bucket->accumulate) dnnl_primitive_destroy(bucket->accumulate);
        for (size_t t = 0; bucket->bindings && t < state->base.n_threads; t++) {
            if (bucket->bindings[t].x) dnnl_memory_destroy(bucket->bindings[t].x);
            if (bucket->bindings[t].y) dnnl_memory_destroy(bucket->bindings[t].y);
            if (bucket->bindings[t].scratchpad) dnnl_memory_destroy(bucket->bindings[t].scratchpad);
        }
        mem_free(state->base.memory, bucket->bindings);
    }
    mem_free(state->base.memory, shape);
}

static int bind_threads(struct bucket *bucket, const struct shape *shape,
                        const struct dnnl_engine_state *state, size_t rows, vdt_error *error) {
    bucket->bindings = mem_alloc(state->base.memory, state->base.n_threads,
                                 sizeof *bucket->bindings, "matrix products", error);
    if (!bucket->bindings) return VDT_ERROR_MEMORY;
    dnnl_memory_desc_t x, y, scratchpad;
    int status = plain_desc(&x, rows, shape->k, dnnl_ab, error);
    if (!status) status = plain_desc(&y, rows, shape->n, dnnl_ab, error);
    const dnnl_dims_t bytes = {(dnnl_dim_t)shape->scratchpad_bytes};
    if (!status) {
        status = check(dnnl_memory_desc_init_by_tag(&scratchpad, 1, bytes, dnnl_u8, dnnl_a),
                       "a layout", error);
    }
    for (size_t t = 0; !status && t < state->base.n_threads; t++) {
        struct binding *binding = &bucket->bindings[t];
        status = check(dnnl_memory_create(&binding->x, &x, state->engine, DNNL_MEMORY_NONE),
                       "memory", error);
        if (!status) {
            status = check(dnnl_memory_create(&binding->y, &y, state->engine, DNNL_MEMORY_NONE),
                           "memory", error);
        }
        if (!status) {
            status = check(dnnl_memory_create(&binding->scratchpad, &scratchpad, state->engine,
                                              DNNL_MEMORY_NONE),
                           "memory", error);
        }
    }
    return status;
}

static int open_shape(struct shape **out, struct dnnl_engine_state *state, size_t n, size_t k,
                      vdt_error *error) {
    struct shape *shape = mem_alloc(state->base.memory, 1, sizeof *shape, "matrix products", error);
    if (!shape) return VDT_ERROR_MEMORY;
    shape->n = n;
    shape->k = k;
    int status = VDT_OK;
    for (size_t i = BUCKETS; !status && i-- > 0;) { // the largest first: it chooses the layout
        const size_t rows = BUCKET * (i + 1);
        struct bucket *bucket = &shape->buckets[i];
        status = create_primitive(&bucket->overwrite, shape, state->engine, rows, false, error);
        if (!status) {
            status = create_primitive(&bucket->accumulate, shape, state->engine, rows, true, error);
        }
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

static int find_shape(struct shape **shape, struct dnnl_engine_state *state, size_t n, size_t k,
                      vdt_error *error) {
    int status = VDT_OK;
    pthread_mutex_lock(&state->lock);
    struct shape *found = state->shapes;
    while (found && (found->n != n || found->k != k)) found = found->next;
    if (!found) {
        status = open_shape(&found, state, n, k, error);
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

static void weights_close(struct gemm *gemm) {
    struct dnnl_weights *weights = (struct dnnl_weights *)gemm;
    struct memory *memory = gemm->engine->memory;
    if (weights->weights) dnnl_memory_destroy(weights->weights);
    if (weights->bias) dnnl_memory_destroy(weights->bias);
    mem_free(memory, weights->packed);
    mem_free(memory, weights->bias_values);
    mem_free(memory, weights);
}

// W (n, k) row by row is W^T (k, n) column by column: oneDNN reads it as "ba".
static int reorder(struct dnnl_weights *weights, const float *w,
                   const struct dnnl_engine_state *state, dnnl_stream_t stream, vdt_error *error) {
    const struct shape *shape = weights->shape;
    dnnl_memory_desc_t plain;
    dnnl_memory_t source = NULL;
    dnnl_primitive_desc_t desc = NULL;
    dnnl_primitive_t primitive = NULL;
    int status = plain_desc(&plain, shape->k, shape->n, dnnl_ba, error);
    if (!status) {
        // oneDNN's interface has no const; a reorder only reads its source.
        union {
            const float *in;
            void *out;
        } pointer = {.in = w};
        status =
            check(dnnl_memory_create(&source, &plain, state->engine, pointer.out), "memory", error);
    }
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

static int weights_open(struct gemm **gemm, struct gemm_engine *engine, const float *w,
                        const float *bias, size_t n, size_t k, vdt_error *error) {
    struct dnnl_engine_state *state = (struct dnnl_engine_state *)engine;
    struct memory *memory = engine->memory;
    struct dnnl_weights *weights = mem_alloc(memory, 1, sizeof *weights, "weights", error);
    if (!weights) return VDT_ERROR_MEMORY;
    weights->base.engine = engine;
    const int threads = omp_get_max_threads();
    omp_set_num_threads(1);
    dnnl_stream_t stream = NULL;
    dnnl_memory_desc_t bias_desc;
    int status = find_shape(&weights->shape, state, n, k, error);
    if (!status) {
        const size_t bytes = dnnl_memory_desc_get_size(&weights->shape->weights);
        weights->packed = mem_alloc_raw(memory, bytes, 1, "weights", error);
        weights->bias_values = mem_alloc(memory, n, sizeof *weights->bias_values, "weights", error);
        weights->base.bytes = bytes + n * sizeof(float);
        if (!weights->packed || !weights->bias_values) status = VDT_ERROR_MEMORY;
    }
    if (!status) {
        if (bias) memcpy(weights->bias_values, bias, n * sizeof *bias);
        status = check(dnnl_memory_create(&weights->weights, &weights->shape->weights,
                                          state->engine, weights->packed),
                       "memory", error);
    }
    if (!status) status = plain_desc(&bias_desc, 1, n, dnnl_ab, error);
    if (!status) {
        status = check(
            dnnl_memory_create(&weights->bias, &bias_desc, state->engine, weights->bias_values),
            "memory", error);
    }
    if (!status) {
        status = check(dnnl_stream_create(&stream, state->engine, dnnl_stream_in_order), "a stream",
                       error);
    }
    if (!status) status = reorder(weights, w, state, stream, error);
    if (stream) dnnl_stream_destroy(stream);
    omp_set_num_threads(threads);
    if (status) {
        weights_close(&weights->base);
    } else {
        *gemm = &weights->base;
    }
    return status;
}

/* ---- products ------------------------------------------------------------------------------ */

// | scratchpad | BLOCK rows of x | BLOCK rows of y |
static size_t scratchpad_bytes(const struct shape *shape) {
    return (shape->scratchpad_bytes + 63) / 64 * 64;
}

static size_t weights_scratch_bytes(const struct gemm *gemm) {
    const struct shape *shape = ((const struct dnnl_weights *)gemm)->shape;
    return scratchpad_bytes(shape) + BLOCK * (gemm->n + gemm->k) * sizeof(float);
}

// Exactly BUCKET * (bucket + 1) rows, contiguous in x and y.
static int run_bucket(const struct dnnl_weights *weights, float *y, const float *x, size_t bucket,
                      bool accumulate, size_t thread, void *scratch) {
    const struct dnnl_engine_state *state = (const struct dnnl_engine_state *)weights->base.engine;
    const struct bucket *kernel = &weights->shape->buckets[bucket];
    const struct binding *binding = &kernel->bindings[thread];
    union {
        const float *in;
        void *out;
    } pointer = {.in = x}; // oneDNN's interface has no const
    dnnl_memory_set_data_handle(binding->x, pointer.out);
    dnnl_memory_set_data_handle(binding->y, y);
    dnnl_memory_set_data_handle(binding->scratchpad, scratch);
    const dnnl_exec_arg_t arguments[] = {
        {DNNL_ARG_SRC, binding->x},
        {DNNL_ARG_WEIGHTS, weights->weights},
        {DNNL_ARG_BIAS, weights->bias},
        {DNNL_ARG_DST, binding->y},
        {DNNL_ARG_SCRATCHPAD, binding->scratchpad},
    };
    const dnnl_status_t status = dnnl_primitive_execute(
        accumulate ? kernel->accumulate : kernel->overwrite, state->streams[thread], 5, arguments);
    return status == dnnl_success ? VDT_OK : VDT_ERROR_LIBRARY;
}

static void copy_rows(float *to, size_t to_stride, const float *from, size_t from_stride,
                      size_t rows, size_t n) {
    for (size_t i = 0; i < rows; i++)
        memcpy(to + i * to_stride, from + i * from_stride, n * sizeof *to);
}

// Fewer than a bucket's rows, or rows that are not contiguous: through scratch memory.
static int run_copied(const struct dnnl_weights *weights, float *y, size_t y_stride, const float *x,
                      size_t x_stride, size_t rows, bool accumulate, size_t thread, void *scratch) {
    const size_t n = weights->base.n, k = weights->base.k, bucket = (rows - 1) / BUCKET;
    float *x_copy = (float *)(void *)((unsigned char *)scratch + scratchpad_bytes(weights->shape));
    float *y_copy = x_copy + BLOCK * k;
    copy_rows(x_copy, k, x, x_stride, rows, k);
    memset(x_copy + rows * k, 0, (BUCKET * (bucket + 1) - rows) * k * sizeof *x_copy);
    if (accumulate) copy_rows(y_copy, n, y, y_stride, rows, n);
    const int status = run_bucket(weights, y_copy, x_copy, bucket, accumulate, thread, scratch);
    copy_rows(y, y_stride, y_copy, n, rows, n);
    return status;
}

static int weights_rows(const struct gemm *gemm, float *y, size_t y_stride, const float *x,
                        size_t x_stride, size_t rows, bool accumulate, size_t thread,
                        void *scratch) {
    const struct dnnl_weights *weights = (const struct dnnl_weights *)gemm;
    const bool contiguous = y_stride == gemm->n && x_stride == gemm->k;
    const int threads = omp_get_max_threads();
    omp_set_num_threads(1);
    int status = VDT_OK;
    for (size_t done = 0; done < rows && !status;) {
        const size_t some = min_size(BLOCK, rows - done);
        float *y_some = y + done * y_stride;
        const float *x_some = x + done * x_stride;
        const size_t whole = contiguous ? some / BUCKET * BUCKET : 0;
        if (whole > 0) {
            status = run_bucket(weights, y_some, x_some, whole / BUCKET - 1, accumulate, thread,
                                scratch);
            done += whole;
        } else {
            status = run_copied(weights, y_some, y_stride, x_some, x_stride, some, accumulate,
                                thread, scratch);
            done += some;
        }
    }
    omp_set_num_threads(threads);
    return status;
}

const struct gemm_functions gemm_dnnl_functions = {
    .name = "onednn",
    .rows_per_task = BLOCK,
    .engine_open = engine_open,
    .engine_close = engine_close,
    .open = weights_open,
    .close = weights_close,
    .scratch_bytes = weights_scratch_bytes,
    .rows = weights_rows,
};
