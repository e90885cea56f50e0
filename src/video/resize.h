// Pillow's antialiased resize of RGB bytes, bit for bit (Pillow up to 12; models.md).
//
// For output index i of n_out over n_in: centre (i + 0.5) n_in / n_out, support the filter's times
// max(n_in / n_out, 1), window cut at the image's ends, weights normalised in double and rounded to
// 22 fractional bits. Two passes, horizontal first, bytes in between; a pass whose size does not
// change is skipped. Only the wanted rectangle of the output is computed.
#ifndef VIDETTE_VIDEO_RESIZE_H
#define VIDETTE_VIDEO_RESIZE_H

#include "core/mem.h"
#include "format/hfprocessor.h"
#include "kernels/kernels.h"

// One direction: what each output index reads.
struct resize_pass {
    size_t n_in, n_out;
    enum resample resample;
    struct resize_tap *taps; // (n_out)
    int32_t *weights;        // (n_out, max_taps)
    size_t max_taps;
};

// Tables are kept from frame to frame and made anew when sizes change. Starts zeroed, with memory
// and kernels set.
struct resize {
    struct memory *memory;
    const struct kernels *kernels;
    struct resize_pass x, y;
    uint8_t *middle; // rows after the first pass
    size_t middle_bytes;
};

struct rectangle {
    size_t x, y, width, height;
};

// out (wanted.height, wanted.width, 3) <- that rectangle of in (in_height, in_width, 3) resized to
// (out_height, out_width). All sizes >= 1; wanted lies inside the output.
int resize_run(struct resize *resize, uint8_t *out, size_t out_stride, size_t out_width,
               size_t out_height, struct rectangle wanted, const uint8_t *in, size_t in_stride,
               size_t in_width, size_t in_height, enum resample resample, vdt_error *error);
void resize_free(struct resize *resize);

#endif
