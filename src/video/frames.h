// Frames of an input, behind a table of decoders.
//
// A decoder opens one input and hands out frames as RGB bytes, oriented as they are displayed.
// Indices count the frames that decode, in presentation order, from 0; times are seconds since the
// first frame, from the container's time stamps where it has them. A decoder is used by one thread.
#ifndef VIDETTE_VIDEO_FRAMES_H
#define VIDETTE_VIDEO_FRAMES_H

#include <stdatomic.h>
#include <stdbool.h>

#include "core/mem.h"

struct frame {
    const uint8_t *pixels; // (height, width, 3); the decoder's, until its next call
    size_t width, height, row_stride;
    uint64_t index;
    double time;
};

struct decoder {
    const struct decoder_functions *functions;
    struct memory *memory;
    atomic_bool *stop;   // set by another thread: blocking reads give up; may be NULL
    vdt_video_info info; // frames 0 until counted
    bool live;           // no end and no way back: a camera or a stream
};

struct decoder_functions {
    // Counts the frames into info.frames. Live inputs are VDT_ERROR_UNSUPPORTED.
    int (*count)(struct decoder *decoder, vdt_error *error);
    // Frame `index`; ascending indices are cheapest. VDT_END where the count (which may have
    // shrunk, when frames prove not to decode) is not larger than index.
    int (*seek)(struct decoder *decoder, uint64_t index, struct frame *frame, vdt_error *error);
    // The next frame in order. VDT_END after the last.
    int (*next)(struct decoder *decoder, struct frame *frame, vdt_error *error);
    void (*close)(struct decoder *decoder);
};

// Opens any INPUT: x.npy, a directory of images, or what libav reads (files, cameras, URLs).
int decoder_open(struct decoder **decoder, struct memory *memory, const char *input,
                 atomic_bool *stop, vdt_error *error);

static inline void decoder_close(struct decoder **decoder) {
    if (*decoder) (*decoder)->functions->close(*decoder);
    *decoder = NULL;
}

// The decoders, each a file.
int decode_av_open(struct decoder **decoder, struct memory *memory, const char *input,
                   atomic_bool *stop, vdt_error *error);
int decode_images_open(struct decoder **decoder, struct memory *memory, const char *input,
                       atomic_bool *stop, vdt_error *error);
int decode_npy_open(struct decoder **decoder, struct memory *memory, const char *input,
                    atomic_bool *stop, vdt_error *error);

// Frames a second that inputs without time stamps (arrays, directories of images) are given, as
// libav gives to image sequences.
#define FRAMES_NOMINAL_RATE 25.0

#endif
