// Sessions that are streams: options, steps, snapshots.
#include <math.h>
#include <string.h>

#include "models/stream_count.h"
#include "session.h"

/* ---- options ------------------------------------------------------------------------------- */

static int check_number(double value, double most, const char *name, vdt_error *error) {
    if (value >= 0.0 && value <= most && isfinite(value)) return VDT_OK;
    return status_fail(error, VDT_ERROR_ARGUMENT, "%s: expected a number >= 0%s, found %g", name,
                       most == 1.0 ? " and <= 1" : "", value);
}

static int check_options(const vdt_stream_options *options, vdt_error *error) {
    if (options->update > VDT_UPDATE_THRESHOLD)
        return status_fail(error, VDT_ERROR_ARGUMENT, "update: unknown value %d",
                           (int)options->update);
    if (options->attention > VDT_ATTENTION_TOKENWISE) {
        return status_fail(error, VDT_ERROR_ARGUMENT, "attention: unknown value %d",
                           (int)options->attention);
    }
    if (options->still > VDT_STILL_LEARN)
        return status_fail(error, VDT_ERROR_ARGUMENT, "still: unknown value %d",
                           (int)options->still);
    if (options->budget_ms > 0.0 && options->update != VDT_UPDATE_TOP) {
        return status_fail(error, VDT_ERROR_ARGUMENT,
                           "budget: expected an update of the largest errors (top) beside it");
    }
    int status = check_number(options->budget_ms, INFINITY, "budget", error);
    if (!status) status = check_number(options->fraction, 1.0, "fraction", error);
    if (!status) status = check_number(options->threshold, INFINITY, "threshold", error);
    if (!status) status = check_number(options->floor, INFINITY, "floor", error);
    if (!status)
        status = check_number(options->still_tolerance, INFINITY, "still_tolerance", error);
    return status;
}

int session_plan_stream(struct vdt_session *session, const vdt_stream_options *options,
                        vdt_error *error) {
    static const enum policy_kind kinds[] = {[VDT_UPDATE_ALL] = POLICY_ALL,
                                             [VDT_UPDATE_TOP] = POLICY_TOP,
                                             [VDT_UPDATE_FRACTION] = POLICY_TOP,
                                             [VDT_UPDATE_THRESHOLD] = POLICY_THRESHOLD};
    const int status = check_options(options, error);
    if (status) return status;
    const double share = options->fraction * (double)session->encoder.tokens;
    const bool fraction = options->update == VDT_UPDATE_FRACTION;
    struct stream_options plan = {.policy = {.kind = kinds[options->update],
                                             .r = fraction ? (size_t)share : options->r,
                                             .threshold = options->threshold,
                                             .floor = options->floor,
                                             .max_wait = options->max_wait},
                                  .attention = options->attention,
                                  .still = options->still != VDT_STILL_OFF,
                                  .learn_still = options->still == VDT_STILL_LEARN,
                                  .tau = options->still_tolerance,
                                  .deadline = options->budget_ms,
                                  .record = options->record != 0};
    return stream_plan(&session->stream, &session->encoder,
                       session->factorised.encoder ? &session->factorised : NULL, &plan, error);
}

static int calibrate(struct vdt_session *session, vdt_error *error) {
    const struct encoder_options *options = &session->encoder.options;
    struct memory *memory = &session->model->context->memory;
    uint8_t *pixels = mem_alloc_raw(memory, options->frames * options->height, 3 * options->width,
                                    "session", error);
    if (!pixels) return VDT_ERROR_MEMORY;
    const int status = stream_calibrate(&session->stream, pixels, error);
    mem_free(memory, pixels);
    return status;
}

int session_prepare_stream(struct vdt_session *session, vdt_error *error) {
    struct stream *stream = &session->stream;
    stream_prepare(stream);
    session->stream_info = (vdt_stream_info){
        .patches = (uint32_t)session->encoder.patches,
        .gates = 3 * session->encoder.geometry->blocks,
        .updated = stream->updated,
        .macs_eventful_dense =
            stream_count_clip(&session->encoder, session->encoder.tokens, NULL) +
            (session->factorised.encoder
                 ? factorised_count(&session->factorised, session->factorised.snippets)
                 : 0),
        .state_bytes = stream->bytes,
    };
    return stream->options.deadline > 0.0 ? calibrate(session, error) : VDT_OK;
}

/* ---- steps --------------------------------------------------------------------------------- */

int session_step(struct vdt_session *session, const vdt_clip *frame, const vdt_output *output,
                 vdt_stats *stats, vdt_error *error) {
    struct stream *stream = &session->stream;
    vdt_stream_info *info = &session->stream_info;
    const int status = stream_step(stream, frame, output->logits, output->features, stats, error);
    if (status) return status;
    info->step = stream->state->steps;
    info->first = stream->first;
    info->idle = stream->idle;
    info->changed = (uint32_t)stream->changed;
    info->still_tolerance = stream->state->still.tau;
    info->r = (uint32_t)stream->r;
    info->afresh = stream->afresh;
    info->macs_eventful = stream->macs;
    return VDT_OK;
}

const vdt_stream_info *vdt_session_stream(const vdt_session *session) {
    return session->streaming ? &session->stream_info : NULL;
}

vdt_status vdt_session_updated(vdt_updated *updated, const vdt_session *session, vdt_error *error) {
    const struct stream *stream = &session->stream;
    if (!session->streaming || !stream->options.record) {
        return status_fail(error, VDT_ERROR_ARGUMENT,
                           "session: expected a stream that records, but it was opened with %s off",
                           session->streaming ? "record" : "update");
    }
    if (session->clips_run == 0) {
        return status_fail(error, VDT_ERROR_ARGUMENT,
                           "session: expected a run that succeeded, found none");
    }
    *updated = (vdt_updated){.patches = stream->patches, .tokens = stream->passed};
    return VDT_OK;
}

static int require_stream(const vdt_session *session, vdt_error *error) {
    if (session->streaming) return VDT_OK;
    return status_fail(error, VDT_ERROR_ARGUMENT,
                       "session: expected a stream, but it was opened with update off");
}

int session_hold(struct vdt_session *session, const vdt_output *output, vdt_stats *stats,
                 vdt_error *error) {
    const int status = require_stream(session, error);
    if (status) return status;
    if (session->stream.state->steps == 0) {
        return status_fail(error, VDT_ERROR_ARGUMENT,
                           "hold: expected a step before it, found none since the start");
    }
    stream_hold(&session->stream, output->logits, output->features, stats);
    return VDT_OK;
}

vdt_status vdt_session_set_r(vdt_session *session, uint32_t r, vdt_error *error) {
    const int status = require_stream(session, error);
    if (!status) session->stream.options.policy.r = r;
    return status;
}

vdt_status vdt_session_reset(vdt_session *session, vdt_error *error) {
    const int status = require_stream(session, error);
    if (!status) stream_reset(&session->stream);
    return status;
}

/* ---- snapshots ----------------------------------------------------------------------------- */

// What stands before the state. `identity` covers everything that gives the state its meaning.
struct snapshot_header {
    char magic[8];
    uint64_t bytes; // of the state
    uint64_t identity, checksum;
};

static const char MAGIC[8] = "VDTSTAT3";

// FNV-1a, eight bytes at a time.
static uint64_t hash_bytes(uint64_t hash, const void *data, size_t bytes) {
    const unsigned char *at = data;
    for (; bytes >= 8; at += 8, bytes -= 8) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        hash = (hash ^ word) * 0x100000001b3u;
        hash ^= hash >> 29;
    }
    for (; bytes > 0; at++, bytes--) hash = (hash ^ *at) * 0x100000001b3u;
    return hash;
}

static uint64_t hash_text(uint64_t hash, const char *text) {
    return hash_bytes(hash, text, strlen(text));
}

static uint64_t hash_number(uint64_t hash, uint64_t number) {
    return hash_bytes(hash, &number, sizeof number);
}

// Model, plan and instruction set; the position embedding and the class token stand for the weights. The
// policy is not part of it: r, floor and the rest may be others when a stream goes on.
static uint64_t identity_of(const vdt_session *session) {
    const struct encoder *encoder = &session->encoder;
    const vdt_model *model = session->model;
    uint64_t hash = hash_text(0xcbf29ce484222325u, model->info.family);
    hash = hash_text(hash, encoder->context->kernels.name);
    const uint64_t numbers[] = {
        model->info.parameters,    (uint64_t)model->info.precision,
        encoder->options.height,   encoder->options.width,
        encoder->tokens,           encoder->geometry->d,
        encoder->geometry->blocks, encoder->n_logits,
        encoder->n_features,       (uint64_t)encoder->options.pool,
        encoder->options.layer,    (uint64_t)session->stream.options.attention};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        hash = hash_number(hash, numbers[i]);
    hash = hash_bytes(hash, encoder->positions,
                      encoder->patches * encoder->geometry->d * sizeof *encoder->positions);
    return hash_bytes(hash, encoder->prefix_rows,
                      encoder->prefix * encoder->geometry->d * sizeof *encoder->prefix_rows);
}

size_t vdt_session_snapshot_bytes(const vdt_session *session) {
    return session->streaming ? sizeof(struct snapshot_header) + session->stream.bytes : 0;
}

vdt_status vdt_session_save(const vdt_session *session, void *bytes, vdt_error *error) {
    const int status = require_stream(session, error);
    if (status) return status;
    const struct stream *stream = &session->stream;
    struct snapshot_header header = {.bytes = stream->bytes, .identity = identity_of(session)};
    memcpy(header.magic, MAGIC, sizeof header.magic);
    header.checksum = hash_bytes(header.identity, stream->begin, stream->bytes);
    memcpy(bytes, &header, sizeof header);
    memcpy((unsigned char *)bytes + sizeof header, stream->begin, stream->bytes);
    return VDT_OK;
}

vdt_status vdt_session_load(vdt_session *session, const void *bytes, size_t n_bytes,
                            vdt_error *error) {
    const int status = require_stream(session, error);
    if (status) return status;
    struct stream *stream = &session->stream;
    struct snapshot_header header;
    if (n_bytes < sizeof header || memcmp(bytes, MAGIC, sizeof MAGIC) != 0)
        return status_fail(error, VDT_ERROR_FORMAT,
                           "snapshot: expected one of a stream, found other bytes");
    memcpy(&header, bytes, sizeof header);
    const unsigned char *state = (const unsigned char *)bytes + sizeof header;
    if (header.bytes != stream->bytes || n_bytes != sizeof header + stream->bytes ||
        header.identity != identity_of(session)) {
        return status_fail(error, VDT_ERROR_FORMAT,
                           "snapshot: expected one of this model, size, precision, attention and "
                           "instruction set, found another's");
    }
    if (header.checksum != hash_bytes(header.identity, state, stream->bytes))
        return status_fail(error, VDT_ERROR_FORMAT,
                           "snapshot: damaged: its checksum does not match");
    memcpy(stream->begin, state, stream->bytes);
    stream->settled = false;
    return VDT_OK;
}
