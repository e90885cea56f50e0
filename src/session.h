// The session's inside, for the reader, which makes clips for it.
#ifndef VIDETTE_SESSION_H
#define VIDETTE_SESSION_H

#include "models/model.h"
#include "models/stream.h"

struct vdt_session {
    const struct vdt_model *model;
    void *memory; // every buffer of the encoder
    struct encoder encoder;
    size_t clips;                 // most clips a call
    struct factorised factorised; // encoder NULL: none
    bool streaming;
    struct stream stream;
    vdt_stream_info stream_info;
    vdt_session_shape_info shape;
    size_t clips_run; // of the last run that succeeded
};

/* ---- streams (session_stream.c) -------------------------------------------------------------- */

// Checks the options and plans a stream over the planned encoder.
int session_plan_stream(struct vdt_session *session, const vdt_stream_options *options,
                        vdt_error *error);
int session_prepare_stream(struct vdt_session *session, vdt_error *error);

// One frame.
int session_step(struct vdt_session *session, const vdt_clip *frame, const vdt_output *output,
                 vdt_stats *stats, vdt_error *error);

#endif
