// An open model: everything immutable that sessions share.
#ifndef VIDETTE_MODELS_MODEL_H
#define VIDETTE_MODELS_MODEL_H

#include "format/hfprocessor.h"
#include "models/encoder.h"

struct vdt_model {
    struct vdt_context *context;
    const struct family *family;
    struct geometry geometry;
    struct processor processor;
    struct labels labels;
    struct weights weights;
    float values[3][256]; // bytes as the processor's f32
    char *name, *licence;
    char *advice[6]; // the strings of `recommended`, in its order
    vdt_recommendation recommended;
    vdt_model_info info;
};

#endif
