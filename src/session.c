// A session: one plan, one block of memory, one thread at a time.
#include "models/model.h"
#include "session.h"

void vdt_session_options_init(vdt_session_options *options) {
    *options = (vdt_session_options){.abi = VDT_ABI,
                                     .clips = 1,
                                     .layer = VDT_LAYER_LAST,
                                     .rlt = {.tau = 0.1},
                                     .stream = {.max_wait = 30}};
}

static int check_options(const vdt_model *model, const vdt_session_options *options,
                         vdt_error *error) {
    enum { MAX_CLIPS = 4096 };
    if (options->abi != VDT_ABI) {
        return status_fail(error, VDT_ERROR_ARGUMENT, "session options: expected ABI %u, found %u",
                           VDT_ABI, options->abi);
    }
    if (options->clips < 1 || options->clips > MAX_CLIPS) {
        return status_fail(error, VDT_ERROR_ARGUMENT, "clips: expected 1..%d, found %u", MAX_CLIPS,
                           options->clips);
    }
    if (options->layer < VDT_LAYER_LAST) {
        return status_fail(error, VDT_ERROR_ARGUMENT, "layer: expected 0..%zu or last, found %d",
                           model->geometry.blocks, options->layer);
    }
    return VDT_OK;
}

// A factorised model's encoder takes snippets, all of a call's or, in a stream, one, and gives at most class
// tokens; what users asked for is planned by the second encoder.
static int plan_factorised(struct vdt_session *session, const vdt_session_options *options,
                           struct encoder_options *plan_options, vdt_error *error) {
    const struct geometry *geometry = &session->model->geometry;
    const bool streaming = options->stream.update != VDT_UPDATE_OFF;
    const size_t layer = plan_options->layer;
    if (plan_options->frames != geometry->frames) {
        return status_fail(error, VDT_ERROR_UNSUPPORTED,
                           "input size: this model takes clips of %zu frames, found %zu",
                           geometry->frames, plan_options->frames);
    }
    plan_options->frames = geometry_sequence_frames(geometry);
    plan_options->clips = options->clips * (streaming ? 1 : geometry_snippets(geometry));
    plan_options->pool = streaming ? VDT_POOL_CLASS : VDT_POOL_NONE_WANTED;
    plan_options->layer = ENCODER_LAST;
    const int status = encoder_plan(&session->encoder, session->model->context, geometry,
                                    &session->model->weights, plan_options, error);
    if (status) return status;
    return factorised_plan(&session->factorised, &session->encoder, options->clips, options->pool,
                           layer, error);
}

// Fills a session whose model is set, without memory.
static int plan(struct vdt_session *session, const vdt_session_options *options, vdt_error *error) {
    const vdt_model *model = session->model;
    int status = check_options(model, options, error);
    if (status) return status;
    struct encoder_options plan_options = {
        .clips = options->clips,
        .frames = options->frames ? options->frames : model->info.frames,
        .height = options->height ? options->height : model->info.height,
        .width = options->width ? options->width : model->info.width,
        .pool = options->pool,
        .layer = options->layer == VDT_LAYER_LAST ? ENCODER_LAST : (size_t)options->layer,
        .rlt = options->rlt,
        .tome = options->tome,
        .scale = {.range = 1.0 / model->processor.scale,
                  .std = {model->processor.std[0], model->processor.std[1],
                          model->processor.std[2]}},
    };
    session->clips = options->clips;
    if (model->geometry.temporal_blocks > 0) {
        status = plan_factorised(session, options, &plan_options, error);
    } else {
        status = encoder_plan(&session->encoder, model->context, &model->geometry, &model->weights,
                              &plan_options, error);
    }
    return status || options->stream.update == VDT_UPDATE_OFF
               ? status
               : session_plan_stream(session, &options->stream, error);
}

static void lay_out(struct vdt_session *session, struct arena *arena) {
    encoder_layout(&session->encoder, arena);
    if (session->factorised.encoder) factorised_layout(&session->factorised, arena);
    if (session->stream.encoder) stream_layout(&session->stream, arena);
}

// Lays the plan out without memory; the bytes it takes.
static int measure(size_t *bytes, struct vdt_session *session, vdt_error *error) {
    struct arena counting = {0};
    lay_out(session, &counting);
    if (counting.overflow) {
        return status_fail(error, VDT_ERROR_MEMORY,
                           "session: its buffers are larger than an address can hold");
    }
    *bytes = counting.peak;
    return VDT_OK;
}

vdt_status vdt_session_estimate(size_t *bytes, const vdt_model *model,
                                const vdt_session_options *options, vdt_error *error) {
    vdt_session_options defaults;
    vdt_session_options_init(&defaults);
    struct vdt_session session = {.model = model};
    const int status = plan(&session, options ? options : &defaults, error);
    return status ? status : measure(bytes, &session, error);
}

static void fill_shape(struct vdt_session *session, size_t bytes) {
    const struct encoder *encoder = &session->encoder;
    const struct expectation expected = encoder_expect(encoder);
    session->shape = (vdt_session_shape_info){
        .frames = (uint32_t)encoder->options.frames,
        .height = (uint32_t)encoder->options.height,
        .width = (uint32_t)encoder->options.width,
        .tokens = (uint32_t)encoder->tokens,
        .tokens_kept = (uint32_t)expected.kept,
        .tokens_final = (uint32_t)expected.final,
        .macs = expected.macs,
        .macs_dense = encoder_macs(encoder),
        .logits = encoder->n_logits,
        .features = encoder->n_features,
        .feature_dimensions = (uint32_t)encoder->feature_dimensions,
        .bytes = bytes,
    };
    for (size_t i = 0; i < encoder->feature_dimensions; i++) {
        session->shape.feature_shape[i] = encoder->feature_shape[i];
    }
    const struct factorised *factorised = &session->factorised;
    if (!factorised->encoder) return;
    if (!session->streaming) session->shape.frames = session->model->info.frames;
    session->shape.logits = factorised->n_logits;
    session->shape.features = session->shape.feature_shape[0] = factorised->n_features;
    session->shape.feature_dimensions = factorised->n_features > 0;
}

vdt_status vdt_session_open(vdt_session **out, vdt_model *model, const vdt_session_options *options,
                            vdt_error *error) {
    vdt_session_options defaults;
    vdt_session_options_init(&defaults);
    struct memory *memory = &model->context->memory;
    struct vdt_session *session = mem_alloc(memory, 1, sizeof *session, "session", error);
    if (!session) return VDT_ERROR_MEMORY;
    session->model = model;
    size_t bytes = 0;
    int status = plan(session, options ? options : &defaults, error);
    if (!status) status = measure(&bytes, session, error);
    if (!status) {
        session->memory = mem_alloc_raw(memory, bytes, 1, "session", error);
        if (!session->memory) status = VDT_ERROR_MEMORY;
    }
    if (status) {
        vdt_session_close(&session);
        return status;
    }
    struct arena arena = {.base = session->memory};
    lay_out(session, &arena);
    session->encoder.values = model->values;
    encoder_prepare(&session->encoder);
    session->streaming = session->stream.encoder != NULL;
    if (session->streaming) status = session_prepare_stream(session, error);
    if (status) {
        vdt_session_close(&session);
        return status;
    }
    fill_shape(session, bytes);
    *out = session;
    return VDT_OK;
}

void vdt_session_close(vdt_session **handle) {
    if (!handle || !*handle) return;
    struct vdt_session *session = *handle;
    struct memory *memory = &session->model->context->memory;
    mem_free(memory, session->memory);
    mem_free(memory, session);
    *handle = NULL;
}

const vdt_session_shape_info *vdt_session_shape(const vdt_session *session) {
    return &session->shape;
}

static int check_run(const struct vdt_session *session, const vdt_clip *clips, size_t n_clips,
                     const vdt_output *output, vdt_error *error) {
    const vdt_session_shape_info *shape = &session->shape;
    if (n_clips < 1 || n_clips > session->clips) {
        return status_fail(error, VDT_ERROR_ARGUMENT, "clips: this session packs 1..%zu, found %zu",
                           session->clips, n_clips);
    }
    for (size_t i = 0; i < n_clips; i++) {
        if (!clips[i].pixels || clips[i].row_stride < 3 * (size_t)shape->width ||
            clips[i].frame_stride < shape->height * clips[i].row_stride) {
            return status_fail(
                error, VDT_ERROR_ARGUMENT,
                "clip %zu: expected pixels with strides of at least %u x 3 bytes a row and %u rows",
                i, shape->width, shape->height);
        }
    }
    if (output->logits && shape->logits == 0) {
        return status_fail(error, VDT_ERROR_UNSUPPORTED, "%s: this model has no classifier",
                           session->model->name);
    }
    if (output->features && shape->features == 0) {
        return status_fail(error, VDT_ERROR_ARGUMENT,
                           "features: the session was opened without a pool");
    }
    if ((output->logits && output->logits_stride != 0 && output->logits_stride < shape->logits) ||
        (output->features && output->features_stride != 0 &&
         output->features_stride < shape->features)) {
        return status_fail(error, VDT_ERROR_ARGUMENT,
                           "output: expected strides of at least %zu logits, %zu features",
                           shape->logits, shape->features);
    }
    return VDT_OK;
}

// Weights so large that a sum overflows are found here and nowhere else.
static int check_finite(const vdt_session *session, const char *what, const float *rows,
                        size_t stride, size_t n, size_t n_clips, vdt_error *error) {
    for (size_t i = 0; i < n_clips; i++) {
        if (!tensor_is_finite(rows + i * stride, n)) {
            return status_fail(error, VDT_ERROR_NUMERIC,
                               "%s: clip %zu: its %s hold NaN or infinity", session->model->name, i,
                               what);
        }
    }
    return VDT_OK;
}

vdt_status vdt_session_run(vdt_session *session, const vdt_clip *clips, size_t n_clips,
                           const vdt_output *output, vdt_stats *stats, vdt_error *error) {
    int status = check_run(session, clips, n_clips, output, error);
    if (status) return status;
    session->clips_run = 0;
    const vdt_session_shape_info *shape = &session->shape;
    const size_t logits = output->logits_stride ? output->logits_stride : shape->logits;
    const size_t features = output->features_stride ? output->features_stride : shape->features;
    if (session->streaming)
        status = session_step(session, clips, output, stats, error);
    else if (session->factorised.encoder)
        status = factorised_forward(&session->factorised, clips, n_clips, output->logits, logits,
                                    output->features, features, stats, error);
    else
        status = encoder_forward(&session->encoder, clips, n_clips, output->logits, logits,
                                 output->features, features, stats, error);
    if (!status && output->logits) {
        status =
            check_finite(session, "logits", output->logits, logits, shape->logits, n_clips, error);
    }
    if (!status && output->features) {
        status = check_finite(session, "features", output->features, features, shape->features,
                              n_clips, error);
    }
    if (!status) session->clips_run = n_clips;
    return status;
}

vdt_status vdt_session_set_rlt(vdt_session *session, const vdt_rlt_options *rlt, vdt_error *error) {
    if (session->encoder.rlt.options.mode == VDT_RLT_OFF || rlt->mode == VDT_RLT_OFF) {
        return status_fail(error, VDT_ERROR_ARGUMENT,
                           "rlt: expected to be on, here and when the session was opened");
    }
    return encoder_set_rlt(&session->encoder, rlt, error);
}

vdt_status vdt_session_tokens(vdt_tokens *tokens, const vdt_session *session, size_t clip,
                              vdt_error *error) {
    const struct encoder *encoder = &session->encoder;
    const struct sequence *sequence = &encoder->sequence;
    if (clip >= session->clips_run) {
        return status_fail(error, VDT_ERROR_ARGUMENT,
                           "tokens: the last run had %zu clips, found clip %zu", session->clips_run,
                           clip);
    }
    if (session->streaming) {
        return status_fail(error, VDT_ERROR_ARGUMENT,
                           "tokens: what a stream did is said by vdt_session_stream");
    }
    // A factorised clip's tokens are those of its first snippet; its operations are all of them.
    const size_t snippets = session->factorised.encoder ? session->factorised.snippets : 1;
    clip *= snippets;
    const size_t blocks = encoder->weights->n_blocks, first = clip * encoder->tokens;
    *tokens = (vdt_tokens){.total = (uint32_t)encoder->tokens,
                           .kept = sequence->kept[clip],
                           .n_layers = (uint32_t)blocks,
                           .layers = encoder->layers + clip * blocks,
                           .indices = sequence->indices + first,
                           .lengths = sequence->lengths + first,
                           .source = sequence->source + first,
                           .macs = encoder->clip_macs[clip] * snippets,
                           .macs_dense = encoder->dense_macs[clip] * snippets};
    if (session->factorised.encoder) {
        tokens->macs += factorised_macs(&session->factorised);
        tokens->macs_dense += factorised_macs(&session->factorised);
    }
    return VDT_OK;
}
