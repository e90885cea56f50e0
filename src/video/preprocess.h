// A frame as the model's processor leaves it, still as bytes: resized and cropped.
//
// Rescale and normalisation are a table from byte to f32 (hfprocessor.h) that the patch embedding
// applies, so that frames stay small until a token needs them.
#ifndef VIDETTE_VIDEO_PREPROCESS_H
#define VIDETTE_VIDEO_PREPROCESS_H

#include "format/hfprocessor.h"
#include "video/frames.h"
#include "video/resize.h"

struct preprocess {
    struct processor processor;
    struct resize resize;
    size_t height, width; // of the result
};

// Where a crop lies: where the processor puts it or, for several views of a frame, along its longer
// side.
enum placement { PLACE_PROCESSOR, PLACE_START, PLACE_CENTRE, PLACE_END };

// The processor as it is where it makes (height, width), else with its size set to them.
void preprocess_init(struct preprocess *preprocess, struct memory *memory,
                     const struct kernels *kernels, const struct processor *processor,
                     size_t height, size_t width);

// out (height, width, 3) <- frame. Crops larger than the frame are padded with zeros, the odd pixel
// at the top and left. The views are of one scale: the shorter side is resized to the result's
// whatever the processor does.
int preprocess_frame(struct preprocess *preprocess, uint8_t *out, const struct frame *frame,
                     enum placement placement, vdt_error *error);
void preprocess_free(struct preprocess *preprocess);

#endif
