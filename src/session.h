// The session's inside, for the reader, which makes clips for it.
#ifndef VIDETTE_SESSION_H
#define VIDETTE_SESSION_H

#include "models/model.h"

struct vdt_session {
    struct vdt_model *model;
    void *memory; // every buffer of the encoder
    struct encoder encoder;
    vdt_session_shape_info shape;
    size_t clips_run; // of the last run that succeeded
};

#endif
