// The pixel test before block 1: which patches of a frame differ from the bytes that were embedded last.
//
//     changed iff S > tau R 3 p p        S, R: difference.h
//
// for tubelets frame by frame. tau = 0 is "any byte differs". tau can be learnt: static patches of a sensor
// with noise all score about the same, so a quarter of the patches of the first STILL_LEARNING steps lies
// below 1 / STILL_MARGIN of the tolerance that this settles on.
#ifndef VIDETTE_REDUCE_STILL_H
#define VIDETTE_REDUCE_STILL_H

#include "nn/patch_embed.h"
#include "reduce/difference.h"

enum { STILL_LEARNING = 25, STILL_BINS = 1024 };
#define STILL_MARGIN  1.5
#define STILL_LARGEST 0.1 // a learnt tau is at most this: RLT's threshold

// State of the test, copyable as it is.
struct still_state {
    double tau;
    uint32_t learning;         // steps that are still to be learnt from
    uint32_t bins[STILL_BINS]; // of scores S / (R 3 p p), STILL_LARGEST / STILL_BINS wide
};

struct still {
    struct pixel_scale scale;
    size_t patch, tubelet;
    struct patch_grid grid; // t = 1
    uint8_t *pixels;        // (s, h p, w p, 3) embedded last; state
    struct still_state *state;
};

void still_start(struct still_state *state, double tau, bool learn);

// Lists the patches of `clip` that differ, ascending, in index (h w); `scores` is workspace (h w). Learns.
size_t still_test(struct exec *exec, struct still *still, const vdt_clip *clip, uint32_t *index,
                  double *scores);

// The patches in index are embedded: their bytes are the reference now.
void still_accept(struct exec *exec, struct still *still, const vdt_clip *clip,
                  const uint32_t *index, size_t n);

#endif
