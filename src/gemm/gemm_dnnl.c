// oneDNN's matmul, timed: what our own products are compared with. The models never run on it; on every CPU
// seen so far, with matrix units or without, our own are as fast or faster (docs/performance.md).
#include <math.h>
#include <omp.h>
#include <oneapi/dnnl/dnnl.h>
#include <stdlib.h>
#include <string.h>

#include "core/checked.h"
#include "core/clock.h"
#include "gemm/gemm.h"
#include "kernels/bf16.h"

static dnnl_data_type_t data_type(enum format format) {
    return format == FORMAT_F32 ? dnnl_f32 : format == FORMAT_BF16 ? dnnl_bf16 : dnnl_s8;
}

static bool plain_desc(dnnl_memory_desc_t *desc, size_t rows, size_t columns, dnnl_data_type_t type,
                       dnnl_format_tag_t tag) {
    const dnnl_dims_t dims = {(dnnl_dim_t)rows, (dnnl_dim_t)columns};
    return dnnl_memory_desc_init_by_tag(desc, 2, dims, type, tag) == dnnl_success;
}

// A primitive for Y (m, n) = X (m, k) W, and the layouts of X, W, Y and its scratch memory.
static bool create_primitive(dnnl_primitive_t *primitive, dnnl_memory_desc_t descs[4],
                             dnnl_engine_t engine, enum format format, size_t m, size_t n,
                             size_t k) {
    dnnl_matmul_desc_t matmul;
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_primitive_desc_t desc = NULL;
    const bool created =
        plain_desc(&descs[0], m, k, data_type(format), dnnl_ab) &&
        plain_desc(&descs[1], k, n, data_type(format), dnnl_format_tag_any) &&
        plain_desc(&descs[2], m, n, dnnl_f32, dnnl_ab) &&
        dnnl_matmul_desc_init(&matmul, &descs[0], &descs[1], NULL, &descs[2]) == dnnl_success &&
        dnnl_primitive_attr_create(&attributes) == dnnl_success &&
        dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user) ==
            dnnl_success &&
        dnnl_primitive_desc_create(&desc, &matmul, attributes, engine, NULL) == dnnl_success &&
        dnnl_primitive_create(primitive, desc) == dnnl_success;
    if (created) {
        descs[1] = *dnnl_primitive_desc_query_md(desc, dnnl_query_weights_md, 0);
        descs[3] = *dnnl_primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0);
    }
    if (desc) dnnl_primitive_desc_destroy(desc);
    if (attributes) dnnl_primitive_attr_destroy(attributes);
    return created;
}

// Numbers like those that ours is timed with: how much power an instruction takes, and so the clock, depends on them.
static void fill(void *block, size_t bytes, enum format format) {
    unsigned char *at = block;
    for (size_t i = 0; i < bytes / 4; i++, at += 4) {
        const float value = (float)(i % 31) * 0.0625f - 1.0f;
        const uint16_t half = bf16_from_f32(value);
        const uint16_t halves[2] = {half, half};
        const int8_t step = (int8_t)(127.0f * value);
        const int8_t steps[4] = {step, step, step, step};
        const void *lane = format == FORMAT_F32    ? (const void *)&value
                           : format == FORMAT_BF16 ? (const void *)halves
                                                   : steps;
        memcpy(at, lane, 4);
    }
}

// Seconds of the fastest run of one large primitive.
static double time_primitive(dnnl_primitive_t primitive, dnnl_engine_t engine,
                             const dnnl_memory_desc_t descs[4], enum format format,
                             double at_least_ms) {
    static const int names[4] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST, DNNL_ARG_SCRATCHPAD};
    dnnl_stream_t stream = NULL;
    dnnl_exec_arg_t arguments[4] = {{0}};
    void *blocks[4] = {NULL};
    double best = INFINITY;
    bool ready = dnnl_stream_create(&stream, engine, dnnl_stream_in_order) == dnnl_success;
    for (size_t i = 0; ready && i < 4; i++) {
        const size_t bytes = align64(dnnl_memory_desc_get_size(&descs[i]) + 64);
        blocks[i] = aligned_alloc(64, bytes);
        if (blocks[i]) fill(blocks[i], bytes, i < 2 ? format : FORMAT_F32);
        arguments[i].arg = names[i];
        ready = blocks[i] && dnnl_memory_create(&arguments[i].memory, &descs[i], engine,
                                                blocks[i]) == dnnl_success;
    }
    const double begun = clock_ms();
    while (ready && (best == INFINITY || clock_ms() - begun < at_least_ms)) {
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

double gemm_onednn_rate(enum format format, size_t m, size_t n, size_t k, size_t n_threads,
                        double at_least_ms) {
    const int threads = omp_get_max_threads();
    dnnl_engine_t engine = NULL;
    dnnl_primitive_t primitive = NULL;
    dnnl_memory_desc_t descs[4] = {{0}};
    double rate = 0.0;
    omp_set_num_threads((int)n_threads);
    if (dnnl_engine_create(&engine, dnnl_cpu, 0) == dnnl_success &&
        create_primitive(&primitive, descs, engine, format, m, n, k))
        rate = 2.0 * (double)m * (double)n * (double)k /
               time_primitive(primitive, engine, descs, format, at_least_ms);
    if (primitive) dnnl_primitive_destroy(primitive);
    if (engine) dnnl_engine_destroy(engine);
    omp_set_num_threads(threads);
    return rate;
}
