// A session's plan (models/encoder.h) against its own contract: for any geometry that passes
// geometry_check and any options, an error or a layout whose buffers lie in the counted bytes, do
// not share memory while both are in use, and hold what their comments promise. Anything
// else aborts with a message, which a fuzzer sees as a crash.
#ifndef VIDETTE_TESTS_PLAN_CHECK_H
#define VIDETTE_TESTS_PLAN_CHECK_H

#include "models/encoder.h"

// What the plan came to.
enum plan_result { PLAN_REFUSED, PLAN_TOO_LARGE, PLAN_COUNTED, PLAN_FILLED };

// Plans and lays out; where the session is smaller than `most_bytes` its memory is allocated (an
// exact block), prepared and written from end to end. Weights are made up: matrices are sizes
// without numbers, since a plan asks them for nothing else.
enum plan_result plan_check(const struct geometry *geometry, const struct encoder_options *options,
                            struct memory *memory, size_t most_bytes);

#endif
