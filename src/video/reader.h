// The reader: decodes, samples and preprocesses inputs on threads of its own (vidette.h, vdt_reader).
#ifndef VIDETTE_VIDEO_READER_H
#define VIDETTE_VIDEO_READER_H

#include "format/hfprocessor.h"
#include "kernels/kernels.h"

// What clips are made for. Memory and kernels outlive the reader; the processor is copied.
struct reader_target {
    struct memory *memory;
    const struct kernels *kernels;
    const struct processor *processor;
    size_t frames, height, width; // of a clip
    uint32_t rate;                // where the options leave it open
    size_t threads;               // the same; at least 1
};

int reader_open(vdt_reader **reader, const struct reader_target *target, const char *const *inputs,
                size_t n_inputs, const vdt_reader_options *options, vdt_error *error);

#endif
