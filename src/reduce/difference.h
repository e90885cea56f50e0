// How far apart two patches of a video are, in normalised pixels x = (byte / R - mean) / std.
//
// Normalisation is affine in the byte, so that sums of absolute differences of bytes say it, with one order
// of double arithmetic after them (methods, section 1):
//
//     S = SAD_0 / std_0 + SAD_1 / std_1 + SAD_2 / std_2
//
// and a mean difference of tau is S = tau R 3 p p. No instruction set and no thread count can change it.
#ifndef VIDETTE_REDUCE_DIFFERENCE_H
#define VIDETTE_REDUCE_DIFFERENCE_H

#include "kernels/kernels.h"

// What the processor makes of a byte: R = 1 / rescale_factor.
struct pixel_scale {
    double range, std[3];
};

// S of two squares of patch x patch RGB pixels.
double difference_score(const struct kernels *kernels, const struct pixel_scale *scale,
                        const uint8_t *a, size_t a_stride, const uint8_t *b, size_t b_stride,
                        size_t patch);

#endif
