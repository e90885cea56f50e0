// Which frames a clip takes: indices into a video of known length.
#ifndef VIDETTE_VIDEO_SAMPLE_H
#define VIDETTE_VIDEO_SAMPLE_H

#include <vidette/vidette.h>

// indices (n), ascending, each < total. total, n, rate >= 1.
//
// CENTER: span = (n - 1) rate + 1, start = max(0, (total - span) / 2), index i = min(start + i
// rate, total - 1). UNIFORM: index i = i total / n. HF_PIPELINE: i (n rate - 1) / (n - 1)
// truncated, from the first frame (the first frame alone for n = 1). MULTI, view of `views`:
// CENTER's span with its start at view (total - span) / (views - 1) (one view: CENTER). All clamp
// to the last frame. SLIDE is not a matter of indices (reader.c).
void sample_indices(uint64_t *indices, uint64_t n, uint64_t total, vdt_sampling_kind kind,
                    uint64_t rate, uint64_t view, uint64_t views);

#endif
