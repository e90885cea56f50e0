#include "models/weights.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

#include "core/checked.h"
#include "core/io.h"
#include "core/mix.h"
#include "nn/patch_embed.h"

/* ---- one tensor as f32 --------------------------------------------------------------------- */

static bool is_scale(enum slot slot) {
    switch (slot) {
    case SLOT_PRE_NORM_WEIGHT:
    case SLOT_NORM_WEIGHT:
    case SLOT_FC_NORM_WEIGHT:
    case SLOT_NORM1_WEIGHT:
    case SLOT_NORM2_WEIGHT:
    case SLOT_PROBE_NORM_WEIGHT:
    case SLOT_TEMPORAL_NORM_WEIGHT:
    case SLOT_SCALE1:
    case SLOT_SCALE2: return true;
    default: return false;
    }
}

// Random numbers that keep a residual stream lively: matrices with variance 1 / fan-in, scales
// around 1, vectors of 0.1. Number i depends on (seed, slot, block, i) alone.
static void generate(float *out, const struct tensor *tensor, size_t begin, size_t n,
                     enum slot slot, size_t block, uint64_t seed) {
    const bool scale = is_scale(slot);
    size_t fan_in = 1;
    for (size_t i = 1; i < tensor->n_dimensions; i++) fan_in *= tensor->shape[i];
    const bool matrix = tensor->n_dimensions > 1 && tensor->shape[0] > 1;
    const double spread =
        sqrt(3.0) * (matrix ? 1.0 / sqrt((double)fan_in) : 0.1); // of a uniform number
    const uint64_t base = mix64(seed ^ mix64((uint64_t)slot << 32 | block));
    for (size_t i = 0; i < n; i++) {
        const double uniform = (double)(mix64(base + (begin + i) * MIX_STEP) >> 11) * 0x1p-53;
        out[i] = (float)((scale ? 1.0 : 0.0) + spread * (2.0 * uniform - 1.0));
    }
}

struct builder {
    struct weights *weights;
    struct memory *memory;
    const struct weight_formats *formats;
    const struct geometry *geometry;
    const struct family *family;
    const struct tensor_map *map;
    uint64_t seed;
    pthread_mutex_t lock; // guards the rest
    vdt_error *error;
    int status;
    uint64_t parameters, bytes;
};

static void fail(struct builder *builder, int status, const vdt_error *error) {
    pthread_mutex_lock(&builder->lock);
    if (!builder->status) {
        builder->status = status;
        if (builder->error && error && error->status) *builder->error = *error;
    }
    pthread_mutex_unlock(&builder->lock);
}

static void count(struct builder *builder, size_t parameters, size_t bytes) {
    pthread_mutex_lock(&builder->lock);
    builder->parameters += parameters;
    builder->bytes += bytes;
    pthread_mutex_unlock(&builder->lock);
}

static const struct tensor *find(const struct builder *builder, enum slot slot, size_t block) {
    return tensor_map_find(builder->map, slot, block);
}

// Reads numbers [begin, begin + n) of a tensor and hands their pages back.
static int read_numbers(struct builder *builder, float *out, enum slot slot, size_t block,
                        size_t begin, size_t n, vdt_error *error) {
    const struct tensor *tensor = find(builder, slot, block);
    if (!tensor->data) {
        generate(out, tensor, begin, n, slot, block, builder->seed);
        return VDT_OK;
    }
    tensor_to_f32(out, tensor, begin, n);
    io_release(tensor->data + begin * tensor->element_bytes, n * tensor->element_bytes);
    if (tensor_is_finite(out, n)) return VDT_OK;
    char name[256];
    tensor_map_name(name, sizeof name, builder->family, builder->geometry, slot, block);
    return status_fail(error, VDT_ERROR_NUMERIC,
                       "weights: tensor %s: found NaN or infinity among its numbers", name);
}

static int read_tensor(struct builder *builder, float *out, enum slot slot, size_t block,
                       vdt_error *error) {
    const size_t n = find(builder, slot, block)->count;
    count(builder, n, 0);
    return read_numbers(builder, out, slot, block, 0, n, error);
}

/* ---- vectors and matrices ------------------------------------------------------------------ */

// A copy of the tensor of `slot`; *out stays NULL where there is none.
static int read_vector(struct builder *builder, float **out, enum slot slot, size_t block,
                       vdt_error *error) {
    const struct tensor *tensor = find(builder, slot, block);
    if (!tensor) return VDT_OK;
    *out = mem_alloc_raw(builder->memory, tensor->count, sizeof **out, "weights", error);
    if (!*out) return VDT_ERROR_MEMORY;
    count(builder, 0, tensor->count * sizeof **out);
    return read_tensor(builder, *out, slot, block, error);
}

static int read_norm(struct builder *builder, struct norm *norm, enum slot weight, enum slot bias,
                     size_t block, float eps, vdt_error *error) {
    norm->eps = eps;
    int status = read_vector(builder, &norm->weight, weight, block, error);
    if (!status) status = read_vector(builder, &norm->bias, bias, block, error);
    return status;
}

// A matrix that is put together from the rows of one to three tensors, each with its bias or none.
struct parts {
    enum slot weights[3], biases[3];
    size_t n;
    enum slot scale; // multiplies the rows; SLOTS: none
    bool permute;    // the patch embedding's columns
    enum format format;
};

// What a matrix being read needs: some of its rows (twice, where their columns are permuted), its bias and
// the rows' scale.
struct staging {
    float *w, *spare, *bias, *scale;
    void *pack;
};

static void close_staging(struct staging *staging, struct memory *memory) {
    mem_free(memory, staging->w);
    mem_free(memory, staging->spare);
    mem_free(memory, staging->bias);
    mem_free(memory, staging->scale);
    mem_free(memory, staging->pack);
}

static int open_staging(struct staging *staging, struct memory *memory, const struct gemm *gemm,
                        vdt_error *error) {
    const size_t n = gemm_n(gemm), floats = GEMM_PACK_ROWS * gemm_k(gemm);
    staging->w = mem_alloc_raw(memory, floats, sizeof(float), "weights", error);
    staging->spare = mem_alloc_raw(memory, floats, sizeof(float), "weights", error);
    staging->bias = mem_alloc(memory, n, sizeof(float), "weights", error);
    staging->scale = mem_alloc(memory, n, sizeof(float), "weights", error);
    staging->pack = mem_alloc_raw(memory, gemm_pack_scratch_bytes(gemm), 1, "weights", error);
    return staging->w && staging->spare && staging->bias && staging->scale && staging->pack
               ? VDT_OK
               : VDT_ERROR_MEMORY;
}

// Biases of all parts (zeros where there is none) and the scale of the rows, folded into the biases.
static int read_biases(struct builder *builder, struct staging *staging, const struct parts *parts,
                       size_t block, size_t n, vdt_error *error) {
    size_t row = 0;
    int status = VDT_OK;
    for (size_t i = 0; !status && i < parts->n; i++) {
        if (parts->biases[i] != SLOTS && find(builder, parts->biases[i], block)) {
            status = read_tensor(builder, staging->bias + row, parts->biases[i], block, error);
        }
        row += find(builder, parts->weights[i], block)->shape[0];
    }
    const bool scaled = parts->scale != SLOTS && find(builder, parts->scale, block);
    if (!status && scaled)
        status = read_tensor(builder, staging->scale, parts->scale, block, error);
    for (size_t i = 0; i < n; i++) {
        if (!scaled) staging->scale[i] = 1.0f;
        staging->bias[i] *= staging->scale[i];
    }
    return status;
}

// Rows [first, first + rows) of the matrix, whichever parts they lie in, into staging->w.
static int read_rows(struct builder *builder, struct staging *staging, const struct parts *parts,
                     size_t block, size_t first, size_t rows, size_t k, vdt_error *error) {
    size_t part_begin = 0;
    for (size_t i = 0; i < parts->n; i++) {
        const size_t part_end = part_begin + find(builder, parts->weights[i], block)->shape[0];
        const size_t begin = max_size(first, part_begin), end = min_size(first + rows, part_end);
        if (begin < end) {
            float *to = (parts->permute ? staging->spare : staging->w) + (begin - first) * k;
            const int status = read_numbers(builder, to, parts->weights[i], block,
                                            (begin - part_begin) * k, (end - begin) * k, error);
            if (status) return status;
        }
        part_begin = part_end;
    }
    if (parts->permute) {
        patch_embed_permute(staging->w, staging->spare, rows, builder->geometry->tubelet,
                            builder->geometry->patch);
    }
    for (size_t i = 0; i < rows; i++) {
        const float scale = staging->scale[first + i];
        for (size_t j = 0; scale != 1.0f && j < k; j++) staging->w[i * k + j] *= scale;
    }
    return VDT_OK;
}

static enum format matrix_format(const struct builder *builder, const struct parts *parts,
                                 size_t k) {
    const bool narrow = parts->format == FORMAT_I8 && k < INT8_LEAST_K;
    return narrow ? builder->formats->patch : parts->format;
}

static int read_matrix(struct builder *builder, struct gemm **out, const struct parts *parts,
                       size_t block, vdt_error *error) {
    size_t n = 0, k = 0;
    for (size_t i = 0; i < parts->n; i++) {
        const struct tensor *tensor = find(builder, parts->weights[i], block);
        if (!tensor) return VDT_OK; // an optional matrix that is not there
        n += tensor->shape[0];
        k = tensor->shape[0] > 0 ? tensor->count / tensor->shape[0] : 0;
        count(builder, tensor->count, 0);
    }
    if (n == 0 || k == 0)
        return status_fail(error, VDT_ERROR_FORMAT, "weights: a matrix has no numbers");
    const enum format format = matrix_format(builder, parts, k);
    struct staging staging = {0};
    int status = gemm_open(out, builder->memory, builder->formats->kernels, format, n, k, error);
    if (!status) status = open_staging(&staging, builder->memory, *out, error);
    if (!status) status = read_biases(builder, &staging, parts, block, n, error);
    for (size_t first = 0; !status && first < n; first += GEMM_PACK_ROWS) {
        const size_t rows = min_size(GEMM_PACK_ROWS, n - first);
        status = read_rows(builder, &staging, parts, block, first, rows, k, error);
        if (!status) gemm_pack(*out, first, rows, staging.w, staging.pack);
    }
    if (!status && staging.bias) gemm_set_bias(*out, staging.bias);
    if (!status) count(builder, 0, gemm_bytes(*out));
    close_staging(&staging, builder->memory);
    return status;
}

static int read_linear(struct builder *builder, struct gemm **out, enum slot weight, enum slot bias,
                       enum slot scale, enum format format, size_t block, vdt_error *error) {
    const struct parts parts = {
        .weights = {weight}, .biases = {bias}, .n = 1, .scale = scale, .format = format};
    return read_matrix(builder, out, &parts, block, error);
}

// Heads are f32 in every precision: they are small and their results are what users see.
static int read_head(struct builder *builder, struct gemm **out, enum slot weight, enum slot bias,
                     vdt_error *error) {
    return read_linear(builder, out, weight, bias, SLOTS, FORMAT_F32, 0, error);
}

/* ---- the parts of a model ------------------------------------------------------------------ */

static int build_embedding(struct builder *builder, vdt_error *error) {
    struct weights *weights = builder->weights;
    const struct parts patch = {.weights = {SLOT_PATCH_WEIGHT},
                                .biases = {SLOT_PATCH_BIAS},
                                .n = 1,
                                .scale = SLOTS,
                                .permute = true,
                                .format = builder->formats->patch};
    int status = read_matrix(builder, &weights->patch, &patch, 0, error);
    if (!status) status = read_vector(builder, &weights->class_token, SLOT_CLASS_TOKEN, 0, error);
    if (!status)
        status =
            read_vector(builder, &weights->distillation_token, SLOT_DISTILLATION_TOKEN, 0, error);
    if (!status) status = read_vector(builder, &weights->registers, SLOT_REGISTERS, 0, error);
    if (!status) status = read_vector(builder, &weights->positions, SLOT_POSITIONS, 0, error);
    if (!status)
        status = read_vector(builder, &weights->length_rows, SLOT_LENGTH_EMBEDDING, 0, error);
    if (!status) {
        status = read_norm(builder, &weights->pre_norm, SLOT_PRE_NORM_WEIGHT, SLOT_PRE_NORM_BIAS, 0,
                           builder->geometry->eps, error);
    }
    return status;
}

// Files count the distance from key to query, q - k; the other way round, a query's row is contiguous.
static int read_relative(struct builder *builder, float **out, enum slot slot, size_t block,
                         vdt_error *error) {
    const int status = read_vector(builder, out, slot, block, error);
    if (status || !*out) return status;
    const struct tensor *tensor = find(builder, slot, block);
    const size_t rows = tensor->shape[0], d = tensor->shape[1];
    for (size_t row = 0; row < rows / 2; row++) {
        for (size_t i = 0; i < d; i++) {
            float *low = *out + row * d + i, *high = *out + (rows - 1 - row) * d + i, swap = *low;
            *low = *high;
            *high = swap;
        }
    }
    return VDT_OK;
}

static int build_attention(struct builder *builder, struct block *block, size_t i,
                           vdt_error *error) {
    const struct parts fused = {.weights = {SLOT_QKV_WEIGHT},
                                .biases = {SLOT_QKV_BIAS},
                                .n = 1,
                                .scale = SLOTS,
                                .format = builder->formats->block};
    const struct parts apart = {.weights = {SLOT_Q_WEIGHT, SLOT_K_WEIGHT, SLOT_V_WEIGHT},
                                .biases = {SLOT_Q_BIAS, SLOT_K_BIAS, SLOT_V_BIAS},
                                .n = 3,
                                .scale = SLOTS,
                                .format = builder->formats->block};
    const bool is_fused = find(builder, SLOT_QKV_WEIGHT, i) != NULL;
    int status = read_norm(builder, &block->norm1, SLOT_NORM1_WEIGHT, SLOT_NORM1_BIAS, i,
                           builder->geometry->eps, error);
    if (!status)
        status = read_matrix(builder, &block->attention.qkv, is_fused ? &fused : &apart, i, error);
    if (!status) {
        status = read_linear(builder, &block->attention.proj, SLOT_PROJ_WEIGHT, SLOT_PROJ_BIAS,
                             SLOT_SCALE1, builder->formats->block, i, error);
    }
    if (!status) status = read_relative(builder, &block->relative_h, SLOT_RELATIVE_H, i, error);
    if (!status) status = read_relative(builder, &block->relative_w, SLOT_RELATIVE_W, i, error);
    return status;
}

static int build_mlp(struct builder *builder, struct block *block, size_t i, vdt_error *error) {
    const struct parts fused = {.weights = {SLOT_FC1_WEIGHT},
                                .biases = {SLOT_FC1_BIAS},
                                .n = 1,
                                .scale = SLOTS,
                                .format = builder->formats->block};
    const struct parts apart = {.weights = {SLOT_GATE_WEIGHT, SLOT_UP_WEIGHT},
                                .biases = {SLOT_GATE_BIAS, SLOT_UP_BIAS},
                                .n = 2,
                                .scale = SLOTS,
                                .format = builder->formats->block};
    const bool is_fused = find(builder, SLOT_FC1_WEIGHT, i) != NULL;
    int status = read_norm(builder, &block->norm2, SLOT_NORM2_WEIGHT, SLOT_NORM2_BIAS, i,
                           builder->geometry->eps, error);
    block->mlp.activation = builder->geometry->activation;
    block->mlp.gated = builder->geometry->gated;
    if (!status)
        status = read_matrix(builder, &block->mlp.fc1, is_fused ? &fused : &apart, i, error);
    if (!status)
        status = read_linear(builder, &block->mlp.fc2, SLOT_FC2_WEIGHT, SLOT_FC2_BIAS, SLOT_SCALE2,
                             builder->formats->block, i, error);
    return status;
}

// The probe's query is the same for every input: it goes through its third of the fused projection
// here.
static int build_attention_pool(struct builder *builder, vdt_error *error) {
    struct attention_pool *pool = &builder->weights->pool;
    if (!find(builder, SLOT_PROBE, 0)) return VDT_OK;
    const size_t d = builder->geometry->d;
    float *probe = mem_alloc_raw(builder->memory, d, sizeof *probe, "weights", error);
    float *w = mem_alloc_raw(builder->memory, 3 * d * d, sizeof *w, "weights", error);
    float *bias = mem_alloc_raw(builder->memory, 3 * d, sizeof *bias, "weights", error);
    pool->q = mem_alloc_raw(builder->memory, d, sizeof *pool->q, "weights", error);
    int status = probe && w && bias && pool->q ? VDT_OK : VDT_ERROR_MEMORY;
    if (!status) status = read_tensor(builder, probe, SLOT_PROBE, 0, error);
    if (!status) status = read_tensor(builder, w, SLOT_PROBE_QKV_WEIGHT, 0, error);
    if (!status) status = read_tensor(builder, bias, SLOT_PROBE_QKV_BIAS, 0, error);
    for (size_t i = 0; !status && i < d; i++) {
        double sum = bias[i];
        for (size_t j = 0; j < d; j++) sum += (double)w[i * d + j] * probe[j];
        pool->q[i] = (float)sum;
    }
    if (!status)
        status = gemm_open_whole(&pool->kv, builder->memory, builder->formats->kernels, FORMAT_F32,
                                 w + d * d, bias + d, 2 * d, d, error);
    if (!status) count(builder, 0, gemm_bytes(pool->kv) + d * sizeof(float));
    mem_free(builder->memory, probe);
    mem_free(builder->memory, w);
    mem_free(builder->memory, bias);
    if (!status) {
        status =
            read_head(builder, &pool->proj, SLOT_PROBE_PROJ_WEIGHT, SLOT_PROBE_PROJ_BIAS, error);
    }
    if (!status) {
        status = read_norm(builder, &pool->norm, SLOT_PROBE_NORM_WEIGHT, SLOT_PROBE_NORM_BIAS, 0,
                           builder->geometry->eps, error);
    }
    pool->mlp.activation = builder->geometry->activation;
    if (!status) {
        status =
            read_head(builder, &pool->mlp.fc1, SLOT_PROBE_FC1_WEIGHT, SLOT_PROBE_FC1_BIAS, error);
    }
    if (!status) {
        status =
            read_head(builder, &pool->mlp.fc2, SLOT_PROBE_FC2_WEIGHT, SLOT_PROBE_FC2_BIAS, error);
    }
    return status;
}

static const float FC_NORM_EPS = 1e-5f; // VideoMAE's fc_norm keeps the framework's default

static int build_head(struct builder *builder, vdt_error *error) {
    struct weights *weights = builder->weights;
    int status = read_norm(builder, &weights->norm, SLOT_NORM_WEIGHT, SLOT_NORM_BIAS, 0,
                           builder->geometry->eps, error);
    if (!status) {
        status = read_norm(builder, &weights->fc_norm, SLOT_FC_NORM_WEIGHT, SLOT_FC_NORM_BIAS, 0,
                           FC_NORM_EPS, error);
    }
    if (!status) {
        status = read_norm(builder, &weights->temporal_norm, SLOT_TEMPORAL_NORM_WEIGHT,
                           SLOT_TEMPORAL_NORM_BIAS, 0, builder->geometry->eps, error);
    }
    if (!status)
        status = read_vector(builder, &weights->temporal_class, SLOT_TEMPORAL_CLASS, 0, error);
    if (!status) {
        status =
            read_vector(builder, &weights->temporal_positions, SLOT_TEMPORAL_POSITIONS, 0, error);
    }
    if (!status)
        status = read_head(builder, &weights->pooler, SLOT_POOLER_WEIGHT, SLOT_POOLER_BIAS, error);
    if (!status) {
        status = read_head(builder, &weights->classifier, SLOT_CLASSIFIER_WEIGHT,
                           SLOT_CLASSIFIER_BIAS, error);
    }
    if (!status) {
        status = read_head(builder, &weights->classifier2, SLOT_CLASSIFIER2_WEIGHT,
                           SLOT_CLASSIFIER2_BIAS, error);
    }
    if (!status)
        status = read_head(builder, &weights->projection, SLOT_PROJECTION_WEIGHT, SLOTS, error);
    return status;
}

// Tasks: the embedding, the head, the attention pool, then attention and MLP of each block.
enum { MODEL_TASKS = 3 };

static void build_task(void *argument, size_t task, size_t thread) {
    (void)thread;
    struct builder *builder = argument;
    struct block *blocks = builder->weights->blocks;
    vdt_error error = {0};
    const size_t block = (task - MODEL_TASKS) / 2;
    int status;
    if (task == 0)
        status = build_embedding(builder, &error);
    else if (task == 1)
        status = build_head(builder, &error);
    else if (task == 2)
        status = build_attention_pool(builder, &error);
    else if (task % 2 == 1)
        status = build_attention(builder, &blocks[block], block, &error);
    else
        status = build_mlp(builder, &blocks[block], block, &error);
    if (status) fail(builder, status, &error);
}

int weights_open(struct weights *out, struct memory *memory, struct pool *pool,
                 const struct weight_formats *formats, const struct geometry *geometry,
                 const struct family *family, const struct tensor_map *map, uint64_t seed,
                 vdt_error *error) {
    struct weights weights = {
        .memory = memory, .n_blocks = geometry->blocks, .n_temporal = geometry->temporal_blocks};
    const size_t blocks = weights.n_blocks + weights.n_temporal;
    weights.blocks = mem_alloc(memory, blocks, sizeof *weights.blocks, "weights", error);
    if (!weights.blocks) return VDT_ERROR_MEMORY;
    struct builder builder = {.weights = &weights,
                              .memory = memory,
                              .formats = formats,
                              .geometry = geometry,
                              .family = family,
                              .map = map,
                              .seed = seed,
                              .error = error};
    pthread_mutex_init(&builder.lock, NULL);
    pool_run(pool, MODEL_TASKS + 2 * blocks, build_task, &builder);
    pthread_mutex_destroy(&builder.lock);
    weights.parameters = builder.parameters;
    weights.bytes = builder.bytes;
    if (builder.status) {
        weights_close(&weights);
    } else {
        *out = weights;
    }
    return builder.status;
}

static void close_norm(struct memory *memory, struct norm *norm) {
    mem_free(memory, norm->weight);
    mem_free(memory, norm->bias);
}

void weights_close(struct weights *weights) {
    struct memory *memory = weights->memory;
    if (!memory) return;
    for (size_t i = 0; i < weights->n_blocks + weights->n_temporal; i++) {
        struct block *block = &weights->blocks[i];
        close_norm(memory, &block->norm1);
        close_norm(memory, &block->norm2);
        gemm_close(&block->attention.qkv);
        gemm_close(&block->attention.proj);
        gemm_close(&block->mlp.fc1);
        gemm_close(&block->mlp.fc2);
        mem_free(memory, block->relative_h);
        mem_free(memory, block->relative_w);
    }
    struct gemm **matrices[] = {
        &weights->patch,       &weights->pooler,       &weights->classifier,
        &weights->classifier2, &weights->projection,   &weights->pool.kv,
        &weights->pool.proj,   &weights->pool.mlp.fc1, &weights->pool.mlp.fc2};
    for (size_t i = 0; i < sizeof matrices / sizeof *matrices; i++) gemm_close(matrices[i]);
    float *vectors[] = {weights->class_token,    weights->distillation_token, weights->registers,
                        weights->positions,      weights->length_rows,        weights->pool.q,
                        weights->temporal_class, weights->temporal_positions};
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) mem_free(memory, vectors[i]);
    close_norm(memory, &weights->pre_norm);
    close_norm(memory, &weights->norm);
    close_norm(memory, &weights->fc_norm);
    close_norm(memory, &weights->temporal_norm);
    close_norm(memory, &weights->pool.norm);
    mem_free(memory, weights->blocks);
    *weights = (struct weights){0};
}
